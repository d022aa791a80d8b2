/*
 * check_change.c - the descriptor that says that there is a version which was not given out yet.
 *
 * SPDX-License-Identifier: MIT
 */
#include "handle/notify.h"
#include "mapseg-format.h"
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define SIZE ((size_t)4096)
#define NO_VERSION UINT64_C(1)

/* What a child says by its exit status. */
#define WELL 42

/* --------------------------------------------------------------- writers -- */

/// How many writes a writer makes on 'r'.
#define WRITES 3000

static uint32_t
next(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/// One change: the data begins with their number.
static bool
write_once(mapseg *seg)
{
    uint64_t *count = mapseg_data(seg);

    if (!mapseg_result_owes_unlock(mapseg_write_begin(seg)))
        return false;
    ++*count;
    return mapseg_write_end(seg) == MAPSEG_OK;
}

/// Many changes, in bursts and with pauses.
static bool
write_at_random(mapseg *seg)
{
    uint32_t random = (uint32_t)getpid();

    for (int i = 0; i < WRITES; i++) {
        if (!write_once(seg))
            return false;
        if (next(&random) % 4 == 0)
            usleep(next(&random) % 300);
    }
    return true;
}

static bool
repair(mapseg *seg)
{
    return mapseg_write_begin(seg) == MAPSEG_OWNER_DIED && mapseg_consistent(seg) == MAPSEG_OK &&
           mapseg_write_end(seg) == MAPSEG_OK;
}

static bool
obey(mapseg *seg, int word)
{
    switch (word) {
    case 'w':
        return write_once(seg);
    case 'r':
        return write_at_random(seg);
    case 'b':
        return mapseg_result_owes_unlock(mapseg_write_begin(seg));
    case 'e':
        return mapseg_write_end(seg) == MAPSEG_OK;
    case 'c':
        return repair(seg);
    default:
        return false;
    }
}

/// Attaches when it is told the first word.
static int
writer(int channel, void *key)
{
    mapseg *seg = mapseg_new();
    int word;

    if (seg == NULL || mapseg_set_native_key(seg, key) != MAPSEG_OK)
        return 1;
    while ((word = hear(channel)) > 0 && word != 'q') {
        if (!mapseg_is_attached(seg) && mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK)
            return 2;
        if (word == 'k') {
            if (!mapseg_result_owes_unlock(mapseg_write_begin(seg)))
                return 3;
            raise(SIGKILL);
        }
        say(channel, obey(seg, word) ? 'y' : 'n');
    }
    mapseg_free(seg);
    return 0;
}

/// A segment that this process has created, and a process that writes it.
struct scene {
    char key[KEY_BYTES];
    char path[KEY_BYTES];
    struct peer writer;
    mapseg *seg;
};

static void
set_up(struct scene *scene)
{
    unique_key(scene->key);
    path_of(scene->path, scene->key);
    scene->writer = start_peer(writer, scene->key);
    scene->seg = created(scene->key, SIZE);
}

/// One way to attach, then the other.
static mapseg_access
access_of(int i)
{
    return i % 2 == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE;
}

static void
tear_down(struct scene *scene)
{
    say(scene->writer.channel, 'q');
    ck_assert_int_eq(end_peer(&scene->writer), 0);
    mapseg_free(scene->seg);
}

/* ------------------------------------------------------------ descriptors -- */

static bool
is_readable(int fd, int milliseconds)
{
    struct pollfd poller = {fd, POLLIN, 0};
    int ready = poll(&poller, 1, milliseconds);

    ck_assert_int_ge(ready, 0);
    ck_assert(ready == 0 || poller.revents == POLLIN);
    return ready == 1;
}

#define check_readable(fd) ck_assert_msg(is_readable(fd, HANG_MS), "not readable")
/// Neither now nor in a while: nothing is on its way.
#define check_quiet(fd) ck_assert_msg(!is_readable(fd, 100), "readable, without a change")

static int
change_fd(mapseg *seg)
{
    int fd = notify_fd(seg);

    ck_assert_msg(fd >= 0, "no descriptor: %s", mapseg_error_string(seg));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OK);
    return fd;
}

/// The version, given out in one of the ways there are.
static uint64_t
give_out(mapseg *seg, int way)
{
    uint64_t version = NO_VERSION;
    uint64_t count;

    switch (way % 3) {
    case 0:
        need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, &count, sizeof count, &version));
        break;
    case 1:
        need_call(MAPSEG_OK, seg, mapseg_read_begin(seg, &version));
        break;
    default:
        need_call(MAPSEG_OK, seg, mapseg_wait(seg, NO_VERSION, &version, 0));
    }
    ck_assert_uint_eq(version % 2, 0);
    return version;
}

