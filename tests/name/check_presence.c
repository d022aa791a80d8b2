/* check_presence.c - who is attached, the last one out, live and stale. */

#include "support.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096

/** Waits for the segment, so that a process can be started before the test
 *  has any handle that the child would get a copy of. */
static mapseg *
attached_once_created(struct stage *stage)
{
    while (!exists(stage->place.path))
        nap(MILLISECOND / 5);
    return attached(stage->place.key, MAPSEG_READ_WRITE);
}

/** Attaches and stays until it may go; then detaches. */
static void
stay(struct stage *stage)
{
    mapseg *seg = attached_once_created(stage);

    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    mapseg_free(seg);
}

/* -------------------------------------------------------------- counting -- */

#define MANY 1000
#define CROWD 3
#define CROWD_HANDLES 50

static void
stay_with_many(struct stage *stage)
{
    mapseg *segs[CROWD_HANDLES];

    for (int i = 0; i < CROWD_HANDLES; i++)
        segs[i] = attached(stage->place.key, MAPSEG_READ_WRITE);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    for (int i = 0; i < CROWD_HANDLES; i++)
        mapseg_free(segs[i]);
}

/** Lets this process have as many descriptors as a thousand handles take. */
static bool
raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    if (limit.rlim_cur < 4 * MANY)
        limit.rlim_cur = limit.rlim_max < 4 * MANY ? limit.rlim_max : 4 * MANY;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

START_TEST(thousand_attachments)
{
    struct stage *stage = new_stage();
    mapseg *segs[MANY];
    pid_t pids[CROWD];
    mapseg_info *information;

    need(raise_descriptor_limit());
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    need_attached(0, stage->place.key);
    for (int i = 0; i < CROWD; i++)
        pids[i] = start(stay_with_many, stage);
    await(&stage->ready, CROWD);
    need_attached(CROWD * CROWD_HANDLES, stage->place.key);
    for (int i = 0; i < MANY; i++)
        segs[i] = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_attached(MANY + CROWD * CROWD_HANDLES, stage->place.key);
    need_result(MAPSEG_OK, mapseg_info_new(segs[0], &information));
    need_number(0, information->readers);
    need_number(MAPSEG_USE_LIVE, information->use);
    mapseg_info_free(information);
    /* Every one of them has a slot of its own: all can hold, none can share. */
    need_result(MAPSEG_OK, mapseg_lock(segs[MANY - 1]));
    for (int i = 0; i < MANY - 1; i++)
        need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(segs[i]));
    need_result(MAPSEG_OK, mapseg_unlock(segs[MANY - 1]));
    for (int i = 0; i < MANY; i += 2)
        mapseg_free(segs[i]);
    need_attached(MANY / 2 + CROWD * CROWD_HANDLES, stage->place.key);
    kill_and_reap(pids[0]);
    need_attached(MANY / 2 + (CROWD - 1) * CROWD_HANDLES, stage->place.key);
    atomic_store(&stage->go, 1);
    for (int i = 1; i < CROWD; i++)
        finish(pids[i]);
    for (int i = 1; i < MANY; i += 2)
        mapseg_free(segs[i]);
    need_attached(0, stage->place.key);
    remove_persistent(stage->place.key);
}
END_TEST

START_TEST(slot_shows_in_maps)
{
    struct stage *stage = new_stage();
    pid_t pid;
    uint32_t slot;
    mapseg *reader = handle_for(stage->place.key);

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    pid = start(stay, stage);
    await(&stage->ready, 1);
    slot = slot_in_maps(pid, stage->place.path);
    need(slot >= MAPSEG_FIRST_SLOT && slot <= MAPSEG_LAST_SLOT);
    need_number(0, slot_in_maps(getpid(), stage->place.path));
    need_result(MAPSEG_OK, mapseg_attach(reader, MAPSEG_READ_ONLY));
    need(slot_in_maps(getpid(), stage->place.path) >= MAPSEG_FIRST_SLOT);
    need(slot_in_maps(getpid(), stage->place.path) != slot);
    need_result(MAPSEG_OK, mapseg_detach(reader));
    need_number(0, slot_in_maps(getpid(), stage->place.path));
    mapseg_free(reader);
    atomic_store(&stage->go, 1);
    finish(pid);
    remove_persistent(stage->place.key);
}
END_TEST

/** The slot's byte is locked for writing, on a description of its own: not
 *  even a second description of this process gets it. */
