#!/bin/sh
# The command and names that vanish: what show and ls tell of segments that have lost theirs,
# create --replace, and waiting for a segment.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

k=shm:$name-vanished
file=/dev/shm/$name-vanished

# Runs a command under the lock of $k until $1 is removed, and waits until it does. Its process
# number is in $!.
hold()
{
    : >"$1"
    # shellcheck disable=SC2016
    "$tool" lock $k -- sh -c 'echo >"$1.on"; while [ -e "$1" ]; do sleep 0.02; done' - "$1" &
    holder=$!
    children="$children $holder"
    tries=0
    while [ ! -e "$1.on" ] && [ $tries -lt 3000 ]; do
        sleep 0.02
        tries=$((tries + 1))
    done
    [ -e "$1.on" ] || fail "no process came to hold the lock"
}

expect_quiet 0 create $k --size 10
printf 'old data!\n' >"$work/old"
expect_quiet 0 write $k "$work/old"
hold "$work/first"
first=$holder
expect_quiet 0 ls --nameless --noheadings --output PATH
if grep -q "/proc/$first/" "$work/out"; then
    fail "a segment with its name is listed as nameless"
fi

# A clean-up takes the name.
rm "$file"
expect 1 show $k
has "$work/err" "process $first still has a segment that had this name"
expect_quiet 0 ls --nameless --noheadings --raw --output PATH,SIZE,ATTACHED,LOCK,KEY
grep -q "^/proc/$first/fd/[0-9]* 10B* 1 held -\$" "$work/out" ||
    fail "the nameless segment is not listed: $(cat "$work/out")"
saved=$(sed -n "s,^\(/proc/$first/fd/[0-9]*\) .*,\1,p" "$work/out")
# What is in it can still be had.
tail -c 10 "$saved" | cmp -s - "$work/old" || fail "the data cannot be read from $saved"
"$tool" ls --noheadings --output KEY | grep -q -F $k && fail "ls lists a name that is gone"

# Another one has the name: both are told of.
expect_quiet 0 create $k --size 20
expect_quiet 0 show $k
has "$work/out" "process $first still has another segment that had this name, $saved"
has "$work/out" "Attached:    0"
same "attached to the new one" "$("$tool" ls --raw --noheadings --output KEY,ATTACHED,ATTACHED-WRITERS |
    sed -n "s/^$k //p")" "0 0"

# create --replace takes the name although a process is attached; --reclaim does not.
hold "$work/second"
expect 1 create $k --size 30 --reclaim
has "$work/err" "--replace"
expect_quiet 0 create $k --size 30 --replace
expect_quiet 0 show $k
has "$work/out" "30 bytes"
has "$work/out" "process $holder still has another segment that had this name"
rm "$work/first" "$work/second"
wait $first || fail "the first holder failed"
wait "$holder" || fail "the second holder failed"
expect_quiet 0 show $k
grep '^Name:' "$work/out" && fail "processes that have ended are told of"

# A process that can write is counted as one.
mkfifo "$work/input"
"$tool" write $k "$work/input" &
children="$children $!"
exec 3>"$work/input"
tries=0
while [ "$("$tool" ls --raw --noheadings --output KEY,ATTACHED,ATTACHED-WRITERS |
    sed -n "s/^$k //p")" != "1 1" ] && [ $tries -lt 1000 ]; do
    sleep 0.02
    tries=$((tries + 1))
done
expect_quiet 0 show $k
has "$work/out" "Attached:    1, of which 1 can write the data"
exec 3>&-
wait $! || fail "write failed"
expect_quiet 0 rm $k

# What is not there yet is waited for; or not for longer than was said.
expect 1 read $k --wait 0
expect 1 read $k --wait 0.05
has "$work/err" "no such segment"
expect 2 read $k --wait soon
"$tool" read $k "$work/copy" --wait 100 &
reader=$!
children="$children $reader"
sleep 0.1
printf waited >"$work/new"
"$tool" write $k "$work/new" --create --wait 100 || fail "write --create waited"
wait $reader || fail "read --wait failed"
[ -s "$work/copy" ] || fail "read --wait copied nothing"
expect_quiet 0 rm $k
finish
