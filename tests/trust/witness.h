/*
 * witness.h - what tells that what lies at the name was not touched.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_WITNESS_H
#define MAPSEG_TEST_WITNESS_H

#include "plants.h"

/** What lay there before a call, and who tells if it was touched. */
struct witness {
    struct file_state planted;
    struct file_state target;
    bool has_target;
    int events;
};

/** Before the call. */
void begin_witness(struct witness *witness);

/** After it: all is as it was, and nothing was opened but a file that was named. */
void end_witness(struct witness *witness, const char *call);
/** After the name was rightly removed: what else led to the file is as it was. */
void end_witness_of_removal(struct witness *witness);

#endif
