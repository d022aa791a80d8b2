/*
 * children.c - children that fork has made.
 *
 * SPDX-License-Identifier: MIT
 */
#include "children.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

pid_t
fork_child(child_body *body, struct stage *stage, mapseg *seg)
{
    pid_t pid = fork();

    if (pid == 0) {
        body(stage, seg);
        _exit(0);
    }
    need(pid > 0);
    return pid;
}

void
free_copy(struct stage *stage, mapseg *seg)
{
    (void)stage;
    mapseg_free(seg);
}

void
take_and_wait(struct stage *stage, mapseg *seg)
{
    need_result(MAPSEG_OK, mapseg_lock(seg));
    atomic_fetch_add(&stage->ready, 1);
    for (;;)
        (void)pause();
}

void
be_unregistered(struct stage *stage, mapseg *seg)
{
    (void)stage;
    need(!mapseg_is_attached(seg));
    need(strcmp(mapseg_const_data(seg), "still here") == 0);
    need_result(MAPSEG_NOT_ATTACHED, mapseg_lock(seg));
    mapseg_free(seg);
}

int
count_open(const char *name)
{
    int count = 0;

    for (int fd = 3; fd < 256; fd++) {
        char link[40];
        char target[200];
        ssize_t length;

        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        length = readlink(link, target, sizeof target - 1);
        if (length <= 0)
            continue;
        target[length] = '\0';
        if (strstr(target, name) != NULL || strstr(target, "memfd") != NULL)
            count++;
    }
    return count;
}
