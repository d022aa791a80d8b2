/*
 * check_writers.c - MAPSEG_WATCH_WRITERS: those who wait for changes learn that no process is left
 * that could make one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "actors.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/** The ways in which a writer leaves. */
enum way { DETACHED, ENDED, KILLED, WAYS };

static void
leave(enum way way, struct peer *peer)
{
    switch (way) {
    case DETACHED:
        tell(peer, 'd');
        kill_peer(peer);
        break;
    case ENDED:
        say(peer->channel, 'e');
        ck_assert_int_eq(end_peer(peer), 0);
        break;
    default:
        kill_peer(peer);
    }
}

static void
wait_for_end(struct stage *stage)
{
    mapseg *seg = attached_as(stage->place.key, MAPSEG_READ_ONLY,
                              (uint32_t)stage->number | MAPSEG_WATCH_WRITERS);
    uint64_t now = 77;

    atomic_store(&stage->ready, 1);
    need_call(MAPSEG_NO_WRITER, seg, mapseg_wait(seg, 0, &now, -1));
    need(is_one_line(mapseg_error_string(seg)));
    need_number(0, now);
    need(mapseg_is_attached(seg));
    mapseg_free(seg);
}

/** The last reader removes the segment: nothing is left of the publisher that was killed. */
START_TEST(a_sleeping_reader_is_told)
{
    struct stage *stage = new_stage();
    struct peer peer = start_peer(actor, stage->place.key);
    pid_t waiter;

    tell(&peer, 'c');
    waiter = start(wait_for_end, stage);
    await(&stage->ready, 1);
    need_asleep(waiter);
    leave((enum way)_i, &peer);
    finish(waiter);
    ck_assert(!exists(stage->place.path));
}
END_TEST

/** Those who can lock, but not write the data, are no writers; nor are those who only read. */
START_TEST(readers_do_not_count)
{
    struct stage *stage = new_stage();
    struct peer writer = start_peer(actor, stage->place.key);
    struct peer reader = start_peer(actor, stage->place.key);
    mapseg *seg;

    tell(&writer, 'c');
    tell(&reader, 'o');
    seg = attached_as(stage->place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_WRITERS);
    ck_assert_uint_eq(writers_of(stage->place.key), 1);
    need_attached(3, stage->place.key);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, 0, NULL, 0));
    /* A reader may own the lock. */
    tell(&reader, 'l');
    kill_peer(&writer);
    await_writers(stage->place.key, 0);
    need_call(MAPSEG_NO_WRITER, seg, mapseg_wait(seg, 0, NULL, 0));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    tell(&reader, 'd');
    kill_peer(&reader);
    mapseg_free(seg);
    ck_assert(!exists(stage->place.path));
}
END_TEST

START_TEST(each_writer_counts)
{
    struct stage *stage = new_stage();
    struct peer first = start_peer(actor, stage->place.key);
    struct peer second = start_peer(actor, stage->place.key);
    mapseg *seg;

    tell(&first, 'c');
    tell(&second, 'a');
    seg = attached_as(stage->place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_WRITERS);
    ck_assert_uint_eq(writers_of(stage->place.key), 2);
    kill_peer(&first);
    await_writers(stage->place.key, 1);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, 0, NULL, 0));
    kill_peer(&second);
    await_writers(stage->place.key, 0);
    need_call(MAPSEG_NO_WRITER, seg, mapseg_wait(seg, 0, NULL, 0));
    mapseg_free(seg);
}
END_TEST

/** A child that inherits the attachment of a writer is one, also when its parent is dead. */
START_TEST(a_writers_child_counts)
{
    struct stage *stage = new_stage();
    struct peer writer = start_peer(actor, stage->place.key);
    mapseg *seg;

    tell(&writer, 'c');
    seg = attached_as(stage->place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_WRITERS);
    ck_assert_int_eq(setpgid(writer.pid, writer.pid), 0);
    tell(&writer, 'f');
    ck_assert_uint_eq(writers_of(stage->place.key), 2);
    ck_assert_int_eq(kill(writer.pid, SIGKILL), 0);
    await_writers(stage->place.key, 1);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, 0, NULL, 0));
    ck_assert_int_eq(kill(-writer.pid, SIGKILL), 0);
    await_writers(stage->place.key, 0);
    need_call(MAPSEG_NO_WRITER, seg, mapseg_wait(seg, 0, NULL, 0));
    (void)end_peer(&writer);
    mapseg_free(seg);
}
END_TEST

