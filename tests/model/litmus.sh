#!/bin/bash
# litmus.sh - runs the litmus tests of this directory by herd7, with the memory model of C11
# as it was repaired (RC11). tests/model/check_litmus runs the same ones without it.
# Exit status: 0 all as they expect, 1 not, 77 there is no herd7.
# SPDX-License-Identifier: MIT
set -u
export LC_ALL=C

command -v herd7 >/dev/null || {
    printf 'litmus.sh: there is no herd7; skipped\n'
    exit 77
}
wrong=0
for test in "$(dirname -- "$0")"/litmus/*.litmus; do
    name=$(basename -- "$test" .litmus)
    expected=$(sed -n 's/^ *Expected: //p' "$test")
    found=$(herd7 -model rc11.cat "$test" | awk -v name="$name" \
        '$1 == "Observation" && $2 == name { print $3 }')
    if [ "$found" = "$expected" ]; then
        printf '%-32s %s\n' "$name" "$found"
    else
        printf '%-32s %s, expected %s: WRONG\n' "$name" "${found:-nothing}" "$expected"
        wrong=$((wrong + 1))
    fi
done
[ "$wrong" -eq 0 ]
