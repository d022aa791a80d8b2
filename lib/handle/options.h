/*
 * options.h - what the arguments of several calls mean.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_OPTIONS_H
#define MAPSEG_OPTIONS_H

#include "file/place.h"
#include "file/trust.h"
#include "os/failure.h"

/** How long a remover is waited for where the caller does not say. */
#define MSI_REMOVER_PATIENCE_NS INT64_C(1000000000)

/** KEY_ERROR: the handle has no key, or one without a name or number. */
mapseg_result msi_options_no_key(const struct msi_place *place, struct msi_failure *failure);

/** INVALID_ARGUMENT where there is no such access mode. */
mapseg_result msi_options_check_access(mapseg_access access, struct msi_failure *failure);

/** Copies the caller's options, of whatever age, into ours. */
mapseg_result msi_options_read(const mapseg_options *given, mapseg_options *options,
                               struct msi_failure *failure);

/** Whom the caller trusts. */
static inline struct msi_trust
msi_options_trust(const mapseg_options *options)
{
    return (struct msi_trust){.flags = options->flags, .group = (uint32_t)options->group};
}

/** The moment at which that time is over; INT64_MAX: never. */
int64_t msi_deadline(int64_t timeout_ns);

/** The moment until which to wait for a remover. */
int64_t msi_patience_ends(int64_t timeout_ns);

/** Waits a little, longer each time; false: it is past `deadline`. */
bool msi_wait_for_remover(int64_t *pause_ns, int64_t deadline);

/** The same for what may take long to come. */
bool msi_wait_for_creator(int64_t *pause_ns, int64_t deadline);

#endif
