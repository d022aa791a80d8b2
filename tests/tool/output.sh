#!/bin/sh
# Results that cannot be printed, and standard descriptors that are closed.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
# shellcheck disable=SC2016 # inner shells are meant
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

k=shm:$name-output

# $1: what it is about. The run failed with one line, and left no segment.
made_nothing()
{
    same "status of $1" "$status" 1
    one_line_of_error
    has "$work/err" "standard output"
    exists $k && fail "$1 left a segment"
}

# ------------------------------------------------------------------ create --

status=0
"$tool" create $k --size 1 >/dev/full 2>"$work/err" || status=$?
made_nothing "create to a full disk"
has "$work/err" "\"$k\" was removed again"
status=0
"$tool" create $k --size 1 >&- 2>"$work/err" || status=$?
made_nothing "create to a closed output"
(status=0
"$tool" create $k --size 1 2>"$work/err" || status=$?
echo $status >"$work/status") | true
await test -s "$work/status"
if [ "$(cat "$work/status")" -ne 0 ]; then # or it was faster than its reader
    status=$(cat "$work/status")
    made_nothing "create to a closed pipe"
else
    expect_quiet 0 rm $k
fi
expect_quiet 0 create $k --size 1
status=0
"$tool" create $k --size 2 --reclaim >/dev/full 2>"$work/err" || status=$?
made_nothing "create --reclaim to a full disk"

# Another's segment is not the one to be taken back.
expect_quiet 0 create $k --size 1
"$tool" create $k --size 2 >/dev/full 2>"$work/err"
same "size of a segment that was there" "$(listed $k SIZE)" 1

# ----------------------------------------------------------------- reclaim --

"$tool" create $k-2 --size 1 >/dev/null
for output in /dev/full closed; do
    status=0
    if [ $output = closed ]; then
        "$tool" reclaim $k $k-2 >&- 2>"$work/err" || status=$?
    else
        "$tool" reclaim $k $k-2 >$output 2>"$work/err" || status=$?
    fi
    same "status of reclaim" $status 1
    one_line_of_error
    has "$work/err" "\"$k\" was removed"
    exists $k && fail "reclaim says that it removed $k"
    exists $k-2 || fail "reclaim went on removing what it could not tell"
    expect_quiet 0 create $k --size 1
done
expect_quiet 0 rm $k $k-2

# ------------------------------------------------------ closed descriptors --

# What is closed for mapseg is no file of its own, whatever it opens.
"$tool" create $k-listed --size 1 >/dev/null
printf 0123456789 >"$work/ten"
for closed in "<&-" ">&-" "2>&-" "<&- >&-" "<&- 2>&-" ">&- 2>&-" "<&- >&- 2>&-"; do
    run="\"\$tool\" write --create $k \"\$work/ten\" $closed"
    eval "$run" || fail "$run: status $?"
    run="\"\$tool\" lock $k $closed -- true"
    eval "$run" || fail "$run: status $?"
    run="\"\$tool\" read $k \"\$work/copy\" $closed"
    eval "$run" || fail "$run: status $?"
    cmp "$work/ten" "$work/copy" || fail "$run: another content"
    run="\"\$tool\" rm $k $closed"
    eval "$run" || fail "$run: status $?"
    for arguments in "show $k-none" "create $k" "write $k" "read $k" "rm $k" "sing"; do
        status=0
        run="\"\$tool\" $arguments $closed 2>/dev/null"
        eval "$run" || status=$?
        [ $status -eq 1 ] || [ $status -eq 2 ] || fail "$run: status $status"
    done
    case $closed in
    *">&- 2>&-" | ">&-"*) ;;
    *) continue ;;
    esac
    # A result that goes nowhere is no success.
    for arguments in "create $k --size 1" "ls" "--help" "--version" "exec --help"; do
        run="\"\$tool\" $arguments $closed"
        status=0
        eval "$run 2>/dev/null" || status=$?
        same "status of $run" $status 1
        exists $k && fail "$run left a segment"
    done
done
status=0
"$tool" write --create $k <&- 2>"$work/err" || status=$?
same "status of a write from a closed input" $status 1
one_line_of_error
has "$work/err" "standard input"
exists $k && fail "a write from a closed input left a segment"
status=0
"$tool" exec --size 10 --input - -- true <&- 2>"$work/err" || status=$?
same "status of exec from a closed input" $status 1
one_line_of_error

# The commands that are run find closed what was closed.
for how in "lock $k" "exec --size 1"; do
    # shellcheck disable=SC2086 # words
    "$tool" $how -- sh -c '[ ! -e /proc/$$/fd/0 ] || echo open' <&- >"$work/out" ||
        fail "mapseg $how with a closed input: $?"
    same "input of the command of $how" "$(cat "$work/out")" ""
    # shellcheck disable=SC2086 # words
    "$tool" $how -- sh -c '[ ! -e /proc/$$/fd/1 ] || echo open >&2' >&- 2>"$work/out" ||
        fail "mapseg $how with a closed output: $?"
    same "output of the command of $how" "$(cat "$work/out")" ""
done

finish
