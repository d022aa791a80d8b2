/*
 * read.c - reading a version of the data, and waiting for the next.
 *
 * Readers write nothing, unless they have to sleep: they look at the version, copy, and look
 * again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "foreign/foreign.h"
#include "handle/handle.h"
#include "handle/notify.h"
#include "handle/report.h"
#include "handle/view.h"
#include "handle/watch.h"
#include "os/os.h"
#include "sync/spin.h"

/** More takes too long to be copied in vain. */
#define QUICK_BYTES 4096

/** Between two of these, at the most. */
#define LONGEST_STEP_NS 700

/** Pauses longer after each try, up to that. */
static void
pause_after(int tries)
{
    uint32_t longest = msi_spin_pauses(LONGEST_STEP_NS);

    msi_spin((uint32_t)tries < longest ? (uint32_t)tries : longest);
}

/** A range of the file to be copied. */
struct range {
    void *to;
    size_t bytes;
    size_t offset;
};

/** One try. OK: the copy is of *version, if that is even. */
static inline mapseg_result
try_copy(const struct msi_view *view, const struct range *range, uint64_t *version, bool *good)
{
    mapseg_result result = msi_view_fetch_version(view, false, version);
    uint64_t again;

    *good = false;
    if (result != MAPSEG_OK || msi_version_is_odd(*version))
        return result;
    result = msi_view_fetch(view, range->to, range->bytes, range->offset);
    if (result == MAPSEG_OK)
        result = msi_view_fetch_version(view, true, &again);
    if (result == MAPSEG_OK)
        *good = again == *version;
    return result;
}

/** Copies while this thread's own change is under way, or under the lock. */
static mapseg_result
copy_own(const struct msi_view *view, const struct range *range, uint64_t *version)
{
    mapseg_result result = msi_view_fetch_version(view, false, version);

    return result != MAPSEG_OK ? result
                               : msi_view_fetch(view, range->to, range->bytes, range->offset);
}

/** Copies under the lock, which keeps the writers away, for a handle that may take it. OK
 *  without *good: the data is half written, by a writer that died. */
static mapseg_result
copy_locked(const struct msi_view *view, const struct range *range,
            const struct msi_patience *patience, uint64_t *version, bool *good)
{
    struct msi_lock *lock = &view->seg->lock;
    mapseg_result result = msi_lock_take(lock, patience->deadline);

    *good = false;
    if (result == MAPSEG_DESCRIPTOR_CLOSED)
        return result;
    if (result == MAPSEG_ALREADY_LOCKED)
        lock = NULL;
    else if (!mapseg_result_owes_unlock(result))
        return MAPSEG_OK;
    result = copy_own(view, range, version);
    *good = !msi_version_is_odd(*version);
    if (lock != NULL)
        (void)msi_lock_release(lock, 0);
    return result;
}

/** Whether this handle may take the lock in order to read: not where another user could
 *  make the word go away, which would be SIGBUS. */
static bool
may_lock(const struct msi_view *view)
{
    return view->seg->lock.header != NULL && view->reach != REACH_FILE;
}

/** Reads when the first try has failed. */
static __attribute__((noinline)) mapseg_result
read_slowly(const struct msi_view *view, const struct range *range, int64_t timeout_ns,
            uint64_t *version)
{
    struct msi_patience patience = msi_patience_begin(timeout_ns);
    bool good = false;

    if (msi_view_is_own(view))
        return copy_own(view, range, version);
    for (int tries = 0;; tries++) {
        mapseg_result result = try_copy(view, range, version, &good);
        int64_t now;

        if (result != MAPSEG_OK || good)
            return result;
        pause_after(tries);
        if (tries < MSI_VIEW_QUICK_TRIES && range->bytes <= QUICK_BYTES)
            continue;
        if (may_lock(view))
            result = copy_locked(view, range, &patience, version, &good);
        if (result != MAPSEG_OK || good)
            return result;
        now = msi_os.monotonic_ns();
        result = msi_patience_judge(view, &patience, now, *version);
        if (result != MAPSEG_OK)
            return result;
        if (msi_version_is_odd(*version))
            msi_patience_sleep(view, &patience, now, *version);
    }
}

static mapseg_result
read_range(mapseg *seg, const struct range *range, int64_t timeout_ns, uint64_t *version)
{
    struct msi_view view = msi_view_begin(seg);
    bool good;
    mapseg_result result = try_copy(&view, range, version, &good);

    if (result == MAPSEG_OK && !good)
        result = read_slowly(&view, range, timeout_ns, version);
    msi_view_end(&view);
    return result;
}

/** The one try that mostly does, without what other cases need to be safe; `allowed`: that is so
 *  with this handle. */
