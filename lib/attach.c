/*
 * attach.c - attaching to what exists.
 *
 * The order matters: all that can fail comes first, then presence, then one
 * more look at the name. An attachment that is present while its name leads to
 * its file cannot be removed behind its back by the last one out.
 *
 * Words in capitals and brackets are steps of tests/model/name.pml.
 *
 * SPDX-License-Identifier: MIT
 */
#include "attach.h"

#include "change.h"
#include "fork.h"
#include "guard.h"
#include "header.h"
#include "key.h"
#include "name.h"
#include "os.h"
#include "place.h"
#include "trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------- options -- */

#define KNOWN_FLAGS                                                                                \
    ((uint32_t)MAPSEG_PERSISTENT | (uint32_t)MAPSEG_LAZY | (uint32_t)MAPSEG_RECLAIM |              \
     (uint32_t)MAPSEG_FAIR | (uint32_t)MAPSEG_NO_FORK | (uint32_t)MAPSEG_REQUIRE_TAG |             \
     (uint32_t)MAPSEG_SINGLE_WRITER | (uint32_t)MAPSEG_UNTRUSTED_PEER | (uint32_t)MAPSEG_GUARDED | \
     (uint32_t)MAPSEG_ALLOW_OTHER_OWNER | (uint32_t)MAPSEG_ALLOW_SHARED_WRITE |                    \
     (uint32_t)MAPSEG_ALLOW_HARD_LINKS | (uint32_t)MAPSEG_ALLOW_SHARED_DIRECTORY |                 \
     (uint32_t)MAPSEG_KEEP_NAME | (uint32_t)MAPSEG_STALE_ONLY | (uint32_t)MAPSEG_REQUIRE_ID)

/** More than any library's options will ever have: such a size is a mistake,
 *  and what it promises is not there to be read. */
#define LARGEST_OPTIONS 4096

mapseg_result
mapseg_options_read(const mapseg_options *given, mapseg_options *options,
                    struct mapseg_failure *failure)
{
    const mapseg_options defaults = MAPSEG_OPTIONS_INIT;
    const unsigned char *bytes = (const unsigned char *)given;

    *options = defaults;
    if (given == NULL)
        return MAPSEG_OK;
    if (given->size < sizeof given->size || given->size > LARGEST_OPTIONS)
        return mapseg_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                             "the options do not give their size; begin with MAPSEG_OPTIONS_INIT");
    for (size_t i = sizeof *options; i < given->size; i++)
        if (bytes[i] != 0)
            return mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                                 "the options ask for what only a newer library knows; upgrade it");
    memcpy(options, given, given->size < sizeof *options ? given->size : sizeof *options);
    options->size = sizeof *options;
    if (options->flags & ~KNOWN_FLAGS)
        return mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                             "this library does not know the flags %#x; upgrade it",
                             (unsigned)(options->flags & ~KNOWN_FLAGS));
    if (options->mode & ~0666U)
        return mapseg_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                             "mode %04o has bits outside 0666; give read and write bits alone",
                             (unsigned)options->mode);
    /* Without them the owner could neither show its presence nor remove it. */
    if (options->mode != 0 && (options->mode & 0600U) != 0600)
        return mapseg_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                             "mode %04o does not let the owner read and write; give at least 0600",
                             (unsigned)options->mode);
    return MAPSEG_OK;
}

mapseg_result
mapseg_no_key(struct mapseg_failure *failure)
{
    return mapseg_failed(failure, MAPSEG_KEY_ERROR, 0, "there is no key; set one first");
}

mapseg_result
mapseg_check_access(mapseg_access access, struct mapseg_failure *failure)
{
    if (access == MAPSEG_READ_ONLY || access == MAPSEG_READ_WRITE)
        return MAPSEG_OK;
    return mapseg_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                         "there is no access mode %d; use MAPSEG_READ_ONLY or MAPSEG_READ_WRITE",
                         (int)access);
}