/// A descriptor that has nothing to tell at the moment.
static int
quiet_fd(mapseg *seg)
{
    int fd = change_fd(seg);

    (void)give_out(seg, 0);
    ck_assert(!is_readable(fd, 0));
    return fd;
}

static int
count_threads(void)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/// How many there are without the library's; a sanitizer has one too.
static int threads_before;

static void *
note_thread(void *number)
{
    *(pid_t *)number = gettid();
    return NULL;
}

static void
note_threads(void)
{
    pthread_t thread;
    pid_t number = 0;

    /* With the first thread a sanitizer's comes; the first one itself is still listed for a moment
     * after it was joined. */
    if (under_sanitizer() && pthread_create(&thread, NULL, note_thread, &number) == 0) {
        pthread_join(thread, NULL);
        while (tgkill(getpid(), number, 0) == 0)
            nap(1 * MILLISECOND);
    }
    threads_before = count_threads();
}

/// Whether the library comes to have so many; one that was joined is still listed for a moment.
static bool
has_more_threads(int count)
{
    int64_t deadline = now_ns() + HANG;

    while (count_threads() != threads_before + count) {
        if (now_ns() > deadline)
            return false;
        nap(1 * MILLISECOND);
    }
    return true;
}

/* ---------------------------------------------------------------- readable -- */

START_TEST(tells_of_each_change_once)
{
    struct scene scene;
    uint64_t last;
    int fd;

    set_up(&scene);
    fd = quiet_fd(scene.seg);
    check_quiet(fd);
    last = give_out(scene.seg, 0);
    for (int i = 0; i < 300; i++) {
        uint64_t version;

        tell(&scene.writer, 'w');
        check_readable(fd);
        ck_assert(is_readable(fd, 0));
        version = give_out(scene.seg, i);
        ck_assert_uint_eq(version, last + 2);
        ck_assert_msg(!is_readable(fd, 0), "readable after way %d", i % 3);
        if (i % 50 < 3)
            check_quiet(fd);
        last = version;
    }
    tear_down(&scene);
}
END_TEST

/// What changed before anybody asked for the descriptor is told too, and several changes are one.
START_TEST(changes_add_up)
{
    struct scene scene;
    uint64_t first;
    int fd;

    set_up(&scene);
    first = give_out(scene.seg, 0);
    tell(&scene.writer, 'w');
    fd = change_fd(scene.seg);
    check_readable(fd);
    for (int i = 0; i < 10; i++)
        tell(&scene.writer, 'w');
    check_readable(fd);
    ck_assert_uint_eq(give_out(scene.seg, 0), first + 22);
    check_quiet(fd);
    tear_down(&scene);
}
END_TEST

START_TEST(a_new_segment_has_a_version)
{
    struct scene scene;
    uint64_t version = 1;
    int fd;

    set_up(&scene);
    fd = change_fd(scene.seg);
    check_readable(fd);
    need_call(MAPSEG_OK, scene.seg, mapseg_wait(scene.seg, NO_VERSION, &version, 0));
    ck_assert_uint_eq(version, 0);
    check_quiet(fd);
    tear_down(&scene);
}
END_TEST

/// Who waits for the version that it knows, because of the descriptor, is not woken for ever.
START_TEST(waiting_for_a_known_version_is_an_answer)
{
    struct scene scene;
    uint64_t known, version = 1;
    int fd;

    set_up(&scene);
    tell(&scene.writer, 'w');
    known = give_out(scene.seg, 0);
    fd = change_fd(scene.seg);
    /* What was given out before does not count. */
    check_readable(fd);
    need_call(MAPSEG_TIMED_OUT, scene.seg, mapseg_wait(scene.seg, known, &version, 0));
    check_quiet(fd);
    tell(&scene.writer, 'w');
    check_readable(fd);
    need_call(MAPSEG_OK, scene.seg, mapseg_wait(scene.seg, known, &version, 0));
    ck_assert_uint_eq(version, known + 2);
    check_quiet(fd);
    tear_down(&scene);
}
END_TEST

