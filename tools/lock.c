/*
 * lock.c - mapseg lock: runs a command while holding a segment's lock.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"
#include "run.h"

#include <getopt.h>
#include <stdlib.h>

static const char usage[] =
    "Usage: mapseg lock [OPTION...] KEY [OPTION...] [--] COMMAND [ARGUMENT...]\n"
    "\n"
    "Waits for the segment's lock, runs COMMAND, releases the lock, and leaves with\n"
    "COMMAND's status. If there is no segment, a small one is made for the while.\n"
    "\n"
    "Options:\n"
    "  -w, --timeout SECONDS    wait no longer, fractions allowed\n"
    "  -n, --no-wait            do not wait at all\n"
    "  -E, --conflict-exit-code NUMBER\n"
    "                           status if the lock was not to be had (default: 1)\n"
    "      --consistent         if an owner died and COMMAND succeeds, take the data\n"
    "                           as repaired\n" TRUST_HELP PLAIN_HELP COMMON_HELP;

enum { OPTION_CONSISTENT = OPTION_OWN };

static const struct option options[] = {
    {"timeout", required_argument, NULL, 'w'},
    {"wait", required_argument, NULL, 'w'},
    {"no-wait", no_argument, NULL, 'n'},
    {"nonblock", no_argument, NULL, 'n'},
    {"conflict-exit-code", required_argument, NULL, 'E'},
    {"consistent", no_argument, NULL, OPTION_CONSISTENT},
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

/* The user tag of the segments that are made here, which have no data of their
 * own: "lock". */
#define OWN_TAG UINT64_C(0x6c6f636b)

struct request {
    const char *key;
    char *const *command;
    int64_t timeout_ns;
    int conflict_status;
    bool consistent;
};

/* Options end at the first argument that is none, because what follows the
 * key may be the command with options of its own. */
static void
parse_options(int argc, char **argv, struct request *request)
{
    int option;
    while ((option = next_option(argc, argv, "+:w:nE:hV", options)) != -1) {
        switch (option) {
        case 'w':
            request->timeout_ns = parse_seconds("--timeout", optarg);
            break;
        case 'n':
            request->timeout_ns = 0;
            break;
        case 'E':
            request->conflict_status = parse_number("--conflict-exit-code", optarg, 0, 255);
            break;
        case OPTION_CONSISTENT:
            request->consistent = true;
            break;
        default:
            common_option(option, usage);
        }
    }
}

static mapseg_result
take_lock(mapseg *seg, int64_t timeout_ns)
{
    return timeout_ns == 0 ? mapseg_try_lock(seg) : mapseg_lock_for(seg, timeout_ns);
}

/* Runs the command; *marked: an owner died, and the data is not declared good. */
static int
run_locked(mapseg *seg, const struct request *request, bool owner_died, bool *marked)
{
    char key[MSI_PRINTABLE_KEY_BYTES];
    if (owner_died)
        note("an earlier owner of the lock of %s died while it held it; what the lock protects may "
             "be half done, and %s",
             key_in_words(seg, key),
             request->consistent ? "is taken as repaired if the command succeeds"
                                 : "the next owner is told too, unless --consistent is given");
    struct run run = {
        .arguments = request->command,
        .variable = "MAPSEG_OWNER_DIED",
        .value = owner_died ? "1" : NULL,
        .descriptor = -1,
        .dies_with_us = true,
    };
    *marked = owner_died;
    pid_t child = run_start(&run);
    if (child < 0)
        return EXIT_FAILURE;
    int status = run_wait(child);
    if (!owner_died || !request->consistent || status != EXIT_SUCCESS)
        return status;
    if (mapseg_consistent(seg) != MAPSEG_OK)
        return segment_failure(seg);
    *marked = false;
    return status;
}

/* Leaves the segment. With the mark in it it stays also where this was the last
 * process to use it, or the next owner would not be told. */
static void
leave(mapseg *seg, bool marked)
{
    mapseg *visitor = marked ? mapseg_new() : NULL;
    mapseg_options visit = visit_options();
    /* Where the visit fails the segment goes, as it would without the mark. */
    bool visits = visitor != NULL &&
                  mapseg_set_native_key(visitor, mapseg_native_key(seg)) == MAPSEG_OK &&
                  mapseg_attach_with(visitor, MAPSEG_READ_ONLY, &visit) == MAPSEG_OK;
    mapseg_free(seg);
    if (visits)
        mapseg_detach(visitor);
    mapseg_free(visitor);
}

static int
lock_and_run(mapseg *seg, const struct request *request, bool *marked)
{
    bool created;
    mapseg_options make = attach_options();
    make.user_tag = OWN_TAG;
    if (attach_or_create(seg, 1, MAPSEG_READ_ONLY, &make, &created) != MAPSEG_OK)
        return segment_failure(seg);
    if (!begin_access(seg))
        return EXIT_FAILURE;
    mapseg_result locked = take_lock(seg, request->timeout_ns);
    if (!mapseg_result_owes_unlock(locked)) {
        segment_failure(seg);
        bool conflict = locked == MAPSEG_TIMED_OUT || locked == MAPSEG_WOULD_BLOCK;
        return conflict ? request->conflict_status : EXIT_FAILURE;
    }
    int status = run_locked(seg, request, locked == MAPSEG_OWNER_DIED, marked);
    /* In this order: what is lost holds no lock that could be released. */
    if (!end_access(seg))
        return EXIT_FAILURE;
    return mapseg_unlock(seg) == MAPSEG_OK ? status : segment_failure(seg);
}

int
command_lock(int argc, char **argv)
{
    struct request request = {.timeout_ns = -1, .conflict_status = EXIT_FAILURE};
    parse_options(argc, argv, &request);
    request.key = take_argument(argc, argv, "KEY");
    parse_options(argc, argv, &request);
    take_argument(argc, argv, "COMMAND");
    request.command = &argv[optind - 1];

    mapseg *seg = open_key(request.key);
    if (seg == NULL)
        return EXIT_FAILURE;
    bool marked = false;
    int status = lock_and_run(seg, &request, &marked);
    leave(seg, marked);
    return status;
}
