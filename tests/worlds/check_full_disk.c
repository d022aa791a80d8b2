/*
 * check_full_disk.c - what a reserve is worth on a disk that is full: the data can be written again
 * and again. On file systems that the test makes in a file, and mounts for itself alone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEBIBYTE ((size_t)1 << 20)
#define SIZE (16 * MEBIBYTE)

static const struct kind {
    const char *type;
    const char *make; /**< makes one in the file whose name follows */
    const char *options;
    size_t bytes; /**< hardly more than the least that such a file system has */
} kinds[] = {
    {"btrfs", "mkfs.btrfs -q -m single", "loop", 160 * MEBIBYTE},
    {"btrfs", "mkfs.btrfs -q -m single", "loop,compress-force=zstd", 160 * MEBIBYTE},
    {"ext4", "mkfs.ext4 -q -m 0", "loop", 64 * MEBIBYTE},
    {"xfs", "mkfs.xfs -q", "loop", 320 * MEBIBYTE},
};

#define KINDS ((int)(sizeof kinds / sizeof *kinds))

/** Runs a command of the system's, quietly. */
static bool
runs(const char *command)
{
    char quiet[256];

    snprintf(quiet, sizeof quiet, "PATH=$PATH:/usr/sbin:/sbin; %s >/dev/null 2>&1", command);
    return system(quiet) == 0;
}

/** Mounts a new file system over /dev/shm, for this process and its children alone. The file that
 *  it lies in has no name any more, and goes with it. */
static bool
mount_disk(const struct kind *kind)
{
    char image[] = "/var/tmp/mapsegtestXXXXXX", command[160];
    int file = mkstemp(image);
    bool mounted;

    if (file == -1)
        return false;
    mounted = ftruncate(file, (off_t)kind->bytes) == 0;
    close(file);
    snprintf(command, sizeof command, "%s %s", kind->make, image);
    mounted = mounted && runs(command) && unshare(CLONE_NEWNS) == 0 &&
              mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0;
    snprintf(command, sizeof command, "mount -t %s -o %s %s " SHM_DIRECTORY, kind->type,
             kind->options, image);
    mounted = mounted && runs(command);
    unlink(image);
    return mounted;
}

static int
try_to_mount(void *kind)
{
    return mount_disk(kind) ? 0 : 1;
}

/** Fills memory with what no file system could make smaller. */
static void
fill_with_noise(char *to, size_t bytes)
{
    static uint64_t state = 88172645463325252U;

    for (size_t at = 0; at < bytes; at += sizeof state) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(to + at, &state, sizeof state);
    }
}

/** Writes until there is no room, not for a byte. */
static void
fill_disk(void)
{
    static char block[1 << 20];
    size_t step = sizeof block;
    int fd = open(SHM_DIRECTORY "/filler", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    need(fd != -1);
    while (step > 0) {
        ssize_t put;

        fill_with_noise(block, sizeof block);
        put = write(fd, block, step);
        if (put < 0 && errno != ENOSPC)
            broken("write: %s", strerror(errno));
        if (put <= 0)
            step /= 2;
    }
    (void)fsync(fd);
    close(fd);
}

/** Writes all of the data, and has it reach the disk. */
static void
write_all(mapseg *seg)
{
    char *data = data_of(seg);

    fill_with_noise(data, SIZE);
    need_number(0, msync(data, SIZE, MS_SYNC));
}

static int
write_on_a_full_disk(void *kind)
{
    mapseg *seg;

    need(mount_disk(kind));
    seg = handle_for("file:" SHM_DIRECTORY "/segment");
    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    write_all(seg);
    fill_disk();
    for (int round = 0; round < 3; round++)
        write_all(seg);
    mapseg_free(seg);
    return 0;
}

START_TEST(what_was_reserved_can_be_written_again)
{
    const struct kind *kind = &kinds[_i];
    int end = in_child(write_on_a_full_disk, (void *)(uintptr_t)kind);

    ck_assert_msg(end == 0, "%s, %s: ended with %d", kind->type, kind->options, end);
}
END_TEST

/* ------------------------------------------------------------- counting -- */

/** A reader of a file that the kernel's table of locks has by other numbers than stat(). */
static int
read_and_stay(int channel, void *key)
{
    mapseg *seg = handle_for(key);

    become_nobody();
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    say(channel, 'a');
    (void)hear(channel);
    return 0;
}

/** So many come to be seen: the table of locks is no picture of one moment. */
static void
await_readers(char *key, uint32_t readers)
{
    int64_t deadline = hang_deadline();
    mapseg *seg = handle_for(key);
    uint32_t seen;

    do {
        mapseg_info *information = describe(seg);

        seen = information->readers;
        mapseg_info_free(information);
    } while (seen != readers && now_ns() < deadline);
    need_number(readers, seen);
    mapseg_free(seg);
}

static int
count_in_subvolume(void *kind)
{
    enum { READERS = 3 };
    char key[] = "file:" SHM_DIRECTORY "/part/segment";
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct peer peers[READERS];
    mapseg *seg;

    need(mount_disk(kind));
    need(runs("btrfs subvolume create " SHM_DIRECTORY "/part"));
    need_number(0, chmod(SHM_DIRECTORY "/part", 0755));
    seg = handle_for(key);
    options.mode = 0644;
    options.flags = MAPSEG_PERSISTENT;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 4096, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    for (int i = 0; i < READERS; i++) {
        peers[i] = start_peer(read_and_stay, key);
        need_number('a', hear(peers[i].channel));
        await_readers(key, (uint32_t)i + 1);
    }
    for (int i = 0; i < READERS; i++) {
        kill_peer(&peers[i]);
        await_readers(key, (uint32_t)(READERS - 1 - i));
    }
    mapseg_free(seg);
    return 0;
}

START_TEST(readers_of_a_part_are_counted)
{
    ck_assert_int_eq(in_child(count_in_subvolume, (void *)(uintptr_t)&kinds[0]), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("full disk");
    TCase *group = new_case(suite, "disks");

    for (int i = 0; i < KINDS; i++) {
        char reason[96];

        snprintf(reason, sizeof reason, "no %s (%s) can be made and mounted here", kinds[i].type,
                 kinds[i].options);
        if (!skip_unless(is_root() && in_child(try_to_mount, (void *)(uintptr_t)&kinds[i]) == 0,
                         reason))
            continue;
        tcase_add_loop_test(group, what_was_reserved_can_be_written_again, i, i + 1);
        if (i == 0)
            tcase_add_test(group, readers_of_a_part_are_counted);
    }
    return run_suite(suite);
}
