/*
 * lock.h - the lock word of one attachment.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_LOCK_H
#define MAPSEG_LOCK_H

#include "file/file.h"
#include "mapseg-format.h"
#include "mapseg.h"

#include <stdatomic.h>

/* What owner_thread is while no thread of the handle owns. */

#define MSI_NEVER_OWNED 0

#define MSI_NOT_OWNED UINT32_MAX

/** No process has this stamp. */
#define MSI_NO_PROCESS_STAMP UINT32_MAX

struct msi_semaphore;

struct msi_lock {
    _Atomic uint32_t *word; /**< where the handle cannot lock: a word that is never free */
    const _Atomic uint32_t *process_stamp; /**< zero in a child that no fork handler ran in */
    uint32_t stamp;                        /**< what *process_stamp is while the handle is good */
    /** Equals *process_stamp while the fast path may be used. */
    _Atomic uint32_t fast_stamp;
    /** Equals *process_stamp while the fast way to read may be used. */
    _Atomic uint32_t read_stamp;
    uint32_t slot; /**< this attachment's; the word holds it while this attachment owns */
    /** The thread that owns, see msi_thread; or one of the next two. */
    _Atomic uint32_t owner_thread;
    bool fair;
    bool silent_waiters;          /**< each change wakes: waiters need not announce themselves */
    bool watches_name;            /**< waiters look whether the file has lost its name */
    atomic_bool writes;           /**< this attachment holds it, and is within a change */
    struct msi_file *file;        /**< to test and take presence bytes */
    struct mapseg_header *header; /**< NULL: this attachment cannot lock */
    /** Of a POSIX segment, in place of a word; NULL: none, or not opened yet. */
    struct msi_semaphore *_Atomic semaphore;
    _Atomic uint32_t locks; /**< of that, without a look whether it was replaced */
    atomic_bool recovering; /**< one thread of a handle recovers at a time */
};

/** Prepares the lock of a new attachment, which has claimed its slot and healed
 *  the word. */
void msi_lock_begin(struct msi_lock *lock, struct mapseg_header *header, uint32_t slot,
                    struct msi_file *file, bool fair);

/** Heals the word if it names a slot that the caller has just claimed. */
void msi_lock_heal(struct mapseg_header *header, uint32_t slot);

/** Binds the lock to this process; or to none, so that no process can use it. */
void msi_lock_bind_process(struct msi_lock *lock, const _Atomic uint32_t *process_stamp,
                           uint32_t stamp);
void msi_lock_unbind_process(struct msi_lock *lock);

/** Releases the lock if this attachment holds it. */
void msi_lock_end(struct msi_lock *lock);

/** Makes the lock of a detached handle: one that cannot lock. */
void msi_lock_clear(struct msi_lock *lock);

/** Begins a recovery; false: another thread of the handle is at one, which takes some
 *  microseconds. */
bool msi_lock_begin_recovery(struct msi_lock *lock);
void msi_lock_end_recovery(struct msi_lock *lock);

/** Whether the process is one that attached, and may read in the fast way. */
static inline bool
msi_lock_may_read_fast(const struct msi_lock *lock)
{
    return atomic_load_explicit(lock->process_stamp, memory_order_relaxed) ==
           atomic_load_explicit(&lock->read_stamp, memory_order_relaxed);
}

/** Allows the fast way to read, or forbids it. */
void msi_lock_allow_reading(struct msi_lock *lock, bool allowed);

/** Takes the lock, and leaves no error text: OK, OWNER_DIED, ALREADY_LOCKED, TIMED_OUT at
 *  the deadline (INT64_MAX: none), DESCRIPTOR_CLOSED where the kernel cannot be asked
 *  whether the owner lives, or NOT_FOUND where the name is watched and lost. Only for a lock
 *  that has a header. */
mapseg_result msi_lock_take(struct msi_lock *lock, int64_t deadline);

/** Releases the lock, with `bits` set in the word; false: it is not this
 *  attachment's. */
bool msi_lock_release(struct msi_lock *lock, uint32_t bits);

/** Whether this attachment may have held the lock at some time. An unlock that was refused
 *  counts, too, but not where there is no lock to hold. */
static inline bool
msi_lock_is_used(const struct msi_lock *lock)
{
    return lock->header != NULL &&
           atomic_load_explicit(&lock->owner_thread, memory_order_relaxed) != MSI_NEVER_OWNED;
}

/** Whether this attachment holds the lock. */
bool msi_lock_is_held(const struct msi_lock *lock);

/** Whether this thread has noted that it holds the lock. Does not look at the word, which a
 *  peer may have written over. */
bool msi_lock_held_by_this_thread(const struct msi_lock *lock);

/** Forgets that a thread of this handle holds the lock: the word no longer says so. */
void msi_lock_clear_owner_thread(struct msi_lock *lock);

/** Marks the word as if an owner had died: the data is half written. */
void msi_lock_mark(struct msi_lock *lock);

/** Whether this thread took the lock, and has not released it, but a peer wrote over the
 *  word. */
bool msi_lock_was_taken_away(const struct msi_lock *lock);

/** Whether an owner died and no owner since has declared the data consistent. */
bool msi_lock_is_inconsistent(const struct msi_lock *lock);

/** Whether this attachment is within a change (write.c); and notes that it is, or is no
 *  longer, under the lock. Within a change the fast path is forbidden: an unlock must end
 *  the change, too. */
