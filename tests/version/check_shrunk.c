/*
 * check_shrunk.c - calls that read, look and wait, and a file that becomes shorter meanwhile.
 *
 * Where another user makes it shorter, or the handle is guarded, they say so, and no signal is
 * raised. Where this user alone could, and there is no guard, it is SIGBUS.
 *
 * SPDX-License-Identifier: MIT
 */
#include "seen.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LARGE_BYTES (1 << 20)

/* ------------------------------------------------------- who shortens it -- */

/** Why it is no signal when the file becomes shorter. */
enum safety {
    SAFE_FROM_MODE,  /**< its mode lets every user write it, and another one makes it shorter */
    SAFE_FROM_OWNER, /**< another user owns it, and makes it shorter */
    SAFE_FROM_LIST,  /**< an access control list lets another user write it */
    SAFE_BY_GUARD,   /**< the handle is guarded; this user makes it shorter */
    SAFETIES
};

/** Makes the file shorter, or as long as it was. */
struct cut {
    const char *path;
    off_t bytes;
};

static int
cut_file(void *argument)
{
    const struct cut *cut = argument;

    return truncate(cut->path, cut->bytes) == 0 ? 0 : 1;
}

/** As another user, where there can be one. */
static void
cut_to(const char *path, enum safety safety, off_t bytes)
{
    struct cut cut = {path, bytes};

    if (safety == SAFE_BY_GUARD)
        need(cut_file(&cut) == 0);
    else
        need_number(0, as_ordinary_user(cut_file, &cut));
}

/** An access control list that lets the user NOBODY write: in the kernel's form, which no header
 *  of the C library has. */
static bool
let_nobody_write(const char *path)
{
    const struct {
        uint32_t version;
        struct {
            uint16_t tag;
            uint16_t rights;
            uint32_t id;
        } entry[5];
    } list = {
        2,
        {{0x01, 6, UINT32_MAX}, /* the owner */
         {0x02, 6, NOBODY},     /* a user by number */
         {0x04, 4, UINT32_MAX}, /* the group */
         {0x10, 6, UINT32_MAX}, /* the most that all but owner and others get */
         {0x20, 4, UINT32_MAX}} /* others */
    };

    return setxattr(path, "system.posix_acl_access", &list, sizeof list, 0) == 0;
}

static int
make_own_segment(void *argument)
{
    const struct stage *stage = argument;

    leave_persistent(stage->place.key, LARGE_BYTES, 0);
    return 0;
}

/** Makes the segment of the stage, and sets how reader_at attaches to it. False: the file system
 *  has no such thing. */
static bool
make_unsafe(struct stage *stage, enum safety safety)
{
    reader_flags = safety == SAFE_FROM_OWNER ? MAPSEG_ALLOW_OTHER_OWNER
                   : safety == SAFE_BY_GUARD ? MAPSEG_GUARDED
                                             : MAPSEG_ALLOW_SHARED_WRITE;
    if (safety == SAFE_FROM_MODE)
        show_mode = 0666;
    if (safety == SAFE_FROM_OWNER)
        need_number(0, as_ordinary_user(make_own_segment, stage));
    else
        make_show(stage, LARGE_BYTES, 0);
    return safety != SAFE_FROM_LIST || let_nobody_write(stage->place.path);
}

static bool
has_lists(void)
{
    char path[] = SHM_DIRECTORY "/check_shrunk.XXXXXX";
    int fd = mkstemp(path);
    bool has = fd >= 0 && let_nobody_write(path);

    (void)close(fd);
    (void)unlink(path);
    return has;
}

/** Whether this process can play that. */
static bool
can_be(enum safety safety)
{
    return safety == SAFE_FROM_MODE || safety == SAFE_BY_GUARD ||
           (is_root() && (safety == SAFE_FROM_OWNER || has_lists()));
}

/* ---------------------------------------------- one file, several calls -- */

START_TEST(look_at_an_own_change_that_is_gone)
{
    struct stage *stage = new_stage();
    uint64_t version;
    mapseg *seg;
    char byte;

    need(make_unsafe(stage, (enum safety)_i));
    seg = reader_at(&stage->place, READER_CAN_WRITE);
    need_result(MAPSEG_OK, mapseg_lock(seg));
    cut_to(stage->place.path, (enum safety)_i, 0);
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read_begin(seg, &version));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read(seg, 0, &byte, 1, NULL));
    mapseg_free(seg);
    (void)unlink(stage->place.path);
}
END_TEST

