/*
 * strangers.h - descriptors of what cannot be attached to.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_PASS_STRANGERS_H
#define TESTS_PASS_STRANGERS_H

#include "segments.h"

/** Makes one descriptor of something that cannot be attached to. */
struct stranger {
    const char *name;
    int (*make)(void);
    uint64_t results;
};

#define STRANGERS 13
extern const struct stranger strangers[STRANGERS];

int make_pipe(void);
int make_directory(void);
int make_device(void);
int make_plain_file(void);

#endif
