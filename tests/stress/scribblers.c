/*
 * scribblers.c - processes that write anything into a segment's header: numbers that are no
 * sizes, owners that are none, checksums that fit a lie.
 *
 * SPDX-License-Identifier: MIT
 */
#include "arena.h"

#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const uint64_t numbers[] = {0,
                                   1,
                                   2,
                                   3,
                                   4095,
                                   4096,
                                   8192,
                                   20479,
                                   24576,
                                   1 << 20,
                                   UINT64_C(1) << 31,
                                   UINT64_C(1) << 32,
                                   UINT64_C(1) << 62,
                                   UINT64_C(1) << 63,
                                   INT64_MAX,
                                   INT64_MAX - 4095,
                                   UINT64_MAX,
                                   UINT64_MAX - 1,
                                   UINT64_MAX - 4095,
                                   UINT64_C(0x5555555555555555)};

static uint64_t
any_number(void)
{
    switch (draw(3)) {
    case 0:
        return numbers[draw(sizeof numbers / sizeof *numbers)];
    case 1:
        return draw(UINT32_MAX);
    default:
        return (uint64_t)next_random(&chance) << 32 | next_random(&chance);
    }
}

static uint32_t
any_word(void)
{
    static const uint32_t owners[] = {0,
                                      1,
                                      2,
                                      MAPSEG_LAST_SLOT - 1,
                                      MAPSEG_LAST_SLOT,
                                      MAPSEG_LAST_SLOT + 1,
                                      MAPSEG_LAST_SLOT + 2,
                                      MAPSEG_LOCK_OWNER - 1,
                                      MAPSEG_LOCK_OWNER};
    uint32_t word = owners[draw(sizeof owners / sizeof *owners)];

    if (draw(3) == 0)
        word = atomic_load(&arena->seen_words[draw(64)]) & MAPSEG_LOCK_OWNER;
    if (draw(4) == 0)
        word = next_random(&chance);
    return word | (draw(4) << 30);
}

static void
scribble_any_field(struct mapseg_header *header)
{
    uint64_t number = any_number();

    memcpy((char *)header + draw(270), &number, 1 + draw(8));
}

static void
scribble_page(struct mapseg_header *header)
{
    uint32_t fill = draw(4);

    for (size_t i = 0; i < sizeof *header / 4; i++)
        ((volatile uint32_t *)(void *)header)[i] = fill == 0   ? 0
                                                   : fill == 1 ? UINT32_MAX
                                                               : next_random(&chance);
}

static void
scribble_word(struct mapseg_header *header)
{
    uint32_t seen = __atomic_exchange_n(&header->lock, any_word(), __ATOMIC_SEQ_CST);

    if ((seen & MAPSEG_LOCK_OWNER) != 0)
        atomic_store(&arena->seen_words[draw(64)], seen);
}

static void
flip_bits(struct mapseg_header *header)
{
    for (int i = 0; i < 100; i++)
        (void)__atomic_fetch_xor(&header->lock, (1 + draw(3)) << 30, __ATOMIC_SEQ_CST);
}

static void
scribble_version(struct mapseg_header *header)
{
    uint64_t old = __atomic_load_n(&header->version, __ATOMIC_SEQ_CST);
    const uint64_t versions[] = {old + 1,
                                 old | 1,
                                 old - 2,
                                 old + 2,
                                 old + 1,
                                 any_number(),
                                 old + (UINT64_C(1) << 32),
                                 any_number() | 1};

    __atomic_store_n(&header->version, versions[draw(8)], __ATOMIC_SEQ_CST);
}

/** So that it can be believed. */
static void
sign(struct mapseg_header *header, const struct mapseg_header *lie)
{
    struct mapseg_header copy = *lie;

    copy.checksum = mapseg_digest(&copy, MAPSEG_CHECKSUM_COVERS);
    memcpy(header, &copy, MAPSEG_CONSTANT_BYTES);
}

static void
scribble_geometry(struct mapseg_header *header)
{
    struct mapseg_header lie = arena->good;

    if (draw(2) == 0)
        lie.data_offset = any_number();
    else if (draw(2) == 0)
        lie.data_offset = (uint64_t)draw(8) * 4096;
    lie.data_size = draw(3) == 0 ? any_number() : draw(DATA_BYTES + 10000);
    if (draw(4) == 0)
        lie.header_size = (uint32_t)any_number();
    sign(header, &lie);
}

static void
scribble_meaning(struct mapseg_header *header)
{
    struct mapseg_header lie = arena->good;

    lie.flags = draw(2) == 0 ? any_number() : UINT64_C(1) << draw(64);
    lie.user_tag = any_number();
    lie.created = any_number();
    lie.id[draw(16)] ^= (uint8_t)next_random(&chance);
    if (draw(3) == 0)
        lie.format = (uint32_t)any_number();
    sign(header, &lie);
}

static void
wake_for_nothing(struct mapseg_header *header)
{
    (void)syscall(SYS_futex, &header->lock, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    (void)syscall(SYS_futex, &header->version, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void (*const scribbles[])(struct mapseg_header *header) = {
    scribble_any_field, scribble_page,     scribble_word,    flip_bits,
    scribble_version,   scribble_geometry, scribble_meaning, wake_for_nothing,
};

/** The header as it should be, so that the others get in again. */
static void
restore(struct mapseg_header *header)
{
    memcpy(header, &arena->good, MAPSEG_CONSTANT_BYTES);
    if (draw(2) == 0)
        __atomic_store_n(&header->version, 4, __ATOMIC_SEQ_CST);
    if (draw(2) == 0)
        __atomic_store_n(&header->lock, 0, __ATOMIC_SEQ_CST);
}

void
scribble(struct stage *stage)
{
    const uint32_t kinds = sizeof scribbles / sizeof *scribbles;
    struct mapseg_header *header = map_arena();

    (void)stage;
    chance = (uint32_t)my_number * 104729 + 3;
    while (goes_on()) {
        uint32_t first = draw(kinds);
        uint32_t second = draw(kinds);
        uint32_t rounds = draw(3000);

        for (uint32_t i = 0; i < rounds && goes_on(); i++)
            scribbles[i % 2 == 0 ? first : second](header);
        restore(header);
        /* In turns quiet enough that a victim gets the lock, and gets it taken away. */
        if (draw(2) == 0)
            nap((int64_t)draw(2000) * MICROSECOND);
    }
}
