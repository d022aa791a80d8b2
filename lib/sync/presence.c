/*
 * presence.c - which attachments are present, as the kernel knows it.
 *
 * An attachment is present while it holds its byte, and the kernel lets go of
 * the byte when the process ends, however it ends. The byte is held by an
 * open file description that nothing refers to but one inaccessible page
 * mapped from it, which children do not inherit: so no copy of a descriptor,
 * in a child or in another process, can keep a dead attachment alive.
 *
 * On some file systems a mapping does not keep the description (on overlayfs it
 * keeps that of the file below). So after the claim the byte is asked for from
 * outside, and where the answer is no the descriptor stays open instead. Where locks
 * may be kept by a program (FUSE) or a server it is also tried out that they exclude,
 * and that they end with what holds them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "presence.h"

#include "os/os.h"
#include "os/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/** How many slots a claim tries. Of a million slots few are ever taken, so more would only
 *  help a hostile peer that holds them all to stop us for longer. */
#define CLAIM_TRIES 256

/* ------------------------------------------------------------- claiming -- */

/** Numbers that differ between attachments and tries. */
static uint32_t
guess(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

/** Where guesses begin: elsewhere each time. */
static uint64_t
new_guesses(const struct msi_presence *presence)
{
    static _Atomic uint32_t claims;

    return (uint64_t)(uintptr_t)presence << 16 ^ (uint64_t)msi_os.monotonic_ns() ^
           (uint64_t)atomic_fetch_add_explicit(&claims, 1, memory_order_relaxed) << 48;
}

/** A slot among those of the role. */
static uint32_t
guess_slot(uint64_t *state, enum msi_role role)
{
    uint32_t first = role == MSI_WRITER ? MAPSEG_FIRST_WRITER_SLOT : MAPSEG_FIRST_SLOT;
    uint32_t end = role == MSI_WRITER   ? MAPSEG_LAST_SLOT + 1
                   : role == MSI_MARKER ? MSI_LAST_MARK + 1
                                        : MAPSEG_FIRST_WRITER_SLOT;

    return first + guess(state) % (end - first);
}

/** [CLAIM] Write-locks a free slot's byte and returns the slot. `own`: no other attachment
 *  has this description. */
static int
claim_slot(int description, bool own, const struct msi_presence *presence, enum msi_role role)
{
    uint64_t state = new_guesses(presence);

    for (int i = 0; i < CLAIM_TRIES; i++) {
        uint32_t slot = guess_slot(&state, role);
        int64_t byte = MAPSEG_PRESENCE_BASE + slot;
        struct msi_range found;
        int error = -EAGAIN;

        /* On a description that others may share their locks do not conflict,
         * so they are asked for first. */
        if (own)
            error = msi_os.lock_range_ofd(description, MSI_RANGE_EXCLUSIVE, byte, 1);
        if (error >= 0)
            return (int)slot;
        if (error != -EAGAIN)
            return error;
        error = msi_os.test_range(description, MSI_RANGE_EXCLUSIVE, byte, 1, &found);
        if (error >= 0 && !own && found.kind == MSI_RANGE_FREE) {
            error = msi_os.lock_range_ofd(description, MSI_RANGE_EXCLUSIVE, byte, 1);
            if (error >= 0)
                return (int)slot;
        }
        if (error < 0 && error != -EAGAIN)
            return error;
        /* One byte is a slot in use; more is a process that removes the segment. */
        if (error >= 0 && found.kind != MSI_RANGE_FREE && found.bytes != 1)
            return -EAGAIN;
    }
    return -EBUSY;
}

/** Takes the byte, on whatever description. Returns the slot; 0: shared. */
static int
claim_on(int description, bool own, const struct msi_presence *presence, enum msi_role role)
{
    if (role != MSI_READER)
        return claim_slot(description, own, presence, role);
    return msi_os.lock_range_ofd(description, MSI_RANGE_SHARED, MAPSEG_PRESENCE_BASE, 1);
}

/** Takes the byte of the wish too, where the file's attachments have it. */
static int
claim_wish(int description, const struct msi_file *file)
{
    return file->wishes ? msi_os.lock_range_ofd(description, MSI_RANGE_SHARED,
                                                MAPSEG_PRESENCE_BASE + MAPSEG_WISH_BYTE, 1)
                        : 0;
}

/** Maps the page that holds the description from now on. Its offset tells the slot to a
 *  reader of /proc/PID/maps. */
static int
hold_by_page(struct msi_presence *presence, int description, uint32_t slot)
{
    size_t page_size = msi_os.page_size();
    int error = 0;

    presence->page = msi_os.map(description, page_size, (int64_t)slot * (int64_t)page_size,
                                MSI_MAP_NONE, &error);
    return presence->page == NULL ? error : 0;
}

/** What keeps a description from being closed. */
enum holder { HOLD_BY_PAGE, HOLD_BY_DESCRIPTOR };

/** Takes the byte on a description of its own, and keeps that. Returns the slot. */
static int
claim_apart(struct msi_presence *presence, int description, const struct msi_file *file,
            enum msi_role role, enum holder holder)
{
    int slot = claim_on(description, true, presence, role);
    int error = slot >= 0 ? claim_wish(description, file) : 0;

    if (slot >= 0 && error >= 0 && holder == HOLD_BY_PAGE)
        error = hold_by_page(presence, description, (uint32_t)slot);
    if (slot >= 0 && error >= 0 && holder == HOLD_BY_DESCRIPTOR)
        presence->fd = description;
    else
        msi_close(description);
    return error < 0 ? error : slot;
}

/** Takes the byte on whatever description there is. Returns the slot; after a failure
 *  there is no presence, and nothing to give back: on the working description another
 *  attachment may have the same byte. */
static int
claim(struct msi_presence *presence, const struct msi_file *file, enum msi_role role,
      enum holder holder)
{
    int description = msi_file_open_anew(file, role == MSI_READER ? O_RDONLY : O_RDWR);
    int slot;

    msi_presence_clear(presence);
    if (description == -EMFILE || description == -ENFILE || description == -ENOMEM)
        return description;
    if (description >= 0)
        slot = claim_apart(presence, description, file, role, holder);
    else
        slot = claim_on(file->fd, false, presence, role);
    if (slot >= 0) {
        presence->on_working_descriptor = description < 0;
        presence->slot = (uint32_t)slot;
    }
    return slot;
}

/** Whether others see the presence: asked from outside of its description. */
static bool
is_seen(int fd, uint32_t slot)
{
    struct msi_range found;

    /* Where a sandbox forbids the question, the presence counts as seen. */
    return msi_os.test_range(fd, MSI_RANGE_EXCLUSIVE, MAPSEG_PRESENCE_BASE + slot, 1, &found) < 0 ||
           found.kind != MSI_RANGE_FREE;
}

/** A page cannot be kept out of children here: it would keep a dead parent present. */
static atomic_bool pages_reach_children;

/** Readers share a byte, so the answer for one of them may be another's presence. So a page
 *  is trusted with a reader's presence only where pages are known to keep it, as of memory
 *  files. */
static enum holder
holder_for(int fd, enum msi_role role, bool nameless)
{
    struct msi_file_system file_system;

    if (atomic_load_explicit(&pages_reach_children, memory_order_relaxed))
        return HOLD_BY_DESCRIPTOR;
    return role != MSI_READER || nameless ||
                   (msi_os.file_system(fd, &file_system) >= 0 && file_system.ram_backed)
               ? HOLD_BY_PAGE
               : HOLD_BY_DESCRIPTOR;
}

/** Whether it is to be tried out what becomes of locks: where a program or a server may keep
 *  them. For what lies in memory the kernel does. */
static bool
needs_trial(const struct msi_presence *presence, const struct msi_file *file, bool writes,
            bool nameless)
{
    struct msi_file_system file_system;

    /* What only reads and has no name is a memory file; one that is being created has none yet. */
    if (presence->on_working_descriptor || (nameless && !writes))
        return false;
    return msi_os.file_system(file->fd, &file_system) < 0 || !file_system.ram_backed;
}

/** Far beyond all of presence: bytes that mean nothing, to try out what becomes of a lock. */
#define TRIAL_BASE (MAPSEG_PRESENCE_BASE + 2 * MAPSEG_NAME_BYTE)
/** Longest wait for the end of a lock whose description is closed, in naps that double:
 *  a second, since a program that keeps locks may learn of the end later. */
#define TRIAL_NAPS 10

/** Whether a lock is gone, at once or soon. A question that the system refuses, as in a
 *  sandbox, says nothing against it. */
static bool
comes_to_be_free(int fd, int64_t byte)
{
    struct msi_range found;

    for (int i = 0; i <= TRIAL_NAPS; i++) {
        if (msi_os.test_range(fd, MSI_RANGE_EXCLUSIVE, byte, 1, &found) < 0 ||
            found.kind == MSI_RANGE_FREE)
            return true;
        if (i < TRIAL_NAPS)
            msi_os.nap(INT64_C(1000000) << i);
    }
    return false;
}

/** Tries out, beside a presence that is claimed, what the file system makes of locks: a
 *  taken byte is refused to others, and a lock ends when its last descriptor is closed, as at
 *  the death of a process, by whatever hand. bindfs with lock forwarding fails in both: there
 *  all locks are of one process, the one behind the file system, and are remembered for ever. */
static int
try_locks(const struct msi_presence *presence, const struct msi_file *file, bool writes)
{
    enum msi_range_kind kind = writes ? MSI_RANGE_EXCLUSIVE : MSI_RANGE_SHARED;
    uint64_t state = new_guesses(presence);
    int64_t byte = TRIAL_BASE + guess(&state) % MAPSEG_NAME_BYTE;
    int trial = msi_file_open_anew(file, writes ? O_RDWR : O_RDONLY);
    int error = 0;

    if (trial < 0)
        return trial;
    if (writes)
        error = msi_os.lock_range_ofd(trial, kind, MAPSEG_PRESENCE_BASE + presence->slot, 1);
    if (writes && error >= 0)
        error = -EOPNOTSUPP;
    if (!writes || error == -EAGAIN)
        error = msi_os.lock_range_ofd(trial, kind, byte, 1);
    msi_close(trial);
    if (error < 0)
        return error;
    return comes_to_be_free(file->fd, byte) ? 0 : -EOPNOTSUPP;
}

int
msi_presence_claim(struct msi_presence *presence, struct msi_file *file, enum msi_role role,
                   bool nameless)
{
    enum holder holder;
    bool seen;
    int slot;

    msi_presence_clear(presence);
    /* Where the descriptor is another file's by now, nothing is asked or locked through it. */
    slot = msi_file_fd(file);
    if (slot < 0)
        return slot;
    holder = holder_for(file->fd, role, nameless);
    slot = claim(presence, file, role, holder);
    seen = slot < 0 || is_seen(file->fd, presence->slot);
    if (!seen && holder == HOLD_BY_PAGE) {
        msi_presence_release(presence, file);
        slot = claim(presence, file, role, HOLD_BY_DESCRIPTOR);
        seen = slot < 0 || is_seen(file->fd, presence->slot);
    }
    if (!seen) {
        msi_presence_release(presence, file);
        return -EOPNOTSUPP;
    }
    if (slot >= 0 && needs_trial(presence, file, role != MSI_READER, nameless)) {
        slot = try_locks(presence, file, role != MSI_READER);
        if (slot < 0)
            msi_presence_release(presence, file);
    }
    if (slot >= 0)
        return 0;
    if (nameless && role == MSI_READER && slot != -EAGAIN && slot != -ENOMEM && slot != -EMFILE &&
        slot != -ENFILE) {
        /* A sandbox. Reading needs no presence, and there is no name that
         * another process could take away. */
        presence->refused = true;
        return 0;
    }
    return slot;
}

mapseg_result
msi_presence_failed(int error, struct msi_failure *failure)
{
    if (error == EBUSY)
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, error,
                          "it has no free presence slot; find the process that is attached so "
                          "often, and end it");
    if (error == EOPNOTSUPP)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "its file system does not keep the locks that show who is attached; "
                          "use a shm: key, or a file on another file system");
    if (error == EINVAL || error == ENOSYS)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "this kernel, or its file system, has no locks that belong to an open "
                          "file, by which processes show that they are attached; use Linux 3.15 or "
                          "newer, or another file system");
    if (error == ENOLCK)
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, error,
                          "there are no more locks to be had, or a file server gives none; use a "
                          "shm: key");
    if (error == EAGAIN)
        return msi_failed(failure, MAPSEG_TIMED_OUT, 0,
                          "another process removes the unfinished file again and again; find out "
                          "which");
    return msi_system_failed(failure, error, "its presence cannot be recorded");
}

