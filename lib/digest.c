/*
 * digest.c - digests of memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg.h"

#include <xxhash.h>

uint64_t
mapseg_digest(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}
