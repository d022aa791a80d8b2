/*
 * children.c - child processes that never outlive the benchmark.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"

#include "clock.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t asked_to_end;
static cpu_set_t allowed;
static size_t cpus[2];
static int cpu_count;

static void
note_signal(int number)
{
    (void)number;
    asked_to_end = 1;
}

void
catch_interruption(void)
{
    struct sigaction action = {.sa_handler = note_signal};

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool
interrupted(void)
{
    return asked_to_end != 0;
}

pid_t
start_child(bool (*body)(void *argument), void *argument)
{
    pid_t parent = getpid();
    pid_t child = fork();

    if (child != 0) {
        if (child < 0)
            perror("bench: fork");
        return child;
    }
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    _exit(body(argument) ? 0 : 1);
}

bool
reap_child(pid_t child, int64_t deadline)
{
    int status = 0;

    if (child <= 0)
        return false;
    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (ended < 0 && errno != EINTR)
            return false;
        if (now_ns() > deadline) {
            kill_child(child);
            return false;
        }
        sleep_ns(200000);
    }
}

void
kill_child(pid_t child)
{
    if (child <= 0)
        return;
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

bool
run_apart(bool (*body)(void *argument), void *argument, int64_t patience_ns)
{
    return reap_child(start_child(body, argument), now_ns() + patience_ns);
}

void *
share_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void
unshare_memory(void *memory, size_t bytes)
{
    munmap(memory, bytes);
}

int
usable_cpus(void)
{
    if (cpu_count > 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return cpu_count;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && cpu_count < 2; cpu++) {
        if (CPU_ISSET(cpu, &allowed))
            cpus[cpu_count++] = cpu;
    }
    return cpu_count;
}

void
use_cpu(int index)
{
    cpu_set_t set;
    int count = usable_cpus();

    CPU_ZERO(&set);
    for (int cpu = 0; cpu < count; cpu++) {
        if (index < 0 || cpu == index % count)
            CPU_SET(cpus[cpu], &set);
    }
    sched_setaffinity(0, sizeof set, &set);
}

bool
gate_new(struct gate *gate)
{
    if (pipe(gate->arrivals) != 0)
        return false;
    if (pipe(gate->opening) == 0)
        return true;
    close(gate->arrivals[0]);
    close(gate->arrivals[1]);
    return false;
}

/** The end of a pipe is what all readers see at once. */
void
gate_wait(struct gate *gate)
{
    char none;

    close(gate->opening[1]);
    if (write(gate->arrivals[1], "x", 1) != 1)
        _exit(1);
    while (read(gate->opening[0], &none, 1) < 0 && errno == EINTR)
        ;
    close(gate->opening[0]);
}

bool
gate_gather(const struct gate *gate, int children)
{
    struct pollfd arrival = {.fd = gate->arrivals[0], .events = POLLIN};
    int64_t deadline = now_ns() + PATIENCE_NS;
    char mark;

    while (children > 0 && now_ns() < deadline) {
        if (poll(&arrival, 1, 100) == 1 && read(gate->arrivals[0], &mark, 1) == 1)
            children--;
    }
    return children == 0;
}

void
gate_open(struct gate *gate)
{
    close(gate->arrivals[0]);
    close(gate->arrivals[1]);
    close(gate->opening[0]);
    close(gate->opening[1]);
}
