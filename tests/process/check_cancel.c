/*
 * check_cancel.c - threads that are cancelled within a call.
 *
 * No call is a cancellation point: a cancelled thread goes on until the call is over. Were it to
 * end within, it would leave behind descriptors, half an attachment, and a mutex that the next fork
 * waits for.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/**
 * Read by AddressSanitizer. Cancellation unwinds frames without telling it, and where their marks
 * lie it then finds a fault in its own end of the thread, the call that takes the alternate stack
 * away.
 */
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
    return "use_sigaltstack=0";
}

#define SIZE 10000
#define SHORT_NS INT64_C(3000000)
#define THREADS 3
#define ROUNDS 200

/* Why a process ends in a way that it should not. */
enum end { WELL = 0, SET_UP = 3, BROKEN_OFF, OPERATION, FORK, OTHERS };

static char key[KEY_BYTES]; /* of a persistent segment */
static char path[KEY_BYTES];

/* ------------------------------------------------------ the operations -- */

/** What a thread does its operations with. */
struct actor {
    mapseg *seg;
    mapseg *owner; /* holds the lock that others wait for */
    char new_key[KEY_BYTES];
    int channel[2];
};

static bool
attach(struct actor *actor)
{
    return mapseg_is_attached(actor->seg) ||
           mapseg_attach(actor->seg, MAPSEG_READ_WRITE) == MAPSEG_OK;
}

static bool
do_nothing(struct actor *actor)
{
    return actor->seg != NULL;
}

static bool
run_attach(struct actor *actor)
{
    return mapseg_attach(actor->seg, MAPSEG_READ_WRITE) == MAPSEG_OK;
}

static bool
run_attach_read_only(struct actor *actor)
{
    return mapseg_attach(actor->seg, MAPSEG_READ_ONLY) == MAPSEG_OK;
}

static bool
run_detach(struct actor *actor)
{
    return mapseg_detach(actor->seg) == MAPSEG_OK;
}

static bool
take_new_key(struct actor *actor)
{
    return mapseg_set_native_key(actor->seg, actor->new_key) == MAPSEG_OK;
}

static bool
run_create(struct actor *actor)
{
    return mapseg_create(actor->seg, SIZE, MAPSEG_READ_WRITE) == MAPSEG_OK;
}

static bool
attach_new(struct actor *actor)
{
    return take_new_key(actor) && run_create(actor);
}

static bool
take_memory_key(struct actor *actor)
{
    return mapseg_set_native_key(actor->seg, "memfd:") == MAPSEG_OK;
}

static bool
run_fail_to_attach(struct actor *actor)
{
    return mapseg_attach(actor->seg, MAPSEG_READ_WRITE) == MAPSEG_NOT_FOUND &&
           strstr(mapseg_error_string(actor->seg), "no such") != NULL;
}

static bool
run_remove(struct actor *actor)
{
    return mapseg_remove(actor->seg) == MAPSEG_OK;
}

static bool
run_reclaim(struct actor *actor)
{
    return mapseg_reclaim(actor->seg) == MAPSEG_IN_USE;
}

static bool
run_info(struct actor *actor)
{
    mapseg_info *information;
    bool well = mapseg_info_new(actor->seg, &information) == MAPSEG_OK;

    mapseg_info_free(information);
    return well;
}

static bool
run_list(struct actor *actor)
{
    mapseg_list *list;
    bool well = mapseg_list_new(&list) == MAPSEG_OK;

    mapseg_list_free(list);
    return well && actor != NULL;
}

static bool
run_write_and_read(struct actor *actor)
{
    char text[8] = "written";

    return mapseg_write(actor->seg, 0, text, sizeof text) == MAPSEG_OK &&
           mapseg_read(actor->seg, 0, text, sizeof text, NULL) == MAPSEG_OK;
}

static bool
run_wait(struct actor *actor)
{
    uint64_t version;
    char byte;

    return mapseg_read(actor->seg, 0, &byte, 1, &version) == MAPSEG_OK &&
           mapseg_wait(actor->seg, version, &version, SHORT_NS) == MAPSEG_TIMED_OUT;
}

static bool
attach_and_let_others_lock(struct actor *actor)
{
    actor->owner = handle_for(key);
    return attach(actor) && mapseg_attach(actor->owner, MAPSEG_READ_WRITE) == MAPSEG_OK &&
           mapseg_lock(actor->owner) == MAPSEG_OK;
}

static bool
run_lock_in_vain(struct actor *actor)
{
    return mapseg_lock_for(actor->seg, SHORT_NS) == MAPSEG_TIMED_OUT;
}

static bool
run_lock(struct actor *actor)
{
    return mapseg_lock(actor->seg) == MAPSEG_OK && mapseg_unlock(actor->seg) == MAPSEG_OK;
}

