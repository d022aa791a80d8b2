/*
 * check_groups.c - segments for the members of a group: given to it before they have a name,
 * trusted because of it alone, and removed by the last one out where the directory is the
 * group's, too.
 *
 * SPDX-License-Identifier: MIT
 */
#include "members.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** A segment's place, and a process of each user; the first two belong to the group, which all
 *  of them trust. */
struct scene {
    struct place place;
    struct member first, second, third;
};

static void
trust_group(struct member *member)
{
    member->part->options.group = THE_GROUP;
    member->part->options.flags |= (uint32_t)MAPSEG_ALLOW_GROUP;
}

static void
begin_at(struct scene *scene, const char *key)
{
    scene->first = begin_member(FIRST_USER, true, key);
    scene->second = begin_member(SECOND_USER, true, key);
    scene->third = begin_member(THIRD_USER, false, key);
    trust_group(&scene->first);
    trust_group(&scene->second);
    trust_group(&scene->third);
}

static void
begin_scene(struct scene *scene)
{
    use_tiny_shm("size=8m,mode=1777");
    new_place(&scene->place);
    begin_at(scene, scene->place.key);
}

static void
end_scene(struct scene *scene)
{
    end_member(&scene->third);
    end_member(&scene->second);
    end_member(&scene->first);
}

/* --------------------------------------------------------------- segments -- */

static void
need_group(const char *key, uint32_t mode)
{
    mapseg *seg = handle_for(key);
    mapseg_info *information = describe(seg);

    ck_assert_uint_eq(information->gid, THE_GROUP);
    ck_assert_uint_eq(information->mode, mode);
    mapseg_info_free(information);
    mapseg_free(seg);
}

START_TEST(members_share_and_others_do_not)
{
    struct scene scene;

    begin_scene(&scene);
    ask(MAPSEG_OK, &scene.first, 'c');
    need_group(scene.place.key, 0660);
    ask(MAPSEG_PERMISSION_DENIED, &scene.third, 'a');
    ask(MAPSEG_OK, &scene.second, 'a');
    need_attached(2, scene.place.key);
    ask(MAPSEG_OK, &scene.second, 'l');
    ask(MAPSEG_OK, &scene.second, 'u');
    /* A member that dies with the lock is replaced by another. */
    ask(MAPSEG_OK, &scene.second, 'l');
    kill_member(&scene.second);
    ask(MAPSEG_OWNER_DIED, &scene.first, 'l');
    ask(MAPSEG_OK, &scene.first, 'u');
    end_member(&scene.third);
    end_member(&scene.first);
}
END_TEST

START_TEST(mode_with_a_group_is_the_callers)
{
    struct scene scene;

    begin_scene(&scene);
    scene.first.part->options.mode = 0640;
    ask(MAPSEG_OK, &scene.first, 'c');
    need_group(scene.place.key, 0640);
    ask(MAPSEG_PERMISSION_DENIED, &scene.second, 'a');
    scene.second.part->access = MAPSEG_READ_ONLY;
    ask(MAPSEG_OK, &scene.second, 'a');
    end_scene(&scene);
}
END_TEST

/* The options of the one that attaches, and whether it is let in. */
START_TEST(only_that_group_is_trusted)
{
    static const struct {
        uint64_t group;
        uint32_t flags;
        mapseg_result expected;
        const char *words;
    } tries[] = {
        {0, 0, MAPSEG_UNTRUSTED, "MAPSEG_ALLOW_GROUP"},
        {THE_GROUP, 0, MAPSEG_UNTRUSTED, "MAPSEG_ALLOW_GROUP"},
        {0, MAPSEG_ALLOW_OTHER_OWNER, MAPSEG_UNTRUSTED, "group 60100"},
        {0, MAPSEG_ALLOW_SHARED_WRITE, MAPSEG_UNTRUSTED, "user 60001"},
        {OTHER_GROUP, MAPSEG_ALLOW_GROUP, MAPSEG_UNTRUSTED, "group 60101"},
        {THE_GROUP, MAPSEG_ALLOW_GROUP, MAPSEG_OK, NULL},
    };
    struct scene scene;

    begin_scene(&scene);
    ask(MAPSEG_OK, &scene.first, 'c');
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        scene.second.part->options.group = tries[i].group;
        scene.second.part->options.flags = tries[i].flags;
        ask(tries[i].expected, &scene.second, 'a');
        if (tries[i].words != NULL)
            need_said(&scene.second, tries[i].words);
    }
    end_scene(&scene);
}
END_TEST

