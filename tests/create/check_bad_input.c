/*
 * check_bad_input.c - sizes, files and options that cannot be: each gives its own clear result,
 * changes nothing and leaks nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include "mapseg-format.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>
#include <xxhash.h>

#define DATA_BYTES 10000
#define THIRD_USER 65533

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

/* ------------------------------------------------------------ refusals -- */

/// One of two results, with a reason in words.
static void
check_refusal(const mapseg *seg, mapseg_result got, mapseg_result expected, mapseg_result or_this)
{
    ck_assert_msg(got == expected || got == or_this, "%s instead of %s or %s: %s",
                  mapseg_result_name(got), mapseg_result_name(expected),
                  mapseg_result_name(or_this), mapseg_error_string(seg));
    ck_assert_int_eq(mapseg_error(seg), got);
    ck_assert_msg(is_one_line(mapseg_error_string(seg)), "no clear reason for %s: '%s'",
                  mapseg_result_name(got), mapseg_error_string(seg));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_ptr_null(mapseg_const_data(seg));
    ck_assert_uint_eq(mapseg_size(seg), 0);
}

/// The file is refused by attach and create, and left exactly as it is.
static void
check_refused(mapseg_access access, mapseg_result expected, mapseg_result or_this)
{
    mapseg *seg = handle_for(key);
    struct file_state state;
    struct footprint before;

    take_file_state(&state, path);
    take_footprint(&before, path);
    check_refusal(seg, mapseg_attach(seg, access), expected, or_this);
    ck_assert_ptr_nonnull(strstr(mapseg_error_string(seg), key + 4));
    check_footprint(&before, path);
    check_file_state(&state, path);
    mapseg_free(seg);
}

/// No call that creates takes the name.
static void
check_not_replaced(void)
{
    mapseg *seg = handle_for(key);
    struct file_state state;
    struct footprint before;

    take_file_state(&state, path);
    take_footprint(&before, path);
    check_refusal(seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE), MAPSEG_ALREADY_EXISTS,
                  MAPSEG_ALREADY_EXISTS);
    ck_assert_int_ne(mapseg_create_or_attach(seg, 10, MAPSEG_READ_WRITE, NULL), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    check_footprint(&before, path);
    check_file_state(&state, path);
    mapseg_free(seg);
}

/// Nor does one that may clear debris.
static void
check_not_reclaimed(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);
    struct file_state state;
    struct footprint before;

    take_file_state(&state, path);
    take_footprint(&before, path);
    options.flags = MAPSEG_RECLAIM;
    ck_assert_int_ne(mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    check_footprint(&before, path);
    check_file_state(&state, path);
    mapseg_free(seg);
}

static void
check_not_removed(mapseg_result expected, mapseg_result or_this)
{
    mapseg *seg = handle_for(key);
    struct file_state state;
    struct footprint before;

    take_file_state(&state, path);
    take_footprint(&before, path);
    check_refusal(seg, mapseg_remove(seg), expected, or_this);
    check_refusal(seg, mapseg_reclaim(seg), expected, or_this);
    check_footprint(&before, path);
    check_file_state(&state, path);
    mapseg_free(seg);
}

/// Who is present in a way of the future cannot be known: reclaim has no proof.
static void
check_nobody_is_proven(mapseg_result expected, mapseg_result or_this)
{
    mapseg *seg = handle_for(key);
    struct file_state state;

    take_file_state(&state, path);
    check_refusal(seg, mapseg_reclaim(seg), expected, or_this);
    check_file_state(&state, path);
    mapseg_free(seg);
}

/// All of that, for a file that never was a segment.
static void
check_left_alone(mapseg_result expected, mapseg_result or_this)
{
    check_refused(MAPSEG_READ_WRITE, expected, or_this);
    check_refused(MAPSEG_READ_ONLY, expected, or_this);
    check_not_replaced();
    check_not_reclaimed();
    check_not_removed(expected, or_this);
}

/// What mapseg_info says of a file that attach refuses.
static void
check_described(mapseg_result verdict, mapseg_result or_this)
{
    mapseg *seg = handle_for(key);
    mapseg_info *information = NULL;
    struct footprint before;

    take_footprint(&before, path);
    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    ck_assert_ptr_nonnull(information);
    ck_assert_msg(information->verdict == verdict || information->verdict == or_this, "%s: %s",
                  mapseg_result_name(information->verdict), information->verdict_text);
    ck_assert(is_one_line(information->verdict_text));
    mapseg_info_free(information);
    check_footprint(&before, path);
    mapseg_free(seg);
}

/* --------------------------------------------------------------- sizes -- */

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

/* ------------------------------------------------- what is no segment -- */

static void
write_file(const char *content, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, bytes), (ssize_t)bytes);
    close(fd);
}

