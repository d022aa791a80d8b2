/*
 * mapseg-format.h - the byte layout of a formatted segment.
 *
 * This file needs no library: a program that maps the file itself includes
 * it for the offsets and the constants. doc/mapseg-format.5 says the same in
 * words. All numbers are in host byte order; every offset is the same in
 * 32-bit and 64-bit programs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef MAPSEG_FORMAT_H
#define MAPSEG_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/** The first eight bytes of every formatted segment. */
#define MAPSEG_MAGIC "\x89MAPSEG\n"
#define MAPSEG_MAGIC_BYTES 8

/** The only format version there is. */
#define MAPSEG_FORMAT_VERSION 1

/** Bytes that the header takes at the start of the file. */
#define MAPSEG_HEADER_BYTES 4096

/** Bytes 0 to 71 are what the checksum (XXH3-64, seed 0) covers. */
#define MAPSEG_CHECKSUM_COVERS 72

/**
 * Bytes 0 to 127 never change once the segment has its name. Everything that
 * decides where memory is accessed lies among the checked ones.
 */
#define MAPSEG_CONSTANT_BYTES 128

/** Bytes of the label, NUL-padded: a label has fewer. */
#define MAPSEG_LABEL_BYTES 48

/*
 * Header flags come in three ranges, so that a program knows what to do with
 * a bit it does not know: refuse the segment (0 to 15), attach without
 * writing (16 to 31), or ignore it (32 to 63).
 */
#define MAPSEG_HEADER_INCOMPATIBLE UINT64_C(0x000000000000ffff)
#define MAPSEG_HEADER_READ_ONLY_COMPATIBLE UINT64_C(0x00000000ffff0000)

/** The last attachment to leave does not remove the segment. */
#define MAPSEG_HEADER_PERSISTENT (UINT64_C(1) << 0)
/** The creator asked for a fair lock; a program that ignores it still excludes. */
#define MAPSEG_HEADER_FAIR (UINT64_C(1) << 32)
/** Some that wait for a change cannot write the header, and so cannot say that they do:
 *  each change wakes. */
#define MAPSEG_HEADER_SILENT_WAITERS (UINT64_C(1) << 33)

/*
 * The lock word. 0 is free; it is also free, but not 0, when only the bits
 * above the owner are set.
 */
/** Bits that name the owner's presence slot; 0: no attachment holds the lock. */
#define MAPSEG_LOCK_OWNER UINT32_C(0x3fffffff)
/** An owner died and no owner has declared the data consistent since. */
#define MAPSEG_LOCK_DIED UINT32_C(0x40000000)
/** A waiter sleeps on the word: the owner wakes one as it frees the lock. */
#define MAPSEG_LOCK_SLEEPERS UINT32_C(0x80000000)

/*
 * The word for order, `suffering`.
 */
/** Bits that name the presence slot of a waiter that has waited long; 0: none. */
#define MAPSEG_SUFFERER UINT32_C(0x000fffff)
/** What is added for each owner that came before it; or, while no waiter is named, that
 *  passed the sleepers of a fair lock. */
#define MAPSEG_PASS (UINT32_C(1) << 20)

/*
 * Presence: open-file-description locks on bytes of the segment's file, far
 * past any data. Byte BASE is read-locked by those that cannot write the lock
 * word; BASE + slot is write-locked by one attachment each, with a slot below
 * MAPSEG_FIRST_WRITER_SLOT if it cannot write the data, else with one from there
 * on; BASE + MAPSEG_NAME_BYTE by a process that unlinks or replaces the name. All of them
 * together, BASE to BASE + MAPSEG_NAME_BYTE inclusive, by the last one out.
 */
#define MAPSEG_PRESENCE_BASE (INT64_C(1) << 62)
#define MAPSEG_FIRST_SLOT UINT32_C(1)
#define MAPSEG_FIRST_WRITER_SLOT UINT32_C(0x80000)
#define MAPSEG_LAST_SLOT UINT32_C(0xfffff)
#define MAPSEG_NAME_BYTE (INT64_C(1) << 20)
/** The lock of a raw segment: a write lock on BASE + this. */
#define MAPSEG_RAW_LOCK_BYTE ((INT64_C(1) << 20) + 1)
/** Of a segment of another program's kind BASE + this is read-locked by all attachments while the
 *  last of them is to remove the name. */
#define MAPSEG_WISH_BYTE ((INT64_C(1) << 20) + 2)

