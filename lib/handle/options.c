/*
 * options.c - what the arguments of several calls mean.
 *
 * SPDX-License-Identifier: MIT
 */
#include "options.h"

#include "mapseg-format.h"
#include "os/os.h"
#include "os/printable.h"

#include <string.h>

#define KNOWN_FLAGS                                                                                \
    ((uint32_t)MAPSEG_PERSISTENT | (uint32_t)MAPSEG_LAZY | (uint32_t)MAPSEG_RECLAIM |              \
     (uint32_t)MAPSEG_FAIR | (uint32_t)MAPSEG_NO_FORK | (uint32_t)MAPSEG_REQUIRE_TAG |             \
     (uint32_t)MAPSEG_SINGLE_WRITER | (uint32_t)MAPSEG_UNTRUSTED_PEER | (uint32_t)MAPSEG_GUARDED | \
     (uint32_t)MAPSEG_ALLOW_OTHER_OWNER | (uint32_t)MAPSEG_ALLOW_SHARED_WRITE |                    \
     (uint32_t)MAPSEG_ALLOW_HARD_LINKS | (uint32_t)MAPSEG_ALLOW_SHARED_DIRECTORY |                 \
     (uint32_t)MAPSEG_KEEP_NAME | (uint32_t)MAPSEG_STALE_ONLY | (uint32_t)MAPSEG_REQUIRE_ID |      \
     (uint32_t)MAPSEG_TAKE_DESCRIPTOR | (uint32_t)MAPSEG_SILENT_WAITERS |                          \
     (uint32_t)MAPSEG_NO_SILENT_WAITERS | (uint32_t)MAPSEG_ALLOW_GROUP | (uint32_t)MAPSEG_DUMP |   \
     (uint32_t)MAPSEG_LOCKED | (uint32_t)MAPSEG_RAW | (uint32_t)MAPSEG_REMOVE_WITH_LAST |          \
     (uint32_t)MAPSEG_REPLACE | (uint32_t)MAPSEG_WATCH_NAME | (uint32_t)MAPSEG_WATCH_WRITERS)

/** More than any library's options will ever have: such a size is a mistake,
 *  and what it promises is not there to be read. */
#define LARGEST_OPTIONS 4096

/** What a program says must be right; only a plain key is cut. */
static mapseg_result
check_label(const char *label, struct msi_failure *failure)
{
    size_t bytes = label == NULL ? 0 : strnlen(label, MAPSEG_LABEL_BYTES);

    if (bytes == MAPSEG_LABEL_BYTES)
        return msi_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                          "the label has more than %d bytes; give a shorter one",
                          MAPSEG_LABEL_BYTES - 1);
    if (bytes != 0 && msi_whole_characters(label, bytes) != bytes)
        return msi_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                          "the label is not UTF-8; give it in that encoding");
    return MAPSEG_OK;
}

/** Groups have numbers below UINT32_MAX, which stands for none. */
static mapseg_result
check_group(const mapseg_options *options, struct msi_failure *failure)
{
    if (options->group >= UINT32_MAX)
        return msi_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                          "there is no group %llu; give the number of one",
                          (unsigned long long)options->group);
    if (options->flags & MAPSEG_ALLOW_GROUP && options->group == 0)
        return msi_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                          "the options do not say which group is trusted; give its number as "
                          "their group");
    return MAPSEG_OK;
}

mapseg_result
msi_options_read(const mapseg_options *given, mapseg_options *options, struct msi_failure *failure)
{
    const mapseg_options defaults = MAPSEG_OPTIONS_INIT;
    const unsigned char *bytes = (const unsigned char *)given;
    mapseg_result result;

    *options = defaults;
    if (given == NULL)
        return MAPSEG_OK;
    if (given->size < sizeof given->size || given->size > LARGEST_OPTIONS)
        return msi_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                          "the options do not give their size; begin with MAPSEG_OPTIONS_INIT");
    for (size_t i = sizeof *options; i < given->size; i++)
        if (bytes[i] != 0)
            return msi_failed(
                failure, MAPSEG_NOT_SUPPORTED, 0,
                "the options ask for what only a newer version of mapseg knows; upgrade mapseg");
    memcpy(options, given, given->size < sizeof *options ? given->size : sizeof *options);
    options->size = sizeof *options;
    if (options->flags & ~KNOWN_FLAGS)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "this version of mapseg does not know the flags %#x; upgrade mapseg",
                          (unsigned)(options->flags & ~KNOWN_FLAGS));
    if (options->flags & MAPSEG_SILENT_WAITERS && options->flags & MAPSEG_NO_SILENT_WAITERS)
        return msi_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                          "the flags ask for silent waiters and for none; give one of "
                          "MAPSEG_SILENT_WAITERS and MAPSEG_NO_SILENT_WAITERS");
    if (options->mode & ~0666U)
        return msi_failed(
            failure, MAPSEG_INVALID_ARGUMENT, 0,
            "mode %04o has bits outside 0666; give bits for reading and writing alone",
            (unsigned)options->mode);
    /* Without them the owner could neither show its presence nor remove it. */
    if (options->mode != 0 && (options->mode & 0600U) != 0600)
        return msi_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                          "mode %04o does not let the owner read and write; give at least 0600",
                          (unsigned)options->mode);
    result = check_label(options->label, failure);
    return result == MAPSEG_OK ? check_group(options, failure) : result;
}

mapseg_result
msi_options_no_key(const struct msi_place *place, struct msi_failure *failure)
{
    if (place->is_new_memory)
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its key names no descriptor; put the number behind the colon");
    if (place->type != MAPSEG_KEY_INVALID)
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its key has no name; put one behind the colon");
    return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                      "there is nothing to find it by; give the handle a key first "
                      "(mapseg_set_key)");
}

mapseg_result
msi_options_check_access(mapseg_access access, struct msi_failure *failure)
{
    if (access == MAPSEG_READ_ONLY || access == MAPSEG_READ_WRITE)
        return MAPSEG_OK;
    return msi_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                      "there is no access mode %d; use MAPSEG_READ_ONLY or MAPSEG_READ_WRITE",
                      (int)access);
}

int64_t
msi_deadline(int64_t timeout_ns)
{
    int64_t now = msi_os.monotonic_ns();

    return timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

int64_t
msi_patience_ends(int64_t timeout_ns)
{
    return msi_deadline(timeout_ns == MAPSEG_TIMEOUT_DEFAULT ? MSI_REMOVER_PATIENCE_NS
                                                             : timeout_ns);
}

/** Waits a little, twice as long as the last time, and no longer than `longest`. */
static bool
wait_a_little(int64_t *pause_ns, int64_t longest, int64_t deadline)
{
    int64_t left = deadline - msi_os.monotonic_ns();

    if (left <= 0)
        return false;
    *pause_ns = *pause_ns == 0 ? 20000 : *pause_ns * 2 > longest ? longest : *pause_ns * 2;
    msi_os.nap(*pause_ns < left ? *pause_ns : left);
    return true;
}

bool
msi_wait_for_remover(int64_t *pause_ns, int64_t deadline)
{
    return wait_a_little(pause_ns, INT64_C(10000000), deadline);
}

bool
msi_wait_for_creator(int64_t *pause_ns, int64_t deadline)
{
    return wait_a_little(pause_ns, INT64_C(64000000), deadline);
}
