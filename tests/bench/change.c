/*
 * change.c - what a change costs that no process waits for, by what kind of segment it is.
 *
 * Whether a writer has to wake is decided by who may read the segment without being able to say
 * that it waits: no process where only the owner may read, others where the mode lets them, and
 * any receiver of a memory file.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"
#include "interleave.h"
#include "segment.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TURN_NS 1000000
#define SEGMENT_BYTES ((size_t)4096)
#define WRITTEN_BYTES ((size_t)64)

/** The least that a writer does: what the others are held against. */
static bool
copy_under_lock(void *state, long count)
{
    static const char from[WRITTEN_BYTES];
    void *to = mapseg_data(state);

    for (; count > 0; count--) {
        if (mapseg_lock(state) != MAPSEG_OK)
            return false;
        memcpy(to, from, sizeof from);
        /* Else a compiler could leave all copies but the last one out. */
        __asm__ volatile("" ::: "memory");
        if (mapseg_unlock(state) != MAPSEG_OK)
            return false;
    }
    return true;
}

static bool
write_range(void *state, long count)
{
    static const char from[WRITTEN_BYTES];

    for (; count > 0; count--) {
        if (mapseg_write(state, 0, from, sizeof from) != MAPSEG_OK)
            return false;
    }
    return true;
}

static bool
store_under_lock(void *state, long count)
{
    volatile long *word = mapseg_data(state);

    for (; count > 0; count--) {
        if (mapseg_lock(state) != MAPSEG_OK)
            return false;
        *word = count;
        if (mapseg_unlock(state) != MAPSEG_OK)
            return false;
    }
    return true;
}

static bool
store_in_change(void *state, long count)
{
    volatile long *word = mapseg_data(state);

    for (; count > 0; count--) {
        if (mapseg_write_begin(state) != MAPSEG_OK)
            return false;
        *word = count;
        if (mapseg_write_end(state) != MAPSEG_OK)
            return false;
    }
    return true;
}

/** A segment that its owner alone may read, one that all may read, and one without a name. */
struct subjects {
    mapseg *own;
    mapseg *readable;
    mapseg *memfd;
};

static mapseg *
new_readable(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = mapseg_new();
    char key[64];

    if (seg == NULL)
        return NULL;
    options.mode = 0644;
    snprintf(key, sizeof key, "shm:mapseg-bench-%ld-readable", (long)getpid());
    if (segment_did(seg, mapseg_set_native_key(seg, key)) &&
        segment_did(seg, mapseg_create_with(seg, SEGMENT_BYTES, MAPSEG_READ_WRITE, &options)))
        return seg;
    mapseg_free(seg);
    return NULL;
}

static bool
compare(struct report *report, const struct runner *runners, size_t count,
        struct headed_table *headed)
{
    headed->unit_ns = 1;
    report->change.count++;
    return interleave(runners, count, report->effort.change_rounds, TURN_NS, &headed->table);
}

static bool
compare_copies(struct report *report, const struct subjects *subjects)
{
    const struct runner runners[] = {
        {"lock-copy", "mapseg_lock, memcpy, mapseg_unlock", subjects->own, copy_under_lock, NULL,
         NULL},
        {"mapseg-0600", "mapseg_write; named, its owner alone may read", subjects->own, write_range,
         NULL, NULL},
        {"mapseg-0644", "mapseg_write; named, all users may read", subjects->readable, write_range,
         NULL, NULL},
        {"mapseg-memfd", "mapseg_write; a sealed memfd", subjects->memfd, write_range, NULL, NULL},
    };
    struct headed_table *headed = &report->change.list[report->change.count];

    headed->name = "64-bytes";
    headed->title = "A change of 64 bytes that no process waits for";
    return compare(report, runners, sizeof runners / sizeof runners[0], headed);
}

static bool
compare_stores(struct report *report, const struct subjects *subjects)
{
    const struct runner runners[] = {
        {"lock-store", "mapseg_lock, a store, mapseg_unlock", subjects->own, store_under_lock, NULL,
         NULL},
        {"mapseg-0600", "mapseg_write_begin, a store, mapseg_write_end; named, its owner's alone",
         subjects->own, store_in_change, NULL, NULL},
        {"mapseg-0644", "the same; named, all users may read", subjects->readable, store_in_change,
         NULL, NULL},
        {"mapseg-memfd", "the same; a sealed memfd", subjects->memfd, store_in_change, NULL, NULL},
    };
    struct headed_table *headed = &report->change.list[report->change.count];

    headed->name = "one-word";
    headed->title = "A change of one word that no process waits for";
    return compare(report, runners, sizeof runners / sizeof runners[0], headed);
}

bool
measure_change(struct report *report, const struct choice *choice)
{
    struct subjects subjects = {
        .own = segment_new(SEGMENT_NAMED, SEGMENT_BYTES),
        .readable = new_readable(),
        .memfd = segment_new(SEGMENT_MEMFD, SEGMENT_BYTES),
    };
    bool good = subjects.own != NULL && subjects.readable != NULL && subjects.memfd != NULL;

    (void)choice;
    use_cpu(0);
    good = good && compare_copies(report, &subjects) && compare_stores(report, &subjects);
    use_cpu(-1);
    mapseg_free(subjects.own);
    mapseg_free(subjects.readable);
    mapseg_free(subjects.memfd);
    return good;
}
