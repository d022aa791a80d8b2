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

    snprintf(path, KEY_BYTES, "%.100s/runtime-%.100s", directory,
             user == NULL ? "" : user->pw_name);
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

/* -------------------------------------------------------- keys of old -- */

static const struct {
    const char *key;
    const char *rest; /* behind the prefix */
} legacy_names[] = {
    {"myapp", "myapp94e7d341f71ff6f43253f1c5e813057b22f91cda"},
    {"a", "a86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"},
    {"my app 1/\xc3\xa4", "myappba7bc8c8b90b8adb19e5f9f9e1ea9f0b7dbd1158"},
    {"Zz[`{@", "Zzf77a7b62ffddbfba859965629b371ffe52dd1248"},
    {" ", "b858cb282617fb0956d960215c8e84d1ccf909c6"},
    {"1", "356a192b7913b04c54574d18c28d46e6395428ab"},
};

/** Asserts one of the two names that a legacy key has. */
static void
check_legacy(mapseg_ipc_key *key, mapseg_key_type type, const char *before, const char *prefix,
             int row)
{
    const char *plain_key = legacy_names[row].key;
    char expected[2 * KEY_BYTES];

    snprintf(expected, sizeof expected, "%s%s%s", before, prefix, legacy_names[row].rest);
    ck_assert_int_eq(mapseg_ipc_key_type(key), type);
    ck_assert_str_eq(mapseg_ipc_key_name(key), expected);
    ck_assert_str_eq(mapseg_ipc_key_legacy_key(key), plain_key);
    ck_assert_str_eq(mapseg_ipc_key_id(key), "");
    mapseg_ipc_key_free(key);
}

START_TEST(legacy_names_are_those_of_old_qt)
{
    static const int types[] = {0x100, 0x101, 0x51, 1, 0xff, 0x102};
    char directory[KEY_BYTES];

    snprintf(directory, sizeof directory, "%s/", scratch);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const mapseg_key_type type = (mapseg_key_type)types[i];
        const char *before = type == MAPSEG_KEY_POSIX     ? "/"
                             : type == MAPSEG_KEY_WINDOWS ? ""
                                                          : directory;

        check_legacy(mapseg_ipc_key_legacy(legacy_names[_i].key, type), type, before,
                     "qipc_sharedmemory_", _i);
        check_legacy(mapseg_ipc_key_legacy_semaphore(legacy_names[_i].key, type), type, before,
                     "qipc_systemsem_", _i);
    }
}
END_TEST

START_TEST(legacy_key_travels_in_the_text)
{
    mapseg_ipc_key *key = mapseg_ipc_key_legacy("my&app", MAPSEG_KEY_POSIX), *again, *other;
    const char *text = mapseg_ipc_key_text(key);

    ck_assert_str_eq(strchr(text, '?'), "?legacyKey=my%26app");
    again = mapseg_ipc_key_from_text(text);
    other = mapseg_ipc_key_new(MAPSEG_KEY_POSIX, mapseg_ipc_key_name(key));
    ck_assert(mapseg_ipc_key_equal(key, again));
    ck_assert(!mapseg_ipc_key_equal(key, other));
    mapseg_ipc_key_free(key);
    mapseg_ipc_key_free(again);
    mapseg_ipc_key_free(other);
}
END_TEST

/// Bytes that are not UTF-8 are digested as they are, and of a long key all letters stay.
START_TEST(legacy_names_of_any_bytes)
{
    mapseg_ipc_key *odd = mapseg_ipc_key_legacy("\xff\xfe", MAPSEG_KEY_POSIX), *lengthy;
    char letters[1001];

    ck_assert_str_eq(mapseg_ipc_key_name(odd),
                     "/qipc_sharedmemory_d62636d8caec13f04e28442a0a6fa1afeb024bbb");
    memset(letters, 'x', 1000);
    letters[1000] = '\0';
    lengthy = mapseg_ipc_key_legacy(letters, MAPSEG_KEY_POSIX);
    ck_assert_uint_eq(strlen(mapseg_ipc_key_name(lengthy)), 19 + 1000 + 40);
    mapseg_ipc_key_free(odd);
    mapseg_ipc_key_free(lengthy);
}
END_TEST

START_TEST(no_legacy_key_gives_no_name)
{
    static const char *const nothing[] = {NULL, ""};

    for (int i = 0; i < 2; i++) {
        mapseg_ipc_key *segment = mapseg_ipc_key_legacy(nothing[i], MAPSEG_KEY_SYSTEMV);
        mapseg_ipc_key *semaphore = mapseg_ipc_key_legacy_semaphore(nothing[i], MAPSEG_KEY_POSIX);

        ck_assert_str_eq(mapseg_ipc_key_text(segment), "systemv:");
        ck_assert_str_eq(mapseg_ipc_key_text(semaphore), "posix:");
        mapseg_ipc_key_free(segment);
        mapseg_ipc_key_free(semaphore);
    }
}
END_TEST

START_TEST(types_that_old_qt_has_not)
{
    static const int types[] = {0, -1, 0x200, 0x201, 0x202, 0x203, 0x204, 0x300};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        mapseg_ipc_key *segment = mapseg_ipc_key_legacy("a", (mapseg_key_type)types[i]);
        mapseg_ipc_key *none = mapseg_ipc_key_legacy_semaphore("", (mapseg_key_type)types[i]);

        ck_assert_int_eq(mapseg_ipc_key_type(segment), MAPSEG_KEY_INVALID);
        ck_assert_ptr_null(mapseg_ipc_key_text(segment));
        ck_assert_int_eq(mapseg_ipc_key_type(none), MAPSEG_KEY_INVALID);
        mapseg_ipc_key_free(segment);
        mapseg_ipc_key_free(none);
    }
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
    group = new_case(suite, "old");
    tcase_add_checked_fixture(group, make_scratch, remove_scratch);
    tcase_add_loop_test(group, legacy_names_are_those_of_old_qt, 0,
                        sizeof legacy_names / sizeof *legacy_names);
    tcase_add_test(group, legacy_key_travels_in_the_text);
    tcase_add_test(group, legacy_names_of_any_bytes);
    tcase_add_test(group, no_legacy_key_gives_no_name);
    tcase_add_test(group, types_that_old_qt_has_not);
    return run_suite(suite);
}
