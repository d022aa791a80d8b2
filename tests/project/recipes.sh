#!/bin/sh
# The programs of mapseg-recipes(7) do what the page says: as other users, with two
# segments at once, and after kill -9.
#
# SPDX-License-Identifier: MIT
#
# shellcheck disable=SC2154 # the makefile sets abs_top_...
set -u

source=$abs_top_srcdir
build=$abs_top_builddir
page=$source/doc/mapseg-recipes.7
work=$(mktemp -d) || exit 99
key=mapseg-recipes-$$
other_user="setpriv --reuid nobody --regid 65534 --clear-groups"
children=
status=0
unset MAPSEG_KEY SUM_KEY

# shellcheck disable=SC2317 # the trap calls it
leave()
{
    for child in $children; do
        kill -KILL "$child" 2>/dev/null
    done
    rm -rf "$work"
    rm -f "/dev/shm/$key" "/dev/shm/mapseg-$key"-*
}
trap leave EXIT
trap 'exit 99' HUP INT TERM
trap '' PIPE
chmod 755 "$work"
# Another user, who may not be able to enter the build directory, needs the library
# too. A static one is in the programs.
for library in "$build"/lib/.libs/libmapseg.so.*; do
    [ ! -e "$library" ] || cp "$library" "$work" || exit 99
