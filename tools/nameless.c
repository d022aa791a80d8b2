/*
 * nameless.c - segments that have lost their names, and which processes still have them.
 *
 * A name goes by a clean-up, by mapseg rm, or since another segment has it. A process that is
 * attached has the file open: there, in /proc, it is found.
 *
 * SPDX-License-Identifier: MIT
 */
#include "nameless.h"
#include "common.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the kernel writes behind the name of a file that has none any more. */
#define DELETED " (deleted)"

/* What one process has shown so far: it may have a file open several times. */
#define MOST_SHOWN 64

struct shown {
    struct {
        dev_t device;
        ino_t inode;
    } files[MOST_SHOWN];
    size_t count;
};

/* Whether it is new; then it no longer is. */
static bool
note_file(struct shown *shown, const struct stat *status)
{
    for (size_t i = 0; i < shown->count; i++)
        if (shown->files[i].device == status->st_dev && shown->files[i].inode == status->st_ino)
            return false;
    if (shown->count < MOST_SHOWN) {
        shown->files[shown->count].device = status->st_dev;
        shown->files[shown->count].inode = status->st_ino;
        shown->count++;
    }
    return true;
}

/* What the library says of an open file; NULL: it is no segment. */
static mapseg_info *
describe(int descriptor)
{
    char key[32];
    mapseg_info *seen = NULL;
    mapseg *seg = mapseg_new();
    snprintf(key, sizeof key, "memfd:%d", descriptor);
    if (seg != NULL && mapseg_set_native_key(seg, key) == MAPSEG_OK &&
        mapseg_info_new(seg, &seen) == MAPSEG_OK && seen->format == 0) {
        mapseg_info_free(seen);
        seen = NULL;
    }
    mapseg_free(seg);
    return seen;
}

/* Its former name out of what the kernel shows; false: it is no file that had one. A file that
 * was made without a name, and got one later, is shown by a number. */
static bool
find_former(char *target, ssize_t bytes, const char **former)
{
    const size_t behind = strlen(DELETED);
    if (bytes <= (ssize_t)behind || bytes == PATH_MAX)
        return false;
    target[bytes] = '\0';
    if (target[0] != '/' || strncmp(target, "/memfd:", 7) == 0 ||
        strcmp(target + bytes - behind, DELETED) != 0)
        return false;
    target[(size_t)bytes - behind] = '\0';
    *former = strncmp(strrchr(target, '/'), "/#", 2) == 0 ? "" : target;
    return true;
}

/* Looks at one descriptor of a process. */
static bool
look_at(struct nameless *found, struct shown *shown,
        bool (*visit)(void *context, const struct nameless *found), void *context)
{
    char target[PATH_MAX];
    struct stat status;
    if (!find_former(target, readlink(found->path, target, sizeof target), &found->former) ||
        stat(found->path, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 0)
        return true;
    int descriptor = open(found->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (descriptor < 0)
        return true;
    bool on = true;
    found->seen = note_file(shown, &status) ? describe(descriptor) : NULL;
    if (found->seen != NULL)
        on = visit(context, found);
    mapseg_info_free(found->seen);
    close(descriptor);
    return on;
}

static bool
each_descriptor(pid_t pid, bool (*visit)(void *context, const struct nameless *found),
                void *context)
{
    struct shown shown = {.count = 0};
    struct nameless found = {.pid = pid};
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return true;
    bool on = true;
    struct dirent *entry;
    while (on && (entry = readdir(directory)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(found.path, sizeof found.path, "/proc/%d/fd/%.20s", (int)pid, entry->d_name);
        on = look_at(&found, &shown, visit, context);
    }
    closedir(directory);
    return on;
}

bool
each_nameless(bool (*visit)(void *context, const struct nameless *found), void *context)
{
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        return true;
    bool on = true;
    struct dirent *entry;
    while (on && (entry = readdir(processes)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]))
            on = each_descriptor((pid_t)strtol(entry->d_name, NULL, 10), visit, context);
    closedir(processes);
    return on;
}

/* A name whose former segments are looked for. */
struct search {
    const char *path;  /* of the key; NULL: not known */
    const char *label; /* of segments that were made by it; NULL: none */
    bool as_note;
};

static bool
tell_user(void *context, const struct nameless *found)
{
    const struct search *search = context;
    bool by_path = search->path != NULL && strcmp(search->path, found->former) == 0;
    bool by_label = search->label != NULL && *found->former == '\0' &&
                    found->seen->uid == geteuid() && strcmp(search->label, found->seen->label) == 0;
    if (!by_path && !by_label)
        return true;
    if (search->as_note)
        note("process %d still has a segment that had this name; it can be read from %s",
             (int)found->pid, found->path);
    else
        printf("%-13sprocess %d still has another segment that had this name, %s\n",
               "Name:", (int)found->pid, found->path);
    return true;
}

void
tell_former_users(mapseg *seg, bool as_note)
{
    static const struct {
        const char *type;
        const char *directory;
    } places[] = {{"shm:", "/dev/shm/"}, {"file:", ""}};
    const char *key = mapseg_native_key(seg);
    struct search search = {NULL, mapseg_key(seg), as_note};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        size_t bytes = strlen(places[i].type);
        if (strncmp(key, places[i].type, bytes) == 0 &&
            (size_t)snprintf(path, sizeof path, "%s%s", places[i].directory, key + bytes) <
                sizeof path)
            search.path = path;
    }
    (void)each_nameless(tell_user, &search);
}
