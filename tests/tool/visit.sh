#!/bin/sh
# What looks at crash debris, writes into it or locks it leaves it where it is.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
# shellcheck disable=SC2016 # inner shells are meant
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

k=shm:$name-visit
printf 0123456789 >"$work/ten"

# Makes crash debris of another program's with the content 0123456789.
crash()
{
    rm -f "$work/hold"
    mkfifo "$work/hold"
    "$tool" demo-role produce "$1" "$work/ten" <"$work/hold" >"$work/producer" 2>&1 &
    producer=$!
    children="$children $producer"
    exec 9>"$work/hold"
    await grep -q '^created' "$work/producer"
    kill -KILL $producer
    wait $producer 2>/dev/null
    exec 9>&-
}

# Whether the segment is still the same, and debris.
still_there()
{
    same "state after $1" "$(listed $k STATE)" stale
    same "id after $1" "$(shown $k Header)" "$id"
}

crash $k
id=$(shown $k Header)
[ -n "$id" ] || fail "there is no crash debris"
still_there "show and ls"
expect_quiet 0 read $k
same "what read finds" "$(cat "$work/out")" 0123456789
still_there read
expect_quiet 0 read $k "$work/copy"
still_there "read to a file"
expect_failure "10 bytes" read $k --size 11
still_there "read of too much"
expect_failure "10 bytes" read $k --offset 11
still_there "read from behind the end"
expect_failure "$work/none/copy" read $k "$work/none/copy"
still_there "read to a file that cannot be made"
"$tool" read $k >/dev/full 2>/dev/null && fail "read to a full disk"
still_there "read to a full disk"
"$tool" read $k >&- 2>/dev/null && fail "read to a closed output"
still_there "read to a closed output"
for arguments in "read $k --size x" "read $k a b" "read $k --sing" "write $k a b" "lock $k" \
    "lock $k --timeout x true"; do
    # shellcheck disable=SC2086 # words
    expect 2 $arguments
    still_there "$arguments"
done

printf abc >"$work/three"
expect_failure "$work/none" write $k "$work/none"
still_there "write from no file"
expect_failure "nothing was changed" write $k "$0"
still_there "write of too much"
expect_quiet 0 write $k "$work/three"
still_there write
same "what was written" "$("$tool" read $k)" abc3456789
expect_quiet 0 write --create $k "$work/ten"
still_there "write --create"

expect_quiet 0 lock $k -- true
still_there lock
expect_quiet 5 lock $k --no-wait -- sh -c 'exit 5'
still_there "lock of a command that fails"
expect 127 lock $k -- "$work/none"
still_there "lock of no command"
same "content" "$("$tool" read $k)" 0123456789

expect 0 reclaim $k
same "what reclaim prints" "$(cat "$work/out")" $k

# ---------------------------------------------------- the segments of lock --

# Their mark stays, too, so that each owner is told until one repairs.
hold $k
kill_holder
same "lock" "$(listed $k LOCK)" owner-died
for turn in 1 2 3; do
    expect 0 lock $k -- sh -c 'echo "[$MAPSEG_OWNER_DIED]"'
    same "owner $turn" "$(cat "$work/out")" "[1]"
    one_line_of_error
    has "$work/err" "--consistent"
    same "lock after owner $turn" "$(listed $k LOCK)" inconsistent
done
expect 7 lock $k --consistent -- sh -c 'exit 7'
same "lock after a repair that failed" "$(listed $k LOCK)" inconsistent
expect 0 lock $k --consistent -- sh -c 'echo "[$MAPSEG_OWNER_DIED]"'
same "the owner that repairs" "$(cat "$work/out")" "[1]"
exists $k && fail "the segment of lock outlived its last user"
expect_quiet 0 lock $k -- sh -c 'echo "[$MAPSEG_OWNER_DIED]"'
same "the owner after the repair" "$(cat "$work/out")" "[]"
exists $k && fail "the segment of lock outlived its last user"

finish