/** A writer that waits for others' changes does not count itself. */
START_TEST(a_writer_is_not_its_own_company)
{
    struct stage *stage = new_stage();
    struct peer other = start_peer(actor, stage->place.key);
    mapseg *seg = created_as(stage->place.key, ACTOR_BYTES, MAPSEG_WATCH_WRITERS);

    for (int i = 0; i < 20; i++) {
        need_call(MAPSEG_NO_WRITER, seg, mapseg_wait(seg, 0, NULL, 0));
        tell(&other, 'a');
        need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, 0, NULL, 0));
        tell(&other, 'd');
    }
    kill_peer(&other);
    mapseg_free(seg);
}
END_TEST

/** What a writer published last is given out before its end is told. */
START_TEST(the_last_version_comes_first)
{
    struct stage *stage = new_stage();
    struct peer writer = start_peer(actor, stage->place.key);
    uint64_t seen = 0;
    mapseg *seg;

    tell(&writer, 'c');
    seg = attached_as(stage->place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_WRITERS);
    tell(&writer, 'w');
    kill_peer(&writer);
    await_writers(stage->place.key, 0);
    need_call(MAPSEG_OK, seg, mapseg_wait(seg, 0, &seen, 0));
    ck_assert_uint_eq(seen, 2);
    need_call(MAPSEG_NO_WRITER, seg, mapseg_wait(seg, seen, &seen, -1));
    mapseg_free(seg);
}
END_TEST

static void
follow(struct stage *stage)
{
    mapseg *seg = attached_as(stage->place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_WRITERS);
    uint64_t seen = 0;

    atomic_store(&stage->ready, 1);
    while (mapseg_wait(seg, seen, &seen, -1) == MAPSEG_OK)
        ;
    need_number(MAPSEG_NO_WRITER, mapseg_error(seg));
    need_number(2 * 3, seen);
    mapseg_free(seg);
}

/** Also where it published while the reader was about to look. */
START_TEST(nothing_is_lost_at_the_end)
{
    for (int i = 0; i < 50; i++) {
        struct stage *stage = new_stage();
        struct peer writer = start_peer(actor, stage->place.key);
        pid_t reader;

        tell(&writer, 'c');
        reader = start(follow, stage);
        await(&stage->ready, 1);
        tell(&writer, 'w');
        tell(&writer, 'w');
        tell(&writer, 'w');
        kill_peer(&writer);
        finish(reader);
    }
}
END_TEST

/** A writer that died half way is told of as ever, and at once. */
START_TEST(death_half_way)
{
    struct stage *stage = new_stage();
    struct peer writer = start_peer(actor, stage->place.key);
    mapseg *seg, *healer;

    tell(&writer, 'c');
    seg = attached_as(stage->place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_WRITERS);
    tell(&writer, 'b');
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, 0, NULL, 0));
    kill_peer(&writer);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_wait(seg, 0, NULL, -1));
    healer = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OWNER_DIED, healer, mapseg_lock(healer));
    need_call(MAPSEG_OK, healer, mapseg_consistent(healer));
    need_call(MAPSEG_OK, seg, mapseg_wait(seg, 0, NULL, 0));
    mapseg_free(healer);
    mapseg_free(seg);
}
END_TEST

START_TEST(only_those_who_ask_are_told)
{
    struct stage *stage = new_stage();
    mapseg *seg, *watching;

    leave_persistent(stage->place.key, 100, 0);
    seg = attached(stage->place.key, MAPSEG_READ_ONLY);
    watching = attached_as(stage->place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_WRITERS);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, 0, NULL, 100 * MILLISECOND));
    need_call(MAPSEG_NO_WRITER, watching, mapseg_wait(watching, 0, NULL, -1));
    /* The version that there is can be asked for all the same. */
    need_call(MAPSEG_OK, watching, mapseg_wait(watching, MAPSEG_ANY_VERSION, NULL, -1));
    mapseg_free(seg);
    mapseg_free(watching);
    remove_persistent(stage->place.key);
}
END_TEST

