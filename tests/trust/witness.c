/*
 * witness.c - what tells that what lies at the name was not touched.
 *
 * SPDX-License-Identifier: MIT
 */
#include "witness.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

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

void
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

void
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

void
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
