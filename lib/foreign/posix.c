/*
 * posix.c -
 *
 * SPDX-License-Identifier: MIT
 */
#include "foreign.h"

const struct msi_foreign_way msi_foreign_posix = {
    .name = "POSIX",
};
