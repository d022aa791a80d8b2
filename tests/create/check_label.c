/*
 * check_label.c - what a segment is called: the plain key, or what the creator says instead.
 *
 * SPDX-License-Identifier: MIT
 */
#include "refused.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/// The segment's file has this label: these bytes, and zeros up to the lock.
static void
check_label_in(const char *file, const char *expected, size_t bytes)
{
    char label[MAPSEG_LABEL_BYTES] = "";
    struct mapseg_header *header = map_header(file);

    ck_assert_uint_lt(bytes, sizeof label);
    memcpy(label, expected, bytes);
    ck_assert_mem_eq(header->label, label, sizeof label);
}

/// What mapseg_info says of the handle's segment.
static void
check_label_told(mapseg *seg, const char *expected)
{
    mapseg_info *information = describe(seg);

    ck_assert_str_eq(information->label, expected);
    mapseg_info_free(information);
}

static mapseg_options
with_label(const char *label)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.label = label;
    return options;
}

/* -------------------------------------------------------- the plain key -- */

/// Plain keys: letters up to `before`, and what follows them; how many bytes the label keeps.
static const struct {
    size_t before;
    const char *then;
    size_t kept;
} plain_keys[] = {
    {40, "", 40},
    {47, "", 47},
    {48, "", 47},
    {200, "", 47},
    {40, "\nb\x1b[31m", 47},
    /* Characters of two, three and four bytes: whole, or not at all. */
    {45, "\u00fc", 47},
    {46, "\u00fc", 46},
    {44, "\u4e16", 47},
    {45, "\u4e16", 45},
    {46, "\u4e16", 46},
    {43, "\U0001f600", 47},
    {44, "\U0001f600", 44},
    {46, "\U0001f600", 46},
    /* What is no UTF-8 ends it. */
    {40, "\xfc is no character", 40},
    {40, "\xc3", 40},
    {40, "\xed\xa0\x80", 40},
    {40, "\xc0\x80", 40},
};
#define PLAIN_KEYS ((int)(sizeof plain_keys / sizeof *plain_keys))

START_TEST(plain_key_is_the_label)
{
    char text[KEY_BYTES], file[KEY_BYTES];
    mapseg *seg;

    memset(text, 'a', sizeof text);
    unique_name(text);
    text[strlen(text)] = 'a';
    strcpy(text + plain_keys[_i].before, plain_keys[_i].then);
    seg = mapseg_new_with_key(text);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    path_of(file, mapseg_native_key(seg));
    check_label_in(file, text, plain_keys[_i].kept);
    mapseg_free(seg);
    ck_assert(!exists(file));
}
END_TEST

START_TEST(native_key_gives_no_label)
{
    mapseg *seg = created(key, 10);

    check_label_in(path, "", 0);
    check_label_told(seg, "");
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------ the option -- */

/// With a native key, and with a plain one, in whose place it stands.
START_TEST(option_is_the_label)
{
    static const char *const labels[] = {
        "photos",
        "gr\u00fc\u00dfe \u4e16\u754c",
        "",
        "01234567890123456789012345678901234567890123456",
    };
    const mapseg_options options = with_label(labels[_i / 2]);
    mapseg *seg = _i % 2 == 0 ? handle_for(key) : mapseg_new_with_key(key + 4);
    char file[KEY_BYTES];

    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
    path_of(file, mapseg_native_key(seg));
    check_label_in(file, options.label, strlen(options.label));
    check_label_told(seg, options.label);
    mapseg_free(seg);
}
END_TEST

/// Only the creator says it.
START_TEST(label_stays_what_it_was)
{
    const mapseg_options first = with_label("first"), second = with_label("second");
    mapseg *seg = handle_for(key), *other = handle_for(key);
    bool made;

    need_call(MAPSEG_OK, seg,
              mapseg_create_or_attach_with(seg, 10, MAPSEG_READ_WRITE, &first, &made));
    ck_assert(made);
    need_call(MAPSEG_OK, other,
              mapseg_create_or_attach_with(other, 10, MAPSEG_READ_WRITE, &second, &made));
    ck_assert(!made);
    need_call(MAPSEG_OK, other, mapseg_detach(other));
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &second));
    check_label_told(seg, "first");
    check_label_told(other, "first");
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/// A caller that was compiled when there were no labels.
START_TEST(older_options_have_no_label)
{
    mapseg_options options = with_label((const char *)(uintptr_t)1);
    mapseg *seg = mapseg_new_with_key(key + 4);

    options.size = offsetof(mapseg_options, label);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
    check_label_told(seg, key + 4);
    mapseg_free(seg);
}
END_TEST

