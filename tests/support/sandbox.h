/*
 * sandbox.h - processes to which the kernel refuses system calls, by seccomp.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_SANDBOX_H
#define TESTS_SUPPORT_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What else than an error a call can get. */
#define ALLOW (-1)
#define KILL (-2)

/** What a system call gets. */
struct sandbox_rule {
    int call;
    int action;        /**< an errno (0: it seems to work, but does nothing), ALLOW or KILL */
    unsigned argument; /**< the rule holds only where this argument, from 0, */
    uint32_t mask;     /**< of which these bits are looked at, */
    uint32_t value;    /**< has this value */
};

/** Whether such filters can be had. */
bool has_sandbox(void);

/** From now on this process's system calls get what the first rule that fits says, else
 *  `otherwise`. Ends the process if that fails. */
void enter_sandbox(const struct sandbox_rule *rules, size_t count, int otherwise);

#endif
