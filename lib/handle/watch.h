/*
 * watch.h - noticing that the name of a segment is lost, or its last writer has left.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_WATCH_H
#define MAPSEG_WATCH_H

#include "handle.h"

/** The longest sleep of those that watch. */
#define MSI_WATCH_SLICE_NS INT64_C(64000000)

/** Whether the handle watches anything. */
static inline bool
msi_watch_is_on(const mapseg *seg)
{
    const uint32_t watches = (uint32_t)MAPSEG_WATCH_NAME | (uint32_t)MAPSEG_WATCH_WRITERS;

    return (seg->attachment.trust.flags & watches) != 0;
}

/** What there is to notice of what the handle watches: NOT_FOUND, the name is lost;
 *  NO_WRITER; else OK. Takes a few microseconds. */
mapseg_result msi_watch_look(mapseg *seg);

/** The same of the name alone, for callers that find something new each time: they really look
 *  once in a while, and hear OK in between. */
mapseg_result msi_watch_look_rarely(mapseg *seg);

/** Whether it is time to look again; *last is the last time, in milliseconds. */
bool msi_watch_is_due(_Atomic uint32_t *last);

#endif
