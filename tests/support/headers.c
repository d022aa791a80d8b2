/*
 * headers.c - the header of a segment's file, and its locks, without the library.
 *
 * SPDX-License-Identifier: MIT
 */
#include "headers.h"

#include "assertions.h"
#include "places.h"
#include "times.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct mapseg_header *
map_header(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *memory;

    need(fd >= 0);
    memory = mmap(NULL, MAPSEG_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(memory != MAP_FAILED);
    (void)close(fd);
    return memory;
}

uint32_t
lock_word(const struct mapseg_header *header)
{
    return __atomic_load_n(&header->lock, __ATOMIC_SEQ_CST);
}

void
set_lock_word(struct mapseg_header *header, uint32_t word)
{
    __atomic_store_n(&header->lock, word, __ATOMIC_SEQ_CST);
}

uint64_t
recoveries_of(const struct mapseg_header *header)
{
    return __atomic_load_n(&header->recoveries, __ATOMIC_SEQ_CST);
}

void
await_word_at(const char *file, int line, const struct mapseg_header *header, uint32_t bits)
{
    int64_t deadline = hang_deadline();

    while ((lock_word(header) & bits) == 0) {
        if (now_ns() > deadline)
            broken_at(file, line, "the lock word stays 0x%08x", (unsigned)lock_word(header));
        nap(MILLISECOND / 5);
    }
}

int
hold_bytes(const char *path, int64_t first, int64_t count)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct flock range = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = (off_t)(MAPSEG_PRESENCE_BASE + first),
        .l_len = (off_t)count,
    };

    need(fd >= 0);
    need(fcntl(fd, F_OFD_SETLK, &range) == 0);
    return fd;
}

uint32_t
slot_in_maps(pid_t pid, const char *path)
{
    uint64_t wanted = inode_of(path);
    char name[40];
    char line[512];
    uint32_t slot = 0;
    FILE *file;

    (void)snprintf(name, sizeof name, "/proc/%d/maps", (int)pid);
    file = fopen(name, "re");
    need(file != NULL && wanted != 0);
    while (fgets(line, sizeof line, file) != NULL) {
        char rights[8];
        uint64_t offset;
        uint64_t inode;

        if (sscanf(line, "%*s %7s %" SCNx64 " %*s %" SCNu64, rights, &offset, &inode) == 3 &&
            inode == wanted && strcmp(rights, "---s") == 0)
            slot = (uint32_t)(offset / MAPSEG_HEADER_BYTES);
    }
    (void)fclose(file);
    return slot;
}
