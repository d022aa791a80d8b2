/*
 * message.c - what it takes to get a message from one process to another.
 *
 * The one makes all of its bytes and the other adds them all up, so that neither side can leave out
 * what a program would do with them. The sum comes back, and is checked.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"
#include "duet.h"
#include "segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_NS 5000000
#define ROWS 7
/** What is added up at once while a message arrives: it stays in the cache. */
#define PART_BYTES ((size_t)256 << 10)
/** What a socket or a pipe may hold, where the system lets it. */
#define BUFFER_BYTES (1 << 20)

/** The sender of a message and its receiver have different numbers in mind, but the same ones. */
struct letter {
    size_t bytes;
    uint64_t number;
    uint64_t *made; /**< by the sender */
    uint64_t *got;  /**< by the receiver */
};

/** A descriptor that takes the message, and those that bring the answer back. */
struct stream {
    struct letter *letter;
    int message[2];
    int answer[2];
};

struct mailbox {
    struct letter *letter;
    mapseg *message;
    mapseg *answer;
    uint64_t message_seen;
    uint64_t answer_seen;
};

static uint64_t
make(uint64_t *words, size_t bytes, uint64_t number)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < bytes / sizeof *words; i++) {
        words[i] = number + i;
        sum += number + i;
    }
    return sum;
}

static uint64_t
add_up(const uint64_t *words, size_t bytes)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < bytes / sizeof *words; i++)
        sum += words[i];
    return sum;
}

static bool
put_all(int file, const void *from, size_t bytes)
{
    const char *at = from;

    while (bytes > 0) {
        ssize_t did = write(file, at, bytes);
        if (did <= 0)
            return false;
        at += did;
        bytes -= (size_t)did;
    }
    return true;
}

static bool
get_all(int file, void *to, size_t bytes)
{
    char *at = to;

    while (bytes > 0) {
        ssize_t did = read(file, at, bytes);
        if (did <= 0)
            return false;
        at += did;
        bytes -= (size_t)did;
    }
    return true;
}

static bool
send_stream(void *state, long count)
{
    const struct stream *stream = state;
    struct letter *letter = stream->letter;

    for (; count > 0; count--) {
        uint64_t sum = make(letter->made, letter->bytes, letter->number++);
        uint64_t answer;
        if (!put_all(stream->message[0], letter->made, letter->bytes) ||
            !get_all(stream->answer[0], &answer, sizeof answer) || answer != sum)
            return false;
    }
    return true;
}

static bool
receive_stream(void *state, long count)
{
    const struct stream *stream = state;
    const struct letter *letter = stream->letter;

    for (; count > 0; count--) {
        uint64_t sum;
        if (!get_all(stream->message[1], letter->got, letter->bytes))
            return false;
        sum = add_up(letter->got, letter->bytes);
        if (!put_all(stream->answer[1], &sum, sizeof sum))
            return false;
    }
    return true;
}

/** No message as a whole is ever there. */
static bool
receive_parts(void *state, long count)
{
    const struct stream *stream = state;
    const struct letter *letter = stream->letter;

    for (; count > 0; count--) {
        uint64_t sum = 0;
        for (size_t rest = letter->bytes; rest > 0;) {
            size_t part = rest < PART_BYTES ? rest : PART_BYTES;
            if (!get_all(stream->message[1], letter->got, part))
                return false;
            sum += add_up(letter->got, part);
            rest -= part;
        }
        if (!put_all(stream->answer[1], &sum, sizeof sum))
            return false;
    }
    return true;
}

static bool
await_answer(struct mailbox *box, uint64_t sum)
{
    uint64_t answer;

    return segment_did(box->answer, mapseg_wait(box->answer, box->answer_seen, &box->answer_seen,
                                                DUET_PATIENCE_NS)) &&
           segment_did(box->answer, mapseg_read(box->answer, 0, &answer, sizeof answer, NULL)) &&
           answer == sum;
}

/** The message is made where it is read. */
static bool
send_in_place(void *state, long count)
{
    struct mailbox *box = state;
    struct letter *letter = box->letter;

    for (; count > 0; count--) {
        uint64_t sum;
        if (!segment_did(box->message, mapseg_write_begin(box->message)))
            return false;
        sum = make(mapseg_data(box->message), letter->bytes, letter->number++);
        if (!segment_did(box->message, mapseg_write_end(box->message)) || !await_answer(box, sum))
            return false;
    }
    return true;
}

/** The message is made elsewhere. */
static bool
send_copy(void *state, long count)
{
    struct mailbox *box = state;
    struct letter *letter = box->letter;

    for (; count > 0; count--) {
        uint64_t sum = make(letter->made, letter->bytes, letter->number++);
        if (!segment_did(box->message,
                         mapseg_write(box->message, 0, letter->made, letter->bytes)) ||
            !await_answer(box, sum))
            return false;
    }
    return true;
}

static bool
await_message(struct mailbox *box)
{
    return segment_did(box->message, mapseg_wait(box->message, box->message_seen,
                                                 &box->message_seen, DUET_PATIENCE_NS));
}

static bool
give_answer(struct mailbox *box, uint64_t sum)
{
    return segment_did(box->answer, mapseg_write(box->answer, 0, &sum, sizeof sum));
}

