/*
 * check_faults_of_qt.c - where QSharedMemory fails and mapseg must not. Each test shows one fault
 * absent; the comment over it says what the fault is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void
dismiss(struct peer *peer)
{
    tell(peer, 'd');
    say(peer->channel, 'q');
    ck_assert_int_eq(end_peer(peer), 0);
}

/* ------------------------------------------------------------------ D1 -- */

/*
 * While A holds the lock, B's create fails as it should, but resets the lock; then B, attaching as
 * the manual says, gets it too.
 */
START_TEST(d1_failing_create_leaves_the_lock_alone)
{
    struct peer holder;
    mapseg *seg;

    leave_persistent(key, 64, 0);
    holder = attached_peer();
    tell(&holder, 'l');

    seg = handle_for(key);
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 64, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, 50000000));
    tell(&holder, 'u');
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    dismiss(&holder);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

#define D1_PROCESSES 3
#define D1_ROUNDS 400

static int
create_else_attach_and_add(int channel, void *argument)
{
    (void)channel;
    (void)argument;
    for (int i = 0; i < D1_ROUNDS; i++) {
        mapseg *seg = handle_for(key);
        volatile uint64_t *sum;
        uint64_t seen;

        need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 64, MAPSEG_READ_WRITE));
        need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
        sum = mapseg_data(seg);
        need_call(MAPSEG_OK, seg, mapseg_lock(seg));
        seen = *sum;
        give_way();
        *sum = seen + 1;
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
        mapseg_free(seg);
    }
    return 0;
}

START_TEST(d1_no_count_is_lost_while_others_try_to_create)
{
    struct peer peers[D1_PROCESSES];
    mapseg *seg;

    leave_persistent(key, 64, 0);
    for (int i = 0; i < D1_PROCESSES; i++)
        peers[i] = start_peer(create_else_attach_and_add, NULL);
    for (int i = 0; i < D1_PROCESSES; i++)
        ck_assert_int_eq(end_peer(&peers[i]), 0);
    seg = attached(key, MAPSEG_READ_WRITE);
    ck_assert_uint_eq(*(uint64_t *)data_of(seg), D1_PROCESSES * D1_ROUNDS);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------------ D2 -- */

/*
 * The holder of the lock is killed: everybody else's lock, detach and destructor block for ever, or
 * nobody is told.
 */
START_TEST(d2_killed_holder_next_owner_is_told)
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
START_TEST(d2_killed_holder_without_waiting)
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

/// Until somebody repairs the data, each owner is told.
START_TEST(d2_every_owner_is_told_until_one_repairs)
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

/// Of several who sleep when the owner is killed, one is told, and all go on.
START_TEST(d2_waiters_go_on_when_the_holder_is_killed)
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

/// Leaving never waits for a lock: neither a dead owner's nor a stopped one's.
START_TEST(d2_detach_does_not_wait_for_the_lock)
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

/// A stopped owner is alive: its lock is not taken away.
START_TEST(d2_stopped_holder_keeps_the_lock)
{
    struct peer holder;
    mapseg *seg;

    leave_persistent(key, 64, 0);
    seg = attached(key, MAPSEG_READ_WRITE);
    holder = attached_peer();
    tell(&holder, 'l');
    ck_assert_int_eq(kill(holder.pid, SIGSTOP), 0);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, 300000000));
    ck_assert_int_eq(kill(holder.pid, SIGCONT), 0);
    tell(&holder, 'u');
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    dismiss(&holder);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------------ D3 -- */

/*
 * After a crash create says "already exists" for ever, or the crash's memory is destroyed or not
 * depending on the order of calls.
 */
START_TEST(d3_content_survives_a_crash_and_the_last_one_out_removes_it)
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

START_TEST(d3_a_flag_clears_crash_debris)
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

START_TEST(d3_the_flag_spares_the_living)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key), *holder;
    struct peer other;

    leave_debris(key, 1000, 0x5a);
    other = attached_peer();
    options.flags = MAPSEG_RECLAIM;
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create_with(seg, 20, MAPSEG_READ_WRITE, &options));
    ck_assert(!mapseg_is_attached(seg));
    holder = attached(key, MAPSEG_READ_ONLY);
    ck_assert_uint_eq(mapseg_size(holder), 1000);
    ck_assert_ptr_nonnull(mapseg_const_data(holder));
    ck_assert_int_eq(*(const unsigned char *)mapseg_const_data(holder), 0x5a);
    dismiss(&other);
    mapseg_free(holder);
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------------ D4 -- */