/** The header page stays, and the version with it; the data is gone but for its first page. */
START_TEST(data_alone_is_gone)
{
    struct stage *stage = new_stage();
    enum safety safety = (enum safety)_i;
    mapseg *seg;
    mapseg *waiter;
    struct pollfd event = {.events = POLLIN};
    uint64_t version;
    char byte;

    need(make_unsafe(stage, safety));
    seg = reader_at(&stage->place, READER_CAN_WRITE);
    waiter = reader_at(&stage->place, READER_READ_ONLY);
    event.fd = notify_fd(waiter);
    need_result(MAPSEG_OK, mapseg_wait(waiter, MAPSEG_ANY_VERSION, &version, 0));
    need(poll(&event, 1, 0) == 0);
    need_result(MAPSEG_OK, mapseg_read_begin(seg, &version));
    need(!mapseg_read_retry(seg, version));
    cut_to(stage->place.path, safety, 2 * MAPSEG_HEADER_BYTES);
    /* In a section it shows when what is gone is touched. */
    if (safety == SAFE_BY_GUARD)
        need_result(MAPSEG_FILE_SHRUNK, mapseg_read(seg, LARGE_BYTES - 1, &byte, 1, NULL));
    need(mapseg_read_retry(seg, version));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read_begin(seg, &version));
    need(poll(&event, 1, (int)(HANG / MILLISECOND)) == 1);
    need_result(MAPSEG_FILE_SHRUNK, mapseg_wait(waiter, version, NULL, -1));
    mapseg_free(waiter);
    mapseg_free(seg);
    (void)unlink(stage->place.path);
}
END_TEST

/* ---------------------------------------------- one call, over and over -- */

/** Reads until told that the file shrank; what then must stay so. */
static void
read_until_it_shrinks(mapseg *seg)
{
    static char copy[LARGE_BYTES];
    uint64_t version;
    mapseg_result result;

    while ((result = mapseg_read(seg, 0, copy, sizeof copy, &version)) == MAPSEG_OK)
        need(payload_is(copy, sizeof copy, version));
    need_result(MAPSEG_FILE_SHRUNK, result);
}

static void
wait_until_it_shrinks(mapseg *seg)
{
    mapseg_result result;

    while ((result = mapseg_wait(seg, 0, NULL, MILLISECOND)) == MAPSEG_TIMED_OUT)
        ;
    need_result(MAPSEG_FILE_SHRUNK, result);
}

static void
look_until_it_shrinks(mapseg *seg)
{
    mapseg_result result;
    uint64_t version;

    while ((result = mapseg_read_begin(seg, &version)) == MAPSEG_OK)
        ignored(mapseg_read_retry(seg, version));
    need_result(MAPSEG_FILE_SHRUNK, result);
    need(mapseg_read_retry(seg, 0));
}

/** Sleeps without a limit: the end of the file must end that too. */
static void
sleep_until_it_shrinks(mapseg *seg)
{
    need_result(MAPSEG_FILE_SHRUNK, mapseg_wait(seg, 0, NULL, -1));
}

static void (*const until_it_shrinks[])(mapseg *seg) = {
    read_until_it_shrinks,
    wait_until_it_shrinks,
    look_until_it_shrinks,
    sleep_until_it_shrinks,
};

#define SHRINK_WAYS ((int)(sizeof until_it_shrinks / sizeof *until_it_shrinks))

/** READER_CAN_WRITE and READER_READ_ONLY. */
#define KINDS 2

/** Once the file has its old size again: what was in it is lost for good. */
static void
need_lost(mapseg *seg, bool writes)
{
    uint64_t version;
    char byte;

    need_result(MAPSEG_FILE_SHRUNK, mapseg_read(seg, 0, &byte, 1, NULL));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_error(seg));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_wait(seg, 0, NULL, -1));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read_begin(seg, &version));
    need(mapseg_read_retry(seg, 0));
    if (writes)
        need_result(MAPSEG_FILE_SHRUNK, mapseg_write(seg, 0, &byte, 1));
    need_result(MAPSEG_OK, mapseg_detach(seg));
    need_result(MAPSEG_NOT_ATTACHED, mapseg_read(seg, 0, &byte, 1, NULL));
}

/** A body: does one thing over and over. */
static void
watch_it_shrink(struct stage *stage)
{
    enum reader_kind kind = (enum reader_kind)(stage->number % KINDS);
    struct sigaction before, after;
    mapseg *seg;

    /* Sanitizers have a handler of their own. */
    need(sigaction(SIGBUS, NULL, &before) == 0);
    seg = reader_at(&stage->place, kind);
    atomic_fetch_add(&stage->ready, 1);
    until_it_shrinks[stage->number / KINDS](seg);
    atomic_fetch_add(&stage->ready, 1);
    await(&stage->go, 1);
    need_lost(seg, kind == READER_CAN_WRITE);
    need(sigaction(SIGBUS, NULL, &after) == 0);
    need((after.sa_handler == before.sa_handler) == !(reader_flags & MAPSEG_GUARDED));
    mapseg_free(seg);
}

