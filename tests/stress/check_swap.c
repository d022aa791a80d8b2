/*
 * check_swap.c - the owner of a directory on the way exchanges it for a link, at any moment.
 *
 * A user has a directory in which a segment lies, and beside it a link to a directory of root's
 * where a file has the same name. Root works with the user's segment; between any two of the
 * system calls the user exchanges the two. Whatever lies in root's directory stays as it is, unless
 * the link was there already when the directory was opened, and root had allowed such directories.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os/os.h"
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 100

#define PRECIOUS "/dev/shm/precious"
#define PRECIOUS_FILE PRECIOUS "/seg"
#define HOSTILE "/dev/shm/mallory"
#define DIRECTORY HOSTILE "/d"
#define LINK HOSTILE "/e"
#define HOSTILE_FILE DIRECTORY "/seg"
#define KEY "file:" HOSTILE_FILE

/** What lies in root's directory. */
enum precious { FOREIGN_FILE, OWN_SEGMENT, PRECIOUS_KINDS };

/** How long the exchange lasts: for good, or until the next moment. */
enum swap_kind { FOR_GOOD, FOR_A_MOMENT, SWAP_KINDS };

static struct msi_os_operations healthy;

static struct {
    bool armed;
    enum swap_kind kind;
    int at;         /* the moment of the exchange; before and after each operation there is one */
    int now;        /* the moments that have been */
    bool done;      /* it was exchanged */
    bool led_there; /* the directory was opened while the link was in its place */
    struct stat directory;
    struct stat file; /* root's */
} swap;

/* ------------------------------------------------------------- the scene -- */

static void
exchange(void)
{
    ck_assert_msg(renameat2(AT_FDCWD, DIRECTORY, AT_FDCWD, LINK, RENAME_EXCHANGE) == 0,
                  "exchange: %s", strerror(errno));
}

static void
make_directory(const char *path, uid_t owner)
{
    ck_assert_msg(mkdir(path, 0755) == 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(chown(path, owner, owner), 0);
}

static int
put_and_die(void *key)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(key);

    options.flags = MAPSEG_ALLOW_SHARED_DIRECTORY | MAPSEG_LAZY;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    memset(mapseg_data(seg), 0x5a, DATA_BYTES);
    raise(SIGKILL);
    return 1;
}

/** What a killed creator leaves. */
static unsigned char debris[4096 + DATA_BYTES];

static void
take_debris(void)
{
    int fd;

    ck_assert_int_eq(in_child(put_and_die, (void *)(uintptr_t)("file:" PRECIOUS_FILE)),
                     128 + SIGKILL);
    fd = open(PRECIOUS_FILE, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(read(fd, debris, sizeof debris), (ssize_t)sizeof debris);
    close(fd);
    ck_assert_int_eq(unlink(PRECIOUS_FILE), 0);
}

static void
put_file(const char *path, const void *bytes, size_t count, uid_t owner)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(write(fd, bytes, count), (ssize_t)count);
    ck_assert_int_eq(fchown(fd, owner, owner), 0);
    close(fd);
}

static void
put_precious(enum precious precious)
{
    if (precious == OWN_SEGMENT)
        put_file(PRECIOUS_FILE, debris, sizeof debris, 0);
    else
        put_file(PRECIOUS_FILE, "precious\n", 9, 0);
    ck_assert_int_eq(stat(PRECIOUS, &swap.directory), 0);
    ck_assert_int_eq(stat(PRECIOUS_FILE, &swap.file), 0);
}

static void
set_scene(enum precious precious)
{
    use_tiny_shm("size=16m");
    healthy = msi_os;
    make_directory(PRECIOUS, 0);
    make_directory(HOSTILE, NOBODY);
    make_directory(DIRECTORY, NOBODY);
    ck_assert_int_eq(symlink(PRECIOUS, LINK), 0);
    ck_assert_int_eq(lchown(LINK, NOBODY, NOBODY), 0);
    take_debris();
    put_precious(precious);
    ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", DIRECTORY, 1), 0);
}

