/*
 * check_list.c - the list of segments.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

/// The entry of that native key; NULL: none.
static const mapseg_info *
find(const mapseg_list *list, const char *native_key)
{
    for (size_t i = 0; i < mapseg_list_count(list); i++)
        if (strcmp(mapseg_list_get(list, i)->native_key, native_key) == 0)
            return mapseg_list_get(list, i);
    return NULL;
}

static mapseg_list *
take_list(void)
{
    mapseg_list *list = NULL;

    ck_assert_int_eq(mapseg_list_new(&list), MAPSEG_OK);
    ck_assert_ptr_nonnull(list);
    return list;
}

START_TEST(list_shows_segments)
{
    char live_key[KEY_BYTES], stale_key[KEY_BYTES], persistent_key[KEY_BYTES];
    const mapseg_info *information;
    mapseg *seg;
    mapseg_list *list;

    unique_key(live_key);
    unique_key(stale_key);
    unique_key(persistent_key);
    leave_debris(stale_key, 20, 1);
    leave_persistent(persistent_key, 30, 0);
    seg = created(live_key, 10);
    list = take_list();
    information = find(list, live_key);
    ck_assert_ptr_nonnull(information);
    ck_assert_int_eq(information->use, MAPSEG_USE_LIVE);
    ck_assert_uint_eq(information->data_size, 10);
    ck_assert_uint_eq(information->attached, 1);
    information = find(list, stale_key);
    ck_assert_ptr_nonnull(information);
    ck_assert_int_eq(information->use, MAPSEG_USE_STALE);
    ck_assert_uint_eq(information->attached, 0);
    information = find(list, persistent_key);
    ck_assert_ptr_nonnull(information);
    ck_assert_int_eq(information->use, MAPSEG_USE_PERSISTENT);
    for (size_t i = 1; i < mapseg_list_count(list); i++) {
        const mapseg_info *before = mapseg_list_get(list, i - 1);

        information = mapseg_list_get(list, i);
        ck_assert(before != NULL && information != NULL);
        ck_assert_int_lt(strcmp(before->native_key, information->native_key), 0);
    }
    ck_assert_ptr_null(mapseg_list_get(list, mapseg_list_count(list)));
    ck_assert_ptr_null(mapseg_list_get(list, SIZE_MAX));
    mapseg_list_free(list);
    mapseg_list_free(NULL);
    mapseg_free(seg);
    path_of(path, stale_key);
    ck_assert_int_eq(unlink(path), 0);
    path_of(path, persistent_key);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(list_passes_other_files_over)
{
    char link_key[KEY_BYTES], link_path[KEY_BYTES], fifo_key[KEY_BYTES], fifo_path[KEY_BYTES];
    char directory_key[KEY_BYTES], directory[KEY_BYTES], live_key[KEY_BYTES];
    struct footprint before;
    mapseg_list *list;
    mapseg *seg;
    int fd;

    unique_key(link_key);
    unique_key(fifo_key);
    unique_key(directory_key);
    unique_key(live_key);
    path_of(link_path, link_key);
    path_of(fifo_path, fifo_key);
    path_of(directory, directory_key);
    seg = created(live_key, 10);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, "foreign", 7), 7);
    close(fd);
    ck_assert_int_eq(symlink("nowhere", link_path), 0);
    ck_assert_int_eq(mkfifo(fifo_path, 0600), 0);
    ck_assert_int_eq(mkdir(directory, 0700), 0);
    take_footprint(&before, NULL);
    list = take_list();
    ck_assert_ptr_nonnull(find(list, live_key));
    ck_assert_ptr_null(find(list, key));
    ck_assert_ptr_null(find(list, link_key));
    ck_assert_ptr_null(find(list, fifo_key));
    ck_assert_ptr_null(find(list, directory_key));
    mapseg_list_free(list);
    check_footprint(&before, NULL);
    mapseg_free(seg);
    ck_assert_int_eq(unlink(path) | unlink(link_path) | unlink(fifo_path) | rmdir(directory), 0);
}
END_TEST

static int
list_as_nobody(void *argument)
{
    mapseg_list *list;

    (void)argument;
    become_nobody();
    list = take_list();
    ck_assert_ptr_null(find(list, key));
    mapseg_list_free(list);
    return 0;
}

START_TEST(list_passes_over_what_may_not_be_read)
{
    leave_persistent(key, 10, 0);
    ck_assert_int_eq(in_child(list_as_nobody, NULL), 0);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(list_holds_odd_names)
{
    char odd[KEY_BYTES + 64], name[KEY_BYTES];
    mapseg_list *list;
    mapseg *seg;

    unique_name(name);
    snprintf(odd, sizeof odd, "shm:%s %%0A%%25\xff", name);
    seg = created(odd, 10);
    list = take_list();
    ck_assert_ptr_nonnull(find(list, odd));
    mapseg_list_free(list);
    mapseg_free(seg);
}
END_TEST

START_TEST(list_shows_runtime_segments)
{
    char directory[] = "/dev/shm/mapsegtestruntimeXXXXXX", below[64];
    const mapseg_info *information;
    mapseg_list *list;
    mapseg *seg;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
    list = take_list();
    mapseg_list_free(list);
    seg = created("runtime:name", 10);
    list = take_list();
    information = find(list, "runtime:name");
    ck_assert_ptr_nonnull(information);
    ck_assert_int_eq(information->type, MAPSEG_KEY_RUNTIME);
    mapseg_list_free(list);
    mapseg_free(seg);
    snprintf(below, sizeof below, "%s/mapseg", directory);
    rmdir(below);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/** Makes a list with so many descriptors to spare. */
static mapseg_result
list_with(rlim_t spare)
{
    struct rlimit before, few;
    mapseg_list *list;
    mapseg_result result;
    int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(lowest, 0);
    close(lowest);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)lowest + spare;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    result = mapseg_list_new(&list);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert((list != NULL) == (result == MAPSEG_OK));
    mapseg_list_free(list);
    return result;
}

/// A list that would be incomplete for want of descriptors is none.
START_TEST(list_is_complete_or_none)
{
    mapseg *seg = created(key, 10);

    ck_assert_int_eq(unsetenv("XDG_RUNTIME_DIR"), 0);
    ck_assert_int_eq(list_with(8), MAPSEG_OK);
    ck_assert_int_eq(list_with(1), MAPSEG_OUT_OF_RESOURCES);
    ck_assert_int_eq(list_with(0), MAPSEG_OUT_OF_RESOURCES);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("list");
    TCase *group = new_case(suite, "list");

    tcase_add_checked_fixture(group, choose_key, NULL);
    tcase_add_test(group, list_shows_segments);
    tcase_add_test(group, list_passes_other_files_over);
    if (skip_unless(is_root(), "list_passes_over_what_may_not_be_read: only root can be two users"))
        tcase_add_test(group, list_passes_over_what_may_not_be_read);
    tcase_add_test(group, list_holds_odd_names);
    tcase_add_test(group, list_shows_runtime_segments);
    tcase_add_test(group, list_is_complete_or_none);
    return run_suite(suite);
}
