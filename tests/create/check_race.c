/*
 * check_race.c - processes that create, else attach, at the same moment: one creates, and what
 * any of them gets is whole.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

#define ROUNDS 600
#define SIZE 20000

struct rounds {
    uint32_t start[ROUNDS];
    uint32_t in[ROUNDS];
    uint32_t out[ROUNDS];
    uint32_t creators[ROUNDS];
};

/// What must hold of any attachment: it is whole, and its name leads to it.
static void
check_attachment(mapseg *seg)
{
    struct stat status;

    ck_assert_uint_eq(mapseg_size(seg), SIZE);
    ck_assert_int_eq(((char *)data_of(seg))[SIZE - 1], 0);
    ck_assert_msg(stat(path, &status) == 0, "the name of an attached segment is gone");
    ck_assert_uint_eq(status.st_ino, inode_at(mapseg_data(seg)));
}

static bool
enter_by_one_call(mapseg *seg)
{
    bool is_creator;

    need_call(MAPSEG_OK, seg, mapseg_create_or_attach(seg, SIZE, MAPSEG_READ_WRITE, &is_creator));
    return is_creator;
}

/// As every Qt program does: create, else attach; the segment may vanish in between.
static bool
enter_by_hand(mapseg *seg)
{
    for (;;) {
        mapseg_result result = mapseg_create(seg, SIZE, MAPSEG_READ_WRITE);

        if (result == MAPSEG_OK)
            return true;
        need_call(MAPSEG_ALREADY_EXISTS, seg, result);
        result = mapseg_attach(seg, MAPSEG_READ_WRITE);
        if (result == MAPSEG_OK)
            return false;
        need_call(MAPSEG_NOT_FOUND, seg, result);
    }
}

static int
race_in_rounds(struct rounds *rounds, bool (*enter)(mapseg *seg))
{
    mapseg *seg = handle_for(key);

    for (int i = 0; i < ROUNDS; i++) {
        meet(&rounds->start[i], 2);
        if (enter(seg))
            __atomic_add_fetch(&rounds->creators[i], 1, __ATOMIC_SEQ_CST);
        check_attachment(seg);
        meet(&rounds->in[i], 2);
        ck_assert_uint_eq(__atomic_load_n(&rounds->creators[i], __ATOMIC_SEQ_CST), 1);
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
        meet(&rounds->out[i], 2);
        ck_assert(!exists(path));
    }
    mapseg_free(seg);
    return 0;
}

static int
race_by_one_call(int channel, void *rounds)
{
    (void)channel;
    return race_in_rounds(rounds, enter_by_one_call);
}

static int
race_by_hand(int channel, void *rounds)
{
    (void)channel;
    return race_in_rounds(rounds, enter_by_hand);
}

static void
race_two(int (*body)(int channel, void *argument))
{
    struct rounds *rounds = shared_memory(sizeof *rounds);
    struct peer peers[2];

    for (int i = 0; i < 2; i++)
        peers[i] = start_peer(body, rounds);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(end_peer(&peers[i]), 0);
    ck_assert(!exists(path));
}

/*
 * QSharedMemory: two processes create, else attach: now and then the attacher maps a file that has
 * no size yet.
 */
START_TEST(two_race_with_create_or_attach)
{
    race_two(race_by_one_call);
}
END_TEST

/* QSharedMemory: the same. */
START_TEST(two_race_with_create_and_attach)
{
    race_two(race_by_hand);
}
END_TEST

#define RUNNERS 3
#define VISITS 1500

static int
visit_without_order(int channel, void *argument)
{
    uint32_t *runner = argument;
    uint32_t number = __atomic_fetch_add(runner, 1, __ATOMIC_SEQ_CST);

    (void)channel;
    for (int i = 0; i < VISITS; i++) {
        mapseg *seg = handle_for(key);

        (void)((i + (int)number) % 2 == 0 ? enter_by_one_call(seg) : enter_by_hand(seg));
        check_attachment(seg);
        if (i % 3 == 0)
            give_way();
        check_attachment(seg);
        mapseg_free(seg);
    }
    return 0;
}

/*
 * QSharedMemory: the same. Here without meeting places: attachers, creators and last ones out meet
 * as they like.
 */
START_TEST(many_come_and_go)
{
    uint32_t *runner = shared_memory(sizeof *runner);
    struct peer peers[RUNNERS];

    for (int i = 0; i < RUNNERS; i++)
        peers[i] = start_peer(visit_without_order, runner);
    for (int i = 0; i < RUNNERS; i++)
        ck_assert_int_eq(end_peer(&peers[i]), 0);
    ck_assert(!exists(path));
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("race");
    TCase *group = new_case(suite, "race");

    tcase_add_checked_fixture(group, choose_key, NULL);
    tcase_add_test(group, two_race_with_create_or_attach);
    tcase_add_test(group, two_race_with_create_and_attach);
    tcase_add_test(group, many_come_and_go);
    return run_suite(suite);
}
