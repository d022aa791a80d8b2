/*
 * attachment.h - attaching to a file of any content, for two targets.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_FUZZ_ATTACHMENT_H
#define TESTS_FUZZ_ATTACHMENT_H

#include "fuzz.h"

/** Finds out whether files with names can be had too. */
void attachment_prepare(void);

/** Attaches to the file that the input describes and uses it. `guarded`: what
 *  touches its memory lies between mapseg_guard_begin and mapseg_guard_end. */
void attachment_run(const uint8_t *data, size_t bytes, bool guarded);

/** A seed, as fuzz_seed has it. */
size_t attachment_seed(size_t number, uint8_t seed[INPUT_BYTES]);

#endif
