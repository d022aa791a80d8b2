/*
 * check_guard.c - access sections: files that become shorter under their mappings, and the
 * program's own handling of SIGBUS beside that.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mapseg-format.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define SIZE (16 * PAGE)
#define FILE_BYTES (MAPSEG_HEADER_BYTES + SIZE)
#define FILL 0xa5

/* What a child says by its exit status. */
#define WELL 42
#define BAD 43

/* -------------------------------------------------- who shortens the file -- */

/// A process that makes a file shorter when it is told to, and whole again.
static int
shorten(int channel, void *path)
{
    int fd = -1;
    int word;

    while ((word = hear(channel)) > 0 && word != 'q') {
        off_t bytes = word == '0'   ? 0
                      : word == 'h' ? (off_t)MAPSEG_HEADER_BYTES
                      : word == 'm' ? (off_t)(MAPSEG_HEADER_BYTES + SIZE / 2)
                      : word == 'p' ? (off_t)FILE_BYTES - 1
                                    : (off_t)FILE_BYTES;

        if (fd == -1)
            fd = open(path, O_RDWR | O_CLOEXEC);
        say(channel, fd != -1 && ftruncate(fd, bytes) == 0 ? 'y' : 'n');
    }
    return 0;
}

/// A segment, attached here, and a process that can shorten its file.
struct scene {
    char key[KEY_BYTES];
    char path[KEY_BYTES];
    struct peer peer;
    mapseg *seg;
};

/// The process alone; it must not inherit any attachment.
static void
begin_scene(struct scene *scene)
{
    unique_key(scene->key);
    path_of(scene->path, scene->key);
    scene->peer = start_peer(shorten, scene->path);
}

static void
attach_scene(struct scene *scene, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    scene->seg = handle_for(scene->key);
    options.flags = flags;
    need_call(MAPSEG_OK, scene->seg,
              mapseg_create_with(scene->seg, SIZE, MAPSEG_READ_WRITE, &options));
    memset(mapseg_data(scene->seg), FILL, SIZE);
}

static void
set_up(struct scene *scene, uint32_t flags)
{
    begin_scene(scene);
    attach_scene(scene, flags);
}

static void
tear_down(struct scene *scene)
{
    mapseg_free(scene->seg);
    say(scene->peer.channel, 'q');
    ck_assert_int_eq(end_peer(&scene->peer), 0);
}

/// Checks that the data is as it was filled up to a place, and zero from there.
static void
check_data(const mapseg *seg, size_t whole)
{
    const volatile unsigned char *data = mapseg_const_data(seg);

    for (size_t i = 0; i < SIZE; i++)
        if (data[i] != (i < whole ? FILL : 0))
            ck_abort_msg("byte %zu is %#x", i, data[i]);
}

/// Fields of this process's line of /proc/self/smaps about an address.
struct mapping {
    char rights[8];
    bool not_copied;
};

static struct mapping
mapping_at(const volatile void *address)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    struct mapping mapping = {"", false};
    bool here = false;
    char line[512];

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL) {
        uintptr_t start, end;
        char rights[8];

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &start, &end, rights) == 3) {
            here = (uintptr_t)address >= start && (uintptr_t)address < end;
            if (here)
                memcpy(mapping.rights, rights, sizeof rights);
        } else if (here && strncmp(line, "VmFlags:", 8) == 0) {
            mapping.not_copied = strstr(line, " dc") != NULL;
        }
    }
    fclose(file);
    return mapping;
}

/* The mapping outlives the comparison, which keeps a pointer into it. */
#define check_rights(address, expected)                                                            \
    do {                                                                                           \
        const struct mapping mapping_ = mapping_at(address);                                       \
        ck_assert_str_eq(mapping_.rights, expected);                                               \
    } while (0)

/* ------------------------------------------------------------ what is lost -- */

static const struct {
    char word;
    size_t whole;
} cuts[] = {{'0', 0}, {'h', 0}, {'m', SIZE / 2}};

