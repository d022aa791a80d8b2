/*
 * pair.c - what locking and unlocking costs when no other process wants the lock.
 *
 * Once with nothing under the lock, and once with a word written there. The second is what programs
 * pay: on some processors the two swaps alone take a third less than with a store between them, so
 * that a ratio to an empty pair says too much.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"
#include "interleave.h"

#include <string.h>

#define TURN_NS 1000000
#define PAGE 4096

/** A peer, and what is written under its lock; NULL: nothing. */
struct section {
    const struct peer *peer;
    void *state;
    volatile uint64_t *word;
};

static bool
run_pairs(void *state, long count)
{
    const struct section *section = state;

    return section->peer->pairs(section->state, count, section->word);
}

static size_t
set_up_all(const struct choice *choice, struct section *sections, char *pages)
{
    size_t ready = 0;

    for (; ready < choice->peer_count; ready++) {
        const struct peer *peer = choice->peers[ready];
        sections[ready].peer = peer;
        sections[ready].state = peer->setup(pages + ready * PAGE);
        if (sections[ready].state == NULL) {
            fprintf(stderr, "bench: %s cannot be set up\n", peer->name);
            break;
        }
    }
    return ready;
}

static bool
measure_sections(struct section *sections, size_t count, volatile uint64_t *word, int rounds,
                 struct table *table)
{
    struct runner runners[PEERS_MAX];

    for (size_t i = 0; i < count; i++) {
        sections[i].word = word;
        runners[i] = (struct runner){
            .name = sections[i].peer->name,
            .what = sections[i].peer->what,
            .state = &sections[i],
            .run = run_pairs,
        };
    }
    return interleave(runners, count, rounds, TURN_NS, table);
}

bool
measure_pair(struct report *report, const struct choice *choice)
{
    struct section sections[PEERS_MAX];
    /* The last page is for the word, so that it shares a cache line with no lock. */
    size_t bytes = (PEERS_MAX + 1) * PAGE;
    char *pages = share_memory(bytes);
    int rounds = report->effort.pair_rounds;
    bool good = false;
    size_t ready;

    if (pages == NULL)
        return false;
    ready = set_up_all(choice, sections, pages);
    if (ready == choice->peer_count) {
        void *word = pages + PEERS_MAX * PAGE;
        use_cpu(0);
        good = measure_sections(sections, ready, NULL, rounds, &report->pair) &&
               measure_sections(sections, ready, word, rounds, &report->pair_write);
        use_cpu(-1);
    }
    while (ready-- > 0)
        choice->peers[ready]->teardown(sections[ready].state);
    unshare_memory(pages, bytes);
    return good;
}