int64_t
mapseg_patience_ends(int64_t timeout_ns)
{
    int64_t now = mapseg_os.monotonic_ns();

    if (timeout_ns == 0)
        timeout_ns = MAPSEG_REMOVER_PATIENCE_NS;
    return timeout_ns < 0 || timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

bool
mapseg_wait_for_remover(int64_t *pause_ns, int64_t deadline)
{
    const int64_t longest = 10000000;
    int64_t left = deadline - mapseg_os.monotonic_ns();

    if (left <= 0)
        return false;
    *pause_ns = *pause_ns == 0 ? 20000 : *pause_ns * 2 > longest ? longest : *pause_ns * 2;
    mapseg_os.nap(*pause_ns < left ? *pause_ns : left);
    return true;
}

/* ------------------------------------------------------------ attachments -- */

void
mapseg_attachment_clear(struct mapseg_attachment *attachment)
{
    memset(attachment, 0, sizeof *attachment);
    mapseg_file_clear(&attachment->file);
    mapseg_presence_clear(&attachment->presence);
}

void
mapseg_attachment_forget(struct mapseg_attachment *attachment)
{
    char *path = attachment->file.path;

    mapseg_attachment_clear(attachment);
    attachment->file.path = path;
}

void
mapseg_attachment_drop(struct mapseg_attachment *attachment)
{
    if (attachment->header_apart)
        mapseg_os.unmap(attachment->header, MAPSEG_HEADER_BYTES);
    if (attachment->base != NULL)
        mapseg_os.unmap(attachment->base, attachment->bytes);
    mapseg_file_close(&attachment->file);
    free(attachment->file.path);
    mapseg_attachment_clear(attachment);
}

/** Maps the header apart from data that is mapped read-only. */
static int
map_header_apart(struct mapseg_attachment *attachment)
{
    int error = 0;
    void *header =
        mapseg_os.map(attachment->file.fd, MAPSEG_HEADER_BYTES, 0, MAPSEG_MAP_WRITE, &error);

    if (header == NULL)
        /* Seals that let nobody write any more leave a reader who cannot lock. */
        return error == -EPERM || error == -EACCES ? 0 : error;
    attachment->header = header;
    attachment->header_apart = true;
    return 0;
}

mapseg_result
mapseg_attachment_map(struct mapseg_attachment *attachment, mapseg_access access, bool can_lock,
                      bool no_fork, struct mapseg_failure *failure)
{
    bool writes = access == MAPSEG_READ_WRITE;
    int error = 0;

    attachment->bytes = attachment->data_offset + attachment->data_size;
    attachment->base = mapseg_os.map(attachment->file.fd, attachment->bytes, 0,
                                     writes ? MAPSEG_MAP_WRITE : MAPSEG_MAP_READ, &error);
    if (attachment->base != NULL && writes)
        attachment->header = (struct mapseg_header *)(void *)attachment->base;
    else if (attachment->base != NULL && can_lock)
        error = map_header_apart(attachment);
    if (error >= 0 && no_fork)
        error = mapseg_os.hide_from_children(attachment->base, attachment->bytes);
    if (error >= 0 && no_fork && attachment->header_apart)
        error = mapseg_os.hide_from_children(attachment->header, MAPSEG_HEADER_BYTES);
    if (error == -EPERM && writes)
        return mapseg_failed(failure, MAPSEG_PERMISSION_DENIED, EPERM,
                             "its seals let nobody write it but its creator; attach read-only");
    if (error < 0)
        return mapseg_system_failed(failure, -error,
                                    "its %zu bytes cannot be mapped; check the address space and "
                                    "the seals",
                                    attachment->bytes);
    return MAPSEG_OK;
}

/** Keeps what holds presence out of children. Where it had to lie on the working
 *  description that is every mapping: a child's copy of one would keep its dead
 *  parent present, and the lock with it. */
static int
hide_presence(const struct mapseg_attachment *attachment)
{
    int error = mapseg_presence_hide(&attachment->presence);

    if (error < 0 || !mapseg_presence_is_shared(attachment))
        return error;
    error = mapseg_os.hide_from_children(attachment->base, attachment->bytes);
    if (error >= 0 && attachment->header_apart)
        error = mapseg_os.hide_from_children(attachment->header, MAPSEG_HEADER_BYTES);
    return error;
}

/** A field of the header, as bytes. */
struct field {
    size_t offset;
    size_t bytes;
};

static const struct field lock_field = {offsetof(struct mapseg_header, lock), sizeof(uint32_t)};
static const struct field recoveries_field = {offsetof(struct mapseg_header, recoveries),
                                              sizeof(uint64_t)};

/** Reads a field from the file: that takes less than the first touch of a mapping,
 *  and a file that has become too short is no SIGBUS. Where there is no descriptor
 *  any more, or a sandbox allows no read, the system copies it out of the mapping. */
static bool
read_field(struct mapseg_attachment *attachment, struct field field, void *to)
{
    int fd = mapseg_file_fd(&attachment->file);
    int64_t got = fd < 0 ? fd : mapseg_os.read(fd, to, field.bytes, (int64_t)field.offset);

    if (got < 0)
        got =
            mapseg_os.copy_from_mapping(to, (char *)attachment->header + field.offset, field.bytes);
    return got == (int64_t)field.bytes;
}

/** Stores a field by the system, where a missing page is no SIGBUS. */
static void
write_field(struct mapseg_attachment *attachment, struct field field, const void *from)
{
    int64_t put =
        mapseg_os.copy_to_mapping((char *)attachment->header + field.offset, from, field.bytes);
    int fd = put < 0 && put != -EFAULT ? mapseg_file_fd(&attachment->file) : -1;

    /* A sandbox may refuse the one and allow the other. */
    if (fd >= 0 && MAPSEG_HEADER_BYTES <= mapseg_os.file_size_limit())
        (void)mapseg_os.write(fd, from, field.bytes, (int64_t)field.offset);
}

/** Stores the lock word, and wakes one sleeper: SLEEPERS may have been set between the
 *  read and this write. */
static void
write_word(struct mapseg_attachment *attachment, uint32_t word)
{
    /* Release: what was written under the lock is visible before. */
    atomic_thread_fence(memory_order_release);
    write_field(attachment, lock_field, &word);
    mapseg_os.wake_one(&attachment->header->lock);
}

void
mapseg_attachment_release_word(struct mapseg_attachment *attachment, uint32_t bits)
{
    uint32_t word;

    if (read_field(attachment, lock_field, &word) &&
        (word & MAPSEG_LOCK_OWNER) == attachment->presence.slot)
        write_word(attachment, (word & MAPSEG_LOCK_DIED) | bits);
}

void
mapseg_attachment_abandon_word(struct mapseg_attachment *attachment, struct mapseg_lock *lock)
{
    mapseg_attachment_release_word(attachment, MAPSEG_LOCK_DIED);
    mapseg_lock_forget(lock);
}

/** [HEAL_WRITE] As mapseg_lock_heal, where touching the mapping could be SIGBUS. While
 *  the caller holds the slot's byte others change no owner bits that name the slot. */
static void
heal_by_system(struct mapseg_attachment *attachment, uint32_t word)
{
    uint64_t recoveries;

    if (read_field(attachment, recoveries_field, &recoveries)) {
        recoveries++;
        write_field(attachment, recoveries_field, &recoveries);
    }
    write_word(attachment, MAPSEG_LOCK_DIED | (word & MAPSEG_LOCK_SLEEPERS));
}

void
mapseg_attachment_heal(struct mapseg_attachment *attachment, uint32_t slot)
{
    uint32_t word;

    bool known;

    if (attachment->header == NULL)
        return;
    known = read_field(attachment, lock_field, &word);
    if (known && (word & MAPSEG_LOCK_OWNER) != slot)
        return;
    if (!attachment->reads_file)
        mapseg_lock_heal(attachment->header, slot);
    else if (known)
        heal_by_system(attachment, word);
}

int
mapseg_attachment_appear(struct mapseg_attachment *attachment)
{
    int error =
        mapseg_presence_claim(&attachment->presence, &attachment->file, attachment->header != NULL,
                              !mapseg_attachment_is_named(attachment));

    if (error >= 0)
        error = hide_presence(attachment);
    if (error < 0)
        mapseg_presence_release(&attachment->presence, &attachment->file);
    else if (attachment->header != NULL)
        mapseg_attachment_heal(attachment, attachment->presence.slot);
    return error;
}

void
mapseg_attachment_adopt(mapseg *seg, mapseg_access access, bool no_fork)
{
    struct mapseg_attachment *attachment = &seg->attachment;

    mapseg_lock_begin(&seg->lock, attachment->header, attachment->presence.slot, &attachment->file,
                      (attachment->flags & MAPSEG_HEADER_FAIR) != 0);
    seg->read_only = access == MAPSEG_READ_ONLY;
    atomic_store_explicit(&seg->shrunk, false, memory_order_relaxed);
    seg->no_fork = no_fork || mapseg_presence_is_shared(attachment);
    seg->attached = true;
    mapseg_fork_belong(seg);
    mapseg_lock_allow_reading(&seg->lock, !attachment->reads_file);
}

void
mapseg_handle_settle(mapseg *seg)
{
    if (seg->attached && !mapseg_fork_orphaned(seg))
        return;
    if (atomic_load_explicit(&seg->change, memory_order_relaxed) != NULL) {
        (void)mapseg_fork_lock();
        mapseg_change_forked(seg);
        mapseg_fork_unlock();
    }
    mapseg_guard_forget(seg);
    /* Neither presence nor lock is ours to release; and what was left out of a
     * child is not there to be unmapped. */
    if (seg->attached)
        mapseg_presence_forget(&seg->attachment.presence, &seg->attachment.file);
    if (seg->attached && seg->no_fork) {
        mapseg_file_close(&seg->attachment.file);
        mapseg_attachment_forget(&seg->attachment);
    }
    mapseg_attachment_drop(&seg->attachment);
    mapseg_lock_clear(&seg->lock);
    seg->attached = false;
}

/* --------------------------------------------------------------- opening -- */

static mapseg_result
cannot_be_read(int given, struct mapseg_failure *failure)
{
    return mapseg_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                         "descriptor %d cannot be read: it is open for writing alone, or only "
                         "for the place; open it for reading too",
                         given);
}

