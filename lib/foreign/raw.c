/*
 * raw.c - files without a header, whose lock is the kernel's.
 *
 * The lock is a write lock on one byte, far beyond any data, of an open file description that is
 * the handle's alone: the kernel lets go of it when the owner ends, and tells no later owner. It
 * cannot be waited for with a time limit, so a waiter looks again and again, with pauses that grow.
 * Threads of one handle have the same description, which never conflicts with itself: they
 * exclude each other by a word in the process.
 *
 * SPDX-License-Identifier: MIT
 */
#include "file/file.h"
#include "foreign.h"
#include "handle/forklist.h"
#include "handle/options.h"
#include "mapseg-format.h"
#include "os/os.h"
#include "os/tsan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define LOCK_BYTE (MAPSEG_PRESENCE_BASE + MAPSEG_RAW_LOCK_BYTE)

/** What a handle has of one. */
struct raw {
    struct msi_foreign foreign;          /* first: what the handle has is a pointer to it */
    struct msi_fd_in_flight description; /**< -1: not opened yet; a child closes its copy */
    _Atomic uint32_t taken;              /**< by a thread of this handle */
};

static struct raw *
raw_of(mapseg *seg)
{
    return (struct raw *)seg->foreign;
}

static void
raw_close(struct msi_foreign *foreign)
{
    struct raw *raw = (struct raw *)foreign;

    if (raw->description.fd >= 0) {
        msi_in_flight_remove(&raw->description);
        msi_close(raw->description.fd);
    }
    free(raw);
}

/** The descriptors in flight were closed in the child, and are on no list any more. */
static void
raw_forked(struct msi_foreign *foreign)
{
    struct raw *raw = (struct raw *)foreign;

    raw->description.fd = -1;
    raw->taken = 0;
}

static void
raw_forget(struct msi_foreign *foreign)
{
    free(foreign);
}

static mapseg_result
raw_open(struct msi_foreign **foreign, const struct msi_name *name, int fd,
         const mapseg_options *options, bool creates, struct msi_failure *failure)
{
    struct raw *raw = calloc(1, sizeof *raw);

    (void)name;
    (void)fd;
    (void)options;
    (void)creates;
    if (raw == NULL)
        return msi_system_failed(failure, ENOMEM, "there is no memory for its lock");
    *foreign = &raw->foreign;
    raw->foreign.way = &msi_foreign_raw;
    raw->foreign.forked = raw_forked;
    raw->foreign.forget = raw_forget;
    raw->description.fd = -1;
    return MAPSEG_OK;
}

/** Opens the description that the lock lies on, for the first lock. */
static mapseg_result
make_ready(mapseg *seg, struct msi_failure *failure)
{
    struct raw *raw = raw_of(seg);
    struct msi_file *file = &seg->attachment.file;
    int error = 0;

    if (!file->writes)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                          "this process may only read it, and its lock needs a descriptor that "
                          "writes; ask its owner for permission to write");
    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    if (!msi_file_is_behind(file, raw->description.fd)) {
        if (raw->description.fd >= 0)
            msi_in_flight_remove(&raw->description);
        raw->description.fd = -1;
        error = msi_file_open_anew(file, O_RDWR);
        if (error >= 0)
            msi_in_flight_add(&raw->description, error);
    }
    msi_forklist_unlock();
    return error < 0
               ? msi_system_failed(failure, -error, "its file cannot be opened anew for the lock")
               : MAPSEG_OK;
}

/** One try. OK, WOULD_BLOCK, or an error. */
static mapseg_result
try_lock(mapseg *seg, struct msi_failure *failure)
{
    struct raw *raw = raw_of(seg);
    uint32_t free_word = 0;
    int error;

    /* Acquire, and release where it is given back: what one thread of the handle wrote under the
     * lock is visible to the next. */
    if (!atomic_compare_exchange_strong_explicit(&raw->taken, &free_word, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        return MAPSEG_WOULD_BLOCK;
    error = msi_os.lock_range_ofd(raw->description.fd, MSI_RANGE_EXCLUSIVE, LOCK_BYTE, 1);
    if (error >= 0) {
        msi_tsan_acquire(seg->attachment.base);
        atomic_store_explicit(&seg->lock.owner_thread, msi_thread.number, memory_order_relaxed);
        return MAPSEG_OK;
    }
    atomic_store_explicit(&raw->taken, 0, memory_order_release);
    if (error == -EAGAIN)
        return MAPSEG_WOULD_BLOCK;
    return msi_failed(failure, MAPSEG_LOCK_ERROR, -error,
                      "the system refuses locks on its file; use a file on another file system");
}

static mapseg_result
raw_lock(mapseg *seg, bool wait, int64_t deadline, struct msi_failure *failure)
{
    int64_t pause_ns = 0;
    mapseg_result result;

    msi_lock_know_thread();
    if (msi_lock_held_by_this_thread(&seg->lock))
        return MAPSEG_ALREADY_LOCKED;
    result = make_ready(seg, failure);
    if (result != MAPSEG_OK)
        return result;
    do
        result = try_lock(seg, failure);
    while (result == MAPSEG_WOULD_BLOCK && wait && msi_wait_for_remover(&pause_ns, deadline));
    return result == MAPSEG_WOULD_BLOCK && wait ? MAPSEG_TIMED_OUT : result;
}

static mapseg_result
raw_unlock(mapseg *seg, struct msi_failure *failure)
{
    struct raw *raw = raw_of(seg);

    (void)failure;
    if (atomic_load_explicit(&raw->taken, memory_order_relaxed) == 0)
        return MAPSEG_NOT_LOCKED;
    msi_tsan_release(seg->attachment.base);
    atomic_store_explicit(&seg->lock.owner_thread, MSI_NOT_OWNED, memory_order_relaxed);
    (void)msi_os.lock_range_ofd(raw->description.fd, MSI_RANGE_FREE, LOCK_BYTE, 1);
    atomic_store_explicit(&raw->taken, 0, memory_order_release);
    return MAPSEG_OK;
}

/** No death is ever told, so there is nothing to declare, but by the owner. */
static mapseg_result
raw_consistent(mapseg *seg, struct msi_failure *failure)
{
    (void)failure;
    return atomic_load_explicit(&raw_of(seg)->taken, memory_order_relaxed) == 0 ? MAPSEG_NOT_LOCKED
                                                                                : MAPSEG_OK;
}

static void
raw_look(const struct msi_name *name, int fd, mapseg_info *information)
{
    struct msi_range found;

    (void)name;
    if (fd >= 0 && msi_os.test_range(fd, MSI_RANGE_EXCLUSIVE, LOCK_BYTE, 1, &found) >= 0)
        information->lock =
            found.kind == MSI_RANGE_FREE ? MAPSEG_LOCK_STATE_FREE : MAPSEG_LOCK_STATE_HELD;
}

static int
raw_removed(const struct msi_name *name)
{
    (void)name;
    return -1;
}

const struct msi_foreign_way msi_foreign_raw = {
    .name = "raw",
    .open = raw_open,
    .close = raw_close,
    .look = raw_look,
    .removed = raw_removed,
    .lock = raw_lock,
    .unlock = raw_unlock,
    .consistent = raw_consistent,
};
