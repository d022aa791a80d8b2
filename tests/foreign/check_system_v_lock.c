/*
 * check_system_v_lock.c - the lock of System V segments: with programs that do what Qt does, that
 * are killed, and whose semaphore goes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "system_v_scene.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/sem.h>
#include <unistd.h>

/* ------------------------------------------------------------ exclusion -- */

START_TEST(qt_holds)
{
    struct peer qt = qt_program();
    char process[32];
    mapseg *seg;

    tell(&qt, 'c');
    seg = attached(key, MAPSEG_READ_WRITE);
    tell(&qt, 'l');
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, 1000000));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    snprintf(process, sizeof process, "process %d", (int)qt.pid);
    ck_assert_msg(strstr(mapseg_error_string(seg), process) != NULL, "%s",
                  mapseg_error_string(seg));
    tell(&qt, 'u');
    need_call(MAPSEG_OK, seg, mapseg_lock_for(seg, 1000000));
    need_call(MAPSEG_ALREADY_LOCKED, seg, mapseg_lock(seg));
    need_call(MAPSEG_ALREADY_LOCKED, seg, mapseg_try_lock(seg));
    ck_assert_int_eq(value_of(set_of(file)), 0);
    need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_consistent(seg));
    ck_assert_int_eq(value_of(set_of(file)), 1);
    tell(&qt, 'e');
    kill_peer(&qt);
    mapseg_free(seg);
}
END_TEST

START_TEST(mapseg_holds)
{
    struct peer qt = qt_program();
    mapseg *seg = created(key, 4096);

    tell(&qt, 'a');
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    say(qt.channel, 'l');
    need_asleep(qt.pid);
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    ck_assert_int_eq(hear(qt.channel), 'y');
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    tell(&qt, 'u');
    tell(&qt, 'e');
    kill_peer(&qt);
    mapseg_free(seg);
}
END_TEST

static void
increment(mapseg *seg)
{
    volatile uint64_t *number = data_of(seg);

    for (int i = 0; i < INCREMENTS; i++) {
        need_call(MAPSEG_OK, seg, mapseg_lock(seg));
        *number = *number + 1;
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    }
}

START_TEST(nothing_is_lost)
{
    struct peer qt = qt_program();
    mapseg *seg;

    tell(&qt, 'c');
    seg = attached(key, MAPSEG_READ_WRITE);
    say(qt.channel, 'i');
    increment(seg);
    ck_assert_int_eq(hear(qt.channel), 'y');
    ck_assert_uint_eq(*(uint64_t *)data_of(seg), 2 * INCREMENTS);
    ck_assert_int_eq(value_of(set_of(file)), 1);
    tell(&qt, 'e');
    kill_peer(&qt);
    mapseg_free(seg);
}
END_TEST

/// Reads and writes of the library take the lock, since there is no version.
START_TEST(reads_and_writes_lock)
{
    struct peer qt = qt_program();
    mapseg *seg = created(key, 4096);
    uint64_t version;
    char read[4] = "";

    tell(&qt, 'a');
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 100, "abc", 4));
    need_call(MAPSEG_OK, seg, mapseg_read(seg, 100, read, 4, &version));
    ck_assert_str_eq(read, "abc");
    tell(&qt, 'l');
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_read_for(seg, 100, read, 4, &version, 1000));
    tell(&qt, 'u');
    ck_assert_int_eq(value_of(set_of(file)), 1);
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_wait(seg, 0, &version, 0));
    tell(&qt, 'e');
    kill_peer(&qt);
    mapseg_free(seg);
}
END_TEST

static void *
lock_in_thread(void *seg)
{
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_ALREADY_LOCKED, seg, mapseg_lock(seg));
    return NULL;
}

