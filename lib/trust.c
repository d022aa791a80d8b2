/*
 * trust.c - the verdict on a file before it is mapped.
 *
 * SPDX-License-Identifier: MIT
 */
#include "trust.h"

#include "key.h"
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
mapseg_trust_kind(const struct stat *status)
{
    switch (status->st_mode & S_IFMT) {
    case S_IFREG:
        return "a regular file";
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    case S_IFLNK:
        return "a symbolic link";
    case S_IFBLK:
    case S_IFCHR:
        return "a device";
    default:
        return "no file";
    }
}

mapseg_result
mapseg_trust_file(const struct stat *status, bool named, uint32_t flags,
                  struct mapseg_failure *failure)
{
    unsigned owner = (unsigned)status->st_uid;

    if (S_ISLNK(status->st_mode))
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "its name is a symbolic link, which could lead anywhere; name the "
                             "file itself");
    if (!S_ISREG(status->st_mode))
        return mapseg_failed(failure, MAPSEG_NOT_A_SEGMENT, 0, "it is %s; use another key",
                             mapseg_trust_kind(status));
    if (owner != mapseg_os.user_id() && owner != 0 && !(flags & MAPSEG_ALLOW_OTHER_OWNER))
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "user %u owns it; if you trust that user, allow another owner "
                             "(MAPSEG_ALLOW_OTHER_OWNER)",
                             owner);
    if (status->st_mode & 0022 && !(flags & MAPSEG_ALLOW_SHARED_WRITE))
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "its mode %04o lets others write it; if you trust them, allow it "
                             "(MAPSEG_ALLOW_SHARED_WRITE)",
                             (unsigned)status->st_mode & 07777);
    /* Somebody may have linked another file of the same owner to this name. */
    if (named && status->st_nlink > 1 && !(flags & MAPSEG_ALLOW_HARD_LINKS))
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "it has %lu names, so it may be meant for something else; if you "
                             "gave it these, allow it (MAPSEG_ALLOW_HARD_LINKS)",
                             (unsigned long)status->st_nlink);
    return MAPSEG_OK;
}

/** Whether others could replace names in a directory, or lead elsewhere by a
 *  link. */
static mapseg_result
trust_directory(const char *path, struct mapseg_failure *failure)
{
    struct stat status;
    int error = mapseg_os.status_of_name(path, &status);

    if (error < 0)
        /* The open that follows says it better. */
        return MAPSEG_OK;
    if (status.st_uid != mapseg_os.user_id() && status.st_uid != 0)
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "user %u owns %.80s, on the way to it, and could replace it; if you "
                             "trust that user, allow it (MAPSEG_ALLOW_SHARED_DIRECTORY)",
                             (unsigned)status.st_uid, path);
    if (S_ISDIR(status.st_mode) && status.st_mode & 0022 && !(status.st_mode & S_ISVTX))
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "the mode %04o of %.80s lets others replace it; chmod that "
                             "directory, or allow it (MAPSEG_ALLOW_SHARED_DIRECTORY)",
                             (unsigned)status.st_mode & 07777, path);
    return MAPSEG_OK;
}

/** The same for a directory and all those above it; the path is used up. */
static mapseg_result
trust_chain(char *path, struct mapseg_failure *failure)
{
    mapseg_result result = trust_directory(*path == '\0' ? "/" : path, failure);

    while (result == MAPSEG_OK && *path != '\0') {
        *strrchr(path, '/') = '\0';
        result = trust_directory(*path == '\0' ? "/" : path, failure);
    }
    return result;
}

mapseg_result
mapseg_trust_directories(const char *path, uint32_t flags, struct mapseg_failure *failure)
{
    mapseg_result result = MAPSEG_OK;
    char *directory;
    char *real = NULL;

    if (flags & MAPSEG_ALLOW_SHARED_DIRECTORY)
        return MAPSEG_OK;
    directory = mapseg_copy_string(path);
    if (directory == NULL)
        return mapseg_system_failed(failure, ENOMEM, "no memory for a path");
    *strrchr(directory, '/') = '\0';
    /* The way as it is written, whose links somebody may own, and the way that
     * it comes to. */
    if (mapseg_os.real_path(*directory == '\0' ? "/" : directory, &real) >= 0)
        result = trust_chain(real, failure);
    if (result == MAPSEG_OK)
        result = trust_chain(directory, failure);
    free(real);
    free(directory);
    return result;
}

mapseg_result
mapseg_trust_peers(bool can_shrink, uint32_t flags, struct mapseg_failure *failure)
{
    if (!(flags & MAPSEG_UNTRUSTED_PEER) || !can_shrink || flags & MAPSEG_GUARDED)
        return MAPSEG_OK;
    return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                         "its file can be made shorter, which would be SIGBUS here; use a sealed "
                         "memfd, or access it in guarded sections alone and say so "
                         "(MAPSEG_GUARDED)");
}

bool
mapseg_trust_can_shrink(int fd, bool *refused)
{
    struct mapseg_file_system file_system;
    int seals = mapseg_os.seals(fd);

    *refused = seals == -EPERM || seals == -EACCES || seals == -ENOSYS;
    if (seals < 0 || !(seals & F_SEAL_SHRINK))
        return true;
    /* Huge pages of the other kind are missing when their pool is empty. */
    return mapseg_os.file_system(fd, &file_system) < 0 || strcmp(file_system.name, "tmpfs") != 0;
}

mapseg_writers
mapseg_trust_writers(const struct stat *status, int seals)
{
    if (seals >= 0 && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return MAPSEG_WRITERS_CREATOR;
    return status->st_mode & 0022 ? MAPSEG_WRITERS_OTHERS : MAPSEG_WRITERS_OWNER;
}

void
mapseg_trust_describe(const struct stat *status, bool can_shrink, mapseg_writers writers, char *to,
                      size_t bytes)
{
    const char *shrinks =
        can_shrink ? "whoever can write it can also make it shorter, which is SIGBUS for others "
                     "outside of guarded sections"
                   : "nobody can make it shorter";
    unsigned owner = (unsigned)status->st_uid;

    if (writers == MAPSEG_WRITERS_CREATOR)
        snprintf(to, bytes, "only its creator can write it, by its seals; %s", shrinks);
    else if (writers == MAPSEG_WRITERS_OWNER)
        snprintf(to, bytes,
                 "user %u and root can write it, also where a descriptor was made for reading; %s",
                 owner, shrinks);
    else
        snprintf(to, bytes, "user %u, root and, by its mode %04o, others can write it; %s", owner,
                 (unsigned)status->st_mode & 07777, shrinks);
}
