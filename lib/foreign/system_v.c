/*
 * system_v.c - System V shared memory, and beside it the semaphore that QSharedMemory has.
 *
 * Each step is what QSharedMemory does, so that both can meet; where that would undo exclusion, or
 * remove what others use, it is left out:
 *
 *   attach  without a key file, or a segment, nothing is touched; else the lock is taken, joining
 *           or making its set; the segment mapped; the lock given back
 *   create  the key file is made, or found; the lock taken; the segment made; the lock given back
 *   detach  under the lock: the segment is unmapped, and if no process has it mapped any more, it,
 *           the semaphore and the key file are removed
 *
 * The kernel counts who is attached. Children that fork() makes count too, until they end.
 *
 * SPDX-License-Identifier: MIT
 */
#include "system_v.h"

#include "handle/forklist.h"
#include "handle/options.h"
#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ipc.h>

/** One call of create or attach. */
struct request {
    mapseg *seg;
    const mapseg_options *options;
    size_t size;
    mapseg_access access;
    int64_t deadline; /**< for the lock */
    struct msi_system_v_handle *own;
    void *base; /**< mapped; kept out of children until it is the handle's */
    bool again; /**< the failure is one that passes */
    /* Made by this very try. */
    bool made_file;
    bool made_lock_file;
    bool made_set;
    bool made_segment;
};

static struct msi_system_v_handle *
own_of(const mapseg *seg)
{
    return (struct msi_system_v_handle *)seg->foreign;
}

static void
give(struct msi_system_v_handle *own)
{
    struct msi_failure ignored;

    if (msi_system_v_lock_is_held(&own->lock))
        (void)msi_system_v_lock_give(&own->lock, &ignored);
}

/* --------------------------------------------------------------- mapping -- */

static mapseg_result
map_failed(const struct request *request, int error, struct msi_failure *failure)
{
    if (error == EACCES)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, error,
                          "this user may not %s the segment; ask its owner, or only read it "
                          "(MAPSEG_READ_ONLY)",
                          request->access == MAPSEG_READ_ONLY ? "read" : "write");
    if (msi_system_v_is_gone(-error))
        return msi_failed(failure, MAPSEG_NOT_FOUND, 0,
                          "the segment is being removed; create it, or try again");
    return msi_map_failed(failure, error, request->size);
}

/** Maps the segment. Until it is the handle's no child gets it, or the segment would not go
 *  before that child ends. */
static mapseg_result
map(struct request *request, bool read_only, void **base, struct msi_failure *failure)
{
    int error = 0;

    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    *base = msi_os.system_v_attach(request->own->segment, read_only, &error);
    if (*base != NULL) {
        int hidden = msi_os.hide_from_children(*base, request->size);

        if (hidden < 0 && request->options->flags & MAPSEG_NO_FORK) {
            msi_os.system_v_detach(*base);
            *base = NULL;
            msi_forklist_unlock();
            return msi_hide_failed(failure, -hidden);
        }
        /* As with segments of mapseg's own: a dump of it would delay its owner's death. */
        if (!(request->options->flags & MAPSEG_DUMP))
            (void)msi_os.leave_out_of_dumps(*base, request->size);
    }
    msi_forklist_unlock();
    return *base != NULL ? MAPSEG_OK : map_failed(request, -error, failure);
}

static void
unmap(struct request *request)
{
    if (request->base != NULL)
        msi_os.system_v_detach(request->base);
    request->base = NULL;
}

/** Makes the mapping the handle's, which has the lock until then. */
static mapseg_result
take(struct request *request, struct msi_failure *failure)
{
    bool no_fork = (request->options->flags & MAPSEG_NO_FORK) != 0;
    size_t page = msi_os.page_size();
    struct msi_attachment attachment;
    mapseg_result result = MAPSEG_OK;

    msi_attachment_clear(&attachment);
    attachment.base = request->base;
    attachment.bytes = (request->size + page - 1) / page * page;
    attachment.data_size = request->size;
    attachment.type = mapseg_ipc_key_type(request->seg->key);
    attachment.trust = msi_options_trust(request->options);
    attachment.keeps_name = request->own->keeps_name;
    if (request->options->flags & MAPSEG_LOCKED)
        result = msi_attachment_lock_memory(&attachment, failure);
    if (result != MAPSEG_OK)
        return result;
    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    if (!no_fork)
        (void)msi_os.show_to_children(request->base, request->size);
    request->seg->foreign = &request->own->foreign;
    msi_handle_take(request->seg, &attachment, request->access, no_fork);
    msi_forklist_unlock();
    give(request->own);
    request->own = NULL;
    return MAPSEG_OK;
}

