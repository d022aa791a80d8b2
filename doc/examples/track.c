#include <inttypes.h>
#include <mapseg.h>
#include <stdio.h>
#include <stdlib.h>

/* As anew.c has it. */
struct news {
    int64_t number;
    uint64_t count;
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

/* Attaches as soon as there is a publisher: not to what a dead one has left. */
static void
attach(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_WATCH_NAME | MAPSEG_WATCH_WRITERS;
    options.wait_ns = -1;
    options.minimum_size = sizeof(struct news);
    if (mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    say("attached to a publisher");
}

/* Shows each version, until there will be no more of them. */
static mapseg_result
follow(mapseg *seg)
{
    uint64_t version = MAPSEG_ANY_VERSION;
    struct news news;
    mapseg_result result;

    for (;;) {
        result = mapseg_wait(seg, version, NULL, MAPSEG_TIMEOUT_DEFAULT);
        if (result == MAPSEG_OK)
            result = mapseg_read(seg, 0, &news, sizeof(news), &version);
        if (result != MAPSEG_OK)
            return result;
        printf("number %" PRIu64 " is %" PRId64, news.count, news.number);
        say("");
    }
}

int
main(int argc, char **argv)
{
    mapseg *seg = mapseg_new_with_key(argc > 1 ? argv[1] : "news");

    if (seg == NULL)
        fail("out of memory");
    for (;;) {
        attach(seg);
        switch (follow(seg)) {
        case MAPSEG_NO_WRITER:
            say("the publisher has left");
            break;
        case MAPSEG_OWNER_DIED:
            say("the publisher was killed in a change");
            break;
        case MAPSEG_NOT_FOUND:
            say("another one publishes, or the segment was removed");
            break;
        default:
            fail(mapseg_error_string(seg));
        }
        /* The last one out removes what the publisher left. */
        if (mapseg_detach(seg) != MAPSEG_OK)
            fail(mapseg_error_string(seg));
    }
}
