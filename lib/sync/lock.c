/*
 * lock.c - the lock: spin, sleep, and what to do when its owner dies.
 *
 * The whole state is one word in shared memory: the owner's presence slot,
 * "a waiter sleeps", "an owner died". Because one store changes all of it, a
 * process that is killed between any two instructions leaves a word that is
 * true. Whether an owner lives is asked of the kernel, which keeps the byte
 * of its slot locked until the process has ended.
 *
 * tests/model/lock.pml is a model of what happens here. Words in capitals and
 * brackets, [TAKE_SWAP], are the names of its steps.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lock.h"

#include "file/name.h"
#include "os/os.h"
#include "os/probe.h"
#include "os/signals.h"
#include "os/tsan.h"
#include "presence.h"
#include "spin.h"
#include "version.h"

#include <errno.h>
#include <string.h>

/* Measured on CPUs whose pauses take 11 ns and some 50: with these, two processes that fight
 * for the lock move two to four times as much as with one that sleeps at once. */

/** Between two looks at the word, at the most. */
#define SPIN_STEP_NS 3000

/** Before sleeping. */
#define SPIN_NS 18000

/** How long the releaser of a fair lock waits for a waiter to take it. */
#define FAIR_NS 200

/** How often owners that have not slept pass the sleepers of a fair lock. */
#define FAIR_PASSES 8

/** How often owners that have slept come before the waiter that suffers. So many do not wait
 *  together, mostly: it has died. */
#define LAST_PASS 255

/** How often a swap is tried again because the word changed under it. A peer that goes on
 *  changing it means harm, and must not hold a caller up past its deadline. */
#define SWAP_TRIES 1000

#define FIRST_SLICE_NS INT64_C(1000000)

#define LAST_SLICE_NS INT64_C(64000000)

/** The slice that follows a waiter's first two. Who sleeps anew is woken last, so one that
 *  suffers does not wake by itself too often. */
#define SUFFERING_SLICE_NS INT64_C(16000000)

/** So many sleeps in which the clock does not move show that it stands still. One that moves
 *  by leaps, of some milliseconds, may not move during a few. */
#define STILL_SLEEPS 1000

/* After so long a waiter says that it suffers. Sooner, the order that follows from it costs
 * throughput; later, waits are longer for nothing. */
#define PATIENCE_NS INT64_C(3000000)

#define FAIR_PATIENCE_NS INT64_C(1000000)

/* Stand-ins for a handle that cannot lock, so that the fast path needs no extra test:
 * the word is always held, and the process stamp never matches. */
static _Atomic uint32_t never_free = MAPSEG_LOCK_OWNER;

static const _Atomic uint32_t no_process = 0;

/* -------------------------------------------------------- this thread -- */

_Thread_local struct msi_thread msi_thread __attribute__((tls_model("initial-exec")));

_Atomic uint32_t msi_thread_process;

static _Atomic uint32_t last_number;

void
msi_lock_know_thread(void)
{
    if (msi_thread.number == 0)
        msi_thread.number = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
    if (msi_thread.tid == 0) {
        msi_thread.tid = msi_os.thread_id();
        atomic_store_explicit(&msi_thread_process, msi_os.process_id(), memory_order_relaxed);
    }
}

void
msi_lock_forked(void)
{
    msi_thread.tid = 0;
}

/* ------------------------------------------------------ the lock word -- */

/** Whether a sleeper was there to be woken. */
static bool
wake_one(const _Atomic uint32_t *word)
{
    return msi_os.wake_one((const uint32_t *)word);
}

/** Counts a dead owner that was replaced or cleared away. In halves, so that 32-bit
 *  programs can do it too. */
static void
count_recovery(struct mapseg_header *header)
{
    _Atomic uint32_t *halves = (_Atomic uint32_t *)(void *)&header->recoveries;
    const int low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 1;

    if (atomic_fetch_add_explicit(&halves[low], 1, memory_order_relaxed) == UINT32_MAX)
        atomic_fetch_add_explicit(&halves[1 - low], 1, memory_order_relaxed);
}

/* ------------------------------------------------------- owner's death -- */

