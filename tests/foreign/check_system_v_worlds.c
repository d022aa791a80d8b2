/*
 * check_system_v_worlds.c - System V segments of other users, at the limits of the system, and as
 * they are described.
 *
 * SPDX-License-Identifier: MIT
 */
#include "system_v_scene.h"

#include "foreign/system_v.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---------------------------------------------------------------- users -- */

static int
meet_segment_of_root(void *argument)
{
    mapseg *seg = handle_for(key);

    (void)argument;
    become_nobody();
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    need(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_remove(seg));
    mapseg_free(seg);
    return 0;
}

START_TEST(segment_of_root)
{
    mapseg *seg;

    if (!skip_unless(has_own_world(), "only root can be two users"))
        return;
    seg = created(key, 100);
    ck_assert_int_eq(in_child(meet_segment_of_root, NULL), 0);
    ck_assert_int_eq(value_of(set_of(file)), 1);
    mapseg_free(seg);
}
END_TEST

static int
read_segment_of_root(void *argument)
{
    mapseg *seg = handle_for(key);

    (void)argument;
    become_nobody();
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    need_number('x', *(const char *)mapseg_const_data(seg));
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_lock(seg));
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_PERMISSION_DENIED, seg, mapseg_remove(seg));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    mapseg_free(seg);
    return 0;
}

/// One that may be read is, without the lock.
START_TEST(segment_of_root_to_read)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    if (skip_unless(has_own_world(), "only root can be two users")) {
        options.mode = 0644;
        need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
        *(char *)data_of(seg) = 'x';
        need_call(MAPSEG_OK, seg, mapseg_lock(seg));
        ck_assert_int_eq(in_child(read_segment_of_root, NULL), 0);
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
        ck_assert(exists(file));
        need_segments(1);
    }
    mapseg_free(seg);
}
END_TEST

static int
create_as_nobody(int channel, void *argument)
{
    mapseg *seg;

    (void)argument;
    become_nobody();
    seg = created(key, 100);
    say(channel, 'a');
    need_number('q', hear(channel));
    mapseg_free(seg);
    return 0;
}

