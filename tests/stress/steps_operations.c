/*
 * steps_operations.c - what a victim does when it is killed: every operation that has steps in the
 * segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "steps.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

static mapseg *victim; /**< the handle that the operation is done with */

/* ------------------------------------------------------------- the victim -- */

static void
enter_attached(struct scene *in)
{
    victim = attached(in->stage.place.key, MAPSEG_READ_WRITE);
    atomic_store(&in->slot, victim->lock.slot);
}

/** Locking for the first time takes the slow path. */
static void
enter_used(struct scene *in)
{
    enter_attached(in);
    need_result(MAPSEG_OK, mapseg_lock(victim));
    need_result(MAPSEG_OK, mapseg_unlock(victim));
}

static void
enter_warm(struct scene *in)
{
    mapseg *other = created("memfd:", DATA_BYTES);

    /* Knows this thread, and leaves the word to its owner. */
    need_result(MAPSEG_OK, mapseg_lock(other));
    mapseg_free(other);
    enter_attached(in);
}

static void
enter_with_key(struct scene *in)
{
    victim = handle_for(in->stage.place.key);
}

static void
enter_locked(struct scene *in)
{
    enter_attached(in);
    need_result(MAPSEG_OK, mapseg_lock(victim));
    atomic_store(&in->inside, 1);
}

static void
enter_told(struct scene *in)
{
    enter_attached(in);
    set_lock_word(in->header, MAPSEG_LOCK_DIED);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(victim));
    atomic_store(&in->inside, 1);
}

static void
update(struct scene *in)
{
    volatile struct pair *pair = data_of(victim);

    (void)in;
    pair->first++;
    pair->second++;
}

static void
leave(struct scene *in)
{
    atomic_store(&in->inside, 0);
    need_result(MAPSEG_OK, mapseg_unlock(victim));
}

static void
lock_as(struct scene *in, mapseg_result expected, mapseg_result result)
{
    need_result(expected, result);
    atomic_store(&in->inside, 1);
}

static void
act_lock(struct scene *in)
{
    lock_as(in, MAPSEG_OK, mapseg_lock(victim));
    update(in);
    leave(in);
}

static void
act_unlock(struct scene *in)
{
    update(in);
    leave(in);
}

static void
act_repair(struct scene *in)
{
    update(in);
    atomic_store(&in->repaired, 1);
    need_result(MAPSEG_OK, mapseg_consistent(victim));
    leave(in);
}

static void
act_change(struct scene *in)
{
    lock_as(in, MAPSEG_OK, mapseg_write_begin(victim));
    update(in);
    atomic_store(&in->inside, 0);
    need_result(MAPSEG_OK, mapseg_write_end(victim));
}

static void
act_change_by_unlock(struct scene *in)
{
    lock_as(in, MAPSEG_OK, mapseg_write_begin(victim));
    act_unlock(in);
}

/** The mark of the data changes, from what it is to the same. */
static void
act_write(struct scene *in)
{
    const uint64_t mark = UNKEPT;

    (void)in;
    need_result(MAPSEG_OK, mapseg_write(victim, offsetof(struct pair, mark), &mark, sizeof mark));
}

static void
act_watch(struct scene *in)
{
    (void)in;
    need_result(MAPSEG_OK, mapseg_wait(victim, 0, NULL, -1));
}

static void
act_take_over(struct scene *in)
{
    lock_as(in, MAPSEG_OWNER_DIED, mapseg_lock(victim));
    act_repair(in);
}

static void
act_try_take_over(struct scene *in)
{
    lock_as(in, MAPSEG_OWNER_DIED, mapseg_try_lock(victim));
    act_repair(in);
}

static void
act_give_up(struct scene *in)
{
    (void)in;
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(victim, 2 * MILLISECOND));
}

static void
act_attach(struct scene *in)
{
    need_result(MAPSEG_OK, mapseg_attach(victim, MAPSEG_READ_WRITE));
    atomic_store(&in->slot, victim->lock.slot);
}

static void
act_detach(struct scene *in)
{
    if (atomic_load(&in->inside) != 0)
        update(in);
    atomic_store(&in->inside, 0);
    need_result(MAPSEG_OK, mapseg_detach(victim));
}