START_TEST(own_changes_count)
{
    struct scene scene;
    int fd;

    set_up(&scene);
    fd = quiet_fd(scene.seg);
    ck_assert(write_once(scene.seg));
    check_readable(fd);
    (void)give_out(scene.seg, 1);
    check_quiet(fd);
    need_call(MAPSEG_OK, scene.seg, mapseg_write(scene.seg, 100, "x", 1));
    check_readable(fd);
    tear_down(&scene);
}
END_TEST

/// A change that is under way is no version yet.
START_TEST(quiet_within_a_change)
{
    struct scene scene;
    uint64_t version, count;
    int fd;

    set_up(&scene);
    fd = quiet_fd(scene.seg);
    tell(&scene.writer, 'b');
    check_quiet(fd);
    tell(&scene.writer, 'e');
    check_readable(fd);
    (void)give_out(scene.seg, 0);

    need_call(MAPSEG_OK, scene.seg, mapseg_write_begin(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_read(scene.seg, 0, &count, sizeof count, &version));
    ck_assert_uint_eq(version % 2, 1);
    check_quiet(fd);
    need_call(MAPSEG_OK, scene.seg, mapseg_write_end(scene.seg));
    check_readable(fd);
    (void)give_out(scene.seg, 0);
    check_quiet(fd);
    tear_down(&scene);
}
END_TEST

START_TEST(other_calls_give_nothing_out)
{
    struct scene scene;
    mapseg_info *information;
    uint64_t version;
    int fd;

    set_up(&scene);
    fd = quiet_fd(scene.seg);
    version = give_out(scene.seg, 0);
    tell(&scene.writer, 'w');
    check_readable(fd);
    need_call(MAPSEG_OK, scene.seg, mapseg_lock(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_unlock(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_info_new(scene.seg, &information));
    mapseg_info_free(information);
    ck_assert(mapseg_read_retry(scene.seg, version));
    ck_assert(is_readable(fd, 0));
    ck_assert_int_eq(change_fd(scene.seg), fd);
    ck_assert(is_readable(fd, 0));
    tear_down(&scene);
}
END_TEST

START_TEST(killed_writer_is_no_change)
{
    struct scene scene;
    struct peer other;
    uint64_t version, count;
    int fd;

    unique_key(scene.key);
    path_of(scene.path, scene.key);
    other = start_peer(writer, scene.key);
    scene.writer = start_peer(writer, scene.key);
    scene.seg = created(scene.key, SIZE);
    fd = quiet_fd(scene.seg);
    version = give_out(scene.seg, 0);
    say(other.channel, 'k');
    ck_assert_int_eq(end_peer(&other), 128 + SIGKILL);
    check_quiet(fd);
    ck_assert_int_eq(mapseg_read_for(scene.seg, 0, &count, sizeof count, NULL, INT64_C(100000000)),
                     MAPSEG_OWNER_DIED);
    check_quiet(fd);
    tell(&scene.writer, 'c');
    check_readable(fd);
    ck_assert_uint_gt(give_out(scene.seg, 0), version);
    check_quiet(fd);
    tear_down(&scene);
}
END_TEST

/// A hostile peer writes what it likes: at worst there is a change where there is none.
START_TEST(versions_may_go_back)
{
    static const uint64_t versions[] = {
        100, 4, 4, UINT64_MAX - 1, 0, 2, UINT64_C(0x100000000), UINT64_C(0xfffffffe)};
    struct scene scene;
    struct mapseg_header *header;
    int file, fd;

    set_up(&scene);
    file = open(scene.path, O_RDWR | O_CLOEXEC);
    header = mmap(NULL, MAPSEG_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ck_assert_ptr_ne(header, MAP_FAILED);
    close(file);
    fd = quiet_fd(scene.seg);
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        bool changes = versions[i] != give_out(scene.seg, 0);

        __atomic_store_n(&header->sequence, versions[i], __ATOMIC_RELEASE);
        if (changes)
            check_readable(fd);
        ck_assert_uint_eq(give_out(scene.seg, (int)i), versions[i]);
        check_quiet(fd);
    }
    tear_down(&scene);
}
END_TEST

START_TEST(lost_file_is_readable_for_good)
{
    struct scene scene;
    uint64_t version;
    int fd;

    set_up(&scene);
    fd = quiet_fd(scene.seg);
    ck_assert_int_eq(truncate(scene.path, 0), 0);
    check_readable(fd);
    for (int i = 0; i < 3; i++) {
        need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_wait(scene.seg, NO_VERSION, &version, 0));
        ck_assert(is_readable(fd, 20));
    }
    need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
    (void)unlink(scene.path);
    tear_down(&scene);
}
END_TEST

/* ------------------------------------------------------------------ streams -- */

/// Reads along with writers until `count` changes have been seen, in all.
static void
follow(mapseg *seg, int fd, uint64_t count)
{
    uint64_t seen = 0, last = NO_VERSION, version = 0;

    for (int i = 0; seen < count; i++) {
        check_readable(fd);
        if (i % 3 == 1) {
            mapseg_result result = mapseg_wait(seg, last, &version, 0);

            /* Another change has begun since. */
            if (result == MAPSEG_TIMED_OUT)
                continue;
            need_call(MAPSEG_OK, seg, result);
            seen = version / 2;
        } else {
            need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, &seen, sizeof seen, &version));
        }
        /* Told twice of one: the descriptor was readable without a reason. */
        ck_assert_msg(last == NO_VERSION || version > last, "version %" PRIu64 " after %" PRIu64,
                      version, last);
        last = version;
    }
    ck_assert_uint_eq(seen, count);
}

