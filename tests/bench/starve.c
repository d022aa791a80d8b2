/*
 * starve.c - how long one waits for a lock beside others that take it again at once.
 *
 * The waiter asks, gets the lock, gives it back, and asks again after a short pause. The relockers
 * never pause: a lock that is free when a woken waiter arrives has been taken again by then, and a
 * lock that leaves it at that lets the waiter starve. What is measured is each wait from its
 * beginning, and how many sections of others begin meanwhile.
 *
 * A round ends by the clock. The relockers stop then, so the waiter gets the lock from whatever
 * peer; a wait that was not over counts as long as it was at that moment.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"
#include "clock.h"
#include "report.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096
#define RELOCKERS_MAX 8
#define WAITS_MAX 8192
/** How long the waiter does something else between two waits. */
#define THINK_NS 1000000

static const struct starve_setting settings[] = {
    {"1-at-once", 1, 0}, {"1-100us", 1, 100000}, {"1-1ms", 1, 1000000},
    {"2-at-once", 2, 0}, {"2-100us", 2, 100000}, {"2-1ms", 2, 1000000},
    {"8-at-once", 8, 0}, {"8-100us", 8, 100000}, {"8-1ms", 8, 1000000},
};
_Static_assert(sizeof settings / sizeof settings[0] <= STARVE_SETTINGS_MAX, "a table for each");

/** What the lock protects. */
struct record {
    /** Sections that have ended; a lock that does not exclude loses some. */
    uint64_t count;
    /** Sections that have begun. */
    _Atomic uint64_t begun;
};

/** The memory that a round's processes share. */
struct board {
    char page_of_the_lock[PAGE];
    struct record record;
    char apart[PAGE - sizeof(struct record)];
    /** When the round ended; 0: not yet. */
    _Atomic int64_t stopped_at;
    char apart_too[PAGE - sizeof(int64_t)];
    uint64_t sections[RELOCKERS_MAX];
    uint64_t waiter_sections;
    size_t waits;
    double wait_ns[WAITS_MAX];
    double passed[WAITS_MAX];
    /** How long the wait that was not over at the end had taken; 0: there was none. */
    double open_ns;
};

/** One round of one peer. */
struct round {
    const struct peer *peer;
    const struct starve_setting *setting;
    void *state;
    struct board *board;
    struct gate gate;
    int index;
};

/** What one peer's rounds in one setting gave. */
struct results {
    double wait_ns[WAITS_MAX];
    double passed[WAITS_MAX];
    size_t waits;
    double longest_open_ns;
    uint64_t sections;
    int64_t duration_ns;
};

/** A section; how many others had begun before it. */
static uint64_t
work(struct record *record, int64_t hold_ns)
{
    uint64_t begun = atomic_load_explicit(&record->begun, memory_order_relaxed);
    uint64_t count = record->count;

    atomic_store_explicit(&record->begun, begun + 1, memory_order_relaxed);
    if (hold_ns > 0) {
        int64_t end = now_ns() + hold_ns;
        while (now_ns() < end)
            relax();
    }
    record->count = count + 1;
    return begun;
}

static bool
relock(void *argument)
{
    struct round *round = argument;
    struct board *board = round->board;
    int64_t hold_ns = round->setting->hold_ns;
    uint64_t sections = 0;
    void *state;

    use_cpu(round->setting->relockers == 1 ? 1 : -1);
    state = round->peer->attach(round->state);
    gate_wait(&round->gate);
    if (state == NULL)
        return false;
    while (atomic_load_explicit(&board->stopped_at, memory_order_relaxed) == 0) {
        if (round->peer->lock(state) == NOT_TAKEN)
            return false;
        work(&board->record, hold_ns);
        round->peer->unlock(state);
        sections++;
    }
    board->sections[round->index] = sections;
    return true;
}

/** After the end of the round, waits do not count any more, and the one under way not further. */
static void
note_wait(struct board *board, int64_t asked_at, int64_t got_at, uint64_t passed)
{
    int64_t stopped_at = atomic_load(&board->stopped_at);

    if (stopped_at != 0 && asked_at >= stopped_at)
        return;
    if (stopped_at != 0 && got_at > stopped_at) {
        got_at = stopped_at;
        board->open_ns = (double)(stopped_at - asked_at);
    }
    board->wait_ns[board->waits] = (double)(got_at - asked_at);
    board->passed[board->waits] = (double)passed;
    board->waits++;
}

static bool
ask_once(const struct round *round, void *state)
{
    struct board *board = round->board;
    uint64_t before = atomic_load_explicit(&board->record.begun, memory_order_relaxed);
    int64_t asked_at = now_ns();
    int64_t got_at;
    uint64_t at;

    if (round->peer->lock(state) == NOT_TAKEN)
        return false;
    got_at = now_ns();
    at = work(&board->record, 0);
    round->peer->unlock(state);
    board->waiter_sections++;
    note_wait(board, asked_at, got_at, at - before);
    return true;
}

static bool
ask_again(void *argument)
{
    struct round *round = argument;
    struct board *board = round->board;
    void *state;

    use_cpu(round->setting->relockers == 1 ? 0 : -1);
    state = round->peer->attach(round->state);
    gate_wait(&round->gate);
    if (state == NULL)
        return false;
    while (atomic_load(&board->stopped_at) == 0 && board->waits < WAITS_MAX) {
        sleep_ns(THINK_NS);
        if (!ask_once(round, state))
            return false;
    }
    return true;
}

