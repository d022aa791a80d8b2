/*
 * little_qt.c - see little_qt.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "little_qt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

union semaphore_argument {
    int value;
    void *others;
};

void
qt_begin(struct little_qt *qt, const char *file)
{
    memset(qt, 0, sizeof *qt);
    snprintf(qt->segment_file, sizeof qt->segment_file, "%s", file);
    snprintf(qt->lock_file, sizeof qt->lock_file, "%s", file);
    qt->project = 'Q';
    qt->set = -1;
}

/// Makes a key file; whether it was not there.
static bool
make_key_file(const char *file)
{
    int fd = open(file, O_EXCL | O_CREAT | O_RDWR, 0640);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/// Finds the set or makes it; `creating` sets it to 1 whatever it was.
static bool
find_set(struct little_qt *qt, bool creating)
{
    union semaphore_argument argument = {.value = 1};
    key_t key;

    if (qt->set >= 0)
        return true;
    if (make_key_file(qt->lock_file))
        qt->made_lock_file = true;
    key = ftok(qt->lock_file, qt->project);
    if (key == -1)
        return false;
    qt->set = semget(key, 1, 0600 | IPC_CREAT | IPC_EXCL);
    qt->made_set = qt->set >= 0;
    if (qt->set < 0 && errno == EEXIST)
        qt->set = semget(key, 1, 0600 | IPC_CREAT);
    if (qt->set >= 0 && (qt->made_set || creating))
        return semctl(qt->set, 0, SETVAL, argument) == 0;
    return qt->set >= 0;
}

/// Removes what the object made of the semaphore.
static void
forget_set(struct little_qt *qt)
{
    if (qt->made_lock_file)
        unlink(qt->lock_file);
    if (qt->made_set && qt->set >= 0)
        semctl(qt->set, 0, IPC_RMID);
    qt->made_lock_file = false;
    qt->made_set = false;
    qt->set = -1;
}

static bool
change(struct little_qt *qt, int by)
{
    struct sembuf operation = {.sem_op = (short)by, .sem_flg = SEM_UNDO};

    for (;;) {
        if (!find_set(qt, false))
            return false;
        if (semop(qt->set, &operation, 1) == 0)
            return true;
        if (errno == EINTR)
            continue;
        if (errno != EINVAL && errno != EIDRM)
            return false;
        /* The set is gone; so is what was done to it. */
        qt->set = -1;
        forget_set(qt);
    }
}

bool
qt_lock(struct little_qt *qt)
{
    if (!qt->locked)
        qt->locked = change(qt, -1);
    return qt->locked;
}

bool
qt_unlock(struct little_qt *qt)
{
    if (!qt->locked)
        return false;
    qt->locked = false;
    return change(qt, 1);
}

/// Maps the segment that the key file leads to.
static bool
map(struct little_qt *qt)
{
    struct shmid_ds status;
    key_t key = ftok(qt->segment_file, qt->project);
    int segment = key == -1 ? -1 : shmget(key, 0, 0600);
    void *memory = segment < 0 ? (void *)-1 : shmat(segment, NULL, 0);

    if (memory == (void *)-1)
        return false;
    if (shmctl(segment, IPC_STAT, &status) < 0)
        return false;
    qt->memory = memory;
    qt->size = status.shm_segsz;
    return true;
}

bool
qt_create(struct little_qt *qt, size_t size)
{
    bool made;
    key_t key;

    if (!find_set(qt, true) || !qt_lock(qt))
        return false;
    (void)make_key_file(qt->segment_file);
    key = ftok(qt->segment_file, qt->project);
    made = key != -1 && shmget(key, size, 0600 | IPC_CREAT | IPC_EXCL) >= 0 && map(qt);
    return qt_unlock(qt) && made;
}

bool
qt_attach(struct little_qt *qt)
{
    bool mapped;

    if (!qt_lock(qt))
        return false;
    mapped = access(qt->segment_file, F_OK) == 0 && map(qt);
    return qt_unlock(qt) && mapped;
}

bool
qt_detach(struct little_qt *qt)
{
    key_t key = ftok(qt->segment_file, qt->project);
    bool had_lock = qt->locked;
    struct shmid_ds status;
    int segment;

    if (qt->memory == NULL || (!had_lock && !qt_lock(qt)))
        return false;
    shmdt(qt->memory);
    qt->memory = NULL;
    segment = key == -1 ? -1 : shmget(key, 0, 0400);
    if (segment >= 0 && shmctl(segment, IPC_STAT, &status) == 0 && status.shm_nattch == 0) {
        shmctl(segment, IPC_RMID, NULL);
        unlink(qt->segment_file);
    }
    return qt_unlock(qt);
}

void
qt_end(struct little_qt *qt)
{
    if (qt->memory != NULL)
        (void)qt_detach(qt);
    forget_set(qt);
}

static bool
increment(struct little_qt *qt)
{
    volatile uint64_t *number = qt->memory;

    for (int i = 0; i < INCREMENTS; i++) {
        if (!qt_lock(qt))
            return false;
        *number = *number + 1;
        if (!qt_unlock(qt))
            return false;
    }
    return true;
}

static bool
obey(struct little_qt *qt, int word)
{
    switch (word) {
    case 'c':
        return qt_create(qt, 4096);
    case 'a':
        return qt_attach(qt);
    case 'l':
        return qt_lock(qt);
    case 'u':
        return qt_unlock(qt);
    case 'd':
        return qt_detach(qt);
    case 'i':
        return increment(qt);
    case 'e':
        qt_end(qt);
        return true;
    default:
        return false;
    }
}

int
qt_peer(int channel, void *file)
{
    struct little_qt qt;
    int word;

    qt_begin(&qt, file);
    for (word = hear(channel); word != 'q' && word != -1; word = hear(channel))
        say(channel, obey(&qt, word) ? 'y' : 'n');
    return 0;
}
