/*
 * check_qt.c - a handle does what a QSharedMemory does, as documented: its rules one by one, and
 * what programs do with it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

/// Tries the lock from a process of its own: the result.
static int
try_lock_in_child(void *argument)
{
    mapseg *seg = attached(key, MAPSEG_READ_WRITE);
    mapseg_result result = mapseg_try_lock(seg);

    (void)argument;
    mapseg_free(seg);
    return (int)result;
}

/* ----------------------------------------------------- codes and values -- */

START_TEST(codes_are_those_of_qt)
{
    ck_assert_int_eq(MAPSEG_OK, 0);
    ck_assert_int_eq(MAPSEG_PERMISSION_DENIED, 1);
    ck_assert_int_eq(MAPSEG_INVALID_SIZE, 2);
    ck_assert_int_eq(MAPSEG_KEY_ERROR, 3);
    ck_assert_int_eq(MAPSEG_ALREADY_EXISTS, 4);
    ck_assert_int_eq(MAPSEG_NOT_FOUND, 5);
    ck_assert_int_eq(MAPSEG_LOCK_ERROR, 6);
    ck_assert_int_eq(MAPSEG_OUT_OF_RESOURCES, 7);
    ck_assert_int_eq(MAPSEG_UNKNOWN_ERROR, 8);
    ck_assert_int_eq(MAPSEG_READ_ONLY, 0);
    ck_assert_int_eq(MAPSEG_READ_WRITE, 1);
}
END_TEST

START_TEST(every_result_has_a_name)
{
    static const char *const names[] = {
        "MAPSEG_OK",
        "MAPSEG_PERMISSION_DENIED",
        "MAPSEG_INVALID_SIZE",
        "MAPSEG_KEY_ERROR",
        "MAPSEG_ALREADY_EXISTS",
        "MAPSEG_NOT_FOUND",
        "MAPSEG_LOCK_ERROR",
        "MAPSEG_OUT_OF_RESOURCES",
        "MAPSEG_UNKNOWN_ERROR",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_TIMED_OUT",
        "MAPSEG_WOULD_BLOCK",
        "MAPSEG_OWNER_DIED",
        "MAPSEG_ALREADY_LOCKED",
        "MAPSEG_NOT_LOCKED",
        "MAPSEG_NOT_ATTACHED",
        "MAPSEG_ALREADY_ATTACHED",
        "MAPSEG_NOT_A_SEGMENT",
        "MAPSEG_CORRUPT",
        "MAPSEG_TOO_NEW",
        "MAPSEG_UNTRUSTED",
        "MAPSEG_FILE_SHRUNK",
        "MAPSEG_INVALID_ARGUMENT",
        "MAPSEG_NOT_SUPPORTED",
        "MAPSEG_IN_USE",
        "MAPSEG_MEANT_TO_STAY",
        "MAPSEG_DESCRIPTOR_CLOSED",
        "MAPSEG_WRONG_TAG",
        "MAPSEG_?",
    };

    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        ck_assert_str_eq(mapseg_result_name((mapseg_result)i), names[i]);
    ck_assert_str_eq(mapseg_result_name((mapseg_result)-1), "MAPSEG_?");
    ck_assert_str_eq(mapseg_result_name(MAPSEG_RESULT_RESERVED), "MAPSEG_?");
}
END_TEST

/** The version that the header has as numbers and the library as a string is one. */
START_TEST(version_is_told_in_two_ways)
{
    char text[32];

    snprintf(text, sizeof text, "%d.%d.%d", MAPSEG_VERSION_MAJOR, MAPSEG_VERSION_MINOR,
             MAPSEG_VERSION_PATCH);
    ck_assert_str_eq(mapseg_version(), text);
    ck_assert_int_eq(MAPSEG_VERSION_NUMBER, MAPSEG_VERSION_MAJOR * 10000 +
                                                MAPSEG_VERSION_MINOR * 100 + MAPSEG_VERSION_PATCH);
}
END_TEST

