/*
 * create.c - making a segment that no process ever sees half made.
 *
 * The file has no name while it is sized, reserved and given its header and
 * its creator's presence; the name comes last, in one step that fails if the
 * name is taken ([INITIALIZE], [CLAIM_NEW] and then [LINK] in tests/model/name.pml). Where a
 * file cannot be without a name it has a private one. One that replaces another segment gets
 * the name by a rename ([RENAME]), while the name byte of the other one is held.
 *
 * SPDX-License-Identifier: MIT
 */
#include "attach.h"
#include "file/header.h"
#include "file/key.h"
#include "file/place.h"
#include "file/trust.h"
#include "foreign/foreign.h"
#include "handle/fork.h"
#include "handle/forklist.h"
#include "handle/guard.h"
#include "handle/options.h"
#include "handle/reach.h"
#include "handle/report.h"
#include "os/os.h"
#include "os/printable.h"
#include "os/probe.h"
#include "remove.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** The seals of a memfd that its holders share, and of one that only its
 *  creator can write, through the mapping that is there before. */
#define SHARED_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define SINGLE_WRITER_SEALS (SHARED_SEALS | F_SEAL_FUTURE_WRITE)

/** Below this no file gets a huge page. */
#define HUGE_PAGE_BYTES (2 * 1024 * 1024)

/** The name of a memory file, for people who read a list of mappings: this, and where there is
 *  a label "-" and that. */
#define MEMORY_NAME "mapseg"
/** Each byte of a label may come to be four. */
#define MEMORY_NAME_BYTES (sizeof MEMORY_NAME "-" + 4 * MAPSEG_LABEL_BYTES)

/** How often a name that comes and goes is tried for. */
#define NAME_TRIES 16

/** One call of create. */
struct request {
    mapseg *seg;
    size_t size;
    mapseg_access access;
    mapseg_options options;
    struct msi_place place;
    const struct msi_foreign_way *way;   /**< of another program's kind; NULL: mapseg's own */
    struct msi_foreign *foreign;         /**< the same; NULL: none */
    struct msi_attachment attachment;    /**< the handle's when it is complete */
    struct msi_fd_in_flight file_flight; /**< of the new file, until then */
    struct msi_name name;                /**< without a path: memfd */
    struct msi_fd_in_flight name_flight; /**< of the name's directory */
    char *private_path;                  /**< until the segment is complete; NULL: none */
    bool unseen;                         /**< the name does not show the creator's presence */
    bool refused;                        /**< by the caller's initialiser */
    bool again;                          /**< the failure to name it is one that passes */
    bool needs_name;                     /**< only a file that has a name can replace another */
};

/* ---------------------------------------------------------------- limits -- */

/** Where the data begins: of another program's kind, which has no header, at once. */
static uint64_t
data_offset(const struct request *request)
{
    return request->way != NULL ? 0 : msi_header_data_offset();
}

static uint64_t
file_bytes(const struct request *request)
{
    return data_offset(request) + request->size;
}

static mapseg_result
check_size(const struct request *request, struct msi_failure *failure)
{
    if (request->size == 0)
        return msi_failed(failure, MAPSEG_INVALID_SIZE, 0, "the size is 0; give at least one byte");
    if (request->size > (size_t)PTRDIFF_MAX)
        return msi_failed(failure, MAPSEG_INVALID_SIZE, 0,
                          "the size, %zu bytes, is more than any object can have (or was "
                          "negative); give a smaller one",
                          request->size);
    return MAPSEG_OK;
}

/** What would kill this process, or the whole machine, if it were tried. */
static mapseg_result
check_limits(const struct request *request, struct msi_failure *failure)
{
    uint64_t bytes = file_bytes(request);
    uint64_t limit = msi_os.file_size_limit();

    if (bytes > (uint64_t)PTRDIFF_MAX)
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, 0,
                          "%zu bytes do not fit into the address space; give a smaller size",
                          request->size);
    if (bytes > limit)
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, EFBIG,
                          "its %llu bytes are above this process's file size limit of %llu; "
                          "raise it (ulimit -f)",
                          (unsigned long long)bytes, (unsigned long long)limit);
    return MAPSEG_OK;
}

/** Whether the memory comes with the first touch of each page. Memory that is to be kept is
 *  touched at once. */
static bool
is_lazy(const struct request *request)
{
    return (request->options.flags & MAPSEG_LAZY) && !(request->options.flags & MAPSEG_LOCKED);
}

static mapseg_result
check_room(const struct request *request, int fd, struct msi_failure *failure)
{
    struct msi_file_system file_system;
    uint64_t bytes = file_bytes(request);
    int error = msi_os.file_system(fd, &file_system);

    if (error < 0)
        return msi_system_failed(failure, -error, "its file system cannot be examined");
    if (is_lazy(request))
        return MAPSEG_OK;
    /* Reserving step by step would fill the file system up before it fails, and other
     * programs' writes would fail meanwhile. */
    if (file_system.limited && bytes > file_system.available)
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, ENOSPC,
                          "its %llu bytes do not fit into the %llu that its file system has "
                          "left; free some, or give a smaller size",
                          (unsigned long long)bytes, (unsigned long long)file_system.available);
    /* Above this the kernel does not refuse memory, it kills. */
    if (file_system.ram_backed && !msi_os.memory_suffices(bytes))
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, ENOMEM,
                          "its %llu bytes are more memory than there is for this process; free "
                          "some, or give a smaller size",
                          (unsigned long long)bytes);
    return MAPSEG_OK;
}

