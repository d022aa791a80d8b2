/*
 * attachment.c - attaching to a file of any content.
 *
 * The file is made as the input says, attached to, perhaps changed and cut by
 * a peer that means harm, used in every way, and detached from. What the
 * library may accept is decided here once more, from the description of the
 * format alone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "attachment.h"

#include "../support/calls.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** Bytes of the header that an input gives; the others are zero. */
#define GIVEN_BYTES 272

/** The tag that is demanded, if the flags demand one. */
#define TAG UINT64_C(0x6d61707365670001)

#define KNOWN_FLAGS ((MAPSEG_WATCH_WRITERS << 1) - 1)

#define NAME "fuzz-attachment"

/** How the input begins. What it has more of, the peer writes. */
struct plan {
    uint8_t shape; /**< SHAPE_... */
    uint8_t uses;  /**< USE_... */
    uint8_t seals; /**< F_SEAL_..., of a memory file */
    uint8_t where; /**< where the peer writes, in units of 4 bytes */
    uint32_t flags;
    uint64_t file_size;
    uint64_t cut_size;
    uint64_t offset;
    uint32_t bytes;  /**< to read and write from that offset on */
    uint32_t rarely; /**< RARELY_... */
    uint8_t header[GIVEN_BYTES];
};

enum {
    SHAPE_REPAIR = 1 << 0, /**< make the checksum fit */
    SHAPE_NAMED = 1 << 1,  /**< a file in /dev/shm, not a memory file */
    SHAPE_SEALED = 1 << 2,
    SHAPE_WRITES = 1 << 3, /**< attach to write */
    SHAPE_HARMED = 1 << 4, /**< the peer writes while it is attached */
    SHAPE_CUT = 1 << 5,    /**< and makes the file shorter */
    SHAPE_HANDED = 1 << 6, /**< attach to the descriptor, which is handed over */
};

enum {
    /** Do away with it instead, as the two bits below say. */
    RARELY_END = 1 << 8,
    END_KIND = 3 << 4,
    END_REMOVE = 1 << 4,
    END_REPLACE = 2 << 4,
};

enum {
    USE_INFO = 1 << 0,
    USE_LOCK = 1 << 1,
    USE_READ = 1 << 2,
    USE_WAIT = 1 << 3,
    USE_WRITE = 1 << 4,
    USE_EXPORT = 1 << 5,
    USE_TOUCH = 1 << 6,
    USE_IN_PLACE = 1 << 7,
};

/** One run. */
struct scene {
    struct plan plan;
    struct mapseg_header header; /**< as it is in the file at first */
    const uint8_t *harm;         /**< what the peer writes */
    size_t harm_bytes;
    int fd; /**< the peer's */
    mapseg *seg;
    bool guarded;
    bool is_rare; /**< one of many, whatever it was made from */
};

/** What takes long is done once in so many runs. It does not hang on one field,
 *  or a driver that likes what it sees would keep to it. */
#define RARE 32

static bool names;

void
attachment_prepare(void)
{
    names = hide_shared_memory();
}

/* ------------------------------------------------------------------ seeds -- */

#define PAGE ((uint64_t)MAPSEG_HEADER_BYTES)

