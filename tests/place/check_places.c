/*
 * check_places.c - one lock between processes that hardly see each other: of
 * other PID namespaces and other users, with numbers that were another's
 * before; and owners that are gone in other ways than by a signal.
 *
 * What needs root is skipped without.
 */

#include "locking.h"
#include "record.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096
#define ADDITIONS 20000
/** A living owner is not robbed within this. */
#define PATIENCE (300 * MILLISECOND)

/* -------------------------------------------------------------- processes -- */

/** Starts a process that is the first of a PID namespace of its own. The number
 *  returned is the one it has in ours. */
static pid_t
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

/** How processes are started that share the lock. */
enum home { HERE, APART };

static pid_t
start_at(enum home home, void (*body)(struct stage *stage), struct stage *stage)
{
    return home == APART ? start_apart(body, stage) : start(body, stage);
}

/** Waits until so many are ready. */
static pid_t
start_ready(enum home home, void (*body)(struct stage *stage), struct stage *stage)
{
    int before = atomic_load(&stage->ready);
    pid_t pid = start_at(home, body, stage);

    await(&stage->ready, before + 1);
    return pid;
}

/** Holds the lock until killed. */
static void
hold_for_ever(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need(mapseg_result_owes_unlock(mapseg_lock(seg)));
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        nap(SECOND);
}

/** Counts under the lock. */
static void
add_many(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    for (int i = 0; i < ADDITIONS; i++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(record_add(data_of(seg)));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}

/** The owner is alive: nobody gets the lock, however they ask. */
static void
need_kept(mapseg *seg)
{
    int64_t end = now_ns() + PATIENCE;

    need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, PATIENCE));
    while (now_ns() < end + PATIENCE / 4) {
        need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
        need_result(MAPSEG_TIMED_OUT, mapseg_lock_for(seg, 100 * MICROSECOND));
    }
}

/** The owner is dead: who comes next is told, at once. */
static void
need_told(mapseg *seg)
{
    need_result(MAPSEG_OWNER_DIED, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

/** A segment with a record, and nobody attached. */
static struct mapseg_header *
make_record(const struct place *place)
{
    mapseg *seg;

    leave_persistent(place->key, DATA_BYTES, 0);
    seg = attached(place->key, MAPSEG_READ_WRITE);
    record_init(data_of(seg));
    mapseg_free(seg);
    return map_header(place->path);
}

static void
need_count(const struct place *place, uint64_t count)
{
    mapseg *seg = attached(place->key, MAPSEG_READ_WRITE);

    need_number(count, ((struct record *)data_of(seg))->count);
    mapseg_free(seg);
}

/* ---------------------------------------------------------- PID namespaces -- */

static const struct {
    enum home one;
    enum home other;
} homes[] = {{HERE, APART}, {APART, HERE}, {APART, APART}};

#define HOMES 3

START_TEST(namespaces_exclude_each_other)
{
    struct stage *stage = new_stage();
    pid_t one;
    pid_t other;

    (void)make_record(&stage->place);
    one = start_ready(homes[_i].one, add_many, stage);
    other = start_ready(homes[_i].other, add_many, stage);
    need_attached(2, stage->place.key);
    atomic_store(&stage->go, 1);
    finish(one);
    finish(other);
    need_count(&stage->place, 2 * ADDITIONS);
    remove_persistent(stage->place.key);
}
END_TEST

/** Meets an owner whose number may be its own. */
static void
wait_for_the_dead(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);

    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    need_kept(seg);
    atomic_fetch_add(&stage->ready, 1);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}

START_TEST(death_is_told_in_another_namespace)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    pid_t owner;
    pid_t waiter;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    owner = start_ready(homes[_i].one, hold_for_ever, stage);
    waiter = start_ready(homes[_i].other, wait_for_the_dead, stage);
    await_word(header, MAPSEG_LOCK_SLEEPERS);
    need_number(0, recoveries_of(header));
    kill_and_reap(owner);
    finish(waiter);
    need_number(1, recoveries_of(header));
    need_number(0, lock_word(header));
    remove_persistent(stage->place.key);
}
END_TEST

