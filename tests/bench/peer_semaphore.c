/*
 * peer_semaphore.c - a POSIX semaphore between processes, used as a lock.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "peer.h"

#include <errno.h>
#include <semaphore.h>

static void *
setup(void *page)
{
    return sem_init(page, 1, 1) == 0 ? page : NULL;
}

static void *
attach(void *state)
{
    return state;
}

static enum taken
lock(void *state)
{
    while (sem_wait(state) != 0) {
        if (errno != EINTR)
            return NOT_TAKEN;
    }
    return TAKEN;
}

static void
unlock(void *state)
{
    sem_post(state);
}

static bool
pairs(void *state, long count, volatile uint64_t *word)
{
    for (; count > 0; count--) {
        if (sem_wait(state) != 0)
            return false;
        if (word != NULL)
            *word = (uint64_t)count;
        sem_post(state);
    }
    return true;
}

static void
teardown(void *state)
{
    sem_destroy(state);
}

const struct peer peer_semaphore = {
    .name = "semaphore",
    .what = "POSIX semaphore, process-shared",
    .setup = setup,
    .attach = attach,
    .lock = lock,
    .unlock = unlock,
    .pairs = pairs,
    .teardown = teardown,
};
