/*
 * check_unmapped.c - users whom a user namespace does not know. All of them have one number there,
 * which may be this process's own: another user's segment must not be taken for an own one, and
 * an own one, or one of the real user of that number, must go on working.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096
#define OVERFLOW_USER 65534
#define SOME_USER 60001
#define ANOTHER_USER 60002

/* ---------------------------------------------------------------- users -- */

/** How a process sees the users, and which number it has itself. */
static const struct view {
    uint32_t number;
    bool maps;    /**< this user alone, to that number; else none */
    bool initial; /**< no namespace of its own, and its own number */
} views[] = {
    {OVERFLOW_USER, false, false},
    {OVERFLOW_USER, true, false},
    {0, true, false},
    {1000, true, false},
};
#define VIEWS ((int)(sizeof views / sizeof *views))
static const struct view initial_view = {.initial = true};

/** What a process is to be, and to do. */
struct actor {
    uid_t user;
    const struct view *view;
    const char *root; /**< to chroot to, where there is no /proc; NULL: none */
    const char *key;
    bool is_own; /**< expected of the key's segment */
};

static bool
write_map(uint32_t number, uid_t user)
{
    char text[40];
    int length = snprintf(text, sizeof text, "%u %u 1", (unsigned)number, (unsigned)user);
    int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, (size_t)length) == length;

    if (fd >= 0)
        close(fd);
    return written;
}

static bool
take_part(const struct actor *actor)
{
    const struct view *view = actor->view;

    if (actor->root != NULL && view->initial && (chroot(actor->root) != 0 || chdir("/") != 0))
        return false;
    if (setgroups(0, NULL) != 0 || setresgid(actor->user, actor->user, actor->user) != 0 ||
        setresuid(actor->user, actor->user, actor->user) != 0)
        return false;
    /* Or /proc/self is root's. */
    (void)prctl(PR_SET_DUMPABLE, 1);
    if (!view->initial && unshare(CLONE_NEWUSER) != 0)
        return false;
    if (view->maps && !write_map(view->number, actor->user))
        return false;
    if (actor->root != NULL && !view->initial && (chroot(actor->root) != 0 || chdir("/") != 0))
        return false;
    return view->initial || geteuid() == view->number;
}

/** Whether there can be such processes, tried in children. */
static bool
has_views(void)
{
    for (int i = 0; i < VIEWS; i++) {
        struct actor actor = {.user = SOME_USER, .view = &views[i]};
        int status = -1;
        pid_t child = fork();

        if (child == 0)
            _exit(take_part(&actor) ? 0 : 1);
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            return false;
    }
    return true;
}

/* ---------------------------------------------------------- what is done -- */

static int
leave_segment(void *argument)
{
    const struct actor *actor = argument;
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    if (!take_part(actor))
        return 2;
    options.mode = 0644;
    options.flags = MAPSEG_PERSISTENT;
    mapseg *seg = handle_for(actor->key);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "mine", 5));
    mapseg_free(seg);
    return 0;
}

/** A segment of the user, made in the initial namespace. */
static void
leave_segment_of(uid_t user, const char *root, const char *key)
{
    struct actor actor = {.user = user, .view = &initial_view, .root = root, .key = key};

    ck_assert_int_eq(in_child(leave_segment, &actor), 0);
}

static void
check_information(mapseg *seg, bool is_own)
{
    mapseg_info *information = describe(seg);

    ck_assert_int_eq(information->verdict, is_own ? MAPSEG_OK : MAPSEG_UNTRUSTED);
    ck_assert_int_eq(information->verdict_text[0] == '\0', is_own);
    ck_assert_int_eq(information->use, MAPSEG_USE_PERSISTENT);
    mapseg_info_free(information);
}

/** The proof that all of it rests on. */
static void
check_proof(const char *path, bool is_own)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int flags;

    ck_assert_int_ge(fd, 0);
    flags = fcntl(fd, F_GETFL);
    ck_assert_int_eq(msi_os.is_own(fd), is_own);
    /* The descriptor is as it was. */
    ck_assert_int_eq(fcntl(fd, F_GETFL), flags);
    close(fd);
}

