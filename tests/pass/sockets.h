/*
 * sockets.h - connected Unix sockets of every kind, and sending without the library.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_PASS_SOCKETS_H
#define TESTS_PASS_SOCKETS_H

#include "support.h"

/** Descriptors that the kernel takes in one message. */
#define MOST 253

/** A connection by its name in the file system is a stream too. */
enum kind { STREAM, PACKETS, DATAGRAMS, NAMED, KINDS };

/** Two ends of a connection: the tests send on the first, receive on the second. */
void connect_ends(enum kind kind, int ends[2]);

void close_ends(const int ends[2]);

bool is_stream(enum kind kind);

void set_non_blocking(int fd);

/** Sends bytes and descriptors by hand; how many bytes went. */
ssize_t send_by_hand(int socket_fd, const void *bytes, size_t length, const int *descriptors,
                     size_t count);

#endif
