/*
 * posix_peers.c - programs that share memory by shm_open and sem_open, as Qt's do.
 *
 * SPDX-License-Identifier: MIT
 */
#include "posix_peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void
new_posix_place(struct posix_place *place)
{
    char name[KEY_BYTES - 32];
    char whole[KEY_BYTES];

    unique_name(whole);
    need(strlen(whole) < sizeof name);
    snprintf(name, sizeof name, "%s", whole);
    snprintf(place->name, sizeof place->name, "/%s", name);
    snprintf(place->key, sizeof place->key, "posix:/%s", name);
    snprintf(place->path, sizeof place->path, "/dev/shm/%s", name);
    snprintf(place->semaphore, sizeof place->semaphore, "/dev/shm/sem.%s", name);
}

bool
has_known_semaphores(void)
{
#if defined(__LP64__) && defined(__GLIBC__)
    return sizeof(sem_t) == 32;
#else
    return false;
#endif
}

static void *
map(int fd, size_t bytes)
{
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    need(data != MAP_FAILED);
    close(fd);
    return data;
}

struct theirs
they_create(const struct posix_place *place, size_t bytes)
{
    struct theirs theirs;
    int fd = shm_open(place->name, O_RDWR | O_CREAT | O_EXCL, 0600);

    need(fd >= 0);
    need_number(0, ftruncate(fd, (off_t)bytes));
    theirs.data = map(fd, bytes);
    theirs.semaphore = sem_open(place->name, O_CREAT, 0600, 1);
    need(theirs.semaphore != SEM_FAILED);
    return theirs;
}

struct theirs
they_attach(const struct posix_place *place, size_t bytes)
{
    struct theirs theirs;
    int fd = shm_open(place->name, O_RDWR, 0600);

    need(fd >= 0);
    theirs.data = map(fd, bytes);
    theirs.semaphore = sem_open(place->name, O_CREAT, 0600, 1);
    need(theirs.semaphore != SEM_FAILED);
    return theirs;
}

sem_t *
they_replace(const struct posix_place *place)
{
    sem_t *semaphore;

    need_number(0, sem_unlink(place->name));
    semaphore = sem_open(place->name, O_CREAT | O_EXCL, 0600, 1);
    need(semaphore != SEM_FAILED);
    return semaphore;
}

void
they_wait(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        need(errno == EINTR);
}

void
they_post(sem_t *semaphore)
{
    need_number(0, sem_post(semaphore));
}

int
their_value(sem_t *semaphore)
{
    int value = -1;

    need_number(0, sem_getvalue(semaphore, &value));
    return value;
}

void
clear_away(const struct posix_place *place)
{
    (void)unlink(place->path);
    (void)unlink(place->semaphore);
}