static int
lock_and_die(void *argument)
{
    mapseg *seg = handle_for(key);

    (void)argument;
    return mapseg_attach(seg, MAPSEG_READ_WRITE) == MAPSEG_OK && mapseg_lock(seg) == MAPSEG_OK
               ? WELL
               : SET_UP;
}

static bool
attach_beside_dead_owner(struct actor *actor)
{
    return in_child(lock_and_die, NULL) == WELL && attach(actor);
}

static bool
run_recover(struct actor *actor)
{
    return mapseg_lock(actor->seg) == MAPSEG_OWNER_DIED &&
           mapseg_consistent(actor->seg) == MAPSEG_OK && mapseg_unlock(actor->seg) == MAPSEG_OK;
}

static bool
run_watch(struct actor *actor)
{
    return notify_fd(actor->seg) >= 0 && mapseg_detach(actor->seg) == MAPSEG_OK;
}

static bool
run_section(struct actor *actor)
{
    return mapseg_guard_begin(actor->seg) == MAPSEG_OK && mapseg_guard_end(actor->seg) == MAPSEG_OK;
}

static bool
send_to_self(struct actor *actor)
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, actor->channel) == 0 &&
           take_memory_key(actor) && run_create(actor) &&
           mapseg_send(actor->seg, actor->channel[0], MAPSEG_READ_WRITE) == MAPSEG_OK &&
           mapseg_detach(actor->seg) == MAPSEG_OK;
}

static bool
run_receive_and_send(struct actor *actor)
{
    return mapseg_receive(actor->seg, actor->channel[1], MAPSEG_READ_WRITE) == MAPSEG_OK &&
           mapseg_send(actor->seg, actor->channel[1], MAPSEG_READ_ONLY) == MAPSEG_OK;
}

static bool
attach_memory(struct actor *actor)
{
    return take_memory_key(actor) && run_create(actor);
}

/* close() is a cancellation point of the test's. */
static bool
run_export(struct actor *actor)
{
    actor->channel[0] = exported_fd(actor->seg, MAPSEG_READ_ONLY);
    return actor->channel[0] >= 0;
}

static bool
run_new_handle(struct actor *actor)
{
    mapseg *seg = mapseg_new_with_key("another");

    mapseg_free(seg);
    return seg != NULL && actor != NULL;
}

static const struct operation {
    const char *name;
    bool (*prepare)(struct actor *actor);
    bool (*run)(struct actor *actor); /* in the thread that is cancelled */
} operations[] = {
    {"attach", do_nothing, run_attach},
    {"attach read-only", do_nothing, run_attach_read_only},
    {"attach in vain", take_new_key, run_fail_to_attach},
    {"detach", attach, run_detach},
    {"create", take_new_key, run_create},
    {"create a memory file", take_memory_key, run_create},
    {"remove", attach_new, run_remove},
    {"reclaim in vain", attach, run_reclaim},
    {"info", do_nothing, run_info},
    {"list", attach, run_list},
    {"write and read", attach, run_write_and_read},
    {"wait", attach, run_wait},
    {"lock", attach, run_lock},
    {"lock in vain", attach_and_let_others_lock, run_lock_in_vain},
    {"lock after a death", attach_beside_dead_owner, run_recover},
    {"watch and detach", attach, run_watch},
    {"section", attach, run_section},
    {"receive and send", send_to_self, run_receive_and_send},
    {"export", attach_memory, run_export},
    {"new handle", do_nothing, run_new_handle},
};
#define OPERATIONS (int)(sizeof operations / sizeof operations[0])

/** Whether the operation waits with nothing in hand: there it is broken off. */
static bool
may_end(const struct operation *operation)
{
    return operation->run == run_receive_and_send;
}

static void
set_up_actor(struct actor *actor)
{
    actor->seg = handle_for(key);
    actor->owner = NULL;
    unique_key(actor->new_key);
    actor->channel[0] = -1;
    actor->channel[1] = -1;
}

static void
tear_down_actor(struct actor *actor)
{
    mapseg_free(actor->owner);
    mapseg_free(actor->seg);
    for (int i = 0; i < 2; i++)
        if (actor->channel[i] >= 0)
            (void)close(actor->channel[i]);
}

/* ------------------------------------------------------ what remains -- */

static int
use_segment(void *argument)
{
    mapseg *seg = handle_for(key);
    mapseg_result result = mapseg_attach(seg, MAPSEG_READ_WRITE);

    (void)argument;
    if (result == MAPSEG_OK)
        result = mapseg_lock_for(seg, INT64_C(10000000000));
    if (result == MAPSEG_OK)
        result = mapseg_unlock(seg);
    mapseg_free(seg);
    return result == MAPSEG_OK ? WELL : OTHERS;
}