START_TEST(slot_is_a_locked_byte)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    uint32_t slot = slot_in_maps(getpid(), stage->place.path);
    int fd = open(stage->place.path, O_RDWR | O_CLOEXEC);
    struct flock byte = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1};

    need(fd >= 0);
    byte.l_start = (off_t)MAPSEG_PRESENCE_BASE + (off_t)slot;
    need(fcntl(fd, F_OFD_SETLK, &byte) == -1 && (errno == EAGAIN || errno == EACCES));
    need_result(MAPSEG_OK, mapseg_detach(seg));
    byte.l_type = F_WRLCK;
    need(fcntl(fd, F_OFD_SETLK, &byte) == 0);
    (void)close(fd);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------- last one out -- */

START_TEST(last_one_out_removes)
{
    struct stage *stage = new_stage();
    mapseg *creator;
    mapseg *other;

    for (int way = 0; way < 4; way++) {
        creator = created(stage->place.key, DATA_BYTES);
        other = handle_for(stage->place.key);
        need_result(MAPSEG_OK,
                    mapseg_attach(other, way < 2 ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY));
        need_result(MAPSEG_OK, mapseg_detach(way % 2 == 0 ? creator : other));
        need(exists(stage->place.path));
        need_attached(1, stage->place.key);
        need_result(MAPSEG_OK, mapseg_detach(way % 2 == 0 ? other : creator));
        need(!exists(stage->place.path));
        mapseg_free(creator);
        mapseg_free(other);
    }
}
END_TEST

