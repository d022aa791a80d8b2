#!/bin/sh
# Names that hold anything: what is printed of them is UTF-8 that no terminal
# obeys, different for different names, and, of a key, the same key again.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

python=$(python3 -c 'import json, sys; print(sys.executable)' 2>/dev/null) || skip "there is no python3"

k=shm:$name-names

# $1: what printed $work/out and $work/err.
harmless()
{
    "$python" -c '
import sys, unicodedata
for path in sys.argv[1:]:
    for line in open(path, "rb").read().split(b"\n"):
        line = line.decode("utf-8", "strict")
        bad = [c for c in line if unicodedata.category(c) in ("Cc", "Zl", "Zp") or c in
               "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"]
        assert not bad, (line, bad)' "$work/out" "$work/err" 2>"$work/python" ||
        fail "mapseg $1: $(tail -n 1 "$work/python")"
}

# The path that JSON shows in $work/out for the key that begins with $1, with the
# digits taken back.
path_in_json()
{
    "$python" -c '
import json, os, re, sys
mine = [s for s in json.load(open(sys.argv[1], encoding="utf-8"))["segments"]
        if s["key"].startswith(sys.argv[2])]
assert len(mine) == 1, mine
path = re.sub(rb"\\x([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), mine[0]["path"].encode())
sys.stdout.buffer.write(path)' "$work/out" "$1" || fail "no JSON of $1"
}

i=0
# As printf writes them.
for odd in 'control \001 \033[31m \033]0;x\007 \177' 'C1 \302\233[31m \302\200 \302\237' \
    'no UTF-8 \200 \377 \300\200 \340\237\277 \355\240\200 \364\220\200\200 \303' \
    'lines \342\200\250 \342\200\251' 'turned \342\200\256 \342\201\246 \342\201\251 \342\200\217' \
    'new\nline\ttab' 'back\\slash \\x1B' 'quotes " '\'' and %% ? #' 'gr\303\274\303\237e \344\270\226'; do
    i=$((i + 1))
    # shellcheck disable=SC2059 # the format is meant
    text=$(printf "$odd")
    path="/dev/shm/${k#shm:}-$i $text"
    # Of its characters these mean something in a key.
    native="$k-$i $(printf %s "$text" | sed 's/%/%25/g; s/?/%3F/g; s/#/%23/g')"

    expect_quiet 0 create "$native" --size $((100 + i))
    harmless "create $odd"
    printed=$(cat "$work/out")
    [ -e "$path" ] || fail "create made another file: $printed"
    expect_quiet 0 show "$printed"
    harmless "show $odd"
    same "key that show prints" "$(sed -n 's/^Key: *//p' "$work/out")" "$printed"
    has "$work/out" "$((100 + i)) bytes"
    expect_quiet 0 show --json "$printed"
    harmless "show --json $odd"
    same "path in JSON" "$(path_in_json "$k-$i ")" "$path"
    expect_quiet 0 ls --json
    harmless "ls --json $odd"
    same "path in JSON" "$(path_in_json "$k-$i ")" "$path"
    expect_quiet 0 ls
    harmless "ls $odd"
    LC_ALL=C expect_quiet 0 ls
    harmless "ls in C, $odd"
    expect_quiet 0 ls --raw --noheadings --output KEY,PATH
    harmless "ls --raw $odd"
    again=$("$python" -c '
import re, sys
for line in open(sys.argv[1], "rb").read().split(b"\n"):
    key = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), line.split(b" ")[0])
    if key.startswith(sys.argv[2].encode()):
        sys.stdout.buffer.write(key)' "$work/out" "$k-$i ")
    same "raw key" "$again" "$printed"

    expect 1 create "$printed" --size 1
    one_line
    harmless "create $odd again"
    has "$work/err" "\"$(printf %s "$printed" | sed 's/"/%22/g')\""
    hold "$printed"
    expect 1 reclaim "$printed"
    harmless "reclaim $odd in use"
    release
    expect_quiet 0 reclaim "$printed"
    harmless "reclaim $odd"
    same "what reclaim prints" "$(cat "$work/out")" "$printed"
    [ -e "$path" ] && fail "reclaim left $printed"

    # Arguments.
    for command in "read $k-none" "write $k-none" "show" "show --plain" "lock $k -n --" "exec --size 1" \
        "demo" ""; do
        status=0
        # shellcheck disable=SC2086 # words
        "$tool" $command "$text/none" >"$work/out" 2>"$work/err" || status=$?
        [ $status -ne 0 ] || fail "mapseg $command $odd: status 0"
        one_line
        harmless "$command $odd"
    done
done

# Two names that would look alike.
expect_quiet 0 create "$k-a%1B" --size 1
expect_quiet 0 create "$k-a\\x1B" --size 1
expect_quiet 0 create "$k-a%255Cx1B" --size 1
for how in "" --raw --json; do
    # shellcheck disable=SC2086 # none or one
    expect_quiet 0 ls $how --output PATH
    same "different names in ls $how" "$(grep -F -e "$name-names-a" "$work/out" | sort -u | wc -l)" 3
done

finish
