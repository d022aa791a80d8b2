/*
 * check_resources.c - sizes that cannot be had, and what runs out when segments are created
 * and attached: each is a clear result, and nothing is left behind.
 *
 * SPDX-License-Identifier: MIT
 */
#include "refused.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---------------------------------------------------------------- sizes -- */

static void
check_size(const char *native_key, size_t size, mapseg_result expected, mapseg_result or_this)
{
    mapseg *seg = handle_for(native_key);
    struct footprint before;

    take_footprint(&before, NULL);
    check_refusal(seg, mapseg_create(seg, size, MAPSEG_READ_WRITE), expected, or_this);
    check_refusal(seg, mapseg_create_or_attach(seg, size, MAPSEG_READ_WRITE, NULL), expected,
                  or_this);
    check_footprint(&before, NULL);
    mapseg_free(seg);
}

START_TEST(size_that_cannot_be)
{
    static const size_t sizes[] = {0, SIZE_MAX, SIZE_MAX - 4095, SIZE_MAX / 2 + 2};

    check_size(key, sizes[_i], MAPSEG_INVALID_SIZE, MAPSEG_INVALID_SIZE);
    ck_assert(!exists(path));
    check_size("memfd:", sizes[_i], MAPSEG_INVALID_SIZE, MAPSEG_INVALID_SIZE);
}
END_TEST

START_TEST(size_that_no_machine_has)
{
    static const size_t sizes[] = {SIZE_MAX / 2, SIZE_MAX / 2 - 4096, SIZE_MAX >> 2,
                                   SIZE_MAX >> 14};

    check_size(key, sizes[_i], MAPSEG_OUT_OF_RESOURCES,
               _i < 2 ? MAPSEG_INVALID_SIZE : MAPSEG_OUT_OF_RESOURCES);
    ck_assert(!exists(path));
    check_size("memfd:", sizes[_i], MAPSEG_OUT_OF_RESOURCES,
               _i < 2 ? MAPSEG_INVALID_SIZE : MAPSEG_OUT_OF_RESOURCES);
}
END_TEST

