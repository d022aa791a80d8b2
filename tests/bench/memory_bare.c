/*
 * memory_bare.c - shared memory by the bare system calls, which is what the others are held
 * against.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "peer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct bare {
    char name[64];
    char path[80];
    void *memory;
    size_t bytes;
};

static void
destroy(void *handle)
{
    struct bare *bare = handle;

    munmap(bare->memory, bare->bytes);
    shm_unlink(bare->name);
    free(bare);
}

static void *
map_new(struct bare *bare)
{
    void *memory = MAP_FAILED;
    int file = shm_open(bare->name, O_RDWR | O_CREAT | O_EXCL, 0600);

    if (file < 0)
        return NULL;
    if (ftruncate(file, (off_t)bare->bytes) == 0)
        memory = mmap(NULL, bare->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED)
        return memory;
    shm_unlink(bare->name);
    return NULL;
}

static void *
create(size_t bytes, void **handle)
{
    static int made = 0;
    struct bare *bare = calloc(1, sizeof *bare);

    if (bare == NULL)
        return NULL;
    snprintf(bare->name, sizeof bare->name, "/bench-bare-%ld-%d", (long)getpid(), made++);
    snprintf(bare->path, sizeof bare->path, "/dev/shm%s", bare->name);
    bare->bytes = bytes;
    bare->memory = map_new(bare);
    if (bare->memory == NULL) {
        free(bare);
        return NULL;
    }
    *handle = bare;
    return bare->memory;
}

static void *
setup(size_t bytes)
{
    void *handle = NULL;

    return create(bytes, &handle) == NULL ? NULL : handle;
}

static bool
reach_once(const struct bare *bare)
{
    struct stat status;
    void *memory = MAP_FAILED;
    int file = open(bare->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (file < 0)
        return false;
    if (fstat(file, &status) == 0)
        memory = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory != MAP_FAILED)
        munmap(memory, (size_t)status.st_size);
    close(file);
    return memory != MAP_FAILED;
}

static bool
reach(void *state, long count)
{
    for (; count > 0; count--) {
        if (!reach_once(state))
            return false;
    }
    return true;
}

const struct memory memory_bare = {
    .name = "bare",
    .how_reached = "open, fstat, mmap, munmap, close",
    .how_created = "shm_open, ftruncate, mmap",
    .setup = setup,
    .reach = reach,
    .teardown = destroy,
    .create = create,
    .destroy = destroy,
};
