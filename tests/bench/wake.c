/*
 * wake.c - how long two processes take to wake each other in turn.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "../support/calls.h"
#include "children.h"
#include "duet.h"
#include "segment.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TURN_NS 1000000
/** The longest that what is guarded may take. */
#define APART_NS INT64_C(60000000000)

/* A bare futex: the least that sleeping and waking in shared memory can be. */

struct words {
    _Atomic uint32_t ping;
    char apart[60];
    _Atomic uint32_t pong;
};

static void
post(_Atomic uint32_t *word)
{
    atomic_fetch_add_explicit(word, 1, memory_order_release);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool
await(const _Atomic uint32_t *word, uint32_t seen)
{
    const struct timespec patience = {.tv_sec = DUET_PATIENCE_NS / 1000000000};

    while (atomic_load_explicit(word, memory_order_acquire) == seen) {
        if (syscall(SYS_futex, word, FUTEX_WAIT, seen, &patience, NULL, 0) != 0 && errno != EAGAIN)
            return false;
    }
    return true;
}

static bool
call_futex(void *state, long count)
{
    struct words *words = state;

    for (; count > 0; count--) {
        uint32_t seen = atomic_load_explicit(&words->pong, memory_order_relaxed);
        post(&words->ping);
        if (!await(&words->pong, seen))
            return false;
    }
    return true;
}

/** As many pongs as there were pings: one more has come when they differ. */
static bool
answer_futex(void *state, long count)
{
    struct words *words = state;

    for (; count > 0; count--) {
        if (!await(&words->ping, atomic_load_explicit(&words->pong, memory_order_relaxed)))
            return false;
        post(&words->pong);
    }
    return true;
}

/* A pipe in each direction, or an eventfd: a descriptor to write and one to read. */

struct descriptors {
    int ping[2];
    int pong[2];
};

static bool
put(int file)
{
    const uint64_t one = 1;

    return write(file, &one, sizeof one) == (ssize_t)sizeof one;
}

static bool
get(int file)
{
    uint64_t number;

    return read(file, &number, sizeof number) == (ssize_t)sizeof number;
}

static bool
call_descriptor(void *state, long count)
{
    const struct descriptors *files = state;

    for (; count > 0; count--) {
        if (!put(files->ping[1]) || !get(files->pong[0]))
            return false;
    }
    return true;
}

static bool
answer_descriptor(void *state, long count)
{
    const struct descriptors *files = state;

    for (; count > 0; count--) {
        if (!get(files->ping[0]) || !put(files->pong[1]))
            return false;
    }
    return true;
}

/* mapseg: a segment for each direction. Each process has seen what it waited for. */

struct segments {
    mapseg *ping;
    mapseg *pong;
    uint64_t ping_seen;
    uint64_t pong_seen;
};

static bool
change(mapseg *seg)
{
    return mapseg_write_begin(seg) == MAPSEG_OK && mapseg_write_end(seg) == MAPSEG_OK;
}

static bool
await_change(mapseg *seg, uint64_t *seen)
{
    return segment_did(seg, mapseg_wait(seg, *seen, seen, DUET_PATIENCE_NS));
}

static bool
call_segment(void *state, long count)
{
    struct segments *segments = state;

    for (; count > 0; count--) {
        if (!change(segments->ping) || !await_change(segments->pong, &segments->pong_seen))
            return false;
    }
    return true;
}

static bool
answer_segment(void *state, long count)
{
    struct segments *segments = state;

    for (; count > 0; count--) {
        if (!await_change(segments->ping, &segments->ping_seen) || !change(segments->pong))
            return false;
    }
    return true;
}

/** The same in access sections, which belong to a thread: each process needs its own. */
static bool
within_sections(struct segments *segments, long count, bool (*body)(void *state, long count))
{
    bool good;

    if (!segment_did(segments->ping, mapseg_guard_begin(segments->ping)))
        return false;
    if (!segment_did(segments->pong, mapseg_guard_begin(segments->pong))) {
        ignored(mapseg_guard_end(segments->ping));
        return false;
    }
    good = body(segments, count);
    good = segment_did(segments->pong, mapseg_guard_end(segments->pong)) && good;
    return segment_did(segments->ping, mapseg_guard_end(segments->ping)) && good;
}

static bool
call_section(void *state, long count)
{
    return within_sections(state, count, call_segment);
}

static bool
answer_section(void *state, long count)
{
    return within_sections(state, count, answer_segment);
}

/** What an event loop does: poll, then ask what is new. */
static bool
poll_change(mapseg *seg, uint64_t *seen)
{
    struct pollfd change = {.fd = notify_fd(seg), .events = POLLIN};
    uint64_t before = *seen;

    if (change.fd < 0)
        return segment_did(seg, mapseg_error(seg));
    do {
        if (poll(&change, 1, (int)(DUET_PATIENCE_NS / 1000000)) != 1)
            return false;
        ignored(mapseg_wait(seg, before, seen, 0));
    } while (*seen == before);
    return true;
}

static bool
call_poll(void *state, long count)
{
    struct segments *segments = state;

    for (; count > 0; count--) {
        if (!change(segments->ping) || !poll_change(segments->pong, &segments->pong_seen))
            return false;
    }
    return true;
}

static bool
answer_poll(void *state, long count)
{
    struct segments *segments = state;

    for (; count > 0; count--) {
        if (!poll_change(segments->ping, &segments->ping_seen) || !change(segments->pong))
            return false;
    }
    return true;
}

/** What an earlier partner has seen, the next one has not: both begin with what is there now. */
static bool
look(struct segments *segments)
{
    return segment_did(segments->ping,
                       mapseg_wait(segments->ping, MAPSEG_ANY_VERSION, &segments->ping_seen, 0)) &&
           segment_did(segments->pong,
                       mapseg_wait(segments->pong, MAPSEG_ANY_VERSION, &segments->pong_seen, 0));
}

/** All that the rows need. */
struct props {
    struct words *words;
    struct descriptors pipes;
    struct descriptors events;
    struct segments memfd;
    struct segments named;
    struct segments section;
    struct segments polled;
};

static bool
open_segments(struct segments *segments, enum segment_kind kind)
{
    segments->ping = segment_new(kind, sizeof(uint64_t));
    segments->pong = segment_new(kind, sizeof(uint64_t));
    return segments->ping != NULL && segments->pong != NULL;
}

static bool
open_events(struct descriptors *events)
{
    events->ping[0] = eventfd(0, EFD_CLOEXEC);
    events->pong[0] = eventfd(0, EFD_CLOEXEC);
    events->ping[1] = dup(events->ping[0]);
    events->pong[1] = dup(events->pong[0]);
    return events->ping[1] >= 0 && events->pong[1] >= 0;
}

static bool
open_props(struct props *props)
{
    props->words = share_memory(sizeof *props->words);
    return props->words != NULL && pipe(props->pipes.ping) == 0 && pipe(props->pipes.pong) == 0 &&
           open_events(&props->events) && open_segments(&props->memfd, SEGMENT_MEMFD) &&
           open_segments(&props->named, SEGMENT_NAMED) &&
           open_segments(&props->section, SEGMENT_NAMED) &&
           open_segments(&props->polled, SEGMENT_MEMFD);
}

static void
close_segments(struct segments *segments)
{
    mapseg_free(segments->ping);
    mapseg_free(segments->pong);
}

static void
close_descriptors(const struct descriptors *files)
{
    const int all[] = {files->ping[0], files->ping[1], files->pong[0], files->pong[1]};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] >= 0)
            close(all[i]);
    }
}