START_TEST(directory)
{
    ck_assert_int_eq(mkdir(path, 0700), 0);
    check_left_alone(MAPSEG_NOT_A_SEGMENT, MAPSEG_NOT_A_SEGMENT);
    check_described(MAPSEG_NOT_A_SEGMENT, MAPSEG_NOT_A_SEGMENT);
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

/// Must not wait for the other end either.
START_TEST(fifo)
{
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    check_left_alone(MAPSEG_NOT_A_SEGMENT, MAPSEG_NOT_A_SEGMENT);
    check_described(MAPSEG_NOT_A_SEGMENT, MAPSEG_NOT_A_SEGMENT);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(unix_socket)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    check_left_alone(MAPSEG_NOT_A_SEGMENT, MAPSEG_NOT_A_SEGMENT);
    close(fd);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(device_node)
{
    ck_assert_int_eq(mknod(path, S_IFCHR | 0600, makedev(1, 3)), 0);
    check_left_alone(MAPSEG_NOT_A_SEGMENT, MAPSEG_PERMISSION_DENIED);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(device_by_path)
{
    static const char *const keys[] = {"file:/dev/null",         "file:/dev/zero", "file:/dev/full",
                                       "file:/proc/self/status", "file:/dev/shm",  "file:/dev"};
    mapseg *seg = handle_for(keys[_i]);
    mapseg_result result = mapseg_attach(seg, MAPSEG_READ_ONLY);
    struct footprint before;

    check_refusal(seg, result, MAPSEG_NOT_A_SEGMENT, MAPSEG_NOT_A_SEGMENT);
    take_footprint(&before, NULL);
    check_refusal(seg, mapseg_attach(seg, MAPSEG_READ_WRITE), MAPSEG_NOT_A_SEGMENT,
                  _i == 3 ? MAPSEG_PERMISSION_DENIED : MAPSEG_NOT_A_SEGMENT);
    ck_assert_int_ne(mapseg_create(seg, 10, MAPSEG_READ_WRITE), MAPSEG_OK);
    ck_assert_int_ne(mapseg_remove(seg), MAPSEG_OK);
    check_footprint(&before, NULL);
    mapseg_free(seg);
}
END_TEST

START_TEST(symbolic_link_to_a_segment)
{
    char target_key[KEY_BYTES], target[KEY_BYTES];
    mapseg *seg;

    unique_key(target_key);
    path_of(target, target_key);
    seg = created(target_key, 10);
    ck_assert_int_eq(symlink(target, path), 0);
    check_left_alone(MAPSEG_UNTRUSTED, MAPSEG_UNTRUSTED);
    ck_assert(exists(target));
    ck_assert_int_eq(unlink(path), 0);
    mapseg_free(seg);
}
END_TEST

START_TEST(symbolic_link_to_nowhere)
{
    char target[KEY_BYTES + 8];

    snprintf(target, sizeof target, "%s-target", path);
    ck_assert_int_eq(symlink(target, path), 0);
    check_left_alone(MAPSEG_UNTRUSTED, MAPSEG_UNTRUSTED);
    ck_assert(!exists(target));
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(empty_file)
{
    write_file("", 0);
    check_left_alone(MAPSEG_NOT_A_SEGMENT, MAPSEG_NOT_A_SEGMENT);
    check_described(MAPSEG_NOT_A_SEGMENT, MAPSEG_NOT_A_SEGMENT);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(foreign_file)
{
    static const size_t sizes[] = {1, 7, 8, 79, 80, 4095, 4096, 4097, 20000};
    char *content = malloc(20000);

    ck_assert_ptr_nonnull(content);
    memset(content, 'x', 20000);
    write_file(content, sizes[_i]);
    free(content);
    check_left_alone(MAPSEG_NOT_A_SEGMENT, MAPSEG_NOT_A_SEGMENT);
    check_described(MAPSEG_NOT_A_SEGMENT, MAPSEG_NOT_A_SEGMENT);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/// A file of zeros, as shm_open and ftruncate leave it, is no segment either.
START_TEST(file_of_zeros)
{
    write_file("", 0);
    ck_assert_int_eq(truncate(path, 65536), 0);
    check_left_alone(MAPSEG_NOT_A_SEGMENT, MAPSEG_NOT_A_SEGMENT);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(path_that_leads_nowhere)
{
    static const char *const parts[] = {"/missing/name", "/file/name"};
    char file_key[KEY_BYTES + 32];
    struct footprint before;
    mapseg *seg;

    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(file_key, sizeof file_key, "%s/file", path);
    close(open(file_key, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    snprintf(file_key, sizeof file_key, "file:%s%s", path, parts[_i]);
    seg = handle_for(file_key);
    take_footprint(&before, NULL);
    ck_assert_int_ne(mapseg_create(seg, 10, MAPSEG_READ_WRITE), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_int_ne(mapseg_attach(seg, MAPSEG_READ_WRITE), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    if (_i == 0)
        ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_FOUND);
    check_footprint(&before, NULL);
    mapseg_free(seg);
    snprintf(file_key, sizeof file_key, "%s/file", path);
    ck_assert_int_eq(unlink(file_key), 0);
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

/* ------------------------------------------------------ damaged headers -- */

static void
read_header(struct mapseg_header *header)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, header, sizeof *header, 0), sizeof *header);
    close(fd);
}

static void
write_header(const struct mapseg_header *header)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, header, sizeof *header, 0), sizeof *header);
    close(fd);
}

/// Writes a header that is changed, but not damaged.
static void
write_valid_header(struct mapseg_header *header)
{
    header->checksum = XXH3_64bits(header, MAPSEG_CHECKSUM_COVERS);
    write_header(header);
}

static void
resize_file(uint64_t size)
{
    ck_assert_int_eq(truncate(path, (off_t)size), 0);
}

/// A segment at the name that nobody is attached to, and its header.
static void
make_segment(struct mapseg_header *header)
{
    leave_persistent(key, DATA_BYTES, 0);
    read_header(header);
}

static void
remove_segment(void)
{
    ck_assert_int_eq(unlink(path), 0);
}

START_TEST(header_is_as_documented)
{
    struct mapseg_header header;
    struct stat status;

    make_segment(&header);
    ck_assert_mem_eq(header.magic, MAPSEG_MAGIC, MAPSEG_MAGIC_BYTES);
    ck_assert_uint_eq(header.format, 1);
    ck_assert_uint_eq(header.header_size, 4096);
    ck_assert_uint_eq(header.data_offset % 4096, 0);
    ck_assert_uint_ge(header.data_offset, 4096);
    ck_assert_uint_eq(header.data_size, DATA_BYTES);
    ck_assert_uint_eq(header.flags, MAPSEG_HEADER_PERSISTENT);
    ck_assert_uint_eq(header.checksum, XXH3_64bits(&header, MAPSEG_CHECKSUM_COVERS));
    ck_assert_uint_eq(header.lock, 0);
    ck_assert_uint_eq(header.recoveries, 0);
    ck_assert_uint_eq(header.sequence % 2, 0);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_ge((uint64_t)status.st_size, header.data_offset + DATA_BYTES);
    remove_segment();
}
END_TEST

/// A file that no library made, and that keeps to the format, is a segment.
START_TEST(segment_made_by_hand)
{
    static const uint64_t offsets[] = {4096, 8192, 65536, 1 << 20};
    const uint64_t offset = offsets[_i];
    struct mapseg_header header = {.format = MAPSEG_FORMAT_VERSION};
    mapseg *seg;
    int fd;

    memcpy(header.magic, MAPSEG_MAGIC, MAPSEG_MAGIC_BYTES);
    header.header_size = MAPSEG_HEADER_BYTES;
    header.data_offset = offset;
    header.data_size = 11;
    header.user_tag = 42;
    write_file("", 0);
    write_valid_header(&header);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, "hello world", 11, (off_t)offset), 11);
    close(fd);
    seg = attached(key, MAPSEG_READ_WRITE);
    ck_assert_uint_eq(mapseg_size(seg), 11);
    ck_assert_mem_eq(mapseg_data(seg), "hello world", 11);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

/// Flips one bit after the other.
START_TEST(every_flipped_bit_is_found)
{
    struct mapseg_header good, bad;
    mapseg *seg;

    make_segment(&good);
    for (unsigned int bit = 0; bit < MAPSEG_CONSTANT_BYTES * 8; bit++) {
        const unsigned int byte = bit / 8;
        mapseg_result expected = byte < 8 ? MAPSEG_NOT_A_SEGMENT : MAPSEG_CORRUPT;
        mapseg_result or_this = byte >= 8 && byte < 12 ? MAPSEG_TOO_NEW : expected;

        bad = good;
        ((unsigned char *)&bad)[byte] ^= (unsigned char)(1 << bit % 8);
        write_header(&bad);
        check_refused(MAPSEG_READ_WRITE, expected, or_this);
        check_refused(MAPSEG_READ_ONLY, expected, or_this);
        if (bit % 16 == 0) {
            check_not_replaced();
            check_described(expected, or_this);
        }
        if (byte < 8)
            check_not_reclaimed();
    }
    write_header(&good);
    seg = attached(key, MAPSEG_READ_WRITE);
    mapseg_free(seg);
    remove_segment();
}
END_TEST

START_TEST(truncated_file)
{
    static const struct {
        uint64_t size;
        mapseg_result or_this;
    } rows[] = {
        {0, MAPSEG_NOT_A_SEGMENT},
        {1, MAPSEG_NOT_A_SEGMENT},
        {7, MAPSEG_NOT_A_SEGMENT},
        {8, MAPSEG_NOT_A_SEGMENT},
        {79, MAPSEG_NOT_A_SEGMENT},
        {80, MAPSEG_NOT_A_SEGMENT},
        {4095, MAPSEG_NOT_A_SEGMENT},
        {4096, MAPSEG_CORRUPT},
        {4097, MAPSEG_CORRUPT},
        {8192, MAPSEG_CORRUPT},
        {4096 + DATA_BYTES - 1, MAPSEG_CORRUPT},
    };
    struct mapseg_header header;

    make_segment(&header);
    resize_file(rows[_i].size);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_CORRUPT, rows[_i].or_this);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_CORRUPT, rows[_i].or_this);
    check_not_replaced();
    check_described(MAPSEG_CORRUPT, rows[_i].or_this);
    remove_segment();
}
END_TEST

START_TEST(format_from_the_future)
{
    static const uint32_t formats[] = {2, 3, 0x7fffffff, 0x80000000, 0xffffffff};
    struct mapseg_header header;

    make_segment(&header);
    header.format = formats[_i];
    write_valid_header(&header);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_TOO_NEW, MAPSEG_TOO_NEW);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_TOO_NEW, MAPSEG_TOO_NEW);
    check_not_replaced();
    check_not_reclaimed();
    check_nobody_is_proven(MAPSEG_TOO_NEW, MAPSEG_TOO_NEW);
    check_described(MAPSEG_TOO_NEW, MAPSEG_TOO_NEW);
    remove_segment();
}
END_TEST

