/*
 * trust.h - the verdict on a file before it is mapped.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TRUST_H
#define MAPSEG_TRUST_H

#include "mapseg-format.h"
#include "os/failure.h"

#include <stdbool.h>
#include <sys/stat.h>

/** Whom a caller trusts beside root and its own user. */
struct msi_trust {
    uint32_t flags; /**< mapseg_flag: MAPSEG_ALLOW_... relax the refusals by name */
    uint32_t group; /**< whose members are trusted with MAPSEG_ALLOW_GROUP */
};

/** Whether that file's owner is this user: not where the number may stand for
 *  another one. `fd`: open, the file; -1: it is not. */
bool msi_trust_is_own(const struct stat *status, int fd);

/** Whether others could interfere with the file. `named`: it was reached by a name. */
mapseg_result msi_trust_file(const struct stat *status, int fd, bool named, struct msi_trust trust,
                             struct msi_failure *failure);

/** Opens the directory of a path that a caller chose, to look names up in it:
 *  step by step, and each directory and link is judged, whether others could
 *  replace names in it. */
mapseg_result msi_trust_open_directory(const char *path, struct msi_trust trust, int *directory,
                                       struct msi_failure *failure);

/** Whether peers that are not trusted may have a file that can, or cannot, be made shorter;
 *  asked only where the flags say that there are such peers. */
mapseg_result msi_trust_peers(bool can_shrink, uint32_t flags, struct msi_failure *failure);

/** Whether the file behind a descriptor can be made shorter, or its memory be
 *  missing for another reason. *refused: a sandbox does not let us ask. */
bool msi_trust_can_shrink(int fd, bool *refused);

/** Whether no user but this one, and root, can write the file, and so make it shorter, as far
 *  as its owner and mode say. The group's bits bound what an access control list grants. */
bool msi_trust_is_private(const struct stat *status, int fd);

/** Which users could come to write a file with that status and those seals. */
mapseg_writers msi_trust_writers(const struct stat *status, int seals);

/** Says in words which users can do what to the users of the file. */
void msi_trust_describe(const struct stat *status, bool can_shrink, mapseg_writers writers,
                        char *to, size_t bytes);

/** "a directory", "a FIFO", ... */
const char *msi_trust_kind(const struct stat *status);

#endif
