/*
 * clock.h - time, cheap time stamps, and work that takes a known time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>
#include <time.h>

/** Nanoseconds of a clock that all processes share. */
int64_t now_ns(void);

/** CPU time that a process has used, -1 if it cannot be read. */
int64_t cpu_time_ns(int pid);

/** Sleeps, whatever signals arrive. */
void sleep_ns(int64_t duration);

/** Measures the speed of tick() and burn(); call once, before anything else here. */
void calibrate_clock(void);

/** Nanoseconds that one tick takes. */
double tick_length(void);

/** How many steps of burn() take that long. */
long steps_for(double nanoseconds);

/** Dependent steps that no compiler can shorten. */
uint64_t burn(uint64_t seed, long steps);

/** A time stamp that costs little enough to be taken around every lock. */
static inline uint64_t
tick(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t count;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

/** Tells the CPU that this is a spin. */
static inline void
relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif
