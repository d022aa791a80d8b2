/*
 * mapseg.h - shared memory through memory-mapped files.
 *
 * A segment is a file, on tmpfs or without a name in a memfd, that several
 * processes map. A handle leads to one segment by a key. What most programs do:
 *
 *     mapseg *seg = mapseg_new_with_key("weather");
 *     if (seg == NULL ||
 *         mapseg_create_or_attach(seg, size, MAPSEG_READ_WRITE, NULL) != MAPSEG_OK)
 *         ... out of memory, or mapseg_error_string(seg) ...
 *     struct weather *now = mapseg_data(seg);
 *     mapseg_result result = mapseg_lock(seg);
 *     if (result == MAPSEG_OWNER_DIED)
 *         ... repair *now, then mapseg_consistent(seg) ...
 *     if (mapseg_result_owes_unlock(result)) {
 *         ... use *now ...
 *         mapseg_unlock(seg);
 *     }
 *     mapseg_free(seg);
 *
 * The last one out removes the segment. A program that only looks reads without the
 * lock (mapseg_read) and sleeps until there is something new (mapseg_wait). The
 * calls stand below in the order in which programs need them. mapseg-key.h has keys
 * as values, mapseg-spawn.h segments for child programs, mapseg-format.h the bytes
 * in the file. The manual begins with mapseg(7); the meanings follow
 * QSharedMemory, and where mapseg differs the call says so.
 *
 * Results. Every call that can fail returns a mapseg_result; 0 is success. A failed
 * call changes nothing, and says why in mapseg_error_string. Pointers must not be
 * NULL except where it says that they may.
 *
 * Timeouts are in nanoseconds: 0 is not to wait at all, a negative one for ever, and
 * MAPSEG_TIMEOUT_DEFAULT what the call names as its default.
 *
 * Threads. One handle may be used by several threads at once, but
 * mapseg_set_key, mapseg_set_native_key, the calls that create, attach or
 * detach, and mapseg_free must not run beside any other call on the same
 * handle. Different handles never disturb each other, also where they lead
 * to the same segment.
 *
 * Fork. After fork() the child's copy of an attached handle is an attachment
 * of its own: pointers stay good, and a lock held at the fork stays the
 * parent's. See mapseg-fork(7).
 *
 * Signals, cancellation, exit. No call is a cancellation point, but for
 * mapseg_receive while it waits for a message to begin; asynchronous
 * cancellation is not supported. In a handler of signals only the calls that
 * mapseg(7) lists are safe. While something is half done, a call keeps the
 * signals of its thread back, so that a handler may fork. exit() may run
 * beside other threads' calls, and dlclose() leaves the library loaded.
 *
 * The library never prints or aborts. It handles a signal, SIGBUS, only where
 * mapseg_guard_begin or MAPSEG_GUARDED asks for it. It reads two environment variables:
 * XDG_RUNTIME_DIR, and only for "runtime:" keys, and MAPSEG_KEY, and only in
 * mapseg_new_from_environment.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_H
#define MAPSEG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this header. mapseg_version tells that of the library that runs. */
#define MAPSEG_VERSION_MAJOR 0
#define MAPSEG_VERSION_MINOR 1
#define MAPSEG_VERSION_PATCH 0

/** The same as one number, to compare: #if MAPSEG_VERSION_NUMBER >= 10200 (1.2.0). */
#define MAPSEG_VERSION_NUMBER                                                                      \
    (MAPSEG_VERSION_MAJOR * 10000 + MAPSEG_VERSION_MINOR * 100 + MAPSEG_VERSION_PATCH)

#if defined(__GNUC__)
#define MAPSEG_API __attribute__((visibility("default")))
/* The compiler warns where such a call's result is not looked at. */
#define MAPSEG_MUST_CHECK __attribute__((warn_unused_result))
/* The compiler warns of NULL as one of these arguments, counted from 1. */
#define MAPSEG_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#else
#define MAPSEG_API
#define MAPSEG_MUST_CHECK
#define MAPSEG_NONNULL(...)
#endif

/** As a timeout: the default of the call. */
#define MAPSEG_TIMEOUT_DEFAULT INT64_MIN

/* ------------------------------------------------------------- results -- */

/**
 * What a call came to. 0 to 8 have the values and the meanings of
 * QSharedMemory::SharedMemoryError. Numbers never change; new ones are added
 * at the end.
 */
typedef enum mapseg_result {
    /** It worked. */
    MAPSEG_OK = 0,
    /** The system refused access to the file, or the attachment may not do
     *  this. Run as the segment's owner, or have it created with a mode
     *  that lets others in. */
    MAPSEG_PERMISSION_DENIED = 1,
    /** create: the size is 0, or more than half the address space. attach,
     *  create_or_attach: the segment is smaller than what was asked for. */
    MAPSEG_INVALID_SIZE = 2,
    /** The handle has no key, or the key is not well formed. */
    MAPSEG_KEY_ERROR = 3,
    /** create: the name is taken, or this handle is attached already. Attach
     *  instead, or create with MAPSEG_RECLAIM to clear crash debris. */
    MAPSEG_ALREADY_EXISTS = 4,
    /** No segment has that key. Create it, or wait for a process that does. send,
     *  receive: no process has the other end of the socket. */
    MAPSEG_NOT_FOUND = 5,
    /** The lock cannot be used: the handle is not attached; or, where a
     *  change is to begin under a lock held, a peer wrote over its word. */
    MAPSEG_LOCK_ERROR = 6,
    /** No memory, space, quota, descriptors or address space left, or the
     *  size is above a limit of this machine. Nothing was left behind. */
    MAPSEG_OUT_OF_RESOURCES = 7,
    /** The system failed in a way that no other result names; the error
     *  string carries its words. */
    MAPSEG_UNKNOWN_ERROR = 8,

    /** The time given passed first. The lock is not held. */
    MAPSEG_TIMED_OUT = 16,
    /** try_lock: another owner holds the lock. send, receive: the socket is not
     *  ready, and is one that does not wait. */
    MAPSEG_WOULD_BLOCK = 17,
    /** From a call that locks (mapseg_write_begin is one): the lock IS HELD,
     *  but an owner died while it held it: the data may be half written.
     *  Repair it, call mapseg_consistent, unlock. From a call that reads,
     *  waits or writes a range: the lock is not held, a writer died half way
     *  and no owner has repaired the data. */
    MAPSEG_OWNER_DIED = 18,
    /** The lock IS HELD, and was already, by this thread through this
     *  handle. One unlock frees it, which the function that took it owes. */
    MAPSEG_ALREADY_LOCKED = 19,
    /** unlock, consistent: this handle does not hold the lock. */
    MAPSEG_NOT_LOCKED = 20,
    /** The handle is not attached. */
    MAPSEG_NOT_ATTACHED = 21,
    /** attach: the handle is attached already; detach first. */
    MAPSEG_ALREADY_ATTACHED = 22,
    /** The file is not a mapseg segment (or not a regular file at all). It
     *  was left alone. */
    MAPSEG_NOT_A_SEGMENT = 23,
    /** The header is damaged or the file is shorter than it says. Remove the
     *  segment, or restore the file. */
    MAPSEG_CORRUPT = 24,
    /** The segment was made by a newer mapseg in a way that this one must
     *  not touch. Upgrade this program. */
    MAPSEG_TOO_NEW = 25,
    /** Another user could interfere with the file: another user owns it, a
     *  group or every user may write it or its directory, it has several names,
     *  its name is a symbolic link, or links on the way lead in a circle; or, with
     *  MAPSEG_UNTRUSTED_PEER, it can be made shorter. A flag of mapseg_options
     *  relaxes each, the links apart. */
    MAPSEG_UNTRUSTED = 26,
    /** The file became shorter while it was mapped. What was beyond its new
     *  end is lost, and this attachment with it: detach; attach anew if the
     *  segment is made anew. */
    MAPSEG_FILE_SHRUNK = 27,
    /** An argument makes no sense; the error string says which. */
    MAPSEG_INVALID_ARGUMENT = 28,
    /** This build, kernel or file system cannot do that. */
    MAPSEG_NOT_SUPPORTED = 29,
    /** reclaim: a process is attached. */
    MAPSEG_IN_USE = 30,
    /** reclaim with MAPSEG_STALE_ONLY: the segment is persistent, so it is no
     *  crash debris. It was left alone; mapseg_remove ends it. */
    MAPSEG_MEANT_TO_STAY = 31,
    /** The program has closed the segment's descriptor behind the library's back,
     *  as some do that make themselves a daemon, and the file could not be opened
     *  anew. Detach, and attach anew; attach after closing what is not needed. */
    MAPSEG_DESCRIPTOR_CLOSED = 32,

    /** attach with MAPSEG_REQUIRE_TAG: the segment has another user tag, so its data is
     *  of another kind or version. It was left alone. */
    MAPSEG_WRONG_TAG = 33,
    /** wait, with MAPSEG_WATCH_WRITERS: no other attachment is left that can write the data,
     *  so no change will come from one. attach that waits, with the same flag: there is a
     *  segment, but none came in time. Go on waiting, or detach, and attach with wait_ns. */
    MAPSEG_NO_WRITER = 34,

    MAPSEG_RESULT_RESERVED = 0x7fffffff
} mapseg_result;

