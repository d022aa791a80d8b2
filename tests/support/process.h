/*
 * process.h - what the multi-process suites have in common: processes that
 * start and end under a deadline, memory they share beside the segment, and a
 * look at the segment's file that does not go through the library.
 */
#ifndef MAPSEG_TEST_PROCESS_H
#define MAPSEG_TEST_PROCESS_H

#include "mapseg-format.h"
#include "calls.h"
#include "mapseg.h"

#include <check.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MICROSECOND INT64_C(1000)
#define MILLISECOND INT64_C(1000000)
#define SECOND INT64_C(1000000000)

/** What takes longer than this hangs: far more than it takes on the slowest machine. That something
 *  comes within this is all that a test says about how soon it comes. */
#define HANG (120 * SECOND)

/** Seconds that libcheck gives one test; more than HANG. */
#define TEST_TIMEOUT 600

#define NOBODY 65534

/** Where a segment lives: its native key and its file. */
struct place {
    char key[96];
    char path[96];
};

/** What the processes of one test share. */
struct stage {
    struct place place;
    const void *address; /**< the same, in processes that fork has made */
    int number;          /**< an argument of the test's own */
    atomic_int go;       /**< the test lets the others go on, step by step */
    atomic_int ready;    /**< the others tell the test how far they are */
    atomic_int wrong;    /**< things seen that must not be */
    atomic_int pid;      /**< of a process the test did not start itself */
    atomic_int told[32]; /**< how often a result was met */
};

/* ---------------------------------------------------------- assertions -- */

/** Fails the test, or ends the child that the test started. */
_Noreturn void broken(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define need(condition)                                                                            \
    ((condition) ? (void)0 : broken(__FILE__, __LINE__, "not true: %s", #condition))

void need_result_at(const char *file, int line, const char *call, mapseg_result expected,
                    mapseg_result got);
/** The call comes to the result expected. */
#define need_result(expected, call) need_result_at(__FILE__, __LINE__, #call, expected, call)

void need_number_at(const char *file, int line, const char *text, int64_t expected, int64_t got);
#define need_number(expected, got)                                                                 \
    need_number_at(__FILE__, __LINE__, #got, (int64_t)(expected), (int64_t)(got))

/* ---------------------------------------------------------------- suite -- */

/** Before the first test: names of this run begin with this. */
void suite_begin(const char *suite_name);

/** A group of the suite's tests, each with TEST_TIMEOUT. */
TCase *suite_case(Suite *suite, const char *name);

/** Removes what failed tests left in /dev/shm; the program's exit status. A
 *  run without failures must not have left anything. */
int suite_end(int failures);

/* ------------------------------------------------------------ processes -- */

/** Zeroed memory that children share with the test. */
void *share(size_t bytes);

/** A stage with a place of its own. */
struct stage *new_stage(void);

/** A place that no other test has. */
void new_place(struct place *place);

/** Starts a process that runs the body, then ends with status 0. It dies with
 *  the test. */
pid_t start(void (*body)(struct stage *stage), struct stage *stage);

/** Tells helpers like broken() that this process is no longer the test. */
void become_child(void);

/** The process ends by itself with status 0. */
#define finish(pid) finish_at(__FILE__, __LINE__, pid)
void finish_at(const char *file, int line, pid_t pid);

/** Kills the process with SIGKILL and reaps it. */
void kill_and_reap(pid_t pid);

/** Waits until the process has ended, however; its wait status. */
#define reap(pid) reap_at(__FILE__, __LINE__, pid)
int reap_at(const char *file, int line, pid_t pid);

/** Whether the process is in an interruptible sleep at this moment. */
bool is_asleep(pid_t pid);

/** The process falls asleep before it hangs the test. */
#define need_asleep(pid) need_asleep_at(__FILE__, __LINE__, pid)
void need_asleep_at(const char *file, int line, pid_t pid);

/** The cell comes to be at least this. */
#define await(cell, value) await_at(__FILE__, __LINE__, #cell, cell, value)
void await_at(const char *file, int line, const char *text, const atomic_int *cell, int value);

int64_t now(void);
void nap(int64_t ns);

/** The next of a row of pseudo-random numbers; the state must not be 0. */
uint32_t next_random(uint32_t *state);

/* ------------------------------------------------------------- segments -- */

/** A new handle with this native key. */
mapseg *handle_of(const char *key);
/** One that is attached for reading and writing. */
mapseg *attached_to(const char *key);
/** One that has created the segment. */
mapseg *created_at(const char *key, size_t size, uint32_t flags);

/** The data of a handle that is attached for reading and writing. */
static inline void *
data_of(mapseg *seg)
{
    void *data = mapseg_data(seg);

    need(data != NULL);
    return data;
}

/** Makes a persistent segment that nobody is attached to, so that processes
 *  started later share no handle with the test. */
void make_segment(const struct place *place, size_t size, uint32_t flags);
void remove_segment(const struct place *place);

/** So many are attached, as mapseg_info tells whoever has the key. The kernel
 *  shows its table of locks piece by piece, and what unrelated processes lock
 *  meanwhile shifts it: so a wrong number may be a passing one. */
#define need_attached(expected, key) need_attached_at(__FILE__, __LINE__, expected, key)
void need_attached_at(const char *file, int line, uint32_t expected, const char *key);
/** The same as a handle itself says. */
#define need_attached_through(expected, seg)                                                       \
    need_attached_through_at(__FILE__, __LINE__, expected, seg)
void need_attached_through_at(const char *file, int line, uint32_t expected, mapseg *seg);

/** What mapseg_info says. */
mapseg_use use_of(const char *key);
mapseg_lock_state lock_state_of(const char *key);

/* ------------------------------------------- the file, without a library -- */

/** The header of the file, mapped; good until the process ends. */
struct mapseg_header *map_header(const char *path);
uint32_t lock_word(const struct mapseg_header *header);
void set_lock_word(struct mapseg_header *header, uint32_t word);
uint64_t recoveries_of(const struct mapseg_header *header);

/** The lock word comes to have one of these bits. */
#define await_word(header, bits) await_word_at(__FILE__, __LINE__, header, bits)
void await_word_at(const char *file, int line, const struct mapseg_header *header, uint32_t bits);

bool name_exists(const char *path);
/** The name goes away, if not at once. */
void await_gone(const char *path);
/** The inode that a name leads to; 0: no such name. */
uint64_t inode_of(const char *path);
/** The inode that a handle is attached to. */
uint64_t inode_attached(mapseg *seg);

/** A descriptor that holds write locks on these presence bytes until it is
 *  closed. */
int hold_bytes(const char *path, int64_t first, int64_t count);

/** The slot of the process's only attachment to the file, as /proc/PID/maps
 *  shows it; 0: there is none. */
uint32_t slot_in_maps(pid_t pid, const char *path);

/** What this process has open and mapped. A segment's mappings are shared ones;
 *  private ones come and go with any library. */
unsigned count_descriptors(void);
unsigned count_shared_mappings(void);

#endif
