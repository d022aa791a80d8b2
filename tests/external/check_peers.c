/*
 * check_peers.c - mapseg and programs without it, unmodified, in one POSIX segment at once.
 *
 * The environment's PEERS says with which: programs.h. The scripts beside this one start it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../foreign/posix_peers.h"
#include "programs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/** No whole number of pages: the size is told exactly. */
#define BYTES 5000
#define INCREMENTS 200000
#define OK MAPSEG_OK

static struct posix_place place;

/** What all increment, under the lock. */
static volatile uint64_t *
number_in(mapseg *seg)
{
    return (volatile uint64_t *)(void *)((char *)data_of(seg) + NUMBER_AT);
}

static void
enter(void)
{
    new_posix_place(&place);
}

/** What a Qt program that created it does with its semaphore when it ends, others do not: so that
 *  may be gone. */
static void
leave(void)
{
    mapseg *seg = handle_for(place.key);

    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
    ck_assert(!exists(place.path));
    ck_assert(!exists(place.semaphore));
}

/** Takes the lock, whether its last owner died or not. */
static void
take(mapseg *seg)
{
    mapseg_result result = mapseg_lock(seg);

    if (result == MAPSEG_OWNER_DIED)
        result = mapseg_consistent(seg);
    need_call(OK, seg, result);
}

static void
release(mapseg *seg)
{
    need_call(OK, seg, mapseg_unlock(seg));
}

static void
add(mapseg *seg, int times)
{
    volatile uint64_t *number = number_in(seg);

    for (int i = 0; i < times; i++) {
        take(seg);
        *number = *number + 1;
        release(seg);
    }
}

static struct program
start_peer_of(const char *command)
{
    return start_program(command, place.name);
}

static struct program
attach_peer(const char *command)
{
    struct program peer = start_peer_of(command);

    need_obeyed(&peer, "attach", "ok");
    return peer;
}

static void
say_increment(const struct program *peer, int times)
{
    char words[32];

    snprintf(words, sizeof words, "increment %d", times);
    say_words(peer, words);
}

/** Who creates it, and so who makes the semaphore: the peer, where `theirs` is set. */
static struct program
begin(const char *command, bool theirs, mapseg **seg)
{
    struct program peer = start_peer_of(command);
    char words[32];

    if (theirs) {
        snprintf(words, sizeof words, "create %d", BYTES);
        need_obeyed(&peer, words, "ok");
        *seg = attached(place.key, MAPSEG_READ_WRITE);
    } else {
        *seg = created(place.key, BYTES);
        need_obeyed(&peer, "attach", "ok");
    }
    return peer;
}

/* ------------------------------------------- each peer, and either creates -- */

/** `_i`: the peer, and whether it creates. */
#define COMMAND command_of(_i / 2)
#define THEIRS (_i % 2 == 1)

START_TEST(one_memory)
{
    mapseg *seg;
    struct program peer = begin(COMMAND, THEIRS, &seg);

    ck_assert_uint_eq(mapseg_size(seg), BYTES);
    need_obeyed(&peer, "size", "5000");
    need_obeyed(&peer, "write theirs", "ok");
    ck_assert_str_eq(data_of(seg), "theirs");
    strcpy(data_of(seg), "ours");
    need_obeyed(&peer, "read", "ours");
    end_program(&peer);
    ck_assert_str_eq(data_of(seg), "ours");
    mapseg_free(seg);
}
END_TEST

START_TEST(mapseg_leaves_first)
{
    mapseg *seg;
    struct program peer = begin(COMMAND, THEIRS, &seg);

    need_call(OK, seg, mapseg_lock(seg));
    mapseg_free(seg);
    need_obeyed(&peer, "lock", "ok");
    need_obeyed(&peer, "write stays", "ok");
    need_obeyed(&peer, "unlock", "ok");
    seg = attached(place.key, MAPSEG_READ_WRITE);
    ck_assert_str_eq(data_of(seg), "stays");
    end_program(&peer);
    need_call(OK, seg, mapseg_lock(seg));
    release(seg);
    mapseg_free(seg);
}
END_TEST