static inline bool
copy_fast(const mapseg *seg, bool allowed, size_t offset, void *to, size_t bytes, uint64_t *version)
{
    const struct msi_attachment *attachment = &seg->attachment;
    size_t size = attachment->data_size;
    uint64_t seen;

    if (!allowed || offset > size || bytes > size - offset ||
        atomic_load_explicit(&seg->error, memory_order_relaxed) != MAPSEG_OK)
        return false;
    seen = msi_version_load(attachment->base);
    if (msi_version_is_odd(seen))
        return false;
    msi_copy_out(to, attachment->base + attachment->data_offset + offset, bytes);
    if (msi_version_load_again(attachment->base) != seen)
        return false;
    if (version != NULL)
        *version = seen;
    return true;
}

/** Whether that try is to be made in a section. */
static inline bool
may_copy_in_section(const mapseg *seg)
{
    return atomic_load_explicit(seg->lock.process_stamp, memory_order_relaxed) ==
               atomic_load_explicit(&seg->section_stamp, memory_order_relaxed) &&
           msi_guard_thread.ready;
}

/** The same try in a section: zeros in place of what is gone are marked before they are seen. */
static inline bool
copy_fast_in_section(mapseg *seg, size_t offset, void *to, size_t bytes, uint64_t *version)
{
    uint64_t seen;
    bool good;

    msi_guard_begin_reading(seg);
    good = copy_fast(seg, true, offset, to, bytes, &seen);
    msi_guard_end_reading();
    if (!good || msi_view_is_lost(seg))
        return false;
    if (version != NULL)
        *version = seen;
    return true;
}

/** Reads another program's segment, which has no versions: under its lock. */
static mapseg_result
read_foreign(mapseg *seg, const struct range *range, int64_t timeout_ns, uint64_t *version)
{
    struct msi_failure failure;
    bool taken;
    mapseg_result result;
    struct msi_view view;

    result = msi_foreign_borrow(seg, timeout_ns, &taken, &failure);
    if (result == MAPSEG_OK) {
        view = msi_view_begin(seg);
        result = msi_view_check_length(&view);
        if (result == MAPSEG_OK)
            result = msi_view_fetch(&view, range->to, range->bytes, range->offset);
        msi_view_end(&view);
    }
    if (taken)
        (void)seg->foreign->way->unlock(seg, &failure);
    else if (result != MAPSEG_OK && failure.cure != NULL)
        return msi_report(seg, "read", &failure);
    if (result == MAPSEG_OK && version != NULL)
        *version = 0;
    return msi_view_report(seg, "read", result);
}

/** Reads where the fast ways are not for this handle, or were in vain. */
static __attribute__((noinline)) mapseg_result
read_with_care(mapseg *seg, size_t offset, void *to, size_t bytes, uint64_t *version,
               int64_t timeout_ns)
{
    struct range range = {to, bytes, seg->attachment.data_offset + offset};
    uint64_t seen;
    mapseg_result result;

    if (timeout_ns == MAPSEG_TIMEOUT_DEFAULT)
        timeout_ns = MSI_VIEW_PATIENCE_NS;
    if (!msi_handle_is_attached(seg))
        return msi_view_refuse_detached(seg, "read");
    result = msi_view_check_range(seg, "read", offset, bytes);
    if (result != MAPSEG_OK)
        return result;
    if (seg->foreign != NULL)
        return read_foreign(seg, &range, timeout_ns, version);
    result = read_range(seg, &range, timeout_ns, &seen);
    if (result == MAPSEG_OK || result == MAPSEG_TIMED_OUT || result == MAPSEG_OWNER_DIED)
        msi_notify_note(seg, result == MAPSEG_OK ? seen : seen | 1);
    if (result == MAPSEG_OK && version != NULL)
        *version = seen;
    return msi_view_report(seg, "read", result);
}

/** The same where the first of them was. */
static __attribute__((noinline)) mapseg_result
read_otherwise(mapseg *seg, size_t offset, void *to, size_t bytes, uint64_t *version,
               int64_t timeout_ns)
{
    if (may_copy_in_section(seg) && copy_fast_in_section(seg, offset, to, bytes, version))
        return MAPSEG_OK;
    return read_with_care(seg, offset, to, bytes, version, timeout_ns);
}

mapseg_result
mapseg_read_for(mapseg *seg, size_t offset, void *to, size_t bytes, uint64_t *version,
                int64_t timeout_ns)
{
    if (copy_fast(seg, msi_lock_may_read_fast(&seg->lock), offset, to, bytes, version))
        return MAPSEG_OK;
    return read_otherwise(seg, offset, to, bytes, version, timeout_ns);
}

/* Measured: from where the linker happens to put it, it took up to a quarter longer. */
__attribute__((aligned(64))) mapseg_result
mapseg_read(mapseg *seg, size_t offset, void *to, size_t bytes, uint64_t *version)
{
    if (copy_fast(seg, msi_lock_may_read_fast(&seg->lock), offset, to, bytes, version))
        return MAPSEG_OK;
    return read_otherwise(seg, offset, to, bytes, version, MAPSEG_TIMEOUT_DEFAULT);
}

/** Looks at the version; whether that ends the wait for another than `seen`. */
static bool
has_news(const struct msi_view *view, uint64_t seen, uint64_t *version, mapseg_result *result)
{
    *result = msi_view_fetch_stable(view, version);
    return *result != MAPSEG_OK || (!msi_version_is_odd(*version) && *version != seen);
}

