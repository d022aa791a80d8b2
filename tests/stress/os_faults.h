/*
 * os_faults.h - calls of the operating system that fail when the test wants it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_OS_FAULTS_H
#define MAPSEG_TEST_OS_FAULTS_H

#include "os/os.h"

#include <stdbool.h>

/* What is made of each operation that can fail. */
#define UNLESS_NEVER(...)
#define UNLESS_BY_ERRNO(...) __VA_ARGS__
#define UNLESS_BY_NULL(...) __VA_ARGS__
#define UNLESS_BY_NULL_AND_ERROR(...) __VA_ARGS__
#define UNLESS_BY_ZERO(...) __VA_ARGS__
#define UNLESS_BY_ANSWER(...) __VA_ARGS__

enum call {
#define OPERATION(failure, type, name, parameters, arguments) UNLESS_##failure(CALL_##name, )
#include "os/operations.h"
    CALL_COUNT
};

extern const char *const call_names[];

/* Whether it matters which error a call fails with. */
enum way { BY_ERRNO, BY_NULL_AND_ERROR, BY_NULL, BY_ZERO, BY_ANSWER };

extern const enum way ways[];

/** The system as it is; an operation's own changes to it are made here. */
extern struct msi_os_operations healthy;

/** The fault to come. */
struct plan {
    enum call call;
    int error;   /* positive */
    int nth;     /* which time; 0: never */
    int times;   /* made so far */
    bool struck; /* the fault has happened */
};

extern struct plan plan;

/* Which have ever failed, in any test: shared with the processes that these are. */
extern bool *failed_once;

/* What this system is made to lack, whatever the plan. */
extern int lacks[CALL_COUNT];

/** From now on this thread's calls go as planned. */
void install_faults(void);

#endif
