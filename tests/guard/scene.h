/*
 * scene.h - a segment whose file another process makes shorter when it is told to.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_SCENE_H
#define MAPSEG_TEST_SCENE_H

#include "mapseg-format.h"
#include "support.h"

#define PAGE ((size_t)4096)
#define SIZE (16 * PAGE)
#define FILE_BYTES (MAPSEG_HEADER_BYTES + SIZE)
#define FILL 0xa5

/* What a child says by its exit status. */
#define WELL 42
#define BAD 43

/// A segment, attached here, and a process that can shorten its file.
struct scene {
    char key[KEY_BYTES];
    char path[KEY_BYTES];
    struct peer peer;
    mapseg *seg;
};

/// The process alone; it must not inherit any attachment.
void begin_scene(struct scene *scene);
/// Creates the segment, and fills its data.
void attach_scene(struct scene *scene, uint32_t flags);

/// Both of these.
void set_up(struct scene *scene, uint32_t flags);
void tear_down(struct scene *scene);

/// Checks that the data is as it was filled up to a place, and zero from there.
void check_data(const mapseg *seg, size_t whole);

#endif
