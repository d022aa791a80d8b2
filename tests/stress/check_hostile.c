/*
 * check_hostile.c - peers that do what they can to harm.
 *
 * They write anything over the header at any moment, hold every presence byte, stop in the middle
 * of everything, flood sockets, fill the file system and punch holes. The others may be denied
 * service; but each call ends once its time is over, no process crashes, nothing outside of the
 * mapping is touched, and no other file.
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHM "/dev/shm"
#define DATA_BYTES 20000

/** A call that has not ended so long after its time hangs: how much a busy machine makes it late is
 *  no fault of the call. */
#define GRACE HANG

/** How long a call waits that has no deadline of its own. */
#define PATIENCE SECOND

/* --------------------------------------------------------- the place -- */

/* ----------------------------------------------------- calls in time -- */

static const char *volatile call_now = "";

/** A call that hangs is named before the process ends. */
static void
name_hang(int number)
{
    static const char words[] = " does not end, though its time is over\n";

    (void)number;
    (void)!write(STDERR_FILENO, call_now, strlen(call_now));
    (void)!write(STDERR_FILENO, words, sizeof(words) - 1);
    _exit(3);
}

static void
set_alarm(int64_t ns)
{
    struct itimerval timer = {{0, 0},
                              {(time_t)(ns / SECOND), (suseconds_t)(ns % SECOND / MICROSECOND)}};

    need(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void
watch_hangs(void)
{
    need(signal(SIGALRM, name_hang) != SIG_ERR);
}

static void
begin_call(const char *name, int64_t limit)
{
    call_now = name;
    set_alarm(limit + GRACE);
}

static int
end_call(int result)
{
    set_alarm(0);
    return result;
}

/** The call, whose time is the limit, ends; its result. */
#define in_time(limit, call) (begin_call(#call, limit), end_call((int)(call)))
#define in_time_result(limit, call) ((mapseg_result)in_time(limit, call))

/** What is said of a failure is there to be read. */
static mapseg_result
explained(const mapseg *seg, mapseg_result result)
{
    need(strcmp(mapseg_result_name(result), "MAPSEG_?") != 0);
    if (result != MAPSEG_OK) {
        const char *reason = mapseg_error_string(seg);

        need(*reason != '\0');
        for (; *reason != '\0'; reason++)
            need((unsigned char)*reason >= 0x20 && *reason != 0x7f);
    }
    return result;
}

/* -------------------------------------------------------- the victims -- */

enum { VICTIMS = 3, SCRIBBLERS = 2, READER = 2 /* the victim that may only read */ };

enum tally { ATTACHED, REFUSED, LOCKED, NOT_LOCKED, READ, NOT_READ, WAITED, LISTED, TALLIES };

static const char *const tally_names[] = {"attached", "refused",  "locked", "not locked",
                                          "read",     "not read", "waited", "listed"};

/** What all processes of the test share. */
struct arena {
    struct place place;
    int fd;      /* of a nameless segment, to write; -1: it has a name */
    int read_fd; /* the same, to read */
    struct mapseg_header good;
    atomic_int stop; /* 1: who fights; 2: who stays, too */
    atomic_int ready;
    atomic_uint tallies[TALLIES];
    atomic_uint seen_words[64]; /* lock words that once were */
};

static struct arena *arena;
static int my_number; /* which victim or scribbler this process is */
static uint32_t chance;
static bool may_hold; /* this victim has locked, and reads what it finds */

static uint32_t
draw(uint32_t below)
{
    return next_random(&chance) % below;
}

static void
count(enum tally tally)
{
    atomic_fetch_add(&arena->tallies[tally], 1);
}

static bool
goes_on(void)
{
    return atomic_load(&arena->stop) == 0;
}

static mapseg_access
any_access(void)
{
    return my_number == READER || draw(2) == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE;
}

/** What reads beyond the data dies of it. */
static void
fence(const mapseg *seg, void **page)
{
    const uintptr_t size = 4096;
    uintptr_t end = (uintptr_t)mapseg_const_data(seg) + mapseg_size(seg);

    *page = mmap((void *)((end + size - 1) / size * size), size, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (*page == MAP_FAILED)
        *page = NULL;
}

static mapseg_result
attach_descriptor(mapseg *seg)
{
    int fd = dup(my_number == READER ? arena->read_fd : arena->fd);
    mapseg_result result;

    need(fd >= 0);
    result = in_time_result(PATIENCE, mapseg_attach_fd(seg, fd, any_access()));
    if (result != MAPSEG_OK)
        need(close(fd) == 0);
    return result;
}

static mapseg_result
attach_name(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    bool created = false;
    mapseg_result result;

    if (draw(4) == 0) {
        result = in_time_result(2 * PATIENCE,
                                mapseg_create_or_attach(seg, DATA_BYTES, any_access(), &created));
        need(!created);
        return result;
    }
    options.timeout_ns = 50 * MILLISECOND;
    options.flags = draw(2) == 0 ? MAPSEG_NO_FORK : 0;
    return in_time_result(50 * MILLISECOND, mapseg_attach_with(seg, any_access(), &options));
}

static void
enter(mapseg *seg)
{
    mapseg_result result;
    const volatile unsigned char *data;

    if (arena->fd >= 0)
        result = attach_descriptor(seg);
    else
        result = attach_name(seg);
    (void)explained(seg, result);
    need(result != MAPSEG_NOT_FOUND || arena->fd >= 0);
    count(result == MAPSEG_OK ? ATTACHED : REFUSED);
    may_hold = false;
    if (result != MAPSEG_OK)
        return;
    /* Whatever geometry was believed is there. */
    data = mapseg_const_data(seg);
    need(data != NULL && mapseg_size(seg) > 0);
    (void)data[0];
    (void)data[mapseg_size(seg) - 1];
    (void)data[draw((uint32_t)mapseg_size(seg))];
}

static void
write_something(mapseg *seg)
{
    static const char text[100] = "text";
    size_t size = mapseg_size(seg);
    char *data = mapseg_data(seg);
    mapseg_result result = in_time_result(0, mapseg_write_begin(seg));

    /* Somebody may have taken the lock from the word meanwhile. */
    if (!mapseg_result_owes_unlock(explained(seg, result)))
        return;
    if (data != NULL) {
        data[draw((uint32_t)size)] = 1;
        if (size >= sizeof(text))
            (void)in_time(0, mapseg_write(seg, size - sizeof(text), text, sizeof(text)));
    }
    if (draw(2) == 0)
        (void)in_time(0, mapseg_consistent(seg));
    if (draw(8) != 0)
        (void)in_time(0, mapseg_write_end(seg));
}

static void
use_lock(mapseg *seg)
{
    int64_t limit = draw(5) * 3 * MILLISECOND;
    mapseg_result result;

    if (draw(3) == 0)
        result = in_time_result(0, mapseg_try_lock(seg));
    else
        result = in_time_result(limit, mapseg_lock_for(seg, limit));
    (void)explained(seg, result);
    count(mapseg_result_owes_unlock(result) ? LOCKED : NOT_LOCKED);
    if (!mapseg_result_owes_unlock(result))
        return;
    may_hold = true;
    if (draw(2) == 0)
        write_something(seg);
    if (draw(4) == 0)
        (void)in_time(0, mapseg_consistent(seg));
    if (draw(16) != 0)
        (void)in_time(0, mapseg_unlock(seg));
}

static void
read_something(mapseg *seg)
{
    static unsigned char to[DATA_BYTES];
    size_t size = mapseg_size(seg);
    size_t bytes = size < sizeof(to) ? size : sizeof(to);
    uint64_t version = 0;
    mapseg_result result;

    switch (draw(5)) {
    case 0:
        result = in_time_result(PATIENCE, mapseg_read(seg, size - bytes, to, bytes, &version));
        break;
    case 1:
        result = in_time_result(PATIENCE, mapseg_read_begin(seg, &version));
        if (result == MAPSEG_OK)
            (void)in_time(0, mapseg_read_retry(seg, version));
        break;
    default:
        result =
            in_time_result(3 * MILLISECOND, mapseg_read_for(seg, draw((uint32_t)(size - bytes + 1)),
                                                            to, bytes, &version, 3 * MILLISECOND));
    }
    count(explained(seg, result) == MAPSEG_OK ? READ : NOT_READ);
    if (result == MAPSEG_OK)
        need(version % 2 == 0 || may_hold);
}

static void
wait_for_something(mapseg *seg)
{
    uint64_t seen = draw(2) == 0 ? draw(10) : 1;
    int64_t limit = draw(3) * 2 * MILLISECOND;
    uint64_t version = 0;
    mapseg_result result =
        in_time_result(limit, mapseg_wait(seg, seen, draw(2) == 0 ? NULL : &version, limit));

    (void)explained(seg, result);
    count(WAITED);
}

static void
poll_for_something(mapseg *seg)
{
    struct pollfd poller = {.events = POLLIN};

    poller.fd = in_time(0, notify_fd(seg));
    need(poller.fd >= 0);
    (void)poll(&poller, 1, 2);
}

static void
look(mapseg *seg)
{
    mapseg_info *information = NULL;
    mapseg_result result = in_time_result(0, mapseg_info_new(seg, &information));

    (void)explained(seg, result);
    if (result != MAPSEG_OK)
        return;
    need(information != NULL && *information->safety_text != '\0');
    need((information->verdict == MAPSEG_OK) == (*information->verdict_text == '\0'));
    mapseg_info_free(information);
}

static void
list_all(void)
{
    mapseg_list *list = NULL;

    if (in_time_result(0, mapseg_list_new(&list)) != MAPSEG_OK)
        broken("no list");
    /* To the reader most of them are closed. */
    need(my_number == READER || mapseg_list_count(list) >= 6);
    mapseg_list_free(list);
    count(LISTED);
}

static void export(mapseg *seg)
{
    int fd = in_time(0, exported_fd(seg, MAPSEG_READ_ONLY));

    if (fd >= 0)
        need(close(fd) == 0);
    else
        (void)explained(seg, mapseg_error(seg));
}

static void
pass_on(mapseg *seg)
{
    mapseg *receiver = mapseg_new();
    mapseg_result result;
    int ends[2];

    need(receiver != NULL && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    result = in_time_result(PATIENCE, mapseg_send(seg, ends[0], MAPSEG_READ_ONLY));
    if (explained(seg, result) == MAPSEG_OK) {
        result = in_time_result(2 * PATIENCE, mapseg_receive(receiver, ends[1], MAPSEG_READ_ONLY));
        (void)explained(receiver, result);
    }
    begin_call("mapseg_free", PATIENCE);
    mapseg_free(receiver);
    (void)end_call(0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void
guard(mapseg *seg)
{
    const volatile unsigned char *data = mapseg_const_data(seg);
    mapseg_result result = in_time_result(0, mapseg_guard_begin(seg));

    if (explained(seg, result) != MAPSEG_OK)
        return;
    (void)data[draw((uint32_t)mapseg_size(seg))];
    if (my_number == READER)
        read_something(seg);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_guard_end(seg)));
}

/** A child takes over what the header lets it. */
static void
bear_child(mapseg *seg)
{
    int status = -1;
    pid_t pid;

    pid = in_time(0, fork());
    if (pid == 0) {
        mapseg_result result = in_time_result(MILLISECOND, mapseg_lock_for(seg, MILLISECOND));

        (void)explained(seg, result);
        (void)in_time(0, mapseg_detach(seg));
        _exit(0);
    }
    need(pid > 0);
    need(in_time(PATIENCE, waitpid(pid, &status, 0)) == pid);
    need(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/** To make and lose a segment of one's own is disturbed by nobody. */
static void
make_own(void)
{
    char key[KEY_BYTES + 32];
    mapseg *seg;

    (void)snprintf(key, sizeof(key), "%s-own%d", arena->place.key, my_number);
    seg = handle_for(key);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_create(seg, 100, MAPSEG_READ_WRITE)));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}

/** What only who is not attached does. */
static void
stay_out(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_result result;

    switch (draw(8)) {
    case 0:
        if (arena->fd >= 0)
            break;
        options.flags = draw(2) == 0 ? MAPSEG_RECLAIM : 0;
        result =
            in_time_result(PATIENCE, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
        need(explained(seg, result) != MAPSEG_OK);
        break;
    case 1:
        if (arena->fd >= 0)
            break;
        /* Somebody is attached all the time. */
        result = in_time_result(PATIENCE, mapseg_reclaim(seg));
        need(explained(seg, result) != MAPSEG_OK && result != MAPSEG_NOT_FOUND);
        break;
    case 2:
        make_own();
        break;
    default:
        enter(seg);
    }
}

static void
take_part(mapseg *seg)
{
    void *page = NULL;

    fence(seg, &page);
    switch (draw(18)) {
    case 0:
        (void)in_time(0, mapseg_detach(seg));
        break;
    case 1:
        look(seg);
        break;
    case 2:
        export(seg);
        break;
    case 3:
        pass_on(seg);
        break;
    case 4:
        guard(seg);
        break;
    case 5:
        list_all();
        break;
    case 6:
        poll_for_something(seg);
        break;
    case 7:
    case 8:
        wait_for_something(seg);
        break;
    case 9:
        bear_child(seg);
        break;
    case 10:
    case 11:
    case 12:
        read_something(seg);
        break;
    default:
        use_lock(seg);
    }
    if (page != NULL)
        need(munmap(page, 4096) == 0);
}

static void
live(struct stage *stage)
{
    mapseg *seg;

    (void)stage;
    chance = (uint32_t)my_number * 7919 + 17;
    watch_hangs();
    if (my_number == READER)
        become_nobody();
    seg = arena->fd >= 0 ? mapseg_new() : handle_for(arena->place.key);
    need(seg != NULL);
    while (goes_on()) {
        if (mapseg_is_attached(seg))
            take_part(seg);
        else
            stay_out(seg);
    }
    begin_call("mapseg_free", 0);
    mapseg_free(seg);
    (void)end_call(0);
}

/* ------------------------------------------------------ the scribblers -- */

static const uint64_t numbers[] = {0,
                                   1,
                                   2,
                                   3,
                                   4095,
                                   4096,
                                   8192,
                                   20479,
                                   24576,
                                   1 << 20,
                                   UINT64_C(1) << 31,
                                   UINT64_C(1) << 32,
                                   UINT64_C(1) << 62,
                                   UINT64_C(1) << 63,
                                   INT64_MAX,
                                   INT64_MAX - 4095,
                                   UINT64_MAX,
                                   UINT64_MAX - 1,
                                   UINT64_MAX - 4095,
                                   UINT64_C(0x5555555555555555)};

static uint64_t
any_number(void)
{
    switch (draw(3)) {
    case 0:
        return numbers[draw(sizeof(numbers) / sizeof(*numbers))];
    case 1:
        return draw(UINT32_MAX);
    default:
        return (uint64_t)next_random(&chance) << 32 | next_random(&chance);
    }
}

static uint32_t
any_word(void)
{
    static const uint32_t owners[] = {0,
                                      1,
                                      2,
                                      MAPSEG_LAST_SLOT - 1,
                                      MAPSEG_LAST_SLOT,
                                      MAPSEG_LAST_SLOT + 1,
                                      MAPSEG_LAST_SLOT + 2,
                                      MAPSEG_LOCK_OWNER - 1,
                                      MAPSEG_LOCK_OWNER};
    uint32_t word = owners[draw(sizeof(owners) / sizeof(*owners))];

    if (draw(3) == 0)
        word = atomic_load(&arena->seen_words[draw(64)]) & MAPSEG_LOCK_OWNER;
    if (draw(4) == 0)
        word = next_random(&chance);
    return word | (draw(4) << 30);
}

static void
scribble_any_field(struct mapseg_header *header)
{
    uint64_t number = any_number();

    memcpy((char *)header + draw(270), &number, 1 + draw(8));
}

static void
scribble_page(struct mapseg_header *header)
{
    uint32_t fill = draw(4);

    for (size_t i = 0; i < sizeof(*header) / 4; i++)
        ((volatile uint32_t *)(void *)header)[i] = fill == 0   ? 0
                                                   : fill == 1 ? UINT32_MAX
                                                               : next_random(&chance);
}

static void
scribble_word(struct mapseg_header *header)
{
    uint32_t seen = __atomic_exchange_n(&header->lock, any_word(), __ATOMIC_SEQ_CST);

    if ((seen & MAPSEG_LOCK_OWNER) != 0)
        atomic_store(&arena->seen_words[draw(64)], seen);
}

static void
flip_bits(struct mapseg_header *header)
{
    for (int i = 0; i < 100; i++)
        (void)__atomic_fetch_xor(&header->lock, (1 + draw(3)) << 30, __ATOMIC_SEQ_CST);
}

static void
scribble_version(struct mapseg_header *header)
{
    uint64_t old = __atomic_load_n(&header->sequence, __ATOMIC_SEQ_CST);
    const uint64_t versions[] = {old + 1,
                                 old | 1,
                                 old - 2,
                                 old + 2,
                                 old + 1,
                                 any_number(),
                                 old + (UINT64_C(1) << 32),
                                 any_number() | 1};

    __atomic_store_n(&header->sequence, versions[draw(8)], __ATOMIC_SEQ_CST);
}

/** So that it can be believed. */
static void
sign(struct mapseg_header *header, const struct mapseg_header *lie)
{
    struct mapseg_header copy = *lie;

    copy.checksum = mapseg_digest(&copy, MAPSEG_CHECKSUM_COVERS);
    memcpy(header, &copy, MAPSEG_CONSTANT_BYTES);
}

static void
scribble_geometry(struct mapseg_header *header)
{
    struct mapseg_header lie = arena->good;

    if (draw(2) == 0)
        lie.data_offset = any_number();
    else if (draw(2) == 0)
        lie.data_offset = (uint64_t)draw(8) * 4096;
    lie.data_size = draw(3) == 0 ? any_number() : draw(DATA_BYTES + 10000);
    if (draw(4) == 0)
        lie.header_size = (uint32_t)any_number();
    sign(header, &lie);
}

static void
scribble_meaning(struct mapseg_header *header)
{
    struct mapseg_header lie = arena->good;

    lie.flags = draw(2) == 0 ? any_number() : UINT64_C(1) << draw(64);
    lie.user_tag = any_number();
    lie.created = any_number();
    lie.id[draw(16)] ^= (uint8_t)next_random(&chance);
    if (draw(3) == 0)
        lie.format = (uint32_t)any_number();
    sign(header, &lie);
}

static void
wake_for_nothing(struct mapseg_header *header)
{
    (void)syscall(SYS_futex, &header->lock, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    (void)syscall(SYS_futex, &header->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void (*const scribbles[])(struct mapseg_header *header) = {
    scribble_any_field, scribble_page,     scribble_word,    flip_bits,
    scribble_version,   scribble_geometry, scribble_meaning, wake_for_nothing,
};

/** The header as it should be, so that the others get in again. */
static void
restore(struct mapseg_header *header)
{
    memcpy(header, &arena->good, MAPSEG_CONSTANT_BYTES);
    if (draw(2) == 0)
        __atomic_store_n(&header->sequence, 4, __ATOMIC_SEQ_CST);
    if (draw(2) == 0)
        __atomic_store_n(&header->lock, 0, __ATOMIC_SEQ_CST);
}

static struct mapseg_header *
map_arena(void)
{
    void *memory;

    if (arena->fd < 0)
        return map_header(arena->place.path);
    memory = mmap(NULL, MAPSEG_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, arena->fd, 0);
    need(memory != MAP_FAILED);
    return memory;
}

static void
scribble(struct stage *stage)
{
    const uint32_t kinds = sizeof(scribbles) / sizeof(*scribbles);
    struct mapseg_header *header = map_arena();

    (void)stage;
    chance = (uint32_t)my_number * 104729 + 3;
    while (goes_on()) {
        uint32_t first = draw(kinds);
        uint32_t second = draw(kinds);
        uint32_t rounds = draw(3000);

        for (uint32_t i = 0; i < rounds && goes_on(); i++)
            scribbles[i % 2 == 0 ? first : second](header);
        restore(header);
        /* In turns quiet enough that somebody gets the lock, and gets it taken away. */
        if (draw(2) == 0)
            nap((int64_t)draw(2000) * MICROSECOND);
    }
}

/* ------------------------------------------------------ the witnesses -- */

enum { FILES = 40 };

/** A file that nobody has any business with. */
struct witness {
    char name[NAME_MAX + 1];
    struct stat status;
    uint64_t digest;
};

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
    got = read(fd, bytes, sizeof(bytes));
    need(got > 0);
    (void)close(fd);
    return mapseg_digest(bytes, (size_t)got);
}

/** All that is in the directory; how many. */
static size_t
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
        memset(witness, 0, sizeof(*witness));
        (void)snprintf(witness->name, sizeof(witness->name), "%s", entry->d_name);
        need(fstatat(dirfd(directory), witness->name, &witness->status, AT_SYMLINK_NOFOLLOW) == 0);
        /* Of the one that is scribbled on only its being there counts. */
        if (strcmp(witness->name, arena->place.path + strlen(SHM "/")) != 0)
            witness->digest = digest_of(dirfd(directory), witness->name, &witness->status);
        else
            memset(&witness->status.st_mtim, 0, sizeof(witness->status.st_mtim));
        found++;
    }
    (void)closedir(directory);
    qsort(witnesses, found, sizeof(*witnesses), compare_names);
    return found;
}

static void
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
             memcmp(&was->st_mtim, &is->st_mtim, sizeof(was->st_mtim)) != 0))
            broken("%s was touched", before[i].name);
    }
    need_number(expected, found);
}

/** Files and segments that stand about. */
static void
put_bystanders(void)
{
    need(mkdir(SHM "/directory", 0777) == 0);
    need(symlink("bystander1", SHM "/link") == 0);
    need(mkfifo(SHM "/fifo", 0666) == 0);
    for (int i = 0; i < 6; i++) {
        char path[80], key[80];
        mapseg *seg;
        int fd;

        (void)snprintf(path, sizeof(path), SHM "/bystander%d", i);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        need(fd >= 0 && write(fd, path, sizeof(path)) == (ssize_t)sizeof(path));
        (void)close(fd);
        (void)snprintf(key, sizeof(key), "shm:segment%d", i);
        seg = created_as(key, 3000, MAPSEG_PERSISTENT);
        memset(mapseg_data(seg), i, 3000);
        mapseg_free(seg);
    }
}

/* ----------------------------------------------------- the scribbling -- */

/** Remains attached longer than all others, and does nothing. */
static void
stay(struct stage *stage)
{
    mapseg *seg = mapseg_new();
    mapseg_result result;

    (void)stage;
    if (arena->fd >= 0)
        result = mapseg_attach_fd(seg, dup(arena->fd), MAPSEG_READ_WRITE);
    else
        result = mapseg_set_native_key(seg, arena->place.key) != MAPSEG_OK
                     ? MAPSEG_KEY_ERROR
                     : mapseg_attach(seg, MAPSEG_READ_WRITE);
    need_result(MAPSEG_OK, result);
    atomic_fetch_add(&arena->ready, 1);
    while (atomic_load(&arena->stop) < 2)
        nap(MILLISECOND);
    watch_hangs();
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}

static void
set_arena(bool nameless)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg;

    arena = shared_memory(sizeof(*arena));
    arena->fd = -1;
    arena->read_fd = -1;
    new_place(&arena->place);
    options.flags = MAPSEG_PERSISTENT;
    options.mode = 0644;
    seg = handle_for(nameless ? "memfd:" : arena->place.key);
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    if (nameless) {
        arena->fd = exported_fd(seg, MAPSEG_READ_WRITE);
        arena->read_fd = exported_fd(seg, MAPSEG_READ_ONLY);
        need(arena->fd >= 0 && arena->read_fd >= 0);
    }
    mapseg_free(seg);
    memcpy(&arena->good, map_arena(), sizeof(arena->good));
}