int
msi_presence_hide(const struct msi_presence *presence)
{
    int error = 0;

    if (presence->page != NULL)
        error = msi_os.hide_from_children(presence->page, msi_os.page_size());
    /* Want of memory passes. */
    if (error < 0 && error != -ENOMEM)
        atomic_store_explicit(&pages_reach_children, true, memory_order_relaxed);
    return error;
}

void
msi_presence_clear(struct msi_presence *presence)
{
    memset(presence, 0, sizeof *presence);
    presence->fd = -1;
}

/** Gives back a byte on a description that other attachments may share. */
static void
unlock_slot(int fd, uint32_t slot)
{
    if (fd >= 0)
        (void)msi_os.lock_range_ofd(fd, MSI_RANGE_FREE, MAPSEG_PRESENCE_BASE + slot, 1);
}

static void
unlock_wish(int fd, const struct msi_file *file)
{
    if (file->wishes)
        (void)msi_os.lock_range_ofd(fd, MSI_RANGE_FREE, MAPSEG_PRESENCE_BASE + MAPSEG_WISH_BYTE, 1);
}

void
msi_presence_release(struct msi_presence *presence, struct msi_file *file)
{
    /* Unlocked as well as closed: a child may have a copy of the descriptor. */
    if (msi_file_is_behind(file, presence->fd)) {
        unlock_slot(presence->fd, presence->slot);
        unlock_wish(presence->fd, file);
    } else if (presence->on_working_descriptor)
        unlock_slot(msi_file_fd(file), presence->slot);
    msi_presence_hand_over(presence, file);
}

