/*
 * check_remove.c - when a segment's name goes, and when it must not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include "mapseg-format.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

/// Attaches only when told, so as not to inherit what its parent is attached to by then.
static int
obey_when_called(int channel, void *argument)
{
    return hear(channel) == 'g' ? obedient_peer(channel, argument) : 1;
}

static void
call(const struct peer *peer)
{
    say(peer->channel, 'g');
    ck_assert_int_eq(hear(peer->channel), 'a');
}

/// Ends a peer that has detached.
static void
dismiss(struct peer *peer)
{
    say(peer->channel, 'q');
    ck_assert_int_eq(end_peer(peer), 0);
}

static void
check_gone(void)
{
    ck_assert_msg(!exists(path), "%s is still there", path);
}

static uint64_t
inode_of_name(void)
{
    struct stat status;

    ck_assert_int_eq(lstat(path, &status), 0);
    return status.st_ino;
}

static mapseg *
created_persistent(size_t size)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    options.flags = MAPSEG_PERSISTENT;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, size, MAPSEG_READ_WRITE, &options));
    return seg;
}

static mapseg_result
create_with_reclaim(mapseg *seg, size_t size)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_RECLAIM;
    return mapseg_create_with(seg, size, MAPSEG_READ_WRITE, &options);
}

/* -------------------------------------------------------- last one out -- */

/// The creator and others are killed; who is left and leaves last removes all the same.
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

/// Leaving takes nobody else's name: what lies there now is another file.
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

/* ---------------------------------------------------------- persistent -- */

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

/* -------------------------------------------------------------- remove -- */

START_TEST(remove_what_is_not_there)
{
    mapseg *seg = handle_for(key), *keyless = mapseg_new();

    need_call(MAPSEG_NOT_FOUND, seg, mapseg_remove(seg));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_FOUND);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_reclaim(seg));
    need_call(MAPSEG_KEY_ERROR, keyless, mapseg_remove(keyless));
    need_call(MAPSEG_KEY_ERROR, keyless, mapseg_reclaim(keyless));
    mapseg_free(seg);
    mapseg_free(keyless);
}
END_TEST

START_TEST(memfd_has_no_name_to_remove)
{
    mapseg *seg = handle_for("memfd:");

    need_call(MAPSEG_OK, seg, mapseg_create(seg, 64, MAPSEG_READ_WRITE));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_remove(seg));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_reclaim(seg));
    ck_assert(mapseg_is_attached(seg));
    mapseg_free(seg);
}
END_TEST

/// Whoever is attached keeps the memory and the lock; nobody new finds it.
START_TEST(remove_while_attached)
{
    struct peer peer = start_peer(obey_when_called, key);
    mapseg *seg = created(key, 64), *remover = handle_for(key);

    call(&peer);
    strcpy(mapseg_data(seg), "hello");
    need_call(MAPSEG_OK, remover, mapseg_remove(remover));
    check_gone();
    ck_assert(mapseg_is_attached(seg));
    ck_assert_str_eq(mapseg_data(seg), "hello");
    tell(&peer, 'l');
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    tell(&peer, 'u');
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_NOT_FOUND, remover, mapseg_attach(remover, MAPSEG_READ_WRITE));
    need_call(MAPSEG_NOT_FOUND, remover, mapseg_remove(remover));
    tell(&peer, 'd');
    dismiss(&peer);
    mapseg_free(seg);
    mapseg_free(remover);
}
END_TEST

START_TEST(remove_through_the_attached_handle)
{
    mapseg *seg = created(key, 64);

    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    check_gone();
    ck_assert(mapseg_is_attached(seg));
    *(char *)data_of(seg) = 'x';
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    check_gone();
    mapseg_free(seg);
}
END_TEST

