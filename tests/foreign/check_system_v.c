/*
 * check_system_v.c - System V segments: made, met and left together with programs that do what
 * Qt does.
 *
 * SPDX-License-Identifier: MIT
 */
#include "system_v_scene.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

/* -------------------------------------------------------------- finding -- */

START_TEST(without_key_file_nothing_is_touched)
{
    mapseg *seg = handle_for(key);

    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_remove(seg));
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_repair(seg, true));
    ck_assert(!exists(file));
    need_sets(0);
    mapseg_free(seg);
}
END_TEST

START_TEST(key_file_without_segment)
{
    mapseg *seg = handle_for(key);
    int fd = open(file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);

    close(fd);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_reclaim(seg));
    need_sets(0);
    ck_assert(exists(file));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    ck_assert(!exists(file));
    fd = open(file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);
    close(fd);
    /* What a crash left is used. */
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 100, MAPSEG_READ_WRITE));
    mapseg_free(seg);
}
END_TEST

START_TEST(created_as_qt_does)
{
    static const char zeros[5000];
    mapseg *seg = created(key, sizeof zeros);
    mapseg *second = handle_for(key);
    struct shmid_ds segment;
    struct stat status;

    ck_assert_int_eq(stat(file, &status), 0);
    ck_assert_int_eq(status.st_size, 0);
    ck_assert_int_eq(status.st_mode & 0137, 0);
    ck_assert_int_eq(shmctl(segment_of(file), IPC_STAT, &segment), 0);
    ck_assert_uint_eq(segment.shm_segsz, sizeof zeros);
    ck_assert_uint_eq(segment.shm_nattch, 1);
    ck_assert_int_eq(segment.shm_perm.mode & 0777, 0600);
    ck_assert_int_eq(value_of(set_of(file)), 1);
    ck_assert_uint_eq(mapseg_size(seg), sizeof zeros);
    ck_assert_mem_eq(mapseg_data(seg), zeros, sizeof zeros);
    need_call(MAPSEG_ALREADY_EXISTS, second, mapseg_create(second, 10, MAPSEG_READ_WRITE));
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert_int_eq(value_of(set_of(file)), 1);
    need_sets(1);
    mapseg_free(second);
    mapseg_free(seg);
}
END_TEST

START_TEST(project_ids)
{
    /* Qt 6 itself gets no segment with 128 and more. */
    static const int ids[] = {1, 80, 127, 128, 255};

    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char other[KEY_BYTES + 16];
        mapseg *seg, *peer;

        snprintf(other, sizeof other, "systemv-%d:%s", ids[i], file);
        seg = created(other, 1000);
        peer = attached(other, MAPSEG_READ_WRITE);
        *(char *)data_of(seg) = 'x';
        ck_assert_int_eq(*(char *)data_of(peer), 'x');
        ck_assert_int_ne(shmget(ftok(file, ids[i]), 0, 0), -1);
        ck_assert_int_eq(segment_of(file), -1);
        mapseg_free(seg);
        mapseg_free(peer);
    }
}
END_TEST

/// Waits for a segment, and says what it found there.
static void
wait_for_segment(struct stage *stage)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    options.wait_ns = -1;
    atomic_store(&stage->ready, 1);
    need_call(MAPSEG_OK, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    need_number(7, *(char *)data_of(seg));
    mapseg_free(seg);
}

static mapseg_result
fill(void *data, size_t size, void *argument)
{
    memset(data, *(const char *)argument, size);
    return MAPSEG_OK;
}

START_TEST(waited_for_and_never_seen_half_made)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct stage *stage = new_stage();
    pid_t waiter = start(wait_for_segment, stage);
    mapseg *seg = handle_for(key);
    char with = 7;

    await(&stage->ready, 1);
    need_asleep(waiter);
    options.initialize = fill;
    options.initialize_argument = &with;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 10000, MAPSEG_READ_ONLY, &options));
    ck_assert_ptr_null(mapseg_data(seg));
    ck_assert_int_eq(((const char *)mapseg_const_data(seg))[9999], 7);
    finish(waiter);
    mapseg_free(seg);
}
END_TEST

static mapseg_result
give_up(void *data, size_t size, void *argument)
{
    (void)data;
    (void)size;
    (void)argument;
    return MAPSEG_WRONG_TAG;
}

