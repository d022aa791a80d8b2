/*
 * mounts.c - a /dev/shm of the test's own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mounts.h"

#include "assertions.h"
#include "places.h"
#include "skips.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static bool
write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd != -1 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd != -1)
        close(fd);
    return written;
}

/** Leaves the mounts, and all users but this one. */
static bool
leave_with_one_user(void)
{
    char users[64], groups[64];

    snprintf(users, sizeof users, "%ld %ld 1", (long)geteuid(), (long)geteuid());
    snprintf(groups, sizeof groups, "%ld %ld 1", (long)getegid(), (long)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/uid_map", users) &&
           write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/gid_map", groups);
}

/** Gives the user namespace of a process the users that there are outside of it. */
static bool
give_users(pid_t process)
{
    char users[64], groups[64];

    snprintf(users, sizeof users, "/proc/%ld/uid_map", (long)process);
    snprintf(groups, sizeof groups, "/proc/%ld/gid_map", (long)process);
    return write_text(users, "0 0 65535") && write_text(groups, "0 0 65535");
}

/** Leaves the mounts, as root that may not do so by itself, and keeps the users. One who stays
 * outside, and is root there, has to give them. */
static bool
leave_with_all_users(void)
{
    pid_t self = getpid(), giver;
    int ends[2], status = -1;
    bool left;

    if (pipe(ends) != 0)
        return false;
    giver = fork();
    if (giver == 0) {
        char word;

        _exit(read(ends[0], &word, 1) == 1 && word == 'l' && give_users(self) ? 0 : 1);
    }
    left = unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    left = write(ends[1], left ? "l" : "s", 1) == 1 && left;
    close(ends[0]);
    close(ends[1]);
    return giver > 0 && waitpid(giver, &status, 0) == giver && status == 0 && left;
}

/** Leaves the mounts that other processes see; with the help of a user namespace where it takes
 * one. */
static bool
leave_mounts(void)
{
    if (unshare(CLONE_NEWNS) == 0)
        return true;
    return is_root() ? leave_with_all_users() : leave_with_one_user();
}

static bool
mount_shm(const char *options)
{
    char data[128];

    snprintf(data, sizeof data, "mode=1777,%s", options);
    return leave_mounts() && mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("mapsegtest", SHM_DIRECTORY, "tmpfs", 0, data) == 0;
}

bool
can_mount(void)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(mount_shm("size=1m") ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

bool
can_unmount(void)
{
    int status = -1;
    pid_t child = fork();

    /* In a user namespace what was mounted outside stays. */
    if (child == 0)
        _exit(unshare(CLONE_NEWNS) == 0 ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

bool
can_make_devices(bool privately)
{
    char name[KEY_BYTES];
    int status = -1;
    pid_t child;

    snprintf(name, sizeof name, SHM_DIRECTORY "/%sdevice", run_mark());
    child = fork();
    if (child == 0)
        _exit((!privately || mount_shm("size=1m")) &&
                      mknod(name, S_IFCHR | 0600, makedev(1, 3)) == 0 && unlink(name) == 0
                  ? 0
                  : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

void
use_tiny_shm(const char *options)
{
    if (!mount_shm(options))
        broken("mount: %s", strerror(errno));
}

uint64_t
free_blocks(void)
{
    struct statvfs status;

    need_number(0, statvfs(SHM_DIRECTORY, &status));
    return status.f_bfree;
}
