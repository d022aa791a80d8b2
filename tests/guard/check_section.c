/*
 * check_section.c - sections and the calls that read and write, of a file that has become shorter:
 * a write within one, calls that are sections themselves, and threads that want none.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "support.h"

#include <pthread.h>
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

/* ------------------------------------------------------- calls alone -- */

START_TEST(each_call_is_a_section)
{
    uint64_t version;
    mapseg *seg;
    char byte;

    begin();
    seg = created_as(key, DATA_BYTES, MAPSEG_GUARDED);
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "x", 1));
    need_call(MAPSEG_OK, seg, mapseg_read_begin(seg, &version));
    ck_assert_int_eq(truncate(path, 0), 0);
    switch (_i) {
    case 0:
        need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read(seg, 0, &byte, 1, NULL));
        break;
    case 1:
        need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read_for(seg, 0, &byte, 1, NULL, 0));
        break;
    case 2:
        need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read_begin(seg, &version));
        break;
    case 3:
        ck_assert(mapseg_read_retry(seg, version));
        break;
    case 4:
        need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_wait(seg, version, NULL, -1));
        break;
    default:
        need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_write(seg, 0, "x", 1));
    }
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read(seg, 0, &byte, 1, NULL));
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    mapseg_free(seg);
}
END_TEST

/** From the first section of the program's on. */
START_TEST(calls_after_a_section)
{
    mapseg *seg;
    char byte;

    begin();
    seg = created(key, DATA_BYTES);
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    ck_assert_int_eq(truncate(path, 0), 0);
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read(seg, 0, &byte, 1, NULL));
    mapseg_free(seg);
}
END_TEST

/* What is left of the file: a part of its last page, or nothing. */
static const off_t lengths[] = {(off_t)MAPSEG_HEADER_BYTES + DATA_BYTES - 100, 0};

/** A thread, and what it reads with all signals blocked. */
struct reader {
    mapseg *seg;
    mapseg_result result;
    bool blocked; /**< SIGBUS, afterwards */
};

static void *
read_with_all_blocked(void *argument)
{
    struct reader *reader = argument;
    sigset_t all, now;
    char byte;

    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, NULL);
    reader->result = mapseg_read(reader->seg, DATA_BYTES - 50, &byte, 1, NULL);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &now);
    reader->blocked = sigismember(&now, SIGBUS) == 1;
    return NULL;
}

static void
read_in_a_thread(struct reader *reader)
{
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, read_with_all_blocked, reader), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/** A thread that never asked for the guard keeps its signals blocked, also where others have: it
 *  reads without the mapping, and notices what a mapping shows as zeros. */
START_TEST(thread_without_the_guard)
{
    struct reader reader = {.result = MAPSEG_OK};
    char other_key[KEY_BYTES];
    mapseg *other;

    begin();
    unique_key(other_key);
    other = created_as(other_key, DATA_BYTES, MAPSEG_GUARDED);
    need_call(MAPSEG_OK, other, mapseg_guard_begin(other));
    need_call(MAPSEG_OK, other, mapseg_guard_end(other));
    reader.seg = created_for(0666, key, DATA_BYTES, 0);
    ck_assert_int_eq(truncate(path, lengths[_i]), 0);
    read_in_a_thread(&reader);
    ck_assert_int_eq(reader.result, MAPSEG_FILE_SHRUNK);
    ck_assert(reader.blocked);
    mapseg_free(reader.seg);
    mapseg_free(other);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/** A guarded handle asks for it in whatever thread. */
START_TEST(thread_that_blocks_the_signal)
{
    struct reader reader = {.result = MAPSEG_OK};

    begin();
    reader.seg = created_as(key, DATA_BYTES, MAPSEG_GUARDED);
    ck_assert_int_eq(truncate(path, 0), 0);
    read_in_a_thread(&reader);
    ck_assert_int_eq(reader.result, MAPSEG_FILE_SHRUNK);
    ck_assert(!reader.blocked);
    mapseg_free(reader.seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("section");
    TCase *group = new_case(suite, "sections");

    tcase_add_test(group, write_in_a_section);
    tcase_add_loop_test(group, each_call_is_a_section, 0, 6);
    tcase_add_test(group, calls_after_a_section);
    tcase_add_loop_test(group, thread_without_the_guard, 0, 2);
    tcase_add_test(group, thread_that_blocks_the_signal);
    return run_suite(suite);
}
