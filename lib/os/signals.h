/*
 * signals.h - keeping a thread's signals back for a moment.
 *
 * A handler of signals may call fork(), whose preparation waits for the fork
 * list, for recoveries and for holds of the process. A thread that it
 * interrupted with one of these in hand would wait for itself. So such a thread
 * keeps its signals back, all but those that its own faults raise: these
 * cannot wait, and fork.c asks for the depth.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_SIGNALS_H
#define MAPSEG_SIGNALS_H

#include <signal.h>

/** Keeps this thread's signals back until the release with the same `before`.
 *  They nest. Hold first, then lock; unlock, then release. */
void msi_signals_hold(sigset_t *before);
void msi_signals_release(const sigset_t *before);

/** How many holds of this thread there are. */
unsigned msi_signals_depth(void);

#endif
