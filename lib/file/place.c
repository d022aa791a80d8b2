/*
 * place.c - where the file of a key lives.
 *
 * SPDX-License-Identifier: MIT
 */
#include "place.h"

#include "key.h"
#include "os/os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

char *
msi_place_join(const char *directory, const char *name)
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
check_private(int fd, const char *directory, struct msi_failure *failure)
{
    struct stat status;
    int error = msi_os.status(fd, &status);

    if (error < 0)
        return msi_system_failed(failure, -error, "%.120s cannot be examined", directory);
    if (!S_ISDIR(status.st_mode))
        return msi_failed(failure, MAPSEG_UNTRUSTED, 0, "%.120s is not a directory; move it away",
                          directory);
    if (!msi_trust_is_own(&status, fd))
        return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                          "%.120s belongs to user %u, not to this one; set XDG_RUNTIME_DIR to "
                          "a directory of your own",
                          directory, (unsigned)status.st_uid);
    if ((status.st_mode & 0777) != 0700)
        return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                          "%.120s has mode %04o and must have 0700; chmod it", directory,
                          (unsigned)status.st_mode & 07777);
    return MAPSEG_OK;
}

/** XDG_RUNTIME_DIR, as that specification wants it: there, ours, 0700; and on
 *  a file system in memory, or what is meant to be fast would not be. Open, in *fd. */
static mapseg_result
open_runtime_directory(const char *directory, int *fd, struct msi_failure *failure)
{
    struct msi_file_system file_system;
    mapseg_result result;
    int error;

    *fd = -1;
    if (directory == NULL)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "XDG_RUNTIME_DIR is not set (or the program is set-id, which must "
                          "not use it); set it, or use a shm: key");
    if (directory[0] != '/')
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "XDG_RUNTIME_DIR is not an absolute path; correct it");
    *fd = msi_os.open_directory(directory);
    if (*fd < 0)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, -*fd,
                          "XDG_RUNTIME_DIR, %.120s, cannot be opened; log in anew or correct it",
                          directory);
    result = check_private(*fd, directory, failure);
    if (result != MAPSEG_OK)
        return result;
    error = msi_os.file_system(*fd, &file_system);
    if (error < 0)
        return msi_system_failed(failure, -error, "XDG_RUNTIME_DIR, %.120s, cannot be examined",
                                 directory);
    if (!file_system.ram_backed)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "XDG_RUNTIME_DIR, %.120s, is on %s and not in memory; use a shm: or "
                          "file: key",
                          directory, file_system.name);
    return MAPSEG_OK;
}

#define OWN_DIRECTORY "mapseg"

/** Opens mapseg's own directory within the runtime directory, which is open. */
static mapseg_result
open_own_directory(int above, bool create, const char *path, int *fd, struct msi_failure *failure)
{
    int error = create ? msi_os.make_directory(above, OWN_DIRECTORY, 0700) : 0;
    mapseg_result result;

    *fd = error < 0 && error != -EEXIST ? error : msi_os.open_place(above, OWN_DIRECTORY);
    if (*fd == -ENOENT && !create)
        return msi_name_open_failed(ENOENT, failure);
    if (*fd < 0)
        return msi_system_failed(failure, -*fd, "%.120s cannot be used", path);
    result = check_private(*fd, path, failure);
    if (result != MAPSEG_OK) {
        msi_os.close(*fd);
        *fd = -1;
    }
    return result;
}

/** $XDG_RUNTIME_DIR/mapseg: its path in *directory, which the caller frees, and open,
 *  in *fd. */
static mapseg_result
open_runtime_place(bool create, char **directory, int *fd, struct msi_failure *failure)
{
    const char *path = msi_os.runtime_directory();
    int above;
    mapseg_result result = open_runtime_directory(path, &above, failure);

    *directory = NULL;
    *fd = -1;
    if (result == MAPSEG_OK) {
        *directory = msi_place_join(path, OWN_DIRECTORY);
        if (*directory == NULL)
            result = msi_system_failed(failure, ENOMEM, "there is no memory for its path");
    }
    if (result == MAPSEG_OK)
        result = open_own_directory(above, create, *directory, fd, failure);
    if (above >= 0)
        msi_os.close(above);
    if (result != MAPSEG_OK) {
        free(*directory);
        *directory = NULL;
    }
    return result;
}

static mapseg_result
open_runtime_name(const char *last, bool create, struct msi_name *name, struct msi_failure *failure)
{
    char *directory;
    int fd;
    mapseg_result result = open_runtime_place(create, &directory, &fd, failure);

    if (result == MAPSEG_OK)
        result = msi_name_make(name, msi_place_join(directory, last), fd, failure);
    free(directory);
    return result;
}

