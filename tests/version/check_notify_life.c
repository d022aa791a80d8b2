/*
 * check_notify_life.c - mapseg_notify_fd: how its descriptor and its thread come and go, with
 * detaching, threads, signals and forks.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scene.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* -------------------------------------------------------------- threads -- */

static int
count_threads(void)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/** How many there are without the library's; a sanitizer has one too. */
static int threads_before;

static void *
note_thread(void *number)
{
    *(pid_t *)number = gettid();
    return NULL;
}

static void
note_threads(void)
{
    pthread_t thread;
    pid_t number = 0;

    /* With the first thread a sanitizer's comes; the first one itself is still listed for a moment
     * after it was joined. */
    if (under_sanitizer() && pthread_create(&thread, NULL, note_thread, &number) == 0) {
        pthread_join(thread, NULL);
        while (tgkill(getpid(), number, 0) == 0)
            nap(1 * MILLISECOND);
    }
    threads_before = count_threads();
}

/** Whether the library comes to have so many; one that was joined is still listed for a moment. */
static bool
has_more_threads(int count)
{
    int64_t deadline = now_ns() + HANG;

    while (count_threads() != threads_before + count) {
        if (now_ns() > deadline)
            return false;
        nap(1 * MILLISECOND);
    }
    return true;
}

/* ----------------------------------------------------------- life cycle -- */

/** One way to attach, then the other. */
static mapseg_access
access_of(int i)
{
    return i % 2 == 0 ? MAPSEG_READ_ONLY : MAPSEG_READ_WRITE;
}

START_TEST(one_descriptor_for_a_handle)
{
    struct scene scene;
    int fd;

    set_up(&scene);
    fd = change_fd(scene.seg);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(change_fd(scene.seg), fd);
    ck_assert(has_more_threads(1));
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    tear_down(&scene);
}
END_TEST

START_TEST(detached_handles_have_none)
{
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    seg = handle_for(key);
    ck_assert_int_eq(notify_fd(seg), -1);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_ATTACHED);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    (void)change_fd(seg);
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert_int_eq(notify_fd(seg), -1);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_NOT_ATTACHED);
    mapseg_free(seg);
}
END_TEST

START_TEST(no_descriptor_left)
{
    int fds[64];
    int held = 0;
    char key[KEY_BYTES];
    struct footprint before;
    mapseg *seg;

    unique_key(key);
    seg = created(key, SIZE);
    take_footprint(&before, NULL);
    /* All that there may be: the rest of a small limit. */
    ck_assert_int_eq(
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)before.descriptors + 8, 4096}), 0);
    while (held < 64 && (fds[held] = dup(0)) >= 0)
        held++;
    ck_assert_int_lt(held, 64);
    ck_assert_int_eq(notify_fd(seg), -1);
    ck_assert_int_eq(mapseg_error(seg), MAPSEG_OUT_OF_RESOURCES);
    ck_assert(is_one_line(mapseg_error_string(seg)));
    while (held > 0)
        close(fds[--held]);
    check_footprint(&before, NULL);
    ck_assert(has_more_threads(0));
    (void)quiet_fd(seg);
    mapseg_free(seg);
}
END_TEST

START_TEST(detach_takes_thread_and_descriptor_along)
{
    struct scene scene;
    struct footprint before;
    int64_t longest = 0;

    set_up(&scene);
    tell(&scene.writer, 'w');
    take_footprint(&before, NULL);
    for (int i = 0; i < 100; i++) {
        int64_t start;
        int fd;

        fd = i % 2 ? quiet_fd(scene.seg) : change_fd(scene.seg);
        ck_assert(has_more_threads(1));
        if (i % 4 == 0)
            nap(2 * MILLISECOND);
        start = now_ns();
        need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
        longest = now_ns() - start > longest ? now_ns() - start : longest;
        ck_assert(has_more_threads(0));
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
        need_call(MAPSEG_OK, scene.seg, mapseg_attach(scene.seg, MAPSEG_READ_WRITE));
        check_footprint(&before, NULL);
    }
    printf("# the longest of 100 detachings took %" PRId64 " us\n", longest / 1000);
    tear_down(&scene);
    ck_assert(has_more_threads(0));
}
END_TEST

