/*
 * reader_mapseg.c - mapseg_read, on segments of several kinds.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "reader.h"

#include "segment.h"

#include <stdlib.h>

#define SMALL_BYTES 64

/** The reader's attachment, which may be the writer's. */
struct record {
    mapseg *seg;
    mapseg *reader;
};

static void
teardown(void *state)
{
    struct record *record = state;

    if (record->reader != record->seg)
        mapseg_free(record->reader);
    mapseg_free(record->seg);
    free(record);
}

static void *
setup(enum segment_kind kind, bool read_only)
{
    struct record *record = calloc(1, sizeof *record);

    if (record == NULL)
        return NULL;
    record->seg = segment_new(kind, RECORD_BYTES);
    record->reader = record->seg;
    if (record->seg != NULL && read_only)
        record->reader = segment_reader(record->seg);
    if (record->reader != NULL)
        return record;
    teardown(record);
    return NULL;
}

static void *
setup_memfd(void)
{
    return setup(SEGMENT_MEMFD, false);
}

static void *
setup_read_only(void)
{
    return setup(SEGMENT_MEMFD, true);
}

static void *
setup_named(void)
{
    return setup(SEGMENT_NAMED, false);
}

static void *
setup_shared(void)
{
    return setup(SEGMENT_SHARED, false);
}

static void *
setup_guarded(void)
{
    return setup(SEGMENT_GUARDED, false);
}

/** mapseg_read tries for a second, which is too long to wait for a large record here. A small one
 * is always had. */
static mapseg_result
read_once(mapseg *seg, const struct reading *reading)
{
    if (reading->bytes <= SMALL_BYTES)
        return mapseg_read(seg, 0, reading->to, reading->bytes, NULL);
    return mapseg_read_for(seg, 0, reading->to, reading->bytes, NULL, READ_PATIENCE_NS);
}

static bool
read_beside_writer(mapseg *seg, struct reading *reading, long count)
{
    for (; count > 0; count--) {
        mapseg_result result = read_once(seg, reading);
        if (result != MAPSEG_TIMED_OUT && !segment_did(seg, result))
            return false;
        if (!note_read(reading, result == MAPSEG_OK ? GOT_RECORD : GAVE_UP))
            return false;
    }
    return true;
}

static bool
read_records(void *state, struct reading *reading, long count)
{
    mapseg *seg = ((struct record *)state)->reader;

    if (reading->written)
        return read_beside_writer(seg, reading, count);
    for (; count > 0; count--) {
        if (mapseg_read(seg, 0, reading->to, reading->bytes, NULL) != MAPSEG_OK)
            return segment_did(seg, mapseg_error(seg));
    }
    return true;
}

static bool
read_in_section(void *state, struct reading *reading, long count)
{
    mapseg *seg = ((struct record *)state)->reader;
    bool good = segment_did(seg, mapseg_guard_begin(seg));

    if (!good)
        return false;
    good = read_records(state, reading, count);
    return segment_did(seg, mapseg_guard_end(seg)) && good;
}

static bool
write_record(void *state, const uint64_t *from, size_t bytes)
{
    mapseg *seg = ((struct record *)state)->seg;

    return segment_did(seg, mapseg_write(seg, 0, from, bytes));
}

const struct reader reader_mapseg = {
    .name = "mapseg",
    .what = "mapseg_read, a sealed memfd",
    .setup = setup_memfd,
    .read = read_records,
    .write = write_record,
    .teardown = teardown,
};

const struct reader reader_mapseg_only = {
    .name = "mapseg-only",
    .what = "the same, by one who can neither write nor lock",
    .setup = setup_read_only,
    .read = read_records,
    .write = write_record,
    .teardown = teardown,
};

const struct reader reader_mapseg_skewed = {
    .name = "mapseg-skewed",
    .what = "mapseg_read to 8 bytes behind the start of a page",
    .skew = sizeof(uint64_t),
    .setup = setup_memfd,
    .read = read_records,
    .write = write_record,
    .teardown = teardown,
};

const struct reader reader_mapseg_named = {
    .name = "mapseg-named",
    .what = "a named segment that only its owner can make shorter",
    .setup = setup_named,
    .read = read_records,
    .write = write_record,
    .teardown = teardown,
};

const struct reader reader_mapseg_shared = {
    .name = "mapseg-shared",
    .what = "one that others can make shorter, too: by system calls",
    .setup = setup_shared,
    .read = read_records,
    .write = write_record,
    .teardown = teardown,
};

const struct reader reader_mapseg_guarded = {
    .name = "mapseg-guarded",
    .what = "a named segment with MAPSEG_GUARDED: each read is a section",
    .setup = setup_guarded,
    .read = read_records,
    .write = write_record,
    .teardown = teardown,
};

const struct reader reader_mapseg_section = {
    .name = "mapseg-section",
    .what = "a named segment within mapseg_guard_begin and _end",
    .setup = setup_named,
    .read = read_in_section,
    .write = write_record,
    .teardown = teardown,
};