START_TEST(every_result_has_a_text)
{
    for (int i = 1; i < 64; i++)
        if (strcmp(mapseg_result_name((mapseg_result)i), "MAPSEG_?") == 0)
            ck_assert_str_eq(mapseg_result_text((mapseg_result)i), "unknown");
        else
            ck_assert_uint_gt(strlen(mapseg_result_text((mapseg_result)i)), 5);
    ck_assert_str_eq(mapseg_result_text(MAPSEG_OK), "");
    ck_assert_str_eq(mapseg_result_text(MAPSEG_NOT_FOUND), "there is no such segment");
}
END_TEST

/* -------------------------------------------------- create and attach -- */

START_TEST(empty_key_is_a_key_error)
{
    mapseg *seg = mapseg_new();

    need_call(MAPSEG_KEY_ERROR, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_KEY_ERROR);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_create_or_attach(seg, 10, MAPSEG_READ_WRITE, NULL));
    ck_assert(!mapseg_is_attached(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(key_error_wins_over_size_error)
{
    mapseg *seg = mapseg_new();

    need_call(MAPSEG_KEY_ERROR, seg, mapseg_create(seg, 0, MAPSEG_READ_WRITE));
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_create(seg, SIZE_MAX, MAPSEG_READ_WRITE));
    mapseg_free(seg);
}
END_TEST

START_TEST(size_0_is_an_invalid_size)
{
    mapseg *seg = handle_for(key);

    need_call(MAPSEG_INVALID_SIZE, seg, mapseg_create(seg, 0, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_INVALID_SIZE);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

START_TEST(size_is_checked_before_existence)
{
    mapseg *seg = created(key, 10), *other = handle_for(key);

    need_call(MAPSEG_INVALID_SIZE, other, mapseg_create(other, 0, MAPSEG_READ_WRITE));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

START_TEST(created_segment_is_zero_and_of_that_size)
{
    static const size_t sizes[] = {1, 2, 7, 4095, 4096, 4097, 10000, 65536, 1000003};
    const size_t size = sizes[_i];
    mapseg *seg = created(key, size), *other = attached(key, MAPSEG_READ_ONLY);
    const unsigned char *data = mapseg_const_data(seg);

    ck_assert_uint_eq(mapseg_size(seg), size);
    ck_assert_uint_eq(mapseg_size(other), size);
    ck_assert_uint_eq((uintptr_t)data % 4096, 0);
    ck_assert_uint_eq((uintptr_t)mapseg_const_data(other) % 4096, 0);
    for (size_t i = 0; i < size; i++)
        ck_assert_msg(data[i] == 0, "byte %zu is %d", i, data[i]);
    memset(mapseg_data(seg), 0x5a, size);
    ck_assert_mem_eq(mapseg_const_data(other), data, size);
    mapseg_free(seg);
    mapseg_free(other);
}
END_TEST

/// The mode is 0600, whatever the umask.
START_TEST(created_segment_is_private)
{
    static const mode_t umasks[] = {0, 022, 077, 0777};
    struct stat status;
    mapseg *seg;

    umask(umasks[_i]);
    seg = created(key, 10);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode, S_IFREG | 0600);
    ck_assert_uint_eq(status.st_uid, geteuid());
    ck_assert_uint_eq(status.st_nlink, 1);
    ck_assert_uint_eq(umask(0), umasks[_i]);
    mapseg_free(seg);
}
END_TEST

START_TEST(create_attaches_with_the_access_asked_for)
{
    mapseg *seg = handle_for(key), *writer;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_ONLY));
    ck_assert(mapseg_is_attached(seg));
    ck_assert_ptr_null(mapseg_data(seg));
    ck_assert_ptr_nonnull(mapseg_const_data(seg));
    ck_assert_str_eq(mapseg_const_data(seg), "");
    writer = attached(key, MAPSEG_READ_WRITE);
    strcpy(mapseg_data(writer), "hello");
    ck_assert_str_eq(mapseg_const_data(seg), "hello");
    mapseg_free(writer);
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

START_TEST(create_while_attached)
{
    mapseg *seg = created(key, 10);
    void *data = mapseg_data(seg);
    uint64_t inode = inode_at(data);

    strcpy(data, "hello");
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 20, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_ALREADY_EXISTS);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(mapseg_is_attached(seg));
    ck_assert_ptr_eq(mapseg_data(seg), data);
    ck_assert_uint_eq(mapseg_size(seg), 10);
    ck_assert_str_eq(data, "hello");
    ck_assert_uint_eq(inode_at(data), inode);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

START_TEST(create_on_an_existing_one)
{
    mapseg *seg = created(key, 10), *other = handle_for(key);

    strcpy(mapseg_data(seg), "hello");
    need_call(MAPSEG_ALREADY_EXISTS, other, mapseg_create(other, 20, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(other), MAPSEG_ALREADY_EXISTS);
    ck_assert(!mapseg_is_attached(other));
    ck_assert_ptr_null(mapseg_const_data(other));
    need_call(MAPSEG_OK, other, mapseg_attach(other, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(other), MAPSEG_OK);
    ck_assert_uint_eq(mapseg_size(other), 10);
    ck_assert_str_eq(mapseg_data(other), "hello");
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

START_TEST(attach_where_nothing_is)
{
    mapseg *seg = handle_for(key);

    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_FOUND);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_ptr_nonnull(strstr(mapseg_error_string(seg), key + 4));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert(!exists(path));
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

START_TEST(attach_while_attached)
{
    mapseg *seg = created(key, 10);
    void *data = mapseg_data(seg);

    need_call(MAPSEG_ALREADY_ATTACHED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_ptr_eq(mapseg_data(seg), data);
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    need_call(MAPSEG_ALREADY_ATTACHED, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_ALREADY_EXISTS);
    ck_assert_ptr_eq(mapseg_data(seg), data);
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

START_TEST(two_handles_in_one_process)
{
    mapseg *seg = created(key, 10), *other = attached(key, MAPSEG_READ_WRITE);

    ck_assert_ptr_ne(mapseg_data(seg), mapseg_data(other));
    strcpy(mapseg_data(seg), "hello");
    ck_assert_str_eq(mapseg_data(other), "hello");
    mapseg_free(seg);
    ck_assert(exists(path));
    ck_assert_str_eq(mapseg_data(other), "hello");
    mapseg_free(other);
    ck_assert(!exists(path));
}
END_TEST

static int
write_through(void *data)
{
    signal(SIGSEGV, SIG_DFL);
    if (data == NULL)
        return 99;
    *(volatile char *)data = 'x';
    return 0;
}

static int
write_to_created(void *argument)
{
    mapseg *seg = handle_for(key);

    (void)argument;
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_ONLY));
    return write_through((void *)(uintptr_t)mapseg_const_data(seg));
}

static int
write_to_attached(void *argument)
{
    mapseg *seg = attached(key, MAPSEG_READ_ONLY);

    (void)argument;
    return write_through((void *)(uintptr_t)mapseg_const_data(seg));
}

START_TEST(write_to_read_only_memory_is_a_segmentation_fault)
{
    mapseg *seg = created(key, 10), *reader = attached(key, MAPSEG_READ_ONLY);

    ck_assert_ptr_null(mapseg_data(reader));
    ck_assert_int_eq(in_child(write_through, (void *)(uintptr_t)mapseg_const_data(reader)),
                     128 + SIGSEGV);
    ck_assert_int_eq(in_child(write_to_attached, NULL), 128 + SIGSEGV);
    ck_assert_int_eq(in_child(write_through, mapseg_data(seg)), 0);
    ck_assert_str_eq(mapseg_const_data(reader), "x");
    mapseg_free(reader);
    mapseg_free(seg);
    await_deserted(path);
    ck_assert_int_eq(in_child(write_to_created, NULL), 128 + SIGSEGV);
    seg = handle_for(key);
    await_deserted(path);
    need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
    mapseg_free(seg);
}
END_TEST

/// Read-only is about the data: the lock excludes both ways.
START_TEST(lock_works_on_a_read_only_attachment)
{
    mapseg *seg = created(key, 10), *reader = attached(key, MAPSEG_READ_ONLY);

    need_call(MAPSEG_OK, reader, mapseg_lock(reader));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    ck_assert_int_eq(in_child(try_lock_in_child, NULL), MAPSEG_WOULD_BLOCK);
    need_call(MAPSEG_OK, reader, mapseg_unlock(reader));
    need_call(MAPSEG_OK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_WOULD_BLOCK, reader, mapseg_try_lock(reader));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, reader, mapseg_lock_for(reader, 0));
    need_call(MAPSEG_OK, reader, mapseg_unlock(reader));
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- lock -- */

START_TEST(lock_before_create_or_attach)
{
    mapseg *seg = mapseg_new();

    for (int i = 0; i < 2; i++) {
        need_call(MAPSEG_LOCK_ERROR, seg, mapseg_lock(seg));
        ck_assert_int_eq(mapseg_error(seg), MAPSEG_LOCK_ERROR);
        ck_assert(is_one_line(mapseg_error_string(seg)));
        need_call(MAPSEG_LOCK_ERROR, seg, mapseg_try_lock(seg));
        need_call(MAPSEG_LOCK_ERROR, seg, mapseg_lock_for(seg, 1000));
        need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
        ck_assert_int_eq(mapseg_error(seg), MAPSEG_LOCK_ERROR);
        need_call(MAPSEG_NOT_LOCKED, seg, mapseg_consistent(seg));
        need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, key));
    }
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_LOCK_ERROR, seg, mapseg_lock(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(lock_twice_one_unlock_frees)
{
    mapseg *seg = created(key, 10), *other = attached(key, MAPSEG_READ_WRITE);

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_ALREADY_LOCKED, seg, mapseg_lock(seg));
    need_call(MAPSEG_ALREADY_LOCKED, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_ALREADY_LOCKED, seg, mapseg_lock_for(seg, 1000000));
    need_call(MAPSEG_WOULD_BLOCK, other, mapseg_try_lock(other));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, other, mapseg_try_lock(other));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

START_TEST(unlock_when_not_locked)
{
    mapseg *seg = created(key, 10), *other = attached(key, MAPSEG_READ_WRITE);

    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_ALREADY_EXISTS);
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_consistent(seg));

    /* Somebody else's lock is not to be freed either. */
    need_call(MAPSEG_OK, other, mapseg_lock(other));
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_OK, other, mapseg_unlock(other));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

START_TEST(waiting_has_an_end)
{
    mapseg *seg = created(key, 10), *other = attached(key, MAPSEG_READ_WRITE);
    int64_t start;

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    start = now_ns();
    need_call(MAPSEG_TIMED_OUT, other, mapseg_lock_for(other, 30000000));
    ck_assert_int_ge(now_ns() - start, 30000000);
    ck_assert_int_eq(mapseg_error(other), MAPSEG_TIMED_OUT);
    ck_assert(is_one_line(mapseg_error_string(other)));
    need_call(MAPSEG_TIMED_OUT, other, mapseg_lock_for(other, 0));
    need_call(MAPSEG_NOT_LOCKED, other, mapseg_unlock(other));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, other, mapseg_lock_for(other, -1));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- detach -- */

START_TEST(detach_releases_the_lock)
{
    mapseg *seg = created(key, 10), *other = attached(key, MAPSEG_READ_WRITE);

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_OK, other, mapseg_try_lock(other));
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    mapseg_free(other);
    need_call(MAPSEG_OK, seg, mapseg_try_lock(seg));
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

START_TEST(detach_when_not_attached)
{
    mapseg *seg = mapseg_new();

    need_call(MAPSEG_NOT_ATTACHED, seg, mapseg_detach(seg));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OK);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, key));
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_NOT_ATTACHED, seg, mapseg_detach(seg));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_FOUND);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OK);
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_NOT_ATTACHED, seg, mapseg_detach(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(nothing_to_see_when_detached)
{
    mapseg *seg = created(key, 10);
    void *data = mapseg_data(seg);

    ck_assert_ptr_nonnull(data);
    ck_assert_ptr_eq(mapseg_const_data(seg), data);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    ck_assert_ptr_eq(mapseg_data(seg), data);
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_ptr_null(mapseg_data(seg));
    ck_assert_ptr_null(mapseg_const_data(seg));
    ck_assert_uint_eq(mapseg_size(seg), 0);
    ck_assert_uint_eq(inode_at(data), 0);
    mapseg_free(seg);
}
END_TEST

START_TEST(detach_and_attach_again)
{
    mapseg *holder = created(key, 10), *seg = handle_for(key);
    struct footprint before;

    take_footprint(&before, path);
    for (int i = 0; i < 100; i++) {
        need_call(MAPSEG_OK, seg,
                  mapseg_attach(seg, i % 2 == 0 ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY));
        ck_assert_uint_eq(mapseg_size(seg), 10);
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
        check_footprint(&before, path);
    }
    mapseg_free(seg);
    mapseg_free(holder);
}
END_TEST

/* ---------------------------------------------------------------- keys -- */

START_TEST(setting_the_key_it_has_changes_nothing)
{
    char name[KEY_BYTES];
    mapseg *seg;

    unique_name(name);
    seg = mapseg_new_with_key(name);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, name));
    ck_assert(mapseg_is_attached(seg));
    ck_assert_str_eq(mapseg_key(seg), name);
    mapseg_free(seg);

    seg = created(key, 10);
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, key));
    ck_assert(mapseg_is_attached(seg));
    ck_assert_str_eq(mapseg_native_key(seg), key);
    mapseg_free(seg);
}
END_TEST

