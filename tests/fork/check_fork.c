/*
 * check_fork.c - what fork makes of attachments: the child has one of its own, or none.
 *
 * SPDX-License-Identifier: MIT
 */
#include "children.h"
#include "record.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---------------------------------------------------- an attachment of its own -- */

static void
use_copy(struct stage *stage, mapseg *seg)
{
    need(mapseg_is_attached(seg));
    need_number(DATA_BYTES, mapseg_size(seg));
    need(strcmp(mapseg_const_data(seg), "from the parent") == 0);
    strcpy(mapseg_data(seg), "from the child");
    need_attached_through(2, seg);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    atomic_store(&stage->ready, 1);
    await(&stage->go, 1);
    if (stage->number == 0)
        need_result(MAPSEG_OK, mapseg_detach(seg));
    else if (stage->number == 1)
        mapseg_free(seg);
    /* else it ends as it is */
}

START_TEST(child_is_an_attachment_of_its_own)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    const void *data = mapseg_const_data(seg);
    uint32_t slot = slot_in_maps(getpid(), stage->place.path);
    pid_t child;

    stage->number = _i;
    strcpy(mapseg_data(seg), "from the parent");
    child = fork_child(use_copy, stage, seg);
    await(&stage->ready, 1);
    need(strcmp(mapseg_const_data(seg), "from the child") == 0);
    need(mapseg_const_data(seg) == data);
    need_attached_through(2, seg);
    need_number(slot, slot_in_maps(getpid(), stage->place.path));
    need(slot_in_maps(child, stage->place.path) >= MAPSEG_FIRST_SLOT);
    need(slot_in_maps(child, stage->place.path) != slot);
    atomic_store(&stage->go, 1);
    finish(child);
    need_attached_through(1, seg);
    need(exists(stage->place.path));
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

static void
leave_last(struct stage *stage, mapseg *seg)
{
    atomic_store(&stage->ready, 1);
    await(&stage->go, 1);
    need_attached_through(1, seg);
    need(exists(stage->place.path));
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(!exists(stage->place.path));
}

START_TEST(child_may_be_the_last_one_out)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    pid_t child = fork_child(leave_last, stage, seg);

    await(&stage->ready, 1);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(exists(stage->place.path));
    atomic_store(&stage->go, 1);
    finish(child);
    mapseg_free(seg);
}
END_TEST

