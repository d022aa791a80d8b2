/*
 * check_holes.c - peers that take the memory away: holes are punched into the file, and it comes
 * and goes. Calls of the library survive that, and so does who reads in a guarded section.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hostile.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --------------------------------------------------------------- holes -- */

static void
punch_again_and_again(struct stage *stage)
{
    int fd = open(stage->place.path, O_RDWR | O_CLOEXEC);
    struct stat status;

    need(fd >= 0 && fstat(fd, &status) == 0);
    while (atomic_load(&stage->go) == 0) {
        need(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, status.st_size) == 0);
        atomic_fetch_add(&stage->ready, 1);
        if (atomic_load(&stage->ready) % 8 == 0)
            nap(200 * MICROSECOND);
    }
}

/** Reads zeros, or what was written since. */
START_TEST(holes_are_punched)
{
    struct stage *stage = new_stage();
    static unsigned char copy[DATA_BYTES];
    uint64_t version;
    mapseg *seg;
    pid_t pid;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    pid = start(punch_again_and_again, stage);
    seg = handle_for(stage->place.key);
    watch_hangs();
    await(&stage->ready, 1);
    need_result(MAPSEG_NOT_A_SEGMENT, attach_for(seg, MAPSEG_READ_WRITE, 50 * MILLISECOND));
    atomic_store(&stage->go, 1);
    finish(pid);

    need(unlink(stage->place.path) == 0);
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    need_result(MAPSEG_OK, attach_for(seg, MAPSEG_READ_WRITE, HANG));
    memset(mapseg_data(seg), 0x33, DATA_BYTES);
    atomic_store(&stage->go, 0);
    atomic_store(&stage->ready, 0);
    pid = start(punch_again_and_again, stage);
    await(&stage->ready, 1);
    for (int round = 0; round < 1000; round++) {
        mapseg_result result =
            in_time_result(20 * MILLISECOND,
                           mapseg_read_for(seg, 0, copy, sizeof copy, &version, 20 * MILLISECOND));

        if (explained(seg, result) == MAPSEG_OK)
            for (size_t i = 0; i < sizeof copy; i++)
                need(copy[i] == 0 || copy[i] == 0x33);
        if (mapseg_result_owes_unlock(
                in_time_result(10 * MILLISECOND, mapseg_lock_for(seg, 10 * MILLISECOND)))) {
            memset(mapseg_data(seg), 0x33, DATA_BYTES);
            (void)in_time(0, mapseg_unlock(seg));
        }
    }
    atomic_store(&stage->go, 1);
    finish(pid);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}
END_TEST

/** A segment whose memory is gone, and cannot be had again: to touch it is SIGBUS, but not for what
 *  asks the system, nor in a guarded section. `mode`: which users could do so. */
static mapseg *
attached_to_hole(struct stage *stage, uint32_t mode)
{
    struct stat status;
    mapseg *seg;
    int fd;

    use_tiny_shm("size=2m");
    mapseg_free(created_for(mode, stage->place.key, DATA_BYTES, 0));
    seg = attached_as(stage->place.key, MAPSEG_READ_WRITE, MAPSEG_ALLOW_SHARED_WRITE);
    /* So that it has touched the lock before, and thinks that it may again. */
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    fd = open(stage->place.path, O_RDWR | O_CLOEXEC);
    need(fd >= 0 && fstat(fd, &status) == 0);
    need(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, status.st_size) == 0);
    need(close(fd) == 0);
    fill_up();
    watch_hangs();
    return seg;
}

START_TEST(hole_in_a_full_place_is_read)
{
    mapseg *seg = attached_to_hole(new_stage(), 0666);
    static unsigned char copy[DATA_BYTES];
    const volatile unsigned char *data = mapseg_const_data(seg);
    mapseg_result result;

    memset(copy, 1, sizeof copy);
    need_result(MAPSEG_OK, in_time_result(PATIENCE, mapseg_read(seg, 0, copy, sizeof copy, NULL)));
    for (size_t i = 0; i < sizeof copy; i++)
        need(copy[i] == 0);
    (void)explained(seg, in_time_result(0, mapseg_wait(seg, MAPSEG_ANY_VERSION, NULL, 0)));
    inspect(seg);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_guard_begin(seg)));
    for (size_t i = 0; i < DATA_BYTES; i += 1000)
        need(data[i] == 0);
    result = in_time_result(0, mapseg_guard_end(seg));
    need(result == MAPSEG_OK || result == MAPSEG_FILE_SHRUNK);
    (void)in_time(PATIENCE, mapseg_read(seg, 0, copy, sizeof copy, NULL));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}
END_TEST

START_TEST(hole_in_a_full_place_is_left)
{
    struct stage *stage = new_stage();
    mapseg *seg = attached_to_hole(stage, 0600);
    mapseg *late = handle_for(stage->place.key);

    try_export(seg);
    need_result(MAPSEG_NOT_A_SEGMENT, attach_for(late, MAPSEG_READ_WRITE, 50 * MILLISECOND));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(late);
    mapseg_free(seg);
}
END_TEST

