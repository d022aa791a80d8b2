/*
 * check_fallbacks.c - kernels, file systems and sandboxes that lack a call or a flag: another way
 * is gone, or what is missing is said.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sandbox.h"
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE ((size_t)300000)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif
#define ANY_MASK 0xffffffffU
/** O_TMPFILE is this bit and O_DIRECTORY. */
#define UNNAMED (O_TMPFILE & ~O_DIRECTORY)

/** One world: what its system calls are refused. */
struct world {
    const char *name;
    struct sandbox_rule rules[3];
    size_t count;
};

#define NO_UNNAMED(error)                                                                          \
    {                                                                                              \
        SYS_openat, error, 2, UNNAMED, UNNAMED                                                     \
    }
#define NO_EXCLUSIVE_RENAME(error)                                                                 \
    {                                                                                              \
        SYS_renameat2, error, 4, 1, 1                                                              \
    }
#define NO_RESERVE(error)                                                                          \
    {                                                                                              \
        SYS_fallocate, error, 0, 0, 0                                                              \
    }
#define NO_HIDING(error)                                                                           \
    {                                                                                              \
        SYS_madvise, error, 2, ANY_MASK, MADV_DONTFORK                                             \
    }
#define NO_POPULATING(error)                                                                       \
    {                                                                                              \
        SYS_madvise, error, 2, ANY_MASK, MADV_POPULATE_WRITE                                       \
    }
#if defined(SYS_fcntl64)
#define NO_OFD_LOCKS(error)                                                                        \
    {                                                                                              \
        SYS_fcntl64, error, 1, ANY_MASK, F_OFD_SETLK                                               \
    }
#else
#define NO_OFD_LOCKS(error)                                                                        \
    {                                                                                              \
        SYS_fcntl, error, 1, ANY_MASK, F_OFD_SETLK                                                 \
    }
#endif

static void
enter(const struct world *world)
{
    enter_sandbox(world->rules, world->count, ALLOW);
}

/** A whole life of a segment: only one can create it, others attach, lock, write, read and leave,
 *  and the last one out removes it. */
static void
live(const char *native_key, const char *path, mapseg_initializer look, void *argument)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(native_key), *other = handle_for(native_key);
    char text[8] = "";

    options.initialize = look;
    options.initialize_argument = argument;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    need_call(MAPSEG_ALREADY_EXISTS, other, mapseg_create(other, SIZE, MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, other, mapseg_attach(other, MAPSEG_READ_WRITE));
    need_attached_through(2, other);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    need_call(MAPSEG_WOULD_BLOCK, other, mapseg_try_lock(other));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    need_call(MAPSEG_OK, other, mapseg_write(other, SIZE - 6, "hello", 6));
    need_call(MAPSEG_OK, seg, mapseg_read(seg, SIZE - 6, text, 6, NULL));
    need(strcmp(text, "hello") == 0);
    mapseg_free(other);
    need(exists(path));
    mapseg_free(seg);
    need(!exists(path));
}

/* ------------------------------------------------------------------ names -- */

static const struct world naming[] = {
    {"no file without a name: EACCES", {NO_UNNAMED(EACCES)}, 1},
    {"no file without a name: EPERM", {NO_UNNAMED(EPERM)}, 1},
    {"no file without a name: ENOSYS", {NO_UNNAMED(ENOSYS)}, 1},
    {"none, and no rename to what is free: EINVAL",
     {NO_UNNAMED(EACCES), NO_EXCLUSIVE_RENAME(EINVAL)},
     2},
    {"none, and no rename to what is free: ENOSYS",
     {NO_UNNAMED(EOPNOTSUPP), NO_EXCLUSIVE_RENAME(ENOSYS)},
     2},
    {"none, and no rename to what is free: EPERM",
     {NO_UNNAMED(EOPNOTSUPP), NO_EXCLUSIVE_RENAME(EPERM)},
     2},
    {"a file without a name can get none: EACCES", {{SYS_linkat, EACCES, 4, 0, 0}}, 1},
    {"a file without a name can get none: EINVAL", {{SYS_linkat, EINVAL, 4, 0, 0}}, 1},
};

