/*
 * check_order.c - who gets the lock next: a waiter that has waited long is not passed any
 * more, and one that dies while it waits is in the way of no other.
 *
 * Where the order itself is looked at, time passes in sleep alone, and the tests decide when
 * a sleeper wakes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "record.h"
#include "support.h"
#include "sync/spin.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096

static struct msi_os_operations real;
static struct mapseg_header *header;
static struct place place;
static mapseg *owner; /**< has the lock, and takes it again and again */
static mapseg *waiter;

static int64_t fake_time;
static bool sleepers_are_there;
static int wakes;

static int64_t
read_fake_clock(void)
{
    return fake_time;
}

static bool
count_wake(const uint32_t *word)
{
    (void)word;
    wakes++;
    return sleepers_are_there;
}

static void
set_up_with(uint32_t flags)
{
    real = msi_os;
    new_place(&place);
    owner = created_as(place.key, DATA_BYTES, flags);
    waiter = attached(place.key, MAPSEG_READ_WRITE);
    header = map_header(place.path);
    fake_time = SECOND;
    sleepers_are_there = true;
    msi_os.monotonic_ns = read_fake_clock;
    msi_os.wake_one = count_wake;
}

static void
set_up(void)
{
    set_up_with(0);
}

static void
set_up_fair(void)
{
    set_up_with(MAPSEG_FAIR);
}

static void
tear_down(void)
{
    msi_os = real;
    mapseg_free(waiter);
    mapseg_free(owner);
    need(!exists(place.path));
}

/** Another waiter of long standing, that is not there. */
#define STRANGER (MAPSEG_LAST_SLOT - 1)

static uint32_t
suffering(void)
{
    return __atomic_load_n(&header->suffering, __ATOMIC_SEQ_CST);
}

static void
set_suffering(uint32_t value)
{
    __atomic_store_n(&header->suffering, value, __ATOMIC_SEQ_CST);
}

static int64_t slept;

static void
sleep_well(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)word;
    (void)value;
    slept += ns;
    fake_time += ns;
}

/* ------------------------------------------------------------- suffering -- */

static int64_t patience;

/** The owner lets go once the waiter has said that it suffers. */
static void
sleep_until_suffering(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)word;
    need_number(lock_word(header), value);
    need((suffering() != 0) == (fake_time - SECOND >= patience));
    if (suffering() != 0) {
        need_result(MAPSEG_OK, mapseg_unlock(owner));
        need_number(MAPSEG_LOCK_SLEEPERS, lock_word(header));
        need_number(1, wakes);
        return;
    }
    fake_time += ns;
}

static void
wait_until_suffering(int64_t ns)
{
    patience = ns;
    msi_os.sleep_on = sleep_until_suffering;
    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_OK, mapseg_lock(waiter));
    need(fake_time - SECOND >= patience);
    need_number(0, suffering());
    /* Others may still sleep, as far as it knows. */
    need((lock_word(header) & MAPSEG_LOCK_SLEEPERS) != 0);
    sleepers_are_there = false;
    need_result(MAPSEG_OK, mapseg_unlock(waiter));
    need_number(0, lock_word(header));
    need_number(0, suffering());
}

START_TEST(one_that_waits_long_says_so)
{
    wait_until_suffering(3 * MILLISECOND);
}
END_TEST

START_TEST(one_that_waits_long_for_a_fair_lock_says_so_sooner)
{
    wait_until_suffering(MILLISECOND);
}
END_TEST

START_TEST(what_it_took_is_counted)
{
    wait_until_suffering(3 * MILLISECOND);
    need_number(1, header->contended);
    need_number(1, header->slept);
    need_number(fake_time - SECOND, header->longest_wait);
    /* A lock that is free counts nothing. */
    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need_number(1, header->contended);
}
END_TEST

START_TEST(counters_carry_into_their_high_halves)
{
    header->contended = UINT32_MAX;
    header->slept = UINT32_MAX;
    wait_until_suffering(3 * MILLISECOND);
    need_number(INT64_C(1) << 32, header->contended);
    need_number(INT64_C(1) << 32, header->slept);
}
END_TEST

static uint32_t passes_before;

