/*
 * bench.c - measures mapseg beside other ways to lock, share and tell between processes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"
#include "clock.h"
#include "report.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

/** How much slower than the limit --check lets mapseg's pair that writes a word be. */
#define PAIR_RATIO_MOST 1.4
/** --check fails only if it fails this often: another program may disturb a run. */
#define CHECKS 3

/** The limit is first: the ratios of the pair are against it. */
static const struct peer *const all_peers[] = {
    &peer_limit,        &peer_mapseg,    &peer_mapseg_fair,  &peer_glibc,
    &peer_glibc_robust, &peer_semaphore, &peer_mapseg_posix, &peer_boost,
    &peer_qt,           &peer_sysv,      &peer_ofd,          &peer_spin,
};
static const size_t all_peer_count = sizeof all_peers / sizeof all_peers[0];

static const struct memory *const all_memories[] = {&memory_bare, &memory_mapseg, &memory_qt};
static const size_t all_memory_count = sizeof all_memories / sizeof all_memories[0];

/** The measures in the order in which they run. */
static const struct {
    const char *name;
    enum measure measure;
    bool (*run)(struct report *report, const struct choice *choice);
} measures[] = {
    {"pair", MEASURE_PAIR, measure_pair},
    {"contended", MEASURE_CONTENDED, measure_contended},
    {"takeover", MEASURE_TAKEOVER, measure_takeover},
    {"sleeper", MEASURE_SLEEPER, measure_sleeper},
    {"attach", MEASURE_REACH, measure_reach},
    {"fill", MEASURE_FILL, measure_fill},
    {"read", MEASURE_READ, measure_read},
    {"wake", MEASURE_WAKE, measure_wake},
    {"message", MEASURE_MESSAGE, measure_message},
    {"calls", MEASURE_CALLS, measure_calls},
    {"starve", MEASURE_STARVE, measure_starve},
    {"change", MEASURE_CHANGE, measure_change},
};
static const size_t measure_count = sizeof measures / sizeof measures[0];

static const struct effort moderate = {
    .pair_rounds = 200,
    .contended_rounds = 5,
    .contended_ms = 100,
    .kills = 50,
    .sleeper_ms = 500,
    .reach_rounds = 100,
    .fill_rounds = 11,
    .read_rounds = 60,
    .wake_rounds = 100,
    .message_rounds = 11,
    .call_rounds = 100,
    .starve_rounds = 2,
    .starve_ms = 1000,
    .change_rounds = 100,
};
static const struct effort quick = {
    .pair_rounds = 60,
    .contended_rounds = 3,
    .contended_ms = 30,
    .kills = 8,
    .sleeper_ms = 150,
    .reach_rounds = 30,
    .fill_rounds = 3,
    .read_rounds = 7,
    .wake_rounds = 20,
    .message_rounds = 3,
    .call_rounds = 30,
    .starve_rounds = 1,
    .starve_ms = 150,
    .change_rounds = 30,
};

/** What the command line asks for. */
struct request {
    const struct effort *effort;
    unsigned measures;
    char *only;
    const char *svg;
    bool json;
    bool check;
};

/** Whether the list, separated by commas, has the name. */
static bool
list_has(const char *list, const char *name)
{
    size_t length = strlen(name);

    while (list != NULL && *list != '\0') {
        size_t part = strcspn(list, ",");
        if (part == length && strncmp(list, name, length) == 0)
            return true;
        list += part + (list[part] == ',');
    }
    return false;
}

static bool
is_peer(const char *name)
{
    for (size_t i = 0; i < all_peer_count; i++) {
        if (strcmp(all_peers[i]->name, name) == 0)
            return true;
    }
    return false;
}

/** Ends the program if the list names what is none. */
static void
check_names(const char *list, const char *what, bool (*is_one)(const char *name))
{
    char *copy = strdup(list);
    char *rest = NULL;
    bool any = false;

    for (char *name = copy == NULL ? NULL : strtok_r(copy, ",", &rest); name != NULL;
         name = strtok_r(NULL, ",", &rest)) {
        any = true;
        if (is_one(name))
            continue;
        fprintf(stderr, "bench: there is no %s \"%s\"\n", what, name);
        exit(2);
    }
    free(copy);
    if (!any) {
        fprintf(stderr, "bench: no %s is named\n", what);
        exit(2);
    }
}

static bool
is_measure(const char *name)
{
    for (size_t i = 0; i < measure_count; i++) {
        if (strcmp(measures[i].name, name) == 0)
            return true;
    }
    return false;
}

static unsigned
parse_measures(const char *list)
{
    unsigned chosen = 0;

    check_names(list, "measure", is_measure);
    for (size_t i = 0; i < measure_count; i++) {
        if (list_has(list, measures[i].name))
            chosen |= measures[i].measure;
    }
    return chosen;
}

static void
list_peers(void)
{
    for (size_t i = 0; i < all_peer_count; i++)
        printf("%-14s %s%s%s\n", all_peers[i]->name, all_peers[i]->what,
               all_peers[i]->missing == NULL ? "" : "; skipped: ",
               all_peers[i]->missing == NULL ? "" : all_peers[i]->missing);
}

enum option_number { QUICK = 256, ONLY, MEASURE, CHECK, JSON, SVG, LIST, README, HELP };

