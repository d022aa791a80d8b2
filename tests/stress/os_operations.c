/*
 * os_operations.c - what a program does with a handle while calls of the system fail.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os_operations.h"
#include "os_faults.h"
#include "os_system_v.h"

#include <errno.h>
#include <spawn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

char key[KEY_BYTES];
char path[KEY_BYTES];
int inherited = -1;

static void
keep_key(mapseg *seg)
{
    ck_assert_int_eq(mapseg_set_native_key(seg, key), MAPSEG_OK);
}

static void
detach_all(mapseg *seg)
{
    (void)mapseg_detach(seg);
    ignored(mapseg_remove(seg));
}

static mapseg_result
run_create(mapseg *seg)
{
    return mapseg_create(seg, 100000, MAPSEG_READ_WRITE);
}

static mapseg_result
run_create_read_only(mapseg *seg)
{
    return mapseg_create(seg, 1000, MAPSEG_READ_ONLY);
}

static mapseg_result
fill(void *data, size_t size, void *argument)
{
    memset(data, *(const char *)argument, size);
    return MAPSEG_OK;
}

static mapseg_result
run_create_filled(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char with = 'f';

    options.initialize = fill;
    options.initialize_argument = &with;
    return mapseg_create_with(seg, 1000, MAPSEG_READ_ONLY, &options);
}

static mapseg_result
run_create_private(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_NO_FORK;
    return mapseg_create_with(seg, 1000, MAPSEG_READ_ONLY, &options);
}

static mapseg_result
run_create_locked(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_LOCKED;
    return mapseg_create_with(seg, 10000, MAPSEG_READ_ONLY, &options);
}

static void
leave_something(mapseg *seg)
{
    keep_key(seg);
    leave_debris(key, 500, 7);
}

static mapseg_result
run_create_over(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_RECLAIM;
    return mapseg_create_with(seg, 1000, MAPSEG_READ_WRITE, &options);
}

static mapseg *attached_to_old;

static void
leave_in_use(mapseg *seg)
{
    keep_key(seg);
    attached_to_old = created(key, 500);
}

static mapseg_result
run_replace(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_REPLACE;
    return mapseg_create_with(seg, 1000, MAPSEG_READ_WRITE, &options);
}

static void
end_both(mapseg *seg)
{
    mapseg_free(attached_to_old);
    detach_all(seg);
}

static void
watch_it(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    keep_key(seg);
    options.flags = (uint32_t)MAPSEG_WATCH_NAME | (uint32_t)MAPSEG_WATCH_WRITERS;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
}

/** What cannot be looked at is no news. */
static mapseg_result
run_watch(mapseg *seg)
{
    int nth = plan.nth;
    mapseg_result result;
    mapseg *other;

    plan.nth = 0;
    other = attached(key, MAPSEG_READ_WRITE);
    plan.nth = nth;
    result = mapseg_wait(seg, 0, NULL, 0);
    plan.nth = 0;
    mapseg_free(other);
    plan.nth = nth;
    return result == MAPSEG_TIMED_OUT ? MAPSEG_OK : result;
}

static void
memory_key(mapseg *seg)
{
    ck_assert_int_eq(mapseg_set_native_key(seg, "memfd:"), MAPSEG_OK);
}

static void
leave_for_good(mapseg *seg)
{
    keep_key(seg);
    leave_persistent(key, 5000, 0);
}

static mapseg_result
run_attach(mapseg *seg)
{
    return mapseg_attach(seg, MAPSEG_READ_WRITE);
}

static mapseg_result
run_attach_read_only(mapseg *seg)
{
    return mapseg_attach(seg, MAPSEG_READ_ONLY);
}

void
inherit(mapseg *seg)
{
    mapseg *source = handle_for("memfd:");
    char number[32];

    need_call(MAPSEG_OK, source, mapseg_create(source, 300, MAPSEG_READ_WRITE));
    inherited = exported_fd(source, MAPSEG_READ_WRITE);
    ck_assert_int_ge(inherited, 0);
    mapseg_free(source);
    snprintf(number, sizeof number, "memfd:%d", inherited);
    ck_assert_int_eq(mapseg_set_native_key(seg, number), MAPSEG_OK);
}

static void
disinherit(mapseg *seg)
{
    (void)mapseg_detach(seg);
    close(inherited);
}

static mapseg_result
run_info(mapseg *seg)
{
    mapseg_info *information;
    mapseg_result result = mapseg_info_new(seg, &information);

    mapseg_info_free(information);
    return result;
}