/// All calls refuse it, and do nothing.
static void
check_label_refused(const char *label)
{
    const mapseg_options options = with_label(label);
    mapseg *seg = handle_for(key), *holder;
    bool made;

    check_refusal(seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options),
                  MAPSEG_INVALID_ARGUMENT, MAPSEG_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(mapseg_error_string(seg), "label"));
    check_refusal(seg, mapseg_create_or_attach_with(seg, 10, MAPSEG_READ_WRITE, &options, &made),
                  MAPSEG_INVALID_ARGUMENT, MAPSEG_INVALID_ARGUMENT);
    ck_assert(!exists(path));
    holder = created(key, 10);
    check_refusal(seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options),
                  MAPSEG_INVALID_ARGUMENT, MAPSEG_INVALID_ARGUMENT);
    mapseg_free(holder);
    mapseg_free(seg);
}

START_TEST(label_that_cannot_be)
{
    static const char *const labels[] = {
        "012345678901234567890123456789012345678901234567",
        "0123456789012345678901234567890123456789012345\u00fc",
        "a much longer label, which could not be told from others if it were cut",
        "\xff",
        "gr\xfc\xdf",
        "cut \xc3",
        "cut \xe4\xb8",
        "cut \xf0\x9f\x98",
        "overlong \xc0\x80",
        "surrogate \xed\xa0\x80",
    };

    check_label_refused(labels[_i]);
}
END_TEST

/// Where the memory ends behind a label, nothing past it is read: neither behind the NUL of the
/// longest, nor behind the byte that makes it too long.
START_TEST(label_at_the_end_of_memory)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory, *end;
    mapseg_options options;
    mapseg *seg = handle_for(key);

    memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    end = memory + page;
    ck_assert_int_eq(mprotect(end, page, PROT_NONE), 0);
    memset(memory, 'a', page);
    check_label_refused(end - MAPSEG_LABEL_BYTES);
    end[-1] = '\0';
    options = with_label(end - MAPSEG_LABEL_BYTES);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
    check_label_told(seg, options.label);
    mapseg_free(seg);
    /* The first bytes of a character, and then none. */
    end[-2] = (char)0xe4;
    check_label_refused(end - 3);
    ck_assert_int_eq(munmap(memory, 2 * page), 0);
}
END_TEST

/* ---------------------------------------------------------- memory files -- */

/// Labels, and how they stand in the list of a process's mappings.
static const struct {
    const char *label;
    const char *name;
} memory_files[] = {
    {"photos", "/memfd:mapseg-photos (deleted)"},
    {"gr\u00fc\u00dfe", "/memfd:mapseg-gr\u00fc\u00dfe (deleted)"},
    {"app/photos", "/memfd:mapseg-app/photos (deleted)"},
    {"../up", "/memfd:mapseg-../up (deleted)"},
    {"a\nb\x1b[31m", "/memfd:mapseg-a\\x0Ab\\x1B[31m (deleted)"},
    {"", "/memfd:mapseg (deleted)"},
    {NULL, "/memfd:mapseg (deleted)"},
};
#define MEMORY_FILES ((int)(sizeof memory_files / sizeof *memory_files))

/// No other segment is mapped meanwhile: each test is a process of its own.
static void
check_memory_file(const char *label, const char *name, uint32_t flags)
{
    mapseg_options options = with_label(label);
    mapseg *seg = handle_for("memfd:");

    options.flags = flags;
    ck_assert_int_eq(count_mappings("/memfd:mapseg"), 0);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
    ck_assert_int_ge(count_mappings(name), 1);
    ck_assert_int_eq(count_mappings("/memfd:mapseg"), count_mappings(name));
    mapseg_free(seg);
}

