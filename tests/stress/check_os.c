/*
 * check_os.c - every call of the operating system fails once.
 *
 * For each operation, each call of os.h that it makes, each time it makes it and each of several
 * errors: the operation fails with a reason and changes nothing, or gets by without; nothing is
 * leaked; and the next attempt works.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os_faults.h"
#include "os_operations.h"
#include "os_system_v.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ------------------------------------------------------------ the runs -- */

/** What is not a failure of the operation but an answer to it. */
static bool
is_tolerated(const struct operation *operation, mapseg_result result)
{
    return result == MAPSEG_OK && operation->run != NULL;
}

/** Runs the operation with the plan's fault; whether that struck. */
static bool
run_with_fault(const struct operation *operation, enum call call, int nth, int error)
{
    struct footprint before;
    mapseg_result result;
    mapseg *seg;
    bool struck;

    unique_key(key);
    path_of(path, key);
    take_footprint(&before, NULL);
    seg = mapseg_new();
    operation->prepare(seg);

    plan.call = call;
    plan.error = error;
    plan.nth = nth;
    plan.times = 0;
    plan.struck = false;
    result = operation->run(seg);
    plan.nth = 0;
    struck = plan.struck;

    if (operation->attaches)
        ck_assert_msg(mapseg_is_attached(seg) == (result == MAPSEG_OK),
                      "%s, %s %d fails with %s: %s but attached %d", operation->name,
                      call_names[call], nth, strerror(error), mapseg_result_name(result),
                      mapseg_is_attached(seg));
    if (!is_tolerated(operation, result)) {
        ck_assert_msg(struck, "%s: %s without a fault: %s", operation->name,
                      mapseg_result_name(result), mapseg_error_string(seg));
        if (operation->run != run_list && operation->run != run_system_v_list &&
            operation->run != run_foreign_list)
            ck_assert_msg(is_one_line(mapseg_error_string(seg)), "%s, %s: no reason given",
                          operation->name, call_names[call]);
        /* What the system calls so is what it does not know. */
        ck_assert_msg(strstr(mapseg_error_string(seg), strerror(EINVAL)) == NULL,
                      "%s, %s: the caller is blamed: %s", operation->name, call_names[call],
                      mapseg_error_string(seg));
        result = operation->run(seg);
        ck_assert_msg(result == MAPSEG_OK, "%s, after %s %d failed with %s: %s", operation->name,
                      call_names[call], nth, strerror(error), mapseg_error_string(seg));
    }
    operation->clean_up(seg);
    mapseg_free(seg);
    ck_assert_msg(!exists(path), "%s, %s %d fails with %s: the name is left", operation->name,
                  call_names[call], nth, strerror(error));
    check_footprint(&before, NULL);
    return struck;
}

/** Every call that the operation makes, every time, with every error. Returns the count. */
static int
run_all_faults(const struct operation *operation)
{
    static const int errors[] = {EIO,    ENOMEM, EACCES, EPERM,  EMFILE, ENFILE, ENOSPC,
                                 EDQUOT, EAGAIN, EINVAL, ENOENT, ENOLCK, ENOSYS, EOPNOTSUPP};
    int points = 0;

    for (int call = 0; call < CALL_COUNT; call++)
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
            int before = points;

            if (i > 0 && ways[call] != BY_ERRNO && ways[call] != BY_NULL_AND_ERROR)
                break;

            for (int nth = 1; run_with_fault(operation, (enum call)call, nth, errors[i]); nth++)
                points++;
            /* A call that is not made cannot fail in another way either. */
            if (points == before)
                break;
        }
    return points;
}

/** Others' segments would have to be listed too. */
static void
use_own_shm(void)
{
    if (can_mount())
        use_tiny_shm("size=16m");
}

/** Whether it is seen who owns what leads to a file. */
static bool
owners_are_seen(void)
{
    struct stat status;

    return stat("/", &status) == 0 && status.st_uid == 0;
}

START_TEST(each_call_fails_once)
{
    const struct operation *operation = &operations[_i];
    int points;

    /* An ordinary user has a mount only in a user namespace, where root has no number. */
    if (_i != BEHIND_LINK)
        use_own_shm();
    install_faults();
    points = run_all_faults(operation);
    printf("%s: %d faults\n", operation->name, points);
    ck_assert_int_gt(points, 4);
}
END_TEST

