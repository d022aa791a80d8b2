#!/bin/sh
# ls and show, as JSON that a parser takes.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

python=$(python3 -c 'import json, sys; print(sys.executable)' 2>/dev/null) || skip "there is no python3"

k=shm:$name-json

# Evaluates $1, where `segments` is what the tool printed for $2...
holds()
{
    truth=$1
    shift
    expect_quiet 0 "$@"
    "$python" -c '
import json, sys
whole = json.load(open(sys.argv[1], encoding="utf-8"))
assert list(whole) == ["segments"], whole
segments = whole["segments"]
mine = {s["key"]: s for s in segments if "key" in s}
key = sys.argv[3]
assert eval(sys.argv[2]), segments' "$work/out" "$truth" "$k" || fail "mapseg $*: not $truth"
}

"$tool" create $k --size 5000 >/dev/null
columns="['key', 'label', 'type', 'size', 'attached', 'lock', 'state', 'mode', 'owner', 'created', 'path']"
holds "list(mine[key]) == $columns" ls --json
holds "mine[key]['size'] == '4.9K' and mine[key]['attached'] == 0" ls -J
holds "mine[key]['size'] == 5000" ls --json --bytes
holds "mine[key]['mode'] == '0600' and mine[key]['state'] == 'persistent'" ls --json --bytes
holds "all(list(s) == ['path', 'attached'] for s in segments)" ls --json --output PATH,ATTACHED
holds "len(segments) >= 1" ls --json --noheadings
holds "__import__('datetime').datetime.fromisoformat(mine[key]['created']).timestamp() <= $(
    date +%s) + 1" ls --json

holds "len(segments) == 1 and mine[key]['size'] == 5000" show $k --json
holds "list(mine[key])[:11] == $columns" show $k --json
holds "mine[key]['persistent'] is True and mine[key]['fair'] is False" show $k -J
holds "mine[key]['data-offset'] == 4096 and mine[key]['file-size'] == 9096" show $k --json
holds "mine[key]['verdict'] == 'MAPSEG_OK' and mine[key]['file-system'] == 'tmpfs'" show $k --json
holds "mine[key]['uid'] == $(id -u) and mine[key]['links'] == 1" show $k --json
holds "len(mine[key]['id']) == 32" show $k --json
holds "mine[key]['contended'] == 0 and mine[key]['slept'] == 0" show $k --json
holds "mine[key]['longest-wait-ns'] == 0 and mine[key]['recoveries'] == 0" show $k --json
holds "mine[key]['lock'] == 'free' and mine[key]['inconsistent'] is False" show $k --json
hold $k
holds "mine[key]['lock'] == 'held' and mine[key]['lock-pid'] == $holder" show $k --json
holds "mine[key]['attached'] == 1 and mine[key]['state'] == 'live'" show $k --json
kill_holder
holds "mine[key]['lock'] == 'owner-died'" show $k --json
"$tool" lock $k -- true 2>/dev/null
holds "mine[key]['inconsistent'] is True and mine[key]['recoveries'] == 1" show $k --json

# Names of all kinds. The key names the same segment again.
i=0
for odd in 'a "quoted" \\ name' 'tab%09newline%0A' 'grüße 世界' "$(printf 'bytes \377\300\200 \355\240\200')"; do
    expect_quiet 0 create "$k-$i $odd" --size $((100 + i))
    holds "[s for s in segments if s['key'].startswith(key + '-$i ')][0]['size'] == $((100 + i))" \
        ls --json --bytes
    again=$("$python" -c '
import json, sys
print([s["key"] for s in json.load(open(sys.argv[1]))["segments"]
       if s["key"].startswith(sys.argv[2])][0])' "$work/out" "$k-$i ")
    holds "segments[0]['size'] == $((100 + i))" show "$again" --json
    expect_quiet 0 rm "$again"
    i=$((i + 1))
done

# Labels of all kinds, and none.
holds "mine[key]['label'] is None" show $k --json
i=0
for odd in 'photos' 'a "quoted" \ name' 'grüße 世界'; do
    expect_quiet 0 create "$k-label-$i" --size 1 --label "$odd"
    LABEL=$odd
    export LABEL
    holds "mine[key + '-label-$i']['label'] == __import__('os').environ['LABEL']" ls --json
    holds "segments[0]['label'] == __import__('os').environ['LABEL']" show "$k-label-$i" --json
    expect_quiet 0 rm "$k-label-$i"
    i=$((i + 1))
done
expect_quiet 0 create "$k-label" --size 1 --label "$(printf 'a\nb\033[31m\\x')"
holds "segments[0]['label'] == r'a\x0Ab\x1B[31m\x5Cx'" show "$k-label" --json
expect_quiet 0 rm "$k-label"

# What is no segment.
echo foreign >"/dev/shm/$name-json-foreign"
"$tool" show $k-foreign --json >"$work/out" 2>/dev/null &&
    holds "segments[0]['verdict'] != 'MAPSEG_OK' and segments[0]['reason'] and segments[0]['created'] is None" \
        show $k-foreign --json

finish
