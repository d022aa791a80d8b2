/*
 * check_sandbox.c - where the system gives less: a reader whose system calls are refused, and
 * machines on which /proc is not mounted.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sandbox.h"
#include "support.h"

#include "mapseg-format.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE 10000

static mapseg *
memory_segment(uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for("memfd:");

    options.flags = flags;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    return seg;
}

static void
publish(mapseg *seg, const char *text)
{
    need_call(MAPSEG_OK, seg, mapseg_write_begin(seg));
    strcpy(mapseg_data(seg), text);
    need_call(MAPSEG_OK, seg, mapseg_write_end(seg));
}

/* ------------------------------------------------------- sandboxed readers -- */

static const struct sandbox_rule rules[] = {
    /* What the sandbox is to refuse. */
    {SYS_fcntl, EPERM, 0, 0, 0},
    {SYS_openat, EPERM, 0, 0, 0},
#if defined(SYS_fcntl64)
    {SYS_fcntl64, EPERM, 0, 0, 0},
#endif
#if defined(SYS_open)
    {SYS_open, EPERM, 0, 0, 0},
#endif
#if defined(SYS_openat2)
    {SYS_openat2, EPERM, 0, 0, 0},
#endif
    {SYS_rt_sigprocmask, EPERM, 0, 0, 0},
    /* What a reader needs. */
    {SYS_fstat, ALLOW, 0, 0, 0},
#if defined(SYS_newfstatat)
    {SYS_newfstatat, ALLOW, 0, 0, 0},
#endif
#if defined(SYS_mmap)
    {SYS_mmap, ALLOW, 0, 0, 0},
#endif
    {SYS_munmap, ALLOW, 0, 0, 0},
    {SYS_madvise, ALLOW, 0, 0, 0},
    {SYS_futex, ALLOW, 0, 0, 0},
    {SYS_read, ALLOW, 0, 0, 0},
    {SYS_pread64, ALLOW, 0, 0, 0},
    {SYS_close, ALLOW, 0, 0, 0},
    {SYS_clock_gettime, ALLOW, 0, 0, 0},
    /* What the C library and the test itself need. */
    {SYS_brk, ALLOW, 0, 0, 0},
    {SYS_exit_group, ALLOW, 0, 0, 0},
    {SYS_rt_sigreturn, ALLOW, 0, 0, 0},
    {SYS_getrandom, ALLOW, 0, 0, 0},
    {SYS_mremap, ALLOW, 0, 0, 0},
    {SYS_sendto, ALLOW, 0, 0, 0},
    {SYS_write, ALLOW, 0, 0, 0},
    {SYS_clock_nanosleep, ALLOW, 0, 0, 0},
#if defined(SYS_nanosleep)
    {SYS_nanosleep, ALLOW, 0, 0, 0},
#endif
#if defined(SYS_poll)
    {SYS_poll, ALLOW, 0, 0, 0},
#endif
#if defined(SYS_ppoll)
    {SYS_ppoll, ALLOW, 0, 0, 0},
#endif
    /* Not the library's, but of whoever asks who somebody is. */
    {SYS_geteuid, ALLOW, 0, 0, 0},
    {SYS_getpid, ALLOW, 0, 0, 0},
    {SYS_gettid, ALLOW, 0, 0, 0},
};

/** How strict the sandbox is to what is on neither list. */
static const int strictness[] = {ALLOW, EPERM, ENOSYS};

struct reader {
    int ends[2];
    int otherwise;
    bool by_key;
};

/** Receives a descriptor as any program can. */
static int
receive_descriptor(int socket_fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    int fd = -1;

    if (recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message) != NULL)
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static void
send_descriptor(int socket_fd, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    char byte = 'd';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    ck_assert_int_eq(sendmsg(socket_fd, &message, MSG_NOSIGNAL), 1);
}

static bool
attach_in_sandbox(mapseg *seg, int fd, bool by_key)
{
    char key[KEY_BYTES];
    mapseg_result result;

    snprintf(key, sizeof key, "memfd:%d", fd);
    if (by_key)
        result = mapseg_set_native_key(seg, key) == MAPSEG_OK ? mapseg_attach(seg, MAPSEG_READ_ONLY)
                                                              : MAPSEG_KEY_ERROR;
    else
        result = mapseg_attach_fd(seg, fd, MAPSEG_READ_ONLY);
    if (result != MAPSEG_OK) {
        printf("in the sandbox: %s: %s\n", mapseg_result_name(result), mapseg_error_string(seg));
        fflush(stdout);
    }
    return result == MAPSEG_OK;
}

