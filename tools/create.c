/*
 * create.c - mapseg create: makes a segment that stays.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "Usage: mapseg create [OPTION...] KEY --size SIZE\n"
    "\n"
    "Makes a segment that stays until it is removed, and prints its native key.\n"
    "\n"
    "Options:\n"
    "      --size SIZE          bytes of data; K, M and G stand for powers of 1024\n"
    "      --mode MODE          permission bits in octal (default: 0600)\n"
    "      --label LABEL        a name for people (default: KEY, if it is a plain key)\n"
    "      --group GROUP        give it to GROUP, for its members to read and write\n"
    "                           (mode 0660), and accept a directory that is GROUP's\n"
    "      --reclaim            replace a segment of that name that no process uses\n"
    "      --replace            replace it also if processes use it; they keep the old one\n"
    "      --lazy               do not reserve the memory now\n" DIRECTORY_HELP PLAIN_HELP
        COMMON_HELP;

static const struct option options[] = {
    {"size", required_argument, NULL, 's'},
    {"mode", required_argument, NULL, 'm'},
    {"label", required_argument, NULL, 'L'},
    {"group", required_argument, NULL, 'g'},
    {"reclaim", no_argument, NULL, 'r'},
    {"replace", no_argument, NULL, 'R'},
    {"lazy", no_argument, NULL, 'l'},
    {"allow-shared-directory", no_argument, NULL, OPTION_SHARED_DIRECTORY},
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* A segment that the user is not told of must not stay. */
static int
tell_key(mapseg *seg)
{
    if (print_key(seg))
        return EXIT_SUCCESS;
    int reason = errno;
    char key[MSI_PRINTABLE_KEY_BYTES];
    return failure("cannot write to standard output: %s; the segment %s %s", strerror(reason),
                   key_in_words(seg, key),
                   remove_own(seg) ? "was removed again" : "was made and is still there");
}

static int
create(const char *key, size_t size, const mapseg_options *how)
{
    mapseg *seg = open_key(key);
    if (seg == NULL)
        return EXIT_FAILURE;
    /* Nothing of it would be left when this command ends. */
    if (strncmp(mapseg_native_key(seg), "memfd:", strlen("memfd:")) == 0)
        usage_error("cannot create \"%s\": a memory file ends with this command; use mapseg exec, "
                    "which hands it on",
                    mapseg_native_key(seg));
    int status = EXIT_SUCCESS;
    if (mapseg_create_with(seg, size, MAPSEG_READ_ONLY, how) != MAPSEG_OK)
        status = segment_failure(seg);
    else
        status = tell_key(seg);
    mapseg_free(seg);
    return status;
}

int
command_create(int argc, char **argv)
{
    mapseg_options how = MAPSEG_OPTIONS_INIT;
    how.flags = MAPSEG_PERSISTENT;
    const char *size = NULL;
    int option;
    while ((option = next_option(argc, argv, ":hV", options)) != -1) {
        switch (option) {
        case 's':
            size = optarg;
            break;
        case 'm':
            how.mode = parse_mode("--mode", optarg);
            break;
        case 'L':
            how.label = optarg;
            break;
        case 'g':
            how.group = parse_group("--group", optarg);
            how.flags |= MAPSEG_ALLOW_GROUP;
            break;
        case 'r':
            how.flags |= MAPSEG_RECLAIM;
            break;
        case 'R':
            how.flags |= MAPSEG_REPLACE;
            break;
        case 'l':
            how.flags |= MAPSEG_LAZY;
            break;
        default:
            common_option(option, usage);
        }
    }
    const char *key = take_argument(argc, argv, "KEY");
    no_more_arguments(argc, argv);
    if (size == NULL)
        usage_error("--size is missing");
    how.flags |= attach_options().flags;
    return create(key, parse_size("--size", size), &how);
}
