/*
 * children.h - children that fork has made, and what they do with their copy of a handle.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_CHILDREN_H
#define MAPSEG_TEST_CHILDREN_H

#include "support.h"

#define DATA_BYTES 4096

/** What a forked child does with its copy of the handle. */
typedef void child_body(struct stage *stage, mapseg *seg);

/** Forks a child that runs the body and ends with status 0. Unlike one of
 *  start() it outlives its parent. */
pid_t fork_child(child_body *body, struct stage *stage, mapseg *seg);

/* Bodies. */

void free_copy(struct stage *stage, mapseg *seg);

/** Holds the lock until it is killed. */
void take_and_wait(struct stage *stage, mapseg *seg);

/** A child whose file could not be opened anew for it. */
void be_unregistered(struct stage *stage, mapseg *seg);

/** Descriptors beyond the standard ones that lead to a segment's file of that
 *  name, or to one without. */
int count_open(const char *name);

#endif
