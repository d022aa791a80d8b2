/*
 * peer_glibc.c - the C library's mutex between processes, plain and robust.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "peer.h"

#include <errno.h>
#include <pthread.h>

static void *
setup_mutex(void *page, int robustness)
{
    pthread_mutexattr_t attributes;
    int failed;

    if (pthread_mutexattr_init(&attributes) != 0)
        return NULL;
    failed = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) != 0 ||
             pthread_mutexattr_setrobust(&attributes, robustness) != 0 ||
             pthread_mutex_init(page, &attributes) != 0;
    pthread_mutexattr_destroy(&attributes);
    return failed ? NULL : page;
}

static void *
setup_plain(void *page)
{
    return setup_mutex(page, PTHREAD_MUTEX_STALLED);
}

static void *
setup_robust(void *page)
{
    return setup_mutex(page, PTHREAD_MUTEX_ROBUST);
}

static void *
attach(void *state)
{
    return state;
}

static enum taken
lock(void *state)
{
    int result = pthread_mutex_lock(state);

    if (result == 0)
        return TAKEN;
    if (result != EOWNERDEAD || pthread_mutex_consistent(state) != 0)
        return NOT_TAKEN;
    return TAKEN_FROM_DEAD;
}

static void
unlock(void *state)
{
    pthread_mutex_unlock(state);
}

static bool
pairs(void *state, long count, volatile uint64_t *word)
{
    for (; count > 0; count--) {
        if (pthread_mutex_lock(state) != 0)
            return false;
        if (word != NULL)
            *word = (uint64_t)count;
        pthread_mutex_unlock(state);
    }
    return true;
}

static void
teardown(void *state)
{
    pthread_mutex_destroy(state);
}

const struct peer peer_glibc = {
    .name = "glibc",
    .what = "pthread mutex, process-shared",
    .setup = setup_plain,
    .attach = attach,
    .lock = lock,
    .unlock = unlock,
    .pairs = pairs,
    .teardown = teardown,
};

const struct peer peer_glibc_robust = {
    .name = "glibc-robust",
    .what = "pthread mutex, process-shared and robust",
    .survives_owner = true,
    .setup = setup_robust,
    .attach = attach,
    .lock = lock,
    .unlock = unlock,
    .pairs = pairs,
    .teardown = teardown,
};