/**
 * What a result means, as a sentence without a capital: "there is no such segment". For
 * messages where there is no handle to ask mapseg_error_string. Static; "" for OK, and
 * "unknown" for a number that is no result.
 */
MAPSEG_API const char *mapseg_result_text(mapseg_result result);

/** The name of a result, "MAPSEG_NOT_FOUND"; static. For a number that is no
 *  result "MAPSEG_?". */
MAPSEG_API const char *mapseg_result_name(mapseg_result result);

/**
 * Whether a call that locks, and returned this, has taken the lock, so that its caller
 * owes an unlock: true for OK and OWNER_DIED. After ALREADY_LOCKED the lock is held too,
 * but the unlock is owed by the function that took it: one unlock frees it,
 * whichever function calls it.
 */
MAPSEG_API bool mapseg_result_owes_unlock(mapseg_result result);

/* ------------------------------------------------------------- handles -- */

/** One handle; opaque. */
typedef struct mapseg mapseg;

/** A new handle without a key. The caller frees it with mapseg_free. NULL: no
 *  memory. */
MAPSEG_API MAPSEG_MUST_CHECK mapseg *mapseg_new(void);

/** A new handle with the plain key `key`, as mapseg_set_key gives it one; the key may be
 *  NULL. The caller frees the handle with mapseg_free. NULL: no memory. */
MAPSEG_API MAPSEG_MUST_CHECK mapseg *mapseg_new_with_key(const char *key);

/** Detaches (which releases the lock if this handle holds it) and frees the
 *  handle. NULL is fine. */
MAPSEG_API void mapseg_free(mapseg *seg);

/**
 * Gives the handle a plain key: any string, of any length and language. The
 * segment is then the file "shm:" + mapseg's derived name, which depends on
 * the key and the effective user alone, so two users' keys never collide and
 * a user's programs always meet. In a user namespace it is the user's number there that
 * counts: see mapseg-worlds(7). NULL or "" takes the key away. mapseg_set_native_key
 * says which file it is instead.
 *
 * If the handle has this very plain key nothing happens; else it is detached
 * first, and not attached again. OUT_OF_RESOURCES: no memory, nothing has
 * changed.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_set_key(mapseg *seg, const char *key);

/* ---------------------------------------------- create, attach, detach -- */

/** How the data is mapped. Values as in QSharedMemory::AccessMode. */
typedef enum mapseg_access {
    MAPSEG_READ_ONLY = 0,  /**< mapseg_data is NULL, a stray write SIGSEGV */
    MAPSEG_READ_WRITE = 1, /**< the default of a QSharedMemory */
    MAPSEG_ACCESS_RESERVED = 0x7fffffff
} mapseg_access;

/**
 * Attaches, or creates where there is nothing to attach to, also if other
 * processes do the same at this moment. `*created` (may be NULL) says which; after a
 * failure it is false. What is created has `size` bytes; what is there already keeps
 * its size, see mapseg_size, and must have `size` bytes at least.
 *
 * The results of mapseg_create and mapseg_attach, but for ALREADY_EXISTS and NOT_FOUND
 * of the segment itself. INVALID_SIZE: the segment that is there is smaller, the error
 * string has both sizes; agree on one, or remove the segment.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_create_or_attach(mapseg *seg, size_t size, mapseg_access access, bool *created);

/**
 * Creates the segment and attaches to it. `size` is in bytes and exactly what
 * mapseg_size gives every process; the data is zero and its memory reserved. The
 * name appears only when the segment is complete: no process ever sees half
 * of it. Other processes may attach at once.
 *
 * KEY_ERROR, INVALID_SIZE (in this order, as in Qt), ALREADY_EXISTS (also
 * when this handle is attached, whose attachment stays usable), NOT_FOUND (the
 * directory of a "file:" key is missing), PERMISSION_DENIED, UNTRUSTED (the
 * runtime directory is not private, or others can replace a directory on the
 * way to a file), OUT_OF_RESOURCES, NOT_SUPPORTED (also: no
 * usable XDG_RUNTIME_DIR); with MAPSEG_RECLAIM also the results of mapseg_reclaim about the
 * segment that is there. After a failure the handle is as it was before, and
 * nothing is left behind.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_create(mapseg *seg, size_t size, mapseg_access access);

/**
 * Attaches to the segment of the handle's key; never creates. With
 * MAPSEG_READ_ONLY the data cannot be written through this handle; the lock
 * works all the same where the file may be opened for writing.
 *
 * KEY_ERROR, ALREADY_ATTACHED (mapseg_error() is left as it was, as in Qt),
 * NOT_FOUND, PERMISSION_DENIED, NOT_A_SEGMENT, CORRUPT, TOO_NEW, UNTRUSTED,
 * OUT_OF_RESOURCES, NOT_SUPPORTED; TIMED_OUT: another process has been
 * removing the segment, or naming it, for a second, and is probably stopped.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_attach(mapseg *seg, mapseg_access access);

/** Releases the lock if this handle holds it, unmaps, and, if no other
 *  attachment is left and the segment is not persistent, removes it. Where this user may not
 *  remove it (in a sticky directory only the file's owner may), or may only read it, the result
 *  is OK all the same, and mapseg_error_string says what was left, until the next call.
 *  NOT_ATTACHED: it was not attached; mapseg_error() is left as it was. */