/* -------------------------------------------------------------- the file -- */

/** Whether the segment gets a name. */
static bool
is_named(const struct request *request)
{
    return request->name.path != NULL;
}

/** The private name, in the directory of the other one. */
static const char *
private_name(const struct request *request)
{
    return strrchr(request->private_path, '/') + 1;
}

/** Makes up a private name. It begins as the segment's own name does: a rule about names that
 *  allows the one, by its beginning, allows the other. */
static int
make_private(struct request *request)
{
    size_t above = (size_t)(request->name.last - request->name.path);
    size_t own = strlen(request->name.last);
    size_t room = NAME_MAX - (sizeof MSI_PRIVATE_MARK - 1) - MSI_PRIVATE_DIGITS;
    size_t bytes;
    uint64_t number;
    int error = msi_os.random(&number, sizeof number);

    if (error < 0)
        return error;
    own = own < room ? own : room;
    bytes = above + own + sizeof MSI_PRIVATE_MARK + MSI_PRIVATE_DIGITS;
    request->private_path = malloc(bytes);
    if (request->private_path == NULL)
        return -ENOMEM;
    snprintf(request->private_path, bytes, "%.*s" MSI_PRIVATE_MARK "%016llx", (int)(above + own),
             request->name.path, (unsigned long long)number);
    return 0;
}

/** Opens a new file with a private name in the directory. */
static int
open_private(struct request *request, mode_t mode)
{
    int error = make_private(request);

    return error < 0 ? error
                     : msi_os.open_new(request->name.directory, private_name(request), mode);
}

/** What the segment is called, for people; NULL: nothing. */
static const char *
label_of(const struct request *request)
{
    return request->options.label != NULL ? request->options.label : request->seg->plain_key;
}

/** Opens a new memory file, whose name is for people too. */
static int
open_memory(const struct request *request)
{
    const char *label = label_of(request);
    char name[MEMORY_NAME_BYTES] = MEMORY_NAME "-";

    if (label == NULL || *label == '\0')
        return msi_os.memory_file(MEMORY_NAME);
    (void)msi_printable(name + strlen(name), sizeof name - strlen(name), &label,
                        MSI_PRINTABLE_TEXT);
    return msi_os.memory_file(name);
}

/** Opens a new file that no other process can open by the key; `named`: not without any
 *  name either. */
static int
open_file(struct request *request, bool named)
{
    int fd = -EOPNOTSUPP;

    if (!is_named(request))
        return open_memory(request);
    if (!named)
        fd = msi_os.open_unnamed(request->name.directory, 0600);
    /* Old kernels and some file systems, each in its own way; and rules about names, which
     * have none for such a file. */
    if (fd == -EOPNOTSUPP || fd == -EISDIR || fd == -EINVAL || fd == -ENOSYS || fd == -EACCES ||
        fd == -EPERM)
        fd = open_private(request, 0600);
    return fd;
}

static bool
is_single(const struct request *request)
{
    return (request->options.flags & MAPSEG_SINGLE_WRITER) != 0;
}

/** The permission bits that the file gets. */
static mode_t
final_mode(const struct request *request)
{
    if (request->options.mode != 0)
        return request->options.mode;
    return request->options.group != 0 ? 0660 : 0600;
}

/** Whether some may read the file and not write it, so that they can wait for changes, and not
 *  announce that they do. */
static bool
has_silent_waiters(const struct request *request)
{
    mode_t mode = final_mode(request);

    if (request->options.flags & (MAPSEG_SILENT_WAITERS | MAPSEG_NO_SILENT_WAITERS))
        return (request->options.flags & MAPSEG_SILENT_WAITERS) != 0;
    return !is_named(request) || (mode & 0040 && !(mode & 0020)) || (mode & 0004 && !(mode & 0002));
}

/** What the options say, for the header. */
static uint64_t
header_flags(const struct request *request)
{
    return (request->options.flags & MAPSEG_PERSISTENT ? MAPSEG_HEADER_PERSISTENT : 0) |
           (request->options.flags & MAPSEG_FAIR ? MAPSEG_HEADER_FAIR : 0) |
           (has_silent_waiters(request) ? MAPSEG_HEADER_SILENT_WAITERS : 0);
}

/** Gives the file to its group, if it has one, and then lets others in: in this order, or the
 *  group that new files get could open it. */
static mapseg_result
give_file(const struct request *request, int fd, struct msi_failure *failure)
{
    uint32_t group = (uint32_t)request->options.group;
    int error = group != 0 ? msi_os.set_group(fd, group) : 0;

    if (error == -EPERM || error == -EINVAL)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, -error,
                          "this user may not give it to group %u; give a group that the user is "
                          "a member of",
                          (unsigned)group);
    if (error < 0)
        return msi_system_failed(failure, -error, "its group cannot be set");
    error = msi_os.set_mode(fd, final_mode(request));
    return error < 0 ? msi_system_failed(failure, -error, "its mode cannot be set") : MAPSEG_OK;
}

