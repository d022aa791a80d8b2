/*
 * semaphore.c - a named POSIX semaphore that is the lock of a segment, as Qt uses it.
 *
 * Never glibc's own calls: sem_wait aborts the process where the memory holds garbage, and could
 * not tell who holds it. A waiter does as theirs do: it is counted in `waiters`, and sleeps on
 * the value while that is 0; who frees it wakes one where any is counted.
 *
 * SPDX-License-Identifier: MIT
 */
#include "semaphore.h"

#include "file/key.h"
#include "handle/forklist.h"
#include "os/os.h"
#include "os/tsan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** How often a swap is tried again because the word changed under it: a peer that goes on
 *  changing it means harm, and must not hold a caller up past its deadline. */
#define SWAP_TRIES 1000

/* --------------------------------------------------------------- opening -- */

/** A file name for a semaphore that is half made, where none can be without: as long as any. */
#define PRIVATE_NAME_BYTES sizeof "sem.mapseg-0123456789abcdef"

static mapseg_result
judge_content(int fd, const struct stat *status, struct msi_failure *failure)
{
    struct msi_semaphore_copy copy;

    if (status->st_size == MSI_SEMAPHORE_BYTES && msi_semaphore_read(fd, &copy))
        return MAPSEG_OK;
    return msi_failed(failure, MAPSEG_CORRUPT, 0,
                      "the file of its semaphore, of %lld bytes, is none of this C library's; find "
                      "out what made it, and remove it",
                      (long long)status->st_size);
}

/** Judges the open file. Its other names do not matter: glibc gives each semaphore a second one
 *  for a moment. */
static mapseg_result
judge(int fd, struct stat *status, struct msi_trust trust, struct msi_failure *failure)
{
    int error = msi_os.status(fd, status);
    mapseg_result result;

    if (error < 0)
        return msi_system_failed(failure, -error, "its semaphore cannot be examined");
    trust.flags |= (uint32_t)MAPSEG_ALLOW_HARD_LINKS;
    result = msi_trust_file(status, fd, true, trust, failure);
    if (result == MAPSEG_NOT_A_SEGMENT)
        result = MAPSEG_CORRUPT;
    return result == MAPSEG_OK ? judge_content(fd, status, failure) : result;
}

/** Opens what is there; -ENOENT in *error: nothing. */
static mapseg_result
open_existing(const struct msi_name *name, int *fd, int *error, struct msi_failure *failure)
{
    struct stat status;

    *fd = -1;
    *error = msi_os.status_of_name(name->directory, name->last, &status);
    /* Looked at before it is opened: to open a FIFO or a device is to use it. */
    if (*error >= 0 && !S_ISREG(status.st_mode))
        return msi_failed(failure, MAPSEG_CORRUPT, 0,
                          "where its semaphore should be there is %s; move that away",
                          msi_trust_kind(&status));
    if (*error >= 0)
        *error = *fd = msi_os.open(name->directory, name->last, O_RDWR);
    if (*error >= 0)
        return MAPSEG_OK;
    return *error == -ENOENT
               ? msi_failed(failure, MAPSEG_NOT_FOUND, ENOENT,
                            "it has no semaphore, so no program has locked it; lock it, which "
                            "makes one")
               : msi_system_failed(
                     failure, -*error,
                     "its semaphore cannot be opened to be written; ask its owner for "
                     "permission to write it");
}

/** A new file: without a name, or, where `private` has room for one, with that. */
static int
open_new_file(const struct msi_name *name, char *private)
{
    uint64_t number;
    int error;

    if (private == NULL)
        return msi_os.open_unnamed(name->directory, 0600);
    error = msi_os.random(&number, sizeof number);
    if (error < 0)
        return error;
    snprintf(private, PRIVATE_NAME_BYTES, "sem.mapseg-%016llx", (unsigned long long)number);
    return msi_os.open_new(name->directory, private, 0600);
}