MAPSEG_API MAPSEG_NONNULL(1) mapseg_result mapseg_detach(mapseg *seg);

/** Whether the handle is attached, in this very process. */
MAPSEG_API MAPSEG_NONNULL(1) bool mapseg_is_attached(const mapseg *seg);

/** The data, 4096 bytes aligned, until detach; NULL when detached or attached
 *  read-only. */
MAPSEG_API MAPSEG_NONNULL(1) void *mapseg_data(mapseg *seg);

/** The data to read, until detach; NULL when detached. */
MAPSEG_API MAPSEG_NONNULL(1) const void *mapseg_const_data(const mapseg *seg);

/** Bytes of data, exactly what create was given; 0 when detached. */
MAPSEG_API MAPSEG_NONNULL(1) size_t mapseg_size(const mapseg *seg);

/* -------------------------------------------------------------- errors -- */

/**
 * The result that was last left in the handle; MAPSEG_OK at first. A call that fails
 * leaves its result there, and one that succeeds MAPSEG_OK, with two exceptions. Locking
 * and unlocking, mapseg_write_begin and mapseg_write_end are too quick for it: where they
 * succeed they may leave what was there, so after a failed read and a good unlock it is
 * the read's. And, as in Qt, refusals that change nothing (ALREADY_ATTACHED, NOT_LOCKED,
 * detach while detached) leave it. How a call went is told by its own
 * result.
 */
MAPSEG_API MAPSEG_NONNULL(1) mapseg_result mapseg_error(const mapseg *seg);

/** Why this thread's last failed call on the handle failed: what was tried on
 *  which key, what the system said, what to do. "" if mapseg_error() is OK
 *  and this thread has met no refusal. Good until this thread's next call of
 *  mapseg. */
MAPSEG_API MAPSEG_NONNULL(1) const char *mapseg_error_string(const mapseg *seg);

/* ---------------------------------------------------------------- lock -- */

/**
 * Takes the segment's lock, waiting as long as another attachment (or another
 * thread through this handle) holds it. A lock that is held by a living owner
 * is never taken away; one whose owner died passes to the next within 100 ms.
 *
 * OK and OWNER_DIED: the lock is held, and an unlock is owed
 * (mapseg_result_owes_unlock). After OWNER_DIED the data may be half written: repair it,
 * and call mapseg_consistent. ALREADY_LOCKED: this thread holds it already through this
 * handle; leave the unlock to the function that took it. LOCK_ERROR: the
 * handle is not attached. NOT_ATTACHED: in a child that fork handlers did not
 * run in; attach anew. PERMISSION_DENIED: the segment could only be opened for reading.
 * DESCRIPTOR_CLOSED: the owner cannot be asked for. NOT_FOUND: it had to wait, and the name
 * does not lead to this segment any more; only with MAPSEG_WATCH_NAME.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result mapseg_lock(mapseg *seg);

/** Takes the lock as mapseg_lock does, without waiting: WOULD_BLOCK if a living owner
 *  holds it. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result mapseg_try_lock(mapseg *seg);

/** Takes the lock as mapseg_lock does, waiting at most `timeout_ns` nanoseconds, then
 *  TIMED_OUT. The default is for ever. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_lock_for(mapseg *seg, int64_t timeout_ns);

/** Releases the lock; any thread of the process may, through the handle that
 *  took it, and once is enough. NOT_LOCKED: this handle does not hold it; nothing has
 *  changed, mapseg_error() neither. */
MAPSEG_API MAPSEG_NONNULL(1) mapseg_result mapseg_unlock(mapseg *seg);

/** Declares, under the lock, that the data is in order again after
 *  OWNER_DIED. An owner that unlocks without it leaves the mark, and the next one
 *  is told in turn. NOT_LOCKED: this handle does not hold the lock. */
MAPSEG_API MAPSEG_NONNULL(1) mapseg_result mapseg_consistent(mapseg *seg);

/**
 * Frees the lock of a segment of another program's kind ("posix:"), whose owner is dead, for
 * those that cannot find out: programs without mapseg. The handle may be attached or not. OK: the
 * lock is free, and the next owner that uses mapseg is told (OWNER_DIED). `force`: also where the
 * owner leaves no mark; make sure that it is dead, or two programs hold the lock at once.
 *
 * NOT_LOCKED: it was free, nothing has changed. IN_USE: its owner lives, or, without `force`, may
 * live. NOT_FOUND: no program has locked it yet. CORRUPT: it is no such lock. PERMISSION_DENIED,
 * KEY_ERROR. NOT_SUPPORTED: the lock needs no repair (mapseg's own segments, "raw:").
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result mapseg_repair(mapseg *seg, bool force);

/* ------------------------------------------------------------ versions -- */

/*
 * A segment counts its changes. A writer encloses each change between
 * mapseg_write_begin and mapseg_write_end; readers then need neither the lock
 * nor permission to write: they copy, and look whether the version stayed the
 * same. What was seen is told by a version: an even number, 0 at first, and a
 * greater one after each change. See mapseg_read(3).
 *
 * Nothing that another user does to the file can harm mapseg_read, mapseg_read_for,
 * mapseg_read_begin, mapseg_read_retry and mapseg_wait. Where owner and mode say that no
 * other user (but root) could make it shorter they read the mapping, and what a process
 * of one's own user does to it can be SIGBUS, as it is with mapseg_data. With
 * MAPSEG_GUARDED, or after a first mapseg_guard_begin on the handle, each is a section of
 * its own, and FILE_SHRUNK. Otherwise they ask the system, which takes a microsecond.
 */

/** As a version: one that no segment ever has. mapseg_wait then gives the version that
 *  there is, without waiting for a change. */
#define MAPSEG_ANY_VERSION UINT64_MAX

/**
 * Takes the lock as mapseg_lock does, and begins a change: readers wait, or
 * try again, until it ends. Under the lock that this thread holds already it
 * begins one all the same; so lock with mapseg_lock_for to give up in time.
 *
 * OK and OWNER_DIED: the change has begun, and a mapseg_write_end is owed
 * (mapseg_result_owes_unlock). After OWNER_DIED repair the data, and call
 * mapseg_consistent. ALREADY_LOCKED: the change has begun, under the lock that this thread
 * holds; leave its end to the function that took the lock, whose unlock ends it, or call
 * mapseg_write_end, which releases the lock too. Otherwise the results of mapseg_lock, and
 * no change has begun; and PERMISSION_DENIED where this handle is attached read-only.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result mapseg_write_begin(mapseg *seg);

/**
 * Ends the change: makes it visible as a new version, wakes all waiters for
 * one, and releases the lock, however often it was taken. After OWNER_DIED
 * without mapseg_consistent the version stays odd, and readers go on waiting
 * for an owner that repairs the data. mapseg_unlock within a change ends it in
 * the same way; mapseg_detach abandons it: the next owner is told that a
 * writer died. NOT_LOCKED: this handle does not hold the lock; nothing has
 * changed.
 */
