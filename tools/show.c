/*
 * show.c - mapseg show: tells all about one segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "columns.h"
#include "commands.h"
#include "common.h"
#include "nameless.h"

#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <libsmartcols.h>
#include <mapseg-format.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

static const char usage[] = "Usage: mapseg show [OPTION...] KEY\n"
                            "\n"
                            "Tells what there is under KEY, without attaching to it.\n"
                            "\n"
                            "Options:\n"
                            "  -J, --json               print JSON\n" PLAIN_HELP COMMON_HELP;

static const struct option options[] = {
    {"json", no_argument, NULL, 'J'},
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* ----------------------------------------------------------------- text -- */

/* A title and text that may hold anything, on one line. */
static void
print_line(const char *title, const char *text)
{
    printf("%-13s", title);
    put_text(text, MSI_PRINTABLE_TEXT);
    putchar('\n');
}

static void
print_native_key(const mapseg_info *information)
{
    printf("%-13s", "Key:");
    put_text(information->native_key, MSI_PRINTABLE_KEY);
    putchar('\n');
}

/* The library has made it printable. */
static void
print_label(const mapseg_info *information)
{
    if (*information->label)
        printf("%-13s%s\n", "Label:", information->label);
}

static bool
has_header(const mapseg_info *information)
{
    return information->format != 0;
}

static const char *
use_explained(const mapseg_info *information)
{
    bool nameless = information->type == MAPSEG_KEY_MEMFD;
    mapseg_use use = information->use;
    /* It ends with its last descriptor, so that one is there is no accident. */
    if (nameless && use == MAPSEG_USE_STALE)
        return "idle: no process is attached; it stays as long as one has its descriptor";
    switch (use) {
    case MAPSEG_USE_LIVE:
        return "live: a process is attached";
    case MAPSEG_USE_STALE:
        /* Such a user can leave no note in the header. */
        if ((information->mode & 0044) != 0)
            return "stale: its users died or were killed, or the last one out was a user who "
                   "might only read; attach to it, or remove it with mapseg reclaim";
        return "stale: its users died or were killed; attach to it, or remove it with mapseg "
               "reclaim";
    case MAPSEG_USE_PERSISTENT:
        return "persistent: no process is attached; it stays until mapseg rm removes it";
    case MAPSEG_USE_DAMAGED:
        return "damaged: its header cannot be relied on, see the verdict";
    case MAPSEG_USE_BLOCKED:
        return "blocked: a process holds all of its presence, to remove it or to keep others out";
    case MAPSEG_USE_LEFT:
        return "left: the last one out was a user who might not remove it; attach to it, or have "
               "its owner remove it with mapseg reclaim";
    case MAPSEG_USE_FOREIGN:
        return "foreign: no process is attached by mapseg; whether others use it cannot be seen";
    case MAPSEG_USE_RESERVED:
        break;
    }
    return "unknown";
}

/* Of a kind that mapseg did not invent. */
static bool
is_headless(const mapseg_info *information)
{
    return information->format == 0 && information->data_size > 0;
}

static void
print_sizes(const mapseg_info *information)
{
    char data[SIZE_TEXT_BYTES], taken[SIZE_TEXT_BYTES];
    if (has_header(information) || is_headless(information))
        printf("Data:        %s (%" PRIu64 " bytes from byte %" PRIu64 " of the file on)\n",
               size_in_words(information->data_size, data), information->data_size,
               information->data_offset);
    printf("File:        %" PRIu64 " bytes long, takes %s\n", information->file_size,
           size_in_words(information->file_bytes, taken));
}

static void
print_header(const mapseg_info *information)
{
    char created[TIME_TEXT_BYTES];
    if (!has_header(information)) {
        puts(is_headless(information) ? "Header:      none, all of the file is data"
                                      : "Header:      none that can be read");
        return;
    }
    printf("Header:      format %" PRIu32 ", id ", information->format);
    for (size_t i = 0; i < sizeof information->id; i++)
        printf("%02x", information->id[i]);
    printf(", tag %" PRIu64 "%s%s%s\n", information->user_tag,
           information->header_flags & MAPSEG_HEADER_PERSISTENT ? ", persistent" : "",
           information->header_flags & MAPSEG_HEADER_FAIR ? ", fair lock" : "",
           information->header_flags & MAPSEG_HEADER_SILENT_WAITERS ? ", each change wakes" : "");
    printf("Created:     %s\n", time_in_words(information->created_ns, created));
}

static void
print_access(const mapseg_info *information)
{
    char user[USER_TEXT_BYTES];
    printf("%-13s", "Access:");
    /* The mode of a link means nothing. */
    if (is_link(information))
        fputs("symbolic link, owner ", stdout);
    else
        printf("mode %04" PRIo32 ", owner ", information->mode & 07777);
    put_text(user_in_words(information->uid, user), MSI_PRINTABLE_TEXT);
    printf(", group %" PRIu32 ", %" PRIu32 " name%s\n", information->gid, information->links,
           information->links == 1 ? "" : "s");
    /* Files of a tmpfs have the one seal that keeps others away. */
    if (information->type != MAPSEG_KEY_MEMFD)
        return;
    printf("Seals:      %s%s%s%s%s%s%s\n", information->seals == 0 ? " none" : "",
           information->seals & F_SEAL_SHRINK ? " shrink" : "",
           information->seals & F_SEAL_GROW ? " grow" : "",
           information->seals & F_SEAL_WRITE ? " write" : "",
           information->seals & F_SEAL_FUTURE_WRITE ? " future-write" : "",
           information->seals & F_SEAL_EXEC ? " exec" : "",
           information->seals & F_SEAL_SEAL ? " seal" : "");
}

