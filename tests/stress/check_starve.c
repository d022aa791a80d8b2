/*
 * check_starve.c - readers beside writers that never pause, of whom some die
 * half way: no reader ever sees half of a change, and each gets what it reads
 * or is told that its time is over.
 *
 * MAPSEG_STORM_SECONDS in the environment: how long the storm of deaths lasts,
 * also if that is longer than the few seconds it normally takes.
 *
 * SPDX-License-Identifier: MIT
 */

#include "versions.h"

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LARGEST 65536
/* Where each access takes a detour, a change of so much leaves no moment at all. */
#if defined(__SANITIZE_THREAD__)
#define HUGE_BYTES (1 << 16)
#else
#define HUGE_BYTES (1 << 20)
#endif

/** What the processes of one test share. */
struct show {
    struct stage stage;
    size_t bytes;       /**< of the data, and of every change */
    int64_t deadline;   /**< what a reader gives the writers */
    atomic_int stop;    /**< 1: the writers; 2: the readers too */
    atomic_ulong whole; /**< how often data was read */
    atomic_ulong late;  /**< how often there was none at the deadline */
    atomic_ulong told;  /**< how often a dead writer was met */
    atomic_int deaths;
};

static struct show *
new_starving(size_t bytes, uint32_t flags)
{
    struct show *show = shared_memory(sizeof *show);

    new_place(&show->stage.place);
    make_show(&show->stage, bytes, flags);
    show->bytes = bytes;
    show->deadline = 20 * SECOND;
    return show;
}

static struct show *
show_of(struct stage *stage)
{
    return (struct show *)(void *)stage;
}

/** A handle of the show's segment, for a reader of the kind stage->number. */
static mapseg *
join(struct show *show)
{
    return reader_at(&show->stage.place, (enum reader_kind)show->stage.number);
}

/* --------------------------------------------------------------- readers -- */

/** Data that was read is whole, and no older than what was read before. A word
 *  with its lowest bit set was written without the version. */
static void
need_good(const void *copy, size_t bytes, uint64_t version, uint64_t *last)
{
    uint64_t first = *(const volatile uint64_t *)copy;

    if (!payload_is(copy, bytes, first) || (first % 2 == 0 && first != version))
        broken("torn at version %" PRIu64 ": %" PRIx64, version, first);
    if (version % 2 != 0 || version < *last)
        broken("version %" PRIu64 " after %" PRIu64, version, *last);
    *last = version;
}

/** Whether there is something to look at; else counts why not. */
static bool
count_result(struct show *show, mapseg_result result)
{
    if (result == MAPSEG_TIMED_OUT)
        atomic_fetch_add(&show->late, 1);
    else if (result == MAPSEG_OWNER_DIED && atomic_load(&show->deaths) > 0)
        atomic_fetch_add(&show->told, 1);
    else
        need_result(MAPSEG_OK, result);
    return result == MAPSEG_OK;
}

static void
read_copy(struct show *show, mapseg *seg, void *copy, uint64_t *last)
{
    uint64_t version;

    if (!count_result(show, mapseg_read_for(seg, 0, copy, show->bytes, &version, show->deadline)))
        return;
    need_good(copy, show->bytes, version, last);
    atomic_fetch_add(&show->whole, 1);
}

/** Reads in place, once; what was seen counts only if it did not change. */
static void
read_in_place(struct show *show, mapseg *seg, void *copy, uint64_t *last)
{
    const volatile uint64_t *shared = mapseg_const_data(seg);
    uint64_t *words = copy;
    uint64_t version;

    if (!count_result(show, mapseg_read_begin(seg, &version)))
        return;
    for (size_t i = 0; i < show->bytes / sizeof *words; i++)
        words[i] = shared[i];
    if (mapseg_read_retry(seg, version))
        return;
    need_good(copy, show->bytes, version, last);
    atomic_fetch_add(&show->whole, 1);
}

struct reader {
    struct show *show;
    mapseg *seg;
};