START_TEST(names_are_judged_alike)
{
    struct program peer = start_peer_of(COMMAND);
    mapseg *seg = handle_for(place.key);
    char words[32];

    snprintf(words, sizeof words, "create %d", BYTES);
    say_words(&peer, "attach");
    ck_assert_int_eq(strncmp(hear_answer(&peer, "attach"), "error", 5), 0);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    if (THEIRS) {
        need_obeyed(&peer, words, "ok");
        need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, BYTES, MAPSEG_READ_WRITE));
    } else {
        need_call(OK, seg, mapseg_create(seg, BYTES, MAPSEG_READ_WRITE));
        say_words(&peer, words);
        ck_assert_int_eq(strncmp(hear_answer(&peer, words), "error", 5), 0);
    }
    mapseg_free(seg);
    end_program(&peer);
}
END_TEST

START_TEST(they_exclude_each_other)
{
    mapseg *seg;
    struct program peer = begin(COMMAND, THEIRS, &seg);

    need_obeyed(&peer, "lock", "ok");
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, MILLISECOND));
    need_obeyed(&peer, "unlock", "ok");
    need_call(OK, seg, mapseg_lock(seg));
    say_words(&peer, "lock");
    need_waiting(&peer);
    release(seg);
    need_answer(&peer, "lock", "ok");
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_obeyed(&peer, "unlock", "ok");
    need_call(OK, seg, mapseg_lock(seg));
    release(seg);
    end_program(&peer);
    mapseg_free(seg);
}
END_TEST

START_TEST(no_increment_is_lost)
{
    mapseg *seg;
    struct program peer = begin(COMMAND, THEIRS, &seg);

    say_increment(&peer, INCREMENTS);
    add(seg, INCREMENTS);
    need_answer(&peer, "increment", "ok");
    ck_assert_uint_eq(*number_in(seg), 2 * INCREMENTS);
    end_program(&peer);
    mapseg_free(seg);
}
END_TEST

/** A Qt program's create() replaces the semaphore, even in vain, and the one that created removes
 *  it when it ends; others do neither. Either way mapseg and a newcomer exclude each other once
 *  mapseg has had time to look. */
START_TEST(semaphores_may_be_replaced)
{
    mapseg *seg;
    struct program peer = begin(COMMAND, THEIRS, &seg);
    struct program other = start_peer_of(COMMAND);

    /* From then on mapseg takes the lock without a look each time. */
    add(seg, 10);
    if (!THEIRS) {
        say_words(&other, "create 100");
        ck_assert_int_eq(strncmp(hear_answer(&other, "create 100"), "error", 5), 0);
    }
    end_program(&peer);
    need_obeyed(&other, "attach", "ok");
    add(seg, 2000);
    need_call(OK, seg, mapseg_lock(seg));
    say_words(&other, "lock");
    need_waiting(&other);
    release(seg);
    need_answer(&other, "lock", "ok");
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_obeyed(&other, "unlock", "ok");
    say_increment(&other, INCREMENTS / 10);
    add(seg, INCREMENTS / 10);
    need_answer(&other, "increment", "ok");
    ck_assert_uint_eq(*number_in(seg), 2010 + 2 * (INCREMENTS / 10));
    end_program(&other);
    mapseg_free(seg);
}
END_TEST