/* Without /proc nothing can be opened anew but by its name. */
START_TEST(without_proc)
{
    install_faults();
    lacks[CALL_reopen] = ENOENT;
    lacks[CALL_link] = ENOENT;
    lacks[CALL_lock_table] = ENOENT;
    lacks[CALL_lock_table_numbers] = ENOENT;
    ck_assert_int_gt(run_all_faults(&operations[_i]), 0);
}
END_TEST

/* Where files cannot be without a name they have a private one meanwhile. */
START_TEST(without_unnamed_files)
{
    install_faults();
    lacks[CALL_open_unnamed] = EOPNOTSUPP;
    ck_assert_int_gt(run_all_faults(&operations[_i]), 0);
}
END_TEST

/* Where names cannot change hands, they are given by links; and where the file system cannot
 * reserve, it is written, or the memory touched. */
START_TEST(without_renames)
{
    install_faults();
    lacks[CALL_open_unnamed] = EACCES;
    lacks[CALL_rename_new] = EINVAL;
    ck_assert_int_gt(run_all_faults(&operations[_i]), 0);
}
END_TEST

START_TEST(without_reserves)
{
    install_faults();
    lacks[CALL_reserve] = EPERM;
    ck_assert_int_gt(run_all_faults(&operations[SINGLE_WRITER]), 0);
}
END_TEST

/* A description's own locks never conflict on it. Two attachments that have to share one, because
 * the file cannot be opened anew, must still see each other. */
START_TEST(two_attachments_on_one_description)
{
    mapseg_info *information;
    mapseg *first = mapseg_new();
    mapseg *second = mapseg_new();

    inherit(first);
    ck_assert_int_eq(mapseg_set_native_key(second, mapseg_native_key(first)), MAPSEG_OK);
    install_faults();
    lacks[CALL_reopen] = EACCES;
    need_call(MAPSEG_OK, first, mapseg_attach(first, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, second, mapseg_attach(second, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, first, mapseg_info_new(first, &information));
    ck_assert_int_eq(information->presence, MAPSEG_PRESENCE_RECEIVED);
    mapseg_info_free(information);

    need_call(MAPSEG_OK, first, mapseg_lock(first));
    need_call(MAPSEG_TIMED_OUT, second, mapseg_lock_for(second, 50 * INT64_C(1000000)));
    need_call(MAPSEG_WOULD_BLOCK, second, mapseg_try_lock(second));
    need_call(MAPSEG_OK, second, mapseg_info_new(second, &information));
    ck_assert_int_eq(information->lock, MAPSEG_LOCK_STATE_HELD);
    mapseg_info_free(information);
    need_call(MAPSEG_OK, first, mapseg_unlock(first));
    need_call(MAPSEG_OK, second, mapseg_lock(second));
    /* To leave with the lock is to release it. */
    need_call(MAPSEG_OK, second, mapseg_detach(second));
    need_call(MAPSEG_OK, first, mapseg_try_lock(first));
    mapseg_free(first);
    mapseg_free(second);
    close(inherited);
}
END_TEST

/* Many programs hold many handles. */
START_TEST(a_handle_is_small)
{
    enum { HANDLES = 200 };
    mapseg *handles[HANDLES];
    size_t before = 0;

    unique_key(key);
    leave_persistent(key, 100, 0);
    for (int i = 0; i < HANDLES; i++) {
        if (i == HANDLES / 2)
            before = mallinfo2().uordblks;
        handles[i] = handle_for(key);
        need_call(MAPSEG_OK, handles[i], mapseg_attach(handles[i], MAPSEG_READ_WRITE));
    }
    ck_assert_uint_lt(mallinfo2().uordblks - before, (size_t)512 * (HANDLES / 2));
    for (int i = 0; i < HANDLES; i++)
        mapseg_free(handles[i]);
    handles[0] = handle_for(key);
    need_call(MAPSEG_OK, handles[0], mapseg_remove(handles[0]));
    mapseg_free(handles[0]);
}
END_TEST

/* The very first handle of a process also sets up what forks need; a list does, too. */
START_TEST(the_first_handle)
{
    mapseg_list *list;
    mapseg *seg;

    install_faults();
    unique_key(key);
    plan.call = CALL_wiped_page;
    plan.error = ENOMEM;
    plan.nth = 1;
    if (_i == 0)
        ck_assert_ptr_null(mapseg_new());
    else
        ck_assert_int_eq(mapseg_list_new(&list), MAPSEG_OUT_OF_RESOURCES);
    ck_assert(plan.struck);
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    mapseg_free(seg);
}
END_TEST

/* The very first section of a process sets the handler of SIGBUS. */
START_TEST(the_first_section)
{
    mapseg *seg;

    install_faults();
    unique_key(key);
    seg = created(key, 10);
    plan.call = CALL_signal_action;
    plan.error = EINVAL;
    plan.nth = 1;
    ck_assert_int_ne(mapseg_guard_begin(seg), MAPSEG_OK);
    ck_assert(plan.struck);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    /* What the library itself does with the segment goes on. */
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "x", 1));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    mapseg_free(seg);
}
END_TEST

