/*
 * pass.c - handing a segment's descriptor to children and over sockets.
 *
 * SPDX-License-Identifier: MIT
 */
#include "attach.h"
#include "fork.h"
#include "key.h"
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <xxhash.h>

/** How long a message that has begun may take. */
#define MESSAGE_PATIENCE_NS INT64_C(1000000000)

/* ------------------------------------------------------------ exporting -- */

/** Whether seals keep others from writing, whatever descriptor they have. */
static bool
is_sealed(const mapseg *seg)
{
    int seals = mapseg_attachment_is_named(&seg->attachment)
                    ? -1
                    : mapseg_os.seals(seg->attachment.file.fd);

    return seals >= 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0;
}

/** Whether a copy of the handle's own descriptor gives no more than `access`. */
static bool
may_copy(const mapseg *seg, mapseg_access access)
{
    return access == MAPSEG_READ_WRITE ||
           mapseg_os.access_mode(seg->attachment.file.fd) == O_RDONLY || is_sealed(seg);
}

/** A descriptor for somebody else; negative: see *failure. */
static int
export_fd(mapseg *seg, mapseg_access access, struct mapseg_failure *failure)
{
    int flags = access == MAPSEG_READ_WRITE ? O_RDWR : O_RDONLY;
    int fd;

    /* A description of its own: its receiver's locks would be ours. */
    fd = mapseg_file_open_anew(&seg->attachment.file, flags);
    if (fd >= 0)
        return fd;
    if (fd != -EMFILE && fd != -ENFILE && may_copy(seg, access)) {
        int copy = mapseg_os.duplicate(seg->attachment.file.fd);

        if (copy >= 0)
            return copy;
        fd = copy;
    }
    mapseg_failed(failure,
                  fd == -EMFILE || fd == -ENFILE ? MAPSEG_OUT_OF_RESOURCES
                  : fd == -EACCES                ? MAPSEG_PERMISSION_DENIED
                                                 : MAPSEG_NOT_SUPPORTED,
                  -fd, "its file cannot be opened anew; see that /proc is mounted");
    return fd;
}

/** The same, for a handle in any state. */
static int
check_and_export(mapseg *seg, mapseg_access access, struct mapseg_failure *failure)
{
    int fd;

    if (!mapseg_is_attached(seg)) {
        mapseg_failed(failure, MAPSEG_NOT_ATTACHED, 0,
                      "the handle is not attached; create or attach first");
        return -1;
    }
    if (mapseg_check_access(access, failure) != MAPSEG_OK)
        return -1;
    if (access == MAPSEG_READ_WRITE && seg->read_only) {
        mapseg_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                      "this handle is attached read-only; export a read-only descriptor");
        return -1;
    }
    if (seg->attachment.file.fd < 0) {
        mapseg_failed(failure, MAPSEG_NOT_SUPPORTED, 0,
                      "this sandbox allows no descriptor of its own; hand the inherited one on");
        return -1;
    }
    fd = mapseg_file_fd(&seg->attachment.file);
    if (fd < 0) {
        (void)mapseg_file_failed(-fd, failure);
        return -1;
    }
    if (access == MAPSEG_READ_WRITE && is_sealed(seg)) {
        mapseg_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                      "its seals let nobody write but this handle; export a read-only descriptor");
        return -1;
    }
    return export_fd(seg, access, failure);
}

/** The same, for the program: no handle takes it for its own, whatever number it has. */
static int
export_to_program(mapseg *seg, mapseg_access access, struct mapseg_failure *failure)
{
    int fd;

    if (mapseg_fork_lock() < 0) {
        mapseg_system_failed(failure, ENOMEM, "no memory for the fork handlers");
        return -1;
    }
    fd = check_and_export(seg, access, failure);
    mapseg_fork_disown(fd);
    mapseg_fork_unlock();
    return fd;
}

