/*
 * check_name.c - the way to a name, and what becomes of it.
 *
 * Directories and links on the way are judged by all calls alike; and an attached handle knows
 * whether its name still leads to it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN ((uid_t)-1)
#define DATA_BYTES 100
#define SEGMENT "shm:segment"
#define SEGMENT_PATH S "segment"

static void
make_directory(const char *path, mode_t mode, uid_t owner)
{
    ck_assert_msg(mkdir(path, mode) == 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(chmod(path, mode), 0);
    ck_assert_int_eq(chown(path, owner, owner), 0);
}

static void
make_link(const char *path, const char *target, uid_t owner)
{
    ck_assert_msg(symlink(target, path) == 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(lchown(path, owner, owner), 0);
}

static void
put_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static const mapseg_options *
with(uint32_t flags)
{
    static mapseg_options options;

    options = (mapseg_options)MAPSEG_OPTIONS_INIT;
    options.flags = flags;
    return &options;
}

static void
set_scene(void)
{
    use_tiny_shm("size=16m");
}

/* --------------------------------------------------------------- the way -- */

/** A way to a file, and what is said of it. */
struct way {
    const char *path;
    mapseg_result expected;
    const char *words;       /* in each reason */
    mapseg_result with_flag; /* with MAPSEG_ALLOW_SHARED_DIRECTORY */
};

#define SHARED "MAPSEG_ALLOW_SHARED_DIRECTORY"
#define OK MAPSEG_OK
#define UNTRUSTED MAPSEG_UNTRUSTED
#define DENIED MAPSEG_PERMISSION_DENIED
#define MISSING MAPSEG_NOT_FOUND

#define S "/dev/shm/"
#define HUNDRED                                                                                    \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"  \
    "123456789"

/* clang-format off */
static const struct way ways[] = {
    {S "own/seg", OK, "", OK},
    {S "own/in/../seg", OK, "", OK},
    {S "//own/./in/.././seg", OK, "", OK},
    {"/../dev/shm/own/seg", OK, "", OK},
    {S "sticky/seg", OK, "", OK},
    {S "sticky/own/seg", OK, "", OK},
    {S "own/relative/seg", OK, "", OK},
    {S "own/absolute/seg", OK, "", OK},
    {S "own/twice/seg", OK, "", OK},
    {S "own/up/own/seg", OK, "", OK},
    {S "own/slashes/seg", OK, "", OK},
    {S "chain/40/seg", OK, "", OK},
    {S "chain/41/seg", UNTRUSTED, "circle", UNTRUSTED},
    {S "own/loop/seg", UNTRUSTED, S "own/loop", UNTRUSTED},
    {S "own/around/seg", UNTRUSTED, "circle", UNTRUSTED},
    {S "open/seg", UNTRUSTED, S "open lets", OK},
    {S "open/in/seg", UNTRUSTED, S "open lets", OK},
    {S "open/../own/seg", UNTRUSTED, S "open lets", OK},
    {S "open/in/../../own/seg", UNTRUSTED, S "open lets", OK},
    {S "own/to-open/seg", UNTRUSTED, S "open lets", OK},
    {S "own/through-open/seg", UNTRUSTED, S "open lets", OK},
    {S "open/to-own/seg", UNTRUSTED, S "open lets", OK},
    {S "group/seg", UNTRUSTED, S "group lets", OK},
    {S "foreign/seg", UNTRUSTED, "user 65534 owns " S "foreign", OK},
    {S "foreign/in/seg", UNTRUSTED, "user 65534 owns " S "foreign", OK},
    {S "foreign-sticky/seg", UNTRUSTED, "user 65534 owns " S "foreign-sticky", OK},
    {S "sticky/foreign/seg", UNTRUSTED, "user 65534 owns " S "sticky/foreign", OK},
    {S "sticky/foreign-link/seg", UNTRUSTED, "user 65534 owns " S "sticky/foreign-link", OK},
    {S "own/missing/seg", MISSING, S "own/missing", MISSING},
    {S "own/dangling/seg", MISSING, "exists", MISSING},
    {S "own/file/seg", MISSING, S "own/file", MISSING},
    {S "own/file/../seg", MISSING, S "own/file", MISSING},
    {S HUNDRED HUNDRED HUNDRED "/seg", MAPSEG_KEY_ERROR, "", MAPSEG_KEY_ERROR},
};
/* clang-format on */

#define WAYS ((int)(sizeof ways / sizeof *ways))

static void
make_chain(void)
{
    char name[64], target[64];

    make_directory(S "chain", 0755, 0);
    make_link(S "chain/1", "../own", 0);
    for (int i = 2; i <= 41; i++) {
        snprintf(name, sizeof name, S "chain/%d", i);
        snprintf(target, sizeof target, "%d", i - 1);
        make_link(name, target, 0);
    }
}

