/*
 * check_key.c - plain keys, derived names, and the text form of native keys.
 *
 * Run with "--derive KEY" it prints the key's native key and ends: a test starts it so, to see that
 * nothing of a process but its user goes into a name.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
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

/* ---------------------------------------------------------- plain keys -- */

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
    char *arguments[] = {(char *)"check_key", (char *)"--derive", (char *)key, NULL};
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
                   (char *)"USER=somebody",
                   (char *)"LOGNAME=somebody",
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
        {MAPSEG_KEY_POSIX, "/my key"},  {MAPSEG_KEY_SYSTEMV, "my key"},
        {MAPSEG_KEY_WINDOWS, "my key"}, {MAPSEG_KEY_FILE, "my key"},
        {MAPSEG_KEY_RAW, "my key"},     {(mapseg_key_type)7, "my key"},
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

/* ----------------------------------------------------------- text form -- */

struct parse_row {
    const char *text;
    mapseg_key_type type;
    const char *name;
    const char *legacy_key;
    const char *canonical; /* NULL: the text itself */
};

static const struct parse_row valid_texts[] = {
    {"shm:a", MAPSEG_KEY_SHM, "a", "", NULL},
    {"runtime:a", MAPSEG_KEY_RUNTIME, "a", "", NULL},
    {"file:/A/B", MAPSEG_KEY_FILE, "/A/B", "", NULL},
    {"memfd:5", MAPSEG_KEY_MEMFD, "5", "", NULL},
    {"memfd:", MAPSEG_KEY_MEMFD, "", "", NULL},
    {"raw:/A/B", MAPSEG_KEY_RAW, "/A/B", "", NULL},
    {"posix:/x", MAPSEG_KEY_POSIX, "/x", "", NULL},
    {"posix:", MAPSEG_KEY_POSIX, "", "", NULL},
    {"windows:x", MAPSEG_KEY_WINDOWS, "x", "", NULL},
    {"systemv:/x", MAPSEG_KEY_SYSTEMV, "/x", "", NULL},
    {"systemv-1:/x", (mapseg_key_type)1, "/x", "", NULL},
    {"systemv-80:/x", (mapseg_key_type)80, "/x", "", NULL},
    {"systemv-82:/x", (mapseg_key_type)82, "/x", "", NULL},
    {"systemv-255:/x", (mapseg_key_type)255, "/x", "", NULL},
    {"systemv-81:/x", MAPSEG_KEY_SYSTEMV, "/x", "", "systemv:/x"},
    /* the scheme knows no case, the name does */
    {"SHM:Name", MAPSEG_KEY_SHM, "Name", "", "shm:Name"},
    {"Posix:/X", MAPSEG_KEY_POSIX, "/X", "", "posix:/X"},
    {"SystemV-7:x", (mapseg_key_type)7, "x", "", "systemv-7:x"},
    /* only the first colon counts */
    {"shm:a:b", MAPSEG_KEY_SHM, "a:b", "", NULL},
    {"shm::", MAPSEG_KEY_SHM, ":", "", NULL},
    /* raw characters */
    {"shm:a b", MAPSEG_KEY_SHM, "a b", "", NULL},
    {"shm: a", MAPSEG_KEY_SHM, " a", "", NULL},
    {"shm:\xc3\xa9\xf0\x9f\x94\x91", MAPSEG_KEY_SHM, "\xc3\xa9\xf0\x9f\x94\x91", "", NULL},
    {"shm:a&b=c;d+e,f!g*h'i(j)k[l]m{n}o|p\\q^r`s\"t<u>v@w$x~", MAPSEG_KEY_SHM,
     "a&b=c;d+e,f!g*h'i(j)k[l]m{n}o|p\\q^r`s\"t<u>v@w$x~", "", NULL},
    /* percent-encoding */
    {"shm:%23%25%3F%7F", MAPSEG_KEY_SHM, "#%?\x7f", "", NULL},
    {"shm:%01%09%0A%1F", MAPSEG_KEY_SHM, "\x01\t\n\x1f", "", NULL},
    {"shm:%0a%1f%7f", MAPSEG_KEY_SHM, "\n\x1f\x7f", "", "shm:%0A%1F%7F"},
    {"shm:%41%62", MAPSEG_KEY_SHM, "Ab", "", "shm:Ab"},
    {"shm:%20", MAPSEG_KEY_SHM, " ", "", "shm: "},
    {"shm:%C3%A9", MAPSEG_KEY_SHM, "\xc3\xa9", "", "shm:\xc3\xa9"},
    {"shm:%2541", MAPSEG_KEY_SHM, "%41", "", NULL},
    /* a bad % stays what it is */
    {"shm:100%", MAPSEG_KEY_SHM, "100%", "", "shm:100%25"},
    {"shm:%zz", MAPSEG_KEY_SHM, "%zz", "", "shm:%25zz"},
    {"shm:%4", MAPSEG_KEY_SHM, "%4", "", "shm:%254"},
    {"shm:%%", MAPSEG_KEY_SHM, "%%", "", "shm:%25%25"},
    /* slashes and authorities */
    {"posix:///x", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"file:///A/B", MAPSEG_KEY_FILE, "/A/B", "", "file:/A/B"},
    {"posix:/%2Fx", MAPSEG_KEY_POSIX, "//x", "", NULL},
    {"posix:/%2fx", MAPSEG_KEY_POSIX, "//x", "", "posix:/%2Fx"},
    {"posix:/%2F/x", MAPSEG_KEY_POSIX, "///x", "", NULL},
    {"posix:/%2F", MAPSEG_KEY_POSIX, "//", "", NULL},
    {"posix:%2F%2Fx", MAPSEG_KEY_POSIX, "//x", "", "posix:/%2Fx"},
    {"posix:/x//y", MAPSEG_KEY_POSIX, "/x//y", "", NULL},
    /* paths are taken as they are */
    {"file:/a/../b/./c/", MAPSEG_KEY_FILE, "/a/../b/./c/", "", NULL},
    {"file:../a", MAPSEG_KEY_FILE, "../a", "", NULL},
    /* fragments and queries */
    {"posix:/x#fragment", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x#", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x#a?legacyKey=b", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x?", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x?#fragment", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x?legacyKey=old", MAPSEG_KEY_POSIX, "/x", "old", NULL},
    {"posix:?legacyKey=old", MAPSEG_KEY_POSIX, "", "old", NULL},
    {"posix:/x?legacyKey=old#fragment", MAPSEG_KEY_POSIX, "/x", "old", "posix:/x?legacyKey=old"},
    {"posix:/x?legacyKey=", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x?legacyKey=a&legacyKey=b", MAPSEG_KEY_POSIX, "/x", "b", "posix:/x?legacyKey=b"},
    {"posix:/x?legacyKey=a%26b%3Dc%23d%25e", MAPSEG_KEY_POSIX, "/x", "a&b=c#d%e", NULL},
    {"posix:/x?legacyKey=a%26legacyKey%3Db", MAPSEG_KEY_POSIX, "/x", "a&legacyKey=b", NULL},
    {"posix:/x?legacyKey=a b/c:d", MAPSEG_KEY_POSIX, "/x", "a b/c:d", NULL},
    {"systemv:/x?legacyKey=\xc3\xa9", MAPSEG_KEY_SYSTEMV, "/x", "\xc3\xa9", NULL},
    {"shm:a?legacyKey=old", MAPSEG_KEY_SHM, "a", "old", NULL},
};

START_TEST(text_is_parsed)
{
    const struct parse_row *row = &valid_texts[_i];
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(row->text);

    ck_assert_msg(mapseg_ipc_key_type(key) != MAPSEG_KEY_INVALID, "%s is not valid", row->text);
    ck_assert_int_eq(mapseg_ipc_key_type(key), row->type);
    ck_assert_str_eq(mapseg_ipc_key_name(key), row->name);
    ck_assert_str_eq(mapseg_ipc_key_legacy_key(key), row->legacy_key);
    ck_assert_str_eq(mapseg_ipc_key_id(key), "");
    mapseg_ipc_key_free(key);
}
END_TEST

START_TEST(text_is_written)
{
    const struct parse_row *row = &valid_texts[_i];
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(row->text);

    ck_assert_str_eq(mapseg_ipc_key_text(key), row->canonical == NULL ? row->text : row->canonical);
    mapseg_ipc_key_free(key);
}
END_TEST

START_TEST(text_goes_round)
{
    const struct parse_row *row = &valid_texts[_i];
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(row->text);
    mapseg_ipc_key *again = mapseg_ipc_key_from_text(mapseg_ipc_key_text(key));

    ck_assert(mapseg_ipc_key_equal(key, again));
    ck_assert_str_eq(mapseg_ipc_key_text(key), mapseg_ipc_key_text(again));
    mapseg_ipc_key_free(key);
    mapseg_ipc_key_free(again);
}
END_TEST

START_TEST(made_key_equals_the_parsed_one)
{
    const struct parse_row *row = &valid_texts[_i];
    mapseg_ipc_key *parsed = mapseg_ipc_key_from_text(row->text);
    mapseg_ipc_key *made = mapseg_ipc_key_new(row->type, row->name);

    ck_assert_int_eq(mapseg_ipc_key_type(made), row->type);
    ck_assert_str_eq(mapseg_ipc_key_name(made), row->name);
    ck_assert_int_eq(mapseg_ipc_key_equal(parsed, made), row->legacy_key[0] == '\0');
    ck_assert_int_eq(mapseg_ipc_key_equal(made, parsed), row->legacy_key[0] == '\0');
    mapseg_ipc_key_free(parsed);
    mapseg_ipc_key_free(made);
}
END_TEST

static const char *const invalid_texts[] = {
    "",
    ":",
    ":a",
    "a",
    "/dev/shm/a",
    " shm:a",
    "\tshm:a",
    "\nshm:a",
    "shm :a",
    "sh%6D:a",
    "unknown:a",
    "shmm:a",
    "sh:a",
    "1shm:a",
    "-shm:a",
    "http://example.org/",
    "posix-1:/x",
    "systemv-:/x",
    "systemv-0:/x",
    "systemv-256:/x",
    "systemv-65617:/x",
    "systemv-4294967297:/x",
    "systemv-18446744073709551617:/x",
    "systemv--1:/x",
    "systemv-1x:/x",
    "systemv-x:/x",
    "systemv-0x1:/x",
    "systemv1:/x",
    "posix://host/x",
    "posix://host",
    "file://localhost/A/B",
    "shm://user@host:1/x",
    "posix:/x?other=1",
    "posix:/x?a",
    "posix:/x?legacykey=a",
    "posix:/x?LegacyKey=a",
    "posix:/x?legacyKey=a&other=1",
    "posix:/x?other=1&legacyKey=a",
    "shm:a?id=00112233445566778899aabbccddeeff",
    "memfd:5?id=0011",
    "memfd:5?id=",
    "memfd:5?id=00112233445566778899aabbccddeeff0",
    "memfd:5?id=00112233445566778899aabbccddeefg",
    "memfd:5?id=0x112233445566778899aabbccddeeff",
    "memfd:5?other=1",
};

START_TEST(text_that_is_no_key)
{
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(invalid_texts[_i]);

    ck_assert_ptr_nonnull(key);
    ck_assert_msg(mapseg_ipc_key_type(key) == MAPSEG_KEY_INVALID, "'%s' is taken for %s",
                  invalid_texts[_i], mapseg_ipc_key_text(key));
    ck_assert_int_eq(mapseg_ipc_key_type(key), MAPSEG_KEY_INVALID);
    ck_assert_ptr_null(mapseg_ipc_key_text(key));
    mapseg_ipc_key_free(key);
}
END_TEST

START_TEST(handle_refuses_text_that_is_no_key)
{
    mapseg *seg = mapseg_new();

    if (invalid_texts[_i][0] != '\0') {
        need_call(MAPSEG_KEY_ERROR, seg, mapseg_set_native_key(seg, invalid_texts[_i]));
        ck_assert_int_eq(mapseg_error(seg), MAPSEG_KEY_ERROR);
        ck_assert(is_one_line(mapseg_error_string(seg)));
    }
    ck_assert_ptr_null(mapseg_native_key(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(no_text_is_no_key)
{
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(NULL);

    ck_assert(mapseg_ipc_key_type(key) == MAPSEG_KEY_INVALID);
    mapseg_ipc_key_free(key);
    mapseg_ipc_key_free(NULL);
}
END_TEST

/// A name with a zero byte cannot be held, and must not lead to what comes before it.
START_TEST(encoded_zero_byte_cuts_nothing_off)
{
    mapseg_ipc_key *cut = mapseg_ipc_key_from_text("shm:a%00b");
    mapseg_ipc_key *legacy = mapseg_ipc_key_from_text("shm:a?legacyKey=x%00y");
    mapseg_ipc_key *plain = mapseg_ipc_key_from_text("shm:a");

    ck_assert_str_ne(mapseg_ipc_key_name(cut), "a");
    ck_assert(!mapseg_ipc_key_equal(cut, plain));
    ck_assert_str_ne(mapseg_ipc_key_legacy_key(legacy), "x");
    mapseg_ipc_key_free(cut);
    mapseg_ipc_key_free(legacy);
    mapseg_ipc_key_free(plain);
}
END_TEST

/// Every byte that a name can hold survives the text form.
START_TEST(every_byte_goes_round)
{
    char name[3] = "_?";

    for (int byte = 1; byte < 256; byte++) {
        mapseg_ipc_key *key, *again;
        bool encoded = byte < 0x20 || byte == 0x7f || strchr("#%?", byte) != NULL;

        name[1] = (char)byte;
        key = mapseg_ipc_key_new(MAPSEG_KEY_SHM, name);
        ck_assert_uint_eq(strlen(mapseg_ipc_key_text(key)), encoded ? 8 : 6);
        again = mapseg_ipc_key_from_text(mapseg_ipc_key_text(key));
        ck_assert_str_eq(mapseg_ipc_key_name(again), name);
        mapseg_ipc_key_free(key);
        mapseg_ipc_key_free(again);
    }
}
END_TEST

START_TEST(memfd_key_carries_an_id)
{
    static const char text[] = "memfd:5?id=00112233445566778899aabbccddeeff";
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(text);
    mapseg_ipc_key *other = mapseg_ipc_key_from_text("memfd:5?id=00112233445566778899aabbccddeefe");
    mapseg_ipc_key *none = mapseg_ipc_key_from_text("memfd:5");

    ck_assert_int_eq(mapseg_ipc_key_type(key), MAPSEG_KEY_MEMFD);
    ck_assert_str_eq(mapseg_ipc_key_name(key), "5");
    ck_assert_str_eq(mapseg_ipc_key_id(key), "00112233445566778899aabbccddeeff");
    ck_assert_str_eq(mapseg_ipc_key_text(key), text);
    ck_assert(!mapseg_ipc_key_equal(key, other));
    ck_assert(!mapseg_ipc_key_equal(key, none));
    ck_assert(mapseg_ipc_key_equal(key, key));
    mapseg_ipc_key_free(key);
    mapseg_ipc_key_free(other);
    mapseg_ipc_key_free(none);
}
END_TEST

START_TEST(keys_are_equal_in_all_parts_or_not_at_all)
{
    static const char *const texts[] = {
        "posix:/x",
        "posix:/y",
        "posix:/X",
        "posix:x",
        "posix:/x?legacyKey=a",
        "systemv:/x",
        "systemv-1:/x",
        "posix:/x?legacyKey=b",
        "shm:/x",
        "file:/x",
        "raw:/x",
        "windows:/x",
        "runtime:/x",
        "posix:",
        "systemv:",
    };
    const size_t count = sizeof texts / sizeof texts[0];

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            mapseg_ipc_key *a = mapseg_ipc_key_from_text(texts[i]);
            mapseg_ipc_key *b = mapseg_ipc_key_from_text(texts[j]);

            ck_assert_msg(mapseg_ipc_key_equal(a, b) == (i == j), "%s, %s", texts[i], texts[j]);
            mapseg_ipc_key_free(a);
            mapseg_ipc_key_free(b);
        }
    }
}
END_TEST

START_TEST(made_keys)
{
    mapseg_ipc_key *nameless = mapseg_ipc_key_new(MAPSEG_KEY_POSIX, NULL);
    mapseg_ipc_key *invalid = mapseg_ipc_key_new(MAPSEG_KEY_INVALID, "a");
    mapseg_ipc_key *unknown = mapseg_ipc_key_new((mapseg_key_type)0x300, "a");
    mapseg_ipc_key *negative = mapseg_ipc_key_new((mapseg_key_type)-1, "a");

    ck_assert(mapseg_ipc_key_type(nameless) != MAPSEG_KEY_INVALID);
    ck_assert_str_eq(mapseg_ipc_key_name(nameless), "");
    ck_assert_str_eq(mapseg_ipc_key_name(nameless), "");
    ck_assert_str_eq(mapseg_ipc_key_text(nameless), "posix:");
    ck_assert(mapseg_ipc_key_type(invalid) == MAPSEG_KEY_INVALID);
    ck_assert_ptr_null(mapseg_ipc_key_text(invalid));
    ck_assert(mapseg_ipc_key_type(unknown) == MAPSEG_KEY_INVALID);
    ck_assert_ptr_null(mapseg_ipc_key_text(unknown));
    ck_assert(mapseg_ipc_key_type(negative) == MAPSEG_KEY_INVALID);
    mapseg_ipc_key_free(nameless);
    mapseg_ipc_key_free(invalid);
    mapseg_ipc_key_free(unknown);
    mapseg_ipc_key_free(negative);
}
END_TEST

START_TEST(types_that_can_be_used_here)
{
    ck_assert(mapseg_key_type_is_supported(MAPSEG_KEY_SHM));
    ck_assert(mapseg_key_type_is_supported(MAPSEG_KEY_FILE));
    ck_assert(mapseg_key_type_is_supported(MAPSEG_KEY_MEMFD));
    ck_assert(!mapseg_key_type_is_supported(MAPSEG_KEY_INVALID));
    ck_assert(!mapseg_key_type_is_supported(MAPSEG_KEY_SYSTEMV));
    ck_assert(!mapseg_key_type_is_supported((mapseg_key_type)1));
    ck_assert(!mapseg_key_type_is_supported(MAPSEG_KEY_WINDOWS));
    ck_assert(!mapseg_key_type_is_supported(MAPSEG_KEY_POSIX));
    ck_assert(!mapseg_key_type_is_supported(MAPSEG_KEY_RAW));
}
END_TEST

/* ------------------------------------------------------------- handles -- */

START_TEST(new_handle_is_empty)
{
    mapseg *seg = mapseg_new();

    ck_assert_ptr_nonnull(seg);
    ck_assert_ptr_null(mapseg_key(seg));
    ck_assert_ptr_null(mapseg_native_key(seg));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_ptr_null(mapseg_data(seg));
    ck_assert_ptr_null(mapseg_const_data(seg));
    ck_assert_uint_eq(mapseg_size(seg), 0);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OK);
    ck_assert_str_eq(mapseg_error_string(seg), "");
    mapseg_free(seg);
    mapseg_free(NULL);
}
END_TEST

START_TEST(handle_without_a_plain_key)
{
    mapseg *null = mapseg_new_with_key(NULL), *empty = mapseg_new_with_key("");

    ck_assert_ptr_null(mapseg_key(null));
    ck_assert_ptr_null(mapseg_native_key(null));
    ck_assert_ptr_null(mapseg_key(empty));
    ck_assert_ptr_null(mapseg_native_key(empty));
    mapseg_free(null);
    mapseg_free(empty);
}
END_TEST

START_TEST(key_is_copied)
{
    char mine[] = "copied";
    mapseg *seg = mapseg_new();

    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, mine));
    mine[0] = 'x';
    ck_assert_str_eq(mapseg_key(seg), "copied");
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, mapseg_key(seg)));
    ck_assert_str_eq(mapseg_key(seg), "copied");
    /* The handle's own strings, parts of them too, may be given back to it. */
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, mapseg_key(seg) + 3));
    ck_assert_str_eq(mapseg_key(seg), "ied");
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, mapseg_native_key(seg)));
    mapseg_free(seg);
}
END_TEST

