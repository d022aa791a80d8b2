/*
 * check_trust.c - what hostile users leave at a name that a program is going to use.
 *
 * Whatever lies there: each call gives the result that is documented and says what to do, and
 * nothing is followed, opened where that has an effect, written, removed or believed. Each option
 * that relaxes a refusal relaxes that one alone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOT 0
#define THIRD_USER 65533

#define DATA_BYTES 6000
#define OWN_BYTE 0xa5     /* what fills every segment of these tests */
#define FOREIGN_TEXT "x9" /* what fills every other file */

#define RELAXING                                                                                   \
    (MAPSEG_ALLOW_OTHER_OWNER | MAPSEG_ALLOW_SHARED_WRITE | MAPSEG_ALLOW_HARD_LINKS |              \
     MAPSEG_ALLOW_SHARED_DIRECTORY)

/* ------------------------------------------------------------ the scene -- */

/** Where the program under test looks, and who it is. */
static struct {
    char key[KEY_BYTES];
    bool plain; /* the key is a plain one */
    char path[KEY_BYTES];
    char target[KEY_BYTES]; /* a second name, or what a link leads to; need not exist */
    uid_t user;
    uid_t other; /* somebody else, and not root */
} scene;

enum place_kind { PLACE_SHM, PLACE_PLAIN, PLACE_FILE, PLACE_RUNTIME, PLACES };

static const char *const place_names[] = {"shm", "plain", "file", "runtime"};

static mapseg *
handle_of_scene(void)
{
    mapseg *seg;

    if (!scene.plain)
        return handle_for(scene.key);
    seg = mapseg_new_with_key(scene.key);
    ck_assert_ptr_nonnull(seg);
    return seg;
}

static void
become_user(void)
{
    if (scene.user != ROOT)
        become_nobody();
}

/** Where the user's plain key leads to. */
static int
derive_path(void *path)
{
    mapseg *seg;

    become_user();
    seg = handle_of_scene();
    path_of(path, mapseg_native_key(seg));
    mapseg_free(seg);
    return 0;
}

static void
make_directory(const char *path, mode_t mode, uid_t owner)
{
    ck_assert_msg(mkdir(path, mode) == 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(chmod(path, mode), 0);
    ck_assert_int_eq(chown(path, owner, owner), 0);
}

static void
use_runtime_directory(const char *name)
{
    char above[KEY_BYTES];

    make_directory("/dev/shm/run", 0700, scene.user);
    make_directory("/dev/shm/run/mapseg", 0700, scene.user);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", "/dev/shm/run", 1), 0);
    snprintf(above, sizeof above, "/dev/shm/run/mapseg/%.100s", name);
    memcpy(scene.path, above, sizeof above);
}

/** A file system of our own with nothing at the key yet. */
static void
set_scene(enum place_kind place, uid_t user)
{
    char name[KEY_BYTES];

    use_tiny_shm("size=4m");
    unique_name(name);
    scene.user = user;
    scene.other = user == ROOT ? NOBODY : THIRD_USER;
    scene.plain = place == PLACE_PLAIN;
    snprintf(scene.key, sizeof scene.key, "%s%.150s",
             place == PLACE_SHM       ? "shm:"
             : place == PLACE_RUNTIME ? "runtime:"
             : place == PLACE_FILE    ? "file:/dev/shm/box/"
                                      : "",
             name);
    snprintf(scene.target, sizeof scene.target, "/dev/shm/victim-%.150s", name);
    snprintf(scene.path, sizeof scene.path, "/dev/shm/%.150s", name);
    if (place == PLACE_FILE) {
        make_directory("/dev/shm/box", 01777, ROOT);
        snprintf(scene.path, sizeof scene.path, "/dev/shm/box/%.150s", name);
    } else if (place == PLACE_RUNTIME) {
        use_runtime_directory(name);
    } else if (place == PLACE_PLAIN) {
        char *path = shared_memory(KEY_BYTES);

        ck_assert_int_eq(in_child(derive_path, path), 0);
        memcpy(scene.path, path, KEY_BYTES);
    }
}

/* --------------------------------------------------------- what is there -- */

static void
give(const char *path, mode_t mode, uid_t owner)
{
    ck_assert_msg(lchown(path, owner, owner) == 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(chmod(path, mode), 0);
}

/** A file that is no segment. */
static void
put_foreign(const char *path, mode_t mode, uid_t owner)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    for (int i = 0; i < 4000; i++)
        ck_assert_int_eq(write(fd, FOREIGN_TEXT, 2), 2);
    close(fd);
    give(path, mode, owner);
}

/** A whole segment that nobody is attached to. */
static void
put_segment(const char *path, mode_t mode, uid_t owner)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char key[KEY_BYTES + 8];
    mapseg *seg;

    snprintf(key, sizeof key, "file:%s", path);
    seg = handle_for(key);
    options.flags = MAPSEG_PERSISTENT | MAPSEG_ALLOW_SHARED_DIRECTORY;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    memset(mapseg_data(seg), OWN_BYTE, DATA_BYTES);
    mapseg_free(seg);
    give(path, mode, owner);
}

