/*
 * key.c - keys: parse, format, compare.
 *
 * The text form follows QNativeIpcKey, so that a key can be handed between a
 * Qt program and a mapseg program as it is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "key.h"

#include "mapseg-spawn.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One block of memory, all of whose strings lie behind the struct. */
struct mapseg_ipc_key {
    mapseg_key_type type;
    const char *name;
    const char *legacy_key;
    const char *id;
    const char *text; /* NULL: invalid, or of a type without a scheme */
    char room[];
};

static const struct {
    mapseg_key_type type;
    const char *scheme;
} schemes[] = {
    {MAPSEG_KEY_SHM, "shm"},         {MAPSEG_KEY_RUNTIME, "runtime"}, {MAPSEG_KEY_FILE, "file"},
    {MAPSEG_KEY_MEMFD, "memfd"},     {MAPSEG_KEY_RAW, "raw"},         {MAPSEG_KEY_POSIX, "posix"},
    {MAPSEG_KEY_WINDOWS, "windows"}, {MAPSEG_KEY_SYSTEMV, "systemv"},
};

/** The values up to this one are QNativeIpcKey's. */
#define LAST_TYPE_OF_QT 0x1ff

/** For any scheme. */
#define SCHEME_ROOM sizeof "systemv--2147483648"

char *
msi_copy_string(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = malloc(bytes);

    return copy == NULL ? NULL : memcpy(copy, text, bytes);
}

