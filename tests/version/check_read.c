/*
 * check_read.c - mapseg_read and its kin: which bytes come over, and what comes of a range that
 * never stays the same.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "seen.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --------------------------------------------------------- what is read -- */

START_TEST(ranges_outside_the_data)
{
    static const struct {
        size_t offset;
        size_t bytes;
        mapseg_result result;
    } ranges[] = {
        {0, 0, MAPSEG_OK},
        {0, 1000, MAPSEG_OK},
        {999, 1, MAPSEG_OK},
        {1000, 0, MAPSEG_OK},
        {0, 1001, MAPSEG_INVALID_ARGUMENT},
        {999, 2, MAPSEG_INVALID_ARGUMENT},
        {1000, 1, MAPSEG_INVALID_ARGUMENT},
        {1001, 0, MAPSEG_INVALID_ARGUMENT},
        {SIZE_MAX, 0, MAPSEG_INVALID_ARGUMENT},
        {SIZE_MAX, 1, MAPSEG_INVALID_ARGUMENT},
        {SIZE_MAX, 2, MAPSEG_INVALID_ARGUMENT},
        {1, SIZE_MAX, MAPSEG_INVALID_ARGUMENT},
        {2, SIZE_MAX, MAPSEG_INVALID_ARGUMENT},
        {500, SIZE_MAX - 499, MAPSEG_INVALID_ARGUMENT},
        {SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1, MAPSEG_INVALID_ARGUMENT},
        {0, SIZE_MAX, MAPSEG_INVALID_ARGUMENT},
    };
    struct stage *stage = new_show(1000);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct mapseg_header *header = map_header(stage->place.path);
    char copy[1000] = {0};

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        uint64_t before = version_of(header);
        uint64_t version = 77;

        need_result(ranges[i].result,
                    mapseg_read(seg, ranges[i].offset, copy, ranges[i].bytes, &version));
        need_number(ranges[i].result == MAPSEG_OK ? before : 77, version);
        need_result(ranges[i].result,
                    mapseg_read_for(seg, ranges[i].offset, copy, ranges[i].bytes, NULL, 0));
        need_result(ranges[i].result, mapseg_write(seg, ranges[i].offset, copy, ranges[i].bytes));
        if (ranges[i].result != MAPSEG_OK)
            need_number(before, version_of(header));
        need_free(seg);
    }
    /* A bad range ends no change either. */
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    need_result(MAPSEG_INVALID_ARGUMENT, mapseg_write(seg, 1000, copy, 1));
    need_result(MAPSEG_INVALID_ARGUMENT, mapseg_read(seg, 1000, copy, 1, NULL));
    need(version_of(header) % 2 == 1);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** Every byte comes over, and none beside it, wherever a range begins. */
