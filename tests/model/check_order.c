/*
 * check_order.c - the order of what the version's readers, writers and waiters load and store,
 * with memory as weak as C11 allows.
 *
 * What runs here is lib/sync/version.h itself: its atomic operations go to weak.h. Each variant
 * without a fence, or with another order, must go wrong, so that the search is known to
 * have teeth.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "os/os.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weak_macros.h"

#include "sync/version.h"

#define EXIT_SKIPPED 77

static struct mapseg_header header;

static _Atomic uint32_t data[2];

#define LOW (msi_version_futex(&header))
#define WATCHERS (&header.watchers)
#define LOCK (&header.lock)

/* --------------------------------------------------------------- watchers -- */

static void
release(uint32_t owner)
{
    (void)weak_swap(LOCK, &owner, 0, memory_order_release);
}

/** A change, as write.c makes it. */
static void
change(uint32_t owner)
{
    bool announced;

    weak_take(LOCK, owner);
    msi_version_begin_change(&header);
    announced = msi_version_end_change(&header);
    release(owner);
    if (announced || msi_version_is_watched(&header))
        msi_version_wake(&header);
}

static void
change_once(void)
{
    change(1);
}

static void
change_once_too(void)
{
    change(2);
}

static void
change_twice(void)
{
    change(1);
    change(1);
}

/** Without a word to waiters of what was cleared before. */
static void
change_with_relaxed_begin(void)
{
    uint64_t version;

    weak_take(LOCK, 2);
    version = msi_version_load(&header);
    atomic_store_explicit(&msi_version_halves(&header)[MSI_VERSION_LOW], (uint32_t)version + 1,
                          memory_order_relaxed);
    if (msi_version_end_change(&header) || msi_version_is_watched(&header))
        msi_version_wake(&header);
    release(2);
}

/** Under a lock that is kept: no release stands between the version and the look. */
static void
change_within_a_lock(void)
{
    bool announced;

    msi_version_begin_change(&header);
    announced = msi_version_end_change(&header);
    if (announced || msi_version_is_watched(&header))
        msi_version_wake(&header);
}

/** Waits until there is that version, as view.c does. */
static void
await(uint64_t last)
{
    uint64_t seen = 0;

    while (seen != last) {
        uint64_t version = msi_version_load(&header);

        if (!msi_version_is_odd(version) && version != seen) {
            seen = version;
            continue;
        }
        msi_version_announce(&header);
        msi_os.sleep_on(msi_version_futex(&header), (uint32_t)version, 0);
    }
}

static void
await_one(void)
{
    await(2);
}

static void
await_two(void)
{
    await(4);
}

/** Cannot announce itself. */
static void
await_in_silence(void)
{
    for (;;) {
        uint64_t version = msi_version_load(&header);

        if (version == 2)
            return;
        msi_os.sleep_on(msi_version_futex(&header), (uint32_t)version, 0);
    }
}

static void
change_for_the_silent(void)
{
    msi_version_begin_change(&header);
    (void)msi_version_end_change(&header);
    msi_version_wake(&header);
}

/* What others might do instead: each must go wrong. */

static void
clear_late(void)
{
    for (int i = 0; i < 2; i++) {
        uint64_t version = msi_version_load(&header);

        msi_version_store_odd(msi_version_halves(&header), version + 1);
        msi_version_store_even(msi_version_halves(&header), version + 2);
        if (msi_version_clear_watchers(&header) || msi_version_is_watched(&header))
            msi_version_wake(&header);
    }
}

static void
clear_where_seen(void)
{
    for (int i = 0; i < 2; i++) {
        uint64_t version = msi_version_load(&header);

        msi_version_store_odd(msi_version_halves(&header), version + 1);
        msi_version_store_even(msi_version_halves(&header), version + 2);
        if (!msi_version_is_watched(&header))
            continue;
        (void)msi_version_clear_watchers(&header);
        msi_version_wake(&header);
    }
}

static void
clear_after_wake(void)
{
    for (int i = 0; i < 2; i++) {
        uint64_t version = msi_version_load(&header);

        msi_version_store_odd(msi_version_halves(&header), version + 1);
        msi_version_store_even(msi_version_halves(&header), version + 2);
        if (!msi_version_is_watched(&header))
            continue;
        msi_version_wake(&header);
        (void)msi_version_clear_watchers(&header);
    }
}

static void
clear_unwoken(void)
{
    msi_version_begin_change(&header);
    (void)msi_version_end_change(&header);
    if (msi_version_is_watched(&header))
        msi_version_wake(&header);
}