/** The link in its place, and in the directory nothing, or a segment of the user's. */
static void
set_hostile(bool with_segment)
{
    struct stat status;

    if (lstat(DIRECTORY, &status) == 0 && S_ISLNK(status.st_mode))
        exchange();
    (void)unlink(HOSTILE_FILE);
    if (with_segment)
        put_file(HOSTILE_FILE, debris, sizeof debris, NOBODY);
}

/* ------------------------------------------------------------- the hooks -- */

/** One moment passes. */
static void
moment(void)
{
    if (!swap.armed)
        return;
    if (swap.now == swap.at || (swap.kind == FOR_A_MOMENT && swap.now == swap.at + 1)) {
        exchange();
        swap.done = true;
    }
    swap.now++;
}

static bool
is_file(int fd, const struct stat *wanted)
{
    struct stat status;

    return fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == wanted->st_dev &&
           status.st_ino == wanted->st_ino;
}

/** A place that names are looked up in. */
static int
note_place(int place)
{
    if (swap.armed && is_file(place, &swap.directory))
        swap.led_there = true;
    return place;
}

/** What would change root's file, though it has not been asked for. */
static void
spare_precious(int fd, const char *what)
{
    if (swap.armed && !swap.led_there && is_file(fd, &swap.file))
        ck_abort_msg("root's file: %s, with the exchange at %d", what, swap.at);
}

#define AT_TWO_MOMENTS(type, call)                                                                 \
    do {                                                                                           \
        type result_;                                                                              \
                                                                                                   \
        moment();                                                                                  \
        result_ = (call);                                                                          \
        moment();                                                                                  \
        return result_;                                                                            \
    } while (0)

static int
hooked_open(int directory, const char *name, int flags)
{
    AT_TWO_MOMENTS(int, healthy.open(directory, name, flags));
}

static int
hooked_open_directory(const char *path)
{
    AT_TWO_MOMENTS(int, note_place(healthy.open_directory(path)));
}

static int
hooked_open_place(int directory, const char *name)
{
    AT_TWO_MOMENTS(int, note_place(healthy.open_place(directory, name)));
}

static int
hooked_open_new(int directory, const char *name, mode_t mode)
{
    AT_TWO_MOMENTS(int, healthy.open_new(directory, name, mode));
}

static int
hooked_open_unnamed(int directory, mode_t mode)
{
    AT_TWO_MOMENTS(int, healthy.open_unnamed(directory, mode));
}

static int
hooked_status_of_name(int directory, const char *name, struct stat *status)
{
    AT_TWO_MOMENTS(int, healthy.status_of_name(directory, name, status));
}

static int
hooked_link(int fd, int directory, const char *name)
{
    AT_TWO_MOMENTS(int, healthy.link(fd, directory, name));
}

static int
hooked_rename_new(int directory, const char *from, const char *to)
{
    AT_TWO_MOMENTS(int, healthy.rename_new(directory, from, to));
}

static int
hooked_unlink(int directory, const char *name)
{
    AT_TWO_MOMENTS(int, healthy.unlink(directory, name));
}

static int
hooked_make_directory(int directory, const char *name, mode_t mode)
{
    AT_TWO_MOMENTS(int, healthy.make_directory(directory, name, mode));
}

static int
hooked_reopen(int fd, int flags)
{
    AT_TWO_MOMENTS(int, healthy.reopen(fd, flags));
}

static int
hooked_lock_range(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    if (kind != MSI_RANGE_FREE)
        spare_precious(fd, "it was locked");
    AT_TWO_MOMENTS(int, healthy.lock_range_ofd(fd, kind, start, bytes));
}

static int
hooked_hold_range(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    if (kind != MSI_RANGE_FREE)
        spare_precious(fd, "it was locked by the process");
    AT_TWO_MOMENTS(int, healthy.lock_range_process(fd, kind, start, bytes));
}

static void *
hooked_map(int fd, size_t bytes, int64_t offset, enum msi_protection protection, int *error)
{
    spare_precious(fd, "it was mapped");
    AT_TWO_MOMENTS(void *, healthy.map(fd, bytes, offset, protection, error));
}

/** A file system that cannot have files without a name. */
static int
refuse_unnamed(int directory, mode_t mode)
{
    (void)directory;
    (void)mode;
    return -EOPNOTSUPP;
}

