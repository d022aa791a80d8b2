/*
 * steps_scenes.c - what is there before an operation is killed: a segment with a witness, with a
 * dead owner, with debris; and a process that sleeps for the lock.
 *
 * SPDX-License-Identifier: MIT
 */
#include "steps.h"

/* ------------------------------------------------------------- the scenery -- */

void
witness_segment(struct scene *in)
{
    in->witness = created_as(in->stage.place.key, DATA_BYTES,
                             in->operation->flags | (uint32_t)MAPSEG_NO_FORK);
    ((struct pair *)data_of(in->witness))->mark = UNKEPT;
    in->header = map_header(in->stage.place.path);
    in->inode = inode_of(in->stage.place.path);
}

void
witness_holds(struct scene *in)
{
    witness_segment(in);
    need_result(MAPSEG_OK, mapseg_lock(in->witness));
    in->holding = true;
}

void
witness_lets_go(struct scene *in)
{
    if (in->holding)
        need_result(MAPSEG_OK, mapseg_unlock(in->witness));
    in->holding = false;
}

/** The word names a slot that no attachment has. */
void
witness_of_a_death(struct scene *in)
{
    witness_segment(in);
    set_lock_word(in->header, in->witness->lock.slot % MAPSEG_LAST_SLOT + 1);
}

static void
abandon_segment(struct stage *stage)
{
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    ((struct pair *)data_of(seg))->mark = UNKEPT;
}

/** Crash debris: no process is attached. */
void
leave_half_used(struct scene *in)
{
    finish(start(abandon_segment, &in->stage));
    in->header = map_header(in->stage.place.path);
    in->inode = inode_of(in->stage.place.path);
}

void
leave_nothing(struct scene *in)
{
    (void)in;
}

/** Frees the lock once the victim is about to sleep for it. */
void
let_go_when_asked(pid_t pid, struct stage *stage)
{
    (void)pid;
    (void)stage;
    if (atomic_load(&scene->asks) != 0 && scene->holding)
        witness_lets_go(scene);
}

/** Frees the lock once the victim sleeps. */
void
wake_sleeper(pid_t pid, struct stage *stage)
{
    (void)stage;
    if (scene->holding && (lock_word(scene->header) & MAPSEG_LOCK_SLEEPERS) != 0 && is_asleep(pid))
        witness_lets_go(scene);
}

/** Frees the lock once it has slept, has looked at the owner, and sleeps again. */
void
wake_patient_sleeper(pid_t pid, struct stage *stage)
{
    if (atomic_load(&scene->sleeps) > 1)
        wake_sleeper(pid, stage);
}

/** Makes a change once the victim sleeps for one. */
void
change_for_sleeper(pid_t pid, struct stage *stage)
{
    const _Atomic uint32_t *watchers = (const _Atomic uint32_t *)&scene->header->watchers;

    (void)stage;
    if (atomic_load(watchers) == 0 || !is_asleep(pid))
        return;
    need_result(MAPSEG_OK, mapseg_write_begin(scene->witness));
    need_result(MAPSEG_OK, mapseg_write_end(scene->witness));
}

/* ------------------------------------------------------------------ the heir -- */

/** Sleeps for the lock in every round. */
void
be_heir(struct stage *stage)
{
    struct scene *in = (struct scene *)(void *)stage;

    for (int round = 1;; round++) {
        struct pair *pair;
        mapseg_result result;
        mapseg *seg;

        while (atomic_load(&in->heir_call) < round)
            nap(50 * MICROSECOND);
        seg = attached(in->stage.place.key, MAPSEG_READ_WRITE);
        pair = mapseg_data(seg);
        result = mapseg_lock(seg);
        need(mapseg_result_owes_unlock(result));
        if (result == MAPSEG_OWNER_DIED)
            pair->first = pair->second;
        need(pair->first == pair->second);
        need(result == MAPSEG_OK || mapseg_consistent(seg) == MAPSEG_OK);
        atomic_store(&in->heir_told, result == MAPSEG_OWNER_DIED);
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        mapseg_free(seg);
        atomic_store(&in->heir_done, round);
    }
}

void
be_watcher(struct stage *stage)
{
    struct scene *in = (struct scene *)(void *)stage;

    for (int round = 1;; round++) {
        mapseg_result result;
        mapseg *seg;

        while (atomic_load(&in->heir_call) < round)
            nap(50 * MICROSECOND);
        seg = attached(in->stage.place.key, MAPSEG_READ_WRITE);
        /* The dead writer is told of too, until the witness has repaired what it left. */
        do
            result = mapseg_wait(seg, 0, NULL, -1);
        while (result == MAPSEG_OWNER_DIED);
        need_result(MAPSEG_OK, result);
        mapseg_free(seg);
        atomic_store(&in->heir_done, round);
    }
}

/** Whether it has said that it sleeps. */
static bool
is_announced(const struct scene *in)
{
    const _Atomic uint32_t *watchers = (const _Atomic uint32_t *)&in->header->watchers;

    return in->operation->watched ? atomic_load(watchers) != 0
                                  : (lock_word(in->header) & MAPSEG_LOCK_SLEEPERS) != 0;
}

void
put_heir_to_sleep(struct scene *in)
{
    int64_t deadline = now_ns() + HANG;

    if (!in->operation->heir && !in->operation->watched)
        return;
    atomic_fetch_add(&in->heir_call, 1);
    while (!is_announced(in) || !is_asleep(in->heir)) {
        need(now_ns() < deadline);
        nap(20 * MICROSECOND);
    }
}
