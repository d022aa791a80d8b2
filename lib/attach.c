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

#include "file/header.h"
#include "file/key.h"
#include "file/name.h"
#include "file/place.h"
#include "file/trust.h"
#include "foreign/foreign.h"
#include "handle/forklist.h"
#include "handle/guard.h"
#include "handle/options.h"
#include "handle/reach.h"
#include "handle/report.h"
#include "mapseg-spawn.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------- plain keys in user namespaces -- */

bool
msi_attach_is_foreign(const mapseg *seg, const mapseg_options *options, const struct stat *status,
                      int fd)
{
    return seg->plain_key != NULL && status->st_uid != 0 && !msi_trust_is_own(status, fd) &&
           !(options->flags & ((uint32_t)MAPSEG_ALLOW_OTHER_OWNER | (uint32_t)MAPSEG_ALLOW_GROUP));
}

mapseg_result
msi_attach_foreign_failed(mapseg_result result, int error, const struct stat *status,
                          struct msi_failure *failure)
{
    return msi_failed(
        failure, result, error,
        "it is user %u's, as if user %u of another user namespace used this plain key "
        "in the same /dev/shm; use a native key or a /dev/shm of its own, or ask its "
        "owner to let you attach, and allow that (MAPSEG_ALLOW_OTHER_OWNER)",
        (unsigned)status->st_uid, (unsigned)msi_os.user_id());
}

/* --------------------------------------------------------------- opening -- */

static mapseg_result
cannot_be_read(int given, struct msi_failure *failure)
{
    return msi_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                      "descriptor %d is not open for reading; open it for reading too", given);
}

/** Takes the descriptor that the caller gives away as it is, without opening it anew. */
static mapseg_result
open_given(int given, struct msi_attachment *attachment, bool *writable,
           struct msi_failure *failure)
{
    int mode = msi_os.access_mode(given);

    attachment->file.fd = given;
    *writable = mode == O_RDWR;
    /* A sandbox refuses the question; reading may go all the same. */
    if (mode == O_RDWR || mode == O_RDONLY || mode == -EPERM || mode == -EACCES || mode == -ENOSYS)
        return MAPSEG_OK;
    attachment->file.fd = -1;
    if (mode == O_WRONLY || mode == -EBADFD)
        return cannot_be_read(given, failure);
    return msi_failed(failure, MAPSEG_NOT_FOUND, -mode,
                      "there is no open file behind descriptor %d; give one that can be read",
                      given);
}

/** A descriptor of our own for the file behind another's number. */
static mapseg_result
open_descriptor(int given, struct msi_attachment *attachment, bool *writable,
                struct msi_failure *failure)
{
    int mode = msi_os.access_mode(given);

    if (mode == -EPERM || mode == -EACCES || mode == -ENOSYS) {
        /* A sandbox that refuses even the question. To read, the descriptor will do as it
         * is. */
        attachment->file.fd = given;
        attachment->borrowed = true;
        *writable = false;
        return MAPSEG_OK;
    }
    if (mode == O_WRONLY || mode == -EBADFD)
        return cannot_be_read(given, failure);
    if (mode < 0)
        return msi_failed(failure, MAPSEG_NOT_FOUND, -mode,
                          "descriptor %d is not open in this process; check that it was "
                          "inherited",
                          given);
    /* Never more than the descriptor has: it may have been opened for reading
     * only so that we cannot write. */
    *writable = mode == O_RDWR;
    attachment->file.fd = msi_os.reopen(given, mode);
    if (attachment->file.fd < 0)
        attachment->file.fd = msi_os.duplicate(given);
    if (attachment->file.fd < 0)
        return msi_system_failed(failure, -attachment->file.fd,
                                 "descriptor %d cannot be duplicated", given);
    return MAPSEG_OK;
}

/* ------------------------------------------------------------- attaching -- */

