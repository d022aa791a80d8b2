/*
 * remove.c - taking names away.
 *
 * A process that removes a name holds the name byte of the file it leads to, from
 * before the comparison until after the unlink, so that no two can do it at
 * once and none hits the name of a newer segment. In tests/model/name.pml:
 * [NAME_BYTE], [COMPARE], [UNLINK], [LET_GO]. One that replaces a segment does the same, and
 * renames the new file over the name instead: [RENAME].
 *
 * SPDX-License-Identifier: MIT
 */
#include "remove.h"

#include "file/file.h"
#include "file/header.h"
#include "file/key.h"
#include "file/name.h"
#include "file/place.h"
#include "file/trust.h"
#include "foreign/foreign.h"
#include "handle/fork.h"
#include "handle/forklist.h"
#include "handle/handle.h"
#include "handle/options.h"
#include "handle/report.h"
#include "os/os.h"
#include "os/probe.h"
#include "sync/presence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/** Whether the name is that of a file under construction, whose header may
 *  never have been written. */
static bool
is_private_name(const struct msi_name *name)
{
    return msi_is_private_name(name->last);
}

/** Whether the segment is of a kind that may be removed. The caller keeps others
 *  from its name and, unless by force, from its presence. */
static mapseg_result
judge_victim(int fd, const struct stat *status, const struct msi_name *name,
             const struct msi_removal *removal, struct msi_failure *failure)
{
    uint32_t flags = removal->options->flags;
    struct mapseg_header header;
    mapseg_result readable;
    bool known;

    /* Without a header there is nothing to judge it by but its key, which says that it is raw. */
    if (removal->way != NULL)
        return MAPSEG_OK;
    readable = msi_header_read(fd, (uint64_t)status->st_size, &header, failure);
    known = readable == MAPSEG_OK || readable == MAPSEG_NOT_SUPPORTED ||
            readable == MAPSEG_OUT_OF_RESOURCES;

    if (!removal->force && readable == MAPSEG_TOO_NEW)
        /* Its users may show their presence in a way that is not known here. */
        return MAPSEG_TOO_NEW;
    if (!msi_header_is_ours(fd) && !is_private_name(name))
        return msi_failed(failure, MAPSEG_NOT_A_SEGMENT, 0,
                          "the file does not begin like a segment; if it is to go, remove "
                          "it by other means");
    if (flags & MAPSEG_REQUIRE_ID &&
        (!known || memcmp(header.id, removal->options->id, sizeof header.id) != 0))
        return msi_failed(failure, MAPSEG_NOT_FOUND, 0,
                          "another segment has that name by now; check which one is meant");
    if (!removal->force && flags & MAPSEG_STALE_ONLY && known &&
        header.flags & MAPSEG_HEADER_PERSISTENT && !is_private_name(name))
        return msi_failed(failure, MAPSEG_MEANT_TO_STAY, 0,
                          "it is persistent, and no crash debris; if it is to go, remove it "
                          "(mapseg_remove)");
    return MAPSEG_OK;
}

/** Opens what is to be removed. */
static mapseg_result
open_victim(const struct msi_name *name, const struct msi_removal *removal, int *fd,
            struct stat *status, struct msi_failure *failure)
{
    const struct msi_trust any = {.flags = (uint32_t)MAPSEG_ALLOW_OTHER_OWNER |
                                           (uint32_t)MAPSEG_ALLOW_SHARED_WRITE |
                                           (uint32_t)MAPSEG_ALLOW_HARD_LINKS};
    struct msi_trust trust = removal->careful ? msi_options_trust(removal->options) : any;
    mapseg_result result = msi_name_look(name, status, failure);
    int error;

    if (result != MAPSEG_OK)
        return result;
    *fd = msi_os.open(name->directory, name->last, O_RDWR);
    if (*fd < 0)
        return msi_name_open_failed(-*fd, failure);
    error = msi_os.status(*fd, status);
    if (error >= 0 && msi_name_is_being_given(name, *fd, status))
        trust.flags |= (uint32_t)MAPSEG_ALLOW_HARD_LINKS;
    if (error < 0)
        result = msi_system_failed(failure, -error, "the file cannot be examined");
    else
        result = msi_trust_file(status, *fd, true, trust, failure);
    /* Before any lock is taken on what may be none of ours. */
    if (result == MAPSEG_OK)
        result = judge_victim(*fd, status, name, removal, failure);
    if (result != MAPSEG_OK)
        msi_close(*fd);
    return result;
}

/** Takes the name away if it still leads to the file. removal->again: it leads to another
 *  one by now. */
static mapseg_result
unlink_held(const struct msi_name *name, const struct stat *status, struct msi_removal *removal,
            struct msi_failure *failure)
{
    int leads = msi_name_leads_to(name, status->st_dev, status->st_ino);

    removal->again = leads == 0;
    if (leads == 0)
        return msi_failed(failure, MAPSEG_TIMED_OUT, 0,
                          "its name changes hands again and again; find out which process "
                          "replaces it");
    if (leads > 0 && removal->replace != NULL) {
        leads = removal->replace(removal->context);
        return leads < 0 ? msi_system_failed(failure, -leads,
                                             "the segment of that name cannot be replaced")
                         : MAPSEG_OK;
    }
    if (leads > 0)
        leads = msi_os.unlink(name->directory, name->last);
    if (leads == -ENOENT)
        return msi_name_open_failed(ENOENT, failure);
    if (leads < 0)
        return msi_system_failed(failure, -leads,
                                 "its name cannot be removed; ask the owner of the file or of "
                                 "its directory");
    if (removal->way != NULL)
        removal->left_open = removal->way->removed(name);
    return MAPSEG_OK;
}

