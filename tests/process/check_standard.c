/*
 * check_standard.c - standard descriptors that are not open, too few descriptors, and none that
 * is left over.
 *
 * What a program prints goes to the descriptors 0, 1 and 2, whatever they lead to: so no
 * descriptor of the library is among them, not even for a moment in which another thread could
 * print.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 256 /* descriptors */
#define FEW 3    /* the first number that is no standard descriptor's */

static struct msi_os_operations healthy;

/* An unnamed file, or one with a private name, where there are no unnamed ones. */
static const char *const keys[] = {"shm:segment", "file:/dev/shm/box/segment", "runtime:segment",
                                   "memfd:"};

#define KEYS ((int)(sizeof keys / sizeof *keys))

static void
set_scene(void)
{
    use_tiny_shm("size=16m");
    ck_assert_int_eq(mkdir("/dev/shm/box", 0700), 0);
    ck_assert_int_eq(mkdir("/dev/shm/run", 0700), 0);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/dev/shm/run", 1), 0);
    healthy = msi_os;
}

/* ------------------------------------------------- standard descriptors -- */

/** Where a child has failed that has no standard descriptors to say so with. */
static int *failed_line;
static unsigned closed_set; /* bit i: descriptor i was closed at the start */

#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            *failed_line = __LINE__;                                                               \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/** Nothing has come to be among the standard descriptors. */
static void
must_be_closed(void)
{
    for (int fd = 0; fd < FEW; fd++)
        must((fcntl(fd, F_GETFD) == -1) == ((closed_set >> fd & 1) != 0));
}

static int
lifted(int fd)
{
    must(fd < 0 || fd >= FEW);
    must_be_closed();
    return fd;
}

static int
lifted_open(int directory, const char *name, int flags)
{
    return lifted(healthy.open(directory, name, flags));
}

static int
lifted_open_directory(const char *path)
{
    return lifted(healthy.open_directory(path));
}

static int
lifted_open_place(int directory, const char *name)
{
    return lifted(healthy.open_place(directory, name));
}

static int
lifted_open_new(int directory, const char *name, mode_t mode)
{
    return lifted(healthy.open_new(directory, name, mode));
}

static int
lifted_open_unnamed(int directory, mode_t mode)
{
    return lifted(healthy.open_unnamed(directory, mode));
}

static int
no_unnamed(int directory, mode_t mode)
{
    (void)directory;
    (void)mode;
    return -EOPNOTSUPP;
}

static int
lifted_reopen(int fd, int flags)
{
    return lifted(healthy.reopen(fd, flags));
}

static int
lifted_duplicate(int fd)
{
    return lifted(healthy.duplicate(fd));
}

static int
lifted_memory_file(const char *name)
{
    return lifted(healthy.memory_file(name));
}

static int
lifted_event_new(void)
{
    return lifted(healthy.event_new());
}

/** Among others while a directory is listed. */
static int
status_beside_lifted(int directory, const char *name, struct stat *status)
{
    must_be_closed();
    return healthy.status_of_name(directory, name, status);
}

static void
hook_descriptors(void)
{
    msi_os.open = lifted_open;
    msi_os.open_directory = lifted_open_directory;
    msi_os.open_place = lifted_open_place;
    msi_os.open_new = lifted_open_new;
    msi_os.open_unnamed = lifted_open_unnamed;
    msi_os.reopen = lifted_reopen;
    msi_os.duplicate = lifted_duplicate;
    msi_os.memory_file = lifted_memory_file;
    msi_os.event_new = lifted_event_new;
    msi_os.status_of_name = status_beside_lifted;
}

static mapseg *
handle_with(const char *key)
{
    mapseg *seg = mapseg_new();

    must(seg != NULL && mapseg_set_native_key(seg, key) == MAPSEG_OK);
    return seg;
}

