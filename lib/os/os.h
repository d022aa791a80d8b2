/*
 * os.h - the operations of the operating system that mapseg needs, and the
 * only way it reaches them. They stand in one table so that tests can replace
 * any of them and force the faults that a healthy system never shows.
 *
 * Unless said otherwise an operation returns 0 or more on success and a
 * negative errno on failure.
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
enum mapseg_range_kind { MAPSEG_RANGE_FREE, MAPSEG_RANGE_SHARED, MAPSEG_RANGE_EXCLUSIVE };

/** A lock that stands in the way; `bytes` is 0 where it reaches the end. */
struct mapseg_range {
    enum mapseg_range_kind kind;
    int64_t start;
    int64_t bytes;
};

/** What holds a file. */
struct mapseg_file_system {
    char name[24];      /**< "tmpfs", "ext4", or its magic number */
    bool ram_backed;    /**< never written to a disk but by swapping */
    bool limited;       /**< `available` means something */
    uint64_t available; /**< bytes that this user can still take */
};

/** What came with the bytes that were received. */
struct mapseg_parcel {
    int fd;               /**< the first descriptor; -1: none */
    unsigned descriptors; /**< how many came */
    bool too_long;        /**< the message had more bytes than there was room for */
    bool lost;            /**< descriptors came that could not be taken */
};

/** As much of the kernel's table of locks as is looked at. */
#define MAPSEG_LOCK_TABLE_BYTES ((size_t)4 * 1024 * 1024)

/** Protection of a mapping. */
enum mapseg_protection { MAPSEG_MAP_NONE, MAPSEG_MAP_READ, MAPSEG_MAP_WRITE };

struct mapseg_os_operations {
    /* Names are looked up in a directory that is open; -1 is none, and the name an
     * absolute path then. Every open is close-on-exec, never blocks, never follows
     * a symbolic link in the last part, never takes a terminal. No descriptor that
     * any operation makes is below 3, also where a program has closed its standard
     * ones: what it prints would go into the segment. */
    int (*open)(int directory, const char *name, int flags);
    int (*open_directory)(const char *path); /**< links are followed; only to look names up in */
    /** Whatever is there, a link itself too, only to look at it, or names up in it. */
    int (*open_place)(int directory, const char *name);
    int (*open_new)(int directory, const char *name, mode_t mode); /**< must not exist yet */
    int (*open_unnamed)(int directory, mode_t mode);               /**< a file without a name */
    int (*status_of_name)(int directory, const char *name, struct stat *status);
    /** Where the symbolic link at an open place leads; returns the length, at most
     *  `room`. */
    int64_t (*read_link)(int place, char *to, size_t room);
    int (*link)(int fd, int directory, const char *name); /**< names an unnamed file */
    int (*rename_new)(int directory, const char *from, const char *to); /**< fails if `to` exists */
    int (*unlink)(int directory, const char *name);
    int (*make_directory)(int directory, const char *name, mode_t mode);
    /** Visits each name of a directory, until a visit returns less than 0. */
    int (*each_name)(int directory, int (*visit)(void *context, const char *name), void *context);

    /* Descriptors. */
    int (*reopen)(int fd, int flags); /**< a new description of the same file */
    int (*duplicate)(int fd);         /**< the same description */
    void (*close)(int fd);
    int (*access_mode)(int fd); /**< O_RDONLY, O_WRONLY, O_RDWR; -EBADFD: only a place */
    int (*close_on_exec)(int fd);
    int (*status)(int fd, struct stat *status);
    /** Whether this process's user owns the file, or directory, for certain: also where
     *  a number stands for several users. */
    bool (*is_own)(int fd);
    int (*file_system)(int fd, struct mapseg_file_system *file_system);
    int (*set_mode)(int fd, mode_t mode);
    int (*resize)(int fd, int64_t bytes);
    int (*reserve)(int fd, int64_t offset, int64_t bytes);
    int64_t (*read)(int fd, void *to, size_t bytes, int64_t offset);
    int64_t (*write)(int fd, const void *from, size_t bytes, int64_t offset);
    int (*memory_file)(const char *name);
    int (*add_seals)(int fd, int seals);
    int (*seals)(int fd);

    /* Unix sockets. None raises SIGPIPE. */
    /** SOCK_STREAM or its like; -EPROTOTYPE: a socket of another family. */
    int (*socket_type)(int socket_fd);
    /** Waits as the socket does until there is something to receive: 0 too where
     *  that is the end; -EAGAIN: nothing yet. */
    int (*socket_await)(int socket_fd);
    /** Waits until the rest can be sent, or received; -ETIMEDOUT. */
    int (*socket_ready)(int socket_fd, bool to_send, int64_t ns);
    /** Sends with the descriptor, if it is not negative; `wait`: as the socket does.
     *  Returns the bytes that were sent. */
    int64_t (*socket_send)(int socket_fd, const void *from, size_t bytes, int fd, bool wait);
    /** Receives without waiting, and closes all descriptors that come but one. */
    int64_t (*socket_receive)(int socket_fd, void *to, size_t bytes, struct mapseg_parcel *parcel);

