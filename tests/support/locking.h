/*
 * locking.h - processes that hold the lock, wait for it, and die with it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_LOCKING_H
#define TESTS_SUPPORT_LOCKING_H

#include "support.h"

/** A body: takes the lock and keeps it until the stage lets it go. */
void hold_lock(struct stage *stage);

/** A body: waits for the lock, says in stage->told what it was told, and frees
 *  it as it found it. */
void wait_and_leave(struct stage *stage);

/** The same, but the data is declared consistent. */
void wait_and_repair(struct stage *stage);

/** Starts a process that holds the lock. */
pid_t start_holder(struct stage *stage);

/** Starts a process that sleeps for the lock. */
pid_t start_sleeper(void (*body)(struct stage *stage), struct stage *stage,
                    const struct mapseg_header *header);

/** Leaves the lock in the hands of a process that was killed. */
void let_owner_die(struct stage *stage);

#endif
