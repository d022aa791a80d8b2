/*
 * locking.c - processes that hold the lock, wait for it, and die with it.
 *
 * SPDX-License-Identifier: MIT
 */

#include "locking.h"

void
hold_lock(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need(mapseg_result_owes_unlock(mapseg_lock(seg)));
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}

void
wait_and_leave(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg_result result;

    atomic_fetch_add(&stage->ready, 1);
    result = mapseg_lock(seg);
    need(mapseg_result_owes_unlock(result));
    atomic_fetch_add(&stage->told[result], 1);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}

void
wait_and_repair(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    mapseg_result result;

    atomic_fetch_add(&stage->ready, 1);
    result = mapseg_lock(seg);
    need(mapseg_result_owes_unlock(result));
    atomic_fetch_add(&stage->told[result], 1);
    if (result == MAPSEG_OWNER_DIED)
        need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}

pid_t
start_holder(struct stage *stage)
{
    int before = atomic_load(&stage->ready);
    pid_t pid = start(hold_lock, stage);

    await(&stage->ready, before + 1);
    return pid;
}

pid_t
start_sleeper(void (*body)(struct stage *stage), struct stage *stage,
              const struct mapseg_header *header)
{
    int before = atomic_load(&stage->ready);
    pid_t pid = start(body, stage);

    await(&stage->ready, before + 1);
    await_word(header, MAPSEG_LOCK_SLEEPERS);
    need_asleep(pid);
    return pid;
}

void
let_owner_die(struct stage *stage)
{
    kill_and_reap(start_holder(stage));
}
