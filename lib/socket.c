/*
 * socket.c - sending and receiving segments over Unix sockets.
 *
 * SPDX-License-Identifier: MIT
 */
#include "attach.h"
#include "export.h"
#include "handle/forklist.h"
#include "handle/options.h"
#include "handle/report.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <xxhash.h>

/** How long a message that has begun may take. */
#define MESSAGE_PATIENCE_NS INT64_C(1000000000)

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
check_socket(int socket_fd, int *type, struct msi_failure *failure)
{
    *type = msi_os.socket_type(socket_fd);
    /* A sandbox refuses the question. */
    if (*type == -EPERM || *type == -EACCES || *type == -ENOSYS)
        *type = SOCK_STREAM;
    if (*type >= 0)
        return MAPSEG_OK;
    return msi_failed(failure, MAPSEG_INVALID_ARGUMENT, -*type,
                      "descriptor %d is no Unix socket, and only these carry descriptors; give "
                      "one that is",
                      socket_fd);
}

/** Words for a socket call that failed; `error` is positive. */
static mapseg_result
socket_failed(int error, struct msi_failure *failure)
{
    switch (error) {
    case EAGAIN:
        return msi_failed(failure, MAPSEG_WOULD_BLOCK, error,
                          "the socket is not ready; try again when poll() says that it is");
    case ETIMEDOUT:
        return msi_failed(failure, MAPSEG_TIMED_OUT, 0,
                          "the other end stopped in the middle of the message; close the "
                          "socket");
    case EPIPE:
    case ECONNRESET:
    case ECONNREFUSED:
        return msi_failed(failure, MAPSEG_NOT_FOUND, error,
                          "the other end of the socket is closed; connect anew");
    case ENOTCONN:
    case EDESTADDRREQ:
    case EINVAL:
        return msi_failed(failure, MAPSEG_INVALID_ARGUMENT, error,
                          "the socket is not connected; connect it first");
    case ETOOMANYREFS:
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, error,
                          "too many descriptors are under way; let receivers catch up");
    default:
        return msi_system_failed(failure, error, "the socket does not work");
    }
}

/** Waits for the socket until the deadline. 0, or a negative errno. */
static int
await_rest(int socket_fd, bool to_send, int64_t deadline)
{
    int64_t left = deadline - msi_os.monotonic_ns();

    return left <= 0 ? -ETIMEDOUT : msi_os.socket_ready(socket_fd, to_send, left);
}

/** Sends the message, and the descriptor with its first byte. */
static int
send_all(int socket_fd, const struct mapseg_message *message, int fd)
{
    const char *next = (const char *)message;
    size_t left = sizeof *message;
    int64_t sent = msi_os.socket_send(socket_fd, next, left, fd, true);
    int64_t deadline = msi_os.monotonic_ns() + MESSAGE_PATIENCE_NS;

    while (sent >= 0 && (size_t)sent < left) {
        int error = 0;

        /* Of a stream that is nearly full. */
        if (sent == 0)
            error = await_rest(socket_fd, true, deadline);
        if (error < 0)
            return error;
        next += sent;
        left -= (size_t)sent;
        sent = msi_os.socket_send(socket_fd, next, left, -1, false);
        if (sent == -EAGAIN)
            sent = 0;
    }
    return sent < 0 ? (int)sent : 0;
}

/** Makes the receiver's descriptor; it is on its way then. */
static int
export_for_send(mapseg *seg, mapseg_access access, struct msi_fd_in_flight *flight,
                struct msi_failure *failure)
{
    int fd;

    if (msi_forklist_lock() < 0) {
        msi_forklist_lock_failed(failure);
        return -1;
    }
    fd = msi_export(seg, access, failure);
    if (fd >= 0)
        msi_in_flight_add(flight, fd);
    msi_forklist_unlock();
    return fd;
}

/** Ends its way, and closes it: if it was sent, the receiver's copy is the only one from
 *  now on. */