/** The readers of a memory file that a single writer has. */
START_TEST(a_single_writer)
{
    struct stage *stage = new_stage();
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *writer = created_as("memfd:", 100, MAPSEG_SINGLE_WRITER | MAPSEG_NO_FORK);
    mapseg *reader = mapseg_new();
    int fd = exported_fd(writer, MAPSEG_READ_ONLY);

    (void)stage;
    ck_assert_int_ge(fd, 0);
    options.flags = MAPSEG_WATCH_WRITERS;
    need_call(MAPSEG_OK, reader, mapseg_attach_fd_with(reader, fd, MAPSEG_READ_ONLY, &options));
    need_call(MAPSEG_TIMED_OUT, reader, mapseg_wait(reader, 0, NULL, 0));
    need_call(MAPSEG_OK, writer, mapseg_write(writer, 0, "x", 1));
    mapseg_free(writer);
    need_call(MAPSEG_OK, reader, mapseg_wait(reader, 0, NULL, -1));
    need_call(MAPSEG_NO_WRITER, reader, mapseg_wait(reader, 2, NULL, -1));
    mapseg_free(reader);
}
END_TEST

/** The descriptor tells each end once, and of the next one again. */
START_TEST(the_descriptor_tells_each_end)
{
    struct stage *stage = new_stage();
    struct peer writer = start_peer(actor, stage->place.key);
    uint64_t seen;
    mapseg *seg;

    leave_persistent(stage->place.key, ACTOR_BYTES, 0);
    tell(&writer, 'a');
    seg = attached_as(stage->place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_WRITERS);
    seen = quieten(seg);
    for (int i = 0; i < 3; i++) {
        tell(&writer, 'w');
        tell(&writer, 'd');
        ck_assert(is_notified(seg, HANG_MS));
        need_call(MAPSEG_OK, seg, mapseg_wait(seg, seen, &seen, 0));
        ck_assert(is_notified(seg, HANG_MS));
        need_call(MAPSEG_NO_WRITER, seg, mapseg_wait(seg, seen, &seen, 0));
        ck_assert(!is_notified(seg, 200));
        tell(&writer, 'a');
        need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, seen, &seen, 200 * MILLISECOND));
        ck_assert(!is_notified(seg, 0));
    }
    kill_peer(&writer);
    ck_assert(is_notified(seg, HANG_MS));
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/** A writer that died half way is told of once, too: a loop that polls does not spin. */
START_TEST(the_descriptor_tells_a_death_once)
{
    struct stage *stage = new_stage();
    struct peer writer = start_peer(actor, stage->place.key);
    uint64_t seen;
    mapseg *seg;

    leave_persistent(stage->place.key, ACTOR_BYTES, 0);
    tell(&writer, 'a');
    seg = attached_as(stage->place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_WRITERS);
    seen = quieten(seg);
    tell(&writer, 'b');
    kill_peer(&writer);
    ck_assert(is_notified(seg, HANG_MS));
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_wait(seg, seen, &seen, 0));
    ck_assert(!is_notified(seg, 200));
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("writers");
    TCase *group = new_case(suite, "writers");

    tcase_add_loop_test(group, a_sleeping_reader_is_told, 0, WAYS);
    tcase_add_test(group, readers_do_not_count);
    tcase_add_test(group, each_writer_counts);
    tcase_add_test(group, a_writers_child_counts);
    tcase_add_test(group, a_writer_is_not_its_own_company);
    tcase_add_test(group, the_last_version_comes_first);
    tcase_add_test(group, nothing_is_lost_at_the_end);
    tcase_add_test(group, death_half_way);
    tcase_add_test(group, only_those_who_ask_are_told);
    tcase_add_test(group, a_single_writer);
    tcase_add_test(group, the_descriptor_tells_each_end);
    tcase_add_test(group, the_descriptor_tells_a_death_once);
    return run_suite(suite);
}
