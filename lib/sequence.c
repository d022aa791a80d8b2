/*
 * sequence.c - versions: publishing, reading without writing, waiting.
 *
 * The header's sequence is even while the data is stable, and odd while a
 * writer, who holds the lock, changes it. Readers write nothing: they look at
 * the sequence, copy, and look again. Sleepers sleep on its low half, the
 * only part that a futex can see; since readers cannot announce themselves,
 * each end of a change wakes.
 *
 * It is accessed in halves, so that 32-bit programs take part without 64-bit
 * atomics. The high half is stored only while the low one is odd: whoever
 * finds the same even low half before and after has read the right high one.
 *
 * A file that can be made shorter is SIGBUS to whoever touches its mapping
 * then. Unless the thread has a section of the guard open, such a segment is
 * read through its descriptor.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sequence.h"

#include "change.h"
#include "copy.h"
#include "error.h"
#include "fork.h"
#include "guard.h"
#include "os.h"

#include <errno.h>

/** How often a reader tries at once before it waits for writers to pause. */
#define QUICK_TRIES 64
/** More takes too long to be copied in vain. */
#define QUICK_BYTES 4096
/** Pauses between two of these, at the most. */
#define LONGEST_STEP 64

#define PATIENCE_NS INT64_C(1000000000)
/* Only for a writer that dies between its last store and the wake. Shorter ones
 * cost: with 1 ms a hand-over on one processor took twice as long, since the
 * timer had to be set anew each time. */
#define FIRST_SLICE_NS INT64_C(16000000)
#define LAST_SLICE_NS INT64_C(64000000)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW 0
#define HIGH 1
#else
#define LOW 1
#define HIGH 0
#endif

/* -------------------------------------------------------- memory order -- */

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_NO_FENCES
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define HAS_NO_FENCES
#endif

#ifdef HAS_NO_FENCES
/* The race detector does not know fences; an access that orders both ways does
 * the same, and takes longer. */
static _Atomic int order;

static inline void
fence(memory_order unused)
{
    (void)unused;
    (void)atomic_fetch_add_explicit(&order, 0, memory_order_acq_rel);
}
#else
static inline void
fence(memory_order memory_order)
{
    atomic_thread_fence(memory_order);
}
#endif

static inline _Atomic uint32_t *
halves_of(const void *header)
{
    return (_Atomic uint32_t *)((uintptr_t)header + offsetof(struct mapseg_header, sequence));
}

/** Acquire: what the writer stored before it published this version is visible
 *  to the loads that follow. */
static inline uint32_t
load_half(const _Atomic uint32_t *half)
{
    return atomic_load_explicit(half, memory_order_acquire);
}

static inline uint64_t
load(const void *header)
{
    const _Atomic uint32_t *halves = halves_of(header);
    uint32_t low = load_half(&halves[LOW]);
    uint32_t high = load_half(&halves[HIGH]);

    return (uint64_t)high << 32 | low;
}

/** The version after the copying. The fence orders the loads of the copy
 *  before these: who copied anything of a later change also sees here that it
 *  had begun. */
static inline uint64_t
load_again(const void *header)
{
    fence(memory_order_acquire);
    return load(header);
}

/** Only while a change is under way, or to begin one. From even to odd the high
 *  half stays as it is; from odd to odd readers are kept away already. */
static void
store_odd(_Atomic uint32_t *halves, uint64_t version)
{
    atomic_store_explicit(&halves[HIGH], (uint32_t)(version >> 32), memory_order_relaxed);
    atomic_store_explicit(&halves[LOW], (uint32_t)version, memory_order_relaxed);
    /* Release: who sees anything that is stored from now on, and then looks at
     * the version, sees that it is odd, or later. */
    fence(memory_order_release);
}

/** Release: who sees this version sees all of its data, and the high half. */
static void
store_even(_Atomic uint32_t *halves, uint64_t version)
{
    atomic_store_explicit(&halves[HIGH], (uint32_t)(version >> 32), memory_order_relaxed);
    atomic_store_explicit(&halves[LOW], (uint32_t)version, memory_order_release);
}