static void
create_as(struct scene *in, uint32_t flags, mapseg_result expected)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = in->operation->flags | flags;
    need_result(expected, mapseg_create_with(victim, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    /* Processes that came and went meanwhile have left the name to its creator. */
    if (expected == MAPSEG_OK && victim->attachment.file.path != NULL)
        need_number(victim->attachment.file.inode, inode_of(in->stage.place.path));
}

static void
act_create(struct scene *in)
{
    create_as(in, 0, MAPSEG_OK);
}

/** Calls of the library stand between its stores, so that it is killed there too. */
static mapseg_result
fill_pair(void *data, size_t size, void *argument)
{
    struct pair *pair = data;

    need_number(DATA_BYTES, size);
    need(pair->first == 0 && pair->second == 0 && pair->mark == 0);
    (void)mapseg_digest(pair, sizeof *pair);
    pair->first = *(uint64_t *)argument;
    (void)mapseg_digest(pair, sizeof *pair);
    pair->second = *(uint64_t *)argument;
    (void)mapseg_digest(pair, sizeof *pair);
    pair->mark = *(uint64_t *)argument;
    return MAPSEG_OK;
}

static void
act_create_filled(struct scene *in)
{
    uint64_t mark = UNKEPT;
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.initialize = fill_pair;
    options.initialize_argument = &mark;
    need_result(MAPSEG_OK, mapseg_create_or_attach_with(victim, DATA_BYTES, MAPSEG_READ_WRITE,
                                                        &options, NULL));
    need_number(victim->attachment.file.inode, inode_of(in->stage.place.path));
}

static void
act_create_anew(struct scene *in)
{
    create_as(in, (uint32_t)MAPSEG_RECLAIM, MAPSEG_OK);
}

static void
act_create_in_vain(struct scene *in)
{
    create_as(in, (uint32_t)MAPSEG_RECLAIM, MAPSEG_ALREADY_EXISTS);
}

static void
act_replace(struct scene *in)
{
    create_as(in, (uint32_t)MAPSEG_REPLACE, MAPSEG_OK);
}

static void
act_remove(struct scene *in)
{
    (void)in;
    need_result(MAPSEG_OK, mapseg_remove(victim));
}

static void
act_reclaim(struct scene *in)
{
    (void)in;
    need_result(MAPSEG_OK, mapseg_reclaim(victim));
}

static void
act_reclaim_in_vain(struct scene *in)
{
    (void)in;
    need_result(MAPSEG_IN_USE, mapseg_reclaim(victim));
}

/** The victim's child: an attachment of its own, whatever becomes of its
 *  parent. */
static void
be_born(struct scene *in)
{
    mapseg_result result;

    result = mapseg_lock_for(victim, HANG);
    need(mapseg_result_owes_unlock(result));
    update(in);
    need_result(MAPSEG_OK, mapseg_unlock(victim));
    need_result(MAPSEG_OK, mapseg_detach(victim));
    _exit(0);
}

static void
act_fork(struct scene *in)
{
    pid_t pid = fork();

    if (pid == 0)
        be_born(in);
    need(pid > 0);
}

/* ---------------------------------------------- the victim's own system -- */

/** The word names the slot that is just claimed: its last owner died with the
 *  lock. */
static int
claim_haunted_slot(int fd, enum msi_range_kind kind, int64_t first, int64_t bytes)
{
    int result = real.lock_range_ofd(fd, kind, first, bytes);
    int64_t slot = first - MAPSEG_PRESENCE_BASE;

    if (atomic_load(&scene->haunted) == 0 && result >= 0 && kind == MSI_RANGE_EXCLUSIVE &&
        bytes == 1 && slot >= MAPSEG_FIRST_SLOT && slot <= MAPSEG_LAST_SLOT) {
        set_lock_word(scene->header, (uint32_t)slot | MAPSEG_LOCK_SLEEPERS);
        atomic_store(&scene->haunted, 1);
    }
    return result;
}

static void
enter_haunted(struct scene *in)
{
    enter_with_key(in);
    msi_os.lock_range_ofd = claim_haunted_slot;
}

void
enter_to_haunt_child(struct scene *in)
{
    enter_attached(in);
    msi_os.lock_range_ofd = claim_haunted_slot;
}

/** Sleeps only when the lock is free already. */
static void
sleep_late(const uint32_t *word, uint32_t value, int64_t ns)
{
    atomic_store(&scene->asks, 1);
    while ((lock_word(scene->header) & MAPSEG_LOCK_OWNER) == (value & MAPSEG_LOCK_OWNER))
        (void)sched_yield();
    real.sleep_on(word, value, ns);
}

static void
enter_late_sleeper(struct scene *in)
{
    enter_warm(in);
    msi_os.sleep_on = sleep_late;
}

static void
count_sleep(const uint32_t *word, uint32_t value, int64_t ns)
{
    atomic_fetch_add(&scene->sleeps, 1);
    real.sleep_on(word, value, ns);
}

static void
enter_patient_sleeper(struct scene *in)
{
    enter_warm(in);
    msi_os.sleep_on = count_sleep;
}

/** A waiter has waited long, as the owner and those that want the lock see. */
static void
let_a_waiter_suffer(const struct scene *in)
{
    __atomic_store_n(&in->header->suffering, MAPSEG_LAST_SLOT - 1, __ATOMIC_SEQ_CST);
}

static void
enter_sufferer(struct scene *in)
{
    enter_warm(in);
    let_a_waiter_suffer(in);
}

static void
enter_locked_for_a_sufferer(struct scene *in)
{
    enter_locked(in);
    let_a_waiter_suffer(in);
}

/** The waiter that the word was left to has died. */
static void
enter_after_a_sufferer(struct scene *in)
{
    enter_warm(in);
    let_a_waiter_suffer(in);
    set_lock_word(in->header, MAPSEG_LOCK_SLEEPERS);
}

static int
no_unnamed_files(int directory, mode_t mode)
{
    (void)directory;
    (void)mode;
    return -EOPNOTSUPP;
}

static int
same_random(void *to, size_t bytes)
{
    uint64_t number = private_number;

    if (bytes != sizeof number)
        return real.random(to, bytes);
    memcpy(to, &number, sizeof number);
    return 0;
}

static void
enter_old_system(struct scene *in)
{
    enter_with_key(in);
    msi_os.open_unnamed = no_unnamed_files;
    msi_os.random = same_random;
}

static void
enter_memfd(struct scene *in)
{
    (void)in;
    victim = handle_for("memfd:");
}

/* ------------------------------------------------------------ the operations -- */

const struct operation operations[] = {
    {.name = "lock and unlock",
     .set = witness_segment,
     .enter = enter_used,
     .act = act_lock,
     .check = check_witness},
    {.name = "the first lock",
     .set = witness_segment,
     .enter = enter_attached,
     .act = act_lock,
     .check = check_witness},
    {.name = "lock and unlock, fair",
     .flags = MAPSEG_FAIR,
     .set = witness_segment,
     .enter = enter_used,
     .act = act_lock,
     .check = check_witness},
    {.name = "lock that is freed before the sleep",
     .set = witness_holds,
     .enter = enter_late_sleeper,
     .act = act_lock,
     .serve = let_go_when_asked,
     .check = check_witness},
    {.name = "lock with a sleep",
     .set = witness_holds,
     .enter = enter_warm,
     .act = act_lock,
     .serve = wake_sleeper,
     .check = check_witness},
    {.name = "lock with a look at the owner",
     .set = witness_holds,
     .enter = enter_patient_sleeper,
     .act = act_lock,
     .serve = wake_patient_sleeper,
     .check = check_witness},
    {.name = "lock with a sleep, fair",
     .flags = MAPSEG_FAIR,
     .set = witness_holds,
     .enter = enter_warm,
     .act = act_lock,
     .serve = wake_sleeper,
     .check = check_witness},
    {.name = "lock with a sleep of one that suffers",
     .set = witness_holds,
     .enter = enter_sufferer,
     .act = act_lock,
     .serve = wake_sleeper,
     .check = check_witness},
    {.name = "lock that was left to one that died",
     .set = witness_segment,
     .enter = enter_after_a_sufferer,
     .act = act_lock,
     .check = check_witness},
    {.name = "unlock with a sleeper that suffers",
     .heir = true,
     .set = witness_segment,
     .enter = enter_locked_for_a_sufferer,
     .act = act_unlock,
     .check = check_heir},
    {.name = "lock that times out beside a sleeper",
     .heir = true,
     .set = witness_holds,
     .enter = enter_warm,
     .act = act_give_up,
     .check = check_heir},
    {.name = "unlock with a sleeper",
     .heir = true,
     .set = witness_segment,
     .enter = enter_locked,
     .act = act_unlock,
     .check = check_heir},
    {.name = "unlock with a sleeper, fair",
     .flags = MAPSEG_FAIR,
     .heir = true,
     .set = witness_segment,
     .enter = enter_locked,
     .act = act_unlock,
     .check = check_heir},
    {.name = "repair",
     .set = witness_segment,
     .enter = enter_told,
     .act = act_repair,
     .check = check_mourner},
    {.name = "change with a sleeper",
     .watched = true,
     .set = witness_segment,
     .enter = enter_used,
     .act = act_change,
     .check = check_watcher},
    {.name = "change by unlock, with a sleeper",
     .watched = true,
     .set = witness_segment,
     .enter = enter_used,
     .act = act_change_by_unlock,
     .check = check_watcher},
    {.name = "written range with a sleeper",
     .watched = true,
     .set = witness_segment,
     .enter = enter_used,
     .act = act_write,
     .check = check_watcher},
    {.name = "wait for a change",
     .set = witness_segment,
     .enter = enter_used,
     .act = act_watch,
     .serve = change_for_sleeper,
     .check = check_witness},
    {.name = "take-over",
     .set = witness_of_a_death,
     .enter = enter_warm,
     .act = act_take_over,
     .check = check_mourner},
    {.name = "take-over without waiting",
     .set = witness_of_a_death,
     .enter = enter_warm,
     .act = act_try_take_over,
     .check = check_mourner},
    {.name = "attach",
     .set = witness_segment,
     .enter = enter_with_key,
     .act = act_attach,
     .check = check_witness},
    {.name = "attach that heals the word",
     .set = witness_segment,
     .enter = enter_haunted,
     .act = act_attach,
     .check = check_haunted},
    {.name = "attach to debris",
     .set = leave_half_used,
     .enter = enter_with_key,
     .act = act_attach,
     .check = check_debris},
    {.name = "detach",
     .set = witness_segment,
     .enter = enter_used,
     .act = act_detach,
     .check = check_witness},
    {.name = "detach with the lock",
     .heir = true,
     .set = witness_segment,
     .enter = enter_locked,
     .act = act_detach,
     .check = check_heir},
    {.name = "detach as the last one",
     .set = leave_half_used,
     .enter = enter_used,
     .act = act_detach,
     .check = check_left},
    {.name = "detach as the last one, with the lock",
     .set = leave_half_used,
     .enter = enter_locked,
     .act = act_detach,
     .check = check_left},
    {.name = "create",
     .set = leave_nothing,
     .enter = enter_with_key,
     .act = act_create,
     .look = look_at_name,
     .check = check_made},
    {.name = "create without unnamed files",
     .set = leave_nothing,
     .enter = enter_old_system,
     .act = act_create,
     .look = look_at_name,
     .check = check_old_made},
    {.name = "create and initialise",
     .set = leave_nothing,
     .enter = enter_with_key,
     .act = act_create_filled,
     .look = look_at_filled,
     .check = check_filled},
    {.name = "create and initialise without unnamed files",
     .set = leave_nothing,
     .enter = enter_old_system,
     .act = act_create_filled,
     .look = look_at_filled,
     .check = check_old_filled},
    {.name = "create a memfd",
     .set = leave_nothing,
     .enter = enter_memfd,
     .act = act_create,
     .check = check_nothing},
    {.name = "create over debris",
     .set = leave_half_used,
     .enter = enter_with_key,
     .act = act_create_anew,
     .check = check_made_anew},
    {.name = "create in place of another",
     .set = witness_segment,
     .enter = enter_with_key,
     .act = act_replace,
     .look = look_at_replaced,
     .check = check_replaced},
    {.name = "create in place of another, old system",
     .set = witness_segment,
     .enter = enter_old_system,
     .act = act_replace,
     .look = look_at_replaced,
     .check = check_replaced},
    {.name = "create over the living",
     .set = witness_segment,
     .enter = enter_with_key,
     .act = act_create_in_vain,
     .check = check_witness},
    {.name = "remove",
     .set = witness_segment,
     .enter = enter_with_key,
     .act = act_remove,
     .check = check_removed},
    {.name = "reclaim",
     .set = leave_half_used,
     .enter = enter_with_key,
     .act = act_reclaim,
     .check = check_left},
    {.name = "reclaim beside the living",
     .set = witness_segment,
     .enter = enter_with_key,
     .act = act_reclaim_in_vain,
     .check = check_witness},
    {.name = "fork",
     .set = witness_segment,
     .enter = enter_attached,
     .act = act_fork,
     .check = check_parted},
    {.name = "fork that heals the word",
     .set = witness_segment,
     .enter = enter_to_haunt_child,
     .act = act_fork,
     .check = check_parted},
};

const int operation_count = (int)(sizeof operations / sizeof operations[0]);
