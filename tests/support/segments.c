/*
 * segments.c - handles, and segments that tests make and leave.
 *
 * SPDX-License-Identifier: MIT
 */
#include "segments.h"

#include "assertions.h"
#include "footprints.h"
#include "places.h"
#include "processes.h"
#include "times.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

mapseg *
handle_for(const char *native_key)
{
    mapseg *seg = mapseg_new();

    if (seg == NULL)
        broken("no memory for a handle");
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, native_key));
    return seg;
}

mapseg *
created(const char *native_key, size_t size)
{
    mapseg *seg = handle_for(native_key);

    need_call(MAPSEG_OK, seg, mapseg_create(seg, size, MAPSEG_READ_WRITE));
    return seg;
}

mapseg *
created_as(const char *native_key, size_t size, uint32_t flags)
{
    mapseg *seg = handle_for(native_key);
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, size, MAPSEG_READ_WRITE, &options));
    return seg;
}

mapseg *
created_for(uint32_t mode, const char *native_key, size_t size, uint32_t flags)
{
    mapseg *seg = handle_for(native_key);
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags | MAPSEG_PERSISTENT;
    options.mode = mode;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, size, MAPSEG_READ_WRITE, &options));
    return seg;
}

mapseg *
attached_as(const char *native_key, mapseg_access access, uint32_t flags)
{
    mapseg *seg = handle_for(native_key);
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags;
    need_call(MAPSEG_OK, seg, mapseg_attach_with(seg, access, &options));
    return seg;
}

mapseg *
attached(const char *native_key, mapseg_access access)
{
    mapseg *seg = handle_for(native_key);

    need_call(MAPSEG_OK, seg, mapseg_attach(seg, access));
    return seg;
}

void *
data_of(mapseg *seg)
{
    void *data = mapseg_data(seg);

    if (data == NULL)
        broken("no data: %s", mapseg_error_string(seg));
    return data;
}

void
leave_persistent(const char *native_key, size_t size, uint32_t flags)
{
    char path[KEY_BYTES];

    mapseg_free(created_as(native_key, size, flags | MAPSEG_PERSISTENT));
    path_of(path, native_key);
    need(exists(path));
}

void
remove_persistent(const char *native_key)
{
    mapseg *seg = handle_for(native_key);
    char path[KEY_BYTES];

    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
    path_of(path, native_key);
    need(!exists(path));
}

struct debris {
    const char *native_key;
    size_t size;
    unsigned char fill;
};

static int
create_and_die(void *argument)
{
    const struct debris *debris = argument;
    mapseg *seg = created(debris->native_key, debris->size);

    memset(mapseg_data(seg), debris->fill, debris->size);
    raise(SIGKILL);
    return 1;
}

void
leave_debris(const char *native_key, size_t size, unsigned char fill)
{
    struct debris debris = {native_key, size, fill};
    char path[KEY_BYTES];

    need_number(128 + SIGKILL, in_child(create_and_die, &debris));
    path_of(path, native_key);
    await_deserted(path);
    need(exists(path));
}

mapseg_info *
describe(mapseg *seg)
{
    mapseg_info *information = NULL;

    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    need(information != NULL);
    return information;
}

static mapseg_info *
describe_key(const char *native_key)
{
    mapseg *seg = handle_for(native_key);
    mapseg_info *information = describe(seg);

    mapseg_free(seg);
    return information;
}

mapseg_use
use_of(const char *key)
{
    mapseg_info *information = describe_key(key);
    mapseg_use use = information->use;

    mapseg_info_free(information);
    return use;
}

mapseg_lock_state
lock_state_of(const char *key)
{
    mapseg_info *information = describe_key(key);
    mapseg_lock_state state = information->lock;

    mapseg_info_free(information);
    return state;
}

void
need_attached_through_at(const char *file, int line, uint32_t expected, mapseg *seg)
{
    int64_t deadline = hang_deadline();
    uint32_t attached;

    for (;;) {
        mapseg_info *information = NULL;

        need_result_at(file, line, "mapseg_info", MAPSEG_OK, mapseg_info_new(seg, &information));
        attached = information->attached;
        mapseg_info_free(information);
        if (attached == expected)
            return;
        if (now_ns() > deadline)
            broken_at(file, line, "%u are attached, not %u", attached, expected);
        nap(MILLISECOND);
    }
}

void
need_attached_at(const char *file, int line, uint32_t expected, const char *key)
{
    mapseg *seg = handle_for(key);

    need_attached_through_at(file, line, expected, seg);
    mapseg_free(seg);
}

uint64_t
inode_attached(mapseg *seg)
{
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);
    struct stat status;

    need(fd >= 0);
    need(fstat(fd, &status) == 0);
    (void)close(fd);
    return (uint64_t)status.st_ino;
}