/** The header. Bytes that no field names are zero and reserved. */
struct mapseg_header {
    uint8_t magic[8];     /**< 0: MAPSEG_MAGIC */
    uint32_t format;      /**< 8: MAPSEG_FORMAT_VERSION */
    uint32_t header_size; /**< 12: MAPSEG_HEADER_BYTES */
    uint64_t data_offset; /**< 16: where the data begins, in bytes */
    uint64_t data_size;   /**< 24: exactly the bytes the creator asked for */
    uint64_t flags;       /**< 32: MAPSEG_HEADER_... */
    uint64_t created;     /**< 40: nanoseconds since 1970-01-01 UTC */
    uint8_t id[16];       /**< 48: random; names this segment's life */
    uint64_t user_tag;    /**< 64: the creator's own mark for its data */
    uint64_t checksum;    /**< 72: XXH3-64 of bytes 0 to 71 */
    /** 80: UTF-8, NUL-padded: what the creator calls it, for people; not checked */
    char label[MAPSEG_LABEL_BYTES];
    uint32_t lock;         /**< 128: the lock word, MAPSEG_LOCK_... */
    uint32_t owner_pid;    /**< 132: for people; never decides anything */
    uint32_t owner_tid;    /**< 136: the same */
    uint32_t suffering;    /**< 140: which waiter has waited long; about order alone */
    uint64_t recoveries;   /**< 144: how often a dead owner was replaced */
    uint64_t contended;    /**< 152: for people: how often an owner had had to wait */
    uint64_t slept;        /**< 160: the same: of these, how often it had slept */
    uint64_t longest_wait; /**< 168: the same: the longest of these waits, nanoseconds */
    uint32_t left;         /**< 176: for people: 1: the last one out might not remove the name */
    uint8_t reserved_180[76];
    uint64_t version;  /**< 256: even is stable, odd is being written */
    uint32_t watchers; /**< 264: not 0: a waiter for a change may sleep */
    uint32_t reserved_268;
    uint64_t limit; /**< 272: 0; reserved for segments that grow */
    uint8_t reserved_280[3816];
};

/** What goes over a Unix socket with a segment's descriptor (SCM_RIGHTS, exactly
 *  one): these 64 bytes, in host byte order. */
#define MAPSEG_MESSAGE_MAGIC "\x89MAPMSG\n"
#define MAPSEG_MESSAGE_VERSION 1
#define MAPSEG_MESSAGE_BYTES 64
/** Bytes 0 to 55 are what the message's checksum (XXH3-64, seed 0) covers. */
#define MAPSEG_MESSAGE_CHECKSUM_COVERS 56

struct mapseg_message {
    uint8_t magic[8];   /**< 0: MAPSEG_MESSAGE_MAGIC */
    uint32_t version;   /**< 8: MAPSEG_MESSAGE_VERSION */
    uint32_t bytes;     /**< 12: MAPSEG_MESSAGE_BYTES */
    uint32_t access;    /**< 16: what was granted; 0: to read, 1: to write too */
    uint32_t reserved;  /**< 20: zero */
    uint8_t id[16];     /**< 24: the segment's */
    uint64_t data_size; /**< 40: the segment's */
    uint64_t flags;     /**< 48: zero; a bit that is not known refuses the message */
    uint64_t checksum;  /**< 56: XXH3-64 of bytes 0 to 55 */
};

#if defined(__cplusplus) && __cplusplus >= 201103L
#define MAPSEG_FORMAT_ASSERT(what, name) static_assert(what, #name)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define MAPSEG_FORMAT_ASSERT(what, name) _Static_assert(what, #name)
#else
#define MAPSEG_FORMAT_ASSERT(what, name) typedef char mapseg_format_assert_##name[(what) ? 1 : -1]
#endif
#define MAPSEG_FORMAT_OFFSET(field, offset)                                                        \
    MAPSEG_FORMAT_ASSERT(offsetof(struct mapseg_header, field) == (offset),                        \
                         field##_lies_at_##offset)

MAPSEG_FORMAT_OFFSET(magic, 0);
MAPSEG_FORMAT_OFFSET(format, 8);
MAPSEG_FORMAT_OFFSET(header_size, 12);
MAPSEG_FORMAT_OFFSET(data_offset, 16);
MAPSEG_FORMAT_OFFSET(data_size, 24);
MAPSEG_FORMAT_OFFSET(flags, 32);
MAPSEG_FORMAT_OFFSET(created, 40);
MAPSEG_FORMAT_OFFSET(id, 48);
MAPSEG_FORMAT_OFFSET(user_tag, 64);
MAPSEG_FORMAT_OFFSET(checksum, 72);
MAPSEG_FORMAT_OFFSET(label, 80);
MAPSEG_FORMAT_OFFSET(lock, 128);
MAPSEG_FORMAT_OFFSET(owner_pid, 132);
MAPSEG_FORMAT_OFFSET(owner_tid, 136);
MAPSEG_FORMAT_OFFSET(suffering, 140);
MAPSEG_FORMAT_OFFSET(recoveries, 144);
MAPSEG_FORMAT_OFFSET(contended, 152);
MAPSEG_FORMAT_OFFSET(slept, 160);
MAPSEG_FORMAT_OFFSET(longest_wait, 168);
MAPSEG_FORMAT_OFFSET(left, 176);
MAPSEG_FORMAT_OFFSET(version, 256);
MAPSEG_FORMAT_OFFSET(watchers, 264);
MAPSEG_FORMAT_OFFSET(limit, 272);
MAPSEG_FORMAT_ASSERT(sizeof(struct mapseg_header) == MAPSEG_HEADER_BYTES, header_is_one_page);
MAPSEG_FORMAT_ASSERT(sizeof(struct mapseg_message) == MAPSEG_MESSAGE_BYTES, message_has_no_gaps);

#undef MAPSEG_FORMAT_OFFSET
#undef MAPSEG_FORMAT_ASSERT

#endif
