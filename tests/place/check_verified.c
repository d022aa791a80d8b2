/*
 * check_verified.c - presence is believed only when it is seen: file systems that keep it on a
 * descriptor alone, or nowhere, which the operations of the system are made to be.
 *
 * SPDX-License-Identifier: MIT
 */

#include "os/os.h"
#include "support.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA_BYTES 4096

/** How the handle itself is present. */
static mapseg_presence_kind
kind_of(mapseg *seg)
{
    mapseg_info *information;
    mapseg_presence_kind kind;

    need_result(MAPSEG_OK, mapseg_info_new(seg, &information));
    kind = information->presence;
    mapseg_info_free(information);
    return kind;
}

static struct msi_os_operations healthy;
static int tests_left; /**< so many times from now on a byte is said to be free */

static int
test_and_find_nothing(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes,
                      struct msi_range *found)
{
    if (tests_left <= 0)
        return healthy.test_range(fd, kind, start, bytes, found);
    tests_left--;
    found->kind = MSI_RANGE_FREE;
    found->start = start;
    found->bytes = bytes;
    return 0;
}

/** Private names that are there. */
static int private_names;

static int
open_and_count(int directory, const char *name, mode_t mode)
{
    private_names++;
    return healthy.open_new(directory, name, mode);
}

static int
unlink_and_count(int directory, const char *name)
{
    int error = healthy.unlink(directory, name);

    private_names -= error == 0;
    return error;
}

static int
open_no_unnamed(int directory, mode_t mode)
{
    (void)directory;
    (void)mode;
    return -EOPNOTSUPP;
}

static void
forget_locks(int tests)
{
    healthy = msi_os;
    msi_os.test_range = test_and_find_nothing;
    tests_left = tests;
}

/** Locks end with the description, and with the descriptor: no file system is known
 *  that does this, but a check is only good if it can say no. */
START_TEST(nothing_is_left_without_presence)
{
    struct place place;
    mapseg *seg;
    int descriptors;
    int mappings;

    new_place(&place);
    leave_persistent(place.key, DATA_BYTES, 0);
    seg = handle_for(place.key);
    if (_i % 2 != 0)
        remove_persistent(place.key);
    descriptors = count_descriptors();
    mappings = count_shared_mappings();
    forget_locks(INT32_MAX);
    if (_i >= 2)
        msi_os.open_unnamed = open_no_unnamed;
    msi_os.open_new = open_and_count;
    msi_os.unlink = unlink_and_count;
    need_result(MAPSEG_NOT_SUPPORTED,
                _i % 2 != 0 ? mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE)
                            : mapseg_attach(seg, _i == 0 ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY));
    msi_os = healthy;
    need(strstr(mapseg_error_string(seg), "does not keep the locks") != NULL);
    need(!mapseg_is_attached(seg));
    need_number(0, private_names);
    need_number(descriptors, count_descriptors());
    need_number(mappings, count_shared_mappings());
    if (_i % 2 != 0)
        need(!exists(place.path));
    else
        remove_persistent(place.key);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------- locks that a program keeps -- */

/** Bytes beyond presence, where locks are tried out. */
#define TRIAL_BASE (MAPSEG_PRESENCE_BASE + 2 * MAPSEG_NAME_BYTE)

/** Only such keys may lead to any file system. */
static void
new_file(struct place *place)
{
    new_place(place);
    (void)snprintf(place->key, sizeof place->key, "file:%.200s", place->path);
}

static int
call_it_fuse(int fd, struct msi_file_system *file_system)
{
    int error = healthy.file_system(fd, file_system);

    strcpy(file_system->name, "fuse");
    file_system->ram_backed = false;
    return error;
}

/** As if all locks were of one process: none is refused. */
static int
lock_without_conflict(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    int error = healthy.lock_range_ofd(fd, kind, start, bytes);

    return error == -EAGAIN ? 0 : error;
}

/** Locks are remembered when they are gone; for so many questions. */
static int
test_and_remember(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes,
                  struct msi_range *found)
{
    int error = healthy.test_range(fd, kind, start, bytes, found);

    if (error >= 0 && start >= TRIAL_BASE && tests_left > 0) {
        tests_left--;
        found->kind = MSI_RANGE_EXCLUSIVE;
    }
    return error;
}

static mapseg_result
appear(mapseg *seg, int way)
{
    return way == 0   ? mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE)
           : way == 1 ? mapseg_attach(seg, MAPSEG_READ_WRITE)
                      : mapseg_attach(seg, MAPSEG_READ_ONLY);
}

/** Two ways in which such a file system fails, and three to appear there. */
START_TEST(locks_that_a_program_keeps_badly_are_refused)
{
    bool conflicts = _i % 2 != 0;
    struct place place;
    int descriptors;
    mapseg *seg;

    new_file(&place);
    if (_i / 2 != 0)
        leave_persistent(place.key, DATA_BYTES, 0);
    seg = handle_for(place.key);
    descriptors = count_descriptors();
    healthy = msi_os;
    tests_left = INT32_MAX;
    msi_os.file_system = call_it_fuse;
    if (conflicts)
        msi_os.test_range = test_and_remember;
    else
        msi_os.lock_range_ofd = lock_without_conflict;
    need_call(MAPSEG_NOT_SUPPORTED, seg, appear(seg, _i / 2));
    msi_os = healthy;
    need(strstr(mapseg_error_string(seg), "does not keep the locks") != NULL);
    need(!mapseg_is_attached(seg));
    need_number(descriptors, count_descriptors());
    if (_i / 2 != 0)
        remove_persistent(place.key);
    need(!exists(place.path));
    mapseg_free(seg);
}
END_TEST

/** The program behind the file system may learn of the end of a lock later. */
START_TEST(locks_that_a_program_keeps_well_serve)
{
    struct place place;
    int descriptors;
    mapseg *seg;

    new_file(&place);
    if (_i != 0)
        leave_persistent(place.key, DATA_BYTES, 0);
    seg = handle_for(place.key);
    descriptors = count_descriptors();
    healthy = msi_os;
    tests_left = 3;
    msi_os.file_system = call_it_fuse;
    msi_os.test_range = test_and_remember;
    need_call(MAPSEG_OK, seg, appear(seg, _i));
    need_number(0, tests_left);
    need_attached(1, place.key);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
    msi_os = healthy;
    need_number(descriptors, count_descriptors());
    if (_i != 0)
        remove_persistent(place.key);
    need(!exists(place.path));
}
END_TEST

/** A file system like overlayfs, wherever this runs. */
START_TEST(descriptor_takes_the_place_of_a_page)
{
    struct place place;
    int descriptors;
    mapseg *seg;

    new_place(&place);
    seg = handle_for(place.key);
    descriptors = count_descriptors();
    forget_locks(1);
    need_result(MAPSEG_OK, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    need_number(MAPSEG_PRESENCE_DESCRIPTOR, kind_of(seg));
    need_number(descriptors + 2, count_descriptors());
    need_attached(1, place.key);
    mapseg_free(seg);
    msi_os = healthy;
    need_number(descriptors, count_descriptors());
    need(!exists(place.path));
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("verified");
    TCase *tcase = new_case(suite, "presence");

    tcase_add_loop_test(tcase, nothing_is_left_without_presence, 0, 4);
    tcase_add_test(tcase, descriptor_takes_the_place_of_a_page);
    tcase_add_loop_test(tcase, locks_that_a_program_keeps_badly_are_refused, 0, 6);
    tcase_add_loop_test(tcase, locks_that_a_program_keeps_well_serve, 0, 3);
    return run_suite(suite);
}
