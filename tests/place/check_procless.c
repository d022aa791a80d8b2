/*
 * check_procless.c - machines on which /proc is not mounted: what is still to be had, and what the
 * loss is called.
 *
 * SPDX-License-Identifier: MIT
 */
#include "memory.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

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
    Suite *suite = new_suite("procless");

    /* It asks /proc, once: when the tests ask how patient to be, there is none. */
    (void)under_valgrind();
    if (skip_unless(can_unmount(), "to take /proc away takes root and a mount namespace"))
        add_without_proc(suite);
    return run_suite(suite);
}
