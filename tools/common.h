/*
 * common.h - what the subcommands share: messages, arguments and keys.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TOOL_COMMON_H
#define MAPSEG_TOOL_COMMON_H

#include "../lib/os/printable.h"
#include "translate.h"

#include <mapseg.h>

#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What a run ends with, beside EXIT_SUCCESS and EXIT_FAILURE. */
#define EXIT_USAGE 2
/** An owner of the lock died, and the data has not been declared good since. */
#define EXIT_OWNER_DIED 3

/** Values of the long options that several subcommands take; those that a
 *  subcommand has alone begin at OPTION_OWN. */
enum {
    OPTION_PLAIN = 0x100,
    OPTION_OTHER_OWNER,
    OPTION_SHARED_WRITE,
    OPTION_HARD_LINKS,
    OPTION_SHARED_DIRECTORY,
    OPTION_ALLOW_GROUP,
    OPTION_WAIT,
    OPTION_OWN
};

/** Lines of the usage texts, on options that several subcommands take. */
#define PLAIN_HELP "      --plain              take KEY as a plain key, whatever it begins with\n"

#define COMMON_HELP                                                                                \
    "  -h, --help               show this text and leave\n"                                        \
    "  -V, --version            show the version and leave\n"

#define WAIT_HELP "      --wait SECONDS       wait so long for a segment that is not there yet\n"

#define DIRECTORY_HELP                                                                             \
    "      --allow-shared-directory\n"                                                             \
    "                           accept a directory in which others can replace the file\n"

#define GROUP_HELP                                                                                 \
    "      --allow-group GROUP  accept what the members of GROUP, and no others, may change\n"

#define TRUST_HELP                                                                                 \
    "      --allow-other-owner  accept a segment that another user owns\n"                         \
    "      --allow-shared-write accept a segment that others than its owner may write\n"           \
    "      --allow-hard-links   accept a file that has several names\n" DIRECTORY_HELP GROUP_HELP

/** The subcommand that runs, for messages: "mapseg create". */
extern const char *command_name;

/* ------------------------------------------------------------- messages -- */

/** A copy of text from outside that may be printed, see printable.h. The caller
 *  frees it. NULL: no memory. */
char *printable_copy(const char *text, enum msi_printable_form form);

/** Prints text from outside to stdout. */
void put_text(const char *text, enum msi_printable_form form);

/** Prints a sentence that may quote such text. */
void put_sentence(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

/** Prints the handle's native key as a line, and sees to it that it is written
 *  now. False: errno says why; finish returns EXIT_FAILURE and says nothing more. */
bool print_key(const mapseg *seg);

/** Prints one line that says what is wrong with the arguments, and exits. */
_Noreturn void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Prints "mapseg: " and one line; returns EXIT_FAILURE. */
int failure(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** The same with the reason of the handle's last failure. */
int segment_failure(const mapseg *seg);

/** The handle's key as all messages have it, see printable.h; `text` is returned. */
const char *key_in_words(const mapseg *seg, char text[MSI_PRINTABLE_KEY_BYTES]);

/** Prints "mapseg: " and one line about something that does not stop the run. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Writes out what stdout still holds and returns `status`, or EXIT_FAILURE
 *  with a message if anything could not be written. Called once, at the end. */
int finish(int status);

/* ------------------------------------------------------------ arguments -- */

/** The next option, as getopt_long gives it; a usage error if it is none. */
int next_option(int argc, char **argv, const char *letters, const struct option *options);

/** Deals with an option that the subcommand does not know itself: one of the
 *  common ones. */
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

/** The number of a group, which may be given by its name; not root's. */
uint32_t parse_group(const char *option, const char *text);

/* ----------------------------------------------------------------- keys -- */

/** A new handle with the key that the user gave: native if it begins with a
 *  known type and a colon, else plain. NULL: there was a failure, and the
 *  user has been told. */
mapseg *open_key(const char *key);

/** Whether the key leads to a segment of mapseg's own kind, with a header. */
bool is_own_kind(const mapseg *seg);

/** The options for attaching that the user's --allow-... options ask for. */
mapseg_options attach_options(void);

/** From here to end_access a segment that another process makes shorter does not kill
 *  this process. false: said why. */
bool begin_access(mapseg *seg);
bool end_access(mapseg *seg);

/** The same for looking or writing: also as the last one out this process then
 *  leaves the segment where it is, crash debris too. Waits as --wait says. */
mapseg_options visit_options(void);

/** Attaches to the segment with `visit`, or creates it with `make` if there is
 *  none, also if another process does the same now. A user tag in `make` says that it is one
 *  of this command's own: then it is attached to without `visit`, so that it goes
 *  with its last user. */
mapseg_result attach_or_create(mapseg *seg, size_t size, mapseg_access access,
                               const mapseg_options *make, bool *created);

/** Removes the segment that this handle has created, and none that has its name
 *  by now. False: it is still there. */
bool remove_own(mapseg *seg);

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

/** Why programs would not attach, and what to do: where the library names a flag or a call it
 *  is an option or a subcommand. `to` is returned. */
const char *verdict_in_words(const mapseg_info *information, char to[TRANSLATED_BYTES]);

/** "not a segment", of MAPSEG_NOT_A_SEGMENT; `text` is returned. */
#define RESULT_TEXT_BYTES 40
char *result_in_words(mapseg_result result, char text[RESULT_TEXT_BYTES]);

/** Whether there is a symbolic link where the segment should be. Nothing that its own
 *  mode says is true of any file. */
bool is_link(const mapseg_info *information);

/** What others can do to the users of the segment. */
const char *safety_of(const mapseg_info *information);

const char *use_in_words(mapseg_use use);
const char *writers_in_words(mapseg_writers writers);
const char *lock_in_words(mapseg_lock_state lock);
const char *type_in_words(mapseg_key_type type);

#endif