/** Whether this process can fork, and others and it can use the segment. */
static int
look_afterwards(void)
{
    return in_child(use_segment, NULL) == WELL ? use_segment(NULL) : FORK;
}

/* ------------------------------------------ cancelled before the call -- */

/** One run of an operation, which the thread begins with its cancellation pending. */
struct run {
    const struct operation *operation;
    struct actor actor;
    bool cancelled;
    atomic_bool is_over; /* the operation returned */
    atomic_bool is_well;
};

static void *
run_cancelled(void *argument)
{
    struct run *run = argument;

    if (run->cancelled)
        (void)pthread_cancel(pthread_self());
    atomic_store(&run->is_well, run->operation->run(&run->actor));
    atomic_store(&run->is_over, true);
    pthread_testcancel();
    return NULL;
}

static int
run_in_thread(const struct operation *operation, bool cancelled)
{
    struct run run = {.operation = operation, .cancelled = cancelled};
    pthread_t thread;
    void *end;

    set_up_actor(&run.actor);
    if (!operation->prepare(&run.actor) ||
        pthread_create(&thread, NULL, run_cancelled, &run) != 0 || pthread_join(thread, &end) != 0)
        return SET_UP;
    if ((end == PTHREAD_CANCELED) != cancelled ||
        atomic_load(&run.is_over) == (cancelled && may_end(operation)))
        return BROKEN_OFF;
    /* What was broken off has taken nothing: it can be done after all. */
    if (!atomic_load(&run.is_over))
        atomic_store(&run.is_well, operation->run(&run.actor));
    if (!atomic_load(&run.is_well))
        return OPERATION;
    tear_down_actor(&run.actor);
    return WELL;
}

static int
cancel_operation(void *argument)
{
    const struct operation *operation = argument;
    struct footprint footprint;
    int end = run_in_thread(operation, false);

    if (end != WELL)
        return end;
    take_footprint(&footprint, path);
    end = run_in_thread(operation, true);
    if (end != WELL)
        return end;
    check_footprint(&footprint, path);
    return look_afterwards();
}

static void
make_segment(void)
{
    unique_key(key);
    path_of(path, key);
    leave_persistent(key, SIZE, 0);
}

static void
remove_segment(void)
{
    mapseg *seg = handle_for(key);

    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    mapseg_free(seg);
}

/// A thread whose cancellation is pending ends after the call, and not at the first chance within.
START_TEST(call_is_no_cancellation_point)
{
    int end;

    make_segment();
    end = in_child(cancel_operation, (void *)(uintptr_t)&operations[_i]);
    remove_segment();
    ck_assert_msg(end == WELL, "%s: %d", operations[_i].name, end);
}
END_TEST

static void *
receive_in_vain(void *argument)
{
    struct actor *actor = argument;

    ignored(mapseg_receive(actor->seg, actor->channel[1], MAPSEG_READ_WRITE));
    return NULL;
}

static int
cancel_receiver(void *unused)
{
    mapseg *sender = handle_for(key);
    struct actor actor;
    pthread_t thread;
    void *end;

    (void)unused;
    set_up_actor(&actor);
    if (mapseg_attach(sender, MAPSEG_READ_WRITE) != MAPSEG_OK ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, actor.channel) != 0 ||
        pthread_create(&thread, NULL, receive_in_vain, &actor) != 0)
        return SET_UP;
    /* It waits by now, or is cancelled on its way there: it comes to the same. */
    nap(5 * MILLISECOND);
    if (pthread_cancel(thread) != 0 || pthread_join(thread, &end) != 0 || end != PTHREAD_CANCELED)
        return BROKEN_OFF;
    if (mapseg_send(sender, actor.channel[0], MAPSEG_READ_WRITE) != MAPSEG_OK ||
        mapseg_receive(actor.seg, actor.channel[1], MAPSEG_READ_WRITE) != MAPSEG_OK)
        return OPERATION;
    tear_down_actor(&actor);
    mapseg_free(sender);
    return look_afterwards();
}

/// A thread that waits for a message that does not come can be ended, and nothing is lost by it.
START_TEST(receiver_can_be_ended)
{
    int end;

    make_segment();
    end = in_child(cancel_receiver, NULL);
    remove_segment();
    ck_assert_int_eq(end, WELL);
}
END_TEST

/* -------------------------------------------------- cancelled anywhere -- */

/** Operations in a loop until the cancellation. */
static void *
run_for_ever(void *argument)
{
    struct run *run = argument;

    for (;;) {
        atomic_store(&run->is_over, false);
        if (!run->operation->prepare(&run->actor) || !run->operation->run(&run->actor))
            atomic_store(&run->is_well, false);
        (void)mapseg_detach(run->actor.seg);
        atomic_store(&run->is_over, true);
        pthread_testcancel();
    }
    return NULL;
}