mapseg_result
msi_name_remove(const struct msi_name *name, struct msi_removal *removal,
                struct msi_failure *failure)
{
    struct msi_file file;
    struct msi_hold hold;
    struct stat status;
    mapseg_result result;
    int error;
    int fd;

    removal->again = false;
    removal->left_open = -1;
    result = open_victim(name, removal, &fd, &status, failure);
    if (result != MAPSEG_OK)
        return result;
    msi_file_clear(&file);
    file.fd = fd;
    file.directory = name->directory;
    file.path = name->path;
    file.device = status.st_dev;
    file.inode = status.st_ino;
    error =
        removal->force ? msi_presence_lock_name(&hold, &file) : msi_presence_lock_all(&hold, &file);
    if (error >= 0) {
        /* Again: this is the look that counts. */
        result = judge_victim(fd, &status, name, removal, failure);
        if (result == MAPSEG_OK)
            result = unlink_held(name, &status, removal, failure);
        if (result == MAPSEG_OK && !removal->force)
            MSI_PROBE(reclaim, file.inode, name->path, status.st_size);
        msi_presence_unlock(&hold);
    } else if (error == -EINVAL || error == -ENOSYS || error == -ENOLCK) {
        result = msi_presence_failed(-error, failure);
    } else if (error != -EAGAIN) {
        result = msi_system_failed(failure, -error, "its presence bytes cannot be held");
    } else if (removal->force) {
        removal->again = true;
        result = msi_failed(failure, MAPSEG_TIMED_OUT, 0,
                            "another process is removing it and does not finish; find that "
                            "process, and let it go on or end it");
    } else {
        result = msi_failed(failure, MAPSEG_IN_USE, 0,
                            "a process is attached to it; wait until it leaves, or remove the "
                            "segment all the same (mapseg_remove)");
    }
    if (removal->left_open >= 0)
        msi_close(removal->left_open);
    msi_close(fd);
    return result;
}

/** Tries until it is done or hopeless. */
static mapseg_result
remove_name(const struct msi_name *name, const struct msi_foreign_way *way, bool force,
            const mapseg_options *options, struct msi_failure *failure)
{
    struct msi_removal removal = {.way = way, .force = force, .options = options};
    int64_t deadline = msi_patience_ends(options->timeout_ns);
    int64_t pause_ns = 0;
    mapseg_result result;

    do {
        if (msi_forklist_lock() < 0)
            return msi_forklist_lock_failed(failure);
        result = msi_name_remove(name, &removal, failure);
        msi_forklist_unlock();
    } while (removal.again && msi_wait_for_remover(&pause_ns, deadline));
    return result;
}

/** Tries until it is done or hopeless. A child that is made meanwhile closes the
 *  directory. */
static mapseg_result
remove_place(const struct msi_place *place, const struct msi_foreign_way *way, bool force,
             const mapseg_options *options, struct msi_failure *failure)
{
    struct msi_fd_in_flight flight;
    struct msi_name name;
    mapseg_result result;

    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    result = msi_place_open(place, false, msi_options_trust(options), &name, failure);
    msi_in_flight_add(&flight, name.directory);
    msi_forklist_unlock();

    if (result == MAPSEG_OK && name.path == NULL)
        result = msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                            "a memory file has no name to be removed; end the processes that "
                            "have it, and it ends too");
    if (result == MAPSEG_OK)
        result = remove_name(&name, way, force, options, failure);

    (void)msi_forklist_lock();
    msi_in_flight_remove(&flight);
    msi_name_close(&name);
    msi_forklist_unlock();
    return result;
}

static mapseg_result
check_and_remove(mapseg *seg, const char *operation, bool force, const mapseg_options *given)
{
    const struct msi_foreign_way *way = msi_foreign_way_of(seg->key, 0);
    struct msi_failure failure;
    mapseg_options options;
    struct msi_place place;
    mapseg_result result;

    msi_place_of(seg->key, &place);
    if (place.is_nowhere)
        result = msi_options_no_key(&place, &failure);
    else
        result = msi_options_read(given, &options, &failure);
    if (result == MAPSEG_OK && way != NULL && options.flags & MAPSEG_REQUIRE_ID)
        result = msi_foreign_refuse(way, "have an id", &failure);
    if (result == MAPSEG_OK && msi_foreign_is_apart(way))
        result = way->remove(seg, force, &options, &failure);
    else if (result == MAPSEG_OK && way != NULL && !force)
        result = msi_failed(&failure, MAPSEG_NOT_SUPPORTED, 0,
                            "which programs use a segment without a header cannot be known; make "
                            "sure that none does, and remove it (mapseg_remove)");
    else if (result == MAPSEG_OK)
        result = remove_place(&place, way, force, &options, &failure);
    return result == MAPSEG_OK ? msi_succeed(seg) : msi_report(seg, operation, &failure);
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