void
msi_lock_heal(struct mapseg_header *header, uint32_t slot)
{
    _Atomic uint32_t *word = msi_lock_word(header);
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);

    /* [HEAL] The caller holds the slot's byte, so an owner that the word names by this slot
     * is dead. */
    for (int i = 0; i < SWAP_TRIES && msi_lock_owner_of(seen) == slot; i++)
        if (msi_lock_swap_to_free(word, &seen, MAPSEG_LOCK_DIED | (seen & MAPSEG_LOCK_SLEEPERS))) {
            count_recovery(header);
            (void)wake_one(word);
            return;
        }
}

/** [REPLACE] Swaps the word from the dead owner to this attachment, as long as it names
 *  that owner. `bits`: to set besides. */
static bool
replace_owner(struct msi_lock *lock, uint32_t dead, uint32_t bits)
{
    uint32_t seen = msi_lock_look(lock);

    bits |= lock->slot | MAPSEG_LOCK_DIED;
    for (int i = 0; i < SWAP_TRIES && msi_lock_owner_of(seen) == dead; i++)
        if (msi_lock_swap_to_own(lock, &seen, bits | (seen & MAPSEG_LOCK_SLEEPERS))) {
            count_recovery(lock->header);
            return true;
        }
    return false;
}

bool
msi_lock_begin_recovery(struct msi_lock *lock)
{
    return !atomic_exchange_explicit(&lock->recovering, true, memory_order_acquire);
}

void
msi_lock_end_recovery(struct msi_lock *lock)
{
    atomic_store_explicit(&lock->recovering, false, memory_order_release);
}

/** Takes the dead owner's byte and the lock. */
static bool
take_over(struct msi_lock *lock, uint32_t dead, uint32_t bits)
{
    struct msi_hold hold;
    bool replaced;

    /* [TAKE_BYTE] Only while holding the dead owner's byte: else a newcomer could claim the
     * slot, and take the lock, between our test and our swap. */
    if (msi_presence_lock_slot(&hold, lock->file, dead) < 0)
        return false;
    replaced = replace_owner(lock, dead, bits);
    msi_presence_unlock(&hold);
    return replaced;
}

/** Takes the lock over if the owner that was seen is dead: OWNER_DIED. Else WOULD_BLOCK; or
 *  DESCRIPTOR_CLOSED, where there is no descriptor to ask the kernel by. */
static mapseg_result
recover(struct msi_lock *lock, uint32_t dead, uint32_t bits)
{
    bool replaced = false;
    sigset_t before;
    int fd;

    /* [TEST_OWNER] Our own slot: another thread of this handle owns the lock, and the byte
     * is ours. 0: the lock is free by now. */
    if (dead == lock->slot || dead == 0)
        return MAPSEG_WOULD_BLOCK;
    /* A number beyond all slots: a hostile peer wrote it, and there is no byte to ask for. */
    if (dead > MAPSEG_LAST_SLOT)
        return replace_owner(lock, dead, bits) ? MAPSEG_OWNER_DIED : MAPSEG_WOULD_BLOCK;
    fd = msi_file_fd(lock->file);
    if (fd == -EBADF)
        return MAPSEG_DESCRIPTOR_CLOSED;
    /* [TEST_BYTE] */
    if (fd < 0 || msi_presence_is_held(fd, dead))
        return MAPSEG_WOULD_BLOCK;
    /* A fork waits for the end of the recovery: a signal handler that forked within it
     * would wait for its own thread. */
    msi_signals_hold(&before);
    /* [BEGIN_RECOVERY] */
    if (msi_lock_begin_recovery(lock)) {
        replaced = take_over(lock, dead, bits);
        msi_lock_end_recovery(lock);
    }
    msi_signals_release(&before);
    if (replaced)
        MSI_PROBE(owner_died, lock->file->inode, lock->slot, dead);
    return replaced ? MAPSEG_OWNER_DIED : MAPSEG_WOULD_BLOCK;
}

/* ------------------------------------------------------ who is the next -- */

static _Atomic uint32_t *
suffering(const struct msi_lock *lock)
{
    return (_Atomic uint32_t *)&lock->header->suffering;
}

static uint32_t
order_of(const struct msi_lock *lock)
{
    return atomic_load_explicit(suffering(lock), memory_order_relaxed);
}

/** Relaxed: a releaser that does not see it yet frees the lock for all, once more. */
static void
set_order(const struct msi_lock *lock, uint32_t order)
{
    if (order_of(lock) != order)
        atomic_store_explicit(suffering(lock), order, memory_order_relaxed);
}

