/*
 * trust.c - the verdict on a file before it is mapped.
 *
 * SPDX-License-Identifier: MIT
 */
#include "trust.h"

#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *
msi_trust_kind(const struct stat *status)
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

bool
msi_trust_is_own(const struct stat *status, int fd)
{
    if (status->st_uid != msi_os.user_id())
        return false;
    return !msi_os.is_overflow_user((uint32_t)status->st_uid) || (fd >= 0 && msi_os.is_own(fd));
}

/** Words about a user whose number may be another's. */
static const char *
doubt_about(uint32_t user)
{
    return msi_os.is_overflow_user(user) ? ", a number that stands for users unknown here too" : "";
}

/** Whether the caller trusts all that can change it, and could have made it: the members of
 *  one group, and no others. */
static bool
is_of_group(const struct stat *status, struct msi_trust trust)
{
    return trust.flags & MAPSEG_ALLOW_GROUP && status->st_gid == trust.group &&
           !(status->st_mode & 0002) && !msi_os.is_overflow_group(trust.group);
}

/** Whether its group may write it, and no others. */
static bool
is_for_group(const struct stat *status)
{
    return (status->st_mode & 0022) == 0020;
}

/** Refuses a file that is not of the one group that the caller trusts. */
static mapseg_result
not_of_group(const struct stat *status, struct msi_trust trust, struct msi_failure *failure)
{
    return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                      "it has owner %u, group %u and mode %04o, and only what group %u alone may "
                      "write is trusted; have it made for that group, without others",
                      (unsigned)status->st_uid, (unsigned)status->st_gid,
                      (unsigned)status->st_mode & 07777, (unsigned)trust.group);
}

/** Whether others than those that the caller trusts own the file, or may write it. */
static mapseg_result
judge_users(const struct stat *status, int fd, struct msi_trust trust, struct msi_failure *failure)
{
    unsigned owner = (unsigned)status->st_uid;
    unsigned mode = (unsigned)status->st_mode & 07777;
    bool owner_is_other =
        owner != 0 && !msi_trust_is_own(status, fd) && !(trust.flags & MAPSEG_ALLOW_OTHER_OWNER);
    bool others_write = status->st_mode & 0022 && !(trust.flags & MAPSEG_ALLOW_SHARED_WRITE);

    if (is_of_group(status, trust) || (!owner_is_other && !others_write))
        return MAPSEG_OK;
    if (trust.flags & MAPSEG_ALLOW_GROUP)
        return not_of_group(status, trust, failure);
    if (owner_is_other && is_for_group(status))
        return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                          "user %u owns it%s, and its mode %04o lets group %u write it; if you "
                          "trust that group, allow it (MAPSEG_ALLOW_GROUP), or another owner "
                          "(MAPSEG_ALLOW_OTHER_OWNER) and shared writing "
                          "(MAPSEG_ALLOW_SHARED_WRITE)",
                          owner, doubt_about(owner), mode, (unsigned)status->st_gid);
    if (owner_is_other)
        return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                          "user %u owns it%s; if you trust that user, allow another owner "
                          "(MAPSEG_ALLOW_OTHER_OWNER)",
                          owner, doubt_about(owner));
    if (is_for_group(status))
        return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                          "its mode %04o lets group %u write it; if you trust that group, allow "
                          "it (MAPSEG_ALLOW_GROUP), or all who may write it "
                          "(MAPSEG_ALLOW_SHARED_WRITE)",
                          mode, (unsigned)status->st_gid);
    return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                      "its mode %04o lets others write it; if you trust them, allow it "
                      "(MAPSEG_ALLOW_SHARED_WRITE)",
                      mode);
}

mapseg_result
msi_trust_file(const struct stat *status, int fd, bool named, struct msi_trust trust,
               struct msi_failure *failure)
{
    mapseg_result result;

    if (S_ISLNK(status->st_mode))
        return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                          "its name is a symbolic link, which could lead anywhere; name the "
                          "file itself");
    if (!S_ISREG(status->st_mode))
        return msi_failed(failure, MAPSEG_NOT_A_SEGMENT, 0, "it is %s; use another key",
                          msi_trust_kind(status));
    result = judge_users(status, fd, trust, failure);
    if (result != MAPSEG_OK)
        return result;
    /* Another user may have linked another file of the same owner to this name. */
    if (named && status->st_nlink > 1 && !(trust.flags & MAPSEG_ALLOW_HARD_LINKS))
        return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                          "it has %lu names, so it may be meant for something else; if you "
                          "gave it these, allow it (MAPSEG_ALLOW_HARD_LINKS)",
                          (unsigned long)status->st_nlink);
    return MAPSEG_OK;
}

/** As many links as the kernel follows. */
#define MOST_LINKS 40

/** The way to a file, step by step as the kernel goes it. */
struct way {
    int directory;       /**< open, as far as the way is gone */
    char gone[PATH_MAX]; /**< so far, without links, for people; "" is the root */
    char rest[PATH_MAX]; /**< what is left of the path */
    int links;
    struct msi_trust trust;
    bool is_closed; /**< no user but its owner can make names in the directory */
};

