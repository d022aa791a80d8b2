/*
 * check_posix.c - mapseg and programs that use shm_open and sem_open share a segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "posix_peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES 1000
#define OK MAPSEG_OK

/* ---------------------------------------------------------- one segment -- */

START_TEST(what_mapseg_creates_they_find)
{
    struct posix_place place;
    mapseg *seg;
    struct theirs theirs;
    struct stat status;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    ck_assert_int_eq(stat(place.path, &status), 0);
    ck_assert_int_eq(status.st_size, BYTES);
    ck_assert_int_eq(status.st_mode & 07777, 0600);
    ck_assert_int_eq(stat(place.semaphore, &status), 0);
    ck_assert_int_eq(status.st_size, 32);
    ck_assert_int_eq(status.st_mode & 07777, 0600);
    theirs = they_attach(&place, BYTES);
    ck_assert_int_eq(their_value(theirs.semaphore), 1);
    for (size_t i = 0; i < BYTES; i++)
        ck_assert_int_eq(((char *)theirs.data)[i], 0);
    memset(data_of(seg), 0x5a, BYTES);
    ck_assert_int_eq(((unsigned char *)theirs.data)[BYTES - 1], 0x5a);
    need_call(OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(their_value(theirs.semaphore), 0);
    need_call(OK, seg, mapseg_unlock(seg));
    ck_assert_int_eq(their_value(theirs.semaphore), 1);
    /* Others may use it: the name stays. */
    need_call(OK, seg, mapseg_detach(seg));
    ck_assert(exists(place.path));
    ck_assert(exists(place.semaphore));
    need_call(OK, seg, mapseg_remove(seg));
    ck_assert(!exists(place.path));
    ck_assert(!exists(place.semaphore));
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(what_they_create_mapseg_finds)
{
    struct posix_place place;
    struct theirs theirs;
    mapseg *seg;
    mapseg_info *information;

    new_posix_place(&place);
    seg = handle_for(place.key);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert(!exists(place.semaphore));
    theirs = they_create(&place, BYTES);
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, BYTES, MAPSEG_READ_WRITE));
    need_call(OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert_uint_eq(mapseg_size(seg), BYTES);
    strcpy(theirs.data, "theirs");
    ck_assert_str_eq(mapseg_const_data(seg), "theirs");
    they_wait(theirs.semaphore);
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, MILLISECOND));
    information = describe(seg);
    ck_assert_int_eq(information->lock, MAPSEG_LOCK_STATE_HELD);
    ck_assert_uint_eq(information->lock_slot, 0);
    ck_assert_uint_eq(information->attached, 1);
    ck_assert_uint_eq(information->data_size, BYTES);
    ck_assert_int_eq(information->verdict, OK);
    mapseg_info_free(information);
    they_post(theirs.semaphore);
    need_call(OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(lock_state_of(place.key), MAPSEG_LOCK_STATE_HELD);
    need_call(MAPSEG_ALREADY_LOCKED, seg, mapseg_lock(seg));
    /* Leaving frees it, and leaves both names. */
    mapseg_free(seg);
    ck_assert_int_eq(their_value(theirs.semaphore), 1);
    ck_assert(exists(place.path));
    ck_assert_int_eq(use_of(place.key), MAPSEG_USE_FOREIGN);
    clear_away(&place);
}
END_TEST

/** A segment of a program that has no semaphore, as Python's: the first lock makes one. */
START_TEST(no_semaphore_before_the_first_lock)
{
    struct posix_place place;
    mapseg *seg;
    int fd;

    new_posix_place(&place);
    fd = shm_open(place.name, O_RDWR | O_CREAT | O_EXCL, 0640);
    ck_assert(fd >= 0);
    ck_assert_int_eq(ftruncate(fd, BYTES), 0);
    close(fd);
    seg = attached(place.key, MAPSEG_READ_ONLY);
    ck_assert(!exists(place.semaphore));
    ck_assert_int_eq(lock_state_of(place.key), MAPSEG_LOCK_STATE_FREE);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_repair(seg, false));
    need_call(OK, seg, mapseg_lock(seg));
    ck_assert(exists(place.semaphore));
    need_call(OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_repair(seg, true));
    mapseg_free(seg);
    clear_away(&place);
}
END_TEST

