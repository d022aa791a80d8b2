/*
 * scene.c - a segment, and a process that makes its file shorter.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scene.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/// A process that makes a file shorter when it is told to, and whole again.
static int
shorten(int channel, void *path)
{
    int fd = -1;
    int word;

    while ((word = hear(channel)) > 0 && word != 'q') {
        off_t bytes = word == '0'   ? 0
                      : word == 'h' ? (off_t)MAPSEG_HEADER_BYTES
                      : word == 'm' ? (off_t)(MAPSEG_HEADER_BYTES + SIZE / 2)
                      : word == 'p' ? (off_t)FILE_BYTES - 1
                                    : (off_t)FILE_BYTES;

        if (fd == -1)
            fd = open(path, O_RDWR | O_CLOEXEC);
        say(channel, fd != -1 && ftruncate(fd, bytes) == 0 ? 'y' : 'n');
    }
    return 0;
}

void
begin_scene(struct scene *scene)
{
    unique_key(scene->key);
    path_of(scene->path, scene->key);
    scene->peer = start_peer(shorten, scene->path);
}

void
attach_scene(struct scene *scene, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    scene->seg = handle_for(scene->key);
    options.flags = flags;
    need_call(MAPSEG_OK, scene->seg,
              mapseg_create_with(scene->seg, SIZE, MAPSEG_READ_WRITE, &options));
    memset(mapseg_data(scene->seg), FILL, SIZE);
}

void
set_up(struct scene *scene, uint32_t flags)
{
    begin_scene(scene);
    attach_scene(scene, flags);
}

void
tear_down(struct scene *scene)
{
    mapseg_free(scene->seg);
    say(scene->peer.channel, 'q');
    ck_assert_int_eq(end_peer(&scene->peer), 0);
}

void
check_data(const mapseg *seg, size_t whole)
{
    const volatile unsigned char *data = mapseg_const_data(seg);

    for (size_t i = 0; i < SIZE; i++)
        if (data[i] != (i < whole ? FILL : 0))
            ck_abort_msg("byte %zu is %#x", i, data[i]);
}
