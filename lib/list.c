/*
 * list.c - all segments of the places that have lists.
 *
 * SPDX-License-Identifier: MIT
 */
#include "file/file.h"
#include "file/header.h"
#include "file/key.h"
#include "file/place.h"
#include "foreign/foreign.h"
#include "foreign/system_v.h"
#include "handle/describe.h"
#include "handle/fork.h"
#include "handle/forklist.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mapseg_list {
    size_t count;
    size_t room;
    mapseg_info **entries;
};

/** Appends an entry, which the list then owns. */
static int
append(mapseg_list *list, mapseg_info *entry)
{
    if (entry == NULL)
        return -ENOMEM;
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 32 : list->room * 2;
        mapseg_info **larger = realloc(list->entries, room * sizeof *larger);

        if (larger == NULL) {
            mapseg_info_free(entry);
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
    copy = msi_copy_string(name);
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

/** Whether the failure is one for want of something: what was to be listed is there all the
 *  same, and a list without it would not say that it is incomplete. */
static bool
is_want(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

/** Opens a listed file; negative: it is none to be listed, or is_want. */
static int
open_listed(const struct listing *listing, const char *name, struct stat *status,
            struct msi_fd_in_flight *flight)
{
    int fd = -ENOENT;

    if (msi_forklist_lock() < 0)
        return -ENOMEM;
    /* Looked at before it is opened: to open a device or a FIFO is to use it. */
    if (msi_os.status_of_name(listing->directory, name, status) >= 0 && S_ISREG(status->st_mode))
        fd = msi_os.open(listing->directory, name, O_RDONLY);
    msi_in_flight_add(flight, fd < 0 ? -1 : fd);
    msi_forklist_unlock();
    return fd;
}

/** Closes a descriptor that was open for a while. */
static void
close_carried(struct msi_fd_in_flight *flight)
{
    (void)msi_forklist_lock();
    msi_in_flight_remove(flight);
    if (flight->fd >= 0)
        msi_close(flight->fd);
    msi_forklist_unlock();
}

/** Adds the file to the list if it is a segment, or one half made. */
static int
list_file(const struct listing *listing, const char *name)
{
    char *path = msi_place_join(listing->path, name);
    mapseg_ipc_key *key = mapseg_ipc_key_new(listing->type, name);
    struct msi_fd_in_flight flight = {.fd = -1};
    struct stat status;
    int error = path == NULL || key == NULL ? -ENOMEM : 0;
    int fd = -1;

    if (error >= 0)
        fd = open_listed(listing, name, &status, &flight);
    if (is_want(fd))
        error = fd;
    if (fd >= 0 && msi_os.status(fd, &status) >= 0 &&
        (msi_is_private_name(name) || msi_header_is_ours(fd)))
        error = append(listing->list, msi_info_make(key, path, fd, &status, false));
    close_carried(&flight);
    mapseg_ipc_key_free(key);
    free(path);
    return error;
}

/** Whether the name is that of a semaphore, whose segment has its own entry. */
static bool
is_listed_with_segment(const struct listing *listing, const char *name)
{
    struct stat status;
    size_t mark = strlen(MSI_SEMAPHORE_MARK);

    return strncmp(name, MSI_SEMAPHORE_MARK, mark) == 0 &&
           msi_os.status_of_name(listing->directory, name + mark, &status) >= 0 &&
           S_ISREG(status.st_mode);
}

/** The key by which another program's file is found, or the segment of its semaphore. NULL: no
 *  memory. */
static mapseg_ipc_key *
foreign_key(const char *name)
{
    size_t mark = strlen(MSI_SEMAPHORE_MARK);
    char text[NAME_MAX + 2];

    if (strncmp(name, MSI_SEMAPHORE_MARK, mark) == 0)
        name += mark;
    snprintf(text, sizeof text, "/%s", name);
    return mapseg_ipc_key_new(MAPSEG_KEY_POSIX, text);
}

/** Describes another program's file, which is open. NULL: no memory. */
static mapseg_info *
describe_foreign(const struct listing *listing, const char *name, int fd, const struct stat *status)
{
    size_t mark = strlen(MSI_SEMAPHORE_MARK);
    bool is_semaphore = strncmp(name, MSI_SEMAPHORE_MARK, mark) == 0;
    char *path = msi_place_join(listing->path, name);
    mapseg_ipc_key *key = foreign_key(name);
    mapseg_info *entry = NULL;
    char *segment = msi_place_join(listing->path, is_semaphore ? name + mark : name);
    struct msi_name beside = {.directory = -1, .path = segment};

    if (path != NULL && key != NULL && segment != NULL)
        entry = msi_info_make(key, path, fd, status, true);
    if (entry != NULL && is_semaphore)
        entry->data_size = 0;
    if (entry != NULL) {
        beside.last = strrchr(segment, '/') + 1;
        msi_foreign_posix.look(&beside, fd, entry);
    }
    mapseg_ipc_key_free(key);
    free(segment);
    free(path);
    return entry;
}

/** Adds the file to the list if it is another program's. */
static int
list_foreign_file(const struct listing *listing, const char *name)
{
    struct msi_fd_in_flight flight = {.fd = -1};
    struct stat status;
    int error = 0;
    int fd;

    if (msi_is_private_name(name) || is_listed_with_segment(listing, name))
        return 0;
    fd = open_listed(listing, name, &status, &flight);
    if (is_want(fd))
        error = fd;
    if (fd >= 0 && msi_os.status(fd, &status) >= 0 && !msi_header_is_ours(fd))
        error = append(listing->list, describe_foreign(listing, name, fd, &status));
    close_carried(&flight);
    return error;
}

static int
list_directory(mapseg_list *list, mapseg_key_type type)
{
    struct listing listing = {.list = list, .type = type, .directory = -1};
    struct names names = {.count = 0};
    struct msi_fd_in_flight flight;
    char *path;
    int error;

    if (msi_forklist_lock() < 0)
        return -ENOMEM;
    path = msi_place_directory(type, &listing.directory);
    msi_in_flight_add(&flight, listing.directory);
    error = listing.directory;
    /* All the names at once: the system has the directory open for that, which a child
     * would keep; and to look at the files takes longer. */
    if (path != NULL && error >= 0)
        error = msi_os.each_name(listing.directory, note_name, &names);
    msi_forklist_unlock();

    listing.path = path;
    for (size_t i = 0; i < names.count && error >= 0; i++)
        error = type == MAPSEG_KEY_POSIX ? list_foreign_file(&listing, names.names[i])
                                         : list_file(&listing, names.names[i]);
    close_carried(&flight);
    free_names(&names);
    free(path);
    return path == NULL || error == -ENOENT ? 0 : error < 0 ? error : 0;
}

static int
compare(const void *a, const void *b)
{
    const mapseg_info *const *first = a;
    const mapseg_info *const *second = b;

    return strcmp((*first)->native_key, (*second)->native_key);
}

static int
append_entry(void *list, mapseg_info *entry)
{
    return append(list, entry);
}

/** Adds what there is of a type. */
static int
list_type(mapseg_list *list, mapseg_key_type type)
{
    return type == MAPSEG_KEY_SYSTEMV ? msi_system_v_list(append_entry, list)
                                      : list_directory(list, type);
}

/** Makes a list of what there is of these types. */
static mapseg_result
list_types(mapseg_list **list, const mapseg_key_type *types, size_t count)
{
    mapseg_list *made = calloc(1, sizeof *made);
    int error = made == NULL ? -ENOMEM : msi_fork_set_up();

    *list = NULL;
    for (size_t i = 0; i < count && error >= 0; i++)
        error = list_type(made, types[i]);
    if (error < 0) {
        mapseg_list_free(made);
        return is_want(error) ? MAPSEG_OUT_OF_RESOURCES : MAPSEG_UNKNOWN_ERROR;
    }
    if (made->count > 1)
        qsort(made->entries, made->count, sizeof *made->entries, compare);
    *list = made;
    return MAPSEG_OK;
}

mapseg_result
mapseg_list_new(mapseg_list **list)
{
    static const mapseg_key_type types[] = {MAPSEG_KEY_SHM, MAPSEG_KEY_RUNTIME};

    return list_types(list, types, 2);
}

mapseg_result
mapseg_list_new_foreign(mapseg_list **list)
{
    static const mapseg_key_type types[] = {MAPSEG_KEY_POSIX, MAPSEG_KEY_SYSTEMV};

    return list_types(list, types, 2);
}

size_t
mapseg_list_count(const mapseg_list *list)
{
    return list->count;
}

const mapseg_info *
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
        mapseg_info_free(list->entries[i]);
    free(list->entries);
    free(list);
}