START_TEST(native_key_replaces_the_plain_one)
{
    mapseg *seg = mapseg_new_with_key("plain");

    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "shm:other"));
    ck_assert_ptr_null(mapseg_key(seg));
    ck_assert_str_eq(mapseg_native_key(seg), "shm:other");
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, "plain"));
    ck_assert_str_eq(mapseg_key(seg), "plain");
    ck_assert_str_ne(mapseg_native_key(seg), "shm:other");
    mapseg_free(seg);
}
END_TEST

START_TEST(native_key_is_shown_in_its_one_form)
{
    mapseg *seg = mapseg_new();

    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "SHM:%41#fragment"));
    ck_assert_str_eq(mapseg_native_key(seg), "shm:A");
    mapseg_free(seg);
}
END_TEST

/// Both setters take the key away with NULL and "".
START_TEST(key_is_taken_away)
{
    mapseg *seg = mapseg_new();
    const char *const nothing[] = {NULL, ""};

    for (int i = 0; i < 2; i++) {
        need_call(MAPSEG_OK, seg, mapseg_set_key(seg, "plain"));
        need_call(MAPSEG_OK, seg, mapseg_set_key(seg, nothing[i]));
        ck_assert_ptr_null(mapseg_key(seg));
        ck_assert_ptr_null(mapseg_native_key(seg));
        need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "shm:a"));
        need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, nothing[i]));
        ck_assert_ptr_null(mapseg_native_key(seg));
        need_call(MAPSEG_OK, seg, mapseg_set_key(seg, "plain"));
        need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, nothing[i]));
        ck_assert_ptr_null(mapseg_key(seg));
        ck_assert_ptr_null(mapseg_native_key(seg));
    }
    mapseg_free(seg);
}
END_TEST