/* -------------------------------------------------------------- the lock -- */

/** Takes the lock of a segment that is being created, attached to or removed, and looks whether
 *  the path still leads to its key file. */
static mapseg_result
enter(struct request *request, struct msi_failure *failure)
{
    struct msi_system_v_handle *own = request->own;
    bool gone = false;
    mapseg_result result;

    result = msi_system_v_look_at_lock(own, &request->made_lock_file, failure);
    if (result == MAPSEG_OK)
        result = msi_system_v_lock_join(&own->lock, &request->made_set, failure);
    if (result == MAPSEG_OK)
        result = msi_system_v_lock_take(&own->lock, true, request->deadline, &gone, failure);
    request->again = gone;
    if (result != MAPSEG_OK)
        return result;
    if (msi_key_file_is_same(&own->file) &&
        (!own->has_own_file || msi_key_file_is_same(&own->lock.file)))
        return MAPSEG_OK;
    request->again = true;
    return msi_failed(failure, MAPSEG_TIMED_OUT, 0,
                      "its key file is replaced again and again; find out which process does it");
}

/** Whether what this try made is of no use to others: no segment was made by it meanwhile, and this
 *  try holds the lock; or has made that, and no other process holds it or waits for it. */
static bool
is_useless(const struct request *request, int set)
{
    struct msi_system_v status;

    if (msi_os.system_v_segment(request->own->file.key, 0, 0) != -ENOENT)
        return false;
    return set < 0 || msi_system_v_lock_is_held(&request->own->lock) ||
           (request->made_set && msi_os.system_v_set_status(set, &status) >= 0 &&
            status.value == 1 && status.waiters == 0);
}

/** Gives up a try: what it made goes, unless another process uses it by now. */
static void
abandon(struct request *request)
{
    struct msi_system_v_handle *own = request->own;
    int set = atomic_load_explicit(&own->lock.set, memory_order_relaxed);
    struct msi_failure ignored;

    unmap(request);
    if (request->made_segment)
        (void)msi_os.system_v_segment_remove(own->segment);
    if (is_useless(request, set)) {
        if (request->made_file)
            (void)msi_key_file_remove(&own->file, &ignored);
        if (request->made_lock_file)
            (void)msi_key_file_remove(&own->lock.file, &ignored);
        if (request->made_set)
            (void)msi_os.system_v_set_remove(set);
    }
    give(own);
    request->made_file = request->made_lock_file = request->made_set = request->made_segment =
        false;
    atomic_store_explicit(&own->lock.set, -1, memory_order_relaxed);
}

/** Does a thing until it is done, or its failure is one that does not pass. */
static mapseg_result
persist(struct request *request,
        mapseg_result (*once)(struct request *request, struct msi_failure *failure),
        struct msi_failure *failure)
{
    int64_t pause_ns = 0;
    mapseg_result result;

    do {
        request->again = false;
        result = once(request, failure);
        if (result != MAPSEG_OK)
            abandon(request);
    } while (result != MAPSEG_OK && request->again &&
             msi_wait_for_remover(&pause_ns, request->deadline));
    return result;
}

/* -------------------------------------------------------------- creating -- */

static mapseg_result
cannot_be_made(const struct request *request, int error, struct msi_failure *failure)
{
    unsigned long long size = request->size;

    switch (error) {
    case EEXIST:
        return msi_failed(failure, MAPSEG_ALREADY_EXISTS, error,
                          "there is a segment with that key; attach to it, or replace it if no "
                          "process uses it (MAPSEG_RECLAIM)");
    case EINVAL:
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, 0,
                          "its %llu bytes are more than the system allows for one segment; give a "
                          "smaller size, or raise the limit (kernel.shmmax)",
                          size);
    case ENOSPC:
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, 0,
                          "with its %llu bytes there were more System V segments, or more memory "
                          "in them, than the system allows; remove those that are not used "
                          "(ipcs -m, ipcrm), or raise the limits (kernel.shmmni, kernel.shmall)",
                          size);
    case ENOMEM:
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, error,
                          "there is no memory for its %llu bytes; free some, or give a smaller "
                          "size",
                          size);
    default:
        return msi_system_failed(failure, error, "the segment cannot be made");
    }
}

