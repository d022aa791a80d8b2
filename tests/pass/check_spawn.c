/*
 * check_spawn.c - mapseg_spawn_actions and mapseg_new_from_environment: segments that programs
 * inherit.
 *
 * Run with a word that begins with "--" it is such a program: see main.
 *
 * SPDX-License-Identifier: MIT
 */
#include "segments.h"
#include "sockets.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---------------------------------------------------- what a child does -- */

/* How a child ends. */
enum { SAW_TEXT = MAPSEG_OK, FOUND_KEY = 10, NO_KEY = 11, HAS_ROOT = 20, NOT_READ = 60 };

/** Attaches to what the environment says. */
static int
child_attaches(void)
{
    mapseg *seg = mapseg_new_from_environment();
    int status = (int)mapseg_attach(seg, MAPSEG_READ_ONLY);

    if (status == MAPSEG_OK && strcmp(mapseg_const_data(seg), "inherited") != 0)
        status = NOT_READ;
    mapseg_free(seg);
    return status;
}

/** Locks and waits for its end. */
static int
child_locks(void)
{
    mapseg *seg = mapseg_new_from_environment();

    if (mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK || mapseg_lock(seg) != MAPSEG_OK)
        return 1;
    say(1, 'y');
    for (;;)
        pause();
}

static int
child_looks_for_key(void)
{
    mapseg *seg = mapseg_new_from_environment();
    int status = mapseg_native_key(seg) != NULL ? FOUND_KEY
                 : mapseg_error(seg) == MAPSEG_NOT_FOUND && is_one_line(mapseg_error_string(seg))
                     ? NO_KEY
                     : NOT_READ;

    mapseg_free(seg);
    return status + (geteuid() == 0 && getuid() != 0 ? HAS_ROOT : 0);
}

