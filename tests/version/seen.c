/*
 * seen.c - see seen.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "seen.h"

char nothing[1];

uint64_t
version_read(mapseg *seg)
{
    uint64_t version = 1;

    need_result(MAPSEG_OK, mapseg_read(seg, 0, nothing, 0, &version));
    return version;
}

void
need_unreadable(mapseg *seg, mapseg_result reason)
{
    uint64_t version = 77;
    uint64_t word;

    need_result(reason, mapseg_read_for(seg, 0, &word, sizeof word, &version, SHORT));
    need_number(77, version);
    need_result(reason, mapseg_wait(seg, 1, NULL, SHORT));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
}

void
need_free(mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

int
run_in_memory_and_named(const char *name, void (*add)(TCase *tcase, bool memory))
{
    Suite *suite = new_suite(name);
    TCase *memory = new_case(suite, "in memory");
    TCase *named = new_case(suite, "named");

    tcase_add_checked_fixture(memory, use_memory_files, NULL);
    add(memory, true);
    add(named, false);
    return run_suite(suite);
}