/** The word is left to a sleeper, though another suffers. */
static void
sleep_beside_a_sufferer(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)word;
    (void)value;
    fake_time += ns;
    set_suffering(STRANGER + passes_before * MAPSEG_PASS);
    need_result(MAPSEG_OK, mapseg_unlock(owner));
}

START_TEST(order_lasts_until_the_one_that_suffers_has_the_lock)
{
    msi_os.sleep_on = sleep_beside_a_sufferer;
    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_OK, mapseg_lock(waiter));
    need_number(STRANGER + MAPSEG_PASS, suffering());
    need_result(MAPSEG_OK, mapseg_unlock(waiter));
}
END_TEST

START_TEST(order_ends_where_the_one_that_suffers_does_not_come)
{
    passes_before = 255;
    msi_os.sleep_on = sleep_beside_a_sufferer;
    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_OK, mapseg_lock(waiter));
    need_number(0, suffering());
    need_result(MAPSEG_OK, mapseg_unlock(waiter));
}
END_TEST

START_TEST(one_that_gives_up_suffers_no_more)
{
    msi_os.sleep_on = sleep_well;
    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(waiter, 20 * MILLISECOND));
    need_number(0, suffering());
    set_suffering(STRANGER);
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(waiter, 20 * MILLISECOND));
    need_number(STRANGER, suffering());
    need_result(MAPSEG_OK, mapseg_unlock(owner));
}
END_TEST

/* ------------------------------------------------------- the word kept back -- */

/** A newcomer in a thread of its own. */
struct newcomer {
    atomic_int asleep;
    atomic_int may_wake;
    atomic_int got_it;
};

static struct newcomer newcomer;

static _Thread_local bool is_newcomer;

static void *
come_anew(void *argument)
{
    (void)argument;
    is_newcomer = true;
    need_result(MAPSEG_OK, mapseg_lock(owner));
    atomic_store(&newcomer.got_it, 1);
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    return NULL;
}

static pthread_t newcomer_thread;

/** The waiter sleeps: the owner lets go, and comes again at once, as a newcomer. It must
 *  find no way past the waiter, however late that one wakes. */
static void
sleep_while_newcomer_comes(const uint32_t *word, uint32_t value, int64_t ns)
{
    (void)word;
    if (is_newcomer) {
        /* On a word that is free it sleeps no longer than this. */
        if ((value & MAPSEG_LOCK_OWNER) == 0)
            need(ns <= MILLISECOND);
        atomic_store(&newcomer.asleep, 1);
        await(&newcomer.may_wake, 1);
        return;
    }
    if (atomic_load(&newcomer.asleep) != 0)
        return;
    set_suffering(STRANGER);
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need(pthread_create(&newcomer_thread, NULL, come_anew, NULL) == 0);
    await(&newcomer.asleep, 1);
    need_number(MAPSEG_LOCK_SLEEPERS, lock_word(header));
}

static void
newcomer_stays_out(void)
{
    msi_os.sleep_on = sleep_while_newcomer_comes;
    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_OK, mapseg_lock(waiter));
    need_number(0, atomic_load(&newcomer.got_it));
    need_result(MAPSEG_OK, mapseg_unlock(waiter));
    atomic_store(&newcomer.may_wake, 1);
    need(pthread_join(newcomer_thread, NULL) == 0);
    need_number(1, atomic_load(&newcomer.got_it));
}

START_TEST(newcomer_leaves_the_word_to_one_that_suffers)
{
    newcomer_stays_out();
}
END_TEST

/** Puts the word as a releaser leaves it behind whose sleeper has died since. */
static void
leave_to_the_dead(void)
{
    set_suffering(STRANGER);
    set_lock_word(header, MAPSEG_LOCK_SLEEPERS);
}

START_TEST(one_that_died_delays_and_refuses_none)
{
    sleepers_are_there = false;
    msi_os.sleep_on = sleep_well;
    leave_to_the_dead();
    need_result(MAPSEG_OK, mapseg_try_lock(owner));
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need_number(0, lock_word(header));
    need_number(0, suffering());

    leave_to_the_dead();
    need_result(MAPSEG_OK, mapseg_lock_for(owner, 0));
    need_result(MAPSEG_OK, mapseg_unlock(owner));

    leave_to_the_dead();
    need_result(MAPSEG_OK, mapseg_lock_for(owner, 100 * MICROSECOND));
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need_number(100 * MICROSECOND, slept);

    leave_to_the_dead();
    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need(slept <= 100 * MICROSECOND + MILLISECOND);
    need_number(0, lock_word(header));
    need_number(0, suffering());
}
END_TEST

