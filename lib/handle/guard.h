/*
 * guard.h - surviving a file that becomes shorter under its mappings.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_GUARD_H
#define MAPSEG_GUARD_H

#include "handle.h"

/** Whether this thread has an open section on the handle. Whether the file
 *  shrank meanwhile is in seg->shrunk. */
bool msi_guard_is_within(mapseg *seg);

/** Ends all sections of this thread on a handle that is being detached. */
void msi_guard_forget(mapseg *seg);

#endif