static inline bool
is_odd(uint64_t version)
{
    return (version & 1) != 0;
}

/* ------------------------------------------------------------ reaching -- */

/** How a segment's memory is read without harm. */
enum reach {
    REACH_DIRECT,  /**< nobody can make the file shorter */
    REACH_GUARDED, /**< within a section of the guard, of this thread */
    REACH_FILE     /**< through the descriptor */
};

/** A segment that is being read. */
struct reading {
    mapseg *seg;
    enum reach reach;
    mapseg_result ready; /**< not OK: the descriptor is lost */
};

/** Whether there is a descriptor to read through, where that is how it is read: one
 *  that the program has closed is opened anew, or the reading ends. */
static mapseg_result
check_descriptor(mapseg *seg)
{
    int fd = mapseg_file_fd(&seg->attachment.file);

    return fd >= 0 ? MAPSEG_OK : fd == -EBADF ? MAPSEG_DESCRIPTOR_CLOSED : MAPSEG_OUT_OF_RESOURCES;
}

static struct reading
begin_reading(mapseg *seg)
{
    struct reading reading = {.seg = seg, .reach = REACH_DIRECT};

    if (!seg->attachment.reads_file)
        return reading;
    reading.reach = mapseg_guard_is_within(seg) ? REACH_GUARDED : REACH_FILE;
    if (reading.reach == REACH_FILE)
        reading.ready = check_descriptor(seg);
    return reading;
}

static mapseg_result
lost(mapseg *seg)
{
    atomic_store_explicit(&seg->shrunk, true, memory_order_relaxed);
    return MAPSEG_FILE_SHRUNK;
}

static inline bool
is_lost(const mapseg *seg)
{
    return atomic_load_explicit(&seg->shrunk, memory_order_relaxed);
}

/** Reads through the descriptor: `offset` counts in the file. */
static mapseg_result
read_file(mapseg *seg, void *to, size_t bytes, size_t offset)
{
    int fd = atomic_load_explicit(&seg->attachment.file.fd, memory_order_relaxed);

    while (bytes > 0) {
        int64_t got = mapseg_os.read(fd, to, bytes, (int64_t)offset);

        if (got == 0)
            return lost(seg);
        if (got < 0)
            return MAPSEG_UNKNOWN_ERROR;
        to = (char *)to + got;
        offset += (size_t)got;
        bytes -= (size_t)got;
    }
    return MAPSEG_OK;
}

/** Copies out of the file, by whatever way; `offset` counts in the file. */
static inline mapseg_result
fetch(const struct reading *reading, void *to, size_t bytes, size_t offset)
{
    mapseg *seg = reading->seg;

    if (reading->ready != MAPSEG_OK)
        return reading->ready;
    if (reading->reach == REACH_FILE)
        return is_lost(seg) ? MAPSEG_FILE_SHRUNK : read_file(seg, to, bytes, offset);
    mapseg_copy_out(to, seg->attachment.base + offset, bytes);
    return reading->reach == REACH_GUARDED && is_lost(seg) ? MAPSEG_FILE_SHRUNK : MAPSEG_OK;
}

/** The version; `again`: after a copy whose worth depends on it. */
static inline mapseg_result
fetch_version(const struct reading *reading, bool again, uint64_t *version)
{
    const mapseg *seg = reading->seg;

    if (reading->reach == REACH_FILE) {
        mapseg_result result;

        /* The kernel's copies are ordered as loads of this thread are. */
        fence(memory_order_acquire);
        result = fetch(reading, version, sizeof *version, offsetof(struct mapseg_header, sequence));
        fence(memory_order_acquire);
        return result;
    }
    *version = again ? load_again(seg->attachment.base) : load(seg->attachment.base);
    return reading->reach == REACH_GUARDED && is_lost(seg) ? MAPSEG_FILE_SHRUNK : MAPSEG_OK;
}

