/*
 * memory.h - a segment without a name, and what is published in it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_MEMORY_H
#define MAPSEG_TEST_MEMORY_H

#include "support.h"

#define SIZE 10000

mapseg *memory_segment(uint32_t flags);

/** One change, that begins with the text. */
void publish(mapseg *seg, const char *text);

#endif