START_TEST(setting_another_key_detaches)
{
    char name[KEY_BYTES], other[KEY_BYTES], other_key[KEY_BYTES], native_path[KEY_BYTES];
    mapseg *seg, *holder;

    unique_name(name);
    unique_name(other);
    unique_key(other_key);
    seg = mapseg_new_with_key(name);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    path_of(native_path, mapseg_native_key(seg));
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, other));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_str_eq(mapseg_key(seg), other);
    ck_assert(!exists(native_path));

    /* Not attached either, though that segment is there. */
    holder = created(other_key, 10);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, other_key));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_ptr_null(mapseg_key(seg));
    ck_assert_str_eq(mapseg_native_key(seg), other_key);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    mapseg_free(holder);
    mapseg_free(seg);
}
END_TEST

START_TEST(changing_the_key_releases_the_lock)
{
    mapseg *seg = created(key, 10), *other = attached(key, MAPSEG_READ_WRITE);

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, "another"));
    need_call(MAPSEG_OK, other, mapseg_try_lock(other));
    mapseg_free(seg);
    mapseg_free(other);
}
END_TEST

/* ---------------------------------------------------------- programs -- */

/// Create, attach elsewhere, read; then the name is taken again at once.
START_TEST(create_and_end_a_hundred_times_under_one_key)
{
    for (int i = 0; i < 100; i++) {
        mapseg *seg = created(key, (size_t)i + 1), *other = attached(key, MAPSEG_READ_WRITE);

        ck_assert_uint_eq(mapseg_size(other), (size_t)i + 1);
        ck_assert_int_eq(*(char *)data_of(other), 0);
        *(char *)data_of(seg) = 'x';
        mapseg_free(i % 2 == 0 ? seg : other);
        mapseg_free(i % 2 == 0 ? other : seg);
        ck_assert(!exists(path));
    }
}
END_TEST

