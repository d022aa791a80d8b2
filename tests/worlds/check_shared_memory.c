/*
 * check_shared_memory.c - children that share the memory of the owner: between vfork and exec, and
 * where clone makes them so. The kernel keeps the memory, and what is mapped, as long as they have
 * it, and presence with it: so a dead owner cannot be told from one that lives. It is replaced as
 * soon as the child runs another program or ends, and never robbed before.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096
#define STACK_BYTES (64 * 1024)
/** A living owner is not robbed within this. */
#define PATIENCE (300 * MILLISECOND)

extern char **environ;

/** How the owner comes to have the child. */
enum way { SPAWN, VFORK, SHARE, WAYS };

/** What the owner and its child share anyway. */
struct scene {
    struct stage *stage;
    enum way way;
    bool dies_with_owner;      /**< the child asks the kernel for that */
    char pipe_path[KEY_BYTES]; /**< opening it waits for the test */
};

/** A scene with a segment that stays. This process becomes the parent of what the owner leaves. */
static struct scene *
new_scene(enum way way, bool dies_with_owner)
{
    struct scene *scene = shared_memory(sizeof *scene);

    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    scene->stage = new_stage();
    scene->way = way;
    scene->dies_with_owner = dies_with_owner;
    leave_persistent(scene->stage->place.key, DATA_BYTES, 0);
    (void)snprintf(scene->pipe_path, sizeof scene->pipe_path, "%.200s.pipe",
                   scene->stage->place.path);
    need(mkfifo(scene->pipe_path, 0600) == 0);
    return scene;
}

static void
end_scene(struct scene *scene)
{
    need(unlink(scene->pipe_path) == 0);
    remove_persistent(scene->stage->place.key);
}

static struct scene *scene_of_owner;

/* ----------------------------------------------------------- the owner -- */

/** The child: waits for the test, and runs another program. */
static int
wait_and_run(void *argument)
{
    struct scene *scene = argument;
    char *arguments[] = {(char[]){"true"}, NULL};
    int fd;

    if (scene->dies_with_owner && prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        _exit(1);
    atomic_store(&scene->stage->pid, getpid());
    fd = open(scene->pipe_path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)execvp("true", arguments);
    _exit(1);
}

/** The same by the C library: the pipe is in the file actions. */
static void
spawn_and_wait(const struct scene *scene)
{
    char *arguments[] = {(char[]){"true"}, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;

    need(posix_spawn_file_actions_init(&actions) == 0);
    need(posix_spawn_file_actions_addopen(&actions, 9, scene->pipe_path, O_RDONLY, 0) == 0);
    (void)posix_spawnp(&pid, "true", &actions, NULL, arguments, environ);
}

/** Takes the lock, and has such a child. */
static void
own_and_have_child(struct stage *stage)
{
    struct scene *scene = scene_of_owner;
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    static _Alignas(16) char stack[STACK_BYTES];
    int flags = scene->way == VFORK ? CLONE_VM | CLONE_VFORK | SIGCHLD : CLONE_VM | SIGCHLD;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    atomic_store(&stage->ready, 1);
    if (scene->way == SPAWN)
        spawn_and_wait(scene);
    else
        need(clone(wait_and_run, stack + STACK_BYTES, flags, scene) > 0);
    for (;;)
        (void)pause();
}

/** The only child of a process; 0: none yet. */
static pid_t
child_of(pid_t parent)
{
    char path[64];
    int child = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    file = fopen(path, "re");
    need(file != NULL);
    if (fscanf(file, "%d", &child) != 1)
        child = 0;
    (void)fclose(file);
    return child;
}

/** Starts an owner whose child waits: *child. */
static pid_t
start_owner(struct scene *scene, pid_t *child)
{
    int64_t deadline = hang_deadline();
    pid_t owner;

    scene_of_owner = scene;
    owner = start(own_and_have_child, scene->stage);
    await(&scene->stage->ready, 1);
    while ((*child = child_of(owner)) == 0) {
        if (now_ns() > deadline)
            broken("the owner has no child");
        nap(MILLISECOND / 2);
    }
    if (scene->way != SPAWN)
        await(&scene->stage->pid, 1);
    need_asleep(*child);
    return owner;
}

/* --------------------------------------------------------------- the tests -- */

static void
need_kept(mapseg *seg)
{
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, PATIENCE));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
}

static void
need_told(mapseg *seg)
{
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

/** _i / 2: the way; odd: the child is killed, too, and runs no program. */
START_TEST(owner_is_replaced_when_its_memory_is_free)
{
    struct scene *scene = new_scene((enum way)(_i / 2), false);
    pid_t child;
    pid_t owner = start_owner(scene, &child);
    mapseg *seg = attached(scene->stage->place.key, MAPSEG_READ_WRITE);

    kill_and_reap(owner);
    need_kept(seg);
    need_number(MAPSEG_LOCK_STATE_HELD, lock_state_of(scene->stage->place.key));
    need_attached(2, scene->stage->place.key);
    if (_i % 2 == 0) {
        /* Opened for both, it waits for no other process. */
        int fd = open(scene->pipe_path, O_RDWR | O_CLOEXEC);

        need(fd >= 0);
        need_told(seg);
        finish(child);
        (void)close(fd);
    } else {
        kill_and_reap(child);
        need_told(seg);
    }
    need_attached(1, scene->stage->place.key);
    mapseg_free(seg);
    end_scene(scene);
}
END_TEST

/** A child that asks to die with its parent does not keep its memory. */
START_TEST(child_that_dies_with_the_owner_delays_nothing)
{
    struct scene *scene = new_scene((enum way)_i, true);
    pid_t child;
    pid_t owner = start_owner(scene, &child);
    mapseg *seg = attached(scene->stage->place.key, MAPSEG_READ_WRITE);

    need_kept(seg);
    kill_and_reap(owner);
    need_told(seg);
    need_number(128 + SIGKILL, end_of(child));
    need_attached(1, scene->stage->place.key);
    mapseg_free(seg);
    end_scene(scene);
}
END_TEST

/** Whether the kernel shows the children of a process. */
static bool
shows_children(void)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)getpid(), (int)getpid());
    return access(path, R_OK) == 0;
}

int
main(void)
{
    Suite *suite = new_suite("shared memory");
    TCase *tcase = new_case(suite, "children");

    if (skip_unless(shows_children(), "a kernel that shows the children of a process")) {
        tcase_add_loop_test(tcase, owner_is_replaced_when_its_memory_is_free, 0, 2 * WAYS);
        tcase_add_loop_test(tcase, child_that_dies_with_the_owner_delays_nothing, VFORK, WAYS);
    }
    return run_suite(suite);
}