/** Fields at their limits, each in a header that is sound otherwise. */
static const struct {
    size_t offset;
    size_t bytes;
    uint64_t value;
} fields[] = {
    {8, 4, 0},
    {8, 4, 2},
    {8, 4, UINT32_MAX},
    {12, 4, 0},
    {12, 4, 4095},
    {12, 4, UINT32_MAX},
    {16, 8, 0},
    {16, 8, 4095},
    {16, 8, 8192},
    {16, 8, 65536},
    {16, 8, INT64_MAX - 4095},
    {16, 8, UINT64_MAX - 4095},
    {24, 8, 0},
    {24, 8, 1},
    {24, 8, 8192},
    {24, 8, 8193},
    {24, 8, INT64_MAX},
    {24, 8, INT64_MAX - 4096},
    {24, 8, UINT64_MAX},
    {32, 8, 1},
    {32, 8, 2},
    {32, 8, 0x8000},
    {32, 8, 0x10000},
    {32, 8, UINT64_C(1) << 32},
    {32, 8, UINT64_C(1) << 63},
    {64, 8, TAG},
    {128, 4, 1},
    {128, 4, MAPSEG_LAST_SLOT},
    {128, 4, MAPSEG_LAST_SLOT + 1},
    {128, 4, MAPSEG_LOCK_OWNER},
    {128, 4, MAPSEG_LOCK_DIED},
    {128, 4, MAPSEG_LOCK_SLEEPERS},
    {128, 4, UINT32_MAX},
    {144, 8, UINT64_MAX},
    {256, 8, 1},
    {256, 8, 2},
    {256, 8, UINT32_MAX},
    {256, 8, UINT64_MAX},
    {256, 8, UINT64_MAX - 1},
};

/** Shapes that each field is tried in. */
static const uint8_t shapes[] = {
    SHAPE_REPAIR,
    SHAPE_REPAIR | SHAPE_WRITES,
    SHAPE_REPAIR | SHAPE_WRITES | SHAPE_NAMED,
    SHAPE_REPAIR | SHAPE_WRITES | SHAPE_HARMED | SHAPE_HANDED,
    SHAPE_REPAIR | SHAPE_WRITES | SHAPE_CUT,
    SHAPE_REPAIR | SHAPE_WRITES | SHAPE_SEALED,
};

size_t
attachment_seed(size_t number, uint8_t seed[INPUT_BYTES])
{
    const size_t count = sizeof fields / sizeof *fields + 1;
    const size_t field = number % count;
    struct mapseg_header header;
    struct plan plan;
    uint64_t harm = fields[field == 0 ? 0 : field - 1].value;

    if (number >= count * (sizeof shapes / sizeof *shapes))
        return 0;
    make_header(&header, 8192, (uint8_t)number);
    memset(&plan, 0, sizeof plan);
    plan.shape = shapes[number / count];
    plan.uses = 0xff;
    plan.seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;
    plan.where = field % 2 == 0 ? 32 : 64;
    plan.flags = plan.shape & SHAPE_SEALED ? MAPSEG_UNTRUSTED_PEER
                 : field == 26             ? MAPSEG_REQUIRE_TAG
                                           : 0;
    plan.file_size = 3 * PAGE;
    plan.cut_size = field % 3 * PAGE;
    plan.offset = field % 4 == 3 ? UINT64_MAX - 31 : field * 211;
    plan.bytes = 64;
    plan.rarely = (uint32_t)number | (number % 3 == 0 ? RARELY_END : 0);
    memcpy(plan.header, &header, sizeof plan.header);
    if (field > 0)
        memcpy(plan.header + fields[field - 1].offset, &fields[field - 1].value,
               fields[field - 1].bytes);
    memcpy(seed, &plan, sizeof plan);
    memcpy(seed + sizeof plan, &harm, sizeof harm);
    return sizeof plan + sizeof harm;
}

/* ------------------------------------------------------------ the verdict -- */

/** Whether the file is a segment, and it may be written where `writes`. */
static bool
is_sound(const struct scene *scene, bool writes)
{
    const struct mapseg_header *header = &scene->header;
    struct mapseg_header repaired = *header;

    repair_header(&repaired);
    return scene->plan.file_size >= PAGE &&
           memcmp(header->magic, MAPSEG_MAGIC, MAPSEG_MAGIC_BYTES) == 0 &&
           header->format == MAPSEG_FORMAT_VERSION && header->header_size == PAGE &&
           header->checksum == repaired.checksum &&
           !(header->flags & MAPSEG_HEADER_INCOMPATIBLE & ~MAPSEG_HEADER_PERSISTENT) &&
           !(writes && header->flags & MAPSEG_HEADER_READ_ONLY_COMPATIBLE) &&
           header->data_size > 0 && header->data_offset >= PAGE &&
           header->data_offset % (uint64_t)sysconf(_SC_PAGESIZE) == 0 &&
           header->data_offset <= scene->plan.file_size &&
           header->data_size <= scene->plan.file_size - header->data_offset;
}

