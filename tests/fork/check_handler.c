/*
 * check_handler.c - fork() in a handler of signals that came in the middle of a call.
 *
 * A signal is raised at each call of the system that an operation makes, one after the other. One
 * that can wait is handled when nothing is half done, and the child has all attachments. A fault
 * cannot: its child has none. The operation itself, and what the process does afterwards, is as
 * ever.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "sync/presence.h"
#include "os/signals.h"
#include "support.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Why a process ends in a way that it should not. */
enum end { WELL = 0, SET_UP = 3, IN_CHILD, NOT_HANDLED, OPERATION, AFTERWARDS, MASK };

/* ---------------------------------------------------------- the signal -- */

static struct msi_os_operations healthy;

static struct {
    int number;  /* the signal */
    int nth;     /* the call that it is raised at; 0: none */
    int calls;   /* made so far */
    bool raised; /* it has been */
    bool starve; /* no description can be opened */
} plan;

/* Not of the thread that the library starts. */
static _Thread_local bool is_test;

static void
count_call(void)
{
    if (!is_test || plan.nth == 0 || ++plan.calls != plan.nth)
        return;
    plan.nth = 0;
    plan.raised = true;
    (void)raise(plan.number);
}

#define WRAP(type, name, parameters, arguments)                                                    \
    static type raising_##name parameters                                                          \
    {                                                                                              \
        count_call();                                                                              \
        return healthy.name arguments;                                                             \
    }

WRAP(int, status, (int fd, struct stat *status), (fd, status))
WRAP(int, lock_range_ofd, (int fd, enum msi_range_kind kind, int64_t start, int64_t bytes),
     (fd, kind, start, bytes))
WRAP(int, lock_range_process, (int fd, enum msi_range_kind kind, int64_t start, int64_t bytes),
     (fd, kind, start, bytes))
WRAP(int, test_range,
     (int fd, enum msi_range_kind kind, int64_t start, int64_t bytes, struct msi_range *found),
     (fd, kind, start, bytes, found))
WRAP(void *, map, (int fd, size_t bytes, int64_t offset, enum msi_protection how, int *error),
     (fd, bytes, offset, how, error))
WRAP(int, hide_from_children, (void *address, size_t bytes), (address, bytes))

static int
raising_open(int directory, const char *name, int flags)
{
    count_call();
    return plan.starve ? -EMFILE : healthy.open(directory, name, flags);
}

static int
raising_reopen(int fd, int flags)
{
    count_call();
    return plan.starve ? -EMFILE : healthy.reopen(fd, flags);
}

static void
raising_close(int fd)
{
    count_call();
    healthy.close(fd);
}

static void
raising_unmap(void *address, size_t bytes)
{
    count_call();
    healthy.unmap(address, bytes);
}

static void
install_hooks(void)
{
    healthy = msi_os;
    is_test = true;
    msi_os.open = raising_open;
    msi_os.reopen = raising_reopen;
    msi_os.close = raising_close;
    msi_os.status = raising_status;
    msi_os.lock_range_ofd = raising_lock_range_ofd;
    msi_os.lock_range_process = raising_lock_range_process;
    msi_os.test_range = raising_test_range;
    msi_os.map = raising_map;
    msi_os.unmap = raising_unmap;
    msi_os.hide_from_children = raising_hide_from_children;
}

/* ----------------------------------------------------------- the child -- */

static char key[KEY_BYTES];    /* of the segment that operations are about */
static mapseg *bystander;      /* attached to another one all the time */
static mapseg *seg;            /* what the operation uses */
static mapseg *spare;          /* unused until a child attaches by it */
static bool child_goes_on;     /* it returns into the interrupted call */
static bool is_child;          /* it has done so, and is here */
static volatile int child_end; /* of the child that the handler made; -1: none yet */

/** Whether the child has the attachment and may use it. */
static bool
can_use(mapseg *handle)
{
    return mapseg_is_attached(handle) && mapseg_lock(handle) == MAPSEG_OK &&
           mapseg_unlock(handle) == MAPSEG_OK;
}

/** Whether the handle is not attached, and says so in time. */
static bool
is_useless(mapseg *handle)
{
    return !mapseg_is_attached(handle) && mapseg_lock(handle) == MAPSEG_NOT_ATTACHED &&
           mapseg_detach(handle) == MAPSEG_NOT_ATTACHED;
}

