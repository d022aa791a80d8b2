/*
 * tsan.h - telling a race detector about the lock.
 *
 * A program built with -fsanitize=thread may use a library that is not. Then
 * the detector does not see the swaps of the lock word, and calls data races
 * what the lock guards. Its runtime can be told; where there is none these
 * functions do not exist, and nothing is called.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_WATCH_H
#define MAPSEG_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
void __tsan_acquire(void *address) __attribute__((weak));
void __tsan_release(void *address) __attribute__((weak));
#pragma GCC diagnostic pop

/** Whether a detector runs in this process. */
static inline bool
msi_tsan_is_there(void)
{
    return __tsan_acquire != NULL && __tsan_release != NULL;
}

/** The calling thread has taken what others released at the address. */
static inline void
msi_tsan_acquire(void *address)
{
    if (msi_tsan_is_there())
        __tsan_acquire(address);
}

/** The calling thread is about to release at the address. */
static inline void
msi_tsan_release(void *address)
{
    if (msi_tsan_is_there())
        __tsan_release(address);
}

#endif
