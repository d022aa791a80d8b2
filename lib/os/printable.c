/*
 * printable.c - text from outside, made harmless to print.
 *
 * SPDX-License-Identifier: MIT
 */
#include "printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/** What must not reach a terminal or a line of text as it is: a terminal obeys
 *  it, or people do not see what is there. */
static const struct {
    uint32_t first;
    uint32_t last;
} hidden[] = {
    {0x0000, 0x001f}, /* C0 */
    {0x007f, 0x009f}, /* DEL and C1 */
    {0x061c, 0x061c}, /* a mark of direction */
    {0x200b, 0x200b}, /* a space without width */
    {0x200e, 0x200f}, /* marks of direction */
    {0x2028, 0x202e}, /* ends of lines and paragraphs; embedding, overriding */
    {0x2060, 0x206f}, /* invisible operators; isolating */
    {0xfeff, 0xfeff}, /* the byte order mark */
};

static bool
is_hidden(uint32_t character)
{
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (character >= hidden[i].first && character <= hidden[i].last)
            return true;
    return false;
}

/** Reads one character of UTF-8. Returns its bytes; 0: it is none. */
static size_t
read_character(const unsigned char *text, uint32_t *character)
{
    /* The least character of each length; below it the form is overlong. */
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = text[0];
    size_t bytes = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    if (bytes == 0 || first >= 0xf8)
        return 0;
    *character = bytes == 1 ? first : first & (0x7fU >> bytes);
    /* The NUL at the end is no continuation, so nothing behind it is read. */
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        *character = *character << 6 | (text[i] & 0x3fU);
    }
    if (*character < least[bytes] || *character > 0x10ffff ||
        (*character >= 0xd800 && *character <= 0xdfff))
        return 0;
    return bytes;
}

/** How many bytes at `text` are shown as they are, one character's; 0: the first
 *  is written as digits. */
static size_t
shown_bytes(const char *text, enum msi_printable_form form)
{
    uint32_t character;
    size_t bytes = read_character((const unsigned char *)text, &character);

    if (bytes == 0 || is_hidden(character))
        return 0;
    if (text[0] == '"' && (form == MSI_PRINTABLE_QUOTED_KEY || form == MSI_PRINTABLE_QUOTED_TEXT))
        return 0;
    if (text[0] == '\\' && text[1] == 'x' &&
        (form == MSI_PRINTABLE_TEXT || form == MSI_PRINTABLE_QUOTED_TEXT))
        return 0;
    return bytes;
}

/** Writes a byte as digits; returns the end. */
static char *
write_digits(char *to, unsigned char byte, const char *mark)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t length = strlen(mark);

    to = (char *)memcpy(to, mark, length) + length;
    *to++ = digits[byte >> 4];
    *to++ = digits[byte & 15];
    return to;
}

size_t
msi_printable(char *to, size_t room, const char **from, enum msi_printable_form form)
{
    const char *mark = form == MSI_PRINTABLE_KEY || form == MSI_PRINTABLE_QUOTED_KEY ? "%" : "\\x";
    const size_t digits = strlen(mark) + 2;
    const char *begin = to;

    while (**from != '\0') {
        size_t shown = shown_bytes(*from, form);
        size_t needed = shown != 0 ? shown : digits;

        if (needed >= room)
            break;
        if (shown != 0)
            to = (char *)memcpy(to, *from, shown) + shown;
        else
            to = write_digits(to, (unsigned char)**from, mark);
        *from += shown != 0 ? shown : 1;
        room -= needed;
    }
    *to = '\0';
    return (size_t)(to - begin);
}

size_t
msi_printable_cut(char *to, size_t room, const char *from, enum msi_printable_form form)
{
    static const char mark[] = "...";
    size_t length = msi_printable(to, room - strlen(mark), &from, form);

    if (*from == '\0')
        return length;
    memcpy(to + length, mark, sizeof mark);
    return length + strlen(mark);
}

size_t
msi_whole_characters(const char *text, size_t most)
{
    size_t whole = 0;

    while (text[whole] != '\0') {
        uint32_t character;
        size_t bytes = read_character((const unsigned char *)text + whole, &character);

        if (bytes == 0 || bytes > most - whole)
            break;
        whole += bytes;
    }
    return whole;
}

/** Writes a text in quotes, of at most `most` bytes; what does not fit is marked behind
 *  them. Returns the end. */
static char *
write_quoted(char *to, const char *from, size_t most, enum msi_printable_form form)
{
    const char *end;

    *to++ = '"';
    to += msi_printable(to, most + 1, &from, form);
    end = *from == '\0' ? "\"" : "\"...";
    memcpy(to, end, strlen(end) + 1);
    return to + strlen(end);
}

void
msi_printable_key(char to[MSI_PRINTABLE_KEY_BYTES], const char *plain, const char *native)
{
    const size_t most = 200;
    /* Here the beginning will do: the native key tells which it is. */
    const size_t most_of_two = 64;

    if (plain == NULL) {
        (void)write_quoted(to, native, most, MSI_PRINTABLE_QUOTED_KEY);
        return;
    }
    to = write_quoted(to, plain, native == NULL ? most : most_of_two, MSI_PRINTABLE_QUOTED_TEXT);
    if (native == NULL)
        return;
    to = (char *)memcpy(to, " (", 2) + 2;
    to += msi_printable_cut(to, most + sizeof "...", native, MSI_PRINTABLE_KEY);
    memcpy(to, ")", sizeof ")");
}
