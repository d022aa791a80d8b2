/*
 * fork.c - attached handles across fork().
 *
 * A child is an attachment of its own, and there is no instant at which
 * neither it nor its parent is present: the parent claims and maps the child's
 * presence before the fork, then drops it on its side; the child finds it
 * mapped. Nothing is opened in the child.
 *
 * A thread that holds the list keeps its signals back, so that no handler of
 * signals can fork in the middle of a call. A fault cannot wait: what its handler
 * forks then is handed nothing, and is a child like the following.
 *
 * Children in which no handler runs (a bare clone, _Fork) are told by a page
 * that the kernel wipes in every child: its handles belong to no process then.
 *
 * Words in capitals and brackets are steps of tests/model/lock.pml.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fork.h"

#include "change.h"
#include "os.h"
#include "signals.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

static pthread_mutex_t list_mutex = PTHREAD_MUTEX_INITIALIZER;
/** The signals that the thread which holds the list had blocked before. */
static sigset_t signals_before;
static struct mapseg *list;
static struct mapseg_courier *couriers;
/** Holds the generation; the kernel makes it zero in a child. */
static _Atomic uint32_t *_Atomic life_page;
static bool handlers_are_set;
static uint32_t generation; /**< numbers the lives: one more in each such child */

/** Whether this is a child in which no handler ran. It has one thread, and
 *  what it copied of the list belongs to its parent. */
static bool
is_stray_child(void)
{
    _Atomic uint32_t *page = atomic_load_explicit(&life_page, memory_order_acquire);

    return page != NULL && atomic_load_explicit(page, memory_order_relaxed) == 0;
}

/** A new life in a stray child. */
static void
begin_again(void)
{
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    /* A thread of the parent may have held it. */
    memcpy(&list_mutex, &fresh, sizeof fresh);
    list = NULL;
    couriers = NULL;
    generation++;
    mapseg_lock_forked();
    mapseg_closing_forked();
    atomic_store_explicit(life_page, generation, memory_order_relaxed);
}

/** A descriptor was made just now. A handle that has one of that number had it closed by
 *  the program, and must not close this one, which may be of the same file. The list is
 *  locked. `owner`: whose it is; NULL: no handle's. */
static void
disown(int fd, const struct mapseg *owner)
{
    for (struct mapseg *seg = list; seg != NULL && fd >= 0; seg = seg->next) {
        struct mapseg_attachment *attachment = &seg->attachment;
        int file = fd;
        int presence = fd;

        if (seg == owner)
            continue;
        /* Relaxed: numbers, which other threads look at for no more than that. */
        (void)atomic_compare_exchange_strong_explicit(&attachment->file.fd, &file,
                                                      MAPSEG_LOST_DESCRIPTOR, memory_order_relaxed,
                                                      memory_order_relaxed);
        (void)atomic_compare_exchange_strong_explicit(&attachment->presence.fd, &presence,
                                                      MAPSEG_LOST_DESCRIPTOR, memory_order_relaxed,
                                                      memory_order_relaxed);
    }
}

/** [PREPARE, CLAIM_FOR_CHILD] Before the fork: claims what the child will need. The working
 * descriptor it inherits; nobody ever takes a lock of the description through that. */
static void
prepare_child_of(struct mapseg *seg)
{
    struct mapseg_attachment *attachment = &seg->attachment;
    bool writes = attachment->header != NULL;

    /* What the parent could not open anew the child cannot either; and to give back what
     * was claimed on the same description would take the parent's presence away. */
    seg->child.present =
        !seg->no_fork && !attachment->presence.on_working_descriptor &&
        mapseg_presence_claim(&seg->child.presence, &attachment->file, writes, false) >= 0;
    if (seg->child.present && seg->child.presence.on_working_descriptor) {
        /* On the working description it would be the parent's as well. */
        mapseg_presence_release(&seg->child.presence, &attachment->file);
        seg->child.present = false;
    }
    if (seg->child.present)
        disown(seg->child.presence.fd, NULL);
    if (seg->child.present && writes)
        mapseg_attachment_heal(attachment, seg->child.presence.slot);
}

/** Takes the list; the thread's signals are held back already. */
static void
lock_list(const sigset_t *before)
{
    if (is_stray_child())
        begin_again();
    pthread_mutex_lock(&list_mutex);
    signals_before = *before;
}

static void
unlock_list(void)
{
    /* A copy: the next thread to hold the list writes over it. */
    const sigset_t before = signals_before;

    pthread_mutex_unlock(&list_mutex);
    mapseg_signals_release(&before);
}

/** Whether the fork under way is a handler's that interrupted this thread in the
 *  middle of a call: what the call holds cannot be waited for. */
static bool
is_in_a_call(void)
{
    return mapseg_signals_depth() > 1;
}

static void
prepare(void)
{
    sigset_t before;

    mapseg_signals_hold(&before);
    if (is_in_a_call())
        return;
    lock_list(&before);
    for (struct mapseg *seg = list; seg != NULL; seg = seg->next) {
        if (!seg->attached)
            continue;
        /* No thread may hold a dead owner's byte now: the child would inherit
         * a copy of the descriptor that holds it. */
        while (!mapseg_lock_begin_recovery(&seg->lock))
            mapseg_os.nap(10000);
        prepare_child_of(seg);
    }
}

