/*
 * operations.h - the list of the operations of os.h, and all that is said of them.
 *
 * The table, what fills it, and what tests put in place of an operation are made from
 * this list. A file that includes it has defined
 *
 *     OPERATION(failure, type, name, parameters, arguments)
 *
 * and it may be included again with another one. `arguments` hands the parameters on.
 * `failure` is how an operation fails:
 *
 *     BY_ERRNO           returns a negative errno; on success 0 or more
 *     BY_NULL            returns NULL
 *     BY_NULL_AND_ERROR  the same, with the negative errno in *error
 *     BY_ZERO            returns 0
 *     BY_ANSWER          has no failure of its own: a question, whose answer may be
 *                        the other one than on a healthy system
 *     NEVER              cannot fail, or says nothing of it
 *
 * SPDX-License-Identifier: MIT
 */

/* clang-format off */

/* Names are looked up in a directory that is open; -1 is none, and the name an
 * absolute path then. Every open is close-on-exec, never blocks, never follows
 * a symbolic link in the last part, never takes a terminal. No descriptor that
 * any operation makes is below 3, also where a program has closed its standard
 * ones: what it prints would go into the segment. */

OPERATION(BY_ERRNO, int, open,
          (int directory, const char *name, int flags), (directory, name, flags))
/** Only to look names up in; links are followed. */
OPERATION(BY_ERRNO, int, open_directory, (const char *path), (path))
/** Whatever is there, a link itself too, only to look at it, or names up in it. */
OPERATION(BY_ERRNO, int, open_place, (int directory, const char *name), (directory, name))
/** It must not exist yet. */
OPERATION(BY_ERRNO, int, open_new,
          (int directory, const char *name, mode_t mode), (directory, name, mode))
/** A file without a name. */
OPERATION(BY_ERRNO, int, open_unnamed, (int directory, mode_t mode), (directory, mode))
OPERATION(BY_ERRNO, int, status_of_name,
          (int directory, const char *name, struct stat *status), (directory, name, status))
/** Where the symbolic link at an open place leads; returns the length, at most
 *  `room`. */
OPERATION(BY_ERRNO, int64_t, read_link, (int place, char *to, size_t room), (place, to, room))
/** Names an unnamed file. */
OPERATION(BY_ERRNO, int, link, (int fd, int directory, const char *name), (fd, directory, name))
/** Fails if `to` exists. */
OPERATION(BY_ERRNO, int, rename_new,
          (int directory, const char *from, const char *to), (directory, from, to))
/** Gives a file a second name; fails if `to` exists. */
OPERATION(BY_ERRNO, int, link_name,
          (int directory, const char *from, const char *to), (directory, from, to))
/** Takes the name `to` away from the file that has it. */
OPERATION(BY_ERRNO, int, rename_over,
          (int directory, const char *from, const char *to), (directory, from, to))
OPERATION(BY_ERRNO, int, unlink, (int directory, const char *name), (directory, name))
OPERATION(BY_ERRNO, int, make_directory,
          (int directory, const char *name, mode_t mode), (directory, name, mode))
/** Visits each name of a directory, until a visit returns less than 0. */
OPERATION(BY_ERRNO, int, each_name,
          (int directory, int (*visit)(void *context, const char *name), void *context),
          (directory, visit, context))

/* Descriptors. */

/** A new description of the same file. */
OPERATION(BY_ERRNO, int, reopen, (int fd, int flags), (fd, flags))
/** The same description. */
OPERATION(BY_ERRNO, int, duplicate, (int fd), (fd))
OPERATION(NEVER, void, close, (int fd), (fd))
/** O_RDONLY, O_WRONLY, O_RDWR; -EBADFD: only a place. */
OPERATION(BY_ERRNO, int, access_mode, (int fd), (fd))
OPERATION(BY_ERRNO, int, close_on_exec, (int fd), (fd))
OPERATION(BY_ERRNO, int, status, (int fd, struct stat *status), (fd, status))
/** Whether this process's user owns the file, or directory, for certain: also where
 *  a number stands for several users. */
