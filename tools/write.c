/*
 * write.c - mapseg write: puts a file into a segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"
#include "transfer.h"

#include <getopt.h>
#include <stdlib.h>

static const char usage[] =
    "Usage: mapseg write [OPTION...] KEY [FILE]\n"
    "\n"
    "Puts FILE, or standard input, at the beginning of a segment, under its lock.\n"
    "What does not fit is refused; behind a shorter FILE the segment stays as it was.\n"
    "\n"
    "Options:\n"
    "      --create             make the segment, as large as FILE, if there is none\n" TRUST_HELP
        PLAIN_HELP COMMON_HELP;

static const struct option options[] = {
    {"create", no_argument, NULL, 'c'},
    {"allow-other-owner", no_argument, NULL, OPTION_OTHER_OWNER},
    {"allow-shared-write", no_argument, NULL, OPTION_SHARED_WRITE},
    {"allow-hard-links", no_argument, NULL, OPTION_HARD_LINKS},
    {"allow-shared-directory", no_argument, NULL, OPTION_SHARED_DIRECTORY},
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* Attaches, and makes the size of the input known: reading it may take long,
 * so it is done before the lock is taken, and only after it is sure that
 * there is a segment to put it into. */
static bool
prepare(mapseg *seg, struct input *input, bool create, bool *created)
{
    mapseg_options how = attach_options();
    if (!create && mapseg_attach_with(seg, MAPSEG_READ_WRITE, &how) != MAPSEG_OK) {
        segment_failure(seg);
        return false;
    }
    if (!input_measure(input, create ? SIZE_MAX : mapseg_size(seg)))
        return false;
    if (create && attach_or_create(seg, input->bytes, MAPSEG_READ_WRITE, MAPSEG_PERSISTENT,
                                   created) != MAPSEG_OK) {
        segment_failure(seg);
        return false;
    }
    if (input->bytes > mapseg_size(seg)) {
        failure("%s is larger than %s, which has room for %zu bytes; nothing was changed",
                input->name, mapseg_native_key(seg), mapseg_size(seg));
        return false;
    }
    return true;
}

/* Under the lock. After an owner's death the content is good again only if
 * all of it is new. */
static bool
replace_content(mapseg *seg, struct input *input, bool owner_died)
{
    if (!input_copy(input, mapseg_data(seg)))
        return false;
    if (!owner_died)
        return true;
    if (input->bytes < mapseg_size(seg)) {
        note("an earlier owner of the lock of %s died; what this write left of the old content "
             "may be half written, and the segment stays marked",
             mapseg_native_key(seg));
        return true;
    }
    if (mapseg_consistent(seg) == MAPSEG_OK)
        return true;
    segment_failure(seg);
    return false;
}

static bool
write_locked(mapseg *seg, struct input *input)
{
    mapseg_result locked = mapseg_write_begin(seg);
    if (!mapseg_holds_lock(locked)) {
        segment_failure(seg);
        return false;
    }
    bool good = replace_content(seg, input, locked == MAPSEG_OWNER_DIED);
    /* In this order: what is lost holds no lock that could be released. */
    if (!end_access(seg))
        return false;
    /* Half of it must not pass for a version: who comes next is told. */
    if (!good) {
        mapseg_detach(seg);
        return false;
    }
    if (mapseg_write_end(seg) != MAPSEG_OK) {
        segment_failure(seg);
        return false;
    }
    return good;
}

int
command_write(int argc, char **argv)
{
    bool create = false;
    int option;
    while ((option = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
        if (option == 'c')
            create = true;
        else
            common_option(option, usage);
    }
    const char *key = take_argument(argc, argv, "KEY");
    const char *path = optind < argc ? argv[optind++] : NULL;
    no_more_arguments(argc, argv);

    mapseg *seg = open_key(key);
    if (!seg)
        return EXIT_FAILURE;
    struct input input;
    bool created = false;
    bool good = input_open(&input, path);
    if (good) {
        good = prepare(seg, &input, create, &created) && begin_access(seg) &&
               write_locked(seg, &input);
        /* A segment that holds nothing yet is of no use to anybody. */
        if (!good && created)
            mapseg_remove(seg);
        input_close(&input);
    }
    mapseg_free(seg);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
