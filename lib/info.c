/*
 * info.c - what can be seen of segments without attaching to them.
 *
 * Looking takes no lock and no presence: a test that took the bytes and gave
 * them back would make somebody's last detach believe it is not the last.
 *
 * SPDX-License-Identifier: MIT
 */
#include "attach.h"
#include "fork.h"
#include "header.h"
#include "key.h"
#include "os.h"
#include "place.h"
#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/** The library's own part of an information: what its pointers lead to. */
struct information {
    mapseg_information seen; /* first: what the caller gets is a pointer to it */
    char file_system[24];
    char verdict_text[sizeof((struct mapseg_failure *)NULL)->reason];
    char safety_text[320];
};

struct mapseg_list {
    size_t count;
    size_t room;
    mapseg_information **entries;
};

/* ------------------------------------------------------------- one file -- */

/** Reads the file's header, of which any part may be nonsense. */
static void
see_header(mapseg_information *seen, int fd, const struct mapseg_header *copy)
{
    struct mapseg_header header;

    seen->data_size = copy->data_size;
    seen->data_offset = copy->data_offset;
    seen->header_flags = copy->flags;
    seen->created_ns = copy->created;
    seen->user_tag = copy->user_tag;
    seen->format = copy->format;
    memcpy(seen->id, copy->id, sizeof seen->id);
    if (mapseg_os.read(fd, &header, sizeof header, 0) != (int64_t)sizeof header)
        return;
    seen->recoveries = header.recoveries;
    seen->sequence = header.sequence;
    seen->lock_slot = header.lock & MAPSEG_LOCK_OWNER;
    seen->lock_sleepers = (header.lock & MAPSEG_LOCK_SLEEPERS) != 0;
    seen->lock_inconsistent = (header.lock & MAPSEG_LOCK_DIED) != 0;
    if (seen->lock_slot != 0) {
        seen->lock_pid = header.owner_pid;
        seen->lock_tid = header.owner_tid;
        seen->lock =
            seen->lock_slot <= MAPSEG_LAST_SLOT && mapseg_presence_is_held(fd, seen->lock_slot)
                ? MAPSEG_LOCK_STATE_HELD
                : MAPSEG_LOCK_STATE_OWNER_DIED;
    } else {
        seen->lock =
            seen->lock_inconsistent ? MAPSEG_LOCK_STATE_INCONSISTENT : MAPSEG_LOCK_STATE_FREE;
    }
}

/** What the segment is used for, given that its header is sound or not. */
static mapseg_use
use_of(const mapseg_information *seen, bool sound, const struct mapseg_census *census)
{
    if (!sound)
        return MAPSEG_USE_DAMAGED;
    if (census->is_blocked)
        return MAPSEG_USE_BLOCKED;
    if (seen->attached != 0)
        return MAPSEG_USE_LIVE;
    return seen->header_flags & MAPSEG_HEADER_PERSISTENT ? MAPSEG_USE_PERSISTENT : MAPSEG_USE_STALE;
}

/** Whether others could replace a directory on the way to the file. */
static mapseg_result
judge_directories(const mapseg_information *seen, struct mapseg_failure *failure)
{
    int directory;
    mapseg_result result;

    if (seen->type != MAPSEG_KEY_FILE)
        return MAPSEG_OK;
    result = mapseg_trust_open_directory(seen->path, 0, &directory, failure);
    if (directory >= 0)
        mapseg_os.close(directory);
    return result;
}

/** What default options would make of it. */
static void
judge(struct information *information, int fd, const struct stat *status,
      const struct mapseg_census *census)
{
    mapseg_information *seen = &information->seen;
    struct mapseg_failure failure = {.result = MAPSEG_OK};
    struct mapseg_header copy;
    bool named = seen->type != MAPSEG_KEY_MEMFD;
    mapseg_result trusted = mapseg_trust_file(status, fd, named, 0, &failure);
    mapseg_result readable = MAPSEG_NOT_A_SEGMENT;
    struct mapseg_failure unreadable = {.result = MAPSEG_OK};
    bool sound = false;

    seen->lock = MAPSEG_LOCK_STATE_UNKNOWN;
    if (trusted == MAPSEG_OK)
        trusted = judge_directories(seen, &failure);
    if (trusted == MAPSEG_OK)
        trusted = mapseg_place_check(seen->type, fd, &failure);
    if (S_ISREG(status->st_mode)) {
        readable = mapseg_header_read(fd, (uint64_t)status->st_size, &copy, &unreadable);
        /* The last two: whole, but not for this machine or program. */
        sound = readable == MAPSEG_OK || readable == MAPSEG_NOT_SUPPORTED ||
                readable == MAPSEG_OUT_OF_RESOURCES;
        if (sound)
            see_header(seen, fd, &copy);
        else if (readable != MAPSEG_NOT_A_SEGMENT)
            seen->format = copy.format;
    }
    if (trusted == MAPSEG_OK && readable != MAPSEG_OK)
        failure = unreadable;
    seen->verdict = trusted != MAPSEG_OK ? trusted : readable;
    memcpy(information->verdict_text, failure.reason, sizeof information->verdict_text);
    if (seen->verdict == MAPSEG_OK)
        information->verdict_text[0] = '\0';
    seen->use = use_of(seen, sound, census);
}