START_TEST(given_up_by_initializer)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    options.initialize = give_up;
    need_call(MAPSEG_WRONG_TAG, seg, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
    ck_assert(!mapseg_is_attached(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(smaller_than_demanded)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = created(key, 100);
    mapseg *second = handle_for(key);

    options.minimum_size = 101;
    need_call(MAPSEG_INVALID_SIZE, second, mapseg_attach_with(second, MAPSEG_READ_WRITE, &options));
    options.minimum_size = 100;
    need_call(MAPSEG_OK, second, mapseg_attach_with(second, MAPSEG_READ_WRITE, &options));
    mapseg_free(second);
    mapseg_free(seg);
}
END_TEST

static void
create_or_attach(struct stage *stage)
{
    mapseg *seg = handle_for(key);
    bool made;

    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need_call(MAPSEG_OK, seg, mapseg_create_or_attach(seg, 5000, MAPSEG_READ_WRITE, &made));
    if (made)
        atomic_fetch_add(&stage->told[0], 1);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 2);
    mapseg_free(seg);
}

/// QSharedMemory: create, and attach where that fails, by two at once fails now and then.
START_TEST(created_by_one_of_many)
{
    for (int round = 0; round < 20; round++) {
        struct stage *stage = new_stage();
        pid_t pids[6];

        for (int i = 0; i < 6; i++)
            pids[i] = start(create_or_attach, stage);
        await(&stage->ready, 6);
        atomic_store(&stage->go, 1);
        await(&stage->ready, 12);
        ck_assert_int_eq(atomic_load(&stage->told[0]), 1);
        atomic_store(&stage->go, 2);
        for (int i = 0; i < 6; i++)
            finish(pids[i]);
        ck_assert(!exists(file));
        need_segments(0);
        need_sets(0);
    }
}
END_TEST

/* -------------------------------------------------------------- leaving -- */

static void
end_qt(struct peer *qt)
{
    say(qt->channel, 'q');
    ck_assert_int_eq(end_peer(qt), 0);
}

START_TEST(qt_creates_and_leaves_last)
{
    struct peer qt = qt_program();
    mapseg *seg;

    tell(&qt, 'c');
    seg = attached(key, MAPSEG_READ_WRITE);
    ck_assert_uint_eq(mapseg_size(seg), 4096);
    mapseg_free(seg);
    ck_assert(exists(file));
    need_segments(1);
    tell(&qt, 'e');
    end_qt(&qt);
}
END_TEST

/// The creator's destructor removes the semaphore and the key file, also while others use them.
START_TEST(qt_creates_and_leaves_first)
{
    struct peer qt = qt_program();
    mapseg *seg;

    tell(&qt, 'c');
    seg = attached(key, MAPSEG_READ_WRITE);
    *(char *)data_of(seg) = 'x';
    tell(&qt, 'e');
    end_qt(&qt);
    ck_assert(!exists(file));
    need_segments(1);
    need_sets(0);
    ck_assert_int_eq(*(char *)data_of(seg), 'x');
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_sets(1);
    ck_assert_int_eq(value_of(set_of(file)), 0);
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(mapseg_creates_and_leaves_last)
{
    struct peer qt = qt_program();
    mapseg *seg = created(key, 4096);

    tell(&qt, 'a');
    tell(&qt, 'l');
    tell(&qt, 'u');
    tell(&qt, 'e');
    end_qt(&qt);
    ck_assert(exists(file));
    mapseg_free(seg);
}
END_TEST

/// What others use stays, also what mapseg has made: newcomers find it.
START_TEST(mapseg_creates_and_leaves_first)
{
    struct peer qt = qt_program();
    mapseg *seg = created(key, 4096);
    int set = set_of(file);

    tell(&qt, 'a');
    mapseg_free(seg);
    ck_assert(exists(file));
    ck_assert_int_eq(set_of(file), set);
    tell(&qt, 'l');
    seg = handle_for(key);
    tell(&qt, 'u');
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    tell(&qt, 'e');
    end_qt(&qt);
    mapseg_free(seg);
}
END_TEST

/// Qt as the last one out removes the segment and its key file, and no semaphore but its own.
START_TEST(semaphore_that_qt_leaves)
{
    struct peer qt = qt_program();
    mapseg *seg = created(key, 4096);
    int set = set_of(file);

    tell(&qt, 'a');
    mapseg_free(seg);
    tell(&qt, 'e');
    end_qt(&qt);
    need_sets(1);
    ck_assert_int_eq(value_of(set), 1);
    ck_assert_int_eq(semctl(set, 0, IPC_RMID), 0);
}
END_TEST

START_TEST(killed_in_qt)
{
    struct peer qt = qt_program();
    mapseg *seg;

    tell(&qt, 'c');
    kill_peer(&qt);
    need_segments(1);
    seg = attached(key, MAPSEG_READ_WRITE);
    mapseg_free(seg);
}
END_TEST

/// What a crash left is replaced, what is in use is not.
START_TEST(replaced_after_a_crash)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct peer qt = qt_program();
    mapseg *seg = handle_for(key);

    options.flags = MAPSEG_RECLAIM;
    tell(&qt, 'c');
    need_call(MAPSEG_ALREADY_EXISTS, seg,
              mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
    tell(&qt, 'l');
    kill_peer(&qt);
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 100, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
    ck_assert_uint_eq(mapseg_size(seg), 100);
    need_segments(1);
    mapseg_free(seg);
}
END_TEST

START_TEST(last_one_out_looks_only)
{
    mapseg *seg = created(key, 4096);
    mapseg *looks = attached_as(key, MAPSEG_READ_ONLY, MAPSEG_KEEP_NAME);

    mapseg_free(looks);
    ck_assert(exists(file));
    looks = attached_as(key, MAPSEG_READ_ONLY, MAPSEG_KEEP_NAME);
    mapseg_free(seg);
    mapseg_free(looks);
    ck_assert(exists(file));
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
    mapseg_free(seg);
}
END_TEST

/// It stays when its creator leaves, and goes with the last one out after that.
START_TEST(persistent)
{
    struct peer qt = qt_program();
    int set;

    mapseg_free(created_as(key, 5000, MAPSEG_PERSISTENT));
    need_segments(1);
    mapseg_free(attached(key, MAPSEG_READ_WRITE));
    need_segments(0);
    need_sets(0);
    mapseg_free(created_as(key, 5000, MAPSEG_PERSISTENT));
    set = set_of(file);
    tell(&qt, 'a');
    tell(&qt, 'e');
    end_qt(&qt);
    need_segments(0);
    ck_assert_int_eq(semctl(set, 0, IPC_RMID), 0);
}
END_TEST

/// While the lock is held a process may be attaching, so the last one out removes nothing.
START_TEST(last_one_out_without_the_lock)
{
    struct peer qt = qt_program();
    mapseg *seg;

    tell(&qt, 'c');
    seg = attached(key, MAPSEG_READ_WRITE);
    tell(&qt, 'd');
    tell(&qt, 'l');
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_segments(1);
    tell(&qt, 'u');
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    need_segments(0);
    end_qt(&qt);
    mapseg_free(seg);
}
END_TEST

START_TEST(file_with_content_stays)
{
    FILE *stream = fopen(file, "wxe");
    mapseg *seg;

    fputs("not a key file alone", stream);
    fclose(stream);
    seg = created(key, 100);
    mapseg_free(seg);
    need_segments(0);
    ck_assert(exists(file));
    unlink(file);
}
END_TEST

/// The path leads to a newer segment by now: that one's files and lock are left alone.
START_TEST(newer_segment_is_left_alone)
{
    mapseg *seg = created(key, 100);
    int set = set_of(file);
    mapseg *newer;

    unlink(file);
    newer = created(key, 200);
    ck_assert_uint_eq(mapseg_size(newer), 200);
    need_segments(2);
    mapseg_free(seg);
    need_segments(1);
    ck_assert(exists(file));
    ck_assert_int_eq(value_of(set_of(file)), 1);
    mapseg_free(newer);
    /* No path leads to the older set any more. */
    need_sets(1);
    ck_assert_int_eq(semctl(set, 0, IPC_RMID), 0);
}
END_TEST

/* ------------------------------------------------------------- removing -- */

START_TEST(removed_and_reclaimed)
{
    struct peer qt = qt_program();
    mapseg *seg = handle_for(key);

    tell(&qt, 'c');
    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim(seg));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_int_eq(value_of(set_of(file)), 1);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    ck_assert(!exists(file));
    need_sets(0);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    tell(&qt, 'e');
    end_qt(&qt);
    mapseg_free(seg);
}
END_TEST

START_TEST(removed_by_one_that_is_attached)
{
    mapseg *seg = created(key, 100);

    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim(seg));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    ck_assert(!exists(file));
    *(char *)data_of(seg) = 'x';
    need_call(MAPSEG_LOCK_ERROR, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need_segments(0);
    mapseg_free(seg);
}
END_TEST

START_TEST(removed_while_the_lock_is_held)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct peer qt = qt_program();
    mapseg *seg = handle_for(key);

    tell(&qt, 'c');
    tell(&qt, 'l');
    options.timeout_ns = 0;
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_reclaim_with(seg, &options));
    need_call(MAPSEG_OK, seg, mapseg_remove_with(seg, &options));
    kill_peer(&qt);
    mapseg_free(seg);
}
END_TEST

