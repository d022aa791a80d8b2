/*
 * segment.c - handles: their keys, their state, and leaving.
 *
 * SPDX-License-Identifier: MIT
 */
#include "file/key.h"
#include "file/name.h"
#include "file/place.h"
#include "file/trust.h"
#include "foreign/foreign.h"
#include "handle/attachment.h"
#include "handle/fork.h"
#include "handle/forklist.h"
#include "handle/guard.h"
#include "handle/handle.h"
#include "handle/notify.h"
#include "handle/reach.h"
#include "handle/report.h"
#include "mapseg-spawn.h"
#include "os/os.h"
#include "os/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------- handles -- */

/** How many there have been: a handle's words are not those of an earlier one
 *  at the same address. */
static _Atomic uint32_t handles;

mapseg *
mapseg_new(void)
{
    mapseg *seg = msi_fork_set_up() < 0 ? NULL : calloc(1, sizeof *seg);

    if (seg == NULL)
        return NULL;
    seg->number = atomic_fetch_add_explicit(&handles, 1, memory_order_relaxed) + 1;
    msi_attachment_clear(&seg->attachment);
    msi_lock_clear(&seg->lock);
    msi_reach_forbid_fast(seg);
    return seg;
}

mapseg *
mapseg_new_with_key(const char *key)
{
    mapseg *seg = mapseg_new();

    if (seg != NULL && mapseg_set_key(seg, key) != MAPSEG_OK) {
        mapseg_free(seg);
        return NULL;
    }
    return seg;
}

mapseg *
mapseg_new_from_environment(void)
{
    const char *key = msi_os.environment_key();
    struct msi_failure failure;
    mapseg *seg = mapseg_new();

    if (seg == NULL)
        return NULL;
    if (key == NULL || *key == '\0') {
        msi_failed(&failure, MAPSEG_NOT_FOUND, 0,
                   "the environment variable MAPSEG_KEY is not set, or the program is set-id, "
                   "which must not believe it; start it from a program that hands a segment "
                   "over");
        (void)msi_report(seg, "use", &failure);
    } else if (mapseg_set_native_key(seg, key) == MAPSEG_OUT_OF_RESOURCES) {
        mapseg_free(seg);
        return NULL;
    }
    return seg;
}

void
mapseg_free(mapseg *seg)
{
    if (seg == NULL)
        return;
    msi_handle_drop_inherited(seg);
    if (seg->attached)
        (void)mapseg_detach(seg);
    mapseg_ipc_key_free(seg->key);
    free(seg->plain_key);
    free(seg);
}

/* ------------------------------------------------------------------ keys -- */

/** Gives the handle another key, which it then owns as well as plain_key. */
static mapseg_result
change_key(mapseg *seg, mapseg_ipc_key *key, char *plain_key)
{
    msi_handle_drop_inherited(seg);
    if (seg->attached)
        (void)mapseg_detach(seg);
    mapseg_ipc_key_free(seg->key);
    free(seg->plain_key);
    seg->key = key;
    seg->plain_key = plain_key;
    return msi_succeed(seg);
}

static mapseg_result
no_memory_for_key(mapseg *seg, const char *key)
{
    struct msi_failure failure;

    msi_system_failed(&failure, ENOMEM, "there is no memory for it");
    return msi_report_key(seg, key, &failure);
}

mapseg_result
mapseg_set_key(mapseg *seg, const char *key)
{
    mapseg_ipc_key *derived;
    char *copy;

    if (key == NULL || *key == '\0')
        return change_key(seg, NULL, NULL);
    if (seg->plain_key != NULL && strcmp(seg->plain_key, key) == 0)
        return msi_succeed(seg);
    derived = mapseg_ipc_key_derive(key, MAPSEG_KEY_SHM);
    copy = msi_copy_string(key);
    if (derived == NULL || copy == NULL) {
        mapseg_ipc_key_free(derived);
        free(copy);
        return no_memory_for_key(seg, key);
    }
    return change_key(seg, derived, copy);
}

/** Whether the handle has that native key, and no plain one. */
static bool
has_native_key(const mapseg *seg, const mapseg_ipc_key *key)
{
    return seg->key != NULL && seg->plain_key == NULL && mapseg_ipc_key_equal(seg->key, key);
}

