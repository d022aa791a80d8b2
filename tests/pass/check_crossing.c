/*
 * check_crossing.c - moments at which two things cross: a seal and a size, a fork and a message, a
 * death and an event, a file that ends and a call that is under way.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "os/os.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 65536

static struct msi_os_operations healthy;
static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
begin(void)
{
    healthy = msi_os;
    unique_key(key);
    path_of(path, key);
}

static mapseg *
created_memory(uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for("memfd:");

    options.flags = flags;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    return seg;
}

static mapseg *
another(mapseg *seg, mapseg_access access)
{
    mapseg *other = mapseg_new();

    need_call(MAPSEG_OK, other, mapseg_attach_fd(other, exported_fd(seg, access), access));
    return other;
}

/* --------------------------------------------------- a seal and a size -- */

static int hostile_fd = -1;

static int
shorten_and_tell_seals(int fd)
{
    if (hostile_fd >= 0) {
        ck_assert_int_eq(ftruncate(hostile_fd, MAPSEG_HEADER_BYTES), 0);
        ck_assert_int_eq(fcntl(hostile_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                         0);
        hostile_fd = -1;
    }
    return healthy.seals(fd);
}

/** A peer shortens its memory and seals it then, between two looks of ours. */
START_TEST(size_is_asked_after_the_seals)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    unsigned char header[MAPSEG_HEADER_BYTES];
    mapseg *seg = mapseg_new();
    mapseg *model;
    int fd;

    begin();
    model = created_memory(0);
    fd = exported_fd(model, MAPSEG_READ_ONLY);
    ck_assert_int_eq(pread(fd, header, sizeof header, 0), sizeof header);
    close(fd);
    mapseg_free(model);
    fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ck_assert_int_eq(fchmod(fd, 0600), 0);
    ck_assert_int_eq(ftruncate(fd, MAPSEG_HEADER_BYTES + DATA_BYTES), 0);
    ck_assert_int_eq(pwrite(fd, header, sizeof header, 0), sizeof header);

    hostile_fd = fd;
    msi_os.seals = shorten_and_tell_seals;
    options.flags = MAPSEG_UNTRUSTED_PEER;
    need_call(MAPSEG_CORRUPT, seg, mapseg_attach_fd_with(seg, fd, MAPSEG_READ_ONLY, &options));
    msi_os = healthy;
    close(fd);
    mapseg_free(seg);
}
END_TEST

static int reserved_by_others;

/** Another process of this user finds the descriptor in /proc while the memory is reserved. */
static int
open_and_reserve(int fd, int64_t offset, int64_t bytes)
{
    char name[40];
    int other;

    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    other = open(name, O_RDWR | O_CLOEXEC);
    if (other >= 0) {
        void *address = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);

        reserved_by_others += address != MAP_FAILED;
        if (address != MAP_FAILED)
            munmap(address, 4096);
        close(other);
    }
    return healthy.reserve(fd, offset, bytes);
}

START_TEST(single_writer_is_sealed_before_it_is_filled)
{
    mapseg *seg;
    char text[] = "written";

    begin();
    msi_os.reserve = open_and_reserve;
    seg = created_memory(MAPSEG_SINGLE_WRITER);
    msi_os = healthy;
    ck_assert_int_eq(reserved_by_others, 0);
    /* What was mapped early is a segment like any other, for children too. */
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, text, sizeof text));
    pid_t child = fork();
    if (child == 0)
        _exit(strcmp(mapseg_const_data(seg), text) != 0);
    ck_assert_int_eq(end_of(child), 0);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------- a fork and a message -- */

static int forked_copies = -1;

static int64_t
fork_and_send(int socket_fd, const void *from, size_t bytes, int fd, bool wait)
{
    pid_t child = fork();

    if (child == 0)
        _exit(fcntl(fd, F_GETFD) >= 0);
    forked_copies = end_of(child);
    return healthy.socket_send(socket_fd, from, bytes, fd, wait);
}