/** One call of attach. */
struct request {
    mapseg *seg;
    mapseg_access access;
    mapseg_options options;
    struct msi_place place;            /**< of the key */
    const struct msi_foreign_way *way; /**< of another program's kind; NULL: mapseg's own */
    const struct msi_given *given;     /**< a descriptor; NULL: the key's file */
    struct msi_foreign *foreign;       /**< the handle's in a moment; NULL: none */
    mapseg_ipc_key *key;               /**< that the handle gets with a descriptor */
    struct msi_name name;              /**< of a key that names one; while a try lasts */
    nlink_t links;                     /**< of the file when it was examined */
    bool again;                        /**< the failure is one that passes */
    bool absent;                       /**< the failure is that it is not there, or not yet */
};

/** Opens the file that the handle's key names, in its directory. */
static mapseg_result
open_named(struct request *request, struct msi_attachment *attachment, bool *writable,
           struct msi_failure *failure)
{
    struct stat status;
    mapseg_result result = msi_place_open(
        &request->place, false, msi_options_trust(&request->options), &request->name, failure);

    /* Looked at before it is opened: to open a FIFO or a device is to use it. */
    if (result == MAPSEG_OK)
        result = msi_name_look(&request->name, &status, failure);
    if (result != MAPSEG_OK)
        return result;
    attachment->file.path = msi_copy_string(request->name.path);
    if (attachment->file.path == NULL)
        return msi_system_failed(failure, ENOMEM, "there is no memory for its path");
    attachment->file.directory = request->name.directory;
    attachment->file.fd = msi_name_open_file(&request->name, request->access, writable);
    request->again = attachment->file.fd == -EAGAIN;
    if (attachment->file.fd == -EACCES &&
        msi_attach_is_foreign(request->seg, &request->options, &status, -1))
        return msi_attach_foreign_failed(MAPSEG_PERMISSION_DENIED, EACCES, &status, failure);
    if (attachment->file.fd < 0)
        return msi_name_open_failed(-attachment->file.fd, failure);
    return MAPSEG_OK;
}

/** Opens what the handle is to be attached to. */
static mapseg_result
open_key(struct request *request, struct msi_attachment *attachment, bool *writable,
         struct msi_failure *failure)
{
    const struct msi_place *place = &request->place;
    mapseg_result result;

    attachment->type = place->type;
    attachment->trust = msi_options_trust(&request->options);
    if (request->given != NULL)
        result = open_given(request->given->fd, attachment, writable, failure);
    else if (place->type == MAPSEG_KEY_MEMFD)
        result = open_descriptor(place->descriptor, attachment, writable, failure);
    else
        result = open_named(request, attachment, writable, failure);
    request->absent = place->type != MAPSEG_KEY_MEMFD && result == MAPSEG_NOT_FOUND;
    attachment->file.writes = *writable;
    return result;
}

/** Whether the segment is the one that the caller asked for. */
static mapseg_result
check_demands(const struct request *request, const struct mapseg_header *header,
              struct msi_failure *failure)
{
    const struct msi_given *given = request->given;
    const char *wanted = request->place.id;
    char id[33];

    msi_hexadecimal(header->id, id);
    if (given != NULL && given->message != NULL &&
        (memcmp(given->message->id, header->id, sizeof header->id) != 0 ||
         given->message->data_size != header->data_size))
        return msi_failed(failure, MAPSEG_CORRUPT, 0,
                          "the message is about another segment than the one that came with "
                          "it (id %s); find out which process sent it",
                          id);
    if (*wanted != '\0' && strcmp(wanted, id) != 0)
        return msi_failed(failure, MAPSEG_NOT_FOUND, 0,
                          "another segment is behind that descriptor (id %s); check which one "
                          "was handed over",
                          id);
    if (request->options.flags & MAPSEG_REQUIRE_ID &&
        memcmp(request->options.id, header->id, sizeof header->id) != 0)
        return msi_failed(failure, MAPSEG_NOT_FOUND, 0,
                          "another segment has that name by now (id %s); check which one is "
                          "meant",
                          id);
    if (request->options.flags & MAPSEG_REQUIRE_TAG &&
        header->user_tag != request->options.user_tag)
        return msi_failed(failure, MAPSEG_WRONG_TAG, 0,
                          "its user tag is %#llx and not %#llx, so it has data of another "
                          "format; use another key, or programs of one format",
                          (unsigned long long)header->user_tag,
                          (unsigned long long)request->options.user_tag);
    if (header->data_size < request->options.minimum_size)
        return msi_failed(failure, MAPSEG_INVALID_SIZE, 0,
                          "it has %llu bytes of data and at least %zu were demanded; agree on a "
                          "size, or remove it",
                          (unsigned long long)header->data_size, request->options.minimum_size);
    return MAPSEG_OK;
}