static void
make_ways(void)
{
    make_directory(S "own", 0755, 0);
    make_directory(S "own/in", 0700, 0);
    make_directory(S "open", 0777, 0);
    make_directory(S "open/in", 0755, 0);
    make_directory(S "group", 0775, 0);
    make_directory(S "foreign", 0755, NOBODY);
    make_directory(S "foreign/in", 0755, 0);
    make_directory(S "foreign-sticky", 01777, NOBODY);
    make_directory(S "sticky", 01777, 0);
    make_directory(S "sticky/own", 0755, 0);
    make_directory(S "sticky/foreign", 0755, NOBODY);
    make_link(S "sticky/foreign-link", S "own", NOBODY);
    make_link(S "own/relative", "in", 0);
    make_link(S "own/absolute", S "own/in", 0);
    make_link(S "own/twice", "absolute/../relative", 0);
    make_link(S "own/up", "../../shm", 0);
    make_link(S "own/slashes", "///dev//shm/own/in//", 0);
    make_link(S "own/loop", "loop", 0);
    make_link(S "own/around", "around2", 0);
    make_link(S "own/around2", S "own/around", 0);
    make_link(S "own/to-open", "../open", 0);
    make_link(S "own/through-open", "../open/../own", 0);
    make_link(S "open/to-own", "../own", 0);
    make_link(S "own/dangling", "nowhere", 0);
    put_text(S "own/file", "text");
    make_chain();
}

/** What a call came to, and that it says why. */
static void
check_answer(mapseg *seg, mapseg_result expected, mapseg_result got, const char *words,
             const char *call)
{
    const char *reason = mapseg_error_string(seg);

    ck_assert_msg(got == expected, "%s: %s instead of %s: %s", call, mapseg_result_name(got),
                  mapseg_result_name(expected), reason);
    if (expected == OK)
        return;
    ck_assert_msg(is_one_line(reason) && strstr(reason, words) != NULL,
                  "%s does not say \"%s\": %s", call, words, reason);
    if (expected == UNTRUSTED && strcmp(words, "circle") != 0 && strstr(words, "loop") == NULL)
        ck_assert_msg(strstr(reason, SHARED) != NULL, "%s does not name the flag: %s", call,
                      reason);
}

/** All calls judge a way in the same manner. */
static void
check_calls(mapseg *seg, uint32_t flags, mapseg_result expected, const char *words)
{
    const uint32_t persistent = flags | (uint32_t)MAPSEG_PERSISTENT;
    mapseg_result absent = expected == OK ? MISSING : expected;
    const char *why = expected == OK ? "no such segment" : words;

    check_answer(seg, absent, mapseg_attach_with(seg, MAPSEG_READ_WRITE, with(flags)), why,
                 "attach");
    check_answer(seg, absent, mapseg_remove_with(seg, with(flags)), why, "remove");
    check_answer(seg, absent, mapseg_reclaim_with(seg, with(flags)), why, "reclaim");
    for (int i = 0; i < 2; i++) {
        uint32_t reclaim = i == 0 ? 0 : (uint32_t)MAPSEG_RECLAIM;

        check_answer(
            seg, expected,
            mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, with(persistent | reclaim)),
            words, "create");
        if (expected == OK)
            need_call(OK, seg, mapseg_detach(seg));
    }
    if (expected != OK)
        return;
    check_answer(seg, OK, mapseg_attach_with(seg, MAPSEG_READ_ONLY, with(flags)), "", "attach");
    need_call(OK, seg, mapseg_detach(seg));
    check_answer(seg, OK, mapseg_reclaim_with(seg, with(flags)), "", "reclaim");
    check_answer(seg, OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, with(persistent)),
                 "", "create");
    check_answer(seg, OK, mapseg_remove_with(seg, with(flags)), "", "remove");
    need_call(OK, seg, mapseg_detach(seg));
}

START_TEST(way_is_judged)
{
    const struct way *way = &ways[_i];
    char key[KEY_BYTES * 2];
    mapseg *seg;

    set_scene();
    make_ways();
    snprintf(key, sizeof key, "file:%s", way->path);
    seg = handle_for(key);
    check_calls(seg, 0, way->expected, way->words);
    check_calls(seg, MAPSEG_ALLOW_SHARED_DIRECTORY, way->with_flag,
                way->with_flag == UNTRUSTED ? "circle" : "");
    ck_assert_int_eq(count_names(".mapseg"), 0);
    mapseg_free(seg);
}
END_TEST

