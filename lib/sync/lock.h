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

/** No life has this generation. */
#define MAPSEG_LOCK_NO_GENERATION UINT32_MAX

struct mapseg_lock {
    _Atomic uint32_t *word;       /**< of one that cannot lock: one that is never free */
    const _Atomic uint32_t *life; /**< zero in a child that no fork handler ran in */
    uint32_t generation;          /**< what *life is while the handle is good */
    /** The same; or none, so that the fast path is not taken. */
    _Atomic uint32_t fast_generation;
    /** The same; or none, so that the fast way to read is not taken. */
    _Atomic uint32_t read_generation;
    uint32_t slot;                 /**< this attachment's, what the word holds when it owns */
    _Atomic uint32_t owner_thread; /**< of this process, see mapseg_thread; 0: none */
    bool fair;
    atomic_bool contended;        /**< a fair lock: others were met on the way to it */
    atomic_bool used;             /**< this attachment has held it at some time */
    atomic_bool writes;           /**< this attachment holds it, and is within a change */
    struct mapseg_file *file;     /**< to test and take presence bytes */
    struct mapseg_header *header; /**< NULL: this attachment cannot lock */
    atomic_bool recovering;       /**< one thread of a handle recovers at a time */
};

/** Prepares the lock of a new attachment, which has claimed its slot and healed
 *  the word. */
void mapseg_lock_begin(struct mapseg_lock *lock, struct mapseg_header *header, uint32_t slot,
                       struct mapseg_file *file, bool fair);

/** Heals the word if it names a slot that the caller has just claimed. */
void mapseg_lock_heal(struct mapseg_header *header, uint32_t slot);

/** Gives the lock to this process; and takes it from a process that is none. */
void mapseg_lock_live(struct mapseg_lock *lock, const _Atomic uint32_t *life, uint32_t generation);
void mapseg_lock_die(struct mapseg_lock *lock);

/** Releases the lock if this attachment holds it. */
void mapseg_lock_end(struct mapseg_lock *lock);

/** Makes the lock of a detached handle: one that cannot lock. */
void mapseg_lock_clear(struct mapseg_lock *lock);

/** Keeps all other threads of the handle from recovering; false: one is at it.
 *  It takes some microseconds. */
bool mapseg_lock_begin_recovery(struct mapseg_lock *lock);
void mapseg_lock_end_recovery(struct mapseg_lock *lock);

/** Whether the process is one that attached, and may read in the fast way. */
static inline bool
mapseg_lock_lives_to_read(const struct mapseg_lock *lock)
{
    return atomic_load_explicit(lock->life, memory_order_relaxed) ==
           atomic_load_explicit(&lock->read_generation, memory_order_relaxed);
}

/** Allows the fast way to read, or forbids it. */
void mapseg_lock_allow_reading(struct mapseg_lock *lock, bool allowed);

/** Takes the lock, without words: OK, OWNER_DIED, ALREADY_LOCKED, TIMED_OUT at the
 *  deadline (INT64_MAX: none), or DESCRIPTOR_CLOSED where the owner cannot be asked
 *  for. Only of a lock that has a header. */
mapseg_result mapseg_lock_take(struct mapseg_lock *lock, int64_t deadline);

/** Releases the lock, with `bits` set in the word; false: it is not this
 *  attachment's. */
bool mapseg_lock_release(struct mapseg_lock *lock, uint32_t bits);

/** Whether this attachment has ever held the lock. */
static inline bool
mapseg_lock_is_used(const struct mapseg_lock *lock)
{
    return atomic_load_explicit(&lock->used, memory_order_relaxed);
}

/** Whether this attachment holds the lock. */
bool mapseg_lock_is_held(const struct mapseg_lock *lock);

/** Whether this thread has noted that it holds the lock. Does not look at the
 *  word, which somebody may have written over. */
bool mapseg_lock_is_noted(const struct mapseg_lock *lock);

/** Forgets that the lock was held: its word is gone. */
void mapseg_lock_forget(struct mapseg_lock *lock);

/** Says in the word that its owner died: the data is half written. */
void mapseg_lock_mark(struct mapseg_lock *lock);

/** Whether this thread took the lock, and has not released it, but somebody wrote
 *  over the word. */
bool mapseg_lock_was_taken_away(const struct mapseg_lock *lock);

/** Whether an owner died and nobody has declared the data consistent. */
bool mapseg_lock_is_inconsistent(const struct mapseg_lock *lock);

/** Whether this attachment is within a change (write.c), and the noting of
 *  it by whoever holds the lock: releasing is then no matter of a swap. */
bool mapseg_lock_writes(const struct mapseg_lock *lock);
void mapseg_lock_write(struct mapseg_lock *lock, bool writes);

