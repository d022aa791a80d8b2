#!/bin/sh
# What concerns all segments of the machine, in a /dev/shm of its own: an empty
# list, reclaim without keys, a full file system.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

if [ "${MAPSEG_ALONE-}" != yes ]; then
    rm -rf "$work"
    trap - EXIT
    for how in "" --map-root-user; do
        # shellcheck disable=SC2086 # none or one
        unshare --mount $how mount -t tmpfs -o size=4M tmpfs /dev/shm 2>/dev/null || continue
        # shellcheck disable=SC2086,SC2016 # the same; the inner shell is meant
        MAPSEG_ALONE=yes exec unshare --mount $how sh -c \
            'mount -t tmpfs -o size=4M tmpfs /dev/shm && exec "$0"' "$0"
    done
    skip "this user cannot have a /dev/shm of its own (unshare and mount)"
fi
unset XDG_RUNTIME_DIR

k=shm:$name-alone

# ----------------------------------------------------------- an empty list --

expect_quiet 0 ls
same "an empty list" "$(cat "$work/out")" ""
expect_quiet 0 ls --json
same "an empty list as JSON" "$(tr -d ' \n' <"$work/out")" '{"segments":[]}'
expect_quiet 0 reclaim
same "reclaim of nothing" "$(cat "$work/out")" ""
echo foreign >"/dev/shm/$name-foreign"
mkdir "/dev/shm/$name-directory"
expect_quiet 0 ls
same "a list of what is no segment" "$(cat "$work/out")" ""

# ---------------------------------------------------------------- reclaim --

"$tool" create $k-stays --size 1 >/dev/null
hold $k-stale
kill_holder
hold $k-stale-too
kill_holder
hold $k-live
expect_quiet 0 ls --raw --noheadings --output KEY,STATE,ATTACHED
same "the list" "$(cat "$work/out")" "$k-live live 1
$k-stale stale 0
$k-stale-too stale 0
$k-stays persistent 0"
expect_quiet 0 reclaim
same "what was reclaimed" "$(cat "$work/out")" "$k-stale
$k-stale-too"
exists $k-stays || fail "reclaim removed a persistent segment"
exists $k-live || fail "reclaim removed a live segment"
exists $k-stale && fail "reclaim left a stale segment"
[ -e "/dev/shm/$name-foreign" ] || fail "reclaim removed a foreign file"
expect_quiet 0 reclaim
same "reclaim again" "$(cat "$work/out")" ""
release
expect_quiet 0 rm $k-stays

# Several at once, and others that take the names again: nobody complains.
i=0
while [ $i -lt 10 ]; do
    hold $k-race
    kill_holder
    for _ in 1 2 3; do
        "$tool" reclaim >>"$work/reclaimed" 2>>"$work/reclaim.err" &
    done
    "$tool" lock $k-race --consistent -- true 2>/dev/null || fail "lock beside reclaim: $?"
    wait
    i=$((i + 1))
done
[ -s "$work/reclaim.err" ] && fail "reclaims at once: $(cat "$work/reclaim.err")"
exists $k-race && fail "there is still a segment"

# ------------------------------------------------------------ a full disk --

expect_failure "$k" create $k --size 5M
exists $k && fail "create left a segment on a full file system"
head -c 5000000 /dev/zero >"$work/large"
expect_failure "$k" write $k --create "$work/large"
exists $k && fail "write --create left a segment on a full file system"
same "files that are left" "$(find /dev/shm -type f | wc -l)" 1
expect_quiet 0 create $k --size 5M --lazy
expect_quiet 0 rm $k
expect_quiet 0 create $k --size 3M
expect_quiet 0 rm $k

# demo says so, and leaves nothing.
expect 1 demo "$work/large"
has "$work/out" "DID NOT HOLD"
same "files that demo left" "$(find /dev/shm -type f | wc -l)" 1

finish
