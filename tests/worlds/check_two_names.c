/*
 * check_two_names.c - file systems that rename only over what is there: a segment gets its name by
 * a link, and has two names for a moment. The operations of the system are made to be so.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA_BYTES 5000

static struct msi_os_operations healthy;
static struct stage *scene;

static int
open_no_unnamed(int directory, mode_t mode)
{
    (void)directory;
    (void)mode;
    return -EACCES;
}

static int
rename_only_over(int directory, const char *from, const char *to)
{
    (void)directory;
    (void)from;
    (void)to;
    return -EINVAL;
}

static void
be_without_renames(void)
{
    healthy = msi_os;
    msi_os.open_unnamed = open_no_unnamed;
    msi_os.rename_new = rename_only_over;
}

/** Where the segment has two names: the creator says so, and waits. */
static int
unlink_when_told(int directory, const char *name)
{
    if (strstr(name, ".mapseg-") != NULL) {
        atomic_store(&scene->ready, 1);
        while (atomic_load(&scene->go) == 0)
            nap(MILLISECOND);
    }
    return healthy.unlink(directory, name);
}

static void
create_slowly(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    be_without_renames();
    msi_os.unlink = unlink_when_told;
    need_call(MAPSEG_OK, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    atomic_store(&stage->ready, 2);
    while (atomic_load(&stage->go) < 2)
        nap(MILLISECOND);
    mapseg_free(seg);
}

static mapseg_result
attach_for(mapseg *seg, int64_t timeout_ns)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.timeout_ns = timeout_ns;
    return mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options);
}

static mapseg_result
create_over(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_RECLAIM;
    return mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options);
}

static void
attach_patiently(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    atomic_store(&stage->wrong, 1);
    need_call(MAPSEG_OK, seg, attach_for(seg, HANG));
    mapseg_free(seg);
}

