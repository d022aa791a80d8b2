/*
 * check_seals.c - memory files: what their seals forbid, what is said about it, and what happens
 * where the kernel does not seal.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "sandbox.h"
#include "sealed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct msi_os_operations healthy;

/* ---------------------------------------------------------- what is set -- */

static void
check_seals(uint32_t flags, int expected)
{
    mapseg *seg = created_with("memfd:", flags, 0);
    mapseg_info *information = describe(seg);
    struct stat status;
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);

    if (has_exec_seal())
        expected |= F_SEAL_EXEC;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS), expected);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    ck_assert_int_eq(information->seals, expected);
    ck_assert_uint_eq(information->mode, 0600);
    ck_assert(!information->can_shrink);
    ck_assert(is_one_line(information->safety_text));
    ck_assert_str_eq(information->limitations, "");
    ck_assert_int_eq(information->verdict, MAPSEG_OK);
    ck_assert_int_eq(information->writers,
                     flags & MAPSEG_SINGLE_WRITER ? MAPSEG_WRITERS_CREATOR : MAPSEG_WRITERS_OWNER);
    mapseg_info_free(information);
    close(fd);
    mapseg_free(seg);
}

START_TEST(seals_of_a_shared_segment)
{
    static const uint32_t flags[] = {0, MAPSEG_FAIR, MAPSEG_LAZY, MAPSEG_NO_FORK,
                                     MAPSEG_UNTRUSTED_PEER};

    check_seals(flags[_i], SHARED_SEALS);
}
END_TEST

START_TEST(seals_of_a_single_writer)
{
    static const uint32_t flags[] = {0, MAPSEG_FAIR, MAPSEG_NO_FORK, MAPSEG_UNTRUSTED_PEER};

    check_seals(flags[_i] | MAPSEG_SINGLE_WRITER, SHARED_SEALS | F_SEAL_FUTURE_WRITE);
}
END_TEST

START_TEST(created_to_read)
{
    mapseg *seg = handle_for("memfd:");
    mapseg_info *information;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_ONLY));
    information = describe(seg);
    ck_assert_int_eq(information->seals & ~F_SEAL_EXEC, SHARED_SEALS);
    mapseg_info_free(information);
    mapseg_free(seg);
}
END_TEST

START_TEST(a_mode_of_its_own)
{
    static const struct {
        uint32_t mode;
        mapseg_writers writers;
    } modes[] = {{0600, MAPSEG_WRITERS_OWNER},  {0640, MAPSEG_WRITERS_OWNER},
                 {0644, MAPSEG_WRITERS_OWNER},  {0660, MAPSEG_WRITERS_OTHERS},
                 {0602, MAPSEG_WRITERS_OTHERS}, {0666, MAPSEG_WRITERS_OTHERS}};
    mapseg *seg = created_with("memfd:", 0, modes[_i].mode);
    mapseg_info *information = describe(seg);

    ck_assert_uint_eq(information->mode, modes[_i].mode);
    ck_assert_int_eq(information->writers, modes[_i].writers);
    ck_assert_int_eq(information->seals & ~F_SEAL_EXEC, SHARED_SEALS);
    mapseg_info_free(information);
    mapseg_free(seg);
}
END_TEST

/** Seals keep others from writing whatever the mode says. */
START_TEST(a_single_writer_that_all_may_open)
{
    mapseg *seg = created_with("memfd:", MAPSEG_SINGLE_WRITER, 0666);

    ck_assert_int_eq(writers_of(seg), MAPSEG_WRITERS_CREATOR);
    mapseg_free(seg);
}
END_TEST

