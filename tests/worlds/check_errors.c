/*
 * check_errors.c - what an error of the system means where it comes from: the same number is one
 * thing of a mapping and another of a lock.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../stress/os_faults.h"
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE 100000

static struct place place;

static mapseg_result
create_with(mapseg *seg, uint32_t flags)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = flags;
    return mapseg_create_with(seg, SIZE, MAPSEG_READ_WRITE, &options);
}

static mapseg_result
create_named(mapseg *seg)
{
    return create_with(seg, 0);
}

static mapseg_result
create_memory(mapseg *seg)
{
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "memfd:"));
    return create_with(seg, 0);
}

static mapseg_result
create_single(mapseg *seg)
{
    need_call(MAPSEG_OK, seg, mapseg_set_native_key(seg, "memfd:"));
    return create_with(seg, MAPSEG_SINGLE_WRITER);
}

static mapseg_result
create_apart(mapseg *seg)
{
    return create_with(seg, MAPSEG_NO_FORK);
}

static mapseg_result
create_locked(mapseg *seg)
{
    return create_with(seg, MAPSEG_LOCKED);
}

static mapseg_result
attach(mapseg *seg)
{
    return mapseg_attach(seg, MAPSEG_READ_WRITE);
}

static mapseg_result
watch(mapseg *seg)
{
    int fd;

    need_call(MAPSEG_OK, seg, mapseg_attach(seg, MAPSEG_READ_WRITE));
    return mapseg_notify_fd(seg, &fd);
}

/** Operations on a segment that is there. */
static bool
needs_segment(mapseg_result (*run)(mapseg *seg))
{
    return run == attach || run == watch || run == mapseg_reclaim;
}

static const struct meaning {
    const char *name;
    mapseg_result (*run)(mapseg *seg);
    enum call call;
    int error;
    mapseg_result result;
    const char *word; /**< in the message */
} meanings[] = {
    /* A mapping. */
    {"locked memory", create_named, CALL_map, EAGAIN, MAPSEG_OUT_OF_RESOURCES, "RLIMIT_MEMLOCK"},
    {"locked memory", attach, CALL_map, EAGAIN, MAPSEG_OUT_OF_RESOURCES, "RLIMIT_MEMLOCK"},
    {"address space", attach, CALL_map, ENOMEM, MAPSEG_OUT_OF_RESOURCES, "ulimit -v"},
    {"huge pages", attach, CALL_map, EINVAL, MAPSEG_NOT_SUPPORTED, "file system"},
    {"no mappings", attach, CALL_map, ENODEV, MAPSEG_NOT_SUPPORTED, "file system"},
    {"a rule", attach, CALL_map, EACCES, MAPSEG_PERMISSION_DENIED, "mapped"},
    /* Memory that is kept. */
    {"limit", create_locked, CALL_lock_memory, ENOMEM, MAPSEG_OUT_OF_RESOURCES, "RLIMIT_MEMLOCK"},
    {"limit", create_locked, CALL_lock_memory, EAGAIN, MAPSEG_OUT_OF_RESOURCES, "RLIMIT_MEMLOCK"},
    {"limit 0", create_locked, CALL_lock_memory, EPERM, MAPSEG_OUT_OF_RESOURCES, "RLIMIT_MEMLOCK"},
    {"no such call", create_locked, CALL_lock_memory, ENOSYS, MAPSEG_NOT_SUPPORTED,
     "MAPSEG_LOCKED"},
    /* Children. */
    {"no such advice", create_apart, CALL_hide_from_children, EINVAL, MAPSEG_NOT_SUPPORTED,
     "children"},
    {"no such call", create_apart, CALL_hide_from_children, ENOSYS, MAPSEG_NOT_SUPPORTED,
     "children"},
    {"memory", create_apart, CALL_hide_from_children, ENOMEM, MAPSEG_OUT_OF_RESOURCES, "children"},
    /* A lock. */
    {"all slots taken", create_named, CALL_lock_range_ofd, EAGAIN, MAPSEG_OUT_OF_RESOURCES, "slot"},
    {"no such lock", create_named, CALL_lock_range_ofd, EINVAL, MAPSEG_NOT_SUPPORTED, "locks"},
    {"no such lock", attach, CALL_lock_range_ofd, ENOSYS, MAPSEG_NOT_SUPPORTED, "locks"},
    {"no more locks", attach, CALL_lock_range_ofd, ENOLCK, MAPSEG_OUT_OF_RESOURCES, "locks"},
    {"another has it", mapseg_reclaim, CALL_lock_range_ofd, EAGAIN, MAPSEG_IN_USE, "attached"},
    {"no such lock", mapseg_reclaim, CALL_lock_range_ofd, EINVAL, MAPSEG_NOT_SUPPORTED, "locks"},
    {"no more locks", mapseg_reclaim, CALL_lock_range_ofd, ENOLCK, MAPSEG_OUT_OF_RESOURCES,
     "locks"},
    /* A name that is opened. */
    {"a lease", attach, CALL_open, EAGAIN, MAPSEG_TIMED_OUT, "lease"},
    {"a program", attach, CALL_open, ETXTBSY, MAPSEG_NOT_A_SEGMENT, "program"},
    {"no such name", attach, CALL_open, EINVAL, MAPSEG_KEY_ERROR, "names"},
    {"descriptors", attach, CALL_open, EMFILE, MAPSEG_OUT_OF_RESOURCES, "ulimit -n"},
    /* The file's size and content. */
    {"too large", create_named, CALL_resize, EFBIG, MAPSEG_OUT_OF_RESOURCES, "smaller size"},
    {"huge pages", create_named, CALL_resize, EINVAL, MAPSEG_NOT_SUPPORTED, "long"},
    {"no writing", create_named, CALL_write, EINVAL, MAPSEG_NOT_SUPPORTED, "header"},
    {"full", create_named, CALL_reserve, ENOSPC, MAPSEG_OUT_OF_RESOURCES, "reserved"},
    {"quota", create_named, CALL_reserve, EDQUOT, MAPSEG_OUT_OF_RESOURCES, "reserved"},
    {"no reserve", create_named, CALL_reserve, EOPNOTSUPP, MAPSEG_NOT_SUPPORTED, "MAPSEG_LAZY"},
    {"no reserve", create_named, CALL_reserve, EINVAL, MAPSEG_NOT_SUPPORTED, "MAPSEG_LAZY"},
    {"full", create_single, CALL_reserve, ENOSPC, MAPSEG_OUT_OF_RESOURCES, "reserved"},
    {"no mode", create_named, CALL_set_mode, EINVAL, MAPSEG_NOT_SUPPORTED, "mode"},
    /* Memory files. */
    {"old kernel", create_memory, CALL_memory_file, EINVAL, MAPSEG_NOT_SUPPORTED, "memory file"},
    {"no seals", create_memory, CALL_add_seals, EINVAL, MAPSEG_NOT_SUPPORTED, "sealed"},
    {"no such seal", create_single, CALL_add_seals, EINVAL, MAPSEG_NOT_SUPPORTED, "SINGLE_WRITER"},
    /* Descriptors for changes. */
    {"old kernel", watch, CALL_event_new, EINVAL, MAPSEG_NOT_SUPPORTED, "changes"},
};

