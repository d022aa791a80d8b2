#include <inttypes.h>
#include <mapseg.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT 256
#define SECOND 1000000000

static void
fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static mapseg_info *
look_at(mapseg *seg)
{
    mapseg_info *information;

    if (mapseg_info_new(seg, &information) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    return information;
}

/* Attaches to what this very user publishes. Another user may have made a segment of that
 * name first, so it looks whose it is. */
static void
attach(mapseg *seg, const struct passwd *publisher)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    /* The name is the publisher's: it stays when a reader leaves as the last one. */
    options.flags = MAPSEG_ALLOW_OTHER_OWNER | MAPSEG_KEEP_NAME;
    options.minimum_size = TEXT;
    if (mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    mapseg_info *information = look_at(seg);
    if (information->uid != publisher->pw_uid)
        fail("the segment of that name is another user's");
    mapseg_info_free(information);
}

/* Whether the publisher has ended, and taken the name away. */
static bool
has_ended(mapseg *seg)
{
    mapseg_info *information = look_at(seg);
    mapseg_name_state state = information->name_state;

    mapseg_info_free(information);
    return state == MAPSEG_NAME_GONE || state == MAPSEG_NAME_REPLACED;
}

/* Waits for a text other than that of this version, and shows it. The data is read by
 * mapseg_read alone, never by a pointer: the file is the publisher's, who could make it
 * shorter, and touching it would be SIGBUS then. */
static void
show_next(mapseg *seg, uint64_t *version, int64_t timeout_ns)
{
    char text[TEXT];
    mapseg_result result = mapseg_wait(seg, *version, NULL, timeout_ns);

    if (result == MAPSEG_OK)
        result = mapseg_read(seg, 0, text, TEXT, version);
    if (result == MAPSEG_OK && *version != 0)
        printf("version %" PRIu64 ": %.*s", *version, TEXT, text);
    else if (result == MAPSEG_OWNER_DIED)
        printf("the publisher was killed half way; waiting for the next one\n");
    else if (result != MAPSEG_OK && result != MAPSEG_TIMED_OUT)
        fail(mapseg_error_string(seg));
    if (fflush(stdout) != 0)
        fail("cannot write to the standard output");
}

int
main(int argc, char **argv)
{
    const struct passwd *publisher = argc > 1 ? getpwnam(argv[1]) : NULL;
    const char *key = argc > 2 ? argv[2] : "shm:weather";
    uint64_t version = MAPSEG_ANY_VERSION;
    mapseg *seg = mapseg_new();

    if (publisher == NULL)
        fail("usage: subscribe USER [KEY], where there is such a user");
    if (seg == NULL)
        fail("out of memory");
    if (mapseg_set_native_key(seg, key) != MAPSEG_OK)
        fail(mapseg_error_string(seg));
    attach(seg, publisher);
    bool ended;
    do {
        ended = has_ended(seg); /* the last text is older than the end */
        show_next(seg, &version, ended ? 0 : SECOND);
    } while (!ended);
    printf("the publisher has ended\n");
    mapseg_free(seg);
    return fflush(stdout) != 0;
}