static bool
can_shrink(const struct scene *scene)
{
    return !(fcntl(scene->fd, F_GET_SEALS) & F_SEAL_SHRINK) || scene->plan.shape & SHAPE_NAMED;
}

/** Whether seals keep new mappings from writing. */
static bool
is_frozen(const struct scene *scene)
{
    return !(scene->plan.shape & SHAPE_NAMED) &&
           fcntl(scene->fd, F_GET_SEALS) & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}

/** Whether the attach of this run is to be accepted. */
static bool
is_acceptable(const struct scene *scene)
{
    const struct plan *plan = &scene->plan;
    const uint8_t no_id[sizeof scene->header.id] = {0};
    bool writes = (plan->shape & SHAPE_WRITES) != 0;

    if (!is_sound(scene, writes) || plan->flags & ~(uint32_t)KNOWN_FLAGS)
        return false;
    if (plan->flags & MAPSEG_SILENT_WAITERS && plan->flags & MAPSEG_NO_SILENT_WAITERS)
        return false;
    if (plan->flags & MAPSEG_REQUIRE_TAG && scene->header.user_tag != TAG)
        return false;
    if (plan->flags & MAPSEG_REQUIRE_ID && memcmp(scene->header.id, no_id, sizeof no_id) != 0)
        return false;
    if (plan->flags & MAPSEG_UNTRUSTED_PEER && !(plan->flags & MAPSEG_GUARDED) && can_shrink(scene))
        return false;
    return !(writes && is_frozen(scene));
}

/* --------------------------------------------------------------- the file -- */

/** Makes the file; false if the system cannot. */
static bool
make_file(struct scene *scene)
{
    struct plan *plan = &scene->plan;
    size_t written;

    plan->file_size &= INT64_MAX;
    plan->cut_size &= INT64_MAX;
    if (!names)
        plan->shape &= (uint8_t)~SHAPE_NAMED;
    scene->fd = plan->shape & SHAPE_NAMED
                    ? open("/dev/shm/" NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)
                    : new_memory_file();
    claim(scene->fd >= 0);
    /* Or it would be a signal, where all of the file is there at first. */
    if (plan->shape & SHAPE_CUT)
        plan->flags |= MAPSEG_GUARDED;
    memset(&scene->header, 0, sizeof scene->header);
    memcpy(&scene->header, plan->header, sizeof plan->header);
    if (plan->shape & SHAPE_REPAIR)
        repair_header(&scene->header);
    written = plan->file_size < GIVEN_BYTES ? (size_t)plan->file_size : GIVEN_BYTES;
    if (ftruncate(scene->fd, (off_t)plan->file_size) < 0 ||
        pwrite(scene->fd, &scene->header, written, 0) != (ssize_t)written)
        return false;
    if (plan->shape & SHAPE_SEALED)
        (void)fcntl(scene->fd, F_ADD_SEALS, plan->seals & 0x1f);
    return true;
}

static void
drop_file(struct scene *scene)
{
    close(scene->fd);
    if (scene->plan.shape & SHAPE_NAMED)
        (void)unlink("/dev/shm/" NAME);
}

/** What a peer does that means harm. Seals may keep it from it. */
static void
harm(struct scene *scene)
{
    const struct plan *plan = &scene->plan;
    struct stat status;

    if (plan->shape & SHAPE_HARMED && scene->harm_bytes > 0)
        (void)!pwrite(scene->fd, scene->harm, scene->harm_bytes, (off_t)plan->where * 4);
    if (plan->shape & SHAPE_CUT && fstat(scene->fd, &status) == 0 &&
        plan->cut_size < (uint64_t)status.st_size)
        (void)!ftruncate(scene->fd, (off_t)plan->cut_size);
}

