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

static struct msi_fd_in_flight *in_flight;

/** Holds the process stamp; the kernel makes it zero in a child. */
static _Atomic uint32_t *_Atomic stamp_page;

static uint32_t stamp; /**< of this process; a stray child takes the next one */

/** Whether this is a stray child: one in which no fork handler ran. It has one thread, and
 *  the handles on its copy of the list belong to its parent. */
static bool
is_stray_child(void)
{
    _Atomic uint32_t *page = atomic_load_explicit(&stamp_page, memory_order_acquire);

    return page != NULL && atomic_load_explicit(page, memory_order_relaxed) == 0;
}

/** Makes a stray child a process of its own, which has no handles yet. */
static void
begin_again(void)
{
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    /* A thread of the parent may have held the mutex at the fork. */
    memcpy(&list_mutex, &fresh, sizeof fresh);
    list = NULL;
    in_flight = NULL;
    stamp++;
    msi_lock_forked();
    msi_closing_forked();
    atomic_store_explicit(stamp_page, stamp, memory_order_relaxed);
}

/** `fd` was made just now, for `owner`; NULL: for no handle. The program has closed the
 *  descriptor of any other handle that has the same number. That handle must not close this
 *  one, which may be of the same file. The list is locked. */
static void
disown(int fd, const struct mapseg *owner)
{
    for (struct mapseg *seg = list; seg != NULL && fd >= 0; seg = seg->next) {
        struct msi_attachment *attachment = &seg->attachment;
        int file = fd;
        int presence = fd;

        if (seg == owner)
            continue;
        /* Relaxed: other threads read the number alone, and nothing else becomes visible by
         * it. */
        (void)atomic_compare_exchange_strong_explicit(&attachment->file.fd, &file,
                                                      MSI_LOST_DESCRIPTOR, memory_order_relaxed,
                                                      memory_order_relaxed);
        (void)atomic_compare_exchange_strong_explicit(&attachment->presence.fd, &presence,
                                                      MSI_LOST_DESCRIPTOR, memory_order_relaxed,
                                                      memory_order_relaxed);
    }
}

void
msi_forklist_take(const sigset_t *before)
{
    if (is_stray_child())
        begin_again();
    pthread_mutex_lock(&list_mutex);
    signals_before = *before;
}

void
msi_forklist_give_back(void)
{
    /* A copy: the next thread to hold the list writes over it. */
    const sigset_t before = signals_before;

    pthread_mutex_unlock(&list_mutex);
    msi_signals_release(&before);
}

/** Makes the page; the list is locked. */
static int
begin(void)
{
    _Atomic uint32_t *page = msi_os.wiped_page();

    if (page == NULL)
        return -ENOMEM;
    stamp = 1;
    atomic_store_explicit(page, stamp, memory_order_relaxed);
    /* Release: is_stray_child, which loads the pointer, sees the stamp in the page, never
     * zero. */
    atomic_store_explicit(&stamp_page, page, memory_order_release);
    return 0;
}

int
msi_forklist_begin(void)
{
    sigset_t before;
    int error = 0;

    if (atomic_load_explicit(&stamp_page, memory_order_acquire) != NULL)
        return 0;
    msi_signals_hold(&before);
    msi_forklist_take(&before);
    if (stamp_page == NULL)
        error = begin();
    msi_forklist_give_back();
    return error;
}

struct mapseg *
msi_forklist_first(void)
{
    return list;
}

void
msi_forklist_in_child(void)
{
    msi_lock_forked();
    msi_closing_forked();
    if (stamp_page != NULL)
        atomic_store_explicit(stamp_page, stamp, memory_order_relaxed);
    for (; in_flight != NULL; in_flight = in_flight->next)
        if (in_flight->fd >= 0)
            msi_close(in_flight->fd);
}

void
msi_forklist_in_stray_child(void)
{
    /* The kernel has done so already, where it can. */
    if (stamp_page != NULL)
        atomic_store_explicit(stamp_page, 0, memory_order_relaxed);
}

int
msi_forklist_lock(void)
{
    sigset_t before;

    /* A signal handler made this child in the middle of a call, which still has the list.
     * With a new stamp for this process, what that call goes on to attach would count as
     * attached. */
    if (msi_signals_depth() > 0 && is_stray_child())
        return -EDEADLK;
    msi_signals_hold(&before);
    msi_forklist_take(&before);
    return 0;
}

mapseg_result
msi_forklist_lock_failed(struct msi_failure *failure)
{
    return msi_failed(failure, MAPSEG_NOT_SUPPORTED, EDEADLK,
                      "this process was made by a handler of signals in the middle of a call; "
                      "end it, or start another program in it");
}

void
msi_forklist_unlock(void)
{
    msi_forklist_give_back();
}

void
msi_forklist_add(struct mapseg *seg)
{
    seg->child.present = false;
    seg->previous = NULL;
    seg->next = list;
    if (list != NULL)
        list->previous = seg;
    list = seg;
}

void
msi_forklist_disown(int fd)
{
    disown(fd, NULL);
}

void
msi_in_flight_add(struct msi_fd_in_flight *flight, int fd)
{
    disown(fd, NULL);
    flight->fd = fd;
    flight->next = in_flight;
    in_flight = flight;
}

void
msi_in_flight_remove(struct msi_fd_in_flight *flight)
{
    struct msi_fd_in_flight **link = &in_flight;

    while (*link != NULL && *link != flight)
        link = &(*link)->next;
    if (*link == flight)
        *link = flight->next;
}

void
msi_forklist_bind_process(struct mapseg *seg)
{
    disown(seg->attachment.file.fd, seg);
    disown(seg->attachment.presence.fd, seg);
    msi_lock_bind_process(&seg->lock, stamp_page, stamp);
}

void
msi_forklist_remove(struct mapseg *seg)
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
