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
int msi_forklist_lock(void);
void msi_forklist_unlock(void);

/** Puts a handle on the list of those that children inherit, and takes it off.
 *  One that is not attached yet loses its descriptor in the child. Call all
 *  three with the list locked. */
void msi_forklist_add(struct mapseg *seg);
void msi_forklist_remove(struct mapseg *seg);

/** A descriptor that is made for another process, and under way to it, or that a call
 *  has open for a while: a child does not keep it, or a receiver's presence would not
 *  end with the receiver. */
struct msi_fd_in_flight {
    int fd; /**< -1: none */
    struct msi_fd_in_flight *next;
};

/** Sends it on its way, and takes it back. Call both with the list locked. */
void msi_in_flight_add(struct msi_fd_in_flight *flight, int fd);
void msi_in_flight_remove(struct msi_fd_in_flight *flight);

/** The program gets a descriptor that was made just now: a handle that had the number before
 *  has lost it. Call it with the list locked. A negative number is none. */
void msi_forklist_disown(int fd);

/** Makes the handle this process's, see msi_lock_is_current. Call it with the list locked. */
void msi_forklist_bind_process(struct mapseg *seg);

/** Words where the list could not be locked. */
mapseg_result msi_forklist_lock_failed(struct msi_failure *failure);

/* For fork.c alone. */

/** Makes the page by which a child in which no handler runs is told, unless it is there.
 *  0, or -ENOMEM. */
int msi_forklist_begin(void);

/** Takes the list, and gives it back; the thread's signals are held back already. */
void msi_forklist_take(const sigset_t *before);
void msi_forklist_give_back(void);

/** The first handle on it; the others follow by `next`. */
mapseg *msi_forklist_first(void);

/** In a child: it is this process that the handles belong to from now on. What was under
 *  way in its parent is closed. */
void msi_forklist_in_child(void);

/** In a child: its handles belong to no process. */
void msi_forklist_in_stray_child(void);

#endif
