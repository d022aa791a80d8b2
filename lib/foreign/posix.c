/*
 * posix.c - POSIX segments, with the semaphore that Qt has beside each.
 *
 * The segment NAME is the file /dev/shm/NAME, its lock the semaphore in /dev/shm/sem.NAME. Neither
 * attaching nor creating takes that: a segment that mapseg creates has its name when it is
 * complete, and one that another program creates is waited for until it has a size.
 *
 * Qt's create() replaces the semaphore, also where it fails, and also while it is held. So a
 * waiter looks whether its semaphore still has the name, and an owner when it had to wait, and
 * each so many times otherwise.
 *
 * SPDX-License-Identifier: MIT
 */
#include "posix.h"

#include "file/key.h"
#include "file/place.h"
#include "handle/forklist.h"
#include "handle/options.h"
#include "os/os.h"
#include "os/tsan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/** The longest sleep of a waiter: it looks whether the owner died, or the semaphore was replaced.
 */
#define SLICE_NS INT64_C(50000000)

static struct msi_posix *
posix_of(mapseg *seg)
{
    return (struct msi_posix *)seg->foreign;
}

/* -------------------------------------------------------- open and close -- */

/** The semaphore's path, which the caller frees; NULL: no memory. */
static char *
semaphore_path(const struct msi_name *name)
{
    size_t above = (size_t)(name->last - name->path);
    size_t bytes = strlen(name->path) + sizeof MSI_SEMAPHORE_MARK;
    char *path = malloc(bytes);

    if (path == NULL)
        return NULL;
    memcpy(path, name->path, above);
    memcpy(path + above, MSI_SEMAPHORE_MARK, strlen(MSI_SEMAPHORE_MARK));
    memcpy(path + above + strlen(MSI_SEMAPHORE_MARK), name->last, strlen(name->last) + 1);
    return path;
}

static void
posix_close(struct msi_foreign *foreign)
{
    struct msi_posix *posix = (struct msi_posix *)foreign;

    msi_semaphore_close(posix->current);
    free(posix->path);
    free(posix);
}

static void
posix_forked(struct msi_foreign *foreign)
{
    struct msi_posix *posix = (struct msi_posix *)foreign;

    msi_semaphore_forked(posix->current);
}

static void
posix_forget(struct msi_foreign *foreign)
{
    posix_forked(foreign);
    posix_close(foreign);
}

static mapseg_result
posix_open(struct msi_foreign **foreign, const struct msi_name *name, int fd,
           const mapseg_options *options, bool creates, struct msi_failure *failure)
{
    struct msi_posix *posix = calloc(1, sizeof *posix);
    struct msi_semaphore *semaphore;
    mapseg_result result;
    struct stat status;
    int error;

    if (posix == NULL)
        return msi_system_failed(failure, ENOMEM, "there is no memory for its lock");
    *foreign = &posix->foreign;
    posix->foreign.way = &msi_foreign_posix;
    posix->foreign.forked = posix_forked;
    posix->foreign.forget = posix_forget;
    posix->trust = msi_options_trust(options);
    posix->path = semaphore_path(name);
    if (posix->path == NULL)
        return msi_system_failed(failure, ENOMEM, "there is no memory for its path");
    error = msi_os.status(fd, &status);
    if (error < 0)
        return msi_system_failed(failure, -error, "the file cannot be examined");
    posix->like = (struct msi_semaphore_likeness){
        .mode = status.st_mode & 0666,
        .group = (uint32_t)status.st_gid,
    };
    /* Qt's attach needs it to be there; where another program made the segment without one, as
     * shm_open alone does, it comes with the first lock. */
    if (!creates || !MSI_HAS_SEMAPHORES)
        return MAPSEG_OK;
    result = msi_semaphore_open(&semaphore, posix->path, &posix->like, posix->trust, failure);
    posix->current = semaphore;
    return result;
}

/* -------------------------------------------------------------- the lock -- */

/** Opens the semaphore that has the name now, in place of the one of before, which stays with
 *  the threads that use it. Gone: the one of before still is the lock of those that have it. */
