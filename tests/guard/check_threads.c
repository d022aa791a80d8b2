/*
 * check_threads.c - access sections of threads, and of children that a process makes within one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "handlers.h"

#include <pthread.h>
#include <string.h>

/* ------------------------------------------------------------------ threads -- */

/// A thread, and what it comes to.
struct worker {
    struct scene *scene;
    pthread_t thread;
    pthread_barrier_t *barrier;
    mapseg_result result;
    bool good;
};

static void
run(struct worker *worker, void *(*body)(void *))
{
    ck_assert_int_eq(pthread_create(&worker->thread, NULL, body, worker), 0);
    ck_assert_int_eq(pthread_join(worker->thread, NULL), 0);
}

static void *
read_with_all_blocked(void *argument)
{
    struct worker *worker = argument;
    const volatile unsigned char *data = mapseg_const_data(worker->scene->seg);
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (mapseg_guard_begin(worker->scene->seg) == MAPSEG_OK) {
        tell(&worker->scene->peer, 'h');
        worker->good = data[SIZE - 1] == 0;
        worker->result = mapseg_guard_end(worker->scene->seg);
    }
    return NULL;
}

START_TEST(thread_that_blocks_the_signal_is_guarded)
{
    struct worker worker = {.result = MAPSEG_OK};
    struct scene scene;

    set_up(&scene, 0);
    worker.scene = &scene;
    run(&worker, read_with_all_blocked);
    ck_assert(worker.good);
    ck_assert_int_eq(worker.result, MAPSEG_FILE_SHRUNK);
    tear_down(&scene);
}
END_TEST

static void *
begin_and_leave(void *argument)
{
    struct worker *worker = argument;

    worker->good = true;
    for (int i = 0; i < 3; i++)
        worker->good = worker->good && mapseg_guard_begin(worker->scene->seg) == MAPSEG_OK;
    return NULL;
}

static void *
touch_unguarded(void *argument)
{
    struct worker *worker = argument;

    worker->good = jumps_at((char *)mapseg_data(worker->scene->seg) + PAGE);
    return NULL;
}

static void *
end_what_is_not_there(void *argument)
{
    struct worker *worker = argument;

    worker->result = mapseg_guard_end(worker->scene->seg);
    return NULL;
}

/// Threads that end within sections; those that come later get nothing of theirs.
START_TEST(sections_end_with_their_thread)
{
    struct worker worker = {.result = MAPSEG_OK};
    struct scene scene;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, 0);
    worker.scene = &scene;
    for (int i = 0; i < 20; i++) {
        run(&worker, begin_and_leave);
        ck_assert(worker.good);
        run(&worker, end_what_is_not_there);
        ck_assert_int_eq(worker.result, MAPSEG_INVALID_ARGUMENT);
    }
    run(&worker, begin_and_leave);
    tell(&scene.peer, 'h');
    run(&worker, touch_unguarded);
    ck_assert(worker.good);
    ck_assert_int_eq(calls, 1);
    tear_down(&scene);
}
END_TEST

/// One thread's section is not another's.
START_TEST(section_of_another_thread_is_none)
{
    struct worker worker = {.result = MAPSEG_OK};
    struct scene scene;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, 0);
    worker.scene = &scene;
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    run(&worker, end_what_is_not_there);
    ck_assert_int_eq(worker.result, MAPSEG_INVALID_ARGUMENT);
    tell(&scene.peer, 'h');
    run(&worker, touch_unguarded);
    ck_assert(worker.good);
    ck_assert_int_eq(calls, 1);
    check_data(scene.seg, 0);
    ck_assert_int_eq(calls, 1);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

#define THREADS 4

static void *
read_together(void *argument)
{
    struct worker *worker = argument;
    volatile unsigned char *data = mapseg_data(worker->scene->seg);
    bool begun = mapseg_guard_begin(worker->scene->seg) == MAPSEG_OK;

    pthread_barrier_wait(worker->barrier);
    pthread_barrier_wait(worker->barrier);
    worker->good = begun;
    for (size_t i = 0; begun && i < SIZE; i += PAGE)
        worker->good = worker->good && data[i] == (i < SIZE / 2 ? FILL : 0);
    if (begun)
        worker->result = mapseg_guard_end(worker->scene->seg);
    return NULL;
}

