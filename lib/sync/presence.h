/*
 * presence.h - who is attached, as the kernel knows it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_PRESENCE_H
#define MAPSEG_PRESENCE_H

#include "os/failure.h"
#include "file/file.h"
#include "mapseg-format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** One attachment's presence. */
struct mapseg_presence {
    void *page;                 /**< holds the description that holds the byte; NULL: none */
    _Atomic int fd;             /**< the same where a page does not; -1: none */
    uint32_t slot;              /**< 0: the shared byte of those who cannot lock */
    bool on_working_descriptor; /**< the file could not be opened anew */
    bool refused;               /**< the system allows no lock at all */
};

/** No presence. */
void mapseg_presence_clear(struct mapseg_presence *presence);

/** Makes the attachment present: `writes` with a slot of its own, else with
 *  the shared byte. `nameless` segments accept a refusal. -EAGAIN: another process
 *  holds all of presence, and is removing the segment; -EOPNOTSUPP: this file
 *  system keeps no presence. Call it with the fork list locked (fork.h), or a child
 *  keeps the presence alive. */
int mapseg_presence_claim(struct mapseg_presence *presence, struct mapseg_file *file, bool writes,
                          bool nameless);

/** Words for a claim that failed; `error` is positive, and not EAGAIN. */
mapseg_result mapseg_presence_failed(int error, struct mapseg_failure *failure);

/** Keeps the page that holds the presence out of children. */
int mapseg_presence_hide(const struct mapseg_presence *presence);

/** The attachment is no longer present. */
void mapseg_presence_release(struct mapseg_presence *presence, struct mapseg_file *file);

/** The presence goes on in a child, and not in this process, which forgets its copy. */
void mapseg_presence_hand_over(struct mapseg_presence *presence, const struct mapseg_file *file);

/** The presence goes on in the parent, and not in this child, which forgets its copy. */
void mapseg_presence_forget(struct mapseg_presence *presence, const struct mapseg_file *file);

/** Whether a living process holds the slot. An error counts as living. */
bool mapseg_presence_is_held(int fd, uint32_t slot);

/** Whether an attachment is present, or a process removes the name just now. An
 *  error counts as none: taking presence then tells. */
bool mapseg_presence_is_any(int fd);

/** Presence bytes held for a moment, to act on what they prove. */
struct mapseg_hold {
    int description; /**< of its own, or, where none could be made, the working one */
    bool own;
    int64_t start;
    int64_t bytes;
};

/** Takes the byte of a slot whose owner is dead. -EAGAIN: another has it. */
int mapseg_presence_take_dead(struct mapseg_hold *hold, struct mapseg_file *file, uint32_t slot);

/** Takes all of presence and the name byte: proof that no process is attached, and
 *  that none removes or replaces the name. -EAGAIN: one does. */
int mapseg_presence_take_all(struct mapseg_hold *hold, struct mapseg_file *file);

/** Takes the name byte. -EAGAIN: another has it. */
int mapseg_presence_take_name(struct mapseg_hold *hold, struct mapseg_file *file);

/** Lets go of what a take got. */
void mapseg_presence_let_go(struct mapseg_hold *hold);

/** How many are present on a file. */
struct mapseg_census {
    uint32_t attached;
    uint32_t readers;
    bool is_minimum; /**< there are very many, and these are some of them */
    bool is_blocked; /**< one process holds all of presence: nothing else can be seen */
};

/** Asks the kernel; the number of readers, where there are several, may be off
 *  by those who come and go meanwhile. It may take seconds where a hostile peer
 *  holds very many locks: hold nothing that others wait for. */
void mapseg_presence_count(int fd, dev_t device, ino_t inode, struct mapseg_census *census);

#endif