bool msi_lock_in_change(const struct msi_lock *lock);
void msi_lock_set_in_change(struct msi_lock *lock, bool writes);

/** The lock word of a header. */
static inline _Atomic uint32_t *
msi_lock_word(struct mapseg_header *header)
{
    return (_Atomic uint32_t *)&header->lock;
}

/** Whether the process is the one that attached, or a child made by fork(). */
static inline bool
msi_lock_is_current(const struct msi_lock *lock)
{
    return atomic_load_explicit(lock->process_stamp, memory_order_relaxed) == lock->stamp;
}

/** Gives this thread its number, if it has none yet. */
void msi_lock_know_thread(void);

/** Forgets the thread id that is cached here: a child's thread has another. */
void msi_lock_forked(void);

/** Takes the lock in the slow way: as msi_lock_take, or, unless `wait`, WOULD_BLOCK. */
mapseg_result msi_lock_attempt(struct msi_lock *lock, bool wait, int64_t deadline);

/** The data is in order again; false: this attachment does not hold the lock. */
bool msi_lock_declare_consistent(struct msi_lock *lock);

/** Begins a change, under the lock. */
void msi_lock_begin_change(struct msi_lock *lock);

/** Ends it, unless its data is known to be half written. What it returns is for
 *  msi_lock_wake_watchers, which is then owed: after the release of the lock, or at once
 *  where the lock is kept. */
bool msi_lock_end_change(struct msi_lock *lock);

/** Wakes the waiters for a version, if there may be any. */
void msi_lock_wake_watchers(const struct msi_lock *lock, bool announced);

/* ------------------------------------------------------- the fast path -- */

/** How many words behind the lock word a field of the note on its owner lies. */
#define MSI_WORDS_FROM_LOCK(field)                                                                 \
    ((offsetof(struct mapseg_header, field) - offsetof(struct mapseg_header, lock)) / 4)

#define MSI_PID_FROM_WORD MSI_WORDS_FROM_LOCK(owner_pid)

#define MSI_TID_FROM_WORD MSI_WORDS_FROM_LOCK(owner_tid)

/* Initial-exec: one load on the fast path, where the general model calls a
 * function. It takes eight bytes of the space that libc keeps for the likes. */
extern _Thread_local struct msi_thread {
    uint32_t number; /**< of this thread in this process, never reused; 0: none yet */
    uint32_t tid;    /**< the kernel's, cached: asking costs 200 ns */
} msi_thread __attribute__((tls_model("initial-exec")));

/** This process, as it is noted with the lock. */
extern _Atomic uint32_t msi_thread_process;

static inline uint32_t
msi_lock_owner_of(uint32_t word)
{
    return word & MAPSEG_LOCK_OWNER;
}

static inline uint32_t
msi_lock_look(const struct msi_lock *lock)
{
    /* Acquire: a thread that finds its own slot here and then reads owner_thread sees what
     * the last unlocker of this process cleared. */
    return atomic_load_explicit(lock->word, memory_order_acquire);
}

/** [TAKE_SWAP] Swaps the word from `seen` (updated on failure) to one that
 *  this attachment owns. Acquire: the data that the last owner wrote before its
 *  release becomes visible to the caller. */
static inline bool
msi_lock_swap_to_own(const struct msi_lock *lock, uint32_t *seen, uint32_t own)
{
    return atomic_compare_exchange_strong_explicit(lock->word, seen, own, memory_order_acquire,
                                                   memory_order_relaxed);
}

/** [RELEASE] Swaps the word from `seen` (updated on failure) to one that names no owner.
 *  Release: all that the caller wrote becomes visible to the next owner. */
static inline bool
msi_lock_swap_to_free(_Atomic uint32_t *word, uint32_t *seen, uint32_t freed)
{
    return atomic_compare_exchange_strong_explicit(word, seen, freed, memory_order_release,
                                                   memory_order_relaxed);
}

/** [NOTE] Notes the owning thread: for lock() by the same thread, and for people. Reached
 *  from the word, which is in a register already, and not through the header. Stored without
 *  a look at what is there: the look was measured to take longer. */
static inline void
msi_lock_note_owner(struct msi_lock *lock)
{
    _Atomic uint32_t *word = lock->word;

    atomic_store_explicit(&lock->owner_thread, msi_thread.number, memory_order_relaxed);
    atomic_store_explicit(word + MSI_PID_FROM_WORD,
                          atomic_load_explicit(&msi_thread_process, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(word + MSI_TID_FROM_WORD, msi_thread.tid, memory_order_relaxed);
}

/** As msi_lock_is_current, but false within a change, and where a race detector runs. */
static inline bool
msi_lock_may_take_fast(const struct msi_lock *lock)
{
    return atomic_load_explicit(lock->process_stamp, memory_order_relaxed) ==
           atomic_load_explicit(&lock->fast_stamp, memory_order_relaxed);
}

/** The fast path: one compare-and-swap, and what cannot be left out; false: msi_lock_take
 *  has to do it. */
static inline __attribute__((always_inline)) bool
msi_lock_take_fast(struct msi_lock *lock)
{
    uint32_t free_word = 0;

    if (!msi_lock_may_take_fast(lock) || msi_thread.tid == 0 ||
        !msi_lock_swap_to_own(lock, &free_word, lock->slot))
        return false;
    msi_lock_note_owner(lock);
    return true;
}

#endif
