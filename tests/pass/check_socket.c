/*
 * check_socket.c - the socket that mapseg_send and mapseg_receive are given: closed at the other
 * end, not blocking, full, with options, not a connected Unix socket; and a process without
 * descriptors left.
 *
 * SPDX-License-Identifier: MIT
 */
#include "letters.h"
#include "strangers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#if !defined(SO_PASSPIDFD)
#define SO_PASSPIDFD 76
#endif

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

/* --------------------------------------------- sockets that do not wait -- */

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

/* ---------------------------------------------- sockets that bring more -- */

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

/** That is a descriptor too, which the receiver did not ask for. */
START_TEST(a_socket_that_gives_process_descriptors)
{
    receive_with_option((enum kind)_i, SO_PASSPIDFD);
}
END_TEST

static bool
has_process_descriptors(void)
{
    int on = 1, fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bool has = setsockopt(fd, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on) == 0;

    close(fd);
    return has;
}

/* ------------------------------------- what is no connected Unix socket -- */

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

/* -------------------------------------------------- no descriptors left -- */

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

/* ---------------------------------------------------------------- suite -- */

int
main(void)
{
    Suite *suite = new_suite("socket");
    TCase *group = new_case(suite, "closed");

    tcase_add_loop_test(group, the_other_end_is_closed, 0, KINDS);
    tcase_add_loop_test(group, the_end_follows_a_segment, 0, KINDS);

    group = new_case(suite, "waiting");
    tcase_add_loop_test(group, a_socket_that_does_not_block, 0, KINDS);
    tcase_add_loop_test(group, a_socket_with_a_timeout, 0, KINDS);
    tcase_add_test(group, half_a_message_on_a_socket_that_does_not_block);
    tcase_add_loop_test(group, a_full_socket, 0, KINDS);

    group = new_case(suite, "options");
    tcase_add_loop_test(group, a_socket_that_tells_credentials, 0, KINDS);
    if (skip_unless(has_process_descriptors(), "the kernel has no SO_PASSPIDFD"))
        tcase_add_loop_test(group, a_socket_that_gives_process_descriptors, 0, KINDS);

    group = new_case(suite, "no connection");
    tcase_add_test(group, what_is_no_unix_socket);
    tcase_add_loop_test(group, a_socket_that_is_not_connected, 0, 3);

    group = new_case(suite, "no descriptors left");
    tcase_add_loop_test(group, no_descriptor_left, 0, KINDS);
    tcase_add_loop_test(group, no_descriptor_left_to_send, 0, KINDS);
    tcase_add_loop_test(group, a_flood_into_little_room, 0, KINDS);
    return run_suite(suite);
}
