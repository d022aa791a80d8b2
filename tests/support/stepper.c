/*
 * stepper.c - a process that is stopped in the middle of what it does, before
 * any instruction that one chooses.
 *
 * SPDX-License-Identifier: MIT
 */

#include "stepper.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------------ the machine -- */

#if defined(__x86_64__)

#define BREAKPOINT 0xcc
#define INSTRUCTION_POINTER offsetof(struct user, regs.rip)
static const unsigned char call_bytes[2] = {0x0f, 0x05};
static const char *const machine_refuses = NULL;

#else

#define BREAKPOINT 0
#define INSTRUCTION_POINTER 0
static const unsigned char call_bytes[2];
static const char *const machine_refuses = "breakpoints are written for x86-64 alone";

#endif

/* The linker's names for where this program begins and its code ends. */
extern const char __executable_start[];
extern const char etext[];

static uintptr_t
instruction_of(pid_t pid)
{
    long instruction;

    errno = 0;
    instruction = ptrace(PTRACE_PEEKUSER, pid, (void *)INSTRUCTION_POINTER, NULL);
    need(errno == 0);
    return (uintptr_t)instruction;
}

static void
go_back_to(pid_t pid, uintptr_t instruction)
{
    need(ptrace(PTRACE_POKEUSER, pid, (void *)INSTRUCTION_POINTER, (void *)instruction) == 0);
}

/** Whether a system call comes next. What the process executes lies at the
 *  same address here, since fork has made it. */
static bool
is_call(uintptr_t instruction)
{
    return memcmp((const void *)instruction, call_bytes, sizeof call_bytes) == 0;
}

static bool
is_ours(uintptr_t instruction)
{
    return instruction >= (uintptr_t)__executable_start && instruction < (uintptr_t)etext;
}

/** The breakpoint, and what is where it has been put. */
static uintptr_t broken_instruction; /**< 0: none is set */
static unsigned char broken_byte;

/** Puts a byte at the beginning of an instruction; returns what was there. */
static unsigned char
put_byte(pid_t pid, uintptr_t instruction, unsigned char byte)
{
    long word;
    long other;

    errno = 0;
    word = ptrace(PTRACE_PEEKTEXT, pid, (void *)instruction, NULL);
    need(errno == 0);
    other = (word & ~0xffL) | byte;
    need(ptrace(PTRACE_POKETEXT, pid, (void *)instruction, (void *)other) == 0);
    return (unsigned char)word;
}

static void
set_breakpoint(pid_t pid, uintptr_t instruction)
{
    broken_byte = put_byte(pid, instruction, BREAKPOINT);
    broken_instruction = instruction;
}

static void
clear_breakpoint(pid_t pid)
{
    if (broken_instruction != 0)
        (void)put_byte(pid, broken_instruction, broken_byte);
}

/* -------------------------------------------------------------- movement -- */

/** Waits for the process to change its state. */
static int
await_change(pid_t pid, struct stage *stage, meanwhile serve)
{
    int64_t deadline = hang_deadline();
    int status;

    while (waitpid(pid, &status, serve == NULL ? 0 : WNOHANG) != pid) {
        need(now_ns() < deadline);
        if (serve != NULL)
            serve(pid, stage);
        give_way();
    }
    return status;
}

/** It has forked: the child, which has a copy of the breakpoint, goes its own
 *  way without it. */
static void
release_child(pid_t pid)
{
    unsigned long message;
    pid_t child;
    int status;

    need(ptrace(PTRACE_GETEVENTMSG, pid, NULL, &message) == 0);
    child = (pid_t)message;
    need(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
    clear_breakpoint(child);
    need(ptrace(PTRACE_DETACH, child, NULL, NULL) == 0);
}

/** Lets it go on until it stops. False: at the end of its steps. */
static bool
go_on(enum __ptrace_request how, pid_t pid, struct stage *stage, meanwhile serve)
{
    const int forked = SIGTRAP | PTRACE_EVENT_FORK << 8;
    int status;

    for (;;) {
        need(ptrace(how, pid, NULL, NULL) == 0);
        status = await_change(pid, stage, serve);
        if (status >> 8 != forked)
            break;
        release_child(pid);
    }
    if (!WIFSTOPPED(status) || (WSTOPSIG(status) != SIGTRAP && WSTOPSIG(status) != SIGSTOP))
        broken("a step ended with wait status 0x%x", (unsigned)status);
    return WSTOPSIG(status) == SIGTRAP;
}

static void
add_point(struct path *path, uintptr_t instruction, bool call)
{
    struct point point = {instruction, 1, call};

    for (int i = path->count - 1; i >= 0 && point.visit == 1; i--)
        if (path->points[i].instruction == instruction)
            point.visit = path->points[i].visit + 1;
    if (path->count == path->room) {
        path->room = path->room == 0 ? 4096 : path->room * 2;
        path->points = realloc(path->points, (size_t)path->room * sizeof point);
        need(path->points != NULL);
    }
    path->points[path->count++] = point;
}

void
walk(pid_t pid, struct stage *stage, meanwhile serve, void (*look)(struct stage *stage),
     struct path *path)
{
    bool call = is_call(instruction_of(pid));

    while (go_on(PTRACE_SINGLESTEP, pid, stage, serve)) {
        uintptr_t instruction = instruction_of(pid);

        if (call || is_ours(instruction)) {
            add_point(path, instruction, call);
            if (look != NULL)
                look(stage);
        }
        call = is_call(instruction);
    }
}

/** Lets it run to the instruction. False: it came to the end of its steps. */
static bool
run_to(pid_t pid, struct stage *stage, meanwhile serve, uintptr_t instruction)
{
    bool met;

    set_breakpoint(pid, instruction);
    met = go_on(PTRACE_CONT, pid, stage, serve);
    clear_breakpoint(pid);
    broken_instruction = 0;
    if (met) {
        need(instruction_of(pid) == instruction + 1);
        go_back_to(pid, instruction);
    }
    return met;
}

bool
walk_to(pid_t pid, struct stage *stage, meanwhile serve, const struct point *point)
{
    for (int visit = 1; run_to(pid, stage, serve, point->instruction); visit++) {
        if (visit == point->visit)
            return true;
        if (!go_on(PTRACE_SINGLESTEP, pid, stage, serve))
            return false;
    }
    return false;
}

/* ----------------------------------------------------- beginning and end -- */

void
begin_steps(void)
{
    sigset_t children;

    /* A signal would stop it too. */
    (void)sigemptyset(&children);
    (void)sigaddset(&children, SIGCHLD);
    need(sigprocmask(SIG_BLOCK, &children, NULL) == 0);
    need(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    need(raise(SIGSTOP) == 0);
}

void
end_steps(void)
{
    need(raise(SIGSTOP) == 0);
}

pid_t
start_stepped(void (*body)(struct stage *stage), struct stage *stage)
{
    pid_t pid = start(body, stage);
    int status = await_change(pid, stage, NULL);

    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
        broken("it ended with wait status 0x%x instead of stepping", (unsigned)status);
    need(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEFORK) == 0);
    return pid;
}

void
end_walk(pid_t pid)
{
    need(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
}

const char *
stepping_refused(void)
{
    const char *reason = machine_refuses;
    int status = 0;
    pid_t pid;

    if (reason != NULL)
        return reason;
    pid = fork();
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(1);
        (void)raise(SIGSTOP);
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid)
        reason = "the system refuses ptrace";
    if (pid > 0 && WIFSTOPPED(status)) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
    }
    return reason;
}