/** Above this the kernel does not refuse memory, it kills. */
static mapseg_result
check_memory(const struct request *request, struct msi_failure *failure)
{
    if (request->options->flags & MAPSEG_LAZY || msi_os.memory_suffices(request->size))
        return MAPSEG_OK;
    return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, ENOMEM,
                      "its %llu bytes are more memory than there is for this process; free some, "
                      "or give a smaller size",
                      (unsigned long long)request->size);
}

/** Brings the memory in, which the system gives only when it is touched, and kills where there is
 *  none. Kernels before 5.14 cannot do it by themselves: there it is as with MAPSEG_LAZY. */
static mapseg_result
reserve(const struct request *request, struct msi_failure *failure)
{
    int error = 0;

    if (!(request->options->flags & MAPSEG_LAZY))
        error = msi_os.populate(request->base, request->size);
    if (error == -ENOMEM || error == -ENOSPC)
        return cannot_be_made(request, ENOMEM, failure);
    return MAPSEG_OK;
}

/** Lets the caller fill the data. No other process comes to it, since the lock is held. */
static mapseg_result
initialize(const struct request *request, struct msi_failure *failure)
{
    const mapseg_options *options = request->options;
    mapseg_result result;
    int before;

    if (options->initialize == NULL)
        return MAPSEG_OK;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    result = options->initialize(request->base, request->size, options->initialize_argument);
    (void)pthread_setcancelstate(before, NULL);
    return result == MAPSEG_OK
               ? MAPSEG_OK
               : msi_failed(failure, result, 0,
                            "the program's initialiser gave it up (%s); see what the program "
                            "says of it",
                            mapseg_result_text(result));
}

/** Maps the new segment for the caller to fill, and then as the handle has it. */
static mapseg_result
fill(struct request *request, struct msi_failure *failure)
{
    mapseg_result result = map(request, false, &request->base, failure);
    void *to_read;

    if (result == MAPSEG_OK)
        result = reserve(request, failure);
    if (result == MAPSEG_OK)
        result = initialize(request, failure);
    if (result != MAPSEG_OK || request->access != MAPSEG_READ_ONLY)
        return result;
    result = map(request, true, &to_read, failure);
    if (result != MAPSEG_OK)
        return result;
    unmap(request);
    request->base = to_read;
    return MAPSEG_OK;
}

/** Removes the segment that has the key, if no process has it mapped: the lock is held, so none
 *  can come meanwhile. */
static mapseg_result
clear_key(struct msi_system_v_handle *own, struct msi_failure *failure)
{
    struct msi_system_v status;
    mapseg_result result = msi_system_v_find(own, &status, failure);
    int error;

    if (result == MAPSEG_OK)
        result = msi_system_v_judge(&status, own->file.trust, failure);
    if (result != MAPSEG_OK)
        return result;
    if (status.attached != 0)
        return msi_failed(failure, MAPSEG_ALREADY_EXISTS, EEXIST,
                          "there is a segment with that key, and a process is attached to it; "
                          "attach to it too, or end that process");
    error = msi_os.system_v_segment_remove(own->segment);
    return error >= 0 || msi_system_v_is_gone(error)
               ? MAPSEG_OK
               : msi_system_failed(failure, -error, "the old segment cannot be removed");
}

/** Makes the segment; the lock is held. */
static mapseg_result
make_segment(struct request *request, struct msi_failure *failure)
{
    struct msi_system_v_handle *own = request->own;
    int flags = IPC_CREAT | IPC_EXCL | (int)own->lock.mode;
    mapseg_result result;
    int segment = msi_os.system_v_segment(own->file.key, request->size, flags);

    if (segment == -EEXIST && request->options->flags & MAPSEG_RECLAIM) {
        result = clear_key(own, failure);
        if (result != MAPSEG_OK && result != MAPSEG_NOT_FOUND)
            return result;
        segment = msi_os.system_v_segment(own->file.key, request->size, flags);
    }
    if (segment < 0)
        return cannot_be_made(request, -segment, failure);
    own->segment = segment;
    request->made_segment = true;
    return MAPSEG_OK;
}

