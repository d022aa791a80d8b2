#include <inttypes.h>
#include <mapseg.h>
#include <stdio.h>

static int
fail(mapseg *seg)
{
    fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
    mapseg_free(seg);
    return 1;
}

/* Says which process runs already. Its number is what it wrote into the lock: good for a
 * message, and no proof. */
static int
refuse(mapseg *seg)
{
    mapseg_info *information;

    if (mapseg_info_new(seg, &information) != MAPSEG_OK)
        return fail(seg);
    fprintf(stderr, "it runs already, as process %" PRIu32 "\n", information->lock_pid);
    mapseg_info_free(information);
    mapseg_free(seg);
    return 1;
}

/* Runs once for each user and key, until Enter. The lock is held as long as the program
 * runs, however it ends; the data is not used. */
int
main(int argc, char **argv)
{
    mapseg *seg = mapseg_new_with_key(argc > 1 ? argv[1] : "single");

    if (seg == NULL || mapseg_create_or_attach(seg, 1, MAPSEG_READ_WRITE, NULL) != MAPSEG_OK)
        return fail(seg);
    /* A program that makes itself a daemon does so before: a child does not get the lock. */
    mapseg_result result = mapseg_try_lock(seg);
    if (result == MAPSEG_WOULD_BLOCK)
        return refuse(seg);
    if (!mapseg_result_owes_unlock(result))
        return fail(seg);
    if (result == MAPSEG_OWNER_DIED) {
        /* Here a program puts in order what the other one left: temporary files, say. */
        printf("the last run was killed, this one takes over\n");
        if (mapseg_consistent(seg) != MAPSEG_OK)
            return fail(seg);
    }

    printf("running, press Enter to end\n");
    int failed = fflush(stdout) != 0;
    if (!failed)
        getchar();    /* here the program does its work */
    mapseg_free(seg); /* lets go of the lock, and removes the segment */
    return failed;
}
