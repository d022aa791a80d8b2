#!/bin/sh
# lock: exclusion between processes, exit codes, and the death of an owner.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
# shellcheck disable=SC2016 # inner shells are meant
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

k=shm:$name-lock

# -------------------------------------------------------------- exit codes --

expect_quiet 0 lock $k -- true
exists $k && fail "lock left its segment behind"
expect_quiet 7 lock $k -- sh -c 'exit 7'
expect_quiet 3 lock $k sh -c 'exit 3'
expect_quiet 0 lock -n $k -w 1 -- test -n x
expect_quiet 143 lock $k -- sh -c 'kill -TERM $$'
expect_quiet 137 lock $k -- sh -c 'kill -KILL $$'
expect_quiet 141 lock $k -- sh -c 'kill -PIPE $$'
expect 127 lock $k -- "$work/none"
one_line
PATH=/usr/bin:/bin expect 127 lock $k -- "$name-no-such-command"
one_line
: >"$work/plain-file"
expect 126 lock $k -- "$work/plain-file"
one_line
expect 126 lock $k -- "$work"
one_line
exists $k && fail "lock left its segment behind"

echo input | "$tool" lock $k -- cat >"$work/out" || fail "lock with a pipe"
same "what the command reads and prints" "$(cat "$work/out")" input
expect_quiet 0 lock $k -- sh -c 'echo "[$MAPSEG_OWNER_DIED]"'
same "MAPSEG_OWNER_DIED" "$(cat "$work/out")" "[]"
MAPSEG_OWNER_DIED=1 expect_quiet 0 lock $k -- sh -c 'echo "${MAPSEG_OWNER_DIED-unset}"'
same "MAPSEG_OWNER_DIED from outside" "$(cat "$work/out")" unset

# ---------------------------------------------------------------- conflict --

hold $k
exists $k || fail "no segment while the lock is held"
same "lock state" "$(listed $k LOCK)" held
shown $k Lock >"$work/out"
has "$work/out" "process $holder"
expect_failure "$k" lock $k --no-wait -- touch "$work/ran"
expect_failure "$k" lock $k -n touch "$work/ran"
expect_failure "$k" lock $k --timeout 0 -- touch "$work/ran"
expect_failure "$k" lock $k --timeout 0.2 -- touch "$work/ran"
expect_failure "$k" lock $k -w .25 -- touch "$work/ran"
expect 5 lock $k -n --conflict-exit-code 5 -- touch "$work/ran"
one_line
expect 0 lock $k -E 0 -w 0.1 -- touch "$work/ran"
expect 255 lock -E 255 -n $k -- touch "$work/ran"

# A stopped owner is alive.
kill -STOP "$holder"
expect_failure "$k" lock $k --timeout 1 -- touch "$work/ran"
kill -CONT "$holder"
[ -e "$work/ran" ] && fail "a command ran without the lock"

# A waiter gets it as soon as the owner leaves, without a word.
"$tool" lock $k -- sh -c 'echo "[$MAPSEG_OWNER_DIED]"' >"$work/waiter" 2>&1 &
waiter=$!
children="$children $waiter"
[ -s "$work/waiter" ] && fail "a waiter ran while the lock was held"
kill -TERM "$holder"
wait "$holder"
same "status of a command that was ended" $? 143
gone "$sleeper" || fail "the lock ended before its command"
wait "$waiter" || fail "the waiter's status is $?"
same "the waiter" "$(cat "$work/waiter")" "[]"
exists $k && fail "the last one out left the segment behind"

# --------------------------------------------------------------- exclusion --

echo 0 >"$work/counter"
add='i=0
while [ $i -lt 25 ]; do
    "$1" lock "$2" -- sh -c '\''read -r n <"$0"; : "$(date)"; echo $((n + 1)) >"$0"'\'' "$0" || exit
    i=$((i + 1))
done'
adders=
for _ in 1 2 3 4; do
    sh -c "$add" "$work/counter" "$tool" $k &
    adders="$adders $!"
    children="$children $!"
done
for adder in $adders; do
    wait "$adder" || fail "an adder's status is $?"
done
same "what four processes counted" "$(cat "$work/counter")" 100
exists $k && fail "the last adder left the segment behind"

# ------------------------------------------------------------- owner death --

# With others waiting: exactly one of them is told, and all get on.
hold $k
waiters=
for i in 1 2 3; do
    "$tool" lock $k --consistent -- sh -c 'echo "[$MAPSEG_OWNER_DIED]"' >"$work/waiter.$i" 2>&1 &
    waiters="$waiters $!"
    children="$children $!"
done
await is_listed $k ATTACHED 4
kill_holder
for waiter in $waiters; do
    wait "$waiter" || fail "a waiter's status is $?"
done
same "waiters that were told" "$(cat "$work"/waiter.? | grep -c '^\[1\]$')" 1
same "notes" "$(cat "$work"/waiter.? | grep -c '^mapseg: .*died')" 1
exists $k && fail "the last waiter left the segment behind"

# In a segment that stays, the mark does too, until it is declared good.
"$tool" create $k --size 10 >/dev/null
hold $k
kill_holder
same "after the owner's death" "$(listed $k LOCK)" owner-died
expect 0 lock $k -- sh -c 'echo "[$MAPSEG_OWNER_DIED]"'
same "the next owner" "$(cat "$work/out")" "[1]"
same "lines of the note" "$(wc -l <"$work/err")" 1
has "$work/err" died
same "mark" "$(listed $k LOCK)" inconsistent
expect 9 lock $k --consistent -- sh -c 'exit 9'
same "mark after a command that failed" "$(listed $k LOCK)" inconsistent
expect 143 lock $k --consistent -- sh -c 'kill -TERM $$'
same "mark after a command that was killed" "$(listed $k LOCK)" inconsistent
expect 0 lock $k --no-wait --consistent -- sh -c 'echo "[$MAPSEG_OWNER_DIED]"'
same "the owner that repairs" "$(cat "$work/out")" "[1]"
same "mark after the repair" "$(listed $k LOCK)" free
expect_quiet 0 lock $k -- sh -c 'echo "[$MAPSEG_OWNER_DIED]"'
same "the owner after the repair" "$(cat "$work/out")" "[]"
[ -n "$(shown $k Recoveries)" ] || fail "show does not count the recovery"

# read waits for the owner, and sees what it wrote.
path=/dev/shm/${k#shm:}
"$tool" lock $k -- sh -c 'touch "$0"; sleep 1
    printf new | dd of="$1" bs=1 seek=4096 conv=notrunc 2>/dev/null' "$work/locked" "$path" &
children="$children $!"
await test -e "$work/locked"
expect_quiet 0 read $k --size 3
same "what read finds under the lock" "$(cat "$work/out")" new
wait
expect_quiet 0 rm $k

# ----------------------------------------------------------------- signals --

# The command gets a signal that is sent to mapseg, and the lock is held until
# the command has ended.
"$tool" lock $k -- sh -c 'trap "touch \"$0.told\"" TERM; touch "$0"; while ! [ -e "$0.end" ]
    do sleep 0.05; done; exit 6' "$work/command" &
holder=$!
children="$children $holder"
await test -e "$work/command"
kill -TERM "$holder"
await test -e "$work/command.told"
expect_failure "$k" lock $k -n -- true
touch "$work/command.end"
wait "$holder"
same "status of a command that stayed" $? 6
exists $k && fail "lock left its segment behind"

finish
