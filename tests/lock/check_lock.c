/*
 * check_lock.c - the calls that take the lock and free it: what each comes to.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define DATA_BYTES 4096

/** The handle's last error is this, and the reason is one line of text. */
static void
need_reason(mapseg_result expected, const mapseg *seg)
{
    const char *text = mapseg_error_string(seg);

    need_result(expected, mapseg_error(seg));
    need(text[0] != '\0' && strchr(text, '\n') == NULL);
}

/* ----------------------------------------------------------------- take -- */

START_TEST(held_word_is_the_own_slot)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    mapseg_info *information;

    need_number(0, lock_word(header));
    need_number(MAPSEG_LOCK_STATE_FREE, lock_state_of(stage->place.key));
    for (int round = 0; round < 3; round++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(lock_word(header) >= MAPSEG_FIRST_SLOT && lock_word(header) <= MAPSEG_LAST_SLOT);
        need_number(slot_in_maps(getpid(), stage->place.path), lock_word(header));
        need_result(MAPSEG_OK, mapseg_info_new(seg, &information));
        need_number(MAPSEG_LOCK_STATE_HELD, information->lock);
        need_number(lock_word(header), information->lock_slot);
        need(!information->lock_inconsistent && !information->lock_sleepers);
        mapseg_info_free(information);
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        need_number(0, lock_word(header));
    }
    need_result(MAPSEG_OK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_lock_for(seg, 0));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_lock_for(seg, -1));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(0, lock_word(header));
    need_number(0, recoveries_of(header));
    mapseg_free(seg);
}
END_TEST

START_TEST(somebody_else_holds_it)
{
    struct stage *stage = new_stage();
    mapseg *owner = created(stage->place.key, DATA_BYTES);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    int64_t began;

    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_error(other));
    need(mapseg_error_string(other)[0] != '\0');
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(other, 0));
    began = now_ns();
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(other, 200 * MILLISECOND));
    need(now_ns() - began >= 200 * MILLISECOND);
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need_result(MAPSEG_OK, mapseg_try_lock(other));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(owner));
    need_result(MAPSEG_OK, mapseg_unlock(other));
    mapseg_free(other);
    mapseg_free(owner);
}
END_TEST

struct wait {
    mapseg *seg;
    int64_t timeout_ns;
    atomic_int entered;
    atomic_int released;
    bool early;
    mapseg_result result;
};

static void *
wait_for_lock(void *argument)
{
    struct wait *wait = argument;

    atomic_store(&wait->entered, 1);
    wait->result = mapseg_lock_for(wait->seg, wait->timeout_ns);
    wait->early = atomic_load(&wait->released) == 0;
    if (mapseg_result_owes_unlock(wait->result))
        need_result(MAPSEG_OK, mapseg_unlock(wait->seg));
    return NULL;
}

/** Timeouts that mean for ever, and one that is as good as that. */
static const int64_t endless[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX / 2};

START_TEST(endless_timeouts_wait_for_the_release)
{
    struct stage *stage = new_stage();
    mapseg *owner = created(stage->place.key, DATA_BYTES);
    struct wait wait = {.seg = attached(stage->place.key, MAPSEG_READ_WRITE),
                        .timeout_ns = endless[_i]};
    pthread_t thread;

    need_result(MAPSEG_OK, mapseg_lock(owner));
    need(pthread_create(&thread, NULL, wait_for_lock, &wait) == 0);
    await(&wait.entered, 1);
    nap(150 * MILLISECOND);
    atomic_store(&wait.released, 1);
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need(pthread_join(thread, NULL) == 0);
    need_result(MAPSEG_OK, wait.result);
    need(!wait.early);
    mapseg_free(wait.seg);
    mapseg_free(owner);
}
END_TEST

START_TEST(second_lock_of_a_thread)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_try_lock(seg));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock_for(seg, 0));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock_for(seg, -1));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    /* One unlock frees it. */
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_try_lock(other));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(other));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/** Finds the lock taken. */
static void
find_it_taken(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    mapseg_free(seg);
}