static void
put_others_file(void)
{
    put_foreign(scene.path, 0600, scene.other);
}

static void
put_open_file(void)
{
    put_foreign(scene.path, 0666, scene.user);
}

static void
put_others_open_file(void)
{
    put_foreign(scene.path, 0666, scene.other);
}

static void
put_own_file(void)
{
    put_foreign(scene.path, 0600, scene.user);
}

static void
put_empty_file(void)
{
    close(open(scene.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    give(scene.path, 0600, scene.user);
}

static void
put_open_segment(void)
{
    put_segment(scene.path, 0622, scene.user);
}

static void
put_group_segment(void)
{
    put_segment(scene.path, 0660, scene.user);
}

static void
put_others_segment(void)
{
    put_segment(scene.path, 0600, scene.other);
}

static void
put_others_open_segment(void)
{
    put_segment(scene.path, 0666, scene.other);
}

static void
put_link(void)
{
    ck_assert_int_eq(symlink(scene.target, scene.path), 0);
    ck_assert_int_eq(lchown(scene.path, scene.other, scene.other), 0);
}

static void
put_link_to_file(void)
{
    put_foreign(scene.target, 0600, scene.user);
    put_link();
}

static void
put_link_to_segment(void)
{
    put_segment(scene.target, 0600, scene.user);
    put_link();
}

static void
put_hard_link_to_segment(void)
{
    put_segment(scene.target, 0600, scene.user);
    ck_assert_int_eq(link(scene.target, scene.path), 0);
}

static void
put_hard_link_to_file(void)
{
    put_foreign(scene.target, 0600, scene.user);
    ck_assert_int_eq(link(scene.target, scene.path), 0);
}

static void
put_fifo(void)
{
    ck_assert_int_eq(mkfifo(scene.path, 0600), 0);
    give(scene.path, 0666, scene.other);
}

static void
put_directory(void)
{
    make_directory(scene.path, 0777, scene.other);
}

static void
put_socket(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%.107s", scene.path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    give(scene.path, 0777, scene.other);
}

/** Not everywhere may root make devices. */
static bool with_devices;

static void
put_device(void)
{
    ck_assert_int_eq(mknod(scene.path, S_IFCHR | 0600, makedev(1, 3)), 0);
    give(scene.path, 0666, scene.other);
}

/* ---------------------------------------------------------- the answers -- */

#define OK MAPSEG_OK
#define DENIED MAPSEG_PERMISSION_DENIED
#define FOREIGN MAPSEG_NOT_A_SEGMENT
#define UNTRUSTED MAPSEG_UNTRUSTED

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
    enum opener opener; /* a process that sleeps until somebody opens the other end */
};

#define ASK "ask its owner"
#define OTHER_OWNER "MAPSEG_ALLOW_OTHER_OWNER"
#define SHARED_WRITE "MAPSEG_ALLOW_SHARED_WRITE"
#define HARD_LINKS "MAPSEG_ALLOW_HARD_LINKS"
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

/* ------------------------------------------------------------- witnesses -- */

/** What lay there before a call, and who tells if it was touched. */
struct witness {
    struct file_state planted;
    struct file_state target;
    bool has_target;
    int events;
};

static void
watch(struct witness *witness, const char *path)
{
    uint32_t changes = IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;
    struct stat status;

    ck_assert_int_eq(lstat(path, &status), 0);
    /* To open a file has no effect, so long as it is one that was named. */
    if (!S_ISREG(status.st_mode) || strcmp(path, scene.target) == 0)
        changes |= IN_OPEN;
    ck_assert_int_ge(inotify_add_watch(witness->events, path, changes | IN_DONT_FOLLOW), 0);
}

static void
begin_witness(struct witness *witness)
{
    struct stat planted, target;

    take_file_state(&witness->planted, scene.path);
    witness->has_target = exists(scene.target);
    if (witness->has_target)
        take_file_state(&witness->target, scene.target);
    witness->events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    ck_assert_int_ge(witness->events, 0);
    ck_assert_int_eq(lstat(scene.path, &planted), 0);
    /* Another name of the same file is opened with it. */
    if (witness->has_target && lstat(scene.target, &target) == 0 && target.st_ino != planted.st_ino)
        watch(witness, scene.target);
    watch(witness, scene.path);
}

static void
end_witness(struct witness *witness, const char *call)
{
    union {
        struct inotify_event event;
        char room[4096];
    } seen;
    ssize_t length = read(witness->events, &seen, sizeof seen);

    ck_assert_msg(length == -1, "%s: the system saw the event %#x", call,
                  length > 0 ? (unsigned)seen.event.mask : 0);
    close(witness->events);
    check_file_state(&witness->planted, scene.path);
    if (witness->has_target)
        check_file_state(&witness->target, scene.target);
}

/** After the name was rightly removed: what else led to the file is as it was. */
static void
end_witness_of_removal(struct witness *witness)
{
    struct stat *before = &witness->target.status;
    struct stat after;

    close(witness->events);
    free(witness->planted.bytes);
    ck_assert(!exists(scene.path));
    if (!witness->has_target)
        return;
    ck_assert_int_eq(lstat(scene.target, &after), 0);
    before->st_nlink--;
    before->st_ctim = after.st_ctim;
    check_file_state(&witness->target, scene.target);
}

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

static mapseg_result
replace(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_RECLAIM;
    return mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options);
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

/* The same calls have no objection to a segment that nobody has tampered with. */
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

/* ------------------------------------------- a name that changes hands -- */

static struct msi_os_operations healthy;

/** When the name is given to something else. */
enum moment { AFTER_THE_LOOK, AFTER_THE_OPEN, MOMENTS };

static struct {
    enum moment moment;
    bool armed;
    bool done;
    char spare[KEY_BYTES];
} swap;

static void
exchange(const char *a, const char *b)
{
    if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) != 0)
        ck_abort_msg("%s and %s: %s", a, b, strerror(errno));
}

