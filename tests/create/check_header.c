/*
 * check_header.c - segments whose headers are damaged, of the future, or made by hand.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "refused.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define DATA_BYTES 10000

/* ----------------------------------------------- the header in the file -- */

static void
read_header(struct mapseg_header *header)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, header, sizeof *header, 0), sizeof *header);
    close(fd);
}

static void
write_header(const struct mapseg_header *header)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, header, sizeof *header, 0), sizeof *header);
    close(fd);
}

/// Writes a header that is changed, but not damaged.
static void
write_valid_header(struct mapseg_header *header)
{
    header->checksum = XXH3_64bits(header, MAPSEG_CHECKSUM_COVERS);
    write_header(header);
}

static void
resize_file(uint64_t size)
{
    ck_assert_int_eq(truncate(path, (off_t)size), 0);
}

/// A segment at the name, without attachments, and its header.
static void
make_segment(struct mapseg_header *header)
{
    leave_persistent(key, DATA_BYTES, 0);
    read_header(header);
}

/* ----------------------------------------------------------- the format -- */

START_TEST(header_is_as_documented)
{
    struct mapseg_header header;
    struct stat status;

    make_segment(&header);
    ck_assert_mem_eq(header.magic, MAPSEG_MAGIC, MAPSEG_MAGIC_BYTES);
    ck_assert_uint_eq(header.format, 1);
    ck_assert_uint_eq(header.header_size, 4096);
    ck_assert_uint_eq(header.data_offset % 4096, 0);
    ck_assert_uint_ge(header.data_offset, 4096);
    ck_assert_uint_eq(header.data_size, DATA_BYTES);
    ck_assert_uint_eq(header.flags, MAPSEG_HEADER_PERSISTENT);
    ck_assert_uint_eq(header.checksum, XXH3_64bits(&header, MAPSEG_CHECKSUM_COVERS));
    ck_assert_uint_eq(header.lock, 0);
    ck_assert_uint_eq(header.recoveries, 0);
    ck_assert_uint_eq(header.version % 2, 0);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_ge((uint64_t)status.st_size, header.data_offset + DATA_BYTES);
    remove_segment();
}
END_TEST

/// A file that no library made, and that keeps to the format, is a segment.
START_TEST(segment_made_by_hand)
{
    static const uint64_t offsets[] = {4096, 8192, 65536, 1 << 20};
    const uint64_t offset = offsets[_i];
    struct mapseg_header header = {.format = MAPSEG_FORMAT_VERSION};
    mapseg *seg;
    int fd;

    memcpy(header.magic, MAPSEG_MAGIC, MAPSEG_MAGIC_BYTES);
    header.header_size = MAPSEG_HEADER_BYTES;
    header.data_offset = offset;
    header.data_size = 11;
    header.user_tag = 42;
    write_file("", 0);
    write_valid_header(&header);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(pwrite(fd, "hello world", 11, (off_t)offset), 11);
    close(fd);
    seg = attached(key, MAPSEG_READ_WRITE);
    ck_assert_uint_eq(mapseg_size(seg), 11);
    ck_assert_mem_eq(mapseg_data(seg), "hello world", 11);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

/* --------------------------------------------------------------- damage -- */

/// Flips one bit after the other.
START_TEST(every_flipped_bit_is_found)
{
    struct mapseg_header good, bad;
    mapseg *seg;

    make_segment(&good);
    for (unsigned int bit = 0; bit < offsetof(struct mapseg_header, label) * 8; bit++) {
        const unsigned int byte = bit / 8;
        mapseg_result expected = byte < 8 ? MAPSEG_NOT_A_SEGMENT : MAPSEG_CORRUPT;
        mapseg_result or_this = byte >= 8 && byte < 12 ? MAPSEG_TOO_NEW : expected;

        bad = good;
        ((unsigned char *)&bad)[byte] ^= (unsigned char)(1 << bit % 8);
        write_header(&bad);
        check_refused(MAPSEG_READ_WRITE, expected, or_this);
        check_refused(MAPSEG_READ_ONLY, expected, or_this);
        if (bit % 16 == 0) {
            check_not_replaced();
            check_described(expected, or_this);
        }
        if (byte < 8)
            check_not_reclaimed();
    }
    write_header(&good);
    seg = attached(key, MAPSEG_READ_WRITE);
    mapseg_free(seg);
    remove_segment();
}
END_TEST

START_TEST(truncated_file)
{
    static const struct {
        uint64_t size;
        mapseg_result or_this;
    } rows[] = {
        {0, MAPSEG_NOT_A_SEGMENT},
        {1, MAPSEG_NOT_A_SEGMENT},
        {7, MAPSEG_NOT_A_SEGMENT},
        {8, MAPSEG_NOT_A_SEGMENT},
        {79, MAPSEG_NOT_A_SEGMENT},
        {80, MAPSEG_NOT_A_SEGMENT},
        {4095, MAPSEG_NOT_A_SEGMENT},
        {4096, MAPSEG_CORRUPT},
        {4097, MAPSEG_CORRUPT},
        {8192, MAPSEG_CORRUPT},
        {4096 + DATA_BYTES - 1, MAPSEG_CORRUPT},
    };
    struct mapseg_header header;

    make_segment(&header);
    resize_file(rows[_i].size);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_CORRUPT, rows[_i].or_this);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_CORRUPT, rows[_i].or_this);
    check_not_replaced();
    check_described(MAPSEG_CORRUPT, rows[_i].or_this);
    remove_segment();
}
END_TEST

