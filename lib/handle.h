/*
 * handle.h - what a handle is made of.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_HANDLE_H
#define MAPSEG_HANDLE_H

#include "file.h"
#include "lock.h"
#include "mapseg-format.h"
#include "mapseg.h"
#include "presence.h"

#include <stdatomic.h>
#include <sys/types.h>

/** What an attachment consists of besides its lock. */
struct mapseg_attachment {
    struct mapseg_file file; /**< its descriptor carries no presence where it can be helped */
    struct mapseg_presence presence;
    char *base;                   /**< the whole file as the data is mapped */
    size_t bytes;                 /**< of that mapping */
    struct mapseg_header *header; /**< to write the lock; NULL: may not */
    bool header_apart;            /**< a mapping of its own, of one page */
    bool borrowed;                /**< the descriptor is the caller's, and only for now */
    size_t data_offset;
    size_t data_size;
    bool can_shrink; /**< no seal keeps others from making the file shorter */
    bool reads_file; /**< so the library reads it through the descriptor, outside of sections */
    bool keeps_name; /**< it only looks: the last one out or not, the name stays */
    uint64_t flags;  /**< of the header */
    uint8_t id[16];
    mapseg_key_type type; /**< of the key that it was reached by */
    uint32_t trust_flags; /**< what its creator or attacher accepts, for the way back */
};

struct mapseg {
    /* What the lock's fast path reads comes first, in one cache line. */
    struct mapseg_lock lock;
    _Atomic int error; /**< a mapseg_result */
    uint32_t number;   /**< another for each handle of this process */
    bool attached;     /**< see mapseg_handle_is_orphan before believing it */
    bool read_only;    /**< the data may not be written through this handle */
    bool no_fork;
    atomic_bool shrunk; /**< the file was seen to be shorter than the mapping */
    struct mapseg_attachment attachment;
    struct mapseg_change *_Atomic change; /**< change.c; NULL: nobody asked */

    mapseg_ipc_key *key; /**< NULL: none */
    char *plain_key;     /**< NULL: none, or a native one */

    /* fork.c: the list of attached handles, and the attachment that a child
     * is about to adopt. */
    struct mapseg *next;
    struct mapseg *previous;
    struct {
        bool present; /**< false: the child gets none */
        struct mapseg_presence presence;
    } child;
};

/** Whether its file has a name. */
static inline bool
mapseg_attachment_is_named(const struct mapseg_attachment *attachment)
{
    return attachment->file.path != NULL;
}

/** Whether touching its memory can be SIGBUS. */
static inline bool
mapseg_handle_can_shrink(const mapseg *seg)
{
    return seg->attachment.can_shrink;
}

/** Gives an attached handle a native key that describes what it is attached to. */
void mapseg_handle_rename(mapseg *seg, mapseg_ipc_key *key);

/** Releases the lock, with `bits` set in the word, if the word names this
 *  attachment: through the file, which may have become too short for it. */
void mapseg_attachment_release_word(struct mapseg_attachment *attachment, uint32_t bits);

/** The same with MAPSEG_LOCK_DIED, and `lock` knows no more that it was held. */
void mapseg_attachment_abandon_word(struct mapseg_attachment *attachment, struct mapseg_lock *lock);

/** Heals the lock word if it names a slot that the caller has just claimed. */
void mapseg_attachment_heal(struct mapseg_attachment *attachment, uint32_t slot);

/** Unmaps and closes all of an attachment but its presence. */
void mapseg_attachment_drop(struct mapseg_attachment *attachment);

/** Only forgets that there was anything mapped or open. */
void mapseg_attachment_forget(struct mapseg_attachment *attachment);

#endif