START_TEST(child_forked_while_sending_keeps_nothing)
{
    mapseg *seg;
    int ends[2];

    begin();
    seg = created_memory(0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    msi_os.socket_send = fork_and_send;
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    msi_os = healthy;
    ck_assert_int_eq(forked_copies, 0);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------- a file that ends, and a call -- */

START_TEST(look_at_an_own_change_that_is_gone)
{
    uint64_t version;
    char byte;

    begin();
    mapseg *seg = created(key, DATA_BYTES);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(truncate(path, 0), 0);
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read_begin(seg, &version));
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read(seg, 0, &byte, 1, NULL));
    mapseg_free(seg);
}
END_TEST

START_TEST(write_in_a_section)
{
    begin();
    mapseg *seg = created(key, DATA_BYTES);
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(truncate(path, 0), 0);
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_write(seg, 0, "x", 1));
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_guard_end(seg));
    mapseg_free(seg);
}
END_TEST

/** The guard was asked for on another handle, and this thread has blocked the signal since. */
START_TEST(no_section_no_mapping)
{
    sigset_t all, now;
    char byte;

    begin();
    mapseg *seg = created(key, DATA_BYTES);
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    sigfillset(&all);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
    /* Within the last page: what is missing there would be zeros. */
    ck_assert_int_eq(truncate(path, MAPSEG_HEADER_BYTES + DATA_BYTES - 100), 0);
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read(seg, DATA_BYTES - 50, &byte, 1, NULL));
    ck_assert_int_eq(truncate(path, 0), 0);
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read(seg, 0, &byte, 1, NULL));
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &now), 0);
    ck_assert(sigismember(&now, SIGBUS));
    mapseg_free(seg);
}
END_TEST

/** The header page stays, and the version with it. */
START_TEST(data_alone_is_gone)
{
    uint64_t version;
    struct pollfd event;

    begin();
    mapseg *seg = created(key, DATA_BYTES);
    mapseg *waiter = attached(key, MAPSEG_READ_ONLY);
    event = (struct pollfd){.fd = notify_fd(waiter), .events = POLLIN};
    need_call(MAPSEG_OK, waiter, mapseg_wait(waiter, 1, &version, 0));
    ck_assert_int_eq(poll(&event, 1, 0), 0);
    need_call(MAPSEG_OK, seg, mapseg_read_begin(seg, &version));
    ck_assert(!mapseg_read_retry(seg, version));
    ck_assert_int_eq(truncate(path, 2 * MAPSEG_HEADER_BYTES), 0);
    ck_assert(mapseg_read_retry(seg, version));
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read_begin(seg, &version));
    ck_assert_int_eq(poll(&event, 1, HANG_MS), 1);
    need_call(MAPSEG_FILE_SHRUNK, waiter, mapseg_wait(waiter, version, NULL, 1000000000));
    mapseg_free(waiter);
    mapseg_free(seg);
}
END_TEST

/** No memory for what was not reserved is no shortened file, and keeps nobody out for ever. */
START_TEST(write_without_memory)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    static char block[DATA_BYTES * 8];
    uint64_t version;
    mapseg_result result;
    char byte;

    begin();
    use_tiny_shm("size=256k");
    options.flags = MAPSEG_LAZY;
    mapseg *seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, sizeof block, MAPSEG_READ_WRITE, &options));
    mapseg *other = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_write(seg, 0, block, sizeof block));
    need_call(MAPSEG_OWNER_DIED, other, mapseg_read_for(other, 0, &byte, 1, NULL, 1000000));
    result = mapseg_write_begin(other);
    need_call(MAPSEG_OWNER_DIED, other, result);
    need_call(MAPSEG_OK, other, mapseg_consistent(other));
    need_call(MAPSEG_OK, other, mapseg_write_end(other));
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, block, 10));
    need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, &byte, 1, &version));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/** A limit on the size of files is SIGXFSZ to whoever writes above it. */
