/*
 * handle.c - a handle gets its attachment, and forgets what is not its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "handle.h"

#include "forklist.h"
#include "guard.h"
#include "notify.h"
#include "os/probe.h"
#include "reach.h"

#include <stdlib.h>

void
msi_handle_take(mapseg *seg, const struct msi_attachment *complete, mapseg_access access,
                bool no_fork)
{
    struct msi_attachment *attachment = &seg->attachment;

    *attachment = *complete;
    msi_forklist_add(seg);
    msi_lock_begin(&seg->lock, attachment->header, attachment->presence.slot, &attachment->file,
                   (attachment->flags & MAPSEG_HEADER_FAIR) != 0);
    seg->lock.silent_waiters = (attachment->flags & MAPSEG_HEADER_SILENT_WAITERS) != 0;
    seg->lock.watches_name = (attachment->trust.flags & MAPSEG_WATCH_NAME) != 0;
    seg->read_only = access == MAPSEG_READ_ONLY;
    atomic_store_explicit(&seg->shrunk, false, memory_order_relaxed);
    seg->no_fork = no_fork || msi_presence_is_shared(attachment);
    seg->attached = true;
    msi_forklist_bind_process(seg);
    msi_reach_allow_fast(seg);
    MSI_PROBE(attach, attachment->file.inode, attachment->presence.slot, attachment->data_size);
}

void
msi_handle_drop_inherited(mapseg *seg)
{
    if (seg->attached && !msi_handle_is_orphaned(seg))
        return;
    if (atomic_load_explicit(&seg->change, memory_order_relaxed) != NULL) {
        (void)msi_forklist_lock();
        msi_notify_forked(seg);
        msi_forklist_unlock();
    }
    msi_guard_forget(seg);
    if (seg->foreign != NULL)
        seg->foreign->forget(seg->foreign);
    seg->foreign = NULL;
    /* Neither presence nor lock is this process's to release; and mappings that were left
     * out of a child are not there to be unmapped. */
    if (seg->attached)
        msi_presence_forget(&seg->attachment.presence, &seg->attachment.file);
    if (seg->attached && seg->no_fork) {
        msi_file_close(&seg->attachment.file);
        msi_attachment_forget(&seg->attachment);
    }
    msi_attachment_drop(&seg->attachment);
    msi_lock_clear(&seg->lock);
    seg->attached = false;
}

void
msi_handle_rename(mapseg *seg, mapseg_ipc_key *key)
{
    mapseg_ipc_key_free(seg->key);
    free(seg->plain_key);
    seg->key = key;
    seg->plain_key = NULL;
}
