/*
 * check_exclusion.c - the lock keeps processes apart that come, go, fail and hand data over.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

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

/* ------------------------------------------------ giving up and leaving -- */

START_TEST(waiting_has_an_end)
{
    mapseg *seg = created(key, 10), *other = attached(key, MAPSEG_READ_WRITE);
    int64_t start;

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    start = now_ns();
    need_call(MAPSEG_TIMED_OUT, other, mapseg_lock_for(other, 30000000));
    ck_assert_int_ge(now_ns() - start, 30000000);
    ck_assert_int_eq(mapseg_error(other), MAPSEG_TIMED_OUT);
    ck_assert(is_one_line(mapseg_error_string(other)));
    need_call(MAPSEG_TIMED_OUT, other, mapseg_lock_for(other, 0));
    need_call(MAPSEG_NOT_LOCKED, other, mapseg_unlock(other));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, other, mapseg_lock_for(other, -1));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

START_TEST(detach_releases_the_lock)
{
    mapseg *seg = created(key, 10), *other = attached(key, MAPSEG_READ_WRITE);

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_OK, other, mapseg_try_lock(other));
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    mapseg_free(other);
    need_call(MAPSEG_OK, seg, mapseg_try_lock(seg));
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

/// Attaches only when told, so as not to inherit what its parent is attached to by then.
static int
obey_when_called(int channel, void *argument)
{
    return hear(channel) == 'g' ? obedient_peer(channel, argument) : 1;
}

/*
 * QSharedMemory: the creator leaves and a third process attaches: it gets a lock of its own, and
 * both are "locked".
 */
START_TEST(one_lock_after_the_creator_left)
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

/* ------------------------------------------------------- failing create -- */

#define PROCESSES 3
#define ROUNDS 400

static int
create_else_attach_and_add(int channel, void *argument)
{
    (void)channel;
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
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

/* QSharedMemory: a create that fails, as it should, resets the lock that another process holds. */
START_TEST(no_count_is_lost_while_others_try_to_create)
{
    struct peer peers[PROCESSES];
    mapseg *seg;

    leave_persistent(key, 64, 0);
    for (int i = 0; i < PROCESSES; i++)
        peers[i] = start_peer(create_else_attach_and_add, NULL);
    for (int i = 0; i < PROCESSES; i++)
        ck_assert_int_eq(end_peer(&peers[i]), 0);
    seg = attached(key, MAPSEG_READ_WRITE);
    ck_assert_uint_eq(*(uint64_t *)data_of(seg), PROCESSES * ROUNDS);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/*
 * QSharedMemory: a process takes the lock and then fails in its own create: from then on two can
 * hold the lock.
 */
START_TEST(own_failing_create_keeps_the_lock)
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

/* QSharedMemory: the same. */
START_TEST(nobody_gets_in_after_own_failing_create)
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

/* -------------------------------------------------------- many releases -- */

/*
 * QSharedMemory: after 32,767 releases the semaphore's undo counter is exhausted.
 */
START_TEST(forty_thousand_releases)
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

/*
 * QSharedMemory: the same. Here the process that releases so often also dies with the lock, again
 * and again.
 */
START_TEST(releases_by_processes_that_die)
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

/* --------------------------------------------------- producer, consumer -- */

#define MESSAGES 2000

/// What producer and consumer share: a message, and whether it has been read.
struct mailbox {
    uint32_t full;
    uint32_t number;
    uint32_t words[32];
};

static bool
put(struct mailbox *box, uint32_t number)
{
    if (box->full != 0)
        return false;
    box->number = number;
    for (uint32_t i = 0; i < 32; i++)
        box->words[i] = number * i;
    box->full = 1;
    return true;
}

/// Whether the expected message was there; the program ends if any other was.
static bool
take(struct mailbox *box, uint32_t number)
{
    if (box->full == 0)
        return false;
    if (box->number != number)
        abort();
    for (uint32_t i = 0; i < 32; i++)
        if (box->words[i] != number * i)
            abort();
    box->full = 0;
    return true;
}

/// Passes all messages one way; the lock is all that keeps the sides apart.
static void
pass_messages(mapseg *seg, bool (*side)(struct mailbox *box, uint32_t number))
{
    for (uint32_t number = 0; number < MESSAGES;) {
        if (mapseg_lock(seg) != MAPSEG_OK)
            abort();
        if (side(data_of(seg), number))
            number++;
        if (mapseg_unlock(seg) != MAPSEG_OK)
            abort();
        give_way();
    }
}

static void
attach_and_pass(bool (*side)(struct mailbox *box, uint32_t number))
{
    mapseg *seg = attached(key, MAPSEG_READ_WRITE);

    pass_messages(seg, side);
    mapseg_free(seg);
}

START_TEST(producer_and_consumer_in_one_thread)
{
    mapseg *producer = created(key, sizeof(struct mailbox));
    mapseg *consumer = attached(key, MAPSEG_READ_WRITE);

    for (uint32_t number = 0; number < MESSAGES; number++) {
        ck_assert(put(data_of(producer), number));
        ck_assert(take(data_of(consumer), number));
    }
    mapseg_free(producer);
    mapseg_free(consumer);
}
END_TEST

static void *
consume_in_thread(void *argument)
{
    (void)argument;
    attach_and_pass(take);
    return NULL;
}

START_TEST(producer_and_consumer_threads)
{
    mapseg *producer = created(key, sizeof(struct mailbox));
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, consume_in_thread, NULL), 0);
    pass_messages(producer, put);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    mapseg_free(producer);
    ck_assert(!exists(path));
}
END_TEST