/** Whether the owner is the system. Seen from a user namespace root may be one of the users
 *  that it does not know, and these look all the same: so only what lies where no user but
 *  the system, or this one, could have put it. */
static bool
is_of_system(const struct way *way, int place, const struct stat *status)
{
    return status->st_uid == 0 ||
           (way->is_closed && msi_os.is_unknown_owner(place, (uint32_t)status->st_uid));
}

/** Whether others could replace names in a directory, or lead elsewhere by a link. */
static mapseg_result
trust_step(const struct way *way, int place, const struct stat *status, struct msi_failure *failure)
{
    const char *path = *way->gone == '\0' ? "/" : way->gone;

    if (S_ISDIR(status->st_mode) && is_of_group(status, way->trust))
        return MAPSEG_OK;
    if (!is_of_system(way, place, status) && !msi_trust_is_own(status, place))
        return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                          "user %u%s owns %.80s, on the way to it, and could replace it; if you "
                          "trust that user, allow it (MAPSEG_ALLOW_SHARED_DIRECTORY)",
                          (unsigned)status->st_uid, doubt_about((uint32_t)status->st_uid), path);
    if (S_ISDIR(status->st_mode) && is_for_group(status) && !(status->st_mode & S_ISVTX))
        return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                          "the mode %04o of %.80s lets group %u replace it; if you trust that "
                          "group, allow it (MAPSEG_ALLOW_GROUP), or the whole directory "
                          "(MAPSEG_ALLOW_SHARED_DIRECTORY)",
                          (unsigned)status->st_mode & 07777, path, (unsigned)status->st_gid);
    if (S_ISDIR(status->st_mode) && status->st_mode & 0022 && !(status->st_mode & S_ISVTX))
        return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                          "the mode %04o of %.80s lets others replace it; chmod that "
                          "directory, or allow it (MAPSEG_ALLOW_SHARED_DIRECTORY)",
                          (unsigned)status->st_mode & 07777, path);
    return MAPSEG_OK;
}

/** The way ends before its end; `error` is positive. */
static mapseg_result
way_ends(const struct way *way, int error, struct msi_failure *failure)
{
    if (error == ELOOP)
        return msi_failed(failure, MAPSEG_UNTRUSTED, error,
                          "%.120s, on the way to it, leads in a circle; check that link",
                          way->gone);
    return msi_system_failed(failure, error,
                             "%.120s, on the way to it, cannot be entered; check the key, and "
                             "that this directory exists and may be searched",
                             way->gone);
}

/** Takes the first part off what is left; false: there is none. Longer than any
 *  name can be, it is cut: the system then says that it is too long. */
static bool
next_part(struct way *way, char part[NAME_MAX + 2])
{
    const char *from = way->rest + strspn(way->rest, "/");
    size_t length = strcspn(from, "/");

    if (length == 0)
        return false;
    snprintf(part, NAME_MAX + 2, "%.*s", (int)length, from);
    memmove(way->rest, from + length, strlen(from + length) + 1);
    return true;
}

/** Notes, for people, that the way goes on by this part. */
static void
note_part(struct way *way, const char *part)
{
    size_t length = strlen(way->gone);
    char *last = strrchr(way->gone, '/');

    if (strcmp(part, "..") != 0)
        snprintf(way->gone + length, sizeof way->gone - length, "/%s", part);
    else if (last != NULL)
        *last = '\0';
}

/** Replaces where the way is by another place. */
static void
move_to(struct way *way, int place)
{
    if (way->directory >= 0)
        msi_os.close(way->directory);
    way->directory = place;
}

/** Goes where the link leads that was opened in way->directory. 0, or a negative
 *  errno. */
static int
follow(struct way *way, int link)
{
    char target[PATH_MAX];
    char rest[PATH_MAX];
    int64_t length = msi_os.read_link(link, target, sizeof target - 1);

    if (length < 0)
        return (int)length;
    if (++way->links > MOST_LINKS)
        return -ELOOP;
    target[length] = '\0';
    memcpy(rest, way->rest, sizeof rest);
    if ((size_t)snprintf(way->rest, sizeof way->rest, "%s/%s", target, rest) >= sizeof way->rest)
        return -ENAMETOOLONG;
    note_part(way, "..");
    if (*target == '/') {
        int root = msi_os.open_place(-1, "/");

        if (root < 0)
            return root;
        move_to(way, root);
        way->gone[0] = '\0';
        way->is_closed = true;
    }
    return 0;
}

/** Judges a place that was opened, and goes on to it, or to where it leads. It is
 *  closed, or the way's. */
