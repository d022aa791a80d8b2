/*
 * statistics.h - quantiles of few values, and a histogram for many.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_STATISTICS_H
#define BENCH_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

/** The middle of the values and where a tenth of them lies below and above. */
struct spread {
    double median;
    double low;
    double high;
};

/** Sorts the values. */
struct spread spread_of(double *values, size_t count);

/** The value that `part` (0 to 1) of sorted values lie below; 0 where there are none. */
double quantile(const double *sorted, size_t count, double part);

/** Counts of values by size, each class a sixteenth of an octave or less. */
#define HISTOGRAM_CLASSES 976
struct histogram {
    uint64_t classes[HISTOGRAM_CLASSES];
    uint64_t count;
    uint64_t largest;
};

void histogram_add(struct histogram *histogram, uint64_t value);
void histogram_merge(struct histogram *into, const struct histogram *from);
/** The value that `part` (0 to 1) of all lie below. */
double histogram_quantile(const struct histogram *histogram, double part);

#endif
