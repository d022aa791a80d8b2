/*
 * check_overlay.c - segments with file: keys on overlayfs, where a mapping keeps
 * no lock: presence lies on a descriptor there, and all that rests on presence
 * must hold as it does on a tmpfs.
 *
 * Each test has its own mounts in a mount namespace of its own, over /dev/shm,
 * which ends with the test. Without root, or where a file system cannot be
 * mounted, its tests are skipped.
 *
 * SPDX-License-Identifier: MIT
 */

#include "support.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEGMENT "/dev/shm/both/segment"
#define DATA_BYTES 4096
#define READERS 3
#define COUNTERS 40
#define ROUNDS 25
/** A living owner is not robbed within this. */
#define PATIENCE (300 * MILLISECOND)

/* --------------------------------------------------------------- mounts -- */

/** What the layers of the overlay are on. With two file systems the numbers that
 *  stat() gives are others than those of the kernel's table of locks. */
enum layers { ON_TMPFS, ON_EXT4, ON_BOTH, LAYERS };

static const char *const layer_options[LAYERS] = {
    "lowerdir=/dev/shm/low,upperdir=/dev/shm/up,workdir=/dev/shm/work",
    "lowerdir=/dev/shm/disk/low,upperdir=/dev/shm/disk/up,workdir=/dev/shm/disk/work",
    "lowerdir=/dev/shm/low,upperdir=/dev/shm/disk/up,workdir=/dev/shm/disk/work,xino=off",
};
static const char *const low_directories[LAYERS] = {"/dev/shm/low", "/dev/shm/disk/low",
                                                    "/dev/shm/low"};

static bool
make_directories(const char *above)
{
    static const char *const names[] = {"low", "up", "work", "both"};
    char path[64];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", above, names[i]);
        if (mkdir(path, 0755) != 0)
            return false;
    }
    return true;
}

/** An ext4 in a file, on a loop device, at /dev/shm/disk. */
static bool
mount_disk(void)
{
    return mkdir("/dev/shm/disk", 0755) == 0 &&
           system("exec >/dev/null 2>&1; truncate -s 16M /dev/shm/image && "
                  "PATH=$PATH:/sbin:/usr/sbin && mkfs.ext4 -q -F /dev/shm/image && "
                  "mount -o loop /dev/shm/image /dev/shm/disk") == 0 &&
           make_directories("/dev/shm/disk");
}

/** The layers, in a mount namespace of this process's own. */
static bool
make_layers(enum layers layers)
{
    return unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("mapsegtest", "/dev/shm", "tmpfs", 0, "mode=1777") == 0 &&
           make_directories("/dev/shm") && (layers == ON_TMPFS || mount_disk());
}

/** Lays the one over the other at /dev/shm/both. */
static bool
lay_over(enum layers layers)
{
    return mount("mapsegtest", "/dev/shm/both", "overlay", 0, layer_options[layers]) == 0;
}

/** Whether there can be such an overlay, tried in a child. */
static bool
has_layers(enum layers layers)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(make_layers(layers) && lay_over(layers) ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/** A stage whose segment is to be on such an overlay. */
static struct stage *
stage_over(enum layers layers)
{
    struct stage *stage = shared_memory(sizeof *stage);

    need(make_layers(layers));
    need(lay_over(layers));
    (void)snprintf(stage->place.path, sizeof stage->place.path, SEGMENT);
    (void)snprintf(stage->place.key, sizeof stage->place.key, "file:" SEGMENT);
    return stage;
}

/* ------------------------------------------------------------- processes -- */

static void
stay(void)
{
    for (;;)
        nap(SECOND);
}

/** How the handle itself is present. */
static mapseg_presence_kind
kind_of(mapseg *seg)
{
    mapseg_info *information;
    mapseg_presence_kind kind;

    need_result(MAPSEG_OK, mapseg_info_new(seg, &information));
    kind = information->presence;
    mapseg_info_free(information);
    return kind;
}

static void
create_and_stay(struct stage *stage)
{
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    need_number(MAPSEG_PRESENCE_DESCRIPTOR, kind_of(seg));
    atomic_fetch_add(&stage->ready, 1);
    stay();
}

static void
attach_and_stay(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_number(MAPSEG_PRESENCE_DESCRIPTOR, kind_of(seg));
    atomic_fetch_add(&stage->ready, 1);
    stay();
}

static void
hold_and_stay(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need(mapseg_result_owes_unlock(mapseg_lock(seg)));
    atomic_fetch_add(&stage->ready, 1);
    stay();
}

static void
read_as_nobody(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    become_nobody();
    need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_ONLY));
    need_number(MAPSEG_PRESENCE_DESCRIPTOR, kind_of(seg));
    need_result(MAPSEG_PERMISSION_DENIED, mapseg_try_lock(seg));
    atomic_fetch_add(&stage->ready, 1);
    stay();
}

