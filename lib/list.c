/*
 * list.c - all segments of the places that have lists.
 *
 * SPDX-License-Identifier: MIT
 */
#include "file/file.h"
#include "file/header.h"
#include "file/key.h"
#include "file/place.h"
#include "handle/describe.h"
#include "handle/fork.h"
#include "handle/forklist.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
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
        error = list_file(&listing, names.names[i]);
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

mapseg_result
mapseg_list_new(mapseg_list **list)
{
    mapseg_list *made = calloc(1, sizeof *made);
    int error = made == NULL ? -ENOMEM : msi_fork_set_up();

    *list = NULL;
    if (error >= 0)
        error = list_directory(made, MAPSEG_KEY_SHM);
    if (error >= 0)
        error = list_directory(made, MAPSEG_KEY_RUNTIME);
    if (error < 0) {
        mapseg_list_free(made);
        return is_want(error) ? MAPSEG_OUT_OF_RESOURCES : MAPSEG_UNKNOWN_ERROR;
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
