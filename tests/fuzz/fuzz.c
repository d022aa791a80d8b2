/*
 * fuzz.c - what the fuzz targets share.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *objection = fuzz_objection();

    (void)argc;
    if (objection == NULL)
        return 0;
    fprintf(stderr, "%s: skipped: %s\n", **argv, objection);
    exit(77);
}

void
fuzz_refuted(const char *file, int line, const char *condition, const char *reason)
{
    fprintf(stderr, "%s:%d: not true: %s%s%s\n", file, line, condition, reason == NULL ? "" : ": ",
            reason == NULL ? "" : reason);
    abort();
}

bool
is_line(const char *text)
{
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return false;
    return true;
}

bool
says_why(const mapseg *seg, mapseg_result result)
{
    return result == MAPSEG_OK || is_line(mapseg_error_string(seg));
}

int
lowest_descriptor(void)
{
    int fd = dup(STDERR_FILENO);

    claim(fd >= 0);
    close(fd);
    return fd;
}

bool
hide_shared_memory(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "size=8m,mode=1777") == 0;
}

void
repair_header(struct mapseg_header *header)
{
    header->checksum = XXH3_64bits(header, MAPSEG_CHECKSUM_COVERS);
}

void
repair_message(struct mapseg_message *message)
{
    message->checksum = XXH3_64bits(message, MAPSEG_MESSAGE_CHECKSUM_COVERS);
}

void
make_header(struct mapseg_header *header, uint64_t data_size, uint8_t id)
{
    memset(header, 0, sizeof *header);
    memcpy(header->magic, MAPSEG_MAGIC, MAPSEG_MAGIC_BYTES);
    header->format = MAPSEG_FORMAT_VERSION;
    header->header_size = MAPSEG_HEADER_BYTES;
    header->data_offset = (uint64_t)sysconf(_SC_PAGESIZE);
    header->data_size = data_size;
    header->created = UINT64_C(1700000000000000000);
    memset(header->id, id, sizeof header->id);
    repair_header(header);
}

int
new_memory_file(void)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    claim(fd >= 0 && fchmod(fd, 0600) == 0);
    return fd;
}