/** Libcheck's assertions, which the helpers use, end a program that is no test. */
static int
child_counts(void)
{
    int count = 0;

    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

/* ------------------------------------------------------------- children -- */

/** Starts this program anew. */
static pid_t
spawn(const char *word, posix_spawn_file_actions_t *actions, char *variable)
{
    char name[] = "check_spawn", argument[32], program[PATH_MAX];
    char *arguments[] = {name, argument, NULL};
    char *environment[] = {variable, NULL};
    pid_t child;

    snprintf(argument, sizeof argument, "%s", word);
    own_program(program);
    ck_assert_int_eq(posix_spawn(&child, program, actions, NULL, arguments, environment), 0);
    return child;
}

/** Spawns with the segment; how the child ends. */
static int
spawn_with(mapseg *seg, mapseg_access access, const char *word)
{
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    posix_spawn_file_actions_t actions;
    int fd, status;

    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    fd = spawn_fd(seg, access, &actions, variable);
    ck_assert_msg(fd >= 0, "%s", mapseg_error_string(seg));
    status = end_of(spawn(word, &actions, variable));
    close(fd);
    posix_spawn_file_actions_destroy(&actions);
    return status;
}

START_TEST(a_child_inherits)
{
    mapseg *seg = memory_segment("inherited");
    int before = count_descriptors();

    ck_assert_int_eq(spawn_with(seg, (mapseg_access)_i, "--attach"), SAW_TEXT);
    ck_assert_int_eq(count_descriptors(), before);
    check_attached(seg, 1);
    mapseg_free(seg);
}
END_TEST

START_TEST(what_the_child_is_told)
{
    mapseg *seg = memory_segment("inherited"), *child;
    char variable[MAPSEG_ENVIRONMENT_BYTES], expected[KEY_BYTES];
    posix_spawn_file_actions_t actions;
    int fd;

    memset(variable, 'x', sizeof variable);
    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    fd = spawn_fd(seg, (mapseg_access)_i, &actions, variable);
    ck_assert_int_ge(fd, 0);
    ck_assert(is_close_on_exec(fd));
    ck_assert_int_eq(access_mode_of(fd), _i == 0 ? O_RDONLY : O_RDWR);
    ck_assert_ptr_nonnull(memchr(variable, '\0', sizeof variable));
    ck_assert_int_eq(strncmp(variable, "MAPSEG_KEY=", 11), 0);
    ck_assert_int_eq(setenv("MAPSEG_KEY", variable + 11, 1), 0);
    child = mapseg_new_from_environment();
    ck_assert_int_eq(mapseg_error(child), MAPSEG_OK);
    ck_assert(!mapseg_is_attached(child));
    snprintf(expected, sizeof expected, "memfd:%d?id=", fd);
    ck_assert_int_eq(strncmp(mapseg_native_key(child), expected, strlen(expected)), 0);
    ck_assert_str_eq(mapseg_native_key(child), variable + 11);
    ck_assert_uint_eq(strlen(variable), 11 + strlen(expected) + 32);
    need_call(MAPSEG_OK, child, mapseg_attach(child, (mapseg_access)_i));
    check_text(child, "inherited");
    mapseg_free(child);
    close(fd);
    posix_spawn_file_actions_destroy(&actions);
    mapseg_free(seg);
}
END_TEST

/** A child has what it was given, and nothing else of the library's. */
START_TEST(a_child_gets_no_other_descriptor)
{
    mapseg *seg = memory_segment("inherited"), *other = memory_segment("not inherited");
    mapseg *receiver = mapseg_new();
    char nothing[] = "X=", key[KEY_BYTES];
    int without, exported, ends[2];
    mapseg *named;

    without = end_of(spawn("--count", NULL, nothing));
    ck_assert_int_ge(without, 1);
    connect_ends(STREAM, ends);
    need_call(MAPSEG_OK, other, mapseg_send(other, ends[0], MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
    unique_key(key);
    named = created(key, SIZE);
    exported = exported_fd(other, MAPSEG_READ_ONLY);
    ck_assert_int_eq(end_of(spawn("--count", NULL, nothing)), without);
    ck_assert_int_eq(spawn_with(seg, MAPSEG_READ_WRITE, "--count"), without + 1);
    close(exported);
    close_ends(ends);
    mapseg_free(named);
    mapseg_free(receiver);
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/** The number may be free in the child, or one that its other actions give it. */
START_TEST(actions_that_were_there_before)
{
    mapseg *seg = memory_segment("inherited");
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    posix_spawn_file_actions_t actions;
    int fd;

    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    ck_assert_int_eq(posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0), 0);
    fd = spawn_fd(seg, MAPSEG_READ_ONLY, &actions, variable);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0), 0);
    ck_assert_int_eq(end_of(spawn("--attach", &actions, variable)), SAW_TEXT);
    /* A second child of the same actions shares the description, but reads all the same. */
    ck_assert_int_eq(end_of(spawn("--attach", &actions, variable)), SAW_TEXT);
    close(fd);
    posix_spawn_file_actions_destroy(&actions);
    mapseg_free(seg);
}
END_TEST

START_TEST(spawn_refusals)
{
    mapseg *seg = memory_segment("inherited"), *reader = mapseg_new();
    char variable[MAPSEG_ENVIRONMENT_BYTES], nothing[] = "X=";
    int fd = exported_fd(seg, MAPSEG_READ_ONLY), before = count_descriptors();
    posix_spawn_file_actions_t actions;

    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    ck_assert_int_eq(spawn_fd(reader, MAPSEG_READ_ONLY, &actions, variable), -1);
    check_reason(reader, MAPSEG_NOT_ATTACHED);
    need_call(MAPSEG_OK, reader, mapseg_attach_fd(reader, fd, MAPSEG_READ_ONLY));
    ck_assert_int_eq(spawn_fd(reader, MAPSEG_READ_WRITE, &actions, variable), -1);
    check_reason(reader, MAPSEG_PERMISSION_DENIED);
    ck_assert_int_eq(count_descriptors(), before);
    /* The actions can still be used. */
    ck_assert_int_eq(end_of(spawn("--key", &actions, nothing)), NO_KEY);
    posix_spawn_file_actions_destroy(&actions);
    mapseg_free(reader);
    mapseg_free(seg);
}
END_TEST

/** A plain fork and exec. */
static int
exec_with(void *argument)
{
    char program[PATH_MAX];
    char *variable = argument;
    int fd;

    if (sscanf(variable, "MAPSEG_KEY=memfd:%d", &fd) != 1 || fcntl(fd, F_SETFD, 0) != 0 ||
        putenv(variable) != 0)
        return 90;
    own_program(program);
    execl(program, "check_spawn", "--attach", (char *)NULL);
    return 91;
}

START_TEST(plain_fork_and_exec)
{
    mapseg *seg = memory_segment("inherited");
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    char *last;
    int fd = spawn_fd(seg, (mapseg_access)_i, NULL, variable);

    ck_assert_int_ge(fd, 0);
    ck_assert(is_close_on_exec(fd));
    ck_assert_int_eq(in_child(exec_with, variable), SAW_TEXT);
    /* Another id: by then the number means another file. */
    last = variable + strlen(variable) - 1;
    *last = *last == '0' ? '1' : '0';
    ck_assert_int_eq(in_child(exec_with, variable), MAPSEG_NOT_FOUND);
    close(fd);
    mapseg_free(seg);
}
END_TEST

START_TEST(a_killed_child_is_gone_at_once)
{
    mapseg *seg = memory_segment("inherited");
    char variable[MAPSEG_ENVIRONMENT_BYTES];
    posix_spawn_file_actions_t actions;
    int fd, channel[2];
    pid_t child;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
    ck_assert_int_eq(posix_spawn_file_actions_adddup2(&actions, channel[1], 1), 0);
    fd = spawn_fd(seg, MAPSEG_READ_WRITE, &actions, variable);
    ck_assert_int_ge(fd, 0);
    child = spawn("--lock", &actions, variable);
    close(fd);
    close(channel[1]);
    ck_assert_int_eq(hear(channel[0]), 'y');
    check_attached(seg, 2);
    need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(end_of(child), 128 + SIGKILL);
    check_attached(seg, 1);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock_for(seg, HANG));
    close(channel[0]);
    posix_spawn_file_actions_destroy(&actions);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------- environment -- */

static void
check_no_key(const char *value, mapseg_result expected)
{
    mapseg *seg;

    if (value == NULL)
        ck_assert_int_eq(unsetenv("MAPSEG_KEY"), 0);
    else
        ck_assert_int_eq(setenv("MAPSEG_KEY", value, 1), 0);
    seg = mapseg_new_from_environment();
    ck_assert_ptr_nonnull(seg);
    ck_assert_msg(mapseg_error(seg) == expected, "'%s': %s", value == NULL ? "(unset)" : value,
                  mapseg_result_name(mapseg_error(seg)));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert_ptr_null(mapseg_native_key(seg));
    ck_assert_ptr_null(mapseg_key(seg));
    /* It is a handle like any other. */
    need_call(MAPSEG_KEY_ERROR, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "memfd:"));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 10, MAPSEG_READ_WRITE));
    mapseg_free(seg);
}

