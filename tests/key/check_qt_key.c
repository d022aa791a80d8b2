/*
 * check_qt_key.c - the names that Qt makes of plain keys.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A directory for each test, and what it has in it. */
static char scratch[64];

static void
make_scratch(void)
{
    strcpy(scratch, "/dev/shm/mapsegtestqtXXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
    ck_assert_int_eq(setenv("TMPDIR", scratch, 1), 0);
    ck_assert_int_eq(unsetenv("XDG_RUNTIME_DIR"), 0);
}

static void
remove_scratch(void)
{
    char command[sizeof scratch + 16];

    snprintf(command, sizeof command, "rm -rf %s", scratch);
    ck_assert_int_eq(system(command), 0);
}

/** A path in the scratch directory. */
static const char *
within(char path[KEY_BYTES], const char *name)
{
    snprintf(path, KEY_BYTES, "%s/%s", scratch, name);
    return path;
}

/** Where Qt looks when there is no runtime directory: DIRECTORY/runtime-USER. */
static void
other_runtime_directory(char path[KEY_BYTES], const char *directory)
{
    const struct passwd *user = getpwuid(geteuid());

    snprintf(path, KEY_BYTES, "%.100s/runtime-%.100s", directory, user == NULL ? "" : user->pw_name);
}

/** Asserts the name that a plain key has with a type. */
static void
check_derived(mapseg_key_type type, const char *plain_key, const char *directory, const char *rest)
{
    mapseg_ipc_key *key = mapseg_ipc_key_derive(plain_key, type);
    char expected[2 * KEY_BYTES];

    snprintf(expected, sizeof expected, "%s%s", directory, rest);
    ck_assert_int_eq(mapseg_ipc_key_type(key), type);
    ck_assert_str_eq(mapseg_ipc_key_name(key), expected);
    ck_assert_str_eq(mapseg_ipc_key_legacy_key(key), "");
    mapseg_ipc_key_free(key);
}

/* ------------------------------------------------------ keys of today -- */

START_TEST(posix_name_is_a_slash_and_the_key)
{
    check_derived(MAPSEG_KEY_POSIX, "my key", "", "/my key");
    check_derived(MAPSEG_KEY_POSIX, "/my key", "/", "/my key");
    check_derived(MAPSEG_KEY_POSIX, "\xff%41#?", "", "/\xff%41#?");
    check_derived(MAPSEG_KEY_POSIX, "", "", "");
}
END_TEST

/// All of Qt's values that are not another type's are System V to it.
START_TEST(system_v_name_lies_in_the_runtime_directory)
{
    static const int types[] = {1, 7, 0x51, 0xff, 0x102, 0x1ff};
    char directory[KEY_BYTES];

    ck_assert_int_eq(mkdir(within(directory, "run"), 0700), 0);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const mapseg_key_type type = (mapseg_key_type)types[i];

        check_derived(type, "my key", directory, "/my key");
        check_derived(type, "a/b", directory, "/a/b");
        check_derived(type, "/a/b", "", "/a/b");
        check_derived(type, "", "", "");
    }
}
END_TEST

/// The directory is taken as it is written.
START_TEST(runtime_directory_is_not_tidied_up)
{
    char directory[KEY_BYTES], path[KEY_BYTES];

    ck_assert_int_eq(mkdir(within(directory, "run"), 0700), 0);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", within(path, ".//run/"), 1), 0);
    check_derived(MAPSEG_KEY_SYSTEMV, "key", path, "/key");
}
END_TEST

START_TEST(missing_runtime_directory_is_made)
{
    char directory[KEY_BYTES];
    struct stat status;

    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", within(directory, "run"), 1), 0);
    check_derived(MAPSEG_KEY_SYSTEMV, "/key", "", "/key");
    check_derived(MAPSEG_KEY_SYSTEMV, "", "", "");
    check_derived(MAPSEG_KEY_POSIX, "key", "", "/key");
    ck_assert(!exists(directory));
    check_derived(MAPSEG_KEY_SYSTEMV, "key", directory, "/key");
    ck_assert_int_eq(stat(directory, &status), 0);
    ck_assert_int_eq(status.st_mode & 07777, 0700);
    check_derived(MAPSEG_KEY_SYSTEMV, "key", directory, "/key");
}
END_TEST

