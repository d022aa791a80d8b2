#!/bin/sh
# The marks for tracers in the library are those that the manual lists.
# SPDX-License-Identifier: MIT
set -u

library=$abs_top_builddir/lib/.libs/libmapseg.so
page=$abs_top_srcdir/doc/mapseg-probes.7

[ -e "$library" ] || { echo "skipped: no shared library was built"; exit 77; }
grep -q '^#define HAVE_SYS_SDT_H 1' "$abs_top_builddir/config.h" ||
    { echo "skipped: the library was built without sys/sdt.h"; exit 77; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

# The rows of the table: from its rule to its end.
sed -n '/^_$/,/^\.TE/p' "$page" | grep '	' | cut -f 1 | sort >"$work/listed"
readelf -n "$library" | sed -n '/Provider: mapseg/{n;s/.*Name: //p}' | sort -u >"$work/there"
[ -s "$work/listed" ] || { echo "FAIL: found no mark in the manual"; exit 1; }
diff "$work/listed" "$work/there" && exit 0
echo "FAIL: the manual (<) and the library (>) have other marks"
exit 1
