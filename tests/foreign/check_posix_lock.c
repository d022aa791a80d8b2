/*
 * check_posix_lock.c - mapseg and programs with sem_wait exclude each other, whichever of them
 * made the semaphore, and whichever dies.
 *
 * SPDX-License-Identifier: MIT
 */
#include "posix_peers.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BYTES 4096
#define OK MAPSEG_OK

static struct posix_place place;

/** What lies in the segment. */
struct account {
    volatile uint64_t sum; /**< changed under the lock alone, and not atomically */
    atomic_uint inside;    /**< how many are under the lock */
    atomic_uint owner;     /**< which of them */
    atomic_int together;   /**< two were */
};

static void
enter(struct account *account, unsigned own)
{
    if (atomic_fetch_add(&account->inside, 1) != 0)
        atomic_fetch_add(&account->together, 1);
    atomic_store(&account->owner, own);
    account->sum = account->sum + 1;
}

static void
leave(struct account *account)
{
    atomic_store(&account->owner, 0);
    atomic_fetch_sub(&account->inside, 1);
}

static unsigned
increments(void)
{
    return under_valgrind() || under_sanitizer() ? 20000 : 200000;
}

/* -------------------------------------------------------------- exclusion -- */

static void
ours_increment(struct stage *stage)
{
    mapseg *seg = attached(place.key, MAPSEG_READ_WRITE);
    struct account *account = data_of(seg);

    await(&stage->go, 1);
    for (unsigned i = 0; i < increments(); i++) {
        need_call(OK, seg, mapseg_lock(seg));
        enter(account, 1);
        leave(account);
        need_call(OK, seg, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}

static void
theirs_increment(struct stage *stage)
{
    struct theirs theirs = they_attach(&place, BYTES);

    await(&stage->go, 1);
    for (unsigned i = 0; i < increments(); i++) {
        they_wait(theirs.semaphore);
        enter(theirs.data, 2);
        leave(theirs.data);
        they_post(theirs.semaphore);
    }
}

static void
theirs_increment_in_time(struct stage *stage)
{
    struct theirs theirs = they_attach(&place, BYTES);

    await(&stage->go, 1);
    for (unsigned i = 0; i < increments();) {
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 50000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        if (sem_timedwait(theirs.semaphore, &until) != 0) {
            need(errno == ETIMEDOUT || errno == EINTR);
            continue;
        }
        enter(theirs.data, 3);
        leave(theirs.data);
        they_post(theirs.semaphore);
        i++;
    }
}

/** `_i`: which side makes the semaphore; and whether the others give up in between. */
START_TEST(no_increment_is_lost)
{
    struct stage *stage = new_stage();
    struct theirs theirs;
    struct account *account;
    mapseg *seg = NULL;
    pid_t children[3];

    new_posix_place(&place);
    if ((_i & 1) == 0) {
        seg = created(place.key, BYTES);
        theirs = they_attach(&place, BYTES);
    } else {
        theirs = they_create(&place, BYTES);
    }
    account = theirs.data;
    children[0] = start(ours_increment, stage);
    children[1] = start(_i & 2 ? theirs_increment_in_time : theirs_increment, stage);
    children[2] = start(_i & 2 ? theirs_increment : ours_increment, stage);
    atomic_store(&stage->go, 1);
    for (int i = 0; i < 3; i++)
        finish(children[i]);
    ck_assert_uint_eq(account->sum, UINT64_C(3) * increments());
    ck_assert_int_eq(atomic_load(&account->together), 0);
    ck_assert_int_eq(their_value(theirs.semaphore), 1);
    mapseg_free(seg);
    clear_away(&place);
}
END_TEST

struct thread_work {
    mapseg *seg;
    unsigned rounds;
};

static void *
increment_in_thread(void *argument)
{
    struct thread_work *work = argument;

    for (unsigned i = 0; i < work->rounds; i++) {
        need_call(OK, work->seg, mapseg_lock(work->seg));
        enter(data_of(work->seg), 4);
        leave(data_of(work->seg));
        need_call(OK, work->seg, mapseg_unlock(work->seg));
    }
    return NULL;
}

START_TEST(threads_of_a_handle)
{
    struct thread_work work = {.rounds = increments() / 4};
    struct account *account;
    pthread_t threads[3];

    new_posix_place(&place);
    work.seg = created(place.key, BYTES);
    account = data_of(work.seg);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, increment_in_thread, &work), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(account->sum, UINT64_C(3) * work.rounds);
    ck_assert_int_eq(atomic_load(&account->together), 0);
    need_call(OK, work.seg, mapseg_remove(work.seg));
    mapseg_free(work.seg);
}
END_TEST

/* ------------------------------------------------------- owners that die -- */

static void
lock_until_killed(struct stage *stage)
{
    mapseg *seg = attached(place.key, MAPSEG_READ_WRITE);
    struct account *account = data_of(seg);

    (void)stage;
    for (;;) {
        mapseg_result result = mapseg_lock(seg);

        need(mapseg_result_owes_unlock(result));
        if (result == MAPSEG_OWNER_DIED)
            need_call(OK, seg, mapseg_consistent(seg));
        enter(account, (unsigned)getpid());
        for (volatile int i = 0; i < 50; i++)
            ;
        leave(account);
        need_call(OK, seg, mapseg_unlock(seg));
    }
}

/** Of an owner that was within when it was killed the next one is told. */
static void
check_after_death(mapseg *seg)
{
    struct account *account = data_of(seg);
    mapseg_result result = mapseg_lock_for(seg, HANG);

    need_result(atomic_load(&account->inside) != 0 ? MAPSEG_OWNER_DIED : result, result);
    need(mapseg_result_owes_unlock(result));
    atomic_store(&account->owner, 0);
    atomic_store(&account->inside, 0);
    if (result == MAPSEG_OWNER_DIED)
        need_call(OK, seg, mapseg_consistent(seg));
    need_call(OK, seg, mapseg_unlock(seg));
}

START_TEST(killed_at_any_point)
{
    unsigned rounds = under_valgrind() || under_sanitizer() ? 20 : 150;
    uint64_t state = 1 + (uint64_t)_i;
    struct stage *stage = new_stage();
    mapseg *seg;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    for (unsigned round = 0; round < rounds; round++) {
        struct account *account = data_of(seg);
        uint64_t before = account->sum;
        pid_t child = start(lock_until_killed, stage);
        int64_t deadline = hang_deadline();

        while (account->sum < before + 2 && now_ns() < deadline)
            give_way();
        ck_assert(account->sum >= before + 2);
        state = state * UINT64_C(6364136223846793005) + 1;
        nap((int64_t)(state >> 48));
        kill_and_reap(child);
        check_after_death(seg);
    }
    ck_assert_int_eq(atomic_load(&((struct account *)data_of(seg))->together), 0);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static void
die_with_ours(struct stage *stage)
{
    mapseg *seg = attached(place.key, MAPSEG_READ_WRITE);

    need_call(OK, seg, mapseg_lock(seg));
    atomic_store(&stage->ready, 1);
    await(&stage->go, 1);
}

static void
die_with_theirs(struct stage *stage)
{
    struct theirs theirs = they_attach(&place, BYTES);

    they_wait(theirs.semaphore);
    atomic_store(&stage->ready, 1);
    await(&stage->go, 1);
}

/** Starts an owner, and kills it. */
static void
leave_dead_owner(struct stage *stage, void (*body)(struct stage *stage))
{
    pid_t child;

    atomic_store(&stage->ready, 0);
    child = start(body, stage);
    await(&stage->ready, 1);
    kill_and_reap(child);
}

/** One of them that waits for as long as it takes. */
static void
wait_as_they_do(struct stage *stage)
{
    struct theirs theirs = they_attach(&place, BYTES);

    atomic_store(&stage->ready, 2);
    they_wait(theirs.semaphore);
    they_post(theirs.semaphore);
    (void)stage;
}

static pid_t
start_waiter_of_theirs(struct stage *stage)
{
    pid_t waiter = start(wait_as_they_do, stage);

    await(&stage->ready, 2);
    need_asleep(waiter);
    return waiter;
}

START_TEST(dead_owner_of_ours)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t waiter;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    leave_dead_owner(stage, die_with_ours);
    ck_assert_int_eq(lock_state_of(place.key), MAPSEG_LOCK_STATE_OWNER_DIED);
    waiter = start_waiter_of_theirs(stage);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    ck_assert(strstr(mapseg_error_string(seg), "mapseg_consistent") != NULL);
    /* It was not declared good, so the next one is told again. */
    need_call(OK, seg, mapseg_unlock(seg));
    finish(waiter);
    ck_assert_int_eq(lock_state_of(place.key), MAPSEG_LOCK_STATE_INCONSISTENT);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_try_lock(seg));
    need_call(OK, seg, mapseg_consistent(seg));
    need_call(OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_consistent(seg));
    need_call(OK, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_unlock(seg));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(dead_owner_of_ours_repaired)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t waiter;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_repair(seg, true));
    need_call(OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_IN_USE, seg, mapseg_repair(seg, true));
    need_call(OK, seg, mapseg_unlock(seg));
    leave_dead_owner(stage, die_with_ours);
    waiter = start_waiter_of_theirs(stage);
    need_call(OK, seg, mapseg_repair(seg, false));
    finish(waiter);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
    clear_away(&place);
}
END_TEST