START_TEST(an_environment_without_a_key)
{
    static const char *const malformed[] = {"memfd",         "memfd:x",           "memfd:-1",
                                            "memfd:3?id=12", "memfd:3?di=1",      ":",
                                            "nonsense:5",    "memfd:99999999999", "/dev/shm/x"};

    check_no_key(NULL, MAPSEG_NOT_FOUND);
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        check_no_key(malformed[i], MAPSEG_KEY_ERROR);
}
END_TEST

START_TEST(an_environment_with_another_key)
{
    char key[KEY_BYTES];
    mapseg *seg, *child;

    unique_key(key);
    seg = created(key, SIZE);
    strcpy(mapseg_data(seg), "inherited");
    ck_assert_int_eq(setenv("MAPSEG_KEY", key, 1), 0);
    child = mapseg_new_from_environment();
    ck_assert_str_eq(mapseg_native_key(child), key);
    need_call(MAPSEG_OK, child, mapseg_attach(child, MAPSEG_READ_ONLY));
    check_text(child, "inherited");
    mapseg_free(child);
    mapseg_free(seg);
}
END_TEST

/** What number means nothing. */
START_TEST(an_environment_with_a_closed_descriptor)
{
    mapseg *child;

    ck_assert_int_eq(setenv("MAPSEG_KEY", "memfd:19999", 1), 0);
    child = mapseg_new_from_environment();
    ck_assert_int_eq(mapseg_error(child), MAPSEG_OK);
    need_call(MAPSEG_NOT_FOUND, child, mapseg_attach(child, MAPSEG_READ_ONLY));
    mapseg_free(child);
}
END_TEST