/** Read-only is about the data: the lock excludes both ways. */
START_TEST(read_only_attachments_lock)
{
    struct stage *stage = new_stage();
    mapseg *owner = created(stage->place.key, DATA_BYTES);
    mapseg *reader = handle_for(stage->place.key);

    need_result(MAPSEG_OK, mapseg_attach(reader, MAPSEG_READ_ONLY));
    need_result(MAPSEG_OK, mapseg_lock(reader));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(owner));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(reader));
    finish(start(find_it_taken, stage));
    need_result(MAPSEG_OK, mapseg_unlock(reader));
    need_result(MAPSEG_OK, mapseg_lock(owner));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(reader));
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need_result(MAPSEG_OK, mapseg_lock_for(reader, 0));
    need_result(MAPSEG_OK, mapseg_unlock(reader));
    mapseg_free(owner);
    mapseg_free(reader);
}
END_TEST

/** Neither without a key, nor with one, nor after an attachment. */
START_TEST(lock_of_a_handle_that_is_not_attached)
{
    struct stage *stage = new_stage();
    mapseg *seg = mapseg_new();

    for (int round = 0; round < 3; round++) {
        need_result(MAPSEG_LOCK_ERROR, mapseg_lock(seg));
        need_reason(MAPSEG_LOCK_ERROR, seg);
        need_result(MAPSEG_LOCK_ERROR, mapseg_try_lock(seg));
        need_result(MAPSEG_LOCK_ERROR, mapseg_lock_for(seg, SECOND));
        need_result(MAPSEG_LOCK_ERROR, mapseg_error(seg));
        need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
        need_result(MAPSEG_LOCK_ERROR, mapseg_error(seg));
        need_result(MAPSEG_NOT_LOCKED, mapseg_consistent(seg));
        if (round == 0)
            need_result(MAPSEG_OK, mapseg_set_native_key(seg, stage->place.key));
        if (round == 1) {
            need_result(MAPSEG_OK, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
            need_result(MAPSEG_OK, mapseg_detach(seg));
        }
    }
    mapseg_free(seg);
}
END_TEST

/* QSharedMemory: a create that fails, as it should, resets the lock: then two can hold it. */
START_TEST(failing_create_leaves_the_lock_alone)
{
    struct stage *stage = new_stage();
    mapseg *owner = created(stage->place.key, DATA_BYTES);
    mapseg *other = handle_for(stage->place.key);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t word;

    need_result(MAPSEG_OK, mapseg_lock(owner));
    word = lock_word(header);
    need_result(MAPSEG_ALREADY_EXISTS, mapseg_create(other, 100, MAPSEG_READ_WRITE));
    need_result(MAPSEG_ALREADY_EXISTS, mapseg_create(owner, 100, MAPSEG_READ_WRITE));
    need_number(word, lock_word(header));
    need_result(MAPSEG_OK, mapseg_attach(other, MAPSEG_READ_WRITE));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(other, 50 * MILLISECOND));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(owner));
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need_result(MAPSEG_OK, mapseg_lock(other));
    need_result(MAPSEG_OK, mapseg_unlock(other));
    mapseg_free(other);
    mapseg_free(owner);
}
END_TEST

/* ----------------------------------------------------------------- free -- */

START_TEST(unlock_without_holding_changes_nothing)
{
    struct stage *stage = new_stage();
    mapseg *owner = created(stage->place.key, DATA_BYTES);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t word;

    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(owner));
    need_reason(MAPSEG_OK, owner);
    need_result(MAPSEG_ALREADY_EXISTS, mapseg_create(owner, 10, MAPSEG_READ_WRITE));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(owner));
    need_reason(MAPSEG_ALREADY_EXISTS, owner);
    need_result(MAPSEG_NOT_LOCKED, mapseg_consistent(owner));
    need_number(0, lock_word(header));
    need_result(MAPSEG_OK, mapseg_lock(owner));
    word = lock_word(header);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(other));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_error(other));
    need_result(MAPSEG_NOT_LOCKED, mapseg_consistent(other));
    need_number(word, lock_word(header) & ~MAPSEG_LOCK_SLEEPERS);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(other));
    need_result(MAPSEG_OK, mapseg_unlock(owner));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(owner));
    need_number(0, lock_word(header));
    mapseg_free(other);
    mapseg_free(owner);
}
END_TEST

