/*
 * check_key.c - the key of a handle: set, changed, taken away, and keys that cannot be used.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------- the key a handle has -- */

START_TEST(new_handle_is_empty)
{
    mapseg *seg = mapseg_new();

    ck_assert_ptr_nonnull(seg);
    ck_assert_ptr_null(mapseg_key(seg));
    ck_assert_ptr_null(mapseg_native_key(seg));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_ptr_null(mapseg_data(seg));
    ck_assert_ptr_null(mapseg_const_data(seg));
    ck_assert_uint_eq(mapseg_size(seg), 0);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OK);
    ck_assert_str_eq(mapseg_error_string(seg), "");
    mapseg_free(seg);
    mapseg_free(NULL);
}
END_TEST

START_TEST(handle_without_a_plain_key)
{
    mapseg *null = mapseg_new_with_key(NULL), *empty = mapseg_new_with_key("");

    ck_assert_ptr_null(mapseg_key(null));
    ck_assert_ptr_null(mapseg_native_key(null));
    ck_assert_ptr_null(mapseg_key(empty));
    ck_assert_ptr_null(mapseg_native_key(empty));
    mapseg_free(null);
    mapseg_free(empty);
}
END_TEST

START_TEST(key_is_copied)
{
    char mine[] = "copied";
    mapseg *seg = mapseg_new();

    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, mine));
    mine[0] = 'x';
    ck_assert_str_eq(mapseg_key(seg), "copied");
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, mapseg_key(seg)));
    ck_assert_str_eq(mapseg_key(seg), "copied");
    /* The handle's own strings, parts of them too, may be given back to it. */
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, mapseg_key(seg) + 3));
    ck_assert_str_eq(mapseg_key(seg), "ied");
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, mapseg_native_key(seg)));
    mapseg_free(seg);
}
END_TEST

START_TEST(native_key_replaces_the_plain_one)
{
    mapseg *seg = mapseg_new_with_key("plain");

    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "shm:other"));
    ck_assert_ptr_null(mapseg_key(seg));
    ck_assert_str_eq(mapseg_native_key(seg), "shm:other");
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, "plain"));
    ck_assert_str_eq(mapseg_key(seg), "plain");
    ck_assert_str_ne(mapseg_native_key(seg), "shm:other");
    mapseg_free(seg);
}
END_TEST

START_TEST(native_key_is_shown_in_its_one_form)
{
    mapseg *seg = mapseg_new();

    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "SHM:%41#fragment"));
    ck_assert_str_eq(mapseg_native_key(seg), "shm:A");
    mapseg_free(seg);
}
END_TEST

/// Both setters take the key away with NULL and "".
START_TEST(key_is_taken_away)
{
    mapseg *seg = mapseg_new();
    const char *const nothing[] = {NULL, ""};

    for (int i = 0; i < 2; i++) {
        need_call(MAPSEG_OK, seg, mapseg_set_key(seg, "plain"));
        need_call(MAPSEG_OK, seg, mapseg_set_key(seg, nothing[i]));
        ck_assert_ptr_null(mapseg_key(seg));
        ck_assert_ptr_null(mapseg_native_key(seg));
        need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "shm:a"));
        need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, nothing[i]));
        ck_assert_ptr_null(mapseg_native_key(seg));
        need_call(MAPSEG_OK, seg, mapseg_set_key(seg, "plain"));
        need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, nothing[i]));
        ck_assert_ptr_null(mapseg_key(seg));
        ck_assert_ptr_null(mapseg_native_key(seg));
    }
    mapseg_free(seg);
}
END_TEST

/* ----------------------------------------------------- attached handles -- */