static mapseg_result
go_on_to(struct way *way, int place, struct msi_failure *failure)
{
    struct stat status;
    int error = msi_os.status(place, &status);
    mapseg_result result = MAPSEG_OK;

    if (error >= 0)
        result = trust_step(way, place, &status, failure);
    if (error >= 0 && result == MAPSEG_OK && S_ISDIR(status.st_mode)) {
        move_to(way, place);
        way->is_closed = !(status.st_mode & 0022);
        return MAPSEG_OK;
    }
    if (error >= 0 && result == MAPSEG_OK)
        error = S_ISLNK(status.st_mode) ? follow(way, place) : -ENOTDIR;
    msi_os.close(place);
    return error < 0 ? way_ends(way, -error, failure) : result;
}

/** Goes all of the way. */
static mapseg_result
go(struct way *way, struct msi_failure *failure)
{
    char part[NAME_MAX + 2];
    mapseg_result result;
    int place = msi_os.open_place(-1, "/");

    if (place < 0)
        return way_ends(way, -place, failure);
    result = go_on_to(way, place, failure);
    while (result == MAPSEG_OK && next_part(way, part)) {
        note_part(way, part);
        place = msi_os.open_place(way->directory, part);
        result = place < 0 ? way_ends(way, -place, failure) : go_on_to(way, place, failure);
    }
    return result;
}

/** The directory as it is. */
static mapseg_result
open_unjudged(const char *path, size_t length, int *directory, struct msi_failure *failure)
{
    char *copy = strndup(path, length == 0 ? 1 : length);

    if (copy == NULL)
        return msi_system_failed(failure, ENOMEM, "there is no memory for its path");
    *directory = msi_os.open_directory(copy);
    free(copy);
    return MAPSEG_OK;
}

mapseg_result
msi_trust_open_directory(const char *path, struct msi_trust trust, int *directory,
                         struct msi_failure *failure)
{
    size_t length = (size_t)(strrchr(path, '/') - path);
    mapseg_result result;
    struct way *way;

    *directory = -1;
    if (trust.flags & MAPSEG_ALLOW_SHARED_DIRECTORY)
        return open_unjudged(path, length, directory, failure);
    /* Too much for a small stack. */
    way = calloc(1, sizeof *way);
    if (way == NULL)
        return msi_system_failed(failure, ENOMEM, "there is no memory for its path");
    way->directory = -1;
    way->trust = trust;
    /* Nothing lies above the root. */
    way->is_closed = true;
    memcpy(way->rest, path, length);
    result = go(way, failure);
    if (result == MAPSEG_OK)
        *directory = way->directory;
    else if (way->directory >= 0)
        msi_os.close(way->directory);
    free(way);
    return result;
}

mapseg_result
msi_trust_peers(bool can_shrink, uint32_t flags, struct msi_failure *failure)
{
    if (!(flags & MAPSEG_UNTRUSTED_PEER) || !can_shrink || flags & MAPSEG_GUARDED)
        return MAPSEG_OK;
    return msi_failed(failure, MAPSEG_UNTRUSTED, 0,
                      "its file can be made shorter, which would be SIGBUS here; use a sealed "
                      "memfd, or access it in guarded sections alone and say so "
                      "(MAPSEG_GUARDED)");
}

bool
msi_trust_can_shrink(int fd, bool *refused)
{
    struct msi_file_system file_system;
    int seals = msi_os.seals(fd);

    *refused = seals == -EPERM || seals == -EACCES || seals == -ENOSYS;
    if (seals < 0 || !(seals & F_SEAL_SHRINK))
        return true;
    /* Huge pages of the other kind are missing when their pool is empty. */
    return msi_os.file_system(fd, &file_system) < 0 || strcmp(file_system.name, "tmpfs") != 0;
}

bool
msi_trust_is_private(const struct stat *status, int fd)
{
    struct msi_file_system file_system;

    return !(status->st_mode & 0022) && (status->st_uid == 0 || msi_trust_is_own(status, fd)) &&
           msi_os.file_system(fd, &file_system) >= 0 && file_system.honest;
}

mapseg_writers
msi_trust_writers(const struct stat *status, int seals)
{
    if (seals >= 0 && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
        return MAPSEG_WRITERS_CREATOR;
    return status->st_mode & 0022 ? MAPSEG_WRITERS_OTHERS : MAPSEG_WRITERS_OWNER;
}

void
msi_trust_describe(const struct stat *status, bool can_shrink, mapseg_writers writers, char *to,
                   size_t bytes)
{
    const char *shrinks =
        can_shrink
            ? "a process that can write it can also make it shorter, which is SIGBUS for others "
              "outside of guarded sections"
            : "no process can make it shorter";
    unsigned owner = (unsigned)status->st_uid;

    if (writers == MAPSEG_WRITERS_CREATOR)
        snprintf(to, bytes, "only its creator can write it, by its seals; %s", shrinks);
    else if (writers == MAPSEG_WRITERS_OWNER)
        snprintf(to, bytes,
                 "user %u (also with a descriptor made for reading), root and a process that is "
                 "handed a descriptor for writing can write it; %s",
                 owner, shrinks);
    else
        snprintf(to, bytes, "user %u, root and, by its mode %04o, others can write it; %s", owner,
                 (unsigned)status->st_mode & 07777, shrinks);
}
