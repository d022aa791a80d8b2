/*
 * check_wait.c - waiting for a change: which waiters are woken, by what, and when a wait ends
 * without one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "versions.h"

#include <check.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096

/** What a waiter gives a change that must not come meanwhile. */
#define SHORT (100 * MILLISECOND)

static struct msi_os_operations real;

/** Sleeps on, however short the sleep was to be. A waiter that is not woken hangs, where it would
 *  otherwise look again by itself and only be late. */
static void
sleep_until_woken(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)ns;
    real.sleep_on(word, value, 100 * HANG);
}

static void
need_wakes_from_now_on(void)
{
    real = msi_os;
    msi_os.sleep_on = sleep_until_woken;
}

/* --------------------------------------------------- which waiters are woken -- */

/** What waiting processes share with the test. */
struct watch {
    struct stage stage;
    _Atomic uint64_t seen;   /**< the version that is not waited for */
    _Atomic int64_t timeout; /**< how long */
    _Atomic uint64_t versions[READER_KINDS];
};

/** A body: waits once. */
static void
wait_once(struct stage *stage)
{
    struct watch *watch = (struct watch *)(void *)stage;
    mapseg *seg = reader_at(&stage->place, next_kind);
    uint64_t version = 1;
    mapseg_result result;

    atomic_fetch_add(&stage->ready, 1);
    result = mapseg_wait(seg, atomic_load(&watch->seen), &version, atomic_load(&watch->timeout));
    atomic_store(&watch->versions[next_kind], version);
    atomic_fetch_add(&stage->told[result], 1);
    mapseg_free(seg);
}

static struct watch *
new_watch(void)
{
    struct watch *watch = shared_memory(sizeof *watch);

    new_place(&watch->stage.place);
    make_show(&watch->stage, DATA_BYTES, 0);
    return watch;
}

/** Starts processes that wait for another version than `seen`. */
static void
start_waiters(struct watch *watch, uint64_t seen, int64_t timeout, pid_t *waiters)
{
    int before = atomic_load(&watch->stage.ready);

    atomic_store(&watch->seen, seen);
    atomic_store(&watch->timeout, timeout);
    start_all(wait_once, &watch->stage, waiters);
    await(&watch->stage.ready, before + count_kinds());
}

/** The same, and they sleep. */
static void
start_sleepers(struct watch *watch, uint64_t seen, int64_t timeout, pid_t *waiters)
{
    start_waiters(watch, seen, timeout, waiters);
    for (int i = 0; i < count_kinds(); i++)
        need_asleep(waiters[i]);
}

/** The waiters end with this result, and, after OK, with this version. */
static void
need_woken(struct watch *watch, const pid_t *waiters, mapseg_result result, uint64_t version)
{
    finish_all(waiters);
    for (int i = 0; i < 32; i++)
        need_number(i == (int)result ? count_kinds() : 0,
                    atomic_exchange(&watch->stage.told[i], 0));
    for (int i = 0; result == MAPSEG_OK && i < count_kinds(); i++)
        need_number((int64_t)version, (int64_t)atomic_load(&watch->versions[i]));
}

START_TEST(looking_without_waiting)
{
    struct watch *watch = new_watch();
    mapseg *seg = attached(watch->stage.place.key, MAPSEG_READ_WRITE);
    uint64_t version = 77;

    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 0, &version, 0));
    need_number(0, version);
    need_result(MAPSEG_OK, mapseg_wait(seg, 1, &version, 0));
    need_number(0, version);
    need_result(MAPSEG_OK, mapseg_wait(seg, 2, &version, 0));
    need_number(0, version);
    make_change(seg);
    need_result(MAPSEG_OK, mapseg_wait(seg, 0, &version, 0));
    need_number(2, version);
    need_result(MAPSEG_OK, mapseg_wait(seg, 0, NULL, -1));
    need_result(MAPSEG_OK, mapseg_wait(seg, UINT64_MAX, &version, -1));
    need_number(2, version);
    version = 77;
    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 2, &version, SHORT));
    need_number(2, version);
    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 2, NULL, 0));
    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 2, NULL, 1));
    mapseg_free(seg);
    end_show(&watch->stage);
}
END_TEST

