/*
 * check_left.c - segments whose last user might not remove them: in a sticky directory only the
 * owner of a file may remove its name. The one that leaves is told, those who look later see it,
 * and the owner can clear it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "members.h"

#include <string.h>
#include <sys/stat.h>

/** A segment that its first user has made for all, in a sticky directory, and left; and a second
 *  one that is still attached. */
static void
share(struct place *place, struct member *first, struct member *second, uint32_t mode,
      mapseg_access access)
{
    use_tiny_shm("size=8m,mode=1777");
    new_place(place);
    *first = begin_member(FIRST_USER, false, place->key);
    *second = begin_member(SECOND_USER, false, place->key);
    first->part->options.mode = mode;
    second->part->access = access;
    second->part->options.flags =
        (uint32_t)MAPSEG_ALLOW_OTHER_OWNER | (uint32_t)MAPSEG_ALLOW_SHARED_WRITE;
    ask(MAPSEG_OK, first, 'c');
    ask(MAPSEG_OK, second, 'a');
    ask(MAPSEG_OK, first, 'd');
    ck_assert_str_eq(first->part->said, "");
}

/** What is listed of it. */
static mapseg_use
listed_use(const struct place *place)
{
    mapseg_use use = MAPSEG_USE_RESERVED;
    mapseg_list *list;

    need_result(MAPSEG_OK, mapseg_list_new(&list));
    for (size_t i = 0; i < mapseg_list_count(list); i++)
        if (strcmp(mapseg_list_get(list, i)->native_key, place->key) == 0)
            use = mapseg_list_get(list, i)->use;
    mapseg_list_free(list);
    return use;
}

START_TEST(last_one_out_is_told)
{
    struct member first, second;
    struct place place;

    share(&place, &first, &second, 0666, MAPSEG_READ_WRITE);
    ask(MAPSEG_OK, &second, 'd');
    ck_assert_int_eq(second.part->error, MAPSEG_OK);
    need_said(&second, "user 60001");
    need_said(&second, "mapseg_reclaim");
    ck_assert(exists(place.path));
    ck_assert_int_eq(use_of(place.key), MAPSEG_USE_LEFT);
    ck_assert_int_eq(listed_use(&place), MAPSEG_USE_LEFT);
    /* It is not the second user's to clear. */
    ask(MAPSEG_PERMISSION_DENIED, &second, 'r');
    ck_assert(exists(place.path));
    ask(MAPSEG_OK, &first, 'r');
    ck_assert(!exists(place.path));
    end_member(&second);
    end_member(&first);
}
END_TEST

START_TEST(words_last_until_the_next_success)
{
    struct member first, second;
    struct place place;

    share(&place, &first, &second, 0666, MAPSEG_READ_WRITE);
    ask(MAPSEG_OK, &second, 'd');
    ck_assert_str_ne(second.part->said, "");
    ask(MAPSEG_OK, &second, 'a');
    ck_assert_str_eq(second.part->said, "");
    end_member(&second);
    end_member(&first);
}
END_TEST

/* The next user may die of it: then it is crash debris. */
START_TEST(note_ends_with_the_next_user)
{
    struct member first, second;
    struct place place;

    share(&place, &first, &second, 0666, MAPSEG_READ_WRITE);
    ask(MAPSEG_OK, &second, 'd');
    ck_assert_int_eq(use_of(place.key), MAPSEG_USE_LEFT);
    ask(MAPSEG_OK, &second, 'a');
    ck_assert_int_eq(use_of(place.key), MAPSEG_USE_LIVE);
    kill_member(&second);
    ck_assert_int_eq(use_of(place.key), MAPSEG_USE_STALE);
    end_member(&first);
}
END_TEST

/* One that only looks changes nothing of it. */
START_TEST(note_survives_a_look)
{
    struct member first, second;
    struct place place;

    share(&place, &first, &second, 0666, MAPSEG_READ_WRITE);
    ask(MAPSEG_OK, &second, 'd');
    first.part->options.flags = (uint32_t)MAPSEG_ALLOW_SHARED_WRITE | (uint32_t)MAPSEG_KEEP_NAME;
    ask(MAPSEG_OK, &first, 'a');
    ask(MAPSEG_OK, &first, 'd');
    ck_assert_int_eq(use_of(place.key), MAPSEG_USE_LEFT);
    end_member(&second);
    end_member(&first);
}
END_TEST