/** Starts one and waits until it is ready. */
static pid_t
start_ready(void (*body)(struct stage *stage), struct stage *stage)
{
    int before = atomic_load(&stage->ready);
    pid_t pid = start(body, stage);

    await(&stage->ready, before + 1);
    return pid;
}

/** So many are seen, of these so many readers. The table of locks is no picture of
 *  one moment, so a wrong number of readers may be a passing one. */
static void
need_seen(uint32_t attached, uint32_t readers, const char *key)
{
    int64_t deadline = now_ns() + HANG;
    mapseg *seg = handle_for(key);
    mapseg_info *information;
    bool right;

    do {
        need_result(MAPSEG_OK, mapseg_info_new(seg, &information));
        right = information->attached == attached && information->readers == readers &&
                !information->attached_is_minimum;
        if (!right && now_ns() > deadline)
            broken("%u attached and %u readers, not %u and %u", information->attached,
                   information->readers, attached, readers);
        mapseg_info_free(information);
    } while (!right);
    mapseg_free(seg);
}

/* ----------------------------------------------------- who is attached -- */

START_TEST(all_are_counted)
{
    struct stage *stage = stage_over((enum layers)_i);
    pid_t creator = start_ready(create_and_stay, stage);
    pid_t second = start_ready(attach_and_stay, stage);
    pid_t third = start_ready(attach_and_stay, stage);

    need_seen(3, 0, stage->place.key);
    need_number(MAPSEG_USE_LIVE, use_of(stage->place.key));
    kill_and_reap(second);
    need_seen(2, 0, stage->place.key);
    kill_and_reap(creator);
    need_seen(1, 0, stage->place.key);
    need(exists(stage->place.path));
    kill_and_reap(third);
    need_seen(0, 0, stage->place.key);
    need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
}
END_TEST

START_TEST(readers_are_counted)
{
    struct stage *stage = stage_over((enum layers)_i);
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);
    pid_t readers[READERS];

    options.mode = 0644;
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    for (int i = 0; i < READERS; i++) {
        readers[i] = start_ready(read_as_nobody, stage);
        /* The reader inherits this process's attachment, which shows as one more. */
        need_seen((uint32_t)(2 * i + 3), (uint32_t)i + 1, stage->place.key);
    }
    for (int i = 0; i < READERS; i++) {
        kill_and_reap(readers[i]);
        need_seen((uint32_t)(2 * (READERS - i) - 1), (uint32_t)(READERS - 1 - i), stage->place.key);
    }
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

/** The last reader finds the name gone or stays out of it: it may not remove it. */
START_TEST(reader_keeps_the_name)
{
    struct stage *stage = stage_over((enum layers)_i);
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);
    pid_t reader;

    options.mode = 0644;
    options.flags = MAPSEG_NO_FORK;
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    reader = start_ready(read_as_nobody, stage);
    need_seen(2, 1, stage->place.key);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(exists(stage->place.path));
    need_result(MAPSEG_IN_USE, mapseg_reclaim(seg));
    need_seen(1, 1, stage->place.key);
    kill_and_reap(reader);
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(last_one_out_removes)
{
    struct stage *stage = stage_over((enum layers)_i);
    mapseg *first = created(stage->place.key, DATA_BYTES);
    mapseg *second = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *third = handle_for(stage->place.key);

    need_result(MAPSEG_OK, mapseg_attach(third, MAPSEG_READ_ONLY));
    need_seen(3, 0, stage->place.key);
    mapseg_free(first);
    need(exists(stage->place.path));
    mapseg_free(third);
    need(exists(stage->place.path));
    need_seen(1, 0, stage->place.key);
    mapseg_free(second);
    need(!exists(stage->place.path));
}
END_TEST