/** The file shrinks under a reader, to nothing, or to what still has the header. */
START_TEST(file_shrinks)
{
    struct stage *stage = new_stage();
    enum safety safety = (enum safety)(_i / (SHRINK_WAYS * KINDS));
    pid_t reader;
    off_t size;

    need(make_unsafe(stage, safety));
    stage->number = _i % (SHRINK_WAYS * KINDS);
    size = lseek(open(stage->place.path, O_RDONLY | O_CLOEXEC), 0, SEEK_END);
    reader = start(watch_it_shrink, stage);
    await(&stage->ready, 1);
    nap(5 * MILLISECOND);
    cut_to(stage->place.path, safety, stage->number / KINDS == 0 && _i % 2 == 0 ? 8192 : 0);
    await(&stage->ready, 2);
    cut_to(stage->place.path, safety, size);
    atomic_store(&stage->go, 1);
    finish(reader);
    (void)unlink(stage->place.path);
}
END_TEST

/* ----------------------------------------------------------- no guard -- */

static void
read_own(mapseg *seg)
{
    char byte;

    ignored(mapseg_read(seg, LARGE_BYTES - 1, &byte, 1, NULL));
}

static void
write_own(mapseg *seg)
{
    ignored(mapseg_write(seg, LARGE_BYTES - 1, "x", 1));
}

static void
look_at_own(mapseg *seg)
{
    uint64_t version;

    ignored(mapseg_read_begin(seg, &version));
}

static void
look_again_at_own(mapseg *seg)
{
    ignored(mapseg_read_retry(seg, 0));
}

static void
wait_for_own(mapseg *seg)
{
    ignored(mapseg_wait(seg, MAPSEG_ANY_VERSION, NULL, 0));
}

static void (*const uses_of_own[])(mapseg *seg) = {
    read_own, write_own, look_at_own, look_again_at_own, wait_for_own,
};

#define OWN_USES ((int)(sizeof uses_of_own / sizeof *uses_of_own))

/** A body: makes its own file shorter, and uses it. */
static void
use_own_that_is_gone(struct stage *stage)
{
    const struct rlimit none = {0, 0};
    mapseg *seg = created(stage->place.key, LARGE_BYTES);

    need(setrlimit(RLIMIT_CORE, &none) == 0);
    need(truncate(stage->place.path, 0) == 0);
    uses_of_own[stage->number](seg);
}

/** A process of the same user can end this one anyway: what it does is a signal, as it is for a
 *  program that touches the data. */
START_TEST(own_file_without_the_guard)
{
    struct stage *stage = new_stage();

    stage->number = _i;
    need_number(128 + SIGBUS, end_of(start(use_own_that_is_gone, stage)));
    (void)unlink(stage->place.path);
}
END_TEST

/** What the program does about it does not touch the memory. */
START_TEST(own_file_can_be_left)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, LARGE_BYTES);

    need_result(MAPSEG_OK, mapseg_write(seg, 0, "x", 1));
    need(truncate(stage->place.path, 0) == 0);
    need_result(MAPSEG_OK, mapseg_detach(seg));
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- export -- */

/** Another user makes the file shorter through a descriptor that it was handed. */
static int
cut_descriptor(void *argument)
{
    const int *fd = argument;

    return ftruncate(*fd, 0) == 0 ? 0 : 1;
}

/** From the moment that a descriptor to write is handed on, another user may have it. */
START_TEST(descriptor_is_handed_on)
{
    struct stage *stage = new_stage();
    mapseg *seg = created(stage->place.key, LARGE_BYTES);
    int fd = exported_fd(seg, MAPSEG_READ_WRITE);
    uint64_t version;
    char byte;

    need(fd >= 0);
    need_result(MAPSEG_OK, mapseg_read(seg, 0, &byte, 1, NULL));
    need_number(0, as_ordinary_user(cut_descriptor, &fd));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read(seg, 0, &byte, 1, NULL));
    need_result(MAPSEG_FILE_SHRUNK, mapseg_read_begin(seg, &version));
    (void)close(fd);
    mapseg_free(seg);
}
END_TEST

/* ---------------------------------------------------------------- suite -- */

int
main(void)
{
    Suite *suite = new_suite("shrunk");
    TCase *named = new_case(suite, "named");
    const int loops = SHRINK_WAYS * KINDS;

    for (int i = 0; i < SAFETIES; i++) {
        if (!skip_unless(can_be((enum safety)i), "a second user, and access control lists"))
            continue;
        tcase_add_loop_test(named, look_at_an_own_change_that_is_gone, i, i + 1);
        tcase_add_loop_test(named, data_alone_is_gone, i, i + 1);
        tcase_add_loop_test(named, file_shrinks, i * loops, (i + 1) * loops);
    }
    tcase_add_test(named, descriptor_is_handed_on);
    tcase_add_test(named, own_file_can_be_left);
    if (skip_unless(!under_sanitizer() && !under_valgrind(), "these answer SIGBUS themselves"))
        tcase_add_loop_test(named, own_file_without_the_guard, 0, OWN_USES);
    return run_suite(suite);
}
