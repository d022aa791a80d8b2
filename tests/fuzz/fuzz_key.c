/*
 * fuzz_key.c - keys: any text is parsed, compared and written, and given to a
 * handle as a plain and as a native key and by the environment.
 *
 * Input: one byte that chooses a type, then the text.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"
#include "mapseg-spawn.h"

#include <stdlib.h>
#include <string.h>

/* The environment holds this very array. */
#define VARIABLE "MAPSEG_KEY="
static char variable[sizeof VARIABLE + INPUT_BYTES] = VARIABLE;

const char *
fuzz_objection(void)
{
    /* So that deriving makes no directory. */
    return putenv(variable) == 0 && setenv("TMPDIR", "/dev/null", 1) == 0 &&
                   unsetenv("XDG_RUNTIME_DIR") == 0
               ? NULL
               : "there is no room in the environment";
}

/* ------------------------------------------------------------------ seeds -- */

static const char *const texts[] = {
    "shm:name",
    "SHM:Name.of-a_segment",
    "runtime:name",
    "file:/a/b",
    "file:///a/b",
    "file://host/a",
    "file:////a",
    "file:/%2Fa/b",
    "file:relative",
    "file:/a/",
    "shm:a/b",
    "shm:.",
    "shm:..",
    "shm:.mapseg-0123456789abcdef",
    "memfd:",
    "memfd:5",
    "memfd:2147483647",
    "memfd:2147483648",
    "memfd:0000000005",
    "memfd:-1",
    "memfd:5?id=00112233445566778899aabbccddeeff",
    "memfd:5?id=00112233445566778899AABBCCDDEEFF&legacyKey=x",
    "memfd:5?legacyKey=x%26y%3dz&id=00112233445566778899aabbccddeeff",
    "shm:a?id=00112233445566778899aabbccddeeff",
    "systemv:name",
    "systemv-1:name",
    "systemv-255:name",
    "systemv-256:name",
    "systemv-01:name",
    "systemv-81:/tmp/qipc_sharedmemory_x",
    "posix:/name",
    "windows:Local\\name",
    "raw:/a/b",
    "shm:%25%23%3F%0a%7F",
    "shm:%00",
    "shm:a%0",
    "shm:a%",
    "shm:a%zz%4",
    "shm:a#fragment?x",
    "shm:a?",
    "shm:a?legacyKey=",
    "shm:a?legacyKey=b#c",
    "shm:a?legacyKey=b&legacyKey=c",
    "shm:a?other=1",
    "shm:sem.a",
    "shm:%41%zz?legacyKey=%42%",
    "posix://@:/x?legacyKey&legacyKey=a&",
    "shm:\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
    "shm:\xff\xfe\x80",
    "\n\t\x7f\x01",
    ":",
    "plain key with spaces / and : more",
};

/** A name as long as names can be, and one byte more or less. */
static size_t
long_name(size_t more, uint8_t seed[INPUT_BYTES])
{
    static const char begin[] = "?shm:";
    size_t bytes = sizeof begin - 1 + 254 + more;

    memset(seed, 'n', bytes);
    memcpy(seed, begin, sizeof begin - 1);
    return bytes;
}

size_t
fuzz_seed(size_t number, uint8_t seed[INPUT_BYTES])
{
    const size_t count = sizeof texts / sizeof *texts;

    if (number >= count)
        return number < count + 3 ? long_name(number - count, seed) : 0;
    seed[0] = (uint8_t)number;
    memcpy(seed + 1, texts[number], strlen(texts[number]));
    return 1 + strlen(texts[number]);
}

/* ------------------------------------------------------------------- keys -- */

static const mapseg_key_type types[] = {
    MAPSEG_KEY_SHM,         MAPSEG_KEY_RUNTIME, MAPSEG_KEY_FILE,       MAPSEG_KEY_MEMFD,
    MAPSEG_KEY_RAW,         MAPSEG_KEY_POSIX,   MAPSEG_KEY_SYSTEMV,    MAPSEG_KEY_WINDOWS,
    MAPSEG_KEY_INVALID,     (mapseg_key_type)1, (mapseg_key_type)0xff, (mapseg_key_type)0x205,
    (mapseg_key_type)0x102,
};

/** Valid, and without a text. */
static const mapseg_key_type nameless = (mapseg_key_type)0x102;