/** What can be done to those who use the file. */
static void
see_safety(struct information *information, int fd, const struct stat *status)
{
    mapseg_information *seen = &information->seen;
    bool refused;

    seen->can_shrink = seen->type != MAPSEG_KEY_MEMFD || mapseg_trust_can_shrink(fd, &refused);
    seen->writers = mapseg_trust_writers(status, seen->seals);
    mapseg_trust_describe(status, seen->can_shrink, seen->writers, information->safety_text,
                          sizeof information->safety_text);
}

static void
see_file(struct information *information, int fd, const struct stat *status)
{
    mapseg_information *seen = &information->seen;
    struct mapseg_file_system file_system;
    struct mapseg_census census = {.attached = 0};

    seen->seals = fd < 0 ? -1 : mapseg_os.seals(fd);
    if (seen->seals < 0)
        seen->seals = -1;
    if (fd >= 0 && mapseg_os.file_system(fd, &file_system) >= 0)
        memcpy(information->file_system, file_system.name, sizeof information->file_system);
    if (seen->type == MAPSEG_KEY_MEMFD && seen->seals >= 0)
        memcpy(information->file_system, "memfd", sizeof "memfd");
    see_safety(information, fd, status);
    seen->file_size = (uint64_t)status->st_size;
    seen->file_bytes = (uint64_t)status->st_blocks * 512;
    seen->mode = (uint32_t)status->st_mode & 07777;
    seen->uid = (uint32_t)status->st_uid;
    seen->gid = (uint32_t)status->st_gid;
    seen->links = (uint32_t)status->st_nlink;
    if (fd >= 0)
        mapseg_presence_count(fd, status->st_dev, status->st_ino, &census);
    seen->attached = census.attached;
    seen->readers = census.readers;
    seen->attached_is_minimum = census.is_minimum;
    judge(information, fd, status, &census);
}

/** An information about the file behind `fd`, which stays the caller's. */
static mapseg_information *
describe(const mapseg_ipc_key *key, const char *path, int fd, const struct stat *status)
{
    struct information *information = calloc(1, sizeof *information);
    mapseg_information *seen;

    if (information == NULL)
        return NULL;
    seen = &information->seen;
    seen->type = mapseg_ipc_key_type(key);
    seen->native_key = mapseg_copy_string(mapseg_ipc_key_text(key));
    seen->path = mapseg_copy_string(path);
    seen->file_system = information->file_system;
    seen->verdict_text = information->verdict_text;
    seen->safety_text = information->safety_text;
    seen->loss_text = "";
    if (seen->native_key == NULL || seen->path == NULL) {
        mapseg_information_free(seen);
        return NULL;
    }
    see_file(information, fd, status);
    /* Half made, or given up half way: damage is no surprise there. */
    if (seen->use == MAPSEG_USE_DAMAGED && S_ISREG(status->st_mode) && mapseg_key_is_private(key))
        seen->use = seen->attached != 0 ? MAPSEG_USE_LIVE : MAPSEG_USE_STALE;
    return seen;
}

void
mapseg_information_free(mapseg_information *information)
{
    if (information == NULL)
        return;
    free((void *)(uintptr_t)information->native_key);
    free((void *)(uintptr_t)information->path);
    free(information);
}

/* -------------------------------------------------------------- one key -- */

/** A file that is looked at. Looking may take a while, and no fork waits for that:
 *  what is open meanwhile a child closes. */
struct look {
    struct mapseg_name name;
    bool name_is_gone; /**< also its directory, of a handle that is attached */
    int fd;            /**< -1: the file is one that is only looked at from outside */
    bool borrowed;     /**< fd is not ours to close */
    struct stat status;
    struct mapseg_courier of_directory;
    struct mapseg_courier of_file;
};

