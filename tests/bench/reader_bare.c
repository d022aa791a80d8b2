/*
 * reader_bare.c - a seqlock with nothing around it, and a mutex.
 *
 * SPDX-License-Identifier: MIT
 */
/* A race detector does not know fences, and has nothing to say of a bench. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 11
#pragma GCC diagnostic ignored "-Wtsan"
#endif

#include <config.h>

#include "reader.h"

#include "children.h"
#include "clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define WORDS (RECORD_BYTES / sizeof(uint64_t))
/** How often a reader tries between two looks at the clock. */
#define TRIES_PER_LOOK 64

struct record {
    union {
        _Atomic uint64_t sequence;
        pthread_mutex_t mutex;
        char apart[128];
    } guard;
    _Atomic uint64_t words[WORDS];
};

static void *
setup(void)
{
    return share_memory(sizeof(struct record));
}

static void
teardown(void *state)
{
    unshare_memory(state, sizeof(struct record));
}

/** Without a data race, as C has it: word by word. */
static inline void
copy_words(uint64_t *to, const _Atomic uint64_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof *to; i++)
        to[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
}

/** What C forbids and machines allow: as fast as memory can be copied. */
static inline void
copy_at_once(uint64_t *to, const _Atomic uint64_t *from, size_t bytes)
{
    memcpy(to, (const void *)from, bytes);
    __asm__ volatile("" ::"r"(to) : "memory");
}

typedef void copy_function(uint64_t *to, const _Atomic uint64_t *from, size_t bytes);

/** Out of line: it is rarely needed, and the others pay for no clock. */
static __attribute__((noinline)) enum got
read_again(const struct record *record, const struct reading *reading, copy_function *copy)
{
    int64_t deadline = now_ns() + READ_PATIENCE_NS;

    for (long tries = 1;; tries++) {
        uint64_t before = atomic_load_explicit(&record->guard.sequence, memory_order_acquire);
        if (before % 2 == 0) {
            copy(reading->to, record->words, reading->bytes);
            atomic_thread_fence(memory_order_acquire);
            if (atomic_load_explicit(&record->guard.sequence, memory_order_relaxed) == before)
                return GOT_RECORD;
        }
        if (tries % TRIES_PER_LOOK == 0 && now_ns() > deadline)
            return GAVE_UP;
        relax();
    }
}

static inline enum got
read_record(const struct record *record, const struct reading *reading, copy_function *copy)
{
    uint64_t before = atomic_load_explicit(&record->guard.sequence, memory_order_acquire);

    if (before % 2 == 0) {
        copy(reading->to, record->words, reading->bytes);
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&record->guard.sequence, memory_order_relaxed) == before)
            return GOT_RECORD;
    }
    return read_again(record, reading, copy);
}

static bool
read_words(void *state, struct reading *reading, long count)
{
    for (; count > 0; count--) {
        enum got got = read_record(state, reading, copy_words);
        __asm__ volatile("" ::"r"(reading->to) : "memory");
        if (!note_read(reading, got))
            return false;
    }
    return true;
}

static bool
read_at_once(void *state, struct reading *reading, long count)
{
    for (; count > 0; count--) {
        if (!note_read(reading, read_record(state, reading, copy_at_once)))
            return false;
    }
    return true;
}

/** One process alone writes. */
static uint64_t
begin(struct record *record)
{
    uint64_t sequence = atomic_load_explicit(&record->guard.sequence, memory_order_relaxed);

    atomic_store_explicit(&record->guard.sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    return sequence;
}

static void
end(struct record *record, uint64_t sequence)
{
    atomic_store_explicit(&record->guard.sequence, sequence + 2, memory_order_release);
}

static bool
write_words(void *state, const uint64_t *from, size_t bytes)
{
    struct record *record = state;
    uint64_t sequence = begin(record);

    for (size_t i = 0; i < bytes / sizeof *from; i++)
        atomic_store_explicit(&record->words[i], from[i], memory_order_relaxed);
    end(record, sequence);
    return true;
}

static bool
write_at_once(void *state, const uint64_t *from, size_t bytes)
{
    struct record *record = state;
    uint64_t sequence = begin(record);

    memcpy((void *)record->words, from, bytes);
    end(record, sequence);
    return true;
}

static void *
setup_mutex(void)
{
    struct record *record = setup();
    pthread_mutexattr_t attributes;

    if (record == NULL)
        return NULL;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&record->guard.mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return record;
}

static bool
read_locked(void *state, struct reading *reading, long count)
{
    struct record *record = state;

    for (; count > 0; count--) {
        pthread_mutex_lock(&record->guard.mutex);
        copy_at_once(reading->to, record->words, reading->bytes);
        pthread_mutex_unlock(&record->guard.mutex);
        if (!note_read(reading, GOT_RECORD))
            return false;
    }
    return true;
}

static bool
write_locked(void *state, const uint64_t *from, size_t bytes)
{
    struct record *record = state;

    pthread_mutex_lock(&record->guard.mutex);
    memcpy((void *)record->words, from, bytes);
    pthread_mutex_unlock(&record->guard.mutex);
    return true;
}

const struct reader reader_seqlock = {
    .name = "seqlock",
    .what = "a bare seqlock, relaxed words",
    .setup = setup,
    .read = read_words,
    .write = write_words,
    .teardown = teardown,
};

const struct reader reader_memcpy = {
    .name = "memcpy",
    .what = "a bare seqlock, memcpy: the limit",
    .setup = setup,
    .read = read_at_once,
    .write = write_at_once,
    .teardown = teardown,
};

const struct reader reader_mutex = {
    .name = "mutex",
    .what = "a process-shared mutex, memcpy",
    .setup = setup_mutex,
    .read = read_locked,
    .write = write_locked,
    .teardown = teardown,
};
