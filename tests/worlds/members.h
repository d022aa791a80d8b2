/*
 * members.h - processes of several users, and of one group, that use one segment.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_WORLDS_MEMBERS_H
#define TESTS_WORLDS_MEMBERS_H

#include "support.h"

#include <sys/types.h>

/** The users of these tests: two are members of the group, the third is not. */
#define FIRST_USER 60001
#define SECOND_USER 60002
#define THIRD_USER 60003
#define THE_GROUP 60100
#define OTHER_GROUP 60101

#define MEMBER_BYTES 4096

/** What a member is to do, and what it came to: in memory that the test shares. */
struct part {
    uid_t user;
    bool belongs; /**< to THE_GROUP */
    char key[KEY_BYTES];
    mapseg_access access;
    mapseg_options options;
    char said[1024];     /**< mapseg_error_string */
    mapseg_result error; /**< mapseg_error */
};

/** A process of a user, which has a handle with a key. */
struct member {
    struct peer peer;
    struct part *part;
};

/** Whether this process can be several users, members of groups, and have its own /dev/shm. */
bool can_have_members(void);

/** Starts one, with default options, for reading and writing. */
struct member begin_member(uid_t user, bool belongs, const char *key);

/** Has it do one thing, and returns what that came to: 'c' create, 'a' attach, 'd' detach,
 *  'r' reclaim, 'l' lock, 'u' unlock. */
#define ask(expected, member, what) ask_at(__FILE__, __LINE__, expected, member, what)
void ask_at(const char *file, int line, mapseg_result expected, struct member *member, char what);

/** Its last words have that in them. */
void need_said(const struct member *member, const char *words);

/** Ends it, in order; or kills it. */
void end_member(struct member *member);
void kill_member(struct member *member);

#endif
