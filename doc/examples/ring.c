#include <mapseg.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS 64
#define NUMBERS 20000
#define DEATH 10000 /* the first producer dies with this number */

/* Each counter has one writer, so no process needs the lock to use the ring. */
struct ring {
    _Alignas(64) atomic_uint put;   /* numbers that the producer has put in */
    _Alignas(64) atomic_uint taken; /* numbers that the consumer has taken out */
    _Alignas(64) atomic_bool sleeping;
    unsigned slots[SLOTS];
};

/* Makes a new version, which is what a sleeper waits for. It changes no data,
 * so there is nothing to repair if the last one died while doing so. */
static bool
wake(mapseg *seg)
{
    mapseg_result result = mapseg_write_begin(seg);

    if (!mapseg_result_owes_unlock(result))
        return false;
    if (result == MAPSEG_OWNER_DIED && mapseg_consistent(seg) != MAPSEG_OK)
        return false;
    return mapseg_write_end(seg) == MAPSEG_OK;
}

/* Moves the own counter on. Only a sleeper costs more than that. */
static bool
advance(mapseg *seg, struct ring *ring, atomic_uint *own, unsigned value)
{
    atomic_store(own, value);
    return !atomic_exchange(&ring->sleeping, false) || wake(seg);
}

/* Whether the other end has left, in whatever way: the kernel knows. */
static bool
alone(mapseg *seg)
{
    mapseg_info *information;

    if (mapseg_info_new(seg, &information) != MAPSEG_OK)
        return false;
    bool alone = information->attached == 1;
    mapseg_info_free(information);
    return alone;
}

/* Waits until the other end has moved its counter from `old`; false: it has
 * left. It may have died before it could wake this one, hence the time limit. */
static bool
await(mapseg *seg, struct ring *ring, atomic_uint *other, unsigned old)
{
    bool gone = false;

    while (atomic_load(other) == old) {
        uint64_t version;

        if (gone)
            return false;
        atomic_store(&ring->sleeping, true);
        mapseg_result result = mapseg_wait(seg, MAPSEG_ANY_VERSION, &version, 0);
        if (atomic_load(other) != old)
            break;
        if (result == MAPSEG_OK)
            result = mapseg_wait(seg, version, NULL, 100000000);
        gone = result == MAPSEG_TIMED_OUT && alone(seg);
        if (result == MAPSEG_OWNER_DIED ? !wake(seg)
                                        : result != MAPSEG_OK && result != MAPSEG_TIMED_OUT)
            return false;
    }
    return true;
}

/* Goes on where the last producer stopped. What that one had not counted yet
 * the consumer has not seen. */
static int
produce(mapseg *seg, struct ring *ring)
{
    bool first = atomic_load(&ring->put) == 0;

    for (unsigned n = atomic_load(&ring->put); n < NUMBERS; n++) {
        if (!await(seg, ring, &ring->taken, n - SLOTS))
            return 1;
        ring->slots[n % SLOTS] = n;
        if (first && n == DEATH)
            raise(SIGKILL);
        if (!advance(seg, ring, &ring->put, n + 1))
            return 1;
    }
    return 0;
}

/* Takes numbers out until the producer leaves; false: they are wrong. */
static bool
consume(mapseg *seg, struct ring *ring)
{
    unsigned n = atomic_load(&ring->taken);

    while (n < NUMBERS && await(seg, ring, &ring->put, n)) {
        if (atomic_load(&ring->put) - n > SLOTS || ring->slots[n % SLOTS] != n)
            return false;
        n++;
        if (!advance(seg, ring, &ring->taken, n))
            return false;
    }
    return true;
}

int
main(void)
{
    mapseg *seg = mapseg_new();

    if (seg == NULL || mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK ||
        mapseg_create(seg, sizeof(struct ring), MAPSEG_READ_WRITE) != MAPSEG_OK) {
        fprintf(stderr, "%s\n", seg ? mapseg_error_string(seg) : "out of memory");
        return 1;
    }
    struct ring *ring = mapseg_data(seg);

    for (int producer = 1; producer <= 2; producer++) {
        int status;
        pid_t child = fork();

        if (child == 0)
            _exit(produce(seg, ring));
        if (child < 0 || !consume(seg, ring) || waitpid(child, &status, 0) < 0) {
            fprintf(stderr, "the ring failed: %s\n", mapseg_error_string(seg));
            return 1;
        }
        printf("%u numbers, then producer %d %s\n", atomic_load(&ring->taken), producer,
               WIFSIGNALED(status) ? "was killed" : "was done");
    }
    mapseg_free(seg);
    return fflush(stdout) != 0;
}
