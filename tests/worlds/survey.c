/*
 * survey.c - what holds in a directory: one line for each property, "PROPERTY ANSWER".
 *
 *   survey DIRECTORY [BELOW]
 *
 * BELOW is where the file system keeps the files of DIRECTORY: where no segment can be made
 * through it, one that was made there is looked at. Each property is looked at by processes of
 * its own. What was not as it should be goes to standard error. It fails only if it cannot look.
 *
 * The properties. create and attach are "yes", or the refusal. presence is what it lies on. lock:
 * it excludes, and a dead owner is replaced. removal: the last one out removes the name, and what
 * the dead leave can be reclaimed. reserve: what was reserved can be written, also again, after
 * the disk is full, and what does not fit is refused; or it is endless. huge: a large segment has
 * huge pages.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define DATA_BYTES 4096
#define COUNTERS 4
#define ROUNDS 200
/** An owner that is not replaced within this is said to be never replaced. */
#define OWNER_PATIENCE (20 * SECOND)
/** Both are larger than what a file system keeps back. */
#define RESERVED_BYTES (16 * MIB)
#define HUGE_BYTES (8 * MIB)
/** No larger file system is filled up. */
#define LARGEST_BYTES (1024 * MIB)

/** What a process ends with where the file system has no end but that of memory. */
#define ENDLESS 2

/** Where it is looked, and where segments are made: there, or below. */
static const char *directory;
static const char *maker;

static void
key_in(const char *in, const char *name, char key[KEY_BYTES])
{
    (void)snprintf(key, KEY_BYTES, "file:%.120s/%.120s", in, name);
}

static struct stage *
new_stage_here(void)
{
    struct stage *stage = shared_memory(sizeof *stage);
    char name[KEY_BYTES];

    unique_name(name);
    key_in(directory, name, stage->place.key);
    path_of(stage->place.path, stage->place.key);
    return stage;
}

/** The key by which a place's segment is made. */
static void
maker_key(const struct place *place, char key[KEY_BYTES])
{
    key_in(maker, strrchr(place->path, '/') + 1, key);
}

static void
print_refusal(const char *property, mapseg *seg, mapseg_result result)
{
    const char *name = mapseg_result_name(result);

    printf("%s %s\n", property, name + strlen("MAPSEG_"));
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s\n", mapseg_error_string(seg));
}

/* -------------------------------------------------------------- processes -- */

/** How a process that runs the body ends: 0 as it should. */
static int
run(void (*body)(struct stage *stage), struct stage *stage)
{
    pid_t pid = start(body, stage);
    int status;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status))
        (void)fprintf(stderr, "signal %d (%s)\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void
answer(const char *property, void (*body)(struct stage *stage))
{
    struct stage *stage = new_stage_here();
    int end = run(body, stage);

    printf("%s %s\n", property, end == 0 ? "yes" : end == ENDLESS ? "endless" : "no");
    (void)fflush(stdout);
    (void)unlink(stage->place.path);
}

static void
hold_for_ever(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        (void)pause();
}

static void
count_under_the_lock(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    volatile uint64_t *counter = mapseg_data(seg);

    for (int i = 0; i < ROUNDS; i++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        *counter = *counter + 1;
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}

/* -------------------------------------------------------------- properties -- */

static void
exclude_and_replace(struct stage *stage)
{
    pid_t counters[COUNTERS];
    char key[KEY_BYTES];
    pid_t owner;
    mapseg *seg;

    maker_key(&stage->place, key);
    leave_persistent(key, DATA_BYTES, 0);
    for (int i = 0; i < COUNTERS; i++)
        counters[i] = start(count_under_the_lock, stage);
    for (int i = 0; i < COUNTERS; i++)
        finish(counters[i]);
    owner = start(hold_for_ever, stage);
    await(&stage->ready, 1);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_number(COUNTERS * ROUNDS, *(const uint64_t *)mapseg_const_data(seg));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, SECOND / 10));
    kill_and_reap(owner);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock_for(seg, OWNER_PATIENCE));
    mapseg_free(seg);
}

static void
leave_and_reclaim(struct stage *stage)
{
    mapseg *first = created(stage->place.key, DATA_BYTES);
    mapseg *second = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_IN_USE, mapseg_reclaim(handle_for(stage->place.key)));
    mapseg_free(first);
    need(exists(stage->place.path));
    mapseg_free(second);
    need(!exists(stage->place.path));
    leave_debris(stage->place.key, DATA_BYTES, 1);
    need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
    need_result(MAPSEG_OK, mapseg_reclaim(handle_for(stage->place.key)));
    need(!exists(stage->place.path));
}

