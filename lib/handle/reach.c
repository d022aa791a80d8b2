/*
 * reach.c - see reach.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "reach.h"

#include "file/trust.h"
#include "forklist.h"

void
msi_reach_choose(struct msi_attachment *attachment, const struct stat *status, bool is_lazy,
                 bool guarded)
{
    enum msi_reach reach = REACH_FILE;

    attachment->is_lazy = attachment->cautious && is_lazy;
    if (guarded && !attachment->is_lazy)
        reach = REACH_GUARDED;
    else if (!attachment->cautious ||
             (!guarded && !is_lazy && msi_trust_is_private(status, attachment->file.fd)))
        reach = REACH_DIRECT;
    atomic_store_explicit(&attachment->reach, reach, memory_order_relaxed);
}

/** Stores whether the fast way that takes a section may be used. */
static void
allow_sections(mapseg *seg, bool allowed)
{
    atomic_store_explicit(&seg->section_stamp, allowed ? seg->lock.stamp : MSI_NO_PROCESS_STAMP,
                          memory_order_relaxed);
}

void
msi_reach_allow_fast(mapseg *seg)
{
    enum msi_reach reach = msi_reach_of(seg);

    /* The fast ways look at the version, which other programs' segments do not have. */
    msi_lock_allow_reading(&seg->lock, reach == REACH_DIRECT && seg->foreign == NULL);
    allow_sections(seg, reach == REACH_GUARDED && seg->foreign == NULL);
}

void
msi_reach_forbid_fast(mapseg *seg)
{
    msi_lock_allow_reading(&seg->lock, false);
    allow_sections(seg, false);
}

/** Changes the reach of a handle in use: threads that read at this moment end as they began. */
static void
change(mapseg *seg, enum msi_reach reach)
{
    atomic_store_explicit(&seg->attachment.reach, reach, memory_order_relaxed);
    /* With a descriptor for changes each version that is given out must be noted. */
    if (atomic_load_explicit(&seg->change, memory_order_relaxed) == NULL)
        msi_reach_allow_fast(seg);
}

void
msi_reach_guard(mapseg *seg)
{
    if (msi_reach_of(seg) == REACH_GUARDED || seg->attachment.is_lazy || msi_forklist_lock() < 0)
        return;
    change(seg, REACH_GUARDED);
    msi_forklist_unlock();
}

void
msi_reach_expose(mapseg *seg)
{
    if (seg->attachment.cautious && msi_reach_of(seg) == REACH_DIRECT)
        change(seg, REACH_FILE);
}
