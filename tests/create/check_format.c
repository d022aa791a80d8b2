/*
 * check_format.c - format 1 as mapseg-format(5) has it: segments made of its table alone, and
 * the library's own, byte by byte.
 *
 * What is written here of offsets and numbers is the table of the manual once more, and neither
 * mapseg-format.h nor the library's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "refused.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define HEADER 4096
#define DATA "hello world"
#define DATA_BYTES 11
#define FILE_BYTES (HEADER + DATA_BYTES)

#define FLAGS (UINT64_C(1) << 0 | UINT64_C(1) << 32) /* persistent, fair */
#define CREATED UINT64_C(1700000000123456789)
#define TAG UINT64_C(0x0123456789abcdef)
#define LABEL "Gr\u00f6\u00dfe \u4e16\u754c"

static unsigned char image[FILE_BYTES];

/* ------------------------------------------------------------ the table -- */

static void
put_32(size_t offset, uint32_t number)
{
    memcpy(image + offset, &number, sizeof number);
}

static void
put_64(size_t offset, uint64_t number)
{
    memcpy(image + offset, &number, sizeof number);
}

static void
put_id(unsigned char *to)
{
    for (int i = 0; i < 16; i++)
        to[i] = (unsigned char)(0x10 + i);
}

/// A segment in the memory of this test, from the table.
static void
make_image(void)
{
    memset(image, 0, sizeof image);
    memcpy(image, "\x89MAPSEG\n", 8);
    put_32(8, 1);
    put_32(12, HEADER);
    put_64(16, HEADER);
    put_64(24, DATA_BYTES);
    put_64(32, FLAGS);
    put_64(40, CREATED);
    put_id(image + 48);
    put_64(64, TAG);
    put_64(72, XXH3_64bits(image, 72));
    memcpy(image + 80, LABEL, strlen(LABEL));
    memcpy(image + HEADER, DATA, DATA_BYTES);
}

/// The two are the same, or the test says where they differ.
static void
check_same(const unsigned char *got, const unsigned char *expected, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        ck_assert_msg(got[i] == expected[i], "byte %zu is 0x%02x, not 0x%02x", i, got[i],
                      expected[i]);
}

static void
read_segment(unsigned char *to, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, to, bytes, 0), (ssize_t)bytes);
    close(fd);
}

static uint32_t
number_32(size_t offset)
{
    unsigned char header[HEADER];
    uint32_t number;

    read_segment(header, sizeof header);
    memcpy(&number, header + offset, sizeof number);
    return number;
}

static uint64_t
number_64(size_t offset)
{
    unsigned char header[HEADER];
    uint64_t number;

    read_segment(header, sizeof header);
    memcpy(&number, header + offset, sizeof number);
    return number;
}

/* --------------------------------------- the library reads what others wrote -- */

/// The segment at the name is the one of the image.
static void
check_accepted(void)
{
    mapseg *seg = attached(key, MAPSEG_READ_WRITE);
    mapseg_info *information = describe(seg);
    unsigned char id[16];

    put_id(id);
    ck_assert_uint_eq(mapseg_size(seg), DATA_BYTES);
    ck_assert_mem_eq(mapseg_data(seg), DATA, DATA_BYTES);
    ck_assert_int_eq(information->verdict, MAPSEG_OK);
    ck_assert_uint_eq(information->format, 1);
    ck_assert_uint_eq(information->data_offset, HEADER);
    ck_assert_uint_eq(information->data_size, DATA_BYTES);
    ck_assert_uint_eq(information->header_flags, FLAGS);
    ck_assert_uint_eq(information->created_ns, CREATED);
    ck_assert_mem_eq(information->id, id, sizeof id);
    ck_assert_uint_eq(information->user_tag, TAG);
    ck_assert_str_eq(information->label, LABEL);
    mapseg_info_free(information);
    mapseg_free(seg);
}

START_TEST(segment_of_the_table_alone)
{
    make_image();
    write_file((const char *)image, sizeof image);
    check_accepted();
    remove_segment();
}
END_TEST