static void
close_sent(struct msi_fd_in_flight *flight)
{
    (void)msi_forklist_lock();
    msi_in_flight_remove(flight);
    msi_close(flight->fd);
    msi_forklist_unlock();
}

mapseg_result
mapseg_send(mapseg *seg, int socket_fd, mapseg_access access)
{
    struct msi_fd_in_flight flight;
    struct mapseg_message message;
    struct msi_failure failure;
    mapseg_result result;
    int type;
    int error;
    int fd = export_for_send(seg, access, &flight, &failure);

    if (fd < 0)
        return msi_report(seg, "send", &failure);
    result = check_socket(socket_fd, &type, &failure);
    if (result == MAPSEG_OK) {
        make_message(seg, access, &message);
        error = send_all(socket_fd, &message, fd);
        if (error < 0)
            result = socket_failed(-error, &failure);
    }
    close_sent(&flight);
    return result == MAPSEG_OK ? msi_succeed(seg) : msi_report(seg, "send", &failure);
}

/** What is being received. */
struct incoming {
    struct mapseg_message message;
    struct msi_received received;
    struct msi_fd_in_flight flight; /**< of the first descriptor */
    size_t bytes;                   /**< of the message that are there */
    bool ended;                     /**< the other end will send no more */
};

/** Receives what is there, without waiting. A child made meanwhile does not keep the
 *  first descriptor. */
static int
receive_part(int socket_fd, struct incoming *incoming)
{
    bool had = incoming->received.fd >= 0;
    int64_t got;

    if (msi_forklist_lock() < 0)
        return -ENOMEM;
    /* It closes the descriptors that are too many, which may be of any file: also of one
     * that another thread holds a lock of the process on. */
    msi_closing_pause();
    got = msi_os.socket_receive(socket_fd, (char *)&incoming->message + incoming->bytes,
                                sizeof incoming->message - incoming->bytes, &incoming->received);
    msi_closing_resume();
    if (!had && incoming->received.fd >= 0)
        msi_in_flight_add(&incoming->flight, incoming->received.fd);
    msi_forklist_unlock();
    if (got < 0)
        return (int)got;
    incoming->bytes += (size_t)got;
    incoming->ended = got == 0;
    return 0;
}

/** Receives one message: all of a stream's, or what a datagram has. */
static int
receive_all(int socket_fd, bool stream, int64_t patience_ns, struct incoming *incoming)
{
    int64_t deadline;
    int error;

    do {
        error = msi_os.socket_await(socket_fd);
        if (error < 0)
            return error;
        error = receive_part(socket_fd, incoming);
        /* Another reader was faster. */
    } while (error == -EAGAIN);
    deadline = msi_patience_ends(patience_ns);
    while (error >= 0 && stream && !incoming->ended && incoming->bytes < sizeof incoming->message) {
        error = await_rest(socket_fd, false, deadline);
        if (error >= 0)
            error = receive_part(socket_fd, incoming);
        if (error == -EAGAIN)
            error = 0;
    }
    return error;
}

/** Whether all of the message came that makes it one of ours. */
static mapseg_result
check_whole(const struct incoming *incoming, struct msi_failure *failure)
{
    const struct mapseg_message *message = &incoming->message;
    size_t known =
        incoming->bytes < sizeof message->magic ? incoming->bytes : sizeof message->magic;

    if (incoming->bytes == 0 && incoming->received.descriptors == 0)
        return msi_failed(failure, MAPSEG_NOT_FOUND, 0,
                          "the other end closed the socket, or sent nothing; connect anew");
    if (memcmp(message->magic, MAPSEG_MESSAGE_MAGIC, known) != 0)
        return msi_failed(failure, MAPSEG_NOT_A_SEGMENT, 0,
                          "the other end sent something else; check that it calls mapseg_send");
    if (incoming->bytes < sizeof *message)
        return msi_failed(failure, MAPSEG_CORRUPT, 0,
                          "only %zu bytes of the message's %zu came; close the socket",
                          incoming->bytes, sizeof *message);
    if (message->version > MAPSEG_MESSAGE_VERSION)
        return msi_failed(failure, MAPSEG_TOO_NEW, 0,
                          "the message has version %u and this version of mapseg knows version "
                          "%d; upgrade mapseg",
                          (unsigned)message->version, MAPSEG_MESSAGE_VERSION);
    if (message->version == 0 || incoming->received.too_long || message->bytes != sizeof *message ||
        message->reserved != 0 || message->access > MAPSEG_READ_WRITE ||
        message->checksum != checksum_of(message))
        return msi_failed(failure, MAPSEG_CORRUPT, 0, "the message is damaged; close the socket");
    if (message->flags != 0)
        return msi_failed(failure, MAPSEG_TOO_NEW, 0,
                          "the message has features (flags %#llx) that this version of mapseg "
                          "does not know; upgrade mapseg",
                          (unsigned long long)message->flags);
    return MAPSEG_OK;
}

