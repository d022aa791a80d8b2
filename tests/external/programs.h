/*
 * programs.h - programs without mapseg that are told what to do, line by line.
 *
 * Each is a command; the environment's PEERS has them, one a line. They obey:
 *
 *     posix /NAME    which segment and semaphore
 *     create BYTES   attach   detach   lock   unlock   end
 *     write TEXT     read     size     increment TIMES (the number at byte NUMBER_AT, locking for
 *                                      each)
 *
 * and answer each with a line: "ok", what was asked for, or "error" and a reason. At the end of
 * their input they end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_EXTERNAL_PROGRAMS_H
#define TESTS_EXTERNAL_PROGRAMS_H

#include <stdio.h>
#include <sys/types.h>

/** Where the number is that they increment. */
#define NUMBER_AT 1024

struct program {
    const char *command;
    pid_t pid;
    FILE *words;
    FILE *answers;
};

/** How many the environment has, and the command of one of them. */
int count_programs(void);
const char *command_of(int number);

/** Starts it, and says which segment it is about. */
struct program start_program(const char *command, const char *name);

/** Says a line, and does not wait for the answer. */
void say_words(const struct program *program, const char *words);
/** The next answer, which stays until the next call. */
const char *hear_answer(const struct program *program, const char *words);
/** The next answer is that one. */
void need_answer(const struct program *program, const char *words, const char *expected);
/** Says a line, and the answer is that one. */
void need_obeyed(const struct program *program, const char *words, const char *expected);

/** It sleeps, and has not answered. */
void need_waiting(const struct program *program);

/** It leaves, and ends by itself. */
void end_program(struct program *program);
void kill_program(struct program *program);

#endif
