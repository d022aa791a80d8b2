/*
 * trust.c - the verdict on a file before it is mapped.
 *
 * SPDX-License-Identifier: MIT
 */
#include "trust.h"

#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
mapseg_trust_kind(const struct stat *status)
{
    switch (status->st_mode & S_IFMT) {
    case S_IFREG:
        return "a regular file";
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    case S_IFLNK:
        return "a symbolic link";
    case S_IFBLK:
    case S_IFCHR:
        return "a device";
    default:
        return "no file";
    }
}

mapseg_result
mapseg_trust_file(const struct stat *status, bool named, uint32_t flags,
                  struct mapseg_failure *failure)
{
    unsigned owner = (unsigned)status->st_uid;

    if (S_ISLNK(status->st_mode))
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "its name is a symbolic link, which could lead anywhere; name the "
                             "file itself");
    if (!S_ISREG(status->st_mode))
        return mapseg_failed(failure, MAPSEG_NOT_A_SEGMENT, 0, "it is %s; use another key",
                             mapseg_trust_kind(status));
    if (owner != mapseg_os.user_id() && owner != 0 && !(flags & MAPSEG_ALLOW_OTHER_OWNER))
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "user %u owns it; if you trust that user, allow another owner "
                             "(MAPSEG_ALLOW_OTHER_OWNER)",
                             owner);
    if (status->st_mode & 0022 && !(flags & MAPSEG_ALLOW_SHARED_WRITE))
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "its mode %04o lets others write it; if you trust them, allow it "
                             "(MAPSEG_ALLOW_SHARED_WRITE)",
                             (unsigned)status->st_mode & 07777);
    /* Somebody may have linked another file of the same owner to this name. */
    if (named && status->st_nlink > 1 && !(flags & MAPSEG_ALLOW_HARD_LINKS))
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "it has %lu names, so it may be meant for something else; if you "
                             "gave it these, allow it (MAPSEG_ALLOW_HARD_LINKS)",
                             (unsigned long)status->st_nlink);
    return MAPSEG_OK;
}

/** As many links as the kernel follows. */
#define MOST_LINKS 40

/** The way to a file, step by step as the kernel goes it. */
struct way {
    char gone[PATH_MAX]; /**< so far, without links; "" is the root */
    char rest[PATH_MAX]; /**< what is left of the path */
    int links;
};

/** Whether others could replace names in a directory, or lead elsewhere by a
 *  link. */
static mapseg_result
trust_step(const char *path, const struct stat *status, struct mapseg_failure *failure)
{
    if (status->st_uid != mapseg_os.user_id() && status->st_uid != 0)
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "user %u owns %.80s, on the way to it, and could replace it; if you "
                             "trust that user, allow it (MAPSEG_ALLOW_SHARED_DIRECTORY)",
                             (unsigned)status->st_uid, path);
    if (S_ISDIR(status->st_mode) && status->st_mode & 0022 && !(status->st_mode & S_ISVTX))
        return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                             "the mode %04o of %.80s lets others replace it; chmod that "
                             "directory, or allow it (MAPSEG_ALLOW_SHARED_DIRECTORY)",
                             (unsigned)status->st_mode & 07777, path);
    return MAPSEG_OK;
}

/** Takes the first part off what is left; false: there is none. */
static bool
next_part(struct way *way, char part[NAME_MAX + 1])
{
    const char *from = way->rest + strspn(way->rest, "/");
    size_t length = strcspn(from, "/");

    if (length == 0 || length > NAME_MAX)
        return false;
    memcpy(part, from, length);
    part[length] = '\0';
    memmove(way->rest, from + length, strlen(from + length) + 1);
    return true;
}

/** Goes where a link leads. false: the system would not. */
static bool
follow(struct way *way, const char *link)
{
    char target[PATH_MAX];
    char rest[PATH_MAX];
    int64_t length = mapseg_os.read_link(link, target, sizeof target - 1);

    if (length < 0 || ++way->links > MOST_LINKS)
        return false;
    target[length] = '\0';
    memcpy(rest, way->rest, sizeof rest);
    if (*target == '/')
        way->gone[0] = '\0';
    return (size_t)snprintf(way->rest, sizeof way->rest, "%s/%s", target, rest) < sizeof way->rest;
}

/** One step of the way; *end: it goes no further, and the open that follows says
 *  why. */