START_TEST(removed_while_attached)
{
    mapseg *seg = created(key, 10), *other = attached(key, MAPSEG_READ_WRITE);

    strcpy(mapseg_data(seg), "hello");
    mapseg_free(seg);
    ck_assert_str_eq(mapseg_data(other), "hello");
    need_call(MAPSEG_OK, other, mapseg_lock(other));
    need_call(MAPSEG_OK, other, mapseg_unlock(other));
    mapseg_free(other);
    seg = handle_for(key);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    mapseg_free(seg);
}
END_TEST

/// One handle holds the segment while others come and go.
START_TEST(one_handle_holds_the_segment)
{
    mapseg *holder = created(key, sizeof(int));
    int *count = mapseg_data(holder);

    for (int i = 0; i < 200; i++) {
        mapseg *seg = attached(key, MAPSEG_READ_WRITE);
        int *other = data_of(seg);

        ck_assert_int_eq(*other, i);
        (*other)++;
        mapseg_free(seg);
        ck_assert(exists(path));
    }
    ck_assert_int_eq(*count, 200);
    mapseg_free(holder);
    ck_assert(!exists(path));
}
END_TEST

START_TEST(many_handles_at_once)
{
    enum { MANY = 300 };
    mapseg *segs[MANY];

    segs[0] = created(key, 10);
    for (int i = 1; i < MANY; i++)
        segs[i] = attached(key, i % 3 == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE);
    for (int i = 0; i < MANY; i++) {
        need_call(MAPSEG_OK, segs[i], mapseg_try_lock(segs[i]));
        need_call(MAPSEG_WOULD_BLOCK, segs[(i + 1) % MANY], mapseg_try_lock(segs[(i + 1) % MANY]));
        need_call(MAPSEG_OK, segs[i], mapseg_unlock(segs[i]));
    }
    for (int i = 0; i < MANY; i++) {
        ck_assert(exists(path));
        mapseg_free(segs[i]);
    }
    ck_assert(!exists(path));
}
END_TEST

