/*
 * semaphore.h - the memory of a named semaphore, as the C library of this system lays it out.
 *
 * glibc, where numbers of 8 bytes are swapped at once, has the value in the lower half of one and
 * how many wait in the upper half, of which it asks only whether it is 0, before it wakes a waiter.
 * It adds to that and takes away, so what stands in its upper bits meanwhile is left alone: there
 * mapseg writes who holds it, with the very swap that takes it. So no process dies between the two.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_SEMAPHORE_MEMORY_H
#define MAPSEG_SEMAPHORE_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h> /* which C library it is, where that says so */

/** Bytes of the file of a named semaphore. */
#define MSI_SEMAPHORE_BYTES 32

/** What glibc has in `shared` of one that processes share. */
#define MSI_SEMAPHORE_SHARED 128

/** The bytes that mean something; the rest is zero. */
struct msi_semaphore_memory {
    _Atomic uint64_t word;  /**< see below */
    uint32_t shared;        /**< MSI_SEMAPHORE_SHARED, for good */
    _Atomic uint32_t notes; /**< of mapseg alone: MSI_SEMAPHORE_DIED, or 0 */
};

/** An owner died, of mapseg, and no owner of mapseg has declared the data consistent since. */
#define MSI_SEMAPHORE_DIED 1

/* The word: the value, 1 is free and 0 is held; how many wait; and the mark of an owner of
 * mapseg, 0 where another program owns it, or none. */

#define MSI_SEMAPHORE_FREE UINT64_C(1)
#define MSI_SEMAPHORE_WAITER (UINT64_C(1) << 32)
#define MSI_SEMAPHORE_OWNER (UINT64_C(1) << 48)

static inline uint32_t
msi_semaphore_value(uint64_t word)
{
    return (uint32_t)word;
}

static inline uint32_t
msi_semaphore_waiters(uint64_t word)
{
    return (uint32_t)(word >> 32) & 0xffff;
}

static inline uint32_t
msi_semaphore_owner(uint64_t word)
{
    return (uint32_t)(word >> 48);
}

/** The value's own 4 bytes, to sleep on. */
static inline const uint32_t *
msi_semaphore_sleeping_place(const struct msi_semaphore_memory *memory)
{
    const uint16_t one = 1;
    const bool lower_first = *(const unsigned char *)&one == 1;

    return (const uint32_t *)(const void *)&memory->word + (lower_first ? 0 : 1);
}

/** Whether the semaphores of this machine and its C library are like that. */
#if defined(__LP64__) && defined(__GLIBC__)
#define MSI_HAS_SEMAPHORES true
#else
#define MSI_HAS_SEMAPHORES false
#endif

#endif
