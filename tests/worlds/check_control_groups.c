/*
 * check_control_groups.c - memory that a control group limits: above what is left there the kernel
 * kills, it does not refuse. So the library refuses, and leaves nothing behind.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MEBIBYTE ((size_t)1 << 20)
#define LIMIT (64 * MEBIBYTE)
#define TAKEN (40 * MEBIBYTE)
#define WANTED (40 * MEBIBYTE)

/* ------------------------------------------------------------ the group -- */

/** A control group of the test's own, with the limit, and one within it that has none. */
static char outer[PATH_MAX];
static char inner[PATH_MAX + 8];
static bool unified;

static bool
write_file(const char *directory, const char *file, const char *text)
{
    char path[2 * PATH_MAX + 64];
    int fd;
    bool good;

    snprintf(path, sizeof path, "%s/%s", directory, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    good = fd != -1 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd != -1)
        close(fd);
    return good;
}

/** Whether a file of the group has the word. */
static bool
has_word(const char *directory, const char *file, const char *word)
{
    char path[2 * PATH_MAX + 64], found[64] = "";
    FILE *stream;
    bool has = false;

    snprintf(path, sizeof path, "%s/%s", directory, file);
    stream = fopen(path, "re");
    while (stream != NULL && !has && fscanf(stream, "%63s", found) == 1)
        has = strcmp(found, word) == 0;
    if (stream != NULL)
        fclose(stream);
    return has;
}

/** Where groups of memory are mounted. */
static bool
find_mount(const char *type, const char *option, char place[PATH_MAX])
{
    FILE *stream = fopen("/proc/self/mounts", "re");
    char line[2 * PATH_MAX], kind[64], options[1024];
    bool found = false;

    while (stream != NULL && !found && fgets(line, sizeof line, stream) != NULL)
        found = sscanf(line, "%*s %4095s %63s %1023s", place, kind, options) == 3 &&
                strcmp(kind, type) == 0 && strstr(options, option) != NULL;
    if (stream != NULL)
        fclose(stream);
    return found;
}

/** The group of this process in that hierarchy. */
static bool
find_own(const char *label, char path[PATH_MAX])
{
    FILE *stream = fopen("/proc/self/cgroup", "re");
    char line[2 * PATH_MAX];
    const char *begin = NULL;

    while (stream != NULL && begin == NULL && fgets(line, sizeof line, stream) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        begin = strstr(line, label);
    }
    if (begin != NULL)
        snprintf(path, PATH_MAX, "%.*s", PATH_MAX - 1, begin + strlen(label));
    if (stream != NULL)
        fclose(stream);
    return begin != NULL;
}

/** A group goes when the kernel has let go of the last process in it. */
static void
remove_group(const char *directory)
{
    int64_t deadline = hang_deadline();

    while (*directory != '\0' && rmdir(directory) != 0 && errno == EBUSY && now_ns() < deadline)
        nap(MILLISECOND);
}

static void
remove_groups(void)
{
    remove_group(inner);
    remove_group(outer);
}

/** Makes both groups below one that has none of the memory controller's in the way. */
static bool
make_groups(const char *above)
{
    int length = snprintf(outer, sizeof outer, "%s/%s", above, run_mark());

    if (length >= (int)sizeof outer)
        return false;
    snprintf(inner, sizeof inner, "%s/inner", outer);
    /* Of a test that failed. */
    remove_groups();
    if (mkdir(outer, 0755) != 0)
        return false;
    if (unified)
        (void)write_file(outer, "cgroup.subtree_control", "+memory");
    return mkdir(inner, 0755) == 0;
}

static bool
use_version_1(void)
{
    char place[PATH_MAX], own[PATH_MAX], above[2 * PATH_MAX];

    unified = false;
    if (!find_mount("cgroup", "memory", place) || !find_own(":memory:", own))
        return false;
    snprintf(above, sizeof above, "%s%s", place, strcmp(own, "/") == 0 ? "" : own);
    return make_groups(above);
}

/** Of version 2 a group that has processes can have no groups with controllers. */
static bool
use_version_2(void)
{
    char place[PATH_MAX], own[PATH_MAX], above[2 * PATH_MAX];
    bool found = false;

    unified = true;
    if (!find_mount("cgroup2", "", place) || !find_own("0::", own))
        return false;
    while (!found) {
        char *last = strrchr(own, '/');

        snprintf(above, sizeof above, "%s%s", place, own);
        found = has_word(above, "cgroup.subtree_control", "memory");
        if (!found && last == NULL)
            return false;
        if (!found)
            *last = '\0';
    }
    return make_groups(above);
}

static bool
has_swap(void)
{
    struct sysinfo machine;

    return sysinfo(&machine) != 0 || machine.totalswap != 0;
}

/** Fails where swap space would be had above the limit. */
static bool
set_limits(void)
{
    char text[32];

    snprintf(text, sizeof text, "%zu", LIMIT);
    if (!write_file(outer, unified ? "memory.max" : "memory.limit_in_bytes", text))
        return false;
    return (unified ? write_file(outer, "memory.swap.max", "0")
                    : write_file(outer, "memory.memsw.limit_in_bytes", text)) ||
           !has_swap();
}

static void
make_limited_groups(void)
{
    need(use_version_2() || use_version_1());
    need(set_limits());
}

