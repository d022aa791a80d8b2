/*
 * assertions.h - what must be true, in the test's own process and in its children.
 *
 * A child prints what is not true and ends with status 1, which the test then meets; libcheck hears
 * of the test's own failures alone. It would note every success in a file too, and a process that
 * is killed in the middle of that leaves half a note: so these, and not libcheck's ck_assert, are
 * for children.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_ASSERTIONS_H
#define TESTS_SUPPORT_ASSERTIONS_H

#include "mapseg.h"

#include <stdbool.h>
#include <stdint.h>

/** Fails the test, or ends the child, with that text. */
#define broken(...) broken_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void broken_at(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define need(condition) ((condition) ? (void)0 : broken("not true: %s", #condition))

/** The call comes to that result. */
#define need_result(expected, call) need_result_at(__FILE__, __LINE__, #call, expected, call)
void need_result_at(const char *file, int line, const char *call, mapseg_result expected,
                    mapseg_result got);

/** The same of a call on a handle, whose reason is shown too. */
#define need_call(expected, seg, call) need_call_at(__FILE__, __LINE__, #call, expected, seg, call)
void need_call_at(const char *file, int line, const char *call, mapseg_result expected, mapseg *seg,
                  mapseg_result got);

#define need_number(expected, got)                                                                 \
    need_number_at(__FILE__, __LINE__, #got, (int64_t)(expected), (int64_t)(got))
void need_number_at(const char *file, int line, const char *text, int64_t expected, int64_t got);

/** Whether `text` is one line without control characters, and not empty. */
bool is_one_line(const char *text);

#endif