static void
set_hooks(void)
{
    msi_os.open = hooked_open;
    msi_os.open_directory = hooked_open_directory;
    msi_os.open_place = hooked_open_place;
    msi_os.open_new = hooked_open_new;
    msi_os.open_unnamed = hooked_open_unnamed;
    msi_os.status_of_name = hooked_status_of_name;
    msi_os.link = hooked_link;
    msi_os.rename_new = hooked_rename_new;
    msi_os.unlink = hooked_unlink;
    msi_os.make_directory = hooked_make_directory;
    msi_os.reopen = hooked_reopen;
    msi_os.lock_range_ofd = hooked_lock_range;
    msi_os.lock_range_process = hooked_hold_range;
    msi_os.map = hooked_map;
}

/* ------------------------------------------------------------- the calls -- */

#define ALLOWED                                                                                    \
    ((uint32_t)MAPSEG_ALLOW_OTHER_OWNER | (uint32_t)MAPSEG_ALLOW_SHARED_DIRECTORY |                \
     (uint32_t)MAPSEG_ALLOW_SHARED_WRITE)

static const mapseg_options *
with(uint32_t flags)
{
    static mapseg_options options;

    options = (mapseg_options)MAPSEG_OPTIONS_INIT;
    options.flags = flags | (uint32_t)MAPSEG_LAZY;
    options.timeout_ns = 1000000;
    return &options;
}

static mapseg_result
attach_plainly(mapseg *seg)
{
    return mapseg_attach(seg, MAPSEG_READ_WRITE);
}

static mapseg_result
create_plainly(mapseg *seg)
{
    return mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, with(0));
}

static mapseg_result
replace_plainly(mapseg *seg)
{
    return mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, with(MAPSEG_RECLAIM));
}

static mapseg_result
look(mapseg *seg)
{
    mapseg_info *information = NULL;
    mapseg_result result = mapseg_info_new(seg, &information);

    if (result == MAPSEG_OK)
        ck_assert_int_ne(information->verdict, MAPSEG_OK);
    mapseg_info_free(information);
    return result;
}

static mapseg_result
list(mapseg *seg)
{
    mapseg_list *list;

    (void)seg;
    if (mapseg_list_new(&list) == MAPSEG_OK)
        mapseg_list_free(list);
    return MAPSEG_OK;
}

static mapseg_result
attach_trusting(mapseg *seg)
{
    return mapseg_attach_with(seg, MAPSEG_READ_WRITE, with(ALLOWED));
}

static mapseg_result
create_trusting(mapseg *seg)
{
    return mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, with(ALLOWED));
}

static mapseg_result
create_with_private_name(mapseg *seg)
{
    mapseg_result result;

    msi_os.open_unnamed = refuse_unnamed;
    result = create_trusting(seg);
    msi_os.open_unnamed = hooked_open_unnamed;
    return result;
}

static mapseg_result
replace_trusting(mapseg *seg)
{
    return mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, with(ALLOWED | MAPSEG_RECLAIM));
}

static mapseg_result
remove_trusting(mapseg *seg)
{
    return mapseg_remove_with(seg, with(ALLOWED));
}

static mapseg_result
reclaim_trusting(mapseg *seg)
{
    return mapseg_reclaim_with(seg, with(ALLOWED));
}

static mapseg_result export(mapseg *seg)
{
    int fd = exported_fd(seg, MAPSEG_READ_WRITE);

    ck_assert_msg(fd >= 0 && !is_file(fd, &swap.file), "another file was exported");
    close(fd);
    return MAPSEG_OK;
}

/** Lets the library find that its descriptor is gone, and another file's by now. */
static mapseg_result
open_anew(mapseg *seg)
{
    char byte;

    ck_assert_int_eq(mapseg_read(seg, 0, &byte, 1, NULL) == MAPSEG_OK ? byte : 0x5a, 0x5a);
    return MAPSEG_OK;
}

