/*
 * check_watchers.c - waiters for a change that announce themselves: which changes wake, that no
 * waiter is missed, and what those do that cannot announce themselves.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "seen.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct msi_os_operations real;

static atomic_int wakes;

static void
count_wake(const uint32_t *word)
{
    atomic_fetch_add(&wakes, 1);
    real.wake_all(word);
}

/** How often the operation called the system to wake. */
static int
wakes_of(void (*operation)(mapseg *seg), mapseg *seg)
{
    atomic_store(&wakes, 0);
    real = msi_os;
    msi_os.wake_all = count_wake;
    operation(seg);
    msi_os = real;
    return atomic_load(&wakes);
}

static mapseg *
created_here(uint32_t flags)
{
    char key[KEY_BYTES] = "memfd:";

    if (!in_memory)
        unique_key(key);
    return created_as(key, DATA_BYTES, flags);
}

/* ------------------------------------------------------------- the changes -- */

static void
change_by_end(mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
}

static void
change_by_unlock(mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

static void
change_by_write(mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_write(seg, 0, &(uint64_t){5}, sizeof(uint64_t)));
}

static void
change_under_a_lock(mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_lock(seg));
    change_by_write(seg);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

static void (*const changes[])(mapseg *seg) = {change_by_end, change_by_unlock, change_by_write,
                                               change_under_a_lock};

#define CHANGES ((int)(sizeof changes / sizeof *changes))

/* ---------------------------------------------------------- the system calls -- */

START_TEST(nobody_waits_and_nobody_is_woken)
{
    mapseg *seg = created_here(MAPSEG_NO_SILENT_WAITERS);

    for (int i = 0; i < CHANGES; i++)
        need_number(0, wakes_of(changes[i], seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(private_named_segment_needs_no_flag)
{
    mapseg *seg = created_here(0);

    for (int i = 0; i < CHANGES; i++)
        need_number(0, wakes_of(changes[i], seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(each_change_wakes_where_waiters_may_be_silent)
{
    mapseg *seg = created_here(MAPSEG_SILENT_WAITERS);

    for (int i = 0; i < CHANGES; i++)
        need_number(1, wakes_of(changes[i], seg));
    mapseg_free(seg);
}
END_TEST

/** What was announced holds for the next change alone. */
START_TEST(an_announcement_is_used_up)
{
    mapseg *seg = created_here(MAPSEG_NO_SILENT_WAITERS);

    for (int i = 0; i < CHANGES; i++) {
        need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, version_read(seg), NULL, 1));
        need_number(1, wakes_of(changes[i], seg));
        need_number(0, wakes_of(changes[i], seg));
    }
    mapseg_free(seg);
}
END_TEST

/** What stands in between at the first version is no change. */
START_TEST(nothing_but_a_change_uses_it_up)
{
    mapseg *seg = created_here(MAPSEG_NO_SILENT_WAITERS);

    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 0, NULL, 1));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(0, (int64_t)version_read(seg));
    need_number(1, wakes_of(change_by_end, seg));
    mapseg_free(seg);
}
END_TEST

/** A wait that finds what it waits for does not sleep, and says nothing. */
START_TEST(who_does_not_sleep_says_nothing)
{
    mapseg *seg = created_here(MAPSEG_NO_SILENT_WAITERS);

    need_result(MAPSEG_OK, mapseg_wait(seg, MAPSEG_ANY_VERSION, NULL, -1));
    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 0, NULL, 0));
    (void)version_read(seg);
    need_number(0, wakes_of(change_by_end, seg));
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- the sleeps -- */

static int64_t slept; /**< all of it */

static int64_t shortest;

static int64_t longest;

static int64_t fake_time;

static int64_t
read_fake_clock(void)
{
    return fake_time;
}

static void
note_sleep(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)word;
    (void)value;
    fake_time += ns;
    slept += ns;
    shortest = ns < shortest ? ns : shortest;
    longest = ns > longest ? ns : longest;
}

static void
note_sleeps(void)
{
    shortest = INT64_MAX;
    longest = slept = 0;
    msi_os.sleep_on = note_sleep;
    msi_os.monotonic_ns = read_fake_clock;
}

