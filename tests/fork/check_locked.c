/*
 * check_locked.c - forks while the lock is held: it stays its owner's, and its death is told to the
 * one who is left, be that the parent or the child.
 *
 * SPDX-License-Identifier: MIT
 */
#include "children.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static void
wait_for_parents_lock(struct stage *stage, mapseg *seg)
{
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    need_result(MAPSEG_NOT_LOCKED, mapseg_consistent(seg));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, 120 * MILLISECOND));
    atomic_store(&stage->ready, 1);
    need_result((mapseg_result)stage->number, mapseg_lock(seg));
    need(atomic_load(&stage->go) == 1);
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

START_TEST(lock_at_the_fork_stays_the_parents)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t word;
    pid_t child;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    word = lock_word(header);
    stage->number = MAPSEG_OK;
    child = fork_child(wait_for_parents_lock, stage, seg);
    await(&stage->ready, 1);
    await_word(header, MAPSEG_LOCK_SLEEPERS);
    need_number(word, lock_word(header) & MAPSEG_LOCK_OWNER);
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    atomic_store(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    finish(child);
    need_number(0, lock_word(header));
    mapseg_free(seg);
}
END_TEST

START_TEST(child_that_leaves_does_not_release)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t word;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    word = lock_word(header);
    finish(fork_child(free_copy, stage, seg));
    need_number(word, lock_word(header));
    need_attached_through(1, seg);
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

static void *
hold_in_thread(void *argument)
{
    struct stage *stage = ((void **)argument)[0];
    mapseg *seg = ((void **)argument)[1];

    need_result(MAPSEG_OK, mapseg_lock(seg));
    atomic_store(&stage->wrong, 1);
    await(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    return NULL;
}

START_TEST(fork_while_another_thread_holds)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    void *arguments[2] = {stage, seg};
    pthread_t thread;
    pid_t child;

    stage->number = MAPSEG_OK;
    need(pthread_create(&thread, NULL, hold_in_thread, arguments) == 0);
    await(&stage->wrong, 1);
    child = fork_child(wait_for_parents_lock, stage, seg);
    await(&stage->ready, 1);
    atomic_store(&stage->go, 1);
    need(pthread_join(thread, NULL) == 0);
    finish(child);
    mapseg_free(seg);
}
END_TEST

START_TEST(killed_child_leaves_its_lock_to_the_parent)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    for (int round = 0; round < 5; round++) {
        pid_t child;

        atomic_store(&stage->ready, 0);
        child = fork_child(take_and_wait, stage, seg);
        await(&stage->ready, 1);
        need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
        kill_and_reap(child);
        need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
        need_result(MAPSEG_OK, mapseg_consistent(seg));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        need_attached_through(1, seg);
    }
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

/** Holds the lock, forks one who waits for it, and waits to be killed. */
static void
hold_over_fork(struct stage *stage)
{
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    stage->number = MAPSEG_OWNER_DIED;
    atomic_store(&stage->pid, fork_child(wait_for_parents_lock, stage, seg));
    for (;;)
        (void)pause();
}

START_TEST(killed_parent_leaves_its_lock_to_the_child)
{
    struct stage *stage = new_stage();
    pid_t parent;
    mapseg *seg;

    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    parent = start(hold_over_fork, stage);
    await(&stage->ready, 1);
    need(kill(parent, SIGSTOP) == 0);
    atomic_store(&stage->go, 1);
    kill_and_reap(parent);
    finish(atomic_load(&stage->pid));
    /* The child has ended without detaching: debris. */
    need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
    seg = handle_for(stage->place.key);
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------------ main -- */

static void
add_locks(Suite *suite)
{
    TCase *tcase = new_case(suite, "locks");

    tcase_add_test(tcase, lock_at_the_fork_stays_the_parents);
    tcase_add_test(tcase, child_that_leaves_does_not_release);
    tcase_add_test(tcase, fork_while_another_thread_holds);
    tcase_add_test(tcase, killed_child_leaves_its_lock_to_the_parent);
    tcase_add_test(tcase, killed_parent_leaves_its_lock_to_the_child);
}

int
main(void)
{
    Suite *suite;

    suite = new_suite("locked");
    add_locks(suite);
    return run_suite(suite);
}