START_TEST(what_is_said)
{
    mapseg *shared = created_with("memfd:", 0, 0);
    mapseg *single = created_with("memfd:", MAPSEG_SINGLE_WRITER, 0);
    char key[KEY_BYTES];
    mapseg *named;
    mapseg_info *of_shared, *of_single, *of_named;

    unique_key(key);
    named = created_with(key, 0, 0);
    of_shared = describe(shared);
    of_single = describe(single);
    of_named = describe(named);
    ck_assert(is_one_line(of_named->safety_text));
    ck_assert_str_ne(of_shared->safety_text, of_single->safety_text);
    ck_assert_str_ne(of_shared->safety_text, of_named->safety_text);
    ck_assert(of_named->can_shrink);
    ck_assert_int_eq(of_named->writers, MAPSEG_WRITERS_OWNER);
    ck_assert_str_eq(of_named->limitations, "");
    mapseg_info_free(of_shared);
    mapseg_info_free(of_single);
    mapseg_info_free(of_named);
    mapseg_free(shared);
    mapseg_free(single);
    mapseg_free(named);
}
END_TEST

/* -------------------------------------------------------- single writer -- */

START_TEST(single_writer_refusals)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct footprint before;
    char key[KEY_BYTES], path[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    path_of(path, key);
    seg = handle_for(key);
    take_footprint(&before, NULL);
    options.flags = MAPSEG_SINGLE_WRITER;
    need_call(MAPSEG_NOT_SUPPORTED, seg,
              mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!exists(path));
    ck_assert(!mapseg_is_attached(seg));
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "memfd:"));
    need_call(MAPSEG_INVALID_ARGUMENT, seg,
              mapseg_create_with(seg, SIZE, MAPSEG_READ_ONLY, &options));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    mapseg_free(seg);
    check_footprint(&before, NULL);
}
END_TEST

/** A call ignores the flags that do not concern it. */
START_TEST(single_writer_does_not_concern_attaching)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = created_with("memfd:", MAPSEG_SINGLE_WRITER, 0), *reader = mapseg_new();
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);

    options.flags = MAPSEG_SINGLE_WRITER | MAPSEG_UNTRUSTED_PEER;
    need_call(MAPSEG_OK, reader, mapseg_attach_fd_with(reader, fd, MAPSEG_READ_ONLY, &options));
    ck_assert_int_eq(writers_of(reader), MAPSEG_WRITERS_CREATOR);
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/** Children made by fork() inherit the one mapping that can write. */
START_TEST(children_of_a_single_writer)
{
    mapseg *seg = created_with("memfd:", MAPSEG_SINGLE_WRITER | (_i == 0 ? 0 : MAPSEG_NO_FORK), 0);
    char *data = mapseg_data(seg);
    pid_t child;

    strcpy(data, "parent");
    child = fork();
    if (child == 0) {
        if (_i != 0)
            _exit(!mapseg_is_attached(seg) && mapseg_const_data(seg) == NULL ? 0 : 1);
        if (mapseg_write_begin(seg) != MAPSEG_OK)
            _exit(2);
        strcpy(mapseg_data(seg), "child");
        _exit(mapseg_write_end(seg) == MAPSEG_OK ? 0 : 3);
    }
    ck_assert_int_eq(end_of(child), 0);
    ck_assert_str_eq(data, _i == 0 ? "child" : "parent");
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

/** A descriptor of a single writer's segment is to read, or useless to write. */
START_TEST(a_single_writer_cannot_share_writing)
{
    mapseg *seg = created_with("memfd:", MAPSEG_SINGLE_WRITER, 0), *other = mapseg_new();
    int ends[2], fd = exported_fd(seg, MAPSEG_READ_WRITE);

    if (fd < 0) {
        ck_assert(is_one_line(mapseg_error_string(seg)));
        fd = exported_fd(seg, MAPSEG_READ_ONLY);
    }
    ck_assert_int_ge(fd, 0);
    ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    ck_assert_int_eq(pwrite(fd, "x", 1, 5000), -1);
    need_call(MAPSEG_PERMISSION_DENIED, other, mapseg_attach_fd(other, fd, MAPSEG_READ_WRITE));
    ck_assert(!mapseg_is_attached(other));
    need_call(MAPSEG_OK, other, mapseg_attach_fd(other, fd, MAPSEG_READ_ONLY));
    need_call(MAPSEG_PERMISSION_DENIED, other, mapseg_lock(other));
    need_call(MAPSEG_PERMISSION_DENIED, other, mapseg_write_begin(other));
    need_call(MAPSEG_OK, other, mapseg_detach(other));

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    need_call(MAPSEG_PERMISSION_DENIED, other, mapseg_receive(other, ends[1], MAPSEG_READ_WRITE));
    close(ends[0]);
    close(ends[1]);
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

static int reserved_by_others;

/** Another process of this user finds the descriptor in /proc while the memory is reserved. */
static int
open_and_reserve(int fd, int64_t offset, int64_t bytes)
{
    char name[40];
    int other;

    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    other = open(name, O_RDWR | O_CLOEXEC);
    if (other >= 0) {
        void *address = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);

        reserved_by_others += address != MAP_FAILED;
        if (address != MAP_FAILED)
            munmap(address, 4096);
        close(other);
    }
    return healthy.reserve(fd, offset, bytes);
}

START_TEST(single_writer_is_sealed_before_it_is_filled)
{
    char text[] = "written";
    mapseg *seg;
    pid_t child;

    healthy = msi_os;
    msi_os.reserve = open_and_reserve;
    seg = created_with("memfd:", MAPSEG_SINGLE_WRITER, 0);
    msi_os = healthy;
    ck_assert_int_eq(reserved_by_others, 0);
    /* What was mapped early is a segment like any other, for children too. */
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, text, sizeof text));
    child = fork();
    if (child == 0)
        _exit(strcmp(mapseg_const_data(seg), text) != 0);
    ck_assert_int_eq(end_of(child), 0);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------- old kernels -- */

