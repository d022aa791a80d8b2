/*
 * columns.h - what ls and show print of a segment, for tables and JSON.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_TOOL_COLUMNS_H
#define MAPSEG_TOOL_COLUMNS_H

#include <mapseg.h>

#include <stdbool.h>
#include <stddef.h>

/** How a table is to look. */
struct table_style {
    bool json;
    bool raw;
    bool no_headings;
    bool bytes; /**< sizes as plain numbers */
};

/** The columns: those of ls in its order, then those that it prints when it is asked for them,
 *  then those that only show has. */
enum column {
    COLUMN_KEY,
    COLUMN_LABEL,
    COLUMN_TYPE,
    COLUMN_SIZE,
    COLUMN_ATTACHED,
    COLUMN_LOCK,
    COLUMN_STATE,
    COLUMN_MODE,
    COLUMN_OWNER,
    COLUMN_CREATED,
    COLUMN_PATH,
    DEFAULT_COLUMNS,
    COLUMN_CONTENDED = DEFAULT_COLUMNS,
    COLUMN_SLEPT,
    COLUMN_LONGEST_WAIT_NS,
    COLUMN_RECOVERIES,
    COLUMN_ATTACHED_WRITERS,
    LISTED_COLUMNS,
    COLUMN_FILE_SYSTEM = LISTED_COLUMNS,
    COLUMN_VERDICT,
    COLUMN_REASON,
    COLUMN_FORMAT,
    COLUMN_ID,
    COLUMN_TAG,
    COLUMN_PERSISTENT,
    COLUMN_FAIR,
    COLUMN_DATA_OFFSET,
    COLUMN_SEQUENCE,
    COLUMN_INCONSISTENT,
    COLUMN_SLEEPERS,
    COLUMN_LOCK_SLOT,
    COLUMN_LOCK_PID,
    COLUMN_LOCK_TID,
    COLUMN_READERS,
    COLUMN_FILE_SIZE,
    COLUMN_FILE_BYTES,
    COLUMN_UID,
    COLUMN_GID,
    COLUMN_LINKS,
    COLUMN_SEALS,
    COLUMN_CAN_SHRINK,
    COLUMN_WRITERS,
    COLUMN_SAFETY,
    COLUMN_ATTACHED_IS_MINIMUM,
    COLUMN_COUNT
};

/** The column of ls of that name, in any case; COLUMN_COUNT: there is none. */
enum column find_column(const char *name, size_t name_bytes);
const char *column_name(enum column column);

struct libscols_table;

/** A table with these columns; NULL: no memory. The caller gives it to
 *  scols_unref_table. */
struct libscols_table *new_table(const struct table_style *style, const enum column *columns,
                                 size_t count);

/** Adds a segment's line to a table with the same columns. False: no memory. */
bool add_line(struct libscols_table *table, const struct table_style *style,
              const enum column *columns, size_t count, const mapseg_info *information);

#endif
