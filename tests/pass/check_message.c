/*
 * check_message.c - mapseg_receive, and messages that mapseg_send did not write: spoiled, forged,
 * with the wrong descriptors, or far too many.
 *
 * SPDX-License-Identifier: MIT
 */
#include "letters.h"
#include "strangers.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ------------------------------------------------------ forged messages -- */

/** The message is right, but its descriptor is of something else. */
START_TEST(strange_descriptors_arrive)
{
    const struct stranger *stranger = &strangers[_i / KINDS];
    enum kind kind = (enum kind)(_i % KINDS);
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct letter letter;
    int ends[2];

    connect_ends(kind, ends);
    write_letter(&letter, seg, MAPSEG_READ_ONLY);
    close(letter.descriptors[0]);
    letter.descriptors[0] = stranger->make();
    post(ends[0], &letter);
    burn(&letter);
    refuse(stranger->name, stranger->results | ONE(MAPSEG_CORRUPT), receiver, ends[1],
           MAPSEG_READ_ONLY);
    check_usable(kind, receiver, seg);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** What the message grants and what the descriptor can do are two things; the lesser holds. */
START_TEST(forged_grants)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct letter letter;
    int ends[2];

    connect_ends((enum kind)_i, ends);
    write_letter(&letter, seg, MAPSEG_READ_ONLY);
    letter.content.message.access = MAPSEG_READ_WRITE;
    sign(&letter);
    post(ends[0], &letter);
    burn(&letter);
    refuse("a descriptor that only reads", ONE(MAPSEG_PERMISSION_DENIED) | ONE(MAPSEG_CORRUPT),
           receiver, ends[1], MAPSEG_READ_WRITE);

    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    letter.content.message.access = MAPSEG_READ_ONLY;
    sign(&letter);
    post(ends[0], &letter);
    burn(&letter);
    refuse("a message that grants less", ONE(MAPSEG_PERMISSION_DENIED), receiver, ends[1],
           MAPSEG_READ_WRITE);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/* --------------------------------------------------------------- floods -- */

/** A thousand descriptors and more, on one connection. */
START_TEST(a_flood_of_descriptors)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct letter letter;
    int ends[2];

    connect_ends((enum kind)_i, ends);
    for (int i = 0; i < 5; i++) {
        write_letter(&letter, seg, MAPSEG_READ_WRITE);
        give_descriptors(&letter, 250);
        post(ends[0], &letter);
        burn(&letter);
    }
    for (int i = 0; i < 5; i++)
        refuse("flood", FOREIGN, receiver, ends[1], MAPSEG_READ_WRITE);
    check_usable((enum kind)_i, receiver, seg);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** Each byte brings its own. */
START_TEST(descriptors_on_each_byte)
{
    const size_t each = _i == 0 ? 1 : 20;
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct letter letter;
    int ends[2];

    connect_ends(STREAM, ends);
    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    give_descriptors(&letter, each);
    for (size_t i = 0; i < letter.length; i++)
        ck_assert_int_eq(
            send_by_hand(ends[0], letter.content.bytes + i, 1, letter.descriptors, each), 1);
    burn(&letter);
    refuse("descriptors on each byte", FOREIGN, receiver, ends[1], MAPSEG_READ_WRITE);
    check_usable(STREAM, receiver, seg);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** A descriptor with each half of the message. */
START_TEST(a_second_descriptor_later)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct letter letter;
    int ends[2];

    connect_ends(STREAM, ends);
    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    ck_assert_int_eq(send_by_hand(ends[0], letter.content.bytes, 32, letter.descriptors, 1), 32);
    ck_assert_int_eq(send_by_hand(ends[0], letter.content.bytes + 32, 32, letter.descriptors, 1),
                     32);
    burn(&letter);
    refuse("a second descriptor", FOREIGN, receiver, ends[1], MAPSEG_READ_WRITE);
    mapseg_free(receiver);
    mapseg_free(seg);
    close_ends(ends);
}
END_TEST

/** What follows a good message does not spoil it, and is not lost in it. */
START_TEST(a_good_message_before_a_bad_one)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    int ends[2], before = count_descriptors();
    struct letter letter;

    connect_ends(STREAM, ends);
    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    letter.length += 7;
    post(ends[0], &letter);
    give_descriptors(&letter, 250);
    post(ends[0], &letter);
    burn(&letter);
    need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
    check_text(receiver, "good");
    mapseg_free(receiver);
    receiver = mapseg_new_with_key("as it was");
    refuse("what followed", FOREIGN, receiver, ends[1], MAPSEG_READ_WRITE);
    close_ends(ends);
    ck_assert_int_eq(count_descriptors(), before);
    mapseg_free(receiver);
    mapseg_free(seg);
}
END_TEST

