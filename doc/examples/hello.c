#include <mapseg.h>
#include <stdio.h>

int
main(int argc, char **argv)
{
    mapseg *seg = mapseg_new_with_key(argc > 1 ? argv[1] : "hello");
    if (!seg || mapseg_create_or_attach(seg, sizeof(long), MAPSEG_READ_WRITE, NULL) != MAPSEG_OK) {
        fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
        return 1;
    }
    long *visitors = mapseg_data(seg);
    if (mapseg_lock(seg) == MAPSEG_OWNER_DIED)
        mapseg_consistent(seg); /* one number is never half written */
    printf("visitor %ld, press Enter to leave\n", ++*visitors);
    mapseg_unlock(seg);
    fflush(stdout);
    getchar();
    mapseg_free(seg);
    return 0;
}