/** What a name begins with. */
struct beginning {
    char text[KEY_BYTES];
    size_t found;
    size_t strangers; /**< private names that begin in another way */
};

/** Looks at the names that there are while the segment has none. */
static mapseg_result
look_at_names(void *data, size_t size, void *argument)
{
    struct beginning *beginning = argument;
    DIR *directory = opendir(SHM_DIRECTORY);
    const struct dirent *entry;

    (void)data;
    (void)size;
    need(directory != NULL);
    beginning->found = beginning->strangers = 0;
    while ((entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, beginning->text, strlen(beginning->text)) == 0)
            beginning->found++;
        else if (strstr(entry->d_name, ".mapseg-") != NULL)
            beginning->strangers++;
    }
    closedir(directory);
    return MAPSEG_OK;
}

static int
create_by_another_name(void *argument)
{
    struct beginning beginning;
    struct place place;
    struct footprint before;

    use_tiny_shm("size=4m");
    new_place(&place);
    snprintf(beginning.text, sizeof beginning.text, "%.200s", place.key + strlen("shm:"));
    enter(argument);
    take_footprint(&before, NULL);
    live(place.key, place.path, look_at_names, &beginning);
    /* A rule that allows the segment's name by its beginning allows the private one, too. */
    need_number(1, beginning.found);
    need_number(0, beginning.strangers);
    check_footprint(&before, NULL);
    return 0;
}

START_TEST(names_are_given_in_another_way)
{
    ck_assert_msg(in_child(create_by_another_name, (void *)(uintptr_t)&naming[_i]) == 0, "%s",
                  naming[_i].name);
}
END_TEST

/** The longest name leaves no room for more: its beginning stays. */
START_TEST(longest_name_has_a_private_one)
{
    char key[KEY_BYTES + 8] = "shm:", path[2 * KEY_BYTES];

    use_tiny_shm("size=4m");
    memset(key + strlen("shm:"), 'n', 255);
    key[strlen("shm:") + 255] = '\0';
    snprintf(path, sizeof path, SHM_DIRECTORY "/%s", key + strlen("shm:"));
    enter(&naming[_i]);
    live(key, path, NULL, NULL);
    ck_assert_int_eq(count_names(".mapseg-"), 0);
}
END_TEST

/** What a killed creator leaves is found by its private name. */
START_TEST(private_names_are_debris)
{
    static const struct {
        const char *name;
        bool ours;
    } files[] = {
        {"weather.mapseg-0123456789abcdef", true},  {".mapseg-0123456789abcdef", true},
        {"weather.mapseg-0123456789abcde", false},  {"weather.mapseg-0123456789abcdef0", false},
        {"weather.mapseg-0123456789abcdeg", false}, {"weather-mapseg-0123456789abcdef", false}};
    char key[KEY_BYTES], path[KEY_BYTES];
    mapseg *seg;
    int fd;

    use_tiny_shm("size=4m");
    snprintf(key, sizeof key, "shm:%s", files[_i].name);
    path_of(path, key);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    seg = handle_for(key);
    need_call(files[_i].ours ? MAPSEG_OK : MAPSEG_NOT_A_SEGMENT, seg, mapseg_reclaim(seg));
    ck_assert_int_eq(exists(path), !files[_i].ours);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- memory -- */

static const struct world reserving[] = {
    {"no reserve: EOPNOTSUPP", {NO_RESERVE(EOPNOTSUPP)}, 1},
    {"no reserve: ENOSYS", {NO_RESERVE(ENOSYS)}, 1},
    {"no reserve: EPERM", {NO_RESERVE(EPERM)}, 1},
    {"no reserve: EINVAL", {NO_RESERVE(EINVAL)}, 1},
};

/** The memory is there, before it is touched. */
static void
need_reserved(mapseg *seg)
{
    struct stat status;
    int fd = exported_fd(seg, MAPSEG_READ_ONLY);

    need(fd >= 0);
    need_number(0, fstat(fd, &status));
    need((size_t)status.st_blocks * 512 >= SIZE);
    close(fd);
}

static int
create_reserved(void *argument)
{
    static const uint32_t flags[] = {0, 0, MAPSEG_SINGLE_WRITER};
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct place place;

    use_tiny_shm("size=4m");
    new_place(&place);
    enter(argument);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        mapseg *seg = handle_for(i == 0 ? place.key : "memfd:");

        options.flags = flags[i];
        need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
        need_reserved(seg);
        mapseg_free(seg);
    }
    return 0;
}

