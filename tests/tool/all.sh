#!/bin/sh
# create, write, read, rm and reclaim.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

k=shm:$name-one
data=4096 # where it begins in the file

# ------------------------------------------------------------------ create --

expect_quiet 0 create $k --size 10
same "what create prints" "$(cat "$work/out")" "$k"
exists $k || fail "create made nothing"
same "mode" "$(stat -c %a "/dev/shm/${k#shm:}")" 600
same "size" "$(listed $k SIZE)" 10
same "state" "$(listed $k STATE)" persistent
same "content" "$("$tool" read $k | od -An -c | tr -d ' \n')" '\0\0\0\0\0\0\0\0\0\0'
expect_failure "$k" create $k --size 20
same "size after a second create" "$(listed $k SIZE)" 10

id=$(shown $k Header)
expect_quiet 0 create $k --reclaim --size 2K
same "size after --reclaim" "$(listed $k SIZE)" 2048
[ "$(shown $k Header)" = "$id" ] && fail "--reclaim kept the segment"
hold $k
expect_failure "$k" create $k --reclaim --size 10
release
expect_quiet 0 rm $k

for size in 1k=1024 3M=3145728 1m=1048576; do
    expect_quiet 0 create $k --size ${size%=*}
    same "size ${size%=*}" "$(listed $k SIZE)" ${size#*=}
    expect_quiet 0 rm $k
done

(umask 077 && "$tool" create $k --size 1 --mode 0644 >/dev/null) || fail "create --mode"
same "mode 0644" "$(stat -c %a "/dev/shm/${k#shm:}")" 644
expect_quiet 0 rm $k

expect_quiet 0 create $k --size 8M
[ "$(stat -c %b "/dev/shm/${k#shm:}")" -ge 16384 ] || fail "create reserved no memory"
expect_quiet 0 create $k --size 8M --reclaim --lazy
[ "$(stat -c %b "/dev/shm/${k#shm:}")" -lt 1024 ] || fail "create --lazy reserved memory"
expect_quiet 0 rm $k

for size in 0 1048576G 8388608G 18446744073709551615; do
    expect_failure "$k" create $k --size $size
    exists $k && fail "create --size $size left a segment"
done

# -------------------------------------------------------------------- keys --

plain=$name-plain
expect_quiet 0 create "$plain" --size 1
native=$(cat "$work/out")
case $native in shm:*) ;; *) fail "a plain key became $native" ;; esac
expect_quiet 0 show "$native"
expect_failure "$native" create "$native" --size 1
expect_quiet 0 rm "$plain"
exists "$native" && fail "rm of the plain key left $native"

expect_quiet 0 create --plain $k --size 1
native=$(cat "$work/out")
[ "$native" = $k ] && fail "--plain was not heeded"
exists $k && fail "--plain was not heeded"
expect_quiet 0 --plain rm $k
exists "$native" && fail "--plain before the command was not heeded"

expect_quiet 0 create "SHM:${k#shm:}" --size 1
exists $k || fail "the type of a native key is not case-insensitive"
expect_quiet 0 rm $k

expect_quiet 0 create "file:$work/segment" --size 1
[ -f "$work/segment" ] || fail "file: made nothing"
expect_quiet 0 rm "file:$work/segment"
[ -e "$work/segment" ] && fail "file: is still there"

for key in systemv:$name systemv-7:$name WINDOWS:$name posix:/$name raw:/dev/shm/$name \
    memfd:; do
    expect 1 lock "$key" -n -- true
    one_line
done
expect_failure "" create shm:a/b --size 1
expect_failure "" create file:relative --size 1
# Like a type, but none.
expect_quiet 0 create "systemv-x:$name" --size 1
expect_quiet 0 rm "systemv-x:$name"

# ------------------------------------------------------------ write, read --

expect_failure "$k" write $k "$0"
expect_failure "$k" read $k
expect_failure "$k" read $k "$work/not-made"
[ -e "$work/not-made" ] && fail "read made a file without a segment"

printf 0123456789 >"$work/ten"
expect_quiet 0 create $k --size 10
expect_quiet 0 write $k "$work/ten"
expect_quiet 0 read $k
same "what read prints" "$(cat "$work/out")" 0123456789
same "the file" "$(tail -c +$((data + 1)) "/dev/shm/${k#shm:}")" 0123456789

printf abc >"$work/three"
expect_quiet 0 write $k "$work/three"
same "after a short write" "$("$tool" read $k)" abc3456789
printf de | expect_quiet 0 write $k
same "after a write from a pipe" "$("$tool" read $k)" dec3456789
expect_quiet 0 write $k - <"$work/three"
same "after a write from -" "$("$tool" read $k)" abc3456789
expect_quiet 0 write $k /dev/null
same "after an empty write" "$("$tool" read $k)" abc3456789
(read -r _ && "$tool" write $k) <<EOF || fail "write from the middle of a file"
line
xy
EOF
same "after a write from the middle of a file" "$("$tool" read $k | head -c 2)" xy

expect_quiet 0 write $k "$work/ten"
printf 0123456789x >"$work/eleven"
expect_failure "nothing was changed" write $k "$work/eleven"
printf abcdefghijk | expect_failure "nothing was changed" write $k
yes | head -c 5000000 | expect_failure "nothing was changed" write $k
same "after writes that do not fit" "$("$tool" read $k)" 0123456789
expect_failure "$work/none" write $k "$work/none"
expect_failure "directory" write $k "$work"
expect_failure "standard input" write $k <&-

expect_quiet 0 read $k --offset 4
same "--offset" "$(cat "$work/out")" 456789
expect_quiet 0 read $k --offset 4 --size 3
same "--offset and --size" "$(cat "$work/out")" 456
expect_quiet 0 read $k --size 3 -
same "--size" "$(cat "$work/out")" 012
expect_quiet 0 read $k --offset 10
same "--offset at the end" "$(cat "$work/out")" ""
expect_quiet 0 read $k --offset 10 --size 0
for range in "--offset 11" "--size 11" "--offset 4 --size 7" "--offset 1 --size 17179869183G" \
    "--offset 18446744073709551615 --size 2"; do
    # shellcheck disable=SC2086 # words
    expect_failure "10 bytes" read $k "$work/range" $range
    [ -e "$work/range" ] && fail "read $range made a file"
done
seq 1000 >"$work/copy"
expect_quiet 0 read $k "$work/copy"
cmp "$work/ten" "$work/copy" || fail "read to a file"
expect_failure "$work/none/copy" read $k "$work/none/copy"
expect_quiet 0 rm $k

# --create
expect_quiet 0 write $k "$work/ten" --create
same "write --create" "$("$tool" read $k)" 0123456789
same "state after write --create" "$(listed $k STATE)" persistent
expect_quiet 0 write --create $k "$work/three"
same "write --create to a segment" "$("$tool" read $k)" abc3456789
expect_failure "nothing was changed" write --create $k "$work/eleven"
same "write --create that does not fit" "$("$tool" read $k)" abc3456789
expect_quiet 0 rm $k
seq 1000000 | expect_quiet 0 write --create $k
same "write --create from a pipe" "$("$tool" read $k | cksum)" "$(seq 1000000 | cksum)"
expect_quiet 0 rm $k
expect_quiet 0 write --create $k /proc/version
same "write --create from /proc" "$("$tool" read $k)" "$(cat /proc/version)"
expect_quiet 0 rm $k
for file in "$work/none" "$work" /dev/null; do
    expect 1 write --create $k "$file"
    one_line
    exists $k && fail "write --create $file left a segment"
done
# A file that claims to be longer than it is.
odd=/sys/kernel/mm/transparent_hugepage/enabled
if [ -r $odd ] && [ "$(wc -c <$odd)" -lt "$(stat -c %s $odd)" ]; then
    expect_failure "$odd" write --create $k $odd
    exists $k && fail "write --create of a file that ends early left a segment"
fi

# Bytes of all kinds, and more than one chunk.
head -c 9000001 /dev/urandom >"$work/random"
expect_quiet 0 write --create $k "$work/random"
expect_quiet 0 read $k "$work/copy"
cmp "$work/random" "$work/copy" || fail "9000001 random bytes, to a file"
"$tool" read $k | cmp "$work/random" - || fail "9000001 random bytes, to a pipe"

# ---------------------------------------------------------- output errors --

(timeout 60 "$tool" read $k 2>"$work/err" && echo good || echo $? >"$work/status") | true
same "status of a read to a closed pipe" "$(cat "$work/status")" 1
has "$work/err" "mapseg: cannot write to standard output"
for command in "read $k" "show $k" "ls" "ls --json" "--help" "create --help" "--version" \
    "create $k --reclaim --size 1"; do
    status=0
    # shellcheck disable=SC2086 # words
    "$tool" $command >/dev/full 2>"$work/err" || status=$?
    same "status of $command to a full disk" $status 1
    same "lines about a full disk" "$(wc -l <"$work/err")" 1
    has "$work/err" "cannot write to standard output"
    status=0
    # shellcheck disable=SC2086 # words
    "$tool" $command >&- 2>"$work/err" || status=$?
    same "status of $command to a closed output" $status 1
done
expect_quiet 0 create $k --size 1
"$tool" rm $k >&- || fail "rm prints nothing and needs no output"

# ---------------------------------------------------------------------- rm --

expect_failure "$k" rm $k
"$tool" create $k-1 --size 1 >/dev/null
"$tool" create $k-2 --size 1 >/dev/null
expect_failure "$k-none" rm $k-1 $k-none $k-2
exists $k-1 && fail "rm left the key before the missing one"
exists $k-2 && fail "rm left the key behind the missing one"
expect 1 rm $k-1 $k-2
same "lines of two failures" "$(wc -l <"$work/err")" 2

# A segment in use loses its name; the next one of that name is another.
"$tool" create $k --size 5 >/dev/null
hold $k
expect_quiet 0 rm $k
exists $k && fail "rm left a segment that is in use"
expect_quiet 0 create $k --size 6
expect_quiet 0 lock $k --no-wait -- true
release
same "the new segment" "$(listed $k SIZE)" 6
expect_quiet 0 rm $k

# ----------------------------------------------------------------- reclaim --

expect_failure "$k" reclaim $k
"$tool" create $k --size 5 >/dev/null
hold $k
expect_failure "$k" reclaim $k
exists $k || fail "reclaim removed a segment that is in use"
release
expect_quiet 0 reclaim $k
same "what reclaim prints" "$(cat "$work/out")" $k
exists $k && fail "reclaim left a segment"

hold $k
same "state of a segment in use" "$(listed $k STATE)" live
kill_holder
same "state of crash debris" "$(listed $k STATE)" stale
expect 1 reclaim $k-none $k
has "$work/out" $k
exists $k && fail "reclaim left crash debris"

# ----------------------------------------------- what is no segment is left --

f=/dev/shm/${k#shm:}
used="read $k
write $k $work/ten
lock $k -n -- true
create $k --size 1"
removed="create $k --size 1 --reclaim
reclaim $k"

# $1: what it is; $2: the commands, a line each.
left_alone()
{
    before=$(ls -ld "$f")
    printf '%s\n' "$2" >"$work/commands"
    while read -r command; do
        # shellcheck disable=SC2086 # words
        expect 1 $command
        one_line
    done <"$work/commands"
    "$tool" show $k >"$work/out" 2>"$work/err" && grep -q '^Verdict: *good' "$work/out" &&
        fail "show finds $1 good"
    [ "$(ls -ld "$f")" = "$before" ] || fail "$1 was touched"
}
mkdir "$f"
left_alone "a directory" "$used
$removed"
expect_failure "" rm $k
rmdir "$f" || fail "rm removed a directory"
mkfifo "$f"
left_alone "a fifo" "$used
$removed"
expect_failure "" rm $k
[ -p "$f" ] || fail "rm removed a fifo"
rm -f "$f"
echo "no segment at all" >"$f"
left_alone "a foreign file" "$used
$removed"
expect_failure "" rm $k
same "a foreign file" "$(cat "$f")" "no segment at all"
rm "$f"
: >"$f"
left_alone "an empty file" "$used
$removed"
rm -f "$f"
"$tool" create $k-real --size 10 >/dev/null
ln -s "$f-real" "$f"
left_alone "a symbolic link" "$used
$removed"
expect_quiet 0 read $k-real
rm -f "$f"
mv "$f-real" "$f"
truncate -s 4100 "$f"
left_alone "a truncated segment" "$used"
expect_quiet 0 rm $k
exists $k && fail "rm left a truncated segment"

finish
