#!/bin/sh
# in_tree.sh - a build inside the source tree leaves nothing that git shows. Not
# part of `make check`, which cannot build itself once more.
# SPDX-License-Identifier: MIT
set -u

command -v git >/dev/null || { echo 'skipped: no git'; exit 77; }
source=$(cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$work/tree"
unset MAKEFLAGS MFLAGS MAKELEVEL
jobs=$(getconf _NPROCESSORS_ONLN)

fail()
{
    printf 'FAIL: %s\n' "$*"
    tail -n 60 "$work/log"
    exit 1
}

tar -C "$source" --exclude=./.git --exclude='./build*' --exclude=./configure -cf - . |
    tar -C "$work/tree" -xf - && cd -- "$work/tree" || exit 1
git init -q . && git add -A &&
    git -c user.name=test -c user.email=test commit -q -m test || exit 1

# run COMMAND... - and git shows nothing new after it.
run()
{
    "$@" >"$work/log" 2>&1 || fail "$*"
    left=$(git status --short --ignored=no)
    [ -z "$left" ] || fail "after $* git shows:
$left"
}

run autoreconf -fi
run ./configure
run make -j "$jobs"
run make -j "$jobs" check check_PROGRAMS='tests/key/check_key tests/tool/mapseg' \
    TESTS='tests/key/check_key tests/project/docs.sh tests/project/installed.sh tests/tool/all.sh'
run make dist
run make -j "$jobs" fuzz FUZZ_RUNS=1 FUZZ_TARGETS=key
# Nor does cleaning take anything away.
run make distclean
echo 'ok: git shows nothing of a build inside the source tree'
