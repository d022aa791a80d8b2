/*
 * foreign.h - segments that mapseg did not invent: without its header, so with the lock and
 * the life that their own programs give them.
 *
 * A handle that is attached to one has seg->foreign; the attachment has base, data_offset 0,
 * data_size and, where there is one, a file. Its lock has no header, so that the fast path
 * never takes it: the calls of the API come here from where they refuse a handle that cannot
 * lock.
 *
 * There are two kinds of ways. One leads to a file (POSIX, raw): create.c, attach.c and the
 * rest treat that as one of mapseg's own but for the header, and ask the way for the lock
 * alone; a child that fork() makes is an attachment of its own. The other (System V) does
 * all by itself; a child has the memory, not the attachment.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_FOREIGN_H
#define MAPSEG_FOREIGN_H

#include "handle/handle.h"
#include "mapseg-key.h"
#include "os/failure.h"

struct msi_name;

/** One way of sharing. Each call ends like a call of the library: OK, or a result and its words
 *  in *failure, where `lock` may leave out the usual ones. `seg` is attached in this process but in
 * create, attach, remove, repair and info. */
struct msi_foreign_way {
    const char *name; /**< for people: "POSIX", "System V", "raw" */
    /** Flags of the options that this way can do, though most cannot. */
    uint32_t flags;

    /* Of a way that does all by itself; a way to a file has NULL here. */

    /** The handle is detached, options and access are checked. Sets seg->foreign before
     *  msi_handle_take, which it calls with the fork list locked. */
    mapseg_result (*create)(mapseg *seg, size_t size, mapseg_access access,
                            const mapseg_options *options, struct msi_failure *failure);
    /** The same; NOT_FOUND makes create_or_attach create. It waits as options->wait_ns
     *  says, and demands options->minimum_size. */
    mapseg_result (*attach)(mapseg *seg, mapseg_access access, const mapseg_options *options,
                            struct msi_failure *failure);
    /** Releases the lock if it is held, leaves, sets seg->attachment.base to NULL where it has
     *  unmapped that, and frees and clears seg->foreign; OK always counts as left, `failure` has
     *  the words of what could not be removed where the result is another. */
    mapseg_result (*detach)(mapseg *seg, struct msi_failure *failure);
    /** `force`: although programs use it. */
    mapseg_result (*remove)(mapseg *seg, bool force, const mapseg_options *options,
                            struct msi_failure *failure);
    /** What is known of it, whether the handle is attached or not; the caller frees it. */
    mapseg_result (*info)(mapseg *seg, mapseg_info **information, struct msi_failure *failure);

    /* Of a way to a file; else NULL. */

    /** Makes ready what the lock needs of the segment that is open as `fd`, and that `name` leads
     *  to (which has no path: none does), or, if `creates`, will lead to in a moment. `*foreign` is
     *  the handle's when all is well, else it is given to close. The fork list is locked. */
    mapseg_result (*open)(struct msi_foreign **foreign, const struct msi_name *name, int fd,
                          const mapseg_options *options, bool creates, struct msi_failure *failure);
    /** Frees it; the lock is not held, the fork list is locked. */
    void (*close)(struct msi_foreign *foreign);
    /** Tells of the lock what can be seen; `fd`: the segment, open. */
    void (*look)(const struct msi_name *name, int fd, mapseg_info *information);
    /** The segment's name was removed at the caller's wish, while a hold keeps others from it.
     *  Returns a descriptor that is to be closed when the hold is let go; -1: none. */
    int (*removed)(const struct msi_name *name);

    /* Of each. */

    /** OK, OWNER_DIED, ALREADY_LOCKED, WOULD_BLOCK (unless `wait`), TIMED_OUT at the deadline of
     *  the monotonic clock (INT64_MAX: none), or an error. */
    mapseg_result (*lock)(mapseg *seg, bool wait, int64_t deadline, struct msi_failure *failure);
    /** NOT_LOCKED needs no words. */
    mapseg_result (*unlock)(mapseg *seg, struct msi_failure *failure);
    mapseg_result (*consistent)(mapseg *seg, struct msi_failure *failure);
    /** Frees a lock whose owner is dead; `force`: without proof. */
    mapseg_result (*repair)(mapseg *seg, bool force, struct msi_failure *failure);
};

/** The way of a key's type, with these flags of the options; NULL: mapseg's own, or none. */
const struct msi_foreign_way *msi_foreign_way_of(const mapseg_ipc_key *key, uint32_t flags);

/** Whether the way does all by itself. */
static inline bool
msi_foreign_is_apart(const struct msi_foreign_way *way)
{
    return way != NULL && way->attach != NULL;
}

/** NOT_SUPPORTED where the options ask for what only segments with a header can have. */
mapseg_result msi_foreign_check_options(const struct msi_foreign_way *way,
                                        const mapseg_options *options, struct msi_failure *failure);

/** NOT_SUPPORTED: such a segment cannot `what` ("have a label"). */
mapseg_result msi_foreign_refuse(const struct msi_foreign_way *way, const char *what,
                                 struct msi_failure *failure);

/** Takes the lock of an attached handle by its way. A cure of NULL: the usual words. */
mapseg_result msi_foreign_take(mapseg *seg, bool wait, int64_t deadline,
                               struct msi_failure *failure);

/** Takes the lock of an attached handle for a call that needs it only while it copies; *taken:
 *  it has to be given back. */
mapseg_result msi_foreign_borrow(mapseg *seg, int64_t timeout_ns, bool *taken,
                                 struct msi_failure *failure);

extern const struct msi_foreign_way msi_foreign_posix;    /**< posix.c */
extern const struct msi_foreign_way msi_foreign_raw;      /**< raw.c */
extern const struct msi_foreign_way msi_foreign_system_v; /**< system_v.c */

#endif