/** All that ends a change ends the waits for one. */
START_TEST(every_change_wakes)
{
    struct watch *watch = new_watch();
    mapseg *seg = attached(watch->stage.place.key, MAPSEG_READ_WRITE);
    uint64_t number = 5;
    uint64_t version = 1;
    pid_t waiters[READER_KINDS];

    start_sleepers(watch, 0, -1, waiters);
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need_woken(watch, waiters, MAPSEG_OK, 2);
    start_sleepers(watch, 2, HANG, waiters);
    need_result(MAPSEG_OK, mapseg_write(seg, 0, &number, sizeof number));
    need_woken(watch, waiters, MAPSEG_OK, 4);
    start_sleepers(watch, 4, -1, waiters);
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_woken(watch, waiters, MAPSEG_OK, 6);
    let_writer_die(&watch->stage);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    start_sleepers(watch, 1, HANG, waiters);
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_wait(seg, 1, &version, 0));
    need_woken(watch, waiters, MAPSEG_OK, version);
    mapseg_free(seg);
    end_show(&watch->stage);
}
END_TEST

/** A change that has only begun is none, and neither is a lock. */
START_TEST(nothing_else_ends_a_wait)
{
    struct watch *watch = new_watch();
    mapseg *seg = attached(watch->stage.place.key, MAPSEG_READ_WRITE);
    pid_t waiters[READER_KINDS];

    start_sleepers(watch, 0, HANG, waiters);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    nap(SHORT);
    need_number(0, atomic_load(&watch->stage.told[MAPSEG_OK]));
    need_number(0, atomic_load(&watch->stage.told[MAPSEG_TIMED_OUT]));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need_woken(watch, waiters, MAPSEG_OK, 2);

    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    start_waiters(watch, 1, SHORT, waiters);
    need_woken(watch, waiters, MAPSEG_TIMED_OUT, 0);
    start_waiters(watch, 0, SHORT, waiters);
    need_woken(watch, waiters, MAPSEG_TIMED_OUT, 0);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    mapseg_free(seg);
    end_show(&watch->stage);
}
END_TEST

/** An odd number asks for the version as it is; it waits for the end of a
 *  change, but for no new one. */
START_TEST(odd_number_asks_for_the_version)
{
    struct watch *watch = new_watch();
    mapseg *seg = attached(watch->stage.place.key, MAPSEG_READ_WRITE);
    pid_t waiters[READER_KINDS];

    start_waiters(watch, 1, -1, waiters);
    need_woken(watch, waiters, MAPSEG_OK, 0);
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    start_sleepers(watch, 1, -1, waiters);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need_woken(watch, waiters, MAPSEG_OK, 2);
    mapseg_free(seg);
    end_show(&watch->stage);
}
END_TEST

/** Versions that share their low half are two versions. */
START_TEST(all_64_bits_count)
{
    struct watch *watch = new_watch();
    struct mapseg_header *header = map_header(watch->stage.place.path);
    mapseg *seg = attached(watch->stage.place.key, MAPSEG_READ_WRITE);
    uint64_t version = 77;
    pid_t waiters[READER_KINDS];

    set_version(header, 4);
    start_sleepers(watch, 4, HANG, waiters);
    set_version(header, UINT64_C(0x100000004));
    need_woken(watch, waiters, MAPSEG_OK, UINT64_C(0x100000004));
    need_result(MAPSEG_OK, mapseg_wait(seg, 4, &version, 0));
    need_number(INT64_C(0x100000004), version);
    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, UINT64_C(0x100000004), NULL, 0));
    set_version(header, UINT64_C(0xfffffffe));
    start_sleepers(watch, UINT64_C(0xfffffffe), -1, waiters);
    make_change(seg);
    need_woken(watch, waiters, MAPSEG_OK, UINT64_C(0x100000000));
    mapseg_free(seg);
    end_show(&watch->stage);
}
END_TEST

#define CROWD 50
#define CROWD_ROUNDS 5

/** A body: waits for every change, however many come. */
static void
wait_for_all(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, next_kind);
    uint64_t version = 0;

    need_wakes_from_now_on();
    for (int round = 1; round <= CROWD_ROUNDS; round++) {
        atomic_fetch_add(&stage->ready, 1);
        need_result(MAPSEG_OK, mapseg_wait(seg, version, &version, -1));
        need_number(2 * round, version);
    }
    atomic_fetch_add(&stage->ready, 1);
    mapseg_free(seg);
}

static void
end_by_write_end(mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_write_end(seg));
}