OPERATION(BY_ANSWER, bool, is_own, (int fd), (fd))
OPERATION(BY_ERRNO, int, file_system,
          (int fd, struct msi_file_system *file_system), (fd, file_system))
OPERATION(BY_ERRNO, int, set_mode, (int fd, mode_t mode), (fd, mode))
OPERATION(BY_ERRNO, int, set_group, (int fd, uint32_t group), (fd, group))
/** Has what is written to an empty file stay where it was reserved: some file systems write
 *  elsewhere, and a reserve is then none. */
OPERATION(BY_ERRNO, int, write_in_place, (int fd), (fd))
OPERATION(BY_ERRNO, int, resize, (int fd, int64_t bytes), (fd, bytes))
/** Of a file that has no content yet. */
OPERATION(BY_ERRNO, int, reserve, (int fd, int64_t offset, int64_t bytes), (fd, offset, bytes))
OPERATION(BY_ERRNO, int64_t, read,
          (int fd, void *to, size_t bytes, int64_t offset), (fd, to, bytes, offset))
OPERATION(BY_ERRNO, int64_t, write,
          (int fd, const void *from, size_t bytes, int64_t offset), (fd, from, bytes, offset))
OPERATION(BY_ERRNO, int, memory_file, (const char *name), (name))
OPERATION(BY_ERRNO, int, add_seals, (int fd, int seals), (fd, seals))
OPERATION(BY_ERRNO, int, seals, (int fd), (fd))

/* Unix sockets. None raises SIGPIPE. */

/** SOCK_STREAM or its like; -EPROTOTYPE: a socket of another family. */
OPERATION(BY_ERRNO, int, socket_type, (int socket_fd), (socket_fd))
/** Waits as the socket does until there is something to receive: 0 too where
 *  that is the end; -EAGAIN: nothing yet. A cancellation point. */
OPERATION(BY_ERRNO, int, socket_await, (int socket_fd), (socket_fd))
/** Waits until the rest can be sent, or received; -ETIMEDOUT. */
OPERATION(BY_ERRNO, int, socket_ready,
          (int socket_fd, bool to_send, int64_t ns), (socket_fd, to_send, ns))
/** Sends with the descriptor, if it is not negative; `wait`: as the socket does.
 *  Returns the bytes that were sent. */
OPERATION(BY_ERRNO, int64_t, socket_send,
          (int socket_fd, const void *from, size_t bytes, int fd, bool wait),
          (socket_fd, from, bytes, fd, wait))
/** Receives without waiting, and closes all descriptors that come but one. */
OPERATION(BY_ERRNO, int64_t, socket_receive,
          (int socket_fd, void *to, size_t bytes, struct msi_received *received),
          (socket_fd, to, bytes, received))

/* Locks on a range of bytes; they never wait. Those of lock_range_ofd belong to
 * the open file description, those of lock_range_process to the process, which
 * conflict with the former even on one description; -EAGAIN: conflict. */

OPERATION(BY_ERRNO, int, lock_range_ofd,
          (int fd, enum msi_range_kind kind, int64_t start, int64_t bytes),
          (fd, kind, start, bytes))
OPERATION(BY_ERRNO, int, lock_range_process,
          (int fd, enum msi_range_kind kind, int64_t start, int64_t bytes),
          (fd, kind, start, bytes))
/** What would conflict with a lock_range_process. */
OPERATION(BY_ERRNO, int, test_range,
          (int fd, enum msi_range_kind kind, int64_t start, int64_t bytes,
           struct msi_range *found),
          (fd, kind, start, bytes, found))
/** The kernel's table of locks as text; the caller frees it. */
OPERATION(BY_ERRNO, int, lock_table, (char **text), (text))
/** The numbers by which that table calls an open file: not those of stat() where
 *  a file system lies on several (overlayfs), or has parts (btrfs). */
OPERATION(BY_ERRNO, int, lock_table_numbers,
          (int fd, dev_t *device, ino_t *inode), (fd, device, inode))

/* Memory. */

/** NULL and *error: it failed. */
OPERATION(BY_NULL_AND_ERROR, void *, map,
          (int fd, size_t bytes, int64_t offset, enum msi_protection protection, int *error),
          (fd, bytes, offset, protection, error))
