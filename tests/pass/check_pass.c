/*
 * check_pass.c - segments that travel: as descriptors, over sockets, to children.
 *
 * Run with a word that begins with "--" it is such a child: see main.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include "mapseg-format.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#if !defined(SO_PASSPIDFD)
#define SO_PASSPIDFD 76
#endif

#define SIZE 10000
/** Descriptors that the kernel takes in one message. */
#define MOST 253

/** A set of results. */
#define ONE(result) (UINT64_C(1) << (result))
#define FOREIGN (ONE(MAPSEG_NOT_A_SEGMENT) | ONE(MAPSEG_CORRUPT))

extern char **environ;

static struct msi_os_operations real;

/* ------------------------------------------------------------- sockets -- */

enum kind { STREAM, PACKETS, DATAGRAMS, NAMED, KINDS };

static void
connect_by_name(int ends[2])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char directory[] = "/tmp/mapsegtestXXXXXX";
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", directory);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ends[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(ends[0], (struct sockaddr *)&address, sizeof address), 0);
    ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(ends[1], 0);
    close(listener);
    ck_assert_int_eq(unlink(address.sun_path), 0);
    ck_assert_int_eq(rmdir(directory), 0);
}

/** Two ends of a connection: the tests send on the first, receive on the second. */
static void
connect_ends(enum kind kind, int ends[2])
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

    if (kind == NAMED)
        connect_by_name(ends);
    else
        ck_assert_int_eq(socketpair(AF_UNIX, types[kind] | SOCK_CLOEXEC, 0, ends), 0);
}

