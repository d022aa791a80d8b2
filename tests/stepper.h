/*
 * stepper.h - a process that is led through an operation one instruction at a
 * time, and can be killed between any two of them.
 */
#ifndef MAPSEG_TEST_STEPPER_H
#define MAPSEG_TEST_STEPPER_H

#include "process.h"

/** Where a process stands after a step. */
enum footing {
    ON_NOTHING,     /**< in code that is neither this program's nor the library's */
    ON_INSTRUCTION, /**< before an instruction of this program, which has the library in it */
    ON_CALL         /**< right behind a system call, whoever made it */
};

/** Why processes cannot be stepped here; NULL: they can. */
const char *stepping_refused(void);

/** In the process: stops, to be stepped from here on. */
void wait_for_steps(void);

/** Starts a process and returns when it waits for its steps. */
pid_t start_stepped(void (*body)(struct stage *stage), struct stage *stage);

/** Lets it run one instruction. Where that is a system call that sleeps,
 *  `asleep` (may be NULL) is called until it no longer does. */
enum footing step(pid_t pid, void (*asleep)(struct stage *stage), struct stage *stage);

/** Ends the stepping: the process goes on by itself. */
void stop_stepping(pid_t pid);

#endif