MAPSEG_API MAPSEG_NONNULL(1) mapseg_result mapseg_write_end(mapseg *seg);

/**
 * Writes a range of the data as one change: begin, copy, end. Within a change
 * of this thread it only copies. `offset` and `bytes` count in the data.
 *
 * INVALID_ARGUMENT: the range is not within the data. OWNER_DIED: a writer
 * died half way; nothing was written, and the lock is not held: use
 * mapseg_write_begin, and repair. FILE_SHRUNK. OUT_OF_RESOURCES: there is no
 * memory for what MAPSEG_LAZY did not reserve. If only some of it could be
 * written, others are told that a writer died. Otherwise as mapseg_write_begin.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_write(mapseg *seg, size_t offset, const void *from, size_t bytes);

/**
 * Copies a range of the data as it was at one version: never half of a change.
 * `*version` (may be NULL) is that version. Works on attachments that cannot
 * write. Threads of one handle may read at the same time.
 *
 * If writers never leave a gap, a reader that can lock takes the lock; one that
 * cannot (or whose file another user could make shorter, and that has no guard)
 * gives up after a second: TIMED_OUT. OWNER_DIED, also at that moment: a
 * writer died half way, and no owner has repaired the data since. FILE_SHRUNK.
 * INVALID_ARGUMENT: the range is not within the data. NOT_ATTACHED.
 * DESCRIPTOR_CLOSED (the calls that wait, too). After a
 * failure what `to` points to is undefined, and `*version` as it was. The
 * thread that has begun a change reads its own work, and the odd version.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_read(mapseg *seg, size_t offset, void *to, size_t bytes, uint64_t *version);

/** Copies a range as mapseg_read does, for `timeout_ns` nanoseconds at most. The default
 *  is mapseg_read's second. For ever: OWNER_DIED still comes, after a second. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_read_for(mapseg *seg, size_t offset, void *to, size_t bytes, uint64_t *version,
                    int64_t timeout_ns);

/**
 * Reading in place: waits, a second at most, until no change is under way, and
 * gives the version. Then look at the data, copy what is needed out of it, and
 * ask mapseg_read_retry: only if it says false was all of it of that version.
 * Until then believe nothing that was seen there: no index, no length. Results
 * as mapseg_read.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1, 2) mapseg_result
    mapseg_read_begin(mapseg *seg, uint64_t *version);

/** Whether the data may have changed since mapseg_read_begin gave `version`, so
 *  that what was read is worthless; also if the file is known to be shorter, or the
 *  handle is not attached. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) bool mapseg_read_retry(mapseg *seg,
                                                                      uint64_t version);

/**
 * Sleeps until the version is another than `seen` and no change is under way, for
 * `timeout_ns` nanoseconds at most; 0 only looks, and the default is for ever. `*now` (may
 * be NULL) is the version then; on TIMED_OUT too, unless a change is under way: then it is
 * left as it was. MAPSEG_ANY_VERSION as `seen` asks for the version without waiting for a
 * change. Within a change of one's own it waits in vain, or for another's.
 *
 * Works on attachments that cannot write. TIMED_OUT; OWNER_DIED, at that
 * moment (for ever: after a second): a writer died half way, and no owner has
 * repaired the data since. FILE_SHRUNK. NOT_ATTACHED. With MAPSEG_WATCH_NAME: NOT_FOUND,
 * when the name is gone or another segment has it. With MAPSEG_WATCH_WRITERS: NO_WRITER;
 * what a writer published before it left is given out first. After these two `*now` is as
 * after TIMED_OUT, and the handle stays attached.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_wait(mapseg *seg, uint64_t seen, uint64_t *now, int64_t timeout_ns);

/**
 * A descriptor for poll() and its like: readable while the segment has a
 * version that this handle has not given out yet by mapseg_read,
 * mapseg_read_begin or mapseg_wait. So the way to go on is mapseg_read, or
 * mapseg_wait with a timeout of 0; no change is missed, and none reported
 * twice. What was given out before the first call does not count, so at first it
 * is readable. It is also readable once the attachment is lost (FILE_SHRUNK), and, with the
 * flags that watch, from the moment that mapseg_wait has something to say of the name or the
 * writers until it has said it.
 *
 * `*fd` belongs to the handle, which closes it when it is detached: neither read
 * nor close it. The first call starts a thread that waits for changes, with
 * all signals blocked; later calls give the same descriptor. In a child made
 * by fork() the descriptor is closed: ask again there. After a failure `*fd` is -1:
 * NOT_ATTACHED, OUT_OF_RESOURCES, DESCRIPTOR_CLOSED (the program has closed it),
 * PERMISSION_DENIED or NOT_SUPPORTED (a sandbox allows no such descriptor, or no thread).
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1, 2) mapseg_result
    mapseg_notify_fd(mapseg *seg, int *fd);

/* ------------------------------------------------------------- options -- */

/** Flags of mapseg_options. A call ignores those that do not concern it, so
 *  that one set of options serves create and attach. */
