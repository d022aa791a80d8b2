/*
 * check_sha1.c - SHA-1: the vectors of FIPS 180, and what sha1sum says.
 *
 * SPDX-License-Identifier: MIT
 */
#include "file/sha1.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
digest_of(const void *data, size_t bytes, char text[2 * MSI_SHA1_BYTES + 1])
{
    uint8_t digest[MSI_SHA1_BYTES];

    msi_sha1(data, bytes, digest);
    for (int i = 0; i < MSI_SHA1_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static const struct {
    const char *text;
    const char *digest;
} vectors[] = {
    {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
    {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmno"
     "pqrsmnopqrstnopqrstu",
     "a49b2446a02c645bf419f995b67091253a04a259"},
    {"The quick brown fox jumps over the lazy dog", "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"},
};

START_TEST(vector_has_its_digest)
{
    char text[2 * MSI_SHA1_BYTES + 1];

    digest_of(vectors[_i].text, strlen(vectors[_i].text), text);
    ck_assert_str_eq(text, vectors[_i].digest);
}
END_TEST

START_TEST(a_million_letters)
{
    const size_t bytes = 1000000;
    char *letters = malloc(bytes);
    char text[2 * MSI_SHA1_BYTES + 1];

    ck_assert_ptr_nonnull(letters);
    memset(letters, 'a', bytes);
    digest_of(letters, bytes, text);
    ck_assert_str_eq(text, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    free(letters);
}
END_TEST

/** What sha1sum prints for the bytes. */
static void
digest_by_sha1sum(const uint8_t *data, size_t bytes, char text[2 * MSI_SHA1_BYTES + 1])
{
    char path[] = "/dev/shm/mapsegtestsha1XXXXXX", command[sizeof path + 16];
    int fd = mkstemp(path);
    FILE *output;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, bytes), (ssize_t)bytes);
    snprintf(command, sizeof command, "sha1sum <%s", path);
    output = popen(command, "r");
    ck_assert_ptr_nonnull(output);
    ck_assert_ptr_nonnull(fgets(text, 2 * MSI_SHA1_BYTES + 1, output));
    pclose(output);
    close(fd);
    unlink(path);
}

/// The lengths around those at which the padding takes another block.
START_TEST(sha1sum_says_the_same)
{
    static const size_t lengths[] = {0,   1,   3,   54,  55,  56,  57,  62,  63,  64,  65,
                                     118, 119, 120, 121, 127, 128, 129, 183, 184, 255, 4096};
    uint8_t data[4096];

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 167 + i / 256);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char ours[2 * MSI_SHA1_BYTES + 1], theirs[2 * MSI_SHA1_BYTES + 1];

        digest_of(data, lengths[i], ours);
        digest_by_sha1sum(data, lengths[i], theirs);
        ck_assert_msg(strcmp(ours, theirs) == 0, "%zu bytes: %s, not %s", lengths[i], ours, theirs);
    }
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("SHA-1");
    TCase *group = new_case(suite, "SHA-1");

    tcase_add_loop_test(group, vector_has_its_digest, 0, sizeof vectors / sizeof *vectors);
    tcase_add_test(group, a_million_letters);
    if (skip_unless(system("sha1sum </dev/null >/dev/null 2>&1") == 0,
                    "sha1sum_says_the_same: there is no sha1sum"))
        tcase_add_test(group, sha1sum_says_the_same);
    return run_suite(suite);
}
