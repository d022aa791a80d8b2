/*
 * check_sequence.c - versions: what a change shows to whom, and when; what is
 * left of one whose writer died; versions that need more than 32 bits; files
 * that become shorter.
 */

#include "versions.h"

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096

/** What a reader gives a writer that must not end meanwhile. */
#define SHORT (50 * MILLISECOND)

/** Where nothing is copied to. */
static char nothing[1];

/** The version that the handle reads. */
static uint64_t
version_read(mapseg *seg)
{
    uint64_t version = 1;

    need_result(MAPSEG_OK, mapseg_read(seg, 0, nothing, 0, &version));
    return version;
}

/** Nobody gets to read, and the reason is this one. */
static void
need_unreadable(mapseg *seg, mapseg_result reason)
{
    uint64_t version = 77;
    uint64_t word;

    need_result(reason, mapseg_read_for(seg, 0, &word, sizeof(word), &version, SHORT));
    need_number(77, version);
    need_result(reason, mapseg_wait(seg, 1, NULL, SHORT));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
}

/** The lock is free, and nobody has died with it. */
static void
need_free(mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

/* --------------------------------------------------------------- changes -- */

START_TEST(versions_begin_at_zero_and_grow)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg_info *information;
    uint64_t version = 1;

    need_number(0, version_of(header));
    need_number(0, need_whole(seg));
    need_result(MAPSEG_OK, mapseg_read_begin(seg, &version));
    need_number(0, version);
    for (uint64_t round = 1; round <= 10; round++) {
        make_change(seg);
        need_number(2 * round, version_of(header));
        need_number(2 * round, need_whole(seg));
    }
    need_result(MAPSEG_OK, mapseg_info_new(seg, &information));
    need_number(20, information->version);
    mapseg_info_free(information);
    need_result(MAPSEG_OK, mapseg_read(seg, 0, &version, sizeof(version), NULL));
    need_number(20, version);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(lock_alone_is_no_change)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_number(0, version_read(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(0, version_read(seg));
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

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
    need_result(MAPSEG_OK, mapseg_write(seg, 8, &number, sizeof(number)));
    need(version_of(header) % 2 == 1);
    need_unreadable(other, MAPSEG_TIMED_OUT);
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need(version_of(header) % 2 == 1);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need(version_of(header) > 0 && version_of(header) % 2 == 0);
    need_free(other);
    number = 0;
    need_result(MAPSEG_OK, mapseg_read(other, 8, &number, sizeof(number), NULL));
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
    need(memcmp(&before, header, sizeof(before)) == 0);
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    before = *header;
    need_result(MAPSEG_NOT_LOCKED, mapseg_write_end(other));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(other));
    need_result(MAPSEG_NOT_LOCKED, mapseg_consistent(other));
    need(memcmp(&before, header, sizeof(before)) == 0);
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

/** A body of a thread that shares the writer's handle. */
static void *
read_beside_the_writer(void *argument)
{
    uint64_t version = 77;
    uint64_t word;

    need_result(MAPSEG_TIMED_OUT,
                mapseg_read_for(argument, 0, &word, sizeof(word), &version, SHORT));
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
    need_result(MAPSEG_OK, mapseg_write(seg, 0, &number, sizeof(number)));
    number = 0;
    need_result(MAPSEG_OK, mapseg_read(seg, 0, &number, sizeof(number), &version));
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
    need_result(MAPSEG_PERMISSION_DENIED, mapseg_write(seg, 0, &number, sizeof(number)));
    need_result(MAPSEG_NOT_LOCKED, mapseg_write_end(seg));
    need_free(other);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_PERMISSION_DENIED, mapseg_write_begin(seg));
    need_result(MAPSEG_PERMISSION_DENIED, mapseg_write(seg, 0, &number, sizeof(number)));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(0, version_of(header));
    need_number(0, need_whole(seg));
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** The body of a stranger, who may not even lock. */
static void
change_as_stranger(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, READER_STRANGER);
    uint64_t number = 5;

    need_result(MAPSEG_PERMISSION_DENIED, mapseg_write_begin(seg));
    need_result(MAPSEG_PERMISSION_DENIED, mapseg_write(seg, 0, &number, sizeof(number)));
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

START_TEST(ranges_outside_the_data)
{
    static const struct {
        size_t offset;
        size_t bytes;
        mapseg_result result;
    } ranges[] = {
        {0, 0, MAPSEG_OK},
        {0, 1000, MAPSEG_OK},
        {999, 1, MAPSEG_OK},
        {1000, 0, MAPSEG_OK},
        {0, 1001, MAPSEG_INVALID_ARGUMENT},
        {999, 2, MAPSEG_INVALID_ARGUMENT},
        {1000, 1, MAPSEG_INVALID_ARGUMENT},
        {1001, 0, MAPSEG_INVALID_ARGUMENT},
        {SIZE_MAX, 0, MAPSEG_INVALID_ARGUMENT},
        {SIZE_MAX, 1, MAPSEG_INVALID_ARGUMENT},
        {SIZE_MAX, 2, MAPSEG_INVALID_ARGUMENT},
        {1, SIZE_MAX, MAPSEG_INVALID_ARGUMENT},
        {2, SIZE_MAX, MAPSEG_INVALID_ARGUMENT},
        {500, SIZE_MAX - 499, MAPSEG_INVALID_ARGUMENT},
        {SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1, MAPSEG_INVALID_ARGUMENT},
        {0, SIZE_MAX, MAPSEG_INVALID_ARGUMENT},
    };
    struct stage *stage = new_show(1000);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);
    char copy[1000] = {0};

    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
        uint64_t before = version_of(header);
        uint64_t version = 77;

        need_result(ranges[i].result,
                    mapseg_read(seg, ranges[i].offset, copy, ranges[i].bytes, &version));
        need_number(ranges[i].result == MAPSEG_OK ? before : 77, version);
        need_result(ranges[i].result,
                    mapseg_read_for(seg, ranges[i].offset, copy, ranges[i].bytes, NULL, 0));
        need_result(ranges[i].result, mapseg_write(seg, ranges[i].offset, copy, ranges[i].bytes));
        if (ranges[i].result != MAPSEG_OK)
            need_number(before, version_of(header));
        need_free(seg);
    }
    /* A bad range ends no change either. */
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    need_result(MAPSEG_INVALID_ARGUMENT, mapseg_write(seg, 1000, copy, 1));
    need_result(MAPSEG_INVALID_ARGUMENT, mapseg_read(seg, 1000, copy, 1, NULL));
    need(version_of(header) % 2 == 1);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** Every byte comes over, and none beside it, wherever a range begins. */
START_TEST(bytes_are_copied_exactly)
{
    struct stage *stage = new_show(1000);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    unsigned char truth[1000] = {0};
    unsigned char copy[1000];
    uint32_t random = 88172645;

    for (int round = 0; round < 3000; round++) {
        size_t bytes = next_random(&random) % (round % 2 == 0 ? 40 : 1000);
        size_t offset = next_random(&random) % (1000 - bytes);
        size_t shift = next_random(&random) % (1000 - bytes);

        for (size_t i = 0; i < bytes; i++)
            truth[offset + i] = copy[shift + i] = (unsigned char)next_random(&random);
        need_result(MAPSEG_OK, mapseg_write(seg, offset, copy + shift, bytes));
        need(memcmp(mapseg_const_data(seg), truth, sizeof(truth)) == 0);
        bytes = next_random(&random) % (round % 2 == 0 ? 40 : 1000);
        offset = next_random(&random) % (1000 - bytes);
        shift = next_random(&random) % (1000 - bytes);
        memset(copy, 0xa5, sizeof(copy));
        need_result(MAPSEG_OK, mapseg_read(seg, offset, copy + shift, bytes, NULL));
        need(memcmp(copy + shift, truth + offset, bytes) == 0);
        for (size_t i = 0; i < sizeof(copy); i++)
            need((i >= shift && i < shift + bytes) || copy[i] == 0xa5);
    }
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(handles_that_are_not_attached)
{
    struct stage *stage = new_stage();
    mapseg *seg = handle_for(stage->place.key);
    uint64_t version = 77;
    char byte = 0;

    for (int round = 0; round < 2; round++) {
        need_result(MAPSEG_NOT_ATTACHED, mapseg_read(seg, 0, &byte, 1, &version));
        need_result(MAPSEG_NOT_ATTACHED, mapseg_error(seg));
        need_result(MAPSEG_NOT_ATTACHED, mapseg_read_for(seg, 0, &byte, 1, &version, -1));
        need_result(MAPSEG_NOT_ATTACHED, mapseg_read_begin(seg, &version));
        need_number(77, version);
        need(mapseg_read_retry(seg, 0));
        need_result(MAPSEG_NOT_ATTACHED, mapseg_wait(seg, 0, NULL, -1));
        need_result(MAPSEG_LOCK_ERROR, mapseg_write_begin(seg));
        need_result(MAPSEG_LOCK_ERROR, mapseg_write(seg, 0, &byte, 1));
        need_result(MAPSEG_NOT_LOCKED, mapseg_write_end(seg));
        need_result(MAPSEG_OK, mapseg_create(seg, 1, MAPSEG_READ_WRITE));
        need_result(MAPSEG_OK, mapseg_write(seg, 0, &byte, 1));
        need_result(MAPSEG_OK, mapseg_detach(seg));
    }
    mapseg_free(seg);
}
END_TEST

START_TEST(reading_in_place)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t version = 1;

    need_result(MAPSEG_OK, mapseg_read_begin(other, &version));
    need(payload_is(mapseg_const_data(other), DATA_BYTES, version));
    need(!mapseg_read_retry(other, version));
    need(!mapseg_read_retry(other, version));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need(!mapseg_read_retry(other, version));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_write_begin(seg));
    need(mapseg_read_retry(other, version));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need(mapseg_read_retry(other, version));
    need_result(MAPSEG_OK, mapseg_read_begin(other, &version));
    need_number(2, version);
    need(!mapseg_read_retry(other, version));
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

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
    need_result(MAPSEG_OK, mapseg_write(seg, 0, &number, sizeof(number)));
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

/* ---------------------------------------------------------- dead writers -- */

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

/** A body: a reader beside a writer who lives, but does not run. */
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

/** Who only ends the change, or only unlocks, leaves it to the next. */
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

/** Under the lock of who was told, mapseg_write is part of the repair. */
START_TEST(repair_by_writing_ranges)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t number = 5;

    let_writer_die(stage);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_write(seg, 0, &number, sizeof(number)));
    need_unreadable(other, MAPSEG_OWNER_DIED);
    need_result(MAPSEG_OK, mapseg_write(seg, DATA_BYTES - 8, &number, sizeof(number)));
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