/** A descriptor that is given away: it stays the one that it is. */
static mapseg_result
open_given(int given, struct mapseg_attachment *attachment, bool *writable,
           struct mapseg_failure *failure)
{
    int mode = mapseg_os.access_mode(given);

    attachment->file.fd = given;
    *writable = mode == O_RDWR;
    /* A sandbox refuses the question; reading may go all the same. */
    if (mode == O_RDWR || mode == O_RDONLY || mode == -EPERM || mode == -EACCES || mode == -ENOSYS)
        return MAPSEG_OK;
    attachment->file.fd = -1;
    if (mode == O_WRONLY || mode == -EBADFD)
        return cannot_be_read(given, failure);
    return mapseg_failed(failure, MAPSEG_NOT_FOUND, -mode,
                         "there is no open file behind descriptor %d; give one that can be read",
                         given);
}

/** A descriptor of our own for the file behind another's number. */
static mapseg_result
open_descriptor(int given, struct mapseg_attachment *attachment, bool *writable,
                struct mapseg_failure *failure)
{
    int mode = mapseg_os.access_mode(given);

    if (mode == -EPERM || mode == -EACCES || mode == -ENOSYS) {
        /* A sandbox that refuses even the question. To read, the descriptor as
         * it is will do. */
        attachment->file.fd = given;
        attachment->borrowed = true;
        *writable = false;
        return MAPSEG_OK;
    }
    if (mode == O_WRONLY || mode == -EBADFD)
        return cannot_be_read(given, failure);
    if (mode < 0)
        return mapseg_failed(failure, MAPSEG_NOT_FOUND, -mode,
                             "descriptor %d is not open in this process; check that it was "
                             "inherited",
                             given);
    /* Never more than the descriptor has: it may have been opened for reading
     * only so that we cannot write. */
    *writable = mode == O_RDWR;
    attachment->file.fd = mapseg_os.reopen(given, mode);
    if (attachment->file.fd < 0)
        attachment->file.fd = mapseg_os.duplicate(given);
    if (attachment->file.fd < 0)
        return mapseg_system_failed(failure, -attachment->file.fd,
                                    "descriptor %d cannot be duplicated", given);
    return MAPSEG_OK;
}

