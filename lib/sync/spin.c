/*
 * spin.c - how long a pause takes on this CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#include "spin.h"

#include "os/os.h"

/** What is measured at a time: long beside a look at the clock, and short beside the time
 *  that a thread mostly has its CPU for. */
#define MEASURED_PAUSES 32

/** The shortest of these counts: the thread may lose its CPU meanwhile. */
#define MEASUREMENTS 3

/* What a pause can take, in picoseconds. Beyond that the clock is wrong: it stands
 * still, or moves by leaps. */
#define SHORTEST_PAUSE_PS 1000
#define LONGEST_PAUSE_PS 200000

/** 0: not measured yet. All threads that measure at once may store it. */
static _Atomic uint32_t pause_ps;

static uint32_t
measure_pause(void)
{
    int64_t shortest = INT64_MAX;
    int64_t ps;

    for (int i = 0; i < MEASUREMENTS; i++) {
        int64_t begin = msi_os.monotonic_ns();
        int64_t took;

        msi_spin(MEASURED_PAUSES);
        took = msi_os.monotonic_ns() - begin;
        if (took < shortest)
            shortest = took;
    }
    if (shortest <= 0)
        return SHORTEST_PAUSE_PS;
    ps = shortest < LONGEST_PAUSE_PS ? shortest * 1000 / MEASURED_PAUSES : LONGEST_PAUSE_PS;
    if (ps < SHORTEST_PAUSE_PS)
        return SHORTEST_PAUSE_PS;
    return ps < LONGEST_PAUSE_PS ? (uint32_t)ps : LONGEST_PAUSE_PS;
}

uint32_t
msi_spin_pauses(uint32_t ns)
{
    uint32_t ps = atomic_load_explicit(&pause_ps, memory_order_relaxed);
    uint64_t pauses;

    if (ps == 0) {
        ps = measure_pause();
        atomic_store_explicit(&pause_ps, ps, memory_order_relaxed);
    }
    pauses = (uint64_t)ns * 1000 / ps;
    return pauses > 0 ? (uint32_t)pauses : 1;
}
