/*
 * check_guard.c - access sections: what is lost of a file that becomes shorter reads as zeros, and
 * the section's end says so.
 *
 * SPDX-License-Identifier: MIT
 */
#include "handlers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/// Fields of this process's line of /proc/self/smaps about an address.
struct mapping {
    char rights[8];
    bool not_copied;
};

static struct mapping
mapping_at(const volatile void *address)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    struct mapping mapping = {"", false};
    bool here = false;
    char line[512];

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL) {
        uintptr_t start, end;
        char rights[8];

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &start, &end, rights) == 3) {
            here = (uintptr_t)address >= start && (uintptr_t)address < end;
            if (here)
                memcpy(mapping.rights, rights, sizeof rights);
        } else if (here && strncmp(line, "VmFlags:", 8) == 0) {
            mapping.not_copied = strstr(line, " dc") != NULL;
        }
    }
    fclose(file);
    return mapping;
}

/* The mapping outlives the comparison, which keeps a pointer into it. */
#define check_rights(address, expected)                                                            \
    do {                                                                                           \
        const struct mapping mapping_ = mapping_at(address);                                       \
        ck_assert_str_eq(mapping_.rights, expected);                                               \
    } while (0)

/* ------------------------------------------------------------ what is lost -- */

static const struct {
    char word;
    size_t whole;
} cuts[] = {{'0', 0}, {'h', 0}, {'m', SIZE / 2}};

