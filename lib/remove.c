/*
 * remove.c - taking names away.
 *
 * Whoever removes a name holds the name byte of the file it leads to, from
 * before the comparison until after the unlink, so that no two can do it at
 * once and none hits the name of a newer segment. In tests/model/name.pml:
 * [NAME_BYTE], [COMPARE], [UNLINK], [LET_GO].
 *
 * SPDX-License-Identifier: MIT
 */
#include "remove.h"
#include "handle/fork.h"
#include "file/header.h"
#include "file/key.h"
#include "os/os.h"
#include "file/place.h"
#include "file/trust.h"
#include "handle/forklist.h"
#include "handle/options.h"
#include "handle/report.h"
#include "remove.h"
#include "file/name.h"
#include "handle/handle.h"
#include "sync/presence.h"
#include "file/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/** Whether the name is that of a file under construction, whose header may
 *  never have been written. */
static bool
is_private_name(const struct mapseg_name *name)
{
    return mapseg_is_private_name(name->last);
}

/** Whether the segment is of a kind that may be removed. The caller keeps others
 *  from its name and, unless by force, from its presence. */
static mapseg_result
judge_victim(int fd, const struct stat *status, const struct mapseg_name *name,
             const struct mapseg_removal *removal, struct mapseg_failure *failure)
{
    uint32_t flags = removal->options->flags;
    struct mapseg_header header;
    mapseg_result readable = mapseg_header_read(fd, (uint64_t)status->st_size, &header, failure);
    bool known = readable == MAPSEG_OK || readable == MAPSEG_NOT_SUPPORTED ||
                 readable == MAPSEG_OUT_OF_RESOURCES;

    if (!removal->force && readable == MAPSEG_TOO_NEW)
        /* Its users may show their presence in a way that is not known here. */
        return MAPSEG_TOO_NEW;
    if (!mapseg_header_is_ours(fd) && !is_private_name(name))
        return mapseg_failed(failure, MAPSEG_NOT_A_SEGMENT, 0,
                             "the file does not begin like a segment; if it is to go, remove "
                             "it by other means");
    if (flags & MAPSEG_REQUIRE_ID &&
        (!known || memcmp(header.id, removal->options->id, sizeof header.id) != 0))
        return mapseg_failed(failure, MAPSEG_NOT_FOUND, 0,
                             "another segment has that name by now; look which one is meant");
    if (!removal->force && flags & MAPSEG_STALE_ONLY && known &&
        header.flags & MAPSEG_HEADER_PERSISTENT)
        return mapseg_failed(failure, MAPSEG_MEANT_TO_STAY, 0,
                             "it is persistent, and no crash debris; remove it if it is to go");
    return MAPSEG_OK;
}

/** Opens what is to be removed. */
static mapseg_result
open_victim(const struct mapseg_name *name, const struct mapseg_removal *removal, int *fd,
            struct stat *status, struct mapseg_failure *failure)
{
    const uint32_t any = (uint32_t)MAPSEG_ALLOW_OTHER_OWNER | (uint32_t)MAPSEG_ALLOW_SHARED_WRITE |
                         (uint32_t)MAPSEG_ALLOW_HARD_LINKS;
    mapseg_result result = mapseg_name_look(name, status, failure);
    int error;

    if (result != MAPSEG_OK)
        return result;
    *fd = mapseg_os.open(name->directory, name->last, O_RDWR);
    if (*fd < 0)
        return mapseg_open_failed(-*fd, failure);
    error = mapseg_os.status(*fd, status);
    if (error < 0)
        result = mapseg_system_failed(failure, -error, "the file cannot be examined");
    else
        result = mapseg_trust_file(status, *fd, true,
                                   removal->careful ? removal->options->flags : any, failure);
    /* Before any lock is taken on what may be none of ours. */
    if (result == MAPSEG_OK)
        result = judge_victim(*fd, status, name, removal, failure);
    if (result != MAPSEG_OK)
        mapseg_close(*fd);
    return result;
}

/** Unlinks the name if it still leads to the file. *again: it leads to another
 *  one by now. */
static mapseg_result
unlink_held(const struct mapseg_name *name, const struct stat *status, bool *again,
            struct mapseg_failure *failure)
{
    int leads = mapseg_name_leads_to(name, status->st_dev, status->st_ino);

    *again = leads == 0;
    if (leads == 0)
        return mapseg_failed(failure, MAPSEG_TIMED_OUT, 0,
                             "its name changes hands again and again; see who replaces it");
    if (leads > 0)
        leads = mapseg_os.unlink(name->directory, name->last);
    if (leads == -ENOENT)
        return mapseg_open_failed(ENOENT, failure);
    if (leads < 0)
        return mapseg_system_failed(failure, -leads,
                                    "its name cannot be removed; ask the owner of the file or of "
                                    "its directory");
    return MAPSEG_OK;
}