static int
look_around(unsigned depth)
{
    if (depth == 0)
        /* Without a description there is no attachment to inherit. */
        return can_use(bystander) || plan.starve ? WELL : IN_CHILD;
    /* Nothing can be attached either: the list is in the hands of the call. */
    return is_useless(bystander) && mapseg_attach(spare, MAPSEG_READ_WRITE) != MAPSEG_OK &&
                   !mapseg_is_attached(spare)
               ? WELL
               : IN_CHILD;
}

/** Waits for a child as a handler may; one that hangs is the test's to end. */
static int
end_in_handler(pid_t child)
{
    int status;

    if (child < 0 || waitpid(child, &status, 0) != child)
        return SET_UP;
    return WIFEXITED(status) ? WEXITSTATUS(status) : IN_CHILD;
}

static void
fork_here(int number)
{
    unsigned depth = msi_signals_depth();
    pid_t child = fork();

    (void)number;
    if (child == 0 && child_goes_on && depth > 0) {
        is_child = true;
        return;
    }
    if (child == 0)
        _exit(look_around(depth));
    child_end = end_in_handler(child);
}

/* ------------------------------------------------------ the operations -- */

struct operation {
    const char *name;
    void (*prepare)(void);
    bool (*run)(void); /* whether it came to what it should */
};

static void
attach_seg(void)
{
    if (mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK)
        _exit(SET_UP);
}

static void
nothing(void)
{
}

static bool
run_attach(void)
{
    return mapseg_attach(seg, MAPSEG_READ_WRITE) == MAPSEG_OK && can_use(seg);
}

static bool
run_detach(void)
{
    return mapseg_detach(seg) == MAPSEG_OK;
}

static void
another_key(void)
{
    char another[KEY_BYTES];

    unique_key(another);
    if (mapseg_set_native_key(seg, another) != MAPSEG_OK)
        _exit(SET_UP);
}

static bool
run_create(void)
{
    return mapseg_create(seg, 5000, MAPSEG_READ_WRITE) == MAPSEG_OK && can_use(seg) &&
           mapseg_detach(seg) == MAPSEG_OK;
}

static bool
run_info(void)
{
    mapseg_info *information;
    bool well = mapseg_info_new(seg, &information) == MAPSEG_OK;

    mapseg_info_free(information);
    return well;
}

static bool
run_list(void)
{
    mapseg_list *list;
    bool well = mapseg_list_new(&list) == MAPSEG_OK;

    mapseg_list_free(list);
    return well;
}

static void
own_segment(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    another_key();
    options.flags = MAPSEG_PERSISTENT;
    if (mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options) != MAPSEG_OK ||
        mapseg_detach(seg) != MAPSEG_OK)
        _exit(SET_UP);
}

static bool
run_remove(void)
{
    return mapseg_remove(seg) == MAPSEG_OK;
}

static bool
run_watch(void)
{
    return notify_fd(seg) >= 0 && mapseg_detach(seg) == MAPSEG_OK;
}

static int channel[2];

static void
send_one(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel) != 0 ||
        mapseg_set_native_key(seg, "memfd:") != MAPSEG_OK ||
        mapseg_create(seg, 100, MAPSEG_READ_WRITE) != MAPSEG_OK ||
        mapseg_send(seg, channel[0], MAPSEG_READ_WRITE) != MAPSEG_OK ||
        mapseg_detach(seg) != MAPSEG_OK)
        _exit(SET_UP);
}

static bool
run_receive(void)
{
    return mapseg_receive(seg, channel[1], MAPSEG_READ_WRITE) == MAPSEG_OK &&
           mapseg_send(seg, channel[1], MAPSEG_READ_WRITE) == MAPSEG_OK;
}

static _Noreturn int
lock_and_die(void *argument)
{
    mapseg *owner = handle_for(key);

    (void)argument;
    if (mapseg_attach(owner, MAPSEG_READ_WRITE) != MAPSEG_OK || mapseg_lock(owner) != MAPSEG_OK)
        _exit(SET_UP);
    _exit(WELL);
}

static void
leave_dead_owner(void)
{
    if (in_child(lock_and_die, NULL) != WELL)
        _exit(SET_UP);
    attach_seg();
}

static bool
run_recover(void)
{
    return mapseg_lock(seg) == MAPSEG_OWNER_DIED && mapseg_consistent(seg) == MAPSEG_OK &&
           mapseg_unlock(seg) == MAPSEG_OK;
}

static void
leave_dead_owner_and_starve(void)
{
    leave_dead_owner();
    plan.starve = true;
}

