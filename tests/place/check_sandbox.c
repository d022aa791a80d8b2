/*
 * check_sandbox.c - processes whose system calls are refused: readers, and who wants to write.
 *
 * SPDX-License-Identifier: MIT
 */
#include "memory.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

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
    /* Not the library's, but of code that asks which process or user it is. */
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

/** A process that wants to write needs its presence. */
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

/** Seals that cannot be asked for protect no reader. */
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
    /* Whatever comes of it, no owner has died. */
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

int
main(void)
{
    Suite *suite = new_suite("sandbox");

    if (skip_unless(has_sandbox() && !under_valgrind(), "seccomp filters are not to be had"))
        add_sandboxes(suite);
    return run_suite(suite);
}