void
msi_presence_hand_over(struct msi_presence *presence, const struct msi_file *file)
{
    if (presence->page != NULL)
        msi_os.unmap(presence->page, msi_os.page_size());
    msi_presence_forget(presence, file);
}

void
msi_presence_forget(struct msi_presence *presence, const struct msi_file *file)
{
    /* The page was left out of the child: what lies there now is another mapping. */
    if (msi_file_is_behind(file, presence->fd))
        msi_close(presence->fd);
    msi_presence_clear(presence);
}

/* -------------------------------------------------------------- holding -- */

bool
msi_presence_is_held(int fd, uint32_t slot)
{
    struct msi_range found;

    if (msi_os.test_range(fd, MSI_RANGE_EXCLUSIVE, MAPSEG_PRESENCE_BASE + slot, 1, &found) < 0)
        return true;
    return found.kind != MSI_RANGE_FREE;
}

bool
msi_presence_has_wish(int fd)
{
    struct msi_range found;

    return msi_os.test_range(fd, MSI_RANGE_EXCLUSIVE, MAPSEG_PRESENCE_BASE + MAPSEG_WISH_BYTE, 1,
                             &found) >= 0 &&
           found.kind == MSI_RANGE_SHARED;
}

bool
msi_presence_is_any(int fd)
{
    struct msi_range found;

    return msi_os.test_range(fd, MSI_RANGE_EXCLUSIVE, MAPSEG_PRESENCE_BASE, MAPSEG_NAME_BYTE + 1,
                             &found) >= 0 &&
           found.kind != MSI_RANGE_FREE;
}

