/*
 * check_contention.c - threads and processes that all want the lock: one of them has it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"
#include "record.h"

#include <pthread.h>

#define DATA_BYTES 4096

/* ------------------------------------------------------------- counting -- */

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

/* ---------------------------------------------------------- two unlocks -- */

#define DUEL_ROUNDS 20000

/** Two threads that unlock the same lock at the same time. The one that waits for
 *  the other sleeps for moments: one that only yields is passed over by all that a busy
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

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("contention");
    TCase *tcase = new_case(suite, "contention");

    tcase_add_test(tcase, two_threads_of_one_handle);
    tcase_add_test(tcase, two_handles_of_one_process);
    tcase_add_loop_test(tcase, four_processes_count, 0, 2);
    tcase_add_test(tcase, one_of_two_unlocks_frees);
    return run_suite(suite);
}