/** The descriptor that a handle without a name leads to, or that is attached. */
static int
given_descriptor(mapseg *seg)
{
    struct mapseg_file *file = &seg->attachment.file;

    return mapseg_is_attached(seg) && file->fd >= 0 ? mapseg_file_fd(file)
                                                    : mapseg_key_descriptor(seg->key);
}

/** Opens what the handle is attached to, or what its key leads to if that is a
 *  descriptor. */
static mapseg_result
open_own(mapseg *seg, struct look *look, struct mapseg_failure *failure)
{
    int given = given_descriptor(seg);

    if (given < 0 && mapseg_is_attached(seg))
        return mapseg_file_failed(-given, failure);
    look->fd = mapseg_os.duplicate(given);
    /* A sandbox: the descriptor as it is will do. */
    look->borrowed = look->fd == -EPERM || look->fd == -EACCES || look->fd == -ENOSYS;
    if (look->borrowed)
        look->fd = given;
    if (look->fd == -EBADF)
        return mapseg_failed(failure, MAPSEG_NOT_FOUND, EBADF,
                             "that descriptor is not open in this process");
    return MAPSEG_OK;
}

/** Opens what the name leads to. */
static mapseg_result
open_by_name(struct look *look, struct mapseg_failure *failure)
{
    int error = mapseg_os.status_of_name(look->name.directory, look->name.last, &look->status);

    if (error >= 0 && S_ISREG(look->status.st_mode)) {
        look->fd = mapseg_os.open(look->name.directory, look->name.last, O_RDONLY);
        /* Said here: -1 stands for what is looked at from outside, and is an error, too. */
        error = look->fd;
    }
    return error < 0 ? mapseg_open_failed(-error, failure) : MAPSEG_OK;
}

/** Opens the directory in which the name of the attachment is, or the key's. Directories
 *  are judged later, for the verdict. */
static mapseg_result
open_place(const mapseg *seg, struct look *look, struct mapseg_failure *failure)
{
    const struct mapseg_attachment *attachment = &seg->attachment;
    const uint32_t any = MAPSEG_ALLOW_SHARED_DIRECTORY;

    if (!mapseg_is_attached(seg))
        return mapseg_place_open(seg->key, false, any, &look->name, failure);
    if (attachment->file.path == NULL)
        return MAPSEG_OK;
    /* The key of a runtime directory may lead elsewhere by now, or nowhere. */
    return mapseg_place_open_again(attachment->type, attachment->file.path, any, &look->name,
                                   failure);
}

/** Opens the file to look at it; the fork list is locked. */
static mapseg_result
begin_look(mapseg *seg, struct look *look, struct mapseg_failure *failure)
{
    bool attached = mapseg_is_attached(seg);
    mapseg_result result = open_place(seg, look, failure);
    int error = 0;

    /* Who is attached sees the attachment, also where its name is gone, and all that
     * led to it. */
    if (result != MAPSEG_OK && !attached)
        return result;
    look->name_is_gone = result == MAPSEG_NOT_FOUND;
    result = attached || look->name.path == NULL ? open_own(seg, look, failure)
                                                 : open_by_name(look, failure);
    if (result != MAPSEG_OK)
        return result;
    if (look->fd >= 0)
        error = mapseg_os.status(look->fd, &look->status);
    if (error < 0)
        return mapseg_system_failed(failure, -error, "the file cannot be examined");
    return look->fd < -1 ? mapseg_open_failed(-look->fd, failure) : MAPSEG_OK;
}

/** Closes what was opened for it; the fork list is locked. */
static void
end_look(struct look *look)
{
    if (look->fd >= 0 && !look->borrowed)
        mapseg_close(look->fd);
    mapseg_name_close(&look->name);
}

/** Whether the program has closed the descriptor that presence lay on. */
static bool
has_lost_presence(const mapseg *seg)
{
    int fd = seg->attachment.presence.fd;

    return mapseg_is_attached(seg) && fd >= 0 && !mapseg_file_is_behind(&seg->attachment.file, fd);
}

