/*
 * check_safety.c - what mapseg_info says of a segment's safety, and what can be had from peers that
 * the program does not trust.
 *
 * SPDX-License-Identifier: MIT
 */
#include "plants.h"

#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------- what info says -- */

/** Creates a segment and compares what is said of its safety. */
static void
check_safety(const char *key, uint32_t mode, uint32_t flags, bool can_shrink,
             mapseg_writers writers)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_info *information = NULL;
    mapseg *seg = handle_for(key);

    options.mode = mode;
    options.flags = flags;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    ck_assert_msg(information->can_shrink == can_shrink, "%s %04o: can_shrink", key, mode);
    ck_assert_msg(information->writers == writers, "%s %04o: writers %d", key, mode,
                  (int)information->writers);
    ck_assert(is_one_line(information->safety_text));
    ck_assert_str_eq(information->limitations, "");
    mapseg_info_free(information);
    mapseg_free(seg);
}

START_TEST(safety_of_each_kind)
{
    const mapseg_writers owner = MAPSEG_WRITERS_OWNER, others = MAPSEG_WRITERS_OTHERS;
    char key[KEY_BYTES];

    use_tiny_shm("size=4m");
    scene.user = ROOT;
    unique_key(key);
    check_safety(key, 0, 0, true, owner);
    check_safety(key, 0644, 0, true, owner);
    check_safety(key, 0620, 0, true, others);
    check_safety(key, 0660, 0, true, others);
    check_safety(key, 0602, 0, true, others);
    check_safety(key, 0666, 0, true, others);
    check_safety("file:/dev/shm/mapsegtestfile", 0, 0, true, owner);
    check_safety("memfd:", 0, 0, false, owner);
    check_safety("memfd:", 0660, 0, false, others);
    check_safety("memfd:", 0666, 0, false, others);
    check_safety("memfd:", 0, MAPSEG_SINGLE_WRITER, false, MAPSEG_WRITERS_CREATOR);
    /* Seals hold whatever the mode says. */
    check_safety("memfd:", 0666, MAPSEG_SINGLE_WRITER, false, MAPSEG_WRITERS_CREATOR);
    use_runtime_directory("x");
    check_safety("runtime:mapsegtestrun", 0, 0, true, owner);
}
END_TEST

/** The sentences tell the kinds apart. */
START_TEST(safety_is_told_apart)
{
    static const uint32_t modes[] = {0600, 0666, 0600, 0600};
    static const uint32_t flags[] = {0, 0, 0, MAPSEG_SINGLE_WRITER};
    char texts[4][1024], key[KEY_BYTES];

    unique_key(key);
    for (int i = 0; i < 4; i++) {
        mapseg_options options = MAPSEG_OPTIONS_INIT;
        mapseg_info *information = NULL;
        mapseg *seg = handle_for(i < 2 ? key : "memfd:");

        options.mode = modes[i];
        options.flags = flags[i];
        need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
        need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
        snprintf(texts[i], sizeof texts[i], "%s", information->safety_text);
        printf("%s\n", texts[i]);
        mapseg_info_free(information);
        mapseg_free(seg);
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(texts[i], texts[k]);
    }
}
END_TEST

/* ------------------------------------------------ peers without trust -- */

static mapseg_result
create_for_untrusted(mapseg *seg, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_UNTRUSTED_PEER | flags;
    return mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options);
}

START_TEST(untrusted_peer_needs_seals)
{
    char key[KEY_BYTES], path[KEY_BYTES];
    struct footprint before;
    mapseg *seg;

    unique_key(key);
    path_of(path, key);
    seg = handle_for(key);
    take_footprint(&before, NULL);
    need_call(MAPSEG_UNTRUSTED, seg, create_for_untrusted(seg, 0));
    ck_assert_msg(strstr(mapseg_error_string(seg), "memfd") != NULL, "%s",
                  mapseg_error_string(seg));
    ck_assert(!exists(path));
    check_footprint(&before, NULL);
    leave_persistent(key, 100, 0);
    need_call(MAPSEG_UNTRUSTED, seg, attach_with(seg, MAPSEG_UNTRUSTED_PEER));
    ck_assert_msg(strstr(mapseg_error_string(seg), "MAPSEG_GUARDED") != NULL, "%s",
                  mapseg_error_string(seg));
    need_call(MAPSEG_UNTRUSTED, seg, attach_with(seg, MAPSEG_UNTRUSTED_PEER | RELAXING));
    need_call(MAPSEG_OK, seg, attach_with(seg, MAPSEG_UNTRUSTED_PEER | MAPSEG_GUARDED));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    need_call(MAPSEG_OK, seg, create_for_untrusted(seg, MAPSEG_GUARDED));
    mapseg_free(seg);

    seg = handle_for("memfd:");
    need_call(MAPSEG_OK, seg, create_for_untrusted(seg, 0));
    mapseg_free(seg);
}
END_TEST

START_TEST(descriptor_without_seals)
{
    char key[KEY_BYTES];
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *source, *seg = mapseg_new();
    struct footprint before;
    int fd;

    unique_key(key);
    source = created(key, 100);
    fd = exported_fd(source, MAPSEG_READ_WRITE);
    ck_assert_int_ge(fd, 0);
    options.flags = MAPSEG_UNTRUSTED_PEER;
    take_footprint(&before, NULL);
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_attach_fd_with(seg, fd, MAPSEG_READ_WRITE, &options));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    check_footprint(&before, NULL);
    options.flags |= MAPSEG_GUARDED;
    need_call(MAPSEG_OK, seg, mapseg_attach_fd_with(seg, fd, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    mapseg_free(source);

    source = handle_for("memfd:");
    need_call(MAPSEG_OK, source, mapseg_create(source, 100, MAPSEG_READ_WRITE));
    fd = exported_fd(source, MAPSEG_READ_WRITE);
    ck_assert_int_ge(fd, 0);
    options.flags = MAPSEG_UNTRUSTED_PEER;
    seg = mapseg_new();
    need_call(MAPSEG_OK, seg, mapseg_attach_fd_with(seg, fd, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    mapseg_free(source);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("safety");
    TCase *test_case = new_case(suite, "peers");

    tcase_add_test(test_case, safety_is_told_apart);
    tcase_add_test(test_case, untrusted_peer_needs_seals);
    tcase_add_test(test_case, descriptor_without_seals);
    test_case = new_case(suite, "safety");
    if (skip_unless(is_root() && can_mount(), "a file system of the test's own takes root"))
        tcase_add_test(test_case, safety_of_each_kind);
    return run_suite(suite);
}