START_TEST(write_under_a_lock_that_is_held)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t number = 5;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    for (uint64_t round = 1; round <= 3; round++) {
        need_result(MAPSEG_OK, mapseg_write(seg, 0, &number, sizeof(number)));
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
        need_result(MAPSEG_OWNER_DIED, mapseg_write(seg, 64, &number, sizeof(number)));
        need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
        need(memcmp(before, mapseg_const_data(seg), DATA_BYTES) == 0);
        need(version_of(header) % 2 == 1);
    }
    need_unreadable(other, MAPSEG_OWNER_DIED);
    repair(other);
    need_result(MAPSEG_OK, mapseg_write(seg, 64, &number, sizeof(number)));
    need_free(seg);
    mapseg_free(other);
    mapseg_free(seg);
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
    need_result(MAPSEG_OWNER_DIED, mapseg_write(seg, 0, &number, sizeof(number)));
    need_number(2, need_whole(seg));
    repair(seg);
    need(need_whole(seg) > 2);
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

/* ------------------------------------------------------- 64-bit versions -- */

#define EDGE_ROUNDS 20000
#define EDGE_BYTES 64

/** A body: a reader who sees versions that only
 *  grow, and the data of each. */
static void
watch_versions(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, next_kind);
    uint64_t copy[EDGE_BYTES / sizeof(uint64_t)];
    uint64_t last = 0;
    bool wait = false;

    atomic_fetch_add(&stage->ready, 1);
    while (atomic_load(&stage->go) == 0) {
        uint64_t version = 1;

        if (wait)
            ignored(mapseg_wait(seg, last, NULL, 10 * MILLISECOND));
        wait = !wait;
        need_result(MAPSEG_OK, mapseg_read_for(seg, 0, copy, sizeof(copy), &version, HANG));
        if (version % 2 != 0 || version < last || !payload_is(copy, sizeof(copy), version))
            broken("%" PRIx64 " with data of %" PRIx64 " after %" PRIx64, version, copy[0], last);
        last = version;
    }
    need_number((int64_t)need_whole(seg), (int64_t)version_read(seg));
    mapseg_free(seg);
}

