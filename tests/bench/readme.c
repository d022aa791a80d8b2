/*
 * readme.c - the figures that README.md gives, and what this machine has beside them.
 *
 * They are kept here alone. A new processor is a column, a new figure a line; NULL is one that was
 * not measured, and a line of nothing else is not in README.md. What `bench --readme` prints
 * belongs there: tests/project/bench.sh compares the two.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "report.h"

#include <stdlib.h>
#include <string.h>

#define PROCESSORS 2
static const char *const processors[PROCESSORS] = {
    "AMD EPYC, Zen 4, 3.6 GHz",
    "Intel Xeon with AMX, 2.6 GHz",
};

/** Where in the report a figure is. */
enum place { PAIR, PAIR_WRITE, CONTENDED, STARVE };

struct figure {
    const char *what;
    enum place place;
    /** Of the contended and the starving rows. */
    const char *setting;
    const char *name;
    /** As README.md writes it, with no more digits than are true. */
    const char *measured[PROCESSORS];
};

/** Ratios, but for the waits, which are in milliseconds. */
static const struct figure figures[] = {
    {"a pair that writes a word, to its limit: mapseg", PAIR_WRITE, NULL, "mapseg", {NULL, NULL}},
    {"a pair that writes a word, to its limit: glibc's robust mutex",
     PAIR_WRITE,
     NULL,
     "glibc-robust",
     {NULL, NULL}},
    {"a pair that writes a word, to its limit: Boost's mutex",
     PAIR_WRITE,
     NULL,
     "boost",
     {NULL, NULL}},
    {"an empty pair, to its limit: mapseg", PAIR, NULL, "mapseg", {"1.15", "1.46"}},
    {"an empty pair, to its limit: glibc's robust mutex",
     PAIR,
     NULL,
     "glibc-robust",
     {"2.0", "1.9"}},
    {"an empty pair, to its limit: Boost's mutex", PAIR, NULL, "boost", {"1.4", "1.4"}},
    {"two lock again at once, to glibc's robust: mapseg",
     CONTENDED,
     "2-at-once",
     "mapseg",
     {"3.5", "2.4"}},
    {"two lock again after 250 ns, to glibc's robust: mapseg",
     CONTENDED,
     "2-after-250ns",
     "mapseg",
     {"1.3", "2.0"}},
    {"99 % of waits beside a relocker of 100 us, in ms: mapseg",
     STARVE,
     "1-100us",
     "mapseg",
     {NULL, NULL}},
    {"99 % of waits beside a relocker of 100 us, in ms: mapseg, fair",
     STARVE,
     "1-100us",
     "mapseg-fair",
     {NULL, NULL}},
    {"99 % of waits beside a relocker of 100 us, in ms: glibc's robust mutex",
     STARVE,
     "1-100us",
     "glibc-robust",
     {NULL, NULL}},
};
#define FIGURES (sizeof figures / sizeof figures[0])

/** "1.1 to 1.5"; "": it was not measured on any processor. */
static void
find_range(const struct figure *figure, char *range, size_t bytes)
{
    const char *least = NULL;
    const char *most = NULL;

    for (size_t i = 0; i < PROCESSORS; i++) {
        const char *measured = figure->measured[i];
        if (measured == NULL)
            continue;
        if (least == NULL || strtod(measured, NULL) < strtod(least, NULL))
            least = measured;
        if (most == NULL || strtod(measured, NULL) > strtod(most, NULL))
            most = measured;
    }
    if (least == NULL)
        range[0] = '\0';
    else if (strcmp(least, most) == 0)
        snprintf(range, bytes, "%s", least);
    else
        snprintf(range, bytes, "%s to %s", least, most);
}

void
print_readme(FILE *out)
{
    char range[RANGE_BYTES];

    fputs("| measured on |", out);
    for (size_t i = 0; i < PROCESSORS; i++)
        fprintf(out, " %s |", processors[i]);
    fputs(" range |\n| --- |", out);
    for (size_t i = 0; i < PROCESSORS; i++)
        fputs(" --- |", out);
    fputs(" --- |\n", out);
    for (size_t i = 0; i < FIGURES; i++) {
        find_range(&figures[i], range, sizeof range);
        if (range[0] == '\0')
            continue;
        fprintf(out, "| %s |", figures[i].what);
        for (size_t j = 0; j < PROCESSORS; j++)
            fprintf(out, " %s |", figures[i].measured[j] == NULL ? "-" : figures[i].measured[j]);
        fprintf(out, " %s |\n", range);
    }
}

static double
ratio_in(const struct table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->rows[i].name, name) == 0)
            return table->rows[i].ratio;
    }
    return 0;
}

static double
contended_ratio(const struct report *report, const char *setting, const char *name)
{
    for (size_t i = 0; i < report->contended_count; i++) {
        const struct contended_table *table = &report->contended[i];
        for (size_t j = 0; strcmp(table->setting.name, setting) == 0 && j < table->count; j++) {
            if (strcmp(table->rows[j].name, name) == 0)
                return table->rows[j].ratio;
        }
    }
    return 0;
}

static double
starve_ms(const struct report *report, const char *setting, const char *name)
{
    for (size_t i = 0; i < report->starve_count; i++) {
        const struct starve_table *table = &report->starve[i];
        for (size_t j = 0; strcmp(table->setting.name, setting) == 0 && j < table->count; j++) {
            if (strcmp(table->rows[j].name, name) == 0)
                return table->rows[j].p99_ns / 1e6;
        }
    }
    return 0;
}

/** 0: it was not measured now. */
static double
find_here(const struct report *report, const struct figure *figure)
{
    switch (figure->place) {
    case PAIR:
        return ratio_in(&report->pair, figure->name);
    case PAIR_WRITE:
        return ratio_in(&report->pair_write, figure->name);
    case CONTENDED:
        return contended_ratio(report, figure->setting, figure->name);
    case STARVE:
        return starve_ms(report, figure->setting, figure->name);
    }
    return 0;
}

size_t
compare_with_readme(const struct report *report, struct readme_comparison *comparisons)
{
    size_t count = 0;

    for (size_t i = 0; i < FIGURES && count < COMPARISONS_MAX; i++) {
        struct readme_comparison comparison = {.what = figures[i].what,
                                               .here = find_here(report, &figures[i])};
        find_range(&figures[i], comparison.range, sizeof comparison.range);
        if (comparison.here > 0)
            comparisons[count++] = comparison;
    }
    return count;
}