/** Lets the processes run for that long; the time it really was, or -1. */
static int64_t
let_run(struct round *round, int64_t duration)
{
    pid_t children[RELOCKERS_MAX + 1];
    int relockers = round->setting->relockers;
    bool good = gate_new(&round->gate);
    int64_t start;
    int64_t end;

    if (!good)
        return -1;
    for (int i = 0; i < relockers; i++) {
        round->index = i;
        children[i] = start_child(relock, round);
    }
    children[relockers] = start_child(ask_again, round);
    good = gate_gather(&round->gate, relockers + 1);
    start = now_ns();
    gate_open(&round->gate);
    sleep_ns(duration);
    end = now_ns();
    atomic_store(&round->board->stopped_at, end);
    for (int i = 0; i <= relockers; i++)
        good = reap_child(children[i], now_ns() + PATIENCE_NS) && good;
    return good ? end - start : -1;
}

/** False: the lock did not exclude. */
static bool
add_up(const struct round *round, struct results *results)
{
    const struct board *board = round->board;
    uint64_t sections = 0;

    for (int i = 0; i < round->setting->relockers; i++)
        sections += board->sections[i];
    results->sections += sections;
    if (sections + board->waiter_sections == board->record.count)
        return true;
    fprintf(stderr, "bench: %s does not exclude: %s, %llu of %llu sections counted\n",
            round->peer->name, round->setting->name, (unsigned long long)board->record.count,
            (unsigned long long)(sections + board->waiter_sections));
    return false;
}

static void
add_waits(const struct board *board, struct results *results)
{
    for (size_t i = 0; i < board->waits && results->waits < WAITS_MAX; i++) {
        results->wait_ns[results->waits] = board->wait_ns[i];
        results->passed[results->waits] = board->passed[i];
        results->waits++;
    }
    if (board->open_ns > results->longest_open_ns)
        results->longest_open_ns = board->open_ns;
}

static bool
run_round(struct round *round, int64_t duration, struct results *results)
{
    bool good;

    memset(round->board, 0, sizeof *round->board);
    round->state = round->peer->setup(round->board->page_of_the_lock);
    if (round->state == NULL) {
        fprintf(stderr, "bench: %s cannot be set up\n", round->peer->name);
        return false;
    }
    duration = let_run(round, duration);
    good = duration > 0;
    if (!good)
        fprintf(stderr, "bench: %s failed or hung: %s\n", round->peer->name, round->setting->name);
    good = good && add_up(round, results);
    round->peer->teardown(round->state);
    if (good) {
        results->duration_ns += duration;
        add_waits(round->board, results);
    }
    return good;
}

static void
fill_row(struct starve_row *row, const char *name, struct results *results)
{
    size_t count = results->waits;

    row->name = name;
    row->waits = count;
    row->median_ns = spread_of(results->wait_ns, count).median;
    row->p99_ns = quantile(results->wait_ns, count, 0.99);
    row->p999_ns = quantile(results->wait_ns, count, 0.999);
    row->worst_ns = quantile(results->wait_ns, count, 1);
    row->worst_is_open = results->longest_open_ns > 0 && results->longest_open_ns >= row->worst_ns;
    row->passed_median = spread_of(results->passed, count).median;
    row->passed_max = quantile(results->passed, count, 1);
    row->sections_per_ms = (double)results->sections / (double)results->duration_ns * 1e6;
}

static void
fill_table(struct starve_table *table, const struct starve_setting *setting,
           const struct peer *const *peers, size_t count, struct results *results)
{
    double reference = 0;

    table->setting = *setting;
    table->count = count;
    for (size_t i = 0; i < count; i++) {
        fill_row(&table->rows[i], peers[i]->name, &results[i]);
        if (peers[i] == &peer_glibc_robust)
            reference = table->rows[i].p99_ns;
    }
    for (size_t i = 0; reference > 0 && i < count; i++)
        table->rows[i].ratio = table->rows[i].p99_ns / reference;
}

/** Peers take turns round by round. */
static bool
run_setting(struct report *report, const struct peer *const *peers, size_t count,
            const struct starve_setting *setting, struct board *board, struct results *results)
{
    int64_t duration = report->effort.starve_ms * INT64_C(1000000);

    memset(results, 0, count * sizeof *results);
    for (size_t number = 0; number < (size_t)report->effort.starve_rounds; number++) {
        for (size_t turn = 0; turn < count; turn++) {
            size_t i = (turn + number) % count;
            struct round round = {.peer = peers[i], .setting = setting, .board = board};
            if (interrupted() || !run_round(&round, duration, &results[i]))
                return false;
        }
    }
    fill_table(&report->starve[report->starve_count++], setting, peers, count, results);
    return true;
}

/** Those that a program would choose between; a cell takes seconds. */
static bool
is_measured(const struct peer *peer)
{
    return peer == &peer_mapseg || peer == &peer_mapseg_fair || peer == &peer_glibc_robust ||
           peer == &peer_boost;
}

bool
measure_starve(struct report *report, const struct choice *choice)
{
    const struct peer *peers[PEERS_MAX];
    struct results *results = calloc(PEERS_MAX, sizeof *results);
    struct board *board = share_memory(sizeof *board);
    bool good = results != NULL && board != NULL;
    size_t count = 0;

    for (size_t i = 0; i < choice->peer_count; i++) {
        if (is_measured(choice->peers[i]))
            peers[count++] = choice->peers[i];
    }
    for (size_t i = 0; good && count > 0 && i < sizeof settings / sizeof settings[0]; i++)
        good = run_setting(report, peers, count, &settings[i], board, results);
    if (board != NULL)
        unshare_memory(board, sizeof *board);
    free(results);
    return good;
}
