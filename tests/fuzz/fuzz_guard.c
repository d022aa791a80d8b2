/*
 * fuzz_guard.c - files of any content that become shorter while they are in use,
 * by a program that touches their memory under the guard.
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
    attachment_run(data, bytes, true);
    return 0;
}
