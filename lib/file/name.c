/*
 * name.c - the name of a segment's file, in a directory that is open.
 *
 * SPDX-License-Identifier: MIT
 */
#include "name.h"

#include "key.h"
#include "os/os.h"
#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

void
msi_name_clear(struct msi_name *name)
{
    memset(name, 0, sizeof *name);
    name->directory = -1;
}

mapseg_result
msi_name_make(struct msi_name *name, char *path, int directory, struct msi_failure *failure)
{
    name->path = path;
    name->directory = directory;
    if (path == NULL)
        return msi_system_failed(failure, ENOMEM, "there is no memory for its path");
    name->last = strrchr(path, '/') + 1;
    if (directory == -ELOOP)
        return msi_system_failed(failure, ELOOP,
                                 "the links on the way to it lead in a circle; check them");
    if (directory < 0)
        return msi_system_failed(failure, -directory,
                                 "its directory cannot be entered; check the key, and that the "
                                 "directory exists and may be searched");
    return MAPSEG_OK;
}

void
msi_name_close(struct msi_name *name)
{
    if (name->directory >= 0)
        msi_os.close(name->directory);
    free(name->path);
    msi_name_clear(name);
}

mapseg_result
msi_name_open_failed(int error, struct msi_failure *failure)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return msi_failed(failure, MAPSEG_NOT_FOUND, error,
                          "there is no such segment; create it first, or check the key");
    case ELOOP:
        return msi_failed(failure, MAPSEG_UNTRUSTED, error,
                          "its name is a symbolic link, which could lead anywhere; name the "
                          "file itself");
    case EISDIR:
        return msi_failed(failure, MAPSEG_NOT_A_SEGMENT, error,
                          "it is a directory; use another key");
    case ENXIO:
        return msi_failed(failure, MAPSEG_NOT_A_SEGMENT, error,
                          "it is a socket or a device; use another key");
    case EINVAL:
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its file system has no names like that; use another key");
    case ETXTBSY:
        return msi_failed(failure, MAPSEG_NOT_A_SEGMENT, error,
                          "it is a program that runs; use another key");
    case EACCES:
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, error,
                          "this user may not open the file; ask its owner");
    case EAGAIN:
        return msi_failed(failure, MAPSEG_TIMED_OUT, error,
                          "a process holds a lease on the file; end that process");
    default:
        return msi_system_failed(failure, error, "the file cannot be opened");
    }
}

mapseg_result
msi_name_look(const struct msi_name *name, struct stat *status, struct msi_failure *failure)
{
    int error = msi_os.status_of_name(name->directory, name->last, status);

    if (error < 0)
        return msi_name_open_failed(-error, failure);
    if (S_ISREG(status->st_mode))
        return MAPSEG_OK;
    return msi_trust_file(status, -1, true, (struct msi_trust){.flags = 0}, failure);
}

int
msi_name_open_file(const struct msi_name *name, mapseg_access access, bool *writable)
{
    int fd = msi_os.open(name->directory, name->last, O_RDWR);

    *writable = fd >= 0;
    if ((fd == -EACCES || fd == -EROFS || fd == -EPERM) && access == MAPSEG_READ_ONLY)
        fd = msi_os.open(name->directory, name->last, O_RDONLY);
    return fd;
}

int
msi_name_leads_to(const struct msi_name *name, dev_t device, ino_t inode)
{
    struct stat status;
    int error = msi_os.status_of_name(name->directory, name->last, &status);

    if (error < 0)
        return error;
    return status.st_dev == device && status.st_ino == inode;
}

/** Whether a refusal may be that of one way to do it alone. */
static bool
may_be_unknown(int error)
{
    return error == -EINVAL || error == -ENOSYS || error == -EOPNOTSUPP || error == -EPERM ||
           error == -EACCES;
}

int
msi_name_take_over(const struct msi_name *name, const char *from, bool *linked)
{
    int refusal = msi_os.rename_new(name->directory, from, name->last);
    int error = refusal;

    *linked = false;
    if (!may_be_unknown(refusal))
        return refusal;
    /* Old kernels, and file systems that rename only over what is there. */
    error = msi_os.link_name(name->directory, from, name->last);
    *linked = error >= 0;
    if (error >= 0) {
        error = msi_os.unlink(name->directory, from);
        /* With two names it would be refused by all that attach. */
        if (error < 0)
            (void)msi_os.unlink(name->directory, name->last);
        return error;
    }
    if (!may_be_unknown(error) && error != -EMLINK)
        return error;
    return refusal == -EPERM || refusal == -EACCES ? refusal : -EOPNOTSUPP;
}

/** A file, and whether a private name of it was found. */
struct twin {
    int directory;
    dev_t device;
    ino_t inode;
    bool found;
};

static int
look_for_twin(void *context, const char *name)
{
    struct twin *twin = context;
    struct stat status;

    if (msi_is_private_name(name) && msi_os.status_of_name(twin->directory, name, &status) >= 0)
        twin->found =
            twin->found || (status.st_dev == twin->device && status.st_ino == twin->inode);
    return 0;
}

bool
msi_name_is_being_given(const struct msi_name *name, int fd, const struct stat *status)
{
    struct twin twin = {name->directory, status->st_dev, status->st_ino, false};
    struct stat now;

    if (status->st_nlink != 2)
        return false;
    (void)msi_os.each_name(name->directory, look_for_twin, &twin);
    return twin.found || (msi_os.status(fd, &now) >= 0 && now.st_nlink < 2);
}

bool
msi_name_is_lost(const struct msi_file *file)
{
    struct stat status;
    int error = file->path == NULL ? 0 : msi_os.status_of_name(-1, file->path, &status);

    /* Where the system does not let us look there is no news. */
    if (file->path == NULL || error < 0)
        return error == -ENOENT || error == -ENOTDIR;
    return status.st_dev != file->device || status.st_ino != file->inode;
}