START_TEST(killed_creator_leaves_it_stale)
{
    struct stage *stage = stage_over((enum layers)_i);
    mapseg *seg = handle_for(stage->place.key);
    pid_t creator = start_ready(create_and_stay, stage);

    need_result(MAPSEG_IN_USE, mapseg_reclaim(seg));
    kill_and_reap(creator);
    need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    need(!exists(stage->place.path));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------- the lock -- */

START_TEST(living_owner_is_not_robbed)
{
    struct stage *stage = stage_over((enum layers)_i);
    mapseg *seg;
    pid_t owner;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    owner = start_ready(hold_and_stay, stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, PATIENCE));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_number(MAPSEG_LOCK_STATE_HELD, lock_state_of(stage->place.key));
    kill_and_reap(owner);
    need_number(MAPSEG_LOCK_STATE_OWNER_DIED, lock_state_of(stage->place.key));
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(1, recoveries_of(map_header(stage->place.path)));
    mapseg_free(seg);
}
END_TEST

static void
count_under_the_lock(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    volatile uint64_t *counter = mapseg_data(seg);

    await(&stage->go, 1);
    for (int i = 0; i < ROUNDS; i++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        *counter = *counter + 1;
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}

START_TEST(forty_count_to_the_right_sum)
{
    struct stage *stage = stage_over((enum layers)_i);
    pid_t counters[COUNTERS];
    mapseg *seg;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    for (int i = 0; i < COUNTERS; i++)
        counters[i] = start(count_under_the_lock, stage);
    atomic_store(&stage->go, 1);
    for (int i = 0; i < COUNTERS; i++)
        finish(counters[i]);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_number(COUNTERS * ROUNDS, *(const uint64_t *)mapseg_const_data(seg));
    need_number(0, recoveries_of(map_header(stage->place.path)));
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- fork -- */

/** Has a child that stays until it is told to go, and ends at once, or stays too. */
static void
create_and_fork(struct stage *stage)
{
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    int before = count_descriptors();
    pid_t child = fork();

    need(child >= 0);
    if (child == 0) {
        need(mapseg_is_attached(seg));
        need_number(before, count_descriptors());
        need_number(MAPSEG_PRESENCE_DESCRIPTOR, kind_of(seg));
        need_result(MAPSEG_OK, mapseg_lock(seg));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        atomic_store(&stage->pid, (int)getpid());
        atomic_fetch_add(&stage->ready, 1);
        await(&stage->go, 1);
        mapseg_free(seg);
        _exit(0);
    }
    need_number(before, count_descriptors());
    if (stage->number == 0)
        return;
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 2);
    mapseg_free(seg);
}

START_TEST(child_of_a_parent_that_ends_at_once)
{
    struct stage *stage = stage_over((enum layers)_i);
    pid_t parent = start(create_and_fork, stage);

    await(&stage->ready, 1);
    finish(parent);
    need(exists(stage->place.path));
    need_seen(1, 0, stage->place.key);
    atomic_store(&stage->go, 1);
    await_gone(stage->place.path);
}
END_TEST

START_TEST(child_and_parent_are_each_present)
{
    struct stage *stage = stage_over((enum layers)_i);
    pid_t parent;

    stage->number = 1;
    parent = start(create_and_fork, stage);
    await(&stage->ready, 2);
    need_seen(2, 0, stage->place.key);
    atomic_store(&stage->go, 1);
    need_seen(1, 0, stage->place.key);
    need(exists(stage->place.path));
    atomic_store(&stage->go, 2);
    finish(parent);
    need(!exists(stage->place.path));
}
END_TEST

START_TEST(lock_held_at_a_fork_stays_the_parents)
{
    struct stage *stage = stage_over((enum layers)_i);
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    pid_t child;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    child = fork();
    need(child >= 0);
    if (child == 0) {
        need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
        need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
        mapseg_free(seg);
        _exit(0);
    }
    finish(child);
    need_number(MAPSEG_LOCK_STATE_HELD, lock_state_of(stage->place.key));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

/** Becomes another program; the test is told by the end of its pipe. */
static void
fork_and_exec(struct stage *stage)
{
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    (void)execl("/bin/sleep", "sleep", "60", (char *)NULL);
    need(false);
}

START_TEST(presence_ends_with_an_exec)
{
    struct stage *stage = stage_over((enum layers)_i);
    mapseg *seg = handle_for(stage->place.key);
    int channel[2];
    char byte;
    pid_t pid;

    need(pipe2(channel, O_CLOEXEC) == 0);
    pid = start(fork_and_exec, stage);
    (void)close(channel[1]);
    /* The end of the pipe: the program that was started has no copy of it. */
    need(read(channel[0], &byte, 1) == 0);
    need(kill(pid, 0) == 0);
    need_seen(0, 0, stage->place.key);
    need_number(MAPSEG_LOCK_STATE_OWNER_DIED, lock_state_of(stage->place.key));
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    kill_and_reap(pid);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------- the lower layer -- */

/** A stage whose segment is in the lower layer, from where a first writer copies it up. */
static struct stage *
stage_below(enum layers layers)
{
    struct stage *stage = shared_memory(sizeof *stage);
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg;

    need(make_layers(layers));
    (void)snprintf(stage->place.key, sizeof stage->place.key, "file:%s/segment",
                   low_directories[layers]);
    seg = handle_for(stage->place.key);
    options.mode = 0644;
    options.flags = MAPSEG_PERSISTENT;
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    need_result(MAPSEG_OK, mapseg_write(seg, 0, "low", 4));
    mapseg_free(seg);
    need(lay_over(layers));
    (void)snprintf(stage->place.path, sizeof stage->place.path, SEGMENT);
    (void)snprintf(stage->place.key, sizeof stage->place.key, "file:" SEGMENT);
    return stage;
}

START_TEST(segment_of_the_lower_layer)
{
    struct stage *stage = stage_below((enum layers)_i);
    mapseg *seg = handle_for(stage->place.key);
    mapseg *stranger;
    pid_t owner = start_ready(hold_and_stay, stage);
    char text[4];

    need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_seen(2, 0, stage->place.key);
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, PATIENCE));
    kill_and_reap(owner);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_read(seg, 0, text, sizeof text, NULL));
    need(strcmp(text, "low") == 0);
    need_seen(1, 0, stage->place.key);
    stranger = handle_for(stage->place.key);
    need_result(MAPSEG_IN_USE, mapseg_reclaim(stranger));
    mapseg_free(stranger);
    mapseg_free(seg);
}
END_TEST

