/*
 * locking.c - the calls that lock and unlock.
 *
 * SPDX-License-Identifier: MIT
 */
#include "file/header.h"
#include "file/place.h"
#include "foreign/posix.h"
#include "handle/handle.h"
#include "handle/options.h"
#include "handle/report.h"
#include "os/os.h"
#include "os/tsan.h"

/** Why the handle cannot lock at all. */
static mapseg_result
refuse_lock(mapseg *seg, const char *operation)
{
    struct msi_failure failure;

    if (msi_handle_is_orphaned(seg))
        msi_failed(&failure, MAPSEG_NOT_ATTACHED, 0,
                   "this process is a child that did not inherit the attachment; attach anew");
    else if (!seg->attached)
        msi_failed(&failure, MAPSEG_LOCK_ERROR, 0,
                   "the handle is not attached; create or attach first");
    else if (msi_header_forbids_writing(seg->attachment.flags))
        msi_failed(&failure, MAPSEG_PERMISSION_DENIED, 0,
                   "it has features (flags %#llx) that this version of mapseg must not change, "
                   "and the lock has to be written; upgrade mapseg",
                   (unsigned long long)seg->attachment.flags);
    else
        msi_failed(&failure, MAPSEG_PERMISSION_DENIED, 0,
                   "this process may only read it, and the lock has to be written; ask its owner "
                   "for permission to write");
    return msi_report(seg, operation, &failure);
}

static mapseg_result
report_taken(mapseg *seg, const char *operation, mapseg_result result)
{
    struct msi_failure failure;

    switch (result) {
    case MAPSEG_OK:
        return msi_succeed(seg);
    case MAPSEG_OWNER_DIED:
        msi_failed(&failure, result, 0,
                   "an owner died while it held the lock, which this handle now holds; repair "
                   "the data, call mapseg_consistent and unlock");
        break;
    case MAPSEG_ALREADY_LOCKED:
        msi_failed(&failure, result, 0, "this thread holds the lock already; unlock once");
        break;
    case MAPSEG_DESCRIPTOR_CLOSED:
        msi_failed(&failure, result, 0, MSI_DESCRIPTOR_CLOSED_WORDS);
        break;
    case MAPSEG_NOT_FOUND:
        msi_failed(&failure, result, 0, MSI_NAME_LOST_WORDS);
        break;
    case MAPSEG_WOULD_BLOCK:
        msi_failed(&failure, result, 0,
                   "another process or thread holds the lock; try again later");
        break;
    default:
        msi_failed(&failure, result, 0,
                   "the lock's owner did not release it in time; try again, or see which process "
                   "it is (mapseg show)");
    }
    return msi_report(seg, operation, &failure);
}

/** Takes the lock of another program's segment. */
static mapseg_result
take_foreign(mapseg *seg, const char *operation, bool wait, int64_t deadline)
{
    struct msi_failure failure;
    mapseg_result result = msi_foreign_take(seg, wait, deadline, &failure);

    return failure.cure == NULL ? report_taken(seg, operation, result)
                                : msi_report(seg, operation, &failure);
}

/** All that is not the fast path; a function of its own, so that the fast path stays short. */
static __attribute__((noinline)) mapseg_result
take_slowly(mapseg *seg, const char *operation, bool wait, int64_t timeout_ns)
{
    int64_t deadline = INT64_MAX;

    if ((seg->lock.header == NULL && seg->foreign == NULL) || !msi_lock_is_current(&seg->lock))
        return refuse_lock(seg, operation);
    if (timeout_ns >= 0) {
        int64_t now = msi_os.monotonic_ns();

        deadline = timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
    }
    if (seg->foreign != NULL)
        return take_foreign(seg, operation, wait, deadline);
    return report_taken(seg, operation, msi_lock_attempt(&seg->lock, wait, deadline));
}

/** The fast path, and no error left from before. */
static inline __attribute__((always_inline)) bool
take_fast(mapseg *seg)
{
    if (!msi_lock_take_fast(&seg->lock))
        return false;
    if (atomic_load_explicit(&seg->error, memory_order_relaxed) != MAPSEG_OK)
        (void)msi_succeed(seg);
    return true;
}

/** What is not mapseg's own fast path; another program's may be. A function of its own, so that
 *  the first stays short. */
static __attribute__((noinline)) mapseg_result
take_otherwise(mapseg *seg, bool wait, int64_t timeout_ns)
{
    mapseg_result result = msi_posix_take_fast(seg);

    if (result == MAPSEG_WOULD_BLOCK)
        return take_slowly(seg, "lock", wait, timeout_ns);
    return result == MAPSEG_OK && atomic_load_explicit(&seg->error, memory_order_relaxed) == 0
               ? result
               : report_taken(seg, "lock", result);
}

