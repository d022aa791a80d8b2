/*
 * takeover.c - how soon a lock passes on when its owner is killed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"
#include "clock.h"
#include "report.h"

#include <mapseg.h>

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLS_MAX 1000
#define PAGE 4096
/** What an owner with much memory has. */
#define LARGE ((size_t)1 << 30)
/** What a segment has whose owner crashes. */
#define CRASHED ((size_t)256 << 20)
/** A waiter has waited for between these when its owner is killed: it may be at any point of
 *  whatever it does while it waits. */
#define WAIT_LEAST_NS 2000000
#define WAIT_MORE_NS 100000000

struct board {
    char page_of_the_lock[PAGE];
    int64_t taken_at;
    bool told;
};

/** What owner and waiter know. The waiter attaches first: some locks cannot be attached to while
 *  they are held. */
struct death {
    const struct peer *peer;
    void *state;
    struct board *board;
    size_t resident;
    const char
        *dumps; /**< the directory for the core dumps of an owner that crashes; NULL: killed */
    struct gate waiter_gate;
    struct gate owner_gate;
};

/** Times of all the kills of one peer. */
struct times {
    double after_kill[KILLS_MAX];
    double after_death[KILLS_MAX];
};

/** Memory that the kernel has to take back at the owner's death. */
static bool
fill_memory(size_t bytes)
{
    char *memory;

    if (bytes == 0)
        return true;
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    memset(memory, 1, bytes);
    return true;
}

/** From now on a crash leaves a core dump, in that directory if the kernel writes files. */
static bool
turn_dumps_on(const char *directory)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_CORE, &limit) != 0)
        return false;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_CORE, &limit) == 0 && chdir(directory) == 0;
}

static bool
dumps_are_allowed(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max > CRASHED;
}

static void
remove_dumps(const char *directory)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;

    while (stream != NULL && (entry = readdir(stream)) != NULL)
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(stream), entry->d_name, 0);
    if (stream != NULL)
        closedir(stream);
}

/** Ends the owner, and waits until the kernel has let go of it. */
static void
end_owner(const struct death *death, pid_t owner)
{
    if (death->dumps == NULL) {
        kill_child(owner);
        return;
    }
    kill(owner, SIGSEGV);
    (void)waitpid(owner, NULL, 0);
    remove_dumps(death->dumps);
}

static bool
own(void *argument)
{
    struct death *death = argument;
    void *state = death->peer->attach(death->state);

    if (death->dumps != NULL && !turn_dumps_on(death->dumps))
        return false;

    /* The ends that it inherited would keep the gate shut. */
    gate_open(&death->waiter_gate);
    if (state == NULL || !fill_memory(death->resident) || death->peer->lock(state) == NOT_TAKEN)
        return false;
    gate_wait(&death->owner_gate);
    return false;
}

static bool
take_over(void *argument)
{
    struct death *death = argument;
    void *state = death->peer->attach(death->state);
    enum taken taken;

    if (state == NULL)
        return false;
    gate_wait(&death->waiter_gate);
    taken = death->peer->lock(state);
    death->board->taken_at = now_ns();
    death->board->told = taken == TAKEN_FROM_DEAD;
    if (taken != NOT_TAKEN)
        death->peer->unlock(state);
    return taken != NOT_TAKEN;
}

/** The waiter waits, the owner owns; how long the waiter has waited already is left to chance. */
static bool
start_both(struct death *death, pid_t *waiter, pid_t *owner)
{
    bool good;

    *waiter = start_child(take_over, death);
    good = gate_gather(&death->waiter_gate, 1);
    *owner = start_child(own, death);
    good = good && gate_gather(&death->owner_gate, 1);
    gate_open(&death->waiter_gate);
    sleep_ns(WAIT_LEAST_NS + random() % WAIT_MORE_NS);
    return good;
}

static bool
kill_one(struct death *death, struct takeover_row *row, struct times *times)
{
    int64_t killed_at;
    int64_t dead_at;
    pid_t owner;
    pid_t waiter;
    bool good;

    if (!gate_new(&death->waiter_gate) || !gate_new(&death->owner_gate))
        return false;
    good = start_both(death, &waiter, &owner);
    killed_at = now_ns();
    end_owner(death, owner);
    dead_at = now_ns();
    good = reap_child(waiter, now_ns() + PATIENCE_NS) && good;
    gate_open(&death->owner_gate);
    if (!good)
        return false;
    times->after_kill[row->kills] = (double)(death->board->taken_at - killed_at);
    times->after_death[row->kills] = (double)(death->board->taken_at - dead_at);
    row->told += death->board->told ? 1 : 0;
    row->kills++;
    return true;
}

