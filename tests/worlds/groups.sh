#!/bin/sh
# The command, for the members of a group: segments that are theirs, directories too, and
# what the last one out leaves where it may not remove it.
# SPDX-License-Identifier: MIT
#
# shellcheck source=tests/tool/support.sh
. "${abs_top_srcdir:-$(dirname "$0")/../..}/tests/tool/support.sh"

[ "$(id -u)" -eq 0 ] || skip "only root can run programs as other users"
# What others leave in /dev/shm is not to be reclaimed, nor told of.
if [ "${MAPSEG_ALONE-}" != yes ]; then
    unshare --mount true 2>/dev/null || skip "no /dev/shm of its own can be mounted"
    rm -rf "$work"
    trap - EXIT
    # shellcheck disable=SC2016 # the inner shell is meant
    MAPSEG_ALONE=yes exec unshare --mount sh -c \
        'mount -t tmpfs -o size=16M,mode=1777 tmpfs /dev/shm && exec "$0"' "$0"
fi
group=60100
as_first="setpriv --reuid 60001 --regid 60001 --groups $group"
as_second="setpriv --reuid 60002 --regid 60002 --groups $group"
# shellcheck disable=SC2034 # eval has it
as_third="setpriv --reuid 60003 --regid 60003 --clear-groups"
$as_first true 2>/dev/null || skip "setpriv cannot become another user here"
# shellcheck disable=SC2086 # words
share_tool $as_first || skip "$why"

# The command as one of them is the tool that `expect` runs.
chmod 777 "$work"
for who in first second third; do
    as=
    eval "as=\$as_$who"
    printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$as" "$other_tool" >"$work/$who"
    chmod 755 "$work/$who"
done

printf 0123456789 >"$work/ten"
chmod 644 "$work/ten"

# Without a group, or with what is none.
tool=$work/first
k=shm:$name-group
expect_usage "requires an argument" create $k --size 1 --group
expect_usage "there is no 'no such group'" create $k --size 1 --group "no such group"
expect_usage "more than the number of any group" read $k --allow-group 4294967295
expect_usage "more than the number of any group" read $k --allow-group 99999999999999999999
expect_usage "root group" create $k --size 1 --group root
expect_usage "root group" rm $k --allow-group 0
expect_failure "group 60101" create $k --size 1 --group 60101
exists $k && fail "a segment is there of a group that its user is not in"

# Given to the group, and its members alone.
expect_quiet 0 create $k --size 10 --group $group
expect_quiet 0 show $k
has "$work/out" "mode 0660, owner 60001, group $group"
has "$work/out" --allow-group
expect_failure --allow-group write $k "$work/ten"
expect_quiet 0 write --allow-group $group $k "$work/ten"
tool=$work/second
expect_failure --allow-group read $k
expect_failure "group 60101" read --allow-group 60101 $k
expect_quiet 0 read --allow-group $group $k
same "what another member reads" "$(cat "$work/out")" 0123456789
expect_quiet 0 lock --allow-group $group $k -n -- true
tool=$work/third
expect_failure "Permission denied" read --allow-group $group $k
tool=$work/first
expect_quiet 0 rm $k

# A group's name will do.
named=$(sed -n 's/:.*//p' /etc/group | sed -n 2p)
number=$(sed -n "s/^$named:[^:]*:\([0-9]*\):.*/\1/p" /etc/group)
tool=${MAPSEG_TOOL-${MAPSEG-}}
if [ -n "$number" ] && [ "$number" -ne 0 ]; then
    expect_quiet 0 create $k --size 1 --group "$named"
    expect_quiet 0 show $k
    has "$work/out" "group $number"
    expect_quiet 0 rm $k
fi

# A directory of the group's.
box=/dev/shm/$name-box
mkdir -m 770 "$box"
chgrp $group "$box"
b=file:$box/segment
tool=$work/first
expect_failure --allow-group lock "$b" --timeout 1 -- true
expect_failure --group create "$b" --size 10
expect_quiet 0 create "$b" --size 10 --group $group
tool=$work/second
expect_quiet 0 write --allow-group $group "$b" "$work/ten"
expect_failure --allow-group rm "$b"
expect_quiet 0 rm --allow-group $group "$b"
[ -e "$box/segment" ] && fail "rm left it"
# One that is made by writing is the group's, too.
expect_quiet 0 write --create --allow-group $group "$b" "$work/ten"
same "mode and group" "$(stat -c '%a %g' "$box/segment")" "660 $group"
tool=$work/first
expect_quiet 0 reclaim --allow-group $group "$b"
[ -e "$box/segment" ] && fail "reclaim left it"

# In /dev/shm only its owner may remove it: the second user leaves it, and it shows.
cat >"$work/leave.c" <<'END'
#include <mapseg.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    mapseg_options options = MAPSEG_OPTIONS_INIT;
    mapseg *seg = mapseg_new();
    char word;
    mapseg_result result;
    if (argc < 3 || seg == NULL || mapseg_set_native_key(seg, argv[1]) != MAPSEG_OK)
        return 1;
    options.mode = 0666;
    options.flags = MAPSEG_ALLOW_OTHER_OWNER | MAPSEG_ALLOW_SHARED_WRITE;
    result = *argv[2] == 'c' ? mapseg_create_with(seg, 100, MAPSEG_READ_WRITE, &options)
                             : mapseg_attach_with(seg, MAPSEG_READ_WRITE, &options);
    puts(result == MAPSEG_OK ? "attached" : mapseg_error_string(seg));
    fflush(stdout);
    if (fread(&word, 1, 1, stdin) != 0)
        return 1;
    if (mapseg_detach(seg) != MAPSEG_OK)
        return 1;
    puts(mapseg_error_string(seg));
    mapseg_free(seg);
    return 0;
}
END
# shellcheck disable=SC2086 # flags are words
if "${abs_top_builddir-.}/libtool" --silent --mode=link --tag=CC ${CC-cc} ${SANITIZER_FLAGS-} \
    -I"$abs_top_srcdir/include" -static -o "$work/leave" "$work/leave.c" \
    "$abs_top_builddir/lib/libmapseg.la" 2>"$work/err"; then
    chmod 755 "$work/leave"
    mkfifo -m 666 "$work/go-first" "$work/go-second"
    $as_first "$work/leave" $k create <"$work/go-first" >"$work/first.out" &
    first=$!
    children="$children $first"
    exec 3>"$work/go-first"
    await grep -q attached "$work/first.out"
    $as_second "$work/leave" $k attach <"$work/go-second" >"$work/second.out" 3>&- &
    second=$!
    children="$children $second"
    exec 4>"$work/go-second"
    await grep -q attached "$work/second.out"
    exec 3>&-
    wait $first || fail "the first user: $(cat "$work/first.out")"
    exec 4>&-
    wait $second || fail "the second user: $(cat "$work/second.out")"
    has "$work/second.out" "user 60001"
    tool=${MAPSEG_TOOL-${MAPSEG-}}
    same "state" "$(listed $k STATE)" left
    expect_quiet 0 show $k
    has "$work/out" "left: "
    grep -q "users died" "$work/out" && fail "no user has died: $(cat "$work/out")"
    tool=$work/second
    expect_failure "Operation not permitted" reclaim $k
    tool=$work/first
    expect_quiet 0 reclaim
    grep -q -x -e "$k" "$work/out" || fail "the owner's reclaim did not take it"
    exists $k && fail "the owner's reclaim left it"
else
    echo "not tested: what detach leaves, no program can be built: $(cat "$work/err")"
fi

finish
