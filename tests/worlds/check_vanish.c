/*
 * check_vanish.c - names that vanish under those who are attached: by a clean-up, by mapseg_remove,
 * or because another segment takes them. MAPSEG_WATCH_NAME tells those who wait, and mapseg_info
 * all.
 *
 * SPDX-License-Identifier: MIT
 */
#include "actors.h"

#include <fcntl.h>

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/** The ways in which a name is lost. */
enum way { CLEANED_UP, REMOVED, TAKEN_LATER, REPLACED, WAYS };

/** Has the name taken away; `peer` is a process that is not attached. */
static void
lose_name(enum way way, struct place *place, const struct peer *peer)
{
    switch (way) {
    case CLEANED_UP:
        ck_assert_int_eq(unlink(place->path), 0);
        break;
    case REMOVED:
        tell(peer, 'm');
        break;
    case TAKEN_LATER:
        ck_assert_int_eq(unlink(place->path), 0);
        tell(peer, 'c');
        break;
    default:
        tell(peer, 'r');
    }
}

static mapseg_name_state
state_after(enum way way)
{
    return way <= REMOVED ? MAPSEG_NAME_GONE : MAPSEG_NAME_REPLACED;
}

/** What an attached handle is told is about its own file, whatever has the name. */
START_TEST(info_is_of_the_own_file)
{
    struct place place;
    struct peer peer;
    mapseg_info *before, *after;
    mapseg *seg;

    new_place(&place);
    peer = start_peer(actor, place.key);
    seg = created(place.key, 100);
    before = describe(seg);
    ck_assert_int_eq(before->name_state, MAPSEG_NAME_SAME);
    lose_name((enum way)_i, &place, &peer);
    after = describe(seg);
    ck_assert_int_eq(after->name_state, state_after((enum way)_i));
    ck_assert_mem_eq(after->id, before->id, sizeof before->id);
    ck_assert_uint_eq(after->data_size, 100);
    ck_assert_uint_eq(after->file_size, before->file_size);
    ck_assert_uint_eq(after->created_ns, before->created_ns);
    ck_assert_uint_eq(after->attached, 1);
    ck_assert_uint_eq(after->links, 0);
    mapseg_info_free(before);
    mapseg_info_free(after);
    mapseg_free(seg);
    say(peer.channel, 'd');
    (void)hear(peer.channel);
    kill_peer(&peer);
    ck_assert(!exists(place.path));
}
END_TEST

/* ------------------------------------------------------------- mapseg_wait -- */

static void
wait_watching(struct stage *stage)
{
    mapseg *seg = attached_as(stage->place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_NAME);
    uint64_t now = 77;

    atomic_store(&stage->ready, 1);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_wait(seg, 0, &now, -1));
    need(is_one_line(mapseg_error_string(seg)));
    need_number(0, now);
    need(mapseg_is_attached(seg));
    /* It stays so, and what there is can still be read. */
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_wait(seg, 0, &now, 0));
    need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, &now, sizeof now, NULL));
    mapseg_free(seg);
}

START_TEST(a_sleeping_waiter_is_told)
{
    struct stage *stage = new_stage();
    struct peer peer = start_peer(actor, stage->place.key);
    mapseg *seg;
    pid_t waiter;

    leave_persistent(stage->place.key, 100, 0);
    waiter = start(wait_watching, stage);
    await(&stage->ready, 1);
    need_asleep(waiter);
    lose_name((enum way)_i, &stage->place, &peer);
    finish(waiter);
    kill_peer(&peer);
    seg = handle_for(stage->place.key);
    ignored(mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(only_those_who_ask_are_told)
{
    struct place place;
    mapseg *seg, *watching, *memory;

    new_place(&place);
    seg = created(place.key, 100);
    watching = attached_as(place.key, MAPSEG_READ_WRITE, MAPSEG_WATCH_NAME);
    need_call(MAPSEG_TIMED_OUT, watching, mapseg_wait(watching, 0, NULL, 0));
    ck_assert_int_eq(unlink(place.path), 0);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, 0, NULL, 100 * MILLISECOND));
    need_call(MAPSEG_NOT_FOUND, watching, mapseg_wait(watching, 0, NULL, 0));
    mapseg_free(seg);
    mapseg_free(watching);
    /* What never had a name has lost none. */
    memory = created_as("memfd:", 100, MAPSEG_WATCH_NAME);
    need_call(MAPSEG_TIMED_OUT, memory, mapseg_wait(memory, 0, NULL, 100 * MILLISECOND));
    mapseg_free(memory);
}
END_TEST

