/*
 * children.h - child processes that never outlive the benchmark.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_CHILDREN_H
#define BENCH_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** No child may take longer than this beyond what it was asked to do. */
#define PATIENCE_NS INT64_C(10000000000)

/** Runs body(argument) in a child; it exits with 0 if that is true, else with 1. -1: no process. */
pid_t start_child(bool (*body)(void *argument), void *argument);

/** Waits for the child's end, and kills it at the deadline. True: it ended well. */
bool reap_child(pid_t child, int64_t deadline);

/** Kills the child and waits until the kernel has let go of it. */
void kill_child(pid_t child);

/** Does it in a process of its own, for what a process cannot undo; its results go to memory that
 *  is shared. False: it failed, or took longer than that. */
bool run_apart(bool (*body)(void *argument), void *argument, int64_t patience_ns);

/** Memory that children share with their parent; NULL: none left. */
void *share_memory(size_t bytes);
void unshare_memory(void *memory, size_t bytes);

/** The signals that ask for an end only set a flag, so that nothing is left behind. */
void catch_interruption(void);
bool interrupted(void);

/** The CPUs this process may use, of which the benchmark takes at most two. */
int usable_cpus(void);
/** Binds the process to CPU 0 or 1 of these, or with -1 to both. */
void use_cpu(int index);

/** A gate that children wait at until their parent lets them all go at once. */
struct gate {
    int arrivals[2];
    int opening[2];
};
bool gate_new(struct gate *gate);
/** In a child: says that it is there, and waits. */
void gate_wait(struct gate *gate);
/** In the parent: waits until so many are there. False: they do not come. */
bool gate_gather(const struct gate *gate, int children);
/** In the parent: lets them go, and is done with the gate. */
void gate_open(struct gate *gate);

#endif
