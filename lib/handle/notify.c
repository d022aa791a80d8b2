/*
 * notify.c - a descriptor that becomes readable when the version moves on.
 *
 * A thread of the handle sleeps until the version moves, and raises the event;
 * a call that gives out the newest version clears it. Both look at the version
 * with the mutex locked: so a version that has just been given out is never
 * announced, and one that comes while another is given out always is.
 *
 * A child has no such thread, and loses what there is for it. So a call keeps
 * its signals back while it uses that, or a handler could fork, and the child
 * would return into the call.
 *
 * SPDX-License-Identifier: MIT
 */
#include "notify.h"

#include "forklist.h"
#include "os/os.h"
#include "os/signals.h"
#include "reach.h"
#include "report.h"
#include "view.h"
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/** Enough for the thread; programs that lock all their memory pay for it. */
#define STACK_BYTES ((size_t)256 * 1024)

/** No change ever has this version. */
#define NO_VERSION 1

struct msi_notify {
    mapseg *seg;
    struct msi_notify *next;
    _Atomic int fd; /**< -1: the program has closed it */
    pthread_t thread;
    atomic_bool stop;
    atomic_bool ended;
    pthread_mutex_t mutex;    /**< guards what follows */
    uint64_t given;           /**< the newest version that was given out */
    bool raised;              /**< the descriptor is readable */
    uint64_t announced;       /**< the version that it was last made so for */
    bool lost;                /**< and stays so: the file has become shorter */
    mapseg_result noticed;    /**< of the name and the writers, at the last look */
    mapseg_result told;       /**< of that, by mapseg_wait; OK: nothing since it was OK */
    mapseg_result raised_for; /**< what was noticed when it was last raised */
    _Atomic uint32_t last_look;
};

/** All of them; the fork list's lock guards it. */
static struct msi_notify *changes;

/* --------------------------------------------------------------- thread -- */

/** Raises it for each version anew, for programs that are told only when something happens
 *  to the descriptor (EPOLLET). */
static void
raise_event(struct msi_notify *change, uint64_t version)
{
    if (!change->raised || change->announced != version || change->raised_for != change->noticed)
        msi_os.event_raise(change->fd);
    change->announced = version;
    change->raised_for = change->noticed;
    change->raised = true;
}

/** Whether there is something of the name or the writers that was not told yet. */
static bool
has_notice(const struct msi_notify *change)
{
    return change->noticed != MAPSEG_OK && change->noticed != change->told;
}

/** Looks at the name and the writers, where they are watched. */
static void
look_around(struct msi_notify *change)
{
    if (!msi_watch_is_on(change->seg) || !msi_watch_is_due(&change->last_look))
        return;
    change->noticed = msi_watch_look(change->seg);
    if (change->noticed == MAPSEG_OK)
        change->told = MAPSEG_OK;
}

/** Looks whether there is something to announce; false: there will never be
 *  anything any more. `*version` is what was seen. */
static bool
announce(struct msi_notify *change, uint64_t *version)
{
    bool seen;

    pthread_mutex_lock(&change->mutex);
    look_around(change);
    seen = msi_view_look(change->seg, version) == MAPSEG_OK;
    if (!seen) {
        change->lost = true;
        *version = NO_VERSION;
    }
    if (!seen || (*version % 2 == 0 && *version != change->given) || has_notice(change))
        raise_event(change, *version);
    pthread_mutex_unlock(&change->mutex);
    return seen;
}

static void *
watch(void *argument)
{
    struct msi_notify *change = argument;
    int64_t slice = msi_watch_is_on(change->seg) ? MSI_WATCH_SLICE_NS : MSI_VIEW_LAST_SLICE_NS;
    uint64_t version;

    while (!atomic_load(&change->stop) && announce(change, &version)) {
        /* Each time: the file may have been handed on since. */
        struct msi_view view = msi_view_without_section(change->seg);

        if (!atomic_load(&change->stop))
            msi_view_sleep(&view, version, slice);
    }
    atomic_store(&change->ended, true);
    return NULL;
}

/** Starts the thread with a small stack, or with the usual one where the
 *  program's thread-local variables leave too little of that. */
static int
start_thread(struct msi_notify *change)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);

    if (error == 0) {
        error = pthread_attr_setstacksize(&attributes, STACK_BYTES);
        if (error == 0)
            error = pthread_create(&change->thread, &attributes, watch, change);
        (void)pthread_attr_destroy(&attributes);
    }
    if (error == EINVAL)
        error = pthread_create(&change->thread, NULL, watch, change);
    return -error;
}

