/*
 * error.c - results and the sentences that go with them.
 *
 * The result lies in the handle; the sentence belongs to the thread that met
 * the failure, so that two threads on one handle never read half of each
 * other's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "error.h"

#include "handle.h"
#include "os.h"
#include "printable.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** What a thread was last told. */
struct words {
    uint32_t handle; /**< its number; 0: about none */
    char text[768];
};

/* On the heap, made by a thread's first failure: the room that libc keeps for
 * the thread-local variables of libraries loaded later is small. */
static _Thread_local struct words *words;
/** Frees them when their thread ends. Never deleted: threads use it until the
 *  process is gone, and the next owner of its number would find ours. */
static pthread_key_t words_key;
static pthread_once_t words_once = PTHREAD_ONCE_INIT;
static bool words_have_key;

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
};

const char *
mapseg_result_name(mapseg_result result)
{
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (results[i].result == result)
            return results[i].name;
    return "MAPSEG_?";
}

static const char *
meaning(mapseg_result result)
{
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (results[i].result == result)
            return results[i].meaning;
    return "unknown";
}

bool
mapseg_holds_lock(mapseg_result result)
{
    return result == MAPSEG_OK || result == MAPSEG_OWNER_DIED || result == MAPSEG_ALREADY_LOCKED;
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
    case EAGAIN: /* mmap: more locked memory than allowed */
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EOVERFLOW:
    case ENOLCK:
        return MAPSEG_OUT_OF_RESOURCES;
    case ENAMETOOLONG:
        return MAPSEG_KEY_ERROR;
    case ENODEV: /* mmap: the file system has no mappings */
    case ENOSYS:
    case EOPNOTSUPP:
        return MAPSEG_NOT_SUPPORTED;
    default:
        return MAPSEG_UNKNOWN_ERROR;
    }
}

static __attribute__((format(printf, 4, 0))) mapseg_result
fill(struct mapseg_failure *failure, mapseg_result result, int system_error, const char *reason,
     va_list arguments)
{
    char text[sizeof failure->reason];
    const char *from = text;

    failure->result = result;
    failure->system_error = system_error;
    vsnprintf(text, sizeof text, reason, arguments);
    /* It may quote the environment. */
    mapseg_printable(failure->reason, sizeof failure->reason, &from, MAPSEG_PRINTABLE_SENTENCE);
    return result;
}

mapseg_result
mapseg_failed(struct mapseg_failure *failure, mapseg_result result, int system_error,
              const char *reason, ...)
{
    va_list arguments;

    va_start(arguments, reason);
    fill(failure, result, system_error, reason, arguments);
    va_end(arguments);
    return result;
}

mapseg_result
mapseg_system_failed(struct mapseg_failure *failure, int system_error, const char *reason, ...)
{
    mapseg_result result = result_of_errno(system_error);
    va_list arguments;

    va_start(arguments, reason);
    fill(failure, result, system_error, reason, arguments);
    va_end(arguments);
    return result;
}

/** Copies at most `most` bytes for people: nothing that a terminal obeys, no
 *  half characters, "..." for what does not fit. Returns the end. */
static char *
copy_printable(char *to, const char *from, size_t most, enum mapseg_printable_form form)
{
    to += mapseg_printable(to, most + 1, &from, form);
    if (*from != '\0')
        to = (char *)memcpy(to, "...", 3) + 3;
    *to = '\0';
    return to;
}

/** The key for people; `to` has room for 300 bytes. */
static void
describe_key(const mapseg *seg, char *to)
{
    const char *native = mapseg_native_key(seg);
    const char *plain = mapseg_key(seg);

    if (native == NULL) {
        memcpy(to, "a segment without a key", sizeof "a segment without a key");
        return;
    }
    if (plain != NULL) {
        *to++ = '"';
        to = copy_printable(to, plain, 64, MAPSEG_PRINTABLE_TEXT);
        to = (char *)memcpy(to, "\" (", 3) + 3;
    }
    to = copy_printable(to, native, 200, MAPSEG_PRINTABLE_KEY);
    if (plain != NULL)
        memcpy(to, ")", 2);
}

/** Frees the words of a thread that ends. It may fail once more afterwards, in a
 *  destructor of the program's, and gets new ones then. */
static void
free_words(void *last)
{
    words = NULL;
    free(last);
}

static void
make_words_key(void)
{
    words_have_key = pthread_key_create(&words_key, free_words) == 0;
}

/** This thread's words; NULL: no memory for them. */
static struct words *
own_words(void)
{
    if (words != NULL)
        return words;
    (void)pthread_once(&words_once, make_words_key);
    if (!words_have_key)
        return NULL;
    words = calloc(1, sizeof *words);
    if (words != NULL && pthread_setspecific(words_key, words) != 0) {
        free(words);
        words = NULL;
    }
    return words;
}

/** Makes this thread's words. Without memory for them mapseg_error_string says
 *  what the result means, and no more. */
static void
speak(const mapseg *seg, const char *operation, int system_error, const char *reason)
{
    struct words *own = own_words();
    char key[300];
    char said[128] = "";
    size_t until = strcspn(reason, ";");

    if (own == NULL)
        return;
    describe_key(seg, key);
    if (system_error != 0)
        mapseg_os.describe(system_error, said, sizeof said);
    own->handle = seg->number;
    snprintf(own->text, sizeof own->text, "cannot %s %s: %.*s%s%s%s%s", operation, key, (int)until,
             reason, system_error != 0 ? " (" : "", said, system_error != 0 ? ")" : "",
             reason + until);
}

mapseg_result
mapseg_report(mapseg *seg, const char *operation, const struct mapseg_failure *failure)
{
    atomic_store_explicit(&seg->error, failure->result, memory_order_relaxed);
    speak(seg, operation, failure->system_error, failure->reason);
    return failure->result;
}

mapseg_result
mapseg_refuse(mapseg *seg, const char *operation, mapseg_result result, const char *reason)
{
    speak(seg, operation, 0, reason);
    return result;
}

mapseg_result
mapseg_succeed(mapseg *seg)
{
    atomic_store_explicit(&seg->error, MAPSEG_OK, memory_order_relaxed);
    if (words != NULL && words->handle == seg->number)
        words->handle = 0;
    return MAPSEG_OK;
}

mapseg_result
mapseg_error(const mapseg *seg)
{
    return (mapseg_result)atomic_load_explicit(&seg->error, memory_order_relaxed);
}

const char *
mapseg_error_string(const mapseg *seg)
{
    if (words != NULL && words->handle == seg->number)
        return words->text;
    return meaning(mapseg_error(seg));
}
