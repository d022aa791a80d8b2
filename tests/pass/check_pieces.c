/*
 * check_pieces.c - mapseg_receive, and messages that come in pieces, late, or not to their end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "letters.h"
#include "os/os.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

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

/* --------------------------------------------- a sender that never ends -- */

static struct msi_os_operations real;

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

/* ---------------------------------------------------------------- suite -- */

int
main(void)
{
    Suite *suite = new_suite("pieces");
    TCase *group = new_case(suite, "pieces");

    tcase_add_test(group, byte_by_byte);
    tcase_add_test(group, the_descriptor_comes_last);
    tcase_add_loop_test(group, silence_in_the_middle, 0, sizeof cuts / sizeof *cuts);
    tcase_add_test(group, silence_for_a_second);
    tcase_add_test(group, the_rest_comes_late);
    tcase_add_test(group, a_sender_that_never_ends);
    return run_suite(suite);
}