static bool
reads(mapseg *seg, const char *expected, uint64_t *version)
{
    char text[32];

    return mapseg_read(seg, 0, text, sizeof text, version) == MAPSEG_OK &&
           strcmp(text, expected) == 0;
}

static bool
reads_in_place(mapseg *seg, const char *expected)
{
    const void *data = mapseg_const_data(seg);
    uint64_t version;
    char text[32];

    do {
        if (mapseg_read_begin(seg, &version) != MAPSEG_OK || data == NULL)
            return false;
        memcpy(text, data, sizeof text);
    } while (mapseg_read_retry(seg, version));
    text[sizeof text - 1] = '\0';
    return strcmp(text, expected) == 0;
}

/** What it says of itself. */
static int
check_description(mapseg *seg)
{
    mapseg_info *information;

    if (mapseg_info_new(seg, &information) != MAPSEG_OK)
        return 20;
    if (information->presence != MAPSEG_PRESENCE_REFUSED)
        return 21;
    if (!is_one_line(information->limitations))
        return 22;
    if (information->data_size != SIZE)
        return 23;
    mapseg_info_free(information);
    return 0;
}

/** A reader's whole life in the sandbox: each step has a status of its own. */
static int
read_in_sandbox(int channel, void *argument)
{
    const struct reader *reader = argument;
    uint64_t version = 1, now = 1;
    mapseg *seg;
    int status;
    int fd = receive_descriptor(reader->ends[1]);

    if (fd < 0)
        return 1;
    enter_sandbox(rules, sizeof rules / sizeof *rules, reader->otherwise);
    errno = 0;
    if (fcntl(fd, F_GETFD) != -1 || errno != EPERM || open("/", O_RDONLY) != -1 || errno != EPERM)
        return 2;
    seg = mapseg_new();
    if (!attach_in_sandbox(seg, fd, reader->by_key))
        return 3;
    if (mapseg_size(seg) != SIZE || !reads(seg, "the first", &version) || version % 2 != 0)
        return 4;
    if (mapseg_wait(seg, version, &now, 50 * MILLISECOND) != MAPSEG_TIMED_OUT || now != version)
        return 5;
    say(channel, 'w');
    if (mapseg_wait(seg, version, &now, HANG) != MAPSEG_OK || now <= version)
        return 6;
    if (!reads(seg, "the second", &version) || version != now || !reads_in_place(seg, "the second"))
        return 7;
    say(channel, 'w');
    if (mapseg_wait(seg, version, NULL, -1) != MAPSEG_OK || !reads(seg, "the third", NULL))
        return 8;
    if (mapseg_lock(seg) != MAPSEG_PERMISSION_DENIED ||
        mapseg_write(seg, 0, "x", 1) != MAPSEG_PERMISSION_DENIED)
        return 9;
    status = reader->otherwise == ALLOW ? check_description(seg) : 0;
    if (status != 0)
        return status;
    if (mapseg_detach(seg) != MAPSEG_OK)
        return 10;
    mapseg_free(seg);
    return 0;
}

/** The process sleeps, as /proc says, or the test gives up. */
static void
wait_until_asleep(pid_t pid)
{
    int64_t deadline = now_ns() + HANG;
    char path[64], state = '?';

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    while (now_ns() < deadline && state != 'S') {
        FILE *file = fopen(path, "re");

        ck_assert_ptr_nonnull(file);
        if (fscanf(file, "%*d %*[^)]) %c", &state) != 1)
            state = '?';
        fclose(file);
        nap(5 * MILLISECOND);
    }
}

