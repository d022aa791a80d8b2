/*
 * fuzz_tool.c - what the command makes of its arguments, and of segments whose
 * names and headers hold anything: numbers, keys, columns, tables.
 *
 * Input: one byte that chooses, eight of a number, then the text. The files of
 * the command are compiled with tool_exit.h, and so is this one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"

#include "../../tools/columns.h"
#include "../../tools/common.h"

#include <libsmartcols.h>
#include <locale.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#undef stderr
#undef exit

/** Longer texts tell nothing more, but cost more. */
#define TEXT_BYTES 1024

FILE *tool_messages;

static char messages[8192];
static jmp_buf after_exit;

void
tool_exit(int status)
{
    claim(status == EXIT_USAGE);
    longjmp(after_exit, 1);
}

const char *
fuzz_objection(void)
{
    tool_messages = fmemopen(messages, sizeof messages, "w");
    claim(tool_messages != NULL);
    if (setlocale(LC_ALL, "C.UTF-8") == NULL)
        return "there is no locale C.UTF-8";
    return NULL;
}

/* ------------------------------------------------------------------ seeds -- */

static const char *const texts[] = {
    "0",
    "1",
    "4096",
    "1K",
    "64k",
    "1M",
    "17g",
    "18446744073709551615",
    "18446744073709551616",
    "17179869183G",
    "17179869184G",
    "1KB",
    "K",
    "-1",
    "+1",
    " 1",
    "0x10",
    "1.5",
    ".5",
    "1.",
    ".",
    "0.0000000001",
    "9223372035.999999999",
    "9223372036",
    "0600",
    "666",
    "0777",
    "0000000000600",
    "shm:name",
    "SHM:name",
    "file:/a/b",
    "memfd:5?id=00112233445566778899aabbccddeeff",
    "systemv-7:name",
    "systemv-:name",
    "plain",
    "other:plain",
    "KEY",
    "size",
    "FILE-SYSTEM",
    "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
    "\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80",
    "\xe2\x82",
    "\t\n\"\\\x7f",
};

static const uint64_t numbers[] = {
    0,
    1,
    1023,
    1024,
    1025,
    1048575,
    1073741823,
    UINT64_C(1) << 60,
    UINT64_MAX,
    INT64_MAX,
    1700000000000,
    UINT64_C(1700000000000000000),
    UINT64_MAX - 1048576,
};

size_t
fuzz_seed(size_t number, uint8_t seed[INPUT_BYTES])
{
    const size_t count = sizeof texts / sizeof *texts;
    const char *text = texts[number % count];
    uint64_t value = numbers[number % (sizeof numbers / sizeof *numbers)];

    if (number >= 8 * count)
        return 0;
    seed[0] = (uint8_t)(number / count);
    memcpy(seed + 1, &value, sizeof value);
    memcpy(seed + 9, text, strlen(text));
    return 9 + strlen(text);
}

/* --------------------------------------------------------------- numbers -- */

/** Whether a call of the tool's code returned; if not, it left one line. */
#define returns(call) (setjmp(after_exit) == 0 ? ((void)(call), true) : left_one_line())

static bool
left_one_line(void)
{
    size_t length;

    fflush(tool_messages);
    length = strcspn(messages, "\n");
    claim(length > 0 && messages[length] == '\n' && messages[length + 1] == '\0');
    messages[length] = '\0';
    claim(is_line(messages));
    return false;
}

/** What the text says as a size; false: nothing, or too much. */
static bool
size_of(const char *text, size_t *size)
{
    static const char units[] = "kKmMgG";
    size_t digits = strspn(text, "0123456789");
    size_t unit = 1;

    if (digits == 0)
        return false;
    if (text[digits] != '\0') {
        const char *letter = strchr(units, text[digits]);

        if (letter == NULL || text[digits + 1] != '\0')
            return false;
        unit = (size_t)1024 << (letter - units) / 2 * 10;
    }
    *size = 0;
    for (size_t i = 0; i < digits; i++)
        if (__builtin_mul_overflow(*size, 10, size) ||
            __builtin_add_overflow(*size, (size_t)(text[i] - '0'), size))
            return false;
    return !__builtin_mul_overflow(*size, unit, size);
}

static void
check_size(const char *text)
{
    static size_t got;
    size_t expected;

    if (returns(got = parse_size("--size", text)))
        claim(size_of(text, &expected) && got == expected);
    else
        claim(!size_of(text, &expected));
}

static void
check_seconds(const char *text)
{
    static int64_t got;

    if (returns(got = parse_seconds("--timeout", text)))
        claim(got >= 0 && strspn(text, "0123456789.") == strlen(text) &&
              got / 1000000000 == strtoll(text, NULL, 10));
}

static void
check_number(const char *text)
{
    static int got;

    if (returns(got = parse_number("--number", text, 3, 1000)))
        claim(got >= 3 && got <= 1000 && strtoll(text, NULL, 10) == got);
}

static void
check_mode(const char *text)
{
    static uint32_t got;

    if (returns(got = parse_mode("--mode", text)))
        claim(got != 0 && (got & ~0666U) == 0 && strtoull(text, NULL, 8) == got);
}