static void
fill_row(struct takeover_row *row, struct times *times)
{
    size_t count = (size_t)row->kills;
    double longest_after_death = 0;

    row->after_kill_ns = spread_of(times->after_kill, count);
    row->worst_after_kill_ns = times->after_kill[count - 1];
    /* The kernel may release a lock before it reports the death. */
    for (size_t i = 0; i < count; i++) {
        if (times->after_death[i] < 0)
            times->after_death[i] = 0;
        if (times->after_death[i] > longest_after_death)
            longest_after_death = times->after_death[i];
    }
    row->median_after_death_ns = spread_of(times->after_death, count).median;
    row->worst_after_death_ns = longest_after_death;
}

static bool
kill_all(struct death *death, int kills, struct takeover_row *row, struct times *times)
{
    bool good = true;

    memset(death->board, 0, sizeof *death->board);
    death->state = death->peer->setup(death->board->page_of_the_lock);
    if (death->state == NULL)
        return false;
    row->name = death->peer->name;
    row->resident = death->resident;
    for (int i = 0; good && i < kills; i++)
        good = !interrupted() && kill_one(death, row, times);
    death->peer->teardown(death->state);
    if (good)
        fill_row(row, times);
    else
        fprintf(stderr, "bench: %s: the lock did not pass on after %d kills\n", death->peer->name,
                row->kills);
    return good;
}

static bool
memory_for(size_t bytes)
{
    long pages = sysconf(_SC_AVPHYS_PAGES);

    return pages > 0 && (size_t)pages / 2 > bytes / (size_t)sysconf(_SC_PAGESIZE);
}

/** A segment without a name, which children inherit, and have filled. */
static void *
setup_crash(void *page)
{
    mapseg *seg = mapseg_new();

    (void)page;
    if (seg == NULL || mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK ||
        mapseg_create(seg, CRASHED, MAPSEG_READ_WRITE) != MAPSEG_OK) {
        fprintf(stderr, "bench: %s\n", seg == NULL ? "no memory" : mapseg_error_string(seg));
        mapseg_free(seg);
        return NULL;
    }
    memset(mapseg_data(seg), 1, CRASHED);
    return seg;
}

static void *
attach_inherited(void *state)
{
    return state;
}

/** Owners of mapseg's lock that crash with core dumps on. */
static bool
crash_all(struct board *board, int kills, struct takeover_row *row, struct times *times)
{
    char directory[] = "/var/tmp/mapseg-bench-XXXXXX";
    struct peer peer = peer_mapseg;
    struct death death = {.peer = &peer, .board = board, .dumps = directory};
    bool good;

    peer.setup = setup_crash;
    peer.attach = attach_inherited;
    if (mkdtemp(directory) == NULL)
        return false;
    good = kill_all(&death, kills, row, times);
    row->crashed = CRASHED;
    (void)rmdir(directory);
    return good;
}

static bool
is_chosen(const struct choice *choice, const struct peer *peer)
{
    for (size_t i = 0; i < choice->peer_count; i++)
        if (choice->peers[i] == peer)
            return true;
    return false;
}

bool
measure_takeover(struct report *report, const struct choice *choice)
{
    struct times *times = calloc(1, sizeof *times);
    struct board *board = share_memory(sizeof *board);
    struct takeover_table *table = &report->takeover;
    int few = 1 + report->effort.kills / 10;
    bool good = times != NULL && board != NULL && report->effort.kills <= KILLS_MAX;

    for (size_t i = 0; good && i < choice->peer_count; i++) {
        struct death death = {.peer = choice->peers[i], .board = board};
        if (!death.peer->survives_owner)
            continue;
        good = kill_all(&death, report->effort.kills, &table->rows[table->count++], times);
    }
    /* The memory that an owner leaves delays every lock alike: one peer shows it. */
    if (good && is_chosen(choice, &peer_mapseg) && memory_for(LARGE) && table->count < PEERS_MAX) {
        struct death death = {.peer = &peer_mapseg, .board = board, .resident = LARGE};
        good = kill_all(&death, few, &table->rows[table->count++], times);
    }
    if (good && is_chosen(choice, &peer_mapseg) && memory_for(CRASHED) && dumps_are_allowed() &&
        table->count < PEERS_MAX)
        good = crash_all(board, few, &table->rows[table->count++], times);
    if (board != NULL)
        unshare_memory(board, sizeof *board);
    free(times);
    return good;
}
