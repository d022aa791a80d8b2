/*
 * read.c - what reading a record costs that nobody writes, or that another process writes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"
#include "clock.h"
#include "duet.h"
#include "reader.h"

#include <stdatomic.h>
#include <string.h>

#define PAGE 4096
#define TURN_NS 300000

/** The longest that the guarded readers may take. */
#define APART_NS INT64_C(120000000000)

/** The first is what the others are held against. */
static const struct reader *const readers[] = {
    &reader_seqlock,     &reader_memcpy,        &reader_mutex,        &reader_mapseg,
    &reader_mapseg_only, &reader_mapseg_skewed, &reader_mapseg_named, &reader_mapseg_shared,
};
/** A guard leaves a handler of SIGBUS behind in its process: these run in another one, with what
 *  they are held against. */
static const struct reader *const guarded[] = {&reader_seqlock, &reader_mapseg_guarded,
                                               &reader_mapseg_section};
#define READERS (sizeof readers / sizeof readers[0])
#define GUARDED (sizeof guarded / sizeof guarded[0])

static const struct read_setting settings[] = {
    {"alone", "nobody writes", false, 0},
    {"every-us", "a process writes all of it every microsecond", true, 1000},
    {"every-100ns", "a process writes all of it every 100 ns", true, 100},
    {"no-pause", "a process writes all of it without a pause", true, 0},
};

static const size_t sizes[READ_SIZES] = {8, 64, 4096, RECORD_BYTES};

/** What the writer lets the other process know, and the other way round. */
struct signals {
    _Atomic bool stop;
    char apart[63];
    /** What a writer has done so far. */
    uint64_t changes;
    uint64_t ticks;
};

struct scene {
    const struct reader *reader;
    void *state;
    struct reading reading;
    long reads;
    /** 0: without a pause. */
    uint64_t pause_ticks;
    struct signals *signals;
    /** Two records; the writer writes them in turn. */
    const uint64_t *records[2];
};

static bool
read_some(void *state, long count)
{
    struct scene *scene = state;

    scene->reads += count;
    return scene->reader->read(scene->state, &scene->reading, count);
}

static void
stop_writing(void *state)
{
    struct scene *scene = state;

    atomic_store_explicit(&scene->signals->stop, true, memory_order_release);
}

/** A change that lasts longer than the pause delays the next ones, and is not made up for. */
static uint64_t
wait_for(uint64_t next)
{
    while (tick() < next)
        relax();
    return tick();
}

/** Until the other process has read enough. */
static bool
write_on(void *state, long count)
{
    struct scene *scene = state;
    struct signals *signals = scene->signals;
    uint64_t start = tick();
    uint64_t changes = 0;

    (void)count;
    for (uint64_t now = start; !atomic_load_explicit(&signals->stop, memory_order_acquire);
         changes++) {
        if (!scene->reader->write(scene->state, scene->records[changes % 2], scene->reading.bytes))
            return false;
        if (scene->pause_ticks > 0)
            now = wait_for(now + scene->pause_ticks);
    }
    signals->changes += changes;
    signals->ticks += tick() - start;
    atomic_store_explicit(&signals->stop, false, memory_order_release);
    return true;
}

static bool
read_alone(struct scene *scenes, size_t count, int rounds, struct table *table)
{
    struct runner runners[READERS];
    bool good;

    for (size_t i = 0; i < count; i++) {
        runners[i] = (struct runner){
            .name = scenes[i].reader->name,
            .what = scenes[i].reader->what,
            .state = &scenes[i],
            .run = read_some,
        };
    }
    use_cpu(0);
    good = interleave(runners, count, rounds, TURN_NS, table);
    use_cpu(-1);
    return good;
}

static bool
read_beside(struct scene *scenes, size_t count, int rounds, struct table *table)
{
    struct duet duets[READERS];

    for (size_t i = 0; i < count; i++) {
        duets[i] = (struct duet){
            .name = scenes[i].reader->name,
            .what = scenes[i].reader->what,
            .state = &scenes[i],
            .call = read_some,
            .answer = write_on,
            .after = stop_writing,
        };
    }
    return interleave_duets(duets, count, STAGE_TWO_CPUS, rounds, TURN_NS, table);
}