OPERATION(NEVER, void, unmap, (void *address, size_t bytes), (address, bytes))
OPERATION(BY_ERRNO, int, hide_from_children, (void *address, size_t bytes), (address, bytes))
/** What was hidden. */
OPERATION(BY_ERRNO, int, show_to_children, (void *address, size_t bytes), (address, bytes))
/** Keeps the memory out of core dumps, of children too. */
OPERATION(BY_ERRNO, int, leave_out_of_dumps, (void *address, size_t bytes), (address, bytes))
/** Brings all of the memory in, and keeps it there until it is unmapped. */
OPERATION(BY_ERRNO, int, lock_memory, (void *address, size_t bytes), (address, bytes))
/** memcpy into a mapping and out of one, of some of the bytes; returns how many,
 *  or -EFAULT where there is nothing behind it. */
OPERATION(BY_ERRNO, int64_t, copy_to_mapping,
          (void *to, const void *from, size_t bytes), (to, from, bytes))
OPERATION(BY_ERRNO, int64_t, copy_from_mapping,
          (void *to, const void *from, size_t bytes), (to, from, bytes))
/** Whether the file's memory can come in huge pages. */
OPERATION(BY_ANSWER, bool, has_huge_pages, (int fd), (fd))
/** Takes all of the file's memory, in huge pages where they are to be had. */
OPERATION(BY_ERRNO, int, populate_huge, (int fd, size_t bytes), (fd, bytes))
/** Takes all of the memory behind a mapping that can be written. */
OPERATION(BY_ERRNO, int, populate, (void *address, size_t bytes), (address, bytes))
/** How much of the mapping that begins at the address is huge. */
OPERATION(BY_ZERO, uint64_t, huge_bytes, (const void *address), (address))
/** A page that a child made by fork() finds zeroed; NULL: no memory. */
OPERATION(BY_NULL, void *, wiped_page, (void), ())
OPERATION(NEVER, size_t, page_size, (void), ())
/** Puts zeros, the process's own, in place of mapped pages; a handler of
 *  signals may. */
OPERATION(BY_ERRNO, int, map_zeros,
          (void *address, size_t bytes, enum msi_protection protection),
          (address, bytes, protection))

/* System V segments and sets of semaphores. What has this number, by a key, is gone where an
 * operation fails with -EINVAL or -EIDRM. Flags are those of semget() and shmget(). */

/** A set of one semaphore; a new one has the value 0. Returns its number. */
OPERATION(BY_ERRNO, int, system_v_set, (int32_t key, int flags), (key, flags))
/** Makes the value 1, and nothing is undone any more of what processes have done before. */
OPERATION(BY_ERRNO, int, system_v_set_free, (int set), (set))
/** Makes the value 1 if it is `value`, in one step; -EAGAIN: it is another by now. */
OPERATION(BY_ERRNO, int, system_v_mend, (int set, int value), (set, value))
/** Lowers the value, or waits so long until that can be done; -EAGAIN: it could not; -EINTR.
 *  Undone when this process ends. */
OPERATION(BY_ERRNO, int, system_v_take, (int set, int64_t ns), (set, ns))
/** Raises the value, which is no longer undone then. */
OPERATION(BY_ERRNO, int, system_v_give, (int set), (set))
OPERATION(BY_ERRNO, int, system_v_set_status,
          (int set, struct msi_system_v *status), (set, status))
OPERATION(BY_ERRNO, int, system_v_set_remove, (int set), (set))
/** Returns the number of the segment. */
OPERATION(BY_ERRNO, int, system_v_segment,
          (int32_t key, size_t bytes, int flags), (key, bytes, flags))
/** Maps it. NULL and *error: it failed. */
OPERATION(BY_NULL_AND_ERROR, void *, system_v_attach,
          (int segment, bool read_only, int *error), (segment, read_only, error))
OPERATION(NEVER, void, system_v_detach, (void *address), (address))
OPERATION(BY_ERRNO, int, system_v_segment_status,
          (int segment, struct msi_system_v *status), (segment, status))