START_TEST(no_change_is_missed)
{
    struct scene scene;
    int fd;

    set_up(&scene);
    fd = quiet_fd(scene.seg);
    for (uint64_t round = 1; round <= 3; round++) {
        say(scene.writer.channel, 'r');
        follow(scene.seg, fd, round * WRITES);
        check_quiet(fd);
        ck_assert_int_eq(hear(scene.writer.channel), 'y');
    }
    tear_down(&scene);
}
END_TEST

#define WRITERS 3

START_TEST(several_writers_and_readers)
{
    struct peer writers[WRITERS];
    mapseg *readers[2];
    char key[KEY_BYTES];

    unique_key(key);
    for (int i = 0; i < WRITERS; i++)
        writers[i] = start_peer(writer, key);
    readers[0] = created(key, SIZE);
    readers[1] = attached(key, MAPSEG_READ_ONLY);
    for (int i = 0; i < 2; i++)
        (void)quiet_fd(readers[i]);
    for (int i = 0; i < WRITERS; i++)
        say(writers[i].channel, 'r');
    /* The second one reads only when all is over. */
    follow(readers[0], change_fd(readers[0]), (uint64_t)WRITERS * WRITES);
    follow(readers[1], change_fd(readers[1]), (uint64_t)WRITERS * WRITES);
    for (int i = 0; i < 2; i++)
        check_quiet(change_fd(readers[i]));
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(hear(writers[i].channel), 'y');
        say(writers[i].channel, 'q');
        ck_assert_int_eq(end_peer(&writers[i]), 0);
    }
    mapseg_free(readers[1]);
    mapseg_free(readers[0]);
}
END_TEST

/// One of several threads that give versions of one handle out as fast as they can.
struct giver {
    mapseg *seg;
    pthread_t thread;
    atomic_bool *stop;
    _Atomic uint64_t last;
    bool good;
};

static void *
give_out_always(void *argument)
{
    struct giver *giver = argument;
    uint64_t count, version;

    giver->good = true;
    while (!atomic_load(giver->stop)) {
        giver->good = giver->good &&
                      mapseg_read_for(giver->seg, 0, &count, sizeof count, &version,
                                      INT64_C(20000000000)) == MAPSEG_OK &&
                      version >= atomic_load(&giver->last);
        atomic_store(&giver->last, version);
    }
    return NULL;
}

START_TEST(threads_of_one_handle_give_out)
{
    struct giver givers[3];
    atomic_bool stop = false;
    struct scene scene;
    int fd;

    set_up(&scene);
    fd = quiet_fd(scene.seg);
    for (int i = 0; i < 3; i++) {
        givers[i] = (struct giver){.seg = scene.seg, .stop = &stop};
        ck_assert_int_eq(pthread_create(&givers[i].thread, NULL, give_out_always, &givers[i]), 0);
    }
    tell(&scene.writer, 'r');
    for (int i = 0; i < 3; i++)
        while (atomic_load(&givers[i].last) != 2 * WRITES)
            nap(1 * MILLISECOND);
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_join(givers[i].thread, NULL), 0);
        ck_assert(givers[i].good);
    }
    check_quiet(fd);
    tell(&scene.writer, 'w');
    check_readable(fd);
    tear_down(&scene);
}
END_TEST

