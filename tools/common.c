/*
 * common.c - what the subcommands share: messages, arguments and keys.
 *
 * SPDX-License-Identifier: MIT
 */
#include "common.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

const char *command_name = "mapseg";

static bool plain_keys;
static uint32_t trust_flags;
static uint32_t trusted_group;
static int64_t wait_ns;
/* Standard output could not be written to, and the user has been told. */
static bool output_has_failed;
/* Of the subcommand that runs. */
static const struct option *known_options;

/* ------------------------------------------------------------- messages -- */

/* For anything sensible; the rest of a longer message is left out. */
#define MESSAGE_BYTES 4096

char *
printable_copy(const char *text, enum msi_printable_form form)
{
    size_t room = strlen(text) * 4 + 1;
    char *copy = malloc(room);
    if (copy != NULL)
        msi_printable(copy, room, &text, form);
    return copy;
}

void
put_text(const char *text, enum msi_printable_form form)
{
    char part[256];
    while (*text) {
        msi_printable(part, sizeof part, &text, form);
        fputs(part, stdout);
    }
}

void
put_sentence(const char *format, va_list arguments)
{
    char text[MESSAGE_BYTES];
    vsnprintf(text, sizeof text, format, arguments);
    put_text(text, MSI_PRINTABLE_SENTENCE);
}

/* Keys and file names may hold anything; a message stays one line. */
static void __attribute__((format(printf, 2, 0)))
print_message(const char *who, const char *format, va_list arguments)
{
    char text[MESSAGE_BYTES], shown[MESSAGE_BYTES];
    const char *from = text;
    vsnprintf(text, sizeof text, format, arguments);
    msi_printable(shown, sizeof shown, &from, MSI_PRINTABLE_SENTENCE);
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", who, shown);
}

void
usage_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message(command_name, format, arguments);
    va_end(arguments);
    exit(EXIT_USAGE);
}

int
failure(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message("mapseg", format, arguments);
    va_end(arguments);
    return EXIT_FAILURE;
}

int
segment_failure(const mapseg *seg)
{
    char words[TRANSLATED_BYTES];
    return failure("%s", translate(mapseg_error_string(seg), known_options, words));
}

const char *
key_in_words(const mapseg *seg, char text[MSI_PRINTABLE_KEY_BYTES])
{
    msi_printable_key(text, mapseg_key(seg), mapseg_native_key(seg));
    return text;
}

void
note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_message("mapseg", format, arguments);
    va_end(arguments);
}

bool
print_key(const mapseg *seg)
{
    put_text(mapseg_native_key(seg), MSI_PRINTABLE_KEY);
    putchar('\n');
    if (fflush(stdout) == 0)
        return true;
    int reason = errno;
    /* It must not be printed after all, when there is room again. */
    __fpurge(stdout);
    output_has_failed = true;
    errno = reason;
    return false;
}

int
finish(int status)
{
    if (output_has_failed)
        return EXIT_FAILURE;
    bool pending = __fpending(stdout) != 0;
    bool failed_before = ferror(stdout) != 0;
    /* A standard output that was closed all along matters only if there was
     * something to say. */
    if (fclose(stdout) != 0 && (pending || errno != EBADF))
        return failure("cannot write to standard output: %s", strerror(errno));
    if (failed_before)
        return failure("cannot write to standard output");
    return status;
}

/* ------------------------------------------------------------ arguments -- */

/* Whether the argument is a long option that was given a value, but takes none. */
static bool
has_value_too_many(const char *argument, int value, const struct option *options)
{
    const char *equals = strchr(argument, '=');
    if (strncmp(argument, "--", 2) != 0 || equals == NULL)
        return false;
    for (; options->name; options++)
        if (options->val == value &&
            strncmp(options->name, argument + 2, (size_t)(equals - argument) - 2) == 0)
            return true;
    return false;
}

int
next_option(int argc, char **argv, const char *letters, const struct option *options)
{
    known_options = options;
    /* Its messages would show what the argument holds as it is. */
    opterr = 0;
    int option = getopt_long(argc, argv, letters, options, NULL);
    if (option != '?' && option != ':')
        return option;
    const char *argument = argv[optind - 1];
    if (option == ':' && strncmp(argument, "--", 2) == 0)
        usage_error("the option '%s' requires an argument", argument);
    if (option == ':')
        usage_error("the option '-%c' requires an argument", optopt);
    if (optopt == 0)
        usage_error("there is no option '%s', or several that begin so", argument);
    if (has_value_too_many(argument, optopt, options))
        usage_error("the option '%.*s' takes no argument", (int)strcspn(argument, "="), argument);
    usage_error("there is no option '-%c'", optopt);
}