/** It goes when the last process has left it; its key leads to it no more. */
OPERATION(BY_ERRNO, int, system_v_segment_remove, (int segment), (segment))
/** The kernel's table of segments as text; the caller frees it. */
OPERATION(BY_ERRNO, int, system_v_table, (char **text), (text))

/* Waiting. sleep_on returns when woken, when *word is not `value`, after
 * `ns` nanoseconds, or for no reason at all. wake_one says whether a sleeper was there. */

OPERATION(NEVER, void, sleep_on,
          (const uint32_t *word, uint32_t value, int64_t ns), (word, value, ns))
OPERATION(BY_ANSWER, bool, wake_one, (const uint32_t *word), (word))
OPERATION(NEVER, void, wake_all, (const uint32_t *word), (word))
OPERATION(NEVER, void, nap, (int64_t ns), (ns))
OPERATION(NEVER, int64_t, monotonic_ns, (void), ())
OPERATION(NEVER, int64_t, real_ns, (void), ())

/* A descriptor that is readable while it is raised. The last three do nothing where
 * the descriptor is none that event_new has made, as is_event tells. */

OPERATION(BY_ERRNO, int, event_new, (void), ())
OPERATION(BY_ANSWER, bool, is_event, (int fd), (fd))
OPERATION(NEVER, void, event_close, (int fd), (fd))
OPERATION(NEVER, void, event_raise, (int fd), (fd))
OPERATION(NEVER, void, event_clear, (int fd), (fd))

/* Signals; a handler of signals may use these two. */

OPERATION(BY_ERRNO, int, signal_action,
          (int number, const struct sigaction *action, struct sigaction *old),
          (number, action, old))
/** In this thread. */
OPERATION(NEVER, void, signal_raise, (int number), (number))

/* The process and its machine. */

OPERATION(BY_ERRNO, int, random, (void *to, size_t bytes), (to, bytes))
OPERATION(NEVER, uint32_t, process_id, (void), ())
OPERATION(NEVER, uint32_t, thread_id, (void), ())
/** Whether there is a process of that number, also of another user, that can be seen from here. */
OPERATION(BY_ANSWER, bool, process_lives, (uint32_t process), (process))
OPERATION(NEVER, uint32_t, user_id, (void), ())
/** Whether this number also stands for users that the user namespace does not know: the
 *  owner of a file of theirs cannot be seen by the number. */
OPERATION(BY_ANSWER, bool, is_overflow_user, (uint32_t user), (user))
/** The same of groups. */
OPERATION(BY_ANSWER, bool, is_overflow_group, (uint32_t group), (group))
/** Whether the owner of a place, as its status has it, is for certain a user that the user
 *  namespace does not know: also where a user that it knows has that number. */
OPERATION(BY_ANSWER, bool, is_unknown_owner, (int place, uint32_t owner), (place, owner))
/** RLIMIT_FSIZE; UINT64_MAX: none. */
OPERATION(NEVER, uint64_t, file_size_limit, (void), ())
/** Whether so much memory can be taken without any process being killed for it. */
OPERATION(BY_ANSWER, bool, memory_suffices, (uint64_t bytes), (bytes))
/** NULL: not set, or a set-id program. */
OPERATION(BY_NULL, const char *, runtime_directory, (void), ())
/** The directory of temporary files, $TMPDIR (but not of a set-id program) or "/tmp", by its
 *  path without links, or as it is written where it leads to nothing. */
OPERATION(NEVER, void, temporary_directory, (char *to, size_t bytes), (to, bytes))
/** The name of a user; "" if there is none. */
OPERATION(NEVER, void, user_name, (uint32_t user, char *to, size_t bytes), (user, to, bytes))
/** MAPSEG_KEY; NULL: likewise. */
OPERATION(BY_NULL, const char *, environment_key, (void), ())
/** "/dev/shm". */
OPERATION(NEVER, const char *, shared_directory, (void), ())
/** The system's words for an errno, into `to`. */
OPERATION(NEVER, void, describe, (int error, char *to, size_t bytes), (error, to, bytes))

/* clang-format on */

#undef OPERATION
