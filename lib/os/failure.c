/*
 * failure.c - results, and failures on their way up.
 *
 * SPDX-License-Identifier: MIT
 */
#include "failure.h"

#include "printable.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    mapseg_result result;
    const char *name;
    const char *meaning;
} results[] = {
    {MAPSEG_OK, "MAPSEG_OK", ""},
    {MAPSEG_PERMISSION_DENIED, "MAPSEG_PERMISSION_DENIED", "permission denied"},
    {MAPSEG_INVALID_SIZE, "MAPSEG_INVALID_SIZE", "invalid size"},
    {MAPSEG_KEY_ERROR, "MAPSEG_KEY_ERROR", "no key, or not a well-formed one"},
    {MAPSEG_ALREADY_EXISTS, "MAPSEG_ALREADY_EXISTS", "the segment exists already"},
    {MAPSEG_NOT_FOUND, "MAPSEG_NOT_FOUND", "there is no such segment"},
    {MAPSEG_LOCK_ERROR, "MAPSEG_LOCK_ERROR", "the lock cannot be used"},
    {MAPSEG_OUT_OF_RESOURCES, "MAPSEG_OUT_OF_RESOURCES", "out of resources"},
    {MAPSEG_UNKNOWN_ERROR, "MAPSEG_UNKNOWN_ERROR", "the system failed"},
    {MAPSEG_TIMED_OUT, "MAPSEG_TIMED_OUT", "the time was up"},
    {MAPSEG_WOULD_BLOCK, "MAPSEG_WOULD_BLOCK", "it would have to wait"},
    {MAPSEG_OWNER_DIED, "MAPSEG_OWNER_DIED", "the lock's owner died; repair the data"},
    {MAPSEG_ALREADY_LOCKED, "MAPSEG_ALREADY_LOCKED", "this thread holds the lock already"},
    {MAPSEG_NOT_LOCKED, "MAPSEG_NOT_LOCKED", "this handle does not hold the lock"},
    {MAPSEG_NOT_ATTACHED, "MAPSEG_NOT_ATTACHED", "the handle is not attached"},
    {MAPSEG_ALREADY_ATTACHED, "MAPSEG_ALREADY_ATTACHED", "the handle is attached already"},
    {MAPSEG_NOT_A_SEGMENT, "MAPSEG_NOT_A_SEGMENT", "the file is not a segment"},
    {MAPSEG_CORRUPT, "MAPSEG_CORRUPT", "the segment is damaged"},
    {MAPSEG_TOO_NEW, "MAPSEG_TOO_NEW", "the segment needs a newer mapseg"},
    {MAPSEG_UNTRUSTED, "MAPSEG_UNTRUSTED", "others could interfere with the file"},
    {MAPSEG_FILE_SHRUNK, "MAPSEG_FILE_SHRUNK", "the file became shorter"},
    {MAPSEG_INVALID_ARGUMENT, "MAPSEG_INVALID_ARGUMENT", "an argument makes no sense"},
    {MAPSEG_NOT_SUPPORTED, "MAPSEG_NOT_SUPPORTED", "not supported here"},
    {MAPSEG_IN_USE, "MAPSEG_IN_USE", "a process is attached"},
    {MAPSEG_DESCRIPTOR_CLOSED, "MAPSEG_DESCRIPTOR_CLOSED",
     "this program has closed the segment's descriptor"},
    {MAPSEG_MEANT_TO_STAY, "MAPSEG_MEANT_TO_STAY", "the segment is persistent"},
    {MAPSEG_WRONG_TAG, "MAPSEG_WRONG_TAG", "the segment's data is of another kind"},
    {MAPSEG_NO_WRITER, "MAPSEG_NO_WRITER", "no process that writes it is attached"},
};

const char *
mapseg_result_name(mapseg_result result)
{
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (results[i].result == result)
            return results[i].name;
    return "MAPSEG_?";
}

const char *
mapseg_result_text(mapseg_result result)
{
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (results[i].result == result)
            return results[i].meaning;
    return "unknown";
}

bool
mapseg_result_owes_unlock(mapseg_result result)
{
    return result == MAPSEG_OK || result == MAPSEG_OWNER_DIED;
}

static mapseg_result
result_of_errno(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
        return MAPSEG_PERMISSION_DENIED;
    case EEXIST:
        return MAPSEG_ALREADY_EXISTS;
    case ENOENT:
    case ENOTDIR:
        return MAPSEG_NOT_FOUND;
    case EAGAIN: /* of calls that make something; what waits for others has its own words */
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EOVERFLOW:
    case ENOLCK:
    case ENOBUFS:
        return MAPSEG_OUT_OF_RESOURCES;
    case ENAMETOOLONG:
        return MAPSEG_KEY_ERROR;
    case ELOOP:
        return MAPSEG_UNTRUSTED;
    case ENODEV: /* mmap: the file system has no mappings */
    case ENOSYS:
    case EOPNOTSUPP:
        return MAPSEG_NOT_SUPPORTED;
    default:
        return MAPSEG_UNKNOWN_ERROR;
    }
}

