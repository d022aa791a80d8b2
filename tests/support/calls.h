/*
 * calls.h - calls of the library as tests use them: those that give out a descriptor, as
 * values (-1 where they fail), and those whose result says nothing that the test asks.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_CALLS_H
#define TESTS_SUPPORT_CALLS_H

#include "mapseg-spawn.h"

static inline void
ignored(mapseg_result result)
{
    (void)result;
}

static inline int
exported_fd(mapseg *seg, mapseg_access access)
{
    int fd;

    return mapseg_export_fd(seg, access, &fd) == MAPSEG_OK ? fd : -1;
}

static inline int
notify_fd(mapseg *seg)
{
    int fd;

    return mapseg_notify_fd(seg, &fd) == MAPSEG_OK ? fd : -1;
}

static inline int
spawn_fd(mapseg *seg, mapseg_access access, posix_spawn_file_actions_t *actions, char *variable)
{
    int fd;

    return mapseg_spawn_actions(seg, access, actions, variable, &fd) == MAPSEG_OK ? fd : -1;
}

#endif
