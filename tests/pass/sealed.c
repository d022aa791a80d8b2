/*
 * sealed.c - see sealed.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sealed.h"

#include <unistd.h>

bool
has_exec_seal(void)
{
    int fd = memfd_create("probe", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    close(fd);
    return fd >= 0;
}

bool
has_future_write(void)
{
    int fd = memfd_create("probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool has = fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0;

    close(fd);
    return has;
}

mapseg *
created_with(const char *key, uint32_t flags, uint32_t mode)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    options.flags = flags;
    options.mode = mode;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    return seg;
}

mapseg_writers
writers_of(mapseg *seg)
{
    mapseg_info *information = describe(seg);
    mapseg_writers writers = information->writers;

    mapseg_info_free(information);
    return writers;
}
