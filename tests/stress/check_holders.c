/*
 * check_holders.c - peers that hold what others need: presence bytes, a lease on the file, the
 * wakes of those who sleep for the lock. Service may be denied; each call ends in its time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hostile.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------- bytes that are held -- */

/** Which bytes a peer holds. */
static struct {
    int64_t first;
    int64_t count;
    int64_t first_too;
    int64_t count_too;
    bool to_read; /* as a process can that may only read the file */
} held;

static void
hold(struct stage *stage)
{
    const int64_t firsts[] = {held.first, held.first_too};
    const int64_t counts[] = {held.count, held.count_too};
    int fd;

    if (held.to_read)
        become_nobody();
    fd = open(stage->place.path, (held.to_read ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    need(fd >= 0);
    for (int i = 0; i < 2; i++) {
        struct flock range = {
            .l_type = held.to_read ? F_RDLCK : F_WRLCK,
            .l_whence = SEEK_SET,
            .l_start = (off_t)(MAPSEG_PRESENCE_BASE + firsts[i]),
            .l_len = (off_t)counts[i],
        };

        need(counts[i] == 0 || fcntl(fd, F_OFD_SETLK, &range) == 0);
    }
    atomic_store(&stage->ready, 1);
    for (;;)
        pause();
}

static pid_t
start_to_hold(struct stage *stage)
{
    pid_t pid;

    atomic_store(&stage->ready, 0);
    pid = start(hold, stage);
    await(&stage->ready, 1);
    return pid;
}

START_TEST(every_byte_is_held)
{
    struct stage *stage = new_stage();
    uint64_t inode;
    mapseg *seg;
    pid_t pid;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, 100, 0);
    need(chmod(stage->place.path, 0644) == 0);
    inode = inode_of(stage->place.path);
    held.count = MAPSEG_NAME_BYTE + 1;
    held.to_read = _i == 1;
    pid = start_to_hold(stage);
    seg = handle_for(stage->place.key);
    watch_hangs();
    need_result(MAPSEG_TIMED_OUT, attach_for(seg, MAPSEG_READ_WRITE, 200 * MILLISECOND));
    need(*mapseg_error_string(seg) != '\0');
    need_result(MAPSEG_TIMED_OUT, attach_for(seg, MAPSEG_READ_ONLY, 200 * MILLISECOND));
    need_result(MAPSEG_TIMED_OUT, in_time_result(PATIENCE, mapseg_attach(seg, MAPSEG_READ_WRITE)));
    need_result(
        MAPSEG_TIMED_OUT,
        in_time_result(2 * PATIENCE, mapseg_create_or_attach(seg, 10, MAPSEG_READ_WRITE, NULL)));
    need_result(MAPSEG_ALREADY_EXISTS,
                in_time_result(0, mapseg_create(seg, 10, MAPSEG_READ_WRITE)));
    need_result(MAPSEG_ALREADY_EXISTS, replace(seg));
    need_result(MAPSEG_IN_USE, in_time_result(PATIENCE, mapseg_reclaim(seg)));
    need_result(MAPSEG_TIMED_OUT, in_time_result(PATIENCE, mapseg_remove(seg)));
    need_info_and_list(seg);
    need_number(inode, inode_of(stage->place.path));
    kill_and_reap(pid);
    need_result(MAPSEG_OK, attach_for(seg, MAPSEG_READ_WRITE, HANG));
    mapseg_free(seg);
}
END_TEST

/** Only the slots: no process is removing the segment, but none is to be had. */
START_TEST(every_slot_is_held)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t pid;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, 100, 0);
    held.first = MAPSEG_FIRST_SLOT;
    held.count = MAPSEG_LAST_SLOT;
    pid = start_to_hold(stage);
    seg = handle_for(stage->place.key);
    watch_hangs();
    need_result(MAPSEG_TIMED_OUT, attach_for(seg, MAPSEG_READ_WRITE, 200 * MILLISECOND));
    need_result(MAPSEG_IN_USE, in_time_result(PATIENCE, mapseg_reclaim(seg)));
    need_info_and_list(seg);
    kill_and_reap(pid);
    need_result(MAPSEG_OK, attach_for(seg, MAPSEG_READ_WRITE, HANG));
    mapseg_free(seg);
}
END_TEST