/// A slow thread gives out what a faster one has gone beyond; that takes nothing back, and hides
/// nothing.
START_TEST(late_versions_take_nothing_back)
{
    struct scene scene;
    uint64_t versions[3];
    int fd;

    set_up(&scene);
    fd = quiet_fd(scene.seg);
    for (int i = 0; i < 3; i++) {
        tell(&scene.writer, 'w');
        versions[i] = give_out(scene.seg, i);
    }
    msi_notify_note(scene.seg, versions[0]);
    check_quiet(fd);
    tell(&scene.writer, 'w');
    check_readable(fd);
    for (int i = 0; i < 3; i++) {
        msi_notify_note(scene.seg, versions[i]);
        ck_assert(is_readable(fd, 0));
    }
    tell(&scene.writer, 'b');
    msi_notify_note(scene.seg, versions[2]);
    ck_assert(is_readable(fd, 0));
    msi_notify_note(scene.seg, versions[2] + 2);
    ck_assert(!is_readable(fd, 0));
    tell(&scene.writer, 'e');
    check_readable(fd);
    tear_down(&scene);
}
END_TEST

START_TEST(epoll_of_two_segments)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct epoll_event found[4];
    struct scene scenes[2];
    int set = epoll_create1(EPOLL_CLOEXEC);

    for (int i = 0; i < 2; i++) {
        unique_key(scenes[i].key);
        scenes[i].writer = start_peer(writer, scenes[i].key);
    }
    ck_assert_int_ge(set, 0);
    for (int i = 0; i < 2; i++) {
        scenes[i].seg = created(scenes[i].key, SIZE);
        event.data.u32 = (uint32_t)i;
        event.events = i == 0 ? EPOLLIN : EPOLLIN | EPOLLET;
        ck_assert_int_eq(epoll_ctl(set, EPOLL_CTL_ADD, quiet_fd(scenes[i].seg), &event), 0);
    }
    ck_assert_int_eq(epoll_wait(set, found, 4, 50), 0);
    for (int round = 0; round < 100; round++) {
        int i = round % 2;

        tell(&scenes[i].writer, 'w');
        ck_assert_int_eq(epoll_wait(set, found, 4, HANG_MS), 1);
        ck_assert_uint_eq(found[0].data.u32, (uint32_t)i);
        /* Level-triggered it says so again, edge-triggered not. */
        ck_assert_int_eq(epoll_wait(set, found, 4, 0), i == 0 ? 1 : 0);
        (void)give_out(scenes[i].seg, round);
        ck_assert_int_eq(epoll_wait(set, found, 4, round % 10 == 0 ? 50 : 0), 0);
    }
    for (int i = 0; i < 2; i++)
        tear_down(&scenes[i]);
    close(set);
}
END_TEST

/* --------------------------------------------------------------- life cycle -- */

START_TEST(one_descriptor_for_a_handle)
{
    struct scene scene;
    int fd;

    set_up(&scene);
    fd = change_fd(scene.seg);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(change_fd(scene.seg), fd);
    ck_assert(has_more_threads(1));
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    tear_down(&scene);
}
END_TEST

START_TEST(detached_handles_have_none)
{
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    seg = handle_for(key);
    ck_assert_int_eq(notify_fd(seg), -1);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_ATTACHED);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    (void)change_fd(seg);
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert_int_eq(notify_fd(seg), -1);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_ATTACHED);
    mapseg_free(seg);
}
END_TEST

START_TEST(no_descriptor_left)
{
    int fds[64];
    int held = 0;
    char key[KEY_BYTES];
    struct footprint before;
    mapseg *seg;

    unique_key(key);
    seg = created(key, SIZE);
    take_footprint(&before, NULL);
    /* All that there may be: the rest of a small limit. */
    ck_assert_int_eq(
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)before.descriptors + 8, 4096}), 0);
    while (held < 64 && (fds[held] = dup(0)) >= 0)
        held++;
    ck_assert_int_lt(held, 64);
    ck_assert_int_eq(notify_fd(seg), -1);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OUT_OF_RESOURCES);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    while (held > 0)
        close(fds[--held]);
    check_footprint(&before, NULL);
    ck_assert(has_more_threads(0));
    (void)quiet_fd(seg);
    mapseg_free(seg);
}
END_TEST

