#include <mapseg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int
fail(mapseg *seg)
{
    fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
    return 1;
}

/* Adds under the lock; the parent and the child each run it. */
static int
add(mapseg *seg)
{
    long *total = mapseg_data(seg);
    for (int i = 0; i < 1000; i++) {
        mapseg_result result = mapseg_lock(seg);
        if (!mapseg_result_owes_unlock(result))
            return fail(seg);
        if (result == MAPSEG_OWNER_DIED)
            mapseg_consistent(seg); /* one number is never half written */
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
        return fail(seg);

    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        return 1;
    }
    int failed = add(seg);
    if (pid == 0)
        _exit(failed); /* leaves the segment, as any end does */

    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0)
        failed = 1;
    printf("%ld\n", *(const long *)mapseg_const_data(seg));
    mapseg_free(seg);
    return failed || fflush(stdout) != 0;
}
