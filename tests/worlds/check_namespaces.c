/*
 * check_namespaces.c - user namespaces: there the system's directories belong to a user who has
 * no number, which is neither root nor this user; and users of one number meet by plain keys who
 * are not the same.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA_BYTES 4096
#define SOME_USER 60001
#define ANOTHER_USER 60002
#define OVERFLOW_USER 65534

/** Where the many users of a namespace begin outside. */
#define FIRST_OF_MANY 100000

/* ---------------------------------------------------------------- users -- */

/** What maps a user namespace has. */
enum map {
    MAP_NONE,   /**< no user at all */
    MAP_ROOT,   /**< this user alone, as root */
    MAP_SAME,   /**< this user alone, with its number */
    MAP_OTHER,  /**< this user alone, with another number */
    MAP_MANY,   /**< this user as root, and many others, as in a container */
    MAP_NOTHING /**< it is the initial one */
};
#define ALONE ((int)MAP_MANY) /* maps of one user, or none */

/** A process in a user namespace, and what it does there. */
struct visitor {
    uid_t user; /**< outside */
    enum map map;
    uid_t inside; /**< the number that it takes there; of MAP_MANY */
    char key[KEY_BYTES];
    mapseg_result expected;
    const char *words;
};

static bool
write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return written;
}

/** Gives the user namespace of a process many users, as only root outside can. */
static bool
give_many(pid_t process, uid_t user)
{
    char path[64], users[96];

    snprintf(path, sizeof path, "/proc/%ld/uid_map", (long)process);
    snprintf(users, sizeof users, "0 %u 1\n1 %d 65535\n", (unsigned)user, FIRST_OF_MANY);
    return write_text(path, users);
}

/** Enters a user namespace of many users: a child that stays outside gives them. */
static bool
enter_with_many(const struct visitor *visitor)
{
    pid_t self = getpid();
    int entered[2], status = -1;
    pid_t giver;

    if (pipe(entered) != 0)
        return false;
    giver = fork();
    if (giver == 0) {
        char word;

        _exit(read(entered[0], &word, 1) == 1 && give_many(self, visitor->user) ? 0 : 1);
    }
    if (giver < 0 || setresuid(visitor->user, visitor->user, visitor->user) != 0)
        return false;
    (void)prctl(PR_SET_DUMPABLE, 1);
    return unshare(CLONE_NEWUSER) == 0 && write(entered[1], "e", 1) == 1 &&
           waitpid(giver, &status, 0) == giver && status == 0 &&
           setresuid(visitor->inside, visitor->inside, visitor->inside) == 0;
}

static bool
enter_alone(const struct visitor *visitor)
{
    static const unsigned numbers[] = {[MAP_ROOT] = 0, [MAP_SAME] = 1, [MAP_OTHER] = 1000};
    unsigned number = visitor->map == MAP_SAME ? visitor->user : numbers[visitor->map];
    char text[48];

    if (setresuid(visitor->user, visitor->user, visitor->user) != 0)
        return false;
    /* Or /proc/self is root's. */
    (void)prctl(PR_SET_DUMPABLE, 1);
    if (unshare(CLONE_NEWUSER) != 0)
        return false;
    snprintf(text, sizeof text, "%u %u 1", number, (unsigned)visitor->user);
    return visitor->map == MAP_NONE || write_text("/proc/self/uid_map", text);
}

static bool
enter(const struct visitor *visitor)
{
    if (setgroups(0, NULL) != 0 || setresgid(visitor->user, visitor->user, visitor->user) != 0)
        return false;
    if (visitor->map == MAP_NOTHING)
        return setresuid(visitor->user, visitor->user, visitor->user) == 0;
    return visitor->map == MAP_MANY ? enter_with_many(visitor) : enter_alone(visitor);
}

