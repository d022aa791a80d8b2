/*
 * peer_sysv.c - a System V semaphore with SEM_UNDO, used as a lock.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "peer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/sem.h>

/** The argument of semctl, which the caller has to declare. */
union semaphore_argument {
    int value;
};

static void
teardown(void *state)
{
    int *id = state;

    semctl(*id, 0, IPC_RMID);
    free(id);
}

static void *
setup(void *page)
{
    union semaphore_argument one = {.value = 1};
    int *id = malloc(sizeof *id);

    (void)page;
    if (id == NULL)
        return NULL;
    *id = semget(IPC_PRIVATE, 1, 0600);
    if (*id < 0) {
        free(id);
        return NULL;
    }
    if (semctl(*id, 0, SETVAL, one) != 0) {
        teardown(id);
        return NULL;
    }
    return id;
}

static void *
attach(void *state)
{
    return state;
}

static int
change(void *state, short by)
{
    struct sembuf operation = {.sem_num = 0, .sem_op = by, .sem_flg = SEM_UNDO};
    int *id = state;
    int result;

    do {
        result = semop(*id, &operation, 1);
    } while (result != 0 && errno == EINTR);
    return result;
}

static enum taken
lock(void *state)
{
    return change(state, -1) == 0 ? TAKEN : NOT_TAKEN;
}

static void
unlock(void *state)
{
    change(state, 1);
}

static bool
pairs(void *state, long count, volatile uint64_t *word)
{
    for (; count > 0; count--) {
        if (change(state, -1) != 0)
            return false;
        if (word != NULL)
            *word = (uint64_t)count;
        change(state, 1);
    }
    return true;
}

const struct peer peer_sysv = {
    .name = "sysv",
    .what = "System V semop with SEM_UNDO",
    .survives_owner = true,
    .setup = setup,
    .attach = attach,
    .lock = lock,
    .unlock = unlock,
    .pairs = pairs,
    .teardown = teardown,
};
