/*
 * check_replace.c - creating with MAPSEG_REPLACE: the name goes from a segment that is in use to a
 * complete new one, in one step.
 *
 * SPDX-License-Identifier: MIT
 */
#include "actors.h"

#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** Fills a segment with one number, so that half of it would be seen. */
static mapseg_result
fill(void *data, size_t size, void *argument)
{
    uint64_t *words = data;

    for (size_t i = 0; i < size / sizeof *words; i++)
        words[i] = *(const uint64_t *)argument;
    return MAPSEG_OK;
}

static mapseg_result
replace(mapseg *seg, uint64_t number, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags | MAPSEG_REPLACE;
    options.initialize = fill;
    options.initialize_argument = &number;
    /* Others may hold the name for as long as the machine leaves them waiting. */
    options.timeout_ns = HANG;
    return mapseg_create_with(seg, ACTOR_BYTES, MAPSEG_READ_WRITE, &options);
}

/** The number that all of the segment has. */
static uint64_t
number_in(mapseg *seg)
{
    const volatile uint64_t *words = mapseg_const_data(seg);

    need_number(ACTOR_BYTES, mapseg_size(seg));
    for (size_t i = 1; i < ACTOR_BYTES / sizeof *words; i++)
        need(words[i] == words[0]);
    return words[0];
}

/** Private names of the place's own: other suites may make some at the same time. */
static int
count_private_names(const struct place *place)
{
    char text[KEY_BYTES + 16];

    snprintf(text, sizeof text, "%s.mapseg-", strrchr(place->path, '/') + 1);
    return count_names(text);
}

/* -------------------------------------------------------------- one at a time -- */

START_TEST(users_keep_the_old_one)
{
    struct place place;
    mapseg *old, *new, *third;
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    new_place(&place);
    old = created(place.key, 100);
    strcpy(data_of(old), "old");
    new = handle_for(place.key);
    options.flags = MAPSEG_RECLAIM;
    need_call(MAPSEG_ALREADY_EXISTS, new, mapseg_create_with(new, 1, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, new, replace(new, 1, 0));
    ck_assert_int_eq(name_state_of(old), MAPSEG_NAME_REPLACED);
    ck_assert_int_eq(name_state_of(new), MAPSEG_NAME_SAME);
    ck_assert_str_eq(data_of(old), "old");
    third = attached(place.key, MAPSEG_READ_ONLY);
    ck_assert_uint_eq(number_in(third), 1);
    /* Two segments, two locks; and the last one out of the old one leaves the name alone. */
    need_call(MAPSEG_OK, old, mapseg_lock(old));
    need_call(MAPSEG_OK, new, mapseg_lock(new));
    mapseg_free(old);
    ck_assert_int_eq(name_state_of(new), MAPSEG_NAME_SAME);
    mapseg_free(third);
    mapseg_free(new);
    ck_assert(!exists(place.path));
}
END_TEST

/** There may be none; or crash debris, or one that is meant to stay. */
START_TEST(whatever_is_there)
{
    struct place place;
    mapseg *seg;

    new_place(&place);
    if (_i == 1)
        leave_debris(place.key, 500, 7);
    if (_i == 2)
        leave_persistent(place.key, 500, 0);
    seg = handle_for(place.key);
    need_call(MAPSEG_OK, seg, replace(seg, 5, 0));
    ck_assert_uint_eq(number_in(seg), 5);
    mapseg_free(seg);
    ck_assert(!exists(place.path));
    ck_assert_int_eq(count_private_names(&place), 0);
}
END_TEST

/** What happens to a publisher that was killed and is started again: readers that sleep keep it
 *  from reclaiming, and do not keep it from replacing. They are told. */
static void
sleep_watching(struct stage *stage)
{
    mapseg *seg = attached_as(stage->place.key, MAPSEG_READ_ONLY, MAPSEG_WATCH_NAME);

    atomic_store(&stage->ready, 1);
    need_call(MAPSEG_NOT_FOUND, seg, mapseg_wait(seg, 0, NULL, -1));
    mapseg_free(seg);
}

START_TEST(a_publisher_restarts)
{
    struct stage *stage = new_stage();
    struct peer first = start_peer(actor, stage->place.key);
    struct peer second = start_peer(actor, stage->place.key);
    pid_t reader;

    tell(&first, 'c');
    reader = start(sleep_watching, stage);
    await(&stage->ready, 1);
    need_asleep(reader);
    kill_peer(&first);
    say(second.channel, 'q');
    ck_assert_int_eq(hear(second.channel), 'n');
    tell(&second, 'r');
    finish(reader);
    ck_assert_uint_eq(writers_of(stage->place.key), 1);
    tell(&second, 'd');
    kill_peer(&second);
    ck_assert(!exists(stage->place.path));
}
END_TEST

static mapseg_result
let_rival_create(void *data, size_t size, void *rival)
{
    (void)data, (void)size;
    tell(rival, 'c');
    return MAPSEG_OK;
}

/** What would attach takes the name from no process: of two that create or attach at once, both
 *  get the same segment. */
START_TEST(create_or_attach_takes_no_name)
{
    struct place place;
    struct peer rival;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg;
    bool made = true;

    new_place(&place);
    rival = start_peer(actor, place.key);
    seg = handle_for(place.key);
    options.flags = MAPSEG_REPLACE;
    options.initialize = let_rival_create;
    options.initialize_argument = &rival;
    need_call(MAPSEG_OK, seg,
              mapseg_create_or_attach_with(seg, ACTOR_BYTES, MAPSEG_READ_WRITE, &options, &made));
    ck_assert(!made);
    need_attached(2, place.key);
    tell(&rival, 'd');
    kill_peer(&rival);
    mapseg_free(seg);
    ck_assert(!exists(place.path));
}
END_TEST

/* ----------------------------------------------------------------- refusals -- */

static void
check_refused(const struct place *place, mapseg_result expected)
{
    mapseg *seg = handle_for(place->key);
    struct file_state before;

    take_file_state(&before, place->path);
    need_call(expected, seg, replace(seg, 1, 0));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    ck_assert(!mapseg_is_attached(seg));
    check_file_state(&before, place->path);
    ck_assert_int_eq(count_private_names(place), 0);
    mapseg_free(seg);
}

START_TEST(other_files_are_left_alone)
{
    struct place place;
    int fd;

    new_place(&place);
    fd = open(place.path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, "something else", 14), 14);
    close(fd);
    check_refused(&place, MAPSEG_NOT_A_SEGMENT);
    ck_assert_int_eq(unlink(place.path), 0);
}
END_TEST