mapseg_result
run_list(mapseg *seg)
{
    mapseg_list *list;
    mapseg_result result = mapseg_list_new(&list);

    (void)seg;
    mapseg_list_free(list);
    return result;
}

static void
attach_for_good(mapseg *seg)
{
    leave_for_good(seg);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
}

static void
create_it(mapseg *seg)
{
    keep_key(seg);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 100, MAPSEG_READ_WRITE));
}

/** One that other users could make shorter, which is used by calls of the system. */
static void
create_for_all(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.mode = 0666;
    keep_key(seg);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
}

static mapseg_result
run_export(mapseg *seg)
{
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);

    if (fd < 0)
        return mapseg_error(seg);
    close(fd);
    return MAPSEG_OK;
}

static mapseg_result
run_create_single_writer(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_SINGLE_WRITER;
    return mapseg_create_with(seg, 1000, MAPSEG_READ_WRITE, &options);
}

static mapseg_result
run_attach_fd(mapseg *seg)
{
    int fd = fcntl(inherited, F_DUPFD_CLOEXEC, 0);
    mapseg_result result = mapseg_attach_fd(seg, fd, MAPSEG_READ_WRITE);

    if (result != MAPSEG_OK)
        ck_assert_int_eq(close(fd), 0);
    return result;
}

static void
create_memory(mapseg *seg)
{
    memory_key(seg);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 300, MAPSEG_READ_WRITE));
}