START_TEST(memory_is_reserved_in_another_way)
{
    ck_assert_msg(in_child(create_reserved, (void *)(uintptr_t)&reserving[_i]) == 0, "%s",
                  reserving[_i].name);
}
END_TEST

static bool
can_populate(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool can = page != MAP_FAILED && madvise(page, 4096, MADV_POPULATE_WRITE) == 0;

    if (page != MAP_FAILED)
        munmap(page, 4096);
    return can;
}

static void
need_said(mapseg *seg, const char *word)
{
    const char *said = mapseg_error_string(seg);

    need(is_one_line(said));
    if (strstr(said, word) == NULL || strstr(said, strerror(EINVAL)) != NULL)
        broken("%s", said);
}

/** Before Linux 5.14, in a sandbox: there is no way left. */
static int
create_unreserved(void *argument)
{
    static const struct world world = {"no way", {NO_RESERVE(EPERM), NO_POPULATING(EINVAL)}, 2};
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for("memfd:");

    (void)argument;
    enter(&world);
    options.flags = MAPSEG_SINGLE_WRITER;
    need_call(MAPSEG_NOT_SUPPORTED, seg,
              mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    need_said(seg, "MAPSEG_LAZY");
    options.flags |= MAPSEG_LAZY;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    mapseg_free(seg);
    return 0;
}

START_TEST(what_cannot_be_reserved_is_said)
{
    ck_assert_int_eq(in_child(create_unreserved, NULL), 0);
}
END_TEST

/* ------------------------------------------------------------ children -- */

static const struct world hiding[] = {
    {"nothing is kept out of children: EINVAL", {NO_HIDING(EINVAL)}, 1},
    {"nothing is kept out of children: EPERM", {NO_HIDING(EPERM)}, 1},
    {"nothing is kept out of children: ENOSYS", {NO_HIDING(ENOSYS)}, 1},
};

/** What owners do, and where. */
struct owning {
    const struct world *world;
    struct place place;
};

/** An owner with a child that goes on: what the child has must not keep the dead owner present. */
static int
own_and_fork(int channel, void *argument)
{
    struct owning *owning = argument;
    mapseg_info *information;
    pid_t child;
    mapseg *seg;

    enter(owning->world);
    seg = attached(owning->place.key, MAPSEG_READ_WRITE);
    information = describe(seg);
    need_number(MAPSEG_PRESENCE_DESCRIPTOR, information->presence);
    mapseg_info_free(information);
    need_call(MAPSEG_OK, seg, mapseg_lock(seg));
    child = fork();
    if (child == 0) {
        /* An attachment of its own, whose child in turn does not keep it present either. */
        need(mapseg_is_attached(seg));
        need_call(MAPSEG_WOULD_BLOCK, seg, mapseg_try_lock(seg));
        say(channel, 'c');
        (void)pause();
    }
    (void)pause();
    return 0;
}

START_TEST(a_child_does_not_keep_its_parent_present)
{
    struct owning owning = {.world = &hiding[_i]};
    struct peer peer;
    mapseg *seg;

    new_place(&owning.place);
    leave_persistent(owning.place.key, SIZE, 0);
    /* Before this process attaches, or it inherits that. */
    peer = start_peer(own_and_fork, &owning);
    seg = attached(owning.place.key, MAPSEG_READ_WRITE);
    ck_assert_int_eq(hear(peer.channel), 'c');
    need_attached_through(3, seg);
    kill_peer(&peer);
    need_call(MAPSEG_OWNER_DIED, seg, mapseg_lock_for(seg, HANG));
    need_attached_through(2, seg);
    need_call(MAPSEG_OK, seg, mapseg_consistent(seg));
    need_call(MAPSEG_OK, seg, mapseg_unlock(seg));
    mapseg_free(seg);
    remove_persistent(owning.place.key);
}
END_TEST

static mapseg_result
fill_nothing(void *data, size_t size, void *argument)
{
    (void)data;
    (void)size;
    (void)argument;
    return MAPSEG_OK;
}

/** What is about children cannot be had, and is refused with words. */
static int
ask_for_what_is_missing(void *argument)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    struct footprint before;
    struct place place;
    mapseg *seg;

    new_place(&place);
    seg = handle_for(place.key);
    enter(argument);
    take_footprint(&before, NULL);
    options.flags = MAPSEG_NO_FORK;
    need_call(MAPSEG_NOT_SUPPORTED, seg,
              mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    need_said(seg, "children");
    options.flags = 0;
    options.initialize = fill_nothing;
    need_call(MAPSEG_NOT_SUPPORTED, seg,
              mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    need_said(seg, "children");
    check_footprint(&before, NULL);
    need(!exists(place.path));
    mapseg_free(seg);
    return 0;
}

START_TEST(what_children_get_is_said)
{
    ck_assert_msg(in_child(ask_for_what_is_missing, (void *)(uintptr_t)&hiding[_i]) == 0, "%s",
                  hiding[_i].name);
}
END_TEST

/* -------------------------------------------------------------- the rest -- */

static const struct world others[] = {
    {"no random numbers: ENOSYS", {{SYS_getrandom, ENOSYS, 0, 0, 0}}, 1},
    {"no random numbers: EPERM", {{SYS_getrandom, EPERM, 0, 0, 0}}, 1},
    {"no copies into mappings: ENOSYS",
     {{SYS_process_vm_writev, ENOSYS, 0, 0, 0}, {SYS_process_vm_readv, ENOSYS, 0, 0, 0}},
     2},
    {"no copies into mappings: EPERM",
     {{SYS_process_vm_writev, EPERM, 0, 0, 0}, {SYS_process_vm_readv, EPERM, 0, 0, 0}},
     2},
};

static int
live_elsewhere(void *argument)
{
    struct place place;

    new_place(&place);
    enter(argument);
    live(place.key, place.path, NULL, NULL);
    return 0;
}

START_TEST(lives_without)
{
    ck_assert_msg(in_child(live_elsewhere, (void *)(uintptr_t)&others[_i]) == 0, "%s",
                  others[_i].name);
}
END_TEST

static void
copy_id(mapseg *seg, uint8_t id[16])
{
    mapseg_info *information = describe(seg);

    memcpy(id, information->id, 16);
    mapseg_info_free(information);
}

enum { IDS = 64 };

/** One half of the ids is made here, the other by a child, all without the kernel's random numbers,
 *  nor a device for them. */
static int
make_ids(void *shared)
{
    uint8_t(*ids)[16] = shared;
    pid_t child;

    /* The directory of segments has no devices in it. */
    need(chroot(SHM_DIRECTORY) == 0 && chdir("/") == 0);
    enter(&others[0]);
    child = fork();
    for (int i = 0; i < IDS / 2; i++) {
        mapseg *seg = handle_for("memfd:");

        need_call(MAPSEG_OK, seg, mapseg_create(seg, 1, MAPSEG_READ_WRITE));
        copy_id(seg, ids[child == 0 ? i : IDS / 2 + i]);
        mapseg_free(seg);
    }
    if (child == 0)
        _exit(0);
    need_number(0, end_of(child));
    return 0;
}

START_TEST(ids_differ_without_random_numbers)
{
    static const uint8_t none[16];
    uint8_t(*ids)[16] = shared_memory(IDS * sizeof *ids);

    ck_assert_int_eq(in_child(make_ids, ids), 0);
    for (int i = 0; i < IDS; i++) {
        ck_assert_mem_ne(ids[i], none, 16);
        for (int j = 0; j < i; j++)
            ck_assert_mem_ne(ids[i], ids[j], 16);
    }
}
END_TEST

/** Kernels before 3.15, and those of some sandboxes. */
static int
ask_for_locks(void *unused)
{
    static const struct world world = {"no locks of open files", {NO_OFD_LOCKS(EINVAL)}, 1};
    struct footprint before;
    struct place place;
    mapseg *seg, *left;

    (void)unused;
    new_place(&place);
    leave_persistent(place.key, SIZE, 0);
    left = handle_for(place.key);
    seg = handle_for("memfd:");
    enter(&world);
    take_footprint(&before, NULL);
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    need_said(seg, "locks");
    need_call(MAPSEG_NOT_SUPPORTED, left, mapseg_attach(left, MAPSEG_READ_WRITE));
    need_said(left, "locks");
    need_call(MAPSEG_NOT_SUPPORTED, left, mapseg_reclaim(left));
    need_said(left, "locks");
    check_footprint(&before, NULL);
    need_number(0, unlink(place.path));
    mapseg_free(left);
    mapseg_free(seg);
    return 0;
}

START_TEST(locks_that_are_missing_are_said)
{
    ck_assert_int_eq(in_child(ask_for_locks, NULL), 0);
}
END_TEST

/** Kernels before 3.17, or a file that cannot be sealed. */
static int
ask_for_memory_file(void *unused)
{
    static const struct world world = {"no seals", {{SYS_memfd_create, EINVAL, 0, 0, 0}}, 1};
    mapseg *seg = handle_for("memfd:");

    (void)unused;
    enter(&world);
    need_call(MAPSEG_NOT_SUPPORTED, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    need_said(seg, "key of another type");
    mapseg_free(seg);
    return 0;
}

START_TEST(memory_files_that_are_missing_are_said)
{
    ck_assert_int_eq(in_child(ask_for_memory_file, NULL), 0);
}
END_TEST

/* -------------------------------------------------------------- program -- */

#define COUNT(table) ((int)(sizeof table / sizeof *(table)))

static void
add_names(Suite *suite)
{
    TCase *group = new_case(suite, "names");

    tcase_add_loop_test(group, names_are_given_in_another_way, 0, COUNT(naming));
    tcase_add_loop_test(group, longest_name_has_a_private_one, 0, COUNT(naming));
    tcase_add_loop_test(group, private_names_are_debris, 0, 6);
}

int
main(void)
{
    Suite *suite = new_suite("fallbacks");
    TCase *group = new_case(suite, "calls");

    if (!skip_unless(has_sandbox() && !under_valgrind(), "there are no filters of system calls"))
        return run_suite(suite);
    if (skip_unless(can_mount(), "no private mounts here")) {
        add_names(suite);
        if (skip_unless(can_populate(), "this kernel cannot bring memory in by madvise"))
            tcase_add_loop_test(group, memory_is_reserved_in_another_way, 0, COUNT(reserving));
    }
    tcase_add_test(group, what_cannot_be_reserved_is_said);
    tcase_add_loop_test(group, a_child_does_not_keep_its_parent_present, 0, COUNT(hiding));
    tcase_add_loop_test(group, what_children_get_is_said, 0, COUNT(hiding));
    tcase_add_loop_test(group, lives_without, 0, COUNT(others));
    if (skip_unless(is_root(), "only root can leave /dev behind"))
        tcase_add_test(group, ids_differ_without_random_numbers);
    tcase_add_test(group, locks_that_are_missing_are_said);
    tcase_add_test(group, memory_files_that_are_missing_are_said);
    return run_suite(suite);
}
