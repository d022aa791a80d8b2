/*
 * hostile.h - calls of the library beside peers that do what they can to harm, in a /dev/shm
 * of the test's own. Each call ends once its time is over, and explains its failure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_HOSTILE_H
#define MAPSEG_TEST_HOSTILE_H

#include "support.h"

#include <check.h>
#include <stdint.h>

#define SHM "/dev/shm"
#define DATA_BYTES 20000

/** A call that has not ended so long after its time hangs: how much a busy machine makes it late is
 *  no fault of the call. */
#define GRACE HANG

/** How long a call waits that has no deadline of its own. */
#define PATIENCE SECOND

/* ------------------------------------------------------------- suite -- */

/** The main of a suite whose tests need a /dev/shm of their own; its exit status. */
int run_hostile(const char *name, void (*add_cases)(Suite *suite));

/** How long the long tests go on: MAPSEG_HOSTILE_SECONDS of the environment. */
int64_t hostile_time(void);

/** The state from which this process draws its numbers. */
extern uint32_t chance;
uint32_t draw(uint32_t below);

/* --------------------------------------------------------- the place -- */

/** Takes all that is left of the file system. */
void fill_up(void);

/* ----------------------------------------------------- calls in time -- */

/** From now on a call that hangs is named before the process ends. */
void watch_hangs(void);

void begin_call(const char *name, int64_t limit);
int end_call(int result);

/** The call, whose time is the limit, ends; its result. */
#define in_time(limit, call) (begin_call(#call, limit), end_call((int)(call)))
#define in_time_result(limit, call) ((mapseg_result)in_time(limit, call))

/** What is said of a failure is there to be read; returns the result. */
mapseg_result explained(const mapseg *seg, mapseg_result result);

mapseg_result attach_for(mapseg *seg, mapseg_access access, int64_t timeout);
/** Creates the segment in place of one that is left behind. */
mapseg_result replace(mapseg *seg);
/** The segment's information, which may be refused. */
void inspect(mapseg *seg);
/** The segment's information and the list, which are there. */
void need_info_and_list(mapseg *seg);
/** Exports a descriptor to read with, which may be refused. */
void try_export(mapseg *seg);

#endif