/// Attaching until nothing is left fails clearly, and all goes on when there is room again.
START_TEST(attach_too_much)
{
    enum { MOST = 64 };
    struct rlimit limit;
    mapseg *segs[MOST], *holder = created(key, 10);
    mapseg_result result = MAPSEG_OK;
    int fds[MOST], opened = 0, count;
    struct footprint before;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)count_descriptors() + 20;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (count = 0; count < MOST && result == MAPSEG_OK; count++) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (fd != -1)
            fds[opened++] = fd;
        segs[count] = handle_for(key);
        result = mapseg_attach(segs[count], MAPSEG_READ_WRITE);
    }
    need_call(MAPSEG_OUT_OF_RESOURCES, segs[count - 1], result);
    ck_assert(is_one_line(mapseg_error_string(segs[count - 1])));
    ck_assert(!mapseg_is_attached(segs[count - 1]));
    while (opened > 0)
        close(fds[--opened]);
    take_footprint(&before, path);
    need_call(MAPSEG_OK, segs[count - 1], mapseg_attach(segs[count - 1], MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, segs[count - 1], mapseg_detach(segs[count - 1]));
    check_footprint(&before, path);
    while (count > 0)
        mapseg_free(segs[--count]);
    mapseg_free(holder);
    ck_assert(!exists(path));
}
END_TEST

