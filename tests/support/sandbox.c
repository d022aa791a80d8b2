/*
 * sandbox.c - processes to which the kernel refuses system calls, by seccomp.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sandbox.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

/** Rules that fit in one filter, and what each takes. */
#define MOST_RULES 48
#define STEPS 6

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LOW_HALF 4
#else
#define LOW_HALF 0
#endif

struct filter {
    struct sock_filter steps[MOST_RULES * STEPS + 2];
    unsigned short count;
};

static void
add_step(struct filter *filter, int code, uint32_t value, unsigned char if_true,
         unsigned char if_false)
{
    const struct sock_filter step = {(unsigned short)code, if_true, if_false, value};

    filter->steps[filter->count++] = step;
}

static uint32_t
verdict(int action)
{
    return action == ALLOW  ? SECCOMP_RET_ALLOW
           : action == KILL ? SECCOMP_RET_KILL_PROCESS
                            : SECCOMP_RET_ERRNO | (uint32_t)action;
}

static void
add_rule(struct filter *filter, const struct sandbox_rule *rule)
{
    const size_t argument = offsetof(struct seccomp_data, args) + 8 * rule->argument + LOW_HALF;

    add_step(filter, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
    add_step(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rule->call, 0, 4);
    add_step(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)argument, 0, 0);
    add_step(filter, BPF_ALU | BPF_AND | BPF_K, rule->mask, 0, 0);
    add_step(filter, BPF_JMP | BPF_JEQ | BPF_K, rule->value, 0, 1);
    add_step(filter, BPF_RET | BPF_K, verdict(rule->action), 0, 0);
}

bool
has_sandbox(void)
{
    return prctl(PR_GET_SECCOMP) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) == -1 &&
           errno == EFAULT;
}

void
enter_sandbox(const struct sandbox_rule *rules, size_t count, int otherwise)
{
    static struct filter filter;
    struct sock_fprog program;

    if (count > MOST_RULES)
        _exit(97);
    for (size_t i = 0; i < count; i++)
        add_rule(&filter, &rules[i]);
    add_step(&filter, BPF_RET | BPF_K, verdict(otherwise), 0, 0);
    program.len = filter.count;
    program.filter = filter.steps;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(97);
}
