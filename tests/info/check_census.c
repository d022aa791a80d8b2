/*
 * check_census.c - counting who is attached, where a hostile peer takes any number of locks, in
 * any order, of any kind, on the bytes that say so.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "os/os.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096
/** What a thread with little memory has. */
#define SMALL_STACK ((size_t)64 * 1024)
#define MANY 3000
#define TOO_MANY 20000
/** Counting ends there at the latest. */
#define COUNT_MOST 4096

/* ------------------------------------------------------------ the peer -- */

/** Which slots come first. */
enum order { ASCENDING, DESCENDING, SCATTERED, ORDERS };

/** To whom the locks belong: to a description, to one each, or to the process. */
enum owner { DESCRIPTION, DESCRIPTIONS, PROCESS, OWNERS };

/** What a peer does to a segment. */
struct deed {
    char key[KEY_BYTES];
    char path[KEY_BYTES];
    bool creates; /**< the segment is its own; else it only reads another user's */
    enum order order;
    enum owner owner;
    short kind;     /**< F_WRLCK or F_RDLCK */
    unsigned count; /**< of slots, of which none are neighbours; 0: one range */
    off_t start;    /**< of that */
    off_t bytes;
};

static struct deed
new_deed(void)
{
    struct deed deed = {.creates = true, .kind = F_WRLCK};

    unique_key(deed.key);
    path_of(deed.path, deed.key);
    return deed;
}

/** Creates a segment that every user may read, and leaves it behind. */
static bool
make_readable(const char *key)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);
    mapseg_result result;

    options.mode = 0644;
    options.flags = MAPSEG_PERSISTENT;
    result = mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options);
    mapseg_free(seg);
    return result == MAPSEG_OK;
}

static int
open_for(const struct deed *deed)
{
    return open(deed->path, (deed->creates ? O_RDWR : O_RDONLY) | O_CLOEXEC);
}

static bool
lock_bytes(const struct deed *deed, int fd, off_t start, off_t bytes)
{
    struct flock range = {.l_type = deed->kind, .l_whence = SEEK_SET};

    range.l_start = start;
    range.l_len = bytes;
    return fcntl(fd, deed->owner == PROCESS ? F_SETLK : F_OFD_SETLK, &range) == 0;
}

/** The number that is taken as the i-th. */
static unsigned
place_of(const struct deed *deed, unsigned i)
{
    switch (deed->order) {
    case ASCENDING:
        return i;
    case DESCENDING:
        return deed->count - 1 - i;
    default:
        /* A prime that divides none of the counts: each number comes once. */
        return (unsigned)((uint64_t)i * 7919 % deed->count);
    }
}

static bool
lock_slots(const struct deed *deed)
{
    int fd = open_for(deed);

    for (unsigned i = 0; i < deed->count; i++) {
        off_t slot = MAPSEG_FIRST_SLOT + 2 * (off_t)place_of(deed, i);

        if (deed->owner == DESCRIPTIONS && i > 0)
            fd = open_for(deed);
        if (fd < 0 || !lock_bytes(deed, fd, (off_t)MAPSEG_PRESENCE_BASE + slot, 1))
            return false;
    }
    return true;
}

/** Each with a description of its own. */
static bool
lock_range_often(const struct deed *deed, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        int fd = open_for(deed);

        if (fd < 0 || !lock_bytes(deed, fd, deed->start, deed->bytes))
            return false;
    }
    return true;
}

static int
do_the_deed(int channel, void *argument)
{
    const struct deed *deed = argument;
    struct rlimit limit;

    if (is_root())
        become_nobody();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (deed->creates && !make_readable(deed->key))
        return 1;
    say(channel, deed->count != 0 ? (lock_slots(deed) ? 'a' : 'x')
                                  : (lock_range_often(deed, 1) ? 'a' : 'x'));
    (void)hear(channel);
    return 0;
}

static struct peer
start_deed(struct deed *deed)
{
    struct peer peer = start_peer(do_the_deed, deed);

    ck_assert_int_eq(hear(peer.channel), 'a');
    return peer;
}

