/*
 * header.h - writing and checking the header of a segment.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_HEADER_H
#define MAPSEG_HEADER_H

#include "mapseg-format.h"
#include "os/failure.h"

/** Header flags that this library knows. */
#define MSI_HEADER_KNOWN (MAPSEG_HEADER_PERSISTENT | MAPSEG_HEADER_FAIR)

/** Where the data of a new segment begins. */
uint64_t msi_header_data_offset(void);

/** Makes a new header. Of `label` (NULL: none) it gets as many whole characters as there is
 *  room for. 0, or a negative errno where there is no randomness. */
int msi_header_make(struct mapseg_header *header, uint64_t data_size, uint64_t flags,
                    uint64_t user_tag, const char *label);

/** Copies the part that never changes out of the file, once, and checks the
 *  copy: geometry is never read from shared memory again. `file_size` as
 *  fstat has it. On failure the copy holds what could be read, for people. */
mapseg_result msi_header_read(int fd, uint64_t file_size, struct mapseg_header *copy,
                              struct msi_failure *failure);

/** Whether the file begins like a segment, whatever its state. */
bool msi_header_is_ours(int fd);

/** Whether one of a header's flags forbids us to write, since its meaning is not known. */
bool msi_header_forbids_writing(uint64_t flags);

#endif
