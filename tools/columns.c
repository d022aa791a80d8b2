/*
 * columns.c - what ls and show print of a segment, for tables and JSON.
 *
 * SPDX-License-Identifier: MIT
 */
#include "columns.h"
#include "common.h"

#include <inttypes.h>
#include <libsmartcols.h>
#include <mapseg-format.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -------------------------------------------------------------- columns -- */

enum kind { TEXT, NUMBER, SIZE, TRUTH };

static const struct {
    const char *name;
    enum kind kind;
} columns_known[COLUMN_COUNT] = {
    [COLUMN_KEY] = {"KEY", TEXT},
    [COLUMN_LABEL] = {"LABEL", TEXT},
    [COLUMN_TYPE] = {"TYPE", TEXT},
    [COLUMN_SIZE] = {"SIZE", SIZE},
    [COLUMN_ATTACHED] = {"ATTACHED", NUMBER},
    [COLUMN_LOCK] = {"LOCK", TEXT},
    [COLUMN_STATE] = {"STATE", TEXT},
    [COLUMN_MODE] = {"MODE", TEXT},
    [COLUMN_OWNER] = {"OWNER", TEXT},
    [COLUMN_CREATED] = {"CREATED", TEXT},
    [COLUMN_PATH] = {"PATH", TEXT},
    [COLUMN_CONTENDED] = {"CONTENDED", NUMBER},
    [COLUMN_SLEPT] = {"SLEPT", NUMBER},
    [COLUMN_LONGEST_WAIT_NS] = {"LONGEST-WAIT-NS", NUMBER},
    [COLUMN_RECOVERIES] = {"RECOVERIES", NUMBER},
    [COLUMN_ATTACHED_WRITERS] = {"ATTACHED-WRITERS", NUMBER},
    [COLUMN_FILE_SYSTEM] = {"FILE-SYSTEM", TEXT},
    [COLUMN_VERDICT] = {"VERDICT", TEXT},
    [COLUMN_REASON] = {"REASON", TEXT},
    [COLUMN_FORMAT] = {"FORMAT", NUMBER},
    [COLUMN_ID] = {"ID", TEXT},
    [COLUMN_TAG] = {"TAG", NUMBER},
    [COLUMN_PERSISTENT] = {"PERSISTENT", TRUTH},
    [COLUMN_FAIR] = {"FAIR", TRUTH},
    [COLUMN_DATA_OFFSET] = {"DATA-OFFSET", NUMBER},
    [COLUMN_SEQUENCE] = {"SEQUENCE", NUMBER},
    [COLUMN_INCONSISTENT] = {"INCONSISTENT", TRUTH},
    [COLUMN_SLEEPERS] = {"SLEEPERS", TRUTH},
    [COLUMN_LOCK_SLOT] = {"LOCK-SLOT", NUMBER},
    [COLUMN_LOCK_PID] = {"LOCK-PID", NUMBER},
    [COLUMN_LOCK_TID] = {"LOCK-TID", NUMBER},
    [COLUMN_READERS] = {"READERS", NUMBER},
    [COLUMN_FILE_SIZE] = {"FILE-SIZE", NUMBER},
    [COLUMN_FILE_BYTES] = {"FILE-BYTES", NUMBER},
    [COLUMN_UID] = {"UID", NUMBER},
    [COLUMN_GID] = {"GID", NUMBER},
    [COLUMN_LINKS] = {"LINKS", NUMBER},
    [COLUMN_SEALS] = {"SEALS", NUMBER},
    [COLUMN_CAN_SHRINK] = {"CAN-SHRINK", TRUTH},
    [COLUMN_WRITERS] = {"WRITERS", TEXT},
    [COLUMN_SAFETY] = {"SAFETY", TEXT},
    [COLUMN_ATTACHED_IS_MINIMUM] = {"ATTACHED-IS-MINIMUM", TRUTH},
};

