/*
 * check_descriptors.c - descriptors that a program closes behind the library's back.
 *
 * A program that makes itself a daemon closes all descriptors above 2, and opens its own files,
 * which get the same numbers. No call then takes one of these for the segment's, writes to it,
 * locks it or closes it; what can be opened anew is, and the rest says MAPSEG_DESCRIPTOR_CLOSED.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define DATA_BYTES 8192
#define LOG_BYTES 20000
#define LOG_OFFSET 123
#define MOST 256 /* descriptors */
#define FEW 3    /* the first number that is no standard descriptor's */

static struct msi_os_operations healthy;

/* ---------------------------------------------------------- the segment -- */

enum type { SHM, PLAIN_FILE, RUNTIME, MEMFD, TYPES };

static const char *const keys[TYPES] = {"shm:segment", "file:/dev/shm/box/segment",
                                        "runtime:segment", "memfd:"};
static const char *const paths[TYPES] = {"/dev/shm/segment", "/dev/shm/box/segment",
                                         "/dev/shm/run/mapseg/segment", NULL};

static void
set_scene(void)
{
    use_tiny_shm("size=16m");
    ck_assert_int_eq(mkdir("/dev/shm/box", 0700), 0);
    ck_assert_int_eq(mkdir("/dev/shm/run", 0700), 0);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/dev/shm/run", 1), 0);
    healthy = msi_os;
}

/** Whether main has said that a key of that type cannot be tested here. */
static bool
is_left_out(enum type type)
{
    return type == PLAIN_FILE && !is_root();
}

/** The other user: makes the segment and obeys. */
static int
keep_segment(int channel, void *key)
{
    static mapseg *seg;
    bool good = true;
    int word;

    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "precious", 8));
    say(channel, 'a');
    while ((word = hear(channel)) != -1) {
        if (word == 'l')
            good = mapseg_lock(seg) == MAPSEG_OK;
        else if (word == 'u')
            good = mapseg_unlock(seg) == MAPSEG_OK;
        else if (word == 'w')
            good = mapseg_write(seg, 100, "change", 6) == MAPSEG_OK;
        else if (word == 's')
            good = mapseg_send(seg, channel, MAPSEG_READ_WRITE) == MAPSEG_OK;
        say(channel, good ? 'y' : 'n');
    }
    return 0;
}

static struct peer
start_keeper(enum type type)
{
    struct peer peer = start_peer(keep_segment, (void *)(uintptr_t)keys[type]);

    ck_assert_int_eq(hear(peer.channel), 'a');
    return peer;
}

static mapseg *
attach_to(enum type type, mapseg_access access, const struct peer *peer)
{
    mapseg *seg;

    if (type != MEMFD)
        return attached(keys[type], access);
    seg = mapseg_new();
    say(peer->channel, 's');
    need_call(MAPSEG_OK, seg, mapseg_receive(seg, peer->channel, access));
    ck_assert_int_eq(hear(peer->channel), 'y');
    return seg;
}

/* --------------------------------------------------------- the program's -- */

/** What the program opens under the numbers that it has closed. */
enum others { NOTHING, A_LOG, AN_EVENT, AN_EPOLL, A_TIMER, A_PIPE, OTHERS };

static struct {
    bool open_before[MOST];
    bool taken[MOST]; /* numbers that were the library's */
    int witness;      /* another description of what is there now, or its other end */
    struct stat status;
} program;

static void
note_descriptors(void)
{
    for (int fd = 0; fd < MOST; fd++)
        program.open_before[fd] = fcntl(fd, F_GETFD) != -1;
}

static int
open_log(void)
{
    static char text[LOG_BYTES];
    char name[40];
    int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    memset(text, 'Z', sizeof text);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, sizeof text), (ssize_t)sizeof text);
    ck_assert_int_eq(lseek(fd, LOG_OFFSET, SEEK_SET), LOG_OFFSET);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    program.witness = open(name, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(program.witness, 0);
    return fd;
}

static int
open_other(enum others others)
{
    const struct itimerspec at_once = {.it_value = {.tv_nsec = 1}};
    struct pollfd poller = {.events = POLLIN};
    int ends[2];

    program.witness = -1;
    switch (others) {
    case A_LOG:
        return open_log();
    case AN_EVENT:
        return eventfd(5, EFD_CLOEXEC | EFD_NONBLOCK);
    case AN_EPOLL:
        return epoll_create1(EPOLL_CLOEXEC);
    case A_TIMER:
        poller.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        ck_assert_int_eq(timerfd_settime(poller.fd, 0, &at_once, NULL), 0);
        ck_assert_int_eq(poll(&poller, 1, -1), 1);
        return poller.fd;
    case A_PIPE:
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        program.witness = ends[0];
        return ends[1];
    default:
        return -1;
    }
}

