/*
 * actors.c - see actors.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "actors.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static bool
create_with(mapseg *seg, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags;
    return mapseg_create_with(seg, ACTOR_BYTES, MAPSEG_READ_WRITE, &options) == MAPSEG_OK;
}

static bool
publish(mapseg *seg)
{
    uint64_t *count = mapseg_data(seg);

    if (count == NULL || !mapseg_result_owes_unlock(mapseg_write_begin(seg)))
        return false;
    ++*count;
    return mapseg_write_end(seg) == MAPSEG_OK;
}

/** The child lives until it is killed, or its parent is reaped and the test with it. */
static bool
leave_child(void)
{
    pid_t child = fork();

    if (child == 0)
        for (;;)
            pause();
    return child > 0;
}

static bool
obey(mapseg *seg, int word)
{
    switch (word) {
    case 'c':
        return create_with(seg, 0);
    case 'r':
        return create_with(seg, MAPSEG_REPLACE);
    case 'q':
        return create_with(seg, MAPSEG_RECLAIM);
    case 'a':
        return mapseg_attach(seg, MAPSEG_READ_WRITE) == MAPSEG_OK;
    case 'o':
        return mapseg_attach(seg, MAPSEG_READ_ONLY) == MAPSEG_OK;
    case 'w':
        return publish(seg);
    case 'b':
        return mapseg_result_owes_unlock(mapseg_write_begin(seg));
    case 'l':
        return mapseg_result_owes_unlock(mapseg_lock(seg));
    case 'u':
        return mapseg_unlock(seg) == MAPSEG_OK;
    case 'm':
        return mapseg_remove(seg) == MAPSEG_OK;
    case 'd':
        return mapseg_detach(seg) == MAPSEG_OK;
    case 'f':
        return leave_child();
    default:
        return false;
    }
}

int
actor(int channel, void *native_key)
{
    /* Not lost when it ends without detaching. */
    static mapseg *seg;
    int word;

    seg = handle_for(native_key);
    while ((word = hear(channel)) != -1 && word != 'e')
        say(channel, obey(seg, word) ? 'y' : 'n');
    return word == 'e' ? 0 : 1;
}

mapseg_name_state
name_state_of(mapseg *seg)
{
    mapseg_info *information = describe(seg);
    mapseg_name_state state = information->name_state;

    mapseg_info_free(information);
    return state;
}

uint32_t
writers_of(const char *native_key)
{
    mapseg *seg = handle_for(native_key);
    mapseg_info *information = describe(seg);
    uint32_t writers = information->attached_writers;

    mapseg_info_free(information);
    mapseg_free(seg);
    return writers;
}

void
await_writers(const char *native_key, uint32_t count)
{
    int64_t deadline = hang_deadline();

    while (writers_of(native_key) != count) {
        need(now_ns() < deadline);
        give_way();
    }
}

bool
is_notified(mapseg *seg, int milliseconds)
{
    struct pollfd poller = {notify_fd(seg), POLLIN, 0};
    int ready;

    need(poller.fd >= 0);
    ready = poll(&poller, 1, milliseconds);
    need(ready >= 0);
    return ready == 1;
}

uint64_t
quieten(mapseg *seg)
{
    uint64_t version;

    /* At first it is readable, when its thread has begun. */
    need(is_notified(seg, HANG_MS));
    need_call(MAPSEG_OK, seg, mapseg_wait(seg, MAPSEG_ANY_VERSION, &version, 0));
    need(!is_notified(seg, 0));
    return version;
}
