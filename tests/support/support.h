/*
 * support.h - what the test programs share.
 *
 * A test is a process of its own (libcheck forks for each), so it may change its user, its limits
 * or its mounts without disturbing the others. Names of segments carry a mark of the run; what
 * still bears it in /dev/shm when the program ends is removed and counts as a failure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include "calls.h"
#include "mapseg-key.h"

#include <check.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/** Room for any key, name or path that these helpers make. */
#define KEY_BYTES 256

/** What a child's end is reported as when it had to be killed for taking too long. */
#define HUNG (-1)

/** Seconds after which a wait is called a hang: far more than it takes on the slowest machine. That
 *  something comes within this is all that a test says about how soon it comes. */
#define PATIENCE 120

/** Seconds after which a whole test is called a hang. */
#define TEST_PATIENCE 600

/* ----------------------------------------------------------- programs -- */

/** Begins a program: the suite, and the mark of this run. */
Suite *new_suite(const char *name);

/** A group of tests of the suite; each may take `seconds`, and TEST_PATIENCE in any case. */
TCase *new_case(Suite *suite, const char *name, double seconds);

/** Whether a test can run here. If not, says why, and the program ends with 77 unless it fails. */
bool need(bool present, const char *what);

/** Runs the suite and frees it; main returns this: 0, 1 or 77. */
int run_suite(Suite *suite);

bool is_root(void);
/** Whether a private mount namespace can be had. */
bool can_mount(void);
/** Whether, in one, what is mounted can be taken away. */
bool can_unmount(void);
/** Whether devices can be made, in /dev/shm or in a private one. */
bool can_make_devices(bool privately);
bool under_sanitizer(void);
bool under_race_detector(void);
bool under_valgrind(void);

/* ---------------------------------------------------------- assertions -- */

/**
 * The call gives that result; else both names and the handle's reason are shown. Libcheck hears of
 * failures alone: it would note every success in a file, and a process that is killed in the middle
 * of that leaves half a note.
 */
#define expect(expected, seg, call)                                                                \
    do {                                                                                           \
        mapseg_result got_ = (call);                                                               \
        if (got_ != (expected))                                                                    \
            ck_abort_msg("%s: %s instead of %s: %s", #call, mapseg_result_name(got_),              \
                         mapseg_result_name(expected), mapseg_error_string(seg));                  \
    } while (0)

/** Whether `text` is one line without control characters, and not empty. */
bool is_one_line(const char *text);

/* --------------------------------------------------------------- names -- */

/** A name that nobody else uses, of letters and digits. */
void unique_name(char name[KEY_BYTES]);
/** "shm:" and a unique name. */
void unique_key(char key[KEY_BYTES]);
/** The file behind a "shm:" key. */
void path_of(char path[KEY_BYTES], const char *native_key);
bool exists(const char *path);

/** A handle with that native key. */
mapseg *handle_for(const char *native_key);
/** The same, created with default options, or attached. */
mapseg *created(const char *native_key, size_t size);
mapseg *attached(const char *native_key, mapseg_access access);

/** The data of a handle that is attached for reading and writing. */
static inline void *
data_of(mapseg *seg)
{
    void *data = mapseg_data(seg);

    if (data == NULL)
        ck_abort_msg("no data: %s", mapseg_error_string(seg));
    return data;
}

/** What mapseg_info says; the caller frees it. */
mapseg_info *describe(mapseg *seg);
/** Leaves behind a persistent segment that nobody is attached to. */
void leave_persistent(const char *native_key, size_t size);
/** Leaves behind what a killed creator leaves; its data is filled with `fill`. */
void leave_debris(const char *native_key, size_t size, unsigned char fill);

/* ----------------------------------------------------------- processes -- */

/** Runs the body in a child: its exit status, 128 + the signal that ended it, or HUNG. */
int in_child(int (*body)(void *argument), void *argument);
/** The same, as an ordinary user: nobody, if this is root. */
int as_ordinary_user(int (*body)(void *argument), void *argument);
/** Waits for a child: as in_child. */
int end_of(pid_t child);
/** Gives up root for good; ends the process if that fails. */
void become_nobody(void);

/** The path of the program that runs. */
void own_program(char path[PATH_MAX]);

/** A process to talk to, over a channel of single letters. Begin it before attaching, or it
 *  inherits the attachment. */
struct peer {
    pid_t pid;
    int channel;
};

struct peer start_peer(int (*body)(int channel, void *argument), void *argument);
void say(int channel, char word);
/** The next letter; -1 if the other side is gone or silent. */
int hear(int channel);
/** Waits for it to end by itself: as in_child. */
int end_peer(struct peer *peer);
/** Kills it with SIGKILL and reaps it. */
void kill_peer(struct peer *peer);

/** The whole life of a simple peer: attaches to the native key given as argument, says 'a' (or 'x'
 *  if it could not), then obeys: 'l' lock, 'u' unlock, 'd' detach, 'n' is anybody's no-op, 'q' quit
 *  without detaching. Answers each with 'y', or 'n' where the call failed. */
int obedient_peer(int channel, void *native_key);
/** Tells an obedient peer one word and checks that it answers 'y'. */
void tell(const struct peer *peer, char word);

/** Processes that meet: memory shared with children, zeroed. */
void *shared_memory(size_t bytes);
/** Adds one and waits until `count` have; ends the process if they never come. */
void meet(uint32_t *meeting, uint32_t count);

void sleep_ms(long milliseconds);
/** Lets others run for a moment. Asleep: who only yields is passed over by all that a busy machine
 *  has to do, each time. */
void give_way(void);
int64_t now_ns(void);

/* ----------------------------------------------------------- footprints -- */

/** What this process holds of shared memory. */
struct footprint {
    int descriptors;
    int mappings;
    int locks;
    int names;
};

/** Takes it; `path` (may be NULL) is the file whose locks are counted. */
void take_footprint(struct footprint *footprint, const char *path);
/** Fails the test if it is no longer the same. */
void check_footprint(const struct footprint *before, const char *path);

int count_open_descriptors(void);
/** Lines of /proc/self/maps that contain the text. */
int count_mappings(const char *text);
/** Ranges of the file of that name on which anybody has a lock. */
int count_locks(const char *path);
/** Waits until nobody has a lock on the file: the kernel has let go of the dead. */
void wait_until_deserted(const char *path);
/** Names in /dev/shm that contain the text. */
int count_names(const char *text);
/** The inode that is mapped at an address; 0: none. */
uint64_t inode_at(const void *address);

/** A file's content and metadata. */
struct file_state {
    struct stat status;
    unsigned char *bytes;
};

void take_file_state(struct file_state *state, const char *path);
/** Fails the test if the file is not what it was; frees the state. */
void check_file_state(struct file_state *state, const char *path);

/** Puts a small tmpfs over /dev/shm, for this process and its children alone. `options` are
 *  mount options such as "size=1m". */
void use_tiny_shm(const char *options);
/** Free blocks of the file system behind /dev/shm. */
uint64_t free_blocks(void);

#endif