static int dropped;      /* seals that the kernel forgets silently */
static int unknown;      /* seals that it does not know */
static int refused_with; /* the error of all sealing */

static int
old_add_seals(int fd, int seals)
{
    if (refused_with != 0)
        return -refused_with;
    if (seals & unknown)
        return -EINVAL;
    seals &= ~dropped;
    return seals == 0 ? 0 : healthy.add_seals(fd, seals);
}

/** Creates on a kernel that is not what it should be: refused, and nothing is left. */
static mapseg_result
create_on_old_kernel(uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for("memfd:");
    struct footprint before;
    mapseg_result result;

    /* A process's first attachment also prepares for forks. */
    mapseg_free(created_with("memfd:", 0, 0));
    healthy = msi_os;
    msi_os.add_seals = old_add_seals;
    take_footprint(&before, NULL);
    options.flags = flags;
    result = mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options);
    ck_assert_int_ne(result, MAPSEG_OK);
    ck_assert_int_eq(mapseg_error(seg), result);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    check_footprint(&before, NULL);
    msi_os = healthy;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    return result;
}

START_TEST(seals_that_are_forgotten)
{
    static const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL, SHARED_SEALS};
    const uint32_t flags = _i % 2 == 0 ? 0 : MAPSEG_SINGLE_WRITER;

    dropped = seals[_i / 2];
    (void)create_on_old_kernel(flags);
}
END_TEST

START_TEST(a_single_writer_seal_that_is_forgotten)
{
    dropped = F_SEAL_FUTURE_WRITE;
    (void)create_on_old_kernel(MAPSEG_SINGLE_WRITER);
}
END_TEST

START_TEST(sealing_that_fails)
{
    static const int errors[] = {EPERM, EINVAL, EBUSY, EIO, ENOSYS};

    refused_with = errors[_i / 2];
    (void)create_on_old_kernel(_i % 2 == 0 ? 0 : MAPSEG_SINGLE_WRITER);
}
END_TEST

/** Never a shared segment instead. */
START_TEST(no_seal_for_a_single_writer)
{
    unknown = F_SEAL_FUTURE_WRITE;
    ck_assert_int_eq(create_on_old_kernel(MAPSEG_SINGLE_WRITER), MAPSEG_NOT_SUPPORTED);
    msi_os.add_seals = old_add_seals;
    mapseg_free(created_with("memfd:", 0, 0));
}
END_TEST

