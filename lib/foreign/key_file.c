/*
 * key_file.c - see key_file.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "key_file.h"

#include "file/name.h"
#include "file/place.h"
#include "handle/forklist.h"
#include "os/os.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/** As Qt makes it. Its content is never read, so what it lets others do is to look at it. */
#define KEY_FILE_MODE 0640

/** How often to try where the file comes and goes. */
#define TRIES 100

int32_t
msi_key_file_number(dev_t device, ino_t inode, int project)
{
    uint32_t number = ((uint32_t)project & 0xff) << 24 | ((uint32_t)device & 0xff) << 16 |
                      ((uint32_t)inode & 0xffff);
    int32_t key;

    memcpy(&key, &number, sizeof key);
    return key;
}

mapseg_result
msi_key_file_check(const char *path, struct msi_failure *failure)
{
    const char *last = strrchr(path, '/');

    if (path[0] != '/' || last[1] == '\0' || strcmp(last, "/.") == 0 || strcmp(last, "/..") == 0)
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its name is no absolute path of a file; begin it with a slash, and end "
                          "it with a file's name");
    if (strlen(path) >= PATH_MAX)
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its path is longer than the %d bytes that a path can have; use a "
                          "shorter one",
                          PATH_MAX - 1);
    return MAPSEG_OK;
}

/** Opens the directory, and judges it; no child may copy that, so the fork list is locked until
 *  leave(). */
static mapseg_result
enter(const struct msi_key_file *file, struct msi_name *name, struct msi_failure *failure)
{
    mapseg_result result;

    msi_name_clear(name);
    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    result = msi_place_open_again(MAPSEG_KEY_FILE, file->path, file->trust, name, failure);
    if (result == MAPSEG_OK)
        return MAPSEG_OK;
    msi_name_close(name);
    msi_forklist_unlock();
    return result;
}

static void
leave(struct msi_name *name)
{
    msi_name_close(name);
    msi_forklist_unlock();
}

/** Looks at the file in its directory. */
static mapseg_result
look(struct msi_key_file *file, const struct msi_name *name, struct msi_failure *failure)
{
    struct stat status;
    mapseg_result result = msi_name_look(name, &status, failure);

    if (result == MAPSEG_OK)
        result = msi_trust_file(&status, -1, true, file->trust, failure);
    if (result != MAPSEG_OK)
        return result;
    file->device = status.st_dev;
    file->inode = status.st_ino;
    file->key = msi_key_file_number(status.st_dev, status.st_ino, file->project);
    return MAPSEG_OK;
}

mapseg_result
msi_key_file_look(struct msi_key_file *file, struct msi_failure *failure)
{
    struct msi_name name;
    mapseg_result result = enter(file, &name, failure);

    if (result != MAPSEG_OK)
        return result;
    result = look(file, &name, failure);
    leave(&name);
    return result;
}

/** Makes the file, and looks at it; NOT_FOUND: it went in between. */
static mapseg_result
make(struct msi_key_file *file, const struct msi_name *name, bool *made,
     struct msi_failure *failure)
{
    int fd = msi_os.open_new(name->directory, name->last, KEY_FILE_MODE);
    mapseg_result result;

    if (fd >= 0)
        msi_os.close(fd);
    if (fd < 0 && fd != -EEXIST)
        return msi_system_failed(failure, -fd,
                                 "its key file cannot be made; check that the directory exists and "
                                 "may be written");
    result = look(file, name, failure);
    *made = result == MAPSEG_OK && fd >= 0;
    /* No process was told of it. */
    if (result != MAPSEG_OK && fd >= 0)
        (void)msi_os.unlink(name->directory, name->last);
    return result;
}

mapseg_result
msi_key_file_make(struct msi_key_file *file, bool *made, struct msi_failure *failure)
{
    struct msi_name name;
    mapseg_result result = enter(file, &name, failure);

    *made = false;
    if (result != MAPSEG_OK)
        return result;
    result = MAPSEG_NOT_FOUND;
    for (int i = 0; i < TRIES && result == MAPSEG_NOT_FOUND; i++)
        result = make(file, &name, made, failure);
    leave(&name);
    return result;
}

bool
msi_key_file_is_same(const struct msi_key_file *file)
{
    struct msi_key_file now = *file;
    struct msi_failure failure;

    return msi_key_file_look(&now, &failure) == MAPSEG_OK && now.device == file->device &&
           now.inode == file->inode;
}

mapseg_result
msi_key_file_remove(const struct msi_key_file *file, struct msi_failure *failure)
{
    struct msi_name name;
    struct stat status;
    mapseg_result result = enter(file, &name, failure);
    int error;

    if (result != MAPSEG_OK)
        return result == MAPSEG_NOT_FOUND ? MAPSEG_OK : result;
    error = msi_os.status_of_name(name.directory, name.last, &status);
    if (error >= 0 && S_ISREG(status.st_mode) && status.st_size == 0 &&
        status.st_dev == file->device && status.st_ino == file->inode)
        error = msi_os.unlink(name.directory, name.last);
    leave(&name);
    if (error >= 0 || error == -ENOENT)
        return MAPSEG_OK;
    return msi_system_failed(failure, -error,
                             "its key file cannot be removed; have its owner remove it");
}