/* --------------------------------------------------------------- the uses -- */

static bool
is_one_of(mapseg_result result, const mapseg_result *results)
{
    for (; *results != MAPSEG_RESULT_RESERVED; results++)
        if (*results == result)
            return true;
    return false;
}

/** The call comes to one of these results. */
#define expect(seg, result, ...)                                                                   \
    claim_of(seg, is_one_of(result, (const mapseg_result[]){__VA_ARGS__, MAPSEG_RESULT_RESERVED}))

/** Describes the segment; `fresh`: nobody has done harm to it. */
static void
look(struct scene *scene, mapseg *seg, bool fresh)
{
    mapseg_info *information = NULL;
    mapseg_result result = mapseg_info_new(seg, &information);

    expect(seg, result, MAPSEG_OK);
    claim(is_line(information->native_key));
    claim(information->verdict == MAPSEG_OK || is_line(information->verdict_text));
    if (fresh && is_sound(scene, true)) {
        claim(information->verdict == MAPSEG_OK);
        claim(information->data_size == scene->header.data_size);
        claim(information->data_offset == scene->header.data_offset);
        claim(information->user_tag == scene->header.user_tag);
    }
    if (fresh && !is_sound(scene, false))
        claim(information->verdict != MAPSEG_OK);
    mapseg_info_free(information);
}

/** Whether the mapping of the header is there to be touched. */
static bool
is_there(const struct scene *scene)
{
    struct stat status;

    return scene->guarded || (fstat(scene->fd, &status) == 0 && status.st_size > 0);
}

/** Whether the file is still as long as it has to be. */
static bool
is_whole(const struct scene *scene)
{
    struct stat status;

    claim(fstat(scene->fd, &status) == 0);
    return (uint64_t)status.st_size >= scene->header.data_offset + scene->header.data_size;
}

static bool
lock(struct scene *scene)
{
    mapseg_result result = mapseg_lock_for(scene->seg, 0);

    expect(scene->seg, result, MAPSEG_OK, MAPSEG_OWNER_DIED, MAPSEG_TIMED_OUT,
           MAPSEG_PERMISSION_DENIED, MAPSEG_FILE_SHRUNK);
    if (result == MAPSEG_OWNER_DIED)
        (void)mapseg_consistent(scene->seg);
    return mapseg_result_owes_unlock(result);
}

/** A copy of the range is what is in the file. */
static void
check_copy(const struct scene *scene, const char *copy, size_t bytes)
{
    char *expected = calloc(1, bytes + 1);
    off_t at = (off_t)(scene->header.data_offset + scene->plan.offset);

    claim(expected != NULL && pread(scene->fd, expected, bytes, at) == (ssize_t)bytes);
    claim(memcmp(expected, copy, bytes) == 0);
    free(expected);
}

static bool
is_within(const struct scene *scene, size_t bytes)
{
    return scene->plan.offset <= scene->header.data_size &&
           bytes <= scene->header.data_size - scene->plan.offset;
}

/** The lock is held. */
static void
write_range(struct scene *scene)
{
    const struct plan *plan = &scene->plan;
    size_t bytes = plan->bytes % 4097;
    char *from = malloc(bytes == 0 ? 1 : bytes);
    mapseg_result result;

    claim(from != NULL);
    memset(from, 0xa5, bytes);
    result = mapseg_write(scene->seg, (size_t)plan->offset, from, bytes);
    expect(scene->seg, result, MAPSEG_OK, MAPSEG_INVALID_ARGUMENT, MAPSEG_PERMISSION_DENIED,
           MAPSEG_FILE_SHRUNK);
    if (!(plan->shape & SHAPE_WRITES) || !is_within(scene, bytes))
        claim_of(scene->seg, result != MAPSEG_OK);
    else if (!(plan->shape & SHAPE_CUT))
        claim_of(scene->seg, result == MAPSEG_OK);
    if (result == MAPSEG_OK && !(plan->shape & SHAPE_CUT))
        check_copy(scene, from, bytes);
    free(from);
}