START_TEST(which_results_owe_an_unlock)
{
    for (int result = -1; result < 64; result++)
        need(mapseg_result_owes_unlock((mapseg_result)result) ==
             (result == MAPSEG_OK || result == MAPSEG_OWNER_DIED));
}
END_TEST

/** As the manual says to write it. */
static void
lock_and_unlock(mapseg *seg, void (*inner)(mapseg *))
{
    mapseg_result result = mapseg_lock(seg);

    if (inner != NULL)
        inner(seg);
    if (mapseg_result_owes_unlock(result))
        need_result(MAPSEG_OK, mapseg_unlock(seg));
}

static void
lock_within(mapseg *seg)
{
    lock_and_unlock(seg, NULL);
    /* The outer function still has what it took. */
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_try_lock(seg));
}

/// A locking function that calls a locking function keeps the lock until its own end.
START_TEST(inner_function_owes_nothing)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    lock_and_unlock(seg, lock_within);
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

/** Changes the data as one version, under a lock that its caller may have. */
static void
change(mapseg *seg, char byte)
{
    mapseg_result result = mapseg_write_begin(seg);

    need(mapseg_result_owes_unlock(result) || result == MAPSEG_ALREADY_LOCKED);
    *(char *)data_of(seg) = byte;
    if (mapseg_result_owes_unlock(result))
        need_result(MAPSEG_OK, mapseg_write_end(seg));
}

static void
change_within(mapseg *seg)
{
    change(seg, 'i');
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_try_lock(seg));
}

/// A change within a locked function is one version when the lock is released.
START_TEST(inner_change_ends_with_the_lock)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t version;
    char byte;

    change(seg, 'o');
    need_result(MAPSEG_OK, mapseg_read(other, 0, &byte, 1, &version));
    need(byte == 'o' && version == 2);
    lock_and_unlock(seg, change_within);
    need_result(MAPSEG_OK, mapseg_read(other, 0, &byte, 1, &version));
    need(byte == 'i' && version == 4);
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

static void *
unlock_in_thread(void *argument)
{
    need_result(MAPSEG_OK, mapseg_unlock(argument));
    return NULL;
}

static void *
relock_in_thread(void *argument)
{
    need_result(MAPSEG_OK, mapseg_unlock(argument));
    need_result(MAPSEG_OK, mapseg_lock(argument));
    return NULL;
}

/** Runs the body in a thread of its own until it ends. */
static void
run_thread(void *(*body)(void *argument), void *argument)
{
    pthread_t thread;

    need(pthread_create(&thread, NULL, body, argument) == 0);
    need(pthread_join(thread, NULL) == 0);
}

START_TEST(any_thread_unlocks)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    run_thread(unlock_in_thread, seg);
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_try_lock(other));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(other));
    /* Another thread has it now, through the same handle. */
    need_result(MAPSEG_OK, mapseg_lock(seg));
    run_thread(relock_in_thread, seg);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, 150 * MILLISECOND));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------------------------------- program -- */

static void
add_taking(Suite *suite)
{
    TCase *tcase = new_case(suite, "take");

    tcase_add_test(tcase, held_word_is_the_own_slot);
    tcase_add_test(tcase, somebody_else_holds_it);
    tcase_add_loop_test(tcase, endless_timeouts_wait_for_the_release, 0, 4);
    tcase_add_test(tcase, second_lock_of_a_thread);
    tcase_add_test(tcase, read_only_attachments_lock);
    tcase_add_test(tcase, lock_of_a_handle_that_is_not_attached);
    tcase_add_test(tcase, failing_create_leaves_the_lock_alone);
}

static void
add_freeing(Suite *suite)
{
    TCase *tcase = new_case(suite, "free");

    tcase_add_test(tcase, unlock_without_holding_changes_nothing);
    tcase_add_test(tcase, which_results_owe_an_unlock);
    tcase_add_test(tcase, inner_function_owes_nothing);
    tcase_add_test(tcase, inner_change_ends_with_the_lock);
    tcase_add_test(tcase, any_thread_unlocks);
}

int
main(void)
{
    Suite *suite = new_suite("lock");

    add_taking(suite);
    add_freeing(suite);
    return run_suite(suite);
}
