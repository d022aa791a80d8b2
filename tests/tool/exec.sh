#!/bin/sh
# exec: a sealed segment for a command.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
# shellcheck disable=SC2016 # inner shells are meant
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

printf 0123456789 >"$work/ten"

expect_quiet 0 exec --size 10 --input "$work/ten" -- sh -c '"$0" read "$MAPSEG_KEY"' "$tool"
same "what the command finds" "$(cat "$work/out")" 0123456789
expect_quiet 0 exec --size 12 --input "$work/ten" sh -c '"$0" read "$MAPSEG_KEY" | od -An -c' "$tool"
same "a shorter input" "$(tr -d ' \n' <"$work/out")" '0123456789\0\0'
printf piped | expect_quiet 0 exec --size 5 --input - -- sh -c '"$0" read "$MAPSEG_KEY"' "$tool"
same "input from a pipe" "$(cat "$work/out")" piped
echo mine | expect_quiet 0 exec --size 1 -- cat
same "the command's own input" "$(cat "$work/out")" mine

expect_quiet 0 exec --size 2K -- sh -c 'echo "$MAPSEG_KEY"; "$0" show "$MAPSEG_KEY"' "$tool"
grep -q '^memfd:[0-9]*?id=[0-9a-f]\{32\}$' "$work/out" || fail "key: $(cat "$work/out")"
grep -Eq '^Seals: *shrink grow( exec)? seal$' "$work/out" || fail "seals: $(cat "$work/out")"
grep -q '^Attached: *0$' "$work/out" || fail "mapseg stays attached: $(cat "$work/out")"
grep -q '2048 bytes' "$work/out" || fail "size: $(cat "$work/out")"
has "$work/out" "mode 0600"

# Nor does it keep the descriptor: the command's presence ends with the command.
# It closes it when the command has been started, so the command looks again.
expect_quiet 0 exec --size 1 -- sh -c '
    look=0
    while [ $look -lt 300 ]; do
        look=$((look + 1))
        count=$(ls -l "/proc/$PPID/fd" "/proc/$$/fd" 2>/dev/null | grep -c memfd:)
        [ "$count" -ne 1 ] || break
        sleep 0.2
    done
    echo "$count"'
same "descriptors of the segment" "$(cat "$work/out")" 1

# The command writes, and the next one reads, in the same segment.
expect_quiet 0 exec --size 10 --input "$work/ten" -- sh -c '
    printf abc | "$0" write "$MAPSEG_KEY" && "$0" read "$MAPSEG_KEY"' "$tool"
same "written by the command" "$(cat "$work/out")" abc3456789

# Another id, or another file under that number, is noticed.
expect 1 exec --size 10 -- sh -c '
    "$0" read "${MAPSEG_KEY%?id=*}?id=00000000000000000000000000000000"' "$tool"
one_line
expect 1 exec --size 10 -- sh -c 'n=${MAPSEG_KEY#memfd:}; n=${n%%"?"*}
    eval "exec $n</dev/null"; "$0" read "$MAPSEG_KEY"' "$tool"
one_line

# What goes in as one exec's segment is not handed to another's command.
expect_quiet 0 exec --size 1 -- "$tool" exec --size 2 -- sh -c '
    "$0" read "$MAPSEG_KEY" | wc -c' "$tool"
same "the inner segment" "$(tr -d ' ' <"$work/out")" 2

expect_quiet 4 exec --size 1 -- sh -c 'exit 4'
expect_quiet 143 exec --size 1 -- sh -c 'kill -TERM $$'
expect 127 exec --size 1 -- "$work/none"
one_line
expect 126 exec --size 1 -- "$work"
one_line
expect_failure "larger" exec --size 9 --input "$work/ten" -- touch "$work/ran"
printf 0123456789 | expect_failure "larger" exec --size 9 --input - -- touch "$work/ran"
expect_failure "$work/none" exec --size 9 --input "$work/none" -- touch "$work/ran"
expect_failure "directory" exec --size 9 --input "$work" -- touch "$work/ran"
expect 1 exec --size 0 -- touch "$work/ran"
one_line
expect 1 exec --size 1048576G -- touch "$work/ran"
one_line
[ -e "$work/ran" ] && fail "a command ran without its segment"

# mapseg hands a signal on and waits for the command.
"$tool" exec --size 1 -- sh -c 'trap "exit 6" TERM; touch "$0"; while :; do sleep 0.05; done' \
    "$work/command" &
child=$!
children="$children $child"
await test -e "$work/command"
kill -TERM "$child"
wait "$child"
same "status of a command that got a signal" $? 6

finish
