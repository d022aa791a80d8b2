/* check_fork.c - what fork makes of attachments and of the lock. */

#include "support.h"
#include "record.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096

/** What a forked child does with its copy of the handle. */
typedef void child_body(struct stage *stage, mapseg *seg);

/** Forks a child that runs the body and ends with status 0. Unlike one of
 *  start() it outlives its parent. */
static pid_t
fork_child(child_body *body, struct stage *stage, mapseg *seg)
{
    pid_t pid = fork();

    if (pid == 0) {
        body(stage, seg);
        _exit(0);
    }
    need(pid > 0);
    return pid;
}

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

/* ------------------------------------------------------------------ lock -- */

static void
wait_for_parents_lock(struct stage *stage, mapseg *seg)
{
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    need_result(MAPSEG_NOT_LOCKED, mapseg_consistent(seg));
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, 120 * MILLISECOND));
    atomic_store(&stage->ready, 1);
    need_result((mapseg_result)stage->number, mapseg_lock(seg));
    need(atomic_load(&stage->go) == 1);
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

START_TEST(lock_at_the_fork_stays_the_parents)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t word;
    pid_t child;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    word = lock_word(header);
    stage->number = MAPSEG_OK;
    child = fork_child(wait_for_parents_lock, stage, seg);
    await(&stage->ready, 1);
    await_word(header, MAPSEG_LOCK_SLEEPERS);
    need_number(word, lock_word(header) & MAPSEG_LOCK_OWNER);
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    atomic_store(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    finish(child);
    need_number(0, lock_word(header));
    mapseg_free(seg);
}
END_TEST

static void
free_copy(struct stage *stage, mapseg *seg)
{
    (void)stage;
    mapseg_free(seg);
}

START_TEST(child_that_leaves_does_not_release)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    struct mapseg_header *header = map_header(stage->place.path);
    uint32_t word;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    word = lock_word(header);
    finish(fork_child(free_copy, stage, seg));
    need_number(word, lock_word(header));
    need_attached_through(1, seg);
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}
END_TEST

static void *
hold_in_thread(void *argument)
{
    struct stage *stage = ((void **)argument)[0];
    mapseg *seg = ((void **)argument)[1];

    need_result(MAPSEG_OK, mapseg_lock(seg));
    atomic_store(&stage->wrong, 1);
    await(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    return NULL;
}

START_TEST(fork_while_another_thread_holds)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    void *arguments[2] = {stage, seg};
    pthread_t thread;
    pid_t child;

    stage->number = MAPSEG_OK;
    need(pthread_create(&thread, NULL, hold_in_thread, arguments) == 0);
    await(&stage->wrong, 1);
    child = fork_child(wait_for_parents_lock, stage, seg);
    await(&stage->ready, 1);
    atomic_store(&stage->go, 1);
    need(pthread_join(thread, NULL) == 0);
    finish(child);
    mapseg_free(seg);
}
END_TEST

static void
take_and_wait(struct stage *stage, mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_lock(seg));
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        (void)pause();
}

START_TEST(killed_child_leaves_its_lock_to_the_parent)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    for (int round = 0; round < 5; round++) {
        pid_t child;

        atomic_store(&stage->ready, 0);
        child = fork_child(take_and_wait, stage, seg);
        await(&stage->ready, 1);
        need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
        kill_and_reap(child);
        need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
        need_result(MAPSEG_OK, mapseg_consistent(seg));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        need_attached_through(1, seg);
    }
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

/** Holds the lock, forks one who waits for it, and waits to be killed. */
static void
hold_over_fork(struct stage *stage)
{
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    stage->number = MAPSEG_OWNER_DIED;
    atomic_store(&stage->pid, fork_child(wait_for_parents_lock, stage, seg));
    for (;;)
        (void)pause();
}

START_TEST(killed_parent_leaves_its_lock_to_the_child)
{
    struct stage *stage = new_stage();
    pid_t parent;
    mapseg *seg;

    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    parent = start(hold_over_fork, stage);
    await(&stage->ready, 1);
    need(kill(parent, SIGSTOP) == 0);
    atomic_store(&stage->go, 1);
    kill_and_reap(parent);
    finish(atomic_load(&stage->pid));
    /* The child has ended without detaching: debris. */
    need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
    seg = handle_for(stage->place.key);
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    mapseg_free(seg);
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

/* ------------------------------------------------------------- left out -- */

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

/** A child whose file could not be opened anew for it. */
static void
be_unregistered(struct stage *stage, mapseg *seg)
{
    (void)stage;
    need(!mapseg_is_attached(seg));
    need(strcmp(mapseg_const_data(seg), "still here") == 0);
    need_result(MAPSEG_NOT_ATTACHED, mapseg_lock(seg));
    mapseg_free(seg);
}

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

        need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
        need_result(MAPSEG_OK, mapseg_reclaim(seg));
        mapseg_free(seg);
    }
}
END_TEST

