/*
 * attach.h - attaching to a descriptor.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_ATTACH_H
#define MAPSEG_ATTACH_H

#include "os/failure.h"
#include "handle/handle.h"

struct mapseg_courier;
struct mapseg_message;

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

#endif