static void
swap_now(enum moment moment, int directory, const char *name)
{
    const char *wanted = directory < 0 ? scene.path : strrchr(scene.path, '/') + 1;

    if (!swap.armed || swap.moment != moment || strcmp(name, wanted) != 0)
        return;
    swap.armed = false;
    swap.done = true;
    exchange(scene.path, swap.spare);
}

static int
look_then_swap(int directory, const char *name, struct stat *status)
{
    int error = healthy.status_of_name(directory, name, status);

    swap_now(AFTER_THE_LOOK, directory, name);
    return error;
}

static int
open_then_swap(int directory, const char *name, int flags)
{
    int fd = healthy.open(directory, name, flags);

    swap_now(AFTER_THE_OPEN, directory, name);
    return fd;
}

static const struct {
    const char *name;
    void (*put)(void);
    mapseg_result attach;
    bool removable; /* remove may take it: it is a segment */
} substitutes[] = {
    {"FIFO", put_fifo, FOREIGN, false},
    {"link to a segment", put_link_to_segment, UNTRUSTED, false},
    {"link to a file", put_link_to_file, UNTRUSTED, false},
    {"foreign file", put_own_file, FOREIGN, false},
    {"file of another", put_others_file, UNTRUSTED, false},
    {"segment of another", put_others_segment, UNTRUSTED, true},
    {"segment all may write", put_open_segment, UNTRUSTED, true},
    {"hard link", put_hard_link_to_segment, UNTRUSTED, true},
    {"directory", put_directory, FOREIGN, false},
};

#define SUBSTITUTES ((int)(sizeof substitutes / sizeof *substitutes))

/** A sound segment under the name; the substitute waits to take its place. */
static void
set_swap(int substitute, enum moment moment)
{
    set_scene(PLACE_SHM, ROOT);
    snprintf(swap.spare, sizeof swap.spare, "%.200s-spare", scene.path);
    substitutes[substitute].put();
    ck_assert_int_eq(rename(scene.path, swap.spare), 0);
    put_segment(scene.path, 0600, ROOT);
    healthy = msi_os;
    msi_os.status_of_name = look_then_swap;
    msi_os.open = open_then_swap;
    swap.moment = moment;
    swap.armed = true;
    swap.done = false;
}

/** What no exchange of names alters. */
static void
check_same_file(struct file_state *state, const char *path)
{
    struct stat now;

    ck_assert_msg(lstat(path, &now) == 0, "%s: %s", path, strerror(errno));
    state->status.st_ctim = now.st_ctim;
    check_file_state(state, path);
}

static bool
is_own_segment(const mapseg *seg)
{
    const unsigned char *data = mapseg_const_data(seg);

    if (data == NULL || mapseg_size(seg) != DATA_BYTES)
        return false;
    for (size_t i = 0; i < DATA_BYTES; i++)
        if (data[i] != OWN_BYTE)
            return false;
    return true;
}