START_TEST(what_is_lost_reads_as_zeros)
{
    struct scene scene;
    unsigned char *data;

    set_up(&scene, 0);
    data = mapseg_data(scene.seg);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    check_data(scene.seg, SIZE);
    tell(&scene.peer, cuts[_i].word);
    /* The header page too has to be survived, by a call of the library. */
    if (cuts[_i].word == '0' && mapseg_result_owes_unlock(mapseg_lock(scene.seg)))
        (void)mapseg_unlock(scene.seg);
    check_data(scene.seg, cuts[_i].whole);
    memset(data + SIZE / 2, 0x77, SIZE / 2);
    ck_assert_int_eq(data[SIZE - 1], 0x77);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    ck_assert_int_eq(mapseg_error(scene.seg), MAPSEG_FILE_SHRUNK);
    ck_assert(is_one_line(mapseg_error_string(scene.seg)));

    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_INVALID_ARGUMENT, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
    (void)unlink(scene.path);
    need_call(MAPSEG_OK, scene.seg, mapseg_create(scene.seg, SIZE, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    check_data(scene.seg, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(what_nobody_touched_is_reported)
{
    static const char words[] = {'0', 'h', 'm', 'p'};
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, words[_i]);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_begin(scene.seg));
    tear_down(&scene);
}
END_TEST

/// Zeros that a thread has seen are reported, even if the file is whole again by then.
START_TEST(file_made_whole_again_is_reported)
{
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    tell(&scene.peer, 'r');
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(read_only_data_stays_read_only)
{
    struct scene scene;
    mapseg *reader;
    const volatile unsigned char *data;

    set_up(&scene, 0);
    reader = attached(scene.key, MAPSEG_READ_ONLY);
    data = mapseg_const_data(reader);
    check_rights(data, "r--s");
    need_call(MAPSEG_OK, reader, mapseg_guard_begin(reader));
    tell(&scene.peer, '0');
    check_data(reader, 0);
    check_rights(data, "r--p");
    check_rights(data + SIZE - 1, "r--p");
    /* The lock lies in a page of its own here, which can be written. */
    if (mapseg_result_owes_unlock(mapseg_lock(reader)))
        (void)mapseg_unlock(reader);
    need_call(MAPSEG_FILE_SHRUNK, reader, mapseg_guard_end(reader));
    need_call(MAPSEG_OK, reader, mapseg_detach(reader));
    mapseg_free(reader);
    tear_down(&scene);
}
END_TEST

START_TEST(only_the_rest_is_replaced)
{
    struct scene scene;
    volatile unsigned char *data;

    set_up(&scene, 0);
    data = mapseg_data(scene.seg);
    check_rights(data, "rw-s");
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'm');
    ck_assert_int_eq(data[SIZE / 2 + 3 * PAGE + 5], 0);
    check_rights(data + SIZE / 2 + 3 * PAGE - 1, "rw-s");
    check_rights(data + SIZE / 2 + 3 * PAGE, "rw-p");
    check_rights(data + SIZE - 1, "rw-p");
    ck_assert(!mapping_at(data + SIZE - 1).not_copied);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(replaced_memory_is_kept_out_of_children_too)
{
    struct scene scene;
    volatile unsigned char *data;

    set_up(&scene, MAPSEG_NO_FORK);
    data = mapseg_data(scene.seg);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'h');
    ck_assert_int_eq(data[PAGE], 0);
    check_rights(data + PAGE, "rw-p");
    ck_assert(mapping_at(data + PAGE).not_copied);
    ck_assert(mapping_at(data + SIZE - 1).not_copied);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(system_calls_say_efault)
{
    struct scene scene;
    int ends[2];

    set_up(&scene, 0);
    ck_assert_int_eq(pipe(ends), 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'h');
    ck_assert_int_eq(write(ends[1], mapseg_const_data(scene.seg), 100), -1);
    ck_assert_int_eq(errno, EFAULT);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    close(ends[0]);
    close(ends[1]);
    tear_down(&scene);
}
END_TEST

/// As a user who may lock only so many pages, while all that is mapped anew is locked.
static int
read_lost_data_with_little_memory(void *unused)
{
    const struct rlimit limit = {8 * PAGE, 8 * PAGE};
    volatile int *error = &errno;
    const volatile unsigned char *data;
    char key[KEY_BYTES];
    char path[KEY_BYTES];
    mapseg *seg;

    (void)unused;
    unique_key(key);
    path_of(path, key);
    seg = created(key, SIZE);
    data = mapseg_const_data(seg);
    if (mapseg_guard_begin(seg) != MAPSEG_OK || truncate(path, (off_t)MAPSEG_HEADER_BYTES) != 0 ||
        setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || mlockall(MCL_FUTURE) != 0)
        return BAD;
    /* The handler sees a call fail, the program does not. */
    *error = 1234;
    if (data[PAGE] != 0 || data[3 * PAGE] != 0 || *error != 1234 || munlockall() != 0)
        return BAD;
    if (strcmp(mapping_at(data + PAGE).rights, "rw-p") != 0 ||
        strcmp(mapping_at(data + 2 * PAGE).rights, "rw-s") != 0)
        return BAD;
    check_data(seg, 0);
    if (mapseg_guard_end(seg) != MAPSEG_FILE_SHRUNK)
        return BAD;
    mapseg_free(seg);
    return WELL;
}

/// Where no memory for all of the rest is to be had, a page will do.
START_TEST(short_of_memory_it_goes_page_by_page)
{
    ck_assert_int_eq(as_ordinary_user(read_lost_data_with_little_memory, NULL), WELL);
}
END_TEST

/* ----------------------------------------------------------------- sections -- */

START_TEST(sections_nest)
{
    struct scene scene;

    set_up(&scene, 0);
    for (int i = 0; i < 3; i++)
        need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    for (int i = 0; i < 2; i++)
        need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_INVALID_ARGUMENT, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(inner_end_tells_too)
{
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'h');
    check_data(scene.seg, 0);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    check_data(scene.seg, 0);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_INVALID_ARGUMENT, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(results_of_misuse)
{
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    seg = handle_for(key);
    need_call(MAPSEG_NOT_ATTACHED, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OK);
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    mapseg_free(seg);
}
END_TEST

#define MANY 9

/// Each handle is lost for itself; the list of a thread's sections grows and shrinks.
START_TEST(sections_on_many_handles)
{
    struct scene scenes[MANY];

    for (int i = 0; i < MANY; i++)
        begin_scene(&scenes[i]);
    for (int i = 0; i < MANY; i++)
        attach_scene(&scenes[i], 0);
    for (int i = 0; i < MANY; i++)
        need_call(MAPSEG_OK, scenes[i].seg, mapseg_guard_begin(scenes[i].seg));
    tell(&scenes[7].peer, 'h');
    tell(&scenes[2].peer, 'm');
    need_call(MAPSEG_OK, scenes[0].seg, mapseg_guard_end(scenes[0].seg));
    need_call(MAPSEG_OK, scenes[8].seg, mapseg_guard_end(scenes[8].seg));
    for (int i = 0; i < MANY; i++)
        check_data(scenes[i].seg, i == 7 ? 0 : i == 2 ? SIZE / 2 : SIZE);
    for (int i = 1; i < MANY - 1; i++)
        need_call(i == 7 || i == 2 ? MAPSEG_FILE_SHRUNK : MAPSEG_OK, scenes[i].seg,
                  mapseg_guard_end(scenes[i].seg));
    for (int i = 0; i < MANY; i++)
        need_call(MAPSEG_INVALID_ARGUMENT, scenes[i].seg, mapseg_guard_end(scenes[i].seg));
    for (int i = 0; i < MANY; i++)
        tear_down(&scenes[i]);
}
END_TEST

START_TEST(two_handles_of_one_file)
{
    struct scene scene;
    mapseg *other;

    set_up(&scene, 0);
    other = attached(scene.key, MAPSEG_READ_ONLY);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_OK, other, mapseg_guard_begin(other));
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    check_data(other, SIZE / 2);
    need_call(MAPSEG_FILE_SHRUNK, other, mapseg_guard_end(other));
    check_data(scene.seg, SIZE / 2);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    mapseg_free(other);
    tear_down(&scene);
}
END_TEST

/* ------------------------------------------------------ the program's handler -- */

static sigjmp_buf back;
static volatile sig_atomic_t calls;
static void *volatile called_for;
static volatile int called_code;
static volatile int called_value;
static volatile bool usr1_was_blocked;
static volatile bool bus_was_blocked;
static volatile bool had_context;

static void
note_call(int number)
{
    sigset_t mask;

    sigprocmask(SIG_SETMASK, NULL, &mask);
    usr1_was_blocked = sigismember(&mask, SIGUSR1) == 1;
    bus_was_blocked = sigismember(&mask, SIGBUS) == 1;
    calls += number == SIGBUS;
}

static void
jump_with_info(int number, siginfo_t *info, void *context)
{
    note_call(number);
    called_for = info->si_addr;
    called_code = info->si_code;
    had_context = context != NULL;
    siglongjmp(back, 1);
}

static void
jump_plainly(int number)
{
    note_call(number);
    siglongjmp(back, 1);
}

static void
return_with_info(int number, siginfo_t *info, void *context)
{
    note_call(number);
    called_code = info->si_code;
    called_value = info->si_value.sival_int;
    had_context = context != NULL;
}

static void
handle(void (*with_info)(int, siginfo_t *, void *), void (*plain)(int), int flags)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_flags = flags;
    if (with_info != NULL) {
        action.sa_flags |= SA_SIGINFO;
        action.sa_sigaction = with_info;
        sigaddset(&action.sa_mask, SIGUSR1);
    } else {
        action.sa_handler = plain;
    }
    ck_assert_int_eq(sigaction(SIGBUS, &action, NULL), 0);
}

/// A page of the program's own that cannot be touched.
static volatile char *
broken_page(void)
{
    int fd = memfd_create("mapseg test", MFD_CLOEXEC);
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    ck_assert_ptr_ne(page, MAP_FAILED);
    close(fd);
    return page;
}

/// Has the guard installed.
static mapseg *
guarded(void)
{
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    seg = created(key, SIZE);
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    return seg;
}

/// Touches memory; whether a handler jumped out of that.
static bool
jumps_at(const volatile char *address)
{
    if (sigsetjmp(back, 1) != 0)
        return true;
    (void)*address;
    return false;
}

START_TEST(handler_with_info_gets_faults_elsewhere)
{
    volatile char *page = broken_page();
    mapseg *seg;

    handle(jump_with_info, NULL, _i == 0 ? 0 : SA_NODEFER);
    seg = guarded();
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    for (int i = 1; i <= 100; i++) {
        ck_assert(jumps_at(page + i));
        ck_assert_int_eq(calls, i);
        ck_assert_ptr_eq(called_for, (void *)(uintptr_t)(page + i));
        ck_assert_int_eq(called_code, BUS_ADRERR);
        ck_assert(had_context);
        /* Its runtime calls handlers with a mask of its own. */
        ck_assert(under_race_detector() || usr1_was_blocked);
        ck_assert(under_race_detector() || bus_was_blocked == (_i == 0));
        if (i == 50)
            need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    }
    mapseg_free(seg);
}
END_TEST

START_TEST(classic_handler_gets_faults_elsewhere)
{
    volatile char *page = broken_page();
    mapseg *seg;

    handle(NULL, jump_plainly, 0);
    seg = guarded();
    for (int i = 1; i <= 100; i++) {
        ck_assert(jumps_at(page));
        ck_assert_int_eq(calls, i);
        ck_assert(bus_was_blocked);
        ck_assert(under_race_detector() || !usr1_was_blocked);
    }
    mapseg_free(seg);
}
END_TEST

/// A section's faults are none of the program's business; all others of that very memory are.
START_TEST(outside_of_sections_the_program_gets_all)
{
    struct scene scene;
    mapseg *other;
    char *data;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, 0);
    other = attached(scene.key, MAPSEG_READ_WRITE);
    data = mapseg_data(scene.seg);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_OK, other, mapseg_guard_begin(other));
    tell(&scene.peer, 'h');
    ck_assert(jumps_at(data + PAGE));
    ck_assert_ptr_eq(called_for, data + PAGE);
    ck_assert(jumps_at(data + PAGE));
    ck_assert_int_eq(calls, 2);
    check_data(other, 0);
    ck_assert_int_eq(calls, 2);
    ck_assert(jumps_at(data + PAGE));
    need_call(MAPSEG_FILE_SHRUNK, other, mapseg_guard_end(other));
    mapseg_free(other);
    tear_down(&scene);
}
END_TEST

