/*
 * lock.c - the lock: spin, sleep, and what to do when its owner dies.
 *
 * The whole state is one word in shared memory: the owner's presence slot,
 * "somebody sleeps", "an owner died". Because one store changes all of it, a
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

#include "os/os.h"
#include "presence.h"
#include "os/signals.h"
#include "spin.h"
#include "os/tsan.h"
#include "version.h"

#include <errno.h>
#include <string.h>

/* Measured: with these, two processes that fight for the lock move three times
 * as much as with a plain spin, and nobody spins longer than some 10 us. */
#define SPIN_STEP 64 /**< pauses between two looks, at the most */

#define SPIN_TOTAL 400 /**< pauses before sleeping */

/** Pauses a fair lock's releaser waits for somebody else to take it. */
#define FAIR_PAUSES 16

/** How often a swap is tried whose word changes under it: who does nothing but
 *  change it means harm, and must not hold us up past a deadline. */
#define SWAP_TRIES 1000

#define FIRST_SLICE_NS INT64_C(1000000)

#define LAST_SLICE_NS INT64_C(64000000)

/* What the lock of a handle that cannot lock points to, so that the fast path
 * need not ask for it: a word that is never free, and a life that is over. */
static _Atomic uint32_t never_free = MAPSEG_LOCK_OWNER;

static const _Atomic uint32_t no_life = 0;

/* -------------------------------------------------------- this thread -- */

_Thread_local struct mapseg_thread mapseg_thread __attribute__((tls_model("initial-exec")));

_Atomic uint32_t mapseg_thread_process;

static _Atomic uint32_t last_number;

static void
know_this_thread(void)
{
    if (mapseg_thread.number == 0)
        mapseg_thread.number = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
    if (mapseg_thread.tid == 0) {
        mapseg_thread.tid = mapseg_os.thread_id();
        atomic_store_explicit(&mapseg_thread_process, mapseg_os.process_id(), memory_order_relaxed);
    }
}

void
mapseg_lock_forked(void)
{
    mapseg_thread.tid = 0;
}

/* ------------------------------------------------------ the lock word -- */

static void
wake_one(const _Atomic uint32_t *word)
{
    mapseg_os.wake_one((const uint32_t *)word);
}

/** One more dead owner was replaced or cleared away. In halves, so that 32-bit
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
mapseg_lock_heal(struct mapseg_header *header, uint32_t slot)
{
    _Atomic uint32_t *word = mapseg_lock_word(header);
    uint32_t seen = atomic_load_explicit(word, memory_order_relaxed);

    /* [HEAL] The caller holds the slot's byte, so whoever the word means is dead. */
    for (int i = 0; i < SWAP_TRIES && mapseg_lock_owner_of(seen) == slot; i++)
        if (mapseg_lock_swap_to_free(word, &seen,
                                     MAPSEG_LOCK_DIED | (seen & MAPSEG_LOCK_SLEEPERS))) {
            count_recovery(header);
            wake_one(word);
            return;
        }
}

/** [REPLACE] Swaps the word from the dead owner to this attachment, as long as it names
 *  that owner. `bits`: to set besides. */
static bool
replace_owner(struct mapseg_lock *lock, uint32_t dead, uint32_t bits)
{
    uint32_t seen = mapseg_lock_look(lock);

    bits |= lock->slot | MAPSEG_LOCK_DIED;
    for (int i = 0; i < SWAP_TRIES && mapseg_lock_owner_of(seen) == dead; i++)
        if (mapseg_lock_swap_to_own(lock, &seen, bits | (seen & MAPSEG_LOCK_SLEEPERS))) {
            count_recovery(lock->header);
            return true;
        }
    return false;
}

bool
mapseg_lock_begin_recovery(struct mapseg_lock *lock)
{
    return !atomic_exchange_explicit(&lock->recovering, true, memory_order_acquire);
}

void
mapseg_lock_end_recovery(struct mapseg_lock *lock)
{
    atomic_store_explicit(&lock->recovering, false, memory_order_release);
}