static void *
consume_through(void *seg)
{
    pass_messages(seg, take);
    return NULL;
}

/// Two threads exclude each other through one handle too.
START_TEST(producer_and_consumer_threads_on_one_handle)
{
    mapseg *seg = created(key, sizeof(struct mailbox));
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, consume_through, seg), 0);
    pass_messages(seg, put);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    mapseg_free(seg);
}
END_TEST

static int
consume(int channel, void *argument)
{
    (void)argument;
    if (hear(channel) != 'g')
        return 1;
    attach_and_pass(take);
    return 0;
}

START_TEST(producer_and_consumer_processes)
{
    struct peer consumer = start_peer(consume, NULL);
    mapseg *producer = created(key, sizeof(struct mailbox));

    say(consumer.channel, 'g');
    pass_messages(producer, put);
    ck_assert_int_eq(end_peer(&consumer), 0);
    ck_assert(exists(path));
    mapseg_free(producer);
    ck_assert(!exists(path));
}
END_TEST

#define ADDERS 4
#define ADDITIONS 5000

/// Adds under the lock in a way that loses counts without one.
static int
add(int channel, void *argument)
{
    volatile uint64_t *sum;
    mapseg *seg;

    (void)argument;
    if (hear(channel) != 'g')
        return 1;
    seg = attached(key, MAPSEG_READ_WRITE);
    sum = mapseg_data(seg);
    for (int i = 0; i < ADDITIONS; i++) {
        uint64_t seen;

        if (mapseg_lock(seg) != MAPSEG_OK)
            return 2;
        seen = *sum;
        if (i % 64 == 0)
            give_way();
        *sum = seen + 1;
        if (mapseg_unlock(seg) != MAPSEG_OK)
            return 3;
    }
    mapseg_free(seg);
    return 0;
}

START_TEST(processes_add_under_the_lock)
{
    struct peer adders[ADDERS];
    mapseg *seg;

    for (int i = 0; i < ADDERS; i++)
        adders[i] = start_peer(add, NULL);
    seg = created(key, sizeof(uint64_t));
    for (int i = 0; i < ADDERS; i++)
        say(adders[i].channel, 'g');
    for (int i = 0; i < ADDERS; i++)
        ck_assert_int_eq(end_peer(&adders[i]), 0);
    ck_assert_uint_eq(*(uint64_t *)data_of(seg), ADDERS * ADDITIONS);
    mapseg_free(seg);
    ck_assert(!exists(path));
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
add_rules(Suite *suite)
{
    TCase *group = new_group(suite, "rules");

    tcase_add_test(group, waiting_has_an_end);
    tcase_add_test(group, detach_releases_the_lock);
    tcase_add_test(group, one_lock_after_the_creator_left);
    tcase_add_test(group, no_count_is_lost_while_others_try_to_create);
    tcase_add_test(group, own_failing_create_keeps_the_lock);
    tcase_add_test(group, nobody_gets_in_after_own_failing_create);
    tcase_add_test(group, forty_thousand_releases);
    tcase_add_test(group, releases_by_processes_that_die);
}

static void
add_programs(Suite *suite)
{
    TCase *group = new_group(suite, "programs");

    tcase_add_test(group, producer_and_consumer_in_one_thread);
    tcase_add_test(group, producer_and_consumer_threads);
    tcase_add_test(group, producer_and_consumer_threads_on_one_handle);
    tcase_add_test(group, producer_and_consumer_processes);
    tcase_add_test(group, processes_add_under_the_lock);
}

int
main(void)
{
    Suite *suite = new_suite("exclusion");

    add_rules(suite);
    add_programs(suite);
    return run_suite(suite);
}