START_TEST(bit_that_no_sleeper_needs_is_cleared)
{
    sleepers_are_there = false;
    need_result(MAPSEG_OK, mapseg_lock(owner));
    set_lock_word(header, lock_word(header) | MAPSEG_LOCK_SLEEPERS);
    set_suffering(STRANGER);
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    /* The second for one that has gone to sleep meanwhile. */
    need_number(2, wakes);
    need_number(0, lock_word(header));
    need_number(0, suffering());
}
END_TEST

START_TEST(word_is_free_for_all_while_no_waiter_suffers)
{
    need_result(MAPSEG_OK, mapseg_lock(owner));
    set_lock_word(header, lock_word(header) | MAPSEG_LOCK_SLEEPERS);
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need_number(1, wakes);
    need_number(0, lock_word(header));
}
END_TEST

/* ---------------------------------------------------------- the fair lock -- */

START_TEST(newcomer_leaves_a_fair_lock_to_all_that_wait)
{
    newcomer_stays_out();
}
END_TEST

/** So many are a few. */
#define FAIR_PASSES UINT32_C(8)

START_TEST(passes_of_a_fair_lock_are_counted)
{
    for (uint32_t passes = 1; passes <= 2 * FAIR_PASSES; passes++) {
        set_lock_word(header, MAPSEG_LOCK_SLEEPERS);
        need_result(MAPSEG_OK, mapseg_try_lock(owner));
        need_number((passes < FAIR_PASSES ? passes : FAIR_PASSES) * MAPSEG_PASS, suffering());
        need_result(MAPSEG_OK, mapseg_unlock(owner));
        need_number(MAPSEG_LOCK_SLEEPERS, lock_word(header));
    }
    need_number(2 * FAIR_PASSES, wakes);
    set_lock_word(header, 0);
}
END_TEST

/* ------------------------------------------------------------ how long a spin is -- */

static int64_t pause_ns;

static int64_t
read_clock_of_slow_pauses(void)
{
    return fake_time += 32 * pause_ns;
}

static const struct calibration {
    int64_t pause_ns;
    uint32_t pauses; /**< in 18 microseconds */
} calibrations[] = {
    {3, 6000},
    {12, 1500},
    {60, 300},
    /* The clock stands still, goes back, or leaps. */
    {0, 18000},
    {-1000, 18000},
    {SECOND, 90},
};

START_TEST(spins_are_measured_in_time)
{
    pause_ns = calibrations[_i].pause_ns;
    msi_os.monotonic_ns = read_clock_of_slow_pauses;
    need_number(calibrations[_i].pauses, msi_spin_pauses(18000));
    /* Measured once: the clock may be another by now. */
    pause_ns = 7;
    need_number(calibrations[_i].pauses, msi_spin_pauses(18000));
    need_number(1, msi_spin_pauses(0));
}
END_TEST

/* -------------------------------------------------------------- processes -- */

static const uint32_t kinds[] = {0, MAPSEG_FAIR};

