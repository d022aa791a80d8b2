/*
 * check_lazy.c - writing to a segment whose memory was not reserved.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#define DATA_BYTES 65536

/** That there is no memory for what was not reserved is told apart from a shortened file, and keeps
 *  no other process out for ever; by itself, and guarded. */
START_TEST(write_without_memory)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    static char block[DATA_BYTES * 8];
    mapseg *seg, *other;
    mapseg_result result;
    char key[KEY_BYTES];
    uint64_t version;
    char byte;

    unique_key(key);
    use_tiny_shm("size=256k");
    options.flags = MAPSEG_LAZY | (_i == 0 ? 0 : (uint32_t)MAPSEG_GUARDED);
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, sizeof block, MAPSEG_READ_WRITE, &options));
    other = attached_as(key, MAPSEG_READ_WRITE, options.flags);
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_write(seg, 0, block, sizeof block));
    need_call(MAPSEG_OWNER_DIED, other, mapseg_read_for(other, 0, &byte, 1, NULL, 1000000));
    result = mapseg_write_begin(other);
    need_call(MAPSEG_OWNER_DIED, other, result);
    need_call(MAPSEG_OK, other, mapseg_consistent(other));
    need_call(MAPSEG_OK, other, mapseg_write_end(other));
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, block, 10));
    need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, &byte, 1, &version));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("lazy");
    TCase *group = new_case(suite, "no memory");

    if (skip_unless(can_mount(), "a private mount namespace"))
        tcase_add_loop_test(group, write_without_memory, 0, 2);
    return run_suite(suite);
}