/** Makes the path into what is no runtime directory; false: it cannot be done here. */
static bool
make_unusable(int kind, const char *path)
{
    char target[KEY_BYTES];
    FILE *file;

    switch (kind) {
    case 0:
        return mkdir(path, 0755) == 0;
    case 1:
        return mkdir(path, 0500) == 0;
    case 2:
        within(target, "target");
        return mkdir(target, 0700) == 0 && symlink(target, path) == 0;
    case 3:
        file = fopen(path, "w");
        return file != NULL && fclose(file) == 0 && chmod(path, 0700) == 0;
    default:
        return is_root() && mkdir(path, 0700) == 0 && chown(path, 65534, 65534) == 0;
    }
}

#define KINDS 5

START_TEST(unusable_runtime_directory_is_passed_over)
{
    char directory[KEY_BYTES], other[KEY_BYTES];
    struct stat status;

    if (!make_unusable(_i, within(directory, "run")))
        return;
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
    other_runtime_directory(other, scratch);
    check_derived(MAPSEG_KEY_SYSTEMV, "key", other, "/key");
    ck_assert_int_eq(stat(other, &status), 0);
    ck_assert_int_eq(status.st_mode & 07777, 0700);
}
END_TEST

START_TEST(without_a_runtime_directory)
{
    static const char *const values[] = {NULL, "", "relative", "/dev/null/run"};
    char other[KEY_BYTES];

    other_runtime_directory(other, scratch);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (values[i] != NULL)
            ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", values[i], 1), 0);
        check_derived(MAPSEG_KEY_SYSTEMV, "key", other, "/key");
    }
    ck_assert(!exists("relative"));
}
END_TEST

/// Where the other directory is unusable too, the key has none.
START_TEST(without_any_directory)
{
    char other[KEY_BYTES];

    other_runtime_directory(other, scratch);
    if (!make_unusable(_i, other))
        return;
    check_derived(MAPSEG_KEY_SYSTEMV, "key", "", "/key");
}
END_TEST

START_TEST(temporary_directory_is_the_real_one)
{
    char directory[KEY_BYTES], way[KEY_BYTES], other[KEY_BYTES], path[KEY_BYTES];

    ck_assert_int_eq(mkdir(within(directory, "real"), 0700), 0);
    ck_assert_int_eq(symlink(directory, within(way, "way")), 0);
    other_runtime_directory(other, directory);
    ck_assert_int_eq(setenv("TMPDIR", within(path, "way/"), 1), 0);
    check_derived(MAPSEG_KEY_SYSTEMV, "key", other, "/key");
    ck_assert_int_eq(setenv("TMPDIR", within(path, "way/.././/real"), 1), 0);
    check_derived(MAPSEG_KEY_SYSTEMV, "key", other, "/key");
    ck_assert_int_eq(setenv("TMPDIR", within(path, "missing"), 1), 0);
    check_derived(MAPSEG_KEY_SYSTEMV, "key", "", "/key");
    ck_assert(!exists(path));
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("Qt's keys");
    TCase *group = new_case(suite, "today");

    tcase_add_checked_fixture(group, make_scratch, remove_scratch);
    tcase_add_test(group, posix_name_is_a_slash_and_the_key);
    tcase_add_test(group, system_v_name_lies_in_the_runtime_directory);
    tcase_add_test(group, runtime_directory_is_not_tidied_up);
    tcase_add_test(group, missing_runtime_directory_is_made);
    tcase_add_loop_test(group, unusable_runtime_directory_is_passed_over, 0, KINDS);
    tcase_add_test(group, without_a_runtime_directory);
    tcase_add_loop_test(group, without_any_directory, 0, KINDS);
    tcase_add_test(group, temporary_directory_is_the_real_one);
    return run_suite(suite);
}