static void *
read_both_ways(void *argument)
{
    struct reader *reader = argument;
    void *copy = malloc(reader->show->bytes);
    uint64_t last = 0;

    need(copy != NULL);
    for (unsigned round = 0; atomic_load(&reader->show->stop) < 2; round++) {
        if (round % 2 == 0)
            read_copy(reader->show, reader->seg, copy, &last);
        else
            read_in_place(reader->show, reader->seg, copy, &last);
        if (round % 8 == 7)
            ignored(mapseg_wait(reader->seg, last, NULL, MILLISECOND));
    }
    free(copy);
    return NULL;
}

/** A body: two threads that read through one handle. */
static void
read_all_the_time(struct stage *stage)
{
    struct show *show = show_of(stage);
    struct reader reader = {show, join(show)};
    pthread_t second;

    atomic_fetch_add(&stage->ready, 1);
    need(pthread_create(&second, NULL, read_both_ways, &reader) == 0);
    (void)read_both_ways(&reader);
    need(pthread_join(second, NULL) == 0);
    mapseg_free(reader.seg);
}

/* --------------------------------------------------------------- writers -- */

/** One change by mapseg_write; its words do not know their version. */
static void
write_at_once(struct show *show, mapseg *seg, void *copy, uint64_t value)
{
    payload_fill(copy, 0, show->bytes, value | 1);
    need_result(MAPSEG_OK, mapseg_write(seg, 0, copy, show->bytes));
}

/** A body: changes the data in both ways, now and then with a pause. */
static void
write_all_the_time(struct stage *stage)
{
    struct show *show = show_of(stage);
    mapseg *seg = join(show);
    void *copy = malloc(show->bytes);
    uint32_t random = (uint32_t)getpid();

    need(copy != NULL);
    atomic_fetch_add(&stage->ready, 1);
    while (atomic_load(&show->stop) == 0) {
        if (next_random(&random) % 3 == 0)
            write_at_once(show, seg, copy, next_random(&random));
        else
            need_result(MAPSEG_OK, payload_change(seg, show->bytes));
        if (next_random(&random) % 4 == 0)
            nap(next_random(&random) % 200 * MICROSECOND);
    }
    free(copy);
    mapseg_free(seg);
}

/** A body: the same without any pause. */
static void
write_without_a_pause(struct stage *stage)
{
    struct show *show = show_of(stage);
    mapseg *seg = join(show);

    atomic_fetch_add(&stage->ready, 1);
    while (atomic_load(&show->stop) == 0)
        need_result(MAPSEG_OK, payload_change(seg, show->bytes));
    mapseg_free(seg);
}

/* ------------------------------------------------------------ no torn data -- */

static const size_t sizes[] = {8, 24, 4096 + 8, LARGEST};

#define SIZES ((int)(sizeof sizes / sizeof *sizes))

/** Starts one process of the show. */
static pid_t
start_in(struct show *show, void (*body)(struct stage *stage), int kind)
{
    show->stage.number = kind;
    return start(body, &show->stage);
}

/** Starts a process of each kind that reads all the time. */
static void
start_readers(struct show *show, pid_t *readers)
{
    for (int i = 0; i < count_kinds(); i++) {
        readers[i] = start_in(show, read_all_the_time, i);
        await(&show->stage.ready, i + 1);
    }
}

/** The writers have ended and the data is in order: now at least the readers
 *  read. How often they did before is for the machine to say. */
static void
end_readers(struct show *show, const pid_t *readers)
{
    unsigned long before = atomic_load(&show->whole);
    int64_t deadline = now_ns() + HANG;

    while (atomic_load(&show->whole) < before + 100) {
        need(now_ns() < deadline);
        nap(MILLISECOND / 5);
    }
    atomic_store(&show->stop, 2);
    finish_all(readers);
    (void)printf("starve: %zu bytes%s: read whole %lu times beside writers, late %lu, told %lu\n",
                 show->bytes, in_memory ? " in memory" : "", before, atomic_load(&show->late),
                 atomic_load(&show->told));
}