/// Jumping out of a handler, over the guard's, leaves the sections in order.
START_TEST(sections_go_on_after_a_jump)
{
    volatile char *page = broken_page();
    struct scene scene;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    ck_assert(jumps_at(page));
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    ck_assert(jumps_at(page));
    ck_assert_int_eq(calls, 2);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(sent_signals_reach_the_handler)
{
    const union sigval value = {.sival_int = 4711};
    mapseg *seg;

    handle(return_with_info, NULL, 0);
    seg = guarded();
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    ck_assert_int_eq(raise(SIGBUS), 0);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(called_code, SI_TKILL);
    ck_assert_int_eq(sigqueue(getpid(), SIGBUS, value), 0);
    ck_assert_int_eq(calls, 2);
    ck_assert_int_eq(called_code, SI_QUEUE);
    ck_assert_int_eq(called_value, 4711);
    ck_assert(had_context);
    need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    mapseg_free(seg);
}
END_TEST

static struct sigaction replaced;

static void
count_and_chain(int number, siginfo_t *info, void *context)
{
    calls += 1;
    replaced.sa_sigaction(number, info, context);
}

/// A handler that the program installs later, and that calls the one it replaces.
START_TEST(later_handler_that_chains)
{
    struct sigaction action;
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    memset(&action, 0, sizeof action);
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = count_and_chain;
    ck_assert_int_eq(sigaction(SIGBUS, &action, &replaced), 0);
    ck_assert(replaced.sa_flags & SA_SIGINFO);
    ck_assert(replaced.sa_flags & SA_ONSTACK);
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    ck_assert_int_eq(calls, 1);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

/* ---------------------------------------------------------- ends of processes -- */

/// What the child below does about SIGBUS, and then meets.
struct fate {
    void (*handler)(int); ///< NULL: SIG_DFL
    int flags;
    void (*meet)(const struct fate *fate);
    bool in_section;
    int expected;
};

static void
meet_fault(const struct fate *fate)
{
    volatile char *page = broken_page();

    (void)fate;
    (void)*page;
}

static void
meet_raise(const struct fate *fate)
{
    (void)fate;
    raise(SIGBUS);
}

static void
meet_kill(const struct fate *fate)
{
    (void)fate;
    kill(getpid(), SIGBUS);
}

static void
meet_queue(const struct fate *fate)
{
    const union sigval value = {.sival_int = 1};

    (void)fate;
    sigqueue(getpid(), SIGBUS, value);
}

/// A second one finds the handler gone that was to be used once.
static void
meet_two_faults(const struct fate *fate)
{
    volatile char *page = broken_page();

    (void)fate;
    if (!jumps_at(page) || calls != 1)
        _exit(BAD);
    (void)*page;
}

static void
meet_raise_after_one(const struct fate *fate)
{
    (void)fate;
    raise(SIGBUS);
    if (calls != 1)
        _exit(BAD);
    raise(SIGBUS);
}

/// A handler that repairs nothing, and gives up at the second call.
static void
give_up(int number)
{
    calls += number == SIGBUS;
    if (calls == 2)
        _exit(WELL);
}

#define KILLED (128 + SIGBUS)

static const struct fate fates[] = {
    {SIG_DFL, 0, meet_fault, false, KILLED},
    {SIG_DFL, 0, meet_fault, true, KILLED},
    {SIG_DFL, 0, meet_raise, false, KILLED},
    {SIG_DFL, 0, meet_raise, true, KILLED},
    {SIG_DFL, 0, meet_kill, true, KILLED},
    {SIG_DFL, 0, meet_queue, true, KILLED},
    {SIG_IGN, 0, meet_fault, false, KILLED},
    {SIG_IGN, 0, meet_fault, true, KILLED},
    {SIG_IGN, 0, meet_raise, true, WELL},
    {SIG_IGN, 0, meet_kill, true, WELL},
    {SIG_IGN, 0, meet_queue, false, WELL},
    {give_up, 0, meet_fault, true, WELL},
    {jump_plainly, (int)SA_RESETHAND, meet_two_faults, false, KILLED},
    {give_up, (int)SA_RESETHAND, meet_raise_after_one, true, KILLED},
};

/// A child's own segment, without a name: nothing is left behind when it is killed.
static mapseg *
nameless_file(void)
{
    char path[KEY_BYTES];
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    path_of(path, key);
    seg = mapseg_new();
    if (seg == NULL || mapseg_set_native_key(seg, key) != MAPSEG_OK ||
        mapseg_create(seg, SIZE, MAPSEG_READ_WRITE) != MAPSEG_OK || unlink(path) != 0)
        _exit(BAD);
    return seg;
}

static void
without_core(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
}

static int
meet_fate(void *argument)
{
    const struct fate *fate = argument;
    mapseg *seg;

    without_core();
    handle(NULL, fate->handler, fate->flags);
    seg = nameless_file();
    if (mapseg_guard_begin(seg) != MAPSEG_OK ||
        (!fate->in_section && mapseg_guard_end(seg) != MAPSEG_OK))
        return BAD;
    fate->meet(fate);
    return WELL;
}

START_TEST(signal_does_what_it_did_before)
{
    struct fate fate = fates[_i];

    ck_assert_int_eq(in_child(meet_fate, &fate), fate.expected);
}
END_TEST

/// Outside of any test, so libcheck must not hear of it.
static bool
can_trace(void)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? WELL : BAD);
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == WELL;
}