/// A header of another size, or format 0, cannot be, whatever the checksum says.
START_TEST(header_that_makes_no_sense)
{
    static const uint32_t sizes[] = {0, 80, 4095, 4097, 8192, 0xffffffff};
    struct mapseg_header header;

    make_segment(&header);
    if (_i < 6)
        header.header_size = sizes[_i];
    else
        header.format = 0;
    write_valid_header(&header);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_CORRUPT, MAPSEG_TOO_NEW);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_CORRUPT, MAPSEG_TOO_NEW);
    remove_segment();
}
END_TEST

/// Geometry that leads out of the file, or that arithmetic could wrap into it.
START_TEST(geometry_that_makes_no_sense)
{
    static const struct {
        uint64_t offset;
        uint64_t size;
    } rows[] = {
        {0, DATA_BYTES},
        {1, DATA_BYTES},
        {80, DATA_BYTES},
        {2048, DATA_BYTES},
        {4095, DATA_BYTES},
        {4097, DATA_BYTES},
        {6144, DATA_BYTES},
        {8192 - 8, DATA_BYTES},
        {1 << 20, DATA_BYTES},
        {UINT64_C(1) << 32, DATA_BYTES},
        {UINT64_C(1) << 62, DATA_BYTES},
        {UINT64_C(1) << 63, DATA_BYTES},
        {UINT64_MAX - 4095, DATA_BYTES},
        {UINT64_MAX - 4095, 8192},
        {UINT64_MAX, 2},
        {4096, 0},
        {4096, 1 << 20},
        {4096, UINT64_C(1) << 32},
        {4096, UINT64_C(1) << 62},
        {4096, UINT64_C(1) << 63},
        {4096, UINT64_MAX},
        {4096, UINT64_MAX - 4095},
        {4096, UINT64_MAX - 8191},
    };
    mapseg_result or_this = MAPSEG_CORRUPT;
    struct mapseg_header header;

    make_segment(&header);
    header.data_offset = rows[_i].offset;
    header.data_size = rows[_i].size;
    write_valid_header(&header);
    /* Another machine's pages might be smaller than this one's. */
    if (header.data_offset > 4096 && header.data_offset < 8192)
        or_this = MAPSEG_NOT_SUPPORTED;
    check_refused(MAPSEG_READ_WRITE, MAPSEG_CORRUPT, or_this);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_CORRUPT, or_this);
    check_not_replaced();
    check_described(MAPSEG_CORRUPT, or_this);
    remove_segment();
}
END_TEST