START_TEST(detach_under_a_file_size_limit)
{
    struct rlimit before, none;
    bool limited;

    begin();
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    mapseg *seg = created(key, DATA_BYTES);
    mapseg *other = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    /* Until it is taken back no assertion of libcheck's: it notes each in a file. */
    limited = setrlimit(RLIMIT_FSIZE, &none) == 0;
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_OK, other, mapseg_try_lock(other));
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(setrlimit(RLIMIT_FSIZE, &before) == 0 && limited);
}
END_TEST

/* ------------------------------------------------ a writer and an event -- */

static int
readable(int fd)
{
    struct pollfd event = {.fd = fd, .events = POLLIN};

    return poll(&event, 1, 0);
}

static void
wait_until_readable(int fd)
{
    struct pollfd event = {.fd = fd, .events = POLLIN};

    ck_assert_int_eq(poll(&event, 1, HANG_MS), 1);
}

/** A version was announced, and before it was looked at the next change began. */
START_TEST(descriptor_is_quiet_within_a_change)
{
    uint64_t version = 0;

    begin();
    mapseg *seg = created_memory(0);
    mapseg *reader = another(seg, MAPSEG_READ_ONLY);
    int fd = notify_fd(reader);
    need_call(MAPSEG_OK, reader, mapseg_wait(reader, 1, &version, 0));
    ck_assert_int_eq(readable(fd), 0);
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "x", 1));
    wait_until_readable(fd);
    need_call(MAPSEG_OK, seg, mapseg_write_begin(seg));
    need_call(MAPSEG_TIMED_OUT, reader, mapseg_wait(reader, version, NULL, 0));
    ck_assert_int_eq(readable(fd), 0);
    need_call(MAPSEG_OK, seg, mapseg_write_end(seg));
    wait_until_readable(fd);
    need_call(MAPSEG_OK, reader, mapseg_wait(reader, version, &version, 0));
    ck_assert_uint_eq(version, 4);
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/** Who is told of edges alone is told of each version. */
START_TEST(each_version_is_an_edge)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int edges = epoll_create1(EPOLL_CLOEXEC);

    begin();
    mapseg *seg = created_memory(0);
    mapseg *reader = another(seg, MAPSEG_READ_ONLY);
    ck_assert_int_eq(epoll_ctl(edges, EPOLL_CTL_ADD, notify_fd(reader), &event), 0);
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

/* ------------------------------------- a copy and a writer without a pause -- */

/** Where a copy goes: two halves, of which one is closed at any time. So each copy meets a closed
 *  one, which is when the writer comes between. */
static struct {
    char *halves[2];
    size_t bytes; /**< of a half */
    struct mapseg_header *header;
    int openings;
} trap;

/** The writer changes the data, unless another holds the lock. */
static void
write_between(int number, siginfo_t *information, void *context)
{
    bool second = (char *)information->si_addr >= trap.halves[1];

    (void)number;
    (void)context;
    trap.openings++;
    if (mprotect(trap.halves[second], trap.bytes, PROT_READ | PROT_WRITE) != 0 ||
        mprotect(trap.halves[!second], trap.bytes, PROT_NONE) != 0)
        _exit(90);
    if (__atomic_load_n(&trap.header->lock, __ATOMIC_SEQ_CST) == 0)
        __atomic_fetch_add(&trap.header->sequence, 2, __ATOMIC_SEQ_CST);
}

