/*
 * place.h - where the file of a key lives.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_PLACE_H
#define MAPSEG_PLACE_H

#include "mapseg-key.h"
#include "name.h"
#include "trust.h"

/** What a key says, worked out once. Its strings are the key's. */
struct msi_place {
    mapseg_key_type type;
    const char *name;
    const char *id;     /**< that a memfd key demands; "": none */
    int descriptor;     /**< of "memfd:N"; -1: none */
    bool is_new_memory; /**< "memfd:", which leads to nothing before create */
    bool is_nowhere;    /**< there is no key, or it has no name */
};

/** Works out what the key says; NULL: there is none. */
void msi_place_of(const mapseg_ipc_key *key, struct msi_place *place);

/** Whether the caller chose the directory, which is then judged. */
static inline bool
msi_place_is_chosen(mapseg_key_type type)
{
    return type == MAPSEG_KEY_FILE || type == MAPSEG_KEY_RAW;
}

/** Opens the directory of the place's file, and judges it as `trust` says; the caller closes the
 * name, also after a failure. A memory file has none. `create`: what mapseg itself keeps there is
 * made if it is missing. */
mapseg_result msi_place_open(const struct msi_place *place, bool create, struct msi_trust trust,
                             struct msi_name *name, struct msi_failure *failure);

/** The same for a path that msi_place_open gave at an earlier time, which is copied:
 *  `type` is that of its key. */
mapseg_result msi_place_open_again(mapseg_key_type type, const char *path, struct msi_trust trust,
                                   struct msi_name *name, struct msi_failure *failure);

/** Whether an open file lies on a file system that its type of key may use. */
mapseg_result msi_place_check(mapseg_key_type type, int fd, struct msi_failure *failure);

/** The directory that lists a type's segments: its path, which the caller frees, and
 *  open, in *directory. NULL: there is none, or no memory. */
char *msi_place_directory(mapseg_key_type type, int *directory);

/** Directory and name in one string, which the caller frees. NULL: no memory. */
char *msi_place_join(const char *directory, const char *name);

#endif
