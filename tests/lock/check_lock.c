/* check_lock.c - the lock: exclusion and waiting. */

#include "locking.h"
#include "record.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096

/* ---------------------------------------------------------- one process -- */

START_TEST(held_word_is_the_own_slot)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg_info *information;

    need_number(0, lock_word(header));
    need_number(MAPSEG_LOCK_STATE_FREE, lock_state_of(stage->place.key));
    for (int round = 0; round < 3; round++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(lock_word(header) >= MAPSEG_FIRST_SLOT && lock_word(header) <= MAPSEG_LAST_SLOT);
        need_number(slot_in_maps(getpid(), stage->place.path), lock_word(header));
        need_result(MAPSEG_OK, mapseg_info_new(seg, &information));
        need_number(MAPSEG_LOCK_STATE_HELD, information->lock);
        need_number(lock_word(header), information->lock_slot);
        need(!information->lock_inconsistent && !information->lock_sleepers);
        mapseg_info_free(information);
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        need_number(0, lock_word(header));
    }
    need_result(MAPSEG_OK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_lock_for(seg, 0));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_lock_for(seg, -1));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(0, lock_word(header));
    need_number(0, recoveries_of(header));
    mapseg_free(seg);
}
END_TEST

START_TEST(somebody_else_holds_it)
{
    struct stage *stage = new_stage();
    mapseg *owner = created(stage->place.key, DATA_BYTES);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    int64_t began;

    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_error(other));
    need(mapseg_error_string(other)[0] != '\0');
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(other, 0));
    began = now_ns();
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(other, 200 * MILLISECOND));
    need(now_ns() - began >= 200 * MILLISECOND);
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need_result(MAPSEG_OK, mapseg_try_lock(other));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(owner));
    need_result(MAPSEG_OK, mapseg_unlock(other));
    mapseg_free(other);
    mapseg_free(owner);
}
END_TEST

struct wait {
    mapseg *seg;
    int64_t timeout_ns;
    atomic_int entered;
    atomic_int released;
    bool early;
    mapseg_result result;
};

static void *
wait_for_lock(void *argument)
{
    struct wait *wait = argument;

    atomic_store(&wait->entered, 1);
    wait->result = mapseg_lock_for(wait->seg, wait->timeout_ns);
    wait->early = atomic_load(&wait->released) == 0;
    if (mapseg_result_owes_unlock(wait->result))
        need_result(MAPSEG_OK, mapseg_unlock(wait->seg));
    return NULL;
}

/** Timeouts that mean for ever, and one that is as good as that. */
static const int64_t endless[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX / 2};

START_TEST(endless_timeouts_wait_for_the_release)
{
    struct stage *stage = new_stage();
    mapseg *owner = created(stage->place.key, DATA_BYTES);
    struct wait wait = {.seg = attached(stage->place.key, MAPSEG_READ_WRITE),
                        .timeout_ns = endless[_i]};
    pthread_t thread;

    need_result(MAPSEG_OK, mapseg_lock(owner));
    need(pthread_create(&thread, NULL, wait_for_lock, &wait) == 0);
    await(&wait.entered, 1);
    nap(150 * MILLISECOND);
    atomic_store(&wait.released, 1);
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need(pthread_join(thread, NULL) == 0);
    need_result(MAPSEG_OK, wait.result);
    need(!wait.early);
    mapseg_free(wait.seg);
    mapseg_free(owner);
}
END_TEST

START_TEST(second_lock_of_a_thread)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_try_lock(seg));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock_for(seg, 0));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock_for(seg, -1));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_try_lock(other));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(other));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

START_TEST(which_results_owe_an_unlock)
{
    for (int result = -1; result < 64; result++)
        need(mapseg_result_owes_unlock((mapseg_result)result) ==
             (result == MAPSEG_OK || result == MAPSEG_OWNER_DIED));
}
END_TEST

/** As the manual says to write it. */
static void
lock_and_unlock(mapseg *seg, void (*inner)(mapseg *))
{
    mapseg_result result = mapseg_lock(seg);

    if (inner != NULL)
        inner(seg);
    if (mapseg_result_owes_unlock(result))
        need_result(MAPSEG_OK, mapseg_unlock(seg));
}

static void
lock_within(mapseg *seg)
{
    lock_and_unlock(seg, NULL);
    /* The outer function still has what it took. */
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_try_lock(seg));
}