/** All numbers that the library has taken since note_descriptors become the program's. */
static void
become_daemon(enum others others)
{
    int other;

    for (int fd = FEW; fd < MOST; fd++) {
        program.taken[fd] = !program.open_before[fd] && fcntl(fd, F_GETFD) != -1;
        if (program.taken[fd])
            close(fd);
    }
    other = open_other(others);
    if (other < 0)
        return;
    ck_assert_int_eq(fcntl(other, F_DUPFD_CLOEXEC, MOST), MOST);
    close(other);
    if (program.witness >= 0) {
        ck_assert_int_eq(fcntl(program.witness, F_DUPFD_CLOEXEC, MOST + 1), MOST + 1);
        close(program.witness);
        program.witness = MOST + 1;
    }
    for (int fd = FEW; fd < MOST; fd++)
        if (program.taken[fd])
            ck_assert_int_eq(dup3(MOST, fd, O_CLOEXEC), fd);
    ck_assert_int_eq(fstat(MOST, &program.status), 0);
}

/** Its numbers are its own still. */
static void
check_numbers(void)
{
    struct stat status;

    if (program.status.st_nlink == 0 && program.status.st_ino == 0)
        return;
    for (int fd = FEW; fd < MOST; fd++)
        if (program.taken[fd])
            ck_assert_msg(fstat(fd, &status) == 0 && status.st_ino == program.status.st_ino &&
                              status.st_dev == program.status.st_dev,
                          "descriptor %d is not the program's any more", fd);
}

static void
check_log(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char text[LOG_BYTES];
    struct stat status;

    ck_assert_int_eq(lseek(MOST, 0, SEEK_CUR), LOG_OFFSET);
    ck_assert_int_eq(fstat(MOST, &status), 0);
    ck_assert_int_eq(status.st_size, LOG_BYTES);
    ck_assert_mem_eq(&status.st_mtim, &program.status.st_mtim, sizeof status.st_mtim);
    ck_assert_int_eq(fcntl(MOST, F_GETFL) & O_ACCMODE, O_RDWR);
    ck_assert_int_eq(pread(program.witness, text, sizeof text, 0), LOG_BYTES);
    for (int i = 0; i < LOG_BYTES; i++)
        ck_assert_int_eq(text[i], 'Z');
    ck_assert_int_eq(fcntl(program.witness, F_OFD_GETLK, &lock), 0);
    ck_assert_msg(lock.l_type == F_UNLCK, "the log is locked at %lld", (long long)lock.l_start);
}

/** What the program has there has not been read, written, locked or closed. */
static void
check_program(enum others others)
{
    uint64_t count = 0;
    struct epoll_event event = {.events = EPOLLIN};

    if (others == NOTHING)
        return;
    check_numbers();
    if (others == A_LOG)
        check_log();
    if (others == AN_EVENT || others == A_TIMER) {
        ck_assert_int_eq(read(MOST, &count, sizeof count), (ssize_t)sizeof count);
        ck_assert_uint_eq(count, others == AN_EVENT ? 5 : 1);
    }
    if (others == AN_EPOLL)
        ck_assert_int_eq(
            epoll_ctl(MOST, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0 || errno == EPERM, 1);
    if (others == A_PIPE)
        ck_assert_int_eq(read(program.witness, &count, 1), -1);
}

/* --------------------------------------------------- after the closing -- */

/** What a call comes to that needs the descriptor. */
static mapseg_result
expected_of(enum type type)
{
    return type == MEMFD ? MAPSEG_DESCRIPTOR_CLOSED : MAPSEG_OK;
}

static void
check_reading(mapseg *seg)
{
    uint64_t version = 0, now = 0;
    char text[9] = "";

    need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, text, 8, &version));
    ck_assert_str_eq(text, "precious");
    need_call(MAPSEG_OK, seg, mapseg_read_begin(seg, &now));
    ck_assert_uint_eq(now, version);
    ck_assert(!mapseg_read_retry(seg, version));
    need_call(MAPSEG_OK, seg, mapseg_wait(seg, MAPSEG_ANY_VERSION, &now, 0));
    ck_assert_uint_eq(now, version);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, version, &now, 1000000));
}

