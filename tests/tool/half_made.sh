#!/bin/sh
# Data whose writer died: what read, write and lock say of it, and leave.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
# shellcheck disable=SC2016 # inner shells are meant
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

k=shm:$name-half
printf 0123456789 >"$work/ten"
printf abcdefghij >"$work/letters"
printf xyz >"$work/three"

# What a reader finds who cannot lock, and so sees versions alone.
published()
{
    if [ -n "${other_tool-}" ]; then
        $nobody "$other_tool" read --allow-other-owner $k 2>"$work/err"
        echo " $?"
    fi
}

nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
# shellcheck disable=SC2086 # words
if [ "$(id -u)" -ne 0 ]; then
    echo "not tested: a reader who cannot lock, since only root can become another user"
elif ! share_tool $nobody; then
    echo "not tested: a reader who cannot lock: $why"
    other_tool=
fi

# An owner dies under the lock, after which the version is still even.
die()
{
    hold $k
    kill_holder
    same "lock" "$(listed $k LOCK)" owner-died
}

expect_quiet 0 create $k --size 10 --mode 644
expect_quiet 0 write $k "$work/ten"
before=$(published)
[ -z "$before" ] || same "what others read" "$before" "0123456789 0"

# ---------------------------------------------------------------- a part --

die
version=$(shown $k Version)
for turn in 1 2; do
    expect 3 write $k "$work/three"
    one_line
    has "$work/err" died
    has "$work/err" "nothing was changed"
    has "$work/err" --consistent
    same "version after part $turn was refused" "$(shown $k Version)" "$version"
    same "lock after part $turn was refused" "$(listed $k LOCK)" inconsistent
    same "what others read after part $turn was refused" "$(published)" "$before"
done
expect 3 write $k /dev/null
one_line
same "version after an empty part was refused" "$(shown $k Version)" "$version"
expect 3 read $k
one_line_of_error
has "$work/err" died
same "what read finds" "$(cat "$work/out")" 0123456789
same "version after read" "$(shown $k Version)" "$version"

# lock tells, and leaves it as it was.
expect 0 lock $k -- sh -c 'echo "[$MAPSEG_OWNER_DIED]"'
same "what the command is told" "$(cat "$work/out")" "[1]"
one_line_of_error
same "version after lock" "$(shown $k Version)" "$version"
same "what others read after lock" "$(published)" "$before"

# Who knows better says so.
expect 0 write $k "$work/three" --consistent
one_line_of_error
has "$work/err" "declared good"
same "lock after --consistent" "$(listed $k LOCK)" free
same "version after --consistent" "$(shown $k Version)" $((version + 2))
expect_quiet 0 read $k
same "content after --consistent" "$(cat "$work/out")" xyz3456789
[ -z "$before" ] || same "what others read after --consistent" "$(published)" "xyz3456789 0"
expect_quiet 0 write $k "$work/three" --consistent

# ------------------------------------------------------------------- all --

die
expect 0 write $k "$work/letters"
one_line_of_error
has "$work/err" "declared good"
same "lock after a write of all" "$(listed $k LOCK)" free
expect_quiet 0 read $k
same "content after a write of all" "$(cat "$work/out")" abcdefghij
expect_quiet 0 write $k "$work/three"
expect_quiet 0 rm $k

# ------------------------------------------------- a write that stops half way --

# A file that claims to be longer than it is.
odd=/sys/kernel/mm/transparent_hugepage/enabled
if [ -r $odd ] && [ "$(wc -c <$odd)" -lt "$(stat -c %s $odd)" ]; then
    size=$(stat -c %s $odd)
    expect_quiet 0 create $k --size "$size" --mode 644
    expect 1 write $k $odd
    has "$work/err" "became shorter"
    has "$work/err" "\"$k\" is half written"
    one_line
    version=$(shown $k Version)
    case $version in *[13579]" ("*) ;; *) fail "version after half a write: $version" ;; esac
    expect 3 write $k "$work/three"
    same "version after a part of half a write" "$(shown $k Version)" "$version"
    expect 3 read $k "$work/copy"
    head -c "$size" /dev/zero >"$work/zeros"
    expect 0 write $k "$work/zeros"
    expect_quiet 0 read $k "$work/copy"
    cmp "$work/zeros" "$work/copy" || fail "content after the repair"
    expect_quiet 0 rm $k
else
    echo "not tested: a write that stops half way, since there is no file that is shorter than it says"
fi

finish
