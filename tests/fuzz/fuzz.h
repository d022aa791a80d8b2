/*
 * fuzz.h - what the fuzz targets and their drivers share.
 *
 * A target takes bytes and checks that the library does what its manual says,
 * whatever they are. driver.c gives it bytes of its own making, libFuzzer some
 * that are guided by coverage.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "mapseg-format.h"
#include "mapseg-key.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** No input is longer. */
#define INPUT_BYTES 4096

/* ------------------------------------------------- what a target consists of -- */

/** One run; always 0. The name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/** Writes the seed of that number and returns its length; 0: there are no more.
 *  Seeds are what mutation begins with, so most of them are valid inputs. */
size_t fuzz_seed(size_t number, uint8_t seed[INPUT_BYTES]);

/** Why the target cannot run here; NULL if it can. */
const char *fuzz_objection(void);

/** Called once, in the process that makes the runs, before the first. Ends it
 *  with 77 where the target cannot run. The name is libFuzzer's. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* ----------------------------------------------------------------- claims -- */

/** Ends the process with the claim's text if it does not hold. */
#define claim(condition)                                                                           \
    ((condition) ? (void)0 : fuzz_refuted(__FILE__, __LINE__, #condition, NULL))

/** The same, and says why the handle's last call failed. */
#define claim_of(seg, condition)                                                                   \
    ((condition) ? (void)0 : fuzz_refuted(__FILE__, __LINE__, #condition, mapseg_error_string(seg)))

_Noreturn void fuzz_refuted(const char *file, int line, const char *condition, const char *reason);

/** Whether the text is one line without control characters, and not empty. */
bool is_line(const char *text);

/** Whether a call that failed left words. */
bool says_why(const mapseg *seg, mapseg_result result);

/* ---------------------------------------------------------------- process -- */

/** The lowest number that a new descriptor would get: it grows with a leak. */
int lowest_descriptor(void);

/** Puts a small tmpfs over /dev/shm that this process alone sees; false if the
 *  system does not let it. */
bool hide_shared_memory(void);

/* --------------------------------------------------------------- segments -- */

/** The checksums, made to fit. */
void repair_header(struct mapseg_header *header);
void repair_message(struct mapseg_message *message);

/** A sound header of a segment whose id is all of one byte. */
void make_header(struct mapseg_header *header, uint64_t data_size, uint8_t id);

/** A new memory file without seals, of mode 0600. */
int new_memory_file(void);

#endif
