/*
 * check_handlers.c - what the guard leaves to the program: its own handling of SIGBUS, the other
 * signals, and the way in which a process ends.
 *
 * SPDX-License-Identifier: MIT
 */
#include "handlers.h"

#include <pthread.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* ------------------------------------------------------ the program's handler -- */

START_TEST(handler_with_info_gets_faults_elsewhere)
{
    volatile char *page = broken_page();
    mapseg *seg;

    handle(jump_with_info, NULL, _i == 0 ? 0 : SA_NODEFER);
    seg = guarded();
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    for (int i = 1; i <= 100; i++) {
        ck_assert(jumps_at(page + i));
        ck_assert_int_eq(calls, i);
        ck_assert_ptr_eq(called_for, (void *)(uintptr_t)(page + i));
        ck_assert_int_eq(called_code, BUS_ADRERR);
        ck_assert(had_context);
        /* Its runtime calls handlers with a mask of its own. */
        ck_assert(under_race_detector() || usr1_was_blocked);
        ck_assert(under_race_detector() || bus_was_blocked == (_i == 0));
        if (i == 50)
            need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    }
    mapseg_free(seg);
}
END_TEST

START_TEST(classic_handler_gets_faults_elsewhere)
{
    volatile char *page = broken_page();
    mapseg *seg;

    handle(NULL, jump_plainly, 0);
    seg = guarded();
    for (int i = 1; i <= 100; i++) {
        ck_assert(jumps_at(page));
        ck_assert_int_eq(calls, i);
        ck_assert(bus_was_blocked);
        ck_assert(under_race_detector() || !usr1_was_blocked);
    }
    mapseg_free(seg);
}
END_TEST

/// A section's faults are none of the program's business; all others of that very memory are.
START_TEST(outside_of_sections_the_program_gets_all)
{
    struct scene scene;
    mapseg *other;
    char *data;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, 0);
    other = attached(scene.key, MAPSEG_READ_WRITE);
    data = mapseg_data(scene.seg);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_end(scene.seg));
    need_call(MAPSEG_OK, other, mapseg_guard_begin(other));
    tell(&scene.peer, 'h');
    ck_assert(jumps_at(data + PAGE));
    ck_assert_ptr_eq(called_for, data + PAGE);
    ck_assert(jumps_at(data + PAGE));
    ck_assert_int_eq(calls, 2);
    check_data(other, 0);
    ck_assert_int_eq(calls, 2);
    ck_assert(jumps_at(data + PAGE));
    need_call(MAPSEG_FILE_SHRUNK, other, mapseg_guard_end(other));
    mapseg_free(other);
    tear_down(&scene);
}
END_TEST