/*
 * /dev/shm is full: create succeeds, and the first touch is a SIGBUS.
 */
START_TEST(d4_full_file_system_is_out_of_resources)
{
    struct statvfs before, after;
    struct footprint footprint;
    mapseg *seg = handle_for(key), *small;

    use_tiny_shm("size=1m");
    ck_assert_int_eq(statvfs("/dev/shm", &before), 0);
    take_footprint(&footprint, path);
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_create(seg, 2 << 20, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OUT_OF_RESOURCES);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    /* The data would fit, but not with its header. */
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_create(seg, 1 << 20, MAPSEG_READ_WRITE));
    check_footprint(&footprint, path);
    ck_assert_int_eq(count_names(""), 0);
    ck_assert_int_eq(statvfs("/dev/shm", &after), 0);
    ck_assert_uint_eq(after.f_bfree, before.f_bfree);
    ck_assert_uint_eq(after.f_ffree, before.f_ffree);

    need_call(MAPSEG_OK, seg, mapseg_create(seg, (1 << 20) - 65536, MAPSEG_READ_WRITE));
    small = handle_for("shm:second");
    need_call(MAPSEG_OUT_OF_RESOURCES, small, mapseg_create(small, 65536, MAPSEG_READ_WRITE));
    memset(mapseg_data(seg), 1, (1 << 20) - 65536);
    mapseg_free(seg);
    need_call(MAPSEG_OK, small, mapseg_create(small, 65536, MAPSEG_READ_WRITE));
    mapseg_free(small);
    ck_assert_int_eq(count_names(""), 0);
}
END_TEST

/// What was reserved stays, whatever fills the rest later.
START_TEST(d4_reserved_memory_is_there_when_touched)
{
    mapseg *seg;
    char *block;
    int fd;

    use_tiny_shm("size=1m");
    seg = created(key, 512 << 10);
    fd = open("/dev/shm/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    block = calloc(1, 65536);
    while (write(fd, block, 65536) > 0)
        continue;
    ck_assert_uint_eq(free_blocks(), 0);
    memset(mapseg_data(seg), 1, 512 << 10);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    free(block);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// Lazy segments take no memory until it is touched: that is what they are for.
START_TEST(d4_lazy_segments_reserve_nothing)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    use_tiny_shm("size=1m");
    options.flags = MAPSEG_LAZY;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 16 << 20, MAPSEG_READ_WRITE, &options));
    ck_assert_uint_eq(mapseg_size(seg), 16 << 20);
    ck_assert_uint_ge(free_blocks() * 4096, 512 << 10);
    *((char *)data_of(seg) + (8 << 20)) = 1;
    mapseg_free(seg);
    ck_assert_int_eq(count_names(""), 0);
}
END_TEST

/* ------------------------------------------------------------------ D5 -- */

/*
 * A takes the lock and then fails in its own create: from then on two can hold the lock.
 */
START_TEST(d5_own_failing_create_keeps_the_lock)
{
    struct peer other;
    mapseg *seg;
    char early;

    leave_persistent(key, 64, 0);
    other = attached_peer();
    seg = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 64, MAPSEG_READ_WRITE));
    say(other.channel, 'l');
    nap(100 * MILLISECOND);
    need_call(MAPSEG_ALREADY_LOCKED, seg, mapseg_lock(seg));
    /* Its answer must not have come as long as the lock is held. */
    ck_assert_int_eq(recv(other.channel, &early, 1, MSG_DONTWAIT), -1);
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    ck_assert_int_eq(hear(other.channel), 'y');
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    tell(&other, 'u');
    dismiss(&other);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static int
try_to_lock(void *argument)
{
    mapseg *seg = attached(key, MAPSEG_READ_WRITE);

    (void)argument;
    return (int)mapseg_try_lock(seg);
}

START_TEST(d5_nobody_gets_in_after_own_failing_create)
{
    mapseg *seg = created(key, 64);

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    for (int i = 0; i < 5; i++) {
        need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 64, MAPSEG_READ_WRITE));
        ck_assert_int_eq(in_child(try_to_lock, NULL), MAPSEG_WOULD_BLOCK);
    }
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    ck_assert_int_eq(in_child(try_to_lock, NULL), MAPSEG_OK);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------------ D7 -- */