void
common_option(int option, const char *usage)
{
    switch (option) {
    case OPTION_PLAIN:
        plain_keys = true;
        return;
    case OPTION_OTHER_OWNER:
        trust_flags |= MAPSEG_ALLOW_OTHER_OWNER;
        return;
    case OPTION_SHARED_WRITE:
        trust_flags |= MAPSEG_ALLOW_SHARED_WRITE;
        return;
    case OPTION_HARD_LINKS:
        trust_flags |= MAPSEG_ALLOW_HARD_LINKS;
        return;
    case OPTION_SHARED_DIRECTORY:
        trust_flags |= MAPSEG_ALLOW_SHARED_DIRECTORY;
        return;
    case OPTION_ALLOW_GROUP:
        trust_flags |= MAPSEG_ALLOW_GROUP;
        trusted_group = parse_group("--allow-group", optarg);
        return;
    case OPTION_WAIT:
        wait_ns = parse_seconds("--wait", optarg);
        return;
    case 'h':
        fputs(usage, stdout);
        exit(finish(EXIT_SUCCESS));
    case 'V':
        printf("mapseg %s\n", mapseg_version());
        exit(finish(EXIT_SUCCESS));
    default:
        break;
    }
}

const char *
take_argument(int argc, char **argv, const char *name)
{
    if (optind >= argc)
        usage_error("%s is missing", name);
    return argv[optind++];
}

void
no_more_arguments(int argc, char **argv)
{
    if (optind < argc)
        usage_error("there is one argument too many: '%s'", argv[optind]);
}

static uint64_t
unit_of(char letter)
{
    switch (letter) {
    case 'K':
    case 'k':
        return UINT64_C(1) << 10;
    case 'M':
    case 'm':
        return UINT64_C(1) << 20;
    case 'G':
    case 'g':
        return UINT64_C(1) << 30;
    default:
        return 0;
    }
}

/* The digits that `text` begins with; `*end` is left behind them, at `text`
 * itself if there are none. False: they are too many. */
static bool
parse_digits(const char *text, uint64_t *value, const char **end)
{
    *value = 0;
    for (*end = text; **end >= '0' && **end <= '9'; (*end)++) {
        uint64_t digit = (uint64_t)(**end - '0');
        if (*value > (UINT64_MAX - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return true;
}

size_t
parse_size(const char *option, const char *text)
{
    uint64_t value, unit = 1;
    const char *end;
    bool fits = parse_digits(text, &value, &end);
    if (fits && end != text && *end) {
        unit = unit_of(*end);
        end++;
    }
    if (fits && (end == text || *end || unit == 0))
        usage_error("%s takes a number of bytes, with K, M or G if you like, not '%s'", option,
                    text);
    if (!fits || value > SIZE_MAX / unit)
        usage_error("%s %s is more than this machine can count", option, text);
    return (size_t)(value * unit);
}

int64_t
parse_seconds(const char *option, const char *text)
{
    const int64_t second = 1000000000;
    uint64_t whole;
    const char *end;
    bool fits = parse_digits(text, &whole, &end);
    bool digits = end != text;
    int64_t fraction = 0;
    if (fits && *end == '.') {
        int64_t place = second / 10;
        for (end++; *end >= '0' && *end <= '9'; end++, place /= 10) {
            fraction += (*end - '0') * place;
            digits = true;
        }
    }
    if (fits && (!digits || *end))
        usage_error("%s takes a number of seconds, not '%s'", option, text);
    if (!fits || whole >= (uint64_t)(INT64_MAX / second))
        usage_error("%s %s is more seconds than can be counted", option, text);
    return (int64_t)whole * second + fraction;
}

int
parse_number(const char *option, const char *text, int least, int most)
{
    uint64_t value;
    const char *end;
    bool fits = parse_digits(text, &value, &end);
    if (!fits || end == text || *end || value > (uint64_t)most || value < (uint64_t)least)
        usage_error("%s takes a number from %d to %d, not '%s'", option, least, most, text);
    return (int)value;
}

uint32_t
parse_mode(const char *option, const char *text)
{
    uint32_t mode = 0;
    const char *c = text;
    for (; *c >= '0' && *c <= '7' && mode <= 0777; c++)
        mode = mode * 8 + (uint32_t)(*c - '0');
    if (*c || mode == 0 || (mode & ~(uint32_t)0666) != 0)
        usage_error("%s takes permission bits in octal, out of 0666, not '%s'", option, text);
    return mode;
}

uint32_t
parse_group(const char *option, const char *text)
{
    const struct group *named = getgrnam(text);
    uint64_t number = named != NULL ? named->gr_gid : 0;
    const char *end = text;
    bool fits = named != NULL || parse_digits(text, &number, &end);
    if (fits && named == NULL && (end == text || *end))
        usage_error("%s takes a group, by its name or number; there is no '%s'", option, text);
    if (!fits || number >= UINT32_MAX)
        usage_error("%s %s is more than the number of any group", option, text);
    if (number == 0)
        usage_error("%s takes no root group: root may do everything as it is", option);
    return (uint32_t)number;
}

/* ----------------------------------------------------------------- keys -- */

static bool
is_native(const char *key)
{
    static const char *const types[] = {"shm", "runtime", "file",    "memfd",
                                        "raw", "posix",   "systemv", "windows"};
    const char *colon = strchr(key, ':');
    if (colon == NULL)
        return false;
    size_t length = (size_t)(colon - key);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i]) == length && strncasecmp(key, types[i], length) == 0)
            return true;
    static const char numbered[] = "systemv-";
    size_t head = sizeof numbered - 1;
    return length > head && strncasecmp(key, numbered, head) == 0 &&
           strspn(key + head, "0123456789") == length - head;
}

