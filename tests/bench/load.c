/*
 * load.c - how much of the machine other programs use: figures of a busy machine say little.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "clock.h"
#include "report.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double
seconds_of(int who)
{
    struct rusage usage;

    if (getrusage(who, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/** All but what is idle: user, nice, system, idle, iowait, irq, softirq, steal. */
static double
seconds_of_all(void)
{
    FILE *file = fopen("/proc/stat", "re");
    double part[8] = {0};
    int found = 0;

    if (file == NULL)
        return 0;
    found = fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &part[0], &part[1], &part[2],
                   &part[3], &part[4], &part[5], &part[6], &part[7]);
    fclose(file);
    if (found != 8)
        return 0;
    return (part[0] + part[1] + part[2] + part[5] + part[6] + part[7]) /
           (double)sysconf(_SC_CLK_TCK);
}

struct cpu_use
cpu_use_now(void)
{
    return (struct cpu_use){
        .at = now_ns(),
        .own = seconds_of(RUSAGE_SELF) + seconds_of(RUSAGE_CHILDREN),
        .all = seconds_of_all(),
    };
}

double
used_by_others(const struct cpu_use *since)
{
    struct cpu_use now = cpu_use_now();
    double others = (now.all - since->all) - (now.own - since->own);
    double whole = (double)(now.at - since->at) / 1e9 * (double)sysconf(_SC_NPROCESSORS_ONLN);

    return others > 0 && whole > 0 ? 100 * others / whole : 0;
}