/** Whether a waiter that sleeps has waited long, or was passed often. A hint, about order
 *  alone: it may be out of date, and a hostile peer may have written it. */
static bool
a_waiter_suffers(const struct msi_lock *lock)
{
    uint32_t order = order_of(lock);

    return (order & MAPSEG_SUFFERER) != 0 || order >= FAIR_PASSES * MAPSEG_PASS;
}

/** [SUFFERS] This waiter has waited long; unless another says it already. */
static void
say_suffering(const struct msi_lock *lock)
{
    if ((order_of(lock) & MAPSEG_SUFFERER) == 0)
        set_order(lock, lock->slot);
}

/** This waiter waits no more. */
static void
suffer_no_more(const struct msi_lock *lock)
{
    if ((order_of(lock) & MAPSEG_SUFFERER) == lock->slot)
        set_order(lock, 0);
}

/** [RELIEVE] The new owner has slept. The order lasts until the waiter that suffers has the
 *  lock; if that one died, until so many others had it. */
static void
relieve(const struct msi_lock *lock)
{
    uint32_t order = order_of(lock);
    uint32_t sufferer = order & MAPSEG_SUFFERER;

    if (sufferer == 0 || sufferer == lock->slot || order >= LAST_PASS * MAPSEG_PASS)
        set_order(lock, 0);
    else
        set_order(lock, order + MAPSEG_PASS);
}

/** [COUNT_PASS] The new owner of a fair lock has not slept, as others have. */
static void
count_pass(const struct msi_lock *lock)
{
    if (!a_waiter_suffers(lock))
        set_order(lock, order_of(lock) + MAPSEG_PASS);
}

/* -------------------------------------------------------------- taking -- */

/** One attempt to get the lock. */
struct attempt {
    int64_t deadline;  /**< INT64_MAX: none */
    int64_t begin;     /**< when it found that it has to sleep; 0: it has not */
    int64_t slice;     /**< how long to wait until the owner is tested */
    int64_t slice_end; /**< 0: not waiting yet */
    int64_t uncounted; /**< what it has slept by a clock that stands still */
    int still_sleeps;  /**< in which the clock did not move */
    bool wait;
    bool late; /**< it will not wait, or not any more */
    bool met;  /**< it has met another owner */
    bool slept;
    bool woke_by_itself; /**< its last sleep ended with the slice */
};

/** [LEAVE] Whether the free word is left to the waiters that sleep, since one of them
 *  suffers. An attempt that would end without the lock takes it all the same: a waiter that
 *  died while it suffered delays others, and refuses none. */
static bool
is_left_to_sleepers(const struct msi_lock *lock, const struct attempt *attempt, uint32_t seen)
{
    return seen & MAPSEG_LOCK_SLEEPERS && !attempt->slept && !attempt->late &&
           a_waiter_suffers(lock);
}

/** Whether the word is left to others. On a fair lock newcomers leave it to all that wait:
 *  an attempt that has seen another owner is no newcomer. */
static bool
is_left_to_others(const struct msi_lock *lock, const struct attempt *attempt, uint32_t seen)
{
    if (lock->fair && seen & MAPSEG_LOCK_SLEEPERS && !attempt->met && !attempt->slept &&
        !attempt->late)
        return true;
    return is_left_to_sleepers(lock, attempt, seen);
}

/** Takes the word if no attachment owns it. After sleeping, it sets SLEEPERS: our wake-up
 *  cleared it, and others may still sleep. */
static bool
take_if_free(struct msi_lock *lock, struct attempt *attempt, mapseg_result *result)
{
    uint32_t seen = msi_lock_look(lock);

    for (int i = 0; i < SWAP_TRIES && msi_lock_owner_of(seen) == 0; i++) {
        uint32_t own = lock->slot | (seen & (MAPSEG_LOCK_DIED | MAPSEG_LOCK_SLEEPERS)) |
                       (attempt->slept ? MAPSEG_LOCK_SLEEPERS : 0);

        if (is_left_to_others(lock, attempt, seen))
            return false;
        if (msi_lock_swap_to_own(lock, &seen, own)) {
            *result = own & MAPSEG_LOCK_DIED ? MAPSEG_OWNER_DIED : MAPSEG_OK;
            return true;
        }
    }
    attempt->met = true;
    return false;
}

/** [ANNOUNCE] Says in the word that this waiter sleeps, or is about to. Returns the word to
 *  sleep on; 0: it can be taken. */
