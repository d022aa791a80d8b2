/*
 * posix.h - the fast path of the lock of POSIX segments.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_POSIX_H
#define MAPSEG_POSIX_H

#include "foreign.h"
#include "os/tsan.h"
#include "semaphore.h"

/** After so many locks that needed no wait an owner looks whether the semaphore still has the
 *  name: a look takes as long as a hundred of them. */
#define MSI_POSIX_LOCKS_FOR_A_LOOK 1024

/** What a handle has of a POSIX segment. */
struct msi_posix {
    struct msi_foreign foreign; /* first: what the handle has is a pointer to it */
    char *path;                 /**< of the semaphore */
    struct msi_semaphore_likeness like;
    struct msi_trust trust;
    struct msi_semaphore *_Atomic current; /**< NULL: not opened yet */
    struct msi_semaphore *_Atomic held;    /**< by this handle; NULL: none */
    _Atomic uint32_t locks;                /**< since the last look */
};

/** Notes that this thread owns. */
static inline void
msi_posix_note_owner(mapseg *seg, struct msi_semaphore *semaphore)
{
    struct msi_posix *posix = (struct msi_posix *)seg->foreign;

    atomic_store_explicit(&posix->held, semaphore, memory_order_relaxed);
    atomic_store_explicit(&seg->lock.owner_thread, msi_thread.number, memory_order_relaxed);
}

/** Forgets it, and returns what is held; NULL: none is. */
static inline struct msi_semaphore *
msi_posix_forget_owner(mapseg *seg)
{
    struct msi_posix *posix = (struct msi_posix *)seg->foreign;
    struct msi_semaphore *semaphore = atomic_load_explicit(&posix->held, memory_order_relaxed);

    if (semaphore == NULL)
        return NULL;
    atomic_store_explicit(&posix->held, NULL, memory_order_relaxed);
    atomic_store_explicit(&seg->lock.owner_thread, MSI_NOT_OWNED, memory_order_relaxed);
    return semaphore;
}

/** The fast path: takes the semaphore if that is ready, free, and no program waits for it; and it
 * is not time to look whether it was replaced. OK, OWNER_DIED, or WOULD_BLOCK: not taken. */
static inline mapseg_result
msi_posix_take_fast(mapseg *seg)
{
    struct msi_posix *posix = (struct msi_posix *)seg->foreign;
    struct msi_semaphore *semaphore = atomic_load_explicit(&posix->current, memory_order_acquire);
    uint32_t locks = atomic_load_explicit(&posix->locks, memory_order_relaxed) + 1;
    uint64_t seen = MSI_SEMAPHORE_FREE;
    uint32_t slot;

    if (semaphore == NULL || msi_thread.number == 0 || locks == MSI_POSIX_LOCKS_FOR_A_LOOK ||
        !msi_lock_is_current(&seg->lock))
        return MAPSEG_WOULD_BLOCK;
    slot = atomic_load_explicit(&semaphore->slot, memory_order_relaxed);
    /* Acquire: what the last owner wrote becomes visible. */
    if (slot == 0 || !atomic_compare_exchange_strong_explicit(
                         &semaphore->memory->word, &seen, slot * MSI_SEMAPHORE_OWNER,
                         memory_order_acquire, memory_order_relaxed))
        return MAPSEG_WOULD_BLOCK;
    atomic_store_explicit(&posix->locks, locks, memory_order_relaxed);
    msi_posix_note_owner(seg, semaphore);
    return msi_semaphore_taken(semaphore);
}

/** The fast path back; false: nothing has changed. */
static inline bool
msi_posix_free_fast(mapseg *seg)
{
    struct msi_semaphore *semaphore;
    uint64_t seen;

    if (!msi_lock_is_current(&seg->lock))
        return false;
    semaphore = msi_posix_forget_owner(seg);
    if (semaphore == NULL)
        return false;
    seen = atomic_load_explicit(&semaphore->slot, memory_order_relaxed) * MSI_SEMAPHORE_OWNER;
    msi_tsan_release(semaphore->memory);
    /* Release: what this owner wrote becomes visible to the next. */
    return atomic_compare_exchange_strong_explicit(&semaphore->memory->word, &seen,
                                                   MSI_SEMAPHORE_FREE, memory_order_release,
                                                   memory_order_relaxed) ||
           msi_semaphore_post(semaphore);
}

/** The same where it is a handle of that way. */
static inline bool
msi_posix_is_way_of(const mapseg *seg)
{
    return seg->foreign != NULL && seg->foreign->way == &msi_foreign_posix;
}

#endif
