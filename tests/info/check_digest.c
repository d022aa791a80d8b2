/*
 * check_digest.c - digests of data.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <stdlib.h>
#include <xxhash.h>

START_TEST(digest_is_xxh3)
{
    static const size_t sizes[] = {0,   1,    2,    3,    4,    7,     8,      9,
                                   16,  17,   32,   128,  129,  240,   241,    256,
                                   512, 1023, 1024, 1025, 4096, 65537, 1 << 20};
    const size_t size = sizes[_i];
    unsigned char *bytes = malloc(size + 1);
    uint64_t digest;

    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 251);
    digest = mapseg_digest(bytes, size);
    ck_assert_uint_eq(digest, XXH3_64bits(bytes, size));
    if (size > 0) {
        bytes[size - 1] ^= 1;
        ck_assert_uint_ne(mapseg_digest(bytes, size), digest);
    }
    free(bytes);
}
END_TEST

START_TEST(digest_of_nothing)
{
    ck_assert_uint_eq(mapseg_digest("", 0), UINT64_C(0x2d06800538d394c2));
    ck_assert_uint_eq(mapseg_digest(NULL, 0), UINT64_C(0x2d06800538d394c2));
}
END_TEST

START_TEST(digest_of_shared_data)
{
    char key[KEY_BYTES];
    mapseg *seg, *other;

    unique_key(key);
    seg = created(key, 100000);
    for (size_t i = 0; i < 100000; i++)
        ((unsigned char *)mapseg_data(seg))[i] = (unsigned char)(i * 7);
    other = attached(key, MAPSEG_READ_ONLY);
    ck_assert_uint_eq(mapseg_digest(mapseg_data(seg), mapseg_size(seg)),
                      mapseg_digest(mapseg_const_data(other), mapseg_size(other)));
    mapseg_free(seg);
    mapseg_free(other);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("digest");
    TCase *group = new_case(suite, "digest");

    tcase_add_loop_test(group, digest_is_xxh3, 0, 23);
    tcase_add_test(group, digest_of_nothing);
    tcase_add_test(group, digest_of_shared_data);
    return run_suite(suite);
}
