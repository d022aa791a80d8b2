/*
 * check_places.c - one lock between processes that hardly see each other: of other PID namespaces
 * and other users, with numbers that were another's before.
 *
 * What needs root is skipped without.
 *
 * SPDX-License-Identifier: MIT
 */
#include "homes.h"
#include "locking.h"
#include "record.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/** Counts under the lock. */
static void
add_many(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    for (int i = 0; i < ADDITIONS; i++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(record_add(data_of(seg)));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}

/* ---------------------------------------------------------- PID namespaces -- */

static const struct {
    enum home one;
    enum home other;
} homes[] = {{HERE, APART}, {APART, HERE}, {APART, APART}};

#define HOMES 3

START_TEST(namespaces_exclude_each_other)
{
    struct stage *stage = new_stage();
    pid_t one;
    pid_t other;

    (void)make_record(&stage->place);
    one = start_ready(homes[_i].one, add_many, stage);
    other = start_ready(homes[_i].other, add_many, stage);
    need_attached(2, stage->place.key);
    atomic_store(&stage->go, 1);
    finish(one);
    finish(other);
    need_count(&stage->place, 2 * ADDITIONS);
    remove_persistent(stage->place.key);
}
END_TEST

/** Meets an owner whose number may be its own. */
static void
wait_for_the_dead(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    need_kept(seg);
    atomic_fetch_add(&stage->ready, 1);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}

START_TEST(death_is_told_in_another_namespace)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    pid_t owner;
    pid_t waiter;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    owner = start_ready(homes[_i].one, hold_for_ever, stage);
    waiter = start_ready(homes[_i].other, wait_for_the_dead, stage);
    await_word(header, MAPSEG_LOCK_SLEEPERS);
    need_number(0, recoveries_of(header));
    kill_and_reap(owner);
    finish(waiter);
    need_number(1, recoveries_of(header));
    need_number(0, lock_word(header));
    remove_persistent(stage->place.key);
}
END_TEST

