/*
 * write.c - changing the data as one version.
 *
 * SPDX-License-Identifier: MIT
 */
#include "foreign/foreign.h"
#include "handle/attachment.h"
#include "handle/handle.h"
#include "handle/report.h"
#include "handle/view.h"
#include "os/os.h"

#include <errno.h>

/** Copies some of it into the mapping, by the system: SIGBUS becomes an error. In
 *  a sandbox that allows no copy of that kind, into the file. */
static int64_t
copy_some(mapseg *seg, size_t offset, const void *from, size_t bytes)
{
    struct msi_attachment *attachment = &seg->attachment;
    int64_t put = msi_os.copy_to_mapping(attachment->base + offset, from, bytes);

    if (put != -EPERM && put != -EACCES && put != -ENOSYS)
        return put;
    /* Or a file that ended before would be made longer again; and above that
     * limit there is SIGXFSZ. */
    if (msi_view_look_at_length(seg) != MAPSEG_OK)
        return -EFAULT;
    if (offset + bytes > msi_os.file_size_limit())
        return -EFBIG;
    return msi_os.write(attachment->file.fd, from, bytes, (int64_t)offset);
}

/** Copies into the data; *done: how much of it. */
static mapseg_result
copy_in(const struct msi_view *view, size_t offset, const char *from, size_t bytes, size_t *done)
{
    mapseg *seg = view->seg;

    offset += seg->attachment.data_offset;
    *done = 0;
    if (view->reach != REACH_FILE) {
        msi_copy_in(seg->attachment.base + offset, from, bytes);
        *done = bytes;
        return view->reach == REACH_GUARDED && msi_view_is_lost(seg) ? MAPSEG_FILE_SHRUNK
                                                                     : MAPSEG_OK;
    }
    while (*done < bytes) {
        int64_t put = copy_some(seg, offset + *done, from + *done, bytes - *done);

        if (put == -EFAULT)
            /* If the file is as long as ever, what failed is memory that was never reserved. */
            return msi_view_look_at_length(seg) == MAPSEG_OK ? MAPSEG_OUT_OF_RESOURCES
                                                             : MAPSEG_FILE_SHRUNK;
        if (put <= 0)
            return put == -ENOSPC ? MAPSEG_OUT_OF_RESOURCES : MAPSEG_UNKNOWN_ERROR;
        *done += (size_t)put;
    }
    return MAPSEG_OK;
}

/** Writes a range as one change under the lock, which this thread holds. Unless the file has
 *  become shorter, `*announced` is for msi_lock_wake_watchers. */
static mapseg_result
write_change(const struct msi_view *view, size_t offset, const void *from, size_t bytes,
             bool *announced)
{
    struct msi_lock *lock = &view->seg->lock;
    mapseg_result result;
    size_t done;

    msi_lock_begin_change(lock);
    result = copy_in(view, offset, from, bytes, &done);
    if (result == MAPSEG_FILE_SHRUNK)
        return result;
    /* Where only some of it could be written, it is as if the writer had died. */
    if (result != MAPSEG_OK && done != 0)
        msi_lock_mark(lock);
    *announced = msi_lock_end_change(lock);
    return result;
}

/** Writes under the lock that this thread has taken, and keeps. */
static mapseg_result
write_held(const struct msi_view *view, size_t offset, const void *from, size_t bytes)
{
    struct msi_lock *lock = &view->seg->lock;
    bool announced;
    mapseg_result result;
    size_t done;

    if (msi_lock_in_change(lock))
        return copy_in(view, offset, from, bytes, &done);
    result = write_change(view, offset, from, bytes, &announced);
    if (result != MAPSEG_FILE_SHRUNK)
        msi_lock_wake_watchers(lock, announced);
    return result;
}

/** Takes the lock, writes, and lets go of it. */
static mapseg_result
write_range(const struct msi_view *view, size_t offset, const void *from, size_t bytes)
{
    mapseg *seg = view->seg;
    mapseg_result result;
    bool announced;

    if (msi_lock_was_taken_away(&seg->lock))
        return MAPSEG_LOCK_ERROR;
    result = msi_lock_take_fast(&seg->lock) ? MAPSEG_OK : msi_lock_take(&seg->lock, INT64_MAX);
    if (result == MAPSEG_ALREADY_LOCKED)
        return write_held(view, offset, from, bytes);
    if (result == MAPSEG_TIMED_OUT || result == MAPSEG_DESCRIPTOR_CLOSED ||
        result == MAPSEG_NOT_FOUND)
        return result;
    if (result == MAPSEG_OWNER_DIED) {
        (void)msi_lock_release(&seg->lock, 0);
        return result;
    }
    result = write_change(view, offset, from, bytes, &announced);
    if (result == MAPSEG_FILE_SHRUNK) {
        msi_attachment_abandon_word(&seg->attachment, &seg->lock);
        return result;
    }
    (void)msi_lock_release(&seg->lock, 0);
    msi_lock_wake_watchers(&seg->lock, announced);
    return result;
}

