/*
 * forklist.c - what this process has that a child must find whole, or not at all.
 *
 * SPDX-License-Identifier: MIT
 */
#include "forklist.h"

#include "handle.h"
#include "os/os.h"
#include "os/signals.h"

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

void
mapseg_forklist_take(const sigset_t *before)
{
    if (is_stray_child())
        begin_again();
    pthread_mutex_lock(&list_mutex);
    signals_before = *before;
}

void
mapseg_forklist_give_back(void)
{
    /* A copy: the next thread to hold the list writes over it. */
    const sigset_t before = signals_before;

    pthread_mutex_unlock(&list_mutex);
    mapseg_signals_release(&before);
}

/** Makes the page; the list is locked. */
static int
begin(void)
{
    _Atomic uint32_t *page = mapseg_os.wiped_page();

    if (page == NULL)
        return -ENOMEM;
    generation = 1;
    atomic_store_explicit(page, generation, memory_order_relaxed);
    /* Released to is_stray_child, which must never find the page still zero. */
    atomic_store_explicit(&life_page, page, memory_order_release);
    return 0;
}

int
mapseg_forklist_begin(void)
{
    sigset_t before;
    int error = 0;

    if (atomic_load_explicit(&life_page, memory_order_acquire) != NULL)
        return 0;
    mapseg_signals_hold(&before);
    mapseg_forklist_take(&before);
    if (life_page == NULL)
        error = begin();
    mapseg_forklist_give_back();
    return error;
}

struct mapseg *
mapseg_forklist_first(void)
{
    return list;
}

void
mapseg_forklist_in_child(void)
{
    mapseg_lock_forked();
    mapseg_closing_forked();
    if (life_page != NULL)
        atomic_store_explicit(life_page, generation, memory_order_relaxed);
    for (; couriers != NULL; couriers = couriers->next)
        if (couriers->fd >= 0)
            mapseg_close(couriers->fd);
}

void
mapseg_forklist_in_stray_child(void)
{
    /* As the kernel has done it, where it can. */
    if (life_page != NULL)
        atomic_store_explicit(life_page, 0, memory_order_relaxed);
}

int
mapseg_fork_lock(void)
{
    sigset_t before;

    /* A child that a handler made in the middle of a call. The list stays the
     * call's: were this a new life, what the call goes on to attach would count. */
    if (mapseg_signals_depth() > 0 && is_stray_child())
        return -EDEADLK;
    mapseg_signals_hold(&before);
    mapseg_forklist_take(&before);
    return 0;
}

mapseg_result
mapseg_fork_lock_failed(struct mapseg_failure *failure)
{
    return mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, EDEADLK,
                         "this process was made by a handler of signals in the middle of a call; "
                         "end it, or start another program in it");
}

void
mapseg_fork_unlock(void)
{
    mapseg_forklist_give_back();
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
mapseg_fork_disown(int fd)
{
    disown(fd, NULL);
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