static uint32_t
announce(struct msi_lock *lock, const struct attempt *attempt)
{
    uint32_t seen = msi_lock_look(lock);

    for (int i = 0;
         i < SWAP_TRIES && msi_lock_owner_of(seen) != 0 && !(seen & MAPSEG_LOCK_SLEEPERS); i++)
        if (atomic_compare_exchange_weak_explicit(lock->word, &seen, seen | MAPSEG_LOCK_SLEEPERS,
                                                  memory_order_relaxed, memory_order_relaxed))
            return seen | MAPSEG_LOCK_SLEEPERS;
    if (!(seen & MAPSEG_LOCK_SLEEPERS))
        return 0;
    return msi_lock_owner_of(seen) != 0 || is_left_to_others(lock, attempt, seen) ? seen : 0;
}

/** Tries to take the lock again and again, for a bounded while. */
static bool
spin(struct msi_lock *lock, struct attempt *attempt, mapseg_result *result)
{
    uint32_t longest;
    uint32_t left;

    if (take_if_free(lock, attempt, result))
        return true;
    MSI_PROBE(contend, lock->file->inode, lock->slot, msi_lock_owner_of(msi_lock_look(lock)));
    if (lock->fair)
        (void)announce(lock, attempt);
    longest = lock->fair ? 1 : msi_spin_pauses(SPIN_STEP_NS);
    left = msi_spin_pauses(SPIN_NS);
    for (uint32_t step = 1; left > 0; step = step * 2 < longest ? step * 2 : longest) {
        uint32_t seen = msi_lock_look(lock);

        /* The waiter that was woken for it may need this CPU. */
        if (msi_lock_owner_of(seen) == 0 && is_left_to_sleepers(lock, attempt, seen))
            return false;
        step = step < left ? step : left;
        msi_spin(step);
        left -= step;
        if (take_if_free(lock, attempt, result))
            return true;
    }
    return false;
}

/** The time by which the attempt ends, and owners are tested: also where the system's clock
 *  stands still. */
static int64_t
clock_of(const struct attempt *attempt)
{
    return msi_os.monotonic_ns() + attempt->uncounted;
}

/** Notes a sleep that began at `now` and was to last until `until`. */
static void
count_sleep(struct attempt *attempt, int64_t now, int64_t until)
{
    int64_t end = clock_of(attempt);

    attempt->slept = true;
    attempt->woke_by_itself = end >= until;
    if (end > now)
        attempt->still_sleeps = 0;
    else if (attempt->still_sleeps < STILL_SLEEPS)
        attempt->still_sleeps++;
    else
        attempt->uncounted += until - now;
}

static bool
has_waited_long(const struct msi_lock *lock, const struct attempt *attempt, int64_t now)
{
    return now - attempt->begin >= (lock->fair ? FAIR_PATIENCE_NS : PATIENCE_NS);
}

/** [SLEEP] Sleeps until woken, or until the slice or the time given has passed. */
static void
sleep_a_while(struct msi_lock *lock, struct attempt *attempt, int64_t now)
{
    int64_t until = attempt->deadline < attempt->slice_end ? attempt->deadline : attempt->slice_end;
    uint32_t word;

    if (has_waited_long(lock, attempt, now))
        say_suffering(lock);
    word = announce(lock, attempt);
    if (word == 0) {
        attempt->woke_by_itself = false;
        return;
    }
    /* No waker is left for a word that has no owner, where the one that it was left to died. */
    if (msi_lock_owner_of(word) == 0 && until > now + FIRST_SLICE_NS)
        until = now + FIRST_SLICE_NS;
    MSI_PROBE(sleep, lock->file->inode, lock->slot, msi_lock_owner_of(word));
    msi_os.sleep_on((const uint32_t *)lock->word, word, until - now);
    count_sleep(attempt, now, until);
}

/** Whether it is time to test the owner. By the clock, so that neither signals nor stray
 *  wake-ups can put it off. */
static bool
slice_is_over(struct attempt *attempt, int64_t now)
{
    bool over = attempt->slice_end != 0 && now >= attempt->slice_end;

    if (over && attempt->slice < LAST_SLICE_NS)
        attempt->slice *= 2;
    if (attempt->slice > 2 * FIRST_SLICE_NS && attempt->slice < SUFFERING_SLICE_NS)
        attempt->slice = SUFFERING_SLICE_NS;
    if (attempt->slice_end == 0)
        attempt->begin = now;
    if (over || attempt->slice_end == 0)
        attempt->slice_end = now + attempt->slice;
    return over;
}

