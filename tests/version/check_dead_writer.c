/*
 * check_dead_writer.c - what is left of a change whose writer died: what readers are told, and how
 * it is repaired.
 *
 * SPDX-License-Identifier: MIT
 */
#include "seen.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* -------------------------------------------------------------- readers -- */

/** A body: a reader beside a dead writer. */
static void
read_after_death(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, next_kind);
    uint64_t version = 77;

    for (int round = 0; round < 2; round++)
        need_unreadable(seg, MAPSEG_OWNER_DIED);
    need_result(MAPSEG_OWNER_DIED, mapseg_read(seg, 0, nothing, 0, &version));
    need_result(MAPSEG_OWNER_DIED, mapseg_read_for(seg, 0, nothing, 0, &version, -1));
    need_result(MAPSEG_OWNER_DIED, mapseg_read_begin(seg, &version));
    need_number(77, version);
    need(mapseg_read_retry(seg, 2));
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need(need_whole(seg) > 2);
    mapseg_free(seg);
}

START_TEST(readers_are_told_of_a_dead_writer)
{
    struct stage *stage = new_show(DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    pid_t readers[READER_KINDS];

    make_change(seg);
    let_writer_die(stage);
    need(version_of(header) > 2 && version_of(header) % 2 == 1);
    start_all(read_after_death, stage, readers);
    await(&stage->ready, 1 + count_kinds());
    need(version_of(header) % 2 == 1);
    repair(seg);
    atomic_store(&stage->go, 1);
    finish_all(readers);
    need_free(seg);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** A body: a reader beside a writer that lives, but does not run. */
static void
read_beside_a_stopped_writer(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, next_kind);
    uint64_t version;

    for (int round = 0; round < 3; round++)
        need_unreadable(seg, MAPSEG_TIMED_OUT);
    need_result(MAPSEG_TIMED_OUT, mapseg_read_begin(seg, &version));
    atomic_fetch_add(&stage->ready, 1);
    need_result(MAPSEG_OK, mapseg_read_for(seg, 0, nothing, 0, &version, -1));
    need_number(2, version);
    need_number(2, need_whole(seg));
    mapseg_free(seg);
}

START_TEST(writer_that_is_stopped_is_not_dead)
{
    struct stage *stage = new_show(DATA_BYTES);
    pid_t writer = start_writer(stage);
    pid_t readers[READER_KINDS];

    need(kill(writer, SIGSTOP) == 0);
    start_all(read_beside_a_stopped_writer, stage, readers);
    await(&stage->ready, 1 + count_kinds());
    /* Longer than any pause after which a dead one would be given up. */
    nap(3 * SECOND / 2);
    for (int i = 0; i < count_kinds(); i++)
        need(waitpid(readers[i], NULL, WNOHANG) == 0);
    atomic_store(&stage->go, 1);
    need(kill(writer, SIGCONT) == 0);
    finish(writer);
    finish_all(readers);
    end_show(stage);
}
END_TEST

/** A body: dies with the lock, outside of any change. */
static void
lock_for_good(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need(mapseg_result_owes_unlock(mapseg_lock(seg)));
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        (void)pause();
}

START_TEST(owner_who_dies_outside_a_change_hurts_no_reader)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t number = 5;
    pid_t owner;

    make_change(seg);
    owner = start(lock_for_good, stage);
    await(&stage->ready, 1);
    need_number(2, need_whole(seg));
    kill_and_reap(owner);
    need_number(2, need_whole(seg));
    need_result(MAPSEG_OWNER_DIED, mapseg_write(seg, 0, &number, sizeof number));
    need_number(2, need_whole(seg));
    repair(seg);
    need(need_whole(seg) > 2);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/* --------------------------------------------------------------- repair -- */

/** Between "the data is in order" and the end of the change nothing is seen. */
START_TEST(repair_shows_nothing_before_its_end)
{
    struct stage *stage = new_show(DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg *seg;
    mapseg *other;
    uint64_t next;

    let_writer_die(stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    other = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_result(MAPSEG_OWNER_DIED, mapseg_write_begin(seg));
    need(version_of(header) % 2 == 1);
    next = payload_next_version(seg);
    payload_fill(mapseg_data(seg), 0, DATA_BYTES / 4, next);
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need(version_of(header) % 2 == 1);
    need_unreadable(other, MAPSEG_TIMED_OUT);
    need_number((int64_t)next, (int64_t)payload_next_version(seg));
    payload_fill(mapseg_data(seg), DATA_BYTES / 4, DATA_BYTES, next);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need_number((int64_t)next, (int64_t)need_whole(other));
    need_free(other);
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** An owner that only ends the change, or only unlocks, leaves the repair to the next. */
START_TEST(end_without_repair_leaves_it_to_the_next)
{
    struct stage *stage = new_show(DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg *seg;

    let_writer_die(stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    for (int round = 0; round < 8; round++) {
        if (round % 2 == 0)
            need_result(MAPSEG_OWNER_DIED, mapseg_write_begin(seg));
        else
            need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
        need(version_of(header) % 2 == 1);
        if (round % 4 < 2)
            need_result(MAPSEG_OK, mapseg_write_end(seg));
        else
            need_result(MAPSEG_OK, mapseg_unlock(seg));
        need(version_of(header) % 2 == 1);
        need_unreadable(seg, MAPSEG_OWNER_DIED);
    }
    repair(seg);
    need(need_whole(seg) > 0);
    need_free(seg);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** Repaired under the lock alone; `_i` begins a change at the end of it. */
START_TEST(repair_under_the_lock)
{
    struct stage *stage = new_show(DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t version;

    make_change(seg);
    let_writer_die(stage);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need(version_of(header) % 2 == 1);
    payload_fill(mapseg_data(seg), 0, DATA_BYTES, 99);
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    if (_i == 1) {
        need_result(MAPSEG_ALREADY_LOCKED, mapseg_write_begin(seg));
        need(version_of(header) % 2 == 1);
    }
    need_result(MAPSEG_OK, _i == 1 ? mapseg_write_end(seg) : mapseg_unlock(seg));
    version = version_of(header);
    need(version > 2 && version % 2 == 0);
    need_number((int64_t)version, (int64_t)version_read(seg));
    need_free(seg);
    make_change(seg);
    need((int64_t)need_whole(seg) > (int64_t)version);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** Locked, told, and only then begun: the change is under way all the same. */
START_TEST(repair_begun_under_the_lock)
{
    struct stage *stage = new_show(DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);

    let_writer_die(stage);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_write_begin(seg));
    payload_fill(mapseg_data(seg), 0, DATA_BYTES / 2, UINT64_C(99));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need(version_of(header) % 2 == 1);
    need_unreadable(other, MAPSEG_TIMED_OUT);
    payload_fill(mapseg_data(seg), 0, DATA_BYTES, payload_next_version(seg));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need(need_whole(other) > 0);
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** Under the lock of an owner that was told, mapseg_write is part of the repair. */
START_TEST(repair_by_writing_ranges)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t number = 5;

    let_writer_die(stage);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_write(seg, 0, &number, sizeof number));
    need_unreadable(other, MAPSEG_OWNER_DIED);
    need_result(MAPSEG_OK, mapseg_write(seg, DATA_BYTES - 8, &number, sizeof number));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need(version_read(other) % 2 == 0);
    need_free(other);
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(write_leaves_a_dead_writers_data_alone)
{
    struct stage *stage = new_show(DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    unsigned char before[DATA_BYTES];
    uint64_t number = 12345;

    let_writer_die(stage);
    memcpy(before, data_of(seg), DATA_BYTES);
    for (int round = 0; round < 3; round++) {
        need_result(MAPSEG_OWNER_DIED, mapseg_write(seg, 64, &number, sizeof number));
        need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
        need(memcmp(before, mapseg_const_data(seg), DATA_BYTES) == 0);
        need(version_of(header) % 2 == 1);
    }
    need_unreadable(other, MAPSEG_OWNER_DIED);
    repair(other);
    need_result(MAPSEG_OK, mapseg_write(seg, 64, &number, sizeof number));
    need_free(seg);
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** A body: finds half of a change, and dies while repairing it. */
static void
repair_and_hang(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OWNER_DIED, mapseg_write_begin(seg));
    payload_fill(mapseg_data(seg), 0, DATA_BYTES / 8, 77);
    if (stage->number == 1)
        need_result(MAPSEG_OK, mapseg_consistent(seg));
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        (void)pause();
}

/** However many repairs break off, and after whatever they have declared. */
START_TEST(repair_that_dies_is_repaired)
{
    struct stage *stage = new_show(DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t before;

    let_writer_die(stage);
    before = version_of(header);
    for (int round = 0; round < 4; round++) {
        pid_t successor;

        stage->number = round % 2;
        successor = start(repair_and_hang, stage);
        await(&stage->ready, round + 2);
        need(version_of(header) % 2 == 1);
        kill_and_reap(successor);
        need_unreadable(seg, MAPSEG_OWNER_DIED);
        need(version_of(header) >= before && version_of(header) % 2 == 1);
        before = version_of(header);
    }
    repair(seg);
    need(need_whole(seg) > before);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

static void
add_all(TCase *tcase, bool memory)
{
    (void)memory;
    tcase_add_test(tcase, readers_are_told_of_a_dead_writer);
    tcase_add_test(tcase, writer_that_is_stopped_is_not_dead);
    tcase_add_test(tcase, repair_shows_nothing_before_its_end);
    tcase_add_test(tcase, end_without_repair_leaves_it_to_the_next);
    tcase_add_loop_test(tcase, repair_under_the_lock, 0, 2);
    tcase_add_test(tcase, repair_begun_under_the_lock);
    tcase_add_test(tcase, repair_by_writing_ranges);
    tcase_add_test(tcase, write_leaves_a_dead_writers_data_alone);
    tcase_add_test(tcase, owner_who_dies_outside_a_change_hurts_no_reader);
    tcase_add_test(tcase, repair_that_dies_is_repaired);
}

int
main(void)
{
    return run_in_memory_and_named("dead_writer", add_all);
}