static mapseg_result
create_once(struct request *request, struct msi_failure *failure)
{
    mapseg_result result;

    /* It stays when its creator leaves; that others are to leave it can be written nowhere. */
    if (request->options->flags & MAPSEG_PERSISTENT)
        request->own->keeps_name = true;
    result = msi_key_file_make(&request->own->file, &request->made_file, failure);

    if (result == MAPSEG_OK)
        result = enter(request, failure);
    if (result == MAPSEG_OK)
        result = make_segment(request, failure);
    if (result != MAPSEG_OK)
        return result;
    result = fill(request, failure);
    return result == MAPSEG_OK ? take(request, failure) : result;
}

/** Does what create and attach have in common. */
static mapseg_result
run(struct request *request,
    mapseg_result (*once)(struct request *request, struct msi_failure *failure),
    struct msi_failure *failure)
{
    mapseg_result result;

    request->own = msi_system_v_new(request->seg, request->options, failure);
    if (request->own == NULL)
        return failure->result;
    request->own->foreign.way = &msi_foreign_system_v;
    if (request->options->mode != 0)
        request->own->lock.mode = request->options->mode;
    request->deadline = msi_patience_ends(request->options->timeout_ns);
    result = persist(request, once, failure);
    free(request->own);
    return result;
}

static mapseg_result
create(mapseg *seg, size_t size, mapseg_access access, const mapseg_options *options,
       struct msi_failure *failure)
{
    struct request request = {.seg = seg, .options = options, .size = size, .access = access};
    mapseg_result result;

    if (options->group != 0)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "System V segments are not given to a group here; give a mode, or use "
                          "a key of mapseg's own");
    result = check_memory(&request, failure);
    return result == MAPSEG_OK ? run(&request, create_once, failure) : result;
}

/* ------------------------------------------------------------- attaching -- */

static mapseg_result
check_size(const struct request *request, const struct msi_system_v *status,
           struct msi_failure *failure)
{
    if (status->bytes >= request->options->minimum_size)
        return MAPSEG_OK;
    return msi_failed(failure, MAPSEG_INVALID_SIZE, 0,
                      "it has %llu bytes of data and at least %zu were demanded; agree on a "
                      "size, or remove it",
                      (unsigned long long)status->bytes, request->options->minimum_size);
}

/** Finds and judges the segment that the key file leads to. */
static mapseg_result
find(struct request *request, struct msi_system_v *status, struct msi_failure *failure)
{
    struct msi_system_v_handle *own = request->own;
    mapseg_result result = msi_system_v_find(own, status, failure);

    if (result == MAPSEG_OK)
        result = msi_system_v_judge(status, own->file.trust, failure);
    if (result == MAPSEG_OK)
        result = check_size(request, status, failure);
    return result;
}

/** Takes the lock of a segment that is there. One that this user may not lock, but read, is
 *  attached to without it. */
static mapseg_result
enter_to_attach(struct request *request, struct msi_failure *failure)
{
    mapseg_result result = enter(request, failure);

    if (result != MAPSEG_PERMISSION_DENIED || request->access != MAPSEG_READ_ONLY)
        return result;
    request->own->can_lock = false;
    return MAPSEG_OK;
}

static mapseg_result
attach_once(struct request *request, struct msi_failure *failure)
{
    struct msi_system_v_handle *own = request->own;
    bool read_only = request->access == MAPSEG_READ_ONLY;
    struct msi_system_v status;
    mapseg_result result = msi_key_file_look(&own->file, failure);

    own->can_lock = true;
    if (result == MAPSEG_OK)
        result = find(request, &status, failure);
    if (result != MAPSEG_OK)
        return result;
    own->lock.mode = status.mode;
    result = enter_to_attach(request, failure);
    /* Before the lock was taken the segment may have been removed, and another made. */
    if (result == MAPSEG_OK)
        result = find(request, &status, failure);
    if (result != MAPSEG_OK)
        return result;
    request->size = (size_t)status.bytes;
    result = map(request, read_only, &request->base, failure);
    return result == MAPSEG_OK ? take(request, failure) : result;
}

static mapseg_result
attach(mapseg *seg, mapseg_access access, const mapseg_options *options,
       struct msi_failure *failure)
{
    int64_t end = options->wait_ns == 0 ? 0 : msi_deadline(options->wait_ns);
    int64_t pause_ns = 0;
    mapseg_result result;