mapseg *
open_key(const char *key)
{
    if (!*key)
        usage_error("KEY is empty");
    mapseg *seg = mapseg_new();
    if (seg == NULL) {
        failure("there is no memory left");
        return NULL;
    }
    bool native = !plain_keys && is_native(key);
    mapseg_result result = native ? mapseg_set_native_key(seg, key) : mapseg_set_key(seg, key);
    if (result != MAPSEG_OK) {
        segment_failure(seg);
        mapseg_free(seg);
        return NULL;
    }
    return seg;
}

mapseg_options
attach_options(void)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    options.flags = trust_flags;
    options.group = trusted_group;
    return options;
}

bool
begin_access(mapseg *seg)
{
    if (mapseg_guard_begin(seg) == MAPSEG_OK)
        return true;
    segment_failure(seg);
    return false;
}

bool
end_access(mapseg *seg)
{
    if (mapseg_guard_end(seg) == MAPSEG_OK)
        return true;
    segment_failure(seg);
    return false;
}

mapseg_options
visit_options(void)
{
    mapseg_options options = attach_options();
    options.flags |= MAPSEG_KEEP_NAME;
    options.wait_ns = wait_ns;
    return options;
}

bool
is_own_kind(const mapseg *seg)
{
    static const char *const types[] = {"shm:", "runtime:", "file:", "memfd:"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strncmp(mapseg_native_key(seg), types[i], strlen(types[i])) == 0)
            return true;
    return false;
}

mapseg_result
attach_or_create(mapseg *seg, size_t size, mapseg_access access, const mapseg_options *make,
                 bool *created)
{
    mapseg_options options = *make;
    const mapseg_options visit = visit_options();
    /* A new memory file would end with this command. */
    if (strncmp(mapseg_native_key(seg), "memfd:", strlen("memfd:")) == 0)
        return mapseg_attach_with(seg, access, &options);
    /* One for the lock alone, other programs would take for theirs. */
    if (make->user_tag && !is_own_kind(seg))
        return mapseg_attach_with(seg, access, &visit);
    options.minimum_size = 1;
    options.flags |= make->user_tag ? MAPSEG_REQUIRE_TAG : MAPSEG_KEEP_NAME;
    mapseg_result result = MAPSEG_NOT_FOUND;
    /* A segment of another tag may be gone before it is visited; a hundred times in a row
     * it is so on purpose. */
    for (int attempt = 0; attempt < 100; attempt++) {
        result = mapseg_create_or_attach_with(seg, size, access, &options, created);
        if (result != MAPSEG_WRONG_TAG)
            return result;
        result = mapseg_attach_with(seg, access, &visit);
        if (result != MAPSEG_NOT_FOUND)
            return result;
    }
    return result;
}

bool
remove_own(mapseg *seg)
{
    mapseg_options which = MAPSEG_OPTIONS_INIT;
    mapseg_info *information;
    if (mapseg_info_new(seg, &information) != MAPSEG_OK)
        return false;
    which.flags = MAPSEG_ALLOW_SHARED_DIRECTORY;
    if (is_own_kind(seg))
        which.flags |= MAPSEG_REQUIRE_ID;
    memcpy(which.id, information->id, sizeof which.id);
    bool same = information->name_state == MAPSEG_NAME_SAME;
    mapseg_info_free(information);
    /* Without an id a look has to do. */
    if (!is_own_kind(seg) && !same)
        return true;
    mapseg_result result = mapseg_remove_with(seg, &which);
    return result == MAPSEG_OK || result == MAPSEG_NOT_FOUND;
}

/* ---------------------------------------------------------------- words -- */