enum column
find_column(const char *name, size_t name_bytes)
{
    for (enum column i = 0; i < LISTED_COLUMNS; i++)
        if (strlen(columns_known[i].name) == name_bytes &&
            strncasecmp(columns_known[i].name, name, name_bytes) == 0)
            return i;
    return COLUMN_COUNT;
}

const char *
column_name(enum column column)
{
    return columns_known[column].name;
}

static uint64_t
number_in(enum column column, const mapseg_info *information)
{
    switch ((int)column) {
    case COLUMN_SIZE:
        return information->data_size;
    case COLUMN_ATTACHED:
        return information->attached;
    case COLUMN_FORMAT:
        return information->format;
    case COLUMN_TAG:
        return information->user_tag;
    case COLUMN_DATA_OFFSET:
        return information->data_offset;
    case COLUMN_CONTENDED:
        return information->contended;
    case COLUMN_SLEPT:
        return information->slept;
    case COLUMN_LONGEST_WAIT_NS:
        return information->longest_wait_ns;
    case COLUMN_RECOVERIES:
        return information->recoveries;
    case COLUMN_ATTACHED_WRITERS:
        return information->attached_writers;
    case COLUMN_SEQUENCE:
        return information->version;
    case COLUMN_LOCK_SLOT:
        return information->lock_slot;
    case COLUMN_LOCK_PID:
        return information->lock_pid;
    case COLUMN_LOCK_TID:
        return information->lock_tid;
    case COLUMN_READERS:
        return information->readers;
    case COLUMN_FILE_SIZE:
        return information->file_size;
    case COLUMN_FILE_BYTES:
        return information->file_bytes;
    case COLUMN_UID:
        return information->uid;
    case COLUMN_GID:
        return information->gid;
    case COLUMN_LINKS:
        return information->links;
    default:
        return 0;
    }
}

static bool
truth_in(enum column column, const mapseg_info *information)
{
    switch ((int)column) {
    case COLUMN_PERSISTENT:
        return (information->header_flags & MAPSEG_HEADER_PERSISTENT) != 0;
    case COLUMN_FAIR:
        return (information->header_flags & MAPSEG_HEADER_FAIR) != 0;
    case COLUMN_INCONSISTENT:
        return information->lock_inconsistent;
    case COLUMN_SLEEPERS:
        return information->lock_sleepers;
    case COLUMN_CAN_SHRINK:
        return information->can_shrink;
    case COLUMN_ATTACHED_IS_MINIMUM:
        return information->attached_is_minimum;
    default:
        return false;
    }
}

static char *
identity_text(const uint8_t id[16])
{
    char *text = malloc(33);
    for (size_t i = 0; text && i < 16; i++)
        sprintf(text + 2 * i, "%02x", id[i]);
    return text;
}

static char *
mode_text(uint32_t mode)
{
    char text[16];
    snprintf(text, sizeof text, "%04" PRIo32, mode & 07777);
    return strdup(text);
}

static char *
text_in(enum column column, const mapseg_info *information)
{
    char user[USER_TEXT_BYTES], created[TIME_TEXT_BYTES], words[TRANSLATED_BYTES];
    switch ((int)column) {
    case COLUMN_KEY:
        return strdup(information->native_key);
    case COLUMN_LABEL:
        return strdup(information->label);
    case COLUMN_TYPE:
        return strdup(type_in_words(information->type));
    case COLUMN_LOCK:
        return strdup(lock_in_words(information->lock));
    case COLUMN_STATE:
        return strdup(use_in_words(information->use));
    case COLUMN_MODE:
        /* That of a link means nothing. */
        return is_link(information) ? strdup("") : mode_text(information->mode);
    case COLUMN_OWNER:
        return strdup(user_in_words(information->uid, user));
    case COLUMN_CREATED:
        return strdup(time_in_words(information->created_ns, created));
    case COLUMN_PATH:
        return strdup(information->path);
    case COLUMN_FILE_SYSTEM:
        return strdup(information->file_system);
    case COLUMN_VERDICT:
        return strdup(mapseg_result_name(information->verdict));
    case COLUMN_REASON:
        return strdup(verdict_in_words(information, words));
    case COLUMN_ID:
        return identity_text(information->id);
    case COLUMN_WRITERS:
        return strdup(is_link(information) ? "unknown" : writers_in_words(information->writers));
    case COLUMN_SAFETY:
        return strdup(safety_of(information));
    default:
        return strdup("");
    }
}