/** Gives the file its group, its mode and its size. */
static mapseg_result
shape_file(const struct request *request, int fd, struct msi_failure *failure)
{
    mapseg_result result = give_file(request, fd, failure);
    int error;

    if (result != MAPSEG_OK)
        return result;
    /* While the file is empty. Where it was refused, and is needed, a full disk is SIGBUS. */
    if (is_named(request) && !is_lazy(request))
        (void)msi_os.write_in_place(fd);
    error = msi_os.resize(fd, (int64_t)file_bytes(request));
    if (error < 0)
        return msi_system_failed(failure, -error, "it cannot be made %llu bytes long",
                                 (unsigned long long)file_bytes(request));
    return MAPSEG_OK;
}

/** Whether an error says that the system, or a sandbox, has no such call. */
static bool
is_missing(int error)
{
    return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == EPERM ||
           error == EACCES;
}

/** Reserves the file's memory. */
static mapseg_result
reserve_file(const struct request *request, int fd, struct msi_failure *failure)
{
    int64_t bytes = (int64_t)file_bytes(request);
    int error = 0;

    if (is_lazy(request))
        return MAPSEG_OK;
    /* Reserving takes another mapping to write, which the seals of a single writer refuse. */
    if (bytes >= HUGE_PAGE_BYTES && !is_single(request) && msi_os.has_huge_pages(fd))
        error = msi_os.populate_huge(fd, (size_t)bytes);
    /* Also after that: only this is certain to take all of it, or to say no. */
    if (error >= 0)
        error = msi_os.reserve(fd, 0, bytes);
    /* The seals let no other way of reserving go through the descriptor. */
    if (error < 0 && is_single(request) && is_missing(-error))
        error = msi_os.populate(request->attachment.base, (size_t)bytes);
    if (error < 0 && is_missing(-error))
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "memory cannot be reserved here; create with MAPSEG_LAZY, or use a key "
                          "of another type");
    if (error < 0)
        return msi_system_failed(failure, -error,
                                 "its %lld bytes cannot be reserved; free some memory, or give "
                                 "a smaller size",
                                 (long long)bytes);
    return MAPSEG_OK;
}

/** Sizes and reserves the file. */
static mapseg_result
size_file(const struct request *request, int fd, struct msi_failure *failure)
{
    mapseg_result result = is_single(request) ? MAPSEG_OK : shape_file(request, fd, failure);

    return result == MAPSEG_OK ? reserve_file(request, fd, failure) : result;
}

/** Sizes and reserves the file, and writes its header. */
static mapseg_result
fill_file(struct request *request, int fd, struct msi_failure *failure)
{
    struct msi_attachment *attachment = &request->attachment;
    struct mapseg_header header;
    mapseg_result result;
    int64_t put;
    int error;

    if (request->way != NULL)
        return size_file(request, fd, failure);
    error = msi_header_make(&header, request->size, header_flags(request),
                            request->options.user_tag, label_of(request));
    if (error < 0)
        return msi_system_failed(failure, -error, "the system gives no random bytes");
    memcpy(attachment->id, header.id, sizeof header.id);
    result = size_file(request, fd, failure);
    if (result != MAPSEG_OK)
        return result;
    if (is_single(request)) {
        memcpy(attachment->base, &header, sizeof header);
        return MAPSEG_OK;
    }
    put = msi_os.write(fd, &header, sizeof header, 0);
    if (put != (int64_t)sizeof header)
        return msi_system_failed(failure, put < 0 ? (int)-put : ENOSPC,
                                 "its header cannot be written");
    return MAPSEG_OK;
}

/** Seals a memfd, and believes it only when the kernel says so. */
static mapseg_result
seal(const struct request *request, int fd, struct msi_failure *failure)
{
    bool single = is_single(request);
    int wanted = single ? SINGLE_WRITER_SEALS : SHARED_SEALS;
    int error = msi_os.add_seals(fd, wanted);
    int seals = error < 0 ? error : msi_os.seals(fd);

    if (seals == -EINVAL && single)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "this kernel cannot keep others from writing, as Linux 5.1 can; "
                          "create without MAPSEG_SINGLE_WRITER");
    if (seals == -EINVAL)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "memory files cannot be sealed here; use a key of another type");
    if (seals < 0)
        return msi_system_failed(failure, -seals, "the memory file cannot be sealed");
    if ((seals & wanted) != wanted)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "the memory file did not get its seals; use a key of another type");
    return MAPSEG_OK;
}

/** Maps and seals a single writer's memory before anything takes time: until the
 *  seal another process of this user could open it, and would keep a mapping that
 *  writes. Children do not get the mapping before the handle is attached. */
static mapseg_result
seal_single(struct request *request, struct msi_failure *failure)
{
    struct msi_attachment *attachment = &request->attachment;
    mapseg_result result = shape_file(request, attachment->file.fd, failure);

    if (result == MAPSEG_OK)
        result = msi_attachment_map(attachment, request->access, true, true, failure);
    return result == MAPSEG_OK ? seal(request, attachment->file.fd, failure) : result;
}