static const struct {
    const char *name;
    mapseg_result (*run)(mapseg *seg);
    bool with_segment; /* a segment of the user's is there */
    bool attached;     /* the handle is attached to it before */
    bool refused;      /* the directory is not trusted, always */
    bool may_follow;   /* what the link leads to may be meant, if it was there from the start */
} calls[] = {
    {"attach", attach_plainly, true, false, true, false},
    {"create", create_plainly, false, false, true, false},
    {"create with reclaim", replace_plainly, true, false, true, false},
    {"remove", mapseg_remove, true, false, true, false},
    {"reclaim", mapseg_reclaim, true, false, true, false},
    {"info", look, true, false, false, true},
    {"list", list, true, false, false, false},
    {"attach, trusting", attach_trusting, true, false, false, true},
    {"create, trusting", create_trusting, false, false, false, true},
    {"create by a private name", create_with_private_name, false, false, false, true},
    {"create with reclaim, trusting", replace_trusting, true, false, false, true},
    {"remove, trusting", remove_trusting, true, false, false, true},
    {"reclaim, trusting", reclaim_trusting, true, false, false, true},
    {"last detach", mapseg_detach, true, true, false, false},
    {"export", export, true, true, false, false},
    {"descriptor that was lost", open_anew, true, true, false, false},
};

#define CALLS ((int)(sizeof calls / sizeof *calls))

/* ------------------------------------------------------------ witnesses -- */

struct witness {
    struct file_state state;
    int events;
};

static void
begin_witness(struct witness *witness)
{
    const uint32_t changes =
        IN_OPEN | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW;

    take_file_state(&witness->state, PRECIOUS_FILE);
    witness->events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    ck_assert_int_ge(witness->events, 0);
    ck_assert_int_ge(inotify_add_watch(witness->events, PRECIOUS_FILE, changes), 0);
}

static int
count_entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;

    ck_assert_ptr_nonnull(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2;
}

static void
end_witness(struct witness *witness, bool was_meant, const char *call)
{
    union {
        struct inotify_event event;
        char room[4096];
    } seen;
    ssize_t length = read(witness->events, &seen, sizeof seen);

    close(witness->events);
    ck_assert_msg(was_meant || length == -1, "%s, exchange at %d: the system saw the event %#x",
                  call, swap.at, length > 0 ? (unsigned)seen.event.mask : 0);
    ck_assert_msg(exists(PRECIOUS_FILE), "%s, exchange at %d: root's file is gone", call, swap.at);
    check_file_state(&witness->state, PRECIOUS_FILE);
    ck_assert_int_eq(count_entries(PRECIOUS), 1);
    ck_assert_msg(count_locks(PRECIOUS_FILE) == 0, "%s: locks are left", call);
}

/** What the link leads to may have been meant: made anew if it was taken away. */
static void
end_witness_of_meant(struct witness *witness)
{
    close(witness->events);
    free(witness->state.bytes);
    (void)unlink(PRECIOUS_FILE);
    ck_assert_int_eq(count_entries(PRECIOUS), 0);
    put_precious(OWN_SEGMENT);
}

/** What is below the descriptors of the library becomes another's. */
static void
take_descriptors_away(mapseg *seg)
{
    char path[64];
    struct stat segment, status;

    ck_assert_int_eq(stat(HOSTILE_FILE, &segment), 0);
    ck_assert(mapseg_is_attached(seg));
    for (int fd = 3; fd < 256; fd++)
        if (fstat(fd, &status) == 0 && status.st_ino == segment.st_ino) {
            int other = open("/dev/null", O_RDWR | O_CLOEXEC);

            snprintf(path, sizeof path, "%d", fd);
            ck_assert_msg(dup3(other, fd, O_CLOEXEC) == fd, "%s", path);
            close(other);
        }
}