/** The body in a process whose memfd_create knows no such flags. */
static int
create_without_flag(void *argument)
{
    const struct sandbox_rule *rule = argument;
    struct stat status;
    mapseg *seg;
    int fd;

    enter_sandbox(rule, 1, ALLOW);
    seg = mapseg_new();
    if (mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK)
        return 1;
    if (mapseg_create(seg, SIZE, MAPSEG_READ_WRITE) != MAPSEG_OK)
        return 100 + (int)mapseg_error(seg);
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    if (fstat(fd, &status) != 0 || (status.st_mode & 07777) != 0600)
        return 2;
    if (fcntl(fd, F_GET_SEALS) != SHARED_SEALS)
        return 3;
    mapseg_free(seg);
    return 0;
}

START_TEST(memory_files_without_the_exec_flag)
{
    struct sandbox_rule rule = {SYS_memfd_create, EINVAL, 1, MFD_NOEXEC_SEAL, MFD_NOEXEC_SEAL};

    ck_assert_int_eq(in_child(create_without_flag, &rule), 0);
}
END_TEST

START_TEST(no_memory_files)
{
    struct sandbox_rule rule = {SYS_memfd_create, ENOSYS, 0, 0, 0};

    ck_assert_int_eq(in_child(create_without_flag, &rule), 100 + MAPSEG_NOT_SUPPORTED);
}
END_TEST

/** The kernel's fcntl itself: an F_ADD_SEALS that does nothing, and one that fails. */
START_TEST(kernels_that_do_not_seal)
{
    struct sandbox_rule rule = {SYS_fcntl, _i == 0 ? 0 : EINVAL, 1, UINT32_MAX, F_ADD_SEALS};
    int status = in_child(create_without_flag, &rule);

    /* Refused, and not with one of the other ends. */
    ck_assert_msg(status == 100 + MAPSEG_NOT_SUPPORTED || status == 100 + MAPSEG_UNKNOWN_ERROR,
                  "%d", status);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

static void
add_seals(Suite *suite)
{
    TCase *group = new_case(suite, "seals");

    tcase_add_loop_test(group, seals_of_a_shared_segment, 0, 5);
    tcase_add_test(group, created_to_read);
    tcase_add_loop_test(group, a_mode_of_its_own, 0, 6);
    tcase_add_test(group, single_writer_refusals);
    if (skip_unless(has_future_write(), "the kernel has no F_SEAL_FUTURE_WRITE")) {
        tcase_add_loop_test(group, seals_of_a_single_writer, 0, 4);
        tcase_add_test(group, a_single_writer_that_all_may_open);
        tcase_add_test(group, what_is_said);
        tcase_add_test(group, single_writer_does_not_concern_attaching);
        tcase_add_loop_test(group, children_of_a_single_writer, 0, 2);
        tcase_add_test(group, a_single_writer_cannot_share_writing);
        tcase_add_test(group, single_writer_is_sealed_before_it_is_filled);
    }
}

static void
add_old_kernels(Suite *suite)
{
    TCase *group = new_case(suite, "old kernels");

    if (has_future_write()) {
        tcase_add_loop_test(group, seals_that_are_forgotten, 0, 8);
        tcase_add_test(group, a_single_writer_seal_that_is_forgotten);
        tcase_add_loop_test(group, sealing_that_fails, 0, 10);
        tcase_add_test(group, no_seal_for_a_single_writer);
    }
    if (skip_unless(has_sandbox() && !under_valgrind(), "seccomp filters are not to be had")) {
        tcase_add_test(group, memory_files_without_the_exec_flag);
        tcase_add_test(group, no_memory_files);
        tcase_add_loop_test(group, kernels_that_do_not_seal, 0, 2);
    }
}

int
main(void)
{
    Suite *suite = new_suite("seals");

    add_seals(suite);
    add_old_kernels(suite);
    return run_suite(suite);
}
