/*
 * translate.h - what the library tells programs to do, for the user of the command.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TOOL_TRANSLATE_H
#define MAPSEG_TOOL_TRANSLATE_H

#include <getopt.h>

#define TRANSLATED_BYTES 1280

/** Writes what the library says of a failure to `to`, with these options (NULL: any) and with
 *  subcommands where it names flags and calls. Where it names others, another cure stands
 *  there. `to` is returned. */
const char *translate(const char *said, const struct option *options, char to[TRANSLATED_BYTES]);

#endif
