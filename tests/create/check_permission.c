/*
 * check_permission.c - files that may not be read or written, and files of others.
 *
 * SPDX-License-Identifier: MIT
 */
#include "refused.h"

#include <stdio.h>
#include <unistd.h>

#define DATA_BYTES 10000
#define THIRD_USER 65533

/* --------------------------------------------------- without permission -- */

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

/* ------------------------------------------------------------ of others -- */

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

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("permission");
    TCase *group = new_case(suite, "permission");

    tcase_add_checked_fixture(group, choose_key, NULL);
    tcase_add_test(group, read_only_file);
    tcase_add_test(group, file_without_permission);
    tcase_add_test(group, directory_without_permission);
    if (skip_unless(is_root(), "file_of_another_user: only root can be two users")) {
        tcase_add_test(group, file_of_another_user);
        tcase_add_test(group, file_of_root);
    }
    tcase_add_loop_test(group, file_that_others_may_write, 0, 4);
    return run_suite(suite);
}