/** Whether the file is as long as its mapping, where it can be shorter. */
static mapseg_result
check_length(mapseg *seg)
{
    const struct mapseg_file *file = &seg->attachment.file;
    struct stat status;

    if (is_lost(seg))
        return MAPSEG_FILE_SHRUNK;
    if (!seg->attachment.reads_file)
        return MAPSEG_OK;
    if (mapseg_os.status(file->fd, &status) < 0 || status.st_dev != file->device ||
        status.st_ino != file->inode) {
        mapseg_result result = check_descriptor(seg);

        if (result != MAPSEG_OK || mapseg_os.status(file->fd, &status) < 0)
            return result;
    }
    return (uint64_t)status.st_size >= seg->attachment.bytes ? MAPSEG_OK : lost(seg);
}

/** A version whose halves belong together, if it is even. */
static mapseg_result
fetch_stable_version(const struct reading *reading, uint64_t *version)
{
    /* Also where the header is still there. */
    mapseg_result result = check_length(reading->seg);
    uint64_t again;

    if (result == MAPSEG_OK)
        result = fetch_version(reading, false, version);
    again = result == MAPSEG_OK ? *version : 0;
    /* A peer that never lets it rest does not hold us up. */
    for (int i = 0; i < QUICK_TRIES && result == MAPSEG_OK; i++) {
        *version = again;
        if (is_odd(*version))
            break;
        result = fetch_version(reading, false, &again);
        if (again == *version)
            break;
    }
    return result;
}

mapseg_result
mapseg_sequence_look(mapseg *seg, uint64_t *version)
{
    /* No section of the guard: the thread that asks keeps SIGBUS blocked. */
    struct reading reading = {
        .seg = seg,
        .reach = seg->attachment.reads_file ? REACH_FILE : REACH_DIRECT,
    };

    return fetch_stable_version(&reading, version);
}

/* ------------------------------------------------------------- sleeping -- */

static const uint32_t *
sleeping_place(const void *header)
{
    return (const uint32_t *)&halves_of(header)[LOW];
}

void
mapseg_sequence_sleep(const mapseg *seg, uint64_t version, int64_t ns)
{
    mapseg_os.sleep_on(sleeping_place(seg->attachment.base), (uint32_t)version, ns);
}

void
mapseg_sequence_wake(const mapseg *seg)
{
    mapseg_os.wake_all(sleeping_place(seg->attachment.base));
}

/** How long something is waited for. */
struct patience {
    int64_t begin;
    int64_t deadline; /**< INT64_MAX: none */
    int64_t slice;    /**< of the next sleep: who should wake us may have died */
};

static struct patience
begin_patience(int64_t timeout_ns)
{
    int64_t now = mapseg_os.monotonic_ns();
    struct patience patience = {now, INT64_MAX, FIRST_SLICE_NS};

    if (timeout_ns >= 0 && timeout_ns <= INT64_MAX - now)
        patience.deadline = now + timeout_ns;
    return patience;
}

/** Sleeps until the version may have changed. */
static void
sleep_a_slice(const mapseg *seg, struct patience *patience, int64_t now, uint64_t version)
{
    int64_t rest = patience->deadline - now;

    mapseg_sequence_sleep(seg, version, rest < patience->slice ? rest : patience->slice);
    if (patience->slice < LAST_SLICE_NS)
        patience->slice *= 2;
}

/** Whether the change that is under way has lost its writer: nobody holds the
 *  lock, or a dead one does. */
static bool
writer_is_gone(const struct reading *reading, uint64_t version)
{
    struct mapseg_file *file = &reading->seg->attachment.file;
    uint64_t again = 0;
    uint32_t word = 0;
    uint32_t owner;
    int fd;

    if (!is_odd(version) ||
        fetch(reading, &word, sizeof word, offsetof(struct mapseg_header, lock)) != MAPSEG_OK)
        return false;
    owner = word & MAPSEG_LOCK_OWNER;
    fd = mapseg_file_fd(file);
    if (owner != 0 && owner <= MAPSEG_LAST_SLOT && !(word & MAPSEG_LOCK_DIED) &&
        (fd < 0 || mapseg_presence_is_held(fd, owner)))
        return false;
    /* Or it ended its change just now. */
    return fetch_version(reading, true, &again) == MAPSEG_OK && again == version;
}