/** Takes the dead owner's byte and the lock. */
static bool
take_over(struct mapseg_lock *lock, uint32_t dead, uint32_t bits)
{
    struct mapseg_hold hold;
    bool replaced;

    /* [TAKE_BYTE] Only with its byte in hand: else a newcomer could get the slot, and the
     * lock, between the test and the swap. */
    if (mapseg_presence_take_dead(&hold, lock->file, dead) < 0)
        return false;
    replaced = replace_owner(lock, dead, bits);
    mapseg_presence_let_go(&hold);
    return replaced;
}

/** Takes the lock over if the owner that was seen is dead: OWNER_DIED. Else
 *  WOULD_BLOCK; or DESCRIPTOR_CLOSED, where that cannot be asked. */
static mapseg_result
recover(struct mapseg_lock *lock, uint32_t dead, uint32_t bits)
{
    bool replaced = false;
    sigset_t before;
    int fd;

    /* [TEST_OWNER] The own slot: another thread of this handle owns. Its byte is ours. */
    if (dead == lock->slot || dead == 0)
        return MAPSEG_WOULD_BLOCK;
    /* No slot at all: a hostile peer wrote it, and it has no byte to ask. */
    if (dead > MAPSEG_LAST_SLOT)
        return replace_owner(lock, dead, bits) ? MAPSEG_OWNER_DIED : MAPSEG_WOULD_BLOCK;
    fd = mapseg_file_fd(lock->file);
    if (fd == -EBADF)
        return MAPSEG_DESCRIPTOR_CLOSED;
    /* [TEST_BYTE] */
    if (fd < 0 || mapseg_presence_is_held(fd, dead))
        return MAPSEG_WOULD_BLOCK;
    /* A fork waits for the end of the recovery: no handler may fork within. */
    mapseg_signals_hold(&before);
    /* [BEGIN_RECOVERY] */
    if (mapseg_lock_begin_recovery(lock)) {
        replaced = take_over(lock, dead, bits);
        mapseg_lock_end_recovery(lock);
    }
    mapseg_signals_release(&before);
    return replaced ? MAPSEG_OWNER_DIED : MAPSEG_WOULD_BLOCK;
}

/* -------------------------------------------------------------- taking -- */

/** One attempt to get the lock. */
struct attempt {
    int64_t deadline;  /**< INT64_MAX: none */
    int64_t slice;     /**< how long to wait until the owner is looked at */
    int64_t slice_end; /**< 0: not waiting yet */
    bool wait;
    bool slept;
};

/** Takes the word if nobody owns it. Who has slept does not know whether
 *  others still do, so it says that they do. */
static bool
take_if_free(struct mapseg_lock *lock, const struct attempt *attempt, mapseg_result *result)
{
    uint32_t seen = mapseg_lock_look(lock);

    for (int i = 0; i < SWAP_TRIES && mapseg_lock_owner_of(seen) == 0; i++) {
        uint32_t own = lock->slot | (seen & (MAPSEG_LOCK_DIED | MAPSEG_LOCK_SLEEPERS)) |
                       (attempt->slept ? MAPSEG_LOCK_SLEEPERS : 0);

        if (mapseg_lock_swap_to_own(lock, &seen, own)) {
            *result = own & MAPSEG_LOCK_DIED ? MAPSEG_OWNER_DIED : MAPSEG_OK;
            return true;
        }
    }
    return false;
}

/** Looks at the word for a bounded while. */
static bool
spin(struct mapseg_lock *lock, const struct attempt *attempt, mapseg_result *result)
{
    int step = 1;

    for (int total = 0; total < SPIN_TOTAL; total += step) {
        if (take_if_free(lock, attempt, result))
            return true;
        for (int i = 0; i < step; i++)
            mapseg_relax();
        if (step < SPIN_STEP && !lock->fair)
            step *= 2;
    }
    return take_if_free(lock, attempt, result);
}

/** [ANNOUNCE] Says in the word that somebody is about to sleep. Returns the word to sleep
 *  on; 0: it is not owned any more. */
