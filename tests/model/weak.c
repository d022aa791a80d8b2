/*
 * weak.c - memory as weak as C11 allows, searched to the end.
 *
 * A place has all values that were ever stored there, in its modification order. A view says
 * for each place up to where it has been seen. A thread has a view, by which it cannot see
 * what is older; a stored value has the view that a load of acquire order gets from it.
 *
 * A thread is run anew for each of its steps: it is given what its operations came to before,
 * up to the one that it has not done yet. So a state is plain memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "weak.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Values that a place comes to have. */
#define VALUES 12
/** Operations of a thread. */
#define OPERATIONS 64
/** States that are told apart; a power of two, and more than there are. */
#define STATES ((size_t)1 << 19)

struct view {
    uint8_t seen[WEAK_PLACES];
};

struct value {
    uint32_t number;
    uint32_t swapped; /**< by an operation that saw the one before: nothing comes in between */
    struct view view;
};

struct thread {
    uint32_t results[OPERATIONS];
    uint32_t count;
    uint32_t asleep; /**< on the place before this number; 0: it is not */
    struct view view;
    struct view acquired; /**< what a fence of acquire order adds */
    struct view released; /**< what stores after a fence of release order carry */
};

struct state {
    struct thread threads[WEAK_THREADS];
    struct value values[WEAK_PLACES][VALUES];
    uint32_t counts[WEAK_PLACES];
    struct view fences; /**< of all fences of seq_cst order */
    struct view kernel; /**< of the kernel's lock */
};

enum kind { LOAD, STORE, SWAP, UPDATE, TAKE, FENCE, SLEEP, WAKE, REFUSE, END };

/** What a thread does next. */
struct step {
    enum kind kind;
    int place;
    uint32_t number;
    uint32_t expected; /**< of an update: what it keeps */
    memory_order order;
};

static const struct weak_scene *scene;
static uint64_t *known; /**< the states that were met; 0: free */
static long known_count;

/* ---------------------------------------------------- what threads call -- */

static const struct thread *running;
static int running_number;
static uint32_t replayed;
static struct step next;
static jmp_buf back;

static int
place_of(const volatile void *address)
{
    for (int i = 0; i < WEAK_PLACES; i++)
        if (scene->places[i] == address)
            return i;
    return -1;
}

/** What the operation came to; or ends the run of the thread, which is to do it. */
static uint32_t
operate(struct step step)
{
    if (replayed < running->count)
        return running->results[replayed++];
    next = step;
    longjmp(back, 1);
}

uint32_t
weak_load(const volatile void *place, memory_order order)
{
    int at = place_of(place);

    if (at < 0)
        return *(const volatile uint32_t *)place;
    return operate((struct step){.kind = LOAD, .place = at, .order = order});
}

void
weak_store(volatile void *place, uint32_t value, memory_order order)
{
    int at = place_of(place);

    if (at >= 0)
        (void)operate((struct step){.kind = STORE, .place = at, .number = value, .order = order});
}

bool
weak_swap(volatile void *place, uint32_t *expected, uint32_t desired, memory_order order)
{
    uint32_t wanted = *expected;

    *expected = operate((struct step){.kind = SWAP,
                                      .place = place_of(place),
                                      .number = desired,
                                      .expected = wanted,
                                      .order = order});
    return *expected == wanted;
}

uint32_t
weak_update(volatile void *place, uint32_t keep, uint32_t set, memory_order order)
{
    return operate((struct step){
        .kind = UPDATE, .place = place_of(place), .number = set, .expected = keep, .order = order});
}

void
weak_take(volatile void *place, uint32_t value)
{
    (void)operate((struct step){
        .kind = TAKE, .place = place_of(place), .number = value, .order = memory_order_acquire});
}

void
weak_fence(memory_order order)
{
    if (running_number != scene->without_fence)
        (void)operate((struct step){.kind = FENCE, .order = order});
}

void
weak_sleep(const uint32_t *place, uint32_t value, int64_t ns)
{
    (void)ns;
    (void)operate((struct step){.kind = SLEEP, .place = place_of(place), .expected = value});
}

void
weak_wake_all(const uint32_t *place)
{
    (void)operate((struct step){.kind = WAKE, .place = place_of(place)});
}

void
weak_refuse(void)
{
    (void)operate((struct step){.kind = REFUSE});
}

/** What the thread does next. */
static struct step
step_of(const struct state *state, int thread)
{
    running = &state->threads[thread];
    running_number = thread;
    replayed = 0;
    next = (struct step){.kind = END};
    if (setjmp(back) == 0 && scene->threads[thread] != NULL)
        scene->threads[thread]();
    return next;
}

