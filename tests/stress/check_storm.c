/*
 * check_storm.c - the lock while processes are killed and born all the time.
 *
 * There are two storms, one on a lock that prefers throughput and one on a fair
 * one. In the environment:
 *
 * MAPSEG_STORM_KILLS    how many processes are killed in both together, or in
 *                       one minute if that is less; without it the storms are
 *                       short ones
 * MAPSEG_STORM_SECONDS  how long each of them may last, also where that many
 *                       are not killed
 *
 * SPDX-License-Identifier: MIT
 */

#include "support.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096
#define STORM_WORKERS 8
#define STORM_CPUS 2
#define STORM_THREADS 2
#define STORM_LIVES 16384
#define STORM_NS (4 * SECOND)
#define LONG_STORM_NS (30 * SECOND)
/** Who stands still for longer hangs; less is printed alone, since others may
 *  keep the machine busy. */
#define STORM_STALL (HANG / 2)

/** One copy of the total; a torn one does not check. */
struct copy {
    uint64_t total;
    uint64_t check;
};

/** The data of the storm's segment. */
struct vault {
    struct copy copies[2];
    uint32_t inside; /**< the life and thread in the critical section; 0: none */
};

/** What one thread of one life has done. */
struct ledger {
    _Atomic uint64_t begun;
    _Atomic uint64_t finished;
    _Atomic int64_t waiting_since; /**< 0: does not wait */
};

struct storm {
    struct stage stage;
    atomic_int stop;
    atomic_int lives;
    atomic_int killed[STORM_LIVES];
    struct ledger ledgers[STORM_LIVES][STORM_THREADS];
};

struct storm_thread {
    struct storm *storm;
    mapseg *seg;
    int life;
    int thread;
    uint32_t random;
};

/** A life that is killed says so first. */
static void
maybe_die(struct storm_thread *self, uint32_t one_in)
{
    if (next_random(&self->random) % one_in != 0)
        return;
    atomic_store(&self->storm->killed[self->life], 1);
    (void)kill(getpid(), SIGKILL);
}