START_TEST(taking_the_key_away_detaches)
{
    char key[KEY_BYTES], path[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    path_of(path, key);
    seg = created(key, 10);
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, NULL));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

/// A refused key changes neither the key nor the attachment.
START_TEST(bad_native_key_changes_nothing)
{
    char key[KEY_BYTES];
    mapseg *seg;
    void *data;

    unique_key(key);
    seg = created(key, 10);
    data = mapseg_data(seg);
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_set_native_key(seg, "unknown:a"));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_KEY_ERROR);
    ck_assert_str_eq(mapseg_native_key(seg), key);
    ck_assert(mapseg_is_attached(seg));
    ck_assert_ptr_eq(mapseg_data(seg), data);
    mapseg_free(seg);

    seg = mapseg_new_with_key("plain");
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_set_native_key(seg, "unknown:a"));
    ck_assert_str_eq(mapseg_key(seg), "plain");
    mapseg_free(seg);
}
END_TEST

/// Another spelling of the key a handle has is no other key.
START_TEST(same_native_key_spelt_otherwise_changes_nothing)
{
    char key[KEY_BYTES], again[KEY_BYTES + 8];
    mapseg *seg;

    unique_key(key);
    seg = created(key, 10);
    snprintf(again, sizeof again, "SHM:%%%02X%s", (unsigned int)key[4], key + 5);
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, again));
    ck_assert(mapseg_is_attached(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(plain_key_over_its_own_native_key_detaches)
{
    char name[KEY_BYTES];
    char *native;
    mapseg *seg;

    unique_name(name);
    native = native_of(name);
    seg = created(native, 10);
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, name));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_str_eq(mapseg_key(seg), name);
    ck_assert_str_eq(mapseg_native_key(seg), native);
    mapseg_free(seg);
    free(native);
}
END_TEST