static void
close_ends(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static bool
is_stream(enum kind kind)
{
    return kind == STREAM || kind == NAMED;
}

static void
set_non_blocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/** Sends bytes and descriptors by hand; how many bytes went. */
static ssize_t
send_by_hand(int socket_fd, const void *bytes, size_t length, const int *descriptors, size_t count)
{
    union {
        char bytes[CMSG_SPACE(MOST * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec part = {(void *)(uintptr_t)bytes, length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (count != 0) {
        struct cmsghdr *head = &control.align;

        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(head), descriptors, count * sizeof(int));
    }
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL);
}

/* ------------------------------------------------------------ segments -- */

static mapseg *
memory_segment(const char *text)
{
    mapseg *seg = handle_for("memfd:");

    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    strcpy(mapseg_data(seg), text);
    return seg;
}

static void
check_text(mapseg *seg, const char *text)
{
    ck_assert(mapseg_is_attached(seg));
    ck_assert_uint_eq(mapseg_size(seg), SIZE);
    ck_assert_str_eq(mapseg_const_data(seg), text);
}

/** The key that a handle has which took a descriptor over. */
static int
check_key(mapseg *seg, mapseg *source)
{
    mapseg_info *information = describe(source);
    char id[33], expected[KEY_BYTES];
    int fd = -1;

    ck_assert_int_eq(sscanf(mapseg_native_key(seg), "memfd:%d?", &fd), 1);
    for (int i = 0; i < 16; i++)
        snprintf(id + 2 * i, 3, "%02x", information->id[i]);
    mapseg_info_free(information);
    snprintf(expected, sizeof expected, "memfd:%d?id=%s", fd, id);
    ck_assert_str_eq(mapseg_native_key(seg), expected);
    ck_assert_ptr_null(mapseg_key(seg));
    return fd;
}

/** As many come to be attached: the kernel's table of locks can be wrong in passing. */
static void
check_attached(mapseg *seg, uint32_t expected)
{
    int64_t deadline = now_ns() + HANG;
    uint32_t found;

    do {
        mapseg_info *information = describe(seg);

        found = information->attached;
        mapseg_info_free(information);
        if (found == expected)
            return;
        nap(1 * MILLISECOND);
    } while (now_ns() < deadline);
    ck_abort_msg("%u are attached instead of %u", found, expected);
}

/** The locks of a description do not conflict with themselves. */
static bool
share_a_description(int first, int second)
{
    struct flock lock = {.l_type = F_RDLCK, .l_start = 1, .l_len = 1};
    struct flock test = {.l_type = F_WRLCK, .l_start = 1, .l_len = 1};

    ck_assert_int_eq(fcntl(first, F_OFD_SETLK, &lock), 0);
    /* To ask is allowed whatever the descriptor is open for. */
    ck_assert_int_eq(fcntl(second, F_OFD_GETLK, &test), 0);
    lock.l_type = F_UNLCK;
    ck_assert_int_eq(fcntl(first, F_OFD_SETLK, &lock), 0);
    return test.l_type == F_UNLCK;
}

static bool
is_close_on_exec(int fd)
{
    int flags = fcntl(fd, F_GETFD);

    ck_assert_int_ge(flags, 0);
    return (flags & FD_CLOEXEC) != 0;
}

static int
access_mode_of(int fd)
{
    return fcntl(fd, F_GETFL) & O_ACCMODE;
}

static void
check_reason(mapseg *seg, mapseg_result result)
{
    ck_assert_int_eq(mapseg_error(seg), result);
    ck_assert_msg(is_one_line(mapseg_error_string(seg)), "no reason given");
}

/* ----------------------------------------------------------- exporting -- */

START_TEST(exported_descriptors_are_each_their_own)
{
    mapseg_access access = _i == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE;
    mapseg *seg = memory_segment("mine");
    int before = count_descriptors();
    int first = exported_fd(seg, access), second = exported_fd(seg, access);

    ck_assert_int_ge(first, 0);
    ck_assert_int_ge(second, 0);
    ck_assert(is_close_on_exec(first) && is_close_on_exec(second));
    ck_assert_int_eq(access_mode_of(first), _i == 0 ? O_RDONLY : O_RDWR);
    ck_assert(!share_a_description(first, second));
    close(first);
    close(second);
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(seg);
}
END_TEST

START_TEST(export_refusals)
{
    mapseg *seg = memory_segment("mine"), *reader = mapseg_new();
    int before, fd = exported_fd(seg, MAPSEG_READ_ONLY);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(exported_fd(reader, MAPSEG_READ_ONLY), -1);
    check_reason(reader, MAPSEG_NOT_ATTACHED);
    need_call(MAPSEG_OK, reader, mapseg_attach_fd(reader, fd, MAPSEG_READ_ONLY));
    before = count_descriptors();
    ck_assert_int_eq(exported_fd(reader, MAPSEG_READ_WRITE), -1);
    check_reason(reader, MAPSEG_PERMISSION_DENIED);
    ck_assert_int_eq(exported_fd(seg, MAPSEG_ACCESS_RESERVED), -1);
    check_reason(seg, MAPSEG_INVALID_ARGUMENT);
    ck_assert_int_eq(count_descriptors(), before);
    fd = exported_fd(reader, MAPSEG_READ_ONLY);
    ck_assert_int_ge(fd, 0);
    close(fd);
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/* ----------------------------------------------- attaching a descriptor -- */

START_TEST(the_handle_takes_the_descriptor_over)
{
    mapseg_access access = _i == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE;
    mapseg *seg = memory_segment("over"), *taker = mapseg_new_with_key("another key");
    int before = count_descriptors();
    int fd = exported_fd(seg, access);

    ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
    need_call(MAPSEG_OK, taker, mapseg_attach_fd(taker, fd, access));
    check_text(taker, "over");
    ck_assert_int_eq(check_key(taker, seg), fd);
    ck_assert(is_close_on_exec(fd));
    ck_assert_int_eq(mapseg_data(taker) == NULL, _i == 0);
    check_attached(seg, 2);
    need_call(MAPSEG_OK, taker, mapseg_detach(taker));
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    ck_assert_int_eq(count_descriptors(), before);
    check_attached(seg, 1);
    mapseg_free(taker);
    mapseg_free(seg);
}
END_TEST

static int
no_description(int fd, int flags)
{
    (void)fd;
    (void)flags;
    return -EACCES;
}

static int
no_shared_lock(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    return kind == MSI_RANGE_SHARED ? -ENOLCK : real.lock_range_ofd(fd, kind, start, bytes);
}

static mapseg_presence_kind
presence_of(mapseg *seg)
{
    mapseg_info *information = describe(seg);
    mapseg_presence_kind presence = information->presence;

    mapseg_info_free(information);
    return presence;
}

/** A reader whose presence lies on the description that it was handed. */
static mapseg *
reader_on_its_description(mapseg *seg)
{
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);
    mapseg *reader = mapseg_new();

    real = msi_os;
    msi_os.reopen = no_description;
    need_call(MAPSEG_OK, reader, mapseg_attach_fd(reader, fd, MAPSEG_READ_ONLY));
    ck_assert_int_eq(presence_of(reader), MAPSEG_PRESENCE_RECEIVED);
    check_attached(seg, 2);
    return reader;
}

/** Neither the fork nor the child's end touches it. */
START_TEST(a_fork_beside_a_received_presence)
{
    mapseg *seg = memory_segment("stays"), *reader = reader_on_its_description(seg);
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    ck_assert_int_eq(end_of(child), 0);
    check_attached(seg, 2);
    msi_os = real;
    mapseg_free(reader);
    check_attached(seg, 1);
    mapseg_free(seg);
}
END_TEST

/** Who is refused a lock gives none back that another has on the same description. */
START_TEST(a_refusal_beside_a_received_presence)
{
    mapseg *seg = memory_segment("stays"), *reader = reader_on_its_description(seg);
    mapseg *refused = mapseg_new();
    int fd = -1;

    ck_assert_int_eq(sscanf(mapseg_native_key(reader), "memfd:%d?", &fd), 1);
    fd = dup(fd);
    msi_os.lock_range_ofd = no_shared_lock;
    need_call(MAPSEG_OK, refused, mapseg_attach_fd(refused, fd, MAPSEG_READ_ONLY));
    ck_assert_int_eq(presence_of(refused), MAPSEG_PRESENCE_REFUSED);
    check_attached(seg, 2);
    mapseg_free(refused);
    check_attached(seg, 2);
    msi_os = real;
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

START_TEST(any_segment_has_descriptors)
{
    char key[KEY_BYTES], path[KEY_BYTES];
    mapseg *seg, *taker = mapseg_new();
    int fd;

    unique_key(key);
    path_of(path, key);
    seg = created(key, SIZE);
    strcpy(mapseg_data(seg), "named");
    fd = exported_fd(seg, MAPSEG_READ_WRITE);
    ck_assert_int_ge(fd, 0);
    need_call(MAPSEG_OK, taker, mapseg_attach_fd(taker, fd, MAPSEG_READ_WRITE));
    check_text(taker, "named");
    ck_assert_int_eq(check_key(taker, seg), fd);
    need_call(MAPSEG_OK, taker, mapseg_lock(taker));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    /* It knows no name, and takes none away. */
    mapseg_free(taker);
    ck_assert(exists(path));
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

/** Makes one descriptor of something that cannot be attached to. */
struct stranger {
    const char *name;
    int (*make)(void);
    uint64_t results;
};

static int
make_pipe(void)
{
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    close(ends[1]);
    return ends[0];
}

static int
make_directory(void)
{
    return open("/tmp", O_RDONLY | O_DIRECTORY);
}

static int
make_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int
make_device(void)
{
    return open("/dev/zero", O_RDWR);
}

static int
make_event(void)
{
    return eventfd(0, 0);
}

static int
make_poller(void)
{
    return epoll_create1(0);
}

/** A file of this run's user, without a name, with such content. */
static int
file_with(const void *bytes, size_t length)
{
    char name[] = "/tmp/mapsegtestXXXXXX";
    int fd = mkstemp(name);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(name), 0);
    ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
    return fd;
}

static int
make_plain_file(void)
{
    static char text[2 * MAPSEG_HEADER_BYTES];

    memset(text, 'x', sizeof text);
    return file_with(text, sizeof text);
}

static int
make_empty_file(void)
{
    return file_with("", 0);
}

static int
make_empty_memory(void)
{
    int fd = memfd_create("empty", MFD_ALLOW_SEALING);

    ck_assert_int_eq(fchmod(fd, 0600), 0);
    return fd;
}

/** The copy of a segment's file, one byte of its header changed, cut or not. */
static int
damaged_file(bool cut)
{
    mapseg *seg = memory_segment("to be damaged");
    int copy, fd = exported_fd(seg, MAPSEG_READ_ONLY);
    static unsigned char bytes[MAPSEG_HEADER_BYTES + SIZE];

    ck_assert_int_eq(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
    close(fd);
    mapseg_free(seg);
    if (!cut)
        bytes[64] ^= 1;
    copy = file_with(bytes, cut ? MAPSEG_HEADER_BYTES + 1 : sizeof bytes);
    return copy;
}

static int
make_damaged_header(void)
{
    return damaged_file(false);
}

static int
make_cut_file(void)
{
    return damaged_file(true);
}

static int
open_segment_as(int flags)
{
    mapseg *seg = memory_segment("a good one");
    int again, fd = exported_fd(seg, MAPSEG_READ_WRITE);
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    again = open(path, flags);
    ck_assert_int_ge(again, 0);
    close(fd);
    mapseg_free(seg);
    return again;
}

static int
make_path_only(void)
{
    return open_segment_as(O_PATH);
}

static int
make_write_only(void)
{
    return open_segment_as(O_WRONLY);
}

static const struct stranger strangers[] = {
    {"a pipe", make_pipe, ONE(MAPSEG_NOT_A_SEGMENT)},
    {"a directory", make_directory, ONE(MAPSEG_NOT_A_SEGMENT)},
    {"a socket", make_socket, ONE(MAPSEG_NOT_A_SEGMENT)},
    {"a device", make_device, ONE(MAPSEG_NOT_A_SEGMENT)},
    {"an event", make_event, ONE(MAPSEG_NOT_A_SEGMENT)},
    {"a poller", make_poller, ONE(MAPSEG_NOT_A_SEGMENT)},
    {"a plain file", make_plain_file, ONE(MAPSEG_NOT_A_SEGMENT)},
    {"an empty file", make_empty_file, ONE(MAPSEG_NOT_A_SEGMENT) | ONE(MAPSEG_CORRUPT)},
    {"empty memory", make_empty_memory, ONE(MAPSEG_NOT_A_SEGMENT) | ONE(MAPSEG_CORRUPT)},
    {"a damaged header", make_damaged_header, ONE(MAPSEG_CORRUPT)},
    {"a file cut short", make_cut_file, ONE(MAPSEG_CORRUPT)},
    {"a mere path", make_path_only, ONE(MAPSEG_NOT_A_SEGMENT) | ONE(MAPSEG_PERMISSION_DENIED)},
    {"one that only writes", make_write_only, ONE(MAPSEG_PERMISSION_DENIED)},
};

#define STRANGERS (int)(sizeof strangers / sizeof *strangers)

static void
check_one_of(const char *what, uint64_t results, mapseg *seg, mapseg_result result)
{
    ck_assert_msg(result < 64 && (results >> result & 1) != 0, "%s: %s: %s", what,
                  mapseg_result_name(result), mapseg_error_string(seg));
    check_reason(seg, result);
}

START_TEST(strange_descriptors_stay_the_callers)
{
    const struct stranger *stranger = &strangers[_i];
    mapseg *seg = mapseg_new_with_key("its key");
    int fd = stranger->make();
    int before = count_descriptors();

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
    check_one_of(stranger->name, stranger->results, seg,
                 mapseg_attach_fd(seg, fd, MAPSEG_READ_ONLY));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_str_eq(mapseg_key(seg), "its key");
    ck_assert(!is_close_on_exec(fd));
    ck_assert_int_eq(count_descriptors(), before);
    close(fd);
    mapseg_free(seg);
}
END_TEST

START_TEST(attach_fd_refusals)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = memory_segment("refuses"), *taker = mapseg_new();
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);

    need_call(MAPSEG_NOT_FOUND, taker, mapseg_attach_fd(taker, -1, MAPSEG_READ_ONLY));
    need_call(MAPSEG_NOT_FOUND, taker, mapseg_attach_fd(taker, 19999, MAPSEG_READ_ONLY));
    need_call(MAPSEG_PERMISSION_DENIED, taker, mapseg_attach_fd(taker, fd, MAPSEG_READ_WRITE));
    need_call(MAPSEG_INVALID_ARGUMENT, taker, mapseg_attach_fd(taker, fd, MAPSEG_ACCESS_RESERVED));
    options.flags = MAPSEG_REQUIRE_TAG;
    options.user_tag = 5;
    need_call(MAPSEG_WRONG_TAG, taker,
              mapseg_attach_fd_with(taker, fd, MAPSEG_READ_ONLY, &options));
    options.size = 0;
    need_call(MAPSEG_INVALID_ARGUMENT, taker,
              mapseg_attach_fd_with(taker, fd, MAPSEG_READ_ONLY, &options));
    need_call(MAPSEG_ALREADY_ATTACHED, seg, mapseg_attach_fd(seg, fd, MAPSEG_READ_ONLY));
    check_text(seg, "refuses");
    ck_assert_ptr_null(mapseg_native_key(taker));
    need_call(MAPSEG_OK, taker, mapseg_attach_fd(taker, fd, MAPSEG_READ_ONLY));
    check_text(taker, "refuses");
    mapseg_free(taker);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------- there and back again -- */

/** A process that receives one segment, and then obeys. */
struct receiver {
    int ends[2];
    mapseg_access access;
    uint32_t flags;
    bool nobody;
};

static bool
obey(mapseg *seg, int word)
{
    char *data = mapseg_data(seg);

    switch (word) {
    case 'l':
        return mapseg_lock(seg) == MAPSEG_OK;
    case 'u':
        return mapseg_unlock(seg) == MAPSEG_OK;
    case 'w':
        return data != NULL && strcpy(data, "from the other side") != NULL;
    case 'r':
        return strcmp(mapseg_const_data(seg), "over there") == 0;
    case 'd':
        return mapseg_detach(seg) == MAPSEG_OK;
    default:
        return false;
    }
}

/** Says 64 + the result, then answers. */
static int
receive_and_obey(int channel, void *argument)
{
    const struct receiver *receiver = argument;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = mapseg_new();
    mapseg_result result;
    int word;

    close(receiver->ends[0]);
    if (receiver->nobody)
        become_nobody();
    options.flags = receiver->flags;
    result = mapseg_receive_with(seg, receiver->ends[1], receiver->access, &options);
    close(receiver->ends[1]);
    say(channel, (char)(64 + result));
    while ((word = hear(channel)) != -1 && word != 'q')
        say(channel, obey(seg, word) ? 'y' : 'n');
    mapseg_free(seg);
    return word == 'q' ? 0 : 1;
}

static void
hear_result(const struct peer *peer, mapseg_result expected)
{
    int word = hear(peer->channel);

    ck_assert_msg(word == 64 + (int)expected, "the other side: %s instead of %s",
                  mapseg_result_name((mapseg_result)(word - 64)), mapseg_result_name(expected));
}

static void
send_away(enum kind kind, const char *key, mapseg_access access, bool nobody)
{
    struct receiver receiver = {.access = access, .nobody = nobody};
    struct peer peer;
    mapseg *seg;
    int before;

    connect_ends(kind, receiver.ends);
    peer = start_peer(receive_and_obey, &receiver);
    seg = created(key, SIZE);
    strcpy(mapseg_data(seg), "over there");
    before = count_descriptors();
    need_call(MAPSEG_OK, seg, mapseg_send(seg, receiver.ends[0], access));
    ck_assert_int_eq(count_descriptors(), before);
    hear_result(&peer, MAPSEG_OK);
    tell(&peer, 'r');
    check_attached(seg, 2);
    if (access == MAPSEG_READ_WRITE) {
        tell(&peer, 'l');
        need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
        tell(&peer, 'w');
        tell(&peer, 'u');
        ck_assert_str_eq(mapseg_data(seg), "from the other side");
        need_call(MAPSEG_OK, seg, mapseg_lock(seg));
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    } else {
        say(peer.channel, 'w');
        ck_assert_int_eq(hear(peer.channel), 'n');
    }
    tell(&peer, 'd');
    check_attached(seg, 1);
    say(peer.channel, 'q');
    ck_assert_int_eq(end_peer(&peer), 0);
    close_ends(receiver.ends);
    mapseg_free(seg);
}

START_TEST(a_segment_travels)
{
    struct footprint before;

    take_footprint(&before, NULL);
    send_away((enum kind)(_i / 2), "memfd:", (mapseg_access)(_i % 2), false);
    check_footprint(&before, NULL);
}
END_TEST

START_TEST(a_named_segment_travels)
{
    char key[KEY_BYTES];

    unique_key(key);
    send_away(STREAM, key, (mapseg_access)_i, false);
}
END_TEST

START_TEST(root_sends_to_nobody)
{
    if (is_root())
        send_away((enum kind)(_i / 2), "memfd:", (mapseg_access)(_i % 2), true);
}
END_TEST

/** A process that creates and sends. */
static int
send_as_nobody(int channel, void *argument)
{
    const int *ends = argument;
    mapseg *seg;

    close(ends[1]);
    become_nobody();
    seg = memory_segment("over there");
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_WRITE));
    close(ends[0]);
    say(channel, 's');
    (void)hear(channel);
    mapseg_free(seg);
    return 0;
}

START_TEST(root_receives_from_nobody)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = mapseg_new();
    struct peer peer;
    int before, ends[2];

    if (!is_root()) {
        mapseg_free(seg);
        return;
    }
    connect_ends((enum kind)_i, ends);
    peer = start_peer(send_as_nobody, ends);
    ck_assert_int_eq(hear(peer.channel), 's');
    before = count_descriptors();
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_receive(seg, ends[1], MAPSEG_READ_WRITE));
    check_reason(seg, MAPSEG_UNTRUSTED);
    ck_assert_int_eq(count_descriptors(), before);
    ck_assert(!mapseg_is_attached(seg));
    options.flags = MAPSEG_ALLOW_OTHER_OWNER;
    need_call(MAPSEG_OK, seg, mapseg_receive_with(seg, ends[1], MAPSEG_READ_WRITE, &options));
    check_text(seg, "over there");
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    say(peer.channel, 'q');
    ck_assert_int_eq(end_peer(&peer), 0);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** The receiver is killed with the lock; the sender lives, and so does its connection. */
START_TEST(a_killed_receiver_is_gone_at_once)
{
    struct receiver receiver = {.access = MAPSEG_READ_WRITE, .nobody = _i % 2 == 1 && is_root()};
    mapseg *seg;
    struct peer peer;

    connect_ends((enum kind)(_i / 2), receiver.ends);
    peer = start_peer(receive_and_obey, &receiver);
    seg = memory_segment("over there");
    need_call(MAPSEG_OK, seg, mapseg_send(seg, receiver.ends[0], MAPSEG_READ_WRITE));
    hear_result(&peer, MAPSEG_OK);
    tell(&peer, 'l');
    check_attached(seg, 2);
    kill_peer(&peer);
    check_attached(seg, 1);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock_for(seg, HANG));
    need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    close_ends(receiver.ends);
    mapseg_free(seg);
}
END_TEST

