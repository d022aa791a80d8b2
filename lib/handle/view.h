/*
 * view.h - looking at a segment that others change, and waiting for them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_VIEW_H
#define MAPSEG_VIEW_H

#include "guard.h"
#include "handle.h"
#include "os/copy.h"
#include "reach.h"
#include "sync/version.h"

/** How often a reader tries at once before it waits for writers to pause. */
#define MSI_VIEW_QUICK_TRIES 64
/** How long readers and waiters have patience where the caller sets no time. */
#define MSI_VIEW_PATIENCE_NS INT64_C(1000000000)
/** The longest that a waiter sleeps whose wake went astray with a writer that died. */
#define MSI_VIEW_LAST_SLICE_NS INT64_C(1000000000)

/** A segment that is being read, or written. */
struct msi_view {
    mapseg *seg;
    enum msi_reach reach; /**< REACH_GUARDED: a section of this thread is begun */
    mapseg_result ready;  /**< not OK: the descriptor is lost */
};

/** Begins to read in the way that is without harm; msi_view_end ends it. */
struct msi_view msi_view_begin(mapseg *seg);

static inline void
msi_view_end(const struct msi_view *view)
{
    if (view->reach == REACH_GUARDED)
        msi_guard_end_reading();
}

/** Whether there is a descriptor to read through, where that is how it is read: one
 *  that the program has closed is opened anew, or the reading ends. */
mapseg_result msi_view_check_descriptor(mapseg *seg);

/** Notes that the file has become shorter: FILE_SHRUNK. */
mapseg_result msi_view_lost(mapseg *seg);

/** Reads through the descriptor: `offset` counts in the file. */
mapseg_result msi_view_read_file(mapseg *seg, void *to, size_t bytes, size_t offset);

/** Whether the file is as long as its mapping, by a look at it. */
mapseg_result msi_view_look_at_length(mapseg *seg);

/** The same where that takes a look; in a section the guard tells what was touched. */
mapseg_result msi_view_check_length(const struct msi_view *view);

/** A version whose halves belong together, if it is even. */
mapseg_result msi_view_fetch_stable(const struct msi_view *view, uint64_t *version);

/** The version as it is now; odd: a change is under way. FILE_SHRUNK: the file
 *  has become shorter, and the handle is marked so. */
mapseg_result msi_view_look(mapseg *seg, uint64_t *version);

/** Sleeps until a writer wakes, for `ns` nanoseconds at most, or not at all if the
 *  version is another one by now. A waiter that no writer can know of sleeps a millisecond. */
void msi_view_sleep(const struct msi_view *view, uint64_t version, int64_t ns);

/** The view of a thread that keeps SIGBUS blocked: it has no section of the guard. */
struct msi_view msi_view_without_section(mapseg *seg);

/** Wakes all waiters. */
void msi_view_wake(const mapseg *seg);

/** Whether this thread holds the lock: then no other changes anything. */
bool msi_view_is_own(const struct msi_view *view);

/** How long something is waited for. */
struct msi_patience {
    int64_t begin;
    int64_t deadline; /**< INT64_MAX: none */
    int64_t slice;    /**< of the next sleep: the writer that should wake us may have died */
};

struct msi_patience msi_patience_begin(int64_t timeout_ns);

/** Sleeps until the version may have changed. */
void msi_patience_sleep(const struct msi_view *view, struct msi_patience *patience, int64_t now,
                        uint64_t version);

/** What to say when patience is at its end; OK: it is not. */
mapseg_result msi_patience_judge(const struct msi_view *view, const struct msi_patience *patience,
                                 int64_t now, uint64_t version);

/** NOT_ATTACHED, with words. */
mapseg_result msi_view_refuse_detached(mapseg *seg, const char *operation);

/** NOT_SUPPORTED: another program's segment has no versions. */
mapseg_result msi_view_refuse_foreign(mapseg *seg, const char *operation);

/** Leaves the result in the handle, with the words for it. */
mapseg_result msi_view_report(mapseg *seg, const char *operation, mapseg_result result);

/** INVALID_ARGUMENT where the range is not within the data. */
mapseg_result msi_view_check_range(mapseg *seg, const char *operation, size_t offset, size_t bytes);

static inline bool
msi_view_is_lost(const mapseg *seg)
{
    return atomic_load_explicit(&seg->shrunk, memory_order_relaxed);
}

/** Copies out of the file, by whatever way; `offset` counts in the file. */
static inline mapseg_result
msi_view_fetch(const struct msi_view *view, void *to, size_t bytes, size_t offset)
{
    mapseg *seg = view->seg;

    if (view->ready != MAPSEG_OK)
        return view->ready;
    if (view->reach == REACH_FILE)
        return msi_view_is_lost(seg) ? MAPSEG_FILE_SHRUNK
                                     : msi_view_read_file(seg, to, bytes, offset);
    msi_copy_out(to, seg->attachment.base + offset, bytes);
    return view->reach == REACH_GUARDED && msi_view_is_lost(seg) ? MAPSEG_FILE_SHRUNK : MAPSEG_OK;
}

/** The version; `again`: after a copy whose worth depends on it. */
static inline mapseg_result
msi_view_fetch_version(const struct msi_view *view, bool again, uint64_t *version)
{
    const mapseg *seg = view->seg;

    if (view->reach == REACH_FILE) {
        mapseg_result result;

        /* The kernel's copies are ordered as loads of this thread are. */
        msi_version_fence(memory_order_acquire);
        result =
            msi_view_fetch(view, version, sizeof *version, offsetof(struct mapseg_header, version));
        msi_version_fence(memory_order_acquire);
        return result;
    }
    *version = again ? msi_version_load_again(seg->attachment.base)
                     : msi_version_load(seg->attachment.base);
    return view->reach == REACH_GUARDED && msi_view_is_lost(seg) ? MAPSEG_FILE_SHRUNK : MAPSEG_OK;
}

#endif
