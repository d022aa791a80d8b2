#!/bin/sh
# ls and show, as text.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

k=shm:$name-ls

"$tool" create $k-a --size 3M --mode 0640 >/dev/null
"$tool" create $k-b --size 1536 >/dev/null
"$tool" create "$k-c with%20space" --size 100 >/dev/null
hold $k-b

expect_quiet 0 ls
same "headings" "$(head -n 1 "$work/out" | tr -s ' ' | sed 's/ $//')" \
    "KEY LABEL TYPE SIZE ATTACHED LOCK STATE MODE OWNER CREATED PATH"
user=$(id -un)
grep -q "^$k-a *shm *3M *0 *free *persistent *0640 *$user *20[0-9T:+-]* *$(
    )/dev/shm/${k#shm:}-a *\$" "$work/out" || fail "first line: $(grep $k-a "$work/out")"
grep -q "^$k-b *shm *1.5K *1 *held *live *0600 *$user " "$work/out" ||
    fail "second line: $(grep $k-b "$work/out")"
grep -q "^$k-c with space *shm *100B " "$work/out" || fail "third line: $(grep $k-c "$work/out")"

expect_quiet 0 ls --noheadings
grep -q '^KEY' "$work/out" && fail "--noheadings left headings"
grep -q "^$k-a " "$work/out" || fail "--noheadings left the list out"
expect_quiet 0 ls -rno size,KEY,Attached -b
grep -q "^3145728 $k-a 0\$" "$work/out" || fail "-rnbo: $(cat "$work/out")"
grep -q "^1536 $k-b 1\$" "$work/out" || fail "-rnbo: $(cat "$work/out")"
grep -q "^100 $k-c\\\\x20with\\\\x20space 0\$" "$work/out" || fail "-rnbo: $(cat "$work/out")"
expect_quiet 0 ls --raw --output SIZE,KEY
same "raw headings" "$(head -n 1 "$work/out")" "SIZE KEY"

for column in KEY LABEL TYPE SIZE ATTACHED LOCK STATE MODE OWNER CREATED PATH \
    CONTENDED SLEPT LONGEST-WAIT-NS RECOVERIES; do
    expect_quiet 0 ls --raw --output $column,KEY
    same "heading of $column" "$(head -n 1 "$work/out")" "$column KEY"
    same "fields of $column" "$(awk 'NF != 2' "$work/out")" ""
done

# Labels: the plain key, or what was said instead, or neither.
plain=$name-photos
expect_quiet 0 create $plain --size 1
plain_key=$(cat "$work/out")
same "label of a plain key" "$(listed "$plain_key" LABEL)" $plain
same "label of a plain key" "$(shown $plain Label)" $plain
expect_quiet 0 ls
grep -q "^$plain_key *$plain *shm *1B " "$work/out" || fail "line: $(grep $plain "$work/out")"
expect_quiet 0 rm $plain
expect_quiet 0 create $plain --size 1 --label "Grüße 世界"
same "label" "$(shown $plain Label)" "Grüße 世界"
expect_quiet 0 rm $plain
expect_quiet 0 create $plain --size 1 --label ""
same "no label" "$(shown $plain Label)" ""
expect_quiet 0 rm $plain
same "label of a native key" "$(listed $k-a LABEL)" -
same "label of a native key" "$(shown $k-a Label)" ""

# The longest, and what is refused.
longest=$(printf '%047d' 0)
expect_quiet 0 create $k-l --size 1 --label "$longest"
same "the longest label" "$(listed $k-l LABEL)" "$longest"
expect_quiet 0 rm $k-l
expect_failure "more than 47 bytes" create $k-l --size 1 --label "${longest}0"
expect_failure "not UTF-8" create $k-l --size 1 --label "$(printf 'a\377')"
exists $k-l && fail "a create that was refused left a segment"

# A label that a terminal would obey, and what another process wrote over it: no NUL and no UTF-8.
expect_quiet 0 create $k-l --size 1 --label "$(printf 'a\nb\033[31m\\x')"
same "label" "$(shown $k-l Label)" 'a\x0Ab\x1B[31m\x5Cx'
expect_quiet 0 ls --raw --noheadings --output LABEL,KEY
same "lines of an odd label" "$(grep -c -e "$k-l" "$work/out")" 1
head -c 48 /dev/zero | tr '\0' '\377' |
    dd of="/dev/shm/${k#shm:}-l" bs=1 seek=80 conv=notrunc 2>/dev/null
same "label of no characters" "$(shown $k-l Label)" \
    "$(printf '%048d' 0 | sed 's/0/\\xFF/g')"
same "state" "$(listed $k-l STATE)" persistent
expect_quiet 0 rm $k-l

# The counters of the lock.
shown $k-a Waits | grep -q . && fail "show counts waits that never were: $(shown $k-a Waits)"
same "counters of a new segment" "$(listed $k-a CONTENDED,SLEPT,LONGEST-WAIT-NS,RECOVERIES)" "0 0 0 0"

# Bytes of 1 are the same number whichever of them comes first.
count()
{
    head -c 8 /dev/zero | tr '\0' '\001' |
        dd of="/dev/shm/${k#shm:}-w" bs=1 seek="$1" conv=notrunc 2>/dev/null
}
ones=72340172838076673
expect_quiet 0 create $k-w --size 1
count 152
same "waits without sleep" "$(shown $k-w Waits)" "$ones for the lock, 0 of them asleep"
count 160
count 168
same "waits" "$(shown $k-w Waits)" \
    "$ones for the lock, $ones of them asleep; the longest took 72340172838.077 ms"
same "counters" "$(listed $k-w CONTENDED,SLEPT,LONGEST-WAIT-NS,RECOVERIES)" "$ones $ones $ones 0"
expect_quiet 0 rm $k-w

# What no line may hold raw: a name with a newline and escape sequences.
odd=$(printf 'shm:%s-ls-odd%%0A%%1B[31m' "$name")
expect_quiet 0 create "$odd" --size 1
expect_quiet 0 ls --raw --noheadings --output PATH,KEY
same "lines of odd names" "$(grep -c -e "$name-ls-odd" "$work/out")" 1
expect_quiet 0 ls
expect_quiet 0 show "$odd"
grep -q "$(printf '\033')" "$work/out" && fail "show prints escape sequences"
expect_failure "$name-ls-odd" create "$odd" --size 1
expect_quiet 0 rm "$odd"

# show
expect_quiet 0 show $k-a
for line in "Key: *$k-a" "Path: */dev/shm/${k#shm:}-a" "File system: *tmpfs" \
    "State: *persistent: .*" "Data: *3M (3145728 bytes from byte 4096 of the file on)" \
    "File: *3149824 bytes long, takes 3M" "Header: *format 1, id [0-9a-f]*, tag 0, persistent, each change wakes" \
    "Created: *20[0-9T:+-]*" "Access: *mode 0640, owner $user, group [0-9]*, 1 name" \
    "Attached: *0" "Lock: *free" "Verdict: *good.*"; do
    grep -q "^$line\$" "$work/out" || fail "show does not say '$line': $(cat "$work/out")"
done
expect_quiet 0 show $k-b
grep -q "^State: *live" "$work/out" || fail "show of a live segment: $(cat "$work/out")"
grep -q "^Attached: *1, of which 0 can write the data\$" "$work/out" || fail "show of a live segment: $(cat "$work/out")"
grep -q "^Lock: *held, by process $holder " "$work/out" || fail "show: $(cat "$work/out")"
expect_failure "$k-none" show $k-none

holder_of_b=$holder

# Looking changes nothing: the last one out still removes its segment.
hold $k-last
i=0
while [ $i -lt 20 ]; do
    "$tool" ls >/dev/null
    "$tool" show $k-last >/dev/null
    i=$((i + 1))
done
release
exists $k-last && fail "a segment outlived its last user"

# A dead owner, before and after the next one.
kill -KILL "$holder_of_b"
wait "$holder_of_b" 2>/dev/null
same "lock" "$(listed $k-b LOCK)" owner-died
shown $k-b Lock | grep -q "owner died.*$holder_of_b" || fail "show: $(shown $k-b Lock)"
"$tool" lock $k-b -- true 2>/dev/null
same "lock" "$(listed $k-b LOCK)" inconsistent
shown $k-b Lock | grep -q "^free; an earlier owner died" || fail "show: $(shown $k-b Lock)"

# A damaged header, and none.
printf '\377' | dd of="/dev/shm/${k#shm:}-a" bs=1 seek=20 conv=notrunc 2>/dev/null
same "state of a damaged segment" "$(listed $k-a STATE)" damaged
expect_quiet 0 show $k-a
grep -q "^Verdict: *corrupt: ." "$work/out" || fail "verdict: $(shown $k-a Verdict)"

# $XDG_RUNTIME_DIR/mapseg is listed too, where it is fit.
if mkdir -m 700 "/dev/shm/$name-runtime" "/dev/shm/$name-runtime/mapseg"; then
    export XDG_RUNTIME_DIR="/dev/shm/$name-runtime"
    expect_quiet 0 create "runtime:$name" --size 1
    expect_quiet 0 ls --raw --noheadings --output TYPE,KEY,PATH
    has "$work/out" "runtime runtime:$name /dev/shm/$name-runtime/mapseg/$name"
    expect_quiet 0 rm "runtime:$name"
fi

finish