/** Of the descriptor itself. */
START_TEST(the_received_descriptor)
{
    mapseg_access access = (mapseg_access)(_i % 2);
    mapseg *seg = memory_segment("sent"), *receiver = mapseg_new_with_key("of before");
    int fd, own, ends[2], before = count_descriptors();

    connect_ends((enum kind)(_i / 2), ends);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], access));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], access));
    check_text(receiver, "sent");
    fd = check_key(receiver, seg);
    ck_assert(is_close_on_exec(fd));
    ck_assert_int_eq(access_mode_of(fd), access == MAPSEG_READ_ONLY ? O_RDONLY : O_RDWR);
    own = exported_fd(seg, MAPSEG_READ_ONLY);
    ck_assert(!share_a_description(fd, own));
    close(own);
    mapseg_free(receiver);
    close_ends(ends);
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(seg);
}
END_TEST

static struct msi_os_operations healthy;
static int seen_close_on_exec;

static int64_t
receive_and_look(int socket_fd, void *to, size_t bytes, struct msi_received *parcel)
{
    int64_t got = healthy.socket_receive(socket_fd, to, bytes, parcel);

    if (got > 0 && parcel->fd >= 0)
        seen_close_on_exec = is_close_on_exec(parcel->fd) ? 1 : -1;
    return got;
}

/** Not only when it is attached: another thread may start a program meanwhile. */
START_TEST(close_on_exec_from_the_beginning)
{
    mapseg *seg = memory_segment("sent"), *receiver = mapseg_new();
    int ends[2];

    healthy = msi_os;
    msi_os.socket_receive = receive_and_look;
    connect_ends((enum kind)_i, ends);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
    ck_assert_int_eq(seen_close_on_exec, 1);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

START_TEST(several_on_one_connection)
{
    enum { COUNT = 6 };
    mapseg *sent[COUNT], *received[COUNT];
    int ends[2], before = count_descriptors();
    char text[32];

    connect_ends((enum kind)_i, ends);
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "number %d", i);
        sent[i] = memory_segment(text);
        need_call(MAPSEG_OK, sent[i], mapseg_send(sent[i], ends[0], (mapseg_access)(i % 2)));
    }
    for (int i = 0; i < COUNT; i++) {
        received[i] = mapseg_new();
        need_call(MAPSEG_OK, received[i],
                  mapseg_receive(received[i], ends[1], (mapseg_access)(i % 2)));
        snprintf(text, sizeof text, "number %d", i);
        check_text(received[i], text);
    }
    for (int i = 0; i < COUNT; i++) {
        mapseg_free(received[i]);
        mapseg_free(sent[i]);
    }
    close_ends(ends);
    ck_assert_int_eq(count_descriptors(), before);
}
END_TEST

/* --------------------------------------------------- refused by attach -- */

START_TEST(no_more_than_was_granted)
{
    mapseg *seg = memory_segment("granted"), *receiver = mapseg_new();
    int ends[2], before;

    connect_ends((enum kind)_i, ends);
    before = count_descriptors();
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    need_call(MAPSEG_PERMISSION_DENIED, receiver,
              mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
    check_reason(receiver, MAPSEG_PERMISSION_DENIED);
    ck_assert_int_eq(count_descriptors(), before);
    ck_assert(!mapseg_is_attached(receiver));
    /* Less is fine. */
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
    check_text(receiver, "granted");
    ck_assert_ptr_null(mapseg_data(receiver));
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** Where attaching is refused the connection stays good, whether or not the message is gone. */
START_TEST(after_a_refusal_the_next_can_come)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = memory_segment("next"), *receiver = memory_segment("busy");
    int ends[2], before;

    connect_ends((enum kind)_i, ends);
    before = count_descriptors();
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_WRITE));
    need_call(MAPSEG_ALREADY_ATTACHED, receiver,
              mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
    check_text(receiver, "busy");
    ck_assert_int_eq(count_descriptors(), before);
    need_call(MAPSEG_OK, receiver, mapseg_detach(receiver));
    before = count_descriptors();

    options.flags = MAPSEG_REQUIRE_TAG;
    options.user_tag = 5;
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_WRITE));
    need_call(MAPSEG_WRONG_TAG, receiver,
              mapseg_receive_with(receiver, ends[1], MAPSEG_READ_WRITE, &options));
    ck_assert_int_eq(count_descriptors(), before);
    options.size = 0;
    need_call(MAPSEG_INVALID_ARGUMENT, receiver,
              mapseg_receive_with(receiver, ends[1], MAPSEG_READ_WRITE, &options));
    ck_assert_int_eq(count_descriptors(), before);

    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
    check_text(receiver, "next");
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