START_TEST(name_swapped_under_attach)
{
    const int substitute = _i / MOMENTS;
    struct file_state planted, own;
    struct footprint before;
    mapseg_result result;
    uint64_t inode;
    mapseg *seg;

    set_swap(substitute, (enum moment)(_i % MOMENTS));
    take_file_state(&planted, swap.spare);
    take_file_state(&own, scene.path);
    inode = own.status.st_ino;
    seg = handle_of_scene();
    take_footprint(&before, NULL);
    result = mapseg_attach(seg, MAPSEG_READ_WRITE);
    ck_assert_msg(swap.done, "the name was never looked at");
    if (result == MAPSEG_OK) {
        /* It had the segment before the name was given away. */
        ck_assert_int_eq(swap.moment, AFTER_THE_OPEN);
        ck_assert_uint_eq(inode_at(mapseg_const_data(seg)), inode);
        ck_assert(is_own_segment(seg));
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    } else {
        ck_assert_msg(result == substitutes[substitute].attach, "%s: %s: %s",
                      substitutes[substitute].name, mapseg_result_name(result),
                      mapseg_error_string(seg));
    }
    check_footprint(&before, NULL);
    check_same_file(&planted, scene.path);
    check_same_file(&own, swap.spare);
    mapseg_free(seg);
}
END_TEST

static mapseg_result (*const removals[])(mapseg *seg) = {mapseg_remove, mapseg_reclaim, replace};

#define REMOVALS ((int)(sizeof removals / sizeof *removals))

START_TEST(name_swapped_under_a_removal)
{
    const int substitute = _i / MOMENTS / REMOVALS;
    const int removal = _i / MOMENTS % REMOVALS;
    struct file_state planted, own;
    mapseg_result result;
    mapseg *seg;

    set_swap(substitute, (enum moment)(_i % MOMENTS));
    take_file_state(&planted, swap.spare);
    take_file_state(&own, scene.path);
    seg = handle_of_scene();
    result = removals[removal](seg);
    ck_assert_msg(swap.done, "the name was never looked at");
    check_same_file(&own, swap.spare);
    if (substitutes[substitute].removable && removal != 2) {
        ck_assert_msg(result == MAPSEG_OK || result == MAPSEG_TIMED_OUT, "%s: %s",
                      mapseg_result_name(result), mapseg_error_string(seg));
        free(planted.bytes);
    } else {
        ck_assert_msg(result == substitutes[substitute].attach || result == MAPSEG_NOT_A_SEGMENT ||
                          result == MAPSEG_ALREADY_EXISTS,
                      "%s: %s", mapseg_result_name(result), mapseg_error_string(seg));
        check_same_file(&planted, scene.path);
    }
    mapseg_free(seg);
}
END_TEST

/* --------------------------------------------------- names in a loop -- */

enum { RIVALS = 5 };

static char rivals[RIVALS][KEY_BYTES];

/** Gives the name to one after the other, without a moment in which nothing has it. */
static int
keep_swapping(int channel, void *argument)
{
    int *stop = argument;

    say(channel, 'a');
    for (unsigned i = 0; __atomic_load_n(stop, __ATOMIC_RELAXED) == 0; i++) {
        exchange(scene.path, rivals[i % RIVALS]);
        for (unsigned spin = i * 2654435761U >> 20; spin != 0; spin--)
            __atomic_signal_fence(__ATOMIC_SEQ_CST);
        exchange(scene.path, rivals[i % RIVALS]);
    }
    return 0;
}

static void
put_rivals(void)
{
    void (*const puts[RIVALS])(void) = {put_fifo, put_link_to_file, put_own_file, put_directory,
                                        put_others_segment};

    for (int i = 0; i < RIVALS; i++) {
        puts[i]();
        snprintf(rivals[i], sizeof rivals[i], "%.200s-rival%d", scene.path, i);
        ck_assert_int_eq(rename(scene.path, rivals[i]), 0);
    }
}

static long
seconds_of_swapping(void)
{
    const char *text = getenv("MAPSEG_SWAP_SECONDS");

    return text == NULL ? 2 : strtol(text, NULL, 10);
}

/** One attach while the names change; what it came to. */
static mapseg_result
attach_to_whatever(mapseg *seg, uint64_t inode)
{
    mapseg_result result = mapseg_attach(seg, MAPSEG_READ_WRITE);

    if (result == MAPSEG_OK) {
        ck_assert_uint_eq(inode_at(mapseg_const_data(seg)), inode);
        ck_assert_msg(is_own_segment(seg), "this is not the data of the segment");
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    } else {
        ck_assert_msg(result == MAPSEG_UNTRUSTED || result == MAPSEG_NOT_A_SEGMENT ||
                          result == MAPSEG_TIMED_OUT,
                      "%s: %s", mapseg_result_name(result), mapseg_error_string(seg));
        ck_assert(is_one_line(mapseg_error_string(seg)));
    }
    return result;
}