/// Doubling the size until the memory is used up.
START_TEST(use_too_much_memory)
{
    mapseg_result result = MAPSEG_OK;
    size_t size = 65536;

    use_tiny_shm("size=4m");
    while (result == MAPSEG_OK) {
        mapseg *seg = handle_for(key);

        result = mapseg_create(seg, size, MAPSEG_READ_WRITE);
        if (result == MAPSEG_OK)
            memset(mapseg_data(seg), 1, size);
        else
            need_call(MAPSEG_OUT_OF_RESOURCES, seg, result);
        mapseg_free(seg);
        ck_assert(!exists(path));
        size *= 2;
    }
    ck_assert_uint_eq(size, 8 << 20);
}
END_TEST

/* -------------------------------------------------- producer, consumer -- */

#define MESSAGES 2000

/// What producer and consumer share: a message, and whether it has been read.
struct mailbox {
    uint32_t full;
    uint32_t number;
    uint32_t words[32];
};

static bool
put(struct mailbox *box, uint32_t number)
{
    if (box->full != 0)
        return false;
    box->number = number;
    for (uint32_t i = 0; i < 32; i++)
        box->words[i] = number * i;
    box->full = 1;
    return true;
}

/// Whether the expected message was there; the program ends if any other was.
static bool
take(struct mailbox *box, uint32_t number)
{
    if (box->full == 0)
        return false;
    if (box->number != number)
        abort();
    for (uint32_t i = 0; i < 32; i++)
        if (box->words[i] != number * i)
            abort();
    box->full = 0;
    return true;
}