START_TEST(detach_while_others_write)
{
    struct scene scene;

    set_up(&scene);
    tell(&scene.writer, 'w');
    say(scene.writer.channel, 'r');
    for (int i = 0; i < 200; i++) {
        int fd = change_fd(scene.seg);

        if (i % 3 == 0)
            check_readable(fd);
        if (i % 3 == 1)
            ignored(mapseg_wait(scene.seg, NO_VERSION, NULL, 1000000));
        need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
        need_call(MAPSEG_OK, scene.seg, mapseg_attach(scene.seg, access_of(i)));
    }
    ck_assert_int_eq(hear(scene.writer.channel), 'y');
    ck_assert(has_more_threads(0));
    tear_down(&scene);
}
END_TEST

struct asker {
    mapseg *seg;
    pthread_barrier_t *barrier;
    int fd;
};

static void *
ask(void *argument)
{
    struct asker *asker = argument;

    pthread_barrier_wait(asker->barrier);
    asker->fd = notify_fd(asker->seg);
    return NULL;
}

START_TEST(threads_that_ask_first_get_the_same)
{
    struct scene scene;
    int before;

    set_up(&scene);
    /* The writer keeps the segment. */
    tell(&scene.writer, 'w');
    before = count_descriptors();
    for (int round = 0; round < 200; round++) {
        struct asker askers[2];
        pthread_barrier_t barrier;
        pthread_t threads[2];

        pthread_barrier_init(&barrier, NULL, 2);
        for (int i = 0; i < 2; i++) {
            askers[i] = (struct asker){scene.seg, &barrier, -1};
            ck_assert_int_eq(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
        }
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        pthread_barrier_destroy(&barrier);
        ck_assert_int_ge(askers[0].fd, 0);
        ck_assert_int_eq(askers[0].fd, askers[1].fd);
        ck_assert_int_eq(count_descriptors(), before + 1);
        ck_assert(has_more_threads(1));
        need_call(MAPSEG_OK, scene.seg, mapseg_detach(scene.seg));
        need_call(MAPSEG_OK, scene.seg, mapseg_attach(scene.seg, MAPSEG_READ_WRITE));
    }
    tear_down(&scene);
}
END_TEST

START_TEST(many_handles)
{
    mapseg *segs[20];
    char key[KEY_BYTES];

    unique_key(key);
    for (int i = 0; i < 20; i++) {
        segs[i] = i == 0 ? created(key, SIZE) : attached(key, access_of(i));
        (void)quiet_fd(segs[i]);
    }
    ck_assert(has_more_threads(20));
    for (int round = 0; round < 20; round++) {
        ck_assert(write_once(segs[0]));
        for (int i = 0; i < 20; i++)
            check_readable(change_fd(segs[i]));
        for (int i = 0; i < 20; i++)
            (void)give_out(segs[i], i);
        for (int i = 0; i < 20; i++)
            ck_assert(!is_readable(change_fd(segs[i]), 0));
    }
    for (int i = 19; i >= 0; i--)
        mapseg_free(segs[i]);
    ck_assert(has_more_threads(0));
}
END_TEST

/* -------------------------------------------------------------- signals -- */

/** The thread that is not this one; 0: there is none. */
static pid_t
helper_thread(void)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    pid_t found = 0;

    ck_assert_ptr_nonnull(directory);
    while ((entry = readdir(directory)) != NULL) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

        /* The newest, of those that are not this one. */
        if (thread != getpid() && thread > found)
            found = thread;
    }
    closedir(directory);
    return found;
}

/** A line of a thread's status, as a hexadecimal number. */
static uint64_t
status_of_thread(pid_t thread, const char *name)
{
    char path[64], line[256];
    uint64_t value = 0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%ld/status", (long)thread);
    file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoull(line + strlen(name), NULL, 16);
    fclose(file);
    return value;
}

static volatile sig_atomic_t signals;
static volatile pid_t signalled_thread;