/** Takes what is left, down to the last block: a file system that writes later says only then
 *  that it is full. The file is gone with the process. */
static void
fill_up(const char *path)
{
    static char block[MIB];
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    need(fd >= 0);
    need(unlink(path) == 0);
    memset(block, 'x', sizeof block);
    for (size_t bytes = sizeof block; bytes >= 512; bytes /= 2)
        while (write(fd, block, bytes) > 0 && fdatasync(fd) == 0)
            continue;
}

static void
write_reserved(struct stage *stage)
{
    mapseg *seg = created(stage->place.key, RESERVED_BYTES);
    char *data = data_of(seg);
    char path[KEY_BYTES + 8];

    memset(data, 1, RESERVED_BYTES);
    need_number(0, msync(data, RESERVED_BYTES, MS_SYNC));
    (void)snprintf(path, sizeof path, "%s.full", stage->place.path);
    fill_up(path);
    memset(data, 2, RESERVED_BYTES);
    need_number(0, msync(data, RESERVED_BYTES, MS_SYNC));
    mapseg_free(seg);
}

/** More than there can ever be: what is free may grow meanwhile, as files that were removed are
 *  freed. */
static void
ask_too_much(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);
    struct statvfs status;

    need_number(0, statvfs(directory, &status));
    need_call(
        MAPSEG_OUT_OF_RESOURCES, seg,
        mapseg_create(seg, (size_t)status.f_blocks * status.f_frsize + MIB, MAPSEG_READ_WRITE));
    need(!exists(stage->place.path));
}

static void
reserve(struct stage *stage)
{
    struct statvfs status;

    need_number(0, statvfs(directory, &status));
    if (status.f_blocks == 0)
        _exit(ENDLESS);
    need((size_t)status.f_blocks * status.f_frsize <= LARGEST_BYTES);
    ask_too_much(stage);
    write_reserved(stage);
}

static void
have_huge_pages(struct stage *stage)
{
    mapseg *seg = created(stage->place.key, HUGE_BYTES);
    mapseg_info *information;

    memset(data_of(seg), 1, HUGE_BYTES);
    information = describe(seg);
    need(information->huge_bytes > 0);
    mapseg_info_free(information);
    mapseg_free(seg);
}

/* ---------------------------------------------------------------- the survey -- */

static const char *
kind_name(mapseg *seg)
{
    mapseg_info *information = describe(seg);
    mapseg_presence_kind kind = information->presence;

    mapseg_info_free(information);
    return kind == MAPSEG_PRESENCE_SLOT         ? "page"
           : kind == MAPSEG_PRESENCE_DESCRIPTOR ? "descriptor"
           : kind == MAPSEG_PRESENCE_RECEIVED   ? "shared"
                                                : "none";
}

/** Whether a segment can be made there. */
static bool
survey_create(void)
{
    struct stage *stage = new_stage_here();
    mapseg *seg = handle_for(stage->place.key);
    mapseg_result result = mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE);

    if (result != MAPSEG_OK)
        print_refusal("create", seg, result);
    else
        printf("create yes\npresence %s\n", kind_name(seg));
    (void)fflush(stdout);
    mapseg_free(seg);
    if (exists(stage->place.path))
        broken("%s stays", stage->place.path);
    return result == MAPSEG_OK;
}

/** Whether one that was made below can be used. */
static bool
survey_attach(void)
{
    struct stage *stage = new_stage_here();
    mapseg *seg = handle_for(stage->place.key);
    char key[KEY_BYTES];
    mapseg_result result;

    maker_key(&stage->place, key);
    leave_persistent(key, DATA_BYTES, 0);
    result = mapseg_attach(seg, MAPSEG_READ_WRITE);
    if (result != MAPSEG_OK)
        print_refusal("attach", seg, result);
    else
        printf("attach yes\npresence %s\n", kind_name(seg));
    (void)fflush(stdout);
    mapseg_free(seg);
    remove_persistent(key);
    return result == MAPSEG_OK;
}

int
main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        (void)fprintf(stderr, "usage: survey DIRECTORY [BELOW]\n");
        return 2;
    }
    directory = maker = argv[1];
    if (survey_create()) {
        answer("lock", exclude_and_replace);
        answer("removal", leave_and_reclaim);
        answer("huge", have_huge_pages);
        /* Last: some file systems take their time to free what filled them. */
        answer("reserve", reserve);
    } else if (argc > 2) {
        maker = argv[2];
        if (survey_attach())
            answer("lock", exclude_and_replace);
    }
    return 0;
}
