/*
 * check_leave.c - the last attachment to leave removes the name, whatever died before;
 * persistent segments stay.
 *
 * SPDX-License-Identifier: MIT
 */
#include "called.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ----------------------------------------------------- the last one out -- */

START_TEST(last_one_out_removes)
{
    for (int way = 0; way < 4; way++) {
        mapseg *creator = created(key, 64);
        mapseg *other = attached(key, way < 2 ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY);
        mapseg *first = way % 2 == 0 ? creator : other, *last = way % 2 == 0 ? other : creator;

        need_call(MAPSEG_OK, first, mapseg_detach(first));
        ck_assert(exists(path));
        check_attached(1);
        need_call(MAPSEG_OK, last, mapseg_detach(last));
        check_gone();
        mapseg_free(creator);
        mapseg_free(other);
    }
}
END_TEST

START_TEST(last_process_out_removes)
{
    struct peer peer = start_peer(obey_when_called, key);
    mapseg *seg = created(key, 64);

    call(&peer);
    check_attached(2);
    if (_i == 0)
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(exists(path));
    tell(&peer, 'd');
    ck_assert(exists(path) == (_i == 1));
    dismiss(&peer);
    mapseg_free(seg);
    check_gone();
}
END_TEST

/// Read-only attachments count like any other, and remove like any other.
START_TEST(reader_is_one_too)
{
    mapseg *seg = created(key, 64), *reader = attached(key, MAPSEG_READ_ONLY);

    mapseg_free(seg);
    ck_assert(exists(path));
    mapseg_free(reader);
    check_gone();
}
END_TEST

/// The last one out is the last, also where its handle was made long before the others'.
START_TEST(order_of_leaving_does_not_matter)
{
    enum { MANY = 5 };

    for (int last = 0; last < MANY; last++) {
        mapseg *segs[MANY];

        segs[0] = created(key, 64);
        for (int i = 1; i < MANY; i++)
            segs[i] = attached(key, i % 2 == 0 ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY);
        for (int i = 0; i < MANY; i++) {
            if (i == last)
                continue;
            mapseg_free(segs[i]);
            ck_assert(exists(path));
        }
        mapseg_free(segs[last]);
        check_gone();
    }
}
END_TEST

static int
detach_when_told(int channel, void *seg)
{
    if (hear(channel) != 'd' || mapseg_detach(seg) != MAPSEG_OK)
        return 1;
    mapseg_free(seg);
    say(channel, 'y');
    return 0;
}

/// A child made by fork is attached in its own right.
START_TEST(forked_child_is_one_too)
{
    mapseg *seg = created(key, 64);
    struct peer child = start_peer(detach_when_told, seg);

    mapseg_free(seg);
    ck_assert(exists(path));
    tell(&child, 'd');
    ck_assert_int_eq(end_peer(&child), 0);
    check_gone();
}
END_TEST

static int
come_and_go(int channel, void *argument)
{
    int word;
    mapseg *seg;

    (void)argument;
    if (hear(channel) != 'g')
        return 1;
    seg = attached(key, MAPSEG_READ_WRITE);
    say(channel, 'a');
    word = hear(channel);
    if (word == 'd' && mapseg_detach(seg) != MAPSEG_OK)
        return 2;
    if (word == 'f')
        mapseg_free(seg);
    say(channel, 'y');
    if (hear(channel) != 'q')
        return 3;
    if (word == 'd')
        mapseg_free(seg);
    return 0;
}

static void
leave(const struct peer *peer, char how)
{
    say(peer->channel, how);
    ck_assert_int_eq(hear(peer->channel), 'y');
}

/*
 * QSharedMemory: the segment is never removed. Here it goes with its last attachment, in whatever
 * order the processes leave and whether they detach or free the handle.
 */
START_TEST(last_of_three_processes_removes)
{
    struct peer peers[2];
    mapseg *seg;

    for (int i = 0; i < 2; i++)
        peers[i] = start_peer(come_and_go, NULL);
    seg = created(key, 64);
    for (int i = 0; i < 2; i++) {
        say(peers[i].channel, 'g');
        ck_assert_int_eq(hear(peers[i].channel), 'a');
    }
    /* _i says which of the three leaves last. */
    if (_i != 0)
        mapseg_free(seg);
    if (_i != 1)
        leave(&peers[0], 'f');
    ck_assert(exists(path));
    if (_i != 2)
        leave(&peers[1], 'd');
    ck_assert(exists(path));
    if (_i == 0)
        mapseg_free(seg);
    else
        leave(&peers[_i - 1], _i == 1 ? 'f' : 'd');
    ck_assert(!exists(path));
    for (int i = 0; i < 2; i++) {
        say(peers[i].channel, 'q');
        ck_assert_int_eq(end_peer(&peers[i]), 0);
    }
}
END_TEST