/** Attaches while a creator has not given it its size. */
static void
attach_early(struct stage *stage)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);

    options.timeout_ns = HANG;
    atomic_store(&stage->ready, 1);
    need_call(OK, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    need_number(BYTES, mapseg_size(seg));
    mapseg_free(seg);
}

START_TEST(size_comes_later)
{
    struct stage *stage = new_stage();
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct posix_place place;
    mapseg *seg;
    pid_t child;
    int fd;

    new_posix_place(&place);
    fd = shm_open(place.name, O_RDWR | O_CREAT | O_EXCL, 0600);
    ck_assert(fd >= 0);
    seg = handle_for(place.key);
    options.timeout_ns = 3 * MILLISECOND;
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    strcpy(stage->place.key, place.key);
    child = start(attach_early, stage);
    await(&stage->ready, 1);
    nap(30 * MILLISECOND);
    ck_assert_int_eq(ftruncate(fd, BYTES), 0);
    finish(child);
    close(fd);
    mapseg_free(seg);
    clear_away(&place);
}
END_TEST

/* ------------------------------------------------- what they cannot have -- */

static void
check_refused_flag(const char *key, uint32_t flag)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    options.flags = flag;
    need_call(MAPSEG_NOT_SUPPORTED, seg,
              mapseg_create_with(seg, BYTES, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
}

START_TEST(what_needs_a_header)
{
    static const uint32_t flags[] = {
        MAPSEG_RECLAIM,        MAPSEG_REPLACE,           MAPSEG_FAIR,
        MAPSEG_SINGLE_WRITER,  MAPSEG_REQUIRE_TAG,       MAPSEG_REQUIRE_ID,
        MAPSEG_WATCH_NAME,     MAPSEG_WATCH_WRITERS,     MAPSEG_STALE_ONLY,
        MAPSEG_SILENT_WAITERS, MAPSEG_NO_SILENT_WAITERS,
    };
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct posix_place place;
    uint64_t version;
    mapseg *seg;
    int fd;

    new_posix_place(&place);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        check_refused_flag(place.key, flags[i]);
    seg = handle_for(place.key);
    options.label = "label";
    need_call(MAPSEG_NOT_SUPPORTED, seg,
              mapseg_create_with(seg, BYTES, MAPSEG_READ_WRITE, &options));
    options.label = NULL;
    options.user_tag = 1;
    need_call(MAPSEG_NOT_SUPPORTED, seg,
              mapseg_create_with(seg, BYTES, MAPSEG_READ_WRITE, &options));
    ck_assert(!exists(place.path) && !exists(place.semaphore));
    need_call(OK, seg, mapseg_create(seg, BYTES, MAPSEG_READ_WRITE));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_wait(seg, MAPSEG_ANY_VERSION, NULL, 0));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_read_begin(seg, &version));
    ck_assert(mapseg_read_retry(seg, 0));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_write_begin(seg));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_write_end(seg));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_notify_fd(seg, &fd));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_export_fd(seg, MAPSEG_READ_ONLY, &fd));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_reclaim(seg));
    ck_assert_int_eq(lock_state_of(place.key), MAPSEG_LOCK_STATE_FREE);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(ranges_are_copied_under_the_lock)
{
    struct posix_place place;
    struct theirs theirs;
    uint64_t version = 7;
    char text[8];
    mapseg *seg;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    theirs = they_attach(&place, BYTES);
    need_call(OK, seg, mapseg_write(seg, 1, "ranges", 7));
    ck_assert_str_eq((char *)theirs.data + 1, "ranges");
    need_call(OK, seg, mapseg_read(seg, 1, text, 7, &version));
    ck_assert_str_eq(text, "ranges");
    ck_assert_uint_eq(version, 0);
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_read(seg, BYTES - 1, text, 2, NULL));
    they_wait(theirs.semaphore);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_read_for(seg, 0, text, 1, NULL, MILLISECOND));
    they_post(theirs.semaphore);
    /* Within one's own lock too. */
    need_call(OK, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_write(seg, 0, "x", 1));
    need_call(OK, seg, mapseg_read(seg, 0, text, 1, NULL));
    ck_assert_int_eq(their_value(theirs.semaphore), 0);
    need_call(OK, seg, mapseg_unlock(seg));
    ck_assert_int_eq(their_value(theirs.semaphore), 1);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------- how names go -- */

