/*
 * footprints.h - what a process holds of shared memory, and what a file is.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_FOOTPRINTS_H
#define TESTS_SUPPORT_FOOTPRINTS_H

#include <stdint.h>
#include <sys/stat.h>

/** What this process holds of shared memory. */
struct footprint {
    int descriptors;
    int mappings;
    int locks;
    int names;
};

/** Takes it; `path` (may be NULL) is the file whose locks are counted. */
void take_footprint(struct footprint *footprint, const char *path);
/** It is still the same. */
void check_footprint(const struct footprint *before, const char *path);

/** What this process has open. */
int count_descriptors(void);
/** Lines of /proc/self/maps that contain the text. */
int count_mappings(const char *text);
/** A segment's mappings are shared ones; private ones come and go with any library. */
int count_shared_mappings(void);
/** Ranges of the file of that name that are locked by any process. */
int count_locks(const char *path);
/** Waits until no process has a lock on the file: the kernel has let go of the dead. */
void await_deserted(const char *path);
/** Names in /dev/shm that contain the text. */
int count_names(const char *text);
/** The inode that is mapped at an address; 0: none. */
uint64_t inode_at(const void *address);

/** A file's content and metadata. */
struct file_state {
    struct stat status;
    unsigned char *bytes;
};

void take_file_state(struct file_state *state, const char *path);
/** The file is what it was; frees the state. */
void check_file_state(struct file_state *state, const char *path);

#endif
