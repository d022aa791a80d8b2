#!/bin/sh
# Segments of other users, and those that others may write.
#
# shellcheck source=tests/tool_support.sh
. "${abs_top_srcdir:-$(dirname "$0")/..}/tests/tool_support.sh"

[ "$(id -u)" -eq 0 ] || skip "only root can run programs as another user"
nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
$nobody true 2>/dev/null || skip "setpriv cannot become another user here"
$nobody "$tool" --version >/dev/null 2>&1 || skip "another user cannot run $tool"

k=shm:$name-user
chmod 755 "$work"
printf 0123456789 >"$work/ten"
chmod 644 "$work/ten"

# As expect, by the other user.
expect_other()
{
    wanted=$1
    shift
    status=0
    # shellcheck disable=SC2086 # words
    timeout 60 $nobody "$tool" "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" -eq "$wanted" ] || fail "mapseg $*, by nobody: status $status; $(cat "$work/err")"
    if [ "$wanted" -eq 0 ]; then
        [ -s "$work/err" ] && fail "mapseg $*, by nobody: $(cat "$work/err")"
    else
        one_line
    fi
}

# Private: nothing goes, and it is not listed.
"$tool" write --create $k "$work/ten"
for command in "read $k" "write $k $work/ten" "rm $k" "reclaim $k" "lock $k -n -- true" \
    "read --allow-other-owner $k" "create $k --size 1 --reclaim"; do
    # shellcheck disable=SC2086 # words
    expect_other 1 $command
done
exists $k || fail "another user removed it"
expect_other 0 ls --raw --output KEY
grep -q "$k" "$work/out" && fail "another user sees it"
same "content" "$("$tool" read $k)" 0123456789

# Readable by all: only if asked for, and the reader cannot lock.
chmod 644 "/dev/shm/${k#shm:}"
expect_other 1 read $k
expect_other 0 read --allow-other-owner $k
same "what the other user reads" "$(cat "$work/out")" 0123456789
expect_other 1 write --allow-other-owner $k "$work/ten"
expect_other 1 lock --allow-other-owner $k -n -- true
expect_other 1 rm $k
exists $k || fail "another user removed it"
# Also while its owner holds the lock: there is no waiting without the right to.
hold $k
expect_other 0 read --allow-other-owner $k
same "what the other user reads" "$(cat "$work/out")" 0123456789
release
expect_quiet 0 rm $k

# Writable by all: everybody has to ask.
"$tool" create $k --size 10 --mode 666 >/dev/null
expect 1 write $k "$work/ten"
one_line
expect_quiet 0 write --allow-shared-write $k "$work/ten"
expect_other 1 read --allow-other-owner $k
expect_other 1 read --allow-shared-write $k
expect_other 0 read --allow-shared-write --allow-other-owner $k
expect_other 0 lock --allow-shared-write --allow-other-owner $k -n -- true
printf abc >"$work/three"
chmod 644 "$work/three"
expect_other 0 write --allow-shared-write --allow-other-owner $k "$work/three"
expect_quiet 0 read --allow-shared-write $k
same "what the other user wrote" "$(cat "$work/out")" abc3456789
expect_quiet 0 rm $k

# Two users' plain keys never meet.
expect_quiet 0 create "$name-plain" --size 1
expect_other 0 create "$name-plain" --size 2
[ "$("$tool" show "$name-plain" | head -n 1)" = "$($nobody "$tool" show "$name-plain" |
    head -n 1)" ] && fail "two users' plain keys are the same segment"
expect_other 0 rm "$name-plain"
expect_quiet 0 rm "$name-plain"

finish
