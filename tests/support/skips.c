/*
 * skips.c - what a test needs that is not everywhere.
 *
 * SPDX-License-Identifier: MIT
 */
#include "skips.h"

#include "footprints.h"

#include <stdio.h>
#include <unistd.h>

static bool skipped;

bool
skip_unless(bool condition, const char *reason)
{
    if (!condition) {
        printf("SKIP: %s\n", reason);
        skipped = true;
    }
    return condition;
}

bool
has_skipped(void)
{
    return skipped;
}

bool
is_root(void)
{
    return geteuid() == 0;
}

bool
under_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

bool
under_race_detector(void)
{
#if defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

bool
under_valgrind(void)
{
    static int found = -1;

    if (found == -1)
        found = count_mappings("vgpreload") != 0;
    return found == 1;
}
