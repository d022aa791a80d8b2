/*
 * copy.h - copies between private memory and memory that others write.
 *
 * Another process may write what is being read, so these are no memcpy: for
 * the language that would be a data race, and a compiler may read twice, or
 * not at all, what it believes to be unchanging. What the copy is worth its
 * caller finds out afterwards, from the version.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_COPY_H
#define MAPSEG_COPY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A race detector sees only what the compiler does: its tests want words. */
#if defined(__x86_64__) && !defined(MSI_COPY_IN_WORDS)

/** From so many bytes on the processor's own copy instruction is the fastest: it
 *  takes 8 ns to begin, and then moves 4 KiB in 40. */
#define MSI_COPY_MANY 512

/** Moves 16, 8 or 4 bytes, wherever they lie, with instructions that the compiler
 *  does not look into. */
static inline void
msi_move_16(char *to, const char *from)
{
    __asm__ volatile("movdqu (%1), %%xmm0\n\tmovdqu %%xmm0, (%0)"
                     :
                     : "r"(to), "r"(from)
                     : "xmm0", "memory");
}

static inline void
msi_move_8(char *to, const char *from)
{
    uint64_t word;

    __asm__ volatile("movq (%2), %0\n\tmovq %0, (%1)"
                     : "=&r"(word)
                     : "r"(to), "r"(from)
                     : "memory");
}

static inline void
msi_move_4(char *to, const char *from)
{
    uint32_t word;

    __asm__ volatile("movl (%2), %0\n\tmovl %0, (%1)"
                     : "=&r"(word)
                     : "r"(to), "r"(from)
                     : "memory");
}

static inline void
msi_move_64(char *to, const char *from)
{
    __asm__ volatile("movdqu (%1), %%xmm0\n\tmovdqu 16(%1), %%xmm1\n\t"
                     "movdqu 32(%1), %%xmm2\n\tmovdqu 48(%1), %%xmm3\n\t"
                     "movdqu %%xmm0, (%0)\n\tmovdqu %%xmm1, 16(%0)\n\t"
                     "movdqu %%xmm2, 32(%0)\n\tmovdqu %%xmm3, 48(%0)"
                     :
                     : "r"(to), "r"(from)
                     : "xmm0", "xmm1", "xmm2", "xmm3", "memory");
}

/** Whether the processor's own copy is slow: where the target follows the source
 *  by a little more than whole pages, as the memory that malloc gives for a copy
 *  of a segment does, it was measured to take 25 times as long. */
static inline bool
msi_copy_is_skewed(const void *to, const void *from)
{
    return (((uintptr_t)to - (uintptr_t)from - 1) & 4095) < 31;
}

/** Either side may be the shared one. The last move overlaps the one before: to access
 *  something twice does no harm, since the caller checks the version. */
static inline void
msi_copy(void *to, const void *from, size_t bytes)
{
    char *target = to;
    const char *source = from;
    char *end = target + bytes;
    const char *source_end = source + bytes;

    if (bytes >= MSI_COPY_MANY && !msi_copy_is_skewed(to, from)) {
        __asm__ volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(bytes) : : "memory");
    } else if (bytes >= 64) {
        for (; source < source_end - 64; source += 64, target += 64)
            msi_move_64(target, source);
        msi_move_64(end - 64, source_end - 64);
    } else if (bytes >= 16) {
        for (; source < source_end - 16; source += 16, target += 16)
            msi_move_16(target, source);
        msi_move_16(end - 16, source_end - 16);
    } else if (bytes >= 8) {
        msi_move_8(target, source);
        msi_move_8(end - 8, source_end - 8);
    } else if (bytes >= 4) {
        msi_move_4(target, source);
        msi_move_4(end - 4, source_end - 4);
    } else {
        for (; bytes > 0; bytes--)
            __asm__ volatile("movb (%1), %%al\n\tmovb %%al, (%0)"
                             :
                             : "r"(target++), "r"(source++)
                             : "al", "memory");
    }
}

static inline void
msi_copy_out(void *to, const void *shared, size_t bytes)
{
    msi_copy(to, shared, bytes);
}

static inline void
msi_copy_in(void *shared, const void *from, size_t bytes)
{
    msi_copy(shared, from, bytes);
}

#else

/** Bytes before the next address that a word can begin at. */
static inline size_t
msi_copy_head(const void *shared, size_t bytes)
{
    size_t head = (size_t)(-(uintptr_t)shared & (sizeof(uintptr_t) - 1));

    return head < bytes ? head : bytes;
}

/** Copies out of shared memory. */
static inline void
msi_copy_out(void *to, const void *shared, size_t bytes)
{
    unsigned char *target = to;
    const unsigned char *source = shared;
    size_t head = msi_copy_head(shared, bytes);

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
msi_copy_in(void *shared, const void *from, size_t bytes)
{
    unsigned char *target = shared;
    const unsigned char *source = from;
    size_t head = msi_copy_head(shared, bytes);

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

#endif
