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

/** Copies at most `most` bytes for people: nothing that a terminal obeys, no
 *  half characters, "..." for what does not fit. Returns the end. */
static char *
copy_printable(char *to, const char *from, size_t most, enum msi_printable_form form)
{
    to += msi_printable(to, most + 1, &from, form);
    if (*from != '\0')
        to = (char *)memcpy(to, "...", 3) + 3;
    *to = '\0';
    return to;
}

/** The key for people; `to` has room for 300 bytes. */
static void
describe_key(const mapseg *seg, char *to)
{
    const char *native = seg->key == NULL ? NULL : mapseg_ipc_key_text(seg->key);
    const char *plain = seg->plain_key;

    if (native == NULL) {
        memcpy(to, "a segment without a key", sizeof "a segment without a key");
        return;
    }
    if (plain != NULL) {
        *to++ = '"';
        to = copy_printable(to, plain, 64, MSI_PRINTABLE_TEXT);
        to = (char *)memcpy(to, "\" (", 3) + 3;
    }
    to = copy_printable(to, native, 200, MSI_PRINTABLE_KEY);
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
        msi_os.describe(system_error, said, sizeof said);
    own->handle = seg->number;
    snprintf(own->text, sizeof own->text, "cannot %s %s: %.*s%s%s%s%s", operation, key, (int)until,
             reason, system_error != 0 ? " (" : "", said, system_error != 0 ? ")" : "",
             reason + until);
}

mapseg_result
msi_report(mapseg *seg, const char *operation, const struct msi_failure *failure)
{
    atomic_store_explicit(&seg->error, failure->result, memory_order_relaxed);
    speak(seg, operation, failure->system_error, failure->reason);
    return failure->result;
}

mapseg_result
msi_refuse(mapseg *seg, const char *operation, mapseg_result result, const char *reason)
{
    speak(seg, operation, 0, reason);
    return result;
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