/** Takes the lock, writes, and lets it go. */
static void
lock_and_write(struct scene *scene)
{
    const struct plan *plan = &scene->plan;

    if (!is_there(scene) || !lock(scene))
        return;
    if (plan->uses & USE_WRITE)
        write_range(scene);
    if (plan->uses & USE_IN_PLACE && !(plan->shape & (SHAPE_CUT | SHAPE_HARMED)) &&
        mapseg_lock_for(scene->seg, 0) == MAPSEG_ALREADY_LOCKED &&
        mapseg_write_begin(scene->seg) == MAPSEG_ALREADY_LOCKED)
        (void)mapseg_write_end(scene->seg);
    expect(scene->seg, mapseg_unlock(scene->seg), MAPSEG_OK, MAPSEG_NOT_LOCKED,
           MAPSEG_PERMISSION_DENIED, MAPSEG_FILE_SHRUNK);
}

static void
read_range(struct scene *scene)
{
    const struct plan *plan = &scene->plan;
    size_t bytes = plan->bytes % 4097;
    char *to = malloc(bytes == 0 ? 1 : bytes);
    uint64_t version = 1;
    mapseg_result result;

    claim(to != NULL);
    result = mapseg_read_for(scene->seg, (size_t)plan->offset, to, bytes, &version, 1000);
    expect(scene->seg, result, MAPSEG_OK, MAPSEG_TIMED_OUT, MAPSEG_OWNER_DIED,
           MAPSEG_INVALID_ARGUMENT, MAPSEG_FILE_SHRUNK);
    if (!is_within(scene, bytes))
        expect(scene->seg, result, MAPSEG_INVALID_ARGUMENT);
    else if (!(plan->shape & (SHAPE_CUT | SHAPE_HARMED)))
        claim_of(scene->seg, result != MAPSEG_INVALID_ARGUMENT && result != MAPSEG_FILE_SHRUNK);
    if (result == MAPSEG_OK) {
        claim(version % 2 == 0);
        if (!(plan->shape & SHAPE_CUT))
            check_copy(scene, to, bytes);
    }
    free(to);
}

static void
wait_and_look(struct scene *scene)
{
    uint64_t now = 0;
    mapseg_result result = mapseg_wait(scene->seg, MAPSEG_ANY_VERSION, &now, 0);

    expect(scene->seg, result, MAPSEG_OK, MAPSEG_TIMED_OUT, MAPSEG_OWNER_DIED, MAPSEG_FILE_SHRUNK,
           MAPSEG_NOT_FOUND, MAPSEG_NO_WRITER);
    if (!(scene->plan.flags & (MAPSEG_WATCH_NAME | MAPSEG_WATCH_WRITERS)))
        claim(result != MAPSEG_NOT_FOUND && result != MAPSEG_NO_WRITER);
    /* An odd version would be waited for, for a second. */
    if (result == MAPSEG_OK && scene->plan.uses & USE_IN_PLACE) {
        claim(now % 2 == 0);
        result = mapseg_read_begin(scene->seg, &now);
        expect(scene->seg, result, MAPSEG_OK, MAPSEG_FILE_SHRUNK);
        if (result == MAPSEG_OK)
            claim(!mapseg_read_retry(scene->seg, now) || scene->plan.shape & SHAPE_CUT);
    }
}

/** Gives the segment to another handle. */
static void
hand_on(struct scene *scene)
{
    mapseg_access access = scene->plan.shape & SHAPE_WRITES ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY;
    int fd = exported_fd(scene->seg, access);
    mapseg *peer = mapseg_new();

    claim(peer != NULL);
    claim(fd >= 0 || is_line(mapseg_error_string(scene->seg)));
    if (fd >= 0 && mapseg_attach_fd(peer, fd, access) != MAPSEG_OK) {
        claim(is_line(mapseg_error_string(peer)));
        close(fd);
    }
    mapseg_free(peer);
}

/** Reads the first byte of each of a few pages of the data, as a program does
 *  on its own. */
