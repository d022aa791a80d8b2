/*
 * sealed.h - memory files, their seals, and which of these the kernel knows.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_PASS_SEALED_H
#define TESTS_PASS_SEALED_H

#include "support.h"

#include "mapseg-format.h"

#include <fcntl.h>
#include <sys/mman.h>

#if !defined(F_SEAL_FUTURE_WRITE)
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#if !defined(F_SEAL_EXEC)
#define F_SEAL_EXEC 0x0020
#endif
#if !defined(MFD_NOEXEC_SEAL)
#define MFD_NOEXEC_SEAL 8U
#endif

/** The seals of a memory file that several processes write. */
#define SHARED_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/** Bytes of data, and with the header. */
#define SIZE 20000
#define FILE_BYTES (MAPSEG_HEADER_BYTES + SIZE)

/** Whether this kernel knows the seal against making a memory file executable. */
bool has_exec_seal(void);

/** Whether this kernel knows the seal that a single writer takes. */
bool has_future_write(void);

/** A handle that has created a segment of SIZE bytes with these options. */
mapseg *created_with(const char *key, uint32_t flags, uint32_t mode);

/** Which users could come to write it, as mapseg_info says. */
mapseg_writers writers_of(mapseg *seg);

#endif
