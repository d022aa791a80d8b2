/*
 * footprints.c - what a process holds of shared memory, and what a file is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "footprints.h"

#include "assertions.h"
#include "places.h"
#include "times.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    int count = 0;

    need(directory != NULL);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count - 1;
}

/** Lines of a file that contain the text. */
static int
count_lines(const char *path, const char *text)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    int count = 0;

    /* Not an assertion: this is also used where no test runs. */
    if (file == NULL) {
        perror(path);
        exit(99);
    }
    while (getline(&line, &room, file) != -1)
        count += strstr(line, text) != NULL;
    free(line);
    fclose(file);
    return count;
}

int
count_mappings(const char *text)
{
    return count_lines("/proc/self/maps", text);
}

int
count_shared_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    char line[512];
    int count = 0;

    need(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        char rights[8];

        if (sscanf(line, "%*s %7s", rights) == 1 && rights[3] == 's')
            count++;
    }
    (void)fclose(file);
    return count;
}

/** Locked ranges from `first` to `last`; the kernel names any one of them, so look left and right.
 */
static int
count_locks_between(int fd, int64_t first, int64_t last)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first};
    int64_t end;

    lock.l_len = last == INT64_MAX ? 0 : last - first + 1;
    need_number(0, fcntl(fd, F_OFD_GETLK, &lock));
    if (lock.l_type == F_UNLCK)
        return 0;
    end = lock.l_len == 0 ? INT64_MAX : lock.l_start + lock.l_len - 1;
    return 1 + (lock.l_start > first ? count_locks_between(fd, first, lock.l_start - 1) : 0) +
           (end < last ? count_locks_between(fd, end + 1, last) : 0);
}

/*
 * Not from /proc/locks: the kernel shows that a page at a time, and what others lock meanwhile
 * makes it skip a line or show one twice.
 */
int
count_locks(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    int count = 0;

    if (fd == -1)
        return 0;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        count = count_locks_between(fd, 0, INT64_MAX);
    close(fd);
    return count;
}

void
await_deserted(const char *path)
{
    int64_t deadline = hang_deadline();

    while (count_locks(path) != 0) {
        if (now_ns() > deadline)
            broken("a process still holds locks on %s", path);
        nap(MILLISECOND);
    }
}

int
count_names(const char *text)
{
    DIR *directory = opendir(SHM_DIRECTORY);
    struct dirent *entry;
    int count = 0;

    need(directory != NULL);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.' && strstr(entry->d_name, text) != NULL;
    closedir(directory);
    return count;
}

uint64_t
inode_at(const void *address)
{
    FILE *file = fopen("/proc/self/maps", "re");
    uint64_t first, last, inode, found = 0;
    char *line = NULL;
    size_t room = 0;

    need(file != NULL);
    while (found == 0 && getline(&line, &room, file) != -1) {
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %" SCNu64, &first, &last, &inode) !=
            3)
            continue;
        if ((uintptr_t)address >= first && (uintptr_t)address < last)
            found = inode;
    }
    free(line);
    fclose(file);
    return found;
}

void
take_footprint(struct footprint *footprint, const char *path)
{
    footprint->descriptors = count_descriptors();
    footprint->mappings = count_mappings(SHM_DIRECTORY "/") + count_mappings("/memfd:");
    if (path != NULL && strncmp(path, SHM_DIRECTORY "/", strlen(SHM_DIRECTORY) + 1) != 0)
        footprint->mappings += count_mappings(path);
    footprint->locks = path == NULL ? 0 : count_locks(path);
    footprint->names = count_names(run_mark());
}

void
check_footprint(const struct footprint *before, const char *path)
{
    struct footprint now;

    take_footprint(&now, path);
    need_number(before->descriptors, now.descriptors);
    need_number(before->mappings, now.mappings);
    need_number(before->locks, now.locks);
    need_number(before->names, now.names);
}

/** The bytes of a regular file of up to 1 MiB, else NULL. */
static unsigned char *
read_bytes(const char *path, const struct stat *status)
{
    size_t size = (size_t)status->st_size;
    unsigned char *bytes;
    int fd;

    if (!S_ISREG(status->st_mode) || size == 0 || size > 1 << 20)
        return NULL;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd == -1)
        return NULL;
    bytes = malloc(size);
    need(bytes != NULL);
    need_number(size, pread(fd, bytes, size, 0));
    close(fd);
    return bytes;
}

void
take_file_state(struct file_state *state, const char *path)
{
    if (lstat(path, &state->status) != 0)
        broken("%s: %s", path, strerror(errno));
    state->bytes = read_bytes(path, &state->status);
}

void
check_file_state(struct file_state *state, const char *path)
{
    const struct stat *old = &state->status;
    struct stat now;
    unsigned char *bytes;

    if (lstat(path, &now) != 0)
        broken("%s: %s", path, strerror(errno));
    need_number(old->st_dev, now.st_dev);
    need_number(old->st_ino, now.st_ino);
    need_number(old->st_mode, now.st_mode);
    need_number(old->st_nlink, now.st_nlink);
    need_number(old->st_uid, now.st_uid);
    need_number(old->st_gid, now.st_gid);
    need_number(old->st_size, now.st_size);
    need_number(old->st_blocks, now.st_blocks);
    need(memcmp(&now.st_mtim, &old->st_mtim, sizeof now.st_mtim) == 0);
    need(memcmp(&now.st_ctim, &old->st_ctim, sizeof now.st_ctim) == 0);
    bytes = read_bytes(path, &now);
    if (state->bytes != NULL) {
        need(bytes != NULL);
        if (memcmp(bytes, state->bytes, (size_t)now.st_size) != 0)
            broken("%s was written to", path);
    }
    free(bytes);
    free(state->bytes);
}
