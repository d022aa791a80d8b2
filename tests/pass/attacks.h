/*
 * attacks.h - ways to alter the file behind a descriptor.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_PASS_ATTACKS_H
#define TESTS_PASS_ATTACKS_H

#include <stdbool.h>
#include <sys/types.h>

/** One way; it says whether the system let it. */
struct attack {
    const char *name;
    bool (*run)(int fd);
    bool owner_may; /**< it is the owner's right, and does no harm */
};

#define ATTACKS 23
extern const struct attack attacks[ATTACKS];

/** The attack of that name. */
const struct attack *attack_named(const char *name);

/** One more, which makes a program of the file: whether it is refused depends on the kernel. */
bool make_executable(int fd);

/** The process that made the segment. */
extern pid_t creator;

#endif