static int
exec_for_key(void *argument)
{
    if (setenv("MAPSEG_KEY", "memfd:0", 1) != 0)
        return 90;
    execl(argument, "check_spawn", "--key", (char *)NULL);
    return 91;
}

/** Opened before mounts change: in a chroot its path would be another then. */
static int
open_program(void)
{
    char program[PATH_MAX];

    own_program(program);
    return open(program, O_RDONLY | O_CLOEXEC);
}

static void
copy_program(int from, const char *to)
{
    static char bytes[65536];
    ssize_t got;
    int copy;

    copy = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    ck_assert(from >= 0 && copy >= 0);
    while ((got = read(from, bytes, sizeof bytes)) > 0)
        ck_assert_int_eq(write(copy, bytes, (size_t)got), got);
    ck_assert_int_eq(got, 0);
    close(from);
    close(copy);
}

/** A set-id program must not believe its environment. */
START_TEST(a_set_id_program)
{
    char path[] = "/dev/shm/check_spawn";
    int program = open_program();

    use_tiny_shm("size=64m");
    copy_program(program, path);
    ck_assert_int_eq(chmod(path, 0755), 0);
    ck_assert_int_eq(as_ordinary_user(exec_for_key, path), FOUND_KEY);
    ck_assert_int_eq(chmod(path, 04755), 0);
    ck_assert_int_eq(as_ordinary_user(exec_for_key, path), NO_KEY + HAS_ROOT);
    ck_assert_int_eq(in_child(exec_for_key, path), FOUND_KEY);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

static void
add_tests(Suite *suite)
{
    TCase *children = new_case(suite, "children");
    TCase *environment = new_case(suite, "environment");

    tcase_add_loop_test(children, what_the_child_is_told, 0, 2);
    tcase_add_test(children, spawn_refusals);
    tcase_add_test(environment, an_environment_without_a_key);
    tcase_add_test(environment, an_environment_with_another_key);
    tcase_add_test(environment, an_environment_with_a_closed_descriptor);
    /* There a program that is started again is valgrind's. */
    if (under_valgrind())
        return;
    tcase_add_loop_test(children, a_child_inherits, 0, 2);
    tcase_add_test(children, a_child_gets_no_other_descriptor);
    tcase_add_test(children, actions_that_were_there_before);
    tcase_add_loop_test(children, plain_fork_and_exec, 0, 2);
    tcase_add_test(children, a_killed_child_is_gone_at_once);
    if (skip_unless(is_root() && can_mount(), "a set-id program takes root and a mount namespace"))
        tcase_add_test(environment, a_set_id_program);
}

int
main(int argc, char **argv)
{
    Suite *suite;

    if (argc == 2 && strcmp(argv[1], "--attach") == 0)
        return child_attaches();
    if (argc == 2 && strcmp(argv[1], "--lock") == 0)
        return child_locks();
    if (argc == 2 && strcmp(argv[1], "--key") == 0)
        return child_looks_for_key();
    if (argc == 2 && strcmp(argv[1], "--count") == 0)
        return child_counts();
    suite = new_suite("spawn");
    add_tests(suite);
    return run_suite(suite);
}
