/*
 * check_flags.c - options that relax a refusal relax that one alone: other owners, shared writing,
 * hard links, directories that others may change.
 *
 * SPDX-License-Identifier: MIT
 */
#include "witness.h"

#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* ------------------------------------------------------- directories -- */

/** A directory on the way to the file, and one further in. */
static const struct {
    mode_t mode;
    uid_t owner;
    gid_t group;
    bool shared; /* others can replace names in it */
} directories[] = {
    {0777, ROOT, ROOT, true},     {0775, ROOT, NOBODY, true},   {0773, ROOT, ROOT, true},
    {0755, NOBODY, NOBODY, true}, {0700, NOBODY, NOBODY, true}, {01777, NOBODY, NOBODY, true},
    {01777, ROOT, ROOT, false},   {01775, ROOT, NOBODY, false}, {0755, ROOT, ROOT, false},
    {0700, ROOT, ROOT, false},
};

#define DIRECTORIES ((int)(sizeof directories / sizeof *directories))

/** How the file lies to the directory. */
enum way { IN_IT, BELOW_IT, BY_A_LINK, BELOW_BY_A_LINK, WAYS };

static void
set_directory(int directory, enum way way)
{
    use_tiny_shm("size=4m");
    scene.user = ROOT;
    scene.other = NOBODY;
    make_directory("/dev/shm/way", directories[directory].mode, directories[directory].owner);
    ck_assert_int_eq(
        chown("/dev/shm/way", directories[directory].owner, directories[directory].group), 0);
    make_directory("/dev/shm/way/in", 0755, ROOT);
    ck_assert_int_eq(symlink("/dev/shm/way", "/dev/shm/to-it"), 0);
    ck_assert_int_eq(symlink("way/in", "/dev/shm/below-it"), 0);
    snprintf(scene.path, sizeof scene.path, "%s/segment",
             way == IN_IT       ? "/dev/shm/way"
             : way == BELOW_IT  ? "/dev/shm/way/in"
             : way == BY_A_LINK ? "/dev/shm/to-it"
                                : "/dev/shm/below-it");
    snprintf(scene.key, sizeof scene.key, "file:%.200s", scene.path);
}

static mapseg_result
replace_with(mapseg *seg, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags | MAPSEG_RECLAIM | MAPSEG_PERSISTENT;
    return mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options);
}

static void
check_verdict(mapseg *seg, mapseg_result verdict, const char *words)
{
    mapseg_info *information = NULL;

    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    ck_assert_msg(information->verdict == verdict, "%s: %s",
                  mapseg_result_name(information->verdict), information->verdict_text);
    if (verdict != MAPSEG_OK)
        ck_assert_msg(strstr(information->verdict_text, words) != NULL, "%s",
                      information->verdict_text);
    ck_assert(is_one_line(information->safety_text));
    mapseg_info_free(information);
}

START_TEST(directory_that_others_may_change)
{
    const bool shared = directories[_i / WAYS].shared;
    const mapseg_result expected = shared ? MAPSEG_UNTRUSTED : MAPSEG_OK;
    const char *words = "MAPSEG_ALLOW_SHARED_DIRECTORY";
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg;

    set_directory(_i / WAYS, (enum way)(_i % WAYS));
    seg = handle_for(scene.key);
    need_call(expected, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    if (!shared)
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(!exists(scene.path));
    options.flags = MAPSEG_ALLOW_SHARED_DIRECTORY;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(!exists(scene.path));
    put_segment(scene.path, 0600, ROOT);

    need_call(expected, seg, attach_with(seg, 0));
    if (shared)
        ck_assert_msg(strstr(mapseg_error_string(seg), words) != NULL, "%s",
                      mapseg_error_string(seg));
    (void)mapseg_detach(seg);
    check_verdict(seg, expected, words);
    need_call(expected, seg, attach_with(seg, RELAXING & ~(uint32_t)MAPSEG_ALLOW_SHARED_DIRECTORY));
    (void)mapseg_detach(seg);
    need_call(MAPSEG_OK, seg, attach_with(seg, MAPSEG_ALLOW_SHARED_DIRECTORY));
    ck_assert(is_own_segment(seg));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));

    need_call(expected, seg, replace_with(seg, 0));
    (void)mapseg_detach(seg);
    need_call(MAPSEG_OK, seg, replace_with(seg, MAPSEG_ALLOW_SHARED_DIRECTORY));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(exists(scene.path));
    need_call(expected, seg, mapseg_reclaim(seg));
    if (shared)
        need_call(MAPSEG_UNTRUSTED, seg, mapseg_remove(seg));
    ck_assert(exists(scene.path) == shared);
    if (shared)
        need_call(MAPSEG_OK, seg, mapseg_remove_with(seg, &options));
    ck_assert(!exists(scene.path));
    mapseg_free(seg);
}
END_TEST

