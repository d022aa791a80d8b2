#include <fcntl.h>
#include <mapseg.h>
#include <semaphore.h>
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
    const char *name = argc > 1 ? argv[1] : "/from-semaphore";
    char key[300];
    int value = -1;

    snprintf(key, sizeof key, "posix:%s", name);
    mapseg *seg = mapseg_new();
    if (seg == NULL || mapseg_set_native_key(seg, key) != MAPSEG_OK ||
        mapseg_create_or_attach(seg, sizeof(long), MAPSEG_READ_WRITE, NULL) != MAPSEG_OK)
        return fail(seg);

    /* Was: sem_wait(semaphore); a dead owner is told, and a wait has an end. */
    mapseg_result result = mapseg_lock_for(seg, 5000000000);
    if (!mapseg_result_owes_unlock(result))
        return fail(seg);
    if (result == MAPSEG_OWNER_DIED)
        mapseg_consistent(seg);
    ++*(long *)mapseg_data(seg);

    /* A program that has not moved is kept out meanwhile: */
    sem_t *semaphore = sem_open(name, 0);
    if (semaphore != SEM_FAILED && sem_getvalue(semaphore, &value) == 0)
        printf("the semaphore is %d\n", value);
    mapseg_unlock(seg); /* was: sem_post(semaphore) */

    if (semaphore != SEM_FAILED)
        sem_close(semaphore);
    mapseg_result removed = mapseg_remove(seg); /* was: shm_unlink and sem_unlink */
    mapseg_free(seg);
    return value != 0 || removed != MAPSEG_OK || fflush(stdout) != 0;
}