static void
play(struct show *show, int64_t duration)
{
    pid_t readers[READER_KINDS];
    pid_t writers[2];

    start_readers(show, readers);
    for (int i = 0; i < 2; i++) {
        writers[i] = start_in(show, write_all_the_time, READER_CAN_WRITE);
        await(&show->stage.ready, count_kinds() + i + 1);
    }
    nap(duration);
    atomic_store(&show->stop, 1);
    for (int i = 0; i < 2; i++)
        finish(writers[i]);
    end_readers(show, readers);
}

START_TEST(nobody_sees_half_a_change)
{
    struct show *show = new_starving(sizes[_i], 0);

    play(show, 700 * MILLISECOND);
    end_show(&show->stage);
}
END_TEST

/* -------------------------------------------------------------- starvation -- */

#define STARVED_READS 10

/** A body: who can lock and touch the word without harm always gets what it
 *  reads. */
static void
read_with_the_lock(struct stage *stage)
{
    struct show *show = show_of(stage);
    mapseg *seg = join(show);
    void *copy = malloc(show->bytes);
    uint64_t last = 0;

    need(copy != NULL);
    /* Without an end to its time it gets the data, or hangs. */
    show->deadline = -1;
    await(&stage->go, 1);
    for (int i = 0; i < STARVED_READS; i++)
        read_copy(show, seg, copy, &last);
    need_number(STARVED_READS, (int64_t)atomic_load(&show->whole));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    free(copy);
    mapseg_free(seg);
}

/** A body: who does not lock gets it, or hears that its time is over. */
static void
read_without_the_lock(struct stage *stage)
{
    struct show *show = show_of(stage);
    mapseg *seg = join(show);
    void *copy = malloc(show->bytes);
    uint64_t version = 1;
    uint64_t last = 0;

    need(copy != NULL);
    show->deadline = 100 * MILLISECOND;
    await(&stage->go, 1);
    for (int i = 0; i < STARVED_READS; i++) {
        read_copy(show, seg, copy, &last);
        read_in_place(show, seg, copy, &last);
        if (mapseg_wait(seg, last, &version, show->deadline) == MAPSEG_OK)
            need(version > last && version % 2 == 0);
    }
    /* No time at all is no reason for anything else. */
    for (int i = 0; i < 1000; i++) {
        mapseg_result result = mapseg_read_for(seg, 0, copy, show->bytes, &version, 0);

        need(result == MAPSEG_OK || result == MAPSEG_TIMED_OUT);
        if (result == MAPSEG_OK)
            need_good(copy, show->bytes, version, &last);
    }
    if (stage->number != READER_STRANGER)
        need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    free(copy);
    mapseg_free(seg);
}

/** Starts one or two writers who leave no gap, and runs the reader beside
 *  them. */
static void
starve_of(size_t bytes, void (*reader_body)(struct stage *stage), int kind, int count,
          uint32_t flags)
{
    struct show *show = new_starving(bytes, flags);
    pid_t reader = start_in(show, reader_body, kind);
    pid_t writers[2];

    for (int i = 0; i < count; i++) {
        writers[i] = start_in(show, write_without_a_pause, READER_CAN_WRITE);
        await(&show->stage.ready, i + 1);
    }
    atomic_store(&show->stage.go, 1);
    finish(reader);
    atomic_store(&show->stop, 1);
    for (int i = 0; i < count; i++)
        finish(writers[i]);
    (void)printf("starve: %d writers without a gap: read whole %lu times, late %lu\n", count,
                 atomic_load(&show->whole), atomic_load(&show->late));
    end_show(&show->stage);
}

static void
starve(void (*reader_body)(struct stage *stage), int kind, int count, uint32_t flags)
{
    starve_of(HUGE_BYTES, reader_body, kind, count, flags);
}

static const uint32_t lock_flags[] = {0, MAPSEG_FAIR};

/** READER_CAN_WRITE or READER_READ_ONLY, on either lock, beside one writer or
 *  two. */
START_TEST(who_can_lock_is_not_starved)
{
    starve(read_with_the_lock, _i / 4, 1 + _i % 2, lock_flags[_i / 2 % 2]);
}
END_TEST

