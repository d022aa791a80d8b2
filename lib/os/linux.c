/*
 * linux.c - the operations of os.h on Linux.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os.h"
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "without large-file support the kernel would be asked for "
                                   "locks on byte 0 instead of byte 2^62");

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* O_NONBLOCK: neither a FIFO nor another process's lease may make us wait. O_NOCTTY: a
 * terminal at the name must not become ours. */
#define OPEN_FLAGS (O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/** An int result with errno folded in. */
static int
result_of(int result)
{
    return result < 0 ? -errno : result;
}

/* No operation but socket_await is a cancellation point: a thread that ended within one
 * would leave locked, open or half done what the library has in hand. What follows
 * brackets every call that POSIX lets be one. */
static int
hold_off_cancellation(void)
{
    int state = PTHREAD_CANCEL_ENABLE;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}

static void
restore_cancellation(int state)
{
    int error = errno;

    (void)pthread_setcancelstate(state, NULL);
    errno = error;
}

static void
linux_close(int fd)
{
    int state = hold_off_cancellation();

    /* Linux frees the descriptor whatever close() says; nothing here has
     * unwritten data whose loss it could report. */
    (void)close(fd);
    restore_cancellation(state);
}

/** Another descriptor of the same description, above the standard ones. */
static int
linux_duplicate(int fd)
{
    int high = result_of(fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));

    /* So it says where the limit on descriptors allows no such number. */
    return high == -EINVAL ? -EMFILE : high;
}

/** A new descriptor, or a negative errno, as it is; but one that took the place of
 *  a standard descriptor is moved away from there. */
static int
lift(int fd)
{
    int high;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    high = linux_duplicate(fd);
    linux_close(fd);
    return high;
}

static int
open_at(int directory, const char *name, int flags, mode_t mode)
{
    int state = hold_off_cancellation();
    int fd = result_of(openat(directory < 0 ? AT_FDCWD : directory, name, flags, mode));

    restore_cancellation(state);
    return lift(fd);
}

static int
linux_open(int directory, const char *name, int flags)
{
    return open_at(directory, name, flags | OPEN_FLAGS | O_NOFOLLOW, 0);
}

