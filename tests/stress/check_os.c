/*
 * check_os.c - every call of the operating system fails once.
 *
 * For each operation, each call of os.h that it makes, each time it makes it and each of several
 * errors: the operation fails with a reason and changes nothing, or gets by without; nothing is
 * leaked; and the next attempt works.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---------------------------------------------------------- the faults -- */

/* What is made of each operation that can fail. */
#define UNLESS_NEVER(...)
#define UNLESS_BY_ERRNO(...) __VA_ARGS__
#define UNLESS_BY_NULL(...) __VA_ARGS__
#define UNLESS_BY_NULL_AND_ERROR(...) __VA_ARGS__
#define UNLESS_BY_ZERO(...) __VA_ARGS__
#define UNLESS_BY_ANSWER(...) __VA_ARGS__

enum call {
#define OPERATION(failure, type, name, parameters, arguments) UNLESS_##failure(CALL_##name, )
#include "os/operations.h"
    CALL_COUNT
};

static const char *const call_names[] = {
#define OPERATION(failure, type, name, parameters, arguments) UNLESS_##failure(#name, )
#include "os/operations.h"
};

/* Whether it matters which error a call fails with. */
enum way { BY_ERRNO, BY_NULL_AND_ERROR, BY_NULL, BY_ZERO, BY_ANSWER };

static const enum way ways[] = {
#define OPERATION(failure, type, name, parameters, arguments) UNLESS_##failure(failure, )
#include "os/operations.h"
};

static struct msi_os_operations healthy;

static struct {
    enum call call;
    int error;   /* positive */
    int nth;     /* which time; 0: never */
    int times;   /* made so far */
    bool struck; /* the fault has happened */
} plan;

/* Which have ever failed, in any test: shared with the processes that these are. */
static bool *failed_once;

/* Faults happen to this thread, not to those that the library starts. */
static _Thread_local bool is_test;

/* What this system is made to lack, whatever the plan. */
static int lacks[CALL_COUNT];

/** The error that a call is to have now; 0: none. */
static int
fault(enum call call)
{
    if (lacks[call] != 0)
        return -lacks[call];
    if (!is_test || call != plan.call || plan.nth == 0 || ++plan.times != plan.nth)
        return 0;
    plan.struck = true;
    failed_once[call] = true;
    return -plan.error;
}

