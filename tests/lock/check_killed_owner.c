/*
 * check_killed_owner.c - a process is killed with the lock: what others that call meanwhile are
 * told.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <signal.h>

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

/// A peer that is attached to the segment of this test.
static struct peer
attached_peer(void)
{
    struct peer peer = start_peer(obedient_peer, key);

    ck_assert_int_eq(hear(peer.channel), 'a');
    return peer;
}

/*
 * QSharedMemory: the holder of the lock is killed: the lock, detach and destructor of all others
 * block for ever, or none of them is told.
 */
START_TEST(killed_holder_next_owner_is_told)
{
    struct peer holder;
    mapseg *seg, *other;

    leave_persistent(key, 64, 0);
    seg = attached(key, MAPSEG_READ_WRITE);
    other = attached(key, MAPSEG_READ_WRITE);
    holder = attached_peer();
    tell(&holder, 'l');
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    kill_peer(&holder);

    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OWNER_DIED);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_WOULD_BLOCK, other, mapseg_try_lock(other));
    need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, other, mapseg_lock(other));
    need_call(MAPSEG_OK, other, mapseg_unlock(other));
    mapseg_free(other);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/// Callers that cannot wait get the lock of a dead owner all the same.
START_TEST(killed_holder_without_waiting)
{
    struct peer holder;
    mapseg *seg;

    leave_persistent(key, 64, 0);
    seg = attached(key, MAPSEG_READ_WRITE);
    holder = attached_peer();
    tell(&holder, 'l');
    kill_peer(&holder);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    holder = attached_peer();
    tell(&holder, 'l');
    kill_peer(&holder);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock_for(seg, 0));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/// Until an owner repairs the data, each is told.
START_TEST(every_owner_is_told_until_one_repairs)
{
    struct peer holder;
    mapseg *seg;

    leave_persistent(key, 64, 0);
    holder = attached_peer();
    tell(&holder, 'l');
    kill_peer(&holder);
    for (int i = 0; i < 3; i++) {
        seg = attached(key, MAPSEG_READ_WRITE);
        need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
        need_call(MAPSEG_ALREADY_LOCKED, seg, mapseg_lock(seg));
        if (i == 1)
            need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
        mapseg_free(seg);
    }
    seg = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_consistent(seg));
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static int
wait_for_lock(int channel, void *argument)
{
    mapseg *seg = attached(key, MAPSEG_READ_WRITE);
    mapseg_result result;

    (void)argument;
    say(channel, 'a');
    result = mapseg_lock(seg);
    if (result == MAPSEG_OWNER_DIED && mapseg_consistent(seg) != MAPSEG_OK)
        return 2;
    say(channel, result == MAPSEG_OWNER_DIED ? 'd' : result == MAPSEG_OK ? 'o' : 'x');
    if (mapseg_unlock(seg) != MAPSEG_OK)
        return 3;
    mapseg_free(seg);
    return 0;
}

/*
 * QSharedMemory: waiters sleep for ever. Here one of them is told, and all go on.
 */
START_TEST(waiters_go_on_when_the_holder_is_killed)
{
    enum { WAITERS = 4 };
    struct peer holder, waiters[WAITERS];
    int told = 0;
    mapseg *seg;

    leave_persistent(key, 64, 0);
    holder = attached_peer();
    tell(&holder, 'l');
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = start_peer(wait_for_lock, NULL);
        ck_assert_int_eq(hear(waiters[i].channel), 'a');
    }
    nap(50 * MILLISECOND);
    kill_peer(&holder);
    for (int i = 0; i < WAITERS; i++) {
        int word = hear(waiters[i].channel);

        ck_assert_msg(word == 'd' || word == 'o', "waiter %d says %d", i, word);
        told += word == 'd';
        ck_assert_int_eq(end_peer(&waiters[i]), 0);
    }
    ck_assert_int_eq(told, 1);
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static int
detach_only(void *seg)
{
    return mapseg_detach(seg) == MAPSEG_OK ? 0 : 1;
}

static int
free_only(void *seg)
{
    mapseg_free(seg);
    return 0;
}

/*
 * QSharedMemory: leaving waits for the lock. Here it does not, be the owner dead or stopped.
 */
START_TEST(detach_does_not_wait_for_the_lock)
{
    struct peer holder;
    mapseg *seg;

    leave_persistent(key, 64, 0);
    seg = attached(key, MAPSEG_READ_WRITE);
    holder = attached_peer();
    tell(&holder, 'l');
    ck_assert_int_eq(kill(holder.pid, SIGSTOP), 0);
    ck_assert_int_eq(in_child(detach_only, seg), 0);
    ck_assert_int_eq(in_child(free_only, seg), 0);
    kill_peer(&holder);
    ck_assert_int_eq(in_child(detach_only, seg), 0);
    ck_assert_int_eq(in_child(free_only, seg), 0);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("killed owner");
    TCase *group = new_case(suite, "killed owner");

    tcase_add_checked_fixture(group, choose_key, NULL);
    tcase_add_test(group, killed_holder_next_owner_is_told);
    tcase_add_test(group, killed_holder_without_waiting);
    tcase_add_test(group, every_owner_is_told_until_one_repairs);
    tcase_add_test(group, waiters_go_on_when_the_holder_is_killed);
    tcase_add_test(group, detach_does_not_wait_for_the_lock);
    return run_suite(suite);
}
