#include <mapseg.h>
#include <stdio.h>

#define TEXT 256

static int
fail(mapseg *seg)
{
    fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
    mapseg_free(seg);
    return 1;
}

/* Replaces all of the text, which also repairs what a publisher left that was killed here.
 * After a failure the caller detaches, and readers are told that the text is half written. */
static bool
publish(mapseg *seg, const char text[TEXT])
{
    mapseg_result result = mapseg_write_begin(seg);

    if (!mapseg_result_owes_unlock(result) || mapseg_write(seg, 0, text, TEXT) != MAPSEG_OK)
        return false;
    if (result == MAPSEG_OWNER_DIED && mapseg_consistent(seg) != MAPSEG_OK)
        return false;
    return mapseg_write_end(seg) == MAPSEG_OK;
}

/* Publishes each line of the input to all users of the machine. */
int
main(int argc, char **argv)
{
    /* This names one file for all users. A plain key, "weather", would lead each user to a
     * file of their own: the user is a part of its name. */
    const char *key = argc > 1 ? argv[1] : "shm:weather";
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = mapseg_new();
    bool created;

    options.mode = 0644; /* others may read it; only this user may write it, and lock */
    if (seg == NULL || mapseg_set_native_key(seg, key) != MAPSEG_OK ||
        mapseg_create_or_attach_with(seg, TEXT, MAPSEG_READ_WRITE, &options, &created) != MAPSEG_OK)
        return fail(seg);
    printf("%s %s\n", created ? "created" : "took over", key);
    if (fflush(stdout) != 0)
        perror("standard output");

    for (;;) {
        char text[TEXT] = "";

        if (fgets(text, sizeof(text), stdin) == NULL)
            break;
        if (!publish(seg, text))
            return fail(seg);
    }
    /* Readers keep what they have, and see that the name is gone. */
    if (mapseg_remove(seg) != MAPSEG_OK)
        return fail(seg);
    mapseg_free(seg);
    return 0;
}