/** Stores a counter of the header, under the lock. In halves, as 32-bit programs do: a
 *  reader of what is for people may read one that is half stored. */
static void
set_counter(uint64_t *counter, uint64_t value)
{
    _Atomic uint32_t *halves = (_Atomic uint32_t *)(void *)counter;
    const int low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 1;

    atomic_store_explicit(&halves[low], (uint32_t)value, memory_order_relaxed);
    if (halves[1 - low] != value >> 32)
        atomic_store_explicit(&halves[1 - low], (uint32_t)(value >> 32), memory_order_relaxed);
}

/** What the new owner leaves in the header, under the lock, about how it came to it. */
static void
settle(struct msi_lock *lock, const struct attempt *attempt)
{
    struct mapseg_header *header = lock->header;
    int64_t now;

    if (attempt->met)
        set_counter(&header->contended, header->contended + 1);
    if (!attempt->slept) {
        if (lock->fair && msi_lock_look(lock) & MAPSEG_LOCK_SLEEPERS)
            count_pass(lock);
        return;
    }
    now = clock_of(attempt);
    relieve(lock);
    set_counter(&header->slept, header->slept + 1);
    if (now > attempt->begin && (uint64_t)(now - attempt->begin) > header->longest_wait)
        set_counter(&header->longest_wait, (uint64_t)(now - attempt->begin));
}

/** [WAKE_ANOTHER] A wake may have reached this waiter while it gave up: another waiter gets
 *  it. */
static mapseg_result
give_up(const struct msi_lock *lock, const struct attempt *attempt, mapseg_result result)
{
    if (attempt->slept) {
        suffer_no_more(lock);
        (void)wake_one(lock->word);
    }
    return result == MAPSEG_WOULD_BLOCK && attempt->wait ? MAPSEG_TIMED_OUT : result;
}

/** Waits for the lock, or does not: what take says. */
static mapseg_result
win(struct msi_lock *lock, struct attempt *attempt)
{
    mapseg_result result;

    for (;;) {
        int64_t now;
        bool over;

        /* One that was not woken does not spin: it would get ahead of one that was. */
        if (attempt->woke_by_itself ? take_if_free(lock, attempt, &result)
                                    : attempt->wait && spin(lock, attempt, &result))
            return result;
        now = clock_of(attempt);
        over = slice_is_over(attempt, now);
        attempt->late = !attempt->wait || now >= attempt->deadline;
        if (attempt->late && take_if_free(lock, attempt, &result))
            return result;
        if (over || attempt->late) {
            result = recover(lock, msi_lock_owner_of(msi_lock_look(lock)),
                             attempt->slept ? MAPSEG_LOCK_SLEEPERS : 0);
            if (result == MAPSEG_OWNER_DIED)
                return result;
            if (lock->watches_name && msi_name_is_lost(lock->file))
                return give_up(lock, attempt, MAPSEG_NOT_FOUND);
            if (attempt->late || result == MAPSEG_DESCRIPTOR_CLOSED)
                return give_up(lock, attempt, result);
        }
        sleep_a_while(lock, attempt, now);
    }
}

/** Gets the lock or says why not. */
static mapseg_result
take(struct msi_lock *lock, struct attempt *attempt)
{
    mapseg_result result;

    if (msi_lock_owner_of(msi_lock_look(lock)) == lock->slot &&
        atomic_load_explicit(&lock->owner_thread, memory_order_relaxed) == msi_thread.number)
        return MAPSEG_ALREADY_LOCKED;
    result = win(lock, attempt);
    if (!mapseg_result_owes_unlock(result))
        return result;
    msi_tsan_acquire(lock->word);
    msi_lock_note_owner(lock);
    settle(lock, attempt);
    return result;
}

/* ----------------------------------------------------------- releasing -- */

/** [CLEAR_BIT] No waiter sleeps: takes SLEEPERS from the word, if it is still free. One that
 *  has gone to sleep since is woken: the bit may have been set for it. */