START_TEST(nothing_is_sent_by_a_refusal)
{
    mapseg *seg = memory_segment("kept"), *reader = mapseg_new();
    int ends[2], fd = exported_fd(seg, MAPSEG_READ_ONLY);
    char byte;

    connect_ends((enum kind)_i, ends);
    need_call(MAPSEG_NOT_ATTACHED, reader, mapseg_send(reader, ends[0], MAPSEG_READ_ONLY));
    need_call(MAPSEG_OK, reader, mapseg_attach_fd(reader, fd, MAPSEG_READ_ONLY));
    need_call(MAPSEG_PERMISSION_DENIED, reader, mapseg_send(reader, ends[0], MAPSEG_READ_WRITE));
    check_reason(reader, MAPSEG_PERMISSION_DENIED);
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_send(seg, ends[0], MAPSEG_ACCESS_RESERVED));
    ck_assert_int_eq(recv(ends[1], &byte, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN);
    mapseg_free(reader);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/* ----------------------------------------------------- foreign messages -- */

/** What a peer may send. */
struct letter {
    union {
        struct mapseg_message message;
        unsigned char bytes[256];
    } content;
    size_t length;
    int descriptors[MOST];
    size_t count;
};

static void
sign(struct letter *letter)
{
    struct mapseg_message *message = &letter->content.message;

    message->checksum = mapseg_digest(message, MAPSEG_MESSAGE_CHECKSUM_COVERS);
}

/** The good message: each test spoils it in one way. */
static void
write_letter(struct letter *letter, mapseg *seg, mapseg_access access)
{
    mapseg_info *information = describe(seg);
    struct mapseg_message *message = &letter->content.message;

    memset(letter, 0, sizeof *letter);
    memcpy(message->magic, MAPSEG_MESSAGE_MAGIC, sizeof message->magic);
    message->version = MAPSEG_MESSAGE_VERSION;
    message->bytes = MAPSEG_MESSAGE_BYTES;
    message->access = (uint32_t)access;
    memcpy(message->id, information->id, sizeof message->id);
    message->data_size = information->data_size;
    mapseg_info_free(information);
    sign(letter);
    letter->length = MAPSEG_MESSAGE_BYTES;
    letter->descriptors[0] = exported_fd(seg, access);
    ck_assert_int_ge(letter->descriptors[0], 0);
    letter->count = 1;
}

static void
post(int socket_fd, const struct letter *letter)
{
    ck_assert_int_eq(send_by_hand(socket_fd, &letter->content, letter->length, letter->descriptors,
                                  letter->count),
                     (ssize_t)letter->length);
}

static void
burn(struct letter *letter)
{
    for (size_t i = 0; i < letter->count; i++)
        close(letter->descriptors[i]);
}

static void
spoil_nothing(struct letter *letter)
{
    (void)letter;
}

static void
spoil_length(struct letter *letter)
{
    letter->length = 20;
}

static void
spoil_last_byte(struct letter *letter)
{
    letter->length--;
}

static void
spoil_all_but_a_byte(struct letter *letter)
{
    letter->length = 1;
}

static void
spoil_end(struct letter *letter)
{
    letter->length++;
}

static void
spoil_end_much(struct letter *letter)
{
    letter->length = sizeof letter->content;
}

static void
spoil_all(struct letter *letter)
{
    letter->length = 0;
}

static void
spoil_magic(struct letter *letter)
{
    letter->content.message.magic[7] ^= 1;
    sign(letter);
}

static void
spoil_language(struct letter *letter)
{
    memset(&letter->content, 'G', sizeof letter->content);
    burn(letter);
    letter->count = 0;
}

static void
spoil_checksum(struct letter *letter)
{
    letter->content.message.checksum ^= UINT64_C(1) << 63;
}

static void
spoil_version(struct letter *letter)
{
    letter->content.message.version++;
    sign(letter);
}

static void
spoil_version_to_none(struct letter *letter)
{
    letter->content.message.version = 0;
    sign(letter);
}

static void
spoil_bytes(struct letter *letter)
{
    letter->content.message.bytes++;
    sign(letter);
}

static void
spoil_access(struct letter *letter)
{
    letter->content.message.access = 2;
    sign(letter);
}

static void
spoil_first_flag(struct letter *letter)
{
    letter->content.message.flags = 1;
    sign(letter);
}

static void
spoil_last_flag(struct letter *letter)
{
    letter->content.message.flags = UINT64_C(1) << 63;
    sign(letter);
}

static void
spoil_id(struct letter *letter)
{
    letter->content.message.id[15] ^= 1;
    sign(letter);
}

static void
spoil_size_up(struct letter *letter)
{
    letter->content.message.data_size++;
    sign(letter);
}

static void
spoil_size_down(struct letter *letter)
{
    letter->content.message.data_size = 0;
    sign(letter);
}

static void
spoil_size_to_much(struct letter *letter)
{
    letter->content.message.data_size = UINT64_MAX;
    sign(letter);
}

static void
spoil_descriptors(struct letter *letter)
{
    burn(letter);
    letter->count = 0;
}

static void
give_descriptors(struct letter *letter, size_t count)
{
    for (; letter->count < count; letter->count++)
        letter->descriptors[letter->count] = dup(letter->descriptors[0]);
}

static void
spoil_with_a_second(struct letter *letter)
{
    give_descriptors(letter, 2);
}

static void
spoil_with_many(struct letter *letter)
{
    give_descriptors(letter, MOST);
}

static void
spoil_descriptor(struct letter *letter)
{
    mapseg *other = memory_segment("another of the same size");

    close(letter->descriptors[0]);
    letter->descriptors[0] = exported_fd(other, MAPSEG_READ_WRITE);
    mapseg_free(other);
}

enum where { ANYWHERE, IN_STREAMS, IN_PACKETS };

static const struct spoiler {
    const char *name;
    void (*spoil)(struct letter *letter);
    uint64_t results;
    enum where where;
} spoilers[] = {
    {"good", spoil_nothing, ONE(MAPSEG_OK), ANYWHERE},
    {"short", spoil_length, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"shorter by a byte", spoil_last_byte, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"one byte", spoil_all_but_a_byte, FOREIGN, ANYWHERE},
    {"nothing", spoil_all, FOREIGN | ONE(MAPSEG_NOT_FOUND), IN_PACKETS},
    {"longer by a byte", spoil_end, FOREIGN, IN_PACKETS},
    {"long", spoil_end_much, FOREIGN, IN_PACKETS},
    {"wrong magic", spoil_magic, ONE(MAPSEG_NOT_A_SEGMENT), ANYWHERE},
    {"another language", spoil_language, ONE(MAPSEG_NOT_A_SEGMENT), ANYWHERE},
    {"wrong checksum", spoil_checksum, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"newer version", spoil_version, ONE(MAPSEG_TOO_NEW), ANYWHERE},
    {"version 0", spoil_version_to_none, FOREIGN | ONE(MAPSEG_TOO_NEW), ANYWHERE},
    {"other size of the message", spoil_bytes, FOREIGN | ONE(MAPSEG_TOO_NEW), ANYWHERE},
    {"unknown access", spoil_access, FOREIGN | ONE(MAPSEG_TOO_NEW) | ONE(MAPSEG_PERMISSION_DENIED),
     ANYWHERE},
    {"unknown flag 0", spoil_first_flag, ONE(MAPSEG_TOO_NEW), ANYWHERE},
    {"unknown flag 63", spoil_last_flag, ONE(MAPSEG_TOO_NEW), ANYWHERE},
    {"wrong id", spoil_id, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"size too big", spoil_size_up, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"size 0", spoil_size_down, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"size of everything", spoil_size_to_much, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"no descriptor", spoil_descriptors, FOREIGN, ANYWHERE},
    {"two descriptors", spoil_with_a_second, FOREIGN, ANYWHERE},
    {"many descriptors", spoil_with_many, FOREIGN, ANYWHERE},
    {"another segment", spoil_descriptor, ONE(MAPSEG_CORRUPT), ANYWHERE},
};

#define SPOILERS (int)(sizeof spoilers / sizeof *spoilers)

/** The handle works as if nothing had happened. */
static void
check_usable(enum kind kind, mapseg *receiver, mapseg *seg)
{
    int ends[2];

    connect_ends(kind, ends);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
    check_text(receiver, mapseg_const_data(seg));
    need_call(MAPSEG_OK, receiver, mapseg_lock(receiver));
    need_call(MAPSEG_OK, receiver, mapseg_unlock(receiver));
    close_ends(ends);
}

/** Receives what waits on the socket, which is refused so and leaves nothing behind. */
static void
refuse(const char *what, uint64_t results, mapseg *receiver, int socket_fd, mapseg_access access)
{
    int before = count_descriptors();
    mapseg_result result = mapseg_receive(receiver, socket_fd, access);

    ck_assert_int_eq(count_descriptors(), before);
    check_one_of(what, results, receiver, result);
    ck_assert(!mapseg_is_attached(receiver));
    ck_assert_str_eq(mapseg_key(receiver), "as it was");
}

static void
receive_spoiled(enum kind kind, const struct spoiler *spoiler)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct footprint before;
    struct letter letter;
    int ends[2];

    take_footprint(&before, NULL);
    connect_ends(kind, ends);
    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    spoiler->spoil(&letter);
    post(ends[0], &letter);
    burn(&letter);
    shutdown(ends[0], SHUT_WR);
    if (spoiler->spoil == spoil_nothing) {
        need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
        check_text(receiver, "good");
    } else {
        refuse(spoiler->name, spoiler->results, receiver, ends[1], MAPSEG_READ_WRITE);
        check_usable(kind, receiver, seg);
    }
    need_call(MAPSEG_OK, receiver, mapseg_detach(receiver));
    close_ends(ends);
    check_footprint(&before, NULL);
    mapseg_free(receiver);
    mapseg_free(seg);
}

START_TEST(spoiled_messages)
{
    enum kind kind = (enum kind)(_i / SPOILERS);
    const struct spoiler *spoiler = &spoilers[_i % SPOILERS];

    if (spoiler->where == ANYWHERE || (spoiler->where == IN_STREAMS) == is_stream(kind))
        receive_spoiled(kind, spoiler);
}
END_TEST

