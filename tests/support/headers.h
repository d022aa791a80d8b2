/*
 * headers.h - the header of a segment's file, and its locks, without the library.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_HEADERS_H
#define TESTS_SUPPORT_HEADERS_H

#include "mapseg-format.h"

#include <stdint.h>
#include <sys/types.h>

/** The header of the file, mapped; good until the process ends. */
struct mapseg_header *map_header(const char *path);

uint32_t lock_word(const struct mapseg_header *header);
void set_lock_word(struct mapseg_header *header, uint32_t word);
uint64_t recoveries_of(const struct mapseg_header *header);

/** The lock word comes to have one of these bits. */
#define await_word(header, bits) await_word_at(__FILE__, __LINE__, header, bits)
void await_word_at(const char *file, int line, const struct mapseg_header *header, uint32_t bits);

/** A descriptor that holds write locks on these presence bytes until it is closed. */
int hold_bytes(const char *path, int64_t first, int64_t count);

/** The slot of the process's only attachment to the file, as /proc/PID/maps shows it; 0: there is
 *  none. */
uint32_t slot_in_maps(pid_t pid, const char *path);

#endif
