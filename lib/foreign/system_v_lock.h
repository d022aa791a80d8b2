/*
 * system_v_lock.h - a System V semaphore as the lock of a segment, as QSharedMemory uses it.
 *
 * The semaphore is 1 while the lock is free. The kernel undoes what an owner did that ends, and
 * tells no process; and it forgets a set that is removed, whichever process holds it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_SYSTEM_V_LOCK_H
#define MAPSEG_SYSTEM_V_LOCK_H

#include "key_file.h"
#include "os/failure.h"
#include "os/os.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct msi_system_v_lock {
    struct msi_key_file file;
    pthread_mutex_t joining; /**< of the threads of a handle one joins at a time */
    uint32_t mode;           /**< of a set that is made */
    _Atomic int set;         /**< its number; -1: none yet */
    int held;                /**< the set that the owner has lowered */
    _Atomic uint32_t owner;  /**< the thread that holds it; 0: none of this handle */
};

/** Finds the set of the key file that was looked at, and judges it, or makes it; NOT_FOUND: it
 *  came and went. */
mapseg_result msi_system_v_lock_join(struct msi_system_v_lock *lock, bool *made,
                                     struct msi_failure *failure);

/** Takes the lock. A set that is gone, or that this handle has not met yet, is joined, and made if
 *  need be, as is its key file. *gone (may be NULL) and NOT_FOUND: the set that was known is
 *  gone, and the caller wants to hear of that instead. */
mapseg_result msi_system_v_lock_take(struct msi_system_v_lock *lock, bool wait, int64_t deadline,
                                     bool *gone, struct msi_failure *failure);

/** Gives the lock back. LOCK_ERROR: its set is gone, so that others could have it meanwhile; no
 *  new one is made. */
mapseg_result msi_system_v_lock_give(struct msi_system_v_lock *lock, struct msi_failure *failure);

/** Whether this handle holds it. */
static inline bool
msi_system_v_lock_is_held(const struct msi_system_v_lock *lock)
{
    return atomic_load_explicit(&lock->owner, memory_order_relaxed) != 0;
}

/** Whether an error says that a set or a segment of that number is gone. */
bool msi_system_v_is_gone(int error);

/** Judges a set, or a segment, by its owner, its creator and its mode, as a file. */
mapseg_result msi_system_v_judge(const struct msi_system_v *status, struct msi_trust trust,
                                 struct msi_failure *failure);

/** Frees a lock whose owner is dead, or that several could hold; `force`: without proof. */
mapseg_result msi_system_v_lock_repair(int set, bool force, struct msi_failure *failure);

#endif