static bool
receive_in_place(void *state, long count)
{
    struct mailbox *box = state;

    for (; count > 0; count--) {
        uint64_t version;
        uint64_t sum;
        if (!await_message(box) ||
            !segment_did(box->message, mapseg_read_begin(box->message, &version)))
            return false;
        sum = add_up(mapseg_const_data(box->message), box->letter->bytes);
        if (mapseg_read_retry(box->message, version) || !give_answer(box, sum))
            return false;
    }
    return true;
}

static bool
receive_copy(void *state, long count)
{
    struct mailbox *box = state;
    const struct letter *letter = box->letter;

    for (; count > 0; count--) {
        if (!await_message(box) ||
            !segment_did(box->message,
                         mapseg_read(box->message, 0, letter->got, letter->bytes, NULL)) ||
            !give_answer(box, add_up(letter->got, letter->bytes)))
            return false;
    }
    return true;
}

/** All that the rows need. */
struct post {
    struct letter letter;
    struct stream socket;
    struct stream pipe;
    struct mailbox memfd;
    struct mailbox named;
};

static void *
new_buffer(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static bool
open_socket(struct stream *stream)
{
    const int room = BUFFER_BYTES;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream->message) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        setsockopt(stream->message[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        stream->answer[i] = dup(stream->message[i]);
    }
    return stream->answer[0] >= 0 && stream->answer[1] >= 0;
}

/** Index 0 is the sender's, as with the socket. */
static bool
open_pipe(struct stream *stream)
{
    int message[2];

    if (pipe(message) != 0)
        return false;
    stream->message[0] = message[1];
    stream->message[1] = message[0];
    fcntl(message[1], F_SETPIPE_SZ, BUFFER_BYTES);
    return pipe(stream->answer) == 0;
}

static bool
open_mailbox(struct mailbox *box, enum segment_kind kind, size_t bytes)
{
    box->message = segment_new(kind, bytes);
    box->answer = segment_new(kind, sizeof(uint64_t));
    return box->message != NULL && box->answer != NULL;
}

static bool
open_post(struct post *post, size_t bytes)
{
    *post = (struct post){
        .letter = {bytes, 1, new_buffer(bytes), new_buffer(bytes)},
        .socket = {&post->letter, {-1, -1}, {-1, -1}},
        .pipe = {&post->letter, {-1, -1}, {-1, -1}},
        .memfd = {.letter = &post->letter},
        .named = {.letter = &post->letter},
    };
    return post->letter.made != NULL && post->letter.got != NULL && open_socket(&post->socket) &&
           open_pipe(&post->pipe) && open_mailbox(&post->memfd, SEGMENT_MEMFD, bytes) &&
           open_mailbox(&post->named, SEGMENT_NAMED, bytes);
}

static void
close_stream(const struct stream *stream)
{
    for (int i = 0; i < 2; i++) {
        if (stream->message[i] >= 0)
            close(stream->message[i]);
        if (stream->answer[i] >= 0)
            close(stream->answer[i]);
    }
}

static void
close_post(struct post *post)
{
    close_stream(&post->socket);
    close_stream(&post->pipe);
    mapseg_free(post->memfd.message);
    mapseg_free(post->memfd.answer);
    mapseg_free(post->named.message);
    mapseg_free(post->named.answer);
    if (post->letter.made != NULL)
        munmap(post->letter.made, post->letter.bytes);
    if (post->letter.got != NULL)
        munmap(post->letter.got, post->letter.bytes);
}

static bool
exchange(struct post *post, int rounds, struct table *table)
{
    const struct duet duets[ROWS] = {
        {"socket", "a Unix stream socket", &post->socket, send_stream, receive_stream, NULL},
        {"socket-parts", "the same, added up while it arrives", &post->socket, send_stream,
         receive_parts, NULL},
        {"pipe", "a pipe", &post->pipe, send_stream, receive_stream, NULL},
        {"mapseg-in-place", "made and added up in a sealed memfd", &post->memfd, send_in_place,
         receive_in_place, NULL},
        {"mapseg-read", "made there, copied out by mapseg_read", &post->memfd, send_in_place,
         receive_copy, NULL},
        {"mapseg-copies", "copied in by mapseg_write, out by mapseg_read", &post->memfd, send_copy,
         receive_copy, NULL},
        {"mapseg-named", "the same, a named segment", &post->named, send_copy, receive_copy, NULL},
    };

    return interleave_duets(duets, ROWS, STAGE_TWO_CPUS, rounds, TURN_NS, table);
}

bool
measure_message(struct report *report, const struct choice *choice)
{
    static const struct {
        const char *name;
        const char *title;
        size_t bytes;
    } sizes[] = {
        {"64-kib", "A message of 64 KiB, made, received, and answered", (size_t)64 << 10},
        {"1-mib", "A message of 1 MiB, made, received, and answered", (size_t)1 << 20},
        {"64-mib", "A message of 64 MiB, made, received, and answered", (size_t)64 << 20},
    };
    bool good = true;

    (void)choice;
    for (size_t i = 0; good && i < sizeof sizes / sizeof sizes[0]; i++) {
        struct headed_table *message = &report->message.list[report->message.count++];
        struct post post;

        message->name = sizes[i].name;
        message->title = sizes[i].title;
        message->unit_ns = 1e3;
        good = open_post(&post, sizes[i].bytes) &&
               exchange(&post, report->effort.message_rounds, &message->table);
        close_post(&post);
    }
    return good;
}