static void
try_read_only_copy(struct stage *stage, mapseg *seg)
{
    (void)stage;
    need(mapseg_is_attached(seg));
    need(mapseg_data(seg) == NULL);
    need(strcmp(mapseg_const_data(seg), "read me") == 0);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

START_TEST(read_only_copy)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *reader = handle_for(stage->place.key);

    strcpy(mapseg_data(seg), "read me");
    need_result(MAPSEG_OK, mapseg_attach(reader, MAPSEG_READ_ONLY));
    finish(fork_child(try_read_only_copy, stage, reader));
    need_attached_through(2, seg);
    mapseg_free(reader);
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

static void
be_grandchild(struct stage *stage, mapseg *seg)
{
    need(mapseg_is_attached(seg));
    need_attached_through(3, seg);
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    atomic_store(&stage->ready, 1);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    await(&stage->go, 1);
    need_attached_through(2, seg);
}

static void
have_grandchild(struct stage *stage, mapseg *seg)
{
    /* The middle one holds the lock at the second fork. */
    need_result(MAPSEG_OK, mapseg_lock(seg));
    atomic_store(&stage->pid, fork_child(be_grandchild, stage, seg));
    await(&stage->ready, 1);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

START_TEST(fork_of_a_fork)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    finish(fork_child(have_grandchild, stage, seg));
    need_attached_through(2, seg);
    atomic_store(&stage->go, 1);
    finish(atomic_load(&stage->pid));
    need_attached_through(1, seg);
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

#define HANDLES 40

START_TEST(every_handle_is_copied)
{
    struct stage *stages[HANDLES];
    mapseg *segs[HANDLES];
    pid_t child;

    for (int i = 0; i < HANDLES; i++) {
        stages[i] = new_stage();
        segs[i] = created(stages[i]->place.key, DATA_BYTES);
    }
    child = fork();
    need(child >= 0);
    if (child == 0) {
        for (int i = 0; i < HANDLES; i++) {
            need(mapseg_is_attached(segs[i]));
            need_attached_through(2, segs[i]);
            need_result(MAPSEG_OK, mapseg_lock(segs[i]));
            mapseg_free(segs[i]);
        }
        _exit(0);
    }
    finish(child);
    for (int i = 0; i < HANDLES; i++) {
        need_attached_through(1, segs[i]);
        need_result(MAPSEG_OK, mapseg_lock(segs[i]));
        mapseg_free(segs[i]);
        need(!exists(stages[i]->place.path));
    }
}
END_TEST

/* --------------------------------------------------------------- daemons -- */

#define DAEMONS 300

/** What the daemons and the reclaimer tell each other, in stage->told. */
enum { LEAVING, ROUND, TRIES };

/** The daemon's side: present with its parent gone, and last out. */
static void
live_on(struct stage *stage, mapseg *seg)
{
    uint64_t inode = inode_of(stage->place.path);

    need(mapseg_is_attached(seg));
    if (inode == 0 || inode != inode_attached(seg))
        atomic_fetch_add(&stage->wrong, 1);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    if (inode_of(stage->place.path) != inode)
        atomic_fetch_add(&stage->wrong, 1);
    need_attached_through(1, seg);
    atomic_store(&stage->told[LEAVING], 1);
    need_result(MAPSEG_OK, mapseg_detach(seg));
}

/** Creates, forks, and is gone at once: in one of two ways. */
static void
become_daemon(struct stage *stage)
{
    mapseg *seg;

    atomic_fetch_add(&stage->told[ROUND], 1);
    atomic_store(&stage->told[LEAVING], 0);
    seg = created(stage->place.key, DATA_BYTES);
    atomic_store(&stage->pid, fork_child(live_on, stage, seg));
    if (stage->number % 2 == 0)
        _exit(0);
    (void)kill(getpid(), SIGKILL);
}

/** Never finds the segment abandoned, unless the daemon is leaving it. */
static void
try_to_reclaim(struct stage *stage)
{
    mapseg *seg = handle_for(stage->place.key);

    while (atomic_load(&stage->go) < 2) {
        int round = atomic_load(&stage->told[ROUND]);
        mapseg_result result = mapseg_reclaim(seg);

        if (result == MAPSEG_OK && atomic_load(&stage->told[LEAVING]) == 0 &&
            atomic_load(&stage->told[ROUND]) == round)
            atomic_fetch_add(&stage->wrong, 1);
        need(result == MAPSEG_OK || result == MAPSEG_IN_USE || result == MAPSEG_NOT_FOUND);
        atomic_fetch_add(&stage->told[TRIES], 1);
    }
    mapseg_free(seg);
}

START_TEST(daemons_have_no_gap)
{
    struct stage *stage = new_stage();
    pid_t reclaimer = start(try_to_reclaim, stage);

    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    for (int round = 0; round < DAEMONS; round++) {
        pid_t parent;

        stage->number = round;
        atomic_store(&stage->go, 0);
        atomic_store(&stage->ready, 0);
        parent = start(become_daemon, stage);
        (void)end_of(parent);
        await(&stage->ready, 1);
        atomic_store(&stage->go, 1);
        finish(atomic_load(&stage->pid));
        /* The reclaimer may have been quicker, and not yet be done. */
        await_gone(stage->place.path);
        need_number(0, stage->wrong);
    }
    atomic_store(&stage->go, 2);
    finish(reclaimer);
    need_number(0, stage->wrong);
    need(stage->told[TRIES] > 0);
}
END_TEST

/* ---------------------------------------------------------------- memfds -- */

/** Counts up in the memory file. */
static void
count_in_memory(mapseg *seg)
{
    for (int round = 0; round < 5000; round++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(record_add(data_of(seg)));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
}

static void
count_then_die_with_lock(struct stage *stage, mapseg *seg)
{
    need(mapseg_is_attached(seg));
    need_attached_through(2, seg);
    count_in_memory(seg);
    atomic_store(&stage->ready, 1);
    await(&stage->go, 1);
    take_and_wait(stage, seg);
}

START_TEST(memory_files_across_fork)
{
    struct stage *stage = new_stage();
    mapseg *seg = created("memfd:", DATA_BYTES);
    pid_t child;

    record_init(data_of(seg));
    need_attached_through(1, seg);
    child = fork_child(count_then_die_with_lock, stage, seg);
    count_in_memory(seg);
    await(&stage->ready, 1);
    need_attached_through(2, seg);
    need_number(10000, ((struct record *)data_of(seg))->count);
    atomic_store(&stage->go, 1);
    await(&stage->ready, 2);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    kill_and_reap(child);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_attached_through(1, seg);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------------- left out -- */

/** Reads one byte of memory without a fault; false: nothing is mapped there. */
static bool
is_mapped(const void *address)
{
    int ends[2];
    bool mapped;

    need(pipe2(ends, O_CLOEXEC) == 0);
    mapped = write(ends[1], address, 1) == 1;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return mapped;
}

static void
miss_segment(struct stage *stage, mapseg *seg)
{
    need(!mapseg_is_attached(seg));
    need(mapseg_data(seg) == NULL && mapseg_const_data(seg) == NULL);
    need_number(0, mapseg_size(seg));
    need(!is_mapped(stage->address));
    need_number(0, slot_in_maps(getpid(), stage->place.path));
    need_result(MAPSEG_NOT_ATTACHED, mapseg_detach(seg));
    need_result(MAPSEG_LOCK_ERROR, mapseg_lock(seg));
    need_attached_through(1, seg);
    /* The handle is as good as new. */
    need_result(MAPSEG_OK, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_attached_through(2, seg);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    mapseg_free(seg);
}

START_TEST(no_fork_leaves_children_out)
{
    struct stage *stage = new_stage();
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(stage->place.key);

    options.flags = MAPSEG_NO_FORK;
    if (_i == 0) {
        need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    } else {
        leave_persistent(stage->place.key, DATA_BYTES, 0);
        need_result(MAPSEG_OK, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    }
    need_result(MAPSEG_OK, mapseg_lock(seg));
    stage->address = mapseg_const_data(seg);
    need(is_mapped(stage->address));
    finish(fork_child(miss_segment, stage, seg));
    need(mapseg_is_attached(seg));
    need_attached_through(1, seg);
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

/** What is left to a child that no handler ran in. */
static void
be_without_handlers(mapseg *seg)
{
    need(!mapseg_is_attached(seg));
    need(mapseg_const_data(seg) != NULL);
    need(strcmp(mapseg_const_data(seg), "still here") == 0);
    need_result(MAPSEG_NOT_ATTACHED, mapseg_lock(seg));
    need_result(MAPSEG_NOT_ATTACHED, mapseg_try_lock(seg));
    need_result(MAPSEG_NOT_ATTACHED, mapseg_lock_for(seg, 0));
    need(mapseg_unlock(seg) != MAPSEG_OK);
    need(mapseg_consistent(seg) != MAPSEG_OK);
    need_result(MAPSEG_NOT_ATTACHED, mapseg_detach(seg));
    mapseg_free(seg);
    _exit(0);
}

START_TEST(child_without_handlers)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t word;
    pid_t child = -1;

    strcpy(mapseg_data(seg), "still here");
    need_result(MAPSEG_OK, mapseg_lock(seg));
    word = lock_word(header);
    if (_i == 0)
        child = (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    if (_i == 1)
        child = _Fork();
#else
    if (_i == 1)
        return;
#endif
    if (child == 0)
        be_without_handlers(seg);
    need(child > 0);
    finish(child);
    need(mapseg_is_attached(seg));
    need(exists(stage->place.path));
    need_attached_through(1, seg);
    need_number(word, lock_word(header));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

/** Makes a segment as root, drops the right to open it, and forks. */
static void
fork_as_nobody(struct stage *stage)
{
    mapseg *seg = created(stage->number == 0 ? "memfd:" : stage->place.key, DATA_BYTES);

    strcpy(mapseg_data(seg), "still here");
    need(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
    finish(fork_child(be_unregistered, stage, seg));
    need(mapseg_is_attached(seg));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    (void)mapseg_detach(seg);
    mapseg_free(seg);
}

START_TEST(fork_after_dropping_privileges)
{
    struct stage *stage = new_stage();

    stage->number = _i;
    finish(start(fork_as_nobody, stage));
    if (exists(stage->place.path)) {
        mapseg *seg = handle_for(stage->place.key);

        /* The last one out was not allowed to remove it from its sticky directory. */
        need_number(MAPSEG_USE_LEFT, use_of(stage->place.key));
        need_result(MAPSEG_OK, mapseg_reclaim(seg));
        mapseg_free(seg);
    }
}
END_TEST

/* ------------------------------------------------------------------ main -- */

static void
add_attachments(Suite *suite)
{
    TCase *tcase = new_case(suite, "attachments");

    tcase_add_loop_test(tcase, child_is_an_attachment_of_its_own, 0, 3);
    tcase_add_test(tcase, child_may_be_the_last_one_out);
    tcase_add_test(tcase, read_only_copy);
    tcase_add_test(tcase, fork_of_a_fork);
    tcase_add_test(tcase, every_handle_is_copied);
    tcase_add_test(tcase, memory_files_across_fork);
    tcase_add_test(tcase, daemons_have_no_gap);
}

static void
add_left_out(Suite *suite)
{
    TCase *tcase = new_case(suite, "left out");

    tcase_add_loop_test(tcase, no_fork_leaves_children_out, 0, 2);
    tcase_add_loop_test(tcase, child_without_handlers, 0, 2);
    if (geteuid() == 0)
        tcase_add_loop_test(tcase, fork_after_dropping_privileges, 0, 2);
    else
        (void)puts("not root: no privileges to drop");
}

int
main(void)
{
    Suite *suite;

    suite = new_suite("fork");
    add_attachments(suite);
    add_left_out(suite);
    return run_suite(suite);
}
