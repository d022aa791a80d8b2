/*
 * forklist.h - what this process has that a child must find whole, or not at all.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_FORKLIST_H
#define MAPSEG_FORKLIST_H

#include "os/failure.h"

#include <signal.h>

/** Keeps this process from forking, so that no child copies what is half done, and this
 *  thread from handling signals. It does not nest. 0, or -EDEADLK in a child that a signal
 *  handler made while this thread held the list. */
int msi_forklist_lock(void);
void msi_forklist_unlock(void);

/** Puts an attached handle on the list of those that children inherit, and takes it off.
 *  Call both with the list locked. */
void msi_forklist_add(struct mapseg *seg);
void msi_forklist_remove(struct mapseg *seg);

/** A descriptor on its way to another process, or open for the length of a call. A child
 *  closes its copy, or a receiver's presence would not end with the receiver. */
struct msi_fd_in_flight {
    int fd; /**< -1: none */
    struct msi_fd_in_flight *next;
};

/** Notes it as on its way, and as no longer so. Call both with the list locked. */
void msi_in_flight_add(struct msi_fd_in_flight *flight, int fd);
void msi_in_flight_remove(struct msi_fd_in_flight *flight);

/** The program gets a descriptor that was made just now: a handle that had the number before
 *  has lost it. Call it with the list locked. A negative number is none. */
void msi_forklist_disown(int fd);

/** Makes the handle this process's, see msi_lock_is_current. Call it with the list locked. */
void msi_forklist_bind_process(struct mapseg *seg);

/** The error text for a list that could not be locked. */
mapseg_result msi_forklist_lock_failed(struct msi_failure *failure);

/* For fork.c alone. */

/** Makes the page that tells a child in which no fork handler ran, unless it is there. 0,
 *  or -ENOMEM. */
int msi_forklist_begin(void);

/** Takes the list, and gives it back; the thread's signals are held back already. */
void msi_forklist_take(const sigset_t *before);
void msi_forklist_give_back(void);

/** The first handle on it; the others follow by `next`. */
mapseg *msi_forklist_first(void);

/** In a child: the handles belong to this process from now on; it closes the descriptors
 *  that its parent had on their way. */
void msi_forklist_in_child(void);

/** In a child: its handles belong to no process. */
void msi_forklist_in_stray_child(void);

#endif
