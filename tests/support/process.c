/* process.c - see process.h. */

#include "process.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHM_DIRECTORY "/dev/shm"

static char prefix[48];
static bool in_child;

/* ---------------------------------------------------------- assertions -- */

void
broken(const char *file, int line, const char *format, ...)
{
    char text[512];
    int length = snprintf(text, sizeof(text), "%s:%d: ", file, line);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text + length, sizeof(text) - (size_t)length, format, arguments);
    va_end(arguments);
    if (in_child) {
        dprintf(STDERR_FILENO, "[child %d] %s\n", (int)getpid(), text);
        _exit(1);
    }
    ck_abort_msg("%s", text);
    abort();
}

void
need_result_at(const char *file, int line, const char *call, mapseg_result expected,
               mapseg_result got)
{
    if (got != expected)
        broken(file, line, "%s gave %s, not %s", call, mapseg_result_name(got),
               mapseg_result_name(expected));
}

void
need_number_at(const char *file, int line, const char *text, int64_t expected, int64_t got)
{
    if (got != expected)
        broken(file, line, "%s is %" PRId64 ", not %" PRId64, text, got, expected);
}

/* ---------------------------------------------------------------- suite -- */

void
suite_begin(const char *suite_name)
{
    (void)snprintf(prefix, sizeof(prefix), "mapseg-test-%s-%d-", suite_name, (int)getpid());
}

/** Unlinks this run's names; how many there were. */
static int
sweep(void)
{
    DIR *directory = opendir(SHM_DIRECTORY);
    struct dirent *entry;
    int found = 0;

    if (directory == NULL)
        return 0;
    while ((entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0) {
            (void)fprintf(stderr, "left behind: %s\n", entry->d_name);
            (void)unlinkat(dirfd(directory), entry->d_name, 0);
            found++;
        }
    }
    (void)closedir(directory);
    return found;
}

TCase *
suite_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, TEST_TIMEOUT);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int
suite_end(int failures)
{
    int left = sweep();

    return failures == 0 && left == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ------------------------------------------------------------ processes -- */

void *
share(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    need(memory != MAP_FAILED);
    return memory;
}

void
new_place(struct place *place)
{
    static int number;
    char name[80];

    (void)snprintf(name, sizeof(name), "%s%d-%d", prefix, (int)getpid(), number++);
    (void)snprintf(place->key, sizeof(place->key), "shm:%s", name);
    (void)snprintf(place->path, sizeof(place->path), SHM_DIRECTORY "/%s", name);
}

struct stage *
new_stage(void)
{
    struct stage *stage = share(sizeof(*stage));

    new_place(&stage->place);
    return stage;
}

void
become_child(void)
{
    in_child = true;
}

pid_t
start(void (*body)(struct stage *stage), struct stage *stage)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid == 0) {
        become_child();
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        body(stage);
        _exit(0);
    }
    need(pid > 0);
    return pid;
}

int
reap_at(const char *file, int line, pid_t pid)
{
    int64_t deadline = now() + HANG;
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (now() > deadline) {
            (void)kill(pid, SIGKILL);
            broken(file, line, "process %d hangs", (int)pid);
        }
        nap(MILLISECOND / 2);
    }
    return status;
}

void
finish_at(const char *file, int line, pid_t pid)
{
    int status = reap_at(file, line, pid);

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        broken(file, line, "process %d ended with wait status 0x%x", (int)pid, (unsigned)status);
}