static pid_t
start_number(void (*body)(struct stage *stage), int number)
{
    my_number = number;
    return start(body, NULL);
}

static int64_t
hostile_time(void)
{
    const char *text = getenv("MAPSEG_HOSTILE_SECONDS");

    return (text == NULL ? 3 : strtol(text, NULL, 10)) * SECOND;
}

/** Whether the victims have done, and suffered, everything that is counted. */
static bool
all_has_happened(void)
{
    for (int i = 0; i < TALLIES; i++)
        if (atomic_load(&arena->tallies[i]) == 0)
            return false;
    return true;
}

/** None of them ends before it is told to. The first stays to the end: the last to leave removes
 *  what a forged header does not call persistent. */
static void
let_them_fight(const pid_t *pids, size_t processes)
{
    int64_t begun = now_ns();

    while (now_ns() < begun + hostile_time() || (now_ns() < begun + HANG && !all_has_happened())) {
        for (size_t i = 0; i < processes; i++) {
            int status = 0;

            if (waitpid(pids[i], &status, WNOHANG) != 0)
                broken("process %zu ended with wait status 0x%x", i, (unsigned)status);
        }
        nap(10 * MILLISECOND);
    }
    atomic_store(&arena->stop, 1);
    for (size_t i = 1; i < processes; i++)
        finish(pids[i]);
    atomic_store(&arena->stop, 2);
    finish(pids[0]);
}