/** The message is right, but its descriptor is of something else. */
START_TEST(strange_descriptors_arrive)
{
    const struct stranger *stranger = &strangers[_i / KINDS];
    enum kind kind = (enum kind)(_i % KINDS);
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct letter letter;
    int ends[2];

    connect_ends(kind, ends);
    write_letter(&letter, seg, MAPSEG_READ_ONLY);
    close(letter.descriptors[0]);
    letter.descriptors[0] = stranger->make();
    post(ends[0], &letter);
    burn(&letter);
    refuse(stranger->name, stranger->results | ONE(MAPSEG_CORRUPT), receiver, ends[1],
           MAPSEG_READ_ONLY);
    check_usable(kind, receiver, seg);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** What the message grants and what the descriptor can do are two things; the lesser holds. */
START_TEST(forged_grants)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct letter letter;
    int ends[2];

    connect_ends((enum kind)_i, ends);
    write_letter(&letter, seg, MAPSEG_READ_ONLY);
    letter.content.message.access = MAPSEG_READ_WRITE;
    sign(&letter);
    post(ends[0], &letter);
    burn(&letter);
    refuse("a descriptor that only reads", ONE(MAPSEG_PERMISSION_DENIED) | ONE(MAPSEG_CORRUPT),
           receiver, ends[1], MAPSEG_READ_WRITE);

    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    letter.content.message.access = MAPSEG_READ_ONLY;
    sign(&letter);
    post(ends[0], &letter);
    burn(&letter);
    refuse("a message that grants less", ONE(MAPSEG_PERMISSION_DENIED), receiver, ends[1],
           MAPSEG_READ_WRITE);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/* ------------------------------------------------------ floods and cuts -- */

/** A thousand descriptors and more, on one connection. */
START_TEST(a_flood_of_descriptors)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct letter letter;
    int ends[2];

    connect_ends((enum kind)_i, ends);
    for (int i = 0; i < 5; i++) {
        write_letter(&letter, seg, MAPSEG_READ_WRITE);
        give_descriptors(&letter, 250);
        post(ends[0], &letter);
        burn(&letter);
    }
    for (int i = 0; i < 5; i++)
        refuse("flood", FOREIGN, receiver, ends[1], MAPSEG_READ_WRITE);
    check_usable((enum kind)_i, receiver, seg);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** Each byte brings its own. */
START_TEST(descriptors_on_each_byte)
{
    const size_t each = _i == 0 ? 1 : 20;
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct letter letter;
    int ends[2];

    connect_ends(STREAM, ends);
    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    give_descriptors(&letter, each);
    for (size_t i = 0; i < letter.length; i++)
        ck_assert_int_eq(
            send_by_hand(ends[0], letter.content.bytes + i, 1, letter.descriptors, each), 1);
    burn(&letter);
    refuse("descriptors on each byte", FOREIGN, receiver, ends[1], MAPSEG_READ_WRITE);
    check_usable(STREAM, receiver, seg);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** A descriptor with each half of the message. */
START_TEST(a_second_descriptor_later)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct letter letter;
    int ends[2];

    connect_ends(STREAM, ends);
    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    ck_assert_int_eq(send_by_hand(ends[0], letter.content.bytes, 32, letter.descriptors, 1), 32);
    ck_assert_int_eq(send_by_hand(ends[0], letter.content.bytes + 32, 32, letter.descriptors, 1),
                     32);
    burn(&letter);
    refuse("a second descriptor", FOREIGN, receiver, ends[1], MAPSEG_READ_WRITE);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** What follows a good message does not spoil it, and is not lost in it. */
START_TEST(a_good_message_before_a_bad_one)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    int ends[2], before = count_descriptors();
    struct letter letter;

    connect_ends(STREAM, ends);
    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    letter.length += 7;
    post(ends[0], &letter);
    give_descriptors(&letter, 250);
    post(ends[0], &letter);
    burn(&letter);
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
    check_text(receiver, "good");
    mapseg_free(receiver);
    receiver = mapseg_new_with_key("as it was");
    refuse("what followed", FOREIGN, receiver, ends[1], MAPSEG_READ_WRITE);
    close_ends(ends);
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(receiver);
    mapseg_free(seg);
}
END_TEST

/** A process that sends a letter in pieces. */
struct trickle {
    int ends[2];
    struct letter letter;
    size_t piece;    /* bytes at a time */
    size_t end;      /* where it falls silent */
    long pause;      /* milliseconds between pieces */
    bool with_first; /* the descriptor comes with the first piece, else with the last */
    bool interrupts; /* the receiver's calls are interrupted all the time */
};

static int
send_trickle(int channel, void *argument)
{
    const struct trickle *trickle = argument;
    size_t at = 0;

    (void)hear(channel);
    while (at < trickle->end) {
        size_t rest = trickle->end - at;
        size_t bytes = rest < trickle->piece ? rest : trickle->piece;
        bool brings = trickle->with_first ? at == 0 : at + bytes == trickle->letter.length;

        if (send_by_hand(trickle->ends[0], trickle->letter.content.bytes + at, bytes,
                         trickle->letter.descriptors, brings ? 1 : 0) != (ssize_t)bytes)
            return 1;
        at += bytes;
        nap((trickle->pause) * MILLISECOND);
    }
    (void)hear(channel);
    return 0;
}

static void
ignore_alarm(int number)
{
    (void)number;
}

static void
interrupt_all_the_time(bool begin)
{
    const struct sigaction action = {.sa_handler = ignore_alarm};
    struct itimerval timer = {{0, begin ? 2000 : 0}, {0, begin ? 2000 : 0}};

    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

/** Receives what trickles in, with that timeout. The sender stays. */
static void
receive_trickle(struct trickle *trickle, int64_t timeout, uint64_t results)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = memory_segment("drop by drop"), *receiver = mapseg_new();
    int before = count_descriptors();
    mapseg_result result;
    struct peer peer;

    connect_ends(STREAM, trickle->ends);
    write_letter(&trickle->letter, seg, MAPSEG_READ_WRITE);
    peer = start_peer(send_trickle, trickle);
    close(trickle->ends[0]);
    burn(&trickle->letter);
    say(peer.channel, 'g');
    options.timeout_ns = timeout;
    if (trickle->interrupts)
        interrupt_all_the_time(true);
    result = mapseg_receive_with(receiver, trickle->ends[1], MAPSEG_READ_WRITE, &options);
    if (trickle->interrupts)
        interrupt_all_the_time(false);
    ck_assert_msg((results >> result & 1) != 0, "%s: %s", mapseg_result_name(result),
                  mapseg_error_string(receiver));
    ck_assert_int_eq(mapseg_is_attached(receiver), result == MAPSEG_OK);
    if (result == MAPSEG_OK)
        check_text(receiver, "drop by drop");
    mapseg_free(receiver);
    kill_peer(&peer);
    close(trickle->ends[1]);
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(seg);
}

START_TEST(byte_by_byte)
{
    struct trickle trickle = {.piece = 1, .end = MAPSEG_MESSAGE_BYTES, .with_first = true};

    receive_trickle(&trickle, HANG, ONE(MAPSEG_OK));
    trickle.interrupts = true;
    trickle.pause = 5;
    receive_trickle(&trickle, HANG, ONE(MAPSEG_OK));
    trickle.piece = 20;
    receive_trickle(&trickle, -1, ONE(MAPSEG_OK));
}
END_TEST

/** Not what mapseg sends, so it may be refused. */
START_TEST(the_descriptor_comes_last)
{
    struct trickle trickle = {.piece = 32, .end = MAPSEG_MESSAGE_BYTES, .with_first = false};

    receive_trickle(&trickle, HANG, FOREIGN | ONE(MAPSEG_OK));
}
END_TEST

static const size_t cuts[] = {1, 8, 16, 63};

START_TEST(silence_in_the_middle)
{
    struct trickle trickle = {.piece = 64, .end = cuts[_i], .with_first = true};
    int64_t begin = now_ns();

    receive_trickle(&trickle, 50 * MILLISECOND, ONE(MAPSEG_TIMED_OUT));
    trickle.interrupts = true;
    receive_trickle(&trickle, 50 * MILLISECOND, ONE(MAPSEG_TIMED_OUT));
    ck_assert_int_ge(now_ns() - begin, 100 * MILLISECOND);
}
END_TEST

/** The default is a second. */
START_TEST(silence_for_a_second)
{
    struct trickle trickle = {.piece = 64, .end = 40, .with_first = true};
    int64_t begin = now_ns();

    receive_trickle(&trickle, MAPSEG_TIMEOUT_DEFAULT, ONE(MAPSEG_TIMED_OUT));
    ck_assert_int_ge(now_ns() - begin, 900 * MILLISECOND);
}
END_TEST

/** For ever is longer than a second. */
START_TEST(the_rest_comes_late)
{
    struct trickle trickle = {
        .piece = 40, .end = MAPSEG_MESSAGE_BYTES, .with_first = true, .pause = 1500};

    receive_trickle(&trickle, -1, ONE(MAPSEG_OK));
    trickle.pause = 1200;
    receive_trickle(&trickle, HANG, ONE(MAPSEG_OK));
}
END_TEST

static int64_t fake_time;
static const struct letter *slow_letter;
static size_t slow_bytes;
static int slow_end;

static int64_t
read_fake_clock(void)
{
    return fake_time;
}

/** 60 ms later there is a byte more, if so much time is given. */
static int
send_a_byte(int socket_fd, bool to_send, int64_t ns)
{
    const int64_t pause = 60 * MILLISECOND;

    (void)socket_fd;
    ck_assert(!to_send);
    fake_time += ns < pause ? ns : pause;
    if (ns < pause)
        return -ETIMEDOUT;
    ck_assert_int_eq(send_by_hand(slow_end, slow_letter->content.bytes + slow_bytes, 1, NULL, 0),
                     1);
    slow_bytes++;
    return 0;
}

/** The time is for all of the rest, not for each byte of it. */
START_TEST(a_sender_that_never_ends)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = memory_segment("slow"), *receiver = mapseg_new();
    struct letter letter;
    int ends[2];

    connect_ends(STREAM, ends);
    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    ck_assert_int_eq(send_by_hand(ends[0], letter.content.bytes, 1, letter.descriptors, 1), 1);
    burn(&letter);
    slow_letter = &letter;
    slow_end = ends[0];
    slow_bytes = 1;
    real = msi_os;
    msi_os.monotonic_ns = read_fake_clock;
    msi_os.socket_ready = send_a_byte;
    options.timeout_ns = 400 * MILLISECOND;
    need_call(MAPSEG_TIMED_OUT, receiver,
              mapseg_receive_with(receiver, ends[1], MAPSEG_READ_WRITE, &options));
    msi_os = real;
    ck_assert_int_eq(fake_time, 400 * MILLISECOND);
    ck_assert_uint_eq(slow_bytes, 1 + 6);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** Ends with 0 if a child that is made now has no descriptor but those that were open before the
 *  message came. */
static int descriptors_before;
static int end_of_the_child;

static void
fork_once(void)
{
    pid_t child = end_of_the_child < 0 ? fork() : -1;

    if (child == 0)
        _exit(count_descriptors() == descriptors_before ? 0 : 1);
    if (child > 0)
        end_of_the_child = end_of(child);
}

/** A handler of the program's, or another thread, could do so at any time. */
static int
fork_and_wait(int socket_fd, bool to_send, int64_t ns)
{
    fork_once();
    return real.socket_ready(socket_fd, to_send, ns);
}

static void
fork_and_nap(int64_t ns)
{
    fork_once();
    real.nap(ns);
}

/** What has arrived is not in a child that is made meanwhile: in the middle of the message, or
 *  while the attach waits for a process that removes the segment. */
START_TEST(a_child_made_meanwhile_does_not_keep_it)
{
    bool in_the_middle = _i == 0;
    mapseg *seg = memory_segment("meanwhile"), *receiver = mapseg_new();
    struct flock all = {.l_type = F_WRLCK, .l_start = (off_t)MAPSEG_PRESENCE_BASE};
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct letter letter;
    int ends[2], holder = exported_fd(seg, MAPSEG_READ_WRITE);

    connect_ends(STREAM, ends);
    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    if (!in_the_middle) {
        mapseg_free(seg);
        seg = NULL;
        ck_assert_int_eq(fcntl(holder, F_OFD_SETLK, &all), 0);
    }
    ck_assert_int_ge(send_by_hand(ends[0], letter.content.bytes, in_the_middle ? 1 : letter.length,
                                  letter.descriptors, 1),
                     1);
    burn(&letter);
    descriptors_before = count_descriptors();
    end_of_the_child = -1;
    real = msi_os;
    msi_os.socket_ready = fork_and_wait;
    msi_os.nap = fork_and_nap;
    options.timeout_ns = in_the_middle ? 50 * MILLISECOND : 0;
    need_call(MAPSEG_TIMED_OUT, receiver,
              mapseg_receive_with(receiver, ends[1], MAPSEG_READ_WRITE, &options));
    msi_os = real;
    ck_assert_int_eq(end_of_the_child, 0);
    ck_assert_int_eq(count_descriptors(), descriptors_before);
    mapseg_free(receiver);
    mapseg_free(seg);
    close(holder);
    close_ends(ends);
}
END_TEST

/* --------------------------------------------------- the other end gone -- */

START_TEST(the_other_end_is_closed)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    int ends[2];

    connect_ends((enum kind)_i, ends);
    close(ends[0]);
    /* A datagram socket cannot tell. */
    if (_i != DATAGRAMS)
        refuse("the end", ONE(MAPSEG_NOT_FOUND), receiver, ends[1], MAPSEG_READ_ONLY);
    /* SIGPIPE would end this process. A datagram socket loses its connection by the first. */
    for (int i = 0; i < (_i == DATAGRAMS ? 1 : 2); i++) {
        int before = count_descriptors();

        need_call(MAPSEG_NOT_FOUND, seg, mapseg_send(seg, ends[1], MAPSEG_READ_ONLY));
        check_reason(seg, MAPSEG_NOT_FOUND);
        ck_assert_int_eq(count_descriptors(), before);
    }
    close(ends[1]);
    check_usable((enum kind)_i, receiver, seg);
    mapseg_free(receiver);
    mapseg_free(seg);
}
END_TEST