mapseg_result
mapseg_set_native_key(mapseg *seg, const char *native_key)
{
    struct msi_failure failure;
    mapseg_ipc_key *key;
    bool usable;

    if (native_key == NULL || *native_key == '\0')
        return change_key(seg, NULL, NULL);
    key = mapseg_ipc_key_from_text(native_key);
    if (key == NULL)
        return no_memory_for_key(seg, native_key);
    usable = msi_key_check(key, &failure) == MAPSEG_OK;
    if (!usable || has_native_key(seg, key)) {
        mapseg_ipc_key_free(key);
        return usable ? msi_succeed(seg) : msi_report_key(seg, native_key, &failure);
    }
    return change_key(seg, key, NULL);
}

const char *
mapseg_key(const mapseg *seg)
{
    return seg->plain_key;
}

const char *
mapseg_native_key(const mapseg *seg)
{
    return seg->key == NULL ? NULL : mapseg_ipc_key_text(seg->key);
}

/* --------------------------------------------------------------- leaving -- */

/** Words why this user may not remove the name. */
static mapseg_result
may_not_remove(const struct msi_attachment *attachment, int error, struct msi_failure *failure)
{
    struct stat status;
    int fd = attachment->file.fd;

    if (msi_os.status(fd, &status) >= 0 && !msi_trust_is_own(&status, fd))
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, error,
                          "this was the last one out, and only user %u, who owns it, may remove it "
                          "from its directory; have that user reclaim it (mapseg_reclaim)",
                          (unsigned)status.st_uid);
    return msi_failed(failure, MAPSEG_PERMISSION_DENIED, error,
                      "this was the last one out, and this user may not remove names from its "
                      "directory; have a user who may reclaim it (mapseg_reclaim)");
}

/** Removes the name, if it still leads to the file: in a directory that is opened
 *  once, and judged as it was when the handle attached. [LEAVE_COMPARE, LEAVE_UNLINK] */
static mapseg_result
remove_name(const struct msi_attachment *attachment, const struct msi_foreign *foreign,
            int *left_open, struct msi_failure *failure)
{
    const struct msi_file *file = &attachment->file;
    struct msi_name name;
    mapseg_result result =
        msi_place_open_again(attachment->type, file->path, attachment->trust, &name, failure);
    int error = 0;

    if (result == MAPSEG_OK)
        error = msi_name_leads_to(&name, file->device, file->inode);
    if (error == 1) {
        error = msi_os.unlink(name.directory, name.last);
        if (error >= 0 && foreign != NULL)
            *left_open = foreign->way->removed(&name);
    }
    msi_name_close(&name);
    if (result != MAPSEG_OK || error >= 0 || error == -ENOENT)
        return result == MAPSEG_NOT_FOUND ? MAPSEG_OK : result;
    if (error == -EPERM || error == -EACCES)
        return may_not_remove(attachment, -error, failure);
    return msi_system_failed(failure, -error,
                             "this was the last one out, and its name cannot be removed");
}

/** Removes the name if no other is present. Holding all of presence proves it, and keeps
 *  others from appearing until the name is gone. A look comes first, since it is cheap and
 *  mostly finds another: of several attachments that leave at once each has given up its
 *  own byte by then, so the last look finds none. A failure: the name stays. */
static mapseg_result
leave_as_last(struct msi_attachment *attachment, const struct msi_foreign *foreign, int fd,
              struct msi_failure *failure)
{
    mapseg_result result;
    struct msi_hold hold;
    int left_open = -1;
    int error;

    /* Steps of tests/model/name.pml. [LEAVE_TEST] */
    if (msi_presence_is_any(fd))
        return MAPSEG_OK;
    /* [LEAVE_RANGE] */
    error = msi_presence_lock_all(&hold, &attachment->file);
    if (error == -EAGAIN)
        return MAPSEG_OK;
    if (error == -EBADF || error == -EACCES || error == -EPERM)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, EACCES,
                          "this attachment may only read it, and so cannot prove that it was the "
                          "last one out; if it was, have the owner reclaim it (mapseg_reclaim)");
    if (error < 0)
        return msi_system_failed(failure, -error,
                                 "it cannot be proved that this was the last one out; have the "
                                 "owner reclaim it (mapseg_reclaim)");
    result = remove_name(attachment, foreign, &left_open, failure);
    if (result != MAPSEG_OK)
        msi_attachment_note_left(attachment, true);
    msi_presence_unlock(&hold);
    if (left_open >= 0)
        msi_close(left_open);
    return result;
}