/// The lock is the handle's: another thread waits for it, and may give it back.
START_TEST(threads_of_a_handle)
{
    mapseg *seg = created(key, 100);
    pthread_t thread;

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(pthread_create(&thread, NULL, lock_in_thread, seg), 0);
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    pthread_join(thread, NULL);
    ck_assert_int_eq(value_of(set_of(file)), 0);
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    ck_assert_int_eq(value_of(set_of(file)), 1);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- death -- */

/// The kernel undoes what Qt did, and no process is told.
START_TEST(killed_qt)
{
    struct peer qt = qt_program();
    mapseg *seg;

    tell(&qt, 'c');
    seg = attached(key, MAPSEG_READ_WRITE);
    tell(&qt, 'l');
    kill_peer(&qt);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(killed_mapseg)
{
    struct peer qt = qt_program();
    struct peer peer;

    tell(&qt, 'c');
    peer = start_peer(obedient_peer, key);
    ck_assert_int_eq(hear(peer.channel), 'a');
    tell(&peer, 'l');
    say(qt.channel, 'l');
    need_asleep(qt.pid);
    kill_peer(&peer);
    ck_assert_int_eq(hear(qt.channel), 'y');
    tell(&qt, 'u');
    ck_assert_int_eq(value_of(set_of(file)), 1);
    tell(&qt, 'e');
    kill_peer(&qt);
}
END_TEST

/// A storm of deaths leaves a lock that one at a time can hold.
START_TEST(killed_again_and_again)
{
    mapseg *seg = created(key, 4096);

    for (int i = 0; i < 50; i++) {
        struct peer peer =
            start_peer(i % 2 == 0 ? obedient_peer : qt_peer, i % 2 == 0 ? key : file);

        if (i % 2 == 0)
            ck_assert_int_eq(hear(peer.channel), 'a');
        else
            tell(&peer, 'a');
        tell(&peer, 'l');
        need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
        kill_peer(&peer);
        need_call(MAPSEG_OK, seg, mapseg_lock(seg));
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    }
    ck_assert_int_eq(value_of(set_of(file)), 1);
    mapseg_free(seg);
}
END_TEST

/// A child has the memory and not the attachment, nor the lock; while it lives it counts.
START_TEST(child_of_fork)
{
    mapseg *seg = created(key, 100);
    pid_t child;
    int go[2];
    char word;

    *(char *)data_of(seg) = 'x';
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(pipe(go), 0);
    child = fork();
    if (child == 0) {
        close(go[1]);
        need(!mapseg_is_attached(seg));
        need_number('x', *(const char *)mapseg_const_data(seg));
        need_call(MAPSEG_NOT_ATTACHED, seg, mapseg_lock(seg));
        need_call(MAPSEG_NOT_ATTACHED, seg, mapseg_unlock(seg));
        need_number(0, read(go[0], &word, 1));
        need_number('x', *(const char *)mapseg_const_data(seg));
        mapseg_free(seg);
        _exit(0);
    }
    close(go[0]);
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
    ck_assert(exists(file));
    close(go[1]);
    finish(child);
    /* It left as the last, and a child removes nothing. */
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(child_without_the_segment)
{
    mapseg *seg = created_as(key, 100, MAPSEG_NO_FORK);
    pid_t child = fork();

    if (child == 0) {
        need(mapseg_const_data(seg) == NULL);
        need(!mapseg_is_attached(seg));
        mapseg_free(seg);
        pause();
        _exit(0);
    }
    mapseg_free(seg);
    ck_assert(!exists(file));
    kill_and_reap(child);
}
END_TEST

/* ------------------------------------------------- semaphores that go away -- */

/// QSharedMemory: an unlock whose set is gone makes another one, with the value 2.
START_TEST(set_removed_while_held)
{
    mapseg *seg = created(key, 100);

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(semctl(set_of(file), 0, IPC_RMID), 0);
    need_call(MAPSEG_LOCK_ERROR, seg, mapseg_unlock(seg));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_sets(0);
    ck_assert_int_eq(set_of(file), -1);
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(value_of(set_of(file)), 0);
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    ck_assert_int_eq(value_of(set_of(file)), 1);
    mapseg_free(seg);
}
END_TEST

static void
wait_for_lock(struct stage *stage)
{
    mapseg *seg = attached(key, MAPSEG_READ_WRITE);

    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_number(0, atomic_exchange(&stage->pid, (int)getpid()));
    atomic_store(&stage->pid, 0);
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
}

START_TEST(set_removed_while_waiting)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(key, 100);
    pid_t waiters[3];

    for (int i = 0; i < 3; i++)
        waiters[i] = start(wait_for_lock, stage);
    await(&stage->ready, 3);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    atomic_store(&stage->go, 1);
    while (semctl(set_of(file), 0, GETNCNT) < 3)
        usleep(1000);
    ck_assert_int_eq(semctl(set_of(file), 0, IPC_RMID), 0);
    for (int i = 0; i < 3; i++)
        finish(waiters[i]);
    need_call(MAPSEG_LOCK_ERROR, seg, mapseg_unlock(seg));
    ck_assert_int_eq(value_of(set_of(file)), 1);
    need_sets(1);
    mapseg_free(seg);
}
END_TEST

START_TEST(key_file_and_set_removed)
{
    struct peer qt = qt_program();
    mapseg *seg = created(key, 4096);
    mapseg *second;

    tell(&qt, 'a');
    second = attached(key, MAPSEG_READ_WRITE);
    ck_assert_int_eq(semctl(set_of(file), 0, IPC_RMID), 0);
    ck_assert_int_eq(unlink(file), 0);
    /* All that are attached meet again, by a new file. */
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_WOULD_BLOCK, second, mapseg_try_lock(second));
    say(qt.channel, 'l');
    need_asleep(qt.pid);
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    ck_assert_int_eq(hear(qt.channel), 'y');
    need_call(MAPSEG_WOULD_BLOCK, second, mapseg_try_lock(second));
    tell(&qt, 'u');
    tell(&qt, 'e');
    kill_peer(&qt);
    mapseg_free(second);
    need_segments(1);
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------------------- repair -- */

/// Lowers the semaphore so that the kernel does not raise it again, and ends.
static int
lower_for_good(void *argument)
{
    struct sembuf operation = {.sem_op = -1};

    (void)argument;
    return semop(set_of(file), &operation, 1) == 0 ? 0 : 1;
}

START_TEST(repaired_with_proof)
{
    mapseg *seg = created(key, 100);
    mapseg *second = handle_for(key);
    mapseg_info *information;

    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_repair(seg, false));
    ck_assert_int_eq(in_child(lower_for_good, NULL), 0);
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    information = describe(second);
    ck_assert_int_eq(information->lock, MAPSEG_LOCK_STATE_OWNER_DIED);
    mapseg_info_free(information);
    need_call(MAPSEG_OK, second, mapseg_repair(second, false));
    ck_assert_int_eq(value_of(set_of(file)), 1);
    need_call(MAPSEG_OK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(second);
    mapseg_free(seg);
}
END_TEST

/// A value above 1 lets two hold the lock: that is put right without force.
START_TEST(repaired_from_above)
{
    struct sembuf operation = {.sem_op = 5};
    mapseg *seg = created(key, 100);

    ck_assert_int_eq(semop(set_of(file), &operation, 1), 0);
    need_call(MAPSEG_OK, seg, mapseg_repair(seg, false));
    ck_assert_int_eq(value_of(set_of(file)), 1);
    mapseg_free(seg);
}
END_TEST

START_TEST(repaired_by_force)
{
    struct peer qt = qt_program();
    mapseg *seg;

    tell(&qt, 'c');
    tell(&qt, 'l');
    seg = handle_for(key);
    need_call(MAPSEG_IN_USE, seg, mapseg_repair(seg, false));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_int_eq(value_of(set_of(file)), 0);
    need_call(MAPSEG_OK, seg, mapseg_repair(seg, true));
    ck_assert_int_eq(value_of(set_of(file)), 1);
    kill_peer(&qt);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("system V lock");
    TCase *exclusion = new_case(suite, "exclusion");
    TCase *death = new_case(suite, "death");
    TCase *gone = new_case(suite, "gone");
    TCase *repair = new_case(suite, "repair");
    TCase *const all[] = {exclusion, death, gone, repair};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tcase_add_checked_fixture(all[i], enter_scene, leave_scene);
    tcase_add_test(exclusion, qt_holds);
    tcase_add_test(exclusion, mapseg_holds);
    tcase_add_test(exclusion, nothing_is_lost);
    tcase_add_test(exclusion, reads_and_writes_lock);
    tcase_add_test(exclusion, threads_of_a_handle);
    tcase_add_test(death, killed_qt);
    tcase_add_test(death, killed_mapseg);
    tcase_add_test(death, killed_again_and_again);
    tcase_add_test(death, child_of_fork);
    tcase_add_test(death, child_without_the_segment);
    tcase_add_test(gone, set_removed_while_held);
    tcase_add_test(gone, set_removed_while_waiting);
    tcase_add_test(gone, key_file_and_set_removed);
    tcase_add_test(repair, repaired_with_proof);
    tcase_add_test(repair, repaired_from_above);
    tcase_add_test(repair, repaired_by_force);
    return run_suite(suite);
}
