/*
 * check_reclaim.c - what is removed or reclaimed is what was asked for; who only looks leaves the
 * name.
 *
 * What a segment is gets decided while no other process can come to use it, whatever takes the
 * name meanwhile; and no lock is taken on a file that is none.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include "mapseg-format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATA_BYTES 100
#define S "/dev/shm/"
#define OK MAPSEG_OK
#define MISSING MAPSEG_NOT_FOUND

static struct msi_os_operations healthy;

static void
put_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static const mapseg_options *
with(uint32_t flags)
{
    static mapseg_options options;

    options = (mapseg_options)MAPSEG_OPTIONS_INIT;
    options.flags = flags;
    return &options;
}

static const mapseg_options *
with_id(uint32_t flags, const uint8_t id[16])
{
    static mapseg_options options;

    options = *with(flags | (uint32_t)MAPSEG_REQUIRE_ID);
    memcpy(options.id, id, sizeof options.id);
    return &options;
}

static void
set_scene(void)
{
    use_tiny_shm("size=16m");
    healthy = msi_os;
}

/* ------------------------------------------------------------ reclaiming -- */

#define SEGMENT "shm:segment"
#define SEGMENT_PATH S "segment"

static void
take_id(const char *key, uint8_t id[16])
{
    mapseg *seg = handle_for(key);
    mapseg_info *information = describe(seg);

    memcpy(id, information->id, 16);
    mapseg_info_free(information);
    mapseg_free(seg);
}

START_TEST(reclaim_takes_debris_alone)
{
    mapseg *seg, *user;
    struct file_state state;

    set_scene();
    seg = handle_for(SEGMENT);
    leave_persistent(SEGMENT, DATA_BYTES, 0);
    take_file_state(&state, SEGMENT_PATH);
    need_call(MAPSEG_MEANT_TO_STAY, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));
    ck_assert(strstr(mapseg_error_string(seg), "persistent") != NULL);
    check_file_state(&state, SEGMENT_PATH);
    /* Also one that is used; and who uses it is not disturbed. */
    user = attached(SEGMENT, MAPSEG_READ_WRITE);
    need_call(MAPSEG_MEANT_TO_STAY, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));
    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim_with(seg, NULL));
    need_call(OK, user, mapseg_detach(user));
    need_call(OK, seg, mapseg_reclaim_with(seg, NULL));
    ck_assert(!exists(SEGMENT_PATH));
    need_call(MISSING, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));

    leave_debris(SEGMENT, DATA_BYTES, 1);
    need_call(OK, user, mapseg_attach_with(user, MAPSEG_READ_ONLY, with(MAPSEG_KEEP_NAME)));
    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));
    need_call(OK, user, mapseg_detach(user));
    need_call(OK, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));
    ck_assert(!exists(SEGMENT_PATH));
    /* To remove it takes it all the same. */
    leave_persistent(SEGMENT, DATA_BYTES, 0);
    need_call(OK, seg, mapseg_remove_with(seg, with(MAPSEG_STALE_ONLY)));
    ck_assert(!exists(SEGMENT_PATH));
    mapseg_free(user);
    mapseg_free(seg);
}
END_TEST

/** How a persistent segment comes to be where the debris was looked at. */
enum arrival { TAKES_THE_NAME, BECOMES_ONE, ARRIVALS };

static enum arrival arrival;

/** Just before the presence of the debris is held. */
static int
hold_after_arrival(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    msi_os.lock_range_ofd = healthy.lock_range_ofd;
    if (arrival == TAKES_THE_NAME) {
        ck_assert_int_eq(rename(S "persistent", SEGMENT_PATH), 0);
    } else {
        unsigned char header[MAPSEG_CONSTANT_BYTES];
        int from = open(S "persistent", O_RDONLY | O_CLOEXEC);
        int to = open(SEGMENT_PATH, O_WRONLY | O_CLOEXEC);

        ck_assert_int_eq(read(from, header, sizeof header), (ssize_t)sizeof header);
        ck_assert_int_eq(write(to, header, sizeof header), (ssize_t)sizeof header);
        close(from);
        close(to);
    }
    return healthy.lock_range_ofd(fd, kind, start, bytes);
}