/** When the header is whole again the segment works as ever. */
static void
check_recovery(void)
{
    struct mapseg_header *header = map_arena();
    mapseg *seg = arena->fd >= 0 ? mapseg_new() : handle_for(arena->place.key);
    uint64_t version = 1;
    char byte;

    memcpy(header, &arena->good, sizeof(*header));
    need(munmap(header, MAPSEG_HEADER_BYTES) == 0);
    watch_hangs();
    if (arena->fd >= 0)
        need_result(MAPSEG_OK, mapseg_attach_fd(seg, arena->fd, MAPSEG_READ_WRITE));
    else
        need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_lock_for(seg, HANG)));
    need_result(MAPSEG_ALREADY_LOCKED, in_time_result(0, mapseg_write_begin(seg)));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_write_end(seg)));
    need_result(MAPSEG_OK, in_time_result(SECOND, mapseg_read(seg, 0, &byte, 1, &version)));
    need_number(2, version);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}

START_TEST(header_is_scribbled_on)
{
    static struct witness outside[FILES], inside[FILES];
    pid_t pids[1 + VICTIMS + SCRIBBLERS];
    size_t processes = 0, outside_count, inside_count;

    use_tiny_shm("size=16m");
    put_bystanders();
    set_arena(_i == 1);
    outside_count = take_witness(SHM, outside);
    inside_count = take_witness(SHM "/directory", inside);

    pids[processes++] = start_number(stay, 0);
    await(&arena->ready, 1);
    for (int i = 0; i < VICTIMS; i++)
        pids[processes++] = start_number(live, i);
    for (int i = 0; i < SCRIBBLERS; i++)
        pids[processes++] = start_number(scribble, i);
    let_them_fight(pids, processes);

    check_witness(SHM, outside, outside_count);
    check_witness(SHM "/directory", inside, inside_count);
    for (int i = 0; i < TALLIES; i++) {
        printf("%s %u%s", tally_names[i], atomic_load(&arena->tallies[i]),
               i + 1 < TALLIES ? ", " : "\n");
        need(atomic_load(&arena->tallies[i]) > 0);
    }
    check_recovery();
}
END_TEST