/** What was sent before the end is good all the same. */
START_TEST(the_end_follows_a_segment)
{
    mapseg *seg = memory_segment("last"), *receiver = mapseg_new_with_key("as it was");
    int ends[2];

    connect_ends((enum kind)_i, ends);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    close(ends[0]);
    mapseg_free(seg);
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
    check_text(receiver, "last");
    check_attached(receiver, 1);
    close(ends[1]);
    mapseg_free(receiver);
}
END_TEST

/* -------------------------------------------------- sockets that do not -- */

START_TEST(a_socket_that_does_not_block)
{
    mapseg *seg = memory_segment("soon"), *receiver = mapseg_new_with_key("as it was");
    int ends[2];

    connect_ends((enum kind)_i, ends);
    set_non_blocking(ends[1]);
    for (int i = 0; i < 3; i++)
        refuse("nothing yet", ONE(MAPSEG_WOULD_BLOCK), receiver, ends[1], MAPSEG_READ_ONLY);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
    check_text(receiver, "soon");
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

START_TEST(a_socket_with_a_timeout)
{
    mapseg *seg = memory_segment("soon"), *receiver = mapseg_new_with_key("as it was");
    struct timeval timeout = {0, 50000};
    int ends[2];

    connect_ends((enum kind)_i, ends);
    ck_assert_int_eq(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    refuse("nothing yet", ONE(MAPSEG_WOULD_BLOCK), receiver, ends[1], MAPSEG_READ_ONLY);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** The beginning is there: then it waits for the rest, but not for ever. */
START_TEST(half_a_message_on_a_socket_that_does_not_block)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = memory_segment("half"), *receiver = mapseg_new_with_key("as it was");
    int ends[2], before = count_descriptors();
    struct letter letter;

    connect_ends(STREAM, ends);
    set_non_blocking(ends[1]);
    write_letter(&letter, seg, MAPSEG_READ_ONLY);
    letter.length = 30;
    post(ends[0], &letter);
    burn(&letter);
    options.timeout_ns = 50 * MILLISECOND;
    need_call(MAPSEG_TIMED_OUT, receiver,
              mapseg_receive_with(receiver, ends[1], MAPSEG_READ_ONLY, &options));
    close_ends(ends);
    ck_assert_int_eq(count_descriptors(), before);
    check_usable(STREAM, receiver, seg);
    mapseg_free(receiver);
    mapseg_free(seg);
}
END_TEST

/** Sends until the socket is full: each segment that was sent arrives, and no other. */
START_TEST(a_full_socket)
{
    mapseg *seg = memory_segment("many"), *receiver = mapseg_new_with_key("as it was");
    int room = 4096, sent = 0, ends[2], before;
    mapseg_result result;

    connect_ends((enum kind)_i, ends);
    ck_assert_int_eq(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    set_non_blocking(ends[0]);
    set_non_blocking(ends[1]);
    before = count_descriptors();
    while ((result = mapseg_send(seg, ends[0], MAPSEG_READ_ONLY)) == MAPSEG_OK && sent < 10000)
        sent++;
    ck_assert_int_eq(result, MAPSEG_WOULD_BLOCK);
    check_reason(seg, MAPSEG_WOULD_BLOCK);
    ck_assert_int_ge(sent, 2);
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    ck_assert_int_eq(count_descriptors(), before);
    for (int i = 0; i < sent; i++) {
        need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
        check_text(receiver, "many");
        need_call(MAPSEG_OK, receiver, mapseg_detach(receiver));
    }
    need_call(MAPSEG_WOULD_BLOCK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** A socket that brings more with a message than was sent. */
static void
receive_with_option(enum kind kind, int option)
{
    mapseg *seg = memory_segment("sent"), *receiver = mapseg_new_with_key("as it was");
    int on = 1, ends[2], before = count_descriptors();
    struct letter letter;

    connect_ends(kind, ends);
    ck_assert_int_eq(setsockopt(ends[1], SOL_SOCKET, option, &on, sizeof on), 0);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
    check_text(receiver, "sent");
    mapseg_free(receiver);

    receiver = mapseg_new_with_key("as it was");
    write_letter(&letter, seg, MAPSEG_READ_ONLY);
    give_descriptors(&letter, MOST);
    post(ends[0], &letter);
    burn(&letter);
    refuse("many descriptors", FOREIGN, receiver, ends[1], MAPSEG_READ_ONLY);
    close_ends(ends);
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(receiver);
    mapseg_free(seg);
}

START_TEST(a_socket_that_tells_credentials)
{
    receive_with_option((enum kind)_i, SO_PASSCRED);
}
END_TEST

/** That is a descriptor too, which nobody asked for. */
START_TEST(a_socket_that_gives_process_descriptors)
{
    receive_with_option((enum kind)_i, SO_PASSPIDFD);
}
END_TEST

static int
tcp_connection(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        return close(listener), -1;
    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(ends[0], (struct sockaddr *)&address, length) != 0)
        return close(ends[0]), close(listener), -1;
    ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
    return 0;
}

static void
check_no_socket(int fd)
{
    mapseg *seg = memory_segment("here"), *receiver = mapseg_new_with_key("as it was");
    int before = count_descriptors();

    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_send(seg, fd, MAPSEG_READ_ONLY));
    check_reason(seg, MAPSEG_INVALID_ARGUMENT);
    need_call(MAPSEG_INVALID_ARGUMENT, receiver, mapseg_receive(receiver, fd, MAPSEG_READ_ONLY));
    check_reason(receiver, MAPSEG_INVALID_ARGUMENT);
    ck_assert_str_eq(mapseg_key(receiver), "as it was");
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(receiver);
    mapseg_free(seg);
}

START_TEST(what_is_no_unix_socket)
{
    static int (*const makers[])(void) = {make_pipe, make_device, make_plain_file, make_directory};
    int ends[2];

    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        int fd = makers[i]();

        check_no_socket(fd);
        close(fd);
    }
    check_no_socket(-1);
    check_no_socket(19999);
    if (tcp_connection(ends) == 0) {
        check_no_socket(ends[0]);
        close_ends(ends);
    }
}
END_TEST

START_TEST(a_socket_that_is_not_connected)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    mapseg *seg = memory_segment("here"), *receiver = mapseg_new_with_key("as it was");
    int fd = socket(AF_UNIX, types[_i] | SOCK_CLOEXEC, 0);
    int before = count_descriptors();

    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_send(seg, fd, MAPSEG_READ_ONLY));
    check_reason(seg, MAPSEG_INVALID_ARGUMENT);
    ck_assert_int_eq(count_descriptors(), before);
    /* Datagrams can be received without a connection. */
    if (types[_i] != SOCK_DGRAM)
        refuse("not connected", ONE(MAPSEG_INVALID_ARGUMENT), receiver, fd, MAPSEG_READ_ONLY);
    close(fd);
    mapseg_free(receiver);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------- no descriptors left -- */

static rlim_t
limit_descriptors(rlim_t count)
{
    struct rlimit limit;
    rlim_t before;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    before = limit.rlim_cur;
    limit.rlim_cur = count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static int
lowest_free_descriptor(void)
{
    int fd = dup(0);

    ck_assert_int_ge(fd, 0);
    close(fd);
    return fd;
}

/** Receives with room for so many more descriptors. */
static mapseg_result
receive_with_room(enum kind kind, mapseg *seg, int room)
{
    mapseg *receiver = mapseg_new_with_key("as it was");
    int ends[2], before = count_descriptors();
    mapseg_result result;
    rlim_t limit;

    connect_ends(kind, ends);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_WRITE));
    limit = limit_descriptors((rlim_t)(lowest_free_descriptor() + room));
    result = mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE);
    (void)limit_descriptors(limit);
    ck_assert_int_eq(mapseg_is_attached(receiver), result == MAPSEG_OK);
    if (result != MAPSEG_OK) {
        check_reason(receiver, result);
        ck_assert_str_eq(mapseg_key(receiver), "as it was");
        check_usable(kind, receiver, seg);
    }
    mapseg_free(receiver);
    close_ends(ends);
    ck_assert_int_eq(count_descriptors(), before);
    return result;
}

START_TEST(no_descriptor_left)
{
    mapseg *seg = memory_segment("too many");
    mapseg_result result;
    int room = 0;

    while ((result = receive_with_room((enum kind)_i, seg, room)) != MAPSEG_OK && room < 20) {
        ck_assert_msg(result == MAPSEG_OUT_OF_RESOURCES, "room for %d: %s", room,
                      mapseg_result_name(result));
        room++;
    }
    ck_assert_int_eq(result, MAPSEG_OK);
    ck_assert_int_ge(room, 1);
    mapseg_free(seg);
}
END_TEST