/// The last one out of the old segment must not take the new one's name.
START_TEST(old_segment_does_not_take_the_new_name_away)
{
    struct peer peer = start_peer(obey_when_called, key);
    mapseg *old = created(key, 64), *new, *newcomer;
    uint64_t inode;

    call(&peer);
    strcpy(mapseg_data(old), "old");
    need_call(MAPSEG_OK, old, mapseg_remove(old));
    new = created(key, 128);
    inode = inode_of_name();
    strcpy(mapseg_data(new), "new");
    ck_assert_uint_eq(inode_at(mapseg_data(new)), inode);
    ck_assert_uint_ne(inode_at(mapseg_data(old)), inode);
    ck_assert_str_eq(mapseg_data(old), "old");

    /* Two locks for two segments. */
    need_call(MAPSEG_OK, old, mapseg_lock(old));
    need_call(MAPSEG_OK, new, mapseg_lock(new));
    need_call(MAPSEG_OK, new, mapseg_unlock(new));

    mapseg_free(old);
    ck_assert_uint_eq(inode_of_name(), inode);
    tell(&peer, 'd');
    ck_assert_uint_eq(inode_of_name(), inode);
    newcomer = attached(key, MAPSEG_READ_WRITE);
    ck_assert_uint_eq(mapseg_size(newcomer), 128);
    ck_assert_str_eq(mapseg_data(newcomer), "new");
    dismiss(&peer);
    mapseg_free(new);
    mapseg_free(newcomer);
    check_gone();
}
END_TEST

/// The same where the old ones die instead of leaving.
START_TEST(dying_old_ones_do_not_keep_the_new_one)
{
    struct peer peer = start_peer(obey_when_called, key);
    mapseg *old = created(key, 64), *new;

    call(&peer);
    need_call(MAPSEG_OK, old, mapseg_remove(old));
    new = created(key, 128);
    kill_peer(&peer);
    mapseg_free(new);
    check_gone();
    mapseg_free(old);
}
END_TEST

#define REMOVE_ROUNDS 1000

static int
remove_and_create(int channel, void *argument)
{
    (void)channel;
    (void)argument;
    for (int i = 0; i < REMOVE_ROUNDS; i++) {
        mapseg *seg = handle_for(key);
        mapseg_result result = mapseg_create_or_attach(seg, 64, MAPSEG_READ_WRITE, NULL);

        need_call(MAPSEG_OK, seg, result);
        ck_assert_uint_eq(mapseg_size(seg), 64);
        if (i % 2 == 0) {
            result = mapseg_remove(seg);
            ck_assert_msg(result == MAPSEG_OK || result == MAPSEG_NOT_FOUND, "remove: %s: %s",
                          mapseg_result_name(result), mapseg_error_string(seg));
        }
        *(int *)data_of(seg) = i;
        if (i % 5 == 0)
            give_way();
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
        mapseg_free(seg);
    }
    return 0;
}

/// Removers, creators and last ones out, all at once: each call does what it says.
START_TEST(remove_races_with_everything)
{
    enum { PEERS = 3 };
    struct peer peers[PEERS];

    for (int i = 0; i < PEERS; i++)
        peers[i] = start_peer(remove_and_create, NULL);
    for (int i = 0; i < PEERS; i++)
        ck_assert_int_eq(end_peer(&peers[i]), 0);
    check_gone();
}
END_TEST

/* ------------------------------------------------------------- reclaim -- */

START_TEST(reclaim_spares_the_living)
{
    struct peer peer = start_peer(obey_when_called, key);
    mapseg *seg = created(key, 64), *other = handle_for(key);
    struct footprint before;

    call(&peer);
    take_footprint(&before, path);
    need_call(MAPSEG_IN_USE, other, mapseg_reclaim(other));
    ck_assert_int_eq(mapseg_error(other), MAPSEG_IN_USE);
    ck_assert(is_one_line(mapseg_error_string(other)));
    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim(seg));
    check_footprint(&before, path);
    mapseg_free(seg);
    need_call(MAPSEG_IN_USE, other, mapseg_reclaim(other));
    ck_assert(exists(path));
    tell(&peer, 'd');
    check_gone();
    dismiss(&peer);
    mapseg_free(other);
}
END_TEST