START_TEST(stopped_owner_in_another_namespace_is_not_robbed)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    pid_t owner;
    mapseg *seg;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    owner = start_ready(APART, hold_lock, stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need(kill(owner, SIGSTOP) == 0);
    need_kept(seg);
    need_number(0, recoveries_of(header));
    need(kill(owner, SIGCONT) == 0);
    atomic_store(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    finish(owner);
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/** The first process of a namespace, with an owner beside it. */
static void
keep_an_owner(struct stage *stage)
{
    (void)start(hold_for_ever, stage);
    for (;;)
        nap(SECOND);
}

START_TEST(owner_dies_with_its_namespace)
{
    struct stage *stage = new_stage();
    pid_t first;
    mapseg *seg;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    first = start_ready(APART, keep_an_owner, stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(seg));
    /* Reaped when all of the namespace is gone. */
    kill_and_reap(first);
    need_told(seg);
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/* ------------------------------------------------------- numbers used again -- */

/** The next process or thread of this namespace gets this number. */
static void
choose_next_number(pid_t number)
{
    FILE *file = fopen("/proc/sys/kernel/ns_last_pid", "w");

    need(file != NULL);
    need(fprintf(file, "%d", (int)number - 1) > 0);
    need(fclose(file) == 0);
}

/** Has the dead owner's number. */
static void
be_another(struct stage *stage)
{
    mapseg *seg;

    need_number(stage->number, getpid());
    need_number(stage->number, syscall(SYS_gettid));
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    atomic_fetch_add(&stage->ready, 1);
    if (atomic_load(&stage->pid) != 0) {
        /* Does not mistake the dead one's lock for its own. */
        need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
        need_told(seg);
    }
    await(&stage->go, 1);
    mapseg_free(seg);
}

/** In a namespace: one dies as the owner, another gets its number. */
static void
use_a_number_twice(struct stage *stage)
{
    bool itself = atomic_load(&stage->pid) != 0;
    pid_t first = start_ready(HERE, hold_for_ever, stage);
    pid_t second;
    mapseg *seg;

    kill_and_reap(first);
    stage->number = first;
    choose_next_number(first);
    second = start_ready(HERE, be_another, stage);
    need_number(first, second);
    if (!itself) {
        seg = attached(stage->place.key, MAPSEG_READ_WRITE);
        need_told(seg);
        mapseg_free(seg);
    }
    atomic_store(&stage->go, 1);
    finish(second);
}

START_TEST(number_of_a_dead_owner_is_used_again)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    atomic_store(&stage->pid, _i);
    finish(start_apart(use_a_number_twice, stage));
    need_number(1, recoveries_of(header));
    need_number(0, lock_word(header));
    remove_persistent(stage->place.key);
}
END_TEST

/* ----------------------------------------------------------------- two users -- */

/** The options with which two users share a segment. */
static mapseg_options
shared_options(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = (uint32_t)MAPSEG_ALLOW_OTHER_OWNER | (uint32_t)MAPSEG_ALLOW_SHARED_WRITE |
                    (uint32_t)MAPSEG_PERSISTENT;
    options.mode = 0666;
    return options;
}

static mapseg *
attached_with_others(const struct place *place)
{
    mapseg_options options = shared_options();
    mapseg *seg = handle_for(place->key);

    need_result(MAPSEG_OK, mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options));
    return seg;
}

static void
create_for_both(struct stage *stage)
{
    mapseg_options options = shared_options();
    mapseg *seg = handle_for(stage->place.key);

    if (stage->number != 0)
        become_nobody();
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    record_init(data_of(seg));
    mapseg_free(seg);
}

static void
add_as_either(struct stage *stage)
{
    mapseg *seg = attached_with_others(&stage->place);

    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    for (int i = 0; i < ADDITIONS; i++) {
        need_result(MAPSEG_OK, mapseg_lock(seg));
        need(record_add(data_of(seg)));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    }
    mapseg_free(seg);
}

static void
add_as_nobody(struct stage *stage)
{
    become_nobody();
    add_as_either(stage);
}

static void
hold_as_either(struct stage *stage)
{
    mapseg *seg = attached_with_others(&stage->place);

    need_result(MAPSEG_OK, mapseg_lock(seg));
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        nap(SECOND);
}

static void
hold_as_nobody(struct stage *stage)
{
    become_nobody();
    hold_as_either(stage);
}

static void
inherit_as_either(struct stage *stage)
{
    mapseg *seg = attached_with_others(&stage->place);

    need_kept(seg);
    atomic_fetch_add(&stage->ready, 1);
    need_result(MAPSEG_OWNER_DIED, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}

static void
inherit_as_nobody(struct stage *stage)
{
    become_nobody();
    inherit_as_either(stage);
}

/** Which of the two made the segment: 0 root, 1 nobody. */
START_TEST(two_users_share_the_lock)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    mapseg *seg;
    pid_t one;
    pid_t other;

    stage->number = _i;
    finish(start(create_for_both, stage));
    header = map_header(stage->place.path);
    one = start_ready(HERE, add_as_either, stage);
    other = start_ready(HERE, add_as_nobody, stage);
    need_attached(2, stage->place.key);
    atomic_store(&stage->go, 1);
    finish(one);
    finish(other);
    seg = attached_with_others(&stage->place);
    need_number(2 * ADDITIONS, ((struct record *)data_of(seg))->count);
    mapseg_free(seg);

    one = start_ready(HERE, hold_as_either, stage);
    other = start_ready(HERE, inherit_as_nobody, stage);
    kill_and_reap(one);
    finish(other);
    one = start_ready(HERE, hold_as_nobody, stage);
    other = start_ready(HERE, inherit_as_either, stage);
    kill_and_reap(one);
    finish(other);
    need_number(2, recoveries_of(header));
    need_number(0, lock_word(header));
    remove_persistent(stage->place.key);
}
END_TEST

/** The last one out, which may not unlink another user's name. */
static void
leave_as_nobody(struct stage *stage)
{
    mapseg *seg;

    become_nobody();
    seg = attached_with_others(&stage->place);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need(!mapseg_is_attached(seg));
    mapseg_free(seg);
}

START_TEST(last_one_out_may_not_remove_anothers_name)
{
    struct stage *stage = new_stage();
    mapseg_options options = shared_options();
    mapseg *seg = handle_for(stage->place.key);
    pid_t other;

    options.flags &= ~(uint32_t)MAPSEG_PERSISTENT;
    need_result(MAPSEG_OK, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    other = start_ready(HERE, leave_as_nobody, stage);
    need_result(MAPSEG_IN_USE, mapseg_reclaim(seg));
    mapseg_free(seg);
    need(exists(stage->place.path));
    atomic_store(&stage->go, 1);
    finish(other);
    need(exists(stage->place.path));
    need_number(MAPSEG_USE_STALE, use_of(stage->place.key));
    seg = handle_for(stage->place.key);
    need_result(MAPSEG_OK, mapseg_reclaim(seg));
    mapseg_free(seg);
    need(!exists(stage->place.path));
}
END_TEST

/* ----------------------------------------------------------- other endings -- */

static void *
become_another_program(void *argument)
{
    (void)argument;
    (void)execl("/bin/sleep", "sleep", "1000", (char *)NULL);
    _exit(1);
}

/** Holds the lock, and goes on as another program. */
static void
exec_with_the_lock(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    pthread_t thread;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    atomic_fetch_add(&stage->ready, 1);
    if (stage->number != 0)
        need(pthread_create(&thread, NULL, become_another_program, NULL) == 0 &&
             pthread_join(thread, NULL) == 0);
    else
        (void)become_another_program(NULL);
}

/** The lock comes to be free of its owner, who is told to the next. */
static void
await_told(mapseg *seg)
{
    need_result(MAPSEG_OWNER_DIED, mapseg_lock_for(seg, HANG));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
}

START_TEST(exec_with_the_lock_is_a_death)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t pid;
    int status;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    stage->number = _i;
    pid = start_ready(HERE, exec_with_the_lock, stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    await_told(seg);
    need_number(0, waitpid(pid, &status, WNOHANG));
    kill_and_reap(pid);
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/** Holds the lock beside a program that it has started. */
static void
hold_beside_a_program(struct stage *stage)
{
    static char sleep[] = "sleep";
    static char time[] = "1000";
    char *arguments[] = {sleep, time, NULL};
    char *environment[] = {NULL};
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    pid_t pid;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    need(posix_spawn(&pid, "/bin/sleep", NULL, NULL, arguments, environment) == 0);
    atomic_store(&stage->pid, pid);
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        nap(SECOND);
}

START_TEST(program_that_was_started_keeps_no_lock)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t owner;
    pid_t child;
    int status;

    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    leave_persistent(stage->place.key, DATA_BYTES, 0);
    owner = start_ready(HERE, hold_beside_a_program, stage);
    child = atomic_load(&stage->pid);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_kept(seg);
    kill_and_reap(owner);
    need_told(seg);
    need_number(0, waitpid(child, &status, WNOHANG));
    kill_and_reap(child);
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

static void *
end_process(void *argument)
{
    _exit(*(int *)argument);
}

#ifdef __SANITIZE_ADDRESS__
#define LEAKS_ARE_COUNTED true
#elif defined(__has_feature)
#define LEAKS_ARE_COUNTED __has_feature(address_sanitizer)
#else
#define LEAKS_ARE_COUNTED false
#endif

/** Takes the lock and ends without a word. */
static void
end_with_the_lock(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    pthread_t thread;
    int zero = 0;

    need_result(MAPSEG_OK, mapseg_lock(seg));
    switch (stage->number) {
    case 0:
        _exit(0);
    case 1:
        /* The only thread there is. That is exit(), where a sanitizer would
         * count what the test runner has not freed in this copy of it. */
        if (LEAKS_ARE_COUNTED)
            _exit(0);
        pthread_exit(NULL);
    case 2:
        need(pthread_create(&thread, NULL, end_process, &zero) == 0);
        (void)pthread_join(thread, NULL);
        break;
    case 3:
        /* Nothing is owed when the handle goes first. */
        mapseg_free(seg);
        break;
    default:
        (void)raise(SIGUSR1);
    }
}

#define ENDINGS 5

START_TEST(every_ending_with_the_lock_is_told)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    int status;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
    stage->number = _i;
    status = end_of(start(end_with_the_lock, stage));
    need_number(_i == 4 ? 128 + SIGUSR1 : 0, status);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    if (_i == 3) {
        need_result(MAPSEG_OK, mapseg_try_lock(seg));
        need_result(MAPSEG_OK, mapseg_unlock(seg));
    } else {
        need_told(seg);
    }
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/* ------------------------------------------------------------ generations -- */

static mapseg *inherited;

/** The youngest: the lock is its grandparent's, then nobody's. */
static void
be_grandchild(struct stage *stage)
{
    mapseg_result result;

    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(inherited));
    need_kept(inherited);
    atomic_fetch_add(&stage->ready, 1);
    result = mapseg_lock(inherited);
    need(mapseg_result_owes_unlock(result));
    atomic_fetch_add(&stage->told[result], 1);
    need_result(MAPSEG_OK, mapseg_consistent(inherited));
    need(record_add(data_of(inherited)));
    need_result(MAPSEG_OK, mapseg_unlock(inherited));
    need_result(MAPSEG_OK, mapseg_detach(inherited));
    atomic_fetch_add(&stage->ready, 1);
    _exit(0);
}

/** Its parent, which holds nothing and is gone at once, or stays. */
static void
be_child(struct stage *stage)
{
    pid_t pid;

    need_result(MAPSEG_WOULD_BLOCK, mapseg_try_lock(inherited));
    pid = fork();
    if (pid == 0)
        be_grandchild(stage);
    need(pid > 0);
    while (stage->number != 0)
        nap(SECOND);
    _exit(0);
}

static void
be_grandparent(struct stage *stage)
{
    pid_t pid;

    inherited = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_result(MAPSEG_OK, mapseg_lock(inherited));
    pid = fork();
    if (pid == 0)
        be_child(stage);
    need(pid > 0);
    atomic_store(&stage->pid, pid);
    for (;;)
        nap(SECOND);
}

START_TEST(grandchild_is_told_of_its_grandparent)
{
    struct stage *stage = new_stage();
    pid_t grandparent;
    int status;

    need(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    (void)make_record(&stage->place);
    stage->number = _i;
    grandparent = start_ready(HERE, be_grandparent, stage);
    kill_and_reap(grandparent);
    await(&stage->ready, 2);
    need_number(1, stage->told[MAPSEG_OWNER_DIED]);
    need_count(&stage->place, 1);
    if (_i != 0)
        need(kill(atomic_load(&stage->pid), SIGKILL) == 0);
    while (waitpid(-1, &status, 0) > 0)
        ;
    need_attached(0, stage->place.key);
    remove_persistent(stage->place.key);
}
END_TEST

/* ------------------------------------------------- threads that are gone -- */

/** What a thread finds out. */
struct finding {
    mapseg *seg;
    mapseg_result result;
    pthread_t self;
    pid_t tid;
};

static void *
lock_and_end(void *argument)
{
    struct finding *finding = argument;

    finding->self = pthread_self();
    finding->tid = (pid_t)syscall(SYS_gettid);
    finding->result = mapseg_lock(finding->seg);
    return NULL;
}

static void *
try_in_thread(void *argument)
{
    struct finding *finding = argument;

    finding->self = pthread_self();
    finding->tid = (pid_t)syscall(SYS_gettid);
    finding->result = mapseg_try_lock(finding->seg);
    return NULL;
}

static void
run_thread(void *(*body)(void *argument), struct finding *finding)
{
    pthread_t thread;

    need(pthread_create(&thread, NULL, body, finding) == 0);
    need(pthread_join(thread, NULL) == 0);
}

/** Gives the system time before the next try; true. Ends the process after too many. */
static bool
nap_of_try(int tries)
{
    need(tries < HANG / MILLISECOND);
    nap(MILLISECOND);
    return true;
}

/** A thread takes the lock and ends; the lock stays the process's. */
static void
lose_a_thread(struct stage *stage)
{
    mapseg *seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    struct finding owner = {.seg = seg};
    struct finding heir = {.seg = seg};

    run_thread(lock_and_end, &owner);
    need_result(MAPSEG_OK, owner.result);
    need_kept(seg);
    for (int i = 0, tries = 0; i < 20; i++) {
        do {
            if (stage->number != 0)
                choose_next_number(owner.tid);
            run_thread(try_in_thread, &heir);
            need_result(MAPSEG_WOULD_BLOCK, heir.result);
            /* A thread that was joined may keep its number for a moment. */
        } while (stage->number != 0 && heir.tid != owner.tid && nap_of_try(++tries));
        need(pthread_equal(heir.self, owner.self));
    }
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    if (stage->number == 2)
        _exit(0);
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    need_result(MAPSEG_NOT_LOCKED, mapseg_unlock(seg));
    need_result(MAPSEG_OK, mapseg_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
}

/** 0: only the thread's handle in the process is used again; 1, 2: its number
 *  in the kernel too; 2: the process ends instead of unlocking. */
START_TEST(lock_of_a_thread_that_ended)
{
    struct stage *stage = new_stage();
    struct mapseg_header *header;
    mapseg *seg;
    pid_t pid;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    header = map_header(stage->place.path);
    stage->number = _i;
    pid = start_ready(_i == 0 ? HERE : APART, lose_a_thread, stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_kept(seg);
    need_number(0, recoveries_of(header));
    atomic_store(&stage->go, 1);
    finish(pid);
    need_result(_i == 2 ? MAPSEG_OWNER_DIED : MAPSEG_OK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_consistent(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/** The first thread, which has the process's number, ends with the lock. */
static void *
outlive_the_first(void *argument)
{
    struct stage *stage = argument;

    need_kept(inherited);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need_result(MAPSEG_OK, mapseg_unlock(inherited));
    mapseg_free(inherited);
    _exit(0);
}

static void
end_first_thread(struct stage *stage)
{
    pthread_t thread;

    inherited = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_result(MAPSEG_OK, mapseg_lock(inherited));
    need(pthread_create(&thread, NULL, outlive_the_first, stage) == 0);
    pthread_exit(NULL);
}

START_TEST(lock_of_a_first_thread_that_ended)
{
    struct stage *stage = new_stage();
    mapseg *seg;
    pid_t pid;

    leave_persistent(stage->place.key, DATA_BYTES, 0);
    pid = start_ready(HERE, end_first_thread, stage);
    seg = attached(stage->place.key, MAPSEG_READ_WRITE);
    need_kept(seg);
    atomic_store(&stage->go, 1);
    finish(pid);
    need_result(MAPSEG_OK, mapseg_try_lock(seg));
    need_result(MAPSEG_OK, mapseg_unlock(seg));
    mapseg_free(seg);
    remove_persistent(stage->place.key);
}
END_TEST

/* ------------------------------------------------------------------ main -- */

static void
add_namespaces(Suite *suite)
{
    TCase *tcase = new_case(suite, "namespaces");

    tcase_add_loop_test(tcase, namespaces_exclude_each_other, 0, HOMES);
    tcase_add_loop_test(tcase, death_is_told_in_another_namespace, 0, HOMES);
    tcase_add_test(tcase, stopped_owner_in_another_namespace_is_not_robbed);
    tcase_add_test(tcase, owner_dies_with_its_namespace);
    tcase_add_loop_test(tcase, number_of_a_dead_owner_is_used_again, 0, 2);
    tcase_add_loop_test(tcase, lock_of_a_thread_that_ended, 1, 3);
}

static void
add_users(Suite *suite)
{
    TCase *tcase = new_case(suite, "users");

    tcase_add_loop_test(tcase, two_users_share_the_lock, 0, 2);
    tcase_add_test(tcase, last_one_out_may_not_remove_anothers_name);
}

static void
add_endings(Suite *suite)
{
    TCase *tcase = new_case(suite, "endings");

    tcase_add_loop_test(tcase, exec_with_the_lock_is_a_death, 0, 2);
    tcase_add_test(tcase, program_that_was_started_keeps_no_lock);
    tcase_add_loop_test(tcase, every_ending_with_the_lock_is_told, 0, ENDINGS);
    tcase_add_loop_test(tcase, grandchild_is_told_of_its_grandparent, 0, 2);
    tcase_add_loop_test(tcase, lock_of_a_thread_that_ended, 0, 1);
    tcase_add_test(tcase, lock_of_a_first_thread_that_ended);
}

/** Whether PID namespaces can be made and their numbers chosen. */
static bool
has_namespaces(void)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(unshare(CLONE_NEWPID) == 0 && access("/proc/sys/kernel/ns_last_pid", W_OK) == 0 ? 0
                                                                                              : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int
main(void)
{
    Suite *suite = new_suite("places");
    bool namespaces = has_namespaces();
    bool users = geteuid() == 0;

    if (skip_unless(namespaces, "PID namespaces, which cannot be made here"))
        add_namespaces(suite);
    if (skip_unless(users, "two users, which only root can be"))
        add_users(suite);
    add_endings(suite);
    return run_suite(suite);
}
