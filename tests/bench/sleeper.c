/*
 * sleeper.c - how much of a CPU a process uses while it waits for a lock.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"
#include "clock.h"
#include "report.h"

#include <string.h>

#define PAGE 4096
/** A waiter may spin at first; what counts is what it does then. */
#define SETTLE_NS 100000000

struct wait {
    const struct peer *peer;
    void *state;
    struct gate gate;
};

static bool
wait_for_lock(void *argument)
{
    struct wait *wait = argument;
    void *state = wait->peer->attach(wait->state);

    if (state == NULL)
        return false;
    gate_wait(&wait->gate);
    if (wait->peer->lock(state) == NOT_TAKEN)
        return false;
    wait->peer->unlock(state);
    return true;
}

static bool
watch_waiter(pid_t waiter, long milliseconds, double *cpu_percent)
{
    int64_t start;
    int64_t used;

    sleep_ns(SETTLE_NS);
    start = now_ns();
    used = cpu_time_ns(waiter);
    sleep_ns(milliseconds * 1000000);
    if (used < 0)
        return false;
    *cpu_percent = 100.0 * (double)(cpu_time_ns(waiter) - used) / (double)(now_ns() - start);
    return true;
}

static bool
measure_peer(const struct peer *peer, void *page, long milliseconds, struct sleeper_row *row)
{
    struct wait wait = {.peer = peer};
    bool good = false;
    pid_t waiter = -1;

    memset(page, 0, PAGE);
    wait.state = peer->setup(page);
    if (wait.state == NULL)
        return false;
    if (gate_new(&wait.gate))
        waiter = start_child(wait_for_lock, &wait);
    if (waiter > 0 && gate_gather(&wait.gate, 1) && peer->lock(wait.state) == TAKEN) {
        gate_open(&wait.gate);
        good = watch_waiter(waiter, milliseconds, &row->cpu_percent);
        peer->unlock(wait.state);
    }
    good = reap_child(waiter, now_ns() + PATIENCE_NS) && good;
    peer->teardown(wait.state);
    row->name = peer->name;
    if (!good)
        fprintf(stderr, "bench: %s: the waiter did not get the lock\n", peer->name);
    return good;
}

bool
measure_sleeper(struct report *report, const struct choice *choice)
{
    struct sleeper_table *table = &report->sleeper;
    void *page = share_memory(PAGE);
    bool good = page != NULL;

    for (size_t i = 0; good && i < choice->peer_count; i++) {
        if (choice->peers[i]->lock == NULL)
            continue;
        good = !interrupted() && measure_peer(choice->peers[i], page, report->effort.sleeper_ms,
                                              &table->rows[table->count++]);
    }
    if (page != NULL)
        unshare_memory(page, PAGE);
    return good;
}
