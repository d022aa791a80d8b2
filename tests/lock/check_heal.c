/*
 * check_heal.c - a newcomer whose slot the lock word names already: it clears that away, counts it
 * and wakes a sleeper; and neither that nor anything else that a program cannot put between
 * mapseg_guard_begin and mapseg_guard_end touches a page that others can take away.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "os/os.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 20000

static struct msi_os_operations healthy;
static char key[KEY_BYTES];
static char path[KEY_BYTES];

static void
begin(void)
{
    healthy = msi_os;
    unique_key(key);
    path_of(path, key);
}

/** A segment without a name, or with one, that this process alone has; open for writing. */
static int
open_segment(void)
{
    leave_persistent(key, DATA_BYTES, 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

/* ------------------------------------------------------ a hostile owner -- */

/** What the owner of the file does, from the moment that the newcomer has its slot. */
static struct {
    int fd;         /**< of the file */
    bool armed;     /**< the next claim is answered */
    uint32_t word;  /**< that it has written; 0: not yet */
    uint32_t bits;  /**< of that, besides the slot */
    int steps;      /**< calls of the system since then */
    int shorten_at; /**< before which of these the file is shortened; -1: never */
    off_t length;   /**< to this */
    int wakes;
    void (*on_word)(void); /**< called when the word is written; NULL: nothing */
} owner;

static void
take_step(void)
{
    if (owner.word != 0 && owner.steps++ == owner.shorten_at)
        ck_assert_int_eq(ftruncate(owner.fd, owner.length), 0);
}

static int
lock_range_and_answer(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    take_step();
    int error = healthy.lock_range_ofd(fd, kind, start, bytes);
    if (owner.armed && error >= 0 && kind == MSI_RANGE_EXCLUSIVE && bytes == 1 &&
        start > MAPSEG_PRESENCE_BASE) {
        owner.armed = false;
        owner.word = (uint32_t)(start - MAPSEG_PRESENCE_BASE) | owner.bits;
        ck_assert_int_eq(
            pwrite(owner.fd, &owner.word, sizeof owner.word, offsetof(struct mapseg_header, lock)),
            (ssize_t)sizeof owner.word);
        if (owner.on_word != NULL)
            owner.on_word();
    }
    return error;
}

static int
test_range_and_step(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes,
                    struct msi_range *found)
{
    take_step();
    return healthy.test_range(fd, kind, start, bytes, found);
}

static int64_t
read_and_step(int fd, void *to, size_t bytes, int64_t offset)
{
    take_step();
    return healthy.read(fd, to, bytes, offset);
}

static int64_t
write_and_step(int fd, const void *from, size_t bytes, int64_t offset)
{
    take_step();
    return healthy.write(fd, from, bytes, offset);
}

static int64_t
copy_to_and_step(void *to, const void *from, size_t bytes)
{
    take_step();
    return healthy.copy_to_mapping(to, from, bytes);
}

static int64_t
copy_from_and_step(void *to, const void *from, size_t bytes)
{
    take_step();
    return healthy.copy_from_mapping(to, from, bytes);
}

static int
status_and_step(int fd, struct stat *status)
{
    take_step();
    return healthy.status(fd, status);
}

static int
hide_and_step(void *address, size_t bytes)
{
    take_step();
    return healthy.hide_from_children(address, bytes);
}

static bool
wake_one_and_step(const uint32_t *word)
{
    take_step();
    owner.wakes++;
    return healthy.wake_one(word);
}

/** From now on; the word is written at the next claim of a slot. */
static void
meet_owner(int fd, uint32_t bits, int shorten_at, off_t length)
{
    memset(&owner, 0, sizeof owner);
    owner.fd = fd;
    owner.armed = true;
    owner.bits = bits;
    owner.shorten_at = shorten_at;
    owner.length = length;
    msi_os.lock_range_ofd = lock_range_and_answer;
    msi_os.test_range = test_range_and_step;
    msi_os.read = read_and_step;
    msi_os.write = write_and_step;
    msi_os.copy_to_mapping = copy_to_and_step;
    msi_os.copy_from_mapping = copy_from_and_step;
    msi_os.status = status_and_step;
    msi_os.hide_from_children = hide_and_step;
    msi_os.wake_one = wake_one_and_step;
}

static void
leave_owner(void)
{
    msi_os = healthy;
    owner.word = 0;
}

/* ------------------------------------------------- what claims a slot -- */

enum way { ATTACH, ATTACH_READ_ONLY, FORK, WAYS };

/** What a child does that was made beside a hostile owner. */
static int
live_in_child(mapseg *seg)
{
    leave_owner();
    return mapseg_detach(seg) == MAPSEG_OK ? 0 : 1;
}

/** Claims a slot that way, under the owner's eyes, and leaves again. The owner ends with it. */
static void
come_and_go(enum way way, mapseg *seg)
{
    mapseg_result result = MAPSEG_OK;

    if (way == FORK) {
        pid_t child = fork();

        ck_assert_int_ge(child, 0);
        if (child == 0)
            _exit(live_in_child(seg));
        ck_assert_int_eq(end_of(child), 0);
    } else {
        result = mapseg_attach(seg, way == ATTACH ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY);
    }
    ck_assert(result == MAPSEG_OK || result == MAPSEG_FILE_SHRUNK || result == MAPSEG_CORRUPT);
    if (result == MAPSEG_OK)
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
}

/** Cut off before the word, before the counter, and behind the header. */
static const off_t lengths[] = {0, 130, 140, 4096};
#define LENGTHS ((int)(sizeof lengths / sizeof *lengths))

/** The file becomes shorter before the first, second, ... step after the owner wrote the word,
 *  until there are no more steps. */
START_TEST(shortened_at_each_step)
{
    enum way way = (enum way)(_i / LENGTHS);
    int steps = 1;

    begin();
    for (int at = 0; at < steps; at++) {
        int fd = open_segment();
        mapseg *seg = way == FORK ? attached(key, MAPSEG_READ_WRITE) : handle_for(key);

        meet_owner(fd, MAPSEG_LOCK_SLEEPERS, at, lengths[_i % LENGTHS]);
        come_and_go(way, seg);
        ck_assert_uint_ne(owner.word, 0);
        steps = owner.steps;
        leave_owner();
        mapseg_free(seg);
        close(fd);
        ck_assert_int_eq(unlink(path), 0);
    }
    /* At least the look at the word, its count, and the new word. */
    ck_assert_int_gt(steps, 3);
}
END_TEST

/* -------------------------------------------------------------- healing -- */

static uint32_t *asleep_on;
static pthread_t sleeper;
static atomic_int sleeper_number;

static void *
sleep_on_word(void *argument)
{
    (void)argument;
    atomic_store(&sleeper_number, (int)syscall(SYS_gettid));
    /* Until the word is another, or a wake: the test has an end by itself. */
    while (__atomic_load_n(asleep_on, __ATOMIC_SEQ_CST) == owner.word &&
           syscall(SYS_futex, asleep_on, FUTEX_WAIT, owner.word, NULL, NULL, 0) != 0)
        continue;
    return NULL;
}

/** Whether the thread sleeps, as the kernel says. */
static bool
thread_is_asleep(int number)
{
    char name[64];
    char text[256];
    const char *state;
    size_t length;

    snprintf(name, sizeof name, "/proc/self/task/%d/stat", number);
    FILE *file = fopen(name, "re");
    if (file == NULL)
        return false;
    length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    state = strrchr(text, ')');
    return state != NULL && strncmp(state, ") S", 3) == 0;
}

static void
start_sleeper(void)
{
    asleep_on = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, owner.fd, 0);
    ck_assert_ptr_ne(asleep_on, MAP_FAILED);
    asleep_on += offsetof(struct mapseg_header, lock) / sizeof *asleep_on;
    ck_assert_int_eq(pthread_create(&sleeper, NULL, sleep_on_word, NULL), 0);
    while (!thread_is_asleep(atomic_load(&sleeper_number)))
        nap(1 * MILLISECOND);
}

static struct mapseg_header
header_of(int fd)
{
    struct mapseg_header header;

    ck_assert_int_eq(pread(fd, &header, sizeof header, 0), (ssize_t)sizeof header);
    return header;
}

/** On a file that stays whole. Without the wake the sleeper sleeps for ever. */
START_TEST(healed_counted_and_woken)
{
    enum way way = (enum way)(_i % WAYS);
    bool sleepers = _i / WAYS != 0;

    begin();
    int fd = open_segment();
    mapseg *seg = way == FORK ? attached(key, MAPSEG_READ_WRITE) : handle_for(key);
    meet_owner(fd, sleepers ? MAPSEG_LOCK_SLEEPERS : 0, -1, 0);
    if (sleepers)
        owner.on_word = start_sleeper;
    come_and_go(way, seg);
    ck_assert_int_ge(owner.wakes, 1);
    leave_owner();
    if (sleepers)
        ck_assert_int_eq(pthread_join(sleeper, NULL), 0);
    struct mapseg_header header = header_of(fd);
    ck_assert_uint_eq(header.lock, MAPSEG_LOCK_DIED | (sleepers ? MAPSEG_LOCK_SLEEPERS : 0));
    ck_assert_uint_eq(header.recoveries, 1);
    mapseg_free(seg);
    close(fd);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/** The same in a memory file, of which nothing can be taken away. */
START_TEST(healed_in_a_sealed_file)
{
    char other_key[KEY_BYTES];

    begin();
    mapseg *seg = created("memfd:", DATA_BYTES);
    int fd = exported_fd(seg, MAPSEG_READ_WRITE);
    ck_assert_int_ge(fd, 0);
    snprintf(other_key, sizeof other_key, "memfd:%d", fd);
    mapseg *other = handle_for(other_key);
    meet_owner(fd, MAPSEG_LOCK_SLEEPERS, -1, 0);
    owner.on_word = start_sleeper;
    need_call(MAPSEG_OK, other, mapseg_attach(other, MAPSEG_READ_WRITE));
    leave_owner();
    ck_assert_int_eq(pthread_join(sleeper, NULL), 0);
    ck_assert_uint_eq(header_of(fd).lock, MAPSEG_LOCK_DIED | MAPSEG_LOCK_SLEEPERS);
    ck_assert_uint_eq(header_of(fd).recoveries, 1);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_try_lock(seg));
    mapseg_free(other);
    mapseg_free(seg);
    close(fd);
}
END_TEST

/** A word that names another is left alone, and nothing is counted. */
START_TEST(another_owner_is_left_alone)
{
    begin();
    int fd = open_segment();
    mapseg *first = attached(key, MAPSEG_READ_WRITE);
    need_call(MAPSEG_OK, first, mapseg_lock(first));
    uint32_t word = header_of(fd).lock;
    mapseg *second = attached(key, MAPSEG_READ_WRITE);
    ck_assert_uint_eq(header_of(fd).lock, word);
    ck_assert_uint_eq(header_of(fd).recoveries, 0);
    need_call(MAPSEG_OK, first, mapseg_unlock(first));
    mapseg_free(second);
    mapseg_free(first);
    close(fd);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* ------------------------------------------------------ pages untouched -- */

/** Mappings of the file that must not be touched. */
static struct untouchable {
    void *address;
    size_t bytes;
    int rights;
} untouchables[16];
#define UNTOUCHABLES (sizeof untouchables / sizeof *untouchables)

static void *
map_untouchable(int fd, size_t bytes, int64_t offset, enum msi_protection protection, int *error)
{
    void *address = healthy.map(fd, bytes, offset, protection, error);
    size_t i = 0;

    if (address == NULL || protection == MSI_MAP_NONE)
        return address;
    while (i < UNTOUCHABLES && untouchables[i].address != NULL)
        i++;
    ck_assert_uint_lt(i, UNTOUCHABLES);
    untouchables[i] = (struct untouchable){
        address, bytes, protection == MSI_MAP_WRITE ? PROT_READ | PROT_WRITE : PROT_READ};
    ck_assert_int_eq(mprotect(address, bytes, PROT_NONE), 0);
    return address;
}

static void
unmap_untouchable(void *address, size_t bytes)
{
    for (size_t i = 0; i < UNTOUCHABLES; i++)
        if (untouchables[i].address == address)
            untouchables[i].address = NULL;
    healthy.unmap(address, bytes);
}

/** What the program itself does is allowed; and what the system does for the library, to which a
 *  missing page is an error and no signal. */
static void
allow_touching(bool allowed)
{
    for (size_t i = 0; i < UNTOUCHABLES; i++)
        if (untouchables[i].address != NULL)
            ck_assert_int_eq(mprotect(untouchables[i].address, untouchables[i].bytes,
                                      allowed ? untouchables[i].rights : PROT_NONE),
                             0);
}

static int64_t
copy_to_untouchable(void *to, const void *from, size_t bytes)
{
    allow_touching(true);
    int64_t put = healthy.copy_to_mapping(to, from, bytes);
    allow_touching(false);
    return put;
}

static int64_t
copy_from_untouchable(void *to, const void *from, size_t bytes)
{
    allow_touching(true);
    int64_t got = healthy.copy_from_mapping(to, from, bytes);
    allow_touching(false);
    return got;
}

static void
forbid_touching(void)
{
    msi_os.map = map_untouchable;
    msi_os.unmap = unmap_untouchable;
    msi_os.copy_to_mapping = copy_to_untouchable;
    msi_os.copy_from_mapping = copy_from_untouchable;
}

/** Looks at it, from within and in the list. */
static void
look_at(mapseg *seg)
{
    mapseg_list *list;

    mapseg_info_free(describe(seg));
    ck_assert_int_eq(mapseg_list_new(&list), MAPSEG_OK);
    mapseg_list_free(list);
}

static int
leave_as_child(mapseg *seg)
{
    look_at(seg);
    return mapseg_detach(seg) == MAPSEG_OK ? 0 : 1;
}

/** Attached or created, with the slot in the word already, forked, with the lock held or not, and
 *  left: a touch is SIGSEGV, and the end of the test. */
START_TEST(no_page_is_touched)
{
    bool creates = _i % 3 == 0;
    mapseg_access access = _i % 3 == 1 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE;
    bool holds = _i / 3 != 0;

    begin();
    int fd = creates ? -1 : open_segment();
    mapseg *seg = handle_for(key);
    if (!creates)
        meet_owner(fd, MAPSEG_LOCK_SLEEPERS, -1, 0);
    forbid_touching();
    need_call(MAPSEG_OK, seg,
              creates ? mapseg_create(seg, DATA_BYTES, access) : mapseg_attach(seg, access));
    look_at(seg);
    if (!creates)
        owner.armed = true;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        _exit(leave_as_child(seg));
    ck_assert_int_eq(end_of(child), 0);
    if (holds) {
        allow_touching(true);
        ck_assert(mapseg_result_owes_unlock(mapseg_lock(seg)));
        allow_touching(false);
    }
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    leave_owner();
    if (!creates) {
        ck_assert_uint_eq(header_of(fd).recoveries, 2);
        ck_assert_uint_eq(header_of(fd).lock & MAPSEG_LOCK_OWNER, 0);
        close(fd);
        ck_assert_int_eq(unlink(path), 0);
    }
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------------------- a race -- */

#define RACE_NS INT64_C(2000000000)

/** Writes each slot that is claimed into the word, cuts the file off, and makes it whole again. */
static int
race_as_owner(int channel, void *argument)
{
    struct mapseg_header header;
    int fd = open(argument, O_RDWR | O_CLOEXEC);
    unsigned rounds = 0;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fd < 0 || pread(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
        return 1;
    say(channel, 'a');
    for (;;) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        uint32_t slot;

        lock.l_start = (off_t)MAPSEG_PRESENCE_BASE + MAPSEG_FIRST_SLOT;
        lock.l_len = (off_t)MAPSEG_LAST_SLOT;
        if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type != F_WRLCK || lock.l_len != 1)
            continue;
        slot = (uint32_t)(lock.l_start - (off_t)MAPSEG_PRESENCE_BASE);
        if (pwrite(fd, &slot, sizeof slot, offsetof(struct mapseg_header, lock)) < 0)
            return 1;
        for (volatile unsigned i = 0; i < rounds % 64 * 30; i++)
            continue;
        rounds++;
        if (ftruncate(fd, 0) != 0 || ftruncate(fd, 4096 + DATA_BYTES) != 0 ||
            pwrite(fd, &header, sizeof header, 0) < 0)
            return 1;
    }
}

/** Comes and goes, and has children, until the time is over. */
static int
come_and_go_for_a_while(void *argument)
{
    const mapseg_options defaults = MAPSEG_OPTIONS_INIT;
    mapseg_options options = defaults;
    int64_t end = now_ns() + RACE_NS;
    mapseg *seg = handle_for(argument);

    options.timeout_ns = 1000;
    while (now_ns() < end) {
        if (mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options) != MAPSEG_OK)
            continue;
        pid_t child = fork();
        if (child == 0)
            _exit(mapseg_detach(seg) == MAPSEG_OK ? 0 : 1);
        if (child < 0 || end_of(child) != 0 || mapseg_detach(seg) != MAPSEG_OK)
            return 1;
    }
    return 0;
}

START_TEST(race_with_a_hostile_owner)
{
    begin();
    leave_persistent(key, DATA_BYTES, 0);
    struct peer peer = start_peer(race_as_owner, path);
    ck_assert_int_eq(hear(peer.channel), 'a');
    ck_assert_int_eq(in_child(come_and_go_for_a_while, key), 0);
    kill_peer(&peer);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("heal");
    TCase *group = new_case(suite, "healing");

    tcase_add_loop_test(group, shortened_at_each_step, 0, (int)WAYS * LENGTHS);
    tcase_add_loop_test(group, healed_counted_and_woken, 0, 2 * WAYS);
    tcase_add_test(group, healed_in_a_sealed_file);
    tcase_add_test(group, another_owner_is_left_alone);
    tcase_add_loop_test(group, no_page_is_touched, 0, 6);
    tcase_add_test(group, race_with_a_hostile_owner);
    return run_suite(suite);
}
