/*
 * check_huge.c - segments in huge pages, where the mount allows them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

static char key[KEY_BYTES];

/** Creates a segment on a fresh tmpfs, fills it and says how much of it is huge. */
static uint64_t
huge_bytes_of(const char *mount_options, size_t size, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_info *information;
    uint64_t bytes;
    mapseg *seg;

    use_tiny_shm(mount_options);
    unique_key(key);
    seg = handle_for(key);
    options.flags = flags;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, size, MAPSEG_READ_WRITE, &options));
    memset(mapseg_data(seg), 0x5a, size);
    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    bytes = information->huge_bytes;
    ck_assert_uint_eq(information->file_size, size + 4096);
    mapseg_info_free(information);
    mapseg_free(seg);
    return bytes;
}

START_TEST(advised_mounts_give_huge_pages)
{
    uint64_t bytes = huge_bytes_of("size=64m,huge=advise", 32 * MIB, 0);

    ck_assert_msg(bytes >= 28 * MIB, "only %llu bytes are huge", (unsigned long long)bytes);
}
END_TEST

START_TEST(plain_mounts_give_none)
{
    ck_assert_uint_eq(huge_bytes_of("size=64m,huge=never", 32 * MIB, 0), 0);
}
END_TEST

START_TEST(a_full_mount_is_still_refused)
{
    mapseg *seg;

    use_tiny_shm("size=16m,huge=always");
    unique_key(key);
    seg = handle_for(key);
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_create(seg, 32 * MIB, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 8 * MIB, MAPSEG_READ_WRITE));
    memset(mapseg_data(seg), 1, 8 * MIB);
    mapseg_free(seg);
}
END_TEST

/** Whether this kernel has huge pages for a tmpfs that asks for them. */
static bool
kernel_has_huge_pages(void)
{
    char setting[128] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "re");

    if (file == NULL)
        return false;
    bool read = fgets(setting, sizeof setting, file) != NULL;

    fclose(file);
    return read && strstr(setting, "[deny]") == NULL && strstr(setting, "[force]") == NULL;
}

int
main(void)
{
    Suite *suite = new_suite("huge");
    TCase *test_case = new_case(suite, "huge");

    if (skip_unless(can_mount(), "a private mount of /dev/shm") &&
        skip_unless(kernel_has_huge_pages(), "a kernel whose tmpfs can have huge pages")) {
        tcase_add_test(test_case, advised_mounts_give_huge_pages);
        tcase_add_test(test_case, plain_mounts_give_none);
        tcase_add_test(test_case, a_full_mount_is_still_refused);
    }
    return run_suite(suite);
}
