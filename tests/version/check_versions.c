/*
 * check_versions.c - the number that a change makes: from zero on, over 32 bits, and where a peer
 * writes over it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "seen.h"

#include <inttypes.h>

/* --------------------------------------------------------- from zero on -- */

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
    need_result(MAPSEG_OK, mapseg_read(seg, 0, &version, sizeof version, NULL));
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

/* ------------------------------------------------------ 64-bit versions -- */

#define EDGE_ROUNDS 20000
#define EDGE_BYTES 64

/** A body: a reader that sees versions that only grow, and the data of each. */
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
        need_result(MAPSEG_OK, mapseg_read_for(seg, 0, copy, sizeof copy, &version, HANG));
        if (version % 2 != 0 || version < last || !payload_is(copy, sizeof copy, version))
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

    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
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

/* -------------------------------------------------------- hostile peers -- */

/** The number says "odd" though no process holds the lock: whatever readers are
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
            mapseg_read_for(seg, 0, copy, sizeof copy, &version, 100 * MILLISECOND);

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

/* ---------------------------------------------------------------- suite -- */

static void
add_all(TCase *tcase, bool memory)
{
    (void)memory;
    tcase_add_test(tcase, versions_begin_at_zero_and_grow);
    tcase_add_test(tcase, lock_alone_is_no_change);
    tcase_add_test(tcase, low_half_overflows);
    tcase_add_test(tcase, writer_dies_at_the_edge);
    tcase_add_test(tcase, odd_version_of_nobody);
    tcase_add_test(tcase, versions_that_never_stand_still);
}

int
main(void)
{
    return run_in_memory_and_named("versions", add_all);
}