static void
write_copy(struct storm_thread *self, struct copy *copy, uint64_t total)
{
    volatile struct copy *shared = copy;

    shared->total = total;
    maybe_die(self, 3000);
    shared->check = total * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static bool
copy_is_whole(const struct copy *copy)
{
    const volatile struct copy *shared = copy;

    return shared->check == shared->total * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

/** Makes both copies the newer whole one. */
static void
repair_vault(struct storm *storm, struct vault *vault)
{
    if (copy_is_whole(&vault->copies[0]))
        vault->copies[1] = vault->copies[0];
    else if (copy_is_whole(&vault->copies[1]))
        vault->copies[0] = vault->copies[1];
    else
        atomic_fetch_add(&storm->stage.wrong, 1);
}

/** Says which process is inside; the one that was there before must be dead. */
static void
enter_vault(struct storm_thread *self, struct vault *vault, mapseg_result result)
{
    struct storm *storm = self->storm;
    uint32_t mark = (uint32_t)(self->life * STORM_THREADS + self->thread + 1);
    uint32_t before = __atomic_exchange_n(&vault->inside, mark, __ATOMIC_SEQ_CST);
    uint32_t life = (before - 1) / STORM_THREADS;
    bool dead = before == 0 || (result == MAPSEG_OWNER_DIED && life < STORM_LIVES &&
                                atomic_load(&storm->killed[life]) != 0);

    if (!dead) {
        (void)fprintf(stderr, "storm: life %d got %s while %d was inside\n", self->life,
                      mapseg_result_name(result), (int)life);
        atomic_fetch_add(&storm->stage.wrong, 1);
    }
    if (result == MAPSEG_OWNER_DIED)
        repair_vault(storm, vault);
    if (!copy_is_whole(&vault->copies[0]) || !copy_is_whole(&vault->copies[1]) ||
        vault->copies[0].total != vault->copies[1].total) {
        (void)fprintf(stderr, "storm: torn copies after %s\n", mapseg_result_name(result));
        atomic_fetch_add(&storm->stage.wrong, 1);
    }
}

static void
leave_vault(struct storm_thread *self, struct vault *vault)
{
    uint32_t mark = (uint32_t)(self->life * STORM_THREADS + self->thread + 1);

    if (__atomic_exchange_n(&vault->inside, 0, __ATOMIC_SEQ_CST) != mark)
        atomic_fetch_add(&self->storm->stage.wrong, 1);
}

/** Adds one to the total under the lock, or dies on the way. */
static void
storm_step(struct storm_thread *self)
{
    struct ledger *ledger = &self->storm->ledgers[self->life][self->thread];
    struct vault *vault = mapseg_data(self->seg);
    uint32_t choice = next_random(&self->random);
    mapseg_result result;
    uint64_t total;

    atomic_store(&ledger->waiting_since, now_ns());
    result = choice % 8 == 0   ? mapseg_try_lock(self->seg)
             : choice % 8 == 1 ? mapseg_lock_for(self->seg, choice % 1000 * MICROSECOND)
                               : mapseg_lock(self->seg);
    atomic_store(&ledger->waiting_since, 0);
    if (result == (choice % 8 == 0 ? MAPSEG_WOULD_BLOCK : MAPSEG_TIMED_OUT) && choice % 8 < 2)
        return;
    need(result == MAPSEG_OK || result == MAPSEG_OWNER_DIED);
    maybe_die(self, 2000);
    enter_vault(self, vault, result);
    if (result == MAPSEG_OWNER_DIED && choice % 64 > 7)
        need_result(MAPSEG_OK, mapseg_consistent(self->seg));
    total = vault->copies[0].total;
    atomic_fetch_add(&ledger->begun, 1);
    write_copy(self, &vault->copies[0], total + 1);
    if (choice % 16 == 0)
        (void)sched_yield();
    write_copy(self, &vault->copies[1], total + 1);
    leave_vault(self, vault);
    maybe_die(self, 2000);
    need_result(MAPSEG_OK, mapseg_unlock(self->seg));
    atomic_fetch_add(&ledger->finished, 1);
}

static void *
storm_thread(void *argument)
{
    struct storm_thread *self = argument;

    while (atomic_load(&self->storm->stop) == 0) {
        storm_step(self);
        if (next_random(&self->random) % 4 == 0)
            nap(next_random(&self->random) % 100 * MICROSECOND);
    }
    return NULL;
}

/** Steps of one thread that also leaves and comes back. */
static void
storm_alone(struct storm_thread *self)
{
    while (atomic_load(&self->storm->stop) == 0) {
        storm_step(self);
        if (next_random(&self->random) % 200 == 0) {
            need_result(MAPSEG_OK, mapseg_detach(self->seg));
            need_result(MAPSEG_OK, mapseg_attach(self->seg, MAPSEG_READ_WRITE));
        }
    }
}

/** The life of the process that is started next. */
static int next_life;

/** One life of one process; every second one has two threads. */
static void
storm_life(struct stage *stage)
{
    struct storm *storm = (struct storm *)(void *)stage;
    int life = next_life;
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct storm_thread self[STORM_THREADS];
    pthread_t second;

    for (int i = 0; i < STORM_THREADS; i++)
        self[i] = (struct storm_thread){storm, seg, life, i, (uint32_t)(life * 2 + i + 1) * 7919};
    if (life % 2 == 0) {
        storm_alone(&self[0]);
    } else {
        need(pthread_create(&second, NULL, storm_thread, &self[1]) == 0);
        (void)storm_thread(&self[0]);
        need(pthread_join(second, NULL) == 0);
    }
    mapseg_free(seg);
}

struct worker {
    pid_t pid;
    int life;
    int64_t seen[STORM_THREADS];
    int64_t stalled[STORM_THREADS];
    int64_t worst;
};

static void
start_worker(struct storm *storm, struct worker *worker)
{
    worker->life = atomic_fetch_add(&storm->lives, 1);
    need(worker->life < STORM_LIVES);
    next_life = worker->life;
    worker->pid = start(storm_life, &storm->stage);
    memset(worker->seen, 0, sizeof worker->seen);
    memset(worker->stalled, 0, sizeof worker->stalled);
}

/** Starts a new life where one has ended; only a killed one may have. */
static void
respawn(struct storm *storm, struct worker *worker)
{
    int status;

    if (waitpid(worker->pid, &status, WNOHANG) != worker->pid)
        return;
    need(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    need(atomic_load(&storm->killed[worker->life]) != 0);
    start_worker(storm, worker);
}

/** Adds up how long a worker's threads have waited for one and the same lock.
 *  Time in which this process itself did not run does not count. */
static void
watch(struct storm *storm, struct worker *worker, int64_t passed)
{
    for (int i = 0; i < STORM_THREADS; i++) {
        int64_t since = atomic_load(&storm->ledgers[worker->life][i].waiting_since);

        worker->stalled[i] =
            since != 0 && since == worker->seen[i] ? worker->stalled[i] + passed : 0;
        worker->seen[i] = since;
        if (worker->stalled[i] > worker->worst)
            worker->worst = worker->stalled[i];
        if (worker->stalled[i] > STORM_STALL)
            broken("a waiter stands still");
    }
}

static void
disturb(struct storm *storm, struct worker *worker, uint32_t choice)
{
    if (choice % 16 == 0) {
        atomic_store(&storm->killed[worker->life], 1);
        need(kill(worker->pid, SIGKILL) == 0);
    } else if (choice % 16 == 1) {
        need(kill(worker->pid, SIGSTOP) == 0);
        nap(5 * MILLISECOND);
        need(kill(worker->pid, SIGCONT) == 0);
    }
}

/** A number in the environment; 0: none. */
static int
wish(const char *name)
{
    const char *text = getenv(name);

    return text != NULL ? atoi(text) : 0;
}

/** How long a storm lasts at most. */
static int64_t
storm_duration(void)
{
    int seconds = wish("MAPSEG_STORM_SECONDS");

    if (seconds > 0)
        return seconds * SECOND;
    return wish("MAPSEG_STORM_KILLS") > 0 ? LONG_STORM_NS : STORM_NS;
}

/** How many lives a storm takes at most. */
static int
storm_kills(void)
{
    int kills = wish("MAPSEG_STORM_KILLS");

    return kills > 0 && kills / 2 < STORM_LIVES - STORM_WORKERS ? kills / 2
                                                                : STORM_LIVES - STORM_WORKERS;
}

/** Whether what the storm is for has happened. */
static bool
has_raged(const struct storm *storm, const struct mapseg_header *header)
{
    uint64_t finished = 0;

    for (int life = 0; life < atomic_load(&storm->lives); life++)
        for (int i = 0; i < STORM_THREADS; i++)
            finished += atomic_load(&storm->ledgers[life][i].finished);
    return finished > 0 && recoveries_of(header) > 0;
}

/** Whether to go on: for as long as was asked for, and until it has raged. */
static bool
goes_on(const struct storm *storm, const struct mapseg_header *header, int64_t begun)
{
    int64_t passed = now_ns() - begun;

    return atomic_load(&storm->lives) - STORM_WORKERS < storm_kills() &&
           (passed < storm_duration() || (passed < HANG && !has_raged(storm, header)));
}

/** Lets it rage; the longest that a waiter stood still. */
static int64_t
rage(struct storm *storm, struct worker *workers, const struct mapseg_header *header)
{
    int64_t begun = now_ns();
    int64_t last = begun;
    int64_t worst = 0;
    uint32_t random = 2463534242;

    while (goes_on(storm, header, begun)) {
        int64_t passed = now_ns() - last;

        last += passed;
        if (passed > 10 * MILLISECOND)
            passed = 10 * MILLISECOND;
        for (int i = 0; i < STORM_WORKERS; i++) {
            respawn(storm, &workers[i]);
            watch(storm, &workers[i], passed);
            if (workers[i].worst > worst)
                worst = workers[i].worst;
        }
        disturb(storm, &workers[next_random(&random) % STORM_WORKERS], next_random(&random));
        nap(2 * MILLISECOND);
    }
    return worst;
}

/** The total is what the living have finished, and of the killed ones at most
 *  the step that they were in. */
static void
check_total(struct storm *storm)
{
    mapseg *seg = attached(storm->stage.place.key, MAPSEG_READ_WRITE);
    struct vault *vault = mapseg_data(seg);
    uint64_t finished = 0;
    uint64_t begun = 0;
    mapseg_result result = mapseg_lock(seg);

    need(mapseg_result_owes_unlock(result));
    if (result == MAPSEG_OWNER_DIED)
        repair_vault(storm, vault);
    for (int life = 0; life < atomic_load(&storm->lives); life++) {
        for (int i = 0; i < STORM_THREADS; i++) {
            struct ledger *ledger = &storm->ledgers[life][i];

            need(ledger->begun - ledger->finished <= 1);
            need(ledger->begun == ledger->finished || atomic_load(&storm->killed[life]) != 0);
            begun += ledger->begun;
            finished += ledger->finished;
        }
    }
    need(vault->copies[0].total == vault->copies[1].total);
    need(vault->copies[0].total >= finished && vault->copies[0].total <= begun);
    need(finished > 0);
    mapseg_free(seg);
}

static int
killed_in(const struct storm *storm)
{
    int killed = 0;

    for (int life = 0; life < atomic_load(&storm->lives); life++)
        killed += atomic_load(&storm->killed[life]) != 0;
    return killed;
}

/** More processes than can run at once, wherever this is. */
static void
crowd(void)
{
    cpu_set_t allowed;
    cpu_set_t few;

    CPU_ZERO(&few);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&few) < STORM_CPUS; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            CPU_SET(cpu, &few);
    (void)sched_setaffinity(0, sizeof few, &few);
}

static const uint32_t storm_flags[] = {0, MAPSEG_FAIR};

START_TEST(storm_of_deaths)
{
    struct storm *storm = shared_memory(sizeof *storm);
    int64_t begun = now_ns();
    struct worker workers[STORM_WORKERS];
    struct mapseg_header *header;
    int64_t worst;
    mapseg *seg;

    crowd();
    new_place(&storm->stage.place);
    leave_persistent(storm->stage.place.key, DATA_BYTES, storm_flags[_i]);
    header = map_header(storm->stage.place.path);
    seg = attached(storm->stage.place.key, MAPSEG_READ_WRITE);
    ((struct vault *)data_of(seg))->copies[0].check = 1;
    ((struct vault *)data_of(seg))->copies[1].check = 1;
    mapseg_free(seg);
    memset(workers, 0, sizeof workers);
    for (int i = 0; i < STORM_WORKERS; i++)
        start_worker(storm, &workers[i]);
    worst = rage(storm, workers, header);
    atomic_store(&storm->stop, 1);
    for (int i = 0; i < STORM_WORKERS; i++) {
        int status = end_of(workers[i].pid);

        need(status == 0 || atomic_load(&storm->killed[workers[i].life]) != 0);
    }
    need_number(0, storm->stage.wrong);
    check_total(storm);
    need(recoveries_of(header) > 0);
    (void)printf("storm: %d killed in %lld s, %llu take-overs, longest wait %lld ms\n",
                 killed_in(storm), (long long)((now_ns() - begun) / SECOND),
                 (unsigned long long)recoveries_of(header), (long long)(worst / MILLISECOND));
    remove_persistent(storm->stage.place.key);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("storm");
    TCase *tcase = tcase_create("storm");

    tcase_set_timeout(tcase, (double)(storm_duration() / SECOND) + TEST_TIMEOUT);
    tcase_add_loop_test(tcase, storm_of_deaths, 0, 2);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