/** Whether there can be such namespaces, tried in children. */
static bool
has_namespaces(void)
{
    for (int map = 0; map <= (int)MAP_MANY; map++) {
        struct visitor visitor = {.user = SOME_USER, .map = (enum map)map};
        int status = -1;
        pid_t child = fork();

        if (child == 0)
            _exit(enter(&visitor) ? 0 : 1);
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ scenes -- */

#define OWN "/dev/shm/own"

static void
make_directory(const char *path, mode_t mode, uid_t owner)
{
    ck_assert_msg(mkdir(path, 0700) == 0 && chown(path, owner, owner) == 0 &&
                      chmod(path, mode) == 0,
                  "%s: %s", path, strerror(errno));
}

/** A file system with a directory of the user's own. */
static void
make_places(const char *options)
{
    use_tiny_shm(options);
    make_directory(OWN, 0755, SOME_USER);
}

/** A whole segment that no process is attached to. */
static void
put_segment(const char *path, mode_t mode, uid_t owner)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    char key[KEY_BYTES];
    mapseg *seg;

    snprintf(key, sizeof key, "file:%s", path);
    seg = handle_for(key);
    options.flags = (uint32_t)MAPSEG_PERSISTENT | (uint32_t)MAPSEG_ALLOW_SHARED_DIRECTORY;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    ck_assert_int_eq(chown(path, owner, owner), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
}

/* --------------------------------------------------------- what is done -- */

/** Creates, attaches by another handle, locks, and leaves nothing. */
static int
use_both(void *argument)
{
    const struct visitor *visitor = argument;
    mapseg_info *information;
    char path[KEY_BYTES];
    mapseg *seg, *other;

    need(enter(visitor));
    path_of(path, visitor->key);
    seg = created(visitor->key, DATA_BYTES);
    other = attached(visitor->key, MAPSEG_READ_WRITE);
    information = describe(other);
    need_number(MAPSEG_OK, information->verdict);
    need_number(2, information->attached);
    mapseg_info_free(information);
    need_call(MAPSEG_OK, other, mapseg_lock(other));
    need_call(MAPSEG_OK, other, mapseg_unlock(other));
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    need(exists(path));
    need_call(MAPSEG_OK, other, mapseg_detach(other));
    need(!exists(path));
    need(strcmp(mapseg_error_string(other), "") == 0);
    mapseg_free(other);
    mapseg_free(seg);
    return 0;
}

static void
need_words(const mapseg *seg, const char *words)
{
    if (words != NULL && strstr(mapseg_error_string(seg), words) == NULL)
        broken("it does not say \"%s\": %s", words, mapseg_error_string(seg));
    need(is_one_line(mapseg_error_string(seg)));
}

/** Attaches, by the native key. */
static int
attach_there(void *argument)
{
    const struct visitor *visitor = argument;
    mapseg_info *information;
    mapseg *seg;

    need(enter(visitor));
    seg = handle_for(visitor->key);
    need_call(visitor->expected, seg, mapseg_attach(seg, MAPSEG_READ_ONLY));
    if (visitor->expected != MAPSEG_OK)
        need_words(seg, visitor->words);
    (void)mapseg_detach(seg);
    information = describe(seg);
    need_number(visitor->expected, information->verdict);
    mapseg_info_free(information);
    mapseg_free(seg);
    return 0;
}

static struct visitor
visitor_of(enum map map, const char *key)
{
    struct visitor visitor = {.user = SOME_USER, .map = map};

    snprintf(visitor.key, sizeof visitor.key, "%s", key);
    return visitor;
}

static void
need_there(enum map map, const char *key, mapseg_result expected, const char *words)
{
    struct visitor visitor = visitor_of(map, key);

    visitor.expected = expected;
    visitor.words = words;
    ck_assert_int_eq(in_child(attach_there, &visitor), 0);
}

/* ------------------------------------------------------------ directories -- */

/* The way leads through "/", which no user there owns. */
START_TEST(file_in_an_own_directory)
{
    struct visitor visitor = visitor_of((enum map)_i, "file:" OWN "/segment");

    make_places("size=8m,mode=1777");
    ck_assert_int_eq(in_child(use_both, &visitor), 0);
}
END_TEST

/* The system's links are followed, as root's are outside. */
START_TEST(link_of_the_system)
{
    struct visitor visitor = visitor_of((enum map)_i, "file:/dev/shm/way/segment");

    make_places("size=8m,mode=0755");
    ck_assert_int_eq(symlink("own", "/dev/shm/way"), 0);
    ck_assert_int_eq(in_child(use_both, &visitor), 0);
}
END_TEST

/* Where all may make names, a link or a directory of unknown origin may be any user's. */
START_TEST(unknown_owner_where_all_may_write)
{
    make_places("size=8m,mode=1777");
    put_segment(OWN "/segment", 0600, SOME_USER);
    ck_assert_int_eq(symlink("own", "/dev/shm/way"), 0);
    ck_assert_int_eq(lchown("/dev/shm/way", ANOTHER_USER, ANOTHER_USER), 0);
    make_directory("/dev/shm/another", 0755, ANOTHER_USER);
    put_segment("/dev/shm/another/segment", 0600, SOME_USER);
    need_there((enum map)_i, "file:" OWN "/segment", MAPSEG_OK, NULL);
    need_there((enum map)_i, "file:/dev/shm/way/segment", MAPSEG_UNTRUSTED, "unknown here");
    need_there((enum map)_i, "file:/dev/shm/another/segment", MAPSEG_UNTRUSTED, "unknown here");
}
END_TEST

/* A directory that others may write is refused, as outside. */
START_TEST(open_directory)
{
    make_places("size=8m,mode=0755");
    make_directory("/dev/shm/open", 0777, 0);
    put_segment("/dev/shm/open/segment", 0600, SOME_USER);
    need_there((enum map)_i, "file:/dev/shm/open/segment", MAPSEG_UNTRUSTED, "0777");
}
END_TEST

/* The file is judged as ever: a user without a number is never oneself. */
START_TEST(file_of_an_unknown_user)
{
    static const uid_t owners[] = {0, ANOTHER_USER, OVERFLOW_USER};

    make_places("size=8m,mode=1777");
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        put_segment(OWN "/segment", 0644, owners[i]);
        need_there((enum map)_i, "file:" OWN "/segment", MAPSEG_UNTRUSTED, "unknown here");
        ck_assert_int_eq(unlink(OWN "/segment"), 0);
    }
}
END_TEST

/* -------------------------------------------------------- many users -- */

/* There a user has the number of those who have none. */
START_TEST(nobody_among_many)
{
    struct visitor visitor = visitor_of(MAP_MANY, "file:/dev/shm/nobodys/segment");

    make_places("size=8m,mode=0755");
    make_directory("/dev/shm/nobodys", 0755, FIRST_OF_MANY + OVERFLOW_USER - 1);
    put_segment("/dev/shm/nobodys/segment", 0600, SOME_USER);
    visitor.expected = MAPSEG_UNTRUSTED;
    visitor.words = "/dev/shm/nobodys";
    ck_assert_int_eq(in_child(attach_there, &visitor), 0);
}
END_TEST

/* Only root can tell the two apart; others are told so, and can allow it. */
START_TEST(ordinary_user_among_many)
{
    struct visitor visitor = visitor_of(MAP_MANY, "file:/dev/shm/ten/segment");

    make_places("size=8m,mode=0755");
    make_directory("/dev/shm/ten", 0755, FIRST_OF_MANY + 9);
    put_segment("/dev/shm/ten/segment", 0600, FIRST_OF_MANY + 9);
    visitor.inside = 10;
    visitor.expected = MAPSEG_UNTRUSTED;
    visitor.words = "unknown here";
    ck_assert_int_eq(in_child(attach_there, &visitor), 0);
}
END_TEST

/* ------------------------------------------------------------- plain keys -- */

/** A plain key, and what comes of it in a process. */
struct plain {
    struct visitor visitor;
    bool creates;
    uint32_t mode;
};

static int
use_plain_key(void *argument)
{
    const struct plain *plain = argument;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg;

    need(plain->visitor.map == MAP_NOTHING ? true : enter(&plain->visitor));
    seg = mapseg_new_with_key(plain->visitor.key);
    need(seg != NULL);
    options.mode = plain->mode;
    options.flags = MAPSEG_PERSISTENT;
    if (plain->creates)
        need_call(plain->visitor.expected, seg,
                  mapseg_create_with(seg, DATA_BYTES, MAPSEG_READ_WRITE, &options));
    else
        need_call(plain->visitor.expected, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    if (plain->visitor.expected != MAPSEG_OK)
        need_words(seg, plain->visitor.words);
    mapseg_free(seg);
    return 0;
}

static void
need_plain(enum map map, bool creates, uint32_t mode, mapseg_result expected)
{
    struct plain plain = {.visitor = visitor_of(map, "weather"), .creates = creates, .mode = mode};

    plain.visitor.expected = expected;
    plain.visitor.words = "another user namespace";
    ck_assert_int_eq(in_child(use_plain_key, &plain), 0);
}

/* Root inside and root outside have one number, and are two users. */
START_TEST(plain_key_of_root_inside)
{
    use_tiny_shm("size=8m,mode=1777");
    need_plain(MAP_ROOT, true, 0600, MAPSEG_OK);
    need_plain(MAP_ROOT, false, 0, MAPSEG_OK);
    need_plain(MAP_NOTHING, false, 0, MAPSEG_UNTRUSTED);
    need_plain(MAP_NOTHING, true, 0600, MAPSEG_ALREADY_EXISTS);
}
END_TEST

START_TEST(plain_key_of_root_outside)
{
    static const uint32_t modes[] = {0600, 0644};

    use_tiny_shm("size=8m,mode=1777");
    need_plain(MAP_NOTHING, true, modes[_i], MAPSEG_OK);
    need_plain(MAP_NOTHING, false, 0, MAPSEG_OK);
    need_plain(MAP_ROOT, false, 0, MAPSEG_PERMISSION_DENIED);
    need_plain(MAP_ROOT, true, 0600, MAPSEG_ALREADY_EXISTS);
    /* A user of another number meets neither. */
    need_plain(MAP_OTHER, true, 0600, MAPSEG_OK);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("namespaces");
    TCase *group = new_case(suite, "namespaces");

    if (skip_unless(is_root() && can_mount(), "several users and private mounts take root") &&
        skip_unless(has_namespaces(), "users may have no user namespace here")) {
        tcase_add_loop_test(group, file_in_an_own_directory, 0, (int)MAP_MANY + 1);
        tcase_add_loop_test(group, link_of_the_system, 0, ALONE);
        tcase_add_loop_test(group, unknown_owner_where_all_may_write, 0, ALONE);
        tcase_add_loop_test(group, open_directory, 0, (int)MAP_MANY + 1);
        tcase_add_loop_test(group, file_of_an_unknown_user, 0, ALONE);
        tcase_add_test(group, nobody_among_many);
        tcase_add_test(group, ordinary_user_among_many);
        tcase_add_test(group, plain_key_of_root_inside);
        tcase_add_loop_test(group, plain_key_of_root_outside, 0, 2);
    }
    return run_suite(suite);
}
