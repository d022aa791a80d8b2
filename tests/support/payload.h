/*
 * payload.h - data that shows whether it was seen whole.
 *
 * Every word of it is one and the same number: the version that the change
 * makes which writes it. It lies in the data of a segment, so its words are
 * touched one by one, whatever the compiler would like better.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_PAYLOAD_H
#define TESTS_SUPPORT_PAYLOAD_H

#include "mapseg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/** Writes the words from byte `first` up to byte `end`. */
static inline void
payload_fill(void *data, size_t first, size_t end, uint64_t value)
{
    volatile uint64_t *words = data;

    if (words == NULL)
        abort();
    for (size_t i = first / sizeof *words; i < end / sizeof *words; i++)
        words[i] = value;
}

static inline bool
payload_is(const void *data, size_t bytes, uint64_t value)
{
    const volatile uint64_t *words = data;

    for (size_t i = 0; i < bytes / sizeof *words; i++)
        if (words[i] != value)
            return false;
    return true;
}

/** Within a change of this thread: the version that its end makes; 0: that
 *  cannot be told. */
static inline uint64_t
payload_next_version(mapseg *seg)
{
    uint64_t version = 0;
    uint64_t word;

    if (mapseg_read(seg, 0, &word, sizeof word, &version) != MAPSEG_OK || version % 2 == 0)
        return 0;
    return version + 1;
}

/** One whole change of the first bytes of the data. */
static inline mapseg_result
payload_change(mapseg *seg, size_t bytes)
{
    mapseg_result result = mapseg_write_begin(seg);

    if (!mapseg_result_owes_unlock(result))
        return result;
    payload_fill(mapseg_data(seg), 0, bytes, payload_next_version(seg));
    if (result == MAPSEG_OWNER_DIED)
        (void)mapseg_consistent(seg);
    return mapseg_write_end(seg);
}

#endif