int
mapseg_export_fd(mapseg *seg, mapseg_access access)
{
    struct mapseg_failure failure;
    int fd = export_to_program(seg, access, &failure);

    if (fd < 0) {
        (void)mapseg_report(seg, "export", &failure);
        return -1;
    }
    (void)mapseg_succeed(seg);
    return fd;
}

int
mapseg_spawn_actions(mapseg *seg, mapseg_access access, posix_spawn_file_actions_t *actions,
                     char variable[MAPSEG_ENVIRONMENT_BYTES])
{
    static const char name[] = "MAPSEG_KEY=";
    char key[MAPSEG_ENVIRONMENT_BYTES];
    struct mapseg_failure failure;
    int fd = export_to_program(seg, access, &failure);
    int error;

    if (fd < 0) {
        (void)mapseg_report(seg, "export", &failure);
        return -1;
    }
    /* Onto itself: in the child that takes close-on-exec off. */
    error = actions == NULL ? 0 : posix_spawn_file_actions_adddup2(actions, fd, fd);
    if (error != 0) {
        mapseg_close(fd);
        mapseg_system_failed(&failure, error, "no file action can be added");
        (void)mapseg_report(seg, "export", &failure);
        return -1;
    }
    mapseg_descriptor_key(fd, seg->attachment.id, key);
    snprintf(variable, MAPSEG_ENVIRONMENT_BYTES, "%s%.*s", name,
             (int)(MAPSEG_ENVIRONMENT_BYTES - sizeof name), key);
    (void)mapseg_succeed(seg);
    return fd;
}

/* ------------------------------------------------------------ attaching -- */

/** What can be said before anything is tried. */
static mapseg_result
check_attach(mapseg *seg, mapseg_access access, const mapseg_options *given,
             mapseg_options *options, struct mapseg_failure *failure)
{
    mapseg_result result = mapseg_check_access(access, failure);

    if (result == MAPSEG_OK)
        result = mapseg_options_read(given, options, failure);
    if (result == MAPSEG_OK)
        mapseg_handle_settle(seg);
    return result;
}

static mapseg_result
refuse_attached(mapseg *seg, const char *operation)
{
    return mapseg_refuse(seg, operation, MAPSEG_ALREADY_ATTACHED,
                         "this handle is attached already; detach first");
}

mapseg_result
mapseg_attach_fd_with(mapseg *seg, int fd, mapseg_access access, const mapseg_options *options)
{
    struct mapseg_given given = {.fd = fd};
    struct mapseg_failure failure;
    mapseg_options all;
    mapseg_result result = check_attach(seg, access, options, &all, &failure);

    if (result == MAPSEG_OK && seg->attached)
        return refuse_attached(seg, "attach");
    if (result == MAPSEG_OK)
        result = mapseg_attach_given(seg, &given, access, &all, &failure);
    return result == MAPSEG_OK ? mapseg_succeed(seg)
                               : mapseg_report(seg, "attach a descriptor to", &failure);
}

mapseg_result
mapseg_attach_fd(mapseg *seg, int fd, mapseg_access access)
{
    return mapseg_attach_fd_with(seg, fd, access, NULL);
}

/* -------------------------------------------------------------- sockets -- */

static uint64_t
checksum_of(const struct mapseg_message *message)
{
    return XXH3_64bits(message, MAPSEG_MESSAGE_CHECKSUM_COVERS);
}

static void
make_message(const mapseg *seg, mapseg_access access, struct mapseg_message *message)
{
    memset(message, 0, sizeof *message);
    memcpy(message->magic, MAPSEG_MESSAGE_MAGIC, sizeof message->magic);
    message->version = MAPSEG_MESSAGE_VERSION;
    message->bytes = MAPSEG_MESSAGE_BYTES;
    message->access = (uint32_t)access;
    memcpy(message->id, seg->attachment.id, sizeof message->id);
    message->data_size = seg->attachment.data_size;
    message->checksum = checksum_of(message);
}

