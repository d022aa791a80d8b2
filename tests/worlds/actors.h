/*
 * actors.h - processes that publish, read, leave and die when they are told to.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_WORLDS_ACTORS_H
#define TESTS_WORLDS_ACTORS_H

#include "support.h"

/** Bytes of data of the segments. */
#define ACTOR_BYTES ((size_t)4096)

/** A peer's body. The argument is the native key. Each word is answered as tell expects it:
 *  'c' create, 'r' create in place of what there is, 'q' create after reclaiming it, 'a' attach to
 *  write, 'o' attach to read, 'w' publish a change, 'b' begin one, 'l' lock, 'u' unlock,
 *  'm' remove the name, 'd' detach, 'f' make a child that inherits the attachment and lives on.
 *  'e' ends it, with the attachment. */
int actor(int channel, void *native_key);

/** What mapseg_info says of the name. */
mapseg_name_state name_state_of(mapseg *seg);

/** How many attachments can write the data, as mapseg_info says. */
uint32_t writers_of(const char *native_key);

/** Waits until there are so many: the kernel has let go of the dead. */
void await_writers(const char *native_key, uint32_t count);

/** Whether the handle's descriptor for changes says within that time that there is something. */
bool is_notified(mapseg *seg, int milliseconds);

/** Asks for that descriptor, and gives out the version, so that it has nothing to say. */
uint64_t quieten(mapseg *seg);

#endif