static mapseg_result
send_to(mapseg *seg, int ends[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    return mapseg_send(seg, ends[0], MAPSEG_READ_WRITE);
}

static mapseg_result
run_send(mapseg *seg)
{
    int ends[2];
    mapseg_result result = send_to(seg, ends);

    close(ends[0]);
    close(ends[1]);
    return result;
}

static mapseg *sender;

static void
keep_sender(mapseg *seg)
{
    (void)seg;
    sender = mapseg_new();
    create_memory(sender);
}

static void
end_sender(mapseg *seg)
{
    (void)mapseg_detach(seg);
    mapseg_free(sender);
}

/** Faults are for the receiver alone. */
static mapseg_result
run_receive(mapseg *seg)
{
    int ends[2], nth = plan.nth;
    mapseg_result result;

    plan.nth = 0;
    need_call(MAPSEG_OK, sender, send_to(sender, ends));
    plan.nth = nth;
    result = mapseg_receive(seg, ends[1], MAPSEG_READ_WRITE);
    close(ends[0]);
    close(ends[1]);
    return result;
}

static mapseg_result
run_spawn_actions(mapseg *seg)
{
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    posix_spawn_file_actions_t actions;
    int fd;

    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    fd = spawn_fd(seg, MAPSEG_READ_ONLY, &actions, variable);
    posix_spawn_file_actions_destroy(&actions);
    if (fd < 0)
        return mapseg_error(seg);
    close(fd);
    return MAPSEG_OK;
}

/** What was written is there, whole; what was refused is not, not even in part. */
static mapseg_result
run_write(mapseg *seg)
{
    static const char text[] = "all of it";
    char seen[sizeof text] = "";
    mapseg_result result = mapseg_write(seg, 10, text, sizeof text);
    int nth = plan.nth;
    mapseg *other;

    /* Another handle looks, so that the reason stays with this one. */
    plan.nth = 0;
    other = attached_as(key, MAPSEG_READ_WRITE, MAPSEG_ALLOW_SHARED_WRITE);
    ck_assert_msg(mapseg_read(other, 10, seen, sizeof seen, NULL) == MAPSEG_OK,
                  "%s %d fails with %s: write: %s, then read: %s", call_names[plan.call], nth,
                  strerror(plan.error), mapseg_result_name(result), mapseg_error_string(other));
    ck_assert_str_eq(seen, result == MAPSEG_OK ? text : "");
    need_call(MAPSEG_OK, other, mapseg_lock(other));
    need_call(MAPSEG_OK, other, mapseg_unlock(other));
    mapseg_free(other);
    plan.nth = nth;
    return result;
}

static mapseg_result
run_read(mapseg *seg)
{
    uint64_t version = 77;
    char byte = 'x';
    mapseg_result result = mapseg_read(seg, 5, &byte, 1, &version);

    ck_assert_uint_eq(version, result == MAPSEG_OK ? 0 : 77);
    return result;
}

static mapseg_result
run_wait(mapseg *seg)
{
    uint64_t now;

    return mapseg_wait(seg, MAPSEG_ANY_VERSION, &now, 0);
}

static mapseg_result
run_change_fd(mapseg *seg)
{
    return notify_fd(seg) < 0 ? mapseg_error(seg) : MAPSEG_OK;
}

static mapseg_result
run_access(mapseg *seg)
{
    mapseg_result result = mapseg_guard_begin(seg);

    if (result == MAPSEG_OK)
        result = mapseg_guard_end(seg);
    return result;
}

static void
leave_owned(mapseg *seg)
{
    pid_t child;

    create_it(seg);
    child = fork();
    if (child == 0) {
        mapseg *own = handle_for(key);

        _exit(mapseg_attach(own, MAPSEG_READ_WRITE) == MAPSEG_OK && mapseg_lock(own) == MAPSEG_OK
                  ? 0
                  : 1);
    }
    ck_assert_int_eq(end_of(child), 0);
}

/** A dead owner is replaced although a call failed on the way. */
static mapseg_result
run_lock(mapseg *seg)
{
    mapseg_result result = mapseg_lock_for(seg, 20 * INT64_C(1000000000));

    ck_assert_msg(result == MAPSEG_OWNER_DIED, "lock: %s: %s", mapseg_result_name(result),
                  mapseg_error_string(seg));
    need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    return MAPSEG_OK;
}

/** The parent does not notice; the child is attached, or knows that it is not. */
static mapseg_result
run_fork(mapseg *seg)
{
    pid_t child = fork();

    if (child == 0) {
        if (mapseg_const_data(seg) == NULL)
            _exit(2);
        if (!mapseg_is_attached(seg))
            _exit(mapseg_lock(seg) == MAPSEG_NOT_ATTACHED ? 0 : 3);
        if (mapseg_lock(seg) != MAPSEG_OK || mapseg_unlock(seg) != MAPSEG_OK)
            _exit(4);
        _exit(mapseg_detach(seg) == MAPSEG_OK ? 0 : 5);
    }
    ck_assert_int_eq(end_of(child), 0);
    ck_assert(mapseg_is_attached(seg));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    return MAPSEG_OK;
}

static mapseg_result
run_detach(mapseg *seg)
{
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(!mapseg_is_attached(seg));
    return MAPSEG_OK;
}

static mapseg *reader;

/** Readers share a byte, so that only the kernel's table tells how many they are. */
static void
attach_reader(mapseg *seg)
{
    char number[32];

    memory_key(seg);
    need_call(MAPSEG_OK, seg, run_create_single_writer(seg));
    inherited = exported_fd(seg, MAPSEG_READ_ONLY);
    snprintf(number, sizeof number, "memfd:%d", inherited);
    reader = attached(number, MAPSEG_READ_ONLY);
}

static void
end_reader(mapseg *seg)
{
    mapseg_free(reader);
    disinherit(seg);
}

static int64_t (*whole_read)(int fd, void *to, size_t bytes, int64_t offset);

static int64_t
refused_read(int fd, void *to, size_t bytes, int64_t offset)
{
    (void)fd, (void)to, (void)bytes, (void)offset;
    return -EPERM;
}

/** What a leaver has to know it cannot read from the file. */
static void
lock_and_lose_reads(mapseg *seg)
{
    create_it(seg);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    whole_read = healthy.read;
    healthy.read = refused_read;
}

static void
regain_reads(mapseg *seg)
{
    healthy.read = whole_read;
    detach_all(seg);
}

static int64_t (*receive_all)(int socket_fd, void *to, size_t bytes, struct msi_received *parcel);

static int64_t
receive_little(int socket_fd, void *to, size_t bytes, struct msi_received *parcel)
{
    return receive_all(socket_fd, to, bytes < 5 ? bytes : 5, parcel);
}

/** The message comes in parts. */
static void
keep_slow_sender(mapseg *seg)
{
    keep_sender(seg);
    if (healthy.socket_receive != receive_little)
        receive_all = healthy.socket_receive;
    healthy.socket_receive = receive_little;
}

/** As leave_owned, of a memory file. Its owner can open it anew in any case: a description that
 *  it shared would not die with it. */
static void
leave_owned_memory(mapseg *seg)
{
    pid_t child;

    inherit(seg);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    child = fork();
    if (child == 0) {
        mapseg *own = handle_for(mapseg_native_key(seg));

        lacks[CALL_reopen] = 0;
        _exit(mapseg_attach(own, MAPSEG_READ_WRITE) == MAPSEG_OK && mapseg_lock(own) == MAPSEG_OK
                  ? 0
                  : 1);
    }
    ck_assert_int_eq(end_of(child), 0);
}

static bool
is_huge(int fd)
{
    (void)fd;
    return true;
}

/** Huge pages are to be had: at least the memory is taken as if they were. */
static void
promise_huge_pages(mapseg *seg)
{
    keep_key(seg);
    healthy.has_huge_pages = is_huge;
}

static mapseg_result
run_create_huge(mapseg *seg)
{
    return mapseg_create(seg, (size_t)4 * 1024 * 1024, MAPSEG_READ_WRITE);
}

char
byte_of(mapseg *seg, size_t offset)
{
    const volatile char *data = mapseg_const_data(seg);

    ck_assert(data != NULL);
    return data[offset];
}

/** The file becomes shorter within the section, and zeros are read. Faults are for the section
 *  alone. */
static mapseg_result
run_access_of_less(mapseg *seg)
{
    int nth = plan.nth;
    mapseg_result result;

    plan.nth = 0;
    detach_all(seg);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 50000, MAPSEG_READ_WRITE));
    memset(data_of(seg), 1, 50000);
    plan.nth = nth;
    result = mapseg_guard_begin(seg);
    if (result != MAPSEG_OK)
        return result;
    ck_assert_int_eq(truncate(path, 8192), 0);
    ck_assert_int_eq(byte_of(seg, 40000), 0);
    ck_assert_int_eq(byte_of(seg, 20000), 0);
    result = mapseg_guard_end(seg);
    return result == MAPSEG_FILE_SHRUNK ? MAPSEG_OK : result;
}

