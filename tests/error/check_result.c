/*
 * check_result.c - the results of calls: numbers, names and texts; and the version.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

/* QSharedMemory: the first nine have its numbers. */
START_TEST(codes_are_those_of_qt)
{
    ck_assert_int_eq(MAPSEG_OK, 0);
    ck_assert_int_eq(MAPSEG_PERMISSION_DENIED, 1);
    ck_assert_int_eq(MAPSEG_INVALID_SIZE, 2);
    ck_assert_int_eq(MAPSEG_KEY_ERROR, 3);
    ck_assert_int_eq(MAPSEG_ALREADY_EXISTS, 4);
    ck_assert_int_eq(MAPSEG_NOT_FOUND, 5);
    ck_assert_int_eq(MAPSEG_LOCK_ERROR, 6);
    ck_assert_int_eq(MAPSEG_OUT_OF_RESOURCES, 7);
    ck_assert_int_eq(MAPSEG_UNKNOWN_ERROR, 8);
    ck_assert_int_eq(MAPSEG_READ_ONLY, 0);
    ck_assert_int_eq(MAPSEG_READ_WRITE, 1);
}
END_TEST

START_TEST(every_result_has_a_name)
{
    static const char *const names[] = {
        "MAPSEG_OK",
        "MAPSEG_PERMISSION_DENIED",
        "MAPSEG_INVALID_SIZE",
        "MAPSEG_KEY_ERROR",
        "MAPSEG_ALREADY_EXISTS",
        "MAPSEG_NOT_FOUND",
        "MAPSEG_LOCK_ERROR",
        "MAPSEG_OUT_OF_RESOURCES",
        "MAPSEG_UNKNOWN_ERROR",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_?",
        "MAPSEG_TIMED_OUT",
        "MAPSEG_WOULD_BLOCK",
        "MAPSEG_OWNER_DIED",
        "MAPSEG_ALREADY_LOCKED",
        "MAPSEG_NOT_LOCKED",
        "MAPSEG_NOT_ATTACHED",
        "MAPSEG_ALREADY_ATTACHED",
        "MAPSEG_NOT_A_SEGMENT",
        "MAPSEG_CORRUPT",
        "MAPSEG_TOO_NEW",
        "MAPSEG_UNTRUSTED",
        "MAPSEG_FILE_SHRUNK",
        "MAPSEG_INVALID_ARGUMENT",
        "MAPSEG_NOT_SUPPORTED",
        "MAPSEG_IN_USE",
        "MAPSEG_MEANT_TO_STAY",
        "MAPSEG_DESCRIPTOR_CLOSED",
        "MAPSEG_WRONG_TAG",
        "MAPSEG_NO_WRITER",
        "MAPSEG_?",
    };

    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        ck_assert_str_eq(mapseg_result_name((mapseg_result)i), names[i]);
    ck_assert_str_eq(mapseg_result_name((mapseg_result)-1), "MAPSEG_?");
    ck_assert_str_eq(mapseg_result_name(MAPSEG_RESULT_RESERVED), "MAPSEG_?");
}
END_TEST

START_TEST(every_result_has_a_text)
{
    for (int i = 1; i < 64; i++)
        if (strcmp(mapseg_result_name((mapseg_result)i), "MAPSEG_?") == 0)
            ck_assert_str_eq(mapseg_result_text((mapseg_result)i), "unknown");
        else
            ck_assert_uint_gt(strlen(mapseg_result_text((mapseg_result)i)), 5);
    ck_assert_str_eq(mapseg_result_text(MAPSEG_OK), "");
    ck_assert_str_eq(mapseg_result_text(MAPSEG_NOT_FOUND), "there is no such segment");
}
END_TEST

/** The version that the header has as numbers and the library as a string is one. */
START_TEST(version_is_told_in_two_ways)
{
    char text[32];

    snprintf(text, sizeof text, "%d.%d.%d", MAPSEG_VERSION_MAJOR, MAPSEG_VERSION_MINOR,
             MAPSEG_VERSION_PATCH);
    ck_assert_str_eq(mapseg_version(), text);
    ck_assert_int_eq(MAPSEG_VERSION_NUMBER, MAPSEG_VERSION_MAJOR * 10000 +
                                                MAPSEG_VERSION_MINOR * 100 + MAPSEG_VERSION_PATCH);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("result");
    TCase *group = new_case(suite, "result");

    tcase_add_test(group, codes_are_those_of_qt);
    tcase_add_test(group, every_result_has_a_name);
    tcase_add_test(group, every_result_has_a_text);
    tcase_add_test(group, version_is_told_in_two_ways);
    return run_suite(suite);
}
