/*
 * rm.c - mapseg rm: removes segments, also while they are used.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"

#include <getopt.h>
#include <stdlib.h>

static const char usage[] =
    "Usage: mapseg rm [OPTION...] KEY...\n"
    "\n"
    "Removes segments. Processes that are attached keep the memory until they leave.\n"
    "\n"
    "Options:\n" DIRECTORY_HELP GROUP_HELP PLAIN_HELP COMMON_HELP;

static const struct option options[] = {
    {"allow-shared-directory", no_argument, NULL, OPTION_SHARED_DIRECTORY},
    {"allow-group", required_argument, NULL, OPTION_ALLOW_GROUP},
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static int
remove_one(const char *key)
{
    mapseg *seg = open_key(key);
    if (seg == NULL)
        return EXIT_FAILURE;
    int status = EXIT_SUCCESS;
    mapseg_options how = attach_options();
    if (mapseg_remove_with(seg, &how) != MAPSEG_OK)
        status = segment_failure(seg);
    mapseg_free(seg);
    return status;
}

int
command_rm(int argc, char **argv)
{
    int option;
    while ((option = next_option(argc, argv, ":hV", options)) != -1)
        common_option(option, usage);
    int status = remove_one(take_argument(argc, argv, "KEY"));
    for (; optind < argc; optind++)
        if (remove_one(argv[optind]) != EXIT_SUCCESS)
            status = EXIT_FAILURE;
    return status;
}
