/*
 * check_steps.c - death between any two instructions.
 *
 * A process is stopped in an operation of the library and killed there, once
 * for every point: before each instruction of the library and behind each of
 * its system calls. Each time those who are left must go on, must be told of a
 * death if and only if they need to know, and must find neither a missing
 * name, nor half a segment, nor anything that cannot be cleared away.
 *
 * An instruction that is met again and again, as in a loop that waits, is a
 * point the first, second, fourth, eighth time; with MAPSEG_STEPS=all in the
 * environment it is one each time.
 */

#include "handle/handle.h"
#include "os/os.h"
#include "stepper.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 64
/** Seconds that the walk through one operation may take: each step of it is two
 *  switches from one process to another, and a machine that is busy lets others
 *  run in between. */
#define WALK_TIMEOUT 1800

#define UNKEPT UINT64_C(0x5ca1ab1e)

/** The private name that a creator gets here, known beforehand and this run's
 *  own. */
static uint64_t private_number;
static char private_key[40];
static char private_path[48];

/** The data: equal, but under the lock. */
struct pair {
    uint64_t first;
    uint64_t second;
    uint64_t mark; /**< what the segment began with */
};

/** What all processes of a run share. */
struct scene {
    struct stage stage;
    const struct operation *operation;
    atomic_uint slot;     /**< the victim's */
    atomic_int inside;    /**< the victim has locked and not begun to unlock */
    atomic_int repaired;  /**< the victim has begun to declare the data consistent */
    atomic_int haunted;   /**< the word was made to name the slot just claimed */
    atomic_int asks;      /**< the victim wants the lock to be freed */
    atomic_int sleeps;    /**< of the victim, that it has begun */
    atomic_int heir_call; /**< the round that the heir is to begin */
    atomic_int heir_done; /**< the round that it has finished */
    atomic_int heir_told; /**< what it was told */
    /* Of the test alone: */
    struct mapseg_header *header;
    mapseg *witness;
    bool holding; /**< the witness has the lock */
    pid_t heir;
    uint32_t word; /**< when the victim died */
    uint64_t inode;
};

/** Something to be killed in. */
struct operation {
    const char *name;
    uint32_t flags; /**< of the segment */
    int stride;     /**< of the library's instructions */
    bool heir;      /**< another process sleeps for the lock meanwhile */
    void (*set)(struct scene *scene);
    void (*enter)(struct scene *scene);            /**< the victim, before its steps */
    void (*act)(struct scene *scene);              /**< the victim, step by step */
    void (*serve)(pid_t pid, struct stage *stage); /**< while the victim runs */
    void (*look)(struct stage *stage);             /**< at every point, while it lives */
    void (*check)(struct scene *scene);
};

static struct scene *scene;
static mapseg *victim; /**< the victim's handle */
static struct msi_os_operations real;

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

    /* Knows this thread, and leaves the word to whoever has it. */
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
    /* Whoever came and went meanwhile has left the name to its creator. */
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
    (void)mapseg_digest(pair, sizeof(*pair));
    pair->first = *(uint64_t *)argument;
    (void)mapseg_digest(pair, sizeof(*pair));
    pair->second = *(uint64_t *)argument;
    (void)mapseg_digest(pair, sizeof(*pair));
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

static void
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

    if (bytes != sizeof(number))
        return real.random(to, bytes);
    memcpy(to, &number, sizeof(number));
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

/* ------------------------------------------------------------- the scenery -- */

static void
witness_segment(struct scene *in)
{
    in->witness = created_as(in->stage.place.key, DATA_BYTES,
                             in->operation->flags | (uint32_t)MAPSEG_NO_FORK);
    ((struct pair *)data_of(in->witness))->mark = UNKEPT;
    in->header = map_header(in->stage.place.path);
    in->inode = inode_of(in->stage.place.path);
}

static void
witness_holds(struct scene *in)
{
    witness_segment(in);
    need_result(MAPSEG_OK, mapseg_lock(in->witness));
    in->holding = true;
}

