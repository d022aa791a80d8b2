/*
 * check_trust.c - what hostile users leave at a name that a program is going to use.
 *
 * Whatever lies there: each call gives the result that is documented and says what to do, and
 * nothing is followed, opened where that has an effect, written, removed or believed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "witness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const place_names[] = {"shm", "plain", "file", "runtime"};

/* ---------------------------------------------------------- the answers -- */

#define OK MAPSEG_OK
#define DENIED MAPSEG_PERMISSION_DENIED

/** What the calls come to; create always finds that the name is taken. */
struct answers {
    mapseg_result attach; /* and create_or_attach; also the verdict */
    mapseg_result replace;
    mapseg_result remove; /* and reclaim */
    mapseg_result info;
};

enum opener { NO_OPENER, WRITER, READER };

struct plant {
    const char *name;
    void (*put)(void);
    const char *advice; /* in the reason that attach gives */
    struct answers as_root;
    struct answers as_user;
    enum opener opener; /* a process that sleeps until the other end is opened */
};

#define ASK "ask its owner"
#define ITSELF "name the file itself"
#define ANOTHER_KEY "use another key"

/* clang-format off */
#define ALL_FOREIGN {FOREIGN, FOREIGN, FOREIGN, OK}
#define ALL_UNTRUSTED {UNTRUSTED, UNTRUSTED, UNTRUSTED, OK}
#define ALL_DENIED {DENIED, DENIED, DENIED, DENIED}
/* Not to be believed, and not a segment to be removed either. */
#define KEPT {UNTRUSTED, UNTRUSTED, FOREIGN, OK}
/* Not to be believed, but to remove a segment's name is no risk. */
#define REMOVED {UNTRUSTED, UNTRUSTED, OK, OK}
/* The same, where the directory does not let this user remove it. */
#define STUCK {UNTRUSTED, UNTRUSTED, DENIED, OK}

static const struct plant plants[] = {
    {"file of another", put_others_file, OTHER_OWNER, KEPT, ALL_DENIED, NO_OPENER},
    {"file all may write", put_open_file, SHARED_WRITE, KEPT, KEPT, NO_OPENER},
    {"file of another all may write", put_others_open_file, OTHER_OWNER, KEPT, KEPT, NO_OPENER},
    {"own file", put_own_file, ANOTHER_KEY, ALL_FOREIGN, ALL_FOREIGN, NO_OPENER},
    {"empty file", put_empty_file, ANOTHER_KEY, ALL_FOREIGN, ALL_FOREIGN, NO_OPENER},
    {"segment all may write", put_open_segment, SHARED_WRITE, REMOVED, REMOVED, NO_OPENER},
    {"segment the group may write", put_group_segment, SHARED_WRITE, REMOVED, REMOVED, NO_OPENER},
    {"segment of another", put_others_segment, OTHER_OWNER, REMOVED, ALL_DENIED, NO_OPENER},
    {"segment of another all may write", put_others_open_segment, OTHER_OWNER, REMOVED, STUCK,
     NO_OPENER},
    {"link to nothing", put_link, ITSELF, ALL_UNTRUSTED, ALL_UNTRUSTED, NO_OPENER},
    {"link to a file", put_link_to_file, ITSELF, ALL_UNTRUSTED, ALL_UNTRUSTED, NO_OPENER},
    {"link to a segment", put_link_to_segment, ITSELF, ALL_UNTRUSTED, ALL_UNTRUSTED, NO_OPENER},
    {"hard link to a segment", put_hard_link_to_segment, HARD_LINKS, REMOVED, REMOVED, NO_OPENER},
    {"hard link to a file", put_hard_link_to_file, HARD_LINKS, KEPT, KEPT, NO_OPENER},
    {"FIFO with a writer", put_fifo, ANOTHER_KEY, ALL_FOREIGN, ALL_FOREIGN, WRITER},
    {"FIFO with a reader", put_fifo, ANOTHER_KEY, ALL_FOREIGN, ALL_FOREIGN, READER},
    {"directory", put_directory, ANOTHER_KEY, ALL_FOREIGN, ALL_FOREIGN, NO_OPENER},
    {"socket", put_socket, ANOTHER_KEY, ALL_FOREIGN, ALL_FOREIGN, NO_OPENER},
    /* The last one: it is left out where there are none. */
    {"device", put_device, ANOTHER_KEY, ALL_FOREIGN, ALL_FOREIGN, NO_OPENER},
};
/* clang-format on */

