/*
 * attach.h - attaching to a descriptor.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_ATTACH_H
#define MAPSEG_ATTACH_H

#include "os/failure.h"
#include "handle/handle.h"

struct mapseg_message;

/** A descriptor that is to become a handle's own. */
struct mapseg_given {
    int fd;
    const struct mapseg_message *message; /**< what was said of it; NULL: nothing */
    bool enlisted; /**< it is the unattached handle's already, so that a child made by
                        fork() does not keep it */
};

/** Attaches a detached handle to what is behind a descriptor, which is the
 *  handle's on success alone. The options are complete. */
mapseg_result mapseg_attach_given(mapseg *seg, const struct mapseg_given *given,
                                  mapseg_access access, const mapseg_options *options,
                                  struct mapseg_failure *failure);

#endif