/* Its owner needs no less: the group can write it. */
START_TEST(owner_trusts_the_group_too)
{
    struct scene scene;

    begin_scene(&scene);
    ask(MAPSEG_OK, &scene.first, 'c');
    ask(MAPSEG_OK, &scene.second, 'a');
    ask(MAPSEG_OK, &scene.first, 'd');
    scene.first.part->options.flags = 0;
    ask(MAPSEG_UNTRUSTED, &scene.first, 'a');
    need_said(&scene.first, "MAPSEG_ALLOW_GROUP");
    trust_group(&scene.first);
    ask(MAPSEG_OK, &scene.first, 'a');
    end_scene(&scene);
}
END_TEST

/* What others can write is not the group's alone. */
START_TEST(others_may_not_write_it)
{
    static const mode_t modes[] = {0662, 0666};
    struct scene scene;

    begin_scene(&scene);
    ask(MAPSEG_OK, &scene.first, 'c');
    ck_assert_int_eq(chmod(scene.place.path, modes[_i]), 0);
    ask(MAPSEG_UNTRUSTED, &scene.second, 'a');
    ck_assert_int_eq(chmod(scene.place.path, 0660), 0);
    ask(MAPSEG_OK, &scene.second, 'a');
    ck_assert_int_eq(chown(scene.place.path, FIRST_USER, OTHER_GROUP), 0);
    ask(MAPSEG_OK, &scene.second, 'd');
    ck_assert_int_eq(chmod(scene.place.path, 0664), 0);
    scene.second.part->access = MAPSEG_READ_ONLY;
    ask(MAPSEG_UNTRUSTED, &scene.second, 'a');
    end_scene(&scene);
}
END_TEST

START_TEST(group_of_which_one_is_no_member)
{
    struct scene scene;

    begin_scene(&scene);
    ask(MAPSEG_PERMISSION_DENIED, &scene.third, 'c');
    need_said(&scene.third, "group 60100");
    ck_assert(!exists(scene.place.path));
    /* Nor is anything left that has another name. */
    ck_assert_int_eq(count_names("mapseg"), 0);
    end_scene(&scene);
}
END_TEST

START_TEST(memory_file_for_a_group)
{
    struct scene scene;

    use_tiny_shm("size=8m,mode=1777");
    begin_at(&scene, "memfd:");
    ask(MAPSEG_OK, &scene.first, 'c');
    ask(MAPSEG_PERMISSION_DENIED, &scene.third, 'c');
    end_scene(&scene);
}
END_TEST

/* In a sticky directory the last one out tells, as where all may write. */
START_TEST(sticky_directory)
{
    struct scene scene;

    begin_scene(&scene);
    ask(MAPSEG_OK, &scene.first, 'c');
    ask(MAPSEG_OK, &scene.second, 'a');
    ask(MAPSEG_OK, &scene.first, 'd');
    ask(MAPSEG_OK, &scene.second, 'd');
    need_said(&scene.second, "user 60001");
    ck_assert_int_eq(use_of(scene.place.key), MAPSEG_USE_LEFT);
    ask(MAPSEG_OK, &scene.first, 'r');
    ck_assert(!exists(scene.place.path));
    end_scene(&scene);
}
END_TEST

/* -------------------------------------------------------------- directories -- */

#define BOX "/dev/shm/box"

/** A directory of the group's own, as systemd makes it under /run, and users in it. */
static void
begin_in_box(struct scene *scene, uid_t owner, gid_t group, mode_t mode)
{
    use_tiny_shm("size=8m,mode=0755");
    ck_assert_msg(mkdir(BOX, 0700) == 0 && chown(BOX, owner, group) == 0 && chmod(BOX, mode) == 0,
                  "%s", strerror(errno));
    snprintf(scene->place.key, sizeof scene->place.key, "file:%s/segment", BOX);
    snprintf(scene->place.path, sizeof scene->place.path, "%s/segment", BOX);
    begin_at(scene, scene->place.key);
}