#define PLANTS ((int)(sizeof plants / sizeof *plants) - !with_devices)

/* ------------------------------------------------- a process at a FIFO -- */

/** A process that sleeps in its open of the FIFO. */
struct sleeper {
    pid_t pid;
    int *opened;
};

static bool
sleeps(pid_t pid)
{
    char path[40], text[256] = "";
    const char *state;
    int fd;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(read(fd, text, sizeof text - 1), 0);
    close(fd);
    state = strrchr(text, ')');
    return state != NULL && strncmp(state, ") S", 3) == 0;
}

static struct sleeper
start_sleeper(enum opener opener)
{
    struct sleeper sleeper = {-1, shared_memory(sizeof(int))};
    int64_t deadline = now_ns() + HANG;

    if (opener == NO_OPENER)
        return sleeper;
    sleeper.pid = fork();
    ck_assert_int_ge(sleeper.pid, 0);
    if (sleeper.pid == 0) {
        __atomic_store_n(sleeper.opened, -1, __ATOMIC_SEQ_CST);
        (void)open(scene.path, opener == WRITER ? O_WRONLY : O_RDONLY);
        __atomic_store_n(sleeper.opened, 1, __ATOMIC_SEQ_CST);
        pause();
        _exit(0);
    }
    while (__atomic_load_n(sleeper.opened, __ATOMIC_SEQ_CST) != -1 || !sleeps(sleeper.pid)) {
        ck_assert(now_ns() < deadline);
        nap(1 * MILLISECOND);
    }
    return sleeper;
}

