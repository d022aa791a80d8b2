/*
 * check_options.c - the options of mapseg_create_with and mapseg_attach_with.
 *
 * SPDX-License-Identifier: MIT
 */
#include "refused.h"

#include <sys/mman.h>
#include <unistd.h>

struct larger_options {
    mapseg_options known;
    unsigned char tail[64];
};

/// The call fails, and neither creates nor changes anything.
static void
check_options_refused(const mapseg_options *options, mapseg_result expected)
{
    mapseg *seg = handle_for(key);
    struct footprint before;

    take_footprint(&before, NULL);
    check_refusal(seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, options), expected, expected);
    ck_assert(!exists(path));
    check_footprint(&before, NULL);
    mapseg_free(seg);
}

static void
check_attach_options_refused(const mapseg_options *options, mapseg_result expected)
{
    mapseg *seg = handle_for(key), *holder = created(key, 10);
    struct footprint before;

    take_footprint(&before, path);
    check_refusal(seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, options), expected, expected);
    check_footprint(&before, path);
    mapseg_free(seg);
    mapseg_free(holder);
}

START_TEST(options_of_a_size_that_cannot_be)
{
    static const size_t sizes[] = {0, 1, sizeof(size_t) - 1, SIZE_MAX / 2, SIZE_MAX};
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    mapseg_options *options;
    char *memory;

    /* They end where memory ends: nothing past them may be read. */
    memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    ck_assert_int_eq(mprotect(memory + page, page, PROT_NONE), 0);
    options = (mapseg_options *)(void *)(memory + page - sizeof *options);
    options->size = sizes[_i];
    check_options_refused(options, MAPSEG_INVALID_ARGUMENT);
    check_attach_options_refused(options, MAPSEG_INVALID_ARGUMENT);
    ck_assert_int_eq(munmap(memory, 2 * page), 0);
}
END_TEST

/// A caller compiled with a later header, that uses nothing of what is new.
START_TEST(larger_options_with_an_empty_tail)
{
    struct larger_options options = {.known = MAPSEG_OPTIONS_INIT};
    mapseg *seg = handle_for(key), *other = handle_for(key);

    options.known.size = sizeof options;
    options.known.user_tag = 7;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options.known));
    options.known.flags = MAPSEG_REQUIRE_TAG;
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options.known));
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(!exists(path));
}
END_TEST

/// One that does use it.
START_TEST(larger_options_with_a_tail)
{
    struct larger_options options = {.known = MAPSEG_OPTIONS_INIT};

    options.known.size = sizeof options;
    options.tail[_i] = 1;
    check_options_refused(&options.known, MAPSEG_NOT_SUPPORTED);
    check_attach_options_refused(&options.known, MAPSEG_NOT_SUPPORTED);
}
END_TEST

START_TEST(unknown_option_flag)
{
    const uint32_t known =
        MAPSEG_PERSISTENT | MAPSEG_LAZY | MAPSEG_RECLAIM | MAPSEG_FAIR | MAPSEG_NO_FORK |
        MAPSEG_REQUIRE_TAG | MAPSEG_SINGLE_WRITER | MAPSEG_UNTRUSTED_PEER | MAPSEG_GUARDED |
        MAPSEG_ALLOW_OTHER_OWNER | MAPSEG_ALLOW_SHARED_WRITE | MAPSEG_ALLOW_HARD_LINKS |
        MAPSEG_ALLOW_SHARED_DIRECTORY | MAPSEG_KEEP_NAME | MAPSEG_STALE_ONLY | MAPSEG_REQUIRE_ID |
        MAPSEG_TAKE_DESCRIPTOR | MAPSEG_SILENT_WAITERS | MAPSEG_NO_SILENT_WAITERS |
        MAPSEG_ALLOW_GROUP | MAPSEG_DUMP | MAPSEG_LOCKED | MAPSEG_RAW | MAPSEG_REMOVE_WITH_LAST |
        MAPSEG_REPLACE | MAPSEG_WATCH_NAME | MAPSEG_WATCH_WRITERS;
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    for (int bit = 0; bit < 32; bit++) {
        options.flags = UINT32_C(1) << bit;
        if ((options.flags & known) != 0)
            continue;
        check_options_refused(&options, MAPSEG_NOT_SUPPORTED);
        check_attach_options_refused(&options, MAPSEG_NOT_SUPPORTED);
    }
}
END_TEST

START_TEST(group_that_cannot_be)
{
    static const uint64_t groups[] = {UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX, 0};
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.group = groups[_i];
    /* None is no group to trust. */
    options.flags = groups[_i] == 0 ? (uint32_t)MAPSEG_ALLOW_GROUP : 0;
    check_options_refused(&options, MAPSEG_INVALID_ARGUMENT);
    check_attach_options_refused(&options, MAPSEG_INVALID_ARGUMENT);
}
END_TEST

START_TEST(mode_that_cannot_be)
{
    static const uint32_t modes[] = {01, 010, 0700, 0777, 01600, 02600, 04600, 0100600, 0x80000000};
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.mode = modes[_i];
    check_options_refused(&options, MAPSEG_INVALID_ARGUMENT);
}
END_TEST

