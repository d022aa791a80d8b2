/*
 * os_system_v.h - what a program does with System V segments while calls of the system fail.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_OS_SYSTEM_V_H
#define MAPSEG_TEST_OS_SYSTEM_V_H

#include "mapseg.h"

/* What is there before: nothing, a segment that the process is attached to by another handle, or by
 * this one, one that a crash left, or a lock that a dead owner has. */
void system_v_nothing(mapseg *seg);
void system_v_other(mapseg *seg);
void system_v_own(mapseg *seg);
void system_v_debris(mapseg *seg);
void system_v_dead_owner(mapseg *seg);

/* What is done. */
mapseg_result run_system_v_reclaiming(mapseg *seg);
mapseg_result run_system_v_lock(mapseg *seg);
mapseg_result run_system_v_remove(mapseg *seg);
mapseg_result run_system_v_reclaim(mapseg *seg);
mapseg_result run_system_v_repair(mapseg *seg);
mapseg_result run_system_v_list(mapseg *seg);

/** Nothing is left then. */
void system_v_end(mapseg *seg);

#endif