START_TEST(setting_the_key_it_has_changes_nothing)
{
    char name[KEY_BYTES], key[KEY_BYTES];
    mapseg *seg;

    unique_name(name);
    unique_key(key);
    seg = mapseg_new_with_key(name);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, name));
    ck_assert(mapseg_is_attached(seg));
    ck_assert_str_eq(mapseg_key(seg), name);
    mapseg_free(seg);

    seg = created(key, 10);
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, key));
    ck_assert(mapseg_is_attached(seg));
    ck_assert_str_eq(mapseg_native_key(seg), key);
    mapseg_free(seg);
}
END_TEST

START_TEST(setting_another_key_detaches)
{
    char name[KEY_BYTES], other[KEY_BYTES], other_key[KEY_BYTES], native_path[KEY_BYTES];
    mapseg *seg, *holder;

    unique_name(name);
    unique_name(other);
    unique_key(other_key);
    seg = mapseg_new_with_key(name);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    path_of(native_path, mapseg_native_key(seg));
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, other));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_str_eq(mapseg_key(seg), other);
    ck_assert(!exists(native_path));

    /* Not attached either, though that segment is there. */
    holder = created(other_key, 10);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, other_key));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_ptr_null(mapseg_key(seg));
    ck_assert_str_eq(mapseg_native_key(seg), other_key);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    mapseg_free(holder);
    mapseg_free(seg);
}
END_TEST

START_TEST(changing_the_key_releases_the_lock)
{
    char key[KEY_BYTES];
    mapseg *seg, *other;

    unique_key(key);
    seg = created(key, 10);
    other = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, "another"));
    need_call(MAPSEG_OK, other, mapseg_try_lock(other));
    mapseg_free(seg);
    mapseg_free(other);
}
END_TEST

START_TEST(taking_the_key_away_detaches)
{
    char key[KEY_BYTES], path[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    path_of(path, key);
    seg = created(key, 10);
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, NULL));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert(!exists(path));
    mapseg_free(seg);
}
END_TEST

/// A refused key changes neither the key nor the attachment.
START_TEST(bad_native_key_changes_nothing)
{
    char key[KEY_BYTES];
    mapseg *seg;
    void *data;

    unique_key(key);
    seg = created(key, 10);
    data = mapseg_data(seg);
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_set_native_key(seg, "unknown:a"));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_KEY_ERROR);
    ck_assert_str_eq(mapseg_native_key(seg), key);
    ck_assert(mapseg_is_attached(seg));
    ck_assert_ptr_eq(mapseg_data(seg), data);
    mapseg_free(seg);

    seg = mapseg_new_with_key("plain");
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_set_native_key(seg, "unknown:a"));
    ck_assert_str_eq(mapseg_key(seg), "plain");
    mapseg_free(seg);
}
END_TEST

