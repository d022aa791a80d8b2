/*
 * contended.c - what a lock gives to several processes that all want it.
 *
 * Each process locks, works on a shared record, unlocks and perhaps pauses, until it is told to
 * stop. The record's count is increased in a way that loses an increment whenever two are inside at
 * once, so a wrong total proves that a lock does not exclude.
 *
 * A last round times the waits, and counts how often a waiter is passed: how many sections others
 * begin from when it asks until it has the lock. A waiter that loses its CPU meanwhile is passed by
 * all that happens until it has it again, with any lock; hence the quantile beside the most.
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

#define PROCESSES_MAX 8
#define ROUNDS_MAX 64
/** Work under the lock, beside what the record's cache lines cost. */
#define HOLD_NS 55
#define PAGE 4096

static const struct setting settings[] = {
    {"2-at-once", "2 processes on 2 CPUs, relock at once", 2, HOLD_NS, 0},
    {"2-after-250ns", "2 processes on 2 CPUs, relock after 250 ns", 2, HOLD_NS, 250},
    {"8-at-once", "8 processes on 2 CPUs, relock at once", 8, HOLD_NS, 0},
    {"8-after-250ns", "8 processes on 2 CPUs, relock after 250 ns", 8, HOLD_NS, 250},
};

/** What the lock protects. Two cache lines, as data that matters rarely fits in one. */
struct record {
    uint64_t count;
    /** The sections that have begun, counted while waits are timed: waiters look at it. */
    _Atomic uint64_t begun;
    char apart[48];
    uint64_t work;
};

/** What one process did. */
struct score {
    uint64_t count;
    bool failed;
    struct histogram waits;
    struct histogram passed;
};

/** The memory that a round's processes share. */
struct board {
    char page_of_the_lock[PAGE];
    struct record record;
    char apart[PAGE - sizeof(struct record)];
    _Atomic bool stop;
    char apart_too[PAGE - sizeof(bool)];
    struct score scores[PROCESSES_MAX];
};

/** One round of one peer. */
struct round {
    const struct peer *peer;
    void *state;
    const struct setting *setting;
    struct board *board;
    struct gate gate;
    long hold_steps;
    long pause_steps;
    /** Every wait is timed. This slows all down, so such rounds do not count for throughput. */
    bool timed;
    int index;
};

static void
work(struct record *record, long steps)
{
    uint64_t count = record->count;

    record->work = burn(record->work + count, steps);
    record->count = count + 1;
}

static bool
take(const struct round *round, void *state, struct score *score)
{
    _Atomic uint64_t *begun = &round->board->record.begun;
    uint64_t before;
    uint64_t at;
    uint64_t start;

    if (!round->timed)
        return round->peer->lock(state) != NOT_TAKEN;
    before = atomic_load_explicit(begun, memory_order_relaxed);
    start = tick();
    if (round->peer->lock(state) == NOT_TAKEN)
        return false;
    histogram_add(&score->waits, tick() - start);
    at = atomic_load_explicit(begun, memory_order_relaxed);
    atomic_store_explicit(begun, at + 1, memory_order_relaxed);
    histogram_add(&score->passed, at - before);
    return true;
}

static bool
contend(void *argument)
{
    struct round *round = argument;
    struct board *board = round->board;
    struct score *score = &board->scores[round->index];
    uint64_t count = 0;
    void *state;

    use_cpu(round->setting->processes <= 2 ? round->index : -1);
    state = round->peer->attach(round->state);
    gate_wait(&round->gate);
    score->failed = state == NULL;
    while (!score->failed && !atomic_load_explicit(&board->stop, memory_order_relaxed)) {
        if (!take(round, state, score)) {
            score->failed = true;
            break;
        }
        work(&board->record, round->hold_steps);
        round->peer->unlock(state);
        count++;
        if (round->pause_steps > 0 && burn(count, round->pause_steps) == 0)
            score->failed = true;
    }
    score->count = count;
    return !score->failed;
}

/** Lets the processes run for that long; the time it really was, in ns, or -1. */
static int64_t
let_run(struct round *round, int64_t duration)
{
    pid_t children[PROCESSES_MAX];
    int processes = round->setting->processes;
    bool good = gate_new(&round->gate);
    int64_t start;

    if (!good)
        return -1;
    for (int i = 0; i < processes; i++) {
        round->index = i;
        children[i] = start_child(contend, round);
    }
    good = gate_gather(&round->gate, processes);
    start = now_ns();
    gate_open(&round->gate);
    sleep_ns(duration);
    atomic_store(&round->board->stop, true);
    duration = now_ns() - start;
    for (int i = 0; i < processes; i++)
        good = reap_child(children[i], now_ns() + PATIENCE_NS) && good;
    return good ? duration : -1;
}