START_TEST(detach_takes_thread_and_descriptor_along)
{
    struct scene scene;
    struct footprint before;
    int64_t longest = 0;

    set_up(&scene);
    tell(&scene.writer, 'w');
    take_footprint(&before, NULL);
    for (int i = 0; i < 100; i++) {
        int64_t start;
        int fd;

        fd = i % 2 ? quiet_fd(scene.seg) : change_fd(scene.seg);
        ck_assert(has_more_threads(1));
        if (i % 4 == 0)
            nap(2 * MILLISECOND);
        start = now_ns();
        need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
        longest = now_ns() - start > longest ? now_ns() - start : longest;
        ck_assert(has_more_threads(0));
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
        need_call(MAPSEG_OK, scene.seg, mapseg_attach(scene.seg, MAPSEG_READ_WRITE));
        check_footprint(&before, NULL);
    }
    printf("# the longest of 100 detachings took %" PRId64 " us\n", longest / 1000);
    tear_down(&scene);
    ck_assert(has_more_threads(0));
}
END_TEST

START_TEST(detach_while_others_write)
{
    struct scene scene;

    set_up(&scene);
    tell(&scene.writer, 'w');
    say(scene.writer.channel, 'r');
    for (int i = 0; i < 200; i++) {
        int fd = change_fd(scene.seg);

        if (i % 3 == 0)
            check_readable(fd);
        if (i % 3 == 1)
            ignored(mapseg_wait(scene.seg, NO_VERSION, NULL, 1000000));
        need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
        need_call(MAPSEG_OK, scene.seg, mapseg_attach(scene.seg, access_of(i)));
    }
    ck_assert_int_eq(hear(scene.writer.channel), 'y');
    ck_assert(has_more_threads(0));
    tear_down(&scene);
}
END_TEST

struct asker {
    mapseg *seg;
    pthread_barrier_t *barrier;
    int fd;
};

static void *
ask(void *argument)
{
    struct asker *asker = argument;

    pthread_barrier_wait(asker->barrier);
    asker->fd = notify_fd(asker->seg);
    return NULL;
}

START_TEST(threads_that_ask_first_get_the_same)
{
    struct scene scene;
    int before;

    set_up(&scene);
    /* The writer keeps the segment. */
    tell(&scene.writer, 'w');
    before = count_descriptors();
    for (int round = 0; round < 200; round++) {
        struct asker askers[2];
        pthread_barrier_t barrier;
        pthread_t threads[2];

        pthread_barrier_init(&barrier, NULL, 2);
        for (int i = 0; i < 2; i++) {
            askers[i] = (struct asker){scene.seg, &barrier, -1};
            ck_assert_int_eq(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
        }
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        pthread_barrier_destroy(&barrier);
        ck_assert_int_ge(askers[0].fd, 0);
        ck_assert_int_eq(askers[0].fd, askers[1].fd);
        ck_assert_int_eq(count_descriptors(), before + 1);
        ck_assert(has_more_threads(1));
        need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
        need_call(MAPSEG_OK, scene.seg, mapseg_attach(scene.seg, MAPSEG_READ_WRITE));
    }
    tear_down(&scene);
}
END_TEST

/// The thread that is not this one; 0: there is none.
static pid_t
helper_thread(void)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    pid_t found = 0;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

        /* The newest, of those that are not this one. */
        if (thread != getpid() && thread > found)
            found = thread;
    }
    closedir(directory);
    return found;
}

/// A line of a thread's status, as a hexadecimal number.
static uint64_t
status_of_thread(pid_t thread, const char *name)
{
    char path[64], line[256];
    uint64_t value = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%ld/status", (long)thread);
    file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoull(line + strlen(name), NULL, 16);
    fclose(file);
    return value;
}

static volatile sig_atomic_t signals;
static volatile pid_t signalled_thread;

static void
note_signal(int number)
{
    signals += number == SIGUSR1;
    signalled_thread = gettid();
}

/// The program's signals are the program's, with the guard in use and without.
START_TEST(signals_pass_the_thread_by)
{
    struct sigaction action = {.sa_handler = note_signal};
    struct scene scene;
    uint64_t blocked;
    sigset_t usr1;
    int fd;

    set_up(&scene);
    if (_i == 1) {
        need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
        need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    }
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    fd = quiet_fd(scene.seg);
    tell(&scene.writer, 'w');
    check_readable(fd);
    blocked = status_of_thread(helper_thread(), "SigBlk:");
    for (int number = 1; number <= 64; number++)
        if (number != SIGKILL && number != SIGSTOP && (number < 32 || number >= SIGRTMIN))
            ck_assert_msg(blocked >> (number - 1) & 1, "signal %d is not blocked", number);
    ck_assert(!(status_of_thread(getpid(), "SigBlk:") >> (SIGUSR1 - 1) & 1));

    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &usr1, NULL), 0);
    ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
    nap(50 * MILLISECOND);
    ck_assert_int_eq(signals, 0);
    ck_assert_int_eq(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL), 0);
    ck_assert_int_eq(signals, 1);
    ck_assert_int_eq(signalled_thread, gettid());
    tear_down(&scene);
}
END_TEST

