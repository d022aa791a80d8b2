/*
 * mapseg.h - shared memory through memory-mapped files.
 *
 * A segment is a file, on tmpfs or in a memfd, that several processes map.
 * A handle (struct mapseg) names one segment by a key and holds at most one
 * attachment to it. The calls and their meanings follow QSharedMemory; where
 * mapseg differs it says so at the call.
 *
 * Results. Every call that can fail returns a mapseg_result; 0 is success.
 * The result is also left in the handle for mapseg_error(), and the reason,
 * as a sentence, for mapseg_error_string(). A failed call changes nothing.
 * Pointers must not be NULL except where it says that they may.
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
 * The library never prints, aborts, or touches a signal. It reads one
 * environment variable, XDG_RUNTIME_DIR, and only for "runtime:" keys.
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

#if defined(__GNUC__)
#define MAPSEG_API __attribute__((visibility("default")))
#else
#define MAPSEG_API
#endif

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
     *  this. Run as the segment's owner, or have it created with --mode. */
    MAPSEG_PERMISSION_DENIED = 1,
    /** create: the size is 0, or more than half the address space. */
    MAPSEG_INVALID_SIZE = 2,
    /** The handle has no key, or the key is not well formed. */
    MAPSEG_KEY_ERROR = 3,
    /** create: the name is taken, or this handle is attached already. Attach
     *  instead, or create with MAPSEG_RECLAIM to clear crash debris. */
    MAPSEG_ALREADY_EXISTS = 4,
    /** No segment has that key. Create it, or wait for who does. */
    MAPSEG_NOT_FOUND = 5,
    /** The lock cannot be used: the handle was never attached. */
    MAPSEG_LOCK_ERROR = 6,
    /** No memory, space, quota, descriptors or address space left, or the
     *  size is above a limit of this machine. Nothing was left behind. */
    MAPSEG_OUT_OF_RESOURCES = 7,
    /** The system failed in a way that no other result names; the error
     *  string carries its words. */
    MAPSEG_UNKNOWN_ERROR = 8,

    /** The time given passed first. The lock is not held. */
    MAPSEG_TIMED_OUT = 16,
    /** try_lock: somebody else holds the lock. */
    MAPSEG_WOULD_BLOCK = 17,
    /** The lock IS HELD, but an owner died while it held it: the data may be
     *  half written. Repair it, call mapseg_consistent, unlock. */
    MAPSEG_OWNER_DIED = 18,
    /** The lock IS HELD, and was already, by this thread through this
     *  handle. One unlock frees it. */
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
    /** Somebody else could interfere with the file: another user owns it, a
     *  group or everybody may write it, or its name is a symbolic link. */
    MAPSEG_UNTRUSTED = 26,
    /** The file became shorter while it was mapped. */
    MAPSEG_FILE_SHRUNK = 27,
    /** An argument makes no sense; the error string says which. */
    MAPSEG_INVALID_ARGUMENT = 28,
    /** This build, kernel or file system cannot do that. */
    MAPSEG_NOT_SUPPORTED = 29,
    /** reclaim: somebody is attached. */
    MAPSEG_IN_USE = 30,

    MAPSEG_RESULT_RESERVED = 0x7fffffff
} mapseg_result;

/** The name of a result, "MAPSEG_NOT_FOUND"; static. For a number that is no
 *  result "MAPSEG_?". */
MAPSEG_API const char *mapseg_result_name(mapseg_result result);

/** Whether the lock is held after a lock call returned this, so that an
 *  unlock is owed: true for OK, OWNER_DIED and ALREADY_LOCKED. */
MAPSEG_API bool mapseg_holds_lock(mapseg_result result);

/** The version of the library that runs, "0.1.0"; static. */
MAPSEG_API const char *mapseg_version(void);

/* ------------------------------------------------------------- handles -- */

/** One handle; opaque. */
typedef struct mapseg mapseg;

