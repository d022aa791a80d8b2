/*
 * check_foreign_file.c - what lies at the name and is no segment: no call uses, replaces or removes
 * it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "refused.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

/// A file that never was a segment is refused by all calls, and left as it is.
static void
check_left_alone(mapseg_result expected, mapseg_result or_this)
{
    check_refused(MAPSEG_READ_WRITE, expected, or_this);
    check_refused(MAPSEG_READ_ONLY, expected, or_this);
    check_not_replaced();
    check_not_reclaimed();
    check_not_removed(expected, or_this);
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

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("foreign files");
    TCase *group = new_case(suite, "foreign files");

    tcase_add_checked_fixture(group, choose_key, NULL);
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
    return run_suite(suite);
}
