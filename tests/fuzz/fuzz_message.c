/*
 * fuzz_message.c - what comes over a socket: any bytes, cut anywhere, with any
 * descriptors.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PARTS 4

/** The kernel takes no more at a time. */
#define MOST_DESCRIPTORS 253

/** How the input begins; the bytes to send follow. */
struct plan {
    uint8_t shape;          /**< SHAPE_..., and the type of socket in two bits */
    uint8_t descriptors;    /**< how many, 0 to 3, and the kind of each */
    uint8_t carriers;       /**< a bit for each part that carries them */
    uint8_t more;           /**< how many more than 3, all of the last kind */
    uint8_t lengths[PARTS]; /**< of all parts but the last, which is the rest */
};

enum {
    SHAPE_TYPE = 3,          /**< index of types */
    SHAPE_OPEN = 1 << 2,     /**< the sender stays */
    SHAPE_WRITES = 1 << 3,   /**< the receiver wants to write */
    SHAPE_REPAIR = 1 << 4,   /**< make the checksum fit */
    SHAPE_ATTACHED = 1 << 5, /**< the handle is attached already */
    SHAPE_WAITS = 1 << 6,    /**< the socket blocks */
    SHAPE_NAMED = 1 << 7,    /**< the kernel adds who the sender is */
};

static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM, SOCK_STREAM};

/** What can be sent: two segments, one of them also to read only, and a pipe. */
enum { SEALED, READ_ONLY, OTHER, PIPE, KINDS };

static const struct {
    uint8_t id;
    uint64_t data_size;
} segments[KINDS] = {{0x11, 8192}, {0x11, 8192}, {0x22, 100}, {0, 0}};

static int descriptors[KINDS];

/* ------------------------------------------------------------------ seeds -- */

/** Fields at their limits, each in a message that is sound otherwise. */
static const struct {
    size_t offset;
    size_t bytes;
    uint64_t value;
} fields[] = {
    {0, 8, 0},           {8, 4, 0},           {8, 4, 2},  {12, 4, 0},
    {12, 4, 63},         {12, 4, UINT32_MAX}, {16, 4, 1}, {16, 4, 2},
    {16, 4, UINT32_MAX}, {20, 4, 1},          {24, 8, 0}, {40, 8, 0},
    {40, 8, 8191},       {40, 8, UINT64_MAX}, {48, 8, 1}, {48, 8, UINT64_C(1) << 63},
};

static void
make_message(struct mapseg_message *message, unsigned kind, uint32_t access)
{
    memset(message, 0, sizeof *message);
    memcpy(message->magic, MAPSEG_MESSAGE_MAGIC, sizeof message->magic);
    message->version = MAPSEG_MESSAGE_VERSION;
    message->bytes = MAPSEG_MESSAGE_BYTES;
    message->access = access;
    memset(message->id, segments[kind].id, sizeof message->id);
    message->data_size = segments[kind].data_size;
    repair_message(message);
}

/** Plans of seeds: with a sound message, all but the last three are good. */
static const struct plan plans[] = {
    {SHAPE_REPAIR, 1, 1, 0, {0}},
    {SHAPE_REPAIR | SHAPE_WRITES, 1, 1, 0, {0}},
    {SHAPE_REPAIR | SHAPE_WRITES | 1, 1, 1, 0, {0}},
    {SHAPE_REPAIR | SHAPE_WRITES | SHAPE_WAITS | 2, 1, 1, 0, {0}},
    {SHAPE_REPAIR | SHAPE_WRITES, 1, 1, 0, {1}},
    {SHAPE_REPAIR | SHAPE_WAITS, 1, 1, 0, {8, 4, 51}},
    {SHAPE_REPAIR, 1 | READ_ONLY << 2, 1, 0, {0}},
    {SHAPE_REPAIR | SHAPE_OPEN | SHAPE_WRITES, 1 | OTHER << 2, 1, 0, {63}},
    {SHAPE_REPAIR | SHAPE_OPEN, 2 | READ_ONLY << 4, 1, 0, {0}},
    {SHAPE_REPAIR | SHAPE_NAMED, 1, 1, 0, {0}},
    {SHAPE_REPAIR, 3 | PIPE << 2, 3, 0, {32}},
    {SHAPE_REPAIR | SHAPE_NAMED, 3, 1, 250, {0}},
};

size_t
fuzz_seed(size_t number, uint8_t seed[INPUT_BYTES])
{
    const size_t count = sizeof fields / sizeof *fields + 2;
    size_t field = number % count;
    struct mapseg_message message;
    struct plan plan;

    if (number >= count * (sizeof plans / sizeof *plans))
        return 0;
    plan = plans[number / count];
    make_message(&message, plan.descriptors >> 2 & 3, plan.shape & SHAPE_WRITES ? 1 : 0);
    if (field >= 2)
        memcpy((uint8_t *)&message + fields[field - 2].offset, &fields[field - 2].value,
               fields[field - 2].bytes);
    if (field == 1)
        plan.shape |= SHAPE_ATTACHED;
    memcpy(seed, &plan, sizeof plan);
    memcpy(seed + sizeof plan, &message, sizeof message);
    return sizeof plan + sizeof message;
}