static const struct option options[] = {
    {"quick", no_argument, NULL, QUICK},
    {"only", required_argument, NULL, ONLY},
    {"measure", required_argument, NULL, MEASURE},
    {"check", no_argument, NULL, CHECK},
    {"json", no_argument, NULL, JSON},
    {"svg", required_argument, NULL, SVG},
    {"list", no_argument, NULL, LIST},
    {"readme", no_argument, NULL, README},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static void
take_option(int option, struct request *request)
{
    switch (option) {
    case QUICK:
        request->effort = &quick;
        break;
    case ONLY:
        check_names(optarg, "peer", is_peer);
        request->only = optarg;
        break;
    case MEASURE:
        request->measures = parse_measures(optarg);
        break;
    case CHECK:
        request->check = true;
        break;
    case JSON:
        request->json = true;
        break;
    case SVG:
        request->svg = optarg;
        break;
    case LIST:
        list_peers();
        exit(0);
    case README:
        print_readme(stdout);
        exit(0);
    case HELP:
        print_help(stdout);
        exit(0);
    default:
        exit(2);
    }
}

static struct request
parse_command_line(int argc, char **argv)
{
    struct request request = {.effort = &moderate};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        take_option(option, &request);
    if (optind < argc) {
        fprintf(stderr, "bench: \"%s\" is no option; see --help\n", argv[optind]);
        exit(2);
    }
    if (request.measures == 0)
        request.measures = request.check ? MEASURE_PAIR : MEASURE_ALL;
    return request;
}

/** Whom to measure. What the others are held against is always there. */
static void
choose(const struct request *request, struct choice *choice, struct report *report)
{
    for (size_t i = 0; i < all_peer_count; i++) {
        const struct peer *peer = all_peers[i];
        if (request->only != NULL && i > 0 && !list_has(request->only, peer->name))
            continue;
        if (peer->missing == NULL)
            choice->peers[choice->peer_count++] = peer;
        else
            report->skipped[report->skipped_count++] = (struct skipped){peer->name, peer->missing};
    }
    for (size_t i = 0; i < all_memory_count; i++) {
        const struct memory *memory = all_memories[i];
        if (memory->missing == NULL &&
            (request->only == NULL || i == 0 || list_has(request->only, memory->name)))
            choice->memories[choice->memory_count++] = memory;
    }
}

static bool
measure_all(const struct request *request, const struct choice *choice, struct report *report)
{
    struct cpu_use start;

    for (size_t i = 0; i < measure_count; i++) {
        if (!(request->measures & measures[i].measure))
            continue;
        start = cpu_use_now();
        if (!measures[i].run(report, choice)) {
            fprintf(stderr, "bench: %s: not finished\n", measures[i].name);
            return false;
        }
        report->measured |= measures[i].measure;
        report->used_by_others[i] = used_by_others(&start);
        if (!request->json)
            print_measure(report, measures[i].measure, stdout);
    }
    return true;
}

static const struct row *
find_row(const struct table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->rows[i].name, name) == 0)
            return &table->rows[i];
    }
    return NULL;
}

/** Against the limit, and against those that programs would use instead. */
static bool
is_fast_enough(const struct report *report)
{
    static const char *const rivals[] = {"glibc-robust", "boost", "qt"};
    const struct row *ours = find_row(&report->pair_write, "mapseg");
    bool good = true;

    if (ours == NULL) {
        fprintf(stderr, "bench: --check: mapseg's pair was not measured\n");
        return false;
    }
    if (ours->ratio > PAIR_RATIO_MOST) {
        fprintf(stderr, "bench: mapseg's pair takes %.2f times the limit, more than %.2f\n",
                ours->ratio, PAIR_RATIO_MOST);
        good = false;
    }
    for (size_t i = 0; i < sizeof rivals / sizeof rivals[0]; i++) {
        const struct row *rival = find_row(&report->pair_write, rivals[i]);
        if (rival == NULL || ours->ratio < rival->ratio)
            continue;
        fprintf(stderr, "bench: mapseg's pair takes %.2f times the limit, %s's only %.2f\n",
                ours->ratio, rival->name, rival->ratio);
        good = false;
    }
    return good;
}

static bool
check(const struct choice *choice, struct report *report)
{
    for (int tried = 1;; tried++) {
        if (is_fast_enough(report))
            return true;
        if (tried == CHECKS || !measure_pair(report, choice))
            return false;
        fprintf(stderr, "bench: measured once more\n");
    }
}

int
main(int argc, char **argv)
{
    struct report *report = share_memory(sizeof *report);
    struct choice choice = {.peer_count = 0};
    struct request request = parse_command_line(argc, argv);
    bool good;

    if (report == NULL) {
        perror("bench: memory");
        return 1;
    }
    catch_interruption();
    usable_cpus();
    calibrate_clock();
    report->effort = *request.effort;
    describe_machine(&report->machine);
    choose(&request, &choice, report);
    if (!request.json)
        print_machine(report, stdout);
    good = measure_all(&request, &choice, report);
    if (good && request.check)
        good = check(&choice, report);
    if (request.json)
        print_json(report, stdout);
    else if (good)
        print_comparisons(report, stdout);
    if (request.svg != NULL && !draw_svg(report, request.svg))
        good = false;
    return good ? 0 : 1;
}
