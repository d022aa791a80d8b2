#!/bin/sh
# Segments of other programs: posix: and raw: keys, repair, ls --all.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

k=posix:/$name-posix
r=raw:$work/file

expect_quiet 0 create "$k" --size 1K
same "the file" "$(wc -c <"/dev/shm/$name-posix")" 1024
printf 'hello' | "$tool" write "$k" || fail "nothing was written to $k"
same "what is read" "$("$tool" read "$k" --size 5)" hello
same "what is there" "$(head -c 5 "/dev/shm/$name-posix")" hello

# ls has it only where all is asked for, as its own or not.
"$tool" ls --raw --noheadings --output KEY | grep -q "$name-posix" && fail "ls has what is not mapseg's"
same "ls --all" "$("$tool" ls --all --raw --noheadings --bytes --output KEY,SIZE,LOCK,STATE |
    grep "$name-posix")" "$k 1024 free foreign"
"$tool" ls --all --nameless >/dev/null 2>&1 && fail "--all and --nameless go together"

# A lock that is free, or whose owner lives, is left alone; a dead one's is freed.
if "$tool" lock "$k" true; then
    "$tool" lock "$k" -- "$tool" repair --force "$k" >/dev/null 2>&1 &&
        fail "a lock was freed whose owner lives"
    expect_quiet 0 repair "$k"
    grep -q 'nothing was changed' "$work/out" || fail "repair does not say that the lock was free"
    # shellcheck disable=SC2016 # for the inner shell
    "$tool" lock "$k" -- sh -c 'kill -9 $PPID' >/dev/null 2>&1
    "$tool" show "$k" | grep -q 'Lock: *its owner died' || fail "show does not know a dead owner"
    expect_quiet 0 repair "$k"
    grep -q 'is dead' "$work/out" || fail "repair does not say what it found"
    "$tool" show "$k" | grep -q 'Lock: *free' || fail "the lock was not freed"
fi
expect 1 repair "shm:$name-none"
expect 1 lock "posix:/$name-none" true
[ -e "/dev/shm/$name-none" ] && fail "lock made another program's segment"
expect 1 reclaim "$k"
expect_quiet 0 rm "$k"
[ -e "/dev/shm/$name-posix" ] && fail "rm left the segment"
[ -e "/dev/shm/sem.$name-posix" ] && fail "rm left the semaphore"

printf 'raw data' >"$work/file"
chmod 600 "$work/file"
same "a raw file" "$("$tool" read "$r" --allow-shared-directory)" "raw data"
printf 'RAW' | "$tool" write "$r" --allow-shared-directory || fail "nothing was written to $r"
same "a raw file, written" "$(cat "$work/file")" "RAW data"
expect_quiet 0 rm "$r" --allow-shared-directory
[ -e "$work/file" ] && fail "rm left the raw file"

finish
