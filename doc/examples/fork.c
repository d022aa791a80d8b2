#include <mapseg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Adds under the lock; the parent and the child each run it. */
static int
add(mapseg *seg)
{
    long *total = mapseg_data(seg);
    for (int i = 0; i < 1000; i++) {
        if (!mapseg_result_owes_unlock(mapseg_lock(seg)))
            return 1;
        ++*total;
        mapseg_unlock(seg);
    }
    return 0;
}

int
main(void)
{
    mapseg *seg = mapseg_new();
    if (seg == NULL || mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK ||
        mapseg_create(seg, sizeof(long), MAPSEG_READ_WRITE) != MAPSEG_OK)
        return 1;

    pid_t pid = fork();
    if (pid < 0)
        return 1;
    int failed = add(seg);
    if (pid == 0)
        _exit(failed); /* leaves the segment, as any end does */

    int status;
    waitpid(pid, &status, 0);
    printf("%ld\n", *(const long *)mapseg_const_data(seg));
    mapseg_free(seg);
    return failed != 0 || status != 0;
}