/* No key is too long for the way: it is refused when it is set. */
START_TEST(long_paths)
{
    char key[5000];
    mapseg *seg = mapseg_new();

    set_scene();
    make_directory(S "own", 0755, 0);
    for (size_t bytes = 4080; bytes < 4110; bytes++) {
        const char *end = "/own/seg";
        mapseg_result expected = bytes < 4096 ? OK : MAPSEG_KEY_ERROR;

        strcpy(key, "file:/dev/shm");
        for (size_t i = strlen(key); i < 5 + bytes - strlen(end); i++)
            key[i] = '/';
        strcpy(key + 5 + bytes - strlen(end), end);
        need_call(expected, seg, mapseg_set_native_key(seg, key));
        if (expected != OK)
            continue;
        need_call(OK, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
        need_call(OK, seg, mapseg_detach(seg));
        ck_assert(!exists(S "own/seg"));
    }
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------- what a user may not do -- */

static void
check_as_user(const char *path, mapseg_result attach, mapseg_result create, mapseg_result remove)
{
    mapseg_info *information = NULL;
    char key[KEY_BYTES];
    mapseg *seg;

    snprintf(key, sizeof key, "file:%s", path);
    seg = handle_for(key);
    for (int i = 0; i < 2; i++) {
        uint32_t flags = i == 0 ? 0 : (uint32_t)MAPSEG_ALLOW_SHARED_DIRECTORY;

        check_answer(seg, create,
                     mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE,
                                        with(flags | (uint32_t)MAPSEG_RECLAIM)),
                     "", "create");
        (void)mapseg_detach(seg);
        check_answer(seg, attach, mapseg_attach_with(seg, MAPSEG_READ_ONLY, with(flags)), "",
                     "attach");
        (void)mapseg_detach(seg);
        check_answer(seg, attach == OK ? OK : attach, mapseg_info_new(seg, &information), "",
                     "info");
        mapseg_info_free(information);
        check_answer(seg, remove, mapseg_reclaim_with(seg, with(flags)), "", "reclaim");
        check_answer(seg, remove, mapseg_remove_with(seg, with(flags)), "", "remove");
    }
    mapseg_free(seg);
}

static int
go_where_forbidden(void *unused)
{
    (void)unused;
    become_nobody();
    /* Not to be searched. */
    check_as_user(S "closed/seg", DENIED, DENIED, DENIED);
    check_as_user(S "closed/in/seg", DENIED, DENIED, DENIED);
    check_as_user(S "listed/seg", DENIED, DENIED, DENIED);
    /* To be searched, and not read; nor written, where nothing has to be. */
    check_as_user(S "searched/seg", OK, DENIED, DENIED);
    check_as_user(S "searched/none", MISSING, DENIED, MISSING);
    check_as_user(S "searched/in/none", MISSING, OK, MISSING);
    /* All but to be read. */
    check_as_user(S "dropbox/none", MISSING, OK, MISSING);
    return 0;
}

START_TEST(directories_with_few_rights)
{
    mapseg *seg;

    set_scene();
    make_directory(S "closed", 0700, 0);
    make_directory(S "closed/in", 0777, 0);
    make_directory(S "listed", 0744, 0);
    make_directory(S "searched", 0711, 0);
    make_directory(S "searched/in", 0700, NOBODY);
    make_directory(S "dropbox", 01733, 0);
    seg = handle_for("file:" S "searched/seg");
    need_call(OK, seg,
              mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, with(MAPSEG_PERSISTENT)));
    need_call(OK, seg, mapseg_detach(seg));
    ck_assert_int_eq(chown(S "searched/seg", NOBODY, NOBODY), 0);
    ck_assert_int_eq(in_child(go_where_forbidden, NULL), 0);
    ck_assert(exists(S "searched/seg"));
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------- names of the attached -- */

/** What the handle says of its name; and that it speaks of its own segment. */
static mapseg_name_state
state_of_name(mapseg *seg, const uint8_t id[16])
{
    mapseg_info *information = describe(seg);
    mapseg_name_state state = information->name_state;

    ck_assert_uint_eq(information->data_size, mapseg_size(seg));
    ck_assert_mem_eq(information->id, id, 16);
    ck_assert_uint_ge(information->attached, 1);
    mapseg_info_free(information);
    return state;
}

static void
take_own_id(mapseg *seg, uint8_t id[16])
{
    mapseg_info *information = describe(seg);

    memcpy(id, information->id, 16);
    mapseg_info_free(information);
}

static const char *const named_keys[] = {SEGMENT, "file:" S "box/segment", "runtime:segment"};
static const char *const named_paths[] = {SEGMENT_PATH, S "box/segment", S "run/mapseg/segment"};

static void
set_named_scene(void)
{
    set_scene();
    make_directory(S "box", 0755, OWN);
    make_directory(S "run", 0700, OWN);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", S "run", 1), 0);
}

START_TEST(name_is_lost)
{
    const char *path = named_paths[_i];
    uint8_t id[16];
    mapseg *seg, *other;

    /* As main has said. */
    if (_i == 1 && !is_root())
        return;
    set_named_scene();
    seg = created(named_keys[_i], DATA_BYTES);
    take_own_id(seg, id);
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_SAME);
    other = handle_for(named_keys[_i]);
    need_call(OK, other, mapseg_remove(other));
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_GONE);
    need_call(OK, other, mapseg_create(other, 2 * DATA_BYTES, MAPSEG_READ_WRITE));
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_REPLACED);
    need_call(OK, other, mapseg_detach(other));
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_GONE);
    make_link(path, "/dev/null", OWN);
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_REPLACED);
    ck_assert_int_eq(unlink(path), 0);
    make_directory(path, 0700, OWN);
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_REPLACED);
    ck_assert_int_eq(rmdir(path), 0);
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/* Another user of the segment moves it away with all of its directory. */
START_TEST(directory_is_lost)
{
    const char *directory = _i == 1 ? S "box" : S "run";
    uint8_t id[16];
    mapseg *seg;

    /* As main has said. */
    if (_i == 1 && !is_root())
        return;
    set_named_scene();
    seg = created(named_keys[_i], DATA_BYTES);
    take_own_id(seg, id);
    ck_assert_int_eq(rename(directory, S "elsewhere"), 0);
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_GONE);
    put_text(directory, "no directory");
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_GONE);
    ck_assert_int_eq(unlink(directory), 0);
    ck_assert_int_eq(rename(S "elsewhere", directory), 0);
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_SAME);
    /* Its name is where it was, whatever the key would lead to by now. */
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", S "box", 1), 0);
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_SAME);
    ck_assert_int_eq(unsetenv("XDG_RUNTIME_DIR"), 0);
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_SAME);
    mapseg_free(seg);
    ck_assert(!exists(named_paths[_i]));
}
END_TEST