#define MINUTE (60 * SECOND)

/** A waiter who is woken by every change looks by himself once a second in the end. */
START_TEST(heard_waiters_sleep_long)
{
    static const uint32_t flags[] = {MAPSEG_SILENT_WAITERS, MAPSEG_NO_SILENT_WAITERS};

    for (int i = 0; i < 2; i++) {
        mapseg *seg = created_here(flags[i]);

        note_sleeps();
        need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 0, NULL, MINUTE));
        need_number(SECOND, longest);
        need_number(MINUTE, slept);
        mapseg_free(seg);
    }
}
END_TEST

/** While a change is under way its writer may die, which nothing wakes for. */
START_TEST(change_under_way_is_looked_at_more_often)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t writer;

    make_show(stage, DATA_BYTES, MAPSEG_NO_SILENT_WAITERS);
    writer = start_writer(stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    note_sleeps();
    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 0, NULL, MINUTE));
    need(longest <= 64 * MILLISECOND);
    kill_and_reap(writer);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** A body: another user, who may only read. */
static void
wait_as_a_stranger(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, READER_STRANGER);
    bool silent = atomic_load(&stage->go) != 0;

    note_sleeps();
    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 0, NULL, MINUTE));
    need_number(silent ? SECOND : MILLISECOND, longest);
    mapseg_free(seg);
}

START_TEST(unheard_waiters_sleep_a_millisecond)
{
    struct stage *stage = new_stage();

    make_show(stage, DATA_BYTES, _i != 0 ? MAPSEG_SILENT_WAITERS : MAPSEG_NO_SILENT_WAITERS);
    atomic_store(&stage->go, _i);
    finish(start(wait_as_a_stranger, stage));
    end_show(stage);
}
END_TEST

/* ------------------------------------------------------------ nobody is missed -- */

#define CROWD 24

#define ROUNDS 300

static uint32_t crowd_flags;

/** Sleeps on, however short the sleep was to be: a waiter that is missed hangs. */
static void
sleep_until_woken(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)ns;
    real.sleep_on(word, value, 100 * HANG);
}

/** A body: sees version after version, up to the last. */
static void
see_all(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, next_kind);
    uint64_t version = 0;

    real = msi_os;
    if (crowd_flags == MAPSEG_SILENT_WAITERS || next_kind != READER_STRANGER)
        msi_os.sleep_on = sleep_until_woken;
    atomic_fetch_add(&stage->ready, 1);
    while (version < 2 * ROUNDS)
        need_result(MAPSEG_OK, mapseg_wait(seg, version, &version, -1));
    need_number(2 * ROUNDS, (int64_t)version);
    msi_os = real;
    mapseg_free(seg);
}

/** Starts waiters of all kinds, who are ready. */
static void
start_crowd(struct stage *stage, pid_t *waiters)
{
    for (int i = 0; i < CROWD; i++) {
        next_kind = (enum reader_kind)(i % count_kinds());
        waiters[i] = start(see_all, stage);
    }
    await(&stage->ready, CROWD);
}

static struct stage *
new_crowd(void)
{
    static const uint32_t flags[] = {MAPSEG_NO_SILENT_WAITERS, MAPSEG_SILENT_WAITERS};
    struct stage *stage = new_stage();

    crowd_flags = flags[in_memory];
    make_show(stage, DATA_BYTES, crowd_flags);
    return stage;
}

/** Makes the changes that the crowd has still to see, now fast and now slow. */
static void
make_changes(mapseg *seg, int count)
{
    for (int round = 0; round < count; round++) {
        changes[round % CHANGES](seg);
        if (round % 7 == 0)
            nap(300 * MICROSECOND);
    }
}

