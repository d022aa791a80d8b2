/*
 * handle.h - what a handle is made of.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_HANDLE_H
#define MAPSEG_HANDLE_H

#include "attachment.h"
#include "mapseg-format.h"
#include "mapseg-key.h"
#include "sync/lock.h"

#include <stdatomic.h>
#include <sys/types.h>

struct msi_foreign_way;

/** What a handle has of a segment that mapseg did not invent begins with this; see
 *  foreign/foreign.h. */
struct msi_foreign {
    const struct msi_foreign_way *way;
    /** In a child that inherited the attachment: it does not hold the lock. NULL: children of
     *  this way never do. The fork list is locked. */
    void (*forked)(struct msi_foreign *foreign);
    /** In a child that did not: gives up what is this process's copy, and frees all. */
    void (*forget)(struct msi_foreign *foreign);
};

struct mapseg {
    /* What the lock's fast path reads comes first, in one cache line. */
    struct msi_lock lock;
    _Atomic int error; /**< a mapseg_result */
    /** Equals *lock.process_stamp while the fast way to read takes a section, see reach.h. */
    _Atomic uint32_t section_stamp;
    uint32_t number; /**< another for each handle of this process */
    bool attached;   /**< see msi_handle_is_orphaned before believing it */
    bool read_only;  /**< the data may not be written through this handle */
    bool no_fork;
    atomic_bool shrunk; /**< the file was seen to be shorter than the mapping */
    struct msi_attachment attachment;
    _Atomic uint32_t last_look;        /**< at the name that is watched, in milliseconds */
    struct msi_notify *_Atomic change; /**< notify.c; NULL: the program asked for none */

    mapseg_ipc_key *key;         /**< NULL: none */
    char *plain_key;             /**< NULL: none, or a native one */
    struct msi_foreign *foreign; /**< NULL: mapseg's own segment, or detached */

    /* fork.c: the list of attached handles, and the attachment that a child
     * is about to adopt. */
    struct mapseg *next;
    struct mapseg *previous;
    struct {
        bool present; /**< false: the child gets none */
        struct msi_presence presence;
    } child;
};

/** Whether the handle says it is attached, but this process is a child in
 *  which no fork handler ran or could: only its data pointer is good. */
static inline bool
msi_handle_is_orphaned(const mapseg *seg)
{
    return seg->attached && !msi_lock_is_current(&seg->lock);
}

/** Whether the handle is attached, in this very process. */
static inline bool
msi_handle_is_attached(const mapseg *seg)
{
    return seg->attached && msi_lock_is_current(&seg->lock);
}

/** Whether touching its memory can be SIGBUS. */
static inline bool
msi_handle_can_shrink(const mapseg *seg)
{
    return seg->attachment.can_shrink;
}

/** Gives an attached handle a native key that describes what it is attached to. */
void msi_handle_rename(mapseg *seg, mapseg_ipc_key *key);

/** Makes a complete attachment, which was built apart, the handle's: the one way in which a
 *  handle gets one. From here on children inherit it. The fork list is locked. */
void msi_handle_take(mapseg *seg, const struct msi_attachment *complete, mapseg_access access,
                     bool no_fork);

/** Forgets what a handle still has of an attachment that is no longer its
 *  own: in a child after a fork. */
void msi_handle_drop_inherited(mapseg *seg);

#endif