START_TEST(who_cannot_lock_is_told_in_time)
{
    starve(read_without_the_lock, READER_STRANGER, 1 + _i, 0);
}
END_TEST

static const size_t starved_sizes[] = {8, 4096, 65536};

#define STARVED_SIZES ((int)(sizeof starved_sizes / sizeof *starved_sizes))

/** Records that fit into a pause between two changes, or hardly do: by itself, and with a guard
 *  where any user could make the file shorter. */
START_TEST(who_can_lock_gets_records_of_any_size)
{
    if (_i / STARVED_SIZES != 0 && !in_memory) {
        show_mode = 0666;
        reader_flags = MAPSEG_ALLOW_SHARED_WRITE | MAPSEG_GUARDED;
    }
    starve_of(starved_sizes[_i % STARVED_SIZES], read_with_the_lock, READER_READ_ONLY, 1, 0);
}
END_TEST

/** READER_CAN_WRITE or READER_READ_ONLY, in a file that any user could make shorter: without a
 *  guard they need not lock, since the word may be gone. */
START_TEST(who_has_no_guard_is_told_in_time)
{
    show_mode = 0666;
    reader_flags = MAPSEG_ALLOW_SHARED_WRITE;
    starve(read_without_the_lock, _i / 2, 1 + _i % 2, 0);
}
END_TEST

/* ---------------------------------------------------------- storm of deaths -- */

#define STORM_WRITERS 3
#define STORM_BYTES 16384

/** Writes half of what it should, and dies if it is the time. */
static void
fill_or_die(struct show *show, mapseg *seg, uint64_t value, uint32_t *random)
{
    size_t middle = next_random(random) % show->bytes / 8 * 8;

    payload_fill(mapseg_data(seg), 0, middle, value);
    if (next_random(random) % 100 == 0) {
        atomic_fetch_add(&show->deaths, 1);
        (void)kill(getpid(), SIGKILL);
    }
    payload_fill(mapseg_data(seg), middle, show->bytes, value);
}

/** Does half of a repair, and leaves the rest to the next. */
static void
shirk(struct show *show, mapseg *seg, uint32_t *random)
{
    payload_fill(mapseg_data(seg), 0, show->bytes / 3 / 8 * 8, next_random(random));
    need_result(MAPSEG_OK,
                next_random(random) % 2 == 0 ? mapseg_write_end(seg) : mapseg_unlock(seg));
}

static void
change_or_die(struct show *show, mapseg *seg, uint32_t *random)
{
    mapseg_result result = mapseg_write_begin(seg);
    uint32_t choice = next_random(random);
    uint64_t next;

    need(result == MAPSEG_OK || result == MAPSEG_OWNER_DIED);
    next = payload_next_version(seg);
    need(next != 0);
    if (result == MAPSEG_OWNER_DIED && choice % 8 == 0) {
        shirk(show, seg, random);
        return;
    }
    /* Declared in order before it is: that must not show. */
    if (result == MAPSEG_OWNER_DIED && choice % 8 < 4)
        need_result(MAPSEG_OK, mapseg_consistent(seg));
    fill_or_die(show, seg, next, random);
    if (result == MAPSEG_OWNER_DIED && choice % 8 >= 4)
        need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, choice % 16 < 8 ? mapseg_write_end(seg) : mapseg_unlock(seg));
}

/** A body: one life of a writer. */
static void
live_as_writer(struct stage *stage)
{
    struct show *show = show_of(stage);
    mapseg *seg = join(show);
    uint32_t random = (uint32_t)getpid() * 7919;

    while (atomic_load(&show->stop) == 0) {
        change_or_die(show, seg, &random);
        if (next_random(&random) % 4 == 0)
            nap(next_random(&random) % 300 * MICROSECOND);
        if (next_random(&random) % 500 == 0) {
            need_result(MAPSEG_OK, mapseg_detach(seg));
            need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
        }
    }
    mapseg_free(seg);
}

/** Kills a writer at any moment, or only stops it for a while, and starts a new
 *  one where one has ended. */
