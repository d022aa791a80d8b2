/*
 * check_flood.c - peers that use up what there is: sockets flooded with descriptors, file systems
 * without room. What was reserved before remains; what fails leaves nothing behind.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hostile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ----------------------------------------------------------- the flood -- */

enum { BATCH = 250, BATCHES = 4 };

/** A message as it should be, with a thousand times the descriptors. */
static void
flood(int fd, int descriptor, const struct mapseg_message *message)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int) * BATCH)];
    } control;
    struct iovec bytes = {(void *)(uintptr_t)message, sizeof *message};
    struct msghdr whole = {
        .msg_iov = &bytes,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    int *descriptors;

    memset(&control, 0, sizeof control);
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int) * BATCH);
    descriptors = (int *)(void *)CMSG_DATA(&control.header);
    for (int i = 0; i < BATCH; i++)
        descriptors[i] = descriptor;
    for (int i = 0; i < BATCHES; i++)
        need(sendmsg(fd, &whole, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *message);
}

static void
make_message(struct mapseg_message *message, int descriptor)
{
    struct mapseg_header header;

    need(pread(descriptor, &header, sizeof header, 0) == (ssize_t)sizeof header);
    memset(message, 0, sizeof *message);
    memcpy(message->magic, MAPSEG_MESSAGE_MAGIC, sizeof message->magic);
    message->version = MAPSEG_MESSAGE_VERSION;
    message->bytes = MAPSEG_MESSAGE_BYTES;
    message->access = 1;
    memcpy(message->id, header.id, sizeof message->id);
    message->data_size = header.data_size;
    message->checksum = mapseg_digest(message, MAPSEG_MESSAGE_CHECKSUM_COVERS);
}

START_TEST(thousand_descriptors_are_sent)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    struct rlimit limit, all;
    struct mapseg_message message;
    mapseg *sender = created("memfd:", 1000);
    mapseg *receiver = mapseg_new();
    int descriptors, mappings;
    int ends[2];
    int fd = exported_fd(sender, MAPSEG_READ_WRITE);

    need(fd >= 0 && receiver != NULL);
    make_message(&message, fd);
    need(socketpair(AF_UNIX, types[_i / 2], 0, ends) == 0);
    flood(ends[0], fd, &message);
    descriptors = count_descriptors();
    mappings = count_shared_mappings();
    need(getrlimit(RLIMIT_NOFILE, &all) == 0);
    limit = all;
    if (_i % 2 == 1)
        limit.rlim_cur = (rlim_t)ends[1] + 4;
    watch_hangs();
    for (int i = 0; i < BATCHES; i++) {
        mapseg_result result;

        need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        result = in_time_result(2 * PATIENCE, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
        need(explained(receiver, result) != MAPSEG_OK);
        need(!mapseg_is_attached(receiver));
        need(setrlimit(RLIMIT_NOFILE, &all) == 0);
        need_number(descriptors, count_descriptors());
        need_number(mappings, count_shared_mappings());
    }
    (void)close(ends[0]);
    (void)close(ends[1]);

    need(socketpair(AF_UNIX, types[_i / 2], 0, ends) == 0);
    need_result(MAPSEG_OK,
                in_time_result(PATIENCE, mapseg_send(sender, ends[0], MAPSEG_READ_WRITE)));
    need_result(MAPSEG_OK,
                in_time_result(PATIENCE, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE)));
    need_number(1000, mapseg_size(receiver));
    mapseg_free(receiver);
    mapseg_free(sender);
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)close(fd);
}
END_TEST

/* -------------------------------------------------------- the full place -- */

static void
fill_with_names(void)
{
    for (int i = 0;; i++) {
        char path[64];
        int fd;

        (void)snprintf(path, sizeof path, SHM "/filler%d", i);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            break;
        (void)close(fd);
    }
    need(errno == ENOSPC);
}

static unsigned
count_all_names(void)
{
    DIR *directory = opendir(SHM);
    unsigned names = 0;

    need(directory != NULL);
    while (readdir(directory) != NULL)
        names++;
    (void)closedir(directory);
    return names;
}

/** All that was reserved is there. */
static void
use_reserved(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    unsigned char *copy = malloc(mapseg_size(seg));
    uint64_t version = 0;

    need(copy != NULL);
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    memset(mapseg_data(seg), 0x77, mapseg_size(seg));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need_result(MAPSEG_OK, mapseg_read(seg, 0, copy, mapseg_size(seg), &version));
    for (size_t i = 0; i < mapseg_size(seg); i++)
        need(copy[i] == 0x77);
    need_result(MAPSEG_OK, mapseg_wait(seg, version - 2, NULL, 0));
    free(copy);
    mapseg_free(seg);
}

START_TEST(place_is_filled)
{
    struct stage *stage = new_stage();
    struct place late;
    struct statvfs before, after;
    unsigned names;
    mapseg *seg;

    use_tiny_shm(_i == 0 ? "size=2m" : "size=2m,nr_inodes=50");
    leave_persistent(stage->place.key, 300000, 0);
    new_place(&late);
    if (_i == 0)
        fill_up();
    else
        fill_with_names();
    names = count_all_names();
    need(statvfs(SHM, &before) == 0);
    seg = handle_for(late.key);
    watch_hangs();
    for (size_t size = 1; size < (1 << 22); size *= 8)
        need_result(MAPSEG_OUT_OF_RESOURCES,
                    explained(seg, in_time_result(0, mapseg_create(seg, size, MAPSEG_READ_WRITE))));
    need_result(
        MAPSEG_OUT_OF_RESOURCES,
        in_time_result(PATIENCE, mapseg_create_or_attach(seg, 10, MAPSEG_READ_WRITE, NULL)));
    need(!exists(late.path));
    need(statvfs(SHM, &after) == 0);
    need_number(before.f_bfree, after.f_bfree);
    need_number(before.f_ffree, after.f_ffree);
    need_number(names, count_all_names());
    mapseg_free(seg);

    finish(start(use_reserved, stage));
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_info_and_list(seg);
    finish(start(use_reserved, stage));
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

static void
add_cases(Suite *suite)
{
    TCase *tcase = new_case(suite, "floods");

    tcase_add_loop_test(tcase, thousand_descriptors_are_sent, 0, 6);
    tcase_add_loop_test(tcase, place_is_filled, 0, 2);
}

int
main(void)
{
    return run_hostile("flood", add_cases);
}