static void
check_writing(mapseg *seg)
{
    char text[7] = "";

    need_call(MAPSEG_OK, seg, mapseg_write(seg, 5000, "sixsix", 6));
    need_call(MAPSEG_OK, seg, mapseg_read(seg, 5000, text, 6, NULL));
    ck_assert_str_eq(text, "sixsix");
    need_call(MAPSEG_OK, seg, mapseg_write_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_write_end(seg));
}

/** A free lock is had; one that a living owner holds is not. */
static void
check_locking(mapseg *seg, enum type type, const struct peer *peer)
{
    mapseg_result result;

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    tell(peer, 'l');
    result = mapseg_try_lock(seg);
    ck_assert_msg(result == (type == MEMFD ? MAPSEG_DESCRIPTOR_CLOSED : MAPSEG_WOULD_BLOCK),
                  "try_lock: %s", mapseg_result_name(result));
    result = mapseg_lock_for(seg, 200000000);
    ck_assert_msg(result == (type == MEMFD ? MAPSEG_DESCRIPTOR_CLOSED : MAPSEG_TIMED_OUT),
                  "lock_for: %s", mapseg_result_name(result));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    tell(peer, 'u');
}

static void
check_exported(mapseg *seg, int fd, enum type type)
{
    struct stat status;

    need_call(expected_of(type), seg, mapseg_error(seg));
    if (type == MEMFD) {
        ck_assert_int_eq(fd, -1);
        return;
    }
    ck_assert_int_ge(fd, FEW);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_uint_eq(status.st_ino, inode_at(mapseg_const_data(seg)));
    close(fd);
}

static void
check_handing_over(mapseg *seg, enum type type)
{
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    mapseg_info *information = NULL;
    mapseg *receiver = mapseg_new();
    int ends[2];

    need_call(expected_of(type), seg, mapseg_info_new(seg, &information));
    if (type != MEMFD) {
        ck_assert_uint_eq(information->data_size, DATA_BYTES);
        ck_assert_int_eq(information->verdict, MAPSEG_OK);
        ck_assert_int_eq(information->name_state, MAPSEG_NAME_SAME);
        ck_assert_uint_eq(information->attached, 2);
    }
    mapseg_info_free(information);
    check_exported(seg, exported_fd(seg, MAPSEG_READ_ONLY), type);
    check_exported(seg, spawn_fd(seg, MAPSEG_READ_ONLY, NULL, variable), type);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    need_call(expected_of(type), seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    if (type != MEMFD)
        need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
    mapseg_free(receiver);
    close(ends[0]);
    close(ends[1]);
}

/** What a child does that was made after the closing. */
static int
use_inherited(void *argument)
{
    mapseg *seg = argument;
    char text[9] = "";

    if (!mapseg_is_attached(seg))
        return 1;
    check_reading(seg);
    need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, text, 8, NULL));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    check_numbers();
    return 0;
}

/** Type, access and what has the numbers now, of the number of a loop. */
#define COMBINATIONS (TYPES * 2 * 2)
#define TYPE_OF(i) ((enum type)((i) / 4))
#define ACCESS_OF(i) ((i) / 2 % 2 == 0 ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY)
#define OTHERS_OF(i) ((i) % 2 == 0 ? A_LOG : NOTHING)

START_TEST(descriptors_are_closed)
{
    const enum type type = TYPE_OF(_i);
    struct peer peer;
    mapseg *seg;

    if (is_left_out(type))
        return;
    set_scene();
    peer = start_keeper(type);
    note_descriptors();
    seg = attach_to(type, ACCESS_OF(_i), &peer);
    become_daemon(OTHERS_OF(_i));
    check_reading(seg);
    if (ACCESS_OF(_i) == MAPSEG_READ_WRITE)
        check_writing(seg);
    check_program(OTHERS_OF(_i));
    check_locking(seg, type, &peer);
    check_handing_over(seg, type);
    check_program(OTHERS_OF(_i));
    ck_assert_int_eq(in_child(use_inherited, seg), type == MEMFD ? 1 : 0);
    check_program(OTHERS_OF(_i));
    tell(&peer, 'w');
    check_reading(seg);
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    check_program(OTHERS_OF(_i));
    ck_assert_msg(type == MEMFD || exists(paths[type]), "a segment in use has lost its name");
    mapseg_free(seg);
    tell(&peer, 'l');
    kill_peer(&peer);
    check_program(OTHERS_OF(_i));
}
END_TEST