/** Lets children have what was hidden from them. */
static mapseg_result
show_single(const struct request *request, struct msi_failure *failure)
{
    const struct msi_attachment *attachment = &request->attachment;
    int error = 0;

    if (!(request->options.flags & MAPSEG_NO_FORK))
        error = msi_os.show_to_children(attachment->base, attachment->bytes);
    return error < 0 ? msi_hide_failed(failure, -error) : MAPSEG_OK;
}

/* ---------------------------------------------------------- initialising -- */

/** Maps the file for the caller to fill. Children do not get it: they would keep the
 *  memory of a segment that may never be. */
static mapseg_result
map_to_fill(const struct request *request, char **base, struct msi_failure *failure)
{
    size_t bytes = (size_t)file_bytes(request);
    int error = 0;

    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    *base = msi_os.map(request->attachment.file.fd, bytes, 0, MSI_MAP_WRITE, &error);
    if (*base != NULL)
        error = msi_os.hide_from_children(*base, bytes);
    if (*base != NULL && error < 0)
        msi_os.unmap(*base, bytes);
    else if (*base != NULL && !(request->options.flags & MAPSEG_DUMP))
        (void)msi_os.leave_out_of_dumps(*base, bytes);
    msi_forklist_unlock();
    if (*base == NULL)
        return msi_map_failed(failure, -error, bytes);
    return error < 0 ? msi_hide_failed(failure, -error) : MAPSEG_OK;
}

/** Calls the initialiser, in which the thread is not cancelled: what it has in hand is
 *  the library's. */
static mapseg_result
call_initializer(struct request *request, char *base)
{
    const mapseg_options *options = &request->options;
    mapseg_result result;
    int before;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    result = options->initialize(base + data_offset(request), request->size,
                                 options->initialize_argument);
    (void)pthread_setcancelstate(before, NULL);
    return result;
}

/** [INITIALIZE] Lets the caller fill the data, while no other process can find it. No lock
 *  is held: it may take its time. */
static mapseg_result
initialize(struct request *request, struct msi_failure *failure)
{
    char *base = request->attachment.base;
    mapseg_result result = MAPSEG_OK;

    if (request->options.initialize == NULL)
        return MAPSEG_OK;
    if (!is_single(request))
        result = map_to_fill(request, &base, failure);
    if (result != MAPSEG_OK)
        return result;
    result = call_initializer(request, base);
    if (!is_single(request))
        msi_os.unmap(base, (size_t)file_bytes(request));
    request->refused = result != MAPSEG_OK;
    return result == MAPSEG_OK
               ? MAPSEG_OK
               : msi_failed(failure, result, 0,
                            "the program's initialiser gave it up (%s); see what the program "
                            "says of it",
                            mapseg_result_text(result));
}

/* -------------------------------------------------------------- the name -- */

/** Whether those who open the name see the creator's presence: what a file system makes of
 *  several names may be several files, each with its own locks. */
static bool
is_seen_by_name(const struct request *request)
{
    const struct msi_attachment *attachment = &request->attachment;
    int fd = msi_os.open(request->name.directory, request->name.last, O_RDWR);
    bool seen = fd >= 0 && msi_file_is_behind(&attachment->file, fd) &&
                msi_presence_is_held(fd, attachment->presence.slot);

    if (fd >= 0)
        msi_close(fd);
    return seen;
}

/** Where the name leads: 1, to the new segment; 0, elsewhere by now, or nowhere; or a negative
 *  errno. By its id, since the file may have another number by each name. */
static int
leads_to_own(const struct request *request)
{
    const struct msi_file *file = &request->attachment.file;
    uint8_t id[sizeof request->attachment.id];
    int64_t got;
    int fd;

    if (request->way != NULL) {
        int leads = msi_name_leads_to(&request->name, file->device, file->inode);

        return leads == -ENOENT ? 0 : leads;
    }
    fd = msi_os.open(request->name.directory, request->name.last, O_RDONLY);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    got = msi_os.read(fd, id, sizeof id, offsetof(struct mapseg_header, id));
    msi_close(fd);
    if (got < 0)
        return (int)got;
    return got == (int64_t)sizeof id && memcmp(id, request->attachment.id, sizeof id) == 0;
}

/** Looks at the file by the name that it has got by a link. Where the name was taken away again
 *  meanwhile, as it may be of any segment, there is nothing to see. */
static void
check_name(struct request *request)
{
    int leads = is_seen_by_name(request) ? 0 : leads_to_own(request);

    request->unseen = leads != 0;
    if (leads == 1)
        (void)msi_os.unlink(request->name.directory, request->name.last);
}

/** The file has its name, or none. */
static void
forget_private(struct request *request)
{
    free(request->private_path);
    request->private_path = NULL;
}

/** Gives the complete file its name. */
static int
publish(struct request *request, int fd)
{
    bool linked;
    int error;

    if (!is_named(request))
        return 0;
    if (request->private_path == NULL)
        return msi_os.link(fd, request->name.directory, request->name.last);
    error = msi_name_take_over(&request->name, private_name(request), &linked);
    if (error >= 0)
        forget_private(request);
    if (error >= 0 && linked)
        check_name(request);
    return error;
}

