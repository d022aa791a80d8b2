/*
 * mapseg-key.h - native keys as values.
 *
 * For programs that make, take apart or compare keys. A handle takes and gives keys as
 * text: see mapseg_set_key and mapseg_set_native_key in mapseg.h. The semantics are those of
 * QNativeIpcKey. A key is not changed once it is made, so threads may share it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_KEY_H
#define MAPSEG_KEY_H

#include "mapseg.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A native key as a value: a type, a name and, as in Qt, a legacy key. */
typedef struct mapseg_ipc_key mapseg_ipc_key;

/** A key of this type and name; NULL as a name is "". The caller frees it.
 *  NULL: no memory. */
MAPSEG_API MAPSEG_MUST_CHECK mapseg_ipc_key *mapseg_ipc_key_new(mapseg_key_type type,
                                                                const char *name);

/** Parses the text form; NULL is no key. A text that is no key gives a key whose type is
 *  MAPSEG_KEY_INVALID, as in Qt. The caller frees it. NULL: no memory. */
MAPSEG_API MAPSEG_MUST_CHECK mapseg_ipc_key *mapseg_ipc_key_from_text(const char *text);

/** The key that a plain key leads to with this type: for "shm" and "runtime" the derived
 *  name; for "posix" "/" and the key, as in Qt; for "file", "memfd", "raw" and "windows" the
 *  key as it is.
 *
 *  For System V, and Qt's types without a name, as in Qt: a key that begins with "/" as it is,
 *  another one behind the runtime directory and "/". That is $XDG_RUNTIME_DIR, if it is an
 *  absolute path and a directory (no link) of the effective user with mode 0700, or can be
 *  made; else runtime-USER in the temporary directory on the same terms; else "". The
 *  directory is made if it is missing, as Qt makes it. The temporary directory is $TMPDIR or
 *  "/tmp", by its path without links. A set-id program uses neither variable.
 *
 *  An empty key (or NULL) gives an empty name. The caller frees it. NULL: no memory. */
MAPSEG_API MAPSEG_MUST_CHECK mapseg_ipc_key *mapseg_ipc_key_derive(const char *plain_key,
                                                                   mapseg_key_type type);

/** The key of the segment that QSharedMemory(legacy_key) means in Qt 4.4 to 6.5, as
 *  QSharedMemory::legacyNativeKey gives it: its name is "qipc_sharedmemory_", the letters a-z
 *  and A-Z of the legacy key, and the SHA-1 of its bytes in lower-case hexadecimal digits.
 *  Before that "posix" has "/", and System V the temporary directory (see above) and "/". The
 *  result carries the legacy key. An empty one (or NULL) gives an empty name; a type that is
 *  not Qt's gives MAPSEG_KEY_INVALID. The caller frees it. NULL: no memory. */
MAPSEG_API MAPSEG_MUST_CHECK mapseg_ipc_key *mapseg_ipc_key_legacy(const char *legacy_key,
                                                                   mapseg_key_type type);

/** The same for the semaphore beside it, and for QSystemSemaphore(legacy_key): with
 *  "qipc_systemsem_". */
MAPSEG_API MAPSEG_MUST_CHECK mapseg_ipc_key *mapseg_ipc_key_legacy_semaphore(const char *legacy_key,
                                                                             mapseg_key_type type);

/** Frees a key; NULL is fine. */
MAPSEG_API void mapseg_ipc_key_free(mapseg_ipc_key *key);

/** The type; MAPSEG_KEY_INVALID of what was no key. */
MAPSEG_API MAPSEG_NONNULL(1) mapseg_key_type mapseg_ipc_key_type(const mapseg_ipc_key *key);

/** The name, decoded; "" where there is none. Belongs to the key. */
MAPSEG_API MAPSEG_NONNULL(1) const char *mapseg_ipc_key_name(const mapseg_ipc_key *key);

/** The legacy key; "" where the key carries none. Belongs to the key. */
MAPSEG_API MAPSEG_NONNULL(1) const char *mapseg_ipc_key_legacy_key(const mapseg_ipc_key *key);

/** The id that a memfd key demands, as 32 hexadecimal digits; "" for none. Belongs to the
 *  key. */
MAPSEG_API MAPSEG_NONNULL(1) const char *mapseg_ipc_key_id(const mapseg_ipc_key *key);

/** The text form; NULL for an invalid key, and for Qt's types without a name. Belongs to the
 *  key. */
MAPSEG_API MAPSEG_NONNULL(1) const char *mapseg_ipc_key_text(const mapseg_ipc_key *key);

/** Whether two keys have the same type, name, legacy key and id. */
MAPSEG_API MAPSEG_NONNULL(1, 2) bool mapseg_ipc_key_equal(const mapseg_ipc_key *a,
                                                          const mapseg_ipc_key *b);

/** Whether this build can create and attach segments of that type here. */
MAPSEG_API bool mapseg_key_type_is_supported(mapseg_key_type type);

#ifdef __cplusplus
}
#endif

#endif