/** What Boost's managed_shared_memory lays into a segment is data like any other. */
START_TEST(managed_memory_is_data)
{
    struct program peer = start_peer_of(command_of(_i));
    size_t words = 65536 / sizeof(uint64_t);
    size_t found = 0;
    uint64_t *data;
    mapseg *seg;

    need_obeyed(&peer, "managed 65536", "ok");
    seg = attached(place.key, MAPSEG_READ_WRITE);
    ck_assert_uint_eq(mapseg_size(seg), 65536);
    data = data_of(seg);
    for (size_t i = 0; i < words; i++)
        if (data[i] == UINT64_C(6220481117)) {
            data[i] = 4711;
            found++;
        }
    ck_assert_uint_eq(found, 1);
    need_obeyed(&peer, "number", "4711");
    end_program(&peer);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------------ deaths -- */

/** A peer that dies with the lock leaves no mark; by force it is freed, and the next owner told. */
START_TEST(peer_dies_with_the_lock)
{
    mapseg *seg;
    struct program peer = begin(COMMAND, THEIRS, &seg);

    need_obeyed(&peer, "lock", "ok");
    kill_program(&peer);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, 10 * MILLISECOND));
    ck_assert(strstr(mapseg_error_string(seg), "mapseg_repair") != NULL);
    need_call(MAPSEG_IN_USE, seg, mapseg_repair(seg, false));
    need_call(OK, seg, mapseg_repair(seg, true));
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_consistent(seg));
    release(seg);
    peer = attach_peer(COMMAND);
    need_obeyed(&peer, "lock", "ok");
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_obeyed(&peer, "unlock", "ok");
    end_program(&peer);
    mapseg_free(seg);
}
END_TEST

static void
die_with_the_lock(struct stage *stage)
{
    mapseg *seg = attached(place.key, MAPSEG_READ_WRITE);

    need_call(OK, seg, mapseg_lock(seg));
    atomic_store(&stage->ready, 1);
    await(&stage->go, 1);
}

/** A peer that waits goes on when the next owner of mapseg's has been told. */
START_TEST(mapseg_dies_with_the_lock)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    struct program peer = begin(COMMAND, THEIRS, &seg);
    pid_t owner = start(die_with_the_lock, stage);

    await(&stage->ready, 1);
    say_words(&peer, "lock");
    need_waiting(&peer);
    kill_and_reap(owner);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_consistent(seg));
    release(seg);
    need_answer(&peer, "lock", "ok");
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_obeyed(&peer, "unlock", "ok");
    end_program(&peer);
    mapseg_free(seg);
}
END_TEST

/** Whatever it was doing: what is there then can be used, by force where it held the lock. */
START_TEST(peer_is_killed_at_any_point)
{
    uint64_t random = 1 + (uint64_t)_i;
    mapseg *seg;
    struct program peer = begin(COMMAND, THEIRS, &seg);
    uint64_t before;

    for (int round = 0; round < 8; round++) {
        volatile uint64_t *number = number_in(seg);
        int64_t deadline = hang_deadline();
        uint64_t begun = *number;

        say_increment(&peer, 1000000000);
        while (*number < begun + 10 && now_ns() < deadline)
            give_way();
        ck_assert(*number >= begun + 10);
        random = random * UINT64_C(6364136223846793005) + 1;
        nap((int64_t)(random >> 44));
        kill_program(&peer);
        if (lock_state_of(place.key) != MAPSEG_LOCK_STATE_FREE)
            need_call(OK, seg, mapseg_repair(seg, true));
        take(seg);
        release(seg);
        peer = attach_peer(COMMAND);
    }
    before = *number_in(seg);
    say_increment(&peer, INCREMENTS / 10);
    add(seg, INCREMENTS / 10);
    need_answer(&peer, "increment", "ok");
    ck_assert_uint_eq(*number_in(seg), before + 2 * (INCREMENTS / 10));
    end_program(&peer);
    mapseg_free(seg);
}
END_TEST

static void
add_until_killed(struct stage *stage)
{
    mapseg *seg = attached(place.key, MAPSEG_READ_WRITE);

    for (;;) {
        add(seg, 1);
        atomic_fetch_add(&stage->told[0], 1);
    }
}

/** Of what they added nothing is lost either: each of them was killed at most between adding one
 *  and saying so. */