static mapseg_result
refuse_writing(mapseg *seg)
{
    struct msi_failure failure;

    msi_failed(&failure, MAPSEG_PERMISSION_DENIED, 0,
               "this handle is attached read-only; attach with MAPSEG_READ_WRITE");
    return msi_report(seg, "write", &failure);
}

/** The thread that holds the lock need not wait for it; but a peer may have written over
 *  the word. */
static mapseg_result
refuse_lost_lock(mapseg *seg)
{
    struct msi_failure failure;

    msi_failed(&failure, MAPSEG_LOCK_ERROR, 0,
               "another process wrote over the lock while this thread held it; see which "
               "processes have the segment");
    return msi_report(seg, "write", &failure);
}

static mapseg_result
refuse_want_of_memory(mapseg *seg)
{
    struct msi_failure failure;

    msi_failed(&failure, MAPSEG_OUT_OF_RESOURCES, 0,
               "there is no memory for all of it, which was not reserved; free some memory");
    return msi_report(seg, "write", &failure);
}

/** Writes another program's segment, which has no versions: under its lock. */
static mapseg_result
write_foreign(mapseg *seg, size_t offset, const void *from, size_t bytes)
{
    struct msi_failure failure;
    bool taken;
    mapseg_result result;
    struct msi_view view;
    size_t done;

    result = msi_foreign_borrow(seg, -1, &taken, &failure);
    if (result == MAPSEG_OK) {
        view = msi_view_begin(seg);
        result = msi_view_check_length(&view);
        if (result == MAPSEG_OK)
            result = copy_in(&view, offset, from, bytes, &done);
        msi_view_end(&view);
    }
    if (taken)
        (void)seg->foreign->way->unlock(seg, &failure);
    else if (result != MAPSEG_OK && failure.cure != NULL)
        return msi_report(seg, "write", &failure);
    return result == MAPSEG_OUT_OF_RESOURCES ? refuse_want_of_memory(seg)
                                             : msi_view_report(seg, "write", result);
}

mapseg_result
mapseg_write_begin(mapseg *seg)
{
    mapseg_result result;

    if (msi_handle_is_attached(seg) && seg->foreign != NULL)
        return msi_view_refuse_foreign(seg, "begin a change of");

    if (msi_handle_is_attached(seg) && seg->read_only)
        return refuse_writing(seg);
    if (msi_handle_is_attached(seg) && msi_lock_was_taken_away(&seg->lock))
        return refuse_lost_lock(seg);
    result = mapseg_lock(seg);
    if (mapseg_result_owes_unlock(result) || result == MAPSEG_ALREADY_LOCKED)
        msi_lock_begin_change(&seg->lock);
    return result;
}

mapseg_result
mapseg_write_end(mapseg *seg)
{
    struct msi_lock *lock = &seg->lock;
    bool announced = false;

    if (msi_handle_is_attached(seg) && seg->foreign != NULL)
        return msi_view_refuse_foreign(seg, "end a change of");
    if (!msi_lock_is_current(lock) || !msi_lock_is_held(lock))
        return mapseg_unlock(seg);
    if (!seg->read_only)
        announced = msi_lock_end_change(lock);
    (void)msi_lock_release(lock, 0);
    if (!seg->read_only)
        msi_lock_wake_watchers(lock, announced);
    return MAPSEG_OK;
}

mapseg_result
mapseg_write(mapseg *seg, size_t offset, const void *from, size_t bytes)
{
    struct msi_view view;
    mapseg_result result;

    /* Which refuses in its own words. */
    if (!msi_handle_is_attached(seg))
        return mapseg_write_begin(seg);
    if (seg->read_only)
        return refuse_writing(seg);
    result = msi_view_check_range(seg, "write", offset, bytes);
    if (result != MAPSEG_OK)
        return result;
    if (seg->foreign != NULL)
        return write_foreign(seg, offset, from, bytes);
    /* In a section the lock and the version are, too. */
    view = msi_view_begin(seg);
    result = msi_view_check_length(&view);
    if (result != MAPSEG_OK) {
        msi_view_end(&view);
        return msi_view_report(seg, "write", result);
    }
    result = write_range(&view, offset, from, bytes);
    msi_view_end(&view);
    /* The zeros in place of a word that is gone are no owner's either. */
    if (result == MAPSEG_LOCK_ERROR && msi_view_is_lost(seg))
        result = MAPSEG_FILE_SHRUNK;
    if (result == MAPSEG_LOCK_ERROR)
        return refuse_lost_lock(seg);
    return result == MAPSEG_OUT_OF_RESOURCES ? refuse_want_of_memory(seg)
                                             : msi_view_report(seg, "write", result);
}