/** What to say when patience is at its end; OK: it is not. */
static mapseg_result
judge_patience(const struct reading *reading, const struct patience *patience, int64_t now,
               uint64_t version)
{
    bool late = now >= patience->deadline;

    if (!late && (patience->deadline != INT64_MAX || now - patience->begin < PATIENCE_NS))
        return MAPSEG_OK;
    if (writer_is_gone(reading, version))
        return MAPSEG_OWNER_DIED;
    return late ? MAPSEG_TIMED_OUT : MAPSEG_OK;
}

static void
pause_after(int tries)
{
    for (int i = 0; i < tries && i < LONGEST_STEP; i++)
        mapseg_relax();
}

/* -------------------------------------------------------------- reading -- */

/** A range of the file to be copied. */
struct range {
    void *to;
    size_t bytes;
    size_t offset;
};

/** Whether this thread holds the lock: then nobody else changes anything. */
static bool
is_own_change(const struct reading *reading)
{
    const struct mapseg_lock *lock = &reading->seg->lock;
    uint32_t word = 0;

    return mapseg_lock_is_noted(lock) &&
           fetch(reading, &word, sizeof word, offsetof(struct mapseg_header, lock)) == MAPSEG_OK &&
           (word & MAPSEG_LOCK_OWNER) == lock->slot;
}

/** One try. OK: the copy is of *version, if that is even. */
static inline mapseg_result
try_copy(const struct reading *reading, const struct range *range, uint64_t *version, bool *good)
{
    mapseg_result result = fetch_version(reading, false, version);
    uint64_t again;

    *good = false;
    if (result != MAPSEG_OK || is_odd(*version))
        return result;
    result = fetch(reading, range->to, range->bytes, range->offset);
    if (result == MAPSEG_OK)
        result = fetch_version(reading, true, &again);
    if (result == MAPSEG_OK)
        *good = again == *version;
    return result;
}

/** Copies while this thread's own change is under way, or under the lock. */
static mapseg_result
copy_own(const struct reading *reading, const struct range *range, uint64_t *version)
{
    mapseg_result result = fetch_version(reading, false, version);

    return result != MAPSEG_OK ? result : fetch(reading, range->to, range->bytes, range->offset);
}

/** For those who may: keeps the writers away while copying. OK without *good:
 *  the data is half written, by a writer who is dead. */
static mapseg_result
copy_locked(const struct reading *reading, const struct range *range,
            const struct patience *patience, uint64_t *version, bool *good)
{
    struct mapseg_lock *lock = &reading->seg->lock;
    mapseg_result result = mapseg_lock_take(lock, patience->deadline);

    *good = false;
    if (result == MAPSEG_DESCRIPTOR_CLOSED)
        return result;
    if (!mapseg_holds_lock(result))
        return MAPSEG_OK;
    if (result == MAPSEG_ALREADY_LOCKED)
        lock = NULL;
    result = copy_own(reading, range, version);
    *good = !is_odd(*version);
    if (lock != NULL)
        (void)mapseg_lock_release(lock, 0);
    return result;
}

/** Whether this handle may take the lock in order to read: not where a word
 *  that is gone would be SIGBUS. */
static bool
may_lock(const struct reading *reading)
{
    return reading->seg->lock.header != NULL && reading->reach != REACH_FILE;
}

/** Reads when the first try has failed. */
static __attribute__((noinline)) mapseg_result
read_slowly(const struct reading *reading, const struct range *range, int64_t timeout_ns,
            uint64_t *version)
{
    struct patience patience = begin_patience(timeout_ns);
    bool good = false;

    if (is_own_change(reading))
        return copy_own(reading, range, version);
    for (int tries = 0;; tries++) {
        mapseg_result result = try_copy(reading, range, version, &good);
        int64_t now;

        if (result != MAPSEG_OK || good)
            return result;
        pause_after(tries);
        if (tries < QUICK_TRIES && range->bytes <= QUICK_BYTES)
            continue;
        if (may_lock(reading))
            result = copy_locked(reading, range, &patience, version, &good);
        if (result != MAPSEG_OK || good)
            return result;
        now = mapseg_os.monotonic_ns();
        result = judge_patience(reading, &patience, now, *version);
        if (result != MAPSEG_OK)
            return result;
        if (is_odd(*version))
            sleep_a_slice(reading->seg, &patience, now, *version);
    }
}

