/*
 * driver.c - runs a fuzz target without the help of a compiler.
 *
 *   fuzz_NAME                  mutates the target's seeds and runs them
 *   fuzz_NAME FILE...          runs the content of files (256 at most), for a look
 *                              at a failure
 *   fuzz_NAME --seeds DIR      writes the seeds there, for another driver
 *
 * The same MAPSEG_FUZZ_SEED (default 1) gives the same inputs. There are
 * MAPSEG_FUZZ_RUNS of them, or as many as fit into a few seconds. The runs are
 * made in a child, so that whatever ends it, its last input is known.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"
#include "mutate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

/** How long the runs go on where nobody says how many there are to be. */
#define DURATION (3 * SECOND)

/** The library waits a second at most: a run that takes this long hangs. */
#define HANG (60 * SECOND)

/** What takes longer than this is worth a look, on a machine that is not busy. */
#define SLOW (SECOND / 2)

#define SKIPPED 77

/** Inputs that mutation goes on from. */
#define POOL_INPUTS 256

struct sample {
    size_t size;
    uint8_t bytes[INPUT_BYTES];
};

/** What the parent knows of its child. */
struct progress {
    _Atomic uint64_t runs;
    _Atomic int64_t slowest_ns;
    struct sample current;
    struct sample slowest;
};

struct pool {
    size_t count;
    struct sample samples[POOL_INPUTS];
};

static char *program;

static int64_t
now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static void
fail(const char *what, const char *name)
{
    fprintf(stderr, "%s: %s %s: %s\n", program, what, name, strerror(errno));
    exit(EXIT_FAILURE);
}

/** A number from the environment. */
static uint64_t
number_from(const char *variable, uint64_t otherwise)
{
    const char *text = getenv(variable);

    return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 0);
}

/** Runs a copy that has exactly the input's size, so that a sanitizer sees what
 *  reads behind it. */
static void
run(const struct sample *sample)
{
    uint8_t *bytes = malloc(sample->size == 0 ? 1 : sample->size);

    if (bytes == NULL)
        fail("no memory for", "an input");
    memcpy(bytes, sample->bytes, sample->size);
    (void)LLVMFuzzerTestOneInput(bytes, sample->size);
    free(bytes);
}

/* ------------------------------------------------------------------ files -- */

static void
write_file(const char *name, const struct sample *sample)
{
    FILE *file = fopen(name, "wb");

    if (file == NULL || fwrite(sample->bytes, 1, sample->size, file) != sample->size ||
        fclose(file) != 0)
        fail("cannot write", name);
}

static int
write_seeds(const char *directory)
{
    static struct sample sample;
    char name[4096];

    for (size_t i = 0; (sample.size = fuzz_seed(i, sample.bytes)) != 0; i++) {
        snprintf(name, sizeof name, "%s/seed-%03zu", directory, i);
        write_file(name, &sample);
    }
    return EXIT_SUCCESS;
}

/** In the process that makes the runs. */
static void
prepare(void)
{
    int argc = 1;
    char *arguments[] = {program, NULL};
    char **argv = arguments;

    (void)LLVMFuzzerInitialize(&argc, &argv);
}

/** All are read before the first runs: a target may leave for a root directory
 *  of its own. */
static int
run_files(char **names)
{
    static struct pool pool;

    for (; names[pool.count] != NULL && pool.count < POOL_INPUTS; pool.count++) {
        struct sample *sample = &pool.samples[pool.count];
        FILE *file = fopen(names[pool.count], "rb");

        if (file == NULL)
            fail("cannot read", names[pool.count]);
        sample->size = fread(sample->bytes, 1, sizeof sample->bytes, file);
        fclose(file);
    }
    prepare();
    for (size_t i = 0; i < pool.count; i++)
        run(&pool.samples[i]);
    return EXIT_SUCCESS;
}

/* ------------------------------------------------------------------- runs -- */

static void
fill_pool(struct pool *pool)
{
    for (pool->count = 0; pool->count < POOL_INPUTS; pool->count++) {
        struct sample *sample = &pool->samples[pool->count];

        sample->size = fuzz_seed(pool->count, sample->bytes);
        if (sample->size == 0)
            break;
    }
}

