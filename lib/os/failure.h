/*
 * failure.h - results, and failures on their way up.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_FAILURE_H
#define MAPSEG_FAILURE_H

#include "mapseg.h"

/** A failure on its way up: what it is, what the system said, and for people what
 *  happened and what to do. */
struct msi_failure {
    mapseg_result result;
    int system_error; /**< errno; 0: the system said nothing */
    char reason[224];
    const char *cure; /**< static */
};

/** Why a handle has no descriptor any more, and what to do. */
#define MSI_DESCRIPTOR_CLOSED_WORDS                                                                \
    "this program has closed the segment's descriptor, which is not its own, and the file cannot " \
    "be opened anew; detach and attach anew, and keep the descriptor open"

/** Why an attachment is of no use for meeting others, and what to do. */
#define MSI_NAME_LOST_WORDS                                                                        \
    "its name is gone, or another segment has it by now, so no other process comes to this one; "  \
    "detach, and attach or create anew"

/** Fills *failure in and returns its result. The words are what happened, "; " and what to
 *  do, in which nothing is inserted; without that they get what mostly helps against the
 *  system's error.
 *
 *  What happened is said for all: the user of a program or of the command reads it too. Only
 *  what to do may name a constant or a call, where nothing but the program can do it. */
mapseg_result msi_failed(struct msi_failure *failure, mapseg_result result, int system_error,
                         const char *words, ...) __attribute__((format(printf, 4, 5)));

/** The same, with the result that fits the (positive) errno, of a call to which it means
 *  what it mostly means: locks, leases, sockets and mappings have their own. */
mapseg_result msi_system_failed(struct msi_failure *failure, int system_error, const char *words,
                                ...) __attribute__((format(printf, 3, 4)));

/** Words where so much of a file could not be mapped. */
mapseg_result msi_map_failed(struct msi_failure *failure, int system_error, uint64_t bytes);

/** Words where memory cannot be kept out of children. */
mapseg_result msi_hide_failed(struct msi_failure *failure, int system_error);

#endif
