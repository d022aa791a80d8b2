/*
 * calls.c - what single calls cost when nobody else is there: changes, access sections, and passing
 * a segment over a socket.
 *
 * SPDX-License-Identifier: MIT
 */
#include <config.h>

#include "children.h"
#include "interleave.h"
#include "segment.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TURN_NS 1000000
/** The longest that the sections may take. */
#define APART_NS INT64_C(60000000000)
#define SEGMENT_BYTES ((size_t)65536)
#define WRITTEN_BYTES ((size_t)64)
#define SHORT_MESSAGE_BYTES ((size_t)64)

/* ------------------------------------------------------------- changes -- */

struct word {
    _Atomic uint32_t lock;
    char apart[60];
    _Atomic uint64_t sequence;
};

/** What any change takes whose reader may sleep without saying so: a lock, two versions, a wake. */
static bool
change_bare(void *state, long count)
{
    struct word *word = state;

    for (; count > 0; count--) {
        uint32_t lock = 0;
        uint64_t sequence;
        if (!atomic_compare_exchange_strong_explicit(&word->lock, &lock, 1, memory_order_acquire,
                                                     memory_order_relaxed))
            return false;
        sequence = atomic_load_explicit(&word->sequence, memory_order_relaxed);
        atomic_store_explicit(&word->sequence, sequence + 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_release);
        atomic_store_explicit(&word->sequence, sequence + 2, memory_order_release);
        syscall(SYS_futex, &word->sequence, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
        lock = 1;
        if (!atomic_compare_exchange_strong_explicit(&word->lock, &lock, 0, memory_order_release,
                                                     memory_order_relaxed))
            return false;
    }
    return true;
}

static bool
lock_only(void *state, long count)
{
    for (; count > 0; count--) {
        if (mapseg_lock(state) != MAPSEG_OK || mapseg_unlock(state) != MAPSEG_OK)
            return false;
    }
    return true;
}

static bool
change(void *state, long count)
{
    for (; count > 0; count--) {
        if (mapseg_write_begin(state) != MAPSEG_OK || mapseg_write_end(state) != MAPSEG_OK)
            return false;
    }
    return true;
}

static bool
write_range(void *state, long count)
{
    static const char from[WRITTEN_BYTES];

    for (; count > 0; count--) {
        if (mapseg_write(state, 0, from, sizeof from) != MAPSEG_OK)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------ sections -- */

/** As many calls that do next to nothing. */
static bool
two_calls(void *state, long count)
{
    for (; count > 0; count--) {
        if (mapseg_size(state) + mapseg_size(state) == 0)
            return false;
    }
    return true;
}

static bool
section(void *state, long count)
{
    for (; count > 0; count--) {
        if (mapseg_guard_begin(state) != MAPSEG_OK || mapseg_guard_end(state) != MAPSEG_OK)
            return false;
    }
    return true;
}

static bool
nested_section(void *state, long count)
{
    bool good = mapseg_guard_begin(state) == MAPSEG_OK && section(state, count);

    return mapseg_guard_end(state) == MAPSEG_OK && good;
}

/* ------------------------------------------------------------- passing -- */

struct passing {
    int sockets[2];
    /** A memory file, and a segment: what is passed. */
    int file;
    mapseg *seg;
    mapseg *receiver;
    mapseg_access access;
};

static bool
send_file(const struct passing *passing, int file)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    char message[SHORT_MESSAGE_BYTES] = {0};
    struct iovec part = {message, sizeof message};
    struct msghdr letter = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &file, sizeof file);
    return sendmsg(passing->sockets[0], &letter, MSG_NOSIGNAL) == (ssize_t)sizeof message;
}

static int
receive_file(const struct passing *passing)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    char message[SHORT_MESSAGE_BYTES];
    struct iovec part = {message, sizeof message};
    struct msghdr letter = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    int file = -1;

    if (recvmsg(passing->sockets[1], &letter, MSG_CMSG_CLOEXEC) == (ssize_t)sizeof message &&
        control.header.cmsg_type == SCM_RIGHTS)
        memcpy(&file, CMSG_DATA(&control.header), sizeof file);
    return file;
}

/** Sends, receives, maps, unmaps. */
static bool
pass_file(const struct passing *passing, int file)
{
    void *memory = MAP_FAILED;
    int received = send_file(passing, file) ? receive_file(passing) : -1;

    if (received < 0)
        return false;
    memory = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, received, 0);
    close(received);
    return memory != MAP_FAILED && munmap(memory, SEGMENT_BYTES) == 0;
}

static bool
pass_bare(void *state, long count)
{
    const struct passing *passing = state;

    for (; count > 0; count--) {
        if (!pass_file(passing, passing->file))
            return false;
    }
    return true;
}

/** The receiver gets an open file description that nobody else has. */
static bool
pass_reopened(void *state, long count)
{
    const struct passing *passing = state;
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", passing->file);
    for (; count > 0; count--) {
        int file = open(path, O_RDWR | O_CLOEXEC);
        bool good = file >= 0 && pass_file(passing, file);
        if (file >= 0)
            close(file);
        if (!good)
            return false;
    }
    return true;
}

