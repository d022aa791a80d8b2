/*
 * support.c - what the test programs share.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534
#define SHM "/dev/shm"

static char run_mark[32];
static int left_out;

/* ----------------------------------------------------------- programs -- */

static const char *
mark(void)
{
    if (run_mark[0] == '\0')
        snprintf(run_mark, sizeof run_mark, "mapsegtest%ldx", (long)getpid());
    return run_mark;
}

Suite *
new_suite(const char *name)
{
    (void)mark();
    return suite_create(name);
}

TCase *
new_case(Suite *suite, const char *name, double seconds)
{
    TCase *group = tcase_create(name);

    tcase_set_timeout(group, seconds > TEST_PATIENCE ? seconds : TEST_PATIENCE);
    suite_add_tcase(suite, group);
    return group;
}

bool
need(bool present, const char *what)
{
    if (!present) {
        printf("SKIP: %s\n", what);
        left_out++;
    }
    return present;
}

/// Removes what the run left in /dev/shm; how many names.
static int
sweep(void)
{
    DIR *directory = opendir(SHM);
    struct dirent *entry;
    int found = 0;

    if (directory == NULL)
        return 0;
    while ((entry = readdir(directory)) != NULL) {
        if (strstr(entry->d_name, mark()) == NULL)
            continue;
        printf("left behind: " SHM "/%s\n", entry->d_name);
        if (unlinkat(dirfd(directory), entry->d_name, 0) != 0)
            (void)unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
        found++;
    }
    closedir(directory);
    return found;
}

int
run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed, left;

    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    left = sweep();
    if (failed != 0 || left != 0)
        return EXIT_FAILURE;
    return left_out != 0 ? 77 : EXIT_SUCCESS;
}

bool
is_root(void)
{
    return geteuid() == 0;
}

bool
under_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

bool
under_race_detector(void)
{
#if defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return true;
#else
    return false;
#endif
#else
    return false;
#endif
}

bool
under_valgrind(void)
{
    static int found = -1;

    if (found == -1)
        found = count_mappings("vgpreload") != 0;
    return found == 1;
}

/* ---------------------------------------------------------- assertions -- */

bool
is_one_line(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    if (text == NULL || *at == '\0')
        return false;
    for (; *at != '\0'; at++)
        if (*at < 0x20 || *at == 0x7f)
            return false;
    return true;
}

/* --------------------------------------------------------------- names -- */

void
unique_name(char name[KEY_BYTES])
{
    static unsigned int count;

    snprintf(name, KEY_BYTES, "%s%ldx%u", mark(), (long)getpid(), count++);
}

void
unique_key(char key[KEY_BYTES])
{
    char name[KEY_BYTES];

    unique_name(name);
    snprintf(key, KEY_BYTES, "shm:%.200s", name);
}

void
path_of(char path[KEY_BYTES], const char *native_key)
{
    ck_assert_ptr_nonnull(native_key);
    ck_assert_int_eq(strncmp(native_key, "shm:", 4), 0);
    snprintf(path, KEY_BYTES, SHM "/%.240s", native_key + 4);
}