START_TEST(dead_owner_of_theirs)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t waiter;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    leave_dead_owner(stage, die_with_theirs);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, 10 * MILLISECOND));
    ck_assert(strstr(mapseg_error_string(seg), "mapseg_repair") != NULL);
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    waiter = start_waiter_of_theirs(stage);
    need_call(MAPSEG_IN_USE, seg, mapseg_repair(seg, false));
    ck_assert(strstr(mapseg_error_string(seg), "force") != NULL);
    need_call(OK, seg, mapseg_repair(seg, true));
    finish(waiter);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_consistent(seg));
    need_call(OK, seg, mapseg_unlock(seg));
    need_call(OK, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_unlock(seg));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static void
wait_as_we_do(struct stage *stage)
{
    mapseg *seg = attached(place.key, MAPSEG_READ_WRITE);

    atomic_store(&stage->ready, 2);
    need_call(OK, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
}

/** Waiters that are killed while they sleep keep no others from being woken. */
START_TEST(killed_waiters)
{
    struct stage *stage = new_stage();
    struct theirs theirs;
    pid_t waiters[4];
    mapseg *seg;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    theirs = they_attach(&place, BYTES);
    they_wait(theirs.semaphore);
    for (int i = 0; i < 4; i++) {
        atomic_store(&stage->ready, 0);
        waiters[i] = start(i % 2 == 0 ? wait_as_we_do : wait_as_they_do, stage);
        await(&stage->ready, 2);
        need_asleep(waiters[i]);
    }
    kill_and_reap(waiters[0]);
    kill_and_reap(waiters[1]);
    they_post(theirs.semaphore);
    finish(waiters[2]);
    finish(waiters[3]);
    ck_assert_int_eq(their_value(theirs.semaphore), 1);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- fork -- */

static int
be_a_child(void *handle)
{
    mapseg *seg = handle;

    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, 5 * MILLISECOND));
    return 0;
}

