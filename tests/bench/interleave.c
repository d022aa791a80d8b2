/*
 * interleave.c - measures several things in one run, in short turns.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "interleave.h"

#include "children.h"
#include "clock.h"

#include <stdlib.h>

/** Runs it `count` times; the time of one, negative if it failed. */
static double
take_time(const struct runner *runner, long count)
{
    int64_t start;
    int64_t end;
    bool good;

    if (runner->before != NULL && !runner->before(runner->state, count))
        return -1;
    start = now_ns();
    good = runner->run(runner->state, count);
    end = now_ns();
    if (runner->after != NULL)
        runner->after(runner->state);
    return good ? (double)(end - start) / (double)count : -1;
}

/** How often a runner has to do its thing to fill a turn; 0: it failed. */
static long
turns_count(const struct runner *runner, int64_t turn_ns)
{
    long count = 1;

    if (turn_ns == 0)
        return 1;
    for (;;) {
        double one = take_time(runner, count);
        if (one < 0)
            return 0;
        if (one * (double)count * 4 >= (double)turn_ns) {
            count = (long)((double)turn_ns / one);
            return count > 0 ? count : 1;
        }
        count *= 2;
    }
}

/** A turn begins with a short one that is not counted: the others have used the caches since. */
static double
take_turn(const struct runner *runner, long count)
{
    if (count >= 8 && take_time(runner, count / 8) < 0)
        return -1;
    return take_time(runner, count);
}

static void
fill_row(struct row *row, const struct runner *runner, double *times, const double *reference,
         size_t rounds)
{
    double *ratios = calloc(rounds, sizeof *ratios);

    row->name = runner->name;
    row->what = runner->what;
    if (ratios == NULL)
        return;
    for (size_t round = 0; round < rounds; round++)
        ratios[round] = times[round] / reference[round];
    row->ratio = spread_of(ratios, rounds).median;
    row->time = spread_of(times, rounds);
    free(ratios);
}

/** times[runner * rounds + round] */
static bool
take_rounds(const struct runner *runners, size_t count, size_t rounds, int64_t turn_ns,
            double *times)
{
    long counts[PEERS_MAX];

    for (size_t i = 0; i < count; i++) {
        counts[i] = turns_count(&runners[i], turn_ns);
        if (counts[i] == 0) {
            fprintf(stderr, "bench: %s failed\n", runners[i].name);
            return false;
        }
    }
    for (size_t round = 0; round < rounds; round++) {
        for (size_t turn = 0; turn < count; turn++) {
            size_t i = (turn + round) % count;
            double time = interrupted() ? -1 : take_turn(&runners[i], counts[i]);
            if (time < 0) {
                fprintf(stderr, "bench: %s %s\n", runners[i].name,
                        interrupted() ? "was interrupted" : "failed");
                return false;
            }
            times[i * rounds + round] = time;
        }
    }
    return true;
}

bool
interleave(const struct runner *runners, size_t count, int rounds, int64_t turn_ns,
           struct table *table)
{
    size_t round_count = (size_t)rounds;
    double *times = calloc((count + 1) * round_count, sizeof *times);
    double *reference = times == NULL ? NULL : times + count * round_count;
    bool good;

    if (times == NULL)
        return false;
    good = take_rounds(runners, count, round_count, turn_ns, times);
    for (size_t round = 0; good && round < round_count; round++)
        reference[round] = times[round];
    for (size_t i = 0; good && i < count; i++)
        fill_row(&table->rows[i], &runners[i], times + i * round_count, reference, round_count);
    table->count = good ? count : 0;
    free(times);
    return good;
}