/** All bytes but the one of who was there before. */
START_TEST(every_other_byte_is_held)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    mapseg *seg, *late;
    uint32_t slot, taken;
    char byte;
    pid_t pid;

    use_tiny_shm("size=2m");
    /* Without children, or the peer would be attached too. */
    seg = created_as(stage->place.key, 100, MAPSEG_NO_FORK);
    header = map_header(stage->place.path);
    slot = slot_in_maps(getpid(), stage->place.path);
    need(slot != 0);
    held.count = slot;
    held.first_too = (int64_t)slot + 1;
    held.count_too = MAPSEG_NAME_BYTE - slot;
    pid = start_to_hold(stage);
    taken = slot == 1 ? 2 : slot - 1;
    watch_hangs();
    need_result(MAPSEG_OK, in_time_result(0, mapseg_lock_for(seg, HANG)));
    need_result(MAPSEG_ALREADY_LOCKED, in_time_result(0, mapseg_write_begin(seg)));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_write_end(seg)));
    set_lock_word(header, taken | MAPSEG_LOCK_SLEEPERS);
    need_result(MAPSEG_TIMED_OUT,
                in_time_result(50 * MILLISECOND, mapseg_lock_for(seg, 50 * MILLISECOND)));
    need_result(MAPSEG_WOULD_BLOCK, in_time_result(0, mapseg_try_lock(seg)));
    need_result(MAPSEG_OK, in_time_result(PATIENCE, mapseg_read(seg, 0, &byte, 1, NULL)));
    late = handle_for(stage->place.key);
    need_result(MAPSEG_TIMED_OUT, attach_for(late, MAPSEG_READ_WRITE, 100 * MILLISECOND));
    kill_and_reap(pid);
    need_result(MAPSEG_OWNER_DIED, in_time_result(0, mapseg_lock_for(seg, HANG)));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    pid = start_to_hold(stage);
    /* Not the last one out as far as it can tell. */
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    need(exists(stage->place.path));
    kill_and_reap(pid);
    need_result(MAPSEG_OK, in_time_result(PATIENCE, mapseg_reclaim(late)));
    need(!exists(stage->place.path));
    mapseg_free(late);
    mapseg_free(seg);
}
END_TEST

static void
lease(struct stage *stage)
{
    int fd = open(stage->place.path, O_RDWR | O_CLOEXEC);

    need(signal(SIGIO, SIG_IGN) != SIG_ERR);
    need(fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
    atomic_store(&stage->ready, 1);
    for (;;)
        pause();
}

/** Who has a lease on a file is asked before others open it, and may take its time. */
START_TEST(file_is_leased)
{
    struct stage *stage = new_stage();
    mapseg_info *information = NULL;
    mapseg_list *list = NULL;
    mapseg *seg;
    pid_t pid;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, 100, 0);
    pid = start(lease, stage);
    await(&stage->ready, 1);
    seg = handle_for(stage->place.key);
    watch_hangs();
    need_result(MAPSEG_TIMED_OUT, attach_for(seg, MAPSEG_READ_WRITE, 100 * MILLISECOND));
    need_result(MAPSEG_TIMED_OUT, attach_for(seg, MAPSEG_READ_ONLY, 100 * MILLISECOND));
    need(explained(seg, in_time_result(PATIENCE, mapseg_remove(seg))) != MAPSEG_OK);
    need(explained(seg, in_time_result(PATIENCE, mapseg_reclaim(seg))) != MAPSEG_OK);
    need(explained(seg, replace(seg)) != MAPSEG_OK);
    (void)explained(seg, in_time_result(0, mapseg_info_new(seg, &information)));
    mapseg_info_free(information);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_list_new(&list)));
    mapseg_list_free(list);
    kill_and_reap(pid);
    need_result(MAPSEG_OK, attach_for(seg, MAPSEG_READ_WRITE, HANG));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------ wakes that are stolen -- */

/** May only read the file, and can sleep where the others do. */
static void
steal_wakes(struct stage *stage)
{
    const struct mapseg_header *header;
    struct timespec second = {1, 0};
    int fd;

    become_nobody();
    fd = open(stage->place.path, O_RDONLY | O_CLOEXEC);
    need(fd >= 0);
    header = mmap(NULL, MAPSEG_HEADER_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    need(header != MAP_FAILED);
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        (void)syscall(SYS_futex, &header->lock, FUTEX_WAIT, lock_word(header), &second, NULL, 0);
}

static void
hold_a_while(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    for (int i = 1; i <= 10; i++) {
        await(&stage->go, i);
        need(mapseg_result_owes_unlock(mapseg_lock_for(seg, HANG)));
        atomic_store(&stage->told[0], i);
        nap(20 * MILLISECOND);
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}

START_TEST(wakes_are_stolen)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t thieves[6], holder;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, 100, 0);
    need(chmod(stage->place.path, 0644) == 0);
    for (int i = 0; i < 6; i++)
        thieves[i] = start(steal_wakes, stage);
    await(&stage->ready, 6);
    holder = start(hold_a_while, stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    for (int i = 1; i <= 10; i++) {
        atomic_store(&stage->go, i);
        await(&stage->told[0], i);
        need_result(MAPSEG_OK, mapseg_lock_for(seg, HANG));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    finish(holder);
    for (int i = 0; i < 6; i++)
        kill_and_reap(thieves[i]);
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

static void
add_cases(Suite *suite)
{
    TCase *tcase = new_case(suite, "holders");

    tcase_add_loop_test(tcase, every_byte_is_held, 0, 2);
    tcase_add_test(tcase, every_slot_is_held);
    tcase_add_test(tcase, every_other_byte_is_held);
    tcase_add_test(tcase, file_is_leased);
    tcase_add_test(tcase, wakes_are_stolen);
}

int
main(void)
{
    return run_hostile("holders", add_cases);
}
