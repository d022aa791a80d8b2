/*
 * versions.c - processes that change the data, read it, and die half way.
 *
 * SPDX-License-Identifier: MIT
 */

#include "versions.h"

#include <stdio.h>
#include <stdlib.h>

bool in_memory;

uint32_t show_mode = 0644;

uint32_t reader_flags;

/** Of the memory file, for those who may not write it. */
static int read_only_descriptor = -1;

void
use_memory_files(void)
{
    in_memory = true;
}

static void
name_descriptor(struct place *place, int fd)
{
    need(fd >= 0);
    (void)snprintf(place->key, sizeof place->key, "memfd:%d", fd);
    (void)snprintf(place->path, sizeof place->path, "/proc/self/fd/%d", fd);
}

void
make_show(struct stage *stage, size_t bytes, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(in_memory ? "memfd:" : stage->place.key);

    options.flags = flags | (in_memory ? 0 : (uint32_t)MAPSEG_PERSISTENT);
    options.mode = in_memory ? 0 : show_mode;
    need_result(MAPSEG_OK, mapseg_create_with(seg, bytes, MAPSEG_READ_WRITE, &options));
    if (!in_memory) {
        mapseg_free(seg);
        return;
    }
    read_only_descriptor = exported_fd(seg, MAPSEG_READ_ONLY);
    need(read_only_descriptor >= 0);
    name_descriptor(&stage->place, exported_fd(seg, MAPSEG_READ_WRITE));
    mapseg_free(seg);
}

struct stage *
new_show(size_t bytes)
{
    struct stage *stage = new_stage();

    make_show(stage, bytes, 0);
    return stage;
}

void
end_show(struct stage *stage)
{
    if (!in_memory)
        remove_persistent(stage->place.key);
}

mapseg *
reader_at(const struct place *place, enum reader_kind kind)
{
    struct place used = *place;
    mapseg *seg;

    if (kind == READER_STRANGER) {
        become_nobody();
        if (in_memory)
            name_descriptor(&used, read_only_descriptor);
    }
    seg = attached_as(used.key, kind == READER_CAN_WRITE ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY,
                      reader_flags);
    if (kind == READER_STRANGER)
        need_result(MAPSEG_PERMISSION_DENIED, mapseg_try_lock(seg));
    return seg;
}

enum reader_kind next_kind;

int
count_kinds(void)
{
    return is_root() ? READER_KINDS : READER_STRANGER;
}

void
start_all(void (*body)(struct stage *stage), struct stage *stage, pid_t *pids)
{
    for (int i = 0; i < count_kinds(); i++) {
        next_kind = (enum reader_kind)i;
        pids[i] = start(body, stage);
    }
}

void
finish_all(const pid_t *pids)
{
    for (int i = 0; i < count_kinds(); i++)
        finish(pids[i]);
}

void
make_change(mapseg *seg)
{
    need_result(MAPSEG_OK, payload_change(seg, mapseg_size(seg)));
}

uint64_t
need_whole(mapseg *seg)
{
    size_t bytes = mapseg_size(seg);
    void *copy = malloc(bytes);
    uint64_t version = 1;

    need(copy != NULL);
    need_result(MAPSEG_OK, mapseg_read(seg, 0, copy, bytes, &version));
    need(version % 2 == 0);
    need(payload_is(copy, bytes, version));
    free(copy);
    return version;
}

void
hold_change(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    size_t bytes = mapseg_size(seg);
    uint64_t version;

    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    version = payload_next_version(seg);
    payload_fill(mapseg_data(seg), 0, bytes / 2, version);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    payload_fill(mapseg_data(seg), bytes / 2, bytes, version);
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    mapseg_free(seg);
}

pid_t
start_writer(struct stage *stage)
{
    int before = atomic_load(&stage->ready);
    pid_t pid = start(hold_change, stage);

    await(&stage->ready, before + 1);
    return pid;
}

void
let_writer_die(struct stage *stage)
{
    kill_and_reap(start_writer(stage));
}

void
repair(mapseg *seg)
{
    need_result(MAPSEG_OWNER_DIED, mapseg_write_begin(seg));
    payload_fill(mapseg_data(seg), 0, mapseg_size(seg), payload_next_version(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
}

uint64_t
version_of(const struct mapseg_header *header)
{
    return __atomic_load_n(&header->version, __ATOMIC_SEQ_CST);
}

void
set_version(struct mapseg_header *header, uint64_t version)
{
    __atomic_store_n(&header->version, version, __ATOMIC_SEQ_CST);
}
