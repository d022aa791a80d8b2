/*
 * write.c - mapseg write: puts a file into a segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"
#include "transfer.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "Usage: mapseg write [OPTION...] KEY [FILE]\n"
    "\n"
    "Puts FILE, or standard input, at the beginning of a segment, under its lock.\n"
    "What does not fit is refused; behind a shorter FILE the segment stays as it was.\n"
    "\n"
    "Options:\n"
    "      --create             make the segment, as large as FILE, if there is none\n"
    "      --consistent         if an owner of the lock died, take the data as good\n"
    "                           once FILE is in it\n" WAIT_HELP TRUST_HELP PLAIN_HELP COMMON_HELP;

enum { OPTION_CREATE = OPTION_OWN, OPTION_CONSISTENT };

static const struct option options[] = {
    {"create", no_argument, NULL, OPTION_CREATE},
    {"consistent", no_argument, NULL, OPTION_CONSISTENT},
    {"wait", required_argument, NULL, OPTION_WAIT},
    {"allow-other-owner", no_argument, NULL, OPTION_OTHER_OWNER},
    {"allow-shared-write", no_argument, NULL, OPTION_SHARED_WRITE},
    {"allow-hard-links", no_argument, NULL, OPTION_HARD_LINKS},
    {"allow-shared-directory", no_argument, NULL, OPTION_SHARED_DIRECTORY},
    {"allow-group", required_argument, NULL, OPTION_ALLOW_GROUP},
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

struct request {
    const char *key;
    const char *path;
    bool create;
    bool consistent; /* what the write leaves is good, also after an owner's death */
};

/* Attaches, and makes the size of the input known: reading it may take long,
 * so it is done before the lock is taken, and only after it is sure that
 * there is a segment to put it into. */
static bool
prepare(mapseg *seg, struct input *input, bool create, bool *created)
{
    mapseg_options visit = visit_options(), make = attach_options();
    make.flags |= MAPSEG_PERSISTENT;
    if (!create && mapseg_attach_with(seg, MAPSEG_READ_WRITE, &visit) != MAPSEG_OK) {
        segment_failure(seg);
        return false;
    }
    if (!input_measure(input, create ? SIZE_MAX : mapseg_size(seg)))
        return false;
    if (create &&
        attach_or_create(seg, input->bytes, MAPSEG_READ_WRITE, &make, created) != MAPSEG_OK) {
        segment_failure(seg);
        return false;
    }
    if (input->bytes > mapseg_size(seg)) {
        char key[MSI_PRINTABLE_KEY_BYTES];
        failure("cannot write %s: it has room for %zu bytes, and %s is larger; nothing was changed",
                key_in_words(seg, key), mapseg_size(seg), input->name);
        return false;
    }
    return true;
}

/* Within a change, under the lock. */
static bool
replace_content(mapseg *seg, struct input *input, bool owner_died, bool created)
{
    char key[MSI_PRINTABLE_KEY_BYTES], consequence[MSI_PRINTABLE_KEY_BYTES + 100];
    snprintf(consequence, sizeof consequence, "%s is half written now%s; write all of it again",
             key_in_words(seg, key), is_own_kind(seg) ? ", and each reader and owner is told" : "");
    /* What was created is removed again. */
    if (!input_copy(input, mapseg_data(seg), created ? NULL : consequence))
        return false;
    if (!owner_died || mapseg_consistent(seg) == MAPSEG_OK)
        return true;
    segment_failure(seg);
    return false;
}

static void
tell_of_repair(const mapseg *seg, bool all_new)
{
    char key[MSI_PRINTABLE_KEY_BYTES];
    note("an earlier owner of the lock of %s died while it held it; the segment is declared good "
         "again, since %s",
         key_in_words(seg, key), all_new ? "all of its content is new" : "--consistent says so");
}

/* What has no header has no versions: the lock alone keeps others away. */
static int
change_unversioned(mapseg *seg, struct input *input, bool owner_died, bool created)
{
    bool good = replace_content(seg, input, owner_died, created);
    if (!end_access(seg) || !good)
        return EXIT_FAILURE;
    if (mapseg_unlock(seg) != MAPSEG_OK)
        return segment_failure(seg);
    if (owner_died)
        tell_of_repair(seg, input->bytes == mapseg_size(seg));
    return EXIT_SUCCESS;
}

static int
change(mapseg *seg, struct input *input, bool owner_died, bool created)
{
    if (!is_own_kind(seg))
        return change_unversioned(seg, input, owner_died, created);
    if (mapseg_write_begin(seg) != MAPSEG_ALREADY_LOCKED) {
        segment_failure(seg);
        mapseg_unlock(seg);
        return EXIT_FAILURE;
    }
    bool good = replace_content(seg, input, owner_died, created);
    /* In this order: what is lost holds no lock that could be released. */
    if (!end_access(seg))
        return EXIT_FAILURE;
    /* Half of a change must not pass for a version: it is not ended, so that the next owner
     * is told that its writer died. */
    if (!good)
        return EXIT_FAILURE;
    if (mapseg_write_end(seg) != MAPSEG_OK)
        return segment_failure(seg);
    if (owner_died)
        tell_of_repair(seg, input->bytes == mapseg_size(seg));
    return EXIT_SUCCESS;
}

/* The lock comes before the change: after an owner's death a change that is not
 * made must leave the version as it was, or readers would lose what they had. */
static int
write_locked(mapseg *seg, struct input *input, const struct request *request, bool created)
{
    mapseg_result locked = mapseg_lock(seg);
    if (!mapseg_result_owes_unlock(locked))
        return segment_failure(seg);
    bool owner_died = locked == MAPSEG_OWNER_DIED;
    if (!owner_died || request->consistent || input->bytes == mapseg_size(seg))
        return change(seg, input, owner_died, created);
    char key[MSI_PRINTABLE_KEY_BYTES];
    mapseg_unlock(seg);
    failure("an earlier owner of the lock of %s died while it held it, and a part of the content "
            "would not make it good again; nothing was changed: write all %zu bytes, or declare "
            "it good with --consistent",
            key_in_words(seg, key), mapseg_size(seg));
    return EXIT_OWNER_DIED;
}

static int
write_segment(mapseg *seg, const struct request *request)
{
    struct input input;
    if (!input_open(&input, request->path))
        return EXIT_FAILURE;
    bool created = false;
    int status = EXIT_FAILURE;
    if (prepare(seg, &input, request->create, &created) && begin_access(seg))
        status = write_locked(seg, &input, request, created);
    /* A segment that holds nothing yet is of no use. */
    if (status != EXIT_SUCCESS && created)
        remove_own(seg);
    input_close(&input);
    return status;
}

int
command_write(int argc, char **argv)
{
    struct request request = {NULL, NULL, false, false};
    int option;
    while ((option = next_option(argc, argv, ":hV", options)) != -1) {
        switch (option) {
        case OPTION_CREATE:
            request.create = true;
            break;
        case OPTION_CONSISTENT:
            request.consistent = true;
            break;
        default:
            common_option(option, usage);
        }
    }
    request.key = take_argument(argc, argv, "KEY");
    request.path = optind < argc ? argv[optind++] : NULL;
    no_more_arguments(argc, argv);

    mapseg *seg = open_key(request.key);
    if (seg == NULL)
        return EXIT_FAILURE;
    int status = write_segment(seg, &request);
    mapseg_free(seg);
    return status;
}