/* ---------------------------------------------------------------- memory -- */

static void
join(struct view *view, const struct view *other)
{
    for (int i = 0; i < WEAK_PLACES; i++)
        if (view->seen[i] < other->seen[i])
            view->seen[i] = other->seen[i];
}

static bool
acquires(memory_order order)
{
    return order == memory_order_acquire || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

static bool
releases(memory_order order)
{
    return order == memory_order_release || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

static void
see(struct thread *thread, int place, uint32_t at)
{
    if (thread->view.seen[place] < at)
        thread->view.seen[place] = (uint8_t)at;
    join(&thread->acquired, &thread->view);
}

/** The thread loads the value at that position. */
static uint32_t
load(struct state *state, struct thread *thread, const struct step *step, uint32_t at)
{
    const struct value *value = &state->values[step->place][at];

    join(&thread->acquired, &value->view);
    if (acquires(step->order))
        join(&thread->view, &value->view);
    see(thread, step->place, at);
    return value->number;
}

static void
shift(struct view *view, int place, uint32_t at)
{
    if (view->seen[place] >= at)
        view->seen[place]++;
}

/** Makes room for a value at that position: all views that have seen later ones move on. */
static void
make_room(struct state *state, int place, uint32_t at)
{
    struct value *values = state->values[place];

    if (state->counts[place] == VALUES)
        abort();
    memmove(&values[at + 1], &values[at], (state->counts[place] - at) * sizeof *values);
    memset(&values[at], 0, sizeof *values);
    state->counts[place]++;
    for (int i = 0; i < WEAK_THREADS; i++) {
        shift(&state->threads[i].view, place, at);
        shift(&state->threads[i].acquired, place, at);
        shift(&state->threads[i].released, place, at);
    }
    for (int i = 0; i < WEAK_PLACES; i++)
        for (uint32_t j = 0; j < state->counts[i]; j++)
            shift(&state->values[i][j].view, place, at);
    shift(&state->fences, place, at);
    shift(&state->kernel, place, at);
}

/** The thread stores a value, which comes to that position. */
static void
store(struct state *state, struct thread *thread, const struct step *step, uint32_t at)
{
    struct value *value = &state->values[step->place][at];

    make_room(state, step->place, at);
    see(thread, step->place, at);
    value->number = step->number;
    value->view = releases(step->order) ? thread->view : thread->released;
    if (value->view.seen[step->place] < at)
        value->view.seen[step->place] = (uint8_t)at;
}

static void
fence(struct state *state, struct thread *thread, memory_order order)
{
    if (acquires(order))
        thread->view = thread->acquired;
    if (order == memory_order_seq_cst) {
        join(&state->fences, &thread->view);
        thread->view = state->fences;
    }
    if (releases(order))
        thread->released = thread->view;
    join(&thread->acquired, &thread->view);
}

static void
wake(struct state *state, struct thread *thread, int place)
{
    join(&thread->view, &state->kernel);
    see(thread, place, 0);
    join(&state->kernel, &thread->view);
    for (int i = 0; i < WEAK_THREADS; i++)
        if (state->threads[i].asleep == (uint32_t)place + 1)
            state->threads[i].asleep = 0;
}

/* ---------------------------------------------------------------- search -- */

static enum weak_end search(const struct state *state);

/** Whether the state was not met before. */
static bool
is_new(const struct state *state)
{
    const unsigned char *bytes = (const unsigned char *)state;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    size_t at;

    for (size_t i = 0; i < sizeof *state; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    hash |= hash == 0;
    for (at = (hash >> 20) % STATES; known[at] != 0; at = (at + 1) % STATES)
        if (known[at] == hash)
            return false;
    known[at] = hash;
    known_count++;
    if ((size_t)known_count > STATES / 2)
        abort();
    return true;
}

/** Stores behind the value at that position, which it was swapped for. */
static void
swap(struct state *state, struct thread *thread, const struct step *step, uint32_t at)
{
    struct value *values = state->values[step->place];
    struct view before = values[at].view;

    (void)load(state, thread, step, at);
    store(state, thread, step, at + 1);
    values[at + 1].swapped = 1;
    /* Who acquires from a swap acquires from what it was swapped for, too. */
    shift(&before, step->place, at + 1);
    join(&values[at + 1].view, &before);
}

/** A step in one of the ways in which it can be done: at that position. False: not there. */
static bool
do_step(struct state *state, int number, const struct step *step, uint32_t at)
{
    struct thread *thread = &state->threads[number];
    struct value *values = state->values[step->place];
    bool free_after = at + 1 >= state->counts[step->place] || !values[at + 1].swapped;
    struct step update = *step;
    uint32_t result = values[at].number;

    switch (step->kind) {
    case STORE:
        /* Behind the one at the position. */
        if (!free_after)
            return false;
        store(state, thread, step, at + 1);
        result = 0;
        break;
    case SWAP:
    case TAKE:
        if (result != step->expected && step->kind == TAKE)
            return false;
        if (result == step->expected && !free_after)
            return false;
        if (result == step->expected)
            swap(state, thread, step, at);
        else
            (void)load(state, thread, step, at);
        break;
    case UPDATE:
        if (!free_after)
            return false;
        update.number |= result & step->expected;
        swap(state, thread, &update, at);
        break;
    default:
        (void)load(state, thread, step, at);
        if (step->kind != SLEEP)
            break;
        join(&state->kernel, &thread->view);
        thread->asleep = result == step->expected ? (uint32_t)step->place + 1 : 0;
        result = 0;
    }
    if (thread->count == OPERATIONS)
        abort();
    thread->results[thread->count++] = result;
    return true;
}

/** A step that can be done in one way alone. */
static enum weak_end
do_plain_step(const struct state *state, int number, const struct step *step)
{
    struct state after = *state;
    struct thread *thread = &after.threads[number];

    if (step->kind == FENCE)
        fence(&after, thread, step->order);
    else
        wake(&after, thread, step->place);
    if (thread->count == OPERATIONS)
        abort();
    thread->results[thread->count++] = 0;
    return search(&after);
}

/** All ways in which a thread can do its next step. *steps: how many there were. */
static enum weak_end
search_thread(const struct state *state, int number, const struct step *step, int *steps)
{
    struct view view = state->threads[number].view;
    enum weak_end end = WEAK_SOUND;

    if (step->kind == FENCE || step->kind == WAKE) {
        ++*steps;
        return do_plain_step(state, number, step);
    }
    if (step->kind == SLEEP)
        join(&view, &state->kernel);
    for (uint32_t at = view.seen[step->place]; at < state->counts[step->place]; at++) {
        struct state after = *state;

        after.threads[number].view = view;
        if (!do_step(&after, number, step, at))
            continue;
        ++*steps;
        end = search(&after);
        if (end != WEAK_SOUND)
            break;
    }
    return end;
}

/** All threads have ended: what they came to. */
static enum weak_end
judge(const struct state *state)
{
    uint32_t values[WEAK_PLACES];

    if (scene->is_wrong == NULL)
        return WEAK_SOUND;
    for (int i = 0; i < WEAK_THREADS; i++)
        (void)step_of(state, i);
    for (int i = 0; i < WEAK_PLACES; i++)
        values[i] = state->values[i][state->counts[i] - 1].number;
    return scene->is_wrong(values) ? WEAK_REFUSED : WEAK_SOUND;
}

/** Searches all that can follow. */
static enum weak_end
search(const struct state *state)
{
    bool all_ended = true;
    int steps = 0;

    if (!is_new(state))
        return WEAK_SOUND;
    for (int i = 0; i < WEAK_THREADS; i++) {
        struct step step;
        enum weak_end end = WEAK_SOUND;

        if (state->threads[i].asleep == 0)
            step = step_of(state, i);
        else
            step.kind = SLEEP;
        if (step.kind == END)
            continue;
        all_ended = false;
        if (step.kind == REFUSE)
            return WEAK_REFUSED;
        if (state->threads[i].asleep == 0)
            end = search_thread(state, i, &step, &steps);
        if (end != WEAK_SOUND)
            return end;
    }
    if (all_ended)
        return judge(state);
    return steps == 0 ? WEAK_STUCK : WEAK_SOUND;
}

enum weak_end
weak_search(const struct weak_scene *to_search, long *states)
{
    static struct state first;
    enum weak_end end;

    scene = to_search;
    known = calloc(STATES, sizeof *known);
    known_count = 0;
    if (known == NULL)
        abort();
    memset(&first, 0, sizeof first);
    for (int i = 0; i < WEAK_PLACES; i++) {
        first.counts[i] = 1;
        first.values[i][0].number = scene->values[i];
    }
    end = search(&first);
    free(known);
    *states = known_count;
    return end;
}