typedef enum mapseg_flag {
    /** create: the last one out leaves the segment; mapseg_remove ends it. */
    MAPSEG_PERSISTENT = 1 << 0,
    /** create: do not reserve the memory now. A full file system then shows
     *  as SIGBUS at the first touch instead of OUT_OF_RESOURCES here. */
    MAPSEG_LAZY = 1 << 1,
    /** create: if a segment of that name exists and no process is attached to it
     *  (crash debris, or a persistent one), remove it first. */
    MAPSEG_RECLAIM = 1 << 2,
    /** create: the lock prefers order to throughput: a waiter is passed a few times at the
     *  most. Without it, for some 3 ms at the most. */
    MAPSEG_FAIR = 1 << 3,
    /** create, attach: children made by fork() do not get the segment at
     *  all: there the handle is detached and its memory is not mapped. */
    MAPSEG_NO_FORK = 1 << 4,
    /** attach: demand that the segment's user tag is options.user_tag, else
     *  WRONG_TAG. */
    MAPSEG_REQUIRE_TAG = 1 << 5,
    /** create with "memfd:", for MAPSEG_READ_WRITE: seal the segment so that
     *  no process, of whatever user, can write it but through the mapping that
     *  this handle now has (and that children made by fork() inherit, unless
     *  MAPSEG_NO_FORK is given too). Others read, and wait for changes; they
     *  cannot lock. NOT_SUPPORTED with a key that gives a name, and before
     *  Linux 5.1; INVALID_ARGUMENT with MAPSEG_READ_ONLY. */
    MAPSEG_SINGLE_WRITER = 1 << 6,
    /** attach, create: a process that is not trusted may have the segment too.
     *  Refuses, as UNTRUSTED, a file that could be made shorter, which would
     *  be SIGBUS here: only sealed memory files cannot. See MAPSEG_GUARDED. */
    MAPSEG_UNTRUSTED_PEER = 1 << 7,
    /** attach, and create with MAPSEG_RECLAIM: accept a segment that another
     *  user than root owns. */
    MAPSEG_ALLOW_OTHER_OWNER = 1 << 8,
    /** attach, and create with MAPSEG_RECLAIM: accept a segment that its group
     *  or every user may write. See MAPSEG_ALLOW_GROUP for one group alone. */
    MAPSEG_ALLOW_SHARED_WRITE = 1 << 9,
    /** attach, and create with MAPSEG_RECLAIM: accept a file that has other
     *  names too (hard links). */
    MAPSEG_ALLOW_HARD_LINKS = 1 << 10,
    /** attach, create, remove, reclaim, with "file:" keys: accept a directory, on
     *  the way to the file, in which others can replace names: one that another
     *  user than root owns, or that others may write and that is not sticky. */
    MAPSEG_ALLOW_SHARED_DIRECTORY = 1 << 11,
    /** attach, create: install the guard (see mapseg_guard_begin), if the file can be
     *  made shorter. Each call of this handle that reads or waits, and mapseg_write, is
     *  then a section of its own. With MAPSEG_UNTRUSTED_PEER such a file is accepted,
     *  because this program touches its memory only in that way and between
     *  mapseg_guard_begin and mapseg_guard_end. */
    MAPSEG_GUARDED = 1 << 12,
    /** attach: this attachment only looks. When it leaves, also as the last one
     *  out, the segment's name stays: crash debris remains what it was. */
    MAPSEG_KEEP_NAME = 1 << 13,
    /** reclaim, and create with MAPSEG_RECLAIM: take crash debris alone, and no
     *  persistent segment (MEANT_TO_STAY). */
    MAPSEG_STALE_ONLY = 1 << 14,
    /** attach, remove, reclaim: demand that the segment's id is options.id. */
    MAPSEG_REQUIRE_ID = 1 << 15,
    /** attach with "memfd:N": on success the descriptor N is the handle's, as after
     *  mapseg_attach_fd, so that a child program keeps no copy of what it was given. */
    MAPSEG_TAKE_DESCRIPTOR = 1 << 16,
    /** create: each change wakes, by a system call, since those who wait for one may be unable
     *  to write that they do. Without this flag and the next it is so for memory files, and
     *  where the mode lets a user read and not write. */
    MAPSEG_SILENT_WAITERS = 1 << 17,
    /** create: a change that no process waits for takes no system call. Those who wait for one
     *  and cannot write the header look each millisecond. INVALID_ARGUMENT: both flags. */
    MAPSEG_NO_SILENT_WAITERS = 1 << 18,
    /** attach, create, remove, reclaim: trust the members of options.group. A segment of that
     *  group that others cannot write is accepted, whichever user owns it, and so is such a
     *  directory on the way of a "file:" key. */
    MAPSEG_ALLOW_GROUP = 1 << 19,
    /** create, attach: core dumps of this process, and of its children, may have the data.
     *  Without it they have none of it, so that an owner that crashes is soon replaced.
     *  Of a segment with a name the kernel leaves the data out even so, unless bit 3 of
     *  /proc/PID/coredump_filter is set. */
    MAPSEG_DUMP = 1 << 20,
    /** create, attach: bring all of the segment's memory in, and keep it from being swapped
     *  out while this handle is attached. OUT_OF_RESOURCES: it is more than the limit on
     *  locked memory (RLIMIT_MEMLOCK) allows, or than there is. MAPSEG_LAZY has no effect
     *  beside it. What children made by fork() have is not kept by them. */
    MAPSEG_LOCKED = 1 << 21,
    /** attach with "memfd:N", and to a descriptor: the file has no header, all of it is data;
     *  see mapseg-foreign(7). */
    MAPSEG_RAW = 1 << 22,
    /** create with "posix:" and "raw:": the last one out removes the name, as far as programs
     *  that use mapseg go. Without it the name stays until mapseg_remove. Of no effect with
     *  other keys. */
    MAPSEG_REMOVE_WITH_LAST = 1 << 23,
    /** create: if a segment has the name, give the name to the new one, in one step: at each
     *  moment it leads to a complete segment. Also if processes are attached to the old one:
     *  they keep it until they leave, and learn it by MAPSEG_WATCH_NAME or name_state.
     *  No effect for calls that create or attach. */
    MAPSEG_REPLACE = 1 << 24,
    /** attach, create: calls that wait look from time to time whether the name still leads to
     *  this segment. mapseg_wait, and the calls that lock and have to wait for it, return
     *  NOT_FOUND if not; mapseg_notify_fd becomes readable. */
    MAPSEG_WATCH_NAME = 1 << 25,
    /** attach, create: mapseg_wait returns NO_WRITER when no other attachment can write the
     *  data, and mapseg_notify_fd becomes readable. attach with wait_ns also waits for one
     *  that can. */
    MAPSEG_WATCH_WRITERS = 1 << 26,
    MAPSEG_FLAG_RESERVED = 0x7fffffff
} mapseg_flag;

/**
 * Fills the data of a new segment: `size` bytes at `data`, all zero, and writable whatever
 * the access. No other process can find the segment yet. `argument` is
 * options.initialize_argument; `data` is good until the initialiser returns. It may use other
 * handles and take its time; the handle that is being created it must leave alone. It must
 * return, and is not cancelled. A child that it forks does not have the data, and must end, or
 * run another program, and not return.
 *
 * MAPSEG_OK: the segment appears, unless another process's had the name first: then what was
 * filled is thrown away. Any other result: create fails with it, and leaves nothing. On a file
 * system that has no files without names it may be called anew, for another new file.
 */
typedef mapseg_result (*mapseg_initializer)(void *data, size_t size, void *argument);

/** What create and attach may be told. Begin with MAPSEG_OPTIONS_INIT. */
typedef struct mapseg_options {
    /** sizeof(mapseg_options) where the caller was compiled. */
    size_t size;
    /** MAPSEG_PERSISTENT and its like, or-ed. */
    uint32_t flags;
    /** create: the file's permission bits, whatever the umask: 0600 and, for
     *  others, more out of 0666; 0 is 0600, and with a group 0660. */
    uint32_t mode;
    /** create: written to the header, for the caller's own use (the type or
     *  version of its data); see MAPSEG_REQUIRE_TAG. */
    uint64_t user_tag;
    /** How long to wait, in nanoseconds, for another process that is just
     *  removing the segment; the default is a second. */
    int64_t timeout_ns;
    /** The id that a segment must have, as mapseg_info gives it; see
     *  MAPSEG_REQUIRE_ID. */
    uint8_t id[16];
    /** attach: INVALID_SIZE where the segment has fewer bytes of data. 0: attach takes any
     *  size, and create_or_attach demands the size that it would create. */
    size_t minimum_size;
    /** create: called with the new segment's data before it has its name, so
     *  that no process ever sees data that is not initialised. NULL: the data is zero. */
    mapseg_initializer initialize;
    /** What `initialize` is given. */
    void *initialize_argument;
    /** create: what the segment is called, for people: UTF-8, of at most 47 bytes. NULL: the
     *  plain key, or as much of it as fits; "": nothing. It decides nothing, and need not be
     *  unique. */
    const char *label;
    /** create: the number of the group that the segment is given to before it has its name;
     *  a `mode` of 0 is 0660 then. With MAPSEG_ALLOW_GROUP: the group that is trusted. 0: none. */
    uint64_t group;
    /** attach: how long to wait, in nanoseconds, for a segment that is not there yet, or, with
     *  MAPSEG_WATCH_WRITERS, that no process writes yet. 0, the default, is not at all;
     *  negative is for ever. After that NOT_FOUND, or NO_WRITER. */
    int64_t wait_ns;
} mapseg_options;

