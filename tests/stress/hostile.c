/*
 * hostile.c - calls that end in time, and the place where they are made.
 *
 * SPDX-License-Identifier: MIT
 */
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* --------------------------------------------------------- the place -- */

/** Takes all that is left of the file system. */
void
fill_up(void)
{
    static char block[4096];
    int fd = open(SHM "/filler", O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);

    need(fd >= 0);
    memset(block, 1, sizeof block);
    while (write(fd, block, sizeof block) > 0)
        ;
    need(errno == ENOSPC);
    (void)close(fd);
}

/* ----------------------------------------------------- calls in time -- */

static const char *volatile call_now = "";

/** A call that hangs is named before the process ends. */
static void
name_hang(int number)
{
    static const char words[] = " does not end, though its time is over\n";

    (void)number;
    (void)!write(STDERR_FILENO, call_now, strlen(call_now));
    (void)!write(STDERR_FILENO, words, sizeof words - 1);
    _exit(3);
}

static void
set_alarm(int64_t ns)
{
    struct itimerval timer = {{0, 0},
                              {(time_t)(ns / SECOND), (suseconds_t)(ns % SECOND / MICROSECOND)}};

    need(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

void
watch_hangs(void)
{
    need(signal(SIGALRM, name_hang) != SIG_ERR);
}

void
begin_call(const char *name, int64_t limit)
{
    call_now = name;
    set_alarm(limit + GRACE);
}

int
end_call(int result)
{
    set_alarm(0);
    return result;
}

/** What is said of a failure is there to be read. */
mapseg_result
explained(const mapseg *seg, mapseg_result result)
{
    need(strcmp(mapseg_result_name(result), "MAPSEG_?") != 0);
    if (result != MAPSEG_OK) {
        const char *reason = mapseg_error_string(seg);

        need(*reason != '\0');
        for (; *reason != '\0'; reason++)
            need((unsigned char)*reason >= 0x20 && *reason != 0x7f);
    }
    return result;
}

mapseg_result
attach_for(mapseg *seg, mapseg_access access, int64_t timeout)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.timeout_ns = timeout;
    return in_time_result(timeout, mapseg_attach_with(seg, access, &options));
}

mapseg_result
replace(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_RECLAIM;
    return in_time_result(PATIENCE, mapseg_create_with(seg, 10, MAPSEG_READ_WRITE, &options));
}

void
inspect(mapseg *seg)
{
    mapseg_info *information = NULL;
    mapseg_result result = in_time_result(0, mapseg_info_new(seg, &information));

    (void)explained(seg, result);
    if (result != MAPSEG_OK)
        return;
    need(information != NULL && *information->safety_text != '\0');
    need((information->verdict == MAPSEG_OK) == (*information->verdict_text == '\0'));
    mapseg_info_free(information);
}

void
need_info_and_list(mapseg *seg)
{
    mapseg_info *information = NULL;
    mapseg_list *list = NULL;

    need_result(MAPSEG_OK, in_time_result(0, mapseg_info_new(seg, &information)));
    mapseg_info_free(information);
    need_result(MAPSEG_OK, in_time_result(0, mapseg_list_new(&list)));
    mapseg_list_free(list);
}

void
try_export(mapseg *seg)
{
    int fd = in_time(0, exported_fd(seg, MAPSEG_READ_ONLY));

    if (fd >= 0)
        need(close(fd) == 0);
    else
        (void)explained(seg, mapseg_error(seg));
}

/* ------------------------------------------------------------- suite -- */

uint32_t chance;

uint32_t
draw(uint32_t below)
{
    return next_random(&chance) % below;
}

int64_t
hostile_time(void)
{
    const char *text = getenv("MAPSEG_HOSTILE_SECONDS");

    return (text == NULL ? 3 : strtol(text, NULL, 10)) * SECOND;
}

int
run_hostile(const char *name, void (*add_cases)(Suite *suite))
{
    Suite *suite;

    if (!skip_unless(is_root() && can_unmount(), "a private /dev/shm needs root"))
        return EXIT_SKIPPED;
    suite = new_suite(name);
    add_cases(suite);
    return run_suite(suite);
}