mapseg_result
mapseg_name_remove(const struct mapseg_name *name, struct mapseg_removal *removal,
                   struct mapseg_failure *failure)
{
    struct mapseg_file file;
    struct mapseg_hold hold;
    struct stat status;
    mapseg_result result;
    int error;
    int fd;

    removal->again = false;
    result = open_victim(name, removal, &fd, &status, failure);
    if (result != MAPSEG_OK)
        return result;
    mapseg_file_clear(&file);
    file.fd = fd;
    file.directory = name->directory;
    file.path = name->path;
    file.device = status.st_dev;
    file.inode = status.st_ino;
    error = removal->force ? mapseg_presence_take_name(&hold, &file)
                           : mapseg_presence_take_all(&hold, &file);
    if (error >= 0) {
        /* Again: this is the look that counts. */
        result = judge_victim(fd, &status, name, removal, failure);
        if (result == MAPSEG_OK)
            result = unlink_held(name, &status, &removal->again, failure);
        mapseg_presence_let_go(&hold);
    } else if (error != -EAGAIN) {
        result = mapseg_system_failed(failure, -error, "its presence bytes cannot be held");
    } else if (removal->force) {
        removal->again = true;
        result = mapseg_failed(failure, MAPSEG_TIMED_OUT, 0,
                               "another process is removing it and does not finish; see whether "
                               "it is stopped");
    } else {
        result = mapseg_failed(failure, MAPSEG_IN_USE, 0,
                               "a process is attached to it; wait until they leave, or remove it "
                               "all the same (mapseg_remove)");
    }
    mapseg_close(fd);
    return result;
}

/** Tries until it is done or hopeless. */
static mapseg_result
remove_name(const struct mapseg_name *name, bool force, const mapseg_options *options,
            struct mapseg_failure *failure)
{
    struct mapseg_removal removal = {.force = force, .options = options};
    int64_t deadline = mapseg_patience_ends(options->timeout_ns);
    int64_t pause_ns = 0;
    mapseg_result result;

    do {
        if (mapseg_fork_lock() < 0)
            return mapseg_fork_lock_failed(failure);
        result = mapseg_name_remove(name, &removal, failure);
        mapseg_fork_unlock();
    } while (removal.again && mapseg_wait_for_remover(&pause_ns, deadline));
    return result;
}

/** Tries until it is done or hopeless. A child that is made meanwhile closes the
 *  directory. */
static mapseg_result
remove_key(const mapseg *seg, bool force, const mapseg_options *options,
           struct mapseg_failure *failure)
{
    struct mapseg_courier courier;
    struct mapseg_name name;
    mapseg_result result;

    if (mapseg_fork_lock() < 0)
        return mapseg_fork_lock_failed(failure);
    result = mapseg_place_open(seg->key, false, options->flags, &name, failure);
    mapseg_fork_carry(&courier, name.directory);
    mapseg_fork_unlock();

    if (result == MAPSEG_OK && name.path == NULL)
        result = mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                               "a memory file has no name; it ends with its last descriptor");
    if (result == MAPSEG_OK)
        result = remove_name(&name, force, options, failure);

    (void)mapseg_fork_lock();
    mapseg_fork_deliver(&courier);
    mapseg_name_close(&name);
    mapseg_fork_unlock();
    return result;
}

static mapseg_result
check_and_remove(mapseg *seg, const char *operation, bool force, const mapseg_options *given)
{
    struct mapseg_failure failure;
    mapseg_options options;
    mapseg_result result;

    if (seg->key == NULL ||
        (mapseg_ipc_key_is_empty(seg->key) && !mapseg_key_is_nameless(seg->key)))
        result = mapseg_no_key(&failure);
    else
        result = mapseg_options_read(given, &options, &failure);
    if (result == MAPSEG_OK)
        result = remove_key(seg, force, &options, &failure);
    return result == MAPSEG_OK ? mapseg_succeed(seg) : mapseg_report(seg, operation, &failure);
}

mapseg_result
mapseg_remove_with(mapseg *seg, const mapseg_options *options)
{
    return check_and_remove(seg, "remove", true, options);
}

mapseg_result
mapseg_remove(mapseg *seg)
{
    return mapseg_remove_with(seg, NULL);
}

mapseg_result
mapseg_reclaim_with(mapseg *seg, const mapseg_options *options)
{
    return check_and_remove(seg, "reclaim", false, options);
}

mapseg_result
mapseg_reclaim(mapseg *seg)
{
    return mapseg_reclaim_with(seg, NULL);
}
