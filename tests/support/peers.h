/*
 * peers.h - processes that are told what to do, letter by letter.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_PEERS_H
#define TESTS_SUPPORT_PEERS_H

#include <sys/types.h>

/** A process to talk to, over a channel of single letters. Begin it before attaching, or it
 *  inherits the attachment. */
struct peer {
    pid_t pid;
    int channel;
};

struct peer start_peer(int (*body)(int channel, void *argument), void *argument);
void say(int channel, char word);
/** The next letter; -1 if the other side is gone or silent. */
int hear(int channel);
/** Waits for it to end by itself: as end_of. */
int end_peer(struct peer *peer);
/** Kills it with SIGKILL and reaps it. */
void kill_peer(struct peer *peer);

/** The whole life of a simple peer: attaches to the native key given as argument, says 'a' (or 'x'
 *  if it could not), then obeys: 'l' lock, 'u' unlock, 'd' detach, 'n' nothing, 'q' quit without
 *  detaching. Answers each with 'y', or 'n' where the call failed. */
int obedient_peer(int channel, void *native_key);
/** Tells an obedient peer one word and checks that it answers 'y'. */
void tell(const struct peer *peer, char word);

#endif
