/*
 * run.h - running a command as lock and exec do.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TOOL_RUN_H
#define MAPSEG_TOOL_RUN_H

#include <stdbool.h>
#include <sys/types.h>

/** What the command gets beside its arguments. */
struct run {
    char *const *arguments; /**< ends with NULL */
    const char *variable;   /**< of its environment; NULL: none */
    const char *value;      /**< NULL: the variable is taken away */
    int descriptor;         /**< stays open in it; -1: none */
    bool dies_with_us;      /**< gets SIGTERM if this process is killed */
};

/** Starts the command; signals that others send to this process are handed on
 *  to it from now on. -1: it failed, and the user has been told. */
pid_t run_start(const struct run *run);

/** Waits for it: its exit status, or 128 and the signal that ended it; 126 or
 *  127 if it could not be started, as shells do. */
int run_wait(pid_t child);

/** For main, before anything else: writing to a closed pipe fails from now on
 *  and does not end the process, but commands are run with what there was. */
void ignore_broken_pipes(void);

#endif