/* ----------------------------------------------------------------- leaks -- */

/** The child has what the parent had, but for the segment that it has no part
 *  in. */
static void
compare_counts(struct stage *stage, mapseg *seg)
{
    need_number(stage->told[0] - 1, count_descriptors());
    need(mapseg_is_attached(seg));
    need(count_shared_mappings() < stage->told[1]);
}

START_TEST(forks_leak_nothing)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *out = handle_for("memfd:");
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    int descriptors;
    int mappings;

    options.flags = MAPSEG_NO_FORK;
    need_result(MAPSEG_OK, mapseg_create_with(out, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    /* The first fork may set up what the later ones use. */
    finish(fork_child(free_copy, stage, seg));
    descriptors = count_descriptors();
    mappings = count_shared_mappings();
    stage->told[0] = (int)descriptors;
    stage->told[1] = (int)mappings;
    for (int round = 0; round < 200; round++)
        finish(fork_child(round % 2 == 0 ? compare_counts : free_copy, stage, seg));
    need_number(descriptors, count_descriptors());
    need_number(mappings, count_shared_mappings());
    need_attached_through(1, seg);
    need_attached_through(1, out);
    mapseg_free(out);
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

/** In generations: a child's child's child has no more than the first had. */
static void
beget(struct stage *stage, mapseg *seg)
{
    need_number(stage->told[0], count_descriptors());
    need_number(stage->told[1], count_shared_mappings());
    if (atomic_fetch_add(&stage->ready, 1) < 30)
        finish(fork_child(beget, stage, seg));
    need_result(MAPSEG_OK, mapseg_detach(seg));
}

START_TEST(generations_leak_nothing)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);

    stage->told[0] = count_descriptors();
    stage->told[1] = count_shared_mappings();
    finish(fork_child(beget, stage, seg));
    need_number(31, stage->ready);
    need_attached_through(1, seg);
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

extern char **environ;

/** How this program, started again, says what it has open: its exit status. */
#define REPORT_OPEN "--report-open"

/** Descriptors beyond the standard ones that lead to a segment's file. */
static int
report_open(const char *name)
{
    int count = 0;

    for (int fd = 3; fd < 256; fd++) {
        char link[40];
        char target[200];
        ssize_t length;

        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        length = readlink(link, target, sizeof(target) - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        if (strstr(target, name) != NULL || strstr(target, "memfd") != NULL)
            count++;
    }
    return count;
}

START_TEST(spawned_programs_get_nothing)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    mapseg *memory = handle_for("memfd:");
    char *arguments[] = {(char[]){"check_fork"}, (char[]){REPORT_OPEN}, stage->place.path, NULL};
    int descriptors;

    need_result(MAPSEG_OK, mapseg_create(memory, DATA_BYTES, MAPSEG_READ_WRITE));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    descriptors = count_descriptors();
    for (int round = 0; round < 10; round++) {
        pid_t pid;

        need(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
        need_attached_through(1, seg);
        finish(pid);
        pid = vfork();
        if (pid == 0) {
            (void)execv("/proc/self/exe", arguments);
            _exit(99);
        }
        need(pid > 0);
        finish(pid);
    }
    need_number(descriptors, count_descriptors());
    need(mapseg_is_attached(seg));
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_attached_through(1, seg);
    mapseg_free(memory);
    mapseg_free(seg);
    need(!exists(stage->place.path));
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

/* -------------------------------------------------------------- bad luck -- */

/** Fork fails, more than once, and nothing of it stays. */
static void
fail_to_fork(struct stage *stage)
{
    struct rlimit none = {0, 0};
    int descriptors;
    int mappings;
    mapseg *seg;

    if (geteuid() == 0)
        need(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
    seg = created(stage->place.key, DATA_BYTES);
    need(setrlimit(RLIMIT_NPROC, &none) == 0);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need(fork() == -1 && errno == EAGAIN);
    descriptors = count_descriptors();
    mappings = count_shared_mappings();
    for (int round = 0; round < 100; round++)
        need(fork() == -1);
    need_number(descriptors, count_descriptors());
    need_number(mappings, count_shared_mappings());
    need(mapseg_is_attached(seg));
    need_attached_through(1, seg);
    need_result(MAPSEG_ALREADY_LOCKED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
    need(!exists(stage->place.path));
}

START_TEST(failing_fork_leaves_nothing)
{
    finish(start(fail_to_fork, new_stage()));
}
END_TEST

/** No descriptor is left for the child's presence: it gets no attachment, the
 *  fork itself goes well. */
static void
fork_without_descriptors(struct stage *stage)
{
    struct rlimit limit;
    mapseg *seg = created(stage->place.key, DATA_BYTES);
    int fd = dup(STDERR_FILENO);

    strcpy(mapseg_data(seg), "still here");
    need(fd >= 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0);
    (void)close(fd);
    limit.rlim_cur = (rlim_t)fd;
    need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    finish(fork_child(be_unregistered, stage, seg));
    limit.rlim_cur = limit.rlim_max;
    need(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    need_attached_through(1, seg);
    mapseg_free(seg);
    need(!exists(stage->place.path));
}

START_TEST(fork_without_a_descriptor_to_spare)
{
    finish(start(fork_without_descriptors, new_stage()));
}
END_TEST

/* --------------------------------------------------------------- threads -- */

#define FORKS 120

struct busy {
    struct stage *stage;
    const struct place *place;
    mapseg *steady;
};

/** Attaches and detaches while the main thread forks. */
static void *
attach_in_thread(void *argument)
{
    struct busy *busy = argument;

    while (atomic_load(&busy->stage->go) == 0) {
        mapseg *seg = attached(busy->place->key, MAPSEG_READ_WRITE);

        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(record_add(data_of(seg)));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
        mapseg_free(seg);
        atomic_fetch_add(&busy->stage->ready, 1);
    }
    return NULL;
}

/** Locks the handle that the forks are about. */
static void *
lock_in_thread(void *argument)
{
    struct busy *busy = argument;

    while (atomic_load(&busy->stage->go) == 0) {
        need_result(MAPSEG_OK, mapseg_lock(busy->steady));
        need(record_add(data_of(busy->steady)));
        need_result(MAPSEG_OK, mapseg_unlock(busy->steady));
        atomic_fetch_add(&busy->stage->told[0], 1);
    }
    return NULL;
}

static void
lock_a_little(struct stage *stage, mapseg *seg)
{
    (void)stage;
    need(mapseg_is_attached(seg));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    for (int round = 0; round < 20; round++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(record_add(data_of(seg)));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    need_result(MAPSEG_OK, mapseg_detach(seg));
}

START_TEST(forks_among_busy_threads)
{
    struct stage *stage = new_stage();
    struct place second;
    struct busy busy = {.stage = stage, .place = &second};
    pthread_t threads[4];
    mapseg *other;

    new_place(&second);
    leave_persistent(second.key, DATA_BYTES, 0);
    other = attached(second.key, MAPSEG_READ_WRITE);
    record_init(data_of(other));
    busy.steady = created(stage->place.key, DATA_BYTES);
    record_init(data_of(busy.steady));
    for (int i = 0; i < 4; i++)
        need(pthread_create(&threads[i], NULL, i < 2 ? attach_in_thread : lock_in_thread, &busy) ==
             0);
    for (int round = 0; round < FORKS; round++)
        finish(fork_child(lock_a_little, stage, busy.steady));
    atomic_store(&stage->go, 1);
    for (int i = 0; i < 4; i++)
        need(pthread_join(threads[i], NULL) == 0);
    need_number(stage->told[0] + 20 * FORKS, ((struct record *)data_of(busy.steady))->count);
    need_number(stage->ready, ((struct record *)data_of(other))->count);
    need_attached_through(1, busy.steady);
    need_attached_through(1, other);
    mapseg_free(busy.steady);
    mapseg_free(other);
    need(!exists(stage->place.path));
    remove_persistent(second.key);
}
END_TEST

/** Two threads fork at the same time. */
static void *
fork_in_thread(void *argument)
{
    struct busy *busy = argument;

    for (int round = 0; round < FORKS / 2; round++)
        finish(fork_child(lock_a_little, busy->stage, busy->steady));
    return NULL;
}

START_TEST(threads_fork_at_once)
{
    struct stage *stage = new_stage();
    struct busy busy = {.stage = stage};
    pthread_t threads[3];

    busy.steady = created(stage->place.key, DATA_BYTES);
    record_init(data_of(busy.steady));
    for (int i = 0; i < 3; i++)
        need(pthread_create(&threads[i], NULL, fork_in_thread, &busy) == 0);
    for (int i = 0; i < 3; i++)
        need(pthread_join(threads[i], NULL) == 0);
    need_number(3 * 20 * (FORKS / 2), ((struct record *)data_of(busy.steady))->count);
    need_attached_through(1, busy.steady);
    mapseg_free(busy.steady);
    need(!exists(stage->place.path));
}
END_TEST

#define LINGERERS 40

/** Handles that threads attach and detach while the main thread forks. */
struct flux {
    struct stage *stage;
    struct place places[2];
    mapseg *segs[2];
};

static void *
attach_again_and_again(void *argument)
{
    struct flux *flux = argument;

    while (atomic_load(&flux->stage->go) == 0) {
        need_result(MAPSEG_OK, mapseg_attach(flux->segs[0], MAPSEG_READ_WRITE));
        need_result(MAPSEG_OK, mapseg_detach(flux->segs[0]));
    }
    return NULL;
}

static void *
create_again_and_again(void *argument)
{
    struct flux *flux = argument;

    while (atomic_load(&flux->stage->go) == 0) {
        mapseg_result result = mapseg_create(flux->segs[1], DATA_BYTES, MAPSEG_READ_WRITE);

        /* A child has its own attachment for a moment. */
        need(result == MAPSEG_OK || result == MAPSEG_ALREADY_EXISTS);
        if (result == MAPSEG_OK)
            need_result(MAPSEG_OK, mapseg_detach(flux->segs[1]));
    }
    return NULL;
}

/** Lives on, without the handles, whatever state the fork found them in. */
static void
linger(struct stage *stage, mapseg **segs)
{
    for (int i = 0; i < 2; i++) {
        mapseg_result result = mapseg_detach(segs[i]);

        need(result == MAPSEG_OK || result == MAPSEG_NOT_ATTACHED);
        need(!mapseg_is_attached(segs[i]));
    }
    need_number(0, report_open("/dev/shm/"));
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 2);
}

START_TEST(lingering_children_keep_nothing)
{
    struct flux flux = {.stage = new_stage()};
    struct stage *stage = flux.stage;
    pthread_t threads[2];
    pid_t children[LINGERERS];

    for (int i = 0; i < 2; i++) {
        new_place(&flux.places[i]);
        flux.segs[i] = handle_for(flux.places[i].key);
    }
    leave_persistent(flux.places[0].key, DATA_BYTES, 0);
    need(pthread_create(&threads[0], NULL, attach_again_and_again, &flux) == 0);
    need(pthread_create(&threads[1], NULL, create_again_and_again, &flux) == 0);
    for (int i = 0; i < LINGERERS; i++) {
        children[i] = fork();
        need(children[i] >= 0);
        if (children[i] == 0) {
            linger(stage, flux.segs);
            _exit(0);
        }
        nap(MILLISECOND);
    }
    await(&stage->ready, LINGERERS);
    atomic_store(&stage->go, 1);
    for (int i = 0; i < 2; i++)
        need(pthread_join(threads[i], NULL) == 0);
    /* All have detached, none has ended: nobody is there. */
    need_attached(0, flux.places[0].key);
    need(!exists(flux.places[1].path));
    need_result(MAPSEG_OK, mapseg_attach(flux.segs[0], MAPSEG_READ_WRITE));
    need_attached_through(1, flux.segs[0]);
    need_result(MAPSEG_OK, mapseg_detach(flux.segs[0]));
    need_result(MAPSEG_OK, mapseg_reclaim(flux.segs[0]));
    atomic_store(&stage->go, 2);
    for (int i = 0; i < LINGERERS; i++)
        finish(children[i]);
    for (int i = 0; i < 2; i++)
        mapseg_free(flux.segs[i]);
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
add_locks(Suite *suite)
{
    TCase *tcase = new_case(suite, "locks");

    tcase_add_test(tcase, lock_at_the_fork_stays_the_parents);
    tcase_add_test(tcase, child_that_leaves_does_not_release);
    tcase_add_test(tcase, fork_while_another_thread_holds);
    tcase_add_test(tcase, killed_child_leaves_its_lock_to_the_parent);
    tcase_add_test(tcase, killed_parent_leaves_its_lock_to_the_child);
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

static void
add_leaks(Suite *suite)
{
    TCase *tcase = new_case(suite, "leaks");

    tcase_add_test(tcase, forks_leak_nothing);
    tcase_add_test(tcase, generations_leak_nothing);
    tcase_add_test(tcase, spawned_programs_get_nothing);
    tcase_add_test(tcase, failing_fork_leaves_nothing);
    tcase_add_test(tcase, fork_without_a_descriptor_to_spare);
}

static void
add_threads(Suite *suite)
{
    TCase *tcase = new_case(suite, "threads");

    tcase_add_test(tcase, forks_among_busy_threads);
    tcase_add_test(tcase, threads_fork_at_once);
    tcase_add_test(tcase, lingering_children_keep_nothing);
}

int
main(int argc, char **argv)
{
    Suite *suite;

    if (argc == 3 && strcmp(argv[1], REPORT_OPEN) == 0)
        return report_open(argv[2]);
    suite = new_suite("fork");
    add_attachments(suite);
    add_locks(suite);
    add_left_out(suite);
    add_leaks(suite);
    add_threads(suite);
    return run_suite(suite);
}
