/*
 * exec.c - mapseg exec: runs a command with a sealed segment of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"
#include "run.h"
#include "transfer.h"
#include "mapseg-spawn.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "Usage: mapseg exec [OPTION...] --size SIZE [--] COMMAND [ARGUMENT...]\n"
    "\n"
    "Makes a sealed segment without a name, runs COMMAND, which finds the segment's\n"
    "native key in the environment variable MAPSEG_KEY, and leaves with its status.\n"
    "\n"
    "Options:\n"
    "      --size SIZE          bytes of data; K, M and G stand for powers of 1024\n"
    "      --input FILE         fill the segment from FILE (-: standard input)\n" COMMON_HELP;

static const struct option options[] = {
    {"size", required_argument, NULL, 's'},
    {"input", required_argument, NULL, 'i'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static bool
fill(mapseg *seg, const char *path)
{
    struct input input;
    if (!input_open(&input, path))
        return false;
    bool good = input_measure(&input, mapseg_size(seg));
    if (good && input.bytes > mapseg_size(seg)) {
        failure("%s is larger than the %zu bytes of --size", input.name, mapseg_size(seg));
        good = false;
    }
    good = good && input_copy(&input, mapseg_data(seg), NULL);
    input_close(&input);
    return good;
}

/* Makes and fills the segment: its descriptor for the command, or -1; and what
 * to tell the command in its environment. */
static int
make_segment(size_t size, const char *path, char variable[MAPSEG_ENVIRONMENT_BYTES])
{
    int descriptor = -1;
    mapseg *seg = mapseg_new();
    if (seg == NULL) {
        failure("there is no memory left");
        return -1;
    }
    if (mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK ||
        mapseg_create(seg, size, MAPSEG_READ_WRITE) != MAPSEG_OK)
        segment_failure(seg);
    else if (path == NULL || fill(seg, path)) {
        if (mapseg_spawn_actions(seg, MAPSEG_READ_WRITE, NULL, variable, &descriptor) != MAPSEG_OK)
            segment_failure(seg);
    }
    mapseg_free(seg);
    return descriptor;
}

int
command_exec(int argc, char **argv)
{
    const char *size = NULL, *path = NULL;
    int option;
    while ((option = next_option(argc, argv, "+:hV", options)) != -1) {
        switch (option) {
        case 's':
            size = optarg;
            break;
        case 'i':
            path = optarg;
            break;
        default:
            common_option(option, usage);
        }
    }
    if (size == NULL)
        usage_error("--size is missing");
    size_t bytes = parse_size("--size", size);
    take_argument(argc, argv, "COMMAND");

    char variable[MAPSEG_ENVIRONMENT_BYTES];
    int descriptor = make_segment(bytes, path, variable);
    if (descriptor < 0)
        return EXIT_FAILURE;
    struct run run = {
        .arguments = &argv[optind - 1],
        .variable = "MAPSEG_KEY",
        .value = strchr(variable, '=') + 1,
        .descriptor = descriptor,
    };
    pid_t child = run_start(&run);
    /* The command's presence is to end with the command. */
    close(descriptor);
    return child < 0 ? EXIT_FAILURE : run_wait(child);
}