/* The writer is another process, and the reader sleeps when it is woken. */
static void
serve_sandbox(uint32_t flags, int otherwise, bool by_key)
{
    struct reader reader = {.otherwise = otherwise, .by_key = by_key};
    struct peer peer;
    mapseg *seg;
    int fd;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, reader.ends), 0);
    peer = start_peer(read_in_sandbox, &reader);
    seg = memory_segment(flags);
    publish(seg, "the first");
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    ck_assert_int_ge(fd, 0);
    send_descriptor(reader.ends[0], fd);
    close(fd);
    if (hear(peer.channel) == 'w') {
        wait_until_asleep(peer.pid);
        publish(seg, "the second");
    }
    if (hear(peer.channel) == 'w') {
        wait_until_asleep(peer.pid);
        publish(seg, "the third");
    }
    ck_assert_int_eq(end_peer(&peer), 0);
    close(reader.ends[0]);
    close(reader.ends[1]);
    mapseg_free(seg);
}

START_TEST(a_reader_in_a_sandbox)
{
    serve_sandbox(_i % 2 == 0 ? 0 : MAPSEG_SINGLE_WRITER, ALLOW, _i / 2 == 0);
}
END_TEST

START_TEST(a_reader_in_a_strict_sandbox)
{
    serve_sandbox(_i % 2 == 0 ? 0 : MAPSEG_SINGLE_WRITER, strictness[1 + _i / 4], _i / 2 % 2 == 0);
}
END_TEST

/* What it calls beyond the lists would be its end. */
START_TEST(a_reader_in_a_deadly_sandbox)
{
    serve_sandbox(_i % 2 == 0 ? 0 : MAPSEG_SINGLE_WRITER, KILL, _i / 2 == 0);
}
END_TEST

/** Whoever wants to write needs its presence. */
static int
write_in_sandbox(int channel, void *argument)
{
    const struct reader *reader = argument;
    int fd = receive_descriptor(reader->ends[1]);
    mapseg *seg;

    (void)channel;
    if (fd < 0)
        return 1;
    enter_sandbox(rules, sizeof rules / sizeof *rules, ALLOW);
    seg = mapseg_new();
    if (mapseg_attach_fd(seg, fd, MAPSEG_READ_WRITE) == MAPSEG_OK)
        return 2;
    if (mapseg_is_attached(seg) || !is_one_line(mapseg_error_string(seg)))
        return 3;
    mapseg_free(seg);
    return 0;
}

START_TEST(a_writer_in_a_sandbox)
{
    struct reader reader = {.otherwise = ALLOW};
    struct peer peer;
    mapseg *seg;
    int fd;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, reader.ends), 0);
    peer = start_peer(write_in_sandbox, &reader);
    seg = memory_segment(0);
    fd = exported_fd(seg, MAPSEG_READ_WRITE);
    send_descriptor(reader.ends[0], fd);
    ck_assert_int_eq(end_peer(&peer), 0);
    close(fd);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    mapseg_free(seg);
}
END_TEST

/** Seals that cannot be asked for protect nobody. */
static int
doubt_in_sandbox(int channel, void *argument)
{
    const struct reader *reader = argument;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    int fd = receive_descriptor(reader->ends[1]);
    mapseg *seg;

    (void)channel;
    if (fd < 0)
        return 1;
    enter_sandbox(rules, sizeof rules / sizeof *rules, ALLOW);
    seg = mapseg_new();
    options.flags = MAPSEG_UNTRUSTED_PEER;
    if (mapseg_attach_fd_with(seg, fd, MAPSEG_READ_ONLY, &options) != MAPSEG_UNTRUSTED)
        return 2;
    options.flags |= MAPSEG_GUARDED;
    if (mapseg_attach_fd_with(seg, fd, MAPSEG_READ_ONLY, &options) != MAPSEG_OK)
        return 3;
    if (!reads(seg, "the first", NULL))
        return 4;
    mapseg_free(seg);
    return 0;
}

START_TEST(an_untrusted_peer_of_a_sandbox)
{
    struct reader reader = {.otherwise = ALLOW};
    struct peer peer;
    mapseg *seg;
    int fd;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, reader.ends), 0);
    peer = start_peer(doubt_in_sandbox, &reader);
    seg = memory_segment(0);
    publish(seg, "the first");
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    send_descriptor(reader.ends[0], fd);
    close(fd);
    ck_assert_int_eq(end_peer(&peer), 0);
    mapseg_free(seg);
}
END_TEST