/** Whether there can be such groups. */
static bool
has_groups(void)
{
    bool has = (use_version_2() || use_version_1()) && set_limits();

    remove_groups();
    return has;
}

static void
enter(const char *group)
{
    char text[32];

    snprintf(text, sizeof text, "%ld", (long)getpid());
    need(write_file(group, "cgroup.procs", text));
}

/* ------------------------------------------------------------- the tests -- */

static void
take_memory(size_t bytes)
{
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    need(memory != MAP_FAILED);
    memset(memory, 1, bytes);
}

static const char *const keys[] = {"shm", "memfd:", "single"};

/** Creates the segment, which is too large: the result is all that comes of it. */
static void
be_refused(const char *kind)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct footprint before;
    struct place place;
    mapseg *seg;

    new_place(&place);
    seg = handle_for(strcmp(kind, "shm") == 0 ? place.key : "memfd:");
    options.flags = strcmp(kind, "single") == 0 ? MAPSEG_SINGLE_WRITER : 0;
    take_footprint(&before, NULL);
    need_call(MAPSEG_OUT_OF_RESOURCES, seg,
              mapseg_create_with(seg, WANTED, MAPSEG_READ_WRITE, &options));
    need(strstr(mapseg_error_string(seg), "memory") != NULL);
    check_footprint(&before, NULL);
    need(!exists(place.path));
    mapseg_free(seg);
}

static int
create_beside_own_memory(void *kind)
{
    enter(outer);
    take_memory(TAKEN);
    be_refused(kind);
    return 0;
}

START_TEST(what_is_left_is_asked_for)
{
    ck_assert_int_eq(in_child(create_beside_own_memory, (void *)(uintptr_t)keys[_i]), 0);
}
END_TEST

static int
hold_memory(int channel, void *argument)
{
    (void)argument;
    enter(outer);
    take_memory(TAKEN);
    say(channel, 'y');
    (void)hear(channel);
    return 0;
}

static int
create_in_inner_group(void *kind)
{
    enter(inner);
    be_refused(kind);
    return 0;
}

/** The limit is of the group above, and another process has used most of it up. */
START_TEST(groups_above_are_asked_too)
{
    struct peer peer;

    /* Of version 2 only the groups without groups have processes. */
    if (unified)
        return;
    peer = start_peer(hold_memory, NULL);
    ck_assert_int_eq(hear(peer.channel), 'y');
    ck_assert_int_eq(in_child(create_in_inner_group, (void *)(uintptr_t)keys[_i]), 0);
    kill_peer(&peer);
}
END_TEST

/** Creates what there is room for. */
static void
be_served(const char *kind, size_t bytes)
{
    struct place place;
    mapseg *seg;

    new_place(&place);
    seg = handle_for(strcmp(kind, "shm") == 0 ? place.key : "memfd:");
    need_call(MAPSEG_OK, seg, mapseg_create(seg, bytes, MAPSEG_READ_WRITE));
    memset(data_of(seg), 1, bytes);
    mapseg_free(seg);
}

static int
create_what_fits(void *kind)
{
    enter(outer);
    take_memory(TAKEN / 4);
    be_served(kind, WANTED);
    return 0;
}

START_TEST(what_fits_is_had)
{
    ck_assert_int_eq(in_child(create_what_fits, (void *)(uintptr_t)keys[_i]), 0);
}
END_TEST

/** Files that were read or written take memory of the group too, which the kernel gives back: to
 *  count it as used would refuse segments in every group that has run for a while. */
static int
create_beside_cache(void *kind)
{
    char path[] = "/var/tmp/mapsegtestXXXXXX", block[65536];
    int fd = mkstemp(path);

    need(fd != -1);
    unlink(path);
    memset(block, 1, sizeof block);
    enter(outer);
    for (size_t written = 0; written < LIMIT; written += sizeof block)
        need(write(fd, block, sizeof block) == (ssize_t)sizeof block);
    need_number(0, fsync(fd));
    be_served(kind, WANTED);
    close(fd);
    return 0;
}

/** Whether files of /var/tmp are memory themselves, which no kernel gives back. */
static bool
files_are_memory(void)
{
    struct statfs status;

    return statfs("/var/tmp", &status) != 0 || (unsigned long)status.f_type == TMPFS_MAGIC ||
           (unsigned long)status.f_type == RAMFS_MAGIC;
}

START_TEST(cache_does_not_count)
{
    ck_assert_int_eq(in_child(create_beside_cache, (void *)(uintptr_t)keys[_i]), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("control groups");
    TCase *group = new_case(suite, "memory");
    int status;

    tcase_add_checked_fixture(group, make_limited_groups, remove_groups);
    /* These take more memory themselves than the limit leaves. */
    if (skip_unless(!under_sanitizer() && !under_valgrind(), "the sanitizers take the memory") &&
        skip_unless(has_groups(), "no control group that limits memory can be made here")) {
        tcase_add_loop_test(group, what_is_left_is_asked_for, 0, 3);
        if (skip_unless(!unified, "of version 2 only the lowest groups have processes"))
            tcase_add_loop_test(group, groups_above_are_asked_too, 0, 3);
        tcase_add_loop_test(group, what_fits_is_had, 0, 2);
        if (skip_unless(!files_are_memory(), "files of /var/tmp lie in memory"))
            tcase_add_loop_test(group, cache_does_not_count, 0, 2);
    }
    status = run_suite(suite);
    remove_groups();
    return status;
}
