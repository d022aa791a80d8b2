/*
 * spin.h - a pause in a loop that looks at memory.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_SPIN_H
#define MAPSEG_SPIN_H

#include <stdatomic.h>

/** A moment's pause of a loop that looks at memory again and again. */
static inline void
msi_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

#endif