#define D8_ROUNDS 300

struct leavers {
    uint32_t attached[D8_ROUNDS];
    uint32_t left[D8_ROUNDS];
};

static int
leave_together(int channel, void *argument)
{
    struct leavers *leavers = argument;

    (void)channel;
    for (int i = 0; i < D8_ROUNDS; i++) {
        mapseg *seg = handle_for(key);

        need_call(MAPSEG_OK, seg, mapseg_create_or_attach(seg, 64, MAPSEG_READ_WRITE, NULL));
        meet(&leavers->attached[i], 2);
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
        mapseg_free(seg);
        meet(&leavers->left[i], 2);
        if (exists(path))
            return 2;
        /* Neither comes again before both have looked. */
        meet(&leavers->left[i], 4);
    }
    return 0;
}

/* QSharedMemory: the segment is never removed. */
START_TEST(two_who_leave_at_once_remove)
{
    struct leavers *leavers = shared_memory(sizeof *leavers);
    struct peer peers[2];

    for (int i = 0; i < 2; i++)
        peers[i] = start_peer(leave_together, leavers);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(end_peer(&peers[i]), 0);
}
END_TEST

/* --------------------------------------------------------- after deaths -- */

/// The creator and others are killed; the last of those that are left removes all the same.
START_TEST(last_one_out_removes_whatever_died_before)
{
    enum { PEERS = 4 };
    struct peer peers[PEERS];
    struct peer creator = start_peer(obey_when_called, key);
    mapseg *seg = handle_for(key);

    for (int i = 0; i < PEERS; i++)
        peers[i] = start_peer(obey_when_called, key);
    leave_debris(key, 64, 1);
    call(&creator);
    for (int i = 0; i < PEERS; i++)
        call(&peers[i]);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    tell(&peers[1], 'l');
    kill_peer(&creator);
    kill_peer(&peers[0]);
    kill_peer(&peers[1]);
    tell(&peers[2], 'd');
    kill_peer(&peers[3]);
    ck_assert(exists(path));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    check_gone();
    dismiss(&peers[2]);
    mapseg_free(seg);
}
END_TEST

/// A process that just ends counts as dead: nothing of it is left to remove the name.
START_TEST(exit_without_detach_leaves_debris_that_can_be_entered)
{
    struct peer peer = start_peer(obey_when_called, key);
    mapseg *seg = created(key, 64);

    strcpy(mapseg_data(seg), "hello");
    call(&peer);
    mapseg_free(seg);
    say(peer.channel, 'q');
    ck_assert_int_eq(end_peer(&peer), 0);
    await_deserted(path);
    ck_assert(exists(path));
    seg = attached(key, MAPSEG_READ_WRITE);
    ck_assert_str_eq(mapseg_data(seg), "hello");
    mapseg_free(seg);
    check_gone();
}
END_TEST

/*
 * QSharedMemory: after a crash create says "already exists" for ever, or the crash's memory is
 * destroyed or not depending on the order of calls.
 */
START_TEST(content_survives_a_crash_and_the_last_one_out_removes_it)
{
    mapseg *seg, *other;

    leave_debris(key, 1000, 0x5a);
    seg = handle_for(key);
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert_uint_eq(mapseg_size(seg), 1000);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(((unsigned char *)mapseg_data(seg))[i], 0x5a);
    other = attached(key, MAPSEG_READ_ONLY);
    mapseg_free(seg);
    ck_assert(exists(path));
    mapseg_free(other);
    ck_assert(!exists(path));
}
END_TEST

struct killed_round {
    uint32_t ready;
};

static int
work_until_killed(int channel, void *argument)
{
    struct killed_round *round = argument;

    (void)channel;
    __atomic_store_n(&round->ready, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        mapseg *seg = handle_for(key);

        if (mapseg_create_or_attach(seg, 64, MAPSEG_READ_WRITE, NULL) != MAPSEG_OK)
            return 1;
        if (!mapseg_result_owes_unlock(mapseg_lock(seg)) || mapseg_unlock(seg) != MAPSEG_OK)
            return 2;
        mapseg_free(seg);
    }
}

