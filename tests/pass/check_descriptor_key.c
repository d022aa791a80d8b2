/*
 * check_descriptor_key.c - "memfd:" keys: what leads to a segment by an exported descriptor.
 *
 * Run with "--read KEY" it attaches to that key, which is that of a descriptor it inherited, and
 * tells by its exit status whether it finds the text: a test starts it so.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

static mapseg *
created_memfd(const char *content)
{
    mapseg *seg = handle_for("memfd:");

    need_call(MAPSEG_OK, seg, mapseg_create(seg, 1000, MAPSEG_READ_WRITE));
    strcpy(mapseg_data(seg), content);
    return seg;
}

/* -------------------------------------------------- by number and by id -- */

START_TEST(exported_descriptor_is_attached_by_number)
{
    mapseg *seg = created_memfd("hello"), *other;
    int fd = exported_fd(seg, MAPSEG_READ_WRITE);
    struct footprint before;
    char text[KEY_BYTES];

    ck_assert_int_ge(fd, 0);
    take_footprint(&before, NULL);
    snprintf(text, sizeof text, "memfd:%d", fd);
    other = attached(text, MAPSEG_READ_WRITE);
    ck_assert_uint_eq(mapseg_size(other), 1000);
    ck_assert_str_eq(mapseg_data(other), "hello");
    ck_assert_ptr_ne(mapseg_data(other), mapseg_data(seg));
    strcpy(mapseg_data(other), "world");
    ck_assert_str_eq(mapseg_data(seg), "world");
    need_call(MAPSEG_OK, other, mapseg_lock(other));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    mapseg_free(other);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    /* The number stays the caller's. */
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    check_footprint(&before, NULL);
    close(fd);
    mapseg_free(seg);
}
END_TEST

#define HEX_ID_BYTES 33

static void
hex_id(char text[HEX_ID_BYTES], const uint8_t id[16])
{
    for (int i = 0; i < 16; i++)
        snprintf(text + (size_t)2 * (size_t)i, 3, "%02x", id[i]);
}

/// "memfd:N" with the segment's id, or one that differs from it in a bit.
static void
descriptor_key(char text[KEY_BYTES], mapseg *seg, int fd, bool right)
{
    mapseg_info *information = describe(seg);
    char id[HEX_ID_BYTES];

    information->id[15] ^= right ? 0 : 1;
    hex_id(id, information->id);
    snprintf(text, KEY_BYTES, "memfd:%d?id=%s", fd, id);
    mapseg_info_free(information);
}

START_TEST(descriptor_is_attached_by_its_id)
{
    mapseg *seg = created_memfd("hello"), *other, *stranger;
    int fd = exported_fd(seg, MAPSEG_READ_WRITE);
    struct footprint before;
    char text[KEY_BYTES];

    descriptor_key(text, seg, fd, true);
    other = attached(text, MAPSEG_READ_WRITE);
    ck_assert_str_eq(mapseg_native_key(other), text);
    ck_assert_str_eq(mapseg_data(other), "hello");
    mapseg_free(other);

    descriptor_key(text, seg, fd, false);
    stranger = handle_for(text);
    take_footprint(&before, NULL);
    ck_assert_int_ne(mapseg_attach(stranger, MAPSEG_READ_WRITE), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(stranger)));
    ck_assert(!mapseg_is_attached(stranger));
    ck_assert_int_ne(mapseg_attach(stranger, MAPSEG_READ_ONLY), MAPSEG_OK);
    check_footprint(&before, NULL);
    mapseg_free(stranger);
    close(fd);
    mapseg_free(seg);
}
END_TEST

START_TEST(memfd_outlives_its_creator)
{
    mapseg *seg = created_memfd("hello"), *other;
    int fd = exported_fd(seg, MAPSEG_READ_WRITE);
    char text[KEY_BYTES];

    descriptor_key(text, seg, fd, true);
    mapseg_free(seg);
    for (int i = 0; i < 2; i++) {
        other = attached(text, MAPSEG_READ_WRITE);
        ck_assert_str_eq(mapseg_data(other), "hello");
        mapseg_free(other);
    }
    close(fd);
    other = handle_for(text);
    ck_assert_int_ne(mapseg_attach(other, MAPSEG_READ_WRITE), MAPSEG_OK);
    mapseg_free(other);
}
END_TEST

START_TEST(descriptor_for_reading_only_reads)
{
    mapseg *seg = created_memfd("hello"), *reader, *writer;
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);
    struct footprint before;
    char text[KEY_BYTES];

    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    snprintf(text, sizeof text, "memfd:%d", fd);
    reader = attached(text, MAPSEG_READ_ONLY);
    ck_assert_str_eq(mapseg_const_data(reader), "hello");
    ck_assert_ptr_null(mapseg_data(reader));
    mapseg_free(reader);
    writer = handle_for(text);
    take_footprint(&before, NULL);
    need_call(MAPSEG_PERMISSION_DENIED, writer, mapseg_attach(writer, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(writer)));
    check_footprint(&before, NULL);
    mapseg_free(writer);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// Every export is a description of its own: a flag or offset set on one is not seen on another.
START_TEST(exports_share_nothing)
{
    mapseg *seg = created_memfd("hello");
    int first = exported_fd(seg, MAPSEG_READ_WRITE);
    int second = exported_fd(seg, MAPSEG_READ_WRITE);

    ck_assert_int_ge(first, 0);
    ck_assert_int_ge(second, 0);
    ck_assert_int_ne(first, second);
    ck_assert_int_eq(lseek(first, 100, SEEK_SET), 100);
    ck_assert_int_eq(lseek(second, 0, SEEK_CUR), 0);
    close(first);
    close(second);
    mapseg_free(seg);
}
END_TEST

