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
    if (access != MAPSEG_READ_ONLY && (access != MAPSEG_READ_WRITE || seg->read_only)) {
        mapseg_failed(&failure,
                      access == MAPSEG_READ_WRITE ? MAPSEG_PERMISSION_DENIED
                                                  : MAPSEG_INVALID_ARGUMENT,
                      0, "a handle that is attached read-only gives read-only descriptors alone");
        mapseg_report(seg, "export", &failure);
        return -1;
    }
    /* Never a duplicate: its receiver's locks would be ours. */
    fd = mapseg_description_new(seg->attachment.fd, seg->attachment.path,
                                access == MAPSEG_READ_WRITE ? O_RDWR : O_RDONLY);
    if (fd < 0) {
        mapseg_system_failed(&failure, -fd,
                             "its file cannot be opened anew; see that /proc is mounted");
        mapseg_report(seg, "export", &failure);
        return -1;
    }
    (void)mapseg_succeed(seg);
    return fd;
}