/* ------------------------------------------- a lock that is taken away -- */

static void
attach_and_wait(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    atomic_store(&stage->ready, 1);
    await(&stage->go, 1);
    mapseg_free(seg);
}

/** The peer writes another living attachment into the word while this one holds the lock. That the
 *  lock is lost no call can mend; but none waits for it for ever. */
START_TEST(word_names_another_who_lives)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    mapseg *seg;
    uint32_t slot;
    pid_t pid;

    leave_persistent(stage->place.key, 100, 0);
    header = map_header(stage->place.path);
    pid = start(attach_and_wait, stage);
    await(&stage->ready, 1);
    slot = slot_in_maps(pid, stage->place.path);
    need(slot != 0);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    watch_hangs();
    for (int i = 0; i < 2; i++) {
        mapseg_result result;
        char byte = 0;

        set_lock_word(header, 0);
        need_result(MAPSEG_OK, in_time_result(0, mapseg_lock_for(seg, HANG)));
        set_lock_word(header, slot);
        if (i == 1)
            (void)in_time(0, mapseg_write(seg, 0, &byte, 1));
        result = in_time_result(0, mapseg_write_begin(seg));
        if (mapseg_result_owes_unlock(result))
            (void)in_time(0, mapseg_write_end(seg));
        (void)in_time(0, mapseg_consistent(seg));
        (void)in_time(0, mapseg_unlock(seg));
        need_result(MAPSEG_TIMED_OUT,
                    in_time_result(20 * MILLISECOND, mapseg_lock_for(seg, 20 * MILLISECOND)));
    }
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
    atomic_store(&stage->go, 1);
    finish(pid);
    remove_persistent(stage->place.key);
}
END_TEST

