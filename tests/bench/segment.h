/*
 * segment.h - segments for the measures that are about mapseg's own calls.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_SEGMENT_H
#define BENCH_SEGMENT_H

#include <mapseg.h>

#include <stdbool.h>
#include <stddef.h>

enum segment_kind {
    SEGMENT_MEMFD,   /**< sealed: nobody can make it shorter */
    SEGMENT_NAMED,   /**< in /dev/shm, where its owner can */
    SEGMENT_GUARDED, /**< the same, with MAPSEG_GUARDED */
    SEGMENT_SHARED   /**< in /dev/shm, where every user can */
};

/** A new segment, attached to write. NULL: it failed, and the error stream says why. */
mapseg *segment_new(enum segment_kind kind, size_t bytes);

/** Another attachment to a segment, by a descriptor that cannot write. NULL: as above. */
mapseg *segment_reader(mapseg *seg);

/** Whether a call worked; if not, the error stream says what. */
bool segment_did(mapseg *seg, mapseg_result result);

#endif
