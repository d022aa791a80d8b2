/*
 * attachment.c - what a handle is attached with: descriptor, mappings, presence.
 *
 * Words in capitals and brackets are steps of tests/model/name.pml and lock.pml.
 *
 * SPDX-License-Identifier: MIT
 */
#include "attachment.h"

#include "os/os.h"
#include "sync/version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
msi_attachment_clear(struct msi_attachment *attachment)
{
    memset(attachment, 0, sizeof *attachment);
    msi_file_clear(&attachment->file);
    msi_presence_clear(&attachment->presence);
}

void
msi_attachment_forget(struct msi_attachment *attachment)
{
    char *path = attachment->file.path;

    msi_attachment_clear(attachment);
    attachment->file.path = path;
}

void
msi_attachment_unmap(struct msi_attachment *attachment)
{
    if (attachment->header_mapped_separately)
        msi_os.unmap(attachment->header, MAPSEG_HEADER_BYTES);
    if (attachment->base != NULL)
        msi_os.unmap(attachment->base, attachment->bytes);
    attachment->header = NULL;
    attachment->header_mapped_separately = false;
    attachment->base = NULL;
}

void
msi_attachment_drop(struct msi_attachment *attachment)
{
    msi_attachment_unmap(attachment);
    msi_file_close(&attachment->file);
    free(attachment->file.path);
    msi_attachment_clear(attachment);
}

/** Maps the header apart from data that is mapped read-only. */
static int
map_header_separately(struct msi_attachment *attachment)
{
    int error = 0;
    void *header = msi_os.map(attachment->file.fd, MAPSEG_HEADER_BYTES, 0, MSI_MAP_WRITE, &error);

    if (header == NULL)
        /* Seals that forbid new writers leave a reader that cannot lock. */
        return error == -EPERM || error == -EACCES ? 0 : error;
    attachment->header = header;
    attachment->header_mapped_separately = true;
    return 0;
}

static int
hide_mappings(const struct msi_attachment *attachment)
{
    int error = msi_os.hide_from_children(attachment->base, attachment->bytes);

    if (error >= 0 && attachment->header_mapped_separately)
        error = msi_os.hide_from_children(attachment->header, MAPSEG_HEADER_BYTES);
    return error;
}

/** Keeps the data out of core dumps: it would delay its owner's death for as long as it takes
 *  to write it all, and the lock with it. The kernel by itself leaves out only what has a
 *  name. Where a sandbox refuses, dumps are larger. */
static void
leave_out_of_dumps(const struct msi_attachment *attachment)
{
    if (!(attachment->trust.flags & MAPSEG_DUMP))
        (void)msi_os.leave_out_of_dumps(attachment->base, attachment->bytes);
}

mapseg_result
msi_attachment_map(struct msi_attachment *attachment, mapseg_access access, bool can_lock,
                   bool no_fork, struct msi_failure *failure)
{
    bool writes = access == MAPSEG_READ_WRITE;
    int error = 0;

    attachment->bytes = attachment->data_offset + attachment->data_size;
    attachment->base = msi_os.map(attachment->file.fd, attachment->bytes, 0,
                                  writes ? MSI_MAP_WRITE : MSI_MAP_READ, &error);
    attachment->writes = attachment->base != NULL && writes;
    if (attachment->base != NULL && writes && !attachment->is_raw)
        attachment->header = (struct mapseg_header *)(void *)attachment->base;
    else if (attachment->base != NULL && can_lock && !attachment->is_raw)
        error = map_header_separately(attachment);
    if (error == -EPERM && writes)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, EPERM,
                          "its seals let only its creator write it; only read it "
                          "(MAPSEG_READ_ONLY)");
    if (error < 0)
        return msi_map_failed(failure, -error, attachment->bytes);
    leave_out_of_dumps(attachment);
    if (no_fork)
        error = hide_mappings(attachment);
    return error < 0 ? msi_hide_failed(failure, -error) : MAPSEG_OK;
}

/** How much memory it takes to bring in all of the file: of one in memory, what it does not
 *  have yet. */
static uint64_t
bytes_to_bring_in(const struct msi_attachment *attachment)
{
    struct msi_file_system file_system;
    struct stat status;
    uint64_t there = 0;

    if (msi_os.file_system(attachment->file.fd, &file_system) >= 0 && file_system.ram_backed &&
        msi_os.status(attachment->file.fd, &status) >= 0)
        there = (uint64_t)status.st_blocks * 512;
    return there < attachment->bytes ? attachment->bytes - there : 0;
}

mapseg_result
msi_attachment_lock_memory(struct msi_attachment *attachment, struct msi_failure *failure)
{
    int error;

    /* Above this the kernel does not refuse memory, it kills. */
    if (!msi_os.memory_suffices(bytes_to_bring_in(attachment)))
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, ENOMEM,
                          "its %zu bytes are more memory than there is for this process to keep; "
                          "free some, or do without MAPSEG_LOCKED",
                          attachment->bytes);
    error = msi_os.lock_memory(attachment->base, attachment->bytes);
    if (error >= 0 && attachment->header_mapped_separately)
        error = msi_os.lock_memory(attachment->header, MAPSEG_HEADER_BYTES);
    if (error == -ENOSYS)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, ENOSYS,
                          "memory cannot be kept from being swapped out here; do without "
                          "MAPSEG_LOCKED");
    if (error < 0)
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, -error,
                          "its %zu bytes cannot be kept in memory; raise the limit on locked "
                          "memory (RLIMIT_MEMLOCK, ulimit -l), or do without MAPSEG_LOCKED",
                          attachment->bytes);
    return MAPSEG_OK;
}

