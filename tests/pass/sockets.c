/*
 * sockets.c - see sockets.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sockets.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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

void
connect_ends(enum kind kind, int ends[2])
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

    if (kind == NAMED)
        connect_by_name(ends);
    else
        ck_assert_int_eq(socketpair(AF_UNIX, types[kind] | SOCK_CLOEXEC, 0, ends), 0);
}

void
close_ends(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

bool
is_stream(enum kind kind)
{
    return kind == STREAM || kind == NAMED;
}

void
set_non_blocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

ssize_t
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
