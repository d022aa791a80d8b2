/*
 * mutate.c - pseudo-random changes of an input.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mutate.h"

#include <string.h>

/* Where the sizes, words and offsets of segments change their meaning. */
static const uint64_t limits[] = {
    0,
    1,
    2,
    7,
    8,
    63,
    64,
    65,
    0x7f,
    0x80,
    0xff,
    0x100,
    0xfff,
    0x1000,
    0x1001,
    0x2000,
    0x7fff,
    0xffff,
    0x10000,
    0xfffff,
    0x100000,
    0x200000,
    0x3fffffff,
    0x40000000,
    0x7fffffff,
    0x80000000,
    0xc0000000,
    0xffffffff,
    0x100000000,
    UINT64_C(1) << 46,
    UINT64_C(1) << 47,
    UINT64_C(1) << 62,
    (UINT64_C(1) << 62) - 0x1000,
    INT64_MAX - 0xfff,
    INT64_MAX,
    UINT64_C(1) << 63,
    UINT64_MAX - 0xfff,
    UINT64_MAX,
};

uint64_t
next_number(uint64_t *state)
{
    uint64_t number = *state += UINT64_C(0x9e3779b97f4a7c15);

    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

/** A number below `limit`, which is not 0. */
static size_t
below(uint64_t *state, size_t limit)
{
    return (size_t)(next_number(state) % limit);
}

/** Sets 1, 2, 4 or 8 bytes, mostly where a field could begin. */
static void
set_limit(uint64_t *state, uint8_t *bytes, size_t size)
{
    size_t width = (size_t)1 << below(state, 4);
    uint64_t value = limits[below(state, sizeof limits / sizeof *limits)];
    size_t at = below(state, size);

    if (below(state, 4) != 0)
        at -= at % width;
    if (below(state, 4) == 0)
        value += below(state, 3) - 1;
    memcpy(bytes + at, &value, width < size - at ? width : size - at);
}

/** Adds a little to 1, 2, 4 or 8 bytes. */
static void
add_little(uint64_t *state, uint8_t *bytes, size_t size)
{
    size_t width = (size_t)1 << below(state, 4);
    size_t at = below(state, size);
    uint64_t value = 0;

    width = width < size - at ? width : size - at;
    memcpy(&value, bytes + at, width);
    value += below(state, 33) - 16;
    memcpy(bytes + at, &value, width);
}

/** Puts a piece of `from` into the input, over what is there or before it. */
static size_t
put_piece(uint64_t *state, uint8_t *bytes, size_t size, size_t room, const uint8_t *from,
          size_t from_size)
{
    size_t begin = below(state, from_size);
    size_t length = 1 + below(state, from_size - begin);
    size_t at = below(state, size + 1);

    if (below(state, 2) == 0 && length <= room - size) {
        memmove(bytes + at + length, bytes + at, size - at);
        size += length;
    } else if (length > room - at) {
        length = room - at;
    }
    memmove(bytes + at, from + begin, length);
    return at + length > size ? at + length : size;
}

static size_t
take_piece(uint64_t *state, uint8_t *bytes, size_t size)
{
    size_t at = below(state, size);
    size_t length = 1 + below(state, size - at < 16 ? size - at : 16);

    memmove(bytes + at, bytes + at + length, size - at - length);
    return size - length;
}

size_t
mutate(uint64_t *state, uint8_t *bytes, size_t size, size_t room, const uint8_t *other,
       size_t other_size)
{
    for (size_t changes = 1 + below(state, 6); changes > 0; changes--) {
        uint8_t random = (uint8_t)next_number(state);

        if (size == 0) {
            bytes[size++] = random;
            continue;
        }
        switch (below(state, 8)) {
        case 0:
        case 1:
            bytes[below(state, size)] ^= (uint8_t)(1U << (random & 7));
            break;
        case 2:
            bytes[below(state, size)] = random;
            break;
        case 3:
            set_limit(state, bytes, size);
            break;
        case 4:
            add_little(state, bytes, size);
            break;
        case 5:
            if (other_size > 0)
                size = put_piece(state, bytes, size, room, other, other_size);
            break;
        case 6:
            if (size < room)
                size = put_piece(state, bytes, size, room, &random, 1);
            break;
        default:
            size = below(state, 8) == 0 ? below(state, size + 1) : take_piece(state, bytes, size);
            break;
        }
    }
    return size;
}