START_TEST(memory_file_carries_its_label)
{
    check_memory_file(memory_files[_i].label, memory_files[_i].name, 0);
    check_memory_file(memory_files[_i].label, memory_files[_i].name, MAPSEG_SINGLE_WRITER);
}
END_TEST

/// No label is too long for the name, however it is written.
START_TEST(longest_name_of_a_memory_file)
{
    char label[MAPSEG_LABEL_BYTES] = "";
    char name[sizeof "mapseg-" + 4 * sizeof label] = "mapseg-";

    memset(label, '\x01', sizeof label - 1);
    for (size_t i = 0; i < sizeof label - 1; i++)
        strcat(name, "\\x01");
    check_memory_file(label, name, 0);
}
END_TEST

/// The label of a segment that only its creator can write is written through the mapping.
START_TEST(label_of_a_memory_file_is_told)
{
    mapseg_options options = with_label("photos");
    mapseg *seg = handle_for("memfd:"), *other = mapseg_new();
    int fd;

    options.flags = _i == 0 ? 0 : MAPSEG_SINGLE_WRITER;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
    check_label_told(seg, "photos");
    need_call(MAPSEG_OK, seg, mapseg_export_fd(seg, MAPSEG_READ_ONLY, &fd));
    need_call(MAPSEG_OK, other, mapseg_attach_fd(other, fd, MAPSEG_READ_ONLY));
    check_label_told(other, "photos");
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------- what others wrote -- */

/// Bytes that a process wrote over the label, and what is told of them.
static const struct {
    const char bytes[MAPSEG_LABEL_BYTES + 1];
    const char *told;
} hostile[] = {
    {"a\nb", "a\\x0Ab"},
    {"\x1b]0;title\a", "\\x1B]0;title\\x07"},
    {"abc\0def", "abc"},
    {"\u202egpj.exe", "\\xE2\\x80\\xAEgpj.exe"},
    {"a\\x41", "a\\x5Cx41"},
    {"\xff\xfe", "\\xFF\\xFE"},
    /* No NUL, and a character that the field's end cuts. */
    {"01234567890123456789012345678901234567890123456\xc3",
     "01234567890123456789012345678901234567890123456\\xC3"},
};
#define HOSTILE_LABELS ((int)(sizeof hostile / sizeof *hostile))

START_TEST(hostile_label_is_harmless)
{
    mapseg *seg = created(key, 10);

    memcpy(map_header(path)->label, hostile[_i].bytes, MAPSEG_LABEL_BYTES);
    check_label_told(seg, hostile[_i].told);
    mapseg_free(seg);
}
END_TEST

/// As long as it can come to be, and not cut.
START_TEST(longest_hostile_label)
{
    char told[4 * MAPSEG_LABEL_BYTES + 1] = "";
    mapseg *seg = created(key, 10);

    memset(map_header(path)->label, 0x9b, MAPSEG_LABEL_BYTES);
    for (int i = 0; i < MAPSEG_LABEL_BYTES; i++)
        strcat(told, "\\x9B");
    check_label_told(seg, told);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("label");
    TCase *group = new_case(suite, "label");

    tcase_add_checked_fixture(group, choose_key, NULL);
    tcase_add_loop_test(group, plain_key_is_the_label, 0, PLAIN_KEYS);
    tcase_add_test(group, native_key_gives_no_label);
    tcase_add_loop_test(group, option_is_the_label, 0, 8);
    tcase_add_test(group, label_stays_what_it_was);
    tcase_add_test(group, older_options_have_no_label);
    tcase_add_loop_test(group, label_that_cannot_be, 0, 10);
    tcase_add_test(group, label_at_the_end_of_memory);
    tcase_add_loop_test(group, memory_file_carries_its_label, 0, MEMORY_FILES);
    tcase_add_test(group, longest_name_of_a_memory_file);
    tcase_add_loop_test(group, label_of_a_memory_file_is_told, 0, 2);
    tcase_add_loop_test(group, hostile_label_is_harmless, 0, HOSTILE_LABELS);
    tcase_add_test(group, longest_hostile_label);
    return run_suite(suite);
}