/** Over the end of the low half, again and again, under the readers' eyes. The
 *  low half alone is set by hand, as by many changes at once. */
START_TEST(low_half_overflows)
{
    struct stage *stage = new_show(EDGE_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    pid_t readers[READER_KINDS];
    mapseg *seg;

    start_all(watch_versions, stage, readers);
    await(&stage->ready, count_kinds());
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    for (uint64_t round = 0; round < EDGE_ROUNDS; round++) {
        need_result(MAPSEG_OK, mapseg_write_begin(seg));
        set_version(header, round << 32 | UINT64_C(0xfffffff9));
        payload_fill(mapseg_data(seg), 0, EDGE_BYTES, payload_next_version(seg));
        need_result(MAPSEG_OK, mapseg_write_end(seg));
        need_number((int64_t)(round << 32 | UINT64_C(0xfffffffa)), (int64_t)version_of(header));
        for (int i = 0; i < 5; i++)
            make_change(seg);
        need_number((int64_t)((round + 1) << 32 | 4), (int64_t)version_of(header));
        if (round % 64 == 0)
            nap(MILLISECOND / 5);
    }
    atomic_store(&stage->go, 1);
    finish_all(readers);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** A death at the edge is as any other. */
START_TEST(writer_dies_at_the_edge)
{
    static const uint64_t edges[] = {UINT64_C(0xfffffffc), UINT64_C(0xfffffffe),
                                     UINT64_C(0x7ffffffffffffffe), UINT64_C(0x5fffffffe)};
    struct stage *stage = new_show(DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    for (size_t i = 0; i < sizeof(edges) / sizeof(*edges); i++) {
        set_version(header, edges[i]);
        let_writer_die(stage);
        need(version_of(header) > edges[i] && version_of(header) % 2 == 1);
        need_unreadable(seg, MAPSEG_OWNER_DIED);
        repair(seg);
        need(need_whole(seg) > edges[i] && need_whole(seg) <= edges[i] + 8);
    }
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/* --------------------------------------------------------- hostile peers -- */

/** The number says "odd" though nobody holds the lock: whatever readers are
 *  told, they are told in time, and the next writer sets it right. */
START_TEST(odd_version_of_nobody)
{
    struct stage *stage = new_show(DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t version = 77;
    mapseg_result result;

    set_version(header, 5);
    result = mapseg_read_for(seg, 0, nothing, 0, &version, SHORT);
    need(result == MAPSEG_OWNER_DIED || result == MAPSEG_TIMED_OUT);
    result = mapseg_wait(seg, 4, NULL, SHORT);
    need(result == MAPSEG_OWNER_DIED || result == MAPSEG_TIMED_OUT);
    result = mapseg_read_begin(seg, &version);
    need(result == MAPSEG_OWNER_DIED || result == MAPSEG_TIMED_OUT);
    need_number(77, version);
    need(mapseg_result_owes_unlock(mapseg_write_begin(seg)));
    payload_fill(mapseg_data(seg), 0, DATA_BYTES, payload_next_version(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need(need_whole(seg) >= 6);
    need_free(seg);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** A body: counts versions without the lock and without a pause. */
static void
count_versions(struct stage *stage)
{
    struct mapseg_header *header = map_header(stage->place.path);

    while (atomic_load(&stage->go) == 0) {
        set_version(header, version_of(header) + 2);
        atomic_store(&stage->ready, 1);
    }
}

/** A body: what never stands still ends in time all the same. */
static void
read_what_never_stands(struct stage *stage)
{
    mapseg *seg = reader_at(&stage->place, next_kind);
    static char copy[1 << 20];
    uint64_t version;

    for (int round = 0; round < 3; round++) {
        mapseg_result result =
            mapseg_read_for(seg, 0, copy, sizeof(copy), &version, 100 * MILLISECOND);

        need(result == MAPSEG_OK || result == MAPSEG_TIMED_OUT);
    }
    need_result(MAPSEG_OK, mapseg_read_begin(seg, &version));
    need_result(MAPSEG_OK, mapseg_wait(seg, version, &version, HANG));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    mapseg_free(seg);
}

START_TEST(versions_that_never_stand_still)
{
    struct stage *stage = new_show(1 << 20);
    pid_t counter = start(count_versions, stage);
    pid_t readers[READER_KINDS];

    await(&stage->ready, 1);
    start_all(read_what_never_stands, stage, readers);
    finish_all(readers);
    atomic_store(&stage->go, 1);
    finish(counter);
    end_show(stage);
}
END_TEST

/* ---------------------------------------------------------- shorter files -- */

#define LARGE_BYTES (1 << 20)

/** Reads until told that the file shrank; what then must stay so. */
static void
read_until_it_shrinks(mapseg *seg)
{
    static char copy[LARGE_BYTES];
    uint64_t version;
    mapseg_result result;

    while ((result = mapseg_read(seg, 0, copy, sizeof(copy), &version)) == MAPSEG_OK)
        need(payload_is(copy, sizeof(copy), version));
    need_result(MAPSEG_FILE_SHRUNK, result);
}

static void
wait_until_it_shrinks(mapseg *seg)
{
    mapseg_result result;

    while ((result = mapseg_wait(seg, 0, NULL, MILLISECOND)) == MAPSEG_TIMED_OUT)
        ;
    need_result(MAPSEG_FILE_SHRUNK, result);
}

static void
look_until_it_shrinks(mapseg *seg)
{
    mapseg_result result;
    uint64_t version;

    while ((result = mapseg_read_begin(seg, &version)) == MAPSEG_OK)
        ignored(mapseg_read_retry(seg, version));
    need_result(MAPSEG_FILE_SHRUNK, result);
    need(mapseg_read_retry(seg, 0));
}

/** Sleeps without a limit: the end of the file must end that too. */
static void
sleep_until_it_shrinks(mapseg *seg)
{
    need_result(MAPSEG_FILE_SHRUNK, mapseg_wait(seg, 0, NULL, -1));
}

static void (*const until_it_shrinks[])(mapseg *seg) = {
    read_until_it_shrinks,
    wait_until_it_shrinks,
    look_until_it_shrinks,
    sleep_until_it_shrinks,
};

#define SHRINK_WAYS ((int)(sizeof(until_it_shrinks) / sizeof(*until_it_shrinks)))

/** A body: does one thing over and over, with no handler of SIGBUS added. */
static void
watch_it_shrink(struct stage *stage)
{
    struct sigaction before, after;
    uint64_t version;
    mapseg *seg;
    char byte;

    /* Sanitizers have a handler of their own. */
    need(sigaction(SIGBUS, NULL, &before) == 0);
    seg = reader_at(&stage->place, (enum reader_kind)(stage->number % READER_KINDS));
    atomic_fetch_add(&stage->ready, 1);
    until_it_shrinks[stage->number / READER_KINDS](seg);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    /* The file has its old size again; what was in it is lost for good. */
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read(seg, 0, &byte, 1, NULL));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_error(seg));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_wait(seg, 0, NULL, -1));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read_begin(seg, &version));
    need(mapseg_read_retry(seg, 0));
    if (stage->number % READER_KINDS == READER_CAN_WRITE)
        need_result(MAPSEG_FILE_SHRUNK, mapseg_write(seg, 0, &byte, 1));
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need_result(MAPSEG_NOT_ATTACHED, mapseg_read(seg, 0, &byte, 1, NULL));
    need(sigaction(SIGBUS, NULL, &after) == 0);
    need(after.sa_handler == before.sa_handler);
    mapseg_free(seg);
}

/** The file shrinks under somebody who reads it, to nothing, or to what still
 *  has the header. */
START_TEST(file_shrinks)
{
    struct stage *stage = new_show(LARGE_BYTES);
    off_t size = lseek(open(stage->place.path, O_RDONLY | O_CLOEXEC), 0, SEEK_END);
    off_t left = _i / READER_KINDS == 0 && _i % 2 == 0 ? 8192 : 0;
    pid_t reader;

    stage->number = _i;
    reader = start(watch_it_shrink, stage);
    await(&stage->ready, 1);
    nap(5 * MILLISECOND);
    need(truncate(stage->place.path, left) == 0);
    await(&stage->ready, 2);
    need(truncate(stage->place.path, size) == 0);
    atomic_store(&stage->go, 1);
    finish(reader);
    (void)unlink(stage->place.path);
}
END_TEST

/* ------------------------------------------------------------------ main -- */

static void
add_changes(TCase *tcase)
{
    tcase_add_test(tcase, versions_begin_at_zero_and_grow);
    tcase_add_test(tcase, lock_alone_is_no_change);
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
    tcase_add_test(tcase, ranges_outside_the_data);
    tcase_add_test(tcase, bytes_are_copied_exactly);
    tcase_add_test(tcase, reading_in_place);
    tcase_add_test(tcase, fork_within_a_change);
}

static void
add_deaths(TCase *tcase)
{
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

static void
add_others(TCase *tcase)
{
    tcase_add_test(tcase, low_half_overflows);
    tcase_add_test(tcase, writer_dies_at_the_edge);
    tcase_add_test(tcase, odd_version_of_nobody);
    tcase_add_test(tcase, versions_that_never_stand_still);
}

int
main(void)
{
    Suite *suite = new_suite("sequence");
    TCase *memory = new_case(suite, "in memory");
    TCase *named = new_case(suite, "named");

    tcase_add_checked_fixture(memory, use_memory_files, NULL);
    for (int i = 0; i < 2; i++) {
        add_changes(i == 0 ? memory : named);
        add_deaths(i == 0 ? memory : named);
        add_others(i == 0 ? memory : named);
    }
    tcase_add_test(named, handles_that_are_not_attached);
    for (int i = 0; i < SHRINK_WAYS * READER_KINDS; i++)
        if (i % READER_KINDS < count_kinds())
            tcase_add_loop_test(named, file_shrinks, i, i + 1);
    return run_suite(suite);
}