bool
exists(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

mapseg *
handle_for(const char *native_key)
{
    mapseg *seg = mapseg_new();

    if (seg == NULL)
        ck_abort_msg("no memory for a handle");
    expect(MAPSEG_OK, seg, mapseg_set_native_key(seg, native_key));
    return seg;
}

mapseg *
created(const char *native_key, size_t size)
{
    mapseg *seg = handle_for(native_key);

    expect(MAPSEG_OK, seg, mapseg_create(seg, size, MAPSEG_READ_WRITE));
    return seg;
}

mapseg *
attached(const char *native_key, mapseg_access access)
{
    mapseg *seg = handle_for(native_key);

    expect(MAPSEG_OK, seg, mapseg_attach(seg, access));
    return seg;
}

mapseg_info *
describe(mapseg *seg)
{
    mapseg_info *information = NULL;

    expect(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    ck_assert_ptr_nonnull(information);
    return information;
}

void
leave_persistent(const char *native_key, size_t size)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(native_key);

    options.flags = MAPSEG_PERSISTENT;
    expect(MAPSEG_OK, seg, mapseg_create_with(seg, size, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
}

struct debris {
    const char *native_key;
    size_t size;
    unsigned char fill;
};

static int
create_and_die(void *argument)
{
    const struct debris *debris = argument;
    mapseg *seg = created(debris->native_key, debris->size);

    memset(mapseg_data(seg), debris->fill, debris->size);
    raise(SIGKILL);
    return 1;
}

void
leave_debris(const char *native_key, size_t size, unsigned char fill)
{
    struct debris debris = {native_key, size, fill};
    char path[KEY_BYTES];

    ck_assert_int_eq(in_child(create_and_die, &debris), 128 + SIGKILL);
    path_of(path, native_key);
    wait_until_deserted(path);
    ck_assert(exists(path));
}

/* ----------------------------------------------------------- processes -- */

void
sleep_ms(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};

    while (nanosleep(&time, &time) != 0 && errno == EINTR)
        continue;
}

void
give_way(void)
{
    const struct timespec moment = {0, 1000};

    (void)nanosleep(&moment, NULL);
}

int64_t
now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int64_t
patience_ns(void)
{
    return (int64_t)PATIENCE * 1000000000 * (under_valgrind() ? 10 : 1);
}

int
end_of(pid_t child)
{
    int64_t deadline = now_ns() + patience_ns();
    bool hung = false;
    int status;

    for (;;) {
        pid_t ended = waitpid(child, &status, hung ? 0 : WNOHANG);

        if (ended == child)
            break;
        ck_assert_msg(ended == 0 || errno == EINTR, "waitpid: %s", strerror(errno));
        if (now_ns() > deadline) {
            hung = true;
            kill(child, SIGKILL);
        } else {
            sleep_ms(1);
        }
    }
    if (hung)
        return HUNG;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int
in_child(int (*body)(void *argument), void *argument)
{
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(body(argument));
    return end_of(child);
}

int
as_ordinary_user(int (*body)(void *argument), void *argument)
{
    pid_t child = fork();

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        if (is_root())
            become_nobody();
        _exit(body(argument));
    }
    return end_of(child);
}

void
become_nobody(void)
{
    if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        _exit(99);
}

void
own_program(char path[PATH_MAX])
{
    /* Not run as /proc/self/exe itself, which may be an emulator. */
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);

    ck_assert_int_gt(length, 0);
    path[length] = '\0';
}

struct peer
start_peer(int (*body)(int channel, void *argument), void *argument)
{
    struct peer peer;
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    peer.pid = fork();
    ck_assert_int_ge(peer.pid, 0);
    if (peer.pid == 0) {
        close(ends[0]);
        _exit(body(ends[1], argument));
    }
    close(ends[1]);
    peer.channel = ends[0];
    return peer;
}

void
say(int channel, char word)
{
    /* A peer that is gone shows in the answer that never comes. */
    (void)send(channel, &word, 1, MSG_NOSIGNAL);
}

int
hear(int channel)
{
    struct pollfd poller = {channel, POLLIN, 0};
    int64_t deadline = now_ns() + patience_ns();
    char word;

    while (now_ns() < deadline) {
        if (poll(&poller, 1, 100) == 1)
            return read(channel, &word, 1) == 1 ? word : -1;
    }
    return -1;
}

int
end_peer(struct peer *peer)
{
    int status = end_of(peer->pid);

    close(peer->channel);
    return status;
}

void
kill_peer(struct peer *peer)
{
    ck_assert_int_eq(kill(peer->pid, SIGKILL), 0);
    ck_assert_int_eq(end_peer(peer), 128 + SIGKILL);
}

static bool
obey(mapseg *seg, int word)
{
    switch (word) {
    case 'l':
        return mapseg_result_owes_unlock(mapseg_lock(seg));
    case 'u':
        return mapseg_unlock(seg) == MAPSEG_OK;
    case 'd':
        return mapseg_detach(seg) == MAPSEG_OK;
    default:
        return true;
    }
}

int
obedient_peer(int channel, void *native_key)
{
    /* Not lost when the peer quits without detaching. */
    static mapseg *seg;
    int word;

    seg = mapseg_new();
    if (seg == NULL || mapseg_set_native_key(seg, native_key) != MAPSEG_OK ||
        mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK) {
        say(channel, 'x');
        return 1;
    }
    say(channel, 'a');
    while ((word = hear(channel)) != -1 && word != 'q')
        say(channel, obey(seg, word) ? 'y' : 'n');
    if (!mapseg_is_attached(seg))
        mapseg_free(seg);
    return word == 'q' ? 0 : 1;
}

void
tell(const struct peer *peer, char word)
{
    int answer;

    say(peer->channel, word);
    answer = hear(peer->channel);
    ck_assert_msg(answer == 'y', "told '%c', the peer answered %d", word, answer);
}

void *
shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

void
meet(uint32_t *meeting, uint32_t count)
{
    int64_t begun = now_ns();

    __atomic_add_fetch(meeting, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(meeting, __ATOMIC_ACQUIRE) < count) {
        int64_t passed = now_ns() - begun;

        if (passed > patience_ns())
            _exit(98);
        /* Those who look again at once go on at the same time. */
        if (passed < 1000000)
            sched_yield();
        else
            give_way();
    }
}

/* ----------------------------------------------------------- footprints -- */

int
count_open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    int count = 0;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count - 1;
}

/// Lines of a file that contain the text.
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

