/*
 * processes.c - processes that start and end under a deadline, and meet.
 *
 * SPDX-License-Identifier: MIT
 */
#include "processes.h"

#include "assertions.h"
#include "skips.h"
#include "times.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void *
shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    need(memory != MAP_FAILED);
    return memory;
}

struct stage *
new_stage(void)
{
    struct stage *stage = shared_memory(sizeof *stage);

    new_place(&stage->place);
    return stage;
}

pid_t
start(void (*body)(struct stage *stage), struct stage *stage)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    need(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        body(stage);
        _exit(0);
    }
    return pid;
}

int
end_of_at(const char *file, int line, pid_t pid)
{
    int64_t deadline = hang_deadline();
    pid_t ended;
    int status;

    while ((ended = waitpid(pid, &status, WNOHANG)) != pid) {
        if (ended != 0 && errno != EINTR)
            broken_at(file, line, "waitpid: %s", strerror(errno));
        if (now_ns() > deadline) {
            (void)kill(pid, SIGKILL);
            broken_at(file, line, "process %d hangs", (int)pid);
        }
        nap(MILLISECOND / 2);
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void
finish_at(const char *file, int line, pid_t pid)
{
    int status = end_of_at(file, line, pid);

    if (status != 0)
        broken_at(file, line, "process %d ended with %d", (int)pid, status);
}

void
kill_and_reap(pid_t pid)
{
    int status;

    need(kill(pid, SIGKILL) == 0);
    need(waitpid(pid, &status, 0) == pid);
    need(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int
in_child(int (*body)(void *argument), void *argument)
{
    pid_t child = fork();

    need(child >= 0);
    if (child == 0)
        _exit(body(argument));
    return end_of(child);
}

int
as_ordinary_user(int (*body)(void *argument), void *argument)
{
    pid_t child = fork();

    need(child >= 0);
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
    int signal_of_parent;

    need(prctl(PR_GET_PDEATHSIG, &signal_of_parent) == 0);
    need(setgroups(0, NULL) == 0);
    need(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
    /* A change of user has undone it. */
    need(prctl(PR_SET_PDEATHSIG, signal_of_parent) == 0);
}

void
own_program(char path[PATH_MAX])
{
    /* Not run as /proc/self/exe itself, which may be an emulator. */
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);

    need(length > 0);
    path[length] = '\0';
}

bool
is_asleep(pid_t pid)
{
    char path[40];
    char text[256];
    const char *state;
    ssize_t length;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    length = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[length > 0 ? length : 0] = '\0';
    state = strrchr(text, ')');
    return state != NULL && strncmp(state, ") S", 3) == 0;
}

void
need_asleep_at(const char *file, int line, pid_t pid)
{
    int64_t deadline = hang_deadline();

    while (!is_asleep(pid)) {
        if (now_ns() > deadline)
            broken_at(file, line, "process %d does not sleep", (int)pid);
        nap(MILLISECOND / 2);
    }
}

void
await_at(const char *file, int line, const char *text, const atomic_int *cell, int value)
{
    int64_t deadline = hang_deadline();

    while (atomic_load(cell) < value) {
        if (now_ns() > deadline)
            broken_at(file, line, "%s stays %d, never becomes %d", text, atomic_load(cell), value);
        nap(MILLISECOND / 5);
    }
}

void
meet(uint32_t *meeting, uint32_t count)
{
    int64_t begun = now_ns(), deadline = hang_deadline();

    __atomic_add_fetch(meeting, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(meeting, __ATOMIC_ACQUIRE) < count) {
        int64_t now = now_ns();

        if (now > deadline)
            _exit(98);
        /* Those who look again at once go on at the same time. */
        if (now - begun < MILLISECOND)
            sched_yield();
        else
            give_way();
    }
}