/* clang-format off */
#define MAPSEG_OPTIONS_INIT \
    { sizeof(mapseg_options), 0, 0, 0, MAPSEG_TIMEOUT_DEFAULT, { 0 }, 0, NULL, NULL, NULL, 0, 0 }
/* clang-format on */

/** mapseg_create_or_attach with options (NULL: the defaults), for both. `initialize` is
 *  called where the segment is created; the loser of a race attaches, and finds data that
 *  was initialised. With MAPSEG_REQUIRE_ID it only attaches: a new segment has another id.
 *  ALREADY_EXISTS: other processes created and removed the segment again and again, all of
 *  options.timeout_ns. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_create_or_attach_with(mapseg *seg, size_t size, mapseg_access access,
                                 const mapseg_options *options, bool *created);

/** mapseg_create with options (NULL: the defaults). INVALID_ARGUMENT: their size, mode,
 *  label or group is bad. PERMISSION_DENIED: this user is not in the group. NOT_SUPPORTED: they
 *  ask for what this library does not know. Any result of options.initialize. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_create_with(mapseg *seg, size_t size, mapseg_access access,
                       const mapseg_options *options);

/** mapseg_attach with options (NULL: the defaults), of which wait_ns lets it wait for the
 *  segment. WRONG_TAG: the tag is not the one that MAPSEG_REQUIRE_TAG demands. NOT_FOUND: the id is
 * not the one that MAPSEG_REQUIRE_ID demands. INVALID_SIZE: the segment has fewer bytes than
 * options.minimum_size. The segment is left alone. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_attach_with(mapseg *seg, mapseg_access access, const mapseg_options *options);

/* -------------------------------------------------------------- remove -- */

/** Takes the segment's name away, also if processes are attached: they keep the
 *  memory until they leave (see MAPSEG_WATCH_NAME), and a new segment can have the
 *  name at once. Whose file it is does not matter here, only whether the system
 *  lets this user remove it; a damaged segment can be removed too. NOT_FOUND, PERMISSION_DENIED,
 *  NOT_A_SEGMENT and UNTRUSTED (a symbolic link): left alone; NOT_SUPPORTED
 *  (memfd: there is no name), KEY_ERROR, OUT_OF_RESOURCES, TIMED_OUT. The handle stays
 *  attached. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result mapseg_remove(mapseg *seg);

/** mapseg_remove with options (NULL: the defaults), of which MAPSEG_REQUIRE_ID,
 *  MAPSEG_ALLOW_SHARED_DIRECTORY, MAPSEG_ALLOW_GROUP and timeout_ns matter here.
 *  INVALID_ARGUMENT: the options are bad. NOT_FOUND also
 *  where another segment than the one demanded has the name: it was left alone. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_remove_with(mapseg *seg, const mapseg_options *options);

/** Removes the segment as mapseg_remove does, but only if the kernel proves that no process
 *  is attached, else IN_USE. Clears crash debris; also removes persistent segments that no
 *  process uses. TOO_NEW: newer users might show themselves in ways that this library cannot
 *  see. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result mapseg_reclaim(mapseg *seg);

/** mapseg_reclaim with options (NULL: the defaults), as mapseg_remove_with; also
 *  MAPSEG_STALE_ONLY: MEANT_TO_STAY where the segment is persistent. What the segment is gets
 *  decided while the kernel proves that no process is attached, so what takes the
 *  name in between is judged by itself. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_reclaim_with(mapseg *seg, const mapseg_options *options);

/* --------------------------------------------------------- native keys -- */

/**
 * Says exactly which file: "type:name" in the text form of QNativeIpcKey,
 * where `#`, `%`, `?` and control characters of the name are percent-encoded.
 *
 * - "shm:NAME"      the file NAME in /dev/shm
 * - "runtime:NAME"  the file NAME in $XDG_RUNTIME_DIR/mapseg
 * - "file:/A/B"     the file with that absolute path
 * - "memfd:"        create: a new memory file without a name
 * - "memfd:5"       attach: the segment behind this process's descriptor 5,
 *                   which stays the caller's (see MAPSEG_TAKE_DESCRIPTOR);
 *                   "memfd:5?id=HEX" also demands that it is the segment with
 *                   that id
 * - "posix:/NAME"   what other programs open with shm_open
 * - "systemv:/A/B"  the System V segment whose key ftok(3) makes of that file
 * - "raw:/A/B"      a file without a header
 *
 * The last three are of other programs' kind: see mapseg-foreign(7). NULL or "" takes the key
 * away. The same key again: nothing happens; another one: as mapseg_set_key. mapseg_key() is NULL
 * afterwards. KEY_ERROR: not well formed; the key and the attachment are as they were. A type that
 * exists only elsewhere ("windows") is taken; creating and attaching then return NOT_SUPPORTED.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_set_native_key(mapseg *seg, const char *native_key);

/** The plain key, NULL if there is none (also after mapseg_set_native_key).
 *  Good until the key is changed or the handle freed. */
MAPSEG_API MAPSEG_NONNULL(1) const char *mapseg_key(const mapseg *seg);

/** The native key in its text form, also of a handle with a plain key; NULL:
 *  none. Good until the key is changed or the handle freed. */
MAPSEG_API MAPSEG_NONNULL(1) const char *mapseg_native_key(const mapseg *seg);

/** What a native key leads to. Values up to 0x1ff as in QNativeIpcKey::Type. */
typedef enum mapseg_key_type {
    MAPSEG_KEY_INVALID = 0,
    /** System V; 1 to 0xff are its other project ids. */
    MAPSEG_KEY_SYSTEMV = 0x51,
    MAPSEG_KEY_POSIX = 0x100,
    MAPSEG_KEY_WINDOWS = 0x101,
    MAPSEG_KEY_SHM = 0x200, /**< what a plain key becomes */
    MAPSEG_KEY_RUNTIME = 0x201,
    MAPSEG_KEY_FILE = 0x202,
    MAPSEG_KEY_MEMFD = 0x203,
    MAPSEG_KEY_RAW = 0x204,
    MAPSEG_KEY_TYPE_RESERVED = 0x7fffffff
} mapseg_key_type;

/* ----------------------------------------------------------- descriptors -- */

