/*
 * check_threads.c - forks while other threads attach, lock, detach, and fork.
 *
 * SPDX-License-Identifier: MIT
 */
#include "children.h"
#include "record.h"

#include <pthread.h>
#include <unistd.h>

#define FORKS 120

struct busy {
    struct stage *stage;
    const struct place *place;
    mapseg *steady;
};

/** Attaches and detaches while the main thread forks. */
static void *
attach_in_thread(void *argument)
{
    struct busy *busy = argument;

    while (atomic_load(&busy->stage->go) == 0) {
        mapseg *seg = attached(busy->place->key, MAPSEG_READ_WRITE);

        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(record_add(data_of(seg)));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        mapseg_free(seg);
        atomic_fetch_add(&busy->stage->ready, 1);
    }
    return NULL;
}

/** Locks the handle that the forks are about. */
static void *
lock_in_thread(void *argument)
{
    struct busy *busy = argument;

    while (atomic_load(&busy->stage->go) == 0) {
        need_result(MAPSEG_OK, mapseg_lock(busy->steady));
        need(record_add(data_of(busy->steady)));
        need_result(MAPSEG_OK, mapseg_unlock(busy->steady));
        atomic_fetch_add(&busy->stage->told[0], 1);
    }
    return NULL;
}

static void
lock_a_little(struct stage *stage, mapseg *seg)
{
    (void)stage;
    need(mapseg_is_attached(seg));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    for (int round = 0; round < 20; round++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(record_add(data_of(seg)));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    need_result(MAPSEG_OK, mapseg_detach(seg));
}

START_TEST(forks_among_busy_threads)
{
    struct stage *stage = new_stage();
    struct place second;
    struct busy busy = {.stage = stage, .place = &second};
    pthread_t threads[4];
    mapseg *other;

    new_place(&second);
    leave_persistent(second.key, DATA_BYTES, 0);
    other = attached(second.key, MAPSEG_READ_WRITE);
    record_init(data_of(other));
    busy.steady = created(stage->place.key, DATA_BYTES);
    record_init(data_of(busy.steady));
    for (int i = 0; i < 4; i++)
        need(pthread_create(&threads[i], NULL, i < 2 ? attach_in_thread : lock_in_thread, &busy) ==
             0);
    for (int round = 0; round < FORKS; round++)
        finish(fork_child(lock_a_little, stage, busy.steady));
    atomic_store(&stage->go, 1);
    for (int i = 0; i < 4; i++)
        need(pthread_join(threads[i], NULL) == 0);
    need_number(stage->told[0] + 20 * FORKS, ((struct record *)data_of(busy.steady))->count);
    need_number(stage->ready, ((struct record *)data_of(other))->count);
    need_attached_through(1, busy.steady);
    need_attached_through(1, other);
    mapseg_free(busy.steady);
    mapseg_free(other);
    need(!exists(stage->place.path));
    remove_persistent(second.key);
}
END_TEST

/** Two threads fork at the same time. */
static void *
fork_in_thread(void *argument)
{
    struct busy *busy = argument;

    for (int round = 0; round < FORKS / 2; round++)
        finish(fork_child(lock_a_little, busy->stage, busy->steady));
    return NULL;
}

START_TEST(threads_fork_at_once)
{
    struct stage *stage = new_stage();
    struct busy busy = {.stage = stage};
    pthread_t threads[3];

    busy.steady = created(stage->place.key, DATA_BYTES);
    record_init(data_of(busy.steady));
    for (int i = 0; i < 3; i++)
        need(pthread_create(&threads[i], NULL, fork_in_thread, &busy) == 0);
    for (int i = 0; i < 3; i++)
        need(pthread_join(threads[i], NULL) == 0);
    need_number(3 * 20 * (FORKS / 2), ((struct record *)data_of(busy.steady))->count);
    need_attached_through(1, busy.steady);
    mapseg_free(busy.steady);
    need(!exists(stage->place.path));
}
END_TEST

#define LINGERERS 40

/** Handles that threads attach and detach while the main thread forks. */
struct flux {
    struct stage *stage;
    struct place places[2];
    mapseg *segs[2];
};

static void *
attach_again_and_again(void *argument)
{
    struct flux *flux = argument;

    while (atomic_load(&flux->stage->go) == 0) {
        need_result(MAPSEG_OK, mapseg_attach(flux->segs[0], MAPSEG_READ_WRITE));
        need_result(MAPSEG_OK, mapseg_detach(flux->segs[0]));
    }
    return NULL;
}

static void *
create_again_and_again(void *argument)
{
    struct flux *flux = argument;

    while (atomic_load(&flux->stage->go) == 0) {
        mapseg_result result = mapseg_create(flux->segs[1], DATA_BYTES, MAPSEG_READ_WRITE);

        /* A child has its own attachment for a moment. */
        need(result == MAPSEG_OK || result == MAPSEG_ALREADY_EXISTS);
        if (result == MAPSEG_OK)
            need_result(MAPSEG_OK, mapseg_detach(flux->segs[1]));
    }
    return NULL;
}

/** Lives on, without the handles, whatever state the fork found them in. */
static void
linger(struct stage *stage, mapseg **segs)
{
    for (int i = 0; i < 2; i++) {
        mapseg_result result = mapseg_detach(segs[i]);

        need(result == MAPSEG_OK || result == MAPSEG_NOT_ATTACHED);
        need(!mapseg_is_attached(segs[i]));
    }
    need_number(0, count_open("/dev/shm/"));
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 2);
}