/* The first thing after the closing is to fork. */
START_TEST(child_of_a_daemon)
{
    const enum type type = TYPE_OF(_i);
    struct peer peer;
    mapseg *seg;

    if (is_left_out(type))
        return;
    set_scene();
    peer = start_keeper(type);
    note_descriptors();
    seg = attach_to(type, ACCESS_OF(_i), &peer);
    become_daemon(OTHERS_OF(_i));
    ck_assert_int_eq(in_child(use_inherited, seg), type == MEMFD ? 1 : 0);
    check_program(OTHERS_OF(_i));
    mapseg_free(seg);
    check_program(OTHERS_OF(_i));
    kill_peer(&peer);
}
END_TEST

/* A dead owner is replaced, and the last one out takes the name with it. */
START_TEST(owner_dies_meanwhile)
{
    const enum type type = TYPE_OF(_i);
    struct peer peer;
    mapseg_result result;
    mapseg *seg;

    if (is_left_out(type))
        return;
    set_scene();
    peer = start_keeper(type);
    note_descriptors();
    seg = attach_to(type, ACCESS_OF(_i), &peer);
    become_daemon(OTHERS_OF(_i));
    tell(&peer, 'l');
    kill_peer(&peer);
    result = mapseg_lock_for(seg, INT64_C(25000000000));
    ck_assert_msg(result == (type == MEMFD ? MAPSEG_DESCRIPTOR_CLOSED : MAPSEG_OWNER_DIED), "%s",
                  mapseg_result_name(result));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    check_program(OTHERS_OF(_i));
    ck_assert_msg(type == MEMFD || !exists(paths[type]), "the last one out has left the name");
    if (type != MEMFD) {
        bool made = false;

        need_call(MAPSEG_OK, seg, mapseg_create_or_attach(seg, 100, MAPSEG_READ_WRITE, &made));
        ck_assert(made);
    }
    mapseg_free(seg);
    check_program(OTHERS_OF(_i));
}
END_TEST

/* The name is gone too: what needs a descriptor says so, as reading does from the moment that
 * another user could make the file shorter. Reading through the mapping goes on. */
START_TEST(name_is_gone_as_well)
{
    struct peer peer;
    char text[9] = "";
    mapseg *seg;
    int handed;

    set_scene();
    peer = start_keeper(SHM);
    note_descriptors();
    seg = attach_to(SHM, MAPSEG_READ_WRITE, &peer);
    handed = exported_fd(seg, MAPSEG_READ_WRITE);
    ck_assert_int_ge(handed, 0);
    close(handed);
    become_daemon(A_LOG);
    ck_assert_int_eq(unlink(paths[SHM]), 0);
    need_call(MAPSEG_DESCRIPTOR_CLOSED, seg, mapseg_read(seg, 0, text, 8, NULL));
    need_call(MAPSEG_DESCRIPTOR_CLOSED, seg, mapseg_write(seg, 0, text, 8));
    ck_assert_int_eq(exported_fd(seg, MAPSEG_READ_ONLY), -1);
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, text, 8, NULL));
    ck_assert_str_eq(text, "precious");
    need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    ck_assert_int_eq(in_child(use_inherited, seg), 1);
    mapseg_free(seg);
    check_program(A_LOG);
    kill_peer(&peer);
}
END_TEST

/* A file that becomes shorter is noticed: by a touch, and at the end of the section. */
START_TEST(file_is_shortened_meanwhile)
{
    const bool touches = _i / 4 == 0;
    const enum others others = OTHERS_OF(_i);
    const volatile char *data;
    struct peer peer;
    mapseg *seg;

    set_scene();
    peer = start_keeper(SHM);
    note_descriptors();
    seg = attach_to(SHM, ACCESS_OF(_i), &peer);
    data = mapseg_const_data(seg);
    ck_assert_ptr_nonnull((const void *)(uintptr_t)data);
    become_daemon(others);
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    ck_assert_int_eq(truncate(paths[SHM], 4096 + 100), 0);
    if (touches)
        ck_assert_int_eq(data[5000], 0);
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_guard_end(seg));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    check_program(others);
    mapseg_free(seg);
    kill_peer(&peer);
}
END_TEST

/* --------------------------------------------- the descriptor of changes -- */

static atomic_int raised;

static void
count_raise(int fd)
{
    healthy.event_raise(fd);
    atomic_fetch_add(&raised, 1);
}

static void
await_raise(int more_than)
{
    int64_t deadline = now_ns() + HANG;

    while (atomic_load(&raised) <= more_than) {
        ck_assert_msg(now_ns() < deadline, "no change is announced");
        nap(1 * MILLISECOND);
    }
}

