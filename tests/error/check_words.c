/*
 * check_words.c - what a message says: the key in quotes, why, and what to do.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/printable.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DATA_BYTES 8192

/** Letters, more than any message shows. */
#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN
#define TWO_HUNDRED FIFTY FIFTY FIFTY FIFTY

/** Whether the handle's last message has these words. */
static void
check_says(const mapseg *seg, const char *words)
{
    const char *said = mapseg_error_string(seg);

    ck_assert(is_one_line(said));
    ck_assert_msg(strstr(said, words) != NULL, "'%s' is not in: %s", words, said);
    ck_assert_msg(strstr(said, "; ") != NULL, "what to do is not in: %s", said);
}

/* -------------------------------------------------------------------- keys -- */

/* clang-format off */
static const struct {
    const char *plain;
    const char *native;
    const char *shown;
} keys[] = {
    {NULL, "shm:name", "\"shm:name\""},
    {NULL, "shm:a\": b", "\"shm:a%22: b\""},
    {NULL, "shm:a\n\\x22", "\"shm:a%0A\\x22\""},
    {NULL, "memfd:", "\"memfd:\""},
    {"weather", "shm:x", "\"weather\" (shm:x)"},
    {"\" (shm:y): \\x22\n", "shm:x", "\"\\x22 (shm:y): \\x5Cx22\\x0A\" (shm:x)"},
    {"shm:refused", NULL, "\"shm:refused\""},
    /* Cut: of two keys the plain one sooner. The mark is no part of a key. */
    {NULL, TWO_HUNDRED, "\"" TWO_HUNDRED "\""},
    {NULL, TWO_HUNDRED "x", "\"" TWO_HUNDRED "\"..."},
    {TWO_HUNDRED "x", NULL, "\"" TWO_HUNDRED "\"..."},
    {FIFTY TEN "abcd", "shm:x", "\"" FIFTY TEN "abcd\" (shm:x)"},
    {FIFTY TEN "abcde", TWO_HUNDRED "x", "\"" FIFTY TEN "abcd\"... (" TWO_HUNDRED "...)"},
};
/* clang-format on */
#define KEYS ((int)(sizeof keys / sizeof *keys))

START_TEST(key_in_quotes)
{
    /* In a block of that very size, so that a sanitizer sees each byte too many. */
    char *shown = malloc(MSI_PRINTABLE_KEY_BYTES);

    msi_printable_key(shown, keys[_i].plain, keys[_i].native);
    ck_assert_str_eq(shown, keys[_i].shown);
    free(shown);
}
END_TEST

START_TEST(longest_key_fits)
{
    char plain[600], native[600];
    char *shown = malloc(MSI_PRINTABLE_KEY_BYTES);

    memset(plain, 1, sizeof plain);
    memset(native, 1, sizeof native);
    plain[sizeof plain - 1] = native[sizeof native - 1] = '\0';
    msi_printable_key(shown, plain, native);
    ck_assert_str_eq(shown + strlen(shown) - 4, "...)");
    msi_printable_key(shown, NULL, native);
    ck_assert_str_eq(shown + strlen(shown) - 4, "\"...");
    msi_printable_key(shown, plain, NULL);
    ck_assert_str_eq(shown + strlen(shown) - 4, "\"...");
    free(shown);
}
END_TEST

START_TEST(messages_quote_the_key)
{
    char key[KEY_BYTES];
    mapseg *seg = mapseg_new();

    need_call(MAPSEG_KEY_ERROR, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    check_says(seg, "cannot attach a segment without a key: there is nothing to find it by; ");
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "shm:"));
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    check_says(seg, "cannot attach \"shm:\": its key has no name; ");
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "memfd:"));
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    check_says(seg, "cannot attach \"memfd:\": ");
    need_call(MAPSEG_NOT_ATTACHED, seg, mapseg_read(seg, 0, key, 8, NULL));
    check_says(seg, "cannot read \"memfd:\": ");

    unique_key(key);
    strcat(key, "\": a");
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, key));
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_reclaim(seg));
    key[strlen(key) - 4] = '\0';
    check_says(seg, key);
    check_says(seg, "%22: a\": there is no such segment");

    unique_name(key);
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, key));
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    check_says(seg, strcat(key, "\" (shm:mapseg-"));
    mapseg_free(seg);
}
END_TEST