static char runtime[KEY_BYTES + 8];

static void
make_runtime_directory(mapseg *seg)
{
    snprintf(runtime, sizeof runtime, "%s-run", path);
    ck_assert_int_eq(mkdir(runtime, 0700), 0);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", runtime, 1), 0);
    ck_assert_int_eq(mapseg_set_native_key(seg, "runtime:a"), MAPSEG_OK);
}

static void
remove_runtime_directory(mapseg *seg)
{
    char place[sizeof runtime + 8];

    detach_all(seg);
    snprintf(place, sizeof place, "%s/mapseg", runtime);
    ck_assert_int_eq(rmdir(place), 0);
    ck_assert_int_eq(rmdir(runtime), 0);
}

static bool
has_no_number(uint32_t user)
{
    (void)user;
    return true;
}

/** This user's number is that of others, too. */
static void
make_directory_among_many_users(mapseg *seg)
{
    make_runtime_directory(seg);
    healthy.is_overflow_user = has_no_number;
}

/** A group that this user may give files to. */
static mapseg_options
options_for_group(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.group = getegid() != 0 ? getegid() : 1;
    options.flags = MAPSEG_ALLOW_GROUP;
    return options;
}

static mapseg_result
run_create_for_group(mapseg *seg)
{
    const mapseg_options options = options_for_group();

    return mapseg_create_with(seg, 1000, MAPSEG_READ_WRITE, &options);
}

/** A segment of the group's that stays. */
static void
leave_for_group(mapseg *seg)
{
    mapseg_options options = options_for_group();

    keep_key(seg);
    options.flags |= (uint32_t)MAPSEG_PERSISTENT;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 1000, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
}

static mapseg_result
run_attach_to_group(mapseg *seg)
{
    const mapseg_options options = options_for_group();

    return mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options);
}

static char unknown[KEY_BYTES + 24];

static bool
is_always_unknown(int place, uint32_t owner)
{
    (void)place;
    (void)owner;
    return true;
}

/** A directory of a user that the user namespace does not know. */
static void
make_unknown_directory(mapseg *seg)
{
    char place[sizeof unknown + 16];

    make_runtime_directory(seg);
    snprintf(unknown, sizeof unknown, "%s/unknown", runtime);
    ck_assert_int_eq(mkdir(unknown, 0755), 0);
    if (is_root())
        ck_assert_int_eq(chown(unknown, NOBODY, NOBODY), 0);
    healthy.is_unknown_owner = is_always_unknown;
    snprintf(place, sizeof place, "file:%s/a", unknown);
    ck_assert_int_eq(mapseg_set_native_key(seg, place), MAPSEG_OK);
}