/** The total of all processes; false: the lock did not exclude. */
static bool
add_up(const struct round *round, uint64_t *total, double *fairness)
{
    const struct board *board = round->board;
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;

    *total = 0;
    for (int i = 0; i < round->setting->processes; i++) {
        uint64_t count = board->scores[i].count;
        *total += count;
        least = count < least ? count : least;
        most = count > most ? count : most;
    }
    *fairness = most > 0 ? (double)least / (double)most : 0;
    if (*total == board->record.count)
        return true;
    fprintf(stderr, "bench: %s does not exclude: %s, %llu of %llu sections counted\n",
            round->peer->name, round->setting->name, (unsigned long long)board->record.count,
            (unsigned long long)*total);
    return false;
}

/** What one peer's rounds in one setting gave. */
struct results {
    double speeds[ROUNDS_MAX];
    double fairness[ROUNDS_MAX];
    struct histogram waits;
    struct histogram passed;
};

static bool
run_round(struct round *round, long milliseconds, size_t number, struct results *results)
{
    uint64_t total = 0;
    double fairness = 0;
    int64_t duration;
    bool good;

    memset(round->board, 0, sizeof *round->board);
    round->state = round->peer->setup(round->board->page_of_the_lock);
    if (round->state == NULL) {
        fprintf(stderr, "bench: %s cannot be set up\n", round->peer->name);
        return false;
    }
    duration = let_run(round, milliseconds * 1000000);
    good = duration > 0;
    if (!good)
        fprintf(stderr, "bench: %s failed or hung: %s\n", round->peer->name, round->setting->name);
    good = good && add_up(round, &total, &fairness);
    round->peer->teardown(round->state);
    for (int i = 0; good && round->timed && i < round->setting->processes; i++) {
        histogram_merge(&results->waits, &round->board->scores[i].waits);
        histogram_merge(&results->passed, &round->board->scores[i].passed);
    }
    if (good && !round->timed) {
        results->speeds[number] = (double)total / (double)duration * 1000;
        results->fairness[number] = fairness;
    }
    return good;
}

/** Round by round, before the speeds are sorted. */
static double
ratio_of(const struct results *results, const struct results *reference, size_t rounds)
{
    double ratios[ROUNDS_MAX];

    if (reference == NULL)
        return 0;
    for (size_t round = 0; round < rounds; round++)
        ratios[round] = results->speeds[round] / reference->speeds[round];
    return spread_of(ratios, rounds).median;
}

static void
fill_row(struct contended_row *row, struct results *results, size_t rounds)
{
    row->million_per_second = spread_of(results->speeds, rounds);
    row->fairness = spread_of(results->fairness, rounds);
    row->wait_p99_ns = histogram_quantile(&results->waits, 0.99) * tick_length();
    row->wait_max_ns = (double)results->waits.largest * tick_length();
    row->passed_p999 = histogram_quantile(&results->passed, 0.999);
    row->passed_max = (double)results->passed.largest;
}

static void
fill_table(struct contended_table *table, const struct setting *setting,
           const struct peer *const *peers, size_t count, struct results *results, size_t rounds)
{
    const struct results *reference = NULL;

    table->setting = *setting;
    table->count = count;
    for (size_t i = 0; i < count; i++) {
        if (peers[i] == &peer_glibc_robust)
            reference = &results[i];
    }
    for (size_t i = 0; i < count; i++) {
        table->rows[i].name = peers[i]->name;
        table->rows[i].ratio = ratio_of(&results[i], reference, rounds);
    }
    for (size_t i = 0; i < count; i++)
        fill_row(&table->rows[i], &results[i], rounds);
}

/** Peers take turns round by round; the last round times the waits. */
static bool
run_setting(struct report *report, const struct peer *const *peers, size_t count,
            const struct setting *setting, struct board *board, struct results *results)
{
    struct contended_table *table = &report->contended[report->contended_count];
    size_t rounds = (size_t)report->effort.contended_rounds;

    memset(results, 0, count * sizeof *results);
    for (size_t number = 0; number <= rounds; number++) {
        for (size_t turn = 0; turn < count; turn++) {
            size_t i = (turn + number) % count;
            struct round round = {
                .peer = peers[i],
                .setting = setting,
                .board = board,
                .hold_steps = steps_for(setting->hold_ns),
                .pause_steps = steps_for(setting->pause_ns),
                .timed = number == rounds,
            };
            if (interrupted() ||
                !run_round(&round, report->effort.contended_ms, number, &results[i]))
                return false;
        }
    }
    fill_table(table, setting, peers, count, results, rounds);
    report->contended_count++;
    return true;
}

bool
measure_contended(struct report *report, const struct choice *choice)
{
    const struct peer *peers[PEERS_MAX];
    struct results *results = calloc(PEERS_MAX, sizeof *results);
    struct board *board = share_memory(sizeof *board);
    bool good = results != NULL && board != NULL && report->effort.contended_rounds <= ROUNDS_MAX;
    size_t count = 0;

    for (size_t i = 0; i < choice->peer_count; i++) {
        if (choice->peers[i]->lock != NULL)
            peers[count++] = choice->peers[i];
    }
    for (size_t i = 0; good && count > 0 && i < sizeof settings / sizeof settings[0]; i++)
        good = run_setting(report, peers, count, &settings[i], board, results);
    if (board != NULL)
        unshare_memory(board, sizeof *board);
    free(results);
    return good;
}
