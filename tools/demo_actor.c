/*
 * demo_actor.c - the processes that mapseg demo starts.
 *
 * SPDX-License-Identifier: MIT
 */
#include "common.h"
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* -------------------------------------------------------- interruption -- */

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define ENDING_SIGNALS (sizeof ending_signals / sizeof *ending_signals)

#define MOST_ACTORS 8

static volatile sig_atomic_t living[MOST_ACTORS];
static volatile sig_atomic_t interrupted;

/* Without its actors, everything that waits for one comes to its end. */
static void
interrupt(int signal_number)
{
    int reason = errno;
    interrupted = signal_number;
    for (size_t i = 0; i < MOST_ACTORS; i++)
        if (living[i] > 0)
            kill((pid_t)living[i], SIGKILL);
    errno = reason;
}

void
watch_for_interruption(void)
{
    struct sigaction action = {.sa_handler = interrupt}, former;
    for (size_t i = 0; i < ENDING_SIGNALS; i++) {
        sigaction(ending_signals[i], NULL, &former);
        if (former.sa_handler != SIG_IGN)
            sigaction(ending_signals[i], &action, NULL);
    }
}

int
interruption(void)
{
    return (int)interrupted;
}

void
end_by_interruption(void)
{
    signal((int)interrupted, SIG_DFL);
    raise((int)interrupted);
}

static void
block_ending_signals(sigset_t *former)
{
    sigset_t ending;
    sigemptyset(&ending);
    for (size_t i = 0; i < ENDING_SIGNALS; i++)
        sigaddset(&ending, ending_signals[i]);
    sigprocmask(SIG_BLOCK, &ending, former);
}

static void
replace_living(pid_t before, pid_t after)
{
    for (size_t i = 0; i < MOST_ACTORS; i++)
        if (living[i] == (sig_atomic_t)before) {
            living[i] = (sig_atomic_t)after;
            return;
        }
}

/* --------------------------------------------------------------- actors -- */

static _Noreturn void
play(const char *program, const char *const *arguments, int input, int output,
     const sigset_t *former)
{
    for (size_t i = 0; i < ENDING_SIGNALS; i++)
        signal(ending_signals[i], SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, former, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    execvp(program, (char *const *)(uintptr_t)arguments);
    _exit(errno == ENOENT ? 127 : 126);
}

bool
actor_start(struct actor *actor, const char *name, const char *program,
            const char *const *arguments)
{
    int to[2], from[2];
    *actor = (struct actor){.name = name, .to = -1};
    if (interrupted)
        return false;
    if (pipe2(to, O_CLOEXEC) != 0) {
        failure("cannot start %s: %s", name, strerror(errno));
        return false;
    }
    if (pipe2(from, O_CLOEXEC) != 0) {
        failure("cannot start %s: %s", name, strerror(errno));
        close(to[0]);
        close(to[1]);
        return false;
    }
    sigset_t former;
    block_ending_signals(&former);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        play(program, arguments, to[0], from[1], &former);
    int reason = errno;
    if (pid > 0)
        replace_living(0, pid);
    sigprocmask(SIG_SETMASK, &former, NULL);
    close(to[0]);
    close(from[1]);
    actor->pid = pid > 0 ? pid : 0;
    actor->to = to[1];
    actor->from = fdopen(from[0], "r");
    if (pid > 0 && actor->from)
        return true;
    failure("cannot start %s: %s", name, strerror(reason));
    if (actor->from == NULL)
        close(from[0]);
    actor_kill(actor);
    return false;
}

bool
actor_hear(struct actor *actor)
{
    if (interrupted || actor->from == NULL ||
        fgets(actor->line, sizeof actor->line, actor->from) == NULL)
        return false;
    actor->line[strcspn(actor->line, "\n")] = '\0';
    tell("%s %ld: %s", actor->name, (long)actor->pid, actor->line);
    return true;
}

void
actor_go(struct actor *actor)
{
    if (actor->to >= 0)
        close(actor->to);
    actor->to = -1;
}

static int
wait_for(pid_t pid)
{
    /* Looked at first and reaped only when no signal handler knows it any
     * more: its number may be another process's then. */
    siginfo_t information;
    while (waitid(P_PID, (id_t)pid, &information, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        ;
    replace_living(pid, 0);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int
actor_finish(struct actor *actor)
{
    actor_go(actor);
    while (actor_hear(actor))
        ;
    if (actor->from)
        fclose(actor->from);
    actor->from = NULL;
    if (actor->pid <= 0)
        return EXIT_FAILURE;
    int status = wait_for(actor->pid);
    actor->pid = 0;
    return status;
}

int
actor_kill(struct actor *actor)
{
    if (actor->pid > 0)
        kill(actor->pid, SIGKILL);
    return actor_finish(actor);
}
