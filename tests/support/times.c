/*
 * times.c - how long things may take.
 *
 * SPDX-License-Identifier: MIT
 */
#include "times.h"

#include "skips.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

int64_t
now_ns(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * SECOND + time.tv_nsec;
}

int64_t
hang_deadline(void)
{
    return now_ns() + HANG * (under_valgrind() ? 10 : 1);
}

void
nap(int64_t ns)
{
    struct timespec left = {(time_t)(ns / SECOND), (long)(ns % SECOND)};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

void
give_way(void)
{
    const struct timespec moment = {0, 1000};

    (void)nanosleep(&moment, NULL);
}
