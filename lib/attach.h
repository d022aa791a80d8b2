/*
 * attach.h - what creating, attaching and removing share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_ATTACH_H
#define MAPSEG_ATTACH_H

#include "error.h"
#include "handle.h"

#include <sys/stat.h>

/** How long a remover is waited for where the caller does not say. */
#define MAPSEG_REMOVER_PATIENCE_NS INT64_C(1000000000)

/** Why an access mode was refused. */
#define MAPSEG_NO_SUCH_ACCESS \
    "there is no access mode %d; use MAPSEG_READ_ONLY or MAPSEG_READ_WRITE"

/** Copies the caller's options, of whatever age, into ours. */
mapseg_result mapseg_options_read(const mapseg_options *given, mapseg_options *options,
                                  struct mapseg_failure *failure);

/** The moment until which to wait for a remover. */
int64_t mapseg_patience_ends(int64_t timeout_ns);

/** Waits a little, longer each time; false: it is past `deadline`. */
bool mapseg_wait_for_remover(int64_t *pause_ns, int64_t deadline);

/** Words a failed open of a segment's name; `error` is positive. */
mapseg_result mapseg_open_failed(int error, struct mapseg_failure *failure);

/** An attachment that has nothing yet. */
void mapseg_attachment_clear(struct mapseg_attachment *attachment);

/** Maps the file behind attachment->fd, whose geometry is set: the data as
 *  `access` says and, if `can_lock`, the header to write. */
mapseg_result mapseg_attachment_map(struct mapseg_attachment *attachment, mapseg_access access,
                                    bool can_lock, bool no_fork, struct mapseg_failure *failure);

/** Takes presence; the fork list is locked. 0, or a negative errno; -EAGAIN:
 *  the segment is just being removed. */
int mapseg_attachment_appear(struct mapseg_attachment *attachment);

/** Makes a complete attachment the handle's; the fork list is locked and has
 *  the handle. */
void mapseg_attachment_adopt(mapseg *seg, mapseg_access access, bool no_fork);

/** Whether the name leads to that very file: 1, 0 if to another, -ENOENT if to
 *  nothing. */
int mapseg_name_leads_to(const char *path, dev_t device, ino_t inode);

/** Forgets what a handle still has of an attachment that is no longer its
 *  own: in a child after a fork. */
void mapseg_handle_settle(mapseg *seg);

/** Removes the name; `force`: also if somebody is attached. */
mapseg_result mapseg_name_remove(const char *path, bool force, uint32_t trust_flags, bool trusting,
                                 struct mapseg_failure *failure);

#endif