/// The header fits the file, which is larger than any address space.
START_TEST(segment_too_large_to_map)
{
    struct mapseg_header header;

    make_segment(&header);
    header.data_size = UINT64_C(1) << 50;
    write_valid_header(&header);
    resize_file(header.data_offset + header.data_size);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
    remove_segment();
}
END_TEST

static void
write_flag(struct mapseg_header *header, int bit)
{
    make_segment(header);
    header->flags |= UINT64_C(1) << bit;
    write_valid_header(header);
}

/// Bits 1 to 15: nobody who does not know them may touch the segment.
START_TEST(unknown_incompatible_flag)
{
    struct mapseg_header header;

    write_flag(&header, _i);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_TOO_NEW, MAPSEG_NOT_SUPPORTED);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_TOO_NEW, MAPSEG_NOT_SUPPORTED);
    check_not_reclaimed();
    check_nobody_is_proven(MAPSEG_TOO_NEW, MAPSEG_NOT_SUPPORTED);
    check_described(MAPSEG_TOO_NEW, MAPSEG_NOT_SUPPORTED);
    remove_segment();
}
END_TEST

/// Bits 16 to 31: who does not know them may read, and writes nothing, not even the header.
START_TEST(unknown_read_only_compatible_flag)
{
    struct mapseg_header header;
    struct file_state state;
    mapseg *seg = handle_for(key);

    write_flag(&header, _i);
    take_file_state(&state, path);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_TOO_NEW, MAPSEG_NOT_SUPPORTED);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    ck_assert_uint_eq(mapseg_size(seg), DATA_BYTES);
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    check_file_state(&state, path);
    mapseg_free(seg);
    remove_segment();
}
END_TEST

