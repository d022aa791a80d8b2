/*
 * attach.h - attaching to a descriptor.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_ATTACH_H
#define MAPSEG_ATTACH_H

#include "handle/handle.h"
#include "os/failure.h"

#include <sys/stat.h>

struct msi_fd_in_flight;
struct mapseg_message;

/** A descriptor that is to become a handle's own. */
struct msi_given {
    int fd;
    bool has_key; /**< the handle's key names it; else the handle gets one that does */
    const struct mapseg_message *message; /**< what was said of it; NULL: nothing */
    /** Keeps it out of children until it is the handle's; NULL: it is the caller's. */
    struct msi_fd_in_flight *flight;
};

/** Attaches a detached handle to what is behind a descriptor, which is the
 *  handle's on success alone. The options are complete. */
mapseg_result msi_attach_given(mapseg *seg, const struct msi_given *given, mapseg_access access,
                               const mapseg_options *options, struct msi_failure *failure);

/** Whether the file of the handle's plain key is another user's, whom the options do not
 *  accept. `fd`: open, the file; -1: it is not. */
bool msi_attach_is_foreign(const mapseg *seg, const mapseg_options *options,
                           const struct stat *status, int fd);

/** That result, and words about it: users of one number, in several user namespaces, have the
 *  same plain keys. */
mapseg_result msi_attach_foreign_failed(mapseg_result result, int error, const struct stat *status,
                                        struct msi_failure *failure);

/** ALREADY_ATTACHED, with words. */
mapseg_result msi_attach_refuse(mapseg *seg, const char *operation);

#endif
