#!/bin/sh
# Large copies that take their time show progress on a terminal, and nowhere
# else.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

python=$(python3 -c 'import pty, sys; print(sys.executable)' 2>/dev/null) || skip "there is no python3 to make a terminal"
room=$(df -k --output=avail /dev/shm | tail -n 1)
[ "$room" -gt 100000 ] || skip "there is not enough room in /dev/shm"

k=shm:$name-progress

# Reads a segment of $1 bytes through a pipe, with a terminal as standard error, and
# prints what came there. The first byte says that the copy has begun; a pipe holds
# less than what is written between two looks at the clock, so that the next look
# is after the pause.
read_slowly()
{
    "$tool" create $k --reclaim --lazy --size "$1" >/dev/null
    "$python" -c '
import os, pty, subprocess, sys, time
master, slave = pty.openpty()
errors = slave if sys.argv[4] == "terminal" else subprocess.PIPE
tool = subprocess.Popen([sys.argv[1], "read", sys.argv[2]], stdout=subprocess.PIPE, stderr=errors)
size = len(os.read(tool.stdout.fileno(), 1))
time.sleep(0.6)
size += sum(len(part) for part in iter(lambda: tool.stdout.read(1 << 20), b""))
assert tool.wait() == 0 and size == int(sys.argv[3]), (tool.returncode, size)
os.write(slave, b"end")
text = b"" if errors == slave else tool.stderr.read()
while errors == slave and not text.endswith(b"end"):
    text += os.read(master, 65536)
print(text)
' "$tool" $k "$1" "$2" || fail "read of $1 bytes"
}

read_slowly 83886080 terminal >"$work/out"
has "$work/out" "mapseg: reading"
has "$work/out" "of 80M"
has "$work/out" '\r\x1b[Kend'
read_slowly 83886080 pipe >"$work/out"
same "on a pipe" "$(cat "$work/out")" "b''"
read_slowly 1000000 terminal >"$work/out"
same "of a small segment" "$(cat "$work/out")" "b'end'"
expect_quiet 0 rm $k

finish