/* ------------------------------------------------------------ fork and seals -- */

struct inheritance {
    mapseg *seg;
    int fd;
    int before; ///< descriptors
};

static int
ask_again(void *argument)
{
    const struct inheritance *inheritance = argument;
    uint64_t count;
    int fd;

    threads_before = count_threads();
    if (fcntl(inheritance->fd, F_GETFD) != -1)
        return 1;
    fd = notify_fd(inheritance->seg);
    if (fd < 0 || !has_more_threads(1) || !is_readable(fd, HANG_MS) ||
        mapseg_read(inheritance->seg, 0, &count, sizeof count, NULL) != MAPSEG_OK ||
        is_readable(fd, 100))
        return 2;
    if (!write_once(inheritance->seg) || !is_readable(fd, HANG_MS))
        return 3;
    mapseg_free(inheritance->seg);
    return has_more_threads(0) && fcntl(fd, F_GETFD) == -1 ? WELL : 4;
}

START_TEST(child_asks_again)
{
    struct inheritance inheritance;
    struct scene scene;

    set_up(&scene);
    inheritance.seg = scene.seg;
    inheritance.fd = quiet_fd(scene.seg);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(in_child(ask_again, &inheritance), WELL);
        /* The child's change, here. */
        check_readable(inheritance.fd);
        (void)give_out(scene.seg, i);
        check_quiet(inheritance.fd);
    }
    tear_down(&scene);
}
END_TEST

static int
free_at_once(void *argument)
{
    const struct inheritance *inheritance = argument;

    threads_before = count_threads();
    if (fcntl(inheritance->fd, F_GETFD) != -1)
        return 1;
    mapseg_free(inheritance->seg);
    return has_more_threads(0) ? WELL : 2;
}

START_TEST(child_leaves_at_once)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct inheritance inheritance;
    char key[KEY_BYTES];

    unique_key(key);
    inheritance.seg = handle_for(key);
    options.flags = _i == 0 ? 0 : MAPSEG_NO_FORK;
    need_call(MAPSEG_OK, inheritance.seg,
              mapseg_create_with(inheritance.seg, SIZE, MAPSEG_READ_WRITE, &options));
    inheritance.fd = quiet_fd(inheritance.seg);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(in_child(free_at_once, &inheritance), WELL);
    ck_assert(write_once(inheritance.seg));
    check_readable(inheritance.fd);
    mapseg_free(inheritance.seg);
}
END_TEST

static atomic_bool stop_asking;

static void *
ask_always(void *argument)
{
    mapseg *seg = argument;

    while (!atomic_load(&stop_asking)) {
        if (notify_fd(seg) < 0 || mapseg_detach(seg) != MAPSEG_OK ||
            mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK)
            return seg;
    }
    return NULL;
}

static int
count_what_is_open(void *argument)
{
    const struct inheritance *inheritance = argument;
    struct pollfd poller = {.events = POLLIN};

    /* No event of the parent's may be open here, whenever the fork was. */
    for (poller.fd = 3; poller.fd < 64; poller.fd++) {
        char name[64], target[64];
        ssize_t length;

        snprintf(name, sizeof name, "/proc/self/fd/%d", poller.fd);
        length = readlink(name, target, sizeof target - 1);
        if (length > 0) {
            target[length] = '\0';
            if (strstr(target, "eventfd") != NULL)
                return 1;
        }
    }
    return inheritance->seg != NULL ? WELL : 2;
}

/// A fork at any moment of the descriptor's making and going leaves the child without it.
START_TEST(fork_while_another_thread_asks)
{
    struct inheritance inheritance;
    char key[KEY_BYTES];
    pthread_t thread;
    void *failed;

    unique_key(key);
    leave_persistent(key, SIZE, 0);
    inheritance.seg = attached(key, MAPSEG_READ_WRITE);
    ck_assert_int_eq(pthread_create(&thread, NULL, ask_always, inheritance.seg), 0);
    for (int i = 0; i < 600; i++)
        ck_assert_int_eq(in_child(count_what_is_open, &inheritance), WELL);
    atomic_store(&stop_asking, true);
    ck_assert_int_eq(pthread_join(thread, &failed), 0);
    ck_assert_ptr_null(failed);
    need_call(MAPSEG_OK, inheritance.seg, mapseg_remove(inheritance.seg));
    mapseg_free(inheritance.seg);
}
END_TEST

