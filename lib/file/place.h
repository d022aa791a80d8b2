/*
 * place.h - where the file of a key lives.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_PLACE_H
#define MAPSEG_PLACE_H

#include "name.h"

/** Opens the directory of the key's file, and judges it as `flags` (mapseg_flag) say;
 *  the caller closes the name, also after a failure. A memfd key has none.
 *  `create`: what mapseg itself keeps there is made if it is missing. */
mapseg_result msi_place_open(const mapseg_ipc_key *key, bool create, uint32_t flags,
                             struct msi_name *name, struct msi_failure *failure);

/** The same for a path that msi_place_open gave at an earlier time, which is copied:
 *  `type` is that of its key. */
mapseg_result msi_place_open_again(mapseg_key_type type, const char *path, uint32_t flags,
                                   struct msi_name *name, struct msi_failure *failure);

/** Whether an open file lies on a file system that its type of key may use. */
mapseg_result msi_place_check(mapseg_key_type type, int fd, struct msi_failure *failure);

/** The directory that lists a type's segments: its path, which the caller frees, and
 *  open, in *directory. NULL: there is none, or no memory. */
char *msi_place_directory(mapseg_key_type type, int *directory);

/** Directory and name in one string, which the caller frees. NULL: no memory. */
char *msi_place_join(const char *directory, const char *name);

#endif