/// A locking function that calls a locking function keeps the lock until its own end.
START_TEST(inner_function_owes_nothing)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    lock_and_unlock(seg, lock_within);
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(unlock_without_holding_changes_nothing)
{
    struct stage *stage = new_stage();
    mapseg *owner = created(stage->place.key, DATA_BYTES);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t word;

    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(owner));
    need_result(MAPSEG_NOT_LOCKED, mapseg_consistent(owner));
    need_number(0, lock_word(header));
    need_result(MAPSEG_OK, mapseg_lock(owner));
    word = lock_word(header);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(other));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_error(other));
    need_result(MAPSEG_NOT_LOCKED, mapseg_consistent(other));
    need_number(word, lock_word(header) & ~MAPSEG_LOCK_SLEEPERS);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(owner));
    need_number(0, lock_word(header));
    mapseg_free(other);
    mapseg_free(owner);
}
END_TEST

START_TEST(lock_of_a_handle_that_is_not_attached)
{
    struct stage *stage = new_stage();
    mapseg *seg = handle_for(stage->place.key);

    for (int round = 0; round < 2; round++) {
        need_result(MAPSEG_LOCK_ERROR, mapseg_lock(seg));
        need_result(MAPSEG_LOCK_ERROR, mapseg_try_lock(seg));
        need_result(MAPSEG_LOCK_ERROR, mapseg_lock_for(seg, SECOND));
        need_result(MAPSEG_LOCK_ERROR, mapseg_error(seg));
        need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
        need(!mapseg_result_owes_unlock(mapseg_consistent(seg)));
        if (round == 0) {
            need_result(MAPSEG_OK, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
            need_result(MAPSEG_OK, mapseg_detach(seg));
        }
    }
    mapseg_free(seg);
}
END_TEST

START_TEST(failing_create_leaves_the_lock_alone)
{
    struct stage *stage = new_stage();
    mapseg *owner = created(stage->place.key, DATA_BYTES);
    mapseg *other = handle_for(stage->place.key);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t word;

    need_result(MAPSEG_OK, mapseg_lock(owner));
    word = lock_word(header);
    need_result(MAPSEG_ALREADY_EXISTS, mapseg_create(other, 100, MAPSEG_READ_WRITE));
    need_result(MAPSEG_ALREADY_EXISTS, mapseg_create(owner, 100, MAPSEG_READ_WRITE));
    need_number(word, lock_word(header));
    need_result(MAPSEG_OK, mapseg_attach(other, MAPSEG_READ_WRITE));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(owner));
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need_result(MAPSEG_OK, mapseg_lock(other));
    need_result(MAPSEG_OK, mapseg_unlock(other));
    mapseg_free(other);
    mapseg_free(owner);
}
END_TEST

START_TEST(read_only_attachments_lock)
{
    struct stage *stage = new_stage();
    mapseg *owner = created(stage->place.key, DATA_BYTES);
    mapseg *reader = handle_for(stage->place.key);

    need_result(MAPSEG_OK, mapseg_attach(reader, MAPSEG_READ_ONLY));
    need_result(MAPSEG_OK, mapseg_lock(reader));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(owner));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(reader));
    need_result(MAPSEG_OK, mapseg_unlock(reader));
    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(reader));
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    mapseg_free(owner);
    mapseg_free(reader);
}
END_TEST

static void *
unlock_in_thread(void *argument)
{
    need_result(MAPSEG_OK, mapseg_unlock(argument));
    return NULL;
}

static void *
relock_in_thread(void *argument)
{
    need_result(MAPSEG_OK, mapseg_unlock(argument));
    need_result(MAPSEG_OK, mapseg_lock(argument));
    return NULL;
}

/** Runs the body in a thread of its own until it ends. */
static void
run_thread(void *(*body)(void *argument), void *argument)
{
    pthread_t thread;

    need(pthread_create(&thread, NULL, body, argument) == 0);
    need(pthread_join(thread, NULL) == 0);
}

START_TEST(any_thread_unlocks)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    run_thread(unlock_in_thread, seg);
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_try_lock(other));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(other));
    /* Another thread has it now, through the same handle. */
    need_result(MAPSEG_OK, mapseg_lock(seg));
    run_thread(relock_in_thread, seg);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, 150 * MILLISECOND));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------ contention -- */

struct adder {
    mapseg *seg;
    int rounds;
};

/** Takes the lock in one of three ways. */
static void
take(mapseg *seg, int way)
{
    mapseg_result result;

    if (way % 3 == 0)
        need_result(MAPSEG_OK, mapseg_lock(seg));
    if (way % 3 == 1)
        while ((result = mapseg_try_lock(seg)) != MAPSEG_OK) {
            need_result(MAPSEG_WOULD_BLOCK, result);
            nap(MICROSECOND);
        }
    if (way % 3 == 2)
        while ((result = mapseg_lock_for(seg, 50 * MICROSECOND)) != MAPSEG_OK)
            need_result(MAPSEG_TIMED_OUT, result);
}