START_TEST(persistent_one_arrives)
{
    uint8_t id[16], id_of_debris[16];
    struct footprint before;
    mapseg *seg;

    arrival = (enum arrival)(_i / 2);
    set_scene();
    leave_persistent("shm:persistent", DATA_BYTES, 0);
    take_id("shm:persistent", id);
    leave_debris(SEGMENT, DATA_BYTES, 1);
    take_id(SEGMENT, id_of_debris);
    seg = handle_for(SEGMENT);
    take_footprint(&before, NULL);
    msi_os.lock_range_ofd = hold_after_arrival;
    if (_i % 2 == 0)
        need_call(MAPSEG_MEANT_TO_STAY, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));
    else
        need_call(MISSING, seg, mapseg_reclaim_with(seg, with_id(0, id_of_debris)));
    msi_os.lock_range_ofd = healthy.lock_range_ofd;
    check_footprint(&before, NULL);
    ck_assert_int_eq(count_locks(SEGMENT_PATH), 0);
    take_id(SEGMENT, id_of_debris);
    ck_assert_mem_eq(id_of_debris, id, sizeof id);
    mapseg_free(seg);
}
END_TEST

START_TEST(id_is_demanded)
{
    uint8_t id[16], other[16];
    struct file_state state;
    mapseg *seg, *user;

    set_scene();
    seg = handle_for(SEGMENT);
    leave_debris(SEGMENT, DATA_BYTES, 1);
    take_id(SEGMENT, id);
    memcpy(other, id, sizeof other);
    other[15] ^= 1;
    take_file_state(&state, SEGMENT_PATH);
    need_call(MISSING, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, with_id(0, other)));
    ck_assert(strstr(mapseg_error_string(seg), "another segment") != NULL);
    need_call(MISSING, seg, mapseg_remove_with(seg, with_id(0, other)));
    ck_assert(strstr(mapseg_error_string(seg), "another segment") != NULL);
    need_call(MISSING, seg, mapseg_reclaim_with(seg, with_id(MAPSEG_STALE_ONLY, other)));
    check_file_state(&state, SEGMENT_PATH);
    ck_assert_int_eq(count_locks(SEGMENT_PATH), 0);
    need_call(OK, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, with_id(MAPSEG_KEEP_NAME, id)));
    user = handle_for(SEGMENT);
    need_call(MAPSEG_IN_USE, user, mapseg_reclaim_with(user, with_id(0, id)));
    need_call(OK, seg, mapseg_detach(seg));
    need_call(OK, seg, mapseg_reclaim_with(seg, with_id(MAPSEG_STALE_ONLY, id)));
    leave_persistent(SEGMENT, DATA_BYTES, 0);
    need_call(MISSING, seg, mapseg_remove_with(seg, with_id(0, id)));
    take_id(SEGMENT, id);
    need_call(OK, seg, mapseg_remove_with(seg, with_id(0, id)));
    ck_assert(!exists(SEGMENT_PATH));
    mapseg_free(user);
    mapseg_free(seg);
}
END_TEST

/** Damages the file from some byte on. */
static void
overwrite(const char *path, int64_t offset, const char *bytes)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, strlen(bytes), offset), (ssize_t)strlen(bytes));
    close(fd);
}

START_TEST(damaged_and_future_segments)
{
    uint8_t id[16];
    mapseg *seg;

    set_scene();
    seg = handle_for(SEGMENT);
    leave_debris(SEGMENT, DATA_BYTES, 1);
    take_id(SEGMENT, id);
    overwrite(SEGMENT_PATH, offsetof(struct mapseg_header, data_size), "xx");
    /* There is no telling whose id that was. */
    need_call(MISSING, seg, mapseg_remove_with(seg, with_id(0, id)));
    need_call(MISSING, seg, mapseg_reclaim_with(seg, with_id(0, id)));
    ck_assert(exists(SEGMENT_PATH));
    need_call(OK, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));
    ck_assert(!exists(SEGMENT_PATH));

    leave_debris(SEGMENT, DATA_BYTES, 1);
    overwrite(SEGMENT_PATH, offsetof(struct mapseg_header, format), "\x63");
    need_call(MAPSEG_TOO_NEW, seg, mapseg_reclaim_with(seg, NULL));
    need_call(MAPSEG_TOO_NEW, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));
    need_call(MAPSEG_TOO_NEW, seg, mapseg_reclaim_with(seg, with_id(0, id)));
    need_call(MISSING, seg, mapseg_remove_with(seg, with_id(0, id)));
    ck_assert(exists(SEGMENT_PATH));
    need_call(OK, seg, mapseg_remove_with(seg, NULL));
    ck_assert(!exists(SEGMENT_PATH));
    mapseg_free(seg);
}
END_TEST