static void
touch(struct scene *scene)
{
    const volatile char *data = mapseg_const_data(scene->seg);
    size_t size = mapseg_size(scene->seg);

    if (mapseg_guard_begin(scene->seg) != MAPSEG_OK)
        return;
    for (size_t at = 0; at < size && at < 16 * PAGE; at += PAGE)
        (void)data[at];
    (void)data[size - 1];
    if (mapseg_data(scene->seg) != NULL)
        *(volatile char *)mapseg_data(scene->seg) = 0;
    expect(scene->seg, mapseg_guard_end(scene->seg), MAPSEG_OK, MAPSEG_FILE_SHRUNK);
}

static void
use(struct scene *scene)
{
    uint8_t uses = scene->plan.uses;
    bool section = scene->guarded && mapseg_guard_begin(scene->seg) == MAPSEG_OK;

    if (scene->guarded && !section)
        return;
    if (uses & USE_READ)
        read_range(scene);
    if (uses & USE_WAIT)
        wait_and_look(scene);
    if (uses & USE_LOCK)
        lock_and_write(scene);
    if (uses & USE_TOUCH && scene->guarded)
        touch(scene);
    if (uses & USE_EXPORT)
        hand_on(scene);
    if (section)
        expect(scene->seg, mapseg_guard_end(scene->seg),
               is_whole(scene) ? MAPSEG_OK : MAPSEG_FILE_SHRUNK);
    if (scene->is_rare)
        look(scene, scene->seg, false);
}

/* ---------------------------------------------------------------- the run -- */

static mapseg_result
attach(struct scene *scene, int *handed)
{
    const struct plan *plan = &scene->plan;
    mapseg_access access = plan->shape & SHAPE_WRITES ? MAPSEG_READ_WRITE : MAPSEG_READ_ONLY;
    mapseg_options options = MAPSEG_OPTIONS_INIT;

    /* Whether so much may be locked is the machine's matter; and a raw file has no header that
     * could be wrong. */
    options.flags = plan->flags & ~(uint32_t)(MAPSEG_LOCKED | MAPSEG_RAW);
    options.user_tag = TAG;
    options.group = 1;
    options.timeout_ns = 1000000;
    /* What the key names would become the handle's; the harness needs it. */
    if (!(plan->shape & (SHAPE_HANDED | SHAPE_NAMED)))
        options.flags &= ~(uint32_t)MAPSEG_TAKE_DESCRIPTOR;
    if (!(plan->shape & SHAPE_HANDED))
        return mapseg_attach_with(scene->seg, access, &options);
    *handed = fcntl(scene->fd, F_DUPFD_CLOEXEC, 0);
    claim(*handed >= 0);
    return mapseg_attach_fd_with(scene->seg, *handed, access, &options);
}

/** A handle that could not be attached is as if nobody had tried. */
static void
check_refused(struct scene *scene, const char *key)
{
    claim(is_line(mapseg_error_string(scene->seg)));
    claim(!mapseg_is_attached(scene->seg) && mapseg_size(scene->seg) == 0);
    claim(mapseg_const_data(scene->seg) == NULL);
    claim(strcmp(mapseg_native_key(scene->seg), key) == 0);
}

/** Nothing that never changes was changed, unless the peer did. */
static void
check_constants(const struct scene *scene)
{
    char now[MAPSEG_CONSTANT_BYTES];

    if (scene->plan.shape & (SHAPE_CUT | SHAPE_HARMED))
        return;
    claim(pread(scene->fd, now, sizeof now, 0) == (ssize_t)sizeof now);
    claim(memcmp(now, &scene->header, sizeof now) == 0);
}

static void
check_attached(struct scene *scene)
{
    claim(mapseg_is_attached(scene->seg));
    claim(mapseg_size(scene->seg) == scene->header.data_size);
    claim(mapseg_const_data(scene->seg) != NULL);
    claim((mapseg_data(scene->seg) != NULL) == ((scene->plan.shape & SHAPE_WRITES) != 0));
    harm(scene);
    use(scene);
    check_constants(scene);
    claim(mapseg_detach(scene->seg) == MAPSEG_OK && !mapseg_is_attached(scene->seg));
}