START_TEST(segment_of_another_user)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);
    mapseg_info *information;
    struct peer other;

    if (skip_unless(has_own_world(), "only root can be two users")) {
        other = start_peer(create_as_nobody, NULL);
        ck_assert_int_eq(hear(other.channel), 'a');
        need_call(MAPSEG_UNTRUSTED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
        ck_assert(is_one_line(mapseg_error_string(seg)));
        need_call(MAPSEG_UNTRUSTED, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
        information = describe(seg);
        ck_assert_int_eq(information->verdict, MAPSEG_UNTRUSTED);
        ck_assert_uint_eq(information->uid, NOBODY);
        mapseg_info_free(information);
        options.flags = MAPSEG_ALLOW_OTHER_OWNER;
        need_call(MAPSEG_OK, seg, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
        need_call(MAPSEG_OK, seg, mapseg_lock(seg));
        say(other.channel, 'q');
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
        ck_assert_int_eq(end_peer(&other), 0);
    }
    mapseg_free(seg);
}
END_TEST

/// Another user's semaphore, which is there before the segment is made, is not believed.
START_TEST(set_of_another_user)
{
    mapseg *seg = handle_for(key);

    if (skip_unless(has_own_world(), "only root can be two users")) {
        struct semid_ds status;
        union {
            int value;
            struct semid_ds *status;
        } argument = {.status = &status};
        struct little_qt qt;

        qt_begin(&qt, file);
        ck_assert(qt_create(&qt, 100));
        ck_assert_int_eq(semctl(qt.set, 0, IPC_STAT, argument), 0);
        status.sem_perm.uid = NOBODY;
        ck_assert_int_eq(semctl(qt.set, 0, IPC_SET, argument), 0);
        need_call(MAPSEG_UNTRUSTED, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
        ck_assert_int_eq(value_of(qt.set), 1);
        qt_end(&qt);
    }
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------------------- limits -- */

/// Sets a limit of the test's own world.
static void
set_limit(const char *name, const char *value)
{
    char path[64];
    FILE *stream;

    snprintf(path, sizeof path, "/proc/sys/kernel/%s", name);
    stream = fopen(path, "we");
    ck_assert_ptr_nonnull(stream);
    fputs(value, stream);
    ck_assert_int_eq(fclose(stream), 0);
}

static bool
can_limit(void)
{
    return skip_unless(has_own_world() && access("/proc/sys/kernel/shmmax", W_OK) == 0,
                       "only root can set the limits of a world of its own");
}

/// Nothing is left of a create that fails, and the words name the limit.
static void
need_refused(size_t size, const char *limit)
{
    mapseg *seg = handle_for(key);

    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_create(seg, size, MAPSEG_READ_WRITE));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_msg(strstr(mapseg_error_string(seg), limit) != NULL, "%s", mapseg_error_string(seg));
    ck_assert(!exists(file));
    need_segments(0);
    need_sets(0);
    mapseg_free(seg);
}

START_TEST(larger_than_a_segment_may_be)
{
    if (!can_limit())
        return;
    set_limit("shmmax", "8192");
    need_refused(8193, "kernel.shmmax");
    mapseg_free(created(key, 8192));
}
END_TEST

START_TEST(more_memory_than_all_may_have)
{
    if (!can_limit())
        return;
    set_limit("shmall", "2");
    need_refused(3 * 4096, "kernel.shmall");
}
END_TEST

START_TEST(more_segments_than_there_may_be)
{
    if (!can_limit())
        return;
    set_limit("shmmni", "0");
    need_refused(100, "kernel.shmmni");
}
END_TEST

START_TEST(more_semaphores_than_there_may_be)
{
    if (!can_limit())
        return;
    set_limit("sem", "32000 0 500 0");
    need_refused(100, "kernel.sem");
}
END_TEST

START_TEST(more_memory_than_there_is)
{
    mapseg *seg = handle_for(key);

    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_create(seg, (size_t)1 << 45, MAPSEG_READ_WRITE));
    need_call(MAPSEG_INVALID_SIZE, seg, mapseg_create(seg, 0, MAPSEG_READ_WRITE));
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------- what is seen -- */

START_TEST(described)
{
    struct peer qt = qt_program();
    char process[64];
    mapseg_info *information;
    mapseg *seg, *second;

    tell(&qt, 'c');
    seg = handle_for(key);
    information = describe(seg);
    ck_assert_str_eq(information->native_key, key);
    ck_assert_str_eq(information->path, file);
    ck_assert_str_eq(information->file_system, "System V");
    ck_assert_int_eq(information->type, MAPSEG_KEY_SYSTEMV);
    ck_assert_int_eq(information->verdict, MAPSEG_OK);
    ck_assert_int_eq(information->use, MAPSEG_USE_LIVE);
    ck_assert_uint_eq(information->data_size, 4096);
    ck_assert_uint_eq(information->attached, 1);
    ck_assert_uint_eq(information->mode, 0600);
    ck_assert_uint_eq(information->uid, getuid());
    ck_assert_int_eq(information->lock, MAPSEG_LOCK_STATE_FREE);
    ck_assert_int_eq(information->name_state, MAPSEG_NAME_NONE);
    ck_assert_int_eq(information->writers, MAPSEG_WRITERS_OWNER);
    ck_assert(!information->can_shrink);
    ck_assert_str_eq(information->limitations, "");
    snprintf(process, sizeof process, "process %d made it", (int)qt.pid);
    ck_assert_msg(strstr(information->safety_text, process) != NULL, "%s",
                  information->safety_text);
    mapseg_info_free(information);

    tell(&qt, 'l');
    second = handle_for(key);
    information = describe(second);
    ck_assert_int_eq(information->lock, MAPSEG_LOCK_STATE_HELD);
    ck_assert_int_eq(information->lock_pid, qt.pid);
    mapseg_info_free(information);
    kill_peer(&qt);
    information = describe(second);
    ck_assert_int_eq(information->use, MAPSEG_USE_STALE);
    ck_assert_uint_eq(information->attached, 0);
    mapseg_info_free(information);
    mapseg_free(second);

    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    information = describe(seg);
    ck_assert_int_eq(information->name_state, MAPSEG_NAME_SAME);
    ck_assert_str_ne(information->limitations, "");
    mapseg_info_free(information);
    unlink(file);
    information = describe(seg);
    ck_assert_int_eq(information->name_state, MAPSEG_NAME_GONE);
    mapseg_info_free(information);
    mapseg_free(seg);
}
END_TEST

/// What a list has: how many there are, and those that are looked for.
struct listed {
    int count;
    mapseg_info *by_key; /**< with the test's own key */
    mapseg_info *other;  /**< the last one without a path */
};

static int
note(void *context, mapseg_info *information)
{
    struct listed *listed = context;
    mapseg_info **place = NULL;

    ck_assert_ptr_nonnull(information);
    listed->count++;
    if (strcmp(information->native_key, key) == 0)
        place = &listed->by_key;
    else if (*information->path == '\0')
        place = &listed->other;
    if (place == NULL || *place != NULL)
        mapseg_info_free(information);
    else
        *place = information;
    return 0;
}

/// Segments whose key files lie in the temporary directory are listed by their keys.
START_TEST(listed_by_key)
{
    struct listed listed = {.count = 0};
    char number[16];
    int private;
    mapseg *seg;

    ck_assert_int_eq(setenv("TMPDIR", SHM_DIRECTORY, 1), 0);
    seg = created(key, 1234);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    private = shmget(IPC_PRIVATE, 77, 0644);
    ck_assert_int_ge(private, 0);
    ck_assert_int_eq(msi_system_v_list(note, &listed), 0);
    if (has_own_world())
        ck_assert_int_eq(listed.count, 2);
    ck_assert_ptr_nonnull(listed.by_key);
    ck_assert_uint_eq(listed.by_key->data_size, 1234);
    ck_assert_uint_eq(listed.by_key->attached, 1);
    ck_assert_int_eq(listed.by_key->lock, MAPSEG_LOCK_STATE_HELD);
    ck_assert_int_eq(listed.by_key->lock_pid, getpid());
    ck_assert_str_eq(listed.by_key->path, file);
    ck_assert_ptr_nonnull(listed.other);
    snprintf(number, sizeof number, "0x%08x", 0);
    if (has_own_world()) {
        ck_assert_str_eq(listed.other->native_key, number);
        ck_assert_uint_eq(listed.other->data_size, 77);
        ck_assert_int_eq(listed.other->use, MAPSEG_USE_STALE);
        ck_assert_int_eq(listed.other->lock, MAPSEG_LOCK_STATE_UNKNOWN);
    }
    mapseg_info_free(listed.by_key);
    mapseg_info_free(listed.other);
    ck_assert_int_eq(shmctl(private, IPC_RMID, NULL), 0);
    mapseg_free(seg);
}
END_TEST

START_TEST(not_described)
{
    mapseg *seg = handle_for(key);
    mapseg_info *information;

    need_call(MAPSEG_NOT_FOUND, seg, mapseg_info_new(seg, &information));
    ck_assert_ptr_null(information);
    mapseg_free(seg);
}
END_TEST

/// A segment that was attached to read only cannot be written, and can be locked.
START_TEST(read_only)
{
    mapseg *seg = created(key, 100);
    mapseg *reader = attached(key, MAPSEG_READ_ONLY);
    pid_t child;

    ck_assert_ptr_null(mapseg_data(reader));
    need_call(MAPSEG_OK, reader, mapseg_lock(reader));
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    need_call(MAPSEG_OK, reader, mapseg_unlock(reader));
    child = fork();
    if (child == 0) {
        *(volatile char *)(uintptr_t)mapseg_const_data(reader) = 1;
        _exit(0);
    }
    ck_assert_int_eq(end_of(child), under_sanitizer() ? 1 : 128 + SIGSEGV);
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/// What only a header could hold is refused, and what the memory can have is not.
START_TEST(what_options_may_ask)
{
    static const uint32_t refused[] = {MAPSEG_REPLACE, MAPSEG_REQUIRE_TAG, MAPSEG_WATCH_NAME};
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        options.flags = refused[i];
        need_call(MAPSEG_NOT_SUPPORTED, seg,
                  mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
    }
    options.flags = 0;
    options.group = 1;
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
    ck_assert(!exists(file));
    options.group = 0;
    options.flags = MAPSEG_LAZY | MAPSEG_DUMP | MAPSEG_UNTRUSTED_PEER | MAPSEG_LOCKED;
    options.mode = 0666;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("system V worlds");
    TCase *users = new_case(suite, "users");
    TCase *limits = new_case(suite, "limits");
    TCase *seen = new_case(suite, "seen");
    TCase *const all[] = {users, limits, seen};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tcase_add_checked_fixture(all[i], enter_scene, leave_scene);
    tcase_add_test(users, segment_of_root);
    tcase_add_test(users, segment_of_root_to_read);
    tcase_add_test(users, segment_of_another_user);
    tcase_add_test(users, set_of_another_user);
    tcase_add_test(limits, larger_than_a_segment_may_be);
    tcase_add_test(limits, more_memory_than_all_may_have);
    tcase_add_test(limits, more_segments_than_there_may_be);
    tcase_add_test(limits, more_semaphores_than_there_may_be);
    tcase_add_test(limits, more_memory_than_there_is);
    tcase_add_test(seen, described);
    tcase_add_test(seen, listed_by_key);
    tcase_add_test(seen, not_described);
    tcase_add_test(seen, read_only);
    tcase_add_test(seen, what_options_may_ask);
    return run_suite(suite);
}