/// Bits 33 to 63 do not matter to who does not know them.
START_TEST(unknown_compatible_flag)
{
    struct mapseg_header header;
    mapseg *seg;

    write_flag(&header, _i);
    seg = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
    seg = attached(key, MAPSEG_READ_ONLY);
    mapseg_free(seg);
    remove_segment();
}
END_TEST

/// What cannot be relied on can still be taken away.
START_TEST(damaged_segment_can_be_removed)
{
    struct mapseg_header header;
    mapseg *seg = handle_for(key);

    make_segment(&header);
    header.data_size++;
    write_header(&header);
    need_call(MAPSEG_CORRUPT, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

/// The message tells the faults apart.
START_TEST(every_fault_has_its_own_words)
{
    enum { FAULTS = 9 };
    char *words[FAULTS];

    for (int i = 0; i < FAULTS; i++) {
        struct mapseg_header header;
        mapseg *seg = handle_for(key);

        make_segment(&header);
        switch (i) {
        case 0:
            remove_segment();
            break;
        case 1:
            remove_segment();
            ck_assert_int_eq(mkdir(path, 0700), 0);
            break;
        case 2:
            remove_segment();
            ck_assert_int_eq(symlink("nowhere", path), 0);
            break;
        case 3:
            header.magic[0] = 'x';
            write_header(&header);
            break;
        case 4:
            header.data_size++;
            write_header(&header);
            break;
        case 5:
            resize_file(5000);
            break;
        case 6:
            header.format = 2;
            write_valid_header(&header);
            break;
        case 7:
            header.flags |= 2;
            write_valid_header(&header);
            break;
        default:
            ck_assert_int_eq(chmod(path, 0622), 0);
            break;
        }
        ck_assert_int_ne(mapseg_attach(seg, MAPSEG_READ_WRITE), MAPSEG_OK);
        words[i] = strdup(mapseg_error_string(seg));
        for (int j = 0; j < i; j++)
            ck_assert_msg(strcmp(words[i], words[j]) != 0, "faults %d and %d: %s", i, j, words[i]);
        (void)(i == 1 ? rmdir(path) : unlink(path));
        mapseg_free(seg);
    }
    for (int i = 0; i < FAULTS; i++)
        free(words[i]);
}
END_TEST

/* ---------------------------------------------------------- permission -- */

/// As an ordinary user: reading is possible, and so is leaving.
static int
use_read_only_file(void *argument)
{
    struct file_state state;
    struct footprint before;
    mapseg *seg = handle_for(key);

    (void)argument;
    leave_persistent(key, DATA_BYTES, 0);
    ck_assert_int_eq(chmod(path, 0400), 0);
    take_file_state(&state, path);
    take_footprint(&before, path);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_PERMISSION_DENIED, MAPSEG_PERMISSION_DENIED);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    ck_assert_uint_eq(mapseg_size(seg), DATA_BYTES);
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_lock(seg));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    check_footprint(&before, path);
    check_file_state(&state, path);
    mapseg_free(seg);
    remove_segment();
    return 0;
}

START_TEST(read_only_file)
{
    ck_assert_int_eq(as_ordinary_user(use_read_only_file, NULL), 0);
}
END_TEST

static int
use_closed_file(void *argument)
{
    (void)argument;
    leave_persistent(key, DATA_BYTES, 0);
    ck_assert_int_eq(chmod(path, 0), 0);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_PERMISSION_DENIED, MAPSEG_PERMISSION_DENIED);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_PERMISSION_DENIED, MAPSEG_PERMISSION_DENIED);
    check_not_replaced();
    remove_segment();
    return 0;
}

START_TEST(file_without_permission)
{
    ck_assert_int_eq(as_ordinary_user(use_closed_file, NULL), 0);
}
END_TEST