/* What a program that was started by another finds out first. */
START_TEST(the_environment)
{
    mapseg *seg;

    install_faults();
    unique_key(key);
    ck_assert_int_eq(setenv("MAPSEG_KEY", key, 1), 0);
    plan.call = CALL_environment_key;
    plan.error = ENOENT;
    plan.nth = 1;
    seg = mapseg_new_from_environment();
    ck_assert(seg != NULL);
    ck_assert(plan.struck);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_FOUND);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    mapseg_free(seg);
    seg = mapseg_new_from_environment();
    ck_assert(seg != NULL);
    ck_assert_str_eq(mapseg_native_key(seg), key);
    mapseg_free(seg);
}
END_TEST

static int
read_what_is_gone(void *argument)
{
    mapseg *seg = created(key, 50000);

    (void)argument;
    lacks[CALL_map_zeros] = ENOMEM;
    if (mapseg_guard_begin(seg) != MAPSEG_OK || truncate(path, 8192) != 0)
        return 1;
    return byte_of(seg, 40000);
}

/* Where there is no memory for zeros, the fault does what it does without a section. */
START_TEST(zeros_that_cannot_be_had)
{
    mapseg *seg;

    install_faults();
    unique_key(key);
    path_of(path, key);
    ck_assert_int_eq(in_child(read_what_is_gone, NULL), 128 + SIGBUS);
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/* The last test: what stands in the list, and has failed in none of those before, is in none. */
START_TEST(every_call_has_failed)
{
    char missing[2000] = "";

    for (int call = 0; call < CALL_COUNT; call++)
        if (!failed_once[call]) {
            size_t length = strlen(missing);

            snprintf(missing + length, sizeof missing - length, " %s", call_names[call]);
        }
    ck_assert_msg(*missing == '\0', "no test has let these fail:%s", missing);
}
END_TEST

int
main(void)
{
    const bool all = skip_unless(owners_are_seen(), "a root directory that is seen to be root's");
    Suite *suite = new_suite("os");
    TCase *test_case = new_case(suite, "faults");

    failed_once = mmap(NULL, CALL_COUNT * sizeof *failed_once, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (failed_once == MAP_FAILED) {
        perror("mmap");
        return EXIT_FAILURE;
    }
    tcase_add_loop_test(test_case, the_first_handle, 0, 2);
    tcase_add_test(test_case, the_first_section);
    tcase_add_test(test_case, the_environment);
    /* The sanitizers end the program at such a fault in their own way. */
    if (!under_sanitizer())
        tcase_add_test(test_case, zeros_that_cannot_be_had);
    /* Their allocators count in another way. */
    if (!under_sanitizer() && !under_valgrind())
        tcase_add_test(test_case, a_handle_is_small);
    tcase_add_test(test_case, two_attachments_on_one_description);
    tcase_add_loop_test(test_case, each_call_fails_once, 0, all ? operation_count : BEHIND_LINK);
    tcase_add_loop_test(test_case, without_proc, 0, 4);
    tcase_add_loop_test(test_case, without_proc, 5, 7);
    tcase_add_loop_test(test_case, without_proc, FIRST_WITHOUT_PROC, LAST_WITHOUT_PROC + 1);
    tcase_add_loop_test(test_case, without_proc, BEHIND_LINK - 1, BEHIND_LINK);
    tcase_add_loop_test(test_case, without_unnamed_files, 0, 4);
    tcase_add_loop_test(test_case, without_renames, 0, 4);
    tcase_add_test(test_case, without_reserves);
    if (all)
        tcase_add_test(test_case, every_call_has_failed);
    return run_suite(suite);
}
