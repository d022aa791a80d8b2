/*
 * repair.c - mapseg repair: frees the lock of a segment of another program's kind.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "Usage: mapseg repair [OPTION...] KEY...\n"
    "\n"
    "Frees the lock of a segment that mapseg shares with other programs (posix:),\n"
    "if its owner used mapseg and is dead. Says what it found.\n"
    "\n"
    "Options:\n"
    "      --force              also if the owner left no mark, as programs without\n"
    "                           mapseg do: make sure that it is dead\n" PLAIN_HELP COMMON_HELP;

enum { OPTION_FORCE = OPTION_OWN };

static const struct option options[] = {
    {"force", no_argument, NULL, OPTION_FORCE},
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* What the lock was before; UNKNOWN also where the segment is gone and the lock is not. */
static mapseg_lock_state
look(mapseg *seg)
{
    mapseg_info *information;
    if (mapseg_info_new(seg, &information) != MAPSEG_OK)
        return MAPSEG_LOCK_STATE_UNKNOWN;
    mapseg_lock_state state = information->lock;
    mapseg_info_free(information);
    return state;
}

static void
tell(const mapseg *seg, mapseg_lock_state before)
{
    put_text(mapseg_native_key(seg), MSI_PRINTABLE_TEXT);
    if (before == MAPSEG_LOCK_STATE_OWNER_DIED)
        puts(": its owner used mapseg and is dead; the lock is free, and the next owner that uses "
             "mapseg is told");
    else
        puts(": its owner left no mark; the lock was freed by force, and the next owner that uses "
             "mapseg is told");
}

static int
repair_one(const char *key, bool force)
{
    mapseg *seg = open_key(key);
    if (seg == NULL)
        return EXIT_FAILURE;
    int status = EXIT_SUCCESS;
    mapseg_lock_state before = look(seg);
    mapseg_result result = mapseg_repair(seg, force);
    if (result == MAPSEG_OK)
        tell(seg, before);
    else if (result == MAPSEG_NOT_LOCKED) {
        put_text(mapseg_native_key(seg), MSI_PRINTABLE_TEXT);
        puts(": the lock is free; nothing was changed");
    } else
        status = segment_failure(seg);
    mapseg_free(seg);
    return status;
}

int
command_repair(int argc, char **argv)
{
    bool force = false;
    int option;
    while ((option = next_option(argc, argv, ":hV", options)) != -1) {
        if (option == OPTION_FORCE)
            force = true;
        else
            common_option(option, usage);
    }
    int status = repair_one(take_argument(argc, argv, "KEY"), force);
    for (; optind < argc; optind++)
        if (repair_one(argv[optind], force) != EXIT_SUCCESS)
            status = EXIT_FAILURE;
    return status;
}
