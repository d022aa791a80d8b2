/*
 * check_waiting.c - processes that sleep for the lock: what wakes them, and what does not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "locking.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>

#define DATA_BYTES 4096

/* ---------------------------------------------------------------- woken -- */

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

/* -------------------------------------------------------- not disturbed -- */

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
        /*
         * A sleeper that was killed as the owner leaves the lock to its finder. One that was killed
         * between its wake and its turn leaves a free word that still says that it sleeps.
         */
        if (lock_word(header) != 0) {
            bool owned = (lock_word(header) & MAPSEG_LOCK_OWNER) != 0;
            mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

            need_result(owned ? MAPSEG_OWNER_DIED : MAPSEG_OK, mapseg_lock(seg));
            if (owned)
                need_result(MAPSEG_OK, mapseg_consistent(seg));
            need_result(MAPSEG_OK, mapseg_unlock(seg));
            need_number(0, lock_word(header));
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

/** A stopped owner is alive: its lock is not taken away. */
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

    memset(&action, 0, sizeof action);
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

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("waiting");
    TCase *tcase = new_case(suite, "waiting");

    tcase_add_loop_test(tcase, detach_releases_and_wakes, 0, 2);
    tcase_add_test(tcase, sleepers_show_in_the_word);
    tcase_add_test(tcase, killed_sleepers_harm_nobody);
    tcase_add_test(tcase, stopped_owner_is_not_robbed);
    tcase_add_loop_test(tcase, signals_neither_shorten_nor_lengthen_the_wait, 0, 2);
    return run_suite(suite);
}
