/*
 * check_exit.c - what still works when a process or a thread ends.
 *
 * exit() runs the destructors of libraries while other threads go on, and flushes the program's
 * streams after that. A stream of the program's own, whose output is a function, is the way to run
 * something that late.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define SIZE (16 * PAGE)
#define KEYS 16

/// What the ending process leaves for the test to see.
struct notes {
    atomic_int reached; /* the late function ran to its end */
    atomic_int read;    /* what a guarded read of missing memory found */
    atomic_int foreign; /* keys of the program that hold what it did not put there */
};

static struct notes *notes;
static mapseg *seg;

/* ---------------------------------------------------------- the ending -- */

/// A stream that runs the function when exit() flushes it. It is never closed.
static void
run_at_flush(cookie_write_function_t *function)
{
    cookie_io_functions_t functions = {.write = function};
    FILE *stream = fopencookie(NULL, "w", functions);

    if (stream == NULL || setvbuf(stream, NULL, _IOFBF, 512) != 0 || fputs("late", stream) < 0)
        _exit(3);
}

/// Creates a segment and makes its file too short for all but the header.
static void
lose_segment(void)
{
    char key[KEY_BYTES];
    char path[KEY_BYTES];

    unique_key(key);
    path_of(path, key);
    seg = mapseg_new();
    if (seg == NULL || mapseg_set_native_key(seg, key) != MAPSEG_OK ||
        mapseg_create(seg, SIZE, MAPSEG_READ_WRITE) != MAPSEG_OK)
        _exit(3);
    memset(mapseg_data(seg), 7, SIZE);
    if (truncate(path, (off_t)MAPSEG_HEADER_BYTES) != 0 || unlink(path) != 0)
        _exit(3);
}

static int
first_byte(void)
{
    return *(const volatile unsigned char *)mapseg_const_data(seg);
}

/// Runs a body that calls exit() in a child, which must end as if nothing had happened.
static void
ends_well(int (*body)(void *argument), void *argument)
{
    notes = shared_memory(sizeof *notes);
    atomic_store(&notes->read, -1);
    (void)fflush(NULL);
    ck_assert_int_eq(in_child(body, argument), 0);
    ck_assert_int_eq(atomic_load(&notes->reached), 1);
}

/* --------------------------------------------------------- the process -- */

static ssize_t
read_late(void *cookie, const char *bytes, size_t count)
{
    (void)cookie;
    (void)bytes;
    atomic_store(&notes->read, first_byte());
    atomic_store(&notes->reached, 1);
    return (ssize_t)count;
}

static _Noreturn int
end_within_a_section(void *argument)
{
    (void)argument;
    lose_segment();
    run_at_flush(read_late);
    if (mapseg_guard_begin(seg) != MAPSEG_OK)
        _exit(3);
    exit(0);
}

/// A section that a process is in when it calls exit() holds until the process is gone.
START_TEST(section_outlasts_exit)
{
    ends_well(end_within_a_section, NULL);
    ck_assert_int_eq(atomic_load(&notes->read), 0);
}
END_TEST

static atomic_bool now_late;
static atomic_bool has_read;

static void *
read_when_late(void *argument)
{
    if (mapseg_guard_begin(seg) != MAPSEG_OK)
        _exit(3);
    atomic_store(&has_read, true);
    while (!atomic_load(&now_late))
        nap(1 * MILLISECOND);
    atomic_store(&notes->read, first_byte());
    atomic_store(&has_read, true);
    nap(HANG);
    return argument;
}

static ssize_t
let_others_read(void *cookie, const char *bytes, size_t count)
{
    (void)cookie;
    (void)bytes;
    atomic_store(&has_read, false);
    atomic_store(&now_late, true);
    while (!atomic_load(&has_read))
        nap(1 * MILLISECOND);
    atomic_store(&notes->reached, 1);
    return (ssize_t)count;
}

static _Noreturn int
end_beside_a_section(void *pipe_end)
{
    FILE *output = fdopen(*(int *)pipe_end, "w");
    pthread_t thread;

    /* The streams are flushed the newest first: this one is last. */
    if (output == NULL || fputs("said", output) < 0)
        _exit(3);
    lose_segment();
    run_at_flush(let_others_read);
    if (pthread_create(&thread, NULL, read_when_late, NULL) != 0)
        _exit(3);
    while (!atomic_load(&has_read))
        nap(1 * MILLISECOND);
    exit(0);
}

/// Another thread reads in a section while exit() flushes: nothing of what was printed is lost.
START_TEST(output_is_not_lost_beside_a_section)
{
    char said[8] = "";
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    ends_well(end_beside_a_section, &ends[1]);
    ck_assert_int_eq(close(ends[1]), 0);
    ck_assert_int_eq(read(ends[0], said, sizeof said), 4);
    ck_assert_str_eq(said, "said");
    ck_assert_int_eq(atomic_load(&notes->read), 0);
    ck_assert_int_eq(close(ends[0]), 0);
}
END_TEST

static void *
fail_and_enter(void *argument)
{
    (void)argument;
    if (mapseg_unlock(seg) == MAPSEG_OK || mapseg_guard_begin(seg) != MAPSEG_OK)
        _exit(3);
    return NULL;
}