/** The next input: the seeds themselves first. */
static void
make_input(uint64_t number, uint64_t *random, struct pool *pool, size_t seeds,
           struct sample *sample)
{
    const struct sample *from = &pool->samples[next_number(random) % pool->count];
    const struct sample *other = &pool->samples[next_number(random) % pool->count];

    if (number < seeds) {
        *sample = pool->samples[number];
        return;
    }
    sample->size = from->size;
    memcpy(sample->bytes, from->bytes, from->size);
    sample->size = mutate(random, sample->bytes, sample->size, sizeof sample->bytes, other->bytes,
                          other->size);
    /* Some go on to be changed further. The seeds stay. */
    if (seeds < POOL_INPUTS && next_number(random) % 64 == 0) {
        size_t place = seeds + (size_t)(next_number(random) % (POOL_INPUTS - seeds));

        place = place < pool->count ? place : pool->count++;
        pool->samples[place].size = sample->size;
        memcpy(pool->samples[place].bytes, sample->bytes, sample->size);
    }
}

/** The child: does not return before it is done. */
static int
work(struct progress *progress, uint64_t seed, uint64_t runs)
{
    static struct pool pool;
    int64_t end = now() + DURATION;
    uint64_t random = seed;
    size_t seeds;

    prepare();
    fill_pool(&pool);
    seeds = pool.count;
    for (uint64_t i = 0; runs != 0 ? i < runs : now() < end; i++) {
        int64_t took;

        make_input(i, &random, &pool, seeds, &progress->current);
        took = now();
        run(&progress->current);
        took = now() - took;
        if (took > progress->slowest_ns) {
            progress->slowest = progress->current;
            progress->slowest_ns = took;
        }
        progress->runs++;
    }
    return EXIT_SUCCESS;
}

/** Waits for the child: its wait status. Kills it if it makes no progress. */
static int
watch(pid_t child, const struct progress *progress)
{
    const struct timespec pause = {0, 20000000};
    uint64_t seen = 0;
    int64_t since = now();
    int status;

    while (waitpid(child, &status, WNOHANG) == 0) {
        nanosleep(&pause, NULL);
        if (seen != progress->runs) {
            seen = progress->runs;
            since = now();
        } else if (now() - since > HANG) {
            fprintf(stderr, "%s: hangs\n", program);
            kill(child, SIGABRT);
            since = now();
        }
    }
    return status;
}

/** Keeps an input in a file beside the program. */
static void
keep(const struct sample *sample, const char *ending)
{
    char name[4096];

    snprintf(name, sizeof name, "%s.%s", program, ending);
    write_file(name, sample);
    fprintf(stderr, "%s: it is in %s; %s %s runs it again\n", program, name, program, name);
}

/** Shows the input that ended the child. */
static void
show_failure(int status, const struct progress *progress)
{
    const struct sample *sample = &progress->current;

    fprintf(stderr, "%s: run %" PRIu64 " ended with %s %d; its input is\n", program, progress->runs,
            WIFSIGNALED(status) ? "signal" : "status",
            WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    for (size_t i = 0; i < sample->size; i++)
        fprintf(stderr, "%02x%s", sample->bytes[i],
                i + 1 == sample->size || i % 32 == 31 ? "\n" : "");
    keep(sample, "failed");
}

static int
fuzz(void)
{
    uint64_t seed = number_from("MAPSEG_FUZZ_SEED", 1);
    uint64_t runs = number_from("MAPSEG_FUZZ_RUNS", 0);
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int64_t begin = now();
    pid_t child;
    int status;

    if (progress == MAP_FAILED)
        fail("no memory for", "an input");
    fflush(NULL);
    child = fork();
    if (child < 0)
        fail("cannot start", "a process");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        exit(work(progress, seed, runs));
    }
    status = watch(child, progress);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        return SKIPPED;
    printf("%s: %" PRIu64 " runs in %.1f s, seed %" PRIu64 ", the slowest took %.1f ms\n", program,
           progress->runs, (double)(now() - begin) / 1e9, seed, (double)progress->slowest_ns / 1e6);
    fflush(stdout);
    if (progress->slowest_ns > SLOW)
        keep(&progress->slowest, "slow");
    if (status == 0)
        return EXIT_SUCCESS;
    show_failure(status, progress);
    return EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
    program = argv[0];
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    return argc > 1 ? run_files(argv + 1) : fuzz();
}
