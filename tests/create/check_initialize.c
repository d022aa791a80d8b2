/*
 * check_initialize.c - a segment that is filled before it has its name, and the size that is
 * demanded of one that is there.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 100000
#define FILL 0x5a
#define RACERS 6
#define ROUNDS 60

static char key[KEY_BYTES];
static char path[KEY_BYTES];

/** What an initialiser is told, and what it saw. */
struct plan {
    mapseg_result result; /**< that it is to return */
    int calls;
    size_t size;
    bool was_zero;
};

static void
set_key(void)
{
    unique_key(key);
    path_of(path, key);
}

static bool
is_filled(const unsigned char *data, size_t bytes, unsigned char with)
{
    for (size_t i = 0; i < bytes; i++)
        if (data[i] != with)
            return false;
    return true;
}

static mapseg_result
fill(void *data, size_t size, void *argument)
{
    struct plan *plan = argument;

    plan->calls++;
    plan->size = size;
    plan->was_zero = is_filled(data, size, 0);
    memset(data, FILL, size);
    return plan->result;
}

static mapseg_options
filled_by(mapseg_initializer initialize, void *argument)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.initialize = initialize;
    options.initialize_argument = argument;
    return options;
}

static void
check_filled(mapseg *seg)
{
    ck_assert_uint_eq(mapseg_size(seg), SIZE);
    ck_assert(is_filled(mapseg_const_data(seg), SIZE, FILL));
}

/* ---------------------------------------------------------- what it is given -- */

static const struct {
    mapseg_access access;
    uint32_t flags;
    bool memory;
} kinds[] = {
    {MAPSEG_READ_WRITE, 0, false},
    {MAPSEG_READ_ONLY, 0, false},
    {MAPSEG_READ_WRITE, MAPSEG_LAZY, false},
    {MAPSEG_READ_WRITE, MAPSEG_NO_FORK, false},
    {MAPSEG_READ_WRITE, 0, true},
    {MAPSEG_READ_ONLY, 0, true},
    {MAPSEG_READ_WRITE, MAPSEG_SINGLE_WRITER, true},
    {MAPSEG_READ_WRITE, MAPSEG_SINGLE_WRITER | MAPSEG_NO_FORK, true},
};

/// It is given the whole data, zeroed and writable, whatever the segment and the access.
START_TEST(data_is_filled)
{
    struct plan plan = {.result = MAPSEG_OK};
    mapseg_options options = filled_by(fill, &plan);
    struct footprint before;
    mapseg *seg;

    set_key();
    take_footprint(&before, NULL);
    seg = handle_for(kinds[_i].memory ? "memfd:" : key);
    options.flags = kinds[_i].flags;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, kinds[_i].access, &options));
    ck_assert_int_eq(plan.calls, 1);
    ck_assert_uint_eq(plan.size, SIZE);
    ck_assert(plan.was_zero);
    check_filled(seg);
    ck_assert((mapseg_data(seg) == NULL) == (kinds[_i].access == MAPSEG_READ_ONLY));
    mapseg_free(seg);
    check_footprint(&before, NULL);
}
END_TEST

