/*
 * common.h - what the subcommands share: messages, arguments and keys.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TOOL_COMMON_H
#define MAPSEG_TOOL_COMMON_H

#include <mapseg.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What a run ends with, beside EXIT_SUCCESS and EXIT_FAILURE. */
#define EXIT_USAGE 2

/** Values of the long options that several subcommands take; those that a
 *  subcommand has alone begin at OPTION_OWN. */
enum {
    OPTION_PLAIN = 0x100,
    OPTION_OTHER_OWNER,
    OPTION_SHARED_WRITE,
    OPTION_HARD_LINKS,
    OPTION_SHARED_DIRECTORY,
    OPTION_OWN
};

/** Lines of the usage texts, on options that several subcommands take. */
#define PLAIN_HELP "      --plain              take KEY as a plain key, whatever it begins with\n"

#define COMMON_HELP                                                                                \
    "  -h, --help               show this text and leave\n"                                        \
    "  -V, --version            show the version and leave\n"

#define TRUST_HELP                                                                                 \
    "      --allow-other-owner  accept a segment that another user owns\n"                         \
    "      --allow-shared-write accept a segment that others than its owner may write\n"           \
    "      --allow-hard-links   accept a file that has several names\n"                            \
    "      --allow-shared-directory\n"                                                             \
    "                           accept a directory in which others can replace the file\n"

/** The subcommand that runs, for messages: "mapseg create". */
extern const char *command_name;

/* ------------------------------------------------------------- messages -- */

/** Prints one line that says what is wrong with the arguments, and exits. */
_Noreturn void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Prints "mapseg: " and one line; returns EXIT_FAILURE. */
int failure(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** The same with the reason of the handle's last failure. */
int segment_failure(const mapseg *seg);

/** Prints "mapseg: " and one line about something that does not stop the run. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Writes out what stdout still holds and returns `status`, or EXIT_FAILURE
 *  with a message if anything could not be written. Called once, at the end. */
int finish(int status);

/* ------------------------------------------------------------ arguments -- */

/** Deals with what getopt_long returned and the subcommand does not know: the
 *  common options and mistakes, of which getopt_long has told the user. */
void common_option(int option, const char *usage);

/** The argument at optind, of the given name; a usage error if there is none. */
const char *take_argument(int argc, char **argv, const char *name);

/** A usage error if arguments are left over. */
void no_more_arguments(int argc, char **argv);

/** A number of bytes with an optional K, M or G, 1024 each. */
size_t parse_size(const char *option, const char *text);

/** Seconds, with a fraction if need be, as nanoseconds. */
int64_t parse_seconds(const char *option, const char *text);

/** A whole number from `least` to `most`. */
int parse_number(const char *option, const char *text, int least, int most);

/** Permission bits in octal, out of 0666. */
uint32_t parse_mode(const char *option, const char *text);

/* ----------------------------------------------------------------- keys -- */

/** A new handle with the key that the user gave: native if it begins with a
 *  known type and a colon, else plain. NULL: there was a failure, and the
 *  user has been told. */
mapseg *open_key(const char *key);

/** The options for attaching that the user's --allow-... options ask for. */
mapseg_options attach_options(void);

/** From here to end_access a segment that somebody makes shorter does not kill
 *  this process. false: said why. */
bool begin_access(mapseg *seg);
bool end_access(mapseg *seg);

/** Attaches to the segment, or creates it if there is none, whoever else does
 *  the same now. */
mapseg_result attach_or_create(mapseg *seg, size_t size, mapseg_access access,
                               uint32_t create_flags, bool *created);

/* ---------------------------------------------------------------- words -- */

/** "1.5G"; `text` is returned. The size is that of two numbers, because a compiler cannot see that
 *  the second has one digit. */
#define SIZE_TEXT_BYTES 44
char *size_in_words(uint64_t bytes, char text[SIZE_TEXT_BYTES]);

/** "2026-01-31T12:00:00+01:00", "" for 0; `text` is returned. */
#define TIME_TEXT_BYTES 40
char *time_in_words(uint64_t nanoseconds, char text[TIME_TEXT_BYTES]);

/** The user's name, or the number where there is no name; `text` is returned. */
#define USER_TEXT_BYTES 64
char *user_in_words(uint32_t uid, char text[USER_TEXT_BYTES]);

const char *use_in_words(mapseg_use use);
const char *writers_in_words(mapseg_writers writers);
const char *lock_in_words(mapseg_lock_state lock);
const char *type_in_words(mapseg_key_type type);

#endif