static void
look_once(void)
{
    msi_version_begin_change(&header);
    if (msi_version_end_change(&header))
        msi_version_wake(&header);
}

/* --------------------------------------------------------------- the data -- */

static void
write_data(void)
{
    msi_version_begin_change(&header);
    atomic_store_explicit(&data[0], 2, memory_order_relaxed);
    atomic_store_explicit(&data[1], 2, memory_order_relaxed);
    (void)msi_version_end_change(&header);
}

static void
read_data(void)
{
    uint64_t version = msi_version_load(&header);
    uint32_t first = atomic_load_explicit(&data[0], memory_order_relaxed);
    uint32_t second = atomic_load_explicit(&data[1], memory_order_relaxed);

    if (msi_version_is_odd(version) || msi_version_load_again(&header) != version)
        return;
    if (first != version || second != version)
        weak_refuse();
}

static void
write_data_without_release(void)
{
    msi_version_begin_change(&header);
    atomic_store_explicit(&data[0], 2, memory_order_relaxed);
    atomic_store_explicit(&data[1], 2, memory_order_relaxed);
    atomic_store_explicit(&msi_version_halves(&header)[MSI_VERSION_LOW], 2, memory_order_relaxed);
}

/** Loads the first half of the version as no reader may. */
static void
read_data_without_acquire(void)
{
    uint32_t version =
        atomic_load_explicit(&msi_version_halves(&header)[MSI_VERSION_LOW], memory_order_relaxed);
    uint32_t first = atomic_load_explicit(&data[0], memory_order_relaxed);

    if (version % 2 == 0 && msi_version_load_again(&header) == version && first != version)
        weak_refuse();
}

/* --------------------------------------------------------------- the lock -- */

/** Frees the lock; the data that it wrote before is the next owner's to see, also where a
 *  waiter has changed the word since. */
static void
write_and_free(void)
{
    atomic_store_explicit(&data[0], 2, memory_order_relaxed);
    release(1);
}

static void
write_and_free_without_release(void)
{
    uint32_t owner = 1;

    atomic_store_explicit(&data[0], 2, memory_order_relaxed);
    (void)weak_swap(LOCK, &owner, 0, memory_order_relaxed);
}

/** Marks a free word by a swap, which carries on what the release has begun. */
static void
mark(void)
{
    uint32_t seen = 0;

    (void)weak_swap(LOCK, &seen, MAPSEG_LOCK_SLEEPERS, memory_order_relaxed);
}

static void
mark_by_a_store(void)
{
    if (weak_load(LOCK, memory_order_relaxed) == 0)
        weak_store(LOCK, MAPSEG_LOCK_SLEEPERS, memory_order_relaxed);
}

static void
take_and_read(void)
{
    uint32_t seen = MAPSEG_LOCK_SLEEPERS;

    if (!weak_swap(LOCK, &seen, MAPSEG_LOCK_SLEEPERS | 2, memory_order_acquire))
        return;
    if (atomic_load_explicit(&data[0], memory_order_relaxed) != 2)
        weak_refuse();
}

/* ---------------------------------------------------------------- all -- */

#define NO_ONE WEAK_NO_THREAD

/** Which places a scene has. */
enum places { OF_WATCHERS, OF_DATA, OF_LOCK };

/** A scene; see struct weak_scene. */
struct row {
    const char *name;
    enum weak_end end;
    enum places places;
    int without_fence;
    uint32_t values[WEAK_PLACES];
    void (*threads[WEAK_THREADS])(void);
};

