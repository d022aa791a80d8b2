/*
 * forklist.h - what this process has that a child must find whole, or not at all.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_FORKLIST_H
#define MAPSEG_FORKLIST_H

#include "os/failure.h"

#include <signal.h>

/** Keeps this process from forking, so that nothing which is half done can be
 *  copied, and this thread from handling signals. It does not nest. 0, or
 *  -EDEADLK in a child that a handler of signals made while this thread held it. */
int mapseg_fork_lock(void);
void mapseg_fork_unlock(void);

/** Puts a handle on the list of those that children inherit, and takes it off.
 *  One that is not attached yet loses its descriptor in the child. Call all
 *  three with the list locked. */
void mapseg_fork_enlist(struct mapseg *seg);
void mapseg_fork_delist(struct mapseg *seg);

/** A descriptor that is made for another process, and under way to it, or that a call
 *  has open for a while: a child does not keep it, or a receiver's presence would not
 *  end with the receiver. */
struct mapseg_courier {
    int fd; /**< -1: none */
    struct mapseg_courier *next;
};

/** Sends it on its way, and takes it back. Call both with the list locked. */
void mapseg_fork_carry(struct mapseg_courier *courier, int fd);
void mapseg_fork_deliver(struct mapseg_courier *courier);

/** The program gets a descriptor that was made just now: a handle that had the number before
 *  has lost it. Call it with the list locked. A negative number is none. */
void mapseg_fork_disown(int fd);

/** Makes the handle this process's, see mapseg_lock_lives. Call it with the list locked. */
void mapseg_fork_belong(struct mapseg *seg);

/** Words where the list could not be locked. */
mapseg_result mapseg_fork_lock_failed(struct mapseg_failure *failure);

/* For fork.c alone. */

/** Makes the page by which a child in which no handler runs is told, unless it is there.
 *  0, or -ENOMEM. */
int mapseg_forklist_begin(void);

/** Takes the list, and gives it back; the thread's signals are held back already. */
void mapseg_forklist_take(const sigset_t *before);
void mapseg_forklist_give_back(void);

/** The first handle on it; the others follow by `next`. */
mapseg *mapseg_forklist_first(void);

/** In a child: it is this process that the handles belong to from now on. What was under
 *  way in its parent is closed. */
void mapseg_forklist_in_child(void);

/** In a child: its handles belong to no process. */
void mapseg_forklist_in_stray_child(void);

#endif