/** Keeps what holds presence out of children. Where presence had to lie on the working
 *  description, every mapping holds it: a child's copy of one would keep its dead parent
 *  present, and the lock with it. */
static int
hide_presence(const struct msi_attachment *attachment)
{
    int error = msi_presence_hide(&attachment->presence);

    return error < 0 || !msi_presence_is_shared(attachment) ? error : hide_mappings(attachment);
}

/** A field of the header, as bytes. */
struct field {
    size_t offset;
    size_t bytes;
};

static const struct field lock_field = {offsetof(struct mapseg_header, lock), sizeof(uint32_t)};
static const struct field watchers_field = {offsetof(struct mapseg_header, watchers),
                                            sizeof(uint32_t)};
static const struct field recoveries_field = {offsetof(struct mapseg_header, recoveries),
                                              sizeof(uint64_t)};
static const struct field left_field = {offsetof(struct mapseg_header, left), sizeof(uint32_t)};

/** Reads a field from the file: that takes less than the first touch of a mapping,
 *  and a file that has become too short is no SIGBUS. Where there is no descriptor
 *  any more, or a sandbox allows no read, the system copies it out of the mapping. */
static bool
read_field(struct msi_attachment *attachment, struct field field, void *to)
{
    int fd = msi_file_fd(&attachment->file);
    int64_t got = fd < 0 ? fd : msi_os.read(fd, to, field.bytes, (int64_t)field.offset);

    if (got < 0)
        got = msi_os.copy_from_mapping(to, (char *)attachment->header + field.offset, field.bytes);
    return got == (int64_t)field.bytes;
}

/** Stores a field by the system, where a missing page is no SIGBUS. */
static bool
write_field(struct msi_attachment *attachment, struct field field, const void *from)
{
    int64_t put =
        msi_os.copy_to_mapping((char *)attachment->header + field.offset, from, field.bytes);
    int fd = put < 0 && put != -EFAULT ? msi_file_fd(&attachment->file) : -1;

    /* A sandbox may refuse one of the two ways and allow the other. */
    if (fd >= 0 && MAPSEG_HEADER_BYTES <= msi_os.file_size_limit())
        put = msi_os.write(fd, from, field.bytes, (int64_t)field.offset);
    return put == (int64_t)field.bytes;
}

bool
msi_attachment_announce(struct msi_attachment *attachment)
{
    static const uint32_t announced = 1;

    if (!write_field(attachment, watchers_field, &announced))
        return false;
    msi_version_announced();
    return true;
}

/** Stores the lock word, and wakes one sleeper: SLEEPERS may have been set between the
 *  read and this write. */
static void
write_word(struct msi_attachment *attachment, uint32_t word)
{
    /* Release: what was written under the lock is visible before. */
    msi_version_fence(memory_order_release);
    (void)write_field(attachment, lock_field, &word);
    (void)msi_os.wake_one(&attachment->header->lock);
}

void
msi_attachment_release_word(struct msi_attachment *attachment, uint32_t bits)
{
    uint32_t word;

    if (read_field(attachment, lock_field, &word) &&
        (word & MAPSEG_LOCK_OWNER) == attachment->presence.slot)
        write_word(attachment, (word & MAPSEG_LOCK_DIED) | bits);
}

void
msi_attachment_note_left(struct msi_attachment *attachment, bool left)
{
    uint32_t before;
    uint32_t now = left;

    if (attachment->header != NULL && read_field(attachment, left_field, &before) && before != now)
        write_field(attachment, left_field, &now);
}

void
msi_attachment_abandon_word(struct msi_attachment *attachment, struct msi_lock *lock)
{
    msi_attachment_release_word(attachment, MAPSEG_LOCK_DIED);
    msi_lock_clear_owner_thread(lock);
}

/** [HEAL_WRITE] As msi_lock_heal, where touching the mapping could be SIGBUS. While
 *  the caller holds the slot's byte others change no owner bits that name the slot. */
static void
heal_by_system(struct msi_attachment *attachment, uint32_t word)
{
    uint64_t recoveries;

    if (read_field(attachment, recoveries_field, &recoveries)) {
        recoveries++;
        (void)write_field(attachment, recoveries_field, &recoveries);
    }
    write_word(attachment, MAPSEG_LOCK_DIED | (word & MAPSEG_LOCK_SLEEPERS));
}

void
msi_attachment_heal(struct msi_attachment *attachment, uint32_t slot)
{
    uint32_t word;
    bool known;

    if (attachment->header == NULL)
        return;
    known = read_field(attachment, lock_field, &word);
    if (known && (word & MAPSEG_LOCK_OWNER) != slot)
        return;
    if (!attachment->cautious)
        msi_lock_heal(attachment->header, slot);
    else if (known)
        heal_by_system(attachment, word);
}

static int
claim(struct msi_attachment *attachment)
{
    return msi_presence_claim(&attachment->presence, &attachment->file,
                              msi_attachment_role(attachment),
                              !msi_attachment_is_named(attachment));
}

int
msi_attachment_claim_presence(struct msi_attachment *attachment)
{
    int error = claim(attachment);
    bool claimed = error >= 0;

    if (claimed)
        error = hide_presence(attachment);
    /* A page that children would get: once more, on a descriptor, which they close. */
    if (claimed && error < 0 && attachment->presence.page != NULL) {
        msi_presence_release(&attachment->presence, &attachment->file);
        error = claim(attachment);
        if (error >= 0)
            error = hide_presence(attachment);
    }
    if (error < 0)
        msi_presence_release(&attachment->presence, &attachment->file);
    else if (attachment->header != NULL)
        msi_attachment_heal(attachment, attachment->presence.slot);
    return error;
}