static void
disturb(struct show *show, pid_t *writer, uint32_t choice)
{
    int status;

    if (choice % 8 == 0) {
        atomic_fetch_add(&show->deaths, 1);
        need(kill(*writer, SIGKILL) == 0);
    } else if (choice % 8 == 1) {
        need(kill(*writer, SIGSTOP) == 0);
        nap(20 * MILLISECOND);
        need(kill(*writer, SIGCONT) == 0);
    }
    if (waitpid(*writer, &status, WNOHANG) == *writer) {
        need(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        *writer = start_in(show, live_as_writer, READER_CAN_WRITE);
    }
}

static int64_t
storm_duration(void)
{
    const char *text = getenv("MAPSEG_STORM_SECONDS");

    return text != NULL && atoi(text) > 0 ? atoi(text) * SECOND : 3 * SECOND;
}

static void
rage(struct show *show, pid_t *writers)
{
    int64_t begun = now_ns();
    uint32_t random = 2463534242;

    while (now_ns() < begun + storm_duration() ||
           (atomic_load(&show->deaths) <= 10 && now_ns() < begun + HANG)) {
        for (int i = 0; i < STORM_WRITERS; i++)
            disturb(show, &writers[i], next_random(&random));
        nap(next_random(&random) % 3000 * MICROSECOND);
    }
    atomic_store(&show->stop, 1);
    for (int i = 0; i < STORM_WRITERS; i++) {
        int status = end_of(writers[i]);

        need(status == 0 || status == 128 + SIGKILL);
    }
}

/** Whatever the last of them left, it can be repaired, and read. */
static void
need_peace(struct show *show)
{
    mapseg *seg = attached(show->stage.place.key, MAPSEG_READ_WRITE);
    mapseg_result result = mapseg_write_begin(seg);

    need(mapseg_result_owes_unlock(result));
    payload_fill(mapseg_data(seg), 0, show->bytes, payload_next_version(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need(need_whole(seg) > 0);
    make_change(seg);
    mapseg_free(seg);
}

START_TEST(storm_of_dying_writers)
{
    struct show *show = new_starving(STORM_BYTES, lock_flags[_i]);
    pid_t readers[READER_KINDS];
    pid_t writers[STORM_WRITERS];

    show->deadline = 10 * MILLISECOND;
    start_readers(show, readers);
    for (int i = 0; i < STORM_WRITERS; i++)
        writers[i] = start_in(show, live_as_writer, READER_CAN_WRITE);
    rage(show, writers);
    need(atomic_load(&show->deaths) > 10);
    need_peace(show);
    (void)printf("starve: %d deaths\n", atomic_load(&show->deaths));
    end_readers(show, readers);
    end_show(&show->stage);
}
END_TEST

/* -------------------------------------------------------------------- main -- */

static void
add_cases(Suite *suite, bool memory)
{
    TCase *tcase = new_case(suite, memory ? "starve, in memory" : "starve");

    if (memory)
        tcase_add_checked_fixture(tcase, use_memory_files, NULL);
    tcase_set_timeout(tcase, (double)(storm_duration() / SECOND) + TEST_TIMEOUT);
    tcase_add_loop_test(tcase, nobody_sees_half_a_change, 0, SIZES);
    tcase_add_loop_test(tcase, who_can_lock_is_not_starved, 0, 8);
    if (is_root())
        tcase_add_loop_test(tcase, who_cannot_lock_is_told_in_time, 0, 2);
    tcase_add_loop_test(tcase, who_can_lock_gets_records_of_any_size, 0,
                        memory ? STARVED_SIZES : 2 * STARVED_SIZES);
    if (!memory)
        tcase_add_loop_test(tcase, who_has_no_guard_is_told_in_time, 0, 4);
    tcase_add_loop_test(tcase, storm_of_dying_writers, 0, 2);
}

int
main(void)
{
    Suite *suite = new_suite("starve");

    add_cases(suite, false);
    add_cases(suite, true);
    return run_suite(suite);
}