mapseg_result
mapseg_lock(mapseg *seg)
{
    return take_fast(seg) ? MAPSEG_OK : take_otherwise(seg, true, -1);
}

mapseg_result
mapseg_try_lock(mapseg *seg)
{
    return take_fast(seg) ? MAPSEG_OK : take_otherwise(seg, false, 0);
}

mapseg_result
mapseg_lock_for(mapseg *seg, int64_t timeout_ns)
{
    return take_fast(seg) ? MAPSEG_OK : take_otherwise(seg, true, timeout_ns);
}

static __attribute__((noinline)) mapseg_result
refuse_unlock(mapseg *seg, const char *operation)
{
    struct msi_failure failure;

    if (msi_handle_is_orphaned(seg))
        return refuse_lock(seg, operation);
    msi_failed(&failure, MAPSEG_NOT_LOCKED, 0,
               "this handle does not hold the lock; unlock once, by the handle that took it");
    return msi_refuse(seg, operation, &failure);
}

/** Says how a call on the lock of another program's segment ended. */
static mapseg_result
report_foreign(mapseg *seg, const char *operation, mapseg_result result,
               const struct msi_failure *failure)
{
    if (result == MAPSEG_OK)
        return MAPSEG_OK;
    return result == MAPSEG_NOT_LOCKED ? refuse_unlock(seg, operation)
                                       : msi_report(seg, operation, failure);
}

static __attribute__((noinline)) mapseg_result
unlock_slowly(mapseg *seg)
{
    struct msi_lock *lock = &seg->lock;
    bool ends_change = msi_lock_in_change(lock);
    bool announced = false;

    if (!msi_lock_is_current(lock))
        return refuse_unlock(seg, "unlock");
    if (seg->foreign != NULL) {
        struct msi_failure failure;

        return report_foreign(seg, "unlock", seg->foreign->way->unlock(seg, &failure), &failure);
    }
    if (!msi_lock_is_held(lock)) {
        if (msi_lock_held_by_this_thread(lock))
            msi_lock_clear_owner_thread(lock);
        return refuse_unlock(seg, "unlock");
    }
    /* The end of a change that was begun, by another word. */
    if (ends_change)
        announced = msi_lock_end_change(lock);
    if (!msi_lock_release(lock, 0))
        return refuse_unlock(seg, "unlock");
    if (ends_change)
        msi_lock_wake_watchers(lock, announced);
    return MAPSEG_OK;
}

static __attribute__((noinline)) mapseg_result
unlock_otherwise(mapseg *seg)
{
    return msi_posix_free_fast(seg) ? MAPSEG_OK : unlock_slowly(seg);
}

mapseg_result
mapseg_unlock(mapseg *seg)
{
    struct msi_lock *lock = &seg->lock;
    uint32_t held = lock->slot;

    if (!msi_lock_may_take_fast(lock))
        return unlock_otherwise(seg);
    /* The word as it is when no waiter sleeps and no owner died, without a look at it
     * first: reading a word that was just swapped was measured to be half of what the pair
     * cost beyond its two swaps. */
    atomic_store_explicit(&lock->owner_thread, MSI_NOT_OWNED, memory_order_relaxed);
    if (msi_lock_swap_to_free(lock->word, &held, 0))
        return MAPSEG_OK;
    return unlock_slowly(seg);
}

mapseg_result
mapseg_consistent(mapseg *seg)
{
    struct msi_lock *lock = &seg->lock;
    struct msi_failure failure;

    if (seg->foreign != NULL && msi_lock_is_current(lock)) {
        mapseg_result result = seg->foreign->way->consistent(seg, &failure);

        return result == MAPSEG_OK ? msi_succeed(seg)
                                   : report_foreign(seg, "declare consistent", result, &failure);
    }
    if (!msi_lock_is_current(lock) || !msi_lock_declare_consistent(lock))
        return refuse_unlock(seg, "declare consistent");
    return msi_succeed(seg);
}

mapseg_result
mapseg_repair(mapseg *seg, bool force)
{
    const struct msi_foreign_way *way =
        seg->foreign != NULL ? seg->foreign->way : msi_foreign_way_of(seg->key, 0);
    struct msi_failure failure;
    struct msi_place place;
    mapseg_result result;

    msi_place_of(seg->key, &place);
    if (place.is_nowhere)
        result = msi_options_no_key(&place, &failure);
    else if (way == NULL || way->repair == NULL)
        result = msi_failed(&failure, MAPSEG_NOT_SUPPORTED, 0,
                            "its lock needs no repair, since the next owner is told where one "
                            "has died; lock it");
    else
        result = way->repair(seg, force, &failure);
    return result == MAPSEG_OK ? msi_succeed(seg) : msi_report(seg, "repair", &failure);
}
