/*
 * guard.h - surviving a file that becomes shorter under its mappings.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_GUARD_H
#define MAPSEG_GUARD_H

#include "handle.h"
#include "os/failure.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Initial-exec: the general model may allocate, which a handler must not. It takes sixteen
 * bytes of the space that libc keeps for the likes. */
extern _Thread_local struct msi_guard_thread {
    mapseg *_Atomic reading; /**< the handle that a call of the library reads or writes, in a
                                section of its own; NULL: none */
    bool ready;              /**< the handler is installed, and SIGBUS not blocked by us */
} msi_guard_thread __attribute__((tls_model("initial-exec")));

/** Installs the handler, once in a process: 0, or a negative errno. */
int msi_guard_install(void);

/** The same for a file that is to be attached; and with words where it fails. */
mapseg_result msi_guard_install_for(struct msi_failure *failure);

/** Makes this thread one that a section can protect: as a thread's first section does. 0, or
 *  a negative errno. */
int msi_guard_get_ready(void);

/** Begins and ends a section around one call's accesses, in a thread that is ready. They do
 *  not nest: the calls that use them are not for handlers of signals. */
static inline void
msi_guard_begin_reading(mapseg *seg)
{
    atomic_store_explicit(&msi_guard_thread.reading, seg, memory_order_relaxed);
    /* The handler, in this thread, must find it: the accesses that follow stay behind it. */
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void
msi_guard_end_reading(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&msi_guard_thread.reading, NULL, memory_order_relaxed);
}

/** Whether this thread has an open section on the handle. Whether the file
 *  shrank meanwhile is in seg->shrunk. */
bool msi_guard_is_within(mapseg *seg);

/** Ends all sections of this thread on a handle that is being detached. */
void msi_guard_forget(mapseg *seg);

#endif