/* A file under construction is debris once its maker is gone. */
START_TEST(file_under_construction)
{
    const char *key = "shm:.mapseg-0123456789abcdef", *path = S ".mapseg-0123456789abcdef";
    const uint8_t id[16] = {1};
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    mapseg *seg;
    int fd;

    set_scene();
    seg = handle_for(key);
    put_text(path, "");
    fd = open(path, O_RDWR | O_CLOEXEC);
    lock.l_start = MAPSEG_PRESENCE_BASE + MAPSEG_FIRST_SLOT;
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));
    need_call(MISSING, seg, mapseg_remove_with(seg, with_id(0, id)));
    ck_assert(exists(path));
    close(fd);
    need_call(OK, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

/** What was to be persistent is debris, too, where its creator died before it had its name; or
 *  it would stay for ever under one that no program knows. */
START_TEST(persistent_one_under_construction)
{
    const char *key = "shm:a.mapseg-0123456789abcdef", *path = S "a.mapseg-0123456789abcdef";
    mapseg_list *list;
    mapseg *seg;

    set_scene();
    seg = handle_for(key);
    leave_persistent(SEGMENT, DATA_BYTES, 0);
    ck_assert_int_eq(rename(SEGMENT_PATH, path), 0);
    need_result(OK, mapseg_list_new(&list));
    ck_assert_uint_eq(mapseg_list_count(list), 1);
    ck_assert_int_eq(mapseg_list_get(list, 0)->use, MAPSEG_USE_STALE);
    mapseg_list_free(list);
    need_call(OK, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

/** No lock is taken at all. */
static int
refuse_lock(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    (void)fd;
    (void)start;
    (void)bytes;
    ck_assert_msg(kind == MSI_RANGE_FREE, "a foreign file is locked");
    return 0;
}

START_TEST(foreign_file_is_not_locked)
{
    struct file_state state;
    mapseg *seg;

    set_scene();
    seg = handle_for(SEGMENT);
    put_text(SEGMENT_PATH, _i == 0 ? "" : "another program's text, which is no segment");
    take_file_state(&state, SEGMENT_PATH);
    msi_os.lock_range_ofd = refuse_lock;
    msi_os.lock_range_process = refuse_lock;
    need_call(MAPSEG_NOT_A_SEGMENT, seg, mapseg_remove(seg));
    need_call(MAPSEG_NOT_A_SEGMENT, seg, mapseg_reclaim(seg));
    need_call(MAPSEG_NOT_A_SEGMENT, seg, mapseg_reclaim_with(seg, with(MAPSEG_STALE_ONLY)));
    need_call(MAPSEG_NOT_A_SEGMENT, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    check_file_state(&state, SEGMENT_PATH);
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------------- who only looks -- */

static mapseg *
looker(mapseg_access access)
{
    mapseg *seg = handle_for(SEGMENT);

    need_call(OK, seg, mapseg_attach_with(seg, access, with(MAPSEG_KEEP_NAME)));
    return seg;
}

static void
must_be_stale(void)
{
    mapseg *seg = handle_for(SEGMENT);
    mapseg_info *information = describe(seg);

    ck_assert_int_eq(information->use, MAPSEG_USE_STALE);
    mapseg_info_free(information);
    mapseg_free(seg);
}

START_TEST(looking_leaves_debris)
{
    const mapseg_access access = _i == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *first, *second, *user;
    char byte;

    set_scene();
    leave_debris(SEGMENT, DATA_BYTES, 0x77);
    first = looker(access);
    second = looker(access);
    need_call(OK, first, mapseg_read(first, 50, &byte, 1, NULL));
    ck_assert_int_eq(byte, 0x77);
    mapseg_free(first);
    need_call(OK, second, mapseg_detach(second));
    must_be_stale();
    /* The same without being able to attach. */
    options.flags = MAPSEG_REQUIRE_TAG;
    options.user_tag = 5;
    need_call(MAPSEG_WRONG_TAG, second, mapseg_attach_with(second, access, &options));
    options.flags = MAPSEG_REQUIRE_ID;
    need_call(MISSING, second, mapseg_attach_with(second, access, &options));
    need_call(MAPSEG_NOT_SUPPORTED, second, mapseg_attach_with(second, access, with(1U << 30)));
    must_be_stale();
    /* Who goes last decides. */
    user = attached(SEGMENT, MAPSEG_READ_WRITE);
    first = looker(access);
    need_call(OK, user, mapseg_detach(user));
    ck_assert(exists(SEGMENT_PATH));
    mapseg_free(first);
    must_be_stale();
    first = looker(access);
    need_call(OK, user, mapseg_attach(user, MAPSEG_READ_WRITE));
    mapseg_free(first);
    ck_assert(exists(SEGMENT_PATH));
    mapseg_free(user);
    ck_assert(!exists(SEGMENT_PATH));
    mapseg_free(second);
}
END_TEST

/* What a handle was attached with once does not stay with it. */
START_TEST(looking_once)
{
    mapseg *seg;

    set_scene();
    leave_debris(SEGMENT, DATA_BYTES, 0x77);
    seg = looker(MAPSEG_READ_WRITE);
    need_call(OK, seg, mapseg_detach(seg));
    need_call(OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(OK, seg, mapseg_detach(seg));
    ck_assert(!exists(SEGMENT_PATH));
    /* To create is not to look. */
    need_call(OK, seg,
              mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, with(MAPSEG_KEEP_NAME)));
    need_call(OK, seg, mapseg_detach(seg));
    ck_assert(!exists(SEGMENT_PATH));
    mapseg_free(seg);
}
END_TEST

/** A child's copy of the handle is the last one. */
static int
leave_later(int channel, void *argument)
{
    mapseg *seg = argument;

    if (!mapseg_is_attached(seg))
        return 1;
    say(channel, 'a');
    if (hear(channel) != 'd')
        return 2;
    mapseg_free(seg);
    return 0;
}

START_TEST(children_of_who_looks)
{
    struct peer child;
    mapseg *seg;

    set_scene();
    leave_debris(SEGMENT, DATA_BYTES, 0x77);
    seg = looker(MAPSEG_READ_WRITE);
    child = start_peer(leave_later, seg);
    ck_assert_int_eq(hear(child.channel), 'a');
    mapseg_free(seg);
    ck_assert(exists(SEGMENT_PATH));
    say(child.channel, 'd');
    ck_assert_int_eq(end_peer(&child), 0);
    must_be_stale();
}
END_TEST

static void
add_cases(Suite *suite)
{
    TCase *group = new_case(suite, "reclaim");

    tcase_add_test(group, reclaim_takes_debris_alone);
    tcase_add_loop_test(group, persistent_one_arrives, 0, 2 * ARRIVALS);
    tcase_add_test(group, id_is_demanded);
    tcase_add_test(group, damaged_and_future_segments);
    tcase_add_test(group, file_under_construction);
    tcase_add_test(group, persistent_one_under_construction);
    tcase_add_loop_test(group, foreign_file_is_not_locked, 0, 2);

    group = new_case(suite, "looking");
    tcase_add_loop_test(group, looking_leaves_debris, 0, 2);
    tcase_add_test(group, looking_once);
    tcase_add_test(group, children_of_who_looks);
}

int
main(void)
{
    Suite *suite = new_suite("reclaim");

    if (skip_unless(can_mount(), "no private place can be mounted"))
        add_cases(suite);
    return run_suite(suite);
}
