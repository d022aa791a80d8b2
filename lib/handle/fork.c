/*
 * fork.c - attached handles across fork().
 *
 * A child is an attachment of its own, and there is no instant at which
 * neither it nor its parent is present: the parent claims and maps the child's
 * presence before the fork, then drops it on its side; the child finds it
 * mapped. Nothing is opened in the child.
 *
 * A thread that holds the fork list blocks its signals, so that no signal handler
 * can fork in the middle of a call. The signal of a fault cannot wait: a child that
 * its handler forks within a call gets no attachments, like the children below.
 *
 * In a child made by a bare clone or _Fork no fork handler runs. It is told by a
 * page that the kernel zeroes in every child: its handles belong to no process.
 *
 * Words in capitals and brackets are steps of tests/model/lock.pml.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fork.h"

#include "attachment.h"
#include "forklist.h"
#include "handle.h"
#include "notify.h"
#include "os/os.h"
#include "os/signals.h"
#include "reach.h"

#include <errno.h>
#include <pthread.h>

static bool handlers_are_set;

/** [PREPARE, CLAIM_FOR_CHILD] Before the fork: claims the child's presence. The child also
 *  inherits the working descriptor, but its presence never lies on that. */
static void
prepare_child_of(struct mapseg *seg)
{
    struct msi_attachment *attachment = &seg->attachment;
    enum msi_role role = msi_attachment_role(attachment);

    /* If the parent's presence lies on the working description, the file cannot be opened
     * anew for the child either; and to release a claim on that same description would end
     * the parent's presence. */
    seg->child.present =
        !seg->no_fork && !attachment->presence.on_working_descriptor &&
        msi_presence_claim(&seg->child.presence, &attachment->file, role, false) >= 0;
    if (seg->child.present && seg->child.presence.on_working_descriptor) {
        /* A lock on the working description would be the parent's as well. */
        msi_presence_release(&seg->child.presence, &attachment->file);
        seg->child.present = false;
    }
    if (seg->child.present)
        msi_forklist_disown(seg->child.presence.fd);
    if (seg->child.present && role != MSI_READER)
        msi_attachment_heal(attachment, seg->child.presence.slot);
}

/** Whether a signal handler that interrupted a call of this thread makes this fork: to wait
 *  for what the call holds would never end. */
static bool
is_in_a_call(void)
{
    return msi_signals_depth() > 1;
}

static void
prepare(void)
{
    sigset_t before;

    msi_signals_hold(&before);
    if (is_in_a_call())
        return;
    msi_forklist_take(&before);
    for (struct mapseg *seg = msi_forklist_first(); seg != NULL; seg = seg->next) {
        /* No thread may hold a dead owner's byte now: the child would inherit
         * a copy of the descriptor that holds it. */
        while (!msi_lock_begin_recovery(&seg->lock))
            msi_os.nap(10000);
        prepare_child_of(seg);
    }
}

/** [RESUME_PARENT] After the fork, in the parent: it forgets what it claimed for the child. */
static void
resume_parent(void)
{
    if (is_in_a_call()) {
        msi_signals_release(NULL);
        return;
    }
    for (struct mapseg *seg = msi_forklist_first(); seg != NULL; seg = seg->next) {
        if (seg->child.present)
            msi_presence_hand_over(&seg->child.presence, &seg->attachment.file);
        seg->child.present = false;
        msi_lock_end_recovery(&seg->lock);
    }
    msi_forklist_give_back();
}

/** [ADOPT] Makes the parent's attachment the child's own. */
static void
adopt(struct mapseg *seg)
{
    msi_presence_forget(&seg->attachment.presence, &seg->attachment.file);
    seg->attachment.presence = seg->child.presence;
    (void)msi_presence_hide(&seg->attachment.presence);
    seg->child.present = false;
    seg->lock.slot = seg->attachment.presence.slot;
    atomic_store_explicit(&seg->lock.owner_thread, MSI_NEVER_OWNED, memory_order_relaxed);
    msi_lock_set_in_change(&seg->lock, false);
    if (seg->foreign != NULL && seg->foreign->forked != NULL)
        seg->foreign->forked(seg->foreign);
}

/** Makes the handle one that belongs to no process. */
static void
orphan(struct mapseg *seg)
{
    msi_forklist_remove(seg);
    msi_lock_unbind_process(&seg->lock);
    msi_reach_forbid_fast(seg);
    msi_presence_forget(&seg->attachment.presence, &seg->attachment.file);
    if (seg->foreign != NULL)
        seg->foreign->forget(seg->foreign);
    seg->foreign = NULL;
    if (!seg->no_fork)
        return;
    /* The child got no mappings of it. */
    msi_file_close(&seg->attachment.file);
    msi_attachment_forget(&seg->attachment);
    seg->attached = false;
    msi_lock_clear(&seg->lock);
}

/** After the fork, in the child. */
static void
resume_child(void)
{
    struct mapseg *next;

    if (is_in_a_call()) {
        msi_forklist_in_stray_child();
        msi_signals_release(NULL);
        return;
    }
    msi_forklist_in_child();
    for (struct mapseg *seg = msi_forklist_first(); seg != NULL; seg = next) {
        next = seg->next;
        msi_lock_end_recovery(&seg->lock);
        msi_notify_forked(seg);
        if (seg->child.present)
            adopt(seg);
        else
            orphan(seg);
    }
    msi_forklist_give_back();
}

/** Runs when the library is loaded: a fork by another thread, while the first handle is
 *  being attached, must find the handlers in place. */
static __attribute__((constructor)) void
set_handlers(void)
{
    handlers_are_set = pthread_atfork(prepare, resume_parent, resume_child) == 0;
}

int
msi_fork_set_up(void)
{
    if (!handlers_are_set)
        set_handlers();
    return handlers_are_set ? msi_forklist_begin() : -ENOMEM;
}
