/*
 * copy.h - copies between private memory and memory that others write.
 *
 * Another process may write what is being read, so these are no memcpy: for
 * the language that would be a data race, and a compiler may read twice, or
 * not at all, what it believes to be unchanging. Here each byte of the shared
 * side is accessed once. What the copy is worth its caller finds out
 * afterwards, from the version.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_COPY_H
#define MAPSEG_COPY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** From so many bytes on the processor's own copy instruction is faster than
 *  words one by one: it takes 8 ns to begin, and then moves 4 KiB in 40. */
#define MAPSEG_COPY_MANY 256

#if defined(__x86_64__) || defined(__i386__)
/** One instruction, which the compiler does not look into. */
static inline void
mapseg_copy_many(void *to, const void *from, size_t bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}
#endif

/** Bytes before the next address that a word can begin at. */
static inline size_t
mapseg_copy_head(const void *shared, size_t bytes)
{
    size_t head = (size_t)(-(uintptr_t)shared & (sizeof(uintptr_t) - 1));

    return head < bytes ? head : bytes;
}

/** Copies out of shared memory. */
static inline void
mapseg_copy_out(void *to, const void *shared, size_t bytes)
{
    unsigned char *target = to;
    const unsigned char *source = shared;
    size_t head = mapseg_copy_head(shared, bytes);

#if defined(__x86_64__) || defined(__i386__)
    if (bytes >= MAPSEG_COPY_MANY) {
        mapseg_copy_many(to, shared, bytes);
        return;
    }
#endif
    for (bytes -= head; head > 0; head--)
        *target++ =
            atomic_load_explicit((const _Atomic unsigned char *)source++, memory_order_relaxed);
    for (; bytes >= sizeof(uintptr_t); bytes -= sizeof(uintptr_t)) {
        uintptr_t word = atomic_load_explicit((const _Atomic uintptr_t *)(const void *)source,
                                              memory_order_relaxed);

        memcpy(target, &word, sizeof word);
        target += sizeof word;
        source += sizeof word;
    }
    for (; bytes > 0; bytes--)
        *target++ =
            atomic_load_explicit((const _Atomic unsigned char *)source++, memory_order_relaxed);
}

/** Copies into shared memory. */
static inline void
mapseg_copy_in(void *shared, const void *from, size_t bytes)
{
    unsigned char *target = shared;
    const unsigned char *source = from;
    size_t head = mapseg_copy_head(shared, bytes);

#if defined(__x86_64__) || defined(__i386__)
    if (bytes >= MAPSEG_COPY_MANY) {
        mapseg_copy_many(shared, from, bytes);
        return;
    }
#endif
    for (bytes -= head; head > 0; head--)
        atomic_store_explicit((_Atomic unsigned char *)target++, *source++, memory_order_relaxed);
    for (; bytes >= sizeof(uintptr_t); bytes -= sizeof(uintptr_t)) {
        uintptr_t word;

        memcpy(&word, source, sizeof word);
        atomic_store_explicit((_Atomic uintptr_t *)(void *)target, word, memory_order_relaxed);
        target += sizeof word;
        source += sizeof word;
    }
    for (; bytes > 0; bytes--)
        atomic_store_explicit((_Atomic unsigned char *)target++, *source++, memory_order_relaxed);
}

#endif
