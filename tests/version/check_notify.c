/*
 * check_notify.c - mapseg_notify_fd: the descriptor that says that there is a version which was not
 * given out yet.
 *
 * SPDX-License-Identifier: MIT
 */
#include "handle/notify.h"
#include "mapseg-format.h"
#include "scene.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

/* -------------------------------------------------- when it is readable -- */

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

/** What changed before the program asked for the descriptor is told too, and several changes are
 *  one. */
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

/** A program that waits for the version that it knows, because of the descriptor, is not woken for
 *  ever. */
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

/** A change that is under way is no version yet. */
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

/** A hostile peer writes what it likes: at worst there is a change where there is none. */
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

        __atomic_store_n(&header->version, versions[i], __ATOMIC_RELEASE);
        if (changes)
            check_readable(fd);
        ck_assert_uint_eq(give_out(scene.seg, (int)i), versions[i]);
        check_quiet(fd);
    }
    tear_down(&scene);
}
END_TEST

/** A file that any user can make shorter, and one of a guarded handle. */
START_TEST(lost_file_is_readable_for_good)
{
    struct scene scene;
    uint64_t version;
    int fd;

    set_up(&scene);
    mapseg_free(scene.seg);
    scene.seg = _i == 0 ? created_for(0666, scene.key, SIZE, 0)
                        : created_for(0600, scene.key, SIZE, MAPSEG_GUARDED);
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

static mapseg *
memory_segment(void)
{
    mapseg *seg = handle_for("memfd:");

    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    return seg;
}

/** A handle that may only read it. */
static mapseg *
reader_of(mapseg *seg)
{
    mapseg *reader = mapseg_new();

    need_call(MAPSEG_OK, reader,
              mapseg_attach_fd(reader, exported_fd(seg, MAPSEG_READ_ONLY), MAPSEG_READ_ONLY));
    return reader;
}

/** A version was announced, and before it was looked at the next change began. */
START_TEST(descriptor_is_quiet_within_a_change)
{
    mapseg *seg = memory_segment();
    mapseg *reader = reader_of(seg);
    int fd = change_fd(reader);
    uint64_t version = 0;

    need_call(MAPSEG_OK, reader, mapseg_wait(reader, MAPSEG_ANY_VERSION, &version, 0));
    ck_assert(!is_readable(fd, 0));
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "x", 1));
    check_readable(fd);
    need_call(MAPSEG_OK, seg, mapseg_write_begin(seg));
    need_call(MAPSEG_TIMED_OUT, reader, mapseg_wait(reader, version, NULL, 0));
    ck_assert(!is_readable(fd, 0));
    need_call(MAPSEG_OK, seg, mapseg_write_end(seg));
    check_readable(fd);
    need_call(MAPSEG_OK, reader, mapseg_wait(reader, version, &version, 0));
    ck_assert_uint_eq(version, 4);
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------- streams of changes -- */

/** Reads along with writers until `count` changes have been seen, in all. */
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

/** One of several threads that give versions of one handle out as fast as they can. */
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

/** A slow thread gives out what a faster one has gone beyond; that takes nothing back, and hides
 *  nothing. */
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

/** A program that asks epoll for edges alone is told of each version. */
START_TEST(each_version_is_an_edge)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int edges = epoll_create1(EPOLL_CLOEXEC);
    mapseg *seg = memory_segment();
    mapseg *reader = reader_of(seg);

    ck_assert_int_eq(epoll_ctl(edges, EPOLL_CTL_ADD, change_fd(reader), &event), 0);
    ck_assert_int_eq(epoll_wait(edges, &event, 1, HANG_MS), 1);
    for (int i = 0; i < 20; i++) {
        need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "x", 1));
        ck_assert_int_eq(epoll_wait(edges, &event, 1, HANG_MS), 1);
    }
    close(edges);
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

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
    tcase_add_test(group, descriptor_is_quiet_within_a_change);
    tcase_add_test(group, other_calls_give_nothing_out);
    tcase_add_test(group, killed_writer_is_no_change);
    tcase_add_test(group, versions_may_go_back);
    tcase_add_loop_test(group, lost_file_is_readable_for_good, 0, 2);
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
    tcase_add_test(group, each_version_is_an_edge);
}

int
main(void)
{
    Suite *suite = new_suite("notify");

    add_meaning(suite);
    add_streams(suite);
    return run_suite(suite);
}
