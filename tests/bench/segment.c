/*
 * segment.c - segments for the measures that are about mapseg's own calls.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "../support/calls.h"
#include "segment.h"

#include <stdio.h>
#include <unistd.h>

bool
segment_did(mapseg *seg, mapseg_result result)
{
    if (result == MAPSEG_OK)
        return true;
    fprintf(stderr, "bench: %s: %s\n", mapseg_result_name(result), mapseg_error_string(seg));
    return false;
}

mapseg *
segment_new(enum segment_kind kind, size_t bytes)
{
    static int made = 0;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char key[64] = "memfd:";
    mapseg *seg = mapseg_new();

    if (seg == NULL)
        return NULL;
    options.flags = kind == SEGMENT_GUARDED ? MAPSEG_GUARDED : 0;
    options.mode = kind == SEGMENT_SHARED ? 0666 : 0;
    if (kind != SEGMENT_MEMFD)
        snprintf(key, sizeof key, "shm:mapseg-bench-%ld-own-%d", (long)getpid(), made++);
    if (segment_did(seg, mapseg_set_native_key(seg, key)) &&
        segment_did(seg, mapseg_create_with(seg, bytes, MAPSEG_READ_WRITE, &options)))
        return seg;
    mapseg_free(seg);
    return NULL;
}

mapseg *
segment_reader(mapseg *seg)
{
    int file = exported_fd(seg, MAPSEG_READ_ONLY);
    mapseg *reader = file < 0 ? NULL : mapseg_new();

    if (file < 0)
        segment_did(seg, mapseg_error(seg));
    if (reader != NULL && segment_did(reader, mapseg_attach_fd(reader, file, MAPSEG_READ_ONLY)))
        return reader;
    if (file >= 0)
        close(file);
    mapseg_free(reader);
    return NULL;
}
