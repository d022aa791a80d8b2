/*
 * check_presence.c - presence: how many are attached, what is live or stale, and what children keep
 * alive.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DATA_BYTES 4096

/* ------------------------------------------------------------- counting -- */

#define MANY 1000
#define CROWD 3
#define CROWD_HANDLES 50

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

/* ---------------------------------------------------------------- slots -- */

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

/* ------------------------------------------------------- live and stale -- */

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

/* ------------------------------------------------------- other children -- */

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

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("presence");
    TCase *tcase = new_case(suite, "presence");

    tcase_add_test(tcase, thousand_attachments);
    tcase_add_test(tcase, slot_shows_in_maps);
    tcase_add_test(tcase, slot_is_a_locked_byte);
    tcase_add_loop_test(tcase, killed_last_one_leaves_it_stale, 0, 3);
    if (geteuid() == 0)
        tcase_add_test(tcase, reader_without_the_right_to_write);
    else
        (void)puts("not root: no reader of another user");
    tcase_add_loop_test(tcase, children_without_handlers_keep_nothing_alive, 0, 4);
    return run_suite(suite);
}
