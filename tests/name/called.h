/*
 * called.h - the segment of a test, and peers that attach to it when they are called.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_CALLED_H
#define TESTS_CALLED_H

#include "support.h"

/** The native key of a test, and the file that it leads to; choose_key is the fixture. */
extern char key[KEY_BYTES];
extern char path[KEY_BYTES];

void choose_key(void);

/** The name is gone. */
void check_gone(void);

/** So many are attached, as mapseg_info tells any process that has the key. */
void check_attached(uint32_t count);

/** A peer's body: obedient_peer, but it attaches only when called, so as not to inherit what its
 *  parent is attached to by then. The argument is the native key. */
int obey_when_called(int channel, void *argument);
/** Has such a peer attach. */
void call(const struct peer *peer);
/** Ends a peer that has detached. */
void dismiss(struct peer *peer);

#endif
