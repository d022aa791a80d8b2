/*
 * check_send.c - mapseg_send and mapseg_receive: segments that travel to another process, and
 * handles that are refused on the way.
 *
 * SPDX-License-Identifier: MIT
 */
#include "letters.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct msi_os_operations real;

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

/* ------------------------------------------ the descriptor that arrives -- */

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

static int seen_close_on_exec;

static int64_t
receive_and_look(int socket_fd, void *to, size_t bytes, struct msi_received *parcel)
{
    int64_t got = real.socket_receive(socket_fd, to, bytes, parcel);

    if (got > 0 && parcel->fd >= 0)
        seen_close_on_exec = is_close_on_exec(parcel->fd) ? 1 : -1;
    return got;
}

/** Not only when it is attached: another thread may start a program meanwhile. */
START_TEST(close_on_exec_from_the_beginning)
{
    mapseg *seg = memory_segment("sent"), *receiver = mapseg_new();
    int ends[2];

    real = msi_os;
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

/* ------------------------------------------ refused by attach or export -- */

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

/* ---------------------------------- a fork while a segment is under way -- */

static int forked_copies = -1;

static int64_t
fork_and_send(int socket_fd, const void *from, size_t bytes, int fd, bool wait)
{
    pid_t child = fork();

    if (child == 0)
        _exit(fcntl(fd, F_GETFD) >= 0);
    forked_copies = end_of(child);
    return real.socket_send(socket_fd, from, bytes, fd, wait);
}

START_TEST(child_forked_while_sending_keeps_nothing)
{
    mapseg *seg = memory_segment("meanwhile");
    int ends[2];

    real = msi_os;
    connect_ends(PACKETS, ends);
    msi_os.socket_send = fork_and_send;
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    msi_os = real;
    ck_assert_int_eq(forked_copies, 0);
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

/* ---------------------------------------------------------------- suite -- */

int
main(void)
{
    Suite *suite = new_suite("send");
    TCase *group = new_case(suite, "journeys");

    tcase_add_loop_test(group, a_segment_travels, 0, 2 * KINDS);
    tcase_add_loop_test(group, a_named_segment_travels, 0, 2);
    if (skip_unless(is_root(), "another user takes root")) {
        tcase_add_loop_test(group, root_sends_to_nobody, 0, 2 * KINDS);
        tcase_add_loop_test(group, root_receives_from_nobody, 0, KINDS);
    }
    tcase_add_loop_test(group, a_killed_receiver_is_gone_at_once, 0, 2 * KINDS);
    tcase_add_loop_test(group, several_on_one_connection, 0, KINDS);

    group = new_case(suite, "descriptors");
    tcase_add_loop_test(group, the_received_descriptor, 0, 2 * KINDS);
    tcase_add_loop_test(group, close_on_exec_from_the_beginning, 0, KINDS);

    group = new_case(suite, "refusals");
    tcase_add_loop_test(group, no_more_than_was_granted, 0, KINDS);
    tcase_add_loop_test(group, after_a_refusal_the_next_can_come, 0, KINDS);
    tcase_add_loop_test(group, nothing_is_sent_by_a_refusal, 0, KINDS);

    group = new_case(suite, "forks");
    tcase_add_test(group, child_forked_while_sending_keeps_nothing);
    tcase_add_loop_test(group, a_child_made_meanwhile_does_not_keep_it, 0, 2);
    return run_suite(suite);
}
