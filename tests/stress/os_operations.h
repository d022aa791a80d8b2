/*
 * os_operations.h - what a program does with a handle, to be done while calls of the system fail.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_OS_OPERATIONS_H
#define MAPSEG_TEST_OS_OPERATIONS_H

#include "support.h"

/** Where the operations of a run take place. */
extern char key[KEY_BYTES];
extern char path[KEY_BYTES];

/** One thing that a program does with a handle. `run` returns its result. */
struct operation {
    const char *name;
    void (*prepare)(mapseg *seg);
    mapseg_result (*run)(mapseg *seg);
    void (*clean_up)(mapseg *seg);
    bool attaches; /* success means that the handle is attached, failure that it is not */
};

extern const struct operation operations[];
extern const int operation_count;

/* Those from here to there work without /proc, and the last but one. */
enum { FIRST_WITHOUT_PROC = 16, LAST_WITHOUT_PROC = 19 };
enum { SINGLE_WRITER = 17 };
#define BEHIND_LINK (operation_count - 1)

/* Parts of operations that tests use, too. */

mapseg_result run_list(mapseg *seg);
mapseg_result run_foreign_list(mapseg *seg);

/** A memory file's descriptor, as a program inherits it. */
extern int inherited;
/** Sets the handle's key to it. */
void inherit(mapseg *seg);

/** A byte of the data, as it is at this moment. */
char byte_of(mapseg *seg, size_t offset);

#endif