/** Those that come to the same however many do them at once. */
static const struct operation *
any_operation(unsigned *state)
{
    static const struct operation together[] = {
        {"attach", do_nothing, run_attach},
        {"attach read-only", do_nothing, run_attach_read_only},
        {"create", take_new_key, run_create},
        {"create a memory file", take_memory_key, run_create},
        {"info", do_nothing, run_info},
        {"list", attach, run_list},
        {"write and read", attach, run_write_and_read},
        {"lock", attach, run_lock},
        {"watch and detach", attach, run_watch},
        {"section", attach, run_section},
    };

    return &together[(unsigned)rand_r(state) % (sizeof together / sizeof together[0])];
}

static int
cancel_at_random(void *argument)
{
    unsigned state = 20261127;
    struct footprint footprint;

    (void)argument;
    if (look_afterwards() != WELL)
        return SET_UP;
    take_footprint(&footprint, path);
    for (int round = 0; round < ROUNDS / THREADS; round++) {
        struct run runs[THREADS];
        pthread_t threads[THREADS];

        for (int i = 0; i < THREADS; i++) {
            runs[i] = (struct run){.operation = any_operation(&state), .is_well = true};
            set_up_actor(&runs[i].actor);
            if (pthread_create(&threads[i], NULL, run_for_ever, &runs[i]) != 0)
                return SET_UP;
        }
        (void)usleep((unsigned)rand_r(&state) % 3000);
        for (int i = 0; i < THREADS; i++)
            (void)pthread_cancel(threads[i]);
        for (int i = 0; i < THREADS; i++) {
            (void)pthread_join(threads[i], NULL);
            if (!atomic_load(&runs[i].is_over))
                return BROKEN_OFF;
            if (!atomic_load(&runs[i].is_well))
                return OPERATION;
            tear_down_actor(&runs[i].actor);
        }
        if (in_child(use_segment, NULL) != WELL)
            return FORK;
    }
    check_footprint(&footprint, path);
    return look_afterwards();
}

/// Threads are cancelled at any time, also while they wait, and leave nothing behind.
START_TEST(threads_are_cancelled_at_random)
{
    int end;

    make_segment();
    end = in_child(cancel_at_random, NULL);
    remove_segment();
    ck_assert_msg(end == WELL, "%d", end);
}
END_TEST

/* ------------------------------------------------ cancelled as it waits -- */

/* Apart: of variables in a function that ends by cancellation an address sanitizer keeps marks. */
static __attribute__((noinline)) bool
await_version(struct run *run)
{
    uint64_t version = 0;
    char byte;

    if (mapseg_read(run->actor.seg, 0, &byte, 1, &version) != MAPSEG_OK)
        return false;
    atomic_store(&run->is_over, true);
    return mapseg_wait(run->actor.seg, version, NULL, -1) == MAPSEG_OK;
}

static void *
wait_and_end(void *argument)
{
    struct run *run = argument;

    atomic_store(&run->is_well, await_version(run));
    atomic_store(&run->is_over, true);
    pthread_testcancel();
    return NULL;
}

/// A thread that waits for a version is cancelled: it ends when there is one.
START_TEST(waiting_goes_on)
{
    struct run run = {.operation = NULL};
    pthread_t thread;
    mapseg *writer;
    void *end;

    make_segment();
    set_up_actor(&run.actor);
    ck_assert(attach(&run.actor));
    writer = attached(key, MAPSEG_READ_WRITE);
    ck_assert_int_eq(pthread_create(&thread, NULL, wait_and_end, &run), 0);
    while (!atomic_load(&run.is_over))
        nap(1 * MILLISECOND);
    nap(20 * MILLISECOND); /* mostly it sleeps then; if not, the test sees less */
    ck_assert_int_eq(pthread_cancel(thread), 0);
    need_call(MAPSEG_OK, writer, mapseg_write(writer, 0, "x", 1));
    ck_assert_int_eq(pthread_join(thread, &end), 0);
    ck_assert(atomic_load(&run.is_well));
    ck_assert(end == PTHREAD_CANCELED);
    mapseg_free(writer);
    tear_down_actor(&run.actor);
    remove_segment();
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("cancel");
    TCase *group = new_case(suite, "cancel");

    tcase_add_loop_test(group, call_is_no_cancellation_point, 0, OPERATIONS);
    tcase_add_test(group, receiver_can_be_ended);
    tcase_add_test(group, threads_are_cancelled_at_random);
    tcase_add_test(group, waiting_goes_on);
    return run_suite(suite);
}
