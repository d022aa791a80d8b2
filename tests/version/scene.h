/*
 * scene.h - a segment, a process that writes it, and the descriptor that tells of its versions.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_VERSION_SCENE_H
#define TESTS_VERSION_SCENE_H

#include "support.h"

/** Bytes of data. */
#define SIZE ((size_t)4096)
/** No version is this. */
#define NO_VERSION UINT64_C(1)

/** How many writes a writer makes on 'r'. */
#define WRITES 3000

/** A segment that this process has created, and a process that writes it. */
struct scene {
    char key[KEY_BYTES];
    char path[KEY_BYTES];
    struct peer writer;
    mapseg *seg;
};

/** One change: the data begins with their number. */
bool write_once(mapseg *seg);

/** A body: attaches to the key at the first word, then obeys: 'w' write once, 'r' write WRITES
 *  times at random, 'b' begin a change, 'e' end it, 'c' repair, 'k' die in the middle of a change,
 *  'q' quit. */
int writer(int channel, void *key);

/** Starts the writer, then creates the segment. */
void set_up(struct scene *scene);

/** Ends the writer, which ends well, and frees the handle. */
void tear_down(struct scene *scene);

/** Whether the descriptor says within that time that there is a version. */
bool is_readable(int fd, int milliseconds);

#define check_readable(fd) ck_assert_msg(is_readable(fd, HANG_MS), "not readable")
/** Neither now nor in a while: nothing is on its way. */
#define check_quiet(fd) ck_assert_msg(!is_readable(fd, 100), "readable, without a change")

/** The descriptor of the handle. */
int change_fd(mapseg *seg);

/** The version, given out in one of the ways there are. */
uint64_t give_out(mapseg *seg, int way);

/** A descriptor that has nothing to tell at the moment. */
int quiet_fd(mapseg *seg);

#endif
