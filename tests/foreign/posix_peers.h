/*
 * posix_peers.h - programs that share memory by shm_open and sem_open, as Qt's do.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_FOREIGN_POSIX_PEERS_H
#define TESTS_FOREIGN_POSIX_PEERS_H

#include "support.h"

#include <semaphore.h>

/** A POSIX segment of the test's own. */
struct posix_place {
    char key[KEY_BYTES];       /**< of mapseg */
    char name[KEY_BYTES];      /**< for shm_open and sem_open */
    char path[KEY_BYTES];      /**< of the segment */
    char semaphore[KEY_BYTES]; /**< path of that */
};

void new_posix_place(struct posix_place *place);

/** Whether this machine's semaphores are those that mapseg knows. */
bool has_known_semaphores(void);

/** What such a program has of a segment. */
struct theirs {
    sem_t *semaphore;
    void *data;
};

/** Creates, or attaches to what is there: a semaphore, a segment, a mapping. */
struct theirs they_create(const struct posix_place *place, size_t bytes);
struct theirs they_attach(const struct posix_place *place, size_t bytes);

/** Replaces the semaphore, as Qt's create() does. */
sem_t *they_replace(const struct posix_place *place);

void they_wait(sem_t *semaphore);
void they_post(sem_t *semaphore);
int their_value(sem_t *semaphore);

/** Takes both names away. */
void clear_away(const struct posix_place *place);

#endif
