#!/bin/sh
# The table of file systems in mapseg-worlds(7) is what make check-filesystems expects to find.
# SPDX-License-Identifier: MIT
set -u

source=$abs_top_srcdir
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

# Below the line that ends the head of the table.
sed -n '/^\.SS File systems/,$p' "$source/doc/mapseg-worlds.7" |
    sed -n '/^_$/,/^\.TE$/p' | sed '/^_$/d; /^\.TE$/,$d' >"$work/manual"
if ! [ -s "$work/manual" ]; then
    echo 'FAIL: found no table in doc/mapseg-worlds.7'
    exit 1
fi
diff -u "$source/tests/worlds/filesystems.expected" "$work/manual"