static void
print_version(const mapseg_info *information)
{
    if (has_header(information))
        printf("Version:     %" PRIu64 "%s\n", information->version,
               information->version & 1 ? " (a change is under way, or its writer died)" : "");
}

static void
print_attached(const mapseg_info *information)
{
    if (information->use == MAPSEG_USE_BLOCKED) {
        puts("Attached:    not known");
        return;
    }
    printf("Attached:    %s%" PRIu32, information->attached_is_minimum ? "at least " : "",
           information->attached);
    if (information->attached > 0)
        printf(", of which %" PRIu32 " can write the data", information->attached_writers);
    if (information->readers > 0)
        printf(" and %" PRIu32 " cannot lock", information->readers);
    putchar('\n');
}

static void
print_lock(const mapseg_info *information)
{
    fputs("Lock:        ", stdout);
    switch (information->lock) {
    case MAPSEG_LOCK_STATE_FREE:
        fputs("free", stdout);
        break;
    case MAPSEG_LOCK_STATE_HELD:
        if (information->lock_pid == 0)
            fputs(information->lock_slot == 0 ? "held, by a program that leaves no mark of itself"
                                              : "held, by a program that uses mapseg",
                  stdout);
        else
            printf("held, by process %" PRIu32 " and thread %" PRIu32 " as the owner wrote",
                   information->lock_pid, information->lock_tid);
        break;
    case MAPSEG_LOCK_STATE_OWNER_DIED:
        if (information->lock_pid == 0)
            fputs("its owner died; the next owner that uses mapseg is told", stdout);
        else
            printf("its owner died, process %" PRIu32 " as it wrote; the next owner is told",
                   information->lock_pid);
        break;
    case MAPSEG_LOCK_STATE_INCONSISTENT:
        fputs("free", stdout);
        break;
    case MAPSEG_LOCK_STATE_UNKNOWN:
    case MAPSEG_LOCK_STATE_RESERVED:
        fputs("not known, the header cannot be read", stdout);
        break;
    }
    if (information->lock_inconsistent)
        fputs("; an earlier owner died and no owner has declared the data good since", stdout);
    if (information->lock_sleepers)
        fputs("; others wait for it", stdout);
    putchar('\n');
    if (information->recoveries > 0)
        printf("Recoveries:  %" PRIu64 " (times that a dead owner was replaced)\n",
               information->recoveries);
}

static void
print_waits(const mapseg_info *information)
{
    if (information->contended == 0)
        return;
    printf("Waits:       %" PRIu64 " for the lock, %" PRIu64 " of them asleep",
           information->contended, information->slept);
    if (information->slept > 0)
        printf("; the longest took %.3f ms", (double)information->longest_wait_ns / 1e6);
    putchar('\n');
}

static void
print_verdict(const mapseg_info *information)
{
    if (information->verdict == MAPSEG_OK) {
        print_line("Verdict:", "good, programs of this user may attach");
        return;
    }
    char result[RESULT_TEXT_BYTES], words[TRANSLATED_BYTES];
    printf("Verdict:     %s: ", result_in_words(information->verdict, result));
    put_text(verdict_in_words(information, words), MSI_PRINTABLE_TEXT);
    putchar('\n');
}

static void
print_text(const mapseg_info *information)
{
    print_native_key(information);
    print_label(information);
    print_line("Path:", *information->path ? information->path : "none, it has no name");
    print_line("File system:", information->file_system);
    print_line("State:", use_explained(information));
    print_sizes(information);
    print_header(information);
    print_access(information);
    print_attached(information);
    print_lock(information);
    print_waits(information);
    print_version(information);
    print_line("Safety:", safety_of(information));
    print_verdict(information);
}

/* ----------------------------------------------------------------- JSON -- */

static int
print_json(const mapseg_info *information)
{
    const struct table_style style = {.json = true, .bytes = true};
    enum column columns[COLUMN_COUNT];
    for (enum column i = 0; i < COLUMN_COUNT; i++)
        columns[i] = i;
    struct libscols_table *table = new_table(&style, columns, COLUMN_COUNT);
    bool good = table && add_line(table, &style, columns, COLUMN_COUNT, information) &&
                scols_print_table(table) == 0;
    scols_unref_table(table);
    return good ? EXIT_SUCCESS : failure("cannot print: there is no memory left");
}

int
command_show(int argc, char **argv)
{
    bool json = false;
    int option;
    while ((option = next_option(argc, argv, ":JhV", options)) != -1) {
        if (option == 'J')
            json = true;
        else
            common_option(option, usage);
    }
    const char *key = take_argument(argc, argv, "KEY");
    no_more_arguments(argc, argv);

    mapseg *seg = open_key(key);
    if (seg == NULL)
        return EXIT_FAILURE;
    int status = EXIT_SUCCESS;
    mapseg_info *information;
    if (mapseg_info_new(seg, &information) != MAPSEG_OK) {
        status = segment_failure(seg);
        tell_former_users(seg, true);
    } else {
        if (json)
            status = print_json(information);
        else
            print_text(information);
        if (!json)
            tell_former_users(seg, false);
        mapseg_info_free(information);
    }
    mapseg_free(seg);
    return status;
}