/// A header of another size, or format 0, cannot be, whatever the checksum says.
START_TEST(header_that_makes_no_sense)
{
    static const uint32_t sizes[] = {0, 80, 4095, 4097, 8192, 0xffffffff};
    struct mapseg_header header;

    make_segment(&header);
    if (_i < 6)
        header.header_size = sizes[_i];
    else
        header.format = 0;
    write_valid_header(&header);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_CORRUPT, MAPSEG_TOO_NEW);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_CORRUPT, MAPSEG_TOO_NEW);
    remove_segment();
}
END_TEST

/// Geometry that leads out of the file, or that arithmetic could wrap into it.
START_TEST(geometry_that_makes_no_sense)
{
    static const struct {
        uint64_t offset;
        uint64_t size;
    } rows[] = {
        {0, DATA_BYTES},
        {1, DATA_BYTES},
        {80, DATA_BYTES},
        {2048, DATA_BYTES},
        {4095, DATA_BYTES},
        {4097, DATA_BYTES},
        {6144, DATA_BYTES},
        {8192 - 8, DATA_BYTES},
        {1 << 20, DATA_BYTES},
        {UINT64_C(1) << 32, DATA_BYTES},
        {UINT64_C(1) << 62, DATA_BYTES},
        {UINT64_C(1) << 63, DATA_BYTES},
        {UINT64_MAX - 4095, DATA_BYTES},
        {UINT64_MAX - 4095, 8192},
        {UINT64_MAX, 2},
        {4096, 0},
        {4096, 1 << 20},
        {4096, UINT64_C(1) << 32},
        {4096, UINT64_C(1) << 62},
        {4096, UINT64_C(1) << 63},
        {4096, UINT64_MAX},
        {4096, UINT64_MAX - 4095},
        {4096, UINT64_MAX - 8191},
    };
    mapseg_result or_this = MAPSEG_CORRUPT;
    struct mapseg_header header;

    make_segment(&header);
    header.data_offset = rows[_i].offset;
    header.data_size = rows[_i].size;
    write_valid_header(&header);
    /* Another machine's pages might be smaller than this one's. */
    if (header.data_offset > 4096 && header.data_offset < 8192)
        or_this = MAPSEG_NOT_SUPPORTED;
    check_refused(MAPSEG_READ_WRITE, MAPSEG_CORRUPT, or_this);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_CORRUPT, or_this);
    check_not_replaced();
    check_described(MAPSEG_CORRUPT, or_this);
    remove_segment();
}
END_TEST

/// The header fits the file, which is larger than any address space.
START_TEST(segment_too_large_to_map)
{
    struct mapseg_header header;

    make_segment(&header);
    header.data_size = UINT64_C(1) << 50;
    write_valid_header(&header);
    resize_file(header.data_offset + header.data_size);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_OUT_OF_RESOURCES, MAPSEG_OUT_OF_RESOURCES);
    remove_segment();
}
END_TEST

