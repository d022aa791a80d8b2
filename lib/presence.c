/*
 * presence.c - who is attached, as the kernel knows it.
 *
 * An attachment is present while it holds its byte, and the kernel lets go of
 * the byte when the process ends, however it ends. The byte is held by an
 * open file description that nothing refers to but one inaccessible page
 * mapped from it, which children do not inherit: so no copy of a descriptor,
 * in a child or in another process, can keep a dead attachment alive.
 *
 * SPDX-License-Identifier: MIT
 */
#include "presence.h"

#include "os.h"
#include "signals.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/** How many slots a claim tries. Of a million slots few are ever taken, so
 *  more only helps somebody who holds them all to stop us for longer. */
#define CLAIM_TRIES 256

/* Holds that belong to the process do not exclude its own threads, and end when
 * any of them closes any descriptor of the file. */
static pthread_mutex_t process_holds = PTHREAD_MUTEX_INITIALIZER;

void
mapseg_presence_close(int fd)
{
    sigset_t before;

    /* A fork takes the mutex: no handler may fork within. The other takers have
     * their signals held back already. */
    mapseg_signals_hold(&before);
    pthread_mutex_lock(&process_holds);
    mapseg_os.close(fd);
    pthread_mutex_unlock(&process_holds);
    mapseg_signals_release(&before);
}

/** Opens the name, if it leads to the file behind `fd`. */
static int
open_same(int fd, const char *path, int flags)
{
    struct stat wanted;
    struct stat found;
    int description = mapseg_os.open(path, flags);
    int error;

    if (description < 0)
        return description;
    error = mapseg_os.status(fd, &wanted);
    if (error >= 0)
        error = mapseg_os.status(description, &found);
    if (error >= 0 && (found.st_dev != wanted.st_dev || found.st_ino != wanted.st_ino))
        error = -ESTALE;
    if (error >= 0)
        return description;
    mapseg_presence_close(description);
    return error;
}

int
mapseg_description_new(int fd, const char *path, int flags)
{
    int description = path == NULL ? -ENOENT : open_same(fd, path, flags);

    /* By name it takes two thirds of the time; but names go away. */
    if (description >= 0 || description == -EMFILE || description == -ENFILE)
        return description;
    return mapseg_os.reopen(fd, flags);
}

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

/** [CLAIM] Write-locks a free slot's byte and returns the slot. `own`: nobody else has
 *  this description. */
static int
claim_slot(int description, bool own, const struct mapseg_presence *presence)
{
    static _Atomic uint32_t claims;
    uint64_t state = (uint64_t)(uintptr_t)presence << 16 ^ (uint64_t)mapseg_os.monotonic_ns() ^
                     (uint64_t)atomic_fetch_add_explicit(&claims, 1, memory_order_relaxed) << 48;

    for (int i = 0; i < CLAIM_TRIES; i++) {
        uint32_t slot = MAPSEG_FIRST_SLOT + guess(&state) % MAPSEG_LAST_SLOT;
        int64_t byte = MAPSEG_PRESENCE_BASE + slot;
        struct mapseg_range found;
        int error = -EAGAIN;

        /* On a description that others may share their locks do not conflict,
         * so they are asked for first. */
        if (own)
            error = mapseg_os.lock_range(description, MAPSEG_RANGE_EXCLUSIVE, byte, 1);
        if (error >= 0)
            return (int)slot;
        if (error != -EAGAIN)
            return error;
        error = mapseg_os.test_range(description, MAPSEG_RANGE_EXCLUSIVE, byte, 1, &found);
        if (error >= 0 && !own && found.kind == MAPSEG_RANGE_FREE) {
            error = mapseg_os.lock_range(description, MAPSEG_RANGE_EXCLUSIVE, byte, 1);
            if (error >= 0)
                return (int)slot;
        }
        if (error < 0 && error != -EAGAIN)
            return error;
        /* One byte is a slot in use; more is somebody who removes the segment. */
        if (error >= 0 && found.kind != MAPSEG_RANGE_FREE && found.bytes != 1)
            return -EAGAIN;
    }
    return -EBUSY;
}

/** Takes the byte, on whatever description. Returns the slot; 0: shared. */
static int
claim_on(int description, bool own, const struct mapseg_presence *presence, bool writes)
{
    if (writes)
        return claim_slot(description, own, presence);
    return mapseg_os.lock_range(description, MAPSEG_RANGE_SHARED, MAPSEG_PRESENCE_BASE, 1);
}

