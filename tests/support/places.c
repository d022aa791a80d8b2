/*
 * places.c - where segments lie: names, keys and files that no other test has.
 *
 * SPDX-License-Identifier: MIT
 */
#include "places.h"

#include "assertions.h"
#include "times.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *
run_mark(void)
{
    static char mark[32];

    if (mark[0] == '\0')
        snprintf(mark, sizeof mark, "mapsegtest%ldx", (long)getpid());
    return mark;
}

void
unique_name(char name[KEY_BYTES])
{
    static unsigned int count;

    snprintf(name, KEY_BYTES, "%s%ldx%u", run_mark(), (long)getpid(), count++);
}

const char *
test_directory(void)
{
    const char *directory = getenv("MAPSEG_TEST_DIRECTORY");

    return directory != NULL && directory[0] == '/' ? directory : SHM_DIRECTORY;
}

void
unique_key(char key[KEY_BYTES])
{
    const char *directory = test_directory();
    char name[KEY_BYTES];

    unique_name(name);
    if (strcmp(directory, SHM_DIRECTORY) == 0)
        snprintf(key, KEY_BYTES, "shm:%.200s", name);
    else
        snprintf(key, KEY_BYTES, "file:%.120s/%.120s", directory, name);
}

void
path_of(char path[KEY_BYTES], const char *native_key)
{
    need(native_key != NULL);
    if (strncmp(native_key, "file:", 5) == 0) {
        snprintf(path, KEY_BYTES, "%.250s", native_key + 5);
        return;
    }
    need(strncmp(native_key, "shm:", 4) == 0);
    snprintf(path, KEY_BYTES, SHM_DIRECTORY "/%.240s", native_key + 4);
}

void
new_place(struct place *place)
{
    unique_key(place->key);
    path_of(place->path, place->key);
}

bool
exists(const char *path)
{
    return inode_of(path) != 0;
}

uint64_t
inode_of(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

void
await_gone(const char *path)
{
    int64_t deadline = hang_deadline();

    while (exists(path)) {
        if (now_ns() > deadline)
            broken("%s stays", path);
        nap(MILLISECOND / 5);
    }
}
