/*
 * os_faults.c - calls of the operating system that fail when the test wants it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "os_faults.h"

const char *const call_names[] = {
#define OPERATION(failure, type, name, parameters, arguments) UNLESS_##failure(#name, )
#include "os/operations.h"
};

const enum way ways[] = {
#define OPERATION(failure, type, name, parameters, arguments) UNLESS_##failure(failure, )
#include "os/operations.h"
};

struct msi_os_operations healthy;
struct plan plan;
bool *failed_once;
int lacks[CALL_COUNT];

/* Faults happen to this thread, not to those that the library starts. */
static _Thread_local bool is_test;

/** The error that a call is to have now; 0: none. */
static int
fault(enum call call)
{
    if (lacks[call] != 0)
        return -lacks[call];
    if (!is_test || call != plan.call || plan.nth == 0 || ++plan.times != plan.nth)
        return 0;
    plan.struck = true;
    failed_once[call] = true;
    return -plan.error;
}

#define WRAP_BY_ERRNO(type, name, parameters, arguments)                                           \
    static type faulty_##name parameters                                                           \
    {                                                                                              \
        int error = fault(CALL_##name);                                                            \
                                                                                                   \
        return error != 0 ? error : healthy.name arguments;                                        \
    }

#define WRAP_BY_NULL(type, name, parameters, arguments)                                            \
    static type faulty_##name parameters                                                           \
    {                                                                                              \
        return fault(CALL_##name) != 0 ? NULL : healthy.name arguments;                            \
    }

#define WRAP_BY_NULL_AND_ERROR(type, name, parameters, arguments)                                  \
    static type faulty_##name parameters                                                           \
    {                                                                                              \
        int refusal = fault(CALL_##name);                                                          \
                                                                                                   \
        if (refusal == 0)                                                                          \
            return healthy.name arguments;                                                         \
        *error = refusal;                                                                          \
        return NULL;                                                                               \
    }

#define WRAP_BY_ZERO(type, name, parameters, arguments)                                            \
    static type faulty_##name parameters                                                           \
    {                                                                                              \
        return fault(CALL_##name) != 0 ? 0 : healthy.name arguments;                               \
    }

#define WRAP_BY_ANSWER(type, name, parameters, arguments)                                          \
    static type faulty_##name parameters                                                           \
    {                                                                                              \
        bool other = fault(CALL_##name) != 0;                                                      \
                                                                                                   \
        return healthy.name arguments != other;                                                    \
    }

/* An operation that is to fail never has no way to say that it did. */
#define WRAP_NEVER(type, name, parameters, arguments)                                              \
    _Static_assert(_Generic((type *)NULL, int *: false, bool *: false, default: true),             \
                   #name " can fail");

#define OPERATION(failure, type, name, parameters, arguments)                                      \
    WRAP_##failure(type, name, parameters, arguments)
#include "os/operations.h"

void
install_faults(void)
{
    healthy = msi_os;
    is_test = true;
#define OPERATION(failure, type, name, parameters, arguments)                                      \
    UNLESS_##failure(msi_os.name = faulty_##name;)
#include "os/operations.h"
}