/** Makes the key that names a given descriptor from now on. NULL: it has no header. */
static mapseg_result
make_key(struct request *request, const struct mapseg_header *header, struct msi_failure *failure)
{
    char text[MAPSEG_ENVIRONMENT_BYTES];

    if (request->given == NULL || request->given->has_key)
        return MAPSEG_OK;
    if (header == NULL)
        snprintf(text, sizeof text, "memfd:%d", request->given->fd);
    else
        msi_key_format_memfd(request->given->fd, header->id, text);
    request->key = mapseg_ipc_key_from_text(text);
    return request->key != NULL
               ? MAPSEG_OK
               : msi_system_failed(failure, ENOMEM, "there is no memory for its key");
}

/** Finds out whether the file can be made shorter, and judges that. */
static mapseg_result
examine_seals(const struct request *request, struct msi_attachment *attachment,
              struct msi_failure *failure)
{
    struct msi_file_system file_system;
    mapseg_result result;
    bool refused = false;

    /* Files with names cannot be sealed. */
    attachment->can_shrink =
        msi_attachment_is_named(attachment) || msi_trust_can_shrink(attachment->file.fd, &refused);
    attachment->cautious = attachment->can_shrink && !refused;
    result = msi_trust_peers(attachment->can_shrink, request->options.flags, failure);
    if (result == MAPSEG_OK && !msi_attachment_is_named(attachment) && !refused &&
        msi_os.file_system(attachment->file.fd, &file_system) >= 0 &&
        strcmp(file_system.name, "hugetlbfs") == 0)
        result = msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                            "its file is on hugetlbfs, which cannot be mapped in part; use a "
                            "memory file of ordinary pages");
    return result;
}

/** A file that is refused since it has two names may be about to lose the one that its creator
 *  made it by. */
static mapseg_result
wait_for_name(struct request *request, int fd, const struct stat *status, mapseg_result refusal,
              struct msi_failure *failure)
{
    struct msi_trust trust = msi_options_trust(&request->options);

    trust.flags |= (uint32_t)MAPSEG_ALLOW_HARD_LINKS;
    if (!msi_name_is_being_given(&request->name, fd, status) ||
        msi_trust_file(status, fd, true, trust, failure) != MAPSEG_OK)
        return refusal;
    request->again = true;
    return msi_failed(failure, MAPSEG_TIMED_OUT, 0,
                      "its creator is giving it its name, and does not finish; find out whether "
                      "that process is stopped, or died: then clear the segment away "
                      "(mapseg_reclaim)");
}

/** Installs the guard, if the caller asks for it, and decides how the data is read. */
static mapseg_result
choose_reach(const struct request *request, struct msi_attachment *attachment,
             const struct stat *status, struct msi_failure *failure)
{
    bool is_lazy = (int64_t)status->st_blocks * 512 < (int64_t)status->st_size;
    bool guarded = attachment->can_shrink && request->options.flags & MAPSEG_GUARDED;
    mapseg_result result = guarded ? msi_guard_install_for(failure) : MAPSEG_OK;

    if (result == MAPSEG_OK)
        msi_reach_choose(attachment, status, is_lazy, guarded);
    return result;
}

/** Takes the whole file for data. A file without any is one that its creator has not given its
 *  size yet. */
static mapseg_result
measure(struct request *request, struct msi_attachment *attachment, const struct stat *status,
        struct msi_failure *failure)
{
    size_t minimum = request->options.minimum_size;

    if (status->st_size == 0) {
        request->again = true;
        return msi_failed(
            failure, MAPSEG_TIMED_OUT, 0,
            "it has no bytes, as if its creator had not finished it; find out whether "
            "that process is stopped, or died: then remove the segment");
    }
    if ((uint64_t)status->st_size > (uint64_t)PTRDIFF_MAX)
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, 0,
                          "its %llu bytes do not fit into the address space; use a 64-bit program",
                          (unsigned long long)status->st_size);
    if ((uint64_t)status->st_size < minimum)
        return msi_failed(failure, MAPSEG_INVALID_SIZE, 0,
                          "it has %llu bytes of data and at least %zu were demanded; agree on a "
                          "size, or remove it",
                          (unsigned long long)status->st_size, minimum);
    attachment->is_raw = true;
    attachment->data_size = (size_t)status->st_size;
    attachment->file.wishes = msi_presence_has_wish(attachment->file.fd);
    return make_key(request, NULL, failure);
}

