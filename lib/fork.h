/*
 * fork.h - attached handles across fork().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_FORK_H
#define MAPSEG_FORK_H

#include "handle.h"

/** Keeps this process from forking, so that nothing which is half done can be
 *  copied, and this thread from handling signals. It does not nest. 0, -ENOMEM
 *  where the fork handlers could not be set up, or -EDEADLK in a child that a
 *  handler of signals made while this thread held it. */
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

/** Whether the handle says it is attached, but this process is a child in
 *  which no fork handler ran or could: only its data pointer is good. */
bool mapseg_fork_orphaned(const struct mapseg *seg);

#endif