    do {
        struct request request = {.seg = seg, .options = options, .access = access};

        result = run(&request, attach_once, failure);
    } while (result == MAPSEG_NOT_FOUND && options->wait_ns != 0 &&
             msi_wait_for_creator(&pause_ns, end));
    return result;
}

/* --------------------------------------------------------------- leaving -- */

/** Removes the segment if no process has it mapped any more; the lock is held. */
static mapseg_result
leave_as_last(struct msi_system_v_handle *own, struct msi_failure *failure)
{
    struct msi_system_v status;
    int error = msi_os.system_v_segment_status(own->segment, &status);

    if (error >= 0 && status.attached != 0)
        return MAPSEG_OK;
    if (error >= 0)
        error = msi_os.system_v_segment_remove(own->segment);
    if (error == -EPERM || error == -EACCES)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, -error,
                          "this was the last one out, and only its owner may remove it; have that "
                          "user remove it");
    if (error < 0 && !msi_system_v_is_gone(error))
        return msi_system_failed(failure, -error,
                                 "it cannot be told whether this was the last one out");
    return msi_system_v_clear_up(own, failure);
}

/** Leaves without the lock, which could not be had; that counts only where the segment would have
 *  to be removed. */
static mapseg_result
leave_unlocked(const struct msi_system_v_handle *own, mapseg_result refusal,
               struct msi_failure *failure)
{
    struct msi_system_v status;

    if (msi_os.system_v_segment_status(own->segment, &status) < 0 || status.attached != 0)
        return MAPSEG_OK;
    if (refusal != MAPSEG_TIMED_OUT)
        return refusal;
    return msi_failed(failure, refusal, 0,
                      "this was the last one out, but the lock is held, so that a process may be "
                      "attaching; remove it if there is none (mapseg_reclaim)");
}

static mapseg_result
detach(mapseg *seg, struct msi_failure *failure)
{
    struct msi_system_v_handle *own = own_of(seg);
    mapseg_result result = MAPSEG_OK;
    bool removes = own->can_lock && !own->keeps_name;

    /* A lock held by another thread of this handle is the handle's, too. */
    if (removes && !msi_system_v_lock_is_held(&own->lock))
        result = msi_system_v_lock_take(&own->lock, true, msi_patience_ends(MAPSEG_TIMEOUT_DEFAULT),
                                        NULL, failure);
    msi_os.system_v_detach(seg->attachment.base);
    seg->attachment.base = NULL;
    if (removes)
        result = result == MAPSEG_OK ? leave_as_last(own, failure)
                                     : leave_unlocked(own, result, failure);
    give(own);
    seg->foreign = NULL;
    free(own);
    return result;
}

/** Removes what was found: the segment, if any, and what leads to it. */
static mapseg_result
remove_found(struct msi_system_v_handle *own, bool force, struct msi_failure *failure)
{
    struct msi_system_v status;
    mapseg_result result = msi_system_v_find(own, &status, failure);
    int error = 0;

    if (result == MAPSEG_NOT_FOUND)
        return msi_system_v_clear_up(own, failure);
    if (result == MAPSEG_OK)
        result = msi_system_v_judge(&status, own->file.trust, failure);
    if (result != MAPSEG_OK)
        return result;
    if (status.attached != 0 && !force)
        return msi_failed(failure, MAPSEG_IN_USE, 0,
                          "%llu attachments are there; end those processes, or remove it all the "
                          "same (mapseg_remove)",
                          (unsigned long long)status.attached);
    error = msi_os.system_v_segment_remove(own->segment);
    if (error < 0 && !msi_system_v_is_gone(error))
        return msi_system_failed(failure, -error, "the segment cannot be removed");
    return msi_system_v_clear_up(own, failure);
}

/** Finds the set, if there is one. NOT_FOUND: there is neither that nor a segment; but a key file
 *  alone counts with `force`. */
static mapseg_result
find_to_remove(struct msi_system_v_handle *own, bool force, struct msi_failure *failure)
{
    struct msi_system_v status;
    mapseg_result result = msi_key_file_look(&own->file, failure);
    int set;

    if (result != MAPSEG_OK)
        return result;
    if (!own->has_own_file)
        own->lock.file = own->file;
    else if (msi_key_file_look(&own->lock.file, failure) != MAPSEG_OK)
        return force ? MAPSEG_OK : msi_system_v_find(own, &status, failure);
    set = msi_os.system_v_set(own->lock.file.key, 0);
    if (set < 0 && set != -ENOENT)
        return msi_system_failed(failure, -set, "its semaphore cannot be examined");
    atomic_store_explicit(&own->lock.set, set < 0 ? -1 : set, memory_order_relaxed);
    return set < 0 && !force ? msi_system_v_find(own, &status, failure) : MAPSEG_OK;
}

