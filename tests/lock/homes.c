/*
 * homes.c - processes that share the lock, wherever they live.
 *
 * SPDX-License-Identifier: MIT
 */
#include "homes.h"
#include "record.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool
has_namespaces(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(unshare(CLONE_NEWPID) == 0 && access("/proc/sys/kernel/ns_last_pid", W_OK) == 0 ? 0
                                                                                              : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

pid_t
start_apart(void (*body)(struct stage *stage), struct stage *stage)
{
    int home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    pid_t pid;

    need(home >= 0);
    need(unshare(CLONE_NEWPID) == 0);
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        need_number(1, getpid());
        body(stage);
        _exit(0);
    }
    need(pid > 0);
    need(setns(home, CLONE_NEWPID) == 0);
    (void)close(home);
    return pid;
}

static pid_t
start_at(enum home home, void (*body)(struct stage *stage), struct stage *stage)
{
    return home == APART ? start_apart(body, stage) : start(body, stage);
}

pid_t
start_ready(enum home home, void (*body)(struct stage *stage), struct stage *stage)
{
    int before = atomic_load(&stage->ready);
    pid_t pid = start_at(home, body, stage);

    await(&stage->ready, before + 1);
    return pid;
}

void
choose_next_number(pid_t number)
{
    FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "w");

    need(file != NULL);
    need(fprintf(file, "%d", (int)number - 1) > 0);
    need(fclose(file) == 0);
}

void
hold_for_ever(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need(mapseg_result_owes_unlock(mapseg_lock(seg)));
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        nap(SECOND);
}

void
need_kept(mapseg *seg)
{
    int64_t end = now_ns() + PATIENCE;

    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, PATIENCE));
    while (now_ns() < end + PATIENCE / 4) {
        need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
        need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, 100 * MICROSECOND));
    }
}

void
need_told(mapseg *seg)
{
    need_result(MAPSEG_OWNER_DIED, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

struct mapseg_header *
make_record(const struct place *place)
{
    mapseg *seg;

    leave_persistent(place->key, DATA_BYTES, 0);
    seg = attached(place->key, MAPSEG_READ_WRITE);
    record_init(data_of(seg));
    mapseg_free(seg);
    return map_header(place->path);
}

void
need_count(const struct place *place, uint64_t count)
{
    mapseg *seg = attached(place->key, MAPSEG_READ_WRITE);

    need_number(count, ((struct record *)data_of(seg))->count);
    mapseg_free(seg);
}