/// Killed at any instruction of creating, attaching, locking, leaving: the next one goes on.
START_TEST(killed_at_any_moment)
{
    struct killed_round *round = shared_memory(sizeof *round);
    char name[KEY_BYTES];

    snprintf(name, sizeof name, "%s", strrchr(path, '/') + 1);
    for (int i = 0; i < 150; i++) {
        struct peer peer = start_peer(work_until_killed, round);
        mapseg *seg;
        bool is_new;

        while (__atomic_exchange_n(&round->ready, 0, __ATOMIC_SEQ_CST) == 0)
            give_way();
        usleep((useconds_t)(i * 37 % 700));
        kill_peer(&peer);
        seg = handle_for(key);
        need_call(MAPSEG_OK, seg, mapseg_create_or_attach(seg, 64, MAPSEG_READ_WRITE, &is_new));
        ck_assert_uint_eq(mapseg_size(seg), 64);
        ck_assert(mapseg_result_owes_unlock(mapseg_lock(seg)));
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
        mapseg_free(seg);
        check_gone();
        ck_assert_int_eq(count_names(name), 0);
    }
}
END_TEST

/* ------------------------------------------- names that are not its own -- */

/// Leaving takes no other file's name, and what lies there now is another file.
START_TEST(name_that_leads_elsewhere_is_left_alone)
{
    mapseg *seg = created(key, 64);
    int fd;

    ck_assert_int_eq(unlink(path), 0);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "mine", 4), 4);
    close(fd);
    mapseg_free(seg);
    ck_assert(exists(path));
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(link_in_place_of_the_name_is_left_alone)
{
    char moved[KEY_BYTES + 8];
    mapseg *seg = created(key, 64);

    snprintf(moved, sizeof moved, "%s-moved", path);
    ck_assert_int_eq(rename(path, moved), 0);
    ck_assert_int_eq(symlink(moved, path), 0);
    mapseg_free(seg);
    ck_assert(exists(path));
    ck_assert(exists(moved));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(unlink(moved), 0);
}
END_TEST

/* -------------------------------------------------- persistent segments -- */

static mapseg *
created_persistent(size_t size)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    options.flags = MAPSEG_PERSISTENT;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, size, MAPSEG_READ_WRITE, &options));
    return seg;
}

START_TEST(persistent_segment_stays)
{
    mapseg *seg = created_persistent(64);

    strcpy(mapseg_data(seg), "hello");
    mapseg_free(seg);
    ck_assert(exists(path));
    for (int i = 0; i < 3; i++) {
        seg = attached(key, i % 2 == 0 ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY);
        ck_assert_str_eq(mapseg_const_data(seg), "hello");
        mapseg_free(seg);
        ck_assert(exists(path));
    }
    seg = handle_for(key);
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 64, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    check_gone();
    mapseg_free(seg);
}
END_TEST

START_TEST(persistent_segment_survives_a_killed_process)
{
    struct peer peer = start_peer(obey_when_called, key);
    mapseg *seg = created_persistent(64);

    call(&peer);
    tell(&peer, 'l');
    mapseg_free(seg);
    kill_peer(&peer);
    seg = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    mapseg_free(seg);
    ck_assert(exists(path));
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
    check_gone();
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- program -- */

static TCase *
new_group(Suite *suite, const char *name)
{
    TCase *group = new_case(suite, name);

    tcase_add_checked_fixture(group, choose_key, NULL);
    return group;
}

static void
add_last_one_out(Suite *suite)
{
    TCase *group = new_group(suite, "last one out");

    tcase_add_test(group, last_one_out_removes);
    tcase_add_loop_test(group, last_process_out_removes, 0, 2);
    tcase_add_test(group, reader_is_one_too);
    tcase_add_test(group, order_of_leaving_does_not_matter);
    tcase_add_test(group, forked_child_is_one_too);
    tcase_add_loop_test(group, last_of_three_processes_removes, 0, 3);
    tcase_add_test(group, two_who_leave_at_once_remove);
    tcase_add_test(group, name_that_leads_elsewhere_is_left_alone);
    tcase_add_test(group, link_in_place_of_the_name_is_left_alone);
}

static void
add_deaths(Suite *suite)
{
    TCase *group = new_group(suite, "deaths");

    tcase_add_test(group, last_one_out_removes_whatever_died_before);
    tcase_add_test(group, exit_without_detach_leaves_debris_that_can_be_entered);
    tcase_add_test(group, content_survives_a_crash_and_the_last_one_out_removes_it);
    tcase_add_test(group, killed_at_any_moment);
}

static void
add_persistent(Suite *suite)
{
    TCase *group = new_group(suite, "persistent");

    tcase_add_test(group, persistent_segment_stays);
    tcase_add_test(group, persistent_segment_survives_a_killed_process);
}

int
main(void)
{
    Suite *suite = new_suite("leave");

    add_last_one_out(suite);
    add_deaths(suite);
    add_persistent(suite);
    return run_suite(suite);
}