/** Reads, as another user, before and after another process has copied the file up. */
static void
read_through_a_copy(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);
    uint64_t version;
    char text[4];

    become_nobody();
    need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_ONLY));
    need_result(MAPSEG_OK, mapseg_read(seg, 0, text, sizeof text, &version));
    need(strcmp(text, "low") == 0);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_wait(seg, version, &version, 20 * SECOND));
    need_result(MAPSEG_OK, mapseg_read(seg, 0, text, sizeof text, NULL));
    need(strcmp(text, "up!") == 0);
    mapseg_free(seg);
}

/** The one kind of attachment that copies nothing up. */
START_TEST(reader_of_the_lower_layer)
{
    struct stage *stage = stage_below((enum layers)_i);
    pid_t reader = start_ready(read_through_a_copy, stage);
    mapseg *seg;

    need_seen(1, 1, stage->place.key);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_seen(2, 1, stage->place.key);
    need_result(MAPSEG_OK, mapseg_write(seg, 0, "up!", 4));
    atomic_store(&stage->go, 1);
    finish(reader);
    need_seen(1, 0, stage->place.key);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------- closed descriptors -- */

static void
close_all(void)
{
    for (int fd = 3; fd < 256; fd++)
        (void)close(fd);
}

/** Makes itself a daemon the old way, and opens files of its own. */
static void
lose_presence(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    int log[8];
    char text[4];

    close_all();
    for (size_t i = 0; i < sizeof log / sizeof *log; i++)
        log[i] = open("/dev/shm/log", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    /* It is not counted any more, and must not take what a living owner has. */
    need_seen((uint32_t)stage->number, 0, stage->place.key);
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, PATIENCE));
    need_result(MAPSEG_OK, mapseg_read(seg, 0, text, sizeof text, NULL));
    need(strcmp(text, "low") == 0);
    need_number(MAPSEG_PRESENCE_NONE, kind_of(seg));
    need_result(MAPSEG_OK, mapseg_detach(seg));
    /* Its own files are still open. */
    for (size_t i = 0; i < sizeof log / sizeof *log; i++)
        need(fcntl(log[i], F_GETFD) >= 0);
    /* To attach anew makes it whole. */
    need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_seen((uint32_t)stage->number + 1, 0, stage->place.key);
    mapseg_free(seg);
}

START_TEST(daemon_that_closes_all_descriptors)
{
    struct stage *stage = stage_below((enum layers)_i);
    pid_t owner = start_ready(hold_and_stay, stage);

    stage->number = 1;
    finish(start(lose_presence, stage));
    need_number(MAPSEG_LOCK_STATE_HELD, lock_state_of(stage->place.key));
    need(exists(stage->place.path));
    kill_and_reap(owner);
}
END_TEST

