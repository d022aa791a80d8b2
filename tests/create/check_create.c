/*
 * check_create.c - create, attach and detach: what each does to a handle and to the segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

/* --------------------------------------------------------------- create -- */

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

/* --------------------------------------------------------------- attach -- */

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

/* --------------------------------------------------------------- detach -- */

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

/* ------------------------------------------------------ again and again -- */

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

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("create");
    TCase *group = new_case(suite, "create");

    tcase_add_checked_fixture(group, choose_key, NULL);
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
    tcase_add_test(group, detach_when_not_attached);
    tcase_add_test(group, nothing_to_see_when_detached);
    tcase_add_test(group, detach_and_attach_again);
    tcase_add_test(group, create_and_end_a_hundred_times_under_one_key);
    tcase_add_test(group, removed_while_attached);
    tcase_add_test(group, one_handle_holds_the_segment);
    tcase_add_test(group, many_handles_at_once);
    return run_suite(suite);
}