/** Fills the new file, and lets in those that the segment does. */
static int
fill(int fd, const struct msi_semaphore_likeness *like)
{
    unsigned char bytes[MSI_SEMAPHORE_BYTES] = {0};
    const struct msi_semaphore_copy made = {
        .word = MSI_SEMAPHORE_FREE,
        .shared = MSI_SEMAPHORE_SHARED,
    };
    struct stat status;
    int64_t put;
    int error = msi_os.status(fd, &status);

    memcpy(bytes, &made, sizeof made);
    put = error < 0 ? error : msi_os.write(fd, bytes, sizeof bytes, 0);
    if (put != (int64_t)sizeof bytes)
        return put < 0 ? (int)put : -ENOSPC;
    if ((uint32_t)status.st_gid != like->group)
        error = msi_os.set_group(fd, like->group);
    /* Where the segment's group is none of this user's, it stays the user's own. */
    if (error == -EPERM)
        return msi_os.set_mode(fd, 0600);
    return error < 0 ? error : msi_os.set_mode(fd, like->mode);
}

/** Makes a free one, complete before it has its name. */
static int
make_as(const struct msi_name *name, const struct msi_semaphore_likeness *like, char *private)
{
    int fd = open_new_file(name, private);
    int error = fd < 0 ? fd : fill(fd, like);

    if (error >= 0 && private == NULL)
        error = msi_os.link(fd, name->directory, name->last);
    else if (error >= 0)
        error = msi_os.link_name(name->directory, private, name->last);
    if (fd >= 0 && private != NULL)
        (void)msi_os.unlink(name->directory, private);
    if (fd >= 0)
        msi_close(fd);
    return error;
}

/** The same; -EEXIST: another process was faster. Where there is no /proc, or a rule says so, a
 *  file without a name cannot get one. */
static int
make(const struct msi_name *name, const struct msi_semaphore_likeness *like)
{
    char private[PRIVATE_NAME_BYTES];
    int error = make_as(name, like, NULL);

    if (error >= 0 || error == -EEXIST || error == -ENOSPC || error == -EDQUOT ||
        error == -EMFILE || error == -ENFILE || error == -ENOMEM)
        return error;
    return make_as(name, like, private);
}

/** How often a name that comes and goes is tried for. */
#define NAME_TRIES 16

/** Opens what has the name, or makes it. */
static mapseg_result
open_or_make(const struct msi_name *name, const struct msi_semaphore_likeness *like, int *fd,
             struct msi_failure *failure)
{
    mapseg_result result = MAPSEG_OK;
    int error = -ENOENT;

    for (int i = 0; i < NAME_TRIES; i++) {
        result = open_existing(name, fd, &error, failure);
        if (result != MAPSEG_NOT_FOUND || like == NULL)
            return result;
        error = make(name, like);
        if (error < 0 && error != -EEXIST)
            return msi_system_failed(failure, -error, "its semaphore cannot be made");
    }
    return result;
}

/** Maps the open semaphore. */
static mapseg_result
map(struct msi_semaphore *semaphore, const struct stat *status, struct msi_failure *failure)
{
    int error = 0;

    semaphore->file.device = status->st_dev;
    semaphore->file.inode = status->st_ino;
    semaphore->file.writes = true;
    semaphore->memory =
        msi_os.map(semaphore->file.fd, MSI_SEMAPHORE_BYTES, 0, MSI_MAP_WRITE, &error);
    return semaphore->memory == NULL ? msi_map_failed(failure, -error, MSI_SEMAPHORE_BYTES)
                                     : MAPSEG_OK;
}

mapseg_result
msi_semaphore_open(struct msi_semaphore **semaphore, const char *path,
                   const struct msi_semaphore_likeness *like, struct msi_trust trust,
                   struct msi_failure *failure)
{
    struct msi_semaphore *opened = calloc(1, sizeof *opened);
    struct msi_name name;
    struct stat status;
    mapseg_result result;
    int fd = -1;