/// A stopped process is not a dead one.
START_TEST(reclaim_spares_the_stopped)
{
    struct peer peer = start_peer(obey_when_called, key);
    mapseg *seg = created(key, 64);

    call(&peer);
    mapseg_free(seg);
    ck_assert_int_eq(kill(peer.pid, SIGSTOP), 0);
    seg = handle_for(key);
    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim(seg));
    need_call(MAPSEG_ALREADY_EXISTS, seg, create_with_reclaim(seg, 64));
    ck_assert(exists(path));
    kill_peer(&peer);
    await_deserted(path);
    need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
    check_gone();
    mapseg_free(seg);
}
END_TEST

START_TEST(reclaim_clears_crash_debris)
{
    mapseg *seg = handle_for(key);
    struct footprint before;

    take_footprint(&before, NULL);
    leave_debris(key, 64, 1);
    need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OK);
    check_gone();
    check_footprint(&before, NULL);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_reclaim(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(reclaim_clears_what_nobody_uses)
{
    mapseg *seg = handle_for(key), *user;

    leave_persistent(key, 64, 0);
    user = attached(key, MAPSEG_READ_ONLY);
    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim(seg));
    mapseg_free(user);
    need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
    check_gone();
    mapseg_free(seg);
}
END_TEST

static int
read_as_nobody(int channel, void *argument)
{
    mapseg *seg = handle_for(key);

    (void)argument;
    become_nobody();
    if (hear(channel) != 'g')
        return 1;
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    say(channel, 'a');
    if (hear(channel) != 'd')
        return 2;
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    mapseg_free(seg);
    say(channel, 'y');
    return 0;
}

/// Readers that may not write the file are attached too.
START_TEST(reclaim_spares_readers_of_another_user)
{
    struct peer reader = start_peer(read_as_nobody, NULL);
    mapseg *seg = created(key, 64);

    ck_assert_int_eq(chmod(path, 0644), 0);
    call(&reader);
    mapseg_free(seg);
    ck_assert(exists(path));
    seg = handle_for(key);
    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim(seg));
    need_call(MAPSEG_ALREADY_EXISTS, seg, create_with_reclaim(seg, 64));
    tell(&reader, 'd');
    ck_assert_int_eq(end_peer(&reader), 0);
    /* It could not remove the name, so the segment is left stale. */
    ck_assert(exists(path));
    need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
    check_gone();
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------- create with RECLAIM -- */

START_TEST(create_replaces_what_nobody_uses)
{
    mapseg *seg = handle_for(key);
    uint64_t inode;

    for (int i = 0; i < 2; i++) {
        if (i == 0)
            leave_debris(key, 64, 0x5a);
        else
            leave_persistent(key, 64, 0);
        inode = inode_of_name();
        need_call(MAPSEG_OK, seg, create_with_reclaim(seg, 5000));
        ck_assert_uint_ne(inode_of_name(), inode);
        ck_assert_uint_eq(mapseg_size(seg), 5000);
        for (int j = 0; j < 5000; j++)
            ck_assert_int_eq(((char *)data_of(seg))[j], 0);
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
        check_gone();
    }
    mapseg_free(seg);
}
END_TEST

START_TEST(create_with_reclaim_where_nothing_is)
{
    mapseg *seg = handle_for(key);

    need_call(MAPSEG_OK, seg, create_with_reclaim(seg, 64));
    mapseg_free(seg);
    check_gone();
}
END_TEST

/// A size that cannot be had leaves the old segment where it is.
START_TEST(failing_create_with_reclaim_reclaims_nothing)
{
    mapseg *seg = handle_for(key);

    use_tiny_shm("size=1m");
    leave_persistent(key, 64, 0);
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, create_with_reclaim(seg, 16 << 20));
    ck_assert(exists(path));
    need_call(MAPSEG_INVALID_SIZE, seg, create_with_reclaim(seg, 0));
    ck_assert(exists(path));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

#define RECLAIM_ROUNDS 400