static mapseg_result
read_range(mapseg *seg, const struct range *range, int64_t timeout_ns, uint64_t *version)
{
    struct reading reading = begin_reading(seg);
    bool good;
    mapseg_result result = try_copy(&reading, range, version, &good);

    if (result == MAPSEG_OK && !good)
        result = read_slowly(&reading, range, timeout_ns, version);
    return result;
}

/* -------------------------------------------------------------- writing -- */

/** The lock is held. */
static void
begin_change(struct mapseg_lock *lock)
{
    uint64_t version = load(lock->header);

    mapseg_lock_write(lock, true);
    /* Never toggled: it is odd already after a writer's death. */
    store_odd(halves_of(lock->header), version + 1 + (version & 1));
}

/** The lock is held. */
static void
end_change(struct mapseg_lock *lock)
{
    uint64_t version = load(lock->header);

    if (!is_odd(version)) {
        version++;
        store_odd(halves_of(lock->header), version);
    }
    store_even(halves_of(lock->header), version + 1);
    mapseg_lock_write(lock, false);
}

static void
wake_all(const struct mapseg_header *header)
{
    mapseg_os.wake_all(sleeping_place(header));
}

/** Ends the change, unless its data is known to be half written. */
static void
publish(struct mapseg_lock *lock)
{
    if (mapseg_lock_is_inconsistent(lock))
        mapseg_lock_write(lock, false);
    else
        end_change(lock);
}

void
mapseg_sequence_publish(struct mapseg_lock *lock)
{
    publish(lock);
    wake_all(lock->header);
}

void
mapseg_sequence_repaired(struct mapseg_lock *lock)
{
    /* The change that this handle has begun goes on until it ends it. */
    if (mapseg_lock_writes(lock) || !is_odd(load(lock->header)))
        return;
    end_change(lock);
    wake_all(lock->header);
}

/** Copies some of it into the mapping, by the system: SIGBUS becomes an error. In
 *  a sandbox that allows no copy of that kind, into the file. */
static int64_t
copy_some(mapseg *seg, size_t offset, const void *from, size_t bytes)
{
    struct mapseg_attachment *attachment = &seg->attachment;
    int64_t put = mapseg_os.copy_to_mapping(attachment->base + offset, from, bytes);

    if (put != -EPERM && put != -EACCES && put != -ENOSYS)
        return put;
    /* Or a file that ended before would be made longer again; and above that
     * limit there is SIGXFSZ. */
    if (check_length(seg) != MAPSEG_OK)
        return -EFAULT;
    if (offset + bytes > mapseg_os.file_size_limit())
        return -EFBIG;
    return mapseg_os.write(attachment->file.fd, from, bytes, (int64_t)offset);
}

/** Copies into the data; *done: how much of it. */
static mapseg_result
copy_in(const struct reading *reading, size_t offset, const char *from, size_t bytes, size_t *done)
{
    mapseg *seg = reading->seg;

    offset += seg->attachment.data_offset;
    *done = 0;
    if (reading->reach != REACH_FILE) {
        mapseg_copy_in(seg->attachment.base + offset, from, bytes);
        *done = bytes;
        return is_lost(seg) ? MAPSEG_FILE_SHRUNK : MAPSEG_OK;
    }
    while (*done < bytes) {
        int64_t put = copy_some(seg, offset + *done, from + *done, bytes - *done);

        if (put == -EFAULT)
            /* If the file is as long as ever, there is no memory for what was
             * never reserved. */
            return check_length(seg) == MAPSEG_OK ? MAPSEG_OUT_OF_RESOURCES : MAPSEG_FILE_SHRUNK;
        if (put <= 0)
            return put == -ENOSPC ? MAPSEG_OUT_OF_RESOURCES : MAPSEG_UNKNOWN_ERROR;
        *done += (size_t)put;
    }
    return MAPSEG_OK;
}

