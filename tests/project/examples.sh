#!/bin/sh
# The examples of several processes: they compile, and do what their pages say.
# SPDX-License-Identifier: MIT
#
# shellcheck disable=SC2154 # the makefile sets abs_top_...
set -u

source=$abs_top_srcdir
build=$abs_top_builddir
pages=$source/doc
work=$(mktemp -d) || exit 99
key=mapseg-examples-$$
nobody="setpriv --reuid 65534 --regid 65534 --clear-groups"
children=
status=0
unset MAPSEG_KEY

# shellcheck disable=SC2317 # the trap calls it
leave()
{
    for child in $children; do
        kill -KILL "$child" 2>/dev/null
    done
    rm -rf "$work"
    rm -f "/dev/shm/mapseg-$key"-*
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

build_example()
{
    # shellcheck disable=SC2086 # flags are words
    "$build/libtool" --silent --mode=link --tag=CC $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror \
        ${SANITIZER_FLAGS-} -I"$source/include" -no-install -o "$work/$1" \
        "$pages/examples/$1.c" "$build/lib/libmapseg.la" || fail "$1.c does not compile"
}

# Programs in C++, where there is a compiler.
build_example_cxx()
{
    # shellcheck disable=SC2086 # flags are words
    "$build/libtool" --silent --mode=link --tag=CXX $CXX $CXX17_FLAGS -Wall -Wextra -Wpedantic -Werror \
        ${SANITIZER_FLAGS-} -I"$source/include" -no-install -o "$work/$1" \
        "$pages/examples/$1.cpp" "$build/lib/libmapseg.la" || fail "$1.cpp does not compile"
}

# $1: a file; $2: what it must have as a line; 20 seconds are a hang.
until_line()
{
    for _ in $(seq 400); do
        ! grep -q -x -F -e "$2" "$1" || return 0
        sleep 0.05
    done
    fail "it does not say '$2', but: $(cat "$1")"
}

# What a page says that its program prints: the block before the example's, or
# behind it, that begins with the line $2.
shown()
{
    awk -v first="$2" '$0 == first { inside = 1 } /^\.fi/ { inside = 0 } inside' "$pages/$1"
}

# Whether there is another user, who can run what was built.
can_be_nobody()
{
    [ "$(id -u)" -eq 0 ] && $nobody "$work/inherit" >"$work/said" 2>&1
}

check_inherit()
{
    said=$(timeout 60 "$work/inherit") || fail "inherit failed"
    [ "$said" = 'hello, child' ] || fail "inherit says: $said"
    # A number that means another file by now is noticed.
    ! MAPSEG_KEY='memfd:0?id=00112233445566778899aabbccddeeff' timeout 60 "$work/inherit" \
        <"$pages/examples/inherit.c" >"$work/said" 2>&1 || fail "inherit takes any descriptor"
    [ -s "$work/said" ] || fail "inherit does not say why"
    ! MAPSEG_KEY='no key' timeout 60 "$work/inherit" >"$work/said" 2>&1 ||
        fail "inherit overlooks a bad key"
}

check_ring()
{
    timeout 120 "$work/ring" >"$work/said" || fail "ring failed"
    shown mapseg_read.3 '10000 numbers, then producer 1 was killed' >"$work/expected"
    [ -s "$work/expected" ] || fail "mapseg_read.3 does not say what ring prints"
    cmp "$work/expected" "$work/said" || fail "ring says: $(cat "$work/said")"
}

check_producer()
{
    if can_be_nobody; then
        timeout 60 "$work/producer" >"$work/said" || fail "producer failed: $(cat "$work/said")"
        shown mapseg_export_fd.3 'version 2: one' >"$work/expected"
        [ -s "$work/expected" ] || fail "mapseg_export_fd.3 does not say what producer prints"
        cmp "$work/expected" "$work/said" || fail "producer says: $(cat "$work/said")"
        same_user=$nobody
    else
        pass_over "a consumer of another user: this user cannot become one"
        same_user=
    fi
    [ "$(id -u)" -ne 0 ] || [ -n "$same_user" ] || return
    $same_user timeout 60 "$work/producer" >"$work/said" || fail "producer failed: $(cat "$work/said")"
    # The file can be opened anew here, so that it is the seals that refuse.
    sed '1,/^the file anew$/d' "$work/said" >"$work/anew"
    [ "$(grep -c ': Operation not permitted$' "$work/anew")" -eq 5 ] ||
        fail "the seals refuse something else: $(cat "$work/said")"
    grep -q -x 'nothing was written' "$work/said" || fail "producer says: $(cat "$work/said")"
}

# $1: who may have it besides this user.
serve()
{
    "$work/service" "$work/socket" "$1" >"$work/service.said" 2>&1 &
    service=$!
    children="$children $service"
    until_line "$work/service.said" ready
}

# $1: who; $2: what the client must print.
visit()
{
    # shellcheck disable=SC2086 # words
    said=$(timeout 60 $1 "$work/client" "$work/socket" 2>&1) || [ -z "$2" ] ||
        fail "the client failed: $said; the service says: $(cat "$work/service.said")"
    [ -z "$2" ] || [ "$said" = "$2" ] || fail "the client says: $said"
}

check_service()
{
    me=$(id -u)
    serve "$me"
    visit "" "version 2, 1 served, last served: user $me"
    visit "" "version 4, 2 served, last served: user $me"
    if can_be_nobody; then
        visit "$nobody" ""
        until_line "$work/service.said" 'refused: user 65534'
        kill "$service"
        wait "$service" 2>/dev/null
        serve 65534
        visit "$nobody" 'version 2, 1 served, last served: user 65534'
    else
        pass_over "a client of another user: this user cannot become one"
    fi
    kill "$service"
    wait "$service" 2>/dev/null
    children=
}

# Two of them; what is put in to one is seen by both, and no change is missed.
check_watch()
{
    mkfifo "$work/one" "$work/two"
    "$work/watch" "$key" <"$work/one" >"$work/one.said" 2>&1 &
    one=$!
    exec 5>"$work/one"
    "$work/watch" "$key" <"$work/two" >"$work/two.said" 2>&1 5>&- &
    two=$!
    exec 6>"$work/two"
    children="$children $one $two"
    for turn in 1 2 3 4 5; do
        echo "turn $turn" >&$((5 + turn % 2))
        until_line "$work/one.said" "$((2 * turn)): turn $turn"
        until_line "$work/two.said" "$((2 * turn)): turn $turn"
        [ $status -eq 0 ] || break
    done
    exec 5>&- 6>&-
    wait "$one" || fail "watch failed: $(cat "$work/one.said")"
    wait "$two" || fail "watch failed: $(cat "$work/two.said")"
    children=
    for said in one two; do
        [ "$(grep -c turn "$work/$said.said")" -eq 5 ] ||
            fail "a change is reported twice: $(cat "$work/$said.said")"
    done
    set -- "/dev/shm/mapseg-$key"-*
    [ ! -e "$1" ] || fail "watch left $1"
}

check_cxx()
{
    if [ -z "${CXX17_FLAGS-}" ]; then
        pass_over "account.cpp, forecast.cpp: there is no C++17 compiler"
        return
    fi
    for example in account forecast; do
        build_example_cxx $example
        timeout 60 "$work/$example" "$key-$example" >"$work/said" || fail "$example failed"
        [ "$(wc -l <"$work/said")" -eq 1 ] || fail "$example says: $(cat "$work/said")"
        grep -q -x -F -f "$work/said" "$pages/mapseg-cxx.7" ||
            fail "mapseg-cxx.7 says that $example prints something else than $(cat "$work/said")"
    done
}

# $1: an example, $2: its argument, $3: what it prints.
runs()
{
    timeout 60 "$work/$1" "$2" >"$work/said" 2>&1 || fail "$1 failed: $(cat "$work/said")"
    [ "$(cat "$work/said")" = "$3" ] || fail "$1 says: $(cat "$work/said")"
}

# The programs that show the way from other libraries.
check_coming_from()
{
    runs from_shm_open "/$key-shm-open" hello
    runs from_semaphore "/$key-semaphore" 'the semaphore is 0'
    for left in "/dev/shm/$key"-* "/dev/shm/sem.$key-semaphore"; do
        [ ! -e "$left" ] || fail "left behind: $left"
    done
    # The first one that makes a semaphore for a segment leaves it, as Qt does.
    rm -f "/dev/shm/sem.$key-shm-open"
    [ -n "${CXX17_FLAGS-}" ] || { pass_over 'from_qt.cpp, from_boost.cpp: no C++17 compiler'; return; }
    for example in from_qt from_boost; do
        build_example_cxx $example
        runs $example "$key-$example" 'visitor 1'
    done
}

# What cannot be printed is a failure.
check_full_output()
{
    [ -c /dev/full ] || { pass_over "full output: there is no /dev/full"; return; }
    for example in inherit ring; do
        timeout 120 "$work/$example" >/dev/full 2>&1
        [ $? -eq 1 ] || fail "$example does not notice that its output is lost"
    done
}

for example in inherit ring producer service client watch from_shm_open from_semaphore; do
    build_example "$example"
done
[ $status -eq 0 ] || exit $status
check_inherit
check_ring
check_full_output
check_producer
check_service
check_watch
check_cxx
check_coming_from
exit $status