static void
remove_unknown_directory(mapseg *seg)
{
    detach_all(seg);
    ck_assert_int_eq(rmdir(unknown), 0);
    ck_assert_int_eq(rmdir(runtime), 0);
}

static char way[KEY_BYTES + 8];

/** A segment in a directory that a symbolic link leads to. */
static void
leave_behind_link(mapseg *seg)
{
    char place[sizeof way + 16];

    make_runtime_directory(seg);
    snprintf(way, sizeof way, "%s-way", path);
    ck_assert_int_eq(symlink(runtime, way), 0);
    snprintf(place, sizeof place, "file:%s/a", way);
    leave_persistent(place, 5000, 0);
    ck_assert_int_eq(mapseg_set_native_key(seg, place), MAPSEG_OK);
}

static void
remove_link(mapseg *seg)
{
    detach_all(seg);
    ck_assert_int_eq(unlink(way), 0);
    ck_assert_int_eq(rmdir(runtime), 0);
}

/* ------------------------------------------- segments of other programs -- */

/** The key of another type for the file at `path`. */
static void
set_type(mapseg *seg, const char *type)
{
    char text[KEY_BYTES + 8];

    snprintf(text, sizeof text, "%s:%s", type,
             strcmp(type, "raw") == 0 ? path : strrchr(path, '/'));
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, text));
}

static void
raw_key(mapseg *seg)
{
    set_type(seg, "raw");
}

static void
posix_key(mapseg *seg)
{
    set_type(seg, "posix");
}

static void
leave_raw(mapseg *seg)
{
    raw_key(seg);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 5000, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
}

static void
leave_posix(mapseg *seg)
{
    posix_key(seg);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 5000, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
}

static void
create_posix(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_REMOVE_WITH_LAST;
    posix_key(seg);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 5000, MAPSEG_READ_WRITE, &options));
}

static void
clear_away(mapseg *seg)
{
    char semaphore[KEY_BYTES + 8];

    (void)mapseg_detach(seg);
    (void)unlink(path);
    snprintf(semaphore, sizeof semaphore, "/dev/shm/sem.%.200s", strrchr(path, '/') + 1);
    (void)unlink(semaphore);
}

static int
die_with_lock(void *handle)
{
    mapseg *seg = handle;

    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    raise(SIGKILL);
    return 1;
}

static void
leave_owned_posix(mapseg *seg)
{
    leave_posix(seg);
    ck_assert_int_eq(in_child(die_with_lock, seg), 128 + SIGKILL);
}

static void
attach_owned_posix(mapseg *seg)
{
    leave_owned_posix(seg);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
}

static void
attach_raw(mapseg *seg)
{
    leave_raw(seg);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
}

static mapseg_result
run_lock_and_unlock(mapseg *seg)
{
    mapseg_result result = mapseg_lock_for(seg, HANG);

    return result == MAPSEG_OK ? mapseg_unlock(seg) : result;
}

static mapseg_result
run_lock_of_dead(mapseg *seg)
{
    mapseg_result result = mapseg_lock_for(seg, HANG);

    if (result != MAPSEG_OWNER_DIED)
        return result;
    need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    return MAPSEG_OK;
}

static mapseg_result
run_repair(mapseg *seg)
{
    return mapseg_repair(seg, false);
}

mapseg_result
run_foreign_list(mapseg *seg)
{
    mapseg_list *list;
    mapseg_result result = mapseg_list_new_foreign(&list);

    (void)seg;
    mapseg_list_free(list);
    return result;
}