static void
note_signal(int number)
{
    signals += number == SIGUSR1;
    signalled_thread = gettid();
}

/** The program's signals are the program's, with the guard in use and without. */
START_TEST(signals_pass_the_thread_by)
{
    struct sigaction action = {.sa_handler = note_signal};
    struct scene scene;
    uint64_t blocked;
    sigset_t usr1;
    int fd;

    set_up(&scene);
    if (_i == 1) {
        need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
        need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    }
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    fd = quiet_fd(scene.seg);
    tell(&scene.writer, 'w');
    check_readable(fd);
    blocked = status_of_thread(helper_thread(), "SigBlk:");
    for (int number = 1; number <= 64; number++)
        if (number != SIGKILL && number != SIGSTOP && (number < 32 || number >= SIGRTMIN))
            ck_assert_msg(blocked >> (number - 1) & 1, "signal %d is not blocked", number);
    ck_assert(!(status_of_thread(getpid(), "SigBlk:") >> (SIGUSR1 - 1) & 1));

    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &usr1, NULL), 0);
    ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
    nap(50 * MILLISECOND);
    ck_assert_int_eq(signals, 0);
    ck_assert_int_eq(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL), 0);
    ck_assert_int_eq(signals, 1);
    ck_assert_int_eq(signalled_thread, gettid());
    tear_down(&scene);
}
END_TEST

/* ---------------------------------------------------------------- forks -- */

/** What a child says by its exit status. */
#define WELL 42

struct inheritance {
    mapseg *seg;
    int fd;
    int before; /**< descriptors */
};

static int
ask_again(void *argument)
{
    const struct inheritance *inheritance = argument;
    uint64_t count;
    int fd;

    threads_before = count_threads();
    if (fcntl(inheritance->fd, F_GETFD) != -1)
        return 1;
    fd = notify_fd(inheritance->seg);
    if (fd < 0 || !has_more_threads(1) || !is_readable(fd, HANG_MS) ||
        mapseg_read(inheritance->seg, 0, &count, sizeof count, NULL) != MAPSEG_OK ||
        is_readable(fd, 100))
        return 2;
    if (!write_once(inheritance->seg) || !is_readable(fd, HANG_MS))
        return 3;
    mapseg_free(inheritance->seg);
    return has_more_threads(0) && fcntl(fd, F_GETFD) == -1 ? WELL : 4;
}

START_TEST(child_asks_again)
{
    struct inheritance inheritance;
    struct scene scene;

    set_up(&scene);
    inheritance.seg = scene.seg;
    inheritance.fd = quiet_fd(scene.seg);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(in_child(ask_again, &inheritance), WELL);
        /* The child's change, here. */
        check_readable(inheritance.fd);
        (void)give_out(scene.seg, i);
        check_quiet(inheritance.fd);
    }
    tear_down(&scene);
}
END_TEST

static int
free_at_once(void *argument)
{
    const struct inheritance *inheritance = argument;

    threads_before = count_threads();
    if (fcntl(inheritance->fd, F_GETFD) != -1)
        return 1;
    mapseg_free(inheritance->seg);
    return has_more_threads(0) ? WELL : 2;
}

START_TEST(child_leaves_at_once)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct inheritance inheritance;
    char key[KEY_BYTES];

    unique_key(key);
    inheritance.seg = handle_for(key);
    options.flags = _i == 0 ? 0 : MAPSEG_NO_FORK;
    need_call(MAPSEG_OK, inheritance.seg,
              mapseg_create_with(inheritance.seg, SIZE, MAPSEG_READ_WRITE, &options));
    inheritance.fd = quiet_fd(inheritance.seg);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(in_child(free_at_once, &inheritance), WELL);
    ck_assert(write_once(inheritance.seg));
    check_readable(inheritance.fd);
    mapseg_free(inheritance.seg);
}
END_TEST

static atomic_bool stop_asking;

static void *
ask_always(void *argument)
{
    mapseg *seg = argument;

    while (!atomic_load(&stop_asking)) {
        if (notify_fd(seg) < 0 || mapseg_detach(seg) != MAPSEG_OK ||
            mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK)
            return seg;
    }
    return NULL;
}