    *semaphore = NULL;
    msi_name_clear(&name);
    if (opened == NULL)
        return msi_system_failed(failure, ENOMEM, "there is no memory for its semaphore");
    msi_file_clear(&opened->file);
    msi_presence_clear(&opened->presence);
    opened->file.path = msi_copy_string(path);
    result = msi_name_make(&name, msi_copy_string(path),
                           msi_os.open_directory(msi_os.shared_directory()), failure);
    if (result == MAPSEG_OK && opened->file.path == NULL)
        result = msi_system_failed(failure, ENOMEM, "there is no memory for its path");
    if (result == MAPSEG_OK)
        result = open_or_make(&name, like, &fd, failure);
    opened->file.fd = fd;
    msi_name_close(&name);
    if (result == MAPSEG_OK)
        result = judge(fd, &status, trust, failure);
    if (result == MAPSEG_OK)
        result = map(opened, &status, failure);
    if (result != MAPSEG_OK) {
        if (fd >= 0)
            msi_close(fd);
        opened->file.fd = -1;
        msi_semaphore_close(opened);
        return result;
    }
    msi_forklist_disown(fd);
    *semaphore = opened;
    return MAPSEG_OK;
}

void
msi_semaphore_close(struct msi_semaphore *semaphore)
{
    while (semaphore != NULL) {
        struct msi_semaphore *older = semaphore->older;

        msi_presence_release(&semaphore->presence, &semaphore->file);
        if (semaphore->memory != NULL)
            msi_os.unmap(semaphore->memory, MSI_SEMAPHORE_BYTES);
        msi_file_close(&semaphore->file);
        free(semaphore->file.path);
        free(semaphore);
        semaphore = older;
    }
}

void
msi_semaphore_forked(struct msi_semaphore *semaphore)
{
    for (; semaphore != NULL; semaphore = semaphore->older) {
        msi_presence_forget(&semaphore->presence, &semaphore->file);
        atomic_store_explicit(&semaphore->mark, 0, memory_order_relaxed);
    }
}

bool
msi_semaphore_is_replaced(const struct msi_semaphore *semaphore)
{
    struct stat status;

    return msi_os.status_of_name(-1, semaphore->file.path, &status) >= 0 &&
           (status.st_dev != semaphore->file.device || status.st_ino != semaphore->file.inode);
}

bool
msi_semaphore_read(int fd, struct msi_semaphore_copy *copy)
{
    return msi_os.read(fd, copy, sizeof *copy, 0) == (int64_t)sizeof *copy &&
           copy->shared == MSI_SEMAPHORE_SHARED;
}

/* ---------------------------------------------------------------- the word -- */

uint64_t
msi_semaphore_look(const struct msi_semaphore *semaphore)
{
    return atomic_load_explicit(&semaphore->memory->word, memory_order_relaxed);
}

/** Swaps the word from `seen` (updated on failure). Acquire: what the last owner wrote before it
 *  freed the semaphore becomes visible; release: what this thread wrote, to the next owner. */
