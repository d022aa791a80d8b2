/*
 * reach.h - how the library reaches the memory of a segment, where the file could become shorter.
 *
 * Directly, where no other user could make it shorter: one that could might kill this process
 * as well. In a section of the guard, where the program asked for the guard. Else through the
 * descriptor, where no signal is raised.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_REACH_H
#define MAPSEG_REACH_H

#include "handle.h"

#include <sys/stat.h>

/** Decides it for a new attachment, whose file is open, by its status. `is_lazy`: memory that
 *  was not reserved may be wanting, which only the system's own copies survive. `guarded`: the
 *  guard is installed for it. */
void msi_reach_choose(struct msi_attachment *attachment, const struct stat *status, bool is_lazy,
                      bool guarded);

static inline enum msi_reach
msi_reach_of(const mapseg *seg)
{
    return (enum msi_reach)atomic_load_explicit(&seg->attachment.reach, memory_order_relaxed);
}

/** Allows the fast ways to read, as far as the reach does, or forbids them. The fork list is
 *  locked, or the handle not in use yet. */
void msi_reach_allow_fast(mapseg *seg);
void msi_reach_forbid_fast(mapseg *seg);

/** The program has begun a section on the handle: from now on its reads are sections, too. */
void msi_reach_guard(mapseg *seg);

/** A descriptor that writes is handed on, maybe to another user, who can then make the file
 *  shorter. The fork list is locked. */
void msi_reach_expose(mapseg *seg);

#endif