/**
 * Makes a new descriptor of the attached segment, close-on-exec, on an open file
 * description of its own, for one receiver. The caller owns `*fd`, and closes it when the
 * receiver has its copy, so that the receiver's presence ends with the receiver.
 *
 * With MAPSEG_READ_ONLY no process can write through it; whether the receiver could
 * open the file anew is what `writers` of mapseg_info says. Where the
 * system cannot open the file anew (no /proc), a descriptor that may write
 * shares the handle's description, which `limitations` tells; one that must not
 * write is then refused, unless seals see to it.
 *
 * After a failure `*fd` is -1. NOT_ATTACHED; PERMISSION_DENIED (to write, of a handle that
 * cannot, or of a segment with a single writer); OUT_OF_RESOURCES; NOT_SUPPORTED (no /proc);
 * DESCRIPTOR_CLOSED.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1, 3) mapseg_result
    mapseg_export_fd(mapseg *seg, mapseg_access access, int *fd);

/**
 * Attaches to the segment behind a descriptor: of a memory file, or any other.
 * On success the handle owns the descriptor, which becomes close-on-exec, and
 * its native key is "memfd:FD?id=ID"; on failure it stays the caller's and
 * nothing has changed. Results as mapseg_attach; NOT_FOUND: no such descriptor.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_attach_fd(mapseg *seg, int fd, mapseg_access access);

/** mapseg_attach_fd with options (NULL: the defaults), as mapseg_attach_with. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_attach_fd_with(mapseg *seg, int fd, mapseg_access access, const mapseg_options *options);

/**
 * Sends the attached segment over a connected Unix socket, of any type: a
 * descriptor made for the receiver, who can write if `access` says so, and a
 * message that mapseg_receive understands. Never SIGPIPE.
 *
 * The results of mapseg_export_fd; INVALID_ARGUMENT (not a Unix socket, or not
 * connected); WOULD_BLOCK (the socket does not block and is full: nothing was
 * sent); TIMED_OUT (it stayed full for a second in the middle of the message:
 * close the socket); NOT_FOUND (the other end is closed).
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_send(mapseg *seg, int socket_fd, mapseg_access access);

/**
 * Receives one segment from a Unix socket and attaches to it, as
 * mapseg_attach_fd does. It waits for the beginning as the socket does (for
 * ever, not at all, or for SO_RCVTIMEO), when the thread can be cancelled and
 * nothing is lost by it, and then a second at most for the rest.
 *
 * The results of mapseg_attach_fd; WOULD_BLOCK (nothing there yet), TIMED_OUT
 * (the rest did not come), NOT_FOUND (the other end is closed),
 * NOT_A_SEGMENT (something else was sent), CORRUPT (a message cut short, or
 * one that does not fit its segment), TOO_NEW, PERMISSION_DENIED (`access`
 * asks for more than was granted), OUT_OF_RESOURCES (no descriptor left here).
 * No descriptor is left open by a failure. After all but WOULD_BLOCK and the
 * results of attaching, close the socket: where the next message begins is not
 * known.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_receive(mapseg *seg, int socket_fd, mapseg_access access);

/** mapseg_receive with options (NULL: the defaults), for attaching; their timeout_ns
 *  is how long to wait for the rest of the message, by default a second. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_receive_with(mapseg *seg, int socket_fd, mapseg_access access,
                        const mapseg_options *options);

/* --------------------------------------------------------------- guard -- */

/**
 * Begins a section in which this thread may touch the segment's memory
 * although the file could be made shorter by another process: what would be
 * SIGBUS finds zeros instead, and mapseg_guard_end says so. Sections nest, and
 * are the thread's own; another thread needs its own. Keep the handle attached
 * until the section has ended. System calls that are given memory of a
 * shortened file return EFAULT as ever.
 *
 * The first section of the process on a file that can be made shorter, or
 * MAPSEG_GUARDED, installs a handler of SIGBUS, for good; a thread's first one unblocks
 * SIGBUS in it. From the first section on a handle on, its calls that read, wait or
 * write a range are sections too. Faults
 * elsewhere go where they went before: to the handler that the program had, or
 * to the default. A program that installs a handler later must call the one
 * that it replaces. On a file that cannot be made shorter (a sealed memory
 * file) nothing is installed, and the section costs next to nothing.
 *
 * FILE_SHRUNK: that has been noticed already; NOT_ATTACHED, OUT_OF_RESOURCES. After
 * a failure no section has begun.
 */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result mapseg_guard_begin(mapseg *seg);

/** Ends the thread's innermost section on this handle. FILE_SHRUNK: the file
 *  has become shorter; what was read may be zeros, what was written is lost.
 *  INVALID_ARGUMENT: there is no section to end. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result mapseg_guard_end(mapseg *seg);

/* --------------------------------------------------------- information -- */

/** What the lock word says. */
typedef enum mapseg_lock_state {
    MAPSEG_LOCK_STATE_FREE = 0,
    MAPSEG_LOCK_STATE_HELD = 1,
    /** Its owner is dead; the next owner is told. */
    MAPSEG_LOCK_STATE_OWNER_DIED = 2,
    /** Free, but an owner died and no owner since has repaired the data. */
    MAPSEG_LOCK_STATE_INCONSISTENT = 3,
    /** Not known: the header could not be read. */
    MAPSEG_LOCK_STATE_UNKNOWN = 4,
    MAPSEG_LOCK_STATE_RESERVED = 0x7fffffff
} mapseg_lock_state;

/** Whether the segment is in use. */
typedef enum mapseg_use {
    MAPSEG_USE_LIVE = 0,       /**< a process is attached */
    MAPSEG_USE_STALE = 1,      /**< none is, though one should be: crash debris */
    MAPSEG_USE_PERSISTENT = 2, /**< none is, and it is meant to stay */
    MAPSEG_USE_DAMAGED = 3,    /**< the header cannot be relied on, see verdict */
    /** Which processes are attached cannot be seen: a process holds all of presence, since it
     *  is just removing the segment, or to keep others out. */
    MAPSEG_USE_BLOCKED = 4,
    /** None is: the last one out was a user who might not remove the name. Its owner can
     *  (mapseg_reclaim). */
    MAPSEG_USE_LEFT = 5,
    /** No attachment of mapseg's; whether programs use it that do not have mapseg cannot be
     *  seen. Of segments without a header. */
    MAPSEG_USE_FOREIGN = 6,
    MAPSEG_USE_RESERVED = 0x7fffffff
} mapseg_use;

/** How an attachment shows the others that it is there. */
typedef enum mapseg_presence_kind {
    /** Not attached; or, of an attached handle, not any more: the program has closed
     *  the descriptor that its presence lay on. See limitations. */
    MAPSEG_PRESENCE_NONE = 0,
    MAPSEG_PRESENCE_SLOT = 1,   /**< with a slot of its own, as all that can lock */
    MAPSEG_PRESENCE_READER = 2, /**< among those that cannot lock */
    /** On the very description that was handed over, since the file cannot be
     *  opened anew. It lasts as long as a process has that description, and the
     *  memory is kept out of children if this attachment can lock. */
    MAPSEG_PRESENCE_RECEIVED = 3,
    /** Not at all: the system refuses it. Only reading a memfd works so. */
    MAPSEG_PRESENCE_REFUSED = 4,
    /** By a descriptor that stays open, since a mapping does not keep it on this
     *  file system (overlayfs). A program that closes descriptors which are not
     *  its own ends it. */
    MAPSEG_PRESENCE_DESCRIPTOR = 5,
    MAPSEG_PRESENCE_RESERVED = 0x7fffffff
} mapseg_presence_kind;

/** Which users could still come to write the segment, apart from root. */
typedef enum mapseg_writers {
    /** None: seals keep all but its creator's mapping from writing. */
    MAPSEG_WRITERS_CREATOR = 0,
    /** Processes of the user that owns it, also where they got a descriptor to
     *  read only: they can open the file anew. Others only with a descriptor to
     *  write that they were handed. */
    MAPSEG_WRITERS_OWNER = 1,
    /** Others too: the mode lets its group or every user write. */
    MAPSEG_WRITERS_OTHERS = 2,
    MAPSEG_WRITERS_RESERVED = 0x7fffffff
} mapseg_writers;