/// Another spelling of the key a handle has is no other key.
START_TEST(same_native_key_spelt_otherwise_changes_nothing)
{
    char key[KEY_BYTES], again[KEY_BYTES + 8];
    mapseg *seg;

    unique_key(key);
    seg = created(key, 10);
    snprintf(again, sizeof again, "SHM:%%%02X%s", (unsigned int)key[4], key + 5);
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, again));
    ck_assert(mapseg_is_attached(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(plain_key_over_its_own_native_key_detaches)
{
    char name[KEY_BYTES];
    const char *native;
    mapseg *seg, *named;

    unique_name(name);
    named = mapseg_new_with_key(name);
    native = mapseg_native_key(named);
    ck_assert_ptr_nonnull(native);
    seg = created(native, 10);
    need_call(MAPSEG_OK, seg, mapseg_set_key(seg, name));
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_str_eq(mapseg_key(seg), name);
    ck_assert_str_eq(mapseg_native_key(seg), native);
    mapseg_free(seg);
    mapseg_free(named);
}
END_TEST

/* ------------------------------------------------------- keys of no use -- */

/// Well formed as keys, but no files that can be.
static const char *const unusable_keys[] = {
    "shm:",         "shm:.",       "shm:..",   "shm:a/b",     "shm:/a",
    "shm:../tmp/a", "shm:sem.a",   "shm:sem.", "SHM:%73em.a", "runtime:",
    "runtime:..",   "runtime:a/b", "file:",    "file:a",      "file:./a",
    "memfd:x",      "memfd:-1",    "memfd:5x", "memfd: 5",    "memfd:99999999999999999999",
    "memfd:0x5",
};

START_TEST(unusable_native_key)
{
    struct footprint before;
    mapseg *seg = mapseg_new();
    bool taken = mapseg_set_native_key(seg, unusable_keys[_i]) == MAPSEG_OK;

    take_footprint(&before, NULL);
    if (taken)
        need_call(MAPSEG_KEY_ERROR, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_KEY_ERROR);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    if (taken)
        need_call(MAPSEG_KEY_ERROR, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert(!mapseg_is_attached(seg));
    check_footprint(&before, NULL);
    mapseg_free(seg);
}
END_TEST

/// A name longer than file names can be is refused and not cut.
START_TEST(native_name_that_is_too_long)
{
    char key[1024] = "shm:", cut[KEY_BYTES + 16];
    mapseg *seg;

    memset(key + 4, 'x', 300);
    snprintf(cut, sizeof cut, "/dev/shm/%.255s", key + 4);
    seg = mapseg_new();
    if (mapseg_set_native_key(seg, key) == MAPSEG_OK)
        need_call(MAPSEG_KEY_ERROR, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_KEY_ERROR);
    ck_assert(!exists(cut));
    mapseg_free(seg);
}
END_TEST

START_TEST(native_name_with_odd_bytes_is_that_file)
{
    char name[KEY_BYTES], key[KEY_BYTES + 64], path[KEY_BYTES + 64];
    mapseg *seg;

    unique_name(name);
    snprintf(key, sizeof key, "shm:%s %%0A%%23%%25%%3F\xff", name);
    snprintf(path, sizeof path, "/dev/shm/%s \n#%%?\xff", name);
    seg = created(key, 10);
    ck_assert(exists(path));
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    mapseg_free(seg);
    ck_assert(!exists(path));
}
END_TEST

START_TEST(types_of_other_systems_are_taken_but_not_used)
{
    static const char *const types[] = {"windows:"};
    char name[KEY_BYTES], key[KEY_BYTES + 32];
    struct footprint before;
    mapseg *seg;

    unique_name(name);
    snprintf(key, sizeof key, "%s%s", types[_i], name);
    take_footprint(&before, NULL);
    seg = handle_for(key);
    ck_assert_str_eq(mapseg_native_key(seg), key);
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    mapseg_free(seg);
    check_footprint(&before, NULL);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("key of a handle");
    TCase *group = new_case(suite, "key of a handle");

    tcase_add_test(group, new_handle_is_empty);
    tcase_add_test(group, handle_without_a_plain_key);
    tcase_add_test(group, key_is_copied);
    tcase_add_test(group, native_key_replaces_the_plain_one);
    tcase_add_test(group, native_key_is_shown_in_its_one_form);
    tcase_add_test(group, key_is_taken_away);
    tcase_add_test(group, setting_the_key_it_has_changes_nothing);
    tcase_add_test(group, setting_another_key_detaches);
    tcase_add_test(group, changing_the_key_releases_the_lock);
    tcase_add_test(group, taking_the_key_away_detaches);
    tcase_add_test(group, bad_native_key_changes_nothing);
    tcase_add_test(group, same_native_key_spelt_otherwise_changes_nothing);
    tcase_add_test(group, plain_key_over_its_own_native_key_detaches);
    tcase_add_loop_test(group, unusable_native_key, 0,
                        sizeof unusable_keys / sizeof unusable_keys[0]);
    tcase_add_test(group, native_name_that_is_too_long);
    tcase_add_test(group, native_name_with_odd_bytes_is_that_file);
    tcase_add_loop_test(group, types_of_other_systems_are_taken_but_not_used, 0, 1);
    return run_suite(suite);
}
