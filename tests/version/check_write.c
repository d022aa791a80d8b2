/*
 * check_write.c - mapseg_write_begin and mapseg_write_end: what a change shows, to whom, and when.
 *
 * SPDX-License-Identifier: MIT
 */
#include "seen.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* -------------------------------------------------------- begin and end -- */

START_TEST(change_under_a_lock_that_is_held)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);

    need_result(MAPSEG_OK, mapseg_lock_for(seg, SHORT));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_write_begin(seg));
    need(version_of(header) % 2 == 1);
    need_unreadable(other, MAPSEG_TIMED_OUT);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need_number(2, version_of(header));
    need_free(other);
    need_result(MAPSEG_NOT_LOCKED, mapseg_write_end(seg));
    need_number(2, version_of(header));
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(write_under_a_lock_that_is_held)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t number = 5;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    for (uint64_t round = 1; round <= 3; round++) {
        need_result(MAPSEG_OK, mapseg_write(seg, 0, &number, sizeof number));
        need_number(2 * round, version_read(other));
        need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    }
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(6, version_read(other));
    need_free(other);
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(change_within_a_change)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);
    uint64_t number = 5;

    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_write_begin(seg));
    need(version_of(header) % 2 == 1);
    need_result(MAPSEG_OK, mapseg_write(seg, 8, &number, sizeof number));
    need(version_of(header) % 2 == 1);
    need_unreadable(other, MAPSEG_TIMED_OUT);
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need(version_of(header) % 2 == 1);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need(version_of(header) > 0 && version_of(header) % 2 == 0);
    need_free(other);
    number = 0;
    need_result(MAPSEG_OK, mapseg_read(other, 8, &number, sizeof number, NULL));
    need_number(5, number);
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(end_without_the_lock_changes_nothing)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);
    struct mapseg_header before = *header;

    need_result(MAPSEG_NOT_LOCKED, mapseg_write_end(seg));
    need(memcmp(&before, header, sizeof before) == 0);
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    before = *header;
    need_result(MAPSEG_NOT_LOCKED, mapseg_write_end(other));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(other));
    need_result(MAPSEG_NOT_LOCKED, mapseg_consistent(other));
    need(memcmp(&before, header, sizeof before) == 0);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need_number(2, version_of(header));
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(unlock_publishes_the_change)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);

    for (uint64_t round = 1; round <= 3; round++) {
        need_result(MAPSEG_OK, mapseg_write_begin(seg));
        payload_fill(mapseg_data(seg), 0, DATA_BYTES, 2 * round);
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        need_number(2 * round, need_whole(other));
        need_free(other);
    }
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(consistent_within_a_change_shows_nothing)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    payload_fill(mapseg_data(seg), 0, DATA_BYTES / 2, 2);
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_unreadable(other, MAPSEG_TIMED_OUT);
    payload_fill(mapseg_data(seg), DATA_BYTES / 2, DATA_BYTES, 2);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need_number(2, need_whole(other));
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** Leaving in the middle of a change is as dying there. */
START_TEST(detach_abandons_the_change)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);

    for (int round = 0; round < 3; round++) {
        need_result(MAPSEG_OK, mapseg_write_begin(seg));
        payload_fill(mapseg_data(seg), 0, DATA_BYTES / 2, UINT64_C(99));
        if (round == 0) {
            need_result(MAPSEG_OK, mapseg_detach(seg));
            need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
        } else {
            mapseg_free(seg);
            seg = attached(stage->place.key, MAPSEG_READ_WRITE);
        }
        need_unreadable(other, MAPSEG_OWNER_DIED);
        repair(round == 2 ? seg : other);
        need(need_whole(other) > 0);
        need_free(other);
    }
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(plain_lock_released_by_detach_hurts_no_reader)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);

    make_change(seg);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    mapseg_free(seg);
    need_number(2, need_whole(other));
    need_free(other);
    mapseg_free(other);
    end_show(stage);
}
END_TEST

/* ------------------------------------------------------- who may change -- */

/** A body of a thread that shares the writer's handle. */
static void *
read_beside_the_writer(void *argument)
{
    uint64_t version = 77;
    uint64_t word;

    need_result(MAPSEG_TIMED_OUT,
                mapseg_read_for(argument, 0, &word, sizeof word, &version, SHORT));
    need_number(77, version);
    need_result(MAPSEG_TIMED_OUT, mapseg_wait(argument, 1, NULL, SHORT));
    need(mapseg_read_retry(argument, 0));
    return NULL;
}

static void *
end_for_the_writer(void *argument)
{
    need_result(MAPSEG_OK, mapseg_write_end(argument));
    return NULL;
}

static void
run_thread(void *(*body)(void *argument), void *argument)
{
    pthread_t thread;

    need(pthread_create(&thread, NULL, body, argument) == 0);
    need(pthread_join(thread, NULL) == 0);
}

