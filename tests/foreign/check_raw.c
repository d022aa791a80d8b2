/*
 * check_raw.c - files without a header are segments all of whose bytes are data.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES 5000
#define OK MAPSEG_OK

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
new_raw_place(void)
{
    unique_name(path);
    need(strlen(path) + sizeof "raw:/dev/shm/" < sizeof key);
    snprintf(key, sizeof key, "raw:/dev/shm/%.200s", path);
    memmove(path, key + 4, strlen(key + 4) + 1);
}

static void
put_file(const char *text, size_t bytes)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert(fd >= 0);
    ck_assert_int_eq(write(fd, text, bytes), (ssize_t)bytes);
    close(fd);
}

/* ------------------------------------------------------------------ data -- */

START_TEST(creates_a_plain_file)
{
    struct stat status;
    mapseg *seg, *other;

    new_raw_place();
    seg = created(key, BYTES);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_size, BYTES);
    ck_assert_int_eq(status.st_mode & 07777, 0600);
    other = attached(key, MAPSEG_READ_ONLY);
    ck_assert_uint_eq(mapseg_size(other), BYTES);
    ck_assert(mapseg_data(other) == NULL);
    strcpy(data_of(seg), "data");
    ck_assert_str_eq(mapseg_const_data(other), "data");
    need_attached(2, key);
    ck_assert_int_eq(use_of(key), MAPSEG_USE_LIVE);
    mapseg_free(other);
    mapseg_free(seg);
    ck_assert(exists(path));
    ck_assert_int_eq(use_of(key), MAPSEG_USE_FOREIGN);
    seg = handle_for(key);
    need_call(OK, seg, mapseg_remove(seg));
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

