/*
 * peer_mapseg.c - mapseg: its lock with throughput and with fairness, the one that it shares with
 * sem_wait, attaching and creating.
 *
 * All through the public interface, as a program linked to the library does it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "peer.h"

#include <mapseg.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static mapseg *
create_keyed(const char *type, size_t bytes, uint32_t flags)
{
    static int made = 0;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char key[64];
    mapseg *seg;

    options.flags = flags;
    snprintf(key, sizeof key, "%s-bench-%ld-%d", type, (long)getpid(), made++);
    seg = mapseg_new();
    if (seg == NULL || mapseg_set_native_key(seg, key) != MAPSEG_OK ||
        mapseg_create_with(seg, bytes, MAPSEG_READ_WRITE, &options) != MAPSEG_OK) {
        fprintf(stderr, "bench: %s\n", seg == NULL ? "no memory" : mapseg_error_string(seg));
        mapseg_free(seg);
        return NULL;
    }
    return seg;
}

static mapseg *
create_segment(size_t bytes, uint32_t flags)
{
    return create_keyed("shm:mapseg", bytes, flags);
}

static void *
setup_default(void *page)
{
    (void)page;
    return create_segment(4096, 0);
}

static void *
setup_fair(void *page)
{
    (void)page;
    return create_segment(4096, MAPSEG_FAIR);
}

static void *
setup_posix(void *page)
{
    (void)page;
    return create_keyed("posix:/mapseg", 4096, MAPSEG_REMOVE_WITH_LAST);
}

static void *
attach(void *state)
{
    mapseg *seg = mapseg_new();

    if (seg == NULL || mapseg_set_native_key(seg, mapseg_native_key(state)) != MAPSEG_OK ||
        mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK) {
        fprintf(stderr, "bench: %s\n", seg == NULL ? "no memory" : mapseg_error_string(seg));
        mapseg_free(seg);
        return NULL;
    }
    return seg;
}

static enum taken
lock(void *state)
{
    mapseg_result result = mapseg_lock(state);

    if (result == MAPSEG_OK)
        return TAKEN;
    if (result != MAPSEG_OWNER_DIED || mapseg_consistent(state) != MAPSEG_OK)
        return NOT_TAKEN;
    return TAKEN_FROM_DEAD;
}

static void
unlock(void *state)
{
    mapseg_unlock(state);
}

static bool
pairs(void *state, long count, volatile uint64_t *word)
{
    for (; count > 0; count--) {
        if (mapseg_lock(state) != MAPSEG_OK)
            return false;
        if (word != NULL)
            *word = (uint64_t)count;
        mapseg_unlock(state);
    }
    return true;
}

static void
teardown(void *state)
{
    mapseg_free(state);
}

const struct peer peer_mapseg = {
    .name = "mapseg",
    .what = "mapseg",
    .survives_owner = true,
    .setup = setup_default,
    .attach = attach,
    .lock = lock,
    .unlock = unlock,
    .pairs = pairs,
    .teardown = teardown,
};

const struct peer peer_mapseg_fair = {
    .name = "mapseg-fair",
    .what = "mapseg, created with MAPSEG_FAIR",
    .survives_owner = true,
    .setup = setup_fair,
    .attach = attach,
    .lock = lock,
    .unlock = unlock,
    .pairs = pairs,
    .teardown = teardown,
};

const struct peer peer_mapseg_posix = {
    .name = "mapseg-posix",
    .what = "mapseg, by the semaphore of a POSIX segment",
#if !defined(__LP64__) || !defined(__GLIBC__)
    .missing = "the semaphores of this C library are not known",
#endif
    .survives_owner = true,
    .setup = setup_posix,
    .attach = attach,
    .lock = lock,
    .unlock = unlock,
    .pairs = pairs,
    .teardown = teardown,
};

/** A segment that stays, and the handle that comes and goes. */
struct visit {
    mapseg *segment;
    mapseg *visitor;
};

static void
teardown_visit(void *state)
{
    struct visit *visit = state;

    mapseg_free(visit->visitor);
    mapseg_free(visit->segment);
    free(visit);
}

static void *
setup_visit(size_t bytes)
{
    struct visit *visit = calloc(1, sizeof *visit);

    if (visit == NULL)
        return NULL;
    visit->segment = create_segment(bytes, 0);
    visit->visitor = mapseg_new();
    if (visit->segment == NULL || visit->visitor == NULL ||
        mapseg_set_native_key(visit->visitor, mapseg_native_key(visit->segment)) != MAPSEG_OK) {
        teardown_visit(visit);
        return NULL;
    }
    return visit;
}

static bool
reach(void *state, long count)
{
    struct visit *visit = state;

    for (; count > 0; count--) {
        if (mapseg_attach(visit->visitor, MAPSEG_READ_WRITE) != MAPSEG_OK)
            return false;
        mapseg_detach(visit->visitor);
    }
    return true;
}

static void *
create(size_t bytes, void **handle)
{
    mapseg *seg = create_segment(bytes, 0);

    *handle = seg;
    return seg == NULL ? NULL : mapseg_data(seg);
}

const struct memory memory_mapseg = {
    .name = "mapseg",
    .how_reached = "mapseg_attach, mapseg_detach",
    .how_created = "mapseg_create_with",
    .setup = setup_visit,
    .reach = reach,
    .teardown = teardown_visit,
    .create = create,
    .destroy = teardown,
};
