/*
 * check_stopped.c - peers that are stopped in the middle of anything: the others go on, or are
 * told in time that they cannot.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hostile.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void
attach_again_and_again(mapseg *seg)
{
    if (mapseg_attach(seg, MAPSEG_READ_WRITE) == MAPSEG_NOT_FOUND)
        ignored(mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    (void)mapseg_detach(seg);
}

static void
create_again_and_again(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_RECLAIM;
    ignored(mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    (void)mapseg_detach(seg);
}

static void
lock_again_and_again(mapseg *seg)
{
    ignored(mapseg_create_or_attach(seg, DATA_BYTES, MAPSEG_READ_WRITE, NULL));
    for (int i = 0; i < 100; i++)
        if (mapseg_result_owes_unlock(mapseg_lock_for(seg, MILLISECOND))) {
            (void)mapseg_consistent(seg);
            (void)mapseg_unlock(seg);
        }
}

static void
write_again_and_again(mapseg *seg)
{
    ignored(mapseg_create_or_attach(seg, DATA_BYTES, MAPSEG_READ_WRITE, NULL));
    for (int i = 0; i < 100; i++)
        if (mapseg_result_owes_unlock(mapseg_lock_for(seg, MILLISECOND))) {
            if (mapseg_result_owes_unlock(mapseg_write_begin(seg)))
                memset(mapseg_data(seg), i, mapseg_size(seg));
            (void)mapseg_consistent(seg);
            (void)mapseg_write_end(seg);
        }
}

static void
remove_again_and_again(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_PERSISTENT;
    ignored(mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    ignored(mapseg_remove(seg));
    (void)mapseg_detach(seg);
}

static void
reclaim_again_and_again(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_PERSISTENT;
    ignored(mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    (void)mapseg_detach(seg);
    ignored(mapseg_reclaim(seg));
}

static void (*const habits[])(mapseg *seg) = {
    attach_again_and_again, create_again_and_again, lock_again_and_again,
    write_again_and_again,  remove_again_and_again, reclaim_again_and_again,
};

#define HABITS ((int)(sizeof habits / sizeof *habits))

static void
follow_habit(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    atomic_store(&stage->ready, 1);
    for (;;)
        habits[stage->number](seg);
}

static void
stop(pid_t pid)
{
    int status;

    need(kill(pid, SIGSTOP) == 0);
    need(waitpid(pid, &status, WUNTRACED) == pid);
    need(WIFSTOPPED(status));
}

/** Everything that one can do beside a stopped process. */
static void
do_everything(mapseg *seg, bool removes)
{
    uint64_t version;
    char byte;

    if (explained(seg, attach_for(seg, MAPSEG_READ_WRITE, 50 * MILLISECOND)) == MAPSEG_OK) {
        mapseg_result result =
            in_time_result(10 * MILLISECOND, mapseg_lock_for(seg, 10 * MILLISECOND));

        if (mapseg_result_owes_unlock(explained(seg, result))) {
            (void)in_time(0, mapseg_write_begin(seg));
            (void)in_time(0, mapseg_consistent(seg));
            need_result(MAPSEG_OK, in_time_result(0, mapseg_write_end(seg)));
        } else {
            need_result(MAPSEG_TIMED_OUT, result);
        }
        (void)explained(
            seg, in_time_result(10 * MILLISECOND,
                                mapseg_read_for(seg, 0, &byte, 1, &version, 10 * MILLISECOND)));
        (void)explained(
            seg, in_time_result(10 * MILLISECOND,
                                mapseg_wait(seg, MAPSEG_ANY_VERSION, &version, 10 * MILLISECOND)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    }
    inspect(seg);
    (void)explained(seg, in_time_result(PATIENCE, mapseg_create(seg, 10, MAPSEG_READ_WRITE)));
    (void)in_time(0, mapseg_detach(seg));
    (void)explained(seg, in_time_result(PATIENCE, mapseg_reclaim(seg)));
    if (removes)
        (void)explained(seg, in_time_result(PATIENCE, mapseg_remove(seg)));
}

START_TEST(stopped_at_any_moment)
{
    struct stage *stage = new_stage();
    uint32_t random = (uint32_t)_i * 31 + 7;
    mapseg *seg;
    pid_t pid;

    use_tiny_shm("size=4m");
    stage->number = _i;
    pid = start(follow_habit, stage);
    await(&stage->ready, 1);
    seg = handle_for(stage->place.key);
    watch_hangs();
    for (int i = 0; i < 12; i++) {
        nap(next_random(&random) % 3000 * MICROSECOND);
        stop(pid);
        do_everything(seg, i % 4 == 3);
        need(kill(pid, SIGCONT) == 0);
    }
    stop(pid);
    kill_and_reap(pid);
    (void)explained(seg, replace(seg));
    need(mapseg_is_attached(seg));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_lock_for(seg, HANG)));
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

static void
write_and_stop(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    atomic_store(&stage->ready, 1);
    (void)raise(SIGSTOP);
    for (;;)
        pause();
}

/** A writer that does not go on, and then is no more. */
START_TEST(writer_is_stopped)
{
    struct stage *stage = new_stage();
    uint64_t version = 7;
    int status;
    mapseg *seg;
    char byte;
    pid_t pid;

    leave_persistent(stage->place.key, 100, 0);
    pid = start(write_and_stop, stage);
    need(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    watch_hangs();
    need_result(MAPSEG_TIMED_OUT,
                in_time_result(30 * MILLISECOND, mapseg_lock_for(seg, 30 * MILLISECOND)));
    need_result(MAPSEG_TIMED_OUT,
                in_time_result(30 * MILLISECOND,
                               mapseg_read_for(seg, 0, &byte, 1, &version, 30 * MILLISECOND)));
    need_result(MAPSEG_TIMED_OUT,
                in_time_result(PATIENCE, mapseg_read(seg, 0, &byte, 1, &version)));
    need_result(MAPSEG_TIMED_OUT, in_time_result(PATIENCE, mapseg_read_begin(seg, &version)));
    need_number(7, version);
    need_result(MAPSEG_TIMED_OUT,
                in_time_result(30 * MILLISECOND, mapseg_wait(seg, 0, NULL, 30 * MILLISECOND)));
    need_info_and_list(seg);
    kill_and_reap(pid);
    need_result(MAPSEG_OWNER_DIED,
                in_time_result(PATIENCE, mapseg_read(seg, 0, &byte, 1, &version)));
    need_result(MAPSEG_OWNER_DIED, in_time_result(0, mapseg_lock_for(seg, HANG)));
    need_result(MAPSEG_ALREADY_LOCKED, in_time_result(0, mapseg_write_begin(seg)));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_write_end(seg)));
    need_result(MAPSEG_OK, in_time_result(PATIENCE, mapseg_read(seg, 0, &byte, 1, &version)));
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

static void
add_cases(Suite *suite)
{
    TCase *tcase = new_case(suite, "stopped");

    tcase_add_loop_test(tcase, stopped_at_any_moment, 0, HABITS);
    tcase_add_test(tcase, writer_is_stopped);
}

int
main(void)
{
    return run_hostile("stopped", add_cases);
}