/** How the data is mapped. Values as in QSharedMemory::AccessMode. */
typedef enum mapseg_access {
    MAPSEG_READ_ONLY = 0,  /**< mapseg_data is NULL, a stray write SIGSEGV */
    MAPSEG_READ_WRITE = 1, /**< the default of a QSharedMemory */
    MAPSEG_ACCESS_RESERVED = 0x7fffffff
} mapseg_access;

/** A new handle without a key. The caller frees it with mapseg_free. NULL: no
 *  memory. */
MAPSEG_API mapseg *mapseg_new(void);

/** The same with mapseg_set_key(key). NULL: no memory. */
MAPSEG_API mapseg *mapseg_new_with_key(const char *key);

/** Detaches (which releases the lock if this handle holds it) and frees the
 *  handle. NULL is fine. */
MAPSEG_API void mapseg_free(mapseg *seg);

/* ---------------------------------------------------------------- keys -- */

/**
 * Gives the handle a plain key: any string, of any length and language. The
 * segment is then the file "shm:" + mapseg's derived name, which depends on
 * the key and the effective user alone, so two users' keys never collide and
 * a user's programs always meet. NULL or "" takes the key away.
 *
 * If the handle has this very plain key nothing happens; else it is detached
 * first, and not attached again. OUT_OF_RESOURCES: no memory, nothing has
 * changed.
 */
MAPSEG_API mapseg_result mapseg_set_key(mapseg *seg, const char *key);

/** The plain key, NULL if there is none (also after mapseg_set_native_key).
 *  Good until the key is changed or the handle freed. */
MAPSEG_API const char *mapseg_key(const mapseg *seg);

/**
 * Says exactly which file: "type:name" in the text form of QNativeIpcKey,
 * where `#`, `%`, `?` and control characters of the name are percent-encoded.
 *
 * - "shm:NAME"      the file NAME in /dev/shm
 * - "runtime:NAME"  the file NAME in $XDG_RUNTIME_DIR/mapseg
 * - "file:/A/B"     the file with that absolute path
 * - "memfd:"        create: a new memory file without a name
 * - "memfd:5"       attach: the segment behind this process's descriptor 5,
 *                   which stays the caller's; "memfd:5?id=HEX" also demands
 *                   that it is the segment with that id
 *
 * NULL or "" takes the key away. The same key again: nothing happens;
 * another one: as mapseg_set_key. mapseg_key() is NULL afterwards.
 * KEY_ERROR: not well formed; the key and the attachment are as they were.
 * Types that exist only elsewhere ("systemv", "windows", "posix", "raw") are
 * taken; creating and attaching then return NOT_SUPPORTED.
 */
MAPSEG_API mapseg_result mapseg_set_native_key(mapseg *seg, const char *native_key);

/** The native key in its text form, also of a handle with a plain key; NULL:
 *  none. Good until the key is changed or the handle freed. */
MAPSEG_API const char *mapseg_native_key(const mapseg *seg);

/** What a native key leads to. Values up to 0x1ff as in QNativeIpcKey::Type. */
typedef enum mapseg_key_type {
    MAPSEG_KEY_INVALID = 0,
    /** System V; 1 to 0xff are its other project ids. */
    MAPSEG_KEY_SYSTEMV = 0x51,
    MAPSEG_KEY_POSIX = 0x100,
    MAPSEG_KEY_WINDOWS = 0x101,
    MAPSEG_KEY_SHM = 0x200,
    MAPSEG_KEY_RUNTIME = 0x201,
    MAPSEG_KEY_FILE = 0x202,
    MAPSEG_KEY_MEMFD = 0x203,
    MAPSEG_KEY_RAW = 0x204,
    MAPSEG_KEY_TYPE_RESERVED = 0x7fffffff
} mapseg_key_type;

/** A native key as a value: a type, a name and, as in Qt, a legacy key. */
typedef struct mapseg_ipc_key mapseg_ipc_key;

/** A key of this type and name; NULL as a name is "". The caller frees it.
 *  NULL: no memory. */
