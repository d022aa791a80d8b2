/*
 * check_shorten.c - threads in access sections, and calls that are sections, while another process
 * makes the file shorter and whole again all the time: what they read is told to be lost if and
 * only if it was.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE ((size_t)16 * 4096)
#define FILE_BYTES (MAPSEG_HEADER_BYTES + SIZE)
#define FILL 0xa5
#define THREADS 4

/// What the threads and the process that shortens their file have in common.
struct storm {
    char key[KEY_BYTES];
    char path[KEY_BYTES];
    pthread_mutex_t whole; ///< held while the file is not whole; to attach and detach, take it
    atomic_int round;      ///< odd: the file is just being changed, or short
    atomic_int is_short;   ///< the round in which the file is short now; 0: it is not
    atomic_int stop;
};

struct sailor {
    struct storm *storm;
    pthread_t thread;
    bool by_calls; ///< reads by mapseg_read alone
    atomic_int sections;
    atomic_int losses;
    atomic_int wrong;
};

static uint32_t
next(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/// Makes the file short and whole again and again, until it is told to stop.
static int
make_storm(int channel, void *argument)
{
    struct storm *storm = argument;
    int fd = open(storm->path, O_RDWR | O_CLOEXEC);
    static char fill[SIZE];
    static char header[MAPSEG_HEADER_BYTES];
    uint32_t random = 1;
    int round = 0;

    memset(fill, FILL, sizeof fill);
    if (fd == -1 || pread(fd, header, sizeof header, 0) != sizeof header)
        return 1;
    while (!atomic_load(&storm->stop)) {
        uint32_t length = next(&random) % 3 == 0 ? 0 : next(&random) % (uint32_t)FILE_BYTES;

        if (pthread_mutex_lock(&storm->whole) != 0)
            return 2;
        round += 2;
        atomic_store(&storm->round, round - 1);
        if (ftruncate(fd, length) != 0)
            return 3;
        atomic_store(&storm->is_short, round);
        if (next(&random) % 2 == 0)
            usleep(next(&random) % 500);
        atomic_store(&storm->is_short, 0);
        if (ftruncate(fd, (off_t)FILE_BYTES) != 0 ||
            pwrite(fd, header, sizeof header, 0) != sizeof header ||
            pwrite(fd, fill, SIZE, (off_t)MAPSEG_HEADER_BYTES) != (ssize_t)SIZE)
            return 4;
        atomic_store(&storm->round, round);
        pthread_mutex_unlock(&storm->whole);
        usleep(next(&random) % 1000);
    }
    say(channel, 'y');
    return 0;
}

/// One section: reads all, and judges what it was told at the end.
static mapseg_result
sail(struct sailor *sailor, mapseg *seg)
{
    struct storm *storm = sailor->storm;
    const volatile unsigned char *data = mapseg_const_data(seg);
    int round = atomic_load(&storm->round);
    bool zeros = false;
    mapseg_result result = mapseg_guard_begin(seg);
    int was_short;

    if (result != MAPSEG_OK)
        return result;
    for (size_t i = 0; i < SIZE; i += 64)
        zeros = zeros || data[i] != FILL;
    was_short = atomic_load(&storm->is_short);
    result = mapseg_guard_end(seg);
    sailor->sections++;
    /* Short before the end and after it: that must be told. */
    if (was_short != 0 && atomic_load(&storm->is_short) == was_short &&
        result != MAPSEG_FILE_SHRUNK)
        sailor->wrong++;
    /* Whole all the time: that too. */
    if (round % 2 == 0 && atomic_load(&storm->round) == round && (zeros || result != MAPSEG_OK))
        sailor->wrong++;
    return result;
}

/// The same by a call, which tells of what it missed: where the file is cut within its last page
/// nothing is missing, and zeros are no news.
static mapseg_result
read_all(struct sailor *sailor, mapseg *seg)
{
    struct storm *storm = sailor->storm;
    int round = atomic_load(&storm->round);
    unsigned char copy[SIZE];
    bool zeros = false;
    mapseg_result result = mapseg_read(seg, 0, copy, SIZE, NULL);

    for (size_t i = 0; result == MAPSEG_OK && i < SIZE; i++)
        zeros = zeros || copy[i] != FILL;
    sailor->sections++;
    if (round % 2 == 0 && atomic_load(&storm->round) == round && (zeros || result != MAPSEG_OK))
        sailor->wrong++;
    if (result != MAPSEG_OK && result != MAPSEG_FILE_SHRUNK)
        sailor->wrong++;
    return result;
}