static void
end_by_unlock(mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

/** What has begun is the work of a dead writer. */
static void
end_by_repair(mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

static void
end_by_writing(mapseg *seg)
{
    uint64_t number = 5;

    need_result(MAPSEG_OK, mapseg_write(seg, 0, &number, sizeof number));
}

static void (*const ends[])(mapseg *seg) = {end_by_write_end, end_by_unlock, end_by_repair,
                                            end_by_writing};

#define ENDS ((int)(sizeof ends / sizeof *ends))

/** Brings a change to where one of `ends` follows. */
static void
prepare_end(struct stage *stage, mapseg *seg, int end)
{
    if (ends[end] == end_by_repair) {
        int ready = atomic_load(&stage->ready);

        let_writer_die(stage);
        atomic_store(&stage->ready, ready);
        need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    } else if (ends[end] != end_by_writing) {
        need_result(MAPSEG_OK, mapseg_write_begin(seg));
    }
}

/** The end of a change wakes every process. */
START_TEST(all_are_woken)
{
    struct watch *watch = new_watch();
    struct stage *stage = &watch->stage;
    int64_t best = INT64_MAX;
    pid_t waiters[CROWD];
    mapseg *seg;

    for (int i = 0; i < CROWD; i++) {
        next_kind = (enum reader_kind)(i % count_kinds());
        waiters[i] = start(wait_for_all, stage);
    }
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    for (int round = 1; round <= CROWD_ROUNDS; round++) {
        int64_t begun;

        await(&stage->ready, CROWD * round);
        prepare_end(stage, seg, _i);
        for (int i = 0; i < CROWD; i++)
            need_asleep(waiters[i]);
        begun = now_ns();
        ends[_i](seg);
        await(&stage->ready, CROWD * (round + 1));
        if (now_ns() - begun < best)
            best = now_ns() - begun;
    }
    (void)printf("wait: %d processes were awake within %" PRId64 " us\n", CROWD,
                 best / MICROSECOND);
    for (int i = 0; i < CROWD; i++)
        finish(waiters[i]);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** A writer that dies between the new version and the wake: simulated by a
 *  version that is set by hand. The waiters find it long before their time is
 *  over, if it ever is. */
START_TEST(wake_that_never_came)
{
    struct watch *watch = new_watch();
    struct mapseg_header *header = map_header(watch->stage.place.path);
    const int64_t timeouts[] = {-1, 100 * HANG, INT64_MAX};

    for (uint64_t round = 0; round < 3; round++) {
        pid_t waiters[READER_KINDS];

        start_sleepers(watch, 2 * round, timeouts[round], waiters);
        set_version(header, 2 * round + 2);
        need_woken(watch, waiters, MAPSEG_OK, 2 * round + 2);
    }
    end_show(&watch->stage);
}
END_TEST

/* ------------------------------------------------------------ dead writers -- */

START_TEST(dead_writer_ends_a_wait)
{
    struct watch *watch = new_watch();
    struct mapseg_header *header = map_header(watch->stage.place.path);
    mapseg *seg = attached(watch->stage.place.key, MAPSEG_READ_WRITE);
    int64_t begun;
    pid_t waiters[READER_KINDS];

    let_writer_die(&watch->stage);
    start_waiters(watch, 0, SHORT, waiters);
    need_woken(watch, waiters, MAPSEG_OWNER_DIED, 0);
    need_number(1, version_of(header) % 2);
    begun = now_ns();
    start_sleepers(watch, 0, -1, waiters);
    need_woken(watch, waiters, MAPSEG_OWNER_DIED, 0);
    /* Another process had time to repair it. */
    need(now_ns() - begun > SECOND / 2);
    repair(seg);
    need_number(0, lock_word(header));
    mapseg_free(seg);
    end_show(&watch->stage);
}
END_TEST

/** The writer dies while others have long been waiting. */
START_TEST(writer_dies_during_a_wait)
{
    struct watch *watch = new_watch();
    mapseg *seg = attached(watch->stage.place.key, MAPSEG_READ_WRITE);
    pid_t writer;
    pid_t waiters[READER_KINDS];

    writer = start_writer(&watch->stage);
    start_sleepers(watch, 0, -1, waiters);
    nap(1500 * MILLISECOND);
    need_number(0, atomic_load(&watch->stage.told[MAPSEG_OWNER_DIED]));
    kill_and_reap(writer);
    need_woken(watch, waiters, MAPSEG_OWNER_DIED, 0);
    repair(seg);

    /* Where it is repaired in time, no waiter hears of it. */
    start_sleepers(watch, (uint64_t)need_whole(seg), HANG, waiters);
    let_writer_die(&watch->stage);
    repair(seg);
    need_woken(watch, waiters, MAPSEG_OK, need_whole(seg));
    mapseg_free(seg);
    end_show(&watch->stage);
}
END_TEST

/* ----------------------------------------------------------------- signals -- */

static atomic_int signals;

static void
count_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals, 1);
}

/** Interrupts this process every millisecond, or never again. */
static void
interrupt_often(long microseconds)
{
    const struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = count_signal;
    need(sigaction(SIGALRM, &action, NULL) == 0);
    need(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

/** How many interruptions are enough to tell what they do to a wait. */
#define ENOUGH_SIGNALS 20

/** A body: neither its timeouts nor its results depend on signals. If one began
 *  a wait anew, it would never end. */
static void
wait_under_fire(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, next_kind);
    uint64_t version = 77;

    interrupt_often(1000);
    while (atomic_load(&signals) < ENOUGH_SIGNALS) {
        int64_t begun = now_ns();

        need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 0, &version, 400 * MILLISECOND));
        need_number(0, version);
        need(now_ns() - begun >= 400 * MILLISECOND);
    }
    atomic_fetch_add(&stage->ready, 1);
    need_result(MAPSEG_OK, mapseg_wait(seg, 0, &version, -1));
    need_number(2, version);
    atomic_fetch_add(&stage->ready, 1);
    /* Half of a change: first its writer lives, then it is dead. */
    await(&stage->go, 2);
    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 2, NULL, SHORT));
    need_result(MAPSEG_TIMED_OUT, mapseg_read_for(seg, 0, &version, 8, NULL, SHORT));
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 3);
    need_result(MAPSEG_OWNER_DIED, mapseg_wait(seg, 2, NULL, SHORT));
    need_result(MAPSEG_OWNER_DIED, mapseg_wait(seg, 2, NULL, -1));
    interrupt_often(0);
    mapseg_free(seg);
}

