/*
 * presence.h - who is attached, as the kernel knows it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_PRESENCE_H
#define MAPSEG_PRESENCE_H

#include "mapseg-format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** One attachment's presence. */
struct mapseg_presence {
    void *page;                 /**< holds the description that holds the byte; NULL: none */
    uint32_t slot;              /**< 0: the shared byte of those who cannot lock */
    bool on_working_descriptor; /**< the file could not be opened anew */
    bool refused;               /**< the system allows no lock at all */
};

/** A new open file description of the file behind `fd`: by `path` (may be
 *  NULL) if that leads to the same file, else through /proc. Negative errno. */
int mapseg_description_new(int fd, const char *path, int flags);

/** Makes the attachment present: `writes` with a slot of its own, else with
 *  the shared byte. `nameless` segments accept a refusal. -EAGAIN: somebody
 *  holds all of presence, and is removing the segment. Call it with the fork
 *  list locked (fork.h), or a child keeps the presence alive. */
int mapseg_presence_claim(struct mapseg_presence *presence, int fd, const char *path, bool writes,
                          bool nameless);

/** Keeps the page that holds the presence out of children. */
int mapseg_presence_hide(const struct mapseg_presence *presence);

/** The attachment is no longer present. */
void mapseg_presence_release(struct mapseg_presence *presence, int fd);

/** Whether somebody living holds the slot. An error counts as living. */
bool mapseg_presence_is_held(int fd, uint32_t slot);

/** Whether anybody is present, or somebody removes the name just now. An error
 *  counts as nobody: taking presence then tells. */
bool mapseg_presence_is_anybody(int fd);

/** Presence bytes held for a moment, to act on what they prove. */
struct mapseg_hold {
    int description; /**< of its own, or, where none could be made, the working one */
    bool own;
    int64_t start;
    int64_t bytes;
};

/** Takes the byte of a slot whose owner is dead. -EAGAIN: somebody has it. */
int mapseg_presence_take_dead(struct mapseg_hold *hold, int fd, const char *path, uint32_t slot);

/** Takes all of presence and the name byte: proof that nobody is attached, and
 *  that nobody else removes or replaces the name. -EAGAIN: somebody is. */
int mapseg_presence_take_all(struct mapseg_hold *hold, int fd, const char *path);

/** Takes the name byte. -EAGAIN: somebody has it. */
int mapseg_presence_take_name(struct mapseg_hold *hold, int fd, const char *path);

/** Closes a descriptor of a segment, while no hold of the process can suffer. */
void mapseg_presence_close(int fd);

/** In a child: no thread that could be closing or holding is here. */
void mapseg_presence_forked(void);

/** Lets go of what a take got. */
void mapseg_presence_let_go(struct mapseg_hold *hold);

/** How many are present on a file. */
struct mapseg_census {
    uint32_t attached;
    uint32_t readers;
};

/** Asks the kernel; the number of readers, where there are several, may be off
 *  by those who come and go meanwhile. */
void mapseg_presence_count(int fd, dev_t device, ino_t inode, struct mapseg_census *census);

#endif