/** Writes a range under the lock, which this thread holds. */
static mapseg_result
write_held(const struct reading *reading, size_t offset, const void *from, size_t bytes)
{
    struct mapseg_lock *lock = &reading->seg->lock;
    bool within = mapseg_lock_writes(lock);
    mapseg_result result;
    size_t done;

    if (!within)
        begin_change(lock);
    result = copy_in(reading, offset, from, bytes, &done);
    if (within || result == MAPSEG_FILE_SHRUNK)
        return result;
    /* Where only some of it could be written, it is as if the writer had died. */
    if (result != MAPSEG_OK && done != 0)
        mapseg_lock_mark(lock);
    mapseg_sequence_publish(lock);
    return result;
}

/** Takes the lock, writes, and lets go of it. */
static mapseg_result
write_range(const struct reading *reading, size_t offset, const void *from, size_t bytes)
{
    mapseg *seg = reading->seg;
    mapseg_result result = check_length(seg);

    if (result == MAPSEG_OK && mapseg_lock_was_taken_away(&seg->lock))
        return MAPSEG_LOCK_ERROR;
    if (result == MAPSEG_OK)
        result = mapseg_lock_take(&seg->lock, INT64_MAX);
    else
        return result;
    if (result == MAPSEG_ALREADY_LOCKED)
        return write_held(reading, offset, from, bytes);
    if (result == MAPSEG_TIMED_OUT || result == MAPSEG_DESCRIPTOR_CLOSED)
        return result;
    if (result == MAPSEG_OK)
        result = write_held(reading, offset, from, bytes);
    if (result == MAPSEG_FILE_SHRUNK)
        mapseg_attachment_abandon_word(&seg->attachment, &seg->lock);
    else
        (void)mapseg_lock_release(&seg->lock, 0);
    return result;
}

/* ------------------------------------------------------------ interface -- */

static mapseg_result
refuse_detached(mapseg *seg, const char *operation)
{
    struct mapseg_failure failure;

    mapseg_failed(&failure, MAPSEG_NOT_ATTACHED, 0,
                  mapseg_fork_orphaned(seg) ? "this process is a child that did not inherit the "
                                              "attachment; attach anew"
                                            : "the handle is not attached; create or attach first");
    return mapseg_report(seg, operation, &failure);
}

/** Leaves the result in the handle, with the words for it. */
static mapseg_result
report(mapseg *seg, const char *operation, mapseg_result result)
{
    struct mapseg_failure failure;
    const char *words;

    switch (result) {
    case MAPSEG_OK:
        /* Most calls: no store, where there is nothing to clear. */
        return mapseg_error(seg) == MAPSEG_OK ? MAPSEG_OK : mapseg_succeed(seg);
    case MAPSEG_TIMED_OUT:
        words = "the time has passed; try again, or see who writes it with \"mapseg show\"";
        break;
    case MAPSEG_OWNER_DIED:
        words = "a writer died half way, and nobody has repaired the data; take the lock, repair "
                "it and call mapseg_consistent";
        break;
    case MAPSEG_FILE_SHRUNK:
        words = "somebody made the file shorter, and this attachment is lost; detach, and find "
                "out who";
        break;
    case MAPSEG_DESCRIPTOR_CLOSED:
        words = MAPSEG_DESCRIPTOR_CLOSED_WORDS;
        break;
    case MAPSEG_OUT_OF_RESOURCES:
        words = "there is no memory for all of it, which was not reserved; free some";
        break;
    default:
        words = "the file cannot be read or written any more; detach and attach anew";
    }
    mapseg_failed(&failure, result, 0, "%s", words);
    return mapseg_report(seg, operation, &failure);
}