/** SOCK_STREAM or its like, of a Unix socket. */
static mapseg_result
check_socket(int socket_fd, int *type, struct mapseg_failure *failure)
{
    *type = mapseg_os.socket_type(socket_fd);
    /* A sandbox refuses the question. */
    if (*type == -EPERM || *type == -EACCES || *type == -ENOSYS)
        *type = SOCK_STREAM;
    if (*type >= 0)
        return MAPSEG_OK;
    return mapseg_failed(failure, MAPSEG_INVALID_ARGUMENT, -*type,
                         "descriptor %d is no Unix socket, and only these carry descriptors; give "
                         "one that is",
                         socket_fd);
}

/** Words for a socket call that failed; `error` is positive. */
static mapseg_result
socket_failed(int error, struct mapseg_failure *failure)
{
    switch (error) {
    case EAGAIN:
        return mapseg_failed(failure, MAPSEG_WOULD_BLOCK, error,
                             "the socket is not ready; try again when poll() says that it is");
    case ETIMEDOUT:
        return mapseg_failed(failure, MAPSEG_TIMED_OUT, 0,
                             "the other end stopped in the middle of the message; close the "
                             "socket");
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
        return mapseg_failed(failure, MAPSEG_NOT_FOUND, error,
                             "the other end of the socket is closed; connect anew");
    case ENOTCONN:
    case EDESTADDRREQ:
    case EINVAL:
        return mapseg_failed(failure, MAPSEG_INVALID_ARGUMENT, error,
                             "the socket is not connected; connect it first");
    case ETOOMANYREFS:
        return mapseg_failed(failure, MAPSEG_OUT_OF_RESOURCES, error,
                             "too many descriptors are under way; let receivers catch up");
    default:
        return mapseg_system_failed(failure, error, "the socket does not work");
    }
}

/** Waits for the socket until the deadline. 0, or a negative errno. */
static int
await_rest(int socket_fd, bool to_send, int64_t deadline)
{
    int64_t left = deadline - mapseg_os.monotonic_ns();

    return left <= 0 ? -ETIMEDOUT : mapseg_os.socket_ready(socket_fd, to_send, left);
}

/** Sends the message, and the descriptor with its first byte. */
static int
send_all(int socket_fd, const struct mapseg_message *message, int fd)
{
    const char *next = (const char *)message;
    size_t left = sizeof *message;
    int64_t sent = mapseg_os.socket_send(socket_fd, next, left, fd, true);
    int64_t deadline = mapseg_os.monotonic_ns() + MESSAGE_PATIENCE_NS;

    while (sent >= 0 && (size_t)sent < left) {
        int error = 0;

        /* Of a stream that is nearly full. */
        if (sent == 0)
            error = await_rest(socket_fd, true, deadline);
        if (error < 0)
            return error;
        next += sent;
        left -= (size_t)sent;
        sent = mapseg_os.socket_send(socket_fd, next, left, -1, false);
        if (sent == -EAGAIN)
            sent = 0;
    }
    return sent < 0 ? (int)sent : 0;
}

/** Makes the receiver's descriptor; it is on its way then. */
static int
dispatch(mapseg *seg, mapseg_access access, struct mapseg_courier *courier,
         struct mapseg_failure *failure)
{
    int fd;

    if (mapseg_fork_lock() < 0) {
        mapseg_system_failed(failure, ENOMEM, "no memory for the fork handlers");
        return -1;
    }
    fd = check_and_export(seg, access, failure);
    if (fd >= 0)
        mapseg_fork_carry(courier, fd);
    mapseg_fork_unlock();
    return fd;
}

/** Ends its way, and closes it: if it was sent, the receiver's copy is the only one from
 *  now on. */
static void
dismiss(struct mapseg_courier *courier)
{
    (void)mapseg_fork_lock();
    mapseg_fork_deliver(courier);
    mapseg_close(courier->fd);
    mapseg_fork_unlock();
}

