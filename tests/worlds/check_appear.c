/*
 * check_appear.c - attaching with options.wait_ns: waiting for a segment, and for a process that
 * writes it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "actors.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static mapseg_result
attach_when_there(mapseg *seg, int64_t wait_ns, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.wait_ns = wait_ns;
    options.flags = flags;
    return mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options);
}

/** stage->number are flags. */
static void
attach_in_time(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    atomic_store(&stage->ready, 1);
    need_call(MAPSEG_OK, seg, attach_when_there(seg, -1, (uint32_t)stage->number));
    atomic_store(&stage->ready, 2);
    await(&stage->go, 1);
    mapseg_free(seg);
}

START_TEST(it_comes_and_is_attached_to)
{
    struct stage *stage = new_stage();
    pid_t waiter = start(attach_in_time, stage);
    mapseg *seg;

    await(&stage->ready, 1);
    need_asleep(waiter);
    seg = created(stage->place.key, ACTOR_BYTES);
    await(&stage->ready, 2);
    need_attached(2, stage->place.key);
    atomic_store(&stage->go, 1);
    finish(waiter);
    mapseg_free(seg);
}
END_TEST

START_TEST(it_does_not_come)
{
    struct place place;
    mapseg *seg;
    int64_t begin;

    new_place(&place);
    seg = handle_for(place.key);
    need_call(MAPSEG_NOT_FOUND, seg, attach_when_there(seg, 0, 0));
    begin = now_ns();
    need_call(MAPSEG_NOT_FOUND, seg, attach_when_there(seg, 30 * MILLISECOND, 0));
    ck_assert_int_ge(now_ns() - begin, 30 * MILLISECOND);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    mapseg_free(seg);
}
END_TEST

/** Nothing else is waited for: what is wrong now is said now. */
START_TEST(other_failures_come_at_once)
{
    struct place place;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg;

    new_place(&place);
    leave_persistent(place.key, 100, 0);
    seg = handle_for(place.key);
    options.wait_ns = -1;
    options.flags = MAPSEG_REQUIRE_ID;
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options));
    options.flags = MAPSEG_REQUIRE_TAG;
    options.user_tag = 5;
    need_call(MAPSEG_WRONG_TAG, seg, mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options));
    options.flags = 0;
    options.minimum_size = 101;
    need_call(MAPSEG_INVALID_SIZE, seg, mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options));
    remove_persistent(place.key);
    /* A descriptor does not appear. */
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "memfd:999"));
    options.minimum_size = 0;
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options));
    mapseg_free(seg);
}
END_TEST