/** Whether a byte of the slots from `first` on, up to `end`, is locked. */
static bool
is_any_held(int fd, uint32_t first, uint32_t end)
{
    struct msi_range found;

    return first < end && (msi_os.test_range(fd, MSI_RANGE_EXCLUSIVE, MAPSEG_PRESENCE_BASE + first,
                                             end - first, &found) < 0 ||
                           found.kind != MSI_RANGE_FREE);
}

bool
msi_presence_is_written(int fd, uint32_t own)
{
    const uint32_t end = MAPSEG_LAST_SLOT + 1;

    if (own < MAPSEG_FIRST_WRITER_SLOT)
        return is_any_held(fd, MAPSEG_FIRST_WRITER_SLOT, end);
    return is_any_held(fd, MAPSEG_FIRST_WRITER_SLOT, own) || is_any_held(fd, own + 1, end);
}

static int
take(struct msi_hold *hold, struct msi_file *file, int64_t start, int64_t bytes)
{
    int error;

    hold->description = msi_file_open_anew(file, O_RDWR);
    hold->own = hold->description >= 0;
    hold->start = start;
    hold->bytes = bytes;
    if (hold->own) {
        error = msi_os.lock_range_ofd(hold->description, MSI_RANGE_EXCLUSIVE, start, bytes);
        if (error < 0)
            msi_close(hold->description);
        return error;
    }
    /* Without a description of our own (no descriptor left, no /proc) the
     * working one has to do. Others may have it too, so the lock is the
     * process's: it conflicts with theirs, and no child inherits it. */
    hold->description = msi_file_fd(file);
    if (hold->description < 0)
        return hold->description;
    msi_closing_pause();
    error = msi_os.lock_range_process(hold->description, MSI_RANGE_EXCLUSIVE, start, bytes);
    if (error < 0)
        msi_closing_resume();
    return error;
}

int
msi_presence_lock_slot(struct msi_hold *hold, struct msi_file *file, uint32_t slot)
{
    return take(hold, file, MAPSEG_PRESENCE_BASE + slot, 1);
}

int
msi_presence_lock_all(struct msi_hold *hold, struct msi_file *file)
{
    return take(hold, file, MAPSEG_PRESENCE_BASE, MAPSEG_NAME_BYTE + 1);
}