/* ------------------------------------------------------------------ words -- */

static void
check_words(uint64_t number)
{
    char size[SIZE_TEXT_BYTES];
    char time[TIME_TEXT_BYTES];
    char user[USER_TEXT_BYTES];

    claim(is_line(size_in_words(number, size)) && strlen(size) <= 8);
    time_in_words(number, time);
    claim(number == 0 ? *time == '\0' : strlen(time) == 25 && time[10] == 'T');
    /* Looking users up takes long. */
    if (number % 64 == 0)
        claim(is_line(user_in_words((uint32_t)(number >> 6), user)));
    (void)type_in_words((mapseg_key_type)(number & 0x3ff));
    claim(is_line(use_in_words((mapseg_use)(number & 7))));
    claim(is_line(lock_in_words((mapseg_lock_state)(number & 7))));
}

static void
check_key(const char *text)
{
    static mapseg *seg;

    if (!returns(seg = open_key(text)))
        return;
    if (seg == NULL)
        (void)left_one_line();
    else
        claim(mapseg_key(seg) != NULL ? strcmp(mapseg_key(seg), text) == 0
                                      : mapseg_native_key(seg) != NULL);
    mapseg_free(seg);
}

/* ----------------------------------------------------------------- tables -- */

/** A segment whose texts are `text`, as far as others than the library have a
 *  say in them, and whose numbers are `number`. */
static void
describe(mapseg_info *information, const char *text, uint64_t number)
{
    memset(information, 0, sizeof *information);
    information->native_key = text;
    information->path = text;
    information->file_system = "tmpfs";
    information->verdict_text = text;
    information->safety_text = "as safe as can be";
    information->limitations = "";
    /* Always fit to be printed. */
    information->label = number % 2 == 0 ? "" : "Gr\303\274\303\237e, \"\\303\"";
    information->type = (mapseg_key_type)(number % 0x300);
    information->use = (mapseg_use)(number % 5);
    information->verdict = (mapseg_result)(number % 40);
    information->data_size = number;
    information->data_offset = ~number;
    information->header_flags = number;
    information->created_ns = number;
    information->user_tag = number;
    information->recoveries = number;
    information->contended = number;
    information->slept = ~number;
    information->longest_wait_ns = number;
    information->version = number;
    memcpy(information->id, &number, sizeof number);
    information->lock = (mapseg_lock_state)(number % 6);
    information->attached = (uint32_t)number;
    information->file_size = number;
    information->mode = (uint32_t)number;
    information->seals = (int32_t)number;
}

/** Whether it is one JSON value as far as quotes and brackets go, in UTF-8 and
 *  without control characters in strings. */
static bool
is_json(const char *text)
{
    int depth = 0;
    bool quoted = false;

    if (mbstowcs(NULL, text, 0) == (size_t)-1)
        return false;
    for (; *text != '\0'; text++) {
        if (quoted && (unsigned char)*text < ' ')
            return false;
        if (quoted && *text == '\\') {
            if (*++text == '\0')
                return false;
        } else if (*text == '"') {
            quoted = !quoted;
        } else if (!quoted) {
            depth += (strchr("{[", *text) != NULL) - (strchr("}]", *text) != NULL);
        }
    }
    return depth == 0 && !quoted;
}

static void
check_table(unsigned choice, const char *text, uint64_t number)
{
    const struct table_style style = {.json = (choice & 1) != 0,
                                      .raw = (choice & 3) == 2,
                                      .no_headings = (choice & 4) != 0,
                                      .bytes = (choice & 8) != 0};
    enum column columns[COLUMN_COUNT];
    mapseg_info information;
    struct libscols_table *table;
    char *printed = NULL;

    for (size_t i = 0; i < COLUMN_COUNT; i++)
        columns[i] = (enum column)i;
    describe(&information, text, number);
    table = new_table(&style, columns, COLUMN_COUNT);
    claim(table != NULL && add_line(table, &style, columns, COLUMN_COUNT, &information));
    claim(scols_print_table_to_string(table, &printed) == 0 && printed != NULL);
    if (style.json)
        claim(is_json(printed));
    free(printed);
    scols_unref_table(table);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    uint64_t number;
    char text[TEXT_BYTES];
    size_t length;

    if (bytes < 9)
        return 0;
    memcpy(&number, data + 1, sizeof number);
    length = bytes - 9 < sizeof text ? bytes - 9 : sizeof text - 1;
    memcpy(text, data + 9, length);
    text[length] = '\0';
    memset(messages, 0, sizeof messages);
    rewind(tool_messages);
    check_words(number);
    switch (data[0] & 7) {
    case 0:
        check_size(text);
        break;
    case 1:
        check_seconds(text);
        break;
    case 2:
        check_number(text);
        break;
    case 3:
        check_mode(text);
        break;
    case 4:
        check_key(text);
        break;
    case 5:
        claim(find_column(text, strlen(text)) <= COLUMN_COUNT);
        break;
    default:
        check_table(data[0] >> 3, text, number);
        break;
    }
    return 0;
}