static void *
add(void *argument)
{
    struct adder *adder = argument;

    for (int round = 0; round < adder->rounds; round++) {
        take(adder->seg, round / 64);
        need(record_add(data_of(adder->seg)));
        need_result(MAPSEG_OK, mapseg_unlock(adder->seg));
    }
    return NULL;
}

START_TEST(two_threads_of_one_handle)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct record *record = data_of(seg);
    struct adder adder = {.seg = seg, .rounds = 20000};
    pthread_t threads[3];

    record_init(record);
    for (int i = 0; i < 3; i++)
        need(pthread_create(&threads[i], NULL, add, &adder) == 0);
    for (int i = 0; i < 3; i++)
        need(pthread_join(threads[i], NULL) == 0);
    need_number(60000, record->count);
    mapseg_free(seg);
}
END_TEST

START_TEST(two_handles_of_one_process)
{
    struct stage *stage = new_stage();
    mapseg *first = created(stage->place.key, DATA_BYTES);
    mapseg *second = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct adder adders[2] = {{first, 20000}, {second, 20000}};
    struct record *record = data_of(first);
    pthread_t threads[2];

    need(mapseg_data(first) != mapseg_data(second));
    record_init(record);
    for (int i = 0; i < 2; i++)
        need(pthread_create(&threads[i], NULL, add, &adders[i]) == 0);
    for (int i = 0; i < 2; i++)
        need(pthread_join(threads[i], NULL) == 0);
    need_number(40000, record->count);
    mapseg_free(second);
    mapseg_free(first);
}
END_TEST

#define ADD_ROUNDS 15000

/** One of several processes; odd ones with two threads on the handle. */
static void
add_in_process(struct stage *stage)
{
    int threads = 1 + atomic_fetch_add(&stage->pid, 1) % 2;
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct adder adder = {.seg = seg, .rounds = ADD_ROUNDS / threads};
    pthread_t second;

    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    if (threads == 2)
        need(pthread_create(&second, NULL, add, &adder) == 0);
    (void)add(&adder);
    if (threads == 2)
        need(pthread_join(second, NULL) == 0);
    mapseg_free(seg);
}

static const uint32_t contention_flags[] = {0, MAPSEG_FAIR};

START_TEST(four_processes_count)
{
    struct stage *stage = new_stage();
    pid_t pids[4];
    struct mapseg_header *header;
    mapseg *seg;
    struct record *record;

    leave_persistent(stage->place.key, DATA_BYTES, contention_flags[_i]);
    header = map_header(stage->place.path);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    record_init(data_of(seg));
    mapseg_free(seg);
    for (int i = 0; i < 4; i++)
        pids[i] = start(add_in_process, stage);
    await(&stage->ready, 4);
    atomic_store(&stage->go, 1);
    for (int i = 0; i < 4; i++)
        finish(pids[i]);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    record = data_of(seg);
    need_number(4 * ADD_ROUNDS, record->count);
    need_number(~(uint64_t)(4 * ADD_ROUNDS), record->inverse);
    need_number(0, lock_word(header));
    need_number(0, recoveries_of(header));
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

#define DUEL_ROUNDS 20000

/** Two threads that unlock the same lock at the same time. Who waits for the
 *  other sleeps for moments: who only yields is passed over by all that a busy
 *  machine has to do, each time. */
struct duel {
    mapseg *seg;
    atomic_int round;
    atomic_int answers;
    atomic_int freed;
};

static void
count_freed(struct duel *duel)
{
    mapseg_result result = mapseg_unlock(duel->seg);

    need(result == MAPSEG_OK || result == MAPSEG_NOT_LOCKED);
    if (result == MAPSEG_OK)
        atomic_fetch_add(&duel->freed, 1);
    atomic_fetch_add(&duel->answers, 1);
}

static void *
second_unlocker(void *argument)
{
    struct duel *duel = argument;

    for (int round = 1; round <= DUEL_ROUNDS; round++) {
        for (int look = 0; atomic_load(&duel->round) < round; look++)
            if (look % 1000 == 999)
                nap(MICROSECOND);
        count_freed(duel);
    }
    return NULL;
}

START_TEST(one_of_two_unlocks_frees)
{
    struct stage *stage = new_stage();
    struct duel duel = {.seg = created(stage->place.key, DATA_BYTES)};
    struct mapseg_header *header = map_header(stage->place.path);
    pthread_t second;

    need(pthread_create(&second, NULL, second_unlocker, &duel) == 0);
    for (int round = 1; round <= DUEL_ROUNDS; round++) {
        need_result(MAPSEG_OK, mapseg_lock(duel.seg));
        /* With a mark in the word, releasing takes another way. */
        if (round % 2 == 0)
            set_lock_word(header, lock_word(header) | MAPSEG_LOCK_SLEEPERS);
        atomic_store(&duel.round, round);
        /* Sometimes the one is quicker, sometimes the other. */
        for (volatile int pause = 0; pause < round % 256; pause++)
            ;
        count_freed(&duel);
        for (int look = 0; atomic_load(&duel.answers) < 2 * round; look++)
            if (look % 1000 == 999)
                nap(MICROSECOND);
        need_number(round, atomic_load(&duel.freed));
    }
    need(pthread_join(second, NULL) == 0);
    mapseg_free(duel.seg);
}
END_TEST

/* --------------------------------------------------------------- waiting -- */

/** Holds the lock, detaches or frees with it held. */
static void
hold_and_detach(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    if (stage->number == 0)
        need_result(MAPSEG_OK, mapseg_detach(seg));
    else
        mapseg_free(seg);
    /* Its end must not be what wakes the other one. */
    await(&stage->go, 2);
}

START_TEST(detach_releases_and_wakes)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    pid_t holder;
    pid_t sleeper;

    stage->number = _i;
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    holder = start(hold_and_detach, stage);
    await(&stage->ready, 1);
    sleeper = start_sleeper(wait_and_leave, stage, header);
    atomic_store(&stage->go, 1);
    finish(sleeper);
    need_number(1, stage->told[MAPSEG_OK]);
    atomic_store(&stage->go, 2);
    finish(holder);
    need_number(0, lock_word(header));
    remove_persistent(stage->place.key);
}
END_TEST