/** Reads and checks the header. */
static mapseg_result
read_header(struct request *request, struct msi_attachment *attachment, const struct stat *status,
            bool *can_lock, struct msi_failure *failure)
{
    struct mapseg_header header;
    mapseg_result result =
        msi_header_read(attachment->file.fd, (uint64_t)status->st_size, &header, failure);

    if (result == MAPSEG_OK)
        result = check_demands(request, &header, failure);
    if (result == MAPSEG_OK)
        result = make_key(request, &header, failure);
    if (result != MAPSEG_OK)
        return result;
    if (msi_header_forbids_writing(header.flags)) {
        if (request->access == MAPSEG_READ_WRITE)
            return msi_failed(failure, MAPSEG_TOO_NEW, 0,
                              "it has features (flags %#llx) that this version of mapseg must "
                              "not change; upgrade mapseg, or only read it (MAPSEG_READ_ONLY)",
                              (unsigned long long)header.flags);
        *can_lock = false;
    }
    attachment->data_offset = (size_t)header.data_offset;
    attachment->data_size = (size_t)header.data_size;
    attachment->flags = header.flags;
    memcpy(attachment->id, header.id, sizeof attachment->id);
    return MAPSEG_OK;
}

/** Judges the open file, and reads its geometry. */
static mapseg_result
examine(struct request *request, struct msi_attachment *attachment, bool *can_lock,
        struct msi_failure *failure)
{
    bool named = msi_attachment_is_named(attachment);
    struct stat status;
    mapseg_result result;
    int error;

    /* The seals first: what they forbid cannot happen after the size is known. */
    result = examine_seals(request, attachment, failure);
    if (result != MAPSEG_OK)
        return result;
    error = msi_os.status(attachment->file.fd, &status);
    if (error < 0)
        return msi_system_failed(failure, -error, "the file cannot be examined");
    attachment->file.device = status.st_dev;
    attachment->file.inode = status.st_ino;
    result = msi_trust_file(&status, attachment->file.fd, named,
                            msi_options_trust(&request->options), failure);
    if (result != MAPSEG_OK && named)
        result = wait_for_name(request, attachment->file.fd, &status, result, failure);
    if (result == MAPSEG_UNTRUSTED &&
        msi_attach_is_foreign(request->seg, &request->options, &status, attachment->file.fd))
        result = msi_attach_foreign_failed(MAPSEG_UNTRUSTED, 0, &status, failure);
    if (result == MAPSEG_OK)
        result = msi_place_check(attachment->type, attachment->file.fd, failure);
    if (result == MAPSEG_OK)
        result = request->way != NULL
                     ? measure(request, attachment, &status, failure)
                     : read_header(request, attachment, &status, can_lock, failure);
    if (result == MAPSEG_OK)
        result = choose_reach(request, attachment, &status, failure);
    request->links = status.st_nlink;
    return result;
}

/** [NAME_CHECK] Whether the name still leads here: 1, 0, or a negative errno. It was opened
 *  by that name, so as long as the file has lost no link no process has removed it. Only
 *  if it has lost one is the name looked up again, which takes four times as long. */
static int
is_still_named(const struct request *request, const struct msi_attachment *attachment)
{
    struct stat status;

    if (!msi_attachment_is_named(attachment) ||
        (msi_os.status(attachment->file.fd, &status) >= 0 && status.st_nlink == request->links &&
         request->links == 1))
        return 1;
    return msi_name_leads_to(&request->name, attachment->file.device, attachment->file.inode);
}

/** Whether a process is there that writes it, where the caller waits for one. Asked before this
 *  attachment is present: one that came and went would keep the last one out from removing
 *  the name. */
