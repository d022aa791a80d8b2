/*
 * peer_ofd.c - a lock of an open file description on one byte of a file.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void
teardown(void *state)
{
    int *file = state;

    close(*file);
    free(file);
}

static void *
open_file(const char *path, int flags)
{
    int *file = malloc(sizeof *file);

    if (file == NULL)
        return NULL;
    *file = open(path, flags | O_RDWR | O_CLOEXEC, 0600);
    if (*file < 0) {
        free(file);
        return NULL;
    }
    return file;
}

static void *
setup(void *page)
{
    (void)page;
    return open_file("/dev/shm", O_TMPFILE);
}

/** A description of the child's own: the inherited one would never exclude its parent. */
static void *
attach(void *state)
{
    int *file = state;
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", *file);
    return open_file(path, 0);
}

static int
change(void *state, short type)
{
    struct flock byte = {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    int *file = state;
    int result;

    do {
        result = fcntl(*file, F_OFD_SETLKW, &byte);
    } while (result != 0 && errno == EINTR);
    return result;
}

static enum taken
lock(void *state)
{
    return change(state, F_WRLCK) == 0 ? TAKEN : NOT_TAKEN;
}

static void
unlock(void *state)
{
    change(state, F_UNLCK);
}

static bool
pairs(void *state, long count, volatile uint64_t *word)
{
    for (; count > 0; count--) {
        if (change(state, F_WRLCK) != 0)
            return false;
        if (word != NULL)
            *word = (uint64_t)count;
        change(state, F_UNLCK);
    }
    return true;
}

const struct peer peer_ofd = {
    .name = "ofd",
    .what = "open-file-description lock on a byte",
    .survives_owner = true,
    .setup = setup,
    .attach = attach,
    .lock = lock,
    .unlock = unlock,
    .pairs = pairs,
    .teardown = teardown,
};