START_TEST(what_is_lost_reads_as_zeros)
{
    struct scene scene;
    unsigned char *data;

    set_up(&scene, 0);
    data = mapseg_data(scene.seg);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    check_data(scene.seg, SIZE);
    tell(&scene.peer, cuts[_i].word);
    /* The header page too has to be survived, by a call of the library. */
    if (cuts[_i].word == '0' && mapseg_result_owes_unlock(mapseg_lock(scene.seg)))
        (void)mapseg_unlock(scene.seg);
    check_data(scene.seg, cuts[_i].whole);
    memset(data + SIZE / 2, 0x77, SIZE / 2);
    ck_assert_int_eq(data[SIZE - 1], 0x77);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    ck_assert_int_eq(mapseg_error(scene.seg), MAPSEG_FILE_SHRUNK);
    ck_assert(is_one_line(mapseg_error_string(scene.seg)));

    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_INVALID_ARGUMENT, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
    (void)unlink(scene.path);
    need_call(MAPSEG_OK, scene.seg, mapseg_create(scene.seg, SIZE, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    check_data(scene.seg, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(what_nobody_touched_is_reported)
{
    static const char words[] = {'0', 'h', 'm', 'p'};
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, words[_i]);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_begin(scene.seg));
    tear_down(&scene);
}
END_TEST

/// Zeros that a thread has seen are reported, even if the file is whole again by then.
START_TEST(file_made_whole_again_is_reported)
{
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    tell(&scene.peer, 'r');
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(read_only_data_stays_read_only)
{
    struct scene scene;
    mapseg *reader;
    const volatile unsigned char *data;

    set_up(&scene, 0);
    reader = attached(scene.key, MAPSEG_READ_ONLY);
    data = mapseg_const_data(reader);
    check_rights(data, "r--s");
    need_call(MAPSEG_OK, reader, mapseg_guard_begin(reader));
    tell(&scene.peer, '0');
    check_data(reader, 0);
    check_rights(data, "r--p");
    check_rights(data + SIZE - 1, "r--p");
    /* The lock lies in a page of its own here, which can be written. */
    if (mapseg_result_owes_unlock(mapseg_lock(reader)))
        (void)mapseg_unlock(reader);
    need_call(MAPSEG_FILE_SHRUNK, reader, mapseg_guard_end(reader));
    need_call(MAPSEG_OK, reader, mapseg_detach(reader));
    mapseg_free(reader);
    tear_down(&scene);
}
END_TEST

START_TEST(only_the_rest_is_replaced)
{
    struct scene scene;
    volatile unsigned char *data;

    set_up(&scene, 0);
    data = mapseg_data(scene.seg);
    check_rights(data, "rw-s");
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'm');
    ck_assert_int_eq(data[SIZE / 2 + 3 * PAGE + 5], 0);
    check_rights(data + SIZE / 2 + 3 * PAGE - 1, "rw-s");
    check_rights(data + SIZE / 2 + 3 * PAGE, "rw-p");
    check_rights(data + SIZE - 1, "rw-p");
    ck_assert(!mapping_at(data + SIZE - 1).not_copied);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(replaced_memory_is_kept_out_of_children_too)
{
    struct scene scene;
    volatile unsigned char *data;

    set_up(&scene, MAPSEG_NO_FORK);
    data = mapseg_data(scene.seg);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'h');
    ck_assert_int_eq(data[PAGE], 0);
    check_rights(data + PAGE, "rw-p");
    ck_assert(mapping_at(data + PAGE).not_copied);
    ck_assert(mapping_at(data + SIZE - 1).not_copied);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(system_calls_say_efault)
{
    struct scene scene;
    int ends[2];

    set_up(&scene, 0);
    ck_assert_int_eq(pipe(ends), 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'h');
    ck_assert_int_eq(write(ends[1], mapseg_const_data(scene.seg), 100), -1);
    ck_assert_int_eq(errno, EFAULT);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    close(ends[0]);
    close(ends[1]);
    tear_down(&scene);
}
END_TEST

/// As a user who may lock only so many pages, while all that is mapped anew is locked.
static int
read_lost_data_with_little_memory(void *unused)
{
    const struct rlimit limit = {8 * PAGE, 8 * PAGE};
    volatile int *error = &errno;
    const volatile unsigned char *data;
    char key[KEY_BYTES];
    char path[KEY_BYTES];
    mapseg *seg;

    (void)unused;
    unique_key(key);
    path_of(path, key);
    seg = created(key, SIZE);
    data = mapseg_const_data(seg);
    if (mapseg_guard_begin(seg) != MAPSEG_OK || truncate(path, (off_t)MAPSEG_HEADER_BYTES) != 0 ||
        setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || mlockall(MCL_FUTURE) != 0)
        return BAD;
    /* The handler sees a call fail, the program does not. */
    *error = 1234;
    if (data[PAGE] != 0 || data[3 * PAGE] != 0 || *error != 1234 || munlockall() != 0)
        return BAD;
    if (strcmp(mapping_at(data + PAGE).rights, "rw-p") != 0 ||
        strcmp(mapping_at(data + 2 * PAGE).rights, "rw-s") != 0)
        return BAD;
    check_data(seg, 0);
    if (mapseg_guard_end(seg) != MAPSEG_FILE_SHRUNK)
        return BAD;
    mapseg_free(seg);
    return WELL;
}

/// Where no memory for all of the rest is to be had, a page will do.
START_TEST(short_of_memory_it_goes_page_by_page)
{
    ck_assert_int_eq(as_ordinary_user(read_lost_data_with_little_memory, NULL), WELL);
}
END_TEST

/* ----------------------------------------------------------------- sections -- */

START_TEST(sections_nest)
{
    struct scene scene;

    set_up(&scene, 0);
    for (int i = 0; i < 3; i++)
        need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    for (int i = 0; i < 2; i++)
        need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_INVALID_ARGUMENT, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(inner_end_tells_too)
{
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'h');
    check_data(scene.seg, 0);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    check_data(scene.seg, 0);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_INVALID_ARGUMENT, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(results_of_misuse)
{
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    seg = handle_for(key);
    need_call(MAPSEG_NOT_ATTACHED, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OK);
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    mapseg_free(seg);
}
END_TEST

#define MANY 9

/// Each handle is lost for itself; the list of a thread's sections grows and shrinks.
START_TEST(sections_on_many_handles)
{
    struct scene scenes[MANY];

    for (int i = 0; i < MANY; i++)
        begin_scene(&scenes[i]);
    for (int i = 0; i < MANY; i++)
        attach_scene(&scenes[i], 0);
    for (int i = 0; i < MANY; i++)
        need_call(MAPSEG_OK, scenes[i].seg, mapseg_guard_begin(scenes[i].seg));
    tell(&scenes[7].peer, 'h');
    tell(&scenes[2].peer, 'm');
    need_call(MAPSEG_OK, scenes[0].seg, mapseg_guard_end(scenes[0].seg));
    need_call(MAPSEG_OK, scenes[8].seg, mapseg_guard_end(scenes[8].seg));
    for (int i = 0; i < MANY; i++)
        check_data(scenes[i].seg, i == 7 ? 0 : i == 2 ? SIZE / 2 : SIZE);
    for (int i = 1; i < MANY - 1; i++)
        need_call(i == 7 || i == 2 ? MAPSEG_FILE_SHRUNK : MAPSEG_OK, scenes[i].seg,
                  mapseg_guard_end(scenes[i].seg));
    for (int i = 0; i < MANY; i++)
        need_call(MAPSEG_INVALID_ARGUMENT, scenes[i].seg, mapseg_guard_end(scenes[i].seg));
    for (int i = 0; i < MANY; i++)
        tear_down(&scenes[i]);
}
END_TEST

START_TEST(two_handles_of_one_file)
{
    struct scene scene;
    mapseg *other;

    set_up(&scene, 0);
    other = attached(scene.key, MAPSEG_READ_ONLY);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_OK, other, mapseg_guard_begin(other));
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    check_data(other, SIZE / 2);
    need_call(MAPSEG_FILE_SHRUNK, other, mapseg_guard_end(other));
    check_data(scene.seg, SIZE / 2);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    mapseg_free(other);
    tear_down(&scene);
}
END_TEST

START_TEST(detach_ends_the_sections)
{
    struct scene scene;
    char *data;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
    need_call(MAPSEG_INVALID_ARGUMENT, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_create(scene.seg, SIZE, MAPSEG_READ_WRITE));
    data = mapseg_data(scene.seg);
    tell(&scene.peer, 'h');
    ck_assert(jumps_at(data));
    ck_assert_int_eq(calls, 1);
    tear_down(&scene);
}
END_TEST

/// A segment that was lost can be left, also by a handle that has locked it.
START_TEST(lost_segment_can_be_left)
{
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_lock(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_unlock(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, '0');
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
    tear_down(&scene);
}
END_TEST

/* -------------------------------------------------------------------- suite -- */

static void
add_losses(Suite *suite)
{
    TCase *group = new_case(suite, "losses");

    tcase_add_loop_test(group, what_is_lost_reads_as_zeros, 0, 3);
    tcase_add_loop_test(group, what_nobody_touched_is_reported, 0, 4);
    tcase_add_test(group, file_made_whole_again_is_reported);
    tcase_add_test(group, read_only_data_stays_read_only);
    tcase_add_test(group, only_the_rest_is_replaced);
    tcase_add_test(group, replaced_memory_is_kept_out_of_children_too);
    tcase_add_test(group, system_calls_say_efault);
    if (skip_unless(is_root(), "only root can become an ordinary user") &&
        skip_unless(!under_sanitizer(), "sanitizers keep programs from locking memory"))
        tcase_add_test(group, short_of_memory_it_goes_page_by_page);
}

static void
add_sections(Suite *suite)
{
    TCase *group = new_case(suite, "sections");

    tcase_add_test(group, sections_nest);
    tcase_add_test(group, inner_end_tells_too);
    tcase_add_test(group, results_of_misuse);
    tcase_add_test(group, sections_on_many_handles);
    tcase_add_test(group, two_handles_of_one_file);
    tcase_add_test(group, detach_ends_the_sections);
    tcase_add_test(group, lost_segment_can_be_left);
}

int
main(void)
{
    Suite *suite = new_suite("guard");

    add_losses(suite);
    add_sections(suite);
    return run_suite(suite);
}