START_TEST(last_process_out_removes)
{
    struct stage *stage = new_stage();
    pid_t pid = start(stay, stage);
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    await(&stage->ready, 1);
    need_attached(2, stage->place.key);
    if (_i == 0)
        need_result(MAPSEG_OK, mapseg_detach(seg));
    need(exists(stage->place.path));
    atomic_store(&stage->go, 1);
    finish(pid);
    need(exists(stage->place.path) == (_i == 1));
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

START_TEST(persistent_stays)
{
    struct stage *stage = new_stage();
    mapseg *seg;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    need_number(MAPSEG_USE_PERSISTENT, use_of(stage->place.key));
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_number(MAPSEG_USE_LIVE, use_of(stage->place.key));
    memcpy(mapseg_data(seg), "kept", 5);
    need_result(MAPSEG_IN_USE, mapseg_reclaim(seg));
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(exists(stage->place.path));
    need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_ONLY));
    need(strcmp(mapseg_const_data(seg), "kept") == 0);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(exists(stage->place.path));
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    need(!exists(stage->place.path));
    need_result(MAPSEG_NOT_FOUND, mapseg_reclaim(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(killed_last_one_leaves_it_stale)
{
    struct stage *stage = new_stage();
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    pid_t pid = start(stay, stage);
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    memcpy(mapseg_data(seg), "debris", 7);
    await(&stage->ready, 1);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need_number(MAPSEG_USE_LIVE, use_of(stage->place.key));
    need_result(MAPSEG_IN_USE, mapseg_reclaim(seg));
    kill_and_reap(pid);
    need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
    need_attached(0, stage->place.key);
    need_result(MAPSEG_ALREADY_EXISTS, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    if (_i == 0) {
        need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
        need(strcmp(mapseg_const_data(seg), "debris") == 0);
    } else if (_i == 1) {
        need_result(MAPSEG_OK, mapseg_reclaim(seg));
    } else {
        options.flags = MAPSEG_RECLAIM;
        need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
        need(((const char *)data_of(seg))[0] == '\0');
    }
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

START_TEST(reclaiming_create_spares_the_living)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *other = handle_for(stage->place.key);
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    uint64_t inode = inode_of(stage->place.path);

    options.flags = MAPSEG_RECLAIM;
    need_result(MAPSEG_ALREADY_EXISTS,
                mapseg_create_with(other, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    need_result(MAPSEG_ALREADY_EXISTS,
                mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    need(inode_of(stage->place.path) == inode);
    need_attached(1, stage->place.key);
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

START_TEST(removed_segment_lives_on_beside_its_successor)
{
    struct stage *stage = new_stage();
    mapseg *old = created(stage->place.key, DATA_BYTES);
    mapseg *second_old = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *new = handle_for(stage->place.key);
    uint64_t inode;

    memcpy(mapseg_data(old), "old", 4);
    need_result(MAPSEG_OK, mapseg_remove(new));
    need(!exists(stage->place.path));
    need_result(MAPSEG_NOT_FOUND, mapseg_remove(new));
    need_result(MAPSEG_NOT_FOUND, mapseg_attach(new, MAPSEG_READ_WRITE));
    need_result(MAPSEG_OK, mapseg_create(new, 2 * DATA_BYTES, MAPSEG_READ_WRITE));
    inode = inode_of(stage->place.path);
    need_attached(1, stage->place.key);
    need(strcmp(mapseg_const_data(second_old), "old") == 0);
    need(((const char *)data_of(new))[0] == '\0');
    need_result(MAPSEG_OK, mapseg_lock(old));
    need_result(MAPSEG_OK, mapseg_try_lock(new));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(second_old));
    /* Neither of the old ones, nor the last of them, takes the new name. */
    mapseg_free(old);
    mapseg_free(second_old);
    need(inode_of(stage->place.path) == inode);
    mapseg_free(new);
    need(!exists(stage->place.path));
}
END_TEST

/** A reader that may not write the file has no slot and removes nothing. */
static void
read_as_nobody(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    need(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
    await(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_ONLY));
    need(strcmp(mapseg_const_data(seg), "public") == 0);
    need_result(MAPSEG_PERMISSION_DENIED, mapseg_lock(seg));
    need_result(MAPSEG_PERMISSION_DENIED, mapseg_try_lock(seg));
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 2);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    mapseg_free(seg);
}

START_TEST(reader_without_the_right_to_write)
{
    struct stage *stage = new_stage();
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);
    mapseg_info *information;
    pid_t readers[2];

    for (int i = 0; i < 2; i++)
        readers[i] = start(read_as_nobody, stage);
    options.mode = 0644;
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    memcpy(mapseg_data(seg), "public", 7);
    atomic_store(&stage->go, 1);
    await(&stage->ready, 2);
    need_result(MAPSEG_OK, mapseg_info_new(seg, &information));
    need_number(3, information->attached);
    need_number(2, information->readers);
    mapseg_info_free(information);
    /* The creator leaves while they read: the name must stay for them. */
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(exists(stage->place.path));
    need_number(MAPSEG_USE_LIVE, use_of(stage->place.key));
    need_result(MAPSEG_IN_USE, mapseg_reclaim(seg));
    atomic_store(&stage->go, 2);
    finish(readers[0]);
    finish(readers[1]);
    need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    need(!exists(stage->place.path));
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- stress -- */

#define STRESS_WORKERS 6
#define STRESS_NS (5 * SECOND / 2)

/** While attached, the own name leads to the own segment. */
static void
check_name(struct stage *stage, mapseg *seg)
{
    uint64_t inode = inode_attached(seg);

    if (inode_of(stage->place.path) != inode)
        atomic_fetch_add(&stage->wrong, 1);
    if (next_random(&(uint32_t){(uint32_t)inode | 1}) % 2 == 0)
        (void)sched_yield();
    if (inode_of(stage->place.path) != inode)
        atomic_fetch_add(&stage->wrong, 1);
}

/** Comes by one of four ways; whether it is attached. */
static bool
come(mapseg *seg, uint32_t way)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_access access = way % 32 < 16 ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY;
    mapseg_result result;

    options.flags = way % 4 == 3 ? MAPSEG_RECLAIM : 0;
    /* One that is removing the segment may be kept from going on for long. */
    options.timeout_ns = HANG;
    switch (way % 4) {
    case 0:
        result = mapseg_attach_with(seg, access, &options);
        need(result == MAPSEG_OK || result == MAPSEG_NOT_FOUND);
        break;
    case 1:
        result = mapseg_create_or_attach(seg, DATA_BYTES, access, NULL);
        need_result(MAPSEG_OK, result);
        break;
    default:
        result = mapseg_create_with(seg, DATA_BYTES, access, &options);
        need(result == MAPSEG_OK || result == MAPSEG_ALREADY_EXISTS);
        break;
    }
    need(mapseg_is_attached(seg) == (result == MAPSEG_OK));
    return result == MAPSEG_OK;
}

/** Comes and goes for a while. */
static void
come_and_go(struct stage *stage)
{
    uint32_t random = (uint32_t)getpid() * 2654435761u | 1;
    mapseg *seg = handle_for(stage->place.key);
    int64_t end = now_ns() + STRESS_NS;

    while (now_ns() < end) {
        if (!come(seg, next_random(&random)))
            continue;
        atomic_fetch_add(&stage->ready, 1);
        check_name(stage, seg);
        need_result(MAPSEG_OK, mapseg_detach(seg));
    }
    mapseg_free(seg);
}

/** Clears what is abandoned, which nothing ever is. */
static void
reclaim_all_the_time(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    while (atomic_load(&stage->go) == 0) {
        mapseg_result result = mapseg_reclaim(seg);

        /* OK: it was quicker than the last one out. */
        need(result == MAPSEG_OK || result == MAPSEG_IN_USE || result == MAPSEG_NOT_FOUND);
        nap(50 * MICROSECOND);
    }
    mapseg_free(seg);
}

START_TEST(attached_means_that_the_name_is_ours)
{
    struct stage *stage = new_stage();
    pid_t workers[STRESS_WORKERS];
    pid_t reclaimer = 0;

    for (int i = 0; i < STRESS_WORKERS; i++)
        workers[i] = start(come_and_go, stage);
    if (_i == 1)
        reclaimer = start(reclaim_all_the_time, stage);
    for (int i = 0; i < STRESS_WORKERS; i++)
        finish(workers[i]);
    atomic_store(&stage->go, 1);
    if (_i == 1)
        finish(reclaimer);
    need_number(0, stage->wrong);
    need(stage->ready > 0);
    need(!exists(stage->place.path));
}
END_TEST

/** Makes the segment and destroys it, again and again, until the others have met it. */
static void
create_and_destroy(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);
    int64_t begun = now_ns();

    while (now_ns() < begun + 3 * SECOND / 2 ||
           (atomic_load(&stage->ready) == 0 && now_ns() < begun + HANG)) {
        mapseg_result result = mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE);

        if (result == MAPSEG_OK)
            memset(mapseg_data(seg), 0x5a, DATA_BYTES);
        need(result == MAPSEG_OK || result == MAPSEG_ALREADY_EXISTS);
        if (result == MAPSEG_OK)
            need_result(MAPSEG_OK, mapseg_detach(seg));
    }
    atomic_store(&stage->go, 1);
    mapseg_free(seg);
}

/** Attaches whenever there is something to attach to. */
static void
attach_and_detach(struct stage *stage)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);

    options.timeout_ns = HANG;
    while (atomic_load(&stage->go) == 0) {
        mapseg_result result = mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options);

        need(result == MAPSEG_OK || result == MAPSEG_NOT_FOUND);
        if (result == MAPSEG_NOT_FOUND)
            continue;
        need_number(DATA_BYTES, mapseg_size(seg));
        check_name(stage, seg);
        need_result(MAPSEG_OK, mapseg_detach(seg));
        atomic_fetch_add(&stage->ready, 1);
    }
    mapseg_free(seg);
}