/// The signal that a traced child dies of, with what came with it.
START_TEST(fatal_fault_keeps_its_place)
{
    siginfo_t info;
    int deaths = 0;
    int status;
    pid_t child;

    memset(&info, 0, sizeof info);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct fate fate = fates[1];

        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(BAD);
        _exit(meet_fate(&fate));
    }
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        long number = WSTOPSIG(status);

        if (number == SIGBUS) {
            deaths++;
            ck_assert_int_eq(ptrace(PTRACE_GETSIGINFO, child, NULL, &info), 0);
        }
        ck_assert_int_eq(ptrace(PTRACE_CONT, child, NULL, number), 0);
    }
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGBUS);
    ck_assert_int_eq(deaths, 2);
    ck_assert_int_eq(info.si_code, BUS_ADRERR);
}
END_TEST

/// What an ignored signal did not interrupt is not interrupted now.
START_TEST(ignored_signal_interrupts_no_read)
{
    pid_t self = getpid();
    int ends[2];
    pid_t child;
    mapseg *seg;
    char byte;

    handle(NULL, SIG_IGN, 0);
    seg = guarded();
    ck_assert_int_eq(pipe(ends), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        for (int i = 0; i < 20; i++) {
            nap(5 * MILLISECOND);
            kill(self, SIGBUS);
        }
        nap(5 * MILLISECOND);
        _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
    }
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    ck_assert_int_eq(end_of(child), 0);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------------ threads -- */

struct worker {
    struct scene *scene;
    pthread_t thread;
    pthread_barrier_t *barrier;
    mapseg_result result;
    bool good;
};

static void
run(struct worker *worker, void *(*body)(void *))
{
    ck_assert_int_eq(pthread_create(&worker->thread, NULL, body, worker), 0);
    ck_assert_int_eq(pthread_join(worker->thread, NULL), 0);
}

static void *
read_with_all_blocked(void *argument)
{
    struct worker *worker = argument;
    const volatile unsigned char *data = mapseg_const_data(worker->scene->seg);
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    if (mapseg_guard_begin(worker->scene->seg) == MAPSEG_OK) {
        tell(&worker->scene->peer, 'h');
        worker->good = data[SIZE - 1] == 0;
        worker->result = mapseg_guard_end(worker->scene->seg);
    }
    return NULL;
}

START_TEST(thread_that_blocks_the_signal_is_guarded)
{
    struct worker worker = {.result = MAPSEG_OK};
    struct scene scene;

    set_up(&scene, 0);
    worker.scene = &scene;
    run(&worker, read_with_all_blocked);
    ck_assert(worker.good);
    ck_assert_int_eq(worker.result, MAPSEG_FILE_SHRUNK);
    tear_down(&scene);
}
END_TEST

static void *
begin_and_leave(void *argument)
{
    struct worker *worker = argument;

    worker->good = true;
    for (int i = 0; i < 3; i++)
        worker->good = worker->good && mapseg_guard_begin(worker->scene->seg) == MAPSEG_OK;
    return NULL;
}

static void *
touch_unguarded(void *argument)
{
    struct worker *worker = argument;

    worker->good = jumps_at((char *)mapseg_data(worker->scene->seg) + PAGE);
    return NULL;
}

static void *
end_what_is_not_there(void *argument)
{
    struct worker *worker = argument;

    worker->result = mapseg_guard_end(worker->scene->seg);
    return NULL;
}

/// Threads that end within sections; those that come later get nothing of theirs.
START_TEST(sections_end_with_their_thread)
{
    struct worker worker = {.result = MAPSEG_OK};
    struct scene scene;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, 0);
    worker.scene = &scene;
    for (int i = 0; i < 20; i++) {
        run(&worker, begin_and_leave);
        ck_assert(worker.good);
        run(&worker, end_what_is_not_there);
        ck_assert_int_eq(worker.result, MAPSEG_INVALID_ARGUMENT);
    }
    run(&worker, begin_and_leave);
    tell(&scene.peer, 'h');
    run(&worker, touch_unguarded);
    ck_assert(worker.good);
    ck_assert_int_eq(calls, 1);
    tear_down(&scene);
}
END_TEST

