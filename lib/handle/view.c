/*
 * view.c - looking at a segment that others change, and waiting for them.
 *
 * Once a file is made shorter, a process that touches the missing part of its
 * mapping gets SIGBUS. Unless the thread has a section of the guard open, such a segment is
 * read through its descriptor.
 *
 * SPDX-License-Identifier: MIT
 */
#include "view.h"

#include "guard.h"
#include "os/os.h"
#include "report.h"

#include <errno.h>

/* Only for a writer that dies between its last store and the wake. Shorter ones
 * cost: with 1 ms a hand-over on one processor took twice as long, since the
 * timer had to be set anew each time. */
#define FIRST_SLICE_NS INT64_C(16000000)

#define LAST_SLICE_NS INT64_C(64000000)

/** Whether there is a descriptor to read through, where that is how it is read: one
 *  that the program has closed is opened anew, or the view ends. */
mapseg_result
msi_view_check_descriptor(mapseg *seg)
{
    int fd = msi_file_fd(&seg->attachment.file);

    return fd >= 0 ? MAPSEG_OK : fd == -EBADF ? MAPSEG_DESCRIPTOR_CLOSED : MAPSEG_OUT_OF_RESOURCES;
}

mapseg_result
msi_view_lost(mapseg *seg)
{
    atomic_store_explicit(&seg->shrunk, true, memory_order_relaxed);
    return MAPSEG_FILE_SHRUNK;
}

/** Reads through the descriptor: `offset` counts in the file. */
mapseg_result
msi_view_read_file(mapseg *seg, void *to, size_t bytes, size_t offset)
{
    int fd = atomic_load_explicit(&seg->attachment.file.fd, memory_order_relaxed);

    while (bytes > 0) {
        int64_t got = msi_os.read(fd, to, bytes, (int64_t)offset);

        if (got == 0)
            return msi_view_lost(seg);
        if (got < 0)
            return MAPSEG_UNKNOWN_ERROR;
        to = (char *)to + got;
        offset += (size_t)got;
        bytes -= (size_t)got;
    }
    return MAPSEG_OK;
}

/** Whether the file is as long as its mapping, where it can be shorter. */
mapseg_result
msi_view_check_length(mapseg *seg)
{
    const struct msi_file *file = &seg->attachment.file;
    struct stat status;

    if (msi_view_is_lost(seg))
        return MAPSEG_FILE_SHRUNK;
    if (!seg->attachment.access_through_fd)
        return MAPSEG_OK;
    if (msi_os.status(file->fd, &status) < 0 || status.st_dev != file->device ||
        status.st_ino != file->inode) {
        mapseg_result result = msi_view_check_descriptor(seg);

        if (result != MAPSEG_OK || msi_os.status(file->fd, &status) < 0)
            return result;
    }
    return (uint64_t)status.st_size >= seg->attachment.bytes ? MAPSEG_OK : msi_view_lost(seg);
}

/** A version whose halves belong together, if it is even. */
mapseg_result
msi_view_fetch_stable(const struct msi_view *view, uint64_t *version)
{
    /* Checked also where the header is still there. */
    mapseg_result result = msi_view_check_length(view->seg);
    uint64_t again;

    if (result == MAPSEG_OK)
        result = msi_view_fetch_version(view, false, version);
    again = result == MAPSEG_OK ? *version : 0;
    /* A peer that never lets it rest does not hold us up. */
    for (int i = 0; i < MSI_VIEW_QUICK_TRIES && result == MAPSEG_OK; i++) {
        *version = again;
        if (msi_version_is_odd(*version))
            break;
        result = msi_view_fetch_version(view, false, &again);
        if (again == *version)
            break;
    }
    return result;
}

mapseg_result
msi_view_look(mapseg *seg, uint64_t *version)
{
    /* No section of the guard: the thread that asks keeps SIGBUS blocked. */
    struct msi_view view = {
        .seg = seg,
        .reach = seg->attachment.access_through_fd ? REACH_FILE : REACH_DIRECT,
    };

    return msi_view_fetch_stable(&view, version);
}

void
msi_view_sleep(const mapseg *seg, uint64_t version, int64_t ns)
{
    msi_os.sleep_on(msi_version_futex(seg->attachment.base), (uint32_t)version, ns);
}

void
msi_view_wake(const mapseg *seg)
{
    msi_os.wake_all(msi_version_futex(seg->attachment.base));
}

struct msi_patience
msi_patience_begin(int64_t timeout_ns)
{
    int64_t now = msi_os.monotonic_ns();
    struct msi_patience patience = {now, INT64_MAX, FIRST_SLICE_NS};

    if (timeout_ns >= 0 && timeout_ns <= INT64_MAX - now)
        patience.deadline = now + timeout_ns;
    return patience;
}

/** Sleeps until the version may have changed. */
void
msi_patience_sleep(const mapseg *seg, struct msi_patience *patience, int64_t now, uint64_t version)
{
    int64_t rest = patience->deadline - now;

    msi_view_sleep(seg, version, rest < patience->slice ? rest : patience->slice);
    if (patience->slice < LAST_SLICE_NS)
        patience->slice *= 2;
}