/* A link in a sticky directory is its owner's to replace. */
START_TEST(link_of_another_on_the_way)
{
    mapseg *seg;

    set_directory(DIRECTORIES - 1, BY_A_LINK);
    put_segment(scene.path, 0600, ROOT);
    seg = handle_for(scene.key);
    need_call(MAPSEG_OK, seg, attach_with(seg, 0));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert_int_eq(lchown("/dev/shm/to-it", NOBODY, NOBODY), 0);
    need_call(MAPSEG_UNTRUSTED, seg, attach_with(seg, 0));
    check_verdict(seg, MAPSEG_UNTRUSTED, "MAPSEG_ALLOW_SHARED_DIRECTORY");
    need_call(MAPSEG_OK, seg, attach_with(seg, MAPSEG_ALLOW_SHARED_DIRECTORY));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------ one flag, one refusal -- */

static const struct {
    uint32_t flag;
    const char *words;
    void (*put)(void);
} refusals[] = {
    {MAPSEG_ALLOW_OTHER_OWNER, OTHER_OWNER, put_others_segment},
    {MAPSEG_ALLOW_SHARED_WRITE, SHARED_WRITE, put_open_segment},
    {MAPSEG_ALLOW_SHARED_WRITE, SHARED_WRITE, put_group_segment},
    {MAPSEG_ALLOW_HARD_LINKS, HARD_LINKS, put_hard_link_to_segment},
    {MAPSEG_ALLOW_OTHER_OWNER | MAPSEG_ALLOW_SHARED_WRITE, "MAPSEG_ALLOW_",
     put_others_open_segment},
};

#define REFUSALS ((int)(sizeof refusals / sizeof *refusals))

/* Every set of the four flags. */
START_TEST(flag_relaxes_its_own_refusal)
{
    static const uint32_t bits[] = {MAPSEG_ALLOW_OTHER_OWNER, MAPSEG_ALLOW_SHARED_WRITE,
                                    MAPSEG_ALLOW_HARD_LINKS, MAPSEG_ALLOW_SHARED_DIRECTORY};
    const int refusal = _i / PLACES;
    uint32_t needed = refusals[refusal].flag;

    set_scene((enum place_kind)(_i % PLACES), ROOT);
    for (unsigned set = 0; set < 16; set++) {
        mapseg *seg = handle_of_scene();
        mapseg_result expected;
        uint32_t flags = 0;

        for (unsigned i = 0; i < 4; i++)
            flags |= set >> i & 1 ? bits[i] : 0;
        expected = (flags & needed) == needed ? MAPSEG_OK : MAPSEG_UNTRUSTED;
        refusals[refusal].put();
        check_verdict(seg, MAPSEG_UNTRUSTED, refusals[refusal].words);
        need_call(expected, seg, attach_with(seg, flags));
        if (expected == MAPSEG_OK)
            ck_assert(is_own_segment(seg));
        else
            ck_assert(strstr(mapseg_error_string(seg), refusals[refusal].words) != NULL);
        (void)mapseg_detach(seg);
        need_call(expected, seg, replace_with(seg, flags));
        mapseg_free(seg);
        ck_assert_int_eq(unlink(scene.path), 0);
        (void)unlink(scene.target);
    }
}
END_TEST

/* No flag makes a segment of what is none, or follows a link. */
START_TEST(no_flag_relaxes_the_rest)
{
    static const struct {
        void (*put)(void);
        mapseg_result expected;
    } others[] = {
        {put_link, UNTRUSTED},
        {put_link_to_file, UNTRUSTED},
        {put_link_to_segment, UNTRUSTED},
        {put_fifo, FOREIGN},
        {put_directory, FOREIGN},
        {put_socket, FOREIGN},
        {put_own_file, FOREIGN},
        {put_others_file, FOREIGN},
        {put_others_open_file, FOREIGN},
        {put_hard_link_to_file, FOREIGN},
        {put_empty_file, FOREIGN},
        {put_device, FOREIGN},
    };
    const size_t count = sizeof others / sizeof *others - !with_devices;
    const uint32_t all = RELAXING | (uint32_t)MAPSEG_GUARDED;

    for (size_t i = 0; i < count; i++) {
        struct witness witness;
        mapseg *seg;

        set_scene((enum place_kind)_i, ROOT);
        others[i].put();
        seg = handle_of_scene();
        begin_witness(&witness);
        need_call(others[i].expected, seg, attach_with(seg, all));
        need_call(others[i].expected, seg, replace_with(seg, all));
        end_witness(&witness, "with all flags");
        mapseg_free(seg);
    }
}
END_TEST

/* Root could interfere anyway: its files and directories are as good as one's own. */
static int
use_roots(void *argument)
{
    mapseg *seg;

    (void)argument;
    become_nobody();
    seg = handle_for(scene.key);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    ck_assert(is_own_segment(seg));
    mapseg_free(seg);
    return 0;
}

START_TEST(file_of_root_is_trusted)
{
    /* By a plain key a user meets no other user. */
    set_scene(_i == 0 ? PLACE_SHM : PLACE_FILE, ROOT);
    put_segment(scene.path, 0644, ROOT);
    ck_assert_int_eq(in_child(use_roots, NULL), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("flags");
    TCase *test_case = new_case(suite, "flags");

    if (skip_unless(is_root() && can_mount(),
                    "only root can leave files of other users in a private "
                    "place")) {
        with_devices = skip_unless(can_make_devices(true), "root may not make devices here");
        tcase_add_loop_test(test_case, directory_that_others_may_change, 0, DIRECTORIES * WAYS);
        tcase_add_test(test_case, link_of_another_on_the_way);
        tcase_add_loop_test(test_case, flag_relaxes_its_own_refusal, 0, REFUSALS * PLACES);
        tcase_add_loop_test(test_case, no_flag_relaxes_the_rest, 0, PLACES);
        tcase_add_loop_test(test_case, file_of_root_is_trusted, 0, 2);
    }
    return run_suite(suite);
}
