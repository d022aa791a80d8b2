/*
 * demo_count.c - four processes add under the lock, and one of them dies.
 *
 * The ledger keeps two accounts of the same thing: the total, and what each
 * process has added. They agree whenever no adder is in the middle of an add.
 * Before an add its process notes in the journal what it is about to change,
 * so that the next owner after its death can undo the half of it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "common.h"
#include "demo.h"

#include <mapseg.h>

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ADDERS 4
#define VICTIM 1
#define ADDS 100000
#define VICTIM_STOPS_AT 25000

/* Atomic, because the order of these stores is what the next owner relies on
 * when this one is killed between any two of them. */
struct ledger {
    _Atomic uint64_t journal_adder; /* 1 and up; 0: no add is under way */
    _Atomic uint64_t journal_total;
    _Atomic uint64_t journal_added;
    _Atomic uint64_t total;
    _Atomic uint64_t added[ADDERS];
    _Atomic uint64_t victim_is_in_the_middle;
};

static void
nap(void)
{
    const struct timespec millisecond = {0, 1000000};
    nanosleep(&millisecond, NULL);
}

/* A hang is a failure; half a minute is far more than any of it takes. */
#define PATIENCE_NAPS 30000

/* ---------------------------------------------------------------- adders -- */

static void
repair(struct ledger *ledger)
{
    uint64_t adder = ledger->journal_adder;
    if (adder < 1 || adder > ADDERS)
        return;
    ledger->total = ledger->journal_total;
    ledger->added[adder - 1] = ledger->journal_added;
    ledger->journal_adder = 0;
}

static _Noreturn void
stay_in_the_middle(struct ledger *ledger)
{
    /* First of all: what is printed is its death sentence. */
    ledger->victim_is_in_the_middle = 1;
    printf("holds the lock, in the middle of add %d\n", VICTIM_STOPS_AT);
    fflush(stdout);
    for (;;)
        pause();
}

static void
add_one(struct ledger *ledger, size_t adder, bool stop)
{
    ledger->journal_total = ledger->total;
    ledger->journal_added = ledger->added[adder];
    ledger->journal_adder = adder + 1;
    ledger->total += 1;
    if (stop)
        stay_in_the_middle(ledger);
    ledger->added[adder] += 1;
    ledger->journal_adder = 0;
}

/* All others are still at it when the victim dies. */
static bool
wait_for_victim(const struct ledger *ledger)
{
    for (int naps = 0; naps < PATIENCE_NAPS && !ledger->victim_is_in_the_middle; naps++)
        nap();
    return ledger->victim_is_in_the_middle != 0;
}

static int
add_all(mapseg *seg, size_t adder, uint64_t stop_at)
{
    struct ledger *ledger = mapseg_data(seg);
    int told = 0;
    for (uint64_t i = 1; i <= ADDS; i++) {
        if (i == ADDS / 2 && stop_at == 0 && !wait_for_victim(ledger))
            return failure("the process that is to be killed never came to its middle");
        mapseg_result locked = mapseg_lock(seg);
        if (!mapseg_result_owes_unlock(locked))
            return segment_failure(seg);
        if (locked == MAPSEG_OWNER_DIED) {
            told++;
            repair(ledger);
            if (mapseg_consistent(seg) != MAPSEG_OK)
                return segment_failure(seg);
        }
        add_one(ledger, adder, i == stop_at);
        if (mapseg_unlock(seg) != MAPSEG_OK)
            return segment_failure(seg);
    }
    printf("added %d%s\n", ADDS,
           told ? "; was told that an owner died, undid its half-made add" : "");
    return told > 1 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int
role_add(const char *key, const char *place, const char *stop_at)
{
    size_t adder = strtoul(place, NULL, 10);
    mapseg *seg = open_key(key);
    if (seg == NULL || adder >= ADDERS)
        return EXIT_FAILURE;
    int status = EXIT_FAILURE;
    if (mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK)
        segment_failure(seg);
    else if (mapseg_size(seg) < sizeof(struct ledger))
        failure("the segment is too small for the ledger");
    else if (getchar() == EOF) /* the word to begin: all begin at once */
        status = add_all(seg, adder, strtoull(stop_at, NULL, 10));
    mapseg_free(seg);
    return status;
}

/* ---------------------------------------------------------------- parent -- */

static bool
start_adders(struct actor actors[ADDERS], const char *key)
{
    for (size_t i = 0; i < ADDERS; i++) {
        char place[4], stop_at[16];
        snprintf(place, sizeof place, "%zu", i);
        snprintf(stop_at, sizeof stop_at, "%d", i == VICTIM ? VICTIM_STOPS_AT : 0);
        const char *const arguments[] = {"mapseg", "demo-role", "add", key, place, stop_at, NULL};
        if (!actor_start(&actors[i], "adder", TOOL_PROGRAM, arguments))
            return false;
    }
    for (size_t i = 0; i < ADDERS; i++)
        actor_go(&actors[i]);
    return true;
}

/* Whether the victim has the lock and others sleep on it. */
static bool
others_wait(mapseg *seg, pid_t victim)
{
    for (int naps = 0; naps < PATIENCE_NAPS && !interruption(); naps++) {
        mapseg_info *information;
        if (mapseg_info_new(seg, &information) != MAPSEG_OK)
            return false;
        bool held = information->lock == MAPSEG_LOCK_STATE_HELD &&
                    information->lock_pid == (uint32_t)victim;
        bool waiting = information->lock_sleepers;
        mapseg_info_free(information);
        if (!held || waiting)
            return held;
        nap();
    }
    return false;
}

static uint64_t
sum_of_added(const struct ledger *ledger)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ADDERS; i++)
        sum += ledger->added[i];
    return sum;
}

