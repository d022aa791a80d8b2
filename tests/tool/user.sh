#!/bin/sh
# Segments of other users, and those that others may write.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

[ "$(id -u)" -eq 0 ] || skip "only root can run programs as other users"
as_owner="setpriv --reuid 65533 --regid 65533 --clear-groups"
as_other="setpriv --reuid 65534 --regid 65534 --clear-groups"
$as_owner true 2>/dev/null || skip "setpriv cannot become another user here"
# shellcheck disable=SC2086 # words
share_tool $as_owner || skip "$why"

# The owner's tool is the one that `expect` and the others run.
chmod 777 "$work"
printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$as_owner" "$other_tool" >"$work/tool"
chmod 755 "$work/tool"
tool=$work/tool

k=shm:$name-user
printf 0123456789 >"$work/ten"
printf abc >"$work/three"
chmod 644 "$work/ten" "$work/three"

# As expect, by the other user; a failure has its one line.
expect_other()
{
    wanted=$1
    shift
    status=0
    # shellcheck disable=SC2086 # words
    timeout 60 $as_other "$other_tool" "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" -eq "$wanted" ] || fail "mapseg $*, by another: status $status; $(cat "$work/err")"
    if [ "$wanted" -ne 0 ]; then
        one_line
    elif [ -s "$work/err" ]; then
        fail "mapseg $*, by another: $(cat "$work/err")"
    fi
}

# Private: nothing goes, and it is not listed.
expect_quiet 0 write --create $k "$work/ten"
for command in "read $k" "write $k $work/ten" "rm $k" "reclaim $k" "lock $k -n -- true" \
    "read --allow-other-owner $k" "create $k --size 1 --reclaim"; do
    # shellcheck disable=SC2086 # words
    expect_other 1 $command
done
exists $k || fail "another user removed it"
expect_other 0 ls --raw --output KEY
grep -q "$k" "$work/out" && fail "another user sees it"
same "content" "$("$tool" read $k)" 0123456789
expect_quiet 0 rm $k

# Readable by all: only if asked for, and the reader cannot lock.
expect_quiet 0 create $k --size 10 --mode 644
expect_quiet 0 write $k "$work/ten"
expect_other 1 read $k
expect_other 1 read --allow-shared-write $k
expect_other 0 read --allow-other-owner $k
same "what the other user reads" "$(cat "$work/out")" 0123456789
expect_other 1 write --allow-other-owner $k "$work/three"
expect_other 1 lock --allow-other-owner $k -n -- touch "$work/ran"
expect_other 1 rm $k
exists $k || fail "another user removed it"
# Also while its owner holds the lock: who may not take it does not wait for it.
hold $k
expect_other 0 read --allow-other-owner $k
same "what the other user reads" "$(cat "$work/out")" 0123456789
release
expect_quiet 0 rm $k

# Writable by all: its owner has to ask too.
expect_quiet 0 create $k --size 10 --mode 666
expect 1 write $k "$work/ten"
one_line
expect_quiet 0 write --allow-shared-write $k "$work/ten"
expect_other 1 read --allow-other-owner $k
expect_other 1 read --allow-shared-write $k
expect_other 1 lock --allow-other-owner $k -n -- touch "$work/ran"
expect_other 0 read --allow-shared-write --allow-other-owner $k
expect_other 0 lock --allow-shared-write --allow-other-owner $k -n -- true
expect_other 0 write --allow-shared-write --allow-other-owner $k "$work/three"
expect_quiet 0 read --allow-shared-write $k
same "what the other user wrote" "$(cat "$work/out")" abc3456789
expect_quiet 0 rm $k
[ -e "$work/ran" ] && fail "a command ran without the lock"

# Two users' plain keys never meet.
expect_quiet 0 create "$name-plain" --size 1
expect_other 0 create "$name-plain" --size 2
expect_quiet 0 show "$name-plain"
grep -q '^Data: *1B ' "$work/out" || fail "the one user's segment: $(cat "$work/out")"
expect_other 0 show "$name-plain"
grep -q '^Data: *2B ' "$work/out" || fail "the other user's segment: $(cat "$work/out")"
expect_other 0 rm "$name-plain"
expect_quiet 0 rm "$name-plain"

finish
