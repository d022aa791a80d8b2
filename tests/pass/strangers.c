/*
 * strangers.c - see strangers.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "strangers.h"

#include "mapseg-format.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int
make_pipe(void)
{
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    close(ends[1]);
    return ends[0];
}

int
make_directory(void)
{
    return open("/tmp", O_RDONLY | O_DIRECTORY);
}

static int
make_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

int
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

int
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

const struct stranger strangers[STRANGERS] = {
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
