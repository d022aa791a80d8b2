/*
 * members.c - processes of several users, and of one group, that use one segment.
 *
 * SPDX-License-Identifier: MIT
 */
#include "members.h"

#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool
become(uid_t user, bool belongs)
{
    const gid_t group = THE_GROUP;

    return setgroups(belongs ? 1 : 0, &group) == 0 && setresgid(user, user, user) == 0 &&
           setresuid(user, user, user) == 0;
}

bool
can_have_members(void)
{
    int status = -1;
    pid_t child;

    if (!is_root() || !can_mount())
        return false;
    child = fork();
    if (child == 0)
        _exit(become(FIRST_USER, true) ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static mapseg_result
act(mapseg *seg, const struct part *part, int what)
{
    switch (what) {
    case 'c':
        return mapseg_create_with(seg, MEMBER_BYTES, part->access, &part->options);
    case 'a':
        return mapseg_attach_with(seg, part->access, &part->options);
    case 'd':
        return mapseg_detach(seg);
    case 'r':
        return mapseg_reclaim_with(seg, &part->options);
    case 'l':
        return mapseg_lock(seg);
    case 'u':
        return mapseg_unlock(seg);
    default:
        broken("a member does not know '%c'", what);
    }
}

/** The whole life of a member. */
static int
live(int channel, void *argument)
{
    struct part *part = argument;
    mapseg *seg;
    int word;

    need(become(part->user, part->belongs));
    seg = handle_for(part->key);
    while ((word = hear(channel)) != -1 && word != 'q') {
        mapseg_result result = act(seg, part, word);

        snprintf(part->said, sizeof part->said, "%s", mapseg_error_string(seg));
        part->error = mapseg_error(seg);
        say(channel, (char)(' ' + (int)result));
    }
    mapseg_free(seg);
    return word == 'q' ? 0 : 1;
}

struct member
begin_member(uid_t user, bool belongs, const char *key)
{
    const mapseg_options defaults = MAPSEG_OPTIONS_INIT;
    struct member member = {.part = shared_memory(sizeof *member.part)};

    member.part->user = user;
    member.part->belongs = belongs;
    member.part->access = MAPSEG_READ_WRITE;
    member.part->options = defaults;
    snprintf(member.part->key, sizeof member.part->key, "%s", key);
    member.peer = start_peer(live, member.part);
    return member;
}

void
ask_at(const char *file, int line, mapseg_result expected, struct member *member, char what)
{
    int answer;

    say(member->peer.channel, what);
    answer = hear(member->peer.channel);
    if (answer != ' ' + (int)expected)
        broken_at(file, line, "user %u, '%c': %s instead of %s: %s", (unsigned)member->part->user,
                  what,
                  answer < 0 ? "no answer" : mapseg_result_name((mapseg_result)(answer - ' ')),
                  mapseg_result_name(expected), member->part->said);
}

void
need_said(const struct member *member, const char *words)
{
    if (strstr(member->part->said, words) == NULL || !is_one_line(member->part->said))
        broken("user %u does not say \"%s\": %s", (unsigned)member->part->user, words,
               member->part->said);
}

void
end_member(struct member *member)
{
    say(member->peer.channel, 'q');
    need_number(0, end_peer(&member->peer));
}

void
kill_member(struct member *member)
{
    kill_peer(&member->peer);
}