START_TEST(attach_races_destroy)
{
    struct stage *stage = new_stage();
    pid_t destroyer = start(create_and_destroy, stage);
    pid_t attachers[2];

    for (int i = 0; i < 2; i++)
        attachers[i] = start(attach_and_detach, stage);
    finish(destroyer);
    for (int i = 0; i < 2; i++)
        finish(attachers[i]);
    need_number(0, stage->wrong);
    need(stage->ready > 0);
    need(!exists(stage->place.path));
}
END_TEST

/** Comes and goes until it is killed. */
static void
come_and_go_for_ever(struct stage *stage)
{
    uint32_t random = (uint32_t)getpid() * 2654435761u | 1;
    mapseg *seg = handle_for(stage->place.key);

    for (;;) {
        need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
        atomic_fetch_add(&stage->ready, 1);
        if (next_random(&random) % 4 == 0)
            ignored(mapseg_lock_for(seg, MILLISECOND));
        need_result(MAPSEG_OK, mapseg_detach(seg));
    }
}

/** Stays attached, detaches last; sees whether the name is gone then. */
static void
keep_then_leave(struct stage *stage)
{
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need(inode_of(stage->place.path) == inode_attached(seg));
    need_attached(1, stage->place.key);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(!exists(stage->place.path));
    mapseg_free(seg);
}

START_TEST(last_detacher_removes_after_deaths)
{
    struct stage *stage = new_stage();
    pid_t keeper = start(keep_then_leave, stage);
    pid_t workers[4];
    uint32_t random = 12345;

    await(&stage->ready, 1);
    for (int i = 0; i < 4; i++)
        workers[i] = start(come_and_go_for_ever, stage);
    for (int round = 0; round < 200; round++) {
        int i = (int)(next_random(&random) % 4);

        nap(next_random(&random) % 3000 * MICROSECOND);
        kill_and_reap(workers[i]);
        workers[i] = start(come_and_go_for_ever, stage);
    }
    await(&stage->ready, 1);
    for (int i = 0; i < 4; i++)
        kill_and_reap(workers[i]);
    atomic_store(&stage->go, 1);
    finish(keeper);
}
END_TEST

/* -------------------------------------------------------- stopped remover -- */