static mapseg_result
remove_own(const mapseg *seg, struct msi_system_v_handle *own, const mapseg_options *options,
           bool force, struct msi_failure *failure)
{
    bool held = msi_handle_is_attached(seg) && msi_system_v_lock_is_held(&own_of(seg)->lock);
    mapseg_result result = find_to_remove(own, force, failure);
    bool gone = false;

    if (result != MAPSEG_OK)
        return result;
    if (!held && atomic_load_explicit(&own->lock.set, memory_order_relaxed) >= 0)
        result = msi_system_v_lock_take(&own->lock, true, msi_patience_ends(options->timeout_ns),
                                        &gone, failure);
    if (result != MAPSEG_OK && !gone && !(force && result == MAPSEG_TIMED_OUT))
        return result;
    result = remove_found(own, force, failure);
    give(own);
    return result;
}

static mapseg_result
remove_segment(mapseg *seg, bool force, const mapseg_options *options, struct msi_failure *failure)
{
    struct msi_system_v_handle *own = msi_system_v_new(seg, options, failure);
    mapseg_result result;

    if (own == NULL)
        return failure->result;
    result = remove_own(seg, own, options, force, failure);
    free(own);
    return result;
}

/* --------------------------------------------------------------- locking -- */

static mapseg_result
lock(mapseg *seg, bool wait, int64_t deadline, struct msi_failure *failure)
{
    struct msi_system_v_handle *own = own_of(seg);

    if (!own->can_lock)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                          "this process may only read it, and the lock has to be written; ask its "
                          "owner for permission to write");
    return msi_system_v_lock_take(&own->lock, wait, deadline, NULL, failure);
}

static mapseg_result
unlock(mapseg *seg, struct msi_failure *failure)
{
    return msi_system_v_lock_give(&own_of(seg)->lock, failure);
}

static mapseg_result
consistent(mapseg *seg, struct msi_failure *failure)
{
    return msi_system_v_lock_is_held(&own_of(seg)->lock)
               ? MAPSEG_OK
               : msi_failed(failure, MAPSEG_NOT_LOCKED, 0,
                            "this handle does not hold the lock; lock first");
}

/** The set of a handle's key, or -1: there is none. */
static mapseg_result
find_set(const mapseg *seg, int *set, struct msi_failure *failure)
{
    const mapseg_options defaults = MAPSEG_OPTIONS_INIT;
    struct msi_system_v_handle *own;
    mapseg_result result;

    if (msi_handle_is_attached(seg)) {
        *set = atomic_load_explicit(&own_of(seg)->lock.set, memory_order_relaxed);
        return MAPSEG_OK;
    }
    own = msi_system_v_new(seg, &defaults, failure);
    if (own == NULL)
        return failure->result;
    result = msi_key_file_look(own->has_own_file ? &own->lock.file : &own->file, failure);
    if (result == MAPSEG_OK)
        *set = msi_os.system_v_set(own->has_own_file ? own->lock.file.key : own->file.key, 0);
    free(own);
    return result;
}

static mapseg_result
repair(mapseg *seg, bool force, struct msi_failure *failure)
{
    int set = -1;
    mapseg_result result = find_set(seg, &set, failure);

    if (result != MAPSEG_OK)
        return result;
    return set < 0 ? msi_system_failed(failure, -set, "its semaphore cannot be found")
                   : msi_system_v_lock_repair(set, force, failure);
}

const struct msi_foreign_way msi_foreign_system_v = {
    .name = "System V",
    /* The kernel counts the attachments, and gives the lock to those that wait in order. */
    .flags = (uint32_t)MAPSEG_RECLAIM | (uint32_t)MAPSEG_STALE_ONLY | (uint32_t)MAPSEG_FAIR,
    .create = create,
    .attach = attach,
    .detach = detach,
    .remove = remove_segment,
    .info = msi_system_v_info,
    .lock = lock,
    .unlock = unlock,
    .consistent = consistent,
    .repair = repair,
};