/** Those that create do not wait. */
START_TEST(creators_do_not_wait)
{
    struct place place;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    bool made;
    mapseg *seg;

    new_place(&place);
    seg = handle_for(place.key);
    options.wait_ns = -1;
    options.flags = MAPSEG_WATCH_WRITERS;
    need_call(MAPSEG_OK, seg,
              mapseg_create_or_attach_with(seg, 100, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(made);
    mapseg_free(seg);
    leave_persistent(place.key, 100, 0);
    seg = handle_for(place.key);
    need_call(MAPSEG_OK, seg,
              mapseg_create_or_attach_with(seg, 100, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(!made);
    mapseg_free(seg);
    remove_persistent(place.key);
}
END_TEST

/** The directory of runtime keys may come with the segment. */
START_TEST(its_directory_comes_too)
{
    struct stage *stage = new_stage();
    char inner[KEY_BYTES + 16];
    pid_t waiter;
    mapseg *seg;

    ck_assert_int_eq(mkdir(stage->place.path, 0700), 0);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", stage->place.path, 1), 0);
    snprintf(inner, sizeof inner, "%s/mapseg", stage->place.path);
    snprintf(stage->place.key, sizeof stage->place.key, "runtime:late");
    waiter = start(attach_in_time, stage);
    await(&stage->ready, 1);
    need_asleep(waiter);
    seg = created(stage->place.key, ACTOR_BYTES);
    atomic_store(&stage->go, 1);
    finish(waiter);
    mapseg_free(seg);
    ck_assert_int_eq(rmdir(inner), 0);
    ck_assert_int_eq(rmdir(stage->place.path), 0);
}
END_TEST

/* ----------------------------------------------------------------- writers -- */

/** What a dead publisher left is not attached to; what the next one makes is. */
START_TEST(a_publisher_is_waited_for)
{
    struct stage *stage = new_stage();
    struct peer next = start_peer(actor, stage->place.key);
    mapseg *seg = handle_for(stage->place.key);
    pid_t waiter;

    leave_debris(stage->place.key, ACTOR_BYTES, 7);
    need_call(MAPSEG_NO_WRITER, seg, attach_when_there(seg, MILLISECOND, MAPSEG_WATCH_WRITERS));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    /* Without waiting the debris can be looked at. */
    need_call(MAPSEG_OK, seg, attach_when_there(seg, 0, MAPSEG_WATCH_WRITERS | MAPSEG_KEEP_NAME));
    mapseg_free(seg);
    stage->number = MAPSEG_WATCH_WRITERS;
    waiter = start(attach_in_time, stage);
    await(&stage->ready, 1);
    need_asleep(waiter);
    ck_assert_int_eq(atomic_load(&stage->ready), 1);
    /* It makes another segment, or takes over what there is. */
    tell(&next, _i == 0 ? 'r' : 'a');
    await(&stage->ready, 2);
    atomic_store(&stage->go, 1);
    finish(waiter);
    tell(&next, 'd');
    kill_peer(&next);
    ck_assert(!exists(stage->place.path));
}
END_TEST

static int
create_to_read_and_end(void *native_key)
{
    mapseg *seg = handle_for(native_key);

    need_call(MAPSEG_OK, seg, mapseg_create(seg, ACTOR_BYTES, MAPSEG_READ_ONLY));
    return 0;
}

/** What a creator leaves that could never write. */
static void
leave_unwritten_debris(const struct place *place)
{
    char key[KEY_BYTES];

    strcpy(key, place->key);
    ck_assert_int_eq(in_child(create_to_read_and_end, key), 0);
    await_deserted(place->path);
    ck_assert(exists(place->path));
}

/** One that waits is not there yet: the last one out removes the segment. */
START_TEST(one_that_waits_leaves_no_trace)
{
    struct stage *stage = new_stage();
    struct peer reader = start_peer(actor, stage->place.key);
    pid_t waiter;

    leave_unwritten_debris(&stage->place);
    stage->number = MAPSEG_WATCH_WRITERS;
    waiter = start(attach_in_time, stage);
    await(&stage->ready, 1);
    need_asleep(waiter);
    for (int i = 0; i < 20; i++) {
        tell(&reader, 'o');
        need_attached(1, stage->place.key);
        tell(&reader, 'd');
        ck_assert(!exists(stage->place.path));
        leave_unwritten_debris(&stage->place);
    }
    kill_and_reap(waiter);
    tell(&reader, 'o');
    tell(&reader, 'd');
    kill_peer(&reader);
    ck_assert(!exists(stage->place.path));
}
END_TEST

/* ------------------------------------------------------------------- threads -- */

static void *
wait_in_thread(void *argument)
{
    struct stage *stage = argument;
    mapseg *seg = handle_for(stage->place.key);

    atomic_store(&stage->ready, 1);
    need_call(MAPSEG_OK, seg, attach_when_there(seg, -1, 0));
    mapseg_free(seg);
    atomic_store(&stage->ready, 2);
    pthread_testcancel();
    broken("not cancelled");
}

/** It is no cancellation point, and other threads fork meanwhile. */
START_TEST(a_thread_waits)
{
    struct stage *stage = new_stage();
    pthread_t thread;
    void *value;
    mapseg *seg;

    ck_assert_int_eq(pthread_create(&thread, NULL, wait_in_thread, stage), 0);
    await(&stage->ready, 1);
    nap(10 * MILLISECOND);
    ck_assert_int_eq(pthread_cancel(thread), 0);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();

        if (child == 0)
            _exit(0);
        ck_assert_int_eq(end_of(child), 0);
    }
    ck_assert_int_eq(atomic_load(&stage->ready), 1);
    seg = created(stage->place.key, 100);
    ck_assert_int_eq(pthread_join(thread, &value), 0);
    ck_assert_ptr_eq(value, PTHREAD_CANCELED);
    ck_assert_int_eq(atomic_load(&stage->ready), 2);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("appear");
    TCase *group = new_case(suite, "appear");

    tcase_add_test(group, it_comes_and_is_attached_to);
    tcase_add_test(group, it_does_not_come);
    tcase_add_test(group, other_failures_come_at_once);
    tcase_add_test(group, creators_do_not_wait);
    tcase_add_test(group, its_directory_comes_too);
    tcase_add_loop_test(group, a_publisher_is_waited_for, 0, 2);
    tcase_add_test(group, one_that_waits_leaves_no_trace);
    tcase_add_test(group, a_thread_waits);
    return run_suite(suite);
}