/// One thread's section is not another's.
START_TEST(section_of_another_thread_is_none)
{
    struct worker worker = {.result = MAPSEG_OK};
    struct scene scene;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, 0);
    worker.scene = &scene;
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    run(&worker, end_what_is_not_there);
    ck_assert_int_eq(worker.result, MAPSEG_INVALID_ARGUMENT);
    tell(&scene.peer, 'h');
    run(&worker, touch_unguarded);
    ck_assert(worker.good);
    ck_assert_int_eq(calls, 1);
    check_data(scene.seg, 0);
    ck_assert_int_eq(calls, 1);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

#define THREADS 4

static void *
read_together(void *argument)
{
    struct worker *worker = argument;
    volatile unsigned char *data = mapseg_data(worker->scene->seg);
    bool begun = mapseg_guard_begin(worker->scene->seg) == MAPSEG_OK;

    pthread_barrier_wait(worker->barrier);
    pthread_barrier_wait(worker->barrier);
    worker->good = begun;
    for (size_t i = 0; begun && i < SIZE; i += PAGE)
        worker->good = worker->good && data[i] == (i < SIZE / 2 ? FILL : 0);
    if (begun)
        worker->result = mapseg_guard_end(worker->scene->seg);
    return NULL;
}

/// Threads of one handle meet the fault at the same time; each is told.
START_TEST(threads_of_a_handle_lose_it_together)
{
    for (int round = 0; round < 50; round++) {
        struct worker workers[THREADS];
        pthread_barrier_t barrier;
        struct scene scene;

        memset(workers, 0, sizeof workers);
        set_up(&scene, 0);
        ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, THREADS + 1), 0);
        for (int i = 0; i < THREADS; i++) {
            workers[i].scene = &scene;
            workers[i].barrier = &barrier;
            ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, read_together, &workers[i]),
                             0);
        }
        pthread_barrier_wait(&barrier);
        tell(&scene.peer, 'm');
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < THREADS; i++) {
            ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
            ck_assert(workers[i].good);
            ck_assert_int_eq(workers[i].result, MAPSEG_FILE_SHRUNK);
        }
        pthread_barrier_destroy(&barrier);
        tear_down(&scene);
    }
}
END_TEST

/* -------------------------------------------------------------------- storm -- */

/// What the threads and the process that shortens their file have in common.
struct storm {
    char key[KEY_BYTES];
    char path[KEY_BYTES];
    pthread_mutex_t whole; ///< held while the file is not whole; to attach and detach, take it
    atomic_int round;      ///< odd: the file is just being changed, or short
    atomic_int is_short;   ///< the round in which the file is short now; 0: it is not
    atomic_int stop;
};

struct sailor {
    struct storm *storm;
    pthread_t thread;
    atomic_int sections;
    atomic_int losses;
    atomic_int wrong;
};

