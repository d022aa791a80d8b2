/*
 * places.h - where segments lie: names, keys and files that no other test has.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_PLACES_H
#define TESTS_SUPPORT_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#define SHM_DIRECTORY "/dev/shm"

/** Room for any key, name or path that these make. */
#define KEY_BYTES 256

/** What all names of this run contain. */
const char *run_mark(void);

/** A name that no other test uses, of letters and digits. */
void unique_name(char name[KEY_BYTES]);
/** Where unique keys lead: /dev/shm, or what MAPSEG_TEST_DIRECTORY says, so that suites can be run
 *  on another file system. */
const char *test_directory(void);
/** "shm:" and a unique name; "file:" and its path where the directory is another one. */
void unique_key(char key[KEY_BYTES]);
/** The file behind a "shm:" or "file:" key. */
void path_of(char path[KEY_BYTES], const char *native_key);

/** A native key and its file. */
struct place {
    char key[KEY_BYTES];
    char path[KEY_BYTES];
};

/** A unique key and its file. */
void new_place(struct place *place);

bool exists(const char *path);
/** The name goes away, if not at once. */
void await_gone(const char *path);
/** The inode that a name leads to; 0: no such name. */
uint64_t inode_of(const char *path);

#endif
