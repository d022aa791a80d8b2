/*
 * check_key_place.c - where the files of "runtime:" and "file:" keys lie.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *
make_runtime_directory(mode_t mode)
{
    static char directory[] = "/dev/shm/mapsegtestruntimeXXXXXX";

    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chmod(directory, mode), 0);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
    return directory;
}

START_TEST(runtime_key_lies_in_the_runtime_directory)
{
    const char *directory = make_runtime_directory(0700);
    char path[KEY_BYTES];
    mapseg *seg = handle_for("runtime:name"), *other = handle_for("runtime:name");
    struct stat status;

    snprintf(path, sizeof path, "%s/mapseg/name", directory);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_mode & 07777, 0600);
    need_call(MAPSEG_OK, other, mapseg_attach(other, MAPSEG_READ_WRITE));
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(!exists(path));
    snprintf(path, sizeof path, "%s/mapseg", directory);
    ck_assert(stat(path, &status) != 0 || (status.st_mode & 07777) == 0700);
    rmdir(path);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/// The reason why a runtime directory will not do; the caller frees it.
static char *
refused_runtime(void)
{
    mapseg *seg = handle_for("runtime:name");
    mapseg_result result = mapseg_create(seg, 10, MAPSEG_READ_WRITE);
    char *text;

    ck_assert_int_ne(result, MAPSEG_OK);
    ck_assert(!mapseg_is_attached(seg));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    text = strdup(mapseg_error_string(seg));
    mapseg_free(seg);
    return text;
}

START_TEST(runtime_directory_must_be_private)
{
    const char *directory = make_runtime_directory(0755);
    char *open_to_all = refused_runtime(), *missing, *unset, *relative;

    ck_assert_int_eq(rmdir(directory), 0);
    missing = refused_runtime();
    unsetenv("XDG_RUNTIME_DIR");
    unset = refused_runtime();
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "run", 1), 0);
    relative = refused_runtime();
    ck_assert_str_ne(open_to_all, missing);
    ck_assert_str_ne(open_to_all, unset);
    ck_assert_str_ne(missing, unset);
    free(open_to_all);
    free(missing);
    free(unset);
    free(relative);
}
END_TEST

START_TEST(runtime_directory_must_be_in_memory)
{
    char directory[] = "/var/tmp/mapsegtestXXXXXX";
    char *text;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
    text = refused_runtime();
    free(text);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(runtime_directory_must_be_ours)
{
    const char *directory = make_runtime_directory(0700);
    char *text;

    ck_assert_int_eq(chown(directory, 65534, 65534), 0);
    text = refused_runtime();
    free(text);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

START_TEST(file_key_lies_at_its_path)
{
    char directory[] = "/var/tmp/mapseg testXXXXXX", path[64], key[80];
    mapseg *seg, *other;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a file", directory);
    snprintf(key, sizeof key, "file:%s", path);
    seg = created(key, 5000);
    ck_assert(exists(path));
    other = attached(key, MAPSEG_READ_WRITE);
    strcpy((char *)mapseg_data(seg) + 4990, "hello");
    ck_assert_str_eq((const char *)mapseg_data(other) + 4990, "hello");
    mapseg_free(seg);
    mapseg_free(other);
    ck_assert(!exists(path));
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/// In /dev/shm, by whatever path, such a name is a POSIX semaphore's; elsewhere it is a name.
START_TEST(file_key_is_no_semaphores)
{
    char directory[] = "/dev/shm/mapsegtestXXXXXX", name[KEY_BYTES], path[KEY_BYTES + 64];
    char key[KEY_BYTES + 96];
    const char *const ways[] = {"/dev/shm", "/dev/./shm/", directory};
    struct footprint before;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    unique_name(name);
    take_footprint(&before, NULL);
    for (int i = 0; i < 3; i++) {
        mapseg *seg;

        snprintf(path, sizeof path, "%s%s/sem.%s", ways[i], i == 2 ? "/.." : "", name);
        snprintf(key, sizeof key, "file:%s", path);
        seg = handle_for(key);
        need_call(MAPSEG_KEY_ERROR, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
        ck_assert(is_one_line(mapseg_error_string(seg)));
        need_call(MAPSEG_KEY_ERROR, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
        ck_assert(!exists(path));
        mapseg_free(seg);
    }
    check_footprint(&before, NULL);
    snprintf(key, sizeof key, "file:%s/sem.%s", directory, name);
    mapseg_free(created(key, 10));
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/// A semaphore that is there is left alone.
START_TEST(segments_key_is_no_semaphores)
{
    char name[KEY_BYTES], key[KEY_BYTES + 16], path[KEY_BYTES + 16];
    mapseg *seg = mapseg_new();
    uint64_t inode;
    sem_t *semaphore;

    unique_name(name);
    snprintf(path, sizeof path, "/%s", name);
    semaphore = sem_open(path, O_CREAT | O_EXCL, 0600, 1);
    ck_assert(semaphore != SEM_FAILED);
    snprintf(key, sizeof key, "shm:sem.%s", name);
    snprintf(path, sizeof path, "/dev/shm/sem.%s", name);
    inode = inode_of(path);
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_set_native_key(seg, key));
    ck_assert(strstr(mapseg_error_string(seg), "semaphore") != NULL);
    ck_assert_uint_eq(inode_of(path), inode);
    snprintf(path, sizeof path, "/%s", name);
    ck_assert_int_eq(sem_close(semaphore), 0);
    ck_assert_int_eq(sem_unlink(path), 0);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- program -- */

static bool
disk_at_var_tmp(void)
{
    struct stat tmp, shm;

    return access("/var/tmp", W_OK) == 0 && stat("/var/tmp", &tmp) == 0 &&
           stat("/dev/shm", &shm) == 0 && tmp.st_dev != shm.st_dev;
}

int
main(void)
{
    Suite *suite = new_suite("places of keys");
    TCase *group = new_case(suite, "places of keys");

    tcase_add_test(group, runtime_key_lies_in_the_runtime_directory);
    tcase_add_test(group, runtime_directory_must_be_private);
    if (skip_unless(disk_at_var_tmp(), "runtime_directory_must_be_in_memory: /var/tmp is no disk"))
        tcase_add_test(group, runtime_directory_must_be_in_memory);
    if (skip_unless(is_root(), "runtime_directory_must_be_ours: only root can give one away"))
        tcase_add_test(group, runtime_directory_must_be_ours);
    tcase_add_test(group, file_key_lies_at_its_path);
    tcase_add_test(group, file_key_is_no_semaphores);
    tcase_add_test(group, segments_key_is_no_semaphores);
    return run_suite(suite);
}