static void
clear_sleepers(struct msi_lock *lock)
{
    uint32_t seen = msi_lock_look(lock);

    set_order(lock, 0);
    for (int i = 0; i < SWAP_TRIES && msi_lock_owner_of(seen) == 0 && seen & MAPSEG_LOCK_SLEEPERS;
         i++)
        if (atomic_compare_exchange_weak_explicit(lock->word, &seen, seen & ~MAPSEG_LOCK_SLEEPERS,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            (void)wake_one(lock->word);
            return;
        }
}

/** [HAND_OVER] After the owner freed a fair lock that others wait for: leaves a spinning
 *  waiter the time to take it, which then owes the wake: false. */
static bool
is_left_lying(const struct msi_lock *lock)
{
    uint32_t left = msi_spin_pauses(FAIR_NS);

    while (left > 0 && msi_lock_owner_of(msi_lock_look(lock)) == 0) {
        msi_relax();
        left--;
    }
    return left == 0;
}

/** Frees the lock; false: this attachment does not hold it. Swaps only a word that was seen
 *  with our slot in it: a blind exchange could free a lock that another has taken since. */
__attribute__((noinline)) bool
msi_lock_release(struct msi_lock *lock, uint32_t bits)
{
    uint32_t seen = atomic_load_explicit(lock->word, memory_order_relaxed);

    atomic_store_explicit(&lock->writes, false, memory_order_relaxed);
    for (int i = 0; i < SWAP_TRIES && msi_lock_owner_of(seen) == lock->slot; i++) {
        /* [KEEP] With SLEEPERS kept, the fast path of others fails on the free word. */
        bool keeps = seen & MAPSEG_LOCK_SLEEPERS && (lock->fair || a_waiter_suffers(lock));
        uint32_t keep = MAPSEG_LOCK_DIED | (keeps ? MAPSEG_LOCK_SLEEPERS : 0);

        msi_tsan_release(lock->word);
        /* [CLEAR_NOTE] Cleared before the release: after it, the note is the next owner's. */
        atomic_store_explicit(&lock->owner_thread, MSI_NOT_OWNED, memory_order_relaxed);
        if (!msi_lock_swap_to_free(lock->word, &seen, (seen & keep) | bits))
            continue;
        if (seen & MAPSEG_LOCK_SLEEPERS && (!lock->fair || is_left_lying(lock)) &&
            !wake_one(lock->word) && keeps)
            clear_sleepers(lock);
        return true;
    }
    /* If this thread noted that it holds the lock, a peer has written over the word. */
    if (msi_lock_held_by_this_thread(lock))
        msi_lock_clear_owner_thread(lock);
    return false;
}

/* ---------------------------------------------------------- its handle -- */

/** Allows the fast path or forbids it. It stays forbidden where a race detector runs, which
 *  only the slow path tells of the lock. */
static void
allow_fast_path(struct msi_lock *lock, bool allowed)
{
    atomic_store_explicit(&lock->fast_stamp,
                          allowed && !msi_tsan_is_there() ? lock->stamp : MSI_NO_PROCESS_STAMP,
                          memory_order_relaxed);
}

void
msi_lock_allow_reading(struct msi_lock *lock, bool allowed)
{
    atomic_store_explicit(&lock->read_stamp, allowed ? lock->stamp : MSI_NO_PROCESS_STAMP,
                          memory_order_relaxed);
}

void
msi_lock_clear(struct msi_lock *lock)
{
    memset(lock, 0, sizeof *lock);
    lock->word = &never_free;
    lock->process_stamp = &no_process;
    lock->stamp = MSI_NO_PROCESS_STAMP;
    allow_fast_path(lock, false);
    msi_lock_allow_reading(lock, false);
}

void
msi_lock_begin(struct msi_lock *lock, struct mapseg_header *header, uint32_t slot,
               struct msi_file *file, bool fair)
{
    msi_lock_clear(lock);
    if (header == NULL)
        return;
    lock->header = header;
    lock->word = msi_lock_word(header);
    lock->slot = slot;
    lock->file = file;
    lock->fair = fair;
}

void
msi_lock_bind_process(struct msi_lock *lock, const _Atomic uint32_t *process_stamp, uint32_t stamp)
{
    lock->process_stamp = process_stamp;
    lock->stamp = stamp;
    allow_fast_path(lock, lock->header != NULL);
}

void
msi_lock_unbind_process(struct msi_lock *lock)
{
    lock->stamp = MSI_NO_PROCESS_STAMP;
    allow_fast_path(lock, false);
    msi_lock_allow_reading(lock, false);
}

void
msi_lock_end(struct msi_lock *lock)
{
    /* Reading the word would map its page in, also for the many handles that never locked. */
    if (msi_lock_is_used(lock))
        (void)msi_lock_release(lock, msi_lock_in_change(lock) ? MAPSEG_LOCK_DIED : 0);
}

/* ---------------------------------------------- for the callers above -- */

mapseg_result
msi_lock_attempt(struct msi_lock *lock, bool wait, int64_t deadline)
{
    struct attempt attempt = {.deadline = deadline, .slice = FIRST_SLICE_NS, .wait = wait};

    msi_lock_know_thread();
    return take(lock, &attempt);
}

mapseg_result
msi_lock_take(struct msi_lock *lock, int64_t deadline)
{
    return msi_lock_attempt(lock, true, deadline);
}

bool
msi_lock_is_held(const struct msi_lock *lock)
{
    return lock->slot != 0 && msi_lock_owner_of(msi_lock_look(lock)) == lock->slot;
}

bool
msi_lock_held_by_this_thread(const struct msi_lock *lock)
{
    uint32_t noted = atomic_load_explicit(&lock->owner_thread, memory_order_relaxed);

    return noted != 0 && noted == msi_thread.number;
}

bool
msi_lock_was_taken_away(const struct msi_lock *lock)
{
    return msi_lock_held_by_this_thread(lock) && !msi_lock_is_held(lock);
}

void
msi_lock_clear_owner_thread(struct msi_lock *lock)
{
    atomic_store_explicit(&lock->owner_thread, MSI_NOT_OWNED, memory_order_relaxed);
    msi_lock_set_in_change(lock, false);
}

void
msi_lock_mark(struct msi_lock *lock)
{
    /* Relaxed: the mark becomes visible with the release of the lock. */
    atomic_fetch_or_explicit(lock->word, MAPSEG_LOCK_DIED, memory_order_relaxed);
}

bool
msi_lock_is_inconsistent(const struct msi_lock *lock)
{
    return (msi_lock_look(lock) & MAPSEG_LOCK_DIED) != 0;
}

bool
msi_lock_in_change(const struct msi_lock *lock)
{
    return atomic_load_explicit(&lock->writes, memory_order_relaxed);
}

void
msi_lock_set_in_change(struct msi_lock *lock, bool writes)
{
    atomic_store_explicit(&lock->writes, writes, memory_order_relaxed);
    allow_fast_path(lock, !writes);
}

/* ------------------------------------------------------------- changes -- */

/** The lock is held. */
void
msi_lock_begin_change(struct msi_lock *lock)
{
    msi_lock_set_in_change(lock, true);
    msi_version_begin_change(lock->header);
}

bool
msi_lock_end_change(struct msi_lock *lock)
{
    bool announced = !msi_lock_is_inconsistent(lock) && msi_version_end_change(lock->header);

    MSI_PROBE(publish, lock->file->inode, msi_version_load(lock->header), lock->slot);
    msi_lock_set_in_change(lock, false);
    return announced;
}

void
msi_lock_wake_watchers(const struct msi_lock *lock, bool announced)
{
    if (announced || lock->silent_waiters || msi_version_is_watched(lock->header))
        msi_version_wake(lock->header);
}

/** Makes the version even again: the data is in order. */
static void
make_even(struct msi_lock *lock)
{
    /* A change that this handle has begun goes on until the handle ends it. */
    if (msi_lock_in_change(lock) || !msi_version_is_odd(msi_version_load(lock->header)))
        return;
    /* The writer that died may have cleared the announcement of waiters that still sleep. */
    (void)msi_version_end_change(lock->header);
    msi_version_wake(lock->header);
}

bool
msi_lock_declare_consistent(struct msi_lock *lock)
{
    uint32_t seen = msi_lock_look(lock);

    /* The version first: if this owner dies in between, the data is in order, and the next
     * owner is told, needlessly, that it may not be. */
    if (msi_lock_owner_of(seen) == lock->slot && lock->slot != 0)
        make_even(lock);
    /* Relaxed: the repair becomes visible with the release of the lock. */
    for (int i = 0; i < SWAP_TRIES && msi_lock_owner_of(seen) == lock->slot; i++)
        if (atomic_compare_exchange_weak_explicit(lock->word, &seen, seen & ~MAPSEG_LOCK_DIED,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}