/** How this very handle is present, if it is attached. */
static mapseg_presence_kind
own_presence(const mapseg *seg)
{
    const struct mapseg_presence *presence = &seg->attachment.presence;

    if (!mapseg_is_attached(seg) || has_lost_presence(seg))
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
        return "the system refuses locks on the file, so nobody sees this attachment, and it "
               "cannot lock; it reads and waits";
    case MAPSEG_PRESENCE_RECEIVED:
        return "the file cannot be opened anew (is /proc mounted, and may this user?), so its "
               "presence lies on the descriptor itself, and lasts until all have ended who have a "
               "copy of that, or were handed one by this attachment";
    case MAPSEG_PRESENCE_DESCRIPTOR:
        return "a mapping keeps no lock on this file system, so its presence lies on a descriptor: "
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
    const struct mapseg_file *file = &seg->attachment.file;
    int leads;

    if (!mapseg_is_attached(seg) || file->path == NULL)
        return MAPSEG_NAME_NONE;
    leads = look->name.directory >= 0 ? mapseg_name_leads_to(&look->name, file->device, file->inode)
            : look->name_is_gone      ? -ENOENT
                                      : -EACCES;
    if (leads >= 0)
        return leads == 1 ? MAPSEG_NAME_SAME : MAPSEG_NAME_REPLACED;
    return leads == -ENOENT ? MAPSEG_NAME_GONE : MAPSEG_NAME_UNKNOWN;
}

/** What this very handle has of the segment. */
static void
see_attachment(const mapseg *seg, const struct look *look, mapseg_information *seen)
{
    seen->presence = own_presence(seg);
    seen->loss_text = own_loss(seg, seen->presence);
    seen->name_state = see_name(seg, look);
    if (mapseg_is_attached(seg))
        seen->huge_bytes = mapseg_os.huge_bytes(seg->attachment.base);
}

static mapseg_result
see(const mapseg *seg, const struct look *look, mapseg_information **information,
    struct mapseg_failure *failure)
{
    const char *path = mapseg_is_attached(seg) ? seg->attachment.file.path : look->name.path;

    *information = describe(seg->key, path == NULL ? "" : path, look->fd, &look->status);
    if (*information == NULL)
        return mapseg_system_failed(failure, ENOMEM, "no memory");
    see_attachment(seg, look, *information);
    return MAPSEG_OK;
}

static mapseg_result
see_key(mapseg *seg, mapseg_information **information, struct mapseg_failure *failure)
{
    struct look look = {.fd = -1};
    mapseg_result result;

    mapseg_name_clear(&look.name);
    if (mapseg_fork_lock() < 0)
        return mapseg_system_failed(failure, ENOMEM, "no memory for the fork handlers");
    result = begin_look(seg, &look, failure);
    mapseg_fork_carry(&look.of_directory, look.name.directory);
    mapseg_fork_carry(&look.of_file, look.borrowed ? -1 : look.fd);
    mapseg_fork_unlock();

    if (result == MAPSEG_OK)
        result = see(seg, &look, information, failure);

    (void)mapseg_fork_lock();
    mapseg_fork_deliver(&look.of_file);
    mapseg_fork_deliver(&look.of_directory);
    end_look(&look);
    mapseg_fork_unlock();
    return result;
}

mapseg_result
mapseg_info(mapseg *seg, mapseg_information **information)
{
    struct mapseg_failure failure;
    mapseg_result result;

    *information = NULL;
    if (seg->key == NULL || (mapseg_ipc_key_is_empty(seg->key) &&
                             !(mapseg_is_attached(seg) && seg->attachment.file.path == NULL)))
        result = mapseg_no_key(&failure);
    else
        result = see_key(seg, information, &failure);
    return result == MAPSEG_OK ? mapseg_succeed(seg) : mapseg_report(seg, "examine", &failure);
}

/* ------------------------------------------------------------- the list -- */

/** Appends an entry, which the list then owns. */
static int
append(mapseg_list *list, mapseg_information *entry)
{
    if (entry == NULL)
        return -ENOMEM;
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 32 : list->room * 2;
        mapseg_information **larger = realloc(list->entries, room * sizeof *larger);

        if (larger == NULL) {
            mapseg_information_free(entry);
            return -ENOMEM;
        }
        list->entries = larger;
        list->room = room;
    }
    list->entries[list->count++] = entry;
    return 0;
}

/** The names that a directory has. */
struct names {
    size_t count;
    size_t room;
    char **names;
};

static int
note_name(void *context, const char *name)
{
    struct names *names = context;
    char *copy;

    if (names->count == names->room) {
        size_t room = names->room == 0 ? 32 : names->room * 2;
        char **larger = realloc(names->names, room * sizeof *larger);

        if (larger == NULL)
            return -ENOMEM;
        names->names = larger;
        names->room = room;
    }
    copy = mapseg_copy_string(name);
    if (copy == NULL)
        return -ENOMEM;
    names->names[names->count++] = copy;
    return 0;
}

static void
free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
}