/* ------------------------------------------------------------- attaching -- */

/** One call of attach. */
struct request {
    mapseg *seg;
    mapseg_access access;
    mapseg_options options;
    const struct mapseg_given *given; /**< a descriptor; NULL: the key's file */
    mapseg_ipc_key *key;              /**< that the handle gets with a descriptor */
    struct mapseg_name name;          /**< of a key that names one; while a try lasts */
    nlink_t links;                    /**< of the file when it was examined */
    bool again;                       /**< the failure is one that passes */
};

/** What type of key the file was reached by. */
static mapseg_key_type
type_of(const struct request *request)
{
    return request->given != NULL ? MAPSEG_KEY_MEMFD : mapseg_ipc_key_type(request->seg->key);
}

/** Opens the file that the handle's key names, in its directory. */
static mapseg_result
open_named(struct request *request, struct mapseg_attachment *attachment, bool *writable,
           struct mapseg_failure *failure)
{
    struct stat status;
    mapseg_result result = mapseg_place_open(request->seg->key, false, request->options.flags,
                                             &request->name, failure);

    /* Looked at before it is opened: to open a FIFO or a device is to use it. */
    if (result == MAPSEG_OK)
        result = mapseg_name_look(&request->name, &status, failure);
    if (result != MAPSEG_OK)
        return result;
    attachment->file.path = mapseg_copy_string(request->name.path);
    if (attachment->file.path == NULL)
        return mapseg_system_failed(failure, ENOMEM, "no memory for a path");
    attachment->file.directory = request->name.directory;
    attachment->file.fd = mapseg_name_open_file(&request->name, request->access, writable);
    request->again = attachment->file.fd == -EAGAIN;
    if (attachment->file.fd < 0)
        return mapseg_open_failed(-attachment->file.fd, failure);
    return MAPSEG_OK;
}