/// Attaches only when told, so as not to inherit what its parent is attached to by then.
static int
obey_when_called(int channel, void *argument)
{
    return hear(channel) == 'g' ? obedient_peer(channel, argument) : 1;
}

/*
 * The creator leaves and a third process attaches: it gets a lock of its own, and both are
 * "locked".
 */
START_TEST(d7_one_lock_after_the_creator_left)
{
    struct peer first = start_peer(obey_when_called, key);
    mapseg *creator = created(key, 64), *third;

    say(first.channel, 'g');
    ck_assert_int_eq(hear(first.channel), 'a');
    tell(&first, 'l');
    mapseg_free(creator);
    third = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_WOULD_BLOCK, third, mapseg_try_lock(third));
    need_call(MAPSEG_TIMED_OUT, third, mapseg_lock_for(third, 50000000));
    tell(&first, 'u');
    need_call(MAPSEG_OK, third, mapseg_lock(third));
    mapseg_free(third);
    dismiss(&first);
    ck_assert(!exists(path));
}
END_TEST

/* ------------------------------------------------------------------ D8 -- */

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
 * The segment is never removed. Here it goes with its last attachment, in whatever order the
 * processes leave and whether they detach or free the handle.
 */
START_TEST(d8_the_last_one_out_removes)
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
    /* _i is who of the three leaves last. */
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
        /* Nobody comes again before both have looked. */
        meet(&leavers->left[i], 4);
    }
    return 0;
}

START_TEST(d8_two_who_leave_at_once_remove)
{
    struct leavers *leavers = shared_memory(sizeof *leavers);
    struct peer peers[2];

    for (int i = 0; i < 2; i++)
        peers[i] = start_peer(leave_together, leavers);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(end_peer(&peers[i]), 0);
}
END_TEST

/* ------------------------------------------------------------------ D9 -- */

/*
 * Seals are tried on a file that cannot be sealed: a peer's truncation is a SIGBUS.
 */
START_TEST(d9_memfd_is_sealed)
{
    mapseg *seg = handle_for("memfd:");
    struct stat status;
    int fd;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10000, MAPSEG_READ_WRITE));
    memset(mapseg_data(seg), 0x5a, 10000);
    fd = exported_fd(seg, MAPSEG_READ_WRITE);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE, 0);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// Every way to shorten the file, from the process itself.
static int
try_to_truncate(void *argument)
{
    int fd = *(int *)argument;
    char name[64];

    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (ftruncate(fd, 0) == 0 || ftruncate(fd, 4096) == 0 || ftruncate(fd, 1 << 20) == 0)
        return 1;
    if (truncate(name, 0) == 0)
        return 2;
    fd = open(name, O_RDWR | O_TRUNC | O_CLOEXEC);
    if (fd != -1)
        return 3;
    fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd == -1 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0)
        return 4;
    return 0;
}

START_TEST(d9_no_peer_can_truncate_a_memfd)
{
    mapseg *seg = handle_for("memfd:");
    int fd;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10000, MAPSEG_READ_WRITE));
    memset(mapseg_data(seg), 0x5a, 10000);
    fd = exported_fd(seg, MAPSEG_READ_WRITE);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(in_child(try_to_truncate, &fd), 0);
    for (int i = 0; i < 10000; i++)
        ck_assert_int_eq(((unsigned char *)mapseg_data(seg))[i], 0x5a);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/// With a descriptor for reading another user finds no way to write.
static int
try_to_write(void *argument)
{
    int fd = *(int *)argument;
    char name[64];
    void *memory;

    if (is_root())
        become_nobody();
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (write(fd, "x", 1) != -1 || ftruncate(fd, 0) == 0)
        return 1;
    if (open(name, O_RDWR | O_CLOEXEC) != -1 || open(name, O_WRONLY | O_CLOEXEC) != -1)
        return 2;
    if (mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
        return 3;
    memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_READ | PROT_WRITE) == 0)
        return 4;
    if (fchmod(fd, 0777) == 0)
        return 5;
    return 0;
}

START_TEST(d9_descriptor_for_reading_does_not_write)
{
    mapseg *seg = handle_for("memfd:");
    int fd;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10000, MAPSEG_READ_WRITE));
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    ck_assert_int_eq(in_child(try_to_write, &fd), 0);
    close(fd);
    mapseg_free(seg);
}
END_TEST

