/*
 * key.h - native keys, as the rest of the library sees them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MSI_KEY_H
#define MSI_KEY_H

#include "mapseg-key.h"
#include "os/failure.h"

/** A key that owns copies of its parts; "" is none. NULL: no memory. */
mapseg_ipc_key *msi_key_new(mapseg_key_type type, const char *name, const char *legacy_key,
                            const char *id);

/** Whether the type is a value of QNativeIpcKey's, with a meaning or not. */
bool msi_key_type_is_qt(mapseg_key_type type);

/** Whether the key has no name; it may be a valid one, as in Qt. */
bool msi_key_is_empty(const mapseg_ipc_key *key);

/** A copy of a string; the caller frees it. NULL: no memory. */
char *msi_copy_string(const char *text);

/** Whether the name can be one of its type's: OK (also if it is empty, or of a type that
 *  this build does not support), or KEY_ERROR. */
mapseg_result msi_key_check(const mapseg_ipc_key *key, struct msi_failure *failure);

/** The descriptor that a memfd key names; -1: none. */
int msi_key_memfd_number(const mapseg_ipc_key *key);

/** Whether the key is "memfd:", which leads to nothing before create. NULL: no. */
bool msi_key_is_nameless(const mapseg_ipc_key *key);

/** "memfd:FD?id=ID", into room for MAPSEG_ENVIRONMENT_BYTES. */
void msi_key_format_memfd(int fd, const uint8_t id[16], char *text);

/** 16 bytes as 32 lower-case hexadecimal digits and a NUL. */
void msi_hexadecimal(const uint8_t bytes[16], char text[33]);

/** The name of the semaphore that belongs to a POSIX segment begins with this, and ends as the
 *  segment's. */
#define MSI_SEMAPHORE_MARK "sem."

/** Names that the library gives to files under construction end with this, and so many
 *  hexadecimal digits. */
#define MSI_PRIVATE_MARK ".mapseg-"
#define MSI_PRIVATE_DIGITS 16
bool msi_is_private_name(const char *name);

/** Whether in the shared directory the name is that of a POSIX semaphore's file: sem_open would
 *  take a segment there for one, and a Qt program would remove it. */
bool msi_is_semaphore_name(const char *name);
mapseg_result msi_semaphore_name_failed(struct msi_failure *failure);

/** Whether the last part of a key's name is private. */
bool msi_key_is_private(const mapseg_ipc_key *key);

#endif
