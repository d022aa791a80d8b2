/*
 * file.h - the file of a segment: which one it is, and its descriptor.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_FILE_H
#define MAPSEG_FILE_H

#include "os/failure.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/** In place of a descriptor that the program has closed behind the library's back: a
 *  number that none ever has, so that it is noticed like any other that was closed. */
#define MSI_LOST_DESCRIPTOR INT_MAX

/** A segment's file. Device and inode say which one it is, whatever becomes of the
 *  descriptor and of the name. */
struct msi_file {
    _Atomic int fd; /**< the working descriptor; -1: none. See msi_file_fd */
    bool writes;    /**< it can write */
    bool wishes;    /**< each presence on it also says that the last one out removes the name */
    int directory;  /**< open, with the name in it; -1: not now */
    char *path;     /**< what the name is; NULL: none */
    dev_t device;
    ino_t inode;
};

/** A file that is not there yet. */
void msi_file_clear(struct msi_file *file);

/** Whether a descriptor leads to the file. A program that closes all descriptors,
 *  as some make themselves a daemon, may have one of its own there by now. */
bool msi_file_is_behind(const struct msi_file *file, int fd);

/** The working descriptor, after a look whether it still is one of the file. If not,
 *  the file is opened anew by its path. Negative errno: it is lost. For all but the
 *  fast paths. Threads may call it at once. */
int msi_file_fd(struct msi_file *file);

/** Words where msi_file_fd gave no descriptor; `error` is positive. */
mapseg_result msi_file_failed(int error, struct msi_failure *failure);

/** A new open file description of the file, and surely of no other: by its name, or
 *  through /proc. Negative errno. */
int msi_file_open_anew(const struct msi_file *file, int flags);

/** Closes the working descriptor, unless it has become another file's. */
void msi_file_close(struct msi_file *file);

/** Closes a descriptor of a segment's file, which is known to be the library's. None
 *  is closed any other way: a lock that this process holds on the file would be gone. */
void msi_close(int fd);

/** While it is begun no other thread closes a descriptor. */
void msi_closing_pause(void);
void msi_closing_resume(void);

/** In a child: no thread that could be closing or holding is here. */
void msi_closing_forked(void);

#endif
