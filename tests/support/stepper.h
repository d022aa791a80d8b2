/*
 * stepper.h - a process that is stopped in the middle of what it does, before
 * any instruction that one chooses.
 *
 * Where the instructions lie is learned by stepping through the whole of it
 * once. After that a process gets to one of them at full speed, with a
 * breakpoint: a step takes 30 us, and the points of one path are thousands.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_STEPPER_H
#define TESTS_SUPPORT_STEPPER_H

#include "support.h"

/** A place on the path through an operation. */
struct point {
    uintptr_t instruction; /**< is the next */
    int visit;             /**< how often the path has led here; 1: the first time */
    bool call;             /**< right behind a system call */
};

/** The points of a path, in the order in which one meets them: the instructions
 *  of this program, which has the library in it, and what follows a system
 *  call, of any code. */
struct path {
    struct point *points;
    int count;
    int room;
};

/** Why processes cannot be stopped so here; NULL: they can. */
const char *stepping_refused(void);

/** In the process: what comes between these two is stepped through. */
void begin_steps(void);
void end_steps(void);

/** Starts a process and returns when it begins its steps. */
pid_t start_stepped(void (*body)(struct stage *stage), struct stage *stage);

/** What the test does meanwhile, for as long as the process runs or sleeps;
 *  NULL: nothing. */
typedef void (*meanwhile)(pid_t pid, struct stage *stage);

/** Steps through all of it and notes the path, which the caller frees. At every
 *  point, where the process is stopped, `look` (may be NULL) is called. */
void walk(pid_t pid, struct stage *stage, meanwhile serve, void (*look)(struct stage *stage),
          struct path *path);

/** Stops it at the point. False: it came to the end of its steps without. */
bool walk_to(pid_t pid, struct stage *stage, meanwhile serve, const struct point *point);

/** Lets a process go on by itself that has come to the end of its steps. */
void end_walk(pid_t pid);

#endif
