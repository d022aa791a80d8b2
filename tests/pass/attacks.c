/*
 * attacks.c - see attacks.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "attacks.h"

#include "sealed.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

pid_t creator;

static bool
write_mapping(void *address, size_t bytes)
{
    if (address == MAP_FAILED)
        return false;
    memset(address, '!', bytes);
    munmap(address, bytes);
    return true;
}

static int
reopen(int fd, int flags)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags | O_CLOEXEC);
}

static bool
map_to_write(int fd)
{
    return write_mapping(mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
                         FILE_BYTES);
}

static bool
protect_mapping(int fd)
{
    void *address = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);

    if (address == MAP_FAILED || mprotect(address, FILE_BYTES, PROT_READ | PROT_WRITE) != 0)
        return false;
    return write_mapping(address, FILE_BYTES);
}

/** All that the library itself has mapped of it here. */
static bool
protect_own_mappings(int fd)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned long from, to;
    int found = 0, altered = 0;

    (void)fd;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, "memfd:") == NULL || sscanf(line, "%lx-%lx", &from, &to) != 2)
            continue;
        found++;
        altered += mprotect((void *)from, to - from, PROT_READ | PROT_WRITE) == 0;
    }
    /* That none was found would be no proof. */
    return maps == NULL || fclose(maps) != 0 || found == 0 || altered != 0;
}

static bool
remove_through_mapping(int fd)
{
    void *address = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    bool done = address != MAP_FAILED && madvise(address, FILE_BYTES, MADV_REMOVE) == 0;

    if (address != MAP_FAILED)
        munmap(address, FILE_BYTES);
    return done;
}

static bool
write_descriptor(int fd)
{
    return lseek(fd, 5000, SEEK_SET) == 5000 && write(fd, "!!!!", 4) > 0;
}

static bool
write_at(int fd)
{
    return pwrite(fd, "!!!!", 4, 5000) > 0;
}

static bool
send_file(int fd)
{
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool done = lseek(fd, 5000, SEEK_SET) == 5000 && sendfile(fd, from, NULL, 100) > 0;

    close(from);
    return done;
}

static bool
change_flags(int fd)
{
    return fcntl(fd, F_SETFL, O_RDWR) == 0 && pwrite(fd, "!!!!", 4, 5000) > 0;
}

static bool
with_reopened(int fd, int flags, bool (*attack)(int fd))
{
    int again = reopen(fd, flags);
    bool done = again >= 0 && attack(again);

    if (again >= 0)
        close(again);
    return done;
}

static bool
reopen_and_map(int fd)
{
    return with_reopened(fd, O_RDWR, map_to_write);
}

static bool
reopen_and_write(int fd)
{
    return with_reopened(fd, O_RDWR, write_at) || with_reopened(fd, O_WRONLY, write_at) ||
           with_reopened(fd, O_WRONLY | O_APPEND, write_descriptor);
}

static bool
cut(int fd)
{
    return ftruncate(fd, 4096) == 0 || ftruncate(fd, 0) == 0;
}

static bool
grow(int fd)
{
    return ftruncate(fd, 1 << 20) == 0 || fallocate(fd, 0, 0, 1 << 20) == 0;
}

static bool
punch(int fd)
{
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192) == 0 ||
           fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 4096, 8192) == 0 ||
           fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096) == 0;
}

static bool
reopen_and_cut(int fd)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (truncate(path, 4096) == 0)
        return true;
    return with_reopened(fd, O_RDWR, cut);
}

static bool
reopen_to_cut(int fd)
{
    struct stat status;
    int again = reopen(fd, O_RDWR | O_TRUNC);

    if (again >= 0)
        close(again);
    return fstat(fd, &status) != 0 || status.st_size == 0;
}

static bool
reopen_and_grow(int fd)
{
    return with_reopened(fd, O_RDWR, grow);
}

static bool
reopen_and_punch(int fd)
{
    return with_reopened(fd, O_RDWR, punch);
}

static bool
seal_more(int fd)
{
    static const int seals[] = {F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_SHRINK};

    for (size_t i = 0; i < sizeof seals / sizeof *seals; i++)
        if (fcntl(fd, F_ADD_SEALS, seals[i]) == 0)
            return true;
    return false;
}

static bool
reopen_and_seal(int fd)
{
    return with_reopened(fd, O_RDWR, seal_more);
}

bool
make_executable(int fd)
{
    return fchmod(fd, 0700) == 0;
}

static bool
change_mode(int fd)
{
    return fchmod(fd, 0666) == 0;
}

static bool
change_owner(int fd)
{
    return fchown(fd, 65534, 65534) == 0;
}

/** Alters the segment that `fd` is on through another name of it, if the path is one. */
static bool
alter_through(const char *path, int fd)
{
    struct stat own, other;
    int found = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    bool done = found >= 0 && fstat(fd, &own) == 0 && fstat(found, &other) == 0 &&
                own.st_dev == other.st_dev && own.st_ino == other.st_ino &&
                (map_to_write(found) || write_at(found) || punch(found) || cut(found));

    if (found >= 0)
        close(found);
    return done;
}

/** What the creator has open and mapped. */
static bool
through_directory(const char *directory, int fd)
{
    DIR *names;
    struct dirent *entry;
    char path[PATH_MAX], target[256];
    bool done = false;

    snprintf(path, sizeof path, "/proc/%d/%s", creator, directory);
    names = opendir(path);
    if (names == NULL)
        return false;
    while (!done && (entry = readdir(names)) != NULL) {
        ssize_t length;

        snprintf(path, sizeof path, "/proc/%d/%s/%.64s", creator, directory, entry->d_name);
        length = readlink(path, target, sizeof target - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        done = strstr(target, "memfd:") != NULL && alter_through(path, fd);
    }
    closedir(names);
    return done;
}

static bool
through_creators_descriptors(int fd)
{
    char path[64];

    /* A process that may not list them can still guess. */
    for (int i = 0; i < 64; i++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", creator, i);
        if (alter_through(path, fd))
            return true;
    }
    return through_directory("fd", fd);
}

static bool
through_creators_mappings(int fd)
{
    return through_directory("map_files", fd);
}

const struct attack attacks[ATTACKS] = {
    {"map to write", map_to_write, false},
    {"make a mapping writable", protect_mapping, false},
    {"make the library's mappings writable", protect_own_mappings, false},
    {"remove through a mapping", remove_through_mapping, false},
    {"write", write_descriptor, false},
    {"pwrite", write_at, false},
    {"sendfile", send_file, false},
    {"change the descriptor's flags", change_flags, false},
    {"reopen and map", reopen_and_map, false},
    {"reopen and write", reopen_and_write, false},
    {"cut", cut, false},
    {"grow", grow, false},
    {"punch", punch, false},
    {"reopen and cut", reopen_and_cut, false},
    {"reopen to cut", reopen_to_cut, false},
    {"reopen and grow", reopen_and_grow, false},
    {"reopen and punch", reopen_and_punch, false},
    {"seal more", seal_more, false},
    {"reopen and seal", reopen_and_seal, false},
    {"through the creator's descriptors", through_creators_descriptors, false},
    {"through the creator's mappings", through_creators_mappings, false},
    {"change the mode", change_mode, true},
    {"change the owner", change_owner, true},
};

const struct attack *
attack_named(const char *name)
{
    for (int i = 0; i < ATTACKS; i++)
        if (strcmp(attacks[i].name, name) == 0)
            return &attacks[i];
    ck_abort_msg("no attack is named %s", name);
}
