/*
 * letters.h - messages written by hand, as mapseg_send writes them, for tests to spoil.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_PASS_LETTERS_H
#define TESTS_PASS_LETTERS_H

#include "segments.h"
#include "sockets.h"

#include "mapseg-format.h"

/** What a peer may send. */
struct letter {
    union {
        struct mapseg_message message;
        unsigned char bytes[256];
    } content;
    size_t length;
    int descriptors[MOST];
    size_t count;
};

/** Writes the good message, as mapseg_send does; a test spoils it then. */
void write_letter(struct letter *letter, mapseg *seg, mapseg_access access);

/** Makes the checksum right again. */
void sign(struct letter *letter);

/** Adds copies of its first descriptor until it has so many. */
void give_descriptors(struct letter *letter, size_t count);

/** Closes its descriptors. */
void burn(struct letter *letter);

/** Sends it. */
void post(int socket_fd, const struct letter *letter);

/** The handle works as if nothing had happened. */
void check_usable(enum kind kind, mapseg *receiver, mapseg *seg);

/** Receives what waits on the socket, which is refused so and leaves nothing behind. */
void refuse(const char *what, uint64_t results, mapseg *receiver, int socket_fd,
            mapseg_access access);

#endif