START_TEST(name_swapped_all_the_time)
{
    int64_t begun = now_ns(), passed = 0;
    unsigned accepted = 0, refused = 0;
    int *stop = shared_memory(sizeof *stop);
    struct footprint before;
    struct stat status;
    struct peer swapper;
    mapseg *seg;

    set_scene(PLACE_SHM, ROOT);
    put_rivals();
    put_segment(scene.path, 0600, ROOT);
    ck_assert_int_eq(lstat(scene.path, &status), 0);
    seg = handle_of_scene();
    take_footprint(&before, NULL);
    swapper = start_peer(keep_swapping, stop);
    ck_assert_int_eq(hear(swapper.channel), 'a');
    while (passed < seconds_of_swapping() * 1000000000 ||
           (passed < HANG && (accepted == 0 || refused == 0))) {
        if (attach_to_whatever(seg, status.st_ino) == MAPSEG_OK)
            accepted++;
        else
            refused++;
        passed = now_ns() - begun;
    }
    __atomic_store_n(stop, 1, __ATOMIC_RELAXED);
    ck_assert_int_eq(end_peer(&swapper), 0);
    check_footprint(&before, NULL);
    printf("%u accepted, %u refused\n", accepted, refused);
    ck_assert_uint_gt(accepted, 0);
    ck_assert_uint_gt(refused, 0);
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------------- directories -- */

/** A directory on the way to the file, and one further in. */
static const struct {
    mode_t mode;
    uid_t owner;
    gid_t group;
    bool shared; /* others can replace names in it */
} directories[] = {
    {0777, ROOT, ROOT, true},     {0775, ROOT, NOBODY, true},   {0773, ROOT, ROOT, true},
    {0755, NOBODY, NOBODY, true}, {0700, NOBODY, NOBODY, true}, {01777, NOBODY, NOBODY, true},
    {01777, ROOT, ROOT, false},   {01775, ROOT, NOBODY, false}, {0755, ROOT, ROOT, false},
    {0700, ROOT, ROOT, false},
};

#define DIRECTORIES ((int)(sizeof directories / sizeof *directories))

/** How the file lies to the directory. */
enum way { IN_IT, BELOW_IT, BY_A_LINK, BELOW_BY_A_LINK, WAYS };

static void
set_directory(int directory, enum way way)
{
    use_tiny_shm("size=4m");
    scene.user = ROOT;
    scene.other = NOBODY;
    make_directory("/dev/shm/way", directories[directory].mode, directories[directory].owner);
    ck_assert_int_eq(
        chown("/dev/shm/way", directories[directory].owner, directories[directory].group), 0);
    make_directory("/dev/shm/way/in", 0755, ROOT);
    ck_assert_int_eq(symlink("/dev/shm/way", "/dev/shm/to-it"), 0);
    ck_assert_int_eq(symlink("way/in", "/dev/shm/below-it"), 0);
    snprintf(scene.path, sizeof scene.path, "%s/segment",
             way == IN_IT       ? "/dev/shm/way"
             : way == BELOW_IT  ? "/dev/shm/way/in"
             : way == BY_A_LINK ? "/dev/shm/to-it"
                                : "/dev/shm/below-it");
    snprintf(scene.key, sizeof scene.key, "file:%.200s", scene.path);
}

static mapseg_result
attach_with(mapseg *seg, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags;
    return mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options);
}

static mapseg_result
replace_with(mapseg *seg, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags | MAPSEG_RECLAIM | MAPSEG_PERSISTENT;
    return mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options);
}

static void
check_verdict(mapseg *seg, mapseg_result verdict, const char *words)
{
    mapseg_info *information = NULL;

    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    ck_assert_msg(information->verdict == verdict, "%s: %s",
                  mapseg_result_name(information->verdict), information->verdict_text);
    if (verdict != MAPSEG_OK)
        ck_assert_msg(strstr(information->verdict_text, words) != NULL, "%s",
                      information->verdict_text);
    ck_assert(is_one_line(information->safety_text));
    mapseg_info_free(information);
}

START_TEST(directory_that_others_may_change)
{
    const bool shared = directories[_i / WAYS].shared;
    const mapseg_result expected = shared ? MAPSEG_UNTRUSTED : MAPSEG_OK;
    const char *words = "MAPSEG_ALLOW_SHARED_DIRECTORY";
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg;

    set_directory(_i / WAYS, (enum way)(_i % WAYS));
    seg = handle_for(scene.key);
    need_call(expected, seg, mapseg_create(seg, DATA_BYTES, MAPSEG_READ_WRITE));
    if (!shared)
        need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(!exists(scene.path));
    options.flags = MAPSEG_ALLOW_SHARED_DIRECTORY;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(!exists(scene.path));
    put_segment(scene.path, 0600, ROOT);

    need_call(expected, seg, attach_with(seg, 0));
    if (shared)
        ck_assert_msg(strstr(mapseg_error_string(seg), words) != NULL, "%s",
                      mapseg_error_string(seg));
    (void)mapseg_detach(seg);
    check_verdict(seg, expected, words);
    need_call(expected, seg, attach_with(seg, RELAXING & ~(uint32_t)MAPSEG_ALLOW_SHARED_DIRECTORY));
    (void)mapseg_detach(seg);
    need_call(MAPSEG_OK, seg, attach_with(seg, MAPSEG_ALLOW_SHARED_DIRECTORY));
    ck_assert(is_own_segment(seg));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));

    need_call(expected, seg, replace_with(seg, 0));
    (void)mapseg_detach(seg);
    need_call(MAPSEG_OK, seg, replace_with(seg, MAPSEG_ALLOW_SHARED_DIRECTORY));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert(exists(scene.path));
    need_call(expected, seg, mapseg_reclaim(seg));
    if (shared)
        need_call(MAPSEG_UNTRUSTED, seg, mapseg_remove(seg));
    ck_assert(exists(scene.path) == shared);
    if (shared)
        need_call(MAPSEG_OK, seg, mapseg_remove_with(seg, &options));
    ck_assert(!exists(scene.path));
    mapseg_free(seg);
}
END_TEST

