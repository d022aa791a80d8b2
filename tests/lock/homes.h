/*
 * homes.h - processes that share the lock, here or in a PID namespace of their own.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_HOMES_H
#define MAPSEG_TEST_HOMES_H

#include "support.h"

#define DATA_BYTES 4096
#define ADDITIONS 20000
/** A living owner is not robbed within this. */
#define PATIENCE (300 * MILLISECOND)

/** How processes are started that share the lock. */
enum home { HERE, APART };

/** Whether PID namespaces can be made and their numbers chosen. */
bool has_namespaces(void);

/** Starts a process that is the first of a PID namespace of its own. The number
 *  returned is the one it has in ours. */
pid_t start_apart(void (*body)(struct stage *stage), struct stage *stage);

/** Starts a process there and waits until it is ready. */
pid_t start_ready(enum home home, void (*body)(struct stage *stage), struct stage *stage);

/** The next process or thread of this namespace gets this number. */
void choose_next_number(pid_t number);

/** A body: holds the lock until killed. */
void hold_for_ever(struct stage *stage);

/** The owner is alive: the lock is not to be had, however one asks. */
void need_kept(mapseg *seg);

/** The owner is dead: who comes next is told, at once. */
void need_told(mapseg *seg);

/** A segment with a record, and no process attached. */
struct mapseg_header *make_record(const struct place *place);
void need_count(const struct place *place, uint64_t count);

#endif