static const struct row rows[] = {
    {"a change and a waiter", WEAK_SOUND, OF_WATCHERS, NO_ONE, {0}, {change_once, await_one}},
    {"a change and two waiters",
     WEAK_SOUND,
     OF_WATCHERS,
     NO_ONE,
     {0},
     {change_once, await_one, await_one}},
    {"two changes and a waiter", WEAK_SOUND, OF_WATCHERS, NO_ONE, {0}, {change_twice, await_two}},
    {"two changes and a waiter, one had announced itself",
     WEAK_SOUND,
     OF_WATCHERS,
     NO_ONE,
     {0, 1},
     {change_twice, await_two}},
    {"two writers and a waiter",
     WEAK_SOUND,
     OF_WATCHERS,
     NO_ONE,
     {0, 1},
     {change_once, change_once_too, await_two}},
    {"a change within a lock, and a waiter",
     WEAK_SOUND,
     OF_WATCHERS,
     NO_ONE,
     {0},
     {change_within_a_lock, await_one}},
    {"a silent waiter",
     WEAK_SOUND,
     OF_WATCHERS,
     NO_ONE,
     {0},
     {change_for_the_silent, await_in_silence}},
    {"data, read by version", WEAK_SOUND, OF_DATA, NO_ONE, {0}, {write_data, read_data}},
    {"data, handed on with the lock",
     WEAK_SOUND,
     OF_LOCK,
     NO_ONE,
     {1},
     {write_and_free, mark, take_and_read}},
    {"broken: no fence of the writer", WEAK_STUCK, OF_WATCHERS, 0, {0}, {change_once, await_one}},
    {"broken: no fence of the writer, within a lock",
     WEAK_STUCK,
     OF_WATCHERS,
     0,
     {0},
     {change_within_a_lock, await_one}},
    {"broken: no fence of the waiter", WEAK_STUCK, OF_WATCHERS, 1, {0}, {change_once, await_one}},
    {"broken: a change that begins without release",
     WEAK_STUCK,
     OF_WATCHERS,
     NO_ONE,
     {0, 1},
     {change_once, change_with_relaxed_begin, await_two}},
    {"broken: cleared after the new version",
     WEAK_STUCK,
     OF_WATCHERS,
     NO_ONE,
     {0},
     {clear_late, await_two}},
    {"broken: cleared where it is seen",
     WEAK_STUCK,
     OF_WATCHERS,
     NO_ONE,
     {0},
     {clear_where_seen, await_two}},
    {"broken: cleared after the wake",
     WEAK_STUCK,
     OF_WATCHERS,
     NO_ONE,
     {0},
     {clear_after_wake, await_two}},
    {"broken: cleared and not woken",
     WEAK_STUCK,
     OF_WATCHERS,
     NO_ONE,
     {0},
     {clear_unwoken, await_one}},
    {"broken: no look after the new version",
     WEAK_STUCK,
     OF_WATCHERS,
     NO_ONE,
     {0},
     {look_once, await_one}},
    {"broken: a silent waiter that was not spoken of",
     WEAK_STUCK,
     OF_WATCHERS,
     NO_ONE,
     {0},
     {change_once, await_in_silence}},
    {"broken: no fence of the writer of data",
     WEAK_REFUSED,
     OF_DATA,
     0,
     {0},
     {write_data, read_data}},
    {"broken: no fence of the reader", WEAK_REFUSED, OF_DATA, 1, {0}, {write_data, read_data}},
    {"broken: a version without release",
     WEAK_REFUSED,
     OF_DATA,
     NO_ONE,
     {0},
     {write_data_without_release, read_data}},
    {"broken: a version without acquire",
     WEAK_REFUSED,
     OF_DATA,
     NO_ONE,
     {0},
     {write_data, read_data_without_acquire}},
    {"broken: a lock without release",
     WEAK_REFUSED,
     OF_LOCK,
     NO_ONE,
     {1},
     {write_and_free_without_release, mark, take_and_read}},
    {"broken: a mark by a store",
     WEAK_REFUSED,
     OF_LOCK,
     NO_ONE,
     {1},
     {write_and_free, mark_by_a_store, take_and_read}},
};

static enum weak_end
search_row(const struct row *row, long *states)
{
    struct weak_scene scene = {.without_fence = row->without_fence};
    const void *const places[][WEAK_PLACES] = {
        [OF_WATCHERS] = {LOW, WATCHERS, LOCK},
        [OF_DATA] = {LOW, &data[0], &data[1]},
        [OF_LOCK] = {LOCK, &data[0]},
    };

    memcpy(scene.places, places[row->places], sizeof scene.places);
    memcpy(scene.values, row->values, sizeof scene.values);
    memcpy(scene.threads, row->threads, sizeof scene.threads);
    return weak_search(&scene, states);
}

int
main(void)
{
    static const char *const ends[] = {"sound", "refused", "stuck"};
    int wrong = 0;

#ifdef MSI_HAS_NO_FENCES
    (void)puts("skipped: with the race detector there are no fences to be tested");
    return EXIT_SKIPPED;
#endif
    msi_os.sleep_on = weak_sleep;
    msi_os.wake_all = weak_wake_all;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        long states;
        enum weak_end end = search_row(&rows[i], &states);

        (void)printf("%-52s %8ld states  %s%s\n", rows[i].name, states, ends[end],
                     end == rows[i].end ? "" : ": WRONG");
        (void)fflush(stdout);
        wrong += end != rows[i].end;
    }
    return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
