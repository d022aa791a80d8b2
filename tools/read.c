/*
 * read.c - mapseg read: gets the content of a segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "commands.h"
#include "common.h"
#include "transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "Usage: mapseg read [OPTION...] KEY [FILE]\n"
    "\n"
    "Copies a segment's content to FILE, or to standard output, under its lock where\n"
    "this user may take it.\n"
    "\n"
    "Options:\n"
    "      --offset BYTES       leave out the first BYTES (K, M, G: powers of 1024)\n"
    "      --size BYTES         copy only so many\n" WAIT_HELP TRUST_HELP PLAIN_HELP COMMON_HELP;

static const struct option options[] = {
    {"offset", required_argument, NULL, 'o'},
    {"size", required_argument, NULL, 's'},
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

/* Which bytes; all that follow the offset if no size was given. */
struct range {
    size_t offset;
    size_t size;
    bool to_the_end;
};

struct output {
    const char *name;
    int descriptor;
    bool is_file; /* writing to it never waits for another program */
};

static bool
fit_range(const mapseg *seg, struct range *range)
{
    char key[MSI_PRINTABLE_KEY_BYTES];
    size_t all = mapseg_size(seg);
    if (range->offset > all || (!range->to_the_end && range->size > all - range->offset)) {
        failure("cannot read %s: the range ends behind its %zu bytes; give a smaller --offset or "
                "--size",
                key_in_words(seg, key), all);
        return false;
    }
    if (range->to_the_end)
        range->size = all - range->offset;
    return true;
}

static bool
open_output(struct output *output, const char *path)
{
    *output = (struct output){"standard output", STDOUT_FILENO, false};
    if (path != NULL && strcmp(path, "-") != 0) {
        output->name = path;
        output->descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    }
    struct stat status;
    if (output->descriptor < 0 || fstat(output->descriptor, &status) != 0) {
        failure("cannot open %s: %s", output->name, strerror(errno));
        return false;
    }
    output->is_file = S_ISREG(status.st_mode);
    return true;
}

static bool
close_output(struct output *output)
{
    if (output->descriptor == STDOUT_FILENO || close(output->descriptor) == 0)
        return true;
    failure("cannot write to %s: %s", output->name, strerror(errno));
    return false;
}

static bool
put(const struct output *output, const void *from, size_t bytes)
{
    if (write_all(output->descriptor, from, bytes, "reading"))
        return true;
    failure("cannot write to %s: %s", output->name, strerror(errno));
    return false;
}

/* The exit status for a copy that was made, or not, of data whose lock was got
 * with that result. */
static int
tell_of_lock(const mapseg *seg, mapseg_result locked, bool good)
{
    if (!good)
        return EXIT_FAILURE;
    if (locked != MAPSEG_OWNER_DIED)
        return EXIT_SUCCESS;
    char key[MSI_PRINTABLE_KEY_BYTES];
    note("an earlier owner of the lock of %s died while it held it; the content that was copied "
         "may be half written",
         key_in_words(seg, key));
    return EXIT_OWNER_DIED;
}

/* Holding the lock while another program takes its time to read would stop all other
 * owners: what does not go to a file is copied first. */
static bool
copy_locked(mapseg *seg, const struct range *range, const struct output *output)
{
    const unsigned char *from = (const unsigned char *)mapseg_const_data(seg) + range->offset;
    unsigned char *copy = output->is_file ? NULL : malloc(range->size + 1);
    bool good = true;
    if (copy != NULL)
        memcpy(copy, from, range->size);
    else
        good = put(output, from, range->size);
    mapseg_unlock(seg);
    if (copy != NULL)
        good = put(output, copy, range->size);
    free(copy);
    return good;
}

/* Where the lock cannot be taken: what a writer has published. */
static int
copy_version(mapseg *seg, const struct range *range, const struct output *output)
{
    unsigned char *copy = malloc(range->size + 1);
    if (copy == NULL)
        return failure("there is no memory left for a copy");
    mapseg_result result = mapseg_read(seg, range->offset, copy, range->size, NULL);
    bool good = result == MAPSEG_OK || result == MAPSEG_OWNER_DIED;
    if (result == MAPSEG_OWNER_DIED)
        memcpy(copy, (const unsigned char *)mapseg_const_data(seg) + range->offset, range->size);
    if (good)
        good = put(output, copy, range->size);
    else
        segment_failure(seg);
    free(copy);
    return tell_of_lock(seg, result, good);
}

static int
copy_out(mapseg *seg, const struct range *range, const struct output *output)
{
    mapseg_result locked = mapseg_lock(seg);
    if (mapseg_result_owes_unlock(locked))
        return tell_of_lock(seg, locked, copy_locked(seg, range, output));
    return copy_version(seg, range, output);
}

static int
read_segment(mapseg *seg, struct range *range, const char *path)
{
    mapseg_options how = visit_options();
    if (mapseg_attach_with(seg, MAPSEG_READ_ONLY, &how) != MAPSEG_OK)
        return segment_failure(seg);
    struct output output;
    if (!fit_range(seg, range) || !open_output(&output, path))
        return EXIT_FAILURE;
    int status = EXIT_FAILURE;
    if (begin_access(seg)) {
        status = copy_out(seg, range, &output);
        if (!end_access(seg))
            status = EXIT_FAILURE;
    }
    return close_output(&output) ? status : EXIT_FAILURE;
}

int
command_read(int argc, char **argv)
{
    struct range range = {0, 0, true};
    int option;
    while ((option = next_option(argc, argv, ":hV", options)) != -1) {
        switch (option) {
        case 'o':
            range.offset = parse_size("--offset", optarg);
            break;
        case 's':
            range.size = parse_size("--size", optarg);
            range.to_the_end = false;
            break;
        default:
            common_option(option, usage);
        }
    }
    const char *key = take_argument(argc, argv, "KEY");
    const char *path = optind < argc ? argv[optind++] : NULL;
    no_more_arguments(argc, argv);

    mapseg *seg = open_key(key);
    if (seg == NULL)
        return EXIT_FAILURE;
    int status = read_segment(seg, &range, path);
    mapseg_free(seg);
    return status;
}
