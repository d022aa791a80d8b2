/*
 * system_v_scene.c - see system_v_scene.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "system_v_scene.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

char key[KEY_BYTES];
char file[KEY_BYTES];

static bool own_world;

void
enter_scene(void)
{
    char name[KEY_BYTES];

    own_world = is_root() && unshare(CLONE_NEWIPC) == 0;
    unique_name(name);
    snprintf(file, sizeof file, "%s/%.100s", SHM_DIRECTORY, name);
    snprintf(key, sizeof key, "systemv:%.200s", file);
}

void
leave_scene(void)
{
    ck_assert(!exists(file));
    need_segments(0);
    need_sets(0);
}

bool
has_own_world(void)
{
    return own_world;
}

/// Lines of a table of the kernel, without its heading; -1: it cannot be read, or others are in it.
static int
count_lines(const char *table)
{
    char line[512];
    int lines = -1;
    FILE *stream;

    if (!own_world)
        return -1;
    stream = fopen(table, "re");
    ck_assert_ptr_nonnull(stream);
    while (fgets(line, sizeof line, stream) != NULL)
        lines++;
    fclose(stream);
    return lines;
}

int
count_segments(void)
{
    return count_lines("/proc/sysvipc/shm");
}

int
count_sets(void)
{
    return count_lines("/proc/sysvipc/sem");
}

void
need_segments(int expected)
{
    if (own_world)
        need_number(expected, count_segments());
}

void
need_sets(int expected)
{
    if (own_world)
        need_number(expected, count_sets());
}

int
segment_of(const char *path)
{
    key_t number = ftok(path, 'Q');

    return number == -1 ? -1 : shmget(number, 0, 0);
}

int
set_of(const char *path)
{
    key_t number = ftok(path, 'Q');

    return number == -1 ? -1 : semget(number, 1, 0);
}

int
value_of(int set)
{
    return semctl(set, 0, GETVAL);
}

struct peer
qt_program(void)
{
    return start_peer(qt_peer, file);
}
