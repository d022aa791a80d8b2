/*
 * presence.h - which attachments are present, as the kernel knows it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_PRESENCE_H
#define MAPSEG_PRESENCE_H

#include "file/file.h"
#include "mapseg-format.h"
#include "os/failure.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** What an attachment is present as. */
enum msi_role {
    MSI_READER, /**< it cannot lock: it shares a byte */
    MSI_LOCKER, /**< it can lock, and cannot write the data */
    MSI_WRITER, /**< it can write the data */
    MSI_MARKER  /**< it leaves its slot as a mark, which has room for MSI_LAST_MARK */
};

#define MSI_LAST_MARK UINT32_C(0xffff)

/** One attachment's presence. */
struct msi_presence {
    void *page;                 /**< holds the description that holds the byte; NULL: none */
    _Atomic int fd;             /**< the same where a page does not; -1: none */
    uint32_t slot;              /**< 0: the shared byte of those that cannot lock */
    bool on_working_descriptor; /**< the file could not be opened anew */
    bool refused;               /**< the system allows no lock at all */
};

/** No presence. */
void msi_presence_clear(struct msi_presence *presence);

/** Makes the attachment present: with a slot of its own, among those of its role, or, as a
 *  reader, with the shared byte. `nameless` segments accept a refusal. -EAGAIN: another process
 *  holds all of presence, and is removing the segment; -EOPNOTSUPP: this file
 *  system keeps no presence. Call it with the fork list locked (fork.h), or a child
 *  keeps the presence alive. */
int msi_presence_claim(struct msi_presence *presence, struct msi_file *file, enum msi_role role,
                       bool nameless);

/** Words for a claim that failed; `error` is positive. */
mapseg_result msi_presence_failed(int error, struct msi_failure *failure);

/** Keeps the page that holds the presence out of children. */
int msi_presence_hide(const struct msi_presence *presence);

/** The attachment is no longer present. */
void msi_presence_release(struct msi_presence *presence, struct msi_file *file);

/** The presence goes on in a child, and not in this process, which forgets its copy. */
void msi_presence_hand_over(struct msi_presence *presence, const struct msi_file *file);

/** The presence goes on in the parent, and not in this child, which forgets its copy. */
void msi_presence_forget(struct msi_presence *presence, const struct msi_file *file);

/** Whether a living process holds the slot. An error counts as living. */
bool msi_presence_is_held(int fd, uint32_t slot);

/** Whether an attachment says that the last one out is to remove the name. */
bool msi_presence_has_wish(int fd);

/** Whether an attachment is present, or a process removes the name just now. An
 *  error counts as none: taking presence then tells. */
bool msi_presence_is_any(int fd);

/** Whether an attachment is present that can write the data, other than the one whose slot is
 *  `own` (0: none); or a process holds bytes of theirs for a moment. An error counts as one. */
bool msi_presence_is_written(int fd, uint32_t own);

/** Presence bytes held for a moment, to act on what they prove. */
struct msi_hold {
    int description; /**< of its own, or, where none could be made, the working one */
    bool own;
    int64_t start;
    int64_t bytes;
};

/** Takes the byte of a slot whose owner is dead. -EAGAIN: another has it. */
int msi_presence_lock_slot(struct msi_hold *hold, struct msi_file *file, uint32_t slot);

/** Takes all of presence and the name byte: proof that no process is attached, and
 *  that none removes or replaces the name. -EAGAIN: one does. */
int msi_presence_lock_all(struct msi_hold *hold, struct msi_file *file);

/** Takes the name byte. -EAGAIN: another has it. */
int msi_presence_lock_name(struct msi_hold *hold, struct msi_file *file);

/** Lets go of what a take got. */
void msi_presence_unlock(struct msi_hold *hold);

/** How many are present on a file. */
struct msi_census {
    uint32_t attached;
    uint32_t readers;
    uint32_t writers; /**< those that can write the data */
    bool is_minimum;  /**< there are very many, and these are some of them */
    bool is_blocked;  /**< one process holds all of presence: nothing else can be seen */
};

/** Asks the kernel; the number of readers, where there are several, may be off
 *  by those that come and go meanwhile. It may take seconds where a hostile peer
 *  holds very many locks: hold nothing that others wait for. */
void msi_presence_count(int fd, dev_t device, ino_t inode, struct msi_census *census);

#endif