/** Owners that are none, or dead: the word is theirs no longer than it takes to see that. */
START_TEST(word_names_nobody)
{
    static const uint32_t owners[] = {
        MAPSEG_LAST_SLOT + 1, MAPSEG_LAST_SLOT + 2, UINT32_C(0x20000000),  MAPSEG_LOCK_OWNER - 1,
        MAPSEG_LOCK_OWNER,    MAPSEG_FIRST_SLOT,    MAPSEG_FIRST_SLOT + 1, MAPSEG_LAST_SLOT};
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    uint32_t slot;
    mapseg *seg;

    leave_persistent(stage->place.key, 100, 0);
    header = map_header(stage->place.path);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    slot = slot_in_maps(getpid(), stage->place.path);
    watch_hangs();
    for (uint32_t i = 0; i < 4 * sizeof(owners) / sizeof(*owners); i++) {
        if (owners[i / 4] == slot)
            continue;
        set_lock_word(header, owners[i / 4] | i % 4 << 30);
        need_result(MAPSEG_OWNER_DIED, in_time_result(0, mapseg_lock_for(seg, HANG)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_consistent(seg)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_unlock(seg)));
        set_lock_word(header, owners[i / 4] | i % 4 << 30);
        need_result(MAPSEG_OWNER_DIED, in_time_result(0, mapseg_try_lock(seg)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_consistent(seg)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_unlock(seg)));
    }
    for (uint32_t bits = 0; bits < 4; bits++) {
        set_lock_word(header, bits << 30);
        need_result(bits % 2 == 0 ? MAPSEG_OK : MAPSEG_OWNER_DIED,
                    in_time_result(0, mapseg_lock_for(seg, HANG)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_consistent(seg)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_unlock(seg)));
        /* Its own slot, though it has not locked: another thread's, for all it knows. */
        set_lock_word(header, slot | bits << 30);
        need_result(MAPSEG_TIMED_OUT,
                    in_time_result(5 * MILLISECOND, mapseg_lock_for(seg, 5 * MILLISECOND)));
        need_result(MAPSEG_WOULD_BLOCK, in_time_result(0, mapseg_try_lock(seg)));
    }
    set_lock_word(header, 0);
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/* ------------------------------------------------- bytes that are held -- */

/** Which bytes a peer holds. */
static struct {
    int64_t first;
    int64_t count;
    int64_t first_too;
    int64_t count_too;
    bool to_read; /* as whoever may only read the file can */
} held;

static void
hold(struct stage *stage)
{
    const int64_t firsts[] = {held.first, held.first_too};
    const int64_t counts[] = {held.count, held.count_too};
    int fd;

    if (held.to_read)
        become_nobody();
    fd = open(stage->place.path, (held.to_read ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    need(fd >= 0);
    for (int i = 0; i < 2; i++) {
        struct flock range = {
            .l_type = held.to_read ? F_RDLCK : F_WRLCK,
            .l_whence = SEEK_SET,
            .l_start = (off_t)(MAPSEG_PRESENCE_BASE + firsts[i]),
            .l_len = (off_t)counts[i],
        };

        need(counts[i] == 0 || fcntl(fd, F_OFD_SETLK, &range) == 0);
    }
    atomic_store(&stage->ready, 1);
    for (;;)
        pause();
}

static pid_t
start_to_hold(struct stage *stage)
{
    pid_t pid;

    atomic_store(&stage->ready, 0);
    pid = start(hold, stage);
    await(&stage->ready, 1);
    return pid;
}

static mapseg_result
attach_for(mapseg *seg, mapseg_access access, int64_t timeout)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.timeout_ns = timeout;
    return in_time_result(timeout, mapseg_attach_with(seg, access, &options));
}

static mapseg_result
replace(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_RECLAIM;
    return in_time_result(PATIENCE, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
}

static void
look_at(mapseg *seg)
{
    mapseg_info *information = NULL;
    mapseg_list *list = NULL;

    need_result(MAPSEG_OK, in_time_result(0, mapseg_info_new(seg, &information)));
    mapseg_info_free(information);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_list_new(&list)));
    mapseg_list_free(list);
}

START_TEST(every_byte_is_held)
{
    struct stage *stage = new_stage();
    uint64_t inode;
    mapseg *seg;
    pid_t pid;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, 100, 0);
    need(chmod(stage->place.path, 0644) == 0);
    inode = inode_of(stage->place.path);
    held.count = MAPSEG_NAME_BYTE + 1;
    held.to_read = _i == 1;
    pid = start_to_hold(stage);
    seg = handle_for(stage->place.key);
    watch_hangs();
    need_result(MAPSEG_TIMED_OUT, attach_for(seg, MAPSEG_READ_WRITE, 200 * MILLISECOND));
    need(*mapseg_error_string(seg) != '\0');
    need_result(MAPSEG_TIMED_OUT, attach_for(seg, MAPSEG_READ_ONLY, 200 * MILLISECOND));
    need_result(MAPSEG_TIMED_OUT, in_time_result(PATIENCE, mapseg_attach(seg, MAPSEG_READ_WRITE)));
    need_result(
        MAPSEG_TIMED_OUT,
        in_time_result(2 * PATIENCE, mapseg_create_or_attach(seg, 10, MAPSEG_READ_WRITE, NULL)));
    need_result(MAPSEG_ALREADY_EXISTS,
                in_time_result(0, mapseg_create(seg, 10, MAPSEG_READ_WRITE)));
    need_result(MAPSEG_ALREADY_EXISTS, replace(seg));
    need_result(MAPSEG_IN_USE, in_time_result(PATIENCE, mapseg_reclaim(seg)));
    need_result(MAPSEG_TIMED_OUT, in_time_result(PATIENCE, mapseg_remove(seg)));
    look_at(seg);
    need_number(inode, inode_of(stage->place.path));
    kill_and_reap(pid);
    need_result(MAPSEG_OK, attach_for(seg, MAPSEG_READ_WRITE, HANG));
    mapseg_free(seg);
}
END_TEST

/** Only the slots: nobody is removing the segment, but none is to be had. */
START_TEST(every_slot_is_held)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t pid;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, 100, 0);
    held.first = MAPSEG_FIRST_SLOT;
    held.count = MAPSEG_LAST_SLOT;
    pid = start_to_hold(stage);
    seg = handle_for(stage->place.key);
    watch_hangs();
    need_result(MAPSEG_TIMED_OUT, attach_for(seg, MAPSEG_READ_WRITE, 200 * MILLISECOND));
    need_result(MAPSEG_IN_USE, in_time_result(PATIENCE, mapseg_reclaim(seg)));
    look_at(seg);
    kill_and_reap(pid);
    need_result(MAPSEG_OK, attach_for(seg, MAPSEG_READ_WRITE, HANG));
    mapseg_free(seg);
}
END_TEST

/** All bytes but the one of who was there before. */
START_TEST(every_other_byte_is_held)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    mapseg *seg, *late;
    uint32_t slot, taken;
    char byte;
    pid_t pid;

    use_tiny_shm("size=2m");
    /* Without children, or the peer would be attached too. */
    seg = created_as(stage->place.key, 100, MAPSEG_NO_FORK);
    header = map_header(stage->place.path);
    slot = slot_in_maps(getpid(), stage->place.path);
    need(slot != 0);
    held.count = slot;
    held.first_too = (int64_t)slot + 1;
    held.count_too = MAPSEG_NAME_BYTE - slot;
    pid = start_to_hold(stage);
    taken = slot == 1 ? 2 : slot - 1;
    watch_hangs();
    need_result(MAPSEG_OK, in_time_result(0, mapseg_lock_for(seg, HANG)));
    need_result(MAPSEG_ALREADY_LOCKED, in_time_result(0, mapseg_write_begin(seg)));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_write_end(seg)));
    set_lock_word(header, taken | MAPSEG_LOCK_SLEEPERS);
    need_result(MAPSEG_TIMED_OUT,
                in_time_result(50 * MILLISECOND, mapseg_lock_for(seg, 50 * MILLISECOND)));
    need_result(MAPSEG_WOULD_BLOCK, in_time_result(0, mapseg_try_lock(seg)));
    need_result(MAPSEG_OK, in_time_result(PATIENCE, mapseg_read(seg, 0, &byte, 1, NULL)));
    late = handle_for(stage->place.key);
    need_result(MAPSEG_TIMED_OUT, attach_for(late, MAPSEG_READ_WRITE, 100 * MILLISECOND));
    kill_and_reap(pid);
    need_result(MAPSEG_OWNER_DIED, in_time_result(0, mapseg_lock_for(seg, HANG)));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    pid = start_to_hold(stage);
    /* Not the last one out as far as it can tell. */
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    need(exists(stage->place.path));
    kill_and_reap(pid);
    need_result(MAPSEG_OK, in_time_result(PATIENCE, mapseg_reclaim(late)));
    need(!exists(stage->place.path));
    mapseg_free(late);
    mapseg_free(seg);
}
END_TEST

static void
lease(struct stage *stage)
{
    int fd = open(stage->place.path, O_RDWR | O_CLOEXEC);

    need(signal(SIGIO, SIG_IGN) != SIG_ERR);
    need(fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
    atomic_store(&stage->ready, 1);
    for (;;)
        pause();
}

/** Who has a lease on a file is asked before others open it, and may take its time. */
START_TEST(file_is_leased)
{
    struct stage *stage = new_stage();
    mapseg_info *information = NULL;
    mapseg_list *list = NULL;
    mapseg *seg;
    pid_t pid;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, 100, 0);
    pid = start(lease, stage);
    await(&stage->ready, 1);
    seg = handle_for(stage->place.key);
    watch_hangs();
    need_result(MAPSEG_TIMED_OUT, attach_for(seg, MAPSEG_READ_WRITE, 100 * MILLISECOND));
    need_result(MAPSEG_TIMED_OUT, attach_for(seg, MAPSEG_READ_ONLY, 100 * MILLISECOND));
    need(explained(seg, in_time_result(PATIENCE, mapseg_remove(seg))) != MAPSEG_OK);
    need(explained(seg, in_time_result(PATIENCE, mapseg_reclaim(seg))) != MAPSEG_OK);
    need(explained(seg, replace(seg)) != MAPSEG_OK);
    (void)explained(seg, in_time_result(0, mapseg_info_new(seg, &information)));
    mapseg_info_free(information);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_list_new(&list)));
    mapseg_list_free(list);
    kill_and_reap(pid);
    need_result(MAPSEG_OK, attach_for(seg, MAPSEG_READ_WRITE, HANG));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------ wakes that are stolen -- */

