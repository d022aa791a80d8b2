/*
 * handle.c - a handle gets its attachment, and forgets what is not its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "handle.h"

#include "forklist.h"
#include "guard.h"
#include "notify.h"

#include <stdlib.h>

void
mapseg_handle_adopt(mapseg *seg, mapseg_access access, bool no_fork)
{
    struct mapseg_attachment *attachment = &seg->attachment;

    mapseg_lock_begin(&seg->lock, attachment->header, attachment->presence.slot, &attachment->file,
                      (attachment->flags & MAPSEG_HEADER_FAIR) != 0);
    seg->read_only = access == MAPSEG_READ_ONLY;
    atomic_store_explicit(&seg->shrunk, false, memory_order_relaxed);
    seg->no_fork = no_fork || mapseg_presence_is_shared(attachment);
    seg->attached = true;
    mapseg_fork_belong(seg);
    mapseg_lock_allow_reading(&seg->lock, !attachment->reads_file);
}

void
mapseg_handle_settle(mapseg *seg)
{
    if (seg->attached && !mapseg_handle_is_orphaned(seg))
        return;
    if (atomic_load_explicit(&seg->change, memory_order_relaxed) != NULL) {
        (void)mapseg_fork_lock();
        mapseg_change_forked(seg);
        mapseg_fork_unlock();
    }
    mapseg_guard_forget(seg);
    /* Neither presence nor lock is ours to release; and what was left out of a
     * child is not there to be unmapped. */
    if (seg->attached)
        mapseg_presence_forget(&seg->attachment.presence, &seg->attachment.file);
    if (seg->attached && seg->no_fork) {
        mapseg_file_close(&seg->attachment.file);
        mapseg_attachment_forget(&seg->attachment);
    }
    mapseg_attachment_drop(&seg->attachment);
    mapseg_lock_clear(&seg->lock);
    seg->attached = false;
}

void
mapseg_handle_rename(mapseg *seg, mapseg_ipc_key *key)
{
    mapseg_ipc_key_free(seg->key);
    free(seg->plain_key);
    seg->key = key;
    seg->plain_key = NULL;
}