/* -------------------------------------- one way to spoil a message each -- */

static void
spoil_nothing(struct letter *letter)
{
    (void)letter;
}

static void
spoil_length(struct letter *letter)
{
    letter->length = 20;
}

static void
spoil_last_byte(struct letter *letter)
{
    letter->length--;
}

static void
spoil_all_but_a_byte(struct letter *letter)
{
    letter->length = 1;
}

static void
spoil_end(struct letter *letter)
{
    letter->length++;
}

static void
spoil_end_much(struct letter *letter)
{
    letter->length = sizeof letter->content;
}

static void
spoil_all(struct letter *letter)
{
    letter->length = 0;
}

static void
spoil_magic(struct letter *letter)
{
    letter->content.message.magic[7] ^= 1;
    sign(letter);
}

static void
spoil_language(struct letter *letter)
{
    memset(&letter->content, 'G', sizeof letter->content);
    burn(letter);
    letter->count = 0;
}

static void
spoil_checksum(struct letter *letter)
{
    letter->content.message.checksum ^= UINT64_C(1) << 63;
}

static void
spoil_version(struct letter *letter)
{
    letter->content.message.version++;
    sign(letter);
}

static void
spoil_version_to_none(struct letter *letter)
{
    letter->content.message.version = 0;
    sign(letter);
}

static void
spoil_bytes(struct letter *letter)
{
    letter->content.message.bytes++;
    sign(letter);
}

static void
spoil_access(struct letter *letter)
{
    letter->content.message.access = 2;
    sign(letter);
}

static void
spoil_first_flag(struct letter *letter)
{
    letter->content.message.flags = 1;
    sign(letter);
}

static void
spoil_last_flag(struct letter *letter)
{
    letter->content.message.flags = UINT64_C(1) << 63;
    sign(letter);
}

static void
spoil_id(struct letter *letter)
{
    letter->content.message.id[15] ^= 1;
    sign(letter);
}

static void
spoil_size_up(struct letter *letter)
{
    letter->content.message.data_size++;
    sign(letter);
}

static void
spoil_size_down(struct letter *letter)
{
    letter->content.message.data_size = 0;
    sign(letter);
}

static void
spoil_size_to_much(struct letter *letter)
{
    letter->content.message.data_size = UINT64_MAX;
    sign(letter);
}

static void
spoil_descriptors(struct letter *letter)
{
    burn(letter);
    letter->count = 0;
}

static void
spoil_with_a_second(struct letter *letter)
{
    give_descriptors(letter, 2);
}

static void
spoil_with_many(struct letter *letter)
{
    give_descriptors(letter, MOST);
}

static void
spoil_descriptor(struct letter *letter)
{
    mapseg *other = memory_segment("another of the same size");

    close(letter->descriptors[0]);
    letter->descriptors[0] = exported_fd(other, MAPSEG_READ_WRITE);
    mapseg_free(other);
}

enum where { ANYWHERE, IN_STREAMS, IN_PACKETS };

