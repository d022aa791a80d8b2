/*
 * adapter.c - for tests only: puts shm_open and shm_unlink of an unmodified program on mapseg.
 *
 * Loaded by LD_PRELOAD. What it does:
 *
 * - shm_open is a mapseg_attach to "posix:NAME", whose checks it passes or fails, and the
 * descriptor is then the program's own. The attachment is kept until the program closes the
 * descriptor, so that mapseg counts the program among those attached, also after a fork.
 * - shm_open that creates is a mapseg_create, so that of several one alone succeeds. mapseg makes
 *   no segment without a size, which is what shm_open has to give: it is made with one byte, and
 *   made empty at once; a program can meet the byte in between. While it is empty no other call of
 *   mapseg finds it ready, and those wait.
 * - ftruncate of such a descriptor attaches anew, for the size that the segment has then.
 * - shm_unlink is a mapseg_remove, which also removes a semaphore of that name that is free.
 *
 * What it does not: data does not pass through mapseg, the program maps its descriptor itself; nor
 * does it lock. A segment that has no size yet when it is opened is not attached to. A descriptor
 * that goes away otherwise than by close (dup2, close_range) counts until its number is
 * opened once more, or the process ends.
 *
 * With ADAPTER_LOG it appends what it did to that file, a line each.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-key.h"
#include "mapseg.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_DESCRIPTORS 4096
#define PATH_BYTES (NAME_MAX + sizeof "/dev/shm/")

/** The attachment of each descriptor. */
static _Atomic(mapseg *) attachments[MOST_DESCRIPTORS];

static struct {
    int (*shm_open)(const char *, int, mode_t);
    int (*ftruncate)(int, off_t);
    int (*close)(int);
} next;

/* POSIX lets a program make a function's pointer of this, C does not. */
static void
find(void *function, const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        abort();
    memcpy(function, &found, sizeof found);
}

__attribute__((constructor)) static void
find_all(void)
{
    find(&next.shm_open, "shm_open");
    find(&next.ftruncate, "ftruncate");
    find(&next.close, "close");
}

/* Calls of other constructors may come before this one's. */
static int
close_now(int fd)
{
    if (next.close == NULL)
        find(&next.close, "close");
    return next.close(fd);
}

static void
tell(const char *what, const char *name)
{
    const char *path = getenv("ADAPTER_LOG");
    int error = errno;
    char line[NAME_MAX + 32];
    int fd;

    if (path == NULL)
        return;
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        int bytes = snprintf(line, sizeof line, "%s %s\n", what, name);

        if (write(fd, line, (size_t)bytes) != bytes)
            abort();
        close_now(fd);
    }
    errno = error;
}

/* ----------------------------------------------------------- attachments -- */

static int
errno_of(mapseg_result result)
{
    switch (result) {
    case MAPSEG_NOT_FOUND:
        return ENOENT;
    case MAPSEG_ALREADY_EXISTS:
        return EEXIST;
    case MAPSEG_KEY_ERROR:
    case MAPSEG_INVALID_ARGUMENT:
        return EINVAL;
    case MAPSEG_OUT_OF_RESOURCES:
        return ENOSPC;
    default:
        return EACCES;
    }
}

