/*
 * ls.c - mapseg ls: lists the segments there are.
 *
 * SPDX-License-Identifier: MIT
 */
#include "columns.h"
#include "commands.h"
#include "common.h"
#include "nameless.h"

#include <getopt.h>
#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "Usage: mapseg ls [OPTION...]\n"
    "\n"
    "Lists the segments of /dev/shm and $XDG_RUNTIME_DIR/mapseg that this user may\n"
    "read; or those that have lost their names, for each process that has one.\n"
    "\n"
    "Options:\n"
    "  -J, --json               print JSON\n"
    "  -r, --raw                print fields without alignment, for scripts\n"
    "  -n, --noheadings         leave the headings out\n"
    "  -b, --bytes              print sizes as plain numbers of bytes\n"
    "  -o, --output COLUMNS     print these columns, separated by commas\n"
    "  -a, --all                list also what other programs have in /dev/shm: POSIX\n"
    "                           segments, and semaphores without one; and System V\n"
    "                           segments\n"
    "      --nameless           list what is open in a process and has no name any "
    "more\n" COMMON_HELP "\n"
    "Columns:\n"
    "  KEY       native key\n"
    "  LABEL     what its creator calls it\n"
    "  TYPE      what the key leads to\n"
    "  SIZE      bytes of data\n"
    "  ATTACHED  how many attachments there are\n"
    "  LOCK      free, held, owner-died, inconsistent or unknown\n"
    "  STATE     live, stale, left, persistent, damaged, blocked or foreign\n"
    "  MODE      permission bits\n"
    "  OWNER     user who owns it\n"
    "  CREATED   when it was made\n"
    "  PATH      its file\n"
    "and, if --output names them:\n"
    "  CONTENDED        how often an owner of the lock had had to wait\n"
    "  SLEPT            of these, how often it had slept\n"
    "  LONGEST-WAIT-NS  the longest wait of one that slept, in nanoseconds\n"
    "  RECOVERIES       how often a dead owner was replaced\n"
    "  ATTACHED-WRITERS how many attachments can write the data\n";

enum { OPTION_NAMELESS = OPTION_OWN };

static const struct option options[] = {
    {"json", no_argument, NULL, 'J'},
    {"raw", no_argument, NULL, 'r'},
    {"noheadings", no_argument, NULL, 'n'},
    {"bytes", no_argument, NULL, 'b'},
    {"output", required_argument, NULL, 'o'},
    {"all", no_argument, NULL, 'a'},
    {"nameless", no_argument, NULL, OPTION_NAMELESS},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

/* Enough for anything sensible; a column may be named twice. */
#define MOST_COLUMNS 64

struct selection {
    enum column columns[MOST_COLUMNS];
    size_t count;
};

static _Noreturn void
unknown_column(const char *name, size_t name_bytes)
{
    char known[256] = "";
    for (enum column i = 0; i < LISTED_COLUMNS; i++) {
        strcat(known, " ");
        strcat(known, column_name(i));
    }
    usage_error("there is no column '%.*s'; there are:%s", (int)name_bytes, name, known);
}

static void
select_columns(struct selection *selection, const char *names)
{
    selection->count = 0;
    for (const char *name = names;;) {
        size_t bytes = strcspn(name, ",");
        enum column column = find_column(name, bytes);
        if (column == COLUMN_COUNT)
            unknown_column(name, bytes);
        if (selection->count == MOST_COLUMNS)
            usage_error("--output takes no more than %d columns", MOST_COLUMNS);
        selection->columns[selection->count++] = column;
        if (!name[bytes])
            return;
        name += bytes + 1;
    }
}

static void
select_default(struct selection *selection)
{
    selection->count = DEFAULT_COLUMNS;
    for (enum column i = 0; i < DEFAULT_COLUMNS; i++)
        selection->columns[i] = i;
}

/* A table that is being filled. */
struct list {
    struct libscols_table *table;
    const struct table_style *style;
    const struct selection *selection;
};

static bool
add(const struct list *list, const mapseg_info *information)
{
    return add_line(list->table, list->style, list->selection->columns, list->selection->count,
                    information);
}

static bool
add_named(const struct list *list, const mapseg_list *segments)
{
    bool good = true;
    for (size_t i = 0; good && i < mapseg_list_count(segments); i++)
        good = add(list, mapseg_list_get(segments, i));
    return good;
}

/* The number by which this process knew it is no key, and of no use to the user. */
static bool
add_nameless(void *context, const struct nameless *found)
{
    mapseg_info seen = *found->seen;
    seen.native_key = "";
    seen.type = MAPSEG_KEY_INVALID;
    seen.path = found->path;
    return add(context, &seen);
}

/* `segments` NULL: those without names. `others` may be NULL. */
static int
print_list(const mapseg_list *segments, const mapseg_list *others, const struct table_style *style,
           const struct selection *selection)
{
    struct list list = {new_table(style, selection->columns, selection->count), style, selection};
    bool good = list.table != NULL;
    if (good)
        good = segments ? add_named(&list, segments) : each_nameless(add_nameless, &list);
    if (good && others)
        good = add_named(&list, others);
    good = good && scols_print_table(list.table) == 0;
    scols_unref_table(list.table);
    return good ? EXIT_SUCCESS : failure("cannot print the list: there is no memory left");
}

int
command_ls(int argc, char **argv)
{
    struct table_style style = {false, false, false, false};
    struct selection selection;
    select_default(&selection);
    bool nameless = false, all = false;
    int option;
    while ((option = next_option(argc, argv, ":aJrnbo:hV", options)) != -1) {
        switch (option) {
        case 'J':
            style.json = true;
            break;
        case 'r':
            style.raw = true;
            break;
        case 'n':
            style.no_headings = true;
            break;
        case 'b':
            style.bytes = true;
            break;
        case 'o':
            select_columns(&selection, optarg);
            break;
        case 'a':
            all = true;
            break;
        case OPTION_NAMELESS:
            nameless = true;
            break;
        default:
            common_option(option, usage);
        }
    }
    no_more_arguments(argc, argv);
    if (nameless && all)
        usage_error("--all and --nameless exclude each other");
    if (style.json && style.raw)
        usage_error("--json and --raw exclude each other");

    if (nameless)
        return print_list(NULL, NULL, &style, &selection);
    mapseg_list *list, *others = NULL;
    mapseg_result result = mapseg_list_new(&list);
    if (result == MAPSEG_OK && all)
        result = mapseg_list_new_foreign(&others);
    int status = result == MAPSEG_OK
                     ? print_list(list, others, &style, &selection)
                     : failure("cannot list the segments: %s", mapseg_result_text(result));
    mapseg_list_free(others);
    mapseg_list_free(list);
    return status;
}
