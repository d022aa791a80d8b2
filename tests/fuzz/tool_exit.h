/*
 * tool_exit.h - comes first in the files of the command that fuzz_tool runs in
 * its own process: where they would end it they return to fuzz_tool, and their
 * messages go to it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_FUZZ_TOOL_EXIT_H
#define TESTS_FUZZ_TOOL_EXIT_H

#include <stdio.h>
#include <stdlib.h>

_Noreturn void tool_exit(int status);
extern FILE *tool_messages;

#undef stderr
#define stderr tool_messages
#define exit tool_exit

#endif
