/*
 * signals.c - keeping a thread's signals back for a moment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "signals.h"

#include <pthread.h>
#include <stddef.h>

/* Initial-exec: the general model may allocate, which a handler must not. It
 * takes four bytes of the space that libc keeps for the likes. */
static _Thread_local volatile sig_atomic_t depth __attribute__((tls_model("initial-exec")));

/** All but those that a fault raises in the thread that met it: blocked, they
 *  end the process instead of reaching the program's handler. */
static void
fill(sigset_t *set)
{
    static const int faults[] = {SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};

    sigfillset(set);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(set, faults[i]);
}

void
msi_signals_hold(sigset_t *before)
{
    sigset_t held;

    /* Where a sandbox refuses, it refuses the release as well. */
    sigemptyset(before);
    if (depth == 0) {
        fill(&held);
        (void)pthread_sigmask(SIG_BLOCK, &held, before);
    }
    depth = depth + 1;
}

void
msi_signals_release(const sigset_t *before)
{
    depth = depth - 1;
    if (depth == 0)
        (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

unsigned
msi_signals_depth(void)
{
    return (unsigned)depth;
}