    /* Locks on a range of bytes; they never wait. Those of lock_range belong to
     * the open file description, those of hold_range to the process, which
     * conflict with the former even on one description; -EAGAIN: conflict.
     * test_range: what would conflict with a hold_range. */
    int (*lock_range)(int fd, enum mapseg_range_kind kind, int64_t start, int64_t bytes);
    int (*hold_range)(int fd, enum mapseg_range_kind kind, int64_t start, int64_t bytes);
    int (*test_range)(int fd, enum mapseg_range_kind kind, int64_t start, int64_t bytes,
                      struct mapseg_range *found);
    /** The kernel's table of locks as text; the caller frees it. */
    int (*lock_table)(char **text);
    /** The numbers by which that table calls an open file: not those of stat() where
     *  a file system lies on several (overlayfs), or has parts (btrfs). */
    int (*lock_table_numbers)(int fd, dev_t *device, ino_t *inode);

    /* Memory. map: NULL and *error. */
    void *(*map)(int fd, size_t bytes, int64_t offset, enum mapseg_protection protection,
                 int *error);
    void (*unmap)(void *address, size_t bytes);
    int (*hide_from_children)(void *address, size_t bytes);
    int (*show_to_children)(void *address, size_t bytes); /**< what was hidden */
    /** memcpy into a mapping and out of one, of some of the bytes; returns how many,
     *  or -EFAULT where there is nothing behind it. */
    int64_t (*copy_to_mapping)(void *to, const void *from, size_t bytes);
    int64_t (*copy_from_mapping)(void *to, const void *from, size_t bytes);
    /** Whether the file's memory can come in huge pages. */
    bool (*has_huge_pages)(int fd);
    /** Takes all of the file's memory, in huge pages where they are to be had. */
    int (*populate_huge)(int fd, size_t bytes);
    /** How much of the mapping that begins at the address is huge. */
    uint64_t (*huge_bytes)(const void *address);
    /** A page that a child made by fork() finds zeroed; NULL: no memory. */
    void *(*wiped_page)(void);
    size_t (*page_size)(void);
    /** Puts zeros, the process's own, in place of mapped pages; a handler of
     *  signals may. */
    int (*map_zeros)(void *address, size_t bytes, enum mapseg_protection protection);

    /* Waiting. sleep_on returns when woken, when *word is not `value`, after
     * `ns` nanoseconds, or for no reason at all. */
    void (*sleep_on)(const uint32_t *word, uint32_t value, int64_t ns);
    void (*wake_one)(const uint32_t *word);
    void (*wake_all)(const uint32_t *word);
    void (*nap)(int64_t ns);
    int64_t (*monotonic_ns)(void);
    int64_t (*real_ns)(void);

    /* A descriptor that is readable while it is raised. The last three do nothing where
     * the descriptor is none that event_new has made, as is_event tells. */
    int (*event_new)(void);
    bool (*is_event)(int fd);
    void (*event_close)(int fd);
    void (*event_raise)(int fd);
    void (*event_clear)(int fd);

    /* Signals; a handler of signals may use these two. */
    int (*signal_action)(int number, const struct sigaction *action, struct sigaction *old);
    void (*signal_raise)(int number); /**< in this thread */

    /* The process and its machine. */
    int (*random)(void *to, size_t bytes);
    uint32_t (*process_id)(void);
    uint32_t (*thread_id)(void);
    uint32_t (*user_id)(void);
    /** Whether this number also stands for users that the user namespace does not
     *  know: who owns a file of theirs cannot be seen by the number. */
    bool (*is_overflow_user)(uint32_t user);
    uint64_t (*file_size_limit)(void); /**< RLIMIT_FSIZE; UINT64_MAX: none */
    /** Whether so much memory can be taken without anybody being killed for it. */
    bool (*memory_suffices)(uint64_t bytes);
    const char *(*runtime_directory)(void); /**< NULL: not set, or a set-id program */
    const char *(*environment_key)(void);   /**< MAPSEG_KEY; NULL: likewise */
    const char *(*shared_directory)(void);  /**< "/dev/shm" */
    /** The system's words for an errno, into `to`. */
    void (*describe)(int error, char *to, size_t bytes);
};

extern struct mapseg_os_operations mapseg_os;

#endif
