/*
 * watch.c - noticing that the name of a segment is lost, or its last writer has left.
 *
 * No process is told of either: those that wait look from time to time. A writer is an
 * attachment whose presence slot is one of those for writers, so the kernel answers for all
 * of them at once.
 *
 * SPDX-License-Identifier: MIT
 */
#include "watch.h"

#include "file/name.h"
#include "os/os.h"

/** Between two looks of a caller that does not sleep in between; one that sleeps for
 *  MSI_WATCH_SLICE_NS looks each time. */
#define EVERY_MS 60

static bool
has_lost_name(const mapseg *seg)
{
    return seg->attachment.trust.flags & MAPSEG_WATCH_NAME &&
           msi_name_is_lost(&seg->attachment.file);
}

/** Whether no other attachment can write the data. */
static bool
is_without_writer(mapseg *seg)
{
    struct msi_attachment *attachment = &seg->attachment;
    int fd;

    if (!(attachment->trust.flags & MAPSEG_WATCH_WRITERS))
        return false;
    fd = msi_file_fd(&attachment->file);
    return fd >= 0 && !msi_presence_is_written(fd, attachment->presence.slot);
}

mapseg_result
msi_watch_look(mapseg *seg)
{
    if (has_lost_name(seg))
        return MAPSEG_NOT_FOUND;
    return is_without_writer(seg) ? MAPSEG_NO_WRITER : MAPSEG_OK;
}

bool
msi_watch_is_due(_Atomic uint32_t *last)
{
    uint32_t now = (uint32_t)(msi_os.monotonic_ns() / 1000000);

    if (now - atomic_load_explicit(last, memory_order_relaxed) < EVERY_MS)
        return false;
    atomic_store_explicit(last, now, memory_order_relaxed);
    return true;
}

mapseg_result
msi_watch_look_rarely(mapseg *seg)
{
    if (!(seg->attachment.trust.flags & MAPSEG_WATCH_NAME) || !msi_watch_is_due(&seg->last_look))
        return MAPSEG_OK;
    return has_lost_name(seg) ? MAPSEG_NOT_FOUND : MAPSEG_OK;
}