mapseg_result
mapseg_send(mapseg *seg, int socket_fd, mapseg_access access)
{
    struct mapseg_courier courier;
    struct mapseg_message message;
    struct mapseg_failure failure;
    mapseg_result result;
    int type;
    int error;
    int fd = dispatch(seg, access, &courier, &failure);

    if (fd < 0)
        return mapseg_report(seg, "send", &failure);
    result = check_socket(socket_fd, &type, &failure);
    if (result == MAPSEG_OK) {
        make_message(seg, access, &message);
        error = send_all(socket_fd, &message, fd);
        if (error < 0)
            result = socket_failed(-error, &failure);
    }
    dismiss(&courier);
    return result == MAPSEG_OK ? mapseg_succeed(seg) : mapseg_report(seg, "send", &failure);
}

/** What is being received. */
struct arrival {
    struct mapseg_message message;
    struct mapseg_parcel parcel;
    struct mapseg_courier courier; /**< of the first descriptor */
    size_t bytes;                  /**< of the message that are there */
    bool ended;                    /**< the other end will send no more */
};

/** Receives what is there, without waiting. A child made meanwhile does not keep the
 *  first descriptor. */
static int
receive_part(int socket_fd, struct arrival *arrival)
{
    bool had = arrival->parcel.fd >= 0;
    int64_t got;

    if (mapseg_fork_lock() < 0)
        return -ENOMEM;
    /* It closes the descriptors that are too many, which may be of any file: also of one
     * that another thread holds a lock of the process on. */
    mapseg_closing_pause();
    got = mapseg_os.socket_receive(socket_fd, (char *)&arrival->message + arrival->bytes,
                                   sizeof arrival->message - arrival->bytes, &arrival->parcel);
    mapseg_closing_resume();
    if (!had && arrival->parcel.fd >= 0)
        mapseg_fork_carry(&arrival->courier, arrival->parcel.fd);
    mapseg_fork_unlock();
    if (got < 0)
        return (int)got;
    arrival->bytes += (size_t)got;
    arrival->ended = got == 0;
    return 0;
}

/** Receives one message: all of a stream's, or what a datagram has. */
static int
receive_all(int socket_fd, bool stream, int64_t patience_ns, struct arrival *arrival)
{
    int64_t deadline;
    int error;

    do {
        error = mapseg_os.socket_await(socket_fd);
        if (error < 0)
            return error;
        error = receive_part(socket_fd, arrival);
        /* Another reader was faster. */
    } while (error == -EAGAIN);
    deadline = mapseg_patience_ends(patience_ns);
    while (error >= 0 && stream && !arrival->ended && arrival->bytes < sizeof arrival->message) {
        error = await_rest(socket_fd, false, deadline);
        if (error >= 0)
            error = receive_part(socket_fd, arrival);
        if (error == -EAGAIN)
            error = 0;
    }
    return error;
}

/** Whether all of the message came that makes it one of ours. */
static mapseg_result
check_whole(const struct arrival *arrival, struct mapseg_failure *failure)
{
    const struct mapseg_message *message = &arrival->message;
    size_t known = arrival->bytes < sizeof message->magic ? arrival->bytes : sizeof message->magic;

    if (arrival->bytes == 0 && arrival->parcel.descriptors == 0)
        return mapseg_failed(failure, MAPSEG_NOT_FOUND, 0,
                             "the other end closed the socket, or sent nothing; connect anew");
    if (memcmp(message->magic, MAPSEG_MESSAGE_MAGIC, known) != 0)
        return mapseg_failed(failure, MAPSEG_NOT_A_SEGMENT, 0,
                             "the other end sent something else; see that it calls mapseg_send");
    if (arrival->bytes < sizeof *message)
        return mapseg_failed(failure, MAPSEG_CORRUPT, 0,
                             "the message was cut short: %zu bytes of %zu came; close the socket",
                             arrival->bytes, sizeof *message);
    if (message->version > MAPSEG_MESSAGE_VERSION)
        return mapseg_failed(failure, MAPSEG_TOO_NEW, 0,
                             "the message has version %u and this library knows version %d; "
                             "upgrade it",
                             (unsigned)message->version, MAPSEG_MESSAGE_VERSION);
    if (message->version == 0 || arrival->parcel.too_long || message->bytes != sizeof *message ||
        message->reserved != 0 || message->access > MAPSEG_READ_WRITE ||
        message->checksum != checksum_of(message))
        return mapseg_failed(failure, MAPSEG_CORRUPT, 0,
                             "the message is damaged; close the socket");
    if (message->flags != 0)
        return mapseg_failed(failure, MAPSEG_TOO_NEW, 0,
                             "the message has features (flags %#llx) that this library does not "
                             "know; upgrade it",
                             (unsigned long long)message->flags);
    return MAPSEG_OK;
}