static void
end_deed(const struct deed *deed, struct peer *peer)
{
    kill_peer(peer);
    ck_assert_int_eq(unlink(deed->path), 0);
}

/* ------------------------------------------------------------- looking -- */

static struct msi_os_operations healthy;

/** Counting has all the time that it wants, however slow the machine is. */
static int64_t
no_time_passes(void)
{
    return 1;
}

/** What a look has seen. */
struct seen {
    const char *key;
    mapseg_result result;
    uint32_t attached;
    uint32_t readers;
    bool is_minimum;
    mapseg_use use;
    bool lists;      /**< looks into the list too */
    uint32_t listed; /**< attached, as that has it */
};

static void
look_into_list(struct seen *seen)
{
    mapseg_list *list;

    if (mapseg_list_new(&list) != MAPSEG_OK)
        return;
    for (size_t i = 0; i < mapseg_list_count(list); i++)
        if (strcmp(mapseg_list_get(list, i)->native_key, seen->key) == 0)
            seen->listed = mapseg_list_get(list, i)->attached;
    mapseg_list_free(list);
}

static void *
look(void *argument)
{
    struct seen *seen = argument;
    mapseg *seg = handle_for(seen->key);
    mapseg_info *information;

    seen->result = mapseg_info_new(seg, &information);
    if (seen->result == MAPSEG_OK) {
        seen->attached = information->attached;
        seen->readers = information->readers;
        seen->is_minimum = information->attached_is_minimum;
        seen->use = information->use;
    }
    mapseg_info_free(information);
    mapseg_free(seg);
    if (seen->lists)
        look_into_list(seen);
    return NULL;
}