/** Where the files go to that have these names. */
struct listing {
    mapseg_list *list;
    mapseg_key_type type;
    const char *path; /**< of the directory */
    int directory;
};

/** Opens a listed file; -1: it is none to be listed. */
static int
open_listed(const struct listing *listing, const char *name, struct stat *status,
            struct mapseg_courier *courier)
{
    int fd = -1;

    if (mapseg_fork_lock() < 0)
        return -ENOMEM;
    /* Looked at before it is opened: to open a device or a FIFO is to use it. */
    if (mapseg_os.status_of_name(listing->directory, name, status) >= 0 && S_ISREG(status->st_mode))
        fd = mapseg_os.open(listing->directory, name, O_RDONLY);
    mapseg_fork_carry(courier, fd);
    mapseg_fork_unlock();
    return fd < 0 ? -1 : fd;
}

/** Closes a descriptor that was open for a while. */
static void
close_carried(struct mapseg_courier *courier)
{
    (void)mapseg_fork_lock();
    mapseg_fork_deliver(courier);
    if (courier->fd >= 0)
        mapseg_close(courier->fd);
    mapseg_fork_unlock();
}

/** Adds the file to the list if it is a segment, or one half made. */
static int
list_file(const struct listing *listing, const char *name)
{
    char *path = mapseg_place_join(listing->path, name);
    mapseg_ipc_key *key = mapseg_ipc_key_new(listing->type, name);
    struct mapseg_courier courier = {.fd = -1};
    struct stat status;
    int error = path == NULL || key == NULL ? -ENOMEM : 0;
    int fd = -1;

    if (error >= 0)
        fd = open_listed(listing, name, &status, &courier);
    if (fd == -ENOMEM)
        error = fd;
    if (fd >= 0 && mapseg_os.status(fd, &status) >= 0 &&
        (mapseg_is_private_name(name) || mapseg_header_is_ours(fd)))
        error = append(listing->list, describe(key, path, fd, &status));
    close_carried(&courier);
    mapseg_ipc_key_free(key);
    free(path);
    return error;
}

static int
list_directory(mapseg_list *list, mapseg_key_type type)
{
    struct listing listing = {.list = list, .type = type, .directory = -1};
    struct names names = {.count = 0};
    struct mapseg_courier courier;
    char *path;
    int error;

    if (mapseg_fork_lock() < 0)
        return -ENOMEM;
    path = mapseg_place_directory(type, &listing.directory);
    mapseg_fork_carry(&courier, listing.directory);
    error = listing.directory;
    /* All the names at once: the system has the directory open for that, which a child
     * would keep; and to look at the files takes longer. */
    if (path != NULL && error >= 0)
        error = mapseg_os.each_name(listing.directory, note_name, &names);
    mapseg_fork_unlock();

    listing.path = path;
    for (size_t i = 0; i < names.count && error >= 0; i++)
        error = list_file(&listing, names.names[i]);
    close_carried(&courier);
    free_names(&names);
    free(path);
    return path == NULL || error == -ENOENT ? 0 : error < 0 ? error : 0;
}

static int
compare(const void *a, const void *b)
{
    const mapseg_information *const *first = a;
    const mapseg_information *const *second = b;

    return strcmp((*first)->native_key, (*second)->native_key);
}

mapseg_result
mapseg_list_new(mapseg_list **list)
{
    mapseg_list *made = calloc(1, sizeof *made);
    int error = made == NULL ? -ENOMEM : 0;

    *list = NULL;
    if (error >= 0)
        error = list_directory(made, MAPSEG_KEY_SHM);
    if (error >= 0)
        error = list_directory(made, MAPSEG_KEY_RUNTIME);
    if (error < 0) {
        mapseg_list_free(made);
        return error == -ENOMEM || error == -EMFILE || error == -ENFILE ? MAPSEG_OUT_OF_RESOURCES
                                                                        : MAPSEG_UNKNOWN_ERROR;
    }
    if (made->count > 1)
        qsort(made->entries, made->count, sizeof *made->entries, compare);
    *list = made;
    return MAPSEG_OK;
}

size_t
mapseg_list_count(const mapseg_list *list)
{
    return list->count;
}

const mapseg_information *
mapseg_list_get(const mapseg_list *list, size_t index)
{
    return index < list->count ? list->entries[index] : NULL;
}

void
mapseg_list_free(mapseg_list *list)
{
    if (list == NULL)
        return;
    for (size_t i = 0; i < list->count; i++)
        mapseg_information_free(list->entries[i]);
    free(list->entries);
    free(list);
}