START_TEST(last_of_a_chain_removes)
{
    struct posix_place place;
    mapseg *first, *second, *third;

    new_posix_place(&place);
    first = created_as(place.key, BYTES, MAPSEG_REMOVE_WITH_LAST);
    second = attached(place.key, MAPSEG_READ_ONLY);
    mapseg_free(first);
    ck_assert(exists(place.path));
    third = attached(place.key, MAPSEG_READ_WRITE);
    mapseg_free(second);
    ck_assert(exists(place.path));
    mapseg_free(third);
    ck_assert(!exists(place.path));
    ck_assert(!exists(place.semaphore));
    /* What others made stays, whatever an attacher wishes. */
    (void)they_create(&place, BYTES);
    third = attached_as(place.key, MAPSEG_READ_WRITE, MAPSEG_REMOVE_WITH_LAST);
    mapseg_free(third);
    ck_assert(exists(place.path));
    clear_away(&place);
}
END_TEST

static void
die_attached(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need(seg != NULL);
    atomic_store(&stage->ready, 1);
    await(&stage->go, 1);
}

START_TEST(wish_survives_its_creator)
{
    struct stage *stage = new_stage();
    struct posix_place place;
    mapseg *seg;
    pid_t child;

    new_posix_place(&place);
    strcpy(stage->place.key, place.key);
    seg = created_as(place.key, BYTES, MAPSEG_REMOVE_WITH_LAST);
    child = start(die_attached, stage);
    await(&stage->ready, 1);
    mapseg_free(seg);
    ck_assert(exists(place.path));
    seg = attached(place.key, MAPSEG_READ_WRITE);
    kill_and_reap(child);
    mapseg_free(seg);
    ck_assert(!exists(place.path));
    /* Where all are killed it stays, as it does for its own programs. */
    seg = created_as(place.key, BYTES, MAPSEG_REMOVE_WITH_LAST);
    atomic_store(&stage->ready, 0);
    child = start(die_attached, stage);
    await(&stage->ready, 1);
    mapseg_free(seg);
    kill_and_reap(child);
    seg = attached(place.key, MAPSEG_READ_WRITE);
    mapseg_free(seg);
    ck_assert(exists(place.path));
    clear_away(&place);
}
END_TEST

/** Whose name was taken by another segment is not removed with the last. */
START_TEST(another_segment_under_the_name)
{
    struct posix_place place;
    mapseg *seg;

    new_posix_place(&place);
    seg = created_as(place.key, BYTES, MAPSEG_REMOVE_WITH_LAST);
    ck_assert_int_eq(unlink(place.path), 0);
    (void)they_create(&place, BYTES);
    mapseg_free(seg);
    ck_assert(exists(place.path));
    clear_away(&place);
}
END_TEST

static void
remove_held(const struct posix_place *place, sem_t *semaphore)
{
    mapseg *seg = handle_for(place->key);

    they_wait(semaphore);
    need_call(OK, seg, mapseg_remove(seg));
    ck_assert(!exists(place->path));
    ck_assert(exists(place->semaphore));
    mapseg_free(seg);
}