void
msi_hexadecimal(const uint8_t bytes[16], char text[33])
{
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

void
msi_key_format_memfd(int fd, const uint8_t id[16], char *text)
{
    char digits[33];

    msi_hexadecimal(id, digits);
    snprintf(text, MAPSEG_ENVIRONMENT_BYTES, "memfd:%d?id=%s", fd, digits);
}

/* ---------------------------------------------------------- characters -- */

static char
lower(char c)
{
    /* Not tolower(): keys do not depend on the locale. */
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int
hexadecimal_value(char c)
{
    c = lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/** Whether the text form has to encode the character; `more` are characters
 *  to encode besides. */
static bool
needs_encoding(char c, const char *more)
{
    unsigned char byte = (unsigned char)c;

    return byte < 0x20 || byte == 0x7f || strchr("#%", c) != NULL || strchr(more, c) != NULL;
}

/** What is encoded besides in a name, which ends at a query, and in a legacy key, which ends
 *  at the next item. */
#define MORE_IN_NAME "?"
#define MORE_IN_LEGACY_KEY "&="

/** Appends the encoded form to `to` and returns its end; `to` has room for
 *  three times the length. */
static char *
encode(char *to, const char *from, const char *more)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; *from != '\0'; from++) {
        if (needs_encoding(*from, more)) {
            *to++ = '%';
            *to++ = digits[(unsigned char)*from >> 4];
            *to++ = digits[(unsigned char)*from & 15];
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return to;
}

/** The byte whose code begins at a '%', or -1. */
static int
code_at(const char *text)
{
    int high = hexadecimal_value(text[1]);
    int low = high < 0 ? -1 : hexadecimal_value(text[2]);

    return low < 0 ? -1 : high << 4 | low;
}

/** Whether each '%' begins a code. If not, none of the part does, as in Qt: the part
 *  was not encoded. */
static bool
is_encoded(const char *part)
{
    for (; (part = strchr(part, '%')) != NULL; part++)
        if (code_at(part) < 0)
            return false;
    return true;
}

/** Decodes in place what is_encoded. False: it would hold a NUL, which no file name can. */
static bool
decode(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '%') {
            int byte = code_at(from);

            if (byte == 0)
                return false;
            *to++ = (char)byte;
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    return true;
}

/* ---------------------------------------------------------------- types -- */

static bool
is_system_v(mapseg_key_type type)
{
    return (int)type >= 1 && (int)type <= 0xff;
}

/** Whether the type has a text form. */
static bool
has_scheme(mapseg_key_type type)
{
    if (is_system_v(type))
        return true;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (schemes[i].type == type)
            return true;
    return false;
}

bool
msi_key_type_is_qt(mapseg_key_type type)
{
    return (int)type >= 1 && (int)type <= LAST_TYPE_OF_QT;
}

/** Whether a key can be of that type: Qt also takes those of its values that have no
 *  meaning yet. */
static bool
is_valid(mapseg_key_type type)
{
    return msi_key_type_is_qt(type) || has_scheme(type);
}

/** The type of a lower-case scheme. */
static mapseg_key_type
type_of_scheme(const char *scheme)
{
    const char *prefix = "systemv-";
    int number = 0;

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strcmp(schemes[i].scheme, scheme) == 0)
            return schemes[i].type;
    if (strncmp(scheme, prefix, strlen(prefix)) != 0)
        return MAPSEG_KEY_INVALID;
    scheme += strlen(prefix);
    for (int i = 0; i < 3 && is_digit(scheme[i]); i++)
        number = number * 10 + (scheme[i] - '0');
    if (scheme[0] == '0' || scheme[strspn(scheme, "0123456789")] != '\0' || number < 1 ||
        number > 0xff || strlen(scheme) > 3)
        return MAPSEG_KEY_INVALID;
    return (mapseg_key_type)number;
}

/** The scheme of a type that has one, in `to`. */
static void
scheme_of_type(mapseg_key_type type, char *to, size_t bytes)
{
    snprintf(to, bytes, "systemv-%d", (int)type);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (schemes[i].type == type)
            snprintf(to, bytes, "%s", schemes[i].scheme);
}

bool
mapseg_key_type_is_supported(mapseg_key_type type)
{
    return type == MAPSEG_KEY_SHM || type == MAPSEG_KEY_RUNTIME || type == MAPSEG_KEY_FILE ||
           type == MAPSEG_KEY_MEMFD || type == MAPSEG_KEY_RAW || type == MAPSEG_KEY_POSIX ||
           is_system_v(type);
}

/* ------------------------------------------------------------ the value -- */

/** How much longer a string becomes when it is encoded. */
static size_t
growth(const char *text, const char *more)
{
    size_t bytes = 0;

    for (; *text != '\0'; text++)
        if (needs_encoding(*text, more))
            bytes += 2;
    return bytes;
}

/** Writes the text form to `to`, which has room for it. Returns where the name
 *  begins in it. */
static char *
write_text(const mapseg_ipc_key *key, const char *scheme, char *to, size_t room)
{
    const char *name = key->name;
    char *end;
    char *begin;

    begin = to + snprintf(to, room, "%s:", scheme);
    end = begin;
    if (name[0] == '/' && name[1] == '/') {
        /* "//" would begin an authority. */
        end += snprintf(end, 5, "/%%2F");
        name += 2;
    }
    end = encode(end, name, MORE_IN_NAME);
    if (key->legacy_key[0] != '\0') {
        end += snprintf(end, 12, "?legacyKey=");
        end = encode(end, key->legacy_key, MORE_IN_LEGACY_KEY);
    }
    if (key->id[0] != '\0')
        snprintf(end, 40, "%cid=%s", key->legacy_key[0] == '\0' ? '?' : '&', key->id);
    return begin;
}

/** Copies a string to `to`, and moves that behind it; an empty one needs no
 *  room. */
static const char *
place_string(char **to, const char *text)
{
    size_t bytes = strlen(text) + 1;
    const char *copy;

    if (*text == '\0')
        return "";
    copy = memcpy(*to, text, bytes);
    *to += bytes;
    return copy;
}

mapseg_ipc_key *
msi_key_new(mapseg_key_type type, const char *name, const char *legacy_key, const char *id)
{
    bool has_text = has_scheme(type);
    size_t more = growth(name, MORE_IN_NAME) + growth(legacy_key, MORE_IN_LEGACY_KEY);
    /* Mostly the text ends with the name as it is, which then is kept once. */
    bool shared =
        has_text && more == 0 && *legacy_key == '\0' && *id == '\0' && strncmp(name, "//", 2) != 0;
    size_t strings = strlen(name) + strlen(legacy_key) + strlen(id) + 3;
    char scheme[SCHEME_ROOM];
    mapseg_ipc_key *key;
    size_t text_room;
    char *behind;

    scheme_of_type(type, scheme, sizeof scheme);
    text_room = strlen(scheme) + sizeof ":" + strlen(name);
    if (!shared)
        text_room += strings + more + sizeof "/%2F?legacyKey=&id=";
    key = malloc(sizeof *key + text_room + (shared ? 0 : strings));
    if (key == NULL)
        return NULL;
    behind = key->room + text_room;
    key->type = is_valid(type) ? type : MAPSEG_KEY_INVALID;
    key->text = has_text ? key->room : NULL;
    key->name = shared ? name : place_string(&behind, name);
    key->legacy_key = place_string(&behind, legacy_key);
    key->id = place_string(&behind, id);
    if (has_text) {
        char *begin = write_text(key, scheme, key->room, text_room);

        if (shared)
            key->name = begin;
    }
    return key;
}

mapseg_ipc_key *
mapseg_ipc_key_new(mapseg_key_type type, const char *name)
{
    return msi_key_new(type, name == NULL ? "" : name, "", "");
}

void
mapseg_ipc_key_free(mapseg_ipc_key *key)
{
    free(key);
}

/* -------------------------------------------------------------- parsing -- */

/** Whether the text is an id: 32 hexadecimal digits. */
static bool
is_id(const char *text)
{
    size_t length = 0;

    while (hexadecimal_value(text[length]) >= 0)
        length++;
    return length == 32 && text[length] == '\0';
}

/** Takes one item of the query, "name=value". False: no key has it. */
static bool
parse_item(char *item, mapseg_key_type type, bool encoded, const char **legacy_key, const char **id)
{
    char *value = item + strcspn(item, "=");

    if (*value != '\0')
        *value++ = '\0';
    if (encoded && (!decode(item) || !decode(value)))
        return false;
    if (strcmp(item, "legacyKey") == 0) {
        *legacy_key = value;
        return true;
    }
    if (type != MAPSEG_KEY_MEMFD || strcmp(item, "id") != 0 || !is_id(value))
        return false;
    for (char *c = value; *c != '\0'; c++)
        *c = lower(*c);
    *id = value;
    return true;
}

/** Takes the query apart, in place. False: it holds what no key has. */
static bool
parse_query(char *query, mapseg_key_type type, const char **legacy_key, const char **id)
{
    const bool encoded = is_encoded(query);

    while (*query != '\0') {
        char *next = query + strcspn(query, "&");

        if (*next != '\0')
            *next++ = '\0';
        if (!parse_item(query, type, encoded, legacy_key, id))
            return false;
        query = next;
    }
    return true;
}

/** Skips an authority whose user, host and port are empty. NULL: there is one that has
 *  something. */
static char *
skip_authority(char *rest)
{
    if (rest[0] != '/' || rest[1] != '/')
        return rest;
    rest += 2;
    if (*rest == '@')
        rest++;
    if (*rest == ':')
        rest++;
    return *rest == '/' || *rest == '\0' ? rest : NULL;
}

/** Parses `text`, which it changes. NULL: no memory, or no key, as *valid
 *  says. */
static mapseg_ipc_key *
parse(char *text, bool *valid)
{
    char *rest = strchr(text, ':');
    const char *legacy_key = "";
    const char *id = "";
    mapseg_key_type type;
    char *query;

    *valid = false;
    if (rest == NULL)
        return NULL;
    *rest++ = '\0';
    for (char *c = text; *c != '\0'; c++)
        *c = lower(*c);
    type = type_of_scheme(text);
    if (type == MAPSEG_KEY_INVALID)
        return NULL;
    rest[strcspn(rest, "#")] = '\0';
    query = strchr(rest, '?');
    if (query != NULL)
        *query++ = '\0';
    rest = skip_authority(rest);
    if (rest == NULL || (is_encoded(rest) && !decode(rest)))
        return NULL;
    if (query != NULL && !parse_query(query, type, &legacy_key, &id))
        return NULL;
    *valid = true;
    return msi_key_new(type, rest, legacy_key, id);
}

mapseg_ipc_key *
mapseg_ipc_key_from_text(const char *text)
{
    char *copy = msi_copy_string(text == NULL ? "" : text);
    mapseg_ipc_key *key;
    bool valid;

    if (copy == NULL)
        return NULL;
    key = parse(copy, &valid);
    free(copy);
    return valid ? key : msi_key_new(MAPSEG_KEY_INVALID, "", "", "");
}

bool
msi_is_private_name(const char *name)
{
    const size_t mark = strlen(MSI_PRIVATE_MARK);
    size_t length = strlen(name);
    const char *end;

    if (length < mark + MSI_PRIVATE_DIGITS)
        return false;
    end = name + length - MSI_PRIVATE_DIGITS;
    for (size_t i = 0; i < MSI_PRIVATE_DIGITS; i++)
        if (hexadecimal_value(end[i]) < 0)
            return false;
    return strncmp(end - mark, MSI_PRIVATE_MARK, mark) == 0;
}

bool
msi_is_semaphore_name(const char *name)
{
    return strncmp(name, "sem.", 4) == 0;
}

mapseg_result
msi_semaphore_name_failed(struct msi_failure *failure)
{
    return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                      "its name begins with \"sem.\", as the file of a POSIX semaphore does, "
                      "which it would be taken for; use another name");
}

bool
msi_key_is_private(const mapseg_ipc_key *key)
{
    const char *last = strrchr(key->name, '/');

    return msi_is_private_name(last == NULL ? key->name : last + 1);
}

/* ------------------------------------------------------------ questions -- */

mapseg_key_type
mapseg_ipc_key_type(const mapseg_ipc_key *key)
{
    return key->type;
}

const char *
mapseg_ipc_key_name(const mapseg_ipc_key *key)
{
    return key->name;
}

const char *
mapseg_ipc_key_legacy_key(const mapseg_ipc_key *key)
{
    return key->legacy_key;
}

const char *
mapseg_ipc_key_id(const mapseg_ipc_key *key)
{
    return key->id;
}

const char *
mapseg_ipc_key_text(const mapseg_ipc_key *key)
{
    return key->text;
}

bool
msi_key_is_empty(const mapseg_ipc_key *key)
{
    return key->name[0] == '\0';
}

bool
mapseg_ipc_key_equal(const mapseg_ipc_key *a, const mapseg_ipc_key *b)
{
    return a->type == b->type && strcmp(a->name, b->name) == 0 &&
           strcmp(a->legacy_key, b->legacy_key) == 0 && strcmp(a->id, b->id) == 0;
}

bool
msi_key_is_nameless(const mapseg_ipc_key *key)
{
    return key != NULL && key->type == MAPSEG_KEY_MEMFD && key->name[0] == '\0';
}

int
msi_key_memfd_number(const mapseg_ipc_key *key)
{
    const char *digits = key->name;
    int64_t number = 0;

    if (key->type != MAPSEG_KEY_MEMFD || *digits == '\0' || strlen(digits) > 10)
        return -1;
    for (; is_digit(*digits); digits++)
        number = number * 10 + (*digits - '0');
    return *digits != '\0' || number > INT_MAX ? -1 : (int)number;
}

static mapseg_result
check_plain_name(const char *name, struct msi_failure *failure)
{
    if (strchr(name, '/') != NULL)
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its name must not contain a slash; use file: for a path");
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its name must not be \".\" or \"..\"; use another name");
    if (strlen(name) > NAME_MAX)
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its name is longer than the %d bytes that a file name can have; use "
                          "a shorter one",
                          NAME_MAX);
    return MAPSEG_OK;
}

