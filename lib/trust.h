/*
 * trust.h - the verdict on a file before it is mapped.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TRUST_H
#define MAPSEG_TRUST_H

#include "error.h"

#include <sys/stat.h>

/** Whether others could interfere with the file; `flags` (mapseg_flag) relax
 *  the refusals by name. */
mapseg_result mapseg_trust_file(const struct stat *status, uint32_t flags,
                                struct mapseg_failure *failure);

/** "a directory", "a FIFO", ... */
const char *mapseg_trust_kind(const struct stat *status);

#endif