/** As whoever may only read the file can: sleeps where the others do. */
static void
steal_wakes(struct stage *stage)
{
    const struct mapseg_header *header;
    struct timespec second = {1, 0};
    int fd;

    become_nobody();
    fd = open(stage->place.path, O_RDONLY | O_CLOEXEC);
    need(fd >= 0);
    header = mmap(NULL, MAPSEG_HEADER_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    need(header != MAP_FAILED);
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        (void)syscall(SYS_futex, &header->lock, FUTEX_WAIT, lock_word(header), &second, NULL, 0);
}

static void
hold_a_while(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    for (int i = 1; i <= 10; i++) {
        await(&stage->go, i);
        need(mapseg_result_owes_unlock(mapseg_lock_for(seg, HANG)));
        atomic_store(&stage->told[0], i);
        nap(20 * MILLISECOND);
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}

START_TEST(wakes_are_stolen)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t thieves[6], holder;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, 100, 0);
    need(chmod(stage->place.path, 0644) == 0);
    for (int i = 0; i < 6; i++)
        thieves[i] = start(steal_wakes, stage);
    await(&stage->ready, 6);
    holder = start(hold_a_while, stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    for (int i = 1; i <= 10; i++) {
        atomic_store(&stage->go, i);
        await(&stage->told[0], i);
        need_result(MAPSEG_OK, mapseg_lock_for(seg, HANG));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    finish(holder);
    for (int i = 0; i < 6; i++)
        kill_and_reap(thieves[i]);
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/* ------------------------------------------------ stopped in the middle -- */

static void
attach_again_and_again(mapseg *seg)
{
    if (mapseg_attach(seg, MAPSEG_READ_WRITE) == MAPSEG_NOT_FOUND)
        ignored(mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    (void)mapseg_detach(seg);
}

static void
create_again_and_again(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_RECLAIM;
    ignored(mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    (void)mapseg_detach(seg);
}

static void
lock_again_and_again(mapseg *seg)
{
    ignored(mapseg_create_or_attach(seg, DATA_BYTES, MAPSEG_READ_WRITE, NULL));
    for (int i = 0; i < 100; i++)
        if (mapseg_result_owes_unlock(mapseg_lock_for(seg, MILLISECOND))) {
            (void)mapseg_consistent(seg);
            (void)mapseg_unlock(seg);
        }
}

static void
write_again_and_again(mapseg *seg)
{
    ignored(mapseg_create_or_attach(seg, DATA_BYTES, MAPSEG_READ_WRITE, NULL));
    for (int i = 0; i < 100; i++)
        if (mapseg_result_owes_unlock(mapseg_lock_for(seg, MILLISECOND))) {
            if (mapseg_result_owes_unlock(mapseg_write_begin(seg)))
                memset(mapseg_data(seg), i, mapseg_size(seg));
            (void)mapseg_consistent(seg);
            (void)mapseg_write_end(seg);
        }
}

static void
remove_again_and_again(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_PERSISTENT;
    ignored(mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    ignored(mapseg_remove(seg));
    (void)mapseg_detach(seg);
}

static void
reclaim_again_and_again(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_PERSISTENT;
    ignored(mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    (void)mapseg_detach(seg);
    ignored(mapseg_reclaim(seg));
}

static void (*const habits[])(mapseg *seg) = {
    attach_again_and_again, create_again_and_again, lock_again_and_again,
    write_again_and_again,  remove_again_and_again, reclaim_again_and_again,
};

#define HABITS ((int)(sizeof(habits) / sizeof(*habits)))

static void
follow_habit(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    atomic_store(&stage->ready, 1);
    for (;;)
        habits[stage->number](seg);
}

static void
stop(pid_t pid)
{
    int status;

    need(kill(pid, SIGSTOP) == 0);
    need(waitpid(pid, &status, WUNTRACED) == pid);
    need(WIFSTOPPED(status));
}

/** Everything that one can do beside a stopped process. */
static void
do_everything(mapseg *seg, bool removes)
{
    uint64_t version;
    char byte;

    if (explained(seg, attach_for(seg, MAPSEG_READ_WRITE, 50 * MILLISECOND)) == MAPSEG_OK) {
        mapseg_result result =
            in_time_result(10 * MILLISECOND, mapseg_lock_for(seg, 10 * MILLISECOND));

        if (mapseg_result_owes_unlock(explained(seg, result))) {
            (void)in_time(0, mapseg_write_begin(seg));
            (void)in_time(0, mapseg_consistent(seg));
            need_result(MAPSEG_OK, in_time_result(0, mapseg_write_end(seg)));
        } else {
            need_result(MAPSEG_TIMED_OUT, result);
        }
        (void)explained(
            seg, in_time_result(10 * MILLISECOND,
                                mapseg_read_for(seg, 0, &byte, 1, &version, 10 * MILLISECOND)));
        (void)explained(
            seg, in_time_result(10 * MILLISECOND, mapseg_wait(seg, 1, &version, 10 * MILLISECOND)));
        need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    }
    look(seg);
    (void)explained(seg, in_time_result(PATIENCE, mapseg_create(seg, 10, MAPSEG_READ_WRITE)));
    (void)in_time(0, mapseg_detach(seg));
    (void)explained(seg, in_time_result(PATIENCE, mapseg_reclaim(seg)));
    if (removes)
        (void)explained(seg, in_time_result(PATIENCE, mapseg_remove(seg)));
}

START_TEST(stopped_at_any_moment)
{
    struct stage *stage = new_stage();
    uint32_t random = (uint32_t)_i * 31 + 7;
    mapseg *seg;
    pid_t pid;

    use_tiny_shm("size=4m");
    stage->number = _i;
    pid = start(follow_habit, stage);
    await(&stage->ready, 1);
    seg = handle_for(stage->place.key);
    watch_hangs();
    for (int i = 0; i < 12; i++) {
        nap(next_random(&random) % 3000 * MICROSECOND);
        stop(pid);
        do_everything(seg, i % 4 == 3);
        need(kill(pid, SIGCONT) == 0);
    }
    stop(pid);
    kill_and_reap(pid);
    (void)explained(seg, replace(seg));
    need(mapseg_is_attached(seg));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_lock_for(seg, HANG)));
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

static void
write_and_stop(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    atomic_store(&stage->ready, 1);
    (void)raise(SIGSTOP);
    for (;;)
        pause();
}

/** A writer that does not go on, and then is no more. */
START_TEST(writer_is_stopped)
{
    struct stage *stage = new_stage();
    uint64_t version = 7;
    int status;
    mapseg *seg;
    char byte;
    pid_t pid;

    leave_persistent(stage->place.key, 100, 0);
    pid = start(write_and_stop, stage);
    need(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    watch_hangs();
    need_result(MAPSEG_TIMED_OUT,
                in_time_result(30 * MILLISECOND, mapseg_lock_for(seg, 30 * MILLISECOND)));
    need_result(MAPSEG_TIMED_OUT,
                in_time_result(30 * MILLISECOND,
                               mapseg_read_for(seg, 0, &byte, 1, &version, 30 * MILLISECOND)));
    need_result(MAPSEG_TIMED_OUT,
                in_time_result(PATIENCE, mapseg_read(seg, 0, &byte, 1, &version)));
    need_result(MAPSEG_TIMED_OUT, in_time_result(PATIENCE, mapseg_read_begin(seg, &version)));
    need_number(7, version);
    need_result(MAPSEG_TIMED_OUT,
                in_time_result(30 * MILLISECOND, mapseg_wait(seg, 0, NULL, 30 * MILLISECOND)));
    look_at(seg);
    kill_and_reap(pid);
    need_result(MAPSEG_OWNER_DIED,
                in_time_result(PATIENCE, mapseg_read(seg, 0, &byte, 1, &version)));
    need_result(MAPSEG_OWNER_DIED, in_time_result(0, mapseg_lock_for(seg, HANG)));
    need_result(MAPSEG_ALREADY_LOCKED, in_time_result(0, mapseg_write_begin(seg)));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_write_end(seg)));
    need_result(MAPSEG_OK, in_time_result(PATIENCE, mapseg_read(seg, 0, &byte, 1, &version)));
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/* ----------------------------------------------------------- the flood -- */

enum { BATCH = 250, BATCHES = 4 };

/** A message as it should be, with a thousand times the descriptors. */
static void
flood(int fd, int descriptor, const struct mapseg_message *message)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int) * BATCH)];
    } control;
    struct iovec bytes = {(void *)(uintptr_t)message, sizeof(*message)};
    struct msghdr whole = {
        .msg_iov = &bytes,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    int *descriptors;

    memset(&control, 0, sizeof(control));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int) * BATCH);
    descriptors = (int *)(void *)CMSG_DATA(&control.header);
    for (int i = 0; i < BATCH; i++)
        descriptors[i] = descriptor;
    for (int i = 0; i < BATCHES; i++)
        need(sendmsg(fd, &whole, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*message));
}

