/*
 * tool_main.h - comes first in the files of the command that fuzz_command runs:
 * their main has another name, since the driver has one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_FUZZ_TOOL_MAIN_H
#define TESTS_FUZZ_TOOL_MAIN_H

int command_main(int argc, char **argv);
#define main command_main

#endif
