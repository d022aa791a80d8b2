/*
 * pass.c - handing a segment's descriptor to others.
 *
 * SPDX-License-Identifier: MIT
 */
#include "attach.h"
#include "os.h"

#include <errno.h>
#include <fcntl.h>

int
mapseg_export_fd(mapseg *seg, mapseg_access access)
{
    struct mapseg_failure failure;
    int fd;

    if (!mapseg_is_attached(seg)) {
        mapseg_failed(&failure, MAPSEG_NOT_ATTACHED, 0,
                      "the handle is not attached; create or attach first");
        mapseg_report(seg, "export", &failure);
        return -1;
    }
    if (access == MAPSEG_READ_WRITE && seg->read_only) {
        mapseg_failed(&failure, MAPSEG_PERMISSION_DENIED, 0,
                      "this handle is attached read-only; export a read-only descriptor");
        mapseg_report(seg, "export", &failure);
        return -1;
    }
    if (mapseg_check_access(access, &failure) != MAPSEG_OK) {
        mapseg_report(seg, "export", &failure);
        return -1;
    }
    /* Never a duplicate: its receiver's locks would be ours. */
    fd = mapseg_description_new(seg->attachment.fd, seg->attachment.path,
                                access == MAPSEG_READ_WRITE ? O_RDWR : O_RDONLY);
    if (fd < 0) {
        mapseg_failed(&failure,
                      fd == -EMFILE || fd == -ENFILE ? MAPSEG_OUT_OF_RESOURCES
                      : fd == -EACCES                ? MAPSEG_PERMISSION_DENIED
                                                     : MAPSEG_NOT_SUPPORTED,
                      -fd, "its file cannot be opened anew; see that /proc is mounted");
        mapseg_report(seg, "export", &failure);
        return -1;
    }
    (void)mapseg_succeed(seg);
    return fd;
}
