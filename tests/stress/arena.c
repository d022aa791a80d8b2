/*
 * arena.c - the segment that victims and scribblers meet in.
 *
 * SPDX-License-Identifier: MIT
 */
#include "arena.h"

#include <string.h>
#include <sys/mman.h>

struct arena *arena;
int my_number;

bool
goes_on(void)
{
    return atomic_load(&arena->stop) == 0;
}

struct mapseg_header *
map_arena(void)
{
    void *memory;

    if (arena->fd < 0)
        return map_header(arena->place.path);
    memory = mmap(NULL, MAPSEG_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, arena->fd, 0);
    need(memory != MAP_FAILED);
    return memory;
}

void
set_arena(bool nameless)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg;

    arena = shared_memory(sizeof *arena);
    arena->fd = -1;
    arena->read_fd = -1;
    new_place(&arena->place);
    options.flags = MAPSEG_PERSISTENT;
    options.mode = 0644;
    seg = handle_for(nameless ? "memfd:" : arena->place.key);
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    if (nameless) {
        arena->fd = exported_fd(seg, MAPSEG_READ_WRITE);
        arena->read_fd = exported_fd(seg, MAPSEG_READ_ONLY);
        need(arena->fd >= 0 && arena->read_fd >= 0);
    }
    mapseg_free(seg);
    memcpy(&arena->good, map_arena(), sizeof arena->good);
}