static void
witness_lets_go(struct scene *in)
{
    if (in->holding)
        need_result(MAPSEG_OK, mapseg_unlock(in->witness));
    in->holding = false;
}

/** The word names a slot that nobody has. */
static void
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

/** Crash debris: nobody is attached. */
static void
leave_half_used(struct scene *in)
{
    finish(start(abandon_segment, &in->stage));
    in->header = map_header(in->stage.place.path);
    in->inode = inode_of(in->stage.place.path);
}

static void
leave_nothing(struct scene *in)
{
    (void)in;
}

/** Frees the lock once the victim is about to sleep for it. */
static void
let_go_when_asked(pid_t pid, struct stage *stage)
{
    (void)pid;
    (void)stage;
    if (atomic_load(&scene->asks) != 0 && scene->holding)
        witness_lets_go(scene);
}

/** Frees the lock once the victim sleeps. */
static void
wake_sleeper(pid_t pid, struct stage *stage)
{
    (void)stage;
    if (scene->holding && (lock_word(scene->header) & MAPSEG_LOCK_SLEEPERS) != 0 && is_asleep(pid))
        witness_lets_go(scene);
}

/** Frees the lock once it has slept, has looked at the owner, and sleeps again. */
static void
wake_patient_sleeper(pid_t pid, struct stage *stage)
{
    if (atomic_load(&scene->sleeps) > 1)
        wake_sleeper(pid, stage);
}

/* ------------------------------------------------------------------ the heir -- */

/** Sleeps for the lock in every round. */
static void
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

static void
put_heir_to_sleep(struct scene *in)
{
    int64_t deadline = now_ns() + HANG;

    if (!in->operation->heir)
        return;
    atomic_fetch_add(&in->heir_call, 1);
    while ((lock_word(in->header) & MAPSEG_LOCK_SLEEPERS) == 0 || !is_asleep(in->heir)) {
        need(now_ns() < deadline);
        nap(20 * MICROSECOND);
    }
}

/* ------------------------------------------------------------ those who are left -- */

static int64_t longest;

/** The victim's words for what it did mean that its death must be told. */
static bool
died_inside(const struct scene *in)
{
    return atomic_load(&in->inside) != 0;
}

/** Takes the lock, as the one who is not held up by the dead. */
static mapseg_result
lock_after(mapseg *seg, bool wait)
{
    int64_t begun = now_ns();
    mapseg_result result = wait ? mapseg_lock_for(seg, HANG) : mapseg_try_lock(seg);

    if (now_ns() - begun > longest)
        longest = now_ns() - begun;
    need(result == MAPSEG_OK || result == MAPSEG_OWNER_DIED);
    return result;
}

/** The lock is to be had, who takes it is told what there is to tell, and the
 *  data is whole or that was told. */
static void
check_lock(struct scene *in, mapseg *seg, bool told)
{
    static unsigned turns;
    struct pair *pair = mapseg_data(seg);
    mapseg_result result = lock_after(seg, turns++ % 2 == 0 || in->operation->heir);

    need_result(told ? MAPSEG_OWNER_DIED : MAPSEG_OK, result);
    need(told || pair->first == pair->second);
    need(pair->first - pair->second <= 1 && pair->second <= 2 && pair->mark == UNKEPT);
    pair->first = pair->second;
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_number(0, lock_word(seg->attachment.header));
}

/** The segment has its name, and newcomers find it. */
static void
check_name(struct scene *in)
{
    need_number(in->inode, inode_of(in->stage.place.path));
    mapseg_free(attached(in->stage.place.key, MAPSEG_READ_WRITE));
    need_number(in->inode, inode_of(in->stage.place.path));
}

/** The witness leaves as the last one. */
static void
end_witness(struct scene *in)
{
    mapseg_free(in->witness);
    in->witness = NULL;
    need(!exists(in->stage.place.path));
}

static bool
word_owned(const struct scene *in)
{
    return (in->word & MAPSEG_LOCK_OWNER) != 0;
}