START_TEST(takes_any_file)
{
    mapseg *seg;

    new_raw_place();
    put_file("any file", 8);
    seg = handle_for(key);
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, BYTES, MAPSEG_READ_WRITE));
    need_call(OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert_uint_eq(mapseg_size(seg), 8);
    ck_assert_int_eq(memcmp(mapseg_const_data(seg), "any file", 8), 0);
    need_call(OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_INVALID_SIZE, seg,
              mapseg_create_or_attach(seg, BYTES, MAPSEG_READ_WRITE, NULL));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/** Of a segment of mapseg's own the header is data, too. */
START_TEST(header_is_data)
{
    struct place place;
    char raw[KEY_BYTES + 4];
    mapseg *own, *seg;

    new_place(&place);
    own = created(place.key, BYTES);
    snprintf(raw, sizeof raw, "raw:%s", place.path);
    seg = attached(raw, MAPSEG_READ_ONLY);
    ck_assert_uint_eq(mapseg_size(seg), BYTES + MAPSEG_HEADER_BYTES);
    ck_assert_int_eq(memcmp(mapseg_const_data(seg), MAPSEG_MAGIC, MAPSEG_MAGIC_BYTES), 0);
    mapseg_free(seg);
    mapseg_free(own);
    ck_assert(!exists(place.path));
}
END_TEST

static mapseg_result
fill(void *data, size_t size, void *argument)
{
    memset(data, 'i', size);
    return *(mapseg_result *)argument;
}

START_TEST(is_initialised)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_result outcome = MAPSEG_CORRUPT;
    mapseg *seg;

    new_raw_place();
    seg = handle_for(key);
    options.initialize = fill;
    options.initialize_argument = &outcome;
    options.mode = 0640;
    need_call(MAPSEG_CORRUPT, seg, mapseg_create_with(seg, BYTES, MAPSEG_READ_WRITE, &options));
    ck_assert(!exists(path));
    outcome = OK;
    need_call(OK, seg, mapseg_create_with(seg, BYTES, MAPSEG_READ_ONLY, &options));
    ck_assert_int_eq(((const char *)mapseg_const_data(seg))[BYTES - 1], 'i');
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(refused_files)
{
    mapseg *seg;

    new_raw_place();
    seg = handle_for(key);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    need_call(MAPSEG_NOT_A_SEGMENT, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    need_call(MAPSEG_NOT_A_SEGMENT, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink("/etc/passwd", path), 0);
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    ck_assert_int_eq(unlink(path), 0);
    put_file("x", 1);
    ck_assert_int_eq(chmod(path, 0666), 0);
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert_int_eq(unlink(path), 0);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    mapseg_free(seg);
}
END_TEST

START_TEST(file_is_cut)
{
    char text[4] = "";
    mapseg *seg;

    new_raw_place();
    seg = created_as(key, BYTES, MAPSEG_GUARDED);
    ck_assert_int_eq(truncate(path, 0), 0);
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_read(seg, 0, text, 4, NULL));
    need_call(OK, seg, mapseg_detach(seg));
    mapseg_free(seg);
    ck_assert_int_eq(truncate(path, BYTES), 0);
    seg = attached_as(key, MAPSEG_READ_WRITE, MAPSEG_GUARDED);
    need_call(OK, seg, mapseg_guard_begin(seg));
    ck_assert_int_eq(truncate(path, 0), 0);
    ck_assert_int_eq(*(volatile char *)data_of(seg), 0);
    need_call(MAPSEG_FILE_SHRUNK, seg, mapseg_guard_end(seg));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(descriptors)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char text[KEY_BYTES];
    int fd = memfd_create("raw", MFD_CLOEXEC);
    mapseg *seg = mapseg_new();
    mapseg *other = mapseg_new();

    ck_assert(fd >= 0);
    ck_assert_int_eq(ftruncate(fd, BYTES), 0);
    ck_assert_int_eq(fchmod(fd, 0600), 0);
    snprintf(text, sizeof text, "memfd:%d", fd);
    need_call(OK, seg, mapseg_set_native_key(seg, text));
    need_call(MAPSEG_NOT_A_SEGMENT, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    options.flags = MAPSEG_RAW;
    need_call(OK, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    ck_assert_uint_eq(mapseg_size(seg), BYTES);
    strcpy(data_of(seg), "memory");
    need_call(OK, other, mapseg_attach_fd_with(other, dup(fd), MAPSEG_READ_WRITE, &options));
    ck_assert_str_eq(mapseg_const_data(other), "memory");
    ck_assert(strncmp(mapseg_native_key(other), "memfd:", 6) == 0);
    need_call(OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_WOULD_BLOCK, other, mapseg_try_lock(other));
    need_call(OK, seg, mapseg_unlock(seg));
    need_call(OK, other, mapseg_try_lock(other));
    need_call(MAPSEG_NOT_SUPPORTED, other, mapseg_remove(other));
    mapseg_free(other);
    need_call(OK, seg, mapseg_lock(seg));
    mapseg_free(seg);
    close(fd);
}
END_TEST

/* ------------------------------------------------------------------ lock -- */

static void
increment(struct stage *stage)
{
    mapseg *seg = attached(key, MAPSEG_READ_WRITE);
    volatile uint64_t *sum = data_of(seg);

    for (int i = 0; i < stage->number; i++) {
        need_call(OK, seg, mapseg_lock(seg));
        *sum = *sum + 1;
        need_call(OK, seg, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}

START_TEST(no_increment_is_lost)
{
    struct stage *stage = new_stage();
    pid_t children[3];
    mapseg *seg;

    new_raw_place();
    stage->number = 2000;
    seg = created(key, BYTES);
    for (int i = 0; i < 3; i++)
        children[i] = start(increment, stage);
    for (int i = 0; i < 3; i++)
        finish(children[i]);
    ck_assert_uint_eq(*(uint64_t *)data_of(seg), 6000);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static void
hold(struct stage *stage)
{
    mapseg *seg = attached(key, MAPSEG_READ_ONLY);

    need_call(OK, seg, mapseg_lock(seg));
    atomic_store(&stage->ready, 1);
    await(&stage->go, 1);
}

START_TEST(dead_owner_is_not_told)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t child;

    new_raw_place();
    seg = created(key, BYTES);
    child = start(hold, stage);
    await(&stage->ready, 1);
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, MILLISECOND));
    ck_assert_int_eq(lock_state_of(key), MAPSEG_LOCK_STATE_HELD);
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_repair(seg, true));
    kill_and_reap(child);
    need_call(OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_ALREADY_LOCKED, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_consistent(seg));
    need_call(OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    ck_assert_int_eq(lock_state_of(key), MAPSEG_LOCK_STATE_FREE);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static int
be_a_child(void *handle)
{
    mapseg *seg = handle;

    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    return 0;
}

static int
outlive(int channel, void *handle)
{
    mapseg *seg = handle;

    say(channel, 'r');
    need(hear(channel) == 'g');
    need_call(OK, seg, mapseg_lock(seg));
    return 0;
}

static void
lock_and_leave_a_child(struct stage *stage)
{
    mapseg *seg = attached(key, MAPSEG_READ_WRITE);
    pid_t child;

    need_call(OK, seg, mapseg_lock(seg));
    child = fork();
    need(child >= 0);
    if (child == 0) {
        atomic_store(&stage->pid, (int)getpid());
        await(&stage->go, 1);
        _exit(0);
    }
    await(&stage->pid, 1);
    atomic_store(&stage->ready, 1);
    pause();
}

START_TEST(children)
{
    struct stage *stage = new_stage();
    struct peer peer;
    mapseg *seg;
    pid_t owner;

    new_raw_place();
    seg = created(key, BYTES);
    need_call(OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(in_child(be_a_child, seg), 0);
    peer = start_peer(outlive, seg);
    ck_assert_int_eq(hear(peer.channel), 'r');
    need_call(OK, seg, mapseg_unlock(seg));
    say(peer.channel, 'g');
    ck_assert_int_eq(end_peer(&peer), 0);
    /* A child that lives on keeps no dead owner's lock. */
    owner = start(lock_and_leave_a_child, stage);
    await(&stage->ready, 1);
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    kill_and_reap(owner);
    need_call(OK, seg, mapseg_lock_for(seg, HANG));
    atomic_store(&stage->go, 1);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static int
only_read(void *unused)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);
    char text[2];

    (void)unused;
    options.flags = MAPSEG_ALLOW_OTHER_OWNER;
    need_call(OK, seg, mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options));
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_lock(seg));
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_read(seg, 0, text, 1, NULL));
    need(mapseg_const_data(seg) != NULL);
    mapseg_free(seg);
    return 0;
}

START_TEST(who_may_only_read)
{
    mapseg *seg;

    new_raw_place();
    seg = created(key, BYTES);
    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert_int_eq(as_ordinary_user(only_read, NULL), 0);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("raw");
    TCase *group = new_case(suite, "data");

    tcase_add_test(group, creates_a_plain_file);
    tcase_add_test(group, takes_any_file);
    tcase_add_test(group, header_is_data);
    tcase_add_test(group, is_initialised);
    tcase_add_test(group, refused_files);
    tcase_add_test(group, file_is_cut);
    tcase_add_test(group, descriptors);

    group = new_case(suite, "lock");
    tcase_add_test(group, no_increment_is_lost);
    tcase_add_test(group, dead_owner_is_not_told);
    tcase_add_test(group, children);
    if (skip_unless(is_root(), "only root can read as another user"))
        tcase_add_test(group, who_may_only_read);
    return run_suite(suite);
}