/** It slept through everything; and would have woken. */
static void
end_sleeper(const struct sleeper *sleeper)
{
    int64_t deadline = now_ns() + HANG;
    int fd;

    if (sleeper->pid == -1)
        return;
    nap(20 * MILLISECOND);
    ck_assert_msg(__atomic_load_n(sleeper->opened, __ATOMIC_SEQ_CST) == -1, "the FIFO was opened");
    fd = open(scene.path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    while (__atomic_load_n(sleeper->opened, __ATOMIC_SEQ_CST) != 1) {
        ck_assert(now_ns() < deadline);
        nap(1 * MILLISECOND);
    }
    close(fd);
    ck_assert_int_eq(kill(sleeper->pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(sleeper->pid, NULL, 0), sleeper->pid);
}

/* ------------------------------------------------------------- the calls -- */

static mapseg_result
attach_to_write(mapseg *seg)
{
    return mapseg_attach(seg, MAPSEG_READ_WRITE);
}

static mapseg_result
attach_to_read(mapseg *seg)
{
    return mapseg_attach(seg, MAPSEG_READ_ONLY);
}

static mapseg_result
create(mapseg *seg)
{
    return mapseg_create(seg, 100, MAPSEG_READ_WRITE);
}

static mapseg_result
create_or_attach(mapseg *seg)
{
    return mapseg_create_or_attach(seg, 100, MAPSEG_READ_WRITE, NULL);
}

/** One call, made by the user in a process of its own. */
struct call {
    const char *name;
    mapseg_result (*run)(mapseg *seg);
    mapseg_result expected;
    const char *advice; /* besides that there is one; NULL: none in particular */
};

static int
make_call(void *argument)
{
    const struct call *call = argument;
    struct footprint before;
    mapseg_result result;
    const char *reason;
    mapseg *seg;

    become_user();
    seg = handle_of_scene();
    take_footprint(&before, NULL);
    result = call->run(seg);
    reason = mapseg_error_string(seg);
    ck_assert_msg(result == call->expected, "%s: %s instead of %s: %s", call->name,
                  mapseg_result_name(result), mapseg_result_name(call->expected), reason);
    ck_assert_int_eq(mapseg_error(seg), result);
    if (result != MAPSEG_OK) {
        ck_assert_msg(is_one_line(reason) && strstr(reason, "; ") != NULL,
                      "%s: says not what to do: %s", call->name, reason);
        ck_assert_msg(call->advice == NULL || strstr(reason, call->advice) != NULL,
                      "%s: does not say \"%s\": %s", call->name, call->advice, reason);
        check_footprint(&before, NULL);
    }
    ck_assert(!mapseg_is_attached(seg));
    ck_assert_ptr_null(mapseg_const_data(seg));
    mapseg_free(seg);
    return 0;
}

/** What mapseg_info says of something that is no segment to be trusted. */
static int
check_description(void *argument)
{
    const struct plant *plant = argument;
    const struct answers *answers = scene.user == ROOT ? &plant->as_root : &plant->as_user;
    mapseg_info *information = NULL;
    mapseg *seg;

    become_user();
    seg = handle_of_scene();
    need_call(answers->info, seg, mapseg_info_new(seg, &information));
    if (answers->info == MAPSEG_OK) {
        ck_assert_ptr_nonnull(information);
        ck_assert_msg(information->verdict == answers->attach, "the verdict is %s: %s",
                      mapseg_result_name(information->verdict), information->verdict_text);
        ck_assert_msg(is_one_line(information->verdict_text) &&
                          strstr(information->verdict_text, plant->advice) != NULL,
                      "the verdict does not say \"%s\": %s", plant->advice,
                      information->verdict_text);
        ck_assert_msg(is_one_line(information->safety_text), "no word on safety");
        ck_assert_str_eq(information->limitations, "");
    }
    mapseg_info_free(information);
    mapseg_free(seg);
    return 0;
}

static void
check_left_alone(int (*body)(void *), void *argument, const char *name)
{
    struct witness witness;

    begin_witness(&witness);
    ck_assert_msg(in_child(body, argument) == 0, "%s failed", name);
    end_witness(&witness, name);
}

static void
check_removal(const struct plant *plant, const char *name, mapseg_result (*run)(mapseg *seg),
              mapseg_result expected)
{
    struct call call = {name, run, expected, NULL};
    struct witness witness;

    if (expected != MAPSEG_OK) {
        check_left_alone(make_call, &call, name);
        return;
    }
    begin_witness(&witness);
    ck_assert_msg(in_child(make_call, &call) == 0, "%s failed", name);
    end_witness_of_removal(&witness);
    if (witness.has_target)
        ck_assert_int_eq(unlink(scene.target), 0);
    plant->put();
}

static void
check_plant(const struct plant *plant)
{
    const struct answers *answers = scene.user == ROOT ? &plant->as_root : &plant->as_user;
    const char *advice = answers->attach == DENIED ? ASK : plant->advice;
    struct call calls[] = {
        {"attach", attach_to_write, answers->attach, advice},
        {"attach to read", attach_to_read, answers->attach, advice},
        {"create", create, MAPSEG_ALREADY_EXISTS, "attach"},
        {"create with reclaim", replace, answers->replace, NULL},
        {"create or attach", create_or_attach, answers->attach, advice},
    };
    struct sleeper sleeper;

    plant->put();
    sleeper = start_sleeper(plant->opener);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        check_left_alone(make_call, &calls[i], calls[i].name);
    check_left_alone(check_description, (void *)(uintptr_t)plant, "info");
    check_removal(plant, "remove", mapseg_remove, answers->remove);
    check_removal(plant, "reclaim", mapseg_reclaim, answers->remove);
    end_sleeper(&sleeper);
}

START_TEST(squatter_is_met_by_root)
{
    enum place_kind place = (enum place_kind)(_i % PLACES);

    set_scene(place, ROOT);
    printf("%s at a %s key\n", plants[_i / PLACES].name, place_names[place]);
    check_plant(&plants[_i / PLACES]);
}
END_TEST

/* A runtime directory has no other users. */
START_TEST(squatter_is_met_by_a_user)
{
    enum place_kind place = (enum place_kind)(_i % PLACE_RUNTIME);

    set_scene(place, NOBODY);
    printf("%s at a user's %s key\n", plants[_i / PLACE_RUNTIME].name, place_names[place]);
    check_plant(&plants[_i / PLACE_RUNTIME]);
}
END_TEST

/* The same calls have no objection to a segment that is as its creator left it. */
START_TEST(segment_that_is_sound)
{
    struct call calls[] = {{"create", create, MAPSEG_ALREADY_EXISTS, "attach"},
                           {"reclaim", mapseg_reclaim, MAPSEG_OK, NULL}};
    mapseg_info *information = NULL;
    mapseg *seg;

    set_scene((enum place_kind)_i, ROOT);
    put_segment(scene.path, 0600, ROOT);
    seg = handle_of_scene();
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    ck_assert_int_eq(information->verdict, MAPSEG_OK);
    ck_assert_str_eq(information->verdict_text, "");
    mapseg_info_free(information);
    mapseg_free(seg);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        ck_assert_int_eq(in_child(make_call, &calls[i]), 0);
}
END_TEST

/* A runtime directory that is not the user's alone is worth nothing. */
START_TEST(runtime_directory_of_others)
{
    static const struct {
        const char *path;
        mode_t mode;
        uid_t owner;
    } faults[] = {
        {"/dev/shm/run", 0700, NOBODY},        {"/dev/shm/run", 0770, ROOT},
        {"/dev/shm/run", 0777, ROOT},          {"/dev/shm/run/mapseg", 0700, NOBODY},
        {"/dev/shm/run/mapseg", 0777, ROOT},   {"/dev/shm/run/mapseg", 01777, ROOT},
        {"/dev/shm/run/mapseg", 0700, 0xbeef},
    };
    const mode_t mode = faults[_i].mode;
    struct call calls[] = {{"attach", attach_to_write, UNTRUSTED, NULL},
                           {"create", create, UNTRUSTED, NULL},
                           {"create or attach", create_or_attach, UNTRUSTED, NULL},
                           {"remove", mapseg_remove, UNTRUSTED, NULL},
                           {"reclaim", mapseg_reclaim, UNTRUSTED, NULL}};

    set_scene(PLACE_RUNTIME, ROOT);
    put_segment(scene.path, 0600, ROOT);
    give(faults[_i].path, mode, faults[_i].owner);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        check_left_alone(make_call, &calls[i], calls[i].name);
}
END_TEST

/* A link instead of the directory could lead anywhere too. */
START_TEST(runtime_directory_is_a_link)
{
    struct call calls[] = {{"attach", attach_to_write, UNTRUSTED, NULL},
                           {"create", create, UNTRUSTED, NULL},
                           {"remove", mapseg_remove, UNTRUSTED, NULL}};

    set_scene(PLACE_RUNTIME, ROOT);
    put_segment(scene.path, 0600, ROOT);
    ck_assert_int_eq(rename("/dev/shm/run/mapseg", "/dev/shm/elsewhere"), 0);
    ck_assert_int_eq(symlink("/dev/shm/elsewhere", "/dev/shm/run/mapseg"), 0);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        check_left_alone(make_call, &calls[i], calls[i].name);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("trust");
    TCase *test_case = new_case(suite, "squatters");

    if (skip_unless(is_root() && can_mount(),
                    "only root can leave files of other users in a private "
                    "place")) {
        with_devices = skip_unless(can_make_devices(true), "root may not make devices here");
        tcase_add_loop_test(test_case, segment_that_is_sound, 0, PLACES);
        tcase_add_loop_test(test_case, squatter_is_met_by_root, 0, PLANTS * PLACES);
        tcase_add_loop_test(test_case, squatter_is_met_by_a_user, 0, PLANTS * PLACE_RUNTIME);
        tcase_add_loop_test(test_case, runtime_directory_of_others, 0, 7);
        tcase_add_test(test_case, runtime_directory_is_a_link);
    }
    return run_suite(suite);
}
