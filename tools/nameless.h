/*
 * nameless.h - segments that have lost their names, and which processes still have them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TOOL_NAMELESS_H
#define MAPSEG_TOOL_NAMELESS_H

#include <mapseg.h>

#include <stdbool.h>
#include <sys/types.h>

/** A process that has one. */
struct nameless {
    pid_t pid;
    char path[64];      /**< where it can still be read: /proc/PID/fd/N */
    const char *former; /**< its name as far as it is known; "": it is not */
    mapseg_info *seen;  /**< of the segment; it has neither key nor path */
};

/** Calls `visit` for each process of those that this user may look into, and each such segment
 *  that it has open; no more when that says false. False: it did, or there is no memory. */
bool each_nameless(bool (*visit)(void *context, const struct nameless *found), void *context);

/** Prints a line for each process that still has a segment which had the handle's name, to
 *  standard output, or as a note. */
void tell_former_users(mapseg *seg, bool as_note);

#endif