static int
count_what_is_open(void *argument)
{
    const struct inheritance *inheritance = argument;
    struct pollfd poller = {.events = POLLIN};

    /* No event of the parent's may be open here, whenever the fork was. */
    for (poller.fd = 3; poller.fd < 64; poller.fd++) {
        char name[64], target[64];
        ssize_t length;

        snprintf(name, sizeof name, "/proc/self/fd/%d", poller.fd);
        length = readlink(name, target, sizeof target - 1);
        if (length > 0) {
            target[length] = '\0';
            if (strstr(target, "eventfd") != NULL)
                return 1;
        }
    }
    return inheritance->seg != NULL ? WELL : 2;
}

/** A fork at any moment of the descriptor's making and going leaves the child without it. */
START_TEST(fork_while_another_thread_asks)
{
    struct inheritance inheritance;
    char key[KEY_BYTES];
    pthread_t thread;
    void *failed;

    unique_key(key);
    leave_persistent(key, SIZE, 0);
    inheritance.seg = attached(key, MAPSEG_READ_WRITE);
    ck_assert_int_eq(pthread_create(&thread, NULL, ask_always, inheritance.seg), 0);
    for (int i = 0; i < 600; i++)
        ck_assert_int_eq(in_child(count_what_is_open, &inheritance), WELL);
    atomic_store(&stop_asking, true);
    ck_assert_int_eq(pthread_join(thread, &failed), 0);
    ck_assert_ptr_null(failed);
    need_call(MAPSEG_OK, inheritance.seg, mapseg_remove(inheritance.seg));
    mapseg_free(inheritance.seg);
}
END_TEST

/* ---------------------------------------------------------------- seals -- */

/** A program that may only read a sealed memory file is told too. */
START_TEST(reader_of_a_sealed_file)
{
    mapseg *seg = handle_for("memfd:");
    mapseg *reader;
    char key[KEY_BYTES];
    uint64_t count;
    int given, fd;

    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    given = exported_fd(seg, MAPSEG_READ_ONLY);
    ck_assert_msg(given >= 0, "%s", mapseg_error_string(seg));
    snprintf(key, sizeof key, "memfd:%d", given);
    reader = attached(key, MAPSEG_READ_ONLY);
    close(given);
    need_call(MAPSEG_PERMISSION_DENIED, reader, mapseg_lock(reader));
    fd = quiet_fd(reader);
    for (uint64_t i = 1; i <= 50; i++) {
        ck_assert(write_once(seg));
        check_readable(fd);
        need_call(MAPSEG_OK, reader, mapseg_read(reader, 0, &count, sizeof count, NULL));
        ck_assert_uint_eq(count, i);
        ck_assert(!is_readable(fd, i % 10 == 0 ? 50 : 0));
    }
    mapseg_free(reader);
    mapseg_free(seg);
    ck_assert(has_more_threads(0));
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

static void
add_life(Suite *suite)
{
    TCase *group = new_case(suite, "life");

    tcase_add_checked_fixture(group, note_threads, NULL);
    tcase_add_test(group, one_descriptor_for_a_handle);
    tcase_add_test(group, detached_handles_have_none);
    tcase_add_test(group, no_descriptor_left);
    tcase_add_test(group, detach_takes_thread_and_descriptor_along);
    tcase_add_test(group, detach_while_others_write);
    tcase_add_test(group, threads_that_ask_first_get_the_same);
    tcase_add_loop_test(group, signals_pass_the_thread_by, 0, 2);
    if (skip_unless(!under_race_detector(),
                    "a race detector lets no child of threads start a thread"))
        tcase_add_test(group, child_asks_again);
    tcase_add_loop_test(group, child_leaves_at_once, 0, 2);
    tcase_add_test(group, fork_while_another_thread_asks);
    tcase_add_test(group, reader_of_a_sealed_file);
    tcase_add_test(group, many_handles);
}

int
main(void)
{
    Suite *suite = new_suite("notify_life");

    add_life(suite);
    return run_suite(suite);
}
