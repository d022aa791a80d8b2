/*
 * name.h - the name of a segment's file, in a directory that is open.
 *
 * The only way from a key to a file: the directory is opened once, and judged;
 * every look, link, rename and unlink is done in that very directory, so that
 * a user who replaces something on the way to it cannot turn one of these against
 * another file.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_NAME_H
#define MAPSEG_NAME_H

#include "file.h"
#include "os/failure.h"

#include <stdbool.h>
#include <sys/stat.h>

struct msi_name {
    int directory;    /**< open, to look names up in; -1: none */
    char *path;       /**< the whole of it; NULL: a memory file, which has none */
    const char *last; /**< the part of `path` that is looked up */
};

/** A name that leads to nothing. */
void msi_name_clear(struct msi_name *name);

/** Takes the path, which the name owns from now on, and its directory, also if that is
 *  an error. NULL as a path: no memory. */
mapseg_result msi_name_make(struct msi_name *name, char *path, int directory,
                            struct msi_failure *failure);

/** Closes the directory and frees the path. */
void msi_name_close(struct msi_name *name);

/** Looks at it without opening it; refuses all but a regular file. */
mapseg_result msi_name_look(const struct msi_name *name, struct stat *status,
                            struct msi_failure *failure);

/** Opens it for writing, or for reading where that is all that is wanted. */
int msi_name_open_file(const struct msi_name *name, mapseg_access access, bool *writable);

/** Words a failed open of a segment's name; `error` is positive. */
mapseg_result msi_name_open_failed(int error, struct msi_failure *failure);

/** Gives the name, which must not exist, to the file that has the private name `from` in the
 *  same directory, and takes that one away. *linked: for a moment it had both. */
int msi_name_take_over(const struct msi_name *name, const char *from, bool *linked);

/** Whether an open file, which has that name and that status, has two since its creator is just
 *  giving it its name, did so a moment ago, or died while it did: the other one is a private name
 *  in the same directory, or is gone. */
bool msi_name_is_being_given(const struct msi_name *name, int fd, const struct stat *status);

/** Whether the name leads to that very file: 1, 0 if to another, -ENOENT if to
 *  nothing. */
int msi_name_leads_to(const struct msi_name *name, dev_t device, ino_t inode);

/** Whether a file's own name certainly leads to it no more: it is gone, or another file
 *  has it. Looks by the whole path, and opens nothing. */
bool msi_name_is_lost(const struct msi_file *file);

#endif