static int
linux_open_directory(const char *path)
{
    return open_at(-1, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

static int
linux_open_place(int directory, const char *name)
{
    return open_at(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
}

static int
linux_open_new(int directory, const char *name, mode_t mode)
{
    int state = hold_off_cancellation();
    int made = result_of(
        openat(directory, name, O_RDWR | O_CREAT | O_EXCL | OPEN_FLAGS | O_NOFOLLOW, mode));
    int fd = lift(made);

    /* The file is there, and no other process knows it. */
    if (made >= 0 && fd < 0)
        (void)unlinkat(directory, name, 0);
    restore_cancellation(state);
    return fd;
}

static int
linux_open_unnamed(int directory, mode_t mode)
{
    return open_at(directory, ".", O_RDWR | O_TMPFILE | OPEN_FLAGS, mode);
}

static int
linux_status_of_name(int directory, const char *name, struct stat *status)
{
    return result_of(
        fstatat(directory < 0 ? AT_FDCWD : directory, name, status, AT_SYMLINK_NOFOLLOW));
}

static int64_t
linux_read_link(int place, char *to, size_t room)
{
    ssize_t length = readlinkat(place, "", to, room);

    return length < 0 ? -errno : length;
}

/** The /proc name of a descriptor. */
static void
descriptor_name(int fd, char *to, size_t bytes)
{
    snprintf(to, bytes, "/proc/self/fd/%d", fd);
}

static int
linux_link(int fd, int directory, const char *name)
{
    char own_name[40];

    descriptor_name(fd, own_name, sizeof own_name);
    if (linkat(AT_FDCWD, own_name, directory, name, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    /* No /proc. New kernels let the file's opener link it directly. The old ones say ENOENT
     * to a process that lacks CAP_DAC_READ_SEARCH. */
    return result_of(linkat(fd, "", directory, name, AT_EMPTY_PATH));
}

static int
linux_rename_new(int directory, const char *from, const char *to)
{
    return result_of(renameat2(directory, from, directory, to, RENAME_NOREPLACE));
}

static int
linux_link_name(int directory, const char *from, const char *to)
{
    return result_of(linkat(directory, from, directory, to, 0));
}

static int
linux_rename_over(int directory, const char *from, const char *to)
{
    return result_of(renameat(directory, from, directory, to));
}

static int
linux_unlink(int directory, const char *name)
{
    return result_of(unlinkat(directory, name, 0));
}

static int
linux_make_directory(int directory, const char *name, mode_t mode)
{
    return result_of(mkdirat(directory, name, mode));
}

/** Visits what is left of a directory stream. */
static int
visit_entries(DIR *stream, int (*visit)(void *context, const char *name), void *context)
{
    for (;;) {
        const struct dirent *entry;
        int error = 0;

        errno = 0;
        entry = readdir(stream);
        if (entry == NULL)
            return -errno;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            error = visit(context, entry->d_name);
        if (error < 0)
            return error;
    }
}

static int
linux_each_name(int directory, int (*visit)(void *context, const char *name), void *context)
{
    int fd = open_at(directory, ".", O_RDONLY | O_DIRECTORY | OPEN_FLAGS, 0);
    int state = hold_off_cancellation();
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    int error = stream == NULL ? (fd < 0 ? fd : -errno) : visit_entries(stream, visit, context);

    if (stream != NULL)
        closedir(stream);
    else if (fd >= 0)
        close(fd);
    restore_cancellation(state);
    return error;
}

static int
linux_reopen(int fd, int flags)
{
    char name[40];

    descriptor_name(fd, name, sizeof name);
    /* Not O_NOFOLLOW: the /proc name is itself a link. */
    return open_at(-1, name, flags | OPEN_FLAGS, 0);
}

static int
linux_access_mode(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return -errno;
    if (flags & O_PATH)
        return -EBADFD;
    return flags & O_ACCMODE;
}

static int
linux_close_on_exec(int fd)
{
    return result_of(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

static int
linux_status(int fd, struct stat *status)
{
    return result_of(fstat(fd, status));
}

/** Does to a directory, which is open only to look names up in, what is only for its owner,
 *  and for root of a user namespace that knows the owner. 0, or a negative errno. */
static int
act_as_owner_of_directory(int fd)
{
    /* To leave its time of access as it is. */
    int again = open_at(fd, ".", O_RDONLY | O_DIRECTORY | O_NOATIME | OPEN_FLAGS, 0);

    if (again >= 0)
        linux_close(again);
    return again < 0 ? again : 0;
}

static bool
linux_is_own(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    bool own;

    if (flags < 0)
        return false;
    if (flags & O_PATH)
        return act_as_owner_of_directory(fd) == 0;
    /* The same; the question is asked when the flag is set where it was not. */
    own = fcntl(fd, F_SETFL, flags & ~O_NOATIME) == 0 && fcntl(fd, F_SETFL, flags | O_NOATIME) == 0;
    (void)fcntl(fd, F_SETFL, flags);
    return own;
}

static int
linux_file_system(int fd, struct msi_file_system *file_system)
{
    static const struct {
        uint32_t magic;
        bool ram_backed;
        bool honest;
        const char *name;
    } known[] = {
        {0x01021994, true, true, "tmpfs"},       {0x858458f6, true, true, "ramfs"},
        {0x958458f6, true, false, "hugetlbfs"},  {0x0000ef53, false, true, "ext4"},
        {0x58465342, false, true, "xfs"},        {0x9123683e, false, true, "btrfs"},
        {0x794c7630, false, false, "overlayfs"}, {0x00006969, false, false, "nfs"},
        {0x65735546, false, false, "fuse"},      {0xff534d42, false, false, "cifs"},
        {0xf2f52010, false, true, "f2fs"},       {0x2fc12fc1, false, true, "zfs"},
    };
    struct statfs status;
    uint32_t magic;

    if (fstatfs(fd, &status) < 0)
        return -errno;
    magic = (uint32_t)status.f_type;
    snprintf(file_system->name, sizeof file_system->name, "0x%08x", (unsigned)magic);
    file_system->ram_backed = false;
    file_system->honest = false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].magic == magic) {
            snprintf(file_system->name, sizeof file_system->name, "%s", known[i].name);
            file_system->ram_backed = known[i].ram_backed;
            file_system->honest = known[i].honest;
        }
    /* A tmpfs mounted without a limit says that it has no blocks at all. */
    file_system->limited = status.f_blocks != 0;
    file_system->available = (uint64_t)status.f_bavail * (uint64_t)status.f_bsize;
    return 0;
}

static int
linux_set_mode(int fd, mode_t mode)
{
    return result_of(fchmod(fd, mode));
}

static int
linux_set_group(int fd, uint32_t group)
{
    return result_of(fchown(fd, (uid_t)-1, (gid_t)group));
}

static int
linux_resize(int fd, int64_t bytes)
{
    int result;

    do
        result = ftruncate(fd, bytes);
    while (result < 0 && errno == EINTR);
    return result_of(result);
}

static int
linux_write_in_place(int fd)
{
    int flags;

    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return -errno;
    flags |= FS_NOCOW_FL;
    return result_of(ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

/** Reserves by writing the zeros that are there. */
static int
write_zeros(int fd, int64_t offset, int64_t bytes)
{
    static const char zeros[16 * 1024];

    while (bytes > 0) {
        size_t now = bytes < (int64_t)sizeof zeros ? (size_t)bytes : sizeof zeros;
        ssize_t put = pwrite(fd, zeros, now, offset);

        if (put <= 0)
            return put < 0 ? errno : ENOSPC;
        offset += put;
        bytes -= put;
    }
    return 0;
}

/** Reserves by the file system itself; or where that cannot, or a sandbox does not let it, by
 *  writing. */
static int
reserve_step(int fd, int64_t offset, int64_t bytes)
{
    int state = hold_off_cancellation();
    int error = fallocate(fd, 0, offset, bytes) == 0 ? 0 : errno;

    if (error == EOPNOTSUPP || error == ENOSYS || error == EPERM || error == EACCES ||
        error == EINVAL)
        error = write_zeros(fd, offset, bytes);
    restore_cancellation(state);
    return error;
}

/** Reserves the range, in steps: a signal undoes the step it interrupts, so
 *  each step that a program with a busy timer loses makes the next smaller. */
static int
linux_reserve(int fd, int64_t offset, int64_t bytes)
{
    const int64_t smallest = 64 * 1024;
    int64_t step = 64 * 1024 * 1024;

    while (bytes > 0) {
        int64_t now = bytes < step ? bytes : step;
        int error = reserve_step(fd, offset, now);

        if (error == 0) {
            offset += now;
            bytes -= now;
        } else if (error == EINTR) {
            step = step / 2 < smallest ? smallest : step / 2;
        } else {
            return -error;
        }
    }
    return 0;
}

static int64_t
linux_read(int fd, void *to, size_t bytes, int64_t offset)
{
    int state = hold_off_cancellation();
    ssize_t got;

    do
        got = pread(fd, to, bytes, offset);
    while (got < 0 && errno == EINTR);
    restore_cancellation(state);
    return got < 0 ? -errno : got;
}

static int64_t
linux_write(int fd, const void *from, size_t bytes, int64_t offset)
{
    int state = hold_off_cancellation();
    ssize_t put;

    do
        put = pwrite(fd, from, bytes, offset);
    while (put < 0 && errno == EINTR);
    restore_cancellation(state);
    return put < 0 ? -errno : put;
}

static int
linux_memory_file(const char *name)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

    /* Before Linux 6.3 there is no MFD_NOEXEC_SEAL; sealing is older. */
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return lift(result_of(fd));
}

static int
linux_add_seals(int fd, int seals)
{
    return result_of(fcntl(fd, F_ADD_SEALS, seals));
}

static int
linux_seals(int fd)
{
    return result_of(fcntl(fd, F_GET_SEALS));
}

static int
linux_socket_type(int socket_fd)
{
    socklen_t bytes = sizeof(int);
    int family = AF_UNSPEC;
    int type = 0;

    if (getsockopt(socket_fd, SOL_SOCKET, SO_DOMAIN, &family, &bytes) < 0)
        return -errno;
    if (family != AF_UNIX)
        return -EPROTOTYPE;
    bytes = sizeof type;
    return getsockopt(socket_fd, SOL_SOCKET, SO_TYPE, &type, &bytes) < 0 ? -errno : type;
}

static int
linux_socket_await(int socket_fd)
{
    char byte;
    ssize_t got;

    /* The one cancellation point: it may wait for ever, and its caller has nothing in
     * hand meanwhile. */
    do
        got = recv(socket_fd, &byte, sizeof byte, MSG_PEEK);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : 0;
}

static int64_t
clock_ns(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) < 0)
        return 0;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* By how much the clock lags behind the sleeps that have passed. A clock that stands still, as
 * a debugger or a program's tests may make it, or is refused, would make each deadline endless,
 * and a dead owner immortal: so sleeping moves it on. */
static _Atomic int64_t clock_lag;

static int64_t
linux_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC) + atomic_load_explicit(&clock_lag, memory_order_relaxed);
}

/** A sleep that began then has come to its end: it is at least that much later. */
static void
note_passed(int64_t begin, int64_t ns)
{
    int64_t lag = atomic_load_explicit(&clock_lag, memory_order_relaxed);
    int64_t needed = begin + ns - clock_ns(CLOCK_MONOTONIC);

    while (lag < needed &&
           !atomic_compare_exchange_weak_explicit(&clock_lag, &lag, needed, memory_order_relaxed,
                                                  memory_order_relaxed))
        ;
}

static int
linux_socket_ready(int socket_fd, bool to_send, int64_t ns)
{
    struct pollfd wait = {.fd = socket_fd, .events = to_send ? POLLOUT : POLLIN};
    struct timespec time = {.tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000)};
    int64_t begin = linux_monotonic_ns();
    int state = hold_off_cancellation();
    int ready = ppoll(&wait, 1, &time, NULL);

    restore_cancellation(state);
    if (ready == 0)
        note_passed(begin, ns);
    /* An interrupted wait is one that is over: the caller has the clock. */
    if (ready < 0)
        return errno == EINTR ? 0 : -errno;
    return ready == 0 ? -ETIMEDOUT : 0;
}

static int64_t
linux_socket_send(int socket_fd, const void *from, size_t bytes, int fd, bool wait)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control = {.room = {0}};
    struct iovec part = {(void *)(uintptr_t)from, bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;
    int state;

    if (fd >= 0) {
        struct cmsghdr *header = &control.aligned;

        message.msg_control = control.room;
        message.msg_controllen = sizeof control.room;
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    state = hold_off_cancellation();
    do
        sent = sendmsg(socket_fd, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
    while (sent < 0 && errno == EINTR);
    restore_cancellation(state);
    return sent < 0 ? -errno : sent;
}

/** Takes the descriptors out of one part of what came beside a message. */
static void
unpack(const struct cmsghdr *header, struct msi_received *received)
{
    size_t bytes = header->cmsg_len - CMSG_LEN(0);

    for (size_t i = 0; i + sizeof(int) <= bytes; i += sizeof(int)) {
        int fd;

        memcpy(&fd, CMSG_DATA(header) + i, sizeof fd);
        received->descriptors++;
        if (received->fd < 0)
            received->fd = lift(fd);
        else
            linux_close(fd);
        /* There was none to be had above the standard ones. */
        received->lost = received->lost || received->fd < 0;
    }
}

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

static int64_t
linux_socket_receive(int socket_fd, void *to, size_t bytes, struct msi_received *received)
{
    /* Room for what an option of the socket may add before the descriptors. */
    union {
        char room[CMSG_SPACE(8 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred)) + 512];
        struct cmsghdr aligned;
    } control;
    struct iovec part = {to, bytes};
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.room,
        .msg_controllen = sizeof control.room,
    };
    int state = hold_off_cancellation();
    ssize_t got;

    do
        got = recvmsg(socket_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    restore_cancellation(state);
    if (got < 0)
        return -errno;
    received->too_long = (message.msg_flags & MSG_TRUNC) != 0;
    received->lost = received->lost || (message.msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL;
         header = CMSG_NXTHDR(&message, header)) {
        struct msi_received others = {.fd = -1};

        if (header->cmsg_level != SOL_SOCKET)
            continue;
        if (header->cmsg_type == SCM_RIGHTS)
            unpack(header, received);
        else if (header->cmsg_type == SCM_PIDFD)
            unpack(header, &others);
        if (others.fd >= 0)
            linux_close(others.fd);
    }
    return got;
}

static short
range_type(enum msi_range_kind kind)
{
    return kind == MSI_RANGE_EXCLUSIVE ? F_WRLCK : kind == MSI_RANGE_SHARED ? F_RDLCK : F_UNLCK;
}

static int
set_range(int fd, int command, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    struct flock lock = {.l_type = range_type(kind), .l_whence = SEEK_SET};
    int result;

    lock.l_start = start;
    lock.l_len = bytes;
    do
        result = fcntl(fd, command, &lock);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return errno == EACCES ? -EAGAIN : -errno;
    return 0;
}

static int
linux_lock_range_ofd(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    return set_range(fd, F_OFD_SETLK, kind, start, bytes);
}

static int
linux_lock_range_process(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    return set_range(fd, F_SETLK, kind, start, bytes);
}

static int
linux_test_range(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes,
                 struct msi_range *found)
{
    struct flock lock = {.l_type = range_type(kind), .l_whence = SEEK_SET};

    lock.l_start = start;
    lock.l_len = bytes;
    /* Not F_OFD_GETLK, which does not see the locks of its own description. */
    if (fcntl(fd, F_GETLK, &lock) < 0)
        return -errno;
    found->kind = lock.l_type == F_WRLCK   ? MSI_RANGE_EXCLUSIVE
                  : lock.l_type == F_RDLCK ? MSI_RANGE_SHARED
                                           : MSI_RANGE_FREE;
    found->start = lock.l_start;
    found->bytes = lock.l_len;
    return 0;
}

/** Reads what is left of a file into a buffer that grows, at most `most` bytes. */
static int
read_rest(int fd, char **buffer, size_t most)
{
    size_t room = 16384;
    size_t used = 0;

    *buffer = malloc(room);
    while (*buffer != NULL && used < most) {
        ssize_t got = read(fd, *buffer + used, room - used - 1);

        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            break;
        if (got > 0)
            used += (size_t)got;
        if (room - used < 2) {
            char *larger = realloc(*buffer, room * 2);

            if (larger == NULL)
                return -ENOMEM;
            *buffer = larger;
            room *= 2;
        }
    }
    if (*buffer == NULL)
        return -ENOMEM;
    (*buffer)[used] = '\0';
    return 0;
}

/** Reads a file of /proc or /sys, at most `most` bytes of it; the caller frees
 *  *text, which is NULL after a failure. */
static int
read_text(const char *path, size_t most, char **text)
{
    int fd = open_at(-1, path, O_RDONLY | O_CLOEXEC, 0);
    int state;
    int error;

    *text = NULL;
    if (fd < 0)
        return fd;
    state = hold_off_cancellation();
    error = read_rest(fd, text, most);
    close(fd);
    restore_cancellation(state);
    if (error < 0) {
        free(*text);
        *text = NULL;
    }
    return error;
}

static int
linux_lock_table(char **text)
{
    return read_text("/proc/locks", MSI_LOCK_TABLE_BYTES, text);
}

static int
linux_lock_table_numbers(int fd, dev_t *device, ino_t *inode)
{
    char *mounts = NULL;
    uint64_t mount;
    char path[40];
    char *text;
    int error;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    error = read_text(path, SIZE_MAX, &text);
    if (error < 0)
        return error;
    if (!msi_proc_mount_number(text, &mount))
        error = -ENOENT;
    if (error >= 0)
        error = read_text("/proc/self/mountinfo", SIZE_MAX, &mounts);
    if (error >= 0 && !msi_proc_device_of_mount(mounts, mount, device))
        error = -ENOENT;
    /* Before Linux 5.14 it is not there, and mostly the one of stat(). */
    if (error >= 0)
        (void)msi_proc_inode(text, inode);
    free(mounts);
    free(text);
    return error;
}

static void *
linux_map(int fd, size_t bytes, int64_t offset, enum msi_protection protection, int *error)
{
    int flags = protection == MSI_MAP_WRITE  ? PROT_READ | PROT_WRITE
                : protection == MSI_MAP_READ ? PROT_READ
                                             : PROT_NONE;
    void *address = mmap(NULL, bytes, flags, MAP_SHARED, fd, offset);

    if (address == MAP_FAILED) {
        *error = -errno;
        return NULL;
    }
    return address;
}

static void
linux_unmap(void *address, size_t bytes)
{
    (void)munmap(address, bytes);
}

static int
linux_hide_from_children(void *address, size_t bytes)
{
    return result_of(madvise(address, bytes, MADV_DONTFORK));
}

static int
linux_show_to_children(void *address, size_t bytes)
{
    return result_of(madvise(address, bytes, MADV_DOFORK));
}

static int
linux_leave_out_of_dumps(void *address, size_t bytes)
{
    return result_of(madvise(address, bytes, MADV_DONTDUMP));
}

static int
linux_lock_memory(void *address, size_t bytes)
{
    int result;

    do
        result = mlock(address, bytes);
    while (result < 0 && errno == EINTR);
    return result_of(result);
}

static int64_t
linux_copy_to_mapping(void *to, const void *from, size_t bytes)
{
    struct iovec local = {(void *)(uintptr_t)from, bytes};
    struct iovec remote = {to, bytes};
    ssize_t put;

    do
        put = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
    while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

static int64_t
linux_copy_from_mapping(void *to, const void *from, size_t bytes)
{
    struct iovec local = {to, bytes};
    struct iovec remote = {(void *)(uintptr_t)from, bytes};
    ssize_t got;

    do
        got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static bool
linux_has_huge_pages(int fd)
{
    struct stat status;
    char *setting = NULL;
    char *mounts = NULL;
    bool allowed =
        fstat(fd, &status) == 0 &&
        read_text("/sys/kernel/mm/transparent_hugepage/shmem_enabled", SIZE_MAX, &setting) == 0 &&
        read_text("/proc/self/mountinfo", SIZE_MAX, &mounts) == 0 &&
        msi_proc_allows_huge(setting, mounts, status.st_dev);

    free(setting);
    free(mounts);
    return allowed;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static int
linux_populate_huge(int fd, size_t bytes)
{
    void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int error;

    if (address == MAP_FAILED)
        return -errno;
    (void)madvise(address, bytes, MADV_DONTFORK);
    (void)madvise(address, bytes, MADV_DONTDUMP);
    /* First the advice, then the memory: what is there stays small. */
    (void)madvise(address, bytes, MADV_HUGEPAGE);
    do
        error = madvise(address, bytes, MADV_POPULATE_WRITE) < 0 ? errno : 0;
    while (error == EINTR || error == EAGAIN);
    (void)munmap(address, bytes);
    /* Before Linux 5.14 there is no such advice; the reserve does it then. */
    return error == EFAULT ? -ENOSPC : error == EINVAL ? 0 : -error;
}

static int
linux_populate(void *address, size_t bytes)
{
    int error;

    do
        error = madvise(address, bytes, MADV_POPULATE_WRITE) < 0 ? errno : 0;
    while (error == EINTR || error == EAGAIN);
    return error == EFAULT ? -ENOSPC : -error;
}

static uint64_t
linux_huge_bytes(const void *address)
{
    uint64_t bytes;
    char *text;

    if (read_text("/proc/self/smaps", SIZE_MAX, &text) < 0)
        return 0;
    bytes = msi_proc_huge_bytes(text, (uintptr_t)address);
    free(text);
    return bytes;
}

static size_t
linux_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static int
linux_map_zeros(void *address, size_t bytes, enum msi_protection protection)
{
    int flags = protection == MSI_MAP_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;

    if (mmap(address, bytes, flags, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
             0) == MAP_FAILED)
        return -errno;
    return 0;
}

static void *
linux_wiped_page(void)
{
    size_t bytes = linux_page_size();
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return NULL;
    /* Before Linux 4.14 this fails, and children made by a bare clone() are
     * not noticed; those made by fork() still are. */
    (void)madvise(page, bytes, MADV_WIPEONFORK);
    return page;
}

static void
linux_sleep_on(const uint32_t *word, uint32_t value, int64_t ns)
{
    /* What SYS_futex takes, also where time_t is wider than that. */
    const long timeout[2] = {(long)(ns / 1000000000), (long)(ns % 1000000000)};
    int64_t begin = linux_monotonic_ns();

    /* Not FUTEX_PRIVATE: that would never match across processes. */
    if (syscall(SYS_futex, word, FUTEX_WAIT, value, timeout, NULL, 0) < 0 && errno == ETIMEDOUT)
        note_passed(begin, ns);
}

static bool
linux_wake_one(const uint32_t *word)
{
    return syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0) > 0;
}

static void
linux_wake_all(const uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void
linux_nap(int64_t ns)
{
    struct timespec time = {.tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000)};

    int64_t begin = linux_monotonic_ns();
    int state = hold_off_cancellation();

    if (nanosleep(&time, NULL) == 0)
        note_passed(begin, ns);
    restore_cancellation(state);
}

/** What an event is told by: the signal that its description would raise if it could
 *  raise any, which an event cannot. No other program gives its events one. */
#define EVENT_MARK SIGURG

static int
linux_event_new(void)
{
    int fd = lift(result_of(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));

    if (fd >= 0)
        (void)fcntl(fd, F_SETSIG, EVENT_MARK);
    return fd;
}

/** Whether the descriptor is still one that event_new made: a program that closes what
 *  is not its own may have a file, or an event, of its own there by now. */
static bool
linux_is_event(int fd)
{
    struct stat status;
    int mark;

    /* An event has no type. */
    if (fstat(fd, &status) < 0 || (status.st_mode & S_IFMT) != 0)
        return false;
    mark = fcntl(fd, F_GETSIG);
    /* Where a sandbox does not say, nothing speaks against it. */
    return mark == EVENT_MARK || mark < 0;
}

static void
linux_event_close(int fd)
{
    if (linux_is_event(fd))
        linux_close(fd);
}

static void
linux_event_raise(int fd)
{
    const uint64_t one = 1;
    int state = hold_off_cancellation();

    if (linux_is_event(fd))
        (void)!write(fd, &one, sizeof one);
    restore_cancellation(state);
}

static void
linux_event_clear(int fd)
{
    uint64_t count;
    int state = hold_off_cancellation();

    if (linux_is_event(fd))
        (void)!read(fd, &count, sizeof count);
    restore_cancellation(state);
}

static int
linux_signal_action(int number, const struct sigaction *action, struct sigaction *old)
{
    return result_of(sigaction(number, action, old));
}

static void
linux_signal_raise(int number)
{
    (void)raise(number);
}

static int64_t
linux_real_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

/** The kernel's random numbers, by the call for them or by the device. */
static bool
random_of_kernel(void *to, size_t bytes)
{
    int state = hold_off_cancellation();
    ssize_t got;
    int fd = -1;

    do
        got = getrandom(to, bytes, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        fd = open_at(-1, "/dev/urandom", O_RDONLY | OPEN_FLAGS, 0);
    if (fd >= 0) {
        got = read(fd, to, bytes);
        close(fd);
    }
    restore_cancellation(state);
    return got >= 0 && (size_t)got == bytes;
}

/** The next number of a series that has no second like it. */
static uint64_t
mix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static int
linux_random(void *to, size_t bytes)
{
    static _Atomic uint64_t calls;
    /* What the kernel gave this program when it started. */
    const void *given = (const void *)getauxval(AT_RANDOM);
    uint64_t state[2] = {0, 0};
    unsigned char *next = to;

    if (random_of_kernel(to, bytes))
        return 0;
    /* They need be no secret, but no other segment's: the start, the process, the moment and
     * the count tell them apart. */
    if (given != NULL)
        memcpy(state, given, 2 * sizeof *state);
    state[0] ^= (uint64_t)clock_ns(CLOCK_REALTIME) ^ (uint64_t)getpid() << 40;
    state[1] ^= (uint64_t)clock_ns(CLOCK_MONOTONIC) ^
                atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) << 40;
    while (bytes > 0) {
        uint64_t number = mix(&state[0]) ^ mix(&state[1]);
        size_t now = bytes < sizeof number ? bytes : sizeof number;

        memcpy(next, &number, now);
        next += now;
        bytes -= now;
    }
    return 0;
}

static uint32_t
linux_process_id(void)
{
    return (uint32_t)getpid();
}

static uint32_t
linux_thread_id(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

static uint32_t
linux_user_id(void)
{
    return (uint32_t)geteuid();
}

/** Users, or groups: what /proc says of their numbers. */
struct numbers {
    const char *overflow; /**< the file with the number that stands for all without one */
    const char *map;      /**< the file that says which ones the user namespace knows */
    _Atomic int64_t known_overflow;
};

static struct numbers users = {"/proc/sys/kernel/overflowuid", "/proc/self/uid_map", -1};
static struct numbers groups = {"/proc/sys/kernel/overflowgid", "/proc/self/gid_map", -1};

/** The number that stands for all without one in a user namespace. */
static uint32_t
overflow_of(struct numbers *numbers)
{
    int64_t overflow = atomic_load_explicit(&numbers->known_overflow, memory_order_relaxed);
    char *text = NULL;

    if (overflow >= 0)
        return (uint32_t)overflow;
    (void)read_text(numbers->overflow, SIZE_MAX, &text);
    overflow = msi_proc_overflow_number(text != NULL ? text : "");
    free(text);
    atomic_store_explicit(&numbers->known_overflow, overflow, memory_order_relaxed);
    return (uint32_t)overflow;
}

/** Whether the number also stands for those that the namespace of this process does not
 *  know; not where it knows all there can be. */
static bool
is_overflow(struct numbers *numbers, uint32_t number)
{
    bool knows_all;
    char *text;

    if (number != overflow_of(numbers))
        return false;
    if (read_text(numbers->map, SIZE_MAX, &text) < 0)
        return true;
    knows_all = msi_proc_maps_all(text);
    free(text);
    return !knows_all;
}

static bool
linux_is_overflow_user(uint32_t user)
{
    return is_overflow(&users, user);
}

static bool
linux_is_overflow_group(uint32_t group)
{
    return is_overflow(&groups, group);
}

/** Whether a user that the namespace knows may have that number, too. */
static bool
may_be_known(uint32_t user)
{
    bool maps;
    char *text;

    if (read_text(users.map, SIZE_MAX, &text) < 0)
        return true;
    maps = msi_proc_maps(text, user);
    free(text);
    return maps;
}

/** Whether this process may do with files what their owners may, as root does; not with
 *  those of owners that its user namespace does not know. */
static bool
acts_as_all_owners(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    return syscall(SYS_capget, &header, data) == 0 &&
           data[CAP_TO_INDEX(CAP_FOWNER)].effective & CAP_TO_MASK(CAP_FOWNER);
}

static bool
linux_is_unknown_owner(int place, uint32_t owner)
{
    if (!linux_is_overflow_user(owner))
        return false;
    return !may_be_known(owner) ||
           (acts_as_all_owners() && act_as_owner_of_directory(place) == -EPERM);
}

static uint64_t
linux_file_size_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return (uint64_t)limit.rlim_cur;
}

/** A number of a control group; UINT64_MAX: it has none, or there is no such group. */
static uint64_t
number_of_group(const char *directory, const char *file)
{
    char path[PATH_MAX];
    uint64_t number;
    char *text;

    if (snprintf(path, sizeof path, "%s/%s", directory, file) >= (int)sizeof path ||
        read_text(path, SIZE_MAX, &text) < 0)
        return UINT64_MAX;
    number = msi_proc_group_limit(text);
    free(text);
    return number;
}

/** What the kernel can take back from a control group without killing. */
static uint64_t
cache_of_group(const char *directory, bool unified)
{
    char path[PATH_MAX];
    uint64_t cache;
    char *text;

    if (snprintf(path, sizeof path, "%s/memory.stat", directory) >= (int)sizeof path ||
        read_text(path, SIZE_MAX, &text) < 0)
        return 0;
    cache = msi_proc_group_cache(text, unified);
    free(text);
    return cache;
}

/** Swap space of the machine that is left. */
static uint64_t
free_swap(void)
{
    uint64_t bytes;
    char *text;

    if (read_text("/proc/meminfo", SIZE_MAX, &text) < 0)
        return 0;
    bytes = msi_proc_free_swap(text);
    free(text);
    return bytes;
}

/** What the limit of a control group itself leaves; UINT64_MAX: it has none. */
static uint64_t
room_in_group(const char *directory, bool unified)
{
    static const char *const files[2][4] = {
        {"memory.limit_in_bytes", "memory.usage_in_bytes", "memory.memsw.limit_in_bytes",
         "memory.memsw.usage_in_bytes"},
        {"memory.max", "memory.current", "memory.swap.max", "memory.swap.current"},
    };
    struct msi_proc_memory memory = {
        .unified = unified,
        .limit = number_of_group(directory, files[unified][0]),
        .swap_limit = number_of_group(directory, files[unified][2]),
    };
    /* Version 1 has this beside the limit. */
    bool swaps = unified || number_of_group(directory, "memory.swappiness") != 0;

    if (memory.limit == UINT64_MAX)
        return UINT64_MAX;
    /* The cache first: what becomes cache in between counts as used. */
    memory.cache = cache_of_group(directory, unified);
    memory.usage = number_of_group(directory, files[unified][1]);
    memory.swap_usage = number_of_group(directory, files[unified][3]);
    if (memory.usage == UINT64_MAX)
        memory.usage = 0;
    if (memory.swap_usage == UINT64_MAX)
        memory.swap_usage = 0;
    return msi_proc_group_room(&memory, swaps ? free_swap() : 0);
}

/** The least that this process's control groups, and all those above them, leave it of
 *  memory; UINT64_MAX: they set no limit that can be seen. */
static uint64_t
room_in_control_groups(void)
{
    char directory[PATH_MAX];
    uint64_t smallest = UINT64_MAX;
    struct msi_proc_group group;
    const char *rest;
    char *mounts;
    char *text;

    if (read_text("/proc/self/cgroup", SIZE_MAX, &text) < 0)
        return UINT64_MAX;
    (void)read_text("/proc/self/mountinfo", SIZE_MAX, &mounts);
    rest = text;
    while (mounts != NULL && (rest = msi_proc_next_group(rest, &group)) != NULL)
        do {
            uint64_t room = UINT64_MAX;

            if (msi_proc_group_directory(mounts, &group, directory, sizeof directory))
                room = room_in_group(directory, group.unified);
            if (room < smallest)
                smallest = room;
        } while (msi_proc_group_above(&group));
    free(mounts);
    free(text);
    return smallest;
}

/** What the kernel says can be had without killing any process; 0: it does not say. */
static uint64_t
available_memory(void)
{
    uint64_t available;
    char *text;

    if (read_text("/proc/meminfo", SIZE_MAX, &text) < 0)
        return 0;
    available = msi_proc_available_memory(text);
    free(text);
    return available;
}

static bool
linux_memory_suffices(uint64_t bytes)
{
    struct sysinfo machine;
    uint64_t free_memory;
    uint64_t available;

    /* No control group is that small, and asking takes longer than the rest. */
    if (bytes < 1024 * 1024)
        return true;
    /* The kernel counts what it needs itself to keep so many pages. */
    if (bytes + bytes / 64 > room_in_control_groups())
        return false;
    if (sysinfo(&machine) < 0)
        return true;
    free_memory = (uint64_t)machine.freeram * machine.mem_unit;
    if (bytes <= free_memory / 2)
        return true;
    available = available_memory();
    return bytes <= (available != 0 ? available : free_memory);
}

static bool
linux_process_lives(uint32_t process)
{
    return kill((pid_t)process, 0) == 0 || errno != ESRCH;
}

/* None of the calls of System V is a cancellation point. */

static int
linux_system_v_set(int32_t key, int flags)
{
    return result_of(semget(key, 1, flags));
}

static int
linux_system_v_set_free(int set)
{
    /* The fourth argument is a union that the program has to declare; its members lie where
     * the int does. */
    union {
        int value;
        void *others;
    } argument = {.value = 1};

    return result_of(semctl(set, 0, SETVAL, argument));
}

static int
linux_system_v_mend(int set, int value)
{
    struct sembuf changes[] = {
        {.sem_op = (short)-value, .sem_flg = IPC_NOWAIT},
        {.sem_op = 0, .sem_flg = IPC_NOWAIT},
        {.sem_op = 1},
    };

    return result_of(semop(set, changes, sizeof changes / sizeof *changes));
}

static int
linux_system_v_take(int set, int64_t ns)
{
    struct sembuf change = {.sem_op = -1, .sem_flg = SEM_UNDO};
    struct timespec time = {.tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000)};
    int64_t begin = linux_monotonic_ns();
    int error;

    if (ns <= 0)
        change.sem_flg |= IPC_NOWAIT;
    error = result_of(semtimedop(set, &change, 1, ns <= 0 ? NULL : &time));
    if (error == -EAGAIN && ns > 0)
        note_passed(begin, ns);
    return error;
}

static int
linux_system_v_give(int set)
{
    struct sembuf change = {.sem_op = 1, .sem_flg = SEM_UNDO};

    return result_of(semop(set, &change, 1));
}

/** What both kinds have. */
static void
note_permissions(struct msi_system_v *status, const struct ipc_perm *permissions)
{
    status->mode = (uint32_t)permissions->mode & 0777;
    status->uid = permissions->uid;
    status->gid = permissions->gid;
    status->creator_uid = permissions->cuid;
}

static int
linux_system_v_set_status(int set, struct msi_system_v *status)
{
    struct semid_ds known;
    union {
        int value;
        struct semid_ds *known;
    } argument = {.known = &known};
    int waiters;
    int last;

    memset(status, 0, sizeof *status);
    if (semctl(set, 0, IPC_STAT, argument) < 0)
        return -errno;
    note_permissions(status, &known.sem_perm);
    status->changed_ns = (int64_t)known.sem_ctime * 1000000000;
    last = semctl(set, 0, GETPID);
    waiters = last < 0 ? -1 : semctl(set, 0, GETNCNT);
    status->value = waiters < 0 ? -1 : semctl(set, 0, GETVAL);
    if (status->value < 0)
        return -errno;
    status->last_pid = (uint32_t)last;
    status->waiters = (uint32_t)waiters;
    return 0;
}

static int
linux_system_v_set_remove(int set)
{
    return result_of(semctl(set, 0, IPC_RMID));
}

static int
linux_system_v_segment(int32_t key, size_t bytes, int flags)
{
    return result_of(shmget(key, bytes, flags));
}

static void *
linux_system_v_attach(int segment, bool read_only, int *error)
{
    void *address = shmat(segment, NULL, read_only ? SHM_RDONLY : 0);

    /* So it says that it failed. */
    if (address != (void *)-1)
        return address;
    *error = -errno;
    return NULL;
}

static void
linux_system_v_detach(void *address)
{
    (void)shmdt(address);
}

static int
linux_system_v_segment_status(int segment, struct msi_system_v *status)
{
    struct shmid_ds known;

    memset(status, 0, sizeof *status);
    if (shmctl(segment, IPC_STAT, &known) < 0)
        return -errno;
    note_permissions(status, &known.shm_perm);
    status->changed_ns = (int64_t)known.shm_ctime * 1000000000;
    status->last_pid = (uint32_t)known.shm_lpid;
    status->creator_pid = (uint32_t)known.shm_cpid;
    status->bytes = known.shm_segsz;
    status->attached = known.shm_nattch;
    return 0;
}

static int
linux_system_v_segment_remove(int segment)
{
    return result_of(shmctl(segment, IPC_RMID, NULL));
}

static int
linux_system_v_table(char **text)
{
    return read_text("/proc/sysvipc/shm", SIZE_MAX, text);
}

static const char *
linux_runtime_directory(void)
{
    return secure_getenv("XDG_RUNTIME_DIR");
}

static void
linux_temporary_directory(char *to, size_t bytes)
{
    const char *set = secure_getenv("TMPDIR");
    const char *path = set == NULL || *set == '\0' ? "/tmp" : set;
    char real[PATH_MAX];

    snprintf(to, bytes, "%s", realpath(path, real) == NULL ? path : real);
}

static void
linux_user_name(uint32_t user, char *to, size_t bytes)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char room[4096];

    *to = '\0';
    if (getpwuid_r(user, &entry, room, sizeof room, &found) == 0 && found != NULL)
        snprintf(to, bytes, "%s", found->pw_name);
}

static const char *
linux_environment_key(void)
{
    return secure_getenv("MAPSEG_KEY");
}

static const char *
linux_shared_directory(void)
{
    return "/dev/shm";
}

static void
linux_describe(int error, char *to, size_t bytes)
{
    char room[128];

    snprintf(to, bytes, "%s", strerror_r(error, room, sizeof room));
}

struct msi_os_operations msi_os = {
#define OPERATION(failure, type, name, parameters, arguments) .name = linux_##name,
#include "operations.h"
};