/// Threads of one handle meet the fault at the same time; each is told.
START_TEST(threads_of_a_handle_lose_it_together)
{
    for (int round = 0; round < 50; round++) {
        struct worker workers[THREADS];
        pthread_barrier_t barrier;
        struct scene scene;

        memset(workers, 0, sizeof workers);
        set_up(&scene, 0);
        ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, THREADS + 1), 0);
        for (int i = 0; i < THREADS; i++) {
            workers[i].scene = &scene;
            workers[i].barrier = &barrier;
            ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, read_together, &workers[i]),
                             0);
        }
        pthread_barrier_wait(&barrier);
        tell(&scene.peer, 'm');
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < THREADS; i++) {
            ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
            ck_assert(workers[i].good);
            ck_assert_int_eq(workers[i].result, MAPSEG_FILE_SHRUNK);
        }
        pthread_barrier_destroy(&barrier);
        tear_down(&scene);
    }
}
END_TEST

/* --------------------------------------------------------------------- fork -- */

/// In a child made within a section, which is told when the file is short.
static int
read_lost_data(int channel, void *argument)
{
    mapseg *seg = argument;
    const volatile unsigned char *data = mapseg_const_data(seg);

    say(channel, 'a');
    if (hear(channel) != 'g')
        return 1;
    for (size_t i = 0; i < SIZE; i += PAGE)
        if (data[i] != (i < SIZE / 2 ? FILL : 0))
            return 2;
    if (mapseg_guard_end(seg) != MAPSEG_FILE_SHRUNK)
        return 3;
    return mapseg_guard_end(seg) == MAPSEG_INVALID_ARGUMENT ? WELL : 4;
}

START_TEST(child_goes_on_with_the_section)
{
    struct scene scene;
    struct peer child;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    child = start_peer(read_lost_data, scene.seg);
    ck_assert_int_eq(hear(child.channel), 'a');
    tell(&scene.peer, 'm');
    say(child.channel, 'g');
    ck_assert_int_eq(end_peer(&child), WELL);
    /* The parent's memory is its own affair. */
    check_data(scene.seg, SIZE / 2);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

/// The fork itself, and the child, in the middle of a loss.
START_TEST(fork_after_a_loss)
{
    struct scene scene;
    struct peer child;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    child = start_peer(read_lost_data, scene.seg);
    ck_assert_int_eq(hear(child.channel), 'a');
    say(child.channel, 'g');
    ck_assert_int_eq(end_peer(&child), WELL);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

static int
use_sections_of_its_own(void *argument)
{
    mapseg *seg = argument;

    for (int i = 0; i < 3; i++)
        if (mapseg_guard_begin(seg) != MAPSEG_OK || mapseg_guard_end(seg) != MAPSEG_OK)
            return BAD;
    /* The parent's. */
    if (mapseg_guard_end(seg) != MAPSEG_OK || mapseg_guard_end(seg) != MAPSEG_INVALID_ARGUMENT)
        return BAD;
    mapseg_free(seg);
    return WELL;
}

START_TEST(child_has_sections_of_its_own)
{
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    ck_assert_int_eq(in_child(use_sections_of_its_own, scene.seg), WELL);
    check_data(scene.seg, SIZE);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

/// A child that is kept out, with a section on nothing, frees the handle and meets a fault.
static int
free_what_was_kept_out(void *argument)
{
    volatile char *page = broken_page();

    if (mapseg_guard_begin(argument) != MAPSEG_NOT_ATTACHED)
        return BAD;
    mapseg_free(argument);
    return jumps_at(page) && calls == 1 ? WELL : BAD;
}

START_TEST(child_that_is_kept_out_has_none)
{
    struct scene scene;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, MAPSEG_NO_FORK);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    ck_assert_int_eq(in_child(free_what_was_kept_out, scene.seg), WELL);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

/* -------------------------------------------------------------------- suite -- */

static void
add_threads(Suite *suite)
{
    TCase *group = new_case(suite, "threads");

    tcase_add_test(group, thread_that_blocks_the_signal_is_guarded);
    tcase_add_test(group, sections_end_with_their_thread);
    tcase_add_test(group, section_of_another_thread_is_none);
    /* To it, they are written by the thread that met the fault. */
    if (skip_unless(!under_race_detector(), "a race detector takes the guard's zeros for data"))
        tcase_add_test(group, threads_of_a_handle_lose_it_together);
}

static void
add_children(Suite *suite)
{
    TCase *group = new_case(suite, "children");

    tcase_add_test(group, child_goes_on_with_the_section);
    tcase_add_test(group, fork_after_a_loss);
    tcase_add_test(group, child_has_sections_of_its_own);
    tcase_add_test(group, child_that_is_kept_out_has_none);
}

int
main(void)
{
    Suite *suite = new_suite("threads");

    add_threads(suite);
    add_children(suite);
    return run_suite(suite);
}