/** Whether a file without a name cannot get one, where one with a private name may: there is
 *  no /proc, or a rule says so. */
static bool
cannot_name_unnamed(int error)
{
    return error == ENOENT || error == EPERM || error == EACCES || error == ENOSYS ||
           error == EXDEV || error == EINVAL || error == EOPNOTSUPP;
}

/** [RENAME] Gives the complete file the name of another segment, whose name byte the caller
 *  holds: no process creates or removes that name meanwhile. Only a file that has a name can be
 *  renamed. */
static int
rename_over(void *context)
{
    struct request *request = context;
    int error = 0;

    if (request->private_path == NULL) {
        error = make_private(request);
        if (error >= 0)
            error = msi_os.link(request->attachment.file.fd, request->name.directory,
                                private_name(request));
        request->needs_name = cannot_name_unnamed(-error);
        if (error < 0)
            forget_private(request);
    }
    if (error >= 0)
        error =
            msi_os.rename_over(request->name.directory, private_name(request), request->name.last);
    if (error >= 0)
        forget_private(request);
    return error;
}

static mapseg_result
name_is_taken(const struct request *request, struct msi_failure *failure)
{
    const struct msi_name *name = &request->name;
    struct stat status;

    if (msi_os.status_of_name(name->directory, name->last, &status) >= 0 &&
        msi_attach_is_foreign(request->seg, &request->options, &status, -1) &&
        (uint32_t)status.st_uid != msi_os.user_id())
        return msi_attach_foreign_failed(MAPSEG_ALREADY_EXISTS, EEXIST, &status, failure);
    if (request->way != NULL)
        return msi_failed(failure, MAPSEG_ALREADY_EXISTS, EEXIST,
                          "there is a file of that name; attach to it, or remove it "
                          "(mapseg_remove)");
    return msi_failed(failure, MAPSEG_ALREADY_EXISTS, EEXIST,
                      "there is a file of that name; attach to it, or replace it if no process "
                      "uses it (MAPSEG_RECLAIM)");
}

/** Removes the segment that has the name, if no process uses it. */
static mapseg_result
clear_name(const struct request *request, struct msi_failure *failure)
{
    mapseg_options options = request->options;
    struct msi_removal removal = {.careful = true, .options = &options};
    mapseg_result result;

    /* It is about attaching. */
    options.flags &= ~(uint32_t)MAPSEG_REQUIRE_ID;
    result = msi_name_remove(&request->name, &removal, failure);

    if (result == MAPSEG_IN_USE)
        return msi_failed(failure, MAPSEG_ALREADY_EXISTS, EEXIST,
                          "there is a segment of that name, and a process is attached to it; "
                          "attach to it too, or replace it all the same (MAPSEG_REPLACE)");
    return result == MAPSEG_NOT_FOUND || removal.again ? MAPSEG_OK : result;
}

/** Gives the file the name of the segment that has it. *error: 0 if it has got it, and
 *  -EEXIST if it is to be tried again: the name is gone by now, or changes hands. */
static mapseg_result
replace_name(struct request *request, int *error, struct msi_failure *failure)
{
    mapseg_options options = request->options;
    struct msi_removal removal = {
        .force = true,
        .careful = true,
        .options = &options,
        .replace = rename_over,
        .context = request,
    };
    mapseg_result result;

    /* It is about attaching. */
    options.flags &= ~(uint32_t)MAPSEG_REQUIRE_ID;
    result = msi_name_remove(&request->name, &removal, failure);
    request->again = removal.again;
    if (result == MAPSEG_NOT_FOUND && !request->needs_name)
        return MAPSEG_OK;
    if (result == MAPSEG_OK)
        *error = 0;
    return result;
}

/** Makes room for the file where the name is taken, if the caller asked for that. */
static mapseg_result
make_room(struct request *request, int *error, struct msi_failure *failure)
{
    if (request->options.flags & MAPSEG_REPLACE)
        return replace_name(request, error, failure);
    return request->options.flags & MAPSEG_RECLAIM ? clear_name(request, failure)
                                                   : name_is_taken(request, failure);
}

/** Gives the file its name, which it takes from an older segment if the caller asked for
 *  that: only now, so that a create that fails has removed nothing. *error: of the last
 *  attempt to name it. */
static mapseg_result
take_name(struct request *request, int fd, int *error, struct msi_failure *failure)
{
    mapseg_result result = MAPSEG_OK;

    for (int i = 0; i < NAME_TRIES && result == MAPSEG_OK; i++) {
        *error = publish(request, fd);
        if (*error == -EEXIST)
            result = make_room(request, error, failure);
        if (*error != -EEXIST)
            break;
    }
    if (result != MAPSEG_OK)
        return result;
    request->again = *error == -EEXIST && request->options.flags & MAPSEG_REPLACE;
    if (*error == -EEXIST)
        return name_is_taken(request, failure);
    if (request->unseen)
        return msi_presence_failed(EOPNOTSUPP, failure);
    if (*error < 0)
        return msi_system_failed(failure, -*error, "the new file cannot be named");
    return MAPSEG_OK;
}

/* --------------------------------------------------------------- creating -- */