/* The owner that comes back is its last user as ever. */
START_TEST(owner_comes_back)
{
    struct member first, second;
    struct place place;

    share(&place, &first, &second, 0666, MAPSEG_READ_WRITE);
    ask(MAPSEG_OK, &second, 'd');
    first.part->options.flags = MAPSEG_ALLOW_SHARED_WRITE;
    ask(MAPSEG_OK, &first, 'a');
    ask(MAPSEG_OK, &first, 'd');
    ck_assert_str_eq(first.part->said, "");
    ck_assert(!exists(place.path));
    end_member(&second);
    end_member(&first);
}
END_TEST

START_TEST(creator_that_reclaims)
{
    struct member first, second;
    struct place place;

    share(&place, &first, &second, 0666, MAPSEG_READ_WRITE);
    ask(MAPSEG_OK, &second, 'd');
    first.part->options.flags = (uint32_t)MAPSEG_RECLAIM | (uint32_t)MAPSEG_STALE_ONLY |
                                (uint32_t)MAPSEG_ALLOW_SHARED_WRITE;
    ask(MAPSEG_OK, &first, 'c');
    ck_assert_int_eq(use_of(place.key), MAPSEG_USE_LIVE);
    end_member(&second);
    end_member(&first);
    ck_assert(!exists(place.path));
}
END_TEST

/* It can neither prove that it is the last one, nor leave a note. */
START_TEST(reader_is_told)
{
    struct member first, second;
    struct place place;

    share(&place, &first, &second, 0644, MAPSEG_READ_ONLY);
    ask(MAPSEG_OK, &second, 'd');
    ck_assert_int_eq(second.part->error, MAPSEG_OK);
    need_said(&second, "may only read it");
    ck_assert_int_eq(use_of(place.key), MAPSEG_USE_STALE);
    ask(MAPSEG_OK, &first, 'r');
    ck_assert(!exists(place.path));
    end_member(&second);
    end_member(&first);
}
END_TEST

/* Another is attached still: there is nothing to tell. */
START_TEST(others_stay)
{
    struct member first, second;
    struct place place;

    share(&place, &first, &second, 0666, MAPSEG_READ_WRITE);
    first.part->options.flags = MAPSEG_ALLOW_SHARED_WRITE;
    ask(MAPSEG_OK, &first, 'a');
    ask(MAPSEG_OK, &second, 'd');
    ck_assert_str_eq(second.part->said, "");
    ask(MAPSEG_OK, &first, 'd');
    ck_assert(!exists(place.path));
    end_member(&second);
    end_member(&first);
}
END_TEST

START_TEST(directory_that_was_closed)
{
    struct member first;
    struct place place;

    use_tiny_shm("size=8m,mode=1777");
    new_place(&place);
    first = begin_member(FIRST_USER, false, place.key);
    ask(MAPSEG_OK, &first, 'c');
    ck_assert_int_eq(chmod(SHM_DIRECTORY, 0755), 0);
    ask(MAPSEG_OK, &first, 'd');
    need_said(&first, "may not remove names");
    ck_assert_int_eq(use_of(place.key), MAPSEG_USE_LEFT);
    end_member(&first);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("left");
    TCase *group = new_case(suite, "left");

    if (skip_unless(can_have_members(), "several users and private mounts take root")) {
        tcase_add_test(group, last_one_out_is_told);
        tcase_add_test(group, words_last_until_the_next_success);
        tcase_add_test(group, note_ends_with_the_next_user);
        tcase_add_test(group, note_survives_a_look);
        tcase_add_test(group, owner_comes_back);
        tcase_add_test(group, creator_that_reclaims);
        tcase_add_test(group, reader_is_told);
        tcase_add_test(group, others_stay);
        tcase_add_test(group, directory_that_was_closed);
    }
    return run_suite(suite);
}