/** Whether the last one out is to leave the name: it is so for a segment that is persistent, and
 *  for another program's unless its creator, of mapseg, wished otherwise. */
static bool
stays(const struct msi_attachment *attachment)
{
    return attachment->is_raw ? !attachment->file.wishes
                              : (attachment->flags & MAPSEG_HEADER_PERSISTENT) != 0;
}

/** Releases the lock if this handle holds it. A change that it leaves open counts as the
 *  death of its writer. */
static void
release_lock(mapseg *seg)
{
    struct msi_lock *lock = &seg->lock;
    struct msi_failure ignored;

    if (seg->foreign != NULL)
        (void)seg->foreign->way->unlock(seg, &ignored);
    if (msi_lock_is_used(lock) && seg->attachment.cautious)
        msi_attachment_release_word(&seg->attachment,
                                    msi_lock_in_change(lock) ? MAPSEG_LOCK_DIED : 0);
    else
        msi_lock_end(lock);
    msi_lock_clear(lock);
}

/** Leaves a segment whose way does all by itself. */
static mapseg_result
detach_apart(mapseg *seg)
{
    struct msi_failure failure;
    mapseg_result left = seg->foreign->way->detach(seg, &failure);

    (void)msi_forklist_lock();
    msi_forklist_remove(seg);
    seg->attached = false;
    msi_guard_forget(seg);
    msi_attachment_drop(&seg->attachment);
    msi_lock_clear(&seg->lock);
    msi_forklist_unlock();
    return left == MAPSEG_OK ? msi_succeed(seg) : msi_succeed_without(seg, "remove", &failure);
}

mapseg_result
mapseg_detach(mapseg *seg)
{
    struct msi_attachment *attachment = &seg->attachment;
    mapseg_result left = MAPSEG_OK;
    struct msi_failure failure;
    int fd;

    if (!msi_handle_is_attached(seg)) {
        msi_failed(&failure, MAPSEG_NOT_ATTACHED, 0,
                   "this handle is not attached; detach once, after attaching");
        return msi_refuse(seg, "detach from", &failure);
    }
    if (seg->foreign != NULL && msi_foreign_is_apart(seg->foreign->way))
        return detach_apart(seg);
    MSI_PROBE(detach, attachment->file.inode, attachment->presence.slot, attachment->data_size);
    msi_notify_stop(seg);
    (void)msi_forklist_lock();
    msi_forklist_remove(seg);
    seg->attached = false;
    /* In this order: the lock first, while its slot is still ours; and presence
     * before the question whether another attachment is there. */
    release_lock(seg);
    msi_guard_forget(seg);
    msi_presence_release(&attachment->presence, &attachment->file);
    fd = msi_file_fd(&attachment->file);
    /* Where the descriptor is lost, nothing can be proved. */
    if (fd >= 0 && msi_attachment_is_named(attachment) && !attachment->keeps_name &&
        !stays(attachment))
        left = leave_as_last(attachment, seg->foreign, fd, &failure);
    if (fd >= 0) {
        msi_close(fd);
        attachment->file.fd = -1;
    }
    if (seg->foreign != NULL)
        seg->foreign->way->close(seg->foreign);
    seg->foreign = NULL;
    msi_attachment_drop(attachment);
    msi_forklist_unlock();
    return left == MAPSEG_OK ? msi_succeed(seg) : msi_succeed_without(seg, "remove", &failure);
}

/* ----------------------------------------------------------------- state -- */

bool
mapseg_is_attached(const mapseg *seg)
{
    return msi_handle_is_attached(seg);
}

/** Whether the memory is mapped in this process: also in a child that got it,
 *  though not the attachment; not in one that it was kept out of. */
static bool
has_memory(const mapseg *seg)
{
    return seg->attached && !(seg->no_fork && msi_handle_is_orphaned(seg));
}

void *
mapseg_data(mapseg *seg)
{
    struct msi_attachment *attachment = &seg->attachment;

    return has_memory(seg) && !seg->read_only ? attachment->base + attachment->data_offset : NULL;
}

const void *
mapseg_const_data(const mapseg *seg)
{
    const struct msi_attachment *attachment = &seg->attachment;

    return has_memory(seg) ? attachment->base + attachment->data_offset : NULL;
}

size_t
mapseg_size(const mapseg *seg)
{
    return has_memory(seg) ? seg->attachment.data_size : 0;
}

const char *
mapseg_version(void)
{
    return PACKAGE_VERSION;
}