/** INVALID_ARGUMENT where the range is not within the data. */
static mapseg_result
check_range(mapseg *seg, const char *operation, size_t offset, size_t bytes)
{
    struct mapseg_failure failure;
    size_t size = seg->attachment.data_size;

    if (offset <= size && bytes <= size - offset)
        return MAPSEG_OK;
    mapseg_failed(&failure, MAPSEG_INVALID_ARGUMENT, 0,
                  "%zu bytes from offset %zu are not within its %zu; give a range that is", bytes,
                  offset, size);
    return mapseg_report(seg, operation, &failure);
}

static mapseg_result
refuse_writing(mapseg *seg)
{
    struct mapseg_failure failure;

    mapseg_failed(&failure, MAPSEG_PERMISSION_DENIED, 0,
                  "this handle is attached read-only; attach with MAPSEG_READ_WRITE");
    return mapseg_report(seg, "write", &failure);
}

/** Who has the lock need not wait for it; but a peer may have written over it. */
static mapseg_result
refuse_lost_lock(mapseg *seg)
{
    struct mapseg_failure failure;

    mapseg_failed(&failure, MAPSEG_LOCK_ERROR, 0,
                  "somebody wrote over the lock while this thread held it; see who has the "
                  "segment");
    return mapseg_report(seg, "write", &failure);
}

mapseg_result
mapseg_write_begin(mapseg *seg)
{
    mapseg_result result;

    if (mapseg_is_attached(seg) && seg->read_only)
        return refuse_writing(seg);
    if (mapseg_is_attached(seg) && mapseg_lock_was_taken_away(&seg->lock))
        return refuse_lost_lock(seg);
    result = mapseg_lock(seg);
    if (mapseg_holds_lock(result))
        begin_change(&seg->lock);
    return result;
}

mapseg_result
mapseg_write_end(mapseg *seg)
{
    struct mapseg_lock *lock = &seg->lock;
    const struct mapseg_header *header = lock->header;
    bool publishes;

    if (!mapseg_lock_lives(lock) || !mapseg_lock_is_held(lock))
        return mapseg_unlock(seg);
    publishes = !seg->read_only;
    if (publishes)
        publish(lock);
    (void)mapseg_lock_release(lock, 0);
    if (publishes)
        wake_all(header);
    return MAPSEG_OK;
}

mapseg_result
mapseg_write(mapseg *seg, size_t offset, const void *from, size_t bytes)
{
    struct reading reading;
    mapseg_result result;

    /* Which refuses in its own words. */
    if (!mapseg_is_attached(seg))
        return mapseg_write_begin(seg);
    if (seg->read_only)
        return refuse_writing(seg);
    result = check_range(seg, "write", offset, bytes);
    if (result != MAPSEG_OK)
        return result;
    /* Within a section of the caller's the lock and the version are, too. */
    reading = begin_reading(seg);
    result = write_range(&reading, offset, from, bytes);
    return result == MAPSEG_LOCK_ERROR ? refuse_lost_lock(seg) : report(seg, "write", result);
}

/** The one try that mostly does, without all that makes it safe elsewhere. */
static inline bool
read_fast(const mapseg *seg, size_t offset, void *to, size_t bytes, uint64_t *version)
{
    const struct mapseg_attachment *attachment = &seg->attachment;
    size_t size = attachment->data_size;
    uint64_t seen;

    if (!mapseg_lock_lives_to_read(&seg->lock) || offset > size || bytes > size - offset ||
        atomic_load_explicit(&seg->error, memory_order_relaxed) != MAPSEG_OK)
        return false;
    seen = load(attachment->base);
    if (is_odd(seen))
        return false;
    mapseg_copy_out(to, attachment->base + attachment->data_offset + offset, bytes);
    if (load_again(attachment->base) != seen)
        return false;
    if (version != NULL)
        *version = seen;
    return true;
}

