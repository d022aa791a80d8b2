/*
 * attach.h - what creating, attaching and removing share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_ATTACH_H
#define MAPSEG_ATTACH_H

#include "error.h"
#include "handle.h"
#include "name.h"

#include <sys/stat.h>

struct mapseg_courier;
struct mapseg_message;

/** How long a remover is waited for where the caller does not say. */
#define MAPSEG_REMOVER_PATIENCE_NS INT64_C(1000000000)

/** KEY_ERROR: the handle has no key, or one without a name. */
mapseg_result mapseg_no_key(struct mapseg_failure *failure);

/** INVALID_ARGUMENT where there is no such access mode. */
mapseg_result mapseg_check_access(mapseg_access access, struct mapseg_failure *failure);

/** Copies the caller's options, of whatever age, into ours. */
mapseg_result mapseg_options_read(const mapseg_options *given, mapseg_options *options,
                                  struct mapseg_failure *failure);

/** The moment until which to wait for a remover. */
int64_t mapseg_patience_ends(int64_t timeout_ns);

/** Waits a little, longer each time; false: it is past `deadline`. */
bool mapseg_wait_for_remover(int64_t *pause_ns, int64_t deadline);

/** Whether presence lies on a description whose mappings and copies would keep
 *  it alive in children. A nameless segment's reader protects nothing by it. */
static inline bool
mapseg_presence_is_shared(const struct mapseg_attachment *attachment)
{
    return attachment->presence.on_working_descriptor && attachment->header != NULL;
}

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

/** A descriptor that is to become a handle's own. */
struct mapseg_given {
    int fd;
    const struct mapseg_message *message; /**< what was said of it; NULL: nothing */
    /** Keeps it out of children until it is the handle's; NULL: it is the caller's. */
    struct mapseg_courier *courier;
};

/** Attaches a detached handle to what is behind a descriptor, which is the
 *  handle's on success alone. The options are complete. */
mapseg_result mapseg_attach_given(mapseg *seg, const struct mapseg_given *given,
                                  mapseg_access access, const mapseg_options *options,
                                  struct mapseg_failure *failure);

/** Forgets what a handle still has of an attachment that is no longer its
 *  own: in a child after a fork. */
void mapseg_handle_settle(mapseg *seg);

/** How a name is to be removed. */
struct mapseg_removal {
    bool force;   /**< also if others are attached */
    bool careful; /**< as create: only what attach would trust */
    const mapseg_options *options;
    bool again; /**< the failure is one that passes */
};

/** Tries once to remove the name; the fork list is locked, or a child could
 *  inherit the descriptor that holds the bytes. */
mapseg_result mapseg_name_remove(const struct mapseg_name *name, struct mapseg_removal *removal,
                                 struct mapseg_failure *failure);

#endif
