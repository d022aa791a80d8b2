/*
 * reclaim.c - mapseg reclaim: removes segments that no process uses.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "Usage: mapseg reclaim [OPTION...] [KEY...]\n"
    "\n"
    "Removes segments that no process is attached to, as the kernel proves, and\n"
    "prints their native keys. Without KEY: all that crashed programs have left, or\n"
    "users who might not remove them, but none that were made to stay.\n"
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

/* Says which segment is gone. False: that could not be told, so that no more
 * should go. */
static bool
tell_key(const mapseg *seg)
{
    if (print_key(seg))
        return true;
    int reason = errno;
    char key[MSI_PRINTABLE_KEY_BYTES];
    failure("cannot write to standard output: %s; %s was removed, and nothing after it",
            strerror(reason), key_in_words(seg, key));
    return false;
}

/* What came of one segment. */
enum outcome { DONE, FAILED, UNTOLD };

static enum outcome
reclaim_one(const char *key)
{
    mapseg *seg = open_key(key);
    if (seg == NULL)
        return FAILED;
    enum outcome outcome = DONE;
    mapseg_options how = attach_options();
    if (mapseg_reclaim_with(seg, &how) != MAPSEG_OK) {
        segment_failure(seg);
        outcome = FAILED;
    } else if (!tell_key(seg)) {
        outcome = UNTOLD;
    }
    mapseg_free(seg);
    return outcome;
}

/* The segment of the list and no other: the list may be old by now, and the name
 * taken by a segment that is meant to stay. A file under construction may have no
 * header yet, and so no id; its name is random. */
static mapseg_options
only_listed(const mapseg_info *information)
{
    static const uint8_t none[sizeof information->id];
    mapseg_options how = attach_options();
    how.flags |= MAPSEG_STALE_ONLY;
    if (memcmp(information->id, none, sizeof none) != 0)
        how.flags |= MAPSEG_REQUIRE_ID;
    memcpy(how.id, information->id, sizeof how.id);
    return how;
}

static enum outcome
reclaim_listed(const mapseg_info *information)
{
    mapseg *seg = mapseg_new();
    if (seg == NULL || mapseg_set_native_key(seg, information->native_key) != MAPSEG_OK) {
        mapseg_free(seg);
        failure("there is no memory left");
        return FAILED;
    }
    enum outcome outcome = DONE;
    const mapseg_options how = only_listed(information);
    mapseg_result result = mapseg_reclaim_with(seg, &how);
    /* It is in use again, gone, or another one by now. */
    bool passed_over =
        result == MAPSEG_IN_USE || result == MAPSEG_NOT_FOUND || result == MAPSEG_MEANT_TO_STAY;
    if (result == MAPSEG_OK && !tell_key(seg)) {
        outcome = UNTOLD;
    } else if (result != MAPSEG_OK && !passed_over) {
        segment_failure(seg);
        outcome = FAILED;
    }
    mapseg_free(seg);
    return outcome;
}

static int
reclaim_all(void)
{
    mapseg_list *list;
    mapseg_result result = mapseg_list_new(&list);
    if (result != MAPSEG_OK)
        return failure("cannot list the segments: %s", mapseg_result_text(result));
    enum outcome worst = DONE;
    for (size_t i = 0; worst != UNTOLD && i < mapseg_list_count(list); i++) {
        const mapseg_info *information = mapseg_list_get(list, i);
        bool is_unused =
            information->use == MAPSEG_USE_STALE || information->use == MAPSEG_USE_LEFT;
        enum outcome outcome = is_unused ? reclaim_listed(information) : DONE;
        worst = outcome > worst ? outcome : worst;
    }
    mapseg_list_free(list);
    return worst == DONE ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
command_reclaim(int argc, char **argv)
{
    int option;
    while ((option = next_option(argc, argv, ":hV", options)) != -1)
        common_option(option, usage);
    if (optind == argc)
        return reclaim_all();
    enum outcome worst = DONE;
    for (; worst != UNTOLD && optind < argc; optind++) {
        enum outcome outcome = reclaim_one(argv[optind]);
        worst = outcome > worst ? outcome : worst;
    }
    return worst == DONE ? EXIT_SUCCESS : EXIT_FAILURE;
}