/** The memory that a measure needs beside the readers' own. */
struct desk {
    struct signals signals[READERS];
    uint64_t records[2][RECORD_BYTES / sizeof(uint64_t)];
    /** Begins where a page does. */
    _Alignas(PAGE) uint64_t to[(RECORD_BYTES + PAGE) / sizeof(uint64_t)];
};

/** Readers that are measured together, and what they read. */
struct group {
    const struct reader *const *readers;
    size_t count;
    void **states;
    struct desk *desk;
    struct report *report;
};

static bool
run_size(const struct group *group, const struct read_setting *setting, size_t bytes,
         struct read_size *result)
{
    struct scene scenes[READERS];
    struct desk *desk = group->desk;
    int rounds = group->report->effort.read_rounds;
    bool good = true;

    memset(desk->signals, 0, sizeof desk->signals);
    for (size_t i = 0; good && i < group->count; i++) {
        good = group->readers[i]->write(group->states[i], desk->records[0], bytes);
        scenes[i] = (struct scene){
            .reader = group->readers[i],
            .state = group->states[i],
            .reading = {desk->to + group->readers[i]->skew / sizeof(uint64_t), bytes,
                        setting->written, 0},
            .pause_ticks = (uint64_t)(setting->every_ns / tick_length()),
            .signals = &desk->signals[i],
            .records = {desk->records[0], desk->records[1]},
        };
    }
    if (setting->written)
        good = good && read_beside(scenes, group->count, rounds, &result->table);
    else
        good = good && read_alone(scenes, group->count, rounds, &result->table);
    result->bytes = bytes;
    for (size_t i = 0; good && i < group->count; i++) {
        double lasted = (double)desk->signals[i].ticks * tick_length();
        result->changes_per_us[i] =
            lasted > 0 ? (double)desk->signals[i].changes * 1000 / lasted : 0;
        result->gave_up[i] = (double)scenes[i].reading.gave_up / (double)scenes[i].reads;
    }
    return good;
}

/** Adds all but the first, which is there already. */
static void
add_rows(struct read_size *size, const struct read_size *more)
{
    for (size_t i = 1; i < more->table.count; i++) {
        size_t row = size->table.count++;
        size->table.rows[row] = more->table.rows[i];
        size->changes_per_us[row] = more->changes_per_us[i];
        size->gave_up[row] = more->gave_up[i];
    }
}

/** Whether there are two CPUs, where one has a writer. */
static bool
can_run(const struct read_setting *setting)
{
    return !setting->written || usable_cpus() >= 2;
}

static bool
run_settings(const struct group *group)
{
    struct report *report = group->report;
    bool good = true;

    report->read_count = 0;
    for (size_t i = 0; good && i < sizeof settings / sizeof settings[0]; i++) {
        struct read_table *table = &report->read[report->read_count];
        if (!can_run(&settings[i]))
            continue;
        table->setting = settings[i];
        report->read_count++;
        for (size_t size = 0; good && size < READ_SIZES; size++) {
            struct read_size result;
            memset(&result, 0, sizeof result);
            good = run_size(group, &settings[i], sizes[size], &result);
            if (table->sizes[size].table.count > 0)
                add_rows(&table->sizes[size], &result);
            else
                table->sizes[size] = result;
        }
    }
    return good;
}

static size_t
set_up(const struct group *group)
{
    size_t ready = 0;

    for (; ready < group->count; ready++) {
        group->states[ready] = group->readers[ready]->setup();
        if (group->states[ready] == NULL) {
            fprintf(stderr, "bench: %s cannot be set up\n", group->readers[ready]->name);
            break;
        }
    }
    return ready;
}

static bool
run_group(void *argument)
{
    const struct group *group = argument;
    size_t ready = set_up(group);
    bool good = ready == group->count && run_settings(group);

    while (ready-- > 0)
        group->readers[ready]->teardown(group->states[ready]);
    return good;
}

bool
measure_read(struct report *report, const struct choice *choice)
{
    void *states[READERS];
    struct desk *desk = share_memory(sizeof *desk);
    struct group first = {readers, READERS, states, desk, report};
    struct group then = {guarded, GUARDED, states, desk, report};
    bool good;

    (void)choice;
    if (desk == NULL)
        return false;
    memset(desk->records[0], 0x11, sizeof desk->records[0]);
    memset(desk->records[1], 0x22, sizeof desk->records[1]);
    good = run_group(&first) && run_apart(run_group, &then, APART_NS);
    unshare_memory(desk, sizeof *desk);
    return good;
}
