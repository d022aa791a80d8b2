/*
 * memory.c - a segment without a name.
 *
 * SPDX-License-Identifier: MIT
 */
#include "memory.h"

#include <string.h>

mapseg *
memory_segment(uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for("memfd:");

    options.flags = flags;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    return seg;
}

void
publish(mapseg *seg, const char *text)
{
    need_call(MAPSEG_OK, seg, mapseg_write_begin(seg));
    strcpy(mapseg_data(seg), text);
    need_call(MAPSEG_OK, seg, mapseg_write_end(seg));
}