const struct operation operations[] = {
    {"create", keep_key, run_create, detach_all, true},
    {"create read-only", keep_key, run_create_read_only, detach_all, true},
    {"create apart from children", keep_key, run_create_private, detach_all, true},
    {"create and initialise", keep_key, run_create_filled, detach_all, true},
    {"create over debris", leave_something, run_create_over, detach_all, true},
    {"create a memory file", memory_key, run_create, detach_all, true},
    {"attach", leave_for_good, run_attach, detach_all, true},
    {"attach read-only", leave_for_good, run_attach_read_only, detach_all, true},
    {"attach a descriptor", inherit, run_attach, disinherit, true},
    {"detach", create_it, run_detach, detach_all, false},
    {"remove", leave_for_good, mapseg_remove, detach_all, false},
    {"reclaim", leave_something, mapseg_reclaim, detach_all, false},
    {"info", leave_for_good, run_info, detach_all, false},
    {"list", leave_for_good, run_list, detach_all, false},
    {"export", attach_for_good, run_export, detach_all, false},
    {"lock after a death", leave_owned, run_lock, detach_all, false},
    {"fork", create_it, run_fork, detach_all, false},
    {"create a single writer", memory_key, run_create_single_writer, detach_all, true},
    {"receive", keep_sender, run_receive, end_sender, true},
    {"send", create_memory, run_send, detach_all, false},
    {"attach a descriptor for good", inherit, run_attach_fd, disinherit, true},
    {"info of a memory file", create_memory, run_info, detach_all, false},
    {"file actions", create_memory, run_spawn_actions, detach_all, false},
    {"write", create_for_all, run_write, detach_all, false},
    {"read", create_for_all, run_read, detach_all, false},
    {"wait", create_for_all, run_wait, detach_all, false},
    {"a descriptor for changes", create_it, run_change_fd, detach_all, false},
    {"an access section", create_it, run_access, detach_all, false},
    {"an access to what is gone", keep_key, run_access_of_less, detach_all, false},
    {"create in huge pages", promise_huge_pages, run_create_huge, detach_all, true},
    {"create in a runtime directory", make_runtime_directory, run_create, remove_runtime_directory,
     true},
    {"create among users without a number", make_directory_among_many_users, run_create,
     remove_runtime_directory, true},
    {"create in memory that is kept", keep_key, run_create_locked, detach_all, true},
    {"receive in parts", keep_slow_sender, run_receive, end_sender, true},
    {"info beside a reader", attach_reader, run_info, end_reader, false},
    {"detach with the lock where nothing is read", lock_and_lose_reads, run_detach, regain_reads,
     false},
    {"create for a group", keep_key, run_create_for_group, detach_all, true},
    {"attach to a group's", leave_for_group, run_attach_to_group, detach_all, true},
    {"create in a directory of an unknown user", make_unknown_directory, run_create,
     remove_unknown_directory, true},
    {"create in place of another", leave_in_use, run_replace, end_both, true},
    {"wait and watch", watch_it, run_watch, detach_all, false},
    {"create a System V segment", system_v_nothing, run_create, system_v_end, true},
    {"create a System V segment read-only", system_v_nothing, run_create_filled, system_v_end,
     true},
    {"create a System V segment over debris", system_v_debris, run_system_v_reclaiming,
     system_v_end, true},
    {"attach to a System V segment", system_v_other, run_attach, system_v_end, true},
    {"detach from a System V segment", system_v_own, run_detach, system_v_end, false},
    {"lock a System V segment", system_v_own, run_system_v_lock, system_v_end, false},
    {"reclaim a System V segment", system_v_debris, run_system_v_reclaim, system_v_end, false},
    {"remove a System V segment", system_v_other, run_system_v_remove, system_v_end, false},
    {"repair a System V lock", system_v_dead_owner, run_system_v_repair, system_v_end, false},
    {"info of a System V segment", system_v_other, run_info, system_v_end, false},
    {"list System V segments", system_v_other, run_system_v_list, system_v_end, false},
    {"create a raw file", raw_key, run_create, clear_away, true},
    {"attach a raw file", leave_raw, run_attach, clear_away, true},
    {"lock a raw file", attach_raw, run_lock_and_unlock, clear_away, false},
    {"create a POSIX segment", posix_key, run_create, clear_away, true},
    {"attach a POSIX segment", leave_posix, run_attach, clear_away, true},
    {"lock a POSIX segment", create_posix, run_lock_and_unlock, clear_away, false},
    {"lock a POSIX segment after a death", attach_owned_posix, run_lock_of_dead, clear_away, false},
    {"repair a POSIX segment", leave_owned_posix, run_repair, clear_away, false},
    {"remove a POSIX segment", leave_posix, mapseg_remove, clear_away, false},
    {"detach a POSIX segment", create_posix, run_detach, clear_away, false},
    {"info of a POSIX segment", leave_posix, run_info, clear_away, false},
    {"list what other programs have", leave_posix, run_foreign_list, clear_away, false},
    {"lock a memory file after a death", leave_owned_memory, run_lock, disinherit, false},
    {"attach behind a link", leave_behind_link, run_attach, remove_link, true},
};

const int operation_count = (int)(sizeof operations / sizeof *operations);