static uint32_t
next(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/// Makes the file short and whole again and again, until it is told to stop.
static int
make_storm(int channel, void *argument)
{
    struct storm *storm = argument;
    int fd = open(storm->path, O_RDWR | O_CLOEXEC);
    static char fill[SIZE];
    static char header[MAPSEG_HEADER_BYTES];
    uint32_t random = 1;
    int round = 0;

    memset(fill, FILL, sizeof fill);
    if (fd == -1 || pread(fd, header, sizeof header, 0) != sizeof header)
        return 1;
    while (!atomic_load(&storm->stop)) {
        uint32_t length = next(&random) % 3 == 0 ? 0 : next(&random) % (uint32_t)FILE_BYTES;

        if (pthread_mutex_lock(&storm->whole) != 0)
            return 2;
        round += 2;
        atomic_store(&storm->round, round - 1);
        if (ftruncate(fd, length) != 0)
            return 3;
        atomic_store(&storm->is_short, round);
        if (next(&random) % 2 == 0)
            usleep(next(&random) % 500);
        atomic_store(&storm->is_short, 0);
        if (ftruncate(fd, (off_t)FILE_BYTES) != 0 ||
            pwrite(fd, header, sizeof header, 0) != sizeof header ||
            pwrite(fd, fill, SIZE, (off_t)MAPSEG_HEADER_BYTES) != (ssize_t)SIZE)
            return 4;
        atomic_store(&storm->round, round);
        pthread_mutex_unlock(&storm->whole);
        usleep(next(&random) % 1000);
    }
    say(channel, 'y');
    return 0;
}

/// One section: reads all, and judges what it was told at the end.
static mapseg_result
sail(struct sailor *sailor, mapseg *seg)
{
    struct storm *storm = sailor->storm;
    const volatile unsigned char *data = mapseg_const_data(seg);
    int round = atomic_load(&storm->round);
    bool zeros = false;
    mapseg_result result = mapseg_guard_begin(seg);
    int was_short;

    if (result != MAPSEG_OK)
        return result;
    for (size_t i = 0; i < SIZE; i += 64)
        zeros = zeros || data[i] != FILL;
    was_short = atomic_load(&storm->is_short);
    result = mapseg_guard_end(seg);
    sailor->sections++;
    /* Short before the end and after it: that must be told. */
    if (was_short != 0 && atomic_load(&storm->is_short) == was_short &&
        result != MAPSEG_FILE_SHRUNK)
        sailor->wrong++;
    /* Whole all the time: that too. */
    if (round % 2 == 0 && atomic_load(&storm->round) == round && (zeros || result != MAPSEG_OK))
        sailor->wrong++;
    return result;
}

static void *
weather_storm(void *argument)
{
    struct sailor *sailor = argument;
    struct storm *storm = sailor->storm;
    mapseg *seg = mapseg_new();

    if (seg == NULL || mapseg_set_native_key(seg, storm->key) != MAPSEG_OK)
        sailor->wrong++;
    while (sailor->wrong == 0 && !atomic_load(&storm->stop)) {
        mapseg_result result;

        pthread_mutex_lock(&storm->whole);
        result = mapseg_attach(seg, sailor->losses % 2 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE);
        pthread_mutex_unlock(&storm->whole);
        if (result != MAPSEG_OK)
            sailor->wrong++;
        while (result == MAPSEG_OK && !atomic_load(&storm->stop))
            result = sail(sailor, seg);
        sailor->losses += result == MAPSEG_FILE_SHRUNK;
        pthread_mutex_lock(&storm->whole);
        (void)mapseg_detach(seg);
        pthread_mutex_unlock(&storm->whole);
    }
    mapseg_free(seg);
    return NULL;
}

static long
storm_seconds(void)
{
    const char *text = getenv("MAPSEG_GUARD_SECONDS");

    return text == NULL ? 3 : strtol(text, NULL, 10);
}

/// Whether each of them has had a section, and one of them a loss; or something is wrong.
static bool
have_sailed(struct sailor sailors[THREADS])
{
    bool all = true;
    int losses = 0;

    for (int i = 0; i < THREADS; i++) {
        if (atomic_load(&sailors[i].wrong) != 0)
            return true;
        all = all && atomic_load(&sailors[i].sections) > 0;
        losses += atomic_load(&sailors[i].losses);
    }
    return all && losses > 0;
}

START_TEST(threads_weather_a_storm)
{
    struct storm *storm = shared_memory(sizeof *storm);
    struct sailor sailors[THREADS];
    pthread_mutexattr_t shared;
    mapseg *seg;
    struct peer peer;
    int losses = 0;

    unique_key(storm->key);
    path_of(storm->path, storm->key);
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    ck_assert_int_eq(pthread_mutex_init(&storm->whole, &shared), 0);
    leave_persistent(storm->key, SIZE, 0);
    seg = attached(storm->key, MAPSEG_READ_WRITE);
    memset(mapseg_data(seg), FILL, SIZE);
    mapseg_free(seg);
    pthread_mutex_lock(&storm->whole);
    peer = start_peer(make_storm, storm);
    memset(sailors, 0, sizeof sailors);
    for (int i = 0; i < THREADS; i++) {
        sailors[i].storm = storm;
        ck_assert_int_eq(pthread_create(&sailors[i].thread, NULL, weather_storm, &sailors[i]), 0);
    }
    pthread_mutex_unlock(&storm->whole);
    for (long left = storm_seconds() * 20; left > 0; left--)
        nap(50 * MILLISECOND);
    for (long left = HANG / (50 * MILLISECOND); left > 0 && !have_sailed(sailors); left--)
        nap(50 * MILLISECOND);
    atomic_store(&storm->stop, 1);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(sailors[i].thread, NULL), 0);
        ck_assert_int_eq(sailors[i].wrong, 0);
        ck_assert_int_gt(sailors[i].sections, 0);
        losses += sailors[i].losses;
    }
    ck_assert_int_gt(losses, 0);
    ck_assert_int_eq(end_peer(&peer), 0);
    ck_assert_int_eq(unlink(storm->path), 0);
}
END_TEST