/** Opens the directory of a path that the caller chose. */
static mapseg_result
open_path(const char *path, struct msi_trust trust, struct msi_name *name,
          struct msi_failure *failure)
{
    int directory;
    mapseg_result result = msi_trust_open_directory(path, trust, &directory, failure);

    return result != MAPSEG_OK ? result
                               : msi_name_make(name, msi_copy_string(path), directory, failure);
}

/** Whether an open directory is the shared one, by whatever path it was reached. */
static bool
is_shared_directory(int directory)
{
    const int fd = msi_os.open_directory(msi_os.shared_directory());
    struct stat shared, own;
    bool same;

    if (fd < 0)
        return false;
    same = msi_os.status(fd, &shared) == 0 && msi_os.status(directory, &own) == 0 &&
           shared.st_dev == own.st_dev && shared.st_ino == own.st_ino;
    msi_os.close(fd);
    return same;
}

/** The same for a path of a key. */
static mapseg_result
open_file_name(const char *path, struct msi_trust trust, struct msi_name *name,
               struct msi_failure *failure)
{
    mapseg_result result = open_path(path, trust, name, failure);

    if (result == MAPSEG_OK && msi_is_semaphore_name(name->last) &&
        is_shared_directory(name->directory))
        result = msi_semaphore_name_failed(failure);
    return result;
}

void
msi_place_of(const mapseg_ipc_key *key, struct msi_place *place)
{
    bool is_new_memory = msi_key_is_nameless(key);

    *place = (struct msi_place){
        .type = key == NULL ? MAPSEG_KEY_INVALID : mapseg_ipc_key_type(key),
        .name = key == NULL ? "" : mapseg_ipc_key_name(key),
        .id = key == NULL ? "" : mapseg_ipc_key_id(key),
        .descriptor = key == NULL ? -1 : msi_key_memfd_number(key),
        .is_new_memory = is_new_memory,
        .is_nowhere = key == NULL || (msi_key_is_empty(key) && !is_new_memory),
    };
}

mapseg_result
msi_place_open(const struct msi_place *place, bool create, struct msi_trust trust,
               struct msi_name *name, struct msi_failure *failure)
{
    const char *shared = msi_os.shared_directory();
    const char *last = place->name;

    msi_name_clear(name);
    switch (place->type) {
    case MAPSEG_KEY_MEMFD:
        return MAPSEG_OK;
    case MAPSEG_KEY_SHM:
        return msi_name_make(name, msi_place_join(shared, last), msi_os.open_directory(shared),
                             failure);
    case MAPSEG_KEY_POSIX:
        return msi_name_make(name, msi_place_join(shared, last + strspn(last, "/")),
                             msi_os.open_directory(shared), failure);
    case MAPSEG_KEY_RAW:
        return open_path(last, trust, name, failure);
    case MAPSEG_KEY_FILE:
        return open_file_name(last, trust, name, failure);
    case MAPSEG_KEY_RUNTIME:
        return open_runtime_name(last, create, name, failure);
    default:
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "keys of this type are not supported here; use shm, runtime, file, "
                          "memfd, posix or raw");
    }
}

mapseg_result
msi_place_open_again(mapseg_key_type type, const char *path, struct msi_trust trust,
                     struct msi_name *name, struct msi_failure *failure)
{
    msi_name_clear(name);
    /* The other types' directories are the system's, or were found to be private. */
    if (!msi_place_is_chosen(type))
        trust.flags |= MAPSEG_ALLOW_SHARED_DIRECTORY;
    return open_path(path, trust, name, failure);
}

mapseg_result
msi_place_check(mapseg_key_type type, int fd, struct msi_failure *failure)
{
    struct msi_file_system file_system;
    int error;

    if (type == MAPSEG_KEY_MEMFD)
        return MAPSEG_OK;
    error = msi_os.file_system(fd, &file_system);
    if (error < 0)
        return msi_system_failed(failure, -error, "its file system cannot be examined");
    if (strcmp(file_system.name, "hugetlbfs") == 0)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "its place is on hugetlbfs, whose files cannot be mapped in part; use a "
                          "tmpfs, which has huge pages too (mount option huge=)");
    if (!msi_place_is_chosen(type) && !file_system.ram_backed)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "its place is on %s and not in memory; mount a tmpfs there, or use a "
                          "file: key",
                          file_system.name);
    return MAPSEG_OK;
}

char *
msi_place_directory(mapseg_key_type type, int *directory)
{
    struct msi_failure failure;
    char *path = NULL;

    *directory = -1;
    if (type == MAPSEG_KEY_RUNTIME &&
        open_runtime_place(false, &path, directory, &failure) != MAPSEG_OK)
        return NULL;
    if (type == MAPSEG_KEY_SHM || type == MAPSEG_KEY_POSIX) {
        path = msi_copy_string(msi_os.shared_directory());
        *directory = msi_os.open_directory(msi_os.shared_directory());
    }
    return path;
}