MAPSEG_API mapseg_ipc_key *mapseg_ipc_key_new(mapseg_key_type type, const char *name);

/** Parses the text form. A text that is no key gives a key whose type is
 *  MAPSEG_KEY_INVALID, as in Qt. The caller frees it. NULL: no memory. */
MAPSEG_API mapseg_ipc_key *mapseg_ipc_key_from_text(const char *text);

/** The key that a plain key leads to with this type, portably and
 *  predictably: for "shm" and "runtime" the derived name, for "posix" "/" and
 *  the key, for the others the key as it is. An empty key gives an empty
 *  name. The caller frees it. NULL: no memory. */
MAPSEG_API mapseg_ipc_key *mapseg_ipc_key_derive(const char *plain_key, mapseg_key_type type);

/** Frees a key; NULL is fine. */
MAPSEG_API void mapseg_ipc_key_free(mapseg_ipc_key *key);

/** The parts. They belong to the key and are good until it is freed. */
MAPSEG_API mapseg_key_type mapseg_ipc_key_type(const mapseg_ipc_key *key);
MAPSEG_API const char *mapseg_ipc_key_name(const mapseg_ipc_key *key);
/** "" where the key carries none. */
MAPSEG_API const char *mapseg_ipc_key_legacy_key(const mapseg_ipc_key *key);
/** The id that a memfd key demands, as 32 hexadecimal digits; "" for none. */
MAPSEG_API const char *mapseg_ipc_key_id(const mapseg_ipc_key *key);

/** The text form; NULL for an invalid key. Belongs to the key. */
MAPSEG_API const char *mapseg_ipc_key_text(const mapseg_ipc_key *key);

/** Valid: the type is known (an empty name is valid, as in Qt). */
MAPSEG_API bool mapseg_ipc_key_is_valid(const mapseg_ipc_key *key);
/** Empty: there is no name. */
MAPSEG_API bool mapseg_ipc_key_is_empty(const mapseg_ipc_key *key);
/** Whether two keys have the same type, name, legacy key and id. */
MAPSEG_API bool mapseg_ipc_key_equal(const mapseg_ipc_key *a, const mapseg_ipc_key *b);

/** Whether this build can create and attach segments of that type here. */
MAPSEG_API bool mapseg_key_type_is_supported(mapseg_key_type type);
/** What a plain key becomes: MAPSEG_KEY_SHM. */
MAPSEG_API mapseg_key_type mapseg_default_key_type(void);

/* ---------------------------------------------- create, attach, detach -- */

/** Flags of mapseg_options. A call ignores those that do not concern it, so
 *  that one set of options serves create and attach. */
typedef enum mapseg_flag {
    /** create: the last one out leaves the segment; mapseg_remove ends it. */
    MAPSEG_PERSISTENT = 1 << 0,
    /** create: do not reserve the memory now. A full file system then shows
     *  as SIGBUS at the first touch instead of OUT_OF_RESOURCES here. */
    MAPSEG_LAZY = 1 << 1,
    /** create: if a segment of that name exists and nobody is attached to it
     *  (crash debris, or a persistent one), remove it first. */
    MAPSEG_RECLAIM = 1 << 2,
    /** create: the lock prefers fairness to throughput. */
    MAPSEG_FAIR = 1 << 3,
    /** create, attach: children made by fork() do not get the segment at
     *  all: there the handle is detached and its memory is not mapped. */
    MAPSEG_NO_FORK = 1 << 4,
    /** attach: demand that the segment's user tag is options.user_tag. */
    MAPSEG_REQUIRE_TAG = 1 << 5,
    /** attach, and create with MAPSEG_RECLAIM: accept a segment that another
     *  user than root owns. */
    MAPSEG_ALLOW_OTHER_OWNER = 1 << 8,
    /** The same: accept a segment that its group or everybody may write. */
    MAPSEG_ALLOW_SHARED_WRITE = 1 << 9,
    MAPSEG_FLAG_RESERVED = 0x7fffffff
} mapseg_flag;

