#!/bin/sh
# The shared library exports what the headers declare and nothing else, and
# needs nothing but libc and libxxhash.
# SPDX-License-Identifier: MIT
set -u

library=$abs_top_builddir/lib/.libs/libmapseg.so
include=$abs_top_srcdir/include
nm=${NM:-nm}

[ -e "$library" ] || { echo "skipped: no shared library was built"; exit 77; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
status=0

fail()
{
    echo "FAIL: $1"
    cat "$2"
    status=1
}

# A prototype without MAPSEG_API is in the second list alone.
cat "$include/mapseg.h" "$include/mapseg-key.h" "$include/mapseg-spawn.h" |
    sed '/^#/d' | tr '\n' ' ' | sed 's:/\*:\n&:g; s:\*/:&\n:g' |
    sed '/^\/\*/d' | tr '\n' ' ' | tr ';' '\n' >"$work/declarations"
grep MAPSEG_API "$work/declarations" | grep -o 'mapseg_[a-z0-9_]* *(' |
    tr -d ' (' | sort >"$work/declared"
grep -v '^ *typedef' "$work/declarations" | grep -o 'mapseg_[a-z0-9_]* *(' |
    tr -d ' (' | sort >"$work/prototypes"
[ -s "$work/declared" ] || { echo "FAIL: found no declaration in the headers"; exit 1; }
comm -3 "$work/declared" "$work/prototypes" >"$work/difference"
[ ! -s "$work/difference" ] || fail "declared without MAPSEG_API:" "$work/difference"

# The version's own name is a symbol of type A.
$nm -D --defined-only "$library" >"$work/defined" || exit 99
awk '$2 != "A" { print $3 }' "$work/defined" | sed 's/@.*//' | sort >"$work/exported"
comm -3 "$work/declared" "$work/exported" >"$work/difference"
[ ! -s "$work/difference" ] ||
    fail "declared but not exported, and (indented) exported but not declared:" "$work/difference"
awk '$2 != "A" && $3 !~ /@@MAPSEG_0\.1$/' "$work/defined" >"$work/difference"
[ ! -s "$work/difference" ] || fail "exported without a version:" "$work/difference"

# The sanitizers stand in for half of libc, under their own names.
if [ -n "${SANITIZER_FLAGS-}" ]; then
    echo "left out: what the library needs, because of $SANITIZER_FLAGS"
    exit $status
fi

# Weak ones (w) are the start-up files' and may stay undefined.
$nm -D --undefined-only "$library" | awk '$1 == "U" { print $2 }' |
    grep -v -e '@GLIBC_' -e '^XXH[0-9_]' >"$work/undefined"
[ ! -s "$work/undefined" ] || fail "undefined, and neither libc's nor libxxhash's:" "$work/undefined"

exit $status
