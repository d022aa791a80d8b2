/*
 * demo.h - what the files of mapseg demo share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TOOL_DEMO_H
#define MAPSEG_TOOL_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* --------------------------------------------------------------- actors -- */

/** A process that demo started, and the pipes to and from it. */
struct actor {
    const char *name;
    pid_t pid; /**< 0: not running */
    int to;    /**< its standard input; -1: closed */
    FILE *from;
    /** The last line that it printed, without its end. */
    char line[1024];
};

/** The tool itself, for actor_start. */
#define TOOL_PROGRAM "/proc/self/exe"

/** Starts `program` with these arguments. False: it failed, and the user has
 *  been told. */
bool actor_start(struct actor *actor, const char *name, const char *program,
                 const char *const *arguments);

/** Waits for a line of it and prints that. False: it has nothing more to say. */
bool actor_hear(struct actor *actor);

/** Tells it to go on. */
void actor_go(struct actor *actor);

/** Lets it end, prints what it still says, and waits: its exit status, or 128
 *  and the signal that ended it. */
int actor_finish(struct actor *actor);

/** The same with SIGKILL first; nothing if it does not run. */
int actor_kill(struct actor *actor);

/** From now on the signals that end a program end the actors first, and fail
 *  what is under way. */
void watch_for_interruption(void);

/** The signal that came; 0: none. */
int interruption(void);

/** Ends the process by that signal, as if nothing had caught it. */
void end_by_interruption(void);

/* ---------------------------------------------------------------- parts -- */

/** The part of the demonstration that counts under the lock. */
bool demo_count(const char *key);

/** Its processes. */
int role_add(const char *key, const char *place, const char *stop_at);

/** Prints one line of a part's story, or its outcome. */
void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool outcome(bool held, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