static void
make_message(struct mapseg_message *message, int descriptor)
{
    struct mapseg_header header;

    need(pread(descriptor, &header, sizeof(header), 0) == (ssize_t)sizeof(header));
    memset(message, 0, sizeof(*message));
    memcpy(message->magic, MAPSEG_MESSAGE_MAGIC, sizeof(message->magic));
    message->version = MAPSEG_MESSAGE_VERSION;
    message->bytes = MAPSEG_MESSAGE_BYTES;
    message->access = 1;
    memcpy(message->id, header.id, sizeof(message->id));
    message->data_size = header.data_size;
    message->checksum = mapseg_digest(message, MAPSEG_MESSAGE_CHECKSUM_COVERS);
}

START_TEST(thousand_descriptors_are_sent)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    struct rlimit limit, all;
    struct mapseg_message message;
    mapseg *sender = created("memfd:", 1000);
    mapseg *receiver = mapseg_new();
    int descriptors, mappings;
    int ends[2];
    int fd = exported_fd(sender, MAPSEG_READ_WRITE);

    need(fd >= 0 && receiver != NULL);
    make_message(&message, fd);
    need(socketpair(AF_UNIX, types[_i / 2], 0, ends) == 0);
    flood(ends[0], fd, &message);
    descriptors = count_descriptors();
    mappings = count_shared_mappings();
    need(getrlimit(RLIMIT_NOFILE, &all) == 0);
    limit = all;
    if (_i % 2 == 1)
        limit.rlim_cur = (rlim_t)ends[1] + 4;
    watch_hangs();
    for (int i = 0; i < BATCHES; i++) {
        mapseg_result result;

        need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        result = in_time_result(2 * PATIENCE, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
        need(explained(receiver, result) != MAPSEG_OK);
        need(!mapseg_is_attached(receiver));
        need(setrlimit(RLIMIT_NOFILE, &all) == 0);
        need_number(descriptors, count_descriptors());
        need_number(mappings, count_shared_mappings());
    }
    (void)close(ends[0]);
    (void)close(ends[1]);

    need(socketpair(AF_UNIX, types[_i / 2], 0, ends) == 0);
    need_result(MAPSEG_OK,
                in_time_result(PATIENCE, mapseg_send(sender, ends[0], MAPSEG_READ_WRITE)));
    need_result(MAPSEG_OK,
                in_time_result(PATIENCE, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE)));
    need_number(1000, mapseg_size(receiver));
    mapseg_free(receiver);
    mapseg_free(sender);
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)close(fd);
}
END_TEST

/* -------------------------------------------------------- the full place -- */

/** Takes all that is left of the file system. */
static void
fill_up(void)
{
    static char block[4096];
    int fd = open(SHM "/filler", O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);

    need(fd >= 0);
    memset(block, 1, sizeof(block));
    while (write(fd, block, sizeof(block)) > 0)
        ;
    need(errno == ENOSPC);
    (void)close(fd);
}

static void
fill_with_names(void)
{
    for (int i = 0;; i++) {
        char path[64];
        int fd;

        (void)snprintf(path, sizeof(path), SHM "/filler%d", i);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            break;
        (void)close(fd);
    }
    need(errno == ENOSPC);
}

static unsigned
count_all_names(void)
{
    DIR *directory = opendir(SHM);
    unsigned names = 0;

    need(directory != NULL);
    while (readdir(directory) != NULL)
        names++;
    (void)closedir(directory);
    return names;
}

/** All that was reserved is there. */
static void
use_reserved(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    unsigned char *copy = malloc(mapseg_size(seg));
    uint64_t version = 0;

    need(copy != NULL);
    need_result(MAPSEG_OK, mapseg_write_begin(seg));
    memset(mapseg_data(seg), 0x77, mapseg_size(seg));
    need_result(MAPSEG_OK, mapseg_write_end(seg));
    need_result(MAPSEG_OK, mapseg_read(seg, 0, copy, mapseg_size(seg), &version));
    for (size_t i = 0; i < mapseg_size(seg); i++)
        need(copy[i] == 0x77);
    need_result(MAPSEG_OK, mapseg_wait(seg, version - 2, NULL, 0));
    free(copy);
    mapseg_free(seg);
}

START_TEST(place_is_filled)
{
    struct stage *stage = new_stage();
    struct place late;
    struct statvfs before, after;
    unsigned names;
    mapseg *seg;

    use_tiny_shm(_i == 0 ? "size=2m" : "size=2m,nr_inodes=50");
    leave_persistent(stage->place.key, 300000, 0);
    new_place(&late);
    if (_i == 0)
        fill_up();
    else
        fill_with_names();
    names = count_all_names();
    need(statvfs(SHM, &before) == 0);
    seg = handle_for(late.key);
    watch_hangs();
    for (size_t size = 1; size < (1 << 22); size *= 8)
        need_result(MAPSEG_OUT_OF_RESOURCES,
                    explained(seg, in_time_result(0, mapseg_create(seg, size, MAPSEG_READ_WRITE))));
    need_result(
        MAPSEG_OUT_OF_RESOURCES,
        in_time_result(PATIENCE, mapseg_create_or_attach(seg, 10, MAPSEG_READ_WRITE, NULL)));
    need(!exists(late.path));
    need(statvfs(SHM, &after) == 0);
    need_number(before.f_bfree, after.f_bfree);
    need_number(before.f_ffree, after.f_ffree);
    need_number(names, count_all_names());
    mapseg_free(seg);

    finish(start(use_reserved, stage));
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    look_at(seg);
    finish(start(use_reserved, stage));
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/* --------------------------------------------------------------- holes -- */

static void
punch_again_and_again(struct stage *stage)
{
    int fd = open(stage->place.path, O_RDWR | O_CLOEXEC);
    struct stat status;

    need(fd >= 0 && fstat(fd, &status) == 0);
    while (atomic_load(&stage->go) == 0) {
        need(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, status.st_size) == 0);
        atomic_fetch_add(&stage->ready, 1);
        if (atomic_load(&stage->ready) % 8 == 0)
            nap(200 * MICROSECOND);
    }
}

/** Reads zeros, or what was written since. */
START_TEST(holes_are_punched)
{
    struct stage *stage = new_stage();
    static unsigned char copy[DATA_BYTES];
    uint64_t version;
    mapseg *seg;
    pid_t pid;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    pid = start(punch_again_and_again, stage);
    seg = handle_for(stage->place.key);
    watch_hangs();
    await(&stage->ready, 1);
    need_result(MAPSEG_NOT_A_SEGMENT, attach_for(seg, MAPSEG_READ_WRITE, 50 * MILLISECOND));
    atomic_store(&stage->go, 1);
    finish(pid);

    need(unlink(stage->place.path) == 0);
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    need_result(MAPSEG_OK, attach_for(seg, MAPSEG_READ_WRITE, HANG));
    memset(mapseg_data(seg), 0x33, DATA_BYTES);
    atomic_store(&stage->go, 0);
    atomic_store(&stage->ready, 0);
    pid = start(punch_again_and_again, stage);
    await(&stage->ready, 1);
    for (int round = 0; round < 1000; round++) {
        mapseg_result result =
            in_time_result(20 * MILLISECOND,
                           mapseg_read_for(seg, 0, copy, sizeof(copy), &version, 20 * MILLISECOND));

        if (explained(seg, result) == MAPSEG_OK)
            for (size_t i = 0; i < sizeof(copy); i++)
                need(copy[i] == 0 || copy[i] == 0x33);
        if (mapseg_result_owes_unlock(
                in_time_result(10 * MILLISECOND, mapseg_lock_for(seg, 10 * MILLISECOND)))) {
            memset(mapseg_data(seg), 0x33, DATA_BYTES);
            (void)in_time(0, mapseg_unlock(seg));
        }
    }
    atomic_store(&stage->go, 1);
    finish(pid);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}