/** Whether the name still leads to the segment that a handle is attached to. */
typedef enum mapseg_name_state {
    MAPSEG_NAME_NONE = 0,     /**< it has no name, or the handle is not attached */
    MAPSEG_NAME_SAME = 1,     /**< it does */
    MAPSEG_NAME_GONE = 2,     /**< the name was removed */
    MAPSEG_NAME_REPLACED = 3, /**< another file has the name by now */
    MAPSEG_NAME_UNKNOWN = 4,  /**< the system does not let us look */
    MAPSEG_NAME_STATE_RESERVED = 0x7fffffff
} mapseg_name_state;

/** What can be seen of a segment without attaching to it. Made and freed by
 *  the library; members are only ever added at the end. Nothing of it is
 *  promised to be still true when the call returns. */
typedef struct mapseg_info {
    const char *native_key;  /**< text form */
    const char *path;        /**< "" for a memfd */
    const char *file_system; /**< "tmpfs", "memfd", "ext4", ... */
    mapseg_key_type type;
    mapseg_use use;
    /** OK: an attach with default options would be accepted; else the result
     *  it would give, and `verdict_text` why. */
    mapseg_result verdict;
    const char *verdict_text;
    /* The header; zero where it is not a readable one. */
    uint64_t data_size;
    uint64_t data_offset;
    uint64_t header_flags; /**< MAPSEG_HEADER_..., see mapseg-format.h */
    uint64_t created_ns;   /**< since 1970-01-01 UTC */
    uint64_t user_tag;
    uint64_t recoveries;
    uint64_t version;
    uint32_t format;
    uint8_t id[16];
    /* The lock. */
    mapseg_lock_state lock;
    bool lock_inconsistent; /**< an owner died, data not yet declared good */
    bool lock_sleepers;
    uint32_t lock_slot; /**< the owner's presence slot; 0: none */
    uint32_t lock_pid;  /**< as the owner wrote it: a hint, no proof */
    uint32_t lock_tid;
    /* Presence, as the kernel's table of locks has it. */
    uint32_t attached; /**< attachments, of all processes */
    uint32_t readers;  /**< of these, the ones that cannot lock */
    /* The file. */
    uint64_t file_size;
    uint64_t file_bytes; /**< memory or disk that it takes */
    uint32_t mode;       /**< permission bits */
    uint32_t uid;
    uint32_t gid;
    uint32_t links;
    int32_t seals; /**< F_GET_SEALS; -1: the file cannot have any */
    /** How the handle that was asked is present itself; NONE in a list. */
    mapseg_presence_kind presence;
    /** Bytes that this handle has mapped in huge pages so far; 0 if it is not
     *  attached. Segments of 2 MiB and more get them where the mount (or, for a
     *  memfd, the kernel's shmem_enabled) allows. */
    uint64_t huge_bytes;
    /** Whether a process could make the file shorter, which is SIGBUS for those that
     *  touch what is then missing; false: seals forbid it. */
    bool can_shrink;
    mapseg_writers writers;
    /** Which users can do what to the users of this segment, in a sentence or two. */
    const char *safety_text;
    /** What this handle has to do without, because of where it runs, and what
     *  that means; "": nothing, or it is not attached. */
    const char *limitations;
    /** Of an attached handle, which is described itself, whatever the name leads
     *  to by now. */
    mapseg_name_state name_state;
    /** Counting ended early, since there are very many: `attached` is a lower
     *  bound. */
    bool attached_is_minimum;
    /** What the creator calls the segment, see mapseg_options; "": nothing. It may be printed
     *  as it is: control characters and the like, and bytes that are no UTF-8, are written as
     *  digits (\x1B). Believe it no more than a file's name: a process that can write the
     *  segment can change it. */
    const char *label;
    /* What has been seen of waiting for the lock. Hints, as lock_pid is: processes that are
     * killed, or that do not have this library, leave gaps. */
    uint64_t contended;       /**< how often an owner had had to wait */
    uint64_t slept;           /**< of these, how often it had slept */
    uint64_t longest_wait_ns; /**< the longest wait of one that slept */
    /** Of the attachments, those that can write the data. Others can lock, or only read. */
    uint32_t attached_writers;
} mapseg_info;

/** Describes the segment that the handle is attached to, or, if it is not, the one
 *  that its key leads to. The caller frees `*info` with mapseg_info_free; after a failure it
 *  is NULL. Takes no lock and no presence. NOT_FOUND, KEY_ERROR,
 *  PERMISSION_DENIED, UNTRUSTED, OUT_OF_RESOURCES, NOT_SUPPORTED, DESCRIPTOR_CLOSED,
 *  UNKNOWN_ERROR; a file that is no segment is described, see `verdict`. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1, 2) mapseg_result
    mapseg_info_new(mapseg *seg, mapseg_info **info);

/** Frees a description; NULL is fine. */
MAPSEG_API void mapseg_info_free(mapseg_info *info);

/** All segments of the places that have lists: /dev/shm and, if it is usable,
 *  $XDG_RUNTIME_DIR/mapseg. Other files there, and other users' that may not
 *  be read, are passed over. */
typedef struct mapseg_list mapseg_list;

/** Makes a list of what is there now. The caller frees `*list` with mapseg_list_free; after
 *  a failure it is NULL. OUT_OF_RESOURCES, or UNKNOWN_ERROR where a directory could not be
 *  read. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result mapseg_list_new(mapseg_list **list);

/** Makes a list of what other programs have in /dev/shm: POSIX segments, with the state of the
 *  semaphore that is the lock of each, and semaphores without a segment, which have no data; and
 *  of all System V segments. The key of an entry is that by which mapseg_attach, mapseg_repair and
 *  mapseg_remove find it; of a System V segment whose key file is in neither the runtime nor the
 *  temporary directory, or is named by Qt for a legacy key, it is the number that ipcs(1) prints.
 *  Otherwise as mapseg_list_new. */
MAPSEG_API MAPSEG_MUST_CHECK MAPSEG_NONNULL(1) mapseg_result
    mapseg_list_new_foreign(mapseg_list **list);

/** How many entries the list has. */
MAPSEG_API MAPSEG_NONNULL(1) size_t mapseg_list_count(const mapseg_list *list);

/** Entry `index`, sorted by native key; belongs to the list. NULL: no such
 *  entry. */
MAPSEG_API MAPSEG_NONNULL(1) const mapseg_info *mapseg_list_get(const mapseg_list *list,
                                                                size_t index);

/** Frees a list and its entries; NULL is fine. */
MAPSEG_API void mapseg_list_free(mapseg_list *list);

/** The XXH3-64 digest of memory (seed 0). No authentication: a process that can
 *  write the data can also make the digest fit. `data` may be NULL where `bytes` is 0. */
MAPSEG_API uint64_t mapseg_digest(const void *data, size_t bytes);

/** The version of the library that runs, "0.1.0"; static. */
MAPSEG_API const char *mapseg_version(void);

#ifdef __cplusplus
}
#endif

#endif
