/*
 * system_v_lock.c - see system_v_lock.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "system_v_lock.h"

#include "os/os.h"

#include <errno.h>
#include <sys/ipc.h>

/** How often to look for a set that others remove each time. */
#define TRIES 1000

/** As long as the system is asked to wait at once. */
#define LONGEST_WAIT_NS INT64_C(3600000000000)

bool
msi_system_v_is_gone(int error)
{
    return error == -EINVAL || error == -EIDRM;
}

mapseg_result
msi_system_v_judge(const struct msi_system_v *status, struct msi_trust trust,
                   struct msi_failure *failure)
{
    struct stat as_file = {
        .st_mode = S_IFREG | (mode_t)status->mode,
        .st_uid = status->uid,
        .st_gid = status->gid,
        .st_nlink = 1,
    };
    mapseg_result result = msi_trust_file(&as_file, -1, false, trust, failure);

    as_file.st_uid = status->creator_uid;
    return result == MAPSEG_OK ? msi_trust_file(&as_file, -1, false, trust, failure) : result;
}

/* --------------------------------------------------------------- joining -- */

static mapseg_result
cannot_be_made(int error, struct msi_failure *failure)
{
    if (error == ENOSPC)
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, 0,
                          "the system has as many sets of semaphores as it allows; remove those "
                          "that are not used (ipcs -s, ipcrm), or raise the limit (kernel.sem)");
    return msi_system_failed(failure, error, "its semaphore cannot be made");
}

/** Makes the set. A process that joins before its value is 1 waits for that. */
static mapseg_result
make_set(struct msi_system_v_lock *lock, int *set, struct msi_failure *failure)
{
    int error;

    *set = msi_os.system_v_set(lock->file.key, IPC_CREAT | IPC_EXCL | (int)lock->mode);
    if (*set < 0)
        return *set == -EEXIST ? MAPSEG_ALREADY_EXISTS : cannot_be_made(-*set, failure);
    error = msi_os.system_v_set_free(*set);
    if (error >= 0)
        return MAPSEG_OK;
    (void)msi_os.system_v_set_remove(*set);
    return msi_system_failed(failure, -error, "its semaphore cannot be set");
}

static mapseg_result
went_again(struct msi_failure *failure)
{
    return msi_failed(failure, MAPSEG_NOT_FOUND, 0,
                      "its semaphore is removed again and again; find out which process does it");
}

/** Finds the set that another process made. */
static mapseg_result
find_set(struct msi_system_v_lock *lock, int *set, struct msi_failure *failure)
{
    struct msi_system_v status;
    int error;

    *set = msi_os.system_v_set(lock->file.key, 0);
    error = *set < 0 ? *set : msi_os.system_v_set_status(*set, &status);
    if (error >= 0)
        return msi_system_v_judge(&status, lock->file.trust, failure);
    if (error == -ENOENT || msi_system_v_is_gone(error))
        return went_again(failure);
    if (error == -EACCES)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, -error,
                          "this user may not use its semaphore; ask its owner");
    return msi_system_failed(failure, -error, "its semaphore cannot be examined");
}

mapseg_result
msi_system_v_lock_join(struct msi_system_v_lock *lock, bool *made, struct msi_failure *failure)
{
    mapseg_result result = MAPSEG_NOT_FOUND;
    int set = -1;

    *made = false;
    for (int i = 0; i < TRIES && result == MAPSEG_NOT_FOUND; i++) {
        result = make_set(lock, &set, failure);
        *made = result == MAPSEG_OK;
        if (result == MAPSEG_ALREADY_EXISTS)
            result = find_set(lock, &set, failure);
    }
    if (result == MAPSEG_OK)
        atomic_store_explicit(&lock->set, set, memory_order_relaxed);
    return result;
}

/** Joins a set in place of `gone`, and makes what there is not of it and of its key file; nothing,
 *  where another thread of this handle has done it already. */
static mapseg_result
join_anew(struct msi_system_v_lock *lock, int gone, struct msi_failure *failure)
{
    mapseg_result result = MAPSEG_OK;
    bool made;

    pthread_mutex_lock(&lock->joining);
    if (atomic_load_explicit(&lock->set, memory_order_relaxed) == gone) {
        result = msi_key_file_make(&lock->file, &made, failure);
        if (result == MAPSEG_OK)
            result = msi_system_v_lock_join(lock, &made, failure);
    }
    pthread_mutex_unlock(&lock->joining);
    return result;
}

/* ---------------------------------------------------------------- taking -- */

/** Lowers the semaphore, whatever interrupts that. */
static int
lower(int set, bool wait, int64_t deadline)
{
    int64_t left = 0;
    int error;

    do {
        if (wait)
            left = deadline == INT64_MAX ? LONGEST_WAIT_NS : deadline - msi_os.monotonic_ns();
        error = msi_os.system_v_take(set, left < LONGEST_WAIT_NS ? left : LONGEST_WAIT_NS);
    } while (error == -EINTR || (error == -EAGAIN && wait && left > 0));
    return error;
}