/** A body: as hold_change, but it is never let go. */
static void
hold_for_good(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        (void)pause();
}

START_TEST(signals_neither_end_nor_extend_a_wait)
{
    struct watch *watch = new_watch();
    struct stage *stage = &watch->stage;
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    int kinds = count_kinds();
    pid_t waiters[READER_KINDS];
    pid_t writer;

    start_all(wait_under_fire, stage, waiters);
    await(&stage->ready, kinds);
    nap(20 * MILLISECOND);
    make_change(seg);
    await(&stage->ready, 2 * kinds);
    writer = start(hold_for_good, stage);
    await(&stage->ready, 2 * kinds + 1);
    atomic_store(&stage->go, 2);
    await(&stage->ready, 3 * kinds + 1);
    kill_and_reap(writer);
    atomic_store(&stage->go, 3);
    finish_all(waiters);
    repair(seg);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/* ------------------------------------------------------------------ others -- */

#define LONG_WAIT (700 * MILLISECOND)

/** How often a waiter may look in that time. */
#define FEW_LOOKS 60

static int64_t fake_time;
static int looks;

static int64_t
read_fake_clock(void)
{
    looks++;
    return fake_time;
}

/** Time passes in sleep alone: a waiter that waits in any other way never comes to an end. */
static void
sleep_well(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)word;
    (void)value;
    fake_time += ns;
}

/** What has just ended took that long, and was spent asleep. */
static void
need_slept(int64_t ns)
{
    need(fake_time >= ns && looks <= FEW_LOOKS);
    fake_time = 0;
    looks = 0;
}

/** A body: waits, with and without a change under way, and counts what that
 *  costs. */
static void
wait_at_no_cost(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, next_kind);
    uint64_t version;
    uint64_t word;

    msi_os.monotonic_ns = read_fake_clock;
    msi_os.sleep_on = sleep_well;
    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 0, NULL, LONG_WAIT));
    need_slept(LONG_WAIT);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 2);
    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 0, &version, LONG_WAIT));
    need_slept(LONG_WAIT);
    need_result(MAPSEG_TIMED_OUT, mapseg_read_for(seg, 0, &word, sizeof word, &version, LONG_WAIT));
    need_slept(LONG_WAIT);
    mapseg_free(seg);
}