/** Attaches anew by a second handle, which gets the very numbers that the first one
 *  had, and only then frees the first. */
static void
attach_beside_a_lost_one(struct stage *stage)
{
    mapseg *lost;
    mapseg *seg;

    /* First once, so that the numbers are the same both times. */
    close_all();
    lost = attached(stage->place.key, MAPSEG_READ_WRITE);
    close_all();
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    mapseg_free(lost);
    need_seen(1, 0, stage->place.key);
    need_number(MAPSEG_LOCK_STATE_HELD, lock_state_of(stage->place.key));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}

/** The child's presence gets a number that the first handle had. */
static void
fork_beside_a_lost_one(struct stage *stage)
{
    mapseg *lost;
    mapseg *seg;
    pid_t child;

    close_all();
    lost = attached(stage->place.key, MAPSEG_READ_WRITE);
    close_all();
    need(open("/dev/null", O_RDONLY | O_CLOEXEC) == 3);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    child = fork();
    need(child >= 0);
    mapseg_free(lost);
    if (child == 0) {
        need_number(MAPSEG_PRESENCE_DESCRIPTOR, kind_of(seg));
        _exit(0);
    }
    finish(child);
    need_number(MAPSEG_PRESENCE_DESCRIPTOR, kind_of(seg));
    mapseg_free(seg);
}

/** So does a descriptor that the program asked for, and has to close itself. */
static void
export_beside_a_lost_one(struct stage *stage)
{
    mapseg *lost;
    int exported[2];

    close_all();
    lost = attached(stage->place.key, MAPSEG_READ_WRITE);
    close_all();
    exported[0] = exported_fd(lost, MAPSEG_READ_WRITE);
    exported[1] = exported_fd(lost, MAPSEG_READ_ONLY);
    mapseg_free(lost);
    need(fcntl(exported[0], F_GETFD) >= 0);
    need(fcntl(exported[1], F_GETFD) >= 0);
}

START_TEST(numbers_of_a_lost_attachment)
{
    static void (*const bodies[])(struct stage * stage) = {
        attach_beside_a_lost_one,
        fork_beside_a_lost_one,
        export_beside_a_lost_one,
    };

    finish(start(bodies[_i], stage_below(ON_TMPFS)));
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

static void
add_overlays(Suite *suite, int first, int end)
{
    TCase *tcase = new_case(suite, "overlay");

    tcase_add_loop_test(tcase, all_are_counted, first, end);
    tcase_add_loop_test(tcase, readers_are_counted, first, end);
    tcase_add_loop_test(tcase, reader_keeps_the_name, first, end);
    tcase_add_loop_test(tcase, last_one_out_removes, first, end);
    tcase_add_loop_test(tcase, killed_creator_leaves_it_stale, first, end);
    tcase_add_loop_test(tcase, living_owner_is_not_robbed, first, end);
    tcase_add_loop_test(tcase, forty_count_to_the_right_sum, first, end);
    tcase_add_loop_test(tcase, child_of_a_parent_that_ends_at_once, first, end);
    tcase_add_loop_test(tcase, child_and_parent_are_each_present, first, end);
    tcase_add_loop_test(tcase, lock_held_at_a_fork_stays_the_parents, first, end);
    tcase_add_loop_test(tcase, presence_ends_with_an_exec, first, end);
    tcase_add_loop_test(tcase, segment_of_the_lower_layer, first, end);
    tcase_add_loop_test(tcase, reader_of_the_lower_layer, first, end);
    tcase_add_loop_test(tcase, daemon_that_closes_all_descriptors, first, end);
    if (first == ON_TMPFS)
        tcase_add_loop_test(tcase, numbers_of_a_lost_attachment, 0, 3);
}

int
main(void)
{
    Suite *suite = new_suite("overlay");

    if (!skip_unless(is_root(), "mounting an overlay needs root"))
        return run_suite(suite);
    if (skip_unless(has_layers(ON_TMPFS), "no overlayfs can be mounted over a tmpfs here"))
        add_overlays(suite, ON_TMPFS, ON_TMPFS + 1);
    if (skip_unless(has_layers(ON_BOTH),
                    "no overlayfs over an ext4 on a loop device (mkfs.ext4, /dev/loop*)"))
        add_overlays(suite, ON_EXT4, LAYERS);
    return run_suite(suite);
}