START_TEST(mapseg_is_killed_at_any_point)
{
    uint64_t random = 1 + (uint64_t)_i;
    struct stage *stage = new_stage();
    int kills = 20;
    mapseg *seg;
    struct program peer = begin(COMMAND, THEIRS, &seg);
    uint64_t said;

    say_increment(&peer, INCREMENTS);
    for (int i = 0; i < kills; i++) {
        int begun = atomic_load(&stage->told[0]);
        pid_t child = start(add_until_killed, stage);

        await(&stage->told[0], begun + 10);
        random = random * UINT64_C(6364136223846793005) + 1;
        nap((int64_t)(random >> 44));
        kill_and_reap(child);
        take(seg);
        release(seg);
    }
    need_answer(&peer, "increment", "ok");
    said = INCREMENTS + (uint64_t)atomic_load(&stage->told[0]);
    ck_assert_uint_ge(*number_in(seg), said);
    ck_assert_uint_le(*number_in(seg), said + (uint64_t)kills);
    end_program(&peer);
    mapseg_free(seg);
}
END_TEST

/* ----------------------------------------------------------- all at once -- */

static void
add_all(struct stage *stage)
{
    mapseg *seg = attached(place.key, MAPSEG_READ_WRITE);

    await(&stage->go, 1);
    add(seg, INCREMENTS);
    mapseg_free(seg);
}

/** All the peers, each twice, and two of mapseg's processes. */
START_TEST(all_at_once)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(place.key, BYTES);
    struct program peers[16];
    pid_t ours[2];
    int count = 2 * count_programs();

    ck_assert_int_le(count, 16);
    for (int i = 0; i < count; i++)
        peers[i] = attach_peer(command_of(i / 2));
    for (int i = 0; i < 2; i++)
        ours[i] = start(add_all, stage);
    for (int i = 0; i < count; i++)
        say_increment(&peers[i], INCREMENTS);
    atomic_store(&stage->go, 1);
    for (int i = 0; i < count; i++) {
        need_answer(&peers[i], "increment", "ok");
        end_program(&peers[i]);
    }
    for (int i = 0; i < 2; i++)
        finish(ours[i]);
    ck_assert_uint_eq(*number_in(seg), (uint64_t)(count + 2) * INCREMENTS);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("peers");
    int count = count_programs();
    TCase *group;

    if (!skip_unless(has_known_semaphores(), "this C library's semaphores are not known"))
        return run_suite(suite);
    if (!skip_unless(count > 0, "PEERS names no program"))
        return run_suite(suite);

    group = new_case(suite, "share");
    tcase_add_checked_fixture(group, enter, leave);
    tcase_add_loop_test(group, one_memory, 0, 2 * count);
    tcase_add_loop_test(group, mapseg_leaves_first, 0, 2 * count);
    tcase_add_loop_test(group, names_are_judged_alike, 0, 2 * count);
    tcase_add_loop_test(group, they_exclude_each_other, 0, 2 * count);
    tcase_add_loop_test(group, no_increment_is_lost, 0, 2 * count);
    tcase_add_loop_test(group, semaphores_may_be_replaced, 0, 2 * count);

    group = new_case(suite, "death");
    tcase_add_checked_fixture(group, enter, leave);
    tcase_add_loop_test(group, peer_dies_with_the_lock, 0, 2 * count);
    tcase_add_loop_test(group, mapseg_dies_with_the_lock, 0, 2 * count);
    tcase_add_loop_test(group, peer_is_killed_at_any_point, 0, 2 * count);
    tcase_add_loop_test(group, mapseg_is_killed_at_any_point, 0, 2 * count);

    group = new_case(suite, "managed");
    tcase_add_checked_fixture(group, enter, leave);
    for (int i = 0; i < count; i++)
        if (strstr(command_of(i), "boost_peer") != NULL)
            tcase_add_loop_test(group, managed_memory_is_data, i, i + 1);

    group = new_case(suite, "together");
    tcase_add_checked_fixture(group, enter, leave);
    tcase_add_test(group, all_at_once);
    return run_suite(suite);
}
