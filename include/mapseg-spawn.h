/*
 * mapseg-spawn.h - segments for child programs, by posix_spawn or fork and exec.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_SPAWN_H
#define MAPSEG_SPAWN_H

#include "mapseg.h"

#if !defined(_WIN32)
#include <spawn.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Room for what mapseg_spawn_actions writes, the NUL included. */
#define MAPSEG_ENVIRONMENT_BYTES 80

#if !defined(_WIN32)
/**
 * Prepares a child to inherit the segment: makes a descriptor as mapseg_export_fd does, adds
 * to `actions` what keeps it open in the child, and writes "MAPSEG_KEY=memfd:FD?id=ID" to
 * `variable`, of MAPSEG_ENVIRONMENT_BYTES, for the child's environment. The child calls
 * mapseg_new_from_environment and attaches. A child of two segments gets the second one's
 * key in a variable of another name, and gives it to mapseg_set_native_key.
 *
 * Give both to posix_spawn, then close `*fd`, which is the caller's. `actions` may be NULL,
 * for a program that forks and clears the close-on-exec flag in the child. After a failure
 * `*fd` is -1, and `actions` and `variable` are as they were; results as mapseg_export_fd.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1, 4, 5) mapseg_result
    mapseg_spawn_actions(mapseg *seg, mapseg_access access, posix_spawn_file_actions_t *actions,
                         char variable[MAPSEG_ENVIRONMENT_BYTES], int *fd);
#endif

/**
 * A new handle with the native key that the environment variable MAPSEG_KEY holds, as a
 * parent process gives it (mapseg_spawn_actions, mapseg exec). Nothing is attached yet. The
 * caller frees it with mapseg_free. NULL: no memory.
 *
 * The child attaches with MAPSEG_TAKE_DESCRIPTOR, and then takes the variable away
 * (unsetenv), so that it hands neither on to programs that it runs.
 *
 * Without a usable key the handle has none, and mapseg_error says why:
 * NOT_FOUND (the variable is not set, or this is a set-id program, which must
 * not believe its environment), KEY_ERROR (it is not well formed).
 */
MAPSEG_API MAPSEG_MUST_CHECK mapseg *mapseg_new_from_environment(void);

#ifdef __cplusplus
}
#endif

#endif
