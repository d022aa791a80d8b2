/*
 * system_v_handle.c - what a handle has of a System V segment, and what is left where that is gone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "system_v.h"

#include "file/key.h"
#include "handle/options.h"
#include "os/os.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void
forget(struct msi_foreign *foreign)
{
    free(foreign);
}

/** The path of the lock's key file, which the caller frees: that of the segment; but of a key that
 *  carries one of Qt before 6.6 the one that Qt derives from that. NULL: no memory. */
static char *
lock_path(const mapseg_ipc_key *key)
{
    const char *legacy = mapseg_ipc_key_legacy_key(key);
    mapseg_ipc_key *semaphore;
    char *path;

    if (*legacy == '\0')
        return msi_copy_string(mapseg_ipc_key_name(key));
    semaphore = mapseg_ipc_key_legacy_semaphore(legacy, mapseg_ipc_key_type(key));
    path = semaphore == NULL ? NULL : msi_copy_string(mapseg_ipc_key_name(semaphore));
    mapseg_ipc_key_free(semaphore);
    return path;
}

/** A handle's part with these paths; NULL: no memory. */
static struct msi_system_v_handle *
make(const mapseg *seg, const char *path, const char *lock, const mapseg_options *options)
{
    size_t bytes = strlen(path) + 1;
    struct msi_system_v_handle *own = calloc(1, sizeof *own + bytes + strlen(lock) + 1);

    if (own == NULL)
        return NULL;
    memcpy(own->paths, path, bytes);
    memcpy(own->paths + bytes, lock, strlen(lock) + 1);
    own->foreign.forget = forget;
    own->file.path = own->paths;
    own->file.project = (int)mapseg_ipc_key_type(seg->key);
    own->file.trust = msi_options_trust(options);
    own->has_own_file = strcmp(path, lock) != 0;
    own->lock.file = own->file;
    own->lock.file.path = own->paths + bytes;
    (void)pthread_mutex_init(&own->lock.joining, NULL);
    own->lock.mode = 0600;
    atomic_init(&own->lock.set, -1);
    atomic_init(&own->lock.owner, 0);
    own->segment = -1;
    own->can_lock = true;
    own->keeps_name = (options->flags & MAPSEG_KEEP_NAME) != 0;
    return own;
}

struct msi_system_v_handle *
msi_system_v_new(const mapseg *seg, const mapseg_options *options, struct msi_failure *failure)
{
    const char *path = mapseg_ipc_key_name(seg->key);
    struct msi_system_v_handle *own = NULL;
    char *lock = lock_path(seg->key);

    if (lock != NULL && (msi_key_file_check(path, failure) != MAPSEG_OK ||
                         msi_key_file_check(lock, failure) != MAPSEG_OK)) {
        free(lock);
        return NULL;
    }
    if (lock != NULL)
        own = make(seg, path, lock, options);
    free(lock);
    if (own == NULL)
        msi_system_failed(failure, ENOMEM, "there is no memory for it");
    return own;
}

mapseg_result
msi_system_v_look_at_lock(struct msi_system_v_handle *own, bool *made, struct msi_failure *failure)
{
    *made = false;
    if (own->has_own_file)
        return msi_key_file_make(&own->lock.file, made, failure);
    own->lock.file = own->file;
    return MAPSEG_OK;
}

mapseg_result
msi_system_v_find(struct msi_system_v_handle *own, struct msi_system_v *status,
                  struct msi_failure *failure)
{
    int segment = msi_os.system_v_segment(own->file.key, 0, 0);
    int error = segment < 0 ? segment : msi_os.system_v_segment_status(segment, status);

    own->segment = error < 0 ? -1 : segment;
    if (error >= 0)
        return MAPSEG_OK;
    if (error == -ENOENT || msi_system_v_is_gone(error))
        return msi_failed(failure, MAPSEG_NOT_FOUND, ENOENT,
                          "there is its key file, but no such segment; create it first, or check "
                          "the key");
    if (error == -EACCES)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, EACCES,
                          "this user may not read the segment; ask its owner");
    return msi_system_failed(failure, -error, "the segment cannot be examined");
}

/** Whether the path of the key file leads to another segment by now, which programs may use. */
static bool
has_newer_segment(const struct msi_system_v_handle *own)
{
    struct msi_key_file now = own->file;
    struct msi_failure failure;
    mapseg_result result = msi_key_file_look(&now, &failure);
    int segment;

    if (result == MAPSEG_NOT_FOUND)
        return false;
    /* What cannot be looked at may be one. */
    if (result != MAPSEG_OK)
        return true;
    segment = msi_os.system_v_segment(now.key, 0, 0);
    return segment != -ENOENT;
}

mapseg_result
msi_system_v_clear_up(struct msi_system_v_handle *own, struct msi_failure *failure)
{
    int set = atomic_load_explicit(&own->lock.set, memory_order_relaxed);
    mapseg_result result;
    int error = 0;

    if (has_newer_segment(own))
        return MAPSEG_OK;
    /* The files first: a waiter that finds the set gone must find no key file either. And while a
     * file is left, the set is, so that the next removal finds both. */
    result = msi_key_file_remove(&own->file, failure);
    /* Another file, or what was made anew where the first one was gone. */
    if (result == MAPSEG_OK && own->lock.file.inode != 0 &&
        (own->has_own_file || own->lock.file.inode != own->file.inode))
        result = msi_key_file_remove(&own->lock.file, failure);
    if (result != MAPSEG_OK)
        return result;
    if (set >= 0)
        error = msi_os.system_v_set_remove(set);
    if (error >= 0 || msi_system_v_is_gone(error))
        return MAPSEG_OK;
    return msi_system_failed(failure, -error,
                             "its semaphore, of set %d, cannot be removed; have its owner remove "
                             "it (ipcrm -s)",
                             set);
}