START_TEST(descriptor_of_changes_is_closed)
{
    const enum others others = (enum others)(_i / TYPES);
    struct peer peer;
    mapseg *seg;

    if (is_left_out((enum type)(_i % TYPES)))
        return;
    set_scene();
    msi_os.event_raise = count_raise;
    peer = start_keeper((enum type)(_i % TYPES));
    note_descriptors();
    seg = attach_to((enum type)(_i % TYPES), MAPSEG_READ_WRITE, &peer);
    ck_assert_int_ge(notify_fd(seg), FEW);
    await_raise(0);
    become_daemon(others);
    for (int i = 0; i < 3; i++) {
        int before = atomic_load(&raised);

        check_reading(seg);
        tell(&peer, 'w');
        await_raise(before);
    }
    check_reading(seg);
    ck_assert_int_eq(notify_fd(seg), -1);
    need_call(MAPSEG_DESCRIPTOR_CLOSED, seg, mapseg_error(seg));
    mapseg_free(seg);
    check_program(others);
    kill_peer(&peer);
}
END_TEST

/* Another handle's has the number: only that one's changes show there. */
START_TEST(descriptor_of_changes_is_anothers)
{
    struct pollfd poller = {.events = POLLIN};
    mapseg *first, *second;
    uint64_t version;
    char byte;
    int old;

    set_scene();
    msi_os.event_raise = count_raise;
    first = created("shm:first", 100);
    second = created("shm:second", 100);
    old = notify_fd(first);
    await_raise(0);
    close(old);
    ck_assert_int_eq(notify_fd(second), old);
    await_raise(1);
    need_call(MAPSEG_OK, second, mapseg_read(second, 0, &byte, 1, &version));
    poller.fd = old;
    ck_assert_int_eq(poll(&poller, 1, 0), 0);
    need_call(MAPSEG_OK, first, mapseg_write(first, 0, "x", 1));
    await_raise(2);
    ck_assert_int_eq(poll(&poller, 1, 0), 0);
    need_call(MAPSEG_OK, second, mapseg_write(second, 0, "x", 1));
    await_raise(3);
    need_call(MAPSEG_OK, first, mapseg_read(first, 0, &byte, 1, &version));
    ck_assert_int_eq(poll(&poller, 1, 0), 1);
    mapseg_free(first);
    ck_assert_int_eq(poll(&poller, 1, 0), 1);
    ck_assert_int_eq(poller.revents, POLLIN);
    mapseg_free(second);
}
END_TEST

/* ------------------------------------------- why nothing is opened anew -- */

static int
export_as_another_user(void *argument)
{
    mapseg *seg = argument;

    become_nobody();
    ck_assert_int_eq(exported_fd(seg, MAPSEG_READ_ONLY), -1);
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_error(seg));
    return 0;
}

/* The system's refusal is told, also where the file has no name, or had one. */
START_TEST(opening_anew_is_refused)
{
    mapseg *seg;

    set_scene();
    seg = created(_i == 0 ? "memfd:" : "shm:segment", DATA_BYTES);
    if (_i == 2)
        ck_assert_int_eq(unlink(paths[SHM]), 0);
    ck_assert_int_eq(in_child(export_as_another_user, seg), 0);
    mapseg_free(seg);
}
END_TEST

static void
add_cases(Suite *suite)
{
    TCase *group = new_case(suite, "closed");

    tcase_add_loop_test(group, descriptors_are_closed, 0, COMBINATIONS);
    tcase_add_loop_test(group, child_of_a_daemon, 0, COMBINATIONS);
    tcase_add_loop_test(group, owner_dies_meanwhile, 0, COMBINATIONS);
    tcase_add_test(group, name_is_gone_as_well);
    tcase_add_loop_test(group, file_is_shortened_meanwhile, 0, 8);
    tcase_add_loop_test(group, descriptor_of_changes_is_closed, 0, TYPES * OTHERS);
    tcase_add_test(group, descriptor_of_changes_is_anothers);
    if (is_root())
        tcase_add_loop_test(group, opening_anew_is_refused, 0, 3);
}

int
main(void)
{
    Suite *suite = new_suite("descriptors");

    if (skip_unless(can_mount(), "no private place can be mounted"))
        add_cases(suite);
    (void)skip_unless(is_root(),
                      "in a user namespace root's directories belong to an unknown user, so no "
                      "file: key is trusted");
    return run_suite(suite);
}