START_TEST(no_descriptor_left_to_send)
{
    mapseg *seg = memory_segment("too many");
    int ends[2], before;
    rlim_t limit;
    char byte;

    connect_ends((enum kind)_i, ends);
    before = count_descriptors();
    limit = limit_descriptors((rlim_t)lowest_free_descriptor());
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    (void)limit_descriptors(limit);
    check_reason(seg, MAPSEG_OUT_OF_RESOURCES);
    ck_assert_int_eq(recv(ends[1], &byte, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** Room for some of many: the kernel installs what fits. */
START_TEST(a_flood_into_little_room)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct letter letter;
    int ends[2], before;
    mapseg_result result;
    rlim_t limit;

    connect_ends((enum kind)_i, ends);
    before = count_descriptors();
    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    give_descriptors(&letter, 250);
    post(ends[0], &letter);
    burn(&letter);
    limit = limit_descriptors((rlim_t)(lowest_free_descriptor() + 7));
    result = mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE);
    (void)limit_descriptors(limit);
    check_one_of("flood", FOREIGN | ONE(MAPSEG_OUT_OF_RESOURCES), receiver, result);
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/* ------------------------------------------------------------ children -- */

/* How a child ends. */
enum { SAW_TEXT = MAPSEG_OK, FOUND_KEY = 10, NO_KEY = 11, HAS_ROOT = 20, NOT_READ = 60 };

/** Attaches to what the environment says. */
static int
child_attaches(void)
{
    mapseg *seg = mapseg_new_from_environment();
    int status = (int)mapseg_attach(seg, MAPSEG_READ_ONLY);

    if (status == MAPSEG_OK && strcmp(mapseg_const_data(seg), "inherited") != 0)
        status = NOT_READ;
    mapseg_free(seg);
    return status;
}

/** Locks and waits for its end. */
static int
child_locks(void)
{
    mapseg *seg = mapseg_new_from_environment();

    if (mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK || mapseg_lock(seg) != MAPSEG_OK)
        return 1;
    say(1, 'y');
    for (;;)
        pause();
}

static int
child_looks_for_key(void)
{
    mapseg *seg = mapseg_new_from_environment();
    int status = mapseg_native_key(seg) != NULL ? FOUND_KEY
                 : mapseg_error(seg) == MAPSEG_NOT_FOUND && is_one_line(mapseg_error_string(seg))
                     ? NO_KEY
                     : NOT_READ;

    mapseg_free(seg);
    return status + (geteuid() == 0 && getuid() != 0 ? HAS_ROOT : 0);
}

/** Libcheck's assertions, which the helpers use, end a program that is no test. */
static int
child_counts(void)
{
    int count = 0;

    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

/** Starts this program anew. */
static pid_t
spawn(const char *word, posix_spawn_file_actions_t *actions, char *variable)
{
    char name[] = "check_pass", argument[32], program[PATH_MAX];
    char *arguments[] = {name, argument, NULL};
    char *environment[] = {variable, NULL};
    pid_t child;

    snprintf(argument, sizeof argument, "%s", word);
    own_program(program);
    ck_assert_int_eq(posix_spawn(&child, program, actions, NULL, arguments, environment), 0);
    return child;
}

/** Spawns with the segment; how the child ends. */
static int
spawn_with(mapseg *seg, mapseg_access access, const char *word)
{
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    posix_spawn_file_actions_t actions;
    int fd, status;

    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    fd = spawn_fd(seg, access, &actions, variable);
    ck_assert_msg(fd >= 0, "%s", mapseg_error_string(seg));
    status = end_of(spawn(word, &actions, variable));
    close(fd);
    posix_spawn_file_actions_destroy(&actions);
    return status;
}

START_TEST(a_child_inherits)
{
    mapseg *seg = memory_segment("inherited");
    int before = count_descriptors();

    ck_assert_int_eq(spawn_with(seg, (mapseg_access)_i, "--attach"), SAW_TEXT);
    ck_assert_int_eq(count_descriptors(), before);
    check_attached(seg, 1);
    mapseg_free(seg);
}
END_TEST

START_TEST(what_the_child_is_told)
{
    mapseg *seg = memory_segment("inherited"), *child;
    char variable[MAPSEG_ENVIRONMENT_BYTES], expected[KEY_BYTES];
    posix_spawn_file_actions_t actions;
    int fd;

    memset(variable, 'x', sizeof variable);
    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    fd = spawn_fd(seg, (mapseg_access)_i, &actions, variable);
    ck_assert_int_ge(fd, 0);
    ck_assert(is_close_on_exec(fd));
    ck_assert_int_eq(access_mode_of(fd), _i == 0 ? O_RDONLY : O_RDWR);
    ck_assert_ptr_nonnull(memchr(variable, '\0', sizeof variable));
    ck_assert_int_eq(strncmp(variable, "MAPSEG_KEY=", 11), 0);
    ck_assert_int_eq(setenv("MAPSEG_KEY", variable + 11, 1), 0);
    child = mapseg_new_from_environment();
    ck_assert_int_eq(mapseg_error(child), MAPSEG_OK);
    ck_assert(!mapseg_is_attached(child));
    snprintf(expected, sizeof expected, "memfd:%d?id=", fd);
    ck_assert_int_eq(strncmp(mapseg_native_key(child), expected, strlen(expected)), 0);
    ck_assert_str_eq(mapseg_native_key(child), variable + 11);
    ck_assert_uint_eq(strlen(variable), 11 + strlen(expected) + 32);
    need_call(MAPSEG_OK, child, mapseg_attach(child, (mapseg_access)_i));
    check_text(child, "inherited");
    mapseg_free(child);
    close(fd);
    posix_spawn_file_actions_destroy(&actions);
    mapseg_free(seg);
}
END_TEST

/** A child has what it was given, and nothing else of the library's. */
START_TEST(a_child_gets_no_other_descriptor)
{
    mapseg *seg = memory_segment("inherited"), *other = memory_segment("not inherited");
    mapseg *receiver = mapseg_new();
    char nothing[] = "X=", key[KEY_BYTES];
    int without, exported, ends[2];
    mapseg *named;

    without = end_of(spawn("--count", NULL, nothing));
    ck_assert_int_ge(without, 1);
    connect_ends(STREAM, ends);
    need_call(MAPSEG_OK, other, mapseg_send(other, ends[0], MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
    unique_key(key);
    named = created(key, SIZE);
    exported = exported_fd(other, MAPSEG_READ_ONLY);
    ck_assert_int_eq(end_of(spawn("--count", NULL, nothing)), without);
    ck_assert_int_eq(spawn_with(seg, MAPSEG_READ_WRITE, "--count"), without + 1);
    close(exported);
    close_ends(ends);
    mapseg_free(named);
    mapseg_free(receiver);
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/** The number may be free in the child, or one that its other actions give it. */
START_TEST(actions_that_were_there_before)
{
    mapseg *seg = memory_segment("inherited");
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    posix_spawn_file_actions_t actions;
    int fd;

    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    ck_assert_int_eq(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0), 0);
    fd = spawn_fd(seg, MAPSEG_READ_ONLY, &actions, variable);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0), 0);
    ck_assert_int_eq(end_of(spawn("--attach", &actions, variable)), SAW_TEXT);
    /* A second child of the same actions shares the description, but reads all the same. */
    ck_assert_int_eq(end_of(spawn("--attach", &actions, variable)), SAW_TEXT);
    close(fd);
    posix_spawn_file_actions_destroy(&actions);
    mapseg_free(seg);
}
END_TEST

START_TEST(spawn_refusals)
{
    mapseg *seg = memory_segment("inherited"), *reader = mapseg_new();
    char variable[MAPSEG_ENVIRONMENT_BYTES], nothing[] = "X=";
    int fd = exported_fd(seg, MAPSEG_READ_ONLY), before = count_descriptors();
    posix_spawn_file_actions_t actions;

    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    ck_assert_int_eq(spawn_fd(reader, MAPSEG_READ_ONLY, &actions, variable), -1);
    check_reason(reader, MAPSEG_NOT_ATTACHED);
    need_call(MAPSEG_OK, reader, mapseg_attach_fd(reader, fd, MAPSEG_READ_ONLY));
    ck_assert_int_eq(spawn_fd(reader, MAPSEG_READ_WRITE, &actions, variable), -1);
    check_reason(reader, MAPSEG_PERMISSION_DENIED);
    ck_assert_int_eq(count_descriptors(), before);
    /* The actions can still be used. */
    ck_assert_int_eq(end_of(spawn("--key", &actions, nothing)), NO_KEY);
    posix_spawn_file_actions_destroy(&actions);
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/** A plain fork and exec. */
static int
exec_with(void *argument)
{
    char program[PATH_MAX];
    char *variable = argument;
    int fd;

    if (sscanf(variable, "MAPSEG_KEY=memfd:%d", &fd) != 1 || fcntl(fd, F_SETFD, 0) != 0 ||
        putenv(variable) != 0)
        return 90;
    own_program(program);
    execl(program, "check_pass", "--attach", (char *)NULL);
    return 91;
}

START_TEST(plain_fork_and_exec)
{
    mapseg *seg = memory_segment("inherited");
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    char *last;
    int fd = spawn_fd(seg, (mapseg_access)_i, NULL, variable);

    ck_assert_int_ge(fd, 0);
    ck_assert(is_close_on_exec(fd));
    ck_assert_int_eq(in_child(exec_with, variable), SAW_TEXT);
    /* Another id: by then the number means another file. */
    last = variable + strlen(variable) - 1;
    *last = *last == '0' ? '1' : '0';
    ck_assert_int_eq(in_child(exec_with, variable), MAPSEG_NOT_FOUND);
    close(fd);
    mapseg_free(seg);
}
END_TEST

START_TEST(a_killed_child_is_gone_at_once)
{
    mapseg *seg = memory_segment("inherited");
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    posix_spawn_file_actions_t actions;
    int fd, channel[2];
    pid_t child;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    ck_assert_int_eq(posix_spawn_file_actions_adddup2(&actions, channel[1], 1), 0);
    fd = spawn_fd(seg, MAPSEG_READ_WRITE, &actions, variable);
    ck_assert_int_ge(fd, 0);
    child = spawn("--lock", &actions, variable);
    close(fd);
    close(channel[1]);
    ck_assert_int_eq(hear(channel[0]), 'y');
    check_attached(seg, 2);
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(end_of(child), 128 + SIGKILL);
    check_attached(seg, 1);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock_for(seg, HANG));
    close(channel[0]);
    posix_spawn_file_actions_destroy(&actions);
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------------- environment -- */

static void
check_no_key(const char *value, mapseg_result expected)
{
    mapseg *seg;

    if (value == NULL)
        ck_assert_int_eq(unsetenv("MAPSEG_KEY"), 0);
    else
        ck_assert_int_eq(setenv("MAPSEG_KEY", value, 1), 0);
    seg = mapseg_new_from_environment();
    ck_assert_ptr_nonnull(seg);
    ck_assert_msg(mapseg_error(seg) == expected, "'%s': %s", value == NULL ? "(unset)" : value,
                  mapseg_result_name(mapseg_error(seg)));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_ptr_null(mapseg_native_key(seg));
    ck_assert_ptr_null(mapseg_key(seg));
    /* It is a handle like any other. */
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "memfd:"));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    mapseg_free(seg);
}

START_TEST(an_environment_without_a_key)
{
    static const char *const malformed[] = {"memfd",         "memfd:x",           "memfd:-1",
                                            "memfd:3?id=12", "memfd:3?di=1",      ":",
                                            "nonsense:5",    "memfd:99999999999", "/dev/shm/x"};

    check_no_key(NULL, MAPSEG_NOT_FOUND);
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        check_no_key(malformed[i], MAPSEG_KEY_ERROR);
}
END_TEST

START_TEST(an_environment_with_another_key)
{
    char key[KEY_BYTES];
    mapseg *seg, *child;

    unique_key(key);
    seg = created(key, SIZE);
    strcpy(mapseg_data(seg), "inherited");
    ck_assert_int_eq(setenv("MAPSEG_KEY", key, 1), 0);
    child = mapseg_new_from_environment();
    ck_assert_str_eq(mapseg_native_key(child), key);
    need_call(MAPSEG_OK, child, mapseg_attach(child, MAPSEG_READ_ONLY));
    check_text(child, "inherited");
    mapseg_free(child);
    mapseg_free(seg);
}
END_TEST

/** What number means nothing. */
START_TEST(an_environment_with_a_closed_descriptor)
{
    mapseg *child;

    ck_assert_int_eq(setenv("MAPSEG_KEY", "memfd:19999", 1), 0);
    child = mapseg_new_from_environment();
    ck_assert_int_eq(mapseg_error(child), MAPSEG_OK);
    need_call(MAPSEG_NOT_FOUND, child, mapseg_attach(child, MAPSEG_READ_ONLY));
    mapseg_free(child);
}
END_TEST

static int
exec_for_key(void *argument)
{
    if (setenv("MAPSEG_KEY", "memfd:0", 1) != 0)
        return 90;
    execl(argument, "check_pass", "--key", (char *)NULL);
    return 91;
}

/** Opened before mounts change: in a chroot its path would be another then. */
static int
open_program(void)
{
    char program[PATH_MAX];

    own_program(program);
    return open(program, O_RDONLY | O_CLOEXEC);
}

static void
copy_program(int from, const char *to)
{
    static char bytes[65536];
    ssize_t got;
    int copy;

    copy = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    ck_assert(from >= 0 && copy >= 0);
    while ((got = read(from, bytes, sizeof bytes)) > 0)
        ck_assert_int_eq(write(copy, bytes, (size_t)got), got);
    ck_assert_int_eq(got, 0);
    close(from);
    close(copy);
}

/** A set-id program must not believe its environment. */
START_TEST(a_set_id_program)
{
    char path[] = "/dev/shm/check_pass";
    int program = open_program();

    use_tiny_shm("size=64m");
    copy_program(program, path);
    ck_assert_int_eq(chmod(path, 0755), 0);
    ck_assert_int_eq(as_ordinary_user(exec_for_key, path), FOUND_KEY);
    ck_assert_int_eq(chmod(path, 04755), 0);
    ck_assert_int_eq(as_ordinary_user(exec_for_key, path), NO_KEY + HAS_ROOT);
    ck_assert_int_eq(in_child(exec_for_key, path), FOUND_KEY);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

static void
add_descriptors(Suite *suite)
{
    TCase *group = new_case(suite, "descriptors");

    tcase_add_loop_test(group, exported_descriptors_are_each_their_own, 0, 2);
    tcase_add_test(group, export_refusals);
    tcase_add_loop_test(group, the_handle_takes_the_descriptor_over, 0, 2);
    tcase_add_test(group, any_segment_has_descriptors);
    tcase_add_test(group, a_fork_beside_a_received_presence);
    tcase_add_test(group, a_refusal_beside_a_received_presence);
    tcase_add_loop_test(group, strange_descriptors_stay_the_callers, 0, STRANGERS);
    tcase_add_test(group, attach_fd_refusals);
}

static void
add_journeys(Suite *suite)
{
    TCase *group = new_case(suite, "journeys");

    tcase_add_loop_test(group, a_segment_travels, 0, 2 * KINDS);
    tcase_add_loop_test(group, a_named_segment_travels, 0, 2);
    tcase_add_loop_test(group, a_killed_receiver_is_gone_at_once, 0, 2 * KINDS);
    tcase_add_loop_test(group, the_received_descriptor, 0, 2 * KINDS);
    tcase_add_loop_test(group, close_on_exec_from_the_beginning, 0, KINDS);
    tcase_add_loop_test(group, several_on_one_connection, 0, KINDS);
    tcase_add_loop_test(group, no_more_than_was_granted, 0, KINDS);
    tcase_add_loop_test(group, after_a_refusal_the_next_can_come, 0, KINDS);
    tcase_add_loop_test(group, nothing_is_sent_by_a_refusal, 0, KINDS);
    if (skip_unless(is_root(), "another user takes root")) {
        tcase_add_loop_test(group, root_sends_to_nobody, 0, 2 * KINDS);
        tcase_add_loop_test(group, root_receives_from_nobody, 0, KINDS);
    }
}

static void
add_foreign_messages(Suite *suite)
{
    TCase *group = new_case(suite, "foreign messages");

    tcase_add_loop_test(group, spoiled_messages, 0, SPOILERS * KINDS);
    tcase_add_loop_test(group, strange_descriptors_arrive, 0, STRANGERS * KINDS);
    tcase_add_loop_test(group, forged_grants, 0, KINDS);
    tcase_add_loop_test(group, a_flood_of_descriptors, 0, KINDS);
    tcase_add_loop_test(group, descriptors_on_each_byte, 0, 2);
    tcase_add_test(group, a_second_descriptor_later);
    tcase_add_test(group, a_good_message_before_a_bad_one);
    tcase_add_test(group, byte_by_byte);
    tcase_add_test(group, the_descriptor_comes_last);
    tcase_add_loop_test(group, silence_in_the_middle, 0, sizeof cuts / sizeof *cuts);
    tcase_add_test(group, silence_for_a_second);
    tcase_add_test(group, the_rest_comes_late);
    tcase_add_test(group, a_sender_that_never_ends);
    tcase_add_loop_test(group, a_child_made_meanwhile_does_not_keep_it, 0, 2);
}

static bool
has_process_descriptors(void)
{
    int on = 1, fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bool has = setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on) == 0;

    close(fd);
    return has;
}

static void
add_sockets(Suite *suite)
{
    TCase *group = new_case(suite, "sockets");

    tcase_add_loop_test(group, the_other_end_is_closed, 0, KINDS);
    tcase_add_loop_test(group, the_end_follows_a_segment, 0, KINDS);
    tcase_add_loop_test(group, a_socket_that_does_not_block, 0, KINDS);
    tcase_add_loop_test(group, a_socket_with_a_timeout, 0, KINDS);
    tcase_add_test(group, half_a_message_on_a_socket_that_does_not_block);
    tcase_add_loop_test(group, a_full_socket, 0, KINDS);
    tcase_add_loop_test(group, a_socket_that_tells_credentials, 0, KINDS);
    if (skip_unless(has_process_descriptors(), "the kernel has no SO_PASSPIDFD"))
        tcase_add_loop_test(group, a_socket_that_gives_process_descriptors, 0, KINDS);
    tcase_add_test(group, what_is_no_unix_socket);
    tcase_add_loop_test(group, a_socket_that_is_not_connected, 0, 3);
    tcase_add_loop_test(group, no_descriptor_left, 0, KINDS);
    tcase_add_loop_test(group, no_descriptor_left_to_send, 0, KINDS);
    tcase_add_loop_test(group, a_flood_into_little_room, 0, KINDS);
}

static void
add_children(Suite *suite)
{
    TCase *group = new_case(suite, "children");

    tcase_add_loop_test(group, what_the_child_is_told, 0, 2);
    tcase_add_test(group, spawn_refusals);
    tcase_add_test(group, an_environment_without_a_key);
    tcase_add_test(group, an_environment_with_another_key);
    tcase_add_test(group, an_environment_with_a_closed_descriptor);
    /* There a program that is started again is valgrind's. */
    if (under_valgrind())
        return;
    tcase_add_loop_test(group, a_child_inherits, 0, 2);
    tcase_add_test(group, a_child_gets_no_other_descriptor);
    tcase_add_test(group, actions_that_were_there_before);
    tcase_add_loop_test(group, plain_fork_and_exec, 0, 2);
    tcase_add_test(group, a_killed_child_is_gone_at_once);
    if (skip_unless(is_root() && can_mount(), "a set-id program takes root and a mount namespace"))
        tcase_add_test(group, a_set_id_program);
}

int
main(int argc, char **argv)
{
    Suite *suite;

    if (argc == 2 && strcmp(argv[1], "--attach") == 0)
        return child_attaches();
    if (argc == 2 && strcmp(argv[1], "--lock") == 0)
        return child_locks();
    if (argc == 2 && strcmp(argv[1], "--key") == 0)
        return child_looks_for_key();
    if (argc == 2 && strcmp(argv[1], "--count") == 0)
        return child_counts();
    suite = new_suite("pass");
    add_descriptors(suite);
    add_journeys(suite);
    add_foreign_messages(suite);
    add_sockets(suite);
    add_children(suite);
    return run_suite(suite);
}