static uint32_t
announce_sleeper(struct mapseg_lock *lock)
{
    uint32_t seen = mapseg_lock_look(lock);

    for (int i = 0;
         i < SWAP_TRIES && mapseg_lock_owner_of(seen) != 0 && !(seen & MAPSEG_LOCK_SLEEPERS); i++)
        if (atomic_compare_exchange_weak_explicit(lock->word, &seen, seen | MAPSEG_LOCK_SLEEPERS,
                                                  memory_order_relaxed, memory_order_relaxed))
            return seen | MAPSEG_LOCK_SLEEPERS;
    return mapseg_lock_owner_of(seen) != 0 && seen & MAPSEG_LOCK_SLEEPERS ? seen : 0;
}

/** [SLEEP] Sleeps until woken, or for what is left of the slice or the time. */
static void
sleep_a_while(struct mapseg_lock *lock, struct attempt *attempt, int64_t now)
{
    uint32_t word = announce_sleeper(lock);
    int64_t until = attempt->deadline < attempt->slice_end ? attempt->deadline : attempt->slice_end;

    if (word == 0)
        return;
    attempt->slept = true;
    mapseg_os.sleep_on((const uint32_t *)lock->word, word, until - now);
}

/** Whether the owner is to be looked at now. By the clock, so that neither
 *  signals nor stray wake-ups can put it off. */
static bool
slice_is_over(struct attempt *attempt, int64_t now)
{
    bool over = attempt->slice_end != 0 && now >= attempt->slice_end;

    if (over && attempt->slice < LAST_SLICE_NS)
        attempt->slice *= 2;
    if (over || attempt->slice_end == 0)
        attempt->slice_end = now + attempt->slice;
    return over;
}

/** Gets the lock or says why not. */
static mapseg_result
take(struct mapseg_lock *lock, struct attempt *attempt)
{
    mapseg_result result;

    if (mapseg_lock_owner_of(mapseg_lock_look(lock)) == lock->slot &&
        atomic_load_explicit(&lock->owner_thread, memory_order_relaxed) == mapseg_thread.number)
        return MAPSEG_ALREADY_LOCKED;
    for (;;) {
        int64_t now;
        bool late;

        if (attempt->wait ? spin(lock, attempt, &result) : take_if_free(lock, attempt, &result))
            break;
        now = mapseg_os.monotonic_ns();
        late = !attempt->wait || now >= attempt->deadline;
        if (slice_is_over(attempt, now) || late) {
            result = recover(lock, mapseg_lock_owner_of(mapseg_lock_look(lock)),
                             attempt->slept ? MAPSEG_LOCK_SLEEPERS : 0);
            if (result == MAPSEG_OWNER_DIED)
                break;
            if (late || result == MAPSEG_DESCRIPTOR_CLOSED) {
                /* [WAKE_ANOTHER] The wake that may have been meant for us goes on. */
                if (attempt->slept)
                    wake_one(lock->word);
                return result == MAPSEG_WOULD_BLOCK && attempt->wait ? MAPSEG_TIMED_OUT : result;
            }
        }
        sleep_a_while(lock, attempt, now);
    }
    mapseg_watch_take(lock->word);
    mapseg_lock_note_owner(lock);
    if (lock->fair)
        atomic_store_explicit(&lock->contended, true, memory_order_relaxed);
    return result;
}

/* ----------------------------------------------------------- releasing -- */

/** [HAND_OVER] After a fair lock was freed: if others were met on the way to it, waits a
 *  moment for one who spins to have it. That one then owes the wake; if there
 *  is none, a sleeper is woken. */
