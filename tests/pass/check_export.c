/*
 * check_export.c - mapseg_export_fd and mapseg_attach_fd: a segment behind a descriptor, and what
 * else a descriptor may lead to.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "segments.h"
#include "strangers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ------------------------------------------------------------ exporting -- */

START_TEST(exported_descriptors_are_each_their_own)
{
    mapseg_access access = _i == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE;
    mapseg *seg = memory_segment("mine");
    int before = count_descriptors();
    int first = exported_fd(seg, access), second = exported_fd(seg, access);

    ck_assert_int_ge(first, 0);
    ck_assert_int_ge(second, 0);
    ck_assert(is_close_on_exec(first) && is_close_on_exec(second));
    ck_assert_int_eq(access_mode_of(first), _i == 0 ? O_RDONLY : O_RDWR);
    ck_assert(!share_a_description(first, second));
    close(first);
    close(second);
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(seg);
}
END_TEST

START_TEST(export_refusals)
{
    mapseg *seg = memory_segment("mine"), *reader = mapseg_new();
    int before, fd = exported_fd(seg, MAPSEG_READ_ONLY);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(exported_fd(reader, MAPSEG_READ_ONLY), -1);
    check_reason(reader, MAPSEG_NOT_ATTACHED);
    need_call(MAPSEG_OK, reader, mapseg_attach_fd(reader, fd, MAPSEG_READ_ONLY));
    before = count_descriptors();
    ck_assert_int_eq(exported_fd(reader, MAPSEG_READ_WRITE), -1);
    check_reason(reader, MAPSEG_PERMISSION_DENIED);
    ck_assert_int_eq(exported_fd(seg, MAPSEG_ACCESS_RESERVED), -1);
    check_reason(seg, MAPSEG_INVALID_ARGUMENT);
    ck_assert_int_eq(count_descriptors(), before);
    fd = exported_fd(reader, MAPSEG_READ_ONLY);
    ck_assert_int_ge(fd, 0);
    close(fd);
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

START_TEST(any_segment_has_descriptors)
{
    char key[KEY_BYTES], path[KEY_BYTES];
    mapseg *seg, *taker = mapseg_new();
    int fd;

    unique_key(key);
    path_of(path, key);
    seg = created(key, SIZE);
    strcpy(mapseg_data(seg), "named");
    fd = exported_fd(seg, MAPSEG_READ_WRITE);
    ck_assert_int_ge(fd, 0);
    need_call(MAPSEG_OK, taker, mapseg_attach_fd(taker, fd, MAPSEG_READ_WRITE));
    check_text(taker, "named");
    ck_assert_int_eq(check_key(taker, seg), fd);
    need_call(MAPSEG_OK, taker, mapseg_lock(taker));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    /* It knows no name, and takes none away. */
    mapseg_free(taker);
    ck_assert(exists(path));
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

/* ------------------------------------------------------------ attaching -- */

START_TEST(the_handle_takes_the_descriptor_over)
{
    mapseg_access access = _i == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE;
    mapseg *seg = memory_segment("over"), *taker = mapseg_new_with_key("another key");
    int before = count_descriptors();
    int fd = exported_fd(seg, access);

    ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
    need_call(MAPSEG_OK, taker, mapseg_attach_fd(taker, fd, access));
    check_text(taker, "over");
    ck_assert_int_eq(check_key(taker, seg), fd);
    ck_assert(is_close_on_exec(fd));
    ck_assert_int_eq(mapseg_data(taker) == NULL, _i == 0);
    check_attached(seg, 2);
    need_call(MAPSEG_OK, taker, mapseg_detach(taker));
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    ck_assert_int_eq(count_descriptors(), before);
    check_attached(seg, 1);
    mapseg_free(taker);
    mapseg_free(seg);
}
END_TEST

START_TEST(strange_descriptors_stay_the_callers)
{
    const struct stranger *stranger = &strangers[_i];
    mapseg *seg = mapseg_new_with_key("its key");
    int fd = stranger->make();
    int before = count_descriptors();

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
    check_one_of(stranger->name, stranger->results, seg,
                 mapseg_attach_fd(seg, fd, MAPSEG_READ_ONLY));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_str_eq(mapseg_key(seg), "its key");
    ck_assert(!is_close_on_exec(fd));
    ck_assert_int_eq(count_descriptors(), before);
    close(fd);
    mapseg_free(seg);
}
END_TEST

START_TEST(attach_fd_refusals)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = memory_segment("refuses"), *taker = mapseg_new();
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);

    need_call(MAPSEG_NOT_FOUND, taker, mapseg_attach_fd(taker, -1, MAPSEG_READ_ONLY));
    need_call(MAPSEG_NOT_FOUND, taker, mapseg_attach_fd(taker, 19999, MAPSEG_READ_ONLY));
    need_call(MAPSEG_PERMISSION_DENIED, taker, mapseg_attach_fd(taker, fd, MAPSEG_READ_WRITE));
    need_call(MAPSEG_INVALID_ARGUMENT, taker, mapseg_attach_fd(taker, fd, MAPSEG_ACCESS_RESERVED));
    options.flags = MAPSEG_REQUIRE_TAG;
    options.user_tag = 5;
    need_call(MAPSEG_WRONG_TAG, taker,
              mapseg_attach_fd_with(taker, fd, MAPSEG_READ_ONLY, &options));
    options.size = 0;
    need_call(MAPSEG_INVALID_ARGUMENT, taker,
              mapseg_attach_fd_with(taker, fd, MAPSEG_READ_ONLY, &options));
    need_call(MAPSEG_ALREADY_ATTACHED, seg, mapseg_attach_fd(seg, fd, MAPSEG_READ_ONLY));
    check_text(seg, "refuses");
    ck_assert_ptr_null(mapseg_native_key(taker));
    need_call(MAPSEG_OK, taker, mapseg_attach_fd(taker, fd, MAPSEG_READ_ONLY));
    check_text(taker, "refuses");
    mapseg_free(taker);
    mapseg_free(seg);
}
END_TEST

