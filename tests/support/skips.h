/*
 * skips.h - what a test needs that is not everywhere.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_SKIPS_H
#define TESTS_SUPPORT_SKIPS_H

#include <stdbool.h>

/** What a program returns of which nothing could run. */
#define EXIT_SKIPPED 77

/** Returns the condition. If it does not hold, prints the reason why tests are left out, and the
 *  program ends with EXIT_SKIPPED unless it fails. */
bool skip_unless(bool condition, const char *reason);

/** Whether that has happened. */
bool has_skipped(void);

bool is_root(void);
bool under_sanitizer(void);
bool under_race_detector(void);
bool under_valgrind(void);

#endif
