/*
 * check_plain_key.c - plain keys, and the names that are derived from them.
 *
 * Run with "--derive KEY" it prints the key's native key and ends: a test starts it so, to see that
 * nothing of a process but its user goes into a name.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONG_KEY 10000

static char long_key[LONG_KEY + 1];
static char long_key_other_end[LONG_KEY + 1];
static char long_key_other_start[LONG_KEY + 1];
static char long_key_shorter[LONG_KEY];

/// Strings that a key may be. Many would be the same if any of their bytes were dropped or changed.
static const char *const plain_keys[] = {
    "a",
    "A",
    "b",
    "a ",
    " a",
    "aa",
    ".",
    "..",
    "...",
    "/",
    "//",
    "/a",
    "a/",
    "a/b",
    "a_b",
    "a-b",
    "a.b",
    "a b",
    "a\\b",
    "a:b",
    "../../etc/passwd",
    "shm:a",
    "sem.a",
    "file:/a",
    "memfd:3",
    "a%2Fb",
    "a#b",
    "a?b",
    "a?legacyKey=b",
    "\n",
    "a\nb",
    "a\tb",
    "a\rb",
    "\x01",
    "\x7f",
    "\x1b[31mred\x1b[0m",
    "\xff",
    "\xfe\xff",
    "\xc3",
    "\xc3\x28",
    "\xed\xa0\x80",
    "caf\xc3\xa9",
    "cafe\xcc\x81",
    "ключ",
    "鍵",
    "مفتاح",
    "🔑",
    "{b8f6a9ee-1c1d-4f5e-8b41-7d3cf1f0a111}",
    "-rf",
    "--help",
    "$HOME",
    "`id`",
    "*",
    "~",
    "qipc_sharedmemory_myapp94e7d341f71ff6f43253f1c5e813057b22f91cda",
    long_key,
    long_key_other_end,
    long_key_other_start,
    long_key_shorter,
};

#define PLAIN_KEYS (sizeof plain_keys / sizeof plain_keys[0])

static void
fill_long_keys(void)
{
    for (size_t i = 0; i < LONG_KEY; i++)
        long_key[i] = (char)('a' + i * i % 26);
    memcpy(long_key_other_end, long_key, LONG_KEY);
    memcpy(long_key_other_start, long_key, LONG_KEY);
    memcpy(long_key_shorter, long_key, LONG_KEY - 1);
    long_key_other_end[LONG_KEY - 1] ^= 1;
    long_key_other_start[0] ^= 1;
}

/* -------------------------------------------------------------- any key -- */

START_TEST(plain_key_is_kept_byte_for_byte)
{
    const char *plain = plain_keys[_i];
    mapseg *seg = mapseg_new();

    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, plain));
    ck_assert_str_eq(mapseg_key(seg), plain);
    ck_assert_ptr_ne(mapseg_key(seg), plain);
    mapseg_free(seg);
}
END_TEST

/// Any key works from creation to removal, by its plain form and by its native one.
START_TEST(plain_key_works)
{
    char marked[LONG_KEY + KEY_BYTES + 1], name[KEY_BYTES], path[KEY_BYTES];
    mapseg *creator, *by_key, *by_native;

    unique_name(name);
    snprintf(marked, sizeof marked, "%s%s", plain_keys[_i], name);
    creator = mapseg_new_with_key(marked);
    need_call(MAPSEG_OK, creator, mapseg_create(creator, 100, MAPSEG_READ_WRITE));
    path_of(path, mapseg_native_key(creator));
    ck_assert(exists(path));
    strcpy(mapseg_data(creator), "hello");

    by_key = mapseg_new_with_key(marked);
    need_call(MAPSEG_OK, by_key, mapseg_attach(by_key, MAPSEG_READ_ONLY));
    ck_assert_str_eq(mapseg_const_data(by_key), "hello");
    by_native = attached(mapseg_native_key(creator), MAPSEG_READ_ONLY);
    ck_assert_str_eq(mapseg_const_data(by_native), "hello");

    mapseg_free(creator);
    mapseg_free(by_key);
    ck_assert(exists(path));
    mapseg_free(by_native);
    ck_assert(!exists(path));
}
END_TEST

