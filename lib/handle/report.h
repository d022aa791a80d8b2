/*
 * report.h - leaving in a handle what a call came to.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_REPORT_H
#define MAPSEG_REPORT_H

#include "os/failure.h"

/** Leaves the failure of `operation` ("attach") in the handle and in this
 *  thread's words, and returns its result. */
mapseg_result msi_report(mapseg *seg, const char *operation, const struct msi_failure *failure);

/** The same, of a key that the handle was to get. */
mapseg_result msi_report_key(mapseg *seg, const char *key, const struct msi_failure *failure);

/** As msi_report, but the handle's result stays as it was: for refusals that, as
 *  in Qt, leave error() alone. */
mapseg_result msi_refuse(mapseg *seg, const char *operation, const struct msi_failure *failure);

/** A call on the handle succeeded. */
mapseg_result msi_succeed(mapseg *seg);

/** The same, and mapseg_error_string says what could not be done with it. */
mapseg_result msi_succeed_without(mapseg *seg, const char *operation,
                                  const struct msi_failure *failure);

#endif
