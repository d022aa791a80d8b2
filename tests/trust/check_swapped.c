/*
 * check_swapped.c - names that hostile users give to another file while a call looks at them: what
 * was looked at is what is opened, or neither is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "plants.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------- a name that changes hands -- */

static struct msi_os_operations healthy;

/** When the name is given to something else. */
enum moment { AFTER_THE_LOOK, AFTER_THE_OPEN, MOMENTS };

static struct {
    enum moment moment;
    bool armed;
    bool done;
    char spare[KEY_BYTES];
} swap;

static void
exchange(const char *a, const char *b)
{
    if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) != 0)
        ck_abort_msg("%s and %s: %s", a, b, strerror(errno));
}

static void
swap_now(enum moment moment, int directory, const char *name)
{
    const char *wanted = directory < 0 ? scene.path : strrchr(scene.path, '/') + 1;

    if (!swap.armed || swap.moment != moment || strcmp(name, wanted) != 0)
        return;
    swap.armed = false;
    swap.done = true;
    exchange(scene.path, swap.spare);
}

static int
look_then_swap(int directory, const char *name, struct stat *status)
{
    int error = healthy.status_of_name(directory, name, status);

    swap_now(AFTER_THE_LOOK, directory, name);
    return error;
}

static int
open_then_swap(int directory, const char *name, int flags)
{
    int fd = healthy.open(directory, name, flags);

    swap_now(AFTER_THE_OPEN, directory, name);
    return fd;
}

static const struct {
    const char *name;
    void (*put)(void);
    mapseg_result attach;
    bool removable; /* remove may take it: it is a segment */
} substitutes[] = {
    {"FIFO", put_fifo, FOREIGN, false},
    {"link to a segment", put_link_to_segment, UNTRUSTED, false},
    {"link to a file", put_link_to_file, UNTRUSTED, false},
    {"foreign file", put_own_file, FOREIGN, false},
    {"file of another", put_others_file, UNTRUSTED, false},
    {"segment of another", put_others_segment, UNTRUSTED, true},
    {"segment all may write", put_open_segment, UNTRUSTED, true},
    {"hard link", put_hard_link_to_segment, UNTRUSTED, true},
    {"directory", put_directory, FOREIGN, false},
};

#define SUBSTITUTES ((int)(sizeof substitutes / sizeof *substitutes))

/** A sound segment under the name; the substitute waits to take its place. */
static void
set_swap(int substitute, enum moment moment)
{
    set_scene(PLACE_SHM, ROOT);
    snprintf(swap.spare, sizeof swap.spare, "%.200s-spare", scene.path);
    substitutes[substitute].put();
    ck_assert_int_eq(rename(scene.path, swap.spare), 0);
    put_segment(scene.path, 0600, ROOT);
    healthy = msi_os;
    msi_os.status_of_name = look_then_swap;
    msi_os.open = open_then_swap;
    swap.moment = moment;
    swap.armed = true;
    swap.done = false;
}

/** What no exchange of names alters. */
static void
check_same_file(struct file_state *state, const char *path)
{
    struct stat now;

    ck_assert_msg(lstat(path, &now) == 0, "%s: %s", path, strerror(errno));
    state->status.st_ctim = now.st_ctim;
    check_file_state(state, path);
}

START_TEST(name_swapped_under_attach)
{
    const int substitute = _i / MOMENTS;
    struct file_state planted, own;
    struct footprint before;
    mapseg_result result;
    uint64_t inode;
    mapseg *seg;

    set_swap(substitute, (enum moment)(_i % MOMENTS));
    take_file_state(&planted, swap.spare);
    take_file_state(&own, scene.path);
    inode = own.status.st_ino;
    seg = handle_of_scene();
    take_footprint(&before, NULL);
    result = mapseg_attach(seg, MAPSEG_READ_WRITE);
    ck_assert_msg(swap.done, "the name was never looked at");
    if (result == MAPSEG_OK) {
        /* It had the segment before the name was given away. */
        ck_assert_int_eq(swap.moment, AFTER_THE_OPEN);
        ck_assert_uint_eq(inode_at(mapseg_const_data(seg)), inode);
        ck_assert(is_own_segment(seg));
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    } else {
        ck_assert_msg(result == substitutes[substitute].attach, "%s: %s: %s",
                      substitutes[substitute].name, mapseg_result_name(result),
                      mapseg_error_string(seg));
    }
    check_footprint(&before, NULL);
    check_same_file(&planted, scene.path);
    check_same_file(&own, swap.spare);
    mapseg_free(seg);
}
END_TEST

static mapseg_result (*const removals[])(mapseg *seg) = {mapseg_remove, mapseg_reclaim, replace};

#define REMOVALS ((int)(sizeof removals / sizeof *removals))

