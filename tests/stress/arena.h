/*
 * arena.h - a segment that victims use while scribblers write anything into its header:
 * what all their processes share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_ARENA_H
#define MAPSEG_TEST_ARENA_H

#include "hostile.h"

enum { VICTIMS = 3, SCRIBBLERS = 2, READER = 2 /* the victim that may only read */ };

/** What the victims have done, and suffered. */
enum tally { ATTACHED, REFUSED, LOCKED, NOT_LOCKED, READ, NOT_READ, WAITED, LISTED, TALLIES };

/** What all processes of the test share. */
struct arena {
    struct place place;
    int fd;      /* of a nameless segment, to write; -1: it has a name */
    int read_fd; /* the same, to read */
    struct mapseg_header good;
    atomic_int stop; /* 1: who fights; 2: who stays, too */
    atomic_int ready;
    atomic_uint tallies[TALLIES];
    atomic_uint seen_words[64]; /* lock words that once were */
};

extern struct arena *arena;
extern int my_number; /**< which victim or scribbler this process is */

/** The segment, with a name or without. */
void set_arena(bool nameless);

/** The header, to write. */
struct mapseg_header *map_arena(void);

/** Whether the fight goes on. */
bool goes_on(void);

/** A body, in victims.c: uses the segment in every way, and survives. */
void live(struct stage *stage);

/** A body, in scribblers.c: writes what it likes into the header. */
void scribble(struct stage *stage);

#endif