START_TEST(held_semaphore_stays)
{
    struct posix_place place;

    new_posix_place(&place);
    remove_held(&place, they_create(&place, BYTES).semaphore);
    clear_away(&place);
}
END_TEST

/* -------------------------------------------------------------- places -- */

START_TEST(no_room)
{
    struct posix_place place;
    uint64_t before;
    mapseg *seg;

    use_tiny_shm("size=64k");
    before = free_blocks();
    new_posix_place(&place);
    seg = handle_for(place.key);
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_create(seg, 1 << 20, MAPSEG_READ_WRITE));
    ck_assert(!exists(place.path) && !exists(place.semaphore));
    /* Room for the segment, and none for its semaphore. */
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_create(seg, 64 << 10, MAPSEG_READ_WRITE));
    ck_assert(!exists(place.path) && !exists(place.semaphore));
    ck_assert_uint_eq(free_blocks(), before);
    need_call(OK, seg, mapseg_create(seg, 60 << 10, MAPSEG_READ_WRITE));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static int
attach_as_nobody(void *key)
{
    mapseg *seg = handle_for(key);
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    options.flags = MAPSEG_ALLOW_OTHER_OWNER;
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options));
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_remove(seg));
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_repair(seg, true));
    mapseg_free(seg);
    return 0;
}

START_TEST(another_user)
{
    struct posix_place place;
    mapseg *seg;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    ck_assert_int_eq(as_ordinary_user(attach_as_nobody, place.key), 0);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/** The owner is not this user, nor root. */
START_TEST(another_owner)
{
    struct posix_place place;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    ck_assert_int_eq(chown(place.path, NOBODY, NOBODY), 0);
    need_call(OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    options.flags = MAPSEG_ALLOW_OTHER_OWNER;
    need_call(OK, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    need_call(OK, seg, mapseg_detach(seg));
    ck_assert_int_eq(chown(place.path, 0, 0), 0);
    ck_assert_int_eq(chown(place.semaphore, NOBODY, NOBODY), 0);
    need_call(OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_detach(seg));
    ck_assert_int_eq(chmod(place.path, 0622), 0);
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
    clear_away(&place);
}
END_TEST

START_TEST(names_that_cannot_be)
{
    static const char *const names[] = {"posix:/", "posix:/a/b", "posix:/sem.a", "posix:sem.a",
                                        "posix:/.."};
    mapseg *seg = mapseg_new();
    char longest[300] = "posix:/";

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        need_call(MAPSEG_KEY_ERROR, seg, mapseg_set_native_key(seg, names[i]));
    memset(longest + 7, 'x', 252);
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_set_native_key(seg, longest));
    longest[7 + 251] = '\0';
    need_call(OK, seg, mapseg_set_native_key(seg, longest));
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("posix");
    TCase *group;

    if (skip_unless(has_known_semaphores(), "this C library's semaphores are not known")) {
        group = new_case(suite, "segment");
        tcase_add_test(group, what_mapseg_creates_they_find);
        tcase_add_test(group, what_they_create_mapseg_finds);
        tcase_add_test(group, no_semaphore_before_the_first_lock);
        tcase_add_test(group, size_comes_later);
        tcase_add_test(group, what_needs_a_header);
        tcase_add_test(group, ranges_are_copied_under_the_lock);

        group = new_case(suite, "names");
        tcase_add_test(group, last_of_a_chain_removes);
        tcase_add_test(group, wish_survives_its_creator);
        tcase_add_test(group, another_segment_under_the_name);
        tcase_add_test(group, held_semaphore_stays);
        tcase_add_test(group, names_that_cannot_be);

        group = new_case(suite, "places");
        if (skip_unless(can_mount(), "no private place can be mounted"))
            tcase_add_test(group, no_room);
        tcase_add_test(group, another_user);
        if (skip_unless(is_root(), "only root can give files away"))
            tcase_add_test(group, another_owner);
    }
    return run_suite(suite);
}