/// Well formed as keys, but no files that can be.
static const char *const unusable_keys[] = {
    "shm:",
    "shm:.",
    "shm:..",
    "shm:a/b",
    "shm:/a",
    "shm:../tmp/a",
    "runtime:",
    "runtime:..",
    "runtime:a/b",
    "file:",
    "file:a",
    "file:./a",
    "memfd:x",
    "memfd:-1",
    "memfd:5x",
    "memfd: 5",
    "memfd:99999999999999999999",
    "memfd:0x5",
};

START_TEST(unusable_native_key)
{
    struct footprint before;
    mapseg *seg = mapseg_new();
    bool taken = mapseg_set_native_key(seg, unusable_keys[_i]) == MAPSEG_OK;

    take_footprint(&before, NULL);
    if (taken)
        need_call(MAPSEG_KEY_ERROR, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_KEY_ERROR);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    if (taken)
        need_call(MAPSEG_KEY_ERROR, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert(!mapseg_is_attached(seg));
    check_footprint(&before, NULL);
    mapseg_free(seg);
}
END_TEST

/// A name longer than file names can be is refused and not cut.
START_TEST(native_name_that_is_too_long)
{
    char key[1024] = "shm:", cut[KEY_BYTES + 16];
    mapseg *seg;

    memset(key + 4, 'x', 300);
    snprintf(cut, sizeof cut, "/dev/shm/%.255s", key + 4);
    seg = mapseg_new();
    if (mapseg_set_native_key(seg, key) == MAPSEG_OK)
        need_call(MAPSEG_KEY_ERROR, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_KEY_ERROR);
    ck_assert(!exists(cut));
    mapseg_free(seg);
}
END_TEST

START_TEST(native_name_with_odd_bytes_is_that_file)
{
    char name[KEY_BYTES], key[KEY_BYTES + 64], path[KEY_BYTES + 64];
    mapseg *seg;

    unique_name(name);
    snprintf(key, sizeof key, "shm:%s %%0A%%23%%25%%3F\xff", name);
    snprintf(path, sizeof path, "/dev/shm/%s \n#%%?\xff", name);
    seg = created(key, 10);
    ck_assert(exists(path));
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

START_TEST(types_of_other_systems_are_taken_but_not_used)
{
    static const char *const types[] = {"posix:/", "raw:/dev/shm/", "systemv:/tmp/",
                                        "systemv-1:/tmp/", "windows:"};
    char name[KEY_BYTES], key[KEY_BYTES + 32];
    struct footprint before;
    mapseg *seg;

    unique_name(name);
    snprintf(key, sizeof key, "%s%s", types[_i], name);
    take_footprint(&before, NULL);
    seg = handle_for(key);
    ck_assert_str_eq(mapseg_native_key(seg), key);
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    mapseg_free(seg);
    check_footprint(&before, NULL);
}
END_TEST

/* ----------------------------------------------------------- places -- */

static const char *
make_runtime_directory(mode_t mode)
{
    static char directory[] = "/dev/shm/mapsegtestruntimeXXXXXX";

    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chmod(directory, mode), 0);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
    return directory;
}

START_TEST(runtime_key_lies_in_the_runtime_directory)
{
    const char *directory = make_runtime_directory(0700);
    char path[KEY_BYTES];
    mapseg *seg = handle_for("runtime:name"), *other = handle_for("runtime:name");
    struct stat status;

    snprintf(path, sizeof path, "%s/mapseg/name", directory);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_mode & 07777, 0600);
    need_call(MAPSEG_OK, other, mapseg_attach(other, MAPSEG_READ_WRITE));
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(!exists(path));
    snprintf(path, sizeof path, "%s/mapseg", directory);
    ck_assert(stat(path, &status) != 0 || (status.st_mode & 07777) == 0700);
    rmdir(path);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/// The reason why a runtime directory will not do; the caller frees it.
static char *
refused_runtime(void)
{
    mapseg *seg = handle_for("runtime:name");
    mapseg_result result = mapseg_create(seg, 10, MAPSEG_READ_WRITE);
    char *text;

    ck_assert_int_ne(result, MAPSEG_OK);
    ck_assert(!mapseg_is_attached(seg));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    text = strdup(mapseg_error_string(seg));
    mapseg_free(seg);
    return text;
}

START_TEST(runtime_directory_must_be_private)
{
    const char *directory = make_runtime_directory(0755);
    char *open_to_all = refused_runtime(), *missing, *unset, *relative;

    ck_assert_int_eq(rmdir(directory), 0);
    missing = refused_runtime();
    unsetenv("XDG_RUNTIME_DIR");
    unset = refused_runtime();
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "run", 1), 0);
    relative = refused_runtime();
    ck_assert_str_ne(open_to_all, missing);
    ck_assert_str_ne(open_to_all, unset);
    ck_assert_str_ne(missing, unset);
    free(open_to_all);
    free(missing);
    free(unset);
    free(relative);
}
END_TEST