/** [RESUME_PARENT] After the fork, in the parent: what the child has is none of its business. */
static void
resume_parent(void)
{
    if (is_in_a_call()) {
        mapseg_signals_release(NULL);
        return;
    }
    for (struct mapseg *seg = list; seg != NULL; seg = seg->next) {
        if (!seg->attached)
            continue;
        if (seg->child.present)
            mapseg_presence_hand_over(&seg->child.presence, &seg->attachment.file);
        seg->child.present = false;
        mapseg_lock_end_recovery(&seg->lock);
    }
    unlock_list();
}

/** [ADOPT] Makes the parent's attachment the child's own. */
static void
adopt(struct mapseg *seg)
{
    mapseg_presence_forget(&seg->attachment.presence, &seg->attachment.file);
    seg->attachment.presence = seg->child.presence;
    (void)mapseg_presence_hide(&seg->attachment.presence);
    seg->child.present = false;
    seg->lock.slot = seg->attachment.presence.slot;
    atomic_store_explicit(&seg->lock.owner_thread, 0, memory_order_relaxed);
    mapseg_lock_write(&seg->lock, false);
}

/** Makes the handle one whose process is gone. */
static void
orphan(struct mapseg *seg)
{
    mapseg_fork_delist(seg);
    mapseg_lock_die(&seg->lock);
    mapseg_presence_forget(&seg->attachment.presence, &seg->attachment.file);
    if (seg->attached && !seg->no_fork)
        return;
    /* Its mappings were left out of the child; or it is one that another
     * thread of the parent is just creating, and has a descriptor alone. */
    mapseg_file_close(&seg->attachment.file);
    mapseg_attachment_forget(&seg->attachment);
    seg->attached = false;
    mapseg_lock_clear(&seg->lock);
}

/** After the fork, in the child. */
static void
resume_child(void)
{
    struct mapseg *next;

    if (is_in_a_call()) {
        /* As the kernel has done it, where it can. */
        if (life_page != NULL)
            atomic_store_explicit(life_page, 0, memory_order_relaxed);
        mapseg_signals_release(NULL);
        return;
    }
    mapseg_lock_forked();
    mapseg_closing_forked();
    if (life_page != NULL)
        atomic_store_explicit(life_page, generation, memory_order_relaxed);
    for (; couriers != NULL; couriers = couriers->next)
        if (couriers->fd >= 0)
            mapseg_close(couriers->fd);
    for (struct mapseg *seg = list; seg != NULL; seg = next) {
        next = seg->next;
        if (seg->attached)
            mapseg_lock_end_recovery(&seg->lock);
        mapseg_change_forked(seg);
        if (seg->attached && seg->child.present)
            adopt(seg);
        else
            orphan(seg);
    }
    unlock_list();
}

/** When the library is loaded: a fork that another thread makes while the first
 *  handle is being attached must find the handlers in place. */
static __attribute__((constructor)) void
set_handlers(void)
{
    handlers_are_set = pthread_atfork(prepare, resume_parent, resume_child) == 0;
}

/** The first time in this process. */
static int
begin(void)
{
    _Atomic uint32_t *page;

    if (!handlers_are_set)
        set_handlers();
    if (!handlers_are_set)
        return -ENOMEM;
    page = mapseg_os.wiped_page();
    if (page == NULL)
        return -ENOMEM;
    generation = 1;
    atomic_store_explicit(page, generation, memory_order_relaxed);
    /* Released to is_stray_child, which must never find the page still zero. */
    atomic_store_explicit(&life_page, page, memory_order_release);
    return 0;
}

int
mapseg_fork_lock(void)
{
    sigset_t before;
    int error = 0;

    /* A child that a handler made in the middle of a call. The list stays the
     * call's: were this a new life, what the call goes on to attach would count. */
    if (mapseg_signals_depth() > 0 && is_stray_child())
        return -EDEADLK;
    mapseg_signals_hold(&before);
    lock_list(&before);
    if (life_page == NULL)
        error = begin();
    if (error < 0)
        unlock_list();
    return error;
}

void
mapseg_fork_unlock(void)
{
    unlock_list();
}

void
mapseg_fork_enlist(struct mapseg *seg)
{
    seg->child.present = false;
    seg->previous = NULL;
    seg->next = list;
    if (list != NULL)
        list->previous = seg;
    list = seg;
}

void
mapseg_fork_carry(struct mapseg_courier *courier, int fd)
{
    disown(fd, NULL);
    courier->fd = fd;
    courier->next = couriers;
    couriers = courier;
}

void
mapseg_fork_disown(int fd)
{
    disown(fd, NULL);
}

void
mapseg_fork_deliver(struct mapseg_courier *courier)
{
    struct mapseg_courier **link = &couriers;

    while (*link != NULL && *link != courier)
        link = &(*link)->next;
    if (*link == courier)
        *link = courier->next;
}

void
mapseg_fork_belong(struct mapseg *seg)
{
    disown(seg->attachment.file.fd, seg);
    disown(seg->attachment.presence.fd, seg);
    mapseg_lock_live(&seg->lock, life_page, generation);
}

void
mapseg_fork_delist(struct mapseg *seg)
{
    if (seg->previous != NULL)
        seg->previous->next = seg->next;
    else if (list == seg)
        list = seg->next;
    if (seg->next != NULL)
        seg->next->previous = seg->previous;
    seg->next = NULL;
    seg->previous = NULL;
}

bool
mapseg_fork_orphaned(const struct mapseg *seg)
{
    return seg->attached && !mapseg_lock_lives(&seg->lock);
}