/** Told if and only if the dead one had the word. */
static void
check_witness(struct scene *in)
{
    bool held = word_owned(in) && !in->holding;

    need(!held || (in->word & MAPSEG_LOCK_OWNER) == atomic_load(&in->slot));
    need(held || !died_inside(in));
    witness_lets_go(in);
    check_lock(in, in->witness, held);
    check_name(in);
    end_witness(in);
}

/** The same where an owner had died before. */
static void
check_mourner(struct scene *in)
{
    bool told = word_owned(in) || (in->word & MAPSEG_LOCK_DIED) != 0;

    need(told || atomic_load(&in->repaired) != 0);
    check_lock(in, in->witness, told);
    check_name(in);
    end_witness(in);
}

/** Told from the moment on at which the word named a dead owner. */
static void
check_haunted(struct scene *in)
{
    bool told = (in->word & (MAPSEG_LOCK_OWNER | MAPSEG_LOCK_DIED)) != 0;

    need(told || atomic_load(&in->haunted) == 0);
    check_lock(in, in->witness, told);
    check_name(in);
    end_witness(in);
}

/** The one who slept for the lock has had it. */
static void
check_heir(struct scene *in)
{
    uint32_t owner = in->word & MAPSEG_LOCK_OWNER;
    bool held = owner != 0 && owner == atomic_load(&in->slot);
    bool marked = !held && (in->word & MAPSEG_LOCK_DIED) != 0;
    int64_t begun = now_ns();

    need(held || !died_inside(in));
    witness_lets_go(in);
    while (atomic_load(&in->heir_done) != atomic_load(&in->heir_call)) {
        need(now_ns() - begun < HANG);
        nap(20 * MICROSECOND);
    }
    if (now_ns() - begun > longest)
        longest = now_ns() - begun;
    /* A mark without an owner may have been met by the heir before. */
    need(marked || atomic_load(&in->heir_told) == held);
    check_lock(in, in->witness, false);
    check_name(in);
    end_witness(in);
}

/** Attaches to what is there after the death, with nobody else attached. */
static void
check_debris(struct scene *in)
{
    bool held = word_owned(in);
    mapseg *seg;

    need(held || !died_inside(in));
    need_number(in->inode, inode_of(in->stage.place.path));
    need_number(MAPSEG_USE_STALE, use_of(in->stage.place.key));
    seg = attached(in->stage.place.key, MAPSEG_READ_WRITE);
    check_lock(in, seg, held);
    mapseg_free(seg);
    need(!exists(in->stage.place.path));
}

/** The last one out has removed the segment or left it whole. */
static void
check_left(struct scene *in)
{
    if (exists(in->stage.place.path)) {
        check_debris(in);
        return;
    }
    need(!died_inside(in));
    mapseg_free(created(in->stage.place.key, DATA_BYTES));
    need(!exists(in->stage.place.path));
}

/** A segment of that name is whole or not there. */
static void
look_at_name(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);
    mapseg_result result = mapseg_attach(seg, MAPSEG_READ_WRITE);

    if (result == MAPSEG_OK) {
        need_number(DATA_BYTES, mapseg_size(seg));
        need_result(MAPSEG_OK, mapseg_lock(seg));
    } else {
        need_result(MAPSEG_NOT_FOUND, result);
    }
    mapseg_free(seg);
}

/** A segment of that name has all that its creator fills it with, or is not there. */
static void
look_at_filled(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);
    mapseg_result result = mapseg_attach(seg, MAPSEG_READ_ONLY);

    if (result == MAPSEG_OK) {
        const struct pair *pair = mapseg_const_data(seg);

        need(pair->first == UNKEPT && pair->second == UNKEPT && pair->mark == UNKEPT);
    } else {
        need_result(MAPSEG_NOT_FOUND, result);
    }
    mapseg_free(seg);
}

