/*
 * clock.c - time, cheap time stamps, and work that takes a known time.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "clock.h"

#include <errno.h>

/** How long each of the calibrations looks. */
#define CALIBRATION_NS 10000000

static double ns_per_tick = 1.0;
static double ns_per_step = 1.0;

static int64_t
read_clock(clockid_t clock)
{
    struct timespec time;

    if (clock_gettime(clock, &time) != 0)
        return -1;
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

int64_t
now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t
cpu_time_ns(int pid)
{
    clockid_t clock;

    return clock_getcpuclockid(pid, &clock) == 0 ? read_clock(clock) : -1;
}

void
sleep_ns(int64_t duration)
{
    struct timespec rest = {.tv_sec = duration / 1000000000, .tv_nsec = duration % 1000000000};

    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        ;
}

uint64_t
burn(uint64_t seed, long steps)
{
    for (; steps > 0; steps--)
        seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed;
}

static void
calibrate_ticks(void)
{
    int64_t start = now_ns();
    uint64_t first = tick();
    int64_t end;

    do {
        end = now_ns();
    } while (end - start < CALIBRATION_NS);
    ns_per_tick = (double)(end - start) / (double)(tick() - first);
}

/** The fastest of several runs: a run that was interrupted says nothing about the CPU. */
static void
calibrate_steps(void)
{
    const long steps = 200000;
    volatile uint64_t result = 1;

    for (int run = 0; run < 20; run++) {
        int64_t start = now_ns();
        double length;

        result = burn(result, steps);
        length = (double)(now_ns() - start) / (double)steps;
        if (run == 0 || length < ns_per_step)
            ns_per_step = length;
    }
}

void
calibrate_clock(void)
{
    calibrate_ticks();
    calibrate_steps();
}

double
tick_length(void)
{
    return ns_per_tick;
}

long
steps_for(double nanoseconds)
{
    return (long)(nanoseconds / ns_per_step + 0.5);
}