static int
start_without_signals(struct msi_notify *change)
{
    sigset_t all;
    sigset_t before;
    int error;

    sigfillset(&all);
    error = -pthread_sigmask(SIG_SETMASK, &all, &before);
    if (error < 0)
        return error;
    error = start_thread(change);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* ------------------------------------------------------------ interface -- */

/** Puts a new descriptor on the list. If another handle's event had the same number, the
 *  program has closed that one. */
static void
enlist(struct msi_notify *change)
{
    for (struct msi_notify *other = changes; other != NULL; other = other->next)
        if (atomic_load(&other->fd) == atomic_load(&change->fd))
            atomic_store(&other->fd, -1);
    change->next = changes;
    changes = change;
}

/** Closes and frees all but the thread; the fork list is locked. */
static void
drop(struct msi_notify *change)
{
    struct msi_notify **link = &changes;

    while (*link != NULL && *link != change)
        link = &(*link)->next;
    if (*link == change)
        *link = change->next;
    msi_os.event_close(change->fd);
    free(change);
}

/** The first call; the fork list is locked, so that no child gets half of it. */
static mapseg_result
begin(mapseg *seg, struct msi_failure *failure)
{
    struct msi_notify *change = calloc(1, sizeof *change);
    int error;
    int fd;

    if (change == NULL || pthread_mutex_init(&change->mutex, NULL) != 0) {
        free(change);
        return msi_system_failed(failure, ENOMEM, "there is no memory to wait for changes");
    }
    change->seg = seg;
    change->given = NO_VERSION;
    fd = msi_os.event_new();
    if (fd < 0) {
        free(change);
        return msi_system_failed(failure, -fd, "a descriptor for changes cannot be made");
    }
    atomic_store(&change->fd, fd);
    enlist(change);
    error = start_without_signals(change);
    if (error < 0) {
        drop(change);
        return msi_system_failed(failure, -error,
                                 "the thread that waits for changes cannot be made");
    }
    atomic_store_explicit(&seg->change, change, memory_order_release);
    /* From now on each version that is given out must be noted. */
    msi_reach_forbid_fast(seg);
    return MAPSEG_OK;
}

/** Begins, unless another thread has. */
static mapseg_result
begin_once(mapseg *seg, struct msi_failure *failure)
{
    mapseg_result result = MAPSEG_OK;

    if (atomic_load_explicit(&seg->change, memory_order_acquire) != NULL)
        return MAPSEG_OK;
    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    if (atomic_load_explicit(&seg->change, memory_order_acquire) == NULL)
        result = begin(seg, failure);
    msi_forklist_unlock();
    return result;
}

static mapseg_result
find_fd(mapseg *seg, int *fd, struct msi_failure *failure)
{
    mapseg_result result;

    if (!msi_handle_is_attached(seg))
        return msi_failed(failure, MAPSEG_NOT_ATTACHED, 0,
                          "the handle is not attached; create or attach first");
    if (seg->foreign != NULL)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "it has no header, and so no versions; lock it and look from time to "
                          "time, or use a key of mapseg's own");
    result = begin_once(seg, failure);
    if (result != MAPSEG_OK)
        return result;
    *fd = atomic_load_explicit(&seg->change, memory_order_acquire)->fd;
    if (msi_os.is_event(*fd))
        return MAPSEG_OK;
    *fd = -1;
    return msi_failed(failure, MAPSEG_DESCRIPTOR_CLOSED, 0,
                      "this program has closed the descriptor that notifies of changes, which is "
                      "the handle's; detach and attach anew, and keep it open");
}

mapseg_result
mapseg_notify_fd(mapseg *seg, int *fd)
{
    struct msi_failure failure;
    mapseg_result result;
    sigset_t before;

    *fd = -1;
    msi_signals_hold(&before);
    result = find_fd(seg, fd, &failure);
    msi_signals_release(&before);
    return result == MAPSEG_OK ? msi_succeed(seg) : msi_report(seg, "watch", &failure);
}

/** Whether the version is the one that the segment has, or had until the change
 *  that is now under way. */
static bool
is_newest(const struct msi_notify *change, uint64_t version)
{
    uint64_t now;

    return msi_view_look(change->seg, &now) == MAPSEG_OK && now - now % 2 == version;
}

/** There is nothing to give out while a change is under way: its end, which the
 *  thread notices, raises again. */
