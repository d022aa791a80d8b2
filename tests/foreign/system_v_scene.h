/*
 * system_v_scene.h - where tests of System V segments take place.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_FOREIGN_SYSTEM_V_SCENE_H
#define TESTS_FOREIGN_SYSTEM_V_SCENE_H

#include "little_qt.h"

/** Of the test: a key of mapseg's, and its key file. */
extern char key[KEY_BYTES];
extern char file[KEY_BYTES];

/** Before each test: a new key; and, where this is root, a world of its own, without any System V
 *  segments or semaphores. */
void enter_scene(void);
/** After it: nothing is left there. */
void leave_scene(void);

/** Whether the world is the test's own. */
bool has_own_world(void);

/** How many segments, or sets, there are in the test's own world; -1: that is not known. */
int count_segments(void);
int count_sets(void);
/** So many are there, where that is known. */
void need_segments(int expected);
void need_sets(int expected);

/** The number of the segment, or the set, that the key file leads to; -1: none. */
int segment_of(const char *path);
int set_of(const char *path);
/** The value of the set's semaphore. */
int value_of(int set);

/** A peer that does what Qt does. */
struct peer qt_program(void);

#endif
