/*
 * check_clock.c - a clock that stands still, or is refused: deadlines come all the same, and dead
 * owners are replaced. The program has a clock of its own, as tools that show programs another
 * time give them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "locking.h"
#include "os/os.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define DATA_BYTES 5000

/* ------------------------------------------------------------- the clock -- */

enum fault { GOES, STANDS, IS_REFUSED };

static enum fault fault;
static struct timespec moment;

/** In place of the C library's. */
int
clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    if (fault == IS_REFUSED) {
        errno = EPERM;
        return -1;
    }
    if (fault == STANDS) {
        *tp = moment;
        return 0;
    }
    return (int)syscall(SYS_clock_gettime, clock_id, tp);
}

static void
spoil_clock(int how)
{
    (void)clock_gettime(CLOCK_MONOTONIC, &moment);
    fault = how == 0 ? STANDS : IS_REFUSED;
}

/** The stop is seen by the library. */
static bool
is_the_clock(void)
{
    int64_t before;
    bool stands;

    spoil_clock(0);
    before = msi_os.monotonic_ns();
    (void)usleep(2000);
    stands = msi_os.monotonic_ns() == before;
    fault = GOES;
    return stands;
}

/* --------------------------------------------------------------- the lock -- */

static void
wait_for_the_living(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    spoil_clock(stage->number);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, 20 * MILLISECOND));
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, 200 * MILLISECOND));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    mapseg_free(seg);
}

START_TEST(deadlines_of_the_lock_come)
{
    struct stage *stage = new_stage();
    pid_t holder;

    stage->number = _i % 2;
    leave_persistent(stage->place.key, DATA_BYTES, _i < 2 ? 0 : (uint32_t)MAPSEG_FAIR);
    holder = start_holder(stage);
    finish(start(wait_for_the_living, stage));
    kill_and_reap(holder);
    remove_persistent(stage->place.key);
}
END_TEST

static void
wait_for_the_dead(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    spoil_clock(stage->number);
    atomic_store(&stage->wrong, 1);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
}

START_TEST(dead_owners_are_replaced)
{
    struct stage *stage = new_stage();
    pid_t holder, waiter;

    stage->number = _i % 2;
    leave_persistent(stage->place.key, DATA_BYTES, _i < 2 ? 0 : (uint32_t)MAPSEG_FAIR);
    holder = start_holder(stage);
    waiter = start(wait_for_the_dead, stage);
    await(&stage->wrong, 1);
    /* It has slept for a while, and does so again. */
    need_asleep(waiter);
    kill_and_reap(holder);
    finish(waiter);
    remove_persistent(stage->place.key);
}
END_TEST

/* ------------------------------------------------------------- the others -- */

static void
wait_for_changes(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_ONLY);
    uint64_t version;
    char byte;

    spoil_clock(stage->number);
    need_call(MAPSEG_OK, seg, mapseg_wait(seg, MAPSEG_ANY_VERSION, &version, 0));
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, version, NULL, 100 * MILLISECOND));
    atomic_store(&stage->ready, 2);
    while (atomic_load(&stage->go) == 0)
        (void)usleep(1000);
    /* The writer has died within a change. */
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_wait(seg, version, NULL, -1));
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_read(seg, 0, &byte, 1, NULL));
    mapseg_free(seg);
}

static void
die_within_a_change(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_call(MAPSEG_OK, seg, mapseg_write_begin(seg));
    _exit(0);
}

START_TEST(readers_and_waiters_end)
{
    struct stage *stage = new_stage();
    pid_t waiter;

    stage->number = _i;
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    waiter = start(wait_for_changes, stage);
    await(&stage->ready, 2);
    finish(start(die_within_a_change, stage));
    atomic_store(&stage->go, 1);
    finish(waiter);
    remove_persistent(stage->place.key);
}
END_TEST

/** A remover that stopped half way has all of presence. */
static void
hold_all(struct stage *stage)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(stage->place.path, O_RDWR | O_CLOEXEC);

    lock.l_start = (off_t)MAPSEG_PRESENCE_BASE;
    lock.l_len = MAPSEG_NAME_BYTE + 1;
    need(fd != -1 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
    atomic_store(&stage->ready, 1);
    (void)pause();
}

static void
attach_beside_a_remover(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    spoil_clock(stage->number);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    mapseg_free(seg);
}

START_TEST(patience_with_a_remover_ends)
{
    struct stage *stage = new_stage();
    pid_t remover;

    stage->number = _i;
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    remover = start(hold_all, stage);
    await(&stage->ready, 1);
    finish(start(attach_beside_a_remover, stage));
    kill_and_reap(remover);
    remove_persistent(stage->place.key);
}
END_TEST

static void
receive_half_a_message(struct stage *stage)
{
    mapseg *seg = mapseg_new();
    int ends[2];

    need_number(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    need_number(3, write(ends[0], MAPSEG_MESSAGE_MAGIC, 3));
    spoil_clock(stage->number);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_receive(seg, ends[1], MAPSEG_READ_ONLY));
    mapseg_free(seg);
}

START_TEST(half_a_message_ends)
{
    struct stage *stage = new_stage();

    stage->number = _i;
    finish(start(receive_half_a_message, stage));
}
END_TEST

/* ---------------------------------------------------------- a clock that goes -- */

/** Sleeps move only a clock that stands. */
START_TEST(a_clock_that_goes_is_left_alone)
{
    /* In this order: each of the two moments of one clock lies within those of the other. */
    int64_t begin = now_ns(), before = msi_os.monotonic_ns(), end;

    for (int i = 0; i < 20; i++) {
        static const uint32_t word = 1;

        msi_os.nap(MILLISECOND);
        msi_os.sleep_on(&word, 1, MILLISECOND);
        msi_os.sleep_on(&word, 0, SECOND);
    }
    end = msi_os.monotonic_ns();
    ck_assert_int_ge(end - before, 40 * MILLISECOND);
    ck_assert_int_le(end - before, now_ns() - begin);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("clock");
    TCase *group = new_case(suite, "clock");

    if (!skip_unless(is_the_clock(), "the program cannot have a clock of its own"))
        return run_suite(suite);
    tcase_add_loop_test(group, deadlines_of_the_lock_come, 0, 4);
    tcase_add_loop_test(group, dead_owners_are_replaced, 0, 4);
    tcase_add_loop_test(group, readers_and_waiters_end, 0, 2);
    tcase_add_loop_test(group, patience_with_a_remover_ends, 0, 2);
    tcase_add_loop_test(group, half_a_message_ends, 0, 2);
    tcase_add_test(group, a_clock_that_goes_is_left_alone);
    return run_suite(suite);
}