START_TEST(what_attach_would_not_trust)
{
    struct place place;
    mapseg *seg;

    new_place(&place);
    leave_persistent(place.key, 100, 0);
    ck_assert_int_eq(chmod(place.path, 0666), 0);
    check_refused(&place, MAPSEG_UNTRUSTED);
    seg = handle_for(place.key);
    need_call(MAPSEG_OK, seg, replace(seg, 3, MAPSEG_ALLOW_SHARED_WRITE));
    mapseg_free(seg);
    ck_assert(!exists(place.path));
}
END_TEST

START_TEST(another_users_segment)
{
    struct place place;
    mapseg *seg;

    new_place(&place);
    leave_persistent(place.key, 100, 0);
    ck_assert_int_eq(chown(place.path, NOBODY, NOBODY), 0);
    check_refused(&place, MAPSEG_UNTRUSTED);
    seg = handle_for(place.key);
    need_call(MAPSEG_OK, seg, replace(seg, 3, MAPSEG_ALLOW_OTHER_OWNER));
    mapseg_free(seg);
    ck_assert(!exists(place.path));
}
END_TEST

static int
replace_as_nobody(void *argument)
{
    mapseg *seg = handle_for(argument);
    mapseg_result result =
        replace(seg, 1, (uint32_t)MAPSEG_ALLOW_OTHER_OWNER | (uint32_t)MAPSEG_ALLOW_SHARED_WRITE);

    need_number(MAPSEG_PERMISSION_DENIED, result);
    need(strstr(mapseg_error_string(seg), "replaced") != NULL);
    need(is_one_line(mapseg_error_string(seg)));
    mapseg_free(seg);
    return 0;
}

/** In a sticky directory the system lets only the owner take a name. */
START_TEST(the_system_refuses)
{
    struct place place;

    use_tiny_shm("size=8m,mode=1777");
    new_place(&place);
    leave_persistent(place.key, 100, 0);
    ck_assert_int_eq(chmod(place.path, 0666), 0);
    ck_assert_int_eq(as_ordinary_user(replace_as_nobody, place.key), 0);
    ck_assert_int_eq(count_private_names(&place), 0);
    ck_assert_int_eq(chmod(place.path, 0600), 0);
    remove_persistent(place.key);
}
END_TEST