/** What create and attach may be told. Begin with MAPSEG_OPTIONS_INIT. */
typedef struct mapseg_options {
    /** sizeof(mapseg_options) where the caller was compiled. */
    size_t size;
    /** MAPSEG_PERSISTENT and its like, or-ed. */
    uint32_t flags;
    /** create: the file's permission bits, whatever the umask: 0600 and, for
     *  others, more out of 0666; 0 is 0600. */
    uint32_t mode;
    /** create: written to the header, for the caller's own use (the type or
     *  version of its data); see MAPSEG_REQUIRE_TAG. */
    uint64_t user_tag;
    /** How long to wait, in nanoseconds, for another process that is just
     *  removing the segment: 0 is one second, negative is for ever. */
    int64_t timeout_ns;
} mapseg_options;

/* clang-format off */
#define MAPSEG_OPTIONS_INIT { sizeof(mapseg_options), 0, 0, 0, 0 }
/* clang-format on */

/**
 * Creates the segment and attaches to it. `size` is in bytes and exactly what
 * mapseg_size gives everybody; the data is zero and its memory reserved. The
 * name appears only when the segment is complete: nobody ever sees half of
 * it. Other processes may attach at once.
 *
 * KEY_ERROR, INVALID_SIZE (in this order, as in Qt), ALREADY_EXISTS (also
 * when this handle is attached, whose attachment stays usable), NOT_FOUND (the
 * directory of a "file:" key is missing), PERMISSION_DENIED, UNTRUSTED (the
 * runtime directory is not private), OUT_OF_RESOURCES, NOT_SUPPORTED (also: no
 * usable XDG_RUNTIME_DIR). After a failure the handle is as it was before, and
 * nothing is left behind.
 */
MAPSEG_API mapseg_result mapseg_create(mapseg *seg, size_t size, mapseg_access access);

/** The same with options (NULL: the defaults). INVALID_ARGUMENT: their size
 *  or mode is bad. NOT_SUPPORTED: they ask for what this library does not
 *  know. */
MAPSEG_API mapseg_result mapseg_create_with(mapseg *seg, size_t size, mapseg_access access,
                                            const mapseg_options *options);

/**
 * Attaches to the segment of the handle's key; never creates. With
 * MAPSEG_READ_ONLY the data cannot be written through this handle; the lock
 * works all the same where the file may be opened for writing.
 *
 * KEY_ERROR, ALREADY_ATTACHED (mapseg_error() is left as it was, as in Qt),
 * NOT_FOUND, PERMISSION_DENIED, NOT_A_SEGMENT, CORRUPT, TOO_NEW, UNTRUSTED,
 * OUT_OF_RESOURCES, NOT_SUPPORTED; TIMED_OUT: another process has been
 * removing the segment for a second, and is probably stopped.
 */
MAPSEG_API mapseg_result mapseg_attach(mapseg *seg, mapseg_access access);

/** The same with options (NULL: the defaults). INVALID_ARGUMENT also where
 *  MAPSEG_REQUIRE_TAG finds another tag. */
MAPSEG_API mapseg_result mapseg_attach_with(mapseg *seg, mapseg_access access,
                                            const mapseg_options *options);

/** Attaches, or creates where there is nothing to attach to, whoever else
 *  does the same at this moment; `*created` (may be NULL) says which. An
 *  existing segment keeps its size: ask mapseg_size. Results of both. */
MAPSEG_API mapseg_result mapseg_create_or_attach(mapseg *seg, size_t size, mapseg_access access,
                                                 bool *created);

/** Releases the lock if this handle holds it, unmaps, and, if no other
 *  attachment is left and the segment is not persistent, removes it.
 *  NOT_ATTACHED: it was not attached; mapseg_error() is left as it was. */
MAPSEG_API mapseg_result mapseg_detach(mapseg *seg);

MAPSEG_API bool mapseg_is_attached(const mapseg *seg);

/** The data, 4096 bytes aligned, until detach; NULL when detached or attached
 *  read-only. */