static int
use_segment(void *argument)
{
    const struct actor *actor = argument;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char path[KEY_BYTES];
    char text[5];

    if (!take_part(actor))
        return 2;
    path_of(path, actor->key);
    mapseg *seg = handle_for(actor->key);
    check_information(seg, actor->is_own);
    check_proof(path, actor->is_own);
    if (!actor->is_own) {
        need_call(MAPSEG_UNTRUSTED, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
        ck_assert(is_one_line(mapseg_error_string(seg)));
        options.flags = MAPSEG_ALLOW_OTHER_OWNER;
    }
    need_call(MAPSEG_OK, seg, mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options));
    need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, text, sizeof text, NULL));
    ck_assert_str_eq(text, "mine");
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    if (actor->is_own) {
        need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
        need_call(MAPSEG_OK, seg, mapseg_lock(seg));
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    }
    mapseg_free(seg);
    return 0;
}

/** Makes one, in which it lives from the beginning to the end. */
static int
make_segment(void *argument)
{
    const struct actor *actor = argument;
    char path[KEY_BYTES];

    if (!take_part(actor))
        return 2;
    mapseg *seg = created(actor->key, DATA_BYTES);
    mapseg *other = attached(actor->key, MAPSEG_READ_WRITE);
    mapseg_info *information = describe(other);
    ck_assert_int_eq(information->verdict, MAPSEG_OK);
    ck_assert_uint_eq(information->attached, 2);
    mapseg_info_free(information);
    mapseg_free(other);
    mapseg_free(seg);
    if (strncmp(actor->key, "shm:", 4) == 0) {
        path_of(path, actor->key);
        ck_assert(!exists(path));
    }
    return 0;
}

/* ------------------------------------------------------------ namespaces -- */

/** Also the real user of the number that stands for all who are not known. */
static const uid_t users[] = {SOME_USER, OVERFLOW_USER};
#define USERS ((int)(sizeof users / sizeof *users))

/** Root's too: it cannot be told from the others'. */
static const uid_t others[] = {ANOTHER_USER, 0};