/** What there is to say of the name and of the writers. What a writer published before it left
 *  comes first. */
static mapseg_result
look_around(const struct msi_view *view, uint64_t seen, uint64_t *version, bool *news)
{
    mapseg_result noticed = msi_watch_look(view->seg);
    mapseg_result result;

    *news = noticed != MAPSEG_OK && has_news(view, seen, version, &result);
    if (*news)
        return result;
    /* The writer of a change that is under way cannot have left by itself. */
    return noticed == MAPSEG_NO_WRITER && msi_version_is_odd(*version) ? MAPSEG_OWNER_DIED
                                                                       : noticed;
}

/** Waits until no change is under way and the version is not `seen`, which is
 *  MAPSEG_ANY_VERSION, or another odd number, where any will do. `watches`: or there is
 *  something to say of the name, or of the writers. */
static mapseg_result
wait_for_version(const struct msi_view *view, uint64_t seen, bool watches, int64_t timeout_ns,
                 uint64_t *version)
{
    struct msi_patience patience;
    mapseg_result result;
    bool news = false;

    if (has_news(view, seen, version, &result))
        return result;
    patience = msi_patience_begin(timeout_ns);
    for (int64_t now = patience.begin;; now = msi_os.monotonic_ns()) {
        if (watches)
            result = look_around(view, seen, version, &news);
        if (result == MAPSEG_OK && !news)
            result = msi_patience_judge(view, &patience, now, *version);
        if (result != MAPSEG_OK || news)
            return result;
        msi_patience_sleep(view, &patience, now, *version);
        /* A section tells only of what was touched, and a waiter touches no data. */
        if (view->reach == REACH_GUARDED)
            result = msi_view_look_at_length(view->seg);
        if (result != MAPSEG_OK || has_news(view, seen, version, &result))
            return result;
    }
}

/** Whether the wait has come to an end that leaves the version, or an odd one, in the caller's
 *  hands. */
static bool
gives_version(mapseg_result result)
{
    return result == MAPSEG_OK || result == MAPSEG_TIMED_OUT || result == MAPSEG_OWNER_DIED ||
           result == MAPSEG_NOT_FOUND || result == MAPSEG_NO_WRITER;
}

static mapseg_result
wait_as(mapseg *seg, const char *operation, uint64_t seen, bool watches, int64_t timeout_ns,
        uint64_t *version)
{
    struct msi_view view;
    mapseg_result result;

    if (!msi_handle_is_attached(seg))
        return msi_view_refuse_detached(seg, operation);
    if (seg->foreign != NULL)
        return msi_view_refuse_foreign(seg, operation);
    view = msi_view_begin(seg);
    result = wait_for_version(&view, seen, watches, timeout_ns, version);
    msi_view_end(&view);
    if (watches && result == MAPSEG_OK)
        result = msi_watch_look_rarely(seg);
    if (watches)
        msi_notify_told(seg, result);
    /* Also where there was nothing new: the same version is given out again. */
    if (gives_version(result))
        msi_notify_note(seg, *version);
    return msi_view_report(seg, operation, result);
}

static bool
is_own(mapseg *seg)
{
    struct msi_view view;
    bool own;

    if (!msi_lock_held_by_this_thread(&seg->lock))
        return false;
    view = msi_view_begin(seg);
    own = msi_view_is_own(&view);
    msi_view_end(&view);
    return own;
}

mapseg_result
mapseg_read_begin(mapseg *seg, uint64_t *version)
{
    mapseg_result result;
    uint64_t seen;

    /* A thread within a change of its own, or with the lock, has no writer to wait for. */
    if (msi_handle_is_attached(seg) && is_own(seg))
        result = msi_view_report(seg, "read", msi_view_look(seg, &seen));
    else
        result = wait_as(seg, "read", 1, false, MSI_VIEW_PATIENCE_NS, &seen);

    if (result == MAPSEG_OK)
        *version = seen;
    return result;
}

bool
mapseg_read_retry(mapseg *seg, uint64_t version)
{
    struct msi_view view;
    uint64_t again;
    mapseg_result result;

    if (!msi_handle_is_attached(seg) || seg->foreign != NULL)
        return true;
    view = msi_view_begin(seg);
    result = msi_view_fetch_version(&view, true, &again);
    if (result == MAPSEG_OK)
        result = msi_view_check_length(&view);
    msi_view_end(&view);
    return result != MAPSEG_OK || again != version;
}

mapseg_result
mapseg_wait(mapseg *seg, uint64_t seen, uint64_t *now, int64_t timeout_ns)
{
    uint64_t version;
    bool watches = msi_handle_is_attached(seg) && msi_watch_is_on(seg);
    mapseg_result result = wait_as(seg, "wait for", seen, watches, timeout_ns, &version);

    if (now != NULL && result != MAPSEG_OWNER_DIED && gives_version(result) &&
        !msi_version_is_odd(version))
        *now = version;
    return result;
}
