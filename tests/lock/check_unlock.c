/*
 * check_unlock.c - letting go of the lock where something is in the way: a limit on the size of
 * files, or a peer that wrote over the lock.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "support.h"

#include <sys/resource.h>

#define DATA_BYTES 65536

/** A process that writes above its limit on the size of files gets SIGXFSZ. */
START_TEST(detach_under_a_file_size_limit)
{
    struct rlimit before, none;
    mapseg *seg, *other;
    char key[KEY_BYTES];
    bool limited;

    unique_key(key);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    seg = created(key, DATA_BYTES);
    other = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    /* Until it is taken back no assertion of libcheck's: it notes each in a file. */
    limited = setrlimit(RLIMIT_FSIZE, &none) == 0;
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_OK, other, mapseg_try_lock(other));
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(setrlimit(RLIMIT_FSIZE, &before) == 0 && limited);
}
END_TEST

/** A peer that wrote over the lock is told of once: after the unlock all is as ever. */
START_TEST(lost_lock_is_forgotten)
{
    mapseg *seg = handle_for("memfd:");
    uint32_t *word;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    word = (uint32_t *)(void *)((char *)mapseg_data(seg) - MAPSEG_HEADER_BYTES +
                                offsetof(struct mapseg_header, lock));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    __atomic_store_n(word, 0, __ATOMIC_SEQ_CST);
    need_call(MAPSEG_LOCK_ERROR, seg, mapseg_write_begin(seg));
    need_call(MAPSEG_LOCK_ERROR, seg, mapseg_write(seg, 0, "x", 1));
    need_call(MAPSEG_NOT_LOCKED, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "x", 1));
    need_call(MAPSEG_OK, seg, mapseg_write_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_write_end(seg));
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("unlock");
    TCase *group = new_case(suite, "unlocking");

    tcase_add_test(group, detach_under_a_file_size_limit);
    tcase_add_test(group, lost_lock_is_forgotten);
    return run_suite(suite);
}