static int
look_through_closed_directory(void *argument)
{
    uint8_t id[16];
    mapseg *seg;

    (void)argument;
    become_nobody();
    seg = created("file:" S "shared/segment", DATA_BYTES);
    take_own_id(seg, id);
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_SAME);
    ck_assert_int_eq(chmod(S "shared", 0600), 0);
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_UNKNOWN);
    ck_assert_int_eq(chmod(S "shared", 0700), 0);
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_SAME);
    mapseg_free(seg);
    return exists(S "shared/segment");
}

START_TEST(directory_is_closed)
{
    set_scene();
    make_directory(S "shared", 0700, NOBODY);
    ck_assert_int_eq(in_child(look_through_closed_directory, NULL), 0);
}
END_TEST

START_TEST(no_name_at_all)
{
    mapseg_info *information;
    uint8_t id[16];
    mapseg *seg, *other;

    set_scene();
    seg = created("memfd:", DATA_BYTES);
    take_own_id(seg, id);
    ck_assert_int_eq(state_of_name(seg, id), MAPSEG_NAME_NONE);
    mapseg_free(seg);
    leave_persistent(SEGMENT, DATA_BYTES, 0);
    seg = handle_for(SEGMENT);
    information = describe(seg);
    ck_assert_int_eq(information->name_state, MAPSEG_NAME_NONE);
    mapseg_info_free(information);
    /* By a descriptor there is none either, though the file has one. */
    need_call(OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    other = mapseg_new();
    need_call(OK, other,
              mapseg_attach_fd(other, exported_fd(seg, MAPSEG_READ_ONLY), MAPSEG_READ_ONLY));
    take_own_id(other, id);
    ck_assert_int_eq(state_of_name(other, id), MAPSEG_NAME_NONE);
    mapseg_free(other);
    need_call(OK, seg, mapseg_detach(seg));
    need_call(OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

static void
add_cases(Suite *suite)
{
    TCase *group = new_case(suite, "state");

    tcase_add_loop_test(group, name_is_lost, 0, 3);
    tcase_add_loop_test(group, directory_is_lost, 1, 3);
    tcase_add_test(group, no_name_at_all);
}

int
main(void)
{
    Suite *suite = new_suite("name");
    TCase *group = new_case(suite, "way");

    if (skip_unless(can_mount(), "no private place can be mounted"))
        add_cases(suite);
    if (skip_unless(is_root() && can_mount(),
                    "only root can give directories to other users, and in a user "
                    "namespace no file: key is trusted")) {
        tcase_add_loop_test(group, way_is_judged, 0, WAYS);
        tcase_add_test(group, long_paths);
        tcase_add_test(group, directories_with_few_rights);
        tcase_add_test(group, directory_is_closed);
    }
    return run_suite(suite);
}
