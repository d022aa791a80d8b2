/*
 * semaphore.h - a named POSIX semaphore that is the lock of a segment, as Qt uses it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_SEMAPHORE_H
#define MAPSEG_SEMAPHORE_H

#include "file/file.h"
#include "file/name.h"
#include "file/trust.h"
#include "os/failure.h"
#include "os/semaphore.h"
#include "sync/presence.h"

/** One semaphore that is open. The owner's mark in it is the number of a presence byte of its
 *  own file, not of the segment's: so it stays true where another segment gets the name. */
struct msi_semaphore {
    struct msi_semaphore_memory *memory;
    _Atomic uint64_t mark; /**< the word while this handle holds it and none waits; 0: not yet */
    struct msi_file file;
    struct msi_presence presence; /**< claimed for the first lock: its slot is the mark */
    struct msi_semaphore *older;  /**< one that had the name before: threads may still use it */
};

/** What a semaphore that is to be made gets. */
struct msi_semaphore_likeness {
    mode_t mode;
    uint32_t group;
};

/** Opens the semaphore at the path; `like` not NULL: makes it, free, where there is none.
 * NOT_FOUND: there is none. The fork list is locked. */
mapseg_result msi_semaphore_open(struct msi_semaphore **semaphore, const char *path,
                                 const struct msi_semaphore_likeness *like, struct msi_trust trust,
                                 struct msi_failure *failure);

/** Claims the slot, if that is still to be done, before it is locked for the first time; the fork
 *  list is locked. */
mapseg_result msi_semaphore_claim(struct msi_semaphore *semaphore, struct msi_failure *failure);

/** Closes all on the chain; none is held. The fork list is locked. */
void msi_semaphore_close(struct msi_semaphore *semaphore);

/** In a child: the slots of all on the chain are the parent's. */
void msi_semaphore_forked(struct msi_semaphore *semaphore);

/** Whether another semaphore than this one has the name by now. */
bool msi_semaphore_is_replaced(const struct msi_semaphore *semaphore);

/** The word, as it is. */
uint64_t msi_semaphore_look(const struct msi_semaphore *semaphore);

/** Tries once, without waiting: OK, OWNER_DIED (of mapseg's owners), WOULD_BLOCK (`*seen` is what
 *  is there), or CORRUPT. */
mapseg_result msi_semaphore_try(struct msi_semaphore *semaphore, uint64_t *seen,
                                struct msi_failure *failure);

/** What a swap that took it comes to: OK, or OWNER_DIED. */
static inline mapseg_result
msi_semaphore_death(struct msi_semaphore *semaphore)
{
    return atomic_load_explicit(&semaphore->memory->notes, memory_order_relaxed) == 0
               ? MAPSEG_OK
               : MAPSEG_OWNER_DIED;
}

/** Sleeps until it may be free, `ns` nanoseconds at most. */
void msi_semaphore_sleep(struct msi_semaphore *semaphore, int64_t ns);

/** Counts a waiter in or out. */
void msi_semaphore_count(struct msi_semaphore *semaphore, bool in);

/** Frees that on the chain which this handle holds; false: it holds none. */
bool msi_semaphore_post(struct msi_semaphore *semaphore);

/** Declares, of that on the chain which this handle holds, that the data is in order; false: it
 *  holds none. */
bool msi_semaphore_declare_consistent(struct msi_semaphore *semaphore);

/** As mapseg_repair. */
mapseg_result msi_semaphore_repair(struct msi_semaphore *semaphore, bool force,
                                   struct msi_failure *failure);

/** What is read from the file of a semaphore. */
struct msi_semaphore_copy {
    uint64_t word;
    uint32_t shared;
    uint32_t notes;
};

/** Reads it; false: it is none. */
bool msi_semaphore_read(int fd, struct msi_semaphore_copy *copy);

#endif