/** A directory that may not be looked into is no news. */
START_TEST(what_cannot_be_seen_is_not_told)
{
    struct place place;
    char key[KEY_BYTES + 16], file[KEY_BYTES + 8];
    mapseg *seg;

    new_place(&place);
    if (is_root())
        become_nobody();
    ck_assert_int_eq(mkdir(place.path, 0700), 0);
    snprintf(file, sizeof file, "%s/a", place.path);
    snprintf(key, sizeof key, "file:%s", file);
    seg = created_as(key, 100, MAPSEG_WATCH_NAME);
    ck_assert_int_eq(chmod(place.path, 0), 0);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, 0, NULL, 0));
    ck_assert_int_eq(chmod(place.path, 0700), 0);
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(rmdir(place.path), 0);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_wait(seg, 0, NULL, 0));
    mapseg_free(seg);
}
END_TEST

/** A reader that finds something new each time is told, too. */
START_TEST(a_busy_reader_is_told)
{
    struct place place;
    mapseg *writer, *reader;
    mapseg_result result = MAPSEG_OK;
    uint64_t seen = 0;
    int64_t deadline;

    new_place(&place);
    writer = created(place.key, 100);
    reader = attached_as(place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_NAME);
    ck_assert_int_eq(unlink(place.path), 0);
    deadline = hang_deadline();
    while (result == MAPSEG_OK && now_ns() < deadline) {
        uint64_t before = seen;

        need_call(MAPSEG_OK, writer, mapseg_write(writer, 0, "x", 1));
        result = mapseg_wait(reader, before, &seen, HANG);
        /* Nor is the version lost with which it is told. */
        ck_assert_uint_eq(seen, before + 2);
    }
    ck_assert_int_eq(result, MAPSEG_NOT_FOUND);
    mapseg_free(writer);
    mapseg_free(reader);
}
END_TEST

/* ---------------------------------------------------------------- the lock -- */

START_TEST(the_lock_tells_those_who_do_not_wait)
{
    struct place place;
    struct peer peer;
    mapseg *seg, *watching;

    new_place(&place);
    peer = start_peer(actor, place.key);
    seg = created(place.key, 100);
    watching = attached_as(place.key, MAPSEG_READ_WRITE, MAPSEG_WATCH_NAME);
    tell(&peer, 'a');
    tell(&peer, 'l');
    need_call(MAPSEG_WOULD_BLOCK, watching, mapseg_try_lock(watching));
    ck_assert_int_eq(unlink(place.path), 0);
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_NOT_FOUND, watching, mapseg_try_lock(watching));
    ck_assert(is_one_line(mapseg_error_string(watching)));
    need_call(MAPSEG_NOT_FOUND, watching, mapseg_lock_for(watching, MILLISECOND));
    need_call(MAPSEG_NOT_FOUND, watching, mapseg_write_begin(watching));
    need_call(MAPSEG_NOT_FOUND, watching, mapseg_write(watching, 0, "x", 1));
    /* A lock that is free is had all the same. */
    tell(&peer, 'u');
    need_call(MAPSEG_OK, watching, mapseg_lock(watching));
    need_call(MAPSEG_OK, watching, mapseg_unlock(watching));
    kill_peer(&peer);
    mapseg_free(seg);
    mapseg_free(watching);
}
END_TEST

