/*
 * header.c - writing and checking the header of a segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "header.h"

#include "os/os.h"
#include "os/printable.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

static uint64_t
checksum_of(const struct mapseg_header *header)
{
    return XXH3_64bits(header, MAPSEG_CHECKSUM_COVERS);
}

uint64_t
msi_header_data_offset(void)
{
    uint64_t page = msi_os.page_size();

    return page > MAPSEG_HEADER_BYTES ? page : MAPSEG_HEADER_BYTES;
}

int
msi_header_make(struct mapseg_header *header, uint64_t data_size, uint64_t flags, uint64_t user_tag,
                const char *label)
{
    int error;

    memset(header, 0, sizeof *header);
    error = msi_os.random(header->id, sizeof header->id);
    if (error < 0)
        return error;
    memcpy(header->magic, MAPSEG_MAGIC, MAPSEG_MAGIC_BYTES);
    header->format = MAPSEG_FORMAT_VERSION;
    header->header_size = MAPSEG_HEADER_BYTES;
    header->data_offset = msi_header_data_offset();
    header->data_size = data_size;
    header->flags = flags;
    header->created = (uint64_t)msi_os.real_ns();
    header->user_tag = user_tag;
    header->checksum = checksum_of(header);
    if (label != NULL)
        memcpy(header->label, label, msi_whole_characters(label, MAPSEG_LABEL_BYTES - 1));
    return 0;
}

/** Whether the numbers of a header whose checksum is right make sense. */
static mapseg_result
check_geometry(const struct mapseg_header *copy, uint64_t file_size, struct msi_failure *failure)
{
    if (copy->header_size != MAPSEG_HEADER_BYTES || copy->data_offset < MAPSEG_HEADER_BYTES ||
        copy->data_size == 0 || copy->data_offset > (uint64_t)INT64_MAX ||
        copy->data_size > (uint64_t)INT64_MAX - copy->data_offset)
        return msi_failed(failure, MAPSEG_CORRUPT, 0,
                          "its header gives sizes that cannot be; remove it");
    if (copy->data_offset % msi_os.page_size() != 0)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "its data begins at byte %llu, which is no multiple of this "
                          "machine's page size; create it anew here",
                          (unsigned long long)copy->data_offset);
    if (copy->data_offset + copy->data_size > file_size)
        return msi_failed(failure, MAPSEG_CORRUPT, 0,
                          "the file was truncated to %llu of its %llu bytes; remove it",
                          (unsigned long long)file_size,
                          (unsigned long long)(copy->data_offset + copy->data_size));
    if (copy->data_offset + copy->data_size > (uint64_t)PTRDIFF_MAX)
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, 0,
                          "it is larger than this program's address space; use a 64-bit program");
    return MAPSEG_OK;
}

/** The same as a read, in a sandbox that allows none. */
static int64_t
copy_mapped(int fd, struct mapseg_header *copy)
{
    int error = 0;
    void *page = msi_os.map(fd, MAPSEG_HEADER_BYTES, 0, MSI_MAP_READ, &error);

    if (page == NULL)
        return error;
    memcpy(copy, page, MAPSEG_CONSTANT_BYTES);
    msi_os.unmap(page, MAPSEG_HEADER_BYTES);
    return MAPSEG_CONSTANT_BYTES;
}

mapseg_result
msi_header_read(int fd, uint64_t file_size, struct mapseg_header *copy, struct msi_failure *failure)
{
    int64_t got;

    memset(copy, 0, sizeof *copy);
    got = msi_os.read(fd, copy, MAPSEG_CONSTANT_BYTES, 0);
    if ((got == -EPERM || got == -EACCES || got == -ENOSYS) && file_size >= MAPSEG_HEADER_BYTES)
        got = copy_mapped(fd, copy);
    if (got < 0)
        return msi_system_failed(failure, (int)-got, "its header cannot be read");
    if (got == 0)
        return msi_failed(failure, MAPSEG_NOT_A_SEGMENT, 0,
                          "the file is empty; remove it or use another key");
    if (memcmp(copy->magic, MAPSEG_MAGIC, MAPSEG_MAGIC_BYTES) != 0)
        return msi_failed(failure, MAPSEG_NOT_A_SEGMENT, 0,
                          "the file does not begin like a segment; use another key");
    if (got < MAPSEG_CONSTANT_BYTES || file_size < MAPSEG_HEADER_BYTES)
        return msi_failed(failure, MAPSEG_CORRUPT, 0,
                          "the file was truncated within its header; remove it");
    if (copy->format > MAPSEG_FORMAT_VERSION)
        return msi_failed(failure, MAPSEG_TOO_NEW, 0,
                          "it has format %u and this version of mapseg knows format %d; upgrade "
                          "mapseg",
                          (unsigned)copy->format, MAPSEG_FORMAT_VERSION);
    if (copy->format == 0 || copy->checksum != checksum_of(copy))
        return msi_failed(failure, MAPSEG_CORRUPT, 0,
                          "its header is damaged (the checksum does not fit); remove it");
    if (copy->flags & MAPSEG_HEADER_INCOMPATIBLE & ~MSI_HEADER_KNOWN)
        return msi_failed(failure, MAPSEG_TOO_NEW, 0,
                          "it has features (flags %#llx) that this version of mapseg does not "
                          "know; upgrade mapseg",
                          (unsigned long long)copy->flags);
    return check_geometry(copy, file_size, failure);
}

bool
msi_header_is_ours(int fd)
{
    uint8_t magic[MAPSEG_MAGIC_BYTES];

    return msi_os.read(fd, magic, sizeof magic, 0) == (int64_t)sizeof magic &&
           memcmp(magic, MAPSEG_MAGIC, sizeof magic) == 0;
}

bool
msi_header_forbids_writing(uint64_t flags)
{
    return (flags & MAPSEG_HEADER_READ_ONLY_COMPATIBLE & ~MSI_HEADER_KNOWN) != 0;
}