done
LD_LIBRARY_PATH=$work${LD_LIBRARY_PATH+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

fail()
{
    echo "FAIL: $*"
    status=1
}

pass_over()
{
    echo "not tested: $*"
}

# $1: the program; $2: its folder.
build_program()
{
    # shellcheck disable=SC2086 # flags are words
    "$build/libtool" --silent --mode=link --tag=CC $CC -std=c11 -D_GNU_SOURCE \
        -Wall -Wextra -Wpedantic -Werror ${SANITIZER_FLAGS-} -I"$source/include" -no-install \
        -o "$work/$1" "$2/$1.c" "$build/lib/libmapseg.la" || fail "$1.c does not compile"
}

# $1: a file; $2: what a line of it must be, a pattern of grep; 60 seconds are a hang.
until_line()
{
    for _ in $(seq 1200); do
        ! grep -q -s -x -e "$2" "$1" || return 0
        sleep 0.05
    done
    fail "it does not say '$2', but: $(cat "$1")"
    return 1
}

# $1: a name, with which go a fifo for the input and a file of what is said; the rest: the
# program. The process is $process. Open the fifo next, for it waits for that.
start()
{
    name=$1
    shift
    rm -f "$work/$name.in"
    mkfifo "$work/$name.in"
    : >"$work/$name.said"
    "$@" <"$work/$name.in" >"$work/$name.said" 2>&1 5>&- 6>&- &
    process=$!
    children="$children $process"
}

# $1: the process; it dies by SIGKILL.
murder()
{
    kill -KILL "$1"
    wait "$1" 2>/dev/null
    [ $? -eq 137 ] || fail "the process was not there to be killed"
}

# $1: the process; $2: its name; it must end by itself, and well.
must_end()
{
    wait "$1" || fail "$2 failed: $(cat "$work/$2.said")"
}

# What the page says that its programs print: the block that begins with the line $1.
shown()
{
    awk -v first="$1" '$0 == first { inside = 1 } /^\.fi/ { inside = 0 } inside' "$page"
}

# $1: a plain key to which no segment may belong.
no_segment()
{
    set -- "/dev/shm/mapseg-$1"-*
    [ ! -e "$1" ] || fail "a segment was left: $1"
}

# A program that is killed in a change: $1 key, $2 offset, $3 number of bytes that it has spoilt.
cat >"$work/half.c" <<'END'
#include <mapseg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
main(int argc, char **argv)
{
    mapseg *seg = mapseg_new();

    if (argc != 4 || seg == NULL)
        return 1;
    if ((strchr(argv[1], ':') ? mapseg_set_native_key : mapseg_set_key)(seg, argv[1]) != MAPSEG_OK ||
        mapseg_attach(seg, MAPSEG_READ_WRITE) != MAPSEG_OK ||
        mapseg_write_begin(seg) != MAPSEG_OK) {
        fprintf(stderr, "%s\n", mapseg_error_string(seg));
        return 1;
    }
    memset((char *)mapseg_data(seg) + atol(argv[2]), 0xee, (size_t)atol(argv[3]));
    raise(SIGKILL);
    return 1;
}
END

# $1: what it is started with, to be its user; the rest: its arguments.
die_half_way()
{
    user=$1
    shift
    # shellcheck disable=SC2086 # words
    $user "$work/half" "$@" 2>"$work/half.said"
    [ $? -eq 137 ] || fail "no writer was killed half way: $(cat "$work/half.said")"
}

# ------------------------------------------------------ publish, subscribe --

# $1: what the publisher is started with, to be its user; $2: that user; $3: the same for
# the subscriber.
# shellcheck disable=SC2086 # $1 and $3 are words
check_publish()
{
    native=shm:$key
    start publish $1 "$work/publish" "$native"
    publisher=$process
    exec 5>"$work/publish.in"
    until_line "$work/publish.said" "created $native" || return
    start subscribe $3 "$work/subscribe" "$2" "$native"
    subscriber=$process
    exec 6>"$work/subscribe.in"
    echo sunny >&5
    until_line "$work/subscribe.said" 'version 2: sunny' || return
    echo stormy >&5
    until_line "$work/subscribe.said" 'version 4: stormy' || return

    # The publisher is killed, the next one in a change; then one goes on.
    murder "$publisher"
    die_half_way "$1" "$native" 0 3
    exec 5>&-
    until_line "$work/subscribe.said" 'the publisher was killed half way; waiting for the next one' ||
        return
    start next $1 "$work/publish" "$native"
    publisher=$process
    exec 5>"$work/next.in"
    until_line "$work/next.said" "took over $native" || return
    echo rainy >&5
    until_line "$work/subscribe.said" 'version [0-9]*: rainy' || return

    exec 5>&-
    must_end "$publisher" next
    until_line "$work/subscribe.said" 'the publisher has ended' || return
    must_end "$subscriber" subscribe
    exec 6>&-
    shown 'version 2: sunny' >"$work/expected"
    [ -s "$work/expected" ] || fail "the page does not say what subscribe prints"
    grep -v -e ': rainy$' -e 'killed' "$work/subscribe.said" | cmp "$work/expected" - ||
        fail "the subscriber says: $(cat "$work/subscribe.said")"
    [ ! -e "/dev/shm/$key" ] || fail "the publisher left its segment"
}

# A segment that another user made under the name first.
# shellcheck disable=SC2086 # $other_user is words
check_squatter()
{
    start squatter $other_user "$work/publish" "shm:$key"
    squatter=$process
    exec 5>"$work/squatter.in"
    until_line "$work/squatter.said" "created shm:$key" || return
    ! timeout 60 "$work/subscribe" "$(id -un)" "shm:$key" >"$work/said" 2>&1 ||
        fail "a subscriber takes a segment of any user"
    grep -q "another user's" "$work/said" || fail "the subscriber says: $(cat "$work/said")"
    ! timeout 60 "$work/publish" "shm:$key" </dev/null >"$work/said" 2>&1 ||
        fail "a publisher takes a segment of any user"
    exec 5>&-
    must_end "$squatter" squatter
}

check_publishing()
{
    me=$(id -un) || { pass_over "publishing: this user has no name"; return; }
    check_publish '' "$me" ''
    if [ "$(id -u)" -eq 0 ] && $other_user "$work/worker" >"$work/said" 2>&1; then
        check_publish '' "$me" "$other_user"
        check_publish "$other_user" nobody ''
        check_squatter
    else
        pass_over "publishing to another user: this user cannot become one"
    fi
}

# ----------------------------------------------------------------- worker --

check_worker()
{
    timeout 60 "$work/worker" >"$work/said" || fail "worker failed"
    shown 'worker: added 4 numbers' | cmp - "$work/said" || fail "worker says: $(cat "$work/said")"
    ! timeout 60 "$work/worker" work >"$work/said" 2>&1 || fail "worker works without a task"
    ! MAPSEG_KEY='memfd:0?id=00112233445566778899aabbccddeeff' SUM_KEY=memfd:0 \
        timeout 60 "$work/worker" work <"$page" >"$work/said" 2>&1 ||
        fail "worker takes any descriptor"
}

# ----------------------------------------------------------------- single --

check_single()
{
    start single "$work/single" "$key-single"
    first=$process
    exec 5>"$work/single.in"
    until_line "$work/single.said" 'running, press Enter to end' || return
    for _ in 1 2; do
        ! timeout 60 "$work/single" "$key-single" </dev/null >"$work/said" 2>&1 || fail "single runs twice"
        [ "$(cat "$work/said")" = "it runs already, as process $first" ] ||
            fail "the second start says: $(cat "$work/said")"
    done

    murder "$first"
    exec 5>&-
    start single "$work/single" "$key-single"
    next=$process
    exec 5>"$work/single.in"
    until_line "$work/single.said" 'the last run was killed, this one takes over' || return
    until_line "$work/single.said" 'running, press Enter to end' || return
    ! timeout 60 "$work/single" "$key-single" </dev/null >"$work/said" 2>&1 || fail "single runs twice"
    exec 5>&-
    must_end "$next" single

    timeout 60 "$work/single" "$key-single" </dev/null >"$work/said" 2>&1 || fail "single does not start again"
    [ "$(cat "$work/said")" = 'running, press Enter to end' ] ||
        fail "a start after a good end says: $(cat "$work/said")"
    no_segment "$key-single"
}

# ----------------------------------------------------------------- config --

set_config()
{
    timeout 60 "$work/config" "$key-config" set "$@" || fail "config set $* failed"
}

check_config()
{
    "$work/config" "$key-config" watch >"$work/early.said" 2>&1 &
    early=$!
    children="$children $early"
    until_line "$work/early.said" 'version 0: localhost:80' || return
    ! "$work/config" "$key-config" set host 80x >"$work/said" 2>&1 || fail "config takes a bad port"
    set_config example.org 8080
    until_line "$work/early.said" 'version 2: example.org:8080' || return
    set_config example.net 443
    until_line "$work/early.said" 'version 4: example.net:443' || return
    shown 'version 0: localhost:80' | cmp - "$work/early.said" ||
        fail "config says: $(cat "$work/early.said")"

    # A writer is killed in the middle: no watcher sees that, also none that comes then.
    die_half_way '' "$key-config" 0 64
    "$work/config" "$key-config" watch >"$work/late.said" 2>&1 &
    late=$!
    children="$children $late"
    until_line "$work/early.said" 'a writer was killed half way; waiting for the next one' || return
    until_line "$work/late.said" 'a writer was killed half way; waiting for the next one' || return
    set_config after 443
    until_line "$work/early.said" 'version [0-9]*: after:443' || return
    until_line "$work/late.said" 'version [0-9]*: after:443' || return
    [ "$(grep -c version "$work/late.said")" -eq 1 ] || fail "config says: $(cat "$work/late.said")"

    # Two that set at the same time.
    (
        for _ in $(seq 50); do
            set_config aaaaaaaaaaaaaaaaaaaaaaaa 1111
        done
        exit $status
    ) &
    writer=$!
    for _ in $(seq 50); do
        set_config bbbbbbbbbbbb 2222
    done
    wait "$writer" || fail "config fails beside another one"
    set_config last 1
    until_line "$work/early.said" 'version [0-9]*: last:1' || return
    sed -n '1,/: after:/d; s/^version [0-9]*: //p' "$work/early.said" |
        grep -v -x -e 'a\{24\}:1111' -e 'b\{12\}:2222' -e 'last:1' >"$work/mixed"
    [ ! -s "$work/mixed" ] || fail "a watcher saw a mixture: $(cat "$work/mixed")"
    # It outlives all who use it.
    murder "$early"
    murder "$late"
    set_config later 2
    "$work/config" "$key-config" watch >"$work/early.said" 2>&1 &
    early=$!
    children="$children $early"
    until_line "$work/early.said" 'version [0-9]*: later:2'
    murder "$early"
    rm -f "/dev/shm/mapseg-$key-config"-*
}

# -------------------------------------------------------- restart, follow --

start_publisher()
{
    start restart "$work/restart" "$key-restart"
    publisher=$process
    exec 5>"$work/restart.in"
}

check_restart()
{
    "$work/follow" "$key-restart" >"$work/follow.said" 2>&1 &
    follower=$!
    children="$children $follower"
    start_publisher
    until_line "$work/restart.said" 'publishing, 0 numbers are there' || return
    until_line "$work/follow.said" attached || return
    until_line "$work/follow.said" '0 numbers, the sum is 0' || return
    echo 10 >&5
    until_line "$work/follow.said" '1 numbers, the sum is 10' || return
    echo 20 >&5
    until_line "$work/follow.said" '2 numbers, the sum is 30' || return

    # Killed between two changes.
    murder "$publisher"
    exec 5>&-
    start_publisher
    until_line "$work/restart.said" 'publishing, 2 numbers are there' || return
    echo 5 >&5
    until_line "$work/follow.said" '3 numbers, the sum is 35' || return
    # A publisher's beginning is seen as a version, or comes too early for that.
    shown attached | uniq >"$work/expected"
    uniq "$work/follow.said" | cmp "$work/expected" - || fail "follow says: $(cat "$work/follow.said")"

    # Killed in a change, which has spoilt the sum.
    murder "$publisher"
    exec 5>&-
    die_half_way '' "$key-restart" 0 8
    until_line "$work/follow.said" 'the publisher was killed in a change; waiting for the next one' || return
    start_publisher
    until_line "$work/restart.said" 'repaired what the last publisher left half done' || return
    until_line "$work/restart.said" 'publishing, 3 numbers are there' || return
    echo 1 >&5
    until_line "$work/follow.said" '4 numbers, the sum is 36' || return

    # A proper end, and a new beginning.
    exec 5>&-
    must_end "$publisher" restart
    until_line "$work/follow.said" 'the publisher has ended; waiting for the next one' || return
    start_publisher
    until_line "$work/restart.said" 'publishing, 0 numbers are there' || return
    echo 7 >&5
    until_line "$work/follow.said" '1 numbers, the sum is 7' || return
    [ "$(grep -c -x attached "$work/follow.said")" -eq 2 ] || fail "follow says: $(cat "$work/follow.said")"
    murder "$follower"
    exec 5>&-
    must_end "$publisher" restart
    no_segment "$key-restart"
}

# ------------------------------------------------------------ anew, track --

start_anew()
{
    start anew "$work/anew" "$key-news"
    publisher=$process
    exec 5>"$work/anew.in"
    until_line "$work/anew.said" publishing
}

# $1: so many lines of what track says must be the second.
until_lines()
{
    for _ in $(seq 1200); do
        [ "$(grep -c -x -e "$2" "$work/track.said")" -lt "$1" ] || return 0
        sleep 0.05
    done
    fail "track does not say '$2' $1 times, but: $(cat "$work/track.said")"
    return 1
}

check_anew()
{
    "$work/track" "$key-news" >"$work/track.said" 2>&1 &
    tracker=$!
    children="$children $tracker"
    start_anew || return
    until_lines 1 'number 0 is 0' || return
    echo 10 >&5
    until_lines 1 'number 1 is 10' || return
    echo 20 >&5
    until_lines 1 'number 2 is 20' || return
    murder "$publisher"
    exec 5>&-
    until_lines 1 'the publisher has left' || return
    no_segment "$key-news"
    start_anew || return
    until_lines 2 'number 0 is 0' || return
    echo 7 >&5
    until_lines 1 'number 1 is 7' || return
    shown 'attached to a publisher' | cmp - "$work/track.said" ||
        fail "track says: $(cat "$work/track.said")"

    # The next one begins while the last one still runs; or the last one dies in a change.
    first=$publisher
    exec 6>&5
    start_anew || return
    until_lines 1 'another one publishes, or the segment was removed' || return
    until_lines 3 'attached to a publisher' || return
    exec 6>&-
    must_end "$first" anew
    murder "$publisher"
    exec 5>&-
    until_lines 2 'the publisher has left' || return
    start_anew || return
    until_lines 4 'number 0 is 0' || return
    die_half_way '' "$key-news" 0 8
    murder "$publisher"
    exec 5>&-
    until_lines 1 'the publisher was killed in a change' || return
    # Removed, while it sleeps; and a proper end.
    start_anew || return
    until_lines 5 'number 0 is 0' || return
    rm "/dev/shm/mapseg-$key-news"-*
    until_lines 2 'another one publishes, or the segment was removed' || return
    exec 5>&-
    must_end "$publisher" anew
    start_anew || return
    until_lines 6 'number 0 is 0' || return
    exec 5>&-
    must_end "$publisher" anew
    until_lines 3 'the publisher has left' || return
    no_segment "$key-news"
    murder "$tracker"
}

# ------------------------------------------------------------ lost output --

# What cannot be printed is a failure, and no program goes on for ever without it.
check_full_output()
{
    [ -c /dev/full ] || { pass_over "full output: there is no /dev/full"; return; }
    timeout 60 "$work/worker" >/dev/full 2>&1
    [ $? -eq 1 ] || fail "worker does not notice that its output is lost"
    timeout 60 "$work/single" "$key-full" </dev/null >/dev/full 2>&1
    [ $? -eq 1 ] || fail "single does not notice that its output is lost"
    timeout 60 "$work/config" "$key-config" watch >/dev/full 2>&1
    [ $? -eq 1 ] || fail "config does not notice that its output is lost"
    rm -f "/dev/shm/mapseg-$key-config"-*
    start_publisher
    until_line "$work/restart.said" 'publishing, 0 numbers are there' || return
    timeout 60 "$work/follow" "$key-restart" >/dev/full 2>"$work/said"
    [ $? -eq 1 ] || fail "follow does not notice that its output is lost"
    grep -q 'standard output' "$work/said" || fail "follow says: $(cat "$work/said")"
    exec 5>&-
    must_end "$publisher" restart
}

for program in publish subscribe worker single config restart follow anew track; do
    build_program $program "$source/doc/examples"
done
build_program half "$work"
[ $status -eq 0 ] || exit $status
check_worker
check_publishing
check_single
check_config
check_restart
check_anew
check_full_output
exit $status
