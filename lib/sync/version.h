/*
 * version.h - the version of the data, in halves.
 *
 * The header's version is even while the data is stable, and odd while a
 * writer, which holds the lock, changes it. Sleepers sleep on its low half, the
 * only part that a futex can see.
 *
 * It is accessed in halves, so that 32-bit programs take part without 64-bit
 * atomics. The high half is stored only while the low one is odd: a reader that
 * finds the same even low half before and after has read the right high one.
 *
 * A waiter that may write the header announces itself in `watchers` before it
 * sleeps; a writer clears that before it stores the new version, and wakes after
 * it. tests/model/version.pml is a model of this; words in capitals and brackets,
 * [ANNOUNCE_WATCHER], are the names of its steps. tests/model/check_order runs what
 * is here with memory as weak as C allows.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_VERSION_H
#define MAPSEG_VERSION_H

#include "mapseg-format.h"
#include "os/os.h"

#include <stdatomic.h>
#include <stdbool.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#define MSI_VERSION_LOW 0

#define MSI_VERSION_HIGH 1

#else

#define MSI_VERSION_LOW 1

#define MSI_VERSION_HIGH 0

#endif

#if defined(__has_feature)

#if __has_feature(thread_sanitizer)

#define MSI_HAS_NO_FENCES

#endif

#endif

#if defined(__SANITIZE_THREAD__)

#define MSI_HAS_NO_FENCES

#endif

#ifdef MSI_HAS_NO_FENCES

/* The race detector does not know fences; an access that orders both ways does
 * the same, and takes longer. */
static _Atomic int msi_version_order;

static inline void
msi_version_fence(memory_order unused)
{
    (void)unused;
    (void)atomic_fetch_add_explicit(&msi_version_order, 0, memory_order_seq_cst);
}

#else

static inline void
msi_version_fence(memory_order memory_order)
{
    atomic_thread_fence(memory_order);
}

#endif

static inline _Atomic uint32_t *
msi_version_halves(const void *header)
{
    return (_Atomic uint32_t *)((uintptr_t)header + offsetof(struct mapseg_header, version));
}

/** Acquire: what the writer stored before it published this version is visible
 *  to the loads that follow. */
static inline uint32_t
msi_version_load_half(const _Atomic uint32_t *half)
{
    return atomic_load_explicit(half, memory_order_acquire);
}

static inline uint64_t
msi_version_load(const void *header)
{
    const _Atomic uint32_t *halves = msi_version_halves(header);
    uint32_t low = msi_version_load_half(&halves[MSI_VERSION_LOW]);
    uint32_t high = msi_version_load_half(&halves[MSI_VERSION_HIGH]);

    return (uint64_t)high << 32 | low;
}

/** The version after the copying. The fence orders the loads of the copy before these: a
 *  reader that copied anything of a later change also sees here that it had begun. */
static inline uint64_t
msi_version_load_again(const void *header)
{
    msi_version_fence(memory_order_acquire);
    return msi_version_load(header);
}

/** Only while a change is under way, or to begin one. From even to odd the high
 *  half stays as it is; from odd to odd readers are kept away already. */
static inline void
msi_version_store_odd(_Atomic uint32_t *halves, uint64_t version)
{
    atomic_store_explicit(&halves[MSI_VERSION_HIGH], (uint32_t)(version >> 32),
                          memory_order_relaxed);
    /* Release: a waiter that sees this version announces itself after the changes before it
     * have cleared older announcements. */
    atomic_store_explicit(&halves[MSI_VERSION_LOW], (uint32_t)version, memory_order_release);
    /* Release: a reader that sees anything stored from now on, and then looks at the
     * version, sees that it is odd, or later. */
    msi_version_fence(memory_order_release);
}

/** Release: a reader that sees this version sees all of its data, and the high half. */
static inline void
msi_version_store_even(_Atomic uint32_t *halves, uint64_t version)
{
    atomic_store_explicit(&halves[MSI_VERSION_HIGH], (uint32_t)(version >> 32),
                          memory_order_relaxed);
    atomic_store_explicit(&halves[MSI_VERSION_LOW], (uint32_t)version, memory_order_release);
}

static inline bool
msi_version_is_odd(uint64_t version)
{
    return (version & 1) != 0;
}

/* ------------------------------------------------------------ watchers -- */

/** What a waiter sleeps on. */
static inline const uint32_t *
msi_version_futex(const void *header)
{
    return (const uint32_t *)&msi_version_halves(header)[MSI_VERSION_LOW];
}

static inline _Atomic uint32_t *
msi_version_watchers(struct mapseg_header *header)
{
    return (_Atomic uint32_t *)&header->watchers;
}

/** [ANNOUNCE_FENCE] Between the waiter's announcement and its last look at the version,
 *  which is the kernel's as it puts the waiter to sleep. The writer has the like between its
 *  store of the version and its look at the announcement: so one of the two sees what the
 *  other stored. */
static inline void
msi_version_announced(void)
{
    msi_version_fence(memory_order_seq_cst);
}

/** [ANNOUNCE_WATCHER] The waiter is about to sleep. */
static inline void
msi_version_announce(struct mapseg_header *header)
{
    atomic_store_explicit(msi_version_watchers(header), 1, memory_order_relaxed);
    msi_version_announced();
}

/** [CLEAR_WATCHERS] Whether a waiter has announced itself, which is then to be woken. Under
 *  the lock, before the new version is stored: a waiter that has seen that version, and waits
 *  for another, announces itself after this, and nothing clears it before the next change. */
static inline bool
msi_version_clear_watchers(struct mapseg_header *header)
{
    if (atomic_load_explicit(msi_version_watchers(header), memory_order_relaxed) == 0)
        return false;
    atomic_store_explicit(msi_version_watchers(header), 0, memory_order_relaxed);
    return true;
}

/** [LOOK_FOR_WATCHERS] Whether a waiter has announced itself since. After the new version was
 *  stored; it is left as it is, for the next change. */
static inline bool
msi_version_is_watched(struct mapseg_header *header)
{
    msi_version_fence(memory_order_seq_cst);
    return atomic_load_explicit(msi_version_watchers(header), memory_order_relaxed) != 0;
}

/** [WAKE_WATCHERS] Wakes all waiters for another version. */
static inline void
msi_version_wake(const void *header)
{
    msi_os.wake_all(msi_version_futex(header));
}

/* ------------------------------------------------------------- changes -- */

/** Under the lock. */
static inline void
msi_version_begin_change(struct mapseg_header *header)
{
    uint64_t version = msi_version_load(header);

    /* A writer that died may have cleared the announcement of waiters that still sleep. */
    if (msi_version_is_odd(version))
        atomic_store_explicit(msi_version_watchers(header), 1, memory_order_relaxed);
    /* Not just one more: after a writer died the version is odd already. */
    msi_version_store_odd(msi_version_halves(header), version + 1 + (version & 1));
}

/** Under the lock. Whether waiters are to be woken, whatever msi_version_is_watched says. */
static inline bool
msi_version_end_change(struct mapseg_header *header)
{
    uint64_t version = msi_version_load(header);
    bool announced;

    if (!msi_version_is_odd(version)) {
        version++;
        msi_version_store_odd(msi_version_halves(header), version);
    }
    announced = msi_version_clear_watchers(header);
    msi_version_store_even(msi_version_halves(header), version + 1);
    return announced;
}

#endif
