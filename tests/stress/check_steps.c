/*
 * check_steps.c - death between any two instructions.
 *
 * A process is stopped in an operation of the library and killed there, once
 * for every point: before each instruction of the library and behind each of
 * its system calls. Each time those who are left must go on, must be told of a
 * death if and only if they need to know, and must find neither a missing
 * name, nor half a segment, nor anything that cannot be cleared away.
 *
 * An instruction that is met again and again, as in a loop that waits, is a
 * point the first, second, fourth, eighth time; with MAPSEG_STEPS=all in the
 * environment it is one each time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/** Seconds that the walk through one operation may take: each step of it is two
 *  switches from one process to another, and a machine that is busy lets others
 *  run in between. */
#define WALK_TIMEOUT 1800

uint64_t private_number;

struct scene *scene;
struct msi_os_operations real;

/* --------------------------------------------------------------- one death -- */

/** A process to be stepped. */
static void
be_victim(struct stage *stage)
{
    struct scene *in = (struct scene *)(void *)stage;

    in->operation->enter(in);
    begin_steps();
    in->operation->act(in);
    end_steps();
}

static void
begin_run(const struct operation *operation)
{
    scene->operation = operation;
    scene->holding = false;
    scene->header = NULL;
    scene->witness = NULL;
    scene->inode = 0;
    atomic_store(&scene->slot, 0);
    atomic_store(&scene->inside, 0);
    atomic_store(&scene->repaired, 0);
    atomic_store(&scene->haunted, 0);
    atomic_store(&scene->asks, 0);
    atomic_store(&scene->sleeps, 0);
    new_place(&scene->stage.place);
    operation->set(scene);
}

static void
end_run(void)
{
    scene->word = scene->header != NULL ? lock_word(scene->header) : 0;
}

/** What the test itself holds of a run goes. */
static void
clean_up(void)
{
    if (scene->header != NULL)
        need(munmap(scene->header, MAPSEG_HEADER_BYTES) == 0);
    scene->header = NULL;
}

/** Runs the operation once, up to the point or through. Returns whether there
 *  was a death. */
static bool
run(const struct operation *operation, const struct point *point, struct path *path)
{
    bool reached = false;
    pid_t pid;

    begin_run(operation);
    pid = start_stepped(be_victim, &scene->stage);
    put_heir_to_sleep(scene);
    if (point != NULL)
        reached = walk_to(pid, &scene->stage, operation->serve, point);
    else
        walk(pid, &scene->stage, operation->serve, operation->look, path);
    end_run();
    if (reached) {
        kill_and_reap(pid);
    } else {
        end_walk(pid);
        finish(pid);
    }
    operation->check(scene);
    clean_up();
    return reached;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED true
#else
#define INSTRUMENTED false
#endif

/** Whether no visit of a point is to be left out. */
static bool
wants_all(void)
{
    const char *wish = getenv("MAPSEG_STEPS");

    return wish != NULL && strcmp(wish, "all") == 0;
}

/** Whether to die at this point. */
static bool
is_wanted(const struct point *point)
{
    int visit = point->visit;

    if (point->call || wants_all())
        return true;
    /* A sanitizer makes many instructions of one, and each slow. */
    if (INSTRUMENTED && point->instruction / 4 % 8 != 0)
        return false;
    return (visit & (visit - 1)) == 0;
}

/** Kills at every point of the operation. */
static void
kill_along(const struct operation *operation)
{
    struct path path = {NULL, 0, 0};
    int64_t begun = now_ns();
    int deaths = 0;
    int calls = 0;

    longest = 0;
    (void)run(operation, NULL, &path);
    for (int i = 0; i < path.count; i++) {
        if (!is_wanted(&path.points[i]) || !run(operation, &path.points[i], NULL))
            continue;
        deaths++;
        calls += path.points[i].call;
    }
    need(deaths > 0);
    (void)printf("%-38s %5d points, %4d deaths, %2d behind calls, lock after %lld us at most, "
                 "%lld ms\n",
                 operation->name, path.count, deaths, calls, (long long)(longest / MICROSECOND),
                 (long long)((now_ns() - begun) / MILLISECOND));
    (void)fflush(stdout);
    free(path.points);
}

START_TEST(death_at_every_step)
{
    const struct operation *operation = &operations[_i];

    /* Grandchildren that lose their parent become ours. */
    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    real = msi_os;
    scene = shared_memory(sizeof *scene);
    if (operation->heir || operation->watched)
        scene->heir = start(operation->heir ? be_heir : be_watcher, &scene->stage);
    kill_along(operation);
    if (operation->heir || operation->watched)
        kill_and_reap(scene->heir);
}
END_TEST

/* ------------------------------------------------------------------ main -- */

int
main(void)
{
    const char *refused = stepping_refused();
    Suite *suite;
    TCase *tcase;

    if (!skip_unless(refused == NULL, refused))
        return EXIT_SKIPPED;
    suite = new_suite("steps");
    tcase = tcase_create("steps");
    private_number = (uint64_t)getpid() << 32 | 0x5eed;
    tcase_set_timeout(tcase, wants_all() ? 2 * WALK_TIMEOUT : WALK_TIMEOUT);
    tcase_add_loop_test(tcase, death_at_every_step, 0, operation_count);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
