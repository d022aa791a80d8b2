#!/bin/sh
# A file that becomes shorter under a subcommand; and what write tells readers.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

k=shm:$name-shrink
path=/dev/shm/$name-shrink

# All of it, so that the lock word is gone too.
for left in 0 4096 8192; do
    "$tool" create $k --size 20000 >/dev/null || fail create
    expect 1 lock $k -- truncate -s $left "$path"
    one_line
    has "$work/err" shorter
    rm -f "$path"
done

# ----------------------------------------------------------------- version --

"$tool" create $k --size 100 >/dev/null || fail create
same "version at first" "$(shown $k Version)" 0
echo one >"$work/one"
expect_quiet 0 write $k "$work/one"
same "version after a write" "$(shown $k Version)" 2
expect_quiet 0 read --size 4 $k
same "what was written" "$(cat "$work/out")" one

# Who cannot lock reads what was published.
nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
# shellcheck disable=SC2086 # words
if [ "$(id -u)" -ne 0 ]; then
    echo "not tested: another user, since only root can become one"
elif ! share_tool $nobody; then
    echo "not tested: another user: $why"
else
    rm -f "$path"
    "$tool" create $k --size 100 --mode 0644 >/dev/null || fail create
    expect_quiet 0 write $k "$work/one"
    $nobody "$other_tool" read --size 4 $k >"$work/out" ||
        fail "a reader without permission to write"
    same "what it read" "$(cat "$work/out")" one
fi

# ----------------------------------------------------- directories and links --

if [ "$(id -u)" -eq 0 ]; then
    mkdir -m 0777 "$work/shared"
    chmod 0777 "$work/shared"
    "$tool" create --allow-shared-directory "file:$work/shared/a" --size 10 >/dev/null ||
        fail "create in a shared directory"
    expect 1 read "file:$work/shared/a"
    has "$work/err" --allow-shared-directory
    expect 0 read --allow-shared-directory "file:$work/shared/a"
fi
"$tool" create "file:$work/a" --size 10 >/dev/null || fail create
ln "$work/a" "$work/b"
expect 1 read "file:$work/b"
has "$work/err" --allow-hard-links
expect 0 read --allow-hard-links "file:$work/b"

finish