/// Jumping out of a handler, over the guard's, leaves the sections in order.
START_TEST(sections_go_on_after_a_jump)
{
    volatile char *page = broken_page();
    struct scene scene;

    handle(jump_with_info, NULL, 0);
    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    ck_assert(jumps_at(page));
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    ck_assert(jumps_at(page));
    ck_assert_int_eq(calls, 2);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

START_TEST(sent_signals_reach_the_handler)
{
    const union sigval value = {.sival_int = 4711};
    mapseg *seg;

    handle(return_with_info, NULL, 0);
    seg = guarded();
    need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    ck_assert_int_eq(raise(SIGBUS), 0);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(called_code, SI_TKILL);
    ck_assert_int_eq(sigqueue(getpid(), SIGBUS, value), 0);
    ck_assert_int_eq(calls, 2);
    ck_assert_int_eq(called_code, SI_QUEUE);
    ck_assert_int_eq(called_value, 4711);
    ck_assert(had_context);
    need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    mapseg_free(seg);
}
END_TEST

static struct sigaction replaced;

static void
count_and_chain(int number, siginfo_t *info, void *context)
{
    calls += 1;
    replaced.sa_sigaction(number, info, context);
}

/// A handler that the program installs later, and that calls the one it replaces.
START_TEST(later_handler_that_chains)
{
    struct sigaction action;
    struct scene scene;

    set_up(&scene, 0);
    need_call(MAPSEG_OK, scene.seg, mapseg_guard_begin(scene.seg));
    memset(&action, 0, sizeof action);
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = count_and_chain;
    ck_assert_int_eq(sigaction(SIGBUS, &action, &replaced), 0);
    ck_assert(replaced.sa_flags & SA_SIGINFO);
    ck_assert(replaced.sa_flags & SA_ONSTACK);
    tell(&scene.peer, 'm');
    check_data(scene.seg, SIZE / 2);
    ck_assert_int_eq(calls, 1);
    need_call(MAPSEG_FILE_SHRUNK, scene.seg, mapseg_guard_end(scene.seg));
    tear_down(&scene);
}
END_TEST

/* ---------------------------------------------------------- ends of processes -- */

/// What the child below does about SIGBUS, and then meets.
struct fate {
    void (*handler)(int); ///< NULL: SIG_DFL
    int flags;
    void (*meet)(const struct fate *fate);
    bool in_section;
    int expected;
};

static void
meet_fault(const struct fate *fate)
{
    volatile char *page = broken_page();

    (void)fate;
    (void)*page;
}

static void
meet_raise(const struct fate *fate)
{
    (void)fate;
    raise(SIGBUS);
}

static void
meet_kill(const struct fate *fate)
{
    (void)fate;
    kill(getpid(), SIGBUS);
}

static void
meet_queue(const struct fate *fate)
{
    const union sigval value = {.sival_int = 1};

    (void)fate;
    sigqueue(getpid(), SIGBUS, value);
}

/// A second one finds the handler gone that was to be used once.
static void
meet_two_faults(const struct fate *fate)
{
    volatile char *page = broken_page();

    (void)fate;
    if (!jumps_at(page) || calls != 1)
        _exit(BAD);
    (void)*page;
}

static void
meet_raise_after_one(const struct fate *fate)
{
    (void)fate;
    raise(SIGBUS);
    if (calls != 1)
        _exit(BAD);
    raise(SIGBUS);
}

/// A handler that repairs nothing, and gives up at the second call.
static void
give_up(int number)
{
    calls += number == SIGBUS;
    if (calls == 2)
        _exit(WELL);
}

#define KILLED (128 + SIGBUS)

static const struct fate fates[] = {
    {SIG_DFL, 0, meet_fault, false, KILLED},
    {SIG_DFL, 0, meet_fault, true, KILLED},
    {SIG_DFL, 0, meet_raise, false, KILLED},
    {SIG_DFL, 0, meet_raise, true, KILLED},
    {SIG_DFL, 0, meet_kill, true, KILLED},
    {SIG_DFL, 0, meet_queue, true, KILLED},
    {SIG_IGN, 0, meet_fault, false, KILLED},
    {SIG_IGN, 0, meet_fault, true, KILLED},
    {SIG_IGN, 0, meet_raise, true, WELL},
    {SIG_IGN, 0, meet_kill, true, WELL},
    {SIG_IGN, 0, meet_queue, false, WELL},
    {give_up, 0, meet_fault, true, WELL},
    {jump_plainly, (int)SA_RESETHAND, meet_two_faults, false, KILLED},
    {give_up, (int)SA_RESETHAND, meet_raise_after_one, true, KILLED},
};

/// A child's own segment, without a name: nothing is left behind when it is killed.
static mapseg *
nameless_file(void)
{
    char path[KEY_BYTES];
    char key[KEY_BYTES];
    mapseg *seg;

    unique_key(key);
    path_of(path, key);
    seg = mapseg_new();
    if (seg == NULL || mapseg_set_native_key(seg, key) != MAPSEG_OK ||
        mapseg_create(seg, SIZE, MAPSEG_READ_WRITE) != MAPSEG_OK || unlink(path) != 0)
        _exit(BAD);
    return seg;
}

static void
without_core(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
}

static int
meet_fate(void *argument)
{
    const struct fate *fate = argument;
    mapseg *seg;

    without_core();
    handle(NULL, fate->handler, fate->flags);
    seg = nameless_file();
    if (mapseg_guard_begin(seg) != MAPSEG_OK ||
        (!fate->in_section && mapseg_guard_end(seg) != MAPSEG_OK))
        return BAD;
    fate->meet(fate);
    return WELL;
}

START_TEST(signal_does_what_it_did_before)
{
    struct fate fate = fates[_i];

    ck_assert_int_eq(in_child(meet_fate, &fate), fate.expected);
}
END_TEST

/// Outside of any test, so libcheck must not hear of it.
static bool
can_trace(void)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? WELL : BAD);
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == WELL;
}