/** What prints goes nowhere, or where it should. */
static void
print(mapseg *seg)
{
    mapseg_info *information = NULL;

    printf("this belongs to no segment\n");
    (void)fflush(stdout);
    fprintf(stderr, "neither does this\n");
    must(mapseg_info_new(seg, &information) == MAPSEG_OK && information->data_size == 100);
    must(information->verdict == MAPSEG_OK || information->type == MAPSEG_KEY_MEMFD);
    mapseg_info_free(information);
}

static void
use_second(mapseg *first, const char *key)
{
    mapseg_list *list = NULL;
    mapseg *seg = handle_with(key);
    int fd, ends[2];
    char variable[MAPSEG_ENVIRONMENT_BYTES];

    /* The test's own, where they belong. */
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    for (int i = 0; i < 2; i++) {
        int high = fcntl(ends[i], F_DUPFD_CLOEXEC, 100);

        close(ends[i]);
        ends[i] = high;
    }
    must(mapseg_send(first, ends[0], MAPSEG_READ_WRITE) == MAPSEG_OK);
    must_be_closed();
    must(mapseg_receive(seg, ends[1], MAPSEG_READ_WRITE) == MAPSEG_OK);
    must_be_closed();
    print(seg);
    must(mapseg_lock(seg) == MAPSEG_OK && mapseg_unlock(seg) == MAPSEG_OK);
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    must(lifted(fd) >= 0);
    fd = spawn_fd(seg, MAPSEG_READ_ONLY, NULL, variable);
    must(lifted(fd) >= 0);
    must(lifted(notify_fd(seg)) >= 0);
    must(mapseg_list_new(&list) == MAPSEG_OK);
    mapseg_list_free(list);
    must_be_closed();
    must(mapseg_detach(seg) == MAPSEG_OK);
    mapseg_free(seg);
    must_be_closed();
}

static int
use_without_standard(void *argument)
{
    const char *key = argument;
    mapseg *first, *second;

    (void)closefrom(FEW);
    for (int fd = 0; fd < FEW; fd++) {
        if (closed_set >> fd & 1)
            close(fd);
        else if (fcntl(fd, F_GETFD) == -1)
            must(open("/dev/null", O_RDWR) == fd);
    }
    first = handle_with(key);
    must(mapseg_create(first, 100, MAPSEG_READ_WRITE) == MAPSEG_OK);
    must_be_closed();
    print(first);
    if (strcmp(key, "memfd:") != 0) {
        second = handle_with(key);
        must(mapseg_attach(second, MAPSEG_READ_ONLY) == MAPSEG_OK);
        must_be_closed();
        print(second);
        mapseg_free(second);
    }
    use_second(first, key);
    mapseg_free(first);
    must_be_closed();
    return 0;
}

START_TEST(standard_descriptors_are_closed)
{
    /* As main has said. */
    if (_i / 16 == 1 && !is_root())
        return;
    set_scene();
    closed_set = (unsigned)_i % 8;
    failed_line = shared_memory(sizeof *failed_line);
    hook_descriptors();
    if (_i / 8 % 2 == 1)
        msi_os.open_unnamed = no_unnamed;
    ck_assert_msg(in_child(use_without_standard, (void *)(uintptr_t)keys[_i / 16]) == 0,
                  "%s, without %u: line %d", keys[_i / 16], closed_set, *failed_line);
}
END_TEST

/* ------------------------------------------------------- too few of them -- */

/** The calls that take descriptors, on a segment that is there, or on none. */
static mapseg_result
call_with_few(int call, mapseg *there, mapseg *missing)
{
    mapseg_info *information = NULL;
    mapseg_list *list = NULL;
    mapseg_result result;
    mapseg *seg;

    switch (call) {
    case 0:
        return mapseg_create(missing, 100, MAPSEG_READ_WRITE);
    case 1:
        seg = handle_with(mapseg_native_key(there));
        result = mapseg_attach(seg, MAPSEG_READ_WRITE);
        mapseg_free(seg);
        return result;
    case 2:
        result = mapseg_info_new(there, &information);
        mapseg_info_free(information);
        return result;
    case 3:
        close(exported_fd(there, MAPSEG_READ_ONLY));
        return mapseg_error(there);
    case 4:
        (void)notify_fd(there);
        return mapseg_error(there);
    case 5:
        result = mapseg_list_new(&list);
        if (result == MAPSEG_OK)
            mapseg_list_free(list);
        return result;
    default:
        seg = handle_with("memfd:");
        result = mapseg_create(seg, 100, MAPSEG_READ_WRITE);
        mapseg_free(seg);
        return result;
    }
}

