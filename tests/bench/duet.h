/*
 * duet.h - measures in turns what takes two processes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_DUET_H
#define BENCH_DUET_H

#include "interleave.h"

/** Where the other process runs. */
enum stage { STAGE_TWO_CPUS, STAGE_ONE_CPU };

/** Something that this process and another do together, `count` times. The other one is a child,
 *  the same for all duets, and has its own copy of what `state` points to. */
struct duet {
    const char *name;
    const char *what;
    void *state;
    /** What this process does, which is timed. False: it failed. */
    bool (*call)(void *state, long count);
    /** What the other process does. False: it failed. */
    bool (*answer)(void *state, long count);
    /** Clears up after a turn, here, untimed; may be NULL. */
    void (*after)(void *state);
};

/** A wait of either process that takes longer than this has failed. */
#define DUET_PATIENCE_NS INT64_C(10000000000)

bool interleave_duets(const struct duet *duets, size_t count, enum stage stage, int rounds,
                      int64_t turn_ns, struct table *table);

#endif
