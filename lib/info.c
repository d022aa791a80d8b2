/*
 * info.c - looking at the segment of a handle.
 *
 * SPDX-License-Identifier: MIT
 */
#include "file/key.h"
#include "file/place.h"
#include "foreign/foreign.h"
#include "handle/describe.h"
#include "handle/forklist.h"
#include "handle/handle.h"
#include "handle/options.h"
#include "handle/report.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/** A file that is looked at. Looking may take a while, and no fork waits for that:
 *  what is open meanwhile a child closes. */
struct look {
    struct msi_name name;
    bool name_is_gone; /**< also its directory, of a handle that is attached */
    int fd;            /**< -1: the file is one that is only looked at from outside */
    bool borrowed;     /**< fd is not ours to close */
    struct stat status;
    struct msi_fd_in_flight of_directory;
    struct msi_fd_in_flight of_file;
};

/** The descriptor that a handle without a name leads to, or that is attached. */
static int
given_descriptor(mapseg *seg)
{
    struct msi_file *file = &seg->attachment.file;
    struct msi_place place;

    if (msi_handle_is_attached(seg) && file->fd >= 0)
        return msi_file_fd(file);
    msi_place_of(seg->key, &place);
    return place.descriptor;
}

/** Opens what the handle is attached to, or what its key leads to if that is a
 *  descriptor. */
static mapseg_result
open_own(mapseg *seg, struct look *look, struct msi_failure *failure)
{
    int given = given_descriptor(seg);

    if (given < 0 && msi_handle_is_attached(seg))
        return msi_file_failed(-given, failure);
    look->fd = msi_os.duplicate(given);
    /* A sandbox: the descriptor as it is will do. */
    look->borrowed = look->fd == -EPERM || look->fd == -EACCES || look->fd == -ENOSYS;
    if (look->borrowed)
        look->fd = given;
    if (look->fd == -EBADF)
        return msi_failed(failure, MAPSEG_NOT_FOUND, EBADF,
                          "descriptor %d is not open in this process; check that it was "
                          "inherited",
                          given);
    return MAPSEG_OK;
}

/** Opens what the name leads to. */
static mapseg_result
open_by_name(struct look *look, struct msi_failure *failure)
{
    int error = msi_os.status_of_name(look->name.directory, look->name.last, &look->status);

    if (error >= 0 && S_ISREG(look->status.st_mode)) {
        look->fd = msi_os.open(look->name.directory, look->name.last, O_RDONLY);
        /* Said here: -1 stands for what is looked at from outside, and is an error, too. */
        error = look->fd;
    }
    return error < 0 ? msi_name_open_failed(-error, failure) : MAPSEG_OK;
}

/** Opens the directory in which the name of the attachment is, or the key's. Directories
 *  are judged later, for the verdict. */
static mapseg_result
open_place(const mapseg *seg, struct look *look, struct msi_failure *failure)
{
    const struct msi_attachment *attachment = &seg->attachment;
    const struct msi_trust any = {.flags = MAPSEG_ALLOW_SHARED_DIRECTORY};
    struct msi_place place;

    msi_place_of(seg->key, &place);
    if (!msi_handle_is_attached(seg))
        return msi_place_open(&place, false, any, &look->name, failure);
    if (attachment->file.path == NULL)
        return MAPSEG_OK;
    /* The key of a runtime directory may lead elsewhere by now, or nowhere. */
    return msi_place_open_again(attachment->type, attachment->file.path, any, &look->name, failure);
}

/** Opens the file to look at it; the fork list is locked. */
static mapseg_result
begin_look(mapseg *seg, struct look *look, struct msi_failure *failure)
{
    bool attached = msi_handle_is_attached(seg);
    mapseg_result result = open_place(seg, look, failure);
    int error = 0;

    /* An attached handle sees its attachment, also where its name is gone, and all that led
     * to it. */
    if (result != MAPSEG_OK && !attached)
        return result;
    look->name_is_gone = result == MAPSEG_NOT_FOUND;
    result = attached || look->name.path == NULL ? open_own(seg, look, failure)
                                                 : open_by_name(look, failure);
    if (result != MAPSEG_OK)
        return result;
    if (look->fd >= 0)
        error = msi_os.status(look->fd, &look->status);
    if (error < 0)
        return msi_system_failed(failure, -error, "the file cannot be examined");
    return look->fd < -1 ? msi_name_open_failed(-look->fd, failure) : MAPSEG_OK;
}

/** Closes what was opened for it; the fork list is locked. */
static void
end_look(struct look *look)
{
    if (look->fd >= 0 && !look->borrowed)
        msi_close(look->fd);
    msi_name_close(&look->name);
}

/** Whether the program has closed the descriptor that presence lay on. */
static bool
has_lost_presence(const mapseg *seg)
{
    int fd = seg->attachment.presence.fd;

    return msi_handle_is_attached(seg) && fd >= 0 && !msi_file_is_behind(&seg->attachment.file, fd);
}