/** The lock word of a header. */
static inline _Atomic uint32_t *
mapseg_lock_word(struct mapseg_header *header)
{
    return (_Atomic uint32_t *)&header->lock;
}

/** Whether the process is the one that attached, or a child made by fork(). */
static inline bool
mapseg_lock_lives(const struct mapseg_lock *lock)
{
    return atomic_load_explicit(lock->life, memory_order_relaxed) == lock->generation;
}

/** This process's threads, cached here, are others after a fork. */
void mapseg_lock_forked(void);

/** Takes the lock in the slow way: as mapseg_lock_take, or, unless `wait`, WOULD_BLOCK. */
mapseg_result mapseg_lock_attempt(struct mapseg_lock *lock, bool wait, int64_t deadline);

/** The data is in order again; false: this attachment does not hold the lock. */
bool mapseg_lock_declare_consistent(struct mapseg_lock *lock);

/** Begins a change, under the lock. */
void mapseg_lock_begin_change(struct mapseg_lock *lock);

/** Ends it, unless its data is known to be half written; readers are not woken. */
void mapseg_lock_end_change(struct mapseg_lock *lock);

/** The same, and wakes those who wait for a version. */
void mapseg_lock_publish(struct mapseg_lock *lock);

/* ------------------------------------------------------- the fast path -- */

/** From the lock word to those who are noted beside it. */
#define MAPSEG_WORDS_FROM_LOCK(field)                                                              \
    ((offsetof(struct mapseg_header, field) - offsetof(struct mapseg_header, lock)) / 4)

#define MAPSEG_PID_FROM_WORD MAPSEG_WORDS_FROM_LOCK(owner_pid)

#define MAPSEG_TID_FROM_WORD MAPSEG_WORDS_FROM_LOCK(owner_tid)

/* Initial-exec: one load on the fast path, where the general model calls a
 * function. It takes eight bytes of the space that libc keeps for the likes. */
extern _Thread_local struct mapseg_thread {
    uint32_t number; /**< of this thread in this process, never reused; 0: none yet */
    uint32_t tid;    /**< the kernel's, cached: asking costs 200 ns */
} mapseg_thread __attribute__((tls_model("initial-exec")));

/** This process, as it is noted with the lock. */
extern _Atomic uint32_t mapseg_thread_process;

static inline uint32_t
mapseg_lock_owner_of(uint32_t word)
{
    return word & MAPSEG_LOCK_OWNER;
}

static inline uint32_t
mapseg_lock_look(const struct mapseg_lock *lock)
{
    /* Acquire: who finds its own slot here and then reads owner_thread sees
     * what the last unlocker of this process cleared. */
    return atomic_load_explicit(lock->word, memory_order_acquire);
}

/** [TAKE_SWAP] Swaps the word from `seen` (updated on failure) to one that
 *  this attachment owns. Acquire: the data that the last owner wrote before its
 *  release becomes visible to the caller. */
static inline bool
mapseg_lock_swap_to_own(const struct mapseg_lock *lock, uint32_t *seen, uint32_t own)
{
    return atomic_compare_exchange_strong_explicit(lock->word, seen, own, memory_order_acquire,
                                                   memory_order_relaxed);
}

/** [RELEASE] Swaps the word from `seen` (updated on failure) to one that nobody owns.
 *  Release: all that the caller wrote becomes visible to the next owner. */
static inline bool
mapseg_lock_swap_to_free(_Atomic uint32_t *word, uint32_t *seen, uint32_t freed)
{
    return atomic_compare_exchange_strong_explicit(word, seen, freed, memory_order_release,
                                                   memory_order_relaxed);
}

/** [NOTE] Notes who owns: for lock() by the same thread, and for people. Reached from
 *  the word, which is in a register already, and not through the header. */
static inline void
mapseg_lock_note_owner(struct mapseg_lock *lock)
{
    _Atomic uint32_t *word = lock->word;

    atomic_store_explicit(&lock->used, true, memory_order_relaxed);
    atomic_store_explicit(&lock->owner_thread, mapseg_thread.number, memory_order_relaxed);
    atomic_store_explicit(word + MAPSEG_PID_FROM_WORD,
                          atomic_load_explicit(&mapseg_thread_process, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(word + MAPSEG_TID_FROM_WORD, mapseg_thread.tid, memory_order_relaxed);
}

/** As mapseg_lock_lives, but never where a race detector wants to be told. */
static inline bool
mapseg_lock_lives_for_fast_path(const struct mapseg_lock *lock)
{
    return atomic_load_explicit(lock->life, memory_order_relaxed) ==
           atomic_load_explicit(&lock->fast_generation, memory_order_relaxed);
}

#endif