static bool
swap(struct msi_semaphore *semaphore, uint64_t *seen, uint64_t wanted)
{
    return atomic_compare_exchange_strong_explicit(&semaphore->memory->word, seen, wanted,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

/** The word with another value and owner. */
static uint64_t
with(uint64_t word, uint64_t value, uint32_t owner)
{
    return value | msi_semaphore_waiters(word) * MSI_SEMAPHORE_WAITER | owner * MSI_SEMAPHORE_OWNER;
}

static uint32_t
slot_of(const struct msi_semaphore *semaphore)
{
    return msi_semaphore_owner(atomic_load_explicit(&semaphore->mark, memory_order_relaxed));
}

/** Wakes a waiter, of whatever program, if any is counted. */
static void
wake(const struct msi_semaphore *semaphore, uint64_t word)
{
    if (msi_semaphore_waiters(word) != 0)
        (void)msi_os.wake_one(msi_semaphore_sleeping_place(semaphore->memory));
}

/** Whether another program has written over it. */
static bool
is_garbage(const struct msi_semaphore *semaphore)
{
    return semaphore->memory->shared != MSI_SEMAPHORE_SHARED;
}

static mapseg_result
corrupt(const struct msi_semaphore *semaphore, uint64_t seen, struct msi_failure *failure)
{
    if (is_garbage(semaphore))
        return msi_failed(failure, MAPSEG_CORRUPT, 0,
                          "another program wrote over its semaphore; remove the segment and its "
                          "semaphore, and make them anew");
    return msi_failed(
        failure, MAPSEG_CORRUPT, 0,
        "its semaphore counts %u, so that as many could hold the lock at once; when no "
        "program holds it, repair it by force (mapseg_repair)",
        (unsigned)msi_semaphore_value(seen));
}

/** Whether the mark is that of an owner whose presence is gone. */
static bool
is_dead(const struct msi_semaphore *semaphore, uint64_t seen)
{
    uint32_t owner = msi_semaphore_owner(seen);
    int fd = atomic_load_explicit(&semaphore->file.fd, memory_order_relaxed);

    return owner != 0 && owner != slot_of(semaphore) && msi_file_is_behind(&semaphore->file, fd) &&
           !msi_presence_is_held(fd, owner);
}

/** Notes that an owner died. */
static void
note_death(struct msi_semaphore *semaphore)
{
    atomic_store_explicit(&semaphore->memory->notes, MSI_SEMAPHORE_DIED, memory_order_relaxed);
}

/** Takes it over from a dead owner, whose byte is held meanwhile: else a newcomer could claim
 *  that slot, and take it, between the look and the swap. */
static bool
take_over(struct msi_semaphore *semaphore, uint64_t *seen)
{
    uint32_t dead = msi_semaphore_owner(*seen);
    bool taken = false;
    struct msi_hold hold;

    if (msi_forklist_lock() < 0)
        return false;
    if (msi_presence_lock_slot(&hold, &semaphore->file, dead) >= 0) {
        /* The waiters may come and go. */
        for (int i = 0; i < SWAP_TRIES && !taken && msi_semaphore_value(*seen) == 0 &&
                        msi_semaphore_owner(*seen) == dead;
             i++)
            taken = swap(semaphore, seen, with(*seen, 0, slot_of(semaphore)));
        msi_presence_unlock(&hold);
    }
    msi_forklist_unlock();
    /* A recoverer that dies before this leaves a dead owner, too. */
    if (taken)
        note_death(semaphore);
    return taken;
}

/** The same, for a race detector too. */
static mapseg_result
taken(struct msi_semaphore *semaphore)
{
    msi_tsan_acquire(semaphore->memory);
    return msi_semaphore_death(semaphore);
}

mapseg_result
msi_semaphore_try(struct msi_semaphore *semaphore, uint64_t *seen, struct msi_failure *failure)
{
    for (int i = 0; i < SWAP_TRIES; i++) {
        uint32_t value = msi_semaphore_value(*seen);

        if (is_garbage(semaphore) || value > 1)
            return corrupt(semaphore, *seen, failure);
        if (value == 0)
            return is_dead(semaphore, *seen) && take_over(semaphore, seen) ? taken(semaphore)
                                                                           : MAPSEG_WOULD_BLOCK;
        if (swap(semaphore, seen, with(*seen, 0, slot_of(semaphore))))
            return taken(semaphore);
    }
    return MAPSEG_WOULD_BLOCK;
}

void
msi_semaphore_sleep(struct msi_semaphore *semaphore, int64_t ns)
{
    msi_os.sleep_on(msi_semaphore_sleeping_place(semaphore->memory), 0, ns);
}

void
msi_semaphore_count(struct msi_semaphore *semaphore, bool in)
{
    _Atomic uint64_t *word = &semaphore->memory->word;
    uint64_t seen;

    if (in) {
        (void)atomic_fetch_add_explicit(word, MSI_SEMAPHORE_WAITER, memory_order_relaxed);
        return;
    }
    seen = atomic_fetch_sub_explicit(word, MSI_SEMAPHORE_WAITER, memory_order_relaxed);
    /* One that was woken and goes away passes the wake on. */
    if (msi_semaphore_value(seen) != 0)
        wake(semaphore, seen - MSI_SEMAPHORE_WAITER);
}

/** That on the chain which this handle holds; NULL: none. */
static struct msi_semaphore *
find_held(struct msi_semaphore *semaphore)
{
    while (semaphore != NULL && (slot_of(semaphore) == 0 || msi_semaphore_owner(msi_semaphore_look(
                                                                semaphore)) != slot_of(semaphore)))
        semaphore = semaphore->older;
    return semaphore;
}

bool
msi_semaphore_post(struct msi_semaphore *semaphore)
{
    struct msi_semaphore *held = find_held(semaphore);
    uint64_t seen = held == NULL ? 0 : msi_semaphore_look(held);

    if (held != NULL)
        msi_tsan_release(held->memory);
    while (held != NULL && msi_semaphore_owner(seen) == slot_of(held)) {
        /* It stays 1 where another program has posted meanwhile. */
        if (!swap(held, &seen, with(seen, MSI_SEMAPHORE_FREE, 0)))
            continue;
        wake(held, seen);
        return true;
    }
    return false;
}

bool
msi_semaphore_declare_consistent(struct msi_semaphore *semaphore)
{
    struct msi_semaphore *held = find_held(semaphore);

    if (held == NULL)
        return false;
    atomic_store_explicit(&held->memory->notes, 0, memory_order_relaxed);
    return true;
}

/** Frees it where its mark is a slot that was just claimed: then its owner is dead. */
static void
heal(struct msi_semaphore *semaphore, uint32_t slot)
{
    uint64_t seen = msi_semaphore_look(semaphore);

    while (!is_garbage(semaphore) && msi_semaphore_owner(seen) == slot) {
        /* Before it is free: the next owner is told. */
        note_death(semaphore);
        if (!swap(semaphore, &seen, with(seen, MSI_SEMAPHORE_FREE, 0)))
            continue;
        wake(semaphore, seen);
        return;
    }
}

mapseg_result
msi_semaphore_claim(struct msi_semaphore *semaphore, struct msi_failure *failure)
{
    struct msi_presence *presence = &semaphore->presence;
    int error = 0;

    if (slot_of(semaphore) != 0)
        return MAPSEG_OK;
    for (int i = 0; i < 2; i++) {
        error = msi_presence_claim(presence, &semaphore->file, MSI_MARKER, false);
        if (error >= 0)
            error = msi_presence_hide(presence);
        /* On a description that others share a child would keep it. */
        if (error >= 0 && presence->on_working_descriptor)
            error = -EOPNOTSUPP;
        if (error >= 0)
            break;
        msi_presence_release(presence, &semaphore->file);
    }
    if (error < 0)
        return msi_presence_failed(-error, failure);
    msi_forklist_disown(presence->fd);
    heal(semaphore, presence->slot);
    atomic_store_explicit(&semaphore->mark, presence->slot * MSI_SEMAPHORE_OWNER,
                          memory_order_relaxed);
    return MAPSEG_OK;
}

/* -------------------------------------------------------------- repairing -- */

/** Whether it may be freed; else why not. */
static mapseg_result
judge_repair(const struct msi_semaphore *semaphore, uint64_t seen, bool force,
             struct msi_failure *failure)
{
    uint32_t value = msi_semaphore_value(seen);

    if (is_garbage(semaphore) || (value > 1 && !force))
        return corrupt(semaphore, seen, failure);
    if (value == 1)
        return msi_failed(failure, MAPSEG_NOT_LOCKED, 0, "no program holds its lock; lock it");
    if (value > 1 || is_dead(semaphore, seen))
        return MAPSEG_OK;
    if (msi_semaphore_owner(seen) != 0)
        return msi_failed(failure, MAPSEG_IN_USE, 0,
                          "a program that uses mapseg holds its lock, and lives; wait, or end that "
                          "program");
    return force ? MAPSEG_OK
                 : msi_failed(failure, MAPSEG_IN_USE, 0,
                              "the program that holds its lock leaves no mark, as Qt's do, so "
                              "whether it lives cannot be known; if it is dead for certain, repair "
                              "the lock by force");
}

mapseg_result
msi_semaphore_repair(struct msi_semaphore *semaphore, bool force, struct msi_failure *failure)
{
    uint64_t seen = msi_semaphore_look(semaphore);

    for (;;) {
        mapseg_result result = judge_repair(semaphore, seen, force, failure);

        if (result != MAPSEG_OK)
            return result;
        /* Before it is free: the next owner of mapseg's is told. */
        note_death(semaphore);
        if (!swap(semaphore, &seen, with(seen, MSI_SEMAPHORE_FREE, 0)))
            continue;
        wake(semaphore, seen);
        return MAPSEG_OK;
    }
}
