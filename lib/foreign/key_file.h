/*
 * key_file.h - the files whose numbers are the keys of System V.
 *
 * A key is made from a file's device and inode, and a project id, as ftok() makes it. The file
 * has no content; programs agree on its path. No call leaves anything of it open.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_KEY_FILE_H
#define MAPSEG_KEY_FILE_H

#include "file/trust.h"
#include "os/failure.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct msi_key_file {
    const char *path; /**< absolute */
    int project;      /**< the project id, 1 to 255 */
    struct msi_trust trust;
    /* As it was when it was looked at last; 0: never. */
    dev_t device;
    ino_t inode;
    int32_t key;
};

/** KEY_ERROR: the path is none that a key file can have. */
mapseg_result msi_key_file_check(const char *path, struct msi_failure *failure);

/** Looks at the file and judges it, also whether others could replace it. NOT_FOUND: there is
 *  none. */
mapseg_result msi_key_file_look(struct msi_key_file *file, struct msi_failure *failure);

/** The same; makes the file if there is none, as *made says. */
mapseg_result msi_key_file_make(struct msi_key_file *file, bool *made, struct msi_failure *failure);

/** Whether the path still leads to the file that was looked at. */
bool msi_key_file_is_same(const struct msi_key_file *file);

/** Removes the file that was looked at, if the path leads to it. One that has content is no mere
 *  key file, and stays. A failure: it could not be removed. */
mapseg_result msi_key_file_remove(const struct msi_key_file *file, struct msi_failure *failure);

/** What ftok() makes of a file. */
int32_t msi_key_file_number(dev_t device, ino_t inode, int project);

#endif
