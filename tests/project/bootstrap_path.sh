#!/bin/sh
# bootstrap_path.sh - both commands of README.md work in any directory: in one that
# other users cannot enter, and whose path has what build tools take paths apart at.
# With a few of the tests; some minutes. Not part of `make check`, which cannot
# build itself once more.
# SPDX-License-Identifier: MIT
set -u

source=$(cd -- "$(dirname -- "$0")/../.." && pwd) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM
newline='
'
tree="$work/closed/a  b:\"'\$HOME,ü;\\*&#\`${newline}c"
home=$work/home
unset MAKEFLAGS MFLAGS MAKELEVEL

fail()
{
    printf 'FAIL: %s\n' "$*"
    [ ! -e "$work/log" ] || tail -n 60 "$work/log"
    exit 1
}

mkdir -m 700 "$work/closed" "$home" && mkdir -- "$tree" || exit 1
tar -C "$source" --exclude=./.git --exclude='./build*' --exclude=./configure -cf - . |
    tar -C "$tree" -xf - || fail 'the source cannot be copied'
cd -- "$tree" || exit 1

# A home that cannot have a link is said before anything is done.
for bad in "$tree" / "$work/absent"; do
    [ "$bad" != / ] || [ "$(id -u)" -ne 0 ] || continue
    ! HOME=$bad ./bootstrap >"$work/log" 2>&1 || fail "bootstrap took HOME=$bad"
    grep -q '^bootstrap: build tools cannot take the path' "$work/log" || fail 'it does not say why'
    [ ! -e configure ] || fail 'it began'
done

HOME=$home ./bootstrap demo >"$work/log" 2>&1 || fail './bootstrap demo'
[ -d build/lib ] || fail 'the build does not lie beside the script'
build/tools/mapseg --version >/dev/null || fail 'the command does not run'
cp -R "$home" "$work/home.before"

tests='tests/project/compile_c99 tests/project/docs.sh tests/project/examples.sh'
tests="$tests tests/project/installed.sh tests/tool/all.sh"
programs='tests/project/compile_c99 tests/tool/mapseg'
flags="TESTS=$tests:check_PROGRAMS=$programs"
HOME=$home MAKEFLAGS=$(printf '%s' "$flags" | sed 's/ /\\ /g; s/:/ /') ./bootstrap check \
    >"$work/log" 2>&1 || fail './bootstrap check'
[ "$(sed -n 's/^# PASS: *//p' "$work/log")" = 5 ] || fail 'other tests than five passed'
[ "$(find "$home" | wc -l)" -eq "$(find "$work/home.before" | wc -l)" ] ||
    fail 'a second run makes a second link'

# As README.md says, by the path that is not plain.
make -C build install DESTDIR="$work/root" >"$work/log" 2>&1 || fail 'make -C build install'
[ -x "$work/root/usr/local/bin/mapseg" ] || fail 'the command is not installed'
echo 'ok: bootstrap works in any directory'
