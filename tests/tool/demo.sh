#!/bin/sh
# demo: all parts hold, nothing is left, also when it is stopped half way.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

left()
{
    for file in /dev/shm/mapseg-demo-"$1"-*; do
        [ -e "$file" ] && fail "demo left $file"
    done
}

head -c 9000001 /dev/urandom >"$work/file"
status=0
timeout 250 "$tool" demo "$work/file" >"$work/out" 2>"$work/err" || status=$?
same "status of demo" $status 0
if [ $status -ne 0 ] || [ -s "$work/err" ]; then
    cat "$work/out" "$work/err"
fi
[ -s "$work/err" ] && fail "demo complained"
has "$work/out" "All of it held."
same "parts" "$(grep -c '^[1-5]\. ' "$work/out")" 5
same "outcomes" "$(grep -c -e '^   HELD: ' -e '^   SKIPPED: ' "$work/out")" 5
has "$work/out" "9000001 bytes"
same "processes that add" "$(grep -c 'added 100000' "$work/out")" 3
same "processes that were told" "$(grep -c 'was told that' "$work/out")" 1
has "$work/out" "the total is 324999"
process=$(sed -n 's/^mapseg demo, process \([0-9]*\),.*/\1/p' "$work/out")
left "$process"

# What cannot be shared.
: >"$work/empty"
for file in "$work/none" "$work" "$work/empty" /dev/null; do
    expect_failure "$file" demo "$file"
done

# Without FILE it finds or makes one.
expect_quiet 0 demo
has "$work/out" "All of it held."

# A failing process is a part that does not hold: here no file may be so large.
status=0
(ulimit -f 1000 && exec timeout 60 "$tool" demo "$work/file") >"$work/out" 2>"$work/err" ||
    status=$?
same "status of demo without room" $status 1
has "$work/out" "NOT ALL OF IT HELD."
has "$work/out" "DID NOT HOLD"
left "$(sed -n 's/^mapseg demo, process \([0-9]*\),.*/\1/p' "$work/out")"

# Stopped in each part, with segments in use.
for part in 1 2 3 4; do
    for signal in INT TERM; do
        : >"$work/out"
        # What a shell starts in the background would ignore SIGINT.
        env --default-signal=INT "$tool" demo "$work/file" >"$work/out" 2>"$work/err" &
        child=$!
        children="$children $child"
        await grep -q "^$part\\. " "$work/out"
        kill -s $signal "$child" 2>/dev/null
        status=0
        wait "$child" || status=$?
        case $signal/$status in
        INT/130 | TERM/143) ;;
        */0) grep -q "All of it held." "$work/out" || fail "stopped in part $part: status 0" ;;
        *) fail "stopped in part $part by $signal: status $status" ;;
        esac
        left "$child"
    done
done

finish
