/*
 * check_semaphore.c - semaphores that are replaced, removed, damaged or none.
 *
 * SPDX-License-Identifier: MIT
 */
#include "posix_peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES 100
#define OK MAPSEG_OK

static struct posix_place place;

/** Puts what is no semaphore in place of it. */
static void
put(const void *bytes, size_t size)
{
    int fd = open(place.semaphore, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    ck_assert(fd >= 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

enum wrong { TOO_SHORT, TOO_LONG, EMPTY, GARBAGE, A_DIRECTORY, A_FIFO, A_LINK, COUNTS_TWO, WRONGS };

static void
spoil(enum wrong wrong)
{
    unsigned char bytes[64];

    memset(bytes, 0xa5, sizeof bytes);
    (void)unlink(place.semaphore);
    switch (wrong) {
    case TOO_SHORT:
        put(bytes, 16);
        break;
    case TOO_LONG:
        put(bytes, 64);
        break;
    case EMPTY:
        put(bytes, 0);
        break;
    case GARBAGE:
        put(bytes, 32);
        break;
    case A_DIRECTORY:
        ck_assert_int_eq(mkdir(place.semaphore, 0700), 0);
        break;
    case A_FIFO:
        ck_assert_int_eq(mkfifo(place.semaphore, 0600), 0);
        break;
    case A_LINK:
        ck_assert_int_eq(symlink(place.path, place.semaphore), 0);
        break;
    default:
        ck_assert(sem_open(place.name, O_CREAT | O_EXCL, 0600, 2) != SEM_FAILED);
    }
}

START_TEST(what_is_no_semaphore)
{
    enum wrong wrong = (enum wrong)_i;
    mapseg *seg;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    need_call(OK, seg, mapseg_detach(seg));
    spoil(wrong);
    need_call(OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_CORRUPT, seg, mapseg_try_lock(seg));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_CORRUPT, seg, mapseg_lock_for(seg, HANG));
    need_call(MAPSEG_CORRUPT, seg, mapseg_repair(seg, false));
    need_call(wrong == COUNTS_TWO ? OK : MAPSEG_CORRUPT, seg, mapseg_repair(seg, true));
    if (wrong == COUNTS_TWO)
        need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_detach(seg));
    /* And nothing is created beside it. */
    need_call(OK, seg, mapseg_remove(seg));
    ck_assert(!exists(place.path));
    if (wrong != COUNTS_TWO) {
        need_call(MAPSEG_CORRUPT, seg, mapseg_create(seg, BYTES, MAPSEG_READ_WRITE));
        ck_assert(!exists(place.path));
    }
    mapseg_free(seg);
    (void)rmdir(place.semaphore);
    clear_away(&place);
}
END_TEST

/** It becomes garbage while it is in use. */
START_TEST(written_over)
{
    unsigned char bytes[32];
    mapseg *seg;

    memset(bytes, 0xa5, sizeof bytes);
    new_posix_place(&place);
    seg = created(place.key, BYTES);
    need_call(OK, seg, mapseg_lock(seg));
    put(bytes, sizeof bytes);
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    need_call(MAPSEG_CORRUPT, seg, mapseg_lock_for(seg, HANG));
    need_call(MAPSEG_CORRUPT, seg, mapseg_repair(seg, true));
    mapseg_free(seg);
    clear_away(&place);
}
END_TEST

/* -------------------------------------------------------------- replaced -- */

START_TEST(replaced_while_held)
{
    struct theirs theirs;
    sem_t *newer;
    mapseg *seg;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    theirs = they_attach(&place, BYTES);
    need_call(OK, seg, mapseg_lock(seg));
    newer = they_replace(&place);
    need_call(OK, seg, mapseg_unlock(seg));
    ck_assert_int_eq(their_value(theirs.semaphore), 1);
    /* Where the newer one is held, the next lock that waits finds out. */
    they_wait(newer);
    they_wait(theirs.semaphore);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, MILLISECOND));
    they_post(newer);
    need_call(OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(their_value(newer), 0);
    need_call(OK, seg, mapseg_unlock(seg));
    ck_assert_int_eq(their_value(newer), 1);
    ck_assert_int_eq(their_value(theirs.semaphore), 0);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/** An owner that never has to wait finds out after so many locks, too. */
START_TEST(replaced_without_contention)
{
    bool found = false;
    sem_t *newer;
    mapseg *seg;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    need_call(OK, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_unlock(seg));
    newer = they_replace(&place);
    for (int i = 0; i < 1024 && !found; i++) {
        need_call(OK, seg, mapseg_lock(seg));
        found = their_value(newer) == 0;
        need_call(OK, seg, mapseg_unlock(seg));
    }
    ck_assert(found);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static void
wait_for_it(struct stage *stage)
{
    mapseg *seg = attached(place.key, MAPSEG_READ_WRITE);

    atomic_store(&stage->ready, 1);
    need_call(OK, seg, mapseg_lock(seg));
    atomic_store(&stage->ready, 2);
    await(&stage->go, 1);
    mapseg_free(seg);
}

/** A waiter leaves the semaphore of an owner that never frees it for the one that has the name. */
START_TEST(replaced_while_waited_for)
{
    struct stage *stage = new_stage();
    struct theirs theirs;
    sem_t *newer;
    mapseg *seg;
    pid_t child;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    theirs = they_attach(&place, BYTES);
    they_wait(theirs.semaphore);
    child = start(wait_for_it, stage);
    await(&stage->ready, 1);
    need_asleep(child);
    newer = they_replace(&place);
    await(&stage->ready, 2);
    ck_assert_int_eq(their_value(newer), 0);
    ck_assert_int_eq(their_value(theirs.semaphore), 0);
    atomic_store(&stage->go, 1);
    finish(child);
    ck_assert_int_eq(their_value(newer), 1);
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
    clear_away(&place);
}
END_TEST

/** What has the name then is none: those who have the old one go on as ever, and are told. */
START_TEST(replaced_by_garbage)
{
    mapseg *seg;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    need_call(OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(unlink(place.semaphore), 0);
    put("garbage", 7);
    need_call(OK, seg, mapseg_unlock(seg));
    for (int i = 0; i < 1023; i++)
        need(mapseg_lock(seg) != MAPSEG_CORRUPT ? mapseg_unlock(seg) == OK : i > 0);
    need_call(MAPSEG_CORRUPT, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
    clear_away(&place);
}
END_TEST

START_TEST(removed_while_held)
{
    struct theirs theirs;
    mapseg *seg;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    theirs = they_attach(&place, BYTES);
    need_call(OK, seg, mapseg_lock(seg));
    ck_assert_int_eq(sem_unlink(place.name), 0);
    need_call(OK, seg, mapseg_unlock(seg));
    for (int i = 0; i < 3000; i++) {
        need_call(OK, seg, mapseg_lock(seg));
        need_call(OK, seg, mapseg_unlock(seg));
    }
    ck_assert(!exists(place.semaphore));
    they_wait(theirs.semaphore);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, MILLISECOND));
    they_post(theirs.semaphore);
    need_call(OK, seg, mapseg_lock(seg));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/** A number of an owner in it that this file's presence does not know is a dead one's: it lies in
 *  the semaphore's file, not in the segment's, which may be another one by now. */
static void
hold_old_segment(struct stage *stage)
{
    mapseg *seg = attached(place.key, MAPSEG_READ_WRITE);

    need_call(OK, seg, mapseg_lock(seg));
    atomic_store(&stage->ready, 1);
    await(&stage->go, 1);
    need_call(OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
}

START_TEST(owner_with_an_older_segment)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t child;

    new_posix_place(&place);
    seg = created(place.key, BYTES);
    child = start(hold_old_segment, stage);
    await(&stage->ready, 1);
    mapseg_free(seg);
    /* The segment goes, the semaphore is held and stays, and serves the next segment. */
    ck_assert_int_eq(unlink(place.path), 0);
    seg = created(place.key, BYTES);
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_lock_for(seg, 200 * MILLISECOND));
    need_call(MAPSEG_IN_USE, seg, mapseg_repair(seg, true));
    atomic_store(&stage->go, 1);
    finish(child);
    need_call(OK, seg, mapseg_lock_for(seg, HANG));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
    clear_away(&place);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("semaphore");
    TCase *group;

    if (skip_unless(has_known_semaphores(), "this C library's semaphores are not known")) {
        group = new_case(suite, "damage");
        tcase_add_loop_test(group, what_is_no_semaphore, 0, WRONGS);
        tcase_add_test(group, written_over);

        group = new_case(suite, "replaced");
        tcase_add_test(group, replaced_while_held);
        tcase_add_test(group, replaced_without_contention);
        tcase_add_test(group, replaced_while_waited_for);
        tcase_add_test(group, replaced_by_garbage);
        tcase_add_test(group, removed_while_held);
        tcase_add_test(group, owner_with_an_older_segment);
    }
    return run_suite(suite);
}