/* --------------------------------------------------------------------- fork -- */

/// In a child made within a section, which is told when the file is short.
static int
read_lost_data(int channel, void *argument)
{
    mapseg *seg = argument;
    const volatile unsigned char *data = mapseg_const_data(seg);

    say(channel, 'a');
    if (hear(channel) != 'g')
        return 1;
    for (size_t i = 0; i < SIZE; i += PAGE)
        if (data[i] != (i < SIZE / 2 ? FILL : 0))
            return 2;
    if (mapseg_guard_end(seg) != MAPSEG_FILE_SHRUNK)
        return 3;
    return mapseg_guard_end(seg) == MAPSEG_INVALID_ARGUMENT ? WELL : 4;
}

START_TEST(child_goes_on_with_the_section)
{
    struct scene scene;
    struct peer child;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    child = start_peer(read_lost_data, scene.seg);
    ck_assert_int_eq(hear(child.channel), 'a');
    tell(&scene.peer, 'm');
    say(child.channel, 'g');
    ck_assert_int_eq(end_peer(&child), WELL);
    /* The parent's memory is its own affair. */
    check_data(scene.seg, SIZE / 2);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

/// The fork itself, and the child, in the middle of a loss.
START_TEST(fork_after_a_loss)
{
    struct scene scene;
    struct peer child;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    child = start_peer(read_lost_data, scene.seg);
    ck_assert_int_eq(hear(child.channel), 'a');
    say(child.channel, 'g');
    ck_assert_int_eq(end_peer(&child), WELL);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

static int
use_sections_of_its_own(void *argument)
{
    mapseg *seg = argument;

    for (int i = 0; i < 3; i++)
        if (mapseg_guard_begin(seg) != MAPSEG_OK || mapseg_guard_end(seg) != MAPSEG_OK)
            return BAD;
    /* The parent's. */
    if (mapseg_guard_end(seg) != MAPSEG_OK || mapseg_guard_end(seg) != MAPSEG_INVALID_ARGUMENT)
        return BAD;
    mapseg_free(seg);
    return WELL;
}

START_TEST(child_has_sections_of_its_own)
{
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    ck_assert_int_eq(in_child(use_sections_of_its_own, scene.seg), WELL);
    check_data(scene.seg, SIZE);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

/// A child that is kept out, with a section on nothing, frees the handle and meets a fault.
static int
free_what_was_kept_out(void *argument)
{
    volatile char *page = broken_page();

    if (mapseg_guard_begin(argument) != MAPSEG_NOT_ATTACHED)
        return BAD;
    mapseg_free(argument);
    return jumps_at(page) && calls == 1 ? WELL : BAD;
}

START_TEST(child_that_is_kept_out_has_none)
{
    struct scene scene;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, MAPSEG_NO_FORK);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    ck_assert_int_eq(in_child(free_what_was_kept_out, scene.seg), WELL);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(detach_ends_the_sections)
{
    struct scene scene;
    char *data;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
    need_call(MAPSEG_INVALID_ARGUMENT, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_create(scene.seg, SIZE, MAPSEG_READ_WRITE));
    data = mapseg_data(scene.seg);
    tell(&scene.peer, 'h');
    ck_assert(jumps_at(data));
    ck_assert_int_eq(calls, 1);
    tear_down(&scene);
}
END_TEST

/// A segment that was lost can be left, also by a handle that has locked it.
START_TEST(lost_segment_can_be_left)
{
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_lock(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_unlock(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    tell(&scene.peer, '0');
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
    tear_down(&scene);
}
END_TEST

/* ----------------------------------------------------------- what is untouched -- */

struct signals {
    struct sigaction actions[65];
    sigset_t mask;
};

static void
take_signals(struct signals *signals)
{
    memset(signals, 0, sizeof *signals);
    for (int number = 1; number <= 64; number++)
        (void)sigaction(number, NULL, &signals->actions[number]);
    pthread_sigmask(SIG_SETMASK, NULL, &signals->mask);
}

static bool
same_action(const struct sigaction *a, const struct sigaction *b)
{
    if (a->sa_handler != b->sa_handler || a->sa_flags != b->sa_flags)
        return false;
    /* Not memcmp: libc leaves what is beyond the last signal as it was. */
    for (int number = 1; number <= 64; number++)
        if (sigismember(&a->sa_mask, number) != sigismember(&b->sa_mask, number))
            return false;
    return true;
}

static void
check_signals(const struct signals *before)
{
    struct signals now;

    take_signals(&now);
    for (int number = 1; number <= 64; number++) {
        ck_assert_msg(same_action(&now.actions[number], &before->actions[number]),
                      "what signal %d does has changed", number);
        ck_assert_int_eq(sigismember(&now.mask, number), sigismember(&before->mask, number));
    }
}

/// All kinds of calls.
static void
use(mapseg *seg)
{
    mapseg_info *information;
    uint64_t version;
    char bytes[100];

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 10, "abc", 3));
    need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, bytes, sizeof bytes, &version));
    need_call(MAPSEG_OK, seg, mapseg_read_begin(seg, &version));
    ck_assert(!mapseg_read_retry(seg, version));
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, version, NULL, 1000000));
    ck_assert_int_ge(notify_fd(seg), 0);
    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    mapseg_info_free(information);
}