/** Whether the change that is under way has lost its writer: no owner has the lock, or a
 *  dead one has it. */
static bool
writer_is_gone(const struct msi_view *view, uint64_t version)
{
    struct msi_file *file = &view->seg->attachment.file;
    uint64_t again = 0;
    uint32_t word = 0;
    uint32_t owner;
    int fd;

    if (!msi_version_is_odd(version) ||
        msi_view_fetch(view, &word, sizeof word, offsetof(struct mapseg_header, lock)) != MAPSEG_OK)
        return false;
    owner = word & MAPSEG_LOCK_OWNER;
    fd = msi_file_fd(file);
    if (owner != 0 && owner <= MAPSEG_LAST_SLOT && !(word & MAPSEG_LOCK_DIED) &&
        (fd < 0 || msi_presence_is_held(fd, owner)))
        return false;
    /* Or the owner ended its change just now. */
    return msi_view_fetch_version(view, true, &again) == MAPSEG_OK && again == version;
}

/** What to say when patience is at its end; OK: it is not. */
mapseg_result
msi_patience_judge(const struct msi_view *view, const struct msi_patience *patience, int64_t now,
                   uint64_t version)
{
    bool late = now >= patience->deadline;

    if (!late && (patience->deadline != INT64_MAX || now - patience->begin < MSI_VIEW_PATIENCE_NS))
        return MAPSEG_OK;
    if (writer_is_gone(view, version))
        return MAPSEG_OWNER_DIED;
    return late ? MAPSEG_TIMED_OUT : MAPSEG_OK;
}

/** Whether this thread holds the lock: then no other thread changes anything. */
bool
msi_view_is_own(const struct msi_view *view)
{
    const struct msi_lock *lock = &view->seg->lock;
    uint32_t word = 0;

    return msi_lock_held_by_this_thread(lock) &&
           msi_view_fetch(view, &word, sizeof word, offsetof(struct mapseg_header, lock)) ==
               MAPSEG_OK &&
           (word & MAPSEG_LOCK_OWNER) == lock->slot;
}

mapseg_result
msi_view_refuse_detached(mapseg *seg, const char *operation)
{
    struct msi_failure failure;

    if (msi_handle_is_orphaned(seg))
        msi_failed(&failure, MAPSEG_NOT_ATTACHED, 0,
                   "this process is a child that did not inherit the attachment; attach anew");
    else
        msi_failed(&failure, MAPSEG_NOT_ATTACHED, 0,
                   "the handle is not attached; create or attach first");
    return msi_report(seg, operation, &failure);
}

/** Leaves the result in the handle, with the words for it. */
mapseg_result
msi_view_report(mapseg *seg, const char *operation, mapseg_result result)
{
    struct msi_failure failure;

    switch (result) {
    case MAPSEG_OK:
        /* Most calls: no store, where there is nothing to clear. */
        return mapseg_error(seg) == MAPSEG_OK ? MAPSEG_OK : msi_succeed(seg);
    case MAPSEG_TIMED_OUT:
        msi_failed(&failure, result, 0,
                   "the time was up first; try again, or see which process writes it (mapseg "
                   "show)");
        break;
    case MAPSEG_OWNER_DIED:
        msi_failed(&failure, result, 0,
                   "a writer died half way, and no process has repaired the data; take the lock, "
                   "repair it and call mapseg_consistent");
        break;
    case MAPSEG_FILE_SHRUNK:
        msi_failed(&failure, result, 0,
                   "another process made the file shorter, and this attachment is lost; leave it, "
                   "and find out which process that was");
        break;
    case MAPSEG_DESCRIPTOR_CLOSED:
        msi_failed(&failure, result, 0, MSI_DESCRIPTOR_CLOSED_WORDS);
        break;
    case MAPSEG_NOT_FOUND:
        msi_failed(&failure, result, 0, MSI_NAME_LOST_WORDS);
        break;
    case MAPSEG_NO_WRITER:
        msi_failed(&failure, result, 0,
                   "no process is attached that can write it; wait for one, or detach and attach "
                   "anew");
        break;
    case MAPSEG_OUT_OF_RESOURCES:
        msi_failed(&failure, result, 0,
                   "this program has closed the segment's descriptor, and none is left to open "
                   "the file anew; close others, or raise their limit (ulimit -n)");
        break;
    default:
        msi_failed(&failure, result, 0,
                   "the file cannot be read or written any more; leave it, and attach anew");
    }
    return msi_report(seg, operation, &failure);
}

/** INVALID_ARGUMENT where the range is not within the data. */
mapseg_result
msi_view_check_range(mapseg *seg, const char *operation, size_t offset, size_t bytes)
{
    struct msi_failure failure;
    size_t size = seg->attachment.data_size;

    if (offset <= size && bytes <= size - offset)
        return MAPSEG_OK;
    msi_failed(&failure, MAPSEG_INVALID_ARGUMENT, 0,
               "%zu bytes from offset %zu are not within its %zu; give a range that is", bytes,
               offset, size);
    return msi_report(seg, operation, &failure);
}
