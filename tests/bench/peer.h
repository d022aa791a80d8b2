/*
 * peer.h - what the benchmark needs to know of a lock that it measures.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum taken {
    NOT_TAKEN = 0,
    TAKEN,
    /** Taken, and told that the last owner died. */
    TAKEN_FROM_DEAD
};

/** One kind of lock between processes. */
struct peer {
    const char *name;
    const char *what;
    /** Why it cannot be measured here; NULL: it can. */
    const char *missing;
    /** The lock passes on when its owner is killed. */
    bool survives_owner;
    /** A new lock. `page` is zeroed memory that children inherit, for locks that are a word in
     *  memory. NULL: it failed. */
    void *(*setup)(void *page);
    /** In a child process: its own hold on the lock made by setup. NULL: it failed. */
    void *(*attach)(void *state);
    /** NULL for a lock that one process alone can use. */
    enum taken (*lock)(void *state);
    void (*unlock)(void *state);
    /** Locks and unlocks `count` times, and writes to `word` under the lock unless that is NULL;
     *  false: it failed. The loop is the peer's own, so that each pays for its calls and for
     *  nothing else. */
    bool (*pairs)(void *state, long count, volatile uint64_t *word);
    void (*teardown)(void *state);
};

extern const struct peer peer_limit;
extern const struct peer peer_spin;
extern const struct peer peer_glibc;
extern const struct peer peer_glibc_robust;
extern const struct peer peer_semaphore;
extern const struct peer peer_sysv;
extern const struct peer peer_ofd;
extern const struct peer peer_boost;
extern const struct peer peer_qt;
extern const struct peer peer_mapseg;
extern const struct peer peer_mapseg_fair;
extern const struct peer peer_mapseg_posix;

/** A way to attach to shared memory, or to create it. */
struct memory {
    const char *name;
    const char *how_reached;
    const char *how_created;
    const char *missing;
    /** What `reach` attaches to, `bytes` in size. NULL: it failed. */
    void *(*setup)(size_t bytes);
    /** Attaches and detaches `count` times; false: it failed. */
    bool (*reach)(void *state, long count);
    void (*teardown)(void *state);
    /** Creates `bytes` of zeroed shared memory; NULL: it failed. `*handle` is for destroy. */
    void *(*create)(size_t bytes, void **handle);
    void (*destroy)(void *handle);
};

extern const struct memory memory_bare;
extern const struct memory memory_mapseg;
extern const struct memory memory_qt;

#ifdef __cplusplus
}
#endif

#endif
