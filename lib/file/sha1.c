/*
 * sha1.c - SHA-1 (FIPS 180-4), for names alone.
 *
 * Qt 4.4 to 6.5 put the SHA-1 of a key into names, and these names have to be met. No security
 * rests on it, and the library is to need nothing but libc and xxHash: so it stands here, written
 * to be read and not to be fast.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sha1.h"

#include <string.h>

#define BLOCK_BYTES 64
#define LENGTH_BYTES 8
#define ROUNDS 80

static uint32_t
rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}

/** The most significant byte is the first, as everywhere in SHA-1. */
static uint32_t
load_word(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static void
store_word(uint8_t *to, uint32_t word)
{
    for (unsigned i = 0; i < 4; i++)
        to[i] = (uint8_t)(word >> (24 - 8 * i));
}

/** The function and the constant of a round. */
static uint32_t
mix(int round, uint32_t b, uint32_t c, uint32_t d)
{
    if (round < 20)
        return ((b & c) | (~b & d)) + 0x5a827999;
    if (round < 40)
        return (b ^ c ^ d) + 0x6ed9eba1;
    if (round < 60)
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

static void
take_block(uint32_t state[5], const uint8_t block[BLOCK_BYTES])
{
    uint32_t words[ROUNDS];
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

    for (int i = 0; i < 16; i++)
        words[i] = load_word(block + i * 4);
    for (int i = 16; i < ROUNDS; i++)
        words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    for (int i = 0; i < ROUNDS; i++) {
        const uint32_t next = rotate(a, 5) + mix(i, b, c, d) + e + words[i];

        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void
msi_sha1(const void *data, size_t bytes, uint8_t digest[MSI_SHA1_BYTES])
{
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const uint64_t bits = (uint64_t)bytes * 8;
    const uint8_t *from = data;
    uint8_t last[2 * BLOCK_BYTES] = {0};
    size_t padded;

    for (; bytes >= BLOCK_BYTES; bytes -= BLOCK_BYTES, from += BLOCK_BYTES)
        take_block(state, from);
    /* What is left, a bit that is set, and at the end of a block the length. */
    memcpy(last, from, bytes);
    last[bytes] = 0x80;
    padded = bytes + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    store_word(last + padded - 8, (uint32_t)(bits >> 32));
    store_word(last + padded - 4, (uint32_t)bits);
    for (size_t done = 0; done < padded; done += BLOCK_BYTES)
        take_block(state, last + done);
    for (int i = 0; i < 5; i++)
        store_word(digest + i * 4, state[i]);
}
