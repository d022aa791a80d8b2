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

mapseg_result
msi_attachment_map(struct msi_attachment *attachment, mapseg_access access, bool can_lock,
                   bool no_fork, struct msi_failure *failure)
{
    bool writes = access == MAPSEG_READ_WRITE;
    int error = 0;

    attachment->bytes = attachment->data_offset + attachment->data_size;
    attachment->base = msi_os.map(attachment->file.fd, attachment->bytes, 0,
                                  writes ? MSI_MAP_WRITE : MSI_MAP_READ, &error);
    if (attachment->base != NULL && writes)
        attachment->header = (struct mapseg_header *)(void *)attachment->base;
    else if (attachment->base != NULL && can_lock)
        error = map_header_separately(attachment);
    if (error >= 0 && no_fork)
        error = msi_os.hide_from_children(attachment->base, attachment->bytes);
    if (error >= 0 && no_fork && attachment->header_mapped_separately)
        error = msi_os.hide_from_children(attachment->header, MAPSEG_HEADER_BYTES);
    if (error == -EPERM && writes)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, EPERM,
                          "its seals let only its creator write it; only read it "
                          "(MAPSEG_READ_ONLY)");
    if (error < 0)
        return msi_system_failed(failure, -error,
                                 "its %zu bytes cannot be mapped; check the limits of this "
                                 "process (ulimit -a) and the seals",
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

    if (error < 0 || !msi_presence_is_shared(attachment))
        return error;
    error = msi_os.hide_from_children(attachment->base, attachment->bytes);
    if (error >= 0 && attachment->header_mapped_separately)
        error = msi_os.hide_from_children(attachment->header, MAPSEG_HEADER_BYTES);
    return error;
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

int
msi_attachment_claim_presence(struct msi_attachment *attachment)
{
    int error = msi_presence_claim(&attachment->presence, &attachment->file,
                                   msi_attachment_role(attachment),
                                   !msi_attachment_is_named(attachment));

    if (error >= 0)
        error = hide_presence(attachment);
    if (error < 0)
        msi_presence_release(&attachment->presence, &attachment->file);
    else if (attachment->header != NULL)
        msi_attachment_heal(attachment, attachment->presence.slot);
    return error;
}