mapseg_result
mapseg_read_for(mapseg *seg, size_t offset, void *to, size_t bytes, uint64_t *version,
                int64_t timeout_ns)
{
    struct range range = {to, bytes, seg->attachment.data_offset + offset};
    uint64_t seen;
    mapseg_result result;

    if (read_fast(seg, offset, to, bytes, version))
        return MAPSEG_OK;
    if (!mapseg_is_attached(seg))
        return refuse_detached(seg, "read");
    result = check_range(seg, "read", offset, bytes);
    if (result != MAPSEG_OK)
        return result;
    result = read_range(seg, &range, timeout_ns, &seen);
    if (result == MAPSEG_OK || result == MAPSEG_TIMED_OUT || result == MAPSEG_OWNER_DIED)
        mapseg_change_note(seg, result == MAPSEG_OK ? seen : seen | 1);
    if (result == MAPSEG_OK && version != NULL)
        *version = seen;
    return report(seg, "read", result);
}

mapseg_result
mapseg_read(mapseg *seg, size_t offset, void *to, size_t bytes, uint64_t *version)
{
    if (read_fast(seg, offset, to, bytes, version))
        return MAPSEG_OK;
    return mapseg_read_for(seg, offset, to, bytes, version, PATIENCE_NS);
}

/** Waits until no change is under way and the version is not `seen`, which is
 *  odd where any will do. */
static mapseg_result
wait_for_version(const struct reading *reading, uint64_t seen, int64_t timeout_ns,
                 uint64_t *version)
{
    mapseg_result result = fetch_stable_version(reading, version);
    struct patience patience;

    if (result != MAPSEG_OK || (!is_odd(*version) && *version != seen))
        return result;
    patience = begin_patience(timeout_ns);
    for (int64_t now = patience.begin;; now = mapseg_os.monotonic_ns()) {
        result = judge_patience(reading, &patience, now, *version);
        if (result != MAPSEG_OK)
            return result;
        sleep_a_slice(reading->seg, &patience, now, *version);
        result = fetch_stable_version(reading, version);
        if (result != MAPSEG_OK || (!is_odd(*version) && *version != seen))
            return result;
    }
}

static mapseg_result
wait_as(mapseg *seg, const char *operation, uint64_t seen, int64_t timeout_ns, uint64_t *version)
{
    struct reading reading;
    mapseg_result result;

    if (!mapseg_is_attached(seg))
        return refuse_detached(seg, operation);
    reading = begin_reading(seg);
    result = wait_for_version(&reading, seen, timeout_ns, version);
    /* Also where there was nothing new: it is given out again. */
    if (result == MAPSEG_OK || result == MAPSEG_TIMED_OUT || result == MAPSEG_OWNER_DIED)
        mapseg_change_note(seg, *version);
    return report(seg, operation, result);
}

static bool
is_own(mapseg *seg)
{
    struct reading reading;

    if (!mapseg_lock_is_noted(&seg->lock))
        return false;
    reading = begin_reading(seg);
    return is_own_change(&reading);
}

mapseg_result
mapseg_read_begin(mapseg *seg, uint64_t *version)
{
    mapseg_result result;
    uint64_t seen;

    /* Who is within a change of its own waits for nobody. */
    if (mapseg_is_attached(seg) && is_own(seg))
        result = report(seg, "read", mapseg_sequence_look(seg, &seen));
    else
        result = wait_as(seg, "read", 1, PATIENCE_NS, &seen);

    if (result == MAPSEG_OK)
        *version = seen;
    return result;
}

bool
mapseg_read_retry(mapseg *seg, uint64_t version)
{
    struct reading reading;
    uint64_t again;
    mapseg_result result;

    if (!mapseg_is_attached(seg))
        return true;
    reading = begin_reading(seg);
    result = fetch_version(&reading, true, &again);
    return result != MAPSEG_OK || again != version || check_length(seg) != MAPSEG_OK;
}

mapseg_result
mapseg_wait(mapseg *seg, uint64_t seen, int64_t timeout_ns, uint64_t *now)
{
    uint64_t version;
    mapseg_result result = wait_as(seg, "wait for", seen, timeout_ns, &version);

    if (now != NULL && (result == MAPSEG_OK || result == MAPSEG_TIMED_OUT) && !is_odd(version))
        *now = version;
    return result;
}
