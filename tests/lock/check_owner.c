/*
 * check_owner.c - the lock's owners that die: the next one is told, and the others go on.
 *
 * SPDX-License-Identifier: MIT
 */
#include "locking.h"
#include "record.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096

/* ----------------------------------------------------------------- told -- */

START_TEST(next_owner_is_told_until_one_repairs)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    pid_t holder;
    pid_t sleeper;
    mapseg *seg;
    uint32_t slot;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    holder = start_holder(stage);
    sleeper = start_sleeper(wait_and_leave, stage, header);
    kill_and_reap(holder);
    finish(sleeper);
    need_number(1, stage->told[MAPSEG_OWNER_DIED]);
    need_number(1, recoveries_of(header));
    need_number(MAPSEG_LOCK_DIED, lock_word(header));
    need_number(MAPSEG_LOCK_STATE_INCONSISTENT, lock_state_of(stage->place.key));

    finish(start(wait_and_leave, stage));
    need_number(2, stage->told[MAPSEG_OWNER_DIED]);
    need_number(MAPSEG_LOCK_DIED, lock_word(header));

    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    slot = slot_in_maps(getpid(), stage->place.path);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_number(slot | MAPSEG_LOCK_DIED, lock_word(header));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_number(slot, lock_word(header));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(0, lock_word(header));
    need_result(MAPSEG_NOT_LOCKED, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(1, recoveries_of(header));
    mapseg_free(seg);
    finish(start(wait_and_leave, stage));
    need_number(1, stage->told[MAPSEG_OK]);
    remove_persistent(stage->place.key);
}
END_TEST

START_TEST(the_dead_show_in_info)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    mapseg_info *information;
    mapseg *seg;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    let_owner_die(stage);
    need((lock_word(header) & MAPSEG_LOCK_OWNER) != 0);
    need_number(MAPSEG_LOCK_STATE_OWNER_DIED, lock_state_of(stage->place.key));
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_info_new(seg, &information));
    need_number(MAPSEG_LOCK_STATE_HELD, information->lock);
    need(information->lock_inconsistent);
    need_number(1, information->recoveries);
    mapseg_info_free(information);
    /* Detaching without repair keeps the mark as unlocking does. */
    mapseg_free(seg);
    need_number(MAPSEG_LOCK_DIED, lock_word(header));
    remove_persistent(stage->place.key);
}
END_TEST

/* --------------------------------------------- callers that hardly wait -- */

/** Calls that do not wait, or hardly. */
static const int64_t short_deadlines[] = {0, 1, 10 * MICROSECOND, 300 * MICROSECOND,
                                          2 * MILLISECOND};
#define SHORT_DEADLINES 5

static void
take_from_the_dead(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OWNER_DIED, stage->number == SHORT_DEADLINES
                                       ? mapseg_try_lock(seg)
                                       : mapseg_lock_for(seg, short_deadlines[stage->number]));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}

START_TEST(short_deadlines_replace_the_dead)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;

    stage->number = _i;
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    for (int round = 1; round <= 10; round++) {
        let_owner_die(stage);
        finish(start(take_from_the_dead, stage));
        need_number(round, recoveries_of(header));
        need_number(0, lock_word(header));
    }
    remove_persistent(stage->place.key);
}
END_TEST

/** Tries again and again with a deadline shorter than any sleep. */
static void
poll_for_the_dead(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg_result result = MAPSEG_TIMED_OUT;
    int64_t deadline = now_ns() + HANG;

    while (result == MAPSEG_TIMED_OUT && now_ns() < deadline) {
        result = mapseg_lock_for(seg, 100 * MICROSECOND);
        atomic_fetch_add(&stage->ready, 1);
    }
    need_result(MAPSEG_OWNER_DIED, result);
    mapseg_free(seg);
}

START_TEST(owner_dies_under_a_poller)
{
    struct stage *stage = new_stage();
    pid_t holder;
    pid_t poller;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    holder = start_holder(stage);
    poller = start(poll_for_the_dead, stage);
    await(&stage->ready, 20);
    kill_and_reap(holder);
    finish(poller);
    remove_persistent(stage->place.key);
}
END_TEST

/* ------------------------------------------------------------- sleepers -- */

#define MANY 12

static void (*const after_death[])(struct stage *) = {wait_and_leave, wait_and_repair};

