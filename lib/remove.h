/*
 * remove.h - taking names away.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_REMOVE_H
#define MAPSEG_REMOVE_H

#include "file/name.h"
#include "foreign/foreign.h"
#include "os/failure.h"

/** How a name is to be removed. */
struct msi_removal {
    const struct msi_foreign_way *way; /**< of another program's kind; NULL: mapseg's own */
    bool force;                        /**< also if others are attached */
    bool careful;                      /**< as create: only what attach would trust */
    const mapseg_options *options;
    /** Puts another file under the name, which leads to the victim; NULL: unlink it. */
    int (*replace)(void *context);
    void *context;
    bool again;    /**< the failure is one that passes */
    int left_open; /**< of the removal, until the name byte is let go; -1: none */
};

/** Tries once to remove the name, or to give it to another file; the fork list is locked, or
 *  a child could inherit the descriptor that holds the bytes. */
mapseg_result msi_name_remove(const struct msi_name *name, struct msi_removal *removal,
                              struct msi_failure *failure);

#endif
