/*
 * segments.c - see segments.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "segments.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

mapseg *
memory_segment(const char *text)
{
    mapseg *seg = handle_for("memfd:");

    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    strcpy(mapseg_data(seg), text);
    return seg;
}

void
check_text(mapseg *seg, const char *text)
{
    ck_assert(mapseg_is_attached(seg));
    ck_assert_uint_eq(mapseg_size(seg), SIZE);
    ck_assert_str_eq(mapseg_const_data(seg), text);
}

int
check_key(mapseg *seg, mapseg *source)
{
    mapseg_info *information = describe(source);
    char id[33], expected[KEY_BYTES];
    int fd = -1;

    ck_assert_int_eq(sscanf(mapseg_native_key(seg), "memfd:%d?", &fd), 1);
    for (int i = 0; i < 16; i++)
        snprintf(id + 2 * i, 3, "%02x", information->id[i]);
    mapseg_info_free(information);
    snprintf(expected, sizeof expected, "memfd:%d?id=%s", fd, id);
    ck_assert_str_eq(mapseg_native_key(seg), expected);
    ck_assert_ptr_null(mapseg_key(seg));
    return fd;
}

void
check_attached(mapseg *seg, uint32_t expected)
{
    int64_t deadline = now_ns() + HANG;
    uint32_t found;

    do {
        mapseg_info *information = describe(seg);

        found = information->attached;
        mapseg_info_free(information);
        if (found == expected)
            return;
        nap(1 * MILLISECOND);
    } while (now_ns() < deadline);
    ck_abort_msg("%u are attached instead of %u", found, expected);
}

void
check_reason(mapseg *seg, mapseg_result result)
{
    ck_assert_int_eq(mapseg_error(seg), result);
    ck_assert_msg(is_one_line(mapseg_error_string(seg)), "no reason given");
}

void
check_one_of(const char *what, uint64_t results, mapseg *seg, mapseg_result result)
{
    ck_assert_msg(result < 64 && (results >> result & 1) != 0, "%s: %s: %s", what,
                  mapseg_result_name(result), mapseg_error_string(seg));
    check_reason(seg, result);
}

bool
share_a_description(int first, int second)
{
    struct flock lock = {.l_type = F_RDLCK, .l_start = 1, .l_len = 1};
    struct flock test = {.l_type = F_WRLCK, .l_start = 1, .l_len = 1};

    ck_assert_int_eq(fcntl(first, F_OFD_SETLK, &lock), 0);
    /* To ask is allowed whatever the descriptor is open for. */
    ck_assert_int_eq(fcntl(second, F_OFD_GETLK, &test), 0);
    lock.l_type = F_UNLCK;
    ck_assert_int_eq(fcntl(first, F_OFD_SETLK, &lock), 0);
    return test.l_type == F_UNLCK;
}

bool
is_close_on_exec(int fd)
{
    int flags = fcntl(fd, F_GETFD);

    ck_assert_int_ge(flags, 0);
    return (flags & FD_CLOEXEC) != 0;
}

int
access_mode_of(int fd)
{
    return fcntl(fd, F_GETFL) & O_ACCMODE;
}
