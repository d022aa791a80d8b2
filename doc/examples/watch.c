#include <inttypes.h>
#include <mapseg.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT 256

static int
fail(mapseg *seg)
{
    fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
    mapseg_free(seg);
    return 1;
}

/* Shows the newest text. Of several that come at once only the last is seen. */
static bool
show(mapseg *seg)
{
    char text[TEXT];
    uint64_t version;
    mapseg_result result = mapseg_read(seg, 0, text, TEXT, &version);

    if (result == MAPSEG_OWNER_DIED)
        return true; /* a writer was killed half way; the next one replaces its text */
    if (result != MAPSEG_OK)
        return false;
    if (version != 0)
        printf("%" PRIu64 ": %.*s", version, TEXT, text);
    return fflush(stdout) == 0;
}

/* Replaces all of the text, which also repairs what a dead writer left. After a failure the
 * caller detaches, which tells the next writer that this change was not finished. */
static bool
put(mapseg *seg, const char text[TEXT])
{
    mapseg_result result = mapseg_write_begin(seg);

    if (!mapseg_result_owes_unlock(result) || mapseg_write(seg, 0, text, TEXT) != MAPSEG_OK)
        return false;
    if (result == MAPSEG_OWNER_DIED && mapseg_consistent(seg) != MAPSEG_OK)
        return false;
    return mapseg_write_end(seg) == MAPSEG_OK;
}

int
main(int argc, char **argv)
{
    mapseg *seg = mapseg_new_with_key(argc > 1 ? argv[1] : "watch");
    int changed;

    if (seg == NULL || mapseg_create_or_attach(seg, TEXT, MAPSEG_READ_WRITE, NULL) != MAPSEG_OK ||
        mapseg_notify_fd(seg, &changed) != MAPSEG_OK)
        return fail(seg);
    struct pollfd events[2] = {
        {.fd = changed, .events = POLLIN},
        {.fd = STDIN_FILENO, .events = POLLIN},
    };

    while (poll(events, 2, -1) >= 0) {
        if (events[0].revents != 0 && !show(seg))
            return fail(seg);
        if (events[1].revents != 0) {
            char text[TEXT] = "";
            if (read(STDIN_FILENO, text, TEXT - 1) <= 0)
                break;
            if (!put(seg, text))
                return fail(seg);
        }
    }
    mapseg_free(seg);
    return 0;
}