static bool
run_recover_by_process(void)
{
    bool well = run_recover();

    plan.starve = false;
    return well;
}

static bool
run_fork(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(can_use(seg) && can_use(bystander) ? WELL : IN_CHILD);
    return child > 0 && end_of(child) == WELL;
}

static bool
run_close(void)
{
    int fd = dup(STDERR_FILENO);

    msi_close(fd);
    return fd >= 0;
}

static const struct operation operations[] = {
    {"attach", nothing, run_attach},
    {"detach", attach_seg, run_detach},
    {"create", another_key, run_create},
    {"info", nothing, run_info},
    {"list", nothing, run_list},
    {"remove", own_segment, run_remove},
    {"watch", attach_seg, run_watch},
    {"receive and send", send_one, run_receive},
    {"recover", leave_dead_owner, run_recover},
    {"recover without descriptors", leave_dead_owner_and_starve, run_recover_by_process},
    {"fork", attach_seg, run_fork},
    {"close", nothing, run_close},
};
#define OPERATIONS (int)(sizeof operations / sizeof operations[0])

/* ----------------------------------------------------------- the tests -- */

/** The bystander and a persistent segment, in the process that will be interrupted. */
static void
set_up(void)
{
    char another[KEY_BYTES];
    struct sigaction action = {.sa_handler = fork_here};

    unique_key(another);
    bystander = created(another, 100);
    seg = handle_for(key);
    spare = handle_for(key);
    child_end = -1;
    (void)sigaction(SIGALRM, &action, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
}

/** Whether fork() and the handles work as ever, and no signal is blocked. */
static int
look_afterwards(void)
{
    sigset_t mask;

    (void)mapseg_detach(seg);
    if (!can_use(bystander) || mapseg_set_native_key(seg, key) != MAPSEG_OK || !run_attach() ||
        !run_fork() || mapseg_detach(seg) != MAPSEG_OK)
        return AFTERWARDS;
    if (pthread_sigmask(SIG_BLOCK, NULL, &mask) != 0 || sigismember(&mask, SIGALRM) ||
        sigismember(&mask, SIGTERM) || msi_signals_depth() != 0)
        return MASK;
    return WELL;
}

/** What remains of the interrupted call in a child that has returned into it. */
static _Noreturn void
go_on_in_child(void)
{
    /* What it has attached belongs to no process. */
    if (mapseg_is_attached(seg) || mapseg_is_attached(bystander))
        _exit(IN_CHILD);
    _exit(mapseg_attach(spare, MAPSEG_READ_WRITE) == MAPSEG_OK && can_use(spare) ? WELL : IN_CHILD);
}

/** Runs an operation that is interrupted, if it makes so many calls; -1: it does not. */
static int
interrupt(void *argument)
{
    const struct operation *operation = argument;
    int nth = plan.nth;
    bool well;
    int end;

    plan.nth = 0;
    set_up();
    operation->prepare();
    plan.calls = 0;
    plan.nth = nth;
    well = operation->run();
    plan.nth = 0;
    if (is_child)
        go_on_in_child();
    if (plan.raised && child_end != WELL)
        end = child_end == -1 ? NOT_HANDLED : child_end;
    else
        end = well ? look_afterwards() : OPERATION;
    mapseg_free(bystander);
    mapseg_free(seg);
    return end == WELL && !plan.raised ? 100 : end;
}

/** Interrupts an operation at each call that it makes; how many these are. */
static int
interrupt_everywhere(const struct operation *operation, int number)
{
    int nth;
    int end = WELL;

    unique_key(key);
    leave_persistent(key, 100, 0);
    install_hooks();
    for (nth = 1; end == WELL; nth++) {
        plan.number = number;
        plan.nth = nth;
        end = in_child(interrupt, (void *)(uintptr_t)operation);
        if (end != WELL && end != 100)
            ck_abort_msg("%s, signal %d at call %d: %d", operation->name, number, nth, end);
    }
    msi_os = healthy;
    seg = handle_for(key);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
    return nth - 2;
}

/// A signal that can wait does so, and the handler's child inherits the attachments.
START_TEST(signal_waits)
{
    ck_assert_int_gt(interrupt_everywhere(&operations[_i], SIGALRM), 0);
}
END_TEST

/// A fault cannot: its handler's child inherits nothing.
START_TEST(fault_does_not_wait)
{
    ck_assert_int_gt(interrupt_everywhere(&operations[_i], SIGSEGV), 0);
}
END_TEST

/// The child returns into the call, which it should not: it gets nothing by that, and can still
/// begin anew.
START_TEST(child_returns_into_attach)
{
    child_goes_on = true;
    ck_assert_int_gt(interrupt_everywhere(&operations[0], SIGSEGV), 0);
}
END_TEST

/* ----------------------------------- calls that tell of changes, in a child -- */

static volatile pid_t returning = -1;

static void
fork_and_return(int number)
{
    (void)number;
    returning = fork();
}

static void
raise_once(void)
{
    if (is_test && returning == -1)
        (void)raise(SIGALRM);
}

static void
raising_event_clear(int fd)
{
    raise_once();
    healthy.event_clear(fd);
}

static void
raising_wake_all(const uint32_t *word)
{
    raise_once();
    healthy.wake_all(word);
}

/** A handle whose changes a descriptor tells of, and has told of one. */
static void
watch_a_change(void)
{
    struct pollfd one = {.events = POLLIN};

    unique_key(key);
    seg = created(key, 100);
    one.fd = notify_fd(seg);
    ck_assert_int_ge(one.fd, 0);
    need_call(MAPSEG_OK, seg, mapseg_write(seg, 0, "new", 3));
    ck_assert_int_eq(poll(&one, 1, HANG_MS), 1);
    (void)signal(SIGALRM, fork_and_return);
    healthy = msi_os;
    is_test = true;
}

/** The end of a test, in the handler's child too, which has returned into the call. */
static void
end_both(bool well)
{
    if (returning == 0)
        _exit(well && mapseg_detach(seg) != MAPSEG_UNKNOWN_ERROR ? WELL : IN_CHILD);
    ck_assert(well);
    ck_assert_int_gt(returning, 0);
    ck_assert_int_eq(end_of(returning), WELL);
    msi_os = healthy;
    mapseg_free(seg);
}

/// What tells of changes is gone in the child, which must not go on with it.
START_TEST(child_returns_into_read_of_a_change)
{
    char text[3];

    watch_a_change();
    msi_os.event_clear = raising_event_clear;
    end_both(mapseg_read(seg, 0, text, sizeof text, NULL) == MAPSEG_OK);
}
END_TEST

/// Nor may it wait for a thread that it does not have.
START_TEST(child_returns_into_detach_of_changes)
{
    watch_a_change();
    msi_os.wake_all = raising_wake_all;
    end_both(mapseg_detach(seg) == MAPSEG_OK);
}
END_TEST

static volatile sig_atomic_t forks;
static volatile sig_atomic_t bad_forks;

static void
arm(void)
{
    struct itimerval time = {.it_value = {.tv_usec = 50 + forks * 37 % 1000}};

    (void)setitimer(ITIMER_REAL, &time, NULL);
}

static void
fork_again(int number)
{
    int error = errno;
    pid_t child = fork();

    (void)number;
    if (child == 0)
        _exit(can_use(bystander) ? WELL : IN_CHILD);
    bad_forks += end_in_handler(child) != WELL;
    forks++;
    arm();
    errno = error;
}

/// A timer's handler forks at any time.
START_TEST(timer_forks_beside_calls)
{
    struct sigaction action = {.sa_handler = fork_again};
    char another[KEY_BYTES];

    unique_key(key);
    leave_persistent(key, 100, 0);
    seg = handle_for(key);
    unique_key(another);
    bystander = created(another, 100);
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    arm();
    while (forks < 200) {
        mapseg_info *information;

        need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
        need_call(MAPSEG_OK, seg, mapseg_lock(seg));
        need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
        need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
        mapseg_info_free(information);
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    }
    (void)signal(SIGALRM, SIG_IGN);
    ck_assert_int_eq(bad_forks, 0);
    mapseg_free(bystander);
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("handler");
    TCase *group = new_long_case(suite, "fork", 1200);

    /* The child calls more than a handler may. It can: no signal is raised within malloc. */
    if (skip_unless(!under_race_detector(),
                    "a race detector reports what the handler's child calls")) {
        tcase_add_loop_test(group, signal_waits, 0, OPERATIONS);
        tcase_add_loop_test(group, fault_does_not_wait, 0, OPERATIONS);
        tcase_add_test(group, child_returns_into_attach);
        tcase_add_test(group, child_returns_into_read_of_a_change);
        tcase_add_test(group, child_returns_into_detach_of_changes);
    }
    tcase_add_test(group, timer_forks_beside_calls);
    return run_suite(suite);
}
