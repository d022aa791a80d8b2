#!/bin/sh
# What is said of the benchmarks agrees with them: README.md has the table of figures that the bench
# compares with, and the bench's help names all measures and all keys of its JSON.
# SPDX-License-Identifier: MIT
#
# shellcheck disable=SC2154 # the makefile sets abs_top_...
set -u

bench=$abs_top_builddir/tests/bench/bench
sources=$abs_top_srcdir/tests/bench
[ -x "$bench" ] || { echo "skipped: the bench was not built"; exit 77; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
status=0

fail()
{
    echo "FAIL: $1"
    cat "$2"
    status=1
}

# ------------------------------------------------------------------- README --

"$bench" --readme >"$work/figures" || exit 99
[ "$(grep -c '^|' "$work/figures")" -ge 3 ] || fail "the bench has no figures:" "$work/figures"
sed -n '/^| measured on |/,/^$/p' "$abs_top_srcdir/README.md" | sed '/^$/d' >"$work/shown"
diff "$work/figures" "$work/shown" >"$work/difference" ||
    fail "the bench has other figures (<) than README.md (>):" "$work/difference"

# --------------------------------------------------------------------- help --

"$bench" --help >"$work/help" || exit 99
tr -cs 'a-z0-9_' '\n' <"$work/help" | sort -u >"$work/words"

# The rows of the table of measures.
sed -n 's/^ *{"\([a-z]*\)", MEASURE_[A-Z]*, measure_[a-z]*},$/\1/p' "$sources/bench.c" |
    sort >"$work/measures"
[ "$(wc -l <"$work/measures")" -ge 12 ] || fail "found too few measures:" "$work/measures"
comm -23 "$work/measures" "$work/words" >"$work/missing"
[ ! -s "$work/missing" ] || fail "measures that --help does not name:" "$work/missing"

# Keys within texts are quoted with backslashes; others are given to a function that prints one.
{
    grep -o '\\"[a-z0-9_]*\\":' "$sources/json.c" | tr -d '\\":'
    sed -n 's/.*print_[a-z]*("\([a-z0-9_]*\)",.*/\1/p' "$sources/json.c"
} | sort -u >"$work/keys"
[ "$(wc -l <"$work/keys")" -ge 40 ] || fail "found too few keys:" "$work/keys"
comm -23 "$work/keys" "$work/words" >"$work/missing"
[ ! -s "$work/missing" ] || fail "keys that --help does not name:" "$work/missing"

exit $status
