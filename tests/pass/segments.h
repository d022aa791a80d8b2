/*
 * segments.h - memory segments that travel, and what tests check of handles and
 * descriptors.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_PASS_SEGMENTS_H
#define TESTS_PASS_SEGMENTS_H

#include "support.h"

/** Bytes of data. */
#define SIZE 10000

/** A set of results. */
#define ONE(result) (UINT64_C(1) << (result))
#define FOREIGN (ONE(MAPSEG_NOT_A_SEGMENT) | ONE(MAPSEG_CORRUPT))

/** A handle that has created a memory file of SIZE bytes which begin with the text. */
mapseg *memory_segment(const char *text);

/** The handle is attached to such a segment, which begins with the text. */
void check_text(mapseg *seg, const char *text);

/** The handle's key names the descriptor that it took over, and the source's id; that
 *  descriptor. */
int check_key(mapseg *seg, mapseg *source);

/** So many come to be attached: the kernel's table of locks can be wrong in passing. */
void check_attached(mapseg *seg, uint32_t expected);

/** The handle remembers that result, and gives a reason. */
void check_reason(mapseg *seg, mapseg_result result);

/** The call on `what` had one of these results, and the handle gives a reason. */
void check_one_of(const char *what, uint64_t results, mapseg *seg, mapseg_result result);

/** Whether two descriptors are of one description: its locks do not conflict with themselves. */
bool share_a_description(int first, int second);

bool is_close_on_exec(int fd);

/** O_RDONLY, O_WRONLY or O_RDWR. */
int access_mode_of(int fd);

#endif
