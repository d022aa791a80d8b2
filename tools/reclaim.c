/*
 * reclaim.c - mapseg reclaim: removes segments that nobody uses.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "Usage: mapseg reclaim [OPTION...] [KEY...]\n"
    "\n"
    "Removes segments that nobody is attached to, as the kernel proves, and prints\n"
    "their native keys. Without KEY: all that crashed programs have left, but none\n"
    "that were made to stay.\n"
    "\n"
    "Options:\n" PLAIN_HELP COMMON_HELP;

static const struct option options[] = {
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static int
reclaim_one(const char *key)
{
    mapseg *seg = open_key(key);
    if (!seg)
        return EXIT_FAILURE;
    int status = EXIT_SUCCESS;
    if (mapseg_reclaim(seg) != MAPSEG_OK)
        status = segment_failure(seg);
    else
        puts(mapseg_native_key(seg));
    mapseg_free(seg);
    return status;
}

/* The list may be old by now: the name may have been taken by a segment that
 * is meant to stay. */
static bool
is_still_stale(mapseg *seg)
{
    mapseg_information *information;
    if (mapseg_info(seg, &information) != MAPSEG_OK)
        return false;
    bool stale = information->use == MAPSEG_USE_STALE;
    mapseg_information_free(information);
    return stale;
}

static int
reclaim_listed(const char *native_key)
{
    mapseg *seg = mapseg_new();
    if (!seg || mapseg_set_native_key(seg, native_key) != MAPSEG_OK) {
        mapseg_free(seg);
        return failure("there is no memory left");
    }
    int status = EXIT_SUCCESS;
    mapseg_result result = is_still_stale(seg) ? mapseg_reclaim(seg) : MAPSEG_IN_USE;
    if (result == MAPSEG_OK)
        puts(native_key);
    else if (result != MAPSEG_IN_USE && result != MAPSEG_NOT_FOUND)
        status = segment_failure(seg);
    mapseg_free(seg);
    return status;
}

static int
reclaim_all(void)
{
    mapseg_list *list;
    mapseg_result result = mapseg_list_new(&list);
    if (result != MAPSEG_OK)
        return failure("cannot list the segments: %s", mapseg_result_name(result));
    int status = EXIT_SUCCESS;
    for (size_t i = 0; i < mapseg_list_count(list); i++) {
        const mapseg_information *information = mapseg_list_get(list, i);
        if (information->use == MAPSEG_USE_STALE &&
            reclaim_listed(information->native_key) != EXIT_SUCCESS)
            status = EXIT_FAILURE;
    }
    mapseg_list_free(list);
    return status;
}

int
command_reclaim(int argc, char **argv)
{
    int option;
    while ((option = getopt_long(argc, argv, "hV", options, NULL)) != -1)
        common_option(option, usage);
    if (optind == argc)
        return reclaim_all();
    int status = EXIT_SUCCESS;
    for (; optind < argc; optind++)
        if (reclaim_one(argv[optind]) != EXIT_SUCCESS)
            status = EXIT_FAILURE;
    return status;
}