MAPSEG_API void *mapseg_data(mapseg *seg);

/** The data to read, until detach; NULL when detached. */
MAPSEG_API const void *mapseg_const_data(const mapseg *seg);

/** Bytes of data, exactly what create was given; 0 when detached. */
MAPSEG_API size_t mapseg_size(const mapseg *seg);

/* ---------------------------------------------------------------- lock -- */

/**
 * Takes the segment's lock, waiting as long as another attachment (or another
 * thread through this handle) holds it. A lock that is held by a living owner
 * is never taken away; one whose owner died passes to the next within 100 ms.
 *
 * After OK, OWNER_DIED and ALREADY_LOCKED the lock is held, see
 * mapseg_holds_lock. OWNER_DIED: see mapseg_consistent. LOCK_ERROR: the
 * handle is not attached. NOT_ATTACHED: in a child that fork handlers did not
 * run in. PERMISSION_DENIED: the segment could only be opened for reading.
 */
MAPSEG_API mapseg_result mapseg_lock(mapseg *seg);

/** The same without waiting: WOULD_BLOCK if a living owner holds the lock. */
MAPSEG_API mapseg_result mapseg_try_lock(mapseg *seg);

/** The same, waiting at most `timeout_ns` nanoseconds (negative: for ever),
 *  then TIMED_OUT. */
MAPSEG_API mapseg_result mapseg_lock_for(mapseg *seg, int64_t timeout_ns);

/** Releases the lock; any thread of the process may, through the handle that
 *  took it. NOT_LOCKED: this handle does not hold it; nothing has changed,
 *  mapseg_error() neither. */
MAPSEG_API mapseg_result mapseg_unlock(mapseg *seg);

/** Declares, under the lock, that the data is in order again after
 *  OWNER_DIED. Whoever unlocks without it leaves the mark, and the next owner
 *  is told in turn. NOT_LOCKED: this handle does not hold the lock. */
MAPSEG_API mapseg_result mapseg_consistent(mapseg *seg);

/* -------------------------------------------------------------- remove -- */

/** Takes the segment's name away, whoever is attached: they keep the memory
 *  until they leave, and a new segment can have the name at once. Whose file it
 *  is does not matter here, only whether the system lets this user remove it; a
 *  damaged segment can be removed too. NOT_FOUND, PERMISSION_DENIED,
 *  NOT_A_SEGMENT and UNTRUSTED (a symbolic link): left alone; NOT_SUPPORTED
 *  (memfd: there is no name), TIMED_OUT. The handle stays attached. */
MAPSEG_API mapseg_result mapseg_remove(mapseg *seg);

/** The same only if the kernel proves that nobody is attached, else IN_USE.
 *  Clears crash debris; also removes persistent segments nobody uses. TOO_NEW:
 *  newer users might show themselves in ways that this library cannot see. */
MAPSEG_API mapseg_result mapseg_reclaim(mapseg *seg);

/* -------------------------------------------------------------- errors -- */

/** How the handle's last call that sets it went; MAPSEG_OK at first. As in
 *  Qt, refusals that change nothing (attach while attached, detach while
 *  detached, unlock without holding) leave it as it was. */
MAPSEG_API mapseg_result mapseg_error(const mapseg *seg);

/** Why this thread's last failed call on the handle failed: what was tried on
 *  which key, what the system said, what to do. "" if mapseg_error() is OK
 *  and this thread has met no refusal. Good until this thread's next call of
 *  mapseg. */
MAPSEG_API const char *mapseg_error_string(const mapseg *seg);

/* ----------------------------------------------------------- descriptors -- */

/**
 * A new descriptor of the attached segment, close-on-exec, on an open file
 * description of its own; -1: see mapseg_error. The caller owns it. Clear its
 * close-on-exec flag in the child that is to inherit it, and tell the child
 * "memfd:N?id=ID". With MAPSEG_READ_ONLY the receiver cannot write through
 * it.
 */
