/*
 * check_leaks.c - forks and started programs leave nothing behind: no descriptor, no mapping, no
 * presence; nor do forks that fail.
 *
 * SPDX-License-Identifier: MIT
 */
#include "children.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/** The child has what the parent had, but for the segment that it has no part
 *  in. */
static void
compare_counts(struct stage *stage, mapseg *seg)
{
    need_number(stage->told[0] - 1, count_descriptors());
    need(mapseg_is_attached(seg));
    need(count_shared_mappings() < stage->told[1]);
}

START_TEST(forks_leak_nothing)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *out = handle_for("memfd:");
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    int descriptors;
    int mappings;

    options.flags = MAPSEG_NO_FORK;
    need_result(MAPSEG_OK, mapseg_create_with(out, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    /* The first fork may set up what the later ones use. */
    finish(fork_child(free_copy, stage, seg));
    descriptors = count_descriptors();
    mappings = count_shared_mappings();
    stage->told[0] = (int)descriptors;
    stage->told[1] = (int)mappings;
    for (int round = 0; round < 200; round++)
        finish(fork_child(round % 2 == 0 ? compare_counts : free_copy, stage, seg));
    need_number(descriptors, count_descriptors());
    need_number(mappings, count_shared_mappings());
    need_attached_through(1, seg);
    need_attached_through(1, out);
    mapseg_free(out);
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

/** In generations: a child's child's child has no more than the first had. */
static void
beget(struct stage *stage, mapseg *seg)
{
    need_number(stage->told[0], count_descriptors());
    need_number(stage->told[1], count_shared_mappings());
    if (atomic_fetch_add(&stage->ready, 1) < 30)
        finish(fork_child(beget, stage, seg));
    need_result(MAPSEG_OK, mapseg_detach(seg));
}

START_TEST(generations_leak_nothing)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    stage->told[0] = count_descriptors();
    stage->told[1] = count_shared_mappings();
    finish(fork_child(beget, stage, seg));
    need_number(31, stage->ready);
    need_attached_through(1, seg);
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

extern char **environ;

/** How this program, started again, says what it has open: its exit status. */
#define REPORT_OPEN "--report-open"

START_TEST(spawned_programs_get_nothing)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *memory = handle_for("memfd:");
    char *arguments[] = {(char[]){"check_leaks"}, (char[]){REPORT_OPEN}, stage->place.path, NULL};
    int descriptors;

    need_result(MAPSEG_OK, mapseg_create(memory, DATA_BYTES, MAPSEG_READ_WRITE));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    descriptors = count_descriptors();
    for (int round = 0; round < 10; round++) {
        pid_t pid;

        need(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
        need_attached_through(1, seg);
        finish(pid);
        pid = vfork();
        if (pid == 0) {
            (void)execv("/proc/self/exe", arguments);
            _exit(99);
        }
        need(pid > 0);
        finish(pid);
    }
    need_number(descriptors, count_descriptors());
    need(mapseg_is_attached(seg));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_attached_through(1, seg);
    mapseg_free(memory);
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

/* -------------------------------------------------------------- bad luck -- */

/** Fork fails, more than once, and nothing of it stays. */
static void
fail_to_fork(struct stage *stage)
{
    struct rlimit none = {0, 0};
    int descriptors;
    int mappings;
    mapseg *seg;

    if (geteuid() == 0)
        need(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
    seg = created(stage->place.key, DATA_BYTES);
    need(setrlimit(RLIMIT_NPROC, &none) == 0);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need(fork() == -1 && errno == EAGAIN);
    descriptors = count_descriptors();
    mappings = count_shared_mappings();
    for (int round = 0; round < 100; round++)
        need(fork() == -1);
    need_number(descriptors, count_descriptors());
    need_number(mappings, count_shared_mappings());
    need(mapseg_is_attached(seg));
    need_attached_through(1, seg);
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
    need(!exists(stage->place.path));
}

START_TEST(failing_fork_leaves_nothing)
{
    finish(start(fail_to_fork, new_stage()));
}
END_TEST

/** No descriptor is left for the child's presence: it gets no attachment, the
 *  fork itself goes well. */
static void
fork_without_descriptors(struct stage *stage)
{
    struct rlimit limit;
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    int fd = dup(STDERR_FILENO);

    strcpy(mapseg_data(seg), "still here");
    need(fd >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0);
    (void)close(fd);
    limit.rlim_cur = (rlim_t)fd;
    need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    finish(fork_child(be_unregistered, stage, seg));
    limit.rlim_cur = limit.rlim_max;
    need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    need_attached_through(1, seg);
    mapseg_free(seg);
    need(!exists(stage->place.path));
}

START_TEST(fork_without_a_descriptor_to_spare)
{
    finish(start(fork_without_descriptors, new_stage()));
}
END_TEST

/* ------------------------------------------------------------------ main -- */

static void
add_leaks(Suite *suite)
{
    TCase *tcase = new_case(suite, "leaks");

    tcase_add_test(tcase, forks_leak_nothing);
    tcase_add_test(tcase, generations_leak_nothing);
    tcase_add_test(tcase, spawned_programs_get_nothing);
    tcase_add_test(tcase, failing_fork_leaves_nothing);
    tcase_add_test(tcase, fork_without_a_descriptor_to_spare);
}

int
main(int argc, char **argv)
{
    Suite *suite;

    if (argc == 3 && strcmp(argv[1], REPORT_OPEN) == 0)
        return count_open(argv[2]);
    suite = new_suite("leaks");
    add_leaks(suite);
    return run_suite(suite);
}
