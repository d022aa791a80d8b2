# support.sh - what the tests of the mapseg command share; they source it.
# SPDX-License-Identifier: MIT
#
# shellcheck shell=sh
# shellcheck disable=SC2034 # the tests use the variables
set -u

tool=${MAPSEG_TOOL-${MAPSEG-}}
if [ -z "$tool" ]; then
    echo "skipped: the mapseg command is not built"
    exit 77
fi

# All names that a test makes begin with it.
name=mapseg-test-$$
work=$(mktemp -d) || exit 99
children=

leave()
{
    for child in $children; do
        kill -KILL "$child" 2>/dev/null
    done
    rm -rf "$work" /dev/shm/*"$name"*
}
trap leave EXIT
trap 'exit 99' HUP INT TERM

skip()
{
    echo "skipped: $*"
    exit 77
}

fail()
{
    printf 'FAIL: %s\n' "$*"
    # Not a variable: some checks run at the end of a pipe, in a subshell.
    echo >>"$work/failures"
}

# The last word of a test.
finish()
{
    [ -e "$work/failures" ] || exit 0
    echo "$(wc -l <"$work/failures") failed"
    exit 1
}

# $1: what it is about; $2: what there is; $3: what there should be.
same()
{
    [ "$2" = "$3" ] || fail "$1: it is '$2', not '$3'"
}

# $1: a file; $2: a string that must be in it.
has()
{
    grep -q -F -e "$2" "$1" || fail "'$2' is not in: $(cat "$1")"
}

# Runs the tool with $2... and wants the exit status $1. What it prints is in
# $work/out and $work/err.
expect()
{
    wanted=$1
    shift
    status=0
    timeout 60 "$tool" "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" -eq "$wanted" ] && return
    fail "mapseg $*: status $status, not $wanted; $(cat "$work/err")"
}

# The same, saying nothing on standard error.
expect_quiet()
{
    expect "$@"
    [ -s "$work/err" ] && fail "mapseg $*: said $(cat "$work/err")"
}

one_line_of_error()
{
    same "lines on standard error" "$(wc -l <"$work/err")" 1
}

one_line()
{
    one_line_of_error
    [ -s "$work/out" ] && fail "it printed $(cat "$work/out")"
}

# Wrong usage: status 2, and one line that has $1.
expect_usage()
{
    words=$1
    shift
    expect 2 "$@"
    one_line
    has "$work/err" "$words"
    grep -q '^mapseg' "$work/err" || fail "mapseg $*: no name in: $(cat "$work/err")"
}

# A failure: status 1, and one line that has $1.
expect_failure()
{
    words=$1
    shift
    expect 1 "$@"
    one_line
    has "$work/err" "$words"
    grep -q '^mapseg: ' "$work/err" || fail "mapseg $*: no name in: $(cat "$work/err")"
}

# One field of a segment, from what show says.
shown()
{
    "$tool" show "$1" | sed -n "s/^$2: *//p"
}

# One column of a segment's line in the list.
listed()
{
    "$tool" ls --raw --noheadings --bytes --output "KEY,$2" | sed -n "s/^$1 //p"
}

# Whether column $2 of segment $1 says $3.
is_listed()
{
    [ "$(listed "$1" "$2")" = "$3" ]
}

exists()
{
    [ -e "/dev/shm/${1#shm:}" ]
}

# Waits until a command succeeds; two minutes are a hang.
await()
{
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 2400 ]; then
            fail "this never came true: $*"
            return 1
        fi
        sleep 0.05
    done
}

# Prepares what another user runs: $other_tool is the command, copied with its
# library to where other users can get, since a build directory may be closed to others.
# False, with $why: that user cannot run it there either.
#
# $@: what makes a command run as that user.
share_tool()
{
    other_tool=$work/other/mapseg
    chmod 711 "$work"
    if [ ! -d "$work/other" ]; then
        mkdir -m 755 "$work/other"
        real=${tool%/*}/.libs/${tool##*/}
        [ -x "$real" ] || real=$tool
        cp "$real" "$work/other/command"
        cp -P "${tool%/*}"/../lib/.libs/libmapseg.so* "$work/other" 2>/dev/null
        printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' \
            "$work/other" "$work/other/command" >"$other_tool"
        chmod 755 "$other_tool" "$work/other/command"
    fi
    why=$("$@" "$other_tool" --version 2>&1) && return 0
    why="another user cannot run $other_tool: $why"
    return 1
}

# Starts `mapseg lock $1` in the background with a command that says when it
# runs and then sleeps. $holder is the process that holds the lock, $sleeper
# the command.
hold()
{
    rm -f "$work/sleeper"
    # shellcheck disable=SC2016 # the inner shell is meant
    "$tool" lock "$1" -- sh -c 'echo $$ >"$0.new"; mv "$0.new" "$0"; exec sleep 1000' \
        "$work/sleeper" 2>"$work/holder.err" &
    holder=$!
    children="$children $holder"
    await test -s "$work/sleeper"
    sleeper=$(cat "$work/sleeper")
    children="$children $sleeper"
}

# Ends what hold started, in order.
release()
{
    kill -TERM "$holder"
    wait "$holder" 2>/dev/null
}

# Kills the one that holds the lock, so that it cannot release it.
kill_holder()
{
    kill -KILL "$holder"
    wait "$holder" 2>/dev/null
    await gone "$sleeper"
}

# Whether a process has ended; nobody may have waited for it yet.
gone()
{
    ! kill -0 "$1" 2>/dev/null || grep -q '^State:.*zombie' "/proc/$1/status"
}
