/*
 * check_word.c - lock words that no owner has written: each is taken for a dead owner or for free.
 *
 * SPDX-License-Identifier: MIT
 */
#include "locking.h"

#include <unistd.h>

#define DATA_BYTES 4096

/** Owner bits that are no valid slot, the last ones with marks. */
static const uint32_t no_slots[] = {
    MAPSEG_LAST_SLOT + 1,
    MAPSEG_LAST_SLOT + 2,
    MAPSEG_LAST_SLOT + 3,
    UINT32_C(0x20000000),
    MAPSEG_LOCK_OWNER,
    MAPSEG_LOCK_OWNER | MAPSEG_LOCK_SLEEPERS,
    MAPSEG_LOCK_OWNER | MAPSEG_LOCK_DIED,
    UINT32_MAX,
};

START_TEST(no_slot_counts_as_dead)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    int held = hold_bytes(stage->place.path, MAPSEG_NAME_BYTE, 3);

    for (size_t i = 0; i < sizeof no_slots / sizeof no_slots[0]; i++) {
        for (int way = 0; way < 3; way++) {
            set_lock_word(header, no_slots[i]);
            need_number(MAPSEG_LOCK_STATE_OWNER_DIED, lock_state_of(stage->place.key));
            need_result(MAPSEG_OWNER_DIED, way == 0   ? mapseg_try_lock(seg)
                                           : way == 1 ? mapseg_lock_for(seg, 0)
                                                      : mapseg_lock(seg));
            need_number(slot_in_maps(getpid(), stage->place.path) | MAPSEG_LOCK_DIED,
                        lock_word(header) & ~MAPSEG_LOCK_SLEEPERS);
            need_result(MAPSEG_OK, mapseg_consistent(seg));
            need_result(MAPSEG_OK, mapseg_unlock(seg));
            need_number(0, lock_word(header));
        }
    }
    (void)close(held);
    mapseg_free(seg);
}
END_TEST

START_TEST(slot_that_nobody_holds_is_dead)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t own = slot_in_maps(getpid(), stage->place.path);
    const uint32_t slots[] = {MAPSEG_FIRST_SLOT, MAPSEG_LAST_SLOT, own % MAPSEG_LAST_SLOT + 1};

    for (size_t i = 0; i < 3; i++) {
        if (slots[i] == own)
            continue;
        set_lock_word(header, slots[i]);
        need_result(MAPSEG_OWNER_DIED, mapseg_try_lock(seg));
        need_result(MAPSEG_OK, mapseg_consistent(seg));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        set_lock_word(header, slots[i] | MAPSEG_LOCK_SLEEPERS);
        need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
        need_result(MAPSEG_OK, mapseg_consistent(seg));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        need_number(0, lock_word(header));
    }
    mapseg_free(seg);
}
END_TEST

START_TEST(words_without_an_owner_are_free)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t own = slot_in_maps(getpid(), stage->place.path);

    set_lock_word(header, MAPSEG_LOCK_SLEEPERS);
    need_result(MAPSEG_OK, mapseg_try_lock(seg));
    need_number(own | MAPSEG_LOCK_SLEEPERS, lock_word(header));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(0, lock_word(header));

    set_lock_word(header, MAPSEG_LOCK_DIED);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock_for(seg, 0));
    need_number(own | MAPSEG_LOCK_DIED, lock_word(header));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(MAPSEG_LOCK_DIED, lock_word(header));

    set_lock_word(header, MAPSEG_LOCK_DIED | MAPSEG_LOCK_SLEEPERS);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_number(own | MAPSEG_LOCK_DIED | MAPSEG_LOCK_SLEEPERS, lock_word(header));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_number(own | MAPSEG_LOCK_SLEEPERS, lock_word(header));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(0, lock_word(header));
    need_number(0, recoveries_of(header));
    mapseg_free(seg);
}
END_TEST

START_TEST(own_slot_is_another_thread)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t own = slot_in_maps(getpid(), stage->place.path);

    set_lock_word(header, own);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, 200 * MILLISECOND));
    need_number(own, lock_word(header) & MAPSEG_LOCK_OWNER);
    need_number(0, recoveries_of(header));
    /* The byte is still ours: the lock has not tested it by taking it. */
    need_attached(1, stage->place.key);
    set_lock_word(header, 0);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

/** Sleeps on a word that a hostile peer then overwrites. */
START_TEST(sleeper_survives_a_changing_word)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    pid_t holder;
    pid_t sleeper;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    holder = start_holder(stage);
    sleeper = start_sleeper(wait_and_repair, stage, header);
    set_lock_word(header, MAPSEG_LOCK_OWNER);
    finish(sleeper);
    need_number(1, stage->told[MAPSEG_OWNER_DIED]);
    need_number(0, lock_word(header));
    kill_and_reap(holder);
    remove_persistent(stage->place.key);
}
END_TEST

START_TEST(newcomer_heals_the_word_that_names_its_slot)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    uint32_t slot;
    mapseg *seg;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    for (int round = 0; round < 50; round++) {
        slot = slot_in_maps(getpid(), stage->place.path);
        need_result(MAPSEG_OK, mapseg_detach(seg));
        set_lock_word(header, slot | (round % 2 == 0 ? 0 : MAPSEG_LOCK_SLEEPERS));
        need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
        if (slot_in_maps(getpid(), stage->place.path) == slot)
            need_number(MAPSEG_LOCK_DIED, lock_word(header) & ~MAPSEG_LOCK_SLEEPERS);
        need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
        need_result(MAPSEG_OK, mapseg_consistent(seg));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    Suite *suite = new_suite("word");
    TCase *tcase = new_case(suite, "word");

    tcase_add_test(tcase, no_slot_counts_as_dead);
    tcase_add_test(tcase, slot_that_nobody_holds_is_dead);
    tcase_add_test(tcase, words_without_an_owner_are_free);
    tcase_add_test(tcase, own_slot_is_another_thread);
    tcase_add_test(tcase, sleeper_survives_a_changing_word);
    tcase_add_test(tcase, newcomer_heals_the_word_that_names_its_slot);
    return run_suite(suite);
}
