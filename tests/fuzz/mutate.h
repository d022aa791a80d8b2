/*
 * mutate.h - pseudo-random changes of an input.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_FUZZ_MUTATE_H
#define TESTS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/** The next number of a row; the state may have any value. */
uint64_t next_number(uint64_t *state);

/** Changes an input of `size` bytes in a few places, and returns its new size,
 *  which is `room` at most. `other` is an input to take pieces from. */
size_t mutate(uint64_t *state, uint8_t *bytes, size_t size, size_t room, const uint8_t *other,
              size_t other_size);

#endif
