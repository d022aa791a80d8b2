/*
 * commands.h - the subcommands, each in a file of its name.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TOOL_COMMANDS_H
#define MAPSEG_TOOL_COMMANDS_H

/* They get the arguments from the subcommand's name on, and return the exit
 * status. */
int command_create(int argc, char **argv);
int command_write(int argc, char **argv);
int command_read(int argc, char **argv);
int command_rm(int argc, char **argv);
int command_reclaim(int argc, char **argv);
int command_repair(int argc, char **argv);
int command_lock(int argc, char **argv);
int command_show(int argc, char **argv);
int command_ls(int argc, char **argv);
int command_exec(int argc, char **argv);
int command_demo(int argc, char **argv);
/** The processes that demo starts; not for users. */
int command_demo_role(int argc, char **argv);

#endif