/// The signal that a traced child dies of, with what came with it.
START_TEST(fatal_fault_keeps_its_place)
{
    siginfo_t info;
    int deaths = 0;
    int status;
    pid_t child;

    memset(&info, 0, sizeof info);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct fate fate = fates[1];

        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(BAD);
        _exit(meet_fate(&fate));
    }
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        long number = WSTOPSIG(status);

        if (number == SIGBUS) {
            deaths++;
            ck_assert_int_eq(ptrace(PTRACE_GETSIGINFO, child, NULL, &info), 0);
        }
        ck_assert_int_eq(ptrace(PTRACE_CONT, child, NULL, number), 0);
    }
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGBUS);
    ck_assert_int_eq(deaths, 2);
    ck_assert_int_eq(info.si_code, BUS_ADRERR);
}
END_TEST

/// What an ignored signal did not interrupt is not interrupted now.
START_TEST(ignored_signal_interrupts_no_read)
{
    pid_t self = getpid();
    int ends[2];
    pid_t child;
    mapseg *seg;
    char byte;

    handle(NULL, SIG_IGN, 0);
    seg = guarded();
    ck_assert_int_eq(pipe(ends), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        for (int i = 0; i < 20; i++) {
            nap(5 * MILLISECOND);
            kill(self, SIGBUS);
        }
        nap(5 * MILLISECOND);
        _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
    }
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    ck_assert_int_eq(end_of(child), 0);
    mapseg_free(seg);
}
END_TEST

/* ----------------------------------------------------------- what is untouched -- */

struct signals {
    struct sigaction actions[65];
    sigset_t mask;
};

static void
take_signals(struct signals *signals)
{
    memset(signals, 0, sizeof *signals);
    for (int number = 1; number <= 64; number++)
        (void)sigaction(number, NULL, &signals->actions[number]);
    pthread_sigmask(SIG_SETMASK, NULL, &signals->mask);
}

static bool
same_action(const struct sigaction *a, const struct sigaction *b)
{
    if (a->sa_handler != b->sa_handler || a->sa_flags != b->sa_flags)
        return false;
    /* Not memcmp: libc leaves what is beyond the last signal as it was. */
    for (int number = 1; number <= 64; number++)
        if (sigismember(&a->sa_mask, number) != sigismember(&b->sa_mask, number))
            return false;
    return true;
}

static void
check_signals(const struct signals *before)
{
    struct signals now;

    take_signals(&now);
    for (int number = 1; number <= 64; number++) {
        ck_assert_msg(same_action(&now.actions[number], &before->actions[number]),
                      "what signal %d does has changed", number);
        ck_assert_int_eq(sigismember(&now.mask, number), sigismember(&before->mask, number));
    }
}

/// All kinds of calls.
static void
use(mapseg *seg)
{
    mapseg_info *information;
    uint64_t version;
    char bytes[100];

    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 10, "abc", 3));
    need_call(MAPSEG_OK, seg, mapseg_read(seg, 0, bytes, sizeof bytes, &version));
    need_call(MAPSEG_OK, seg, mapseg_read_begin(seg, &version));
    ck_assert(!mapseg_read_retry(seg, version));
    need_call(MAPSEG_TIMED_OUT, seg, mapseg_wait(seg, version, NULL, 1000000));
    ck_assert_int_ge(notify_fd(seg), 0);
    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    mapseg_info_free(information);
}