/** Whether the message came with what it promises. */
static mapseg_result
check_arrival(const struct incoming *incoming, mapseg_access access, struct msi_failure *failure)
{
    mapseg_result result = check_whole(incoming, failure);

    if (result != MAPSEG_OK)
        return result;
    if (incoming->received.descriptors == 0 && incoming->received.lost)
        return msi_failed(failure, MAPSEG_OUT_OF_RESOURCES, EMFILE,
                          "the descriptor that came could not be taken; close some, or raise "
                          "the limit (ulimit -n), and have it sent again");
    if (incoming->received.descriptors != 1 || incoming->received.lost)
        return msi_failed(failure, MAPSEG_CORRUPT, 0,
                          "%u descriptors came where one belongs; close the socket",
                          incoming->received.descriptors);
    if (access == MAPSEG_READ_WRITE && incoming->message.access != MAPSEG_READ_WRITE)
        return msi_failed(failure, MAPSEG_PERMISSION_DENIED, 0,
                          "the sender lets this process read alone; receive with "
                          "MAPSEG_READ_ONLY");
    return MAPSEG_OK;
}

/** Closes the descriptor that came, if one did. */
static void
give_up(struct incoming *incoming)
{
    if (incoming->received.fd >= 0)
        close_sent(&incoming->flight);
}

static mapseg_result
receive(mapseg *seg, int socket_fd, mapseg_access access, const mapseg_options *options,
        struct msi_failure *failure)
{
    struct incoming incoming = {.received = {.fd = -1}};
    mapseg_options attaching = *options;
    struct msi_given given = {.message = &incoming.message, .flight = &incoming.flight};
    mapseg_result result;
    int type;
    int error;

    result = check_socket(socket_fd, &type, failure);
    if (result != MAPSEG_OK)
        return result;
    error = receive_all(socket_fd, type == SOCK_STREAM, options->timeout_ns, &incoming);
    result = error < 0 ? socket_failed(-error, failure) : check_arrival(&incoming, access, failure);
    if (result == MAPSEG_OK) {
        given.fd = incoming.received.fd;
        attaching.timeout_ns = MAPSEG_TIMEOUT_DEFAULT;
        result = msi_attach_given(seg, &given, access, &attaching, failure);
    }
    if (result != MAPSEG_OK)
        give_up(&incoming);
    return result;
}

mapseg_result
mapseg_receive_with(mapseg *seg, int socket_fd, mapseg_access access, const mapseg_options *options)
{
    struct msi_failure failure;
    mapseg_options all;
    mapseg_result result = msi_attach_check(seg, access, options, &all, &failure);

    if (result == MAPSEG_OK && seg->attached)
        return msi_attach_refuse(seg, "receive");
    if (result == MAPSEG_OK)
        result = receive(seg, socket_fd, access, &all, &failure);
    return result == MAPSEG_OK ? msi_succeed(seg) : msi_report(seg, "receive", &failure);
}

mapseg_result
mapseg_receive(mapseg *seg, int socket_fd, mapseg_access access)
{
    return mapseg_receive_with(seg, socket_fd, access, NULL);
}