/** Runs the call with the exchange at one moment; whether there was such a moment. */
static bool
run_call(int call, enum precious precious, enum swap_kind kind, int at)
{
    struct witness witness;
    mapseg_result result;
    mapseg *seg = handle_for(KEY);

    set_hostile(calls[call].with_segment);
    if (calls[call].attached)
        need_call(MAPSEG_OK, seg, attach_trusting(seg));
    if (calls[call].run == open_anew)
        take_descriptors_away(seg);
    begin_witness(&witness);
    swap.kind = kind;
    swap.at = at;
    swap.now = 0;
    swap.done = swap.led_there = false;
    swap.armed = true;
    result = calls[call].run(seg);
    swap.armed = false;
    if (calls[call].refused)
        ck_assert_msg(result == MAPSEG_UNTRUSTED, "%s: %s", calls[call].name,
                      mapseg_error_string(seg));
    /* Unhooked, and the exchange remains: the handle leaves. */
    if (calls[call].may_follow && swap.led_there && precious == OWN_SEGMENT) {
        mapseg_free(seg);
        end_witness_of_meant(&witness);
    } else {
        mapseg_free(seg);
        end_witness(&witness, calls[call].may_follow && swap.led_there, calls[call].name);
    }
    return swap.done;
}

START_TEST(directory_becomes_a_link)
{
    set_scene(FOREIGN_FILE);
    set_hooks();
    for (int i = 0; i < PRECIOUS_KINDS * SWAP_KINDS; i++) {
        int at = 0;

        ck_assert_int_eq(unlink(PRECIOUS_FILE), 0);
        put_precious((enum precious)(i / SWAP_KINDS));
        while (run_call(_i, (enum precious)(i / SWAP_KINDS), (enum swap_kind)(i % SWAP_KINDS), at))
            at++;
        printf("%s: %d moments\n", calls[_i].name, at);
        ck_assert_int_gt(at, 1);
    }
}
END_TEST

/* ------------------------------------------------------------- the storm -- */

/** The user: keeps a segment in the directory, and exchanges directory and link. */
static int
keep_exchanging(int channel, void *argument)
{
    int *stop = argument;

    become_nobody();
    say(channel, 'a');
    while (__atomic_load_n(stop, __ATOMIC_RELAXED) == 0) {
        set_hostile(true);
        for (int i = 0; i < 500 && __atomic_load_n(stop, __ATOMIC_RELAXED) == 0; i++)
            exchange();
    }
    return 0;
}

static mapseg_result
come_and_go(mapseg *seg)
{
    mapseg_result result = attach_trusting(seg);

    if (result == MAPSEG_OK)
        (void)mapseg_detach(seg);
    return result;
}

static int64_t
time_to_storm_ns(void)
{
    const char *text = getenv("MAPSEG_SWAP_SECONDS");

    return text == NULL ? INT64_C(700000000) : strtol(text, NULL, 10) * INT64_C(1000000000);
}

START_TEST(directory_becomes_a_link_all_the_time)
{
    static mapseg_result (*const kinds[][2])(mapseg * seg) = {
        {remove_trusting, mapseg_remove},
        {reclaim_trusting, mapseg_reclaim},
        {come_and_go, replace_plainly},
    };
    int *stop = shared_memory(sizeof *stop);
    struct file_state state;
    unsigned done = 0, refused = 0;
    struct peer peer;
    mapseg *seg = handle_for(KEY);
    int64_t end;

    set_scene(FOREIGN_FILE);
    take_file_state(&state, PRECIOUS_FILE);
    peer = start_peer(keep_exchanging, stop);
    ck_assert_int_eq(hear(peer.channel), 'a');
    end = now_ns() + time_to_storm_ns();
    while (now_ns() < end) {
        if (kinds[_i][0](seg) == MAPSEG_OK)
            done++;
        if (kinds[_i][1](seg) == MAPSEG_UNTRUSTED)
            refused++;
        ck_assert_msg(exists(PRECIOUS_FILE), "root's file is gone");
    }
    __atomic_store_n(stop, 1, __ATOMIC_RELAXED);
    ck_assert_int_eq(end_peer(&peer), 0);
    printf("%u done, %u refused\n", done, refused);
    ck_assert_uint_gt(refused, 0);
    check_file_state(&state, PRECIOUS_FILE);
    ck_assert_int_eq(count_entries(PRECIOUS), 1);
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("swap");
    TCase *test_case = new_case(suite, "swap");

    if (skip_unless(is_root() && can_mount(), "only root can give directories to other users in a "
                                              "private place")) {
        tcase_add_loop_test(test_case, directory_becomes_a_link, 0, CALLS);
        tcase_add_loop_test(test_case, directory_becomes_a_link_all_the_time, 0, 3);
    }
    return run_suite(suite);
}