/// Who may only read a sealed memory file is told too.
START_TEST(reader_of_a_sealed_file)
{
    mapseg *seg = handle_for("memfd:");
    mapseg *reader;
    char key[KEY_BYTES];
    uint64_t count;
    int given, fd;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    given = exported_fd(seg, MAPSEG_READ_ONLY);
    ck_assert_msg(given >= 0, "%s", mapseg_error_string(seg));
    snprintf(key, sizeof key, "memfd:%d", given);
    reader = attached(key, MAPSEG_READ_ONLY);
    close(given);
    need_call(MAPSEG_PERMISSION_DENIED, reader, mapseg_lock(reader));
    fd = quiet_fd(reader);
    for (uint64_t i = 1; i <= 50; i++) {
        ck_assert(write_once(seg));
        check_readable(fd);
        need_call(MAPSEG_OK, reader, mapseg_read(reader, 0, &count, sizeof count, NULL));
        ck_assert_uint_eq(count, i);
        ck_assert(!is_readable(fd, i % 10 == 0 ? 50 : 0));
    }
    mapseg_free(reader);
    mapseg_free(seg);
    ck_assert(has_more_threads(0));
}
END_TEST

START_TEST(many_handles)
{
    mapseg *segs[20];
    char key[KEY_BYTES];

    unique_key(key);
    for (int i = 0; i < 20; i++) {
        segs[i] = i == 0 ? created(key, SIZE) : attached(key, access_of(i));
        (void)quiet_fd(segs[i]);
    }
    ck_assert(has_more_threads(20));
    for (int round = 0; round < 20; round++) {
        ck_assert(write_once(segs[0]));
        for (int i = 0; i < 20; i++)
            check_readable(change_fd(segs[i]));
        for (int i = 0; i < 20; i++)
            (void)give_out(segs[i], i);
        for (int i = 0; i < 20; i++)
            ck_assert(!is_readable(change_fd(segs[i]), 0));
    }
    for (int i = 19; i >= 0; i--)
        mapseg_free(segs[i]);
    ck_assert(has_more_threads(0));
}
END_TEST

/* --------------------------------------------------------------------- main -- */

static void
add_meaning(Suite *suite)
{
    TCase *group = new_case(suite, "meaning");

    tcase_add_test(group, tells_of_each_change_once);
    tcase_add_test(group, changes_add_up);
    tcase_add_test(group, a_new_segment_has_a_version);
    tcase_add_test(group, waiting_for_a_known_version_is_an_answer);
    tcase_add_test(group, own_changes_count);
    tcase_add_test(group, quiet_within_a_change);
    tcase_add_test(group, other_calls_give_nothing_out);
    tcase_add_test(group, killed_writer_is_no_change);
    tcase_add_test(group, versions_may_go_back);
    tcase_add_test(group, lost_file_is_readable_for_good);
}

static void
add_streams(Suite *suite)
{
    TCase *group = new_case(suite, "streams");

    tcase_add_test(group, no_change_is_missed);
    tcase_add_test(group, several_writers_and_readers);
    tcase_add_test(group, threads_of_one_handle_give_out);
    tcase_add_test(group, late_versions_take_nothing_back);
    tcase_add_test(group, epoll_of_two_segments);
}

static void
add_life(Suite *suite)
{
    TCase *group = new_case(suite, "life");

    tcase_add_checked_fixture(group, note_threads, NULL);
    tcase_add_test(group, one_descriptor_for_a_handle);
    tcase_add_test(group, detached_handles_have_none);
    tcase_add_test(group, no_descriptor_left);
    tcase_add_test(group, detach_takes_thread_and_descriptor_along);
    tcase_add_test(group, detach_while_others_write);
    tcase_add_test(group, threads_that_ask_first_get_the_same);
    tcase_add_loop_test(group, signals_pass_the_thread_by, 0, 2);
    if (skip_unless(!under_race_detector(),
                    "a race detector lets no child of threads start a thread"))
        tcase_add_test(group, child_asks_again);
    tcase_add_loop_test(group, child_leaves_at_once, 0, 2);
    tcase_add_test(group, fork_while_another_thread_asks);
    tcase_add_test(group, reader_of_a_sealed_file);
    tcase_add_test(group, many_handles);
}

int
main(void)
{
    Suite *suite = new_suite("change");

    add_meaning(suite);
    add_streams(suite);
    add_life(suite);
    return run_suite(suite);
}