/// Locked ranges from `first` to `last`; the kernel names any one of them, so look left and right.
static int
count_locks_between(int fd, int64_t first, int64_t last)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = first};
    int64_t end;

    lock.l_len = last == INT64_MAX ? 0 : last - first + 1;
    ck_assert_int_eq(fcntl(fd, F_OFD_GETLK, &lock), 0);
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
wait_until_deserted(const char *path)
{
    int64_t deadline = now_ns() + patience_ns();

    while (count_locks(path) != 0) {
        ck_assert_msg(now_ns() < deadline, "somebody still holds locks on %s", path);
        sleep_ms(1);
    }
}

int
count_names(const char *text)
{
    DIR *directory = opendir(SHM);
    struct dirent *entry;
    int count = 0;

    ck_assert_ptr_nonnull(directory);
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

    ck_assert_ptr_nonnull(file);
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
    footprint->descriptors = count_open_descriptors();
    footprint->mappings = count_mappings(SHM "/") + count_mappings("/memfd:");
    if (path != NULL && strncmp(path, SHM "/", strlen(SHM) + 1) != 0)
        footprint->mappings += count_mappings(path);
    footprint->locks = path == NULL ? 0 : count_locks(path);
    footprint->names = count_names(mark());
}

void
check_footprint(const struct footprint *before, const char *path)
{
    struct footprint now;

    take_footprint(&now, path);
    ck_assert_msg(now.descriptors == before->descriptors, "descriptors: %d, were %d",
                  now.descriptors, before->descriptors);
    ck_assert_msg(now.mappings == before->mappings, "mappings: %d, were %d", now.mappings,
                  before->mappings);
    ck_assert_msg(now.locks == before->locks, "locks: %d, were %d", now.locks, before->locks);
    ck_assert_msg(now.names == before->names, "names: %d, were %d", now.names, before->names);
}

/// The bytes of a regular file of up to 1 MiB, else NULL.
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
    ck_assert_ptr_nonnull(bytes);
    ck_assert_int_eq(pread(fd, bytes, size, 0), (ssize_t)size);
    close(fd);
    return bytes;
}

void
take_file_state(struct file_state *state, const char *path)
{
    ck_assert_msg(lstat(path, &state->status) == 0, "%s: %s", path, strerror(errno));
    state->bytes = read_bytes(path, &state->status);
}

void
check_file_state(struct file_state *state, const char *path)
{
    const struct stat *old = &state->status;
    struct stat now;
    unsigned char *bytes;

    ck_assert_msg(lstat(path, &now) == 0, "%s: %s", path, strerror(errno));
    ck_assert_uint_eq(now.st_dev, old->st_dev);
    ck_assert_uint_eq(now.st_ino, old->st_ino);
    ck_assert_uint_eq(now.st_mode, old->st_mode);
    ck_assert_uint_eq(now.st_nlink, old->st_nlink);
    ck_assert_uint_eq(now.st_uid, old->st_uid);
    ck_assert_uint_eq(now.st_gid, old->st_gid);
    ck_assert_int_eq(now.st_size, old->st_size);
    ck_assert_int_eq(now.st_blocks, old->st_blocks);
    ck_assert_mem_eq(&now.st_mtim, &old->st_mtim, sizeof now.st_mtim);
    ck_assert_mem_eq(&now.st_ctim, &old->st_ctim, sizeof now.st_ctim);
    bytes = read_bytes(path, &now);
    if (state->bytes != NULL) {
        ck_assert_ptr_nonnull(bytes);
        ck_assert_msg(memcmp(bytes, state->bytes, (size_t)now.st_size) == 0, "%s was written to",
                      path);
    }
    free(bytes);
    free(state->bytes);
}

static bool
write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd != -1 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd != -1)
        close(fd);
    return written;
}

/// Leaves the mounts, and all users but this one.
static bool
leave_with_one_user(void)
{
    char users[64], groups[64];

    snprintf(users, sizeof users, "%ld %ld 1", (long)geteuid(), (long)geteuid());
    snprintf(groups, sizeof groups, "%ld %ld 1", (long)getegid(), (long)getegid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/uid_map", users) &&
           write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/gid_map", groups);
}

/// Gives the user namespace of a process the users that there are outside of it.
static bool
give_users(pid_t process)
{
    char users[64], groups[64];

    snprintf(users, sizeof users, "/proc/%ld/uid_map", (long)process);
    snprintf(groups, sizeof groups, "/proc/%ld/gid_map", (long)process);
    return write_text(users, "0 0 65535") && write_text(groups, "0 0 65535");
}

/// Leaves the mounts, as root that may not do so by itself, and keeps the users. One who stays
/// outside, and is root there, has to give them.
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

/// Leaves the mounts that other processes see; with the help of a user namespace where it takes
/// one.
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
           mount("mapsegtest", SHM, "tmpfs", 0, data) == 0;
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

    snprintf(name, sizeof name, SHM "/%sdevice", mark());
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
    ck_assert_msg(mount_shm(options), "mount: %s", strerror(errno));
}

uint64_t
free_blocks(void)
{
    struct statvfs status;

    ck_assert_int_eq(statvfs(SHM, &status), 0);
    return status.f_bfree;
}
