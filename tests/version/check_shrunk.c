/*
 * check_shrunk.c - calls that read, look and wait, and a file that becomes shorter meanwhile.
 *
 * SPDX-License-Identifier: MIT
 */
#include "seen.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define LARGE_BYTES (1 << 20)

/* ---------------------------------------------- one file, several calls -- */

START_TEST(look_at_an_own_change_that_is_gone)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, LARGE_BYTES);
    uint64_t version;
    char byte;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    need(truncate(stage->place.path, 0) == 0);
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read_begin(seg, &version));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read(seg, 0, &byte, 1, NULL));
    mapseg_free(seg);
}
END_TEST

/** The header page stays, and the version with it; the data is gone but for its first page. */
START_TEST(data_alone_is_gone)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, LARGE_BYTES);
    mapseg *waiter = reader_at(&stage->place, READER_READ_ONLY);
    struct pollfd event = {.fd = notify_fd(waiter), .events = POLLIN};
    uint64_t version;

    need_result(MAPSEG_OK, mapseg_wait(waiter, MAPSEG_ANY_VERSION, &version, 0));
    need(poll(&event, 1, 0) == 0);
    need_result(MAPSEG_OK, mapseg_read_begin(seg, &version));
    need(!mapseg_read_retry(seg, version));
    need(truncate(stage->place.path, 2 * MAPSEG_HEADER_BYTES) == 0);
    need(mapseg_read_retry(seg, version));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read_begin(seg, &version));
    need(poll(&event, 1, (int)(HANG / MILLISECOND)) == 1);
    need_result(MAPSEG_FILE_SHRUNK, mapseg_wait(waiter, version, NULL, 1000000000));
    mapseg_free(waiter);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------- one call, over and over -- */

/** Reads until told that the file shrank; what then must stay so. */
static void
read_until_it_shrinks(mapseg *seg)
{
    static char copy[LARGE_BYTES];
    uint64_t version;
    mapseg_result result;

    while ((result = mapseg_read(seg, 0, copy, sizeof copy, &version)) == MAPSEG_OK)
        need(payload_is(copy, sizeof copy, version));
    need_result(MAPSEG_FILE_SHRUNK, result);
}

static void
wait_until_it_shrinks(mapseg *seg)
{
    mapseg_result result;

    while ((result = mapseg_wait(seg, 0, NULL, MILLISECOND)) == MAPSEG_TIMED_OUT)
        ;
    need_result(MAPSEG_FILE_SHRUNK, result);
}

static void
look_until_it_shrinks(mapseg *seg)
{
    mapseg_result result;
    uint64_t version;

    while ((result = mapseg_read_begin(seg, &version)) == MAPSEG_OK)
        ignored(mapseg_read_retry(seg, version));
    need_result(MAPSEG_FILE_SHRUNK, result);
    need(mapseg_read_retry(seg, 0));
}

/** Sleeps without a limit: the end of the file must end that too. */
static void
sleep_until_it_shrinks(mapseg *seg)
{
    need_result(MAPSEG_FILE_SHRUNK, mapseg_wait(seg, 0, NULL, -1));
}

static void (*const until_it_shrinks[])(mapseg *seg) = {
    read_until_it_shrinks,
    wait_until_it_shrinks,
    look_until_it_shrinks,
    sleep_until_it_shrinks,
};

#define SHRINK_WAYS ((int)(sizeof until_it_shrinks / sizeof *until_it_shrinks))

/** A body: does one thing over and over, with no handler of SIGBUS added. */
static void
watch_it_shrink(struct stage *stage)
{
    struct sigaction before, after;
    uint64_t version;
    mapseg *seg;
    char byte;

    /* Sanitizers have a handler of their own. */
    need(sigaction(SIGBUS, NULL, &before) == 0);
    seg = reader_at(&stage->place, (enum reader_kind)(stage->number % READER_KINDS));
    atomic_fetch_add(&stage->ready, 1);
    until_it_shrinks[stage->number / READER_KINDS](seg);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    /* The file has its old size again; what was in it is lost for good. */
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read(seg, 0, &byte, 1, NULL));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_error(seg));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_wait(seg, 0, NULL, -1));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read_begin(seg, &version));
    need(mapseg_read_retry(seg, 0));
    if (stage->number % READER_KINDS == READER_CAN_WRITE)
        need_result(MAPSEG_FILE_SHRUNK, mapseg_write(seg, 0, &byte, 1));
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need_result(MAPSEG_NOT_ATTACHED, mapseg_read(seg, 0, &byte, 1, NULL));
    need(sigaction(SIGBUS, NULL, &after) == 0);
    need(after.sa_handler == before.sa_handler);
    mapseg_free(seg);
}

/** The file shrinks under a reader, to nothing, or to what still has the header. */
START_TEST(file_shrinks)
{
    struct stage *stage = new_show(LARGE_BYTES);
    off_t size = lseek(open(stage->place.path, O_RDONLY | O_CLOEXEC), 0, SEEK_END);
    off_t left = _i / READER_KINDS == 0 && _i % 2 == 0 ? 8192 : 0;
    pid_t reader;

    stage->number = _i;
    reader = start(watch_it_shrink, stage);
    await(&stage->ready, 1);
    nap(5 * MILLISECOND);
    need(truncate(stage->place.path, left) == 0);
    await(&stage->ready, 2);
    need(truncate(stage->place.path, size) == 0);
    atomic_store(&stage->go, 1);
    finish(reader);
    (void)unlink(stage->place.path);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

int
main(void)
{
    Suite *suite = new_suite("shrunk");
    TCase *named = new_case(suite, "named");

    tcase_add_test(named, look_at_an_own_change_that_is_gone);
    tcase_add_test(named, data_alone_is_gone);
    for (int i = 0; i < SHRINK_WAYS * READER_KINDS; i++)
        if (i % READER_KINDS < count_kinds())
            tcase_add_loop_test(named, file_shrinks, i, i + 1);
    return run_suite(suite);
}
