/*
 * duet.c - measures in turns what takes two processes.
 *
 * One child answers for all: told by a pipe which duet is next and how often, it says that it is
 * there and begins.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "duet.h"

#include "children.h"
#include "clock.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

struct order {
    size_t duet;
    long count;
};

/** The two ends of what the processes say to each other between turns. */
struct line {
    const struct duet *duets;
    enum stage stage;
    int orders[2];
    int ready[2];
};

/** A duet with the line that its turns begin on. */
struct part {
    const struct line *line;
    size_t number;
};

static bool
answer_all(void *argument)
{
    struct line *line = argument;
    struct order order;

    use_cpu(line->stage == STAGE_TWO_CPUS ? 1 : 0);
    close(line->orders[1]);
    close(line->ready[0]);
    while (read(line->orders[0], &order, sizeof order) == (ssize_t)sizeof order) {
        const struct duet *duet = &line->duets[order.duet];
        if (write(line->ready[1], "", 1) != 1)
            return false;
        if (duet->answer(duet->state, order.count))
            continue;
        fprintf(stderr, "bench: %s: the other process failed\n", duet->name);
        return false;
    }
    return true;
}

static bool
begin_turn(void *state, long count)
{
    const struct part *part = state;
    struct order order = {.duet = part->number, .count = count};
    char mark;

    return write(part->line->orders[1], &order, sizeof order) == (ssize_t)sizeof order &&
           read(part->line->ready[0], &mark, 1) == 1;
}

/** A call that blocks for good is interrupted: nothing is left behind then. */
static bool
run_turn(void *state, long count)
{
    const struct part *part = state;
    const struct duet *duet = &part->line->duets[part->number];
    bool good;

    alarm(2 * (unsigned)(DUET_PATIENCE_NS / 1000000000));
    good = duet->call(duet->state, count);
    alarm(0);
    return good;
}

static void
end_turn(void *state)
{
    const struct part *part = state;
    const struct duet *duet = &part->line->duets[part->number];

    if (duet->after != NULL)
        duet->after(duet->state);
}

static bool
open_line(struct line *line)
{
    if (pipe(line->orders) != 0)
        return false;
    if (pipe(line->ready) == 0)
        return true;
    close(line->orders[0]);
    close(line->orders[1]);
    return false;
}

static void
ignore_alarm(int number)
{
    (void)number;
}

/** Its signal ends a call that blocks, and must not do so behind the caller's back. */
static void
catch_alarm(struct sigaction *before)
{
    struct sigaction action = {.sa_handler = ignore_alarm};

    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, before);
}

static bool
play(struct line *line, size_t count, int rounds, int64_t turn_ns, struct table *table)
{
    struct runner runners[PEERS_MAX];
    struct part parts[PEERS_MAX];

    for (size_t i = 0; i < count; i++) {
        parts[i] = (struct part){.line = line, .number = i};
        runners[i] = (struct runner){
            .name = line->duets[i].name,
            .what = line->duets[i].what,
            .state = &parts[i],
            .before = begin_turn,
            .run = run_turn,
            .after = end_turn,
        };
    }
    return interleave(runners, count, rounds, turn_ns, table);
}

bool
interleave_duets(const struct duet *duets, size_t count, enum stage stage, int rounds,
                 int64_t turn_ns, struct table *table)
{
    struct line line = {.duets = duets, .stage = stage};
    struct sigaction before;
    bool good;
    pid_t partner;

    if (!open_line(&line))
        return false;
    catch_alarm(&before);
    partner = start_child(answer_all, &line);
    close(line.orders[0]);
    close(line.ready[1]);
    use_cpu(0);
    good = partner > 0 && play(&line, count, rounds, turn_ns, table);
    use_cpu(-1);
    close(line.orders[1]);
    close(line.ready[0]);
    if (good)
        good = reap_child(partner, now_ns() + PATIENCE_NS);
    else
        kill_child(partner);
    sigaction(SIGALRM, &before, NULL);
    return good;
}