/** The text form of a valid key is one line, and leads back to an equal key. */
static void
check_text(const mapseg_ipc_key *key)
{
    const char *text = mapseg_ipc_key_text(key);
    mapseg_ipc_key *again;

    if (mapseg_ipc_key_type(key) == MAPSEG_KEY_INVALID || mapseg_ipc_key_type(key) == nameless) {
        claim(text == NULL);
        return;
    }
    claim(is_line(text));
    again = mapseg_ipc_key_from_text(text);
    claim(again != NULL && mapseg_ipc_key_equal(key, again));
    claim(strcmp(mapseg_ipc_key_text(again), text) == 0);
    mapseg_ipc_key_free(again);
}

/** What a name can be that is a file's or a descriptor's. */
static bool
is_usable(const mapseg_ipc_key *key)
{
    const char *name = mapseg_ipc_key_name(key);

    switch (mapseg_ipc_key_type(key)) {
    case MAPSEG_KEY_SHM:
    case MAPSEG_KEY_RUNTIME:
        if (mapseg_ipc_key_type(key) == MAPSEG_KEY_SHM && strncmp(name, "sem.", 4) == 0)
            return false;
        return strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
               strlen(name) <= 255;
    case MAPSEG_KEY_FILE:
        return *name == '\0' || (*name == '/' && name[strlen(name) - 1] != '/');
    case MAPSEG_KEY_MEMFD:
        return strspn(name, "0123456789") == strlen(name);
    default:
        return mapseg_ipc_key_type(key) != MAPSEG_KEY_INVALID;
    }
}

/** Whether so many bytes hold a "%00", and no '%' that begins no code: one of these makes
 *  all others stand for themselves. */
static bool
part_has_nul(const char *part, size_t bytes)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    bool nul = false;

    for (size_t i = 0; i < bytes; i++) {
        if (part[i] != '%')
            continue;
        if (bytes - i < 3 || strchr(digits, part[i + 1]) == NULL ||
            strchr(digits, part[i + 2]) == NULL)
            return false;
        nul = nul || strncmp(part + i, "%00", 3) == 0;
    }
    return nul;
}

/** Whether the text encodes a NUL, which would end the name or the legacy key; behind a '#' it
 *  does not matter. */
static bool
has_nul(const char *text)
{
    size_t bytes = strcspn(text, "#");
    size_t name = strcspn(text, "#?");

    return part_has_nul(text, name) || part_has_nul(text + name, bytes - name);
}

/** The keys of a legacy key carry it, and are of the type, if Qt has it. */
static void
check_legacy(mapseg_key_type type, const char *legacy_key)
{
    mapseg_ipc_key *segment = mapseg_ipc_key_legacy(legacy_key, type);
    mapseg_ipc_key *semaphore = mapseg_ipc_key_legacy_semaphore(legacy_key, type);
    const bool is_qt = type != MAPSEG_KEY_INVALID && (int)type <= 0x1ff;

    claim(segment != NULL && semaphore != NULL);
    claim(mapseg_ipc_key_type(segment) == (is_qt ? type : MAPSEG_KEY_INVALID));
    claim(strcmp(mapseg_ipc_key_legacy_key(segment), is_qt ? legacy_key : "") == 0);
    claim(mapseg_ipc_key_equal(segment, semaphore) == (!is_qt || *legacy_key == '\0'));
    check_text(segment);
    check_text(semaphore);
    mapseg_ipc_key_free(segment);
    mapseg_ipc_key_free(semaphore);
}

/** A key with that name has that name, whatever is in it. */
static void
check_new(mapseg_key_type type, const char *name)
{
    mapseg_ipc_key *key = mapseg_ipc_key_new(type, name);

    claim(key != NULL && strcmp(mapseg_ipc_key_name(key), name) == 0);
    claim(*mapseg_ipc_key_legacy_key(key) == '\0' && *mapseg_ipc_key_id(key) == '\0');
    claim(mapseg_ipc_key_type(key) == MAPSEG_KEY_INVALID || mapseg_ipc_key_type(key) == type);
    check_text(key);
    mapseg_ipc_key_free(key);
}

/** Whether the name is the plain key behind a directory, or nothing, and a slash. */
static bool
is_derived_by_qt(mapseg_key_type type)
{
    return type != MAPSEG_KEY_INVALID && (int)type <= 0x1ff && type != MAPSEG_KEY_WINDOWS;
}

