/*
 * os.h - the operations of the operating system that mapseg needs, and the
 * only way it reaches them. They stand in one table so that tests can replace
 * any of them and force the faults that a healthy system never shows. The list
 * of them, with what each does, is in operations.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_OS_H
#define MAPSEG_OS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/** How a byte range of a file is locked. */
enum msi_range_kind { MSI_RANGE_FREE, MSI_RANGE_SHARED, MSI_RANGE_EXCLUSIVE };

/** A lock that stands in the way; `bytes` is 0 where it reaches the end. */
struct msi_range {
    enum msi_range_kind kind;
    int64_t start;
    int64_t bytes;
};

/** What holds a file. */
struct msi_file_system {
    char name[24];      /**< "tmpfs", "ext4", or its magic number */
    bool ram_backed;    /**< never written to a disk but by swapping */
    bool honest;        /**< whose file it is the kernel says, not a server or another user */
    bool limited;       /**< `available` means something */
    uint64_t available; /**< bytes that this user can still take */
};

/** What came with the bytes that were received. */
struct msi_received {
    int fd;               /**< the first descriptor; -1: none */
    unsigned descriptors; /**< how many came */
    bool too_long;        /**< the message had more bytes than there was room for */
    bool lost;            /**< descriptors came that could not be taken */
};

/** What the system says of a System V segment, or of a set of semaphores. */
struct msi_system_v {
    uint32_t mode; /**< permission bits */
    uint32_t uid;
    uint32_t gid;
    uint32_t creator_uid; /**< may change and remove it as its owner may */
    int64_t changed_ns;   /**< since 1970-01-01 UTC: made, or given to another owner or mode */
    uint32_t last_pid;    /**< of the last operation; 0: none, or not to be seen from here */
    /* Of a segment. */
    uint64_t bytes;
    uint64_t attached;
    uint32_t creator_pid;
    /* Of the first semaphore of a set. */
    int value;
    uint32_t waiters; /**< for the value to rise */
};

/** As much of the kernel's table of locks as is looked at. */
#define MSI_LOCK_TABLE_BYTES ((size_t)4 * 1024 * 1024)

/** Protection of a mapping. */
enum msi_protection { MSI_MAP_NONE, MSI_MAP_READ, MSI_MAP_WRITE };

/** The operations, as operations.h lists them. */
struct msi_os_operations {
#define OPERATION(failure, type, name, parameters, arguments) type(*name) parameters;
#include "operations.h"
};

extern struct msi_os_operations msi_os;

#endif
