/*
 * check_scribble.c - peers that write anything over the header at any moment. No process crashes,
 * each call ends once its time is over, nothing outside of the mapping is touched, and no other
 * file; and when the header is whole again, so is the segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "arena.h"
#include "bystanders.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const tally_names[] = {"attached", "refused",  "locked", "not locked",
                                          "read",     "not read", "waited", "listed"};

/** Remains attached longer than all others, and does nothing. */
static void
stay(struct stage *stage)
{
    mapseg *seg = mapseg_new();
    mapseg_result result;

    (void)stage;
    if (arena->fd >= 0)
        result = mapseg_attach_fd(seg, dup(arena->fd), MAPSEG_READ_WRITE);
    else
        result = mapseg_set_native_key(seg, arena->place.key) != MAPSEG_OK
                     ? MAPSEG_KEY_ERROR
                     : mapseg_attach(seg, MAPSEG_READ_WRITE);
    need_result(MAPSEG_OK, result);
    atomic_fetch_add(&arena->ready, 1);
    while (atomic_load(&arena->stop) < 2)
        nap(MILLISECOND);
    watch_hangs();
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}

static pid_t
start_number(void (*body)(struct stage *stage), int number)
{
    my_number = number;
    return start(body, NULL);
}

/** Whether the victims have done, and suffered, everything that is counted. */
static bool
all_has_happened(void)
{
    for (int i = 0; i < TALLIES; i++)
        if (atomic_load(&arena->tallies[i]) == 0)
            return false;
    return true;
}

/** None of them ends before it is told to. The first stays to the end: the last to leave removes
 *  what a forged header does not call persistent. */
static void
let_them_fight(const pid_t *pids, size_t processes)
{
    int64_t begun = now_ns();

    while (now_ns() < begun + hostile_time() || (now_ns() < begun + HANG && !all_has_happened())) {
        for (size_t i = 0; i < processes; i++) {
            int status = 0;

            if (waitpid(pids[i], &status, WNOHANG) != 0)
                broken("process %zu ended with wait status 0x%x", i, (unsigned)status);
        }
        nap(10 * MILLISECOND);
    }
    atomic_store(&arena->stop, 1);
    for (size_t i = 1; i < processes; i++)
        finish(pids[i]);
    atomic_store(&arena->stop, 2);
    finish(pids[0]);
}

/** When the header is whole again the segment works as ever. */
static void
check_recovery(void)
{
    struct mapseg_header *header = map_arena();
    mapseg *seg = arena->fd >= 0 ? mapseg_new() : handle_for(arena->place.key);
    uint64_t version = 1;
    char byte;

    memcpy(header, &arena->good, sizeof *header);
    need(munmap(header, MAPSEG_HEADER_BYTES) == 0);
    watch_hangs();
    if (arena->fd >= 0)
        need_result(MAPSEG_OK, mapseg_attach_fd(seg, arena->fd, MAPSEG_READ_WRITE));
    else
        need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_lock_for(seg, HANG)));
    need_result(MAPSEG_ALREADY_LOCKED, in_time_result(0, mapseg_write_begin(seg)));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_write_end(seg)));
    need_result(MAPSEG_OK, in_time_result(SECOND, mapseg_read(seg, 0, &byte, 1, &version)));
    need_number(2, version);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}

START_TEST(header_is_scribbled_on)
{
    static struct witness outside[FILES], inside[FILES];
    pid_t pids[1 + VICTIMS + SCRIBBLERS];
    size_t processes = 0, outside_count, inside_count;

    use_tiny_shm("size=16m");
    put_bystanders();
    set_arena(_i == 1);
    outside_count = take_witness(SHM, outside);
    inside_count = take_witness(SHM "/directory", inside);

    pids[processes++] = start_number(stay, 0);
    await(&arena->ready, 1);
    for (int i = 0; i < VICTIMS; i++)
        pids[processes++] = start_number(live, i);
    for (int i = 0; i < SCRIBBLERS; i++)
        pids[processes++] = start_number(scribble, i);
    let_them_fight(pids, processes);

    check_witness(SHM, outside, outside_count);
    check_witness(SHM "/directory", inside, inside_count);
    for (int i = 0; i < TALLIES; i++) {
        printf("%s %u%s", tally_names[i], atomic_load(&arena->tallies[i]),
               i + 1 < TALLIES ? ", " : "\n");
        need(atomic_load(&arena->tallies[i]) > 0);
    }
    check_recovery();
}
END_TEST

