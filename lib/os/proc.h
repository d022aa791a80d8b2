/*
 * proc.h - what the texts of /proc and /sys say.
 *
 * Pure functions of text: they ask the system nothing and remember nothing. A text
 * that is cut off, of another kernel, or no such text at all, is one that does not say;
 * so is a number that is too large for its type.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_PROC_H
#define MAPSEG_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** /proc/self/fdinfo/N: the number of the mount that the file was opened by. */
bool msi_proc_mount_number(const char *fdinfo, uint64_t *mount);
/** The same: the file's inode, as the kernel's table of locks has it. */
bool msi_proc_inode(const char *fdinfo, ino_t *inode);
/** /proc/self/mountinfo: the device of the mount with that number. */
bool msi_proc_device_of_mount(const char *mountinfo, uint64_t mount, dev_t *device);

/** Whether the memory of files on a device can come in huge pages, as
 *  /sys/kernel/mm/transparent_hugepage/shmem_enabled and /proc/self/mountinfo say. A
 *  device that is on no mount is the kernel's own, as a memfd's. */
bool msi_proc_allows_huge(const char *shmem_enabled, const char *mountinfo, dev_t device);
/** /proc/self/smaps: how many bytes of the mapping that begins at the address are huge. */
uint64_t msi_proc_huge_bytes(const char *smaps, uintptr_t address);

/** /proc/locks: how many share the byte of a file by open-file-description locks that
 *  begin there. */
uint32_t msi_proc_count_readers(const char *locks, dev_t device, ino_t inode, uint64_t byte);

/** /proc/sys/kernel/overflowuid, or overflowgid: the user, or group, that stands for all
 *  without a number. */
uint32_t msi_proc_overflow_number(const char *overflow);
/** /proc/self/uid_map, or gid_map: whether the user namespace knows all users, or groups,
 *  there can be. */
bool msi_proc_maps_all(const char *map);
/** The same of the one with that number. */
bool msi_proc_maps(const char *map, uint32_t number);

/** A control group that may limit this process's memory. */
struct msi_proc_group {
    bool unified;     /**< of version 2 */
    const char *path; /**< within its hierarchy; it ends after `length` bytes */
    size_t length;
};

/** The first of them in /proc/self/cgroup. Returns the text that follows, to find the
 *  next one in; NULL: there is none. */
const char *msi_proc_next_group(const char *cgroup, struct msi_proc_group *group);
/** Makes it the group above; false: there is none. */
bool msi_proc_group_above(struct msi_proc_group *group);
/** The directory by which a control group can be looked at, as /proc/self/mountinfo has
 *  it; false: no mount shows that group, or `bytes` are too few. */
bool msi_proc_group_directory(const char *mountinfo, const struct msi_proc_group *group, char *to,
                              size_t bytes);
/** memory.max, memory.current and their like, of both versions: the bytes; UINT64_MAX: no
 *  limit. */
uint64_t msi_proc_group_limit(const char *limit);
/** memory.stat: the bytes that the kernel takes back by itself before it kills. */
uint64_t msi_proc_group_cache(const char *stat, bool unified);

/** What a control group has of memory. UINT64_MAX as a limit: none. */
struct msi_proc_memory {
    bool unified;
    uint64_t limit;
    uint64_t usage;
    uint64_t cache;      /**< the part of `usage` that the kernel takes back by itself */
    uint64_t swap_limit; /**< version 1: of memory and swap space together */
    uint64_t swap_usage; /**< the same */
};

/** How many bytes can be had there without any process being killed for them, where the
 *  machine has so much swap space left. */
uint64_t msi_proc_group_room(const struct msi_proc_memory *memory, uint64_t free_swap);

/** A line of /proc/sysvipc/shm. */
struct msi_proc_segment {
    uint32_t key; /**< its bits, without a sign; 0: private */
    uint32_t number;
    uint32_t mode;
    uint64_t bytes;
    uint32_t creator_pid;
    uint32_t last_pid;
    uint64_t attached;
    uint32_t uid;
    uint32_t gid;
    uint32_t creator_uid;
    int64_t changed; /**< seconds since 1970-01-01 UTC */
};

/** Takes the next segment out of that table; returns what is left. NULL: there was none. */
const char *msi_proc_next_segment(const char *table, struct msi_proc_segment *segment);

/** /proc/meminfo: the bytes of swap space that are left. */
uint64_t msi_proc_free_swap(const char *meminfo);
/** /proc/meminfo: the bytes that can be had without any process being killed for
 *  them; 0: it does not say. */
uint64_t msi_proc_available_memory(const char *meminfo);

#endif