/** Services are often refused the calls that reach into processes, even into their own. */
static int
write_without_reach(void *argument)
{
    static const struct sandbox_rule reach[] = {{SYS_process_vm_writev, EPERM, 0, 0, 0},
                                                {SYS_process_vm_readv, EPERM, 0, 0, 0}};
    mapseg_result result;
    char text[8] = "";
    mapseg *seg;

    enter_sandbox(reach, sizeof reach / sizeof *reach, ALLOW);
    seg = handle_for(argument);
    if (mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK)
        return 1;
    if (mapseg_read(seg, 0, text, sizeof text, NULL) != MAPSEG_OK || strcmp(text, "before") != 0)
        return 2;
    result = mapseg_write(seg, 0, "after", 6);
    /* Whatever comes of it, nobody has died. */
    if (mapseg_read(seg, 0, text, sizeof text, NULL) != MAPSEG_OK)
        return 3;
    if (strcmp(text, result == MAPSEG_OK ? "after" : "before") != 0)
        return 4;
    if (mapseg_lock(seg) != MAPSEG_OK)
        return 5;
    mapseg_free(seg);
    return result == MAPSEG_OK ? 0 : 6;
}

START_TEST(a_writer_that_may_not_reach_into_processes)
{
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    leave_persistent(key, SIZE, 0);
    seg = attached(key, MAPSEG_READ_WRITE);
    publish(seg, "before");
    mapseg_free(seg);
    ck_assert_int_eq(in_child(write_without_reach, key), 0);
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------------- without /proc -- */

static void
take_proc_away(void)
{
    ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
    ck_assert_int_eq(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL), 0);
    /* It may have been mounted several times. */
    for (int i = 0; i < 8 && exists("/proc/self"); i++)
        ck_assert_int_eq(umount2("/proc", MNT_DETACH), 0);
    ck_assert(!exists("/proc/self"));
}

/** Leak detectors need it when the test ends. */
static void
give_proc_back(void)
{
    ck_assert_int_eq(mount("proc", "/proc", "proc", 0, NULL), 0);
}

/** Descriptors below 1000 that are open. */
static int
count_without_proc(void)
{
    int count = 0;

    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

START_TEST(names_without_proc)
{
    char key[KEY_BYTES], path[KEY_BYTES];
    struct peer peer;
    mapseg *seg;
    int before;

    take_proc_away();
    unique_key(key);
    path_of(path, key);
    before = count_without_proc();
    peer = start_peer(obedient_peer, key);
    ck_assert_int_eq(hear(peer.channel), 'x');
    ck_assert_int_eq(end_peer(&peer), 1);
    seg = created(key, SIZE);
    publish(seg, "named");
    peer = start_peer(obedient_peer, key);
    ck_assert_int_eq(hear(peer.channel), 'a');
    tell(&peer, 'l');
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    kill_peer(&peer);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock_for(seg, HANG));
    need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
    ck_assert(!exists(path));
    ck_assert_int_eq(count_without_proc(), before);
    give_proc_back();
}
END_TEST

/** A handle says what it lacks. */
static void
check_loss(mapseg *seg, const char *word)
{
    mapseg_info *information = describe(seg);

    ck_assert_msg(is_one_line(information->limitations) &&
                      strstr(information->limitations, word) != NULL,
                  "the loss: '%s'", information->limitations);
    mapseg_info_free(information);
}

START_TEST(the_loss_is_named)
{
    mapseg *seg;
    mapseg_info *information;

    seg = memory_segment(0);
    information = describe(seg);
    ck_assert_str_eq(information->limitations, "");
    mapseg_info_free(information);
    mapseg_free(seg);
    take_proc_away();
    seg = memory_segment(_i == 0 ? 0 : MAPSEG_SINGLE_WRITER);
    check_loss(seg, "/proc");
    mapseg_free(seg);
    give_proc_back();
}
END_TEST