/// Passes all messages one way; the lock is all that keeps the sides apart.
static void
pass_messages(mapseg *seg, bool (*side)(struct mailbox *box, uint32_t number))
{
    for (uint32_t number = 0; number < MESSAGES;) {
        if (mapseg_lock(seg) != MAPSEG_OK)
            abort();
        if (side(data_of(seg), number))
            number++;
        if (mapseg_unlock(seg) != MAPSEG_OK)
            abort();
        give_way();
    }
}

static void
attach_and_pass(bool (*side)(struct mailbox *box, uint32_t number))
{
    mapseg *seg = attached(key, MAPSEG_READ_WRITE);

    pass_messages(seg, side);
    mapseg_free(seg);
}

static int
consume(int channel, void *argument)
{
    (void)argument;
    if (hear(channel) != 'g')
        return 1;
    attach_and_pass(take);
    return 0;
}

static void *
consume_in_thread(void *argument)
{
    (void)argument;
    attach_and_pass(take);
    return NULL;
}

static void *
consume_through(void *seg)
{
    pass_messages(seg, take);
    return NULL;
}

START_TEST(producer_and_consumer_in_one_thread)
{
    mapseg *producer = created(key, sizeof(struct mailbox));
    mapseg *consumer = attached(key, MAPSEG_READ_WRITE);

    for (uint32_t number = 0; number < MESSAGES; number++) {
        ck_assert(put(data_of(producer), number));
        ck_assert(take(data_of(consumer), number));
    }
    mapseg_free(producer);
    mapseg_free(consumer);
}
END_TEST

START_TEST(producer_and_consumer_threads)
{
    mapseg *producer = created(key, sizeof(struct mailbox));
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, consume_in_thread, NULL), 0);
    pass_messages(producer, put);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    mapseg_free(producer);
    ck_assert(!exists(path));
}
END_TEST

/// Two threads exclude each other through one handle too.
START_TEST(producer_and_consumer_threads_on_one_handle)
{
    mapseg *seg = created(key, sizeof(struct mailbox));
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, consume_through, seg), 0);
    pass_messages(seg, put);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    mapseg_free(seg);
}
END_TEST

START_TEST(producer_and_consumer_processes)
{
    struct peer consumer = start_peer(consume, NULL);
    mapseg *producer = created(key, sizeof(struct mailbox));

    say(consumer.channel, 'g');
    pass_messages(producer, put);
    ck_assert_int_eq(end_peer(&consumer), 0);
    ck_assert(exists(path));
    mapseg_free(producer);
    ck_assert(!exists(path));
}
END_TEST

#define ADDERS 4
#define ADDITIONS 5000

/// Adds under the lock in a way that loses counts without one.
static int
add(int channel, void *argument)
{
    volatile uint64_t *sum;
    mapseg *seg;

    (void)argument;
    if (hear(channel) != 'g')
        return 1;
    seg = attached(key, MAPSEG_READ_WRITE);
    sum = mapseg_data(seg);
    for (int i = 0; i < ADDITIONS; i++) {
        uint64_t seen;

        if (mapseg_lock(seg) != MAPSEG_OK)
            return 2;
        seen = *sum;
        if (i % 64 == 0)
            give_way();
        *sum = seen + 1;
        if (mapseg_unlock(seg) != MAPSEG_OK)
            return 3;
    }
    mapseg_free(seg);
    return 0;
}

