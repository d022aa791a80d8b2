/*
 * foreign.h - segments that mapseg did not invent: without its header, so with the lock and
 * the life that their own programs give them.
 *
 * A handle that is attached to one has seg->foreign; the attachment has base, data_offset 0,
 * data_size and, where there is one, a file. Its lock has no header, so that the fast path
 * never takes it: the calls of the API come here from where they refuse a handle that cannot
 * lock. A child that fork() makes has the memory, not the attachment.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_FOREIGN_H
#define MAPSEG_FOREIGN_H

#include "mapseg-key.h"
#include "os/failure.h"

/** One way of sharing. Each call ends like a call of the library: OK, or a result and its words
 *  in *failure; `seg` is attached in this process but in create, attach, remove and repair. */
struct msi_foreign_way {
    const char *name; /**< for people: "POSIX", "System V", "raw" */
    mapseg_result (*create)(mapseg *seg, size_t size, mapseg_access access,
                            const mapseg_options *options, struct msi_failure *failure);
    mapseg_result (*attach)(mapseg *seg, mapseg_access access, const mapseg_options *options,
                            struct msi_failure *failure);
    /** Releases the lock if it is held, and leaves; OK always counts as left, `failure` has the
     *  words of what could not be removed where the result is another. */
    mapseg_result (*detach)(mapseg *seg, struct msi_failure *failure);
    /** OK, OWNER_DIED, ALREADY_LOCKED, WOULD_BLOCK (unless `wait`), TIMED_OUT at the deadline of
     *  the monotonic clock (INT64_MAX: none), or an error. */
    mapseg_result (*lock)(mapseg *seg, bool wait, int64_t deadline, struct msi_failure *failure);
    mapseg_result (*unlock)(mapseg *seg, struct msi_failure *failure);
    mapseg_result (*consistent)(mapseg *seg, struct msi_failure *failure);
    /** `force`: although programs use it. */
    mapseg_result (*remove)(mapseg *seg, bool force, const mapseg_options *options,
                            struct msi_failure *failure);
    /** Frees a lock whose owner is dead; `force`: without proof. */
    mapseg_result (*repair)(mapseg *seg, bool force, struct msi_failure *failure);
    /** What is known of it, whether the handle is attached or not; the caller frees it. */
    mapseg_result (*info)(mapseg *seg, mapseg_info **information, struct msi_failure *failure);
};

/** What a handle is attached to in a way that is not mapseg's own begins with this. */
struct msi_foreign {
    const struct msi_foreign_way *way;
};

/** The way of a key's type, with these flags of the options; NULL: mapseg's own, or none. */
const struct msi_foreign_way *msi_foreign_way_of(const mapseg_ipc_key *key, uint32_t flags);

extern const struct msi_foreign_way msi_foreign_posix;    /**< posix.c */
extern const struct msi_foreign_way msi_foreign_raw;      /**< raw.c */
extern const struct msi_foreign_way msi_foreign_system_v; /**< system_v.c */

#endif
