/*
 * sha1.h - SHA-1, which Qt's names of old contain.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MSI_SHA1_H
#define MSI_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define MSI_SHA1_BYTES 20

/** The digest of so many bytes. */
void msi_sha1(const void *data, size_t bytes, uint8_t digest[MSI_SHA1_BYTES]);

#endif