START_TEST(a_descriptor_to_write_without_proc)
{
    mapseg *seg, *taker = mapseg_new();
    int before, fd;

    take_proc_away();
    before = count_without_proc();
    seg = memory_segment(0);
    publish(seg, "without");
    fd = exported_fd(seg, MAPSEG_READ_WRITE);
    ck_assert_msg(fd >= 0, "%s", mapseg_error_string(seg));
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    need_call(MAPSEG_OK, taker, mapseg_attach_fd(taker, fd, MAPSEG_READ_WRITE));
    ck_assert_str_eq(mapseg_data(taker), "without");
    need_call(MAPSEG_OK, taker, mapseg_lock(taker));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_OK, taker, mapseg_unlock(taker));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_WOULD_BLOCK, taker, mapseg_try_lock(taker));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(taker);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    mapseg_free(seg);
    ck_assert_int_eq(count_without_proc(), before);
    give_proc_back();
}
END_TEST

/** A process that receives one segment. */
struct receiver {
    int ends[2];
    mapseg_access access;
    bool nobody;
};

/** Receives; locks and writes if it may; else tries to write nevertheless. */
static int
receive_without_proc(int channel, void *argument)
{
    const struct receiver *receiver = argument;
    mapseg *seg = mapseg_new();
    char text[32];
    int fd;

    if (receiver->nobody)
        become_nobody();
    if (mapseg_receive(seg, receiver->ends[1], receiver->access) != MAPSEG_OK)
        return 100 + (int)mapseg_error(seg);
    if (mapseg_read(seg, 0, text, sizeof text, NULL) != MAPSEG_OK || strcmp(text, "without") != 0)
        return 2;
    if (sscanf(mapseg_native_key(seg), "memfd:%d?", &fd) != 1)
        return 3;
    if (receiver->access == MAPSEG_READ_WRITE) {
        if (mapseg_lock(seg) != MAPSEG_OK)
            return 4;
        say(channel, 'l');
        if (hear(channel) != 'u')
            return 5;
        strcpy(mapseg_data(seg), "written over there");
        if (mapseg_unlock(seg) != MAPSEG_OK)
            return 6;
    } else {
        if (mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED ||
            pwrite(fd, "!", 1, 5000) != -1 || mapseg_lock(seg) != MAPSEG_PERMISSION_DENIED)
            return 7;
        say(channel, 'l');
        (void)hear(channel);
    }
    mapseg_free(seg);
    say(channel, 'y');
    return 0;
}

static void
send_without_proc(struct receiver *receiver, uint32_t flags)
{
    struct peer peer;
    mapseg *seg;
    int before;

    take_proc_away();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, receiver->ends), 0);
    peer = start_peer(receive_without_proc, receiver);
    seg = memory_segment(flags);
    publish(seg, "without");
    before = count_without_proc();
    need_call(MAPSEG_OK, seg, mapseg_send(seg, receiver->ends[0], receiver->access));
    ck_assert_int_eq(count_without_proc(), before);
    ck_assert_int_eq(hear(peer.channel), 'l');
    if (receiver->access == MAPSEG_READ_WRITE)
        need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    say(peer.channel, 'u');
    ck_assert_int_eq(hear(peer.channel), 'y');
    ck_assert_int_eq(end_peer(&peer), 0);
    ck_assert_str_eq(mapseg_data(seg),
                     receiver->access == MAPSEG_READ_WRITE ? "written over there" : "without");
    need_call(MAPSEG_OK, seg, mapseg_lock_for(seg, HANG));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    close(receiver->ends[0]);
    close(receiver->ends[1]);
    mapseg_free(seg);
}

START_TEST(sent_to_write_without_proc)
{
    struct receiver receiver = {.access = MAPSEG_READ_WRITE, .nobody = _i == 1};

    send_without_proc(&receiver, 0);
    give_proc_back();
}
END_TEST

/** Seals see to it that it cannot be written. */
START_TEST(a_single_writer_sent_without_proc)
{
    struct receiver receiver = {.access = MAPSEG_READ_ONLY, .nobody = _i == 1};

    send_without_proc(&receiver, MAPSEG_SINGLE_WRITER);
    give_proc_back();
}
END_TEST

