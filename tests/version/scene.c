/*
 * scene.c - see scene.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scene.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

/* ----------------------------------------------------------- the writer -- */

static uint32_t
next(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

bool
write_once(mapseg *seg)
{
    uint64_t *count = mapseg_data(seg);

    if (!mapseg_result_owes_unlock(mapseg_write_begin(seg)))
        return false;
    ++*count;
    return mapseg_write_end(seg) == MAPSEG_OK;
}

/** Many changes, in bursts and with pauses. */
static bool
write_at_random(mapseg *seg)
{
    uint32_t random = (uint32_t)getpid();

    for (int i = 0; i < WRITES; i++) {
        if (!write_once(seg))
            return false;
        if (next(&random) % 4 == 0)
            usleep(next(&random) % 300);
    }
    return true;
}

static bool
repair(mapseg *seg)
{
    return mapseg_write_begin(seg) == MAPSEG_OWNER_DIED && mapseg_consistent(seg) == MAPSEG_OK &&
           mapseg_write_end(seg) == MAPSEG_OK;
}

static bool
obey(mapseg *seg, int word)
{
    switch (word) {
    case 'w':
        return write_once(seg);
    case 'r':
        return write_at_random(seg);
    case 'b':
        return mapseg_result_owes_unlock(mapseg_write_begin(seg));
    case 'e':
        return mapseg_write_end(seg) == MAPSEG_OK;
    case 'c':
        return repair(seg);
    default:
        return false;
    }
}

int
writer(int channel, void *key)
{
    mapseg *seg = mapseg_new();
    int word;

    if (seg == NULL || mapseg_set_native_key(seg, key) != MAPSEG_OK)
        return 1;
    while ((word = hear(channel)) > 0 && word != 'q') {
        if (!mapseg_is_attached(seg) && mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK)
            return 2;
        if (word == 'k') {
            if (!mapseg_result_owes_unlock(mapseg_write_begin(seg)))
                return 3;
            raise(SIGKILL);
        }
        say(channel, obey(seg, word) ? 'y' : 'n');
    }
    mapseg_free(seg);
    return 0;
}

void
set_up(struct scene *scene)
{
    unique_key(scene->key);
    path_of(scene->path, scene->key);
    scene->writer = start_peer(writer, scene->key);
    scene->seg = created(scene->key, SIZE);
}

void
tear_down(struct scene *scene)
{
    say(scene->writer.channel, 'q');
    ck_assert_int_eq(end_peer(&scene->writer), 0);
    mapseg_free(scene->seg);
}

/* ------------------------------------------------------- the descriptor -- */

bool
is_readable(int fd, int milliseconds)
{
    struct pollfd poller = {fd, POLLIN, 0};
    int ready = poll(&poller, 1, milliseconds);

    ck_assert_int_ge(ready, 0);
    ck_assert(ready == 0 || poller.revents == POLLIN);
    return ready == 1;
}

int
change_fd(mapseg *seg)
{
    int fd = notify_fd(seg);

    ck_assert_msg(fd >= 0, "no descriptor: %s", mapseg_error_string(seg));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OK);
    return fd;
}

uint64_t
give_out(mapseg *seg, int way)
{
    uint64_t version = NO_VERSION;
    uint64_t count;

    switch (way % 3) {
    case 0:
        need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, &count, sizeof count, &version));
        break;
    case 1:
        need_call(MAPSEG_OK, seg, mapseg_read_begin(seg, &version));
        break;
    default:
        need_call(MAPSEG_OK, seg, mapseg_wait(seg, NO_VERSION, &version, 0));
    }
    ck_assert_uint_eq(version % 2, 0);
    return version;
}

int
quiet_fd(mapseg *seg)
{
    int fd = change_fd(seg);

    (void)give_out(seg, 0);
    ck_assert(!is_readable(fd, 0));
    return fd;
}