/** Gives up an unfinished attachment; the fork list is locked. */
static void
abandon(struct request *request)
{
    struct msi_attachment *attachment = &request->attachment;

    if (request->foreign != NULL)
        request->way->close(request->foreign);
    request->foreign = NULL;
    if (request->private_path != NULL && attachment->file.fd >= 0)
        (void)msi_os.unlink(request->name.directory, private_name(request));
    forget_private(request);
    msi_in_flight_remove(&request->file_flight);
    msi_presence_release(&attachment->presence, &attachment->file);
    /* Its path is the request's; and the descriptor was made just now. */
    attachment->file.path = NULL;
    if (attachment->file.fd >= 0)
        msi_close(attachment->file.fd);
    attachment->file.fd = -1;
    msi_attachment_drop(attachment);
}

/** Installs the guard, if the caller asks for it, and decides how the data is read. */
static mapseg_result
choose_reach(struct request *request, const struct stat *status, struct msi_failure *failure)
{
    struct stat finished = *status;
    bool guarded = request->attachment.can_shrink && request->options.flags & MAPSEG_GUARDED;
    mapseg_result result = guarded ? msi_guard_install_for(failure) : MAPSEG_OK;

    finished.st_mode = final_mode(request);
    if (result == MAPSEG_OK)
        msi_reach_choose(&request->attachment, &finished, is_lazy(request), guarded);
    return result;
}

/** Opens the file. From here on a fork by another thread closes it in the
 *  child. The fork list is locked. */
static mapseg_result
begin(struct request *request, bool named, struct msi_failure *failure)
{
    struct msi_attachment *attachment = &request->attachment;
    struct stat status;
    mapseg_result result;
    int error;

    msi_attachment_clear(attachment);
    attachment->file.fd = open_file(request, named);
    attachment->file.writes = true;
    msi_in_flight_add(&request->file_flight, attachment->file.fd);
    if (attachment->file.fd < 0 && !is_named(request))
        return msi_system_failed(failure, -attachment->file.fd,
                                 "no memory file can be made; use a key of another type, or see "
                                 "whether a sandbox confines the program");
    if (attachment->file.fd < 0)
        return msi_system_failed(failure, -attachment->file.fd,
                                 "no file can be made in its place; check that the directory "
                                 "exists and may be written");
    error = msi_os.status(attachment->file.fd, &status);
    if (error < 0)
        return msi_system_failed(failure, -error, "the new file cannot be examined");
    attachment->file.device = status.st_dev;
    attachment->file.inode = status.st_ino;
    attachment->type = request->place.type;
    attachment->trust = msi_options_trust(&request->options);
    attachment->is_raw = request->way != NULL;
    attachment->data_offset = (size_t)data_offset(request);
    attachment->data_size = request->size;
    attachment->file.wishes = attachment->is_raw &&
                              request->options.flags & MAPSEG_REMOVE_WITH_LAST &&
                              !(request->options.flags & MAPSEG_PERSISTENT);
    /* Files with names cannot be sealed, and memory files always are. */
    attachment->can_shrink = is_named(request);
    attachment->cautious = attachment->can_shrink;
    result = choose_reach(request, &status, failure);
    if (result == MAPSEG_OK)
        result = msi_place_check(attachment->type, attachment->file.fd, failure);
    if (result == MAPSEG_OK)
        result = check_room(request, attachment->file.fd, failure);
    if (result == MAPSEG_OK && is_single(request))
        result = seal_single(request, failure);
    return result;
}

/** Maps the filled file, appears and, if it gets a name, publishes it. The fork list is locked.
 *  *needs_name: only a file that has a name can do it here. */
static mapseg_result
finish(struct request *request, bool *needs_name, struct msi_failure *failure)
{
    struct msi_attachment *attachment = &request->attachment;
    bool no_fork = (request->options.flags & MAPSEG_NO_FORK) != 0;
    mapseg_result result;
    int error;

    *needs_name = false;
    request->needs_name = false;
    request->unseen = false;
    request->again = false;
    if (is_single(request))
        result = show_single(request, failure);
    else
        result = msi_attachment_map(attachment, request->access, true, no_fork, failure);
    if (result == MAPSEG_OK && request->options.flags & MAPSEG_LOCKED)
        result = msi_attachment_lock_memory(attachment, failure);
    if (result != MAPSEG_OK)
        return result;
    attachment->file.path = request->private_path;
    attachment->file.directory = request->name.directory;
    error = msi_attachment_claim_presence(attachment);
    attachment->file.path = NULL;
    attachment->file.directory = -1;
    /* A file with a private name can be reclaimed by another process just then. */
    *needs_name = error == -EAGAIN;
    if (error < 0)
        return msi_presence_failed(-error, failure);
    if (!is_named(request)) {
        result = MAPSEG_OK;
    } else if (attachment->presence.on_working_descriptor && request->private_path == NULL) {
        *needs_name = true;
        return MAPSEG_UNKNOWN_ERROR;
    } else {
        bool is_unnamed = request->private_path == NULL;

        result = take_name(request, attachment->file.fd, &error, failure);
        *needs_name =
            is_unnamed ? request->needs_name || cannot_name_unnamed(-error) : error == -ENOENT;
    }
    return result;
}

