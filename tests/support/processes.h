/*
 * processes.h - processes that start and end under a deadline, and meet.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_PROCESSES_H
#define TESTS_SUPPORT_PROCESSES_H

#include "places.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** The user that root becomes to be none. */
#define NOBODY 65534

/** Zeroed memory that children share with the test. */
void *shared_memory(size_t bytes);

/** What the processes of one test share. */
struct stage {
    struct place place;
    const void *address; /**< the same, in processes that fork has made */
    int number;          /**< an argument of the test's own */
    atomic_int go;       /**< the test lets the others go on, step by step */
    atomic_int ready;    /**< the others tell the test how far they are */
    atomic_int wrong;    /**< things seen that must not be */
    atomic_int pid;      /**< of a process the test did not start itself */
    atomic_int told[32]; /**< how often a result was met */
};

/** A stage with a place of its own. */
struct stage *new_stage(void);

/** Starts a process that runs the body, then ends with status 0. It dies with the test. */
pid_t start(void (*body)(struct stage *stage), struct stage *stage);

/** Waits until the process has ended: its exit status, or 128 + the signal that ended it. One that
 *  hangs is broken. */
#define end_of(pid) end_of_at(__FILE__, __LINE__, pid)
int end_of_at(const char *file, int line, pid_t pid);

/** The process ends by itself with status 0. */
#define finish(pid) finish_at(__FILE__, __LINE__, pid)
void finish_at(const char *file, int line, pid_t pid);

/** Kills the process with SIGKILL and reaps it. */
void kill_and_reap(pid_t pid);

/** Runs the body in a child: as end_of. */
int in_child(int (*body)(void *argument), void *argument);
/** The same, as an ordinary user: nobody, if this is root. */
int as_ordinary_user(int (*body)(void *argument), void *argument);
/** Gives up root for good. */
void become_nobody(void);

/** The path of the program that runs. */
void own_program(char path[PATH_MAX]);

/** Whether the process is in an interruptible sleep at this moment. */
bool is_asleep(pid_t pid);

/** The process falls asleep before it hangs the test. */
#define need_asleep(pid) need_asleep_at(__FILE__, __LINE__, pid)
void need_asleep_at(const char *file, int line, pid_t pid);

/** The cell comes to be at least this. */
#define await(cell, value) await_at(__FILE__, __LINE__, #cell, cell, value)
void await_at(const char *file, int line, const char *text, const atomic_int *cell, int value);

/** Adds one and waits until `count` have; ends the process if they never come. */
void meet(uint32_t *meeting, uint32_t count);

#endif
