/*
 * derive.c - the native keys that plain keys lead to: mapseg's own, and Qt's of today and of old.
 *
 * SPDX-License-Identifier: MIT
 */
#include "key.h"
#include "os/os.h"
#include "sha1.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

/** What a readable part of a derived name keeps of the key. */
#define SLUG_BYTES 32

static bool
is_letter(char c)
{
    /* Not isalpha(): keys do not depend on the locale. */
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/** The file name of a plain key: readable, and unique for key and user. */
static char *
derived_name(const char *plain_key)
{
    char user[16];
    char slug[SLUG_BYTES + 1];
    XXH3_state_t *state = XXH3_createState();
    XXH128_canonical_t hash;
    char digits[33];
    char *name = malloc(sizeof "mapseg--" + SLUG_BYTES + 32);
    size_t length = strlen(plain_key);

    if (state == NULL || name == NULL) {
        XXH3_freeState(state);
        free(name);
        return NULL;
    }
    snprintf(user, sizeof user, "%u:", (unsigned)msi_os.user_id());
    XXH3_128bits_reset(state);
    XXH3_128bits_update(state, user, strlen(user));
    XXH3_128bits_update(state, plain_key, length);
    XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(state));
    XXH3_freeState(state);
    msi_hexadecimal(hash.digest, digits);

    length = length > SLUG_BYTES ? SLUG_BYTES : length;
    for (size_t i = 0; i < length; i++) {
        char c = plain_key[i];

        slug[i] = is_letter(c) || (c >= '0' && c <= '9') || strchr("._-", c) != NULL ? c : '_';
    }
    slug[length] = '\0';
    snprintf(name, sizeof "mapseg--" + SLUG_BYTES + 32, "mapseg-%s-%s", slug, digits);
    return name;
}

/* ------------------------------------------------------------ Qt's names -- */

/** Whether Qt derives names of the type as for System V: it does so for all of its values
 *  that mean nothing else. */
static bool
is_system_v_to_qt(mapseg_key_type type)
{
    return msi_key_type_is_qt(type) && type != MAPSEG_KEY_POSIX && type != MAPSEG_KEY_WINDOWS;
}

/** Three strings in one, which the caller frees. NULL: no memory. */
static char *
join(const char *first, const char *second, const char *third)
{
    size_t bytes = strlen(first) + strlen(second) + strlen(third) + 1;
    char *text = malloc(bytes);

    if (text != NULL)
        snprintf(text, bytes, "%s%s%s", first, second, third);
    return text;
}

/** Whether Qt takes a directory as the runtime directory: it can be made, or is one that
 *  belongs to this user alone. */
static bool
serves_as_runtime_directory(const char *path)
{
    struct stat status;
    int error = msi_os.make_directory(-1, path, 0700);

    if (error != -EEXIST)
        return error == 0;
    return msi_os.status_of_name(-1, path, &status) == 0 && S_ISDIR(status.st_mode) &&
           status.st_uid == msi_os.user_id() && (status.st_mode & 0777) == 0700;
}

/** The key in the runtime directory as Qt finds it: $XDG_RUNTIME_DIR, else "runtime-" and the
 *  user's name among the temporary files, else "". */
static char *
system_v_name(const char *plain_key)
{
    const char *directory = msi_os.runtime_directory();
    char temporary[PATH_MAX];
    char user[NAME_MAX];
    char *own;
    char *name;

    if (*plain_key == '/')
        return msi_copy_string(plain_key);
    if (directory != NULL && *directory == '/' && serves_as_runtime_directory(directory))
        return join(directory, "/", plain_key);
    msi_os.temporary_directory(temporary, sizeof temporary);
    msi_os.user_name(msi_os.user_id(), user, sizeof user);
    own = join(temporary, "/runtime-", user);
    if (own == NULL)
        return NULL;
    name = join(serves_as_runtime_directory(own) ? own : "", "/", plain_key);
    free(own);
    return name;
}

mapseg_ipc_key *
mapseg_ipc_key_derive(const char *plain_key, mapseg_key_type type)
{
    mapseg_ipc_key *key;
    char *name;

    if (plain_key == NULL || *plain_key == '\0')
        return mapseg_ipc_key_new(type, "");
    if (type == MAPSEG_KEY_SHM || type == MAPSEG_KEY_RUNTIME)
        name = derived_name(plain_key);
    else if (type == MAPSEG_KEY_POSIX)
        name = join("/", plain_key, "");
    else if (is_system_v_to_qt(type))
        name = system_v_name(plain_key);
    else
        name = msi_copy_string(plain_key);
    if (name == NULL)
        return NULL;
    key = mapseg_ipc_key_new(type, name);
    free(name);
    return key;
}

/** What Qt 4.4 to 6.5 call the thing behind a key: a prefix, of the key the letters of
 *  ASCII, and its SHA-1. The caller frees it. NULL: no memory. */
static char *
legacy_file_name(const char *prefix, const char *legacy_key)
{
    const size_t bytes = strlen(legacy_key);
    uint8_t digest[MSI_SHA1_BYTES];
    char *name = malloc(strlen(prefix) + bytes + sizeof digest * 2 + 1);
    char *end = name;

    if (name == NULL)
        return NULL;
    for (const char *c = prefix; *c != '\0'; c++)
        *end++ = *c;
    for (const char *c = legacy_key; *c != '\0'; c++)
        if (is_letter(*c))
            *end++ = *c;
    msi_sha1(legacy_key, bytes, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        end += snprintf(end, 3, "%02x", digest[i]);
    return name;
}

/** The key that such a name makes with a type. */
static mapseg_ipc_key *
legacy_key_of(const char *prefix, const char *legacy_key, mapseg_key_type type)
{
    char directory[PATH_MAX] = "";
    mapseg_ipc_key *key = NULL;
    char *file_name;
    char *name;

    if (!msi_key_type_is_qt(type))
        return mapseg_ipc_key_new(MAPSEG_KEY_INVALID, "");
    if (legacy_key == NULL || *legacy_key == '\0')
        return mapseg_ipc_key_new(type, "");
    file_name = legacy_file_name(prefix, legacy_key);
    if (file_name == NULL)
        return NULL;
    if (is_system_v_to_qt(type))
        msi_os.temporary_directory(directory, sizeof directory);
    name = join(directory, type == MAPSEG_KEY_WINDOWS ? "" : "/", file_name);
    if (name != NULL)
        key = msi_key_new(type, name, legacy_key, "");
    free(name);
    free(file_name);
    return key;
}

mapseg_ipc_key *
mapseg_ipc_key_legacy(const char *legacy_key, mapseg_key_type type)
{
    return legacy_key_of("qipc_sharedmemory_", legacy_key, type);
}

mapseg_ipc_key *
mapseg_ipc_key_legacy_semaphore(const char *legacy_key, mapseg_key_type type)
{
    return legacy_key_of("qipc_systemsem_", legacy_key, type);
}
