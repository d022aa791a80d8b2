/*
 * little_qt.h - what a program with a QSharedMemory of the System V type does, call by call.
 *
 * Written after what Qt does, not with mapseg: what mapseg has to meet, faults and all.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_FOREIGN_LITTLE_QT_H
#define TESTS_FOREIGN_LITTLE_QT_H

#include "support.h"

#include <sys/ipc.h>

struct little_qt {
    char segment_file[KEY_BYTES];
    char lock_file[KEY_BYTES]; /**< the same, but with a legacy key */
    int project;
    int set; /**< -1: not known */
    bool made_set;
    bool made_lock_file;
    bool locked;
    void *memory; /**< NULL: not attached */
    size_t size;
};

/** An object with that key file, for its segment and its lock. */
void qt_begin(struct little_qt *qt, const char *file);

bool qt_create(struct little_qt *qt, size_t size);
bool qt_attach(struct little_qt *qt);
bool qt_lock(struct little_qt *qt);
bool qt_unlock(struct little_qt *qt);
bool qt_detach(struct little_qt *qt);
/** What the destructor does. */
void qt_end(struct little_qt *qt);

/** How many increments a word 'i' of a peer makes. */
#define INCREMENTS 200000

/** The whole life of such a program, which is told what to do letter by letter: 'c' create (4096
 *  bytes), 'a' attach, 'l' lock, 'u' unlock, 'd' detach, 'i' increment the first 64-bit number
 *  INCREMENTS times, locking for each, 'e' end the object, 'q' quit without that. Answers each with
 *  'y', or 'n' where the call failed. The argument is the path of the key file. */
int qt_peer(int channel, void *file);

#endif
