/*
 * check_remove.c - mapseg_remove, mapseg_reclaim, and creating with MAPSEG_RECLAIM: when a
 * name is taken away, and when it must not be.
 *
 * SPDX-License-Identifier: MIT
 */
#include "called.h"

#include <signal.h>
#include <string.h>

static uint64_t
inode_of_name(void)
{
    struct stat status;

    ck_assert_int_eq(lstat(path, &status), 0);
    return status.st_ino;
}

/* --------------------------------------------------------------- remove -- */

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

/// What is attached keeps the memory and the lock; a newcomer does not find it.
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

START_TEST(removed_segment_lives_on_beside_its_successor)
{
    mapseg *old = created(key, 64), *second_old = attached(key, MAPSEG_READ_WRITE);
    mapseg *new = handle_for(key);
    uint64_t inode;

    strcpy(mapseg_data(old), "old");
    need_call(MAPSEG_OK, new, mapseg_remove(new));
    check_gone();
    need_call(MAPSEG_NOT_FOUND, new, mapseg_remove(new));
    need_call(MAPSEG_NOT_FOUND, new, mapseg_attach(new, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, new, mapseg_create(new, 128, MAPSEG_READ_WRITE));
    inode = inode_of_name();
    check_attached(1);
    ck_assert_str_eq(mapseg_const_data(second_old), "old");
    ck_assert_int_eq(*(const char *)data_of(new), 0);
    need_call(MAPSEG_OK, old, mapseg_lock(old));
    need_call(MAPSEG_OK, new, mapseg_try_lock(new));
    need_call(MAPSEG_WOULD_BLOCK, second_old, mapseg_try_lock(second_old));
    /* Neither of the old ones, nor the last of them, takes the new name. */
    mapseg_free(old);
    mapseg_free(second_old);
    ck_assert_uint_eq(inode_of_name(), inode);
    mapseg_free(new);
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

/* -------------------------------------------------------------- reclaim -- */

static mapseg_result
create_with_reclaim(mapseg *seg, size_t size)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_RECLAIM;
    return mapseg_create_with(seg, size, MAPSEG_READ_WRITE, &options);
}

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

/* QSharedMemory: after a crash create says "already exists" for ever. */
START_TEST(a_flag_clears_crash_debris)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    leave_debris(key, 1000, 0x5a);
    options.flags = MAPSEG_RECLAIM;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 2000, MAPSEG_READ_WRITE, &options));
    ck_assert_uint_eq(mapseg_size(seg), 2000);
    for (int i = 0; i < 2000; i++)
        ck_assert_int_eq(((unsigned char *)mapseg_data(seg))[i], 0);
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

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

/// Neither the creator of a segment nor a process that has entered a dead one's is deprived of it.
START_TEST(reclaiming_create_spares_the_living)
{
    mapseg *seg, *other = handle_for(key);
    uint64_t inode;

    if (_i == 0) {
        seg = created(key, 64);
        memset(mapseg_data(seg), 0x5a, 64);
    } else {
        leave_debris(key, 64, 0x5a);
        seg = attached(key, MAPSEG_READ_WRITE);
    }
    inode = inode_of_name();
    need_call(MAPSEG_ALREADY_EXISTS, other, create_with_reclaim(other, 20));
    ck_assert(!mapseg_is_attached(other));
    need_call(MAPSEG_ALREADY_EXISTS, seg, create_with_reclaim(seg, 20));
    ck_assert_uint_eq(inode_of_name(), inode);
    check_attached(1);
    need_call(MAPSEG_OK, other, mapseg_attach(other, MAPSEG_READ_ONLY));
    ck_assert_uint_eq(mapseg_size(other), 64);
    ck_assert_int_eq(*(const unsigned char *)mapseg_const_data(other), 0x5a);
    mapseg_free(seg);
    ck_assert(exists(path));
    mapseg_free(other);
    check_gone();
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
            /* The one that created it is in it alone until others attach. */
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

/// Reclaiming creators never take a name that leads to a living segment.
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

/* -------------------------------------------------------------- program -- */

static TCase *
new_group(Suite *suite, const char *name)
{
    TCase *group = new_case(suite, name);

    tcase_add_checked_fixture(group, choose_key, NULL);
    return group;
}

static void
add_removing(Suite *suite)
{
    TCase *group = new_group(suite, "remove");

    tcase_add_test(group, remove_what_is_not_there);
    tcase_add_test(group, memfd_has_no_name_to_remove);
    tcase_add_test(group, remove_while_attached);
    tcase_add_test(group, remove_through_the_attached_handle);
    tcase_add_test(group, old_segment_does_not_take_the_new_name_away);
    tcase_add_test(group, removed_segment_lives_on_beside_its_successor);
    tcase_add_test(group, dying_old_ones_do_not_keep_the_new_one);
    tcase_add_test(group, remove_races_with_everything);
}

static void
add_reclaiming(Suite *suite)
{
    TCase *group = new_group(suite, "reclaim");

    tcase_add_test(group, reclaim_spares_the_living);
    tcase_add_test(group, reclaim_spares_the_stopped);
    tcase_add_test(group, reclaim_clears_crash_debris);
    tcase_add_test(group, reclaim_clears_what_nobody_uses);
    if (skip_unless(is_root(),
                    "reclaim_spares_readers_of_another_user: only root can be two users"))
        tcase_add_test(group, reclaim_spares_readers_of_another_user);
    tcase_add_test(group, a_flag_clears_crash_debris);
    tcase_add_test(group, create_replaces_what_nobody_uses);
    tcase_add_loop_test(group, reclaiming_create_spares_the_living, 0, 2);
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

    add_removing(suite);
    add_reclaiming(suite);
    return run_suite(suite);
}
