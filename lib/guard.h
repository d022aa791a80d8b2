/*
 * guard.h - surviving a file that becomes shorter under its mappings.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_GUARD_H
#define MAPSEG_GUARD_H

#include "handle.h"

/** Whether the program has asked for the guard: its handler of SIGBUS is in
 *  place, so that sections cost no system call. */
bool mapseg_guard_is_on(void);

/** Begins a section of this thread on the handle, as mapseg_access_begin does
 *  but without words. 0, or -ENOMEM. */
int mapseg_guard_enter(mapseg *seg);

/** Ends it. Whether the file shrank is in seg->shrunk. */
void mapseg_guard_leave(mapseg *seg);

/** Ends all sections of this thread on a handle that is being detached. */
void mapseg_guard_forget(mapseg *seg);

#endif