/* ----------------------------------------------------------------- keys -- */

/// Keys of Qt before 6.6 have a key file for the lock alone.
START_TEST(legacy_key)
{
    const char *segment_file, *lock_file;
    mapseg_ipc_key *legacy, *semaphore;
    char name[KEY_BYTES];
    struct little_qt qt;
    mapseg *seg;

    unique_name(name);
    ck_assert_int_eq(setenv("TMPDIR", SHM_DIRECTORY, 1), 0);
    legacy = mapseg_ipc_key_legacy(name, MAPSEG_KEY_SYSTEMV);
    semaphore = mapseg_ipc_key_legacy_semaphore(name, MAPSEG_KEY_SYSTEMV);
    segment_file = mapseg_ipc_key_name(legacy);
    lock_file = mapseg_ipc_key_name(semaphore);
    seg = created(mapseg_ipc_key_text(legacy), 300);
    ck_assert(exists(segment_file) && exists(lock_file));
    qt_begin(&qt, segment_file);
    snprintf(qt.lock_file, sizeof qt.lock_file, "%s", lock_file);
    ck_assert(qt_attach(&qt));
    ck_assert_uint_eq(qt.size, 300);
    ck_assert(qt_lock(&qt));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    ck_assert(qt_unlock(&qt));
    need_call(MAPSEG_OK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    qt_end(&qt);
    mapseg_free(seg);
    ck_assert(!exists(segment_file) && !exists(lock_file));
    mapseg_ipc_key_free(semaphore);
    mapseg_ipc_key_free(legacy);
}
END_TEST

START_TEST(paths_that_no_key_file_has)
{
    static const char *const keys[] = {"systemv:relative", "systemv:/tmp/", "systemv:/tmp/..",
                                       "systemv:/no/such/directory/x"};
    static const mapseg_result results[] = {MAPSEG_KEY_ERROR, MAPSEG_KEY_ERROR, MAPSEG_KEY_ERROR,
                                            MAPSEG_NOT_FOUND};

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        mapseg *seg = mapseg_new();
        mapseg_result result = mapseg_set_native_key(seg, keys[i]);

        if (result == MAPSEG_OK)
            result = mapseg_create(seg, 100, MAPSEG_READ_WRITE);
        need_result(results[i], result);
        mapseg_free(seg);
    }
}
END_TEST

