/*
 * export.h - descriptors that are made for other processes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_EXPORT_H
#define MAPSEG_EXPORT_H

#include "os/failure.h"

/** A descriptor of the segment for another process; negative: see *failure. */
int msi_export(mapseg *seg, mapseg_access access, struct msi_failure *failure);

/** What can be said before attaching to a descriptor is tried. */
mapseg_result msi_attach_check(mapseg *seg, mapseg_access access, const mapseg_options *given,
                               mapseg_options *options, struct msi_failure *failure);

#endif