START_TEST(messages_about_any_key_are_one_line)
{
    mapseg *seg = mapseg_new_with_key(plain_keys[_i]);

    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------- derived names -- */

/// The native key of a plain one; the caller frees it.
static char *
native_of(const char *plain)
{
    mapseg *seg = mapseg_new_with_key(plain);
    char *copy;

    ck_assert_ptr_nonnull(seg);
    ck_assert_ptr_nonnull(mapseg_native_key(seg));
    copy = strdup(mapseg_native_key(seg));
    mapseg_free(seg);
    ck_assert_ptr_nonnull(copy);
    return copy;
}

START_TEST(plain_key_becomes_a_plain_file_name)
{
    char *native = native_of(plain_keys[_i]);
    const char *name = native + 4;

    ck_assert_int_eq(strncmp(native, "shm:", 4), 0);
    ck_assert(is_one_line(name));
    ck_assert_ptr_null(strpbrk(name, "/#%?"));
    ck_assert_int_ne(name[0], '.');
    ck_assert_int_ne(name[0], '-');
    ck_assert_uint_le(strlen(name), 251);
    free(native);
}
END_TEST

START_TEST(derived_names_are_distinct)
{
    char *natives[PLAIN_KEYS];

    for (size_t i = 0; i < PLAIN_KEYS; i++) {
        natives[i] = native_of(plain_keys[i]);
        for (size_t j = 0; j < i; j++)
            ck_assert_msg(strcmp(natives[i], natives[j]) != 0, "keys %zu and %zu are both %s", i, j,
                          natives[i]);
    }
    for (size_t i = 0; i < PLAIN_KEYS; i++)
        free(natives[i]);
}
END_TEST

START_TEST(derived_name_shows_the_key)
{
    char *native = native_of("weatherstation");

    ck_assert_ptr_nonnull(strstr(native, "weatherstation"));
    free(native);
}
END_TEST

START_TEST(derived_names_can_be_predicted)
{
    for (size_t i = 0; i < PLAIN_KEYS; i++) {
        char *native = native_of(plain_keys[i]), *again = native_of(plain_keys[i]);
        mapseg_ipc_key *shm = mapseg_ipc_key_derive(plain_keys[i], MAPSEG_KEY_SHM);
        mapseg_ipc_key *runtime = mapseg_ipc_key_derive(plain_keys[i], MAPSEG_KEY_RUNTIME);

        ck_assert_str_eq(native, again);
        ck_assert_str_eq(mapseg_ipc_key_text(shm), native);
        ck_assert_int_eq(mapseg_ipc_key_type(runtime), MAPSEG_KEY_RUNTIME);
        ck_assert_str_eq(mapseg_ipc_key_name(runtime), mapseg_ipc_key_name(shm));
        mapseg_ipc_key_free(shm);
        mapseg_ipc_key_free(runtime);
        free(native);
        free(again);
    }
}
END_TEST

/// Runs this program with that environment and directory; its one line.
static void
derive_elsewhere(char line[KEY_BYTES], const char *key, char *const environment[],
                 const char *directory)
{
    char *arguments[] = {(char *)"check_plain_key", (char *)"--derive", (char *)key, NULL};
    char program[PATH_MAX];
    int ends[2];
    ssize_t length;
    pid_t child;

    own_program(program);
    ck_assert_int_eq(pipe(ends), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (chdir(directory) != 0 || dup2(ends[1], STDOUT_FILENO) == -1)
            _exit(97);
        execve(program, arguments, environment);
        _exit(96);
    }
    close(ends[1]);
    ck_assert_int_eq(end_of(child), 0);
    length = read(ends[0], line, KEY_BYTES - 1);
    ck_assert_int_gt(length, 0);
    line[length] = '\0';
    close(ends[0]);
}

START_TEST(derived_name_depends_on_nothing_but_key_and_user)
{
    char library_path[4096], line[KEY_BYTES];
    const char *path = getenv("LD_LIBRARY_PATH");
    char *native = native_of("service");

    snprintf(library_path, sizeof library_path, "LD_LIBRARY_PATH=%s", path == NULL ? "" : path);
    char *bare[] = {library_path, NULL};
    char *odd[] = {library_path,
                   (char *)"XDG_RUNTIME_DIR=/nonexistent",
                   (char *)"HOME=/nonexistent",
                   (char *)"TMPDIR=/var/tmp",
                   (char *)"USER=another",
                   (char *)"LOGNAME=another",
                   (char *)"LC_ALL=tr_TR.UTF-8",
                   (char *)"MAPSEG_KEY=shm:other",
                   NULL};

    derive_elsewhere(line, "service", bare, "/");
    ck_assert_str_eq(line, native);
    derive_elsewhere(line, "service", odd, "/tmp");
    ck_assert_str_eq(line, native);
    free(native);
}
END_TEST

static int
has_another_name(void *native)
{
    char *mine;

    become_nobody();
    mine = native_of("service");
    ck_assert_str_ne(mine, native);
    free(mine);
    return 0;
}

static int
has_another_name_by_effective_user(void *native)
{
    char *mine;

    ck_assert_int_eq(seteuid(65534), 0);
    mine = native_of("service");
    ck_assert_str_ne(mine, native);
    free(mine);
    return 0;
}

START_TEST(two_users_do_not_collide)
{
    char *native = native_of("service");

    ck_assert_int_eq(in_child(has_another_name, native), 0);
    ck_assert_int_eq(in_child(has_another_name_by_effective_user, native), 0);
    free(native);
}
END_TEST

START_TEST(derivation_by_type)
{
    static const struct {
        mapseg_key_type type;
        const char *name;
    } rows[] = {
        {MAPSEG_KEY_POSIX, "/my key"},
        {MAPSEG_KEY_WINDOWS, "my key"},
        {MAPSEG_KEY_FILE, "my key"},
        {MAPSEG_KEY_RAW, "my key"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        mapseg_ipc_key *key = mapseg_ipc_key_derive("my key", rows[i].type);

        ck_assert_ptr_nonnull(key);
        ck_assert_int_eq(mapseg_ipc_key_type(key), rows[i].type);
        ck_assert_str_eq(mapseg_ipc_key_name(key), rows[i].name);
        mapseg_ipc_key_free(key);
    }
}
END_TEST

START_TEST(an_empty_key_derives_an_empty_name)
{
    static const mapseg_key_type types[] = {MAPSEG_KEY_SHM, MAPSEG_KEY_RUNTIME, MAPSEG_KEY_POSIX,
                                            MAPSEG_KEY_SYSTEMV, MAPSEG_KEY_FILE};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        mapseg_ipc_key *key = mapseg_ipc_key_derive("", types[i]);

        ck_assert(mapseg_ipc_key_type(key) != MAPSEG_KEY_INVALID);
        ck_assert_str_eq(mapseg_ipc_key_name(key), "");
        ck_assert_str_eq(mapseg_ipc_key_name(key), "");
        mapseg_ipc_key_free(key);
    }
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(int argc, char **argv)
{
    const int count = (int)PLAIN_KEYS;
    Suite *suite;
    TCase *group;

    fill_long_keys();
    if (argc == 3 && strcmp(argv[1], "--derive") == 0) {
        mapseg *seg = mapseg_new_with_key(argv[2]);

        fputs(mapseg_native_key(seg), stdout);
        mapseg_free(seg);
        return EXIT_SUCCESS;
    }
    suite = new_suite("plain keys");
    group = new_case(suite, "plain keys");
    tcase_add_loop_test(group, plain_key_is_kept_byte_for_byte, 0, count);
    tcase_add_loop_test(group, plain_key_becomes_a_plain_file_name, 0, count);
    tcase_add_loop_test(group, plain_key_works, 0, count);
    tcase_add_loop_test(group, messages_about_any_key_are_one_line, 0, count);
    tcase_add_test(group, derived_names_are_distinct);
    tcase_add_test(group, derived_name_shows_the_key);
    tcase_add_test(group, derived_names_can_be_predicted);
    tcase_add_test(group, derived_name_depends_on_nothing_but_key_and_user);
    if (skip_unless(is_root(), "two_users_do_not_collide: only root can be two users"))
        tcase_add_test(group, two_users_do_not_collide);
    tcase_add_test(group, derivation_by_type);
    tcase_add_test(group, an_empty_key_derives_an_empty_name);
    return run_suite(suite);
}
