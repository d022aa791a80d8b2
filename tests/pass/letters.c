/*
 * letters.c - see letters.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "letters.h"

#include <string.h>
#include <unistd.h>

void
sign(struct letter *letter)
{
    struct mapseg_message *message = &letter->content.message;

    message->checksum = mapseg_digest(message, MAPSEG_MESSAGE_CHECKSUM_COVERS);
}

void
write_letter(struct letter *letter, mapseg *seg, mapseg_access access)
{
    mapseg_info *information = describe(seg);
    struct mapseg_message *message = &letter->content.message;

    memset(letter, 0, sizeof *letter);
    memcpy(message->magic, MAPSEG_MESSAGE_MAGIC, sizeof message->magic);
    message->version = MAPSEG_MESSAGE_VERSION;
    message->bytes = MAPSEG_MESSAGE_BYTES;
    message->access = (uint32_t)access;
    memcpy(message->id, information->id, sizeof message->id);
    message->data_size = information->data_size;
    mapseg_info_free(information);
    sign(letter);
    letter->length = MAPSEG_MESSAGE_BYTES;
    letter->descriptors[0] = exported_fd(seg, access);
    ck_assert_int_ge(letter->descriptors[0], 0);
    letter->count = 1;
}

void
post(int socket_fd, const struct letter *letter)
{
    ck_assert_int_eq(send_by_hand(socket_fd, &letter->content, letter->length, letter->descriptors,
                                  letter->count),
                     (ssize_t)letter->length);
}

void
burn(struct letter *letter)
{
    for (size_t i = 0; i < letter->count; i++)
        close(letter->descriptors[i]);
}

void
give_descriptors(struct letter *letter, size_t count)
{
    for (; letter->count < count; letter->count++)
        letter->descriptors[letter->count] = dup(letter->descriptors[0]);
}

void
check_usable(enum kind kind, mapseg *receiver, mapseg *seg)
{
    int ends[2];

    connect_ends(kind, ends);
    need_call(MAPSEG_OK, seg, mapseg_send(seg, ends[0], MAPSEG_READ_WRITE));
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
    check_text(receiver, mapseg_const_data(seg));
    need_call(MAPSEG_OK, receiver, mapseg_lock(receiver));
    need_call(MAPSEG_OK, receiver, mapseg_unlock(receiver));
    close_ends(ends);
}

void
refuse(const char *what, uint64_t results, mapseg *receiver, int socket_fd, mapseg_access access)
{
    int before = count_descriptors();
    mapseg_result result = mapseg_receive(receiver, socket_fd, access);

    ck_assert_int_eq(count_descriptors(), before);
    check_one_of(what, results, receiver, result);
    ck_assert(!mapseg_is_attached(receiver));
    ck_assert_str_eq(mapseg_key(receiver), "as it was");
}