/** Takes the lock again at once, each time for longer than a waiter spins. */
static void
relock(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct record *record = data_of(seg);

    while (atomic_load(&stage->go) == 0) {
        mapseg_result result = mapseg_lock(seg);
        int64_t begin = now_ns();

        need(mapseg_result_owes_unlock(result));
        if (result == MAPSEG_OWNER_DIED) {
            record_init(record);
            need_result(MAPSEG_OK, mapseg_consistent(seg));
        }
        need(record_add(record));
        while (now_ns() - begin < 50 * MICROSECOND)
            ;
        atomic_fetch_add(&stage->ready, 1);
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}

/** Waits for the lock again and again, until it is killed. */
static void
want(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    for (;;) {
        need(mapseg_result_owes_unlock(mapseg_lock(seg)));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        atomic_fetch_add(&stage->told[0], 1);
    }
}

/** The relockers go on: so many more times they had the lock. */
static void
await_progress(struct stage *stage, int more)
{
    int before = atomic_load(&stage->ready);
    int64_t deadline = hang_deadline();

    while (atomic_load(&stage->ready) - before < more) {
        need(now_ns() < deadline);
        nap(100 * MICROSECOND);
    }
}

/** Stops the process; unless it was stopped as the owner, the relockers go on. */
static void
stop_while_it_waits(struct stage *stage, pid_t pid)
{
    const struct mapseg_header *own_header = map_header(stage->place.path);
    int status;

    need(kill(pid, SIGSTOP) == 0);
    need(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    if ((lock_word(own_header) & MAPSEG_LOCK_OWNER) != slot_in_maps(pid, stage->place.path))
        await_progress(stage, 20);
}

START_TEST(killed_and_stopped_waiters_are_in_no_ones_way)
{
    struct stage *stage = new_stage();
    mapseg *seg = created_as(stage->place.key, DATA_BYTES, kinds[_i]);
    pid_t relockers[2];

    record_init(data_of(seg));
    for (int i = 0; i < 2; i++)
        relockers[i] = start(relock, stage);
    for (int round = 0; round < 40; round++) {
        pid_t pid = start(want, stage);

        nap((round % 10) * 500 * MICROSECOND);
        if (round % 4 == 0)
            stop_while_it_waits(stage, pid);
        kill_and_reap(pid);
        await_progress(stage, 5);
    }
    atomic_store(&stage->go, 1);
    for (int i = 0; i < 2; i++)
        finish(relockers[i]);
    mapseg_free(seg);
}
END_TEST

START_TEST(waiter_beside_relockers_gets_the_lock)
{
    struct stage *stage = new_stage();
    mapseg *seg = created_as(stage->place.key, DATA_BYTES, kinds[_i]);
    int64_t deadline = hang_deadline();
    pid_t relockers[2];
    pid_t pid;

    record_init(data_of(seg));
    for (int i = 0; i < 2; i++)
        relockers[i] = start(relock, stage);
    pid = start(want, stage);
    while (atomic_load(&stage->told[0]) < 50) {
        need(now_ns() < deadline);
        nap(MILLISECOND);
    }
    kill_and_reap(pid);
    atomic_store(&stage->go, 1);
    for (int i = 0; i < 2; i++)
        finish(relockers[i]);
    mapseg_free(seg);
}
END_TEST

static TCase *
fixture_case(Suite *suite, const char *name, void (*begin)(void))
{
    TCase *tcase = new_case(suite, name);

    tcase_add_checked_fixture(tcase, begin, tear_down);
    return tcase;
}

int
main(void)
{
    Suite *suite = new_suite("order");
    TCase *plain = fixture_case(suite, "plain", set_up);
    TCase *fair = fixture_case(suite, "fair", set_up_fair);
    TCase *processes = new_case(suite, "processes");

    tcase_add_test(plain, one_that_waits_long_says_so);
    tcase_add_test(plain, order_lasts_until_the_one_that_suffers_has_the_lock);
    tcase_add_test(plain, order_ends_where_the_one_that_suffers_does_not_come);
    tcase_add_test(plain, one_that_gives_up_suffers_no_more);
    tcase_add_test(plain, what_it_took_is_counted);
    tcase_add_test(plain, counters_carry_into_their_high_halves);
    tcase_add_test(plain, newcomer_leaves_the_word_to_one_that_suffers);
    tcase_add_test(plain, one_that_died_delays_and_refuses_none);
    tcase_add_test(plain, bit_that_no_sleeper_needs_is_cleared);
    tcase_add_test(plain, word_is_free_for_all_while_no_waiter_suffers);
    tcase_add_loop_test(plain, spins_are_measured_in_time, 0,
                        (int)(sizeof calibrations / sizeof calibrations[0]));
    tcase_add_test(fair, one_that_waits_long_for_a_fair_lock_says_so_sooner);
    tcase_add_test(fair, newcomer_leaves_a_fair_lock_to_all_that_wait);
    tcase_add_test(fair, passes_of_a_fair_lock_are_counted);
    tcase_add_loop_test(processes, killed_and_stopped_waiters_are_in_no_ones_way, 0, 2);
    tcase_add_loop_test(processes, waiter_beside_relockers_gets_the_lock, 0, 2);
    return run_suite(suite);
}
