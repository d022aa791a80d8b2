/*
 * view.c - looking at a segment that others change, and waiting for them.
 *
 * Once a file is made shorter, a process that touches the missing part of its mapping gets
 * SIGBUS. reach.h tells how that is met.
 *
 * SPDX-License-Identifier: MIT
 */
#include "view.h"

#include "os/os.h"
#include "report.h"
#include "watch.h"

#include <errno.h>

/* Only for a writer that dies between its last store and the wake. Shorter ones
 * cost: with 1 ms a hand-over on one processor took twice as long, since the
 * timer had to be set anew each time. */
#define FIRST_SLICE_NS INT64_C(16000000)

/** While a change is under way: its writer may die, and nothing wakes then. */
#define CHANGE_SLICE_NS INT64_C(64000000)

/** Of a waiter that cannot announce itself, on a segment whose writers wake only those that
 *  do: it is not woken at all. */
#define UNHEARD_SLICE_NS INT64_C(1000000)

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

mapseg_result
msi_view_look_at_length(mapseg *seg)
{
    const struct msi_file *file = &seg->attachment.file;
    struct stat status;

    if (msi_view_is_lost(seg))
        return MAPSEG_FILE_SHRUNK;
    if (msi_os.status(file->fd, &status) < 0 || status.st_dev != file->device ||
        status.st_ino != file->inode) {
        mapseg_result result = msi_view_check_descriptor(seg);

        if (result != MAPSEG_OK || msi_os.status(file->fd, &status) < 0)
            return result;
    }
    return (uint64_t)status.st_size >= seg->attachment.bytes ? MAPSEG_OK : msi_view_lost(seg);
}

mapseg_result
msi_view_check_length(const struct msi_view *view)
{
    if (view->reach == REACH_FILE)
        return msi_view_look_at_length(view->seg);
    return view->reach == REACH_GUARDED && msi_view_is_lost(view->seg) ? MAPSEG_FILE_SHRUNK
                                                                       : MAPSEG_OK;
}

/** Whether this thread reads it in a section, where that is not decided yet: one of the
 *  program's is open, or others have been, and there is no want of memory to be told apart. */
static bool
may_guard(mapseg *seg)
{
    return msi_guard_is_within(seg) || (msi_guard_thread.ready && !seg->attachment.is_lazy);
}

struct msi_view
msi_view_begin(mapseg *seg)
{
    struct msi_view view = {.seg = seg, .reach = msi_reach_of(seg)};

    if (view.reach == REACH_FILE && may_guard(seg))
        view.reach = REACH_GUARDED;
    /* Where a sandbox lets SIGBUS stay blocked, there is still the descriptor. */
    if (view.reach == REACH_GUARDED && msi_guard_get_ready() < 0)
        view.reach = REACH_FILE;
    if (view.reach == REACH_GUARDED)
        msi_guard_begin_reading(seg);
    if (view.reach == REACH_FILE)
        view.ready = msi_view_check_descriptor(seg);
    return view;
}

/** A version whose halves belong together, if it is even. */
mapseg_result
msi_view_fetch_stable(const struct msi_view *view, uint64_t *version)
{
    /* Checked also where the header is still there. */
    mapseg_result result = msi_view_check_length(view);
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

struct msi_view
msi_view_without_section(mapseg *seg)
{
    struct msi_view view = {.seg = seg, .reach = REACH_FILE};

    if (msi_reach_of(seg) == REACH_DIRECT || !seg->attachment.cautious)
        view.reach = REACH_DIRECT;
    return view;
}

mapseg_result
msi_view_look(mapseg *seg, uint64_t *version)
{
    bool has_sections = msi_reach_of(seg) == REACH_DIRECT || msi_guard_thread.ready;
    struct msi_view view = has_sections ? msi_view_begin(seg) : msi_view_without_section(seg);
    mapseg_result result = msi_view_fetch_stable(&view, version);

    msi_view_end(&view);
    return result;
}

/** Sees to it that the next change wakes this waiter; false: it does not. */
static bool
announce(const struct msi_view *view)
{
    struct mapseg_header *header = view->seg->lock.header;

    if (view->seg->lock.silent_waiters)
        return true;
    if (header == NULL)
        return false;
    if (view->reach == REACH_FILE)
        return msi_attachment_announce(&view->seg->attachment);
    msi_version_announce(header);
    return true;
}

void
msi_view_sleep(const struct msi_view *view, uint64_t version, int64_t ns)
{
    if (!announce(view) && ns > UNHEARD_SLICE_NS)
        ns = UNHEARD_SLICE_NS;
    msi_os.sleep_on(msi_version_futex(view->seg->attachment.base), (uint32_t)version, ns);
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
msi_patience_sleep(const struct msi_view *view, struct msi_patience *patience, int64_t now,
                   uint64_t version)
{
    int64_t rest = patience->deadline - now;
    int64_t slice = patience->slice;

    if (msi_version_is_odd(version) && slice > CHANGE_SLICE_NS)
        slice = CHANGE_SLICE_NS;
    if (msi_watch_is_on(view->seg) && slice > MSI_WATCH_SLICE_NS)
        slice = MSI_WATCH_SLICE_NS;
    msi_view_sleep(view, version, rest < slice ? rest : slice);
    if (patience->slice < MSI_VIEW_LAST_SLICE_NS / 2)
        patience->slice *= 2;
    else
        patience->slice = MSI_VIEW_LAST_SLICE_NS;
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
msi_view_refuse_foreign(mapseg *seg, const char *operation)
{
    struct msi_failure failure;

    msi_failed(&failure, MAPSEG_NOT_SUPPORTED, 0,
               "it has no header, and so no versions; lock it instead (mapseg_lock), or use a key "
               "of mapseg's own");
    return msi_report(seg, operation, &failure);
}

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