/** What to do where the words do not say it. */
static const char *
cure_of_errno(int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
        return "close descriptors that are not needed, or raise their limit (ulimit -n)";
    case ENOMEM:
        return "free some memory";
    case ENOSPC:
    case EDQUOT:
        return "free some space";
    case EFBIG:
    case EOVERFLOW:
        return "give a smaller size";
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
        return "check the key, and what is on the way to it";
    case EROFS:
        return "use a place that can be written";
    case EACCES:
    case EPERM:
        return "ask the owner of the file, or see whether a sandbox confines the program";
    case ENOSYS:
    case EOPNOTSUPP:
    case ENODEV:
        return "use a key of another type, or another file system or kernel";
    case ENAMETOOLONG:
        return "use a shorter key";
    default:
        return "try again, or see whether the system's log says more";
    }
}

static __attribute__((format(printf, 4, 0))) mapseg_result
fill(struct msi_failure *failure, mapseg_result result, int system_error, const char *words,
     va_list arguments)
{
    const char *cure = strstr(words, "; ");
    char text[2 * sizeof failure->reason];
    size_t length;

    failure->result = result;
    /* Its words would blame the caller's arguments, which were checked before. */
    failure->system_error = system_error == EINVAL ? 0 : system_error;
    failure->cure = cure != NULL ? cure + strlen("; ") : cure_of_errno(system_error);
    length = (size_t)vsnprintf(text, sizeof text, words, arguments);
    /* Nothing is inserted into the cure: it is as long as before. */
    length -= cure != NULL ? strlen(cure) : 0;
    text[length < sizeof text ? length : sizeof text - 1] = '\0';
    /* It may quote the environment. */
    msi_printable_cut(failure->reason, sizeof failure->reason, text, MSI_PRINTABLE_SENTENCE);
    return result;
}

mapseg_result
msi_failed(struct msi_failure *failure, mapseg_result result, int system_error, const char *words,
           ...)
{
    va_list arguments;

    va_start(arguments, words);
    fill(failure, result, system_error, words, arguments);
    va_end(arguments);
    return result;
}

/** What the system means by an errno. It calls arguments invalid that it is too old to know,
 *  or that a file system does not: those of the library are valid. */
static int
meaning_of_errno(int error)
{
    return error == EINVAL ? EOPNOTSUPP : error;
}

mapseg_result
msi_system_failed(struct msi_failure *failure, int system_error, const char *words, ...)
{
    mapseg_result result;
    va_list arguments;

    system_error = meaning_of_errno(system_error);
    result = result_of_errno(system_error);
    va_start(arguments, words);
    fill(failure, result, system_error, words, arguments);
    va_end(arguments);
    /* Whatever was tried, then only this helps. */
    if (system_error == EMFILE || system_error == ENFILE)
        failure->cure = cure_of_errno(system_error);
    return result;
}

mapseg_result
msi_map_failed(struct msi_failure *failure, int system_error, uint64_t bytes)
{
    unsigned long long size = bytes;

    switch (system_error) {
    case EAGAIN: /* a program that locks all that it maps (mlockall) */
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, system_error,
                          "this program locks what it maps in memory, and its %llu bytes are "
                          "above the limit; raise that (RLIMIT_MEMLOCK, ulimit -l)",
                          size);
    case ENOMEM:
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, system_error,
                          "its %llu bytes cannot be mapped; check the limits of this process "
                          "(ulimit -v, vm.max_map_count), or use a smaller segment",
                          size);
    case EINVAL:
    case ENODEV:
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, meaning_of_errno(system_error),
                          "its file system cannot map it as memory; use a shm: key, or a file on "
                          "another file system");
    default:
        return msi_system_failed(failure, system_error,
                                 "its %llu bytes cannot be mapped; check the limits of this "
                                 "process (ulimit -a) and the seals",
                                 size);
    }
}

mapseg_result
msi_hide_failed(struct msi_failure *failure, int system_error)
{
    if (system_error == ENOMEM)
        return msi_system_failed(failure, system_error,
                                 "its memory cannot be kept out of children");
    return msi_failed(failure, MAPSEG_NOT_SUPPORTED, meaning_of_errno(system_error),
                      "this system cannot keep its memory out of children; do without "
                      "MAPSEG_NO_FORK, MAPSEG_SINGLE_WRITER and an initialiser, or allow "
                      "madvise()");
}
