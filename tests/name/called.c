/*
 * called.c - the segment of a test, and peers that attach to it when they are called.
 *
 * SPDX-License-Identifier: MIT
 */
#include "called.h"

char key[KEY_BYTES];
char path[KEY_BYTES];

void
choose_key(void)
{
    unique_key(key);
    path_of(path, key);
}

void
check_gone(void)
{
    ck_assert_msg(!exists(path), "%s is still there", path);
}

void
check_attached(uint32_t count)
{
    mapseg *seg = handle_for(key);
    mapseg_info *information = describe(seg);

    ck_assert_uint_eq(information->attached, count);
    mapseg_info_free(information);
    mapseg_free(seg);
}

int
obey_when_called(int channel, void *argument)
{
    return hear(channel) == 'g' ? obedient_peer(channel, argument) : 1;
}

void
call(const struct peer *peer)
{
    say(peer->channel, 'g');
    ck_assert_int_eq(hear(peer->channel), 'a');
}

void
dismiss(struct peer *peer)
{
    say(peer->channel, 'q');
    ck_assert_int_eq(end_peer(peer), 0);
}