static mapseg_result
check_writer(struct request *request, const struct msi_attachment *attachment,
             struct msi_failure *failure)
{
    if (!(request->options.flags & MAPSEG_WATCH_WRITERS) || request->options.wait_ns == 0 ||
        msi_presence_is_written(attachment->file.fd, 0))
        return MAPSEG_OK;
    request->absent = true;
    return msi_failed(failure, MAPSEG_NO_WRITER, 0,
                      "there is such a segment, but no process is attached that can write it; "
                      "start one that does, or wait longer");
}

/** Takes presence and looks once more whether the name leads here. */
static mapseg_result
appear(struct request *request, struct msi_attachment *attachment, struct msi_failure *failure)
{
    int error = msi_attachment_claim_presence(attachment);
    int leads;

    if (error == -EAGAIN) {
        request->again = true;
        return msi_failed(failure, MAPSEG_TIMED_OUT, 0,
                          "another process is removing it and does not finish, or keeps others "
                          "out on purpose; find out which process has it open");
    }
    if (error < 0)
        return msi_presence_failed(-error, failure);
    leads = is_still_named(request, attachment);
    if (leads == 1)
        return MAPSEG_OK;
    msi_presence_release(&attachment->presence, &attachment->file);
    request->again = true;
    return msi_failed(failure, MAPSEG_TIMED_OUT, 0,
                      "its name changes hands again and again; find out which process replaces "
                      "it");
}

/** One try, with the fork list locked. */
static mapseg_result
attach_once(struct request *request, struct msi_failure *failure)
{
    struct msi_attachment attachment;
    bool no_fork = (request->options.flags & MAPSEG_NO_FORK) != 0;
    bool can_lock = false;
    mapseg_result result;

    request->again = false;
    request->absent = false;
    msi_name_clear(&request->name);
    msi_attachment_clear(&attachment);
    result = open_key(request, &attachment, &can_lock, failure);
    if (result == MAPSEG_OK)
        result = examine(request, &attachment, &can_lock, failure);
    if (result == MAPSEG_OK)
        result = check_writer(request, &attachment, failure);
    if (result == MAPSEG_OK && request->access == MAPSEG_READ_WRITE && !can_lock)
        result = msi_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                            "its descriptor is open for reading alone; open it for writing too, "
                            "or only read it (MAPSEG_READ_ONLY)");
    if (result == MAPSEG_OK)
        result = msi_attachment_map(&attachment, request->access, can_lock, no_fork, failure);
    if (result == MAPSEG_OK && request->options.flags & MAPSEG_LOCKED)
        result = msi_attachment_lock_memory(&attachment, failure);
    if (result == MAPSEG_OK && request->way != NULL)
        result = request->way->open(&request->foreign, &request->name, attachment.file.fd,
                                    &request->options, false, failure);
    if (result == MAPSEG_OK)
        result = appear(request, &attachment, failure);
    attachment.file.directory = -1;
    msi_name_close(&request->name);
    if (attachment.borrowed || (request->given != NULL && result != MAPSEG_OK))
        attachment.file.fd = -1;
    if (result != MAPSEG_OK) {
        mapseg_ipc_key_free(request->key);
        request->key = NULL;
        if (request->foreign != NULL)
            request->way->close(request->foreign);
        request->foreign = NULL;
        if (attachment.file.fd >= 0)
            msi_close(attachment.file.fd);
        attachment.file.fd = -1;
        msi_attachment_drop(&attachment);
        return result;
    }
    attachment.keeps_name = (request->options.flags & MAPSEG_KEEP_NAME) != 0;
    /* One that only looks leaves the segment as it found it. */
    if (!attachment.keeps_name)
        msi_attachment_note_left(&attachment, false);
    if (request->given != NULL && request->given->flight != NULL)
        msi_in_flight_remove(request->given->flight);
    request->seg->foreign = request->foreign;
    request->foreign = NULL;
    msi_handle_take(request->seg, &attachment, request->access, no_fork);
    return MAPSEG_OK;
}

