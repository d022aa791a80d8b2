/*
 * notify.h - a descriptor that becomes readable when the version moves on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_NOTIFY_H
#define MAPSEG_NOTIFY_H

#include "handle.h"

/** The handle has given the version out to its caller: the descriptor is not
 *  readable on its account any more. Cheap where there is no descriptor. */
void msi_notify_note(mapseg *seg, uint64_t version);

/** Notes what mapseg_wait says of the name and of the writers, before msi_notify_note. */
void msi_notify_told(mapseg *seg, mapseg_result result);

/** Ends the thread and closes the descriptor of a handle that is about to be
 *  detached, if it has any; the fork list is not locked. */
void msi_notify_stop(mapseg *seg);

/** In a child made by fork(): the thread is not here, the descriptor is the
 *  parent's. Closes and forgets. */
void msi_notify_forked(mapseg *seg);

#endif