/** Maps the page that holds the description from now on. Its offset tells the
 *  slot to whoever reads /proc/PID/maps. */
static int
hold_by_page(struct mapseg_presence *presence, int description, uint32_t slot)
{
    size_t page_size = mapseg_os.page_size();
    int error = 0;

    presence->page = mapseg_os.map(description, page_size, (int64_t)slot * (int64_t)page_size,
                                   MAPSEG_MAP_NONE, &error);
    return presence->page == NULL ? error : 0;
}

int
mapseg_presence_claim(struct mapseg_presence *presence, int fd, const char *path, bool writes,
                      bool nameless)
{
    int description = mapseg_description_new(fd, path, writes ? O_RDWR : O_RDONLY);
    int slot;
    int error;

    memset(presence, 0, sizeof *presence);
    if (description == -EMFILE || description == -ENFILE || description == -ENOMEM)
        return description;
    presence->on_working_descriptor = description < 0;
    slot = claim_on(description < 0 ? fd : description, description >= 0, presence, writes);
    if (slot >= 0 && description >= 0) {
        error = hold_by_page(presence, description, (uint32_t)slot);
        if (error < 0)
            slot = error;
    }
    if (description >= 0)
        mapseg_presence_close(description);
    if (slot >= 0) {
        presence->slot = (uint32_t)slot;
        return 0;
    }
    presence->on_working_descriptor = false;
    if (nameless && !writes && slot != -EAGAIN && slot != -ENOMEM) {
        /* A sandbox. Reading needs no presence, and there is no name that
         * anybody could take away. */
        presence->refused = true;
        return 0;
    }
    return slot;
}

int
mapseg_presence_hide(const struct mapseg_presence *presence)
{
    if (presence->page == NULL)
        return 0;
    return mapseg_os.hide_from_children(presence->page, mapseg_os.page_size());
}

void
mapseg_presence_release(struct mapseg_presence *presence, int fd)
{
    if (presence->page != NULL)
        mapseg_os.unmap(presence->page, mapseg_os.page_size());
    else if (presence->on_working_descriptor)
        (void)mapseg_os.lock_range(fd, MAPSEG_RANGE_FREE, MAPSEG_PRESENCE_BASE + presence->slot, 1);
    memset(presence, 0, sizeof *presence);
}

/* -------------------------------------------------------------- holding -- */

bool
mapseg_presence_is_held(int fd, uint32_t slot)
{
    struct mapseg_range found;

    if (mapseg_os.test_range(fd, MAPSEG_RANGE_EXCLUSIVE, MAPSEG_PRESENCE_BASE + slot, 1, &found) <
        0)
        return true;
    return found.kind != MAPSEG_RANGE_FREE;
}

bool
mapseg_presence_is_anybody(int fd)
{
    struct mapseg_range found;

    return mapseg_os.test_range(fd, MAPSEG_RANGE_EXCLUSIVE, MAPSEG_PRESENCE_BASE,
                                MAPSEG_NAME_BYTE + 1, &found) >= 0 &&
           found.kind != MAPSEG_RANGE_FREE;
}

void
mapseg_presence_forked(void)
{
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

    memcpy(&process_holds, &fresh, sizeof fresh);
}

static int
take(struct mapseg_hold *hold, int fd, const char *path, int64_t start, int64_t bytes)
{
    int error;

    hold->description = mapseg_description_new(fd, path, O_RDWR);
    hold->own = hold->description >= 0;
    hold->start = start;
    hold->bytes = bytes;
    if (hold->own) {
        error = mapseg_os.lock_range(hold->description, MAPSEG_RANGE_EXCLUSIVE, start, bytes);
        if (error < 0)
            mapseg_presence_close(hold->description);
        return error;
    }
    /* Without a description of our own (no descriptor left, no /proc) the
     * working one has to do. Others may have it too, so the lock is the
     * process's: it conflicts with theirs, and nobody inherits it. */
    hold->description = fd;
    pthread_mutex_lock(&process_holds);
    error = mapseg_os.hold_range(fd, MAPSEG_RANGE_EXCLUSIVE, start, bytes);
    if (error < 0)
        pthread_mutex_unlock(&process_holds);
    return error;
}