static void
set_trap(mapseg *seg)
{
    struct sigaction action = {.sa_sigaction = write_between, .sa_flags = SA_SIGINFO};
    char *both;

    trap.bytes = DATA_BYTES / 2;
    trap.header = (struct mapseg_header *)(void *)((char *)mapseg_data(seg) - MAPSEG_HEADER_BYTES);
    both = mmap(NULL, DATA_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(both, MAP_FAILED);
    trap.halves[0] = both;
    trap.halves[1] = both + trap.bytes;
    ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
}

static int64_t fake_time;

/** Every look at the clock is 10 ms later. */
static int64_t
read_fast_clock(void)
{
    return fake_time += 10000000;
}

/** A large range that never stays the same is not copied again and again past the limit: there is
 *  a look at the clock after each copy, but for the first ones. */
START_TEST(reading_much_gives_up_in_time)
{
    begin();
    mapseg *seg = created_memory(0);
    mapseg *reader = another(seg, MAPSEG_READ_ONLY);
    set_trap(seg);
    msi_os.monotonic_ns = read_fast_clock;
    need_call(MAPSEG_TIMED_OUT, reader,
              mapseg_read_for(reader, 0, trap.halves[0], DATA_BYTES, NULL, 10000000));
    msi_os = healthy;
    ck_assert_int_gt(trap.openings, 0);
    ck_assert_int_lt(trap.openings, 20);
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/** Who can lock takes the lock when nothing else helps, and has its copy: in a sealed memory file,
 *  and in a file with a name within a section. */
START_TEST(reading_keeps_writers_away_at_last)
{
    mapseg *seg, *reader;
    uint64_t version;

    begin();
    seg = _i == 0 ? created_memory(0) : created(key, DATA_BYTES);
    reader = _i == 0 ? another(seg, MAPSEG_READ_WRITE) : attached(key, MAPSEG_READ_ONLY);
    memset(mapseg_data(seg), 'x', DATA_BYTES);
    need_call(MAPSEG_OK, reader, mapseg_guard_begin(reader));
    set_trap(seg);
    need_call(MAPSEG_OK, reader,
              mapseg_read_for(reader, 0, trap.halves[0], DATA_BYTES, &version, -1));
    ck_assert_int_gt(trap.openings, 2);
    ck_assert_uint_eq(version, trap.header->sequence);
    ck_assert_uint_eq(trap.header->lock, 0);
    need_call(MAPSEG_OK, reader, mapseg_guard_end(reader));
    ck_assert_int_eq(mprotect(trap.halves[0], DATA_BYTES, PROT_READ), 0);
    for (size_t i = 0; i < DATA_BYTES; i++)
        ck_assert(trap.halves[0][i] == 'x');
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/** A peer that wrote over the lock is told of once: after the unlock all is as ever. */
START_TEST(lost_lock_is_forgotten)
{
    begin();
    mapseg *seg = created_memory(0);
    uint32_t *word = (uint32_t *)(void *)((char *)mapseg_data(seg) - MAPSEG_HEADER_BYTES +
                                          offsetof(struct mapseg_header, lock));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    __atomic_store_n(word, 0, __ATOMIC_SEQ_CST);
    need_call(MAPSEG_LOCK_ERROR, seg, mapseg_write_begin(seg));
    need_call(MAPSEG_LOCK_ERROR, seg, mapseg_write(seg, 0, "x", 1));
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "x", 1));
    need_call(MAPSEG_OK, seg, mapseg_write_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_write_end(seg));
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("crossing");
    TCase *group = new_case(suite, "crossing");
    bool mounts = skip_unless(can_mount(), "a private mount namespace");

    tcase_add_test(group, size_is_asked_after_the_seals);
    tcase_add_test(group, single_writer_is_sealed_before_it_is_filled);
    tcase_add_test(group, child_forked_while_sending_keeps_nothing);
    tcase_add_test(group, look_at_an_own_change_that_is_gone);
    tcase_add_test(group, write_in_a_section);
    tcase_add_test(group, no_section_no_mapping);
    tcase_add_test(group, data_alone_is_gone);
    if (mounts)
        tcase_add_test(group, write_without_memory);
    tcase_add_test(group, detach_under_a_file_size_limit);
    tcase_add_test(group, descriptor_is_quiet_within_a_change);
    tcase_add_test(group, each_version_is_an_edge);
    tcase_add_test(group, reading_much_gives_up_in_time);
    tcase_add_loop_test(group, reading_keeps_writers_away_at_last, 0, 2);
    tcase_add_test(group, lost_lock_is_forgotten);
    return run_suite(suite);
}