int
msi_presence_lock_name(struct msi_hold *hold, struct msi_file *file)
{
    return take(hold, file, MAPSEG_PRESENCE_BASE + MAPSEG_NAME_BYTE, 1);
}

void
msi_presence_unlock(struct msi_hold *hold)
{
    /* Unlocked first: a child that forked meanwhile may have the descriptor. */
    if (hold->own) {
        (void)msi_os.lock_range_ofd(hold->description, MSI_RANGE_FREE, hold->start, hold->bytes);
        msi_close(hold->description);
    } else {
        (void)msi_os.lock_range_process(hold->description, MSI_RANGE_FREE, hold->start,
                                        hold->bytes);
        msi_closing_resume();
    }
}

/* ------------------------------------------------------------- counting -- */

/** How many readers hold the shared byte: there is at least one. */
static uint32_t
count_readers(int fd, dev_t device, ino_t inode, bool *is_minimum)
{
    uint32_t readers;
    char *table;

    /* Where that fails, the numbers of stat() stay, which are nearly everywhere the same: a
     * memory file's mount is in no list. */
    (void)msi_os.lock_table_numbers(fd, &device, &inode);
    if (msi_os.lock_table(&table) < 0)
        return 1;
    readers = msi_proc_count_readers(table, device, inode, MAPSEG_PRESENCE_BASE);
    /* A longer table was not read to the end. */
    *is_minimum = *is_minimum || strlen(table) >= MSI_LOCK_TABLE_BYTES;
    free(table);
    return readers > 0 ? readers : 1;
}

/** How many slots are counted at most, and for how long. */
#define COUNT_MOST 4096
#define COUNT_NS INT64_C(3000000000)

/** A part of the slots that is still to be asked for. */
struct part {
    int64_t start;
    int64_t end;
};

/** The end of a lock; 0 bytes reach to the end of what a file can have. */
static int64_t
end_of(const struct msi_range *found)
{
    return found->bytes == 0 ? INT64_MAX : found->start + found->bytes;
}

/** Counts the locks on slots: one conflict, then what lies on either side of it, the
 *  lower side first. A peer may hold any number, in any order, so there is no
 *  recursion and an end to it. `parts` has room for COUNT_MOST + 1. */
static void
count_slots(int fd, struct part *parts, struct msi_census *census)
{
    const struct part all = {MAPSEG_PRESENCE_BASE + MAPSEG_FIRST_SLOT,
                             MAPSEG_PRESENCE_BASE + MAPSEG_LAST_SLOT + 1};
    int64_t until = msi_os.monotonic_ns() + COUNT_NS;
    size_t left = 1;

    parts[0] = all;
    while (left > 0) {
        struct part part = parts[--left];
        struct msi_range found;

        if (part.start >= part.end ||
            msi_os.test_range(fd, MSI_RANGE_EXCLUSIVE, part.start, part.end - part.start, &found) <
                0 ||
            found.kind == MSI_RANGE_FREE)
            continue;
        if (found.start <= all.start && end_of(&found) >= all.end) {
            census->is_blocked = true;
            return;
        }
        if (census->attached == COUNT_MOST || msi_os.monotonic_ns() >= until) {
            census->is_minimum = true;
            return;
        }
        census->attached++;
        if (end_of(&found) > MAPSEG_PRESENCE_BASE + MAPSEG_FIRST_WRITER_SLOT)
            census->writers++;
        parts[left++] = (struct part){end_of(&found), part.end};
        parts[left++] = (struct part){part.start, found.start};
    }
}

/* The table of locks would have the slots too, but while others lock and
 * unlock anything it is no picture of one moment: in 1,288 reads beside two
 * busy processes a lock that was always held stood there 913 times once, 374
 * times more often, once not at all. So the slots are asked for. */
void
msi_presence_count(int fd, dev_t device, ino_t inode, struct msi_census *census)
{
    struct part *parts = malloc((COUNT_MOST + 2) * sizeof *parts);
    struct msi_range found;

    memset(census, 0, sizeof *census);
    if (parts != NULL)
        count_slots(fd, parts, census);
    else
        census->is_minimum = true;
    free(parts);
    if (!census->is_blocked &&
        msi_os.test_range(fd, MSI_RANGE_EXCLUSIVE, MAPSEG_PRESENCE_BASE, 1, &found) >= 0 &&
        found.kind == MSI_RANGE_SHARED)
        census->readers = count_readers(fd, device, inode, &census->is_minimum);
    census->attached += census->readers;
}
