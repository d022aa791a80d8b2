/*
 * check_attack.c - every way to write a segment that a process received to read: tried from another
 * process, as another user and as the same one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "attacks.h"
#include "sealed.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/** A process that has received the segment, to read. */
struct attacker {
    int ends[2];
    bool nobody;
    bool may_lock;
    bool executable_is_sealed;
    const struct attack *only; /* this attack alone; NULL: all */
};

static int
attack_all(int fd, const struct attacker *attacker)
{
    int failed = 0;

    for (int i = 0; i < ATTACKS; i++) {
        if (attacks[i].owner_may && !attacker->nobody)
            continue;
        if (attacks[i].run(fd)) {
            printf("not refused: %s\n", attacks[i].name);
            failed++;
        }
    }
    if ((attacker->executable_is_sealed || attacker->nobody) && make_executable(fd)) {
        printf("not refused: make executable\n");
        failed++;
    }
    fflush(stdout);
    return failed;
}

/** Receives, attacks when told, then reads when told. */
static int
attack_when_told(int channel, void *argument)
{
    const struct attacker *attacker = argument;
    mapseg *seg = mapseg_new();
    uint64_t version = 1, now;
    char text[32];
    int fd;

    creator = getppid();
    close(attacker->ends[0]);
    if (attacker->nobody)
        become_nobody();
    if (mapseg_receive(seg, attacker->ends[1], MAPSEG_READ_ONLY) != MAPSEG_OK ||
        sscanf(mapseg_native_key(seg), "memfd:%d?", &fd) != 1)
        return 1;
    if (mapseg_read(seg, 0, text, sizeof text, &version) != MAPSEG_OK)
        return 2;
    say(channel, 'r');
    if (hear(channel) != 'g')
        return 3;
    if (attacker->only != NULL)
        say(channel, attacker->only->run(fd) ? 'y' : 'n');
    else
        say(channel, attack_all(fd, attacker) == 0 ? 'n' : 'y');
    if (hear(channel) != 'w' || mapseg_wait(seg, version, &now, -1) != MAPSEG_OK ||
        mapseg_read(seg, 0, text, sizeof text, &version) != MAPSEG_OK)
        return 4;
    if (!attacker->may_lock && mapseg_lock(seg) != MAPSEG_PERMISSION_DENIED)
        return 5;
    if (mapseg_data(seg) != NULL || mapseg_write_begin(seg) != MAPSEG_PERMISSION_DENIED)
        return 6;
    say(channel, strcmp(text, "the creator goes on") == 0 ? 'y' : 'n');
    (void)hear(channel);
    mapseg_free(seg);
    return 0;
}

/** Creates, sends to read, and lets it be attacked; `altered`: whether that is to succeed. */
static void
be_attacked(struct attacker *attacker, uint32_t flags, bool altered)
{
    static unsigned char before[FILE_BYTES], after[FILE_BYTES];
    struct peer peer;
    struct stat status;
    mapseg *seg;
    int fd;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, attacker->ends), 0);
    attacker->executable_is_sealed = has_exec_seal();
    peer = start_peer(attack_when_told, attacker);
    close(attacker->ends[1]);
    seg = created_with("memfd:", flags, 0);
    memset(mapseg_data(seg), 0x5a, SIZE);
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, attacker->ends[0], MAPSEG_READ_ONLY));
    ck_assert_int_eq(hear(peer.channel), 'r');
    ck_assert_int_eq(pread(fd, before, sizeof before, 0), sizeof before);
    say(peer.channel, 'g');
    ck_assert_int_eq(hear(peer.channel), altered ? 'y' : 'n');
    ck_assert_int_eq(pread(fd, after, sizeof after, 0), sizeof after);
    ck_assert_int_eq(memcmp(before, after, sizeof before) != 0, altered);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_ge(status.st_size, FILE_BYTES);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    close(fd);
    if (altered) {
        kill_peer(&peer);
    } else {
        say(peer.channel, 'w');
        need_call(MAPSEG_OK, seg, mapseg_write_begin(seg));
        strcpy(mapseg_data(seg), "the creator goes on");
        need_call(MAPSEG_OK, seg, mapseg_write_end(seg));
        ck_assert_int_eq(hear(peer.channel), 'y');
        say(peer.channel, 'q');
        ck_assert_int_eq(end_peer(&peer), 0);
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    }
    mapseg_free(seg);
    close(attacker->ends[0]);
}

START_TEST(nobody_attacks_a_shared_segment)
{
    struct attacker attacker = {.nobody = true};

    be_attacked(&attacker, 0, false);
}
END_TEST

START_TEST(nobody_attacks_a_single_writer)
{
    struct attacker attacker = {.nobody = true};

    be_attacked(&attacker, MAPSEG_SINGLE_WRITER, false);
}
END_TEST

START_TEST(the_same_user_attacks_a_single_writer)
{
    struct attacker attacker = {.nobody = false};

    be_attacked(&attacker, MAPSEG_SINGLE_WRITER, false);
}
END_TEST

/** Against the same user a shared segment does not hold, as its description says. */
START_TEST(the_same_user_attacks_a_shared_segment)
{
    static const char *const successes[] = {"reopen and map", "reopen and write",
                                            "reopen and punch",
                                            "through the creator's descriptors"};
    static const char *const failures[] = {"map to write",
                                           "make a mapping writable",
                                           "pwrite",
                                           "cut",
                                           "reopen and cut",
                                           "reopen to cut",
                                           "reopen and grow",
                                           "reopen and seal",
                                           "remove through a mapping"};
    struct attacker attacker = {.may_lock = true};

    for (size_t i = 0; i < sizeof successes / sizeof *successes; i++) {
        attacker.only = attack_named(successes[i]);
        be_attacked(&attacker, 0, true);
    }
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        attacker.only = attack_named(failures[i]);
        be_attacked(&attacker, 0, false);
    }
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

int
main(void)
{
    Suite *suite = new_suite("attack");
    TCase *group = new_case(suite, "attacks");
    bool single_writers = skip_unless(has_future_write(), "the kernel has no F_SEAL_FUTURE_WRITE");

    tcase_add_test(group, the_same_user_attacks_a_shared_segment);
    if (single_writers)
        tcase_add_test(group, the_same_user_attacks_a_single_writer);
    if (skip_unless(is_root(), "another user takes root")) {
        tcase_add_test(group, nobody_attacks_a_shared_segment);
        if (single_writers)
            tcase_add_test(group, nobody_attacks_a_single_writer);
    }
    return run_suite(suite);
}