static int
reclaim_and_attach(int channel, void *argument)
{
    uint32_t *in = argument;

    (void)channel;
    for (int i = 0; i < RECLAIM_ROUNDS; i++) {
        mapseg *seg = handle_for(key);
        mapseg_result result = create_with_reclaim(seg, 64);

        if (result == MAPSEG_OK) {
            /* Whoever created it is in it alone until others attach. */
            ck_assert_uint_eq(inode_of_name(), inode_at(mapseg_data(seg)));
            __atomic_add_fetch(in, 1, __ATOMIC_SEQ_CST);
            give_way();
            ck_assert_uint_eq(inode_of_name(), inode_at(mapseg_data(seg)));
        } else {
            need_call(MAPSEG_ALREADY_EXISTS, seg, result);
            give_way();
        }
        mapseg_free(seg);
    }
    return 0;
}

/// Reclaiming creators never take a name that somebody lives under.
START_TEST(create_with_reclaim_races_with_itself)
{
    enum { PEERS = 3 };
    uint32_t *created_count = shared_memory(sizeof *created_count);
    struct peer peers[PEERS];

    for (int i = 0; i < PEERS; i++)
        peers[i] = start_peer(reclaim_and_attach, created_count);
    for (int i = 0; i < PEERS; i++)
        ck_assert_int_eq(end_peer(&peers[i]), 0);
    ck_assert_uint_ge(*created_count, 1);
    check_gone();
}
END_TEST

/* ----------------------------------------------------- interrupted work -- */

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

/* ------------------------------------------------------------- program -- */

static void
add_leaving(TCase *group)
{
    tcase_add_test(group, last_one_out_removes_whatever_died_before);
    tcase_add_test(group, exit_without_detach_leaves_debris_that_can_be_entered);
    tcase_add_test(group, reader_is_one_too);
    tcase_add_test(group, order_of_leaving_does_not_matter);
    tcase_add_test(group, forked_child_is_one_too);
    tcase_add_test(group, name_that_leads_elsewhere_is_left_alone);
    tcase_add_test(group, link_in_place_of_the_name_is_left_alone);
    tcase_add_test(group, persistent_segment_stays);
    tcase_add_test(group, persistent_segment_survives_a_killed_process);
    tcase_add_test(group, killed_at_any_moment);
}

static void
add_removing(TCase *group)
{
    tcase_add_test(group, remove_what_is_not_there);
    tcase_add_test(group, memfd_has_no_name_to_remove);
    tcase_add_test(group, remove_while_attached);
    tcase_add_test(group, remove_through_the_attached_handle);
    tcase_add_test(group, old_segment_does_not_take_the_new_name_away);
    tcase_add_test(group, dying_old_ones_do_not_keep_the_new_one);
    tcase_add_test(group, remove_races_with_everything);
}

static void
add_reclaiming(TCase *group)
{
    tcase_add_test(group, reclaim_spares_the_living);
    tcase_add_test(group, reclaim_spares_the_stopped);
    tcase_add_test(group, reclaim_clears_crash_debris);
    tcase_add_test(group, reclaim_clears_what_nobody_uses);
    if (skip_unless(is_root(),
                    "reclaim_spares_readers_of_another_user: only root can be two users"))
        tcase_add_test(group, reclaim_spares_readers_of_another_user);
    tcase_add_test(group, create_replaces_what_nobody_uses);
    tcase_add_test(group, create_with_reclaim_where_nothing_is);
    if (skip_unless(can_mount(),
                    "failing_create_with_reclaim_reclaims_nothing: no private mounts here"))
        tcase_add_test(group, failing_create_with_reclaim_reclaims_nothing);
    tcase_add_test(group, create_with_reclaim_races_with_itself);
}

int
main(void)
{
    Suite *suite = new_suite("remove");
    TCase *group = new_case(suite, "remove");

    tcase_add_checked_fixture(group, choose_key, NULL);
    add_leaving(group);
    add_removing(group);
    add_reclaiming(group);
    return run_suite(suite);
}