static ssize_t
look_at_keys(void *cookie, const char *bytes, size_t count)
{
    pthread_key_t keys[KEYS];

    (void)cookie;
    (void)bytes;
    for (int i = 0; i < KEYS; i++)
        if (pthread_key_create(&keys[i], NULL) != 0)
            _exit(3);
    (void)fail_and_enter(NULL);
    for (int i = 0; i < KEYS; i++)
        atomic_fetch_add(&notes->foreign, pthread_getspecific(keys[i]) != NULL);
    atomic_store(&notes->reached, 1);
    return (ssize_t)count;
}

static _Noreturn int
end_after_a_failure(void *argument)
{
    pthread_t thread;

    (void)argument;
    lose_segment();
    run_at_flush(look_at_keys);
    /* The library's thread-specific keys are made, but this thread has nothing under them yet. */
    if (pthread_create(&thread, NULL, fail_and_enter, NULL) != 0 || pthread_join(thread, NULL) != 0)
        _exit(3);
    exit(0);
}

/// A call that fails, or begins a section, late in exit() touches no thread-specific key of the
/// program's.
START_TEST(late_calls_touch_no_foreign_key)
{
    ends_well(end_after_a_failure, NULL);
    ck_assert_int_eq(atomic_load(&notes->foreign), 0);
}
END_TEST

static atomic_int failures;

static void *
fail_once(void *argument)
{
    (void)fail_and_enter(argument);
    atomic_fetch_add(&failures, 1);
    return NULL;
}

/// Fails in this thread, and in new ones whose first failure it is.
static void *
fail_for_ever(void *argument)
{
    pthread_attr_t detached;

    if (pthread_attr_init(&detached) != 0 ||
        pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED) != 0)
        _exit(3);
    for (;;) {
        int before = atomic_load(&failures);
        pthread_t thread;

        (void)mapseg_unlock(seg);
        if (pthread_create(&thread, &detached, fail_once, NULL) == 0)
            while (atomic_load(&failures) == before)
                nap(1 * MILLISECOND);
    }
    return argument;
}

static ssize_t
await_more_failures(void *cookie, const char *bytes, size_t count)
{
    int before = atomic_load(&failures);

    (void)cookie;
    (void)bytes;
    while (atomic_load(&failures) < before + 10)
        nap(1 * MILLISECOND);
    atomic_store(&notes->reached, 1);
    return (ssize_t)count;
}

static _Noreturn int
end_beside_failures(void *argument)
{
    pthread_t thread;

    (void)argument;
    lose_segment();
    run_at_flush(await_more_failures);
    if (pthread_create(&thread, NULL, fail_for_ever, NULL) != 0)
        _exit(3);
    while (atomic_load(&failures) < 10)
        nap(1 * MILLISECOND);
    (void)mapseg_unlock(seg);
    exit(0);
}

/// Other threads' calls go on failing while the process ends; a race detector has nothing to say.
START_TEST(threads_go_on_during_exit)
{
    ends_well(end_beside_failures, NULL);
}
END_TEST

/* ---------------------------------------------------------- the thread -- */

static pthread_key_t last_key;
static char told[256];
static int calls;

/// Runs when its thread has ended but for its thread-specific data.
static void
fail_last(void *value)
{
    char *rooms[64];

    ++*(int *)value;
    ck_assert_int_eq(mapseg_unlock(seg), MAPSEG_NOT_LOCKED);
    /* Takes all memory that was freed just now. */
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
        rooms[i] = malloc(500 + 8 * i);
        ck_assert_ptr_nonnull(rooms[i]);
        memset(rooms[i], 'x', 500 + 8 * i);
    }
    (void)snprintf(told, sizeof told, "%s", mapseg_error_string(seg));
    ck_assert_int_eq(mapseg_guard_begin(seg), MAPSEG_OK);
    ck_assert_int_eq(first_byte(), 0);
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
        free(rooms[i]);
}

static void *
leave_with_a_key(void *argument)
{
    (void)fail_and_enter(NULL);
    /* A newer key than the library's: its destructor is called after the library's. */
    ck_assert_int_eq(pthread_key_create(&last_key, fail_last), 0);
    ck_assert_int_eq(pthread_setspecific(last_key, &calls), 0);
    return argument;
}

/// A destructor of the program's thread-specific data may use a handle, though the thread has lost
/// what the library keeps for it.
START_TEST(thread_that_ends_may_fail_once_more)
{
    char expected[256];
    pthread_t thread;

    lose_segment();
    ck_assert_int_eq(mapseg_unlock(seg), MAPSEG_NOT_LOCKED);
    (void)snprintf(expected, sizeof expected, "%s", mapseg_error_string(seg));
    ck_assert_int_eq(pthread_create(&thread, NULL, leave_with_a_key, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(calls, 1);
    ck_assert_str_eq(told, expected);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("exit");
    TCase *process = new_case(suite, "process");
    TCase *thread = new_case(suite, "thread");

    tcase_add_test(process, section_outlasts_exit);
    tcase_add_test(process, output_is_not_lost_beside_a_section);
    tcase_add_test(process, late_calls_touch_no_foreign_key);
    tcase_add_test(process, threads_go_on_during_exit);
    tcase_add_test(thread, thread_that_ends_may_fail_once_more);
    return run_suite(suite);
}
