/*
 * trust.c - the verdict on a file before it is mapped.
 *
 * SPDX-License-Identifier: MIT
 */
#include "trust.h"

#include "os.h"

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
mapseg_trust_file(const struct stat *status, uint32_t flags, struct mapseg_failure *failure)
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
    return MAPSEG_OK;
}