START_TEST(stopped_owner_in_another_namespace_is_not_robbed)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    pid_t owner;
    mapseg *seg;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    owner = start_ready(APART, hold_lock, stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need(kill(owner, SIGSTOP) == 0);
    need_kept(seg);
    need_number(0, recoveries_of(header));
    need(kill(owner, SIGCONT) == 0);
    atomic_store(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    finish(owner);
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/** The first process of a namespace, with an owner beside it. */
static void
keep_an_owner(struct stage *stage)
{
    (void)start(hold_for_ever, stage);
    for (;;)
        nap(SECOND);
}

START_TEST(owner_dies_with_its_namespace)
{
    struct stage *stage = new_stage();
    pid_t first;
    mapseg *seg;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    first = start_ready(APART, keep_an_owner, stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    /* Reaped when all of the namespace is gone. */
    kill_and_reap(first);
    need_told(seg);
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/* ------------------------------------------------------- numbers used again -- */

/** Has the dead owner's number. */
static void
be_another(struct stage *stage)
{
    mapseg *seg;

    need_number(stage->number, getpid());
    need_number(stage->number, syscall(SYS_gettid));
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    atomic_fetch_add(&stage->ready, 1);
    if (atomic_load(&stage->pid) != 0) {
        /* Does not mistake the dead one's lock for its own. */
        need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
        need_told(seg);
    }
    await(&stage->go, 1);
    mapseg_free(seg);
}

/** In a namespace: one dies as the owner, another gets its number. */
static void
use_a_number_twice(struct stage *stage)
{
    bool itself = atomic_load(&stage->pid) != 0;
    pid_t first = start_ready(HERE, hold_for_ever, stage);
    pid_t second;
    mapseg *seg;

    kill_and_reap(first);
    stage->number = first;
    choose_next_number(first);
    second = start_ready(HERE, be_another, stage);
    need_number(first, second);
    if (!itself) {
        seg = attached(stage->place.key, MAPSEG_READ_WRITE);
        need_told(seg);
        mapseg_free(seg);
    }
    atomic_store(&stage->go, 1);
    finish(second);
}

START_TEST(number_of_a_dead_owner_is_used_again)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    atomic_store(&stage->pid, _i);
    finish(start_apart(use_a_number_twice, stage));
    need_number(1, recoveries_of(header));
    need_number(0, lock_word(header));
    remove_persistent(stage->place.key);
}
END_TEST

/* ----------------------------------------------------------------- two users -- */

/** The options with which two users share a segment. */
static mapseg_options
shared_options(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = (uint32_t)MAPSEG_ALLOW_OTHER_OWNER | (uint32_t)MAPSEG_ALLOW_SHARED_WRITE |
                    (uint32_t)MAPSEG_PERSISTENT;
    options.mode = 0666;
    return options;
}

static mapseg *
attached_with_others(const struct place *place)
{
    mapseg_options options = shared_options();
    mapseg *seg = handle_for(place->key);

    need_result(MAPSEG_OK, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    return seg;
}

static void
create_for_both(struct stage *stage)
{
    mapseg_options options = shared_options();
    mapseg *seg = handle_for(stage->place.key);

    if (stage->number != 0)
        become_nobody();
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    record_init(data_of(seg));
    mapseg_free(seg);
}

static void
add_as_either(struct stage *stage)
{
    mapseg *seg = attached_with_others(&stage->place);

    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    for (int i = 0; i < ADDITIONS; i++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(record_add(data_of(seg)));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}

static void
add_as_nobody(struct stage *stage)
{
    become_nobody();
    add_as_either(stage);
}

static void
hold_as_either(struct stage *stage)
{
    mapseg *seg = attached_with_others(&stage->place);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        nap(SECOND);
}

static void
hold_as_nobody(struct stage *stage)
{
    become_nobody();
    hold_as_either(stage);
}

static void
inherit_as_either(struct stage *stage)
{
    mapseg *seg = attached_with_others(&stage->place);

    need_kept(seg);
    atomic_fetch_add(&stage->ready, 1);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}

static void
inherit_as_nobody(struct stage *stage)
{
    become_nobody();
    inherit_as_either(stage);
}

/** Which of the two made the segment: 0 root, 1 the user nobody. */
START_TEST(two_users_share_the_lock)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    mapseg *seg;
    pid_t one;
    pid_t other;

    stage->number = _i;
    finish(start(create_for_both, stage));
    header = map_header(stage->place.path);
    one = start_ready(HERE, add_as_either, stage);
    other = start_ready(HERE, add_as_nobody, stage);
    need_attached(2, stage->place.key);
    atomic_store(&stage->go, 1);
    finish(one);
    finish(other);
    seg = attached_with_others(&stage->place);
    need_number(2 * ADDITIONS, ((struct record *)data_of(seg))->count);
    mapseg_free(seg);

    one = start_ready(HERE, hold_as_either, stage);
    other = start_ready(HERE, inherit_as_nobody, stage);
    kill_and_reap(one);
    finish(other);
    one = start_ready(HERE, hold_as_nobody, stage);
    other = start_ready(HERE, inherit_as_either, stage);
    kill_and_reap(one);
    finish(other);
    need_number(2, recoveries_of(header));
    need_number(0, lock_word(header));
    remove_persistent(stage->place.key);
}
END_TEST

/** The last one out, which may not unlink another user's name. */
static void
leave_as_nobody(struct stage *stage)
{
    mapseg *seg;

    become_nobody();
    seg = attached_with_others(&stage->place);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(!mapseg_is_attached(seg));
    mapseg_free(seg);
}

START_TEST(last_one_out_may_not_remove_anothers_name)
{
    struct stage *stage = new_stage();
    mapseg_options options = shared_options();
    mapseg *seg = handle_for(stage->place.key);
    pid_t other;

    options.flags &= ~(uint32_t)MAPSEG_PERSISTENT;
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    other = start_ready(HERE, leave_as_nobody, stage);
    need_result(MAPSEG_IN_USE, mapseg_reclaim(seg));
    mapseg_free(seg);
    need(exists(stage->place.path));
    atomic_store(&stage->go, 1);
    finish(other);
    need(exists(stage->place.path));
    need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
    seg = handle_for(stage->place.key);
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

/* ------------------------------------------------------------------ main -- */

static void
add_namespaces(Suite *suite)
{
    TCase *tcase = new_case(suite, "namespaces");

    tcase_add_loop_test(tcase, namespaces_exclude_each_other, 0, HOMES);
    tcase_add_loop_test(tcase, death_is_told_in_another_namespace, 0, HOMES);
    tcase_add_test(tcase, stopped_owner_in_another_namespace_is_not_robbed);
    tcase_add_test(tcase, owner_dies_with_its_namespace);
    tcase_add_loop_test(tcase, number_of_a_dead_owner_is_used_again, 0, 2);
}

static void
add_users(Suite *suite)
{
    TCase *tcase = new_case(suite, "users");

    tcase_add_loop_test(tcase, two_users_share_the_lock, 0, 2);
    tcase_add_test(tcase, last_one_out_may_not_remove_anothers_name);
}

int
main(void)
{
    Suite *suite = new_suite("places");
    bool namespaces = has_namespaces();
    bool users = geteuid() == 0;

    if (skip_unless(namespaces, "PID namespaces, which cannot be made here"))
        add_namespaces(suite);
    if (skip_unless(users, "two users, which only root can be"))
        add_users(suite);
    return run_suite(suite);
}
