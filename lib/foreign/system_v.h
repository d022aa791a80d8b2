/*
 * system_v.h - a handle's part in a System V segment, for the files of that way.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_SYSTEM_V_H
#define MAPSEG_SYSTEM_V_H

#include "foreign.h"
#include "key_file.h"
#include "system_v_lock.h"

struct msi_system_v_handle {
    struct msi_foreign foreign; /**< first */
    struct msi_key_file file;   /**< whose number leads to the segment */
    /** Its key file is the same, but with a legacy key. */
    struct msi_system_v_lock lock;
    bool has_own_file; /**< the lock, which is one with a legacy key */
    int segment;       /**< the system's number of it */
    bool can_lock;     /**< this user may change the semaphore */
    bool keeps_name;   /**< it only looks: the last one out or not, the segment stays */
    char paths[];
};

/** What a handle with that key is to be, without its way; the caller frees it. NULL: no memory, or
 *  the key is none of a key file. */
struct msi_system_v_handle *msi_system_v_new(const mapseg *seg, const mapseg_options *options,
                                             struct msi_failure *failure);

/** Looks at the key file of the lock, too, where it is another one. */
mapseg_result msi_system_v_look_at_lock(struct msi_system_v_handle *own, bool *made,
                                        struct msi_failure *failure);

/** The segment that the key file, which was looked at, leads to: its number and its status. */
mapseg_result msi_system_v_find(struct msi_system_v_handle *own, struct msi_system_v *status,
                                struct msi_failure *failure);

/** Removes what is left where the segment is gone: key files and semaphore; not where a newer
 *  segment uses them. */
mapseg_result msi_system_v_clear_up(struct msi_system_v_handle *own, struct msi_failure *failure);

/** system_v_look.c */
mapseg_result msi_system_v_info(mapseg *seg, mapseg_info **information,
                                struct msi_failure *failure);

/** Visits a description of each segment of the machine, also of those that are no program's of
 *  Qt's kind; the visit owns it, and NULL is no memory. The path is that of the key file, where one
 *  in the runtime or the temporary directory has its number. Until a visit returns less than 0. */
int msi_system_v_list(int (*visit)(void *context, mapseg_info *information), void *context);

#endif
