/*
 * suites.h - a test program from its beginning to its end.
 *
 * A test is a process of its own (libcheck forks for each), so it may change its user, its limits
 * or its mounts without disturbing the others. Names of segments carry a mark of the run; what
 * still bears it where the segments lie when the program ends is removed and counts as a failure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_SUITES_H
#define TESTS_SUPPORT_SUITES_H

#include <check.h>
#include <stdbool.h>

/** Seconds after which a whole test is called a hang; more than HANG. */
#define TEST_TIMEOUT 600

/** Begins a program: the suite, and the mark of this run. */
Suite *new_suite(const char *name);

/** A group of tests of the suite; each may take TEST_TIMEOUT, in a long case `seconds` if that is
 *  more. */
TCase *new_case(Suite *suite, const char *name);
TCase *new_long_case(Suite *suite, const char *name, double seconds);

/** Runs the suite and frees it; main returns this: 0, 1 or EXIT_SKIPPED. */
int run_suite(Suite *suite);

/** Whether this process is a test, not a child that a test has started. */
bool is_test_process(void);

#endif
