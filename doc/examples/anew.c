#include <inttypes.h>
#include <mapseg.h>
#include <stdio.h>

/* What is published: a number, and how many there were since the publisher began. */
struct news {
    int64_t number;
    uint64_t count;
};

static int
fail(mapseg *seg)
{
    fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
    mapseg_free(seg);
    return 1;
}

/* Fills the new segment before any reader can find it. */
static mapseg_result
fill(void *data, size_t size, void *first)
{
    (void)size;
    *(struct news *)data = *(const struct news *)first;
    return MAPSEG_OK;
}

/* Begins anew, whatever the last publisher left, and whether readers still have that or not:
 * in one step the name goes to a complete new segment. No data is ever repaired. */
static mapseg_result
begin(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct news first = {.number = 0, .count = 0};

    options.flags = MAPSEG_REPLACE;
    options.initialize = fill;
    options.initialize_argument = &first;
    return mapseg_create_with(seg, sizeof(struct news), MAPSEG_READ_WRITE, &options);
}

/* Publishes each number of the input. */
int
main(int argc, char **argv)
{
    mapseg *seg = mapseg_new_with_key(argc > 1 ? argv[1] : "news");
    struct news news = {.count = 0};

    if (seg == NULL || begin(seg) != MAPSEG_OK)
        return fail(seg);
    printf("publishing\n");
    if (fflush(stdout) != 0)
        perror("standard output");
    while (scanf("%" SCNd64, &news.number) == 1) {
        news.count++;
        if (mapseg_write(seg, 0, &news, sizeof(news)) != MAPSEG_OK)
            return fail(seg);
    }
    /* Readers are told that no writer is left; the last one of them removes the segment. */
    mapseg_free(seg);
    return 0;
}