static const struct {
    uid_t owner;
    mode_t mode;
} boxes[] = {
    {0, 0770}, {0, 02770}, {FIRST_USER, 0770}, {FIRST_USER, 02770}, {SECOND_USER, 0775},
};
#define BOXES ((int)(sizeof boxes / sizeof *boxes))

/* Whichever user made it, the last one out removes it. */
START_TEST(directory_of_the_group)
{
    struct scene scene;
    struct member *maker, *user;

    begin_in_box(&scene, boxes[_i / 4].owner, THE_GROUP, boxes[_i / 4].mode);
    maker = _i & 1 ? &scene.first : &scene.second;
    user = _i & 1 ? &scene.second : &scene.first;
    ask(MAPSEG_OK, maker, 'c');
    need_group(scene.place.key, 0660);
    ask(MAPSEG_OK, user, 'a');
    ask(MAPSEG_OK, _i & 2 ? user : maker, 'd');
    ck_assert(exists(scene.place.path));
    ask(MAPSEG_OK, _i & 2 ? maker : user, 'd');
    ck_assert_str_eq((_i & 2 ? maker : user)->part->said, "");
    ck_assert(!exists(scene.place.path));
    end_scene(&scene);
}
END_TEST

/* What a member leaves by dying each other one can clear. */
START_TEST(debris_in_the_directory)
{
    struct scene scene;

    begin_in_box(&scene, 0, THE_GROUP, 0770);
    ask(MAPSEG_OK, &scene.first, 'c');
    kill_member(&scene.first);
    ck_assert_int_eq(use_of(scene.place.key), MAPSEG_USE_STALE);
    ask(MAPSEG_OK, &scene.second, 'r');
    ck_assert(!exists(scene.place.path));
    end_member(&scene.third);
    end_member(&scene.second);
}
END_TEST

START_TEST(directory_of_others)
{
    static const struct {
        uid_t owner;
        gid_t group;
        mode_t mode;
    } others[] = {
        {0, THE_GROUP, 0777},
        {THIRD_USER, OTHER_GROUP, 0777},
        {THIRD_USER, OTHER_GROUP, 0755},
        {0, OTHER_GROUP, 0775},
    };
    struct scene scene;

    begin_in_box(&scene, others[_i].owner, others[_i].group, others[_i].mode);
    ask(MAPSEG_UNTRUSTED, &scene.first, 'c');
    ask(MAPSEG_UNTRUSTED, &scene.second, 'a');
    ck_assert(!exists(scene.place.path));
    end_scene(&scene);
}
END_TEST

START_TEST(directory_is_trusted_by_name)
{
    struct scene scene;

    begin_in_box(&scene, 0, THE_GROUP, 0770);
    scene.first.part->options.flags = 0;
    ask(MAPSEG_UNTRUSTED, &scene.first, 'c');
    need_said(&scene.first, "MAPSEG_ALLOW_GROUP");
    need_said(&scene.first, "group 60100");
    end_scene(&scene);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("groups");
    TCase *group = new_case(suite, "groups");

    if (skip_unless(can_have_members(), "several users and private mounts take root")) {
        tcase_add_test(group, members_share_and_others_do_not);
        tcase_add_test(group, mode_with_a_group_is_the_callers);
        tcase_add_test(group, only_that_group_is_trusted);
        tcase_add_test(group, owner_trusts_the_group_too);
        tcase_add_loop_test(group, others_may_not_write_it, 0, 2);
        tcase_add_test(group, group_of_which_one_is_no_member);
        tcase_add_test(group, memory_file_for_a_group);
        tcase_add_test(group, sticky_directory);
        tcase_add_loop_test(group, directory_of_the_group, 0, 4 * BOXES);
        tcase_add_test(group, debris_in_the_directory);
        tcase_add_loop_test(group, directory_of_others, 0, 4);
        tcase_add_test(group, directory_is_trusted_by_name);
    }
    return run_suite(suite);
}