/** Opens what the handle is to be attached to. */
static mapseg_result
open_key(struct request *request, struct mapseg_attachment *attachment, bool *writable,
         struct mapseg_failure *failure)
{
    const mapseg_ipc_key *key = request->seg->key;
    mapseg_result result;

    attachment->type = type_of(request);
    attachment->trust_flags = request->options.flags;
    if (request->given != NULL)
        result = open_given(request->given->fd, attachment, writable, failure);
    else if (mapseg_ipc_key_type(key) == MAPSEG_KEY_MEMFD)
        result = open_descriptor(mapseg_key_descriptor(key), attachment, writable, failure);
    else
        result = open_named(request, attachment, writable, failure);
    attachment->file.writes = *writable;
    return result;
}

/** Whether the segment is the one that the caller asked for. */
static mapseg_result
check_demands(const struct request *request, const struct mapseg_header *header,
              struct mapseg_failure *failure)
{
    const struct mapseg_given *given = request->given;
    const char *wanted = given != NULL ? "" : mapseg_ipc_key_id(request->seg->key);
    char id[33];

    mapseg_hexadecimal(header->id, id);
    if (given != NULL && given->message != NULL &&
        (memcmp(given->message->id, header->id, sizeof header->id) != 0 ||
         given->message->data_size != header->data_size))
        return mapseg_failed(failure, MAPSEG_CORRUPT, 0,
                             "the message is about another segment than the one that came with "
                             "it (id %s); see who sent it",
                             id);
    if (*wanted != '\0' && strcmp(wanted, id) != 0)
        return mapseg_failed(failure, MAPSEG_NOT_FOUND, 0,
                             "that descriptor is another segment (id %s); check which one was "
                             "handed over",
                             id);
    if (request->options.flags & MAPSEG_REQUIRE_ID &&
        memcmp(request->options.id, header->id, sizeof header->id) != 0)
        return mapseg_failed(failure, MAPSEG_NOT_FOUND, 0,
                             "another segment has that name by now (id %s); look which one is "
                             "meant",
                             id);
    if (request->options.flags & MAPSEG_REQUIRE_TAG &&
        header->user_tag != request->options.user_tag)
        return mapseg_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                             "its user tag is %#llx and %#llx was demanded; the programs do not "
                             "share one data format",
                             (unsigned long long)header->user_tag,
                             (unsigned long long)request->options.user_tag);
    return MAPSEG_OK;
}

/** Makes the key that names a given descriptor from now on. */
static mapseg_result
make_key(struct request *request, const struct mapseg_header *header,
         struct mapseg_failure *failure)
{
    char text[MAPSEG_ENVIRONMENT_BYTES];

    if (request->given == NULL)
        return MAPSEG_OK;
    mapseg_descriptor_key(request->given->fd, header->id, text);
    request->key = mapseg_ipc_key_from_text(text);
    return request->key != NULL ? MAPSEG_OK
                                : mapseg_system_failed(failure, ENOMEM, "no memory for its key");
}

/** Finds out whether the file can be made shorter, and judges that. */
static mapseg_result
examine_seals(const struct request *request, struct mapseg_attachment *attachment,
              struct mapseg_failure *failure)
{
    struct mapseg_file_system file_system;
    mapseg_result result;
    bool refused = false;

