/*
 * segments.h - handles, and segments that tests make and leave.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_SEGMENTS_H
#define TESTS_SUPPORT_SEGMENTS_H

#include "calls.h"

#include <stddef.h>
#include <stdint.h>

/** A handle with that native key. */
mapseg *handle_for(const char *native_key);
/** The same, attached; or with these flags. */
mapseg *attached(const char *native_key, mapseg_access access);
mapseg *attached_as(const char *native_key, mapseg_access access, uint32_t flags);
/** The same, created with default options, or with these flags. */
mapseg *created(const char *native_key, size_t size);
mapseg *created_as(const char *native_key, size_t size, uint32_t flags);
/** The same, persistent, in a file of that mode. */
mapseg *created_for(uint32_t mode, const char *native_key, size_t size, uint32_t flags);

/** The data of a handle that is attached for reading and writing. */
void *data_of(mapseg *seg);

/** The inode that a handle is attached to. */
uint64_t inode_attached(mapseg *seg);

/** Leaves behind a persistent segment that no process is attached to, so that processes started
 *  later share no handle with the test. */
void leave_persistent(const char *native_key, size_t size, uint32_t flags);
/** Removes it. */
void remove_persistent(const char *native_key);
/** Leaves behind what a killed creator leaves; its data is filled with `fill`. */
void leave_debris(const char *native_key, size_t size, unsigned char fill);

/** What mapseg_info says; the caller frees it. */
mapseg_info *describe(mapseg *seg);
/** Parts of that, by key. */
mapseg_use use_of(const char *key);
mapseg_lock_state lock_state_of(const char *key);

/** So many are attached, as mapseg_info says by the key. The kernel shows its table of locks piece
 *  by piece, and what unrelated processes lock meanwhile shifts it: so a wrong number may be a
 *  passing one. */
#define need_attached(expected, key) need_attached_at(__FILE__, __LINE__, expected, key)
void need_attached_at(const char *file, int line, uint32_t expected, const char *key);
/** The same as a handle itself says. */
#define need_attached_through(expected, seg)                                                       \
    need_attached_through_at(__FILE__, __LINE__, expected, seg)
void need_attached_through_at(const char *file, int line, uint32_t expected, mapseg *seg);

#endif