/* A link in a sticky directory is its owner's to replace. */
START_TEST(link_of_another_on_the_way)
{
    mapseg *seg;

    set_directory(DIRECTORIES - 1, BY_A_LINK);
    put_segment(scene.path, 0600, ROOT);
    seg = handle_for(scene.key);
    need_call(MAPSEG_OK, seg, attach_with(seg, 0));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert_int_eq(lchown("/dev/shm/to-it", NOBODY, NOBODY), 0);
    need_call(MAPSEG_UNTRUSTED, seg, attach_with(seg, 0));
    check_verdict(seg, MAPSEG_UNTRUSTED, "MAPSEG_ALLOW_SHARED_DIRECTORY");
    need_call(MAPSEG_OK, seg, attach_with(seg, MAPSEG_ALLOW_SHARED_DIRECTORY));
    mapseg_free(seg);
}
END_TEST

/* ------------------------------------------------ one flag, one refusal -- */

static const struct {
    uint32_t flag;
    const char *words;
    void (*put)(void);
} refusals[] = {
    {MAPSEG_ALLOW_OTHER_OWNER, OTHER_OWNER, put_others_segment},
    {MAPSEG_ALLOW_SHARED_WRITE, SHARED_WRITE, put_open_segment},
    {MAPSEG_ALLOW_SHARED_WRITE, SHARED_WRITE, put_group_segment},
    {MAPSEG_ALLOW_HARD_LINKS, HARD_LINKS, put_hard_link_to_segment},
    {MAPSEG_ALLOW_OTHER_OWNER | MAPSEG_ALLOW_SHARED_WRITE, "MAPSEG_ALLOW_",
     put_others_open_segment},
};

#define REFUSALS ((int)(sizeof refusals / sizeof *refusals))

/* Every set of the four flags. */
START_TEST(flag_relaxes_its_own_refusal)
{
    static const uint32_t bits[] = {MAPSEG_ALLOW_OTHER_OWNER, MAPSEG_ALLOW_SHARED_WRITE,
                                    MAPSEG_ALLOW_HARD_LINKS, MAPSEG_ALLOW_SHARED_DIRECTORY};
    const int refusal = _i / PLACES;
    uint32_t needed = refusals[refusal].flag;

    set_scene((enum place_kind)(_i % PLACES), ROOT);
    for (unsigned set = 0; set < 16; set++) {
        mapseg *seg = handle_of_scene();
        mapseg_result expected;
        uint32_t flags = 0;

        for (unsigned i = 0; i < 4; i++)
            flags |= set >> i & 1 ? bits[i] : 0;
        expected = (flags & needed) == needed ? MAPSEG_OK : MAPSEG_UNTRUSTED;
        refusals[refusal].put();
        check_verdict(seg, MAPSEG_UNTRUSTED, refusals[refusal].words);
        need_call(expected, seg, attach_with(seg, flags));
        if (expected == MAPSEG_OK)
            ck_assert(is_own_segment(seg));
        else
            ck_assert(strstr(mapseg_error_string(seg), refusals[refusal].words) != NULL);
        (void)mapseg_detach(seg);
        need_call(expected, seg, replace_with(seg, flags));
        mapseg_free(seg);
        ck_assert_int_eq(unlink(scene.path), 0);
        (void)unlink(scene.target);
    }
}
END_TEST

/* No flag makes a segment of what is none, or follows a link. */
START_TEST(no_flag_relaxes_the_rest)
{
    static const struct {
        void (*put)(void);
        mapseg_result expected;
    } others[] = {
        {put_link, UNTRUSTED},
        {put_link_to_file, UNTRUSTED},
        {put_link_to_segment, UNTRUSTED},
        {put_fifo, FOREIGN},
        {put_directory, FOREIGN},
        {put_socket, FOREIGN},
        {put_own_file, FOREIGN},
        {put_others_file, FOREIGN},
        {put_others_open_file, FOREIGN},
        {put_hard_link_to_file, FOREIGN},
        {put_empty_file, FOREIGN},
        {put_device, FOREIGN},
    };
    const size_t count = sizeof others / sizeof *others - !with_devices;
    const uint32_t all = RELAXING | (uint32_t)MAPSEG_GUARDED;

    for (size_t i = 0; i < count; i++) {
        struct witness witness;
        mapseg *seg;

        set_scene((enum place_kind)_i, ROOT);
        others[i].put();
        seg = handle_of_scene();
        begin_witness(&witness);
        need_call(others[i].expected, seg, attach_with(seg, all));
        need_call(others[i].expected, seg, replace_with(seg, all));
        end_witness(&witness, "with all flags");
        mapseg_free(seg);
    }
}
END_TEST