/** What a plain key leads to is a file name, the same each time. */
static void
check_derived(mapseg_key_type type, const char *plain_key)
{
    mapseg_ipc_key *key = mapseg_ipc_key_derive(plain_key, type);
    mapseg_ipc_key *again = mapseg_ipc_key_derive(plain_key, type);
    const char *name;

    claim(key != NULL && again != NULL && mapseg_ipc_key_equal(key, again));
    name = mapseg_ipc_key_name(key);
    if ((type == MAPSEG_KEY_SHM || type == MAPSEG_KEY_RUNTIME) && *plain_key != '\0')
        claim(strncmp(name, "mapseg-", 7) == 0 && strlen(name) <= 255 &&
              strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
                  strlen(name));
    else if (*plain_key != '\0' && *plain_key != '/' && is_derived_by_qt(type))
        claim(strlen(name) > strlen(plain_key) &&
              strcmp(name + strlen(name) - strlen(plain_key), plain_key) == 0);
    else if (type != MAPSEG_KEY_POSIX || *plain_key == '\0')
        claim(strcmp(name, plain_key) == 0);
    check_text(key);
    mapseg_ipc_key_free(key);
    mapseg_ipc_key_free(again);
}

/* ---------------------------------------------------------------- handles -- */

static void
check_plain(const char *text)
{
    mapseg *seg = mapseg_new_with_key(text);

    claim(seg != NULL && mapseg_error(seg) == MAPSEG_OK);
    if (*text == '\0')
        claim(mapseg_key(seg) == NULL && mapseg_native_key(seg) == NULL);
    else
        claim(strcmp(mapseg_key(seg), text) == 0 &&
              strncmp(mapseg_native_key(seg), "shm:mapseg-", 11) == 0);
    mapseg_free(seg);
}

/** A native key is taken with its parts, or refused with the old one kept. */
static void
check_native(const char *text, const mapseg_ipc_key *parsed)
{
    mapseg *seg = mapseg_new_with_key("before");
    char *before = strdup(mapseg_native_key(seg));
    mapseg_result result = mapseg_set_native_key(seg, text);

    claim(result == MAPSEG_OK || result == MAPSEG_KEY_ERROR);
    claim_of(seg, result == mapseg_error(seg) && says_why(seg, result));
    if (result != MAPSEG_OK) {
        claim(strcmp(mapseg_key(seg), "before") == 0);
        claim(strcmp(mapseg_native_key(seg), before) == 0);
    } else {
        claim(mapseg_key(seg) == NULL && (*text == '\0' || is_usable(parsed)));
        claim(*text == '\0' ? mapseg_native_key(seg) == NULL
                            : strcmp(mapseg_native_key(seg), mapseg_ipc_key_text(parsed)) == 0);
    }
    claim(!mapseg_is_attached(seg));
    free(before);
    mapseg_free(seg);
}

/** The environment's key is as good as one that is set. */
static void
check_environment(const char *text)
{
    mapseg *seg = mapseg_new();
    mapseg *child;

    memcpy(variable + sizeof VARIABLE - 1, text, strlen(text) + 1);
    child = mapseg_new_from_environment();
    claim(seg != NULL && child != NULL);
    if (mapseg_set_native_key(seg, text) == MAPSEG_OK && *text != '\0')
        claim(mapseg_error(child) == MAPSEG_OK &&
              strcmp(mapseg_native_key(seg), mapseg_native_key(child)) == 0);
    else
        claim(mapseg_native_key(child) == NULL && is_line(mapseg_error_string(child)) &&
              (mapseg_error(child) == MAPSEG_KEY_ERROR || mapseg_error(child) == MAPSEG_NOT_FOUND));
    mapseg_free(seg);
    mapseg_free(child);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    mapseg_key_type type = types[bytes == 0 ? 0 : data[0] % (sizeof types / sizeof *types)];
    char *text = malloc(bytes == 0 ? 1 : bytes);
    mapseg_ipc_key *parsed;

    if (text == NULL || bytes > INPUT_BYTES) {
        free(text);
        return 0;
    }
    if (bytes > 1)
        memcpy(text, data + 1, bytes - 1);
    text[bytes == 0 ? 0 : bytes - 1] = '\0';
    parsed = mapseg_ipc_key_from_text(text);
    claim(parsed != NULL);
    check_text(parsed);
    claim(mapseg_ipc_key_type(parsed) == MAPSEG_KEY_INVALID || !has_nul(text));
    check_new(type, text);
    check_derived(type, text);
    check_legacy(type, text);
    check_plain(text);
    check_native(text, parsed);
    check_environment(text);
    mapseg_ipc_key_free(parsed);
    free(text);
    return 0;
}
