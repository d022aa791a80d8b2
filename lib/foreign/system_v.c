/*
 * system_v.c - System V shared memory, with the semaphore that Qt has beside it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "foreign.h"

static mapseg_result
refuse(struct msi_failure *failure)
{
    return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                      "keys of this type are not supported here; use shm, runtime, file or "
                      "memfd");
}

static mapseg_result
create(mapseg *seg, size_t size, mapseg_access access, const mapseg_options *options,
       struct msi_failure *failure)
{
    (void)seg;
    (void)size;
    (void)access;
    (void)options;
    return refuse(failure);
}

static mapseg_result
attach(mapseg *seg, mapseg_access access, const mapseg_options *options,
       struct msi_failure *failure)
{
    (void)seg;
    (void)access;
    (void)options;
    return refuse(failure);
}

static mapseg_result
leave(mapseg *seg, struct msi_failure *failure)
{
    (void)seg;
    return refuse(failure);
}

static mapseg_result
remove_segment(mapseg *seg, bool force, const mapseg_options *options, struct msi_failure *failure)
{
    (void)seg;
    (void)force;
    (void)options;
    return refuse(failure);
}

static mapseg_result
describe(mapseg *seg, mapseg_info **information, struct msi_failure *failure)
{
    (void)seg;
    *information = NULL;
    return refuse(failure);
}

static mapseg_result
lock(mapseg *seg, bool wait, int64_t deadline, struct msi_failure *failure)
{
    (void)seg;
    (void)wait;
    (void)deadline;
    return refuse(failure);
}

static mapseg_result
repair(mapseg *seg, bool force, struct msi_failure *failure)
{
    (void)seg;
    (void)force;
    return refuse(failure);
}

const struct msi_foreign_way msi_foreign_system_v = {
    .name = "System V",
    .create = create,
    .attach = attach,
    .detach = leave,
    .remove = remove_segment,
    .info = describe,
    .lock = lock,
    .unlock = leave,
    .consistent = leave,
    .repair = repair,
};
