/* stepper.c - see stepper.h. */

#include "stepper.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)

/* The linker's names for where this program begins and its code ends. */
extern const char __executable_start[];
extern const char etext[];

static uintptr_t
instruction_of(pid_t pid)
{
    long instruction;

    errno = 0;
    instruction = ptrace(PTRACE_PEEKUSER, pid, (void *)offsetof(struct user, regs.rip), NULL);
    need(errno == 0);
    return (uintptr_t)instruction;
}

/** Whether a system call comes next. What the process executes lies at the
 *  same address here, since fork has made it. */
static bool
is_call(uintptr_t instruction)
{
    static const unsigned char call[2] = {0x0f, 0x05};

    return memcmp((const void *)instruction, call, sizeof(call)) == 0;
}

static bool
is_ours(uintptr_t instruction)
{
    return instruction >= (uintptr_t)__executable_start && instruction < (uintptr_t)etext;
}

/** Waits for the end of a step. */
static int
await_stop(pid_t pid, bool call, void (*asleep)(struct stage *stage), struct stage *stage)
{
    int status = 0;

    if (!call || asleep == NULL) {
        need(waitpid(pid, &status, 0) == pid);
        return status;
    }
    for (int64_t deadline = now() + HANG; waitpid(pid, &status, WNOHANG) == 0;) {
        need(now() < deadline);
        if (is_asleep(pid))
            asleep(stage);
        (void)sched_yield();
    }
    return status;
}

enum footing
step(pid_t pid, void (*asleep)(struct stage *stage), struct stage *stage)
{
    bool call = is_call(instruction_of(pid));
    int status;

    need(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
    status = await_stop(pid, call, asleep, stage);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
        broken(__FILE__, __LINE__, "a step ended with wait status 0x%x", (unsigned)status);
    if (call)
        return ON_CALL;
    return is_ours(instruction_of(pid)) ? ON_INSTRUCTION : ON_NOTHING;
}

static const char *
machine_refuses(void)
{
    return NULL;
}

#else

enum footing
step(pid_t pid, void (*asleep)(struct stage *stage), struct stage *stage)
{
    (void)pid;
    (void)asleep;
    (void)stage;
    return ON_NOTHING;
}

static const char *
machine_refuses(void)
{
    return "stepping is written for x86-64 alone";
}

#endif

void
wait_for_steps(void)
{
    need(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    need(raise(SIGSTOP) == 0);
}

pid_t
start_stepped(void (*body)(struct stage *stage), struct stage *stage)
{
    pid_t pid = start(body, stage);
    int status;

    need(waitpid(pid, &status, 0) == pid);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGSTOP)
        broken(__FILE__, __LINE__, "the process to step ended with wait status 0x%x",
               (unsigned)status);
    return pid;
}

void
stop_stepping(pid_t pid)
{
    need(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
}

const char *
stepping_refused(void)
{
    const char *reason = machine_refuses();
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