/** All the bytes that a remover holds. */
static int
lock_range_process(const struct stage *stage)
{
    return hold_bytes(stage->place.path, 0, MAPSEG_NAME_BYTE + 1);
}

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

/* -------------------------------------------------------- other children -- */

extern char **environ;

/** A child that no fork handler knows of; it only sleeps. */
static pid_t
raw_child(void)
{
    long pid = syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);

    if (pid == 0)
        for (;;)
            (void)syscall(SYS_pause);
    return (pid_t)pid;
}

/** A child of glibc's _Fork, which runs no handlers either. */
static pid_t
handlerless_child(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    pid_t pid = _Fork();

    if (pid == 0)
        for (;;)
            (void)pause();
    return pid;
#else
    return raw_child();
#endif
}

/** A program started with posix_spawn. */
static pid_t
spawned_child(void)
{
    char *arguments[] = {(char[]){"sleep"}, (char[]){"100"}, NULL};
    pid_t pid;

    return posix_spawnp(&pid, "sleep", NULL, NULL, arguments, environ) == 0 ? pid : -1;
}

/** A program started with fork and exec. */
static pid_t
executed_child(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)execlp("sleep", "sleep", "100", (char *)NULL);
        _exit(1);
    }
    return pid;
}

static pid_t (*const strangers[])(void) = {raw_child, handlerless_child, spawned_child,
                                           executed_child};

/** Attaches, has such a child, and waits to be killed. */
static void
attach_and_have_child(struct stage *stage)
{
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    pid_t child = strangers[stage->number]();

    need(child > 0);
    atomic_store(&stage->pid, child);
    need(mapseg_is_attached(seg));
    /* Between fork and exec a child is an attachment. */
    need_attached(1, stage->place.key);
    atomic_store(&stage->ready, 1);
    for (;;)
        (void)pause();
}

START_TEST(children_without_handlers_keep_nothing_alive)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t parent;
    pid_t child;

    stage->number = _i;
    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    parent = start(attach_and_have_child, stage);
    await(&stage->ready, 1);
    child = atomic_load(&stage->pid);
    need_attached(1, stage->place.key);
    need_number(MAPSEG_USE_LIVE, use_of(stage->place.key));
    kill_and_reap(parent);
    need(kill(child, 0) == 0);
    need_attached(0, stage->place.key);
    need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
    seg = handle_for(stage->place.key);
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    mapseg_free(seg);
    kill_and_reap(child);
}
END_TEST

/* ------------------------------------------------------------------ main -- */

static void
add_last_one_out(Suite *suite)
{
    TCase *tcase = new_case(suite, "last one out");

    tcase_add_test(tcase, last_one_out_removes);
    tcase_add_loop_test(tcase, last_process_out_removes, 0, 2);
    tcase_add_test(tcase, persistent_stays);
    tcase_add_loop_test(tcase, killed_last_one_leaves_it_stale, 0, 3);
    tcase_add_test(tcase, reclaiming_create_spares_the_living);
    tcase_add_test(tcase, removed_segment_lives_on_beside_its_successor);
    if (geteuid() == 0)
        tcase_add_test(tcase, reader_without_the_right_to_write);
    else
        (void)puts("not root: no reader of another user");
}

static void
add_stress(Suite *suite)
{
    TCase *tcase = new_case(suite, "stress");

    tcase_add_loop_test(tcase, attached_means_that_the_name_is_ours, 0, 2);
    tcase_add_test(tcase, attach_races_destroy);
    tcase_add_test(tcase, last_detacher_removes_after_deaths);
}

static void
add_stopped_remover(Suite *suite)
{
    TCase *tcase = new_case(suite, "stopped remover");

    tcase_add_test(tcase, attach_gives_up_on_a_stopped_remover);
    tcase_add_loop_test(tcase, attach_goes_on_when_the_remover_does, 0, 2);
    tcase_add_loop_test(tcase, attach_sees_the_remover_finish, 0, 2);
    tcase_add_test(tcase, nobody_removes_under_a_remover);
    tcase_add_test(tcase, name_byte_keeps_the_name);
}

int
main(void)
{
    Suite *suite = new_suite("presence");
    TCase *counting = new_case(suite, "counting");

    tcase_add_test(counting, thousand_attachments);
    tcase_add_test(counting, slot_shows_in_maps);
    tcase_add_test(counting, slot_is_a_locked_byte);
    add_last_one_out(suite);
    add_stress(suite);
    add_stopped_remover(suite);
    tcase_add_loop_test(new_case(suite, "other children"),
                        children_without_handlers_keep_nothing_alive, 0, 4);
    return run_suite(suite);
}