/// Others find it filled, at version 0, and with its lock free.
START_TEST(others_find_it_filled)
{
    struct plan plan = {.result = MAPSEG_OK};
    mapseg_options options = filled_by(fill, &plan);
    unsigned char byte = 0;
    uint64_t version = 9;
    bool made = false;
    mapseg *seg, *other;

    set_key();
    seg = handle_for(key);
    other = handle_for(key);
    need_call(MAPSEG_OK, seg,
              mapseg_create_or_attach_with(seg, SIZE, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(made);
    need_call(MAPSEG_OK, other,
              mapseg_create_or_attach_with(other, SIZE, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(!made);
    ck_assert_int_eq(plan.calls, 1);
    check_filled(other);
    need_call(MAPSEG_OK, other, mapseg_read(other, SIZE - 1, &byte, 1, &version));
    ck_assert_uint_eq(byte, FILL);
    ck_assert_uint_eq(version, 0);
    need_call(MAPSEG_OK, other, mapseg_try_lock(other));
    need_call(MAPSEG_OK, other, mapseg_unlock(other));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/** Uses the library while a segment is being made. */
static mapseg_result
use_others(void *data, size_t size, void *argument)
{
    mapseg *other = created(argument, size);

    ck_assert(!exists(path));
    need_call(MAPSEG_OK, other, mapseg_lock(other));
    memset(mapseg_data(other), FILL, size);
    need_call(MAPSEG_OK, other, mapseg_unlock(other));
    need_call(MAPSEG_OK, other, mapseg_read(other, 0, data, size, NULL));
    mapseg_free(other);
    return MAPSEG_OK;
}

/// It may use other handles; its own segment has no name yet.
START_TEST(initializer_uses_other_handles)
{
    char other[KEY_BYTES];
    mapseg_options options = filled_by(use_others, other);
    mapseg *seg;

    set_key();
    unique_key(other);
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    check_filled(seg);
    mapseg_free(seg);
}
END_TEST

/** Tries to make the memory shorter, as another process of this user could. */
static mapseg_result
shorten(void *data, size_t size, void *argument)
{
    char link[64], target[64];
    int *refused = argument;

    for (int fd = 0; fd < 1000; fd++) {
        ssize_t bytes;

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        bytes = readlink(link, target, sizeof target - 1);
        target[bytes > 0 ? bytes : 0] = '\0';
        if (strncmp(target, "/memfd:", strlen("/memfd:")) == 0 && ftruncate(fd, 0) != 0 &&
            errno == EPERM)
            (*refused)++;
    }
    memset(data, FILL, size);
    return MAPSEG_OK;
}

/// A memory file cannot be made shorter under the initialiser.
START_TEST(memory_is_sealed_by_then)
{
    int refused = 0;
    mapseg_options options = filled_by(shorten, &refused);
    mapseg *seg = handle_for("memfd:");

    options.flags = _i == 0 ? 0 : MAPSEG_SINGLE_WRITER;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    ck_assert_int_ge(refused, 1);
    check_filled(seg);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------- it refuses -- */

static const mapseg_result refusals[] = {
    MAPSEG_NOT_FOUND,        MAPSEG_ALREADY_EXISTS, MAPSEG_INVALID_ARGUMENT,
    MAPSEG_UNKNOWN_ERROR,    MAPSEG_OWNER_DIED,     MAPSEG_TIMED_OUT,
    MAPSEG_OUT_OF_RESOURCES, (mapseg_result)77,     (mapseg_result)-1,
};

/// What it returns is what create returns, and nothing is left. It is not asked again.
START_TEST(refusal_leaves_nothing)
{
    struct plan plan = {.result = refusals[_i]};
    mapseg_options options = filled_by(fill, &plan);
    struct footprint before;
    bool made = true;
    mapseg *seg;

    set_key();
    seg = handle_for(key);
    take_footprint(&before, NULL);
    need_call(refusals[_i], seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    need_call(refusals[_i], seg, mapseg_error(seg));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_ptr_nonnull(strstr(mapseg_error_string(seg), "initialiser"));
    ck_assert(!mapseg_is_attached(seg) && !exists(path));
    check_footprint(&before, NULL);
    need_call(refusals[_i], seg,
              mapseg_create_or_attach_with(seg, SIZE, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(!made);
    ck_assert_int_eq(plan.calls, 2);
    check_footprint(&before, NULL);
    plan.result = MAPSEG_OK;
    need_call(MAPSEG_OK, seg,
              mapseg_create_or_attach_with(seg, SIZE, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(made);
    mapseg_free(seg);
}
END_TEST

/// With MAPSEG_RECLAIM a refusal leaves the older segment.
START_TEST(refusal_leaves_the_older_segment)
{
    struct plan plan = {.result = MAPSEG_INVALID_ARGUMENT};
    mapseg_options options = filled_by(fill, &plan);
    struct file_state state;
    mapseg *seg;

    set_key();
    leave_debris(key, 50, 'd');
    take_file_state(&state, path);
    seg = handle_for(key);
    options.flags = MAPSEG_RECLAIM;
    need_call(MAPSEG_INVALID_ARGUMENT, seg,
              mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    check_file_state(&state, path);
    plan.result = MAPSEG_OK;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    check_filled(seg);
    mapseg_free(seg);
}
END_TEST

/** Never comes to an end. */
static mapseg_result
fill_for_ever(void *data, size_t size, void *argument)
{
    memset(data, FILL, size / 2);
    say(*(int *)argument, 'i');
    while (hear(*(int *)argument) != -1)
        continue;
    return MAPSEG_OK;
}

static int
create_for_ever(int channel, void *unused)
{
    mapseg_options options = filled_by(fill_for_ever, &channel);
    mapseg *seg = handle_for(key);

    (void)unused;
    return (int)mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options);
}

/// A process that is killed in it leaves nothing, and stands in the way of none.
START_TEST(death_leaves_nothing)
{
    struct plan plan = {.result = MAPSEG_OK};
    mapseg_options options = filled_by(fill, &plan);
    struct footprint before;
    struct peer peer;
    mapseg *seg;

    set_key();
    take_footprint(&before, NULL);
    peer = start_peer(create_for_ever, NULL);
    ck_assert_int_eq(hear(peer.channel), 'i');
    ck_assert(!exists(path));
    /* While the first one fills, another one is faster. */
    seg = handle_for(key);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    check_filled(seg);
    kill_peer(&peer);
    mapseg_free(seg);
    check_footprint(&before, NULL);
}
END_TEST

/* --------------------------------------------------------------- together -- */

/** What racers share. */
struct race {
    uint32_t start;
    uint32_t ends;
    atomic_int makers;
    atomic_int calls;
};

static mapseg_result
fill_slowly(void *data, size_t size, void *argument)
{
    struct race *race = argument;

    atomic_fetch_add(&race->calls, 1);
    memset(data, FILL, size / 2);
    give_way();
    memset((char *)data + size / 2, FILL, size - size / 2);
    return MAPSEG_OK;
}

static void
run_racer(struct race *race)
{
    mapseg_options options = filled_by(fill_slowly, race);
    mapseg *seg = handle_for(key);
    bool made;

    meet(&race->start, RACERS);
    if (mapseg_create_or_attach_with(seg, SIZE, MAPSEG_READ_WRITE, &options, &made) != MAPSEG_OK)
        _exit(2);
    if (mapseg_size(seg) != SIZE || !is_filled(mapseg_const_data(seg), SIZE, FILL))
        _exit(3);
    atomic_fetch_add(&race->makers, made);
    meet(&race->ends, RACERS);
    mapseg_free(seg);
    _exit(0);
}

/// Of several at once one creates, and the others find what is filled.
START_TEST(losers_find_it_filled)
{
    struct race *race = shared_memory(sizeof *race);

    for (int round = 0; round < ROUNDS; round++) {
        pid_t racers[RACERS];

        set_key();
        memset(race, 0, sizeof *race);
        for (int i = 0; i < RACERS; i++) {
            racers[i] = fork();
            ck_assert_int_ge(racers[i], 0);
            if (racers[i] == 0)
                run_racer(race);
        }
        for (int i = 0; i < RACERS; i++)
            ck_assert_int_eq(end_of(racers[i]), 0);
        ck_assert_int_eq(atomic_load(&race->makers), 1);
        ck_assert_int_ge(atomic_load(&race->calls), 1);
        ck_assert(!exists(path));
    }
}
END_TEST

/** The initialiser's thread and the one that forks beside it. */
struct pause {
    atomic_bool inside;
    atomic_bool go_on;
};

static mapseg_result
fill_on_command(void *data, size_t size, void *argument)
{
    struct pause *moment = argument;

    memset(data, FILL, size);
    atomic_store(&moment->inside, true);
    while (!atomic_load(&moment->go_on))
        give_way();
    return MAPSEG_OK;
}

static void *
create_on_command(void *argument)
{
    mapseg_options options = filled_by(fill_on_command, argument);
    mapseg *seg = handle_for(key);

    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    return seg;
}

/** Whether this process has what its parent was making. */
static int
count_what_is_left(void *descriptors)
{
    if (count_mappings("/dev/shm") != 0)
        return 2;
    return count_descriptors() == *(int *)descriptors ? 0 : 3;
}

/// No lock is held meanwhile: another thread forks, and its child has nothing of the segment.
START_TEST(fork_beside_an_initializer)
{
    struct pause moment = {false, false};
    int descriptors = count_descriptors();
    pthread_t thread;
    void *seg;

    set_key();
    ck_assert_int_eq(pthread_create(&thread, NULL, create_on_command, &moment), 0);
    while (!atomic_load(&moment.inside))
        give_way();
    ck_assert_int_eq(in_child(count_what_is_left, &descriptors), 0);
    atomic_store(&moment.go_on, true);
    ck_assert_int_eq(pthread_join(thread, &seg), 0);
    check_filled(seg);
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

/* --------------------------------------------------------------- its size -- */

/// A smaller segment is refused with both sizes, and left alone.
START_TEST(smaller_segment_is_refused)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct footprint before;
    bool made = true;
    mapseg *seg, *other;

    set_key();
    seg = created(key, 1000);
    other = handle_for(key);
    take_footprint(&before, path);
    options.minimum_size = 1001;
    need_call(MAPSEG_INVALID_SIZE, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options));
    ck_assert_ptr_nonnull(strstr(mapseg_error_string(other), "1000 bytes"));
    ck_assert_ptr_nonnull(strstr(mapseg_error_string(other), "1001"));
    need_call(MAPSEG_INVALID_SIZE, other,
              mapseg_create_or_attach(other, 1001, MAPSEG_READ_WRITE, &made));
    ck_assert(!made);
    check_footprint(&before, path);
    options.minimum_size = 1000;
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, other, mapseg_detach(other));
    need_call(MAPSEG_OK, other, mapseg_create_or_attach(other, 1000, MAPSEG_READ_WRITE, &made));
    need_call(MAPSEG_OK, other, mapseg_detach(other));
    /* A program that can do with less says so. */
    options.minimum_size = 1;
    need_call(MAPSEG_OK, other,
              mapseg_create_or_attach_with(other, 5000, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(!made);
    ck_assert_uint_eq(mapseg_size(other), 1000);
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/// A descriptor's segment, too.
START_TEST(smaller_segment_of_a_descriptor_is_refused)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = created("memfd:", 1000), *other = handle_for("memfd:");
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);

    options.minimum_size = 2000;
    need_call(MAPSEG_INVALID_SIZE, other,
              mapseg_attach_fd_with(other, fd, MAPSEG_READ_ONLY, &options));
    options.minimum_size = 1000;
    need_call(MAPSEG_OK, other, mapseg_attach_fd_with(other, fd, MAPSEG_READ_ONLY, &options));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- its options -- */

/// The options of both calls count, and bad ones are refused before anything is tried.
START_TEST(options_count_for_both)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    bool made = true;
    mapseg *seg, *other;

    set_key();
    seg = handle_for(key);
    other = handle_for(key);
    options.mode = 07000;
    need_call(MAPSEG_INVALID_ARGUMENT, seg,
              mapseg_create_or_attach_with(seg, SIZE, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(!made && !exists(path));
    options.mode = 0;
    options.flags = MAPSEG_PERSISTENT | MAPSEG_REQUIRE_TAG;
    options.user_tag = 7;
    need_call(MAPSEG_OK, seg,
              mapseg_create_or_attach_with(seg, SIZE, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(made);
    options.user_tag = 8;
    need_call(MAPSEG_WRONG_TAG, other,
              mapseg_create_or_attach_with(other, SIZE, MAPSEG_READ_WRITE, &options, NULL));
    mapseg_free(other);
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(exists(path));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/// A caller that demands an id wants a segment that is there: none is made.
START_TEST(demanded_id_is_attached_to_alone)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    bool made = true;
    mapseg *seg, *other;

    set_key();
    other = handle_for(key);
    options.flags = MAPSEG_REQUIRE_ID;
    need_call(MAPSEG_NOT_FOUND, other,
              mapseg_create_or_attach_with(other, SIZE, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(!made && !exists(path));
    seg = created(key, SIZE);
    options.timeout_ns = -1;
    need_call(MAPSEG_NOT_FOUND, other,
              mapseg_create_or_attach_with(other, SIZE, MAPSEG_READ_WRITE, &options, &made));
    need_call(MAPSEG_OK, other, mapseg_set_native_key(other, "memfd:"));
    need_call(MAPSEG_KEY_ERROR, other,
              mapseg_create_or_attach_with(other, SIZE, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(!made);
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/// What create does to an older segment does not depend on an id, which is about attaching.
START_TEST(reclaiming_asks_for_no_id)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg;

    set_key();
    leave_debris(key, 100, 'd');
    seg = handle_for(key);
    options.flags = MAPSEG_RECLAIM | MAPSEG_REQUIRE_ID;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    leave_persistent(key, 100, 0);
    seg = handle_for(key);
    options.flags = MAPSEG_RECLAIM | MAPSEG_STALE_ONLY;
    need_call(MAPSEG_MEANT_TO_STAY, seg,
              mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    ck_assert(exists(path));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static int naps;
static struct msi_os_operations healthy;

static void
count_nap(int64_t ns)
{
    naps++;
    healthy.nap(ns);
}

/** Keeps all others out of the segment, as a remover does. */
static void
hold_presence(int fd)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = INT64_C(1) << 62};

    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &range), 0);
}

/// A timeout of 0 does not wait for a remover, whatever call it is given to; others do.
START_TEST(no_time_is_no_wait)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg;
    int fd;

    set_key();
    leave_debris(key, 100, 'd');
    fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    hold_presence(fd);
    healthy = msi_os;
    msi_os.nap = count_nap;
    seg = handle_for(key);
    options.timeout_ns = 0;
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_TIMED_OUT, seg,
              mapseg_create_or_attach_with(seg, 100, MAPSEG_READ_WRITE, &options, NULL));
    ck_assert_int_eq(naps, 0);
    options.timeout_ns = 1000000;
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    ck_assert_int_gt(naps, 0);
    close(fd);
    options.timeout_ns = 0;
    need_call(MAPSEG_OK, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    msi_os = healthy;
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("initialize");
    TCase *group = new_long_case(suite, "initialiser", TEST_TIMEOUT);

    tcase_add_loop_test(group, data_is_filled, 0, sizeof kinds / sizeof *kinds);
    tcase_add_test(group, others_find_it_filled);
    tcase_add_test(group, initializer_uses_other_handles);
    tcase_add_loop_test(group, memory_is_sealed_by_then, 0, 2);
    tcase_add_loop_test(group, refusal_leaves_nothing, 0, sizeof refusals / sizeof *refusals);
    tcase_add_test(group, refusal_leaves_the_older_segment);
    tcase_add_test(group, death_leaves_nothing);
    tcase_add_test(group, losers_find_it_filled);
    tcase_add_test(group, fork_beside_an_initializer);
    group = new_long_case(suite, "demands", TEST_TIMEOUT);
    tcase_add_test(group, smaller_segment_is_refused);
    tcase_add_test(group, smaller_segment_of_a_descriptor_is_refused);
    tcase_add_test(group, options_count_for_both);
    tcase_add_test(group, demanded_id_is_attached_to_alone);
    tcase_add_test(group, reclaiming_asks_for_no_id);
    tcase_add_test(group, no_time_is_no_wait);
    return run_suite(suite);
}