/** How this very handle is present, if it is attached. */
static mapseg_presence_kind
own_presence(const mapseg *seg)
{
    const struct msi_presence *presence = &seg->attachment.presence;

    if (!msi_handle_is_attached(seg) || has_lost_presence(seg))
        return MAPSEG_PRESENCE_NONE;
    if (presence->refused)
        return MAPSEG_PRESENCE_REFUSED;
    if (presence->on_working_descriptor)
        return MAPSEG_PRESENCE_RECEIVED;
    if (presence->fd >= 0)
        return MAPSEG_PRESENCE_DESCRIPTOR;
    return presence->slot != 0 ? MAPSEG_PRESENCE_SLOT : MAPSEG_PRESENCE_READER;
}

/** What this very handle has to do without. */
static const char *
own_loss(const mapseg *seg, mapseg_presence_kind presence)
{
    if (has_lost_presence(seg))
        return "this program has closed the descriptor that its presence lay on, so no process "
               "sees this attachment, and others take the lock from it; detach, and attach anew";
    switch (presence) {
    case MAPSEG_PRESENCE_REFUSED:
        return "the system refuses locks on the file, so no process sees this attachment, and it "
               "cannot lock; it reads and waits";
    case MAPSEG_PRESENCE_RECEIVED:
        return "the file cannot be opened anew (is /proc mounted, and may this user?), so its "
               "presence lies on the descriptor itself, and lasts until all processes have ended "
               "that have a copy of that, or were handed one by this attachment";
    case MAPSEG_PRESENCE_DESCRIPTOR:
        return "a mapping cannot hold its presence here, so that lies on a descriptor: "
               "it ends if this program closes that, and lasts as long as a child has a copy that "
               "was made by a bare clone";
    case MAPSEG_PRESENCE_READER:
        return "this attachment cannot write the header, so it cannot lock; it reads and waits";
    default:
        return "";
    }
}

/** Where the name of an attached handle leads to by now. */
static mapseg_name_state
see_name(const mapseg *seg, const struct look *look)
{
    const struct msi_file *file = &seg->attachment.file;
    int leads;

    if (!msi_handle_is_attached(seg) || file->path == NULL)
        return MAPSEG_NAME_NONE;
    leads = look->name.directory >= 0 ? msi_name_leads_to(&look->name, file->device, file->inode)
            : look->name_is_gone      ? -ENOENT
                                      : -EACCES;
    if (leads >= 0)
        return leads == 1 ? MAPSEG_NAME_SAME : MAPSEG_NAME_REPLACED;
    return leads == -ENOENT ? MAPSEG_NAME_GONE : MAPSEG_NAME_UNKNOWN;
}

/** What this very handle has of the segment. */
static void
see_attachment(const mapseg *seg, const struct look *look, mapseg_info *seen)
{
    seen->presence = own_presence(seg);
    seen->limitations = own_loss(seg, seen->presence);
    seen->name_state = see_name(seg, look);
    if (msi_handle_is_attached(seg))
        seen->huge_bytes = msi_os.huge_bytes(seg->attachment.base);
}

static mapseg_result
see(const mapseg *seg, const struct msi_foreign_way *way, const struct look *look,
    mapseg_info **information, struct msi_failure *failure)
{
    const char *path = msi_handle_is_attached(seg) ? seg->attachment.file.path : look->name.path;

    *information =
        msi_info_make(seg->key, path == NULL ? "" : path, look->fd, &look->status, way != NULL);
    if (*information == NULL)
        return msi_system_failed(failure, ENOMEM, "there is no memory to describe it");
    see_attachment(seg, look, *information);
    if (way != NULL)
        way->look(&look->name, look->fd, *information);
    return MAPSEG_OK;
}

static mapseg_result
see_key(mapseg *seg, const struct msi_foreign_way *way, mapseg_info **information,
        struct msi_failure *failure)
{
    struct look look = {.fd = -1};
    mapseg_result result;

    msi_name_clear(&look.name);
    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    result = begin_look(seg, &look, failure);
    msi_in_flight_add(&look.of_directory, look.name.directory);
    msi_in_flight_add(&look.of_file, look.borrowed ? -1 : look.fd);
    msi_forklist_unlock();

    if (result == MAPSEG_OK)
        result = see(seg, way, &look, information, failure);

    (void)msi_forklist_lock();
    msi_in_flight_remove(&look.of_file);
    msi_in_flight_remove(&look.of_directory);
    end_look(&look);
    msi_forklist_unlock();
    return result;
}

mapseg_result
mapseg_info_new(mapseg *seg, mapseg_info **information)
{
    const struct msi_foreign_way *way =
        seg->foreign != NULL ? seg->foreign->way : msi_foreign_way_of(seg->key, 0);
    struct msi_failure failure;
    struct msi_place place;
    mapseg_result result;

    *information = NULL;
    msi_place_of(seg->key, &place);
    if (place.is_nowhere || (place.is_new_memory && !msi_handle_is_attached(seg)))
        result = msi_options_no_key(&place, &failure);
    else if (msi_foreign_is_apart(way))
        result = way->info(seg, information, &failure);
    else
        result = see_key(seg, way, information, &failure);
    return result == MAPSEG_OK ? msi_succeed(seg) : msi_report(seg, "examine", &failure);
}
