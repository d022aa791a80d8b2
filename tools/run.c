/*
 * run.c - running a command as lock and exec do.
 *
 * SPDX-License-Identifier: MIT
 */
#include "common.h"
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127
#define STATUS_SIGNAL 128

static const int handed_on[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
#define HANDED_ON_COUNT (sizeof handed_on / sizeof *handed_on)

static struct sigaction former_actions[HANDED_ON_COUNT];
static struct sigaction former_pipe_action;
static volatile sig_atomic_t running_child;

void
ignore_broken_pipes(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &former_pipe_action);
}

/* What the terminal sends reaches the command without us: it is in the same
 * process group. */
static void
hand_on(int signal_number, siginfo_t *information, void *context)
{
    (void)context;
    int reason = errno;
    if (information->si_code <= 0 && running_child > 0)
        kill((pid_t)running_child, signal_number);
    errno = reason;
}

static void
hand_signals_on(void)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART};
    action.sa_sigaction = hand_on;
    for (size_t i = 0; i < HANDED_ON_COUNT; i++) {
        sigaction(handed_on[i], NULL, &former_actions[i]);
        if (former_actions[i].sa_handler != SIG_IGN)
            sigaction(handed_on[i], &action, NULL);
    }
}

static void
restore_signals(void)
{
    for (size_t i = 0; i < HANDED_ON_COUNT; i++)
        sigaction(handed_on[i], &former_actions[i], NULL);
    sigaction(SIGPIPE, &former_pipe_action, NULL);
}

static void
set_variable(const struct run *run)
{
    if (run->variable == NULL)
        return;
    if (run->value)
        setenv(run->variable, run->value, 1);
    else
        unsetenv(run->variable);
}

static _Noreturn void
become(const struct run *run, pid_t parent, const sigset_t *mask)
{
    restore_signals();
    sigprocmask(SIG_SETMASK, mask, NULL);
    /* The parent may have been killed before it was asked for. */
    if (run->dies_with_us && (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent))
        _exit(STATUS_SIGNAL + SIGTERM);
    if (run->descriptor >= 0)
        fcntl(run->descriptor, F_SETFD, 0);
    set_variable(run);
    execvp(run->arguments[0], run->arguments);
    int reason = errno;
    failure("cannot run %s: %s", run->arguments[0], strerror(reason));
    _exit(reason == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
}

pid_t
run_start(const struct run *run)
{
    /* Until it is known whom to hand them to, signals wait. */
    sigset_t waiting, mask;
    sigemptyset(&waiting);
    for (size_t i = 0; i < HANDED_ON_COUNT; i++)
        sigaddset(&waiting, handed_on[i]);
    sigprocmask(SIG_BLOCK, &waiting, &mask);
    hand_signals_on();
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0)
        become(run, parent, &mask);
    int reason = errno;
    running_child = (sig_atomic_t)child;
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (child < 0)
        failure("cannot run %s: %s", run->arguments[0], strerror(reason));
    return child;
}

int
run_wait(pid_t child)
{
    /* The child is looked at before it is reaped, so that no signal is handed
     * on to a process that has got its number since. */
    siginfo_t information;
    while (waitid(P_PID, (id_t)child, &information, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        ;
    running_child = 0;
    int status;
    if (waitpid(child, &status, 0) != child)
        return failure("cannot wait for the command: %s", strerror(errno));
    return WIFSIGNALED(status) ? STATUS_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}