static int
use_closed_directory(void *argument)
{
    char file_key[KEY_BYTES + 32];
    struct footprint before;
    mapseg *seg;

    (void)argument;
    ck_assert_int_eq(mkdir(path, 0500), 0);
    snprintf(file_key, sizeof file_key, "file:%s/name", path);
    seg = handle_for(file_key);
    take_footprint(&before, NULL);
    check_refusal(seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE), MAPSEG_PERMISSION_DENIED,
                  MAPSEG_PERMISSION_DENIED);
    ck_assert_int_eq(chmod(path, 0), 0);
    check_refusal(seg, mapseg_attach(seg, MAPSEG_READ_WRITE), MAPSEG_PERMISSION_DENIED,
                  MAPSEG_PERMISSION_DENIED);
    check_footprint(&before, NULL);
    mapseg_free(seg);
    return rmdir(path);
}

START_TEST(directory_without_permission)
{
    ck_assert_int_eq(as_ordinary_user(use_closed_directory, NULL), 0);
}
END_TEST

/// Refused by everything that would use the content.
static void
check_untrusted(void)
{
    check_refused(MAPSEG_READ_WRITE, MAPSEG_UNTRUSTED, MAPSEG_UNTRUSTED);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_UNTRUSTED, MAPSEG_UNTRUSTED);
    check_not_replaced();
    check_not_reclaimed();
}

static int
leave_as_nobody(void *argument)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    become_nobody();
    options.flags = MAPSEG_PERSISTENT;
    options.mode = *(uint32_t *)argument;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    return 0;
}

static void
leave_nobodys(uint32_t mode)
{
    ck_assert_int_eq(in_child(leave_as_nobody, &mode), 0);
}

static int
refuse_nobodys(void *argument)
{
    (void)argument;
    ck_assert_int_eq(setgid(THIRD_USER), 0);
    ck_assert_int_eq(setuid(THIRD_USER), 0);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_UNTRUSTED, MAPSEG_UNTRUSTED);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_PERMISSION_DENIED, MAPSEG_UNTRUSTED);
    check_not_replaced();
    check_not_reclaimed();
    check_not_removed(MAPSEG_PERMISSION_DENIED, MAPSEG_UNTRUSTED);
    return 0;
}

/// Not even root trusts what others own, unless it says so.
START_TEST(file_of_another_user)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    leave_nobodys(0644);
    check_untrusted();
    check_described(MAPSEG_UNTRUSTED, MAPSEG_UNTRUSTED);
    ck_assert_int_eq(in_child(refuse_nobodys, NULL), 0);
    options.flags = MAPSEG_ALLOW_OTHER_OWNER;
    need_call(MAPSEG_OK, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    ck_assert_uint_eq(mapseg_size(seg), DATA_BYTES);
    mapseg_free(seg);
    remove_segment();
}
END_TEST

static int
use_roots(void *argument)
{
    mapseg *seg = handle_for(key);

    (void)argument;
    become_nobody();
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    ck_assert_uint_eq(mapseg_size(seg), DATA_BYTES);
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_lock(seg));
    mapseg_free(seg);
    return 0;
}

static int
refuse_roots(void *argument)
{
    (void)argument;
    become_nobody();
    check_refused(MAPSEG_READ_WRITE, MAPSEG_PERMISSION_DENIED, MAPSEG_PERMISSION_DENIED);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_PERMISSION_DENIED, MAPSEG_PERMISSION_DENIED);
    check_not_replaced();
    return 0;
}

/// Root could interfere anyway: its files are as good as one's own.
START_TEST(file_of_root)
{
    leave_persistent(key, DATA_BYTES, 0);
    ck_assert_int_eq(in_child(refuse_roots, NULL), 0);
    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert_int_eq(in_child(use_roots, NULL), 0);
    ck_assert(exists(path));
    remove_segment();
}
END_TEST

START_TEST(file_that_others_may_write)
{
    static const mode_t modes[] = {0620, 0602, 0660, 0666};
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    leave_persistent(key, DATA_BYTES, 0);
    ck_assert_int_eq(chmod(path, modes[_i]), 0);
    check_untrusted();
    check_described(MAPSEG_UNTRUSTED, MAPSEG_UNTRUSTED);
    options.flags = MAPSEG_ALLOW_OTHER_OWNER;
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    options.flags = MAPSEG_ALLOW_SHARED_WRITE;
    need_call(MAPSEG_OK, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    /* To remove it is no risk. */
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------- options -- */

struct larger_options {
    mapseg_options known;
    unsigned char tail[64];
};

/// The call fails, and neither creates nor changes anything.
static void
check_options_refused(const mapseg_options *options, mapseg_result expected)
{
    mapseg *seg = handle_for(key);
    struct footprint before;

    take_footprint(&before, NULL);
    check_refusal(seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, options), expected, expected);
    ck_assert(!exists(path));
    check_footprint(&before, NULL);
    mapseg_free(seg);
}

static void
check_attach_options_refused(const mapseg_options *options, mapseg_result expected)
{
    mapseg *seg = handle_for(key), *holder = created(key, 10);
    struct footprint before;

    take_footprint(&before, path);
    check_refusal(seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, options), expected, expected);
    check_footprint(&before, path);
    mapseg_free(seg);
    mapseg_free(holder);
}