START_TEST(writer_alone_reads_its_own_work)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t version = 0;
    uint64_t number = 5;

    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    need_result(MAPSEG_OK, mapseg_write(seg, 0, &number, sizeof number));
    number = 0;
    need_result(MAPSEG_OK, mapseg_read(seg, 0, &number, sizeof number, &version));
    need_number(5, number);
    need(version % 2 == 1);
    need(!mapseg_read_retry(seg, version));
    run_thread(read_beside_the_writer, seg);
    run_thread(end_for_the_writer, seg);
    need_number(2, version_read(seg));
    need_result(MAPSEG_NOT_LOCKED, mapseg_write_end(seg));
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(read_only_handle_changes_nothing)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = reader_at(&stage->place, READER_READ_ONLY);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);
    uint64_t number = 5;

    need_result(MAPSEG_PERMISSION_DENIED, mapseg_write_begin(seg));
    need_free(other);
    need_result(MAPSEG_PERMISSION_DENIED, mapseg_write(seg, 0, &number, sizeof number));
    need_result(MAPSEG_NOT_LOCKED, mapseg_write_end(seg));
    need_free(other);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_PERMISSION_DENIED, mapseg_write_begin(seg));
    need_result(MAPSEG_PERMISSION_DENIED, mapseg_write(seg, 0, &number, sizeof number));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(0, version_of(header));
    need_number(0, need_whole(seg));
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** A body: a stranger, who may not even lock. */
static void
change_as_stranger(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, READER_STRANGER);
    uint64_t number = 5;

    need_result(MAPSEG_PERMISSION_DENIED, mapseg_write_begin(seg));
    need_result(MAPSEG_PERMISSION_DENIED, mapseg_write(seg, 0, &number, sizeof number));
    need_result(MAPSEG_NOT_LOCKED, mapseg_write_end(seg));
    need_number(0, need_whole(seg));
    mapseg_free(seg);
}

START_TEST(stranger_changes_nothing)
{
    struct stage *stage = new_show(DATA_BYTES);

    finish(start(change_as_stranger, stage));
    end_show(stage);
}
END_TEST

/* ---------------------------------------------------------------- forks -- */

/** The child has a handle, and the very thread, that look like the writer's. */
static void
be_child_of_writer(struct stage *stage, mapseg *seg)
{
    uint64_t number = 2;

    need_unreadable(seg, MAPSEG_TIMED_OUT);
    need_result(MAPSEG_NOT_LOCKED, mapseg_write_end(seg));
    need(mapseg_read_retry(seg, 0));
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need_number(2, need_whole(seg));
    /* The child is within no change. */
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(2, need_whole(seg));
    need_result(MAPSEG_OK, mapseg_write(seg, 0, &number, sizeof number));
    need_number(4, version_read(seg));
    need_free(seg);
    make_change(seg);
    mapseg_free(seg);
}

/** A child that only leaves: the change is the parent's, and goes on. */
static void
be_child_who_leaves(struct stage *stage, mapseg *seg)
{
    (void)stage;
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    mapseg_free(seg);
}

static pid_t
fork_child(void (*body)(struct stage *stage, mapseg *seg), struct stage *stage, mapseg *seg)
{
    pid_t child = fork();

    if (child == 0) {
        body(stage, seg);
        _exit(0);
    }
    need(child > 0);
    return child;
}

START_TEST(fork_within_a_change)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    pid_t child;

    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    finish(fork_child(be_child_who_leaves, stage, seg));
    need_unreadable(other, MAPSEG_TIMED_OUT);
    payload_fill(mapseg_data(seg), 0, DATA_BYTES, 2);
    child = fork_child(be_child_of_writer, stage, seg);
    await(&stage->ready, 1);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need_number(2, need_whole(other));
    atomic_store(&stage->go, 1);
    finish(child);
    need_number(6, need_whole(seg));
    need_free(other);
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

static void
add_all(TCase *tcase, bool memory)
{
    (void)memory;
    tcase_add_test(tcase, change_under_a_lock_that_is_held);
    tcase_add_test(tcase, write_under_a_lock_that_is_held);
    tcase_add_test(tcase, change_within_a_change);
    tcase_add_test(tcase, end_without_the_lock_changes_nothing);
    tcase_add_test(tcase, unlock_publishes_the_change);
    tcase_add_test(tcase, consistent_within_a_change_shows_nothing);
    tcase_add_test(tcase, detach_abandons_the_change);
    tcase_add_test(tcase, plain_lock_released_by_detach_hurts_no_reader);
    tcase_add_test(tcase, writer_alone_reads_its_own_work);
    tcase_add_test(tcase, read_only_handle_changes_nothing);
    if (is_root())
        tcase_add_test(tcase, stranger_changes_nothing);
    tcase_add_test(tcase, fork_within_a_change);
}

int
main(void)
{
    return run_in_memory_and_named("write", add_all);
}