/** As a rule about names has it, which is asked when it is known that the name is free. */
static int
refuse_link(int fd, int directory, const char *name)
{
    struct stat status;

    (void)fd;
    return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? -EEXIST : -EACCES;
}

/** Where a file without a name can get none, one with a private name replaces. */
START_TEST(a_rule_refuses_links)
{
    struct place place;
    mapseg *seg;

    new_place(&place);
    leave_persistent(place.key, 100, 0);
    msi_os.link = refuse_link;
    seg = handle_for(place.key);
    need_call(MAPSEG_OK, seg, replace(seg, 3, 0));
    ck_assert_uint_eq(number_in(seg), 3);
    ck_assert_int_eq(count_private_names(&place), 0);
    mapseg_free(seg);
    ck_assert(!exists(place.path));
}
END_TEST

/* -------------------------------------------------- others at the same name -- */

/** A description that holds the name byte, as a remover's that is stopped. */
static int
hold_name_byte(const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CLOEXEC);

    lock.l_start = (off_t)(MAPSEG_PRESENCE_BASE + MAPSEG_NAME_BYTE);
    lock.l_len = 1;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
    return fd;
}

START_TEST(a_remover_that_is_stopped)
{
    struct place place;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct footprint before;
    mapseg *old, *new;
    int fd;

    new_place(&place);
    old = created(place.key, 100);
    fd = hold_name_byte(place.path);
    new = handle_for(place.key);
    take_footprint(&before, NULL);
    options.flags = MAPSEG_REPLACE;
    options.timeout_ns = 20 * MILLISECOND;
    need_call(MAPSEG_TIMED_OUT, new, mapseg_create_with(new, 1, MAPSEG_READ_WRITE, &options));
    check_footprint(&before, NULL);
    options.timeout_ns = 0;
    need_call(MAPSEG_TIMED_OUT, new, mapseg_create_with(new, 1, MAPSEG_READ_WRITE, &options));
    check_footprint(&before, NULL);
    ck_assert_int_eq(name_state_of(old), MAPSEG_NAME_SAME);
    close(fd);
    need_call(MAPSEG_OK, new, mapseg_create_with(new, 1, MAPSEG_READ_WRITE, &options));
    ck_assert_int_eq(name_state_of(old), MAPSEG_NAME_REPLACED);
    mapseg_free(old);
    mapseg_free(new);
}
END_TEST

static void
wait_for_go_and_replace(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    await(&stage->go, 1);
    options.flags = MAPSEG_REPLACE;
    options.timeout_ns = -1;
    atomic_store(&stage->ready, 1);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 1, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_number(1, writers_of(stage->place.key));
    mapseg_free(seg);
}

/** It waits for a remover that goes on. */
START_TEST(a_remover_that_goes_on)
{
    struct stage *stage = new_stage();
    pid_t replacer;
    mapseg *old;
    int fd;

    leave_persistent(stage->place.key, 100, 0);
    replacer = start(wait_for_go_and_replace, stage);
    old = attached(stage->place.key, MAPSEG_READ_ONLY);
    fd = hold_name_byte(stage->place.path);
    atomic_store(&stage->go, 1);
    await(&stage->ready, 1);
    need_asleep(replacer);
    ck_assert_int_eq(name_state_of(old), MAPSEG_NAME_SAME);
    close(fd);
    finish(replacer);
    ck_assert_int_eq(name_state_of(old), MAPSEG_NAME_GONE);
    mapseg_free(old);
}
END_TEST

#define ROUNDS 300
#define REPLACERS 3

static void
replace_again_and_again(struct stage *stage)
{
    uint64_t number = (uint64_t)getpid();
    mapseg *seg = handle_for(stage->place.key);

    for (int i = 0; i < ROUNDS; i++) {
        need_call(MAPSEG_OK, seg, replace(seg, number, MAPSEG_PERSISTENT));
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    }
    mapseg_free(seg);
}

static void
look_again_and_again(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.timeout_ns = HANG;
    while (!atomic_load(&stage->go)) {
        need_call(MAPSEG_OK, seg, mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options));
        need(number_in(seg) != 0);
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    }
    mapseg_free(seg);
}

