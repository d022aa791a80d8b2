/*
 * peers.c - processes that are told what to do, letter by letter.
 *
 * SPDX-License-Identifier: MIT
 */
#include "peers.h"

#include "assertions.h"
#include "mapseg.h"
#include "processes.h"
#include "times.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer
start_peer(int (*body)(int channel, void *argument), void *argument)
{
    struct peer peer;
    int ends[2];

    need_number(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    peer.pid = fork();
    need(peer.pid >= 0);
    if (peer.pid == 0) {
        close(ends[0]);
        _exit(body(ends[1], argument));
    }
    close(ends[1]);
    peer.channel = ends[0];
    return peer;
}

void
say(int channel, char word)
{
    /* A peer that is gone shows in the answer that never comes. */
    (void)send(channel, &word, 1, MSG_NOSIGNAL);
}

int
hear(int channel)
{
    struct pollfd poller = {channel, POLLIN, 0};
    int64_t deadline = hang_deadline();
    char word;

    while (now_ns() < deadline) {
        if (poll(&poller, 1, 100) == 1)
            return read(channel, &word, 1) == 1 ? word : -1;
    }
    return -1;
}

int
end_peer(struct peer *peer)
{
    int status = end_of(peer->pid);

    close(peer->channel);
    return status;
}

void
kill_peer(struct peer *peer)
{
    kill_and_reap(peer->pid);
    close(peer->channel);
}

static bool
obey(mapseg *seg, int word)
{
    switch (word) {
    case 'l':
        return mapseg_result_owes_unlock(mapseg_lock(seg));
    case 'u':
        return mapseg_unlock(seg) == MAPSEG_OK;
    case 'd':
        return mapseg_detach(seg) == MAPSEG_OK;
    default:
        return true;
    }
}

int
obedient_peer(int channel, void *native_key)
{
    /* Not lost when the peer quits without detaching. */
    static mapseg *seg;
    int word;

    seg = mapseg_new();
    if (seg == NULL || mapseg_set_native_key(seg, native_key) != MAPSEG_OK ||
        mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK) {
        say(channel, 'x');
        return 1;
    }
    say(channel, 'a');
    while ((word = hear(channel)) != -1 && word != 'q')
        say(channel, obey(seg, word) ? 'y' : 'n');
    if (!mapseg_is_attached(seg))
        mapseg_free(seg);
    return word == 'q' ? 0 : 1;
}

void
tell(const struct peer *peer, char word)
{
    int answer;

    say(peer->channel, word);
    answer = hear(peer->channel);
    if (answer != 'y')
        broken("told '%c', the peer answered %d", word, answer);
}