static const struct spoiler {
    const char *name;
    void (*spoil)(struct letter *letter);
    uint64_t results;
    enum where where;
} spoilers[] = {
    {"good", spoil_nothing, ONE(MAPSEG_OK), ANYWHERE},
    {"short", spoil_length, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"shorter by a byte", spoil_last_byte, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"one byte", spoil_all_but_a_byte, FOREIGN, ANYWHERE},
    {"nothing", spoil_all, FOREIGN | ONE(MAPSEG_NOT_FOUND), IN_PACKETS},
    {"longer by a byte", spoil_end, FOREIGN, IN_PACKETS},
    {"long", spoil_end_much, FOREIGN, IN_PACKETS},
    {"wrong magic", spoil_magic, ONE(MAPSEG_NOT_A_SEGMENT), ANYWHERE},
    {"another language", spoil_language, ONE(MAPSEG_NOT_A_SEGMENT), ANYWHERE},
    {"wrong checksum", spoil_checksum, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"newer version", spoil_version, ONE(MAPSEG_TOO_NEW), ANYWHERE},
    {"version 0", spoil_version_to_none, FOREIGN | ONE(MAPSEG_TOO_NEW), ANYWHERE},
    {"other size of the message", spoil_bytes, FOREIGN | ONE(MAPSEG_TOO_NEW), ANYWHERE},
    {"unknown access", spoil_access, FOREIGN | ONE(MAPSEG_TOO_NEW) | ONE(MAPSEG_PERMISSION_DENIED),
     ANYWHERE},
    {"unknown flag 0", spoil_first_flag, ONE(MAPSEG_TOO_NEW), ANYWHERE},
    {"unknown flag 63", spoil_last_flag, ONE(MAPSEG_TOO_NEW), ANYWHERE},
    {"wrong id", spoil_id, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"size too big", spoil_size_up, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"size 0", spoil_size_down, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"size of everything", spoil_size_to_much, ONE(MAPSEG_CORRUPT), ANYWHERE},
    {"no descriptor", spoil_descriptors, FOREIGN, ANYWHERE},
    {"two descriptors", spoil_with_a_second, FOREIGN, ANYWHERE},
    {"many descriptors", spoil_with_many, FOREIGN, ANYWHERE},
    {"another segment", spoil_descriptor, ONE(MAPSEG_CORRUPT), ANYWHERE},
};

#define SPOILERS (int)(sizeof spoilers / sizeof *spoilers)

/* ----------------------------------------------------- spoiled messages -- */

static void
receive_spoiled(enum kind kind, const struct spoiler *spoiler)
{
    mapseg *seg = memory_segment("good"), *receiver = mapseg_new_with_key("as it was");
    struct footprint before;
    struct letter letter;
    int ends[2];

    take_footprint(&before, NULL);
    connect_ends(kind, ends);
    write_letter(&letter, seg, MAPSEG_READ_WRITE);
    spoiler->spoil(&letter);
    post(ends[0], &letter);
    burn(&letter);
    shutdown(ends[0], SHUT_WR);
    if (spoiler->spoil == spoil_nothing) {
        need_call(MAPSEG_OK, receiver, mapseg_receive(receiver, ends[1], MAPSEG_READ_WRITE));
        check_text(receiver, "good");
    } else {
        refuse(spoiler->name, spoiler->results, receiver, ends[1], MAPSEG_READ_WRITE);
        check_usable(kind, receiver, seg);
    }
    need_call(MAPSEG_OK, receiver, mapseg_detach(receiver));
    close_ends(ends);
    check_footprint(&before, NULL);
    mapseg_free(receiver);
    mapseg_free(seg);
}

START_TEST(spoiled_messages)
{
    enum kind kind = (enum kind)(_i / SPOILERS);
    const struct spoiler *spoiler = &spoilers[_i % SPOILERS];

    if (spoiler->where == ANYWHERE || (spoiler->where == IN_STREAMS) == is_stream(kind))
        receive_spoiled(kind, spoiler);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

int
main(void)
{
    Suite *suite = new_suite("message");
    TCase *group = new_case(suite, "spoiled");

    tcase_add_loop_test(group, spoiled_messages, 0, SPOILERS * KINDS);
    tcase_add_loop_test(group, strange_descriptors_arrive, 0, STRANGERS * KINDS);
    tcase_add_loop_test(group, forged_grants, 0, KINDS);

    group = new_case(suite, "floods");
    tcase_add_loop_test(group, a_flood_of_descriptors, 0, KINDS);
    tcase_add_loop_test(group, descriptors_on_each_byte, 0, 2);
    tcase_add_test(group, a_second_descriptor_later);
    tcase_add_test(group, a_good_message_before_a_bad_one);
    return run_suite(suite);
}
