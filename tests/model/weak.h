/*
 * weak.h - memory as weak as C11 allows, searched to the end.
 *
 * The threads of a scene are functions, whose atomic operations come here (weak_macros.h). Each
 * order in which the threads can be interleaved, and each older value that a load may still
 * see, is tried.
 *
 * Of what C11 allows this leaves out that a load sees a store which its own thread's later
 * stores led to (promises, out of thin air); and atomic accesses, not fences, of seq_cst order
 * are not known.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_MODEL_WEAK_H
#define TESTS_MODEL_WEAK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WEAK_THREADS 3
#define WEAK_PLACES 4

/** No thread. */
#define WEAK_NO_THREAD (-1)

enum weak_end {
    WEAK_SOUND,   /**< no run goes wrong */
    WEAK_REFUSED, /**< a thread has called weak_refuse in one, or its end is wrong */
    WEAK_STUCK    /**< a thread sleeps for ever in one */
};

struct weak_scene {
    void (*threads[WEAK_THREADS])(void); /**< NULL: none */
    const void *places[WEAK_PLACES];     /**< of 32 bits; what lies elsewhere is plain memory */
    uint32_t values[WEAK_PLACES];        /**< at first */
    int without_fence;                   /**< the thread that leaves its fences out */
    /** Whether what all threads have come to, and the last values of the places, must not be;
     *  each thread was run to its end just before. NULL: all may be. */
    bool (*is_wrong)(const uint32_t *values);
    enum weak_end end; /**< what the search must come to */
};

/** Searches all runs; *states: how many there were. */
enum weak_end weak_search(const struct weak_scene *to_search, long *states);

/* What threads do. */
uint32_t weak_load(const volatile void *place, memory_order order);
void weak_store(volatile void *place, uint32_t value, memory_order order);
bool weak_swap(volatile void *place, uint32_t *expected, uint32_t desired, memory_order order);
void weak_fence(memory_order order);

/** Swaps the value for (it & keep | set); the value that it was. */
uint32_t weak_update(volatile void *place, uint32_t keep, uint32_t set, memory_order order);

/** Swaps 0 for `value`, with acquire order, as soon as that can be done. */
void weak_take(volatile void *place, uint32_t value);

/** Sleeps until woken, if the place has that value: the two in one step, under a lock of the
 *  kernel's, which weak_wake_all takes too. */
void weak_sleep(const uint32_t *place, uint32_t value, int64_t ns);
void weak_wake_all(const uint32_t *place);

/** What this thread has seen must not be. */
void weak_refuse(void);

#endif