static bool
pass_segment(void *state, long count)
{
    const struct passing *passing = state;

    for (; count > 0; count--) {
        if (!segment_did(passing->seg,
                         mapseg_send(passing->seg, passing->sockets[0], passing->access)) ||
            !segment_did(passing->receiver,
                         mapseg_receive(passing->receiver, passing->sockets[1], passing->access)) ||
            !segment_did(passing->receiver, mapseg_detach(passing->receiver)))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------- all of them -- */

struct subjects {
    struct word *word;
    mapseg *memfd;
    mapseg *named;
    struct passing passing;
    struct passing passing_named;
    struct passing passing_read_only;
};

static bool
open_subjects(struct subjects *subjects)
{
    struct passing *passing = &subjects->passing;

    *subjects = (struct subjects){.passing = {.sockets = {-1, -1}, .file = -1}};
    subjects->word = share_memory(sizeof *subjects->word);
    subjects->memfd = segment_new(SEGMENT_MEMFD, SEGMENT_BYTES);
    subjects->named = segment_new(SEGMENT_NAMED, SEGMENT_BYTES);
    passing->file = memfd_create("bench", MFD_CLOEXEC);
    passing->seg = subjects->memfd;
    passing->receiver = mapseg_new();
    passing->access = MAPSEG_READ_WRITE;
    if (subjects->word == NULL || subjects->memfd == NULL || subjects->named == NULL ||
        passing->receiver == NULL || ftruncate(passing->file, (off_t)SEGMENT_BYTES) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, passing->sockets) != 0)
        return false;
    subjects->passing_named = *passing;
    subjects->passing_named.seg = subjects->named;
    subjects->passing_read_only = *passing;
    subjects->passing_read_only.access = MAPSEG_READ_ONLY;
    return true;
}

static void
close_subjects(struct subjects *subjects)
{
    const struct passing *passing = &subjects->passing;
    const int files[] = {passing->file, passing->sockets[0], passing->sockets[1]};

    mapseg_free(passing->receiver);
    mapseg_free(subjects->memfd);
    mapseg_free(subjects->named);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (files[i] >= 0)
            close(files[i]);
    }
    if (subjects->word != NULL)
        unshare_memory(subjects->word, sizeof *subjects->word);
}

static struct headed_table *
new_table(struct report *report, const char *name, const char *title, double unit_ns)
{
    struct headed_table *calls = &report->calls.list[report->calls.count++];

    calls->name = name;
    calls->title = title;
    calls->unit_ns = unit_ns;
    return calls;
}

static bool
compare_changes(struct report *report, struct subjects *subjects)
{
    const struct runner runners[] = {
        {"bare", "a lock, two versions, a wake", subjects->word, change_bare, NULL, NULL},
        {"lock-only", "mapseg_lock, mapseg_unlock; a sealed memfd", subjects->memfd, lock_only,
         NULL, NULL},
        {"mapseg", "mapseg_write_begin, mapseg_write_end; the same", subjects->memfd, change, NULL,
         NULL},
        {"mapseg-named", "the same, a named segment", subjects->named, change, NULL, NULL},
        {"mapseg-write", "mapseg_write of 64 bytes; a sealed memfd", subjects->memfd, write_range,
         NULL, NULL},
    };
    struct headed_table *calls = new_table(report, "change", "A change that nobody waits for", 1);

    return interleave(runners, sizeof runners / sizeof runners[0], report->effort.call_rounds,
                      TURN_NS, &calls->table);
}

/** In a process of its own, as its first section leaves a handler of SIGBUS behind. */
struct comparison {
    struct subjects *subjects;
    struct report *report;
};

static bool
compare_sections(void *argument)
{
    const struct comparison *comparison = argument;
    struct subjects *subjects = comparison->subjects;
    struct report *report = comparison->report;
    const struct runner runners[] = {
        {"two-calls", "two calls of mapseg_size", subjects->memfd, two_calls, NULL, NULL},
        {"mapseg", "a sealed memfd", subjects->memfd, section, NULL, NULL},
        {"mapseg-named", "a named segment", subjects->named, section, NULL, NULL},
        {"mapseg-nested", "the same, within another", subjects->named, nested_section, NULL, NULL},
    };
    struct headed_table *calls =
        new_table(report, "access", "An access section: mapseg_guard_begin and _end", 1);

    return interleave(runners, sizeof runners / sizeof runners[0], report->effort.call_rounds,
                      TURN_NS, &calls->table);
}

static bool
compare_passing(struct report *report, struct subjects *subjects)
{
    const struct runner runners[] = {
        {"bare", "sendmsg and recvmsg of a memfd, mmap, munmap", &subjects->passing, pass_bare,
         NULL, NULL},
        {"bare-reopened", "the same, opened anew for the receiver", &subjects->passing,
         pass_reopened, NULL, NULL},
        {"mapseg", "mapseg_send, mapseg_receive, mapseg_detach; a sealed memfd", &subjects->passing,
         pass_segment, NULL, NULL},
        {"mapseg-only", "the same, to read only", &subjects->passing_read_only, pass_segment, NULL,
         NULL},
        {"mapseg-named", "a named segment, to write", &subjects->passing_named, pass_segment, NULL,
         NULL},
    };
    struct headed_table *calls =
        new_table(report, "pass", "Passing a segment over a Unix socket, and leaving it", 1e3);

    return interleave(runners, sizeof runners / sizeof runners[0], report->effort.call_rounds,
                      TURN_NS, &calls->table);
}

bool
measure_calls(struct report *report, const struct choice *choice)
{
    struct subjects subjects;
    struct comparison sections = {&subjects, report};
    bool good;

    (void)choice;
    good = open_subjects(&subjects);
    use_cpu(0);
    good = good && compare_changes(report, &subjects) &&
           run_apart(compare_sections, &sections, APART_NS) && compare_passing(report, &subjects);
    use_cpu(-1);
    close_subjects(&subjects);
    return good;
}