static void *
weather_storm(void *argument)
{
    struct sailor *sailor = argument;
    struct storm *storm = sailor->storm;
    mapseg *seg = mapseg_new();
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = sailor->by_calls ? MAPSEG_GUARDED : 0;
    if (seg == NULL || mapseg_set_native_key(seg, storm->key) != MAPSEG_OK)
        sailor->wrong++;
    while (sailor->wrong == 0 && !atomic_load(&storm->stop)) {
        mapseg_result result;

        pthread_mutex_lock(&storm->whole);
        result = mapseg_attach_with(seg, sailor->losses % 2 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE,
                                    &options);
        pthread_mutex_unlock(&storm->whole);
        if (result != MAPSEG_OK)
            sailor->wrong++;
        while (result == MAPSEG_OK && !atomic_load(&storm->stop))
            result = sailor->by_calls ? read_all(sailor, seg) : sail(sailor, seg);
        sailor->losses += result == MAPSEG_FILE_SHRUNK;
        pthread_mutex_lock(&storm->whole);
        (void)mapseg_detach(seg);
        pthread_mutex_unlock(&storm->whole);
    }
    mapseg_free(seg);
    return NULL;
}

static long
storm_seconds(void)
{
    const char *text = getenv("MAPSEG_GUARD_SECONDS");

    return text == NULL ? 3 : strtol(text, NULL, 10);
}

/// Whether each of them has had a section, and one of them a loss; or something is wrong.
static bool
have_sailed(struct sailor sailors[THREADS])
{
    bool all = true;
    int losses = 0;

    for (int i = 0; i < THREADS; i++) {
        if (atomic_load(&sailors[i].wrong) != 0)
            return true;
        all = all && atomic_load(&sailors[i].sections) > 0;
        losses += atomic_load(&sailors[i].losses);
    }
    return all && losses > 0;
}

START_TEST(threads_weather_a_storm)
{
    struct storm *storm = shared_memory(sizeof *storm);
    struct sailor sailors[THREADS];
    pthread_mutexattr_t shared;
    mapseg *seg;
    struct peer peer;
    int losses = 0;

    unique_key(storm->key);
    path_of(storm->path, storm->key);
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    ck_assert_int_eq(pthread_mutex_init(&storm->whole, &shared), 0);
    leave_persistent(storm->key, SIZE, 0);
    seg = attached(storm->key, MAPSEG_READ_WRITE);
    memset(mapseg_data(seg), FILL, SIZE);
    mapseg_free(seg);
    pthread_mutex_lock(&storm->whole);
    peer = start_peer(make_storm, storm);
    memset(sailors, 0, sizeof sailors);
    for (int i = 0; i < THREADS; i++) {
        sailors[i].storm = storm;
        sailors[i].by_calls = i % 2 != 0;
        ck_assert_int_eq(pthread_create(&sailors[i].thread, NULL, weather_storm, &sailors[i]), 0);
    }
    pthread_mutex_unlock(&storm->whole);
    for (long left = storm_seconds() * 20; left > 0; left--)
        nap(50 * MILLISECOND);
    for (long left = HANG / (50 * MILLISECOND); left > 0 && !have_sailed(sailors); left--)
        nap(50 * MILLISECOND);
    atomic_store(&storm->stop, 1);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(sailors[i].thread, NULL), 0);
        ck_assert_int_eq(sailors[i].wrong, 0);
        ck_assert_int_gt(sailors[i].sections, 0);
        losses += sailors[i].losses;
    }
    ck_assert_int_gt(losses, 0);
    ck_assert_int_eq(end_peer(&peer), 0);
    ck_assert_int_eq(unlink(storm->path), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("shorten");
    TCase *group = new_long_case(suite, "storm", 120 + (double)storm_seconds());

    tcase_add_test(group, threads_weather_a_storm);
    return run_suite(suite);
}