START_TEST(signals_are_left_alone)
{
    struct signals before;
    sigset_t bus;
    char key[KEY_BYTES];
    mapseg *seg, *other;

    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    pthread_sigmask(SIG_BLOCK, &bus, NULL);
    take_signals(&before);
    unique_key(key);
    seg = created(key, SIZE);
    other = attached(key, MAPSEG_READ_ONLY);
    use(seg);
    need_call(MAPSEG_OK, other, mapseg_lock(other));
    need_call(MAPSEG_OK, other, mapseg_unlock(other));
    mapseg_free(other);
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    mapseg_free(seg);
    check_signals(&before);
}
END_TEST

START_TEST(sealed_segment_needs_no_handler)
{
    struct signals before;
    struct footprint footprint;
    sigset_t bus;
    mapseg *seg;

    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    pthread_sigmask(SIG_BLOCK, &bus, NULL);
    take_signals(&before);
    seg = handle_for("memfd:");
    need_call(MAPSEG_NOT_ATTACHED, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    take_footprint(&footprint, NULL);
    for (int i = 0; i < 100; i++)
        need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    memset(mapseg_data(seg), FILL, SIZE);
    check_data(seg, SIZE);
    for (int i = 0; i < 100; i++)
        need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    check_footprint(&footprint, NULL);
    use(seg);
    mapseg_free(seg);
    check_signals(&before);
}
END_TEST

/// The first section touches SIGBUS, and nothing else.
START_TEST(section_touches_one_signal)
{
    struct signals before, after;
    struct sigaction *action = &after.actions[SIGBUS];
    mapseg *seg;

    handle(jump_with_info, NULL, SA_RESTART | SA_NODEFER);
    take_signals(&before);
    seg = guarded();
    take_signals(&after);
    ck_assert(action->sa_sigaction != jump_with_info);
    ck_assert_int_eq(action->sa_flags & (SA_RESTART | SA_NODEFER | SA_SIGINFO | SA_ONSTACK),
                     SA_RESTART | SA_NODEFER | SA_SIGINFO | SA_ONSTACK);
    ck_assert_int_eq(sigismember(&action->sa_mask, SIGUSR1), 1);
    ck_assert_int_eq(sigismember(&action->sa_mask, SIGUSR2), 0);
    before.actions[SIGBUS] = *action;
    check_signals(&before);
    mapseg_free(seg);
    check_signals(&before);
}
END_TEST

/* --------------------------------------------------------------------- main -- */

static void
add_losses(Suite *suite)
{
    TCase *group = new_case(suite, "losses");

    tcase_add_loop_test(group, what_is_lost_reads_as_zeros, 0, 3);
    tcase_add_loop_test(group, what_nobody_touched_is_reported, 0, 4);
    tcase_add_test(group, file_made_whole_again_is_reported);
    tcase_add_test(group, read_only_data_stays_read_only);
    tcase_add_test(group, only_the_rest_is_replaced);
    tcase_add_test(group, replaced_memory_is_kept_out_of_children_too);
    tcase_add_test(group, system_calls_say_efault);
    if (skip_unless(is_root(), "nobody else can become a user without privileges") &&
        skip_unless(!under_sanitizer(), "sanitizers keep programs from locking memory"))
        tcase_add_test(group, short_of_memory_it_goes_page_by_page);
}

static void
add_sections(Suite *suite)
{
    TCase *group = new_case(suite, "sections");

    tcase_add_test(group, sections_nest);
    tcase_add_test(group, inner_end_tells_too);
    tcase_add_test(group, results_of_misuse);
    tcase_add_test(group, sections_on_many_handles);
    tcase_add_test(group, two_handles_of_one_file);
    tcase_add_test(group, detach_ends_the_sections);
    tcase_add_test(group, lost_segment_can_be_left);
}

static void
add_handlers(Suite *suite)
{
    TCase *group = new_case(suite, "handlers");

    tcase_add_loop_test(group, handler_with_info_gets_faults_elsewhere, 0, 2);
    tcase_add_test(group, classic_handler_gets_faults_elsewhere);
    tcase_add_test(group, outside_of_sections_the_program_gets_all);
    tcase_add_test(group, sections_go_on_after_a_jump);
    tcase_add_test(group, sent_signals_reach_the_handler);
    tcase_add_test(group, later_handler_that_chains);
    tcase_add_loop_test(group, signal_does_what_it_did_before, 0,
                        (int)(sizeof fates / sizeof fates[0]));
    if (skip_unless(can_trace(), "tracing is not allowed here"))
        tcase_add_test(group, fatal_fault_keeps_its_place);
    tcase_add_test(group, ignored_signal_interrupts_no_read);
    tcase_add_test(group, signals_are_left_alone);
    tcase_add_test(group, sealed_segment_needs_no_handler);
    tcase_add_test(group, section_touches_one_signal);
}

static void
add_threads(Suite *suite)
{
    TCase *group = new_long_case(suite, "threads", 120 + (double)storm_seconds());

    tcase_add_test(group, thread_that_blocks_the_signal_is_guarded);
    tcase_add_test(group, sections_end_with_their_thread);
    tcase_add_test(group, section_of_another_thread_is_none);
    /* To it, they are written by the thread that met the fault. */
    if (skip_unless(!under_race_detector(), "a race detector takes the guard's zeros for data"))
        tcase_add_test(group, threads_of_a_handle_lose_it_together);
    tcase_add_test(group, threads_weather_a_storm);
}

static void
add_children(Suite *suite)
{
    TCase *group = new_case(suite, "children");

    tcase_add_test(group, child_goes_on_with_the_section);
    tcase_add_test(group, fork_after_a_loss);
    tcase_add_test(group, child_has_sections_of_its_own);
    tcase_add_test(group, child_that_is_kept_out_has_none);
}

int
main(void)
{
    Suite *suite = new_suite("guard");

    add_losses(suite);
    add_sections(suite);
    add_handlers(suite);
    add_threads(suite);
    add_children(suite);
    return run_suite(suite);
}
