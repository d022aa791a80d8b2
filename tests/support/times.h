/*
 * times.h - how long things may take.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_TIMES_H
#define TESTS_SUPPORT_TIMES_H

#include <stdint.h>

#define MICROSECOND INT64_C(1000)
#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)

/** What takes longer than this hangs: far more than it takes on the slowest machine. That something
 *  comes within this is all that a test says about how soon it comes. */
#define HANG (120 * SECOND)

/** The same for poll and its like, which count milliseconds. */
#define HANG_MS ((int)(HANG / MILLISECOND))

/** The moment from which on a wait that begins now is a hang; under valgrind it comes later. */
int64_t hang_deadline(void);

int64_t now_ns(void);
void nap(int64_t ns);
/** Lets others run for a moment. Asleep: who only yields is passed over by all that a busy machine
 *  has to do, each time. */
void give_way(void);

#endif