/// What changes lies where the table says, too.
START_TEST(counters_of_the_table)
{
    mapseg_info *information;
    mapseg *seg;

    make_image();
    put_64(144, 3);
    put_64(152, UINT64_C(0x500000004));
    put_64(160, UINT64_C(0x400000003));
    put_64(168, UINT64_C(0x300000002));
    put_64(256, UINT64_C(0x700000008));
    write_file((const char *)image, sizeof image);
    seg = handle_for(key);
    information = describe(seg);
    ck_assert_uint_eq(information->recoveries, 3);
    ck_assert_uint_eq(information->contended, UINT64_C(0x500000004));
    ck_assert_uint_eq(information->slept, UINT64_C(0x400000003));
    ck_assert_uint_eq(information->longest_wait_ns, UINT64_C(0x300000002));
    ck_assert_uint_eq(information->version, UINT64_C(0x700000008));
    mapseg_info_free(information);
    mapseg_free(seg);
    remove_segment();
}
END_TEST

START_TEST(lock_and_version_of_the_table)
{
    mapseg *seg;

    make_image();
    put_64(256, 8);
    write_file((const char *)image, sizeof image);
    seg = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    ck_assert_uint_eq(number_32(128) & 0x3fffffff, slot_in_maps(getpid(), path));
    ck_assert_uint_eq(number_32(132), (uint32_t)getpid());
    ck_assert_uint_eq(number_32(136), (uint32_t)getpid());
    need_call(MAPSEG_ALREADY_LOCKED, seg, mapseg_write_begin(seg));
    ck_assert_uint_eq(number_64(256), 9);
    need_call(MAPSEG_OK, seg, mapseg_write_end(seg));
    ck_assert_uint_eq(number_64(256), 10);
    ck_assert_uint_eq(number_32(128), 0);
    mapseg_free(seg);
    remove_segment();
}
END_TEST

/* ------------------------------------------ others read what the library wrote -- */

static int
known_id(void *to, size_t bytes)
{
    unsigned char id[16];

    if (bytes != sizeof id)
        return -EIO;
    put_id(id);
    memcpy(to, id, bytes);
    return 0;
}

static int64_t
known_time(void)
{
    return (int64_t)CREATED;
}

/// With the random bytes and the time of the image, the library makes the image.
START_TEST(library_writes_the_table)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    unsigned char got[FILE_BYTES];
    mapseg *seg = handle_for(key);

    make_image();
    msi_os.random = known_id;
    msi_os.real_ns = known_time;
    options.flags = MAPSEG_PERSISTENT | MAPSEG_FAIR;
    options.user_tag = TAG;
    options.label = LABEL;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    memcpy(mapseg_data(seg), DATA, DATA_BYTES);
    mapseg_free(seg);
    read_segment(got, sizeof got);
    check_same(got, image, sizeof got);
    remove_segment();
}
END_TEST

/* ------------------------------------------------- the file for other programs -- */

/// Reads lines as xxd writes them: an offset, a colon, and bytes; "#": a comment.
static void
read_hexadecimal(const char *name, unsigned char *to, size_t bytes)
{
    FILE *file = fopen(name, "re");
    char line[200];

    ck_assert_msg(file != NULL, "cannot open %s", name);
    memset(to, 0, bytes);
    while (fgets(line, sizeof line, file) != NULL) {
        char *next = line;
        size_t offset;

        if (*line == '#')
            continue;
        offset = strtoul(line, &next, 16);
        ck_assert_int_eq(*next, ':');
        for (next++; *next != '\n'; offset++) {
            ck_assert_uint_lt(offset, bytes);
            to[offset] = (unsigned char)strtoul(next, &next, 16);
        }
    }
    (void)fclose(file);
}

START_TEST(file_for_others_is_a_segment)
{
    const char *source = getenv("abs_top_srcdir");
    unsigned char kept[FILE_BYTES];
    char name[4096];

    (void)snprintf(name, sizeof name, "%s/tests/create/format1.hex", source != NULL ? source : ".");
    read_hexadecimal(name, kept, sizeof kept);
    make_image();
    check_same(kept, image, sizeof kept);
    write_file((const char *)kept, sizeof kept);
    check_accepted();
    remove_segment();
}
END_TEST

/* ------------------------------------------------------------ reserved bytes -- */

static const struct {
    size_t first;
    size_t last;
} reserved[] = {{180, 255}, {268, 271}, {272, 279}, {280, 511}, {512, 4095}};

