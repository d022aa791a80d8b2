/*
 * posix.h - the fast path of the lock of POSIX segments.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_POSIX_H
#define MAPSEG_POSIX_H

#include "foreign.h"
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
    struct msi_semaphore *_Atomic current; /**< NULL: not opened yet; see also seg->lock */
};

/** Notes that this thread owns. */
static inline void
msi_posix_note_owner(mapseg *seg)
{
    atomic_store_explicit(&seg->lock.owner_thread, msi_thread.number, memory_order_relaxed);
}

/** Whether a thread of this handle owns. */
static inline bool
msi_posix_is_owned(const mapseg *seg)
{
    uint32_t owner = atomic_load_explicit(&seg->lock.owner_thread, memory_order_relaxed);

    return owner != MSI_NEVER_OWNED && owner != MSI_NOT_OWNED;
}

/** The fast path: takes the semaphore if that is ready, free, and no program waits for it; and it
 * is not time to look whether it was replaced. OK, OWNER_DIED, or WOULD_BLOCK: not taken. */
static inline mapseg_result
msi_posix_take_fast(mapseg *seg)
{
    struct msi_lock *lock = &seg->lock;
    struct msi_semaphore *semaphore = atomic_load_explicit(&lock->semaphore, memory_order_acquire);
    uint32_t locks = atomic_load_explicit(&lock->locks, memory_order_relaxed) + 1;
    uint64_t seen = MSI_SEMAPHORE_FREE;
    uint64_t mark;

    if (semaphore == NULL || msi_thread.number == 0 || locks == MSI_POSIX_LOCKS_FOR_A_LOOK ||
        !msi_lock_is_current(lock))
        return MAPSEG_WOULD_BLOCK;
    mark = atomic_load_explicit(&semaphore->mark, memory_order_relaxed);
    /* Acquire: what the last owner wrote becomes visible. A mark of 0 is none yet. */
    if (mark == 0 ||
        !atomic_compare_exchange_strong_explicit(&semaphore->memory->word, &seen, mark,
                                                 memory_order_acquire, memory_order_relaxed))
        return MAPSEG_WOULD_BLOCK;
    atomic_store_explicit(&lock->locks, locks, memory_order_relaxed);
    msi_posix_note_owner(seg);
    return msi_semaphore_death(semaphore);
}

/** The fast path back: as mapseg_unlock. The semaphore that this handle holds is the current one,
 *  unless another of its threads has found that it was replaced. */
static inline bool
msi_posix_free_fast(mapseg *seg)
{
    struct msi_lock *lock = &seg->lock;
    struct msi_semaphore *semaphore = atomic_load_explicit(&lock->semaphore, memory_order_relaxed);
    uint64_t seen;

    if (semaphore == NULL || !msi_lock_is_current(lock) || !msi_posix_is_owned(seg))
        return false;
    /* Before it is free: the next owner may be another thread of the handle. */
    atomic_store_explicit(&lock->owner_thread, MSI_NOT_OWNED, memory_order_relaxed);
    seen = atomic_load_explicit(&semaphore->mark, memory_order_relaxed);
    /* Release: what this owner wrote becomes visible to the next. */
    return atomic_compare_exchange_strong_explicit(&semaphore->memory->word, &seen,
                                                   MSI_SEMAPHORE_FREE, memory_order_release,
                                                   memory_order_relaxed) ||
           msi_semaphore_post(semaphore);
}

#endif