/** An attacher that comes in that moment does not refuse the segment: it waits. */
START_TEST(attachers_wait_for_the_name)
{
    struct stage *stage = scene = new_stage();
    pid_t creator = start(create_slowly, stage), attacher;
    mapseg *seg = handle_for(stage->place.key);

    await(&stage->ready, 1);
    need_call(MAPSEG_TIMED_OUT, seg, attach_for(seg, 0));
    need(strstr(mapseg_error_string(seg), "its creator") != NULL);
    need_call(MAPSEG_ALREADY_EXISTS, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    /* Its creator is attached. */
    need_call(MAPSEG_ALREADY_EXISTS, seg, create_over(seg));
    need_call(MAPSEG_IN_USE, seg, mapseg_reclaim(seg));
    attacher = start(attach_patiently, stage);
    await(&stage->wrong, 1);
    nap(5 * MILLISECOND);
    atomic_store(&stage->go, 1);
    await(&stage->ready, 2);
    finish(attacher);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    atomic_store(&stage->go, 2);
    finish(creator);
    need(!exists(stage->place.path));
    ck_assert_int_eq(count_names(stage->place.key + strlen("shm:")), 0);
    mapseg_free(seg);
}
END_TEST

/** The creator finishes between the attacher's look at the file and its look for the other name. */
static int
look_late(int directory, int (*visit)(void *context, const char *name), void *context)
{
    atomic_store(&scene->go, 1);
    await(&scene->ready, 2);
    return healthy.each_name(directory, visit, context);
}

static void
attach_in_between(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    healthy = msi_os;
    msi_os.each_name = look_late;
    need_call(MAPSEG_OK, seg, attach_for(seg, HANG));
    mapseg_free(seg);
}

START_TEST(an_attacher_looks_late)
{
    struct stage *stage = scene = new_stage();
    pid_t creator = start(create_slowly, stage);

    await(&stage->ready, 1);
    finish(start(attach_in_between, stage));
    atomic_store(&stage->go, 2);
    finish(creator);
    need(!exists(stage->place.path));
}
END_TEST

/** A remover takes the new name before its creator has looked at it. */
static int
unlink_both(int directory, const char *name)
{
    int result = healthy.unlink(directory, name);

    if (strstr(name, ".mapseg-") != NULL)
        need_number(0, unlink(scene->place.path));
    return result;
}

/** That is no fault of the file system's: it is as if it was removed a moment later. */
START_TEST(the_name_is_removed_at_once)
{
    mapseg *seg;

    scene = new_stage();
    seg = handle_for(scene->place.key);
    be_without_renames();
    msi_os.unlink = unlink_both;
    need_call(MAPSEG_OK, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    msi_os = healthy;
    ck_assert(!exists(scene->place.path));
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    mapseg_free(seg);
}
END_TEST

/** A name that has the mark of private ones in it. */
static bool
find_private(const struct stage *stage, char key[2 * KEY_BYTES])
{
    const char *name = stage->place.key + strlen("shm:");
    mapseg_list *list;
    bool found = false;

    need_result(MAPSEG_OK, mapseg_list_new(&list));
    for (size_t i = 0; i < mapseg_list_count(list); i++) {
        const char *path = mapseg_list_get(list, i)->path;
        const char *last = strrchr(path, '/') + 1;

        if (strncmp(last, name, strlen(name)) == 0 && strstr(last, ".mapseg-") != NULL) {
            snprintf(key, 2 * KEY_BYTES, "shm:%s", last);
            found = true;
        }
    }
    mapseg_list_free(list);
    return found;
}

/** The creator dies in that moment: both names are crash debris, and can be cleared away in any
 *  order. */
START_TEST(creator_dies_with_two_names)
{
    struct stage *stage = scene = new_stage();
    pid_t creator = start(create_slowly, stage);
    mapseg *seg = handle_for(stage->place.key), *private;
    char key[2 * KEY_BYTES];

    await(&stage->ready, 1);
    kill_and_reap(creator);
    need_call(MAPSEG_TIMED_OUT, seg, attach_for(seg, 0));
    need(find_private(stage, key));
    private = handle_for(key);
    if (_i == 0) {
        need_call(MAPSEG_OK, private, mapseg_reclaim(private));
        need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    } else if (_i == 1) {
        need_call(MAPSEG_OK, seg, mapseg_reclaim(seg));
        need_call(MAPSEG_OK, private, mapseg_reclaim(private));
    } else {
        need_call(MAPSEG_OK, seg, create_over(seg));
        need_call(MAPSEG_OK, private, mapseg_reclaim(private));
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    }
    ck_assert_int_eq(count_names(stage->place.key + strlen("shm:")), 0);
    mapseg_free(private);
    mapseg_free(seg);
}
END_TEST

/** Another second name is refused at once, as ever. */
START_TEST(other_names_are_refused)
{
    char other[KEY_BYTES + 32];
    struct place place;
    mapseg *seg;

    new_place(&place);
    leave_persistent(place.key, DATA_BYTES, 0);
    seg = handle_for(place.key);
    snprintf(other, sizeof other, "%s%s", place.path, _i == 0 ? "-other" : ".mapseg-other");
    ck_assert_int_eq(link(place.path, other), 0);
    need_call(MAPSEG_UNTRUSTED, seg, attach_for(seg, HANG));
    need_call(MAPSEG_UNTRUSTED, seg, create_over(seg));
    ck_assert_int_eq(unlink(other), 0);
    remove_persistent(place.key);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------- several names, several files -- */

/** As some file systems do, makes of the second name a file of its own, whose locks are others. */
static int
link_to_a_copy(int directory, const char *from, const char *to)
{
    int old = openat(directory, from, O_RDONLY | O_CLOEXEC);
    int new = openat(directory, to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    char block[4096];
    ssize_t got;

    need(old != -1 && new != -1);
    while ((got = read(old, block, sizeof block)) > 0)
        need_number(got, write(new, block, (size_t)got));
    close(old);
    close(new);
    return 0;
}

/** The second name is another file by its locks alone: the numbers are the same. */
static int
test_range_of_a_copy(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes,
                     struct msi_range *found)
{
    char own[64], name[KEY_BYTES] = "";

    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    need(readlink(own, name, sizeof name - 1) > 0);
    if (strcmp(name, scene->place.path) != 0)
        return healthy.test_range(fd, kind, start, bytes, found);
    *found = (struct msi_range){MSI_RANGE_FREE, start, bytes};
    return 0;
}

static int
link_fails(int directory, const char *from, const char *to)
{
    (void)directory;
    (void)from;
    (void)to;
    return -scene->number;
}

START_TEST(presence_that_is_not_seen_by_the_name)
{
    struct footprint before;
    mapseg *seg;

    scene = new_stage();
    seg = handle_for(scene->place.key);
    take_footprint(&before, NULL);
    be_without_renames();
    if (_i == 0)
        msi_os.link_name = link_to_a_copy;
    else
        msi_os.test_range = test_range_of_a_copy;
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    need(strstr(mapseg_error_string(seg), "locks") != NULL);
    msi_os = healthy;
    /* By its id even a copy is the creator's, to remove too. */
    check_footprint(&before, NULL);
    ck_assert_int_eq(count_names(scene->place.key + strlen("shm:")), 0);
    mapseg_free(seg);
}
END_TEST

START_TEST(neither_renames_nor_links)
{
    static const int errors[] = {EPERM, EOPNOTSUPP, ENOSYS, EINVAL, EACCES, EMLINK};
    struct footprint before;
    mapseg *seg;

    scene = new_stage();
    scene->number = errors[_i];
    seg = handle_for(scene->place.key);
    take_footprint(&before, NULL);
    be_without_renames();
    msi_os.link_name = link_fails;
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    need(strstr(mapseg_error_string(seg), "named") != NULL);
    need(strstr(mapseg_error_string(seg), strerror(EINVAL)) == NULL);
    msi_os = healthy;
    check_footprint(&before, NULL);
    ck_assert_int_eq(count_names(scene->place.key + strlen("shm:")), 0);
    mapseg_free(seg);
}
END_TEST

/** A private name that cannot be taken away leaves no segment with two. */
static int
unlink_of_private_fails(int directory, const char *name)
{
    if (strstr(name, ".mapseg-") != NULL && scene->number++ == 0)
        return -EIO;
    return healthy.unlink(directory, name);
}

START_TEST(private_name_that_stays)
{
    struct footprint before;
    mapseg *seg;

    scene = new_stage();
    seg = handle_for(scene->place.key);
    take_footprint(&before, NULL);
    be_without_renames();
    msi_os.unlink = unlink_of_private_fails;
    need_call(MAPSEG_UNKNOWN_ERROR, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    msi_os = healthy;
    check_footprint(&before, NULL);
    ck_assert_int_eq(count_names(scene->place.key + strlen("shm:")), 0);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("two names");
    TCase *group = new_case(suite, "names");

    tcase_add_test(group, attachers_wait_for_the_name);
    tcase_add_test(group, an_attacher_looks_late);
    tcase_add_test(group, the_name_is_removed_at_once);
    tcase_add_loop_test(group, creator_dies_with_two_names, 0, 3);
    tcase_add_loop_test(group, other_names_are_refused, 0, 2);
    tcase_add_loop_test(group, presence_that_is_not_seen_by_the_name, 0, 2);
    tcase_add_loop_test(group, neither_renames_nor_links, 0, 6);
    tcase_add_test(group, private_name_that_stays);
    return run_suite(suite);
}
