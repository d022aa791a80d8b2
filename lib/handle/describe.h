/*
 * describe.h - what can be seen of a file that may be a segment.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_DESCRIBE_H
#define MAPSEG_DESCRIBE_H

#include "mapseg-key.h"

#include <sys/stat.h>

/** An information about the file behind `fd`, which stays the caller's; `is_raw`: it has no
 *  header. NULL: no memory. */
mapseg_info *msi_info_make(const mapseg_ipc_key *key, const char *path, int fd,
                           const struct stat *status, bool is_raw);

#endif
