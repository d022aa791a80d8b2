/*
 * record.h - a counter that shows when two processes are inside at once.
 *
 * It lies in the data of a segment and is worked on under the segment's lock
 * only. No store of it is atomic but the mark of who is inside, so a lock that
 * lets two in loses counts, tears the pair, or meets the mark.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_RECORD_H
#define TESTS_SUPPORT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

/** The same layout in 32-bit and 64-bit programs. */
struct record {
    uint64_t count;
    uint64_t inverse; /**< ~count whenever no process is inside */
    uint32_t inside;
    uint32_t pad;
};

static inline void
record_init(struct record *record)
{
    record->count = 0;
    record->inverse = ~UINT64_C(0);
    record->inside = 0;
    record->pad = 0;
}

/** Counts one up under the lock. False: another process was inside too. */
static inline bool
record_add(struct record *record)
{
    volatile struct record *shared = record;
    bool alone = __atomic_exchange_n(&record->inside, 1, __ATOMIC_RELAXED) == 0;
    uint64_t count = shared->count;

    alone = alone && shared->inverse == ~count;
    shared->count = count + 1;
    for (volatile int pause = 0; pause < 20; pause++)
        ;
    alone = alone && shared->count == count + 1;
    shared->inverse = ~(count + 1);
    return __atomic_exchange_n(&record->inside, 0, __ATOMIC_RELAXED) == 1 && alone;
}

/** Puts the pair in order after an owner died inside. */
static inline void
record_repair(struct record *record)
{
    record->inverse = ~record->count;
    __atomic_store_n(&record->inside, 0, __ATOMIC_RELAXED);
}

#endif
