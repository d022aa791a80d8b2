#include <inttypes.h>
#include <mapseg.h>
#include <stdio.h>
#include <stdlib.h>

#define ROOM 100
#define SECOND 1000000000

/* As restart.c has it. */
struct series {
    int64_t sum;
    uint64_t count;
    int64_t numbers[ROOM];
};

static void
fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void
say(const char *what)
{
    printf("%s\n", what);
    if (fflush(stdout) != 0)
        fail("cannot write to the standard output");
}

/* Attaches, as soon as there is a segment. */
static void
attach(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    /* The name is the publisher's: it stays when a follower leaves as the last one, so that
     * the next publisher finds what the dead one left. */
    options.flags = MAPSEG_KEEP_NAME;
    options.minimum_size = sizeof(struct series);
    options.wait_ns = -1; /* for ever */
    if (mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    say("attached");
}

/* Whether the publisher has ended properly, or the segment was removed. A publisher that was
 * killed leaves the name, and the next one goes on with the same segment. */
static bool
has_ended(mapseg *seg)
{
    mapseg_info *information;

    if (mapseg_info_new(seg, &information) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    mapseg_name_state state = information->name_state;
    mapseg_info_free(information);
    return state == MAPSEG_NAME_GONE || state == MAPSEG_NAME_REPLACED;
}

/* Waits for a version other than this one, and shows it. */
static void
show_next(mapseg *seg, uint64_t *version, int64_t timeout_ns)
{
    struct series series;
    mapseg_result result = mapseg_wait(seg, *version, NULL, timeout_ns);

    if (result == MAPSEG_OK)
        result = mapseg_read(seg, 0, &series, sizeof(series), version);
    if (result == MAPSEG_OK) {
        printf("%" PRIu64 " numbers, the sum is %" PRId64, series.count, series.sum);
        say("");
    } else if (result == MAPSEG_OWNER_DIED) {
        say("the publisher was killed in a change; waiting for the next one");
    } else if (result != MAPSEG_TIMED_OUT) {
        fail(mapseg_error_string(seg));
    }
}

int
main(int argc, char **argv)
{
    mapseg *seg = mapseg_new_with_key(argc > 1 ? argv[1] : "series");

    if (seg == NULL)
        fail("out of memory");
    for (;;) {
        uint64_t version = MAPSEG_ANY_VERSION;
        bool ended;

        attach(seg);
        do {
            ended = has_ended(seg); /* the last version is older than the end */
            show_next(seg, &version, ended ? 0 : SECOND);
        } while (!ended);
        say("the publisher has ended; waiting for the next one");
        if (mapseg_detach(seg) != MAPSEG_OK)
            fail(mapseg_error_string(seg));
    }
}