static void
lock_watching(struct stage *stage)
{
    mapseg *seg = attached_as(stage->place.key, MAPSEG_READ_WRITE, MAPSEG_WATCH_NAME);

    atomic_store(&stage->ready, 1);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_lock(seg));
    mapseg_free(seg);
}

START_TEST(the_lock_tells_a_sleeper)
{
    struct stage *stage = new_stage();
    struct peer peer = start_peer(actor, stage->place.key);
    pid_t waiter;

    leave_persistent(stage->place.key, ACTOR_BYTES, 0);
    tell(&peer, 'a');
    tell(&peer, 'l');
    waiter = start(lock_watching, stage);
    await(&stage->ready, 1);
    need_asleep(waiter);
    ck_assert_int_eq(unlink(stage->place.path), 0);
    finish(waiter);
    /* The owner kept the lock. */
    tell(&peer, 'u');
    kill_peer(&peer);
}
END_TEST

/** A dead owner is replaced first: the lock is held then, and nothing else matters. */
START_TEST(a_dead_owner_comes_first)
{
    struct place place;
    struct peer peer;
    mapseg *watching;

    new_place(&place);
    leave_persistent(place.key, ACTOR_BYTES, 0);
    peer = start_peer(actor, place.key);
    tell(&peer, 'a');
    tell(&peer, 'l');
    watching = attached_as(place.key, MAPSEG_READ_WRITE, MAPSEG_WATCH_NAME);
    ck_assert_int_eq(unlink(place.path), 0);
    kill_peer(&peer);
    need_call(MAPSEG_OWNER_DIED, watching, mapseg_lock(watching));
    mapseg_free(watching);
}
END_TEST

/* ---------------------------------------------------------- the descriptor -- */

START_TEST(the_descriptor_tells_once)
{
    struct place place;
    struct peer peer;
    uint64_t version;
    mapseg *seg;

    new_place(&place);
    peer = start_peer(actor, place.key);
    seg = created_as(place.key, ACTOR_BYTES, MAPSEG_WATCH_NAME);
    version = quieten(seg);
    lose_name((enum way)_i, &place, &peer);
    ck_assert(is_notified(seg, HANG_MS));
    /* Reading does not tell it. */
    need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, &version, sizeof version, &version));
    ck_assert(is_notified(seg, 0));
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_wait(seg, version, NULL, 0));
    ck_assert(!is_notified(seg, 200));
    /* Changes are still told of. */
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "x", 1));
    ck_assert(is_notified(seg, HANG_MS));
    mapseg_free(seg);
    kill_peer(&peer);
    seg = handle_for(place.key);
    ignored(mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static void
watch_in_child(struct stage *stage)
{
    mapseg *seg = (mapseg *)(uintptr_t)stage->address;

    need_call(MAPSEG_NOT_FOUND, seg, mapseg_wait(seg, 0, NULL, -1));
}

/** What a child inherits watches on. */
START_TEST(a_child_watches_too)
{
    struct stage *stage = new_stage();
    mapseg *seg = created_as(stage->place.key, 100, MAPSEG_WATCH_NAME);
    pid_t child;

    stage->address = seg;
    child = start(watch_in_child, stage);
    ck_assert_int_eq(unlink(stage->place.path), 0);
    finish(child);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("vanish");
    TCase *group = new_case(suite, "names");

    tcase_add_loop_test(group, info_is_of_the_own_file, 0, WAYS);
    tcase_add_loop_test(group, a_sleeping_waiter_is_told, 0, WAYS);
    tcase_add_test(group, only_those_who_ask_are_told);
    tcase_add_test(group, what_cannot_be_seen_is_not_told);
    tcase_add_test(group, a_busy_reader_is_told);
    tcase_add_test(group, the_lock_tells_those_who_do_not_wait);
    tcase_add_test(group, the_lock_tells_a_sleeper);
    tcase_add_test(group, a_dead_owner_comes_first);
    tcase_add_loop_test(group, the_descriptor_tells_once, 0, WAYS);
    tcase_add_test(group, a_child_watches_too);
    return run_suite(suite);
}