/** Takes back what finish did, so that the list can be unlocked for a while. */
static void
withdraw(struct request *request)
{
    msi_presence_release(&request->attachment.presence, &request->attachment.file);
    msi_attachment_unmap(&request->attachment);
}

/** Finishes it when the process is gone that takes the name of the other segment away just
 *  now. The fork list is locked, but while it waits. */
static mapseg_result
finish_in_turn(struct request *request, bool *needs_name, struct msi_failure *failure)
{
    int64_t deadline = msi_patience_ends(request->options.timeout_ns);
    int64_t pause_ns = 0;
    mapseg_result result = finish(request, needs_name, failure);
    bool waited = true;

    while (result != MAPSEG_OK && request->again && waited) {
        withdraw(request);
        msi_forklist_unlock();
        waited = msi_wait_for_remover(&pause_ns, deadline);
        (void)msi_forklist_lock();
        if (waited)
            result = finish(request, needs_name, failure);
    }
    return result;
}

/** Makes the complete attachment the handle's. The fork list is locked. */
static void
take_over(struct request *request)
{
    request->attachment.flags = request->way != NULL ? 0 : header_flags(request);
    request->seg->foreign = request->foreign;
    request->foreign = NULL;
    request->attachment.file.path = request->name.path;
    request->name.path = NULL;
    msi_in_flight_remove(&request->file_flight);
    msi_handle_take(request->seg, &request->attachment, request->access,
                    (request->options.flags & MAPSEG_NO_FORK) != 0);
}

/** One try. */
static mapseg_result
create_file(struct request *request, bool named, bool *needs_name, struct msi_failure *failure)
{
    mapseg_result result;

    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    result = begin(request, named, failure);
    msi_forklist_unlock();

    /* Unlocked: a large segment takes a while, and others may want to fork. */
    if (result == MAPSEG_OK)
        result = fill_file(request, request->attachment.file.fd, failure);
    /* Before the caller touches it: no other process of this user can make it shorter. */
    if (result == MAPSEG_OK && !is_named(request) && !is_single(request))
        result = seal(request, request->attachment.file.fd, failure);
    if (result == MAPSEG_OK)
        result = initialize(request, failure);

    (void)msi_forklist_lock();
    if (result == MAPSEG_OK && request->way != NULL)
        result = request->way->open(&request->foreign, &request->name, request->attachment.file.fd,
                                    &request->options, true, failure);
    if (result == MAPSEG_OK)
        result = finish_in_turn(request, needs_name, failure);
    if (result == MAPSEG_OK)
        take_over(request);
    else
        abandon(request);
    msi_forklist_unlock();
    return result;
}

static mapseg_result
create(struct request *request, struct msi_failure *failure)
{
    const uint32_t replacing = (uint32_t)MAPSEG_RECLAIM | (uint32_t)MAPSEG_REPLACE;
    struct stat status;
    bool needs_name = false;
    mapseg_result result;

    /* Before anything is reserved: most creates that fail do so here. */
    if (is_named(request) && !(request->options.flags & replacing) &&
        msi_os.status_of_name(request->name.directory, request->name.last, &status) >= 0)
        return name_is_taken(request, failure);
    result = create_file(request, false, &needs_name, failure);
    /* Twice, because a private name can be reclaimed by another process in the
     * instant before its creator is present. */
    for (int i = 0; i < 2 && needs_name && result != MAPSEG_OK; i++)
        result = create_file(request, true, &needs_name, failure);
    return result;
}

/** Creates in the key's directory, which is open meanwhile: a child that is made by
 *  another thread closes it. */
static mapseg_result
open_and_create(struct request *request, struct msi_failure *failure)
{
    mapseg_result result;

    if (msi_forklist_lock() < 0)
        return msi_forklist_lock_failed(failure);
    result = msi_place_open(&request->place, true, msi_options_trust(&request->options),
                            &request->name, failure);
    msi_in_flight_add(&request->name_flight, request->name.directory);
    msi_forklist_unlock();

    if (result == MAPSEG_OK)
        result = check_limits(request, failure);
    if (result == MAPSEG_OK)
        result = create(request, failure);

    (void)msi_forklist_lock();
    msi_in_flight_remove(&request->name_flight);
    msi_name_close(&request->name);
    msi_forklist_unlock();
    return result;
}

/** Whether the handle's key can be created. */
static mapseg_result
check_place(const struct msi_place *place, struct msi_failure *failure)
{
    if (place->type == MAPSEG_KEY_MEMFD && !place->is_new_memory)
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "the number of a new memory file cannot be chosen; use \"memfd:\" "
                          "alone");
    return place->is_nowhere ? msi_options_no_key(place, failure) : MAPSEG_OK;
}

/** What the options ask for that this key, or this access, cannot have. */
static mapseg_result
check_options(const struct request *request, struct msi_failure *failure)
{
    bool nameless = request->place.is_new_memory;

    if (request->options.flags & MAPSEG_SINGLE_WRITER && !nameless)
        return msi_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                          "only a memory file can be kept from other writers; use the key "
                          "\"memfd:\"");
    if (request->options.flags & MAPSEG_SINGLE_WRITER && request->access == MAPSEG_READ_ONLY)
        return msi_failed(failure, MAPSEG_INVALID_ARGUMENT, 0,
                          "a single writer must be able to write; use MAPSEG_READ_WRITE");
    /* System V segments keep their size, too. */
    return msi_trust_peers(!nameless && !msi_foreign_is_apart(request->way), request->options.flags,
                           failure);
}

