/*
 * bystanders.h - files and segments that a scribbled header must not lead to, and what tells
 * that they are as they were.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TEST_BYSTANDERS_H
#define MAPSEG_TEST_BYSTANDERS_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum { FILES = 40 };

/** A file that no process of the test has any business with. */
struct witness {
    char name[NAME_MAX + 1];
    struct stat status;
    uint64_t digest;
};

/** Files and segments that stand about. */
void put_bystanders(void);

/** All that is in the directory; how many. */
size_t take_witness(const char *path, struct witness witnesses[FILES]);
/** The same is there, untouched. */
void check_witness(const char *path, const struct witness before[FILES], size_t expected);

#endif
