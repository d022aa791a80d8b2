/*
 * check_section.c - sections and the calls that read and write: a write within one, and a read
 * without one, of a file that has become shorter.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "support.h"

#include <signal.h>
#include <unistd.h>

#define DATA_BYTES 65536

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
begin(void)
{
    unique_key(key);
    path_of(path, key);
}

START_TEST(write_in_a_section)
{
    mapseg *seg;

    begin();
    seg = created(key, DATA_BYTES);
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(truncate(path, 0), 0);
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_write(seg, 0, "x", 1));
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_guard_end(seg));
    mapseg_free(seg);
}
END_TEST

/** The section has ended, and the thread has blocked the signal since: a read goes without the
 *  mapping. */
START_TEST(no_section_no_mapping)
{
    sigset_t all, now;
    mapseg *seg;
    char byte;

    begin();
    seg = created(key, DATA_BYTES);
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    sigfillset(&all);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
    /* Within the last page: what is missing there would be zeros. */
    ck_assert_int_eq(truncate(path, MAPSEG_HEADER_BYTES + DATA_BYTES - 100), 0);
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read(seg, DATA_BYTES - 50, &byte, 1, NULL));
    ck_assert_int_eq(truncate(path, 0), 0);
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read(seg, 0, &byte, 1, NULL));
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    ck_assert(sigismember(&now, SIGBUS));
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("section");
    TCase *group = new_case(suite, "sections");

    tcase_add_test(group, write_in_a_section);
    tcase_add_test(group, no_section_no_mapping);
    return run_suite(suite);
}