START_TEST(bytes_are_copied_exactly)
{
    struct stage *stage = new_show(1000);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    unsigned char truth[1000] = {0};
    unsigned char copy[1000];
    uint32_t random = 88172645;

    for (int round = 0; round < 3000; round++) {
        size_t bytes = next_random(&random) % (round % 2 == 0 ? 40 : 1000);
        size_t offset = next_random(&random) % (1000 - bytes);
        size_t shift = next_random(&random) % (1000 - bytes);

        for (size_t i = 0; i < bytes; i++)
            truth[offset + i] = copy[shift + i] = (unsigned char)next_random(&random);
        need_result(MAPSEG_OK, mapseg_write(seg, offset, copy + shift, bytes));
        need(memcmp(mapseg_const_data(seg), truth, sizeof truth) == 0);
        bytes = next_random(&random) % (round % 2 == 0 ? 40 : 1000);
        offset = next_random(&random) % (1000 - bytes);
        shift = next_random(&random) % (1000 - bytes);
        memset(copy, 0xa5, sizeof copy);
        need_result(MAPSEG_OK, mapseg_read(seg, offset, copy + shift, bytes, NULL));
        need(memcmp(copy + shift, truth + offset, bytes) == 0);
        for (size_t i = 0; i < sizeof copy; i++)
            need((i >= shift && i < shift + bytes) || copy[i] == 0xa5);
    }
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

START_TEST(handles_that_are_not_attached)
{
    struct stage *stage = new_stage();
    mapseg *seg = handle_for(stage->place.key);
    uint64_t version = 77;
    char byte = 0;

    for (int round = 0; round < 2; round++) {
        need_result(MAPSEG_NOT_ATTACHED, mapseg_read(seg, 0, &byte, 1, &version));
        need_result(MAPSEG_NOT_ATTACHED, mapseg_error(seg));
        need_result(MAPSEG_NOT_ATTACHED, mapseg_read_for(seg, 0, &byte, 1, &version, -1));
        need_result(MAPSEG_NOT_ATTACHED, mapseg_read_begin(seg, &version));
        need_number(77, version);
        need(mapseg_read_retry(seg, 0));
        need_result(MAPSEG_NOT_ATTACHED, mapseg_wait(seg, 0, NULL, -1));
        need_result(MAPSEG_LOCK_ERROR, mapseg_write_begin(seg));
        need_result(MAPSEG_LOCK_ERROR, mapseg_write(seg, 0, &byte, 1));
        need_result(MAPSEG_NOT_LOCKED, mapseg_write_end(seg));
        need_result(MAPSEG_OK, mapseg_create(seg, 1, MAPSEG_READ_WRITE));
        need_result(MAPSEG_OK, mapseg_write(seg, 0, &byte, 1));
        need_result(MAPSEG_OK, mapseg_detach(seg));
    }
    mapseg_free(seg);
}
END_TEST

START_TEST(reading_in_place)
{
    struct stage *stage = new_show(DATA_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *other = attached(stage->place.key, MAPSEG_READ_WRITE);
    uint64_t version = 1;

    need_result(MAPSEG_OK, mapseg_read_begin(other, &version));
    need(payload_is(mapseg_const_data(other), DATA_BYTES, version));
    need(!mapseg_read_retry(other, version));
    need(!mapseg_read_retry(other, version));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need(!mapseg_read_retry(other, version));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_write_begin(seg));
    need(mapseg_read_retry(other, version));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need(mapseg_read_retry(other, version));
    need_result(MAPSEG_OK, mapseg_read_begin(other, &version));
    need_number(2, version);
    need(!mapseg_read_retry(other, version));
    mapseg_free(other);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/* ---------------------------------- a copy and a writer without a pause -- */

#define TRAP_BYTES 65536

/** Where a copy goes: two halves, of which one is closed at any time. So each copy meets a closed
 *  one, which is when the writer comes between. */
static struct {
    char *halves[2];
    size_t bytes; /**< of a half */
    struct mapseg_header *header;
    int openings;
} trap;

/** The writer changes the data, unless another holds the lock. */
static void
write_between(int number, siginfo_t *information, void *context)
{
    bool second = (char *)information->si_addr >= trap.halves[1];

    (void)number;
    (void)context;
    trap.openings++;
    if (mprotect(trap.halves[second], trap.bytes, PROT_READ | PROT_WRITE) != 0 ||
        mprotect(trap.halves[!second], trap.bytes, PROT_NONE) != 0)
        _exit(90);
    if (__atomic_load_n(&trap.header->lock, __ATOMIC_SEQ_CST) == 0)
        __atomic_fetch_add(&trap.header->version, 2, __ATOMIC_SEQ_CST);
}

static void
set_trap(mapseg *seg)
{
    struct sigaction action = {.sa_sigaction = write_between, .sa_flags = SA_SIGINFO};
    char *both;

    trap.bytes = TRAP_BYTES / 2;
    trap.header = (struct mapseg_header *)(void *)((char *)mapseg_data(seg) - MAPSEG_HEADER_BYTES);
    both = mmap(NULL, TRAP_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(both != MAP_FAILED);
    trap.halves[0] = both;
    trap.halves[1] = both + trap.bytes;
    need(sigaction(SIGSEGV, &action, NULL) == 0);
}

static int64_t fake_time;

/** Every look at the clock is 10 ms later. */
static int64_t
read_fast_clock(void)
{
    return fake_time += 10000000;
}

/** A large range that never stays the same is not copied again and again past the limit: there is
 *  a look at the clock after each copy, but for the first ones. */
START_TEST(reading_much_gives_up_in_time)
{
    struct stage *stage = new_show(TRAP_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *reader = mapseg_new();
    const struct msi_os_operations healthy = msi_os;

    /* A descriptor that only reads: it cannot lock. */
    need_result(MAPSEG_OK,
                mapseg_attach_fd(reader, exported_fd(seg, MAPSEG_READ_ONLY), MAPSEG_READ_ONLY));
    set_trap(seg);
    msi_os.monotonic_ns = read_fast_clock;
    need_result(MAPSEG_TIMED_OUT,
                mapseg_read_for(reader, 0, trap.halves[0], TRAP_BYTES, NULL, 10000000));
    msi_os = healthy;
    need(trap.openings > 0);
    need(trap.openings < 20);
    mapseg_free(reader);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/** A reader that can lock takes the lock when nothing else helps, and has its copy: in a sealed
 *  memory file, and in a file with a name within a section. */
START_TEST(reading_keeps_writers_away_at_last)
{
    struct stage *stage = new_show(TRAP_BYTES);
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg *reader = in_memory ? attached(stage->place.key, MAPSEG_READ_WRITE)
                               : reader_at(&stage->place, READER_READ_ONLY);
    uint64_t version;

    memset(mapseg_data(seg), 'x', TRAP_BYTES);
    need_result(MAPSEG_OK, mapseg_guard_begin(reader));
    set_trap(seg);
    need_result(MAPSEG_OK, mapseg_read_for(reader, 0, trap.halves[0], TRAP_BYTES, &version, -1));
    need(trap.openings > 2);
    need_number((int64_t)trap.header->version, (int64_t)version);
    need_number(0, trap.header->lock);
    need_result(MAPSEG_OK, mapseg_guard_end(reader));
    need(mprotect(trap.halves[0], TRAP_BYTES, PROT_READ) == 0);
    for (size_t i = 0; i < TRAP_BYTES; i++)
        need(trap.halves[0][i] == 'x');
    mapseg_free(reader);
    mapseg_free(seg);
    end_show(stage);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

static void
add_all(TCase *tcase, bool memory)
{
    tcase_add_test(tcase, ranges_outside_the_data);
    tcase_add_test(tcase, bytes_are_copied_exactly);
    tcase_add_test(tcase, reading_in_place);
    tcase_add_test(tcase, reading_keeps_writers_away_at_last);
    if (memory)
        tcase_add_test(tcase, reading_much_gives_up_in_time);
    else
        tcase_add_test(tcase, handles_that_are_not_attached);
}

int
main(void)
{
    return run_in_memory_and_named("read", add_all);
}
