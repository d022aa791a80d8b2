/*
 * transfer.h - moving data between files and memory, with progress.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TOOL_TRANSFER_H
#define MAPSEG_TOOL_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** A file to read from, or standard input. */
struct input {
    const char *name;      /**< for messages */
    int descriptor;        /**< -1: closed */
    size_t bytes;          /**< how much there is to read; valid if `known` */
    bool known;            /**< whether the size is known before reading */
    unsigned char *memory; /**< what has been read ahead; NULL: nothing */
};

/** Opens `path`; NULL or "-" is standard input. False: it failed, and the user
 *  has been told. */
bool input_open(struct input *input, const char *path);

/** Makes the size known. What is no regular file is read to its end, but not
 *  beyond `most` bytes and one: `bytes` above `most` means that there is more
 *  than fits. False as above. */
bool input_measure(struct input *input, size_t most);

/** Copies all of a measured input to `to`. False as above; the user was also told the
 *  consequence (NULL: none). */
bool input_copy(struct input *input, void *to, const char *consequence);

void input_close(struct input *input);

/** Writes all of it. False: errno says why. */
bool write_all(int descriptor, const void *from, size_t bytes, const char *verb);

#endif