    /* Files with names cannot be sealed. */
    attachment->can_shrink = mapseg_attachment_is_named(attachment) ||
                             mapseg_trust_can_shrink(attachment->file.fd, &refused);
    attachment->reads_file = attachment->can_shrink && !refused;
    result = mapseg_trust_peers(attachment->can_shrink, request->options.flags, failure);
    if (result == MAPSEG_OK && !mapseg_attachment_is_named(attachment) && !refused &&
        mapseg_os.file_system(attachment->file.fd, &file_system) >= 0 &&
        strcmp(file_system.name, "hugetlbfs") == 0)
        result = mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                               "its file is on hugetlbfs, which cannot be mapped in part; use a "
                               "memory file of ordinary pages");
    return result;
}

/** Judges the open file, and reads its geometry. */
static mapseg_result
examine(struct request *request, struct mapseg_attachment *attachment, bool *can_lock,
        struct mapseg_failure *failure)
{
    bool named = mapseg_attachment_is_named(attachment);
    struct mapseg_header header;
    struct stat status;
    mapseg_result result;
    int error;

    /* The seals first: what they forbid cannot happen after the size is known. */
    result = examine_seals(request, attachment, failure);
    if (result != MAPSEG_OK)
        return result;
    error = mapseg_os.status(attachment->file.fd, &status);
    if (error < 0)
        return mapseg_system_failed(failure, -error, "the file cannot be examined");
    attachment->file.device = status.st_dev;
    attachment->file.inode = status.st_ino;
    result =
        mapseg_trust_file(&status, attachment->file.fd, named, request->options.flags, failure);
    if (result == MAPSEG_OK)
        result = mapseg_place_check(attachment->type, attachment->file.fd, failure);
    if (result == MAPSEG_OK)
        result =
            mapseg_header_read(attachment->file.fd, (uint64_t)status.st_size, &header, failure);
    if (result == MAPSEG_OK)
        result = check_demands(request, &header, failure);
    if (result == MAPSEG_OK)
        result = make_key(request, &header, failure);
    if (result != MAPSEG_OK)
        return result;
    if (mapseg_header_forbids_writing(&header)) {
        if (request->access == MAPSEG_READ_WRITE)
            return mapseg_failed(failure, MAPSEG_TOO_NEW, 0,
                                 "it has features (flags %#llx) that this library may only read; "
                                 "attach read-only or upgrade it",
                                 (unsigned long long)header.flags);
        *can_lock = false;
    }
    attachment->data_offset = (size_t)header.data_offset;
    attachment->data_size = (size_t)header.data_size;
    attachment->flags = header.flags;
    memcpy(attachment->id, header.id, sizeof attachment->id);
    request->links = status.st_nlink;
    return MAPSEG_OK;
}

/** [NAME_CHECK] Whether the name still leads here: 1, 0, or a negative errno. It was opened
 *  by that name, so as long as the file has lost no link nobody has removed it;
 *  only then is the name looked up again, which takes four times as long. */
static int
is_still_named(const struct request *request, const struct mapseg_attachment *attachment)
{
    struct stat status;

    if (!mapseg_attachment_is_named(attachment) ||
        (mapseg_os.status(attachment->file.fd, &status) >= 0 && status.st_nlink == request->links &&
         request->links == 1))
        return 1;
    return mapseg_name_leads_to(&request->name, attachment->file.device, attachment->file.inode);
}

/** Takes presence and looks once more whether the name leads here. */
static mapseg_result
appear(struct request *request, struct mapseg_attachment *attachment,
       struct mapseg_failure *failure)
{
    int error = mapseg_attachment_appear(attachment);
    int leads;

    if (error == -EAGAIN) {
        request->again = true;
        return mapseg_failed(failure, MAPSEG_TIMED_OUT, 0,
                             "another process is removing it and does not finish, or keeps others "
                             "out on purpose; see who has it");
    }
    if (error < 0)
        return mapseg_presence_failed(-error, failure);
    leads = is_still_named(request, attachment);
    if (leads == 1)
        return MAPSEG_OK;
    mapseg_presence_release(&attachment->presence, &attachment->file);
    request->again = true;
    return mapseg_failed(failure, MAPSEG_TIMED_OUT, 0,
                         "its name changes hands again and again; see who replaces it");
}