/// The descriptor of a named segment knows no name: an attachment made by it removes none.
START_TEST(descriptor_of_a_named_segment)
{
    mapseg *seg = created(key, 1000), *other;
    int fd = exported_fd(seg, MAPSEG_READ_WRITE);
    char text[KEY_BYTES];

    ck_assert_int_ge(fd, 0);
    snprintf(text, sizeof text, "memfd:%d", fd);
    other = handle_for(text);
    need_call(MAPSEG_OK, other, mapseg_attach(other, MAPSEG_READ_WRITE));
    strcpy(mapseg_data(other), "hello");
    ck_assert_str_eq(mapseg_data(seg), "hello");
    mapseg_free(seg);
    ck_assert(exists(path));
    mapseg_free(other);
    ck_assert(exists(path));
    close(fd);
    seg = handle_for(key);
    await_deserted(path);
    need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------- what leads nowhere -- */

START_TEST(nothing_to_export)
{
    mapseg *seg = handle_for(key);

    ck_assert_int_eq(exported_fd(seg, MAPSEG_READ_WRITE), -1);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_ATTACHED);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    mapseg_free(seg);
}
END_TEST

/// Numbers that lead to no segment are refused, and what they lead to is left alone.
START_TEST(descriptors_that_are_no_segments)
{
    char text[KEY_BYTES];
    struct footprint before;
    int ends[2], fd;
    mapseg *seg;

    ck_assert_int_eq(pipe(ends), 0);
    switch (_i) {
    case 0:
        fd = ends[0];
        break;
    case 1:
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        break;
    case 2:
        fd = open("/", O_RDONLY | O_CLOEXEC);
        break;
    case 3:
        fd = memfd_create("foreign", MFD_CLOEXEC);
        ck_assert_int_eq(ftruncate(fd, 65536), 0);
        ck_assert_int_eq(fchmod(fd, 0600), 0);
        break;
    default:
        fd = 1000;
        break;
    }
    snprintf(text, sizeof text, "memfd:%d", fd);
    seg = handle_for(text);
    take_footprint(&before, NULL);
    need_call(_i == 4 ? MAPSEG_NOT_FOUND : MAPSEG_NOT_A_SEGMENT, seg,
              mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_int_ne(mapseg_create(seg, 10, MAPSEG_READ_WRITE), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    check_footprint(&before, NULL);
    ck_assert_int_eq(fcntl(fd, F_GETFD) == -1, _i == 4);
    mapseg_free(seg);
    close(fd);
    if (_i != 0)
        close(ends[0]);
    close(ends[1]);
}
END_TEST

/// Creating makes a new one each time; attaching needs a number.
START_TEST(memfd_without_a_number)
{
    mapseg *first = created_memfd("first"), *second = created_memfd("second");
    mapseg *other = handle_for("memfd:");

    ck_assert_str_eq(mapseg_data(first), "first");
    ck_assert_str_eq(mapseg_data(second), "second");
    ck_assert_int_ne(mapseg_attach(other, MAPSEG_READ_WRITE), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(other)));
    mapseg_free(first);
    mapseg_free(second);
    mapseg_free(other);
}
END_TEST

/* ------------------------------------------------------ another program -- */

/// Inherits the descriptor and attaches in a program of its own.
static int
start_reader(void *argument)
{
    const char *text = argument;
    int fd = atoi(text + strlen("memfd:"));
    char program[PATH_MAX];

    own_program(program);
    if (fcntl(fd, F_SETFD, 0) != 0)
        return 90;
    execl(program, "check_descriptor_key", "--read", text, (char *)NULL);
    return 91;
}

START_TEST(descriptor_travels_to_another_program)
{
    mapseg *seg = created_memfd("for the child");
    int fd = exported_fd(seg, _i == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE);
    char text[KEY_BYTES];

    descriptor_key(text, seg, fd, true);
    ck_assert_int_eq(in_child(start_reader, text), 0);
    descriptor_key(text, seg, fd, false);
    ck_assert_int_eq(in_child(start_reader, text), 2);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// The other program: 0 if it found the text, 2 if it could not attach.
static int
read_inherited(const char *text)
{
    mapseg *seg = mapseg_new();
    int status = 1;

    if (mapseg_set_native_key(seg, text) != MAPSEG_OK ||
        mapseg_attach(seg, MAPSEG_READ_ONLY) != MAPSEG_OK)
        status = 2;
    else if (mapseg_size(seg) == 1000 && strcmp(mapseg_const_data(seg), "for the child") == 0)
        status = 0;
    mapseg_free(seg);
    return status;
}

/* -------------------------------------------------------------- program -- */

int
main(int argc, char **argv)
{
    Suite *suite;
    TCase *group;

    if (argc == 3 && strcmp(argv[1], "--read") == 0)
        return read_inherited(argv[2]);
    suite = new_suite("descriptor keys");
    group = new_case(suite, "descriptor keys");
    tcase_add_checked_fixture(group, choose_key, NULL);
    tcase_add_test(group, exported_descriptor_is_attached_by_number);
    tcase_add_test(group, descriptor_is_attached_by_its_id);
    tcase_add_test(group, memfd_outlives_its_creator);
    tcase_add_test(group, descriptor_for_reading_only_reads);
    tcase_add_test(group, exports_share_nothing);
    tcase_add_test(group, descriptor_of_a_named_segment);
    tcase_add_test(group, nothing_to_export);
    tcase_add_loop_test(group, descriptors_that_are_no_segments, 0, 5);
    tcase_add_test(group, memfd_without_a_number);
    tcase_add_loop_test(group, descriptor_travels_to_another_program, 0, 2);
    return run_suite(suite);
}
