/*
 * place.h - where the file of a key lives.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_PLACE_H
#define MAPSEG_PLACE_H

#include "error.h"

/** The path of the key's file, which the caller frees; NULL for memfd keys.
 *  `create`: what mapseg itself keeps there is made if it is missing. */
mapseg_result mapseg_place_path(const mapseg_ipc_key *key, bool create, char **path,
                                struct mapseg_failure *failure);

/** Whether an open file lies on a file system that its type of key may use. */
mapseg_result mapseg_place_check(mapseg_key_type type, int fd, struct mapseg_failure *failure);

/** The directory that lists a type's segments, which the caller frees; NULL:
 *  there is none, or no memory. */
char *mapseg_place_directory(mapseg_key_type type);

/** Directory and name in one string, which the caller frees. NULL: no memory. */
char *mapseg_place_join(const char *directory, const char *name);

#endif