/** Whether the message came with what it promises. */
static mapseg_result
check_arrival(const struct arrival *arrival, mapseg_access access, struct mapseg_failure *failure)
{
    mapseg_result result = check_whole(arrival, failure);

    if (result != MAPSEG_OK)
        return result;
    if (arrival->parcel.descriptors == 0 && arrival->parcel.lost)
        return mapseg_failed(failure, MAPSEG_OUT_OF_RESOURCES, EMFILE,
                             "the descriptor that came could not be taken; close some, or raise "
                             "the limit (ulimit -n), and have it sent again");
    if (arrival->parcel.descriptors != 1 || arrival->parcel.lost)
        return mapseg_failed(failure, MAPSEG_CORRUPT, 0,
                             "%u descriptors came where one belongs; close the socket",
                             arrival->parcel.descriptors);
    if (access == MAPSEG_READ_WRITE && arrival->message.access != MAPSEG_READ_WRITE)
        return mapseg_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                             "the sender lets this process read alone; attach read-only");
    return MAPSEG_OK;
}

/** Closes the descriptor that came, if one did. */
static void
give_up(struct arrival *arrival)
{
    if (arrival->parcel.fd >= 0)
        dismiss(&arrival->courier);
}

static mapseg_result
receive(mapseg *seg, int socket_fd, mapseg_access access, const mapseg_options *options,
        struct mapseg_failure *failure)
{
    struct arrival arrival = {.parcel = {.fd = -1}};
    mapseg_options attaching = *options;
    struct mapseg_given given = {.message = &arrival.message, .courier = &arrival.courier};
    mapseg_result result;
    int type;
    int error;

    result = check_socket(socket_fd, &type, failure);
    if (result != MAPSEG_OK)
        return result;
    error = receive_all(socket_fd, type == SOCK_STREAM, options->timeout_ns, &arrival);
    result = error < 0 ? socket_failed(-error, failure) : check_arrival(&arrival, access, failure);
    if (result == MAPSEG_OK) {
        given.fd = arrival.parcel.fd;
        attaching.timeout_ns = 0;
        result = mapseg_attach_given(seg, &given, access, &attaching, failure);
    }
    if (result != MAPSEG_OK)
        give_up(&arrival);
    return result;
}

mapseg_result
mapseg_receive_with(mapseg *seg, int socket_fd, mapseg_access access, const mapseg_options *options)
{
    struct mapseg_failure failure;
    mapseg_options all;
    mapseg_result result = check_attach(seg, access, options, &all, &failure);

    if (result == MAPSEG_OK && seg->attached)
        return refuse_attached(seg, "receive");
    if (result == MAPSEG_OK)
        result = receive(seg, socket_fd, access, &all, &failure);
    return result == MAPSEG_OK ? mapseg_succeed(seg) : mapseg_report(seg, "receive", &failure);
}

mapseg_result
mapseg_receive(mapseg *seg, int socket_fd, mapseg_access access)
{
    return mapseg_receive_with(seg, socket_fd, access, NULL);
}