/* ------------------------------------------------------------ descriptors -- */

static int
new_segment(unsigned kind)
{
    struct mapseg_header header;
    int fd = new_memory_file();

    make_header(&header, segments[kind].data_size, segments[kind].id);
    claim(ftruncate(fd, (off_t)(header.data_offset + header.data_size)) == 0 &&
          pwrite(fd, &header, sizeof header, 0) == (ssize_t)sizeof header);
    return fd;
}

const char *
fuzz_objection(void)
{
    char name[40];
    int ends[2];

    descriptors[SEALED] = new_segment(SEALED);
    descriptors[OTHER] = new_segment(OTHER);
    claim(fcntl(descriptors[SEALED], F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", descriptors[SEALED]);
    descriptors[READ_ONLY] = open(name, O_RDONLY | O_CLOEXEC);
    if (descriptors[READ_ONLY] < 0)
        return "/proc is not mounted";
    claim(pipe2(ends, O_CLOEXEC) == 0);
    descriptors[PIPE] = ends[0];
    return NULL;
}

/* ---------------------------------------------------------------- sending -- */

/** One run. */
struct scene {
    struct plan plan;
    uint8_t bytes[INPUT_BYTES];
    size_t size;
    size_t lengths[PARTS]; /**< as they are sent */
    size_t sent[PARTS];    /**< descriptors with each */
};

static unsigned
kind_of(const struct plan *plan, size_t number)
{
    return plan->descriptors >> (2 + 2 * (number < 3 ? number : 2)) & 3U;
}

static size_t
descriptors_of(const struct plan *plan)
{
    size_t count = plan->descriptors & 3;

    if (count == 3)
        count += plan->more;
    return count < MOST_DESCRIPTORS ? count : MOST_DESCRIPTORS;
}

/** False: nothing was sent. */
static bool
send_part(const struct scene *scene, int fd, const uint8_t *bytes, size_t size, size_t count)
{
    static _Alignas(struct cmsghdr) char room[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))];
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *head = (struct cmsghdr *)(void *)room;
    int sent[MOST_DESCRIPTORS];

    for (size_t i = 0; i < count; i++)
        sent[i] = descriptors[kind_of(&scene->plan, i)];
    if (count > 0) {
        message.msg_control = room;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(head), sent, count * sizeof(int));
    }
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

/** Sends all parts. One whose length is 0 is all the rest. */
static void
send_all(struct scene *scene, int fd)
{
    const struct plan *plan = &scene->plan;
    size_t at = 0;

    for (size_t i = 0; i < PARTS; i++) {
        size_t left = scene->size - at;
        size_t length = plan->lengths[i] < left ? plan->lengths[i] : left;
        size_t count = plan->carriers >> i & 1 ? descriptors_of(plan) : 0;

        if (length == 0 || i == PARTS - 1)
            length = left;
        if (!send_part(scene, fd, scene->bytes + at, length, count))
            break;
        scene->lengths[i] = length;
        scene->sent[i] = count;
        at += length;
        if (at == scene->size)
            break;
    }
    scene->size = at;
}

/* ------------------------------------------------------------ the verdict -- */

/** Whether the bytes are a message that fits the segment, and grants what is
 *  wanted. */
static bool
is_sound(const struct scene *scene, unsigned kind)
{
    struct mapseg_message message;
    struct mapseg_message sound;
    uint32_t wanted = scene->plan.shape & SHAPE_WRITES ? 1 : 0;

    if (scene->size < sizeof message || kind == PIPE)
        return false;
    memcpy(&message, scene->bytes, sizeof message);
    make_message(&sound, kind, message.access);
    return memcmp(&message, &sound, sizeof sound) == 0 && message.access <= 1 &&
           (wanted == 0 || (message.access == 1 && kind != READ_ONLY));
}

/** Whether the reserved field is 0, and the access one of the two that there are
 *  and not more than the descriptor's. */
static bool
is_plain(const struct scene *scene, unsigned kind)
{
    struct mapseg_message message;

    memcpy(&message, scene->bytes, sizeof message);
    return message.reserved == 0 && message.access <= (kind == READ_ONLY ? 0 : 1);
}