static mapseg_result
go_on(struct way *way, const char *part, bool *end, struct mapseg_failure *failure)
{
    size_t length = strlen(way->gone);
    struct stat status;
    mapseg_result result;

    *end = false;
    if (strcmp(part, ".") == 0)
        return MAPSEG_OK;
    if (strcmp(part, "..") == 0) {
        char *last = strrchr(way->gone, '/');

        if (last != NULL)
            *last = '\0';
        return MAPSEG_OK;
    }
    *end = (size_t)snprintf(way->gone + length, sizeof way->gone - length, "/%s", part) >=
               sizeof way->gone - length ||
           mapseg_os.status_of_name(way->gone, &status) < 0;
    if (*end)
        return MAPSEG_OK;
    result = trust_step(way->gone, &status, failure);
    if (result == MAPSEG_OK && S_ISLNK(status.st_mode)) {
        char link[PATH_MAX];

        memcpy(link, way->gone, sizeof link);
        way->gone[length] = '\0';
        *end = !follow(way, link);
    }
    return result;
}

/** Goes all of the way. */
static mapseg_result
trust_way(struct way *way, struct mapseg_failure *failure)
{
    char part[NAME_MAX + 1];
    struct stat status;
    mapseg_result result = MAPSEG_OK;
    bool end = mapseg_os.status_of_name("/", &status) < 0;

    if (!end)
        result = trust_step("/", &status, failure);
    while (result == MAPSEG_OK && !end && next_part(way, part))
        result = go_on(way, part, &end, failure);
    return result;
}

mapseg_result
mapseg_trust_directories(const char *path, uint32_t flags, struct mapseg_failure *failure)
{
    const char *last = strrchr(path, '/');
    mapseg_result result;
    struct way *way;

    if (flags & MAPSEG_ALLOW_SHARED_DIRECTORY || last - path >= PATH_MAX)
        return MAPSEG_OK;
    /* Too much for a small stack. */
    way = calloc(1, sizeof *way);
    if (way == NULL)
        return mapseg_system_failed(failure, ENOMEM, "no memory for a path");
    memcpy(way->rest, path, (size_t)(last - path));
    result = trust_way(way, failure);
    free(way);
    return result;
}

mapseg_result
mapseg_trust_peers(bool can_shrink, uint32_t flags, struct mapseg_failure *failure)
{
    if (!(flags & MAPSEG_UNTRUSTED_PEER) || !can_shrink || flags & MAPSEG_GUARDED)
        return MAPSEG_OK;
    return mapseg_failed(failure, MAPSEG_UNTRUSTED, 0,
                         "its file can be made shorter, which would be SIGBUS here; use a sealed "
                         "memfd, or access it in guarded sections alone and say so "
                         "(MAPSEG_GUARDED)");
}

bool
mapseg_trust_can_shrink(int fd, bool *refused)
{
    struct mapseg_file_system file_system;
    int seals = mapseg_os.seals(fd);

    *refused = seals == -EPERM || seals == -EACCES || seals == -ENOSYS;
    if (seals < 0 || !(seals & F_SEAL_SHRINK))
        return true;
    /* Huge pages of the other kind are missing when their pool is empty. */
    return mapseg_os.file_system(fd, &file_system) < 0 || strcmp(file_system.name, "tmpfs") != 0;
}

mapseg_writers
mapseg_trust_writers(const struct stat *status, int seals)
{
    if (seals >= 0 && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return MAPSEG_WRITERS_CREATOR;
    return status->st_mode & 0022 ? MAPSEG_WRITERS_OTHERS : MAPSEG_WRITERS_OWNER;
}

void
mapseg_trust_describe(const struct stat *status, bool can_shrink, mapseg_writers writers, char *to,
                      size_t bytes)
{
    const char *shrinks =
        can_shrink ? "whoever can write it can also make it shorter, which is SIGBUS for others "
                     "outside of guarded sections"
                   : "nobody can make it shorter";
    unsigned owner = (unsigned)status->st_uid;

    if (writers == MAPSEG_WRITERS_CREATOR)
        snprintf(to, bytes, "only its creator can write it, by its seals; %s", shrinks);
    else if (writers == MAPSEG_WRITERS_OWNER)
        snprintf(to, bytes,
                 "user %u (also with a descriptor made for reading), root and whoever is handed a "
                 "descriptor for writing can write it; %s",
                 owner, shrinks);
    else
        snprintf(to, bytes, "user %u, root and, by its mode %04o, others can write it; %s", owner,
                 (unsigned)status->st_mode & 07777, shrinks);
}