START_TEST(segment_of_another_user)
{
    char key[KEY_BYTES], path[KEY_BYTES];
    struct actor actor = {
        .user = users[_i / VIEWS % USERS],
        .view = &views[_i % VIEWS],
        .key = key,
    };

    unique_key(key);
    path_of(path, key);
    leave_segment_of(others[_i / VIEWS / USERS], NULL, key);
    ck_assert_int_eq(in_child(use_segment, &actor), 0);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(segment_of_the_same_user)
{
    char key[KEY_BYTES], path[KEY_BYTES];
    struct actor actor = {
        .user = users[_i / VIEWS],
        .view = &views[_i % VIEWS],
        .key = key,
        .is_own = true,
    };

    unique_key(key);
    path_of(path, key);
    leave_segment_of(actor.user, NULL, key);
    ck_assert_int_eq(in_child(use_segment, &actor), 0);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(segment_made_in_a_namespace)
{
    char key[KEY_BYTES];
    struct actor actor = {
        .user = users[_i / VIEWS],
        .view = &views[_i % VIEWS],
        .key = key,
    };

    unique_key(key);
    ck_assert_int_eq(in_child(make_segment, &actor), 0);
}
END_TEST

/* -------------------------------------------------- the initial namespace -- */

START_TEST(real_user_of_the_number)
{
    char key[KEY_BYTES], path[KEY_BYTES];
    struct actor actor = {.user = OVERFLOW_USER, .view = &initial_view, .key = key};

    unique_key(key);
    path_of(path, key);
    ck_assert_int_eq(in_child(make_segment, &actor), 0);
    actor.is_own = true;
    leave_segment_of(OVERFLOW_USER, NULL, key);
    ck_assert_int_eq(in_child(use_segment, &actor), 0);
    ck_assert_int_eq(unlink(path), 0);
    actor.is_own = false;
    leave_segment_of(ANOTHER_USER, NULL, key);
    ck_assert_int_eq(in_child(use_segment, &actor), 0);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

#define ROOT "/dev/shm/root"

/** A root directory without /proc, where neither the number nor the map can be read. */
static void
make_root(void)
{
    use_tiny_shm("size=8m");
    umask(0);
    ck_assert_int_eq(mkdir(ROOT, 0755), 0);
    ck_assert_int_eq(mkdir(ROOT "/dev", 0755), 0);
    ck_assert_int_eq(mkdir(ROOT "/dev/shm", 01777), 0);
}

START_TEST(without_proc)
{
    char key[KEY_BYTES];
    struct actor actor = {
        .user = OVERFLOW_USER,
        .view = _i == VIEWS ? &initial_view : &views[_i],
        .root = ROOT,
        .key = key,
    };

    make_root();
    unique_key(key);
    ck_assert_int_eq(in_child(make_segment, &actor), 0);
    leave_segment_of(OVERFLOW_USER, ROOT, key);
    actor.is_own = true;
    ck_assert_int_eq(in_child(use_segment, &actor), 0);
    unique_key(key);
    leave_segment_of(ANOTHER_USER, ROOT, key);
    actor.is_own = false;
    ck_assert_int_eq(in_child(use_segment, &actor), 0);
}
END_TEST

/* ---------------------------------------------------- runtime directories -- */

#define RUNTIME "/dev/shm/runtime"

static int
fail_to_make_segment(void *argument)
{
    const struct actor *actor = argument;
    mapseg_list *list;

    if (!take_part(actor))
        return 2;
    mapseg *seg = handle_for(actor->key);
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    /* It is passed over. */
    ck_assert_int_eq(mapseg_list_new(&list), MAPSEG_OK);
    mapseg_list_free(list);
    mapseg_free(seg);
    return 0;
}

START_TEST(runtime_directory)
{
    struct actor actor = {
        .user = users[_i / (VIEWS + 1)],
        .view = _i % (VIEWS + 1) == VIEWS ? &initial_view : &views[_i % (VIEWS + 1)],
        .key = "runtime:segment",
    };

    use_tiny_shm("size=8m");
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", RUNTIME, 1), 0);
    ck_assert_int_eq(mkdir(RUNTIME, 0700), 0);
    ck_assert_int_eq(chown(RUNTIME, ANOTHER_USER, ANOTHER_USER), 0);
    ck_assert_int_eq(in_child(fail_to_make_segment, &actor), 0);
    ck_assert(!exists(RUNTIME "/mapseg"));
    ck_assert_int_eq(chown(RUNTIME, actor.user, actor.user), 0);
    ck_assert_int_eq(in_child(make_segment, &actor), 0);
    /* The directory within it counts as well. */
    ck_assert(exists(RUNTIME "/mapseg"));
    ck_assert_int_eq(chown(RUNTIME "/mapseg", ANOTHER_USER, ANOTHER_USER), 0);
    ck_assert_int_eq(in_child(fail_to_make_segment, &actor), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("unmapped");
    TCase *group = new_case(suite, "users");

    if (skip_unless(is_root(), "several users take root")) {
        tcase_add_test(group, real_user_of_the_number);
        if (skip_unless(has_views(), "users may have no user namespace here")) {
            tcase_add_loop_test(group, segment_of_another_user, 0, 2 * VIEWS * USERS);
            tcase_add_loop_test(group, segment_of_the_same_user, 0, VIEWS * USERS);
            tcase_add_loop_test(group, segment_made_in_a_namespace, 0, VIEWS * USERS);
            if (skip_unless(can_mount(), "no private mounts here")) {
                tcase_add_loop_test(group, without_proc, 0, VIEWS + 1);
                tcase_add_loop_test(group, runtime_directory, 0, (VIEWS + 1) * USERS);
            }
        }
    }
    return run_suite(suite);
}