/* What may be printed of a text column; the caller frees it. NULL: no memory. */
static char *
printable_in(enum column column, const mapseg_info *information, const struct table_style *style)
{
    char *text = text_in(column, information);
    /* libmapseg has made a label printable. In raw fields libsmartcols writes all bytes that are
     * not ASCII letters and the like as digits; what was written so already would come twice. */
    if (text == NULL || column == COLUMN_LABEL || (style->raw && column != COLUMN_KEY))
        return text;
    char *copy =
        printable_copy(text, column == COLUMN_KEY ? MSI_PRINTABLE_KEY : MSI_PRINTABLE_TEXT);
    free(text);
    return copy;
}

/* What stands in the column; the caller frees it. NULL: no memory. */
static char *
column_text(enum column column, const mapseg_info *information, const struct table_style *style)
{
    enum kind kind = columns_known[column].kind;
    char text[SIZE_TEXT_BYTES];
    if (kind == TEXT)
        return printable_in(column, information, style);
    /* The library makes false and true of them. */
    if (kind == TRUTH)
        return strdup(truth_in(column, information) ? "1" : "0");
    if (column == COLUMN_SEALS)
        snprintf(text, sizeof text, "%" PRId32, information->seals);
    else if (kind == SIZE && !style->bytes)
        size_in_words(number_in(column, information), text);
    else
        snprintf(text, sizeof text, "%" PRIu64, number_in(column, information));
    return strdup(text);
}

/* --------------------------------------------------------------- tables -- */

static int
json_type(enum kind kind, const struct table_style *style)
{
    switch (kind) {
    case NUMBER:
        return SCOLS_JSON_NUMBER;
    case SIZE:
        return style->bytes ? SCOLS_JSON_NUMBER : SCOLS_JSON_STRING;
    case TRUTH:
        return SCOLS_JSON_BOOLEAN;
    case TEXT:
        break;
    }
    return SCOLS_JSON_STRING;
}

static bool
add_column(struct libscols_table *table, const struct table_style *style, enum column column)
{
    enum kind kind = columns_known[column].kind;
    int flags = kind == NUMBER || kind == SIZE ? SCOLS_FL_RIGHT : 0;
    struct libscols_column *added = scols_table_new_column(table, column_name(column), 0, flags);
    /* Nor are the backslashes of what is written as digits digits themselves. */
    return added && scols_column_set_safechars(added, "\\") == 0 &&
           scols_column_set_json_type(added, json_type(kind, style)) == 0;
}

struct libscols_table *
new_table(const struct table_style *style, const enum column *columns, size_t count)
{
    struct libscols_table *table = scols_new_table();
    if (table == NULL)
        return NULL;
    bool good = scols_table_set_name(table, "segments") == 0 &&
                scols_table_enable_json(table, style->json) == 0 &&
                scols_table_enable_raw(table, style->raw) == 0 &&
                scols_table_enable_noheadings(table, style->no_headings) == 0;
    for (size_t i = 0; good && i < count; i++)
        good = add_column(table, style, columns[i]);
    if (good)
        return table;
    scols_unref_table(table);
    return NULL;
}

bool
add_line(struct libscols_table *table, const struct table_style *style, const enum column *columns,
         size_t count, const mapseg_info *information)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    if (line == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        char *text = column_text(columns[i], information, style);
        /* In raw output an empty field would make the next ones change places. */
        if (text != NULL && !*text && style->raw) {
            free(text);
            text = strdup("-");
        }
        if (text == NULL || scols_line_refer_data(line, i, text) != 0) {
            free(text);
            return false;
        }
    }
    return true;
}
