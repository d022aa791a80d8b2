/*
 * statistics.c - quantiles of few values, and a histogram for many.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "statistics.h"

#include <stdlib.h>

static int
compare(const void *a, const void *b)
{
    const double *left = a;
    const double *right = b;

    return (*left > *right) - (*left < *right);
}

/** Between the two neighbours where the place is no whole number. */
double
quantile(const double *sorted, size_t count, double part)
{
    double place = count > 0 ? part * (double)(count - 1) : 0;
    size_t below = (size_t)place;
    size_t above = below + 1 < count ? below + 1 : below;

    if (count == 0)
        return 0;
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

struct spread
spread_of(double *values, size_t count)
{
    struct spread spread = {0, 0, 0};

    if (count == 0)
        return spread;
    qsort(values, count, sizeof *values, compare);
    spread.median = quantile(values, count, 0.5);
    spread.low = quantile(values, count, 0.1);
    spread.high = quantile(values, count, 0.9);
    return spread;
}

/** Values below 16 have a class each, every octave above has 16. */
static size_t
class_of(uint64_t value)
{
    unsigned octave;

    if (value < 16)
        return (size_t)value;
    octave = 63u - (unsigned)__builtin_clzll(value);
    return (size_t)(octave - 3) * 16 + (size_t)((value >> (octave - 4)) & 15);
}

/** The middle of a class. */
static double
value_of(size_t class)
{
    unsigned shift;

    if (class < 16)
        return (double)class;
    shift = (unsigned)(class / 16 - 1);
    return ((double)(16 + class % 16) + 0.5) * (double)(UINT64_C(1) << shift);
}

void
histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->classes[class_of(value)]++;
    histogram->count++;
    if (value > histogram->largest)
        histogram->largest = value;
}

void
histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (size_t class = 0; class < HISTOGRAM_CLASSES; class ++)
        into->classes[class] += from->classes[class];
    into->count += from->count;
    if (from->largest > into->largest)
        into->largest = from->largest;
}

double
histogram_quantile(const struct histogram *histogram, double part)
{
    double wanted = part * (double)histogram->count;
    uint64_t seen = 0;

    for (size_t class = 0; class < HISTOGRAM_CLASSES; class ++) {
        seen += histogram->classes[class];
        if ((double)seen >= wanted && seen > 0)
            return value_of(class);
    }
    return 0;
}