START_TEST(hole_in_a_full_place_is_inherited)
{
    mapseg *seg = attached_to_hole(new_stage(), 0600);
    int status = -1;
    pid_t pid = in_time(0, fork());

    if (pid == 0)
        _exit(0);
    need(pid > 0 && waitpid(pid, &status, 0) == pid);
    need(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------ a file that comes and goes -- */

/** Until the victim has attached and left once more, or will not again. */
static void
await_visit(struct stage *stage)
{
    int seen = atomic_load(&stage->ready);

    while (atomic_load(&stage->ready) == seen && atomic_load(&stage->go) == 0)
        nap(MILLISECOND / 5);
}

/** Takes all of the file away, and gives it back with a header that is believed. Now and then it
 *  stays until the victim has been there. */
static void
shorten_again_and_again(struct stage *stage)
{
    static struct mapseg_header header;
    int fd = open(stage->place.path, O_RDWR | O_CLOEXEC);
    struct stat status;

    need(fd >= 0 && fstat(fd, &status) == 0);
    need(pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header);
    chance = 1;
    for (;;) {
        need(ftruncate(fd, 0) == 0);
        need(ftruncate(fd, status.st_size) == 0);
        need(pwrite(fd, &header, sizeof header, 0) == (ssize_t)sizeof header);
        for (uint32_t i = draw(20000); i > 0; i--)
            atomic_signal_fence(memory_order_seq_cst);
        if (draw(256) == 0)
            await_visit(stage);
    }
}

static void
write_and_leave(mapseg *seg)
{
    char bytes[10] = "text";

    for (int i = 0; i < 20; i++) {
        if (in_time_result(0, mapseg_guard_begin(seg)) != MAPSEG_OK)
            return;
        (void)in_time(PATIENCE, mapseg_write(seg, 0, bytes, sizeof bytes));
        (void)in_time(0, mapseg_guard_end(seg));
    }
}

static void
lock_and_leave(mapseg *seg)
{
    if (in_time_result(0, mapseg_guard_begin(seg)) != MAPSEG_OK)
        return;
    if (mapseg_result_owes_unlock(in_time_result(MILLISECOND, mapseg_lock_for(seg, MILLISECOND))))
        (void)in_time(0, mapseg_unlock(seg));
    (void)in_time(0, mapseg_guard_end(seg));
}

static void
lock_and_fork(mapseg *seg)
{
    int status = -1;
    pid_t pid;

    lock_and_leave(seg);
    pid = in_time(0, fork());
    if (pid == 0)
        _exit(0);
    need(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
}

static void
read_and_leave(mapseg *seg)
{
    static unsigned char copy[DATA_BYTES];

    for (int i = 0; i < 20; i++)
        (void)in_time(MILLISECOND, mapseg_read_for(seg, 0, copy, sizeof copy, NULL, MILLISECOND));
    (void)in_time(MILLISECOND, mapseg_wait(seg, 0, NULL, MILLISECOND));
}

/** What a program does that never touches the memory outside of a section. */
static void (*const cautious[])(mapseg *seg) = {read_and_leave, lock_and_leave, lock_and_fork,
                                                write_and_leave};
#define CAUTIOUS ((int)(sizeof cautious / sizeof *cautious))

static void
be_cautious(struct stage *stage)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);

    options.flags = stage->number < CAUTIOUS ? MAPSEG_ALLOW_SHARED_WRITE : MAPSEG_GUARDED;
    watch_hangs();
    while (atomic_load(&stage->go) == 0)
        if (in_time_result(PATIENCE, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options)) ==
            MAPSEG_OK) {
            cautious[stage->number % CAUTIOUS](seg);
            (void)in_time(0, mapseg_detach(seg));
            atomic_fetch_add(&stage->ready, 1);
        }
    mapseg_free(seg);
}

/** One that any user could take away, and this user's own with a guarded handle. */
START_TEST(file_comes_and_goes)
{
    struct stage *stage = new_stage();
    pid_t peer, victim;

    use_tiny_shm("size=2m");
    mapseg_free(created_for(_i < CAUTIOUS ? 0666 : 0600, stage->place.key, DATA_BYTES, 0));
    stage->number = _i;
    peer = start(shorten_again_and_again, stage);
    victim = start(be_cautious, stage);
    nap(hostile_time() / 4);
    await(&stage->ready, 10);
    atomic_store(&stage->go, 1);
    finish(victim);
    kill_and_reap(peer);
}
END_TEST

static void
add_cases(Suite *suite)
{
    TCase *tcase = new_case(suite, "holes");

    tcase_add_test(tcase, holes_are_punched);
    tcase_add_test(tcase, hole_in_a_full_place_is_read);
    tcase_add_test(tcase, hole_in_a_full_place_is_left);
    tcase_add_test(tcase, hole_in_a_full_place_is_inherited);
    tcase_add_loop_test(tcase, file_comes_and_goes, 0, 2 * CAUTIOUS);
}

int
main(void)
{
    return run_hostile("holes", add_cases);
}