START_TEST(processes_add_under_the_lock)
{
    struct peer adders[ADDERS];
    mapseg *seg;

    for (int i = 0; i < ADDERS; i++)
        adders[i] = start_peer(add, NULL);
    seg = created(key, sizeof(uint64_t));
    for (int i = 0; i < ADDERS; i++)
        say(adders[i].channel, 'g');
    for (int i = 0; i < ADDERS; i++)
        ck_assert_int_eq(end_peer(&adders[i]), 0);
    ck_assert_uint_eq(*(uint64_t *)data_of(seg), ADDERS * ADDITIONS);
    mapseg_free(seg);
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

static void
add_rules(Suite *suite)
{
    TCase *group = new_group(suite, "rules");

    tcase_add_test(group, codes_are_those_of_qt);
    tcase_add_test(group, every_result_has_a_name);
    tcase_add_test(group, version_is_told_in_two_ways);
    tcase_add_test(group, every_result_has_a_text);
    tcase_add_test(group, empty_key_is_a_key_error);
    tcase_add_test(group, key_error_wins_over_size_error);
    tcase_add_test(group, size_0_is_an_invalid_size);
    tcase_add_test(group, size_is_checked_before_existence);
    tcase_add_loop_test(group, created_segment_is_zero_and_of_that_size, 0, 9);
    tcase_add_loop_test(group, created_segment_is_private, 0, 4);
    tcase_add_test(group, create_attaches_with_the_access_asked_for);
    tcase_add_test(group, create_while_attached);
    tcase_add_test(group, create_on_an_existing_one);
    tcase_add_test(group, attach_where_nothing_is);
    tcase_add_test(group, attach_while_attached);
    tcase_add_test(group, two_handles_in_one_process);
    tcase_add_test(group, write_to_read_only_memory_is_a_segmentation_fault);
    tcase_add_test(group, lock_works_on_a_read_only_attachment);
    tcase_add_test(group, lock_before_create_or_attach);
    tcase_add_test(group, lock_twice_one_unlock_frees);
    tcase_add_test(group, unlock_when_not_locked);
    tcase_add_test(group, waiting_has_an_end);
    tcase_add_test(group, detach_releases_the_lock);
    tcase_add_test(group, detach_when_not_attached);
    tcase_add_test(group, nothing_to_see_when_detached);
    tcase_add_test(group, detach_and_attach_again);
    tcase_add_test(group, setting_the_key_it_has_changes_nothing);
    tcase_add_test(group, setting_another_key_detaches);
    tcase_add_test(group, changing_the_key_releases_the_lock);
}

static void
add_programs(Suite *suite)
{
    TCase *group = new_group(suite, "programs");

    tcase_add_test(group, create_and_end_a_hundred_times_under_one_key);
    tcase_add_test(group, removed_while_attached);
    tcase_add_test(group, one_handle_holds_the_segment);
    tcase_add_test(group, many_handles_at_once);
    tcase_add_test(group, attach_too_much);
    if (skip_unless(can_mount(), "use_too_much_memory: no private mounts here"))
        tcase_add_test(group, use_too_much_memory);
    tcase_add_test(group, producer_and_consumer_in_one_thread);
    tcase_add_test(group, producer_and_consumer_threads);
    tcase_add_test(group, producer_and_consumer_threads_on_one_handle);
    tcase_add_test(group, producer_and_consumer_processes);
    tcase_add_test(group, processes_add_under_the_lock);
}

int
main(void)
{
    Suite *suite = new_suite("qt");

    add_rules(suite);
    add_programs(suite);
    return run_suite(suite);
}