/* Root could interfere anyway: its files and directories are as good as one's own. */
static int
use_roots(void *argument)
{
    mapseg *seg;

    (void)argument;
    become_nobody();
    seg = handle_for(scene.key);
    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    ck_assert(is_own_segment(seg));
    mapseg_free(seg);
    return 0;
}

START_TEST(file_of_root_is_trusted)
{
    /* By a plain key nobody meets another user. */
    set_scene(_i == 0 ? PLACE_SHM : PLACE_FILE, ROOT);
    put_segment(scene.path, 0644, ROOT);
    ck_assert_int_eq(in_child(use_roots, NULL), 0);
}
END_TEST

/* ------------------------------------------------------- what info says -- */

/** Creates a segment and compares what is said of its safety. */
static void
check_safety(const char *key, uint32_t mode, uint32_t flags, bool can_shrink,
             mapseg_writers writers)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_info *information = NULL;
    mapseg *seg = handle_for(key);

    options.mode = mode;
    options.flags = flags;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
    ck_assert_msg(information->can_shrink == can_shrink, "%s %04o: can_shrink", key, mode);
    ck_assert_msg(information->writers == writers, "%s %04o: writers %d", key, mode,
                  (int)information->writers);
    ck_assert(is_one_line(information->safety_text));
    ck_assert_str_eq(information->limitations, "");
    mapseg_info_free(information);
    mapseg_free(seg);
}

START_TEST(safety_of_each_kind)
{
    const mapseg_writers owner = MAPSEG_WRITERS_OWNER, others = MAPSEG_WRITERS_OTHERS;
    char key[KEY_BYTES];

    use_tiny_shm("size=4m");
    scene.user = ROOT;
    unique_key(key);
    check_safety(key, 0, 0, true, owner);
    check_safety(key, 0644, 0, true, owner);
    check_safety(key, 0620, 0, true, others);
    check_safety(key, 0660, 0, true, others);
    check_safety(key, 0602, 0, true, others);
    check_safety(key, 0666, 0, true, others);
    check_safety("file:/dev/shm/mapsegtestfile", 0, 0, true, owner);
    check_safety("memfd:", 0, 0, false, owner);
    check_safety("memfd:", 0660, 0, false, others);
    check_safety("memfd:", 0666, 0, false, others);
    check_safety("memfd:", 0, MAPSEG_SINGLE_WRITER, false, MAPSEG_WRITERS_CREATOR);
    /* Seals hold whatever the mode says. */
    check_safety("memfd:", 0666, MAPSEG_SINGLE_WRITER, false, MAPSEG_WRITERS_CREATOR);
    use_runtime_directory("x");
    check_safety("runtime:mapsegtestrun", 0, 0, true, owner);
}
END_TEST

/** The sentences tell the kinds apart. */
START_TEST(safety_is_told_apart)
{
    static const uint32_t modes[] = {0600, 0666, 0600, 0600};
    static const uint32_t flags[] = {0, 0, 0, MAPSEG_SINGLE_WRITER};
    char texts[4][1024], key[KEY_BYTES];

    unique_key(key);
    for (int i = 0; i < 4; i++) {
        mapseg_options options = MAPSEG_OPTIONS_INIT;
        mapseg_info *information = NULL;
        mapseg *seg = handle_for(i < 2 ? key : "memfd:");

        options.mode = modes[i];
        options.flags = flags[i];
        need_call(MAPSEG_OK, seg, mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options));
        need_call(MAPSEG_OK, seg, mapseg_info_new(seg, &information));
        snprintf(texts[i], sizeof texts[i], "%s", information->safety_text);
        printf("%s\n", texts[i]);
        mapseg_info_free(information);
        mapseg_free(seg);
        for (int k = 0; k < i; k++)
            ck_assert_str_ne(texts[i], texts[k]);
    }
}
END_TEST

/* --------------------------------------------- peers that nobody trusts -- */

static mapseg_result
create_for_untrusted(mapseg *seg, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_UNTRUSTED_PEER | flags;
    return mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options);
}