START_TEST(sleepers_show_in_the_word)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    mapseg_info *information;
    pid_t holder;
    pid_t sleeper;
    uint32_t slot;
    mapseg *seg;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    holder = start_holder(stage);
    slot = lock_word(header);
    need_number(slot_in_maps(holder, stage->place.path), slot);
    sleeper = start_sleeper(wait_and_leave, stage, header);
    need_number(slot | MAPSEG_LOCK_SLEEPERS, lock_word(header));
    seg = handle_for(stage->place.key);
    need_result(MAPSEG_OK, mapseg_info_new(seg, &information));
    need(information->lock_sleepers);
    need_number(slot, information->lock_slot);
    mapseg_info_free(information);
    mapseg_free(seg);
    atomic_store(&stage->go, 1);
    finish(holder);
    finish(sleeper);
    need_number(0, lock_word(header));
    remove_persistent(stage->place.key);
}
END_TEST

START_TEST(killed_sleepers_harm_nobody)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    uint32_t random = 4711;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    for (int round = 0; round < 40; round++) {
        pid_t holder;
        pid_t sleepers[3];
        int status;

        atomic_store(&stage->go, 0);
        atomic_store(&stage->told[MAPSEG_OK], 0);
        holder = start_holder(stage);
        for (int i = 0; i < 3; i++)
            sleepers[i] = start_sleeper(wait_and_leave, stage, header);
        /* Before, at and after the moment at which one of them is woken. */
        if (round % 4 == 0)
            need(kill(sleepers[0], SIGKILL) == 0);
        atomic_store(&stage->go, 1);
        nap(next_random(&random) % 400 * MICROSECOND);
        if (round % 4 != 0)
            need(kill(sleepers[round % 3], SIGKILL) == 0);
        finish(holder);
        for (int i = 0; i < 3; i++) {
            status = end_of(sleepers[i]);
            need(status == 0 || status == 128 + SIGKILL);
        }
        need(stage->told[MAPSEG_OK] + stage->told[MAPSEG_OWNER_DIED] >= 2);
        /* Who was killed inside leaves the lock to its finder. */
        if (lock_word(header) != 0) {
            mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

            need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
            need_result(MAPSEG_OK, mapseg_consistent(seg));
            need_result(MAPSEG_OK, mapseg_unlock(seg));
            mapseg_free(seg);
        }
        atomic_store(&stage->told[MAPSEG_OWNER_DIED], 0);
    }
    need_number(0, lock_word(header));
    remove_persistent(stage->place.key);
}
END_TEST

/** Waits shorter than the owner is stopped. */
static void
wait_in_vain(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    int64_t began = now_ns();

    atomic_fetch_add(&stage->ready, 1);
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, 1500 * MILLISECOND));
    need(now_ns() - began >= 1500 * MILLISECOND);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    mapseg_free(seg);
}

