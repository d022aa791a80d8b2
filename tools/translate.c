/*
 * translate.c - what the library tells programs to do, for the user of the command.
 *
 * The library says what happened so that all understand it. What to do, behind the last
 * "; ", may name a flag or a call of the library; nothing else of it does.
 *
 * SPDX-License-Identifier: MIT
 */
#include "translate.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* What the library tells programs to use, and what users of the command have instead: an
 * option, of some subcommands, or a subcommand; the first that is usable. */
static const struct {
    const char *name;
    const char *instead;
} translations[] = {
    {"MAPSEG_ALLOW_OTHER_OWNER", "--allow-other-owner"},
    {"MAPSEG_ALLOW_SHARED_WRITE", "--allow-shared-write"},
    {"MAPSEG_ALLOW_HARD_LINKS", "--allow-hard-links"},
    {"MAPSEG_ALLOW_SHARED_DIRECTORY", "--allow-shared-directory"},
    {"MAPSEG_ALLOW_GROUP", "--allow-group"},
    {"MAPSEG_ALLOW_GROUP", "--group"},
    {"MAPSEG_RECLAIM", "--reclaim"},
    {"MAPSEG_REPLACE", "--replace"},
    {"MAPSEG_READ_ONLY", "mapseg read"},
    {"mapseg_remove", "mapseg rm"},
    {"mapseg_reclaim", "mapseg reclaim"},
    {"mapseg_repair", "mapseg repair"},
};

/* What to do where the library's advice is for programs alone. */
#define OTHER_CURE "use another key"

/* Whether it is a subcommand, or among these options. NULL: all there are. */
static bool
is_usable(const char *instead, const struct option *options)
{
    if (strncmp(instead, "--", 2) != 0 || options == NULL)
        return true;
    for (; options->name; options++)
        if (strcmp(options->name, instead + 2) == 0)
            return true;
    return false;
}

/* How long the name is of a flag or a call of the library that `text` begins with; 0: none. */
static size_t
name_bytes(const char *text)
{
    if (strncmp(text, "MAPSEG_", 7) != 0 && strncmp(text, "mapseg_", 7) != 0)
        return 0;
    return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
}

/* NULL: there is nothing that this subcommand could do. */
static const char *
find_translation(const char *name, size_t bytes, const struct option *options)
{
    for (size_t i = 0; i < sizeof translations / sizeof *translations; i++)
        if (strlen(translations[i].name) == bytes &&
            strncmp(translations[i].name, name, bytes) == 0 &&
            is_usable(translations[i].instead, options))
            return translations[i].instead;
    return NULL;
}

/* False: it names what has no translation, or does not fit. */
static bool
translate_cure(const char *cure, const struct option *options, char *to, size_t room)
{
    while (*cure) {
        size_t bytes = name_bytes(cure);
        const char *part = bytes ? find_translation(cure, bytes, options) : cure;
        size_t length = part && bytes ? strlen(part) : 1;
        if (part == NULL || length >= room)
            return false;
        memcpy(to, part, length);
        to += length;
        room -= length;
        cure += bytes ? bytes : 1;
    }
    *to = '\0';
    return true;
}

/* What to do: behind the last "; ". */
static const char *
find_cure(const char *said)
{
    const char *cure = NULL;
    for (const char *next = said; (next = strstr(next, "; ")); next += 2)
        cure = next + 2;
    return cure;
}

const char *
translate(const char *said, const struct option *options, char to[TRANSLATED_BYTES])
{
    const char *cure = find_cure(said);
    size_t before = cure != NULL ? (size_t)(cure - said) : strlen(said);
    if (before >= TRANSLATED_BYTES - sizeof OTHER_CURE)
        before = TRANSLATED_BYTES - sizeof OTHER_CURE;
    memcpy(to, said, before);
    to[before] = '\0';
    if (cure != NULL && !translate_cure(cure, options, to + before, TRANSLATED_BYTES - before))
        memcpy(to + before, OTHER_CURE, sizeof OTHER_CURE);
    return to;
}
