/*
 * sequence.h - the version of a segment's data.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_SEQUENCE_H
#define MAPSEG_SEQUENCE_H

#include "handle.h"

/** The version as it is now; odd: a change is under way. FILE_SHRUNK: the file
 *  has become shorter, and the handle is marked so. */
mapseg_result mapseg_sequence_look(mapseg *seg, uint64_t *version);

/** Sleeps until a writer wakes, for `ns` nanoseconds, or not at all if the
 *  version is another one by now. */
void mapseg_sequence_sleep(const mapseg *seg, uint64_t version, int64_t ns);

/** Wakes all who sleep. */
void mapseg_sequence_wake(const mapseg *seg);

/** A change ends in mapseg_unlock: publishes it. The lock is held. */
void mapseg_sequence_publish(struct mapseg_lock *lock);

/** mapseg_consistent: the data is in order again. The lock is held. */
void mapseg_sequence_repaired(struct mapseg_lock *lock);

#endif
