/*
 * check_dumps.c - core dumps: what they have of a segment's data, by default and where it is asked
 * for.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define SIZE ((size_t)1 << 20)

/* ------------------------------------------------ what the kernel was told -- */

/** Whether the mapping that has the address is left out of dumps. */
static bool
is_left_out(const void *address)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    bool within = false, found = false, left_out = false;
    char line[1024];

    need(file != NULL);
    while (!found && fgets(line, sizeof line, file) != NULL) {
        uintptr_t begin, end;

        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2)
            within = (uintptr_t)address >= begin && (uintptr_t)address < end;
        else if (within && strncmp(line, "VmFlags:", strlen("VmFlags:")) == 0) {
            left_out = strstr(line, " dd") != NULL;
            found = true;
        }
    }
    fclose(file);
    need(found);
    return left_out;
}

static bool
is_told_by_kernel(void)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    bool told = false;
    char line[1024];

    while (file != NULL && !told && fgets(line, sizeof line, file) != NULL)
        told = strncmp(line, "VmFlags:", strlen("VmFlags:")) == 0;
    if (file != NULL)
        fclose(file);
    return told;
}

static const struct {
    const char *kind;
    uint32_t flags;
    mapseg_access access;
    bool left_out;
} segments[] = {
    {"memfd:", 0, MAPSEG_READ_WRITE, true},
    {"memfd:", 0, MAPSEG_READ_ONLY, true},
    {"memfd:", MAPSEG_SINGLE_WRITER, MAPSEG_READ_WRITE, true},
    {"memfd:", MAPSEG_NO_FORK, MAPSEG_READ_WRITE, true},
    {"memfd:", MAPSEG_DUMP, MAPSEG_READ_WRITE, false},
    {"memfd:", MAPSEG_DUMP | MAPSEG_SINGLE_WRITER, MAPSEG_READ_WRITE, false},
    /* With a name the kernel leaves it out by itself, but only as long as it has that. */
    {"shm", 0, MAPSEG_READ_WRITE, true},
    {"shm", MAPSEG_DUMP, MAPSEG_READ_WRITE, false},
};

static bool left_out_while_filled;

static mapseg_result
look_while_it_is_filled(void *data, size_t size, void *argument)
{
    (void)size;
    (void)argument;
    left_out_while_filled = is_left_out(data);
    return MAPSEG_OK;
}

static int
look_in_child(void *data)
{
    return is_left_out(data) ? 1 : 0;
}

START_TEST(data_is_left_out)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    bool expected = segments[_i].left_out;
    struct place place;
    mapseg *seg, *other = mapseg_new();
    const void *data;
    int fd;

    new_place(&place);
    seg = handle_for(strcmp(segments[_i].kind, "shm") == 0 ? place.key : segments[_i].kind);
    options.flags = segments[_i].flags;
    options.initialize = look_while_it_is_filled;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, segments[_i].access, &options));
    ck_assert_int_eq(left_out_while_filled, expected);
    data = mapseg_const_data(seg);
    ck_assert_int_eq(is_left_out(data), expected);
    if (!(segments[_i].flags & MAPSEG_NO_FORK))
        ck_assert_int_eq(in_child(look_in_child, (void *)(uintptr_t)data), expected);

    options.initialize = NULL;
    fd = exported_fd(seg, MAPSEG_READ_ONLY);
    need_call(MAPSEG_OK, other, mapseg_attach_fd_with(other, fd, MAPSEG_READ_ONLY, &options));
    ck_assert_int_eq(is_left_out(mapseg_const_data(other)), expected);
    mapseg_free(other);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- dumps -- */

/** Where a dump of the kernel's goes: a name in the working directory. */
static bool
dumps_are_files(void)
{
    char pattern[256] = "|";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
    struct rlimit limit;
    bool plain = file != NULL && fgets(pattern, sizeof pattern, file) != NULL &&
                 strpbrk(pattern, "|/@") == NULL;

    if (file != NULL)
        fclose(file);
    return plain && getrlimit(RLIMIT_CORE, &limit) == 0 &&
           (limit.rlim_max == RLIM_INFINITY || is_root());
}

struct crash {
    char directory[64];
    char key[KEY_BYTES];
    uint32_t flags;
    const char *filter; /**< of dumps; NULL: as it is */
    bool removed;       /**< the segment loses its name */
};