#define CALLS_WITH_FEW 7

/** Also those that begin with a dot. */
static int
count_entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;

    must(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2;
}

/** The call, with one descriptor more each time, until it works. */
static int
call_until_enough(void *argument)
{
    const int call = *(const int *)argument;
    mapseg *there = handle_with("shm:there"), *missing = handle_with("shm:missing");
    struct rlimit limit = {FEW, 4096};
    mapseg_result result;

    (void)closefrom(FEW);
    must(mapseg_create(there, 100, MAPSEG_READ_WRITE) == MAPSEG_OK);
    for (int fd = 0; fd < FEW; fd++)
        close(fd);
    closed_set = 7;
    for (;; limit.rlim_cur++) {
        int before = 0;

        must(limit.rlim_cur < 30);
        for (int fd = 0; fd < MOST; fd++)
            before += fcntl(fd, F_GETFD) != -1;
        must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        result = call_with_few(call, there, missing);
        must_be_closed();
        if (result == MAPSEG_OK)
            break;
        must(result == MAPSEG_OUT_OF_RESOURCES);
        for (int fd = 0; fd < MOST; fd++)
            before -= fcntl(fd, F_GETFD) != -1;
        must(before == 0);
    }
    must(limit.rlim_cur > FEW || call == 5);
    /* Nothing of those that failed is left. */
    limit.rlim_cur = 100;
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    mapseg_free(missing);
    mapseg_free(there);
    return count_entries("/dev/shm") == 2 /* the directories of the scene */ ? 0 : 2;
}

START_TEST(no_descriptor_is_left)
{
    int call = _i / 2;
    int result;

    set_scene();
    failed_line = shared_memory(sizeof *failed_line);
    if (_i % 2 == 1)
        msi_os.open_unnamed = no_unnamed;
    result = in_child(call_until_enough, &call);
    ck_assert_msg(result == 0, "call %d: %s, line %d", call,
                  result == 2 ? "a name is left" : "failed", *failed_line);
}
END_TEST

/* ---------------------------------------------------------------- leaks -- */