/** One try, with the fork list locked. */
static mapseg_result
attach_once(struct request *request, struct mapseg_failure *failure)
{
    struct mapseg_attachment attachment;
    bool no_fork = (request->options.flags & MAPSEG_NO_FORK) != 0;
    bool can_lock = false;
    mapseg_result result;

    request->again = false;
    mapseg_name_clear(&request->name);
    mapseg_attachment_clear(&attachment);
    result = open_key(request, &attachment, &can_lock, failure);
    if (result == MAPSEG_OK)
        result = examine(request, &attachment, &can_lock, failure);
    if (result == MAPSEG_OK && request->access == MAPSEG_READ_WRITE && !can_lock)
        result = mapseg_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                               "its descriptor is open for reading alone; attach read-only");
    if (result == MAPSEG_OK)
        result = mapseg_attachment_map(&attachment, request->access, can_lock, no_fork, failure);
    if (result == MAPSEG_OK)
        result = appear(request, &attachment, failure);
    attachment.file.directory = -1;
    mapseg_name_close(&request->name);
    if (attachment.borrowed || (request->given != NULL && result != MAPSEG_OK))
        attachment.file.fd = -1;
    if (result != MAPSEG_OK) {
        mapseg_ipc_key_free(request->key);
        request->key = NULL;
        if (attachment.file.fd >= 0)
            mapseg_close(attachment.file.fd);
        attachment.file.fd = -1;
        mapseg_attachment_drop(&attachment);
        return result;
    }
    attachment.keeps_name = (request->options.flags & MAPSEG_KEEP_NAME) != 0;
    request->seg->attachment = attachment;
    if (request->given != NULL && request->given->courier != NULL)
        mapseg_fork_deliver(request->given->courier);
    mapseg_fork_enlist(request->seg);
    mapseg_attachment_adopt(request->seg, request->access, no_fork);
    return MAPSEG_OK;
}

static mapseg_result
attach(struct request *request, struct mapseg_failure *failure)
{
    int64_t deadline = mapseg_patience_ends(request->options.timeout_ns);
    int64_t pause_ns = 0;
    mapseg_result result;

    do {
        if (mapseg_fork_lock() < 0)
            return mapseg_system_failed(failure, ENOMEM, "no memory for the fork handlers");
        result = attach_once(request, failure);
        mapseg_fork_unlock();
    } while (result != MAPSEG_OK && request->again && mapseg_wait_for_remover(&pause_ns, deadline));
    return result;
}

mapseg_result
mapseg_attach_given(mapseg *seg, const struct mapseg_given *given, mapseg_access access,
                    const mapseg_options *options, struct mapseg_failure *failure)
{
    struct request request = {.seg = seg, .access = access, .options = *options, .given = given};
    mapseg_result result = attach(&request, failure);

    if (result != MAPSEG_OK)
        return result;
    (void)mapseg_os.close_on_exec(given->fd);
    mapseg_handle_rename(seg, request.key);
    return MAPSEG_OK;
}

mapseg_result
mapseg_attach_with(mapseg *seg, mapseg_access access, const mapseg_options *options)
{
    struct request request = {.seg = seg, .access = access};
    struct mapseg_failure failure;
    mapseg_result result;

    if (mapseg_key_is_nameless(seg->key) && !mapseg_is_attached(seg))
        result = mapseg_failed(&failure, MAPSEG_KEY_ERROR, 0,
                               "the key names no descriptor; use \"memfd:\" and its number");
    else if (seg->key == NULL || (mapseg_ipc_key_is_empty(seg->key) && !mapseg_is_attached(seg)))
        result = mapseg_no_key(&failure);
    else
        result = mapseg_check_access(access, &failure);
    if (result == MAPSEG_OK)
        result = mapseg_options_read(options, &request.options, &failure);
    if (result == MAPSEG_OK) {
        mapseg_handle_settle(seg);
        if (seg->attached)
            return mapseg_refuse(seg, "attach", MAPSEG_ALREADY_ATTACHED,
                                 "this handle is attached already; detach first");
        result = attach(&request, &failure);
    }
    return result == MAPSEG_OK ? mapseg_succeed(seg) : mapseg_report(seg, "attach", &failure);
}

mapseg_result
mapseg_attach(mapseg *seg, mapseg_access access)
{
    return mapseg_attach_with(seg, access, NULL);
}
