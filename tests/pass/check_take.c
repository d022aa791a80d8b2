/*
 * check_take.c - a descriptor that a key names, and that the handle takes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE 100

static const mapseg_options taking = {
    .size = sizeof(mapseg_options),
    .flags = MAPSEG_TAKE_DESCRIPTOR,
    .timeout_ns = MAPSEG_TIMEOUT_DEFAULT,
};

static bool
is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/** The key of an inherited descriptor, and that, as a child finds both. */
static int
inherit(mapseg *seg, mapseg_access access, char variable[MAPSEG_ENVIRONMENT_BYTES])
{
    int fd = spawn_fd(seg, access, NULL, variable);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
    return fd;
}

static mapseg *
handle_of_variable(const char *variable)
{
    return handle_for(strchr(variable, '=') + 1);
}

/// On success the descriptor is the handle's: no program that is run gets it, and detach closes it.
START_TEST(descriptor_becomes_the_handles)
{
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    mapseg *seg = created("memfd:", SIZE), *child;
    int before = count_descriptors();
    int fd = inherit(seg, (mapseg_access)_i, variable);

    child = handle_of_variable(variable);
    need_call(MAPSEG_OK, child, mapseg_attach_with(child, (mapseg_access)_i, &taking));
    ck_assert(!is_open(fd) || fcntl(fd, F_GETFD) == FD_CLOEXEC);
    ck_assert_str_eq(mapseg_native_key(child), strchr(variable, '=') + 1);
    ck_assert_uint_eq(mapseg_size(child), SIZE);
    need_call(MAPSEG_OK, child, mapseg_detach(child));
    ck_assert(!is_open(fd));
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(child);
    mapseg_free(seg);
}
END_TEST

/// A refusal leaves the descriptor, as it was, to the caller.
START_TEST(refusal_leaves_the_descriptor)
{
    char variable[MAPSEG_ENVIRONMENT_BYTES], wrong[80];
    mapseg *seg = created("memfd:", SIZE), *child;
    int fd = inherit(seg, MAPSEG_READ_ONLY, variable);
    int before = count_descriptors();

    child = handle_of_variable(variable);
    need_call(MAPSEG_PERMISSION_DENIED, child,
              mapseg_attach_with(child, MAPSEG_READ_WRITE, &taking));
    ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
    snprintf(wrong, sizeof wrong, "memfd:%d?id=%032d", fd, 7);
    ck_assert_int_eq(mapseg_set_native_key(child, wrong), MAPSEG_OK);
    need_call(MAPSEG_NOT_FOUND, child, mapseg_attach_with(child, MAPSEG_READ_ONLY, &taking));
    ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(child);
    ck_assert(is_open(fd));
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// Without the flag the descriptor stays the caller's.
START_TEST(without_the_flag_it_stays)
{
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    mapseg *seg = created("memfd:", SIZE), *child;
    int fd = inherit(seg, MAPSEG_READ_WRITE, variable);

    child = handle_of_variable(variable);
    need_call(MAPSEG_OK, child, mapseg_attach(child, MAPSEG_READ_WRITE));
    mapseg_free(child);
    ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// A key that names a file has no descriptor to take.
START_TEST(names_are_attached_as_ever)
{
    char key[KEY_BYTES];
    mapseg *seg, *other;

    unique_key(key);
    seg = created(key, SIZE);
    other = handle_for(key);
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &taking));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("take");
    TCase *group = new_long_case(suite, "descriptor", TEST_TIMEOUT);

    tcase_add_loop_test(group, descriptor_becomes_the_handles, MAPSEG_READ_ONLY,
                        MAPSEG_READ_WRITE + 1);
    tcase_add_test(group, refusal_leaves_the_descriptor);
    tcase_add_test(group, without_the_flag_it_stays);
    tcase_add_test(group, names_are_attached_as_ever);
    return run_suite(suite);
}
