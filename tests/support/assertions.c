/*
 * assertions.c - what must be true, in the test's own process and in its children.
 *
 * SPDX-License-Identifier: MIT
 */
#include "assertions.h"

#include "suites.h"

#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void
broken_at(const char *file, int line, const char *format, ...)
{
    char text[1024];
    int length = snprintf(text, sizeof text, "%s:%d: ", file, line);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text + length, sizeof text - (size_t)length, format, arguments);
    va_end(arguments);
    if (!is_test_process()) {
        dprintf(STDERR_FILENO, "[child %d] %s\n", (int)getpid(), text);
        _exit(1);
    }
    ck_abort_msg("%s", text);
    abort();
}

void
need_result_at(const char *file, int line, const char *call, mapseg_result expected,
               mapseg_result got)
{
    if (got != expected)
        broken_at(file, line, "%s gave %s, not %s", call, mapseg_result_name(got),
                  mapseg_result_name(expected));
}

void
need_call_at(const char *file, int line, const char *call, mapseg_result expected, mapseg *seg,
             mapseg_result got)
{
    if (got != expected)
        broken_at(file, line, "%s gave %s, not %s: %s", call, mapseg_result_name(got),
                  mapseg_result_name(expected), mapseg_error_string(seg));
}

void
need_number_at(const char *file, int line, const char *text, int64_t expected, int64_t got)
{
    if (got != expected)
        broken_at(file, line, "%s is %" PRId64 ", not %" PRId64, text, got, expected);
}

bool
is_one_line(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    if (text == NULL || *at == '\0')
        return false;
    for (; *at != '\0'; at++)
        if (*at < 0x20 || *at == 0x7f)
            return false;
    return true;
}