START_TEST(all_sleepers_get_through_after_a_death)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    bool repair = after_death[_i] == wait_and_repair;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    for (int round = 1; round <= 4; round++) {
        pid_t holder = start_holder(stage);
        pid_t sleepers[MANY];

        for (int i = 0; i < MANY; i++)
            sleepers[i] = start_sleeper(after_death[_i], stage, header);
        kill_and_reap(holder);
        for (int i = 0; i < MANY; i++)
            finish(sleepers[i]);
        need_number(round, recoveries_of(header));
        need_number(repair ? round : round * MANY, stage->told[MAPSEG_OWNER_DIED]);
        need_number(repair ? round * (MANY - 1) : 0, stage->told[MAPSEG_OK]);
        need_number(repair ? 0 : MAPSEG_LOCK_DIED, lock_word(header));
    }
    remove_persistent(stage->place.key);
}
END_TEST

/** Takes the lock from the dead, then dies with it. */
static void
inherit_and_die(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    atomic_fetch_add(&stage->ready, 1);
    need(mapseg_result_owes_unlock(mapseg_lock(seg)));
    (void)kill(getpid(), SIGKILL);
}

START_TEST(owners_die_in_a_row)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    pid_t sleepers[8];
    pid_t last;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    sleepers[0] = start_holder(stage);
    for (int i = 1; i < 8; i++)
        sleepers[i] = start_sleeper(inherit_and_die, stage, header);
    last = start_sleeper(wait_and_repair, stage, header);
    kill_and_reap(sleepers[0]);
    for (int i = 1; i < 8; i++)
        need(end_of(sleepers[i]) > 128);
    finish(last);
    if ((lock_word(header) & MAPSEG_LOCK_OWNER) != 0)
        finish(start(wait_and_repair, stage));
    need_number(8, recoveries_of(header));
    need_number(0, lock_word(header));
    remove_persistent(stage->place.key);
}
END_TEST

/* -------------------------------------------------------------- threads -- */

/** One of several threads of a handle. */
struct heir {
    mapseg *seg;
    atomic_int entered;
    bool told;
};

static void *
take_over_in_thread(void *argument)
{
    struct heir *heir = argument;
    mapseg_result result;

    atomic_store(&heir->entered, 1);
    result = mapseg_lock(heir->seg);
    need(mapseg_result_owes_unlock(result));
    heir->told = result == MAPSEG_OWNER_DIED;
    need(record_add(data_of(heir->seg)));
    need_result(MAPSEG_OK, mapseg_consistent(heir->seg));
    need_result(MAPSEG_OK, mapseg_unlock(heir->seg));
    return NULL;
}

/** Four threads of one handle wait for an owner that dies. */
static void
take_over_with_threads(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct heir heirs[4];
    pthread_t threads[4];
    int told = 0;

    memset(heirs, 0, sizeof heirs);
    record_init(data_of(seg));
    for (int i = 0; i < 4; i++) {
        heirs[i].seg = seg;
        need(pthread_create(&threads[i], NULL, take_over_in_thread, &heirs[i]) == 0);
        await(&heirs[i].entered, 1);
    }
    atomic_fetch_add(&stage->ready, 1);
    for (int i = 0; i < 4; i++) {
        need(pthread_join(threads[i], NULL) == 0);
        told += heirs[i].told;
    }
    need_number(1, told);
    need_number(4, ((struct record *)data_of(seg))->count);
    mapseg_free(seg);
}

START_TEST(threads_of_a_handle_take_over_once)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    for (int round = 1; round <= 20; round++) {
        pid_t holder;
        pid_t heir;

        atomic_store(&stage->ready, 0);
        holder = start_holder(stage);
        heir = start(take_over_with_threads, stage);
        await(&stage->ready, 2);
        if (round % 2 == 0)
            await_word(header, MAPSEG_LOCK_SLEEPERS);
        kill_and_reap(holder);
        finish(heir);
        need_number(round, recoveries_of(header));
    }
    remove_persistent(stage->place.key);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("owner");
    TCase *tcase = new_case(suite, "owner");

    tcase_add_test(tcase, next_owner_is_told_until_one_repairs);
    tcase_add_test(tcase, the_dead_show_in_info);
    tcase_add_loop_test(tcase, short_deadlines_replace_the_dead, 0, SHORT_DEADLINES + 1);
    tcase_add_test(tcase, owner_dies_under_a_poller);
    tcase_add_loop_test(tcase, all_sleepers_get_through_after_a_death, 0, 2);
    tcase_add_test(tcase, owners_die_in_a_row);
    tcase_add_test(tcase, threads_of_a_handle_take_over_once);
    return run_suite(suite);
}