START_TEST(a_single_writer_exported_without_proc)
{
    mapseg *seg, *reader = mapseg_new();
    char text[32];
    int fd;

    take_proc_away();
    seg = memory_segment(MAPSEG_SINGLE_WRITER);
    publish(seg, "without");
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    ck_assert_msg(fd >= 0, "%s", mapseg_error_string(seg));
    ck_assert_ptr_eq(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    ck_assert_int_eq(pwrite(fd, "!", 1, 5000), -1);
    need_call(MAPSEG_OK, reader, mapseg_attach_fd(reader, fd, MAPSEG_READ_ONLY));
    need_call(MAPSEG_OK, reader, mapseg_read(reader, 0, text, sizeof text, NULL));
    ck_assert_str_eq(text, "without");
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    mapseg_free(reader);
    mapseg_free(seg);
    give_proc_back();
}
END_TEST

/** No other description can be had: this one would let its receiver write. */
START_TEST(a_shared_segment_to_read_without_proc)
{
    int ends[2], before, fd;
    char byte;
    mapseg *seg;

    take_proc_away();
    seg = memory_segment(0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    before = count_without_proc();
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    ck_assert_int_eq(fd, -1);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_SUPPORTED);
    ck_assert_ptr_nonnull(strstr(mapseg_error_string(seg), "/proc"));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_int_eq(recv(ends[1], &byte, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(count_without_proc(), before);
    close(ends[0]);
    close(ends[1]);
    mapseg_free(seg);
    give_proc_back();
}
END_TEST

/** A name can be opened anew. */
START_TEST(a_named_segment_to_read_without_proc)
{
    char key[KEY_BYTES];
    mapseg *seg;
    int fd;

    take_proc_away();
    unique_key(key);
    seg = created(key, SIZE);
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    if (fd >= 0) {
        ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        close(fd);
    } else {
        ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_SUPPORTED);
    }
    mapseg_free(seg);
    give_proc_back();
}
END_TEST

/** The memory is kept out of children where the presence would be theirs too. */
START_TEST(forks_without_proc)
{
    mapseg *seg;
    pid_t child;

    take_proc_away();
    seg = memory_segment(_i == 0 ? 0 : MAPSEG_SINGLE_WRITER);
    publish(seg, "without");
    child = fork();
    if (child == 0) {
        if (mapseg_is_attached(seg))
            _exit(mapseg_lock(seg) == MAPSEG_OK && mapseg_unlock(seg) == MAPSEG_OK ? 0 : 1);
        _exit(mapseg_result_owes_unlock(mapseg_lock(seg)) ? 2 : 0);
    }
    ck_assert_int_eq(end_of(child), 0);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    ck_assert_str_eq(mapseg_data(seg), "without");
    mapseg_free(seg);
    give_proc_back();
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

static void
add_sandboxes(Suite *suite)
{
    TCase *group = new_case(suite, "sandboxes");

    tcase_add_loop_test(group, a_reader_in_a_sandbox, 0, 4);
    tcase_add_test(group, a_writer_in_a_sandbox);
    tcase_add_test(group, an_untrusted_peer_of_a_sandbox);
    tcase_add_test(group, a_writer_that_may_not_reach_into_processes);
    /* They call what the program does not. */
    if (under_sanitizer())
        return;
    tcase_add_loop_test(group, a_reader_in_a_strict_sandbox, 0, 8);
    tcase_add_loop_test(group, a_reader_in_a_deadly_sandbox, 0, 4);
}

static void
add_without_proc(Suite *suite)
{
    TCase *group = new_case(suite, "without /proc");

    tcase_add_test(group, names_without_proc);
    tcase_add_loop_test(group, the_loss_is_named, 0, 2);
    tcase_add_test(group, a_descriptor_to_write_without_proc);
    tcase_add_loop_test(group, sent_to_write_without_proc, 0, 2);
    tcase_add_loop_test(group, a_single_writer_sent_without_proc, 0, 2);
    tcase_add_test(group, a_single_writer_exported_without_proc);
    tcase_add_test(group, a_shared_segment_to_read_without_proc);
    tcase_add_test(group, a_named_segment_to_read_without_proc);
    tcase_add_loop_test(group, forks_without_proc, 0, 2);
}

int
main(void)
{
    Suite *suite = new_suite("sandbox");

    if (skip_unless(has_sandbox() && !under_valgrind(), "seccomp filters are not to be had"))
        add_sandboxes(suite);
    if (skip_unless(can_unmount(), "to take /proc away takes root and a mount namespace"))
        add_without_proc(suite);
    return run_suite(suite);
}
