/*
 * check_name_race.c - processes come, go, remove and die, all at once: the name of a segment
 * that a process is attached to is there, and leads to it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#define DATA_BYTES 4096

/** While attached, the own name leads to the own segment. */
static void
check_name(struct stage *stage, mapseg *seg)
{
    uint64_t inode = inode_attached(seg);

    if (inode_of(stage->place.path) != inode)
        atomic_fetch_add(&stage->wrong, 1);
    if (next_random(&(uint32_t){(uint32_t)inode | 1}) % 2 == 0)
        (void)sched_yield();
    if (inode_of(stage->place.path) != inode)
        atomic_fetch_add(&stage->wrong, 1);
}

/* ------------------------------------------------------ all come and go -- */

#define STRESS_WORKERS 6
#define STRESS_NS (5 * SECOND / 2)

/** Comes by one of four ways; whether it is attached. */
static bool
come(mapseg *seg, uint32_t way)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_access access = way % 32 < 16 ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY;
    mapseg_result result;

    options.flags = way % 4 == 3 ? MAPSEG_RECLAIM : 0;
    /* One that is removing the segment may be kept from going on for long. */
    options.timeout_ns = HANG;
    switch (way % 4) {
    case 0:
        result = mapseg_attach_with(seg, access, &options);
        need(result == MAPSEG_OK || result == MAPSEG_NOT_FOUND);
        break;
    case 1:
        result = mapseg_create_or_attach(seg, DATA_BYTES, access, NULL);
        need_result(MAPSEG_OK, result);
        break;
    default:
        result = mapseg_create_with(seg, DATA_BYTES, access, &options);
        need(result == MAPSEG_OK || result == MAPSEG_ALREADY_EXISTS);
        break;
    }
    need(mapseg_is_attached(seg) == (result == MAPSEG_OK));
    return result == MAPSEG_OK;
}

/** Comes and goes for a while. */
static void
come_and_go(struct stage *stage)
{
    uint32_t random = (uint32_t)getpid() * 2654435761u | 1;
    mapseg *seg = handle_for(stage->place.key);
    int64_t end = now_ns() + STRESS_NS;

    while (now_ns() < end) {
        if (!come(seg, next_random(&random)))
            continue;
        atomic_fetch_add(&stage->ready, 1);
        check_name(stage, seg);
        need_result(MAPSEG_OK, mapseg_detach(seg));
    }
    mapseg_free(seg);
}

/** Clears what is abandoned, which nothing ever is. */
static void
reclaim_all_the_time(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    while (atomic_load(&stage->go) == 0) {
        mapseg_result result = mapseg_reclaim(seg);

        /* OK: it was quicker than the last one out. */
        need(result == MAPSEG_OK || result == MAPSEG_IN_USE || result == MAPSEG_NOT_FOUND);
        nap(50 * MICROSECOND);
    }
    mapseg_free(seg);
}

START_TEST(attached_means_that_the_name_is_ours)
{
    struct stage *stage = new_stage();
    pid_t workers[STRESS_WORKERS];
    pid_t reclaimer = 0;

    for (int i = 0; i < STRESS_WORKERS; i++)
        workers[i] = start(come_and_go, stage);
    if (_i == 1)
        reclaimer = start(reclaim_all_the_time, stage);
    for (int i = 0; i < STRESS_WORKERS; i++)
        finish(workers[i]);
    atomic_store(&stage->go, 1);
    if (_i == 1)
        finish(reclaimer);
    need_number(0, stage->wrong);
    need(stage->ready > 0);
    need(!exists(stage->place.path));
}
END_TEST

/* ------------------------------------------------ one makes and removes -- */

/** Makes the segment and destroys it, again and again, until the others have met it. */
static void
create_and_destroy(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);
    int64_t begun = now_ns();

    while (now_ns() < begun + 3 * SECOND / 2 ||
           (atomic_load(&stage->ready) == 0 && now_ns() < begun + HANG)) {
        mapseg_result result = mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE);

        if (result == MAPSEG_OK)
            memset(mapseg_data(seg), 0x5a, DATA_BYTES);
        need(result == MAPSEG_OK || result == MAPSEG_ALREADY_EXISTS);
        if (result == MAPSEG_OK)
            need_result(MAPSEG_OK, mapseg_detach(seg));
    }
    atomic_store(&stage->go, 1);
    mapseg_free(seg);
}

/** Attaches whenever there is something to attach to. */
static void
attach_and_detach(struct stage *stage)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);

    options.timeout_ns = HANG;
    while (atomic_load(&stage->go) == 0) {
        mapseg_result result = mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options);

        need(result == MAPSEG_OK || result == MAPSEG_NOT_FOUND);
        if (result == MAPSEG_NOT_FOUND)
            continue;
        need_number(DATA_BYTES, mapseg_size(seg));
        check_name(stage, seg);
        need_result(MAPSEG_OK, mapseg_detach(seg));
        atomic_fetch_add(&stage->ready, 1);
    }
    mapseg_free(seg);
}

START_TEST(attach_races_destroy)
{
    struct stage *stage = new_stage();
    pid_t destroyer = start(create_and_destroy, stage);
    pid_t attachers[2];

    for (int i = 0; i < 2; i++)
        attachers[i] = start(attach_and_detach, stage);
    finish(destroyer);
    for (int i = 0; i < 2; i++)
        finish(attachers[i]);
    need_number(0, stage->wrong);
    need(stage->ready > 0);
    need(!exists(stage->place.path));
}
END_TEST

/* ------------------------------------------------------------- some die -- */

/** Comes and goes until it is killed. */
static void
come_and_go_for_ever(struct stage *stage)
{
    uint32_t random = (uint32_t)getpid() * 2654435761u | 1;
    mapseg *seg = handle_for(stage->place.key);

    for (;;) {
        need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
        atomic_fetch_add(&stage->ready, 1);
        if (next_random(&random) % 4 == 0)
            ignored(mapseg_lock_for(seg, MILLISECOND));
        need_result(MAPSEG_OK, mapseg_detach(seg));
    }
}

/** Stays attached, detaches last; sees whether the name is gone then. */
static void
keep_then_leave(struct stage *stage)
{
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need(inode_of(stage->place.path) == inode_attached(seg));
    need_attached(1, stage->place.key);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(!exists(stage->place.path));
    mapseg_free(seg);
}

START_TEST(last_detacher_removes_after_deaths)
{
    struct stage *stage = new_stage();
    pid_t keeper = start(keep_then_leave, stage);
    pid_t workers[4];
    uint32_t random = 12345;

    await(&stage->ready, 1);
    for (int i = 0; i < 4; i++)
        workers[i] = start(come_and_go_for_ever, stage);
    for (int round = 0; round < 200; round++) {
        int i = (int)(next_random(&random) % 4);

        nap(next_random(&random) % 3000 * MICROSECOND);
        kill_and_reap(workers[i]);
        workers[i] = start(come_and_go_for_ever, stage);
    }
    await(&stage->ready, 1);
    for (int i = 0; i < 4; i++)
        kill_and_reap(workers[i]);
    atomic_store(&stage->go, 1);
    finish(keeper);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("name race");
    TCase *tcase = new_case(suite, "name race");

    tcase_add_loop_test(tcase, attached_means_that_the_name_is_ours, 0, 2);
    tcase_add_test(tcase, attach_races_destroy);
    tcase_add_test(tcase, last_detacher_removes_after_deaths);
    return run_suite(suite);
}
