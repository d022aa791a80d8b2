/*
 * check_printable.c - what is printed of text that comes from outside.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include "os/printable.h"

#include <stdlib.h>
#include <string.h>

/// Text, and what is shown of it as a key, as text and in a sentence; NULL: the same as before it.
static const struct {
    const char *from;
    const char *key;
    const char *text;
    const char *sentence;
} samples[] = {
    {"", "", NULL, NULL},
    {"shm:a-b_c.d~ \"'`$", "shm:a-b_c.d~ \"'`$", NULL, NULL},
    {"gr\u00fc\u00dfe \u4e16\u754c \U0001f600", "gr\u00fc\u00dfe \u4e16\u754c \U0001f600", NULL,
     NULL},
    {"50%25", "50%25", NULL, NULL},
    /* Backslashes. */
    {"a\\b", "a\\b", NULL, NULL},
    {"a\\x1B", "a\\x1B", "a\\x5Cx1B", "a\\x1B"},
    {"\\\\x", "\\\\x", "\\\\x5Cx", "\\\\x"},
    {"\\\x1b", "\\%1B", "\\\\x1B", NULL},
    /* C0, DEL, C1. */
    {"\x01\t\n\r\x1b\x1f", "%01%09%0A%0D%1B%1F", "\\x01\\x09\\x0A\\x0D\\x1B\\x1F", NULL},
    {"~\x7f", "~%7F", "~\\x7F", NULL},
    {"\xc2\x80\xc2\x9b[31m\xc2\x9f", "%C2%80%C2%9B[31m%C2%9F", "\\xC2\\x80\\xC2\\x9B[31m\\xC2\\x9F",
     NULL},
    {"\xc2\xa0", "\xc2\xa0", NULL, NULL},
    /* Ends of lines and directions, and their neighbours. */
    {"\u2027\u2028\u2029\u202a\u202e\u202f", "\u2027%E2%80%A8%E2%80%A9%E2%80%AA%E2%80%AE\u202f",
     "\u2027\\xE2\\x80\\xA8\\xE2\\x80\\xA9\\xE2\\x80\\xAA\\xE2\\x80\\xAE\u202f", NULL},
    {"\u2066\u2069\u2070", "%E2%81%A6%E2%81%A9\u2070", "\\xE2\\x81\\xA6\\xE2\\x81\\xA9\u2070",
     NULL},
    {"\u200d\u200e\u200f\u061c", "\u200d%E2%80%8E%E2%80%8F%D8%9C",
     "\u200d\\xE2\\x80\\x8E\\xE2\\x80\\x8F\\xD8\\x9C", NULL},
    {"\u200b\u2060\ufeff", "%E2%80%8B%E2%81%A0%EF%BB%BF",
     "\\xE2\\x80\\x8B\\xE2\\x81\\xA0\\xEF\\xBB\\xBF", NULL},
    /* No UTF-8: alone, truncated, overlong, surrogates, too high. */
    {"\x80", "%80", "\\x80", NULL},
    {"\xbf"
     "a",
     "%BFa", "\\xBFa", NULL},
    {"\xc3", "%C3", "\\xC3", NULL},
    {"\xc3"
     "a",
     "%C3a", "\\xC3a", NULL},
    {"\xe4\xb8", "%E4%B8", "\\xE4\\xB8", NULL},
    {"\xe4\xb8"
     "a",
     "%E4%B8a", "\\xE4\\xB8a", NULL},
    {"\xf0\x9f\x98", "%F0%9F%98", "\\xF0\\x9F\\x98", NULL},
    {"\xc0\x80\xc1\xbf\xc2\xa9", "%C0%80%C1%BF\u00a9", "\\xC0\\x80\\xC1\\xBF\u00a9", NULL},
    {"\xe0\x9f\xbf\xe0\xa0\x80", "%E0%9F%BF\u0800", "\\xE0\\x9F\\xBF\u0800", NULL},
    {"\xf0\x8f\xbf\xbf\xf0\x90\x80\x80", "%F0%8F%BF%BF\U00010000", "\\xF0\\x8F\\xBF\\xBF\U00010000",
     NULL},
    {"\xed\x9f\xbf\xed\xa0\x80\xed\xbf\xbf\xee\x80\x80",
     "\xed\x9f\xbf%ED%A0%80%ED%BF%BF\xee\x80\x80",
     "\xed\x9f\xbf\\xED\\xA0\\x80\\xED\\xBF\\xBF\xee\x80\x80", NULL},
    {"\xf4\x8f\xbf\xbf\xf4\x90\x80\x80", "\xf4\x8f\xbf\xbf%F4%90%80%80",
     "\xf4\x8f\xbf\xbf\\xF4\\x90\\x80\\x80", NULL},
    {"\xf5\x80\x80\x80\xf8\xff", "%F5%80%80%80%F8%FF", "\\xF5\\x80\\x80\\x80\\xF8\\xFF", NULL},
};
#define SAMPLES ((int)(sizeof samples / sizeof *samples))

/** Makes the whole of a text printable, in a block of its very size, so that a sanitizer sees each
 *  byte too many. */
static char *
printed(const char *from, enum msi_printable_form form)
{
    char *copy = strdup(from);
    const char *rest = copy;
    size_t room = 4 * strlen(from) + 1;
    char *to = malloc(room);
    size_t length = msi_printable(to, room, &rest, form);

    ck_assert_uint_eq(length, strlen(to));
    ck_assert_ptr_eq(rest, copy + strlen(copy));
    free(copy);
    return to;
}

