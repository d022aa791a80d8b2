/*
 * place.c - where the file of a key lives.
 *
 * SPDX-License-Identifier: MIT
 */
#include "place.h"

#include "key.h"
#include "os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *
mapseg_place_join(const char *directory, const char *name)
{
    size_t above = strlen(directory);
    size_t bytes = strlen(name) + 1;
    char *path = malloc(above + 1 + bytes);

    if (path == NULL)
        return NULL;
    memcpy(path, directory, above);
    path[above] = '/';
    memcpy(path + above + 1, name, bytes);
    return path;
}

/** Whether a directory is one that only we can change. */
static mapseg_result
check_private(const struct stat *status, const char *directory, struct mapseg_failure *failure)
{
    if (!S_ISDIR(status->st_mode))
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "%.120s is not a directory; move it away", directory);
    if (status->st_uid != mapseg_os.user_id())
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "%.120s belongs to user %u, not to this one; set XDG_RUNTIME_DIR to "
                             "a directory of your own",
                             directory, (unsigned)status->st_uid);
    if ((status->st_mode & 0777) != 0700)
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "%.120s has mode %04o and must have 0700; chmod it", directory,
                             (unsigned)status->st_mode & 07777);
    return MAPSEG_OK;
}

/** XDG_RUNTIME_DIR, as that specification wants it: there, ours, 0700; and on
 *  a file system in memory, or what is meant to be fast would not be. */
static mapseg_result
check_runtime_directory(const char *directory, struct mapseg_failure *failure)
{
    struct mapseg_file_system file_system;
    struct stat status;
    mapseg_result result;
    int fd;
    int error;

    if (directory == NULL)
        return mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                             "XDG_RUNTIME_DIR is not set (or the program is set-id, which must "
                             "not use it); set it, or use a shm: key");
    if (directory[0] != '/')
        return mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                             "XDG_RUNTIME_DIR is not an absolute path; correct it");
    fd = mapseg_os.open_directory(directory);
    if (fd < 0)
        return mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, -fd,
                             "XDG_RUNTIME_DIR, %.120s, cannot be opened; log in anew or correct it",
                             directory);
    error = mapseg_os.status(fd, &status);
    if (error >= 0)
        error = mapseg_os.file_system(fd, &file_system);
    mapseg_os.close(fd);
    if (error < 0)
        return mapseg_system_failed(failure, -error, "XDG_RUNTIME_DIR, %.120s, cannot be examined",
                                    directory);
    result = check_private(&status, directory, failure);
    if (result == MAPSEG_OK && !file_system.ram_backed)
        return mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                             "XDG_RUNTIME_DIR, %.120s, is on %s and not in memory; use a shm: or "
                             "file: key",
                             directory, file_system.name);
    return result;
}

/** $XDG_RUNTIME_DIR/mapseg in *directory, which the caller frees. */
static mapseg_result
runtime_place(bool create, char **directory, struct mapseg_failure *failure)
{
    const char *above = mapseg_os.runtime_directory();
    mapseg_result result = check_runtime_directory(above, failure);
    struct stat status;
    int error = 0;

    if (result != MAPSEG_OK)
        return result;
    *directory = mapseg_place_join(above, "mapseg");
    if (*directory == NULL)
        return mapseg_system_failed(failure, ENOMEM, "no memory for a path");
    if (create)
        error = mapseg_os.make_directory(*directory, 0700);
    if (error >= 0 || error == -EEXIST)
        error = mapseg_os.status_of_name(*directory, &status);
    if (error < 0)
        result = mapseg_system_failed(failure, -error, "%.120s cannot be used", *directory);
    else
        result = check_private(&status, *directory, failure);
    if (result != MAPSEG_OK) {
        free(*directory);
        *directory = NULL;
    }
    return result;
}

mapseg_result
mapseg_place_path(const mapseg_ipc_key *key, bool create, char **path,
                  struct mapseg_failure *failure)
{
    const char *name = mapseg_ipc_key_name(key);
    mapseg_result result;
    char *directory;

    *path = NULL;
    switch (mapseg_ipc_key_type(key)) {
    case MAPSEG_KEY_MEMFD:
        return MAPSEG_OK;
    case MAPSEG_KEY_SHM:
        *path = mapseg_place_join(mapseg_os.shared_directory(), name);
        break;
    case MAPSEG_KEY_FILE:
        *path = mapseg_copy_string(name);
        break;
    case MAPSEG_KEY_RUNTIME:
        result = runtime_place(create, &directory, failure);
        if (result != MAPSEG_OK)
            return result;
        *path = mapseg_place_join(directory, name);
        free(directory);
        break;
    default:
        return mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                             "keys of this type are not supported here; use shm, runtime, file or "
                             "memfd");
    }
    if (*path == NULL)
        return mapseg_system_failed(failure, ENOMEM, "no memory for a path");
    return MAPSEG_OK;
}

mapseg_result
mapseg_place_check(mapseg_key_type type, int fd, struct mapseg_failure *failure)
{
    struct mapseg_file_system file_system;
    int error;

    if (type != MAPSEG_KEY_SHM && type != MAPSEG_KEY_RUNTIME)
        return MAPSEG_OK;
    error = mapseg_os.file_system(fd, &file_system);
    if (error < 0)
        return mapseg_system_failed(failure, -error, "its file system cannot be examined");
    if (!file_system.ram_backed)
        return mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                             "its place is on %s and not in memory; mount a tmpfs there, or use a "
                             "file: key",
                             file_system.name);
    return MAPSEG_OK;
}

char *
mapseg_place_directory(mapseg_key_type type)
{
    struct mapseg_failure failure;
    char *directory = NULL;

    if (type == MAPSEG_KEY_SHM)
        return mapseg_copy_string(mapseg_os.shared_directory());
    if (type == MAPSEG_KEY_RUNTIME && runtime_place(false, &directory, &failure) == MAPSEG_OK)
        return directory;
    return NULL;
}