static int
die_as_a_child(void *handle)
{
    mapseg *seg = handle;

    need_call(OK, seg, mapseg_lock(seg));
    raise(SIGKILL);
    return 1;
}

START_TEST(children_are_attachments_of_their_own)
{
    mapseg *seg;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    need_call(OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(in_child(be_a_child, seg), 0);
    need_call(OK, seg, mapseg_unlock(seg));
    ck_assert_int_eq(in_child(die_as_a_child, seg), 128 + SIGKILL);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
    clear_away(&place);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("posix_lock");
    TCase *group;

    if (skip_unless(has_known_semaphores(), "this C library's semaphores are not known")) {
        group = new_case(suite, "exclusion");
        tcase_add_loop_test(group, no_increment_is_lost, 0, 4);
        tcase_add_test(group, threads_of_a_handle);

        group = new_case(suite, "death");
        tcase_add_loop_test(group, killed_at_any_point, 0, 2);
        tcase_add_test(group, dead_owner_of_ours);
        tcase_add_test(group, dead_owner_of_ours_repaired);
        tcase_add_test(group, dead_owner_of_theirs);
        tcase_add_test(group, killed_waiters);

        group = new_case(suite, "fork");
        tcase_add_test(group, children_are_attachments_of_their_own);
    }
    return run_suite(suite);
}