static void
close_props(struct props *props)
{
    if (props->words != NULL)
        unshare_memory(props->words, sizeof *props->words);
    close_descriptors(&props->pipes);
    close_descriptors(&props->events);
    close_segments(&props->memfd);
    close_segments(&props->named);
    close_segments(&props->section);
    close_segments(&props->polled);
}

/** What is measured in one process. */
struct act {
    struct props *props;
    enum stage stage;
    int rounds;
    struct table *table;
};

static bool
take_rounds(const struct act *act)
{
    struct props *props = act->props;
    const struct duet duets[] = {
        {"futex", "a bare futex", props->words, call_futex, answer_futex, NULL},
        {"pipe", "a pipe each way", &props->pipes, call_descriptor, answer_descriptor, NULL},
        {"eventfd", "an eventfd each way", &props->events, call_descriptor, answer_descriptor,
         NULL},
        {"mapseg", "mapseg_write_begin and _end, mapseg_wait; a sealed memfd", &props->memfd,
         call_segment, answer_segment, NULL},
        {"mapseg-named", "the same, a named segment: read by system calls", &props->named,
         call_segment, answer_segment, NULL},
        {"mapseg-poll", "poll on mapseg_notify_fd; a sealed memfd", &props->polled, call_poll,
         answer_poll, NULL},
    };

    if (!look(&props->memfd) || !look(&props->named) || !look(&props->polled))
        return false;
    return interleave_duets(duets, sizeof duets / sizeof duets[0], act->stage, act->rounds, TURN_NS,
                            act->table);
}

/** In a process of its own, as its first section leaves a handler of SIGBUS behind. */
static bool
take_guarded_rounds(void *argument)
{
    const struct act *act = argument;
    struct props *props = act->props;
    const struct duet duets[] = {
        {"futex", "a bare futex", props->words, call_futex, answer_futex, NULL},
        {"mapseg-section", "a named segment within mapseg_guard_begin and _end", &props->section,
         call_section, answer_section, NULL},
    };
    struct table table;

    if (!look(&props->section) || !interleave_duets(duets, sizeof duets / sizeof duets[0],
                                                    act->stage, act->rounds, TURN_NS, &table))
        return false;
    act->table->rows[act->table->count++] = table.rows[1];
    return true;
}

bool
measure_wake(struct report *report, const struct choice *choice)
{
    static const struct {
        enum stage stage;
        const char *name;
        const char *title;
    } acts[] = {
        {STAGE_TWO_CPUS, "two-cpus", "Waking each other: there and back, on two CPUs"},
        {STAGE_ONE_CPU, "one-cpu", "Waking each other: there and back, on one CPU"},
    };
    struct props props;
    bool good;

    (void)choice;
    memset(&props, 0, sizeof props);
    memset(&props.pipes, -1, sizeof props.pipes);
    memset(&props.events, -1, sizeof props.events);
    good = open_props(&props);
    for (size_t i = 0; good && i < sizeof acts / sizeof acts[0]; i++) {
        struct headed_table *wake = &report->wake.list[report->wake.count];
        struct act act = {&props, acts[i].stage, report->effort.wake_rounds, &wake->table};
        if (acts[i].stage == STAGE_TWO_CPUS && usable_cpus() < 2)
            continue;
        report->wake.count++;
        wake->name = acts[i].name;
        wake->title = acts[i].title;
        wake->unit_ns = 1e3;
        good = take_rounds(&act) && run_apart(take_guarded_rounds, &act, APART_NS);
    }
    close_props(&props);
    return good;
}
