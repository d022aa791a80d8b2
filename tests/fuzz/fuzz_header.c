/*
 * fuzz_header.c - files of any content and length, by a program that has not
 * asked for the guard.
 *
 * SPDX-License-Identifier: MIT
 */
#include "attachment.h"

const char *
fuzz_objection(void)
{
    attachment_prepare();
    return NULL;
}

size_t
fuzz_seed(size_t number, uint8_t seed[INPUT_BYTES])
{
    return attachment_seed(number, seed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    attachment_run(data, bytes, false);
    return 0;
}