/// What cannot be relied on can still be taken away.
START_TEST(damaged_segment_can_be_removed)
{
    struct mapseg_header header;
    mapseg *seg = handle_for(key);

    make_segment(&header);
    header.data_size++;
    write_header(&header);
    need_call(MAPSEG_CORRUPT, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

/// The message tells the faults apart.
START_TEST(every_fault_has_its_own_words)
{
    enum { FAULTS = 9 };
    char *words[FAULTS];

    for (int i = 0; i < FAULTS; i++) {
        struct mapseg_header header;
        mapseg *seg = handle_for(key);

        make_segment(&header);
        switch (i) {
        case 0:
            remove_segment();
            break;
        case 1:
            remove_segment();
            ck_assert_int_eq(mkdir(path, 0700), 0);
            break;
        case 2:
            remove_segment();
            ck_assert_int_eq(symlink("nowhere", path), 0);
            break;
        case 3:
            header.magic[0] = 'x';
            write_header(&header);
            break;
        case 4:
            header.data_size++;
            write_header(&header);
            break;
        case 5:
            resize_file(5000);
            break;
        case 6:
            header.format = 2;
            write_valid_header(&header);
            break;
        case 7:
            header.flags |= 2;
            write_valid_header(&header);
            break;
        default:
            ck_assert_int_eq(chmod(path, 0622), 0);
            break;
        }
        ck_assert_int_ne(mapseg_attach(seg, MAPSEG_READ_WRITE), MAPSEG_OK);
        words[i] = strdup(mapseg_error_string(seg));
        for (int j = 0; j < i; j++)
            ck_assert_msg(strcmp(words[i], words[j]) != 0, "faults %d and %d: %s", i, j, words[i]);
        (void)(i == 1 ? rmdir(path) : unlink(path));
        mapseg_free(seg);
    }
    for (int i = 0; i < FAULTS; i++)
        free(words[i]);
}
END_TEST

/* ----------------------------------------------------------- the future -- */

/// A way of the future to be present cannot be seen: reclaim has no proof that the segment is
/// unused.
static void
check_nobody_is_proven(mapseg_result expected, mapseg_result or_this)
{
    mapseg *seg = handle_for(key);
    struct file_state state;

    take_file_state(&state, path);
    check_refusal(seg, mapseg_reclaim(seg), expected, or_this);
    check_file_state(&state, path);
    mapseg_free(seg);
}

START_TEST(format_from_the_future)
{
    static const uint32_t formats[] = {2, 3, 0x7fffffff, 0x80000000, 0xffffffff};
    struct mapseg_header header;

    make_segment(&header);
    header.format = formats[_i];
    write_valid_header(&header);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_TOO_NEW, MAPSEG_TOO_NEW);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_TOO_NEW, MAPSEG_TOO_NEW);
    check_not_replaced();
    check_not_reclaimed();
    check_nobody_is_proven(MAPSEG_TOO_NEW, MAPSEG_TOO_NEW);
    check_described(MAPSEG_TOO_NEW, MAPSEG_TOO_NEW);
    remove_segment();
}
END_TEST

static void
write_flag(struct mapseg_header *header, int bit)
{
    make_segment(header);
    header->flags |= UINT64_C(1) << bit;
    write_valid_header(header);
}

/// Bits 1 to 15: a program that does not know them may not touch the segment.
START_TEST(unknown_incompatible_flag)
{
    struct mapseg_header header;

    write_flag(&header, _i);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_TOO_NEW, MAPSEG_NOT_SUPPORTED);
    check_refused(MAPSEG_READ_ONLY, MAPSEG_TOO_NEW, MAPSEG_NOT_SUPPORTED);
    check_not_reclaimed();
    check_nobody_is_proven(MAPSEG_TOO_NEW, MAPSEG_NOT_SUPPORTED);
    check_described(MAPSEG_TOO_NEW, MAPSEG_NOT_SUPPORTED);
    remove_segment();
}
END_TEST

/// Bits 16 to 31: a program that does not know them may read, and writes nothing, not even the
/// header.
START_TEST(unknown_read_only_compatible_flag)
{
    struct mapseg_header header;
    struct file_state state;
    mapseg *seg = handle_for(key);

    write_flag(&header, _i);
    take_file_state(&state, path);
    check_refused(MAPSEG_READ_WRITE, MAPSEG_TOO_NEW, MAPSEG_NOT_SUPPORTED);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    ck_assert_uint_eq(mapseg_size(seg), DATA_BYTES);
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    check_file_state(&state, path);
    mapseg_free(seg);
    remove_segment();
}
END_TEST

/// Bits 33 to 63 do not matter to a program that does not know them.
START_TEST(unknown_compatible_flag)
{
    struct mapseg_header header;
    mapseg *seg;

    write_flag(&header, _i);
    seg = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
    seg = attached(key, MAPSEG_READ_ONLY);
    mapseg_free(seg);
    remove_segment();
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("headers");
    TCase *group = new_case(suite, "headers");

    tcase_add_checked_fixture(group, choose_key, NULL);
    tcase_add_test(group, header_is_as_documented);
    tcase_add_loop_test(group, segment_made_by_hand, 0, 4);
    tcase_add_test(group, every_flipped_bit_is_found);
    tcase_add_loop_test(group, truncated_file, 0, 11);
    tcase_add_loop_test(group, format_from_the_future, 0, 5);
    tcase_add_loop_test(group, header_that_makes_no_sense, 0, 7);
    tcase_add_loop_test(group, geometry_that_makes_no_sense, 0, 23);
    if (!under_valgrind())
        tcase_add_test(group, segment_too_large_to_map);
    tcase_add_loop_test(group, unknown_incompatible_flag, 1, 16);
    tcase_add_loop_test(group, unknown_read_only_compatible_flag, 16, 32);
    tcase_add_loop_test(group, unknown_compatible_flag, 33, 64);
    tcase_add_test(group, damaged_segment_can_be_removed);
    tcase_add_test(group, every_fault_has_its_own_words);
    return run_suite(suite);
}
