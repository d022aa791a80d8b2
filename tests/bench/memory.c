/*
 * memory.c - what attaching to shared memory costs, and creating and filling it.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"
#include "interleave.h"

#include <string.h>

#define REACH_BYTES ((size_t)64 << 10)
#define FILL_BYTES ((size_t)64 << 20)
#define TURN_NS 2000000

bool
measure_reach(struct report *report, const struct choice *choice)
{
    struct runner runners[PEERS_MAX];
    bool good = true;
    size_t ready = 0;

    report->reach_bytes = REACH_BYTES;
    for (; good && ready < choice->memory_count; ready += good ? 1 : 0) {
        const struct memory *memory = choice->memories[ready];
        runners[ready] = (struct runner){
            .name = memory->name,
            .what = memory->how_reached,
            .state = memory->setup(REACH_BYTES),
            .run = memory->reach,
        };
        good = runners[ready].state != NULL;
        if (!good)
            fprintf(stderr, "bench: %s cannot be set up\n", memory->name);
    }
    use_cpu(0);
    good = good && interleave(runners, ready, report->effort.reach_rounds, TURN_NS, &report->reach);
    use_cpu(-1);
    while (ready-- > 0)
        choice->memories[ready]->teardown(runners[ready].state);
    return good;
}

/** One creation, and what its removal needs. */
struct creation {
    const struct memory *memory;
    void *handle;
    bool made;
};

static bool
create_and_fill(void *state, long count)
{
    struct creation *creation = state;
    void *data = creation->memory->create(FILL_BYTES, &creation->handle);

    (void)count;
    creation->made = data != NULL;
    if (creation->made)
        memset(data, 0x5a, FILL_BYTES);
    return creation->made;
}

static void
destroy(void *state)
{
    struct creation *creation = state;

    if (creation->made)
        creation->memory->destroy(creation->handle);
}

bool
measure_fill(struct report *report, const struct choice *choice)
{
    struct runner runners[PEERS_MAX];
    struct creation creations[PEERS_MAX];
    bool good;

    report->fill_bytes = FILL_BYTES;
    for (size_t i = 0; i < choice->memory_count; i++) {
        creations[i] = (struct creation){.memory = choice->memories[i]};
        runners[i] = (struct runner){
            .name = choice->memories[i]->name,
            .what = choice->memories[i]->how_created,
            .state = &creations[i],
            .run = create_and_fill,
            .after = destroy,
        };
    }
    use_cpu(0);
    good = interleave(runners, choice->memory_count, report->effort.fill_rounds, 0, &report->fill);
    use_cpu(-1);
    return good;
}
