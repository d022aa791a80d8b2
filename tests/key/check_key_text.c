/*
 * check_key_text.c - the text form of native keys, and keys as values.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <stdbool.h>
#include <string.h>

/* --------------------------------------------------- text that is a key -- */

struct parse_row {
    const char *text;
    mapseg_key_type type;
    const char *name;
    const char *legacy_key;
    const char *canonical; /* NULL: the text itself */
};

static const struct parse_row valid_texts[] = {
    {"shm:a", MAPSEG_KEY_SHM, "a", "", NULL},
    {"runtime:a", MAPSEG_KEY_RUNTIME, "a", "", NULL},
    {"file:/A/B", MAPSEG_KEY_FILE, "/A/B", "", NULL},
    {"memfd:5", MAPSEG_KEY_MEMFD, "5", "", NULL},
    {"memfd:", MAPSEG_KEY_MEMFD, "", "", NULL},
    {"raw:/A/B", MAPSEG_KEY_RAW, "/A/B", "", NULL},
    {"posix:/x", MAPSEG_KEY_POSIX, "/x", "", NULL},
    {"posix:", MAPSEG_KEY_POSIX, "", "", NULL},
    {"windows:x", MAPSEG_KEY_WINDOWS, "x", "", NULL},
    {"systemv:/x", MAPSEG_KEY_SYSTEMV, "/x", "", NULL},
    {"systemv-1:/x", (mapseg_key_type)1, "/x", "", NULL},
    {"systemv-80:/x", (mapseg_key_type)80, "/x", "", NULL},
    {"systemv-82:/x", (mapseg_key_type)82, "/x", "", NULL},
    {"systemv-255:/x", (mapseg_key_type)255, "/x", "", NULL},
    {"systemv-81:/x", MAPSEG_KEY_SYSTEMV, "/x", "", "systemv:/x"},
    /* the scheme knows no case, the name does */
    {"SHM:Name", MAPSEG_KEY_SHM, "Name", "", "shm:Name"},
    {"Posix:/X", MAPSEG_KEY_POSIX, "/X", "", "posix:/X"},
    {"SystemV-7:x", (mapseg_key_type)7, "x", "", "systemv-7:x"},
    /* only the first colon counts */
    {"shm:a:b", MAPSEG_KEY_SHM, "a:b", "", NULL},
    {"shm::", MAPSEG_KEY_SHM, ":", "", NULL},
    /* raw characters */
    {"shm:a b", MAPSEG_KEY_SHM, "a b", "", NULL},
    {"shm: a", MAPSEG_KEY_SHM, " a", "", NULL},
    {"shm:\xc3\xa9\xf0\x9f\x94\x91", MAPSEG_KEY_SHM, "\xc3\xa9\xf0\x9f\x94\x91", "", NULL},
    {"shm:a&b=c;d+e,f!g*h'i(j)k[l]m{n}o|p\\q^r`s\"t<u>v@w$x~", MAPSEG_KEY_SHM,
     "a&b=c;d+e,f!g*h'i(j)k[l]m{n}o|p\\q^r`s\"t<u>v@w$x~", "", NULL},
    /* percent-encoding */
    {"shm:%23%25%3F%7F", MAPSEG_KEY_SHM, "#%?\x7f", "", NULL},
    {"shm:%01%09%0A%1F", MAPSEG_KEY_SHM, "\x01\t\n\x1f", "", NULL},
    {"shm:%0a%1f%7f", MAPSEG_KEY_SHM, "\n\x1f\x7f", "", "shm:%0A%1F%7F"},
    {"shm:%41%62", MAPSEG_KEY_SHM, "Ab", "", "shm:Ab"},
    {"shm:%20", MAPSEG_KEY_SHM, " ", "", "shm: "},
    {"shm:%C3%A9", MAPSEG_KEY_SHM, "\xc3\xa9", "", "shm:\xc3\xa9"},
    {"shm:%2541", MAPSEG_KEY_SHM, "%41", "", NULL},
    /* a bad % makes all of them in its part plain bytes: in the path ... */
    {"posix:%2F%", MAPSEG_KEY_POSIX, "%2F%", "", "posix:%252F%25"},
    {"posix:/a%41%zz", MAPSEG_KEY_POSIX, "/a%41%zz", "", "posix:/a%2541%25zz"},
    {"posix:/%41%4", MAPSEG_KEY_POSIX, "/%41%4", "", "posix:/%2541%254"},
    {"posix:%2F%2Fx%", MAPSEG_KEY_POSIX, "%2F%2Fx%", "", "posix:%252F%252Fx%25"},
    {"posix:%25%", MAPSEG_KEY_POSIX, "%25%", "", "posix:%2525%25"},
    {"posix:%%41", MAPSEG_KEY_POSIX, "%%41", "", "posix:%25%2541"},
    {"posix:%4%41", MAPSEG_KEY_POSIX, "%4%41", "", "posix:%254%2541"},
    {"posix:a%C3%A9%", MAPSEG_KEY_POSIX, "a%C3%A9%", "", "posix:a%25C3%25A9%25"},
    {"posix:/a%20b%", MAPSEG_KEY_POSIX, "/a%20b%", "", "posix:/a%2520b%25"},
    {"posix:%00%", MAPSEG_KEY_POSIX, "%00%", "", "posix:%2500%25"},
    {"shm:a%23%3f%", MAPSEG_KEY_SHM, "a%23%3f%", "", "shm:a%2523%253f%25"},
    /* ... and in the query, whose items are one part */
    {"posix:/%41?legacyKey=%zz%41", MAPSEG_KEY_POSIX, "/A", "%zz%41",
     "posix:/A?legacyKey=%25zz%2541"},
    {"posix:/%zz%41?legacyKey=%41", MAPSEG_KEY_POSIX, "/%zz%41", "A",
     "posix:/%25zz%2541?legacyKey=A"},
    {"posix:/x?legacyKey=a%26b%", MAPSEG_KEY_POSIX, "/x", "a%26b%",
     "posix:/x?legacyKey=a%2526b%25"},
    {"posix:/x?legacyKey=%&legacyKey=%41", MAPSEG_KEY_POSIX, "/x", "%41",
     "posix:/x?legacyKey=%2541"},
    {"posix:/x?legacyKey=%41&legacyKey=%", MAPSEG_KEY_POSIX, "/x", "%", "posix:/x?legacyKey=%25"},
    {"posix:/x?legacyKey=%00%", MAPSEG_KEY_POSIX, "/x", "%00%", "posix:/x?legacyKey=%2500%25"},
    {"posix:/%41#%zz", MAPSEG_KEY_POSIX, "/A", "", "posix:/A"},
    {"shm:100%", MAPSEG_KEY_SHM, "100%", "", "shm:100%25"},
    {"shm:%zz", MAPSEG_KEY_SHM, "%zz", "", "shm:%25zz"},
    {"shm:%4", MAPSEG_KEY_SHM, "%4", "", "shm:%254"},
    {"shm:%%", MAPSEG_KEY_SHM, "%%", "", "shm:%25%25"},
    /* slashes and authorities */
    {"posix:///x", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"file:///A/B", MAPSEG_KEY_FILE, "/A/B", "", "file:/A/B"},
    {"posix:/%2Fx", MAPSEG_KEY_POSIX, "//x", "", NULL},
    {"posix:/%2fx", MAPSEG_KEY_POSIX, "//x", "", "posix:/%2Fx"},
    {"posix:/%2F/x", MAPSEG_KEY_POSIX, "///x", "", NULL},
    {"posix:/%2F", MAPSEG_KEY_POSIX, "//", "", NULL},
    {"posix:%2F%2Fx", MAPSEG_KEY_POSIX, "//x", "", "posix:/%2Fx"},
    {"posix:/x//y", MAPSEG_KEY_POSIX, "/x//y", "", NULL},
    /* an authority whose user, host and port are all empty is none */
    {"posix://", MAPSEG_KEY_POSIX, "", "", "posix:"},
    {"posix://:", MAPSEG_KEY_POSIX, "", "", "posix:"},
    {"posix://@", MAPSEG_KEY_POSIX, "", "", "posix:"},
    {"posix://@:", MAPSEG_KEY_POSIX, "", "", "posix:"},
    {"posix://:/x", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix://@/x", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix://@:/x", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix://:/%2", MAPSEG_KEY_POSIX, "/%2", "", "posix:/%252"},
    {"posix:////x", MAPSEG_KEY_POSIX, "//x", "", "posix:/%2Fx"},
    {"posix://:#x", MAPSEG_KEY_POSIX, "", "", "posix:"},
    {"posix://?legacyKey=a", MAPSEG_KEY_POSIX, "", "a", "posix:?legacyKey=a"},
    {"posix://@?legacyKey=a", MAPSEG_KEY_POSIX, "", "a", "posix:?legacyKey=a"},
    /* paths are taken as they are */
    {"file:/a/../b/./c/", MAPSEG_KEY_FILE, "/a/../b/./c/", "", NULL},
    {"file:../a", MAPSEG_KEY_FILE, "../a", "", NULL},
    /* fragments and queries */
    {"posix:/x#fragment", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x#", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x#a?legacyKey=b", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x?", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x?#fragment", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x?legacyKey=old", MAPSEG_KEY_POSIX, "/x", "old", NULL},
    {"posix:?legacyKey=old", MAPSEG_KEY_POSIX, "", "old", NULL},
    {"posix:/x?legacyKey=old#fragment", MAPSEG_KEY_POSIX, "/x", "old", "posix:/x?legacyKey=old"},
    {"posix:/x?legacyKey=", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x?legacyKey=a&legacyKey=b", MAPSEG_KEY_POSIX, "/x", "b", "posix:/x?legacyKey=b"},
    {"posix:/x?legacyKey=a%26b%3Dc%23d%25e", MAPSEG_KEY_POSIX, "/x", "a&b=c#d%e", NULL},
    {"posix:/x?legacyKey=a%26legacyKey%3Db", MAPSEG_KEY_POSIX, "/x", "a&legacyKey=b", NULL},
    {"posix:/x?legacyKey=a b/c:d", MAPSEG_KEY_POSIX, "/x", "a b/c:d", NULL},
    {"systemv:/x?legacyKey=\xc3\xa9", MAPSEG_KEY_SYSTEMV, "/x", "\xc3\xa9", NULL},
    {"shm:a?legacyKey=old", MAPSEG_KEY_SHM, "a", "old", NULL},
    {"posix:/x?legacyKey", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x?legacyKey=b&legacyKey", MAPSEG_KEY_POSIX, "/x", "", "posix:/x"},
    {"posix:/x?legacyKey=a&", MAPSEG_KEY_POSIX, "/x", "a", "posix:/x?legacyKey=a"},
    {"posix:/x?legacyKey=a=b", MAPSEG_KEY_POSIX, "/x", "a=b", "posix:/x?legacyKey=a%3Db"},
    {"posix:/x?legac%79%4Bey=a", MAPSEG_KEY_POSIX, "/x", "a", "posix:/x?legacyKey=a"},
    {"posix:/x?legacyKey=%25%2541", MAPSEG_KEY_POSIX, "/x", "%%41", NULL},
    {"posix:/x?legacyKey=a?b", MAPSEG_KEY_POSIX, "/x", "a?b", NULL},
    {"posix:/x?legacyKey=a%3Fb", MAPSEG_KEY_POSIX, "/x", "a?b", "posix:/x?legacyKey=a?b"},
    {"posix:/x?legacyKey=/%2F//", MAPSEG_KEY_POSIX, "/x", "////", "posix:/x?legacyKey=////"},
};

START_TEST(text_is_parsed)
{
    const struct parse_row *row = &valid_texts[_i];
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(row->text);

    ck_assert_msg(mapseg_ipc_key_type(key) != MAPSEG_KEY_INVALID, "%s is not valid", row->text);
    ck_assert_int_eq(mapseg_ipc_key_type(key), row->type);
    ck_assert_str_eq(mapseg_ipc_key_name(key), row->name);
    ck_assert_str_eq(mapseg_ipc_key_legacy_key(key), row->legacy_key);
    ck_assert_str_eq(mapseg_ipc_key_id(key), "");
    mapseg_ipc_key_free(key);
}
END_TEST

START_TEST(text_is_written)
{
    const struct parse_row *row = &valid_texts[_i];
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(row->text);

    ck_assert_str_eq(mapseg_ipc_key_text(key), row->canonical == NULL ? row->text : row->canonical);
    mapseg_ipc_key_free(key);
}
END_TEST

START_TEST(text_goes_round)
{
    const struct parse_row *row = &valid_texts[_i];
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(row->text);
    mapseg_ipc_key *again = mapseg_ipc_key_from_text(mapseg_ipc_key_text(key));

    ck_assert(mapseg_ipc_key_equal(key, again));
    ck_assert_str_eq(mapseg_ipc_key_text(key), mapseg_ipc_key_text(again));
    mapseg_ipc_key_free(key);
    mapseg_ipc_key_free(again);
}
END_TEST

START_TEST(made_key_equals_the_parsed_one)
{
    const struct parse_row *row = &valid_texts[_i];
    mapseg_ipc_key *parsed = mapseg_ipc_key_from_text(row->text);
    mapseg_ipc_key *made = mapseg_ipc_key_new(row->type, row->name);

    ck_assert_int_eq(mapseg_ipc_key_type(made), row->type);
    ck_assert_str_eq(mapseg_ipc_key_name(made), row->name);
    ck_assert_int_eq(mapseg_ipc_key_equal(parsed, made), row->legacy_key[0] == '\0');
    ck_assert_int_eq(mapseg_ipc_key_equal(made, parsed), row->legacy_key[0] == '\0');
    mapseg_ipc_key_free(parsed);
    mapseg_ipc_key_free(made);
}
END_TEST

/* -------------------------------------------------- text that is no key -- */

static const char *const invalid_texts[] = {
    "",
    ":",
    ":a",
    "a",
    "/dev/shm/a",
    " shm:a",
    "\tshm:a",
    "\nshm:a",
    "shm :a",
    "sh%6D:a",
    "unknown:a",
    "shmm:a",
    "sh:a",
    "1shm:a",
    "-shm:a",
    "http://example.org/",
    "posix-1:/x",
    "systemv-:/x",
    "systemv-0:/x",
    "systemv-256:/x",
    "systemv-65617:/x",
    "systemv-4294967297:/x",
    "systemv-18446744073709551617:/x",
    "systemv--1:/x",
    "systemv-1x:/x",
    "systemv-x:/x",
    "systemv-0x1:/x",
    "systemv1:/x",
    "posix://host/x",
    "posix://host",
    "posix://:@/x",
    "posix://:@",
    "posix://@@/x",
    "posix://:0/x",
    "posix://:1/x",
    "posix://:x/x",
    "posix://user@/x",
    "posix://:password@/x",
    "posix:// /x",
    "posix://%/x",
    "posix://%41/x",
    "posix://./x",
    "file://localhost/A/B",
    "shm://user@host:1/x",
    "posix:/x?other=1",
    "posix:/x?a",
    "posix:/x?legacykey=a",
    "posix:/x?LegacyKey=a",
    "posix:/x?legacyKey=a&other=1",
    "posix:/x?other=1&legacyKey=a",
    "posix:/x?&",
    "posix:/x?&legacyKey=a",
    "posix:/x?legacyKey=a&&",
    "posix:/x?legacyKey=a&&legacyKey=b",
    "posix:/x?=a",
    "posix:/x?legacyKey%3Da",
    "posix:/x?legacyKey%=a",
    "posix:/x?%6CegacyKey=a%",
    "posix:/x?%",
    "shm:a?id=00112233445566778899aabbccddeeff",
    "memfd:5?id=0011",
    "memfd:5?id=",
    "memfd:5?id=00112233445566778899aabbccddeeff0",
    "memfd:5?id=00112233445566778899aabbccddeefg",
    "memfd:5?id=0x112233445566778899aabbccddeeff",
    "memfd:5?other=1",
};

START_TEST(text_that_is_no_key)
{
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(invalid_texts[_i]);

    ck_assert_ptr_nonnull(key);
    ck_assert_msg(mapseg_ipc_key_type(key) == MAPSEG_KEY_INVALID, "'%s' is taken for %s",
                  invalid_texts[_i], mapseg_ipc_key_text(key));
    ck_assert_int_eq(mapseg_ipc_key_type(key), MAPSEG_KEY_INVALID);
    ck_assert_ptr_null(mapseg_ipc_key_text(key));
    mapseg_ipc_key_free(key);
}
END_TEST

START_TEST(handle_refuses_text_that_is_no_key)
{
    mapseg *seg = mapseg_new();

    if (invalid_texts[_i][0] != '\0') {
        need_call(MAPSEG_KEY_ERROR, seg, mapseg_set_native_key(seg, invalid_texts[_i]));
        ck_assert_int_eq(mapseg_error(seg), MAPSEG_KEY_ERROR);
        ck_assert(is_one_line(mapseg_error_string(seg)));
    }
    ck_assert_ptr_null(mapseg_native_key(seg));
    mapseg_free(seg);
}
END_TEST

START_TEST(no_text_is_no_key)
{
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(NULL);

    ck_assert(mapseg_ipc_key_type(key) == MAPSEG_KEY_INVALID);
    mapseg_ipc_key_free(key);
    mapseg_ipc_key_free(NULL);
}
END_TEST

/* ------------------------------------------------------ bytes and parts -- */

/// A name with a zero byte cannot be held, and must not lead to what comes before it.
START_TEST(encoded_zero_byte_cuts_nothing_off)
{
    mapseg_ipc_key *cut = mapseg_ipc_key_from_text("shm:a%00b");
    mapseg_ipc_key *legacy = mapseg_ipc_key_from_text("shm:a?legacyKey=x%00y");
    mapseg_ipc_key *plain = mapseg_ipc_key_from_text("shm:a");

    ck_assert_str_ne(mapseg_ipc_key_name(cut), "a");
    ck_assert(!mapseg_ipc_key_equal(cut, plain));
    ck_assert_str_ne(mapseg_ipc_key_legacy_key(legacy), "x");
    mapseg_ipc_key_free(cut);
    mapseg_ipc_key_free(legacy);
    mapseg_ipc_key_free(plain);
}
END_TEST

/// Every byte that a name can hold survives the text form.
START_TEST(every_byte_goes_round)
{
    char name[3] = "_?";

    for (int byte = 1; byte < 256; byte++) {
        mapseg_ipc_key *key, *again;
        bool encoded = byte < 0x20 || byte == 0x7f || strchr("#%?", byte) != NULL;

        name[1] = (char)byte;
        key = mapseg_ipc_key_new(MAPSEG_KEY_SHM, name);
        ck_assert_uint_eq(strlen(mapseg_ipc_key_text(key)), encoded ? 8 : 6);
        again = mapseg_ipc_key_from_text(mapseg_ipc_key_text(key));
        ck_assert_str_eq(mapseg_ipc_key_name(again), name);
        mapseg_ipc_key_free(key);
        mapseg_ipc_key_free(again);
    }
}
END_TEST

START_TEST(memfd_key_carries_an_id)
{
    static const char text[] = "memfd:5?id=00112233445566778899aabbccddeeff";
    mapseg_ipc_key *key = mapseg_ipc_key_from_text(text);
    mapseg_ipc_key *other = mapseg_ipc_key_from_text("memfd:5?id=00112233445566778899aabbccddeefe");
    mapseg_ipc_key *none = mapseg_ipc_key_from_text("memfd:5");

    ck_assert_int_eq(mapseg_ipc_key_type(key), MAPSEG_KEY_MEMFD);
    ck_assert_str_eq(mapseg_ipc_key_name(key), "5");
    ck_assert_str_eq(mapseg_ipc_key_id(key), "00112233445566778899aabbccddeeff");
    ck_assert_str_eq(mapseg_ipc_key_text(key), text);
    ck_assert(!mapseg_ipc_key_equal(key, other));
    ck_assert(!mapseg_ipc_key_equal(key, none));
    ck_assert(mapseg_ipc_key_equal(key, key));
    mapseg_ipc_key_free(key);
    mapseg_ipc_key_free(other);
    mapseg_ipc_key_free(none);
}
END_TEST

START_TEST(keys_are_equal_in_all_parts_or_not_at_all)
{
    static const char *const texts[] = {
        "posix:/x",
        "posix:/y",
        "posix:/X",
        "posix:x",
        "posix:/x?legacyKey=a",
        "systemv:/x",
        "systemv-1:/x",
        "posix:/x?legacyKey=b",
        "shm:/x",
        "file:/x",
        "raw:/x",
        "windows:/x",
        "runtime:/x",
        "posix:",
        "systemv:",
    };
    const size_t count = sizeof texts / sizeof texts[0];

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            mapseg_ipc_key *a = mapseg_ipc_key_from_text(texts[i]);
            mapseg_ipc_key *b = mapseg_ipc_key_from_text(texts[j]);

            ck_assert_msg(mapseg_ipc_key_equal(a, b) == (i == j), "%s, %s", texts[i], texts[j]);
            mapseg_ipc_key_free(a);
            mapseg_ipc_key_free(b);
        }
    }
}
END_TEST

START_TEST(made_keys)
{
    mapseg_ipc_key *nameless = mapseg_ipc_key_new(MAPSEG_KEY_POSIX, NULL);
    mapseg_ipc_key *invalid = mapseg_ipc_key_new(MAPSEG_KEY_INVALID, "a");
    mapseg_ipc_key *unknown = mapseg_ipc_key_new((mapseg_key_type)0x300, "a");
    mapseg_ipc_key *negative = mapseg_ipc_key_new((mapseg_key_type)-1, "a");

    ck_assert(mapseg_ipc_key_type(nameless) != MAPSEG_KEY_INVALID);
    ck_assert_str_eq(mapseg_ipc_key_name(nameless), "");
    ck_assert_str_eq(mapseg_ipc_key_name(nameless), "");
    ck_assert_str_eq(mapseg_ipc_key_text(nameless), "posix:");
    ck_assert(mapseg_ipc_key_type(invalid) == MAPSEG_KEY_INVALID);
    ck_assert_ptr_null(mapseg_ipc_key_text(invalid));
    ck_assert(mapseg_ipc_key_type(unknown) == MAPSEG_KEY_INVALID);
    ck_assert_ptr_null(mapseg_ipc_key_text(unknown));
    ck_assert(mapseg_ipc_key_type(negative) == MAPSEG_KEY_INVALID);
    mapseg_ipc_key_free(nameless);
    mapseg_ipc_key_free(invalid);
    mapseg_ipc_key_free(unknown);
    mapseg_ipc_key_free(negative);
}
END_TEST

/// Qt has values for types to come, and calls a key of such a one valid.
START_TEST(types_without_a_text)
{
    static const int types[] = {0x102, 0x103, 0x1fe, 0x1ff};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const mapseg_key_type type = (mapseg_key_type)types[i];
        mapseg_ipc_key *key = mapseg_ipc_key_new(type, "//a%");
        mapseg_ipc_key *same = mapseg_ipc_key_new(type, "//a%");
        mapseg_ipc_key *other = mapseg_ipc_key_new((mapseg_key_type)0x104, "//a%");

        ck_assert_int_eq(mapseg_ipc_key_type(key), type);
        ck_assert_str_eq(mapseg_ipc_key_name(key), "//a%");
        ck_assert_ptr_null(mapseg_ipc_key_text(key));
        ck_assert(!mapseg_key_type_is_supported(type));
        ck_assert(mapseg_ipc_key_equal(key, same));
        ck_assert(!mapseg_ipc_key_equal(key, other));
        mapseg_ipc_key_free(key);
        mapseg_ipc_key_free(same);
        mapseg_ipc_key_free(other);
    }
}
END_TEST

START_TEST(types_that_can_be_used_here)
{
    ck_assert(mapseg_key_type_is_supported(MAPSEG_KEY_SHM));
    ck_assert(mapseg_key_type_is_supported(MAPSEG_KEY_FILE));
    ck_assert(mapseg_key_type_is_supported(MAPSEG_KEY_MEMFD));
    ck_assert(!mapseg_key_type_is_supported(MAPSEG_KEY_INVALID));
    ck_assert(mapseg_key_type_is_supported(MAPSEG_KEY_SYSTEMV));
    ck_assert(mapseg_key_type_is_supported((mapseg_key_type)1));
    ck_assert(!mapseg_key_type_is_supported(MAPSEG_KEY_WINDOWS));
    ck_assert(mapseg_key_type_is_supported(MAPSEG_KEY_POSIX));
    ck_assert(mapseg_key_type_is_supported(MAPSEG_KEY_RAW));
}
END_TEST

/* -------------------------------------------------------------- program -- */

int
main(void)
{
    const int valid = sizeof valid_texts / sizeof valid_texts[0];
    const int invalid = sizeof invalid_texts / sizeof invalid_texts[0];
    Suite *suite = new_suite("text of keys");
    TCase *group = new_case(suite, "text of keys");

    tcase_add_loop_test(group, text_is_parsed, 0, valid);
    tcase_add_loop_test(group, text_is_written, 0, valid);
    tcase_add_loop_test(group, text_goes_round, 0, valid);
    tcase_add_loop_test(group, made_key_equals_the_parsed_one, 0, valid);
    tcase_add_loop_test(group, text_that_is_no_key, 0, invalid);
    tcase_add_loop_test(group, handle_refuses_text_that_is_no_key, 0, invalid);
    tcase_add_test(group, no_text_is_no_key);
    tcase_add_test(group, encoded_zero_byte_cuts_nothing_off);
    tcase_add_test(group, every_byte_goes_round);
    tcase_add_test(group, memfd_key_carries_an_id);
    tcase_add_test(group, keys_are_equal_in_all_parts_or_not_at_all);
    tcase_add_test(group, made_keys);
    tcase_add_test(group, types_without_a_text);
    tcase_add_test(group, types_that_can_be_used_here);
    return run_suite(suite);
}