START_TEST(waiting_burns_nothing)
{
    struct watch *watch = new_watch();
    struct stage *stage = &watch->stage;
    pid_t waiters[READER_KINDS];
    pid_t writer;

    start_all(wait_at_no_cost, stage, waiters);
    await(&stage->ready, count_kinds());
    writer = start(hold_for_good, stage);
    await(&stage->ready, count_kinds() + 1);
    atomic_store(&stage->go, 2);
    finish_all(waiters);
    kill_and_reap(writer);
    end_show(stage);
}
END_TEST

/** The child's copy of a handle waits, and changes, on its own. */
START_TEST(forked_child_waits)
{
    struct watch *watch = new_watch();
    struct stage *stage = &watch->stage;
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t version = 77;
    pid_t child;

    need_result(MAPSEG_TIMED_OUT, mapseg_wait(seg, 0, NULL, 1));
    child = fork();
    if (child == 0) {
        atomic_fetch_add(&stage->ready, 1);
        need_result(MAPSEG_OK, mapseg_wait(seg, 0, &version, -1));
        need_number(2, version);
        need_number(2, need_whole(seg));
        await(&stage->go, 1);
        make_change(seg);
        mapseg_free(seg);
        _exit(0);
    }
    await(&stage->ready, 1);
    need_asleep(child);
    make_change(seg);
    atomic_store(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_wait(seg, 2, &version, HANG));
    need_number(4, version);
    finish(child);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

#define TURNS 2000

/** Answers every change of the other side with one of its own; the first of
 *  them when the version is `first`. */
static void
take_turns(mapseg *seg, uint64_t first)
{
    uint64_t *turns = mapseg_data(seg);

    for (uint64_t turn = first; turn < 4 * TURNS; turn += 4) {
        uint64_t version = 0;

        if (turn > 0)
            need_result(MAPSEG_OK, mapseg_wait(seg, turn - 2, &version, -1));
        need_number((int64_t)turn, (int64_t)version);
        need_result(MAPSEG_OK, mapseg_write_begin(seg));
        (*turns)++;
        need_result(MAPSEG_OK, mapseg_write_end(seg));
    }
}

/** A body: the second of two who take turns. */
static void
take_second_turns(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_wakes_from_now_on();
    take_turns(seg, 2);
    mapseg_free(seg);
}

/** No wake is lost between a look and the sleep after it. */
START_TEST(two_take_turns)
{
    struct watch *watch = new_watch();
    pid_t other = start(take_second_turns, &watch->stage);
    mapseg *seg = attached(watch->stage.place.key, MAPSEG_READ_WRITE);
    uint64_t turns;

    need_wakes_from_now_on();
    take_turns(seg, 0);
    msi_os = real;
    finish(other);
    need_result(MAPSEG_OK, mapseg_read(seg, 0, &turns, sizeof turns, NULL));
    need_number(2 * TURNS, turns);
    mapseg_free(seg);
    end_show(&watch->stage);
}
END_TEST

/* -------------------------------------------------------------------- main -- */

/** All tests, once on files with a name and once on memory files. */
static TCase *
new_case_of(Suite *suite, const char *name, bool memory)
{
    TCase *tcase = new_case(suite, name);

    if (memory)
        tcase_add_checked_fixture(tcase, use_memory_files, NULL);
    return tcase;
}

static void
add_cases(Suite *suite, bool memory)
{
    TCase *tcase = new_case_of(suite, memory ? "woken, in memory" : "woken", memory);

    tcase_add_test(tcase, looking_without_waiting);
    tcase_add_test(tcase, every_change_wakes);
    tcase_add_test(tcase, nothing_else_ends_a_wait);
    tcase_add_test(tcase, odd_number_asks_for_the_version);
    tcase_add_test(tcase, all_64_bits_count);
    tcase_add_loop_test(tcase, all_are_woken, 0, ENDS);
    tcase_add_test(tcase, wake_that_never_came);
    tcase_add_test(tcase, forked_child_waits);
    tcase_add_test(tcase, two_take_turns);
    tcase = new_case_of(suite, memory ? "deaths, in memory" : "deaths", memory);
    tcase_add_test(tcase, dead_writer_ends_a_wait);
    tcase_add_test(tcase, writer_dies_during_a_wait);
    tcase = new_case_of(suite, memory ? "time, in memory" : "time", memory);
    tcase_add_test(tcase, signals_neither_end_nor_extend_a_wait);
    tcase_add_test(tcase, waiting_burns_nothing);
}

int
main(void)
{
    Suite *suite = new_suite("wait");

    add_cases(suite, false);
    add_cases(suite, true);
    return run_suite(suite);
}