/** Many replace at once, all succeed, and at no moment there is no segment, or half of one. */
START_TEST(a_name_is_never_without_a_segment)
{
    struct stage *stage = new_stage();
    mapseg *seg = handle_for(stage->place.key);
    pid_t replacers[REPLACERS];
    pid_t looker;

    need_call(MAPSEG_OK, seg, replace(seg, 1, MAPSEG_PERSISTENT));
    mapseg_free(seg);
    looker = start(look_again_and_again, stage);
    for (int i = 0; i < REPLACERS; i++)
        replacers[i] = start(replace_again_and_again, stage);
    for (int i = 0; i < REPLACERS; i++)
        finish(replacers[i]);
    atomic_store(&stage->go, 1);
    finish(looker);
    ck_assert_int_eq(count_private_names(&stage->place), 0);
    remove_persistent(stage->place.key);
}
END_TEST

static void
replace_for_ever(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    for (uint64_t i = 2;; i++) {
        atomic_store(&stage->ready, 1);
        need_call(MAPSEG_OK, seg, replace(seg, i, MAPSEG_PERSISTENT));
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    }
}

static int
remove_private_names(const struct place *place)
{
    char start[KEY_BYTES + 16];
    mapseg_list *list;
    int removed = 0;

    snprintf(start, sizeof start, "%s.mapseg-", place->key);
    need_result(MAPSEG_OK, mapseg_list_new(&list));
    for (size_t i = 0; i < mapseg_list_count(list); i++) {
        const mapseg_info *information = mapseg_list_get(list, i);

        if (strncmp(information->native_key, start, strlen(start)) == 0) {
            mapseg *seg = handle_for(information->native_key);

            need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
            mapseg_free(seg);
            removed++;
        }
    }
    mapseg_list_free(list);
    return removed;
}

/** It is killed at any moment: the name leads to a complete segment, and the most that is left is
 *  crash debris that reclaim clears. */
START_TEST(killed_on_the_way)
{
    struct stage *stage = new_stage();
    mapseg *seg = handle_for(stage->place.key);
    uint64_t random = 1;

    need_call(MAPSEG_OK, seg, replace(seg, 1, MAPSEG_PERSISTENT));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    for (int i = 0; i < 200; i++) {
        pid_t replacer;

        atomic_store(&stage->ready, 0);
        replacer = start(replace_for_ever, stage);
        await(&stage->ready, 1);
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        nap((int64_t)(random >> 40) % (300 * MICROSECOND));
        kill_and_reap(replacer);
        need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
        ck_assert_uint_ne(number_in(seg), 0);
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
        ck_assert_int_le(remove_private_names(&stage->place), 1);
    }
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

static int
no_unnamed(int directory, mode_t mode)
{
    (void)directory, (void)mode;
    return -EOPNOTSUPP;
}

/** All of it once more where files cannot be without a name. */
static void
lack_unnamed_files(void)
{
    msi_os.open_unnamed = no_unnamed;
}

static void
add_tests(TCase *group)
{
    tcase_add_test(group, users_keep_the_old_one);
    tcase_add_loop_test(group, whatever_is_there, 0, 3);
    tcase_add_test(group, a_publisher_restarts);
    tcase_add_test(group, create_or_attach_takes_no_name);
    tcase_add_test(group, other_files_are_left_alone);
    tcase_add_test(group, what_attach_would_not_trust);
    tcase_add_test(group, a_rule_refuses_links);
    tcase_add_test(group, a_remover_that_is_stopped);
    tcase_add_test(group, a_remover_that_goes_on);
    tcase_add_test(group, a_name_is_never_without_a_segment);
    tcase_add_test(group, killed_on_the_way);
    if (skip_unless(is_root(), "two users need root")) {
        tcase_add_test(group, another_users_segment);
        if (skip_unless(can_mount(), "no private place can be mounted"))
            tcase_add_test(group, the_system_refuses);
    }
}

int
main(void)
{
    Suite *suite = new_suite("replace");
    TCase *named = new_case(suite, "named");

    add_tests(new_case(suite, "replace"));
    tcase_add_checked_fixture(named, lack_unnamed_files, NULL);
    add_tests(named);
    return run_suite(suite);
}
