/*
 * os_system_v.c - see os_system_v.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os_system_v.h"
#include "os_faults.h"
#include "os_operations.h"

#include "foreign/system_v.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <unistd.h>

static char name[KEY_BYTES + 16];
static mapseg *other;
static bool own_world;

void
system_v_nothing(mapseg *seg)
{
    /* Once for each test, which is a process. */
    if (!own_world)
        own_world = is_root() && unshare(CLONE_NEWIPC) == 0;
    /* Where the list looks for key files. */
    ck_assert_int_eq(setenv("TMPDIR", SHM_DIRECTORY, 1), 0);
    snprintf(name, sizeof name, "systemv:%s", path);
    ck_assert_int_eq(mapseg_set_native_key(seg, name), MAPSEG_OK);
}

void
system_v_other(mapseg *seg)
{
    system_v_nothing(seg);
    other = created(name, 5000);
}

static int
set_of_key(void)
{
    return semget(ftok(path, 'Q'), 1, 0);
}

/** With a lock whose semaphore is gone. */
void
system_v_own(mapseg *seg)
{
    system_v_nothing(seg);
    need_call(MAPSEG_OK, seg, mapseg_create(seg, 5000, MAPSEG_READ_WRITE));
    ck_assert_int_eq(semctl(set_of_key(), 0, IPC_RMID), 0);
}

static int
create_and_crash(void *argument)
{
    (void)argument;
    (void)created(name, 700);
    return 0;
}

void
system_v_debris(mapseg *seg)
{
    system_v_nothing(seg);
    ck_assert_int_eq(in_child(create_and_crash, NULL), 0);
}

static int
lower_and_crash(void *argument)
{
    struct sembuf operation = {.sem_op = -1};

    (void)argument;
    return semop(set_of_key(), &operation, 1);
}

void
system_v_dead_owner(mapseg *seg)
{
    system_v_debris(seg);
    ck_assert_int_eq(in_child(lower_and_crash, NULL), 0);
}

mapseg_result
run_system_v_reclaiming(mapseg *seg)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    options.flags = MAPSEG_RECLAIM;
    return mapseg_create_with(seg, 1000, MAPSEG_READ_ONLY, &options);
}

mapseg_result
run_system_v_lock(mapseg *seg)
{
    mapseg_result result = mapseg_lock(seg);

    return result == MAPSEG_OK || result == MAPSEG_ALREADY_LOCKED ? mapseg_unlock(seg) : result;
}

mapseg_result
run_system_v_repair(mapseg *seg)
{
    return mapseg_repair(seg, false);
}

/** Whether a set stays, since the system did not remove it, or said that there was none. */
static bool
set_stays(void)
{
    return plan.struck && (plan.call == CALL_system_v_set_remove ||
                           (plan.call == CALL_system_v_set && plan.error == ENOENT));
}

/** Of a set that stays no key is left that leads to it. */
static mapseg_result
ends_with_set(mapseg_result result)
{
    return result == MAPSEG_NOT_FOUND && set_stays() ? MAPSEG_OK : result;
}

mapseg_result
run_system_v_remove(mapseg *seg)
{
    return ends_with_set(mapseg_remove(seg));
}

mapseg_result
run_system_v_reclaim(mapseg *seg)
{
    return ends_with_set(mapseg_reclaim(seg));
}

static int
note(void *context, mapseg_info *information)
{
    int *count = context;

    if (information == NULL)
        return -1;
    ++*count;
    mapseg_info_free(information);
    return 0;
}

mapseg_result
run_system_v_list(mapseg *seg)
{
    int count = 0;

    (void)seg;
    return msi_system_v_list(note, &count) < 0 ? MAPSEG_OUT_OF_RESOURCES : MAPSEG_OK;
}

/** Lines of a table of the kernel, without its heading; *last: the second number of the last. */
static int
count_lines(const char *table, int *last)
{
    FILE *stream = fopen(table, "re");
    char line[512];
    int lines = -1;

    ck_assert_ptr_nonnull(stream);
    while (fgets(line, sizeof line, stream) != NULL) {
        lines++;
        (void)sscanf(line, "%*d %d", last);
    }
    (void)fclose(stream);
    return lines;
}

void
system_v_end(mapseg *seg)
{
    int last = -1;
    int sets;

    (void)mapseg_detach(seg);
    mapseg_free(other);
    other = NULL;
    ignored(mapseg_remove(seg));
    if (!own_world)
        return;
    ck_assert_int_eq(count_lines("/proc/sysvipc/shm", &last), 0);
    sets = count_lines("/proc/sysvipc/sem", &last);
    if (set_stays() && sets == 1)
        ck_assert_int_eq(semctl(last, 0, IPC_RMID), 0);
    else
        ck_assert_int_eq(sets, 0);
}