void
kill_and_reap(pid_t pid)
{
    int status;

    need(kill(pid, SIGKILL) == 0);
    need(waitpid(pid, &status, 0) == pid);
    need(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

bool
is_asleep(pid_t pid)
{
    char path[40];
    char text[256];
    const char *state;
    ssize_t length;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    length = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[length > 0 ? length : 0] = '\0';
    state = strrchr(text, ')');
    return state != NULL && strncmp(state, ") S", 3) == 0;
}

void
need_asleep_at(const char *file, int line, pid_t pid)
{
    int64_t deadline = now() + HANG;

    while (!is_asleep(pid)) {
        if (now() > deadline)
            broken(file, line, "process %d does not sleep", (int)pid);
        nap(MILLISECOND / 2);
    }
}

void
await_at(const char *file, int line, const char *text, const atomic_int *cell, int value)
{
    int64_t deadline = now() + HANG;

    while (atomic_load(cell) < value) {
        if (now() > deadline)
            broken(file, line, "%s stays %d, never becomes %d", text, atomic_load(cell), value);
        nap(MILLISECOND / 5);
    }
}

int64_t
now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * SECOND + time.tv_nsec;
}

void
nap(int64_t ns)
{
    struct timespec left = {(time_t)(ns / SECOND), (long)(ns % SECOND)};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

uint32_t
next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* ------------------------------------------------------------- segments -- */

mapseg *
handle_of(const char *key)
{
    mapseg *seg = mapseg_new();

    need(seg != NULL);
    need_result(MAPSEG_OK, mapseg_set_native_key(seg, key));
    return seg;
}

mapseg *
attached_to(const char *key)
{
    mapseg *seg = handle_of(key);

    need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
    return seg;
}

mapseg *
created_at(const char *key, size_t size, uint32_t flags)
{
    mapseg *seg = handle_of(key);
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags;
    need_result(MAPSEG_OK, mapseg_create_with(seg, size, MAPSEG_READ_WRITE, &options));
    return seg;
}

void
make_segment(const struct place *place, size_t size, uint32_t flags)
{
    mapseg_free(created_at(place->key, size, flags | MAPSEG_PERSISTENT));
    need(name_exists(place->path));
}

void
remove_segment(const struct place *place)
{
    mapseg *seg = handle_of(place->key);

    need_result(MAPSEG_OK, mapseg_remove(seg));
    mapseg_free(seg);
    need(!name_exists(place->path));
}

/** What mapseg_info says of a key; the caller frees it. */
static mapseg_info *
describe(const char *key)
{
    mapseg *seg = handle_of(key);
    mapseg_info *information = NULL;

    need_result(MAPSEG_OK, mapseg_info_new(seg, &information));
    need(information != NULL);
    mapseg_free(seg);
    return information;
}

void
need_attached_through_at(const char *file, int line, uint32_t expected, mapseg *seg)
{
    int64_t deadline = now() + HANG;
    uint32_t attached;

    for (;;) {
        mapseg_info *information = NULL;

        need_result_at(file, line, "mapseg_info", MAPSEG_OK, mapseg_info_new(seg, &information));
        attached = information->attached;
        mapseg_info_free(information);
        if (attached == expected)
            return;
        if (now() > deadline)
            broken(file, line, "%u are attached, not %u", attached, expected);
        nap(MILLISECOND);
    }
}

void
need_attached_at(const char *file, int line, uint32_t expected, const char *key)
{
    mapseg *seg = handle_of(key);

    need_attached_through_at(file, line, expected, seg);
    mapseg_free(seg);
}

mapseg_use
use_of(const char *key)
{
    mapseg_info *information = describe(key);
    mapseg_use use = information->use;

    mapseg_info_free(information);
    return use;
}

mapseg_lock_state
lock_state_of(const char *key)
{
    mapseg_info *information = describe(key);
    mapseg_lock_state state = information->lock;

    mapseg_info_free(information);
    return state;
}

/* ------------------------------------------- the file, without a library -- */

struct mapseg_header *
map_header(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *memory;

    need(fd >= 0);
    memory = mmap(NULL, MAPSEG_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    need(memory != MAP_FAILED);
    (void)close(fd);
    return memory;
}

uint32_t
lock_word(const struct mapseg_header *header)
{
    return __atomic_load_n(&header->lock, __ATOMIC_SEQ_CST);
}

void
set_lock_word(struct mapseg_header *header, uint32_t word)
{
    __atomic_store_n(&header->lock, word, __ATOMIC_SEQ_CST);
}

uint64_t
recoveries_of(const struct mapseg_header *header)
{
    return __atomic_load_n(&header->recoveries, __ATOMIC_SEQ_CST);
}

void
await_word_at(const char *file, int line, const struct mapseg_header *header, uint32_t bits)
{
    int64_t deadline = now() + HANG;

    while ((lock_word(header) & bits) == 0) {
        if (now() > deadline)
            broken(file, line, "the lock word stays 0x%08x", (unsigned)lock_word(header));
        nap(MILLISECOND / 5);
    }
}

uint64_t
inode_of(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 ? (uint64_t)status.st_ino : 0;
}

bool
name_exists(const char *path)
{
    return inode_of(path) != 0;
}

void
await_gone(const char *path)
{
    int64_t deadline = now() + HANG;

    while (name_exists(path)) {
        if (now() > deadline)
            broken(__FILE__, __LINE__, "%s stays", path);
        nap(MILLISECOND / 5);
    }
}

uint64_t
inode_attached(mapseg *seg)
{
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);
    struct stat status;

    need(fd >= 0);
    need(fstat(fd, &status) == 0);
    (void)close(fd);
    return (uint64_t)status.st_ino;
}

int
hold_bytes(const char *path, int64_t first, int64_t count)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct flock range = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = (off_t)(MAPSEG_PRESENCE_BASE + first),
        .l_len = (off_t)count,
    };

    need(fd >= 0);
    need(fcntl(fd, F_OFD_SETLK, &range) == 0);
    return fd;
}

uint32_t
slot_in_maps(pid_t pid, const char *path)
{
    uint64_t wanted = inode_of(path);
    char name[40];
    char line[512];
    uint32_t slot = 0;
    FILE *file;

    (void)snprintf(name, sizeof(name), "/proc/%d/maps", (int)pid);
    file = fopen(name, "re");
    need(file != NULL && wanted != 0);
    while (fgets(line, sizeof(line), file) != NULL) {
        char rights[8];
        uint64_t offset;
        uint64_t inode;

        if (sscanf(line, "%*s %7s %" SCNx64 " %*s %" SCNu64, rights, &offset, &inode) == 3 &&
            inode == wanted && strcmp(rights, "---s") == 0)
            slot = (uint32_t)(offset / MAPSEG_HEADER_BYTES);
    }
    (void)fclose(file);
    return slot;
}

unsigned
count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;

    need(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    (void)closedir(directory);
    return count;
}

unsigned
count_shared_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned count = 0;

    need(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL) {
        char rights[8];

        if (sscanf(line, "%*s %7s", rights) == 1 && rights[3] == 's')
            count++;
    }
    (void)fclose(file);
    return count;
}