START_TEST(symbolic_link_is_refused)
{
    mapseg *seg = created(key, 100);
    mapseg *second;
    char link_key[KEY_BYTES + 8], link_path[KEY_BYTES];
    char name[KEY_BYTES];

    unique_name(name);
    snprintf(link_path, sizeof link_path, "%s/%.100s", SHM_DIRECTORY, name);
    snprintf(link_key, sizeof link_key, "systemv:%s", link_path);
    ck_assert_int_eq(symlink(file, link_path), 0);
    second = handle_for(link_key);
    need_call(MAPSEG_UNTRUSTED, second, mapseg_attach(second, MAPSEG_READ_WRITE));
    need_call(MAPSEG_UNTRUSTED, second, mapseg_create(second, 100, MAPSEG_READ_WRITE));
    mapseg_free(second);
    unlink(link_path);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("system V");
    TCase *finding = new_case(suite, "finding");
    TCase *leaving = new_case(suite, "leaving");
    TCase *removing = new_case(suite, "removing");
    TCase *keys = new_case(suite, "keys");
    TCase *const all[] = {finding, leaving, removing, keys};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tcase_add_checked_fixture(all[i], enter_scene, leave_scene);
    tcase_add_test(finding, without_key_file_nothing_is_touched);
    tcase_add_test(finding, key_file_without_segment);
    tcase_add_test(finding, created_as_qt_does);
    tcase_add_test(finding, project_ids);
    tcase_add_test(finding, waited_for_and_never_seen_half_made);
    tcase_add_test(finding, given_up_by_initializer);
    tcase_add_test(finding, smaller_than_demanded);
    tcase_add_test(finding, created_by_one_of_many);
    tcase_add_test(leaving, qt_creates_and_leaves_last);
    tcase_add_test(leaving, qt_creates_and_leaves_first);
    tcase_add_test(leaving, mapseg_creates_and_leaves_last);
    tcase_add_test(leaving, mapseg_creates_and_leaves_first);
    tcase_add_test(leaving, semaphore_that_qt_leaves);
    tcase_add_test(leaving, killed_in_qt);
    tcase_add_test(leaving, replaced_after_a_crash);
    tcase_add_test(leaving, last_one_out_looks_only);
    tcase_add_test(leaving, persistent);
    tcase_add_test(leaving, last_one_out_without_the_lock);
    tcase_add_test(leaving, file_with_content_stays);
    tcase_add_test(leaving, newer_segment_is_left_alone);
    tcase_add_test(removing, removed_and_reclaimed);
    tcase_add_test(removing, removed_by_one_that_is_attached);
    tcase_add_test(removing, removed_while_the_lock_is_held);
    tcase_add_test(keys, legacy_key);
    tcase_add_test(keys, paths_that_no_key_file_has);
    tcase_add_test(keys, symbolic_link_is_refused);
    return run_suite(suite);
}
