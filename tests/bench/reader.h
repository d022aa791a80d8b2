/*
 * reader.h - ways to read a record that another process may be writing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_READER_H
#define BENCH_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The largest record. */
#define RECORD_BYTES ((size_t)65536)
/** A read beside a writer gives up after this: some would never end. */
#define READ_PATIENCE_NS INT64_C(5000000)

enum got { GOT_NOTHING = 0, GOT_RECORD, GAVE_UP };

/** What a read is to get, and where to. */
struct reading {
    uint64_t *to;
    size_t bytes;
    /** A process writes meanwhile: the read gives up in time, and what it got is checked. */
    bool written;
    /** How many gave up. */
    long gave_up;
};

struct reader {
    const char *name;
    const char *what;
    /** How far behind the start of a page it reads to, where the record begins at one: processors
     *  that take the two for the same place copy slowly. */
    size_t skew;
    /** A record of RECORD_BYTES; NULL: it failed. */
    void *(*setup)(void);
    /** Reads `count` times; false: it failed, or a record was torn. */
    bool (*read)(void *state, struct reading *reading, long count);
    /** In another process: makes all of the record's first bytes another value. */
    bool (*write)(void *state, const uint64_t *from, size_t bytes);
    void (*teardown)(void *state);
};

extern const struct reader reader_seqlock;
extern const struct reader reader_memcpy;
extern const struct reader reader_mutex;
extern const struct reader reader_mapseg;
extern const struct reader reader_mapseg_only;
extern const struct reader reader_mapseg_skewed;
extern const struct reader reader_mapseg_named;
extern const struct reader reader_mapseg_shared;
extern const struct reader reader_mapseg_guarded;
extern const struct reader reader_mapseg_section;

/** Whether what was read is whole: a writer gives all words the same value. Counts those that gave
 *  up. For the readers' loops. */
static inline bool
note_read(struct reading *reading, enum got got)
{
    if (!reading->written)
        return got == GOT_RECORD;
    if (got == GAVE_UP)
        reading->gave_up++;
    else if (reading->to[0] != reading->to[reading->bytes / sizeof(uint64_t) - 1])
        return false;
    return got != GOT_NOTHING;
}

#endif