static mapseg_result
renew(mapseg *seg, struct msi_failure *failure)
{
    struct msi_posix *posix = posix_of(seg);
    struct msi_semaphore *before;
    struct msi_semaphore *semaphore;
    mapseg_result result = MAPSEG_OK;

    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    before = posix->current;
    if (before == NULL || msi_semaphore_is_replaced(before)) {
        result = msi_semaphore_open(&semaphore, posix->path, before == NULL ? &posix->like : NULL,
                                    posix->trust, failure);
        if (result == MAPSEG_OK) {
            semaphore->older = before;
            posix->current = semaphore;
        } else if (result == MAPSEG_NOT_FOUND && before != NULL) {
            result = MAPSEG_OK;
        }
    }
    if (result == MAPSEG_OK)
        result = msi_semaphore_claim(posix->current, failure);
    /* Release: the fast path finds it complete. That tells a race detector nothing. */
    if (result == MAPSEG_OK && !msi_tsan_is_there())
        atomic_store_explicit(&seg->lock.semaphore, posix->current, memory_order_release);
    msi_forklist_unlock();
    return result;
}

/** Frees what this handle holds; false: nothing. */
static bool
release(mapseg *seg)
{
    if (!msi_posix_is_owned(seg))
        return false;
    /* Before it is free: the next owner may be another thread of the handle. */
    atomic_store_explicit(&seg->lock.owner_thread, MSI_NOT_OWNED, memory_order_relaxed);
    return msi_semaphore_post(posix_of(seg)->current);
}

static mapseg_result
timed_out(uint64_t seen, struct msi_failure *failure)
{
    if (msi_semaphore_owner(seen) != 0)
        return MAPSEG_TIMED_OUT;
    return msi_failed(failure, MAPSEG_TIMED_OUT, 0,
                      "the lock's owner did not release it in time, and leaves no mark, as Qt's "
                      "programs do, so whether it lives cannot be known; try again, or, if it is "
                      "dead, repair the lock by force (mapseg_repair)");
}

/** One try, and if it was in vain one sleep. *counted: the semaphore in which this thread is
 *  counted as a waiter. *done: there is a result. */
static mapseg_result
try_and_sleep(mapseg *seg, struct msi_semaphore **counted, bool wait, int64_t deadline, bool *done,
              struct msi_failure *failure)
{
    struct msi_posix *posix = posix_of(seg);
    mapseg_result result = renew(seg, failure);
    struct msi_semaphore *semaphore = posix->current;
    uint64_t seen;
    int64_t left;

    *done = true;
    if (result != MAPSEG_OK)
        return result;
    seen = msi_semaphore_look(semaphore);
    result = msi_semaphore_try(semaphore, &seen, failure);
    if (mapseg_result_owes_unlock(result)) {
        msi_posix_note_owner(seg);
        atomic_store_explicit(&seg->lock.locks, 0, memory_order_relaxed);
        *done = !msi_semaphore_is_replaced(semaphore);
        if (!*done)
            (void)release(seg);
        return result;
    }
    if (result == MAPSEG_WOULD_BLOCK && msi_lock_held_by_this_thread(&seg->lock))
        return MAPSEG_ALREADY_LOCKED;
    if (result != MAPSEG_WOULD_BLOCK || !wait)
        return result;
    left = deadline == INT64_MAX ? SLICE_NS : deadline - msi_os.monotonic_ns();
    if (left <= 0)
        return timed_out(seen, failure);
    *done = false;
    if (*counted == semaphore) {
        msi_semaphore_sleep(semaphore, left < SLICE_NS ? left : SLICE_NS);
        return result;
    }
    /* And tried once more before it sleeps: by then it may be free. */
    if (*counted != NULL)
        msi_semaphore_count(*counted, false);
    msi_semaphore_count(semaphore, true);
    *counted = semaphore;
    return result;
}

static mapseg_result
posix_lock(mapseg *seg, bool wait, int64_t deadline, struct msi_failure *failure)
{
    struct msi_semaphore *counted = NULL;
    mapseg_result result;
    bool done;

    if (!MSI_HAS_SEMAPHORES)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "the semaphores of this machine, or of its C library, are not known, so "
                          "it cannot be locked; agree on another lock with the programs that use "
                          "it");
    msi_lock_know_thread();
    result = msi_posix_take_fast(seg);
    if (result != MAPSEG_WOULD_BLOCK)
        return result;
    do
        result = try_and_sleep(seg, &counted, wait, deadline, &done, failure);
    while (!done);
    if (counted != NULL)
        msi_semaphore_count(counted, false);
    return result;
}

static mapseg_result
posix_unlock(mapseg *seg, struct msi_failure *failure)
{
    (void)failure;
    return release(seg) ? MAPSEG_OK : MAPSEG_NOT_LOCKED;
}