/** Calls that fail, each in another way. */
static void
fail_in_all_ways(mapseg *there, mapseg *free_handle)
{
    static const char *const bad[] = {"shm:none",
                                      "shm:link",
                                      "shm:fifo",
                                      "shm:foreign",
                                      "shm:box",
                                      "file:/dev/shm/none/x",
                                      "file:/dev/shm/foreign/x",
                                      "file:/dev/shm/loop/x",
                                      "file:/dev/shm/open/x",
                                      "file:/dev/shm/link/none",
                                      "runtime:none",
                                      "memfd:250"};
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_info *information = NULL;
    int ends[2];

    options.flags = MAPSEG_REQUIRE_ID | MAPSEG_RECLAIM | MAPSEG_STALE_ONLY;
    options.timeout_ns = 1000000;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mapseg *seg = handle_for(bad[i]);

        ck_assert_int_ne(mapseg_attach(seg, MAPSEG_READ_WRITE), MAPSEG_OK);
        ck_assert_int_ne(mapseg_attach(seg, MAPSEG_READ_ONLY), MAPSEG_OK);
        ck_assert_int_ne(mapseg_remove(seg), MAPSEG_OK);
        ck_assert_int_ne(mapseg_reclaim(seg), MAPSEG_OK);
        ignored(mapseg_info_new(seg, &information));
        mapseg_info_free(information);
        if (mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options) == MAPSEG_OK)
            need_call(MAPSEG_OK, seg, mapseg_detach(seg));
        mapseg_free(seg);
    }
    ck_assert_int_ne(mapseg_attach_with(free_handle, MAPSEG_READ_WRITE, &options), MAPSEG_OK);
    ck_assert_int_ne(mapseg_reclaim_with(free_handle, &options), MAPSEG_OK);
    ck_assert_int_ne(mapseg_remove_with(free_handle, &options), MAPSEG_OK);
    need_call(MAPSEG_IN_USE, free_handle, mapseg_reclaim(free_handle));
    need_call(MAPSEG_ALREADY_EXISTS, free_handle,
              mapseg_create_with(free_handle, 100, MAPSEG_READ_WRITE, &options));
    ck_assert_int_eq(exported_fd(free_handle, MAPSEG_READ_ONLY), -1);
    ck_assert_int_eq(notify_fd(free_handle), -1);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ck_assert_int_ne(mapseg_send(free_handle, ends[0], MAPSEG_READ_ONLY), MAPSEG_OK);
    ck_assert_int_ne(mapseg_send(there, 250, MAPSEG_READ_ONLY), MAPSEG_OK);
    need_call(MAPSEG_OK, there, mapseg_send(there, ends[0], MAPSEG_READ_ONLY));
    need_call(MAPSEG_PERMISSION_DENIED, free_handle,
              mapseg_receive(free_handle, ends[1], MAPSEG_READ_WRITE));
    ck_assert_int_eq(write(ends[0], "no segment", 10), 10);
    close(ends[0]);
    ck_assert_int_ne(mapseg_receive(free_handle, ends[1], MAPSEG_READ_WRITE), MAPSEG_OK);
    ck_assert_int_ne(mapseg_receive(free_handle, ends[1], MAPSEG_READ_WRITE), MAPSEG_OK);
    close(ends[1]);
    ck_assert_int_ne(mapseg_attach_fd(free_handle, 250, MAPSEG_READ_ONLY), MAPSEG_OK);
}

START_TEST(failures_leave_no_descriptor)
{
    struct footprint before;
    mapseg *there, *free_handle;

    set_scene();
    ck_assert_int_eq(symlink("/dev/shm/there", "/dev/shm/link"), 0);
    ck_assert_int_eq(symlink("/dev/shm/loop", "/dev/shm/loop"), 0);
    ck_assert_int_eq(mkfifo("/dev/shm/fifo", 0600), 0);
    close(open("/dev/shm/foreign", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ck_assert_int_eq(mkdir("/dev/shm/open", 0777), 0);
    ck_assert_int_eq(chmod("/dev/shm/open", 0777), 0);
    there = created("shm:there", 100);
    free_handle = handle_for("shm:there");
    take_footprint(&before, "/dev/shm/there");
    fail_in_all_ways(there, free_handle);
    check_footprint(&before, "/dev/shm/there");
    mapseg_free(free_handle);
    mapseg_free(there);
}
END_TEST

static void
add_cases(Suite *suite)
{
    TCase *group = new_case(suite, "standard");

    tcase_add_loop_test(group, standard_descriptors_are_closed, 0, KEYS * 16);
    if (skip_unless(!under_valgrind(), "valgrind has its own idea of a limit on descriptors"))
        tcase_add_loop_test(group, no_descriptor_is_left, 0, CALLS_WITH_FEW * 2);
    tcase_add_test(group, failures_leave_no_descriptor);
}

int
main(void)
{
    Suite *suite = new_suite("standard");

    if (skip_unless(can_mount(), "no private place can be mounted"))
        add_cases(suite);
    (void)skip_unless(is_root(),
                      "in a user namespace root's directories belong to an unknown user, so no "
                      "file: key is trusted");
    return run_suite(suite);
}
