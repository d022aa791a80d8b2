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

#include "handle/forklist.h"
#include "file/header.h"
#include "file/key.h"
#include "file/name.h"
#include "handle/options.h"
#include "os/os.h"
#include "file/place.h"
#include "handle/report.h"
#include "file/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

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
    mapseg_handle_adopt(request->seg, request->access, no_fork);
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
            return mapseg_fork_lock_failed(failure);
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

    if (mapseg_key_is_nameless(seg->key) && !mapseg_handle_is_attached(seg))
        result = mapseg_failed(&failure, MAPSEG_KEY_ERROR, 0,
                               "the key names no descriptor; use \"memfd:\" and its number");
    else if (seg->key == NULL ||
             (mapseg_ipc_key_is_empty(seg->key) && !mapseg_handle_is_attached(seg)))
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