/** A handle for the name as shm_open takes it; NULL, with errno. */
static mapseg *
handle_for(const char *name)
{
    mapseg *seg = mapseg_new();
    char key[NAME_MAX + 16];

    if (seg == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    while (*name == '/')
        name++;
    if ((size_t)snprintf(key, sizeof key, "posix:/%s", name) >= sizeof key ||
        mapseg_set_native_key(seg, key) != MAPSEG_OK) {
        mapseg_free(seg);
        errno = EINVAL;
        return NULL;
    }
    return seg;
}

/** Whether the name still leads to the segment that the handle is attached to. */
static bool
has_name(mapseg *seg)
{
    mapseg_info *information = NULL;
    bool has = mapseg_info_new(seg, &information) == MAPSEG_OK &&
               information->name_state == MAPSEG_NAME_SAME;

    mapseg_info_free(information);
    return has;
}

/** The descriptor has that attachment from now on, in place of another; NULL: none. */
static void
keep(int fd, mapseg *seg)
{
    if (fd < MOST_DESCRIPTORS)
        seg = atomic_exchange(&attachments[fd], seg);
    mapseg_free(seg);
}

/** Attaches to what there is. TIMED_OUT: that has no size yet. */
static mapseg_result
attach(mapseg *seg, int flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    bool reads = (flags & O_ACCMODE) == O_RDONLY;

    options.timeout_ns = 0;
    return mapseg_attach_with(seg, reads ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE, &options);
}

/* ------------------------------------------------------------- shm_open -- */

/** What was there has changed meanwhile: from the start. */
#define AGAIN (-2)

/** Opens what the handle is attached to, or, where it is not, what has no size yet. */
static int
open_present(const char *name, int flags, mapseg *seg, bool attached)
{
    int fd = next.shm_open(name, flags & ~(O_CREAT | O_EXCL), 0);

    if (fd < 0) {
        mapseg_free(seg);
        return errno == ENOENT ? AGAIN : -1;
    }
    if (attached && !has_name(seg)) {
        mapseg_free(seg);
        close_now(fd);
        return AGAIN;
    }
    if (!attached) {
        mapseg_free(seg);
        seg = NULL;
    }
    keep(fd, seg);
    return fd;
}

static int
open_new(const char *name, int flags, mode_t mode, mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_result result;
    int fd;

    options.mode = mode & 0666;
    result = mapseg_create_with(seg, 1, MAPSEG_READ_WRITE, &options);
    if (result != MAPSEG_OK) {
        mapseg_free(seg);
        errno = errno_of(result);
        return result == MAPSEG_ALREADY_EXISTS && !(flags & O_EXCL) ? AGAIN : -1;
    }
    tell("create", name);
    fd = open_present(name, flags, seg, true);
    if (fd >= 0 && next.ftruncate(fd, 0) != 0)
        abort();
    return fd;
}

static int
open_once(const char *name, int flags, mode_t mode)
{
    mapseg *seg = handle_for(name);
    mapseg_result result;

    if (seg == NULL)
        return -1;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return open_new(name, flags, mode, seg);
    result = attach(seg, flags);
    if (result == MAPSEG_NOT_FOUND && flags & O_CREAT)
        return open_new(name, flags, mode, seg);
    if (result == MAPSEG_OK || result == MAPSEG_TIMED_OUT) {
        tell(result == MAPSEG_OK ? "attach" : "empty", name);
        return open_present(name, flags, seg, result == MAPSEG_OK);
    }
    mapseg_free(seg);
    errno = errno_of(result);
    return -1;
}

MAPSEG_API int
shm_open(const char *name, int oflag, mode_t mode)
{
    int fd;

    do {
        fd = open_once(name, oflag, mode);
    } while (fd == AGAIN);
    return fd;
}

MAPSEG_API int
shm_unlink(const char *name)
{
    mapseg *seg = handle_for(name);
    mapseg_result result;

    if (seg == NULL)
        return -1;
    result = mapseg_remove(seg);
    mapseg_free(seg);
    tell(result == MAPSEG_OK ? "remove" : "remove-in-vain", name);
    if (result == MAPSEG_OK)
        return 0;
    errno = errno_of(result);
    return -1;
}

/* ------------------------------------------------------ their descriptors -- */

/** An attachment for the size that the segment has now; the one of before stays where there is no
 *  size, or where the name leads elsewhere by now. */
static void
attach_anew(int fd)
{
    const char *name = strchr(mapseg_native_key(atomic_load(&attachments[fd])), '/');
    char path[PATH_BYTES];
    struct stat own;
    struct stat named;
    mapseg *seg = name == NULL ? NULL : handle_for(name);

    if (seg == NULL)
        return;
    snprintf(path, sizeof path, "/dev/shm%s", name);
    if (attach(seg, O_RDWR) == MAPSEG_OK && fstat(fd, &own) == 0 && stat(path, &named) == 0 &&
        own.st_ino == named.st_ino && own.st_dev == named.st_dev && has_name(seg)) {
        tell("size", name);
        keep(fd, seg);
    } else {
        mapseg_free(seg);
    }
}

MAPSEG_API int
ftruncate(int fd, off_t length)
{
    int result;

    if (next.ftruncate == NULL)
        find(&next.ftruncate, "ftruncate");
    result = next.ftruncate(fd, length);
    if (result == 0 && fd >= 0 && fd < MOST_DESCRIPTORS && atomic_load(&attachments[fd]) != NULL)
        attach_anew(fd);
    return result;
}

/* The same, for programs that ask for offsets of 64 bits where off_t has them anyway. */
MAPSEG_API int
ftruncate64(int fd, off_t length)
{
    return ftruncate(fd, length);
}

MAPSEG_API int
close(int fd)
{
    if (fd >= 0 && fd < MOST_DESCRIPTORS && atomic_load(&attachments[fd]) != NULL) {
        tell("leave", mapseg_native_key(atomic_load(&attachments[fd])));
        keep(fd, NULL);
    }
    return close_now(fd);
}
