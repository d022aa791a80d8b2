/*
 * report.c - leaving in a handle what a call came to.
 *
 * The result lies in the handle; the sentence belongs to the thread that met
 * the failure, so that two threads on one handle never read half of each
 * other's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "report.h"

#include "file/key.h"
#include "handle.h"
#include "os/os.h"
#include "os/printable.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** What a thread was last told. */
struct words {
    uint32_t handle; /**< its number; 0: about none */
    char text[1024];
};

/* On the heap, made by a thread's first failure: the room that libc keeps for
 * the thread-local variables of libraries loaded later is small. */
static _Thread_local struct words *words;

/** Frees them when their thread ends. Never deleted: threads use it until the
 *  process is gone, and the next owner of its number would find ours. */
static pthread_key_t words_key;

static pthread_once_t words_once = PTHREAD_ONCE_INIT;

static bool words_have_key;

/** The handle's key for people. */
static void
describe_key(const mapseg *seg, char to[MSI_PRINTABLE_KEY_BYTES])
{
    static const char none[] = "a segment without a key";

    if (seg->key == NULL)
        memcpy(to, none, sizeof none);
    else
        msi_printable_key(to, seg->plain_key, mapseg_ipc_key_text(seg->key));
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
speak(const mapseg *seg, const char *operation, const char *key, const struct msi_failure *failure)
{
    struct words *own = own_words();
    bool system = failure->system_error != 0;
    char said[128] = "";

    if (own == NULL)
        return;
    if (system)
        msi_os.describe(failure->system_error, said, sizeof said);
    own->handle = seg->number;
    snprintf(own->text, sizeof own->text, "cannot %s %s: %s%s%s%s; %s", operation, key,
             failure->reason, system ? " (" : "", said, system ? ")" : "", failure->cure);
}

mapseg_result
msi_refuse(mapseg *seg, const char *operation, const struct msi_failure *failure)
{
    char key[MSI_PRINTABLE_KEY_BYTES];

    describe_key(seg, key);
    speak(seg, operation, key, failure);
    return failure->result;
}

mapseg_result
msi_report(mapseg *seg, const char *operation, const struct msi_failure *failure)
{
    atomic_store_explicit(&seg->error, failure->result, memory_order_relaxed);
    return msi_refuse(seg, operation, failure);
}

mapseg_result
msi_report_key(mapseg *seg, const char *key, const struct msi_failure *failure)
{
    char quoted[MSI_PRINTABLE_KEY_BYTES];

    msi_printable_key(quoted, key, NULL);
    atomic_store_explicit(&seg->error, failure->result, memory_order_relaxed);
    speak(seg, "use the key", quoted, failure);
    return failure->result;
}

mapseg_result
msi_succeed(mapseg *seg)
{
    atomic_store_explicit(&seg->error, MAPSEG_OK, memory_order_relaxed);
    if (words != NULL && words->handle == seg->number)
        words->handle = 0;
    return MAPSEG_OK;
}

mapseg_result
msi_succeed_without(mapseg *seg, const char *operation, const struct msi_failure *failure)
{
    (void)msi_succeed(seg);
    (void)msi_refuse(seg, operation, failure);
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
    return mapseg_result_text(mapseg_error(seg));
}
