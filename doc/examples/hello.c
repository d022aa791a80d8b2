#include <mapseg.h>
#include <stdio.h>

static int
fail(mapseg *seg)
{
    fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
    mapseg_free(seg);
    return 1;
}

int
main(int argc, char **argv)
{
    mapseg *seg = mapseg_new_with_key(argc > 1 ? argv[1] : "hello");
    if (!seg || mapseg_create_or_attach(seg, sizeof(long), MAPSEG_READ_WRITE, NULL) != MAPSEG_OK)
        return fail(seg);

    long *visitors = mapseg_data(seg);
    mapseg_result result = mapseg_lock(seg);
    if (!mapseg_result_owes_unlock(result))
        return fail(seg);
    if (result == MAPSEG_OWNER_DIED)
        mapseg_consistent(seg); /* one number is never half written: nothing to repair */
    long number = ++*visitors;
    mapseg_unlock(seg);

    printf("visitor %ld, press Enter to leave\n", number);
    int failed = fflush(stdout) != 0;
    if (!failed)
        getchar();
    mapseg_free(seg);
    return failed;
}
