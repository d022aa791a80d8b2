/*
 * pair.c - what locking and unlocking costs when nobody else wants the lock.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"
#include "interleave.h"

#include <string.h>

#define TURN_NS 1000000
#define PAGE 4096

static size_t
set_up_all(const struct choice *choice, struct runner *runners, char *pages)
{
    size_t ready = 0;

    for (; ready < choice->peer_count; ready++) {
        const struct peer *peer = choice->peers[ready];
        runners[ready] = (struct runner){
            .name = peer->name,
            .what = peer->what,
            .state = peer->setup(pages + ready * PAGE),
            .run = peer->pairs,
        };
        if (runners[ready].state == NULL) {
            fprintf(stderr, "bench: %s cannot be set up\n", peer->name);
            break;
        }
    }
    return ready;
}

bool
measure_pair(struct report *report, const struct choice *choice)
{
    struct runner runners[PEERS_MAX];
    char *pages = share_memory(PEERS_MAX * PAGE);
    bool good = false;
    size_t ready;

    if (pages == NULL)
        return false;
    ready = set_up_all(choice, runners, pages);
    if (ready == choice->peer_count) {
        use_cpu(0);
        good = interleave(runners, ready, report->effort.pair_rounds, TURN_NS, &report->pair);
        use_cpu(-1);
    }
    while (ready-- > 0)
        choice->peers[ready]->teardown(runners[ready].state);
    unshare_memory(pages, PEERS_MAX * PAGE);
    return good;
}
