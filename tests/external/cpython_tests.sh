#!/bin/sh
# cpython_tests.sh - CPython's own tests of its shared memory pass on mapseg's POSIX segments.
#
# tests/preload/adapter.c puts them there, and tells what it did. The tests are in a package of
# Debian's that few have; if it is not installed it is fetched: 3.4 MB.
# SPDX-License-Identifier: MIT
set -u
. "$abs_top_srcdir/tests/external/peers.sh"
. "$abs_top_srcdir/tests/external/fetch.sh"

[ -e "$adapter" ] || skip 'needs the shared library, without which there is no adapter'
[ -z "${SANITIZER_FLAGS-}" ] || skip 'an interpreter without sanitizers cannot load a library with'
[ -n "$MAPSEG" ] || skip 'needs the command, which shows who is attached'
cpython_peer >/dev/null || skip "$missing"
work=$(mktemp -d) || exit 99
pid=
# The program that is waited for may be there yet.
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; rm -rf -- "$work"' EXIT
export ADAPTER_LOG="$work/log"

fail()
{
    echo "FAIL: $*"
    exit 1
}

# expect TEXT COMMAND... - of which the output is that.
expect()
{
    expected=$1
    shift
    got=$("$@" 2>&1)
    [ "$got" = "$expected" ] || fail "$*: '$got', not '$expected'"
}

attached()
{
    "$MAPSEG" show --json "posix:/$name" | sed -n 's/.*"attached": *\([0-9]*\).*/\1/p'
}

# What the adapter is for: mapseg counts the program, also when it was killed.
name=mapseg-external-$$
mkfifo "$work/words" "$work/answers" || exit 99
LD_PRELOAD=$adapter "$python" -c '
import sys
from multiprocessing import resource_tracker, shared_memory
memory = shared_memory.SharedMemory(sys.argv[1], create=True, size=100)
resource_tracker.unregister(memory._name, "shared_memory")
memory.buf[:5] = b"hello"
print(memory.size, flush=True)
sys.stdin.read()
' "$name" <"$work/words" >"$work/answers" &
pid=$!
exec 3>"$work/words" 4<"$work/answers"
read -r size <&4
[ "$size" = 100 ] || fail "the program has $size bytes"
expect 1 attached
expect hello "$MAPSEG" read "posix:/$name" --size 5
kill -KILL "$pid"
wait "$pid" 2>/dev/null
pid=
expect 0 attached
LD_PRELOAD=$adapter "$python" -c '
import sys
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory(sys.argv[1])
assert bytes(memory.buf[:5]) == b"hello"
memory.unlink()
memory.close()
' "$name" || fail 'the next program'
for file in "/dev/shm/$name" "/dev/shm/sem.$name"; do
    [ ! -e "$file" ] || fail "$file is left"
done
for word in create size attach remove leave; do
    grep -q "^$word .*$name" "$ADAPTER_LOG" || fail "the adapter did not $word"
done

# What mapseg-foreign(7) says of CPython: it removes what it only attached to.
"$MAPSEG" create --size 100 "posix:/$name" || fail 'create'
"$python" -c '
import sys
from multiprocessing import shared_memory
shared_memory.SharedMemory(sys.argv[1]).close()
' "$name" || fail 'attach'
# By another process, which learns that the first has ended.
looks=0
while [ -e "/dev/shm/$name" ]; do
    looks=$((looks + 1))
    [ "$looks" -le 1200 ] || fail 'CPython has left the segment'
    sleep 0.1
done
rm -f "/dev/shm/sem.$name"

# Their tests.
if ! "$python" -c 'import test._test_multiprocessing' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    tree=python
    (unpack "libpython$version-testsuite") || exit $?
    export FETCHED_TESTS="$fetched/$tree/usr/lib/python$version/test"
fi
: >"$ADAPTER_LOG"
LD_PRELOAD=$adapter PYTHONDONTWRITEBYTECODE=1 timeout 600 "$python" \
    "$abs_top_srcdir/tests/external/cpython_tests.py" || fail "CPython's tests"
for word in create size attach remove leave; do
    echo "$word: $(grep -c "^$word " "$ADAPTER_LOG")"
    [ "$(grep -c "^$word " "$ADAPTER_LOG")" -ge 20 ] || fail "the adapter was not asked to $word"
done