/// Lazy or not: address space is not endless either.
START_TEST(size_that_no_machine_maps)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);
    struct footprint before;

    options.flags = MAPSEG_LAZY;
    take_footprint(&before, NULL);
    check_refusal(seg, mapseg_create_with(seg, SIZE_MAX >> 14, MAPSEG_READ_WRITE, &options),
                  MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
    check_footprint(&before, NULL);
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

START_TEST(size_on_a_disk_that_no_disk_has)
{
    char directory[] = "/var/tmp/mapsegtestXXXXXX", disk_key[64];

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(disk_key, sizeof disk_key, "file:%s/name", directory);
    check_size(disk_key, SIZE_MAX >> 14, MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

#define FILE_LIMIT (1 << 20)

/// No signal may come: its default ends the process.
static int
create_above_the_limit(void *native_key)
{
    struct rlimit limit = {FILE_LIMIT, FILE_LIMIT};

    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    signal(SIGXFSZ, SIG_DFL);
    check_size(native_key, 2 * FILE_LIMIT, MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
    /* The data alone would be allowed, not so with the header. */
    check_size(native_key, FILE_LIMIT, MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
    return 0;
}

static int
create_below_the_limit(void *native_key)
{
    struct rlimit limit = {FILE_LIMIT, FILE_LIMIT};
    mapseg *seg = handle_for(native_key);

    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    need_call(MAPSEG_OK, seg, mapseg_create(seg, FILE_LIMIT - 65536, MAPSEG_READ_WRITE));
    mapseg_free(seg);
    return 0;
}

START_TEST(size_above_the_limit_of_files)
{
    char *const keys[] = {key, (char *)"memfd:"};

    ck_assert_int_eq(in_child(create_above_the_limit, keys[_i]), 0);
    ck_assert(!exists(path));
    ck_assert_int_eq(in_child(create_below_the_limit, keys[_i]), 0);
    ck_assert(!exists(path));
}
END_TEST

/** A line of /proc/meminfo, in bytes. */
static uint64_t
memory_info(const char *name)
{
    unsigned long long kilobytes = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            (void)sscanf(line + strlen(name), ": %llu", &kilobytes);
    fclose(file);
    return kilobytes * 1024;
}

/** Asks for what the machine has, but not for us: to take it would make the kernel kill. */
static int
create_more_than_is_left(void *native_key)
{
    uint64_t left = memory_info("MemAvailable") + memory_info("SwapFree");
    uint64_t all = memory_info("MemTotal") + memory_info("SwapTotal");
    mapseg *seg = handle_for(native_key);
    FILE *file = fopen("/proc/self/oom_score_adj", "we");

    if (file != NULL) {
        /* If it comes to that, then this process. */
        (void)fputs("1000", file);
        fclose(file);
    }
    if (all < left + (UINT64_C(64) << 20))
        return 0;
    need_call(MAPSEG_OUT_OF_RESOURCES, seg,
              mapseg_create(seg, (size_t)(left + (all - left) / 2), MAPSEG_READ_WRITE));
    mapseg_free(seg);
    return 0;
}

START_TEST(size_above_the_memory_that_is_left)
{
    char *const keys[] = {key, (char *)"memfd:"};

    ck_assert_int_eq(in_child(create_more_than_is_left, keys[_i]), 0);
    ck_assert(!exists(path));
}
END_TEST

/* --------------------------------------------------- a full file system -- */

START_TEST(full_file_system_leaves_nothing_behind)
{
    struct statvfs before, after;

    use_tiny_shm("size=1m");
    ck_assert_int_eq(statvfs("/dev/shm", &before), 0);
    check_size(key, 1 << 20, MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
    check_size(key, 100 << 20, MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
    ck_assert_int_eq(count_names(""), 0);
    ck_assert_int_eq(statvfs("/dev/shm", &after), 0);
    ck_assert_uint_eq(after.f_bfree, before.f_bfree);
    ck_assert_uint_eq(after.f_ffree, before.f_ffree);
}
END_TEST

START_TEST(file_system_without_inodes)
{
    use_tiny_shm("size=1m,nr_inodes=2");
    leave_persistent("shm:first", 10, 0);
    check_size(key, 10, MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
    ck_assert(!exists(path));
    ck_assert_int_eq(unlink("/dev/shm/first"), 0);
}
END_TEST

/* QSharedMemory: with /dev/shm full create succeeds, and the first touch is a SIGBUS. */
START_TEST(full_file_system_is_out_of_resources)
{
    struct statvfs before, after;
    struct footprint footprint;
    mapseg *seg = handle_for(key), *small;

    use_tiny_shm("size=1m");
    ck_assert_int_eq(statvfs("/dev/shm", &before), 0);
    take_footprint(&footprint, path);
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_create(seg, 2 << 20, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OUT_OF_RESOURCES);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    /* The data would fit, but not with its header. */
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_create(seg, 1 << 20, MAPSEG_READ_WRITE));
    check_footprint(&footprint, path);
    ck_assert_int_eq(count_names(""), 0);
    ck_assert_int_eq(statvfs("/dev/shm", &after), 0);
    ck_assert_uint_eq(after.f_bfree, before.f_bfree);
    ck_assert_uint_eq(after.f_ffree, before.f_ffree);

    need_call(MAPSEG_OK, seg, mapseg_create(seg, (1 << 20) - 65536, MAPSEG_READ_WRITE));
    small = handle_for("shm:second");
    need_call(MAPSEG_OUT_OF_RESOURCES, small, mapseg_create(small, 65536, MAPSEG_READ_WRITE));
    memset(mapseg_data(seg), 1, (1 << 20) - 65536);
    mapseg_free(seg);
    need_call(MAPSEG_OK, small, mapseg_create(small, 65536, MAPSEG_READ_WRITE));
    mapseg_free(small);
    ck_assert_int_eq(count_names(""), 0);
}
END_TEST

/* QSharedMemory: the same. What was reserved stays, whatever fills the rest later. */
START_TEST(reserved_memory_is_there_when_touched)
{
    mapseg *seg;
    char *block;
    int fd;

    use_tiny_shm("size=1m");
    seg = created(key, 512 << 10);
    fd = open("/dev/shm/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    block = calloc(1, 65536);
    while (write(fd, block, 65536) > 0)
        continue;
    ck_assert_uint_eq(free_blocks(), 0);
    memset(mapseg_data(seg), 1, 512 << 10);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    free(block);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// Lazy segments take no memory until it is touched: that is what they are for.
START_TEST(lazy_segments_reserve_nothing)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    use_tiny_shm("size=1m");
    options.flags = MAPSEG_LAZY;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 16 << 20, MAPSEG_READ_WRITE, &options));
    ck_assert_uint_eq(mapseg_size(seg), 16 << 20);
    ck_assert_uint_ge(free_blocks() * 4096, 512 << 10);
    *((char *)data_of(seg) + (8 << 20)) = 1;
    mapseg_free(seg);
    ck_assert_int_eq(count_names(""), 0);
}
END_TEST

/// Doubling the size until the memory is used up.
START_TEST(use_too_much_memory)
{
    mapseg_result result = MAPSEG_OK;
    size_t size = 65536;

    use_tiny_shm("size=4m");
    while (result == MAPSEG_OK) {
        mapseg *seg = handle_for(key);

        result = mapseg_create(seg, size, MAPSEG_READ_WRITE);
        if (result == MAPSEG_OK)
            memset(mapseg_data(seg), 1, size);
        else
            need_call(MAPSEG_OUT_OF_RESOURCES, seg, result);
        mapseg_free(seg);
        ck_assert(!exists(path));
        size *= 2;
    }
    ck_assert_uint_eq(size, 8 << 20);
}
END_TEST

/* -------------------------------------------- descriptors and addresses -- */

START_TEST(no_descriptors_left)
{
    struct rlimit limit;
    struct footprint before;
    mapseg *seg = handle_for(key), *holder;

    for (int room = 0; room < 6; room++) {
        holder = handle_for(key);
        take_footprint(&before, path);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = (rlim_t)count_descriptors() + (rlim_t)room;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        if (mapseg_create(seg, 10, MAPSEG_READ_WRITE) == MAPSEG_OK)
            need_call(MAPSEG_OK, seg, mapseg_detach(seg));
        else
            check_refusal(seg, mapseg_error(seg), MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
        limit.rlim_cur = limit.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        check_footprint(&before, path);
        ck_assert(!exists(path));
        mapseg_free(holder);
    }
    mapseg_free(seg);
}
END_TEST

START_TEST(no_descriptors_left_to_attach)
{
    struct rlimit limit;
    struct footprint before;
    mapseg *seg = handle_for(key), *holder = created(key, 10);

    take_footprint(&before, path);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    for (rlim_t room = 0; room < 6; room++) {
        limit.rlim_cur = (rlim_t)before.descriptors + room;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        if (mapseg_attach(seg, MAPSEG_READ_WRITE) == MAPSEG_OK)
            need_call(MAPSEG_OK, seg, mapseg_detach(seg));
        else
            check_refusal(seg, mapseg_error(seg), MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
        limit.rlim_cur = limit.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        check_footprint(&before, path);
    }
    mapseg_free(seg);
    mapseg_free(holder);
    ck_assert(!exists(path));
}
END_TEST

/// Attaching until nothing is left fails clearly, and all goes on when there is room again.
START_TEST(attach_too_much)
{
    enum { MOST = 64 };
    struct rlimit limit;
    mapseg *segs[MOST], *holder = created(key, 10);
    mapseg_result result = MAPSEG_OK;
    int fds[MOST], opened = 0, count;
    struct footprint before;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)count_descriptors() + 20;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (count = 0; count < MOST && result == MAPSEG_OK; count++) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (fd != -1)
            fds[opened++] = fd;
        segs[count] = handle_for(key);
        result = mapseg_attach(segs[count], MAPSEG_READ_WRITE);
    }
    need_call(MAPSEG_OUT_OF_RESOURCES, segs[count - 1], result);
    ck_assert(is_one_line(mapseg_error_string(segs[count - 1])));
    ck_assert(!mapseg_is_attached(segs[count - 1]));
    while (opened > 0)
        close(fds[--opened]);
    take_footprint(&before, path);
    need_call(MAPSEG_OK, segs[count - 1], mapseg_attach(segs[count - 1], MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, segs[count - 1], mapseg_detach(segs[count - 1]));
    check_footprint(&before, path);
    while (count > 0)
        mapseg_free(segs[--count]);
    mapseg_free(holder);
    ck_assert(!exists(path));
}
END_TEST

/// How much address space the process uses.
static rlim_t
address_space(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/// A segment that a small /dev/shm has room for (a container's has 64 MiB), and how much less than
/// that is left of the address space.
#define LARGE_SIZE ((size_t)24 << 20)
#define ROOM_LEFT ((rlim_t)8 << 20)

START_TEST(no_address_space_left)
{
    struct rlimit limit;
    struct footprint before;
    mapseg *seg = handle_for(key), *holder;

    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = address_space() + ROOM_LEFT;
    take_footprint(&before, NULL);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    check_refusal(seg, mapseg_create(seg, LARGE_SIZE, MAPSEG_READ_WRITE), MAPSEG_OUT_OF_RESOURCES,
                  MAPSEG_OUT_OF_RESOURCES);
    check_footprint(&before, NULL);
    ck_assert(!exists(path));

    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    holder = created(key, LARGE_SIZE);
    take_footprint(&before, path);
    limit.rlim_cur = address_space() + ROOM_LEFT;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    check_refusal(seg, mapseg_attach(seg, MAPSEG_READ_WRITE), MAPSEG_OUT_OF_RESOURCES,
                  MAPSEG_OUT_OF_RESOURCES);
    check_footprint(&before, path);
    ck_assert(exists(path));
    mapseg_free(seg);
    mapseg_free(holder);
    ck_assert(!exists(path));
}
END_TEST

/* -------------------------------------------------------------- program -- */

static TCase *
new_group(Suite *suite, const char *name)
{
    TCase *group = new_case(suite, name);

    tcase_add_checked_fixture(group, choose_key, NULL);
    return group;
}

/*
 * Valgrind maps memory in its own way: what the kernel refuses for want of address space has
 * another reason there.
 */

static void
add_sizes(Suite *suite)
{
    TCase *group = new_group(suite, "sizes");

    tcase_add_loop_test(group, size_that_cannot_be, 0, 4);
    tcase_add_loop_test(group, size_that_no_machine_has, 0, 4);
    if (!under_valgrind())
        tcase_add_test(group, size_that_no_machine_maps);
    tcase_add_test(group, size_on_a_disk_that_no_disk_has);
    tcase_add_loop_test(group, size_above_the_limit_of_files, 0, 2);
    tcase_add_loop_test(group, size_above_the_memory_that_is_left, 0, 2);
}

static void
add_full_file_systems(Suite *suite)
{
    TCase *group = new_group(suite, "full file systems");

    if (!skip_unless(can_mount(), "full file systems: no private mounts here"))
        return;
    tcase_add_test(group, full_file_system_leaves_nothing_behind);
    tcase_add_test(group, file_system_without_inodes);
    tcase_add_test(group, full_file_system_is_out_of_resources);
    tcase_add_test(group, reserved_memory_is_there_when_touched);
    tcase_add_test(group, lazy_segments_reserve_nothing);
    tcase_add_test(group, use_too_much_memory);
}

static void
add_limits(Suite *suite)
{
    TCase *group = new_group(suite, "limits");

    tcase_add_test(group, no_descriptors_left);
    tcase_add_test(group, no_descriptors_left_to_attach);
    tcase_add_test(group, attach_too_much);
    /* Their own needs of address space are too large for such a limit. */
    if (!under_sanitizer() && !under_valgrind())
        tcase_add_test(group, no_address_space_left);
}

int
main(void)
{
    Suite *suite = new_suite("resources");

    add_sizes(suite);
    add_full_file_systems(suite);
    add_limits(suite);
    return run_suite(suite);
}