/* ----------------------------------------------------------------- D10 -- */

/*
 * After 32,767 releases the semaphore's undo counter is exhausted.
 */
START_TEST(d10_forty_thousand_releases)
{
    struct peer other;
    mapseg *seg;

    leave_persistent(key, 64, 0);
    other = attached_peer();
    seg = attached(key, MAPSEG_READ_WRITE);
    for (int i = 0; i < 40000; i++) {
        mapseg_result locked = mapseg_lock(seg), unlocked = mapseg_unlock(seg);

        if (locked != MAPSEG_OK || unlocked != MAPSEG_OK)
            ck_abort_msg("round %d: %s, %s", i, mapseg_result_name(locked),
                         mapseg_result_name(unlocked));
    }
    tell(&other, 'l');
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    tell(&other, 'u');
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    dismiss(&other);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static int
release_forty_thousand_times(void *argument)
{
    mapseg *seg = attached(key, MAPSEG_READ_WRITE);

    (void)argument;
    for (int i = 0; i < 40000; i++)
        if (mapseg_lock(seg) != MAPSEG_OK || mapseg_unlock(seg) != MAPSEG_OK)
            return 1;
    return mapseg_lock(seg) == MAPSEG_OK ? 0 : 2;
}

/// The same in a process that then dies with the lock, again and again.
START_TEST(d10_releases_by_processes_that_die)
{
    mapseg *seg = created(key, 64);

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(in_child(release_forty_thousand_times, NULL), 0);
        need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
        need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}
END_TEST

/* ----------------------------------------------------------------- D11 -- */

#define D11_ROUNDS 600
#define D11_SIZE 20000

struct rounds {
    uint32_t start[D11_ROUNDS];
    uint32_t in[D11_ROUNDS];
    uint32_t out[D11_ROUNDS];
    uint32_t creators[D11_ROUNDS];
};

/// What must hold of any attachment: it is whole, and its name leads to it.
static void
check_attachment(mapseg *seg)
{
    struct stat status;

    ck_assert_uint_eq(mapseg_size(seg), D11_SIZE);
    ck_assert_int_eq(((char *)data_of(seg))[D11_SIZE - 1], 0);
    ck_assert_msg(stat(path, &status) == 0, "the name of an attached segment is gone");
    ck_assert_uint_eq(status.st_ino, inode_at(mapseg_data(seg)));
}

static bool
enter_by_one_call(mapseg *seg)
{
    bool is_creator;

    need_call(MAPSEG_OK, seg,
              mapseg_create_or_attach(seg, D11_SIZE, MAPSEG_READ_WRITE, &is_creator));
    return is_creator;
}

/// As every Qt program does: create, else attach; the segment may vanish in between.
static bool
enter_by_hand(mapseg *seg)
{
    for (;;) {
        mapseg_result result = mapseg_create(seg, D11_SIZE, MAPSEG_READ_WRITE);

        if (result == MAPSEG_OK)
            return true;
        need_call(MAPSEG_ALREADY_EXISTS, seg, result);
        result = mapseg_attach(seg, MAPSEG_READ_WRITE);
        if (result == MAPSEG_OK)
            return false;
        need_call(MAPSEG_NOT_FOUND, seg, result);
    }
}

static int
race_in_rounds(struct rounds *rounds, bool (*enter)(mapseg *seg))
{
    mapseg *seg = handle_for(key);

    for (int i = 0; i < D11_ROUNDS; i++) {
        meet(&rounds->start[i], 2);
        if (enter(seg))
            __atomic_add_fetch(&rounds->creators[i], 1, __ATOMIC_SEQ_CST);
        check_attachment(seg);
        meet(&rounds->in[i], 2);
        ck_assert_uint_eq(__atomic_load_n(&rounds->creators[i], __ATOMIC_SEQ_CST), 1);
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
        meet(&rounds->out[i], 2);
        ck_assert(!exists(path));
    }
    mapseg_free(seg);
    return 0;
}

static int
race_by_one_call(int channel, void *rounds)
{
    (void)channel;
    return race_in_rounds(rounds, enter_by_one_call);
}

static int
race_by_hand(int channel, void *rounds)
{
    (void)channel;
    return race_in_rounds(rounds, enter_by_hand);
}

static void
race_two(int (*body)(int channel, void *argument))
{
    struct rounds *rounds = shared_memory(sizeof *rounds);
    struct peer peers[2];

    for (int i = 0; i < 2; i++)
        peers[i] = start_peer(body, rounds);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(end_peer(&peers[i]), 0);
    ck_assert(!exists(path));
}

/*
 * Two processes create, else attach: now and then the attacher maps a file that has no size yet.
 */
START_TEST(d11_two_race_with_create_or_attach)
{
    race_two(race_by_one_call);
}
END_TEST

START_TEST(d11_two_race_with_create_and_attach)
{
    race_two(race_by_hand);
}
END_TEST

#define D11_RUNNERS 3
#define D11_VISITS 1500

static int
visit_without_order(int channel, void *argument)
{
    uint32_t *runner = argument;
    uint32_t number = __atomic_fetch_add(runner, 1, __ATOMIC_SEQ_CST);

    (void)channel;
    for (int i = 0; i < D11_VISITS; i++) {
        mapseg *seg = handle_for(key);

        (void)((i + (int)number) % 2 == 0 ? enter_by_one_call(seg) : enter_by_hand(seg));
        check_attachment(seg);
        if (i % 3 == 0)
            give_way();
        check_attachment(seg);
        mapseg_free(seg);
    }
    return 0;
}

/// The same without meeting places: attachers, creators and last ones out meet as they like.
START_TEST(d11_many_come_and_go)
{
    uint32_t *runner = shared_memory(sizeof *runner);
    struct peer peers[D11_RUNNERS];

    for (int i = 0; i < D11_RUNNERS; i++)
        peers[i] = start_peer(visit_without_order, runner);
    for (int i = 0; i < D11_RUNNERS; i++)
        ck_assert_int_eq(end_peer(&peers[i]), 0);
    ck_assert(!exists(path));
}
END_TEST

/* ------------------------------------------------------------- program -- */

static void
add_tests(TCase *group)
{
    tcase_add_test(group, d1_failing_create_leaves_the_lock_alone);
    tcase_add_test(group, d1_no_count_is_lost_while_others_try_to_create);
    tcase_add_test(group, d2_killed_holder_next_owner_is_told);
    tcase_add_test(group, d2_killed_holder_without_waiting);
    tcase_add_test(group, d2_every_owner_is_told_until_one_repairs);
    tcase_add_test(group, d2_waiters_go_on_when_the_holder_is_killed);
    tcase_add_test(group, d2_detach_does_not_wait_for_the_lock);
    tcase_add_test(group, d2_stopped_holder_keeps_the_lock);
    tcase_add_test(group, d3_content_survives_a_crash_and_the_last_one_out_removes_it);
    tcase_add_test(group, d3_a_flag_clears_crash_debris);
    tcase_add_test(group, d3_the_flag_spares_the_living);
    if (skip_unless(can_mount(), "d4: no private mounts here")) {
        tcase_add_test(group, d4_full_file_system_is_out_of_resources);
        tcase_add_test(group, d4_reserved_memory_is_there_when_touched);
        tcase_add_test(group, d4_lazy_segments_reserve_nothing);
    }
    tcase_add_test(group, d5_own_failing_create_keeps_the_lock);
    tcase_add_test(group, d5_nobody_gets_in_after_own_failing_create);
    tcase_add_test(group, d7_one_lock_after_the_creator_left);
    tcase_add_loop_test(group, d8_the_last_one_out_removes, 0, 3);
    tcase_add_test(group, d8_two_who_leave_at_once_remove);
    tcase_add_test(group, d9_memfd_is_sealed);
    tcase_add_test(group, d9_no_peer_can_truncate_a_memfd);
    if (skip_unless(is_root(),
                    "d9_descriptor_for_reading_does_not_write: only root can be two users"))
        tcase_add_test(group, d9_descriptor_for_reading_does_not_write);
    tcase_add_test(group, d10_forty_thousand_releases);
    tcase_add_test(group, d10_releases_by_processes_that_die);
    tcase_add_test(group, d11_two_race_with_create_or_attach);
    tcase_add_test(group, d11_two_race_with_create_and_attach);
    tcase_add_test(group, d11_many_come_and_go);
}

int
main(void)
{
    Suite *suite = new_suite("faults of Qt");
    TCase *group = new_case(suite, "faults");

    tcase_add_checked_fixture(group, choose_key, NULL);
    add_tests(group);
    return run_suite(suite);
}