static void
lower_unless_stable(struct msi_notify *change)
{
    uint64_t now;

    if (change->raised && !change->lost && !has_notice(change) &&
        msi_view_look(change->seg, &now) == MAPSEG_OK && now % 2 != 0) {
        msi_os.event_clear(change->fd);
        change->raised = false;
    }
}

static void
note(struct msi_notify *change, uint64_t version)
{
    pthread_mutex_lock(&change->mutex);
    if (version % 2 != 0) {
        lower_unless_stable(change);
        pthread_mutex_unlock(&change->mutex);
        return;
    }
    if (version > change->given)
        change->given = version;
    else if (version < change->given && is_newest(change, version))
        /* Only a hostile peer makes it go back; else a slow thread gives out
         * what a faster one has gone beyond. */
        change->given = version;
    if (change->raised && !change->lost && !has_notice(change) &&
        is_newest(change, change->given)) {
        msi_os.event_clear(change->fd);
        change->raised = false;
    }
    pthread_mutex_unlock(&change->mutex);
}

void
msi_notify_note(mapseg *seg, uint64_t version)
{
    struct msi_notify *change;
    sigset_t before;

    if (atomic_load_explicit(&seg->change, memory_order_acquire) == NULL)
        return;
    msi_signals_hold(&before);
    /* Once more: by now this may be a child. */
    change = atomic_load_explicit(&seg->change, memory_order_acquire);
    if (change != NULL)
        note(change, version);
    msi_signals_release(&before);
}

/** TIMED_OUT says that there is nothing; OWNER_DIED, also that the last writer has left, where
 *  that is noticed. */
static void
note_told(struct msi_notify *change, mapseg_result result)
{
    if (result == MAPSEG_OWNER_DIED && change->noticed != MAPSEG_NO_WRITER)
        return;
    if (result != MAPSEG_OWNER_DIED)
        change->noticed = result == MAPSEG_TIMED_OUT ? MAPSEG_OK : result;
    change->told = change->noticed;
}

void
msi_notify_told(mapseg *seg, mapseg_result result)
{
    struct msi_notify *change;
    sigset_t before;

    /* Other results say that it was not looked. */
    if (result != MAPSEG_NOT_FOUND && result != MAPSEG_NO_WRITER && result != MAPSEG_TIMED_OUT &&
        result != MAPSEG_OWNER_DIED)
        return;
    if (atomic_load_explicit(&seg->change, memory_order_acquire) == NULL)
        return;
    msi_signals_hold(&before);
    change = atomic_load_explicit(&seg->change, memory_order_acquire);
    if (change != NULL) {
        pthread_mutex_lock(&change->mutex);
        note_told(change, result);
        pthread_mutex_unlock(&change->mutex);
    }
    msi_signals_release(&before);
}

/** pthread_join, but not a cancellation point: the handle is half detached. */
static void
join(pthread_t thread)
{
    int before;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    (void)pthread_join(thread, NULL);
    (void)pthread_setcancelstate(before, NULL);
}

static void
stop(mapseg *seg, struct msi_notify *change)
{
    atomic_store(&change->stop, true);
    /* Woken again and again: the thread may be just about to fall asleep. */
    for (;;) {
        msi_view_wake(seg);
        if (atomic_load(&change->ended))
            break;
        msi_os.nap(100000);
    }
    join(change->thread);
    (void)pthread_mutex_destroy(&change->mutex);
    /* A child must find it whole, or not at all. */
    (void)msi_forklist_lock();
    atomic_store_explicit(&seg->change, NULL, memory_order_relaxed);
    drop(change);
    msi_forklist_unlock();
}

void
msi_notify_stop(mapseg *seg)
{
    struct msi_notify *change;
    sigset_t before;

    if (atomic_load_explicit(&seg->change, memory_order_acquire) == NULL)
        return;
    msi_signals_hold(&before);
    /* Once more: by now this may be a child. */
    change = atomic_load_explicit(&seg->change, memory_order_acquire);
    if (change != NULL)
        stop(seg, change);
    msi_signals_release(&before);
}

void
msi_notify_forked(mapseg *seg)
{
    struct msi_notify *change = atomic_load_explicit(&seg->change, memory_order_relaxed);

    if (change == NULL)
        return;
    atomic_store_explicit(&seg->change, NULL, memory_order_relaxed);
    msi_reach_allow_fast(seg);
    /* The mutex is left as it is: a thread of the parent may hold it. */
    drop(change);
}