/// The mode is what was asked for, whatever the umask.
START_TEST(mode_is_exact)
{
    static const uint32_t modes[] = {0600, 0640, 0644, 0660, 0666, 0606};
    static const mode_t umasks[] = {0, 022, 0777};
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct stat status;

    for (int i = 0; i < 3; i++) {
        mapseg *seg = handle_for(key);

        umask(umasks[i]);
        options.mode = modes[_i];
        need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
        ck_assert_int_eq(stat(path, &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, modes[_i]);
        mapseg_free(seg);
        ck_assert(!exists(path));
    }
}
END_TEST

START_TEST(access_that_cannot_be)
{
    mapseg *seg = handle_for(key), *holder;

    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_create(seg, 10, (mapseg_access)2));
    ck_assert(!exists(path));
    holder = created(key, 10);
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_attach(seg, (mapseg_access)-1));
    ck_assert(!mapseg_is_attached(seg));
    mapseg_free(holder);
    mapseg_free(seg);
}
END_TEST

START_TEST(user_tag_is_demanded)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key), *other = handle_for(key);
    struct footprint before;

    options.user_tag = UINT64_C(0x123456789abcdef0);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
    options.flags = MAPSEG_REQUIRE_TAG;
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, other, mapseg_detach(other));
    take_footprint(&before, path);
    for (int bit = 0; bit < 64; bit += 9) {
        options.user_tag = UINT64_C(0x123456789abcdef0) ^ UINT64_C(1) << bit;
        check_refusal(other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options),
                      MAPSEG_WRONG_TAG, MAPSEG_WRONG_TAG);
        check_footprint(&before, path);
    }
    /* A caller that does not demand it does not care. */
    options.flags = 0;
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    mapseg_free(other);
}
END_TEST

START_TEST(no_options_are_the_defaults)
{
    mapseg *seg = handle_for(key), *other = handle_for(key);

    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, NULL));
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_ONLY, NULL));
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(!exists(path));
}
END_TEST

/// One set of options serves create and attach: flags of the other call are ignored.
START_TEST(flags_of_the_other_call_are_ignored)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key), *other = handle_for(key);

    options.flags = MAPSEG_LAZY | MAPSEG_RECLAIM | MAPSEG_FAIR | MAPSEG_NO_FORK |
                    MAPSEG_REQUIRE_TAG | MAPSEG_ALLOW_OTHER_OWNER | MAPSEG_ALLOW_SHARED_WRITE;
    options.user_tag = 5;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(!exists(path));
}
END_TEST

/* ------------------------------------------------------- silent waiters -- */

/// Whether the header of a segment that is made so says that some wait without a word.
static bool
has_silent_waiters(const char *at, uint32_t mode, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(at);
    mapseg_info *information;
    bool silent;

    options.mode = mode;
    options.flags = flags;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    silent = (information->header_flags & MAPSEG_HEADER_SILENT_WAITERS) != 0;
    mapseg_info_free(information);
    mapseg_free(seg);
    return silent;
}

/// They may be where the mode lets a user read and not write.
START_TEST(mode_says_whether_waiters_may_be_silent)
{
    static const struct {
        uint32_t mode;
        bool silent;
    } modes[] = {{0, false},    {0600, false}, {0660, false}, {0666, false},
                 {0606, false}, {0620, false}, {0640, true},  {0604, true},
                 {0644, true},  {0664, true},  {0646, true}};

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        ck_assert(has_silent_waiters(key, modes[i].mode, 0) == modes[i].silent);
        ck_assert(has_silent_waiters(key, modes[i].mode, MAPSEG_SILENT_WAITERS));
        ck_assert(!has_silent_waiters(key, modes[i].mode, MAPSEG_NO_SILENT_WAITERS));
    }
}
END_TEST

START_TEST(memory_files_have_silent_waiters)
{
    ck_assert(has_silent_waiters("memfd:", 0, 0));
    ck_assert(has_silent_waiters("memfd:", 0, MAPSEG_SILENT_WAITERS));
    ck_assert(!has_silent_waiters("memfd:", 0, MAPSEG_NO_SILENT_WAITERS));
}
END_TEST

START_TEST(silent_waiters_and_none)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_SILENT_WAITERS | MAPSEG_NO_SILENT_WAITERS;
    check_options_refused(&options, MAPSEG_INVALID_ARGUMENT);
    check_attach_options_refused(&options, MAPSEG_INVALID_ARGUMENT);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("options");
    TCase *group = new_case(suite, "options");

    tcase_add_checked_fixture(group, choose_key, NULL);
    tcase_add_loop_test(group, options_of_a_size_that_cannot_be, 0, 5);
    tcase_add_test(group, larger_options_with_an_empty_tail);
    tcase_add_loop_test(group, larger_options_with_a_tail, 0, 64);
    tcase_add_test(group, unknown_option_flag);
    tcase_add_loop_test(group, group_that_cannot_be, 0, 4);
    tcase_add_loop_test(group, mode_that_cannot_be, 0, 9);
    tcase_add_loop_test(group, mode_is_exact, 0, 6);
    tcase_add_test(group, access_that_cannot_be);
    tcase_add_test(group, user_tag_is_demanded);
    tcase_add_test(group, no_options_are_the_defaults);
    tcase_add_test(group, flags_of_the_other_call_are_ignored);
    tcase_add_test(group, mode_says_whether_waiters_may_be_silent);
    tcase_add_test(group, memory_files_have_silent_waiters);
    tcase_add_test(group, silent_waiters_and_none);
    return run_suite(suite);
}