START_TEST(options_of_a_size_that_cannot_be)
{
    static const size_t sizes[] = {0, 1, sizeof(size_t) - 1, SIZE_MAX / 2, SIZE_MAX};
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    mapseg_options *options;
    char *memory;

    /* They end where memory ends: nothing past them may be read. */
    memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    ck_assert_int_eq(mprotect(memory + page, page, PROT_NONE), 0);
    options = (mapseg_options *)(void *)(memory + page - sizeof *options);
    options->size = sizes[_i];
    check_options_refused(options, MAPSEG_INVALID_ARGUMENT);
    check_attach_options_refused(options, MAPSEG_INVALID_ARGUMENT);
    ck_assert_int_eq(munmap(memory, 2 * page), 0);
}
END_TEST

/// A caller compiled with a later header, that uses nothing of what is new.
START_TEST(larger_options_with_an_empty_tail)
{
    struct larger_options options = {.known = MAPSEG_OPTIONS_INIT};
    mapseg *seg = handle_for(key), *other = handle_for(key);

    options.known.size = sizeof options;
    options.known.user_tag = 7;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options.known));
    options.known.flags = MAPSEG_REQUIRE_TAG;
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options.known));
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(!exists(path));
}
END_TEST

/// One that does use it.
START_TEST(larger_options_with_a_tail)
{
    struct larger_options options = {.known = MAPSEG_OPTIONS_INIT};

    options.known.size = sizeof options;
    options.tail[_i] = 1;
    check_options_refused(&options.known, MAPSEG_NOT_SUPPORTED);
    check_attach_options_refused(&options.known, MAPSEG_NOT_SUPPORTED);
}
END_TEST

START_TEST(unknown_option_flag)
{
    const uint32_t known = MAPSEG_PERSISTENT | MAPSEG_LAZY | MAPSEG_RECLAIM | MAPSEG_FAIR |
                           MAPSEG_NO_FORK | MAPSEG_REQUIRE_TAG | MAPSEG_SINGLE_WRITER |
                           MAPSEG_UNTRUSTED_PEER | MAPSEG_GUARDED | MAPSEG_ALLOW_OTHER_OWNER |
                           MAPSEG_ALLOW_SHARED_WRITE | MAPSEG_ALLOW_HARD_LINKS |
                           MAPSEG_ALLOW_SHARED_DIRECTORY | MAPSEG_KEEP_NAME | MAPSEG_STALE_ONLY |
                           MAPSEG_REQUIRE_ID | MAPSEG_TAKE_DESCRIPTOR;
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    for (int bit = 0; bit < 32; bit++) {
        options.flags = UINT32_C(1) << bit;
        if ((options.flags & known) != 0)
            continue;
        check_options_refused(&options, MAPSEG_NOT_SUPPORTED);
        check_attach_options_refused(&options, MAPSEG_NOT_SUPPORTED);
    }
}
END_TEST

START_TEST(mode_that_cannot_be)
{
    static const uint32_t modes[] = {01, 010, 0700, 0777, 01600, 02600, 04600, 0100600, 0x80000000};
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.mode = modes[_i];
    check_options_refused(&options, MAPSEG_INVALID_ARGUMENT);
}
END_TEST

/// The mode is what was asked for, whatever the umask.
START_TEST(mode_is_exact)
{
    static const uint32_t modes[] = {0600, 0640, 0644, 0660, 0666, 0606};
    static const mode_t umasks[] = {0, 022, 0777};
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct stat status;

    for (int i = 0; i < 3; i++) {
        mapseg *seg = handle_for(key);

        umask(umasks[i]);
        options.mode = modes[_i];
        need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
        ck_assert_int_eq(stat(path, &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, modes[_i]);
        mapseg_free(seg);
        ck_assert(!exists(path));
    }
}
END_TEST

START_TEST(access_that_cannot_be)
{
    mapseg *seg = handle_for(key), *holder;

    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_create(seg, 10, (mapseg_access)2));
    ck_assert(!exists(path));
    holder = created(key, 10);
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_attach(seg, (mapseg_access)-1));
    ck_assert(!mapseg_is_attached(seg));
    mapseg_free(holder);
    mapseg_free(seg);
}
END_TEST

START_TEST(user_tag_is_demanded)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key), *other = handle_for(key);
    struct footprint before;

    options.user_tag = UINT64_C(0x123456789abcdef0);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
    options.flags = MAPSEG_REQUIRE_TAG;
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, other, mapseg_detach(other));
    take_footprint(&before, path);
    for (int bit = 0; bit < 64; bit += 9) {
        options.user_tag = UINT64_C(0x123456789abcdef0) ^ UINT64_C(1) << bit;
        check_refusal(other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options),
                      MAPSEG_WRONG_TAG, MAPSEG_WRONG_TAG);
        check_footprint(&before, path);
    }
    /* Who does not demand it does not care. */
    options.flags = 0;
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    mapseg_free(other);
}
END_TEST

