/*
 * remove.h - taking names away.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_REMOVE_H
#define MAPSEG_REMOVE_H

#include "os/failure.h"
#include "file/name.h"

/** How a name is to be removed. */
struct mapseg_removal {
    bool force;   /**< also if others are attached */
    bool careful; /**< as create: only what attach would trust */
    const mapseg_options *options;
    bool again; /**< the failure is one that passes */
};

/** Tries once to remove the name; the fork list is locked, or a child could
 *  inherit the descriptor that holds the bytes. */
mapseg_result mapseg_name_remove(const struct mapseg_name *name, struct mapseg_removal *removal,
                                 struct mapseg_failure *failure);

#endif
