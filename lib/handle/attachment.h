/*
 * attachment.h - what a handle is attached with: descriptor, mappings, presence.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_ATTACHMENT_H
#define MAPSEG_ATTACHMENT_H

#include "file/file.h"
#include "file/trust.h"
#include "mapseg-format.h"
#include "os/failure.h"
#include "sync/lock.h"
#include "sync/presence.h"

/** How the library reads and writes the data, outside of the program's sections. */
enum msi_reach {
    REACH_DIRECT,  /**< as the program does: only this user could make the file shorter */
    REACH_GUARDED, /**< within a section of the guard, of this thread */
    REACH_FILE     /**< through the descriptor */
};

/** What an attachment consists of besides its lock. */
struct msi_attachment {
    struct msi_file file; /**< its descriptor carries no presence where it can be helped */
    struct msi_presence presence;
    char *base;                    /**< the whole file as the data is mapped */
    size_t bytes;                  /**< of that mapping */
    struct mapseg_header *header;  /**< to write the lock; NULL: may not */
    bool header_mapped_separately; /**< a mapping of its own, of one page */
    bool is_raw;                   /**< the file has no header: all of it is data */
    bool writes;                   /**< the data is mapped to be written */
    bool borrowed;                 /**< the descriptor is the caller's, and only for now */
    size_t data_offset;
    size_t data_size;
    bool can_shrink;   /**< no seal keeps processes from making the file shorter */
    bool cautious;     /**< so it is attached, inherited and left without touching the mapping */
    bool is_lazy;      /**< memory that was not reserved may be wanting */
    _Atomic int reach; /**< an enum msi_reach, see reach.h */
    bool keeps_name;   /**< it only looks: the last one out or not, the name stays */
    uint64_t flags;    /**< of the header */
    uint8_t id[16];
    mapseg_key_type type;   /**< of the key that it was reached by */
    struct msi_trust trust; /**< of its creator or attacher, for the way back; and what it watches,
                               and whether it wants dumps */
};

/** Whether its file has a name. */
static inline bool
msi_attachment_is_named(const struct msi_attachment *attachment)
{
    return attachment->file.path != NULL;
}

/** What it is, or is to be, present as. */
static inline enum msi_role
msi_attachment_role(const struct msi_attachment *attachment)
{
    bool can_lock = attachment->is_raw ? attachment->file.writes : attachment->header != NULL;

    if (!can_lock)
        return MSI_READER;
    return attachment->writes ? MSI_WRITER : MSI_LOCKER;
}

/** Whether presence lies on a description whose mappings and copies would keep
 *  it alive in children. A memfd reader's presence need not be kept from children: there
 *  is no name to remove. */
static inline bool
msi_presence_is_shared(const struct msi_attachment *attachment)
{
    return attachment->presence.on_working_descriptor &&
           msi_attachment_role(attachment) != MSI_READER;
}

/** An attachment that has nothing yet. */
void msi_attachment_clear(struct msi_attachment *attachment);

/** Maps the file behind attachment->fd, whose geometry is set: the data as
 *  `access` says and, if `can_lock`, the header to write. */
mapseg_result msi_attachment_map(struct msi_attachment *attachment, mapseg_access access,
                                 bool can_lock, bool no_fork, struct msi_failure *failure);

/** Keeps the mappings in memory. OUT_OF_RESOURCES: so much of it cannot be kept. */
mapseg_result msi_attachment_lock_memory(struct msi_attachment *attachment,
                                         struct msi_failure *failure);

/** Takes presence; the fork list is locked. 0, or a negative errno; -EAGAIN:
 *  the segment is just being removed. */
int msi_attachment_claim_presence(struct msi_attachment *attachment);

/** Releases the lock, with `bits` set in the word, if the word names this
 *  attachment: through the file, which may have become too short for it. */
void msi_attachment_release_word(struct msi_attachment *attachment, uint32_t bits);

/** Notes in the header, for people, whether the last one out left the name because it might not
 *  remove it. */
void msi_attachment_note_left(struct msi_attachment *attachment, bool left);

/** Releases it with MAPSEG_LOCK_DIED; and `lock` forgets that it was held. */
void msi_attachment_abandon_word(struct msi_attachment *attachment, struct msi_lock *lock);

/** As msi_version_announce, through the file, which may have become too short for it; false:
 *  a sandbox allows no way. */
bool msi_attachment_announce(struct msi_attachment *attachment);

/** Heals the lock word if it names a slot that the caller has just claimed. */
void msi_attachment_heal(struct msi_attachment *attachment, uint32_t slot);

/** Unmaps it. */
void msi_attachment_unmap(struct msi_attachment *attachment);

/** Unmaps and closes all of an attachment but its presence. */
void msi_attachment_drop(struct msi_attachment *attachment);

/** Only forgets that there was anything mapped or open. */
void msi_attachment_forget(struct msi_attachment *attachment);

#endif
