#include <inttypes.h>
#include <mapseg.h>
#include <stdatomic.h>
#include <stdio.h>

#define ROOM 100

/* Numbers, and the sum of those that are counted. */
struct series {
    int64_t sum;
    uint64_t count;
    int64_t numbers[ROOM];
};

static int
fail(mapseg *seg)
{
    fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
    mapseg_free(seg);
    return 1;
}

/* The sum follows from the rest, so it can be made anew, and again if that is cut short. */
static void
repair(struct series *series)
{
    int64_t sum = 0;

    for (uint64_t i = 0; i < series->count && i < ROOM; i++)
        sum += series->numbers[i];
    series->sum = sum;
    printf("repaired what the last publisher left half done\n");
}

/* Begins a change, and first repairs one in which the last publisher was killed. */
static bool
begin(mapseg *seg, struct series *series)
{
    mapseg_result result = mapseg_write_begin(seg);

    if (result == MAPSEG_OWNER_DIED) {
        repair(series);
        return mapseg_consistent(seg) == MAPSEG_OK;
    }
    return result == MAPSEG_OK;
}

static bool
add(mapseg *seg, struct series *series, int64_t number)
{
    if (!begin(seg, series))
        return false;
    if (series->count < ROOM) {
        series->numbers[series->count] = number;
        /* A number is there before it is counted: only the compiler could change that. */
        atomic_signal_fence(memory_order_seq_cst);
        series->count++;
        series->sum += number;
    }
    return mapseg_write_end(seg) == MAPSEG_OK;
}

/* Publishes the numbers of the input: goes on with what is there, or begins anew. */
int
main(int argc, char **argv)
{
    mapseg *seg = mapseg_new_with_key(argc > 1 ? argv[1] : "series");
    int64_t number;

    if (seg == NULL ||
        mapseg_create_or_attach(seg, sizeof(struct series), MAPSEG_READ_WRITE, NULL) != MAPSEG_OK)
        return fail(seg);
    struct series *series = mapseg_data(seg);
    /* Repairs at once, if that is needed, and shows followers that there is a publisher. */
    if (!begin(seg, series) || mapseg_write_end(seg) != MAPSEG_OK)
        return fail(seg);
    printf("publishing, %" PRIu64 " numbers are there\n", series->count);
    if (fflush(stdout) != 0)
        perror("standard output");

    while (scanf("%" SCNd64, &number) == 1)
        if (!add(seg, series, number))
            return fail(seg);
    /* At its proper end it takes the name away, so that followers see the end. */
    if (mapseg_remove(seg) != MAPSEG_OK)
        return fail(seg);
    mapseg_free(seg);
    return 0;
}
