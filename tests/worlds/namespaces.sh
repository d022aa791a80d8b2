#!/bin/sh
# The command in user namespaces, as unshare and bubblewrap make them: where "/" is a user's who
# has no number, segments of one's own work as they do outside.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

as_user=
own=/dev/shm/$name-own
mkdir -m 755 "$own"
if [ "$(id -u)" -eq 0 ]; then
    as_user="setpriv --reuid 60001 --regid 60001 --clear-groups"
    $as_user true 2>/dev/null || skip "setpriv cannot become another user here"
    chown 60001:60001 "$own"
fi
# shellcheck disable=SC2086 # words
share_tool $as_user || skip "$why"
chmod 755 "$work"
printf 0123456789 >"$work/ten"
chmod 644 "$work/ten"

tool=$work/tool
tried=0

# $@: what makes a command run in a user namespace.
in_namespace()
{
    inside=$*
    # shellcheck disable=SC2086 # words
    if ! why=$($as_user $inside true 2>&1); then
        echo "not tested: $inside: $why"
        return
    fi
    tried=$((tried + 1))
    printf '#!/bin/sh\nexec %s %s "%s" "$@"\n' "$as_user" "$inside" "$other_tool" >"$tool"
    chmod 755 "$tool"
    for k in "file:$own/segment" "shm:$name-segment" "$name-plain"; do
        expect_quiet 0 create "$k" --size 10
        expect_quiet 0 write "$k" "$work/ten"
        expect_quiet 0 read "$k"
        same "$inside: what was written to $k" "$(cat "$work/out")" 0123456789
        expect_quiet 0 lock "$k" --timeout 60 -- true
        expect_quiet 0 show "$k"
        grep -q '^Verdict: *good' "$work/out" || fail "$inside: $(cat "$work/out")"
        expect_quiet 0 rm "$k"
    done
    # The same user outside, and here.
    $as_user "$other_tool" create "file:$own/segment" --size 10 >"$work/out" ||
        fail "the user cannot create outside"
    expect_quiet 0 write "file:$own/segment" "$work/ten"
    same "$inside: what the user outside reads" \
        "$($as_user "$other_tool" read "file:$own/segment")" 0123456789
    expect_quiet 0 rm "file:$own/segment"
}

in_namespace unshare -U --map-root-user
in_namespace unshare -U --map-current-user
in_namespace unshare -U
in_namespace bwrap --dev-bind / /
in_namespace bwrap --dev-bind / / --unshare-user --uid 1000 --gid 1000
in_namespace bwrap --dev-bind / / --unshare-all

[ "$tried" -gt 0 ] || skip "users may have no user namespace here"
finish
