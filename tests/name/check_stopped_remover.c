/*
 * check_stopped_remover.c - a remover that is stopped half way: what others wait for, and for how
 * long.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096

/** All the bytes that a remover holds. */
static int
lock_range_process(const struct stage *stage)
{
    return hold_bytes(stage->place.path, 0, MAPSEG_NAME_BYTE + 1);
}

/* ------------------------------------------------------------ attach -- */

START_TEST(attach_gives_up_on_a_stopped_remover)
{
    struct stage *stage = new_stage();
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);
    int64_t began;
    int range;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    range = lock_range_process(stage);
    options.timeout_ns = 1300 * MILLISECOND;
    began = now_ns();
    need_result(MAPSEG_TIMED_OUT, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    need(now_ns() - began >= 1300 * MILLISECOND);
    need(!mapseg_is_attached(seg));
    need(mapseg_error_string(seg)[0] != '\0');
    began = now_ns();
    need_result(MAPSEG_TIMED_OUT, mapseg_attach(seg, MAPSEG_READ_ONLY));
    need(now_ns() - began >= SECOND);
    need(exists(stage->place.path));
    (void)close(range);
    need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/** Attaches with the patience that the test has set. */
static void
attach_patiently(struct stage *stage)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);

    options.timeout_ns = stage->number < 0 ? -1 : stage->number * SECOND;
    atomic_fetch_add(&stage->ready, 1);
    need_result(atomic_load(&stage->go) == 0 ? MAPSEG_OK : MAPSEG_NOT_FOUND,
                mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
}

static const int patience[] = {(int)(HANG / SECOND), -1};

START_TEST(attach_goes_on_when_the_remover_does)
{
    struct stage *stage = new_stage();
    pid_t pid;
    int range;

    stage->number = patience[_i];
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    range = lock_range_process(stage);
    pid = start(attach_patiently, stage);
    await(&stage->ready, 1);
    nap(200 * MILLISECOND);
    need(kill(pid, 0) == 0 && waitpid(pid, NULL, WNOHANG) == 0);
    /* The child has a copy of the descriptor: unlocking lets go, not closing. */
    need(fcntl(range, F_OFD_SETLK,
               &(struct flock){.l_type = F_UNLCK,
                               .l_whence = SEEK_SET,
                               .l_start = (off_t)MAPSEG_PRESENCE_BASE,
                               .l_len = (off_t)MAPSEG_NAME_BYTE + 1}) == 0);
    finish(pid);
    (void)close(range);
    remove_persistent(stage->place.key);
}
END_TEST

START_TEST(attach_sees_the_remover_finish)
{
    struct stage *stage = new_stage();
    pid_t pid;
    int range;

    stage->number = patience[_i];
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    range = lock_range_process(stage);
    atomic_store(&stage->go, 1);
    pid = start(attach_patiently, stage);
    await(&stage->ready, 1);
    nap(100 * MILLISECOND);
    need(unlink(stage->place.path) == 0);
    finish(pid);
    (void)close(range);
}
END_TEST

/* ------------------------------------------------------------- remove -- */

START_TEST(nobody_removes_under_a_remover)
{
    struct stage *stage = new_stage();
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);
    mapseg_result result;
    int range;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    range = lock_range_process(stage);
    result = mapseg_reclaim(seg);
    need(result == MAPSEG_IN_USE || result == MAPSEG_TIMED_OUT);
    need(exists(stage->place.path));
    need_result(MAPSEG_TIMED_OUT, mapseg_remove(seg));
    need(exists(stage->place.path));
    options.flags = MAPSEG_RECLAIM;
    options.timeout_ns = 100 * MILLISECOND;
    result = mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options);
    need(result == MAPSEG_ALREADY_EXISTS || result == MAPSEG_TIMED_OUT);
    need(!mapseg_is_attached(seg));
    need(exists(stage->place.path));
    (void)close(range);
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    need(!exists(stage->place.path));
    mapseg_free(seg);
}
END_TEST

START_TEST(name_byte_keeps_the_name)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *other = handle_for(stage->place.key);
    int byte = hold_bytes(stage->place.path, MAPSEG_NAME_BYTE, 1);
    mapseg_result result;

    need_result(MAPSEG_TIMED_OUT, mapseg_remove(other));
    need(exists(stage->place.path));
    need_result(MAPSEG_OK, mapseg_attach(other, MAPSEG_READ_WRITE));
    need_result(MAPSEG_OK, mapseg_detach(other));
    need_attached(1, stage->place.key);
    /* The last one out finds a remover at work and leaves the name to it. */
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(exists(stage->place.path));
    result = mapseg_reclaim(seg);
    need(result == MAPSEG_IN_USE || result == MAPSEG_TIMED_OUT);
    need(exists(stage->place.path));
    (void)close(byte);
    need_result(MAPSEG_OK, mapseg_remove(other));
    need(!exists(stage->place.path));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("stopped remover");
    TCase *tcase = new_case(suite, "stopped remover");

    tcase_add_test(tcase, attach_gives_up_on_a_stopped_remover);
    tcase_add_loop_test(tcase, attach_goes_on_when_the_remover_does, 0, 2);
    tcase_add_loop_test(tcase, attach_sees_the_remover_finish, 0, 2);
    tcase_add_test(tcase, nobody_removes_under_a_remover);
    tcase_add_test(tcase, name_byte_keeps_the_name);
    return run_suite(suite);
}