static mapseg_result
check_path(const char *path, struct msi_failure *failure)
{
    const char *last = strrchr(path, '/');

    if (path[0] != '/')
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its path is not absolute; begin it with a slash");
    if (strlen(path) >= PATH_MAX)
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its path is longer than the %d bytes that a path can have; use a "
                          "shorter one",
                          PATH_MAX - 1);
    if (last[1] == '\0')
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its path ends with a slash; end it with a file's name");
    return check_plain_name(last + 1, failure);
}

/** The names of POSIX segments may have a slash before them, and their semaphores' names, which
 *  begin otherwise, must fit too. */
static mapseg_result
check_posix_name(const char *name, struct msi_failure *failure)
{
    const char *last = name + strspn(name, "/");

    if (*last == '\0')
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "there is nothing behind the slash; put a name there");
    if (strlen(last) + strlen(MSI_SEMAPHORE_MARK) > NAME_MAX)
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "its name is longer than the %d bytes that a POSIX segment with a "
                          "semaphore can have; use a shorter one",
                          NAME_MAX - (int)strlen(MSI_SEMAPHORE_MARK));
    if (strncmp(last, MSI_SEMAPHORE_MARK, strlen(MSI_SEMAPHORE_MARK)) == 0)
        return msi_failed(
            failure, MAPSEG_KEY_ERROR, 0,
            "its name begins with \"sem.\", as those of semaphores do; use another name");
    return check_plain_name(last, failure);
}

mapseg_result
msi_key_check(const mapseg_ipc_key *key, struct msi_failure *failure)
{
    if (key->type == MAPSEG_KEY_INVALID)
        return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                          "it is not a well-formed native key; give a known type (shm, runtime, "
                          "file, memfd), a colon and a name, without host, NUL or unknown query");
    if (key->name[0] == '\0')
        return MAPSEG_OK;
    switch (key->type) {
    case MAPSEG_KEY_SHM:
        if (msi_is_semaphore_name(key->name))
            return msi_semaphore_name_failed(failure);
        return check_plain_name(key->name, failure);
    case MAPSEG_KEY_RUNTIME:
        return check_plain_name(key->name, failure);
    case MAPSEG_KEY_POSIX:
        return check_posix_name(key->name, failure);
    case MAPSEG_KEY_FILE:
    case MAPSEG_KEY_RAW:
        return check_path(key->name, failure);
    case MAPSEG_KEY_MEMFD:
        if (msi_key_memfd_number(key) < 0)
            return msi_failed(failure, MAPSEG_KEY_ERROR, 0,
                              "its name is no descriptor's number; give digits alone");
        return MAPSEG_OK;
    default:
        return MAPSEG_OK;
    }
}