static void
hand_over(struct mapseg_lock *lock, uint32_t freed)
{
    uint32_t seen = freed & ~MAPSEG_LOCK_OWNER;

    if (!(freed & MAPSEG_LOCK_SLEEPERS) &&
        !atomic_load_explicit(&lock->contended, memory_order_relaxed))
        return;
    for (int i = 0; i < FAIR_PAUSES && mapseg_lock_owner_of(seen) == 0; i++) {
        mapseg_relax();
        seen = atomic_load_explicit(lock->word, memory_order_relaxed);
    }
    /* Until the next time that this handle has to wait: one who now came by
     * just so is no sign that others will. */
    atomic_store_explicit(&lock->contended, false, memory_order_relaxed);
    /* The bit comes off with the wake: the one who is woken puts it on again. */
    for (int i = 0;
         i < SWAP_TRIES && mapseg_lock_owner_of(seen) == 0 && seen & MAPSEG_LOCK_SLEEPERS; i++)
        if (atomic_compare_exchange_weak_explicit(lock->word, &seen, seen & ~MAPSEG_LOCK_SLEEPERS,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            wake_one(lock->word);
            return;
        }
}

/** Frees the lock; false: this attachment does not hold it. Always from the
 *  very word that was seen with the own slot in it: a blind exchange could
 *  free what another has taken since. */
__attribute__((noinline)) bool
mapseg_lock_release(struct mapseg_lock *lock, uint32_t bits)
{
    uint32_t seen = atomic_load_explicit(lock->word, memory_order_relaxed);

    atomic_store_explicit(&lock->writes, false, memory_order_relaxed);
    for (int i = 0; i < SWAP_TRIES && mapseg_lock_owner_of(seen) == lock->slot; i++) {
        uint32_t keep = lock->fair ? MAPSEG_LOCK_DIED | MAPSEG_LOCK_SLEEPERS : MAPSEG_LOCK_DIED;

        mapseg_watch_release(lock->word);
        /* [CLEAR_NOTE] Cleared before the release: after it, the note is the next owner's. */
        atomic_store_explicit(&lock->owner_thread, 0, memory_order_relaxed);
        if (!mapseg_lock_swap_to_free(lock->word, &seen, (seen & keep) | bits))
            continue;
        if (lock->fair)
            hand_over(lock, seen);
        else if (seen & MAPSEG_LOCK_SLEEPERS)
            wake_one(lock->word);
        return true;
    }
    /* Somebody wrote over it; who noted that it holds the lock does not. */
    if (mapseg_lock_is_noted(lock))
        mapseg_lock_forget(lock);
    return false;
}

/* ---------------------------------------------------------- life cycle -- */

/** Never where a race detector wants to be told. */
static void
allow_fast_path(struct mapseg_lock *lock, bool allowed)
{
    atomic_store_explicit(&lock->fast_generation,
                          allowed && !mapseg_is_watched() ? lock->generation
                                                          : MAPSEG_LOCK_NO_GENERATION,
                          memory_order_relaxed);
}

void
mapseg_lock_allow_reading(struct mapseg_lock *lock, bool allowed)
{
    atomic_store_explicit(&lock->read_generation,
                          allowed ? lock->generation : MAPSEG_LOCK_NO_GENERATION,
                          memory_order_relaxed);
}

void
mapseg_lock_clear(struct mapseg_lock *lock)
{
    memset(lock, 0, sizeof *lock);
    lock->word = &never_free;
    lock->life = &no_life;
    lock->generation = MAPSEG_LOCK_NO_GENERATION;
    allow_fast_path(lock, false);
    mapseg_lock_allow_reading(lock, false);
}

void
mapseg_lock_begin(struct mapseg_lock *lock, struct mapseg_header *header, uint32_t slot,
                  struct mapseg_file *file, bool fair)
{
    mapseg_lock_clear(lock);
    if (header == NULL)
        return;
    lock->header = header;
    lock->word = mapseg_lock_word(header);
    lock->slot = slot;
    lock->file = file;
    lock->fair = fair;
}

void
mapseg_lock_live(struct mapseg_lock *lock, const _Atomic uint32_t *life, uint32_t generation)
{
    lock->life = life;
    lock->generation = generation;
    allow_fast_path(lock, true);
}

void
mapseg_lock_die(struct mapseg_lock *lock)
{
    lock->generation = MAPSEG_LOCK_NO_GENERATION;
    allow_fast_path(lock, false);
    mapseg_lock_allow_reading(lock, false);
}

void
mapseg_lock_end(struct mapseg_lock *lock)
{
    /* To mapseg_lock_look at the word would map its page in for the many who never locked. */
    if (mapseg_lock_is_used(lock))
        (void)mapseg_lock_release(lock, mapseg_lock_writes(lock) ? MAPSEG_LOCK_DIED : 0);
}

/* ---------------------------------------------- for the callers above -- */

mapseg_result
mapseg_lock_attempt(struct mapseg_lock *lock, bool wait, int64_t deadline)
{
    struct attempt attempt = {.deadline = deadline, .slice = FIRST_SLICE_NS, .wait = wait};

    know_this_thread();
    return take(lock, &attempt);
}

mapseg_result
mapseg_lock_take(struct mapseg_lock *lock, int64_t deadline)
{
    return mapseg_lock_attempt(lock, true, deadline);
}

bool
mapseg_lock_is_held(const struct mapseg_lock *lock)
{
    return lock->slot != 0 && mapseg_lock_owner_of(mapseg_lock_look(lock)) == lock->slot;
}

bool
mapseg_lock_is_noted(const struct mapseg_lock *lock)
{
    uint32_t noted = atomic_load_explicit(&lock->owner_thread, memory_order_relaxed);

    return noted != 0 && noted == mapseg_thread.number;
}

bool
mapseg_lock_was_taken_away(const struct mapseg_lock *lock)
{
    return mapseg_lock_is_noted(lock) && !mapseg_lock_is_held(lock);
}

void
mapseg_lock_forget(struct mapseg_lock *lock)
{
    atomic_store_explicit(&lock->owner_thread, 0, memory_order_relaxed);
    mapseg_lock_write(lock, false);
}

void
mapseg_lock_mark(struct mapseg_lock *lock)
{
    /* Relaxed: it becomes visible with the release of the lock. */
    atomic_fetch_or_explicit(lock->word, MAPSEG_LOCK_DIED, memory_order_relaxed);
}

bool
mapseg_lock_is_inconsistent(const struct mapseg_lock *lock)
{
    return (mapseg_lock_look(lock) & MAPSEG_LOCK_DIED) != 0;
}

bool
mapseg_lock_writes(const struct mapseg_lock *lock)
{
    return atomic_load_explicit(&lock->writes, memory_order_relaxed);
}

void
mapseg_lock_write(struct mapseg_lock *lock, bool writes)
{
    atomic_store_explicit(&lock->writes, writes, memory_order_relaxed);
    allow_fast_path(lock, !writes);
}

/* ------------------------------------------------------------- changes -- */

/** The lock is held. */
void
mapseg_lock_begin_change(struct mapseg_lock *lock)
{
    uint64_t version = mapseg_version_load(lock->header);

    mapseg_lock_write(lock, true);
    /* Never toggled: it is odd already after a writer's death. */
    mapseg_version_store_odd(mapseg_version_halves(lock->header), version + 1 + (version & 1));
}

/** The lock is held. */
static void
end_change(struct mapseg_lock *lock)
{
    uint64_t version = mapseg_version_load(lock->header);

    if (!mapseg_version_is_odd(version)) {
        version++;
        mapseg_version_store_odd(mapseg_version_halves(lock->header), version);
    }
    mapseg_version_store_even(mapseg_version_halves(lock->header), version + 1);
    mapseg_lock_write(lock, false);
}

/** Ends the change, unless its data is known to be half written. */
void
mapseg_lock_end_change(struct mapseg_lock *lock)
{
    if (mapseg_lock_is_inconsistent(lock))
        mapseg_lock_write(lock, false);
    else
        end_change(lock);
}

void
mapseg_lock_publish(struct mapseg_lock *lock)
{
    mapseg_lock_end_change(lock);
    mapseg_version_wake(lock->header);
}

/** The data is in order: its version is even again. */
static void
make_even(struct mapseg_lock *lock)
{
    /* The change that this handle has begun goes on until it ends it. */
    if (mapseg_lock_writes(lock) || !mapseg_version_is_odd(mapseg_version_load(lock->header)))
        return;
    end_change(lock);
    mapseg_version_wake(lock->header);
}

bool
mapseg_lock_declare_consistent(struct mapseg_lock *lock)
{
    uint32_t seen = mapseg_lock_look(lock);

    /* First the version: an owner that dies in between leaves data that is in order,
     * and the next is told that it may not be. */
    if (mapseg_lock_owner_of(seen) == lock->slot && lock->slot != 0)
        make_even(lock);
    /* Relaxed: the repair becomes visible with the release of the lock. */
    for (int i = 0; i < SWAP_TRIES && mapseg_lock_owner_of(seen) == lock->slot; i++)
        if (atomic_compare_exchange_weak_explicit(lock->word, &seen, seen & ~MAPSEG_LOCK_DIED,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}