START_TEST(lingering_children_keep_nothing)
{
    struct flux flux = {.stage = new_stage()};
    struct stage *stage = flux.stage;
    pthread_t threads[2];
    pid_t children[LINGERERS];

    for (int i = 0; i < 2; i++) {
        new_place(&flux.places[i]);
        flux.segs[i] = handle_for(flux.places[i].key);
    }
    leave_persistent(flux.places[0].key, DATA_BYTES, 0);
    need(pthread_create(&threads[0], NULL, attach_again_and_again, &flux) == 0);
    need(pthread_create(&threads[1], NULL, create_again_and_again, &flux) == 0);
    for (int i = 0; i < LINGERERS; i++) {
        children[i] = fork();
        need(children[i] >= 0);
        if (children[i] == 0) {
            linger(stage, flux.segs);
            _exit(0);
        }
        nap(MILLISECOND);
    }
    await(&stage->ready, LINGERERS);
    atomic_store(&stage->go, 1);
    for (int i = 0; i < 2; i++)
        need(pthread_join(threads[i], NULL) == 0);
    /* All have detached, none has ended: no attachment is there. */
    need_attached(0, flux.places[0].key);
    need(!exists(flux.places[1].path));
    need_result(MAPSEG_OK, mapseg_attach(flux.segs[0], MAPSEG_READ_WRITE));
    need_attached_through(1, flux.segs[0]);
    need_result(MAPSEG_OK, mapseg_detach(flux.segs[0]));
    need_result(MAPSEG_OK, mapseg_reclaim(flux.segs[0]));
    atomic_store(&stage->go, 2);
    for (int i = 0; i < LINGERERS; i++)
        finish(children[i]);
    for (int i = 0; i < 2; i++)
        mapseg_free(flux.segs[i]);
}
END_TEST

/* ------------------------------------------------------------------ main -- */

static void
add_threads(Suite *suite)
{
    TCase *tcase = new_case(suite, "threads");

    tcase_add_test(tcase, forks_among_busy_threads);
    tcase_add_test(tcase, threads_fork_at_once);
    tcase_add_test(tcase, lingering_children_keep_nothing);
}

int
main(void)
{
    Suite *suite;

    suite = new_suite("threads");
    add_threads(suite);
    return run_suite(suite);
}