START_TEST(stopped_owner_is_not_robbed)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    pid_t holder;
    pid_t sleeper;
    uint32_t slot;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    holder = start_holder(stage);
    slot = lock_word(header);
    need(kill(holder, SIGSTOP) == 0);
    sleeper = start_sleeper(wait_and_leave, stage, header);
    finish(start(wait_in_vain, stage));
    need_number(slot, lock_word(header) & MAPSEG_LOCK_OWNER);
    need_number(0, lock_word(header) & MAPSEG_LOCK_DIED);
    need_number(0, stage->told[MAPSEG_OK]);
    atomic_store(&stage->go, 1);
    need(kill(holder, SIGCONT) == 0);
    finish(holder);
    finish(sleeper);
    need_number(1, stage->told[MAPSEG_OK]);
    need_number(0, recoveries_of(header));
    remove_persistent(stage->place.key);
}
END_TEST

static volatile sig_atomic_t alarms;

static void
count_alarm(int signal_number)
{
    (void)signal_number;
    alarms = alarms + 1;
}

/** How many interruptions are enough to tell what they do to a wait. */
#define ENOUGH_ALARMS 20

/** Has a signal interrupt every system call of this process, for ever. */
static void
ring(void)
{
    struct sigaction action;
    struct itimerval timer = {{0, 700}, {0, 700}};

    memset(&action, 0, sizeof(action));
    action.sa_handler = count_alarm;
    need(sigaction(SIGALRM, &action, NULL) == 0);
    need(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void
wait_under_signals(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    ring();
    /* If an interruption began a wait anew, it would never end. */
    while (alarms < ENOUGH_ALARMS) {
        int64_t began = now_ns();

        need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, 250 * MILLISECOND));
        need(now_ns() - began >= 250 * MILLISECOND);
    }
    atomic_fetch_add(&stage->ready, 1);
    need_result((mapseg_result)stage->number, mapseg_lock(seg));
    need(atomic_load(&stage->go) == 1);
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}

static const mapseg_result under_signals[] = {MAPSEG_OK, MAPSEG_OWNER_DIED};

START_TEST(signals_neither_shorten_nor_lengthen_the_wait)
{
    struct stage *stage = new_stage();
    pid_t holder;
    pid_t sleeper;

    stage->number = (int)under_signals[_i];
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    holder = start_holder(stage);
    sleeper = start(wait_under_signals, stage);
    await(&stage->ready, 2);
    nap(150 * MILLISECOND);
    if (under_signals[_i] == MAPSEG_OWNER_DIED)
        need(kill(holder, SIGSTOP) == 0);
    atomic_store(&stage->go, 1);
    if (under_signals[_i] == MAPSEG_OWNER_DIED)
        kill_and_reap(holder);
    else
        finish(holder);
    finish(sleeper);
    remove_persistent(stage->place.key);
}
END_TEST

/* ------------------------------------------------------------------ main -- */

static void
add_one_process(Suite *suite)
{
    TCase *tcase = new_case(suite, "one process");

    tcase_add_test(tcase, held_word_is_the_own_slot);
    tcase_add_test(tcase, somebody_else_holds_it);
    tcase_add_loop_test(tcase, endless_timeouts_wait_for_the_release, 0, 4);
    tcase_add_test(tcase, second_lock_of_a_thread);
    tcase_add_test(tcase, which_results_owe_an_unlock);
    tcase_add_test(tcase, inner_function_owes_nothing);
    tcase_add_test(tcase, unlock_without_holding_changes_nothing);
    tcase_add_test(tcase, lock_of_a_handle_that_is_not_attached);
    tcase_add_test(tcase, failing_create_leaves_the_lock_alone);
    tcase_add_test(tcase, read_only_attachments_lock);
    tcase_add_test(tcase, any_thread_unlocks);
    tcase_add_test(tcase, two_threads_of_one_handle);
    tcase_add_test(tcase, two_handles_of_one_process);
    tcase_add_test(tcase, one_of_two_unlocks_frees);
}

static void
add_waiting(Suite *suite)
{
    TCase *tcase = new_case(suite, "waiting");

    tcase_add_loop_test(tcase, four_processes_count, 0, 2);
    tcase_add_loop_test(tcase, detach_releases_and_wakes, 0, 2);
    tcase_add_test(tcase, sleepers_show_in_the_word);
    tcase_add_test(tcase, killed_sleepers_harm_nobody);
    tcase_add_test(tcase, stopped_owner_is_not_robbed);
    tcase_add_loop_test(tcase, signals_neither_shorten_nor_lengthen_the_wait, 0, 2);
}

int
main(void)
{
    Suite *suite = new_suite("lock");

    add_one_process(suite);
    add_waiting(suite);
    return run_suite(suite);
}