START_TEST(errors_mean_what_the_call_means)
{
    const struct meaning *meaning = &meanings[_i];
    const char *said;
    mapseg *seg;

    new_place(&place);
    if (needs_segment(meaning->run))
        leave_persistent(place.key, SIZE, 0);
    seg = handle_for(place.key);
    install_faults();
    lacks[meaning->call] = meaning->error;
    need_call(meaning->result, seg, meaning->run(seg));
    said = mapseg_error_string(seg);
    ck_assert(is_one_line(said));
    ck_assert_msg(strstr(said, meaning->word) != NULL, "%s, %s: %s", meaning->name,
                  strerror(meaning->error), said);
    ck_assert_msg(strstr(said, strerror(EINVAL)) == NULL, "%s", said);
    lacks[meaning->call] = 0;
    mapseg_free(seg);
    if (needs_segment(meaning->run))
        remove_persistent(place.key);
    ck_assert(!exists(place.path));
}
END_TEST

/* -------------------------------------------------------------- a remover -- */

static struct msi_os_operations real;

static int
whole_range_is_taken(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes,
                     struct msi_range *found)
{
    (void)fd;
    (void)kind;
    (void)start;
    (void)bytes;
    *found = (struct msi_range){MSI_RANGE_EXCLUSIVE, (int64_t)MAPSEG_PRESENCE_BASE,
                                MAPSEG_NAME_BYTE + 1};
    return 0;
}

static int
lock_is_taken(int fd, enum msi_range_kind kind, int64_t start, int64_t bytes)
{
    (void)fd;
    (void)kind;
    (void)start;
    (void)bytes;
    return -EAGAIN;
}

static int
no_unnamed(int directory, mode_t mode)
{
    (void)directory;
    (void)mode;
    return -EOPNOTSUPP;
}

/** Another process reclaims each unfinished file: that is no want of anything. */
START_TEST(a_remover_of_unfinished_files)
{
    mapseg *seg;

    new_place(&place);
    seg = handle_for(place.key);
    real = msi_os;
    msi_os.open_unnamed = no_unnamed;
    msi_os.test_range = whole_range_is_taken;
    msi_os.lock_range_ofd = lock_is_taken;
    need_call(MAPSEG_TIMED_OUT, seg, create_named(seg));
    need(strstr(mapseg_error_string(seg), "unfinished") != NULL);
    msi_os = real;
    ck_assert_int_eq(count_names(place.key + strlen("shm:")), 0);
    need_call(MAPSEG_OK, seg, create_named(seg));
    mapseg_free(seg);
}
END_TEST

int
main(void)
{
    Suite *suite = new_suite("errors");
    TCase *group = new_case(suite, "errors");

    failed_once = calloc(CALL_COUNT, sizeof *failed_once);
    if (failed_once == NULL)
        return EXIT_FAILURE;
    tcase_add_loop_test(group, errors_mean_what_the_call_means, 0,
                        (int)(sizeof meanings / sizeof *meanings));
    tcase_add_test(group, a_remover_of_unfinished_files);
    return run_suite(suite);
}