static void
shows(const char *from, enum msi_printable_form form, const char *expected)
{
    char *text = printed(from, form);

    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(texts_as_they_are_shown)
{
    const char *key = samples[_i].key;
    const char *text = samples[_i].text == NULL ? key : samples[_i].text;
    const char *sentence = samples[_i].sentence == NULL ? text : samples[_i].sentence;

    shows(samples[_i].from, MSI_PRINTABLE_KEY, key);
    shows(samples[_i].from, MSI_PRINTABLE_TEXT, text);
    shows(samples[_i].from, MSI_PRINTABLE_SENTENCE, sentence);
}
END_TEST

/** Takes the digits back. */
static void
take_back(char *text, const char *mark)
{
    char *to = text;

    while (*text != '\0') {
        if (strncmp(text, mark, strlen(mark)) == 0) {
            char digits[3] = {text[strlen(mark)], text[strlen(mark) + 1], '\0'};

            *to++ = (char)strtoul(digits, NULL, 16);
            text += strlen(mark) + 2;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
}

START_TEST(nothing_is_lost)
{
    char *text = printed(samples[_i].from, MSI_PRINTABLE_TEXT);

    take_back(text, "\\x");
    ck_assert_str_eq(text, samples[_i].from);
    free(text);
}
END_TEST

START_TEST(a_printed_key_is_the_same_key)
{
    mapseg_ipc_key *key = mapseg_ipc_key_new(MAPSEG_KEY_SHM, samples[_i].from);
    char *text = printed(mapseg_ipc_key_text(key), MSI_PRINTABLE_KEY);
    mapseg_ipc_key *again = mapseg_ipc_key_from_text(text);

    ck_assert(mapseg_ipc_key_equal(key, again));
    free(text);
    mapseg_ipc_key_free(again);
    mapseg_ipc_key_free(key);
}
END_TEST

/** All texts of three bytes: what comes out of each is printable, and shows as itself. */
START_TEST(what_comes_out_stays_as_it_is)
{
    for (int second = 0; second < 0x10000; second++) {
        char from[4] = {(char)(_i ^ 0x80), (char)(second >> 8), (char)second, '\0'};
        const char *rest = from, *again;
        char once[16], twice[16];

        msi_printable(once, sizeof once, &rest, MSI_PRINTABLE_SENTENCE);
        again = once;
        msi_printable(twice, sizeof twice, &again, MSI_PRINTABLE_SENTENCE);
        if (strcmp(once, twice) != 0)
            ck_abort_msg("'%s' becomes '%s'", once, twice);
    }
}
END_TEST

START_TEST(what_does_not_fit_is_left_whole)
{
    /* A letter, a character of two bytes, digits: 1, 2, and 4 bytes. */
    const char *const whole = "a\u00e9\x1b";
    static const size_t lengths[] = {0, 1, 1, 3, 3, 3, 3, 7, 7};

    for (size_t room = 1; room <= sizeof lengths / sizeof *lengths; room++) {
        char *to = malloc(room);
        const char *rest = whole;

        ck_assert_uint_eq(msi_printable(to, room, &rest, MSI_PRINTABLE_TEXT), lengths[room - 1]);
        ck_assert_uint_eq(strlen(to), lengths[room - 1]);
        ck_assert_int_eq(*rest == '\0', lengths[room - 1] == 7);
        free(to);
    }
}
END_TEST

/** Of characters of 1 to 4 bytes those that fit are counted, and none in part. */
START_TEST(whole_characters_are_counted)
{
    static const size_t counts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    char *copy = strdup("a\u00e9\u4e16\U0001f600");

    for (size_t most = 0; most < sizeof counts / sizeof *counts; most++)
        ck_assert_uint_eq(msi_whole_characters(copy, most), counts[most]);
    /* Cut in the middle of each, where the memory ends. */
    for (size_t bytes = 10; bytes-- > 0;) {
        copy[bytes] = '\0';
        copy = realloc(copy, bytes + 1);
        ck_assert_uint_eq(msi_whole_characters(copy, 100), counts[bytes]);
    }
    free(copy);
    ck_assert_uint_eq(msi_whole_characters("a\xff b", 100), 1);
    ck_assert_uint_eq(msi_whole_characters("a\xc3 b", 100), 1);
}
END_TEST

START_TEST(error_strings_are_harmless)
{
    mapseg *seg = mapseg_new_with_key("\xc2\x9b[31m\xff\u202e\n");

    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    ck_assert_ptr_nonnull(
        strstr(mapseg_error_string(seg), "\"\\xC2\\x9B[31m\\xFF\\xE2\\x80\\xAE\\x0A\""));
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "shm:\xc2\x9b[31m\xff\u202e"));
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    ck_assert_ptr_nonnull(
        strstr(mapseg_error_string(seg), "attach \"shm:%C2%9B[31m%FF%E2%80%AE\": "));
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("printable");
    TCase *group = new_case(suite, "text");

    tcase_add_loop_test(group, texts_as_they_are_shown, 0, SAMPLES);
    tcase_add_loop_test(group, nothing_is_lost, 0, SAMPLES);
    tcase_add_loop_test(group, a_printed_key_is_the_same_key, 0, SAMPLES);
    tcase_add_loop_test(group, what_comes_out_stays_as_it_is, 0, 0x80);
    tcase_add_test(group, what_does_not_fit_is_left_whole);
    tcase_add_test(group, whole_characters_are_counted);
    tcase_add_test(group, error_strings_are_harmless);
    return run_suite(suite);
}