/** Words a lock that another has; with the process that probably does, as a hint. */
static mapseg_result
is_busy(int set, bool wait, struct msi_failure *failure)
{
    mapseg_result result = wait ? MAPSEG_TIMED_OUT : MAPSEG_WOULD_BLOCK;
    struct msi_system_v status;

    if (msi_os.system_v_set_status(set, &status) < 0 || status.last_pid == 0)
        return msi_failed(failure, result, 0,
                          "another process or thread holds the lock; try again later");
    return msi_failed(failure, result, 0,
                      "the lock is held, probably by process %u, which used it last; try again "
                      "later, or see what that process does",
                      (unsigned)status.last_pid);
}

/** Words an error of taking the lock; it is positive. */
static mapseg_result
take_failed(int error, struct msi_failure *failure)
{
    if (error == EACCES)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, error,
                          "this process may not change its semaphore; ask its owner for "
                          "permission to write");
    if (error == ENOSPC)
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, 0,
                          "the system undoes no more semaphores at the end of processes; end "
                          "programs that use System V semaphores");
    return msi_system_failed(failure, error, "its semaphore cannot be lowered");
}

mapseg_result
msi_system_v_lock_take(struct msi_system_v_lock *lock, bool wait, int64_t deadline, bool *gone,
                       struct msi_failure *failure)
{
    uint32_t self = msi_os.thread_id();

    if (atomic_load_explicit(&lock->owner, memory_order_relaxed) == self)
        return msi_failed(failure, MAPSEG_ALREADY_LOCKED, 0,
                          "this thread holds the lock already; unlock once");
    for (int i = 0; i < TRIES; i++) {
        int set = atomic_load_explicit(&lock->set, memory_order_relaxed);
        int error = set < 0 ? -EIDRM : lower(set, wait, deadline);
        mapseg_result result;

        if (error >= 0) {
            lock->held = set;
            atomic_store_explicit(&lock->owner, self, memory_order_release);
            return MAPSEG_OK;
        }
        if (error == -EAGAIN)
            return is_busy(set, wait, failure);
        if (!msi_system_v_is_gone(error))
            return take_failed(-error, failure);
        if (gone != NULL) {
            *gone = true;
            return went_again(failure);
        }
        result = join_anew(lock, set, failure);
        if (result != MAPSEG_OK)
            return result;
    }
    return went_again(failure);
}

mapseg_result
msi_system_v_lock_give(struct msi_system_v_lock *lock, struct msi_failure *failure)
{
    struct msi_system_v status;
    uint32_t owner;
    int error;
    int set;

    /* Acquire: `held` is what the thread wrote that took the lock, where that is another one. */
    if (atomic_load_explicit(&lock->owner, memory_order_acquire) == 0)
        return msi_failed(failure, MAPSEG_NOT_LOCKED, 0,
                          "this handle does not hold the lock; unlock once, by the handle that "
                          "took it");
    set = lock->held;
    owner = atomic_exchange_explicit(&lock->owner, 0, memory_order_relaxed);
    if (owner == 0)
        return msi_failed(failure, MAPSEG_NOT_LOCKED, 0,
                          "another thread has unlocked it just now; unlock once");
    error = msi_os.system_v_give(set);
    if (error >= 0)
        return MAPSEG_OK;
    if (msi_system_v_is_gone(error) &&
        msi_system_v_is_gone(msi_os.system_v_set_status(set, &status)))
        return msi_failed(failure, MAPSEG_LOCK_ERROR, 0,
                          "its semaphore was removed while this handle held the lock, so others "
                          "may have held it too; see to the data, and find out which process "
                          "removed it");
    /* It is held as before. */
    atomic_store_explicit(&lock->owner, owner, memory_order_release);
    return msi_system_failed(failure, -error,
                             "its semaphore cannot be raised; unlock again, or end the process");
}

/* ------------------------------------------------------------- repairing -- */

/** Whether no living process can hold a lock whose semaphore is in that state. */
static bool
is_abandoned(const struct msi_system_v *status)
{
    return status->value == 0 && status->last_pid != 0 && !msi_os.process_lives(status->last_pid);
}

mapseg_result
msi_system_v_lock_repair(int set, bool force, struct msi_failure *failure)
{
    struct msi_system_v status;
    int error = msi_os.system_v_set_status(set, &status);

    if (error >= 0 && status.value == 1)
        return msi_failed(failure, MAPSEG_NOT_LOCKED, 0,
                          "its lock is free; there is nothing to repair");
    /* What is above 1 lets several hold the lock at once, whatever it came from. */
    if (error >= 0 && (status.value > 1 || is_abandoned(&status)))
        error = msi_os.system_v_mend(set, status.value);
    else if (error >= 0 && force)
        error = msi_os.system_v_set_free(set);
    else if (error >= 0)
        return msi_failed(failure, MAPSEG_IN_USE, 0,
                          "the lock is held, and it is not certain that its owner, probably "
                          "process %u, is dead; end that process, or force it",
                          (unsigned)status.last_pid);
    if (error >= 0)
        return MAPSEG_OK;
    if (error == -EAGAIN)
        return msi_failed(failure, MAPSEG_IN_USE, 0,
                          "the lock changes hands at this moment, so it is in use; repair it "
                          "when no process gets on");
    if (msi_system_v_is_gone(error))
        return msi_failed(failure, MAPSEG_NOT_FOUND, 0,
                          "its semaphore is gone; the next process that locks makes a new one");
    return msi_system_failed(failure, -error, "its semaphore cannot be set");
}
