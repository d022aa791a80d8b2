/*
 * refused.h - checks of what lies at the name of a test: it is refused, and left as it is.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_REFUSED_H
#define TESTS_REFUSED_H

#include "support.h"

/** The native key of this test, and the file that it leads to; choose_key is the fixture. */
extern char key[KEY_BYTES];
extern char path[KEY_BYTES];

void choose_key(void);

/** Makes a file at the name. */
void write_file(const char *content, size_t bytes);
/** Takes away what the test has put at the name. */
void remove_segment(void);

/** One of two results, with a reason in words; the handle is not attached. */
void check_refusal(const mapseg *seg, mapseg_result got, mapseg_result expected,
                   mapseg_result or_this);

/* The calls are refused, take nothing, and leave the file exactly as it is. */

/** Those that attach. */
void check_refused(mapseg_access access, mapseg_result expected, mapseg_result or_this);
/** Those that create. */
void check_not_replaced(void);
/** One that creates and may clear debris. */
void check_not_reclaimed(void);
/** Those that take the name away. */
void check_not_removed(mapseg_result expected, mapseg_result or_this);

/** What mapseg_info says of a file that attach refuses. */
void check_described(mapseg_result verdict, mapseg_result or_this);

#endif