/** Looks in a thread with a small stack: what overflows it ends the test. */
static struct seen
look_from_a_small_thread(const char *key, bool lists)
{
    struct seen seen = {.key = key, .lists = lists};
    pthread_attr_t attributes;
    pthread_t thread;

    /* Sanitizers make frames larger than they are. */
    ck_assert_int_eq(pthread_attr_init(&attributes), 0);
    ck_assert_int_eq(
        pthread_attr_setstacksize(&attributes, under_sanitizer() ? 16 * SMALL_STACK : SMALL_STACK),
        0);
    healthy = msi_os;
    msi_os.monotonic_ns = no_time_passes;
    ck_assert_int_eq(pthread_create(&thread, &attributes, look, &seen), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    msi_os = healthy;
    ck_assert_int_eq(pthread_attr_destroy(&attributes), 0);
    ck_assert_int_eq(seen.result, MAPSEG_OK);
    return seen;
}

/* --------------------------------------------------------------- counts -- */

START_TEST(many_slots_are_held)
{
    struct deed deed = new_deed();

    deed.order = (enum order)(_i % ORDERS);
    deed.owner = (enum owner)(_i / ORDERS);
    deed.count = MANY;
    struct peer peer = start_deed(&deed);
    struct seen seen = look_from_a_small_thread(deed.key, true);
    ck_assert_uint_eq(seen.attached, MANY);
    ck_assert_uint_eq(seen.listed, MANY);
    ck_assert(!seen.is_minimum);
    ck_assert_int_eq(seen.use, MAPSEG_USE_LIVE);
    end_deed(&deed, &peer);
}
END_TEST

/** Those who are really there are among them. */
START_TEST(others_are_among_many)
{
    struct deed deed = new_deed();
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_ALLOW_OTHER_OWNER;
    deed.count = MANY;
    struct peer peer = start_deed(&deed);
    mapseg *first = handle_for(deed.key);
    mapseg *second = handle_for(deed.key);
    need_call(MAPSEG_OK, first, mapseg_attach_with(first, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, second, mapseg_attach_with(second, MAPSEG_READ_ONLY, &options));
    struct seen seen = look_from_a_small_thread(deed.key, false);
    /* A slot that lies between two of the peer's is counted for itself. */
    ck_assert_uint_eq(seen.attached, MANY + 2);
    kill_peer(&peer);
    seen = look_from_a_small_thread(deed.key, false);
    ck_assert_uint_eq(seen.attached, 2);
    mapseg_free(second);
    mapseg_free(first);
    ck_assert_int_eq(unlink(deed.path), 0);
}
END_TEST

START_TEST(too_many_slots_are_held)
{
    struct deed deed = new_deed();

    deed.order = (enum order)_i;
    deed.count = _i == DESCENDING ? TOO_MANY : TOO_MANY / 4;
    struct peer peer = start_deed(&deed);
    struct seen seen = look_from_a_small_thread(deed.key, false);
    ck_assert_uint_ge(seen.attached, COUNT_MOST);
    ck_assert_uint_le(seen.attached, deed.count);
    ck_assert(seen.is_minimum);
    ck_assert_int_eq(seen.use, MAPSEG_USE_LIVE);
    end_deed(&deed, &peer);
}
END_TEST

/** By the clock, too, it ends. */
static int64_t
time_flies(void)
{
    static _Atomic int64_t time;

    return atomic_fetch_add(&time, INT64_C(1000000000)) + 1;
}

START_TEST(counting_ends_in_time)
{
    struct deed deed = new_deed();
    struct seen seen = {.key = deed.key};

    deed.count = MANY;
    struct peer peer = start_deed(&deed);
    healthy = msi_os;
    msi_os.monotonic_ns = time_flies;
    look(&seen);
    msi_os = healthy;
    ck_assert_int_eq(seen.result, MAPSEG_OK);
    ck_assert_uint_ge(seen.attached, 1);
    ck_assert_uint_lt(seen.attached, 10);
    ck_assert(seen.is_minimum);
    ck_assert_int_eq(seen.use, MAPSEG_USE_LIVE);
    end_deed(&deed, &peer);
}
END_TEST

/* ---------------------------------------------------------------- fork -- */

/** Whether this thread is the one that looks, and how far it is. */
static _Thread_local bool is_looking;
static atomic_bool has_begun;
static atomic_bool has_forked;

/** Waits in the middle of a count until another thread has forked. */
static int
test_and_await_fork(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes,
                    struct msi_range *found)
{
    int64_t deadline = now_ns() + HANG;

    if (is_looking)
        atomic_store(&has_begun, true);
    while (is_looking && !atomic_load(&has_forked) && now_ns() < deadline)
        nap(1 * MILLISECOND);
    return healthy.test_range(fd, kind, start, bytes, found);
}

static void *
look_by_info(void *argument)
{
    mapseg *seg = handle_for(argument);
    mapseg_info *information;

    is_looking = true;
    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    mapseg_info_free(information);
    mapseg_free(seg);
    return NULL;
}

static void *
look_by_list(void *argument)
{
    mapseg_list *list;

    (void)argument;
    is_looking = true;
    ck_assert_int_eq(mapseg_list_new(&list), MAPSEG_OK);
    mapseg_list_free(list);
    return NULL;
}

/** In a child that was made beside a look: it has what the parent had before, and nothing that
 *  the other thread had in hand. */
static int
use_in_child(mapseg *seg, int descriptors)
{
    mapseg_info *information;

    if (count_descriptors() != descriptors)
        return 2;
    if (mapseg_info_new(seg, &information) != MAPSEG_OK)
        return 3;
    mapseg_info_free(information);
    return mapseg_lock(seg) == MAPSEG_OK && mapseg_unlock(seg) == MAPSEG_OK &&
                   mapseg_detach(seg) == MAPSEG_OK
               ? 0
               : 4;
}

START_TEST(fork_beside_a_look)
{
    char key[KEY_BYTES];
    pthread_t thread;

    unique_key(key);
    mapseg *seg = created(key, DATA_BYTES);
    int descriptors = count_descriptors();
    healthy = msi_os;
    msi_os.test_range = test_and_await_fork;
    ck_assert_int_eq(pthread_create(&thread, NULL, _i == 0 ? look_by_info : look_by_list, key), 0);
    while (!atomic_load(&has_begun))
        nap(1 * MILLISECOND);
    int64_t begun = now_ns();
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(use_in_child(seg, descriptors));
    /* It ends before the look gives up waiting for it. */
    ck_assert(now_ns() - begun < HANG);
    atomic_store(&has_forked, true);
    ck_assert_int_eq(end_of(child), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    msi_os = healthy;
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- ranges -- */

/** All of presence in one range, as far as it goes. */
static const struct {
    off_t start;
    off_t bytes;
} whole_ranges[] = {
    {(off_t)MAPSEG_PRESENCE_BASE, (off_t)MAPSEG_NAME_BYTE + 1},
    {(off_t)MAPSEG_PRESENCE_BASE, 0},
    {0, 0},
    {(off_t)MAPSEG_PRESENCE_BASE + 1, (off_t)MAPSEG_LAST_SLOT},
};
#define WHOLE_RANGES ((int)(sizeof whole_ranges / sizeof *whole_ranges))

/** What the command says of the segment. */
static void
check_command(const char *key)
{
    const char *command = getenv("MAPSEG");
    char line[2 * KEY_BYTES];
    bool says = false;
    FILE *output;

    if (command == NULL || *command == '\0')
        return;
    snprintf(line, sizeof line, "%s show '%s'", command, key);
    output = popen(line, "r");
    ck_assert_ptr_nonnull(output);
    while (fgets(line, sizeof line, output) != NULL)
        says = says || strstr(line, "blocked") != NULL;
    ck_assert_int_eq(pclose(output), 0);
    ck_assert(says);
}

/** Neither a look nor a newcomer nor one who clears up takes it for unused. */
static void
check_blocked(const char *key)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);
    struct seen seen = look_from_a_small_thread(key, false);

    ck_assert_int_eq(seen.use, MAPSEG_USE_BLOCKED);
    check_command(key);
    options.flags = MAPSEG_ALLOW_OTHER_OWNER;
    options.timeout_ns = 1;
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim(seg));
    mapseg_free(seg);
}

START_TEST(whole_range_is_held)
{
    struct deed deed = new_deed();

    deed.start = whole_ranges[_i % WHOLE_RANGES].start;
    deed.bytes = whole_ranges[_i % WHOLE_RANGES].bytes;
    deed.owner = _i / WHOLE_RANGES == 0 ? DESCRIPTION : PROCESS;
    struct peer peer = start_deed(&deed);
    check_blocked(deed.key);
    end_deed(&deed, &peer);
}
END_TEST

/** A reader may hold it for reading: enough to be in the way, and then the segment is not taken
 *  for unused. */
START_TEST(whole_range_is_held_for_reading)
{
    struct deed deed = new_deed();

    deed.creates = false;
    deed.kind = F_RDLCK;
    deed.start = whole_ranges[_i % WHOLE_RANGES].start;
    deed.bytes = whole_ranges[_i % WHOLE_RANGES].bytes;
    deed.owner = _i / WHOLE_RANGES == 0 ? DESCRIPTION : PROCESS;
    ck_assert(make_readable(deed.key));
    struct peer peer = start_deed(&deed);
    check_blocked(deed.key);
    end_deed(&deed, &peer);
}
END_TEST

START_TEST(half_of_the_slots_are_held)
{
    struct deed deed = new_deed();
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_ALLOW_OTHER_OWNER;
    options.timeout_ns = HANG;
    deed.start = (off_t)MAPSEG_PRESENCE_BASE + MAPSEG_FIRST_SLOT + (_i % 2 == 0 ? 0 : 1 << 19);
    deed.bytes = 1 << 19;
    deed.owner = _i / 2 == 0 ? DESCRIPTION : PROCESS;
    struct peer peer = start_deed(&deed);
    struct seen seen = look_from_a_small_thread(deed.key, false);
    ck_assert_uint_eq(seen.attached, 1);
    ck_assert_int_eq(seen.use, MAPSEG_USE_LIVE);
    /* There is room in the other half, which is that of those that cannot write the data, or of
     * those that can; and who is there is counted. */
    mapseg *seg = handle_for(deed.key);
    mapseg_access access = _i % 2 == 0 ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY;
    need_call(MAPSEG_OK, seg, mapseg_attach_with(seg, access, &options));
    seen = look_from_a_small_thread(deed.key, false);
    ck_assert_uint_eq(seen.attached, 2);
    mapseg_free(seg);
    end_deed(&deed, &peer);
}
END_TEST

/** From a slot in the middle to the end of all files. */
START_TEST(locks_reach_to_the_end)
{
    struct deed deed = new_deed();

    deed.start = (off_t)MAPSEG_PRESENCE_BASE + 1000;
    deed.owner = _i == 0 ? DESCRIPTION : PROCESS;
    struct peer peer = start_deed(&deed);
    struct seen seen = look_from_a_small_thread(deed.key, false);
    ck_assert_uint_eq(seen.attached, 1);
    ck_assert(!seen.is_minimum);
    ck_assert_int_eq(seen.use, MAPSEG_USE_LIVE);
    end_deed(&deed, &peer);
}
END_TEST

/* ------------------------------------------------------------- readers -- */

#define HOSTILE_READERS 50

static int
read_lock_often(int channel, void *argument)
{
    const struct deed *deed = argument;

    if (is_root())
        become_nobody();
    say(channel, lock_range_often(deed, HOSTILE_READERS) ? 'a' : 'x');
    (void)hear(channel);
    return 0;
}

/** So many readers come to be seen: the table of locks is no picture of one moment. */
static struct seen
await_readers(const char *key, uint32_t readers)
{
    int64_t deadline = now_ns() + HANG;
    struct seen seen;

    do
        seen = look_from_a_small_thread(key, false);
    while (seen.readers != readers && now_ns() < deadline);
    ck_assert_uint_eq(seen.readers, readers);
    return seen;
}

/** Each description that holds the readers' byte counts, also with more bytes than that. Locks
 *  of a process are none of an attachment, but keep the segment from being unused. */
START_TEST(shared_byte_is_held)
{
    struct deed deed = new_deed();

    deed.creates = false;
    deed.kind = F_RDLCK;
    deed.owner = _i == 0 ? DESCRIPTIONS : PROCESS;
    deed.start = (off_t)MAPSEG_PRESENCE_BASE;
    deed.bytes = 1;
    ck_assert(make_readable(deed.key));
    struct peer peer = start_peer(read_lock_often, &deed);
    ck_assert_int_eq(hear(peer.channel), 'a');
    struct seen seen = await_readers(deed.key, _i == 0 ? HOSTILE_READERS : 1);
    ck_assert_uint_eq(seen.attached, seen.readers);
    ck_assert_int_eq(seen.use, MAPSEG_USE_LIVE);
    mapseg *seg = handle_for(deed.key);
    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim(seg));
    /* Another reader, and one who writes, have their place all the same. */
    mapseg *other = attached(deed.key, MAPSEG_READ_WRITE);
    seen = await_readers(deed.key, _i == 0 ? HOSTILE_READERS : 1);
    ck_assert_uint_eq(seen.attached, seen.readers + 1);
    mapseg_free(other);
    mapseg_free(seg);
    end_deed(&deed, &peer);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("census");
    TCase *group = new_case(suite, "counting");

    tcase_add_loop_test(group, many_slots_are_held, 0, (int)ORDERS * OWNERS);
    tcase_add_test(group, others_are_among_many);
    tcase_add_loop_test(group, too_many_slots_are_held, 0, ORDERS);
    tcase_add_test(group, counting_ends_in_time);
    tcase_add_loop_test(group, fork_beside_a_look, 0, 2);
    tcase_add_loop_test(group, whole_range_is_held, 0, 2 * WHOLE_RANGES);
    tcase_add_loop_test(group, whole_range_is_held_for_reading, 0, 2 * WHOLE_RANGES);
    tcase_add_loop_test(group, half_of_the_slots_are_held, 0, 4);
    tcase_add_loop_test(group, locks_reach_to_the_end, 0, 2);
    tcase_add_loop_test(group, shared_byte_is_held, 0, 2);
    return run_suite(suite);
}
