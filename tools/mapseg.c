/*
 * mapseg.c - the mapseg command: finds the subcommand.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"
#include "run.h"

#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "Usage: mapseg [OPTION...] COMMAND [ARGUMENT...]\n"
    "\n"
    "Makes, fills, reads, locks and lists segments: memory that processes share.\n"
    "\n"
    "Commands:\n"
    "  create   make a segment that stays until it is removed\n"
    "  write    put a file or standard input into a segment\n"
    "  read     get the content of a segment\n"
    "  rm       remove segments, also while they are used\n"
    "  reclaim  remove segments that no process uses\n"
    "  repair   free the lock of another program's kind of segment\n"
    "  lock     run a command while holding a segment's lock\n"
    "  show     tell all about one segment\n"
    "  ls       list the segments there are\n"
    "  exec     run a command with a sealed segment of its own\n"
    "  demo     show with real processes what segments do\n"
    "\n"
    "Options:\n" PLAIN_HELP COMMON_HELP "\n"
    "KEY is any text, or says exactly which file: shm:NAME, runtime:NAME, file:/PATH,\n"
    "memfd:NUMBER; or of other programs posix:/NAME, raw:/PATH.\n"
    "See mapseg COMMAND --help and mapseg(1).\n";

struct command {
    const char *name;
    const char *full_name;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"create", "mapseg create", command_create},
    {"write", "mapseg write", command_write},
    {"read", "mapseg read", command_read},
    {"rm", "mapseg rm", command_rm},
    {"reclaim", "mapseg reclaim", command_reclaim},
    {"repair", "mapseg repair", command_repair},
    {"lock", "mapseg lock", command_lock},
    {"show", "mapseg show", command_show},
    {"ls", "mapseg ls", command_ls},
    {"exec", "mapseg exec", command_exec},
    {"demo", "mapseg demo", command_demo},
    {"demo-role", "mapseg demo-role", command_demo_role},
};

static const struct option options[] = {
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* A standard descriptor that is closed would become some segment's or file's,
 * and messages would be written there. One that can only be used the wrong
 * way round fails as a closed one does. */
static void
occupy_standard_descriptors(void)
{
    static const int wrong_way[] = {O_WRONLY, O_RDONLY, O_RDONLY};
    for (int descriptor = 0; descriptor <= STDERR_FILENO; descriptor++)
        if (fcntl(descriptor, F_GETFD) < 0 &&
            open("/dev/null", wrong_way[descriptor] | O_CLOEXEC) != descriptor)
            exit(EXIT_FAILURE);
}

static const struct command *
find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int
main(int argc, char **argv)
{
    occupy_standard_descriptors();
    ignore_broken_pipes();
    /* Characters are the user's; numbers and messages are the same anywhere. */
    setlocale(LC_CTYPE, "");

    char empty[] = "mapseg", *nothing[] = {empty, NULL};
    if (argc < 1) {
        argc = 1;
        argv = nothing;
    }
    argv[0] = empty;
    int option;
    while ((option = next_option(argc, argv, "+:hV", options)) != -1)
        common_option(option, usage);
    const char *name = take_argument(argc, argv, "COMMAND");
    const struct command *command = find_command(name);
    if (command == NULL)
        usage_error("there is no command '%s'; see mapseg --help", name);

    argc -= optind - 1;
    argv += optind - 1;
    command_name = command->full_name;
    optind = 0;
    return finish(command->run(argc, argv));
}
