/*
 * check_endings.c - owners that are gone in other ways than by a signal: as another program, with
 * their thread, with their parent. The next is told if and only if the process is gone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "homes.h"
#include "record.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------ ends of processes -- */

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

/** The youngest: the lock is its grandparent's, then free. */
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
add_endings(Suite *suite, bool namespaces)
{
    TCase *tcase = new_case(suite, "endings");

    tcase_add_loop_test(tcase, exec_with_the_lock_is_a_death, 0, 2);
    tcase_add_test(tcase, program_that_was_started_keeps_no_lock);
    tcase_add_loop_test(tcase, every_ending_with_the_lock_is_told, 0, ENDINGS);
    tcase_add_loop_test(tcase, grandchild_is_told_of_its_grandparent, 0, 2);
    tcase_add_loop_test(tcase, lock_of_a_thread_that_ended, 0, 1);
    if (skip_unless(namespaces, "PID namespaces, which cannot be made here"))
        tcase_add_loop_test(tcase, lock_of_a_thread_that_ended, 1, 3);
    tcase_add_test(tcase, lock_of_a_first_thread_that_ended);
}

int
main(void)
{
    Suite *suite = new_suite("endings");
    bool namespaces = has_namespaces();

    add_endings(suite, namespaces);
    return run_suite(suite);
}