/** What can be said without touching the system. */
static mapseg_result
check_request(struct request *request, const mapseg_options *options, struct msi_failure *failure)
{
    mapseg_result result = check_place(&request->place, failure);

    if (result == MAPSEG_OK)
        result = check_size(request, failure);
    if (result == MAPSEG_OK)
        result = msi_options_check_access(request->access, failure);
    if (result == MAPSEG_OK)
        result = msi_options_read(options, &request->options, failure);
    request->way = msi_foreign_way_of(request->seg->key, 0);
    if (result == MAPSEG_OK && request->way != NULL)
        result = msi_foreign_check_options(request->way, &request->options, failure);
    if (result == MAPSEG_OK)
        result = check_options(request, failure);
    if (result == MAPSEG_OK) {
        msi_handle_drop_inherited(request->seg);
        if (request->seg->attached)
            result = msi_failed(failure, MAPSEG_ALREADY_EXISTS, 0,
                                "this handle is attached already; detach it first "
                                "(mapseg_detach)");
    }
    return result;
}

/** Creates; *refused: what failed was the caller's initialiser. */
static mapseg_result
create_as(mapseg *seg, size_t size, mapseg_access access, const mapseg_options *options,
          bool *refused)
{
    struct request request = {.seg = seg, .size = size, .access = access};
    struct msi_failure failure;
    mapseg_result result;

    msi_place_of(seg->key, &request.place);
    result = check_request(&request, options, &failure);
    if (result == MAPSEG_OK && msi_foreign_is_apart(request.way))
        result = request.way->create(seg, size, access, &request.options, &failure);
    else if (result == MAPSEG_OK)
        result = open_and_create(&request, &failure);
    *refused = request.refused;
    if (result == MAPSEG_OK)
        MSI_PROBE(create, seg->attachment.file.inode, mapseg_native_key(seg), size);
    return result == MAPSEG_OK ? msi_succeed(seg) : msi_report(seg, "create", &failure);
}

mapseg_result
mapseg_create_with(mapseg *seg, size_t size, mapseg_access access, const mapseg_options *options)
{
    bool refused;

    return create_as(seg, size, access, options, &refused);
}

mapseg_result
mapseg_create(mapseg *seg, size_t size, mapseg_access access)
{
    return mapseg_create_with(seg, size, access, NULL);
}

/* ---------------------------------------------------- creating or attaching -- */

/** Whether there is nothing that could be attached to. "memfd:" leads to nothing, unless
 *  the handle is attached to it already. */
static bool
leads_to_nothing(mapseg *seg, mapseg_access access, const mapseg_options *options,
                 mapseg_result *result)
{
    struct msi_place place;

    msi_place_of(seg->key, &place);
    if (place.is_new_memory && !msi_handle_is_attached(seg) &&
        !(options->flags & MAPSEG_REQUIRE_ID))
        return true;
    *result = mapseg_attach_with(seg, access, options);
    return *result == MAPSEG_NOT_FOUND;
}

static mapseg_result
create_or_attach(mapseg *seg, size_t size, mapseg_access access, const mapseg_options *options,
                 bool *created)
{
    int64_t deadline = msi_patience_ends(options->timeout_ns);
    int64_t pause_ns = 0;
    mapseg_result result;
    bool refused;
    int races = 0;

    do {
        if (!leads_to_nothing(seg, access, options, &result))
            return result;
        if (options->flags & MAPSEG_REQUIRE_ID)
            return result;
        result = create_as(seg, size, access, options, &refused);
        *created = result == MAPSEG_OK;
        if (result != MAPSEG_ALREADY_EXISTS || refused)
            return result;
        /* Another process was faster. By the time we attach, its segment may be gone again. */
        races++;
    } while (races < NAME_TRIES || msi_wait_for_remover(&pause_ns, deadline));
    return result;
}

mapseg_result
mapseg_create_or_attach_with(mapseg *seg, size_t size, mapseg_access access,
                             const mapseg_options *options, bool *created)
{
    struct msi_failure failure;
    mapseg_options all;
    bool ignored;

    if (created == NULL)
        created = &ignored;
    *created = false;
    if (msi_options_read(options, &all, &failure) != MAPSEG_OK)
        return msi_report(seg, "create", &failure);
    if (all.minimum_size == 0)
        all.minimum_size = size;
    /* What it would wait for it creates; and what another process has made in the meantime it
     * attaches to, or of two that start at once one would lose its segment. */
    all.wait_ns = 0;
    all.flags &= ~(uint32_t)MAPSEG_REPLACE;
    return create_or_attach(seg, size, access, &all, created);
}

mapseg_result
mapseg_create_or_attach(mapseg *seg, size_t size, mapseg_access access, bool *created)
{
    return mapseg_create_or_attach_with(seg, size, access, NULL, created);
}