/* Lets the victim come to the middle of an add, and kills it there. */
static bool
kill_in_the_middle(mapseg *seg, struct actor *victim)
{
    const struct ledger *ledger = mapseg_const_data(seg);
    if (!actor_hear(victim))
        return false;
    pid_t pid = victim->pid;
    bool waiting = others_wait(seg, pid);
    uint64_t total = ledger->total, sum = sum_of_added(ledger);
    tell("demo %ld: others wait; the total says %" PRIu64 ", the accounts %" PRIu64
         "; SIGKILL to %ld",
         (long)getpid(), total, sum, (long)pid);
    int status = actor_kill(victim);
    return waiting && total == sum + 1 && status == 128 + SIGKILL;
}

/* How many were told of the death; -1: one did not end well. */
static int
finish_survivors(struct actor actors[ADDERS])
{
    int told = 0;
    for (size_t i = 0; i < ADDERS; i++) {
        if (i == VICTIM)
            continue;
        if (actor_finish(&actors[i]) != EXIT_SUCCESS)
            return -1;
        if (strstr(actors[i].line, "was told"))
            told++;
    }
    return told;
}

static bool
check_ledger(mapseg *seg)
{
    const uint64_t expected = (uint64_t)(ADDERS - 1) * ADDS + VICTIM_STOPS_AT - 1;
    const struct ledger *ledger = mapseg_const_data(seg);
    mapseg_result locked = mapseg_lock(seg);
    if (!mapseg_result_owes_unlock(locked))
        return segment_failure(seg) == EXIT_SUCCESS;
    uint64_t total = ledger->total, sum = sum_of_added(ledger);
    mapseg_unlock(seg);
    tell("demo %ld: the total is %" PRIu64 ", the accounts give %" PRIu64 "; %d times %d and %d "
         "are %" PRIu64,
         (long)getpid(), total, sum, ADDERS - 1, ADDS, VICTIM_STOPS_AT - 1, expected);
    return locked == MAPSEG_OK && total == expected && sum == expected;
}

static bool
count(mapseg *seg, struct actor actors[ADDERS], const char *key)
{
    if (!start_adders(actors, key) || !kill_in_the_middle(seg, &actors[VICTIM]))
        return false;
    int told = finish_survivors(actors);
    return check_ledger(seg) && told == 1;
}

bool
demo_count(const char *key)
{
    struct actor actors[ADDERS] = {{.to = -1}, {.to = -1}, {.to = -1}, {.to = -1}};
    mapseg *seg = open_key(key);
    if (seg == NULL)
        return false;
    bool held = false;
    if (mapseg_create(seg, sizeof(struct ledger), MAPSEG_READ_WRITE) == MAPSEG_OK)
        held = count(seg, actors, key);
    else
        segment_failure(seg);
    for (size_t i = 0; i < ADDERS; i++)
        actor_kill(&actors[i]);
    mapseg_free(seg);
    return outcome(held, "one heir was told and repaired, and the total is right");
}
