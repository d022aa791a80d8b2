/*
 * name.h - the name of a segment's file, in a directory that is open.
 *
 * The only way from a key to a file: the directory is opened once, and judged;
 * every look, link, rename and unlink is done in that very directory, so that
 * a user who replaces something on the way to it cannot turn one against another
 * file.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_NAME_H
#define MAPSEG_NAME_H

#include "os/failure.h"

#include <sys/stat.h>

struct mapseg_name {
    int directory;    /**< open, to look names up in; -1: none */
    char *path;       /**< the whole of it; NULL: a memory file, which has none */
    const char *last; /**< the part of `path` that is looked up */
};

/** A name that leads to nothing. */
void mapseg_name_clear(struct mapseg_name *name);

/** Takes the path, which the name owns from now on, and its directory, also if that is
 *  an error. NULL as a path: no memory. */
mapseg_result mapseg_name_make(struct mapseg_name *name, char *path, int directory,
                               struct mapseg_failure *failure);

/** Closes the directory and frees the path. */
void mapseg_name_close(struct mapseg_name *name);

/** Looks at it without opening it; refuses all but a regular file. */
mapseg_result mapseg_name_look(const struct mapseg_name *name, struct stat *status,
                               struct mapseg_failure *failure);

/** Opens it for writing, or for reading where that is all that is wanted. */
int mapseg_name_open_file(const struct mapseg_name *name, mapseg_access access, bool *writable);

/** Words a failed open of a segment's name; `error` is positive. */
mapseg_result mapseg_open_failed(int error, struct mapseg_failure *failure);

/** Whether the name leads to that very file: 1, 0 if to another, -ENOENT if to
 *  nothing. */
int mapseg_name_leads_to(const struct mapseg_name *name, dev_t device, ino_t inode);

#endif
