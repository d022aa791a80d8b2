/*
 * check_shrink.c - a file that becomes shorter at the worst moment of a call that the program
 * cannot put between mapseg_guard_begin and mapseg_guard_end: while it creates, attaches, forks,
 * detaches.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 20000

static struct msi_os_operations healthy;
static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
begin(void)
{
    healthy = msi_os;
    unique_key(key);
    path_of(path, key);
}

static void
shorten(off_t bytes)
{
    ck_assert_int_eq(truncate(path, bytes), 0);
}

/** Cut off within the header, or behind it. */
static const off_t lengths[] = {0, 100, 4096, 8192};
#define LENGTHS ((int)(sizeof lengths / sizeof *lengths))
static off_t length_now;

/* -------------------------------------------------------------- hooks -- */

static void *
map_and_shorten(int fd, size_t bytes, int64_t offset, enum msi_protection protection, int *error)
{
    void *address = healthy.map(fd, bytes, offset, protection, error);

    shorten(length_now);
    return address;
}

static int
link_and_shorten(int fd, int directory, const char *name)
{
    int error = healthy.link(fd, directory, name);

    if (error >= 0)
        shorten(length_now);
    return error;
}

static int
rename_and_shorten(int directory, const char *from, const char *to)
{
    int error = healthy.rename_new(directory, from, to);

    if (error >= 0)
        shorten(length_now);
    return error;
}

/* -------------------------------------------------------------- tests -- */

/** By itself, or guarded: then reading and writing are no signal either. */
static uint32_t
flags_of(int loop)
{
    return loop / LENGTHS % 2 == 0 ? 0 : MAPSEG_GUARDED;
}

START_TEST(while_it_is_attached)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char byte;

    begin();
    length_now = lengths[_i % LENGTHS];
    options.flags = flags_of(_i);
    mapseg_access access = _i / LENGTHS / 2 == 0 ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY;
    leave_debris(key, DATA_BYTES, 7);
    mapseg *seg = handle_for(key);
    msi_os.map = map_and_shorten;
    mapseg_result result = mapseg_attach_with(seg, access, &options);
    msi_os = healthy;
    if (result == MAPSEG_OK) {
        if (options.flags != 0)
            need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read(seg, DATA_BYTES - 1, &byte, 1, NULL));
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    } else {
        ck_assert(result == MAPSEG_FILE_SHRUNK || result == MAPSEG_CORRUPT);
    }
    mapseg_free(seg);
    unlink(path);
}
END_TEST

START_TEST(when_it_gets_its_name)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    begin();
    length_now = lengths[_i % LENGTHS];
    options.flags = flags_of(_i);
    mapseg *seg = handle_for(key);
    msi_os.link = link_and_shorten;
    msi_os.rename_new = rename_and_shorten;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    msi_os = healthy;
    if (options.flags != 0)
        need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_write(seg, DATA_BYTES - 1, "x", 1));
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

/** Detaching is what one does about it, so it must be possible. */
START_TEST(before_it_is_detached)
{
    bool held = _i / LENGTHS / 2 == 0;
    uint32_t flags = flags_of(_i);
    char byte;

    begin();
    length_now = lengths[_i % LENGTHS];
    mapseg *seg = created_as(key, DATA_BYTES, flags);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    if (!held)
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    shorten(length_now);
    if (flags != 0)
        need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read(seg, DATA_BYTES - 1, &byte, 1, NULL));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

/** Where the word is still there, others must get the lock. */
START_TEST(only_the_data_is_gone)
{
    begin();
    mapseg *seg = created(key, DATA_BYTES);
    mapseg *other = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    shorten(8192);
    mapseg_free(seg);
    need_call(MAPSEG_OK, other, mapseg_try_lock(other));
    mapseg_free(other);
}
END_TEST

START_TEST(before_a_fork)
{
    begin();
    length_now = lengths[_i % LENGTHS];
    mapseg *seg = created_as(key, DATA_BYTES, flags_of(_i));
    shorten(length_now);
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();

        ck_assert_int_ge(child, 0);
        if (child == 0) {
            mapseg_free(seg);
            _exit(0);
        }
        ck_assert_int_eq(end_of(child), 0);
    }
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("shrink");
    TCase *group = new_case(suite, "a shortened file");

    tcase_add_loop_test(group, while_it_is_attached, 0, 4 * LENGTHS);
    tcase_add_loop_test(group, when_it_gets_its_name, 0, 2 * LENGTHS);
    tcase_add_loop_test(group, before_it_is_detached, 0, 4 * LENGTHS);
    tcase_add_test(group, only_the_data_is_gone);
    tcase_add_loop_test(group, before_a_fork, 0, 2 * LENGTHS);
    return run_suite(suite);
}
