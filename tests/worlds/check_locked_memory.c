/*
 * check_locked_memory.c - memory that is kept from being swapped out: MAPSEG_LOCKED, its limit, and
 * what is left when a handle is detached or a process forks.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define SIZE ((size_t)256 << 10)
#define PAGE 4096
/** Of the data, the header and, for a reader that can lock, the header once more. */
#define KEPT_MOST (SIZE + 17 * (size_t)PAGE)

/** What of this process's memory is kept, in bytes. */
static size_t
kept_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    unsigned long kilobytes = ULONG_MAX;
    char line[256];

    need(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "VmLck: %lu", &kilobytes);
    fclose(file);
    need(kilobytes != ULONG_MAX);
    return (size_t)kilobytes * 1024;
}

static mapseg_options
options_with(uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags;
    return options;
}

static bool
can_lock_memory(void)
{
    void *memory = mmap(NULL, 2 * KEPT_MOST, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool can = memory != MAP_FAILED && mlock(memory, 2 * KEPT_MOST) == 0;

    if (memory != MAP_FAILED)
        munmap(memory, 2 * KEPT_MOST);
    return can;
}

/** All of the data is in memory. */
static bool
is_in_memory(const void *data)
{
    unsigned char pages[SIZE / PAGE];
    size_t count = 0;

    need_number(0, mincore((void *)(uintptr_t)data, SIZE, pages));
    for (size_t i = 0; i < SIZE / PAGE; i++)
        count += pages[i] & 1;
    return count == SIZE / PAGE;
}

static int
look_in_child(void *data)
{
    /* The same pages, which the parent keeps. */
    return kept_bytes() == 0 && is_in_memory(data) ? 0 : 1;
}

static const struct {
    const char *kind;
    uint32_t flags;
    mapseg_access access;
} segments[] = {
    {"shm", 0, MAPSEG_READ_WRITE},
    {"shm", 0, MAPSEG_READ_ONLY},
    /* The memory of a lazy one is taken at once too: it cannot be kept before it is there. */
    {"shm", MAPSEG_LAZY, MAPSEG_READ_WRITE},
    {"memfd:", 0, MAPSEG_READ_WRITE},
    {"memfd:", MAPSEG_LAZY, MAPSEG_READ_WRITE},
    {"memfd:", MAPSEG_SINGLE_WRITER, MAPSEG_READ_WRITE},
    {"file", 0, MAPSEG_READ_WRITE},
};

static char directory[] = "/var/tmp/mapsegtestXXXXXX";

static void
choose_key(const char *kind, struct place *place)
{
    new_place(place);
    if (strcmp(kind, "memfd:") == 0)
        snprintf(place->key, sizeof place->key, "%s", kind);
    if (strcmp(kind, "file") != 0)
        return;
    strcpy(directory, "/var/tmp/mapsegtestXXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(place->key, sizeof place->key, "file:%s/name", directory);
}

START_TEST(memory_is_kept_while_attached)
{
    mapseg_options options = options_with(segments[_i].flags | MAPSEG_LOCKED);
    size_t before = kept_bytes();
    struct place place;
    mapseg *seg;

    choose_key(segments[_i].kind, &place);
    seg = handle_for(place.key);
    need_call(MAPSEG_OK, seg, mapseg_create_with(seg, SIZE, segments[_i].access, &options));
    ck_assert_uint_ge(kept_bytes() - before, SIZE);
    ck_assert_uint_le(kept_bytes() - before, KEPT_MOST);
    ck_assert(is_in_memory(mapseg_const_data(seg)));
    ck_assert_int_eq(in_child(look_in_child, (void *)(uintptr_t)mapseg_const_data(seg)), 0);
    need_call(MAPSEG_OK, seg, mapseg_detach(seg));
    ck_assert_uint_eq(kept_bytes(), before);
    mapseg_free(seg);
    (void)rmdir(directory);
}
END_TEST

START_TEST(an_attacher_keeps_for_itself)
{
    mapseg_options options = options_with(MAPSEG_LOCKED);
    size_t before = kept_bytes();
    struct place place;
    mapseg *seg, *other;

    new_place(&place);
    /* One that is not there yet: to keep it is to take its memory. */
    seg = created_as(place.key, SIZE, _i == 0 ? MAPSEG_LAZY : 0);
    ck_assert_uint_eq(kept_bytes(), before);
    other = handle_for(place.key);
    need_call(MAPSEG_OK, other, mapseg_attach_with(other, MAPSEG_READ_ONLY, &options));
    ck_assert_uint_ge(kept_bytes() - before, SIZE);
    ck_assert(is_in_memory(mapseg_const_data(other)));
    mapseg_free(other);
    ck_assert_uint_eq(kept_bytes(), before);
    mapseg_free(seg);
}
END_TEST

/** One that may keep as much as half of it. */
static int
be_refused(void *native_key)
{
    const struct rlimit limit = {SIZE / 2, SIZE / 2};
    mapseg_options options = options_with(MAPSEG_LOCKED);
    mapseg *seg = handle_for(native_key), *plain = handle_for(native_key);
    struct footprint before;

    need_number(0, setrlimit(RLIMIT_MEMLOCK, &limit));
    take_footprint(&before, NULL);
    need_call(MAPSEG_OUT_OF_RESOURCES, seg,
              mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options));
    need(strstr(mapseg_error_string(seg), "RLIMIT_MEMLOCK") != NULL);
    need(is_one_line(mapseg_error_string(seg)));
    check_footprint(&before, NULL);
    need_number(0, kept_bytes());
    if (strcmp(native_key, "memfd:") != 0) {
        need_call(MAPSEG_OK, plain, mapseg_create(plain, SIZE, MAPSEG_READ_WRITE));
        take_footprint(&before, NULL);
        need_call(MAPSEG_OUT_OF_RESOURCES, seg,
                  mapseg_attach_with(seg, MAPSEG_READ_ONLY, &options));
        need(strstr(mapseg_error_string(seg), "RLIMIT_MEMLOCK") != NULL);
        check_footprint(&before, NULL);
        need_number(0, kept_bytes());
    }
    mapseg_free(seg);
    mapseg_free(plain);
    return 0;
}

START_TEST(the_limit_is_named)
{
    struct place place;

    new_place(&place);
    ck_assert_int_eq(as_ordinary_user(be_refused, _i == 0 ? place.key : (char *)"memfd:"), 0);
    ck_assert(!exists(place.path));
}
END_TEST

/** A program that keeps all that it will ever map: the limit is met by mmap, as EAGAIN, which is
 *  another thing than that of a lock. */
static int
map_above_the_limit(void *native_key)
{
    const struct rlimit limit = {SIZE / 2, SIZE / 2};
    mapseg *seg = handle_for(native_key);

    need_number(0, setrlimit(RLIMIT_MEMLOCK, &limit));
    if (mlockall(MCL_FUTURE) != 0)
        return 77;
    need_call(MAPSEG_OUT_OF_RESOURCES, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    need(strstr(mapseg_error_string(seg), "RLIMIT_MEMLOCK") != NULL);
    need_number(0, munlockall());
    need_call(MAPSEG_OK, seg, mapseg_create(seg, SIZE, MAPSEG_READ_WRITE));
    mapseg_free(seg);
    return 0;
}

START_TEST(a_mapping_above_the_limit)
{
    struct place place;

    new_place(&place);
    ck_assert_int_eq(as_ordinary_user(map_above_the_limit, _i == 0 ? place.key : (char *)"memfd:"),
                     0);
    ck_assert(!exists(place.path));
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("locked memory");
    TCase *group = new_case(suite, "kept");

    /* A sanitizer locks nothing, and says that it did. */
    if (!skip_unless(!under_sanitizer(), "a sanitizer locks no memory"))
        return run_suite(suite);
    if (skip_unless(can_lock_memory(), "so much memory cannot be locked here")) {
        tcase_add_loop_test(group, memory_is_kept_while_attached, 0,
                            (int)(sizeof segments / sizeof *segments));
        tcase_add_loop_test(group, an_attacher_keeps_for_itself, 0, 2);
    }
    /* What valgrind maps for itself is above the limit. */
    if (skip_unless(!under_valgrind(), "valgrind maps too much")) {
        tcase_add_loop_test(group, the_limit_is_named, 0, 2);
        tcase_add_loop_test(group, a_mapping_above_the_limit, 0, 2);
    }
    return run_suite(suite);
}