char *
size_in_words(uint64_t bytes, char text[SIZE_TEXT_BYTES])
{
    static const char letters[] = "BKMGTPE";
    size_t power = 0;
    while (power < 6 && bytes >> (10 * (power + 1)))
        power++;
    uint64_t unit = UINT64_C(1) << (10 * power);
    uint64_t whole = bytes / unit;
    uint64_t tenths = power == 0 ? 0 : ((bytes % unit) / (unit / 1024) * 10 + 512) / 1024;
    if (tenths == 10) {
        whole++;
        tenths = 0;
    }
    if (whole == 1024 && power < 6) {
        whole = 1;
        power++;
    }
    if (tenths == 0)
        snprintf(text, SIZE_TEXT_BYTES, "%llu%c", (unsigned long long)whole, letters[power]);
    else
        snprintf(text, SIZE_TEXT_BYTES, "%llu.%llu%c", (unsigned long long)whole,
                 (unsigned long long)tenths, letters[power]);
    return text;
}

char *
time_in_words(uint64_t nanoseconds, char text[TIME_TEXT_BYTES])
{
    time_t seconds = (time_t)(nanoseconds / 1000000000);
    struct tm parts;
    text[0] = '\0';
    if (nanoseconds == 0 || !localtime_r(&seconds, &parts))
        return text;
    size_t length = strftime(text, TIME_TEXT_BYTES - 1, "%Y-%m-%dT%H:%M:%S%z", &parts);
    /* +0100 becomes +01:00. */
    if (length >= 5) {
        memmove(text + length - 1, text + length - 2, 3);
        text[length - 2] = ':';
    }
    return text;
}

char *
user_in_words(uint32_t uid, char text[USER_TEXT_BYTES])
{
    const struct passwd *user = getpwuid((uid_t)uid);
    if (user)
        snprintf(text, USER_TEXT_BYTES, "%s", user->pw_name);
    else
        snprintf(text, USER_TEXT_BYTES, "%lu", (unsigned long)uid);
    return text;
}

const char *
verdict_in_words(const mapseg_info *information, char to[TRANSLATED_BYTES])
{
    return translate(information->verdict_text, NULL, to);
}

char *
result_in_words(mapseg_result result, char text[RESULT_TEXT_BYTES])
{
    snprintf(text, RESULT_TEXT_BYTES, "%s", mapseg_result_name(result) + strlen("MAPSEG_"));
    for (char *c = text; *c; c++)
        *c = *c == '_' ? ' ' : *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    return text;
}

bool
is_link(const mapseg_info *information)
{
    struct stat status;
    return *information->path && lstat(information->path, &status) == 0 && S_ISLNK(status.st_mode);
}

const char *
safety_of(const mapseg_info *information)
{
    if (is_link(information))
        return "a symbolic link says nothing of the file that it leads to; name the file itself";
    return information->safety_text;
}

const char *
use_in_words(mapseg_use use)
{
    switch (use) {
    case MAPSEG_USE_LIVE:
        return "live";
    case MAPSEG_USE_STALE:
        return "stale";
    case MAPSEG_USE_PERSISTENT:
        return "persistent";
    case MAPSEG_USE_DAMAGED:
        return "damaged";
    case MAPSEG_USE_BLOCKED:
        return "blocked";
    case MAPSEG_USE_LEFT:
        return "left";
    case MAPSEG_USE_FOREIGN:
        return "foreign";
    case MAPSEG_USE_RESERVED:
        break;
    }
    return "unknown";
}

const char *
writers_in_words(mapseg_writers writers)
{
    switch (writers) {
    case MAPSEG_WRITERS_CREATOR:
        return "creator";
    case MAPSEG_WRITERS_OWNER:
        return "owner";
    case MAPSEG_WRITERS_OTHERS:
        return "others";
    case MAPSEG_WRITERS_RESERVED:
        break;
    }
    return "unknown";
}

const char *
lock_in_words(mapseg_lock_state lock)
{
    switch (lock) {
    case MAPSEG_LOCK_STATE_FREE:
        return "free";
    case MAPSEG_LOCK_STATE_HELD:
        return "held";
    case MAPSEG_LOCK_STATE_OWNER_DIED:
        return "owner-died";
    case MAPSEG_LOCK_STATE_INCONSISTENT:
        return "inconsistent";
    case MAPSEG_LOCK_STATE_UNKNOWN:
    case MAPSEG_LOCK_STATE_RESERVED:
        break;
    }
    return "unknown";
}

const char *
type_in_words(mapseg_key_type type)
{
    switch (type) {
    case MAPSEG_KEY_SHM:
        return "shm";
    case MAPSEG_KEY_RUNTIME:
        return "runtime";
    case MAPSEG_KEY_FILE:
        return "file";
    case MAPSEG_KEY_MEMFD:
        return "memfd";
    case MAPSEG_KEY_RAW:
        return "raw";
    case MAPSEG_KEY_POSIX:
        return "posix";
    case MAPSEG_KEY_SYSTEMV:
        return "systemv";
    case MAPSEG_KEY_WINDOWS:
        return "windows";
    case MAPSEG_KEY_INVALID:
    case MAPSEG_KEY_TYPE_RESERVED:
        break;
    }
    return "unknown";
}
