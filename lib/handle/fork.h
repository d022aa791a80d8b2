/*
 * fork.h - attached handles across fork().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_FORK_H
#define MAPSEG_FORK_H

/** Sees to it that forks find this process's handles; 0, or -ENOMEM. Before there is any
 *  handle. */
int msi_fork_set_up(void);

#endif