int
mapseg_presence_take_dead(struct mapseg_hold *hold, int fd, const char *path, uint32_t slot)
{
    return take(hold, fd, path, MAPSEG_PRESENCE_BASE + slot, 1);
}

int
mapseg_presence_take_all(struct mapseg_hold *hold, int fd, const char *path)
{
    return take(hold, fd, path, MAPSEG_PRESENCE_BASE, MAPSEG_NAME_BYTE + 1);
}

int
mapseg_presence_take_name(struct mapseg_hold *hold, int fd, const char *path)
{
    return take(hold, fd, path, MAPSEG_PRESENCE_BASE + MAPSEG_NAME_BYTE, 1);
}

void
mapseg_presence_let_go(struct mapseg_hold *hold)
{
    /* Unlocked first: a child that forked meanwhile may have the descriptor. */
    if (hold->own) {
        (void)mapseg_os.lock_range(hold->description, MAPSEG_RANGE_FREE, hold->start, hold->bytes);
        mapseg_presence_close(hold->description);
    } else {
        (void)mapseg_os.hold_range(hold->description, MAPSEG_RANGE_FREE, hold->start, hold->bytes);
        pthread_mutex_unlock(&process_holds);
    }
}

/* ------------------------------------------------------------- counting -- */

/** Whether a line of the kernel's table of locks is a reader of the file. */
static bool
is_reader(const char *line, dev_t device, ino_t inode)
{
    char class[16];
    char kind[16];
    unsigned major_number;
    unsigned minor_number;
    unsigned long long number;
    unsigned long long start;

    return sscanf(line, "%*d: %15s %*s %15s %*d %x:%x:%llu %llu", class, kind, &major_number,
                  &minor_number, &number, &start) == 6 &&
           strcmp(class, "OFDLCK") == 0 && strcmp(kind, "READ") == 0 &&
           major_number == major(device) && minor_number == minor(device) && number == inode &&
           start == (unsigned long long)MAPSEG_PRESENCE_BASE;
}

/** How many hold the shared byte, of which there is one at least. */
static uint32_t
count_readers(dev_t device, ino_t inode)
{
    uint32_t readers = 0;
    char *table;
    const char *next;

    if (mapseg_os.lock_table(&table) < 0)
        return 1;
    for (next = table; *next != '\0';) {
        size_t length = strcspn(next, "\n");
        char line[160];

        /* A copy: sscanf would measure the rest of the table for each line. */
        snprintf(line, sizeof line, "%.*s", (int)length, next);
        readers += is_reader(line, device, inode);
        next += length + (next[length] == '\n');
    }
    free(table);
    return readers > 0 ? readers : 1;
}

/** Counts the locks from `start` to before `end`: one conflict, then what lies
 *  on either side of it. */
static uint32_t
count_between(int fd, int64_t start, int64_t end)
{
    uint32_t count = 0;

    while (start < end) {
        struct mapseg_range found;

        if (mapseg_os.test_range(fd, MAPSEG_RANGE_EXCLUSIVE, start, end - start, &found) < 0 ||
            found.kind == MAPSEG_RANGE_FREE || found.start < start || found.bytes < 1)
            break;
        count += 1 + count_between(fd, start, found.start);
        start = found.start + found.bytes;
    }
    return count;
}

/* The table of locks would have the slots too, but while others lock and
 * unlock anything it is no picture of one moment: in 1,288 reads beside two
 * busy processes a lock that was always held stood there 913 times once, 374
 * times more often, once not at all. So the slots are asked for. */
void
mapseg_presence_count(int fd, dev_t device, ino_t inode, struct mapseg_census *census)
{
    struct mapseg_range found;

    census->readers = 0;
    census->attached = count_between(fd, MAPSEG_PRESENCE_BASE + MAPSEG_FIRST_SLOT,
                                     MAPSEG_PRESENCE_BASE + MAPSEG_LAST_SLOT + 1);
    if (mapseg_os.test_range(fd, MAPSEG_RANGE_EXCLUSIVE, MAPSEG_PRESENCE_BASE, 1, &found) >= 0 &&
        found.kind == MAPSEG_RANGE_SHARED)
        census->readers = count_readers(device, inode);
    census->attached += census->readers;
}
