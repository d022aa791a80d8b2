/*
 * fork.h - attached handles across fork().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_FORK_H
#define MAPSEG_FORK_H

/** Sees to it that a fork takes care of this process's handles; 0, or -ENOMEM. Call it
 *  before there is any handle. */
int msi_fork_set_up(void);

#endif