#define WRAP_BY_ERRNO(type, name, parameters, arguments)                                           \
    static type faulty_##name parameters                                                           \
    {                                                                                              \
        int error = fault(CALL_##name);                                                            \
                                                                                                   \
        return error != 0 ? error : healthy.name arguments;                                        \
    }

#define WRAP_BY_NULL(type, name, parameters, arguments)                                            \
    static type faulty_##name parameters                                                           \
    {                                                                                              \
        return fault(CALL_##name) != 0 ? NULL : healthy.name arguments;                            \
    }

#define WRAP_BY_NULL_AND_ERROR(type, name, parameters, arguments)                                  \
    static type faulty_##name parameters                                                           \
    {                                                                                              \
        int refusal = fault(CALL_##name);                                                          \
                                                                                                   \
        if (refusal == 0)                                                                          \
            return healthy.name arguments;                                                         \
        *error = refusal;                                                                          \
        return NULL;                                                                               \
    }

#define WRAP_BY_ZERO(type, name, parameters, arguments)                                            \
    static type faulty_##name parameters                                                           \
    {                                                                                              \
        return fault(CALL_##name) != 0 ? 0 : healthy.name arguments;                               \
    }

#define WRAP_BY_ANSWER(type, name, parameters, arguments)                                          \
    static type faulty_##name parameters                                                           \
    {                                                                                              \
        bool other = fault(CALL_##name) != 0;                                                      \
                                                                                                   \
        return healthy.name arguments != other;                                                    \
    }

/* An operation that is to fail never has no way to say that it did. */
#define WRAP_NEVER(type, name, parameters, arguments)                                              \
    _Static_assert(_Generic((type *)NULL, int *: false, bool *: false, default: true),             \
                   #name " can fail");

#define OPERATION(failure, type, name, parameters, arguments)                                      \
    WRAP_##failure(type, name, parameters, arguments)
#include "os/operations.h"

static void
install_faults(void)
{
    healthy = msi_os;
    is_test = true;
#define OPERATION(failure, type, name, parameters, arguments)                                      \
    UNLESS_##failure(msi_os.name = faulty_##name;)
#include "os/operations.h"
}

/* ------------------------------------------------------ the operations -- */

static char key[KEY_BYTES];
static char path[KEY_BYTES];

/** One thing that a program does with a handle. `run` returns its result, or TOLERATED where
 *  success is not required because only an accessory failed. */
struct operation {
    const char *name;
    void (*prepare)(mapseg *seg);
    mapseg_result (*run)(mapseg *seg);
    void (*clean_up)(mapseg *seg);
    bool attaches; /* success means that the handle is attached, failure that it is not */
};

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
run_create_private(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_NO_FORK;
    return mapseg_create_with(seg, 1000, MAPSEG_READ_ONLY, &options);
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

static int inherited = -1;

static void
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

static mapseg_result
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
    other = attached(key, MAPSEG_READ_WRITE);
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

    return mapseg_wait(seg, 1, &now, 0);
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

/** A byte of the data, as it is at this moment. */
static char
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

static const struct operation operations[] = {
    {"create", keep_key, run_create, detach_all, true},
    {"create read-only", keep_key, run_create_read_only, detach_all, true},
    {"create apart from children", keep_key, run_create_private, detach_all, true},
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
    {"write", create_it, run_write, detach_all, false},
    {"read", create_it, run_read, detach_all, false},
    {"wait", create_it, run_wait, detach_all, false},
    {"a descriptor for changes", create_it, run_change_fd, detach_all, false},
    {"an access section", create_it, run_access, detach_all, false},
    {"an access to what is gone", keep_key, run_access_of_less, detach_all, false},
    {"create in huge pages", promise_huge_pages, run_create_huge, detach_all, true},
    {"create in a runtime directory", make_runtime_directory, run_create, remove_runtime_directory,
     true},
    {"create among users without a number", make_directory_among_many_users, run_create,
     remove_runtime_directory, true},
    {"receive in parts", keep_slow_sender, run_receive, end_sender, true},
    {"info beside a reader", attach_reader, run_info, end_reader, false},
    {"detach with the lock where nothing is read", lock_and_lose_reads, run_detach, regain_reads,
     false},
    {"lock a memory file after a death", leave_owned_memory, run_lock, disinherit, false},
    {"attach behind a link", leave_behind_link, run_attach, remove_link, true},
};

enum { OPERATIONS = sizeof operations / sizeof *operations };

/* Those from here to there work without /proc, and the last but one. */
enum { FIRST_WITHOUT_PROC = 16, LAST_WITHOUT_PROC = 19, BEHIND_LINK = OPERATIONS - 1 };

/* ------------------------------------------------------------ the runs -- */

/** What is not a failure of the operation but an answer to it. */
static bool
is_tolerated(const struct operation *operation, mapseg_result result)
{
    return result == MAPSEG_OK && operation->run != NULL;
}

/** Runs the operation with the plan's fault; whether that struck. */
static bool
run_with_fault(const struct operation *operation, enum call call, int nth, int error)
{
    struct footprint before;
    mapseg_result result;
    mapseg *seg;
    bool struck;

    unique_key(key);
    path_of(path, key);
    take_footprint(&before, NULL);
    seg = mapseg_new();
    operation->prepare(seg);

    plan.call = call;
    plan.error = error;
    plan.nth = nth;
    plan.times = 0;
    plan.struck = false;
    result = operation->run(seg);
    plan.nth = 0;
    struck = plan.struck;

    if (operation->attaches)
        ck_assert_msg(mapseg_is_attached(seg) == (result == MAPSEG_OK),
                      "%s, %s %d fails with %s: %s but attached %d", operation->name,
                      call_names[call], nth, strerror(error), mapseg_result_name(result),
                      mapseg_is_attached(seg));
    if (!is_tolerated(operation, result)) {
        ck_assert_msg(struck, "%s: %s without a fault: %s", operation->name,
                      mapseg_result_name(result), mapseg_error_string(seg));
        if (operation->run != run_list)
            ck_assert_msg(is_one_line(mapseg_error_string(seg)), "%s, %s: no reason given",
                          operation->name, call_names[call]);
        result = operation->run(seg);
        ck_assert_msg(result == MAPSEG_OK, "%s, after %s %d failed with %s: %s", operation->name,
                      call_names[call], nth, strerror(error), mapseg_error_string(seg));
    }
    operation->clean_up(seg);
    mapseg_free(seg);
    ck_assert_msg(!exists(path), "%s, %s %d fails with %s: the name is left", operation->name,
                  call_names[call], nth, strerror(error));
    check_footprint(&before, NULL);
    return struck;
}

/** Every call that the operation makes, every time, with every error. Returns the count. */
static int
run_all_faults(const struct operation *operation)
{
    static const int errors[] = {EIO,    ENOMEM, EACCES, EPERM,  EMFILE, ENFILE, ENOSPC,
                                 EDQUOT, EAGAIN, EINVAL, ENOENT, ENOLCK, ENOSYS, EOPNOTSUPP};
    int points = 0;

    for (int call = 0; call < CALL_COUNT; call++)
        for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
            int before = points;

            if (i > 0 && ways[call] != BY_ERRNO && ways[call] != BY_NULL_AND_ERROR)
                break;

            for (int nth = 1; run_with_fault(operation, (enum call)call, nth, errors[i]); nth++)
                points++;
            /* A call that is not made cannot fail in another way either. */
            if (points == before)
                break;
        }
    return points;
}

/** Others' segments would have to be listed too. */
static void
use_own_shm(void)
{
    if (can_mount())
        use_tiny_shm("size=16m");
}

/** Whether it is seen who owns what leads to a file. */
static bool
owners_are_seen(void)
{
    struct stat status;

    return stat("/", &status) == 0 && status.st_uid == 0;
}

START_TEST(each_call_fails_once)
{
    const struct operation *operation = &operations[_i];
    int points;

    /* An ordinary user has a mount only in a user namespace, where root has no number. */
    if (_i != BEHIND_LINK)
        use_own_shm();
    install_faults();
    points = run_all_faults(operation);
    printf("%s: %d faults\n", operation->name, points);
    ck_assert_int_gt(points, 4);
}
END_TEST

/* Without /proc nothing can be opened anew but by its name. */
START_TEST(without_proc)
{
    install_faults();
    lacks[CALL_reopen] = ENOENT;
    lacks[CALL_link] = ENOENT;
    lacks[CALL_lock_table] = ENOENT;
    lacks[CALL_lock_table_numbers] = ENOENT;
    ck_assert_int_gt(run_all_faults(&operations[_i]), 0);
}
END_TEST

/* Where files cannot be without a name they have a private one meanwhile. */
START_TEST(without_unnamed_files)
{
    install_faults();
    lacks[CALL_open_unnamed] = EOPNOTSUPP;
    ck_assert_int_gt(run_all_faults(&operations[_i]), 0);
}
END_TEST

/* A description's own locks never conflict on it. Two attachments that have to share one, because
 * the file cannot be opened anew, must still see each other. */
START_TEST(two_attachments_on_one_description)
{
    mapseg_info *information;
    mapseg *first = mapseg_new();
    mapseg *second = mapseg_new();

    inherit(first);
    ck_assert_int_eq(mapseg_set_native_key(second, mapseg_native_key(first)), MAPSEG_OK);
    install_faults();
    lacks[CALL_reopen] = EACCES;
    need_call(MAPSEG_OK, first, mapseg_attach(first, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, second, mapseg_attach(second, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, first, mapseg_info_new(first, &information));
    ck_assert_int_eq(information->presence, MAPSEG_PRESENCE_RECEIVED);
    mapseg_info_free(information);

    need_call(MAPSEG_OK, first, mapseg_lock(first));
    need_call(MAPSEG_TIMED_OUT, second, mapseg_lock_for(second, 50 * INT64_C(1000000)));
    need_call(MAPSEG_WOULD_BLOCK, second, mapseg_try_lock(second));
    need_call(MAPSEG_OK, second, mapseg_info_new(second, &information));
    ck_assert_int_eq(information->lock, MAPSEG_LOCK_STATE_HELD);
    mapseg_info_free(information);
    need_call(MAPSEG_OK, first, mapseg_unlock(first));
    need_call(MAPSEG_OK, second, mapseg_lock(second));
    /* To leave with the lock is to release it. */
    need_call(MAPSEG_OK, second, mapseg_detach(second));
    need_call(MAPSEG_OK, first, mapseg_try_lock(first));
    mapseg_free(first);
    mapseg_free(second);
    close(inherited);
}
END_TEST

/* Many programs hold many handles. */
START_TEST(a_handle_is_small)
{
    enum { HANDLES = 200 };
    mapseg *handles[HANDLES];
    size_t before = 0;

    unique_key(key);
    leave_persistent(key, 100, 0);
    for (int i = 0; i < HANDLES; i++) {
        if (i == HANDLES / 2)
            before = mallinfo2().uordblks;
        handles[i] = handle_for(key);
        need_call(MAPSEG_OK, handles[i], mapseg_attach(handles[i], MAPSEG_READ_WRITE));
    }
    ck_assert_uint_lt(mallinfo2().uordblks - before, (size_t)512 * (HANDLES / 2));
    for (int i = 0; i < HANDLES; i++)
        mapseg_free(handles[i]);
    handles[0] = handle_for(key);
    need_call(MAPSEG_OK, handles[0], mapseg_remove(handles[0]));
    mapseg_free(handles[0]);
}
END_TEST

/* The very first handle of a process also sets up what forks need; a list does, too. */
START_TEST(the_first_handle)
{
    mapseg_list *list;
    mapseg *seg;

    install_faults();
    unique_key(key);
    plan.call = CALL_wiped_page;
    plan.error = ENOMEM;
    plan.nth = 1;
    if (_i == 0)
        ck_assert_ptr_null(mapseg_new());
    else
        ck_assert_int_eq(mapseg_list_new(&list), MAPSEG_OUT_OF_RESOURCES);
    ck_assert(plan.struck);
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    mapseg_free(seg);
}
END_TEST

/* The very first section of a process sets the handler of SIGBUS. */
START_TEST(the_first_section)
{
    mapseg *seg;

    install_faults();
    unique_key(key);
    seg = created(key, 10);
    plan.call = CALL_signal_action;
    plan.error = EINVAL;
    plan.nth = 1;
    ck_assert_int_ne(mapseg_guard_begin(seg), MAPSEG_OK);
    ck_assert(plan.struck);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    /* What the library itself does with the segment goes on. */
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "x", 1));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    mapseg_free(seg);
}
END_TEST

/* What a program that was started by another finds out first. */
START_TEST(the_environment)
{
    mapseg *seg;

    install_faults();
    unique_key(key);
    ck_assert_int_eq(setenv("MAPSEG_KEY", key, 1), 0);
    plan.call = CALL_environment_key;
    plan.error = ENOENT;
    plan.nth = 1;
    seg = mapseg_new_from_environment();
    ck_assert(seg != NULL);
    ck_assert(plan.struck);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_FOUND);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    mapseg_free(seg);
    seg = mapseg_new_from_environment();
    ck_assert(seg != NULL);
    ck_assert_str_eq(mapseg_native_key(seg), key);
    mapseg_free(seg);
}
END_TEST

static int
read_what_is_gone(void *argument)
{
    mapseg *seg = created(key, 50000);

    (void)argument;
    lacks[CALL_map_zeros] = ENOMEM;
    if (mapseg_guard_begin(seg) != MAPSEG_OK || truncate(path, 8192) != 0)
        return 1;
    return byte_of(seg, 40000);
}

/* Where there is no memory for zeros, the fault does what it does without a section. */
START_TEST(zeros_that_cannot_be_had)
{
    mapseg *seg;

    install_faults();
    unique_key(key);
    path_of(path, key);
    ck_assert_int_eq(in_child(read_what_is_gone, NULL), 128 + SIGBUS);
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/* The last test: what stands in the list, and has failed in none of those before, is in none. */
START_TEST(every_call_has_failed)
{
    char missing[2000] = "";

    for (int call = 0; call < CALL_COUNT; call++)
        if (!failed_once[call]) {
            size_t length = strlen(missing);

            snprintf(missing + length, sizeof missing - length, " %s", call_names[call]);
        }
    ck_assert_msg(*missing == '\0', "no test has let these fail:%s", missing);
}
END_TEST

int
main(void)
{
    const bool all = skip_unless(owners_are_seen(), "a root directory that is seen to be root's");
    Suite *suite = new_suite("os");
    TCase *test_case = new_case(suite, "faults");

    failed_once = mmap(NULL, CALL_COUNT * sizeof *failed_once, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (failed_once == MAP_FAILED) {
        perror("mmap");
        return EXIT_FAILURE;
    }
    tcase_add_loop_test(test_case, the_first_handle, 0, 2);
    tcase_add_test(test_case, the_first_section);
    tcase_add_test(test_case, the_environment);
    /* The sanitizers end the program at such a fault in their own way. */
    if (!under_sanitizer())
        tcase_add_test(test_case, zeros_that_cannot_be_had);
    /* Their allocators count in another way. */
    if (!under_sanitizer() && !under_valgrind())
        tcase_add_test(test_case, a_handle_is_small);
    tcase_add_test(test_case, two_attachments_on_one_description);
    tcase_add_loop_test(test_case, each_call_fails_once, 0, all ? OPERATIONS : BEHIND_LINK);
    tcase_add_loop_test(test_case, without_proc, 0, 4);
    tcase_add_loop_test(test_case, without_proc, 5, 7);
    tcase_add_loop_test(test_case, without_proc, FIRST_WITHOUT_PROC, LAST_WITHOUT_PROC + 1);
    tcase_add_loop_test(test_case, without_proc, BEHIND_LINK - 1, BEHIND_LINK);
    tcase_add_loop_test(test_case, without_unnamed_files, 0, 4);
    if (all)
        tcase_add_test(test_case, every_call_has_failed);
    return run_suite(suite);
}