/** Tries until it is done, or a remover does not finish. */
static mapseg_result
attach_now(struct request *request, struct msi_failure *failure)
{
    int64_t deadline = msi_patience_ends(request->options.timeout_ns);
    int64_t pause_ns = 0;
    mapseg_result result;

    do {
        if (msi_forklist_lock() < 0)
            return msi_forklist_lock_failed(failure);
        result = attach_once(request, failure);
        msi_forklist_unlock();
    } while (result != MAPSEG_OK && request->again && msi_wait_for_remover(&pause_ns, deadline));
    return result;
}

/** Tries until it is done, or has waited for the segment as long as the caller wants. */
static mapseg_result
attach(struct request *request, struct msi_failure *failure)
{
    int64_t wait_ns = request->options.wait_ns;
    int64_t deadline = wait_ns == 0 ? 0 : msi_deadline(wait_ns);
    int64_t pause_ns = 0;
    mapseg_result result;

    do
        result = attach_now(request, failure);
    while (result != MAPSEG_OK && request->absent && wait_ns != 0 &&
           msi_wait_for_creator(&pause_ns, deadline));
    return result;
}

mapseg_result
msi_attach_given(mapseg *seg, const struct msi_given *given, mapseg_access access,
                 const mapseg_options *options, struct msi_failure *failure)
{
    struct request request = {
        .seg = seg,
        .access = access,
        .options = *options,
        .place = {.type = MAPSEG_KEY_MEMFD, .name = "", .id = "", .descriptor = given->fd},
        .given = given,
    };
    mapseg_result result = MAPSEG_OK;

    /* What comes with a message is mapseg's own. */
    if (options->flags & MAPSEG_RAW && given->message == NULL) {
        request.way = &msi_foreign_raw;
        result = msi_foreign_check_options(request.way, options, failure);
    }
    if (result == MAPSEG_OK)
        result = attach(&request, failure);

    if (result != MAPSEG_OK)
        return result;
    (void)msi_os.close_on_exec(given->fd);
    msi_handle_rename(seg, request.key);
    return MAPSEG_OK;
}

/** Attaches to what the key leads to. A descriptor that the caller gives away becomes the
 *  handle's, which keeps its key. */
static mapseg_result
attach_key(struct request *request, struct msi_failure *failure)
{
    const struct msi_given given = {.fd = request->place.descriptor, .has_key = true};
    bool takes = request->options.flags & MAPSEG_TAKE_DESCRIPTOR && given.fd >= 0;
    mapseg_result result;

    request->given = takes ? &given : NULL;
    result = attach(request, failure);
    request->given = NULL;
    if (result == MAPSEG_OK && takes)
        (void)msi_os.close_on_exec(given.fd);
    return result;
}

mapseg_result
msi_attach_refuse(mapseg *seg, const char *operation)
{
    struct msi_failure failure;

    msi_failed(&failure, MAPSEG_ALREADY_ATTACHED, 0,
               "this handle is attached already; detach it first (mapseg_detach)");
    return msi_refuse(seg, operation, &failure);
}

mapseg_result
mapseg_attach_with(mapseg *seg, mapseg_access access, const mapseg_options *options)
{
    struct request request = {.seg = seg, .access = access};
    struct msi_failure failure;
    mapseg_result result;

    msi_place_of(seg->key, &request.place);
    if ((request.place.is_nowhere || request.place.is_new_memory) && !msi_handle_is_attached(seg))
        result = msi_options_no_key(&request.place, &failure);
    else
        result = msi_options_check_access(access, &failure);
    if (result == MAPSEG_OK)
        result = msi_options_read(options, &request.options, &failure);
    if (result == MAPSEG_OK) {
        msi_handle_drop_inherited(seg);
        if (seg->attached)
            return msi_attach_refuse(seg, "attach");
        request.way = msi_foreign_way_of(seg->key, request.options.flags);
        if (request.way != NULL)
            result = msi_foreign_check_options(request.way, &request.options, &failure);
    }
    if (result == MAPSEG_OK && msi_foreign_is_apart(request.way))
        result = request.way->attach(seg, access, &request.options, &failure);
    else if (result == MAPSEG_OK) {
        result = attach_key(&request, &failure);
    }
    return result == MAPSEG_OK ? msi_succeed(seg) : msi_report(seg, "attach", &failure);
}

mapseg_result
mapseg_attach(mapseg *seg, mapseg_access access)
{
    return mapseg_attach_with(seg, access, NULL);
}