/// A later library may have put something there, which does not matter to this one: it works as
/// ever, and leaves it as it is.
START_TEST(reserved_bytes_are_left_alone)
{
    unsigned char got[FILE_BYTES];
    mapseg *seg, *reader;
    char copy[DATA_BYTES];
    uint64_t version;

    make_image();
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        for (size_t byte = reserved[i].first; byte <= reserved[i].last; byte++)
            image[byte] = (unsigned char)(byte * 7 | 1);
    write_file((const char *)image, sizeof image);
    check_accepted();
    seg = attached(key, MAPSEG_READ_WRITE);
    reader = attached(key, MAPSEG_READ_ONLY);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_WOULD_BLOCK, reader, mapseg_try_lock(reader));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "HELLO", 5));
    need_call(MAPSEG_OK, reader, mapseg_wait(reader, 0, &version, HANG));
    ck_assert_uint_eq(version, 2);
    need_call(MAPSEG_OK, reader, mapseg_read(reader, 0, copy, sizeof copy, &version));
    ck_assert_mem_eq(copy, "HELLO world", sizeof copy);
    mapseg_free(reader);
    mapseg_free(seg);
    read_segment(got, sizeof got);
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        check_same(got + reserved[i].first, image + reserved[i].first,
                   reserved[i].last - reserved[i].first + 1);
    remove_segment();
}
END_TEST

/* ----------------------------------------------------------------- page sizes -- */

static size_t
large_pages(void)
{
    return 65536;
}

static size_t
small_pages(void)
{
    return 4096;
}

/// Made where pages have 64 KiB, used where they have 4.
START_TEST(segment_of_larger_pages)
{
    mapseg_info *information;
    mapseg *seg;

    msi_os.page_size = large_pages;
    seg = created_as(key, DATA_BYTES, MAPSEG_PERSISTENT);
    memcpy(mapseg_data(seg), DATA, DATA_BYTES);
    mapseg_free(seg);
    ck_assert_uint_eq(number_64(16), 65536);
    ck_assert_uint_eq(number_32(12), HEADER);

    msi_os.page_size = small_pages;
    seg = attached(key, MAPSEG_READ_WRITE);
    ck_assert_uint_eq(mapseg_size(seg), DATA_BYTES);
    ck_assert_mem_eq(mapseg_const_data(seg), DATA, DATA_BYTES);
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "HELLO", 5));
    information = describe(seg);
    ck_assert_int_eq(information->verdict, MAPSEG_OK);
    ck_assert_uint_eq(information->data_offset, 65536);
    mapseg_info_free(information);
    mapseg_free(seg);

    msi_os.page_size = large_pages;
    seg = attached(key, MAPSEG_READ_ONLY);
    ck_assert_mem_eq(mapseg_const_data(seg), "HELLO world", DATA_BYTES);
    mapseg_free(seg);
    remove_segment();
}
END_TEST

/// Made where pages have 4 KiB: where they have 64 its data would not begin at one.
START_TEST(segment_of_smaller_pages)
{
    mapseg *seg = handle_for(key);

    msi_os.page_size = small_pages;
    leave_persistent(key, DATA_BYTES, 0);
    msi_os.page_size = large_pages;
    check_refused(MAPSEG_READ_WRITE, MAPSEG_NOT_SUPPORTED, MAPSEG_NOT_SUPPORTED);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_NOT_SUPPORTED, MAPSEG_NOT_SUPPORTED);
    check_not_replaced();
    check_described(MAPSEG_NOT_SUPPORTED, MAPSEG_NOT_SUPPORTED);
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert_ptr_nonnull(strstr(mapseg_error_string(seg), "byte 4096"));
    ck_assert_ptr_nonnull(strstr(mapseg_error_string(seg), "page size"));
    mapseg_free(seg);
    remove_segment();
}
END_TEST

/* -------------------------------------------------------------- program -- */

static bool
begins_with_least(void)
{
    const uint32_t one = 1;
    unsigned char first;

    memcpy(&first, &one, 1);
    return first == 1;
}

int
main(void)
{
    Suite *suite = new_suite("format");
    TCase *group = new_case(suite, "format");

    if (!skip_unless(sysconf(_SC_PAGESIZE) == 4096, "pages do not have 4096 bytes here"))
        return EXIT_SKIPPED;
    tcase_add_checked_fixture(group, choose_key, NULL);
    tcase_add_test(group, segment_of_the_table_alone);
    tcase_add_test(group, counters_of_the_table);
    tcase_add_test(group, lock_and_version_of_the_table);
    tcase_add_test(group, library_writes_the_table);
    if (skip_unless(begins_with_least(), "numbers begin with their most significant byte here"))
        tcase_add_test(group, file_for_others_is_a_segment);
    tcase_add_test(group, reserved_bytes_are_left_alone);
    tcase_add_test(group, segment_of_larger_pages);
    tcase_add_test(group, segment_of_smaller_pages);
    return run_suite(suite);
}