START_TEST(untrusted_peer_needs_seals)
{
    char key[KEY_BYTES], path[KEY_BYTES];
    struct footprint before;
    mapseg *seg;

    unique_key(key);
    path_of(path, key);
    seg = handle_for(key);
    take_footprint(&before, NULL);
    need_call(MAPSEG_UNTRUSTED, seg, create_for_untrusted(seg, 0));
    ck_assert_msg(strstr(mapseg_error_string(seg), "memfd") != NULL, "%s",
                  mapseg_error_string(seg));
    ck_assert(!exists(path));
    check_footprint(&before, NULL);
    leave_persistent(key, 100, 0);
    need_call(MAPSEG_UNTRUSTED, seg, attach_with(seg, MAPSEG_UNTRUSTED_PEER));
    ck_assert_msg(strstr(mapseg_error_string(seg), "MAPSEG_GUARDED") != NULL, "%s",
                  mapseg_error_string(seg));
    need_call(MAPSEG_UNTRUSTED, seg, attach_with(seg, MAPSEG_UNTRUSTED_PEER | RELAXING));
    need_call(MAPSEG_OK, seg, attach_with(seg, MAPSEG_UNTRUSTED_PEER | MAPSEG_GUARDED));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    need_call(MAPSEG_OK, seg, create_for_untrusted(seg, MAPSEG_GUARDED));
    mapseg_free(seg);

    seg = handle_for("memfd:");
    need_call(MAPSEG_OK, seg, create_for_untrusted(seg, 0));
    mapseg_free(seg);
}
END_TEST

START_TEST(descriptor_without_seals)
{
    char key[KEY_BYTES];
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *source, *seg = mapseg_new();
    struct footprint before;
    int fd;

    unique_key(key);
    source = created(key, 100);
    fd = exported_fd(source, MAPSEG_READ_WRITE);
    ck_assert_int_ge(fd, 0);
    options.flags = MAPSEG_UNTRUSTED_PEER;
    take_footprint(&before, NULL);
    need_call(MAPSEG_UNTRUSTED, seg, mapseg_attach_fd_with(seg, fd, MAPSEG_READ_WRITE, &options));
    ck_assert(is_one_line(mapseg_error_string(seg)));
    check_footprint(&before, NULL);
    options.flags |= MAPSEG_GUARDED;
    need_call(MAPSEG_OK, seg, mapseg_attach_fd_with(seg, fd, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    mapseg_free(source);

    source = handle_for("memfd:");
    need_call(MAPSEG_OK, source, mapseg_create(source, 100, MAPSEG_READ_WRITE));
    fd = exported_fd(source, MAPSEG_READ_WRITE);
    ck_assert_int_ge(fd, 0);
    options.flags = MAPSEG_UNTRUSTED_PEER;
    seg = mapseg_new();
    need_call(MAPSEG_OK, seg, mapseg_attach_fd_with(seg, fd, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    mapseg_free(source);
}
END_TEST

static void
add_hostile_cases(Suite *suite)
{
    TCase *test_case = new_case(suite, "squatters");

    with_devices = skip_unless(can_make_devices(true), "root may not make devices here");
    tcase_add_loop_test(test_case, segment_that_is_sound, 0, PLACES);
    tcase_add_loop_test(test_case, squatter_is_met_by_root, 0, PLANTS * PLACES);
    tcase_add_loop_test(test_case, squatter_is_met_by_a_user, 0, PLANTS * PLACE_RUNTIME);
    tcase_add_loop_test(test_case, runtime_directory_of_others, 0, 7);
    tcase_add_test(test_case, runtime_directory_is_a_link);

    test_case = new_case(suite, "swaps");
    tcase_add_loop_test(test_case, name_swapped_under_attach, 0, SUBSTITUTES * MOMENTS);
    tcase_add_loop_test(test_case, name_swapped_under_a_removal, 0,
                        SUBSTITUTES * MOMENTS * REMOVALS);
    tcase_add_test(test_case, name_swapped_all_the_time);

    test_case = new_case(suite, "flags");
    tcase_add_loop_test(test_case, directory_that_others_may_change, 0, DIRECTORIES * WAYS);
    tcase_add_test(test_case, link_of_another_on_the_way);
    tcase_add_loop_test(test_case, flag_relaxes_its_own_refusal, 0, REFUSALS * PLACES);
    tcase_add_loop_test(test_case, no_flag_relaxes_the_rest, 0, PLACES);
    tcase_add_loop_test(test_case, file_of_root_is_trusted, 0, 2);

    test_case = new_case(suite, "safety");
    tcase_add_test(test_case, safety_of_each_kind);
}

int
main(void)
{
    Suite *suite = new_suite("trust");
    TCase *test_case = new_case(suite, "peers");

    tcase_add_test(test_case, safety_is_told_apart);
    tcase_add_test(test_case, untrusted_peer_needs_seals);
    tcase_add_test(test_case, descriptor_without_seals);
    if (skip_unless(is_root() && can_mount(),
                    "only root can leave files of other users in a private "
                    "place"))
        add_hostile_cases(suite);
    return run_suite(suite);
}
