/*
 * peer_limit.c - the least that a lock between processes can cost.
 *
 * One compare-and-swap and one exchange on a word that no other process uses. It has no way to
 * wait, so only the uncontended pair is measured.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "peer.h"

#include <stdatomic.h>
#include <stdint.h>

static void *
setup(void *page)
{
    return page;
}

static bool
pairs(void *state, long count, volatile uint64_t *word)
{
    _Atomic uint32_t *lock = state;

    for (; count > 0; count--) {
        uint32_t expected = 0;
        if (!atomic_compare_exchange_strong_explicit(lock, &expected, 1, memory_order_acquire,
                                                     memory_order_relaxed))
            return false;
        if (word != NULL)
            *word = (uint64_t)count;
        /* A compiler may make a plain store of an exchange whose result is not used. */
        if (atomic_exchange_explicit(lock, 0, memory_order_release) != 1)
            return false;
    }
    return true;
}

static void
teardown(void *state)
{
    (void)state;
}

const struct peer peer_limit = {
    .name = "limit",
    .what = "one compare-and-swap plus one exchange",
    .setup = setup,
    .attach = setup,
    .pairs = pairs,
    .teardown = teardown,
};
