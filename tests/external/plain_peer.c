/*
 * plain_peer.c - a program with shm_open and sem_open, as any that was written without mapseg.
 *
 * programs.h says what it obeys.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char name[256];
static sem_t *semaphore;
static unsigned char *data;
static size_t size;

/** Maps the segment, and closes it. */
static bool
map(int fd)
{
    struct stat status;
    void *mapped;

    if (fstat(fd, &status) != 0)
        return false;
    size = (size_t)status.st_size;
    mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return false;
    data = mapped;
    close(fd);
    semaphore = sem_open(name, O_CREAT, 0600, 1);
    return semaphore != SEM_FAILED;
}

static bool
create(long bytes)
{
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);

    return fd >= 0 && ftruncate(fd, bytes) == 0 && map(fd);
}

static bool
attach(void)
{
    int fd = shm_open(name, O_RDWR, 0);

    return fd >= 0 && map(fd);
}

static bool
detach(void)
{
    bool done = munmap(data, size) == 0 && sem_close(semaphore) == 0;

    data = NULL;
    return done;
}

static bool
lock(void)
{
    while (sem_wait(semaphore) != 0)
        if (errno != EINTR)
            return false;
    return true;
}

static bool
increment(long times)
{
    volatile uint64_t *number = (volatile uint64_t *)(void *)(data + 1024);

    for (long i = 0; i < times; i++) {
        if (!lock())
            return false;
        *number = *number + 1;
        if (sem_post(semaphore) != 0)
            return false;
    }
    return true;
}

static void
answer(bool done)
{
    if (done)
        puts("ok");
    else
        printf("error %s\n", strerror(errno));
}

static void
obey(const char *word, const char *rest)
{
    if (strcmp(word, "posix") == 0) {
        answer(snprintf(name, sizeof name, "%s", rest) > 0);
    } else if (strcmp(word, "create") == 0) {
        answer(create(strtol(rest, NULL, 10)));
    } else if (strcmp(word, "attach") == 0) {
        answer(attach());
    } else if (strcmp(word, "detach") == 0) {
        answer(detach());
    } else if (strcmp(word, "lock") == 0) {
        answer(lock());
    } else if (strcmp(word, "unlock") == 0) {
        answer(sem_post(semaphore) == 0);
    } else if (strcmp(word, "increment") == 0) {
        answer(increment(strtol(rest, NULL, 10)));
    } else if (strcmp(word, "write") == 0) {
        memcpy(data, rest, strlen(rest) + 1);
        answer(true);
    } else if (strcmp(word, "read") == 0) {
        puts((const char *)data);
    } else if (strcmp(word, "size") == 0) {
        printf("%zu\n", size);
    } else if (strcmp(word, "end") == 0) {
        answer(data == NULL || detach());
    } else {
        puts("error no such word");
    }
}

int
main(void)
{
    char line[512];

    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *rest;

        line[strcspn(line, "\n")] = '\0';
        rest = strchr(line, ' ');
        if (rest != NULL)
            *rest++ = '\0';
        obey(line, rest == NULL ? "" : rest);
    }
    return 0;
}