START_TEST(runtime_directory_must_be_in_memory)
{
    char directory[] = "/var/tmp/mapsegtestXXXXXX";
    char *text;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
    text = refused_runtime();
    free(text);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(runtime_directory_must_be_ours)
{
    const char *directory = make_runtime_directory(0700);
    char *text;

    ck_assert_int_eq(chown(directory, 65534, 65534), 0);
    text = refused_runtime();
    free(text);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(file_key_lies_at_its_path)
{
    char directory[] = "/var/tmp/mapseg testXXXXXX", path[64], key[80];
    mapseg *seg, *other;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a file", directory);
    snprintf(key, sizeof key, "file:%s", path);
    seg = created(key, 5000);
    ck_assert(exists(path));
    other = attached(key, MAPSEG_READ_WRITE);
    strcpy((char *)mapseg_data(seg) + 4990, "hello");
    ck_assert_str_eq((const char *)mapseg_data(other) + 4990, "hello");
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(!exists(path));
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/* ------------------------------------------------------------- program -- */

static bool
disk_at_var_tmp(void)
{
    struct stat tmp, shm;

    return access("/var/tmp", W_OK) == 0 && stat("/var/tmp", &tmp) == 0 &&
           stat("/dev/shm", &shm) == 0 && tmp.st_dev != shm.st_dev;
}

static void
add_plain(Suite *suite)
{
    TCase *group = new_case(suite, "plain keys");
    const int count = (int)PLAIN_KEYS;

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
}

static void
add_text(Suite *suite)
{
    TCase *group = new_case(suite, "text form");
    const int valid = sizeof valid_texts / sizeof valid_texts[0];
    const int invalid = sizeof invalid_texts / sizeof invalid_texts[0];

    tcase_add_loop_test(group, text_is_parsed, 0, valid);
    tcase_add_loop_test(group, text_is_written, 0, valid);
    tcase_add_loop_test(group, text_goes_round, 0, valid);
    tcase_add_loop_test(group, made_key_equals_the_parsed_one, 0, valid);
    tcase_add_loop_test(group, text_that_is_no_key, 0, invalid);
    tcase_add_loop_test(group, handle_refuses_text_that_is_no_key, 0, invalid);
    tcase_add_test(group, no_text_is_no_key);
    tcase_add_test(group, encoded_zero_byte_cuts_nothing_off);
    tcase_add_test(group, every_byte_goes_round);
    tcase_add_test(group, memfd_key_carries_an_id);
    tcase_add_test(group, keys_are_equal_in_all_parts_or_not_at_all);
    tcase_add_test(group, made_keys);
    tcase_add_test(group, types_that_can_be_used_here);
}

static void
add_handles(Suite *suite)
{
    TCase *group = new_case(suite, "handles");

    tcase_add_test(group, new_handle_is_empty);
    tcase_add_test(group, handle_without_a_plain_key);
    tcase_add_test(group, key_is_copied);
    tcase_add_test(group, native_key_replaces_the_plain_one);
    tcase_add_test(group, native_key_is_shown_in_its_one_form);
    tcase_add_test(group, key_is_taken_away);
    tcase_add_test(group, taking_the_key_away_detaches);
    tcase_add_test(group, bad_native_key_changes_nothing);
    tcase_add_test(group, same_native_key_spelt_otherwise_changes_nothing);
    tcase_add_test(group, plain_key_over_its_own_native_key_detaches);
    tcase_add_loop_test(group, unusable_native_key, 0,
                        sizeof unusable_keys / sizeof unusable_keys[0]);
    tcase_add_test(group, native_name_that_is_too_long);
    tcase_add_test(group, native_name_with_odd_bytes_is_that_file);
    tcase_add_loop_test(group, types_of_other_systems_are_taken_but_not_used, 0, 5);
}

static void
add_places(Suite *suite)
{
    TCase *group = new_case(suite, "places");

    tcase_add_test(group, runtime_key_lies_in_the_runtime_directory);
    tcase_add_test(group, runtime_directory_must_be_private);
    if (skip_unless(disk_at_var_tmp(), "runtime_directory_must_be_in_memory: /var/tmp is no disk"))
        tcase_add_test(group, runtime_directory_must_be_in_memory);
    if (skip_unless(is_root(), "runtime_directory_must_be_ours: only root can give one away"))
        tcase_add_test(group, runtime_directory_must_be_ours);
    tcase_add_test(group, file_key_lies_at_its_path);
}

int
main(int argc, char **argv)
{
    Suite *suite;

    fill_long_keys();
    if (argc == 3 && strcmp(argv[1], "--derive") == 0) {
        mapseg *seg = mapseg_new_with_key(argv[2]);

        fputs(mapseg_native_key(seg), stdout);
        mapseg_free(seg);
        return EXIT_SUCCESS;
    }
    suite = new_suite("key");
    add_plain(suite);
    add_text(suite);
    add_handles(suite);
    add_places(suite);
    return run_suite(suite);
}