START_TEST(name_swapped_under_a_removal)
{
    const int substitute = _i / MOMENTS / REMOVALS;
    const int removal = _i / MOMENTS % REMOVALS;
    struct file_state planted, own;
    mapseg_result result;
    mapseg *seg;

    set_swap(substitute, (enum moment)(_i % MOMENTS));
    take_file_state(&planted, swap.spare);
    take_file_state(&own, scene.path);
    seg = handle_of_scene();
    result = removals[removal](seg);
    ck_assert_msg(swap.done, "the name was never looked at");
    check_same_file(&own, swap.spare);
    if (substitutes[substitute].removable && removal != 2) {
        ck_assert_msg(result == MAPSEG_OK || result == MAPSEG_TIMED_OUT, "%s: %s",
                      mapseg_result_name(result), mapseg_error_string(seg));
        free(planted.bytes);
    } else {
        ck_assert_msg(result == substitutes[substitute].attach || result == MAPSEG_NOT_A_SEGMENT ||
                          result == MAPSEG_ALREADY_EXISTS,
                      "%s: %s", mapseg_result_name(result), mapseg_error_string(seg));
        check_same_file(&planted, scene.path);
    }
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------- names in a loop -- */

enum { RIVALS = 5 };

static char rivals[RIVALS][KEY_BYTES];

/** Gives the name to one after the other, without a moment in which nothing has it. */
static int
keep_swapping(int channel, void *argument)
{
    int *stop = argument;

    say(channel, 'a');
    for (unsigned i = 0; __atomic_load_n(stop, __ATOMIC_RELAXED) == 0; i++) {
        exchange(scene.path, rivals[i % RIVALS]);
        for (unsigned spin = i * 2654435761U >> 20; spin != 0; spin--)
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
        exchange(scene.path, rivals[i % RIVALS]);
    }
    return 0;
}

static void
put_rivals(void)
{
    void (*const puts[RIVALS])(void) = {put_fifo, put_link_to_file, put_own_file, put_directory,
                                        put_others_segment};

    for (int i = 0; i < RIVALS; i++) {
        puts[i]();
        snprintf(rivals[i], sizeof rivals[i], "%.200s-rival%d", scene.path, i);
        ck_assert_int_eq(rename(scene.path, rivals[i]), 0);
    }
}

static long
seconds_of_swapping(void)
{
    const char *text = getenv("MAPSEG_SWAP_SECONDS");

    return text == NULL ? 2 : strtol(text, NULL, 10);
}

/** One attach while the names change; what it came to. */
static mapseg_result
attach_to_whatever(mapseg *seg, uint64_t inode)
{
    mapseg_result result = mapseg_attach(seg, MAPSEG_READ_WRITE);

    if (result == MAPSEG_OK) {
        ck_assert_uint_eq(inode_at(mapseg_const_data(seg)), inode);
        ck_assert_msg(is_own_segment(seg), "this is not the data of the segment");
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    } else {
        ck_assert_msg(result == MAPSEG_UNTRUSTED || result == MAPSEG_NOT_A_SEGMENT ||
                          result == MAPSEG_TIMED_OUT,
                      "%s: %s", mapseg_result_name(result), mapseg_error_string(seg));
        ck_assert(is_one_line(mapseg_error_string(seg)));
    }
    return result;
}

START_TEST(name_swapped_all_the_time)
{
    int64_t begun = now_ns(), passed = 0;
    unsigned accepted = 0, refused = 0;
    int *stop = shared_memory(sizeof *stop);
    struct footprint before;
    struct stat status;
    struct peer swapper;
    mapseg *seg;

    set_scene(PLACE_SHM, ROOT);
    put_rivals();
    put_segment(scene.path, 0600, ROOT);
    ck_assert_int_eq(lstat(scene.path, &status), 0);
    seg = handle_of_scene();
    take_footprint(&before, NULL);
    swapper = start_peer(keep_swapping, stop);
    ck_assert_int_eq(hear(swapper.channel), 'a');
    while (passed < seconds_of_swapping() * 1000000000 ||
           (passed < HANG && (accepted == 0 || refused == 0))) {
        if (attach_to_whatever(seg, status.st_ino) == MAPSEG_OK)
            accepted++;
        else
            refused++;
        passed = now_ns() - begun;
    }
    __atomic_store_n(stop, 1, __ATOMIC_RELAXED);
    ck_assert_int_eq(end_peer(&swapper), 0);
    check_footprint(&before, NULL);
    printf("%u accepted, %u refused\n", accepted, refused);
    ck_assert_uint_gt(accepted, 0);
    ck_assert_uint_gt(refused, 0);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("swapped");
    TCase *test_case = new_case(suite, "swaps");

    if (skip_unless(is_root() && can_mount(),
                    "only root can leave files of other users in a private "
                    "place")) {
        tcase_add_loop_test(test_case, name_swapped_under_attach, 0, SUBSTITUTES * MOMENTS);
        tcase_add_loop_test(test_case, name_swapped_under_a_removal, 0,
                            SUBSTITUTES * MOMENTS * REMOVALS);
        tcase_add_test(test_case, name_swapped_all_the_time);
    }
    return run_suite(suite);
}
