/*
 * peer_spin.c - a lock that never sleeps: it spins, and after a bounded spin gives its CPU away.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "clock.h"
#include "peer.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

/** Looks at a taken word before the CPU is offered to others. */
#define SPINS 1000

static void *
setup(void *page)
{
    return page;
}

static bool
try_word(_Atomic uint32_t *word)
{
    uint32_t expected = 0;

    return atomic_compare_exchange_strong_explicit(word, &expected, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static void
wait_for_word(_Atomic uint32_t *word)
{
    do {
        for (int spin = 0; spin < SPINS; spin++) {
            if (atomic_load_explicit(word, memory_order_relaxed) == 0)
                break;
            relax();
        }
        if (atomic_load_explicit(word, memory_order_relaxed) != 0)
            sched_yield();
    } while (!try_word(word));
}

static enum taken
lock(void *state)
{
    _Atomic uint32_t *word = state;

    if (!try_word(word))
        wait_for_word(word);
    return TAKEN;
}

static void
unlock(void *state)
{
    _Atomic uint32_t *word = state;

    atomic_store_explicit(word, 0, memory_order_release);
}

static bool
pairs(void *state, long count, volatile uint64_t *word)
{
    for (; count > 0; count--) {
        lock(state);
        if (word != NULL)
            *word = (uint64_t)count;
        unlock(state);
    }
    return true;
}

static void
teardown(void *state)
{
    (void)state;
}

const struct peer peer_spin = {
    .name = "spin",
    .what = "spins, never sleeps",
    .setup = setup,
    .attach = setup,
    .lock = lock,
    .unlock = unlock,
    .pairs = pairs,
    .teardown = teardown,
};
