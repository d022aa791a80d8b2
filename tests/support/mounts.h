/*
 * mounts.h - a /dev/shm of the test's own.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_MOUNTS_H
#define TESTS_SUPPORT_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>

/** Whether a private mount namespace can be had. */
bool can_mount(void);
/** Whether, in one, what is mounted can be taken away. */
bool can_unmount(void);
/** Whether devices can be made, in /dev/shm or in a private one. */
bool can_make_devices(bool privately);

/** Puts a small tmpfs over /dev/shm, for this process and its children alone. `options` are
 *  mount options such as "size=1m". */
void use_tiny_shm(const char *options);
/** Free blocks of the file system behind /dev/shm. */
uint64_t free_blocks(void);

#endif