MAPSEG_API int mapseg_export_fd(mapseg *seg, mapseg_access access);

/* --------------------------------------------------------- information -- */

/** What the lock word says. */
typedef enum mapseg_lock_state {
    MAPSEG_LOCK_STATE_FREE = 0,
    MAPSEG_LOCK_STATE_HELD = 1,
    /** Its owner is dead; the next who locks is told. */
    MAPSEG_LOCK_STATE_OWNER_DIED = 2,
    /** Free, but an owner died and nobody has repaired the data. */
    MAPSEG_LOCK_STATE_INCONSISTENT = 3,
    /** Not known: the header could not be read. */
    MAPSEG_LOCK_STATE_UNKNOWN = 4,
    MAPSEG_LOCK_STATE_RESERVED = 0x7fffffff
} mapseg_lock_state;

/** Whether the segment is in use. */
typedef enum mapseg_use {
    MAPSEG_USE_LIVE = 0,       /**< somebody is attached */
    MAPSEG_USE_STALE = 1,      /**< nobody is, though somebody should: crash debris */
    MAPSEG_USE_PERSISTENT = 2, /**< nobody is, and it is meant to stay */
    MAPSEG_USE_DAMAGED = 3,    /**< the header cannot be relied on, see verdict */
    MAPSEG_USE_RESERVED = 0x7fffffff
} mapseg_use;

/** How an attachment shows the others that it is there. */
typedef enum mapseg_presence_kind {
    MAPSEG_PRESENCE_NONE = 0,   /**< not attached */
    MAPSEG_PRESENCE_SLOT = 1,   /**< with a slot of its own, as whoever can lock */
    MAPSEG_PRESENCE_READER = 2, /**< among those who cannot lock */
    /** On the very description that was handed over, since the file cannot be
     *  opened anew. It lasts as long as anybody has that description, and the
     *  memory is kept out of children if this attachment can lock. */
    MAPSEG_PRESENCE_RECEIVED = 3,
    /** Not at all: the system refuses it. Only reading a memfd works so. */
    MAPSEG_PRESENCE_REFUSED = 4,
    MAPSEG_PRESENCE_RESERVED = 0x7fffffff
} mapseg_presence_kind;

/** What can be seen of a segment without attaching to it. Made and freed by
 *  the library; members are only ever added at the end. Nothing of it is
 *  promised to be still true when the call returns. */
typedef struct mapseg_information {
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
    uint64_t sequence;
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
} mapseg_information;

/** Describes the segment of the handle's key, attached or not. The caller
 *  frees `*information` with mapseg_information_free. Takes no lock and no
 *  presence. NOT_FOUND, KEY_ERROR, PERMISSION_DENIED, OUT_OF_RESOURCES,
 *  NOT_SUPPORTED; a file that is no segment is described, see `verdict`. */
MAPSEG_API mapseg_result mapseg_info(mapseg *seg, mapseg_information **information);
MAPSEG_API void mapseg_information_free(mapseg_information *information);

/** All segments of the places that have lists: /dev/shm and, if it is usable,
 *  $XDG_RUNTIME_DIR/mapseg. Other files there, and other users' that may not
 *  be read, are passed over. */
typedef struct mapseg_list mapseg_list;

/** The caller frees `*list` with mapseg_list_free. OUT_OF_RESOURCES, or
 *  UNKNOWN_ERROR where a directory could not be read. */
MAPSEG_API mapseg_result mapseg_list_new(mapseg_list **list);
MAPSEG_API size_t mapseg_list_count(const mapseg_list *list);
/** Entry `index`, sorted by native key; belongs to the list. NULL: no such
 *  entry. */
MAPSEG_API const mapseg_information *mapseg_list_get(const mapseg_list *list, size_t index);
MAPSEG_API void mapseg_list_free(mapseg_list *list);

/** The XXH3-64 digest of memory (seed 0). No authentication: who can write
 *  the data can also make the digest fit. */
MAPSEG_API uint64_t mapseg_digest(const void *data, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
