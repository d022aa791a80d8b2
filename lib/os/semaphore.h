/*
 * semaphore.h - the memory of a named semaphore, as the C library of this system lays it out.
 *
 * glibc changes value and waiters together, as one number of 8 bytes, and never touches the last
 * 4 bytes. There mapseg writes who holds it. So that a process which dies between two steps
 * leaves no semaphore that is held without a mark, or marked without being held, all 16 bytes
 * change at once, which the processor's locked instructions allow beside glibc's own of 8.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_SEMAPHORE_MEMORY_H
#define MAPSEG_SEMAPHORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h> /* which C library it is, where that says so */

/** Bytes of the file of a named semaphore. */
#define MSI_SEMAPHORE_BYTES 32
/** What glibc has in `shared` of one that processes share. */
#define MSI_SEMAPHORE_SHARED 128

/** The bytes that change. */
struct msi_semaphore_word {
    _Alignas(16) uint32_t value; /**< 1: free, 0: held */
    uint32_t waiters;            /**< how many sleep, or are about to */
    uint32_t shared;             /**< MSI_SEMAPHORE_SHARED, for good */
    uint32_t owner;              /**< of mapseg: MAPSEG_LOCK_OWNER and MAPSEG_LOCK_DIED, or 0 */
};

#if defined(__x86_64__) && defined(__LP64__) && defined(__GLIBC__)

/** Whether there is such a semaphore, and such an instruction, here. */
#define MSI_HAS_SEMAPHORES true

/** Swaps all of it from `seen` (updated on failure) to `wanted`; orders all loads and stores. */
static inline bool
msi_semaphore_swap(struct msi_semaphore_word *word, struct msi_semaphore_word *seen,
                   struct msi_semaphore_word wanted)
{
    uint64_t low = (uint64_t)seen->waiters << 32 | seen->value;
    uint64_t high = (uint64_t)seen->owner << 32 | seen->shared;
    uint64_t wanted_low = (uint64_t)wanted.waiters << 32 | wanted.value;
    uint64_t wanted_high = (uint64_t)wanted.owner << 32 | wanted.shared;
    bool swapped;

    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(swapped), "+m"(*word), "+a"(low), "+d"(high)
                     : "b"(wanted_low), "c"(wanted_high)
                     : "memory");
    if (!swapped)
        *seen = (struct msi_semaphore_word){
            .value = (uint32_t)low,
            .waiters = (uint32_t)(low >> 32),
            .shared = (uint32_t)high,
            .owner = (uint32_t)(high >> 32),
        };
    return swapped;
}

#else

#define MSI_HAS_SEMAPHORES false

static inline bool
msi_semaphore_swap(struct msi_semaphore_word *word, struct msi_semaphore_word *seen,
                   struct msi_semaphore_word wanted)
{
    (void)word;
    (void)seen;
    (void)wanted;
    return false;
}

#endif

#endif