/** Whether only a success is right. */
static bool
must_succeed(const struct scene *scene)
{
    unsigned kind = kind_of(&scene->plan, 0);
    bool stream = types[scene->plan.shape & SHAPE_TYPE] == SOCK_STREAM;

    if (!is_sound(scene, kind) || scene->sent[0] != 1 || !is_plain(scene, kind))
        return false;
    if (!stream)
        return scene->lengths[0] == MAPSEG_MESSAGE_BYTES;
    /* The moment that is left for the rest may pass before it is looked at. */
    if (scene->plan.shape & SHAPE_OPEN && scene->lengths[0] < MAPSEG_MESSAGE_BYTES)
        return false;
    return scene->sent[1] + scene->sent[2] + scene->sent[3] == 0;
}

/** Whether a success may be right. */
static bool
may_succeed(const struct scene *scene)
{
    bool stream = types[scene->plan.shape & SHAPE_TYPE] == SOCK_STREAM;
    size_t count = 0;
    size_t at = 0;

    for (size_t i = 0; i < (stream ? PARTS : 1) && at < MAPSEG_MESSAGE_BYTES; i++) {
        count += scene->sent[i];
        at += scene->lengths[i];
    }
    return count == 1 && is_sound(scene, kind_of(&scene->plan, 0)) &&
           (stream || scene->lengths[0] == MAPSEG_MESSAGE_BYTES);
}

/* ---------------------------------------------------------------- the run -- */

static void
check_received(const struct scene *scene, mapseg *seg)
{
    unsigned kind = kind_of(&scene->plan, 0);

    claim(may_succeed(scene));
    claim(mapseg_is_attached(seg) && mapseg_size(seg) == segments[kind].data_size);
    claim((mapseg_data(seg) != NULL) == ((scene->plan.shape & SHAPE_WRITES) != 0));
    claim(strncmp(mapseg_native_key(seg), "memfd:", 6) == 0 &&
          strstr(mapseg_native_key(seg), "?id=") != NULL);
    claim(mapseg_detach(seg) == MAPSEG_OK);
}

static void
receive(const struct scene *scene, int fd)
{
    mapseg_access access = scene->plan.shape & SHAPE_WRITES ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY;
    bool attached = (scene->plan.shape & SHAPE_ATTACHED) != 0;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = mapseg_new();
    char key[40] = "shm:before";
    mapseg_result result;

    if (attached)
        snprintf(key, sizeof key, "memfd:%d", descriptors[OTHER]);
    claim(seg != NULL && mapseg_set_native_key(seg, key) == MAPSEG_OK);
    claim(!attached || mapseg_attach(seg, MAPSEG_READ_WRITE) == MAPSEG_OK);
    /* Where the sender has gone there is nothing to wait for. */
    options.timeout_ns = scene->plan.shape & SHAPE_OPEN ? 1000 : INT64_C(30000000000);
    result = mapseg_receive_with(seg, fd, access, &options);
    if (result == MAPSEG_OK) {
        claim(!attached);
        check_received(scene, seg);
    } else {
        claim_of(seg, attached ? result == MAPSEG_ALREADY_ATTACHED : !must_succeed(scene));
        claim(is_line(mapseg_error_string(seg)));
        claim(strcmp(mapseg_native_key(seg), key) == 0);
        claim(mapseg_is_attached(seg) == attached);
    }
    mapseg_free(seg);
}

/** Reads the input; false if it is too short. */
static bool
read_plan(struct scene *scene, const uint8_t *data, size_t bytes)
{
    struct mapseg_message message;

    memset(scene, 0, sizeof *scene);
    if (bytes < sizeof scene->plan || bytes > sizeof scene->bytes)
        return false;
    memcpy(&scene->plan, data, sizeof scene->plan);
    scene->size = bytes - sizeof scene->plan;
    memcpy(scene->bytes, data + sizeof scene->plan, scene->size);
    if (scene->plan.shape & SHAPE_REPAIR && scene->size >= sizeof message) {
        memcpy(&message, scene->bytes, sizeof message);
        repair_message(&message);
        memcpy(scene->bytes, &message, sizeof message);
    }
    return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct timeval moment = {0, 1000};
    static const int yes = 1;
    static struct scene scene;
    int before = lowest_descriptor();
    int waits;
    int ends[2];

    if (!read_plan(&scene, data, bytes))
        return 0;
    waits = scene.plan.shape & SHAPE_WAITS ? 0 : SOCK_NONBLOCK;
    claim(socketpair(AF_UNIX, types[scene.plan.shape & SHAPE_TYPE] | SOCK_CLOEXEC | waits, 0,
                     ends) == 0);
    claim(setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof moment) == 0);
    if (scene.plan.shape & SHAPE_NAMED)
        claim(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes) == 0);
    send_all(&scene, ends[0]);
    if (!(scene.plan.shape & SHAPE_OPEN))
        close(ends[0]);
    receive(&scene, ends[1]);
    if (scene.plan.shape & SHAPE_OPEN)
        close(ends[0]);
    close(ends[1]);
    claim(lowest_descriptor() == before);
    return 0;
}