/** Whether the name still leads to the file that was made. */
static bool
is_named(const struct scene *scene)
{
    struct stat made;
    struct stat found;

    claim(fstat(scene->fd, &made) == 0);
    return stat("/dev/shm/" NAME, &found) == 0 && found.st_ino == made.st_ino;
}

/** Removes, reclaims or replaces the segment. What does not begin like one must
 *  be left as it is. */
static void
end_segment(struct scene *scene)
{
    const struct plan *plan = &scene->plan;
    bool ours = plan->file_size >= MAPSEG_MAGIC_BYTES &&
                memcmp(scene->header.magic, MAPSEG_MAGIC, MAPSEG_MAGIC_BYTES) == 0;
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg_result result;
    struct stat status;

    options.flags = MAPSEG_RECLAIM;
    if ((plan->rarely & END_KIND) == END_REMOVE)
        result = mapseg_remove(scene->seg);
    else if ((plan->rarely & END_KIND) == END_REPLACE)
        result = mapseg_create_with(scene->seg, 100, MAPSEG_READ_WRITE, &options);
    else
        result = mapseg_reclaim(scene->seg);
    claim_of(scene->seg, says_why(scene->seg, result));
    claim_of(scene->seg, is_named(scene) == (result != MAPSEG_OK));
    claim_of(scene->seg, ours ? result == MAPSEG_OK || (plan->rarely & END_KIND) != END_REMOVE
                              : result != MAPSEG_OK);
    claim(fstat(scene->fd, &status) == 0 && (uint64_t)status.st_size == plan->file_size);
    if (is_sound(scene, true))
        claim_of(scene->seg, result == MAPSEG_OK);
}

static void
play(struct scene *scene)
{
    char key[64] = "shm:" NAME;
    int handed = -1;
    mapseg_result result;

    if (!(scene->plan.shape & SHAPE_NAMED))
        snprintf(key, sizeof key, "memfd:%d", scene->fd);
    scene->seg = mapseg_new();
    claim(scene->seg != NULL && mapseg_set_native_key(scene->seg, key) == MAPSEG_OK);
    if (scene->plan.uses & USE_INFO)
        look(scene, scene->seg, true);
    if (scene->plan.shape & SHAPE_NAMED && scene->plan.rarely & RARELY_END) {
        end_segment(scene);
        mapseg_free(scene->seg);
        return;
    }
    result = attach(scene, &handed);
    if (result == MAPSEG_OK)
        claim(is_acceptable(scene));
    else if (is_acceptable(scene))
        /* More than the address space holds. */
        claim_of(scene->seg, result == MAPSEG_OUT_OF_RESOURCES &&
                                 scene->header.data_offset + scene->header.data_size > UINT32_MAX);
    if (result == MAPSEG_OK) {
        check_attached(scene);
    } else {
        check_refused(scene, key);
        if (handed >= 0)
            claim(close(handed) == 0);
    }
    mapseg_free(scene->seg);
}

void
attachment_run(const uint8_t *data, size_t bytes, bool guarded)
{
    struct scene scene;
    int before = lowest_descriptor();
    unsigned sum = 0;

    for (size_t i = 0; i < bytes; i++)
        sum += data[i];
    memset(&scene, 0, sizeof scene);
    memcpy(&scene.plan, data, bytes < sizeof scene.plan ? bytes : sizeof scene.plan);
    scene.guarded = guarded;
    scene.is_rare = sum % RARE == 0;
    if (bytes > sizeof scene.plan) {
        scene.harm = data + sizeof scene.plan;
        scene.harm_bytes = bytes - sizeof scene.plan;
    }
    if (make_file(&scene))
        play(&scene);
    drop_file(&scene);
    claim(lowest_descriptor() == before);
}