/** Nothing is there, or a whole segment that can be used. */
static void
check_made(struct scene *in)
{
    look_at_name(&in->stage);
    need(!exists(in->stage.place.path));
    mapseg_free(created(in->stage.place.key, DATA_BYTES));
    need(!exists(in->stage.place.path));
}

/** The name of an unfinished file is found and cleared. */
static void
check_old_made(struct scene *in)
{
    mapseg *seg = handle_for(private_key);

    check_made(in);
    if (exists(private_path))
        need_result(MAPSEG_OK, mapseg_reclaim(seg));
    need(!exists(private_path));
    mapseg_free(seg);
}

static void
check_filled(struct scene *in)
{
    look_at_filled(&in->stage);
    check_made(in);
}

static void
check_old_filled(struct scene *in)
{
    look_at_filled(&in->stage);
    check_old_made(in);
}

/** What the data of a segment began with, without attaching to it. */
static uint64_t
mark_of(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct pair pair;

    need(fd >= 0);
    need(pread(fd, &pair, sizeof(pair), MAPSEG_HEADER_BYTES) == sizeof(pair));
    (void)close(fd);
    return pair.mark;
}

/** The name leads to the debris, to a whole new segment, or nowhere; and the
 *  same can be done again. */
static void
check_made_anew(struct scene *in)
{
    uint64_t inode = inode_of(in->stage.place.path);
    mapseg *seg;

    if (inode == in->inode)
        need_number(UNKEPT, mark_of(in->stage.place.path));
    seg = created_as(in->stage.place.key, DATA_BYTES, (uint32_t)MAPSEG_RECLAIM);
    need(inode_of(in->stage.place.path) != in->inode);
    mapseg_free(seg);
    need(!exists(in->stage.place.path));
}

/** The name is gone or it is not; who is attached does not mind, and a new
 *  segment can have it. */
static void
check_removed(struct scene *in)
{
    uint64_t inode = inode_of(in->stage.place.path);
    mapseg *seg = handle_for(in->stage.place.key);

    need(inode == in->inode || inode == 0);
    need_result(inode == 0 ? MAPSEG_NOT_FOUND : MAPSEG_OK, mapseg_remove(seg));
    need_result(MAPSEG_OK, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    check_lock(in, in->witness, false);
    mapseg_free(in->witness);
    in->witness = NULL;
    need(exists(in->stage.place.path));
    mapseg_free(seg);
    need(!exists(in->stage.place.path));
}

/** Waits for all children, which the victim may have left to us. */
static void
reap_children(void)
{
    int64_t deadline = now_ns() + HANG;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) != -1) {
        need(now_ns() < deadline);
        need(pid == 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
        nap(20 * MICROSECOND);
    }
}

/** The child, if there is one, is an attachment like any other. It leaves the
 *  mark of a death as it found it. */
static void
check_parted(struct scene *in)
{
    bool told;

    check_name(in);
    reap_children();
    told = lock_word(in->header) != 0;
    need(told || atomic_load(&in->haunted) == 0);
    need(!told || in->operation->enter == enter_to_haunt_child);
    check_lock(in, in->witness, told);
    check_name(in);
    end_witness(in);
}

static void
check_nothing(struct scene *in)
{
    (void)in;
}

/* --------------------------------------------------------------- one death -- */

/** A process to be stepped. */
static void
be_victim(struct stage *stage)
{
    struct scene *in = (struct scene *)(void *)stage;

    in->operation->enter(in);
    begin_steps();
    in->operation->act(in);
    end_steps();
}

static void
begin_run(const struct operation *operation)
{
    scene->operation = operation;
    scene->holding = false;
    scene->header = NULL;
    scene->witness = NULL;
    scene->inode = 0;
    atomic_store(&scene->slot, 0);
    atomic_store(&scene->inside, 0);
    atomic_store(&scene->repaired, 0);
    atomic_store(&scene->haunted, 0);
    atomic_store(&scene->asks, 0);
    atomic_store(&scene->sleeps, 0);
    new_place(&scene->stage.place);
    operation->set(scene);
}

