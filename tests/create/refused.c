/*
 * refused.c - checks of what lies at the name of a test: it is refused, and left as it is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "refused.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

char key[KEY_BYTES];
char path[KEY_BYTES];

void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

void
write_file(const char *content, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, bytes), (ssize_t)bytes);
    close(fd);
}

void
remove_segment(void)
{
    ck_assert_int_eq(unlink(path), 0);
}

void
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

void
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

void
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

void
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

void
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

void
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
