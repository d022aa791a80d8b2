/*
 * bystanders.c - files that a scribbled header must not lead to.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bystanders.h"
#include "arena.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
compare_names(const void *a, const void *b)
{
    return strcmp(((const struct witness *)a)->name, ((const struct witness *)b)->name);
}

static uint64_t
digest_of(int directory, const char *name, const struct stat *status)
{
    static unsigned char bytes[1 << 16];
    ssize_t got;
    int fd;

    if (!S_ISREG(status->st_mode))
        return 0;
    fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    need(fd >= 0);
    got = read(fd, bytes, sizeof bytes);
    need(got > 0);
    (void)close(fd);
    return mapseg_digest(bytes, (size_t)got);
}

/** All that is in the directory; how many. */
size_t
take_witness(const char *path, struct witness witnesses[FILES])
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    size_t found = 0;

    need(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        struct witness *witness = &witnesses[found];

        if (entry->d_name[0] == '.' && (entry->d_name[1] == '\0' || entry->d_name[1] == '.'))
            continue;
        need(found < FILES);
        memset(witness, 0, sizeof *witness);
        (void)snprintf(witness->name, sizeof witness->name, "%s", entry->d_name);
        need(fstatat(dirfd(directory), witness->name, &witness->status, AT_SYMLINK_NOFOLLOW) == 0);
        /* Of the one that is scribbled on only its being there counts. */
        if (strcmp(witness->name, arena->place.path + strlen(SHM "/")) != 0)
            witness->digest = digest_of(dirfd(directory), witness->name, &witness->status);
        else
            memset(&witness->status.st_mtim, 0, sizeof witness->status.st_mtim);
        found++;
    }
    (void)closedir(directory);
    qsort(witnesses, found, sizeof *witnesses, compare_names);
    return found;
}

void
check_witness(const char *path, const struct witness before[FILES], size_t expected)
{
    static struct witness after[FILES];
    size_t found = take_witness(path, after);

    for (size_t i = 0; i < found && i < expected; i++) {
        const struct stat *was = &before[i].status;
        const struct stat *is = &after[i].status;

        if (strcmp(before[i].name, after[i].name) != 0)
            broken("%s was there, %s is", before[i].name, after[i].name);
        if (was->st_ino != is->st_ino || was->st_mode != is->st_mode ||
            was->st_nlink != is->st_nlink || was->st_size != is->st_size ||
            was->st_uid != is->st_uid || before[i].digest != after[i].digest ||
            (!S_ISDIR(was->st_mode) &&
             memcmp(&was->st_mtim, &is->st_mtim, sizeof was->st_mtim) != 0))
            broken("%s was touched", before[i].name);
    }
    need_number(expected, found);
}

/** Files and segments that stand about. */
void
put_bystanders(void)
{
    need(mkdir(SHM "/directory", 0777) == 0);
    need(symlink("bystander1", SHM "/link") == 0);
    need(mkfifo(SHM "/fifo", 0666) == 0);
    for (int i = 0; i < 6; i++) {
        char path[80], key[80];
        mapseg *seg;
        int fd;

        (void)snprintf(path, sizeof path, SHM "/bystander%d", i);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        need(fd >= 0 && write(fd, path, sizeof path) == (ssize_t)sizeof path);
        (void)close(fd);
        (void)snprintf(key, sizeof key, "shm:segment%d", i);
        seg = created_as(key, 3000, MAPSEG_PERSISTENT);
        memset(mapseg_data(seg), i, 3000);
        mapseg_free(seg);
    }
}