static void
end_run(void)
{
    scene->word = scene->header != NULL ? lock_word(scene->header) : 0;
}

/** What the test itself holds of a run goes. */
static void
clean_up(void)
{
    if (scene->header != NULL)
        need(munmap(scene->header, MAPSEG_HEADER_BYTES) == 0);
    scene->header = NULL;
}

/** Runs the operation once, up to the point or through. Returns whether there
 *  was a death. */
static bool
run(const struct operation *operation, const struct point *point, struct path *path)
{
    bool reached = false;
    pid_t pid;

    begin_run(operation);
    pid = start_stepped(be_victim, &scene->stage);
    put_heir_to_sleep(scene);
    if (point != NULL)
        reached = walk_to(pid, &scene->stage, operation->serve, point);
    else
        walk(pid, &scene->stage, operation->serve, operation->look, path);
    end_run();
    if (reached) {
        kill_and_reap(pid);
    } else {
        end_walk(pid);
        finish(pid);
    }
    operation->check(scene);
    clean_up();
    return reached;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INSTRUMENTED true
#else
#define INSTRUMENTED false
#endif

/** Whether no visit of a point is to be left out. */
static bool
wants_all(void)
{
    const char *wish = getenv("MAPSEG_STEPS");

    return wish != NULL && strcmp(wish, "all") == 0;
}

/** Whether to die at this point. */
static bool
is_wanted(const struct point *point)
{
    int visit = point->visit;

    if (point->call || wants_all())
        return true;
    /* A sanitizer makes many instructions of one, and each slow. */
    if (INSTRUMENTED && point->instruction / 4 % 8 != 0)
        return false;
    return (visit & (visit - 1)) == 0;
}

/** Kills at every point of the operation. */
static void
kill_along(const struct operation *operation)
{
    struct path path = {NULL, 0, 0};
    int64_t begun = now_ns();
    int deaths = 0;
    int calls = 0;

    longest = 0;
    (void)run(operation, NULL, &path);
    for (int i = 0; i < path.count; i++) {
        if (!is_wanted(&path.points[i]) || !run(operation, &path.points[i], NULL))
            continue;
        deaths++;
        calls += path.points[i].call;
    }
    need(deaths > 0);
    (void)printf("%-38s %5d points, %4d deaths, %2d behind calls, lock after %lld us at most, "
                 "%lld ms\n",
                 operation->name, path.count, deaths, calls, (long long)(longest / MICROSECOND),
                 (long long)((now_ns() - begun) / MILLISECOND));
    (void)fflush(stdout);
    free(path.points);
}

/* ------------------------------------------------------------ the operations -- */

static const struct operation operations[] = {
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

#define OPERATIONS ((int)(sizeof(operations) / sizeof(operations[0])))

START_TEST(death_at_every_step)
{
    const struct operation *operation = &operations[_i];

    /* Grandchildren that lose their parent become ours. */
    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    real = msi_os;
    scene = shared_memory(sizeof(*scene));
    if (operation->heir)
        scene->heir = start(be_heir, &scene->stage);
    kill_along(operation);
    if (operation->heir)
        kill_and_reap(scene->heir);
}
END_TEST

/* ------------------------------------------------------------------ main -- */

int
main(void)
{
    const char *refused = stepping_refused();
    Suite *suite;
    TCase *tcase;

    if (!skip_unless(refused == NULL, refused))
        return EXIT_SKIPPED;
    suite = new_suite("steps");
    tcase = tcase_create("steps");
    private_number = (uint64_t)getpid() << 32 | 0x5eed;
    (void)snprintf(private_key, sizeof(private_key), "shm:.mapseg-%016" PRIx64, private_number);
    (void)snprintf(private_path, sizeof(private_path), "/dev/shm/.mapseg-%016" PRIx64,
                   private_number);
    tcase_set_timeout(tcase, wants_all() ? 2 * WALK_TIMEOUT : WALK_TIMEOUT);
    tcase_add_loop_test(tcase, death_at_every_step, 0, OPERATIONS);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