START_TEST(signals_are_left_alone)
{
    struct signals before;
    sigset_t bus;
    char key[KEY_BYTES];
    mapseg *seg, *other;

    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    pthread_sigmask(SIG_BLOCK, &bus, NULL);
    take_signals(&before);
    unique_key(key);
    seg = created(key, SIZE);
    other = attached(key, MAPSEG_READ_ONLY);
    use(seg);
    need_call(MAPSEG_OK, other, mapseg_lock(other));
    need_call(MAPSEG_OK, other, mapseg_unlock(other));
    mapseg_free(other);
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    mapseg_free(seg);
    check_signals(&before);
}
END_TEST

START_TEST(sealed_segment_needs_no_handler)
{
    struct signals before;
    struct footprint footprint;
    sigset_t bus;
    mapseg *seg;

    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    pthread_sigmask(SIG_BLOCK, &bus, NULL);
    take_signals(&before);
    seg = handle_for("memfd:");
    need_call(MAPSEG_NOT_ATTACHED, seg, mapseg_guard_begin(seg));
    need_call(MAPSEG_INVALID_ARGUMENT, seg, mapseg_guard_end(seg));
    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    take_footprint(&footprint, NULL);
    for (int i = 0; i < 100; i++)
        need_call(MAPSEG_OK, seg, mapseg_guard_begin(seg));
    memset(mapseg_data(seg), FILL, SIZE);
    check_data(seg, SIZE);
    for (int i = 0; i < 100; i++)
        need_call(MAPSEG_OK, seg, mapseg_guard_end(seg));
    check_footprint(&footprint, NULL);
    use(seg);
    mapseg_free(seg);
    check_signals(&before);
}
END_TEST

/// The first section touches SIGBUS, and nothing else.
START_TEST(section_touches_one_signal)
{
    struct signals before, after;
    struct sigaction *action = &after.actions[SIGBUS];
    mapseg *seg;

    handle(jump_with_info, NULL, SA_RESTART | SA_NODEFER);
    take_signals(&before);
    seg = guarded();
    take_signals(&after);
    ck_assert(action->sa_sigaction != jump_with_info);
    ck_assert_int_eq(action->sa_flags & (SA_RESTART | SA_NODEFER | SA_SIGINFO | SA_ONSTACK),
                     SA_RESTART | SA_NODEFER | SA_SIGINFO | SA_ONSTACK);
    ck_assert_int_eq(sigismember(&action->sa_mask, SIGUSR1), 1);
    ck_assert_int_eq(sigismember(&action->sa_mask, SIGUSR2), 0);
    before.actions[SIGBUS] = *action;
    check_signals(&before);
    mapseg_free(seg);
    check_signals(&before);
}
END_TEST

/* -------------------------------------------------------------------- suite -- */

static void
add_handlers(Suite *suite)
{
    TCase *group = new_case(suite, "handlers");

    tcase_add_loop_test(group, handler_with_info_gets_faults_elsewhere, 0, 2);
    tcase_add_test(group, classic_handler_gets_faults_elsewhere);
    tcase_add_test(group, outside_of_sections_the_program_gets_all);
    tcase_add_test(group, sections_go_on_after_a_jump);
    tcase_add_test(group, sent_signals_reach_the_handler);
    tcase_add_test(group, later_handler_that_chains);
    tcase_add_loop_test(group, signal_does_what_it_did_before, 0,
                        (int)(sizeof fates / sizeof fates[0]));
    if (skip_unless(can_trace(), "tracing is not allowed here"))
        tcase_add_test(group, fatal_fault_keeps_its_place);
    tcase_add_test(group, ignored_signal_interrupts_no_read);
    tcase_add_test(group, signals_are_left_alone);
    tcase_add_test(group, sealed_segment_needs_no_handler);
    tcase_add_test(group, section_touches_one_signal);
}

int
main(void)
{
    Suite *suite = new_suite("handlers");

    add_handlers(suite);
    return run_suite(suite);
}