/** What no program has but the segment's data, which begins as the mark says. */
static const char mark[] = "what is in the segment ";

static void
crash(struct crash *scene)
{
    const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = handle_for(scene->key);
    char *data;

    if (scene->filter != NULL) {
        FILE *file = fopen("/proc/self/coredump_filter", "we");

        need(file != NULL && fputs(scene->filter, file) >= 0 && fclose(file) == 0);
    }
    options.flags = scene->flags;
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    data = mapseg_data(seg);
    /* Not in one piece anywhere else. */
    for (int i = 0; i < 4; i++)
        snprintf(data + 4096 * i, 64, "%s%d", mark, 41 + i);
    if (scene->removed)
        need_call(MAPSEG_OK, seg, mapseg_remove(seg));
    need_number(0, chdir(scene->directory));
    need_number(0, setrlimit(RLIMIT_CORE, &unlimited));
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static int
crash_body(void *argument)
{
    crash(argument);
    return 0;
}

/** Whether the file has the mark, with the number behind it that the data has. */
static bool
has_data(const char *path)
{
    char wanted[64], *found;
    FILE *file = fopen(path, "re");
    long bytes;
    char *all;

    snprintf(wanted, sizeof wanted, "%s%d", mark, 43);
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    bytes = ftell(file);
    rewind(file);
    all = malloc((size_t)bytes + 1);
    ck_assert_ptr_nonnull(all);
    ck_assert_uint_eq(fread(all, 1, (size_t)bytes, file), (size_t)bytes);
    fclose(file);
    found = memmem(all, (size_t)bytes, wanted, strlen(wanted));
    free(all);
    return found != NULL;
}

/** Looks into the dump, which is the only file there, and removes it. */
static bool
take_dump(const char *directory, bool *has)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;
    bool found = false;

    ck_assert_ptr_nonnull(stream);
    while ((entry = readdir(stream)) != NULL)
        if (entry->d_name[0] != '.') {
            char path[512];

            snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
            *has = has_data(path);
            ck_assert_int_eq(unlink(path), 0);
            found = true;
        }
    closedir(stream);
    return found;
}

static const struct {
    const char *kind;
    uint32_t flags;
    const char *filter;
    bool removed;
    bool has;
} dumps[] = {
    {"memfd:", 0, NULL, false, false},
    {"memfd:", MAPSEG_DUMP, NULL, false, true},
    {"shm", 0, NULL, false, false},
    {"shm", 0, "0x3b", false, false},
    {"shm", MAPSEG_DUMP, NULL, false, false},
    {"shm", MAPSEG_DUMP, "0x3b", false, true},
    /* Without its name it is to the kernel as if it never had one. */
    {"shm", 0, NULL, true, false},
    {"shm", MAPSEG_DUMP, NULL, true, true},
};

START_TEST(dump_of_a_crash)
{
    struct crash scene = {.directory = "/var/tmp/mapsegtestXXXXXX",
                          .flags = dumps[_i].flags,
                          .filter = dumps[_i].filter,
                          .removed = dumps[_i].removed};
    struct place place;
    bool has = false;

    ck_assert_ptr_nonnull(mkdtemp(scene.directory));
    new_place(&place);
    snprintf(scene.key, sizeof scene.key, "%s",
             strcmp(dumps[_i].kind, "shm") == 0 ? place.key : dumps[_i].kind);
    ck_assert_int_eq(in_child(crash_body, &scene), 128 + SIGSEGV);
    ck_assert(take_dump(scene.directory, &has));
    ck_assert_int_eq(has, dumps[_i].has);
    ck_assert_int_eq(rmdir(scene.directory), 0);
    if (exists(place.path))
        remove_persistent(place.key);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("dumps");
    TCase *group = new_case(suite, "dumps");

    if (skip_unless(is_told_by_kernel(), "the kernel does not tell what a mapping is like"))
        tcase_add_loop_test(group, data_is_left_out, 0, (int)(sizeof segments / sizeof *segments));
    /* A sanitizer takes the signal, and its memory does not fit into any dump. */
    if (skip_unless(!under_sanitizer() && !under_valgrind(), "a sanitizer takes the signal") &&
        skip_unless(dumps_are_files(), "the kernel makes no dumps in the working directory here"))
        tcase_add_loop_test(group, dump_of_a_crash, 0, (int)(sizeof dumps / sizeof *dumps));
    return run_suite(suite);
}
