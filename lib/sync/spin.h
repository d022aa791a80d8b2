/*
 * spin.h - waiting for memory to change, without sleeping.
 *
 * How long a pause takes is the CPU's affair: from 1 to more than 60 ns. So a loop says
 * for how long it wants to wait, and asks here how many pauses that is.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_SPIN_H
#define MAPSEG_SPIN_H

#include <stdatomic.h>
#include <stdint.h>

/** A moment's pause of a loop that looks at memory again and again. */
static inline void
msi_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    /* `yield` does nothing on most cores; this empties the pipeline. */
    __asm__ volatile("isb" ::: "memory");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/** How many pauses take about so many nanoseconds, at least one. The first call of a
 *  process measures a pause, which takes some microseconds. */
uint32_t msi_spin_pauses(uint32_t ns);

/** Pauses so often. */
static inline void
msi_spin(uint32_t pauses)
{
    for (uint32_t i = 0; i < pauses; i++)
        msi_relax();
}

#endif