/* --------------------- presence on the description that was handed over -- */

static struct msi_os_operations real;

static int
no_description(int fd, int flags)
{
    (void)fd;
    (void)flags;
    return -EACCES;
}

static int
no_shared_lock(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    return kind == MSI_RANGE_SHARED ? -ENOLCK : real.lock_range_ofd(fd, kind, start, bytes);
}

static mapseg_presence_kind
presence_of(mapseg *seg)
{
    mapseg_info *information = describe(seg);
    mapseg_presence_kind presence = information->presence;

    mapseg_info_free(information);
    return presence;
}

/** A reader whose presence lies on the description that it was handed. */
static mapseg *
reader_on_its_description(mapseg *seg)
{
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);
    mapseg *reader = mapseg_new();

    real = msi_os;
    msi_os.reopen = no_description;
    need_call(MAPSEG_OK, reader, mapseg_attach_fd(reader, fd, MAPSEG_READ_ONLY));
    ck_assert_int_eq(presence_of(reader), MAPSEG_PRESENCE_RECEIVED);
    check_attached(seg, 2);
    return reader;
}

/** Neither the fork nor the child's end touches it. */
START_TEST(a_fork_beside_a_received_presence)
{
    mapseg *seg = memory_segment("stays"), *reader = reader_on_its_description(seg);
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    ck_assert_int_eq(end_of(child), 0);
    check_attached(seg, 2);
    msi_os = real;
    mapseg_free(reader);
    check_attached(seg, 1);
    mapseg_free(seg);
}
END_TEST

/** A handle that is refused a lock gives none back that another has on the same description. */
START_TEST(a_refusal_beside_a_received_presence)
{
    mapseg *seg = memory_segment("stays"), *reader = reader_on_its_description(seg);
    mapseg *refused = mapseg_new();
    int fd = -1;

    ck_assert_int_eq(sscanf(mapseg_native_key(reader), "memfd:%d?", &fd), 1);
    fd = dup(fd);
    msi_os.lock_range_ofd = no_shared_lock;
    need_call(MAPSEG_OK, refused, mapseg_attach_fd(refused, fd, MAPSEG_READ_ONLY));
    ck_assert_int_eq(presence_of(refused), MAPSEG_PRESENCE_REFUSED);
    check_attached(seg, 2);
    mapseg_free(refused);
    check_attached(seg, 2);
    msi_os = real;
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

/// A call that gives out no descriptor gives -1, so that closing it harms none.
START_TEST(failure_gives_no_descriptor)
{
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    struct rlimit before, few;
    mapseg *seg = created("memfd:", 100), *detached = handle_for("memfd:");
    int exported = 7, notify = 7, spawned = 7;

    need_call(MAPSEG_NOT_ATTACHED, detached,
              mapseg_export_fd(detached, MAPSEG_READ_ONLY, &exported));
    need_call(MAPSEG_NOT_ATTACHED, detached, mapseg_notify_fd(detached, &notify));
    need_call(MAPSEG_NOT_ATTACHED, detached,
              mapseg_spawn_actions(detached, MAPSEG_READ_ONLY, NULL, variable, &spawned));
    ck_assert(exported == -1 && notify == -1 && spawned == -1);
    need(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = before;
    few.rlim_cur = 3;
    need(setrlimit(RLIMIT_NOFILE, &few) == 0);
    exported = notify = spawned = 7;
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_export_fd(seg, MAPSEG_READ_ONLY, &exported));
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_notify_fd(seg, &notify));
    need_call(MAPSEG_OUT_OF_RESOURCES, seg,
              mapseg_spawn_actions(seg, MAPSEG_READ_ONLY, NULL, variable, &spawned));
    need(setrlimit(RLIMIT_NOFILE, &before) == 0);
    ck_assert(exported == -1 && notify == -1 && spawned == -1);
    mapseg_free(detached);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("export");
    TCase *group = new_case(suite, "exporting");

    tcase_add_loop_test(group, exported_descriptors_are_each_their_own, 0, 2);
    tcase_add_test(group, export_refusals);
    tcase_add_test(group, any_segment_has_descriptors);

    group = new_case(suite, "attaching");
    tcase_add_loop_test(group, the_handle_takes_the_descriptor_over, 0, 2);
    tcase_add_loop_test(group, strange_descriptors_stay_the_callers, 0, STRANGERS);
    tcase_add_test(group, attach_fd_refusals);

    group = new_case(suite, "presence");
    tcase_add_test(group, a_fork_beside_a_received_presence);
    tcase_add_test(group, a_refusal_beside_a_received_presence);
    tcase_add_test(group, failure_gives_no_descriptor);
    return run_suite(suite);
}
