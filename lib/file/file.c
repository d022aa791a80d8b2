/*
 * file.c - the file of a segment: which one it is, and its descriptor.
 *
 * SPDX-License-Identifier: MIT
 */
#include "file.h"

#include "os/os.h"
#include "os/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

/* Locks that belong to the process end when any of its threads closes any
 * descriptor of the file. */
static pthread_mutex_t closing = PTHREAD_MUTEX_INITIALIZER;

void
msi_closing_pause(void)
{
    pthread_mutex_lock(&closing);
}

void
msi_closing_resume(void)
{
    pthread_mutex_unlock(&closing);
}

void
msi_closing_forked(void)
{
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    memcpy(&closing, &fresh, sizeof fresh);
}

void
msi_close(int fd)
{
    sigset_t before;

    /* A fork takes the mutex: no handler may fork within. The other takers have
     * their signals held back already. */
    msi_signals_hold(&before);
    msi_closing_pause();
    msi_os.close(fd);
    msi_closing_resume();
    msi_signals_release(&before);
}

void
msi_file_clear(struct msi_file *file)
{
    memset(file, 0, sizeof *file);
    file->fd = -1;
    file->directory = -1;
}

static bool
is_same(const struct msi_file *file, const struct stat *status)
{
    return status->st_dev == file->device && status->st_ino == file->inode;
}

bool
msi_file_is_behind(const struct msi_file *file, int fd)
{
    struct stat status;
    int error = fd < 0 ? -EBADF : msi_os.status(fd, &status);

    /* Where the system does not say, nothing speaks against it but that it is closed. */
    return error < 0 ? error != -EBADF : is_same(file, &status);
}

/** A description that was just opened, if it is one of the file. */
static int
keep_if_same(const struct msi_file *file, int description)
{
    struct stat status;
    int error = description < 0 ? description : msi_os.status(description, &status);

    if (error >= 0 && !is_same(file, &status))
        error = -ESTALE;
    if (error < 0 && description >= 0)
        msi_close(description);
    return error < 0 ? error : description;
}

/** Opens the name by its whole path. Where others may replace directories on the way
 *  it leads anywhere by now, and to open a device or a FIFO is to use it: so the place
 *  is looked at before anything is opened. */
static int
open_by_path(const struct msi_file *file, int flags)
{
    int place = file->path == NULL ? -ENOENT : msi_os.open_place(-1, file->path);
    int description;

    if (place < 0)
        return place;
    description = msi_file_is_behind(file, place) ? msi_os.reopen(place, flags) : -ESTALE;
    msi_os.close(place);
    /* Without /proc there is no other way. */
    return description == -ENOENT ? msi_os.open(-1, file->path, flags) : description;
}

/** Whether an open came to an end: other ways would come to the same. */
static bool
is_final(int description)
{
    return description >= 0 || description == -EMFILE || description == -ENFILE;
}

int
msi_file_open_anew(const struct msi_file *file, int flags)
{
    int description = -ESTALE;
    int by_path = -ESTALE;
    int fd = file->fd;

    /* In an open directory: by name it takes two thirds of the time. */
    if (file->directory >= 0 && file->path != NULL)
        description =
            keep_if_same(file, msi_os.open(file->directory, strrchr(file->path, '/') + 1, flags));
    if (!is_final(description) && (file->directory >= 0 || msi_file_is_behind(file, fd)))
        description = keep_if_same(file, msi_os.reopen(fd, flags));
    if (!is_final(description) && file->directory < 0 && file->path != NULL)
        by_path = keep_if_same(file, open_by_path(file, flags));
    /* Why the file itself cannot be opened says more than that its name is gone. */
    return is_final(by_path) || description == -ESTALE ? by_path : description;
}

int
msi_file_fd(struct msi_file *file)
{
    int seen = atomic_load_explicit(&file->fd, memory_order_relaxed);
    int fd;

    if (seen < 0)
        return -EBADF;
    /* While the name's directory is open the call that opened the file goes on. */
    if (file->directory >= 0 || msi_file_is_behind(file, seen))
        return seen;
    fd = keep_if_same(file, open_by_path(file, file->writes ? O_RDWR : O_RDONLY));
    if (fd < 0)
        return fd == -EMFILE || fd == -ENFILE ? fd : -EBADF;
    /* Relaxed: a descriptor is a number, and the kernel orders its making. */
    if (atomic_compare_exchange_strong_explicit(&file->fd, &seen, fd, memory_order_relaxed,
                                                memory_order_relaxed))
        return fd;
    /* Another thread was faster. */
    msi_close(fd);
    return seen;
}

mapseg_result
msi_file_failed(int error, struct msi_failure *failure)
{
    return error == EBADF
               ? msi_failed(failure, MAPSEG_DESCRIPTOR_CLOSED, 0, MSI_DESCRIPTOR_CLOSED_WORDS)
               : msi_system_failed(failure, error, "its file cannot be opened anew");
}

void
msi_file_close(struct msi_file *file)
{
    int fd = file->fd;

    if (msi_file_is_behind(file, fd))
        msi_close(fd);
    file->fd = -1;
}