static mapseg_result
posix_consistent(mapseg *seg, struct msi_failure *failure)
{
    (void)failure;
    return msi_posix_is_owned(seg) && msi_semaphore_declare_consistent(posix_of(seg)->current)
               ? MAPSEG_OK
               : MAPSEG_NOT_LOCKED;
}

/* ------------------------------------------------------- without a handle -- */

/** Reads the semaphore from outside. 1, 0 where there is none, -1 where it cannot be read. */
static int
read_semaphore(const struct msi_name *name, int *fd, struct msi_semaphore_copy *copy)
{
    char *path = semaphore_path(name);
    struct stat status;
    int error = path == NULL ? -ENOMEM : msi_os.status_of_name(-1, path, &status);

    *fd = -1;
    if (error >= 0 && S_ISREG(status.st_mode) && status.st_size == MSI_SEMAPHORE_BYTES)
        *fd = msi_os.open(-1, path, O_RDONLY);
    free(path);
    if (error == -ENOENT)
        return 0;
    return *fd >= 0 && msi_semaphore_read(*fd, copy) ? 1 : -1;
}

static void
posix_look(const struct msi_name *name, int segment, mapseg_info *information)
{
    struct msi_semaphore_copy copy;
    int fd;
    int found;

    (void)segment;
    if (name->path == NULL || msi_forklist_lock() < 0)
        return;
    found = read_semaphore(name, &fd, &copy);
    if (found == 0)
        information->lock = MAPSEG_LOCK_STATE_FREE;
    if (found == 1) {
        information->lock_slot = msi_semaphore_owner(copy.word);
        information->lock_inconsistent = (copy.notes & MSI_SEMAPHORE_DIED) != 0;
        information->lock_sleepers = msi_semaphore_waiters(copy.word) != 0;
        if (msi_semaphore_value(copy.word) != 0)
            information->lock = information->lock_inconsistent ? MAPSEG_LOCK_STATE_INCONSISTENT
                                                               : MAPSEG_LOCK_STATE_FREE;
        else if (information->lock_slot == 0 || msi_presence_is_held(fd, information->lock_slot))
            information->lock = MAPSEG_LOCK_STATE_HELD;
        else
            information->lock = MAPSEG_LOCK_STATE_OWNER_DIED;
    }
    if (fd >= 0)
        msi_close(fd);
    msi_forklist_unlock();
}

/** Removes the semaphore too, unless it is held: its owner may be in the middle of creating the
 *  segment anew. The fork list is locked. */
static int
posix_removed(const struct msi_name *name)
{
    struct msi_semaphore_copy copy;
    char *path = semaphore_path(name);
    int fd = -1;

    if (path != NULL && read_semaphore(name, &fd, &copy) == 1 &&
        msi_semaphore_value(copy.word) != 0)
        (void)msi_os.unlink(-1, path);
    free(path);
    return fd < 0 ? -1 : fd;
}

static mapseg_result
posix_repair(mapseg *seg, bool force, struct msi_failure *failure)
{
    const struct msi_trust any = {.flags = (uint32_t)MAPSEG_ALLOW_OTHER_OWNER |
                                           (uint32_t)MAPSEG_ALLOW_SHARED_WRITE};
    struct msi_semaphore *semaphore = NULL;
    struct msi_place place;
    struct msi_name name;
    mapseg_result result;
    char *path = NULL;

    if (!MSI_HAS_SEMAPHORES)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "the semaphores of this machine, or of its C library, are not known; "
                          "repair it with a program that can lock it");
    msi_place_of(seg->key, &place);
    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    result = msi_place_open(&place, false, any, &name, failure);
    if (result == MAPSEG_OK)
        path = semaphore_path(&name);
    if (result == MAPSEG_OK && path == NULL)
        result = msi_system_failed(failure, ENOMEM, "there is no memory for its path");
    if (result == MAPSEG_OK)
        result = msi_semaphore_open(&semaphore, path, NULL, any, failure);
    if (result == MAPSEG_OK)
        result = msi_semaphore_repair(semaphore, force, failure);
    msi_semaphore_close(semaphore);
    msi_name_close(&name);
    free(path);
    msi_forklist_unlock();
    return result;
}

const struct msi_foreign_way msi_foreign_posix = {
    .name = "POSIX",
    .open = posix_open,
    .close = posix_close,
    .look = posix_look,
    .removed = posix_removed,
    .lock = posix_lock,
    .unlock = posix_unlock,
    .consistent = posix_consistent,
    .repair = posix_repair,
};