/** The key in the message is the refused one, and the handle's stays. */
START_TEST(refused_key_is_the_one_in_the_message)
{
    mapseg *seg = handle_for("shm:good");

    need_call(MAPSEG_KEY_ERROR, seg, mapseg_set_native_key(seg, "shm:a/b"));
    ck_assert_str_eq(mapseg_error_string(seg), "cannot use the key \"shm:a/b\": its name must not "
                                               "contain a slash; use file: for a path");
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_set_native_key(seg, "weather \""));
    check_says(seg, "cannot use the key \"weather \\x22\": ");
    ck_assert_str_eq(mapseg_native_key(seg), "shm:good");
    mapseg_free(seg);
}
END_TEST

/* ----------------------------------------------------------------- what to do -- */

/** However long a path is, and whatever is in it, what to do is not cut off, and the
 *  system's words stand before it. */
START_TEST(paths_leave_room_for_what_to_do)
{
    char path[400] = "/a; b";
    const char *end = " (No such file or directory); log in anew or correct it";
    mapseg *seg = handle_for("runtime:name");
    const char *said;

    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", path, 1), 0);
        need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
        said = mapseg_error_string(seg);
        ck_assert(is_one_line(said));
        ck_assert_msg(strlen(said) > strlen(end) &&
                          strcmp(said + strlen(said) - strlen(end), end) == 0,
                      "%s", said);
        memset(path + 5, 1, 200);
    }
    mapseg_free(seg);
}
END_TEST

/** The program closes the descriptor of a segment that other users could make shorter, and leaves
 *  no number for another one. */
static int
read_and_write_without_descriptors(void *unused)
{
    const struct rlimit none = {3, 3};
    mapseg *seg = created_for(0666, "shm:segment", DATA_BYTES, 0);
    char data[8] = "1234567";

    (void)unused;
    for (int fd = 3; fd < 256; fd++)
        (void)close(fd);
    if (setrlimit(RLIMIT_NOFILE, &none) != 0)
        return 1;
    if (mapseg_read(seg, 0, data, sizeof data, NULL) != MAPSEG_OUT_OF_RESOURCES)
        return 2;
    if (strstr(mapseg_error_string(seg), "ulimit -n") == NULL ||
        strstr(mapseg_error_string(seg), "memory") != NULL)
        return 3;
    if (mapseg_write(seg, 0, data, sizeof data) != MAPSEG_OUT_OF_RESOURCES)
        return 4;
    if (strstr(mapseg_error_string(seg), "ulimit -n") == NULL ||
        strstr(mapseg_error_string(seg), "memory") != NULL)
        return 5;
    return 0;
}

START_TEST(want_of_descriptors_is_no_want_of_memory)
{
    use_tiny_shm("size=1m");
    ck_assert_int_eq(in_child(read_and_write_without_descriptors, NULL), 0);
}
END_TEST

START_TEST(want_of_memory)
{
    enum { BYTES = 4 << 20 };
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char *data = calloc(1, BYTES);
    mapseg *seg;

    use_tiny_shm("size=1m");
    seg = handle_for("shm:segment");
    options.flags = MAPSEG_LAZY;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, BYTES, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_write(seg, 0, data, BYTES));
    check_says(seg, "there is no memory for all of it");
    free(data);
    mapseg_free(seg);
}
END_TEST

static mapseg_result
refuse(void *data, size_t size, void *result)
{
    (void)data;
    (void)size;
    return *(mapseg_result *)result;
}

/** Whatever the program's initialiser says, there is one reason. */
START_TEST(refusal_of_an_initialiser)
{
    static mapseg_result results[] = {MAPSEG_TIMED_OUT, MAPSEG_ALREADY_EXISTS,
                                      (mapseg_result)12345};
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    seg = handle_for(key);
    options.initialize = refuse;
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        options.initialize_argument = &results[i];
        need_call(results[i], seg,
                  mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
        check_says(seg, "\": the program's initialiser gave it up (");
    }
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("words");
    TCase *group = new_case(suite, "key");

    tcase_add_loop_test(group, key_in_quotes, 0, KEYS);
    tcase_add_test(group, longest_key_fits);
    tcase_add_test(group, messages_quote_the_key);
    tcase_add_test(group, refused_key_is_the_one_in_the_message);

    group = new_case(suite, "cure");
    tcase_add_test(group, paths_leave_room_for_what_to_do);
    tcase_add_test(group, refusal_of_an_initialiser);
    if (skip_unless(can_mount(), "a private /dev/shm")) {
        tcase_add_test(group, want_of_descriptors_is_no_want_of_memory);
        tcase_add_test(group, want_of_memory);
    }
    return run_suite(suite);
}