/* ------------------------------------------- a lock that is taken away -- */

static void
attach_and_wait(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    atomic_store(&stage->ready, 1);
    await(&stage->go, 1);
    mapseg_free(seg);
}

/** The peer writes another living attachment into the word while this one holds the lock. That the
 *  lock is lost no call can mend; but none waits for it for ever. */
START_TEST(word_names_another_who_lives)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    mapseg *seg;
    uint32_t slot;
    pid_t pid;

    leave_persistent(stage->place.key, 100, 0);
    header = map_header(stage->place.path);
    pid = start(attach_and_wait, stage);
    await(&stage->ready, 1);
    slot = slot_in_maps(pid, stage->place.path);
    need(slot != 0);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    watch_hangs();
    for (int i = 0; i < 2; i++) {
        mapseg_result result;
        char byte = 0;

        set_lock_word(header, 0);
        need_result(MAPSEG_OK, in_time_result(0, mapseg_lock_for(seg, HANG)));
        set_lock_word(header, slot);
        if (i == 1)
            (void)in_time(0, mapseg_write(seg, 0, &byte, 1));
        result = in_time_result(0, mapseg_write_begin(seg));
        if (mapseg_result_owes_unlock(result))
            (void)in_time(0, mapseg_write_end(seg));
        (void)in_time(0, mapseg_consistent(seg));
        (void)in_time(0, mapseg_unlock(seg));
        need_result(MAPSEG_TIMED_OUT,
                    in_time_result(20 * MILLISECOND, mapseg_lock_for(seg, 20 * MILLISECOND)));
    }
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
    atomic_store(&stage->go, 1);
    finish(pid);
    remove_persistent(stage->place.key);
}
END_TEST

/** Owners that are none, or dead: the word is theirs no longer than it takes to see that. */
START_TEST(word_names_nobody)
{
    static const uint32_t owners[] = {
        MAPSEG_LAST_SLOT + 1, MAPSEG_LAST_SLOT + 2, UINT32_C(0x20000000),  MAPSEG_LOCK_OWNER - 1,
        MAPSEG_LOCK_OWNER,    MAPSEG_FIRST_SLOT,    MAPSEG_FIRST_SLOT + 1, MAPSEG_LAST_SLOT};
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    uint32_t slot;
    mapseg *seg;

    leave_persistent(stage->place.key, 100, 0);
    header = map_header(stage->place.path);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    slot = slot_in_maps(getpid(), stage->place.path);
    watch_hangs();
    for (uint32_t i = 0; i < 4 * sizeof owners / sizeof *owners; i++) {
        if (owners[i / 4] == slot)
            continue;
        set_lock_word(header, owners[i / 4] | i % 4 << 30);
        need_result(MAPSEG_OWNER_DIED, in_time_result(0, mapseg_lock_for(seg, HANG)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_consistent(seg)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_unlock(seg)));
        set_lock_word(header, owners[i / 4] | i % 4 << 30);
        need_result(MAPSEG_OWNER_DIED, in_time_result(0, mapseg_try_lock(seg)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_consistent(seg)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_unlock(seg)));
    }
    for (uint32_t bits = 0; bits < 4; bits++) {
        set_lock_word(header, bits << 30);
        need_result(bits % 2 == 0 ? MAPSEG_OK : MAPSEG_OWNER_DIED,
                    in_time_result(0, mapseg_lock_for(seg, HANG)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_consistent(seg)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_unlock(seg)));
        /* Its own slot, though it has not locked: another thread's, for all it knows. */
        set_lock_word(header, slot | bits << 30);
        need_result(MAPSEG_TIMED_OUT,
                    in_time_result(5 * MILLISECOND, mapseg_lock_for(seg, 5 * MILLISECOND)));
        need_result(MAPSEG_WOULD_BLOCK, in_time_result(0, mapseg_try_lock(seg)));
    }
    set_lock_word(header, 0);
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

static void
add_cases(Suite *suite)
{
    TCase *tcase = new_case(suite, "scribblers");

    tcase_set_timeout(tcase, (double)(hostile_time() / SECOND) + TEST_TIMEOUT);
    tcase_add_loop_test(tcase, header_is_scribbled_on, 0, 2);
    tcase_add_test(tcase, word_names_another_who_lives);
    tcase_add_test(tcase, word_names_nobody);
}

int
main(void)
{
    return run_hostile("scribble", add_cases);
}
