/*
 * printable.h - text from outside, made harmless to print.
 *
 * A pure function of its arguments; the command is built with it too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_PRINTABLE_H
#define MAPSEG_PRINTABLE_H

#include <stddef.h>

/** How the bytes that are not shown are written. */
enum msi_printable_form {
    /** Of a native key's text: %1B, so that it is the text of the same key. */
    MSI_PRINTABLE_KEY,
    /** Of any other text: \x1B. The backslash of a "\x" in the text is \x5C, so that
     *  different texts never look alike. */
    MSI_PRINTABLE_TEXT,
    /** The same two, to stand in quotes: a quote is %22 or \x22. */
    MSI_PRINTABLE_QUOTED_KEY,
    MSI_PRINTABLE_QUOTED_TEXT,
    /** Of a sentence that may quote such texts: \x1B, and backslashes stay. */
    MSI_PRINTABLE_SENTENCE
};

/**
 * Writes *from to `to`, which has room for `room` bytes (at least 1), with a NUL
 * behind it; what does not fit is left out, never half a character. Control
 * characters, separators of lines, characters that turn the direction of writing
 * or cannot be seen, and bytes that are no UTF-8 are written as digits. What comes
 * out is UTF-8. Returns how many bytes were written; *from is left where it ended.
 */
size_t msi_printable(char *to, size_t room, const char **from, enum msi_printable_form form);

/** The same, with "..." behind what did not fit. `room` is 4 at least. */
size_t msi_printable_cut(char *to, size_t room, const char *from, enum msi_printable_form form);

/** How many of the first bytes of the text, `most` at most, are whole characters of UTF-8. */
size_t msi_whole_characters(const char *text, size_t most);

/** Room for what msi_printable_key writes. */
#define MSI_PRINTABLE_KEY_BYTES 320

/** Writes a segment's key as all messages have it: in quotes, within which there are none;
 *  of a segment with a plain key that one, and the native key in parentheses. One of the two
 *  may be NULL: there is none. */
void msi_printable_key(char to[MSI_PRINTABLE_KEY_BYTES], const char *plain, const char *native);

#endif
