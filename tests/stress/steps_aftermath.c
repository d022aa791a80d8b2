/*
 * steps_aftermath.c - what those who are left find after a death: the lock, the name and the data.
 *
 * SPDX-License-Identifier: MIT
 */
#include "steps.h"

#include "file/key.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int64_t longest;

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
void
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
void
check_mourner(struct scene *in)
{
    bool told = word_owned(in) || (in->word & MAPSEG_LOCK_DIED) != 0;

    need(told || atomic_load(&in->repaired) != 0);
    check_lock(in, in->witness, told);
    check_name(in);
    end_witness(in);
}

/** Told from the moment on at which the word named a dead owner. */
void
check_haunted(struct scene *in)
{
    bool told = (in->word & (MAPSEG_LOCK_OWNER | MAPSEG_LOCK_DIED)) != 0;

    need(told || atomic_load(&in->haunted) == 0);
    check_lock(in, in->witness, told);
    check_name(in);
    end_witness(in);
}

/** The process that sleeps has done what it slept for. */
static void
await_heir(struct scene *in, int64_t begun)
{
    while (atomic_load(&in->heir_done) != atomic_load(&in->heir_call)) {
        need(now_ns() - begun < HANG);
        nap(20 * MICROSECOND);
    }
    if (now_ns() - begun > longest)
        longest = now_ns() - begun;
}

/** The one who slept for the lock has had it. */
void
check_heir(struct scene *in)
{
    uint32_t owner = in->word & MAPSEG_LOCK_OWNER;
    bool held = owner != 0 && owner == atomic_load(&in->slot);
    bool marked = !held && (in->word & MAPSEG_LOCK_DIED) != 0;
    int64_t begun = now_ns();

    need(held || !died_inside(in));
    witness_lets_go(in);
    await_heir(in, begun);
    /* A mark without an owner may have been met by the heir before. */
    need(marked || atomic_load(&in->heir_told) == held);
    check_lock(in, in->witness, false);
    check_name(in);
    end_witness(in);
}

/** Who slept for a change has seen one: the victim's, the repair, or one of the witness's. */
void
check_watcher(struct scene *in)
{
    bool held = word_owned(in);
    int64_t begun;

    need(held || !died_inside(in));
    check_lock(in, in->witness, held);
    need_result(MAPSEG_OK, mapseg_write_begin(in->witness));
    need_result(MAPSEG_OK, mapseg_write_end(in->witness));
    begun = now_ns();
    await_heir(in, begun);
    check_name(in);
    end_witness(in);
}

/** Attaches to what is there after the death, with no other process attached. */
void
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
void
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
void
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
void
look_at_filled(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);
    mapseg_result result = mapseg_attach(seg, MAPSEG_READ_ONLY);

    if (result == MAPSEG_OK) {
        const struct pair *pair = mapseg_const_data(seg);

        need(pair != NULL);
        need(pair->first == UNKEPT && pair->second == UNKEPT && pair->mark == UNKEPT);
    } else {
        need_result(MAPSEG_NOT_FOUND, result);
    }
    mapseg_free(seg);
}

/** The name leads to a whole segment at each moment: to the witness's, or to the new one. */
void
look_at_replaced(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_number(DATA_BYTES, mapseg_size(seg));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    mapseg_free(seg);
}

/** Nothing is there, or a whole segment that can be used. */
void
check_made(struct scene *in)
{
    look_at_name(&in->stage);
    need(!exists(in->stage.place.path));
    mapseg_free(created(in->stage.place.key, DATA_BYTES));
    need(!exists(in->stage.place.path));
}

/** The name of an unfinished file is found and cleared. */
void
check_old_made(struct scene *in)
{
    struct place private;
    mapseg *seg;

    snprintf(private.key, sizeof private.key, "%.200s.mapseg-%016" PRIx64, in->stage.place.key,
             private_number);
    path_of(private.path, private.key);
    seg = handle_for(private.key);
    check_made(in);
    if (exists(private.path))
        need_result(MAPSEG_OK, mapseg_reclaim(seg));
    need(!exists(private.path));
    mapseg_free(seg);
}

void
check_filled(struct scene *in)
{
    look_at_filled(&in->stage);
    check_made(in);
}

void
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
    need(pread(fd, &pair, sizeof pair, MAPSEG_HEADER_BYTES) == sizeof pair);
    (void)close(fd);
    return pair.mark;
}

/** The name leads to the debris, to a whole new segment, or nowhere; and the
 *  same can be done again. */
void
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

/** Clears away what a creator left by a private name. */
static void
clear_private_names(const struct place *place)
{
    mapseg_list *list;
    int found = 0;

    need_result(MAPSEG_OK, mapseg_list_new(&list));
    for (size_t i = 0; i < mapseg_list_count(list); i++) {
        const char *key = mapseg_list_get(list, i)->native_key;
        mapseg *seg = handle_for(key);

        if (msi_key_is_private(seg->key) && strncmp(key, place->key, strlen(place->key)) == 0) {
            need_result(MAPSEG_OK, mapseg_reclaim(seg));
            found++;
        }
        mapseg_free(seg);
    }
    need(found <= 1);
    mapseg_list_free(list);
}

/** The name leads to the witness's segment or to a whole new one, the witness does not mind, and
 *  the same can be done again. */
void
check_replaced(struct scene *in)
{
    uint64_t inode = inode_of(in->stage.place.path);
    mapseg *seg = handle_for(in->stage.place.key);
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    look_at_replaced(&in->stage);
    if (inode != in->inode)
        need(!exists(in->stage.place.path));
    clear_private_names(&in->stage.place);
    options.flags = MAPSEG_REPLACE;
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    need(inode_of(in->stage.place.path) != in->inode);
    check_lock(in, in->witness, false);
    mapseg_free(in->witness);
    in->witness = NULL;
    need(exists(in->stage.place.path));
    mapseg_free(seg);
    need(!exists(in->stage.place.path));
}

/** The name is gone or it is not; who is attached does not mind, and a new
 *  segment can have it. */
void
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
void
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

void
check_nothing(struct scene *in)
{
    (void)in;
}