START_TEST(no_options_are_the_defaults)
{
    mapseg *seg = handle_for(key), *other = handle_for(key);

    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, NULL));
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_ONLY, NULL));
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(!exists(path));
}
END_TEST

/// One set of options serves create and attach: flags of the other call are ignored.
START_TEST(flags_of_the_other_call_are_ignored)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key), *other = handle_for(key);

    options.flags = MAPSEG_LAZY | MAPSEG_RECLAIM | MAPSEG_FAIR | MAPSEG_NO_FORK |
                    MAPSEG_REQUIRE_TAG | MAPSEG_ALLOW_OTHER_OWNER | MAPSEG_ALLOW_SHARED_WRITE;
    options.user_tag = 5;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(!exists(path));
}
END_TEST

/* ------------------------------------------------------------- program -- */

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
    if (skip_unless(can_mount(),
                    "full_file_system_leaves_nothing_behind: no private mounts here")) {
        tcase_add_test(group, full_file_system_leaves_nothing_behind);
        tcase_add_test(group, file_system_without_inodes);
    }
    tcase_add_test(group, no_descriptors_left);
    tcase_add_test(group, no_descriptors_left_to_attach);
    /* Their own needs of address space are too large for such a limit. */
    if (!under_sanitizer() && !under_valgrind())
        tcase_add_test(group, no_address_space_left);
}

static void
add_files(Suite *suite)
{
    TCase *group = new_group(suite, "no segments");

    tcase_add_test(group, directory);
    tcase_add_test(group, fifo);
    tcase_add_test(group, unix_socket);
    if (skip_unless(can_make_devices(false),
                    "device_node: only root can make one, and not everywhere"))
        tcase_add_test(group, device_node);
    tcase_add_loop_test(group, device_by_path, 0, 6);
    tcase_add_test(group, symbolic_link_to_a_segment);
    tcase_add_test(group, symbolic_link_to_nowhere);
    tcase_add_test(group, empty_file);
    tcase_add_loop_test(group, foreign_file, 0, 9);
    tcase_add_test(group, file_of_zeros);
    tcase_add_loop_test(group, path_that_leads_nowhere, 0, 2);
}

static void
add_headers(Suite *suite)
{
    TCase *group = new_group(suite, "headers");

    tcase_add_test(group, header_is_as_documented);
    tcase_add_loop_test(group, segment_made_by_hand, 0, 4);
    tcase_add_test(group, every_flipped_bit_is_found);
    tcase_add_loop_test(group, truncated_file, 0, 11);
    tcase_add_loop_test(group, format_from_the_future, 0, 5);
    tcase_add_loop_test(group, header_that_makes_no_sense, 0, 7);
    tcase_add_loop_test(group, geometry_that_makes_no_sense, 0, 23);
    if (!under_valgrind())
        tcase_add_test(group, segment_too_large_to_map);
    tcase_add_loop_test(group, unknown_incompatible_flag, 1, 16);
    tcase_add_loop_test(group, unknown_read_only_compatible_flag, 16, 32);
    tcase_add_loop_test(group, unknown_compatible_flag, 33, 64);
    tcase_add_test(group, damaged_segment_can_be_removed);
    tcase_add_test(group, every_fault_has_its_own_words);
}

static void
add_permission(Suite *suite)
{
    TCase *group = new_group(suite, "permission");

    tcase_add_test(group, read_only_file);
    tcase_add_test(group, file_without_permission);
    tcase_add_test(group, directory_without_permission);
    if (skip_unless(is_root(), "file_of_another_user: only root can be two users")) {
        tcase_add_test(group, file_of_another_user);
        tcase_add_test(group, file_of_root);
    }
    tcase_add_loop_test(group, file_that_others_may_write, 0, 4);
}

static void
add_options(Suite *suite)
{
    TCase *group = new_group(suite, "options");

    tcase_add_loop_test(group, options_of_a_size_that_cannot_be, 0, 5);
    tcase_add_test(group, larger_options_with_an_empty_tail);
    tcase_add_loop_test(group, larger_options_with_a_tail, 0, 64);
    tcase_add_test(group, unknown_option_flag);
    tcase_add_loop_test(group, mode_that_cannot_be, 0, 9);
    tcase_add_loop_test(group, mode_is_exact, 0, 6);
    tcase_add_test(group, access_that_cannot_be);
    tcase_add_test(group, user_tag_is_demanded);
    tcase_add_test(group, no_options_are_the_defaults);
    tcase_add_test(group, flags_of_the_other_call_are_ignored);
}

int
main(void)
{
    Suite *suite = new_suite("bad input");

    add_sizes(suite);
    add_files(suite);
    add_headers(suite);
    add_permission(suite);
    add_options(suite);
    return run_suite(suite);
}
