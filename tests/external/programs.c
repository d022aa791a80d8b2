/*
 * programs.c - programs without mapseg that are told what to do, line by line.
 *
 * SPDX-License-Identifier: MIT
 */
#include "programs.h"

#include "support.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_PROGRAMS 8

static char *commands[MOST_PROGRAMS];

int
count_programs(void)
{
    const char *given = getenv("PEERS");
    char *list = given == NULL ? NULL : strdup(given);
    char *rest = NULL;
    int count = 0;

    for (char *line = list == NULL ? NULL : strtok_r(list, "\n", &rest);
         line != NULL && count < MOST_PROGRAMS; line = strtok_r(NULL, "\n", &rest))
        commands[count++] = line;
    return count;
}

const char *
command_of(int number)
{
    return commands[number];
}

struct program
start_program(const char *command, const char *name)
{
    struct program program = {.command = command};
    char words[KEY_BYTES + 8];
    char line[4096];
    int ends[2];

    snprintf(line, sizeof line, "exec %s", command);
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    program.pid = fork();
    need(program.pid >= 0);
    if (program.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    program.words = fdopen(ends[0], "w");
    program.answers = fdopen(dup(ends[0]), "r");
    need(program.words != NULL && program.answers != NULL);
    snprintf(words, sizeof words, "posix %s", name);
    need_obeyed(&program, words, "ok");
    return program;
}

void
say_words(const struct program *program, const char *words)
{
    need(fprintf(program->words, "%s\n", words) > 0 && fflush(program->words) == 0);
}

const char *
hear_answer(const struct program *program, const char *words)
{
    static char answer[256];

    if (fgets(answer, sizeof answer, program->answers) == NULL)
        broken("%s: no answer to '%s'", program->command, words);
    answer[strcspn(answer, "\n")] = '\0';
    return answer;
}

void
need_answer(const struct program *program, const char *words, const char *expected)
{
    const char *answer = hear_answer(program, words);

    if (strcmp(answer, expected) != 0)
        broken("%s: '%s' to '%s', not '%s'", program->command, answer, words, expected);
}

void
need_obeyed(const struct program *program, const char *words, const char *expected)
{
    say_words(program, words);
    need_answer(program, words, expected);
}

void
need_waiting(const struct program *program)
{
    struct pollfd answer = {.fd = fileno(program->answers), .events = POLLIN};

    need_asleep(program->pid);
    if (poll(&answer, 1, 0) != 0)
        broken("%s: has an answer, and was to wait", program->command);
}

static void
hang_up(struct program *program)
{
    fclose(program->words);
    shutdown(fileno(program->answers), SHUT_RDWR);
    fclose(program->answers);
}

void
end_program(struct program *program)
{
    need_obeyed(program, "end", "ok");
    hang_up(program);
    need_number(0, end_of(program->pid));
}

void
kill_program(struct program *program)
{
    kill(program->pid, SIGKILL);
    hang_up(program);
    need_number(128 + SIGKILL, end_of(program->pid));
}
