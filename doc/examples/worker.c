#define _GNU_SOURCE 1 /* environ */
#include <mapseg-spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the worker is to add up; it may only read this. */
struct task {
    int count;
    long numbers[16];
};

static void
fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void
check(mapseg *seg, mapseg_result result)
{
    if (result != MAPSEG_OK)
        fail(mapseg_error_string(seg));
}

/* -- the child -- */

/* Attaches to the segment whose key a variable holds. Neither the descriptor nor the variable
 * is left for programs that this one runs. */
static mapseg *
inherit(const char *variable, size_t size, mapseg_access access)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    const char *key = getenv(variable);
    mapseg *seg = mapseg_new();

    if (seg == NULL || key == NULL)
        fail(seg == NULL ? "out of memory" : "to be started by its parent only");
    options.flags = MAPSEG_TAKE_DESCRIPTOR;
    options.minimum_size = size;
    check(seg, mapseg_set_native_key(seg, key));
    check(seg, mapseg_attach_with(seg, access, &options));
    if (unsetenv(variable) != 0)
        fail("cannot take the variable away");
    return seg;
}

static int
work(void)
{
    mapseg *task_seg = inherit("MAPSEG_KEY", sizeof(struct task), MAPSEG_READ_ONLY);
    mapseg *sum_seg = inherit("SUM_KEY", sizeof(long), MAPSEG_READ_WRITE);
    struct task task;
    long sum = 0;

    check(task_seg, mapseg_read(task_seg, 0, &task, sizeof(task), NULL));
    if (task.count < 0 || task.count > 16)
        fail("this is no task");
    for (int i = 0; i < task.count; i++)
        sum += task.numbers[i];
    check(sum_seg, mapseg_write(sum_seg, 0, &sum, sizeof(sum)));
    printf("worker: added %d numbers\n", task.count);
    mapseg_free(sum_seg);
    mapseg_free(task_seg);
    return fflush(stdout) != 0;
}

/* -- the parent -- */

static mapseg *
make(size_t size)
{
    mapseg *seg = mapseg_new();

    if (seg == NULL)
        fail("out of memory");
    check(seg, mapseg_set_native_key(seg, "memfd:"));
    check(seg, mapseg_create(seg, size, MAPSEG_READ_WRITE));
    return seg;
}

static pid_t
start(char *program, mapseg *task_seg, mapseg *sum_seg)
{
    char task_variable[MAPSEG_ENVIRONMENT_BYTES], sum_variable[MAPSEG_ENVIRONMENT_BYTES];
    char *arguments[] = {program, "work", NULL};
    posix_spawn_file_actions_t actions;
    int task_fd, sum_fd;
    pid_t worker;

    if (posix_spawn_file_actions_init(&actions) != 0)
        fail("out of memory");
    check(task_seg,
          mapseg_spawn_actions(task_seg, MAPSEG_READ_ONLY, &actions, task_variable, &task_fd));
    check(sum_seg,
          mapseg_spawn_actions(sum_seg, MAPSEG_READ_WRITE, &actions, sum_variable, &sum_fd));
    /* Both are "MAPSEG_KEY=" and a key: the second key gets a variable of its own. */
    if (putenv(task_variable) != 0 || setenv("SUM_KEY", strchr(sum_variable, '=') + 1, 1) != 0)
        fail("out of memory");
    int error = posix_spawnp(&worker, program, &actions, NULL, arguments, environ);
    if (error != 0)
        fail(strerror(error));
    if (unsetenv("MAPSEG_KEY") != 0 || unsetenv("SUM_KEY") != 0)
        fail("cannot take the variables away");
    close(task_fd); /* the worker has its own */
    close(sum_fd);
    posix_spawn_file_actions_destroy(&actions);
    return worker;
}

int
main(int argc, char **argv)
{
    static const struct task task = {.count = 4, .numbers = {10, 20, 30, 40}};
    int status;
    long sum;

    if (argc > 1 && strcmp(argv[1], "work") == 0)
        return work();
    mapseg *task_seg = make(sizeof(task));
    mapseg *sum_seg = make(sizeof(sum));
    check(task_seg, mapseg_write(task_seg, 0, &task, sizeof(task)));
    pid_t worker = start(argv[0], task_seg, sum_seg);
    if (waitpid(worker, &status, 0) != worker || status != 0)
        fail("the worker failed");
    check(sum_seg, mapseg_read(sum_seg, 0, &sum, sizeof(sum), NULL));
    printf("parent: the sum is %ld\n", sum);
    mapseg_free(sum_seg);
    mapseg_free(task_seg);
    return fflush(stdout) != 0;
}