START_TEST(no_waiter_is_missed)
{
    struct stage *stage = new_crowd();
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    pid_t waiters[CROWD];

    start_crowd(stage, waiters);
    make_changes(seg, ROUNDS);
    for (int i = 0; i < CROWD; i++)
        finish(waiters[i]);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** Waiters that were killed keep no other asleep. */
START_TEST(killed_waiters_keep_nobody_asleep)
{
    struct stage *stage = new_crowd();
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    pid_t waiters[CROWD];

    start_crowd(stage, waiters);
    for (int i = 0; i < CROWD / 2; i++) {
        need_asleep(waiters[i]);
        kill_and_reap(waiters[i]);
        make_changes(seg, ROUNDS / CROWD);
    }
    make_changes(seg, ROUNDS - CROWD / 2 * (ROUNDS / CROWD));
    for (int i = CROWD / 2; i < CROWD; i++)
        finish(waiters[i]);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

static void
repair_alone(mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

static void
repair_within_a_change(mapseg *seg)
{
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_write_begin(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
}

/** A body: changes until it is killed. */
static void
change_for_ever(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    atomic_fetch_add(&stage->ready, 1);
    for (int i = 0;; i++) {
        mapseg_result result = mapseg_write_begin(seg);

        need(mapseg_result_owes_unlock(result));
        if (result == MAPSEG_OWNER_DIED)
            need_result(MAPSEG_OK, mapseg_consistent(seg));
        need_result(MAPSEG_OK, mapseg_write_end(seg));
    }
}

/** A body: waits for one change after another until the stage says that it is enough. */
static void
see_on(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, next_kind);
    uint64_t version = 0;

    atomic_fetch_add(&stage->ready, 1);
    while (atomic_load(&stage->go) == 0) {
        mapseg_result result = mapseg_wait(seg, version, &version, HANG);

        need(result == MAPSEG_OK || result == MAPSEG_OWNER_DIED);
    }
    mapseg_free(seg);
}

#define KILLS 40

/** Writers that are killed anywhere in a change leave nobody asleep for long. */
START_TEST(killed_writers_keep_nobody_asleep)
{
    struct stage *stage = new_crowd();
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    pid_t waiters[READER_KINDS];

    start_all(see_on, stage, waiters);
    await(&stage->ready, count_kinds());
    for (int i = 0; i < KILLS; i++) {
        pid_t writer = start(change_for_ever, stage);

        await(&stage->ready, count_kinds() + i + 1);
        nap((i * 37 % 100) * 10 * MICROSECOND);
        kill_and_reap(writer);
    }
    atomic_store(&stage->go, 1);
    need(mapseg_result_owes_unlock(mapseg_lock(seg)));
    repair_within_a_change(seg);
    finish_all(waiters);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** A writer that died may have cleared what a waiter announced, and not have woken it: the repair
 *  wakes, and so does the next change. */
START_TEST(what_a_dead_writer_cleared_is_made_good)
{
    struct stage *stage = new_stage();
    mapseg *seg;

    make_show(stage, DATA_BYTES, MAPSEG_NO_SILENT_WAITERS);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    let_writer_die(stage);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_number(1, wakes_of(_i == 0 ? repair_alone : repair_within_a_change, seg));
    need_free(seg);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/* ------------------------------------------------------------------- main -- */

static void
add_tests(TCase *tcase, bool memory)
{
    if (!memory)
        tcase_add_test(tcase, private_named_segment_needs_no_flag);
    tcase_add_test(tcase, nobody_waits_and_nobody_is_woken);
    tcase_add_test(tcase, each_change_wakes_where_waiters_may_be_silent);
    tcase_add_test(tcase, an_announcement_is_used_up);
    tcase_add_test(tcase, nothing_but_a_change_uses_it_up);
    tcase_add_test(tcase, who_does_not_sleep_says_nothing);
    tcase_add_test(tcase, heard_waiters_sleep_long);
    tcase_add_test(tcase, change_under_way_is_looked_at_more_often);
    if (is_root())
        tcase_add_loop_test(tcase, unheard_waiters_sleep_a_millisecond, 0, 2);
    tcase_add_test(tcase, no_waiter_is_missed);
    tcase_add_test(tcase, killed_waiters_keep_nobody_asleep);
    tcase_add_test(tcase, killed_writers_keep_nobody_asleep);
    tcase_add_loop_test(tcase, what_a_dead_writer_cleared_is_made_good, 0, 2);
}

int
main(void)
{
    return run_in_memory_and_named("watchers", add_tests);
}
