/*
 * seen.h - what a handle sees of a segment: its version, that there is nothing to read, and that
 * its lock is free.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_VERSION_SEEN_H
#define TESTS_VERSION_SEEN_H

#include "versions.h"

/** Bytes of data, where a test does not need more. */
#define DATA_BYTES 4096

/** What a reader gives a writer that must not end meanwhile. */
#define SHORT (50 * MILLISECOND)

/** Where nothing is copied to. */
extern char nothing[1];

/** The version that the handle reads. */
uint64_t version_read(mapseg *seg);

/** The handle does not get to read, and the reason is this one. */
void need_unreadable(mapseg *seg, mapseg_result reason);

/** The lock is free, and no owner has died with it. */
void need_free(mapseg *seg);

/** Runs a suite of two cases, of which one is run on memory files, the other on files with a name:
 *  `add` adds the tests of each; the program's exit status. */
int run_in_memory_and_named(const char *name, void (*add)(TCase *tcase, bool memory));

#endif
