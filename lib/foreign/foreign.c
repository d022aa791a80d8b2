/*
 * foreign.c - which way leads to a segment that mapseg did not invent, and what none has.
 *
 * SPDX-License-Identifier: MIT
 */
#include "foreign.h"

#include "handle/options.h"

/** What only the header of mapseg's own segments can hold, or a proof that only mapseg's
 *  attachments give. */
static const struct {
    uint32_t flags;
    const char *what;
} refused[] = {
    {(uint32_t)MAPSEG_RECLAIM | (uint32_t)MAPSEG_STALE_ONLY,
     "be cleared away if it is not in use: which programs use it cannot be known"},
    {MAPSEG_REPLACE, "be replaced under its users, who would not notice"},
    {MAPSEG_FAIR, "have a fair lock"},
    {MAPSEG_SINGLE_WRITER, "be kept from other writers"},
    {MAPSEG_REQUIRE_TAG, "have a user tag"},
    {MAPSEG_REQUIRE_ID, "have an id"},
    {(uint32_t)MAPSEG_SILENT_WAITERS | (uint32_t)MAPSEG_NO_SILENT_WAITERS,
     "have versions to wait for"},
    {(uint32_t)MAPSEG_WATCH_NAME | (uint32_t)MAPSEG_WATCH_WRITERS, "be watched"},
};

const struct msi_foreign_way *
msi_foreign_way_of(const mapseg_ipc_key *key, uint32_t flags)
{
    mapseg_key_type type = key == NULL ? MAPSEG_KEY_INVALID : mapseg_ipc_key_type(key);

    if ((int)type >= 1 && (int)type <= 0xff)
        return &msi_foreign_system_v;
    if (type == MAPSEG_KEY_POSIX)
        return &msi_foreign_posix;
    if (type == MAPSEG_KEY_RAW || (type == MAPSEG_KEY_MEMFD && flags & MAPSEG_RAW))
        return &msi_foreign_raw;
    return NULL;
}

mapseg_result
msi_foreign_refuse(const struct msi_foreign_way *way, const char *what, struct msi_failure *failure)
{
    return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                      "a %s segment has no header, and so cannot %s; ask for less, or use a key of "
                      "mapseg's own (shm, runtime, file, memfd)",
                      way->name, what);
}

mapseg_result
msi_foreign_check_options(const struct msi_foreign_way *way, const mapseg_options *options,
                          struct msi_failure *failure)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (options->flags & refused[i].flags & ~way->flags)
            return msi_foreign_refuse(way, refused[i].what, failure);
    if (options->user_tag != 0)
        return msi_foreign_refuse(way, "have a user tag", failure);
    return options->label != NULL && *options->label != '\0'
               ? msi_foreign_refuse(way, "have a label", failure)
               : MAPSEG_OK;
}

mapseg_result
msi_foreign_take(mapseg *seg, bool wait, int64_t deadline, struct msi_failure *failure)
{
    mapseg_result result;

    failure->cure = NULL;
    result = seg->foreign->way->lock(seg, wait, deadline, failure);
    /* Words of something that was tried on the way, in vain. */
    if (failure->cure != NULL && failure->result != result)
        failure->cure = NULL;
    return result;
}

mapseg_result
msi_foreign_borrow(mapseg *seg, int64_t timeout_ns, bool *taken, struct msi_failure *failure)
{
    mapseg_result result = msi_foreign_take(seg, true, msi_deadline(timeout_ns), failure);

    *taken = mapseg_result_owes_unlock(result);
    return result == MAPSEG_ALREADY_LOCKED ? MAPSEG_OK : result;
}
