/*
 * export.c - descriptors of a segment: to hand on, and to attach to.
 *
 * SPDX-License-Identifier: MIT
 */
#include "export.h"

#include "attach.h"
#include "file/key.h"
#include "foreign/foreign.h"
#include "handle/forklist.h"
#include "handle/options.h"
#include "handle/reach.h"
#include "handle/report.h"
#include "mapseg-spawn.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/** Whether seals keep others from writing, whatever descriptor they have. */
static bool
is_sealed(const mapseg *seg)
{
    int seals =
        msi_attachment_is_named(&seg->attachment) ? -1 : msi_os.seals(seg->attachment.file.fd);

    return seals >= 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0;
}

/** Whether a copy of the handle's own descriptor gives no more than `access`. */
static bool
may_copy(const mapseg *seg, mapseg_access access)
{
    return access == MAPSEG_READ_WRITE || msi_os.access_mode(seg->attachment.file.fd) == O_RDONLY ||
           is_sealed(seg);
}

/** A descriptor for another process; negative: see *failure. */
static int
export_fd(mapseg *seg, mapseg_access access, struct msi_failure *failure)
{
    int flags = access == MAPSEG_READ_WRITE ? O_RDWR : O_RDONLY;
    int fd;

    /* A description of its own: its receiver's locks would be ours. */
    fd = msi_file_open_anew(&seg->attachment.file, flags);
    if (fd >= 0)
        return fd;
    if (fd != -EMFILE && fd != -ENFILE && may_copy(seg, access)) {
        int copy = msi_os.duplicate(seg->attachment.file.fd);

        if (copy >= 0)
            return copy;
        fd = copy;
    }
    if (fd == -EMFILE || fd == -ENFILE)
        msi_system_failed(failure, -fd, "its file cannot be opened anew");
    else
        msi_failed(failure, fd == -EACCES ? MAPSEG_PERMISSION_DENIED : MAPSEG_NOT_SUPPORTED, -fd,
                   "its file cannot be opened anew; check that /proc is mounted");
    return fd;
}

/** The same, for a handle in any state. */
int
msi_export(mapseg *seg, mapseg_access access, struct msi_failure *failure)
{
    int fd;

    if (!msi_handle_is_attached(seg)) {
        msi_failed(failure, MAPSEG_NOT_ATTACHED, 0,
                   "the handle is not attached; create or attach first");
        return -1;
    }
    if (seg->foreign != NULL) {
        (void)msi_foreign_refuse(seg->foreign->way, "be handed on", failure);
        return -1;
    }
    if (msi_options_check_access(access, failure) != MAPSEG_OK)
        return -1;
    if (access == MAPSEG_READ_WRITE && seg->read_only) {
        msi_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                   "this handle is attached read-only; export with MAPSEG_READ_ONLY");
        return -1;
    }
    if (seg->attachment.file.fd < 0) {
        msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                   "this sandbox lets the handle have no descriptor; hand the inherited one on");
        return -1;
    }
    fd = msi_file_fd(&seg->attachment.file);
    if (fd < 0) {
        (void)msi_file_failed(-fd, failure);
        return -1;
    }
    if (access == MAPSEG_READ_WRITE && is_sealed(seg)) {
        msi_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                   "its seals let only this handle write; export with MAPSEG_READ_ONLY");
        return -1;
    }
    fd = export_fd(seg, access, failure);
    if (fd >= 0 && access == MAPSEG_READ_WRITE)
        msi_reach_expose(seg);
    return fd;
}

/** The same, for the program: no handle may take it for its own, whatever number it has. */
static int
export_to_program(mapseg *seg, mapseg_access access, struct msi_failure *failure)
{
    int fd;

    if (msi_forklist_lock() < 0) {
        msi_forklist_lock_failed(failure);
        return -1;
    }
    fd = msi_export(seg, access, failure);
    msi_forklist_disown(fd);
    msi_forklist_unlock();
    return fd;
}

mapseg_result
mapseg_export_fd(mapseg *seg, mapseg_access access, int *fd)
{
    struct msi_failure failure;
    int made = export_to_program(seg, access, &failure);

    *fd = made < 0 ? -1 : made;
    return made < 0 ? msi_report(seg, "export", &failure) : msi_succeed(seg);
}

mapseg_result
mapseg_spawn_actions(mapseg *seg, mapseg_access access, posix_spawn_file_actions_t *actions,
                     char variable[MAPSEG_ENVIRONMENT_BYTES], int *fd)
{
    static const char name[] = "MAPSEG_KEY=";
    char key[MAPSEG_ENVIRONMENT_BYTES];
    struct msi_failure failure;
    int made = export_to_program(seg, access, &failure);
    int error;

    *fd = -1;
    if (made < 0)
        return msi_report(seg, "export", &failure);
    /* Onto itself: in the child that takes close-on-exec off. */
    error = actions == NULL ? 0 : posix_spawn_file_actions_adddup2(actions, made, made);
    if (error != 0) {
        msi_close(made);
        msi_system_failed(&failure, error, "there is no memory for the file action");
        return msi_report(seg, "export", &failure);
    }
    msi_key_format_memfd(made, seg->attachment.id, key);
    snprintf(variable, MAPSEG_ENVIRONMENT_BYTES, "%s%.*s", name,
             (int)(MAPSEG_ENVIRONMENT_BYTES - sizeof name), key);
    *fd = made;
    return msi_succeed(seg);
}

/** What can be said before anything is tried. */
mapseg_result
msi_attach_check(mapseg *seg, mapseg_access access, const mapseg_options *given,
                 mapseg_options *options, struct msi_failure *failure)
{
    mapseg_result result = msi_options_check_access(access, failure);

    if (result == MAPSEG_OK)
        result = msi_options_read(given, options, failure);
    if (result == MAPSEG_OK)
        msi_handle_drop_inherited(seg);
    return result;
}

mapseg_result
mapseg_attach_fd_with(mapseg *seg, int fd, mapseg_access access, const mapseg_options *options)
{
    struct msi_given given = {.fd = fd};
    struct msi_failure failure;
    mapseg_options all;
    mapseg_result result = msi_attach_check(seg, access, options, &all, &failure);

    if (result == MAPSEG_OK && seg->attached)
        return msi_attach_refuse(seg, "attach");
    if (result == MAPSEG_OK)
        result = msi_attach_given(seg, &given, access, &all, &failure);
    return result == MAPSEG_OK ? msi_succeed(seg)
                               : msi_report(seg, "attach a descriptor to", &failure);
}

mapseg_result
mapseg_attach_fd(mapseg *seg, int fd, mapseg_access access)
{
    return mapseg_attach_fd_with(seg, fd, access, NULL);
}
