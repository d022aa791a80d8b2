/*
 * interleave.h - measures several things in one run, in short turns.
 *
 * A machine's speed drifts: a table that measures one thing after the other compares the drift.
 * Here every round gives each a turn, in an order that rotates, and ratios are taken within a
 * round.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_INTERLEAVE_H
#define BENCH_INTERLEAVE_H

#include "report.h"

#include <stdint.h>

/** One of the things to measure. */
struct runner {
    const char *name;
    const char *what;
    void *state;
    /** Does it `count` times; false: it failed. */
    bool (*run)(void *state, long count);
    /** Prepares for that, untimed; may be NULL. False: it failed. */
    bool (*before)(void *state, long count);
    /** Clears up after a turn, untimed; may be NULL. */
    void (*after)(void *state);
};

/** `turn_ns`: how long a turn should take; 0: it does the thing once. */
bool interleave(const struct runner *runners, size_t count, int rounds, int64_t turn_ns,
                struct table *table);

#endif
