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
    if (form == MSI_PRINTABLE_TEXT && text[0] == '\\' && text[1] == 'x')
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
    const char *mark = form == MSI_PRINTABLE_KEY ? "%" : "\\x";
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