END_TEST

/** A segment whose memory is gone, and cannot be had again: to touch it is SIGBUS, but not for what
 *  asks the system, nor in a guarded section. */
static mapseg *
attached_to_hole(struct stage *stage)
{
    struct stat status;
    mapseg *seg;
    int fd;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    /* So that it has touched the lock before, and thinks that it may again. */
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    fd = open(stage->place.path, O_RDWR | O_CLOEXEC);
    need(fd >= 0 && fstat(fd, &status) == 0);
    need(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, status.st_size) == 0);
    need(close(fd) == 0);
    fill_up();
    watch_hangs();
    return seg;
}

START_TEST(hole_in_a_full_place_is_read)
{
    mapseg *seg = attached_to_hole(new_stage());
    static unsigned char copy[DATA_BYTES];
    const volatile unsigned char *data = mapseg_const_data(seg);
    mapseg_result result;

    memset(copy, 1, sizeof(copy));
    need_result(MAPSEG_OK, in_time_result(PATIENCE, mapseg_read(seg, 0, copy, sizeof(copy), NULL)));
    for (size_t i = 0; i < sizeof(copy); i++)
        need(copy[i] == 0);
    (void)explained(seg, in_time_result(0, mapseg_wait(seg, 1, NULL, 0)));
    look(seg);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_guard_begin(seg)));
    for (size_t i = 0; i < DATA_BYTES; i += 1000)
        need(data[i] == 0);
    result = in_time_result(0, mapseg_guard_end(seg));
    need(result == MAPSEG_OK || result == MAPSEG_FILE_SHRUNK);
    (void)in_time(PATIENCE, mapseg_read(seg, 0, copy, sizeof(copy), NULL));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}
END_TEST

START_TEST(hole_in_a_full_place_is_left)
{
    struct stage *stage = new_stage();
    mapseg *seg = attached_to_hole(stage);
    mapseg *late = handle_for(stage->place.key);

    export(seg);
    need_result(MAPSEG_NOT_A_SEGMENT, attach_for(late, MAPSEG_READ_WRITE, 50 * MILLISECOND));
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(late);
    mapseg_free(seg);
}
END_TEST

START_TEST(hole_in_a_full_place_is_inherited)
{
    mapseg *seg = attached_to_hole(new_stage());
    int status = -1;
    pid_t pid = in_time(0, fork());

    if (pid == 0)
        _exit(0);
    need(pid > 0 && waitpid(pid, &status, 0) == pid);
    need(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_detach(seg)));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------ a file that comes and goes -- */

/** Until the victim has attached and left once more, or will not again. */
static void
await_visit(struct stage *stage)
{
    int seen = atomic_load(&stage->ready);

    while (atomic_load(&stage->ready) == seen && atomic_load(&stage->go) == 0)
        nap(MILLISECOND / 5);
}

/** Takes all of the file away, and gives it back with a header that is believed. Now and then it
 *  stays until the victim has been there. */
static void
shorten_again_and_again(struct stage *stage)
{
    static struct mapseg_header header;
    int fd = open(stage->place.path, O_RDWR | O_CLOEXEC);
    struct stat status;

    need(fd >= 0 && fstat(fd, &status) == 0);
    need(pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header));
    chance = 1;
    for (;;) {
        need(ftruncate(fd, 0) == 0);
        need(ftruncate(fd, status.st_size) == 0);
        need(pwrite(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header));
        for (uint32_t i = draw(20000); i > 0; i--)
            atomic_signal_fence(memory_order_seq_cst);
        if (draw(256) == 0)
            await_visit(stage);
    }
}

static void
write_and_leave(mapseg *seg)
{
    char bytes[10] = "text";

    for (int i = 0; i < 20; i++) {
        if (in_time_result(0, mapseg_guard_begin(seg)) != MAPSEG_OK)
            return;
        (void)in_time(PATIENCE, mapseg_write(seg, 0, bytes, sizeof(bytes)));
        (void)in_time(0, mapseg_guard_end(seg));
    }
}

static void
lock_and_leave(mapseg *seg)
{
    if (in_time_result(0, mapseg_guard_begin(seg)) != MAPSEG_OK)
        return;
    if (mapseg_result_owes_unlock(in_time_result(MILLISECOND, mapseg_lock_for(seg, MILLISECOND))))
        (void)in_time(0, mapseg_unlock(seg));
    (void)in_time(0, mapseg_guard_end(seg));
}

static void
lock_and_fork(mapseg *seg)
{
    int status = -1;
    pid_t pid;

    lock_and_leave(seg);
    pid = in_time(0, fork());
    if (pid == 0)
        _exit(0);
    need(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
}

static void
read_and_leave(mapseg *seg)
{
    static unsigned char copy[DATA_BYTES];

    for (int i = 0; i < 20; i++)
        (void)in_time(MILLISECOND, mapseg_read_for(seg, 0, copy, sizeof(copy), NULL, MILLISECOND));
    (void)in_time(MILLISECOND, mapseg_wait(seg, 0, NULL, MILLISECOND));
}

/** What a program does that never touches the memory outside of a section. */
static void (*const cautious[])(mapseg *seg) = {read_and_leave, lock_and_leave, lock_and_fork,
                                                write_and_leave};

static void
be_cautious(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    watch_hangs();
    while (atomic_load(&stage->go) == 0)
        if (in_time_result(PATIENCE, mapseg_attach(seg, MAPSEG_READ_WRITE)) == MAPSEG_OK) {
            cautious[stage->number](seg);
            (void)in_time(0, mapseg_detach(seg));
            atomic_fetch_add(&stage->ready, 1);
        }
    mapseg_free(seg);
}

START_TEST(file_comes_and_goes)
{
    struct stage *stage = new_stage();
    pid_t peer, victim;

    use_tiny_shm("size=2m");
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    stage->number = _i;
    peer = start(shorten_again_and_again, stage);
    victim = start(be_cautious, stage);
    nap(hostile_time() / 4);
    await(&stage->ready, 10);
    atomic_store(&stage->go, 1);
    finish(victim);
    kill_and_reap(peer);
}
END_TEST

static void
add_cases(Suite *suite)
{
    TCase *tcase = new_case(suite, "scribblers");

    tcase_set_timeout(tcase, (double)(hostile_time() / SECOND) + TEST_TIMEOUT);
    tcase_add_loop_test(tcase, header_is_scribbled_on, 0, 2);
    tcase_add_test(tcase, word_names_another_who_lives);
    tcase_add_test(tcase, word_names_nobody);

    tcase = new_case(suite, "holders");
    tcase_add_loop_test(tcase, every_byte_is_held, 0, 2);
    tcase_add_test(tcase, every_slot_is_held);
    tcase_add_test(tcase, every_other_byte_is_held);
    tcase_add_test(tcase, file_is_leased);
    tcase_add_test(tcase, wakes_are_stolen);

    tcase = new_case(suite, "stopped");
    tcase_add_loop_test(tcase, stopped_at_any_moment, 0, HABITS);
    tcase_add_test(tcase, writer_is_stopped);

    tcase = new_case(suite, "floods");
    tcase_add_loop_test(tcase, thousand_descriptors_are_sent, 0, 6);
    tcase_add_loop_test(tcase, place_is_filled, 0, 2);
    tcase_add_test(tcase, holes_are_punched);
    tcase_add_test(tcase, hole_in_a_full_place_is_read);
    tcase_add_test(tcase, hole_in_a_full_place_is_left);
    tcase_add_test(tcase, hole_in_a_full_place_is_inherited);
    tcase_add_loop_test(tcase, file_comes_and_goes, 0, 4);
}

int
main(void)
{
    Suite *suite;

    if (!skip_unless(is_root() && can_unmount(), "a private /dev/shm needs root"))
        return EXIT_SKIPPED;
    suite = new_suite("hostile");
    add_cases(suite);
    return run_suite(suite);
}
